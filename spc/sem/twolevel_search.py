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

from spc.linalg import FloatArray
from spc.sem.problem import Problem
from spc.sem.ram import COVARIANCE, DIRECTED, directions, implied
from spc.sem.twolevel import Curvature, Level2, Patterns, UnitMoments, curvature, level2, unit_scores

__all__ = ["MAX_ITERATIONS", "Free", "Objective", "Search", "Structured", "search"]

BoolArray = npt.NDArray[np.bool_]

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


@dataclass(frozen=True, eq=False)
class Structured:
    """``sigma_b`` as the model's table has it."""

    problem: Problem
    lower: FloatArray

    def at(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Matrix (p, p) and its derivatives (p*p, k), by the rank-two identity."""
        place, p = self.problem.place, self.problem.place.n_observed
        point = implied(place, self.problem.values(t))
        along = directions(place, point, self.problem.active, p)
        half = along.p[:, None, :] * along.q[None, :, :]
        slopes = (half + half.transpose(1, 0, 2)).reshape(p * p, -1)
        return point.covariance[:p, :p], slopes if self.problem.plain else slopes @ self.problem.map

    def bend(self, t: FloatArray, slope: FloatArray) -> FloatArray:
        """Second derivatives (k, k) of ``tr(slope sigma_b)``, by differentiating ``2 B'gFC`` and ``B'gB`` once more."""
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

    @cached_property
    def entries(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Rows and columns of the lower triangle, in the order of the coordinates."""
        columns, rows = np.triu_indices(self.p)
        return rows, columns

    def root(self, t: FloatArray) -> FloatArray:
        """``L`` (p, p)."""
        root = np.zeros((self.p, self.p))
        root[self.entries] = t
        return root

    def at(self, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Matrix (p, p) and its derivatives (p*p, k)."""
        root, (rows, columns) = self.root(t), self.entries
        half = np.eye(self.p)[:, None, rows] * root[None, :, columns]
        return root @ root.T, (half + half.transpose(1, 0, 2)).reshape(self.p**2, -1)

    def bend(self, t: FloatArray, slope: FloatArray) -> FloatArray:
        """Second derivatives (k, k) of ``tr(slope L L')``."""
        rows, columns = self.entries
        return np.asarray(2.0 * slope[np.ix_(rows, rows)] * (columns[:, None] == columns))

    def convex(self, t: FloatArray, slope: FloatArray) -> FloatArray:
        """The part of :meth:`bend` that is never negative: what keeps scoring steps short where rank is lost."""
        values, vectors = np.linalg.eigh(slope)
        return self.bend(t, vectors * np.maximum(values, 0.0) @ vectors.T)


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

    def at(self, x: FloatArray) -> tuple[Level2, FloatArray] | None:
        """Likelihood, and derivatives of ``sigma_b``; None where it is not defined."""
        mu, t, w = self.split(x)
        p = mu.size
        try:
            sigma, slopes = self.between.at(t)
        except np.linalg.LinAlgError:
            return None
        found = level2(self.units, self.patterns, mu, sigma, (self.inside @ w).reshape(p, p))
        return None if found is None or not np.isfinite(found.value) else (found, slopes)

    def gradient(self, found: Level2, slopes: FloatArray) -> FloatArray:
        """Gradient in the coordinates."""
        return np.concatenate([found.mu, slopes.T @ found.sigma_b.ravel(), self.inside.T @ found.sigma_w.ravel()])

    def information(self, x: FloatArray, found: Level2, slopes: FloatArray, *, expected: bool) -> FloatArray:
        """Second derivatives in the coordinates, or their expectation."""
        moments = curvature(self.units, self.patterns, found, expected=expected)
        matrix = join_curvature(moments, slopes, self.inside)
        p, k = found.mu.size, slopes.shape[1]
        if not expected:
            matrix[p : p + k, p : p + k] += self.between.bend(self.split(x)[1], found.sigma_b)
        elif isinstance(self.between, Free):
            matrix[p : p + k, p : p + k] += self.between.convex(self.split(x)[1], found.sigma_b)
        return matrix

    def scores(self, x: FloatArray, found: Level2, slopes: FloatArray) -> FloatArray:
        """Each unit's gradient, (J, k)."""
        mu, b, w = unit_scores(self.units, self.patterns, found, self.split(x)[0])
        return np.concatenate([mu, b @ slopes, w @ self.inside], axis=1)


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
    lower = objective.lower
    state = objective.at(x)
    if state is None:
        return None
    decrement, damping = np.inf, 0.0
    for iteration in range(1, MAX_ITERATIONS + 1):
        found, slopes = state
        gradient = objective.gradient(found, slopes)
        held = (x <= lower) & (gradient > 0.0)
        step, decrement = _step(objective, x, found, slopes, gradient, held, damping, near=decrement < _NEAR)
        if decrement < _TOLERANCE * max(1.0, 1e-3 * len(objective.units.counts)):
            x = np.maximum(x + step, lower)
            last = objective.at(x)
            value = found.value if last is None else last[0].value
            return Search(x, value, decrement, iteration, True, held)
        moved = _descend(objective, x, step, found.value, gradient, lower)
        if moved is None:
            if damping > 1e6:
                break
            damping = max(10.0 * damping, 1e-3)
            continue
        x, state, full = moved
        damping = 0.0 if full else damping
    return Search(x, state[0].value, decrement, iteration, False, held)


def _step(
    objective: Objective,
    x: FloatArray,
    found: Level2,
    slopes: FloatArray,
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
        matrix = objective.information(x, found, slopes, expected=expected)[np.ix_(free, free)]
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
) -> tuple[FloatArray, tuple[Level2, FloatArray], bool] | None:
    """The first of ever shorter steps, cut at the bounds, that lowers the value."""
    for halving in range(12):
        trial = np.maximum(x + 0.5**halving * step, lower)
        state = objective.at(trial)
        expected = float(gradient @ (trial - x))
        if state is not None and state[0].value <= value + 1e-4 * min(expected, 0.0) + 1e-12 * abs(value):
            return trial, state, halving == 0
    return None
