"""Minimise a discrepancy under nonlinear equalities, inequalities and bounds, to full precision.

Sequential quadratic programming: with s the score (minus half of the gradient of F), W the information and c the
constraints, every step d solves

    minimise  d'W d / 2 - s'd   subject to   c_e + J_e d = 0,   c_i + J_i d >= 0

exactly, by taking out the equalities and solving the rest as a least-distance problem (Lawson & Hanson 1974, chapter
23). Near the end W becomes the Hessian of the Lagrangian, so that the last steps are Newton's. A penalty on what the
constraints miss decides how far to go along a step (Nocedal & Wright 2006, chapter 18).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from spc.errors import SpecError
from spc.linalg import FloatArray
from spc.sem.engine.restrictions import Quantity, Restrictions, gaps, slopes

__all__ = [
    "Frame",
    "Local",
    "Objective",
    "Restricted",
    "along_equalities",
    "feasible_start",
    "solve_restricted",
    "working_basis",
]

TOLERANCE = 1e-15
FEASIBLE = 1e-10
_MAX_STEPS, _NEAR, _TRIES, _STALLED = 200, 1e-2, 12, 15
_LEAST, _MOST, _SLACK = 1e-5, 1e12, 1e-13
_ACTIVE, _RANK, _FLAT = 1e-7, 1e-9, 1e-3


class Local(Protocol):
    """The discrepancy and its derivatives at some coordinates, for one row of data."""

    @property
    def value(self) -> float:
        """F."""

    @property
    def score(self) -> FloatArray:
        """Minus half of the gradient of F (k,)."""

    @property
    def information(self) -> FloatArray:
        """Positive definite stand-in (k, k) for half of the Hessian of F, good far from the end too."""

    def hessian(self) -> FloatArray:
        """Half of the Hessian of F (k, k)."""


Objective = Callable[[FloatArray], Local | None]


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """Free parameters from coordinates: ``theta = offset + slope @ x``."""

    offset: FloatArray
    slope: FloatArray

    def theta(self, x: FloatArray) -> FloatArray:
        """Free parameters (q,) at coordinates (k,)."""
        return np.asarray(self.offset + self.slope @ x)


@dataclass(frozen=True, eq=False, slots=True)
class Restricted:
    """Where a search under constraints ended.

    Attributes
    ----------
    x : (k,) array
    local : Local
    equal, least : arrays
        Lagrange multipliers: by how much half of F would fall if a constraint gave way by one unit. Those of
        inequalities are not negative.
    active : tuple of int
        Which inequalities hold with equality.
    decrement : float
        Squared length of the last step in the metric of the information.
    violation : float
        Largest miss of a constraint, in units of the coordinates.
    iterations : int
    converged : bool
    """

    x: FloatArray
    local: Local
    equal: FloatArray
    least: FloatArray
    active: tuple[int, ...]
    decrement: float
    violation: float
    iterations: int
    converged: bool


@dataclass(frozen=True, eq=False, slots=True)
class _Place:
    """Constraints at some coordinates: values and derivatives, each row in units of its own slope."""

    equal: FloatArray
    least: FloatArray
    equal_slopes: FloatArray
    least_slopes: FloatArray

    @property
    def misses(self) -> FloatArray:
        return np.concatenate([np.abs(self.equal), np.maximum(-self.least, 0.0)])

    @property
    def known(self) -> bool:
        """Whether every value and slope is a number."""
        parts = (self.equal, self.least, self.equal_slopes, self.least_slopes)
        return all(bool(np.isfinite(part).all()) for part in parts)


@dataclass(frozen=True, eq=False, slots=True)
class _Constraints:
    """Restrictions as functions of the coordinates, each divided by the usual length of its slope."""

    frame: Frame
    given: Restrictions
    equal_unit: FloatArray
    least_unit: FloatArray

    def at(self, x: FloatArray) -> _Place:
        theta = self.frame.theta(x)
        return _Place(
            gaps(self.given.equal, theta) / self.equal_unit,
            gaps(self.given.least, theta) / self.least_unit,
            slopes(self.given.equal, theta, self.frame.slope) / self.equal_unit[:, None],
            slopes(self.given.least, theta, self.frame.slope) / self.least_unit[:, None],
        )

    def bend(self, x: FloatArray, equal: FloatArray, least: FloatArray) -> FloatArray:
        """Second derivatives of the constraints, weighted by their multipliers (k, k)."""
        theta, slope = self.frame.theta(x), self.frame.slope
        total = np.zeros((theta.size, theta.size))
        weights = np.concatenate([equal / self.equal_unit, least / self.least_unit])
        for weight, item in zip(weights, (*self.given.equal, *self.given.least), strict=True):
            if weight != 0.0:
                total += weight * item.hessian(theta)
        return np.asarray(slope.T @ total @ slope)


def _scaled(frame: Frame, given: Restrictions, x: FloatArray) -> _Constraints:
    """Units of the constraints: the longest of their slopes at the start and at points about it."""
    rng = np.random.default_rng(0)
    points = [x, *(x + 0.3 * rng.standard_normal(x.size) for _ in range(4))]

    def unit(quantities: Sequence[Quantity]) -> FloatArray:
        lengths = [np.linalg.norm(slopes(quantities, frame.theta(point), frame.slope), axis=1) for point in points]
        longest = np.nanmax(np.where(np.isfinite(lengths), lengths, 0.0), axis=0, initial=0.0)
        return np.asarray(np.where(longest > 0.0, longest, 1.0))

    return _Constraints(frame, given, unit(given.equal), unit(given.least))


@dataclass(frozen=True, eq=False, slots=True)
class _Step:
    """A step with the multipliers (of scaled constraints) that go with it."""

    d: FloatArray
    equal: FloatArray
    least: FloatArray


def _quadratic(metric: FloatArray, score: FloatArray, place: _Place) -> _Step | None:
    """The step of the quadratic programme; None where the linearised constraints contradict one another.

    Raises
    ------
    numpy.linalg.LinAlgError
        The metric is not positive definite along the equalities.
    """
    base, span = _along(place.equal_slopes, -place.equal)
    if base is None:
        return None
    factor = np.linalg.cholesky(span.T @ metric @ span)
    free = cho_solve((factor, True), span.T @ (score - metric @ base))
    least, d = np.zeros(place.least.size), base + span @ free
    if place.least.size and float((place.least + place.least_slopes @ d).min()) < 0.0:
        turned = solve_triangular(factor, (place.least_slopes @ span).T, lower=True).T
        short = _least_distance(turned, -(place.least + place.least_slopes @ d))
        if short is None:
            return None
        y, least = short
        d = d + span @ solve_triangular(factor, y, lower=True, trans=1)
    pull = metric @ d - score - place.least_slopes.T @ least
    equal = np.linalg.lstsq(place.equal_slopes.T, pull, rcond=_RANK)[0] if place.equal.size else np.empty(0)
    return _Step(d, equal, least)


def _along(matrix: FloatArray, target: FloatArray) -> tuple[FloatArray | None, FloatArray]:
    """The shortest solution of ``matrix @ d = target``, None where there is none, and a basis of what it leaves."""
    k = matrix.shape[1]
    if not matrix.size:
        return np.zeros(k), np.eye(k)
    left, singular, right = np.linalg.svd(matrix)
    rank = int((singular > _RANK).sum())
    base = right[:rank].T @ ((left.T @ target)[:rank] / singular[:rank])
    fits = float(np.abs(matrix @ base - target).max()) <= 1e-8 * (1.0 + float(np.abs(target).max()))
    return (base if fits else None), right[rank:].T


def _least_distance(matrix: FloatArray, bound: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """The shortest y with ``matrix @ y >= bound`` and its multipliers; None where there is none."""
    from scipy.optimize import nnls

    length = np.linalg.norm(matrix, axis=1)
    flat = length < 1e-12
    if bool((bound[flat] > FEASIBLE).any()):
        return None
    unit = np.where(flat, 1.0, length)
    matrix, bound = np.where(flat[:, None], 0.0, matrix / unit[:, None]), np.where(flat, -1.0, bound / unit)
    size = max(1.0, float(np.abs(bound).max()))
    stacked = np.vstack([matrix.T, bound / size])
    goal = np.zeros(len(stacked))
    goal[-1] = 1.0
    weights = nnls(stacked, goal)[0]
    residual = stacked @ weights - goal
    if -residual[-1] < 1e-12:
        return None
    y = -residual[:-1] / residual[-1] * size
    return y, weights / -residual[-1] * size / unit


def solve_restricted(
    objective: Objective, given: Restrictions, frame: Frame, start: FloatArray, *, max_steps: int = _MAX_STEPS
) -> Restricted | None:
    """Minimise a discrepancy under constraints.

    Parameters
    ----------
    objective : callable
        From coordinates to the discrepancy there, None where there is none.
    given : Restrictions
    frame : Frame
        From coordinates to the free parameters that the constraints speak of.
    start : (k,) array
        Need not meet the constraints.
    max_steps : int

    Returns
    -------
    Restricted or None
        None where the discrepancy or a constraint has no value at the start. Converged where the step is far below
        any standard error, every constraint is met to 1e-10, and no inequality pulls the wrong way.

    References
    ----------
    Nocedal & Wright (2006), *Numerical Optimization*, chapter 18; Lawson & Hanson (1974), *Solving Least Squares
    Problems*, chapter 23.
    """
    rules = _scaled(frame, given, start)
    x, here, place = start, objective(start), rules.at(start)
    if here is None or not place.known:
        return None
    step = _Step(np.zeros_like(x), np.zeros(place.equal.size), np.zeros(place.least.size))
    near, damper, penalty, iteration, best, stalled = False, 0.0, 0.0, 0, np.inf, 0
    while True:
        found, used = _next(rules, x, here, place, step, near, damper)
        if found is None:
            return _ended(rules, x, here, place, step, np.inf, iteration, converged=False)
        step = found
        decrement = max(float(step.d @ here.information @ step.d), 0.0)
        miss = float(place.misses.max(initial=0.0))
        done = decrement < TOLERANCE and miss < FEASIBLE and used <= 1.0
        best, stalled = (miss, 0) if miss < max(0.9 * best, FEASIBLE) else (best, stalled + 1)
        if done or iteration >= max_steps or used > _MOST or stalled > _STALLED:
            return _ended(rules, x, here, place, step, decrement, iteration, converged=done)
        iteration += 1
        penalty = max(penalty, 1.5 * float(np.abs(np.concatenate([step.equal, step.least])).max(initial=0.0)))
        moved = _line(objective, rules, x, here, place, step, penalty)
        if moved is None:
            damper, near = max(10.0 * used, _LEAST), False
            continue
        x, here, place = moved
        damper = 0.0 if used <= _LEAST else used / 10.0
        near = decrement < _NEAR or iteration > _TRIES


def _next(
    rules: _Constraints, x: FloatArray, here: Local, place: _Place, last: _Step, near: bool, damper: float
) -> tuple[_Step | None, float]:
    """The next step, by the curvature of the Lagrangian if near and possible; and the damper used.

    Else it is by the information, damped if need be.
    """
    if near and not damper:
        bent = here.hessian() - rules.bend(x, last.equal, last.least)
        step = _solved(_pressed(bent, place, last), here.score, place)
        if step is not None:
            return step, 0.0
    diagonal = np.maximum(here.information.diagonal(), 1e-12)
    while damper <= _MOST:
        metric = here.information + np.diag(damper * diagonal)
        try:
            step = _quadratic(metric, here.score, place)
        except np.linalg.LinAlgError:
            damper = max(10.0 * damper, _LEAST)
            continue
        return (step if step is not None else _restoring(metric, place)), damper
    return None, damper


def _pressed(bent: FloatArray, place: _Place, last: _Step) -> FloatArray:
    """The metric made steep across the inequalities at work, which changes no step along them."""
    across = place.least_slopes[last.least > 0.0]
    return np.asarray(bent + max(float(np.abs(bent).max()), 1.0) * across.T @ across)


def _solved(metric: FloatArray, score: FloatArray, place: _Place) -> _Step | None:
    try:
        return _quadratic(metric, score, place)
    except np.linalg.LinAlgError:
        return None


def _restoring(metric: FloatArray, place: _Place) -> _Step | None:
    """A step towards the constraints where their linear forms contradict one another; None where none leads there."""
    low = place.least < 0.0
    slopes_of = np.vstack([place.equal_slopes, place.least_slopes[low]])
    misses = np.concatenate([place.equal, place.least[low]])
    weight = 1e-6 * float(metric.diagonal().max())
    d = np.linalg.solve(slopes_of.T @ slopes_of + weight * np.eye(metric.shape[0]), -slopes_of.T @ misses)
    if float(np.linalg.norm(d)) < 1e-9:
        return None
    return _Step(d, np.zeros(place.equal.size), np.zeros(place.least.size))


def _line(
    objective: Objective, rules: _Constraints, x: FloatArray, here: Local, place: _Place, step: _Step, penalty: float
) -> tuple[FloatArray, Local, _Place] | None:
    """The first share of a step that lowers discrepancy and penalty together; the whole step once corrected."""
    height = here.value / 2.0 + penalty * float(place.misses.sum())
    slope = -float(here.score @ step.d) - penalty * float(place.misses.sum())
    for number in range(_TRIES):
        share = 0.5**number
        trial = x + share * step.d
        for goal in (trial, *((_corrected(rules, place, trial),) if not number else ())):
            moved = _at(objective, rules, goal)
            if moved is None:
                continue
            reached = moved[1].value / 2.0 + penalty * float(moved[2].misses.sum())
            if reached <= height + min(1e-4 * share * slope, 0.0) + _SLACK:
                return moved
    return None


def _at(objective: Objective, rules: _Constraints, x: FloatArray) -> tuple[FloatArray, Local, _Place] | None:
    place = rules.at(x)
    here = objective(x) if place.known else None
    return None if here is None else (x, here, place)


def _corrected(rules: _Constraints, place: _Place, trial: FloatArray) -> FloatArray:
    """The trial moved the shortest way back to the constraints, along their slopes before the step."""
    there = rules.at(trial)
    low = there.least < 0.0
    slopes_of = np.vstack([place.equal_slopes, place.least_slopes[low]])
    misses = np.concatenate([there.equal, there.least[low]])
    if not misses.size or not there.known:
        return trial
    return np.asarray(trial - np.linalg.lstsq(slopes_of, misses, rcond=_RANK)[0])


def _ended(
    rules: _Constraints, x: FloatArray, here: Local, place: _Place, step: _Step, decrement: float, iteration: int,
    *, converged: bool,
) -> Restricted:  # fmt: skip
    active = tuple(int(i) for i in np.flatnonzero((step.least > 0.0) | (np.abs(place.least) < _ACTIVE)))
    violation = float(place.misses.max(initial=0.0))
    equal, least = step.equal / rules.equal_unit, step.least / rules.least_unit
    return Restricted(x, here, equal, least, active, decrement, violation, iteration, converged)


def working_basis(given: Restrictions, frame: Frame, end: Restricted) -> tuple[FloatArray, int]:
    """Directions in which the end may move without leaving the equalities and the active inequalities of the model.

    Bounds are not among them: like lavaan's, they fence the search and are no part of the model.

    Returns
    -------
    basis : (k, m) array
    binding : int
        How many directions the active inequalities take beyond those.

    Raises
    ------
    SpecError
        An equality has no slope at the end, such as ``(a - 1)^2 == 0``.
    """
    place = _scaled(frame, given, end.x).at(end.x)
    flat = np.flatnonzero(np.linalg.norm(place.equal_slopes, axis=1) < _FLAT)
    if flat.size:
        raise SpecError(
            f"{given.equal[flat[0]].text}: this constraint is flat where it is met, so it does not say by how much "
            "its parameters may vary. Write it without the power or the product that vanishes there."
        )
    active = [i for i in end.active if i < given.inequalities]
    at_work = np.vstack([place.equal_slopes, place.least_slopes[active]])
    _, span = _along(at_work, np.zeros(len(at_work)))
    return span, end.x.size - span.shape[1] - _rank(place.equal_slopes)


def along_equalities(given: Restrictions, frame: Frame, x: FloatArray) -> FloatArray:
    """Directions (k, m) in which coordinates may move without leaving the equalities."""
    matrix = _scaled(frame, given, x).at(x).equal_slopes
    return _along(matrix, np.zeros(len(matrix)))[1]


def _rank(matrix: FloatArray) -> int:
    return int((np.linalg.svd(matrix, compute_uv=False) > _RANK).sum()) if matrix.size else 0


def feasible_start(given: Restrictions, frame: Frame, start: FloatArray) -> FloatArray:
    """Coordinates near ``start`` that meet the constraints.

    Raises
    ------
    SpecError
        None were found from many starts; names the constraints that are not met.
    """
    rng = np.random.default_rng(0)
    best: tuple[float, tuple[str, ...]] = (np.inf, ())
    for number in range(_TRIES):
        begin = start + (0.1 * 2**number if number else 0.0) * rng.standard_normal(start.size) / 4.0
        x, misses = _towards(given, frame, begin)
        worst = float(misses.max(initial=0.0))
        if worst < 1e-6:
            return x
        if worst < best[0]:
            texts = [item.text for item in (*given.equal, *given.least)]
            best = worst, tuple(text for text, miss in zip(texts, misses, strict=True) if miss > 1e-6)
    raise SpecError(
        f"No parameter values were found that meet all of the constraints at once. Where most of them hold, not met: "
        f"{'; '.join(best[1]) or 'constraints without a value'}. Check their signs and the fixed values in them."
    )


def _towards(given: Restrictions, frame: Frame, start: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shortest steps to the linearised constraints, shortened until they help; the end and what it misses."""
    rules = _scaled(frame, given, start)
    x, place = start, rules.at(start)
    identity = np.eye(start.size)
    for _ in range(50):
        misses = place.misses
        if not place.known or float(misses.max(initial=0.0)) < 1e-9:
            break
        step = _solved(identity, np.zeros(start.size), place) or _restoring(identity, place)
        if step is None:
            break
        for share in (1.0, 0.5, 0.25, 0.1, 0.01):
            trial = rules.at(x + share * step.d)
            if trial.known and float(trial.misses.sum()) < float(misses.sum()):
                x, place = x + share * step.d, trial
                break
        else:
            break
    return x, np.where(np.isfinite(place.misses), place.misses, np.inf)
