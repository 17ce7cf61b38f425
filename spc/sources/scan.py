"""Where the rows of a text file begin, how many values each has, and on which line it stands."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spc.contracts.rules import make_finding
from spc.errors import DataError
from spc.sources.raw import MAX_CELL

__all__ = ["Records", "scan"]

_NEWLINE, _QUOTE = 10, 34
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Records:
    """Rows of a text file, blank ones left out.

    Attributes
    ----------
    data : bytes
        UTF-8 with newlines only.
    starts, ends : (n,) int array
        Of each row in ``data``, line break excluded.
    widths : (n,) int array
        Number of values.
    lines : (n,) int array
        Line on which the row begins, from 1.
    """

    data: bytes
    starts: IntArray
    ends: IntArray
    widths: IntArray
    lines: IntArray

    @property
    def n(self) -> int:
        """Number of rows, the heading included."""
        return len(self.starts)

    def text(self, row: int) -> str:
        """One row."""
        return self.data[self.starts[row] : self.ends[row]].decode("utf-8")

    def joined(self, rows: IntArray) -> bytes:
        """Chosen rows in order, as one text."""
        if not rows.size:
            return b""
        first, last = int(rows[0]), int(rows[-1])
        unbroken = last - first == rows.size - 1 and bool(
            (self.starts[first + 1 : last + 1] == self.ends[first:last] + 1).all()
        )
        if unbroken:
            return self.data[self.starts[first] : self.ends[last]]
        return b"\n".join(self.data[self.starts[row] : self.ends[row]] for row in rows)


def scan(data: bytes, separator: str, label: str, first_line: int = 1) -> Records:
    r"""Find the rows of a text file.

    Parameters
    ----------
    data : bytes
        UTF-8 with newlines only.
    separator : str
    label : str
        What to call the table in findings.
    first_line : int
        Line number of the first byte.

    Raises
    ------
    DataError
        A quotation mark is never closed, or a cell is larger than any answer.

    Examples
    --------
    >>> records = scan(b'a,b\n1,"x\ny"\n\n2\n', ",", "t")
    >>> records.widths.tolist(), records.lines.tolist()
    ([2, 2, 1], [1, 2, 5])
    """
    buffer = np.frombuffer(data, dtype=np.uint8)
    breaks = np.flatnonzero(buffer == _NEWLINE)
    ends, marks = breaks, buffer == ord(separator)
    quotes = buffer == _QUOTE
    if quotes.any():
        inside = np.bitwise_xor.accumulate(quotes)
        if _has_stray(buffer, quotes, inside, ord(separator)):
            return _scan_slowly(data, separator, label, first_line)
        if inside[-1]:
            opened = int(np.flatnonzero(quotes)[-1])
            raise _open_quote(label, int(np.searchsorted(breaks, opened)) + first_line)
        ends, marks = breaks[~inside[breaks]], marks & ~inside
    if not ends.size or ends[-1] != len(data) - 1:
        ends = np.append(ends, len(data))
    starts = np.concatenate([[0], ends[:-1] + 1])
    places = np.flatnonzero(marks)
    widths = np.searchsorted(places, ends) - np.searchsorted(places, starts) + 1
    lines = np.searchsorted(breaks, starts) + first_line
    _refuse_huge(np.sort(np.concatenate([[-1], places, ends])), breaks, label, first_line)
    return _filled(Records(data, starts, ends, widths, lines))


def _has_stray(
    buffer: npt.NDArray[np.uint8], quotes: npt.NDArray[np.bool_], inside: npt.NDArray[np.bool_], separator: int
) -> bool:
    """Whether a quotation mark opens in the middle of a value, where it is an ordinary character."""
    opening = np.flatnonzero(quotes & inside)
    before = buffer[opening[opening > 0] - 1]
    return bool((~np.isin(before, [separator, _NEWLINE, _QUOTE])).any())


def _refuse_huge(bounds: IntArray, breaks: IntArray, label: str, first_line: int) -> None:
    sizes = np.diff(bounds) - 1
    if sizes.size and sizes.max() > MAX_CELL:
        place = int(bounds[int(sizes.argmax())]) + 1
        raise _huge_cell(label, int(np.searchsorted(breaks, place)) + first_line)


def _filled(records: Records) -> Records:
    """Without blank rows."""
    short = np.flatnonzero((records.widths == 1) & (records.ends - records.starts < 1000))
    blank = [row for row in short if not records.data[records.starts[row] : records.ends[row]].strip()]
    if not blank:
        return records
    keep = np.ones(records.n, dtype=bool)
    keep[blank] = False
    return Records(records.data, records.starts[keep], records.ends[keep], records.widths[keep], records.lines[keep])


def _scan_slowly(data: bytes, separator: str, label: str, first_line: int) -> Records:
    """Row by row, for files with quotation marks inside values."""
    lines = data.split(b"\n")
    offsets = np.concatenate([[0], np.cumsum([len(line) + 1 for line in lines])])
    reader = csv.reader(io.StringIO(data.decode("utf-8"), newline="\n"), delimiter=separator)
    begun, rows = 0, []
    try:
        for cells in reader:
            rows.append((offsets[begun], offsets[reader.line_num] - 1, max(len(cells), 1), begun + first_line))
            begun = reader.line_num
    except csv.Error:
        raise _huge_cell(label, begun + first_line) from None
    starts, ends, widths, numbers = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    if rows and ends[-1] - starts[-1] > MAX_CELL:
        raise _open_quote(label, int(numbers[-1]))
    return _filled(Records(data, starts, np.minimum(ends, len(data)), widths, numbers))


def _open_quote(label: str, line: int) -> DataError:
    finding = make_finding(
        "open_quote",
        label,
        None,
        "a quotation mark that is never closed",
        "quotation marks in pairs",
        "Close it, or remove it.",
        mask=np.array([True]),
        line_offset=line,
    )
    return DataError([finding])


def _huge_cell(label: str, line: int) -> DataError:
    finding = make_finding(
        "huge_cell",
        label,
        None,
        "a cell of more text than any answer",
        f"at most {MAX_CELL:,} characters",
        "Look for a quotation mark that is never closed, or remove the cell.",
        mask=np.array([True]),
        line_offset=line,
    )
    return DataError([finding])
