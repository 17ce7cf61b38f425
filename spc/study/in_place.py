"""Tables of the ledger too long to be read: they stay where they are, and DuckDB looks for what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date

from spc.contracts import TableSchema
from spc.contracts.ledger import BACK, LEDGER
from spc.errors import Finding
from spc.sources.database import quoted
from spc.sources.relation import Relation
from spc.sources.source import FORMATS
from spc.study.document import StudyDocument, TableSpec
from spc.study.sources import open_ledger

__all__ = ["LARGE", "check_in_place", "left_in_place"]

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


Look = tuple[str, str, str, str, str, list[object]]
"""Column, rule, count in SQL, what is expected, hint, and what the question marks stand for."""


def _signs(there: Collection[str]) -> Iterator[Look]:
    """Quantities and returns on the wrong side of zero, as :func:`spc.contracts.ledger.check_ledger` finds them."""
    money, back = "gross" if "gross" in there else "amount", "false"
    above = f"coalesce(TRY_CAST({quoted(money)} AS DOUBLE) > 0, false)" if money in there else "false"
    if "kind" in there:
        words = ", ".join(f"'{word}'" for word in BACK)
        back = f"coalesce(trim(CAST({quoted('kind')} AS STRING)) IN ({words}), false)"
        yield ("amount", "wrong_sign", f"count_if({back} AND {above})", "negative amounts of returns and credit notes",
               "Write what is paid back as a negative amount.", [])  # fmt: skip
    if "quantity" in there:
        below = f"TRY_CAST({quoted('quantity')} AS DOUBLE) < 0 AND NOT {back}"
        below += "" if "kind" in there else f" AND {above}"
        yield ("quantity", "negative_quantity", f"count_if({below})", "quantities above zero, or rows of kind return",
               "Correct the quantity, or say that the goods came back.", [])  # fmt: skip


def _counted(relation: Relation, schema: TableSchema, document: StudyDocument, n: int) -> Iterator[Finding]:
    there, until = relation.kinds, (document.accounts.until if document.accounts else None) or date.today()
    looks: list[Look] = [
        (name, "blank_cell", f"count_if({quoted(name)} IS NULL)", "a value in every row", "Fill it in.", [])
        for name in schema.required
        if name in there
    ]
    if "date" in there:
        late = f"count_if(TRY_CAST({quoted('date')} AS DATE) > ?)"
        looks.append(("date", "future_date", late, f"dates up to {until}", "Correct them, or give until.", [until]))
    if "currency" in there and document.study.currency:
        other = f"count_if(lower(trim(CAST({quoted('currency')} AS STRING))) <> lower(?))"
        coin = document.study.currency
        looks.append(("currency", "mixed_currency", other, f"amounts in {coin}", "Convert them first.", [coin]))
    looks += _signs(there) if relation.label == "transactions" else []
    cells = ", ".join(cell for _, _, cell, *_ in looks)
    if cells:
        counts = relation.rows(f"SELECT {cells} FROM {{source}}", before=[v for look in looks for v in look[5]])[0]  # noqa: S608
        for (name, rule, _, expected, hint, _), count in zip(looks, counts, strict=True):
            if count:
                yield Finding(relation.label, name, rule, f"{count:,} rows", expected, hint, n_rows=int(count))
    keys = [name for name in schema.primary_key if name in there]
    if keys and keys[0] == schema.primary_key[0] and n <= _KEYS:
        listed = ", ".join(map(quoted, keys))
        groups = f"SELECT count(*) AS c FROM {{source}} WHERE {quoted(keys[0])} IS NOT NULL GROUP BY {listed}"  # noqa: S608
        twice = int(relation.rows(f"SELECT coalesce(sum(c), 0) FROM ({groups} HAVING count(*) > 1)")[0][0])  # noqa: S608
        if twice:
            expected = f"one row for each {' and '.join(keys)}"
            hint = "Remove the repeated rows."
            yield Finding(relation.label, keys[0], "duplicate_key", f"{twice:,} rows", expected, hint, n_rows=twice)
