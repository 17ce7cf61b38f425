"""Fit a model of what units differ in to respondents nested in them, by maximum likelihood.

The model structures ``sigma_b``; means and the covariances within units are free. Variances of units stay above a small
bound. Standard errors come from the observed information, the expected one, or the sandwich of the units' scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from spc.errors import NonConvergenceError, SingularInformationError, UnsupportedError
from spc.linalg import FloatArray, frozen_array, one_blas_thread, vech
from spc.moments import Moments
from spc.sem.optimise import Solution
from spc.sem.problem import Problem, prepare
from spc.sem.ram import IntArray
from spc.sem.start import start_values
from spc.sem.twolevel import Patterns, UnitMoments, require_replies
from spc.sem.twolevel_between import Free, Structured, begin, mean_shares, positive_definite, structured
from spc.sem.twolevel_search import MAX_ITERATIONS, Objective, Search, State, search
from spc.spec import model as read_model
from spc.spec.table import Model

__all__ = ["Errors", "TwoLevelFit", "fit_two_level", "independence_chisq"]

BoolArray = npt.NDArray[np.bool_]
Errors = Literal["observed", "expected", "robust"]

_SINGULAR = 1e-12


@dataclass(frozen=True, eq=False)
class TwoLevelFit:
    """A model of units, fitted to respondents nested in them.

    Attributes
    ----------
    model : Model
        Of what units differ in.
    units : UnitMoments
        On the user's scale.
    solution : Solution
        Free parameters of the model in the user's units; ``value`` is minus the log-likelihood.
    vcov : (q, q) array
        Their sampling covariances; NaN for parameters held at a bound.
    mu : (p,) array
        Means.
    mu_vcov : (p, p) array
    sigma_b, sigma_w : (p, p) arrays
        Covariances of units as the model implies them, and within units.
    variances_vcov : (2p, 2p) array
        Sampling covariances of the diagonals of ``sigma_b`` and ``sigma_w``, one after the other.
    within_error : (p, p) array
        Standard errors of ``sigma_w``.
    bounded : tuple of str
        Variances of units that ended at their lower bound.
    logl : float
    unrestricted_logl : float
        With ``sigma_b`` free; NaN where that could not be fitted.
    free_sigma_b : (p, p) array
        The covariances of units behind it; NaN where there are none.
    npar, df : int
    scaling : float
        Divides the chi-square where errors are robust (Yuan-Bentler); else 1.
    errors : {"observed", "expected", "robust"}
    problem : Problem
        The model in balanced units.
    """

    model: Model
    units: UnitMoments
    solution: Solution
    vcov: FloatArray
    mu: FloatArray
    mu_vcov: FloatArray
    sigma_b: FloatArray
    sigma_w: FloatArray
    variances_vcov: FloatArray
    within_error: FloatArray
    bounded: tuple[str, ...]
    logl: float
    unrestricted_logl: float
    free_sigma_b: FloatArray
    npar: int
    df: int
    scaling: float
    errors: Errors
    problem: Problem

    def __post_init__(self) -> None:
        for name in ("vcov", "mu", "mu_vcov", "sigma_b", "sigma_w", "variances_vcov", "within_error", "free_sigma_b"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))

    @property
    def values(self) -> FloatArray:
        """Values of all rows of the model's table, in the user's units."""
        return self.problem.row_values(self.solution.theta)

    @property
    def chisq(self) -> float:
        """Likelihood-ratio test of the model of units against free covariances of units; scaled where robust."""
        return max(2.0 * (self.unrestricted_logl - self.logl), 0.0) / self.scaling


def independence_chisq(fit: TwoLevelFit) -> tuple[float, int]:
    """Chi-square and degrees of freedom of the model in which nothing covaries among units: the baseline of CFI."""
    names, p = fit.units.names, len(fit.units.names)
    text = "\n".join(f"`{name}` ~~ `{name}`" for name in names)
    alone = fit_two_level(read_model(text, fixed_x=False), fit.units, test=False)
    return max(2.0 * (fit.unrestricted_logl - alone.logl), 0.0), p * (p - 1) // 2


def fit_two_level(model: Model, units: UnitMoments, *, errors: Errors = "observed", test: bool = True) -> TwoLevelFit:
    """Fit a model of units by maximum likelihood, means and covariances within units free.

    Parameters
    ----------
    model : Model
        Without intercepts, and with ``fixed_x=False``; its observed variables are those of ``units``, in any order.
    units : UnitMoments
    errors : {"observed", "expected", "robust"}
        Information the standard errors come from; ``"robust"`` is the sandwich of units' scores.
    test : bool
        Fit free covariances of units too, for the chi-square.

    Returns
    -------
    TwoLevelFit

    Raises
    ------
    UnsupportedError
        Intercepts in the model, or an unknown kind of errors.
    DataError
        Too few units, or a side whose units have one respondent each.
    NonConvergenceError, SingularInformationError
        The likelihood has no maximum that could be found, or is flat there.
    """
    if errors not in get_args(Errors):
        raise UnsupportedError(f"errors={errors!r}; use one of {', '.join(map(repr, get_args(Errors)))}.")
    require_replies(units)
    with one_blas_thread():
        ready = _ready(model, units)
        found = _converged(ready.objective, ready.start)
        saturated = _saturated(ready, found) if test else None
        return _result(model, units, ready, found, saturated, errors)


@dataclass(frozen=True, eq=False)
class _Ready:
    """Balanced units, model and start values."""

    problem: Problem
    centre: FloatArray
    scale: FloatArray
    objective: Objective
    start: FloatArray


def _ready(model: Model, units: UnitMoments) -> _Ready:
    if model.meanstructure:
        raise UnsupportedError("Means of units are always free in a two-level fit: leave intercepts out of the model.")
    order = _order(units, model.observed)
    units = _ordered(units, order)
    present, centre = units.present, np.nanmean(units.means, axis=0)
    first = _moment_start(units)
    problem = prepare(model, Moments(units.names, max(int(present.sum(axis=0).min()), 0), None, first), "normal")
    scale = problem.scale[: order.size]
    balanced = units.balanced(centre, scale)
    between = structured(problem, balanced)
    objective = Objective(balanced, Patterns.find(balanced), between)
    within = vech(balanced.within)[vech(units.own.astype(float)) > 0]
    t = begin(between, start_values(problem))
    return _Ready(problem, centre, scale, objective, np.concatenate([np.zeros(order.size), t, within]))


def _order(units: UnitMoments, names: Sequence[str]) -> IntArray:
    return np.array([units.names.index(name) for name in names], dtype=np.intp)


def _ordered(units: UnitMoments, order: IntArray) -> UnitMoments:
    if np.array_equal(order, np.arange(len(units.names))):
        return units
    return UnitMoments(
        tuple(units.names[i] for i in order), units.sides, units.side[order], units.counts, units.means[:, order],
        units.scatter[:, order[:, None], order],
    )  # fmt: skip


def _moment_start(units: UnitMoments) -> FloatArray:
    """Covariances of units by moments: of the means, pairwise, less what sampling of respondents adds."""
    here = units.present.astype(float)
    apart = np.where(units.present, units.means - np.nanmean(units.means, axis=0), 0.0)
    total = (apart.T @ apart) / np.maximum(here.T @ here, 1.0)
    between = total - np.where(units.own, units.within, 0.0) * mean_shares(units)
    variance = np.maximum(between.diagonal(), 0.15 * total.diagonal())
    root = np.sqrt(np.where(variance > 0.0, variance, 1.0))
    correlation = np.clip(between / np.outer(root, root), -0.9, 0.9)
    np.fill_diagonal(correlation, 1.0)
    values, vectors = np.linalg.eigh(correlation)
    correlation = vectors * np.maximum(values, 0.05) @ vectors.T
    again = np.sqrt(variance / correlation.diagonal())
    return np.asarray(correlation * np.outer(again, again))


def _converged(objective: Objective, start: FloatArray) -> Search:
    found = search(objective, start)
    if found is None or not found.converged:
        mu, _, w = objective.split(start)
        again = np.concatenate([mu, np.where(np.isfinite(objective.between.lower), 1.0, 0.0), w])
        found = search(objective, again) or found
    if found is None or not found.converged:
        size = float("nan") if found is None else found.decrement
        raise NonConvergenceError(
            f"The two-level likelihood did not come to an end ({MAX_ITERATIONS} steps at most; Newton decrement "
            f"{size:.2g}). Use fewer variables or links, or more units."
        )
    return found


def _saturated(ready: _Ready, structured: Search) -> tuple[Objective, Search] | None:
    """Free covariances of units, from where the model ended."""
    mu, t, w = ready.objective.split(structured.x)
    objective = replace(ready.objective, between=Free(mu.size))
    root = np.asarray(np.linalg.cholesky(positive_definite(ready.objective.between.at(t)[0])), dtype=np.float64)
    found = search(objective, np.concatenate([mu, vech(root), w]))
    return None if found is None or not found.converged else (objective, found)


def _result(
    model: Model,
    given: UnitMoments,
    ready: _Ready,
    found: Search,
    saturated: tuple[Objective, Search] | None,
    errors: Errors,
) -> TwoLevelFit:
    objective, problem, scale = ready.objective, ready.problem, ready.scale
    p, spread = scale.size, np.outer(scale, scale)
    mu, t, w = objective.split(found.x)
    state = objective.at(found.x)
    assert state is not None
    bread, meat = _inverse_information(objective, found, state, errors, problem)
    cov = bread if meat is None else bread @ meat @ bread
    table, held = slice(p, p + t.size), found.held[p : p + t.size]
    constant, df = _constant(objective.units, scale), p * (p + 1) // 2 - t.size
    logl, inner = constant - found.value, objective.inside
    to_variances = _to_variances(state.slopes, inner, scale)
    between = objective.between
    assert isinstance(between, Structured)
    theta, size, turn = problem.theta(between.table(t)), float(np.sqrt(found.decrement)), between.turn(t)
    return TwoLevelFit(
        model=model,
        units=_ordered(given, _order(given, objective.units.names)),
        solution=Solution(theta, -logl, size, found.iterations, "converged", "The search came to its end."),
        vcov=_table_vcov(problem, turn @ cov[table, table] @ turn.T, held),
        mu=ready.centre + scale * mu,
        mu_vcov=cov[:p, :p] * spread,
        sigma_b=between.at(t)[0] * spread,
        sigma_w=(inner @ w).reshape(p, p) * spread,
        variances_vcov=to_variances @ cov @ to_variances.T,
        within_error=(inner @ np.sqrt(cov[table.stop :, table.stop :].diagonal())).reshape(p, p) * spread,
        bounded=_bounded(problem, held),
        logl=logl,
        unrestricted_logl=float("nan") if saturated is None else constant - saturated[1].value,
        free_sigma_b=_free_sigma(saturated, spread),
        npar=int(found.x.size),
        df=df,
        scaling=_scaling(saturated, bread, meat, df),
        errors=errors,
        problem=problem,
    )


def _free_sigma(saturated: tuple[Objective, Search] | None, spread: FloatArray) -> FloatArray:
    if saturated is None:
        return np.full_like(spread, np.nan)
    objective, found = saturated
    return objective.between.at(objective.split(found.x)[1])[0] * spread


def _to_variances(slopes: FloatArray, inner: FloatArray, scale: FloatArray) -> FloatArray:
    """Derivatives of the variances of units, then within them, on all coordinates: (2p, k)."""
    p, k = scale.size, slopes.shape[1]
    diagonal, square = np.arange(p) * (p + 1), scale[:, None] ** 2
    slope = np.zeros((2 * p, p + k + inner.shape[1]))
    slope[:p, p : p + k] = slopes[diagonal] * square
    slope[p:, p + k :] = inner[diagonal] * square
    return slope


def _table_vcov(problem: Problem, cov: FloatArray, held: BoolArray) -> FloatArray:
    table = problem.spread(cov)
    at_bound = problem.to_theta[:, held].any(axis=1)
    table[at_bound] = table[:, at_bound] = np.nan
    return table


def _bounded(problem: Problem, held: BoolArray) -> tuple[str, ...]:
    place = problem.place
    rows = [row for k, row in enumerate(problem.active) if place.diagonal[row] and problem.map[k, held].any()]
    return tuple(place.variables[place.row[row]] for row in rows)


def _inverse_information(
    objective: Objective,
    found: Search,
    state: State,
    errors: Errors,
    problem: Problem | None = None,
) -> tuple[FloatArray, FloatArray | None]:
    """Inverse information, zero for held coordinates, and the cross-products of the units' scores where robust."""
    free = ~found.held
    matrix = objective.information(found.x, state, expected=errors == "expected")[np.ix_(free, free)]
    unit = np.sqrt(np.abs(matrix.diagonal()))
    values, vectors = np.linalg.eigh(matrix / np.outer(unit, unit))
    if values[0] < _SINGULAR:
        raise SingularInformationError(_flat(objective, free, vectors[:, 0], problem))
    inverse = np.zeros((free.size, free.size))
    inverse[np.ix_(free, free)] = vectors / values @ vectors.T / np.outer(unit, unit)
    if errors != "robust":
        return inverse, None
    scores = objective.scores(found.x, state)
    return inverse, scores.T @ scores


