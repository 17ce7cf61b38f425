"""The retention curve, and whether one rate describes it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spc.economics.lifetable import LifeTable
from spc.economics.tenure import BoolArray
from spc.linalg import FloatArray

__all__ = ["CURVE_COLUMNS", "constant_hazard_test", "differing_rates", "survival_curve"]

CURVE_COLUMNS = ("period", "at_risk", "events", "survival", "conf_low", "conf_high", "geometric")


def survival_curve(
    time: FloatArray, left: BoolArray, entry: FloatArray, *, table: LifeTable, rate: float, level: float
) -> pd.DataFrame:
    """Kaplan–Meier curve at whole periods, up to the last in which somebody left.

    Parameters
    ----------
    time : (n,) array
        Tenure at which each customer was last seen.
    left : (n,) array of bool
    entry : (n,) array
        Tenure at which watching began; nobody counts as at risk before.
    table : LifeTable
        Of the same customers.
    rate : float
        Retention under a constant hazard, for the column ``geometric = rate ** period``.
    level : float
        Of the pointwise intervals (log minus log).

    Returns
    -------
    DataFrame
        :data:`CURVE_COLUMNS`; empty when nobody left. ``at_risk`` are those watched in some part of the period. An
        interval is missing where the curve is at 0 or 1.

    References
    ----------
    Kaplan & Meier (1958), *Journal of the American Statistical Association* 53.

    Examples
    --------
    >>> time, left = np.array([1.0, 2, 2, 3]), np.array([True, True, False, False])
    >>> table = LifeTable([4.0, 3.0, 1.0], [1.0, 1.0, 0.0])
    >>> curve = survival_curve(time, left, np.zeros(4), table=table, rate=0.75, level=0.95)
    >>> curve[["at_risk", "events", "survival"]].round(3).to_numpy().tolist()
    [[4.0, 1.0, 0.75], [3.0, 1.0, 0.5]]
    """
    if not left.any():
        return pd.DataFrame({name: pd.Series(dtype=float) for name in CURVE_COLUMNS})
    from statsmodels.duration.survfunc import SurvfuncRight

    seen = time > entry if entry.any() else np.ones(time.size, dtype=bool)
    fit = SurvfuncRight(time[seen], left[seen].astype(int), entry=entry[seen] if entry.any() else None)
    period = np.arange(1, int(np.flatnonzero(table.events)[-1]) + 2)
    step = np.searchsorted(fit.surv_times, period, side="right")
    survival = np.concatenate([[1.0], fit.surv_prob])[step]
    error = np.concatenate([[0.0], fit.surv_prob_se])[step]
    low, high = _log_log_interval(survival, error, level)
    at_risk = np.searchsorted(np.sort(entry), period, side="left") - np.searchsorted(np.sort(time), period - 1, "right")
    columns = (period, at_risk, table.events[: period.size], survival, low, high, rate ** period.astype(float))
    return pd.DataFrame(dict(zip(CURVE_COLUMNS, columns, strict=True)))


def _log_log_interval(survival: FloatArray, error: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    from scipy.special import ndtri

    inside = (survival > 0) & (survival < 1)
    s = np.where(inside, survival, 0.5)
    width = ndtri((1 + level) / 2) * np.where(inside, error, 0.0) / np.abs(s * np.log(s))
    low, high = (np.where(inside, s ** np.exp(sign * width), np.nan) for sign in (1, -1))
    return low, high


def constant_hazard_test(table: LifeTable) -> float:
    """p-value of one rate of leaving against one of its own in every period.

    A likelihood-ratio test: binomial when all tenures are whole, Poisson otherwise. Neighbouring periods are joined
    until five leavers are expected in each.

    Parameters
    ----------
    table : LifeTable
        (T,).

    Returns
    -------
    float
        NaN when there are too few leavers for two such spans.

    Examples
    --------
    >>> constant_hazard_test(LifeTable([1000.0, 500.0], [500.0, 50.0])) < 1e-6
    True
    """
    exposure, leavers, whole = table.exposure, table.events, table.whole
    hazard = leavers.sum() / exposure.sum()
    span = np.minimum(((exposure.cumsum() - exposure / 2) * hazard / 5).astype(int), int(leavers.sum() / 5) - 1)
    groups = np.unique(span, return_inverse=True)[1]
    n, e = (np.bincount(groups, x).astype(float) for x in (exposure, leavers))
    return differing_rates(n, e, whole)


def differing_rates(n: FloatArray, e: FloatArray, whole: bool) -> float:
    """p-value of one rate of leaving against one of its own for each group, (G,) at risk and leavers; or NaN.

    Examples
    --------
    >>> round(differing_rates(np.array([100.0, 100.0]), np.array([10.0, 20.0]), True), 3)
    0.046
    """
    from scipy.special import chdtrc, xlogy

    hazard = float(e.sum() / n.sum())
    if len(n) < 2 or not hazard > 0 or (whole and hazard >= 1):
        return float("nan")
    gain = xlogy(e, e / n) - e * np.log(hazard)
    if whole:
        gain += xlogy(n - e, 1 - e / n) - (n - e) * np.log1p(-hazard)
    return float(chdtrc(len(n) - 1, max(2 * float(gain.sum()), 0.0)))
