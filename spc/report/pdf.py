"""A report as PDF: the page as it prints, tagged, with outline and alternative texts."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from spc.errors import UsageError
from spc.report.blocks import Report
from spc.report.extras import extra

__all__ = ["pdf"]

_DRAWING = re.compile(r"<svg\b.*?</svg>", re.DOTALL)
_VARIABLE = re.compile(r"var\(--[\w-]+,\s*([^()]+)\)")
_HALO = re.compile(r"paint-order:stroke;stroke:[^;]*;stroke-width:[^;]*;stroke-linejoin:round;")
_INK = "#1f2933"


def pdf(report: Report) -> bytes:
    """The report as a PDF file.

    Levers that move have no place on paper; the table beside them does.

    Returns
    -------
    bytes
        The same for the same report.

    Raises
    ------
    MissingExtraError
        WeasyPrint is not installed.
    UnsupportedError
        Its system libraries are absent.
    """
    press = extra("weasyprint")
    with _quiet(logging.getLogger("weasyprint")):
        page = press.HTML(string=_painted(report.html()), url_fetcher=_nothing, media_type="print")
        written = page.write_pdf(pdf_identifier=b"service-profit-chain", pdf_variant="pdf/ua-1")
    return bytes(written)


@contextmanager
def _quiet(log: logging.Logger) -> Iterator[None]:
    """Errors only for a while: each property of the screen that paper lacks would be listed."""
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _painted(page: str) -> str:
    """Drawings in fixed colours, letters without halo.

    What prints knows no variables inside a drawing, and paints the halo over the letters.
    """

    def fixed(drawing: re.Match[str]) -> str:
        plain = _HALO.sub("", _VARIABLE.sub(r"\1", drawing[0]))
        return plain.replace("currentColor", _INK).replace("transparent", "none")

    return _DRAWING.sub(fixed, page)


def _nothing(url: str, *args: Any, **kwargs: Any) -> Any:
    """Fetch pictures that are in the page, and nothing else."""
    if not url.startswith("data:"):
        raise UsageError(f"The report asks for {url[:80]}; everything it shows must be in it.")
    from weasyprint import default_url_fetcher

    return default_url_fetcher(url, *args, **kwargs)
