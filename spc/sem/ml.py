"""Maximum likelihood for complete normal data: the function, its gradient and its expected information.

    F = log|sigma| - log|T| + tr(T sigma^-1) - p + (m - mu)' sigma^-1 (m - mu)

With ``W = sigma^-1`` and ``M = W (T + r r' - sigma) W``, ``r = m - mu``, the score of a parameter (minus half of the
derivative of F) is ``p' M q + dmu' W r`` and the expected information of one row of data is
``(P'WP) o (Q'WQ) + (P'WQ) o (P'WQ)' + dmu' W dmu``: no Jacobian of all moments is ever formed. The observed
information adds terms in M, which vanish where the model fits; they too are products of small matrices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from spc.linalg import FloatArray
from spc.sem.ram import Directions, Implied, IntArray, Structure, directions, implied

__all__ = ["Point", "Products", "Sample", "bend", "curvature", "discrepancy", "products", "score_and_information"]


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
    inverse = lower + lower.T
    np.einsum("ii->i", inverse)[:] *= 0.5
    value = log_det - sample.log_det + float(np.vdot(sample.cov, inverse)) - p
    residual = None
    if place.meanstructure and sample.mean is not None:
        residual = sample.mean - at.mean[:p]
        value += float(residual @ inverse @ residual)
    return Point(value, at, inverse, log_det, residual) if math.isfinite(value) else None


@dataclass(frozen=True, eq=False, slots=True)
class Products:
    """Derivatives of some rows of the table and their products with W, which all second-order quantities share."""

    way: Directions
    wp: FloatArray
    wq: FloatArray
    pwp: FloatArray
    qwq: FloatArray
    pwq: FloatArray


def products(place: Structure, point: Point, rows: IntArray) -> Products:
    """``WP``, ``WQ``, ``P'WP``, ``Q'WQ`` and ``P'WQ`` of the given rows of the table."""
    way = directions(place, point.at, rows, place.n_observed)
    wp, wq = point.inverse @ way.p, point.inverse @ way.q
    return Products(way, wp, wq, way.p.T @ wp, way.q.T @ wq, way.p.T @ wq)


def score_and_information(
    place: Structure, point: Point, sample: Sample, rows: IntArray, known: Products | None = None
) -> tuple[FloatArray, FloatArray]:
    """Score and expected information of the given rows of the table, for one row of data.

    Parameters
    ----------
    place : Structure
    point : Point
    sample : Sample
    rows : (r,) int array
    known : Products, optional
        Of these rows at this point, where they are known already.

    Returns
    -------
    score : (r,) array
        Minus half of the gradient of F.
    information : (r, r) array
    """
    known = products(place, point, rows) if known is None else known
    way = known.way
    information = known.pwp * known.qwq + known.pwq * known.pwq.T
    target = sample.cov
    if point.residual_mean is not None:
        target = target + np.outer(point.residual_mean, point.residual_mean)
    score = np.einsum("ij,ij->j", known.wp, target @ known.wq) - known.pwq.diagonal()
    if way.mu is not None and point.residual_mean is not None:
        w_mu = point.inverse @ way.mu
        information += way.mu.T @ w_mu
        score += point.residual_mean @ w_mu
    return score, information


def curvature(
    place: Structure, point: Point, sample: Sample, rows: IntArray, known: Products | None = None
) -> FloatArray:
    """Observed less expected information of the given rows of the table, for one row of data.

    Half of the Hessian of F is the expected information plus
    ``tr(W dS_i M dS_j) - tr(M d2S_ij) / 2``, and in models with means the terms of ``r`` alike. Parameters are those
    of :func:`score_and_information`.

    Returns
    -------
    (r, r) array
    """
    known = products(place, point, rows) if known is None else known
    way, w = known.way, point.inverse
    target = sample.cov
    if point.residual_mean is not None:
        target = target + np.outer(point.residual_mean, point.residual_mean)
    m = w @ target @ w - w
    mp, mq = m @ way.p, m @ way.q
    cross = (way.p.T @ mq) * known.pwq.T
    first = cross + cross.T + (way.q.T @ mq) * known.pwp + (way.p.T @ mp) * known.qwq
    if way.mu is None or point.residual_mean is None:
        return first - bend(place, point.at, m, None, rows)
    pull = w @ point.residual_mean
    w_mu = w @ way.mu
    both = (pull @ way.p)[:, None] * (way.q.T @ w_mu) + (pull @ way.q)[:, None] * (way.p.T @ w_mu)
    return first + both + both.T - bend(place, point.at, m, pull, rows)


def bend(place: Structure, at: Implied, tension: FloatArray, pull: FloatArray | None, rows: IntArray) -> FloatArray:
    """``tr(tension d2 sigma) / 2 + pull' d2 mu`` for all pairs of rows of the table.

    Parameters
    ----------
    place : Structure
    at : Implied
    tension : (p, p) array
        Symmetric.
    pull : (p,) array, optional
        None leaves the means out.
    rows : (r,) int array

    Returns
    -------
    (r, r) array
    """
    result = _bend_of_covariances(place, at, tension, rows)
    return result if pull is None else result + _bend_of_means(place, at, pull, rows)


def _bend_of_covariances(place: Structure, at: Implied, m: FloatArray, rows: IntArray) -> FloatArray:
    """``tr(M d2S) / 2`` for all pairs of rows: none between covariances, which enter sigma linearly."""
    p, plan = place.n_observed, place.plan(rows)
    m_total = m @ at.total[:p]
    tt, tc = at.total[:p].T @ m_total, m_total.T @ at.covariance[:p]
    d, c = np.flatnonzero(plan.directed), np.flatnonzero(plan.covariance)
    i, j, k, el = plan.to[d], plan.source[d], plan.to[c], plan.source[c]
    from_source, to_target = at.total.take(j, axis=0), tt.take(i, axis=0)
    chain = from_source.take(i, axis=1) * tc.take(i, axis=0).take(j, axis=1)
    within = chain + chain.T + at.covariance.take(j, axis=0).take(j, axis=1) * to_target.take(i, axis=1)
    mixed = to_target.take(k, axis=1) * from_source.take(el, axis=1)
    mixed += to_target.take(el, axis=1) * from_source.take(k, axis=1)
    mixed *= plan.factor[c]
    blocks = np.zeros((rows.size, rows.size))
    first, second = slice(d.size), slice(d.size, d.size + c.size)
    blocks[first, first], blocks[first, second], blocks[second, first] = within, mixed, mixed.T
    back = np.argsort(place.part[rows], kind="stable").argsort()
    return blocks.take(back, axis=0).take(back, axis=1)


def _bend_of_means(place: Structure, at: Implied, pull: FloatArray, rows: IntArray) -> FloatArray:
    """``pull' d2 mu``: directed effects with one another, and with the intercepts they carry on."""
    plan = place.plan(rows)
    d, a = np.flatnonzero(plan.directed), np.flatnonzero(plan.intercept)
    lean = pull @ at.total[: place.n_observed]
    i, j = plan.to[d], plan.source[d]
    result = np.zeros((rows.size, rows.size))
    chain = at.total[np.ix_(j, i)] * np.outer(lean[i], at.mean[j])
    result[np.ix_(d, d)] = chain + chain.T
    mixed = at.total[np.ix_(j, plan.to[a])] * lean[i][:, None]
    result[np.ix_(d, a)], result[np.ix_(a, d)] = mixed, mixed.T
    return result
