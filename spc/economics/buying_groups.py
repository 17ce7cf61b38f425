"""Customers without a contract by segment, unit, tenure or year of joining: who is active, stays so, and buys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spc.economics.buyers import buyers_at
from spc.economics.groups import OTHERS, together
from spc.economics.ledger import window_of
from spc.economics.loyalty_buying import mean_purchase
from spc.economics.purchases import BuyingModel, Purchases, fit_buying, grouped, purchase_history, purchases_of
from spc.economics.region import student
from spc.economics.tenure import dates
from spc.errors import DataError, EstimationError, UsageError
from spc.linalg import FloatArray
from spc.results import Note, Provenance, Shown, fingerprint, tidy_frame

if TYPE_CHECKING:
    from spc.study import Study

__all__ = ["BuyingGroups", "buying_by"]

FIGURES = ("retention", "active", "purchases")
_SPANS = 4
_DRAWS = 1000


@dataclass(frozen=True, eq=False, repr=False)
class BuyingGroups(Shown):
    """Customers without a contract, group by group.

    Attributes
    ----------
    by : str
        What the groups are.
    table : DataFrame
        One row a group and figure: ``group, customers, came_back, figure, estimate, conf_low, conf_high``; the groups
        partition the customers.
    p_value : float
        Of one BG/NBD model for all against one of their own (likelihood ratio); NaN where groups have none.
    joined : int
        Groups of too few customers that were put together.
    without : int
        Groups whose purchases give no model; their figures are NaN.
    period : str
    level : float
    provenance : Provenance
    """

    by: str
    table: pd.DataFrame
    p_value: float
    joined: int
    without: int
    period: str
    level: float
    provenance: Provenance
    kind: str = "buying_groups"

    def tidy(self) -> pd.DataFrame:
        """Rows of four kinds, each with one row a group (``rhs``); ``lhs`` is what the groups are.

        ``retention`` (chance of an active customer to be active a period from now), ``active`` (share of the customers
        who are), ``purchases`` (of a customer in the next period), all three as they are to be expected of these
        customers from what each bought, and, with money, ``spend`` (mean of a purchase).
        """
        rows = [
            {
                "lhs": self.by,
                "rhs": row["group"],
                "kind": row["figure"],
                "label": f"{row['customers']:.0f} customers, {row['came_back']:.0f} came back",
                "estimate": row["estimate"],
                "conf_low": row["conf_low"],
                "conf_high": row["conf_high"],
            }
            for row in self.table.to_dict("records")
        ]
        return tidy_frame(rows)

    def glance(self) -> pd.DataFrame:
        """One row: groups, the customers of the smallest, and whether they differ."""
        row = {
            "customers": int(self.table["customers"].min()),
            "groups": int(self.table["group"].nunique()),
            "joined": self.joined,
            "p_value": self.p_value,
            "period": self.period,
            "level": self.level,
        }
        return pd.DataFrame([row])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the figures."""
        found = [Note.of("not_contractual", "info", "retention")]
        if self.joined:
            found.append(Note.of("groups_joined", "info", self.by, groups=self.joined, by=self.by))
        if self.without:
            found.append(Note.of("groups_without_model", "warning", self.by, groups=self.without))
        return tuple(found)


