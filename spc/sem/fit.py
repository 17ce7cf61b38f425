"""The door of the engine: a model and data in, a fitted model out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal
from warnings import warn

import numpy as np
import pandas as pd

from spc.errors import (
    DataError,
    DroppedRowsWarning,
    ImproperSolutionWarning,
    SmallSampleWarning,
    UnsupportedError,
    UsageError,
)
from spc.linalg import frozen_array, one_blas_thread
from spc.moments import Moments, Patterns
from spc.moments.columns import kinds_of_columns
from spc.results import Note
from spc.sem.completion import Piece, completed, has_levels, models_of, pieces_of
from spc.sem.engine import diagnose
from spc.sem.engine.groups import Data, Given, Group, in_group, split
from spc.sem.engine.joint import System, join, problems_of
from spc.sem.engine.optimise import Search, observed_information
from spc.sem.engine.problem import Problem, covariates_of
from spc.sem.engine.restrictions import restrictions
from spc.sem.feasible import best_within
from spc.sem.in_place import groups_in_place, reduced, require_in_place, with_dropped_rows
from spc.sem.inference.casewise import Evidence
from spc.sem.inference.robust import (
    complete_rows,
    evidence,
    few_clusters,
    independent_blocks,
    sandwich,
    sandwich_kind,
    state_of,
)
from spc.sem.measures import Baseline, baseline
from spc.sem.missing.fiml import (
    Answered,
    Answers,
    climb,
    covariate_logl,
    evaluate,
    independence_chisq,
    unrestricted,
    usable,
)
from spc.sem.missing.fiml_robust import Rowwise, rows_apart, sandwich_of_rows, single_rows
from spc.sem.missing.incomplete import lay_out
from spc.sem.missing.saturated import logl
from spc.sem.objective import answers_objective, normal_objective, squares_objective
from spc.sem.options import CONTINUOUS, ORDINAL, WEIGHTED, Engine, Estimator, Information, Likelihood, Missing, Options
from spc.sem.refit import refit
from spc.sem.result import Part, SemFit, improper
from spc.sem.solve import not_converged, search_everywhere, solution_of, solve, weights_of
from spc.sem.weighted import (
    baseline_discrepancy,
    row_covariances,
    unweighted_sandwich,
    weighted_solve,
)
from spc.sources import Source
from spc.spec.table import Model, Parameterization

__all__ = ["Engine", "Options", "SemFit", "fit", "ordered_items", "refit"]

_WARN_OF = {
    "dropped_rows": DroppedRowsWarning,
    "low_coverage": SmallSampleWarning,
    "no_saturated_moments": SmallSampleWarning,
}


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
    parameterization: Parameterization | None = None,
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
    estimator : {"ML", "MLM", "MLR", "GLS", "ULS", "WLS", "DWLS", "WLSM", "WLSMV", "WLSMVS", "ULSMV"}, optional
        Without, ML, or WLSMV where items are ordered. Robust estimators and WLS need rows of data, or
        ``Moments.from_frame(..., higher=True)``. The last five are for ordered items.
    missing : {"listwise", "pairwise", "fiml", "ml"}, optional
        Rows with missing answers are left out, with a warning; or all answers count, by full-information maximum
        likelihood (ML and MLR); or, the default for ordered items, each pair of items rests on the rows that answer it.
    likelihood : {"normal", "wishart"}
        Divisor n or n - 1 of the covariances under maximum likelihood.
    engine : {"spc", "semopy"}
        What finds the estimates; everything else is computed here either way.
    level : float
        Of the intervals, such as 0.95.
    cluster : str, optional
        Column of clusters: errors and test allow for any dependence within them (ML and MLR); needed by models with
        ``level:`` blocks. Needs rows of data.
    group : str, optional
        Column that tells the groups apart. Every group gets the rows of the model, and numbers of its own but for
        what the text, or ``group_equal``, holds equal.
    group_equal, group_partial : sequence of str
        What groups share: loadings, intercepts, means, thresholds, regressions, residuals, residual_covariances,
        lv_variances, lv_covariances; and what is free after all, as ``("visual=~x2",)``.
    ordered : sequence of str
        Items whose answers are ordered categories.
    information : {"expected", "observed"}, optional
        What errors come from; without, the estimator's own, as in lavaan.
    parameterization : {"delta", "theta"}, optional
        Of ordered items: their scales are parameters, as in lavaan without a word; or their residual variances.

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
        Options or parts of the model that have no method, see below; the message says which have.
    UsageError
        No model, or a level outside 0 to 1; equality without groups.

    Warns
    -----
    ImproperSolutionWarning
        A negative variance, or a covariance matrix that no variables could have; see ``notes()``.
    DroppedRowsWarning
        Rows with missing values were left out.
    SmallSampleWarning
        Under ``missing="fiml"``, fewer than a tenth of the rows answer some pair of variables, or too few answer all
        of them for a test of fit.

    Notes
    -----
    Refused, never ignored:

    - ordered items with estimators of continuous ones and the other way round; with ``missing="fiml"``, which would
      take an integral over all latent variables; with clusters or levels; and from moments, which hold no categories;
    - ``missing="fiml"`` but with ML and MLR, as the others weigh moments of complete rows; ``missing="pairwise"`` but
      with ordered items, as pairwise covariances need not be those of any data;
    - clusters but with ML and MLR, whose scores of rows are summed by cluster; and from moments, which have no rows;
    - robust errors and WLS from moments without those of third and fourth order, which they are made of;
    - ``parameterization`` but with ordered items, and another than that of a Model;
    - ``information`` but with ML, as other estimators have their own; the expected one with missing answers, which
      holds only where answers are missing completely at random, and with clusters of one level;
    - ``likelihood="wishart"`` and ``engine="semopy"`` but with ML on complete rows; semopy with means, groups,
      constraints or bounds, where its answers are not right;
    - a Source where the rows themselves are needed: ordered items, levels, clusters, and robust errors with
      ``missing="fiml"``.

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
    if not isinstance(model, Model | str):
        raise UsageError(
            f"found a model of type {type(model).__name__}; expected a Model, or text as 'f =~ x1 + x2 + x3'."
        )
    ordered = _words(ordered) or ordered_items(model, data, estimator)
    ordinal = bool(ordered)
    options = Options(
        estimator or ("WLSMV" if ordinal else "ML"), _missing(missing, ordinal=ordinal), likelihood, engine, level,
        cluster, group, _words(group_equal), _words(group_partial), ordered, information,
        _parameterization(model, parameterization, ordinal=ordinal),
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


def _parameterization(model: Model | str, given: Parameterization | None, *, ordinal: bool) -> Parameterization:
    """That of the call, or of the model, which must not differ."""
    if given is not None and not ordinal:
        raise UnsupportedError(f"parameterization={given!r} is of ordered items: name them, ordered=['item', ...].")
    own = model.parameterization if isinstance(model, Model) and model.ordinal else None
    if own is not None and given not in (None, own):
        raise UsageError(f"parameterization={given!r}, and the model was read with {own!r}: leave one of them out.")
    if own is not None:
        return own
    return given or (model.parameterization if isinstance(model, Model) else "delta")


def ordered_items(model: Model | str, data: object, estimator: Estimator | None = None) -> tuple[str, ...]:
    """Those that the model names, else its variables that are ordered categoricals in the data.

    An estimator of continuous variables is not asked for: their columns are refused where they are read.
    """
    if isinstance(model, Model) and model.ordinal:
        return model.ordinal
    if estimator in CONTINUOUS:
        return ()
    if not isinstance(data, pd.DataFrame) or pd.CategoricalDtype not in kinds_of_columns(data):
        return ()
    from spc.sem.ordinal.fit import ordered_columns
    from spc.spec import observed_variables

    return ordered_columns(data, observed_variables(model) if isinstance(model, str) else model.observed)


def _words(given: Sequence[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        return (given,)
    try:
        return tuple(given)
    except TypeError:
        raise UsageError(f"found {given!r}; expected names, such as ['item1', 'item2'].") from None


def _dispatched(model: Model | str, data: Given | Source, options: Options, *, ordinal: bool) -> SemFit:
    """Hand the model to its method: ordered items, levels, or one level of continuous variables."""
    if isinstance(data, Source):
        require_in_place(options, ordinal=ordinal, levels=has_levels(model))
        groups = groups_in_place(data, options)
        made = completed(model, groups, options)
        return with_dropped_rows(_fitted(made, reduced(data, groups, made, options), options), data)
    if ordinal:
        from spc.sem.ordinal.fit import fit_ordinal

        return fit_ordinal(model, data, options)
    if options.estimator in ORDINAL:
        raise UnsupportedError(
            f"estimator={options.estimator!r} is for ordered items: name them, ordered=['item', ...]."
        )
    if has_levels(model):
        from spc.sem.twolevel.model import fit_levels

        return fit_levels(model, data, options)  # type: ignore[arg-type]
    if options.information == "expected" and options.cluster is not None:
        raise UnsupportedError("information='expected' has no method with clusters of one level; leave it out.")
    groups = split(data, options.group)
    return _fitted(completed(model, groups, options), groups, options)


def _fitted(model: Model, groups: Sequence[Group], options: Options) -> SemFit:
    with one_blas_thread():
        way = _fit_answers if options.missing == "fiml" else _fit_moments
        return way(model, pieces_of(model, groups), options)


def _fit_moments(model: Model, pieces: Sequence[Piece], options: Options) -> SemFit:
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
    system, notes, found = solve(system, model, moments, options)
    result = _noted(_finish(model, pieces, moments, system, options, found, given), notes)
    return result if known is None else _robust(result, *known)


def _check_count(system: System, model: Model) -> None:
    rules = restrictions(model)
    diagnose.check_count(system, 0 if rules is None else len(rules.equal))


def _noted(result: SemFit, notes: tuple[Note, ...]) -> SemFit:
    return replace(result, found=(*result.found, *notes)) if notes else result


def _of_piece(piece: Piece, options: Options) -> tuple[Moments, int]:
    with in_group(piece.label):
        return _moments(piece.data, piece.model, higher=options.estimator in ("ULS", "WLS"))


def _joined(model: Model, pieces: Sequence[Piece], moments: Sequence[Moments], likelihood: str) -> System:
    return join(model, [piece.model for piece in pieces], moments, likelihood, [piece.label for piece in pieces])


def _known(pieces: Sequence[Piece], system: System, options: Options) -> tuple[list[Evidence], tuple[Note, ...]]:
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
    model: Model, pieces: Sequence[Piece], moments: Sequence[Moments], system: System, options: Options, given: int
) -> SemFit:
    """Fit by least squares on the moments."""
    weights, rules = weights_of(system, moments, options), restrictions(model)
    notes: tuple[Note, ...] = ()
    if rules is None:
        end = weighted_solve(system, weights)
    else:
        found = best_within(system, rules, squares_objective(system, weights))
        system, end, notes = found.system, found.end, found.notes
    if not end.converged:
        raise not_converged(system, end)
    result = _noted(_finish(model, pieces, moments, system, options, (end, "converged"), given), notes)
    problems = problems_of(system)
    blocks = [independent_blocks(*part) for part in zip(problems, map(covariates_of, models_of(pieces)), strict=True)]
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


def _fit_answers(model: Model, pieces: Sequence[Piece], options: Options) -> SemFit:
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
        end = climb(system, answered, search_everywhere(system).x)
    else:
        begin = best_within(system, rules, normal_objective(system)).x
        found = best_within(system, rules, answers_objective(system, answered), begin, observed=True)
        system, end, held = found.system, found.end, found.notes
    if not end.converged:
        nearby = diagnose.unidentified_nearby(system, end.x)
        if nearby is not None:
            raise diagnose.not_identified(diagnose.null_parameters(system, nearby))
        raise not_converged(system, end)
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


def _independence(pieces: Sequence[Piece], answered: Sequence[Answered]) -> float:
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


def _robust_answers(result: SemFit, pieces: Sequence[Piece], end: Search) -> SemFit:
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


def _finish(
    model: Model,
    pieces: Sequence[Piece],
    moments: Sequence[Moments],
    system: System,
    options: Options,
    found: tuple[Search, str],
    given: int,
) -> SemFit:
    end, status = found
    solution, problems = solution_of(system, end, status), problems_of(system)
    if options.information == "observed" and options.missing == "listwise":
        end = replace(end, information=observed_information(system, end.state))
    if options.estimator != "ULS":
        diagnose.check_faint(system, end, solution)
    vcov = system.spread(diagnose.inverse_information(system, end, solution) / system.divisor)
    parts = tuple(
        Part(piece.model, one, problem, point, piece.label)
        for piece, one, problem, point in zip(pieces, moments, problems, end.state.points, strict=True)
    )
    return SemFit(
        model, parts, solution, frozen_array(vcov), baseline(problems, models_of(pieces)), options, system,
        (*improper(parts, end.x), *diagnose.dropped_rows(given, sum(one.n for one in moments))),
        seen=tuple(array for one in moments for array in (one.cov, one.mean) if array is not None),
    )  # fmt: skip
