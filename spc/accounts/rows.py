"""Rows of the ledger, wherever they live, summed by customer and period in DuckDB, exactly.

Money is added as decimals or whole numbers of the smallest unit, never as floating-point numbers, so that neither the
order of the rows nor the number of threads changes a cent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.accounts.calendar import period_sql
from spc.accounts.money import IntArray
from spc.contracts import nearest_name
from spc.contracts.ledger import BROKEN_HINT
from spc.errors import DataError, Finding
from spc.sources.database import quoted
from spc.sources.relation import Relation, open_relation
from spc.study.in_place import rows_of

if TYPE_CHECKING:
    from spc.study.accounts import AccountsSpec, CostDriver

__all__ = ["PIECES", "Sums", "open_rows", "sum_rows"]

PIECES = 6
"""Decimals to which quantities are kept."""

Data = str | Path | pd.DataFrame | Relation
_WHOLE = frozenset(
    ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT", "BOOLEAN")
)


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of some columns by keys and period; rows without a customer have the key None.

    Attributes
    ----------
    keys : tuple of (n,) object arrays
        Customer first.
    period : (n,) int array
        Number of the period, see :func:`spc.accounts.calendar.period_name`.
    values : (n, k) int array
        In smallest units of money, or in millionths of a piece.
    """

    keys: tuple[npt.NDArray[np.object_], ...]
    period: IntArray
    values: IntArray


def open_rows(data: Data, name: str) -> Relation:
    """Open a table of the ledger whose columns bear their canonical names."""
    return data if isinstance(data, Relation) else open_relation(data, name=name)


def require(relation: Relation, names: Sequence[str]) -> None:
    """Raise DataError unless the table has these columns."""
    findings = []
    for name in dict.fromkeys(names):
        if name not in relation.kinds:
            near = nearest_name(name, relation.kinds, 0.6)
            hint = f"The nearest is {near!r}. " if near else ""
            have = ", ".join(map(repr, list(relation.kinds)[:20]))
            findings.append(
                Finding(relation.label, name, "missing_column", "no such column", f"one of {have}",
                        f"{hint}Name it in the study document: columns = {{ {name} = \"heading in the file\" }}.")
            )  # fmt: skip
    if findings:
        raise DataError(findings)


def sum_rows(relation: Relation, drivers: Sequence[CostDriver], spec: AccountsSpec, *, by: Sequence[str] = ()) -> Sums:
    """Sum the columns of some lines by customer, further keys and period.

    Parameters
    ----------
    relation : Relation
        With columns ``customer``, ``date`` (unless all of time is one period) and those of the lines.
    drivers : sequence of CostDriver
    spec : AccountsSpec
        Periods, and decimals of the smallest unit of money.
    by : sequence of str
        Further columns to keep apart.

    Raises
    ------
    DataError
        A column is absent or holds what is no amount, a row belongs to no period, a sum is too large.
    """
    dated = spec.period != "all" or bool(spec.periods)
    used = [c for driver in drivers for c in (driver.column, *driver.where) if c is not None]
    require(relation, ["customer", *by, *(["date"] if dated else []), *used])
    findings = list(_cell_faults(relation, drivers, spec.digits))
    if findings:
        raise DataError(findings)
    cells = [_sum(relation, driver, spec.digits) for driver in drivers]
    names = ["customer", *by]
    keys = [f"{_key(relation, name)} AS k{i}" for i, name in enumerate(names)]
    period = period_sql(spec, _day(relation)) if dated else "0"
    inner = [*keys, f"{period} AS p", *(f"{text} AS v{i}" for i, (text, _) in enumerate(cells))]
    places = range(1, len(keys) + 2)  # of the keys and the period
    outer = [*(f"CAST(k{i} AS STRING) AS k{i}" for i in range(len(keys))), "CAST(p AS BIGINT) AS p"]
    outer += [f"coalesce(CAST(v{i} AS BIGINT), 0) AS v{i}" for i in range(len(cells))]
    text = (
        f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} FROM {{source}} GROUP BY "  # noqa: S608 - quoted
        f"{', '.join(map(str, places))}) ORDER BY {', '.join(f'{i} NULLS LAST' for i in places)}"
    )
    found = relation.arrays(text, before=[value for _, own in cells for value in own])
    if np.ma.is_masked(found["p"]):
        raise _without_period(relation, spec)
    values = np.empty((len(found["p"]), len(cells)), dtype=np.int64)
    for i in range(len(cells)):
        values[:, i] = found[f"v{i}"]
    texts = tuple(np.asarray(found[f"k{i}"], dtype=object) for i in range(len(keys)))
    return Sums(texts, np.asarray(found["p"], dtype=np.int64), values)


