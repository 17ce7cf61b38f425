"""Tables of the ledger too long to be read: they stay where they are, and DuckDB looks for what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from spc.contracts import TableSchema
from spc.contracts.ledger import BACK, BLANK_HINT, LEDGER
from spc.errors import Finding
from spc.sources.database import quoted
from spc.sources.raw import MAX_CELL
from spc.sources.relation import Relation
from spc.sources.source import FORMATS
from spc.study.accounts import CostDriver
from spc.study.document import StudyDocument, TableSpec
from spc.study.sources import open_ledger

__all__ = ["LARGE", "check_in_place", "left_in_place", "rows_of"]

LARGE = 2_000_000
"""Rows beyond which transactions and costs in one Parquet or DuckDB file are not brought into memory."""
_KEYS = 20_000_000
"""Rows up to which repeated keys are looked for."""


def left_in_place(document: StudyDocument, name: str) -> Relation | None:
    """The table, where it is one of the ledger's and on a cluster, in a folder or longer than :data:`LARGE`."""
    if name not in LEDGER:
        return None
    path, elsewhere = document.tables[name].path, document.sources.engine == "spark"
    if elsewhere or path.is_dir():
        return open_ledger(document, name)
    if FORMATS.get(path.suffix.lower()) not in ("parquet", "duckdb"):
        return None
    relation = open_ledger(document, name)
    return relation if relation.rows("SELECT count(*) FROM {source}")[0][0] > LARGE else None


def check_in_place(
    relation: Relation, schema: TableSchema, spec: TableSpec, document: StudyDocument, columns: Sequence[str]
) -> list[Finding]:
    """What is wrong with a table that stays where it is; without line numbers, since it has none."""
    n = int(relation.rows("SELECT count(*) FROM {source}")[0][0])
    found = f"{n:,} rows, which stay where they are"
    hint = "Sums are taken there. Codes are not compared with other tables; keep a short extract to check that."
    findings = [
        Finding(spec.name, None, "left_in_place", found, f"up to {LARGE:,} to be read", hint, severity="warning")
    ]
    for name in dict.fromkeys((*schema.required, *columns)):
        if name not in relation.kinds:
            hint = f'Name it in the study document: columns = {{ {name} = "heading in the file" }}.'
            findings.append(Finding(spec.name, name, "missing_column", "no such column", "the column", hint))
    if spec.missing:
        hint = "Replace them by missing values in the file, and take `missing` out."
        findings.append(Finding(spec.name, None, "missing_codes", "codes for no answer", "none in a long table", hint))
    return [*findings, *_counted(relation, schema, document, n)]


@dataclass(frozen=True)
class Look:
    """Rows of one fault, counted where they are.

    Attributes
    ----------
    column, rule : str
    count : str
        How many, in SQL.
    expected, hint : str
    values : tuple
        What the question marks stand for.
    severity : {"error", "warning"}
    """

    column: str
    rule: str
    count: str
    expected: str
    hint: str
    values: tuple[object, ...] = ()
    severity: Literal["error", "warning"] = "error"


def _back() -> str:
    """Whether a row takes revenue back, in SQL."""
    words = ", ".join(f"'{word}'" for word in BACK)
    return f"coalesce(trim(CAST({quoted('kind')} AS STRING)) IN ({words}), false)"


def _signs(there: Collection[str]) -> Iterator[Look]:
    """Quantities and returns on the wrong side of zero, as :func:`spc.contracts.ledger.check_ledger` finds them."""
    money, back = "gross" if "gross" in there else "amount", "false"
    above = f"coalesce(TRY_CAST({quoted(money)} AS DOUBLE) > 0, false)" if money in there else "false"
    if "kind" in there:
        back = _back()
        expected = "negative amounts of returns and credit notes"
        hint = "Write what is paid back as a negative amount."
        yield Look("amount", "wrong_sign", f"count_if({back} AND {above})", expected, hint)
    if "quantity" in there:
        below = f"TRY_CAST({quoted('quantity')} AS DOUBLE) < 0 AND NOT {back}"
        below += "" if "kind" in there else f" AND {above}"
        expected, hint = "quantities above zero, or rows of kind return", "Correct it, or say that the goods came back."
        yield Look("quantity", "negative_quantity", f"count_if({below})", expected, hint)


