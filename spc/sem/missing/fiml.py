"""Full-information maximum likelihood: a model fitted to every answer, rows with missing answers included.

The model's means and covariances are estimated without the model first (:mod:`spc.sem.missing.saturated`). A
complete-data fit to these is where the search begins; their expected information is its metric until the observed
information of the model takes over, which is also what standard errors come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from spc.errors import DataError, NonConvergenceError, NotPositiveDefiniteError
from spc.linalg import FloatArray, vech
from spc.moments import Patterns
from spc.results import Note
from spc.sem.engine.diagnose import no_start
from spc.sem.engine.joint import State, System, problems_of, shares_of
from spc.sem.engine.ml import Point, bend
from spc.sem.engine.optimise import Search
from spc.sem.engine.problem import Problem
from spc.sem.engine.ram import Implied, IntArray, directions, implied
from spc.sem.missing.incomplete import (
    Incomplete,
    Likelihood,
    curvature_in_moments,
    information_in_moments,
    lay_out,
    likelihood,
)
from spc.sem.missing.saturated import Saturated, available_moments, logl, saturated, supported
from spc.spec.table import Model
from spc.words import phrase

__all__ = [
    "Answered", "Answers", "Spot", "climb", "covariate_logl", "evaluate", "independence_chisq", "jacobian_of",
    "metric_of", "observed_information", "point_of", "score", "unrestricted", "usable",
]  # fmt: skip

TOLERANCE = 1e-15
LOW_COVERAGE = 0.10
_MAX_STEPS, _NEAR, _SLOW, _SLACK = 200, 1e-4, 0.2, 1e-12
_LEAST, _MOST = 1e-5, 1e12


@dataclass(frozen=True, eq=False)
class Answers:
    """What was fitted under ``missing="fiml"``.

    Attributes
    ----------
    patterns : Patterns
        Of the rows used, in the order of the model's variables.
    logl : float
        Log-likelihood of the model.
    unrestricted_logl : float
        Log-likelihood of unrestricted means and covariances; NaN where these have no maximum.
    covariates : float
        The part of both that belongs to covariates held at their sample moments.
    rows : Patterns or None
        Every row apart, where errors and tests allow for data that are not normal.
    cluster : (N,) int array or None
        Number of the cluster of each of these rows.
    """

    patterns: Patterns
    logl: float
    unrestricted_logl: float
    covariates: float
    rows: Patterns | None = None
    cluster: IntArray | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Spot:
    """The likelihood of the answers at some values of the model."""

    at: Implied
    found: Likelihood


def usable(patterns: Patterns, model: Model, given: int) -> tuple[Patterns, tuple[Note, ...]]:
    """Rows that a fit can use, and what must be said about the others.

    Rows without any answer have nothing to say. Covariates held at their sample moments must be known, as in lavaan;
    ``fixed_x=False`` models them with the rest and keeps such rows.

    Raises
    ------
    DataError
        Not more rows than variables are left.
    """
    kept = patterns.answering(model.exogenous)
    if kept.rows <= len(kept.names):
        raise DataError.of(
            "data", None, "too_few_rows", f"{kept.rows} rows with answers to {len(kept.names)} variables",
            f"more than {len(kept.names)} rows",
            "Check for columns that are empty; name fewer variables or model scale scores in place of items.",
        )  # fmt: skip
    notes = [*_left_out(patterns, kept, model, given), *_missing_shares(kept), *_thin_pairs(kept)]
    return kept, tuple(notes)


def _left_out(patterns: Patterns, kept: Patterns, model: Model, given: int) -> list[Note]:
    unknown = patterns.rows - kept.rows
    if given == kept.rows:
        return []
    parts = []
    if patterns.empty:
        parts.append(phrase("note.dropped_part.empty", rows=patterns.empty))
    if unknown:
        parts.append(phrase("note.dropped_part.covariate", rows=unknown, names=model.exogenous))
    told = {"dropped": given - kept.rows, "rows": given, "left": kept.rows}
    return [Note.of("dropped_rows", "warning", "data", "missing", parts=parts, **told)]


def _missing_shares(patterns: Patterns) -> list[Note]:
    share = 1.0 - patterns.coverage().diagonal()
    some = [(name, part) for name, part in zip(patterns.names, share, strict=True) if part > 0.0]
    if not some:
        return []
    worst = sorted(some, key=lambda one: -one[1])
    shares = [phrase("note.named_share", name=name, share=float(part)) for name, part in worst]
    return [Note.of("missing_answers", "info", "data", rows=patterns.rows, shares=shares)]


def _thin_pairs(patterns: Patterns) -> list[Note]:
    coverage = patterns.coverage()
    pairs = np.nonzero(np.triu(coverage < LOW_COVERAGE))
    if not pairs[0].size:
        return []
    order = np.argsort(coverage[pairs], kind="stable")[:6]
    told = [
        phrase("note.covered_pair", one=patterns.names[i], other=patterns.names[j], share=float(coverage[i, j]))
        for i, j in zip(pairs[0][order], pairs[1][order], strict=True)
    ]
    more = int(pairs[0].size - order.size)
    if more:
        return [Note.of("low_coverage", "warning", "data", "some", bar=LOW_COVERAGE, pairs=told, more=more)]
    return [Note.of("low_coverage", "warning", "data", "all", bar=LOW_COVERAGE, pairs=told)]


def unrestricted(patterns: Patterns) -> tuple[Saturated, tuple[Note, ...]]:
    """Saturated moments; or, where answers are too few for any to be best, a place to start from and a note.

    Raises
    ------
    DataError
        See :func:`~spc.sem.missing.saturated.saturated`.
    NotPositiveDefiniteError
        The variables are linearly dependent.
    """
    try:
        return saturated(patterns), ()
    except (NotPositiveDefiniteError, NonConvergenceError):
        complete = float(patterns.n[np.all(patterns.observed, axis=1)].sum())
        if complete > 2 * len(patterns.names):
            raise
    told = {"complete": complete, "rows": patterns.rows, "variables": len(patterns.names)}
    return supported(patterns), (Note.of("no_saturated_moments", "warning", "data", **told),)


def evaluate(problem: Problem, data: Incomplete, x: FloatArray) -> Spot | None:
    """Likelihood of the answers at coordinates ``x``; None where the model implies no covariance matrix there."""
    try:
        at = implied(problem.place, problem.values(x))
    except np.linalg.LinAlgError:
        return None
    p = problem.place.n_observed
    found = likelihood(data, at.mean[:p], at.covariance[:p, :p])
    return None if found is None else Spot(at, found)


def score(problem: Problem, spot: Spot) -> FloatArray:
    """Minus half of the gradient of F in coordinates, for one row of data."""
    way = directions(problem.place, spot.at, problem.active, problem.place.n_observed)
    result = np.einsum("ij,ij->j", way.p, spot.found.tension @ way.q)
    if way.mu is not None:
        result += spot.found.pull @ way.mu
    return np.asarray(result if problem.plain else problem.map.T @ result)


def jacobian_of(problem: Problem, spot: Spot) -> FloatArray:
    """Derivatives of means, then of ``vech(sigma)``, in coordinates."""
    p = problem.place.n_observed
    way = directions(problem.place, spot.at, problem.active, p)
    columns, rows = np.triu_indices(p)
    moments = way.p[rows] * way.q[columns] + way.q[rows] * way.p[columns]
    means = np.zeros_like(way.p) if way.mu is None else way.mu
    both = np.concatenate([means, moments])
    return both if problem.plain else both @ problem.map


def observed_information(problem: Problem, data: Incomplete, spot: Spot) -> FloatArray:
    """Half of the Hessian of F in coordinates, for one row of data."""
    jacobian = jacobian_of(problem, spot)
    curl = bend(problem.place, spot.at, spot.found.tension, spot.found.pull, problem.active)
    if not problem.plain:
        curl = problem.map.T @ curl @ problem.map
    result = jacobian.T @ curvature_in_moments(data, spot.found) @ jacobian - curl
    return np.asarray(0.5 * (result + result.T))


@dataclass(frozen=True, eq=False, slots=True)
class Answered:
    """Answers of one block, and the best unrestricted moments."""

    patterns: Patterns
    without: Saturated


@dataclass(frozen=True, eq=False, slots=True)
class _Blocks:
    """Blocks laid out for the likelihood, each with its weight in F."""

    problems: tuple[Problem, ...]
    data: tuple[Incomplete, ...]
    shares: FloatArray

    def look(self, x: FloatArray) -> tuple[float, tuple[Spot, ...]] | None:
        spots, value = [], 0.0
        for problem, data, share in zip(self.problems, self.data, self.shares, strict=True):
            spot = evaluate(problem, data, x)
            if spot is None:
                return None
            spots.append(spot)
            value += float(share) * spot.found.value
        return value, tuple(spots)

    def score(self, spots: tuple[Spot, ...]) -> FloatArray:
        parts = zip(self.shares, self.problems, spots, strict=True)
        return np.asarray(sum(share * score(problem, spot) for share, problem, spot in parts))

    def observed_information(self, spots: tuple[Spot, ...]) -> FloatArray:
        parts = zip(self.shares, self.problems, self.data, spots, strict=True)
        return np.asarray(
            sum(share * observed_information(problem, data, spot) for share, problem, data, spot in parts)
        )

    def projected(self, spots: tuple[Spot, ...], shapes: Sequence[FloatArray]) -> FloatArray:
        parts = zip(self.shares, self.problems, spots, shapes, strict=True)
        return np.asarray(sum(share * _projected(problem, spot, shape) for share, problem, spot, shape in parts))


def climb(system: System, answered: Sequence[Answered], start: FloatArray, *, errors: bool = True) -> Search:
    """Maximise the likelihood of the answers from ``start``.

    Parameters
    ----------
    system : Problem or Joint
        Of the saturated moments.
    answered : sequence of Answered
        One a block.
    start : (k,) array
        Coordinates, usually of a complete-data fit to the saturated moments.
    errors : bool
        Whether the information must be that of the estimates, as standard errors ask.

    Returns
    -------
    Search
        ``information`` is the observed one; ``value`` is F less that of the saturated moments.

    Raises
    ------
    NotPositiveDefiniteError
        The model implies no covariance matrix at ``start``.
    """
    problems = problems_of(system)
    data = tuple(
        lay_out(one.patterns, problem.scale[: problem.place.n_observed])
        for problem, one in zip(problems, answered, strict=True)
    )
    blocks = _Blocks(problems, data, shares_of(system))
    found = blocks.look(start)
    if found is None:
        raise no_start(system)
    value, spots = found
    each = zip(answered, problems, data, strict=True)
    shapes = [metric_of(one.without, problem, there) for one, problem, there in each]
    x, damper, last, fresh = start, 0.0, np.inf, False
    information: FloatArray | None = None
    iteration = 0
    while True:
        gradient = blocks.score(spots)
        metric = information if information is not None else blocks.projected(spots, shapes)
        step, used = _solved(metric, gradient, damper)
        decrement = float(gradient @ step)
        slow = decrement > _SLOW * last and not fresh
        if iteration < _MAX_STEPS and (slow or (decrement < _NEAR and information is None)):
            information, fresh, last, damper = blocks.observed_information(spots), True, np.inf, 0.0
            continue
        converged = decrement < TOLERANCE and used <= 1.0
        if converged or iteration >= _MAX_STEPS or used > _MOST:
            break
        iteration += 1
        share, trial = _along(blocks, value, x, step)
        if trial is None:
            damper = max(10.0 * used, _LEAST)
            continue
        x, (value, spots), fresh, last = x + share * step, trial, False, decrement
        damper = 0.0 if used <= _LEAST else used / 10.0
    if information is None or (errors and not fresh):
        information = blocks.observed_information(spots)
    points = tuple(point_of(*part) for part in zip(problems, spots, answered, strict=True))
    total = float(blocks.shares @ [point.value for point in points])
    return Search(x, State(total, points), information, max(decrement, 0.0), iteration, converged)


def metric_of(without: Saturated, problem: Problem, data: Incomplete) -> FloatArray:
    """Expected information of means and covariances at the saturated moments, in units of the problem."""
    p = problem.place.n_observed
    if without.information is None:
        return information_in_moments(data, np.asarray(np.linalg.inv(problem.sample.cov)))
    ratio = problem.scale[:p] / without.scale
    unit = np.concatenate([ratio, vech(np.outer(ratio, ratio))])
    return np.asarray(without.information * np.outer(unit, unit))


def _projected(problem: Problem, spot: Spot, shape: FloatArray) -> FloatArray:
    jacobian = jacobian_of(problem, spot)
    return np.asarray(jacobian.T @ shape @ jacobian)


def _solved(metric: FloatArray, gradient: FloatArray, damper: float) -> tuple[FloatArray, float]:
    """Solve for the step, damping as much as it takes to be solvable; the step and the damper used."""
    if not gradient.size:
        return gradient, 0.0
    diagonal = np.abs(metric.diagonal())
    diagonal = np.maximum(diagonal, 1e-12 * max(float(diagonal.max()), 1e-300))
    while damper <= _MOST:
        factor, fault = dpotrf(metric + np.diag(damper * diagonal) if damper else metric, lower=1)
        if not fault:
            return np.asarray(dpotrs(factor, gradient, lower=1)[0]), damper
        damper = max(10.0 * damper, _LEAST)
    return gradient / diagonal, damper


def _along(
    blocks: _Blocks, value: float, x: FloatArray, step: FloatArray
) -> tuple[float, tuple[float, tuple[Spot, ...]] | None]:
    """The first of the whole step, a half, a quarter, an eighth that does not raise F; None if none of them."""
    for share in (1.0, 0.5, 0.25, 0.125):
        trial = blocks.look(x + share * step)
        if trial is not None and trial[0] <= value + _SLACK:
            return share, trial
    return 0.0, None


def point_of(problem: Problem, spot: Spot, answered: Answered) -> Point:
    """The end of a search in one block; ``value`` is F less that of the saturated moments."""
    p, n = problem.place.n_observed, float(answered.patterns.n.sum())
    reached = logl(answered.patterns, spot.found.value, problem.scale[:p])
    value = 2.0 * (answered.without.logl - reached) / n
    mean = problem.sample.mean
    gap = None if mean is None else mean - spot.at.mean[:p]
    return Point(value, spot.at, spot.found.inverse, spot.found.log_det, gap)


def independence_chisq(patterns: Patterns, without: Saturated, covariates: IntArray) -> float:
    """Chi-square of the model in which nothing covaries but the covariates among themselves."""
    outcomes = np.setdiff1d(np.arange(len(patterns.names)), covariates)
    variances = available_moments(patterns)[1][outcomes]
    answers = (patterns.n @ patterns.observed)[outcomes]
    apart = -0.5 * float(answers @ (np.log(2.0 * np.pi * variances) + 1.0))
    return max(2.0 * (without.logl - apart - covariate_logl(patterns, covariates)), 0.0)


def covariate_logl(patterns: Patterns, covariates: IntArray) -> float:
    """Log-likelihood of the answers to the covariates alone."""
    if not covariates.size:
        return 0.0
    return saturated(patterns.restrict([patterns.names[i] for i in covariates])).logl
