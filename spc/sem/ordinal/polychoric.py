"""Polychoric and polyserial correlations: thresholds first, then each correlation by maximum likelihood given them.

The correlation of a pair maximises ``sum n_ab log p_ab(rho)`` over the cells of its table, with

    p_ab = F(t_a, u_b) - F(t_a-1, u_b) - F(t_a, u_b-1) + F(t_a-1, u_b-1)

and F the bivariate normal distribution. All pairs move together, by Newton steps kept within bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, owens_t

from spc.linalg import FloatArray
from spc.sem.engine.ram import BoolArray, IntArray

__all__ = [
    "BOUND", "FAR", "Serial", "Tables", "binormal", "binormal_density", "cell_tables", "density", "polychoric",
    "polyserial", "safeguarded_step", "serial_rows", "thresholds",
]  # fmt: skip

BOUND = 0.999
FAR = 9.0
TOLERANCE = 1e-12
MAX_ITERATIONS = 100
_LEAST = 1e-300
_ZERO = 1e-20
_ROOT = np.sqrt(2.0 * np.pi)


def density(z: FloatArray) -> FloatArray:
    """Standard normal density."""
    return np.asarray(np.exp(-0.5 * z * z) / _ROOT)


def binormal(h: FloatArray, k: FloatArray, rho: FloatArray) -> FloatArray:
    """Probability that two standard normal variables correlated ``rho`` lie below ``h`` and ``k``.

    By Owen's T function, exact to the last digits everywhere; arrays are broadcast.

    References
    ----------
    Owen (1956), The Annals of Mathematical Statistics 27, 1075-1090.

    Examples
    --------
    >>> round(float(binormal(np.array(0.0), np.array(0.0), np.array(0.5))), 12)
    0.333333333333
    """
    h, k = np.where(np.abs(h) < _ZERO, _ZERO, h), np.where(np.abs(k) < _ZERO, _ZERO, k)
    root = np.sqrt((1.0 - rho) * (1.0 + rho))
    apart = owens_t(h, (k - rho * h) / (h * root)) + owens_t(k, (h - rho * k) / (k * root))
    return np.asarray(0.5 * (ndtr(h) + ndtr(k)) - apart - 0.5 * ((h < 0.0) != (k < 0.0)))


def binormal_density(h: FloatArray, k: FloatArray, rho: FloatArray) -> FloatArray:
    """Density of two standard normal variables correlated ``rho``: the derivative of F on rho (Plackett 1954)."""
    free = (1.0 - rho) * (1.0 + rho)
    return np.asarray(np.exp(-0.5 * (h * h - 2.0 * rho * h * k + k * k) / free) / (2.0 * np.pi * np.sqrt(free)))


def thresholds(once: FloatArray, sizes: IntArray) -> FloatArray:
    """Thresholds of each variable from how often each category was chosen.

    Parameters
    ----------
    once : (k, c) array
        Counts, padded with zeros.
    sizes : (k,) int array
        Number of categories of each variable.

    Returns
    -------
    (k, c - 1) array
        Beyond the last threshold of a variable: 9, past which a normal variable does not go.

    Examples
    --------
    >>> thresholds(np.array([[50.0, 50.0, 0.0]]), np.array([2])).tolist()
    [[0.0, 9.0]]
    """
    below = np.cumsum(once, axis=1)[:, :-1] / once.sum(axis=1, keepdims=True)
    beyond = np.arange(once.shape[1] - 1) >= sizes[:, None] - 1
    return np.where(beyond, FAR, ndtri(np.where(beyond, 0.5, below)))


@dataclass(frozen=True, eq=False, slots=True)
class Tables:
    """Cell probabilities of P pairs at given correlations, with their derivatives.

    Attributes
    ----------
    p, slope : (P, c, c) arrays
        Probabilities and derivatives on rho.
    first, second : (P, c - 1, c) and (P, c, c - 1) arrays
        Derivative of the probability below each threshold of the first variable, in each category of the second;
        and the other way round.
    """

    p: FloatArray
    slope: FloatArray
    first: FloatArray
    second: FloatArray


def cell_tables(h: FloatArray, k: FloatArray, rho: FloatArray) -> Tables:
    """Probabilities and derivatives of P tables with thresholds ``h`` and ``k`` (P, c - 1)."""
    r, a, b = rho[:, None, None], h[:, :, None], k[:, None, :]
    root = np.sqrt((1.0 - r) * (1.0 + r))
    first = density(a) * np.diff(ndtr((b - r * a) / root), axis=2, prepend=0.0, append=1.0)
    second = density(b) * np.diff(ndtr((a - r * b) / root), axis=1, prepend=0.0, append=1.0)
    return Tables(_probabilities(h, k, rho), _cells(binormal_density(a, b, r)), first, second)


def _probabilities(h: FloatArray, k: FloatArray, rho: FloatArray) -> FloatArray:
    pairs, c = h.shape[0], h.shape[1] + 1
    below = np.zeros((pairs, c + 1, c + 1))
    below[:, 1:c, 1:c] = binormal(h[:, :, None], k[:, None, :], rho[:, None, None])
    below[:, c, 1:c], below[:, 1:c, c], below[:, c, c] = ndtr(k), ndtr(h), 1.0
    return np.maximum(np.diff(np.diff(below, axis=1), axis=2), 0.0)


def _cells(corner: FloatArray) -> FloatArray:
    """Differences of a function of inner corners that is zero on the margin."""
    wide = np.pad(corner, ((0, 0), (1, 1), (1, 1)))
    return np.asarray(np.diff(np.diff(wide, axis=1), axis=2))


def polychoric(h: FloatArray, k: FloatArray, counts: FloatArray, start: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Correlations of P pairs of ordered variables given their thresholds.

    Parameters
    ----------
    h, k : (P, c - 1) arrays
        Thresholds of the first and second variables of the pairs.
    counts : (P, c, c) array
    start : (P,) array

    Returns
    -------
    rho : (P,) array
    edge : (P,) bool array
        At the bound of 0.999: the likelihood rises towards a perfect correlation.

    References
    ----------
    Olsson (1979), Psychometrika 44, 443-460 (the two-step estimator).
    """
    rho = np.clip(start, -0.9, 0.9)
    a, b = h[:, :, None], k[:, None, :]
    live = np.arange(rho.size)
    low, high = np.full(rho.size, -BOUND), np.full(rho.size, BOUND)
    for _ in range(MAX_ITERATIONS):
        r = rho[live]
        p = np.maximum(_probabilities(h[live], k[live], r), _LEAST)
        corner = binormal_density(a[live], b[live], r[:, None, None])
        slope = _cells(corner)
        bend = _cells(corner * _relative_slope(a[live], b[live], r[:, None, None]))
        share = counts[live] / p
        score = np.einsum("pab,pab->p", share, slope)
        curve = np.einsum("pab,pab->p", share, bend - slope * slope / p)
        rho[live], low[live], high[live] = safeguarded_step(r, score, curve, low[live], high[live])
        live = live[np.abs(rho[live] - r) > TOLERANCE]
        if not live.size:
            break
    return rho, np.abs(rho) >= BOUND - 1e-9


