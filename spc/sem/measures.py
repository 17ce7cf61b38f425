"""Fit measures of a fitted model: picks the inputs, leaves the arithmetic to :mod:`spc.sem.inference.fitmeasures`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from spc.linalg import FloatArray
from spc.results import GLANCE_COLUMNS, assembled
from spc.sem.engine.diagnose import n_moments
from spc.sem.engine.problem import Problem, covariates_of
from spc.sem.engine.ram import IntArray, Structure
from spc.sem.inference import fitmeasures as measure
from spc.sem.inference.scaled import complete_measures, scaled_measures
from spc.sem.options import LEAST_SQUARES
from spc.sem.ordinal.measures import ordinal_residual_measures, ordinal_squares, ordinal_wrmr
from spc.sem.ordinal.problem import OrdinalProblem
from spc.sem.ordinal.robust import correlation_test
from spc.sem.twolevel.measures import level_srmr
from spc.sem.weighted import weighted_squares
from spc.spec.table import Model

if TYPE_CHECKING:
    from pandas.api.extensions import ExtensionArray

    from spc.sem.result import Part, SemFit

__all__ = ["Baseline", "baseline", "fit_measures", "glance_row"]


@dataclass(frozen=True, slots=True)
class Baseline:
    """The independence model: all variables uncorrelated, covariates held at their sample moments."""

    chisq: float
    df: int


def baseline(problems: Sequence[Problem], models: Sequence[Model]) -> Baseline:
    """Chi-square and degrees of freedom of the independence model of all blocks, in closed form.

    Covariates keep their covariances, whether these are held at the sample values or estimated.
    """
    parts = [_independence(*part) for part in zip(problems, models, strict=True)]
    return parts[0] if len(parts) == 1 else Baseline(sum(one.chisq for one in parts), sum(one.df for one in parts))


def _independence(problem: Problem, model: Model) -> Baseline:
    place, cov = problem.place, problem.sample.cov
    covariates = covariates_of(model)
    logs = np.log(cov.diagonal())
    value = float(logs.sum() - logs[covariates].sum()) + _log_det(cov, covariates) - problem.sample.log_det
    estimated = 0 if place.exogenous.size else covariates.size * (covariates.size + 1) // 2
    outcomes = place.n_observed - covariates.size
    means = outcomes + (0 if place.exogenous.size else covariates.size)
    df = n_moments(place) - outcomes - estimated - (means if place.meanstructure else 0)
    return Baseline(max(problem.divisor * value, 0.0), df)


def _log_det(cov: FloatArray, index: IntArray) -> float:
    return float(np.linalg.slogdet(cov[np.ix_(index, index)])[1]) if index.size else 0.0


def _test(fit: SemFit) -> dict[str, float]:
    system, base = fit.system, fit.baseline
    known = fit.options.estimator not in ("ULS", "ULSMV")
    chisq, df = fit.chisq, fit.df
    return {
        "npar": system.npar,
        "fmin": fit.levels.fmin
        if fit.levels is not None
        else 0.5 * chisq / (system.n if fit.options.estimator in LEAST_SQUARES else system.divisor),
        "chisq": chisq,
        "df": df,
        "pvalue": measure.chisq_pvalue(chisq, df) if known else math.nan,
        "baseline_chisq": base.chisq,
        "baseline_df": base.df,
        "baseline_pvalue": measure.chisq_pvalue(base.chisq, base.df) if known else math.nan,
    }


_COLUMNS = pd.Index(GLANCE_COLUMNS)
_COUNTS, _FLAG, _ESTIMATOR = (
    ("npar", "df", "baseline_df", "nobs", "nobs_min", "ngroups"),
    ("converged",),
    _COLUMNS.get_indexer(pd.Index(["estimator"])),
)
_RATIOS = tuple(name for name in GLANCE_COLUMNS if name not in (*_COUNTS, *_FLAG, "estimator"))
_GLANCE = tuple((names, _COLUMNS.get_indexer(pd.Index(names))) for names in (_COUNTS, _FLAG, _RATIOS))
_UNTESTED = (
    "npar", "df", "baseline_df", "logl", "aic", "bic", "bic2", "ntotal", "nobs", "nobs_min", "ngroups", "estimator",
    "converged",
)  # fmt: skip


def _known(fit: SemFit, numbers: dict[str, Any]) -> dict[str, Any]:
    """Only what does not rest on unrestricted moments, where answers are too few for these or they fit worse."""
    if not math.isnan(numbers["chisq"]) and not any(
        part.answers is not None and math.isnan(part.answers.unrestricted_logl) for part in fit.parts
    ):
        return numbers
    return {name: value if name in _UNTESTED else math.nan for name, value in numbers.items()}


def _is_ordinal(fit: SemFit) -> bool:
    return any(isinstance(part.problem, OrdinalProblem) for part in fit.parts)


def _versions(fit: SemFit, test: dict[str, float]) -> dict[str, float]:
    """Scaled and robust measures, where the test is scaled or answers are missing."""
    n, groups = fit.system.divisor, _groups(fit)
    scaled = {} if fit.correction is None else scaled_measures(test, fit.correction, n, groups)
    complete = correlation_test(fit) if _is_ordinal(fit) else fit.complete_test
    if complete is None:
        return scaled
    return {**scaled, **complete_measures(complete, int(test["df"]), int(test["baseline_df"]), n, groups)}


def _incremental(test: dict[str, float]) -> dict[str, float]:
    chisq, df = test["chisq"], int(test["df"])
    base, base_df = test["baseline_chisq"], int(test["baseline_df"])
    return {
        "cfi": measure.cfi(chisq, df, base, base_df),
        "tli": measure.tli(chisq, df, base, base_df),
        "nnfi": measure.tli(chisq, df, base, base_df),
        "rfi": measure.rfi(chisq, df, base, base_df),
        "nfi": measure.nfi(chisq, df, base, base_df),
        "pnfi": measure.pnfi(chisq, df, base, base_df),
        "ifi": measure.ifi(chisq, df, base),
        "rni": measure.rni(chisq, df, base, base_df),
    }


def _likelihood(fit: SemFit) -> dict[str, float]:
    """Log-likelihoods of the rows given the covariates, in the user's units; none under least squares."""
    if fit.options.estimator in LEAST_SQUARES:
        return {"ntotal": fit.system.n}
    if fit.levels is not None:
        both = [(fit.levels.logl, fit.levels.unrestricted_logl)]
    else:
        both = [_logls(part) for part in fit.parts]
    model, saturated = (sum(pair[i] for pair in both) for i in (0, 1))
    npar, n = fit.system.npar, fit.system.n
    return {
        "logl": model,
        "unrestricted_logl": saturated,
        "aic": measure.aic(model, npar),
        "bic": measure.bic(model, npar, n),
        "ntotal": n,
        "bic2": measure.bic2(model, npar, n),
    }


