"""Fisher scoring with a Levenberg damper, finished by Newton steps.

Fisher scoring is safe far from the optimum but only linear near it, the slower the worse the model fits; Newton steps
with the observed information are quadratic there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dposv, dpotrs

from spc.linalg import FloatArray, frozen_array
from spc.sem.engine.joint import State, System, look, problems_of, shares_of
from spc.sem.engine.ml import Point, Products, curvature, information, products, score
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


Known = Sequence[Products]


def derivatives(system: System, at: State | Point) -> tuple[FloatArray, FloatArray]:
    """Score (k,) and expected information (k, k) in coordinates, for one row of data.

    Parameters
    ----------
    system : Problem or Joint
    at : State or Point
        Where; a point where there is one block.
    """
    known = _products(system, State(at.value, (at,)) if isinstance(at, Point) else at)
    return _score(system, known), _information(system, known)


def _products(system: System, state: State) -> Known:
    each = zip(problems_of(system), state.points, strict=True)
    return [products(one.place, point, one.sample, one.active) for one, point in each]


def _score(system: System, known: Known) -> FloatArray:
    if isinstance(system, Problem) and system.plain:
        return score(known[0])
    parts = zip(shares_of(system), problems_of(system), known, strict=True)
    return np.asarray(sum(share * (problem.map.T @ score(one)) for share, problem, one in parts))


def _information(system: System, known: Known) -> FloatArray:
    return _in_coordinates(system, [information(one) for one in known])


def _in_coordinates(system: System, each: Sequence[FloatArray]) -> FloatArray:
    """Sum over the blocks of matrices of their free rows (r, r)."""
    if isinstance(system, Problem) and system.plain:
        return each[0]
    parts = zip(shares_of(system), problems_of(system), each, strict=True)
    return np.asarray(sum(share * (problem.map.T @ one @ problem.map) for share, problem, one in parts))


def observed_information(system: System, at: State | Point) -> FloatArray:
    """Half of the Hessian of F in coordinates (k, k), for one row of data; see :func:`derivatives`."""
    state = State(at.value, (at,)) if isinstance(at, Point) else at
    known = _products(system, state)
    return _information(system, known) + _bend(system, state, known)


def _bend(system: System, state: State, known: Known) -> FloatArray:
    """Observed less expected information, in coordinates."""
    parts = zip(problems_of(system), state.points, known, strict=True)
    each = [curvature(problem.place, point, problem.sample, problem.active, one) for problem, point, one in parts]
    return _in_coordinates(system, each)


def search(problem: System, start: FloatArray, *, max_iterations: int = MAX_ITERATIONS) -> Search | None:
    """Minimise the discrepancy from ``start``.

    A step solves ``(I + damper * diag(I)) step = score`` with I the expected, near the optimum or after ten steps the
    observed information, whose factor serves the next steps as well while they shrink fast. A step that raises F, or
    leaves the region where sigma is positive definite, is halved up to three times; after that the damper grows, and
    fades when steps succeed. The search ends when ``score' I^-1 score`` falls below 1e-15, which is far below any
    standard error at any sample size in use.

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
    factor: FloatArray | None = None
    known = _products(problem, point)
    while True:
        slope, expected = _score(problem, known), None
        if factor is not None:
            step, used = dpotrs(factor, slope, lower=1)[0], 0.0
            factor = factor if float(slope @ step) <= _SLOW * last else None
        if factor is None:
            expected = _information(problem, known)
            near = last < _NEAR or iteration > _PATIENCE
            metric = expected + _bend(problem, point, known) if near else expected
            step, used, factor = _step(slope, metric, expected.diagonal(), damper)
            factor = factor if near and not used else None
        decrement = float(slope @ step)
        converged = decrement < TOLERANCE and used <= 1.0
        if converged or iteration >= max_iterations or used > _MOST:
            expected = _information(problem, known) if expected is None else expected
            return Search(x, point, expected, max(decrement, 0.0), iteration, converged)
        iteration += 1
        share, trial = _along(problem, point, x, step)
        if trial is None:
            damper, factor = max(10.0 * used, _LEAST), None
            continue
        damper, last = 0.0 if used <= _LEAST else used / 10.0, decrement
        x, point = x + share * step, trial
        known = _products(problem, point)


def _along(problem: System, point: State, x: FloatArray, step: FloatArray) -> tuple[float, State | None]:
    """The first of the whole step, a half, a quarter, an eighth that does not raise F; None if none of them."""
    for share in (1.0, 0.5, 0.25, 0.125):
        trial = look(problem, x + share * step)
        if trial is not None and trial.value <= point.value + _SLACK:
            return share, trial
    return 0.0, None


def _step(
    score: FloatArray, metric: FloatArray, diagonal: FloatArray, damper: float
) -> tuple[FloatArray, float, FloatArray | None]:
    """Solve for the step, damping as much as it takes to be solvable; the step, the damper used and the factor."""
    if not score.size:
        return score, 0.0, None
    while damper <= _MOST:
        factor, step, fault = dposv(_damped(metric, diagonal, damper), score, lower=1)
        if not fault and math.isfinite(float(score @ step)):
            return np.asarray(step), damper, factor
        damper = max(10.0 * damper, _LEAST)
    return np.full_like(score, np.nan), damper, None


def _damped(metric: FloatArray, diagonal: FloatArray, damper: float) -> FloatArray:
    if not damper:
        return metric
    floor = 1e-12 * max(float(diagonal.max()), 1e-300)
    return np.asarray(metric + np.diag(damper * diagonal + floor))
