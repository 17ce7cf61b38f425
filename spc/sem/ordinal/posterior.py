r"""What ordered answers say about normal variables behind them: intervals, their normal moments, modes and means.

An ordered answer says that a normal response lies between two thresholds. With ``P = Phi(b) - Phi(a)`` the probability
of the interval, its logarithm has the slope ``g = (phi(a) - phi(b)) / P`` in the mean of the response and the curvature
``-h`` with ``h = g^2 + (b phi(b) - a phi(a)) / P``; g is also the mean of the response within the interval, and
``1 - h`` its variance there.

The mode of what several such answers leave of the latent variables is found by Newton steps, as the logarithm is
concave. Their mean has no closed form: it is found by expectation propagation (Minka 2001; Cunningham, Hennig &
Lacoste-Julien 2011, arXiv:1111.6832), which replaces every interval by the normal factor that leaves mean and variance
of its response the same, given all other factors.
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_ndtr

from spc.linalg import FloatArray

__all__ = ["boxed_moments", "interval", "posterior_modes"]

_LOG_ROOT = 0.5 * float(np.log(2.0 * np.pi))
_STEPS, _HALVINGS, _SWEEPS = 200, 30, 200
_DONE = 1e-13
_LEAST_VARIANCE = 1e-12
_ROWS = 512


def interval(low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Logarithm of the probability of standard normal intervals, its slope in their mean and minus its curvature.

    Parameters
    ----------
    low, high : arrays
        Ends, which may be infinite; ``low < high``.

    Examples
    --------
    >>> log, slope, curvature = interval(np.array([0.0]), np.array([np.inf]))
    >>> float(np.exp(log[0])), float(slope[0].round(4)), float(curvature[0].round(4))
    (0.5, 0.7979, 0.6366)
    """
    turned = low + high > 0.0
    a, b = np.where(turned, -high, low), np.where(turned, -low, high)
    upper, lower = log_ndtr(b), log_ndtr(a)
    log = upper + np.log1p(-np.exp(np.minimum(lower - upper, -1e-16)))
    at_a, at_b = (np.exp(-0.5 * end**2 - _LOG_ROOT - log) for end in (a, b))
    slope = at_a - at_b
    finite_a, finite_b = np.where(np.isfinite(a), a, 0.0), np.where(np.isfinite(b), b, 0.0)
    curvature = np.clip(slope**2 + finite_b * at_b - finite_a * at_a, 0.0, 1.0)
    return log, np.where(turned, -slope, slope), curvature


def posterior_modes(
    precision: FloatArray, slopes: FloatArray, deviation: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Most likely latent values (n, m), and minus the curvature (n, m, m) of the likelihood of the answers there.

    Parameters
    ----------
    precision : (m, m) array
        Of the normal distribution of the latent variables around zero before the answers.
    slopes : (k, m) array
        Of the responses on the latent variables.
    deviation : (k,) array
        Of the responses around what these predict, independent of one another.
    low, high : (n, k) arrays
        Intervals of the responses, measured from their means.

    Examples
    --------
    >>> low, high = np.array([[0.0, 0.0]]), np.array([[np.inf, np.inf]])
    >>> mode, _ = posterior_modes(np.eye(1), np.ones((2, 1)), np.ones(2), low, high)
    >>> float(mode[0, 0].round(4))
    0.7653
    """
    spot = np.zeros((len(low), slopes.shape[1]))
    worth, slope, curvature = _worth(spot, precision, slopes, deviation, low, high)
    for _ in range(_STEPS):
        seen = np.einsum("nk,ki,kj->nij", curvature / deviation**2, slopes, slopes, optimize=True)
        gradient = (slope / deviation) @ slopes - spot @ precision
        step = np.linalg.solve(seen + precision, gradient[..., None])[..., 0]
        if float(np.einsum("ni,ni->n", gradient, step).max(initial=0.0)) < _DONE:
            break
        size = np.ones((len(spot), 1))
        for _ in range(_HALVINGS):
            found, slope, curvature = _worth(spot + size * step, precision, slopes, deviation, low, high)
            worse = found > worth + 1e-12 * (1.0 + np.abs(worth))
            if not worse.any():
                break
            size[worse] *= 0.5
        spot, worth = spot + size * step, found
    return spot, np.asarray(seen)


def _worth(
    spot: FloatArray,
    precision: FloatArray,
    slopes: FloatArray,
    deviation: FloatArray,
    low: FloatArray,
    high: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Minus the logarithm of the density (n,); slopes and curvatures (n, k) of the intervals."""
    middle = spot @ slopes.T
    log, slope, curvature = interval((low - middle) / deviation, (high - middle) / deviation)
    return 0.5 * np.einsum("ni,ij,nj->n", spot, precision, spot) - log.sum(axis=1), slope, curvature


def boxed_moments(
    mean: FloatArray, cov: FloatArray, low: FloatArray, high: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Means (n, k) and covariances (n, k, k) of normal variables within intervals, by expectation propagation.

    Exact for independent variables; with nine items of loading .5 the mean of their factor is within .0005 standard
    deviations of the integral, with loading .9 within .03.

    Parameters
    ----------
    mean : (n, k) array
    cov : (k, k) array
    low, high : (n, k) arrays

    Examples
    --------
    >>> mean, cov = boxed_moments(np.zeros((1, 1)), np.eye(1), np.zeros((1, 1)), np.full((1, 1), np.inf))
    >>> float(mean[0, 0].round(4)), float(cov[0, 0, 0].round(4))
    (0.7979, 0.3634)
    """
    pieces = [slice(start, start + _ROWS) for start in range(0, len(mean), _ROWS)]
    found = [_propagated(mean[rows], cov, low[rows], high[rows]) for rows in pieces]
    if not found:
        return mean, np.zeros((0, *cov.shape))
    return np.concatenate([one for one, _ in found]), np.concatenate([one for _, one in found])


def _propagated(mean: FloatArray, cov: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """One interval after the other takes its factor out, looks at the rest and puts a better one back."""
    middle, spread = mean.copy(), np.repeat(cov[None], len(mean), axis=0)
    factor, shift = np.zeros_like(mean), np.zeros_like(mean)
    for _ in range(_SWEEPS):
        moved = 0.0
        for i in range(mean.shape[1]):
            column, own = spread[:, :, i].copy(), spread[:, i, i].copy()
            rest = np.maximum(1.0 / own - factor[:, i], _LEAST_VARIANCE)
            centre = (middle[:, i] / own - shift[:, i]) / rest
            root = np.sqrt(rest)
            _, slope, curvature = interval((low[:, i] - centre) * root, (high[:, i] - centre) * root)
            within = np.maximum(1.0 - curvature, _LEAST_VARIANCE) / rest
            wanted = centre + slope / root
            more = 1.0 / within - rest - factor[:, i]
            push = wanted / within - centre * rest - shift[:, i]
            shrink = more / (1.0 + more * own)
            moved = max(moved, float((np.abs(wanted - middle[:, i]) / np.sqrt(own)).max(initial=0.0)))
            factor[:, i] += more
            shift[:, i] += push
            middle += (push * (1.0 - shrink * own) - shrink * middle[:, i])[:, None] * column
            spread -= shrink[:, None, None] * column[:, :, None] * column[:, None, :]
        if moved < 1e-10:
            break
    return middle, spread
