"""Who serves whom: from assignments over time to the share that each unit or employee has in each customer."""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError, Finding, UsageError
from spc.linalg import FloatArray
from spc.results import Note

__all__ = ["AssignmentWeights", "Period", "Target", "assignment_weights", "wave_period"]

Target = Literal["unit", "respondent"]
Period = tuple[date, date]
DayArray = npt.NDArray[np.int64]

_YEAR = re.compile(r"^(\d{4})(?:\.0)?$")
_PART = re.compile(r"^(\d{4})[-_ ]?([QHMqhm]?)(\d{1,2})$")
_DAY = re.compile(r"^(\d{4})-(\d{2})-(\d{2})$")
_MONTHS = {"Q": 3, "H": 6, "M": 1, "": 1}
_SAME = ("customer", "target", "who", "weight")
_WHOLE_TABLE = "the whole time of the table"


@dataclass(frozen=True, eq=False)
class AssignmentWeights:
    """The share of each unit, or each employee, in the service of each customer.

    Attributes
    ----------
    customers : tuple
        The C customers.
    targets : tuple
        The K units or employees, sorted.
    target : {"unit", "respondent"}
        What the targets are.
    weights : (C, K) sparse array
        Rows sum to one; rows of customers whom nobody serves are empty.
    period : tuple of dates, or None
        First and last day that count; None for all days of the table.
    messages : tuple of Note
    """

    customers: tuple[Hashable, ...]
    targets: tuple[Hashable, ...]
    target: Target
    weights: Any
    period: Period | None
    messages: tuple[Note, ...] = ()

    @property
    def served(self) -> npt.NDArray[np.bool_]:
        """(C,): customers whom somebody serves."""
        return np.asarray(np.diff(self.weights.indptr) > 0)

    def table(self) -> pd.DataFrame:
        """One row a customer and target with a share: ``customer``, ``unit`` or ``respondent``, ``weight``.

        Confidential: it never leaves as it is.
        """
        entries = self.weights.tocoo()
        rows, columns = entries.row, entries.col
        return pd.DataFrame({
            "customer": [self.customers[i] for i in rows], self.target: [self.targets[k] for k in columns],
            "weight": entries.data,
        })  # fmt: skip

    def majority(self) -> pd.Series:
        """The target with the largest share in each served customer, the first of several; by customer."""
        table = self.table().sort_values("weight", ascending=False, kind="stable")
        return table.drop_duplicates("customer").set_index("customer")[self.target]

    def of(self, customers: Iterable[Hashable]) -> frozenset[Hashable]:
        """Targets with a share in any of the given customers."""
        found = self._places(customers)
        return frozenset(self.targets[k] for k in set(self.weights[found[found >= 0]].indices.tolist()))

    def inside(self, customers: Iterable[Hashable], known: Set[Hashable]) -> npt.NDArray[np.bool_]:
        """(N,): whether every target with a share in each customer is among the known ones."""
        beyond = self.weights @ np.array([target not in known for target in self.targets], dtype=np.float64)
        found = self._places(customers)
        return np.asarray((found < 0) | (beyond[found] == 0.0))

    def _places(self, customers: Iterable[Hashable]) -> npt.NDArray[np.intp]:
        at = {customer: i for i, customer in enumerate(self.customers)}
        return np.array([at.get(customer, -1) for customer in customers], dtype=np.intp)

    def notes(self) -> tuple[Note, ...]:
        """What was left out, and how many customers are served by several."""
        return self.messages

    def rows(self, customers: Sequence[Hashable], places: Mapping[Hashable, int], own: Sequence[Hashable]) -> Any:
        """Shares of given customers, repeats allowed, among targets at given places: (N, J) sparse.

        Parameters
        ----------
        customers : sequence of N
        places : mapping of target to place
        own : sequence of N
            Target that alone counts for a customer whom nobody serves.
        """
        from scipy.sparse import csr_array

        found = self._places(customers)
        served = np.append(self.served, False)[found]
        here = np.flatnonzero(served)
        entries = self.weights[found[here]].tocoo()
        lines, columns = entries.row, entries.col
        alone = np.flatnonzero(~served)
        spots = np.array([places.get(target, -1) for target in self.targets], dtype=np.intp)
        return csr_array(
            (
                np.concatenate([entries.data, np.ones(alone.size)]),
                (
                    np.concatenate([here[lines], alone]),
                    np.concatenate([spots[columns], [places[own[i]] for i in alone.tolist()]]).astype(np.intp),
                ),
            ),
            shape=(len(found), len(places)),
        )


