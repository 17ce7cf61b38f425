"""The door of the engine: a model and data in, a fitted model out."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Literal
from warnings import warn

import numpy as np
import pandas as pd

from spc.errors import (
    DataError,
    DroppedRowsWarning,
    ImproperSolutionWarning,
    NonConvergenceError,
    NotPositiveDefiniteError,
    SmallSampleWarning,
    UnsupportedError,
)
from spc.linalg import FloatArray, frozen_array, one_blas_thread
from spc.moments import Moments, Patterns
from spc.results import Estimates, Note, Provenance, fingerprint
from spc.sem import diagnose
from spc.sem.casewise import Evidence
from spc.sem.fiml import Answers, climb, covariate_logl, evaluate, independence_chisq, unrestricted, usable
from spc.sem.fiml_robust import CompleteTest, complete_test, rows_apart, sandwich_of_rows, single_rows
from spc.sem.incomplete import lay_out
from spc.sem.measures import Baseline, baseline, covariates_of, glance_row
from spc.sem.ml import Point, discrepancy
from spc.sem.optimise import Search, Solution, along_valley, derivatives, search
from spc.sem.options import WEIGHTED, Engine, Estimator, Likelihood, Missing, Options
from spc.sem.problem import Problem, prepare, with_moments
from spc.sem.robust import complete_rows, evidence, few_clusters, independent_blocks, sandwich, sandwich_kind
from spc.sem.saturated import Saturated, logl
from spc.sem.scaled import Correction
from spc.sem.standardize import standardised_values
from spc.sem.start import WAYS, start_values
from spc.sem.tables import estimates_table, tidy_table
from spc.sem.weighted import (
    Weight,
    baseline_discrepancy,
    row_covariances,
    unweighted_sandwich,
    weight_matrix,
    weighted_search,
    weighted_solve,
)
from spc.spec import model as read_model
from spc.spec.table import Model

__all__ = ["Engine", "Options", "SemFit", "fit", "refit"]

_WARN_OF = {
    "dropped_rows": DroppedRowsWarning,
    "low_coverage": SmallSampleWarning,
    "no_saturated_moments": SmallSampleWarning,
}
_OF_ROWS = ("missing_answers", *_WARN_OF)


@dataclass(frozen=True, eq=False)
class SemFit:
    """A fitted structural equation model.

    Attributes
    ----------
    model : Model
    observed : Moments
        Moments of the observed variables, in the model's order.
    solution : Solution
        Free parameters in the user's units, and how they were found.
    vcov : (q, q) array
        Their sampling covariances, from the inverse expected information, or as the estimator has it.
    baseline : Baseline
        Chi-square and degrees of freedom of the independence model.
    options : Options
    provenance : Provenance
    problem : Problem
        Model and moments as they were fitted, in balanced units.
    point : Point
        Discrepancy and implied moments at the solution, in balanced units.
    found : tuple of Note
        Improper values, dropped rows and missing answers, which are warned of as well.
    answers : Answers or None
        Patterns and log-likelihoods under ``missing="fiml"``, where ``observed`` holds the saturated moments.
    correction : Correction or None
        Scaling of the test; None where the test is not scaled.
    weight : Weight or None
        Weights of GLS, ULS and WLS.
    """

    model: Model
    observed: Moments
    solution: Solution
    vcov: FloatArray
    baseline: Baseline
    options: Options
    provenance: Provenance
    problem: Problem = field(repr=False)
    point: Point = field(repr=False)
    found: tuple[Note, ...] = field(repr=False)
    kind: str = "sem"
    answers: Answers | None = field(default=None, repr=False)
    correction: Correction | None = field(default=None, repr=False)
    weight: Weight | None = field(default=None, repr=False)

    @cached_property
    def values(self) -> FloatArray:
        """Values of all rows of the table, in the user's units."""
        return frozen_array(self.problem.row_values(self.solution.theta))

    @cached_property
    def std_all(self) -> FloatArray:
        """Completely standardised values of all rows of the table."""
        balanced = self.values * self.problem.multiplier
        return frozen_array(standardised_values(self.problem.place, balanced, self.point.at))

    @cached_property
    def complete_test(self) -> CompleteTest | None:
        """What the test would be on complete data, under ``missing="fiml"``; None else."""
        if self.answers is None or math.isnan(self.answers.unrestricted_logl):
            return None
        df = (diagnose.n_moments(self.problem.place) - self.problem.size, self.baseline.df)
        x, covariates = self.problem.coordinates(self.solution.theta), covariates_of(self.model)
        with one_blas_thread():
            return complete_test(self.problem, self.answers, x, covariates, df)

    @cached_property
    def _notes(self) -> tuple[Note, ...]:
        place = self.problem.place
        improper = [note for note in self.found if note.code not in _OF_ROWS]
        return (
            *improper,
            *diagnose.collinear_latents(place, self.point.at),
            *diagnose.beyond_one(place, self.std_all),
            *(note for note in self.found if note.code in _OF_ROWS),
            *diagnose.small_sample(self.problem.n, self.problem.size),
        )

    @cached_property
    def _tidy(self) -> pd.DataFrame:
        return tidy_table(self)

    def tidy(self) -> pd.DataFrame:
        """All rows of the parameter table, fixed ones with a missing standard error, then the defined parameters.

        ``kind`` is one of ``loading, regression, variance, covariance, intercept, defined``; ``std_all`` holds the
        completely standardised value.
        """
        return self._tidy.copy()

    def glance(self) -> pd.DataFrame:
        """One row: size of the model, test, fit measures and information criteria, named as in lavaan."""
        return glance_row(self)

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the numbers: improper values, collinear latents, dropped rows, small n."""
        return self._notes

    def estimates(self) -> Estimates:
        """Free parameters, each once, with their sampling covariances; ``.draws`` gives parameter draws."""
        return Estimates(estimates_table(self), self.vcov, self.options.level, self.options.words)


def fit(
    model: Model | str,
    data: pd.DataFrame | Moments | Patterns,
    *,
    estimator: Estimator = "ML",
    missing: Missing | Literal["ml"] = "listwise",
    likelihood: Likelihood = "normal",
    engine: Engine = "spc",
    level: float = 0.95,
    cluster: str | None = None,
) -> SemFit:
    r"""Fit a structural equation model by maximum likelihood, or by least squares on its moments.

    The search runs on standardised moments by Fisher scoring, so the units of the variables change nothing but the
    units of the results.

    Parameters
    ----------
    model : Model or str
        A model, or its text in lavaan's syntax.
    data : DataFrame or Moments or Patterns
        Rows of data; or published moments; or the patterns of rows with missing answers, for ``missing="fiml"``.
    estimator, missing, likelihood, engine, level, cluster
        See :class:`Options`. Robust estimators, WLS and clusters need rows of data; all but clusters do as well with
        ``Moments.from_frame(..., higher=True)``.

    Returns
    -------
    SemFit

    Raises
    ------
    DataError
        Columns are absent, not numeric, infinite or constant; rows are too few.
    NotPositiveDefiniteError
        The variables are linearly dependent.
    SpecError, NotIdentifiedError
        The model cannot be read, or not be estimated from any data.
    SingularInformationError
        The model cannot be estimated from these data.
    NonConvergenceError
        The search stopped early; carries the partial solution.
    UnsupportedError
        Options or parts of the model that have no method; the message says which have.

    Warns
    -----
    ImproperSolutionWarning
        A negative variance, or a covariance matrix that no variables could have; see ``notes()``.
    DroppedRowsWarning
        Rows with missing values were left out.
    SmallSampleWarning
        Under ``missing="fiml"``, fewer than a tenth of the rows answer some pair of variables, or too few answer all
        of them for a test of fit.

    References
    ----------
    Bollen (1989), *Structural Equations with Latent Variables*; McArdle & McDonald (1984), British Journal of
    Mathematical and Statistical Psychology 37, 234-251 (reticular form).

    Examples
    --------
    >>> names = ["skill", "mood", "sales"]
    >>> published = Moments(names, 200, None, [[1.0, 0.4, 0.3], [0.4, 1.0, 0.5], [0.3, 0.5, 1.0]])
    >>> chain = fit("mood ~ a*skill\nsales ~ b*mood\nab := a*b", published)
    >>> chain.tidy().query("op in ['~', ':=']")[["lhs", "op", "rhs", "estimate", "std_error"]].round(3)
         lhs  op    rhs  estimate  std_error
    0   mood   ~  skill       0.4      0.065
    1  sales   ~   mood       0.5      0.061
    5     ab  :=    a*b       0.2      0.041
    """
    options = Options(estimator, "fiml" if missing == "ml" else missing, likelihood, engine, level, cluster)
    made = _made(_read(model) if isinstance(model, str) else model, options)
    with one_blas_thread():
        way = _fit_answers if options.missing == "fiml" else _fit_moments
        result = way(made, data, options)
    for note in result.found:
        if note.code in ("heywood", "latent_covariance", "residual_covariance"):
            warn(f"{note.subject}: {note.text}", ImproperSolutionWarning, stacklevel=2)
            break
    for note in result.found:
        if note.code in _WARN_OF:
            warn(note.text, _WARN_OF[note.code], stacklevel=2)
    return result


def _fit_moments(model: Model, data: pd.DataFrame | Moments | Patterns, options: Options) -> SemFit:
    """Complete data: from moments to a fitted model, and from rows to robust errors."""
    weighted = options.estimator in WEIGHTED
    moments, given = _moments(data, model, higher=options.estimator in ("ULS", "WLS"))
    problem = prepare(model, moments, "wishart" if weighted else options.likelihood)
    diagnose.check_count(problem)
    if weighted:
        return _weighted(model, moments, problem, options, given)
    plain = options.estimator == "ML" and options.cluster is None
    known = None if plain else _known(data, model, problem, options)
    result = _finish(model, moments, problem, options, _solve(problem, model, moments, options), given)
    return result if known is None else _robust(result, *known)


def _known(
    data: pd.DataFrame | Moments | Patterns, model: Model, problem: Problem, options: Options
) -> tuple[Evidence, tuple[Note, ...]]:
    """Variation of the rows, with a note where clusters are few."""
    assert not isinstance(data, Patterns)
    values, numbers = complete_rows(data, model.observed, options.cluster)
    known = evidence(problem, values, numbers)
    return known, () if options.cluster is None or numbers is None else few_clusters(options.cluster, numbers)


def _robust(result: SemFit, known: Evidence, notes: tuple[Note, ...]) -> SemFit:
    """The same estimates with the sandwich and the scaled test of MLM, MLR or clusters."""
    options, problem = result.options, result.problem
    kind, by_h1 = sandwich_kind(options.estimator, options.cluster)
    covariates = covariates_of(result.model)
    spread, correction = sandwich(problem, result.point, known, covariates, kind, test_by_h1=by_h1)
    vcov = frozen_array(problem.spread(spread))
    return replace(result, vcov=vcov, correction=correction, found=(*result.found, *notes))


def _weighted(model: Model, moments: Moments, problem: Problem, options: Options, given: int) -> SemFit:
    """Fit by least squares on the moments."""
    weight = _weight(problem, moments, options)
    end = weighted_solve(problem, weight)
    if not end.converged:
        raise _not_converged(problem, end)
    result = _finish(model, moments, problem, options, (end, "converged"), given)
    blocks = independent_blocks(problem, covariates_of(model))
    base = Baseline(problem.divisor * baseline_discrepancy(problem, weight, blocks), result.baseline.df)
    result = replace(result, baseline=base, weight=weight)
    if options.estimator != "ULS":
        return result
    gamma = row_covariances("ULS", problem, moments)
    spread, correction = unweighted_sandwich(problem, end.point, weight, gamma, blocks)
    return replace(result, vcov=frozen_array(problem.spread(spread)), correction=correction)


def _weight(problem: Problem, moments: Moments, options: Options) -> Weight:
    if options.estimator == "WLS":
        return weight_matrix("WLS", problem, row_covariances("WLS", problem, moments))
    return weight_matrix("ULS" if options.estimator == "ULS" else "GLS", problem, None)


def _fit_answers(model: Model, data: pd.DataFrame | Moments | Patterns, options: Options) -> SemFit:
    """Full-information maximum likelihood: from patterns to a fitted model."""
    given, patterns = _patterns(data, model)
    patterns, notes = usable(patterns, model, given)
    without, doubt = unrestricted(patterns)
    problem = prepare(model, without.moments, options.likelihood)
    diagnose.check_count(problem)
    end = climb(problem, patterns, without, _search(problem).x)
    if not end.converged:
        nearby = diagnose.unidentified_nearby(problem, end.x)
        if nearby is not None:
            raise diagnose.not_identified(diagnose.null_parameters(problem, nearby))
        raise _not_converged(problem, end)
    result = _finish(model, without.moments, problem, options, (end, "converged"), without.moments.n)
    result = replace(
        result,
        baseline=Baseline(independence_chisq(patterns, without, covariates_of(model)), baseline(problem, model).df),
        found=(*result.found, *notes, *doubt),
        answers=_answers(problem, patterns, without, end),
    )
    plain = options.estimator == "ML" and options.cluster is None
    return result if plain else _robust_answers(result, data, end)


def _answers(problem: Problem, patterns: Patterns, without: Saturated, end: Search) -> Answers:
    p = problem.place.n_observed
    spot = evaluate(problem, lay_out(patterns, problem.scale[:p]), end.x)
    assert spot is not None
    reached = logl(patterns, spot.found.value, problem.scale[:p])
    return Answers(patterns, reached, without.logl, covariate_logl(patterns, problem.place.exogenous))


def _robust_answers(result: SemFit, data: pd.DataFrame | Moments | Patterns, end: Search) -> SemFit:
    """The same estimates with the sandwich and the scaled test of MLR or clusters."""
    if result.answers is None or not isinstance(data, pd.DataFrame):
        raise UnsupportedError("Robust errors need the rows themselves: give a pandas DataFrame.")
    problem, options, patterns = result.problem, result.options, result.answers.patterns
    values, numbers = single_rows(data, result.model, options.cluster)
    rows = rows_apart(patterns.names, values)
    df = (diagnose.n_moments(problem.place) - problem.size, result.baseline.df)
    by_h1 = sandwich_kind(options.estimator, options.cluster)[1]
    spread, correction = sandwich_of_rows(
        problem, patterns, end, rows, covariates_of(result.model), df, numbers, test_by_h1=by_h1
    )
    notes = () if options.cluster is None or numbers is None else few_clusters(options.cluster, numbers)
    return replace(
        result,
        vcov=frozen_array(problem.spread(spread)),
        correction=None if math.isnan(result.answers.unrestricted_logl) else correction,
        answers=replace(result.answers, rows=rows, cluster=numbers),
        found=(*result.found, *notes),
    )


def _refit_answers(fitted: SemFit, patterns: Moments | Patterns) -> Solution:
    if fitted.answers is None or not isinstance(patterns, Patterns):
        raise UnsupportedError("A fit under missing='fiml' is refitted to Patterns, any other fit to Moments.")
    if patterns.names != fitted.model.observed:
        patterns = patterns.restrict(fitted.model.observed)
    patterns = patterns.answering(fitted.model.exogenous)
    without, _ = unrestricted(patterns)
    problem = with_moments(fitted.problem, without.moments)
    end = climb(problem, patterns, without, problem.coordinates(fitted.solution.theta), errors=False)
    if not end.converged:
        end = climb(problem, patterns, without, _search(problem).x, errors=False)
    if not end.converged:
        raise _not_converged(problem, end)
    return _solution(problem, end)


def _refit_weighted(fitted: SemFit, problem: Problem, moments: Moments) -> Solution:
    weight = _weight(problem, moments, fitted.options)
    end = weighted_search(problem, problem.coordinates(fitted.solution.theta), weight)
    if end is None or not end.converged:
        end = weighted_solve(problem, weight)
    if not end.converged:
        raise _not_converged(problem, end)
    return _solution(problem, end)


def _made(model: Model, options: Options) -> Model:
    """The model as the method needs it: intercepts with missing answers or clusters, random covariates with weights."""
    wanted: dict[str, bool] = {}
    if (options.missing == "fiml" or options.cluster is not None) and not model.meanstructure:
        wanted["meanstructure"] = True
    if options.estimator in WEIGHTED and model.exogenous:
        wanted["fixed_x"] = False
    if not wanted:
        return model
    if not model.text:
        said = ", ".join(f"{name}={value}" for name, value in wanted.items())
        raise UnsupportedError(f"These options need a model read with {said}: build it so.")
    return _read_again(model.text, tuple(sorted({**model.options, **wanted}.items())))


@lru_cache(maxsize=64)
def _read_again(text: str, options: tuple[tuple[str, Any], ...]) -> Model:
    return read_model(text, **dict(options))


def _patterns(data: pd.DataFrame | Moments | Patterns, model: Model) -> tuple[int, Patterns]:
    """Number of rows given, and the patterns of the model's variables in its order."""
    names = model.observed
    if isinstance(data, Patterns):
        return data.rows + data.empty, data if data.names == names else data.restrict(names)
    if not isinstance(data, pd.DataFrame):
        raise DataError.of(
            "data", None, "not_rows", f"a {type(data).__name__}", "rows, as a pandas DataFrame or Patterns",
            "Moments hold no missing answers: give the rows, or leave missing='fiml' out.",
        )  # fmt: skip
    return len(data), Patterns.from_frame(data, names)


