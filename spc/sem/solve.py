"""From a system to the end of a search: start values, one after another, and what to say where none leads to an end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spc.errors import NonConvergenceError, NotPositiveDefiniteError
from spc.linalg import FloatArray
from spc.moments import Moments
from spc.results import Note
from spc.sem.engine import diagnose
from spc.sem.engine.joint import System, look, problems_of
from spc.sem.engine.optimise import Search, Solution, derivatives, search
from spc.sem.engine.problem import Problem
from spc.sem.engine.restrictions import restrictions
from spc.sem.engine.start import WAYS, Way, start_values
from spc.sem.engine.valley import along_valley
from spc.sem.feasible import best_within
from spc.sem.objective import normal_objective
from spc.sem.options import Options
from spc.sem.weighted import Weight, row_covariances, weight_matrix
from spc.spec.table import Model

__all__ = ["evaluate_at", "not_converged", "search_everywhere", "solution_of", "solve", "weights_of"]


def solve(
    system: System, model: Model, moments: Sequence[Moments], options: Options
) -> tuple[System, tuple[Note, ...], tuple[Search, str]]:
    """The system in the coordinates of the end, what to say of its constraints, the end and who found it."""
    if options.engine == "semopy":
        from spc.sem.semopy_engine import solve as solve_by_semopy

        theta = solve_by_semopy(model, moments[0], options.likelihood)
        return system, (), (evaluate_at(system, theta), "semopy")
    if (rules := restrictions(model)) is not None:
        found = best_within(system, rules, normal_objective(system))
        return found.system, found.notes, (found.end, "converged")
    end = search_everywhere(system)
    if not end.converged:
        nearby = diagnose.unidentified_nearby(system, end.x)
        if nearby is not None:
            raise diagnose.not_identified(diagnose.null_parameters(system, nearby))
        raise not_converged(system, end)
    return system, (), (end, "converged")


def search_everywhere(system: System) -> Search:
    """Search from one set of start values after another, then along the valley; the first end, else the best.

    An end with a negative variance may be a false optimum: the other start values are tried too, and the lowest kept.
    The user's own start values are left out where they lead nowhere.
    """
    best: Search | None = None
    given = any(problem.place.started for problem in problems_of(system))
    ways: tuple[Way, ...] = (*WAYS, "unaided") if given else WAYS
    valleys: tuple[Way, ...] = ("measurement", "unaided" if given else "plain")
    for minimise, tried in ((search, ways), (along_valley, valleys)):
        starts: list[FloatArray] = []
        for way in tried if best is None or not best.converged else ():
            start = start_values(system, way)
            if any(np.array_equal(start, one) for one in starts):
                continue
            starts.append(start)
            end = minimise(system, start)
            if end is not None and (best is None or (end.converged, -end.value) > (best.converged, -best.value)):
                best = end
            if best is not None and best.converged and _no_negative_variance(system, best.x):
                return best
    if best is None:
        raise diagnose.no_start(system)
    return best


def _no_negative_variance(system: System, x: FloatArray) -> bool:
    return not any((one.values(x)[one.place.free_variances] < 0.0).any() for one in problems_of(system))


def not_converged(system: System, end: Search) -> NonConvergenceError:
    """Error that carries where a search stopped."""
    partial = solution_of(system, end, "not converged")
    return NonConvergenceError(
        f"The search stopped after {end.iterations} steps before the gradient was zero (scaled gradient "
        f"{partial.gradient_norm:.1e}). Usually the model does not fit these data anywhere near: look for a latent "
        f"variable with indicators that do not correlate, or give start values.{diagnose.growing(system, end.x)}",
        partial,
    )


def evaluate_at(system: System, theta: FloatArray) -> Search:
    """The state at estimates that came from elsewhere."""
    x = system.coordinates(theta)
    state = look(system, x)
    if state is None:
        raise NotPositiveDefiniteError("The covariance matrix implied by the estimates is not positive definite.")
    score, information = derivatives(system, state)
    decrement = float(score @ np.linalg.lstsq(information, score, rcond=None)[0])
    return Search(x, state, information, max(decrement, 0.0), 0, True)


def solution_of(system: System, end: Search, status: str = "converged") -> Solution:
    """Free parameters in the user's units at the end of a search."""
    message = {
        "converged": f"converged after {end.iterations} steps",
        "not converged": f"stopped after {end.iterations} steps",
    }.get(status, f"estimates by {status}, evaluated here")
    return Solution(system.theta(end.x), end.value, end.decrement**0.5, end.iterations, status, message)


def weights_of(system: System, moments: Sequence[Moments], options: Options) -> list[Weight]:
    """Weights of each block under GLS, ULS or WLS."""
    return [_weight(*part, options) for part in zip(problems_of(system), moments, strict=True)]


def _weight(problem: Problem, moments: Moments, options: Options) -> Weight:
    if options.estimator == "WLS":
        return weight_matrix("WLS", problem, row_covariances("WLS", problem, moments))
    return weight_matrix("ULS" if options.estimator == "ULS" else "GLS", problem, None)