def assignment_weights(
    assignments: pd.DataFrame,
    *,
    target: Target = "unit",
    customers: Iterable[Hashable] | None = None,
    employees: pd.DataFrame | None = None,
    period: Period | None = None,
) -> AssignmentWeights:
    """Turn assignments over time into the share of each unit, or employee, in each customer.

    The share of a target is in proportion to its ``weight`` times the days that its assignments and the period have in
    common. Days that several rows of the same customer, employee, unit and weight name count once. An employee without
    a unit in the table has the unit that ``employees`` states; one with several units there is divided among them.

    Parameters
    ----------
    assignments : DataFrame
        One row an assignment: ``customer``, ``respondent`` (the employee) or ``unit`` or both, and optionally ``from``
        and ``to`` (first and last day; blank means open) and ``weight`` (shares or contacts, any positive scale).
    target : {"unit", "respondent"}
        Whose shares are wanted.
    customers : iterable, optional
        The customers; all of the table when not given.
    employees : DataFrame, optional
        ``respondent`` and ``unit``.
    period : tuple of dates, optional
        First and last day that count, both included; all days of the table when not given.

    Returns
    -------
    AssignmentWeights

    Raises
    ------
    DataError
        A column is absent, dates or weights cannot be read, the last day is before the first, or no assignment leads
        to a target in the period.
    UsageError
        The period ends before it begins.

    Examples
    --------
    >>> table = pd.DataFrame({"customer": ["C1", "C1", "C2"], "unit": ["Oslo", "Rome", "Rome"],
    ...                       "from": ["2026-01-01", "2026-04-11", None], "to": ["2026-04-10", None, None]})
    >>> year = date(2026, 1, 1), date(2026, 12, 31)
    >>> assignment_weights(table, period=year).table().round(3)
      customer  unit  weight
    0       C1  Oslo   0.274
    1       C1  Rome   0.726
    2       C2  Rome   1.000
    """
    if target not in get_args(Target):
        raise UsageError(f"target={target!r}; use one of {', '.join(map(repr, get_args(Target)))}.")
    if period is not None and period[1] < period[0]:
        raise UsageError(f"The period ends on {period[1]}, before it begins on {period[0]}.")
    rows, notes = _rows(assignments.reset_index(drop=True), target, employees)
    wanted = list(dict.fromkeys(rows["customer"] if customers is None else customers))
    rows = rows[rows["customer"].isin(set(wanted))]
    rows = rows.assign(amount=rows["weight"] * _days(rows, period))
    shares = rows[rows["amount"] > 0.0].groupby(["customer", "target"], sort=False)["amount"].sum()
    if shares.empty:
        raise DataError.of(
            "assignments", None, "no_assignment", f"no {target} that serves one of {len(wanted)} customers in "
            f"{_WHOLE_TABLE if period is None else f'the days from {period[0]} to {period[1]}'}",
            "assignments that hold then",
            "Check that customers are written alike in both tables, and the dates.",
        )  # fmt: skip
    targets = sorted(set(shares.index.get_level_values("target")), key=lambda key: (str(type(key)), str(key)))
    weights = _matrix(shares, wanted, targets)
    return AssignmentWeights(
        tuple(wanted), tuple(targets), target, weights, period, (*notes, *_coverage(weights, target))
    )


