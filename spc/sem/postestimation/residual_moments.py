"""Residuals of the moments of every group of a fit, and how they vary from sample to sample.

With ``s_g`` the stacked moments of group g, ``D_g`` the derivatives of the implied ones, ``V_g`` the weights of the
estimator and ``w_g`` the share of the group, the estimates move as ``dx = I^-1 sum_h w_h D_h' V_h ds_h`` with
``I = sum_h w_h D_h' V_h D_h``, and the residuals of group g as ``ds_g - D_g dx``: with the moments of all groups that
share parameters with it. How the ``s_g`` vary is taken from the normal distribution, from the rows, or from the
covariances that the estimator knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import UnsupportedError, UsageError
from spc.linalg import FloatArray, duplication, vech
from spc.sem.engine.joint import shares_of
from spc.sem.engine.ml import Point
from spc.sem.engine.problem import Problem
from spc.sem.engine.ram import IntArray
from spc.sem.inference.casewise import Loads
from spc.sem.inference.robust import complete_rows, evidence
from spc.sem.missing.fiml import Answers
from spc.sem.missing.fiml_robust import rows_apart, single_rows
from spc.sem.missing.incomplete import curvature_in_moments, lay_out, likelihood, variation_in_moments
from spc.sem.ordinal.problem import OrdinalProblem, implied_statistics
from spc.sem.ordinal.problem import slopes as ordinal_slopes
from spc.sem.resampling.boot_rows import in_groups, numbered, rows_of
from spc.sem.weighted import normal_covariances, residual_moments, row_covariances, slopes

if TYPE_CHECKING:
    from spc.sem.result import Part, SemFit

__all__ = ["Residuals", "none_at_zero", "residual_spaces", "with_spread"]

_ZERO = 1e-9
"""Residuals in balanced units below this are none: they are fitted exactly."""


@dataclass(frozen=True, eq=False, slots=True)
class Residuals:
    """Moments of one group, or of one of its levels, in balanced units: m of them, over k coordinates.

    Attributes
    ----------
    group : str
    n, variables : int
        Rows, or clusters, and observed variables.
    lhs, op, rhs : sequence of str
        What each moment is, as in a parameter table.
    first, second : (m,) int arrays
        Variables of each covariance; -1 for other moments.
    unit : (m,) array
        Balanced moment times this is in the user's units.
    deviation : (m,) array
        What brings a balanced moment to standard deviations of the sample.
    sample, implied, residual : (m,) arrays
    counted : (m,) array of bool
        Whether summaries count it: not slopes on covariates, nor means beside ordered items.
    noise : (m, m) array
        Sampling covariances of the sample moments; zero for those of covariates held at their sample values.
    weight : (m, m) array
        Of the estimator, for one row of the group; from :func:`with_spread` for one of all groups.
    slopes : (m, k) array
    spread : (m, m) array
        Sampling covariances of the residuals.
    level : int
    least : float
        Share of the variation of a moment that must be left in its residual for this to have an error of its own.
    """

    group: str
    n: int
    variables: int
    lhs: Sequence[str]
    op: Sequence[str]
    rhs: Sequence[str]
    first: IntArray
    second: IntArray
    unit: FloatArray
    deviation: FloatArray
    sample: FloatArray
    implied: FloatArray
    residual: FloatArray
    counted: npt.NDArray[np.bool_]
    noise: FloatArray
    weight: FloatArray
    slopes: FloatArray
    spread: FloatArray
    level: int = 1
    least: float = 0.0

    @property
    def variances(self) -> FloatArray:
        """Of the residuals (m,); NaN where next to nothing of the moment's variation is left."""
        own = self.spread.diagonal()
        return np.where(own >= self.least * self.noise.diagonal(), own, np.nan)

    @property
    def pairs(self) -> IntArray:
        """Positions of the covariances, variances among them."""
        return np.flatnonzero(self.first >= 0)


def residual_spaces(fit: SemFit, data: pd.DataFrame | None) -> list[Residuals]:
    """Residuals of each group with their sampling covariances.

    Raises
    ------
    UsageError
        Robust errors, and no rows to take them from.
    UnsupportedError
        Rows for a fit of moments, or too few rows for unrestricted moments.
    """
    rows = _rows(fit, data)
    alone = [_alone(fit, part, rows.get(part.group)) for part in fit.parts]
    each = zip(alone, shares_of(fit.system), strict=True)
    return with_spread([replace(one, weight=share * one.weight) for one, share in each])


def with_spread(groups: Sequence[Residuals]) -> list[Residuals]:
    """Groups with the sampling covariances of their residuals, from the noise and the weights of all of them.

    The weights are of all rows together, so that they add up over groups.
    """
    pulls = [one.slopes.T @ one.weight for one in groups]
    information = np.sum([pull @ one.slopes for pull, one in zip(pulls, groups, strict=True)], axis=0)
    if not information.size:
        return [replace(one, spread=one.noise) for one in groups]
    moves = [np.linalg.solve(information, pull) for pull in pulls]
    return [replace(one, spread=_spread(one, groups, moves)) for one in groups]