def _logls(part: Part) -> tuple[float, float]:
    """Of the model and of the sample moments, for the rows of one part."""
    if part.answers is not None:
        answers = part.answers
        return answers.logl - answers.covariates, answers.unrestricted_logl - answers.covariates
    problem, point = part.problem, part.point
    place, sample, n = problem.place, problem.sample, problem.n
    p, x = place.n_observed, place.exogenous
    units = 2.0 * float(np.log(problem.scale[:p][place.outcome] if x.size else problem.scale[:p]).sum())
    covariates = _log_det(sample.cov, x) + x.size
    trace = point.value - point.log_det + sample.log_det + p
    model = measure.logl(n, p - x.size, point.log_det - covariates + units, trace)
    return model, measure.logl(n, p - x.size, sample.log_det - covariates + units, p)


def _approximation(test: dict[str, float], n: int, groups: int) -> dict[str, float]:
    chisq, df = test["chisq"], int(test["df"])
    low, high = measure.rmsea_ci(chisq, df, n, groups=groups)
    return {
        "rmsea": measure.rmsea(chisq, df, n, groups),
        "rmsea_ci_lower": low,
        "rmsea_ci_upper": high,
        "rmsea_ci_level": 0.90,
        "rmsea_pvalue": measure.rmsea_pvalue(chisq, df, n, groups=groups),
        "rmsea_close_h0": 0.05,
        "rmsea_notclose_pvalue": measure.rmsea_notclose(chisq, df, n, groups=groups),
        "rmsea_notclose_h0": 0.08,
    }


