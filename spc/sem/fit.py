"""The door of the engine: a model and data in, a fitted model out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
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
    UsageError,
)
from spc.linalg import FloatArray, frozen_array, one_blas_thread
from spc.moments import Moments, Patterns
from spc.results import Note, Provenance, fingerprint
from spc.sem import diagnose
from spc.sem.casewise import Evidence
from spc.sem.constrained import Objective
from spc.sem.feasible import best_within, original
from spc.sem.fiml import Answered, Answers, climb, covariate_logl, evaluate, independence_chisq, unrestricted, usable
from spc.sem.fiml_robust import Rowwise, rows_apart, sandwich_of_rows, single_rows
from spc.sem.groups import Data, Given, Group, in_group, split
from spc.sem.in_place import groups_in_place, reduced, require_in_place, with_dropped_rows
from spc.sem.incomplete import lay_out
from spc.sem.joint import System, join, joint_with_moments, look, problems_of
from spc.sem.measures import Baseline, baseline, covariates_of
from spc.sem.objective import answers_objective, normal_objective, squares_objective
from spc.sem.optimise import Search, Solution, along_valley, derivatives, observed_information, search
from spc.sem.options import ORDINAL, WEIGHTED, Engine, Estimator, Information, Likelihood, Missing, Options
from spc.sem.problem import Problem
from spc.sem.restrictions import Restrictions, restrictions
from spc.sem.result import Part, SemFit
from spc.sem.robust import complete_rows, evidence, few_clusters, independent_blocks, sandwich, sandwich_kind, state_of
from spc.sem.saturated import logl
from spc.sem.start import WAYS, start_values
from spc.sem.weighted import (
    Weight,
    baseline_discrepancy,
    row_covariances,
    unweighted_sandwich,
    weight_matrix,
    weighted_search,
    weighted_solve,
)
from spc.sources import Source
from spc.spec import model as read_model
from spc.spec.table import Model

__all__ = ["Engine", "Options", "SemFit", "fit", "refit"]

_WARN_OF = {
    "dropped_rows": DroppedRowsWarning,
    "low_coverage": SmallSampleWarning,
    "no_saturated_moments": SmallSampleWarning,
}


@dataclass(frozen=True, eq=False, slots=True)
class _Piece:
    """A block of the model and its data."""

    label: str
    model: Model
    data: Data


def fit(
    model: Model | str,
    data: Given | Source,
    *,
    estimator: Estimator | None = None,
    missing: Missing | Literal["ml"] | None = None,
    likelihood: Likelihood = "normal",
    engine: Engine = "spc",
    level: float = 0.95,
    cluster: str | None = None,
    group: str | None = None,
    group_equal: Sequence[str] = (),
    group_partial: Sequence[str] = (),
    ordered: Sequence[str] = (),
    information: Information | None = None,
) -> SemFit:
    r"""Fit a structural equation model by maximum likelihood, or by least squares on its moments.

    The search runs on standardised moments by Fisher scoring, so the units of the variables change nothing but the
    units of the results.

    Parameters
    ----------
    model : Model or str
        A model, or its text in lavaan's syntax.
    data : DataFrame or Source or Moments or Patterns; or a list or mapping of the last two or frames, one a group
        Rows of data; or a table that stays where it is, see :func:`spc.open_source`; or published moments; or the
        patterns of rows with missing answers, for ``missing="fiml"``.
    estimator, missing, likelihood, engine, level, cluster, information
        See :class:`Options`. Robust estimators, WLS and clusters need rows of data; all but clusters do as well with
        ``Moments.from_frame(..., higher=True)``. Without an estimator it is ML, or WLSMV where items are ordered.
    group : str, optional
        Column that tells the groups apart. Every group gets the rows of the model, and numbers of its own but for
        what the text, or ``group_equal``, holds equal.
    group_equal, group_partial : sequence of str
        As in lavaan: ``("loadings", "intercepts")``, and what is free after all: ``("visual=~x2",)``.
    ordered : sequence of str
        Items whose answers are ordered categories.

    Returns
    -------
    SemFit

    Raises
    ------
    DataError
        Columns are absent, not numeric, infinite or constant; rows are too few, or without a group. In several groups
        the message names the group.
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
    ordinal = bool(ordered) or (isinstance(model, Model) and bool(model.ordinal))
    options = Options(
        estimator or ("WLSMV" if ordinal else "ML"), _missing(missing, ordinal=ordinal), likelihood, engine, level,
        cluster, group, _words(group_equal), _words(group_partial), _words(ordered), information,
    )  # fmt: skip
    result = _dispatched(model, data, options, ordinal=ordinal)
    for note in result.found:
        if note.code in ("heywood", "latent_covariance", "residual_covariance"):
            warn(f"{note.subject}: {note.text}", ImproperSolutionWarning, stacklevel=2)
            break
    for note in result.found:
        if note.code in _WARN_OF:
            warn(note.text, _WARN_OF[note.code], stacklevel=2)
    return result


