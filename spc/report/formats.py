"""The formats a report can be written in, by the ending of the file."""

from __future__ import annotations

from pathlib import Path

from spc.errors import UnsupportedError, UsageError
from spc.files import refuse_to_overwrite
from spc.report.blocks import Report
from spc.report.extras import extra
from spc.words import speaking

__all__ = ["targets", "written"]

_FORMATS = (".html", ".htm", ".pdf", ".pptx", ".xlsx")
_MODULES = {".pdf": "weasyprint", ".pptx": "pptx", ".xlsx": "openpyxl"}


def targets(path: Path, *, force: bool) -> tuple[Path, Path]:
    """Where a report goes, and what says beside it what was hidden; known before anything is computed.

    Raises
    ------
    UnsupportedError
        A report cannot be written so.
    MissingExtraError
        The format needs an extra that is not installed.
    UsageError
        ``path`` is a folder, or a file is there already and ``force`` is not given.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Name a file in it.")
    module = _MODULES.get(_ending(path))
    if module is not None:
        extra(module)
    both = path, path.with_name(f"{path.stem}_confidentiality.csv")
    refuse_to_overwrite(both, force=force)
    return both


def _ending(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in _FORMATS:
        raise UnsupportedError(
            f"A report cannot be written as {path.suffix or path.name!r}; name a file that ends in "
            f"{', '.join(_FORMATS[:-1])} or {_FORMATS[-1]}."
        )
    return ending


def written(report: Report, path: Path) -> str | bytes:
    """A report in the format of a file."""
    from spc.report.pdf import pdf
    from spc.report.slides import slides
    from spc.report.workbook import workbook

    ways = {".pdf": pdf, ".pptx": slides, ".xlsx": workbook}
    ending = _ending(path)
    with speaking(report.language):
        return ways[ending](report) if ending in ways else report.html()
