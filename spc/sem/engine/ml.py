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
from functools import cached_property

import numpy as np
from scipy.linalg.lapack import dpotrf

from spc.linalg import FloatArray, inverse_of_factor
from spc.sem.engine.ram import Implied, IntArray, Plan, Structure, implied

__all__ = [
    "Point", "Products", "Sample", "bend", "curvature", "discrepancy", "information", "products", "score",
    "score_and_information",
]  # fmt: skip


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
    inverse = inverse_of_factor(factor)
    value = log_det - sample.log_det + float(np.vdot(sample.cov, inverse)) - p
    residual = None
    if place.meanstructure and sample.mean is not None:
        residual = sample.mean - at.mean[:p]
        value += float(residual @ inverse @ residual)
    return Point(value, at, inverse, log_det, residual) if math.isfinite(value) else None


@dataclass(frozen=True, eq=False)
class Products:
    """Products with W and M that all derivatives at a point share.

    Every p and q is a column of ``U = F (C_s, B)``, but for a factor, with C_s the columns of variables that point at
    others: all products of directions are entries of ``U'WU`` and ``U'MU``.

    Attributes
    ----------
    plan : Plan
        Where the rows of the table find their p and q.
    gram, tension : (u, u) arrays
        ``U'WU`` and ``U'MU``.
    weight : (r,) array or None
        ``dmu = p weight``; None in models without means.
    pull : (u,) array or None
        ``r'WU``.
    """

    plan: Plan
    gram: FloatArray
    tension: FloatArray
    weight: FloatArray | None
    pull: FloatArray | None

    @cached_property
    def chosen(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """``P'WP``, ``Q'WQ`` and ``P'WQ``, without the factors of q."""
        return _chosen(self.plan, self.gram)


def products(place: Structure, point: Point, sample: Sample, rows: IntArray) -> Products:
    """Products of the directions of the given rows of the table."""
    plan, at, w, p = place.plan(rows), point.at, point.inverse, place.n_observed
    basis = np.concatenate([at.covariance[:p, place.pointing], at.total[:p]], axis=1)
    weighted = w @ basis
    gram = basis.T @ weighted
    target, weight, pull = sample.cov, None, None
    if point.residual_mean is not None:
        target = target + np.outer(point.residual_mean, point.residual_mean)
        weight, pull = plan.weight(at), point.residual_mean @ weighted
    tension = weighted.T @ (target @ weighted)
    tension -= gram
    return Products(plan, gram, tension, weight, pull)


def _chosen(plan: Plan, gram: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``P'XP``, ``Q'XQ`` and ``P'XQ`` from ``U'XU``, without the factors of q."""
    from_p = gram.take(plan.near, axis=0)
    from_q = gram.take(plan.far, axis=0)
    return from_p.take(plan.near, axis=1), from_q.take(plan.far, axis=1), from_p.take(plan.far, axis=1)


def score(known: Products) -> FloatArray:
    """Minus half of the gradient of F for the rows that the products are of (r,)."""
    plan = known.plan
    found = known.tension.take(plan.both) * plan.factor
    if known.weight is None or known.pull is None:
        return found
    return np.asarray(found + known.pull[plan.near] * known.weight)


def information(known: Products) -> FloatArray:
    """Expected information (r, r) of one row of data for the rows that the products are of."""
    pwp, qwq, pwq = known.chosen
    found = pwp * qwq
    found += pwq * pwq.T
    found *= known.plan.factors
    return found if known.weight is None else found + pwp * np.outer(known.weight, known.weight)


def score_and_information(
    place: Structure, point: Point, sample: Sample, rows: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Score (r,) and expected information (r, r) of the given rows of the table, for one row of data.

    Parameters
    ----------
    place : Structure
    point : Point
    sample : Sample
    rows : (r,) int array
    """
    known = products(place, point, sample, rows)
    return score(known), information(known)


def curvature(
    place: Structure, point: Point, sample: Sample, rows: IntArray, known: Products | None = None
) -> FloatArray:
    """Observed less expected information of the given rows of the table, for one row of data.

    Half of the Hessian of F is the expected information plus
    ``tr(W dS_i M dS_j) - tr(M d2S_ij) / 2``, and in models with means the terms of ``r`` alike.

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
    (r, r) array
    """
    known = products(place, point, sample, rows) if known is None else known
    plan, few, tension = known.plan, place.sources.size, known.tension
    pwp, qwq, pwq = known.chosen
    pmp, qmq, cross = _chosen(plan, tension)
    cross *= pwq.T
    result = cross + cross.T
    result += qmq * pwp
    result += pmp * qwq
    result *= plan.factors
    result -= _bend_of_covariances(place, point.at, tension[few:, few:], tension[few:, :few], rows)
    if known.weight is None or known.pull is None:
        return result
    to, source = known.pull[plan.near], known.pull[plan.far]
    both = (to[:, None] * pwq.T + source[:, None] * pwp) * np.outer(plan.factor, known.weight)
    return np.asarray(result + both + both.T - _bend_of_means(place, point.at, known.pull[few:], rows))


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
    total, covariance = at.total[: place.n_observed], at.covariance[: place.n_observed]
    turned = total.T @ tension
    result = _bend_of_covariances(place, at, turned @ total, turned @ covariance.take(place.sources, axis=1), rows)
    return result if pull is None else result + _bend_of_means(place, at, pull @ total, rows)


def _bend_of_covariances(place: Structure, at: Implied, tt: FloatArray, tc: FloatArray, rows: IntArray) -> FloatArray:
    """``tr(M d2S) / 2`` for all pairs of rows, from ``B'F'MFB`` and ``B'F'MFC_s``: none between covariances."""
    plan = place.plan(rows)
    d, c = plan.slopes, plan.spreads
    i, j, k, el = plan.to[d], plan.source[d], plan.to[c], plan.source[c]
    from_source, to_target = at.total.take(j, axis=0), tt.take(i, axis=0)
    chain = from_source.take(i, axis=1) * tc.take(i, axis=0).take(plan.far[d], axis=1)
    within = chain + chain.T + at.covariance.take(j, axis=0).take(j, axis=1) * to_target.take(i, axis=1)
    mixed = to_target.take(k, axis=1) * from_source.take(el, axis=1)
    mixed += to_target.take(el, axis=1) * from_source.take(k, axis=1)
    mixed *= plan.factor[c]
    blocks = np.zeros((rows.size, rows.size))
    first, second = slice(d.size), slice(d.size, d.size + c.size)
    blocks[first, first], blocks[first, second], blocks[second, first] = within, mixed, mixed.T
    return blocks if plan.back is None else blocks.take(plan.back, axis=0).take(plan.back, axis=1)


def _bend_of_means(place: Structure, at: Implied, lean: FloatArray, rows: IntArray) -> FloatArray:
    """``pull' d2 mu`` from ``lean = pull'FB``: directed effects with one another, and with intercepts they carry on."""
    plan = place.plan(rows)
    d, a = plan.slopes, np.flatnonzero(plan.intercept)
    i, j = plan.to[d], plan.source[d]
    result = np.zeros((rows.size, rows.size))
    chain = at.total[np.ix_(j, i)] * np.outer(lean[i], at.mean[j])
    result[np.ix_(d, d)] = chain + chain.T
    mixed = at.total[np.ix_(j, plan.to[a])] * lean[i][:, None]
    result[np.ix_(d, a)], result[np.ix_(a, d)] = mixed, mixed.T
    return result
