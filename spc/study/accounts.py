"""What the document says of customer accounts: which lines an account has, and where each comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Literal, get_args

from spc.errors import DataError, Finding
from spc.study.plans import AccountsPlans

__all__ = ["TOTALS", "AccountsSpec", "CostDriver", "PeriodAmounts", "decimal_of"]

Kind = Literal["column", "rate", "pool"]
Side = Literal["revenue", "deduction", "cost"]
Period = Literal["month", "quarter", "year", "all"]
PeriodAmounts = Mapping[str, Decimal]
"""Amounts by period (``"2026"``, ``"2026-Q1"``, ``"2026-01"``); under ``""`` the amount of every period."""

TOTALS = ("net_revenue", "contribution")
"""Lines that are computed from the others."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


def decimal_of(value: Any) -> Decimal:
    """Read a number as it is written: 0.1 is one tenth.

    Examples
    --------
    >>> decimal_of(0.1)
    Decimal('0.1')
    """
    return value if isinstance(value, Decimal) else Decimal(str(value))


def amounts_of(value: Any) -> PeriodAmounts | None:
    """Amounts by period from a number, a mapping of period to number, or None.

    Examples
    --------
    >>> dict(amounts_of(12.5)), dict(amounts_of({"2026": 3}))
    ({'': Decimal('12.5')}, {'2026': Decimal('3')})
    """
    if value is None:
        return None
    given = value if isinstance(value, Mapping) else {"": value}
    return MappingProxyType({str(period): decimal_of(amount) for period, amount in given.items()})


def in_period(amounts: PeriodAmounts, period: str) -> Decimal | None:
    """Amount of a period; None where nothing is said of it."""
    return amounts.get(period, amounts.get(""))


@dataclass(frozen=True)
class CostDriver:
    """One line of an account.

    Attributes
    ----------
    name : str
        One word, such as ``"freight"``.
    kind : {"column", "rate", "pool"}
        ``column`` adds up a column of money. ``rate`` multiplies a quantity (a column's sum, or the number of rows)
        by a rate. ``pool`` divides an amount in proportion to a quantity, to the last cent.
    side : {"revenue", "deduction", "cost"}
        Revenue is added; deductions (discounts, bonus) and costs are taken off. Net revenue is revenue less deductions.
    table : {"transactions", "costs"}
    column : str or None
        Column of money (``column``) or quantity (``rate``, ``pool``); rows are counted when None.
    where : mapping of str to tuple of str
        Only rows in which each of these columns has one of these values.
    rate : mapping of str to Decimal or None
        Money a piece, by period.
    resource_cost, capacity : mapping of str to Decimal or None
        What the resource costs in a period, and how many pieces it could have done: practical capacity. The rate is
        their quotient, and what is not used is shown, never spread over customers.
    amount : mapping of str to Decimal or None
        Money to be divided, by period.
    shares : bool
        The column holds shares, which must sum to one in each period.
    label : str

    Raises
    ------
    DataError
        A rate without rate or capacity, a pool without amount, and the like.

    References
    ----------
    Kaplan & Anderson (2004), Harvard Business Review 82(11), 131-138: rate = cost of capacity / practical capacity.

    Examples
    --------
    >>> CostDriver("service", "rate", table="costs", column="quantity", resource_cost=9000, capacity=12000).per_piece("2026")
    (Fraction(3, 4), None)
    """  # noqa: E501

    name: str
    kind: Kind = "column"
    side: Side = "cost"
    table: Literal["transactions", "costs"] = "transactions"
    column: str | None = None
    where: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    rate: Any = None
    resource_cost: Any = None
    capacity: Any = None
    amount: Any = None
    shares: bool = False
    label: str = ""

    def __post_init__(self) -> None:
        for name in ("rate", "resource_cost", "capacity", "amount"):
            object.__setattr__(self, name, amounts_of(getattr(self, name)))
        object.__setattr__(self, "where", MappingProxyType({k: _texts(v) for k, v in self.where.items()}))
        findings = [Finding("accounts", self.name, *fault) for fault in _faults(self)]
        if findings:
            raise DataError(findings)

    @property
    def sign(self) -> int:
        """1 where the line is added to contribution, −1 where it is taken off."""
        return 1 if self.side == "revenue" else -1

    @property
    def title(self) -> str:
        """How a reader calls the line."""
        return self.label or self.name.replace("_", " ")

    @property
    def money(self) -> bool:
        """Whether the column holds money."""
        return self.kind == "column"

    def per_piece(self, period: str) -> tuple[Any, Decimal | None]:
        """Rate of a period as an exact fraction, and None; or None and the amount to divide."""
        from fractions import Fraction

        if self.kind == "pool":
            return None, in_period(self.amount, period)
        if self.rate is not None:
            rate = in_period(self.rate, period)
            return (None if rate is None else Fraction(rate)), None
        cost, capacity = in_period(self.resource_cost, period), in_period(self.capacity, period)
        return (None if cost is None or capacity is None else Fraction(cost) / Fraction(capacity)), None


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(map(str, values)) if isinstance(values, Sequence) and not isinstance(values, str) else (str(values),)


