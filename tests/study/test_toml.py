"""Bytes to values, and where a key stands."""

from __future__ import annotations

import math

import pytest

from spc.errors import DataError
from spc.study.toml import LIMIT, key_line, not_finite, parse_toml, read_text

TEXT = """\
# [chain]
[study]
name = "a"   # name
[tables.units]
file = "u.csv"
columns = { unit = "BTN" }
[[chain.lags]]
from = "a"
[[chain.lags]]
from = "b"
[constructs."x y"]
items = ["a = b"]
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("study",), 2),
        (("study", "name"), 3),
        (("tables", "units", "file"), 5),
        (("tables", "units", "columns", "unit"), 6),
        (("chain", "lags", 0, "from"), 8),
        (("chain", "lags", 1, "from"), 10),
        (("constructs", "x y", "items", 0), 12),
        (("constructs", "x y", "scale"), 11),
        (("money",), None),
        (("study", "nothing"), 2),
    ],
)
def test_line_of_a_key(path, line):
    assert key_line(TEXT, path) == line


def test_syntax_error_names_line_column_and_shows_the_line():
    with pytest.raises(DataError) as caught:
        parse_toml("[study]\nname = Fjord\n", "study.toml")
    (finding,) = caught.value.findings
    assert finding.rows == (2,)
    assert "line 2, column 8" in finding.found
    assert "name = Fjord" in finding.found


def test_error_at_the_end_names_the_last_line():
    with pytest.raises(DataError) as caught:
        parse_toml('[study]\nname = """Fjord\n', "study.toml")
    assert "line 3, the end of the document" in caught.value.findings[0].found


def test_byte_order_mark_is_read_over(tmp_path):
    path = tmp_path / "study.toml"
    path.write_bytes(b"\xef\xbb\xbf[study]\n")
    assert read_text(path) == "[study]\n"


def test_longest_document_is_read_and_no_longer_one(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text("#" * LIMIT)
    assert len(read_text(path)) == LIMIT
    path.write_text("#" * (LIMIT + 1))
    with pytest.raises(DataError, match="1,000,001 bytes"):
        read_text(path)


def test_line_of_bytes_that_are_not_utf8(tmp_path):
    path = tmp_path / "study.toml"
    path.write_bytes('[study]\nname = "Tromsø"\n'.encode("latin-1"))
    with pytest.raises(DataError) as caught:
        read_text(path)
    assert caught.value.findings[0].rows == (2,)


def test_not_finite_values_are_found_at_any_depth():
    found = dict(not_finite({"a": [1.0, {"b": math.inf}], "c": math.nan, "d": 1e308}))
    assert set(found) == {("a", 1, "b"), ("c",)}
