"""A two-level model fitted again to other clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from spc.errors import NonConvergenceError
from spc.linalg import FloatArray, frozen_array
from spc.sem.engine.joint import Joint, joint_with_moments
from spc.sem.engine.optimise import Solution
from spc.sem.engine.restrictions import restrictions
from spc.sem.engine.start import WAYS, start_values
from spc.sem.feasible import best_within, original
from spc.sem.twolevel.data import Clusters
from spc.sem.twolevel.group import Sample, goal_of, mapped
from spc.sem.twolevel.objective import levels_objective
from spc.sem.twolevel.saturated import saturated
from spc.sem.twolevel.search import Together, search

if TYPE_CHECKING:
    from spc.sem.result import SemFit

__all__ = ["Again", "refit_levels"]


@dataclass(frozen=True, eq=False)
class Again:
    """The model of a fit over other clusters.

    Attributes
    ----------
    system : Joint
        In the units of the fit.
    goal : Together
    least : float
        The goal at the free moments: of the new clusters where they were fitted, else of the fit's.
    """

    system: Joint
    goal: Together
    least: float

    @classmethod
    def of(cls, fit: SemFit, clusters: Sequence[Clusters], *, test: bool = False) -> Again:
        """Lay the model of a fit over clusters, one set a group.

        Covariates of one level are given, so that it does not matter where their moments are held; those of both
        levels are held at the free moments of the new clusters, which need a search of their own.

        Parameters
        ----------
        fit : SemFit
        clusters : sequence of Clusters
        test : bool
            Find the free moments in any case, for a test statistic.

        Raises
        ------
        NonConvergenceError
            The search for the free moments did not end.
        """
        assert fit.levels is not None
        system = original(fit.system)
        assert isinstance(system, Joint)
        old = [group.sample for group in fit.levels.groups]
        wanted = test or any(_held_on_both(sample) for sample in old)
        samples = []
        for sample, own in zip(old, clusters, strict=True):
            best = saturated(own, sample.scale) if wanted else replace(sample.best, data=own.evidence(sample.scale))
            samples.append(replace(sample, clusters=own, best=best))
        if wanted:
            moved = joint_with_moments(system, [one for sample in samples for one in sample.moments])
            assert isinstance(moved, Joint)
            system = moved
        goal = goal_of(mapped(samples, system.problems))
        return cls(system, goal, sum(sample.best.value for sample in samples))


def _held_on_both(sample: Sample) -> bool:
    held = sample.covariates
    return held.held and bool(np.isin(sample.clusters.both, np.union1d(held.within, held.between)).any())


def refit_levels(fit: SemFit, again: Again) -> tuple[Solution, float]:
    """Search from where the fit ended, and if that leads nowhere from one set of start values after another.

    Parameters
    ----------
    fit : SemFit
    again : Again

    Returns
    -------
    solution : Solution
    value : float
        The goal at its end.

    Raises
    ------
    NonConvergenceError
        No search ended.
    """
    system, start = again.system, again.system.coordinates(fit.solution.theta)
    rules = restrictions(fit.model)
    if rules is not None:
        found = best_within(system, rules, levels_objective(again.goal, system.n, again.least), start)
        value = again.least + 0.5 * system.n * found.end.value
        return _solution(system, found.x, value, found.end.decrement, found.end.iterations), value
    for way in (None, *WAYS):
        end = search(again.goal, start if way is None else start_values(system, way))
        if end is not None and end.converged:
            return _solution(system, end.x, end.value, end.decrement, end.iterations), end.value
    raise NonConvergenceError("The two-level likelihood of these clusters did not come to an end from any start.")


def _solution(system: Joint, x: FloatArray, value: float, decrement: float, steps: int) -> Solution:
    return Solution(
        frozen_array(system.theta(x)), 2.0 * value / system.n, float(np.sqrt(decrement)), steps, "converged",
        f"converged after {steps} steps",
    )  # fmt: skip