def _missing(given: Missing | Literal["ml"] | None, *, ordinal: bool) -> Missing:
    """What is done about missing answers: pairwise with ordered items and listwise else, unless something is said."""
    if given is None:
        return "pairwise" if ordinal else "listwise"
    return "fiml" if given == "ml" else given


def _words(given: Sequence[str]) -> tuple[str, ...]:
    if not isinstance(given, Iterable):
        raise UsageError(f"found {given!r}; expected names, such as ['item1', 'item2'].")
    return (given,) if isinstance(given, str) else tuple(given)


def _dispatched(model: Model | str, data: Given | Source, options: Options, *, ordinal: bool) -> SemFit:
    """Hand the model to its method: ordered items, levels, or one level of continuous variables."""
    if isinstance(data, Source):
        require_in_place(options, ordinal=ordinal, levels=_has_levels(model))
        groups = groups_in_place(data, options)
        made = _completed(model, groups, options)
        return with_dropped_rows(_fitted(made, reduced(data, groups, made, options), options), data)
    if ordinal:
        from spc.sem.ordinal_fit import fit_ordinal

        return fit_ordinal(model, data, options)
    if options.estimator in ORDINAL:
        raise UnsupportedError(
            f"estimator={options.estimator!r} is for ordered items: name them, ordered=['item', ...]."
        )
    if _has_levels(model):
        from spc.sem.twolevel_model import fit_levels

        return fit_levels(_read(model) if isinstance(model, str) else model, data, options)  # type: ignore[arg-type]
    if options.information == "expected" and options.cluster is not None:
        raise UnsupportedError("information='expected' has no method with clusters of one level; leave it out.")
    groups = split(data, options.group)
    return _fitted(_completed(model, groups, options), groups, options)


def _fitted(model: Model, groups: Sequence[Group], options: Options) -> SemFit:
    with one_blas_thread():
        way = _fit_answers if options.missing == "fiml" else _fit_moments
        return way(model, _pieces(model, groups), options)


def _has_levels(model: Model | str) -> bool:
    if isinstance(model, Model):
        return len(model.levels) > 1
    return "level" in model and any(_is_level(line) for line in model.splitlines())


def _is_level(line: str) -> bool:
    word, colon, _ = line.partition(":")
    return bool(colon) and word.strip() == "level"


def _pieces(model: Model, groups: Sequence[Group]) -> tuple[_Piece, ...]:
    """Blocks with their data, in the order of the model's groups."""
    if len(groups) == 1:
        return (_Piece("", model, groups[0].data),)
    from spc.spec.table import blocks

    data = {group.label: group.data for group in groups}
    labels = [model.groups[block.group - 1] for block in blocks(model)]
    return tuple(_Piece(label, block.model, data[label]) for label, block in zip(labels, blocks(model), strict=True))


