"""Measures of fit that are of their own kind with ordered items: residuals of correlations and thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spc.linalg import FloatArray
from spc.sem.fitmeasures import Residuals
from spc.sem.ml import Point
from spc.sem.ordinal_problem import OrdinalProblem, implied_statistics

if TYPE_CHECKING:
    from spc.sem.result import Part

__all__ = ["ordinal_residual_measures", "ordinal_squares", "ordinal_wrmr"]


def _root_mean_square(square: float, count: int) -> float:
    return math.sqrt(square / count) if count else 0.0


def ordinal_residual_measures(problem: OrdinalProblem, point: Point, theta: FloatArray) -> dict[str, float]:
    """RMR, SRMR and CRMR as lavaan has them for ordered items; ``srmr`` is of the correlations alone.

    Parameters
    ----------
    problem : OrdinalProblem
    point : Point
    theta : (q,) array
        Free parameters.
    """
    values = problem.row_values(theta) * problem.multiplier
    p = problem.place.n_observed
    apart, cut = problem.alone, problem.sampled.threshold.size
    off = (problem.statistics - implied_statistics(problem, values, point.at))[:cut]
    first = float(off @ off)
    found: dict[str, float] = {}
    sigma, _ = problem.seen(point.at)
    outcome = problem.place.outcome
    sigma, sample = sigma[np.ix_(outcome, outcome)], problem.sample.cov[np.ix_(outcome, outcome)]
    unit = problem.scale[:p][outcome]
    square = np.outer(unit, unit)
    raw, balanced = Residuals(sample * square, sigma * square), Residuals(sample, sigma)
    many = int(outcome.sum())
    for name, residual, scaling in (
        ("rmr", raw, "none"), ("srmr_bentler", balanced, "bentler"), ("crmr", balanced, "bollen"),
    ):  # fmt: skip
        matrix = residual.covariance(scaling)  # type: ignore[arg-type]
        lower = matrix[np.triu_indices(many, 1)]
        more = 0 if name == "crmr" else many
        found[name] = _root_mean_square(float(lower @ lower) + first, apart.size + cut + more)
        found[f"{name}_nomean"] = _root_mean_square(float(lower @ lower), apart.size + more)
    return {"srmr": found["srmr_bentler_nomean"], **found}


def ordinal_wrmr(parts: Sequence[Part], theta: FloatArray) -> dict[str, float]:
    """Weighted root mean square residual (Muthen): residuals in units of their standard errors."""
    square, count = 0.0, 0
    for part in parts:
        problem = part.problem
        assert isinstance(problem, OrdinalProblem)
        values = problem.row_values(theta) * problem.multiplier
        off = problem.statistics - implied_statistics(problem, values, part.point.at)
        square += problem.divisor * float((off**2 / problem.gamma.diagonal()).sum())
        count += off.size
    return {"wrmr": _root_mean_square(square, count)}


def ordinal_squares(problem: OrdinalProblem, point: Point, theta: FloatArray) -> tuple[float, float]:
    """What is not explained of the statistics, and all of it, under the weights of the estimator."""
    whole, values = problem.statistics, problem.row_values(theta) * problem.multiplier
    both = np.stack([whole - implied_statistics(problem, values, point.at), whole], axis=1)
    lost, everything = (problem.weigh(both) ** 2).sum(axis=0)
    return float(lost), float(everything)
