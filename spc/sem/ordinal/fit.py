"""Models of ordered items: from rows to a fitted model, by least squares on thresholds and polychoric correlations.

Estimators, each with what follows from it:

* ``WLSMV``, the default: diagonal weights (DWLS), sandwich errors, a test scaled and shifted to the mean and variance
  of a chi-square (Asparouhov & Muthen 2010);
* ``WLSM`` and ``WLSMVS``: the same with a test scaled to the mean alone, or to mean and variance by other degrees of
  freedom (Satterthwaite);
* ``ULSMV``: as WLSMV without weights;
* ``WLS``: the full weight matrix, which needs very many rows;
* ``DWLS``: errors and test as if the diagonal weights were the full ones, for comparison with other programs.

Rows that miss answers count wherever they answer what a statistic needs (pairwise), unless ``missing="listwise"``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from spc.errors import DataError, UnsupportedError, UsageError
from spc.linalg import frozen_array, one_blas_thread
from spc.moments import Counts, Moments, categories
from spc.results import Note
from spc.sem.engine import diagnose
from spc.sem.engine.groups import Given, Group, in_group, split
from spc.sem.engine.optimise import Solution
from spc.sem.engine.restrictions import restrictions
from spc.sem.feasible import best_within
from spc.sem.inference.scaled import Correction, ratio
from spc.sem.measures import Baseline
from spc.sem.objective import ordinal_objective
from spc.sem.options import Options
from spc.sem.ordinal.conditional import conditional_moments
from spc.sem.ordinal.moments import OrdinalMoments, ordinal_moments
from spc.sem.ordinal.problem import OrdinalProblem, Weighting, ordinal_system
from spc.sem.ordinal.search import Spread, ordinal_problems, ordinal_search, ordinal_solve, spread
from spc.sem.result import Part, SemFit, improper
from spc.sem.solve import solution_of
from spc.spec import model as read_model
from spc.spec import observed_variables
from spc.spec.table import Block, Model, blocks

__all__ = ["fit_ordinal", "ordered_columns", "refit_ordinal", "sampled_moments"]


@dataclass(frozen=True, slots=True)
class _Way:
    """What an estimator's name stands for."""

    weighting: Weighting
    robust: bool
    test: str | None


WAYS: Mapping[str, _Way] = {
    "WLSMV": _Way("DWLS", True, "scaled_shifted"),
    "WLSM": _Way("DWLS", True, "satorra_bentler"),
    "WLSMVS": _Way("DWLS", True, "mean_var_adjusted"),
    "DWLS": _Way("DWLS", False, None),
    "ULSMV": _Way("ULS", True, "scaled_shifted"),
    "WLS": _Way("WLS", False, None),
}


def fit_ordinal(model: Model | str, data: Given, options: Options) -> SemFit:
    """Fit a model with ordered items.

    Parameters
    ----------
    model : Model or str
    data : DataFrame, or one a group
        Rows; moments hold no categories.
    options : Options

    Raises
    ------
    UnsupportedError
        Another estimator, or data that are not rows.
    DataError, SpecError, NotIdentifiedError, SingularInformationError, NonConvergenceError
        See :func:`spc.sem.fit`.

    References
    ----------
    Muthen, du Toit & Spisic (1997), unpublished technical report on robust inference with categorical outcomes;
    Asparouhov & Muthen (2010), Mplus technical report on the simple second-order chi-square correction; Satorra &
    Bentler (1994), in von Eye & Clogg (eds.), Latent Variables Analysis.
    """
    way = WAYS.get(options.estimator)
    if way is None:
        raise UnsupportedError(
            f"estimator={options.estimator!r} has no method for ordered items. Use {', '.join(WAYS)}; or leave "
            "ordered= out, and the items are continuous."
        )
    groups = split(data, options.group)
    for group in groups:
        if not isinstance(group.data, pd.DataFrame):
            raise UnsupportedError(
                f"Ordered items need rows, and the data are {type(group.data).__name__}: give a pandas DataFrame."
            )
    with one_blas_thread():
        made, levels = _completed(model, groups, options)
        counts, notes = _counted(made, groups, levels, options)
        sampled = [sampled_moments(one, block.model) for one, block in zip(counts, blocks(made), strict=True)]
        return _fitted(made, sampled, options, way, notes)


