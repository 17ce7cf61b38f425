"""Maximum likelihood for complete normal data: the function, its gradient and its expected information.

    F = log|sigma| - log|T| + tr(T sigma^-1) - p + (m - mu)' sigma^-1 (m - mu)

With ``W = sigma^-1`` and ``M = W (T + r r' - sigma) W``, ``r = m - mu``, the score of a parameter (minus half of the
derivative of F) is ``p' M q + dmu' W r`` and the expected information of one row of data is
``(P'WP) o (Q'WQ) + (P'WQ) o (P'WQ)' + dmu' W dmu``: no Jacobian of all moments is ever formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from spc.linalg import FloatArray
from spc.sem.ram import Implied, IntArray, Structure, directions, implied

__all__ = ["Point", "Sample", "discrepancy", "score_and_information"]


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """What is fitted: covariances with the likelihood's divisor, means, and the log determinant.

    Attributes
    ----------
    cov : (p, p) array
    mean : (p,) array or None
    log_det : float
        Of ``cov``.
    """

    cov: FloatArray
    mean: FloatArray | None
    log_det: float


@dataclass(frozen=True, eq=False, slots=True)
class Point:
    """The discrepancy at some values, with what its derivatives need.

    Attributes
    ----------
    value : float
        F.
    at : Implied
    inverse : (p, p) array
        W.
    log_det : float
        Of sigma.
    residual_mean : (p,) array or None
        r.
    """

    value: float
    at: Implied
    inverse: FloatArray
    log_det: float
    residual_mean: FloatArray | None


def discrepancy(place: Structure, values: FloatArray, sample: Sample) -> Point | None:
    """Evaluate F; None where sigma is not positive definite or ``I - A`` has no inverse.

    Parameters
    ----------
    place : Structure
    values : (R,) array
        One value a row of the table.
    sample : Sample
    """
    try:
        at = implied(place, values)
    except np.linalg.LinAlgError:
        return None
    p = place.n_observed
    factor, fault = dpotrf(at.covariance[:p, :p], lower=1)
    if fault:
        return None
    log_det = 2.0 * float(np.log(factor.diagonal()).sum())
    lower, _ = dpotri(factor, lower=1)
    inverse = np.tril(lower)
    inverse = inverse + np.tril(inverse, -1).T
    value = log_det - sample.log_det + float(np.vdot(sample.cov, inverse)) - p
    residual = None
    if place.meanstructure and sample.mean is not None:
        residual = sample.mean - at.mean[:p]
        value += float(residual @ inverse @ residual)
    return Point(value, at, inverse, log_det, residual) if np.isfinite(value) else None


def score_and_information(
    place: Structure, point: Point, sample: Sample, rows: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Score and expected information of the given rows of the table, for one row of data.

    Returns
    -------
    score : (r,) array
        Minus half of the gradient of F.
    information : (r, r) array
    """
    way = directions(place, point.at, rows, place.n_observed)
    w = point.inverse
    wp, wq = w @ way.p, w @ way.q
    cross = way.p.T @ wq
    information = (way.p.T @ wp) * (way.q.T @ wq) + cross * cross.T
    target = sample.cov
    if point.residual_mean is not None:
        target = target + np.outer(point.residual_mean, point.residual_mean)
    score = np.einsum("ij,ij->j", wp, target @ wq) - cross.diagonal()
    if way.mu is not None and point.residual_mean is not None:
        w_mu = w @ way.mu
        information += way.mu.T @ w_mu
        score += point.residual_mean @ w_mu
    return score, information
