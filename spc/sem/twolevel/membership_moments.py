"""Moments of units where respondents of some sides belong to several units at once, each by a share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spc.errors import UnsupportedError
from spc.linalg import FloatArray
from spc.sem.twolevel.likelihood import UnitMoments, unit_moments

__all__ = ["MemberMoments", "member_moments", "root_of", "simulated", "tied"]

IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

BLOCK = 40
"""Units that are taken together where fewer are tied."""
_RANK = 1e-10


@dataclass(frozen=True, eq=False)
class MemberMoments(UnitMoments):
    """Moments of units where respondents of some sides belong to several units.

    On these sides ``counts`` are sums of shares, ``means`` averages weighted by shares, and ``scatter`` of the first
    unit what no values of units explain.

    Attributes
    ----------
    grams : tuple of (J, J) sparse array or None
        ``Z'Z`` of each side; None where each respondent has one unit.
    sums : (J, p) array
        ``Z'y``; zero for the other variables.
    rank : (S,) array
        Units that each side can tell apart.
    """

    grams: tuple[Any, ...]
    sums: FloatArray
    rank: FloatArray

    @cached_property
    def freedom(self) -> FloatArray:
        """(S,): respondents beyond those that values of units take up."""
        plain = np.maximum(self.counts - 1.0, 0.0).sum(axis=0)
        return np.asarray(np.where(self.shared_sides, self.counts.sum(axis=0) - self.rank, plain))

    @property
    def shared_sides(self) -> BoolArray:
        """(S,): sides whose respondents belong to several units."""
        return np.array([gram is not None for gram in self.grams], dtype=bool)

    @property
    def averaged(self) -> BoolArray:
        """(p,): variables that enter by their unit means."""
        return np.asarray((self.side >= 0) & ~np.append(self.shared_sides, False)[self.side])

    def balanced(self, centre: FloatArray, scale: FloatArray) -> MemberMoments:
        """The same units with every variable measured from ``centre`` in units of ``scale``, (p,) each."""
        shared = (self.side >= 0) & ~self.averaged
        number = np.where(shared, self.counts[:, self.side], 0.0)
        moved = (self.sums - number * centre) / scale
        return replace(
            self, means=(self.means - centre) / scale, scatter=self.scatter / np.outer(scale, scale), sums=moved
        )

    def ordered(self, order: IntArray) -> MemberMoments:
        """The same units with the variables in another order."""
        return replace(
            self, names=tuple(self.names[i] for i in order), side=self.side[order], means=self.means[:, order],
            scatter=self.scatter[:, order[:, None], order], sums=self.sums[:, order],
        )  # fmt: skip

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
        in each row; ``values`` their (N, p_s) scores, without holes.
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

    scores = [np.asarray(values, dtype=np.float64) for _, _, values in sides]
    plain = [
        (name, [] if issparse(where) else where, rows[:0] if issparse(where) else rows)
        for (name, where, _), rows in zip(sides, scores, strict=True)
    ]
    base = unit_moments(names, plain, outcomes)
    counts, means, scatter = np.array(base.counts), np.array(base.means), np.array(base.scatter)
    sums, rank = np.zeros_like(means), np.zeros(len(sides))
    grams: list[Any] = []
    for s, ((_, where, _), rows) in enumerate(zip(sides, scores, strict=True)):
        if not issparse(where):
            grams.append(None)
            continue
        own = np.flatnonzero(base.side == s)
        counts[:, s] = where.sum(axis=0)
        centre = rows.mean(axis=0)
        apart = where.T @ (rows - centre)
        gram = (where.T @ where).tocsr()
        rank[s], explained = _explained(gram, apart)
        here = counts[:, s] > 0.0
        means[np.ix_(here, own)] = centre + apart[here] / counts[here, s, None]
        sums[:, own] = apart + counts[:, s, None] * centre
        scatter[0][np.ix_(own, own)] = (rows - centre).T @ (rows - centre) - explained
        grams.append(gram)
    return MemberMoments(
        base.names, base.sides, base.side, counts, means, scatter, grams=tuple(grams), sums=sums, rank=rank
    )


def _explained(gram: Any, sums: FloatArray) -> tuple[float, FloatArray]:
    """Rank of ``Z'Z``, and the cross-products that values of units explain."""
    rank, total = 0, np.zeros((sums.shape[1], sums.shape[1]))
    for units in tied([gram]):
        root, turned = root_of(gram[units][:, units].toarray(), sums[units])
        rank += len(root)
        total += turned.T @ turned
    return float(rank), total


def root_of(gram: FloatArray, sums: FloatArray) -> tuple[FloatArray, FloatArray]:
    """R (r, n) with ``R'R = Z'Z``, and ``Q'y`` (r, p) with ``R'Q'y = Z'y``."""
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
    """Units of the same respondents, made from given moments; their scatter is left as it is.

    Parameters
    ----------
    units : MemberMoments
    mu, sigma_b, sigma_w : (p,), (p, p), (p, p) arrays
    rng : Generator
    """
    from scipy.sparse import diags_array

    values, vectors = np.linalg.eigh(sigma_b)
    root_b = vectors * np.sqrt(np.clip(values, 0.0, None))
    real = mu + rng.standard_normal((len(units.counts), len(mu))) @ root_b.T
    means, sums = real.copy(), np.zeros_like(real)
    for s, gram in enumerate(units.grams):
        own, here = np.flatnonzero(units.side == s), units.counts[:, s] > 0.0
        inner = np.linalg.cholesky(sigma_w[np.ix_(own, own)])
        among = diags_array(units.counts[:, s], format="csr") if gram is None else gram
        sums[:, own] = among @ real[:, own]
        for at in tied([among]):
            root, _ = root_of(among[at][:, at].toarray(), np.zeros((len(at), 0)))
            sums[np.ix_(at, own)] += root.T @ rng.standard_normal((len(root), own.size)) @ inner.T
        means[np.ix_(here, own)] = sums[np.ix_(here, own)] / units.counts[here, s, None]
        if gram is None:
            sums[:, own] = 0.0
    return replace(units, means=np.where(units.present, means, np.nan), sums=sums)
