"""Programs that only some formats need."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from spc.errors import MissingExtraError, UnsupportedError

__all__ = ["extra"]


def extra(module: str, package: str, name: str, purpose: str) -> Any:
    """A module of an extra.

    Raises
    ------
    MissingExtraError
        It is not installed.
    UnsupportedError
        It is, and a system library of it is absent.
    """
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