def _residuals(part: Part, *, user_units: bool) -> measure.Residuals:
    problem, point = part.problem, part.point
    p, sample = problem.place.n_observed, problem.sample
    known = point.residual_mean is not None
    cov, mean = sample.cov, sample.mean if known else None
    sigma, mu = point.at.covariance[:p, :p], point.at.mean[:p] if known else None
    if not user_units:
        return measure.Residuals(cov, sigma, mean, mu)
    scale = problem.scale[:p]
    square = np.outer(scale, scale)
    if mean is None or mu is None:
        return measure.Residuals(cov * square, sigma * square)
    return measure.Residuals(cov * square, sigma * square, mean * scale, mu * scale)


def _groups(fit: SemFit) -> int:
    return len(fit.parts) if fit.levels is None else len(fit.levels.groups)


def _residual_measures(fit: SemFit) -> dict[str, float]:
    if fit.levels is not None:
        within, between = level_srmr(fit.parts, fit.levels)
        return {"srmr": within + between, "srmr_within": within, "srmr_between": between}
    each = [_residual_measures_of(part, fit.solution.theta) for part in fit.parts]
    if len(each) == 1:
        return each[0]
    weights = np.array([part.problem.n for part in fit.parts]) / fit.system.n
    return {name: float(weights @ [one[name] for one in each]) for name in each[0]}


def _srmr(fit: SemFit) -> float:
    if fit.levels is not None:
        return sum(level_srmr(fit.parts, fit.levels))
    if _is_ordinal(fit):
        return _residual_measures(fit)["srmr"]
    each = [measure.srmr(_residuals(part, user_units=False)) for part in fit.parts]
    return each[0] if len(each) == 1 else float(np.average(each, weights=[part.problem.n for part in fit.parts]))


def _residual_measures_of(part: Part, theta: FloatArray) -> dict[str, float]:
    if isinstance(part.problem, OrdinalProblem):
        return ordinal_residual_measures(part.problem, theta)
    raw, balanced = _residuals(part, user_units=True), _residuals(part, user_units=False)
    return {
        "rmr": measure.rmr(raw),
        "rmr_nomean": measure.rmr(raw, means=False),
        "srmr": measure.srmr(balanced),
        "srmr_bentler": measure.srmr(balanced),
        "srmr_bentler_nomean": measure.srmr(balanced, means=False),
        "crmr": measure.crmr(balanced),
        "crmr_nomean": measure.crmr(balanced, means=False),
        "srmr_mplus": measure.srmr_mplus(balanced),
        "srmr_mplus_nomean": measure.srmr_mplus(balanced, means=False),
    }


def _gfi(fit: SemFit) -> float:
    if fit.levels is not None:
        return math.nan
    total = 0.0
    for part in fit.parts:
        lost, whole = _squares(part, fit.solution.theta)
        total += part.problem.n / fit.system.n * (1.0 - lost / whole)
    return total


def _squares(part: Part, theta: FloatArray) -> tuple[float, float]:
    """What is not explained of the sample moments, and all of it, under the weights of the estimator."""
    if isinstance(part.problem, OrdinalProblem):
        return ordinal_squares(part.problem, theta)
    if part.weight is not None:
        return weighted_squares(part.problem, part.point, part.weight)
    problem, point = part.problem, part.point
    sample, held, p = problem.sample, problem.place.exogenous, problem.place.n_observed
    cov, mean = sample.cov, sample.mean
    if held.size:
        cov = cov.copy()
        cov[np.ix_(held, held)] = 0.0
        mean = None if mean is None else np.where(problem.place.outcome, mean, 0.0)
    return measure.gfi_squares(cov, sample.cov - point.at.covariance[:p, :p], point.inverse, mean, point.residual_mean)