def buying_by(
    customers: Study | pd.DataFrame,
    *,
    by: str,
    fewest: int = 50,
    period: str | None = None,
    until: object = None,
    level: float = 0.95,
) -> BuyingGroups:
    """Who is active, stays so, and buys, for every group of customers who have no contract.

    Every group has a BG/NBD model of its own (:func:`fit_buying`), and a mean purchase of its own (:func:`fit_spend`).

    Parameters
    ----------
    customers : Study or DataFrame
        A study with transactions, or whose customers have ``repeats, recency, age``; one of these two tables.
    by : str
        A column of the customers (``segment``, ``unit``, ``wave``, ...), or of the transactions, where the first one of
        a customer counts; ``"joined"`` (the year of the first purchase); or ``"tenure"``, spans of time since the first
        purchase, under one model for all, since who has come lately tells little of how customers stop.
    fewest : int
        Groups of fewer customers are put together.
    period, until
        What time is counted in, and the last day of the transactions; a study says it under ``[money]``. Without a
        study transactions are counted in weeks, and the rest as it is.
    level : float

    Returns
    -------
    BuyingGroups

    Raises
    ------
    DataError
        No such column, or tables that cannot be.
    UsageError
        Fewer customers than ``fewest``, nobody who came back, or a level outside 0..1.
    NonConvergenceError
        No model for all was found.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> loyal = np.arange(1200) % 2 == 0
    >>> rate, stop = rng.gamma(1.0, 0.3, 1200), rng.beta(1.0, np.where(loyal, 20.0, 2.0))
    >>> gaps = rng.exponential(1 / rate[:, None], (1200, 60)).cumsum(axis=1)
    >>> bought = (gaps <= 40) & (rng.geometric(stop)[:, None] > np.arange(60))
    >>> table = pd.DataFrame({"repeats": bought.sum(axis=1), "recency": np.where(bought, gaps, 0).max(axis=1),
    ...                       "age": 40.0, "segment": np.where(loyal, "club", "passing")})
    >>> found = buying_by(table, by="segment")
    >>> found.tidy().query("kind == 'active'")["estimate"].round(1).tolist()
    [0.6, 0.3]
    >>> bool(found.p_value < 0.001)
    True
    """
    if not 0 < level < 1:
        raise UsageError(f"The level is {level!r}; expected a share between 0 and 1, such as 0.95.")
    given, names, unit = _rows(customers, by, period, until)
    rows = purchases_of(given).reset_index(drop=True)
    if len(rows) < fewest:
        raise UsageError(f"There are {len(rows)} customers; expected at least {fewest}.")
    group, joined = _spans(rows["age"], unit) if by == "tenure" else together(names, fewest)
    whole = fit_buying(rows, level=level, period=unit)
    by_age = rows["age"].groupby(group.to_numpy()).min().sort_values().index
    order = by_age if by == "tenure" else sorted(set(group), key=lambda name: (name == OTHERS, name))
    parts = [(str(name), rows[(group == name).to_numpy()]) for name in order]
    models = [whole if by == "tenure" else _own(part, level, unit) for _, part in parts]
    found = [row for (name, part), model in zip(parts, models, strict=True) for row in _figures(name, part, model)]
    provenance = Provenance.record({"by": by, "fewest": fewest, "level": level}, fingerprint(rows.assign(group=group)))
    return BuyingGroups(
        by,
        pd.DataFrame(found),
        _differ(whole, models) if by != "tenure" else float("nan"),
        joined,
        sum(model is None for model in models),
        unit,
        level,
        provenance,
    )


def _rows(
    data: Study | pd.DataFrame, by: str, period: str | None, until: object
) -> tuple[pd.DataFrame, pd.Series, str]:
    """Purchases of each customer, the group of each, and what time is counted in."""
    tables: Mapping[str, pd.DataFrame]
    if isinstance(data, pd.DataFrame):
        sales = {"customer", "date"} <= set(data.columns)
        unit = period or ("week" if sales else "period")
        tables = {"transactions" if sales else "customers": data}
    else:
        own = window_of(data)
        unit, until, tables = period or own.period, own.until if until is None else until, data.tables
    customers = tables.get("customers", pd.DataFrame())
    lines = tables.get("transactions")
    history = customers if lines is None else purchase_history(lines, until=until, period=unit)
    if by == "tenure":
        return history, pd.Series(), unit
    if lines is None:
        return history, _column(customers, by, "customers"), unit
    if by in customers:
        names = customers.set_index("customer")[by]
    else:
        first = lines.assign(date=dates(lines["date"], "date")).sort_values("date", kind="stable")
        first = first.drop_duplicates("customer").set_index("customer")
        names = first["date"].dt.year if by == "joined" else _column(first, by, "transactions")
    return history, names.reindex(history.index).reset_index(drop=True), unit