def _relative_slope(h: FloatArray, k: FloatArray, rho: FloatArray) -> FloatArray:
    """Derivative on rho of the logarithm of the bivariate density."""
    free = (1.0 - rho) * (1.0 + rho)
    return np.asarray((rho * free + (1.0 + rho * rho) * h * k - rho * (h * h + k * k)) / free**2)


def safeguarded_step(
    r: FloatArray, score: FloatArray, curve: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A Newton step on each correlation; bisection where it leaves the interval that holds the root of the score."""
    low, high = np.where(score > 0.0, r, low), np.where(score < 0.0, r, high)
    step = score / np.maximum(-curve, 1e-300)
    trial = r + step
    outside = (trial <= low) | (trial >= high) | (curve >= 0.0)
    edge = np.where(score > 0.0, high, low)
    middle = np.where(np.abs(edge) == BOUND, edge - 0.5 * (edge - r), 0.5 * (low + high))
    near = outside & (np.abs(edge) == BOUND) & (np.abs(edge - r) < 1e-4)
    trial = np.where(outside, np.where(near, edge, middle), trial)
    return np.where(score == 0.0, r, trial), low, high


@dataclass(frozen=True, eq=False, slots=True)
class Serial:
    """What each row of a continuous and an ordered variable says, at a given correlation.

    Attributes
    ----------
    score : (n, P) array
        Derivative of the log-likelihood on rho.
    curve : (n, P) array
        Second derivative.
    z : (n, P) array
        Derivative on the standardised value of the continuous variable.
    upper, lower : (n, P) arrays
        Derivatives on the thresholds above and below the category.
    """

    score: FloatArray
    curve: FloatArray
    z: FloatArray
    upper: FloatArray
    lower: FloatArray


def serial_rows(z: FloatArray, upper: FloatArray, lower: FloatArray, rho: FloatArray) -> Serial:
    """Derivatives of ``log P(category | z)``, with ``upper`` and ``lower`` the thresholds around it (n, P)."""
    root = np.sqrt((1.0 - rho) * (1.0 + rho))
    a, b = (upper - rho * z) / root, (lower - rho * z) / root
    p = np.maximum(np.where(b > 0.0, ndtr(-b) - ndtr(-a), ndtr(a) - ndtr(b)), 1e-300)
    da, db = density(a), density(b)
    ra, rb = (rho * upper - z) / root**3, (rho * lower - z) / root**3
    score = (da * ra - db * rb) / p
    turn_a = (upper * root**2 + 3.0 * rho * (rho * upper - z)) / root**5
    turn_b = (lower * root**2 + 3.0 * rho * (rho * lower - z)) / root**5
    bend = (da * (turn_a - a * ra * ra) - db * (turn_b - b * rb * rb)) / p
    return Serial(score, bend - score * score, -rho / root * (da - db) / p, da / root / p, -db / root / p)


def polyserial(z: FloatArray, upper: FloatArray, lower: FloatArray, start: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Correlations of P pairs of a continuous and an ordered variable, given mean, variance and thresholds.

    Parameters
    ----------
    z : (n, P) array
        Standardised values; rows that miss either variable hold 0.
    upper, lower : (n, P) arrays
        Thresholds around the answered category, +-9 beyond the outer ones and where either is missing.
    start : (P,) array

    Returns
    -------
    rho : (P,) array
    edge : (P,) bool array

    References
    ----------
    Olsson, Drasgow & Dorans (1982), Psychometrika 47, 337-347.
    """
    rho = np.clip(start, -0.9, 0.9)
    low, high = np.full(rho.size, -BOUND), np.full(rho.size, BOUND)
    for _ in range(MAX_ITERATIONS):
        rows = serial_rows(z, upper, lower, rho)
        moved, low, high = safeguarded_step(rho, rows.score.sum(axis=0), rows.curve.sum(axis=0), low, high)
        done = np.abs(moved - rho).max(initial=0.0) <= TOLERANCE
        rho = moved
        if done:
            break
    return rho, np.abs(rho) >= BOUND - 1e-9
