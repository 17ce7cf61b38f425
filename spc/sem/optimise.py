"""Fisher scoring with a Levenberg damper, finished by Newton steps.

Fisher scoring is safe far from the optimum but only linear near it, the slower the worse the model fits; Newton steps
with the observed information are quadratic there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dposv, dpotrf

from spc.linalg import FloatArray, frozen_array
from spc.sem.ml import Point, curvature, discrepancy, score_and_information
from spc.sem.problem import Problem

__all__ = ["Search", "Solution", "derivatives", "search"]

TOLERANCE = 1e-15
MAX_ITERATIONS = 300
_SLACK = 1e-12
_NEAR, _SLOW = 1e-2, 1e-3


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
    point: Point
    information: FloatArray
    decrement: float
    iterations: int
    converged: bool


def derivatives(problem: Problem, point: Point) -> tuple[FloatArray, FloatArray]:
    """Score (k,) and expected information (k, k) in coordinates, for one row of data."""
    score, information = score_and_information(problem.place, point, problem.sample, problem.active)
    if problem.plain:
        return score, information
    return problem.map.T @ score, problem.map.T @ information @ problem.map


def search(problem: Problem, start: FloatArray, *, max_iterations: int = MAX_ITERATIONS) -> Search | None:
    """Minimise the discrepancy from ``start``.

    A step solves ``(I + damper * diag(I)) step = score`` with I the expected, near the
    optimum the observed information; the damper grows tenfold while a step does not lower F or
    leaves the region where sigma is positive definite, and fades when steps succeed. The search ends when
    ``score' I^-1 score`` falls below 1e-15, which is far below any standard error at any sample size in use.

    Parameters
    ----------
    problem : Problem
    start : (k,) array
    max_iterations : int

    Returns
    -------
    Search or None
        None when sigma is not positive definite at the start.
    """
    x = start
    point = discrepancy(problem.place, problem.values(x), problem.sample)
    if point is None:
        return None
    damper, iteration = 0.0, 0
    score, information = derivatives(problem, point)
    metric, bend, last = information, None, np.inf
    while True:
        step = _step(score, metric, damper)
        decrement = float(score @ step)
        if decrement < TOLERANCE and damper <= 1.0:
            return Search(x, point, information, max(decrement, 0.0), iteration, True)
        if iteration >= max_iterations or damper > 1e12:
            return Search(x, point, information, max(decrement, 0.0), iteration, False)
        iteration += 1
        trial = discrepancy(problem.place, problem.values(x + step), problem.sample)
        if trial is None or trial.value > point.value + _SLACK:
            damper, metric = max(10.0 * damper, 1e-3), information
            continue
        x, point = x + step, trial
        damper = 0.0 if damper <= 1e-3 else damper / 10.0
        score, information = derivatives(problem, point)
        if decrement < _NEAR and (bend is None or decrement > _SLOW * last):
            bend = _bend(problem, point)
        metric, last = information if bend is None else information + bend, decrement
        if bend is not None and dpotrf(metric, lower=1)[1]:
            metric = information


def _bend(problem: Problem, point: Point) -> FloatArray:
    """Observed less expected information, in coordinates."""
    bend = curvature(problem.place, point, problem.sample, problem.active)
    return bend if problem.plain else np.asarray(problem.map.T @ bend @ problem.map)


def _step(score: FloatArray, information: FloatArray, damper: float) -> FloatArray:
    """Solve for the step, damping as much as it takes to be solvable."""
    if not score.size:
        return score
    diagonal = information.diagonal()
    floor = 1e-12 * max(float(diagonal.max()), 1e-300)
    while True:
        damped = information + np.diag(damper * diagonal + (floor if damper else 0.0))
        _, step, fault = dposv(damped, score, lower=1)
        if not fault and np.all(np.isfinite(step)):
            return np.asarray(step)
        damper = max(10.0 * damper, 1e-8)
        if damper > 1e8:
            return np.full_like(score, np.nan)
