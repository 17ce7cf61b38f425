"""What structures the covariances of units: a model's table, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray, unvech, vech
from spc.sem.engine.problem import Problem
from spc.sem.engine.ram import COVARIANCE, implied
from spc.sem.twolevel.likelihood import UnitMoments
from spc.sem.twolevel.maps import Guard, Level, Slope, Spot, symmetric_basis

__all__ = [
    "FLOOR", "GUARD", "Free", "FreeWithin", "Penalty", "Structured", "begin", "mean_shares",
    "moment_start", "positive_definite", "row_slopes", "structured",
]  # fmt: skip

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

FLOOR = 1e-3
"""Least variance of units, in units of the sampling variance of a typical unit mean, or of an outcome's variance."""
GUARD = 1e-4
"""Weight of the penalty on residual correlations that have no root of their own."""


@dataclass(frozen=True, eq=False)
class Structured:
    """``sigma_b`` as the model's table has it.

    The coordinates of a set of variables whose residuals covary are the entries of a lower triangular root of their
    residual covariances, which makes the edge of what is possible a plain bound on its diagonal. Taken in an order in
    which no two later neighbours of a variable fail to covary, the root has zeros where the covariances have them
    (Rose 1970, Journal of Mathematical Analysis and Applications 32, 597-609).

    Attributes
    ----------
    problem : Problem
    lower : (k,) array
        Bounds of the coordinates.
    blocks : tuple of int arrays
        Places, among the coordinates of the problem, of the lower triangle of each such set; -1 where nothing covaries.
    loose : tuple of int arrays
        Variables of sets without such an order, or with labels. Their residual correlations ``R`` are kept from one by
        adding ``-GUARD log|R|``, which is felt only near there.
    """

    problem: Problem
    lower: FloatArray
    blocks: tuple[IntArray, ...] = ()
    loose: tuple[IntArray, ...] = ()

    def table(self, t: FloatArray) -> FloatArray:
        """Coordinates of the problem."""
        out = t.copy()
        for block in self.blocks:
            root = _root(t, block)
            out[block[block >= 0]] = vech(root @ root.T)[block >= 0]
        return out

    def turn(self, t: FloatArray) -> FloatArray:
        """Derivatives (k, k) of the coordinates of the problem."""
        matrix = np.eye(t.size)
        for block in self.blocks:
            root, here = _root(t, block), block >= 0
            columns, rows = np.triu_indices(len(root))
            one = (rows[:, None] == rows) * root[columns[:, None], columns]
            two = (columns[:, None] == rows) * root[rows[:, None], columns]
            matrix[np.ix_(block[here], block[here])] = (one + two)[np.ix_(here, here)]
        return matrix

    def at(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Matrix (p, p) and its derivatives (p*p, k)."""
        sigma, slopes = self._table_at(self.table(t))
        return sigma, slopes @ self.turn(t) if self.blocks else slopes

    def _table_at(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The same in the coordinates of the problem."""
        _, sigma, _, slopes = self._level.moments(t)
        return sigma, slopes

    @cached_property
    def _level(self) -> Level:
        p = self.problem.place.n_observed
        return Level(self.problem, np.arange(p), np.ones(p))

    def whole(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Covariances (v, v) of all variables, latent ones too, and their derivatives (v*v, k)."""
        size = len(self.problem.place.variables)
        every = Level(self.problem, np.arange(size), np.ones(size))
        _, sigma, _, slopes = every.moments(self.table(t))
        return sigma, slopes @ self.turn(t)

    def bend(self, t: FloatArray, slope: FloatArray) -> FloatArray:
        """Second derivatives (k, k) of ``tr(slope sigma_b)``."""
        table = self.table(t)
        own = self._level.bend(table, None, slope)
        if not self.blocks:
            return own
        turn = self.turn(t)
        return turn.T @ own @ turn + self.curl(self._table_at(table)[1].T @ slope.ravel())

    def convex(self, t: FloatArray, slope: FloatArray) -> FloatArray | None:
        """A part of :meth:`bend` that is never negative: what keeps scoring steps short where rank is lost."""
        if not self.blocks:
            return None
        return self.curl(self._table_at(self.table(t))[1].T @ slope.ravel(), convex=True)

    def curl(self, gradient: FloatArray, *, convex: bool = False) -> FloatArray:
        """Second derivatives of ``gradient . table(t)``."""
        matrix = np.zeros((gradient.size, gradient.size))
        for block in self.blocks:
            here = block >= 0
            half = 0.5 * unvech(np.where(here, gradient[block], 0.0))
            half[np.diag_indices(len(half))] *= 2.0
            matrix[np.ix_(block[here], block[here])] = _root_bend(half, convex=convex)[np.ix_(here, here)]
        return matrix

    def guard(self, t: FloatArray) -> Guard | None:
        """The penalty on loose residual correlations; None where they are impossible."""
        place = self.problem.place
        residual = implied(place, self.problem.values(self.table(t))).residual
        inverse, own, value = np.zeros_like(residual), np.zeros(len(residual)), 0.0
        for block in self.loose:
            part = residual[np.ix_(block, block)]
            deviation = np.sqrt(np.maximum(part.diagonal(), 0.0))
            if deviation.min() <= 0.0:
                return None
            try:
                root = np.linalg.cholesky(part / np.outer(deviation, deviation))
                inverse[np.ix_(block, block)] = np.linalg.inv(part)
            except np.linalg.LinAlgError:
                return None
            own[block] = deviation**-2.0
            value -= 2.0 * GUARD * float(np.log(root.diagonal()).sum())
        slope, convex = _log_determinant(self.problem, inverse)
        active, linear = self.problem.active, self.problem.map
        variance = np.where(place.diagonal[active] & (place.part[active] == COVARIANCE), own[place.row[active]], 0.0)
        bend = convex - linear.T @ (variance[:, None] ** 2 * linear)
        return Guard(value, GUARD * (linear.T @ variance - slope), GUARD * bend, GUARD * convex)


class Penalty(Protocol):
    """Minus the logarithm of a density of what units differ in."""

    def at(self, between: Structured, t: FloatArray) -> Guard | None:
        """Value and derivatives at coordinates of the structure; None where it is not defined."""


def _log_determinant(problem: Problem, inverse: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Derivatives of ``log|residual|`` in the coordinates of the problem: first (k,), and minus the second (k, k).

    Parameters
    ----------
    problem : Problem
    inverse : (v, v) array
        Inverse of the residual covariances, or of a block of them, zero elsewhere.
    """
    active, place, linear = problem.active, problem.place, problem.map
    i, j = place.row[active], place.column[active]
    half = np.where(i == j, 0.5, 1.0) * (place.part[active] == COVARIANCE)
    pairs = inverse[np.ix_(i, i)] * inverse[np.ix_(j, j)] + inverse[np.ix_(i, j)] * inverse[np.ix_(j, i)]
    slope, bend = 2.0 * half * inverse[i, j], 2.0 * np.outer(half, half) * pairs
    return linear.T @ slope, linear.T @ bend @ linear


def row_slopes(problem: Problem, rows: IntArray) -> FloatArray:
    """Derivatives (m, k) of rows of the table on the coordinates of the problem."""
    at = {int(row): k for k, row in enumerate(problem.active)}
    out = np.zeros((rows.size, problem.size))
    for i, row in enumerate(rows.tolist()):
        if row in at:
            out[i] = problem.map[at[row]]
    return out


def _root(t: FloatArray, block: IntArray) -> FloatArray:
    return np.tril(unvech(np.where(block >= 0, t[block], 0.0)))


def _root_bend(slope: FloatArray, *, convex: bool) -> FloatArray:
    """Second derivatives of ``tr(slope L L')`` in the lower triangle of ``L``, or of its convex part."""
    if convex:
        values, vectors = np.linalg.eigh(slope)
        slope = vectors * np.maximum(values, 0.0) @ vectors.T
    columns, rows = np.triu_indices(len(slope))
    return np.asarray(2.0 * slope[np.ix_(rows, rows)] * (columns[:, None] == columns))


@dataclass(frozen=True, eq=False)
class Free:
    """``sigma_b = L L'`` with ``L`` any lower triangle: free covariances that can lose rank but not turn indefinite.

    Units of unequal sizes need this: an indefinite ``sigma_b`` that makes the matrix of one unit singular has an
    infinite likelihood.
    """

    p: int

    @property
    def lower(self) -> FloatArray:
        """No bounds (k,)."""
        return np.full(self.p * (self.p + 1) // 2, -np.inf)

    def at(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Matrix (p, p) and its derivatives (p*p, k)."""
        root, (columns, rows) = np.tril(unvech(t)), np.triu_indices(self.p)
        half = np.eye(self.p)[:, None, rows] * root[None, :, columns]
        return root @ root.T, (half + half.transpose(1, 0, 2)).reshape(self.p**2, -1)

    def bend(self, t: FloatArray, slope: FloatArray) -> FloatArray:
        """Second derivatives (k, k) of ``tr(slope L L')``."""
        return _root_bend(slope, convex=False)

    def convex(self, t: FloatArray, slope: FloatArray) -> FloatArray | None:
        """The part of :meth:`bend` that is never negative: what keeps scoring steps short where rank is lost."""
        return _root_bend(slope, convex=True)


@dataclass(frozen=True, eq=False)
class FreeWithin:
    """Means and covariances within units free: coordinates ``(mu, t, w)``, with ``t`` those of ``sigma_b``.

    Attributes
    ----------
    between : Structured or Free
        Over its own variables, in their order.
    own : (p, p) bool array
        Pairs of variables that covary within units, symmetric.
    members : (n,) int array
        Places of the variables of ``between`` among all p.
    penalties : tuple of Penalty
        What is known of the structure before the data.
    """

    between: Structured | Free
    own: BoolArray
    members: IntArray
    penalties: tuple[Penalty, ...] = ()

    @cached_property
    def inside(self) -> FloatArray:
        """Derivatives (p*p, kw) of ``sigma_w`` on ``w``."""
        columns, rows = np.triu_indices(len(self.own))
        return symmetric_basis(len(self.own))[:, self.own[rows, columns]]

    @property
    def lower(self) -> FloatArray:
        """Lower bounds of all coordinates."""
        return np.concatenate([np.full(len(self.own), -np.inf), self.between.lower, self.least])

    @property
    def least(self) -> FloatArray:
        """No bounds on what varies within units (kw,)."""
        return np.full(self.inside.shape[1], -np.inf)

    def split(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Means, coordinates of the structure, covariances within units."""
        p, k = len(self.own), self.between.lower.size
        return x[:p], x[p : p + k], x[p + k :]

    def join(self, mu: FloatArray, t: FloatArray, sigma_w: FloatArray) -> FloatArray:
        """Coordinates of means, coordinates of the structure and covariances within units."""
        return np.concatenate([mu, t, vech(sigma_w)[vech(self.own.astype(float)) > 0.0]])

    def at(self, x: FloatArray) -> Spot | None:
        """Moments and their derivatives; None where they are not defined."""
        mu, t, w = self.split(x)
        p, k, n = mu.size, t.size, self.members.size
        try:
            part, slopes = self.between.at(t)
        except np.linalg.LinAlgError:
            return None
        guards = self._guards(t)
        if guards is None:
            return None
        pairs, table = np.ix_(self.members, self.members), slice(p, p + k)
        sigma, d_b = np.zeros((p, p)), np.zeros((p, p, x.size))
        sigma[pairs] = part
        d_b[:, :, table][pairs] = slopes.reshape(n, n, k)
        inner, on_t, on_w = self.within(t, w)
        d_w = np.zeros((p * p, x.size))
        d_w[:, table], d_w[:, table.stop :] = on_t, on_w
        return Spot(mu, sigma, inner, np.eye(p, x.size), d_b.reshape(p * p, -1), d_w, self._joined(guards))

    def within(self, t: FloatArray, w: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Covariances within units (p, p), and their derivatives (p*p, k) and (p*p, kw)."""
        p = len(self.own)
        return (self.inside @ w).reshape(p, p), np.zeros((p * p, t.size)), self.inside

    def _guards(self, t: FloatArray) -> list[Guard] | None:
        """Guard of loose residuals and penalties; None where one is not defined."""
        if not isinstance(self.between, Structured):
            return []
        found = [penalty.at(self.between, t) for penalty in self.penalties]
        found += [self.between.guard(t)] if self.between.loose else []
        guards = [guard for guard in found if guard is not None]
        return guards if len(guards) == len(found) else None

    def _joined(self, guards: list[Guard]) -> Guard | None:
        """Sum of guards, over all coordinates."""
        if not guards:
            return None
        before, after = len(self.own), self.least.size
        return Guard(
            sum(guard.value for guard in guards),
            np.pad(np.sum([guard.slope for guard in guards], axis=0), (before, after)),
            self._padded(np.sum([guard.bend for guard in guards], axis=0)),
            self._padded(np.sum([guard.convex for guard in guards], axis=0)),
        )

    def bend(self, x: FloatArray, found: Slope) -> FloatArray:
        """Second derivatives of the moments, along the gradient of the likelihood in them."""
        return self._padded(self.between.bend(self.split(x)[1], self._slope(found)))

    def convex(self, x: FloatArray, found: Slope) -> FloatArray | None:
        """A part of :meth:`bend` that is never negative: what keeps scoring steps short where rank is lost."""
        part = self.between.convex(self.split(x)[1], self._slope(found))
        return None if part is None else self._padded(part)

    def _slope(self, found: Slope) -> FloatArray:
        return found.sigma_b[np.ix_(self.members, self.members)]

    def _padded(self, part: FloatArray) -> FloatArray:
        """Over all coordinates, from those of the structure."""
        return np.pad(part, (len(self.own), self.least.size))


def structured(problem: Problem, units: UnitMoments) -> Structured:
    """The structure of a problem, its bounds in place, for units in balanced scale.

    Variances of units, or the diagonals of the roots, stay a little above zero.
    """
    place, lower = problem.place, np.full(problem.size, -np.inf)
    noise = np.where(units.side >= 0, np.nan_to_num(units.within.diagonal()) * mean_shares(units), 1.0)
    noise = np.append(noise, np.full(len(place.variables) - noise.size, 1e-3))
    own = _own_coordinate(problem)
    for k, row in enumerate(problem.active):
        if place.diagonal[row] and own[k] >= 0:
            lower[own[k]] = FLOOR * noise[place.row[row]] / problem.map[k, own[k]]
    entry = _entries(problem, own)
    blocks, loose = [], []
    for members in _covarying(problem):
        order = _elimination_order(members, set(entry))
        block = None if order is None else _block(order, entry)
        if block is not None:
            diagonal = block[np.cumsum([0, *range(len(members), 1, -1)])]
            lower[diagonal] = np.sqrt(lower[diagonal])
            blocks.append(block)
        else:
            loose.append(np.array(sorted(members)))
    return Structured(problem, lower, tuple(blocks), tuple(loose))


def _own_coordinate(problem: Problem) -> IntArray:
    """For each free row the coordinate that it equals up to a positive factor, or -1."""
    weight = problem.map
    alone = ((weight != 0.0).sum(axis=1) == 1) & (problem.offset == 0.0)
    which = np.abs(weight).argmax(axis=1)
    good = alone & (weight[np.arange(len(weight)), which] > 0.0)
    return np.where(good, which, -1)


def _entries(problem: Problem, own: IntArray) -> dict[tuple[int, int], int]:
    """Coordinate of each residual variance and covariance, -1 where it is fixed, shared or constrained."""
    place, used = problem.place, (problem.map != 0.0).sum(axis=0)
    at = {int(row): int(own[k]) for k, row in enumerate(problem.active) if own[k] >= 0 and used[own[k]] == 1}
    found = {}
    for row in place.covariance_rows.tolist():
        if place.free[row] >= 0 or place.fixed[row] != 0.0:
            i, j = int(place.row[row]), int(place.column[row])
            found[i, j] = found[j, i] = at.get(row, -1)
    return found


def _covarying(problem: Problem) -> list[set[int]]:
    """Sets of variables whose residuals covary."""
    place = problem.place
    rows = place.covariance_rows[~place.diagonal[place.covariance_rows]]
    rows = rows[(place.free[rows] >= 0) | (place.fixed[rows] != 0.0)]
    sets: list[set[int]] = []
    for i, j in zip(place.row[rows].tolist(), place.column[rows].tolist(), strict=True):
        joined = [block for block in sets if block & {i, j}]
        sets = [block for block in sets if not block & {i, j}] + [set().union({i, j}, *joined)]
    return sets


def _elimination_order(members: set[int], pairs: set[tuple[int, int]]) -> list[int] | None:
    """An order in which the later neighbours of each variable are all neighbours of each other; None without one."""
    left, order = set(members), []
    while left:
        near = {i: [j for j in left if j != i and (i, j) in pairs] for i in left}
        simple = [i for i in sorted(left) if all((j, k) in pairs for j in near[i] for k in near[i] if j != k)]
        if not simple:
            return None
        order.append(simple[0])
        left.remove(simple[0])
    return order


def _block(order: list[int], entry: dict[tuple[int, int], int]) -> IntArray | None:
    """Coordinates of the lower triangle, -1 where nothing covaries; None where one is not free and alone."""
    pairs = [(order[i], order[j]) for j in range(len(order)) for i in range(j, len(order))]
    if any(entry.get(pair, 0) < 0 for pair in pairs) or any((i, i) not in entry for i in order):
        return None
    return np.array([entry.get(pair, -1) for pair in pairs], dtype=np.intp)


def begin(between: Structured, t: FloatArray) -> FloatArray:
    """Coordinates of the structure at given coordinates of its problem, brought inside the bounds."""
    t = t.copy()
    for block in between.blocks:
        here = block >= 0
        matrix = unvech(np.where(here, t[block], 0.0))
        matrix[np.diag_indices(len(matrix))] = np.maximum(matrix.diagonal(), 1e-3)
        while np.linalg.eigvalsh(matrix)[0] < 1e-3 * matrix.diagonal().min():
            matrix = 0.7 * matrix + 0.3 * np.diag(matrix.diagonal())
        t[block[here]] = vech(np.asarray(np.linalg.cholesky(matrix), dtype=np.float64))[here]
    return np.maximum(t, np.where(between.lower > 0.0, 2.0 * between.lower, between.lower))


def mean_shares(units: UnitMoments) -> FloatArray:
    """Mean of one over the respondents behind the means of each variable; 0 for outcomes."""
    counts = np.where(units.side >= 0, units.counts[:, units.side], np.inf)
    return np.asarray(np.nanmean(np.where(units.present, 1.0 / np.maximum(counts, 1.0), np.nan), axis=0))


def moment_start(units: UnitMoments) -> FloatArray:
    """Covariances of units by moments: of the means, pairwise, less what sampling of respondents adds."""
    here = units.present.astype(float)
    apart = np.where(units.present, units.means - np.nanmean(units.means, axis=0), 0.0)
    total = (apart.T @ apart) / np.maximum(here.T @ here, 1.0)
    between = total - np.where(units.own, units.within, 0.0) * mean_shares(units)
    variance = np.maximum(between.diagonal(), 0.15 * total.diagonal())
    root = np.sqrt(np.where(variance > 0.0, variance, 1.0))
    correlation = np.clip(between / np.outer(root, root), -0.9, 0.9)
    np.fill_diagonal(correlation, 1.0)
    values, vectors = np.linalg.eigh(correlation)
    correlation = vectors * np.maximum(values, 0.05) @ vectors.T
    again = np.sqrt(variance / correlation.diagonal())
    return np.asarray(correlation * np.outer(again, again))


def positive_definite(sigma: FloatArray) -> FloatArray:
    """The matrix itself, or one near it without the directions in which nothing varies."""
    root = np.sqrt(sigma.diagonal())
    values, vectors = np.linalg.eigh(sigma / np.outer(root, root))
    if values[0] > 1e-3:
        return sigma
    return np.asarray(vectors * np.maximum(values, 1e-3) @ vectors.T * np.outer(root, root))
