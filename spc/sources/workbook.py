"""What a workbook would unpack to, found out before it is read."""

from __future__ import annotations

import re
import zipfile
from typing import IO

from spc.errors import DataError
from spc.sources.raw import MAX_CELL, MAX_CELLS, Request

__all__ = ["MAX_UNPACKED", "damaged_workbook", "refuse_bomb"]

MAX_UNPACKED = 2**29
"""Most bytes that all parts of a workbook may unpack to."""

_MAX_DIRECTORY = 2**20
_CHUNK = 2**20
_OVERLAP = 256
_CELL = re.compile(rb"<(?:\w+:)?c[\s/>]")
_ROW = re.compile(rb"<(?:\w+:)?row[\s/>]")
_PLACE = re.compile(rb"""\sr\s*=\s*["']([A-Za-z]{1,9})(\d{1,12})["']""")
_ROW_PLACE = re.compile(rb"""<(?:\w+:)?row\s[^>]{0,200}?\br\s*=\s*["'](\d{1,12})["']""")


def refuse_bomb(request: Request) -> None:
    """Refuse a workbook that would fill the memory: by its parts, by the place of its last cell, or by one cell.

    A reader makes room for every cell up to the last one, so that one cell in the far corner of an otherwise empty
    sheet takes as much as a full sheet does.

    Raises
    ------
    DataError
        Says what is too large; or the archive is damaged, or says less than it holds.
    """
    if not zipfile.is_zipfile(request.path):
        return
    try:
        with request.path.open("rb") as file:
            _check_directory(file, request)
        with zipfile.ZipFile(request.path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > MAX_UNPACKED:
                raise _huge(request, f"a workbook that unpacks to {size / 2**20:,.0f} MiB",
                            f"at most {MAX_UNPACKED / 2**20:,.0f} MiB")  # fmt: skip
            for entry in archive.infolist():
                if entry.filename.lower().endswith(".xml"):
                    with archive.open(entry) as part:
                        _check_part(part, request)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        raise damaged_workbook(request, str(error)) from None


def _check_directory(file: IO[bytes], request: Request) -> None:
    """The list of parts is read whole by every reader, so it must be short."""
    size = file.seek(0, 2)
    file.seek(max(0, size - 66_000))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    length = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if length > _MAX_DIRECTORY:
        raise _huge(request, f"a workbook whose list of parts takes {length:,} bytes", f"at most {_MAX_DIRECTORY:,}")


def _check_part(part: IO[bytes], request: Request) -> None:
    rows = columns = numbered = run = wide = 0
    rest = b""
    while True:
        chunk = part.read(_CHUNK)
        run = _longest(chunk, run, request)
        text = rest + chunk
        cut = text.rfind(b"<") if chunk else len(text)
        text, rest = (text[:cut], text[cut:]) if cut >= len(text) - _OVERLAP else (text, b"")
        places = _PLACE.findall(text)
        columns = max(columns, *map(_number, {letters for letters, _ in places}), 0)
        numbered = max(numbered, *(int(row) for _, row in places), *map(int, _ROW_PLACE.findall(text)), 0)
        pieces = _ROW.split(text)
        rows += len(pieces) - 1
        if len(pieces) == 1 or len(places) < len(_CELL.findall(text)):
            counts = [len(_CELL.findall(piece)) for piece in pieces]
            columns = max(columns, wide + counts[0], *counts)
            wide = counts[-1] + (wide if len(counts) == 1 else 0)
        else:
            wide = len(_CELL.findall(pieces[-1]))
        if not chunk:
            break
    if max(rows, numbered) * columns > MAX_CELLS:
        raise _huge(
            request, f"a sheet whose last cell is in row {max(rows, numbered):,} and column {columns:,}",
            f"at most {MAX_CELLS:,} cells", "Delete what stands far outside the table, or store the table as Parquet.",
        )  # fmt: skip


def _longest(chunk: bytes, run: int, request: Request) -> int:
    """Bytes since the last tag; refuses a text longer than any cell, however its letters are written."""
    pieces = chunk.split(b"<")
    longest = max(run + len(pieces[0]), max(map(len, pieces[1:]), default=0))
    if longest > 6 * MAX_CELL:
        raise DataError.of(
            request.label, None, "huge_cell", "a cell of more text than any answer", f"at most {MAX_CELL:,} characters",
            "Remove the cell.",
        )  # fmt: skip
    return run + len(chunk) if len(pieces) == 1 else len(pieces[-1])


def _number(letters: bytes) -> int:
    """Number of a column.

    Examples
    --------
    >>> _number(b"A"), _number(b"XFD")
    (1, 16384)
    """
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _huge(request: Request, found: str, expected: str, hint: str = "Store the table as Parquet.") -> DataError:
    return DataError.of(request.label, None, "huge_file", found, expected, hint)


def damaged_workbook(request: Request, why: str) -> DataError:
    """Error for a file that is no sound workbook."""
    found = f"{request.path.name} cannot be read ({why})"
    return DataError.of(request.label, None, "damaged_file", found, "a workbook", "Save it again as .xlsx.")
