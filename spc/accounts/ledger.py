"""A profit-and-loss for every customer and period, in which every cent of the ledger has its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.accounts.calendar import period_name
from spc.accounts.money import IntArray, apportion, cents_of, in_money, times_rate
from spc.accounts.rows import PIECES, Sums, open_rows, sum_rows
from spc.errors import DataError, Finding, UsageError
from spc.linalg import FloatArray
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sources.database import quoted
from spc.sources.relation import Relation
from spc.study.accounts import TOTALS, AccountsSpec, CostDriver, in_period

if TYPE_CHECKING:
    from spc.study import Study

__all__ = ["ControlTotal", "CustomerAccounts", "book_findings", "customer_accounts", "default_drivers"]

Tables = Mapping[str, str | Path | pd.DataFrame | Relation]
Texts = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class ControlTotal:
    """A total of the general ledger and what the accounts come to, in smallest units.

    Attributes
    ----------
    line : str
    period : str
        Empty where it is the total of all periods.
    expected, found : int
    """

    line: str
    period: str
    expected: int
    found: int

    @property
    def difference(self) -> int:
        """What the accounts are above the ledger."""
        return self.found - self.expected


@dataclass(frozen=True, eq=False, repr=False)
class CustomerAccounts(Shown):
    """One account a customer and period, and what belongs to no customer.

    Attributes
    ----------
    spec : AccountsSpec
    currency : str
    customers, periods : (n,) arrays of str
        Whose account it is, and of which period; sorted by both.
    cents : (n, k) int array
        Lines in smallest units, each as its own side says: costs are positive.
    quantities : (n, k) int array
        Millionths of a piece behind rates and pools; zero elsewhere.
    unassigned : (p, k) int array
        What rows without a customer, and pools nobody had a share in, come to, by period of ``all_periods``.
    unused : (p, k) int array
        Cost of capacity that was not used (negative where more was used than there was).
    all_periods : tuple of str
    controls : tuple of ControlTotal
    attributes : DataFrame
        Index customer; unit, segment, seller and the like, as far as known.
    provenance : Provenance
    sources : mapping of str to Relation
        The tables, to be read again by the bridge.
    """

    spec: AccountsSpec
    currency: str
    customers: Texts
    periods: Texts
    cents: IntArray
    quantities: IntArray
    unassigned: IntArray
    unused: IntArray
    all_periods: tuple[str, ...]
    controls: tuple[ControlTotal, ...]
    attributes: pd.DataFrame
    provenance: Provenance
    sources: Mapping[str, Relation] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def __post_init__(self) -> None:
        for name in ("customers", "periods", "cents", "quantities", "unassigned", "unused"):
            getattr(self, name).flags.writeable = False

    @property
    def kind(self) -> str:
        """``"accounts"``."""
        return "accounts"

    @property
    def lines(self) -> tuple[str, ...]:
        """Names of the lines, in the order of the waterfall."""
        return self.spec.lines

    @property
    def signs(self) -> IntArray:
        """1 for lines that are added to contribution, −1 for those taken off."""
        return np.array([driver.sign for driver in self.spec.drivers], dtype=np.int64)

    @property
    def net_revenue(self) -> IntArray:
        """Revenue less deductions of every account, in smallest units, shape (n,)."""
        return net_revenue(self.cents, self.spec.drivers)

    @property
    def contribution(self) -> IntArray:
        """Net revenue less costs of every account, in smallest units, shape (n,)."""
        return np.asarray(self.cents @ self.signs)

    @property
    def contribution_ratio(self) -> FloatArray:
        """Contribution over net revenue; NaN where there is no positive net revenue."""
        return ratio(self.contribution, self.net_revenue)

    def money(self, cents: Any) -> FloatArray:
        """Smallest units in money."""
        return in_money(np.asarray(cents), self.spec.digits)

    def at(self, period: str | None) -> CustomerAccounts:
        """The accounts of one period; all of them when None."""
        if period is None:
            return self
        if period not in self.all_periods:
            raise UsageError(f"There is no period {period!r}; there are {', '.join(self.all_periods)}.")
        rows = self.periods == period
        here = [self.all_periods.index(period)]
        kept = {name: getattr(self, name)[rows] for name in ("customers", "periods", "cents", "quantities")}
        controls = tuple(c for c in self.controls if c.period == period)
        return replace(self, **kept, unassigned=self.unassigned[here], unused=self.unused[here],
                       all_periods=(period,), controls=controls)  # fmt: skip

    def attribute(self, name: str) -> Texts:
        """A property of the customer of each account; None where it is not known."""
        if name == "customer":
            return self.customers
        if name == "period":
            return self.periods
        if name not in self.attributes:
            have = ", ".join(("customer", "period", *map(str, self.attributes.columns)))
            raise UsageError(f"Nothing is known of the {name} of customers; accounts can be told apart by {have}.")
        return np.asarray(self.attributes[name].reindex(self.customers).to_numpy(dtype=object))

    def tidy(self) -> pd.DataFrame:
        """One row a line and period, the period in ``group``; ``std_all`` is the share of net revenue.

        ``kind`` is ``account`` (all customers' accounts), ``unassigned``, ``unused_capacity``, ``total`` (the three
        together, as the general ledger has it) or ``control`` (what the ledger says).
        """
        return tidy_frame(list(_rows(self)))

    def glance(self) -> pd.DataFrame:
        """One row: how many accounts, what they come to, what is left over, and how far off the control totals are."""
        revenue, contribution = int(self.net_revenue.sum()), int(self.contribution.sum())
        left = int((self.unassigned @ self.signs).sum())
        row = {
            "customers": len(set(self.customers)) if len(self.all_periods) > 1 else len(self.customers),
            "accounts": len(self.customers),
            "periods": len(self.all_periods),
            "period": self.spec.period,
            "lines": len(self.lines),
            "currency": self.currency,
            "net_revenue": float(self.money(revenue)),
            "contribution": float(self.money(contribution)),
            "contribution_ratio": contribution / revenue if revenue > 0 else float("nan"),
            "unprofitable": int((self.contribution < 0).sum()),
            "unassigned": float(self.money(left)),
            "unused_capacity": float(self.money(self.unused.sum())),
            "control_totals": len(self.controls),
            "control_difference": float(self.money(max((abs(c.difference) for c in self.controls), default=0))),
        }
        return pd.DataFrame([row])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the accounts."""
        return tuple(_notes(self))

    def augment(self) -> pd.DataFrame:
        """One row an account: customer, period, every line, net_revenue, contribution in money, contribution_ratio."""
        lines = {name: self.money(self.cents[:, i]) for i, name in enumerate(self.lines)}
        return pd.DataFrame(
            {
                "customer": self.customers,
                "period": self.periods,
                **lines,
                "net_revenue": self.money(self.net_revenue),
                "contribution": self.money(self.contribution),
                "contribution_ratio": self.contribution_ratio,
            }
        )