def _cells(relation: Relation, schema: TableSchema, document: StudyDocument) -> Iterator[Look]:
    """Cells that are blank or longer than any text."""
    there = relation.kinds
    for name in schema.required:
        if name in there:
            yield Look(name, "blank_cell", f"count_if({quoted(name)} IS NULL)", "a value in every row", "Fill it in.")
    drivers = () if document.accounts is None else document.accounts.drivers
    own = [d for d in drivers if d.table == relation.label and d.column in there]
    for name in dict.fromkeys(d.column for d in own if d.money and d.column is not None):
        if name not in schema.required:
            rows = [rows_of(d) for d in own if d.column == name and d.money and set(d.where) <= set(there)]
            blank = f"{quoted(name)} IS NULL AND ({' OR '.join(text or 'true' for text, _ in rows) or 'false'})"
            yield Look(name, "blank_amount", f"count_if({blank})", "an amount in every row", BLANK_HINT,
                       tuple(value for _, values in rows for value in values), severity="warning")  # fmt: skip
    for name, kind in there.items():
        if kind == "VARCHAR" and (name in schema.names or name in {d.column for d in own}):
            yield Look(name, "huge_cell", f"count_if(length({quoted(name)}) > {MAX_CELL})",
                       f"at most {MAX_CELL:,} characters", "Remove the text.")  # fmt: skip


def rows_of(driver: CostDriver) -> tuple[str, list[str]]:
    """Which rows a driver adds up, in SQL, and what its question marks stand for; empty where it adds up all."""
    parts = [
        f"trim(CAST({quoted(column)} AS STRING)) IN ({', '.join('?' for _ in allowed)})"
        for column, allowed in driver.where.items()
    ]
    return " AND ".join(parts), [value for allowed in driver.where.values() for value in allowed]


def _counted(relation: Relation, schema: TableSchema, document: StudyDocument, n: int) -> Iterator[Finding]:
    there, until = relation.kinds, (document.accounts.until if document.accounts else None) or date.today()
    looks = list(_cells(relation, schema, document))
    if "date" in there:
        late = f"count_if(TRY_CAST({quoted('date')} AS DATE) > ?)"
        looks.append(
            Look("date", "future_date", late, f"dates up to {until}", "Correct them, or give until.", (until,))
        )
    if "currency" in there and document.study.currency:
        other = f"count_if(lower(trim(CAST({quoted('currency')} AS STRING))) <> lower(?))"
        coin = document.study.currency
        looks.append(Look("currency", "mixed_currency", other, f"amounts in {coin}", "Convert them first.", (coin,)))
    looks += _signs(there) if relation.label == "transactions" else []
    cells = ", ".join(look.count for look in looks)
    if cells:
        counts = relation.rows(f"SELECT {cells} FROM {{source}}", before=[v for look in looks for v in look.values])[0]  # noqa: S608
        for look, count in zip(looks, counts, strict=True):
            if count:
                yield Finding(relation.label, look.column, look.rule, f"{count:,} rows", look.expected, look.hint,
                              n_rows=int(count), severity=look.severity)  # fmt: skip
    if relation.label == "transactions" and {"kind", "transaction"} <= set(there) and n <= _KEYS:
        yield from _credits(relation)
    keys = [name for name in schema.primary_key if name in there]
    if keys and keys[0] == schema.primary_key[0] and n <= _KEYS:
        listed = ", ".join(map(quoted, keys))
        groups = f"SELECT count(*) AS c FROM {{source}} WHERE {quoted(keys[0])} IS NOT NULL GROUP BY {listed}"  # noqa: S608
        twice = int(relation.rows(f"SELECT coalesce(sum(c), 0) FROM ({groups} HAVING count(*) > 1)")[0][0])  # noqa: S608
        if twice:
            expected = f"one row for each {' and '.join(keys)}"
            hint = "Remove the repeated rows."
            yield Finding(relation.label, keys[0], "duplicate_key", f"{twice:,} rows", expected, hint, n_rows=twice)


def _credits(relation: Relation) -> Iterator[Finding]:
    """Returns and credit notes that name no sale of the table."""
    named = f"trim(CAST({quoted('invoice')} AS STRING))" if "invoice" in relation.kinds else "CAST(NULL AS STRING)"
    sold = f"trim(CAST({quoted('transaction')} AS STRING))"
    text = (
        f"WITH s AS (SELECT {named} AS k0, {sold} AS k1, {_back()} AS k2 FROM {{source}}) "  # noqa: S608 - quoted
        "SELECT count(*) FROM (SELECT k0 FROM s WHERE k2) AS c "
        "LEFT JOIN (SELECT DISTINCT k1 FROM s WHERE k1 IS NOT NULL) AS w ON c.k0 = w.k1 WHERE w.k1 IS NULL"
    )
    count = int(relation.rows(text)[0][0])
    if count:
        hint = "They count on their own date; name the sale where it is known."
        yield Finding(relation.label, "invoice", "credit_without_invoice", f"{count:,} returns or credit notes",
                      "the transaction they take back", hint, n_rows=count, severity="warning")  # fmt: skip
