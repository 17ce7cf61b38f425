"""The two-level likelihood over the coordinates of a model, and the search for its maximum.

A map turns coordinates into the moments of both levels (:mod:`spc.sem.twolevel.maps`). The search scores first and
finishes with Newton steps on the observed information; coordinates with a lower bound rest on it while the likelihood
pulls them below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray
from spc.sem.twolevel.likelihood import Curvature, Level2, SizeClasses, UnitMoments, curvature, level2, unit_scores
from spc.sem.twolevel.maps import MomentMap, Slope, Spot

__all__ = [
    "MAX_ITERATIONS",
    "Complete",
    "Evidence",
    "Found",
    "Goal",
    "Objective",
    "Search",
    "State",
    "Together",
    "search",
]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

MAX_ITERATIONS = 200
_TOLERANCE = 1e-12
_NEAR = 1e-1
_TRAIL, _ALIVE, _CRAWL = 25, 1e-2, 0.03


class Found(Slope, Protocol):
    """The likelihood at some moments and its gradient in them."""

    @property
    def value(self) -> float:
        """Minus the log-likelihood, up to constants."""


class Evidence(Protocol):
    """Data, as the likelihood sees them."""

    @property
    def count(self) -> int:
        """Units."""

    def at(self, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray) -> Any:
        """The likelihood at given moments (:class:`Found`); None where it is not defined."""

    def curvature(self, found: Any, *, expected: bool) -> Curvature:
        """Second derivatives in the moments."""

    def scores(self, found: Any, mu: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Each unit's gradient in the moments."""


