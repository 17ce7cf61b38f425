"""The check of a study: everything found, and what each table holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from spc.errors import Finding
from spc.study.read import Checked, open_study
from spc.study.study import Study

__all__ = ["CheckReport", "check_study"]

SUMMARY_COLUMNS = ("table", "file", "format", "rows", "columns", "units", "waves")


@dataclass(frozen=True, eq=False)
class CheckReport:
    """What a check of a study found.

    Attributes
    ----------
    path : Path
        Of the document.
    findings : tuple of Finding
        Document first, then table by table, then what concerns several tables.
    tables : DataFrame
        One row a declared table whose file is there: ``table, file, format, rows, columns, units, waves``. Counts of a
        table that could not be read, and of units and waves it does not name, are missing.
    """

    path: Path
    findings: tuple[Finding, ...]
    tables: pd.DataFrame

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that stop a study."""
        return tuple(f for f in self.findings if f.severity == "error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that do not."""
        return tuple(f for f in self.findings if f.severity == "warning")

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; warnings may be there."""
        return not self.errors

    def frame(self) -> pd.DataFrame:
        """The findings as a table, one row a finding."""
        columns = ["severity", "table", "column", "rule", "rows", "n_rows", "found", "expected", "hint"]
        rows = [[getattr(finding, c) for c in columns] for finding in self.findings]
        return pd.DataFrame(rows, columns=columns)


def check_study(path: str | Path, *, more: Callable[[Study], Iterable[Finding]] | None = None) -> CheckReport:
    """Check a study document and all of its tables, and report everything at once.

    Never raises for bad data: what is wrong is among the findings.

    Parameters
    ----------
    path : str or Path
        Of the study document.
    more : callable, optional
        What else to look for in a study without errors.

    Examples
    --------
    >>> check_study("no/such/study.toml").findings[0].rule
    'document_missing'
    """
    checked = open_study(path)
    findings = checked.findings
    if more is not None and checked.document is not None and checked.ok:
        findings = (*findings, *more(Study(checked.document, checked.tables, findings)))
    return CheckReport(Path(path), findings, _summary(checked))


def _summary(checked: Checked) -> pd.DataFrame:
    specs = {} if checked.document is None else checked.document.tables
    rows = [
        {"table": name, "file": spec.file, "format": checked.formats.get(name), **_counts(checked.tables.get(name))}
        for name, spec in specs.items()
    ]
    counts = dict.fromkeys(("rows", "columns", "units", "waves"), "Int64")
    return pd.DataFrame(rows, columns=list(SUMMARY_COLUMNS)).astype(counts)


def _counts(frame: pd.DataFrame | None) -> dict[str, Any]:
    if frame is None:
        return {}
    shared = {key: frame[key].nunique() for key in ("unit", "wave") if key in frame}
    return {
        "rows": len(frame),
        "columns": frame.shape[1],
        "units": shared.get("unit", pd.NA),
        "waves": shared.get("wave", pd.NA),
    }
