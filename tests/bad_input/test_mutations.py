"""Sound studies damaged at random: whatever comes out, it is a report."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from spc.study import check_study, load_document

CALM = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
PLACES = st.floats(0, 1, exclude_max=True)
EDITS = st.lists(st.tuples(PLACES, st.integers(0, 12), st.binary(max_size=6)), min_size=1, max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def damaged(content: bytes, edits) -> bytes:
    for place, cut, new in edits:
        at = int(place * len(content))
        content = content[:at] + new + content[at + cut :]
    return content


@CALM
@given(edits=EDITS)
def test_a_damaged_document(corpus, tmp_path, edits):
    (tmp_path / "answers.csv").write_text(corpus.ANSWERS)
    (tmp_path / "study.toml").write_bytes(damaged(corpus.DOCUMENT.encode(), edits))
    report = check_study(tmp_path / "study.toml")
    assert all(finding.found and finding.expected and finding.hint for finding in report.findings)


@CALM
@given(edits=EDITS)
@example(edits=[(0.0, 12, b'"')])
def test_a_damaged_table(corpus, tmp_path, edits):
    (tmp_path / "study.toml").write_text(corpus.DOCUMENT)
    (tmp_path / "answers.csv").write_bytes(damaged(corpus.ANSWERS.encode(), edits))
    report = check_study(tmp_path / "study.toml")
    assert all(finding.found and finding.expected and finding.hint for finding in report.findings)


@CALM
@given(place=PLACES, value=VALUES)
def test_any_value_at_any_key(corpus, tmp_path, place, value):
    document = tomllib.loads(corpus.LEDGER_DOCUMENT + '\n[disclosure]\nminimum_group = 5\n[report]\ntitle = "t"\n')
    keys = list(paths(document))
    here = document
    *way, last = keys[int(place * len(keys))]
    for key in way:
        here = here[key]
    here[last] = value
    for name, text in {"answers.csv": corpus.ANSWERS, "accounts.csv": corpus.LEDGER}.items():
        (tmp_path / name).write_text(text)
    text = toml(document)
    if text is None:
        return
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    _, findings = load_document(tmp_path / "study.toml")
    assert all(finding.hint for finding in findings)


def paths(value, way=()):
    for key, inner in value.items():
        yield (*way, key)
        if isinstance(inner, dict):
            yield from paths(inner, (*way, key))


def toml(document) -> str | None:
    """The values as TOML of one line each; None for what TOML cannot say."""
    try:
        return "".join(f"{quoted(key)} = {said(value)}\n" for key, value in document.items())
    except (TypeError, UnicodeEncodeError):
        return None


def said(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(key)} = {said(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(said, value)) + "]"
    if value is None:
        raise TypeError("TOML has no null")
    return str(value)


def quoted(text: str) -> str:
    text.encode()
    return '"' + "".join(c if c.isalnum() or c in " .~=_-/" else f"\\U{ord(c):08x}" for c in text) + '"'


@pytest.mark.parametrize("value", ["a\u0000b", "..", "~", "", ".", "/", "answers.csv/x", "con", "\u202e.csv", "a\nb"])
def test_odd_file_names(corpus, tmp_path, value):
    (tmp_path / "answers.csv").write_text(corpus.ANSWERS)
    text = corpus.DOCUMENT.replace('"answers.csv"', quoted(value))
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    assert not check_study(tmp_path / "study.toml").ok
