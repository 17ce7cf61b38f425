"""True values behind a few noisy ones, with intervals that know how little is known of their spread."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spc.linalg import FloatArray

__all__ = ["Shrunken", "shrink"]

_STEPS = 400
_CELLS = 40_000
_MANY = 5_000
_NEGLIGIBLE = 25.0


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
    of :math:`\tau` in its place give an interval of no length where that value is zero. Beyond 5,000 values the mixture
    is taken as one normal of its mean and variance, which by then it nearly is.

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
    middle, least, most = np.interp([0.5, *tails], np.cumsum(mass), tau)
    tau, mass = _thinned(tau, mass, len(value))
    found = _mixed(value, variance, tau, mass, tails)
    return Shrunken(*found, float(middle), float(least), float(most))


def _posterior(value: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Grid of spreads where they are likely, and the posterior mass of each."""
    scale = float(np.sqrt(np.median(variance)) + value.std())
    alike = _alike(value - value.mean(), variance)
    first, last = 0.0, 1.0
    for _ in range(2):
        step = (last - first) / _STEPS
        share = first + step * (np.arange(_STEPS) + 0.5)
        tau = scale * share / (1 - share)
        mass = _restricted(tau, *alike) - 2 * np.log1p(-share)
        likely = share[mass > mass.max() - _NEGLIGIBLE]
        first, last = max(likely[0] - step, 0.0), min(likely[-1] + step, 1.0)
    mass = np.exp(mass - mass.max())
    return tau, mass / mass.sum()


def _alike(value: FloatArray, variance: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Variances, how many values have each, their sums and sums of squares; many values are put together to 0.5 %."""
    if len(value) <= _MANY:
        return variance, np.ones_like(value), value, value**2
    _, code, n = np.unique(np.round(np.log(variance) * 200), return_inverse=True, return_counts=True)
    mean = np.bincount(code, variance) / n
    once, twice = (np.asarray(np.bincount(code, part), dtype=float) for part in (value, value**2))
    return mean, n.astype(float), once, twice


def _restricted(
    tau: FloatArray, variance: FloatArray, n: FloatArray, once: FloatArray, twice: FloatArray
) -> FloatArray:
    """Restricted log-likelihood of each spread."""
    total = variance[None, :] + tau[:, None] ** 2
    precision = (n / total).sum(axis=1)
    centre = (once / total).sum(axis=1) / precision
    squares = (twice / total).sum(axis=1) - precision * centre**2
    return np.asarray(-0.5 * ((n * np.log(total)).sum(axis=1) + np.log(precision) + squares))


def _thinned(tau: FloatArray, mass: FloatArray, k: int) -> tuple[FloatArray, FloatArray]:
    """Fewer spreads of equal mass where there are many values, whose spread is known the better."""
    many = max(_CELLS // k, 16)
    if many >= _STEPS:
        return tau, mass
    return np.interp((np.arange(many) + 0.5) / many, np.cumsum(mass), tau), np.full(many, 1 / many)


def _mixed(
    value: FloatArray, variance: FloatArray, tau: FloatArray, mass: FloatArray, tails: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, float]:
    """Means, ends of the intervals, weights and centre of the mixture over the spread."""
    from scipy.special import ndtri

    if len(value) <= _MANY:
        means, errors, own, centre = _given(value, variance, tau[:, None])
        low, high = (_quantile(means, errors, mass, tail) for tail in tails)
        return mass @ means, low, high, mass @ own, float(mass @ centre[:, 0])
    mean, square, weight, middle = np.zeros_like(value), np.zeros_like(value), np.zeros_like(value), 0.0
    for spread, part in zip(tau, mass, strict=True):
        means, errors, own, centre = _given(value, variance, spread)
        mean, square, weight = mean + part * means, square + part * (means**2 + errors**2), weight + part * own
        middle += float(part * centre[0])
    error = np.sqrt(np.maximum(square - mean**2, 0.0))
    low, high = (mean + float(ndtri(tail)) * error for tail in tails)
    return mean, low, high, weight, middle


def _given(
    value: FloatArray, variance: FloatArray, tau: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Means and errors of true values at a spread, their weights, and the centre."""
    total = variance + tau**2
    own, precision = tau**2 / total, (1 / total).sum(axis=-1, keepdims=True)
    centre = (value / total).sum(axis=-1, keepdims=True) / precision
    return centre + own * (value - centre), np.sqrt(own * variance + (1 - own) ** 2 / precision), own, centre


def _quantile(means: FloatArray, errors: FloatArray, mass: FloatArray, tail: float) -> FloatArray:
    """Quantile of each mixture of normals, by halving."""
    from scipy.special import ndtr

    low, high = (means - 12 * errors).min(axis=0), (means + 12 * errors).max(axis=0)
    for _ in range(36):
        middle = (low + high) / 2
        above = mass @ ndtr((middle - means) / errors) > tail
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return np.asarray((low + high) / 2)
