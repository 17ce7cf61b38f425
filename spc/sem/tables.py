"""Long tables of a fitted model: estimates, standardised solution, explained variance, residuals."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.moments import Moments
from spc.results import TIDY_COLUMNS, assembled
from spc.sem.engine.defined import defined_slopes, defined_values, label_rows
from spc.sem.engine.problem import label_slopes
from spc.sem.engine.ram import DIRECTED
from spc.sem.engine.standardize import Kind, standardised_slopes, standardised_values
from spc.spec.table import Model, remembered

if TYPE_CHECKING:
    from pandas.api.extensions import ExtensionArray

    from spc.sem.result import SemFit

__all__ = [
    "estimates_table",
    "implied_moments",
    "moments_implied",
    "r_square",
    "residuals",
    "standardized",
    "tidy_numbers",
    "tidy_table",
]

_COLUMNS = pd.Index(TIDY_COLUMNS)
_WORDS, _NUMBERS = tuple(np.array([i]) for i in range(7)), np.arange(7, len(TIDY_COLUMNS))
_KIND = {
    "=~": "loading", "~": "regression", "~1": "intercept", "|": "threshold", "~*~": "scale", ":=": "defined",
}  # fmt: skip


@remembered
def _words(model: Model) -> tuple[ExtensionArray, ...]:
    """The text columns of the table, defined parameters last."""
    return tuple(pd.Series(column, dtype="str").array for column in _text(model).values())


def _text(model: Model) -> dict[str, list[str]]:
    rows, defined = model.parameters.rows, model.defined
    kinds = [_KIND.get(row.op, "variance" if row.lhs == row.rhs else "covariance") for row in rows]
    blank = [""] * len(defined)
    return {
        "lhs": [*(row.lhs for row in rows), *(item.name for item in defined)],
        "op": [*(row.op for row in rows), *(":=" for _ in defined)],
        "rhs": [*(row.rhs for row in rows), *(item.expression for item in defined)],
        "level": [*(str(row.level) for row in rows), *blank],
        "group": [*(_group_of(model, row.group) for row in rows), *blank],
        "label": [*(row.label for row in rows), *(item.name for item in defined)],
        "kind": [*kinds, *("defined" for _ in defined)],
    }


def _group_of(model: Model, group: int) -> str:
    """Label of a group; a block of a model knows its own alone."""
    if not model.groups:
        return str(group)
    return model.groups[0] if len(model.groups) == 1 else model.groups[group - 1]


def _numbers(estimate: FloatArray, std_error: FloatArray, std_all: FloatArray, level: float) -> FloatArray:
    """Numbers of :data:`spc.results.TIDY_COLUMNS` in their order (7, R)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = estimate / std_error
    half = _reach(level) * std_error
    p_value = 2.0 * ndtr(-np.abs(statistic))
    return np.array([estimate, std_error, statistic, p_value, estimate - half, estimate + half, std_all])


@lru_cache(maxsize=64)
def _reach(level: float) -> float:
    """Standard errors on either side of an interval."""
    return float(ndtri(0.5 + level / 2.0))


def _frame(model: Model, numbers: FloatArray) -> pd.DataFrame:
    """Text columns, then numbers, which nobody else may hold."""
    words = [(column.copy(), place) for column, place in zip(_words(model), _WORDS, strict=True)]
    return assembled([*words, (numbers, _NUMBERS)], _COLUMNS, numbers.shape[1])


def _errors(variances: FloatArray) -> FloatArray:
    """Standard errors; missing where nothing varies."""
    return np.sqrt(np.where(variances > 0.0, variances, np.nan))


def tidy_table(fit: SemFit) -> pd.DataFrame:
    """All rows of the parameter table and the defined parameters; see ``SemFit.tidy``."""
    return _frame(fit.model, fit.numbers.copy())


def tidy_numbers(fit: SemFit) -> FloatArray:
    """The numbers of ``SemFit.tidy``, a row a column of the table."""
    model, values, std_all = fit.model, fit.values, fit.std_all
    variances = fit.vcov.diagonal()
    free = np.concatenate([part.problem.place.free for part in fit.parts])
    std_error = _errors(np.where(free >= 0, variances[free], 0.0) if variances.size else np.zeros(len(values)))
    if model.defined:
        defined, errors = _defined(fit)
        values = np.concatenate([values, defined])
        std_error = np.concatenate([std_error, errors])
        std_all = np.concatenate([std_all, _defined_standardised(fit, std_all)])
    return _numbers(values, std_error, std_all, fit.options.level)


