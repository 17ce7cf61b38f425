"""Fit a model of two levels, ``level: 1`` within clusters and ``level: 2`` between them, by maximum likelihood."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from spc.errors import NonConvergenceError, SingularInformationError, UnsupportedError
from spc.linalg import FloatArray, frozen_array, one_blas_thread
from spc.results import Note
from spc.sem.completion import completed
from spc.sem.engine import diagnose
from spc.sem.engine.groups import in_group, split
from spc.sem.engine.joint import Joint, join
from spc.sem.engine.ml import Point
from spc.sem.engine.optimise import Solution
from spc.sem.engine.restrictions import Restrictions, restrictions
from spc.sem.engine.start import WAYS, start_values
from spc.sem.feasible import best_within
from spc.sem.inference.robust import few_clusters
from spc.sem.inference.scaled import Correction, ratio
from spc.sem.measures import Baseline
from spc.sem.options import Options
from spc.sem.result import Part, SemFit
from spc.sem.twolevel.group import LevelGroup, Sample, goal_of, mapped, sample_of
from spc.sem.twolevel.inference import Errors, inverse_information, trace_of
from spc.sem.twolevel.likelihood import UnitMoments
from spc.sem.twolevel.maps import Level
from spc.sem.twolevel.objective import levels_objective
from spc.sem.twolevel.saturated import Independence, free_map, independence
from spc.sem.twolevel.search import MAX_ITERATIONS, Goal, Objective, Search, Together, search
from spc.spec.table import Model, blocks

__all__ = ["LevelPart", "RowsJoint", "TwoLevel", "fit_levels", "fit_other"]

FEW_FOR_VARIANCES = 150
"""Clusters below which symmetric intervals of variances between them hold less than they say, by simulation."""

_WORDS: dict[Errors, str] = {
    "observed": "observed information",
    "expected": "expected information",
    "robust": "sandwich errors of clusters (observed information)",
}


@dataclass(frozen=True, eq=False)
class RowsJoint(Joint):
    """Both levels of all groups over one vector of coordinates; the likelihood counts rows."""

    @property
    def n(self) -> int:
        """Rows of data."""
        return sum(problem.n for problem in self.problems[::2])

    @property
    def divisor(self) -> int:
        """The same: two-level models know the normal likelihood only."""
        return self.n


@dataclass(frozen=True, eq=False)
class LevelPart(Part):
    """A level of a group."""

    @property
    def key(self) -> str | tuple[str, ...]:
        """The level; label of the group and level where there are groups."""
        return (self.group, str(self.level)) if self.group else str(self.level)

    @property
    def title(self) -> str:
        """The same in words."""
        return f"{self.group}, level {self.level}" if self.group else f"level {self.level}"


@dataclass(frozen=True, eq=False)
class TwoLevel:
    """What a fit of two levels knows beyond its parts.

    Attributes
    ----------
    groups : tuple of LevelGroup
        One where there are no groups; each has two of the parts.
    logl, unrestricted_logl : float
        Of the rows, given covariates that are held at their sample moments and appear on one level.
    fmin : float
        Minus the log-likelihood of everything, without its constant, by row.
    df : int
    words : str
        How estimates and errors were had.
    """

    groups: tuple[LevelGroup, ...]
    logl: float
    unrestricted_logl: float
    fmin: float
    df: int
    words: str

    @property
    def count(self) -> int:
        """Clusters of all groups."""
        return sum(group.sample.clusters.count for group in self.groups)

    @property
    def goal(self) -> Together:
        """Minus the log-likelihood over the coordinates of the fit."""
        return goal_of(self.groups)

    def goal_over(self, system: Joint) -> Together:
        """The same over the coordinates of another system of these parts, such as that before constraints."""
        return goal_of(mapped([group.sample for group in self.groups], system.problems))

    @property
    def least(self) -> float:
        """Minus the log-likelihood of the free moments, up to constants."""
        return sum(group.sample.best.value for group in self.groups)


@dataclass(frozen=True, eq=False)
class _Ready:
    """Data, free moments and models, in the units of the likelihood."""

    model: Model
    samples: tuple[Sample, ...]
    system: RowsJoint

    @property
    def goal(self) -> Together:
        return goal_of(mapped(self.samples, self.system.problems))


@dataclass(frozen=True, eq=False)
class _End:
    """Where the search ended, and the coordinates it is in: laid along constraints, where there are any."""

    system: RowsJoint
    groups: tuple[LevelGroup, ...]
    search: Search
    notes: tuple[Note, ...]


def fit_levels(model: Model | str, data: pd.DataFrame | UnitMoments, options: Options) -> SemFit:
    """Fit a model of two levels.

    Parameters
    ----------
    model : Model or str
        With rows of levels 1 and 2.
    data : DataFrame or UnitMoments; or a list or mapping of frames, one a group
        Rows with the column ``options.cluster``; or the moments of clusters, which are all the likelihood sees.
    options : Options

    Returns
    -------
    SemFit
        With one part a level, group after group.

    Raises
    ------
    UnsupportedError
        Another estimator than ML and MLR, ordered items.
    DataError
        See :func:`~spc.sem.twolevel.data.clusters_of`.
    NotIdentifiedError, SingularInformationError, NonConvergenceError
        As for models of one level.

    References
    ----------
    McDonald & Goldstein (1989), British Journal of Mathematical and Statistical Psychology 42, 215-232; Muthen (1994),
    Sociological Methods & Research 22, 376-398; Yuan & Bentler (2000), Sociological Methodology 30, 165-200.
    """
    _check_scope(options)
    with one_blas_thread():
        return _searched(_ready(model, data, options), options)


def fit_other(fit: SemFit, model: Model) -> SemFit:
    """Another model of the same variables on the same levels, fitted to the clusters of a fit.

    Parameters
    ----------
    fit : SemFit
        Of two levels.
    model : Model
        Its groups and levels are those of the fit, and on each level its variables.

    Raises
    ------
    NotIdentifiedError, SingularInformationError, NonConvergenceError
        See :func:`fit_levels`.
    """
    assert fit.levels is not None
    every, samples = blocks(model), []
    for group, within, between in zip(fit.levels.groups, every[::2], every[1::2], strict=True):
        clusters = group.sample.clusters
        inner, outer = (
            np.array([clusters.names.index(name) for name in block.model.observed], dtype=np.intp)
            for block in (within, between)
        )
        moved = replace(clusters, within=inner, between=outer)
        samples.append(replace(group.sample, models=(within.model, between.model), clusters=moved))
    with one_blas_thread():
        return _searched(_laid(model, samples), fit.options)


def _searched(ready: _Ready, options: Options) -> SemFit:
    rules = restrictions(ready.model)
    return _result(ready, _converged(ready) if rules is None else _within(ready, rules), options)


def _check_scope(options: Options) -> None:
    if options.estimator not in ("ML", "MLR"):
        raise UnsupportedError(f"estimator={options.estimator!r} has no method for two levels; 'ML' and 'MLR' have.")
    if (options.likelihood, options.engine) != ("normal", "spc"):
        raise UnsupportedError("Two-level models take likelihood='normal' and engine='spc' only.")


def _ready(model: Model | str, data: Any, options: Options) -> _Ready:
    groups = split(data, options.group)
    made = completed(model, groups, options)
    data_of, every = {group.label: group.data for group in groups}, blocks(made)
    samples = []
    for within, between in zip(every[::2], every[1::2], strict=True):
        label = made.groups[within.group - 1] if len(groups) > 1 else ""
        with in_group(label):
            samples.append(sample_of(
                label, (within.model, between.model), data_of[label], options.cluster,
                listwise=options.missing == "listwise",
            ))  # fmt: skip
    return _laid(made, samples)


def _laid(model: Model, samples: Sequence[Sample]) -> _Ready:
    moments = [one for sample in samples for one in sample.moments]
    labels = [sample.label for sample in samples for _ in range(2)]
    joint = join(model, [own for sample in samples for own in sample.models], moments, "normal", labels)
    assert isinstance(joint, Joint)
    return _Ready(model, tuple(samples), RowsJoint(joint.problems))


def _converged(ready: _Ready) -> _End:
    """The end of a search from one set of start values after another."""
    best: Search | None = None
    for way in WAYS:
        found = search(ready.goal, start_values(ready.system, way))
        if found is not None and found.converged:
            return _End(ready.system, mapped(ready.samples, ready.system.problems), found, ())
        if found is not None and (best is None or found.value < best.value):
            best = found
    if best is not None:
        _refuse_unidentified(ready.goal, ready.system, best.x)
    if best is not None and best.adrift is not None:
        raise _run_off(ready.system, best.adrift)
    size = float("nan") if best is None else best.decrement
    raise NonConvergenceError(
        f"The two-level likelihood did not come to an end ({MAX_ITERATIONS} steps at most; Newton decrement "
        f"{size:.2g}). Usually the model does not fit a level anywhere near, or clusters are too few for the second "
        "one: name fewer variables there, or give start values."
    )


def _run_off(system: RowsJoint, adrift: FloatArray) -> NonConvergenceError:
    """Error that names the parameters that run off while the likelihood hardly rises."""
    far = np.abs(adrift) > 0.3 * np.abs(adrift).max()
    moved = np.any(system.problems[0].to_theta[:, far] != 0.0, axis=1)
    names = [name for name, here in zip(system.names, moved.tolist(), strict=True) if here]
    return NonConvergenceError(
        f"The two-level likelihood has no maximum that could be found: it rises ever less while {', '.join(names)} run "
        "off without end. Usually a latent variable hardly differs among clusters, so that its loadings mean nothing: "
        "leave it out, merge it with another one, or hold its loadings equal to those within clusters.",
        None,
        names,
    )


def _within(ready: _Ready, rules: Restrictions) -> _End:
    """The end of a search under constraints that are not linear, in coordinates along them."""
    goal, system = ready.goal, ready.system
    least = sum(sample.best.value for sample in ready.samples)
    found = best_within(system, rules, levels_objective(goal, system.n, least), observed=True)
    moved = found.system
    assert isinstance(moved, RowsJoint)
    x = found.end.x
    value = least + 0.5 * system.n * found.end.value
    decrement = found.end.decrement * system.n
    end = Search(x, value, decrement, found.end.iterations, True, np.zeros(x.size, dtype=bool))
    return _End(moved, mapped(ready.samples, moved.problems), end, found.notes)


def _refuse_unidentified(goal: Goal, system: RowsJoint, x: FloatArray) -> None:
    """Raise where the information is singular at a random point near ``x`` as well."""
    rng = np.random.default_rng(0)
    for spread in (0.1, 0.03, 0.01):
        near = x * (1.0 + spread * rng.standard_normal(x.size)) + 0.1 * spread * rng.standard_normal(x.size)
        state = goal.at(near)
        if state is None:
            continue
        try:
            _inverse(goal, system, near, state, "expected")
        except SingularInformationError as error:
            raise diagnose.not_identified(error.parameters) from None
        return


def _inverse(
    goal: Goal, system: RowsJoint, x: FloatArray, state: Any, errors: Errors
) -> tuple[FloatArray, FloatArray | None]:
    problem = system.problems[0]
    none_held = np.zeros(x.size, dtype=bool)
    return inverse_information(goal, x, none_held, state, errors, problem.to_theta, problem.place.names)


def _spread(end: _End, errors: Errors) -> tuple[FloatArray, float]:
    """Sampling covariances of the coordinates, and the trace behind the scaling where they are robust."""
    goal, x = goal_of(end.groups), end.search.x
    state = goal.at(x)
    assert state is not None
    try:
        bread, meat = _inverse(goal, end.system, x, state, errors)
    except SingularInformationError:
        _refuse_unidentified(goal, end.system, x)
        raise
    if meat is None:
        return bread, math.nan
    return bread @ meat @ bread, float(np.sum(bread * meat))


def _result(ready: _Ready, end: _End, options: Options) -> SemFit:
    system, samples = end.system, ready.samples
    robust = options.estimator == "MLR"
    errors: Errors = "robust" if robust else options.information or "observed"
    spread, trace = _spread(end, errors)
    facts = _facts(end)
    base = [independence(one.clusters, one.best, one.covariates, robust=robust) for one in samples]
    free = [free_map(one.clusters, one.best, one.covariates) for one in samples]
    count = sum(at_best.size for _, at_best in free)
    correction = None
    if robust:
        each = zip(samples, free, strict=True)
        best = sum(trace_of(Objective(one.best.data, line), at_best) for one, (line, at_best) in each)
        correction = _correction((trace, best), base, (system.npar, count))
    chisq = 2.0 * (facts.unrestricted_logl - facts.logl)
    solution = Solution(
        system.theta(end.search.x), chisq / system.n, float(np.sqrt(end.search.decrement)), end.search.iterations,
        "converged", f"converged after {end.search.iterations} steps",
    )  # fmt: skip
    gap = sum(one.value for one in base) - sum(one.best.value for one in samples)
    return SemFit(
        model=ready.model,
        parts=_parts(end),
        solution=solution,
        vcov=frozen_array(system.spread(spread)),
        baseline=Baseline(max(2.0 * gap, 0.0), count - sum(one.npar for one in base)),
        options=options,
        system=system,
        found=(*_notes(end), *end.notes, *_few(samples, options)),
        correction=correction,
        levels=replace(facts, df=count - system.npar, words=f"two-level maximum likelihood, {_WORDS[errors]}"),
        seen=tuple(array for one in samples for array in (one.clusters.units.means, one.clusters.units.pooled)),
    )


def _correction(traces: tuple[float, float], base: Sequence[Independence], npar: tuple[int, int]) -> Correction:
    (model, free), (own, count) = traces, npar
    independent, apart = sum(one.npar for one in base), sum(one.trace for one in base)
    return Correction(
        "yuan_bentler_mplus", free - model, ratio(free - model, count - own), ratio(free - apart, count - independent),
        model / own, free / count,
    )  # fmt: skip


def _facts(end: _End) -> TwoLevel:
    samples = [group.sample for group in end.groups]
    constant = sum(one.clusters.constant(one.scale) for one in samples)
    given = sum(one.covariate_logl for one in samples)
    answered = sum(float(one.clusters.answered.sum()) for one in samples)
    plain = constant + 0.5 * math.log(2.0 * math.pi) * answered
    best = sum(one.best.value for one in samples)
    return TwoLevel(
        end.groups, constant - end.search.value - given, constant - best - given,
        (end.search.value - plain) / end.system.n, 0, "",
    )  # fmt: skip


def _parts(end: _End) -> tuple[Part, ...]:
    return tuple(
        LevelPart(model, moments, level.problem, _point(level, end.search.x), group.sample.label, number)
        for group in end.groups
        for number, model, moments, level in zip(
            (1, 2), group.sample.models, group.sample.moments, (group.levels.within, group.levels.between), strict=True
        )
    )


def _point(level: Level, x: FloatArray) -> Point:
    """Moments that a level implies; the inverse is NaN where they are no covariance matrix."""
    at, n = level.look(x), level.places.size
    sigma = at.covariance[:n, :n]
    sign, height = np.linalg.slogdet(sigma)
    inverse = np.asarray(np.linalg.inv(sigma) if sign > 0 else np.full_like(sigma, np.nan), dtype=np.float64)
    sample = level.problem.sample
    residual = None if sample.mean is None else sample.mean - at.mean[:n]
    return Point(math.nan, at, inverse, float(height) if sign > 0 else math.nan, residual)


def _notes(end: _End) -> tuple[Note, ...]:
    notes: list[Note] = []
    for group in end.groups:
        for number, level in enumerate((group.levels.within, group.levels.between), start=1):
            x = end.search.x
            found = diagnose.improper(level.problem.place, level.problem.values(x), level.look(x))
            notes += diagnose.of_level(diagnose.of_group(found, group.sample.label), number)
    for group in end.groups:
        notes += diagnose.of_group(group.sample.clusters.notes, group.sample.label)
    return tuple(notes)


def _few(samples: Sequence[Sample], options: Options) -> tuple[Note, ...]:
    """What few clusters mean for errors, said of the group that has fewest."""
    fewest = min(sample.clusters.count for sample in samples)
    if fewest >= FEW_FOR_VARIANCES:
        return ()
    robust = options.estimator == "MLR"
    said: list[Note] = list(few_clusters(options.cluster or "clusters", fewest)) if robust else []
    form = "robust_variances" if robust else "variances"
    said.append(
        Note.of("few_clusters", "info", "variances between clusters", form, clusters=fewest, enough=FEW_FOR_VARIANCES)
    )
    return tuple(said)
