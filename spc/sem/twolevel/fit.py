"""Fit a model of what units differ in to respondents nested in them, by maximum likelihood.

The model structures ``sigma_b``; means and the covariances within units are free. Variances of units stay above a small
bound. Standard errors come from the observed information, the expected one, or the sandwich of the units' scores. What
is known before the data (:mod:`spc.sem.twolevel.prior`) is added to the log-likelihood, and to the information; tests
of fit are of the likelihood alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from spc.errors import NonConvergenceError, UnsupportedError
from spc.linalg import FloatArray, frozen_array, one_blas_thread
from spc.moments import Moments
from spc.sem.engine.optimise import Solution
from spc.sem.engine.problem import Problem, prepare
from spc.sem.engine.ram import IntArray
from spc.sem.engine.start import start_values
from spc.sem.inference.fitmeasures import likelihood_ratio
from spc.sem.inference.scaled import ratio
from spc.sem.twolevel.answers import AnswerMoments
from spc.sem.twolevel.between import FreeWithin, Penalty, Structured, begin, mean_shares, moment_start, structured
from spc.sem.twolevel.inference import Errors, free_moments, inverse_information, log_constant, trace_of
from spc.sem.twolevel.likelihood import UnitMoments, require_replies
from spc.sem.twolevel.maps import Spot
from spc.sem.twolevel.membership import evidence
from spc.sem.twolevel.prior import Known, boundary_of, known_links
from spc.sem.twolevel.search import MAX_ITERATIONS, Objective, Search, State, search
from spc.sem.twolevel.tied import Tied, tied
from spc.spec import model as read_model
from spc.spec.table import Model

__all__ = ["Errors", "Latent", "TwoLevelFit", "Within", "fit_two_level", "independence_chisq", "objective_of"]

BoolArray = npt.NDArray[np.bool_]
Within = Literal["free", "tied", "alone"]


@dataclass(frozen=True, eq=False)
class Latent:
    """Constructs whose loadings hold on both levels.

    Attributes
    ----------
    names : tuple of str
    between, within : (m,) arrays
        Their variances, of units and within them.
    vcov : (2m, 2m) array
        Sampling covariances of these, one after the other.
    cross : (m, p) array
        Their covariances with what units differ in.
    """

    names: tuple[str, ...]
    between: FloatArray
    within: FloatArray
    vcov: FloatArray
    cross: FloatArray


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
        Variances of units that ended at their lower bound, or would by the likelihood alone.
    logl : float
        Without what was known before.
    peak : float
        The highest that the model's log-likelihood gets; ``logl`` where nothing was known before, or where no end was
        found.
    alone : (q,) array
        Free parameters there.
    unrestricted_logl : float
        With ``sigma_b`` free; NaN where that could not be fitted, or is below ``peak``, so that it tests nothing.
    free_sigma_b : (p, p) array
        The covariances of units behind it; NaN where there are none.
    npar, df : int
    scaling : float
        Divides the chi-square where errors are robust (Yuan-Bentler); else 1.
    errors : {"observed", "expected", "robust"}
    problem : Problem
        The model in balanced units.
    boundary : bool
        Variances of units in causes are kept off zero.
    known : tuple of Known
        Priors of links.
    within : {"free", "tied", "alone"}
        What covariances within units are: free, by the loadings of the constructs of units, or zero beside variances.
    latent : Latent or None
        The constructs, where their loadings hold within units.
    x : (k,) array
        Coordinates at which the search ended.
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
    peak: float
    alone: FloatArray
    unrestricted_logl: float
    free_sigma_b: FloatArray
    npar: int
    df: int
    scaling: float
    errors: Errors
    problem: Problem
    boundary: bool = False
    known: tuple[Known, ...] = ()
    within: Within = "free"
    latent: Latent | None = None
    x: FloatArray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        for name in ("vcov", "mu", "mu_vcov", "sigma_b", "sigma_w", "variances_vcov", "within_error", "free_sigma_b",
                     "alone", "x"):  # fmt: skip
            object.__setattr__(self, name, frozen_array(getattr(self, name)))

    @property
    def values(self) -> FloatArray:
        """Values of all rows of the model's table, in the user's units."""
        return self.problem.row_values(self.solution.theta)

    @property
    def chisq(self) -> float:
        """Likelihood-ratio test of the model of units against free covariances of units; scaled where robust.

        NaN where ``unrestricted_logl`` is.
        """
        return likelihood_ratio(self.unrestricted_logl, self.peak) / self.scaling

    @property
    def chisq_corrected(self) -> float:
        """:attr:`chisq` for few units.

        Bartlett's factor for covariances (1950, British Journal of Statistical Psychology 3, 77-85) takes
        ``(2p + 11) / 6`` of the units away. Where respondents are sampled, part of what means of units vary by is known
        from within the units, and the factor counts that much less: it is weighted by the mean squared reliability of
        the means. In simulations the test then rejects 1 to 8 % of true chains at 5 %.
        """
        p, share = len(self.mu), mean_shares(self.units)
        between = self.sigma_b.diagonal()
        reliability = between / (between + self.sigma_w.diagonal() * share)
        lost = (2.0 * p + 11.0) / 6.0 * float((reliability**2).mean())
        return self.chisq * max(1.0 - lost / len(self.units.counts), 0.0)


def independence_chisq(fit: TwoLevelFit) -> tuple[float, int]:
    """Chi-square and degrees of freedom of the model in which nothing covaries among units: the baseline of CFI.

    Nor within them, where the model has something to say of that.
    """
    names, p = fit.units.names, len(fit.units.names)
    text = "\n".join(f"`{name}` ~~ `{name}`" for name in names)
    within: Within = "alone" if fit.within == "tied" else "free"
    alone = fit_two_level(read_model(text, fixed_x=False), fit.units, test=False, within=within)
    inside = int(np.tril(fit.units.own, -1).sum()) if within == "alone" else 0
    return likelihood_ratio(fit.unrestricted_logl, alone.peak), p * (p - 1) // 2 + inside


def fit_two_level(
    model: Model,
    units: UnitMoments,
    *,
    errors: Errors = "observed",
    test: bool = True,
    boundary: bool = False,
    known: Sequence[Known] = (),
    within: Within = "free",
) -> TwoLevelFit:
    """Fit a model of units by maximum likelihood, means and, unless told otherwise, covariances within units free.

    Parameters
    ----------
    model : Model
        Without intercepts, and with ``fixed_x=False``; its observed variables are those of ``units``, in any order.
    units : UnitMoments
    errors : {"observed", "expected", "robust"}
        Information the standard errors come from; ``"robust"`` is the sandwich of units' scores.
    test : bool
        Fit free covariances of units too, for the chi-square, and the model without what is known before.
    boundary : bool
        Keep the variances of units in causes off zero by a weak prior.
    known : sequence of Known
        Normal priors of standardised links.
    within : {"free", "tied", "alone"}
        Covariances within units: free, by the loadings of the constructs of units, or zero beside variances.

    Returns
    -------
    TwoLevelFit

    Raises
    ------
    UnsupportedError
        Intercepts in the model, an unknown kind of errors, or no items whose loadings could hold within units.
    DataError
        Too few units, or a side whose units have one respondent each.
    NonConvergenceError, SingularInformationError
        The likelihood has no maximum that could be found, or is flat there.
    """
    if errors not in get_args(Errors):
        raise UnsupportedError(f"errors={errors!r}; use one of {', '.join(map(repr, get_args(Errors)))}.")
    require_replies(units)
    with one_blas_thread():
        ready = _ready(model, units, boundary=boundary, known=known, within=within)
        found = _converged(ready)
        alone = _alone(ready, found) if test and ready.map.penalties else found
        saturated = _saturated(ready, found, (alone or found).value) if test else None
        fit = _result(model, units, ready, found, alone, saturated, errors)
        return replace(fit, boundary=boundary, known=tuple(known), within=within)


@dataclass(frozen=True, eq=False)
class _Ready:
    """Balanced units, model and start values."""

    units: UnitMoments
    problem: Problem
    centre: FloatArray
    scale: FloatArray
    map: FreeWithin
    objective: Objective
    start: FloatArray


def _ready(
    model: Model, units: UnitMoments, *, boundary: bool, known: Sequence[Known], within: Within = "free"
) -> _Ready:
    if model.meanstructure:
        raise UnsupportedError("Means of units are always free in a two-level fit: leave intercepts out of the model.")
    order = _order(units, model.observed)
    units = _ordered(units, order)
    present, centre = units.present, np.nanmean(units.means, axis=0)
    first = moment_start(units)
    problem = prepare(model, Moments(units.names, max(int(present.sum(axis=0).min()), 0), None, first), "normal")
    scale = problem.scale[: order.size]
    balanced = units.balanced(centre, scale)
    between = structured(problem, balanced)
    kept = boundary_of(problem.place, balanced.side, _reliability(units, first)) if boundary else ()
    penalties: tuple[Penalty, ...] = (*kept, *known_links(problem.place, known))
    t = begin(between, start_values(problem))
    free: FreeWithin
    if within == "tied":
        free = tied(between, balanced, penalties)
        t = free.begin(t, balanced.within)
    else:
        own = balanced.own if within == "free" else balanced.own & np.eye(order.size, dtype=bool)
        free = FreeWithin(between, own, np.arange(order.size), penalties)
    start = free.join(np.zeros(order.size), t, balanced.within)
    objective = Objective(evidence(balanced), free)
    return _Ready(balanced, problem, centre, scale, free, objective, start)


def _reliability(units: UnitMoments, between: FloatArray) -> FloatArray:
    """Of the unit means of each variable, (p,), where units covary by ``between``."""
    signal = between.diagonal()
    return np.asarray(signal / (signal + np.nan_to_num(units.within.diagonal()) * mean_shares(units)))


def objective_of(fit: TwoLevelFit) -> Objective:
    """What the search of a fit lowered."""
    ready = _ready(fit.model, fit.units, boundary=fit.boundary, known=fit.known, within=fit.within)
    return ready.objective


def _order(units: UnitMoments, names: Sequence[str]) -> IntArray:
    return np.array([units.names.index(name) for name in names], dtype=np.intp)


def _ordered(units: UnitMoments, order: IntArray) -> UnitMoments:
    return units if np.array_equal(order, np.arange(len(units.names))) else units.ordered(order)


def _converged(ready: _Ready) -> Search:
    found = search(ready.objective, ready.start)
    if found is None or not found.converged:
        p, lower = ready.scale.size, ready.map.between.lower
        again, table = ready.start.copy(), slice(p, p + lower.size)
        loadings = (ready.problem.map[ready.problem.place.loading[ready.problem.active]] != 0.0).any(axis=0)
        again[table] = np.where(loadings, again[table], np.where(np.isfinite(lower), 1.0, 0.0))
        found = search(ready.objective, again) or found
    if found is None or not found.converged:
        size = float("nan") if found is None else found.decrement
        raise NonConvergenceError(
            f"The two-level likelihood did not come to an end ({MAX_ITERATIONS} steps at most; Newton decrement "
            f"{size:.2g}). Use fewer variables or links, or more units."
        )
    return found


def _alone(ready: _Ready, penalised: Search) -> Search | None:
    """The maximum of the likelihood alone, from where the search with what is known before ended."""
    found = search(Objective(ready.objective.data, replace(ready.map, penalties=())), penalised.x)
    return found if found is not None and found.converged else None


def _saturated(ready: _Ready, structured: Search, least: float) -> tuple[Objective, Search] | None:
    """Free covariances of units, from where the model ended, or from their moments; None where the model is likelier.

    ``least`` is the model's own minimum.
    """
    data, own, members = ready.objective.data, ready.units.own, ready.map.members
    spot, units = _state(ready.objective, structured.x).spot, ready.units
    near = (spot.mu, spot.sigma_b, spot.sigma_w)
    for start in (near, (np.zeros(spot.mu.size), moment_start(units), units.within)):
        found = free_moments(data, own, members, *start)
        if found is not None and not math.isnan(likelihood_ratio(-found[1].value, -least)):
            return found
    return None


def _state(objective: Objective, x: FloatArray) -> State:
    state = objective.at(x)
    assert state is not None
    return state


def _result(
    model: Model,
    given: UnitMoments,
    ready: _Ready,
    found: Search,
    alone: Search | None,
    saturated: tuple[Objective, Search] | None,
    errors: Errors,
) -> TwoLevelFit:
    objective, problem, scale = ready.objective, ready.problem, ready.scale
    p, spread = scale.size, np.outer(scale, scale)
    t, state = ready.map.split(found.x)[1], _state(objective, found.x)
    spot, between, table = state.spot, ready.map.between, slice(p, p + t.size)
    assert isinstance(between, Structured)
    to_theta = np.pad(problem.to_theta @ between.turn(t), ((0, 0), (p, found.x.size - table.stop)))
    bread, meat = inverse_information(
        objective, found.x, found.held, state, errors, to_theta, problem.place.names
    )  # fmt: skip
    cov = bread if meat is None else bread @ meat @ bread
    held, best = found.held[table], found if alone is None else alone
    constant, free = _constant(ready.units, scale), p + p * (p + 1) // 2 + int(np.tril(ready.units.own).sum())
    df, logl, turn = free - found.x.size, constant - found.value, between.turn(t)
    to_variances = _to_variances(spot, scale)
    size = float(np.sqrt(found.decrement))
    return TwoLevelFit(
        model=model,
        units=_ordered(given, _order(given, ready.units.names)),
        solution=Solution(
            problem.theta(between.table(t)), -logl, size, found.iterations, "converged", "The search came to its end."
        ),
        vcov=_table_vcov(problem, turn @ cov[table, table] @ turn.T, held),
        mu=ready.centre + scale * spot.mu,
        mu_vcov=cov[:p, :p] * spread,
        sigma_b=spot.sigma_b * spread,
        sigma_w=spot.sigma_w * spread,
        variances_vcov=to_variances @ cov @ to_variances.T,
        within_error=np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", spot.d_w, cov, spot.d_w), 0.0)).reshape(p, p) * spread,
        bounded=_bounded(problem, held | best.held[table]),
        logl=logl,
        peak=constant - best.value,
        alone=problem.theta(between.table(ready.map.split(best.x)[1])),
        unrestricted_logl=float("nan") if saturated is None else constant - saturated[1].value,
        free_sigma_b=_free_sigma(saturated, spread),
        npar=int(found.x.size),
        df=df,
        scaling=1.0 if meat is None or saturated is None else _scaling(saturated, float(np.sum(bread * meat)), df),
        errors=errors,
        problem=problem,
        latent=_latent(ready, found.x, cov) if isinstance(ready.map, Tied) else None,
        x=found.x,
    )


def _latent(ready: _Ready, x: FloatArray, cov: FloatArray) -> Latent:
    """Variances of the constructs of a tied map on both levels."""
    free, place = ready.map, ready.problem.place
    assert isinstance(free, Tied)
    _, t, w = free.split(x)
    sigma, slopes = free.structure.whole(t)
    n, v = place.n_observed, len(place.variables)
    at = n + free.measured
    scale = ready.problem.scale
    square = scale[at] ** 2
    jacobian = np.zeros((2 * at.size, x.size))
    jacobian[: at.size, n : n + t.size] = slopes[at * (v + 1)] * square[:, None]
    inside = free.basis[np.arange(at.size), np.arange(at.size)] * square[:, None]
    jacobian[at.size :, n + t.size : n + t.size + inside.shape[1]] = inside
    cross = sigma[np.ix_(at, np.arange(n))] * np.outer(scale[at], scale[:n])
    return Latent(
        tuple(place.variables[i] for i in at), sigma[at, at] * square, inside @ w[: inside.shape[1]],
        jacobian @ cov @ jacobian.T, cross,
    )  # fmt: skip


def _constant(units: UnitMoments, scale: FloatArray) -> float:
    """What the log-likelihood in the user's units has beyond minus the objective in units of ``scale`` (p,)."""
    if isinstance(units, AnswerMoments):
        return -float(units.answers.answered @ (0.5 * np.log(2.0 * np.pi) + np.log(scale[units.places])))
    return log_constant(units, scale)