def _defined(fit: SemFit) -> tuple[FloatArray, FloatArray]:
    """Defined parameters and their delta-method errors."""
    model, rows = fit.model, label_rows(fit.model)
    labels = {name: fit.values[i] for name, i in rows.items()}
    values = defined_values(model.defined, labels)
    slopes = defined_slopes(model.defined, labels, label_slopes(model))
    jacobian = np.array([slopes[item.name] for item in model.defined]).reshape(len(model.defined), -1)
    variances = np.einsum("ij,jk,ik->i", jacobian, fit.vcov, jacobian)
    return np.array([float(values[item.name]) for item in model.defined]), _errors(variances)


def _defined_standardised(fit: SemFit, std: FloatArray) -> FloatArray:
    labels = {name: std[i] for name, i in label_rows(fit.model).items()}
    values = defined_values(fit.model.defined, labels)
    return np.array([float(values[item.name]) for item in fit.model.defined])


def estimates_table(fit: SemFit) -> pd.DataFrame:
    """Rows of the free parameters, equal ones once, in the order of ``vcov``."""
    first: dict[int, int] = {}
    for i, row in enumerate(fit.model.parameters.rows):
        if row.free:
            first.setdefault(row.free, i)
    return fit.tidy().iloc[[first[k] for k in sorted(first)]].reset_index(drop=True)


def standardized(fit: SemFit, type: Kind = "all") -> pd.DataFrame:  # noqa: A002
    """Standardised solution with delta-method errors.

    Parameters
    ----------
    fit : SemFit
    type : {"all", "lv"}
        Standardise by all variables, or by the latent variables alone.

    Returns
    -------
    DataFrame
        ``TIDY_COLUMNS``; estimate, error and interval are those of the standardised values.

    Raises
    ------
    UsageError
        Another type.

    Examples
    --------
    >>> from spc.sem import fit
    >>> chain = fit("y ~ x", Moments(["x", "y"], 100, None, [[4.0, 2.0], [2.0, 9.0]]))
    >>> standardized(chain).loc[0, ["estimate", "std_error"]].astype(float).round(4).tolist()
    [0.3333, 0.0864]
    """
    if type not in ("all", "lv"):
        raise UsageError(f"type={type!r}: expected 'all' or 'lv'.")
    parts = [_standardised_part(view, type) for view in fit.views]
    estimate, jacobian = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    if fit.model.defined:
        rows = label_rows(fit.model)
        labels = {name: estimate[i] for name, i in rows.items()}
        known = {name: jacobian[i] for name, i in rows.items()}
        found = defined_values(fit.model.defined, labels)
        moved = defined_slopes(fit.model.defined, labels, known)
        estimate = np.concatenate([estimate, [float(found[item.name]) for item in fit.model.defined]])
        jacobian = np.vstack([jacobian, *(moved[item.name] for item in fit.model.defined)])
    variances = np.einsum("ij,jk,ik->i", jacobian, fit.vcov, jacobian)
    variances[variances < 1e-18 * np.maximum(estimate**2, 1e-300)] = 0.0
    return _frame(fit.model, _numbers(estimate, _errors(variances), fit.numbers[-1], fit.options.level))


def _standardised_part(fit: SemFit, kind: Kind) -> tuple[FloatArray, FloatArray]:
    """Standardised values of one part's rows, and their derivatives on the free parameters."""
    problem, at = fit.problem, fit.point.at
    place = problem.place
    values = fit.values * problem.multiplier
    std = standardised_values(place, values, at, kind)
    rows, to_theta = problem.moving(values, at)
    slopes = standardised_slopes(place, values, at, rows, kind)
    scale = _observed_units(fit) if kind == "lv" else np.ones(len(values))
    return std * scale, (slopes @ to_theta) * scale[:, None]


def _observed_units(fit: SemFit) -> FloatArray:
    """Factors from balanced to user units of the observed variables alone, one a row."""
    place, scale = fit.problem.place, fit.problem.scale.copy()
    scale[place.n_observed :] = 1.0
    factor, d, c = scale[place.row], place.directed_rows, place.covariance_rows
    factor[d] /= scale[place.column[d]]
    factor[c] *= scale[place.column[c]]
    return np.asarray(factor)