def net_revenue(cents: IntArray, drivers: Sequence[CostDriver]) -> IntArray:
    """Revenue less deductions of rows of lines, in smallest units."""
    weights = [{"revenue": 1, "deduction": -1, "cost": 0}[driver.side] for driver in drivers]
    return np.asarray(cents @ np.array(weights, dtype=np.int64))


def ratio(contribution: IntArray, revenue: IntArray) -> FloatArray:
    """Contribution over net revenue, NaN where that is not positive."""
    parts = np.full(len(revenue), np.nan)
    np.divide(contribution, revenue, out=parts, where=revenue > 0)
    return parts


def customer_accounts(
    study: Study | Tables | pd.DataFrame | str | Path,
    *,
    spec: AccountsSpec | None = None,
    currency: str | None = None,
) -> CustomerAccounts:
    """Keep an account for every customer and period, from gross revenue to contribution.

    Parameters
    ----------
    study : Study, mapping, DataFrame or path
        A study with transactions; or tables by name (``transactions``, ``costs``, ``customers``, ``assignments``), each
        a DataFrame or the path of a Parquet file or folder, DuckDB file or text file; or transactions alone.
    spec : AccountsSpec, optional
        Lines and period; those of the study's ``[accounts]``, or taken from the columns, when None.
    currency : str, optional
        For the labels; the study's own when None.

    Returns
    -------
    CustomerAccounts

    Raises
    ------
    DataError
        A column is absent or holds what is no amount; shares do not sum to one; the accounts do not come to a control
        total of the general ledger.
    UsageError
        There are no transactions.

    Notes
    -----
    Amounts are added as whole numbers of the smallest currency unit. Each customer's cost at a rate is quantity × rate
    rounded to that unit, and what a resource costs beyond it is unused capacity; a pool is divided by largest
    remainders. So the accounts, the unassigned remainder and unused capacity always sum to the ledger exactly.

    Examples
    --------
    >>> sales = pd.DataFrame({"customer": ["a", "a", "b", None], "date": "2026-03-01", "amount": [10.0, 5.5, 7.0, 1.0],
    ...                       "minutes": [30, 0, 10, 0]})
    >>> lines = AccountsSpec(drivers=(
    ...     CostDriver("revenue", side="revenue", column="amount"),
    ...     CostDriver("service", "rate", column="minutes", resource_cost=25, capacity=50),
    ...     CostDriver("rent", "pool", column="amount", amount=10)))
    >>> accounts = customer_accounts(sales, spec=lines)
    >>> accounts.augment()[["customer", "revenue", "service", "rent", "contribution"]]
      customer  revenue  service  rent  contribution
    0        a     15.5     15.0  6.60         -6.10
    1        b      7.0      5.0  2.98         -0.98
    >>> accounts.tidy().query("kind == 'unassigned'")[["lhs", "estimate"]].to_numpy().tolist()[:3]
    [['revenue', 1.0], ['service', 0.0], ['rent', 0.42]]
    """
    tables, stated, coin = _inputs(study)
    spec = spec or stated or AccountsSpec()
    if "transactions" not in tables:
        have = ", ".join(tables) or "none"
        raise UsageError(f"Accounts need transactions, one row a purchase ([tables.transactions]); tables: {have}.")
    if not spec.drivers:
        spec = replace(spec, drivers=default_drivers(tables["transactions"], tables.get("costs")))
    _check_lines(spec)
    book = _post(tables, spec)
    accounts = CustomerAccounts(
        spec=spec,
        currency=currency if currency is not None else coin,
        attributes=_attributes(tables),
        controls=(),
        provenance=Provenance.record(_options(spec), _mark(book), None),
        sources=MappingProxyType(tables),
        **book,
    )
    return _reconciled(accounts)