def _completed(model: Model | str, groups: Sequence[Group], options: Options) -> Model:
    """The model as data and method need it.

    Several groups need their labels; groups, missing answers and clusters need intercepts; least squares need random
    covariates.
    """
    wanted: dict[str, Any] = {}
    made = None if isinstance(model, str) else model
    labels = tuple(group.label for group in groups)
    if len(groups) > 1 and (made is None or set(made.groups) != set(labels)):
        _check_groups(made, labels)
        wanted["groups"] = labels
        wanted |= _equal_words(options)
        if made is not None and _means_known(groups):
            wanted["meanstructure"] = True
    elif made is not None and len(made.groups) > 1 and len(groups) > 1:
        wanted |= _equal_words(options)
    elif options.group_equal or options.group_partial:
        raise UsageError(
            "group_equal and group_partial need groups: name their column, group=..., or give a list of data."
        )
    if made is None:
        made = _read(str(model)) if not wanted else _read_again(str(model), _sorted(wanted))
        if (
            wanted
            and not _means_known(groups)
            and not any(row.op == "~1" and row.given_by == "user" for row in made.parameters)
        ):
            made = _read_again(str(model), _sorted({**wanted, "meanstructure": False}))
        wanted = {}
    if len(groups) == 1 and len(made.groups) > 1:
        raise UsageError(f"The model has the groups {', '.join(made.groups)}; name their column: group=....")
    if (options.missing == "fiml" or options.cluster is not None) and not made.meanstructure:
        wanted["meanstructure"] = True
    if options.estimator in WEIGHTED and made.exogenous:
        wanted["fixed_x"] = False
    if not wanted:
        return made
    if not made.text:
        said = ", ".join(f"{name}={value}" for name, value in wanted.items())
        raise UnsupportedError(f"These options need a model read with {said}: build it so.")
    return _read_again(made.text, _sorted({**made.options, **wanted}))


def _equal_words(options: Options) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("group_equal", "group_partial") if getattr(options, name)}


def _means_known(groups: Sequence[Group]) -> bool:
    return all(not isinstance(group.data, Moments) or group.data.mean is not None for group in groups)


def _check_groups(model: Model | None, labels: tuple[str, ...]) -> None:
    if model is not None and len(model.groups) > 1:
        raise DataError.of(
            "data", None, "groups", f"the groups {', '.join(labels)}", f"those of the model, {', '.join(model.groups)}",
            "Read the model without groups=, and fit() takes them from the data.",
        )  # fmt: skip


def _sorted(wanted: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(wanted.items()))


def _fit_moments(model: Model, pieces: Sequence[_Piece], options: Options) -> SemFit:
    """Complete data: from moments to a fitted model, and from rows to robust errors."""
    weighted = options.estimator in WEIGHTED
    read = [_of_piece(piece, options) for piece in pieces]
    moments, given = [one for one, _ in read], sum(count for _, count in read)
    system = _joined(model, pieces, moments, "wishart" if weighted else options.likelihood)
    _check_count(system, model)
    if weighted:
        return _weighted(model, pieces, moments, system, options, given)
    plain = options.estimator == "ML" and options.cluster is None
    known = None if plain else _known(pieces, system, options)
    system, notes, found = _solve(system, model, moments, options)
    result = _noted(_finish(model, pieces, moments, system, options, found, given), notes)
    return result if known is None else _robust(result, *known)


def _check_count(system: System, model: Model) -> None:
    rules = restrictions(model)
    diagnose.check_count(system, 0 if rules is None else len(rules.equal))


def _noted(result: SemFit, notes: tuple[Note, ...]) -> SemFit:
    return replace(result, found=(*result.found, *notes)) if notes else result


def _of_piece(piece: _Piece, options: Options) -> tuple[Moments, int]:
    with in_group(piece.label):
        return _moments(piece.data, piece.model, higher=options.estimator in ("ULS", "WLS"))


def _joined(model: Model, pieces: Sequence[_Piece], moments: Sequence[Moments], likelihood: str) -> System:
    return join(model, [piece.model for piece in pieces], moments, likelihood, [piece.label for piece in pieces])


def _known(pieces: Sequence[_Piece], system: System, options: Options) -> tuple[list[Evidence], tuple[Note, ...]]:
    """Variation of the rows, with a note where clusters are few."""
    known, clusters = [], 0
    for piece, problem in zip(pieces, problems_of(system), strict=True):
        assert not isinstance(piece.data, Patterns)
        with in_group(piece.label):
            values, numbers = complete_rows(piece.data, piece.model.observed, options.cluster)
            known.append(evidence(problem, values, numbers))
        clusters += 0 if numbers is None or not numbers.size else int(numbers.max()) + 1
    return known, () if options.cluster is None else few_clusters(options.cluster, clusters)


