"""Fit a model of two levels, ``level: 1`` within clusters and ``level: 2`` between them, by maximum likelihood."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd

from spc.errors import NonConvergenceError, SingularInformationError, UnsupportedError
from spc.linalg import FloatArray, frozen_array, one_blas_thread
from spc.moments import Moments
from spc.results import Note, Provenance, fingerprint
from spc.sem.engine import diagnose
from spc.sem.engine.joint import Joint, join
from spc.sem.engine.ml import Point
from spc.sem.engine.optimise import Solution
from spc.sem.engine.problem import covariates_of
from spc.sem.engine.restrictions import refuse_restrictions
from spc.sem.engine.start import WAYS, start_values
from spc.sem.inference.scaled import Correction, ratio
from spc.sem.measures import Baseline
from spc.sem.options import Options
from spc.sem.result import Part, SemFit
from spc.sem.twolevel.data import Clusters, clusters_of
from spc.sem.twolevel.inference import Errors, inverse_information, trace_of
from spc.sem.twolevel.likelihood import UnitMoments
from spc.sem.twolevel.maps import Level, Levels
from spc.sem.twolevel.saturated import Covariates, Saturated, free_map, independence, saturated
from spc.sem.twolevel.search import MAX_ITERATIONS, Objective, Search, State, search
from spc.spec.table import Model, blocks

__all__ = ["TwoLevel", "fit_levels"]


_WORDS: dict[Errors, str] = {
    "observed": "observed information",
    "expected": "expected information",
    "robust": "sandwich errors of clusters (observed information)",
}


@dataclass(frozen=True, eq=False)
class RowsJoint(Joint):
    """Both levels over one vector of coordinates; the likelihood counts rows."""

    @property
    def n(self) -> int:
        """Rows of data."""
        return self.problems[0].n

    @property
    def divisor(self) -> int:
        """The same: two-level models know the normal likelihood only."""
        return self.problems[0].n


@dataclass(frozen=True, eq=False)
class TwoLevel:
    """What a fit of two levels knows beyond its parts.

    Attributes
    ----------
    clusters : Clusters
    levels : Levels
        The map from coordinates to moments, in units of ``scale``.
    scale : (p,) array
    best : Saturated
        The free moments behind the test, in units of ``scale``.
    logl, unrestricted_logl : float
        Of the rows, given covariates that are held at their sample moments and appear on one level.
    fmin : float
        Minus the log-likelihood of everything, without its constant, by row.
    df : int
    words : str
        How estimates and errors were had.
    """

    clusters: Clusters
    levels: Levels
    scale: FloatArray
    best: Saturated
    logl: float
    unrestricted_logl: float
    fmin: float
    df: int
    words: str

    @property
    def sizes(self) -> FloatArray:
        """Rows of each cluster (J,)."""
        return self.clusters.units.counts[:, 0]


@dataclass(frozen=True, eq=False)
class _Ready:
    """Data, free moments and models, in the units of the likelihood."""

    model: Model
    parts: tuple[Model, Model]
    clusters: Clusters
    scale: FloatArray
    best: Saturated
    moments: tuple[Moments, Moments]
    system: Joint
    levels: Levels
    objective: Objective
    covariates: Covariates


def fit_levels(model: Model, data: pd.DataFrame | UnitMoments, options: Options) -> SemFit:
    """Fit a model of two levels.

    Parameters
    ----------
    model : Model
        With rows of levels 1 and 2, one group.
    data : DataFrame or UnitMoments
        Rows with the column ``options.cluster``; or the moments of clusters, which are all the likelihood sees.
    options : Options

    Returns
    -------
    SemFit
        With one part a level.

    Raises
    ------
    UnsupportedError
        Another estimator than ML and MLR, groups, ordered items.
    DataError
        See :func:`~spc.sem.twolevel.data.clusters_of`.
    NotIdentifiedError, SingularInformationError, NonConvergenceError
        As for models of one level.

    References
    ----------
    McDonald & Goldstein (1989), British Journal of Mathematical and Statistical Psychology 42, 215-232; Muthen (1994),
    Sociological Methods & Research 22, 376-398; Yuan & Bentler (2000), Sociological Methodology 30, 165-200.
    """
    _check_scope(model, options)
    with one_blas_thread():
        ready = _ready(model, data, options)
        found = _converged(ready)
        return _result(ready, found, options)


def _check_scope(model: Model, options: Options) -> None:
    if len(model.groups) > 1 or options.group is not None or options.group_equal or options.group_partial:
        raise UnsupportedError("Groups of two-level models have no method here: fit the groups one by one.")
    if options.estimator not in ("ML", "MLR"):
        raise UnsupportedError(f"estimator={options.estimator!r} has no method for two levels; 'ML' and 'MLR' have.")
    refuse_restrictions(model, "Two-level models")
    if (options.likelihood, options.engine) != ("normal", "spc"):
        raise UnsupportedError("Two-level models take likelihood='normal' and engine='spc' only.")


def _ready(model: Model, data: pd.DataFrame | UnitMoments, options: Options) -> _Ready:
    within, between = (block.model for block in blocks(model))
    needed = None if options.missing == "listwise" else [*within.exogenous, *between.exogenous]
    clusters = clusters_of(data, (within.observed, between.observed), options.cluster, needed)
    scale = _scale(clusters.units)
    best = saturated(clusters, scale)
    moments = _level_moments(clusters, best, scale)
    joint = join(model, (within, between), moments, "normal")
    assert isinstance(joint, Joint)
    system = RowsJoint(joint.problems)
    one, two = (
        Level(problem, places, problem.scale[: places.size] / scale[places])
        for problem, places in zip(system.problems, (clusters.within, clusters.between), strict=True)
    )
    levels = Levels(one, two, scale.size)
    covariates = Covariates(
        clusters.within[covariates_of(within)], clusters.between[covariates_of(between)],
        bool(within.exogenous or between.exogenous),
    )  # fmt: skip
    objective = Objective(best.data, levels)
    return _Ready(model, (within, between), clusters, scale, best, moments, system, levels, objective, covariates)


def _scale(units: UnitMoments) -> FloatArray:
    """Deviation of each variable, within and between clusters taken together."""
    inside = np.where(units.side >= 0, np.nan_to_num(units.within.diagonal()), 0.0)
    return np.asarray(np.sqrt(inside + np.nanvar(units.means, axis=0)))


def _level_moments(clusters: Clusters, best: Saturated, scale: FloatArray) -> tuple[Moments, Moments]:
    """Free moments of each level as if they were those of a sample, in the user's units."""
    units, mu = clusters.units, best.mu * scale
    square = np.outer(scale, scale)
    found = []
    for places, sigma, n in (
        (clusters.within, best.sigma_w, clusters.rows),
        (clusters.between, best.proper_b, clusters.count),
    ):
        mean = mu[places]
        if n == clusters.rows:
            mean = np.where(np.isin(places, clusters.both), 0.0, mean)
        names = tuple(units.names[i] for i in places)
        found.append(Moments(names, n, mean, (sigma * square)[np.ix_(places, places)] * (n / (n - 1))))
    return found[0], found[1]


