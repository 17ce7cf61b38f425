"""Fits under constraints that no linear map can carry: the search, and the coordinates that are left at its end.

At the end of the search the coordinates are laid along the constraints: the system that comes back starts at the
estimates, and moves in no direction in which an equality, or an inequality that holds with equality, would give way.
Information, sandwiches and tests then are those of that system, which is the bordered information of Aitchison &
Silvey (1958), Annals of Mathematical Statistics 29, 813-828, and lavaan's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from spc.errors import NonConvergenceError, NotPositiveDefiniteError
from spc.linalg import FloatArray, frozen_array
from spc.results import Note
from spc.sem.engine.constrained import Objective, Restricted, feasible_start, solve_restricted, working_basis
from spc.sem.engine.joint import Joint, System, problems_of
from spc.sem.engine.optimise import Search, Solution
from spc.sem.engine.problem import Problem
from spc.sem.engine.restrictions import Restrictions
from spc.sem.engine.start import WAYS, start_values
from spc.sem.objective import Smooth, frame_of

__all__ = ["Found", "best_within", "moved_along", "original", "search_within"]


@dataclass(frozen=True, eq=False, slots=True)
class Found:
    """The end of a fit under constraints.

    Attributes
    ----------
    system : Problem or Joint
        Along the constraints, with the estimates at coordinates zero.
    end : Search
        In those coordinates.
    x : (k,) array
        The estimates in the coordinates of the system before.
    notes : tuple of Note
        Which inequalities and bounds hold with equality.
    """

    system: System
    end: Search
    x: FloatArray
    notes: tuple[Note, ...]


def search_within(system: System, rules: Restrictions, objective: Objective, start: FloatArray) -> Restricted | None:
    """Search from coordinates moved to the constraints; None where the discrepancy has no value there.

    Raises
    ------
    SpecError
        No parameter values meet all of the constraints.
    """
    frame = frame_of(system)
    begin = feasible_start(rules, frame, start)
    end = solve_restricted(objective, rules, frame, begin)
    return end if end is not None else solve_restricted(objective, rules, frame, start)


def best_within(
    system: System,
    rules: Restrictions,
    objective: Objective,
    start: FloatArray | None = None,
    *,
    observed: bool = False,
) -> Found:
    """Search from given coordinates, or from one set of start values after another.

    Parameters
    ----------
    system : Problem or Joint
    rules : Restrictions
    objective : callable
        See :mod:`spc.sem.objective`.
    start : (k,) array, optional
    observed : bool
        Whether the information of the end is the observed one.

    Raises
    ------
    SpecError
        No parameter values meet all of the constraints, or an equality is flat where it is met.
    NotPositiveDefiniteError
        The model implies no covariance matrix at any start.
    NonConvergenceError
        No search ended; carries the best.
    """
    starts: list[Callable[[], FloatArray]] = [lambda way=way: start_values(system, way) for way in WAYS]  # type: ignore[misc]
    if start is not None:
        starts.insert(0, lambda: start)
    best: Restricted | None = None
    for begin in starts:
        end = search_within(system, rules, objective, begin())
        if end is not None and end.converged:
            return _found(system, rules, end, observed=observed)
        if end is not None and (best is None or end.violation < best.violation):
            best = end
    if best is None:
        raise NotPositiveDefiniteError(
            "The covariance matrix that the model implies is not positive definite at values that meet its "
            "constraints. Check the constraints, the fixed values and the start values of the model."
        )
    raise _not_converged(system, rules, best)


def _found(system: System, rules: Restrictions, end: Restricted, *, observed: bool) -> Found:
    basis, binding = working_basis(rules, frame_of(system), end)
    local = end.local
    assert isinstance(local, Smooth)
    information = basis.T @ (local.hessian() if observed else local.information) @ basis
    search = Search(np.zeros(basis.shape[1]), local.state, information, end.decrement, end.iterations, True)
    return Found(moved_along(system, end.x, basis, binding), search, end.x, _notes(rules, end))


def moved_along(system: System, x: FloatArray, basis: FloatArray, binding: int) -> System:
    """The system in coordinates z with ``x + basis @ z`` those of before.

    Parameters
    ----------
    system : Problem or Joint
    x : (k,) array
    basis : (k, m) array
    binding : int
        How many of the directions that are left out belong to inequalities.
    """
    made = tuple(_moved(problem, x, basis, binding) for problem in problems_of(system))
    return replace(system, problems=made) if isinstance(system, Joint) else made[0]


def _moved(problem: Problem, x: FloatArray, basis: FloatArray, binding: int) -> Problem:
    return replace(
        problem,
        map=problem.map @ basis,
        offset=problem.values(x)[problem.active],
        to_theta=problem.to_theta @ basis,
        theta_offset=problem.theta(x),
        plain=False,
        binding=binding,
        origin=problem,
    )


def original(system: System) -> System:
    """The system before it was laid along constraints; itself where there were none."""
    made = tuple(problem.origin or problem for problem in problems_of(system))
    return replace(system, problems=made) if isinstance(system, Joint) else made[0]


def _not_converged(system: System, rules: Restrictions, end: Restricted) -> NonConvergenceError:
    theta = frame_of(system).theta(end.x)
    partial = Solution(
        frozen_array(theta), end.local.value, float(end.decrement**0.5), end.iterations, "not converged",
        f"stopped after {end.iterations} steps",
    )  # fmt: skip
    said = "; ".join(item.text for item in (*rules.equal, *rules.least))
    return NonConvergenceError(
        f"The search under the constraints {said} stopped after {end.iterations} steps before its end (largest miss "
        f"of a constraint {end.violation:.1e}). Usually the constraints leave the model no way to fit these data: take "
        "them out one by one, or give start values that meet them.",
        partial,
    )


def _notes(rules: Restrictions, end: Restricted) -> tuple[Note, ...]:
    """One note on the inequalities, and one on the bounds, that hold with equality."""
    texts = [rules.least[i].text for i in end.active if i < rules.inequalities]
    fences = [rules.least[i].text for i in end.active if i >= rules.inequalities]
    notes = []
    if texts:
        notes.append(Note("active_inequality", "warning", ", ".join(texts), _ACTIVE.format(said="; ".join(texts))))
    if fences:
        notes.append(Note("at_bound", "warning", ", ".join(fences), _AT_BOUND.format(said="; ".join(fences))))
    return tuple(notes)


_ACTIVE = (
    "The estimates lie on the edge of what the model allows: {said} holds with equality. Errors are those of a model "
    "that has it as an equation; degrees of freedom do not count it, so chi-square is not distributed as its "
    "p value supposes but as a mixture with chi-squares of more degrees, and the p value is too small if anything."
)
_AT_BOUND = (
    "The estimates lie on a bound: {said} holds with equality. Errors and the test are computed as if the bound were "
    "not there, as in lavaan, and do not hold for a parameter on its bound: read the fit as that of a fixed value, "
    "or find out why the data ask for one beyond."
)
