"""The two-level likelihood over the coordinates of a model, and the search for its maximum.

The coordinates are ``(mu, t, w)``: means, coordinates of what structures ``sigma_b``, and the lower triangles of the
covariances within units, side by side. The search scores first and finishes with Newton steps on the observed
information; coordinates with a lower bound rest on it while the likelihood pulls them below.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray, unvech, vech
from spc.sem.problem import Problem
from spc.sem.ram import COVARIANCE, DIRECTED, directions, implied
from spc.sem.twolevel import Curvature, Level2, Patterns, UnitMoments, curvature, level2, unit_scores

__all__ = ["MAX_ITERATIONS", "Free", "Objective", "Search", "Structured", "search"]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

GUARD = 1e-4
MAX_ITERATIONS = 200
_TOLERANCE = 1e-12
_NEAR = 1e-1


def _basis(p: int) -> FloatArray:
    """Derivatives (p*p, p(p+1)/2) of a symmetric matrix on its lower triangle."""
    columns, rows = np.triu_indices(p)
    basis = np.zeros((p, p, rows.size))
    number = np.arange(rows.size)
    basis[rows, columns, number] = basis[columns, rows, number] = 1.0
    return basis.reshape(p * p, rows.size)


@dataclass(frozen=True, eq=False, slots=True)
class Guard:
    """A small penalty and its derivatives; ``convex`` is the part of ``bend`` that is never negative."""

    value: float
    slope: FloatArray
    bend: FloatArray
    convex: FloatArray


@dataclass(frozen=True, eq=False)
class Structured:
    """``sigma_b`` as the model's table has it.

    The coordinates of a set of variables whose residuals all covary freely are the entries of a lower triangular root
    of their residual covariances, which makes the edge of what is possible a plain bound on its diagonal.

    Attributes
    ----------
    problem : Problem
    lower : (k,) array
        Bounds of the coordinates.
    blocks : tuple of int arrays
        Places, among the coordinates of the problem, of the lower triangle of each such set.
    loose : tuple of int arrays
        Variables of other sets whose residuals covary. Their residual correlations ``R`` are kept from one by adding
        ``-GUARD log|R|``, which is felt only near there.
    """

    problem: Problem
    lower: FloatArray
    blocks: tuple[IntArray, ...] = ()
    loose: tuple[IntArray, ...] = ()

    def table(self, t: FloatArray) -> FloatArray:
        """Coordinates of the problem."""
        out = t.copy()
        for block in self.blocks:
            root = _lower_triangle(t[block])
            out[block] = vech(root @ root.T)
        return out

    def turn(self, t: FloatArray) -> FloatArray:
        """Derivatives (k, k) of the coordinates of the problem."""
        matrix = np.eye(t.size)
        for block in self.blocks:
            root = _lower_triangle(t[block])
            columns, rows = np.triu_indices(len(root))
            one = (rows[:, None] == rows) * root[columns[:, None], columns]
            two = (columns[:, None] == rows) * root[rows[:, None], columns]
            matrix[np.ix_(block, block)] = one + two
        return matrix

    def at(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Matrix (p, p) and its derivatives (p*p, k)."""
        sigma, slopes = self._table_at(self.table(t))
        return sigma, slopes @ self.turn(t) if self.blocks else slopes

    def _table_at(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The same in the coordinates of the problem, by the rank-two identity."""
        place, p = self.problem.place, self.problem.place.n_observed
        point = implied(place, self.problem.values(t))
        along = directions(place, point, self.problem.active, p)
        half = along.p[:, None, :] * along.q[None, :, :]
        slopes = (half + half.transpose(1, 0, 2)).reshape(p * p, -1)
        return point.covariance[:p, :p], slopes if self.problem.plain else slopes @ self.problem.map

    def bend(self, t: FloatArray, slope: FloatArray) -> FloatArray:
        """Second derivatives (k, k) of ``tr(slope sigma_b)``."""
        table = self.table(t)
        own = self._table_bend(table, slope)
        if not self.blocks:
            return own
        turn = self.turn(t)
        return turn.T @ own @ turn + self._curl(self._table_at(table)[1].T @ slope.ravel())

    def convex(self, t: FloatArray, slope: FloatArray) -> FloatArray | None:
        """A part of :meth:`bend` that is never negative: what keeps scoring steps short where rank is lost."""
        if not self.blocks:
            return None
        return self._curl(self._table_at(self.table(t))[1].T @ slope.ravel(), convex=True)

    def _curl(self, gradient: FloatArray, *, convex: bool = False) -> FloatArray:
        """Second derivatives of ``gradient . table(t)``."""
        matrix = np.zeros((gradient.size, gradient.size))
        for block in self.blocks:
            half = 0.5 * unvech(gradient[block])
            half[np.diag_indices(len(half))] *= 2.0
            matrix[np.ix_(block, block)] = _root_bend(half, convex=convex)
        return matrix

    def _table_bend(self, t: FloatArray, slope: FloatArray) -> FloatArray:
        """Second derivatives in the coordinates of the problem: ``2 B'gFC`` and ``B'gB`` differentiated once more."""
        place, p, active = self.problem.place, self.problem.place.n_observed, self.problem.active
        point = implied(place, self.problem.values(t))
        v, r = len(place.variables), active.size
        row, column, number = place.row[active], place.column[active], np.arange(r)
        directed = place.part[active] == DIRECTED
        a, s = np.zeros((r, v, v)), np.zeros((r, v, v))
        a[number[directed], row[directed], column[directed]] = 1.0
        covary = place.part[active] == COVARIANCE
        s[number[covary], row[covary], column[covary]] = s[number[covary], column[covary], row[covary]] = 1.0
        b, c = point.total, point.covariance
        top = b[:p].T @ slope
        n, x = top @ np.eye(p, v), top @ b[:p]
        moved = b @ (a @ c + 0.5 * s @ b.T)
        back = b.T @ a.transpose(0, 2, 1)
        d_directed = 2.0 * (back @ n @ c + n @ (moved + moved.transpose(0, 2, 1)))
        d_covary = back @ x + x @ a @ b
        twice = np.where(row == column, 1.0, 2.0)
        found = np.where(directed, d_directed[:, row, column], twice * d_covary[:, row, column])
        return found if self.problem.plain else self.problem.map.T @ found @ self.problem.map

    def guard(self, t: FloatArray) -> Guard | None:
        """The penalty on loose residual correlations; None where they are impossible."""
        active, place = self.problem.active, self.problem.place
        residual = implied(place, self.problem.values(self.table(t))).residual
        inverse, own, value = np.zeros_like(residual), np.zeros(len(residual)), 0.0
        for block in self.loose:
            part = residual[np.ix_(block, block)]
            variance = part.diagonal()
            if variance.min() <= 0.0:
                return None
            try:
                root = np.linalg.cholesky(part / np.sqrt(np.outer(variance, variance)))
                inverse[np.ix_(block, block)] = np.linalg.inv(part)
            except np.linalg.LinAlgError:
                return None
            own[block] = 1.0 / variance
            value -= 2.0 * GUARD * float(np.log(root.diagonal()).sum())
        i, j = place.row[active], place.column[active]
        covary = (place.part[active] == COVARIANCE).astype(float)
        half, alone = np.where(i == j, 0.5, 1.0) * covary, np.where(i == j, own[i], 0.0) * covary
        slope = -GUARD * (2.0 * half * inverse[i, j] - alone)
        pairs = inverse[np.ix_(i, i)] * inverse[np.ix_(j, j)] + inverse[np.ix_(i, j)] * inverse[np.ix_(j, i)]
        convex = GUARD * 2.0 * np.outer(half, half) * pairs
        bend = convex - GUARD * np.diag(alone**2)
        linear = self.problem.map
        return Guard(value, linear.T @ slope, linear.T @ bend @ linear, linear.T @ convex @ linear)


def _lower_triangle(entries: FloatArray) -> FloatArray:
    return np.tril(unvech(entries))


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
        root, (columns, rows) = _lower_triangle(t), np.triu_indices(self.p)
        half = np.eye(self.p)[:, None, rows] * root[None, :, columns]
        return root @ root.T, (half + half.transpose(1, 0, 2)).reshape(self.p**2, -1)

    def bend(self, t: FloatArray, slope: FloatArray) -> FloatArray:
        """Second derivatives (k, k) of ``tr(slope L L')``."""
        return _root_bend(slope, convex=False)

    def convex(self, t: FloatArray, slope: FloatArray) -> FloatArray | None:
        """The part of :meth:`bend` that is never negative: what keeps scoring steps short where rank is lost."""
        return _root_bend(slope, convex=True)


@dataclass(frozen=True, eq=False)
class Objective:
    """Minus the log-likelihood over the coordinates ``(mu, t, w)``."""

    units: UnitMoments
    patterns: Patterns
    between: Structured | Free

    @cached_property
    def inside(self) -> FloatArray:
        """Derivatives (p*p, kw) of ``sigma_w``."""
        p = len(self.units.names)
        columns, rows = np.triu_indices(p)
        return _basis(p)[:, self.units.own[rows, columns]]

    @property
    def lower(self) -> FloatArray:
        """Lower bounds of all coordinates."""
        p, free = len(self.units.names), self.inside.shape[1]
        return np.concatenate([np.full(p, -np.inf), self.between.lower, np.full(free, -np.inf)])

    def split(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Means, coordinates of the structure, covariances within units."""
        p, k = len(self.units.names), self.between.lower.size
        return x[:p], x[p : p + k], x[p + k :]

    def at(self, x: FloatArray) -> State | None:
        """Likelihood, and derivatives of ``sigma_b``; None where it is not defined."""
        mu, t, w = self.split(x)
        p = mu.size
        guard = None
        try:
            sigma, slopes = self.between.at(t)
        except np.linalg.LinAlgError:
            return None
        if isinstance(self.between, Structured) and self.between.loose:
            guard = self.between.guard(t)
            if guard is None:
                return None
        found = level2(self.units, self.patterns, mu, sigma, (self.inside @ w).reshape(p, p))
        return None if found is None or not np.isfinite(found.value) else State(found, slopes, guard)

    def gradient(self, state: State) -> FloatArray:
        """Gradient in the coordinates."""
        slope = state.slopes.T @ state.found.sigma_b.ravel()
        if state.guard is not None:
            slope = slope + state.guard.slope
        return np.concatenate([state.found.mu, slope, self.inside.T @ state.found.sigma_w.ravel()])

    def information(self, x: FloatArray, state: State, *, expected: bool) -> FloatArray:
        """Second derivatives in the coordinates, or their expectation."""
        found, slopes, guard = state.found, state.slopes, state.guard
        moments = curvature(self.units, self.patterns, found, expected=expected)
        matrix = join_curvature(moments, slopes, self.inside)
        p, k = found.mu.size, slopes.shape[1]
        own = matrix[p : p + k, p : p + k]
        curl = self.between.convex if expected else self.between.bend
        more = curl(self.split(x)[1], found.sigma_b)
        if more is not None:
            own += more
        if guard is not None:
            own += guard.convex if expected else guard.bend
        return matrix

    def scores(self, x: FloatArray, state: State) -> FloatArray:
        """Each unit's gradient, (J, k), without the penalty."""
        mu, b, w = unit_scores(self.units, self.patterns, state.found, self.split(x)[0])
        return np.concatenate([mu, b @ state.slopes, w @ self.inside], axis=1)


@dataclass(frozen=True, eq=False, slots=True)
class State:
    """The objective at a point: likelihood, derivatives of ``sigma_b``, penalty."""

    found: Level2
    slopes: FloatArray
    guard: Guard | None

    @property
    def value(self) -> float:
        """What the search lowers."""
        return self.found.value + (0.0 if self.guard is None else self.guard.value)


def join_curvature(moments: Curvature, slopes: FloatArray, inside: FloatArray) -> FloatArray:
    """Information on the coordinates from that on the moments, by the chain rule."""
    mu_b, mu_w = moments.mu_b @ slopes, moments.mu_w @ inside
    bw = slopes.T @ moments.bw @ inside
    return np.block([
        [moments.mu, mu_b, mu_w],
        [mu_b.T, slopes.T @ moments.b @ slopes, bw],
        [mu_w.T, bw.T, inside.T @ moments.w @ inside],
    ])  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class Search:
    """Where a search ended; ``held`` coordinates rest on their bound."""

    x: FloatArray
    value: float
    decrement: float
    iterations: int
    converged: bool
    held: BoolArray


def search(objective: Objective, x: FloatArray) -> Search | None:
    """Minimise from ``x``; None where the objective is not defined there."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _search(objective, x)


def _search(objective: Objective, x: FloatArray) -> Search | None:
    lower = objective.lower
    state = objective.at(x)
    if state is None:
        return None
    decrement, damping = np.inf, 0.0
    for iteration in range(1, MAX_ITERATIONS + 1):
        gradient = objective.gradient(state)
        held = (x <= lower) & (gradient > 0.0)
        step, decrement = _step(objective, x, state, gradient, held, damping, near=decrement < _NEAR)
        if decrement < _TOLERANCE * max(1.0, 1e-3 * len(objective.units.counts)):
            trial = np.maximum(x + step, lower)
            last = objective.at(trial)
            x, state = (x, state) if last is None else (trial, last)
            return Search(x, state.found.value, decrement, iteration, True, held)
        moved = _descend(objective, x, step, state.value, gradient, lower)
        if moved is None:
            if damping > 1e6:
                break
            damping = max(10.0 * damping, 1e-3)
            continue
        x, state, full = moved
        damping = 0.0 if full else damping
    return Search(x, state.found.value, decrement, iteration, False, held)


def _step(
    objective: Objective,
    x: FloatArray,
    state: State,
    gradient: FloatArray,
    held: BoolArray,
    damping: float,
    *,
    near: bool,
) -> tuple[FloatArray, float]:
    """Newton step where the observed information is positive definite and the end is near, else a scoring step."""
    free = ~held
    step = np.zeros_like(x)
    for expected in (False, True) if near and not damping else (True,):
        matrix = objective.information(x, state, expected=expected)[np.ix_(free, free)]
        unit = np.sqrt(np.maximum(matrix.diagonal(), 1e-300))
        scaled = matrix / np.outer(unit, unit) + (damping + 1e-13) * np.eye(unit.size)
        try:
            factor = np.linalg.cholesky(scaled)
        except np.linalg.LinAlgError:
            continue
        half = np.linalg.solve(factor, gradient[free] / unit)
        step[free] = -np.linalg.solve(factor.T, half) / unit
        return step, float(half @ half)
    step[free] = -gradient[free] / unit**2
    return step, float((gradient[free] / unit) @ (gradient[free] / unit))


def _descend(
    objective: Objective, x: FloatArray, step: FloatArray, value: float, gradient: FloatArray, lower: FloatArray
) -> tuple[FloatArray, State, bool] | None:
    """The first of ever shorter steps, cut at the bounds, that lowers the value."""
    for halving in range(16):
        trial = np.maximum(x + 0.5**halving * step, lower)
        state = objective.at(trial)
        expected = float(gradient @ (trial - x))
        if state is not None and state.value <= value + 1e-4 * min(expected, 0.0) + 1e-12 * abs(value):
            return trial, state, halving == 0
    return None
