"""Fit of a correlation structure of ordered items, as if the responses behind them had been seen.

The weights of DWLS make its statistic too small a measure of misfit. The correlations that it estimates are therefore
put into the likelihood of a correlation matrix, at the same estimates, and corrected for its mean by chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spc.linalg import FloatArray
from spc.sem.inference.scaled import CompleteTest
from spc.sem.ordinal.problem import OrdinalProblem, slopes

if TYPE_CHECKING:
    from spc.sem.result import SemFit

__all__ = ["correlation_test"]

SMALLEST_EIGENVALUE = 1.5e-8


def correlation_test(fit: SemFit) -> CompleteTest | None:
    """Statistic and scaling of the correlations of model and independence model; None where there are none.

    There are none with continuous items, covariates, or correlations that are no correlation matrix.

    References
    ----------
    Savalei (2021), Multivariate Behavioral Research 56, 390-407.
    """
    problems = [part.problem for part in fit.parts if isinstance(part.problem, OrdinalProblem)]
    if fit.correction is None or fit.correction.name == "mean_var_adjusted" or len(problems) < len(fit.parts):
        return None
    if not all(_is_pure(problem) for problem in problems):
        return None
    k, theta, df = fit.system.size, fit.solution.theta, fit.df
    bread, meat, middle, weighted = (np.zeros((k, k)) for _ in range(4))
    trace = statistic = base = base_trace = 0.0
    for problem in problems:
        values = problem.row_values(theta) * problem.multiplier
        at = problem.conditional(values)
        sigma, sample = problem.seen(at)[0], problem.sample.cov
        if np.linalg.eigvalsh(sigma)[0] <= 0.0:
            return None
        share, inverse = problem.n / fit.system.n, np.asarray(np.linalg.inv(sigma), dtype=np.float64)
        log_det = float(np.linalg.slogdet(sample)[1])
        mismatch = float(np.linalg.slogdet(sigma)[1]) - log_det + float(np.vdot(sample, inverse)) - len(sigma)
        statistic, base = statistic + problem.n * mismatch, base - problem.n * log_det
        whole = slopes(problem, values, at)
        apart = problem.alone
        slope, weight = whole[apart], problem.root[apart, None] ** 2
        gamma, info = problem.gamma[np.ix_(apart, apart)], _information(inverse)
        pull = weight * slope
        bread += share * (whole.T @ (problem.root[:, None] ** 2 * whole))
        half = gamma @ pull
        meat += share * (pull.T @ half)
        carried = info @ slope
        middle += share * (slope.T @ carried)
        weighted += share * (half.T @ carried)
        trace += float(np.vdot(info, gamma))
        base_trace += float(np.trace(gamma))
    inner = np.linalg.solve(bread, meat)
    outer = np.linalg.solve(bread, middle)
    trace += float(np.vdot(outer, inner.T)) - 2.0 * float(np.trace(np.linalg.solve(bread, weighted)))
    return CompleteTest(statistic, trace / df if df else np.nan, base, base_trace / fit.baseline.df)


def _is_pure(problem: OrdinalProblem) -> bool:
    if problem.sampled.continuous.size or problem.sampled.covariates or problem.root.ndim > 1:
        return False
    return float(np.linalg.eigvalsh(problem.sample.cov)[0]) >= SMALLEST_EIGENVALUE


def _information(inverse: FloatArray) -> FloatArray:
    """Information of one row on the correlations (pairs, pairs), from the inverse of the implied ones."""
    i, j = np.triu_indices(len(inverse), 1)
    return np.asarray(inverse[i[:, None], i] * inverse[j[:, None], j] + inverse[i[:, None], j] * inverse[j[:, None], i])
