"""Workbooks."""

from __future__ import annotations

import datetime
import zipfile

import pytest

from spc.contracts import check_items
from spc.errors import DataError
from spc.sources import read_table

openpyxl = pytest.importorskip("openpyxl")


def book(path, **sheets):
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    made.save(path)
    return path


def test_a_sheet_is_chosen(tmp_path):
    path = book(tmp_path / "t.xlsx", staff=[["a"], [1]], stores=[["b"], [2]])
    assert read_table(path, table="stores").frame["b"].tolist() == [2]
    with pytest.raises(DataError, match="several sheets and none chosen; expected one of 'staff', 'stores'"):
        read_table(path)
    with pytest.raises(DataError, match=r"no sheet 'store'.*nearest is 'stores'"):
        read_table(path, table="store")


def test_blank_rows_above_the_heading_count(tmp_path):
    path = book(tmp_path / "t.xlsx", s=[[], [], ["q", "w"], [1, 1], [9, 1]])
    source = read_table(path)
    (finding,) = check_items(source.frame, table="t", items=["q"], low=1, high=7, line_offset=source.lines)
    assert finding.rows == (5,)


def test_cells_of_every_kind(tmp_path):
    day = datetime.date(2026, 1, 31)
    rows = [
        ["id", "day", "flag", "mixed", "empty", "sum"],
        ["007", day, True, "n/a", None, 1.5],
        ["008", None, False, 3, None, None],
    ]
    frame = read_table(book(tmp_path / "t.xlsx", s=rows), missing=["n/a"]).frame
    assert frame["id"].tolist() == ["007", "008"]
    assert frame["day"].dtype.kind == "M"
    assert frame["flag"].tolist() == [True, False]
    assert frame["mixed"].tolist()[1] == 3
    assert frame["mixed"].dtype.kind == "f"
    assert frame["empty"].isna().all()
    assert frame["sum"].tolist()[0] == 1.5


def test_an_empty_sheet(tmp_path):
    with pytest.raises(DataError, match="an empty sheet"):
        read_table(book(tmp_path / "t.xlsx", s=[]))


def test_a_workbook_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr("spc.sources.workbook.MAX_UNPACKED", 1000)
    with pytest.raises(DataError) as caught:
        read_table(book(tmp_path / "t.xlsx", s=[["a"], [1]]))
    assert caught.value.findings[0].rule == "huge_file"


def test_a_zip_that_is_no_workbook(tmp_path):
    path = tmp_path / "t.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(path)
