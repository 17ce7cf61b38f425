"""True values behind a few noisy ones, with intervals that know how little is known of their spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spc.linalg import FloatArray

__all__ = ["Shrunken", "shrink"]

_STEPS = 400


@dataclass(frozen=True, eq=False)
class Shrunken:
    """Values shrunk to their mean.

    Attributes
    ----------
    mean, low, high : (k,) arrays
        Posterior means of the true values, and the interval of each.
    weight : (k,) array
        Share of a value's distance to the mean that is its own and not chance.
    centre : float
        Mean of true values.
    spread, spread_low, spread_high : float
        Standard deviation of true values: posterior median and interval.
    """

    mean: FloatArray
    low: FloatArray
    high: FloatArray
    weight: FloatArray
    centre: float
    spread: float
    spread_low: float
    spread_high: float


def shrink(value: FloatArray, variance: FloatArray, level: float = 0.95) -> Shrunken:
    r"""Shrink values of known chance variance, with all that is not known of their mean and spread in the intervals.

    Parameters
    ----------
    value, variance : (k,) arrays
        k of 3 at least; where all variances are zero the values are known.
    level : float

    Notes
    -----
    :math:`y_i \sim N(\theta_i, v_i)`, :math:`\theta_i \sim N(\mu, \tau^2)`, both :math:`\mu` and :math:`\tau` uniform.
    :math:`\mu` is integrated out in closed form (what is left is the restricted likelihood of :math:`\tau`) and
    :math:`\tau` on a grid; an interval holds the quantiles of the normals mixed so. Estimates that put a single value
    of :math:`\tau` in its place give an interval of no length where that value is zero.

    References
    ----------
    Gelman (2006), Bayesian Analysis 1, 515-534; Morris & Tang (2011), Statistical Science 26, 271-287.

    Examples
    --------
    >>> found = shrink(np.array([0.20, 0.21, 0.19, 0.20]), np.full(4, 0.02**2))
    >>> bool(found.spread_low < 0.01), bool((found.high - found.low).min() > 0.02)
    (True, True)
    """
    if not variance.any():
        spread = float(value.std(ddof=1))
        return Shrunken(value, value, value, np.ones_like(value), float(value.mean()), spread, spread, spread)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    tau, mass = _posterior(value, variance)
    total = variance[None, :] + tau[:, None] ** 2
    own = tau[:, None] ** 2 / total
    precision = (1 / total).sum(axis=1)
    centre = (value / total).sum(axis=1) / precision
    means = centre[:, None] + own * (value - centre[:, None])
    errors = np.sqrt(own * variance + (1 - own) ** 2 / precision[:, None])
    low, high = (_quantile(means, errors, mass, tail) for tail in tails)
    middle, least, most = np.interp([0.5, *tails], np.cumsum(mass), tau)
    return Shrunken(mass @ means, low, high, mass @ own, float(mass @ centre), float(middle), float(least), float(most))


def _posterior(value: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Grid of spreads, and the posterior mass of each."""
    scale = float(np.sqrt(np.median(variance)) + value.std())
    share = (np.arange(_STEPS) + 0.5) / _STEPS
    tau = scale * share / (1 - share)
    total = variance[None, :] + tau[:, None] ** 2
    precision = (1 / total).sum(axis=1)
    centre = (value / total).sum(axis=1) / precision
    fit = -0.5 * (np.log(total).sum(axis=1) + np.log(precision) + ((value - centre[:, None]) ** 2 / total).sum(axis=1))
    mass = np.exp(fit - fit.max()) / (1 - share) ** 2
    return tau, mass / mass.sum()


def _quantile(means: FloatArray, errors: FloatArray, mass: FloatArray, tail: float) -> FloatArray:
    """Quantile of each mixture of normals, by halving."""
    from scipy.special import ndtr

    low, high = (means - 12 * errors).min(axis=0), (means + 12 * errors).max(axis=0)
    for _ in range(60):
        middle = (low + high) / 2
        above = mass @ ndtr((middle - means) / errors) > tail
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.asarray((low + high) / 2)
