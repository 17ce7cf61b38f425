"""Bootstrap samples as moments: what each draw of rows, or of whole clusters, would have for n, means and covariances.

No row is ever copied: a draw is a list of counts, and counts times the products of every row are all its sums. Rows are
drawn within their group; clusters too, unless some cluster has rows in several groups, which is then drawn as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from spc.linalg import FloatArray
from spc.resample import replicate_rng
from spc.sem.engine.problem import Problem
from spc.sem.engine.ram import IntArray
from spc.sem.resampling.batch import Draws

__all__ = ["Redraw", "Units", "by_rows", "from_normal", "like_model"]

Redraw = Callable[[Sequence[int]], tuple[Draws, ...]]
"""From the numbers of some draws to their moments, one stack a group."""

_KEPT = 2**23
_CHUNK = 4096


@dataclass(frozen=True, eq=False, slots=True)
class Units:
    """What is drawn: rows, or clusters of rows, of every group.

    Attributes
    ----------
    sizes : tuple of int
        Rows of each group.
    codes : tuple of int arrays, or None
        Cluster of each row of each group, numbered from 0 over all groups.
    """

    sizes: tuple[int, ...]
    codes: tuple[IntArray, ...] | None = None

    @property
    def count(self) -> int:
        """How many rows or clusters there are."""
        if self.codes is None:
            return sum(self.sizes)
        return int(max(codes.max() for codes in self.codes)) + 1

    @property
    def members(self) -> tuple[IntArray, ...]:
        """Clusters of each group; the same for all where some cluster has rows in several."""
        if self.codes is None:
            return tuple(np.arange(size) for size in self.sizes)
        own = tuple(np.unique(codes) for codes in self.codes)
        whole = np.arange(self.count)
        return own if sum(map(len, own)) == len(whole) else (whole,) * len(own)

    def counts(self, seed: int, i: int) -> tuple[FloatArray, ...]:
        """How often draw ``i`` has each row, or each of all clusters, for each group."""
        rng, members = replicate_rng(seed, i), self.members
        if self.codes is None:
            return tuple(_drawn(rng, size) for size in self.sizes)
        if len(members[0]) == self.count:
            return (_drawn(rng, self.count),) * len(members)
        found = []
        for own in members:
            whole = np.zeros(self.count)
            whole[own] = _drawn(rng, len(own))
            found.append(whole)
        return tuple(found)

    def of_rows(self, seed: int, i: int) -> tuple[FloatArray, ...]:
        """How often draw ``i`` has each row of each group."""
        counts = self.counts(seed, i)
        if self.codes is None:
            return counts
        return tuple(own[codes] for own, codes in zip(counts, self.codes, strict=True))


def _drawn(rng: np.random.Generator, size: int) -> FloatArray:
    return np.bincount(rng.integers(size, size=size), minlength=size).astype(np.float64)


def by_rows(rows: Sequence[FloatArray], problems: Sequence[Problem], seed: int, units: Units) -> Redraw:
    """Draw rows, or clusters of them, with replacement.

    Parameters
    ----------
    rows : sequence of (n, p) arrays
        Of each group, in balanced units.
    problems : sequence of Problem
    seed : int
        Draw i uses ``SeedSequence(seed, spawn_key=(i,))``.
    units : Units

    Returns
    -------
    Redraw
    """
    codes = (None,) * len(rows) if units.codes is None else units.codes
    parts = zip(rows, problems, codes, strict=True)
    return _Drawing([_Rows.of(own, problem, code, units.count) for own, problem, code in parts], seed, units)


@dataclass(frozen=True, eq=False, slots=True)
class _Drawing:
    """Draws of all groups."""

    groups: list[_Rows]
    seed: int
    units: Units

    def __call__(self, numbers: Sequence[int]) -> tuple[Draws, ...]:
        counts = [self.units.counts(self.seed, i) for i in numbers]
        drawn = zip(self.groups, zip(*counts, strict=True), strict=True)
        return tuple(group.moments(np.array(own)) for group, own in drawn)


@dataclass(frozen=True, eq=False, slots=True)
class _Rows:
    """Rows about their means, with the sums of their clusters, or their products where these are few enough to keep."""

    rows: FloatArray
    centre: FloatArray
    problem: Problem
    sums: FloatArray | None

    @classmethod
    def of(cls, rows: FloatArray, problem: Problem, codes: IntArray | None, clusters: int) -> _Rows:
        n, p = rows.shape
        centre = rows.mean(axis=0)
        rows = rows - centre
        if codes is not None:
            return cls(rows, centre, problem, _cluster_sums(rows, codes, clusters))
        return cls(rows, centre, problem, _products(rows) if n * _width(p) <= _KEPT else None)

    def moments(self, counts: FloatArray) -> Draws:
        """Of draws with these counts (m, units)."""
        if self.sums is not None:
            return _moments(counts @ self.sums, self.centre, self.problem)
        total = np.zeros((len(counts), _width(self.rows.shape[1])))
        for chunk in _chunks(len(self.rows)):
            total += counts[:, chunk] @ _products(self.rows[chunk])
        return _moments(total, self.centre, self.problem)


@dataclass(frozen=True, eq=False, slots=True)
class _Normal:
    """Draws of normal moments of all groups."""

    problems: tuple[Problem, ...]
    roots: tuple[FloatArray, ...]
    means: tuple[FloatArray | None, ...]
    seed: int

    def __call__(self, numbers: Sequence[int]) -> tuple[Draws, ...]:
        rngs = [replicate_rng(self.seed, i) for i in numbers]
        parts = zip(self.problems, self.roots, self.means, strict=True)
        return tuple(_wishart(problem, root, mean, rngs) for problem, root, mean in parts)


def from_normal(
    problems: Sequence[Problem], covs: Sequence[FloatArray], means: Sequence[FloatArray | None], seed: int
) -> Redraw:
    """Draw the moments of normal samples: means from a normal, cross-products from a Wishart distribution.

    Parameters
    ----------
    problems : sequence of Problem
        One a group.
    covs : sequence of (p, p) arrays
        Covariances of the populations, in balanced units.
    means : sequence of (p,) array or None
    seed : int

    References
    ----------
    Smith & Hocking (1972), Applied Statistics 21, 341-345 (Bartlett's decomposition).
    """
    return _Normal(tuple(problems), tuple(np.asarray(np.linalg.cholesky(cov)) for cov in covs), tuple(means), seed)


def _wishart(problem: Problem, root: FloatArray, mean: FloatArray | None, rngs: Sequence[np.random.Generator]) -> Draws:
    n, p = problem.n, len(root)
    cross, means = np.empty((len(rngs), p, p)), np.zeros((len(rngs), p))
    for at, rng in enumerate(rngs):
        factor = np.tril(rng.standard_normal((p, p)), -1)
        np.fill_diagonal(factor, np.sqrt(rng.chisquare(n - 1 - np.arange(p))))
        cross[at] = root @ factor
        means[at] = root @ rng.standard_normal(p) / np.sqrt(n)
    covs = cross @ np.swapaxes(cross, -1, -2) / problem.divisor
    return Draws(covs, None if mean is None else mean + means, np.full(len(rngs), n))


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
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total[:, 1 : p + 1] / total[:, :1]
    cross = np.empty((len(total), p, p))
    cross[:, i, j] = cross[:, j, i] = total[:, p + 1 :]
    cross -= total[:, 0, None, None] * mean[:, :, None] * mean[:, None, :]
    divisor = n - (problem.n - problem.divisor)
    return Draws(cross / divisor[:, None, None], centre + mean if problem.place.meanstructure else None, n)
