"""Office files that are the same, byte for byte, whenever they are written."""

from __future__ import annotations

import re
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

__all__ = ["without_dates"]

_DATE = re.compile(rb"(<dcterms:(created|modified)[^>]*>)[^<]*(</dcterms:)")
_FIRST = (1980, 1, 1, 0, 0, 0)
"""The earliest date that a zip file can hold."""


def without_dates(written: bytes) -> bytes:
    """An office file with its dates taken out; charts' workbooks inside it likewise.

    Parameters
    ----------
    written : bytes
        A zip file: ``.pptx`` or ``.xlsx``.
    """
    out = BytesIO()
    with ZipFile(BytesIO(written)) as given, ZipFile(out, "w", ZIP_DEFLATED) as clean:
        for name in given.namelist():
            content = given.read(name)
            if name.endswith(".xlsx"):
                content = without_dates(content)
            elif name == "docProps/core.xml":
                content = _DATE.sub(rb"\g<1>1980-01-01T00:00:00Z\g<3>", content)
            clean.writestr(ZipInfo(name, _FIRST), content, ZIP_DEFLATED)
    return out.getvalue()
