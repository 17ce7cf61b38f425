"""Intervals and p values from replicates of one number."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from spc.linalg import FloatArray

__all__ = ["bca_interval", "percentile_interval", "two_sided"]


def percentile_interval(draws: FloatArray, level: float) -> tuple[float, float]:
    """Quantiles that leave half of ``1 - level`` on either side.

    Examples
    --------
    >>> low, high = percentile_interval(np.arange(101.0), 0.9)
    >>> round(low, 6), round(high, 6)
    (5.0, 95.0)
    """
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail])
    return float(low), float(high)


def bca_interval(draws: FloatArray, estimate: float, acceleration: float, level: float) -> tuple[float, float]:
    """Bias-corrected and accelerated interval: percentiles moved for bias and for an error that grows with the value.

    With ``z0`` the normal quantile of the share of draws below the estimate (ties count half) and ``a`` the
    acceleration, the level ``u`` is replaced by ``ndtr(z0 + (z0 + z) / (1 - a (z0 + z)))`` with ``z = ndtri(u)``.

    Returns
    -------
    tuple of float
        NaN where all draws lie on one side of the estimate.

    References
    ----------
    Efron (1987), Journal of the American Statistical Association 82, 171-185.

    Examples
    --------
    >>> draws = np.arange(101.0)
    >>> low, high = bca_interval(draws, 50.0, 0.0, 0.9)
    >>> round(low, 6), round(high, 6)
    (5.0, 95.0)
    >>> bca_interval(draws, 55.0, 0.0, 0.9)[0] > low
    True
    """
    below = float((draws < estimate).mean() + 0.5 * (draws == estimate).mean())
    if not 0.0 < below < 1.0:
        return float("nan"), float("nan")
    bias = float(ndtri(below))
    moved = bias + ndtri(np.array([(1.0 - level) / 2.0, (1.0 + level) / 2.0]))
    low, high = np.quantile(draws, ndtr(bias + moved / (1.0 - acceleration * moved)))
    return float(low), float(high)


def two_sided(draws: FloatArray) -> float:
    """Twice the smaller share of draws on either side of zero, the estimate counted with them.

    Examples
    --------
    >>> two_sided(np.arange(1.0, 100.0))
    0.02
    """
    side = 1 + min(int((draws <= 0.0).sum()), int((draws >= 0.0).sum()))
    return min(1.0, 2.0 * side / (len(draws) + 1))
