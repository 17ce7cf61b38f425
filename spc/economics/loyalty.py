"""The firm's own figure: what some points of retention are worth, with an interval, beside what is usually said."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spc.economics.lifetime import elasticity, margin_multiple, uplift
from spc.economics.remarks import CLAIM, loyalty_notes
from spc.economics.retention import Retention, estimate_retention
from spc.economics.tenure import numeric_column, tenure_between
from spc.economics.terms import LoyaltyTerms
from spc.errors import DataError, UsageError
from spc.linalg import FloatArray
from spc.results import Note, Provenance, Replicates, fingerprint, tidy_frame

if TYPE_CHECKING:
    from spc.study import Study

__all__ = ["LoyaltyValue", "MarginMean", "loyalty_value"]

Row = dict[str, Any]
Function = Callable[[FloatArray, FloatArray], FloatArray]


@dataclass(frozen=True, slots=True)
class MarginMean:
    """Mean margin per customer and period, losses included.

    Attributes
    ----------
    estimate, std_error : float
    customers : int
        How many margins it is the mean of.
    negative : int
        How many of them are losses.
    """

    estimate: float
    std_error: float
    customers: int
    negative: int

    def interval(self, level: float) -> tuple[float, float]:
        """Student's interval."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.customers - 1, (1 + level) / 2)) * self.std_error
        return self.estimate - half, self.estimate + half

    def draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw n means from Student's distribution around the estimate, shape (n,)."""
        return np.asarray(self.estimate + self.std_error * rng.standard_t(self.customers - 1, size=n))