@dataclass(frozen=True, eq=False)
class Complete:
    """Units all of whose rows are complete."""

    units: UnitMoments
    classes: SizeClasses

    @classmethod
    def of(cls, units: UnitMoments) -> Complete:
        """Sort the units into classes."""
        return cls(units, SizeClasses.find(units))

    @property
    def count(self) -> int:
        """Units."""
        return len(self.units.counts)

    def at(self, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray) -> Level2 | None:
        """The likelihood at given moments."""
        return level2(self.units, self.classes, mu, sigma_b, sigma_w)

    def curvature(self, found: Level2, *, expected: bool) -> Curvature:
        """Second derivatives in the moments."""
        return curvature(self.units, self.classes, found, expected=expected)

    def scores(self, found: Level2, mu: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Each unit's gradient in the moments."""
        return unit_scores(self.units, self.classes, found, mu)


class Place(Protocol):
    """A goal at a point."""

    @property
    def value(self) -> float:
        """What the search lowers."""

    @property
    def bare(self) -> float:
        """Minus the log-likelihood alone."""


class Goal(Protocol):
    """What a search lowers, with its derivatives in the coordinates."""

    @property
    def lower(self) -> FloatArray:
        """Lower bounds of the coordinates (k,)."""

    @property
    def count(self) -> int:
        """Units."""

    def at(self, x: FloatArray) -> Any:
        """What is there (:class:`Place`); None where the goal is not defined."""

    def gradient(self, state: Any) -> FloatArray:
        """Gradient in the coordinates (k,)."""

    def information(self, x: FloatArray, state: Any, *, expected: bool) -> FloatArray:
        """Second derivatives in the coordinates (k, k), or their expectation."""

    def scores(self, state: Any) -> FloatArray:
        """Each unit's gradient (J, k)."""


@dataclass(frozen=True, eq=False)
class Objective:
    """Minus the log-likelihood over the coordinates of a map, with the map's penalty."""

    data: Evidence
    map: MomentMap

    @property
    def lower(self) -> FloatArray:
        """Lower bounds of the coordinates (k,)."""
        return self.map.lower

    @property
    def count(self) -> int:
        """Units."""
        return self.data.count

    def at(self, x: FloatArray) -> State | None:
        """Likelihood and moments; None where it is not defined."""
        spot = self.map.at(x)
        if spot is None:
            return None
        found = self.data.at(spot.mu, spot.sigma_b, spot.sigma_w)
        return None if found is None or not np.isfinite(found.value) else State(found, spot)

    def gradient(self, state: State) -> FloatArray:
        """Gradient in the coordinates."""
        found, spot = state.found, state.spot
        slope = found.mu @ spot.d_mu + found.sigma_b.ravel() @ spot.d_b + found.sigma_w.ravel() @ spot.d_w
        return np.asarray(slope if spot.guard is None else slope + spot.guard.slope)

    def information(self, x: FloatArray, state: State, *, expected: bool) -> FloatArray:
        """Second derivatives in the coordinates, or their expectation."""
        found, guard = state.found, state.spot.guard
        moments = self.data.curvature(found, expected=expected)
        matrix = join_curvature(moments, state.spot)
        more = self.map.convex(x, found) if expected else self.map.bend(x, found)
        if more is not None:
            matrix += more
        if guard is not None:
            matrix += guard.convex if expected else guard.bend
        return matrix

    def scores(self, state: State) -> FloatArray:
        """Each unit's gradient, (J, k), without the penalty."""
        spot = state.spot
        mu, b, w = self.data.scores(state.found, spot.mu)
        return np.asarray(mu @ spot.d_mu + b @ spot.d_b + w @ spot.d_w)


@dataclass(frozen=True, eq=False, slots=True)
class State:
    """The objective at a point: likelihood, and moments with their derivatives."""

    found: Found
    spot: Spot

    @property
    def value(self) -> float:
        """What the search lowers."""
        return self.found.value + (0.0 if self.spot.guard is None else self.spot.guard.value)

    @property
    def bare(self) -> float:
        """Minus the log-likelihood alone."""
        return self.found.value


@dataclass(frozen=True, eq=False)
class Together:
    """Goals of several groups over the same coordinates, summed."""

    parts: tuple[Objective, ...]

    @property
    def lower(self) -> FloatArray:
        """Lower bounds of the coordinates (k,)."""
        return np.asarray(np.max([part.lower for part in self.parts], axis=0))

    @property
    def count(self) -> int:
        """Units of all groups."""
        return sum(part.count for part in self.parts)

    def at(self, x: FloatArray) -> States | None:
        """All groups at these coordinates; None where one of them is not defined."""
        found = []
        for part in self.parts:
            state = part.at(x)
            if state is None:
                return None
            found.append(state)
        return States(tuple(found))

    def gradient(self, state: States) -> FloatArray:
        """Gradient in the coordinates."""
        return np.asarray(sum(part.gradient(own) for part, own in zip(self.parts, state.parts, strict=True)))

    def information(self, x: FloatArray, state: States, *, expected: bool) -> FloatArray:
        """Second derivatives in the coordinates, or their expectation."""
        each = zip(self.parts, state.parts, strict=True)
        return np.asarray(sum(part.information(x, own, expected=expected) for part, own in each))

    def scores(self, state: States) -> FloatArray:
        """Each unit's gradient, group after group."""
        each = zip(self.parts, state.parts, strict=True)
        return np.concatenate([part.scores(own) for part, own in each])


@dataclass(frozen=True, eq=False, slots=True)
class States:
    """Several goals at a point."""

    parts: tuple[State, ...]

    @property
    def value(self) -> float:
        """What the search lowers."""
        return sum(part.value for part in self.parts)

    @property
    def bare(self) -> float:
        """Minus the log-likelihood alone."""
        return sum(part.bare for part in self.parts)


def join_curvature(moments: Curvature, spot: Spot) -> FloatArray:
    """Information on the coordinates from that on the moments, by the chain rule."""
    mixed = spot.d_b.T @ (moments.bw @ spot.d_w) + spot.d_mu.T @ (moments.mu_b @ spot.d_b + moments.mu_w @ spot.d_w)
    own = spot.d_mu.T @ moments.mu @ spot.d_mu
    own += spot.d_b.T @ (moments.b @ spot.d_b) + spot.d_w.T @ (moments.w @ spot.d_w)
    return np.asarray(own + mixed + mixed.T)


@dataclass(frozen=True, eq=False, slots=True)
class Search:
    """Where a search ended; ``held`` coordinates rest on their bound.

    ``adrift`` is how far the coordinates went lately where they run off along a valley without end; else None.
    """

    x: FloatArray
    value: float
    decrement: float
    iterations: int
    converged: bool
    held: BoolArray
    adrift: FloatArray | None = None


def search(goal: Goal, x: FloatArray) -> Search | None:
    """Minimise from ``x``; None where the goal is not defined there."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _search(goal, x)


def _search(goal: Goal, x: FloatArray) -> Search | None:
    lower = goal.lower
    state = goal.at(x)
    if state is None:
        return None
    decrement, damping = np.inf, 0.0
    trail = [(state.value, x)]
    for iteration in range(1, MAX_ITERATIONS + 1):
        gradient = goal.gradient(state)
        held = (x <= lower) & (gradient > 0.0)
        step, decrement = _step(goal, x, state, gradient, held, damping, near=decrement < _NEAR)
        if decrement < _TOLERANCE * max(1.0, 1e-3 * goal.count):
            trial = np.maximum(x + step, lower)
            last = goal.at(trial)
            x, state = (x, state) if last is None else (trial, last)
            return Search(x, state.bare, decrement, iteration, True, held)
        moved = _descend(goal, x, step, state.value, gradient, lower)
        if moved is None:
            if damping > 1e6:
                break
            damping = max(10.0 * damping, 1e-3)
            continue
        x, state, full = moved
        damping = 0.0 if full else damping
        trail.append((state.value, x))
        if len(trail) > _TRAIL and decrement > _ALIVE and trail[-_TRAIL][0] - state.value < _CRAWL:
            return Search(x, state.bare, decrement, iteration, False, held, x - trail[-_TRAIL][1])
    return Search(x, state.bare, decrement, iteration, False, held)


def _step(
    goal: Goal,
    x: FloatArray,
    state: Any,
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
        matrix = goal.information(x, state, expected=expected)[np.ix_(free, free)]
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
    goal: Goal, x: FloatArray, step: FloatArray, value: float, gradient: FloatArray, lower: FloatArray
) -> tuple[FloatArray, Any, bool] | None:
    """The first of ever shorter steps, cut at the bounds, that lowers the value."""
    for halving in range(16):
        trial = np.maximum(x + 0.5**halving * step, lower)
        state = goal.at(trial)
        expected = float(gradient @ (trial - x))
        if state is not None and state.value <= value + 1e-4 * min(expected, 0.0) + 1e-12 * abs(value):
            return trial, state, halving == 0
    return None
