"""How far a link can go before the likelihood, all else fitted anew, falls too low: intervals for few units.

A link divides by the variance of its cause, which few units know badly: the likelihood falls slowly on the far side and
fast on the near one, and an interval of equal arms misses the truth on the far side. The arms of the profile follow it
(Venzon & Moolgavkar 1988, Applied Statistics 37, 87-94).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from spc.linalg import FloatArray, one_blas_thread
from spc.sem.twolevel.fit import TwoLevelFit, objective_of
from spc.sem.twolevel.search import Objective, State, search

__all__ = ["LinkProfile", "link_profiles", "roots_at"]

FARTHEST = 10.0
"""Standard errors after which an end is not looked for any more, and put there."""
_CLOSE = 1e-2
_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class LinkProfile:
    """A link by its profile.

    Attributes
    ----------
    row : int
        In the model's table.
    low, high : float
        Ends of the interval; NaN where none was found.
    root : float
        Signed root of twice what the log-likelihood loses where the link is zero; NaN where that could not be fitted.
    cut : bool
        An end was put where the looking stopped: the interval goes on, perhaps without end.
    """

    row: int
    low: float
    high: float
    root: float
    cut: bool

    @property
    def found(self) -> bool:
        """Whether both ends and the root were."""
        return not any(map(math.isnan, (self.low, self.high, self.root)))


def link_profiles(fit: TwoLevelFit, distance: float) -> tuple[LinkProfile, ...]:
    """Profile intervals of the links that are parameters of their own.

    Parameters
    ----------
    fit : TwoLevelFit
    distance : float
        Root of twice what the log-likelihood, with what was known before, may lose: a quantile of Student's t.
    """
    with one_blas_thread():
        return tuple(_profiles(fit, distance))


def roots_at(fit: TwoLevelFit, values: Mapping[int, float]) -> dict[int, float]:
    """Signed roots of twice what the log-likelihood loses where links have given values: intervals by their inversion.

    Parameters
    ----------
    fit : TwoLevelFit
    values : mapping of int to float
        Row in the model's table, and value.

    Returns
    -------
    dict
        NaN where the model could not be fitted with that value, or the link is no parameter of its own.
    """
    with one_blas_thread():
        rays = {row: (ray, unit) for row, ray, unit in _rays(fit)}
        found = dict.fromkeys(values, math.nan)
        for row in values.keys() & rays.keys():
            ray, unit = rays[row]
            root, _ = ray.root(values[row] / unit, fit.x)
            found[row] = math.copysign(root, (ray.x[ray.at] - values[row] / unit) * unit)
        return found


def _profiles(fit: TwoLevelFit, distance: float) -> Iterator[LinkProfile]:
    for row, ray, unit in _rays(fit):
        ends = [ray.end(distance, side) for side in (-1.0, 1.0)]
        low, high = sorted(unit * end for end in ends)
        zero, _ = ray.root(0.0, fit.x)
        cut = any(end == ray.furthest(side) for end, side in zip(ends, (-1.0, 1.0), strict=True))
        yield LinkProfile(row, low, high, math.copysign(zero, fit.x[ray.at] * unit), cut)


def _rays(fit: TwoLevelFit) -> Iterator[tuple[int, _Ray, float]]:
    """Row, ray and unit of each link that is a parameter of its own."""
    objective, problem = objective_of(fit), fit.problem
    top = objective.at(fit.x)
    if top is None:
        return
    offset = len(fit.mu)
    try:
        cov = np.linalg.inv(objective.information(fit.x, top, expected=False))
    except np.linalg.LinAlgError:
        return
    place, used = problem.place, (problem.map != 0.0).sum(axis=0)
    for k, row in enumerate(problem.active.tolist()):
        own = np.flatnonzero(problem.map[k])
        if row not in place.directed_rows or place.loading[row] or own.size != 1:
            continue
        at = offset + int(own[0])
        if used[own[0]] == 1 and cov[at, at] > 0.0:
            ray = _Ray(objective, at, fit.x, top.value, cov[:, at] / cov[at, at], float(np.sqrt(cov[at, at])))
            yield row, ray, float(problem.to_theta[place.free[row], own[0]])


@dataclass(frozen=True, eq=False)
class _Ray:
    """The objective along one coordinate, all others fitted anew.

    ``along`` is how the others move with it near the top, ``error`` its standard error there.
    """

    objective: Objective
    at: int
    x: FloatArray
    top: float
    along: FloatArray
    error: float

    def root(self, value: float, near: FloatArray) -> tuple[float, FloatArray]:
        """Root of twice the loss at a value of the coordinate, and where; NaN where it could not be found."""
        start = near + (value - near[self.at]) * self.along
        start = np.maximum(start, self.objective.lower)
        found = search(_Held(self.objective, self.at, value), np.delete(start, self.at))
        if found is None or not found.converged:
            return math.nan, near
        x = np.insert(found.x, self.at, value)
        state = self.objective.at(x)
        assert state is not None
        return math.sqrt(max(2.0 * (state.value - self.top), 0.0)), x

    def furthest(self, side: float) -> float:
        """Where the looking for an end stops."""
        return float(self.x[self.at]) + side * FARTHEST * self.error

    def end(self, distance: float, side: float) -> float:
        """Value at which the root is ``distance``, by the secant; NaN where it was not found."""
        best = float(self.x[self.at])
        last, arm, near = (0.0, 0.0), distance * self.error, self.x
        for _ in range(_ROUNDS):
            if arm > FARTHEST * self.error:
                return self.furthest(side)
            found, near = self.root(best + side * arm, near)
            if math.isnan(found) or found <= last[1]:
                return math.nan
            if abs(found - distance) < _CLOSE * distance:
                return best + side * arm
            slope = (arm - last[0]) / (found - last[1])
            last, arm = (arm, found), arm + float(np.clip(slope * (distance - found), -0.7 * arm, 1.5 * arm))
            if arm < last[0]:
                last, near = (0.0, 0.0), self.x
        return math.nan


@dataclass(frozen=True, eq=False)
class _Held:
    """The objective with one coordinate held."""

    objective: Objective
    at_place: int
    value: float

    @property
    def lower(self) -> FloatArray:
        """Lower bounds of the other coordinates."""
        return np.delete(self.objective.lower, self.at_place)

    @property
    def count(self) -> int:
        """Units."""
        return self.objective.count

    def _whole(self, x: FloatArray) -> FloatArray:
        return np.insert(x, self.at_place, self.value)

    def at(self, x: FloatArray) -> State | None:
        """Likelihood and moments."""
        return self.objective.at(self._whole(x))

    def gradient(self, state: State) -> FloatArray:
        """In the other coordinates."""
        return np.delete(self.objective.gradient(state), self.at_place)

    def information(self, x: FloatArray, state: State, *, expected: bool) -> FloatArray:
        """In the other coordinates."""
        whole = self.objective.information(self._whole(x), state, expected=expected)
        return np.delete(np.delete(whole, self.at_place, axis=0), self.at_place, axis=1)

    def scores(self, state: State) -> FloatArray:
        """Each unit's gradient."""
        return np.delete(self.objective.scores(state), self.at_place, axis=1)