def ordered_columns(data: Given, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the named columns that are ordered categoricals."""
    frames = [one for one in (data.values() if isinstance(data, Mapping) else [data]) if isinstance(one, pd.DataFrame)]
    if not frames:
        return ()
    dtypes = frames[0].dtypes

    def is_ordered(name: str) -> bool:
        dtype = dtypes.get(name)
        return isinstance(dtype, pd.CategoricalDtype) and bool(dtype.ordered)

    return tuple(name for name in names if is_ordered(name))


def _completed(
    model: Model | str, groups: Sequence[Group], options: Options
) -> tuple[Model, dict[str, tuple[Any, ...]]]:
    """The model with the thresholds that the data have, and the categories of the ordered items."""
    made = None if isinstance(model, str) else model
    levels = _levels(groups, options.ordered)
    labels = tuple(group.label for group in groups) if len(groups) > 1 else ()
    text = model if isinstance(model, str) else model.text
    if made is not None and made.ordinal and (not labels or made.groups == labels):
        return made, levels
    if not text:
        raise UnsupportedError("Name the ordered items when the model is read: spc.model(text, ordered={...}).")
    wanted: dict[str, Any] = {} if made is None else dict(made.options)
    known = observed_variables(text)
    if not any(name in known for name in levels):
        raise UsageError(f"ordered: none of {', '.join(levels)} is in the model, which has {', '.join(known)}.")
    wanted["ordered"] = {name: len(found) for name, found in levels.items() if name in known}
    if labels:
        wanted["groups"] = labels
        wanted |= {name: getattr(options, name) for name in ("group_equal", "group_partial") if getattr(options, name)}
    wanted["parameterization"] = options.parameterization
    wanted.pop("meanstructure", None)
    read = read_model(text, **wanted)
    if not read.ordinal:
        raise UsageError(
            f"ordered: {', '.join(name for name in levels if name in known)} only explain, and covariates need no "
            "categories: give them as numbers, and leave ordered= out."
        )
    return read, levels


def _levels(groups: Sequence[Group], named: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    frames = [group.data for group in groups if isinstance(group.data, pd.DataFrame)]
    absent = [name for name in named if any(name not in frame.columns for frame in frames)]
    if absent:
        from spc.moments.columns import absent_columns

        raise DataError(absent_columns("data", absent, list(frames[0].columns)))
    whole = frames[0] if len(frames) == 1 else pd.concat([frame[list(named)] for frame in frames], ignore_index=True)
    return categories(whole, list(named))


def _counted(
    model: Model, groups: Sequence[Group], levels: dict[str, tuple[Any, ...]], options: Options
) -> tuple[list[Counts], tuple[Note, ...]]:
    data = {group.label: group.data for group in groups}
    found: list[Counts] = []
    given = complete = 0
    for label, block in zip(_labels(model), blocks(model), strict=True):
        frame = data[label]
        assert isinstance(frame, pd.DataFrame)
        with in_group(label):
            own = block.model
            counts = Counts.from_frame(frame, own.observed, own.ordinal, levels=levels, group=label or None)
            given += len(frame)
            complete += int(counts.answered().all(axis=1).sum())
            found.append(counts.complete() if options.missing == "listwise" else counts)
    used = sum(counts.n for counts in found)
    if options.missing == "listwise":
        return found, diagnose.dropped_rows(given, used)
    return found, _pairwise(given, used, complete)


def _labels(model: Model) -> list[str]:
    many = len(model.groups) > 1
    return [model.groups[block.group - 1] if many else "" for block in blocks(model)]


def _pairwise(given: int, used: int, complete: int) -> tuple[Note, ...]:
    if complete == given:
        return ()
    gone = f" {given - used} rows without any answer were left out." if given > used else ""
    return (
        Note(
            "pairwise", "info", "data",
            f"Of {used} rows, {used - complete} miss an answer. Each threshold and each correlation comes from all "
            f"rows that answer its items (pairwise), without bias where answers are missing by chance alone.{gone}",
        ),
    )  # fmt: skip


def _fitted(
    model: Model, sampled: Sequence[OrdinalMoments], options: Options, way: _Way, notes: tuple[Note, ...]
) -> SemFit:
    own: list[Block] = list(blocks(model))
    system = ordinal_system(model, [block.model for block in own], sampled, way.weighting)
    rules = restrictions(model)
    diagnose.check_count(system, 0 if rules is None else len(rules.equal))
    if rules is None:
        end = ordinal_solve(system)
    else:
        within = best_within(system, rules, ordinal_objective(system))
        system, end, notes = within.system, within.end, (*within.notes, *notes)
    found = spread(system, end)
    parts = tuple(
        Part(block.model, _observed(problem), problem, point, label)
        for block, problem, point, label in zip(
            own, ordinal_problems(system), end.state.points, _labels(model), strict=True
        )
    )
    covariance = found.robust if way.robust else found.naive
    result = SemFit(
        model, parts, solution_of(system, end), frozen_array(system.spread(covariance)),
        Baseline(found.base, found.base_df), options, system,
        (*improper(parts, end.x), *_doubts(sampled, parts), *notes), seen=tuple(one.statistics for one in sampled),
    )  # fmt: skip
    return result if way.test is None else replace(result, correction=_correction(result.df, found, way.test))


def sampled_moments(counts: Counts, model: Model) -> OrdinalMoments:
    """Thresholds, correlations and their covariances of a sample, given the covariates that the model holds."""
    found = conditional_moments(counts, model.exogenous) if model.exogenous else ordinal_moments(counts)
    return replace(found, levels=tuple(counts.levels[i] for i in counts.ordered))


def _observed(problem: OrdinalProblem) -> Moments:
    """Correlations and covariances of the responses and the continuous variables, in the user's units."""
    scale = problem.scale[: problem.place.n_observed]
    mean = None if problem.sample.mean is None else problem.sample.mean * scale
    return Moments(problem.place.observed, problem.n, mean, problem.sample.cov * np.outer(scale, scale))


def _correction(df: int, found: Spread, test: str) -> Correction:
    return Correction(
        test, found.trace, ratio(found.trace, df), ratio(found.base_trace, found.base_df),
        second=(found.square, found.base_trace, found.base_square),
    )  # fmt: skip


def _doubts(sampled: Sequence[OrdinalMoments], parts: Sequence[Part]) -> list[Note]:
    """Correlations at their bound, matrices that are none, and tables with empty cells."""
    notes: list[Note] = []
    for one, part in zip(sampled, parts, strict=True):
        found = []
        if one.edge:
            pairs = ", ".join(f"{a} and {b}" for a, b in one.edge)
            found.append(
                Note(
                    "edge_correlation",
                    "serious",
                    pairs,
                    "The answers are so alike that the correlation has no estimate short of one. Keep one item of the "
                    "pair, or join categories.",
                )
            )
        if np.linalg.eigvalsh(part.problem.sample.cov)[0] <= 0.0:
            found.append(
                Note(
                    "not_positive_definite",
                    "warning",
                    "correlations",
                    "The correlations of the items, each estimated by itself, are no correlation matrix as a whole: "
                    "too few rows for so many items, or items that are nearly alike.",
                )
            )
        if one.sparse:
            few = ", ".join(f"{a} x {b}" for a, b in one.sparse[:3]) + (", ..." if len(one.sparse) > 3 else "")
            found.append(
                Note(
                    "empty_cells",
                    "info",
                    few,
                    f"{len(one.sparse)} of the tables of two items have combinations of answers that nobody gave; "
                    "their correlations rest on few rows. Join rare categories where there are many such tables.",
                )
            )
        notes += diagnose.of_group(found, part.group)
    return notes


def refit_ordinal(fitted: SemFit, counts: Sequence[Counts]) -> Solution:
    """Fit the same model to other rows, starting from the given fit; see :func:`spc.sem.refit`.

    Raises
    ------
    NonConvergenceError
        The search stopped early.
    """
    way = WAYS[fitted.options.estimator]
    sampled = [sampled_moments(one, part.model) for one, part in zip(counts, fitted.parts, strict=True)]
    system = ordinal_system(fitted.model, [part.model for part in fitted.parts], sampled, way.weighting)
    if (rules := restrictions(fitted.model)) is not None:
        start = system.coordinates(fitted.solution.theta)
        within = best_within(system, rules, ordinal_objective(system), start)
        return solution_of(within.system, within.end)
    end = ordinal_search(system, system.coordinates(fitted.solution.theta))
    if end is None or not end.converged:
        end = ordinal_solve(system)
    return solution_of(system, end)