def refit(fitted: SemFit, moments: Moments | Patterns) -> Solution:
    """Fit the same model to other moments of the same variables, starting from the given fit.

    Nothing but the estimates is computed: made for bootstraps, inside one ``one_blas_thread()``.

    Parameters
    ----------
    fitted : SemFit
    moments : Moments or Patterns
        Of at least the observed variables of the model; patterns for a fit under ``missing="fiml"``.

    Returns
    -------
    Solution

    Raises
    ------
    UnsupportedError
        Moments where the fit is of patterns, or the other way round.
    NonConvergenceError
        The search stopped early.
    NotPositiveDefiniteError
        The moments have no inverse.
    """
    names = fitted.model.observed
    if isinstance(moments, Patterns) or fitted.answers is not None:
        return _refit_answers(fitted, moments)
    if moments.names != names:
        moments = moments.restrict(names)
    problem = with_moments(fitted.problem, moments)
    if fitted.weight is not None:
        return _refit_weighted(fitted, problem, moments)
    end = search(problem, problem.coordinates(fitted.solution.theta))
    if end is None or not end.converged:
        end = _search(problem)
    if not end.converged:
        raise _not_converged(problem, end)
    return _solution(problem, end)


@lru_cache(maxsize=64)
def _read(text: str) -> Model:
    """Read a text once: the same text is the same model, and models do not change."""
    return read_model(text)