def _converged(ready: _Ready) -> Search:
    """The end of a search from one set of start values after another."""
    best: Search | None = None
    for way in WAYS:
        found = search(ready.objective, start_values(ready.system, way))
        if found is not None and found.converged:
            return found
        if found is not None and (best is None or found.value < best.value):
            best = found
    if best is not None:
        _refuse_unidentified(ready, best.x)
    size = float("nan") if best is None else best.decrement
    raise NonConvergenceError(
        f"The two-level likelihood did not come to an end ({MAX_ITERATIONS} steps at most; Newton decrement "
        f"{size:.2g}). Usually the model does not fit a level anywhere near, or clusters are too few for the second "
        "one: name fewer variables there, or give start values."
    )


def _refuse_unidentified(ready: _Ready, x: FloatArray) -> None:
    """Raise where the information is singular at a random point near ``x`` as well."""
    rng = np.random.default_rng(0)
    for spread in (0.1, 0.03, 0.01):
        near = x * (1.0 + spread * rng.standard_normal(x.size)) + 0.1 * spread * rng.standard_normal(x.size)
        state = ready.objective.at(near)
        if state is None:
            continue
        try:
            _inverse(ready, near, state, "expected")
        except SingularInformationError as error:
            raise diagnose.not_identified(error.parameters) from None
        return


