"""Rows of the ledger, wherever they live, summed by customer and period in DuckDB, exactly.

Money is added as decimals or whole numbers of the smallest unit, never as floating-point numbers, so that neither the
order of the rows nor the number of threads changes a cent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.accounts.money import IntArray
from spc.contracts import nearest_name
from spc.errors import DataError, Finding
from spc.sources.database import quoted
from spc.sources.relation import Relation, open_relation

if TYPE_CHECKING:
    from spc.study import CostDriver

__all__ = ["PIECES", "Sums", "open_rows", "sum_rows"]

PIECES = 6
"""Decimals to which quantities are kept."""

Data = str | Path | pd.DataFrame | Relation
_WHOLE = frozenset(
    ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT", "BOOLEAN")
)
_PERIODS = {
    "all": "0",
    "year": "year({d})",
    "quarter": "year({d}) * 4 + quarter({d}) - 1",
    "month": "year({d}) * 12 + month({d}) - 1",
}


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums of some columns by keys and period; rows without a customer have the key None.

    Attributes
    ----------
    keys : tuple of (n,) object arrays
        Customer first.
    period : (n,) int array
        Number of the period, see :func:`period_name`.
    values : (n, k) int array
        In smallest units of money, or in millionths of a piece.
    """

    keys: tuple[npt.NDArray[np.object_], ...]
    period: IntArray
    values: IntArray


def period_name(code: int, period: str) -> str:
    """Spell the number of a period.

    Examples
    --------
    >>> period_name(2026, "year"), period_name(2026 * 4 + 2, "quarter"), period_name(2026 * 12, "month")
    ('2026', '2026-Q3', '2026-01')
    """
    if period == "all":
        return "all"
    if period == "year":
        return f"{code:04d}"
    each = 4 if period == "quarter" else 12
    year, part = divmod(code, each)
    return f"{year:04d}-Q{part + 1}" if period == "quarter" else f"{year:04d}-{part + 1:02d}"


def open_rows(data: Data, name: str, columns: Mapping[str, Sequence[str]] | None = None) -> Relation:
    """Open a table of the ledger under its canonical column names."""
    relation = data if isinstance(data, Relation) else open_relation(data, name=name)
    return relation.renamed(columns or {})


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


def sum_rows(
    relation: Relation, drivers: Sequence[CostDriver], *, period: str, digits: int, by: Sequence[str] = ()
) -> Sums:
    """Sum the columns of some lines by customer, further keys and period.

    Parameters
    ----------
    relation : Relation
        With columns ``customer``, ``date`` (unless the period is ``"all"``) and those of the lines.
    drivers : sequence of CostDriver
    period : {"month", "quarter", "year", "all"}
    digits : int
        Decimals of the smallest unit of money.
    by : sequence of str
        Further columns to keep apart.

    Raises
    ------
    DataError
        A column is absent or holds what is no amount, a row has no date, a sum is too large.
    """
    used = [c for driver in drivers for c in (driver.column, *driver.where) if c is not None]
    dated = [] if period == "all" else ["date"]
    require(relation, ["customer", *by, *dated, *used])
    cells = [_sum(relation, driver, digits) for driver in drivers]
    findings = list(_cell_faults(relation, drivers, digits))
    if findings:
        raise DataError(findings)
    names = ["customer", *by]
    keys = [f"{_key(relation, name)} AS k{i}" for i, name in enumerate(names)]
    inner = [*keys, f"{_period(relation, period)} AS p", *(f"{text} AS v{i}" for i, (text, _) in enumerate(cells))]
    held = ", ".join(str(i + 1) for i in range(len(keys) + 1))  # places of the keys and the period
    outer = [*(f"CAST(k{i} AS VARCHAR) AS k{i}" for i in range(len(keys))), "CAST(p AS BIGINT) AS p"]
    outer += [f"coalesce(CAST(v{i} AS BIGINT), 0) AS v{i}" for i in range(len(cells))]
    text = (
        f"SELECT {', '.join(outer)} FROM (SELECT {', '.join(inner)} FROM {relation.source} GROUP BY {held}) "  # noqa: S608
        f"ORDER BY {held}"
    )
    values = [value for _, own in cells for value in own]
    with relation.opened() as connection:
        found = connection.execute(text, [*values, *relation.values]).fetchnumpy()
    return _sums(relation, found, len(keys), len(cells))


def _sums(relation: Relation, found: Mapping[str, Any], keys: int, cells: int) -> Sums:
    n = len(found["p"])
    mask = np.ma.getmaskarray(found["p"])
    if mask.any():
        raise DataError.of(
            relation.label, "date", "no_date", "rows without a date", "a date in every row",
            'Fill it in, or keep accounts of all time: period = "all" under [accounts].',
        )  # fmt: skip
    texts = tuple(_object(found[f"k{i}"]) for i in range(keys))
    values = np.empty((n, cells), dtype=np.int64)
    for i in range(cells):
        values[:, i] = np.ma.getdata(found[f"v{i}"])
    return Sums(texts, np.asarray(np.ma.getdata(found["p"]), dtype=np.int64), values)