def _flat(objective: Objective, free: BoolArray, direction: FloatArray, problem: Problem | None) -> str:
    p, k = len(objective.units.names), objective.between.lower.size
    whole = np.zeros(free.size)
    whole[free] = direction
    involved = ""
    if problem is not None:
        heavy = np.any(problem.to_theta[:, np.abs(whole[p : p + k]) > 0.3] != 0.0, axis=1)
        names = [name for name, use in zip(problem.place.names, heavy.tolist(), strict=True) if use]
        involved = f" in the direction of {', '.join(names)}" if names else ""
    return (
        f"The likelihood is flat{involved}, so there are no standard errors. "
        "Units do not differ enough in a cause of these links; leave it out, or take more units."
    )


def _scaling(saturated: tuple[Objective, Search] | None, bread: FloatArray, meat: FloatArray | None, df: int) -> float:
    """Scaling factor of the chi-square by Yuan & Bentler, in Mplus's form: traces of free and structured model."""
    if meat is None or saturated is None or df == 0:
        return 1.0
    objective, found = saturated
    state = objective.at(found.x)
    assert state is not None
    try:
        free_bread, free_meat = _inverse_information(objective, found, state, "robust")
    except SingularInformationError:
        return float("nan")
    assert free_meat is not None
    scale = (float(np.sum(free_bread * free_meat)) - float(np.sum(bread * meat))) / df
    return scale if scale > 0.0 else float("nan")


def _constant(units: UnitMoments, scale: FloatArray) -> float:
    """What the log-likelihood on the user's scale has beyond minus the objective."""
    counts = np.where(units.side >= 0, units.counts[:, units.side], 1.0) * units.present
    roots = np.where((units.side >= 0) & units.present, np.log(np.maximum(counts, 1.0)), 0.0)
    return float(-(counts.sum(axis=0) @ (0.5 * np.log(2.0 * np.pi) + np.log(scale))) - 0.5 * roots.sum())
