"""The two-level likelihood of rows with missing answers: every answer counts, none is filled in.

Within a unit the rows that answer the same variables share one inverse. With ``W_g`` that inverse for pattern g, zero
where answers are missing, ``n_jg`` the rows of unit j with it and ``d_jg`` their mean less ``mu``,

    A_j = sum_g n_jg W_g,    c_j = sum_g n_jg W_g d_jg

are what the rows say of the unit's own values, whose covariances given its outcomes are ``S_j``. Minus twice the
log-likelihood of the rows is, up to constants,

    sum_g [N_g log|sigma_w,g| + tr(W_g T_g)] + sum_j [log|I + A_j S_j| - c_j' P_j c_j],    P_j = S_j - S_j K_j S_j,

with ``K_j = (I + A_j S_j)^-1 A_j`` and ``T_g`` the cross-products around ``mu``, where the unit's outcomes move its
mean, ``mu`` moves along. ``P_j`` is the covariance of the unit's values given all its answers. Derivatives in the
moments follow from ``K_j`` and the expected residuals; second derivatives from sums over pairs of rows, as the inverse
covariances of rows i and k of a unit are ``W_i`` on the diagonal less ``W_i P_j W_k``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray, frozen_array
from spc.sem.twolevel.likelihood import Curvature, UnitMoments, kronecker

__all__ = ["Answered", "Incomplete", "UnitAnswers", "answer_scores", "unit_answers"]

MANY = 10
"""Variables from which on it pays to look at each side alone."""
IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class UnitAnswers:
    """Everything the likelihood sees of rows in J units with missing answers.

    A cell holds the rows of one unit that answer the same variables; there are M of them, in the order of the units.

    Attributes
    ----------
    names : tuple of str
        The r variables of rows, then the q outcomes of units.
    patterns : (G, r) bool array
        Variables that are answered.
    unit, pattern : (M,) int arrays
        Of each cell.
    number : (M,) array
        Rows.
    mean : (M, r) array
        Zero where missing.
    scatter : (M, r, r) array
        Cross-products around the cell's mean; zero where missing.
    outcomes : (J, q) array
        NaN where missing.
    """

    names: tuple[str, ...]
    patterns: BoolArray
    unit: IntArray
    pattern: IntArray
    number: FloatArray
    mean: FloatArray
    scatter: FloatArray
    outcomes: FloatArray

    def __post_init__(self) -> None:
        for name in ("number", "mean", "scatter", "outcomes"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))

    @property
    def width(self) -> int:
        """Variables of rows: r."""
        return int(self.patterns.shape[1])

    @property
    def count(self) -> int:
        """Units: J."""
        return len(self.outcomes)

    @property
    def rows(self) -> int:
        """Rows of all units."""
        return int(self.number.sum())

    @cached_property
    def _heard(self) -> IntArray:
        """Units with rows."""
        return np.unique(self.unit)

    @cached_property
    def _starts(self) -> IntArray:
        """First cell of each of these."""
        return np.searchsorted(self.unit, self._heard)

    @cached_property
    def rows_of(self) -> FloatArray:
        """Rows with each pattern (G,)."""
        return np.bincount(self.pattern, self.number, len(self.patterns)).astype(np.float64)

    @cached_property
    def scatter_of(self) -> FloatArray:
        """Cross-products of the cells of each pattern, all together (G, r, r)."""
        return self.by_pattern(self.scatter)

    def balanced(self, scale: FloatArray) -> UnitAnswers:
        """The same in units of ``scale`` (p,)."""
        own, rest = scale[: self.width], scale[self.width :]
        return UnitAnswers(
            self.names, self.patterns, self.unit, self.pattern, self.number, self.mean / own,
            self.scatter / np.outer(own, own), self.outcomes / rest,
        )  # fmt: skip

    def by_unit(self, cells: FloatArray) -> FloatArray:
        """Sums over the cells of each unit."""
        total = np.zeros((self.count, *cells.shape[1:]))
        total[self._heard] = np.add.reduceat(cells, self._starts, axis=0)
        return total

    def by_pattern(self, cells: FloatArray) -> FloatArray:
        """Sums over the cells of each pattern."""
        order, starts = self._sorted
        return np.asarray(np.add.reduceat(cells[order], starts, axis=0))

    @cached_property
    def _sorted(self) -> tuple[IntArray, IntArray]:
        """Cells by pattern, and the first of each."""
        order = np.argsort(self.pattern, kind="stable")
        return order, np.searchsorted(self.pattern[order], np.arange(len(self.patterns)))

    @property
    def answered(self) -> FloatArray:
        """Answers to each variable (p,)."""
        return np.concatenate([self.rows_of @ self.patterns, (~np.isnan(self.outcomes)).sum(axis=0)])

    def shifted(self, centre: FloatArray) -> UnitAnswers:
        """The same with every variable measured from ``centre`` (p,)."""
        own, rest = centre[: self.width], centre[self.width :]
        mean = np.where(self.patterns[self.pattern], self.mean - own, 0.0)
        return replace(self, mean=mean, outcomes=self.outcomes - rest)

    def take(self, units: IntArray) -> UnitAnswers:
        """The units at the given places, with repeats."""
        first = np.searchsorted(self.unit, np.arange(self.count + 1))
        cells = np.concatenate([np.arange(first[j], first[j + 1]) for j in units])
        unit = np.repeat(np.arange(len(units)), np.diff(first)[units])
        used, pattern = np.unique(self.pattern[cells], return_inverse=True)
        return UnitAnswers(
            self.names, self.patterns[used], unit, pattern.reshape(-1), self.number[cells], self.mean[cells],
            self.scatter[cells], self.outcomes[units],
        )  # fmt: skip

    def rough(self, sides: Sequence[str], side: IntArray) -> UnitMoments:
        """Moments of units by what each has: means of the answers, and cross-products of pairs, scaled up.

        Parameters
        ----------
        sides : sequence of str
        side : (r,) int array
            Side of each variable of rows.
        """
        r, p = self.width, len(self.names)
        here = self.patterns[self.pattern].astype(float)
        told = self.number[:, None] * here
        count = self.by_unit(told)
        sums = self.by_unit(told * self.mean)
        means = np.where(count > 0.0, sums / np.maximum(count, 1.0), np.nan)
        apart = np.where(here > 0.0, self.mean - np.nan_to_num(means)[self.unit], 0.0)
        cross = (self.scatter + self.number[:, None, None] * apart[:, :, None] * apart[:, None, :]).sum(axis=0)
        pairs = np.einsum("m,mi,mj->ij", self.number, here, here)
        of_side = np.stack([self.patterns[:, side == s].any(axis=1) for s in range(len(sides))], axis=1)
        rows = self.by_unit(self.number[:, None] * of_side[self.pattern])
        width = np.sqrt(rows.sum(axis=0))[side]
        matrix = _nearest_possible(cross / np.maximum(pairs, 1.0)) * np.outer(width, width)
        scatter = np.zeros((self.count, p, p))
        scatter[0, :r, :r] = np.where(side[:, None] == side, matrix, 0.0)
        side_of = np.concatenate([side, np.full(p - r, -1)])
        return UnitMoments(self.names, tuple(sides), side_of, rows, np.hstack([means, self.outcomes]), scatter)


def _nearest_possible(matrix: FloatArray) -> FloatArray:
    """A matrix of pairwise covariances without directions in which nothing varies, or less than nothing."""
    root = np.sqrt(np.maximum(matrix.diagonal(), 1e-300))
    values, vectors = np.linalg.eigh(matrix / np.outer(root, root))
    return np.asarray(vectors * np.maximum(values, 1e-3) @ vectors.T * np.outer(root, root))


def unit_answers(
    names: Sequence[str], units: npt.ArrayLike, values: npt.ArrayLike, outcomes: npt.ArrayLike
) -> UnitAnswers:
    """Reduce rows with missing answers to cells.

    Parameters
    ----------
    names : sequence of str
        Variables of the rows, then outcomes of units.
    units : (N,) int array-like
        Unit of each row, from 0 to J - 1.
    values : (N, r) array-like
        NaN where missing; a row without any answer is left out.
    outcomes : (J, q) array-like
        NaN where missing.

    Examples
    --------
    >>> cells = unit_answers(["x", "y"], [0, 0, 1], [[1.0, 2.0], [3.0, np.nan], [5.0, 6.0]], np.empty((2, 0)))
    >>> cells.number.tolist(), cells.patterns.tolist()
    ([1.0, 1.0, 1.0], [[True, False], [True, True]])
    """
    rows, codes = np.asarray(values, dtype=np.float64), np.asarray(units, dtype=np.intp)
    here = ~np.isnan(rows)
    some = here.any(axis=1)
    rows, codes, here = rows[some], codes[some], here[some]
    patterns, of = np.unique(here, axis=0, return_inverse=True)
    of = of.reshape(-1)
    cell, member = np.unique(codes * len(patterns) + of, return_inverse=True)
    member = member.reshape(-1)
    number = np.bincount(member).astype(np.float64)
    filled = np.where(here, rows, 0.0)
    mean = np.zeros((cell.size, rows.shape[1]))
    np.add.at(mean, member, filled)
    mean /= number[:, None]
    apart = np.where(here, filled - mean[member], 0.0)
    scatter = np.zeros((cell.size, rows.shape[1], rows.shape[1]))
    np.add.at(scatter, member, apart[:, :, None] * apart[:, None, :])
    return UnitAnswers(
        tuple(names), patterns, cell // len(patterns), cell % len(patterns), number, mean, scatter,
        np.asarray(outcomes, dtype=np.float64),
    )  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class Answered:
    """The likelihood of the answers and its first derivatives at given moments.

    ``value``, ``mu``, ``sigma_b`` and ``sigma_w`` are those of :class:`~spc.sem.twolevel.likelihood.Level2`.

    Attributes
    ----------
    weight : (G, r, r) array
        ``W``.
    pull : (J, p) array
        Gradient of the log-likelihood of each unit in its mean.
    hold : (J, p, p) array
        Information of each unit on its mean: ``K`` and what the outcomes add.
    spread : (J, r, r) array
        ``P``.
    residual : (M, r) array
        Mean of each cell less the expected values of its unit.
    onto : (J, r, q) array
        Slopes of the unit's values on its outcomes.
    """

    value: float
    mu: FloatArray
    sigma_b: FloatArray
    sigma_w: FloatArray
    weight: FloatArray
    pull: FloatArray
    hold: FloatArray
    spread: FloatArray
    residual: FloatArray
    onto: FloatArray

    @classmethod
    def at(cls, data: UnitAnswers, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray) -> Answered | None:
        """Evaluate; None where a matrix is not positive definite."""
        r = data.width
        inner = _inverses(data.patterns, sigma_w[:r, :r])
        beyond = _given_outcomes(data, mu, sigma_b)
        if inner is None or beyond is None:
            return None
        weight, height = inner
        own = weight[data.pattern]
        apart = data.mean - mu[:r]
        lean = np.matmul(own, apart[:, :, None])[:, :, 0]
        said = data.by_unit(data.number[:, None, None] * own)
        given = data.by_unit(data.number[:, None] * lean)
        values, vectors = np.linalg.eigh(said)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]) @ vectors.transpose(0, 2, 1)
        core = root @ beyond.cov @ root + np.eye(r)
        try:
            factor = np.linalg.cholesky(core)
        except np.linalg.LinAlgError:
            return None
        hold = root @ np.linalg.inv(core) @ root
        toward = given - _times(said, beyond.shift)
        stretched = beyond.cov @ hold
        spread = beyond.cov - stretched @ beyond.cov
        pull = toward - _times(hold, _times(beyond.cov, toward))
        expected = beyond.shift + _times(beyond.cov, pull)
        residual = np.where(data.patterns[data.pattern], apart - expected[data.unit], 0.0)
        value = float(data.rows_of @ height) + float((weight * data.scatter_of).sum())
        value += float(data.number @ (apart * lean).sum(axis=1)) + beyond.value
        value += 2.0 * float(np.log(np.einsum("jii->ji", factor)).sum())
        value -= float((beyond.shift * (given + toward)).sum() + (toward * _times(spread, toward)).sum())
        whole_pull, whole_hold = beyond.join(pull, hold)
        slope_b = 0.5 * (whole_hold.sum(axis=0) - whole_pull.T @ whole_pull)
        left = data.number[:, None, None] * (spread[data.unit] + residual[:, :, None] * residual[:, None, :])
        left_of = data.by_pattern(left) + data.scatter_of
        slope_w = np.zeros_like(sigma_w)
        slope_w[:r, :r] = 0.5 * (data.rows_of[:, None, None] * weight - weight @ left_of @ weight).sum(axis=0)
        return cls(
            0.5 * value, -whole_pull.sum(axis=0), slope_b, slope_w, weight, whole_pull, whole_hold, spread, residual,
            beyond.onto,
        )  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class _Beyond:
    """What a unit's values are expected to be given its outcomes, and the likelihood of these.

    ``shift`` (J, r) and ``cov`` (J, r, r) are of the variables of rows, ``onto`` (J, r, q) their slopes on the
    outcomes, ``weight`` (J, q, q) the inverse covariances of the outcomes and ``toward`` (J, q) those times their
    deviations.
    """

    value: float
    shift: FloatArray
    cov: FloatArray
    onto: FloatArray
    weight: FloatArray
    toward: FloatArray

    def join(self, pull: FloatArray, hold: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Gradient and information of each unit's mean, outcomes included."""
        back = self.onto.transpose(0, 2, 1)
        both = np.concatenate([pull, self.toward - _times(back, pull)], axis=1)
        mixed = -hold @ self.onto
        top = np.concatenate([hold, mixed], axis=2)
        bottom = np.concatenate([mixed.transpose(0, 2, 1), self.weight - back @ mixed], axis=2)
        return both, np.concatenate([top, bottom], axis=1)


