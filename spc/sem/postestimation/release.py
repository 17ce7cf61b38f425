"""Score tests of what a model holds equal: what releasing one equality, or all of them, would gain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.linalg import block_diag

from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sem.engine.defined import is_linear, label_rows, linear_constraints, linear_equalities
from spc.sem.engine.problem import label_slopes
from spc.sem.engine.restrictions import restrictions
from spc.sem.fit import SemFit
from spc.sem.inference.fitmeasures import chisq_pvalue
from spc.sem.lean import leans, rows_of_tests

__all__ = ["ReleaseTest", "release_test"]

_UNTESTABLE = 1e-8


@dataclass(frozen=True, eq=False, repr=False)
class ReleaseTest(Shown):
    """Score tests of equalities.

    Attributes
    ----------
    statistic, df, p_value : float, int, float
        Of releasing all of them; NaN where the model would not be identified without them.
    table : DataFrame
        ``TIDY_COLUMNS``: one row an equality released alone, ``statistic`` its chi-square with one degree of freedom.
    nobs : int
    provenance : Provenance
    """

    statistic: float
    df: int
    p_value: float
    table: pd.DataFrame
    nobs: int
    provenance: Provenance
    kind: str = "release"

    def tidy(self) -> pd.DataFrame:
        """One row an equality, in the order of the model."""
        return self.table.copy()

    def glance(self) -> pd.DataFrame:
        """One row: all equalities released together."""
        return pd.DataFrame([{"chisq": self.statistic, "df": self.df, "pvalue": self.p_value, "nobs": self.nobs}])

    def notes(self) -> tuple[Note, ...]:
        """Why there is no test of all of them together, where there is none."""
        if not np.isnan(self.statistic):
            return ()
        text = "Without all of them together the model is not identified, so they are tested one by one only."
        return (Note("not_identified", "info", "all equalities", text),)


def release_test(fit: SemFit) -> ReleaseTest:
    r"""Test equal labels and equality constraints one by one, and all together, by their scores.

    Parameters
    ----------
    fit : SemFit

    Returns
    -------
    ReleaseTest

    Raises
    ------
    UsageError
        The model holds nothing equal.

    References
    ----------
    Sörbom (1989), Psychometrika 54, 371-384.

    Examples
    --------
    >>> from spc.moments import Moments
    >>> from spc.sem.fit import fit
    >>> r = [[1.0, 0.2, 0.5], [0.2, 1.0, 0.3], [0.5, 0.3, 1.0]]
    >>> equal = fit("y ~ a*x1 + a*x2", Moments(["x1", "x2", "y"], 100, None, r))
    >>> test = release_test(equal)
    >>> test.tidy()[["lhs", "rhs", "statistic"]].round(3)
        lhs   rhs  statistic
    0  y~x1  y~x2      3.409
    """
    names, matrix = _equalities(fit)
    if not names:
        raise UsageError("The model holds no parameters equal, so there is nothing to release.")
    problems = [part.problem for part in fit.parts]
    x = fit.system.coordinates(fit.solution.theta)
    found = leans(fit, x, [problem.place for problem in problems], [problem.active for problem in problems])
    score = np.concatenate([block.share * block.score for block in found])
    information = block_diag(*(block.share * block.information for block in found))
    matrix = matrix / np.concatenate([part.problem.multiplier[part.problem.active] for part in fit.parts])
    matrix = matrix / np.abs(matrix).max(axis=1, keepdims=True)
    alone = [_gain(score, information, np.delete(matrix, i, axis=0)) for i in range(len(names))]
    held = int(np.linalg.matrix_rank(matrix))
    n = rows_of_tests(fit)
    together = n * _gain(score, information, matrix[:0])
    table = tidy_frame([
        {
            "lhs": left, "op": "==", "rhs": right, "kind": "equality",
            "statistic": n * gain, "p_value": chisq_pvalue(n * gain, 1),
        }
        for (left, right), gain in zip(names, alone, strict=True)
    ])  # fmt: skip
    provenance = Provenance.record({"equalities": len(names)}, fit.provenance.data_fingerprint)
    return ReleaseTest(together, held, chisq_pvalue(together, held), table, fit.system.n, provenance)


def _equalities(fit: SemFit) -> tuple[list[tuple[str, str]], FloatArray]:
    """What is held equal, in words and as rows of a matrix on the free rows of the table that is zero there."""
    model = fit.model
    active = [part.model.parameters.rows[i] for part in fit.parts for i in part.problem.active]
    words = [row.own_name for row in active]
    unit = np.eye(len(active))
    names: list[tuple[str, str]] = []
    lines: list[FloatArray] = []
    first: dict[int, int] = {}
    for at, row in enumerate(active):
        start = first.setdefault(row.free, at)
        if start != at:
            names.append((words[start], words[at]))
            lines.append(unit[start] - unit[at])
    if model.constraints:
        rows = model.parameters.rows
        labels = {name: 0.0 if rows[i].free else rows[i].fixed for name, i in label_rows(model).items()}
        onto = unit[[first[number] for number in range(1, model.parameters.n_free + 1)]]
        linear = [item for item in model.constraints if item.op == "==" and is_linear(model, item)]
        given = linear_constraints(linear_equalities(model), labels, label_slopes(model))[0]
        lines += list(given @ onto)
        names += [(item.left.strip(), item.right.strip()) for item in linear]
        for text, slope in _bent(fit):
            lines.append(slope @ onto)
            names.append(text)
    return names, np.array(lines).reshape(len(names), len(active))


def _bent(fit: SemFit) -> Iterator[tuple[tuple[str, str], FloatArray]]:
    """Sides and slopes at the estimates of nonlinear equalities, and of inequalities that hold with equality."""
    rules, theta = restrictions(fit.model), fit.solution.theta
    for item in () if rules is None else rules.at_work(theta):
        left, _, right = re.split(r"(==|<|>)", item.text)
        yield (left.strip(), right.strip()), item.gradient(theta)


def _gain(score: FloatArray, information: FloatArray, matrix: FloatArray) -> float:
    """Score statistic, a row of data, in the space where ``matrix`` is zero; NaN where that is not identified."""
    _, singular, right = np.linalg.svd(matrix)
    rank = int((singular > 1e-10).sum())
    span = right[rank:].T
    within = span.T @ information @ span
    size = np.sqrt(within.diagonal())
    if float(np.linalg.eigvalsh(within / np.outer(size, size))[0]) < _UNTESTABLE:
        return float("nan")
    pull = span.T @ score
    return float(pull @ np.linalg.solve(within, pull))
