#!/bin/sh
# Set up the package in .venv and run it:  sh run.sh demo | test | docs | setup
#   demo [DIR]   make a synthetic firm, fit it, write DIR/report.html   (DIR: spc-demo)
#   test [ARGS]  lint, types, layers and every test; ARGS go to pytest
#   docs         build the site into docs/_build, notebooks run
#   setup        only make .venv
# Needs nothing but sh: uses uv where there is one, else Python 3.11 or newer, else (as root on Debian or Ubuntu) installs it.
set -eu
cd "$(dirname "$0")"
verb=${1:-}
case "$verb" in
  demo|test|docs|setup) shift ;;
  *) echo "usage: sh run.sh demo [DIR] | test [PYTEST ARGUMENTS] | docs | setup" >&2; exit 2 ;;
esac

new_enough() {
  "$1" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
  for name in python3.13 python3.12 python3.11 python3; do
    if command -v "$name" >/dev/null 2>&1 && new_enough "$name"; then echo "$name"; return 0; fi
  done
  return 1
}

install_python() {
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "No Python 3.11 or newer here: installing Debian's." >&2
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      python3 python3-venv ca-certificates >&2
  fi
  find_python || {
    echo "spc needs Python 3.11 or newer with venv. On Debian or Ubuntu: apt-get install python3 python3-venv" >&2
    return 1
  }
}

# What writes PDF needs Pango; without it (and without the right to install it) tests of PDF are skipped.
install_pango() {
  .venv/bin/python -c 'import weasyprint' >/dev/null 2>&1 && return 0
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 0
  {
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0
  } >&2 || echo "Pango could not be installed: tests of PDF are skipped." >&2
}

# Accessibility is judged by axe-core in chromium; without npm or chromium that test is skipped.
install_axe() {
  [ ! -f .venv/node_modules/axe-core/axe.min.js ] && command -v npm >/dev/null 2>&1 &&
    command -v chromedriver >/dev/null 2>&1 || return 0
  npm install --no-save --no-audit --no-fund --silent --fetch-retries=1 --prefix .venv axe-core@4.14.1 >&2 ||
    echo "axe-core could not be installed: the test of accessibility is skipped." >&2
}

# One stamp per set of requirements: a second run installs nothing.
wanted=$(cat pyproject.toml constraints.txt | cksum)
extras=survey
[ "$verb" = demo ] || extras=dev
stamp=.venv/.spc-$extras
[ -x .venv/bin/python ] && [ ! -f "$stamp" ] && [ -f .venv/.spc-dev ] && stamp=.venv/.spc-dev
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
  stamp=.venv/.spc-$extras
  echo "Setting up .venv (once; a minute or two) ..." >&2
  if command -v uv >/dev/null 2>&1 && uv venv -q --allow-existing --python '>=3.11' .venv 2>/dev/null; then
    uv pip install -q --python .venv/bin/python -c constraints.txt -e ".[$extras]"
  else
    python=$(find_python) || python=$(install_python)
    "$python" -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[$extras]"
  fi
  printf '%s\n' "$wanted" > "$stamp"
fi

case "$verb" in
  demo) exec .venv/bin/spc demo "$@" ;;
  docs) exec .venv/bin/python -m sphinx -W --keep-going -q docs docs/_build ;;
  test)
    PATH="$PWD/.venv/bin:$PATH"
    install_pango
    install_axe
    ruff check .
    ruff format --check .
    mypy
    lint-imports
    exec python -m pytest -n auto --dist loadfile "$@" ;;
esac