def _object(values: Any) -> npt.NDArray[np.object_]:
    plain = np.array(np.ma.getdata(values), dtype=object)
    plain[np.ma.getmaskarray(values)] = None
    return plain


def _key(relation: Relation, name: str) -> str:
    """A key so that 7 and 7.0 are one, and blanks are missing."""
    cell, kind = quoted(name), relation.kinds[name]
    if kind in ("FLOAT", "DOUBLE"):
        whole = f"CASE WHEN {cell} = floor({cell}) AND abs({cell}) < 9e15 THEN CAST(CAST({cell} AS BIGINT) AS VARCHAR)"
        return f"({whole} WHEN isnan({cell}) THEN NULL ELSE CAST({cell} AS VARCHAR) END)"
    if kind == "VARCHAR":
        return f"nullif(trim({cell}), '')"
    return cell if kind in _WHOLE or kind == "DATE" else f"CAST({cell} AS VARCHAR)"


def _period(relation: Relation, period: str) -> str:
    if period == "all":
        return "0"
    kind, cell = relation.kinds["date"], quoted("date")
    if kind not in ("DATE", "TIMESTAMP"):
        cell = f"TRY_CAST({cell} AS DATE)"
    return _PERIODS[period].format(d=cell)


def _sum(relation: Relation, driver: CostDriver, digits: int) -> tuple[str, list[str]]:
    """Sum of a line in SQL, and the values of its question marks."""
    condition, values = _condition(driver)
    only = f" FILTER (WHERE {condition})" if condition else ""
    scale = digits if driver.money else PIECES
    if driver.column is None:
        return f"count(*){only} * {10**scale}", values
    cell, kind = quoted(driver.column), relation.kinds[driver.column]
    if kind.startswith("DECIMAL") and (not driver.money or _decimals(kind) <= digits):
        return f"sum({cell}){only} * {10**scale}", values
    if kind in _WHOLE:
        cell = f"CAST({cell} AS INTEGER)" if kind == "BOOLEAN" else cell
        return f"sum({cell}){only} * {10**scale}", values
    return f"sum({_units(cell, kind, scale)}){only}", values


def _condition(driver: CostDriver) -> tuple[str, list[str]]:
    parts, values = [], []
    for column, allowed in driver.where.items():
        marks = ", ".join("?" for _ in allowed)
        parts.append(f"trim(CAST({quoted(column)} AS VARCHAR)) IN ({marks})")
        values += list(allowed)
    return " AND ".join(parts), values


def _decimals(kind: str) -> int:
    return int(kind.rstrip(")").split(",")[1])


def _units(cell: str, kind: str, scale: int) -> str:
    """A cell in smallest units as a whole number."""
    if kind in ("FLOAT", "DOUBLE"):
        return f"CAST(round(CAST({cell} AS DOUBLE) * {10**scale}) AS BIGINT)"
    wide = f"TRY_CAST({cell} AS DECIMAL(28, 10))"
    return f"CAST(round({wide}, {scale}) * {10**scale} AS HUGEINT)"


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
            yield Finding(relation.label, name, "not_finite", f"{no_number:,} cells that are no finite number",
                          "numbers", "Write the amount itself, or leave the cell blank.", n_rows=no_number)  # fmt: skip
        if broken:
            yield Finding(
                relation.label, name, "broken_cent", f"{broken:,} amounts with parts of the smallest unit",
                f"at most {digits} decimals", "Round them, or raise digits under [accounts].", n_rows=broken,
            )  # fmt: skip


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
        wide = f"CAST({cell} AS DOUBLE)"
        bits = 23 if kind == "FLOAT" and digits is not None else 53
        limit = 2.0**bits / 10 ** (PIECES if digits is None else digits)
        no_number = f"count_if(NOT isfinite({wide}) OR abs({wide}) > {limit!r})"
        if digits is None:
            return no_number, "0"
        slack = 1e-6 if kind == "DOUBLE" else 1e-3
        scaled = f"{wide} * {10**digits}"
        near = f"abs({scaled} - round({scaled})) > {slack} + abs({scaled}) * {4e-16 if kind == 'DOUBLE' else 1.2e-7}"
        return no_number, f"count_if(isfinite({wide}) AND {near})"
    wide = cell if kind.startswith("DECIMAL") else f"TRY_CAST({cell} AS DECIMAL(28, 10))"
    no_number = f"count_if({cell} IS NOT NULL AND {wide} IS NULL)"
    if kind == "VARCHAR":
        no_number = f"count_if(trim({cell}) <> '' AND {wide} IS NULL)"
    return no_number, "0" if digits is None else f"count_if({wide} <> round({wide}, {digits}))"
