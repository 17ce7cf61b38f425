"""The likelihood of respondents who belong to several units at once, each by a share.

Respondent i of such a side answers ``y_i = mu + sum_j z_ij b_j + e_i``: units j with shares ``z_ij`` that sum to one,
and what is the respondent's own (multiple membership: Browne, Goldstein & Rasbash 2001, Statistical Modelling 1,
103-124). Respondents who answered the same variables g have ``W_g``, the inverse of these variables' covariances within
units, and zeros beside it. With their shares Z_g,

    A = sum_g W_g (x) Z_g'Z_g,    h = sum_g Z_g'(y_g - mu) W_g

are what the answers say of the values of units. Given the other variables O of their units, which enter by their means
as in :mod:`spc.sem.twolevel.likelihood`, these values have means f and covariances ``D_j = B_CC - B_CO M_j^-1 B_OC``,
unit by unit. Minus twice the log-likelihood of the answers is, up to constants,

    sum_g [N_g log|sigma_w,g| + tr(W_g T_g)] + log|I + A D| - f'(2 h - A f) - (h - A f)' P (h - A f),

with ``P = D (I + A D)^-1`` the covariances of the values of units given all data, and T_g the cross-products around
``mu``. Only the sides of several units tie units to one another, and A and P are all that is dense; units that no
respondent ties together share none. Nothing is lost where units cannot be told apart.

With ``H_j`` the map from the values of unit j to the data, V their covariances and ``P_jl = H_j' V^-1 H_l``, second
derivatives are sums over pairs of units of products of ``P_jl``, as over units elsewhere; those in ``sigma_w`` are sums
over pairs of respondents, which come down to sums over pairs of units by ``Z_g'Z_g``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spc.errors import UnsupportedError
from spc.linalg import FloatArray
from spc.sem.twolevel.answers import AnswerMoments, Answers
from spc.sem.twolevel.likelihood import Curvature, UnitMoments
from spc.sem.twolevel.membership_moments import MemberMoments, SharedAnswers, tied
from spc.sem.twolevel.search import Complete, Evidence

__all__ = ["Crossed", "evidence", "expected_values", "too_large"]

IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

LARGEST = 5000
"""Units times variables that may be tied: second derivatives take 24 bytes for each pair of these."""
LONGEST = 50_000
"""Units times pairs of variables, over all sets of answered variables: what second derivatives may take time for."""


@dataclass(frozen=True, eq=False)
class _Answers:
    """Respondents of a block who answered the same of the c variables of sides of several units.

    Attributes
    ----------
    which : int
        Place of their set of variables among all sets.
    at : (a,) int array
        The variables they answered.
    number : float
    gram : (n, n) array
        ``Z'Z``.
    sums : (n, a) array
        ``Z'y``.
    """

    which: int
    at: IntArray
    number: float
    gram: FloatArray
    sums: FloatArray

    @cached_property
    def counts(self) -> FloatArray:
        """(n,): sums of shares."""
        return np.asarray(self.gram.sum(axis=1))

    def apart(self, mu: FloatArray, width: int) -> FloatArray:
        """``Z'(y - mu)`` (n, c) for means (c,) of all variables; zero for those not answered."""
        out = np.zeros((len(self.sums), width))
        out[:, self.at] = self.sums - self.counts[:, None] * mu[self.at]
        return out


@dataclass(frozen=True, eq=False)
class _Block:
    """Units that are tied: n of them.

    Attributes
    ----------
    units : (n,) int array
    answers : tuple of _Answers
    means : (n, o) array
        The other variables; 0 where absent.
    present : (n, o) bool array
    share : (n, o) array
        One over the respondents behind each mean; 0 for outcomes and absent variables.
    """

    units: IntArray
    answers: tuple[_Answers, ...]
    means: FloatArray
    present: BoolArray
    share: FloatArray


