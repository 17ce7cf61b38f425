"""The formats a report can be written in, by the ending of the file."""

from __future__ import annotations

from pathlib import Path

from spc.errors import UnsupportedError
from spc.report.blocks import Report
from spc.words import speaking

__all__ = ["FORMATS", "check_format", "written"]

FORMATS = (".html", ".htm", ".pdf", ".pptx", ".xlsx")


def check_format(path: Path) -> str:
    """The ending of a file that a report can be written to.

    Raises
    ------
    UnsupportedError
        A report cannot be written so.
    """
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise UnsupportedError(
            f"A report cannot be written as {path.suffix or path.name!r}; name a file that ends in "
            f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}."
        )
    return ending


def written(report: Report, path: Path) -> str | bytes:
    """A report in the format of a file."""
    from spc.report.pdf import pdf
    from spc.report.slides import slides
    from spc.report.workbook import workbook

    ways = {".pdf": pdf, ".pptx": slides, ".xlsx": workbook}
    ending = check_format(path)
    with speaking(report.language):
        return ways[ending](report) if ending in ways else report.html()
