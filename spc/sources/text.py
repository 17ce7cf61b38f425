"""Text files: encoding, separator, ragged rows; the cells go to pandas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.contracts.rules import make_finding
from spc.errors import DataError, Finding
from spc.sources.encoding import to_utf8
from spc.sources.raw import Raw, Request, headings, without_idle
from spc.sources.scan import Records, scan
from spc.sources.settle import is_code

__all__ = ["find_separator", "read_text"]

SEPARATORS = ",;\t|"
SAMPLE_BYTES = 65_536
_MAYBE_CODE = re.compile(rb"(?:^|[,;\t|\"\n ])[+-]?0\d|\d[eE]\d|\d{16}")
_IMPORT_ID = '"ImportId"'
_HINT = re.compile(rb"sep=(.)\n", re.IGNORECASE)


def read_text(request: Request) -> Raw:
    """Read a file of separated values.

    Raises
    ------
    DataError
        No heading, a quotation mark that is never closed, null bytes, or a cell larger than any answer.
    UsageError
        There is no such encoding.
    """
    data, findings = to_utf8(request.path.read_bytes(), request.encoding, request.label)
    given = _HINT.match(data)
    skipped = 0 if given is None else given.end()
    separator = given[1].decode() if given else find_separator(data, request.path.suffix.lower())
    records = scan(data[skipped:], separator, request.label, first_line=1 if given is None else 2)
    if not records.n:
        raise DataError.of(
            request.label, None, "empty_file", f"{request.path.name} is blank", "a heading and rows", "Export it again."
        )
    cells = next(csv.reader(io.StringIO(records.text(0)), delimiter=separator))
    names, found = headings(cells, request.label)
    findings += found
    under = _question_lines(records)
    if under:
        findings.append(_questions(records.lines[1 : under + 1], request.label))
    width = records.widths[under + 1 :]
    ragged = width != len(names)
    if ragged.any():
        findings.append(_ragged(width[ragged], ragged, len(names), records.lines[under + 1 :], request.label))
    kept = np.flatnonzero(~ragged) + under + 1
    columns = _cells(records.joined(kept), names, separator, request)
    columns, found = without_idle(
        columns, [c for c, n in zip(cells, names, strict=True) if n in columns], request.label
    )
    lines = records.lines[kept]
    return Raw(columns, _compact(lines), (*findings, *found))


def find_separator(data: bytes, suffix: str = ".csv") -> str:
    r"""Separator under which most rows have as many cells as the heading.

    Examples
    --------
    >>> find_separator(b"a;b\n3,5;4,2\n1,0;2,5\n")
    ';'
    >>> find_separator(b"a\tb,c\n1\t2\n", ".tsv")
    '\t'
    """
    sample = data[:SAMPLE_BYTES].decode("utf-8", errors="ignore")
    if len(data) > SAMPLE_BYTES:
        sample = sample[: sample.rfind("\n") + 1]
    if suffix in (".tsv", ".tab") and "\t" in sample.split("\n", 1)[0]:
        return "\t"
    if not any(separator in sample.split("\n", 1)[0] for separator in SEPARATORS):
        return next((separator for separator in SEPARATORS if separator not in sample), SEPARATORS[0])
    return max(SEPARATORS, key=lambda separator: _regularity(sample, separator))


def _regularity(sample: str, separator: str) -> tuple[float, int]:
    try:
        rows = [row for row in csv.reader(io.StringIO(sample), delimiter=separator) if row]
    except csv.Error:
        return 0.0, 0
    if not rows or len(rows[0]) < 2:
        return 0.0, 0
    agreeing = sum(len(row) == len(rows[0]) for row in rows[1:])
    return (agreeing + 1) / len(rows), len(rows[0])


def _question_lines(records: Records) -> int:
    """How many lines below the heading Qualtrics has filled with texts and numbers of questions."""
    return next((row for row in (1, 2) if row < records.n and _IMPORT_ID in records.text(row)), 0)


def _questions(lines: npt.NDArray[np.int64], label: str) -> Finding:
    return make_finding(
        "question_lines",
        label,
        None,
        "lines about the questions below the heading, as Qualtrics writes them",
        "answers below the heading",
        "They were left out; nothing to do.",
        mask=np.ones(lines.size, dtype=bool),
        line_offset=lines,
        severity="warning",
    )


def _compact(lines: npt.NDArray[np.int64]) -> int | npt.NDArray[np.int64]:
    """First line alone where the others follow it one by one."""
    if not lines.size:
        return 2
    first = int(lines[0])
    return first if int(lines[-1]) - first == lines.size - 1 else lines


def _ragged(
    widths: npt.NDArray[np.int64],
    ragged: npt.NDArray[np.bool_],
    wanted: int,
    lines: npt.NDArray[np.int64],
    label: str,
) -> Finding:
    sizes = " or ".join(map(str, np.unique(widths)[:4]))
    hint = "Look for separators inside a value (decimal commas, addresses) that need quotation marks around it."
    if ragged.all() and np.unique(widths).size == 1:
        hint = "Every row differs from the heading: a heading is missing or superfluous, often the one of row names."
    return make_finding(
        "ragged_row",
        label,
        None,
        f"rows of {sizes} values",
        f"{wanted} values, as the heading has",
        hint,
        mask=ragged,
        line_offset=lines,
    )


def _cells(data: bytes, names: Sequence[str], separator: str, request: Request) -> dict[str, pd.Series]:
    wanted = [place for place, name in enumerate(names) if request.wants(name)]
    if not data:
        return {names[place]: pd.Series([], dtype=object) for place in wanted}
    frame = _parse(data, names, separator, wanted)
    numeric = [name for name in frame.columns if frame[name].dtype.kind in "iuf"]
    if numeric and _MAYBE_CODE.search(data):
        texts = _parse(data, names, separator, [list(names).index(name) for name in numeric], as_text=True)
        for name in numeric:
            if any(is_code(text.strip()) for text in texts[name].dropna().unique()):
                frame[name] = texts[name]
    return {str(name): frame[name] for name in frame.columns}


def _parse(
    data: bytes, names: Sequence[str], separator: str, wanted: Sequence[int], *, as_text: bool = False
) -> pd.DataFrame:
    frame = pd.read_csv(
        io.BytesIO(data),
        sep=separator,
        header=None,
        names=range(len(names)),
        usecols=list(wanted),
        index_col=False,
        dtype=str if as_text else None,
        keep_default_na=False,
        na_values=[""],
        skip_blank_lines=False,
        low_memory=False,
        encoding="utf-8",
        engine="c",
    )
    return frame.rename(columns=dict(enumerate(names)))