@dataclass(frozen=True, eq=False)
class LoyaltyValue:
    """What customers are worth, and what more loyalty would be worth.

    Attributes
    ----------
    terms : LoyaltyTerms
    retention : Retention
    margin : MarginMean or None
        None when the table has no margins; there is no money then, only per cent.
    draws : Replicates
        Joint draws: columns ``retention`` and, with margins, ``margin``. Row i of every money figure comes from row i.
    present : int
        Customers the firm has now.
    dropped : int
        Customers left out because tenure or churn was missing.
    provenance : Provenance
    """

    terms: LoyaltyTerms
    retention: Retention
    margin: MarginMean | None
    draws: Replicates
    present: int
    dropped: int
    provenance: Provenance

    @property
    def kind(self) -> str:
        """``"loyalty"``."""
        return "loyalty"

    def tidy(self) -> pd.DataFrame:
        """One row a figure.

        ``kind`` is one of ``retention, churn, multiple, elasticity, uplift_percent`` (``points`` more of retention),
        ``uplift_relative`` (the same number as *per cent of* retention), ``closed_form`` (without a horizon) and
        ``claim`` (the range usually quoted, as ``conf_low`` and ``conf_high``); with margins also ``margin, clv,
        clv_new`` (a customer to be won: first margin counted, acquisition cost taken off), ``uplift_money`` (per
        customer) and ``uplift_base`` (all present customers).
        """
        return tidy_frame(list(_rows(self)))

    def glance(self) -> pd.DataFrame:
        """One row: the terms, and what they were applied to.

        ``active`` and ``lost`` are the customers of today and those who left; ``events`` are those who left in a
        period that is over, which are the ones retention is computed from; ``margins`` are behind the mean margin.
        """
        t, r = self.terms, self.retention
        values = {
            "horizon": float(t.horizon),
            "discount": t.discount,
            "points": t.points,
            "period": t.period,
            "currency": t.currency,
            "acquisition_cost": t.acquisition_cost,
            "level": t.level,
            "customers": r.customers,
            "active": self.present,
            "lost": r.customers - self.present,
            "margins": 0 if self.margin is None else self.margin.customers,
            "events": r.events,
            "periods_at_risk": r.periods_at_risk,
            "whole_periods": r.whole,
            "p_constant": r.p_constant,
            "draws": len(self.draws.values),
        }
        return pd.DataFrame([values])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the figures."""
        return (*self.retention.notes(), *loyalty_notes(self))

    def augment(self) -> pd.DataFrame:
        """The retention curve: ``period, at_risk, events, survival, conf_low, conf_high, geometric``."""
        return self.retention.curve.copy()


def loyalty_value(
    study: Study | pd.DataFrame,
    *,
    horizon: float | None = None,
    discount: float | None = None,
    points: float | None = None,
    period: str | None = None,
    currency: str | None = None,
    acquisition_cost: float | None = None,
    until: object = None,
    level: float = 0.95,
    draws: int = 4000,
    seed: int | None = None,
) -> LoyaltyValue:
    """Retention, customer value, and what some points more retention are worth in this firm.

    Parameters
    ----------
    study : Study or DataFrame
        A study with a customer table, or that table. One row a customer: ``tenure`` and ``churned`` (see
        :func:`estimate_retention`), or ``start`` and ``end`` dates (see :func:`tenure_between`), and, for money,
        ``margin`` per period. Margins may be losses.
    horizon : float
        Renewals that count; ``math.inf`` for all. A study says it under ``[money]``; with a bare table it has to be
        given, since it decides the figure.
    discount : float
        Per period. Likewise.
    points, period, currency, acquisition_cost
        See :class:`LoyaltyTerms`; from the study where not given, else 0.05, ``"year"``, none, 0.
    until : date, optional
        How far a ledger with dates reaches.
    level : float
        Level of the intervals.
    draws : int
        Number of joint draws.
    seed : int, optional
        The study's own where not given, else 1.

    Returns
    -------
    LoyaltyValue

    Raises
    ------
    UsageError
        Terms that are missing or out of range.
    DataError
        A table that lacks columns or holds values that cannot be.

    Notes
    -----
    Retention is drawn from the beta distribution of its events and occasions, the mean margin from Student's
    distribution around it, independently, and every figure is computed on each pair of draws. Intervals of money are
    the middle ``level`` of the results. Figures that depend on retention alone take the range of results over the
    middle ``level`` of retention: the relative uplift first falls and then rises with retention, and the middle of its
    draws would leave out the truth near the turn. Points that would take retention past one stop there, and a note
    says so.
    The margin is that of present customers where there are at least two, since it is their future that is valued.

    Examples
    --------
    >>> ledger = pd.DataFrame({"tenure": [5] * 16 + [2] * 10, "churned": [0] * 16 + [1] * 10, "margin": 100.0})
    >>> value = loyalty_value(ledger, horizon=5, discount=0.10, currency="EUR")
    >>> value.tidy().query("kind == 'retention'")["estimate"].round(2).item()
    0.9
    """
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 100:
        raise UsageError(f"draws is {draws!r}; expected a whole number of at least 100.")
    customers, stated, own_seed = (study, {}, 1) if isinstance(study, pd.DataFrame) else _of_study(study)
    given = {
        "horizon": horizon,
        "discount": discount,
        "points": points,
        "period": period,
        "currency": currency,
        "acquisition_cost": acquisition_cost,
    }
    terms = _terms({**stated, **{name: value for name, value in given.items() if value is not None}}, level)
    seed = own_seed if seed is None else seed
    ledger, dropped = _ledger(customers, terms.period, until)
    retention = estimate_retention(ledger["tenure"], ledger["churned"], level=level)
    margin = _margin(ledger)
    provenance = Provenance.record({**asdict(terms), "draws": draws}, fingerprint(ledger), seed)
    drawn = _joint_draws(retention, margin, draws, seed)
    return LoyaltyValue(terms, retention, margin, drawn, int(ledger["present"].sum()), dropped, provenance)


def _of_study(study: Study) -> tuple[pd.DataFrame, Row, int]:
    """Customer table, terms and seed of a study; terms it does not state are the document's defaults."""
    from spc.study import MoneySpec, Study

    if not isinstance(study, Study):
        raise UsageError(f"loyalty_value takes a study or its customer table, found a {type(study).__name__}.")
    if "customers" not in study.tables:
        have = ", ".join(study.tables)
        raise UsageError(
            f"The study has no customer table ([tables.customers]), so there is no retention; it has: {have}."
        )
    money = study.money or MoneySpec()
    terms = {**asdict(money), "currency": study.currency, "assumed": study.money is None}
    return study.tables["customers"], terms, study.seed