@dataclass(frozen=True, eq=False)
class _Part:
    """What one block contributes; c variables are of sides of several units.

    Attributes
    ----------
    height : float
        Log-determinants.
    trace : float
        Squared distance of the data, less that of answers from ``mu``.
    weight : (n, o, o) array
        ``M_j^-1``.
    lead : (n, c, p) array
        ``G_j = (-B_CO M_j^-1, I)``, over all p variables.
    said : (c*n, c*n) array
        A.
    spread : (c*n, c*n) array
        P.
    turn : (c*n, c*n) array
        ``A P``.
    value : (n, c) array
        Expected values of units given all data, less ``mu``.
    lean : tuple of (n, c) arrays
        ``Z_g' (y_g - mu - Z_g value) W_g`` of each set of answered variables.
    pull : (n, p) array
        ``t_j = H_j' V^-1 (y - mean)``.
    info : (n, p, p) array
        ``P_jj``.
    """

    height: float
    trace: float
    weight: FloatArray
    lead: FloatArray
    said: FloatArray
    spread: FloatArray
    turn: FloatArray
    value: FloatArray
    lean: tuple[FloatArray, ...]
    pull: FloatArray
    info: FloatArray


@dataclass(frozen=True, eq=False)
class _Inner:
    """Covariances within units of those who answered the same variables.

    Attributes
    ----------
    height : float
        Log-determinant.
    weight : (c, c) array
        ``W_g``; zero where not answered.
    apart : (c, c) array
        Cross-products of the answers around ``mu``.
    """

    height: float
    weight: FloatArray
    apart: FloatArray


