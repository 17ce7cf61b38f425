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
from spc.sem.twolevel import Curvature, Level2, Patterns, UnitMoments, curvature, level2, unit_scores
from spc.sem.twolevel_between import Free, Guard, Structured

__all__ = ["MAX_ITERATIONS", "Objective", "Search", "State", "search"]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

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