def book_findings(study: Study) -> tuple[Finding, ...]:
    """What keeps the accounts of a study from being kept: control totals missed, shares that do not sum to one.

    Nothing of a study without ``[accounts]``.
    """
    if study.accounts is None:
        return ()
    try:
        customer_accounts(study)
    except DataError as error:
        return tuple(error.findings)
    return ()


def _inputs(study: Any) -> tuple[dict[str, Relation], AccountsSpec | None, str]:
    """Tables, lines and currency of whatever was given."""
    from spc.study import Study
    from spc.study.sources import open_ledger

    if isinstance(study, Study):
        found: dict[str, Relation] = {}
        for name in ("transactions", "costs", "customers", "assignments"):
            if name in study.tables:
                found[name] = open_rows(study.tables[name], name)
            elif name in study.document.tables:
                found[name] = open_ledger(study.document, name)
        return found, study.accounts, study.currency
    given = study if isinstance(study, Mapping) else {"transactions": study}
    return {name: open_rows(table, name) for name, table in given.items()}, None, ""


_USUAL = (
    ("discount", "discount", "deduction"),
    ("bonus", "bonus", "deduction"),
    ("product_cost", "product_cost", "cost"),
    ("freight", "freight", "cost"),
)
_BACK = {"return": "returns", "credit_note": "credit_notes"}