def _moments(data: pd.DataFrame | Moments | Patterns, model: Model, *, higher: bool = False) -> tuple[Moments, int]:
    """Moments of the model's variables in its order, and the number of rows given."""
    names = model.observed
    if isinstance(data, Moments):
        return (data if data.names == names else data.restrict(names)), data.n
    if not isinstance(data, pd.DataFrame):
        raise DataError.of(
            "data", None, "not_a_table", f"a {type(data).__name__}", "a pandas DataFrame or Moments",
            "Build one with pandas.DataFrame(...), or Moments(names=..., n=..., mean=None, cov=...).",
        )  # fmt: skip
    return Moments.from_frame(data, names, higher=higher), len(data)


def _solve(problem: Problem, model: Model, moments: Moments, options: Options) -> tuple[Search, str]:
    if options.engine == "semopy":
        from spc.sem.semopy_engine import solve

        theta = solve(model, moments, options.likelihood)
        return _evaluate(problem, theta), "semopy"
    end = _search(problem)
    if not end.converged:
        nearby = diagnose.unidentified_nearby(problem, end.x)
        if nearby is not None:
            raise diagnose.not_identified(diagnose.null_parameters(problem, nearby))
        raise _not_converged(problem, end)
    return end, "converged"


def _search(problem: Problem) -> Search:
    """Search from one set of start values after another, then along the valley; the first end, else the best."""
    best: Search | None = None
    for minimise, way in (*((search, way) for way in WAYS), (along_valley, WAYS[1]), (along_valley, WAYS[2])):
        end = minimise(problem, start_values(problem, way))
        if end is not None and end.converged:
            return end
        if end is not None and (best is None or end.point.value < best.point.value):
            best = end
    if best is None:
        raise NotPositiveDefiniteError(
            "The covariance matrix that the model implies at its start values is not positive definite. Check the "
            "fixed values and the start values of the model."
        )
    return best