def _robust(result: SemFit, known: Sequence[Evidence], notes: tuple[Note, ...]) -> SemFit:
    """The same estimates with the sandwich and the scaled test of MLM, MLR or clusters."""
    options, system = result.options, result.system
    kind, by_h1 = sandwich_kind(options.estimator, options.cluster)
    covariates = [covariates_of(part.model) for part in result.parts]
    spread, correction = sandwich(system, state_of(result), known, covariates, kind, test_by_h1=by_h1)
    return replace(
        result, vcov=frozen_array(system.spread(spread)), correction=correction, found=(*result.found, *notes)
    )


def _weighted(
    model: Model, pieces: Sequence[_Piece], moments: Sequence[Moments], system: System, options: Options, given: int
) -> SemFit:
    """Fit by least squares on the moments."""
    weights, rules = _weights(system, moments, options), restrictions(model)
    notes: tuple[Note, ...] = ()
    if rules is None:
        end = weighted_solve(system, weights)
    else:
        system, end, notes = _within(system, rules, squares_objective(system, weights))
    if not end.converged:
        raise _not_converged(system, end)
    result = _noted(_finish(model, pieces, moments, system, options, (end, "converged"), given), notes)
    problems = problems_of(system)
    blocks = [independent_blocks(*part) for part in zip(problems, map(covariates_of, _models(pieces)), strict=True)]
    each = [
        problem.divisor * baseline_discrepancy(problem, weight, apart)
        for problem, weight, apart in zip(problems, weights, blocks, strict=True)
    ]
    parts = tuple(replace(part, weight=weight) for part, weight in zip(result.parts, weights, strict=True))
    result = replace(result, baseline=Baseline(sum(each), result.baseline.df), parts=parts)
    if options.estimator != "ULS":
        return result
    gammas = [row_covariances("ULS", *part) for part in zip(problems, moments, strict=True)]
    spread, correction = unweighted_sandwich(system, end.state, weights, gammas, blocks)
    return replace(result, vcov=frozen_array(system.spread(spread)), correction=correction)


def _models(pieces: Sequence[_Piece]) -> list[Model]:
    return [piece.model for piece in pieces]


def _weights(system: System, moments: Sequence[Moments], options: Options) -> list[Weight]:
    return [_weight(*part, options) for part in zip(problems_of(system), moments, strict=True)]


def _weight(problem: Problem, moments: Moments, options: Options) -> Weight:
    if options.estimator == "WLS":
        return weight_matrix("WLS", problem, row_covariances("WLS", problem, moments))
    return weight_matrix("ULS" if options.estimator == "ULS" else "GLS", problem, None)


def _fit_answers(model: Model, pieces: Sequence[_Piece], options: Options) -> SemFit:
    """Full-information maximum likelihood: from patterns to a fitted model."""
    answered, notes = [], []
    for piece in pieces:
        with in_group(piece.label):
            given, patterns = _patterns(piece.data, piece.model)
            patterns, said = usable(patterns, piece.model, given)
            without, doubt = unrestricted(patterns)
        answered.append(Answered(patterns, without))
        notes += diagnose.of_group((*said, *doubt), piece.label)
    moments = [one.without.moments for one in answered]
    system = _joined(model, pieces, moments, options.likelihood)
    _check_count(system, model)
    rules = restrictions(model)
    held: tuple[Note, ...] = ()
    if rules is None:
        end = climb(system, answered, _search(system).x)
    else:
        begin = best_within(system, rules, normal_objective(system)).x
        system, end, held = _within(system, rules, answers_objective(system, answered), begin, observed=True)
    if not end.converged:
        nearby = diagnose.unidentified_nearby(system, end.x)
        if nearby is not None:
            raise diagnose.not_identified(diagnose.null_parameters(system, nearby))
        raise _not_converged(system, end)
    result = _finish(model, pieces, moments, system, options, (end, "converged"), sum(one.n for one in moments))
    parts = zip(result.parts, answered, strict=True)
    result = replace(
        result,
        baseline=Baseline(_independence(pieces, answered), result.baseline.df),
        found=(*result.found, *held, *notes),
        parts=tuple(replace(part, answers=_answers(part.problem, one, end)) for part, one in parts),
    )
    plain = options.estimator == "ML" and options.cluster is None
    return result if plain else _robust_answers(result, pieces, end)


