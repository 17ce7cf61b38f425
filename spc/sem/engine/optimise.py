"""Fisher scoring with a Levenberg damper, finished by Newton steps.

Fisher scoring is safe far from the optimum but only linear near it, the slower the worse the model fits; Newton steps
with the observed information are quadratic there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dposv

from spc.linalg import FloatArray, frozen_array
from spc.sem.engine.joint import State, System, look, problems_of, shares_of
from spc.sem.engine.ml import Point, Products, curvature, products, score_and_information
from spc.sem.engine.problem import Problem

__all__ = ["Search", "Solution", "derivatives", "observed_information", "search"]

TOLERANCE = 1e-15
MAX_ITERATIONS = 100
_SLACK = 1e-12
_NEAR, _SLOW, _PATIENCE = 1e-2, 1e-3, 10
_LEAST, _MOST = 1e-5, 1e12


@dataclass(frozen=True, eq=False)
class Solution:
    """Where the optimiser stopped.

    Attributes
    ----------
    theta : (q,) array
        Free parameters in the user's units, in the order of ``ParameterTable.names``.
    value : float
        The discrepancy F; the test statistic is ``divisor * F``.
    gradient_norm : float
        ``sqrt(g' I^-1 g)`` of the score: the distance to the optimum in units free of scale.
    iterations : int
    status : str
        ``"converged"``, ``"not converged"``, or the name of the engine that gave the estimates.
    message : str
    """

    theta: FloatArray
    value: float
    gradient_norm: float
    iterations: int
    status: str
    message: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "theta", frozen_array(self.theta))

    @property
    def converged(self) -> bool:
        """Whether the estimates may be used."""
        return self.status != "not converged"


@dataclass(frozen=True, eq=False, slots=True)
class Search:
    """The state in which a search ended, in balanced coordinates."""

    x: FloatArray
    state: State
    information: FloatArray
    decrement: float
    iterations: int
    converged: bool

    @property
    def value(self) -> float:
        """F."""
        return self.state.value

    @property
    def point(self) -> Point:
        """The only point of a system of one block."""
        (point,) = self.state.points
        return point


Known = tuple[Products, ...]


def derivatives(system: System, at: State | Point, known: Known | None = None) -> tuple[FloatArray, FloatArray]:
    """Score (k,) and expected information (k, k) in coordinates, for one row of data.

    Parameters
    ----------
    system : Problem or Joint
    at : State or Point
        Where; a point where there is one block.
    known : tuple of Products, optional
        Of each block, where they are known already.
    """
    points = (at,) if isinstance(at, Point) else at.points
    held = (None,) * len(points) if known is None else known
    if isinstance(system, Problem):
        return _derived(system, points[0], held[0])
    score, information = np.zeros(system.size), np.zeros((system.size, system.size))
    for share, problem, point, one in zip(system.shares, system.problems, points, held, strict=True):
        part = _derived(problem, point, one)
        score += share * part[0]
        information += share * part[1]
    return score, information


def _derived(problem: Problem, point: Point, known: Products | None) -> tuple[FloatArray, FloatArray]:
    score, information = score_and_information(problem.place, point, problem.sample, problem.active, known)
    if problem.plain:
        return score, information
    return problem.map.T @ score, problem.map.T @ information @ problem.map


def observed_information(system: System, at: State | Point) -> FloatArray:
    """Half of the Hessian of F in coordinates (k, k), for one row of data; see :func:`derivatives`."""
    state = State(at.value, (at,)) if isinstance(at, Point) else at
    return np.asarray(derivatives(system, state)[1] + _bend(system, state))


def _products(system: System, state: State) -> Known:
    problems = problems_of(system)
    each = zip(problems, state.points, strict=True)
    return tuple(products(one.place, point, one.sample, one.active) for one, point in each)


def search(problem: System, start: FloatArray, *, max_iterations: int = MAX_ITERATIONS) -> Search | None:
    """Minimise the discrepancy from ``start``.

    A step solves ``(I + damper * diag(I)) step = score`` with I the expected, near the optimum or after ten steps the
    observed information. A step that raises F, or leaves the region where sigma is positive definite, is halved up
    to three times; after that the damper grows, and fades when steps succeed. The search ends when
    ``score' I^-1 score`` falls below 1e-15, which is far below any standard error at any sample size in use.

    Parameters
    ----------
    problem : Problem or Joint
    start : (k,) array
    max_iterations : int

    Returns
    -------
    Search or None
        None when sigma is not positive definite at the start.
    """
    x = start
    point = look(problem, x)
    if point is None:
        return None
    damper, iteration, last = 0.0, 0, np.inf
    score, information = derivatives(problem, point)
    bend: FloatArray | None = None
    while True:
        step, used = _step(score, information, bend, damper)
        decrement = float(score @ step)
        converged = decrement < TOLERANCE and used <= 1.0
        if converged or iteration >= max_iterations or used > _MOST:
            return Search(x, point, information, max(decrement, 0.0), iteration, converged)
        iteration += 1
        share, trial = _along(problem, point, x, step)
        if trial is None:
            damper = max(10.0 * used, _LEAST)
            continue
        x, point = x + share * step, trial
        damper = 0.0 if used <= _LEAST else used / 10.0
        known = _products(problem, point)
        score, information = derivatives(problem, point, known)
        if (decrement < _NEAR or iteration > _PATIENCE) and (bend is None or decrement > _SLOW * last):
            bend, last = _bend(problem, point, known), np.inf
        else:
            last = decrement


def _along(problem: System, point: State, x: FloatArray, step: FloatArray) -> tuple[float, State | None]:
    """The first of the whole step, a half, a quarter, an eighth that does not raise F; None if none of them."""
    for share in (1.0, 0.5, 0.25, 0.125):
        trial = look(problem, x + share * step)
        if trial is not None and trial.value <= point.value + _SLACK:
            return share, trial
    return 0.0, None


def _bend(system: System, state: State, known: Known | None = None) -> FloatArray:
    """Observed less expected information, in coordinates."""
    total: FloatArray | None = None
    held = (None,) * len(state.points) if known is None else known
    for share, problem, point, one in zip(shares_of(system), problems_of(system), state.points, held, strict=True):
        bend = curvature(problem.place, point, problem.sample, problem.active, one)
        if isinstance(system, Problem) and problem.plain:
            return bend
        bend = share * (problem.map.T @ bend @ problem.map)
        total = bend if total is None else total + bend
    assert total is not None
    return total


def _step(
    score: FloatArray, information: FloatArray, bend: FloatArray | None, damper: float
) -> tuple[FloatArray, float]:
    """Solve for the step, damping as much as it takes to be solvable; the step and the damper used."""
    if not score.size:
        return score, 0.0
    metric = information if bend is None else information + bend
    diagonal = information.diagonal()
    while damper <= _MOST:
        _, step, fault = dposv(_damped(metric, diagonal, damper), score, lower=1)
        if not fault and np.isfinite(step).all():
            return np.asarray(step), damper
        damper = max(10.0 * damper, _LEAST)
    return np.full_like(score, np.nan), damper


def _damped(metric: FloatArray, diagonal: FloatArray, damper: float) -> FloatArray:
    if not damper:
        return metric
    floor = 1e-12 * max(float(diagonal.max()), 1e-300)
    return np.asarray(metric + np.diag(damper * diagonal + floor))
