r"""Customers who differ in loyalty: the shifted beta-geometric model of contractual retention.

Each customer leaves at every renewal with a chance :math:`\theta` of her own, and :math:`\theta` follows a beta
distribution over customers. Those who leave soonest go first, so the share that leaves falls with tenure although
nobody changes:

.. math:: h(t) = \alpha / (\alpha + \beta + t - 1), \qquad S(t) = B(\alpha, \beta + t) / B(\alpha, \beta).

The likelihood depends on the life table alone, :math:`\sum_t e_t \log h(t) + (n_t - e_t) \log(1 - h(t))`, and
customers who joined before the ledger began add to no period before it (left truncation). With broken tenures the
hazard runs on evenly within a period.

References: Fader & Hardie (2007), *Journal of Interactive Marketing* 21; (2010), *Marketing Science* 29.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from spc.economics.lifetable import LifeTable
from spc.errors import NonConvergenceError, UsageError
from spc.linalg import FloatArray

__all__ = [
    "MOST_ALIKE",
    "Maximum",
    "coordinates",
    "loglik",
    "logs",
    "maximise",
    "residual_lifetime",
    "scores",
    "survival",
]

MOST_ALIKE = 1e4
"""Largest alpha + beta: beyond it nobody can tell the customers' rates from one rate for all."""


def survival(period: npt.ArrayLike, alpha: npt.ArrayLike, beta: npt.ArrayLike) -> FloatArray:
    """Share still there after ``period`` renewals.

    Examples
    --------
    >>> survival([1, 8, 12], 0.668, 3.806).round(3).tolist()
    [0.851, 0.46, 0.378]
    """
    from scipy.special import betaln

    t, a, b = (np.asarray(x, dtype=float) for x in (period, alpha, beta))
    return np.asarray(np.exp(betaln(a, b + t) - betaln(a, b)))


def residual_lifetime(
    alpha: npt.ArrayLike, beta: npt.ArrayLike, discount: float, *, renewals: npt.ArrayLike = 0
) -> FloatArray:
    r"""Discounted expected residual lifetime of a customer who has renewed ``renewals`` times and is due again.

    The next renewal is uncertain and counts undiscounted: :math:`\sum_{t > n} S(t) / S(n) / (1 + d)^{t - n - 1}`, which
    is the chance of the next renewal times :math:`{}_2F_1(1, \beta + n + 1; \alpha + \beta + n + 1; 1 / (1 + d))`.

    Parameters
    ----------
    alpha, beta : float or array-like
    discount : float
        Above 0.
    renewals : int or array-like
        How often the customer has renewed.

    Returns
    -------
    (...) array

    Raises
    ------
    UsageError
        A discount of 0 or less.

    References
    ----------
    Fader & Hardie (2010), *Marketing Science* 29.

    Examples
    --------
    >>> round(float(residual_lifetime(0.668, 3.806, 0.10, renewals=7)), 2)
    7.53
    """
    if not discount > 0:
        raise UsageError(f"The discount is {discount!r}; expected a share above 0, since the sum has no horizon.")
    a, b, n = (np.asarray(x, dtype=float) for x in np.broadcast_arrays(alpha, beta, renewals))
    total, term = np.zeros(a.shape), np.ones(a.shape)
    for t in range(1_000_000):
        term = term * (b + n + t) / (a + b + n + t) / (1.0 if t == 0 else 1.0 + discount)
        total = total + term
        if t % 16 == 0 and np.all(term <= 1e-17 * discount * total):
            break
    return np.asarray(total)


class Maximum(NamedTuple):
    """Where the likelihood is largest.

    Attributes
    ----------
    coefficients : (2, k) array
        Of log alpha (first row) and log beta on the columns of the design.
    scores : (G, 2 k) array
        What each table adds to the gradient, alpha's coefficients first.
    information : (2 k, 2 k) array
        Observed.
    loglik : float
    edge : bool
        Whether no difference between customers was found, so that alpha + beta stands at its largest.
    """

    coefficients: FloatArray
    scores: FloatArray
    information: FloatArray
    loglik: float
    edge: bool


def maximise(table: LifeTable, design: FloatArray | None = None) -> Maximum:
    """Maximum likelihood by Newton's method on log alpha and log beta, with analytic derivatives.

    Parameters
    ----------
    table : LifeTable
        (T,) or (G, T), one table for each row of the design.
    design : (G, k) array, optional
        First column ones; the others, centred, move log alpha and log beta of their group.

    Raises
    ------
    NonConvergenceError
        No maximum was found, such as when nobody left.
    """
    n, e = np.atleast_2d(table.exposure), np.atleast_2d(table.events)
    z = np.ones((n.shape[0], 1)) if design is None else design
    if not 0 < e.sum() < n.sum():
        raise NonConvergenceError(
            "Somebody must have left and somebody stayed for a model of who leaves. Use the plain rate of retention."
        )
    x = np.concatenate([np.r_[start, np.zeros(z.shape[1] - 1)] for start in _start(n.sum(axis=0), e.sum(axis=0))])
    return _newton(x, n, e, z, table.whole)


def _start(n: FloatArray, e: FloatArray) -> FloatArray:
    """Log alpha and log beta from the first period's share of leavers and how it falls (regression of 1 / h on t)."""
    seen = e > 0
    t, inverse = np.flatnonzero(seen).astype(float), n[seen] / e[seen]
    weight = e[seen]
    middle = (weight @ t) / weight.sum()
    spread = weight @ (t - middle) ** 2
    slope = weight @ ((t - middle) * inverse) / spread if spread > 0 else 0.0
    alpha = 1.0 / min(max(slope, 0.02), 5.0)
    level = max((weight @ inverse) / weight.sum() - middle / alpha, 1.05)
    return np.log([alpha, max(alpha * (level - 1.0), 0.01)])