def _without_period(relation: Relation, spec: AccountsSpec) -> DataError:
    day = _day(relation)
    no_date, early = relation.rows(f"SELECT count(*) - count({day}), count({day}) FROM {{source}} "  # noqa: S608 - quoted
                                   f"WHERE {period_sql(spec, day)} IS NULL")[0]  # fmt: skip
    findings = []
    if no_date:
        findings.append(
            Finding(relation.label, "date", "no_date", f"{no_date:,} rows without a date", "a date in every row",
                    'Fill it in, or keep accounts of all time: period = "all" under [accounts].', n_rows=int(no_date))
        )  # fmt: skip
    if early:
        first = next(iter(spec.periods.values()))
        findings.append(
            Finding(relation.label, "date", "before_first_period", f"{early:,} rows before {first}",
                    "rows of the periods that are named", "Name the periods before it under [accounts.periods].",
                    n_rows=int(early))
        )  # fmt: skip
    return DataError(findings)


def _key(relation: Relation, name: str) -> str:
    """A key so that 7 and 7.0 are one, and blanks are missing."""
    cell, kind = quoted(name), relation.kinds[name]
    if kind in ("FLOAT", "DOUBLE"):
        whole = f"CASE WHEN {cell} = floor({cell}) AND abs({cell}) < 9e15 THEN CAST(CAST({cell} AS BIGINT) AS STRING)"
        return f"({whole} WHEN isnan({cell}) THEN NULL ELSE CAST({cell} AS STRING) END)"
    if kind == "VARCHAR":
        return f"nullif(trim({cell}), '')"
    return cell if kind in _WHOLE or kind == "DATE" else f"CAST({cell} AS STRING)"


def _day(relation: Relation) -> str:
    """The date of a row; text must begin as 2026-01-31 does."""
    kind, cell = relation.kinds["date"], quoted("date")
    if kind in ("DATE", "TIMESTAMP"):
        return cell
    if kind != "VARCHAR":
        return f"TRY_CAST({cell} AS DATE)"
    return f"CASE WHEN trim({cell}) LIKE '____-__-__%' THEN TRY_CAST(substr(trim({cell}), 1, 10) AS DATE) END"


def _sum(relation: Relation, driver: CostDriver, digits: int) -> tuple[str, list[str]]:
    """Sum of a line in SQL, and the values of its question marks."""
    condition, values = rows_of(driver)
    only = f" FILTER (WHERE {condition})" if condition else ""
    scale = digits if driver.money else PIECES
    if driver.column is None:
        return f"count(*){only} * {10**scale}", values
    cell, kind = quoted(driver.column), relation.kinds[driver.column]
    if kind in ("FLOAT", "DOUBLE"):
        return f"sum(CAST(round(CAST({cell} AS DOUBLE) * {10**scale}) AS BIGINT)){only}", values
    if kind == "BOOLEAN":
        cell = f"CAST({cell} AS INTEGER)"
    elif kind not in _WHOLE and not (kind.startswith("DECIMAL") and _decimals(kind) <= scale):
        cell = _decimal(cell, kind, scale)
    return f"sum({cell}){only} * {10**scale}", values


