"""The door of the engine: a model and data in, a fitted model out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args
from warnings import warn

import numpy as np
import pandas as pd
from scipy.linalg.lapack import dpotrf, dpotri

from spc.errors import (
    DataError,
    DroppedRowsWarning,
    ImproperSolutionWarning,
    NonConvergenceError,
    NotPositiveDefiniteError,
    SmallSampleWarning,
    UnsupportedError,
    UsageError,
)
from spc.linalg import FloatArray, frozen_array, one_blas_thread
from spc.moments import Moments, Patterns
from spc.results import Estimates, Note, Provenance, fingerprint
from spc.sem import diagnose
from spc.sem.fiml import Answers, climb, covariate_logl, independence_chisq, usable
from spc.sem.measures import Baseline, baseline, covariates_of, glance_row
from spc.sem.ml import Point, discrepancy
from spc.sem.optimise import Search, Solution, along_valley, derivatives, search
from spc.sem.problem import Problem, prepare, with_moments
from spc.sem.saturated import Saturated, saturated
from spc.sem.standardize import standardised_values
from spc.sem.start import WAYS, start_values
from spc.sem.tables import estimates_table, tidy_table
from spc.spec import model as read_model
from spc.spec.table import Model

__all__ = ["Options", "SemFit", "fit", "refit"]

Estimator = Literal["ML"]
Missing = Literal["listwise", "fiml"]
Likelihood = Literal["normal", "wishart"]
Engine = Literal["spc", "semopy"]

_WARN_OF = {"dropped_rows": DroppedRowsWarning, "low_coverage": SmallSampleWarning}
_OF_ROWS = ("dropped_rows", "missing_answers", "low_coverage")


@dataclass(frozen=True, slots=True)
class Options:
    """How a model was fitted.

    Attributes
    ----------
    estimator : {"ML"}
        Maximum likelihood for normal data.
    missing : {"listwise", "fiml"}
        Rows with a missing value in a variable of the model are left out, and counted; or every answer is used, by
        full-information maximum likelihood with observed information (``fit`` takes lavaan's word ``"ml"`` as well).
    likelihood : {"normal", "wishart"}
        Divisor n, lavaan's default, or n - 1 of the covariances.
    engine : {"spc", "semopy"}
        What finds the estimates; everything else is computed here either way.
    level : float
        Level of the intervals.

    Raises
    ------
    UnsupportedError
        A value without a method; the message names those that work.
    UsageError
        A level outside 0 to 1.
    """

    estimator: Estimator = "ML"
    missing: Missing = "listwise"
    likelihood: Likelihood = "normal"
    engine: Engine = "spc"
    level: float = 0.95

    def __post_init__(self) -> None:
        allowed = {"estimator": Estimator, "missing": Missing, "likelihood": Likelihood, "engine": Engine}
        for name, literal in allowed.items():
            value, works = getattr(self, name), get_args(literal)
            if value not in works:
                listed = " or ".join(map(repr, works))
                raise UnsupportedError(f"{name}={value!r} has no method in this version. Use {listed}.")
        if self.missing == "fiml" and (self.likelihood, self.engine) != ("normal", "spc"):
            raise UnsupportedError("missing='fiml' has a method with likelihood='normal' and engine='spc' only.")
        if not 0.0 < self.level < 1.0:
            raise UsageError(f"level={self.level!r}: expected a share between 0 and 1, such as 0.95.")


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
        Their sampling covariances, from the inverse expected information.
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
        words = f"maximum likelihood ({self.options.likelihood} likelihood), expected information"
        if self.answers is not None:
            words = "full-information maximum likelihood, observed information"
        return Estimates(estimates_table(self), self.vcov, self.options.level, words)


def fit(
    model: Model | str,
    data: pd.DataFrame | Moments | Patterns,
    *,
    estimator: Estimator = "ML",
    missing: Missing | Literal["ml"] = "listwise",
    likelihood: Likelihood = "normal",
    engine: Engine = "spc",
    level: float = 0.95,
) -> SemFit:
    r"""Fit a structural equation model by maximum likelihood.

    The search runs on standardised moments by Fisher scoring, so the units of the variables change nothing but the
    units of the results.

    Parameters
    ----------
    model : Model or str
        A model, or its text in lavaan's syntax.
    data : DataFrame or Moments or Patterns
        Rows of data; or published moments; or the patterns of rows with missing answers, for ``missing="fiml"``.
    estimator, missing, likelihood, engine, level
        See :class:`Options`.

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
        Under ``missing="fiml"``, fewer than a tenth of the rows answer some pair of variables.

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
    options = Options(estimator, "fiml" if missing == "ml" else missing, likelihood, engine, level)
    made = _read(model) if isinstance(model, str) else model
    with one_blas_thread():
        if options.missing == "fiml":
            result = _fit_answers(made, data, options)
        else:
            moments, given = _moments(data, made)
            problem = prepare(made, moments, options.likelihood)
            diagnose.check_count(problem)
            result = _finish(made, moments, problem, options, _solve(problem, made, moments, options), given)
    for note in result.found:
        if note.code in ("heywood", "latent_covariance", "residual_covariance"):
            warn(f"{note.subject}: {note.text}", ImproperSolutionWarning, stacklevel=2)
            break
    for note in result.found:
        if note.code in _WARN_OF:
            warn(note.text, _WARN_OF[note.code], stacklevel=2)
    return result


def _fit_answers(model: Model, data: pd.DataFrame | Moments | Patterns, options: Options) -> SemFit:
    """Full-information maximum likelihood: from patterns to a fitted model."""
    model = _with_means(model)
    given, patterns = _patterns(data, model)
    patterns, notes = usable(patterns, model, given)
    without = saturated(patterns)
    problem = prepare(model, without.moments, options.likelihood)
    diagnose.check_count(problem)
    end = climb(problem, patterns, without, _search(problem).x)
    if not end.converged:
        nearby = diagnose.unidentified_nearby(problem, end.x)
        if nearby is not None:
            raise diagnose.not_identified(diagnose.null_parameters(problem, nearby))
        raise _not_converged(problem, end)
    result = _finish(model, without.moments, problem, options, (end, "converged"), without.moments.n)
    return replace(
        result,
        baseline=Baseline(independence_chisq(patterns, without, covariates_of(model)), baseline(problem, model).df),
        found=(*result.found, *notes),
        answers=_answers(problem, patterns, without, end),
    )


def _answers(problem: Problem, patterns: Patterns, without: Saturated, end: Search) -> Answers:
    reached = without.logl - 0.5 * problem.n * end.point.value
    return Answers(patterns, reached, without.logl, covariate_logl(patterns, problem.place.exogenous))


def _with_means(model: Model) -> Model:
    """The model with intercepts, which incomplete rows always need."""
    if model.meanstructure:
        return model
    if not model.text:
        raise UnsupportedError("missing='fiml' needs intercepts: build the model with meanstructure=True.")
    return _read_again(model.text, tuple(sorted({**model.options, "meanstructure": True}.items())))


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


def refit(fitted: SemFit, moments: Moments) -> Solution:
    """Fit the same model to other moments of the same variables, starting from the given fit.

    Nothing but the estimates is computed: made for bootstraps, inside one ``one_blas_thread()``.

    Parameters
    ----------
    fitted : SemFit
    moments : Moments
        Of at least the observed variables of the model.

    Returns
    -------
    Solution

    Raises
    ------
    NonConvergenceError
        The search stopped early.
    NotPositiveDefiniteError
        The moments have no inverse.
    """
    names = fitted.model.observed
    if moments.names != names:
        moments = moments.restrict(names)
    problem = with_moments(fitted.problem, moments)
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


def _moments(data: pd.DataFrame | Moments | Patterns, model: Model) -> tuple[Moments, int]:
    """Moments of the model's variables in its order, and the number of rows given."""
    names = model.observed
    if isinstance(data, Moments):
        return (data if data.names == names else data.restrict(names)), data.n
    if not isinstance(data, pd.DataFrame):
        raise DataError.of(
            "data", None, "not_a_table", f"a {type(data).__name__}", "a pandas DataFrame or Moments",
            "Build one with pandas.DataFrame(...), or Moments(names=..., n=..., mean=None, cov=...).",
        )  # fmt: skip
    return Moments.from_frame(data, names), len(data)


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
    diagnose.check_information(problem, end, solution)
    place, values = problem.place, problem.values(end.x)
    vcov = problem.spread(_inverse(end.information) / problem.divisor)
    notes = (*diagnose.improper(place, values, end.point.at), *diagnose.dropped_rows(given, moments.n))
    parts = [moments.cov] if moments.mean is None else [moments.cov, moments.mean]
    provenance = Provenance.record(asdict(options), fingerprint(*parts))
    return SemFit(
        model, moments, solution, frozen_array(vcov), baseline(problem, model), options, provenance,
        problem, end.point, notes,
    )  # fmt: skip


def _inverse(information: FloatArray) -> FloatArray:
    """Inverse of a matrix that has been found positive definite."""
    if not information.size:
        return information
    root = np.sqrt(information.diagonal())
    factor, _ = dpotrf(information / np.outer(root, root), lower=1)
    lower, _ = dpotri(factor, lower=1)
    inverse = lower + lower.T
    np.einsum("ii->i", inverse)[:] *= 0.5
    return np.asarray(inverse / np.outer(root, root))
