"""The normal likelihood of rows with missing answers, as a function of means and covariances.

For a pattern k of n_k rows with means m_k and cross-products S_k of what is answered,

    F = sum_k n_k / N (log|sigma_k| + tr(W_k (S_k + d_k d_k')),    d_k = m_k - mu_k,    W_k = sigma_k^-1.

``W_k``, with zeros where answers are missing, is ``W - W_m (W_mm)^-1 W_m'`` with W the inverse of all of sigma and m
what is missing; ``log|sigma_k| = log|sigma| + log|W_mm|``. So F and its gradient cost two products of the data with
W and one small inverse a pattern, whatever the number of variables, and the second derivatives are one product of
the stacked ``vech(W_k)``. Everything is for one row of data, as in :mod:`spc.sem.engine.ml`: F has no constant term,
and a score is minus half of a derivative of F.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.linalg.lapack import dpotrf

from spc.linalg import FloatArray, inverse_of_factor
from spc.moments import Patterns
from spc.sem.engine.ram import IntArray

__all__ = [
    "Incomplete", "Likelihood", "curvature_in_moments", "information_in_moments", "lay_out", "likelihood",
    "scores_in_moments", "variation_in_moments",
]  # fmt: skip

_BLOCK = 4_000_000


@dataclass(frozen=True, eq=False, slots=True)
class Group:
    """Patterns with the same number of missing answers.

    Attributes
    ----------
    patterns : (g,) int array
    missing : (g, m) int array
        Variables without an answer.
    rows : (r,) int array
        Rows of :class:`Incomplete` that belong to these patterns.
    within : (r,) int array
        Their pattern, counted within the group.
    """

    patterns: IntArray
    missing: IntArray
    rows: IntArray
    within: IntArray


@dataclass(frozen=True, eq=False, slots=True)
class Incomplete:
    """Patterns laid out for the likelihood.

    Attributes
    ----------
    n : (K,) array
        Rows of each pattern.
    total : float
        N.
    answered : (K, p) array
        1 where answered, else 0.
    mean : (K, p) array
        0 where missing.
    spread : (R, p) array
        Rows whose outer products sum to ``n_k S_k``, 0 where missing.
    owner : (K + R,) int array
        Pattern of the means, then of the rows of ``spread``.
    groups : tuple of Group
    """

    n: FloatArray
    total: float
    answered: FloatArray
    mean: FloatArray
    spread: FloatArray
    owner: IntArray
    groups: tuple[Group, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Likelihood:
    """F at some moments, and its gradient.

    Attributes
    ----------
    value : float
        F.
    inverse : (p, p) array
        W.
    log_det : float
        Of sigma.
    pull : (p,) array
        Minus half of the derivative of F in the means.
    tension : (p, p) array
        M: a change ``p q' + q p'`` of sigma has the score ``p' M q``.
    weighted : (K + R, p) array
        ``W_k`` times the root of ``n_k`` times ``d_k``, then times the rows of the spread.
    """

    value: float
    inverse: FloatArray
    log_det: float
    pull: FloatArray
    tension: FloatArray
    weighted: FloatArray


def lay_out(patterns: Patterns, scale: FloatArray, origin: FloatArray | None = None) -> Incomplete:
    """Divide by ``scale``, after taking ``origin`` off, and group the patterns by how much is missing."""
    answered = patterns.observed.astype(np.float64)
    origin = np.zeros(len(scale)) if origin is None else origin
    mean = (patterns.mean - origin) / scale * answered
    owner = np.concatenate([np.arange(len(mean)), patterns.pattern])
    missing = (~patterns.observed).sum(axis=1)
    groups = tuple(_group(patterns, owner, missing, m) for m in np.unique(missing) if m)
    return Incomplete(patterns.n, float(patterns.n.sum()), answered, mean, patterns.spread / scale, owner, groups)


def _group(patterns: Patterns, owner: IntArray, missing: IntArray, m: int) -> Group:
    chosen = np.flatnonzero(missing == m)
    where = np.nonzero(~patterns.observed[chosen])[1].reshape(chosen.size, m)
    number = np.full(len(missing), -1)
    number[chosen] = np.arange(chosen.size)
    rows = np.flatnonzero(number[owner] >= 0)
    return Group(chosen, where, rows, number[owner[rows]])


def likelihood(data: Incomplete, mu: FloatArray, sigma: FloatArray) -> Likelihood | None:
    """Evaluate F and its gradient; None where sigma is not positive definite.

    Parameters
    ----------
    data : Incomplete
    mu : (p,) array
    sigma : (p, p) array
    """
    factor, fault = dpotrf(sigma, lower=1)
    if fault:
        return None
    log_det = 2.0 * float(np.log(factor.diagonal()).sum())
    inverse = inverse_of_factor(factor)
    root = np.sqrt(data.n)
    gaps = np.concatenate([root[:, None] * (data.mean - mu * data.answered), data.spread])
    weighted = gaps @ inverse
    value = data.total * log_det
    absent = np.zeros_like(gaps)
    p = len(mu)
    lost = np.zeros(p * p)
    for group in data.groups:
        blocks = inverse[group.missing[:, :, None], group.missing[:, None, :]]
        log_dets, inverses = _stacked(blocks)
        if log_dets is None or inverses is None:
            return None
        value += float(data.n[group.patterns] @ log_dets)
        where = group.missing[group.within]
        known = np.take_along_axis(weighted[group.rows], where, axis=1)
        absent[group.rows[:, None], where] = np.einsum("rab,rb->ra", inverses[group.within], known)
        places = (group.missing[:, :, None] * p + group.missing[:, None, :]).ravel()
        lost += np.bincount(places, (inverses * data.n[group.patterns][:, None, None]).ravel(), p * p)
    weighted -= absent @ inverse
    value += float(np.vdot(gaps, weighted))
    tension = (weighted.T @ weighted + inverse @ lost.reshape(p, p) @ inverse) / data.total - inverse
    pull = root @ weighted[: len(root)] / data.total
    value /= data.total
    return Likelihood(value, inverse, log_det, pull, tension, weighted) if np.isfinite(value) else None


def _stacked(blocks: FloatArray) -> tuple[FloatArray, FloatArray] | tuple[None, None]:
    """Log determinants and inverses of stacked matrices; none where one has no inverse."""
    if blocks.shape[-1] == 1:
        if blocks.min() <= 0:
            return None, None
        logs: FloatArray = np.log(blocks[:, 0, 0])
        reciprocals: FloatArray = 1.0 / blocks
        return logs, reciprocals
    sign, log_dets = np.linalg.slogdet(blocks)
    if not np.all(sign > 0):
        return None, None
    inverse = np.linalg.inv(blocks)
    return np.asarray(log_dets), np.asarray(0.5 * (inverse + np.swapaxes(inverse, -1, -2)), dtype=np.float64)


def information_in_moments(data: Incomplete, inverse: FloatArray) -> FloatArray:
    """Expected information of means, then of ``vech(sigma)``, given who answered what.

    Parameters
    ----------
    data : Incomplete
    inverse : (p, p) array
        W.

    Returns
    -------
    (p + p(p+1)/2, same) array
        For one row of data; blocks of means and covariances only.
    """
    p = len(inverse)
    size = p * (p + 1) // 2
    means, products = np.zeros(size), np.zeros((size, size))
    for chosen, stacked in _stacked_inverses(data, inverse):
        means += data.n[chosen] @ stacked
        heavy = stacked * np.sqrt(data.n[chosen])[:, None]
        products += heavy.T @ heavy
    result = np.zeros((p + size, p + size))
    result[:p, :p] = means[_places(p)]
    result[p:, p:] = _contracted(products, p)
    return result / data.total


def curvature_in_moments(data: Incomplete, at: Likelihood) -> FloatArray:
    """Observed information of means, then of ``vech(sigma)``: half of the Hessian of F.

    Parameters
    ----------
    data : Incomplete
    at : Likelihood

    Returns
    -------
    (p + p(p+1)/2, same) array
        For one row of data.
    """
    p = len(at.inverse)
    size = p * (p + 1) // 2
    place = _places(p)
    rows, columns = np.triu_indices(p)
    patterns = len(data.n)
    means, products, mixed = np.zeros(size), np.zeros((size, size)), np.zeros((size, p))
    by_pattern = np.argsort(data.owner, kind="stable")
    starts = np.searchsorted(data.owner[by_pattern], np.arange(patterns + 1))
    pulls = at.weighted[:patterns] * np.sqrt(data.n)[:, None]
    for chosen, stacked in _stacked_inverses(data, at.inverse):
        own = by_pattern[starts[chosen[0]] : starts[chosen[-1] + 1]]
        outer = at.weighted[own][:, rows] * at.weighted[own][:, columns]
        outer = np.add.reduceat(outer, starts[chosen] - starts[chosen[0]], axis=0)
        means += data.n[chosen] @ stacked
        products += stacked.T @ (outer - 0.5 * data.n[chosen][:, None] * stacked)
        mixed += stacked.T @ pulls[chosen]
    result = np.empty((p + size, p + size))
    result[:p, :p] = means[place]
    result[p:, p:] = _contracted(products + products.T, p)
    both = mixed[place[:, rows], columns] + mixed[place[:, columns], rows]
    both *= np.where(rows == columns, 0.5, 1.0)
    result[:p, p:], result[p:, :p] = both, both.T
    return result / data.total


def variation_in_moments(rows: Incomplete, at: Likelihood, cluster: IntArray | None = None) -> FloatArray:
    """Second moments of the scores of single rows: means, then ``vech(sigma)``.

    Parameters
    ----------
    rows : Incomplete
        Every row a pattern of its own.
    at : Likelihood
        Of these rows.
    cluster : (N,) int array, optional
        Number of each row's cluster; scores are summed within clusters then, and the factor c / (c - 1) allows for
        c clusters.

    Returns
    -------
    (p + p(p+1)/2, same) array
        For one row of data.
    """
    p = len(at.inverse)
    size = p + p * (p + 1) // 2
    sums = np.zeros((0 if cluster is None else int(cluster.max()) + 1, size))
    result = np.zeros((size, size))
    for chosen, scores in scores_in_moments(rows, at):
        if cluster is None:
            result += scores.T @ scores
        else:
            np.add.at(sums, cluster[chosen], scores)
    if cluster is not None:
        result = sums.T @ sums * (len(sums) / (len(sums) - 1))
    return np.asarray(result / rows.total)


def scores_in_moments(rows: Incomplete, at: Likelihood) -> Iterator[tuple[IntArray, FloatArray]]:
    """Scores of single rows, a block of rows at a time: their numbers, then means and ``vech(sigma)`` (r, m).

    Parameters
    ----------
    rows : Incomplete
        Every row a pattern of its own.
    at : Likelihood
        Of these rows.
    """
    first, second = np.triu_indices(len(at.inverse))
    half = np.where(first == second, 0.5, 1.0)
    for chosen, stacked in _stacked_inverses(rows, at.inverse):
        own = at.weighted[chosen]
        yield chosen, np.concatenate([own, (own[:, first] * own[:, second] - stacked) * half], axis=1)


def _stacked_inverses(data: Incomplete, inverse: FloatArray) -> Iterator[tuple[IntArray, FloatArray]]:
    """``vech(W_k)`` of all patterns, a block of patterns at a time."""
    p = len(inverse)
    rows, columns = np.triu_indices(p)
    step = max(1, _BLOCK // (p * p))
    number = np.zeros(len(data.n), dtype=np.intp)
    member = np.zeros(len(data.n), dtype=np.intp)
    for g, group in enumerate(data.groups, start=1):
        number[group.patterns], member[group.patterns] = g, np.arange(group.patterns.size)
    for start in range(0, len(data.n), step):
        chosen = np.arange(start, min(start + step, len(data.n)))
        stacked = np.empty((chosen.size, rows.size))
        whole = inverse[rows, columns]
        for g in np.unique(number[chosen]):
            mine = np.flatnonzero(number[chosen] == g)
            stacked[mine] = whole
            if g:
                missing = data.groups[g - 1].missing[member[chosen[mine]]]
                stacked[mine] -= _removed(inverse, missing)[:, rows, columns]
        yield chosen, stacked


def _removed(inverse: FloatArray, missing: IntArray) -> FloatArray:
    """``W_m (W_mm)^-1 W_m'`` for stacked sets of missing variables."""
    blocks = inverse[missing[:, :, None], missing[:, None, :]]
    sides = inverse[missing]
    return np.asarray(np.swapaxes(sides, -1, -2) @ np.linalg.solve(blocks, sides))


@cache
def _places(p: int) -> IntArray:
    """Number of each entry of a symmetric matrix in its ``vech``, (p, p)."""
    rows, columns = np.triu_indices(p)
    place = np.empty((p, p), dtype=np.intp)
    place[rows, columns] = place[columns, rows] = np.arange(rows.size)
    place.flags.writeable = False
    return place


def _contracted(products: FloatArray, p: int) -> FloatArray:
    """Entry (ab, cd) is ``products[ad, bc] + products[ac, bd]``, halved for a = b and for c = d."""
    place = _places(p)
    a, b = np.triu_indices(p)
    down_a, down_b = a[:, None], b[:, None]
    result = products[place[down_a, b], place[down_b, a]] + products[place[down_a, a], place[down_b, b]]
    half = np.where(a == b, 0.5, 1.0)
    return np.asarray(result * half * half[:, None])
