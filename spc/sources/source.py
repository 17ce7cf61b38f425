"""One door for every kind of file."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.contracts.rules import RowNumbers, did_you_mean, make_finding
from spc.errors import DataError, Finding, UsageError
from spc.sources.raw import Raw, Request
from spc.sources.settle import settle

__all__ = ["FORMATS", "SourceTable", "existing", "read_table", "settled_table", "unknown_format"]

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        ".csv": "csv",
        ".tsv": "csv",
        ".txt": "csv",
        ".tab": "csv",
        ".parquet": "parquet",
        ".pq": "parquet",
        ".duckdb": "duckdb",
        ".db": "duckdb",
        ".xlsx": "excel",
        ".xlsm": "excel",
        ".xls": "excel",
        ".sav": "spss",
        ".zsav": "spss",
    }
)
"""File suffix to format."""

LARGEST: Mapping[str, int] = MappingProxyType({"csv": 2**30, "excel": 2**28, "spss": 2**30})
"""Longest file that is read whole into memory, in bytes, by format; the others tell their rows first."""


@dataclass(frozen=True, eq=False)
class SourceTable:
    """Rows of a file as they were found, with numbers as numbers.

    Attributes
    ----------
    frame : DataFrame
        One row per row of the file, index 0 to n - 1.
    labels : mapping of str to str
        Wording of a column, where the file holds it.
    value_labels : mapping of str to mapping
        Meaning of the codes of a column, where the file holds it.
    findings : tuple of Finding
        What was odd about the file itself.
    path : Path
    format : {"csv", "parquet", "duckdb", "excel", "spss", "spark"}
    first_row : int
        Line of the first row as an editor or spreadsheet shows it; 1 where a file has no heading line.
    lines : int or (n,) int array
        ``first_row``, or the line of every row where rows and lines do not go together. Pass it on as ``line_offset``.
    """

    frame: pd.DataFrame
    labels: Mapping[str, str]
    value_labels: Mapping[str, Mapping[Any, str]]
    findings: tuple[Finding, ...]
    path: Path
    format: str
    first_row: int = 2
    lines: RowNumbers = field(default=2)


def read_table(
    path: str | Path,
    *,
    table: str | None = None,
    missing: Sequence[str | float] = (),
    missing_in: Collection[str] | None = None,
    encoding: str | None = None,
    columns: Collection[str] | None = None,
    name: str | None = None,
) -> SourceTable:
    r"""Read a table from a file; the suffix says which kind it is.

    What is done to cells, in every format alike:

    - Spaces around text go; an empty cell is missing; a row without any value is left out and named.
    - A text column becomes numbers when every filled cell is a number. Among numbers, ``NA``, ``N/A``, ``NaN``,
      ``null``, ``#N/A`` and ``.`` are missing; among text they stay text.
    - Codes keep their zeros: a column in which any whole number begins with a needless zero ("007") stays text, and
      so does one of digits, ``E`` and digits ("12E4"), or of more digits than a number holds (over 15).
    - ``3,5`` becomes 3.5 and ``1.234,5`` becomes 1234.5, with a warning; a column with both ``3,5`` and ``3.5`` is an
      error, and so is one of nothing but ``1,234``, which has two readings.
    - Dates stay text (ISO) unless the file holds real dates.

    Parameters
    ----------
    path : str or Path
        A file on this machine.
    table : str, optional
        Sheet of a workbook or table of a database; may be left out when there is only one.
    missing : sequence of str or float
        Codes that mean: no answer.
    missing_in : collection of str, optional
        Columns in which those codes count; all when None.
    encoding : str, optional
        Encoding of a text file; found out when None.
    columns : collection of str, optional
        Columns to read; all when None. Names the file lacks are passed over.
    name : str, optional
        What to call the table in findings; the file name when None.

    Returns
    -------
    SourceTable

    Raises
    ------
    DataError
        The file cannot be read as a table at all. What can be read past is among the findings instead.
    MissingExtraError
        The format needs an optional package that is not installed.
    UsageError
        The path is an address, or the encoding does not exist.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "staff.csv")
    ...     _ = path.write_text("unit;q1;q2\n007;3,5;-99\n012;4;2\n")
    ...     source = read_table(path, missing=[-99])
    >>> source.frame
      unit   q1   q2
    0  007  3.5  NaN
    1  012  4.0  2.0
    >>> [finding.rule for finding in source.findings]
    ['decimal_comma']
    """
    place = existing(path, name or Path(path).name)
    kind = FORMATS.get(place.suffix.lower())
    label = name or place.name
    if kind is None:
        raise unknown_format(place, label)
    _refuse_large(place, kind, label)
    request = Request(place, label, table, encoding, None if columns is None else frozenset(columns))
    try:
        raw = _reader(kind)(request)
    except OSError as error:
        raise DataError.of(
            label,
            None,
            "damaged_file",
            f"{place.name} cannot be opened ({error.strerror or error})",
            "a file that may be read",
            "Close it elsewhere, or look at its permissions.",
        ) from None
    return settled_table(raw, request, kind, missing, missing_in)


def _refuse_large(place: Path, kind: str, label: str) -> None:
    size, most = place.stat().st_size, LARGEST.get(kind)
    if most is not None and size > most:
        raise DataError.of(
            label,
            None,
            "huge_file",
            f"{place.name} of {size / 2**20:,.0f} MiB",
            f"at most {most / 2**20:,.0f} MiB",
            "Store the table as Parquet; spc.open_source fits models to tables that stay where they are.",
        )


def settled_table(
    raw: Raw, request: Request, kind: str, missing: Sequence[str | float], missing_in: Collection[str] | None
) -> SourceTable:
    """Table of what a reader found: numbers as numbers, codes for no answer missing, blank rows left out."""
    lines = raw.lines if isinstance(raw.lines, int) else np.array(raw.lines)
    settled, findings = settle(raw.columns, missing, missing_in, request.label, lines)
    frame = pd.DataFrame(settled, copy=False)
    findings = [*raw.findings, *findings]
    blank = _blank_rows(frame)
    if blank is not None:
        findings.append(
            make_finding(
                "blank_row",
                request.label,
                None,
                f"{int(blank.sum())} rows without any value",
                "a value in every row",
                "They are left out; delete them in the file.",
                mask=blank,
                line_offset=lines,
                severity="warning",
            )
        )
        lines = (np.arange(len(blank)) + lines if isinstance(lines, int) else lines)[~blank]
        frame = frame.loc[~blank].reset_index(drop=True)
    if frame.empty:
        findings.append(
            make_finding(
                "empty_file", request.label, None, "a heading and no rows", "at least one row", "Check the export."
            )
        )
    return SourceTable(
        frame=frame,
        labels=MappingProxyType(dict(raw.labels)),
        value_labels=MappingProxyType({k: MappingProxyType(dict(v)) for k, v in raw.value_labels.items()}),
        findings=tuple(findings),
        path=request.path,
        format=kind,
        first_row=lines if isinstance(lines, int) else int(lines[0]) if len(lines) else 2,
        lines=lines if isinstance(lines, int) else _frozen(lines),
    )


def _frozen(lines: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    lines.flags.writeable = False
    return lines


def _blank_rows(frame: pd.DataFrame) -> npt.NDArray[np.bool_] | None:
    blank = np.ones(len(frame), dtype=bool)
    for name in frame.columns:
        blank &= frame[name].isna().to_numpy()
        if not blank.any():
            return None
    return blank if len(frame.columns) else None


def _reader(kind: str) -> Callable[[Request], Raw]:
    if kind == "csv":
        from spc.sources.text import read_text as reader
    elif kind == "excel":
        from spc.sources.excel import read_excel as reader
    elif kind == "spss":
        from spc.sources.spss import read_spss as reader
    elif kind == "parquet":
        from spc.sources.database import read_parquet as reader
    else:
        from spc.sources.database import read_duckdb as reader
    return reader


def existing(path: str | Path, label: str) -> Path:
    """Path of a file that is there and not empty."""
    if "://" in str(path):
        raise UsageError(f"{path} is an address; download the file and give its path.")
    if "\0" in str(path):
        raise UsageError(f"{str(path)!r} is no path: it contains a null character.")
    place = Path(path)
    if place.is_dir():
        raise DataError.of(
            label, None, "absent_file", f"{place.name} is a folder", "a file", "Give the path of a file in it."
        )
    if not place.is_file():
        folder = place.parent
        there = sorted(p.name for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []
        hint = did_you_mean(place.name, there) if folder.is_dir() else f"There is no folder {folder} either. "
        raise DataError.of(label, None, "absent_file", f"no file {place}", "a file", f"{hint}Correct the path.")
    if place.stat().st_size == 0:
        raise DataError.of(label, None, "empty_file", f"{place.name} is empty", "a table", "Export it again.")
    return place


def unknown_format(place: Path, label: str) -> DataError:
    """Error for a suffix that is not in :data:`FORMATS`."""
    known = ", ".join(dict.fromkeys(FORMATS))
    found = f"{place.name} ends in {place.suffix!r}" if place.suffix else f"{place.name} has no suffix"
    return DataError.of(label, None, "unknown_format", found, f"one of {known}", "Export the table to one of these.")