def default_drivers(transactions: Relation, costs: Relation | None = None) -> tuple[CostDriver, ...]:
    """Lines that the columns of the tables speak of: revenue, returns, discounts, product cost, costs by name.

    Examples
    --------
    >>> [line.name for line in default_drivers(open_rows(pd.DataFrame({"amount": [1], "bonus": [0]}), "transactions"))]
    ['revenue', 'bonus']
    """
    money = "gross" if "gross" in transactions.kinds else "amount"
    kinds = sorted(set(_values(transactions, "kind")) & set(_BACK))
    sales = {"kind": tuple(v for v in _values(transactions, "kind") if v not in _BACK)} if kinds else {}
    lines = [CostDriver("gross_revenue" if money == "gross" else "revenue", side="revenue", column=money, where=sales)]
    lines += [CostDriver(_BACK[k], side="revenue", column=money, where={"kind": (k,)}) for k in kinds]
    offered = _USUAL if money == "gross" else _USUAL[1:]
    lines += [CostDriver(name, side=side, column=c) for name, c, side in offered if c in transactions.kinds]  # type: ignore[arg-type]
    if costs is not None and {"cost_driver", "amount"} <= set(costs.kinds):
        taken = {line.name for line in lines}
        for name in _values(costs, "cost_driver"):
            plain = "".join(c if c.isalnum() and c.isascii() else "_" for c in name)
            plain = plain if plain[:1].isalpha() else f"cost_{plain}"
            plain = f"{plain}_costs" if plain in taken else plain
            lines.append(CostDriver(plain, table="costs", column="amount", where={"cost_driver": (name,)}, label=name))
            taken.add(plain)
    return tuple(lines)


def _values(relation: Relation, column: str) -> list[str]:
    if column not in relation.kinds:
        return []
    cell = f"trim(CAST({quoted(column)} AS STRING))"
    text = f"SELECT DISTINCT {cell} FROM {{source}} WHERE {cell} <> '' ORDER BY 1 LIMIT 51"  # noqa: S608 - quoted
    found = [row[0] for row in relation.rows(text)]
    if len(found) > 50:
        raise DataError.of(
            relation.label, column, "too_many_lines", f"more than 50 different values of {column}", "at most 50 lines",
            "Name the lines of the accounts under [[accounts.drivers]].",
        )  # fmt: skip
    return found


def _check_lines(spec: AccountsSpec) -> None:
    unknown = [line for line in spec.control if line not in (*spec.lines, *TOTALS)]
    if unknown:
        allowed = f"one of {', '.join((*spec.lines, *TOTALS))}"
        raise DataError.of("accounts", "control", "unknown_line", f"{unknown[0]!r}", allowed, "Name a line.")
    if not any(driver.side == "revenue" for driver in spec.drivers):
        hint = 'Write side = "revenue" under the driver that holds it.'
        raise DataError.of("accounts", "drivers", "no_revenue", "no line of revenue", "at least one", hint)


def _post(tables: Mapping[str, Relation], spec: AccountsSpec) -> dict[str, Any]:
    """Fields of the accounts: the sums of every table brought together, then rates and pools."""
    parts = []
    for name in ("transactions", "costs"):
        places = [i for i, driver in enumerate(spec.drivers) if driver.table == name]
        if places and name not in tables:
            raise UsageError(f"The line {spec.drivers[places[0]].name!r} is in the table {name}, which is not given.")
        if places or name == "transactions":
            drivers = [spec.drivers[i] for i in places]
            parts.append((places, sum_rows(tables[name], drivers, spec)))
    customers, codes, raw = _together(parts, len(spec.drivers))
    named = _named_periods(spec)
    present, place = np.unique(codes, return_inverse=True)
    names = [period_name(spec, int(code)) for code in present]
    every = sorted({*names, *named})
    where = np.array([every.index(name) for name in names], dtype=np.intp)[place]
    cents, unused, nobody = _priced(raw, where, every, spec)
    known = np.array([customer is not None for customer in customers], dtype=bool)
    unassigned = nobody
    np.add.at(unassigned, where[~known], cents[~known])
    texts = np.array(every, dtype=object)
    is_money = np.array([driver.money for driver in spec.drivers])
    return {
        "customers": customers[known],
        "periods": texts[where[known]],
        "cents": cents[known],
        "quantities": np.where(is_money, 0, raw[known]),
        "unassigned": unassigned,
        "unused": unused,
        "all_periods": tuple(every),
    }


