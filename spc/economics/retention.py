"""How many customers stay from one period to the next, seen through a ledger that is cut off today."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy.typing as npt
import pandas as pd

from spc.economics.curve import constant_hazard_test, survival_curve
from spc.economics.lifetable import life_table
from spc.economics.tenure import entered
from spc.errors import UsageError
from spc.results import Note

__all__ = ["Retention", "estimate_retention", "rate_interval"]

FEW_EVENTS = 20


@dataclass(frozen=True, eq=False)
class Retention:
    """Retention per period under one rate for all, and the curve that shows whether that is fair.

    Attributes
    ----------
    estimate, conf_low, conf_high : float
        Probability of staying for a period, with its exact interval.
    level : float
    events : int
        Customers who left.
    periods_at_risk : float
        Periods customers were watched in all.
    whole : bool
        Whether all tenures are whole periods (renewal occasions); time runs on between them otherwise.
    customers, active : int
        All customers; those who have not left.
    curve : DataFrame
        See :func:`spc.economics.curve.survival_curve`.
    p_constant : float
        See :func:`spc.economics.curve.constant_hazard_test`.
    """

    estimate: float
    conf_low: float
    conf_high: float
    level: float
    events: int
    periods_at_risk: float
    whole: bool
    customers: int
    active: int
    curve: pd.DataFrame
    p_constant: float

    @property
    def std_error(self) -> float:
        """Large-sample standard error of the estimate."""
        if self.whole:
            return math.sqrt(self.estimate * (1 - self.estimate) / self.periods_at_risk)
        return self.estimate * math.sqrt(self.events) / self.periods_at_risk

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the rate."""
        return tuple(note for note in (_few_note(self), _edge_note(self)) if note is not None)


def estimate_retention(
    tenure: npt.ArrayLike, churned: npt.ArrayLike, *, entry: npt.ArrayLike | None = None, level: float = 0.95
) -> Retention:
    r"""Retention per period from tenure and churn.

    Customers who have not left count for the time they were watched and not beyond (right censoring). Under one rate
    for all the likelihood depends on the number e who left and the periods n that were watched alone:

    - whole tenures are renewal occasions, and retention is :math:`1 - e / n` (binomial);
    - with broken tenures customers may leave at any time, and retention is :math:`\exp(-e / n)` (exponential).

    Parameters
    ----------
    tenure : (n,) array-like of float
        Periods each customer was watched. In whole periods, a customer with tenure 3 who churned renewed twice and
        left at the third occasion; one who has not churned renewed three times. Tenure 0 counts for nothing.
    churned : (n,) array-like of bool
        Whether the customer left.
    entry : (n,) array-like of float, optional
        Tenure at which watching began, for a ledger that leaves out those who had gone before (left truncation).
    level : float
        Level of the intervals.

    Returns
    -------
    Retention
        With the exact interval (Clopper–Pearson, or Garwood's).

    Raises
    ------
    DataError
        Tenures that are negative or missing, churn that is not yes or no, or nobody at risk.
    UsageError
        A level outside 0..1.

    References
    ----------
    Clopper & Pearson (1934), *Biometrika* 26; Garwood (1936), *Biometrika* 28.

    Examples
    --------
    >>> r = estimate_retention([1, 2, 3, 4], [True, False, True, False])
    >>> r.estimate, r.events, r.periods_at_risk
    (0.8, 2, 10.0)
    """
    if not 0 < level < 1:
        raise UsageError(f"The level is {level!r}; expected a share between 0 and 1, such as 0.95.")
    time, left, start = entered(tenure, churned, entry)
    events, at_risk = int(left.sum()), float((time - start).sum())
    table = life_table(time, left, start)
    whole = table.whole
    rate = 1 - events / at_risk if whole else math.exp(-events / at_risk)
    low, high = rate_interval(events, at_risk, level, whole=whole)
    return Retention(
        estimate=rate,
        conf_low=low,
        conf_high=high,
        level=level,
        events=events,
        periods_at_risk=at_risk,
        whole=whole,
        customers=len(time),
        active=int((~left).sum()),
        curve=survival_curve(time, left, start, table=table, rate=rate, level=level),
        p_constant=constant_hazard_test(table),
    )


def rate_interval(events: int, at_risk: float, level: float, *, whole: bool) -> tuple[float, float]:
    """Exact interval of the chance of staying for a period: Clopper-Pearson, or Garwood's for broken tenures.

    Examples
    --------
    >>> [round(end, 3) for end in rate_interval(2, 10.0, 0.95, whole=True)]
    [0.444, 0.975]
    """
    from scipy.special import betaincinv, gammaincinv

    tail, stays = (1 - level) / 2, at_risk - events
    if whole:
        low = float(betaincinv(stays, events + 1, tail)) if stays else 0.0
        return low, float(betaincinv(stays + 1, events, 1 - tail)) if events else 1.0
    least = float(gammaincinv(events, tail)) if events else 0.0
    return math.exp(-float(gammaincinv(events + 1, 1 - tail)) / at_risk), math.exp(-least / at_risk)


def _few_note(r: Retention) -> Note | None:
    if 0 < r.events < FEW_EVENTS:
        return Note.of("few_churn_events", "warning", "retention", "retention", events=r.events,
                       periods=r.periods_at_risk)  # fmt: skip
    return None


def _edge_note(r: Retention) -> Note | None:
    if r.events == 0:
        return Note.of("no_churn", "serious", "retention", periods=r.periods_at_risk, low=r.conf_low, all=1.0)
    if r.active == 0:
        return Note.of("all_churned", "serious", "retention")
    return None