def _times(matrices: FloatArray, vectors: FloatArray) -> FloatArray:
    return np.asarray(np.matmul(matrices, vectors[:, :, None])[:, :, 0])


def _inverses(present: BoolArray, sigma: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Inverses of the present parts, zero elsewhere, and log determinants."""
    both = present[:, :, None] & present[:, None, :]
    joint = np.where(both, sigma, 0.0)
    diagonal = np.arange(present.shape[1])
    joint[:, diagonal, diagonal] += ~present
    try:
        factor = np.linalg.cholesky(joint)
        weight = np.where(both, np.linalg.inv(joint), 0.0)
    except np.linalg.LinAlgError:
        return None
    return weight, 2.0 * np.log(factor[:, diagonal, diagonal]).sum(axis=1)


def _given_outcomes(data: UnitAnswers, mu: FloatArray, sigma_b: FloatArray) -> _Beyond | None:
    r, count = data.width, data.count
    present = ~np.isnan(data.outcomes)
    kinds, of = np.unique(present, axis=0, return_inverse=True)
    of = of.reshape(-1)
    found = _inverses(kinds, sigma_b[r:, r:])
    if found is None:
        return None
    weight, height = found
    onto = sigma_b[:r, r:] @ weight
    cov = sigma_b[:r, :r] - onto @ sigma_b[r:, :r]
    apart = np.where(present, data.outcomes - mu[r:], 0.0)
    toward = _times(weight[of], apart) if apart.size else np.zeros((count, 0))
    value = float((apart * toward).sum() + height[of].sum())
    shift = _times(onto[of], apart) if apart.size else np.zeros((count, r))
    return _Beyond(value, shift, cov[of], onto[of], weight[of], toward)


def answer_scores(data: UnitAnswers, at: Answered) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Each unit's part of the gradient: (J, p), (J, p*p), (J, p*p)."""
    p, r = at.pull.shape[1], data.width
    slope_b = 0.5 * (at.hold - at.pull[:, :, None] * at.pull[:, None, :])
    own = at.weight[data.pattern]
    left = data.scatter + data.number[:, None, None] * (
        at.spread[data.unit] + at.residual[:, :, None] * at.residual[:, None, :]
    )
    slope_w = np.zeros((data.count, p, p))
    slope_w[:, :r, :r] = data.by_unit(0.5 * (data.number[:, None, None] * own - own @ left @ own))
    return -at.pull, slope_b.reshape(data.count, -1), slope_w.reshape(data.count, -1)


@dataclass(frozen=True, eq=False)
class Incomplete:
    """Rows with missing answers, as the search sees data."""

    answers: UnitAnswers

    @property
    def count(self) -> int:
        """Units."""
        return self.answers.count

    def at(self, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray) -> Answered | None:
        """The likelihood at given moments."""
        return Answered.at(self.answers, mu, sigma_b, sigma_w)

    def curvature(self, found: Answered, *, expected: bool) -> Curvature:
        """Second derivatives in the moments.

        What is expected is near only: that of covariances within units is as if units were known, so that steps are
        safe.
        """
        if not expected:
            return _observed(self.answers, found)
        data, p = self.answers, found.hold.shape[1]
        inner = np.zeros((len(found.weight), p, p))
        inner[:, : data.width, : data.width] = found.weight
        share = 1.0 - min(data.count / data.rows, 0.9)
        nothing, none = np.zeros((p, p * p)), np.zeros((p * p, p * p))
        return Curvature(
            found.hold.sum(axis=0), nothing, nothing, kronecker(0.5 * found.hold, found.hold), none,
            kronecker(0.5 * share * data.rows_of[:, None, None] * inner, inner),
        )  # fmt: skip

    def scores(self, found: Answered, mu: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Each unit's gradient in the moments."""
        return answer_scores(self.answers, found)


def _observed(data: UnitAnswers, at: Answered) -> Curvature:
    """Second derivatives of minus the log-likelihood.

    ``lead`` is what the mean of a cell's row moves the gradient of its unit's mean by, ``error`` the row's own
    gradient. Rows i and k of a unit have the inverse covariances ``W_i`` on the diagonal, less ``W_i P W_k``.
    """
    r, p = data.width, at.hold.shape[1]
    own, number = at.weight[data.pattern], data.number[:, None, None]
    keep = np.eye(r) - data.by_unit(number * own) @ at.spread
    lead = np.concatenate([keep, -at.onto.transpose(0, 2, 1) @ keep], axis=1)[data.unit] @ own
    error = _times(own, at.residual)
    outer = number * (at.pull[data.unit][:, :, None] * error[:, None, :] - 0.5 * lead)
    mu_w = np.einsum("mak,ml->akl", number * lead, error).reshape(p, r * r)
    stacked = at.hold.reshape(data.count, p * p)
    people = (np.arange(r)[:, None] * p + np.arange(r)).ravel()
    wide_mu, wide_bw, wide_w = np.zeros((p, p * p)), np.zeros((p * p, p * p)), np.zeros((p * p, p * p))
    wide_mu[:, people], wide_bw[:, people] = mu_w, _kronecker(outer, lead)
    wide_w[np.ix_(people, people)] = _within(data, at, own, error)
    return Curvature(
        at.hold.sum(axis=0), (stacked.T @ at.pull).reshape(p, p * p), wide_mu,
        kronecker(at.pull[:, :, None] * at.pull[:, None, :] - 0.5 * at.hold, at.hold), wide_bw, wide_w,
    )  # fmt: skip


def _within(data: UnitAnswers, at: Answered, own: FloatArray, error: FloatArray) -> FloatArray:
    """Second derivatives (r*r, r*r) in the covariances within units."""
    number, weight = data.number[:, None, None], at.weight
    around = data.by_pattern(data.scatter + number * at.residual[:, :, None] * at.residual[:, None, :])
    shared = data.by_pattern(number * (own @ at.spread[data.unit] @ own))
    half = 0.5 * data.rows_of[:, None, None] * weight
    total = _kronecker(weight @ around @ weight - half, weight)
    total += 0.5 * (_kronecker(weight, shared) + _kronecker(shared, weight))
    r = data.width
    sets = _answered_together(data.patterns) if r > MANY else [np.arange(r)]
    squares = [(own[:, None] * r + own).ravel() for own in sets]
    bounds = np.append(np.searchsorted(data.unit, np.arange(data.count)), len(data.unit))
    for j in range(data.count):
        cells = slice(bounds[j], bounds[j + 1])
        parts = [_rows_of(own[cells], error[cells], data.number[cells], members) for members in sets]
        for (one, lean), at_one, of_one in zip(parts, squares, sets, strict=True):
            for (other, other_lean), at_other, of_other in zip(parts, squares, sets, strict=True):
                spread = at.spread[j][np.ix_(of_one, of_other)]
                n, m = of_one.size, of_other.size
                through = np.tensordot(np.tensordot(one, spread, (1, 0)), spread, (2, 0)).reshape(n * n, m * m)
                both = through @ other.transpose(1, 3, 0, 2).reshape(m * m, m * m)
                total[np.ix_(at_one, at_other)] -= 0.5 * both + lean @ spread @ other_lean.T
    return np.asarray(total)


def _answered_together(patterns: BoolArray) -> list[IntArray]:
    """Sets of variables of which no row answers some of two: those of different sides."""
    sets: list[set[int]] = []
    for pattern in patterns:
        here = set(np.flatnonzero(pattern).tolist())
        sets = [one for one in sets if not one & here] + [here.union(*(one for one in sets if one & here))]
    return [np.array(sorted(one), dtype=np.intp) for one in sets if one]


def _rows_of(
    weight: FloatArray, error: FloatArray, number: FloatArray, members: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Sums over the rows of one unit: of ``W (x) W``, by [i, a, j, b], and of ``error (x) W``, among some variables."""
    own, n = weight[:, members[:, None], members], members.size
    flat, count = own.reshape(-1, n * n), number[:, None]
    pairs = ((count * flat).T @ flat).reshape(n, n, n, n)
    lean = np.einsum("ca,cbx->abx", count * error[:, members], own).reshape(n * n, n)
    return pairs, lean


def _kronecker(outer: FloatArray, inner: FloatArray) -> FloatArray:
    """``K[(i, j), (k, l)] = sum_g outer_g[i, k] inner_g[j, l]`` for matrices that need not be square."""
    g, p, r = outer.shape
    product = outer.reshape(g, p * r).T @ inner.reshape(g, p * r)
    return np.asarray(product.reshape(p, r, p, r).transpose(0, 2, 1, 3).reshape(p * p, r * r))
