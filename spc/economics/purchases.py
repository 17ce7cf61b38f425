r"""Customers who come back without a contract: the BG/NBD model of how often they buy and when they stop.

While a customer is active she buys at a rate :math:`\lambda`, gamma distributed with shape r and rate alpha over
customers; after every purchase she stops for good with a chance p, beta distributed with a and b. All that is needed
of a customer are her repeat purchases x, the time of the last one and the time since the first.

References: Fader, Hardie & Lee (2005), *Marketing Science* 24; "Implementing the BG/NBD model" (2005, note).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.economics.hyper import log_hyp2f1
from spc.economics.optimum import maximum
from spc.economics.tenure import PERIODS, dates, numeric_column
from spc.errors import DataError, UsageError
from spc.linalg import FloatArray, frozen_array
from spc.results import Note, Provenance, Shown, fingerprint, tidy_frame

__all__ = ["BuyingModel", "Purchases", "fit_buying", "purchase_history", "purchases_of"]

NAMES = ("r", "alpha", "a", "b")
_ALSO = {"x": "repeats", "t_x": "recency", "T": "age", "frequency": "repeats", "zbar": "spend"}


@dataclass(frozen=True, eq=False)
class Purchases:
    """What is known of every customer's purchases, equal ones put together.

    Attributes
    ----------
    repeats, recency, age : (m,) arrays
        Purchases after the first, time from the first to the last, time from the first until today.
    count : (m,) array
        Customers.
    """

    repeats: FloatArray
    recency: FloatArray
    age: FloatArray
    count: FloatArray

    def __post_init__(self) -> None:
        for name in ("repeats", "recency", "age", "count"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))


def purchase_history(transactions: pd.DataFrame, *, until: object = None, period: str = "week") -> pd.DataFrame:
    """Repeat purchases, recency, age and mean spend of every customer, from transactions.

    Purchases of one day count as one. Only amounts above nought are purchases; credit notes and returns after the first
    day are taken off the mean spend of the customer they belong to.

    Parameters
    ----------
    transactions : DataFrame
        ``customer, date``, and ``amount`` where there is money.
    until : date, optional
        Last day the table knows of; the last date in it when left out.
    period : {"year", "quarter", "month", "week", "day"}
        What times are counted in; months are twelfths of a year of 365.25 days.

    Returns
    -------
    DataFrame
        Index ``customer``; columns ``repeats, recency, age`` and, with amounts, ``spend``: the mean of the repeat
        purchases, which :func:`fit_spend` counts with (Fader & Hardie 2013), missing where there are none.

    Raises
    ------
    DataError
        Columns that are missing or dates that are none.
    UsageError
        An unknown period.

    Examples
    --------
    >>> rows = pd.DataFrame({"customer": ["a", "a", "b"], "date": ["2026-01-01", "2026-01-15", "2026-01-08"],
    ...                      "amount": [10.0, 30.0, 5.0]})
    >>> purchase_history(rows, until="2026-01-29").to_dict("list")
    {'repeats': [1, 0], 'recency': [2.0, 0.0], 'age': [4.0, 3.0], 'spend': [30.0, nan]}
    """
    days = _days(period)
    missing = [name for name in ("customer", "date") if name not in transactions]
    if missing:
        expected = "customer and date"
        raise DataError.of("transactions", missing[0], "missing_column", "no such column", expected, "Name the column.")
    table = transactions.dropna(subset=["customer", "date"])
    date = dates(table["date"], "date").dt.normalize()
    last = date.max() if until is None else dates(pd.Series([until]), "until").iloc[0].normalize()
    amount = numeric_column(table["amount"], "amount", "amounts of money") if "amount" in table else np.ones(len(table))
    rows = pd.DataFrame({"customer": table["customer"].to_numpy(), "date": date.to_numpy(), "amount": amount})
    rows = rows[rows["date"] <= last]
    bought = rows[rows["amount"] > 0].groupby("customer")["date"].agg(["min", "max", "nunique"])
    found = pd.DataFrame(
        {
            "repeats": bought["nunique"] - 1,
            "recency": (bought["max"] - bought["min"]).dt.days / days,
            "age": (last - bought["min"]).dt.days / days,
        }
    )
    if "amount" in table:
        after = rows[rows["date"] > rows["customer"].map(bought["min"])]
        found["spend"] = (after.groupby("customer")["amount"].sum() / found["repeats"]).where(found["repeats"] > 0)
    return found[found["age"] > 0]


def _days(period: str) -> float:
    days = {"day": 1.0, "week": 7.0, "month": 365.25 / 12, "quarter": 365.25 / 4, "year": 365.25}
    if period not in days:
        raise UsageError(f"The period is {period!r}; expected one of {', '.join(PERIODS)}.")
    return days[period]


def purchases_of(customers: pd.DataFrame) -> pd.DataFrame:
    """Columns ``repeats, recency, age`` (and ``spend``) of a table of customers, checked.

    Parameters
    ----------
    customers : DataFrame
        Also under the letters of the literature, ``x, t_x, T, zbar``.

    Raises
    ------
    DataError
        Columns that are missing or values that cannot be.

    Examples
    --------
    >>> purchases_of(pd.DataFrame({"x": [2, 0], "t_x": [30.4, 0.0], "T": [38.9, 38.9]})).columns.tolist()
    ['repeats', 'recency', 'age']
    """
    table = customers.rename(columns={old: new for old, new in _ALSO.items() if new not in customers.columns})
    missing = [name for name in ("repeats", "recency", "age") if name not in table]
    if missing:
        raise DataError.of(
            "customers",
            missing[0],
            "missing_column",
            f"no column {', '.join(missing)}",
            "repeats, recency and age: purchases after the first, time of the last and time since the first",
            "Make them from transactions with purchase_history.",
        )
    names = ["repeats", "recency", "age", *(["spend"] if "spend" in table else [])]
    found = pd.DataFrame({name: numeric_column(table[name], name, "numbers") for name in names}, index=table.index)
    x, last, age = (found[name].to_numpy(dtype=float) for name in names[:3])
    _refuse(~(np.isfinite(x) & (x >= 0) & (x == np.floor(x))), "repeats", "whole numbers, 0 or more")
    _refuse(~(np.isfinite(age) & (age > 0)), "age", "times above 0")
    _refuse(~(np.isfinite(last) & (last >= 0) & (last <= age)), "recency", "times from 0 to the age")
    _refuse((x == 0) & (last > 0), "recency", "0 where there is no repeat purchase")
    _refuse((x > 0) & (last == 0), "recency", "above 0 where there are repeat purchases; purchases of one day are one")
    return found


def _refuse(wrong: npt.NDArray[np.bool_], column: str, expected: str) -> None:
    if wrong.any():
        found = f"{int(wrong.sum())} values that cannot be"
        raise DataError.of("customers", column, "impossible_value", found, expected, "Check the column.")


def grouped(customers: pd.DataFrame) -> Purchases:
    """Customers with equal purchases put together."""
    keys = customers[["repeats", "recency", "age"]].to_numpy(dtype=float)
    rows, count = np.unique(keys, axis=0, return_counts=True)
    return Purchases(rows[:, 0], rows[:, 1], rows[:, 2], count.astype(float))


class BuyingParameters(Protocol):
    """Anything that has the four parameters."""

    @property
    def r(self) -> float:
        """Shape of the rates of buying."""

    @property
    def alpha(self) -> float:
        """Their rate: the larger, the less customers buy."""

    @property
    def a(self) -> float:
        """Of the chances of stopping."""

    @property
    def b(self) -> float:
        """Of the chances of going on."""


@dataclass(frozen=True, slots=True)
class Buying:
    """The four parameters alone."""

    r: float
    alpha: float
    a: float
    b: float


@dataclass(frozen=True, eq=False, repr=False)
class BuyingModel(Shown):
    """A fitted BG/NBD model.

    Attributes
    ----------
    r, alpha, a, b : float
    vcov : (4, 4) array
        Of their logarithms, in this order: inverse of the observed information.
    loglik : float
    purchases : Purchases
    level : float
    period : str
        What time is counted in.
    provenance : Provenance
    """

    r: float
    alpha: float
    a: float
    b: float
    vcov: FloatArray
    loglik: float
    purchases: Purchases
    level: float
    period: str
    provenance: Provenance
    kind: str = "buying"

    @property
    def point(self) -> FloatArray:
        """Logarithms of the parameters."""
        return np.log([self.r, self.alpha, self.a, self.b])

    def draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw logarithms of the parameters from their normal approximation, (n, 4)."""
        return np.asarray(self.point + rng.standard_normal((n, 4)) @ np.linalg.cholesky(self.vcov).T)

    def tidy(self) -> pd.DataFrame:
        """One row a parameter."""
        from scipy.special import ndtri

        width = float(ndtri((1 + self.level) / 2)) * np.sqrt(self.vcov.diagonal())
        rows = [
            {
                "lhs": name,
                "kind": "parameter",
                "estimate": math.exp(x),
                "std_error": math.exp(x) * math.sqrt(v),
                "conf_low": math.exp(x - w),
                "conf_high": math.exp(x + w),
            }
            for name, x, v, w in zip(NAMES, self.point, self.vcov.diagonal(), width, strict=True)
        ]
        return tidy_frame(rows)

    def glance(self) -> pd.DataFrame:
        """One row: customers, repeat purchases, log likelihood, AIC, BIC and the fit to counts of purchases."""
        p = self.purchases
        n = float(p.count.sum())
        table = self.calibration()
        joined = table[table["expected"] >= 5]
        gap = ((joined["customers"] - joined["expected"]) ** 2 / joined["expected"]).sum()
        return pd.DataFrame(
            [
                {
                    "customers": int(n),
                    "repeats": float(p.count @ p.repeats),
                    "logl": self.loglik,
                    "npar": 4,
                    "aic": 8 - 2 * self.loglik,
                    "bic": 4 * math.log(n) - 2 * self.loglik,
                    "calibration_chisq": float(gap),
                    "calibration_df": max(len(joined) - 5, 0),
                    "active": float(p.count @ p_alive(self, p)),
                    "period": self.period,
                    "level": self.level,
                }
            ]
        )

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the parameters."""
        return (Note.of("not_contractual", "info", "retention"),)

    def calibration(self) -> pd.DataFrame:
        """Customers seen and expected, by number of repeat purchases (the last row: that many and more)."""
        p = self.purchases
        most = int(min(max(p.repeats.max(), 1), 50))
        seen = np.bincount(np.minimum(p.repeats, most).astype(int), p.count, minlength=most + 1)
        ages, at = np.unique(p.age, return_inverse=True)
        weight = np.bincount(at, p.count)
        share = np.array([weight @ probability(self, x, ages) for x in range(most)])
        expected = np.append(share, max(weight.sum() - share.sum(), 0.0))
        return pd.DataFrame({"repeats": np.arange(most + 1), "customers": seen, "expected": expected})


def fit_buying(customers: pd.DataFrame, *, level: float = 0.95, period: str = "period") -> BuyingModel:
    """Fit the BG/NBD model by maximum likelihood, on the logarithms of its parameters.

    Parameters
    ----------
    customers : DataFrame
        One row a customer with ``repeats`` (purchases after the first), ``recency`` (time from the first purchase to
        the last) and ``age`` (time from the first purchase until today); see :func:`purchase_history`.
    level : float
        Level of the intervals.
    period : str
        What the times are counted in.

    Returns
    -------
    BuyingModel

    Raises
    ------
    DataError
        See :func:`purchases_of`.
    UsageError
        Nobody came back, or a level outside 0..1.
    NonConvergenceError
        No maximum was found.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> rate, stop = rng.gamma(1.0, 0.1, 500), rng.beta(1.0, 3.0, 500)
    >>> gaps = rng.exponential(1 / rate[:, None], (500, 60)).cumsum(axis=1)
    >>> ends = np.minimum(rng.geometric(stop), 60)[:, None] > np.arange(60)
    >>> bought = (gaps <= 40) & ends
    >>> found = fit_buying(pd.DataFrame({"repeats": bought.sum(axis=1),
    ...                                  "recency": np.where(bought, gaps, 0).max(axis=1), "age": 40.0}))
    >>> bool(0.5 < found.r < 2), bool(5 < found.alpha < 20)
    (True, True)
    """
    if not 0 < level < 1:
        raise UsageError(f"The level is {level!r}; expected a share between 0 and 1, such as 0.95.")
    table = purchases_of(customers)
    p = grouped(table)
    if not p.repeats.any():
        raise UsageError("Nobody bought a second time, so nothing is known of how often and how long customers buy.")
    unit = float(np.average(p.age, weights=p.count))
    start = np.log([1.0, 1.0, 1.0, 2.0])
    scaled = Purchases(p.repeats, p.recency / unit, p.age / unit, p.count)
    x, value, vcov = maximum(lambda x: _loglik(x, scaled), start, "BG/NBD")
    x = x + np.log([1.0, unit, 1.0, 1.0])
    value -= math.log(unit) * float(p.count @ p.repeats)
    r, alpha, a, b = np.exp(x).tolist()
    provenance = Provenance.record({"level": level}, fingerprint(table))
    return BuyingModel(r, alpha, a, b, vcov, value, p, level, period, provenance)


def _loglik(x: FloatArray, p: Purchases) -> tuple[float, FloatArray]:
    """Log likelihood and gradient in the logarithms of r, alpha, a, b."""
    from scipy.special import gammaln, psi

    r, alpha, a, b = np.exp(x)
    n, again = p.repeats, p.repeats > 0
    before = np.where(again, b + n - 1.0, 1.0)
    common = gammaln(r + n) - gammaln(r) + r * np.log(alpha)
    common += gammaln(a + b) + gammaln(b + n) - gammaln(b) - gammaln(a + b + n)
    stays = -(r + n) * np.log(alpha + p.age)
    gone = np.where(again, np.log(a) - np.log(before) - (r + n) * np.log(alpha + p.recency), -np.inf)
    either = np.logaddexp(stays, gone)
    w = np.exp(gone - either)
    late, soon = np.log(alpha + p.age), np.log(alpha + p.recency)
    slope = np.array(
        [
            psi(r + n) - psi(r) + np.log(alpha) - (1 - w) * late - w * soon,
            r / alpha - (r + n) * ((1 - w) / (alpha + p.age) + w / (alpha + p.recency)),
            psi(a + b) - psi(a + b + n) + w / a,
            psi(a + b) + psi(b + n) - psi(b) - psi(a + b + n) - w / before * again,
        ]
    )
    return float(p.count @ (common + either)), np.exp(x) * (slope @ p.count)


def p_alive(model: BuyingParameters, p: Purchases) -> FloatArray:
    """Chance that a customer has not stopped, (m,).

    Examples
    --------
    >>> cdnow = Buying(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> one = Purchases(np.array([2.0]), np.array([30.43]), np.array([38.86]), np.array([1.0]))
    >>> p_alive(cdnow, one).round(3).tolist()
    [0.727]
    """
    n, again = p.repeats, p.repeats > 0
    odds = np.log(model.a) - np.log(np.where(again, model.b + n - 1.0, 1.0))
    odds = odds + (model.r + n) * (np.log(model.alpha + p.age) - np.log(model.alpha + p.recency))
    return np.asarray(np.where(again, 1.0 / (1.0 + np.exp(np.minimum(odds, 700.0))), 1.0))


def expected_purchases(model: BuyingParameters, p: Purchases, ahead: float) -> FloatArray:
    """Purchases to be expected of each customer in the time ahead, given hers so far, (m,).

    Examples
    --------
    >>> cdnow = Buying(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> one = Purchases(np.array([2.0]), np.array([30.43]), np.array([38.86]), np.array([1.0]))
    >>> expected_purchases(cdnow, one, 39.0).round(3).tolist()
    [1.226]
    """
    return p_alive(model, p) * _while_active(model, p.repeats, p.age, ahead)


def _while_active(model: BuyingParameters, n: FloatArray, age: FloatArray, ahead: float) -> FloatArray:
    """Purchases ahead of a customer who is active now."""

    def at(a: float) -> FloatArray:
        c = a + model.b + n - 1.0
        log, sign = log_hyp2f1(model.r + n, model.b + n, c, ahead / (model.alpha + age + ahead))
        log = log + (model.r + n) * (np.log(model.alpha + age) - np.log(model.alpha + age + ahead))
        return np.asarray(c / (a - 1.0) * (1.0 - sign * np.exp(log)))

    return _around_one(at, model.a)


def _around_one(function: Callable[[float], FloatArray], a: float) -> FloatArray:
    """A function of a that is smooth but cannot be written at 1: the mean of its values on both sides."""
    gap = 1e-5
    return function(a) if abs(a - 1.0) > gap else (function(1.0 - gap) + function(1.0 + gap)) / 2.0


def new_customer_purchases(model: BuyingParameters, ahead: npt.ArrayLike) -> FloatArray:
    """Repeat purchases to be expected of a new customer within a time.

    Examples
    --------
    >>> cdnow = Buying(r=0.243, alpha=4.414, a=0.793, b=2.426)
    >>> new_customer_purchases(cdnow, [38.86]).round(3).tolist()
    [1.1...]
    """
    t = np.asarray(ahead, dtype=float)

    def at(a: float) -> FloatArray:
        c = a + model.b - 1.0
        log, sign = log_hyp2f1(model.r, model.b, c, t / (model.alpha + t))
        log = log + model.r * (math.log(model.alpha) - np.log(model.alpha + t))
        return np.asarray(c / (a - 1.0) * (1.0 - sign * np.exp(log)))

    return _around_one(at, model.a)


def discounted_purchases(
    model: BuyingParameters, p: Purchases, discount: float, *, horizon: float = math.inf
) -> FloatArray:
    """Discounted expected residual transactions of each customer, (m,).

    Money runs on continuously at ``log(1 + discount)`` a period. Of an active customer with chance p of stopping after
    a purchase, ``(r + x) (alpha + T)**(r + x) / (alpha + T + p t)**(r + x + 1)`` purchases are to be expected at a time
    t from now; integrated over t on Gauss-Legendre and over p on Gauss-Jacobi nodes.

    Parameters
    ----------
    model : BuyingModel
    p : Purchases
    discount : float
        Per period; above 0 where there is no horizon.
    horizon : float
        Periods ahead.

    Raises
    ------
    UsageError
        Neither horizon nor discount.
    """
    rate = math.log1p(discount)
    if math.isinf(horizon) and not rate > 0:
        raise UsageError("Without horizon and discount the purchases ahead have no limit. State one of the two.")
    t, weight = _times(min(horizon, 40.0 / rate if rate > 0 else math.inf))
    weight = weight * np.exp(-rate * t)
    shape, scale = model.r + p.repeats, model.alpha + p.age
    total = np.zeros(p.repeats.size)
    for x in np.unique(p.repeats):
        at = p.repeats == x
        stop, share = _stopping(model.a, model.b + x)
        run = np.log1p(stop[:, None] * t / scale[at][:, None, None])
        flow = np.exp(-(shape[at][:, None, None] + 1.0) * run) @ weight
        total[at] = shape[at] / scale[at] * (flow @ share)
    return np.asarray(p_alive(model, p) * total)


def _times(far: float) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of times ahead, closer together soon than late."""
    nodes, weights = np.polynomial.legendre.leggauss(16)
    edges = far * np.array([0.0, 0.01, 0.05, 0.15, 0.4, 1.0])
    half = np.diff(edges)[:, None] / 2.0
    return (edges[:-1, None] + half * (nodes + 1.0)).ravel(), (half * weights).ravel()


def _stopping(a: float, b: float) -> tuple[FloatArray, FloatArray]:
    """Nodes of a beta distributed chance and their weights, which sum to one."""
    from scipy.special import roots_jacobi

    nodes, weights = roots_jacobi(24, b - 1.0, a - 1.0)
    return (nodes + 1.0) / 2.0, weights / weights.sum()


def probability(model: BuyingParameters, x: int, t: FloatArray) -> FloatArray:
    """Chance that a new customer has bought x times again after a time."""
    from scipy.special import betaln, gammaln

    r, alpha, a, b = model.r, model.alpha, model.a, model.b
    start = betaln(a, b)
    share = np.log(t) - np.log(alpha + t)
    rest = np.log(alpha) - np.log(alpha + t)
    first = betaln(a, b + x) - start + gammaln(r + x) - gammaln(r) - gammaln(x + 1) + r * rest + x * share
    if x == 0:
        return np.asarray(np.exp(first))
    j = np.arange(x)[:, None]
    below = np.exp(gammaln(r + j) - gammaln(r) - gammaln(j + 1) + r * rest + j * share).sum(axis=0)
    return np.asarray(np.exp(first) + np.exp(betaln(a + 1, b + x - 1) - start) * np.maximum(1 - below, 0.0))