def _rows(assignments: pd.DataFrame, target: Target, employees: pd.DataFrame | None) -> tuple[pd.DataFrame, list[Note]]:
    """Customer, target, weight, first and last day (open ends are extremes), rows without a target left out."""
    findings = _column_findings(assignments, target, employees)
    if findings:
        raise DataError(findings)
    table = pd.DataFrame({
        "customer": assignments["customer"], "weight": _weights(assignments, findings),
        "first": _day(assignments, "from", findings, blank=np.iinfo(np.int64).min // 4),
        "last": _day(assignments, "to", findings, blank=np.iinfo(np.int64).max // 4),
    })  # fmt: skip
    back = int((table["last"] < table["first"]).sum())
    if back:
        findings.append(Finding(
            "assignments", "to", "wrong_order", f"{back} rows whose to is before from", "from on or before to",
            "Correct the dates, or swap the columns.", n_rows=back,
        ))  # fmt: skip
    if findings:
        raise DataError(findings)
    table["who"] = pd.factorize(assignments["respondent"])[0] if "respondent" in assignments else -1
    table["target"] = assignments.get(target)
    if target == "unit" and employees is not None and "respondent" in assignments:
        table = _with_units(table, assignments["respondent"], employees)
    placed = table["target"].notna() & table["customer"].notna()
    notes = []
    if not placed.all():
        left = int((~placed).sum())
        notes.append(Note.of("no_target", "warning", "assignments", target, left=left, rows=len(placed)))
    return table[placed], notes


def _column_findings(assignments: pd.DataFrame, target: Target, employees: pd.DataFrame | None) -> list[Finding]:
    by_employee = target == "unit" and employees is not None and "respondent" in assignments
    absent = [name for name in ("customer", target) if name not in assignments]
    if by_employee and target in absent:
        absent.remove(target)
    findings = [
        Finding("assignments", name, "missing_column", "no such column", f"a column {name!r}",
                "Name it as data_schemas/assignments.yaml does.")
        for name in absent
    ]  # fmt: skip
    if by_employee and employees is not None:
        findings += [
            Finding("employees", name, "missing_column", "no such column", f"a column {name!r}", "Give respondents "
                    "with their units.")
            for name in ("respondent", "unit") if name not in employees
        ]  # fmt: skip
    return findings


def _weights(assignments: pd.DataFrame, findings: list[Finding]) -> FloatArray:
    if "weight" not in assignments:
        return np.ones(len(assignments))
    weights = pd.to_numeric(assignments["weight"], errors="coerce").to_numpy(dtype=np.float64)
    bad = ~(np.isfinite(weights) & (weights >= 0.0))
    if bad.any():
        findings.append(Finding(
            "assignments", "weight", "below_minimum", f"{int(bad.sum())} rows without a weight of zero or more",
            "a share or a number of contacts in every row", "Fill the column, or leave it out for equal shares.",
            n_rows=int(bad.sum()),
        ))  # fmt: skip
    return np.where(bad, 0.0, weights)


def _day(assignments: pd.DataFrame, column: str, findings: list[Finding], *, blank: int) -> DayArray:
    """Days since 1970."""
    if column not in assignments:
        return np.full(len(assignments), blank)
    given = assignments[column]
    days = pd.to_datetime(
        given, errors="coerce", format=None if pd.api.types.is_datetime64_any_dtype(given) else "ISO8601"
    )
    bad = days.isna() & given.notna()
    if bad.any():
        findings.append(Finding(
            "assignments", column, "wrong_type", f"{given[bad].iloc[0]!r}", "a day written 2026-12-31",
            "Correct the dates.", n_rows=int(bad.sum()),
        ))  # fmt: skip
    numbers = days.to_numpy().astype("datetime64[D]").astype(np.int64)
    return np.where(days.isna().to_numpy(), blank, numbers)


def _with_units(table: pd.DataFrame, respondent: pd.Series, employees: pd.DataFrame) -> pd.DataFrame:
    """Rows without a unit have those of their employee, each an equal part."""
    known = employees[["respondent", "unit"]].dropna().drop_duplicates()
    parts = known.groupby("respondent")["unit"].transform("size")
    known = known.assign(part=1.0 / parts.to_numpy(dtype=np.float64))
    stated = table[table["target"].notna()]
    open_rows = table[table["target"].isna()].drop(columns="target").assign(respondent=respondent)
    found = open_rows.merge(known, on="respondent", how="left")
    found = found.assign(target=found["unit"], weight=found["weight"] * found["part"].fillna(1.0))
    columns = list(table.columns)
    return pd.concat([stated[columns], found[columns]], ignore_index=True) if len(stated) else found[columns]


def _days(rows: pd.DataFrame, period: Period | None) -> FloatArray:
    """Days of each row within the period that no earlier row of its customer, employee, target and weight has."""
    first, last = rows["first"].to_numpy(), rows["last"].to_numpy()
    begin, end = _ends(first, last) if period is None else tuple(_number(day) for day in period)
    frame = rows[[*_SAME]].assign(
        first=np.maximum(first, begin), last=np.minimum(last, end), place=np.arange(len(rows))
    )
    frame = frame[frame["first"] <= frame["last"]].sort_values("first", kind="stable")
    groups = frame.groupby([*_SAME], sort=False)["last"]
    covered = groups.cummax().groupby([frame[name] for name in _SAME], sort=False).shift()
    start = np.maximum(frame["first"].to_numpy(dtype=np.float64), covered.fillna(-np.inf).to_numpy(dtype=float) + 1.0)
    days = np.zeros(len(rows))
    days[frame["place"].to_numpy()] = np.maximum(frame["last"].to_numpy(dtype=np.float64) - start + 1.0, 0.0)
    return days


def _ends(first: DayArray, last: DayArray) -> tuple[int, int]:
    """First and last day that any row names; one day where none does."""
    far = np.iinfo(np.int64).max // 8
    named = np.concatenate([first[np.abs(first) < far], last[np.abs(last) < far]])
    return (int(named.min()), int(named.max())) if named.size else (0, 0)


def _number(day: date) -> int:
    return int(np.datetime64(day, "D").astype(np.int64))


def _matrix(shares: pd.Series, customers: Sequence[Hashable], targets: Sequence[Hashable]) -> Any:
    from scipy.sparse import csr_array

    row = {customer: i for i, customer in enumerate(customers)}
    column = {key: k for k, key in enumerate(targets)}
    i = np.array([row[customer] for customer, _ in shares.index], dtype=np.intp)
    k = np.array([column[key] for _, key in shares.index], dtype=np.intp)
    amount = shares.to_numpy(dtype=np.float64)
    total = np.bincount(i, amount, len(customers))
    return csr_array((amount / total[i], (i, k)), shape=(len(customers), len(targets)))


def _coverage(weights: Any, target: Target) -> list[Note]:
    number = np.diff(weights.indptr)
    several, unserved = int((number > 1).sum()), int((number == 0).sum())
    told = {"customers": len(number), "several": several, "most": int(number.max())}
    notes = [Note.of("several_targets", "info", "assignments", target, **told)]
    if unserved:
        left = {"unserved": unserved, "customers": len(number)}
        notes.append(Note.of("unserved_customers", "warning", "assignments", **left))
    return notes


def wave_period(wave: object) -> Period | None:
    """First and last day of a wave that is a year, half-year, quarter, month or day; None where it is only a number.

    Parameters
    ----------
    wave : object
        ``2026``, ``"2026Q1"``, ``"2026H2"``, ``"2026-03"`` or ``"2026-03-31"``.

    Examples
    --------
    >>> wave_period("2026Q1")
    (datetime.date(2026, 1, 1), datetime.date(2026, 3, 31))
    >>> wave_period(3) is None
    True
    """
    text = str(wave).strip()
    if found := _DAY.match(text):
        year, month, day = map(int, found.groups())
        valid = 1 <= month <= 12 and 1 <= day <= monthrange(year, month)[1]
        return (date(year, month, day),) * 2 if valid else None
    if (found := _YEAR.match(text)) and 1900 <= int(found[1]) <= 2200:
        return date(int(found[1]), 1, 1), date(int(found[1]), 12, 31)
    if not (found := _PART.match(text)) or not 1900 <= int(found[1]) <= 2200:
        return None
    year, length, number = int(found[1]), _MONTHS[found[2].upper()], int(found[3])
    last = length * number
    if not 1 <= last <= 12:
        return None
    return date(year, last - length + 1, 1), date(year, last, monthrange(year, last)[1])
