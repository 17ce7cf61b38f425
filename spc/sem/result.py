"""The result of a fit: one class, whatever was fitted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from time import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spc.errors import UnsupportedError
from spc.linalg import FloatArray, frozen_array, one_blas_thread
from spc.moments import Moments
from spc.results import Estimates, Note, Provenance, Shown, fingerprint
from spc.sem.engine import diagnose
from spc.sem.engine.held_draws import HeldEstimates
from spc.sem.engine.joint import System
from spc.sem.engine.ml import Point
from spc.sem.engine.optimise import Solution
from spc.sem.engine.problem import Problem, covariates_of
from spc.sem.engine.restrictions import restrictions
from spc.sem.engine.standardize import standardised_values
from spc.sem.inference.fitmeasures import likelihood_ratio
from spc.sem.inference.scaled import Correction
from spc.sem.measures import Baseline, glance_row
from spc.sem.missing.fiml import Answers
from spc.sem.missing.fiml_robust import CompleteTest, complete_test
from spc.sem.options import Options
from spc.sem.tables import estimates_table, tidy_numbers, tidy_table
from spc.sem.weighted import Weight
from spc.spec.table import Model

if TYPE_CHECKING:
    from spc.sem.twolevel.model import TwoLevel

__all__ = ["Part", "SemFit", "improper"]

_OF_ROWS = ("missing_answers", "dropped_rows", "low_coverage", "no_saturated_moments")


@dataclass(frozen=True, eq=False)
class Part:
    """One block of a fit: a group of rows, with its own structure and moments.

    Attributes
    ----------
    model : Model
        The block's own rows of the table, which keep the joint numbers of the free parameters.
    observed : Moments
        Of its observed variables, in the block's order.
    problem : Problem
        In balanced units; its map starts from the joint coordinates.
    point : Point
        Discrepancy and implied moments at the solution, in balanced units.
    group : str
        Label of the group; empty where there is one.
    level : int
        1-based.
    answers : Answers or None
        Under ``missing="fiml"``, where ``observed`` holds the saturated moments.
    weight : Weight or None
        Of GLS, ULS and WLS.
    """

    model: Model
    observed: Moments
    problem: Problem = field(repr=False)
    point: Point = field(repr=False)
    group: str = ""
    level: int = 1
    answers: Answers | None = field(default=None, repr=False)
    weight: Weight | None = field(default=None, repr=False)

    @property
    def key(self) -> str | tuple[str, ...]:
        """What tells the part from others: the label of its group."""
        return self.group

    @property
    def title(self) -> str:
        """The same in words."""
        return self.group


def improper(parts: Sequence[Part], x: FloatArray) -> list[Note]:
    """Negative variances and other impossible values of each part at the joint coordinates."""
    notes: list[Note] = []
    for part in parts:
        found = diagnose.improper(part.problem.place, part.problem.values(x), part.point.at)
        notes += diagnose.of_group(found, part.group)
    return notes


@dataclass(frozen=True, eq=False, repr=False)
class SemFit(Shown):
    """A fitted structural equation model of one or several groups.

    Attributes
    ----------
    model : Model
    parts : tuple of Part
        One a group, in the order of the model.
    solution : Solution
        Free parameters in the user's units, and how they were found.
    vcov : (q, q) array
        Their sampling covariances, from the inverse expected information, or as the estimator has it.
    baseline : Baseline
        Chi-square and degrees of freedom of the independence model.
    options : Options
    system : Problem or Joint
        What was minimised: the problem of the only part, or those of all parts over joint coordinates.
    found : tuple of Note
        Improper values, dropped rows and missing answers, which are warned of as well.
    correction : Correction or None
        Scaling of the test; None where the test is not scaled.
    levels : TwoLevel or None
        Of a two-level model, whose parts are its levels.
    seen : tuple of arrays
        Statistics of the data, from which the fingerprint is made.
    made_at : float
        Time of the fit in seconds since the epoch.
    """

    model: Model
    parts: tuple[Part, ...]
    solution: Solution
    vcov: FloatArray
    baseline: Baseline
    options: Options
    system: System = field(repr=False)
    found: tuple[Note, ...] = field(repr=False)
    kind: str = "sem"
    correction: Correction | None = field(default=None, repr=False)
    levels: TwoLevel | None = field(default=None, repr=False)
    seen: tuple[FloatArray, ...] = field(default=(), repr=False)
    made_at: float = field(default_factory=time, repr=False)

    @cached_property
    def provenance(self) -> Provenance:
        """Options, fingerprint of the data and time of the fit."""
        return Provenance.record(vars(self.options), fingerprint(*self.seen), at=self.made_at)

    @property
    def groups(self) -> tuple[str, ...]:
        """Labels of the groups, each once; empty where there are none."""
        return tuple(dict.fromkeys(part.group for part in self.parts if part.group))

    @cached_property
    def views(self) -> tuple[SemFit, ...]:
        """Each part as a fit of its own: its rows of the table, the joint parameters and their covariances.

        What is a function of one group's numbers is a function of its view. Tests and measures of fit are not: a
        view's chi-square is what that group adds to it, and its degrees of freedom mean nothing.
        """
        if len(self.parts) == 1:
            return (self,)
        return tuple(
            replace(
                self,
                model=replace(part.model, defined=(), constraints=()),
                parts=(part,),
                solution=replace(self.solution, value=part.point.value),
                system=part.problem,
                levels=None,
            )
            for part in self.parts
        )

    @property
    def only(self) -> Part:
        """The only part.

        Raises
        ------
        UnsupportedError
            There are several.
        """
        if len(self.parts) != 1:
            listed = ", ".join(part.title for part in self.parts)
            raise UnsupportedError(
                f"This has no method for a fit of several groups or levels ({listed}). tidy(), glance(), "
                "standardized(), r_square(), residuals(), implied_moments() and effects() have; `fit.views` holds "
                "every part with its own rows, for what follows from the numbers of one."
            )
        return self.parts[0]

    @property
    def observed(self) -> Moments:
        """Moments of the only part."""
        return self.only.observed

    @property
    def problem(self) -> Problem:
        """Model and moments of the only part as they were fitted, in balanced units."""
        return self.only.problem

    @property
    def point(self) -> Point:
        """Discrepancy and implied moments of the only part at the solution, in balanced units."""
        return self.only.point

    @property
    def answers(self) -> Answers | None:
        """Patterns and log-likelihoods of the only part under ``missing="fiml"``."""
        return self.only.answers

    @property
    def weight(self) -> Weight | None:
        """Weights of the only part under GLS, ULS and WLS."""
        return self.only.weight

    @property
    def chisq(self) -> float:
        """The test statistic, not scaled; NaN where a model of two levels fits better than its unrestricted moments.

        That happens at negative variances between units, which the unrestricted model does not have.
        """
        if self.levels is not None:
            return likelihood_ratio(self.levels.unrestricted_logl, self.levels.logl)
        return max(float(self.system.divisor * self.solution.value), 0.0)

    @cached_property
    def df(self) -> int:
        """Degrees of freedom: moments less coordinates."""
        if self.levels is not None:
            return self.levels.df
        return sum(diagnose.n_moments(part.problem.place) for part in self.parts) - self.system.npar

    @cached_property
    def values(self) -> FloatArray:
        """Values of all rows of the table, in the user's units."""
        return frozen_array(np.concatenate([part.problem.row_values(self.solution.theta) for part in self.parts]))

    @cached_property
    def std_all(self) -> FloatArray:
        """Completely standardised values of all rows of the table."""
        values, found = self.values, []
        for part in self.parts:
            scale = part.problem.multiplier
            found.append(standardised_values(part.problem.place, values[: scale.size] * scale, part.point.at))
            values = values[scale.size :]
        return frozen_array(np.concatenate(found))

    @cached_property
    def complete_test(self) -> CompleteTest | None:
        """What the test would be on complete data, under ``missing="fiml"``; None else."""
        answers = [part.answers for part in self.parts if part.answers is not None]
        if len(answers) != len(self.parts) or any(math.isnan(one.unrestricted_logl) for one in answers):
            return None
        covariates = [covariates_of(part.model) for part in self.parts]
        x = self.system.coordinates(self.solution.theta)
        with one_blas_thread():
            return complete_test(self.system, answers, x, covariates, (self.df, self.baseline.df))

    @cached_property
    def _notes(self) -> tuple[Note, ...]:
        improper = [note for note in self.found if note.code not in _OF_ROWS]
        found: list[Note] = []
        for view in self.views:
            place = view.problem.place
            own = (*diagnose.collinear_latents(place, view.point.at), *diagnose.beyond_one(place, view.std_all))
            level = view.parts[0].level if self.levels is not None else 0
            found += diagnose.of_level(diagnose.of_group(own, view.parts[0].group), level)
        return (
            *improper,
            *found,
            *(note for note in self.found if note.code in _OF_ROWS),
            *diagnose.small_sample(self.system.n, self.system.npar),
            *(diagnose.better_than_unrestricted() if self.levels is not None and math.isnan(self.chisq) else ()),
        )

    @cached_property
    def numbers(self) -> FloatArray:
        """Numbers of :meth:`tidy` (7, R): estimate, error, statistic, p value, interval, standardised value."""
        return frozen_array(tidy_numbers(self))

    def tidy(self) -> pd.DataFrame:
        """All rows of the parameter table, fixed ones with a missing standard error, then the defined parameters.

        ``kind`` is one of ``loading, regression, variance, covariance, intercept, defined``; ``group`` is the label
        of the group, or ``"1"`` where there is one; ``std_all`` holds the completely standardised value.
        """
        return tidy_table(self)

    def parameters(self) -> pd.DataFrame:
        """The rows of :meth:`tidy`, none of which are effects."""
        return self.tidy()

    @property
    def unreadable(self) -> frozenset[str]:
        """Causes of which these data can say nothing; the notes name what cannot be read here."""
        return frozenset()

    def glance(self) -> pd.DataFrame:
        """One row: size of the model, test, fit measures and information criteria, named as in lavaan."""
        return glance_row(self)

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the numbers: improper values, collinear latents, dropped rows, small n."""
        return self._notes

    def estimates(self) -> Estimates:
        """Free parameters, each once, with their sampling covariances; ``.draws`` gives parameter draws."""
        words = self.options.words if self.levels is None else self.levels.words
        rules, table = restrictions(self.model), estimates_table(self)
        if rules is not None and (held := rules.at_work(self.solution.theta)):
            return HeldEstimates(table, self.vcov, self.options.level, words, held)
        return Estimates(table, self.vcov, self.options.level, words)