def _terms(given: Row, level: float) -> LoyaltyTerms:
    missing = " and ".join(name for name in ("horizon", "discount") if name not in given)
    if missing:
        raise UsageError(
            f"No {missing} is given. Customer value depends on both, so they are stated: horizon=5, discount=0.10 "
            "counts five periods at ten per cent a period."
        )
    return LoyaltyTerms(**given, level=level)


def _ledger(customers: pd.DataFrame, period: str, until: object) -> tuple[pd.DataFrame, int]:
    have = set(customers.columns)
    if not ({"tenure", "churned"} <= have or {"start", "end"} <= have):
        raise DataError.of(
            "customers",
            None,
            "missing_column",
            f"columns {', '.join(map(str, customers.columns)) or '(none)'}",
            "tenure and churned, or start and end",
            "Name the columns of the ledger in the study document.",
        )
    if {"tenure", "churned"} <= have:
        complete = customers["tenure"].notna() & customers["churned"].notna()
        ledger = customers.loc[complete, ["tenure", "churned"]]
        ledger = ledger.assign(present=numeric_column(ledger["churned"], "churned", "0 or 1") == 0)
    else:
        complete = customers["start"].notna()
        kept = customers.loc[complete]
        ledger = tenure_between(kept["start"], kept["end"], until=until, period=period)
    if "margin" in have:
        ledger = ledger.assign(margin=_money(customers.loc[complete, "margin"]))
    return ledger.reset_index(drop=True), int((~complete).sum())


def _money(values: pd.Series) -> FloatArray:
    amounts = numeric_column(values, "margin", "amounts of money")
    if np.isinf(amounts).any():
        raise DataError.of("customers", "margin", "infinite", "infinite amounts", "finite ones", "Check the column.")
    return amounts


def _margin(ledger: pd.DataFrame) -> MarginMean | None:
    if "margin" not in ledger:
        return None
    known = ledger["margin"].notna()
    present = known & ledger["present"]
    amounts = ledger.loc[present if present.sum() >= 2 else known, "margin"].to_numpy(dtype=float)
    if amounts.size < 2:
        raise DataError.of(
            "customers",
            "margin",
            "too_few",
            f"{amounts.size} margins",
            "at least two, for an interval",
            "Fill the column, or leave it out to have retention alone.",
        )
    error = float(amounts.std(ddof=1) / math.sqrt(amounts.size))
    return MarginMean(float(amounts.mean()), error, amounts.size, int((amounts < 0).sum()))


def _joint_draws(retention: Retention, margin: MarginMean | None, n: int, seed: int) -> Replicates:
    rng = np.random.default_rng(seed)
    columns = [retention.draws(n, rng)] + ([] if margin is None else [margin.draws(n, rng)])
    return Replicates(np.column_stack(columns), ("retention", "margin")[: len(columns)], seed=seed)


def _rows(value: LoyaltyValue) -> Iterator[Row]:
    t, r, m = value.terms, value.retention, value.margin
    per = f"per {t.period}"
    exact = {"op": "", "rhs": per, "std_error": r.std_error}
    yield {**exact, "lhs": "retention", "kind": "retention", **_estimate(r.estimate, r.conf_low, r.conf_high)}
    yield {**exact, "lhs": "churn", "kind": "churn", **_estimate(1 - r.estimate, 1 - r.conf_high, 1 - r.conf_low)}
    if m is not None:
        yield {
            "lhs": "margin",
            "rhs": f"per customer, {per}",
            "kind": "margin",
            "std_error": m.std_error,
            **_estimate(m.estimate, *m.interval(t.level)),
        }
    for lhs, rhs, kind, function, money in _figures(t, value.present):
        if m is not None or not money:
            yield {"lhs": lhs, "rhs": rhs, "kind": kind, **_from_draws(value, function, money)}
    yield {
        "lhs": "uplift_percent",
        "rhs": "+5 points, as usually quoted",
        "kind": "claim",
        "conf_low": CLAIM[0],
        "conf_high": CLAIM[1],
    }