def _spread(one: Residuals, groups: Sequence[Residuals], moves: Sequence[FloatArray]) -> FloatArray:
    """What the moments of every group do to the residuals of one."""
    total = np.zeros_like(one.noise)
    for other, move in zip(groups, moves, strict=True):
        through = -one.slopes @ move
        if other is one:
            through += np.eye(len(through))
        total += through @ other.noise @ through.T
    return total


def _is_robust(fit: SemFit) -> bool:
    return fit.options.cluster is not None or fit.options.estimator in ("MLM", "MLR")


def _rows(fit: SemFit, data: pd.DataFrame | None) -> dict[str, pd.DataFrame]:
    if not _is_robust(fit) or (data is None and all(part.observed.higher is not None for part in fit.parts)):
        return {}
    if data is None:
        raise UsageError("Errors of residuals that do not rest on normality need the rows again: misfit(fit, data).")
    frame = numbered(data, "Give the rows.")
    rows_of(fit, frame, None)
    return {part.group: own for part, own in in_groups(fit, frame)}


def _alone(fit: SemFit, part: Part, rows: pd.DataFrame | None) -> Residuals:
    """A group by itself; ``spread`` is still to come."""
    if isinstance(part.problem, OrdinalProblem):
        return _of_ordered(fit, part, part.problem)
    problem, at = part.problem, part.point.at
    means = problem.place.n_observed if problem.place.meanstructure else 0
    noise, weight = _noise_and_weight(fit, part, rows)
    held = _held(problem, means)
    residual = residual_moments(problem, at)
    p, names = problem.place.n_observed, problem.place.observed
    second, first = np.triu_indices(p)
    mu = at.mean[:means]
    implied = np.concatenate([mu, vech(at.covariance[:p, :p])])
    scale, none = problem.scale[:p], np.full(means, -1, dtype=np.intp)
    root = np.sqrt(problem.sample.cov.diagonal())
    over = 1.0 / (root[first] * root[second])
    return Residuals(
        part.group, problem.n, p,
        [*names[:means], *(names[i] for i in second)], [*["~1"] * means, *["~~"] * first.size],
        [*[""] * means, *(names[i] for i in first)],
        np.concatenate([none, first]), np.concatenate([none, second]),
        np.concatenate([scale[:means], scale[first] * scale[second]]),
        np.concatenate([1.0 / root[:means], over]),
        implied + residual, implied, none_at_zero(residual), np.ones(residual.size, dtype=bool),
        _given(noise, held), weight, slopes(problem, at), noise,
    )  # fmt: skip


def none_at_zero(residual: FloatArray) -> FloatArray:
    """Residuals that are no more than rounding are none."""
    return np.where(np.abs(residual) < _ZERO, 0.0, residual)


def _noise_and_weight(fit: SemFit, part: Part, rows: pd.DataFrame | None) -> tuple[FloatArray, FloatArray]:
    """Sampling covariances of the moments (m, m), and the weights of the estimator."""
    problem, point = part.problem, part.point
    means = problem.place.meanstructure
    if part.answers is not None:
        return _of_answers(fit, part, part.answers, rows)
    if part.weight is not None:
        if part.weight.method == "GLS" or part.observed.higher is None:
            gamma = normal_covariances(problem.sample.cov, means=means)
        else:
            gamma = row_covariances(part.weight.method, problem, part.observed)
        root = part.weight.apply(np.eye(len(gamma)))
        return gamma / problem.n, part.weight.constant * root.T @ root
    if _is_robust(fit):
        observed = fit.options.estimator == "MLR" or fit.options.cluster is not None
        return _of_rows(fit, part, rows) / problem.n, _normal_weight(problem, point, observed=observed)
    noise = normal_covariances(problem.sample.cov, means=means) / problem.divisor
    return noise, _normal_weight(problem, point, observed=False)


def _normal_weight(problem: Problem, point: Point, *, observed: bool) -> FloatArray:
    """Information on the moments that the model implies: expected, or half of the Hessian of F in them."""
    inverse, double = point.inverse, duplication(len(point.inverse))
    gap = point.residual_mean if point.residual_mean is not None else np.zeros(len(inverse))
    sample = problem.sample.cov + np.outer(gap, gap)
    inner = np.kron(inverse @ sample @ inverse, inverse) if observed else np.kron(inverse, inverse)
    whole = double.T @ (inner - 0.5 * np.kron(inverse, inverse)) @ double
    if not problem.place.meanstructure:
        return 0.5 * np.asarray(whole + whole.T)
    across = np.kron(inverse @ gap, inverse) @ double * observed
    return np.block([[inverse, across], [across.T, 0.5 * (whole + whole.T)]])


