"""Bootstrap samples as moments: what each draw of rows, or of whole clusters, would have for n, means and covariances.

No row is ever copied: a draw is a list of counts, and counts times the products of every row are all its sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from spc.linalg import FloatArray
from spc.resample import replicate_rng
from spc.sem.batch import Draws
from spc.sem.problem import Problem
from spc.sem.ram import IntArray

__all__ = ["Redraw", "by_rows", "from_normal", "like_model"]

Redraw = Callable[[Sequence[int]], Draws]
"""From the numbers of some draws to their moments."""

_KEPT = 2**23
_CHUNK = 4096


def by_rows(rows: FloatArray, problem: Problem, seed: int, codes: IntArray | None = None) -> Redraw:
    """Draw rows, or clusters of them, with replacement.

    Parameters
    ----------
    rows : (n, p) array
        In balanced units.
    problem : Problem
    seed : int
        Draw i uses ``SeedSequence(seed, spawn_key=(i,))``.
    codes : (n,) int array, optional
        Cluster of each row, numbered from 0.

    Returns
    -------
    Redraw
    """
    n, p = rows.shape
    centre = rows.mean(axis=0)
    rows = rows - centre
    units = n if codes is None else int(codes.max()) + 1
    sums = None if codes is None else _cluster_sums(rows, codes, units)
    if sums is None and n * _width(p) <= _KEPT:
        sums = _products(rows)

    def redraw(numbers: Sequence[int]) -> Draws:
        counts = np.empty((len(numbers), units))
        for at, i in enumerate(numbers):
            counts[at] = np.bincount(replicate_rng(seed, i).integers(units, size=units), minlength=units)
        if sums is not None:
            return _moments(counts @ sums, centre, problem)
        total = np.zeros((len(numbers), _width(p)))
        for chunk in _chunks(n):
            total += counts[:, chunk] @ _products(rows[chunk])
        return _moments(total, centre, problem)

    return redraw


def from_normal(problem: Problem, cov: FloatArray, mean: FloatArray | None, seed: int) -> Redraw:
    """Draw the moments of normal samples: means from a normal, cross-products from a Wishart distribution.

    Parameters
    ----------
    problem : Problem
    cov : (p, p) array
        Covariances of the population, in balanced units.
    mean : (p,) array or None
    seed : int

    References
    ----------
    Smith & Hocking (1972), Applied Statistics 21, 341-345 (Bartlett's decomposition).
    """
    n, p, root = problem.n, len(cov), np.linalg.cholesky(cov)

    def redraw(numbers: Sequence[int]) -> Draws:
        cross, means = np.empty((len(numbers), p, p)), np.zeros((len(numbers), p))
        for at, i in enumerate(numbers):
            rng = replicate_rng(seed, i)
            factor = np.tril(rng.standard_normal((p, p)), -1)
            np.fill_diagonal(factor, np.sqrt(rng.chisquare(n - 1 - np.arange(p))))
            cross[at] = root @ factor
            means[at] = root @ rng.standard_normal(p) / np.sqrt(n)
        covs = cross @ np.swapaxes(cross, -1, -2) / problem.divisor
        return Draws(covs, None if mean is None else mean + means, np.full(len(numbers), n))

    return redraw


def like_model(rows: FloatArray, cov: FloatArray, mean: FloatArray | None) -> FloatArray:
    """Turn rows so that their covariances, with divisor n, are exactly ``cov``, and their means ``mean``.

    Parameters
    ----------
    rows : (n, p) array
    cov : (p, p) array
    mean : (p,) array or None
        None leaves the means at zero.

    References
    ----------
    Bollen & Stine (1992), Sociological Methods & Research 21, 205-229.

    Examples
    --------
    >>> turned = like_model(np.random.default_rng(1).normal(size=(50, 2)), np.array([[2.0, 1.0], [1.0, 3.0]]), None)
    >>> np.cov(turned.T, bias=True).round(12).tolist()
    [[2.0, 1.0], [1.0, 3.0]]
    """
    centred = rows - rows.mean(axis=0)
    own = np.linalg.cholesky(centred.T @ centred / len(rows))
    turned = np.linalg.solve(own, centred.T).T @ np.linalg.cholesky(cov).T
    return np.asarray(turned if mean is None else turned + mean)


def _width(p: int) -> int:
    return 1 + p + p * (p + 1) // 2


def _products(rows: FloatArray) -> FloatArray:
    """One, the values, and the products of all pairs, of every row."""
    i, j = np.triu_indices(rows.shape[1])
    return np.concatenate([np.ones((len(rows), 1)), rows, rows[:, i] * rows[:, j]], axis=1)


def _cluster_sums(rows: FloatArray, codes: IntArray, units: int) -> FloatArray:
    total = np.zeros((units, _width(rows.shape[1])))
    for chunk in _chunks(len(rows)):
        np.add.at(total, codes[chunk], _products(rows[chunk]))
    return total


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, n, _CHUNK))


def _moments(total: FloatArray, centre: FloatArray, problem: Problem) -> Draws:
    p = len(centre)
    i, j = np.triu_indices(p)
    n = np.rint(total[:, 0]).astype(np.intp)
    mean = total[:, 1 : p + 1] / total[:, :1]
    cross = np.empty((len(total), p, p))
    cross[:, i, j] = cross[:, j, i] = total[:, p + 1 :]
    cross -= total[:, 0, None, None] * mean[:, :, None] * mean[:, None, :]
    divisor = n - (problem.n - problem.divisor)
    return Draws(cross / divisor[:, None, None], centre + mean if problem.place.meanstructure else None, n)
