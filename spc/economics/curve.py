"""The retention curve, and whether one rate describes it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spc.economics.tenure import BoolArray
from spc.linalg import FloatArray

__all__ = ["CURVE_COLUMNS", "constant_hazard_test", "survival_curve"]

CURVE_COLUMNS = ("period", "at_risk", "events", "survival", "conf_low", "conf_high", "geometric")


def survival_curve(
    time: FloatArray, left: BoolArray, *, rate: float, level: float, entry: FloatArray | None = None
) -> pd.DataFrame:
    """Kaplan–Meier curve at whole periods, up to the last in which somebody left.

    Parameters
    ----------
    time : (n,) array
        Periods each customer was watched.
    left : (n,) array of bool
    rate : float
        Retention under a constant hazard, for the column ``geometric = rate ** period``.
    level : float
        Of the pointwise intervals (log minus log).
    entry : (n,) array, optional
        Tenure at which watching began; nobody counts as at risk before.

    Returns
    -------
    DataFrame
        :data:`CURVE_COLUMNS`; empty when nobody left. An interval is missing where the curve is at 0 or 1.

    References
    ----------
    Kaplan & Meier (1958), *Journal of the American Statistical Association* 53.

    Examples
    --------
    >>> curve = survival_curve(np.array([1.0, 2, 2, 3]), np.array([True, True, False, False]), rate=0.75, level=0.95)
    >>> curve[["at_risk", "events", "survival"]].round(3).to_numpy().tolist()
    [[4.0, 1.0, 0.75], [3.0, 1.0, 0.5]]
    """
    if not left.any():
        return pd.DataFrame({name: pd.Series(dtype=float) for name in CURVE_COLUMNS})
    from statsmodels.duration.survfunc import SurvfuncRight

    fit = SurvfuncRight(time, left.astype(int), entry=None if entry is None or not entry.any() else entry)
    period = np.arange(1, int(np.ceil(time[left].max())) + 1)
    step = np.searchsorted(fit.surv_times, period, side="right")
    survival = np.concatenate([[1.0], fit.surv_prob])[step]
    error = np.concatenate([[0.0], fit.surv_prob_se])[step]
    low, high = _log_log_interval(survival, error, level)
    at_risk = len(time) - np.searchsorted(np.sort(time), period - 1, side="right")
    if entry is not None:
        at_risk -= len(entry) - np.searchsorted(np.sort(entry), period - 1, side="right")
    columns = (period, at_risk, _leavers(time, left)[: period.size], survival, low, high, rate ** period.astype(float))
    return pd.DataFrame(dict(zip(CURVE_COLUMNS, columns, strict=True)))


def _log_log_interval(survival: FloatArray, error: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
    from scipy.special import ndtri

    inside = (survival > 0) & (survival < 1)
    s = np.where(inside, survival, 0.5)
    width = ndtri((1 + level) / 2) * np.where(inside, error, 0.0) / np.abs(s * np.log(s))
    low, high = (np.where(inside, s ** np.exp(sign * width), np.nan) for sign in (1, -1))
    return low, high


def _leavers(time: FloatArray, left: BoolArray) -> FloatArray:
    """Customers who left in each period (t − 1, t]."""
    period = np.maximum(np.ceil(time[left]).astype(int), 1)
    return np.asarray(np.bincount(period, minlength=int(np.ceil(time.max())) + 1)[1:], dtype=float)


def _exposure(time: FloatArray) -> FloatArray:
    """Periods watched in each period (t − 1, t]."""
    whole = np.floor(time).astype(int)
    size = int(np.ceil(time.max())) + 1
    complete = np.bincount(whole, minlength=size)
    passed = complete[::-1].cumsum()[::-1]
    return np.asarray(np.bincount(whole, time - whole, minlength=size)[:-1] + passed[1:])[: size - 1]


def constant_hazard_test(time: FloatArray, left: BoolArray, entry: FloatArray | None = None) -> float:
    """p-value of one rate of leaving against one of its own in every period.

    A likelihood-ratio test: binomial when all tenures are whole, Poisson otherwise. Neighbouring periods are joined
    until five leavers are expected in each.

    Returns
    -------
    float
        NaN when there are too few leavers for two such spans.

    Examples
    --------
    >>> time, left = np.repeat([1.0, 2.0, 2.0], [500, 50, 450]), np.repeat([True, True, False], [500, 50, 450])
    >>> constant_hazard_test(time, left) < 1e-6
    True
    """
    from scipy.special import chdtrc, xlogy

    exposure, leavers = _exposure(time), _leavers(time, left)
    if entry is not None and entry.any():
        before = _exposure(np.append(entry, time.max()))[: exposure.size] - _exposure(time.max()[None])[: exposure.size]
        exposure = exposure - before
    hazard = leavers.sum() / exposure.sum()
    span = np.minimum(((exposure.cumsum() - exposure / 2) * hazard / 5).astype(int), int(leavers.sum() / 5) - 1)
    groups = np.unique(span, return_inverse=True)[1]
    n, e = np.bincount(groups, exposure), np.bincount(groups, leavers)
    whole = bool(np.all(time == np.floor(time)) and (entry is None or np.all(entry == np.floor(entry))))
    if len(n) < 2 or not hazard > 0 or (whole and hazard >= 1):
        return float("nan")
    gain = xlogy(e, e / n) - e * np.log(hazard)
    if whole:
        gain += xlogy(n - e, 1 - e / n) - (n - e) * np.log1p(-hazard)
    return float(chdtrc(len(n) - 1, max(2 * float(gain.sum()), 0.0)))
