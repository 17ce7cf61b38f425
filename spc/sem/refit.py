"""The same model fitted again to other moments, for bootstraps."""

from __future__ import annotations

from collections.abc import Sequence

from spc.errors import UnsupportedError, UsageError
from spc.moments import Moments, Patterns
from spc.sem.engine.constrained import Objective
from spc.sem.engine.joint import System, joint_with_moments
from spc.sem.engine.optimise import Solution, search
from spc.sem.engine.restrictions import Restrictions, restrictions
from spc.sem.feasible import best_within, original
from spc.sem.missing.fiml import Answered, climb, unrestricted
from spc.sem.objective import answers_objective, normal_objective, squares_objective
from spc.sem.result import Part, SemFit
from spc.sem.solve import not_converged, search_everywhere, solution_of, weights_of
from spc.sem.twolevel.data import clusters_of
from spc.sem.twolevel.likelihood import UnitMoments
from spc.sem.twolevel.refit import Again, refit_levels
from spc.sem.weighted import weighted_search, weighted_solve

__all__ = ["refit"]


Given = Moments | Patterns | UnitMoments | Sequence[Moments] | Sequence[Patterns] | Sequence[UnitMoments]


def refit(fitted: SemFit, moments: Given) -> Solution:
    """Fit the same model to other moments of the same variables, starting from the given fit.

    Nothing but the estimates is computed: made for bootstraps, inside one ``one_blas_thread()``.

    Parameters
    ----------
    fitted : SemFit
    moments : Moments or Patterns or UnitMoments, or a sequence of them in the order of the groups
        Of at least the observed variables of the model; patterns for a fit under ``missing="fiml"``; moments of
        clusters for a fit of two levels.

    Returns
    -------
    Solution

    Raises
    ------
    UnsupportedError
        Moments where the fit is of patterns, or the other way round.
    UsageError
        Not one for each group.
    NonConvergenceError
        The search stopped early.
    NotPositiveDefiniteError
        The moments have no inverse.
    """
    every: tuple[Moments | Patterns | UnitMoments, ...]
    every = (moments,) if isinstance(moments, Moments | Patterns | UnitMoments) else tuple(moments)
    groups = len(fitted.parts) if fitted.levels is None else len(fitted.levels.groups)
    if len(every) != groups:
        raise UsageError(f"{len(every)} sets of moments for {groups} groups; give one a group.")
    if fitted.levels is not None:
        return _refit_clusters(fitted, every)
    given = [one for one in every if not isinstance(one, UnitMoments)]
    if len(given) != len(every):
        raise UnsupportedError("Moments of clusters are for fits of two levels; this one has one.")
    if fitted.parts[0].answers is not None or any(isinstance(one, Patterns) for one in given):
        return _refit_answers(fitted, given)
    complete = [_restricted(one, part) for one, part in zip(given, fitted.parts, strict=True)]
    system = joint_with_moments(original(fitted.system), complete)
    if fitted.parts[0].weight is not None:
        return _refit_weighted(fitted, system, complete)
    if (rules := restrictions(fitted.model)) is not None:
        return _refit_within(fitted, system, rules, normal_objective(system))
    end = search(system, system.coordinates(fitted.solution.theta))
    if end is None or not end.converged:
        end = search_everywhere(system)
    if not end.converged:
        raise not_converged(system, end)
    return solution_of(system, end)


def _refit_clusters(fitted: SemFit, given: Sequence[Moments | Patterns | UnitMoments]) -> Solution:
    assert fitted.levels is not None
    found = []
    for one, group in zip(given, fitted.levels.groups, strict=True):
        if not isinstance(one, UnitMoments):
            raise UnsupportedError("A fit of two levels is refitted to UnitMoments, which hold moments of clusters.")
        within, between = group.sample.models
        found.append(clusters_of(one, (within.observed, between.observed), None))
    return refit_levels(fitted, Again.of(fitted, found))[0]


def _restricted(moments: Moments | Patterns, part: Part) -> Moments:
    assert isinstance(moments, Moments)
    names = part.model.observed
    return moments if moments.names == names else moments.restrict(names)


def _refit_answers(fitted: SemFit, given: Sequence[Moments | Patterns]) -> Solution:
    answered = []
    for one, part in zip(given, fitted.parts, strict=True):
        if part.answers is None or not isinstance(one, Patterns):
            raise UnsupportedError("A fit under missing='fiml' is refitted to Patterns, any other fit to Moments.")
        names = part.model.observed
        patterns = (one if one.names == names else one.restrict(names)).answering(part.model.exogenous)
        answered.append(Answered(patterns, unrestricted(patterns)[0]))
    system = joint_with_moments(original(fitted.system), [one.without.moments for one in answered])
    if (rules := restrictions(fitted.model)) is not None:
        return _refit_within(fitted, system, rules, answers_objective(system, answered))
    end = climb(system, answered, system.coordinates(fitted.solution.theta), errors=False)
    if not end.converged:
        end = climb(system, answered, search_everywhere(system).x, errors=False)
    if not end.converged:
        raise not_converged(system, end)
    return solution_of(system, end)


def _refit_weighted(fitted: SemFit, system: System, moments: Sequence[Moments]) -> Solution:
    weights = weights_of(system, moments, fitted.options)
    if (rules := restrictions(fitted.model)) is not None:
        return _refit_within(fitted, system, rules, squares_objective(system, weights))
    end = weighted_search(system, system.coordinates(fitted.solution.theta), weights)
    if end is None or not end.converged:
        end = weighted_solve(system, weights)
    if not end.converged:
        raise not_converged(system, end)
    return solution_of(system, end)


def _refit_within(fitted: SemFit, system: System, rules: Restrictions, objective: Objective) -> Solution:
    found = best_within(system, rules, objective, system.coordinates(fitted.solution.theta))
    return solution_of(found.system, found.end)
