"""What the model leaves out or holds fixed, and what freeing it would change: modification indices."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pandas as pd

from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.sem.fit import SemFit
from spc.sem.lean import lean
from spc.sem.problem import prepare
from spc.sem.ram import COVARIANCE, DIRECTED, IntArray, Structure
from spc.spec.table import Model, Parameter, ParameterTable

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
        variables, by all but the covariates.

    Raises
    ------
    UsageError
        A negative minimum.

    Notes
    -----
    The indices are normal-theory score tests with expected information, also of fits whose own test is scaled; under
    ULS they are an order, not chi-squares. As in lavaan, except that under least squares lavaan shrinks index and
    change by (N - 1)/N, that covariates held at their sample moments are no outcomes here (lavaan tests regressions of
    them on their own consequences), and that the change of a variance is divided by the variance (lavaan standardises
    the fixed value in its place).

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
    wider = replace(fit.model, parameters=ParameterTable((*fit.model.parameters.rows, *_absent(fit.model))))
    problem = prepare(wider, fit.observed, fit.options.likelihood if fit.weight is None else "wishart")
    place = problem.place
    tested = np.flatnonzero((place.free < 0) & ~place.sample)
    score, spread = _tests(fit, place, tested)
    with np.errstate(divide="ignore", invalid="ignore"):
        change = score / spread
        index = (problem.n if fit.weight is None else problem.divisor) * score * change
        epc = change / problem.multiplier[tested]
        standardised = _standardised(fit, place, tested, epc)
    rows = [wider.parameters.rows[i] for i in tested]
    table = pd.DataFrame({
        "lhs": [row.lhs for row in rows], "op": [row.op for row in rows], "rhs": [row.rhs for row in rows],
        "mi": index, "epc": epc, **standardised,
    })  # fmt: skip
    table = table[np.isfinite(spread) & (index >= minimum)]
    if sort:
        table = table.sort_values("mi", ascending=False, kind="stable")
    return table.reset_index(drop=True)


def _tests(fit: SemFit, place: Structure, tested: IntArray) -> tuple[FloatArray, FloatArray]:
    """Score of each tested row, and its variance given that the free parameters adapt; NaN where they can take over."""
    problem = fit.problem
    active, free = problem.active, problem.active.size
    x = problem.coordinates(fit.solution.theta)
    score, information = lean(fit, x, place, np.concatenate([active, tested]))
    between = information[free:, :free] @ problem.map
    own = information.diagonal()[free:]
    if problem.size:
        within = problem.map.T @ information[:free, :free] @ problem.map
        left = own - np.einsum("ij,ij->i", between, np.linalg.solve(within, between.T).T)
    else:
        left = own.copy()
    left[left < _UNTESTABLE * np.maximum(own, 1e-300)] = np.nan
    return score[free:], left


def _standardised(fit: SemFit, place: Structure, rows: IntArray, change: FloatArray) -> dict[str, FloatArray]:
    scale, at, p = fit.problem.scale, fit.point.at, place.n_observed
    held = [place.variables.index(name) for name in _covariates(fit.model)]
    total, residual = (np.sqrt(matrix.diagonal()) * scale for matrix in (at.covariance, at.residual))
    part, i, j = place.part[rows], place.row[rows], place.column[rows]
    apart = (part == COVARIANCE) & (i != j)
    found = {}
    for name, plain, sources in (("sepc_lv", range(p), range(p)), ("sepc_all", (), ()), ("sepc_nox", (), held)):
        whole, cause, own = total.copy(), total.copy(), residual.copy()
        whole[list(plain)] = cause[list(sources)] = own[list(sources)] = 1.0
        factor = np.select(
            [part == DIRECTED, apart, part == COVARIANCE],
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