@dataclass(frozen=True, eq=False)
class _Found:
    """The likelihood and its gradient, in the sense of :class:`~spc.sem.twolevel.likelihood.Level2`.

    ``left`` (c, c) of each set of answered variables are the cross-products of what remains of the answers given the
    expected values of units.
    """

    value: float
    mu: FloatArray
    sigma_b: FloatArray
    sigma_w: FloatArray
    inverse: FloatArray
    inner: tuple[_Inner, ...]
    left: tuple[FloatArray, ...]
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
        places = [np.searchsorted(shared, part.places) for part in units.shared]
        present, counts = units.present, np.where(units.side >= 0, units.counts[:, units.side], 0.0)
        share = np.where(units.averaged & present & (counts > 0.0), 1.0 / np.maximum(counts, 1.0), 0.0)
        blocks = []
        for at in tied([part.gram for part in units.shared]):
            if len(at) * len(units.names) > LARGEST:
                raise UnsupportedError(
                    f"{len(at)} units are tied to each other by the customers they share; with {len(units.names)} "
                    f"variables at most {LARGEST // len(units.names)} can be. Give customers to the unit with most of "
                    "their assignments, or fit regions one by one."
                )
            here = present[np.ix_(at, others)]
            means = np.where(here, units.means[np.ix_(at, others)], 0.0)
            answers = tuple(_answers(units.shared, places, at))
            blocks.append(_Block(at, answers, means, here, share[np.ix_(at, others)]))
        return cls(units, tuple(blocks))

    @property
    def count(self) -> int:
        """Units."""
        return len(self.units.counts)

    def at(self, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray) -> _Found | None:
        """The likelihood at given moments; None where a matrix is not positive definite."""
        units, (shared, others) = self.units, _split(self.units)
        plain = units.averaged
        outside = np.where(units.own & plain, sigma_w, 0.0) + np.diag(np.where(plain, 0.0, 1.0))
        try:
            root, inverse = np.linalg.cholesky(outside), np.linalg.inv(outside)
            inner = tuple(_inner(part, shared, mu, sigma_w) for part in units.shared)
            parts = tuple(_look(block, inner, shared, others, mu, sigma_b, sigma_w) for block in self.blocks)
        except np.linalg.LinAlgError:
            return None
        inverse = np.where(units.own & plain, inverse, 0.0)
        freedom = np.where(plain, np.append(units.freedom, 0.0)[units.side], 0.0)
        inside = inverse @ units.pooled
        value = 0.5 * sum(part.height + part.trace for part in parts)
        value += float(freedom @ np.log(root.diagonal())) + 0.5 * float(np.trace(inside))
        for each, one in zip(units.shared, inner, strict=True):
            value += 0.5 * (each.number * one.height + float((one.weight * one.apart).sum()))
        slope_b, slope_w = np.zeros_like(sigma_b), 0.5 * (freedom[:, None] * inverse - inside @ inverse)
        pull = np.zeros_like(mu)
        for block, part in zip(self.blocks, parts, strict=True):
            slope = 0.5 * (part.info - part.pull[:, :, None] * part.pull[:, None, :])
            slope_b += slope.sum(axis=0)
            pull += part.pull.sum(axis=0)
            outer = (slope[:, others[:, None], others] * block.share[:, :, None]).sum(axis=0)
            slope_w[np.ix_(others, others)] += outer
        left, own = self._left(parts, inner, mu[shared])
        slope_w[np.ix_(shared, shared)] += own
        slope_w = np.where(units.own, slope_w, 0.0)
        return _Found(float(value), -pull, slope_b, slope_w, inverse, inner, left, parts)

    def _left(
        self, parts: tuple[_Part, ...], inner: tuple[_Inner, ...], mu: FloatArray
    ) -> tuple[tuple[FloatArray, ...], FloatArray]:
        """What remains of the answers of each set of variables, and the gradient (c, c) in ``sigma_w``."""
        left, spread = [one.apart.copy() for one in inner], [np.zeros_like(one.apart) for one in inner]
        for block, part in zip(self.blocks, parts, strict=True):
            for answers in block.answers:
                both = part.value.T @ answers.apart(mu, mu.size)
                left[answers.which] += part.value.T @ answers.gram @ part.value - both - both.T
                spread[answers.which] += _traces(answers.gram, part.spread)
        slope = np.zeros_like(left[0])
        for each, one, rest, more in zip(self.units.shared, inner, left, spread, strict=True):
            slope += 0.5 * (each.number * one.weight - one.weight @ (rest + more) @ one.weight)
        return tuple(left), slope

    def curvature(self, found: _Found, *, expected: bool) -> Curvature:
        """Second derivatives in the moments, or their expectation."""
        units, (shared, others) = self.units, _split(self.units)
        p = len(units.names)
        sums = _Sums.nothing(p, expected=expected)
        for block, part in zip(self.blocks, found.parts, strict=True):
            sums.add(block, part, found.inner, shared, others)
        for each, one, left in zip(units.shared, found.inner, found.left, strict=True):
            outer = each.number * sums.sign * one.weight
            outer = outer if expected else outer + one.weight @ left @ one.weight
            sums.w[np.ix_(shared, shared, shared, shared)] += np.einsum("ik,jl->ijkl", outer, one.weight)
        plain = np.where(units.averaged, np.append(units.freedom, 0.0)[units.side], 0.0)
        flat = 0.5 * plain[:, None] * found.inverse
        free = flat if expected else found.inverse @ units.pooled @ found.inverse - flat
        sums.w[...] += np.einsum("ik,jl->ijkl", free, found.inverse)
        square = p * p, p * p
        return Curvature(
            sums.mu, sums.mu_b.reshape(p, -1), sums.mu_w.reshape(p, -1), sums.b.reshape(square),
            sums.bw.reshape(square), sums.w.reshape(square),
        )  # fmt: skip

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


def too_large(units: MemberMoments) -> bool:
    """Whether respondents answered so many different sets of variables that second derivatives take too much."""
    width = len(_split(units)[0])
    for at in tied([part.gram for part in units.shared]):
        sets = sum(bool(part.counts[at].any()) for part in units.shared)
        pairs = sets * width**2 * len(at)
        if pairs > LONGEST or pairs * len(at) > LARGEST**2:
            return True
    return False


