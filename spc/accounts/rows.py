"""Rows of the ledger, wherever they live, summed by customer and period in DuckDB, exactly.

Money is added as decimals or whole numbers of the smallest unit, never as floating-point numbers, so that neither the
order of the rows nor the number of threads changes a cent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
_LONGEST = 64
_NONE = np.zeros(0)
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
    used = [c for driver in drivers for c in (driver.column, *driver.where) if c is not None]
    require(relation, ["customer", *by, *(["date"] if _dated(spec) else []), *used])
    _refuse_kinds(relation, drivers)
    found = _summed(relation, drivers, spec, ["customer", *by], wide=False)
    if found.pop("d", _NONE).any():
        findings = list(_cell_faults(relation, drivers, spec.digits))
        if findings:
            raise DataError(findings)
        found = _summed(relation, drivers, spec, ["customer", *by], wide=True)
    if np.ma.is_masked(found["p"]):
        raise _without_period(relation, spec)
    values = np.empty((len(found["p"]), len(drivers)), dtype=np.int64)
    for i in range(len(drivers)):
        values[:, i] = found[f"v{i}"]
    texts = tuple(np.asarray(found[f"k{i}"], dtype=object) for i in range(1 + len(by)))
    return Sums(texts, np.asarray(found["p"], dtype=np.int64), values)


def _summed(
    relation: Relation, drivers: Sequence[CostDriver], spec: AccountsSpec, names: Sequence[str], *, wide: bool
) -> dict[str, npt.NDArray[Any]]:
    """Keys, periods and sums in one reading of the table, and in how many rows of each a cell may be no amount.

    Texts become numbers of 18 digits, eight of them decimals, or when ``wide`` of 28, which takes thrice the time.
    """
    source, numbers = _with_numbers(relation, drivers, wide=wide)
    cells = [_sum(relation, driver, spec.digits, numbers) for driver in drivers]
    doubts = [] if wide else list(_doubts(relation, drivers, spec.digits, numbers))
    keys = [f"{_key(relation, name)} AS k{i}" for i, name in enumerate(names)]
    period = period_sql(spec, _day(relation)) if _dated(spec) else "0"
    inner = [*keys, f"{period} AS p", *(f"{text} AS v{i}" for i, (text, _) in enumerate(cells))]
    outer = [*(f"CAST(k{i} AS STRING) AS k{i}" for i in range(len(keys))), "CAST(p AS BIGINT) AS p"]
    outer += [f"coalesce(CAST(v{i} AS BIGINT), 0) AS v{i}" for i in range(len(cells))]
    if doubts:
        inner.append(f"count_if({' OR '.join(doubts)}) AS d")
        outer.append("d")
    places = range(1, len(keys) + 2)  # of the keys and the period
    text = (
        f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} FROM {source} GROUP BY "  # noqa: S608 - quoted
        f"{', '.join(map(str, places))}) ORDER BY {', '.join(f'{i} NULLS LAST' for i in places)}"
    )
    return relation.arrays(text, before=[value for _, own in cells for value in own])


def _dated(spec: AccountsSpec) -> bool:
    return spec.period != "all" or bool(spec.periods)


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


def _sum(relation: Relation, driver: CostDriver, digits: int, numbers: Mapping[str, str]) -> tuple[str, list[str]]:
    """Sum of a line in SQL, and the values of its question marks."""
    condition, values = rows_of(driver)
    only = f" FILTER (WHERE {condition})" if condition else ""
    scale = digits if driver.money else PIECES
    if driver.column is None:
        return f"count(*){only} * {10**scale}", values
    cell, kind = quoted(driver.column), relation.kinds[driver.column]
    if kind in ("FLOAT", "DOUBLE"):
        wide = f"CAST({cell} AS DOUBLE)"
        whole = f"CASE WHEN abs({wide}) <= {_limit(kind, scale, driver.money)!r} THEN round({wide} * {10**scale}) END"
        return f"sum(CAST({whole} AS BIGINT)){only}", values
    if kind == "BOOLEAN":
        cell = f"CAST({cell} AS INTEGER)"
    elif kind not in _WHOLE and not (kind.startswith("DECIMAL") and _decimals(kind) <= scale):
        cell = numbers.get(driver.column) or f"TRY_CAST({cell} AS DECIMAL(28, {scale}))"
        cell = cell if driver.money else f"CAST({cell} AS DECIMAL(28, {scale}))"
    return f"sum({cell}){only} * {10**scale}", values


def _decimals(kind: str) -> int:
    return int(kind.rstrip(")").split(",")[1])


def _refuse_kinds(relation: Relation, drivers: Sequence[CostDriver]) -> None:
    """Raise DataError where a column cannot hold numbers at all."""
    kinds = {driver.column: relation.kinds[driver.column] for driver in drivers if driver.column is not None}
    findings = [
        Finding(relation.label, name, "not_numeric", f"values of type {kind}", "numbers",
                "Store the column as numbers.") for name, kind in kinds.items() if not _numeric(kind)
    ]  # fmt: skip
    if findings:
        raise DataError(findings)


def _columns(drivers: Sequence[CostDriver]) -> dict[str, bool]:
    """Columns that are added up, and whether they hold money."""
    return {d.column: d.money for d in sorted(drivers, key=lambda d: d.money) if d.column is not None}


def _with_numbers(relation: Relation, drivers: Sequence[CostDriver], *, wide: bool) -> tuple[str, dict[str, str]]:
    """The table with texts read as numbers, each once, and what the numbers are called; longer texts are none."""
    texts = [name for name in _columns(drivers) if relation.kinds[name] == "VARCHAR"]
    numbers = {name: quoted(f"{name} as a number") for name in texts}
    if not numbers:
        return "{source}", numbers
    cells = []
    for name, alias in numbers.items():
        cell = quoted(name)
        number = f"TRY_CAST({cell} AS DECIMAL({'28, 10' if wide else '18, 8'}))"
        if wide or relation.way == "spark":  # Java takes minutes over ten million digits
            number = f"CASE WHEN length({cell}) <= {_LONGEST} THEN {number} END"
        cells.append(f"{number} AS {alias}")
    return f"(SELECT *, {', '.join(cells)} FROM {{source}})", numbers  # noqa: S608 - quoted


def _doubts(
    relation: Relation, drivers: Sequence[CostDriver], digits: int, numbers: Mapping[str, str]
) -> Iterator[str]:
    """Conditions in SQL of which one holds wherever a cell is no amount that sums would keep, and else seldom."""
    for name, money in _columns(drivers).items():
        if name in numbers:
            yield f"({numbers[name]} IS NULL) <> ({quoted(name)} IS NULL)"
            if money:
                yield f"{numbers[name]} % {Decimal(1).scaleb(-digits)} <> 0"
        elif _needs_look(relation.kinds[name], money, digits):
            both = _looks(quoted(name), relation.kinds[name], digits if money else None, quoted(name))
            yield from filter(None, both)


def _cell_faults(relation: Relation, drivers: Sequence[CostDriver], digits: int) -> Iterator[Finding]:
    """Which columns hold cells that sums would hide: no numbers, infinite, or parts of the smallest unit."""
    columns, kinds = _columns(drivers), relation.kinds
    source, numbers = _with_numbers(relation, drivers, wide=True)
    looked = {
        name: _looks(quoted(name), kinds[name], digits if money else None, numbers.get(name, quoted(name)))
        for name, money in columns.items() if _needs_look(kinds[name], money, digits)
    }  # fmt: skip
    cells = [f"count_if({condition or 'false'})" for both in looked.values() for condition in both]
    counts = relation.rows(f"SELECT {', '.join(cells)} FROM {source}")[0]  # noqa: S608 - quoted
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


def _looks(cell: str, kind: str, digits: int | None, number: str) -> tuple[str, str]:
    """Whether a cell is no number, and whether an amount has parts of the smallest unit; empty where none can."""
    if kind in ("FLOAT", "DOUBLE"):
        wide = f"CAST({cell} AS DOUBLE)"  # NaN is above every number
        limit = _limit(kind, PIECES if digits is None else digits, digits is not None)
        no_number = f"abs({wide}) > {limit!r}"
        if digits is None:
            return no_number, ""
        slack = 1e-6 if kind == "DOUBLE" else 1e-3
        scaled = f"{wide} * {10**digits}"
        near = f"abs({scaled} - round({scaled})) > {slack} + abs({scaled}) * {4e-16 if kind == 'DOUBLE' else 1.2e-7}"
        return no_number, f"abs({wide}) <= {limit!r} AND {near}"
    no_number = f"{number} IS NULL AND trim({cell}) <> ''" if kind == "VARCHAR" else ""
    return no_number, "" if digits is None else f"{number} <> TRY_CAST({number} AS DECIMAL(28, {digits}))"


def _limit(kind: str, scale: int, money: bool) -> float:
    """Largest number whose parts at this scale are still known."""
    return float(2.0 ** (23 if kind == "FLOAT" and money else 53) / 10**scale)
