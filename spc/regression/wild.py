"""Wild cluster bootstrap of a regression slope: tests and intervals that hold with few clusters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray

__all__ = ["WildSlope", "cluster_weights", "wild_slope"]

_WEBB = np.sqrt(np.array([1.5, 1.0, 0.5]))
_WEBB_BELOW = 13
_WIDEST = 60.0
_FINE = 1e-3


@dataclass(frozen=True)
class WildSlope:
    """A slope, its clustered error, and what the bootstrap says of it.

    Attributes
    ----------
    slope, error : float
        Least squares and the CR1 error.
    p_value : float
        That the slope is zero.
    low, high : float
        Values that the bootstrap does not reject; infinite where no end was found.
    clusters : int
    """

    slope: float
    error: float
    p_value: float
    low: float
    high: float
    clusters: int


def wild_slope(
    outcome: FloatArray,
    design: FloatArray,
    column: int,
    cluster: npt.ArrayLike | None = None,
    *,
    level: float = 0.95,
    draws: int = 999,
    rng: np.random.Generator,
) -> WildSlope:
    """Bootstrap one slope with the null imposed.

    Residuals under the hypothesis that the slope has a given value are turned over cluster by cluster, by signs at
    random or, below 13 clusters, by six-point weights. The interval holds the values whose p-value exceeds
    ``1 - level``.

    Parameters
    ----------
    outcome : (n,) array
    design : (n, k) array
        Of full rank, with its intercept.
    column : int
        Place of the slope in the design.
    cluster : (n,) array-like, optional
        Without it every row stands alone.
    level : float
    draws : int
    rng : Generator

    Returns
    -------
    WildSlope

    References
    ----------
    Cameron, Gelbach & Miller (2008), Review of Economics and Statistics 90, 414-427; Webb (2023), Canadian Journal of
    Economics 56, 839-858 (six-point weights); MacKinnon, Nielsen & Webb (2023), Journal of Econometrics 232, 272-299.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> shop = np.repeat(np.arange(12), 10)
    >>> x, shared = rng.normal(size=12)[shop], rng.normal(size=12)[shop]
    >>> y = x + shared + rng.normal(size=120)
    >>> found = wild_slope(y, np.column_stack([np.ones(120), x]), 1, shop, rng=rng)
    >>> found.clusters, found.low < 1.0 < found.high
    (12, True)
    """
    codes = np.arange(len(outcome)) if cluster is None else np.unique(np.asarray(cluster), return_inverse=True)[1]
    g = int(codes.max()) + 1
    order = np.argsort(codes, kind="stable")
    y, x, codes = outcome[order], design[order], codes[order]
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    weights = cluster_weights(g, draws, rng)
    target, rest = x[:, column], np.delete(x, column, axis=1)
    q, _ = np.linalg.qr(rest)
    own = target - q @ (q.T @ target)
    size = float(own @ own)
    full, _ = np.linalg.qr(x)
    factor = g / (g - 1.0) * (len(y) - 1.0) / (len(y) - x.shape[1])

    def t_values(values: FloatArray, null: FloatArray) -> FloatArray:
        slope = values @ own / size
        left = values - (values @ full) @ full.T
        pieces = np.add.reduceat(left * own, starts, axis=1)
        error = np.sqrt(factor * (pieces**2).sum(axis=1)) / size
        return np.asarray((slope - null) / np.maximum(error, 1e-300))

    slope = float(y @ own) / size
    left = y - full @ (full.T @ y)
    error = float(np.sqrt(factor * (np.add.reduceat(left * own, starts) ** 2).sum())) / size

    def p_value(null: float) -> float:
        moved = y - null * target
        fitted = q @ (q.T @ moved)
        drawn = fitted + null * target + weights[:, codes] * (moved - fitted)
        found = np.abs(t_values(drawn, np.full(draws, null)))
        return float((found >= abs((slope - null) / error) - 1e-10).mean())

    alpha = 1.0 - level
    ends = [_end(p_value, slope, side * error, alpha) for side in (-1.0, 1.0)]
    return WildSlope(slope, error, p_value(0.0), ends[0], ends[1], g)


def cluster_weights(clusters: int, draws: int, rng: np.random.Generator) -> FloatArray:
    """(draws, clusters) weights of mean 0 and variance 1: signs, or Webb's six points below 13 clusters."""
    if clusters >= _WEBB_BELOW:
        return np.asarray(rng.choice([-1.0, 1.0], (draws, clusters)))
    return np.asarray(rng.choice(np.concatenate([-_WEBB, _WEBB]), (draws, clusters)))


def _end(p_value: Callable[[float], float], slope: float, step: float, alpha: float) -> float:
    """Where the p-value falls to ``alpha``, walking out from the slope and then halving."""
    inner, outer = 0.0, 2.0
    while p_value(slope + outer * step) > alpha:
        inner, outer = outer, outer * 1.6
        if outer > _WIDEST:
            return float(np.copysign(np.inf, step))
    while outer - inner > _FINE:
        middle = 0.5 * (inner + outer)
        if p_value(slope + middle * step) > alpha:
            inner = middle
        else:
            outer = middle
    return slope + 0.5 * (inner + outer) * step