def fit_measures(fit: SemFit) -> dict[str, float]:
    r"""All fit measures that lavaan prints for complete-data maximum likelihood, under its names with underscores.

    Parameters
    ----------
    fit : SemFit

    Returns
    -------
    dict of str to float
        NaN where a measure does not exist, as the p-value of a model without degrees of freedom. With a scaled test
        also the ``_scaled`` and ``_robust`` versions; without log-likelihoods under least squares.

    Examples
    --------
    >>> from spc.moments import Moments
    >>> from spc.sem import fit
    >>> r = [[1.0, 0.4, 0.3], [0.4, 1.0, 0.5], [0.3, 0.5, 1.0]]
    >>> measures = fit_measures(fit("y ~ m\nm ~ x", Moments(["x", "m", "y"], 200, None, r)))
    >>> {name: round(measures[name], 3) for name in ("npar", "df", "chisq", "cfi", "rmsea")}
    {'npar': 4, 'df': 1, 'chisq': 3.2, 'cfi': 0.976, 'rmsea': 0.105}
    """
    test, n, groups = _test(fit), fit.system.divisor, _groups(fit)
    chisq, df, npar = test["chisq"], int(test["df"]), int(test["npar"])
    gfi = _gfi(fit)
    moments = sum(_all_moments(part.problem.place) for part in fit.parts)
    numbers = {
        **test,
        **_incremental(test),
        **_versions(fit, test),
        **_likelihood(fit),
        **_approximation(test, n, groups),
        **_residual_measures(fit),
        "cn_05": measure.cn(chisq, df, n, 0.05),
        "cn_01": measure.cn(chisq, df, n, 0.01),
        "gfi": gfi,
        "agfi": measure.agfi(gfi, df, moments),
        "pgfi": measure.pgfi(gfi, df, moments),
        "mfi": measure.mfi(chisq, df, n),
        "ecvi": measure.ecvi(chisq, npar, n),
    }
    if _is_ordinal(fit):
        numbers.pop("ecvi")
        if fit.options.estimator == "WLS":
            return numbers
        return {**numbers, **ordinal_wrmr(fit.parts, fit.solution.theta)}
    return _known(fit, numbers)


def _all_moments(place: Structure) -> int:
    if place.ordered.size:
        return n_moments(place)
    p = place.n_observed
    return p * (p + 1) // 2 + (p if place.meanstructure else 0)


def glance_row(fit: SemFit) -> pd.DataFrame:
    """One row with ``GLANCE_COLUMNS``; scaled and robust measures are missing where the test is not scaled.

    Of two levels also ``nclusters`` and ``cluster_size``, the mean number of rows in one.
    """
    test = _test(fit)
    numbers = {
        **test,
        **_incremental(test),
        **_versions(fit, test),
        **_likelihood(fit),
        **_approximation(test, fit.system.divisor, _groups(fit)),
        "srmr": _srmr(fit),
        "gfi": _gfi(fit),
        "nobs": fit.system.n,
        "nobs_min": min(part.observed.n for part in fit.parts),
        "ngroups": _groups(fit),
        "estimator": fit.options.estimator,
        "converged": fit.solution.converged,
    }
    numbers = _known(fit, numbers)
    blocks = [(np.array([numbers.get(name, math.nan) for name in names])[:, None], at) for names, at in _GLANCE]
    row = assembled([*blocks, (_estimator(fit.options.estimator).copy(), _ESTIMATOR)], _COLUMNS, 1)
    if fit.levels is None:
        return row
    count = fit.levels.count
    return row.assign(nclusters=count, cluster_size=fit.system.n / count)


@cache
def _estimator(name: str) -> ExtensionArray:
    return pd.Series([name], dtype="str").array