def _together(parts: Sequence[tuple[list[int], Sums]], k: int) -> tuple[Texts, IntArray, IntArray]:
    """Keys and raw sums of several tables in one array, sorted by customer and period."""
    if len(parts) == 1:
        places, sums = parts[0]
        raw = np.zeros((len(sums.period), k), dtype=np.int64)
        raw[:, places] = sums.values
        return sums.keys[0], sums.period, raw
    customers = np.concatenate([sums.keys[0] for _, sums in parts])
    periods = np.concatenate([sums.period for _, sums in parts])
    codes, names = pd.factorize(customers, sort=True, use_na_sentinel=True)
    codes = np.where(codes < 0, len(names), codes)
    low, width = int(periods.min(initial=0)), int(periods.max(initial=0)) - int(periods.min(initial=0)) + 1
    both, place = np.unique(codes * width + (periods - low), return_inverse=True)
    raw = np.zeros((len(both), k), dtype=np.int64)
    start = 0
    for places, sums in parts:
        rows = place[start : start + len(sums.period)]
        raw[rows[:, None], np.array(places, dtype=np.intp)] += sums.values
        start += len(sums.period)
    texts = np.array([*names, None], dtype=object)
    return texts[both // width], both % width + low, raw


def _named_periods(spec: AccountsSpec) -> set[str]:
    """Periods that the document speaks of, whether or not there are rows."""
    return {
        period
        for driver in spec.drivers
        for amounts in (driver.amount, driver.resource_cost)
        for period in (amounts or {})
        if period
    }


def _priced(
    raw: IntArray, where: npt.NDArray[np.intp], every: Sequence[str], spec: AccountsSpec
) -> tuple[IntArray, IntArray, IntArray]:
    """Lines in smallest units, unused capacity, and pools that fall to nobody."""
    cents = raw.copy()
    unused = np.zeros((len(every), len(spec.drivers)), dtype=np.int64)
    nobody = np.zeros_like(unused)
    for k, driver in enumerate(spec.drivers):
        if driver.money:
            continue
        for p, period in enumerate(every):
            rows = np.flatnonzero(where == p)
            rate, amount = driver.per_piece(period)
            if rate is None and amount is None:
                raise DataError.of(
                    "accounts", driver.name, "no_amount", f"nothing about {period}", "an amount or a rate a period",
                    "Add the period to the driver, or write one value for all periods.",
                )  # fmt: skip
            if driver.kind == "rate":
                cents[rows, k] = times_rate(raw[rows, k], rate * 10**spec.digits / 10**PIECES)
                if driver.resource_cost is not None:
                    whole = cents_of(in_period(driver.resource_cost, period) or Decimal(0), spec.digits, driver.name)
                    unused[p, k] = whole - int(cents[rows, k].sum())
            else:
                whole = cents_of(amount or Decimal(0), spec.digits, driver.name)
                _share_out(cents, nobody, raw[rows, k], (rows, k, p), whole, driver, period)
    return cents, unused, nobody


def _share_out(
    cents: IntArray, nobody: IntArray, weights: IntArray, place: tuple[Any, int, int], whole: int,
    driver: CostDriver, period: str,
) -> None:  # fmt: skip
    rows, k, p = place
    if weights.size and weights.min() < 0:
        raise DataError.of(
            "accounts", driver.name, "negative_share", f"a negative share in {period}", "shares of zero or more",
            "Divide by a quantity that cannot be negative, or leave out returns with where = {...}.",
        )  # fmt: skip
    total = int(weights.sum())
    if driver.shares and total != 10**PIECES:
        raise DataError.of(
            "accounts", driver.name, "shares_not_one", f"shares that sum to {total / 10**PIECES:g} in {period}",
            "shares that sum to one", "Correct the shares, or leave out shares = true to divide in proportion.",
        )  # fmt: skip
    if total == 0:
        nobody[p, k] = whole
    else:
        cents[rows, k] = apportion(whole, weights)


def _attributes(tables: Mapping[str, Relation]) -> pd.DataFrame:
    """What is known of customers: columns of their table, and who serves them."""
    from spc.contracts import key_text

    parts = []
    customers = tables.get("customers")
    if customers is not None and "customer" in customers.kinds:
        kept = [n for n in customers.kinds if n in ("customer", "unit", "segment", "start", "region", "industry")]
        text = f"SELECT {', '.join(map(quoted, kept))} FROM {{source}}"  # noqa: S608 - quoted
        frame = pd.DataFrame(customers.arrays(text))
        frame["customer"] = key_text(frame["customer"])
        parts.append(_once(frame.dropna(subset="customer").drop_duplicates()).set_index("customer"))
    sellers = _sellers(tables)
    if sellers is not None:
        parts.append(sellers.to_frame("seller"))
    return pd.concat(parts, axis=1) if parts else pd.DataFrame(index=pd.Index([], name="customer", dtype=object))


def _once(frame: pd.DataFrame) -> pd.DataFrame:
    """Customers of whom one thing is known; an error where two rows differ, since neither is to be guessed."""
    twice = frame["customer"][frame["customer"].duplicated()].unique()
    if twice.size:
        found = f"{twice.size:,} customers with rows that differ, such as {twice[0]!r}"
        raise DataError.of("customers", "customer", "duplicate_key", found, "one row a customer", "Keep the right one.")
    return frame


def _sellers(tables: Mapping[str, Relation]) -> pd.Series | None:
    """Who serves each customer: of the assignments the one with most weight, else who sold it most lines."""
    from spc.contracts import key_text

    for table, column in (("assignments", "respondent"), ("transactions", "seller")):
        relation = tables.get(table)
        if relation is None or not {"customer", column} <= set(relation.kinds):
            continue
        weight = 'sum(CAST("weight" AS DECIMAL(18, 6)))' if "weight" in relation.kinds else "count(*)"
        cell = quoted(column)
        text = (
            f'SELECT "customer", CAST({cell} AS STRING) AS s, {weight} AS w FROM {{source}} '  # noqa: S608 - quoted
            f'WHERE {cell} IS NOT NULL AND "customer" IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2'
        )
        frame = pd.DataFrame(relation.arrays(text))
        frame["customer"] = key_text(frame["customer"])
        first = frame.drop_duplicates("customer")
        return pd.Series(first["s"].to_numpy(dtype=object), index=pd.Index(first["customer"]))
    return None


def _reconciled(accounts: CustomerAccounts) -> CustomerAccounts:
    """The accounts with their control totals, or an error that says how far off they are."""
    spec, totals = accounts.spec, _line_totals(accounts)
    controls = []
    for line, amounts in spec.control.items():
        for period, amount in amounts.items():
            rows = [p for p, name in enumerate(accounts.all_periods) if period in ("", name)]
            found = int(totals[line][rows].sum())
            controls.append(ControlTotal(line, period, cents_of(amount, spec.digits, f"control.{line}"), found))
    slack = spec.tolerance * 10**spec.digits
    wrong = [control for control in controls if abs(control.difference) > slack]
    if wrong:
        raise DataError([_off(control, accounts) for control in wrong])
    return replace(accounts, controls=tuple(controls))


def _line_totals(accounts: CustomerAccounts) -> dict[str, IntArray]:
    """Every line and computed total by period, as the general ledger has it: nobody's part and unused capacity too."""
    sums = _by_period(accounts)
    whole = sums + accounts.unassigned + accounts.unused
    drivers = accounts.spec.drivers
    named = {driver.name: whole[:, i] for i, driver in enumerate(drivers)}
    return {**named, "net_revenue": net_revenue(whole, drivers), "contribution": np.asarray(whole @ accounts.signs)}


def _by_period(accounts: CustomerAccounts) -> IntArray:
    sums = np.zeros((len(accounts.all_periods), len(accounts.lines)), dtype=np.int64)
    for p, period in enumerate(accounts.all_periods):
        sums[p] = accounts.cents[accounts.periods == period].sum(axis=0)
    return sums


def _off(control: ControlTotal, accounts: CustomerAccounts) -> Finding:
    digits = accounts.spec.digits

    def said(cents: int) -> str:
        return f"{Decimal(cents).scaleb(-digits):,f}"

    when = f" in {control.period}" if control.period else ""
    return Finding(
        "accounts", control.line, "control_total",
        f"{said(control.found)}{when}, {said(abs(control.difference))} "
        f"{'above' if control.difference > 0 else 'below'} the general ledger",
        f"{said(control.expected)}", "Look for rows that are missing, listed twice or booked to another line.",
    )  # fmt: skip


def _rows(accounts: CustomerAccounts) -> list[dict[str, Any]]:
    drivers, rows = accounts.spec.drivers, []
    of_accounts = _by_period(accounts)
    blocks = {"account": of_accounts, "unassigned": accounts.unassigned, "unused_capacity": accounts.unused}
    blocks["total"] = of_accounts + accounts.unassigned + accounts.unused
    for p, period in enumerate(accounts.all_periods):
        for kind, block in blocks.items():
            cents = block[p]
            if kind not in {"account", "total"} and not cents.any():
                continue
            revenue = int(net_revenue(cents, drivers))
            sides = [str(driver.side) for driver in drivers]
            figures = [*zip(accounts.lines, map(int, cents), sides, strict=True)]
            figures += [("net_revenue", revenue, "total"), ("contribution", int(cents @ accounts.signs), "total")]
            for line, value, side in figures:
                share = value / revenue if revenue > 0 and kind == "account" else np.nan
                rows.append({"lhs": line, "op": "", "rhs": side, "group": period, "kind": kind,
                             "estimate": float(accounts.money(value)), "std_all": share})  # fmt: skip
    for control in accounts.controls:
        rows.append({"lhs": control.line, "rhs": "ledger", "group": control.period, "kind": "control",
                     "estimate": float(accounts.money(control.expected))})  # fmt: skip
    return rows


def _notes(accounts: CustomerAccounts) -> list[Note]:
    notes, spec = [], accounts.spec
    if not accounts.controls:
        notes.append(Note.of("no_control_total", "warning", "accounts"))
    left = [driver.title for k, driver in enumerate(spec.drivers) if accounts.unassigned[:, k].any()]
    if left:
        notes.append(Note.of("unassigned", "info", "accounts", drivers=left))
    for k, driver in enumerate(spec.drivers):
        if (accounts.unused[:, k] < 0).any():
            notes.append(Note.of("over_capacity", "warning", driver.name, driver=driver.title))
    if not any(driver.side == "cost" for driver in spec.drivers):
        notes.append(Note.of("no_cost_line", "warning", "contribution"))
    unused = _in_no_line(accounts)
    if unused:
        notes.append(Note.of("columns_left_out", "warning", "accounts", columns=unused))
    if (accounts.net_revenue <= 0).any():
        n = int((accounts.net_revenue <= 0).sum())
        notes.append(Note.of("no_revenue", "info", "contribution_ratio", accounts=n))
    return notes


def _in_no_line(accounts: CustomerAccounts) -> list[str]:
    """Columns of money in the transactions that no line adds up."""
    there = accounts.sources["transactions"].kinds if "transactions" in accounts.sources else {}
    used = {driver.column for driver in accounts.spec.drivers if driver.table == "transactions"}
    return [name for name, *_ in _USUAL if name in there and name not in used]


def _options(spec: AccountsSpec) -> dict[str, Any]:
    return {"period": spec.period, "digits": spec.digits, "lines": list(spec.lines),
            "kinds": [driver.kind for driver in spec.drivers]}  # fmt: skip


def _mark(book: Mapping[str, Any]) -> str:
    """Short hash of what the accounts hold."""
    from spc.results import fingerprint

    whole = np.concatenate([book["cents"].sum(axis=0), book["unassigned"].ravel(), [len(book["customers"])]])
    return fingerprint(whole.astype(float))