def _of_rows(fit: SemFit, part: Part, rows: pd.DataFrame | None) -> FloatArray:
    """Covariances of the moments of one row, as the rows have them; with clusters those of their sums."""
    problem, p = part.problem, part.problem.place.n_observed
    known = evidence(
        problem, *complete_rows(part.observed if rows is None else rows, part.model.observed, fit.options.cluster)
    )
    second, first = np.triu_indices(p)
    unit, means = np.eye(p), p if problem.place.meanstructure else 0
    none = np.zeros((p, means))
    left, right = (np.hstack([none, unit[:, at]]) for at in (first, second))
    mean = np.hstack([unit[:, :means], np.zeros((p, first.size))])
    held = bool(problem.place.exogenous.size)
    return known.meat(Loads(left, right, mean if means else None), None, given_x=held)


def _of_answers(fit: SemFit, part: Part, answers: Answers, rows: pd.DataFrame | None) -> tuple[FloatArray, FloatArray]:
    """From the observed information on the moments, given who answered what: at the unrestricted and implied ones."""
    problem, at, sample = part.problem, part.point.at, part.problem.sample
    if np.isnan(answers.unrestricted_logl):
        raise UnsupportedError("Too few rows answer all variables for unrestricted moments, so there are no residuals.")
    assert sample.mean is not None
    p, scale = problem.place.n_observed, problem.scale[: problem.place.n_observed]
    data = lay_out(answers.patterns, scale)
    best, model = likelihood(data, sample.mean, sample.cov), likelihood(data, at.mean[:p], at.covariance[:p, :p])
    assert best is not None
    assert model is not None
    noise = np.linalg.inv(curvature_in_moments(data, best))
    if rows is not None:
        values, cluster = single_rows(rows, part.model, fit.options.cluster)
        single = lay_out(rows_apart(part.model.observed, values), scale)
        each = likelihood(single, sample.mean, sample.cov)
        assert each is not None
        noise = noise @ variation_in_moments(single, each, cluster) @ noise
    return noise / problem.n, curvature_in_moments(data, model)


def _held(problem: Problem, means: int) -> IntArray:
    """Places of the moments of covariates held at their sample values."""
    p, exogenous = problem.place.n_observed, problem.place.exogenous
    second, first = np.triu_indices(p)
    inside = np.isin(first, exogenous) & np.isin(second, exogenous)
    return np.flatnonzero(np.concatenate([np.isin(np.arange(means), exogenous), inside]))


def _given(spread: FloatArray, held: IntArray) -> FloatArray:
    """Covariances given the values of some, which may have none already."""
    if not held.size:
        return spread
    own = spread[np.ix_(held, held)]
    found = spread.copy()
    if own.diagonal().any():
        found -= spread[:, held] @ np.linalg.solve(own, spread[held])
    found[held] = 0.0
    found[:, held] = 0.0
    return found


def _of_ordered(fit: SemFit, part: Part, problem: OrdinalProblem) -> Residuals:
    """Thresholds, means and variances of continuous variables, slopes on covariates, then covariances of pairs."""
    sampled, values = problem.sampled, problem.values(fit.system.coordinates(fit.solution.theta))
    at = problem.conditional(values)
    implied = implied_statistics(problem, values, at)
    residual = problem.statistics - implied
    names, q = sampled.names, sampled.continuous
    number = [f"t{k}" for size in sampled.sizes for k in range(1, size)]
    second, first = np.triu_indices(len(names), 1)
    slope = [(name, covariate) for name in names for covariate in sampled.covariates]
    own, none = [names[i] for i in q], np.full(problem.unit.size - q.size - first.size, -1, dtype=np.intp)
    before, between = sampled.threshold.size + q.size, len(slope)
    lhs = [*(names[i] for i in sampled.owner), *own, *own, *(a for a, _ in slope), *(names[i] for i in second)]
    op = [*["|"] * len(number), *["~1"] * q.size, *["~~"] * q.size, *["~"] * between, *["~~"] * first.size]
    rhs = [*number, *[""] * q.size, *own, *(b for _, b in slope), *(names[i] for i in first)]
    weigh = problem.weigh(np.eye(problem.unit.size))
    root = np.sqrt(sampled.cov.diagonal())
    x_root = np.sqrt(sampled.covariate_cov.diagonal())
    sizes = np.concatenate([
        np.ones(sampled.threshold.size), root[q], root[q] ** 2,
        (root[:, None] / x_root).ravel() if between else np.empty(0), root[first] * root[second],
    ])  # fmt: skip
    first, second = (np.concatenate([none[:before], q, none[before:], one]) for one in (first, second))
    return Residuals(
        part.group, problem.n, problem.place.n_observed, lhs, op, rhs, first, second, problem.unit,
        problem.unit / sizes, problem.statistics, implied, none_at_zero(residual), ~np.isin(op, ["~", "~1"]),
        problem.gamma / problem.n, weigh.T @ weigh, ordinal_slopes(problem, values, at), problem.gamma,
    )  # fmt: skip
