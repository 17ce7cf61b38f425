"""From a study document to its tables: every file opened once, every finding of every table at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from spc.contracts import (
    TableSchema,
    check_items,
    check_keys,
    check_table,
    check_units,
    check_waves,
    conform,
    load_schema,
)
from spc.errors import DataError, Finding
from spc.resample import progress
from spc.sources import SourceTable, read_table
from spc.study.columns import canonical_columns, kept_columns
from spc.study.document import StudyDocument, TableSpec, load_document
from spc.study.quality import RESPONSES
from spc.study.study import Study
from spc.survey import Construct

__all__ = ["Checked", "open_study", "read_study"]


@dataclass(frozen=True, eq=False)
class Checked:
    """A document, the tables that could be read, and everything found.

    Attributes
    ----------
    document : StudyDocument or None
        None when the text could not be read at all.
    tables : mapping of str to DataFrame
        With canonical columns and types.
    formats : mapping of str to str
        How each table is stored.
    findings : tuple of Finding
        Document first, then table by table, then what concerns several tables.
    """

    document: StudyDocument | None
    tables: Mapping[str, pd.DataFrame]
    formats: Mapping[str, str]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; warnings may be there."""
        return not any(finding.severity == "error" for finding in self.findings)


def read_study(path: str | Path) -> Study:
    """Read a study: its document, its tables, all of them checked.

    Parameters
    ----------
    path : str or Path
        Of the study document.

    Returns
    -------
    Study
        With the warnings of the check among its ``notes()``.

    Raises
    ------
    DataError
        Anything is wrong; carries every finding of document and tables.

    Examples
    --------
    >>> import tempfile
    >>> from spc.study import init_study
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     study = read_study(init_study(folder))
    >>> sorted(study.tables)
    ['customer_responses', 'customers', 'employee_responses', 'units']
    """
    checked = open_study(path)
    if checked.document is None or not checked.ok:
        raise DataError(checked.findings)
    return Study(checked.document, checked.tables, checked.findings)


def open_study(path: str | Path) -> Checked:
    """Read document and tables and find everything wrong with them; never raises for bad data."""
    document, findings = load_document(path)
    if document is None:
        return Checked(None, MappingProxyType({}), MappingProxyType({}), findings)
    tables, formats, found = {}, {}, list(findings)
    specs = list(document.tables.values())
    for spec in progress(specs, "Reading tables", total=len(specs)):
        try:
            frame, kind, more = _table(spec, document)
        except DataError as error:
            found += [_renamed(finding, spec) for finding in error.findings]
            continue
        tables[spec.name], formats[spec.name] = frame, kind
        found += more
    found += _between(tables, document)
    return Checked(document, MappingProxyType(tables), MappingProxyType(formats), tuple(dict.fromkeys(found)))


def _table(spec: TableSpec, document: StudyDocument) -> tuple[pd.DataFrame, str, list[Finding]]:
    schema = load_schema(spec.name)
    constructs = [c for c in document.constructs if c.table == spec.name]
    items = list(dict.fromkeys(item for c in constructs for item in c.items))
    source = read_table(spec.path, table=spec.table, missing=spec.missing, encoding=spec.encoding)
    findings = [_renamed(finding, spec) for finding in source.findings]
    known = [*schema.names, *items]
    frame, more = canonical_columns(source.frame, spec.columns, table=spec.name, known=known)
    findings += [*more, *_check(frame, schema, constructs, items, spec, source)]
    return conform(kept_columns(frame, known), schema, items=items), source.format, findings


def _check(
    frame: pd.DataFrame,
    schema: TableSchema,
    constructs: Sequence[Construct],
    items: Sequence[str],
    spec: TableSpec,
    source: SourceTable,
) -> Iterator[Finding]:
    yield from check_table(frame, schema, table=spec.name, items=items)
    for construct in constructs:
        yield from check_items(
            frame,
            table=spec.name,
            items=construct.items,
            low=construct.low,
            high=construct.high,
            reverse=construct.reverse,
        )


def _renamed(finding: Finding, spec: TableSpec) -> Finding:
    """The finding under the canonical name of its table."""
    from dataclasses import replace

    return replace(finding, table=spec.name)


def _between(tables: Mapping[str, pd.DataFrame], document: StudyDocument) -> Iterator[Finding]:
    yield from check_keys(tables)
    for name in (table for table in RESPONSES if table in tables):
        yield from check_units(tables[name], table=name, minimum_group=document.disclosure.minimum_group)
    lagged = document.chain is not None and any(lag.waves for lag in document.chain.lags)
    yield from check_waves(tables, lagged=lagged)
    yield from _chain_waves(tables, document)


def _chain_waves(tables: Mapping[str, pd.DataFrame], document: StudyDocument) -> Iterator[Finding]:
    chain = document.chain
    if chain is None:
        return
    waves: set[Any] = {wave for t in tables.values() if "wave" in t for wave in t["wave"].dropna().unique()}
    name = document.path.name
    if any(lag.waves for lag in chain.lags) and len(waves) < 2:
        yield Finding(
            name,
            "chain.lags",
            "lag_without_waves",
            f"lags, and {'one wave' if waves else 'no wave column'} in the tables",
            "tables with a wave column and several waves",
            'Name the column under columns = { wave = "..." }, or take the lags out.',
        )
    if chain.wave is not None and chain.wave not in waves:
        listed = ", ".join(map(str, sorted(waves, key=str))) or "none, no table has a wave column"
        yield Finding(name, "chain.wave", "unknown_wave", f"wave {chain.wave!r}", f"one of the waves: {listed}",
                      "Correct the wave, or leave it out for the latest.")  # fmt: skip