def r_square(fit: SemFit) -> pd.Series:
    """Explained share of the variance of each variable that something points at.

    Returns
    -------
    Series
        Indexed by variable; by group, level and variable where there are several.

    Examples
    --------
    >>> from spc.sem import fit
    >>> chain = fit("y ~ x", Moments(["x", "y"], 100, None, [[4.0, 2.0], [2.0, 9.0]]))
    >>> r_square(chain).round(4).to_dict()
    {'y': 0.1111}
    """
    parts = {view.parts[0].key: _r_square(view) for view in fit.views}
    if len(parts) == 1:
        return next(iter(parts.values()))
    both: pd.Series = pd.concat(parts, names=[*_parted(fit), "variable"])
    return both.rename("r_square")


def _parted(fit: SemFit) -> list[str]:
    """What tells the parts of a fit apart."""
    return [*(["group"] if fit.groups else []), *(["level"] if fit.levels is not None else [])]


def _r_square(fit: SemFit) -> pd.Series:
    place, at = fit.problem.place, fit.point.at
    explained = np.unique(place.row[place.part == DIRECTED])
    share = 1.0 - at.residual.diagonal()[explained] / at.covariance.diagonal()[explained]
    return pd.Series(share, index=[place.variables[i] for i in explained], name="r_square")


def implied_moments(fit: SemFit) -> Moments | dict[str | tuple[str, ...], Moments]:
    """Moments of the observed variables that the model implies, with divisor n - 1 as in :class:`Moments`.

    Returns
    -------
    Moments, or dict of Moments
        By label of the group where there are several; by level ("1", "2") of a two-level model, or by both.

    Examples
    --------
    >>> from spc.sem import fit
    >>> chain = fit("y ~ x", Moments(["x", "y"], 100, None, [[4.0, 2.0], [2.0, 9.0]]))
    >>> implied_moments(chain).cov.round(6).tolist()
    [[9.0, 2.0], [2.0, 4.0]]
    """
    if len(fit.parts) > 1:
        return {view.parts[0].key: moments_implied(view) for view in fit.views}
    return moments_implied(fit)


def moments_implied(fit: SemFit) -> Moments:
    """Implied moments of a fit of one part, or of a view."""
    part = fit.only
    problem, point = part.problem, part.point
    p = problem.place.n_observed
    scale = problem.scale[:p]
    seen, middle = problem.seen(point.at)
    cov = seen * np.outer(scale, scale) * (problem.divisor / (problem.n - 1))
    mean = middle * scale if problem.place.meanstructure else part.observed.mean
    return Moments(problem.place.observed, problem.n, mean, 0.5 * (cov + cov.T), group=part.group or None)


def residuals(fit: SemFit, type: Literal["raw", "cor"] = "raw") -> pd.DataFrame:  # noqa: A002
    r"""Sample minus implied covariances, or correlations, as a square table.

    Parameters
    ----------
    fit : SemFit
    type : {"raw", "cor"}

    Returns
    -------
    DataFrame
        With several groups one table below the other, indexed by group and variable.

    Raises
    ------
    UsageError
        Another type.

    Examples
    --------
    >>> from spc.sem import fit
    >>> r = [[1.0, 0.4, 0.3], [0.4, 1.0, 0.5], [0.3, 0.5, 1.0]]
    >>> chain = fit("mood ~ skill\nsales ~ mood", Moments(["skill", "mood", "sales"], 200, None, r))
    >>> residuals(chain, "cor").loc["sales", "skill"].round(3)
    np.float64(0.1)
    """
    if type not in ("raw", "cor"):
        raise UsageError(f"type={type!r}: expected 'raw' or 'cor'.")
    if len(fit.parts) > 1:
        return pd.concat({view.parts[0].key: residuals(view, type) for view in fit.views}, names=[*_parted(fit), None])
    names, problem = list(fit.problem.place.observed), fit.problem
    p = len(names)
    sample, sigma = problem.sample.cov, problem.seen(fit.point.at)[0]
    if type == "cor":
        sample, sigma = _correlation(sample), _correlation(sigma)
        return pd.DataFrame(sample - sigma, index=names, columns=names)
    scale = problem.scale[:p]
    return pd.DataFrame((sample - sigma) * np.outer(scale, scale), index=names, columns=names)


def _correlation(matrix: FloatArray) -> FloatArray:
    root = np.sqrt(matrix.diagonal())
    return np.asarray(matrix / np.outer(root, root))
