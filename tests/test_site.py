"""The site builds without a warning, its notebooks run, and it leaves out nothing public."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import spc

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_six_notebooks_stored_without_what_they_print() -> None:
    assert len(NOTEBOOKS) == 6
    for path in NOTEBOOKS:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            assert not cell.get("outputs") and cell.get("execution_count") is None, path.name


def test_the_reference_names_everything_public() -> None:
    listed = re.findall(r"^   spc\.(\w+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(name for name in spc.__all__ if not name.startswith("__"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as a reader gets it, built from a copy, with warnings as errors and every notebook run."""
    copy = tmp_path_factory.mktemp("site")
    for name in ("docs", "notebooks"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("_build", "generated"))
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(copy / "docs"), str(copy / "html")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return copy / "html"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_shown_with_what_they_print(site: Path, path: Path) -> None:
    page = (site / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
    code = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert len(code) >= page.count('class="cell_output') >= len(code) - 3
    assert "Traceback" not in page


def test_every_page_is_reached_and_leads_somewhere(site: Path) -> None:
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    for name in ("index", "tutorial", "howto", "statistics", "lavaan", "semopy", "smartpls", "qualtrics", "api"):
        assert f"{name}.html" in pages
    for page in sorted(pages):
        text = (site / page).read_text(encoding="utf-8")
        for link in re.findall(r'href="([^"#:?]+\.html)', text):
            assert ((site / page).parent / link).resolve().exists(), (page, link)
