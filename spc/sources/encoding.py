"""Which encoding a text file is in, line by line where need be."""

from __future__ import annotations

import codecs

import numpy as np
import numpy.typing as npt

from spc.contracts.rules import make_finding
from spc.errors import DataError, Finding, UsageError

__all__ = ["to_utf8"]

_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def to_utf8(raw: bytes, encoding: str | None, label: str) -> tuple[bytes, list[Finding]]:
    r"""Text of a file as UTF-8 with plain newlines.

    Without a stated encoding: a byte order mark decides, then UTF-8 where all lines are, then Windows-1252 (a superset
    of what Western exports call Latin-1). Lines in both encodings are an error, and each line is read in its own.

    Parameters
    ----------
    raw : bytes
    encoding : str or None
    label : str
        What to call the table in findings.

    Raises
    ------
    DataError
        The file holds null bytes, or is not in the stated encoding.
    UsageError
        There is no such encoding.

    Examples
    --------
    >>> data, findings = to_utf8("unit\r\nZürich\r\n".encode("cp1252"), None, "units.csv")
    >>> data.decode(), findings[0].rule
    ('unit\nZürich\n', 'encoding_assumed')
    """
    named = encoding or next((name for mark, name in _MARKS if raw.startswith(mark)), None) or _wide(raw)
    findings: list[Finding] = []
    if named is not None:
        raw = _decoded(raw, named, label).encode("utf-8", errors="replace")
    else:
        raw, findings = _by_line(raw, label)
    raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    _refuse_null(raw, label)
    return raw, findings


def _wide(raw: bytes) -> str | None:
    """UTF-16 without a byte order mark: every other byte of plain text is null."""
    head = np.frombuffer(raw[:4096], dtype=np.uint8)
    if head.size < 4:
        return None
    even, odd = float((head[::2] == 0).mean()), float((head[1::2] == 0).mean())
    if max(even, odd) < 0.7 or min(even, odd) > 0.1:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _decoded(raw: bytes, encoding: str, label: str) -> str:
    try:
        return raw.decode(encoding).removeprefix("\ufeff")
    except LookupError:
        raise UsageError(f"There is no encoding {encoding!r}; usual ones are utf-8, cp1252, latin-1, utf-16.") from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        finding = make_finding(
            "wrong_encoding",
            label,
            None,
            f"bytes that are not {encoding}",
            f"text in {encoding}",
            "Leave the encoding out to have it found, or save the file as UTF-8.",
            mask=np.array([True]),
            line_offset=line,
        )
        raise DataError([finding]) from None


def _by_line(raw: bytes, label: str) -> tuple[bytes, list[Finding]]:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        return raw, []
    lines = raw.split(b"\n")
    foreign = np.array([not line.isascii() and not _is_utf8(line) for line in lines])
    native = any(not line.isascii() and not strange for line, strange in zip(lines, foreign, strict=True))
    for place in np.flatnonzero(foreign):
        lines[place] = lines[place].decode("cp1252", errors="replace").encode("utf-8")
    sample = lines[int(foreign.argmax())].decode("utf-8").strip()[:60]
    return b"\n".join(lines), [_foreign(sample, foreign, label, mixed=native)]


def _foreign(sample: str, foreign: npt.NDArray[np.bool_], label: str, *, mixed: bool) -> Finding:
    if mixed:
        return make_finding(
            "mixed_encoding",
            label,
            None,
            f"lines in Windows-1252 among lines in UTF-8, such as {sample!r}",
            "one encoding",
            "Export every part again as UTF-8 before putting them together.",
            mask=foreign,
            line_offset=1,
        )
    return make_finding(
        "encoding_assumed",
        label,
        None,
        f"text that is not UTF-8, read as Windows-1252: {sample!r}",
        "UTF-8",
        "If the letters look right there is nothing to do; else name the encoding, or save the file as UTF-8.",
        mask=foreign,
        line_offset=1,
        severity="warning",
    )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _refuse_null(raw: bytes, label: str) -> None:
    if b"\0" not in raw:
        return
    bad = np.array([b"\0" in line for line in raw.split(b"\n")])
    finding = make_finding(
        "null_byte",
        label,
        None,
        "null bytes",
        "plain text",
        "The file is damaged or not a text file; export it again.",
        mask=bad,
        line_offset=1,
    )
    raise DataError([finding])