def _column(table: pd.DataFrame, by: str, name: str) -> pd.Series:
    if by not in table:
        listed = ", ".join(map(str, table.columns))
        raise DataError.of(name, by, "missing_column", "no such column", f"one of {listed}", "Name it so.")
    return table[by]


def _spans(age: pd.Series, unit: str) -> tuple[pd.Series, int]:
    """Spans of time since the first purchase, with about as many customers each."""
    ends = np.unique(np.ceil(np.quantile(age, np.linspace(0, 1, _SPANS + 1)[1:], method="inverted_cdf")))
    at = np.searchsorted(ends, age.to_numpy())
    start = np.concatenate([[np.floor(age.min())], ends[:-1]])
    names = [f"{a:g} {unit}s" if a == b else f"{a:g} to {b:g} {unit}s" for a, b in zip(start, ends, strict=True)]
    return pd.Series([names[i] for i in at], index=age.index), 0


def _own(rows: pd.DataFrame, level: float, unit: str) -> BuyingModel | None:
    """The model of a group, where its purchases give one."""
    try:
        return fit_buying(rows, level=level, period=unit)
    except (UsageError, EstimationError):
        return None


def _differ(whole: BuyingModel, models: list[BuyingModel | None]) -> float:
    from scipy.special import chdtrc

    own = [model.loglik for model in models if model is not None]
    if len(own) < len(models) or len(own) < 2:
        return float("nan")
    return float(chdtrc(4 * (len(own) - 1), max(2.0 * (sum(own) - whole.loglik), 0.0)))


def _figures(name: str, rows: pd.DataFrame, model: BuyingModel | None) -> Iterator[dict[str, Any]]:
    count = {"group": name, "customers": len(rows), "came_back": int((rows["repeats"] > 0).sum())}
    if model is None:
        yield from ({**count, "figure": figure, **_ends(np.nan, np.nan, np.nan)} for figure in FIGURES)
        return
    for figure, ends in zip(FIGURES, _with_error(model, grouped(rows)), strict=True):
        yield {**count, "figure": figure, **ends}
    spend, _ = mean_purchase(rows, _DRAWS, np.random.default_rng(1))
    if spend is not None:
        yield {**count, "figure": "spend", **_ends(spend.estimate, *spend.interval(model.level))}


def _with_error(model: BuyingModel, p: Purchases) -> Iterator[dict[str, float]]:
    """Figures of these customers: the delta method along the axes of the model's uncertainty, on log odds and logs."""
    from scipy.special import expit, logit

    values, vectors = np.linalg.eigh(model.vcov)
    steps = (vectors * np.sqrt(np.maximum(values, 0.0))).T
    at, above, below = (
        [_point(x, p) for x in points] for points in ([model.point], model.point + steps, model.point - steps)
    )
    half = student(np.inf, model.level)
    for i, (to, back) in enumerate(((logit, expit), (logit, expit), (np.log, np.exp))):
        middle = to(at[0][i])
        slope = np.array([to(a[i]) - to(b[i]) for a, b in zip(above, below, strict=True)]) / 2.0
        error = half * float(np.sqrt(slope @ slope))
        yield _ends(float(at[0][i]), float(back(middle - error)), float(back(middle + error)))


def _point(x: FloatArray, p: Purchases) -> FloatArray:
    """Chance of staying active, share active, purchases to be expected of a customer in the next period."""
    buyers = buyers_at(x, p, False)
    share = buyers.active / float(p.count.sum())
    found = np.array([float(buyers.next_rate()), share, share * float(buyers.multiple(0.0, 1.0))])
    return np.asarray(np.clip(found, 1e-12, [1.0 - 1e-12, 1.0 - 1e-12, np.inf]))


def _ends(estimate: float, low: float, high: float) -> dict[str, float]:
    return {"estimate": estimate, "conf_low": low, "conf_high": high}