def _split(units: MemberMoments) -> tuple[IntArray, IntArray]:
    """Variables of sides of several units, and all others."""
    shared = (units.side >= 0) & ~units.averaged
    return np.flatnonzero(shared), np.flatnonzero(~shared)


def _answers(shared: tuple[SharedAnswers, ...], places: list[IntArray], units: IntArray) -> Iterator[_Answers]:
    """Those of given units."""
    for g, (part, at) in enumerate(zip(shared, places, strict=True)):
        number = float(part.counts[units].sum())
        if number > 0.0:
            yield _Answers(g, at, number, part.gram[units][:, units].toarray(), part.sums[units])


def _inner(part: SharedAnswers, shared: IntArray, mu: FloatArray, sigma_w: FloatArray) -> _Inner:
    at, own = np.searchsorted(shared, part.places), np.ix_(part.places, part.places)
    root = np.linalg.cholesky(sigma_w[own])
    apart = part.mean - mu[part.places]
    weight, cross = np.zeros((2, shared.size, shared.size))
    weight[np.ix_(at, at)] = np.linalg.inv(sigma_w[own])
    cross[np.ix_(at, at)] = part.scatter + part.number * np.outer(apart, apart)
    return _Inner(2.0 * float(np.log(root.diagonal()).sum()), weight, cross)


def _look(
    block: _Block, inner: tuple[_Inner, ...], shared: IntArray, others: IntArray, mu: FloatArray,
    sigma_b: FloatArray, sigma_w: FloatArray,
) -> _Part:  # fmt: skip
    n, c, p, o = len(block.units), shared.size, len(mu), np.arange(others.size)
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
    foreseen = np.matmul(apart[:, None, :], tilt)[:, 0, :]
    said, given = np.zeros((c, n, c, n)), np.zeros((n, c))
    told = [answers.apart(mu[shared], c) for answers in block.answers]
    for answers, sums in zip(block.answers, told, strict=True):
        own = inner[answers.which].weight
        given += sums @ own
        for a in answers.at:
            for b in answers.at:
                if own[a, b] != 0.0:
                    said[a, :, b] += own[a, b] * answers.gram
    flat = said.reshape(c * n, c * n)
    spread, height = _spread_of(said, _roots(left))
    toward = given - _times(flat, foreseen)
    value = foreseen + _times(spread, toward)
    turn = flat @ spread
    reach = given - _times(flat, value)
    held = _held(said, turn)
    lead = np.zeros((n, c, p))
    lead[:, :, others] = -tilt.transpose(0, 2, 1)
    lead[:, np.arange(c), shared] = 1.0
    lean = np.matmul(weight, apart[:, :, None])[:, :, 0]
    pull = np.matmul(reach[:, None, :], lead)[:, 0, :]
    pull[:, others] += lean
    info = lead.transpose(0, 2, 1) @ held @ lead
    info[:, others[:, None], others] += weight
    rest = [(one - a.gram @ value) @ inner[a.which].weight for a, one in zip(block.answers, told, strict=True)]
    trace = float((apart * lean).sum() - (foreseen * (given + toward)).sum() - (toward * (value - foreseen)).sum())
    height += 2.0 * float(np.log(factor[:, o, o]).sum())
    return _Part(height, trace, weight, lead, flat, spread, turn, value, tuple(rest), pull, info)


def _roots(matrices: FloatArray) -> FloatArray:
    """Roots (n, c, c) of covariances of units."""
    values, vectors = np.linalg.eigh(matrices)
    if values.min() < -1e-10 * max(float(values.max()), 1e-300):
        raise np.linalg.LinAlgError
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :])


