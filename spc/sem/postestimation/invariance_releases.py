"""What to release where a step of measurement invariance does not hold: score tests of all that it adds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from spc.linalg import FloatArray
from spc.sem.engine.joint import shares_of
from spc.sem.inference.fitmeasures import chisq_pvalue
from spc.sem.lean import lean, rows_of_tests
from spc.sem.postestimation.release import release_test
from spc.sem.result import SemFit
from spc.spec.table import Parameter

__all__ = ["held_tests", "released"]

_COLUMNS = ("step", "parameter", "group", "chisq", "pvalue")
_UNTESTABLE = 1e-8
Key = tuple[int, str, str, str]


def released(fits: Mapping[str, SemFit]) -> pd.DataFrame:
    """Score tests of the equalities that each step adds to the one before: largest first in each step.

    Returns
    -------
    DataFrame
        ``step, parameter, group, chisq, pvalue``. Equal parameters, and what a step holds at the value of the first
        group: intercepts at zero, residual variances of ordered items at one.
    """
    rows: list[dict[str, Any]] = []
    before: SemFit | None = None
    known = frozenset[tuple[str, str]]()
    for name, fit in fits.items():
        found, known = _ties(fit, known)
        if before is not None:
            found += held_tests(fit, _newly_held(fit, before))
        rows += [{"step": name, **one} for one in sorted(found, key=lambda one: -np.nan_to_num(one["chisq"], nan=-1.0))]
        before = fit
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _ties(fit: SemFit, before: frozenset[tuple[str, str]]) -> tuple[list[dict[str, Any]], frozenset[tuple[str, str]]]:
    """Tests of parameters of one number, those of the step before aside."""
    free = [row.free for row in fit.model.parameters if row.free]
    if not fit.options.group_equal or len(free) == len(set(free)):
        return [], frozenset()
    table = release_test(fit).tidy()
    pairs = list(zip(table["lhs"], table["rhs"], strict=True))
    found = [
        {"parameter": one["lhs"], "group": _group_of(one["rhs"], fit.groups), "chisq": one["statistic"],
         "pvalue": one["p_value"]}
        for one, pair in zip(table.to_dict("records"), pairs, strict=True)
        if pair not in before
    ]  # fmt: skip
    return found, frozenset(pairs)


def _group_of(name: str, groups: tuple[str, ...]) -> str:
    number = name.rpartition(".g")[2]
    return groups[int(number) - 1] if number.isdigit() and 0 < int(number) <= len(groups) else ""


def _newly_held(fit: SemFit, before: SemFit) -> set[Key]:
    """Intercepts, and residual variances, that are fixed and were free in the step before."""
    free = {_key(row) for row in before.model.parameters if row.free}
    held = {_key(row) for row in fit.model.parameters if row.op in ("~1", "~~") and not row.free}
    return held & free


def _key(row: Parameter) -> Key:
    return row.group, row.lhs, row.op, row.rhs


def held_tests(fit: SemFit, held: set[Key]) -> list[dict[str, Any]]:
    """Score test of each of some fixed rows, named as in the first group, as if it alone went free."""
    if not held:
        return []
    x, shares, n = fit.system.coordinates(fit.solution.theta), shares_of(fit.system), rows_of_tests(fit)
    asked = [[i for i, row in enumerate(part.model.parameters.rows) if _key(row) in held] for part in fit.parts]
    found = [_lean(fit, at, x, share, rows) for at, (share, rows) in enumerate(zip(shares, asked, strict=True))]
    within = np.sum([inner for _, _, _, inner in found], axis=0)
    tests = []
    for part, rows, (score, own, between, _) in zip(fit.parts, asked, found, strict=True):
        left = own - np.einsum("ij,ij->i", between, np.linalg.solve(within, between.T).T)
        for at, row in enumerate(part.model.parameters.rows[i] for i in rows):
            chisq = n * score[at] ** 2 / left[at] if left[at] > _UNTESTABLE * own[at] else np.nan
            name = replace(row, group=1).own_name
            tests.append(
                {"parameter": name, "group": part.group, "chisq": chisq, "pvalue": chisq_pvalue(float(chisq), 1)}
            )
    return tests


def _lean(
    fit: SemFit, at: int, x: FloatArray, share: float, rows: Sequence[int]
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Scores and information of the rows of a part, theirs with the coordinates and that of these, for one row."""
    part = fit.parts[at]
    problem, k = part.problem, part.problem.active.size
    asked = np.concatenate([problem.active, np.array(rows, dtype=np.intp)])
    score, information = lean(part, x, problem.place, asked)
    between = information[k:, :k] @ problem.map
    within = problem.map.T @ information[:k, :k] @ problem.map
    return share * score[k:], share * information.diagonal()[k:], share * between, share * within