def _figures(t: LoyaltyTerms, base: int) -> Iterator[tuple[str, str, str, Function, bool]]:
    """Every figure as a function of retention and margin: lhs, rhs, kind, function, whether it is money."""
    d, h, p, size = t.discount, t.horizon, t.points, f"{100 * t.points:g}"
    ahead = "no horizon" if math.isinf(h) else f"{h:g} {t.period}{'s' if h > 1 else ''} ahead"
    endless = d > 0

    def gain(r: FloatArray, horizon: float) -> FloatArray:
        better = np.minimum(r + p, 1.0)
        return margin_multiple(better, d, horizon=horizon) - margin_multiple(r, d, horizon=horizon)

    yield "multiple", ahead, "multiple", lambda r, _: margin_multiple(r, d, horizon=h), False
    yield "elasticity", ahead, "elasticity", lambda r, _: elasticity(r, d, horizon=h), False
    yield "clv", ahead, "clv", lambda r, m: m * margin_multiple(r, d, horizon=h), True
    if t.acquisition_cost:
        won = f"a customer to be won, {ahead}"
        cost = t.acquisition_cost
        yield "clv", won, "clv_new", lambda r, m: m * margin_multiple(r, d, horizon=h, first_margin=True) - cost, True
    points = f"+{size} points, {ahead}"
    yield "uplift_percent", points, "uplift_percent", lambda r, _: uplift(r, d, points=p, horizon=h), False
    yield "uplift_money", f"{points}, per customer", "uplift_money", lambda r, m: m * gain(r, h), True
    yield "uplift_money", f"{points}, {base} customers", "uplift_base", lambda r, m: base * m * gain(r, h), True
    relative = f"+{size} percent of retention, {ahead}"
    yield "uplift_percent", relative, "uplift_relative", lambda r, _: uplift(r, d, points=p * r, horizon=h), False
    if endless:
        points = f"+{size} points, no horizon"
        yield "clv", "no horizon", "closed_form", lambda r, m: m * margin_multiple(r, d), True
        yield "uplift_percent", points, "closed_form", lambda r, _: uplift(r, d, points=p), False
        yield "uplift_money", f"{points}, per customer", "closed_form", lambda r, m: m * gain(r, math.inf), True
        yield "elasticity", "no horizon", "closed_form", lambda r, _: elasticity(r, d), False


def _estimate(estimate: float, low: float, high: float) -> Row:
    return {"estimate": estimate, "conf_low": low, "conf_high": high}


def _from_draws(value: LoyaltyValue, function: Function, money: bool) -> Row:
    m = value.margin.estimate if value.margin is not None else math.nan
    point = float(function(np.array(value.retention.estimate), np.array(m))) + 0.0
    if not math.isfinite(point):
        return _estimate(point, math.nan, math.nan)
    retention = value.draws.values[:, 0]
    drawn = function(retention, value.draws.values[:, -1])
    tail = (1 - value.terms.level) / 2
    if money:
        low, high = np.quantile(drawn, [tail, 1 - tail])
    else:
        least, most = np.quantile(retention, [tail, 1 - tail])
        middle = drawn[(retention >= least) & (retention <= most)]
        low, high = middle.min(), middle.max()
    return {"std_error": float(drawn.std(ddof=1)), **_estimate(point, min(float(low), point), max(float(high), point))}