def _inverse(ready: _Ready, x: FloatArray, state: State, errors: Errors) -> tuple[FloatArray, FloatArray | None]:
    problem = ready.system.problems[0]
    none_held = np.zeros(x.size, dtype=bool)
    return inverse_information(ready.objective, x, none_held, state, errors, problem.to_theta, problem.place.names)


def _result(ready: _Ready, found: Search, options: Options) -> SemFit:
    system, state = ready.system, ready.objective.at(found.x)
    assert state is not None
    robust = options.estimator == "MLR"
    errors: Errors = "robust" if robust else options.information or "observed"
    try:
        bread, meat = _inverse(ready, found.x, state, errors)
    except SingularInformationError:
        _refuse_unidentified(ready, found.x)
        raise
    facts = _facts(ready, found)
    base = independence(ready.clusters, ready.best, ready.covariates, robust=robust)
    free, at_best = free_map(ready.clusters, ready.best, ready.covariates)
    count = at_best.size
    correction = None
    if meat is not None:
        traces = (float(np.sum(bread * meat)), trace_of(Objective(ready.best.data, free), at_best))
        correction = _correction(traces, base.trace, (found.x.size, base.npar, count))
    chisq = 2.0 * (facts.unrestricted_logl - facts.logl)
    message = f"converged after {found.iterations} steps"
    theta = system.theta(found.x)
    solution = Solution(
        theta, chisq / system.n, float(np.sqrt(found.decrement)), found.iterations, "converged", message
    )
    spread = bread if meat is None else bread @ meat @ bread
    return SemFit(
        model=ready.model,
        parts=_parts(ready, found.x),
        solution=solution,
        vcov=frozen_array(system.spread(spread)),
        baseline=Baseline(max(2.0 * (base.value - ready.best.value), 0.0), count - base.npar),
        options=options,
        provenance=Provenance.record(
            asdict(options), fingerprint(ready.clusters.units.means, ready.clusters.units.pooled)
        ),
        system=system,
        found=_notes(ready, found.x),
        correction=correction,
        levels=replace(facts, df=count - found.x.size, words=f"two-level maximum likelihood, {_WORDS[errors]}"),
    )


def _correction(traces: tuple[float, float], base: float, npar: tuple[int, int, int]) -> Correction:
    model, free = traces
    own, independent, count = npar
    return Correction(
        "yuan_bentler_mplus", free - model, ratio(free - model, count - own), ratio(free - base, count - independent),
        model / own, free / count,
    )  # fmt: skip


def _facts(ready: _Ready, found: Search) -> TwoLevel:
    constant = ready.clusters.constant(ready.scale)
    given = _covariate_logl(ready)
    plain = constant + 0.5 * math.log(2.0 * math.pi) * float(ready.clusters.answered.sum())
    return TwoLevel(
        ready.clusters, ready.levels, frozen_array(ready.scale), ready.best, constant - found.value - given,
        constant - ready.best.value - given, (found.value - plain) / ready.system.n, 0, "",
    )  # fmt: skip


def _covariate_logl(ready: _Ready) -> float:
    """Log-likelihood of the held covariates that appear on one level: what the others are given."""
    clusters, held = ready.clusters, ready.covariates
    if not held.held:
        return 0.0
    total = 0.0
    for own, sigma, n in (
        (held.within, ready.best.sigma_w, clusters.rows),
        (held.between, ready.best.sigma_b, clusters.count),
    ):
        x = np.setdiff1d(own, clusters.both)
        if x.size:
            square = np.outer(ready.scale[x], ready.scale[x])
            height = float(np.linalg.slogdet(sigma[np.ix_(x, x)] * square)[1])
            total -= 0.5 * n * (x.size * (math.log(2.0 * math.pi) + 1.0) + height)
    return total


def _parts(ready: _Ready, x: FloatArray) -> tuple[Part, ...]:
    return tuple(
        Part(model, moments, level.problem, _point(level, x), level=number)
        for number, model, moments, level in zip(
            (1, 2), ready.parts, ready.moments, (ready.levels.within, ready.levels.between), strict=True
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


def _notes(ready: _Ready, x: FloatArray) -> tuple[Note, ...]:
    notes: list[Note] = []
    for number, level in enumerate((ready.levels.within, ready.levels.between), start=1):
        found = diagnose.improper(level.problem.place, level.problem.values(x), level.look(x))
        notes += diagnose.of_level(found, number)
    return (*notes, *ready.clusters.notes)
