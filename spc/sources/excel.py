"""Workbooks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from spc.errors import DataError, MissingExtraError
from spc.sources.database import unknown_table
from spc.sources.raw import MAX_CELL, Raw, Request, headings, without_idle
from spc.sources.settle import whole
from spc.sources.workbook import damaged_workbook, refuse_bomb

__all__ = ["read_excel"]


def read_excel(request: Request) -> Raw:
    """Read one sheet; its first row that is not blank is the heading.

    Raises
    ------
    DataError
        The file is no workbook, is locked by a password, would fill the memory, or has no such sheet.
    MissingExtraError
        python-calamine is not installed.
    """
    try:
        import python_calamine as calamine
    except ImportError:
        raise MissingExtraError("python-calamine", "survey", "Reading a workbook") from None
    refuse_bomb(request)
    try:
        with calamine.CalamineWorkbook.from_path(str(request.path)) as book:
            rows = book.get_sheet_by_name(_sheet(request, book.sheet_names)).to_python(skip_empty_area=False)
    except calamine.PasswordError:
        raise damaged_workbook(request, "it is locked by a password") from None
    except calamine.CalamineError as error:
        raise damaged_workbook(request, str(error)) from None
    return _table(rows, request)


def _sheet(request: Request, names: Sequence[str]) -> str:
    wanted = request.table if request.table is not None else names[0] if len(names) == 1 else None
    if wanted is None or wanted not in names:
        raise unknown_table(request, names, "sheet")
    return wanted


def _table(rows: list[list[Any]], request: Request) -> Raw:
    top = next((place for place, row in enumerate(rows) if any(str(cell).strip() for cell in row)), None)
    if top is None:
        raise DataError.of(
            request.label, None, "empty_file", "an empty sheet", "a heading and rows", "Choose another sheet."
        )
    names, findings = headings(rows[top], request.label)
    body = rows[top + 1 :]
    columns = {name: _column([row[place] for row in body], request, name) for place, name in enumerate(names)}
    columns, more = without_idle(columns, rows[top], request.label)
    wanted = {name: column for name, column in columns.items() if request.wants(name)}
    return Raw(wanted, top + 2, (*findings, *more))


def _column(cells: list[Any], request: Request, name: str) -> pd.Series:
    filled = [cell for cell in cells if cell != ""]
    kinds = {type(cell) for cell in filled}
    if not filled:
        return pd.Series(np.full(len(cells), np.nan))
    if kinds <= {int, float}:
        return whole(np.array([np.nan if cell == "" else cell for cell in cells], dtype=float))
    if kinds == {bool}:
        flags = pd.Series([None if cell == "" else cell for cell in cells], dtype="boolean")
        return flags if flags.isna().any() else flags.astype(bool)
    if kinds <= {date, datetime}:
        return pd.Series([pd.NaT if cell == "" else pd.Timestamp(cell) for cell in cells], dtype="datetime64[us]")
    texts = [None if cell == "" else _text(cell) for cell in cells]
    if max(len(text) for text in texts if text is not None) > MAX_CELL:
        raise DataError.of(
            request.label,
            name,
            "huge_cell",
            "a cell of more text than any answer",
            f"at most {MAX_CELL:,} characters",
            "Remove the cell.",
        )
    return pd.Series(texts, dtype=object)


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
