"""What the model leaves out or holds fixed, and what freeing it would change: modification indices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.sem.engine.problem import Balanced, Problem, balance, in_units
from spc.sem.engine.ram import COVARIANCE, DIRECTED, INTERCEPT, IntArray, Structure, structure
from spc.sem.fit import SemFit
from spc.sem.lean import Lean, leans, rows_of_tests
from spc.sem.ordinal.problem import OrdinalProblem, ordinal_structure
from spc.sem.result import Part
from spc.spec.table import Model, Parameter

__all__ = ["modification_indices"]

_UNTESTABLE = 1e-8


def modification_indices(fit: SemFit, *, minimum: float = 0.0, sort: bool = True) -> pd.DataFrame:
    r"""Score test of every parameter that is fixed or left out: how much the chi-square would fall if it were free.

    Candidates are cross-loadings, covariances among residuals and among latent variables, regressions among the
    variables of the regressions, and what the text fixes. A parameter that could not be told from the free ones, such
    as the loading of a marker, has no test and no row.

    Parameters
    ----------
    fit : SemFit
    minimum : float
        Leave out smaller indices; 3.84 is the 5 % point of one test.
    sort : bool
        Largest first; otherwise by kind, in the order of the model.

    Returns
    -------
    DataFrame
        ``lhs, op, rhs``; ``mi``, chi-square with one degree of freedom; ``epc``, the expected change of the parameter;
        ``sepc_lv``, ``sepc_all``, ``sepc_nox``, that change standardised by the latent variables alone, by all
        variables, by all but the covariates. With groups also ``group``, the label of the one whose parameter it is,
        with two levels also ``level``.

    Raises
    ------
    UsageError
        A negative minimum.

    Notes
    -----
    The indices are normal-theory score tests with expected information (observed for two levels with missing answers),
    also of fits whose own test is scaled; under ULS they are an order, not chi-squares. As in lavaan, except that under
    least squares lavaan shrinks index and change by (N - 1)/N, that covariates held at their sample moments are no
    outcomes here (lavaan tests regressions of them on their own consequences), and that the change of a variance is
    divided by the variance (lavaan standardises the fixed value in its place).

    References
    ----------
    Sörbom (1989), Psychometrika 54, 371-384; Saris, Satorra & Sorbom (1987), Sociological Methodology 17, 105-129.

    Examples
    --------
    >>> from spc.moments import Moments
    >>> from spc.sem.fit import fit
    >>> r = [[1.0, 0.5, 0.4], [0.5, 1.0, 0.5], [0.4, 0.5, 1.0]]
    >>> chain = fit("y ~ m\nm ~ x", Moments(["x", "m", "y"], 200, None, r))
    >>> table = modification_indices(chain)
    >>> table.query("lhs == 'y' and rhs == 'x'")[["op", "mi", "epc"]].round(3).to_dict("records")
    [{'op': '~', 'mi': 8.0, 'epc': 0.2}]
    """
    if not minimum >= 0.0:
        raise UsageError(f"minimum={minimum!r}: expected zero or more, such as 3.84.")
    x = fit.system.coordinates(fit.solution.theta)
    wider = [_wider(part, fit.options.likelihood) for part in fit.parts]
    own = [np.flatnonzero(_testable(part.problem, one.place)) for part, (_, one) in zip(fit.parts, wider, strict=True)]
    places = [one.place for _, one in wider]
    rows = [np.concatenate([part.problem.active, tested]) for part, tested in zip(fit.parts, own, strict=True)]
    blocks = leans(fit, x, places, rows)
    tests = [test for block in blocks for test in _tests(fit, block, own)]
    within = np.sum([block.share * _of_coordinates(fit, block) for block in blocks], axis=0)
    n = rows_of_tests(fit)
    parts = zip(fit.parts, wider, tests, strict=True)
    table: pd.DataFrame = pd.concat([_table(part, *one, n, within, test) for part, one, test in parts])
    table = table.drop(columns=[*(() if fit.groups else ("group",)), *(() if fit.levels is not None else ("level",))])
    table = table[np.isfinite(table["mi"]) & (table["mi"] >= minimum)]
    if sort:
        table = table.sort_values("mi", ascending=False, kind="stable")
    found: pd.DataFrame = table.reset_index(drop=True)
    return found


def _wider(part: Part, likelihood: str) -> tuple[Model, Balanced]:
    """The part's model with everything that it leaves out fixed at zero, in the units of the fit."""
    table = part.model.parameters
    model = replace(part.model, parameters=replace(table, rows=(*table.rows, *_absent(part.model))))
    if isinstance(part.problem, OrdinalProblem):
        place = ordinal_structure(model)
        return model, in_units(place, part.problem.n, part.problem.divisor, part.problem.scale[: place.n_observed])
    return model, balance(structure(model), part.observed, likelihood if part.weight is None else "wishart")


@dataclass(frozen=True, eq=False, slots=True)
class _Tests:
    """Rows of a part that may be freed.

    ``score`` and ``own`` are their scores and information for one row of the block's data, ``between`` their
    information with the coordinates, ``share`` the block's share of all rows.
    """

    tested: IntArray
    score: FloatArray
    own: FloatArray
    between: FloatArray
    share: float


def _tests(fit: SemFit, block: Lean, own: Sequence[IntArray]) -> Iterator[_Tests]:
    """Tests of each part of a block, whose rows are the free ones of the part and then the tested ones."""
    free, turn = _free_rows(fit, block)
    for place, start in zip(block.parts, block.starts, strict=True):
        tested = own[place]
        at = start + fit.parts[place].problem.active.size + np.arange(tested.size)
        between = block.information[np.ix_(at, free)] @ turn
        yield _Tests(tested, block.score[at], block.information.diagonal()[at], between, block.share)


