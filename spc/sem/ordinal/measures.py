"""Measures of fit that are of their own kind with ordered items: residuals of correlations and thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from spc.linalg import FloatArray
from spc.sem.inference.fitmeasures import Residuals
from spc.sem.ordinal.problem import OrdinalProblem, implied_statistics

if TYPE_CHECKING:
    from spc.sem.result import Part

__all__ = ["ordinal_residual_measures", "ordinal_squares", "ordinal_wrmr"]

_SCALINGS: dict[str, Literal["none", "bentler", "bollen"]] = {
    "rmr": "none",
    "srmr_bentler": "bentler",
    "crmr": "bollen",
}


def _root_mean_square(square: float, count: int) -> float:
    return math.sqrt(square / count) if count else 0.0


def _both(problem: OrdinalProblem, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Sample and implied statistics, balanced."""
    values = problem.row_values(theta) * problem.multiplier
    return problem.statistics, implied_statistics(problem, values, problem.conditional(values))


def _matrix(problem: OrdinalProblem, statistics: FloatArray) -> FloatArray:
    """Covariances of the items among the statistics: correlations where ordered."""
    p, cuts, own = problem.seat.size, problem.sampled.threshold.size, problem.sampled.continuous
    matrix = np.eye(p)
    matrix[own, own] = statistics[cuts + own.size : cuts + 2 * own.size]
    first, second = np.triu_indices(p, 1)
    matrix[first, second] = matrix[second, first] = statistics[problem.alone]
    return matrix


def ordinal_residual_measures(problem: OrdinalProblem, theta: FloatArray) -> dict[str, float]:
    """RMR, SRMR and CRMR as lavaan has them for ordered items; ``srmr`` is of the correlations alone.

    As there, the first two count a variance of every observed variable, covariates too, which leaves no residual.

    Parameters
    ----------
    problem : OrdinalProblem
    theta : (q,) array
        Free parameters.
    """
    sample, found = _both(problem, theta)
    p, pairs, cuts = problem.seat.size, problem.alone.size, problem.sampled.threshold.size
    first = float(((sample - found)[:cuts] ** 2).sum())
    square = np.outer(problem.scale[problem.seat], problem.scale[problem.seat])
    both = _matrix(problem, sample), _matrix(problem, found)
    raw, balanced = Residuals(*(one * square for one in both)), Residuals(*both)
    numbers: dict[str, float] = {}
    for name, scaling in _SCALINGS.items():
        matrix = (raw if scaling == "none" else balanced).covariance(scaling)
        second = float((matrix[np.triu_indices(p, 1)] ** 2).sum())
        count = pairs + (0 if scaling == "bollen" else problem.place.n_observed)
        numbers[name] = _root_mean_square(first + second, count + cuts)
        numbers[f"{name}_nomean"] = _root_mean_square(second, count)
    return {"srmr": numbers["srmr_bentler_nomean"], **numbers}


def ordinal_wrmr(parts: Sequence[Part], theta: FloatArray) -> dict[str, float]:
    """Weighted root mean square residual (Muthen): residuals in units of their standard errors."""
    square, count = 0.0, 0
    for part in parts:
        problem = part.problem
        assert isinstance(problem, OrdinalProblem)
        sample, found = _both(problem, theta)
        square += problem.divisor * float(((sample - found) ** 2 / problem.gamma.diagonal()).sum())
        count += sample.size
    return {"wrmr": _root_mean_square(square, count)}


def ordinal_squares(problem: OrdinalProblem, theta: FloatArray) -> tuple[float, float]:
    """What is not explained of the statistics, and all of it, under the weights of the estimator."""
    sample, found = _both(problem, theta)
    lost, everything = (problem.weigh(np.stack([sample - found, sample], axis=1)) ** 2).sum(axis=0)
    return float(lost), float(everything)
