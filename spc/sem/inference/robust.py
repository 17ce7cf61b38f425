"""Errors and tests that hold for data that are not normal, or that come in clusters.

Two sandwiches ``bread^-1 meat bread^-1`` of the maximum likelihood estimates, as lavaan has them:

* MLM: expected information as bread; as meat the covariances of the rows' scores about the sample moments, given the
  covariates held at theirs. Test of Satorra & Bentler (1994).
* MLR: observed information as bread; as meat the covariances of the scores about the implied moments. Test of Yuan &
  Bentler (2000) in the form of Asparouhov & Muthen (2005).
* cluster: as MLR, with the scores summed within clusters and the factor c / (c - 1) for c clusters.

A scaled statistic is the normal-theory one divided by ``trace(U Gamma) / df``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError, UnsupportedError
from spc.linalg import FloatArray
from spc.moments import Moments, numeric_values
from spc.moments.columns import one_column
from spc.results import Note
from spc.sem.engine.diagnose import n_moments
from spc.sem.engine.joint import State, System, problems_of, shares_of
from spc.sem.engine.ml import Point, curvature, score_and_information
from spc.sem.engine.problem import Problem
from spc.sem.engine.ram import IntArray, directions
from spc.sem.inference.casewise import Evidence, Loads, fourth, rows
from spc.sem.inference.scaled import Correction, ratio

if TYPE_CHECKING:
    from spc.sem.result import SemFit

__all__ = [
    "cluster_numbers", "complete_rows", "evidence", "few_clusters", "independent_blocks", "sandwich", "sandwich_kind",
    "state_of",
]  # fmt: skip

Kind = Literal["MLM", "MLR", "cluster"]
ENOUGH_CLUSTERS = 40


def evidence(problem: Problem, data: FloatArray | Moments, cluster: IntArray | None = None) -> Evidence:
    """What is known of the rows: the rows themselves, or moments of order 3 and 4.

    Parameters
    ----------
    problem : Problem
    data : (n, p) array or Moments
        Complete rows of the observed variables in the model's order, or their moments in that order.
    cluster : (n,) int array, optional
        Number of the cluster of each row, from 0 on.

    Raises
    ------
    UnsupportedError
        Moments without the higher ones, or clusters without rows.
    """
    if not isinstance(data, Moments):
        return rows(problem, data, cluster)
    if cluster is not None:
        raise UnsupportedError("Errors for clusters need the rows of data, and Moments were given: give a DataFrame.")
    if data.higher is None:
        raise UnsupportedError(
            "Robust errors and tests need rows of data or moments of order 3 and 4, and these moments have only means "
            "and covariances. Give a DataFrame, or Moments.from_frame(..., higher=True); or use estimator='ML'."
        )
    return fourth(problem, data.higher, data.cov)


def sandwich(
    system: System,
    state: State,
    known: Sequence[Evidence],
    covariates: Sequence[IntArray],
    kind: Kind,
    *,
    test_by_h1: bool = False,
) -> tuple[FloatArray, Correction]:
    """Sampling covariances of the coordinates, and the scaling of the test, at a maximum of the likelihood.

    Parameters
    ----------
    system : Problem or Joint
    state : State
        At the estimates.
    known : sequence of Evidence
        One a block.
    covariates : sequence of (k,) int arrays
        Observed variables that only explain: the independence model keeps their covariances.
    kind : {"MLM", "MLR", "cluster"}
    test_by_h1 : bool
        Take the test's observed information without the curvature of the model itself, as lavaan does where clusters
        are given and the estimator is plain ML.

    Returns
    -------
    vcov : (k, k) array
    Correction
    """
    satorra_bentler = kind == "MLM"
    bread, meat, own = (np.zeros((system.size, system.size)) for _ in range(3))
    traces: list[_Traces] = []
    trace_of = _satorra_bentler if satorra_bentler else _yuan_bentler
    blocks = zip(shares_of(system), problems_of(system), state.points, known, covariates, strict=True)
    for share, problem, point, one, outside in blocks:
        part = _bread_and_meat(problem, point, one, satorra_bentler=satorra_bentler)
        bread += share * part[0]
        meat += share * part[1]
        if test_by_h1:
            own += share * _mapped(problem, _saturated(problem, point))
        traces.append(trace_of(problem, point, one, outside))
    half = np.linalg.solve(bread, meat)
    vcov = np.linalg.solve(bread, half.T) / system.divisor
    taken = float(np.trace(np.linalg.solve(own, meat) if test_by_h1 else half))
    return 0.5 * (vcov + vcov.T), _correction(kind, traces, taken, system.npar)


@dataclass(frozen=True, slots=True)
class _Traces:
    """``tr(Gamma V)`` of one block, the same less what the independence model takes, and both counts."""

    whole: float
    base: float
    count: int
    base_df: int


def _correction(kind: Kind, traces: Sequence[_Traces], taken: float, size: int) -> Correction:
    whole, base = sum(one.whole for one in traces), sum(one.base for one in traces)
    count, base_df = sum(one.count for one in traces), sum(one.base_df for one in traces)
    factor, baseline_factor = ratio(whole - taken, count - size), ratio(base, base_df)
    if kind == "MLM":
        return Correction("satorra_bentler", whole - taken, factor, baseline_factor)
    return Correction(
        "yuan_bentler_mplus", whole - taken, factor, baseline_factor, ratio(taken, size), ratio(whole, count)
    )


def _bread_and_meat(
    problem: Problem, point: Point, known: Evidence, *, satorra_bentler: bool
) -> tuple[FloatArray, FloatArray]:
    """Information and products of scores, in coordinates."""
    place, active, w = problem.place, problem.active, point.inverse
    way = directions(place, point.at, active, place.n_observed)
    loads = Loads(w @ way.p, w @ way.q, None if way.mu is None else w @ way.mu)
    score, bread = score_and_information(place, point, problem.sample, active)
    if satorra_bentler:
        meat = known.meat(loads, None, given_x=True)
    else:
        bread = bread + curvature(place, point, problem.sample, active)
        meat = known.meat(loads, point.residual_mean, given_x=False, score=score)
    return _mapped(problem, bread), _mapped(problem, meat)


def sandwich_kind(estimator: str, cluster: str | None) -> tuple[Kind, bool]:
    """Which sandwich goes with an estimator, and whether its test takes the information of the moments."""
    if cluster is not None:
        return "cluster", estimator == "ML"
    return ("MLM" if estimator == "MLM" else "MLR"), False


def _mapped(problem: Problem, matrix: FloatArray) -> FloatArray:
    return matrix if problem.plain else np.asarray(problem.map.T @ matrix @ problem.map)


def _saturated(problem: Problem, point: Point) -> FloatArray:
    """Observed information on the implied moments, carried to the parameters without their curvature."""
    place, sample, w = problem.place, problem.sample, point.inverse
    way = directions(place, point.at, problem.active, place.n_observed)
    target = sample.cov
    if point.residual_mean is not None:
        target = target + np.outer(point.residual_mean, point.residual_mean)
    twice = 2.0 * w @ target @ w - w
    a, b = way.p.T @ w @ way.q, way.q.T @ twice @ way.p
    product = (way.p.T @ w @ way.p) * (way.q.T @ twice @ way.q) + (way.q.T @ w @ way.q) * (way.p.T @ twice @ way.p)
    result = 0.5 * (product + a * b + a.T * b.T)
    if way.mu is not None and point.residual_mean is not None:
        pull, w_mu = w @ point.residual_mean, w @ way.mu
        both = (pull @ way.p)[:, None] * (way.q.T @ w_mu) + (pull @ way.q)[:, None] * (way.p.T @ w_mu)
        result += way.mu.T @ w_mu + both + both.T
    return np.asarray(result)


def _satorra_bentler(problem: Problem, point: Point, known: Evidence, covariates: IntArray) -> _Traces:
    """Traces with V the weight at the implied moments."""
    place, everything = problem.place, np.arange(problem.place.n_observed)
    whole = known.spread(point.inverse, everything, given_x=True)
    if place.meanstructure:
        whole += known.spread_means(point.inverse, given_x=True)
    free = _estimated(problem, independent_blocks(problem, covariates))
    base = known.spread(_apart(problem, independent_blocks(problem, covariates)), everything, given_x=True)
    base -= _spread_of_blocks(known, _apart(problem, free), free, given_x=True)
    return _Traces(whole, base, n_moments(place), _df(problem, free))


def _yuan_bentler(problem: Problem, point: Point, known: Evidence, covariates: IntArray) -> _Traces:
    """Traces with V the weight at the sample moments."""
    del point
    place, cov = problem.place, problem.sample.cov
    everything = np.arange(place.n_observed)
    inverse = np.linalg.inv(cov)
    inverse = 0.5 * (inverse + inverse.T)
    whole = known.spread(inverse, everything, given_x=True)
    if place.meanstructure:
        whole += known.spread_means(inverse, given_x=True)
    free = _estimated(problem, independent_blocks(problem, covariates))
    apart = _apart(problem, free)
    base = whole - _spread_of_blocks(known, apart, free, given_x=False)
    if place.meanstructure:
        base -= known.spread_means(apart, given_x=False)
    return _Traces(whole, base, n_moments(place), _df(problem, free))


def independent_blocks(problem: Problem, covariates: IntArray) -> list[IntArray]:
    """Blocks of the independence model: every outcome by itself, the covariates together."""
    outcomes = np.setdiff1d(np.arange(problem.place.n_observed), covariates)
    blocks = [np.array([j]) for j in outcomes]
    return [*blocks, covariates] if covariates.size else blocks


def _apart(problem: Problem, blocks: list[IntArray]) -> FloatArray:
    """Inverse of the sample covariances within blocks; zero elsewhere."""
    cov = problem.sample.cov
    apart = np.zeros_like(cov)
    alone = [int(block[0]) for block in blocks if block.size == 1]
    apart[alone, alone] = 1.0 / cov.diagonal()[alone]
    for block in blocks:
        if block.size > 1:
            apart[np.ix_(block, block)] = np.linalg.inv(cov[np.ix_(block, block)])
    return apart


def _spread_of_blocks(known: Evidence, apart: FloatArray, blocks: list[IntArray], *, given_x: bool) -> float:
    """Sum of the spreads of the blocks."""
    alone = np.array([block[0] for block in blocks if block.size == 1], dtype=np.intp)
    total = known.spread_alone(apart.diagonal()[alone], alone, given_x=given_x)
    for block in blocks:
        if block.size > 1:
            total += known.spread(apart[np.ix_(block, block)], block, given_x=given_x)
    return total


def _estimated(problem: Problem, blocks: list[IntArray]) -> list[IntArray]:
    """Blocks with parameters: covariates held at their sample moments have none."""
    held = set(problem.place.exogenous.tolist())
    return [block for block in blocks if not held.intersection(block.tolist())]


def _df(problem: Problem, free: list[IntArray]) -> int:
    parameters = sum(block.size * (block.size + 1) // 2 for block in free)
    means = sum(block.size for block in free) if problem.place.meanstructure else 0
    return n_moments(problem.place) - parameters - means


def state_of(fit: SemFit) -> State:
    """Where a fit ended."""
    return State(fit.solution.value, tuple(part.point for part in fit.parts))


def complete_rows(
    data: pd.DataFrame | Moments, names: Sequence[str], cluster: str | None
) -> tuple[FloatArray | Moments, IntArray | None]:
    """Complete rows of the named columns and the number of the cluster of each; moments as they are.

    Raises
    ------
    DataError
        The cluster column is absent, has missing values, or a single cluster.
    """
    if isinstance(data, Moments):
        return data.restrict(names), None if cluster is None else np.empty(0, dtype=np.intp)
    values = numeric_values(data, list(names))
    complete = np.asarray(~np.isnan(values).any(axis=1))
    if not complete.all():
        values = values[complete]
    return values, None if cluster is None else cluster_numbers(data, cluster, complete)


def cluster_numbers(data: pd.DataFrame, cluster: str, complete: npt.NDArray[np.bool_]) -> IntArray:
    """Number of the cluster of each complete row, from 0 on in order of appearance."""
    column = one_column(data, cluster)
    codes, labels = pd.factorize(column[complete])
    if (codes < 0).any():
        raise DataError.of(
            "data", cluster, "missing_cluster", f"{int((codes < 0).sum())} rows without a cluster",
            "a cluster in every complete row", "Fill in the cluster, or leave these rows out.",
        )  # fmt: skip
    if len(labels) < 2:
        raise DataError.of(
            "data", cluster, "one_cluster", "one cluster", "at least two, and some forty for errors worth reading",
            "Name the column that tells the clusters apart, or leave cluster out.",
        )  # fmt: skip
    return np.asarray(codes, dtype=np.intp)


def few_clusters(cluster: str, count: int) -> tuple[Note, ...]:
    """A note where there are fewer than forty clusters."""
    if count >= ENOUGH_CLUSTERS:
        return ()
    return (Note.of("few_clusters", "warning", cluster, "robust", clusters=count, enough=ENOUGH_CLUSTERS),)
