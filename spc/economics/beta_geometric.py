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
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.economics.lifetable import LifeTable
from spc.errors import NonConvergenceError, UsageError
from spc.linalg import FloatArray, frozen_array
from spc.results import Note, tidy_frame

__all__ = [
    "MOST_ALIKE",
    "BetaGeometric",
    "coordinates",
    "fit_beta_geometric",
    "loglik",
    "logs",
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


@dataclass(frozen=True, eq=False)
class BetaGeometric:
    """A fitted shifted beta-geometric model.

    Attributes
    ----------
    coefficients : (2, k) array
        Of log alpha (first row) and log beta on the columns of the design; k = 1 without covariates.
    vcov : (2 k, 2 k) array
        Inverse of the observed information, alpha's coefficients first.
    names : tuple of str
        Columns of the design; the first is ``"(intercept)"``.
    loglik : float
    edge : bool
        Whether no difference between customers was found, so that alpha + beta stands at its largest.
    """

    coefficients: FloatArray
    vcov: FloatArray
    names: tuple[str, ...]
    loglik: float
    edge: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "coefficients", frozen_array(self.coefficients))
        object.__setattr__(self, "vcov", frozen_array(self.vcov))

    @property
    def kind(self) -> str:
        """``"beta_geometric"``."""
        return "beta_geometric"

    def tidy(self) -> pd.DataFrame:
        """Alpha and beta, and how covariates move their logarithms, with 95 % intervals."""
        return tidy_frame(rows(self, 0.95))

    def glance(self) -> pd.DataFrame:
        """One row: log likelihood, parameters, AIC, and whether no difference between customers was found."""
        k = self.coefficients.size
        return pd.DataFrame([{"logl": self.loglik, "npar": k, "aic": 2 * k - 2 * self.loglik, "edge": self.edge}])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the parameters."""
        if not self.edge:
            return ()
        return (Note.of("customers_alike", "info", "alpha"),)

    @property
    def alpha(self) -> float:
        """At zero covariates."""
        return math.exp(self.coefficients[0, 0])

    @property
    def beta(self) -> float:
        """At zero covariates."""
        return math.exp(self.coefficients[1, 0])


def fit_beta_geometric(
    table: LifeTable, design: FloatArray | None = None, names: tuple[str, ...] = ("(intercept)",)
) -> BetaGeometric:
    """Fit by maximum likelihood: Newton's method on log alpha and log beta, with analytic derivatives.

    Parameters
    ----------
    table : LifeTable
        (T,) or (G, T), one table for each distinct row of the design.
    design : (G, k) array, optional
        First column ones; covariates move log alpha and log beta of their group.
    names : tuple of str

    Returns
    -------
    BetaGeometric

    Raises
    ------
    NonConvergenceError
        No maximum was found, such as when nobody left.

    Examples
    --------
    >>> stay = np.array([1, .869, .743, .653, .593, .551, .517, .491])
    >>> table = LifeTable(1000 * stay[:-1], 1000 * (stay[:-1] - stay[1:]))
    >>> fit = fit_beta_geometric(table)
    >>> round(fit.alpha, 3), round(fit.beta, 3)
    (0.668, 3.806)
    """
    n, e = np.atleast_2d(table.exposure), np.atleast_2d(table.events)
    z = np.ones((n.shape[0], 1)) if design is None else np.asarray(design, dtype=float)
    if not 0 < e.sum() < n.sum():
        raise NonConvergenceError(
            "Somebody must have left and somebody stayed for a model of who leaves. Use the plain rate of retention."
        )
    x = np.concatenate([np.r_[start, np.zeros(z.shape[1] - 1)] for start in _start(n.sum(axis=0), e.sum(axis=0))])
    x, value, hessian, edge = _newton(x, n, e, z, table.whole)
    vcov = _inverse(-hessian, edge, z.shape[1])
    return BetaGeometric(x.reshape(2, -1), vcov, names, value, edge)


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
    """Log likelihood, gradient and Hessian in the coefficients of log alpha and log beta."""
    k = z.shape[1]
    a, b = np.exp(z @ x[:k])[:, None], np.exp(z @ x[k:])[:, None]
    later = b + np.arange(n.shape[1])
    s = a + later
    value, first, second = _terms(np.log1p(a / later), n, e, whole)
    da, db = a / s, b * (1.0 / s - 1.0 / later)
    daa = da - a**2 / s**2
    dbb = db + b**2 * (1.0 / later**2 - 1.0 / s**2)
    dab = -a * b / s**2
    gradient = np.concatenate([z.T @ (first * d).sum(axis=1) for d in (da, db)])
    block = [
        [_square(z, second * da**2 + first * daa), _square(z, second * da * db + first * dab)],
        [_square(z, second * da * db + first * dab), _square(z, second * db**2 + first * dbb)],
    ]
    return float(value.sum()), gradient, np.block(block)


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


def _newton(
    x: FloatArray, n: FloatArray, e: FloatArray, z: FloatArray, whole: bool
) -> tuple[FloatArray, float, FloatArray, bool]:
    value, gradient, hessian = _derivatives(x, n, e, z, whole)
    k = z.shape[1]
    for _ in range(200):
        values, vectors = np.linalg.eigh(-hessian)
        floor = 1e-8 * max(float(np.abs(values).max()), 1e-12)
        step = vectors @ ((vectors.T @ gradient) / np.maximum(np.abs(values), floor))
        step *= min(1.0, 3.0 / float(np.abs(step).max()))
        if math.exp(x[0]) + math.exp(x[k]) > MOST_ALIKE:
            return x, value, hessian, True
        if float(gradient @ step) < 1e-12 * (1.0 + abs(value)):
            return x, value, hessian, False
        for _ in range(40):
            ahead = _derivatives(x + step, n, e, z, whole)
            if math.isfinite(ahead[0]) and ahead[0] >= value:
                break
            step = step / 2.0
        else:
            return x, value, hessian, False
        x, (value, gradient, hessian) = x + step, ahead
    raise NonConvergenceError(
        "The shifted beta-geometric model found no maximum in 200 steps. There may be too few periods or leavers; use "
        "one rate for all, or the Kaplan-Meier curve."
    )


def _inverse(information: FloatArray, edge: bool, k: int) -> FloatArray:
    """Covariance; NaN where the customers cannot be told apart, since alpha and beta then have no finite error."""
    values = np.linalg.eigvalsh(information)
    if edge or values[0] <= 1e-12 * values[-1]:
        return np.full((2 * k, 2 * k), np.nan)
    return np.asarray(np.linalg.inv(information))


def rows(fit: BetaGeometric, level: float) -> list[dict[str, Any]]:
    """Tidy rows: coefficients of log alpha and log beta, and alpha and beta themselves."""
    from scipy.special import ndtri

    width = float(ndtri((1 + level) / 2))
    errors = np.sqrt(fit.vcov.diagonal()).reshape(2, -1)
    found: list[dict[str, Any]] = []
    for lhs, values, spread in zip(("alpha", "beta"), fit.coefficients, errors, strict=True):
        for name, value, error in zip(fit.names, values, spread, strict=True):
            low, high = value - width * error, value + width * error
            own = name == "(intercept)"
            change = math.exp if own else float
            found.append(
                {
                    "lhs": lhs if own else f"log {lhs}",
                    "rhs": "" if own else name,
                    "kind": "parameter" if own else "coefficient",
                    "estimate": change(value),
                    "std_error": error * (math.exp(value) if own else 1.0),
                    "conf_low": change(low) if math.isfinite(low) else math.nan,
                    "conf_high": change(high) if math.isfinite(high) else math.nan,
                }
            )
    return found