def _of_coordinates(fit: SemFit, block: Lean) -> FloatArray:
    """Information on the coordinates (k, k) of one row of a block's data."""
    free, turn = _free_rows(fit, block)
    return np.asarray(turn.T @ block.information[np.ix_(free, free)] @ turn)


def _free_rows(fit: SemFit, block: Lean) -> tuple[IntArray, FloatArray]:
    """Where the free rows of a block are among all of its rows, and their map from the coordinates."""
    problems = [fit.parts[place].problem for place in block.parts]
    each = zip(block.starts, problems, strict=True)
    free = np.concatenate([start + np.arange(problem.active.size) for start, problem in each])
    return free, np.concatenate([problem.map for problem in problems])


def _testable(problem: Problem, place: Structure) -> npt.NDArray[np.bool_]:
    """Rows that are held: not the scales and own parts of ordered items, which are no parameters."""
    held = (place.free < 0) & ~place.sample
    if isinstance(problem, OrdinalProblem):
        alone = (place.part == INTERCEPT) & np.isin(place.row, place.ordered)
        held &= ~alone & np.isin(place.part, (DIRECTED, COVARIANCE, INTERCEPT))
        held[problem.computed] = False
    return held


def _table(part: Part, model: Model, balanced: Balanced, n: int, within: FloatArray, own: _Tests) -> pd.DataFrame:
    """Tests of one part: scores, and their variances given that the free parameters of all parts adapt."""
    taken = own.share * np.einsum("ij,ij->i", own.between, np.linalg.solve(within, own.between.T).T)
    left = own.own - taken
    left[left < _UNTESTABLE * np.maximum(own.own, 1e-300)] = np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        change = own.score / left
        index = own.share * n * own.score * change
        epc = change / balanced.multiplier[own.tested]
        standardised = _standardised(part, balanced.place, own.tested, epc)
    rows = [model.parameters.rows[i] for i in own.tested]
    return pd.DataFrame({
        "lhs": [row.lhs for row in rows], "op": [row.op for row in rows], "rhs": [row.rhs for row in rows],
        "group": part.group, "level": str(part.level), "mi": index, "epc": epc, **standardised,
    })  # fmt: skip


def _standardised(part: Part, place: Structure, rows: IntArray, change: FloatArray) -> dict[str, FloatArray]:
    scale, at, p = part.problem.scale, part.point.at, place.n_observed
    held = [place.variables.index(name) for name in _covariates(part.model)]
    total, residual = (np.sqrt(matrix.diagonal()) * scale for matrix in (at.covariance, at.residual))
    kind, i, j = place.part[rows], place.row[rows], place.column[rows]
    apart = (kind == COVARIANCE) & (i != j)
    found = {}
    for name, plain, sources in (("sepc_lv", range(p), range(p)), ("sepc_all", (), ()), ("sepc_nox", (), held)):
        whole, cause, own = total.copy(), total.copy(), residual.copy()
        whole[list(plain)] = cause[list(sources)] = own[list(sources)] = 1.0
        factor = np.select(
            [kind == DIRECTED, apart, kind == COVARIANCE],
            [cause[j] / whole[i], 1.0 / (own[i] * own[j]), 1.0 / whole[i] ** 2],
            1.0 / whole[i],
        )
        found[name] = change * factor
    return found


def _covariates(model: Model) -> list[str]:
    """Observed variables that only explain, whether held at their sample moments or not."""
    explained = {row.lhs for row in model.parameters if row.op == "~"}
    explained |= {row.rhs for row in model.parameters if row.op == "=~"}
    return [name for name in _in_regressions(model) if name not in explained and name not in model.latents]


def _absent(model: Model) -> list[Parameter]:
    """Rows that lavaan would consider adding, fixed at zero: those that the table does not have."""
    there = {(row.op, row.lhs, row.rhs) for row in model.parameters}
    there |= {(op, rhs, lhs) for op, lhs, rhs in there if op == "~~"}
    directed = {(row.rhs, row.lhs) for row in model.parameters if row.op == "=~"}
    directed |= {(row.lhs, row.rhs) for row in model.parameters if row.op == "~"}
    listed = [*_loadings(model), *_covariances(model), *_regressions(model)]
    return [
        Parameter(lhs, op, rhs, fixed=0.0)
        for lhs, op, rhs in listed
        if (op, lhs, rhs) not in there and (op == "~~" or _ends(lhs, op, rhs) not in directed)
    ]


def _ends(lhs: str, op: str, rhs: str) -> tuple[str, str]:
    return (rhs, lhs) if op == "=~" else (lhs, rhs)


def _in_regressions(model: Model) -> list[str]:
    rows = [row for row in model.parameters if row.op == "~"]
    return list(dict.fromkeys([*(row.lhs for row in rows), *(row.rhs for row in rows)]))


def _loadings(model: Model) -> list[tuple[str, str, str]]:
    busy = {*_in_regressions(model), *model.exogenous}
    return [(latent, "=~", item) for latent in model.latents for item in model.observed if item not in busy]


def _covariances(model: Model) -> list[tuple[str, str, str]]:
    indicators = {row.rhs for row in model.parameters if row.op == "=~"}
    items = [name for name in model.observed if name in indicators]
    pairs = [*combinations(items, 2), *combinations(model.latents, 2)]
    return [(a, "~~", b) for a, b in pairs]


def _regressions(model: Model) -> list[tuple[str, str, str]]:
    names = _in_regressions(model)
    indicators = {row.rhs for row in model.parameters if row.op == "=~"} & set(model.observed)
    return [
        (outcome, "~", cause)
        for outcome, cause in product(names, names)
        if outcome != cause
        and outcome not in model.exogenous
        and not (outcome in indicators and cause in model.latents)
    ]
