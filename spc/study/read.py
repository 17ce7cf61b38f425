"""From a study document to its tables: every file opened once, every finding of every table at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from spc.contracts import (
    RowNumbers,
    TableSchema,
    check_assignments,
    check_items,
    check_keys,
    check_ledger,
    check_straight_lines,
    check_table,
    check_units,
    check_waves,
    conform,
    load_schema,
)
from spc.errors import DataError, Finding
from spc.resample import progress
from spc.study.columns import canonical_columns, kept_columns, refuse_titles
from spc.study.document import StudyDocument, TableSpec, load_document
from spc.study.in_place import check_in_place, left_in_place
from spc.study.quality import RESPONSES
from spc.study.sources import rows_of_table
from spc.study.structure import nearest
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
    found, read, formats = list(findings), {}, {}
    specs = list(document.tables.values())
    for spec in progress(specs, "Reading tables", total=len(specs)):
        try:
            relation = left_in_place(document, spec.name)
            if relation is not None:
                columns, schema = _account_columns(document, spec.name), load_schema(spec.name)
                found += check_in_place(relation, schema, spec, document, columns)
                formats[spec.name] = relation.way
                continue
            read[spec.name] = _read(spec, document)
        except DataError as error:
            found += error.findings
    found += [finding for table in read.values() for finding in table.findings]
    found += _between(read, document)
    return Checked(
        document,
        MappingProxyType({name: table.frame for name, table in read.items()}),
        MappingProxyType(formats | {name: table.format for name, table in read.items()}),
        tuple(dict.fromkeys(found)),
    )


@dataclass(frozen=True, eq=False)
class _Read:
    """One table with canonical columns and types, and the line of each row in its file."""

    frame: pd.DataFrame
    lines: RowNumbers
    format: str
    findings: tuple[Finding, ...]


def _read(spec: TableSpec, document: StudyDocument) -> _Read:
    schema = _schema(spec.name, document)
    constructs = [c for c in document.constructs if c.table == spec.name]
    items = list(dict.fromkeys(item for c in constructs for item in c.items))
    recommend, brands = _market_columns(document, spec.name)
    extra = _account_columns(document, spec.name)
    source = rows_of_table(document, spec.name)
    if source.frame.empty:
        raise DataError(source.findings)
    mapped = {name for names in spec.columns.values() for name in names}
    refuse_titles(source.frame, {*mapped, *items}, source.lines, table=spec.name)
    known = [*schema.names, *items, *recommend, *brands, *extra, *_covariates(document, spec.name)]
    frame, odd = canonical_columns(source.frame, spec.columns, table=spec.name, known=known)
    used = {None, *mapped, *known}
    findings = (
        *(f for f in source.findings if f.column in used),
        *odd,
        *(f for f in _check(frame, schema, constructs, source.lines) if f.column in used or f.rule not in _IDLE),
    )
    findings = (*findings, *_absent_lines(frame, spec.name, extra))
    there = [name for name in recommend if name in frame and name not in items]
    findings = (*findings, *_off_scale(frame, schema, there, source.lines))
    absent = {finding.column for finding in odd}
    findings = tuple(f for f in findings if f in odd or f.rule not in _ABSENT or f.column not in absent)
    return _Read(
        conform(kept_columns(frame, known), schema, items=[*items, *there]), source.lines, source.format, findings
    )


_PURCHASES = ("repeats", "recency", "age", "spend")


def _schema(name: str, document: StudyDocument) -> TableSchema:
    """Schema of a table; customers say how long they stay, or what they bought, where sales lines are not enough."""
    schema, money = load_schema(name), document.money
    if name != "customers":
        return schema
    bought = money is not None and money.retention_model == "bg-nbd"
    if "transactions" in document.tables and (money is None or bought):
        wanted: tuple[tuple[str, ...], ...] = ()
    else:
        wanted = tuple(names for names in schema.one_of if bought == (names[0] in _PURCHASES))
    fields = schema.fields if bought else tuple(field for field in schema.fields if field.name not in _PURCHASES)
    return replace(schema, one_of=wanted, fields=fields)


_COVARIATES_OF = (*RESPONSES, "units")


def _covariates(document: StudyDocument, table: str) -> tuple[str, ...]:
    """Columns that the chain has as covariates; of a table with respondents or units."""
    return () if document.chain is None or table not in _COVARIATES_OF else document.chain.covariates


def _absent_covariates(tables: Mapping[str, pd.DataFrame], document: StudyDocument) -> Iterator[Finding]:
    known = {column for name in _COVARIATES_OF if name in tables for column in tables[name]}
    for name in () if document.chain is None else document.chain.covariates:
        if name not in known:
            found, expected = f"the covariate {name!r}, which no table has", "a column of the answers or of units"
            hint = "Correct the name, or add the column."
            yield Finding("study", "chain.covariates", "unknown_covariate", found, expected, hint)


def _market_columns(document: StudyDocument, table: str) -> tuple[list[str], list[str]]:
    """Columns of a table that say whom customers recommend, and whose customers they are."""
    money = document.money
    if money is None or table != "customer_responses":
        return [], []
    pairs = (money.recommend, money.recommend_rival), (money.brand_before, money.brand_now)
    recommend, brands = ([name for name in pair if name] for pair in pairs)
    return recommend, brands


def _account_columns(document: StudyDocument, table: str) -> list[str]:
    """Columns of a table that [accounts] names: what its lines are made from, and who was involved."""
    accounts = document.accounts
    if accounts is None:
        return []
    involved = accounts.plans.involvement
    asked = [involved.column] if involved is not None and table == "employee_responses" else []
    own = [driver for driver in accounts.drivers if driver.table == table]
    return list(dict.fromkeys((*(c for d in own for c in (d.column, *d.where) if c is not None), *asked)))


def _absent_lines(frame: pd.DataFrame, table: str, columns: Sequence[str]) -> Iterator[Finding]:
    for name in columns:
        if name not in frame:
            hint = f"{nearest(name, [str(c) for c in frame.columns])} It is named under [accounts]."
            yield Finding(table, name, "missing_column", "no such column", "the column that the accounts name", hint)


def _off_scale(
    frame: pd.DataFrame, schema: TableSchema, recommend: Sequence[str], lines: RowNumbers
) -> Iterator[Finding]:
    """Answers on recommendation that are not from 0 to 10; own and rivals' need not go together."""
    for name in recommend:
        yield from check_items(
            frame, table=schema.name, items=[name], low=0, high=10, line_offset=lines, marks=schema.missing_values
        )