def _spread_of(said: FloatArray, root: FloatArray) -> tuple[FloatArray, float]:
    """P (c*n, c*n) for A (c, n, c, n) and roots L of D, and ``log|I + A D|``."""
    from scipy.linalg.lapack import dpotrf, dpotri

    size = said.shape[0] * said.shape[1]
    core = np.einsum("jxa,xjyl,lyb->ajbl", root, said, root, optimize=True).reshape(size, size)
    core[np.diag_indices(size)] += 1.0
    upper, failed = dpotrf(core, lower=1)
    if failed:
        raise np.linalg.LinAlgError
    inverse, _ = dpotri(upper, lower=1)
    inverse = (np.tril(inverse) + np.tril(inverse, -1).T).reshape(said.shape)
    spread = np.einsum("jxa,ajbl,lyb->xjyl", root, inverse, root, optimize=True)
    return np.ascontiguousarray(spread).reshape(size, size), 2.0 * float(np.log(upper.diagonal()).sum())


def _times(matrix: FloatArray, values: FloatArray) -> FloatArray:
    """(c*n, c*n) times values of units (n, c)."""
    return np.asarray((matrix @ values.T.ravel()).reshape(values.shape[1], -1).T)


def _held(said: FloatArray, turn: FloatArray) -> FloatArray:
    """Diagonal blocks (n, c, c) of ``A - A P A``."""
    c, n = said.shape[:2]
    flat, turned = said.reshape(c, n, -1), turn.reshape(c, n, -1)
    return np.asarray(np.einsum("ajbj->jab", said) - np.einsum("ajx,bjx->jab", turned, flat))


def _traces(gram: FloatArray, spread: FloatArray) -> FloatArray:
    """Traces (c, c) of ``Z'Z`` times each block of P."""
    n = len(gram)
    c = len(spread) // n
    return np.asarray(np.einsum("jl,ajbl->ab", gram, spread.reshape(c, n, c, n)))