Fault = tuple[str, str, str, str]


def _faults(driver: CostDriver) -> list[Fault]:
    """Rule, found, expected and hint of everything wrong with a driver."""
    faults: list[Fault] = []
    if not _NAME.match(driver.name) or driver.name in (*TOTALS, "customer", "period"):
        hint = f"The names {', '.join(TOTALS)}, customer and period are taken."
        faults.append(("bad_name", f"the name {driver.name[:60]!r}", "one word of letters, digits and _", hint))
    for name, kinds in (("kind", get_args(Kind)), ("side", get_args(Side)), ("table", ("transactions", "costs"))):
        if getattr(driver, name) not in kinds:
            found = f"{name} {getattr(driver, name)!r}"
            faults.append(("unknown_value", found, f"one of {', '.join(kinds)}", "Correct it."))
    faults += _kind_faults(driver)
    for name in ("rate", "resource_cost", "capacity", "amount"):
        for period, value in (getattr(driver, name) or {}).items():
            if not value.is_finite() or (value <= 0 if name == "capacity" else value < 0 and name != "amount"):
                at = f" in {period}" if period else ""
                faults.append(("outside_range", f"{name} {value}{at}", "a finite, positive number", "Correct it."))
    return faults


def _kind_faults(driver: CostDriver) -> list[Fault]:
    given = {name for name in ("rate", "resource_cost", "capacity", "amount") if getattr(driver, name) is not None}
    faults: list[Fault] = []
    if driver.kind == "column":
        if driver.column is None:
            hint = 'Write column = "...", or take kind = "rate" to count rows.'
            faults.append(("missing_key", "no column", "the column that is added up", hint))
        if given:
            hint = 'Take it out, or write kind = "rate" or kind = "pool".'
            faults.append(
                ("unused_key", f"{', '.join(sorted(given))} beside kind = 'column'", "the column alone", hint)
            )
    elif driver.kind == "rate" and given not in ({"rate"}, {"resource_cost", "capacity"}):
        found = " and ".join(sorted(given)) or "neither rate nor resource cost"
        rule = "driver_without_capacity" if "capacity" not in given and "rate" not in given else "wrong_form"
        hint = "rate is money a piece; otherwise it is resource_cost / capacity, with practical capacity in pieces."
        faults.append((rule, found, "rate, or resource_cost with capacity", hint))
    elif driver.kind == "pool":
        if given != {"amount"}:
            hint = "Write amount = 12000, or one a period: amount = { 2025 = 11000, 2026 = 12000 }."
            faults.append(("missing_key", " and ".join(sorted(given)) or "no amount", "the amount to divide", hint))
        if driver.shares and driver.column is None:
            faults.append(("missing_key", "shares without a column", "the column with the shares", "Name it."))
    return faults