FEWEST_ROWS = 3
"""Fewest rows of a response table: a variance and a correlation need three."""
_IDLE = frozenset({"constant_column", "empty_column"})
"""What is no finding in a column that nothing reads."""
_ABSENT = frozenset({"missing_column", "missing_item", "recommended_column"})


def _check(
    frame: pd.DataFrame, schema: TableSchema, constructs: Sequence[Construct], lines: RowNumbers
) -> Iterator[Finding]:
    items = list(dict.fromkeys(item for c in constructs for item in c.items))
    yield from check_table(frame, schema, table=schema.name, line_offset=lines, items=items)
    for construct in constructs:
        yield from check_items(
            frame,
            table=schema.name,
            items=construct.items,
            low=construct.low,
            high=construct.high,
            reverse=construct.reverse,
            line_offset=lines,
            marks=schema.missing_values,
        )
    if schema.name in RESPONSES:
        if len(frame) < FEWEST_ROWS:
            yield _too_few(frame, schema.name)
        answered = [item for item in items if item in frame]
        yield from check_straight_lines(frame, table=schema.name, items=answered)


def _too_few(frame: pd.DataFrame, table: str) -> Finding:
    rows = f"{len(frame)} row{'s' if len(frame) > 1 else ''}"
    hint = "Nothing can be told from so few answers; check whether the export is whole."
    return Finding(table, None, "too_few_rows", rows, f"at least {FEWEST_ROWS} answers", hint)


def _between(read: Mapping[str, _Read], document: StudyDocument) -> Iterator[Finding]:
    tables = {name: table.frame for name, table in read.items()}
    lines = {name: table.lines for name, table in read.items()}
    least = document.disclosure.minimum_group
    yield from check_keys(tables, line_offsets=lines)
    yield from check_assignments(tables, line_offsets=lines)
    yield from _ledger(tables, document, lines)
    for name in (table for table in RESPONSES if table in tables):
        yield from check_units(tables[name], table=name, minimum_group=least, line_offset=lines[name])
    lagged = document.chain is not None and any(lag.waves for lag in document.chain.lags)
    yield from check_waves(tables, lagged=lagged, line_offsets=lines)
    yield from _chain_waves(tables, document)
    yield from _merging(tables, document)
    yield from _absent_covariates(tables, document)
    yield from _market(tables, document)


def _ledger(
    tables: Mapping[str, pd.DataFrame], document: StudyDocument, lines: Mapping[str, RowNumbers]
) -> Iterator[Finding]:
    spec = document.accounts
    summed: dict[str, list[tuple[str, Mapping[str, tuple[str, ...]]]]] = {}
    if spec is not None:
        for driver in spec.drivers:
            if driver.money and driver.column is not None:
                summed.setdefault(driver.table, []).append((driver.column, driver.where))
    yield from check_ledger(
        tables,
        currency=document.study.currency,
        until=None if spec is None else spec.until,
        money={table: [column for column, _ in found] for table, found in summed.items()},
        summed=summed,
        digits=2 if spec is None else spec.digits,
        line_offsets=lines,
    )


def _market(tables: Mapping[str, pd.DataFrame], document: StudyDocument) -> Iterator[Finding]:
    """Columns of the customers' answers that [money] names, each with its fellow."""
    answers = tables.get("customer_responses", pd.DataFrame())
    for pair in (("recommend", "recommend_rival"), ("brand_before", "brand_now")):
        given = {key: str(getattr(document.money, key, "")) for key in pair}
        for key, column in given.items():
            if column and column not in answers:
                found = f"{column!r}, and no such column in the answers of customers"
                hint = "Correct the name, or leave the key out."
                expected = "a column of [tables.customer_responses]"
                yield Finding(document.path.name, f"money.{key}", "missing_column", found, expected, hint)
            if not column and any(given.values()):
                hint = f"{' and '.join(pair)} are read together; name both or none."
                yield Finding(document.path.name, f"money.{key}", "missing_key", "nothing", "a column", hint)


def _merging(tables: Mapping[str, pd.DataFrame], document: StudyDocument) -> Iterator[Finding]:
    into = document.disclosure.merge_into
    units = tables.get("units", pd.DataFrame())
    if into and not (into in units and units[into].notna().any()):
        found = f"{into!r}, and no such column in the units table"
        hint = "Name the column under [tables.units], or take merge_into out: small units are hidden then."
        yield Finding(document.path.name, "disclosure.merge_into", "missing_column", found,
                      f"a units table that says the {into} of each unit", hint)  # fmt: skip


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
