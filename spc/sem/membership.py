"""The likelihood of respondents who belong to several units at once, each by a share.

Respondent i of such a side answers ``y_i = mu + sum_j z_ij b_j + e_i``: units j with shares ``z_ij`` that sum to one,
and what is the respondent's own (multiple membership: Browne, Goldstein & Rasbash 2001, Statistical Modelling 1,
103-124). With ``Z = Q R``, Q orthonormal, the rows ``Q'y`` have mean ``R 1 mu'`` and covariances ``R R'`` between,
row by row ``sigma_w`` beside it, and what is left of ``y`` has the covariances ``sigma_w`` alone. ``R`` and ``Q'y``
follow from ``Z'Z`` and ``Z'y``; nothing is lost where units cannot be told apart, as R then has fewer rows than
columns. Sides of one unit a respondent and outcomes of units enter by their means, as in :mod:`spc.sem.twolevel`.

Only the sides of several units tie units to one another. Given the other variables O of their units, they have
covariances ``K = sum_j D_j (x) r_j r_j' + sigma_w (x) I`` with ``D_j = B_CC - B_CO M_j^-1 B_OC``, and K is all that is
dense. Units that no respondent ties together share no K.

With ``H_j`` the map from the values of unit j to the data, V their covariances and ``P_jl = H_j' V^-1 H_l``, second
derivatives are sums over pairs of units of products of ``P_jl``, as over units elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from spc.errors import UnsupportedError
from spc.linalg import FloatArray
from spc.sem.twolevel import Curvature, UnitMoments, unit_moments
from spc.sem.twolevel_search import Complete, Evidence

__all__ = ["Crossed", "MemberMoments", "evidence", "expected_values", "member_moments", "simulated"]

IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

BLOCK = 40
"""Units that are taken together where fewer are tied."""
LARGEST = 5000
"""Units times variables that may be tied: second derivatives take 24 bytes for each pair of these."""
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
    for units in _tied([gram]):
        root, turned = _root(gram[units][:, units].toarray(), sums[units])
        rank += len(root)
        total += turned.T @ turned
    return float(rank), total


def _root(gram: FloatArray, sums: FloatArray) -> tuple[FloatArray, FloatArray]:
    """R (r, n) with ``R'R = Z'Z``, and ``Q'y`` (r, p) with ``R'Q'y = Z'y``."""
    values, vectors = np.linalg.eigh(gram)
    keep = values > _RANK * max(float(values[-1]), 1e-300)
    size = np.sqrt(values[keep])
    turn = vectors[:, keep]
    return size[:, None] * turn.T, turn.T @ sums / size[:, None]


def _tied(grams: Sequence[Any]) -> list[IntArray]:
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


@dataclass(frozen=True, eq=False)
class _Block:
    """Units that are tied: n of them.

    Attributes
    ----------
    units : (n,) int array
    roots : tuple of (r, n) arrays
        R for each of the c variables of sides of several units.
    data : tuple of (r,) arrays
        ``Q'y`` of the same.
    means : (n, o) array
        The other variables; 0 where absent.
    present : (n, o) bool array
    share : (n, o) array
        One over the respondents behind each mean; 0 for outcomes and absent variables.
    """

    units: IntArray
    roots: tuple[FloatArray, ...]
    data: tuple[FloatArray, ...]
    means: FloatArray
    present: BoolArray
    share: FloatArray

    @cached_property
    def places(self) -> list[slice]:
        """Rows of K of each variable."""
        ends = np.cumsum([0, *(len(root) for root in self.roots)])
        return [slice(int(a), int(b)) for a, b in pairwise(ends)]


@dataclass(frozen=True, eq=False)
class _Part:
    """What one block contributes.

    Attributes
    ----------
    height : float
        Log-determinants.
    trace : float
        Squared distance of the data.
    weight : (n, o, o) array
        ``M_j^-1``.
    lead : (n, c, p) array
        ``G_j = (-B_CO M_j^-1, I)``, over all p variables.
    inverse : (R, R) array
        ``K^-1``.
    hold : (R, c*n) array
        ``K^-1 H_C``.
    error : (R,) array
        ``K^-1`` times the data less their mean.
    pull : (n, p) array
        ``t_j = H_j' V^-1 (y - mean)``.
    info : (n, p, p) array
        ``P_jj``.
    """

    height: float
    trace: float
    weight: FloatArray
    lead: FloatArray
    inverse: FloatArray
    hold: FloatArray
    error: FloatArray
    pull: FloatArray
    info: FloatArray


@dataclass(frozen=True, eq=False)
class _Found:
    """The likelihood and its gradient, in the sense of :class:`~spc.sem.twolevel.Level2`."""

    value: float
    mu: FloatArray
    sigma_b: FloatArray
    sigma_w: FloatArray
    inverse: FloatArray
    parts: tuple[_Part, ...]


@dataclass(frozen=True, eq=False)
class Crossed:
    """Units and their respondents, some of whom belong to several units."""

    units: MemberMoments
    blocks: tuple[_Block, ...]

    @classmethod
    def of(cls, units: MemberMoments) -> Crossed:
        """Sort the units into blocks."""
        shared, others = _split(units)
        grams = [gram for gram in units.grams if gram is not None]
        present, counts = units.present, np.where(units.side >= 0, units.counts[:, units.side], 0.0)
        share = np.where(units.averaged & present & (counts > 0.0), 1.0 / np.maximum(counts, 1.0), 0.0)
        blocks = []
        for at in _tied(grams):
            if len(at) * len(units.names) > LARGEST:
                raise UnsupportedError(
                    f"{len(at)} units are tied to each other by the customers they share; with {len(units.names)} "
                    f"variables at most {LARGEST // len(units.names)} can be. Give customers to the unit with most of "
                    "their assignments, or fit regions one by one."
                )
            found: dict[int, tuple[FloatArray, FloatArray]] = {}
            for s in sorted({int(units.side[a]) for a in shared}):
                own = np.flatnonzero(units.side == s)
                root, data = _root(units.grams[s][at][:, at].toarray(), units.sums[np.ix_(at, own)])
                found |= {int(a): (root, data[:, i]) for i, a in enumerate(own)}
            here = present[np.ix_(at, others)]
            means = np.where(here, units.means[np.ix_(at, others)], 0.0)
            roots = tuple(found[int(a)][0] for a in shared), tuple(found[int(a)][1] for a in shared)
            blocks.append(_Block(at, *roots, means, here, share[np.ix_(at, others)]))
        return cls(units, tuple(blocks))

    @property
    def count(self) -> int:
        """Units."""
        return len(self.units.counts)

    def at(self, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray) -> _Found | None:
        """The likelihood at given moments; None where a matrix is not positive definite."""
        units, (shared, others) = self.units, _split(self.units)
        people = units.side >= 0
        inner = np.where(units.own, sigma_w, 0.0) + np.diag(np.where(people, 0.0, 1.0))
        try:
            root, inverse = np.linalg.cholesky(inner), np.linalg.inv(inner)
            parts = tuple(_look(block, shared, others, mu, sigma_b, inner) for block in self.blocks)
        except np.linalg.LinAlgError:
            return None
        inverse = np.where(units.own, inverse, 0.0)
        freedom = np.where(people, np.append(units.freedom, 0.0)[units.side], 0.0)
        inside = inverse @ units.pooled
        value = 0.5 * sum(part.height + part.trace for part in parts)
        value += float(freedom @ np.log(root.diagonal())) + 0.5 * float(np.trace(inside))
        slope_b, slope_w = np.zeros_like(sigma_b), 0.5 * (freedom[:, None] * inverse - inside @ inverse)
        pull = np.zeros_like(mu)
        for block, part in zip(self.blocks, parts, strict=True):
            slope = 0.5 * (part.info - part.pull[:, :, None] * part.pull[:, None, :])
            slope_b += slope.sum(axis=0)
            pull += part.pull.sum(axis=0)
            slope_w += _inner_slope(block, part, shared, others, slope, units.own)
        return _Found(float(value), -pull, slope_b, slope_w, inverse, parts)

    def curvature(self, found: _Found, *, expected: bool) -> Curvature:
        """Second derivatives in the moments, or their expectation."""
        units, (shared, others) = self.units, _split(self.units)
        p = len(units.names)
        mu, mu_b, mu_w = np.zeros((p, p)), np.zeros((p, p * p)), np.zeros((p, p * p))
        b, bw, w = np.zeros((3, p * p, p * p))
        for block, part in zip(self.blocks, found.parts, strict=True):
            pairs, mixed, inner, own = _pairs(block, part, shared, others)
            b += _spread(pairs, part.pull, part.pull, expected=expected)
            bw += _spread(mixed, part.pull, own, expected=expected)
            w += _spread(inner, own, own, expected=expected)
            mu += pairs.sum(axis=(2, 3))
            if not expected:
                mu_b += (pairs.sum(axis=2) @ part.pull).reshape(p, p * p)
                mu_w += (mixed.sum(axis=2) @ own).reshape(p, p * p)
        freedom = np.where(units.side >= 0, np.append(units.freedom, 0.0)[units.side], 0.0)
        flat = 0.5 * freedom[:, None] * found.inverse
        free = flat if expected else found.inverse @ units.pooled @ found.inverse - flat
        w += np.einsum("ik,jl->ijkl", free, found.inverse).reshape(p * p, p * p)
        return Curvature(mu, mu_b, mu_w, b, bw, w)

    def scores(self, found: _Found, mu: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Refused: units that share respondents have no scores of their own."""
        raise UnsupportedError(
            'Where respondents belong to several units, units are not independent: errors="robust" has no method. '
            'Use errors="observed".'
        )


