"""Programs that only some formats need."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from spc.errors import MissingExtraError, UnsupportedError

__all__ = ["extra"]

_OF: Mapping[str, tuple[str, str, str]] = {
    "openpyxl": ("openpyxl", "excel", "Writing an Excel file"),
    "pptx": ("python-pptx", "slides", "Writing slides"),
    "weasyprint": ("weasyprint", "pdf", "Writing a PDF file"),
}
"""A module to its package, its extra and what it is for."""


def extra(module: str) -> Any:
    """A module of an extra.

    Raises
    ------
    MissingExtraError
        It is not installed.
    UnsupportedError
        It is, and a system library of it is absent.
    """
    package, name, purpose = _OF[module]
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtraError(package, name, purpose) from None
    except OSError as error:
        first = str(error).splitlines()[0]
        raise UnsupportedError(
            f"{purpose} needs a system library that {package} does not find here ({first}). On Debian or Ubuntu: "
            "apt-get install libpango-1.0-0 libpangoft2-1.0-0."
        ) from None