def _independence(pieces: Sequence[_Piece], answered: Sequence[Answered]) -> float:
    return sum(
        independence_chisq(one.patterns, one.without, covariates_of(piece.model))
        for piece, one in zip(pieces, answered, strict=True)
    )


def _answers(problem: Problem, answered: Answered, end: Search) -> Answers:
    p = problem.place.n_observed
    patterns = answered.patterns
    spot = evaluate(problem, lay_out(patterns, problem.scale[:p]), end.x)
    assert spot is not None
    reached = logl(patterns, spot.found.value, problem.scale[:p])
    return Answers(patterns, reached, answered.without.logl, covariate_logl(patterns, problem.place.exogenous))


def _robust_answers(result: SemFit, pieces: Sequence[_Piece], end: Search) -> SemFit:
    """The same estimates with the sandwich and the scaled test of MLR or clusters."""
    options, system = result.options, result.system
    blocks, parts, clusters = [], [], 0
    for part, piece in zip(result.parts, pieces, strict=True):
        if part.answers is None or not isinstance(piece.data, pd.DataFrame):
            raise UnsupportedError("Robust errors need the rows themselves: give a pandas DataFrame.")
        with in_group(piece.label):
            values, numbers = single_rows(piece.data, piece.model, options.cluster)
        clusters += 0 if numbers is None else int(numbers.max()) + 1
        rows = rows_apart(part.answers.patterns.names, values)
        blocks.append(Rowwise(part.answers.patterns, rows, covariates_of(piece.model), numbers))
        parts.append(replace(part, answers=replace(part.answers, rows=rows, cluster=numbers)))
    by_h1 = sandwich_kind(options.estimator, options.cluster)[1]
    df = (result.df, result.baseline.df)
    spread, correction = sandwich_of_rows(system, end, blocks, df, test_by_h1=by_h1)
    notes = () if options.cluster is None else few_clusters(options.cluster, clusters)
    known = not any(part.answers is None or np.isnan(part.answers.unrestricted_logl) for part in parts)
    return replace(
        result,
        vcov=frozen_array(system.spread(spread)),
        correction=correction if known else None,
        parts=tuple(parts),
        found=(*result.found, *notes),
    )


@lru_cache(maxsize=64)
def _read(text: str) -> Model:
    """Read a text once: the same text is the same model, and models do not change."""
    return read_model(text)


@lru_cache(maxsize=64)
def _read_again(text: str, options: tuple[tuple[str, Any], ...]) -> Model:
    return read_model(text, **dict(options))


def _patterns(data: Data, model: Model) -> tuple[int, Patterns]:
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


def refit(fitted: SemFit, moments: Moments | Patterns | Sequence[Moments] | Sequence[Patterns]) -> Solution:
    """Fit the same model to other moments of the same variables, starting from the given fit.

    Nothing but the estimates is computed: made for bootstraps, inside one ``one_blas_thread()``.

    Parameters
    ----------
    fitted : SemFit
    moments : Moments or Patterns, or a sequence of them in the order of ``fitted.parts``
        Of at least the observed variables of the model; patterns for a fit under ``missing="fiml"``.

    Returns
    -------
    Solution

    Raises
    ------
    UnsupportedError
        Moments where the fit is of patterns, or the other way round.
    UsageError
        Not one for each group.
    NonConvergenceError
        The search stopped early.
    NotPositiveDefiniteError
        The moments have no inverse.
    """
    given: tuple[Moments | Patterns, ...]
    given = (moments,) if isinstance(moments, Moments | Patterns) else tuple(moments)
    if len(given) != len(fitted.parts):
        raise UsageError(f"{len(given)} sets of moments for {len(fitted.parts)} groups; give one a group.")
    if fitted.parts[0].answers is not None or any(isinstance(one, Patterns) for one in given):
        return _refit_answers(fitted, given)
    complete = [_restricted(one, part) for one, part in zip(given, fitted.parts, strict=True)]
    system = joint_with_moments(original(fitted.system), complete)
    if fitted.parts[0].weight is not None:
        return _refit_weighted(fitted, system, complete)
    if (rules := restrictions(fitted.model)) is not None:
        return _refit_within(fitted, system, rules, normal_objective(system))
    end = search(system, system.coordinates(fitted.solution.theta))
    if end is None or not end.converged:
        end = _search(system)
    if not end.converged:
        raise _not_converged(system, end)
    return _solution(system, end)