def evidence(units: UnitMoments) -> Evidence:
    """The data of given units, as the likelihood sees them."""
    return Crossed.of(units) if isinstance(units, MemberMoments) else Complete.of(units)


def _split(units: MemberMoments) -> tuple[IntArray, IntArray]:
    """Variables of sides of several units, and all others."""
    shared = (units.side >= 0) & ~units.averaged
    return np.flatnonzero(shared), np.flatnonzero(~shared)


def _look(
    block: _Block, shared: IntArray, others: IntArray, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray
) -> _Part:
    from scipy.linalg.lapack import dpotrf, dpotri

    n, p, o = len(block.units), len(mu), np.arange(others.size)
    both = block.present[:, :, None] & block.present[:, None, :]
    joint = np.where(
        both, sigma_b[np.ix_(others, others)] + sigma_w[np.ix_(others, others)] * block.share[:, :, None], 0.0
    )
    joint[:, o, o] += ~block.present
    factor = np.linalg.cholesky(joint)
    weight = np.where(both, np.linalg.inv(joint), 0.0)
    tilt = weight @ sigma_b[np.ix_(others, shared)]
    left = sigma_b[np.ix_(shared, shared)] - sigma_b[np.ix_(shared, others)] @ tilt
    apart = np.where(block.present, block.means - mu[others], 0.0)
    foreseen = mu[shared] + np.matmul(apart[:, None, :], tilt)[:, 0, :]
    dense, rest = _dense(block, left, sigma_w[np.ix_(shared, shared)]), _rest(block, foreseen)
    upper, failed = dpotrf(dense, lower=1)
    if failed:
        raise np.linalg.LinAlgError
    inverse, _ = dpotri(upper, lower=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    hold = np.concatenate(
        [inverse[:, place] @ root for place, root in zip(block.places, block.roots, strict=True)], axis=1
    )
    error = inverse @ rest
    reach = np.stack([root.T @ error[place] for place, root in zip(block.places, block.roots, strict=True)], axis=1)
    held = _held(block, hold)
    lead = np.zeros((n, shared.size, p))
    lead[:, :, others] = -tilt.transpose(0, 2, 1)
    lead[:, np.arange(shared.size), shared] = 1.0
    toward = np.matmul(weight, apart[:, :, None])[:, :, 0]
    pull = np.matmul(reach[:, None, :], lead)[:, 0, :]
    pull[:, others] += toward
    info = lead.transpose(0, 2, 1) @ held @ lead
    info[:, others[:, None], others] += weight
    height = 2.0 * float(np.log(factor[:, o, o]).sum()) + 2.0 * float(np.log(upper.diagonal()).sum())
    trace = float((apart * toward).sum()) + float(rest @ error)
    return _Part(height, trace, weight, lead, inverse, hold, error, pull, info)


def _dense(block: _Block, left: FloatArray, sigma_w: FloatArray) -> FloatArray:
    """K (R, R), in Fortran's order."""
    size = block.places[-1].stop
    dense = np.zeros((size, size), order="F")
    for a, (rows, root) in enumerate(zip(block.places, block.roots, strict=True)):
        for b in range(a + 1):
            part = (root * left[:, a, b]) @ block.roots[b].T
            if sigma_w[a, b] != 0.0:
                part[np.diag_indices(len(part))] += sigma_w[a, b]
            dense[rows, block.places[b]] = part
    return dense


def _rest(block: _Block, foreseen: FloatArray) -> FloatArray:
    """Data of the sides of several units, less what is foreseen of their units."""
    return np.concatenate(
        [data - root @ foreseen[:, a] for a, (root, data) in enumerate(zip(block.roots, block.data, strict=True))]
    )


def _held(block: _Block, hold: FloatArray) -> FloatArray:
    """Diagonal blocks (n, c, c) of ``H_C' K^-1 H_C``."""
    n, c = len(block.units), len(block.roots)
    out = np.empty((n, c, c))
    for a, (place, root) in enumerate(zip(block.places, block.roots, strict=True)):
        for b in range(c):
            out[:, a, b] = (root * hold[place, b * n : (b + 1) * n]).sum(axis=0)
    return out


def _inner_slope(
    block: _Block, part: _Part, shared: IntArray, others: IntArray, slope: FloatArray, own: BoolArray
) -> FloatArray:
    """Gradient in ``sigma_w`` of one block."""
    out = np.zeros(own.shape)
    out[np.ix_(others, others)] = (slope[:, others[:, None], others] * block.share[:, :, None]).sum(axis=0)
    for a, rows in enumerate(block.places):
        for b, columns in enumerate(block.places):
            if own[shared[a], shared[b]]:
                pair = np.trace(part.inverse[rows, columns]) - part.error[rows] @ part.error[columns]
                out[shared[a], shared[b]] = 0.5 * pair
    return np.where(own, out, 0.0)


def _pairs(
    block: _Block, part: _Part, shared: IntArray, others: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """``H_j' V^-1 H_l``, ``H_j' V^-1 F_m``, ``F_m' V^-1 F_l`` (p, p, n, n), and ``F_m' V^-1 (y - mean)`` (n, p).

    ``F_m`` is the way of ``sigma_w`` into the data: the error of the mean of unit m, and row m of ``Q'y``.
    """
    n, p = len(block.units), shared.size + others.size
    pairs, mixed, inner = np.zeros((3, p, p, n, n))
    for a, (rows, root) in enumerate(zip(block.places, block.roots, strict=True)):
        for b, columns in enumerate(block.places):
            i, k = shared[a], shared[b]
            pairs[i, k] = root.T @ part.hold[rows, b * n : (b + 1) * n]
            mixed[i, k, :, : len(block.roots[b])] = part.hold[columns, a * n : (a + 1) * n].T
            inner[i, k, : len(root), : len(block.roots[b])] = part.inverse[rows, columns]
    for o, i in enumerate(others):
        tilt, width = part.lead[:, :, i].T[:, :, None], np.sqrt(block.share[:, o])[:, None]
        for b in shared:
            pairs[i, b] = (tilt * pairs[shared, b]).sum(axis=0)
            pairs[b, i] = pairs[i, b].T
            mixed[i, b] = (tilt * mixed[shared, b]).sum(axis=0)
            inner[i, b] = mixed[i, b] * width
            inner[b, i] = inner[i, b].T
    each = np.arange(n)
    widths = np.zeros((n, p))
    widths[:, others] = np.sqrt(block.share)
    for o, i in enumerate(others):
        for u, k in enumerate(others):
            pairs[i, k] = (pairs[i, shared] * part.lead[:, :, k].T[:, None, :]).sum(axis=0)
            pairs[i, k, each, each] += part.weight[:, o, u]
            inner[i, k] = pairs[i, k] * widths[:, i, None] * widths[:, k]
    mixed[:, others] = pairs[:, others] * widths[:, others].T[:, None, :]
    own = part.pull * widths
    for a, rows in enumerate(block.places):
        own[: len(block.roots[a]), shared[a]] = part.error[rows]
    return pairs, mixed, inner, own


def _spread(weight: FloatArray, one: FloatArray, other: FloatArray, *, expected: bool) -> FloatArray:
    """``K[(i, j), (k, l)]``: sums over pairs of units of ``(one_i other_k - weight_ik / 2) weight_jl``.

    Its expectation has ``weight_ik weight_jl / 2`` in their place.
    """
    p = len(weight)
    flat = weight.reshape(p * p, -1)
    product = ((0.5 if expected else -0.5) * (flat @ flat.T)).reshape(p, p, p, p)
    if not expected:
        product += (one.T @ (weight @ other)).transpose(2, 3, 0, 1)
    return np.asarray(product.transpose(0, 2, 1, 3).reshape(p * p, p * p))


def expected_values(
    units: MemberMoments, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Each unit's own values given all data, and their standard deviations, the moments taken as known.

    Parameters
    ----------
    units : MemberMoments
    mu, sigma_b, sigma_w : (p,), (p, p), (p, p) arrays

    Returns
    -------
    values, errors : (J, p) arrays
    """
    data = Crossed.of(units)
    found = data.at(mu, sigma_b, sigma_w)
    assert found is not None
    values, left = np.tile(mu, (data.count, 1)), np.empty((data.count, mu.size))
    for block, part in zip(data.blocks, found.parts, strict=True):
        values[block.units] += part.pull @ sigma_b
        left[block.units] = sigma_b.diagonal() - np.einsum("ik,nkl,li->ni", sigma_b, part.info, sigma_b)
    return values, np.sqrt(np.maximum(left, 0.0))


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
        for at in _tied([among]):
            root, _ = _root(among[at][:, at].toarray(), np.zeros((len(at), 0)))
            sums[np.ix_(at, own)] += root.T @ rng.standard_normal((len(root), own.size)) @ inner.T
        means[np.ix_(here, own)] = sums[np.ix_(here, own)] / units.counts[here, s, None]
        if gram is None:
            sums[:, own] = 0.0
    return replace(units, means=np.where(units.present, means, np.nan), sums=sums)