def loglik(
    log_alpha: FloatArray, log_beta: FloatArray, exposure: FloatArray, events: FloatArray, whole: bool
) -> FloatArray:
    """Log likelihood of life tables (..., T) at parameters (...)."""
    a, b = np.exp(log_alpha)[..., None], np.exp(log_beta)[..., None] + np.arange(exposure.shape[-1])
    run = np.log1p(a / b)
    return np.asarray(_terms(run, exposure, events, whole)[0].sum(axis=-1))


def _terms(run: FloatArray, n: FloatArray, e: FloatArray, whole: bool) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Log likelihood and its first two derivatives in the cumulative hazard of each period."""
    if whole:
        rise = np.expm1(run)
        value = e * np.log(-np.expm1(-run)) - (n - e) * run
        return value, e / rise - (n - e), -e * (rise + 1.0) / rise**2
    return e * np.log(run) - n * run, e / run - n, -e / run**2


def _derivatives(
    x: FloatArray, n: FloatArray, e: FloatArray, z: FloatArray, whole: bool
) -> tuple[float, FloatArray, FloatArray]:
    """Log likelihood, scores of the groups (G, 2 k) and Hessian in the coefficients of log alpha and log beta."""
    k = z.shape[1]
    a, b = np.exp(z @ x[:k])[:, None], np.exp(z @ x[k:])[:, None]
    later = b + np.arange(n.shape[1])
    s = a + later
    value, first, second = _terms(np.log1p(a / later), n, e, whole)
    da, db = a / s, b * (1.0 / s - 1.0 / later)
    daa = da - a**2 / s**2
    dbb = db + b**2 * (1.0 / later**2 - 1.0 / s**2)
    dab = -a * b / s**2
    rows = np.hstack([z * (first * d).sum(axis=1)[:, None] for d in (da, db)])
    block = [
        [_square(z, second * da**2 + first * daa), _square(z, second * da * db + first * dab)],
        [_square(z, second * da * db + first * dab), _square(z, second * db**2 + first * dbb)],
    ]
    return float(value.sum()), rows, np.block(block)


def coordinates(log_alpha: npt.ArrayLike, log_beta: npt.ArrayLike) -> FloatArray:
    """Log odds of leaving at the first renewal, and ``log(1 + 1 / (alpha + beta))``, (..., 2).

    In them ``h(t) = p / (1 + s (t - 1))`` with ``s = 1 / (alpha + beta)``, so the likelihood is as regular at no
    difference between customers, ``s = 0``, as anywhere else.

    Examples
    --------
    >>> coordinates(np.log(1.0), np.log(3.0)).round(4).tolist()
    [-1.0986, 0.2231]
    """
    a, b = np.asarray(log_alpha, dtype=float), np.asarray(log_beta, dtype=float)
    return np.stack([a - b, np.log1p(np.exp(-np.logaddexp(a, b)))], axis=-1)


def logs(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Log alpha and log beta at :func:`coordinates` (..., 2)."""
    from scipy.special import log_expit

    spread = np.log(np.expm1(x[..., 1]))
    return log_expit(x[..., 0]) - spread, log_expit(-x[..., 0]) - spread


def scores(x: FloatArray, table: LifeTable) -> tuple[FloatArray, FloatArray]:
    """Gradient (..., 2) and expected information (..., 2, 2) of life tables (..., T) at common :func:`coordinates`."""
    from scipy.special import expit

    p, s = float(expit(x[0])), math.expm1(float(x[1]))
    before = np.arange(table.periods)
    leave = p / (1.0 + s * before)
    slope = leave[:, None] * np.column_stack([np.full(before.size, 1.0 - p), -before * (1.0 + s) / (1.0 + s * before)])
    mean, spread = leave, leave * (1.0 - leave)
    if not table.whole:
        slope, mean = slope / (1.0 - leave)[:, None], -np.log1p(-leave)
        spread = mean
    gradient = ((table.events - table.exposure * mean) / spread) @ slope
    information = np.einsum("...t,ti,tj->...ij", table.exposure / spread, slope, slope)
    return gradient, information


def _square(z: FloatArray, weight: FloatArray) -> FloatArray:
    return np.asarray(z.T @ (weight.sum(axis=1)[:, None] * z))


def _newton(x: FloatArray, n: FloatArray, e: FloatArray, z: FloatArray, whole: bool) -> Maximum:
    value, rows, hessian = _derivatives(x, n, e, z, whole)
    k = z.shape[1]
    for _ in range(200):
        gradient = rows.sum(axis=0)
        values, vectors = np.linalg.eigh(-hessian)
        floor = 1e-8 * max(float(np.abs(values).max()), 1e-12)
        step = vectors @ ((vectors.T @ gradient) / np.maximum(np.abs(values), floor))
        step *= min(1.0, 3.0 / float(np.abs(step).max()))
        edge = math.exp(x[0]) + math.exp(x[k]) > MOST_ALIKE
        if edge or float(gradient @ step) < 1e-12 * (1.0 + abs(value)):
            return Maximum(x.reshape(2, -1), rows, -hessian, value, edge)
        for _ in range(40):
            ahead = _derivatives(x + step, n, e, z, whole)
            if math.isfinite(ahead[0]) and ahead[0] >= value:
                break
            step = step / 2.0
        else:
            return Maximum(x.reshape(2, -1), rows, -hessian, value, False)
        x, (value, rows, hessian) = x + step, ahead
    raise NonConvergenceError(
        "The shifted beta-geometric model found no maximum in 200 steps. There may be too few periods or leavers; use "
        "one rate for all, or the Kaplan-Meier curve."
    )
