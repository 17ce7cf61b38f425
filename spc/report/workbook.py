"""A report as an Excel workbook: a sheet a table, what limits it beside it, and nothing that runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from spc.files import safe_cell
from spc.report.archive import without_dates
from spc.report.blocks import FactsBlock, FindingBlock, NotesBlock, Prose, Report, TableBlock
from spc.report.extras import extra
from spc.words import say

__all__ = ["workbook"]

_FORBIDDEN = re.compile(r"[\[\]:*?/\\'\x00-\x1f]")
_WIDEST = 60


def workbook(report: Report) -> bytes:
    """Every table of a report as a ``.xlsx`` file, numbers as numbers.

    Returns
    -------
    bytes
        The same for the same report.

    Raises
    ------
    MissingExtraError
        openpyxl is not installed.
    """
    from io import BytesIO

    openpyxl = extra("openpyxl")
    book = openpyxl.Workbook()
    book.properties.title, book.properties.creator = report.title, "spc"
    first = book.active
    first.title = _name(say("workbook.contents"), ())
    _rows(first, [(report.title,), (report.subtitle,), (report.headline,), ()])
    for section, block in _tables(report):
        sheet = book.create_sheet(_name(block.caption, book.sheetnames))
        first.append([_cell(section), _cell(block.caption)])
        link = first.cell(first.max_row, 3, sheet.title)
        link.hyperlink, link.style = f"#'{sheet.title}'!A1", "Hyperlink"
        _table(sheet, block)
    _limits(book.create_sheet(_name(say("section.notes"), book.sheetnames)), report)
    for sheet in book.worksheets:
        _widen(sheet)
    written = BytesIO()
    book.save(written)
    return without_dates(written.getvalue())


def _tables(report: Report) -> Iterator[tuple[str, TableBlock | FactsBlock]]:
    for section in report.sections:
        for block in section.blocks:
            if isinstance(block, TableBlock | FactsBlock):
                yield section.title, block


def _table(sheet: Any, block: TableBlock | FactsBlock) -> None:
    _rows(sheet, [(block.caption,), ()])
    if isinstance(block, FactsBlock):
        return _rows(sheet, block.pairs)
    _rows(sheet, [tuple(column.header for column in block.columns)])
    for cells, values in zip(block.cells, block.values, strict=True):
        sheet.append([_cell(cell) if value is None else value for cell, value in zip(cells, values, strict=True)])
    sheet.freeze_panes = "B4"
    if block.note:
        _rows(sheet, [(), (block.note,)])
    return None


def _limits(sheet: Any, report: Report) -> None:
    """Findings with their caveats, cautions and every note: no number leaves without what limits it."""
    for section in report.sections:
        for block in section.blocks:
            if isinstance(block, FindingBlock):
                _rows(sheet, [(block.title, block.mark, block.text), *(("", "", caveat) for caveat in block.caveats)])
            elif isinstance(block, NotesBlock):
                _rows(sheet, [(section.title, note.severity, note.text) for note in block.notes])
            elif isinstance(block, Prose) and block.tone in {"caution", "small"}:
                _rows(sheet, [(section.title, "", block.text)])


def _rows(sheet: Any, rows: Sequence[Sequence[str]]) -> None:
    for row in rows:
        sheet.append([_cell(text) for text in row])


def _cell(text: str) -> str:
    """A text that no program takes for a formula, without characters that a workbook cannot hold."""
    return str(safe_cell(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "", text)))


def _name(caption: str, taken: Sequence[str]) -> str:
    """Name of a sheet: at most 31 letters, and once."""
    name = base = (_FORBIDDEN.sub(" ", caption).strip() or "-")[:31]
    used, n = {one.lower() for one in taken}, 1
    while name.lower() in used:
        n += 1
        name = f"{base[:28]} {n}"
    return name


def _widen(sheet: Any) -> None:
    from openpyxl.utils import get_column_letter

    for i, column in enumerate(sheet.iter_cols(min_row=3), start=1):
        longest = max((len(str(cell.value)) for cell in column if cell.value is not None), default=8)
        sheet.column_dimensions[get_column_letter(i)].width = min(max(longest + 2, 10), _WIDEST)