def _not_converged(problem: Problem, end: Search) -> NonConvergenceError:
    partial = _solution(problem, end, "not converged")
    return NonConvergenceError(
        f"The search stopped after {end.iterations} steps before the gradient was zero (scaled gradient "
        f"{partial.gradient_norm:.1e}). Usually the model does not fit these data anywhere near: look for a latent "
        "variable with indicators that do not correlate, or give start values.",
        partial,
    )


def _evaluate(problem: Problem, theta: FloatArray) -> Search:
    """The state at estimates that came from elsewhere."""
    x = problem.coordinates(theta)
    point = discrepancy(problem.place, problem.values(x), problem.sample)
    if point is None:
        raise NotPositiveDefiniteError("The covariance matrix implied by the estimates is not positive definite.")
    score, information = derivatives(problem, point)
    decrement = float(score @ np.linalg.lstsq(information, score, rcond=None)[0])
    return Search(x, point, information, max(decrement, 0.0), 0, True)


def _solution(problem: Problem, end: Search, status: str = "converged") -> Solution:
    message = {
        "converged": f"converged after {end.iterations} steps",
        "not converged": f"stopped after {end.iterations} steps",
    }.get(status, f"estimates by {status}, evaluated here")
    return Solution(problem.theta(end.x), end.point.value, end.decrement**0.5, end.iterations, status, message)


def _finish(
    model: Model, moments: Moments, problem: Problem, options: Options, found: tuple[Search, str], given: int
) -> SemFit:
    end, status = found
    solution = _solution(problem, end, status)
    vcov = problem.spread(diagnose.inverse_information(problem, end, solution) / problem.divisor)
    place, values = problem.place, problem.values(end.x)
    notes = (*diagnose.improper(place, values, end.point.at), *diagnose.dropped_rows(given, moments.n))
    parts = [moments.cov] if moments.mean is None else [moments.cov, moments.mean]
    provenance = Provenance.record(asdict(options), fingerprint(*parts))
    return SemFit(
        model, moments, solution, frozen_array(vcov), baseline(problem, model), options, provenance,
        problem, end.point, notes,
    )  # fmt: skip