def _restricted(moments: Moments | Patterns, part: Part) -> Moments:
    assert isinstance(moments, Moments)
    names = part.model.observed
    return moments if moments.names == names else moments.restrict(names)


def _refit_answers(fitted: SemFit, given: Sequence[Moments | Patterns]) -> Solution:
    answered = []
    for one, part in zip(given, fitted.parts, strict=True):
        if part.answers is None or not isinstance(one, Patterns):
            raise UnsupportedError("A fit under missing='fiml' is refitted to Patterns, any other fit to Moments.")
        names = part.model.observed
        patterns = (one if one.names == names else one.restrict(names)).answering(part.model.exogenous)
        answered.append(Answered(patterns, unrestricted(patterns)[0]))
    system = joint_with_moments(original(fitted.system), [one.without.moments for one in answered])
    if (rules := restrictions(fitted.model)) is not None:
        return _refit_within(fitted, system, rules, answers_objective(system, answered))
    end = climb(system, answered, system.coordinates(fitted.solution.theta), errors=False)
    if not end.converged:
        end = climb(system, answered, _search(system).x, errors=False)
    if not end.converged:
        raise _not_converged(system, end)
    return _solution(system, end)


def _refit_weighted(fitted: SemFit, system: System, moments: Sequence[Moments]) -> Solution:
    weights = _weights(system, moments, fitted.options)
    if (rules := restrictions(fitted.model)) is not None:
        return _refit_within(fitted, system, rules, squares_objective(system, weights))
    end = weighted_search(system, system.coordinates(fitted.solution.theta), weights)
    if end is None or not end.converged:
        end = weighted_solve(system, weights)
    if not end.converged:
        raise _not_converged(system, end)
    return _solution(system, end)


def _refit_within(fitted: SemFit, system: System, rules: Restrictions, objective: Objective) -> Solution:
    moved, end, _ = _within(system, rules, objective, system.coordinates(fitted.solution.theta))
    return _solution(moved, end)


def _within(
    system: System,
    rules: Restrictions,
    objective: Objective,
    start: FloatArray | None = None,
    *,
    observed: bool = False,
) -> tuple[System, Search, tuple[Note, ...]]:
    """Search under constraints that are not linear; the system along them, its end, and what to say."""
    found = best_within(system, rules, objective, start, observed=observed)
    return found.system, found.end, found.notes


def _moments(data: Data, model: Model, *, higher: bool = False) -> tuple[Moments, int]:
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


def _solve(
    system: System, model: Model, moments: Sequence[Moments], options: Options
) -> tuple[System, tuple[Note, ...], tuple[Search, str]]:
    """The system in the coordinates of the end, what to say of its constraints, the end and who found it."""
    if options.engine == "semopy":
        from spc.sem.semopy_engine import solve

        if len(moments) > 1:
            raise UnsupportedError("engine='semopy' fits groups one by one, without what they share; use engine='spc'.")
        theta = solve(model, moments[0], options.likelihood)
        return system, (), (_evaluate(system, theta), "semopy")
    if (rules := restrictions(model)) is not None:
        moved, end, notes = _within(system, rules, normal_objective(system))
        return moved, notes, (end, "converged")
    end = _search(system)
    if not end.converged:
        nearby = diagnose.unidentified_nearby(system, end.x)
        if nearby is not None:
            raise diagnose.not_identified(diagnose.null_parameters(system, nearby))
        raise _not_converged(system, end)
    return system, (), (end, "converged")


