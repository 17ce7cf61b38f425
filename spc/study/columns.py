"""From the columns of a file to the canonical columns of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

import pandas as pd

from spc.contracts import RowNumbers
from spc.errors import DataError, Finding
from spc.study.structure import nearest

__all__ = ["canonical_columns", "joined", "kept_columns", "refuse_titles"]

_TOP = 20
"""Rows in which headings are looked for."""


def canonical_columns(
    frame: pd.DataFrame, columns: Mapping[str, tuple[str, ...]], *, table: str, known: Sequence[str]
) -> tuple[pd.DataFrame, list[Finding]]:
    """Rename and join columns as the document says.

    Parameters
    ----------
    frame : DataFrame
        As read from the file.
    columns : mapping of str to tuple of str
        Canonical column to the columns of the file that make it up.
    table : str
        For the findings.
    known : sequence of str
        Canonical columns and items that the table may have.

    Returns
    -------
    frame : DataFrame
        Mapped columns under their canonical names; a column of the file that bears such a name itself gives way.
    findings : list of Finding
        Sources that the file does not have, targets that the table does not know.

    Examples
    --------
    >>> raw = pd.DataFrame({"BTN": [1022.0, 4.0], "COMPANY": ["HHC", "A"]})
    >>> canonical_columns(raw, {"unit": ("BTN", "COMPANY")}, table="employee_responses", known=["unit"])[0]
           unit
    0  1022-HHC
    1       4-A
    """
    findings: list[Finding] = []
    made: dict[str, pd.Series] = {}
    used: set[str] = set()
    for target, sources in columns.items():
        if target not in known:
            findings.append(_unknown_target(table, target, known))
        elif absent := [s for s in sources if s not in frame.columns]:
            findings += [_absent_source(table, target, s, [str(c) for c in frame.columns]) for s in absent]
        else:
            made[target] = frame[sources[0]] if len(sources) == 1 else joined(frame, sources)
            used.update(sources)
    rest = frame.drop(columns=[c for c in frame.columns if c in made or c in used])
    return pd.concat([pd.DataFrame(made, index=frame.index), rest], axis=1), findings


def refuse_titles(frame: pd.DataFrame, wanted: Set[str], lines: RowNumbers, *, table: str) -> None:
    """Refuse a file whose headings stand below titles or merged cells.

    Parameters
    ----------
    frame : DataFrame
        As read from the file.
    wanted : set of str
        Headings that the document names.
    lines : int or (n,) int array
        Line of each row in the file.
    table : str
        For the finding.

    Raises
    ------
    DataError
        None of the wanted headings is one, and most of them are the values of one of the first rows.

    Examples
    --------
    >>> raw = pd.DataFrame({"Survey 2026": ["shop", "a", "b"], "column 2": ["q1", 3, 4]})
    >>> try:
    ...     refuse_titles(raw, {"shop", "q1"}, 2, table="employee_responses")
    ... except DataError as error:
    ...     error.findings[0].found
    'the headings in line 2'
    """
    if not wanted.isdisjoint(frame.columns):
        return
    for place, row in enumerate(frame.head(_TOP).itertuples(index=False)):
        if 2 * len({str(cell).strip() for cell in row} & wanted) > len(wanted):
            line = lines + place if isinstance(lines, int) else lines[place]
            found, expected = f"the headings in line {line}", "headings in the first line"
            hint = "Delete the lines above them: titles, merged cells."
            raise DataError.of(table, None, "titles_above", found, expected, hint)


def joined(frame: pd.DataFrame, sources: Sequence[str]) -> pd.Series:
    """Texts of several columns joined with ``-``; missing where any of them is."""
    texts = [_text(frame[source]) for source in sources]
    whole = texts[0]
    for text in texts[1:]:
        whole = whole + "-" + text
    return whole


def _text(column: pd.Series) -> pd.Series:
    if pd.api.types.is_float_dtype(column) and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype("string").str.strip()


def kept_columns(frame: pd.DataFrame, wanted: Iterable[str]) -> pd.DataFrame:
    """The wanted columns that are there, in the order they are wanted."""
    return frame[[name for name in dict.fromkeys(wanted) if name in frame.columns]]


def _unknown_target(table: str, target: str, known: Sequence[str]) -> Finding:
    return Finding(
        table,
        target,
        "unknown_column",
        f"columns names {target!r}",
        "a column of the schema or an item of a construct",
        nearest(target, known),
    )


def _absent_source(table: str, target: str, source: str, there: Sequence[str]) -> Finding:
    return Finding(
        table,
        target,
        "missing_column",
        f"no column {source!r} in the file",
        f"the column that holds {target}",
        nearest(source, there),
    )