def _scaling(saturated: tuple[Objective, Search], trace: float, df: int) -> float:
    """Scaling factor of the chi-square by Yuan & Bentler, in Mplus's form: traces of free and structured model."""
    return ratio(trace_of(saturated[0], saturated[1].x) - trace, df) if df else 1.0


def _free_sigma(saturated: tuple[Objective, Search] | None, spread: FloatArray) -> FloatArray:
    if saturated is None:
        return np.full_like(spread, np.nan)
    objective, found = saturated
    return _state(objective, found.x).spot.sigma_b * spread


def _to_variances(spot: Spot, scale: FloatArray) -> FloatArray:
    """Derivatives of the variances of units, then within them, on all coordinates: (2p, k)."""
    p = scale.size
    diagonal, square = np.arange(p) * (p + 1), scale[:, None] ** 2
    return np.concatenate([spot.d_b[diagonal] * square, spot.d_w[diagonal] * square])


def _table_vcov(problem: Problem, cov: FloatArray, held: BoolArray) -> FloatArray:
    table = problem.spread(cov)
    at_bound = problem.to_theta[:, held].any(axis=1)
    table[at_bound] = table[:, at_bound] = np.nan
    return table


def _bounded(problem: Problem, held: BoolArray) -> tuple[str, ...]:
    place = problem.place
    rows = [row for k, row in enumerate(problem.active) if place.diagonal[row] and problem.map[k, held].any()]
    return tuple(place.variables[place.row[row]] for row in rows)
