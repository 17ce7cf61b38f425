"""From the columns of a file to the canonical columns of a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from spc.errors import Finding
from spc.study.structure import nearest

__all__ = ["canonical_columns", "joined", "kept_columns"]


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