@dataclass(frozen=True, eq=False)
class _Sums:
    """Second derivatives, block by block, with an axis for each of the p variables; ``sign`` of half the traces."""

    mu: FloatArray
    mu_b: FloatArray
    mu_w: FloatArray
    b: FloatArray
    bw: FloatArray
    w: FloatArray
    sign: float

    @classmethod
    def nothing(cls, p: int, *, expected: bool) -> _Sums:
        """Zeros."""
        mu_b, mu_w = np.zeros((2, p, p, p))
        b, bw, w = np.zeros((3, p, p, p, p))
        return cls(np.zeros((p, p)), mu_b, mu_w, b, bw, w, 0.5 if expected else -0.5)

    def add(self, block: _Block, part: _Part, inner: tuple[_Inner, ...], shared: IntArray, others: IntArray) -> None:
        """Add a block."""
        pairs, half = _pairs(block, part, shared, others)
        widths = np.zeros(part.pull.shape)
        widths[:, others] = np.sqrt(block.share)
        wide, pull = widths.T[:, None, :, None], part.pull
        mixed = pairs * widths.T[:, None, :]
        self.mu[...] += pairs.sum(axis=(2, 3))
        self.b[...] += self._spread(pairs, pairs, pull, pull)
        self.bw[...] += self._spread(mixed, mixed, pull, pull * widths)
        outer = wide * mixed
        self.w[...] += self._spread(outer, outer, pull * widths, pull * widths)
        self.mu_b[...] += self._bent * (pairs.sum(axis=2) @ pull)
        self.mu_w[...] += self._bent * (mixed.sum(axis=2) @ (pull * widths))
        for answers, lean in zip(block.answers, part.lean, strict=True):
            at = shared[answers.at]
            way = np.einsum("icjl,ck->ikjl", half, inner[answers.which].weight[:, answers.at], optimize=True)
            own = lean[:, answers.at]
            self.mu_w[:, at[:, None], at] += self._bent * (way.sum(axis=2) @ own)
            self.bw[:, :, at[:, None], at] += self._spread(way @ answers.gram, way, pull, own)
            across = self._spread(wide * way @ answers.gram, wide * way, pull * widths, own)
            self.w[:, :, at[:, None], at] += across
            self.w[at[:, None], at] += across.transpose(2, 3, 0, 1)
        self.w[np.ix_(shared, shared, shared, shared)] += self._within(block, part, inner)

    @property
    def _bent(self) -> float:
        """Zero in expectation."""
        return float(self.sign < 0.0)

    def _spread(self, weight: FloatArray, again: FloatArray, one: FloatArray, other: FloatArray) -> FloatArray:
        """``K[i, j, k, l]``: sums over pairs of ``(one_i other_k - weight_ik / 2) again_jl``.

        Its expectation has ``weight_ik again_jl / 2`` in their place.
        """
        p, q = weight.shape[:2]
        product = self.sign * (weight.reshape(p * q, -1) @ again.reshape(p * q, -1).T).reshape(p, q, p, q)
        if self._bent:
            product += (one.T @ (again @ other)).transpose(2, 3, 0, 1)
        return product.transpose(0, 2, 1, 3)

    def _within(self, block: _Block, part: _Part, inner: tuple[_Inner, ...]) -> FloatArray:
        """Second derivatives (c, c, c, c) in ``sigma_w`` that units bring about, by ``Z'Z`` in place of respondents."""
        n = len(block.units)
        weights = np.array([inner[answers.which].weight for answers in block.answers])
        c = weights.shape[1]
        spread = part.spread.reshape(c, n, c, n)
        each = np.stack([np.einsum("xj,ajbl->abxl", answers.gram, spread, optimize=True) for answers in block.answers])
        own = np.einsum("gabxx->gab", each)
        each = np.einsum("gia,gabxl->gibxl", weights, each, optimize=True)
        rows = len(weights) * c * c
        cross = (each.reshape(rows, -1) @ each.swapaxes(3, 4).reshape(rows, -1).T).reshape(*each.shape[:3], -1, c, c)
        traces = np.einsum("gibhle,hbk,gje->ikjl", cross, weights, weights, optimize=True)
        lost = weights @ own @ weights
        both = np.einsum("gik,gjl->ikjl", weights, lost)
        traces -= both + both.transpose(2, 3, 0, 1)
        out = self.sign * traces.transpose(0, 2, 1, 3)
        if self._bent:
            tops = np.einsum("gni,gjc->ijcn", np.array(part.lean), weights).reshape(c * c, c * n)
            out = out - (tops @ part.spread @ tops.T).reshape(c, c, c, c)
        return np.asarray(out)


def _pairs(block: _Block, part: _Part, shared: IntArray, others: IntArray) -> tuple[FloatArray, FloatArray]:
    """``H_j' V^-1 H_l`` (p, p, n, n), and ``H_j' V^-1 F_m`` (p, c, n, n) but for ``Z_g' W_g``.

    ``F_m`` is the way of the values within units of respondent m into the data.
    """
    n, c, p = len(block.units), shared.size, shared.size + others.size
    size = c * n
    inside = (part.said - part.turn @ part.said).reshape(c, n, c, n).transpose(0, 2, 1, 3)
    pairs, half = np.zeros((p, p, n, n)), np.zeros((p, c, n, n))
    pairs[np.ix_(shared, shared)] = inside
    half[shared] = (np.eye(size) - part.turn).reshape(c, n, c, n).transpose(0, 2, 1, 3)
    for i in others:
        tilt = part.lead[:, :, i].T[:, :, None]
        half[i] = (tilt[:, None] * half[shared]).sum(axis=0)
        for b in shared:
            pairs[i, b] = (tilt * pairs[shared, b]).sum(axis=0)
            pairs[b, i] = pairs[i, b].T
    each = np.arange(n)
    for o, i in enumerate(others):
        for u, k in enumerate(others):
            pairs[i, k] = (pairs[i, shared] * part.lead[:, :, k].T[:, None, :]).sum(axis=0)
            pairs[i, k, each, each] += part.weight[:, o, u]
    return pairs, half


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