def _search(system: System) -> Search:
    """Search from one set of start values after another, then along the valley; the first end, else the best.

    An end with a negative variance may be a false optimum: the other start values are tried too, and the lowest kept.
    The user's own start values are left out where they lead nowhere.
    """
    best: Search | None = None
    given = any(not np.isnan(problem.place.start).all() for problem in problems_of(system))
    ways = (*WAYS, *(("unaided",) if given else ()))
    for minimise, way in (*((search, way) for way in ways), (along_valley, ways[1]), (along_valley, ways[-1])):
        if best is not None and best.converged and minimise is along_valley:
            break
        end = minimise(system, start_values(system, way))
        if end is None:
            continue
        if best is None or (end.converged, -end.value) > (best.converged, -best.value):
            best = end
        if best.converged and _no_negative_variance(system, best.x):
            return best
    if best is None:
        raise NotPositiveDefiniteError(
            "The covariance matrix that the model implies at its start values is not positive definite. Check the "
            "fixed values and the start values of the model."
        )
    return best


def _no_negative_variance(system: System, x: FloatArray) -> bool:
    return all(bool(np.all(one.values(x)[one.place.diagonal] >= 0.0)) for one in problems_of(system))


def _not_converged(system: System, end: Search) -> NonConvergenceError:
    partial = _solution(system, end, "not converged")
    return NonConvergenceError(
        f"The search stopped after {end.iterations} steps before the gradient was zero (scaled gradient "
        f"{partial.gradient_norm:.1e}). Usually the model does not fit these data anywhere near: look for a latent "
        "variable with indicators that do not correlate, or give start values.",
        partial,
    )


def _evaluate(system: System, theta: FloatArray) -> Search:
    """The state at estimates that came from elsewhere."""
    x = system.coordinates(theta)
    state = look(system, x)
    if state is None:
        raise NotPositiveDefiniteError("The covariance matrix implied by the estimates is not positive definite.")
    score, information = derivatives(system, state)
    decrement = float(score @ np.linalg.lstsq(information, score, rcond=None)[0])
    return Search(x, state, information, max(decrement, 0.0), 0, True)


def _solution(system: System, end: Search, status: str = "converged") -> Solution:
    message = {
        "converged": f"converged after {end.iterations} steps",
        "not converged": f"stopped after {end.iterations} steps",
    }.get(status, f"estimates by {status}, evaluated here")
    return Solution(system.theta(end.x), end.value, end.decrement**0.5, end.iterations, status, message)


def _finish(
    model: Model,
    pieces: Sequence[_Piece],
    moments: Sequence[Moments],
    system: System,
    options: Options,
    found: tuple[Search, str],
    given: int,
) -> SemFit:
    end, status = found
    solution, problems = _solution(system, end, status), problems_of(system)
    if options.information == "observed" and options.missing == "listwise":
        end = replace(end, information=observed_information(system, end.state))
    if options.estimator != "ULS":
        diagnose.check_faint(system, end, solution)
    vcov = system.spread(diagnose.inverse_information(system, end, solution) / system.divisor)
    parts = tuple(
        Part(piece.model, one, problem, point, piece.label)
        for piece, one, problem, point in zip(pieces, moments, problems, end.state.points, strict=True)
    )
    arrays = [array for one in moments for array in (one.cov, one.mean) if array is not None]
    provenance = Provenance.record(asdict(options), fingerprint(*arrays))
    return SemFit(
        model, parts, solution, frozen_array(vcov), baseline(problems, _models(pieces)), options, provenance, system,
        (*_improper(parts, end), *diagnose.dropped_rows(given, sum(one.n for one in moments))),
    )  # fmt: skip


def _improper(parts: Sequence[Part], end: Search) -> list[Note]:
    notes: list[Note] = []
    for part in parts:
        found = diagnose.improper(part.problem.place, part.problem.values(end.x), part.point.at)
        notes += diagnose.of_group(found, part.group)
    return notes
