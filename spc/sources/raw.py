"""What every reader takes and gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from spc.contracts.rules import RowNumbers, make_finding
from spc.errors import Finding

__all__ = ["MAX_CELL", "MAX_CELLS", "MAX_VALUES", "Raw", "Request", "headings"]

MAX_CELL = 131_072
"""Longest text of one cell, in characters; a spreadsheet allows a quarter of it."""

MAX_CELLS = 20_000_000
"""Most cells of a sheet, up to its last row and column: a million rows of twenty columns."""

MAX_VALUES = 250_000_000
"""Most values of a table that is read whole into memory: two gibibytes of numbers."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to read."""

    path: Path
    label: str
    table: str | None = None
    encoding: str | None = None
    columns: frozenset[str] | None = None

    def wants(self, name: str) -> bool:
        """Whether a column is asked for."""
        return self.columns is None or name in self.columns


@dataclass(frozen=True, eq=False)
class Raw:
    """Columns as the file holds them: numbers as numbers, everything else as text."""

    columns: Mapping[str, pd.Series]
    lines: RowNumbers
    findings: tuple[Finding, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    value_labels: Mapping[str, Mapping[Any, str]] = field(default_factory=dict)


def headings(cells: Sequence[object], label: str) -> tuple[list[str], list[Finding]]:
    """Make column names of the cells of a heading: trimmed, all different, with a finding for each repetition.

    Examples
    --------
    >>> names, findings = headings([" q1 ", "q1", ""], "staff.csv")
    >>> names
    ['q1', 'q1 (2)', 'column 3']
    >>> [finding.rule for finding in findings]
    ['duplicate_column']
    """
    names: list[str] = []
    findings = []
    for place, cell in enumerate(cells, start=1):
        text = " ".join(str(cell).split())
        name = text or f"column {place}"
        count = 1
        while name in names:
            count += 1
            name = f"{text or f'column {place}'} ({count})"
        if count == 2:
            findings.append(
                make_finding(
                    "duplicate_column",
                    label,
                    text,
                    f"heading {text!r} more than once",
                    "every heading once",
                    "Rename or remove one of the columns.",
                )
            )
        names.append(name)
    return names, findings


def without_idle(
    columns: dict[str, pd.Series], cells: Sequence[object], label: str
) -> tuple[dict[str, pd.Series], list[Finding]]:
    """Drop columns that have neither heading nor values; name those that have values and no heading."""
    findings = []
    unnamed = [name for name, cell in zip(list(columns), cells, strict=True) if not str(cell).strip()]
    for name in unnamed:
        if _is_blank(columns[name]):
            del columns[name]
        else:
            findings.append(
                make_finding(
                    "unnamed_column",
                    label,
                    name,
                    f"values under no heading ({name})",
                    "a heading for every column",
                    "Name the column or remove it.",
                    severity="warning",
                )
            )
    return columns, findings


def _is_blank(column: pd.Series) -> bool:
    return bool(column.isna().all())
