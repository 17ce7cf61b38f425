"""The likelihood of respondents who belong to several units at once, each by a share.

Respondent i of such a side answers ``y_i = mu + sum_j z_ij b_j + e_i``: units j with shares ``z_ij`` that sum to one,
and what is the respondent's own (multiple membership: Browne, Goldstein & Rasbash 2001, Statistical Modelling 1,
103-124). With ``Z = Q R``, Q orthonormal, the rows ``Q'y`` have mean ``R 1 mu'`` and covariances ``R R'`` between,
row by row ``sigma_w`` beside it, and what is left of ``y`` has the covariances ``sigma_w`` alone. ``R`` and ``Q'y``
follow from ``Z'Z`` and ``Z'y``; nothing is lost where units cannot be told apart, as R then has fewer rows than
columns. Sides of one unit a respondent and outcomes of units enter by their means, as in
:mod:`spc.sem.twolevel.likelihood`.

Only the sides of several units tie units to one another. Given the other variables O of their units, they have
covariances ``K = sum_j D_j (x) r_j r_j' + sigma_w (x) I`` with ``D_j = B_CC - B_CO M_j^-1 B_OC``, and K is all that is
dense. Units that no respondent ties together share no K.

With ``H_j`` the map from the values of unit j to the data, V their covariances and ``P_jl = H_j' V^-1 H_l``, second
derivatives are sums over pairs of units of products of ``P_jl``, as over units elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from spc.errors import UnsupportedError
from spc.linalg import FloatArray
from spc.sem.twolevel.answers import AnswerMoments, Answers
from spc.sem.twolevel.likelihood import Curvature, UnitMoments
from spc.sem.twolevel.membership_moments import MemberMoments, root_of, tied
from spc.sem.twolevel.search import Complete, Evidence

__all__ = ["Crossed", "evidence", "expected_values"]

IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

LARGEST = 5000
"""Units times variables that may be tied: second derivatives take 24 bytes for each pair of these."""


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
    """The likelihood and its gradient, in the sense of :class:`~spc.sem.twolevel.likelihood.Level2`."""

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
        for at in tied(grams):
            if len(at) * len(units.names) > LARGEST:
                raise UnsupportedError(
                    f"{len(at)} units are tied to each other by the customers they share; with {len(units.names)} "
                    f"variables at most {LARGEST // len(units.names)} can be. Give customers to the unit with most of "
                    "their assignments, or fit regions one by one."
                )
            found: dict[int, tuple[FloatArray, FloatArray]] = {}
            for s in sorted({int(units.side[a]) for a in shared}):
                own = np.flatnonzero(units.side == s)
                root, data = root_of(units.grams[s][at][:, at].toarray(), units.sums[np.ix_(at, own)])
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
    if isinstance(units, MemberMoments):
        return Crossed.of(units)
    return Answers(units) if isinstance(units, AnswerMoments) else Complete.of(units)


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
    units: MemberMoments,
    moments: tuple[FloatArray, FloatArray, FloatArray],
    cross: FloatArray,
    variance: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Expectation of quantities of units given all data: see :func:`spc.sem.twolevel.scores.given_means`.

    Parameters
    ----------
    units : MemberMoments
    moments : (p,), (p, p), (p, p) arrays
        Means, covariances of units, covariances within them.
    cross : (m, p) array
    variance : (m,) array

    Returns
    -------
    apart, errors : (J, m) arrays
    """
    data = Crossed.of(units)
    found = data.at(*moments)
    assert found is not None
    apart, left = np.zeros((data.count, len(cross))), np.empty((data.count, len(cross)))
    for block, part in zip(data.blocks, found.parts, strict=True):
        apart[block.units] += part.pull @ cross.T
        left[block.units] = variance - np.einsum("ik,nkl,il->ni", cross, part.info, cross)
    return apart, np.sqrt(np.maximum(left, 0.0))
