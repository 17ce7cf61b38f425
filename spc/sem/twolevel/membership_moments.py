"""Moments of units where respondents of some sides belong to several units at once, each by a share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spc.errors import UnsupportedError
from spc.linalg import FloatArray, frozen_array
from spc.sem.twolevel.between import positive_definite
from spc.sem.twolevel.likelihood import UnitMoments, unit_moments

__all__ = ["MemberMoments", "SharedAnswers", "member_moments", "simulated", "tied"]

IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

BLOCK = 40
"""Units that are taken together where fewer are tied."""
_RANK = 1e-10


@dataclass(frozen=True, eq=False)
class SharedAnswers:
    """Respondents of a side who answered the same c variables, and belong to units by shares Z.

    Attributes
    ----------
    side : int
    places : (c,) int array
        The variables among all.
    number : float
        Respondents.
    gram : (J, J) sparse array
        ``Z'Z``.
    sums : (J, c) array
        ``Z'y``.
    mean : (c,) array
    scatter : (c, c) array
        Cross-products around the mean.
    """

    side: int
    places: IntArray
    number: float
    gram: Any
    sums: FloatArray
    mean: FloatArray
    scatter: FloatArray

    def __post_init__(self) -> None:
        for name in ("sums", "mean", "scatter"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))

    @cached_property
    def counts(self) -> FloatArray:
        """(J,): sums of shares."""
        return np.asarray(self.gram.sum(axis=1), dtype=np.float64).ravel()

    def balanced(self, centre: FloatArray, scale: FloatArray) -> SharedAnswers:
        """The same with every variable measured from ``centre`` in units of ``scale``, of all variables."""
        middle, unit = centre[self.places], scale[self.places]
        moved = (self.sums - self.counts[:, None] * middle) / unit
        return replace(self, sums=moved, mean=(self.mean - middle) / unit, scatter=self.scatter / np.outer(unit, unit))


@dataclass(frozen=True, eq=False)
class MemberMoments(UnitMoments):
    """Moments of units where respondents of some sides belong to several units.

    On these sides ``counts`` are sums of shares, ``means`` averages weighted by shares, and ``scatter`` of the first
    unit what no values of units explain.

    Attributes
    ----------
    shared : tuple of SharedAnswers
        Of these sides, one for each set of variables that respondents answered.
    rank : (S,) array
        Units that each side can tell apart.
    """

    shared: tuple[SharedAnswers, ...]
    rank: FloatArray

    @cached_property
    def freedom(self) -> FloatArray:
        """(S,): respondents beyond those that values of units take up."""
        plain = np.maximum(self.counts - 1.0, 0.0).sum(axis=0)
        return np.asarray(np.where(self.shared_sides, self.counts.sum(axis=0) - self.rank, plain))

    @cached_property
    def shared_sides(self) -> BoolArray:
        """(S,): sides whose respondents belong to several units."""
        return np.isin(np.arange(len(self.sides)), [part.side for part in self.shared])

    @property
    def averaged(self) -> BoolArray:
        """(p,): variables that enter by their unit means."""
        return np.asarray((self.side >= 0) & ~np.append(self.shared_sides, False)[self.side])

    @property
    def answered(self) -> FloatArray:
        """(p,): answers to each variable, and units with each outcome."""
        found = np.where((self.side < 0) | self.averaged, super().answered, 0.0)
        for part in self.shared:
            found[part.places] += part.number
        return np.asarray(found)

    def balanced(self, centre: FloatArray, scale: FloatArray) -> MemberMoments:
        """The same units with every variable measured from ``centre`` in units of ``scale``, (p,) each."""
        moved = tuple(part.balanced(centre, scale) for part in self.shared)
        return replace(
            self, means=(self.means - centre) / scale, scatter=self.scatter / np.outer(scale, scale), shared=moved
        )

    def ordered(self, order: IntArray) -> MemberMoments:
        """The same units with the variables in another order."""
        back = np.argsort(order)
        return replace(
            self, names=tuple(self.names[i] for i in order), side=self.side[order], means=self.means[:, order],
            scatter=self.scatter[:, order[:, None], order],
            shared=tuple(replace(part, places=back[part.places]) for part in self.shared),
        )  # fmt: skip

    def holding(self, shared: tuple[SharedAnswers, ...]) -> MemberMoments:
        """Other answers of the same respondents of several units: averages and scatter are theirs."""
        means, scatter = np.array(self.means), np.array(self.scatter)
        for s in np.flatnonzero(self.shared_sides):
            own, parts = np.flatnonzero(self.side == s), [part for part in shared if part.side == s]
            means[:, own] = _averages(parts, own)
            scatter[0][np.ix_(own, own)] = _inside(parts, own) * self.freedom[s]
        return replace(self, means=means, scatter=scatter, shared=shared)

    def take(self, units: IntArray) -> UnitMoments:
        """Refused: units that share respondents cannot be drawn one by one."""
        raise UnsupportedError("Units that share respondents cannot be resampled one by one.")


def member_moments(
    names: Sequence[str],
    sides: Sequence[tuple[str, Any, npt.ArrayLike]],
    outcomes: npt.ArrayLike,
) -> MemberMoments:
    """Reduce rows of respondents to moments of the units they belong to.

    Parameters
    ----------
    names : sequence of str
        The variables of the sides, one side after the other, then the unit outcomes.
    sides : sequence of (name, units, values)
        ``units`` are the (N,) numbers of the respondents' units, or an (N, J) sparse array of shares that sum to one
        in each row; ``values`` their (N, p_s) scores, NaN where missing, each row with one at least. Where some of a
        side are missing, respondents of one unit count as those whose share in it is one.
    outcomes : (J, q) array-like
        Unit outcomes, NaN where missing.

    Returns
    -------
    MemberMoments

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> shares = csr_array([[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    >>> m = member_moments(["x"], [("guests", shares, [[1.0], [2.0], [3.0]])], np.empty((2, 0)))
    >>> m.counts.ravel().tolist(), m.freedom.tolist(), m.pooled.round(12).tolist()
    ([1.5, 1.5], [1.0], [[0.0]])
    """
    from scipy.sparse import issparse

    units = len(np.asarray(outcomes))
    scores = [np.asarray(values, dtype=np.float64) for _, _, values in sides]
    shares = [
        where if issparse(where) else _alone(where, units) if np.isnan(rows).any() else None
        for (_, where, _), rows in zip(sides, scores, strict=True)
    ]
    plain = [
        (name, where if table is None else [], rows if table is None else rows[:0])
        for (name, where, _), table, rows in zip(sides, shares, scores, strict=True)
    ]
    base = unit_moments(names, plain, outcomes)
    counts, rank, parts = np.array(base.counts), np.zeros(len(sides)), []
    for s, (table, rows) in enumerate(zip(shares, scores, strict=True)):
        if table is not None:
            counts[:, s] = table.sum(axis=0)
            rank[s] = _rank((table.T @ table).tocsr())
            parts += _by_pattern(s, np.flatnonzero(base.side == s), table.tocsr(), rows)
    found = MemberMoments(
        base.names, base.sides, base.side, counts, base.means, base.scatter, shared=tuple(parts), rank=rank
    )
    return found.holding(found.shared)


def _alone(units: npt.ArrayLike, number: int) -> Any:
    """Shares of respondents of one unit each."""
    from scipy.sparse import csr_array

    at = np.asarray(units, dtype=np.intp)
    return csr_array((np.ones(at.size), (np.arange(at.size), at)), shape=(at.size, number))


def _by_pattern(side: int, own: IntArray, shares: Any, rows: FloatArray) -> list[SharedAnswers]:
    """Respondents put together by what they answered."""
    patterns, of = np.unique(~np.isnan(rows), axis=0, return_inverse=True)
    of, parts = of.reshape(-1), []
    for g, answered in enumerate(patterns):
        here, z = rows[of == g][:, answered], shares[np.flatnonzero(of == g)]
        mean = here.mean(axis=0)
        apart = here - mean
        number = np.asarray(z.sum(axis=0))[:, None]
        parts.append(
            SharedAnswers(
                side, own[answered], float(len(here)), (z.T @ z).tocsr(), z.T @ apart + number * mean, mean,
                apart.T @ apart,
            )
        )  # fmt: skip
    return parts


def _averages(parts: Sequence[SharedAnswers], own: IntArray) -> FloatArray:
    """Averages (J, c) of the variables ``own`` of a side, weighted by shares; NaN in units that nobody belongs to."""
    sums, counts = np.zeros((2, len(parts[0].sums), own.size))
    for part in parts:
        at = np.searchsorted(own, part.places)
        sums[:, at] += part.sums
        counts[:, at] += part.counts[:, None]
    return np.where(counts > 0.0, sums / np.where(counts > 0.0, counts, 1.0), np.nan)


def _inside(parts: Sequence[SharedAnswers], own: IntArray) -> FloatArray:
    """Covariances (c, c) of what no values of units explain, each from those who answered both variables."""
    middle = _middle(parts, own)
    answers: dict[tuple[int, ...], FloatArray] = {}
    found = np.zeros((own.size, own.size))
    for i in range(own.size):
        for j in range(i + 1):
            who = tuple(g for g, part in enumerate(parts) if {own[i], own[j]} <= set(part.places.tolist()))
            if who and who not in answers:
                answers[who] = _unexplained([parts[g] for g in who], own, middle)
            found[i, j] = found[j, i] = answers[who][i, j] if who else 0.0
    whole = len(parts) == 1 or found.diagonal().min() <= 0.0
    return found if whole else positive_definite(found)


def _middle(parts: Sequence[SharedAnswers], own: IntArray) -> FloatArray:
    """Means (c,) of all answers."""
    total, number = np.zeros((2, own.size))
    for part in parts:
        at = np.searchsorted(own, part.places)
        total[at] += part.number * part.mean
        number[at] += part.number
    return np.asarray(total / np.maximum(number, 1.0))


def _unexplained(parts: Sequence[SharedAnswers], own: IntArray, middle: FloatArray) -> FloatArray:
    """Covariances (c, c) of the same among variables that all of these respondents answered; zero elsewhere."""
    places = np.array(sorted(set.intersection(*(set(part.places.tolist()) for part in parts))), dtype=np.intp)
    at = np.searchsorted(own, places)
    gram = parts[0].gram * 0.0
    sums, cross = np.zeros((gram.shape[0], at.size)), np.zeros((at.size, at.size))
    for part in parts:
        columns = np.array([part.places.tolist().index(place) for place in places.tolist()], dtype=np.intp)
        apart = part.mean[columns] - middle[at]
        gram = gram + part.gram
        sums += part.sums[:, columns] - part.counts[:, None] * middle[at]
        cross += part.scatter[np.ix_(columns, columns)] + part.number * np.outer(apart, apart)
    rank, explained = _explained(gram.tocsr(), sums)
    number = sum(part.number for part in parts)
    found = np.zeros((own.size, own.size))
    found[np.ix_(at, at)] = (cross - explained) / max(number - rank, 1.0)
    return found


def _rank(gram: Any) -> float:
    return _explained(gram, np.zeros((gram.shape[0], 0)))[0]


def _explained(gram: Any, sums: FloatArray) -> tuple[float, FloatArray]:
    """Rank of ``Z'Z``, and the cross-products that values of units explain."""
    rank, total = 0, np.zeros((sums.shape[1], sums.shape[1]))
    for units in tied([gram]):
        root, turned = _root_of(gram[units][:, units].toarray(), sums[units])
        rank += len(root)
        total += turned.T @ turned
    return float(rank), total


def _root_of(gram: FloatArray, sums: FloatArray) -> tuple[FloatArray, FloatArray]:
    """R (r, n) with ``R'R = Z'Z``, and ``Q'y`` (r, p) with ``R'Q'y = Z'y``, Q the orthonormal columns of ``Z = QR``."""
    values, vectors = np.linalg.eigh(gram)
    keep = values > _RANK * max(float(values[-1]), 1e-300)
    size = np.sqrt(values[keep])
    turn = vectors[:, keep]
    return size[:, None] * turn.T, turn.T @ sums / size[:, None]


def tied(grams: Sequence[Any]) -> list[IntArray]:
    """Sets of units that respondents tie together, small ones put together."""
    from scipy.sparse.csgraph import connected_components

    total = grams[0]
    for gram in grams[1:]:
        total = total + gram
    number, label = connected_components(total, directed=False)
    size = np.bincount(label, minlength=number)
    block, filled, at = np.zeros(number, dtype=np.intp), 0, 0
    for component in np.argsort(-size, kind="stable"):
        if filled and filled + size[component] > BLOCK:
            at, filled = at + 1, 0
        block[component] = at
        filled += size[component]
    order = np.argsort(block[label], kind="stable")
    ends = np.cumsum(np.bincount(block[label]))
    return [np.asarray(part, dtype=np.intp) for part in np.split(order, ends[:-1])]


def simulated(
    units: MemberMoments, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray, rng: np.random.Generator
) -> MemberMoments:
    """Units of the same respondents, made from given moments; the scatter of sides of one unit each is left as it is.

    Parameters
    ----------
    units : MemberMoments
    mu, sigma_b, sigma_w : (p,), (p, p), (p, p) arrays
    rng : Generator
    """
    values, vectors = np.linalg.eigh(sigma_b)
    root_b = vectors * np.sqrt(np.clip(values, 0.0, None))
    real = mu + rng.standard_normal((len(units.counts), len(mu))) @ root_b.T
    means = real.copy()
    for s in np.flatnonzero(~units.shared_sides):
        own, here = np.flatnonzero(units.side == s), units.counts[:, s] > 0.0
        inner = np.linalg.cholesky(sigma_w[np.ix_(own, own)])
        noise = rng.standard_normal((int(here.sum()), own.size)) @ inner.T
        means[np.ix_(here, own)] += noise / np.sqrt(units.counts[here, s, None])
    again = replace(units, means=np.where(units.present, means, np.nan))
    return again.holding(tuple(_made(part, real[:, part.places], sigma_w, rng) for part in units.shared))


def _made(part: SharedAnswers, real: FloatArray, sigma_w: FloatArray, rng: np.random.Generator) -> SharedAnswers:
    """Answers of the same respondents to units of given values (J, c): ``Z'y`` and cross-products around the mean."""
    inner = np.linalg.cholesky(sigma_w[np.ix_(part.places, part.places)])
    middle = real.mean(axis=0)
    real = real - middle
    sums = part.gram @ real
    cross, rank = real.T @ sums, 0
    for at in tied([part.gram]):
        root, _ = _root_of(part.gram[at][:, at].toarray(), np.zeros((len(at), 0)))
        noise = rng.standard_normal((len(root), len(inner))) @ inner.T
        lean = root.T @ noise
        sums[at] += lean
        mixed = real[at].T @ lean
        cross += mixed + mixed.T + noise.T @ noise
        rank += len(root)
    rest = rng.standard_normal((max(int(part.number) - rank, 0), len(inner))) @ inner.T
    mean = sums.sum(axis=0) / part.number
    scatter = cross + rest.T @ rest - part.number * np.outer(mean, mean)
    return replace(part, sums=sums + part.counts[:, None] * middle, mean=mean + middle, scatter=scatter)