def _decimal(cell: str, kind: str, scale: int) -> str:
    """A cell as a decimal number, missing where it is none; a text longer than any amount is none."""
    cell = f"CASE WHEN length({cell}) <= 64 THEN {cell} END" if kind == "VARCHAR" else cell
    return f"TRY_CAST({cell} AS DECIMAL(28, {scale}))"


def _decimals(kind: str) -> int:
    return int(kind.rstrip(")").split(",")[1])


def _cell_faults(relation: Relation, drivers: Sequence[CostDriver], digits: int) -> Iterator[Finding]:
    """What sums would hide: cells that are no numbers, infinite, or hold parts of the smallest unit."""
    columns = {d.column: d.money for d in sorted(drivers, key=lambda d: d.money) if d.column is not None}
    looked = {name: money for name, money in columns.items() if _needs_look(relation.kinds[name], money, digits)}
    kinds = relation.kinds
    texts = [name for name in columns if not _numeric(kinds[name])]
    for name in texts:
        yield Finding(relation.label, name, "not_numeric", f"values of type {kinds[name]}", "numbers",
                      "Store the column as numbers.")  # fmt: skip
    if texts or not looked:
        return
    cells = [text for name, money in looked.items() for text in _looks(name, kinds[name], digits if money else None)]
    counts = relation.rows(f"SELECT {', '.join(cells)} FROM {{source}}")[0]  # noqa: S608 - quoted
    for i, name in enumerate(looked):
        no_number, broken = counts[2 * i], counts[2 * i + 1]
        if no_number:
            found = f"{_cells(no_number)} no finite number, or too large for its smallest unit to be known"
            yield Finding(relation.label, name, "not_finite", found,
                          "numbers", "Write the amount itself, or leave the cell blank.", n_rows=no_number)  # fmt: skip
        if broken:
            yield Finding(
                relation.label, name, "broken_cent", f"{_cells(broken)} not whole in the smallest unit",
                f"at most {digits} decimals", BROKEN_HINT, n_rows=broken,
            )  # fmt: skip


def _cells(n: int) -> str:
    return f"{n:,} cells that are" if n > 1 else "1 cell that is"


def _numeric(kind: str) -> bool:
    return kind in _WHOLE or kind in ("FLOAT", "DOUBLE", "VARCHAR") or kind.startswith("DECIMAL")


def _needs_look(kind: str, money: bool, digits: int) -> bool:
    if kind.startswith("DECIMAL"):
        return money and _decimals(kind) > digits
    return kind in ("FLOAT", "DOUBLE", "VARCHAR")


def _looks(name: str, kind: str, digits: int | None) -> tuple[str, str]:
    """Counts of cells that are no number, and of amounts with parts of the smallest unit."""
    cell = quoted(name)
    if kind in ("FLOAT", "DOUBLE"):
        wide = f"CAST({cell} AS DOUBLE)"  # NaN is above every number
        bits = 23 if kind == "FLOAT" and digits is not None else 53
        limit = 2.0**bits / 10 ** (PIECES if digits is None else digits)
        no_number = f"count_if(abs({wide}) > {limit!r})"
        if digits is None:
            return no_number, "0"
        slack = 1e-6 if kind == "DOUBLE" else 1e-3
        scaled = f"{wide} * {10**digits}"
        near = f"abs({scaled} - round({scaled})) > {slack} + abs({scaled}) * {4e-16 if kind == 'DOUBLE' else 1.2e-7}"
        return no_number, f"count_if(abs({wide}) <= {limit!r} AND {near})"
    wide = cell if kind.startswith("DECIMAL") else _decimal(cell, kind, 10)
    no_number = "0" if kind.startswith("DECIMAL") else f"count_if(trim({cell}) <> '' AND {wide} IS NULL)"
    return no_number, "0" if digits is None else f"count_if({wide} <> {_decimal(cell, kind, digits)})"