@dataclass(frozen=True)
class AccountsSpec:
    """How accounts are kept.

    Attributes
    ----------
    drivers : tuple of CostDriver
        Lines, in the order of the waterfall. When empty they are taken from the columns the tables have.
    period : {"month", "quarter", "year", "all"}
    year_start : int
        Month with which a year of the books begins; years and quarters are named after both calendar years then.
    periods : mapping of str to date
        First day of each period, in order, where they are none of the calendar (4-4-5 weeks, seasons); ``period`` and
        ``year_start`` say nothing then. The last one is open.
    digits : int
        Decimals of the smallest unit in which amounts are kept: 2 for cents.
    control : mapping of str to mapping
        Totals of the general ledger, by line (or ``net_revenue``, ``contribution``) and period; what is not assigned
        to a customer counts.
    tolerance : Decimal
        Difference from a control total that is let pass.
    until : date or None
        Last day of the books; a later date is an error. The day of the run when None.
    revenue_cuts, ratio_cuts : tuple of float
        Edges of customer groups: net revenue of a period, and contribution ratio. Found from the data when empty.
    overrides : tuple of mapping
        Groups set by hand: customer, group, by, reason.
    plans : AccountsPlans
        Hours of effort, targets, services, figures and their owners.

    Raises
    ------
    DataError
        Two lines of one name, a control total of an unknown line, cuts out of order.
    """

    drivers: tuple[CostDriver, ...] = ()
    period: Period = "year"
    year_start: int = 1
    periods: Mapping[str, date] = field(default_factory=lambda: MappingProxyType({}))
    digits: int = 2
    control: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    tolerance: Decimal = Decimal(0)
    until: date | None = None
    revenue_cuts: tuple[float, ...] = ()
    ratio_cuts: tuple[float, ...] = ()
    overrides: tuple[Mapping[str, str], ...] = ()
    plans: AccountsPlans = field(default_factory=AccountsPlans)

    def __post_init__(self) -> None:
        control = {line: amounts_of(value) for line, value in self.control.items()}
        object.__setattr__(self, "control", MappingProxyType(control))
        object.__setattr__(self, "periods", MappingProxyType(dict(self.periods)))
        object.__setattr__(self, "tolerance", decimal_of(self.tolerance))
        findings = list(_spec_faults(self))
        if findings:
            raise DataError(findings)

    @property
    def lines(self) -> tuple[str, ...]:
        """Names of the lines."""
        return tuple(driver.name for driver in self.drivers)


def _period_faults(spec: AccountsSpec) -> list[Finding]:
    names, days = list(spec.periods), list(spec.periods.values())
    if days != sorted(set(days)):
        found = ", ".join(f"{name} from {day}" for name, day in spec.periods.items())
        return [Finding("accounts", "periods", "wrong_order", found, "rising first days", "Put them in order.")]
    if names != sorted(names):
        hint = 'Number them so that they sort: "2026-P01", "2026-P02".'
        return [Finding("accounts", "periods", "wrong_order", ", ".join(names), "names in the order of time", hint)]
    return []


def _spec_faults(spec: AccountsSpec) -> list[Finding]:
    faults = []
    for name in sorted({n for n in spec.lines if spec.lines.count(n) > 1}):
        faults.append(Finding("accounts", name, "listed_twice", "a line twice", "each line once", "Rename one."))
    if spec.period not in get_args(Period):
        allowed = f"one of {', '.join(get_args(Period))}"
        faults.append(Finding("accounts", "period", "unknown_value", f"{spec.period!r}", allowed, "Correct it."))
    if isinstance(spec.digits, bool) or not isinstance(spec.digits, int) or not 0 <= spec.digits <= 6:
        faults.append(Finding("accounts", "digits", "outside_range", f"{spec.digits!r}", "0 to 6", "2 means cents."))
    if isinstance(spec.year_start, bool) or spec.year_start not in range(1, 13):
        faults.append(
            Finding("accounts", "year_start", "outside_range", f"{spec.year_start!r}", "1 to 12", "7 means July.")
        )
    faults += _period_faults(spec)
    for name in ("revenue_cuts", "ratio_cuts"):
        cuts = list(getattr(spec, name))
        if cuts != sorted(set(cuts)):
            faults.append(Finding("accounts", name, "wrong_order", f"{cuts}", "rising edges", "Put them in order."))
    if spec.drivers and (unknown := [line for line in spec.control if line not in (*spec.lines, *TOTALS)]):
        allowed = f"one of {', '.join((*spec.lines, *TOTALS))}"
        hint = "A control total belongs to a line of the accounts."
        faults.append(Finding("accounts", "control", "unknown_line", f"{unknown[0]!r}", allowed, hint))
    return [*faults, *_plan_faults(spec)]


def _plan_faults(spec: AccountsSpec) -> Iterator[Finding]:
    """Lines that plans speak of and that accounts do not have."""
    plans, costs = spec.plans, [driver.name for driver in spec.drivers if driver.side != "revenue"]
    rates = [driver.name for driver in spec.drivers if not driver.money]
    named = [("effort", line, rates) for line in (plans.effort.hours if plans.effort else ())]
    named += [("targets", target.line, costs) for target in plans.targets]
    named += [("kpis", kpi.line, [*spec.lines, *TOTALS]) for kpi in plans.kpis if kpi.line]
    for part, line, allowed in named:
        if spec.drivers and line not in allowed:
            hint = "Hours are told from lines of kind rate or pool." if part == "effort" else "Correct it."
            yield Finding("accounts", part, "unknown_line", f"{line!r}", f"one of {', '.join(allowed) or 'none'}", hint)
