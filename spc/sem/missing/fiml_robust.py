"""Errors and tests of full-information maximum likelihood that hold for data that are not normal.

With A the observed information and B the second moments of the scores of single rows, both for one row of data, the
errors are those of ``A^-1 B A^-1 / N``, and the chi-square is divided by

    (tr(A1^-1 B1) - tr(A0^-1 B0)) / df,

0 for the model, 1 for unrestricted means and covariances (Yuan & Bentler 2000, Sociological Methodology 30, 165-200, in
the form of Asparouhov & Muthen 2005).

Missing answers also blur the measures of fit: chi-square grows less than the misfit of complete data would. The
corrected measures (Zhang & Savalei 2023, Structural Equation Modeling 30, 263-283) put the estimates into the
complete-data discrepancy from the saturated moments and take off what that statistic has by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy.linalg import block_diag
from scipy.linalg.lapack import dpotrf

from spc.linalg import FloatArray, vech
from spc.moments import Patterns, numeric_values
from spc.sem.engine.joint import System, problems_of, shares_of
from spc.sem.engine.optimise import Search
from spc.sem.engine.problem import Problem
from spc.sem.engine.ram import IntArray
from spc.sem.inference.robust import cluster_numbers
from spc.sem.inference.scaled import CompleteTest, Correction, ratio
from spc.sem.missing.fiml import Answers, Spot, evaluate, jacobian_of
from spc.sem.missing.incomplete import (
    Incomplete,
    Likelihood,
    curvature_in_moments,
    information_in_moments,
    lay_out,
    likelihood,
    variation_in_moments,
)
from spc.sem.missing.saturated import available_moments, saturated
from spc.spec.table import Model

__all__ = ["CompleteTest", "Rowwise", "complete_test", "rows_apart", "sandwich_of_rows", "single_rows"]


@dataclass(frozen=True, eq=False)
class _Setting:
    """Likelihoods that tests compare, in units of the problem: model, saturated moments, independence."""

    problem: Problem
    data: Incomplete
    model: Spot
    best: Likelihood
    apart: Likelihood
    apart_moments: tuple[FloatArray, FloatArray]
    covariates: IntArray
    of_apart: IntArray = field(repr=False)
    free: IntArray = field(repr=False)


def rows_apart(names: tuple[str, ...], values: FloatArray) -> Patterns:
    """Every row a pattern of its own, for what sums over patterns cannot tell."""
    seen = np.asarray(~np.isnan(values))
    none = np.empty((0, values.shape[1]))
    return Patterns(names, seen, np.ones(len(values)), np.where(seen, values, 0.0), none, np.empty(0, dtype=np.intp))


def single_rows(data: pd.DataFrame, model: Model, cluster: str | None) -> tuple[FloatArray, IntArray | None]:
    """Values of the rows that a fit uses, NaN where missing, and the number of the cluster of each."""
    values = numeric_values(data, list(model.observed))
    seen = ~np.isnan(values)
    held = [model.observed.index(name) for name in model.exogenous]
    kept = np.asarray(seen.any(axis=1) & seen[:, held].all(axis=1))
    return values[kept], None if cluster is None else cluster_numbers(data, cluster, kept)


def _setting(problem: Problem, patterns: Patterns, x: FloatArray, covariates: IntArray) -> _Setting:
    p = problem.place.n_observed
    scale = problem.scale[:p]
    data = lay_out(patterns, scale)
    model = evaluate(problem, data, x)
    assert problem.sample.mean is not None
    mean, cov = _independent(patterns, scale, covariates)
    best, apart = likelihood(data, problem.sample.mean, problem.sample.cov), likelihood(data, mean, cov)
    assert model is not None
    assert best is not None
    assert apart is not None
    held = problem.place.exogenous
    own = np.zeros((p, p), dtype=bool)
    np.einsum("ii->i", own)[:] = True
    own[np.ix_(covariates, covariates)] = True
    fixed = np.zeros((p, p), dtype=bool)
    fixed[np.ix_(held, held)] = True
    means = np.ones(p, dtype=bool)
    means[held] = False
    free = np.concatenate([means, vech((~fixed).astype(np.float64)) > 0])
    of_apart = np.concatenate([means, vech((own & ~fixed).astype(np.float64)) > 0])
    return _Setting(
        problem, data, model, best, apart, (mean, cov), covariates, np.flatnonzero(of_apart), np.flatnonzero(free)
    )


def _independent(patterns: Patterns, scale: FloatArray, covariates: IntArray) -> tuple[FloatArray, FloatArray]:
    """Estimates of the independence model, in units of ``scale``."""
    mean, variances = available_moments(patterns)
    cov = np.diag(variances)
    if covariates.size:
        found = saturated(patterns.restrict([patterns.names[i] for i in covariates])).moments
        assert found.mean is not None
        mean[covariates] = found.mean
        cov[np.ix_(covariates, covariates)] = found.cov * ((found.n - 1) / found.n)
    return mean / scale, cov / np.outer(scale, scale)


@dataclass(frozen=True, eq=False, slots=True)
class Rowwise:
    """Answers of one block, in patterns and row by row.

    Attributes
    ----------
    patterns : Patterns
    rows : Patterns
        The same rows, each apart.
    covariates : (k,) int array
        Observed variables that only explain: the independence model keeps their covariances.
    cluster : (N,) int array or None
    """

    patterns: Patterns
    rows: Patterns
    covariates: IntArray
    cluster: IntArray | None = None


def sandwich_of_rows(
    system: System, end: Search, blocks: Sequence[Rowwise], df: tuple[int, int], *, test_by_h1: bool = False
) -> tuple[FloatArray, Correction]:
    """Sampling covariances of the coordinates, and the scaling of the test.

    Parameters
    ----------
    system : Problem or Joint
    end : Search
        At the estimates, with the observed information.
    blocks : sequence of Rowwise
    df : tuple of int
        Of the model and of the independence model.
    test_by_h1 : bool
        Take the test's observed information without the curvature of the model itself, as lavaan does where clusters
        are given and the estimator is plain ML.

    Returns
    -------
    vcov : (k, k) array
    Correction
    """
    meat, own_information = np.zeros((system.size, system.size)), np.zeros((system.size, system.size))
    best = apart = 0.0
    count = 0
    for share, problem, block in zip(shares_of(system), problems_of(system), blocks, strict=True):
        at = _setting(problem, block.patterns, end.x, block.covariates)
        single = lay_out(block.rows, problem.scale[: problem.place.n_observed])
        meat_of = _meats(at, single, block.cluster)
        jacobian = jacobian_of(problem, at.model)
        meat += share * jacobian.T @ meat_of[0] @ jacobian
        best += _trace(curvature_in_moments(at.data, at.best), meat_of[1], at.free)
        apart += _trace(curvature_in_moments(at.data, at.apart), meat_of[2], at.of_apart)
        count += at.free.size
        if test_by_h1:
            own_information += share * jacobian.T @ curvature_in_moments(at.data, at.model.found) @ jacobian
    half = np.linalg.solve(end.information, meat)
    vcov = np.linalg.solve(end.information, half.T) / system.n
    if test_by_h1:
        half = np.linalg.solve(own_information, meat)
    taken = float(np.trace(half))
    correction = Correction(
        "yuan_bentler_mplus", best - taken, ratio(best - taken, df[0]), ratio(best - apart, df[1]),
        ratio(taken, system.npar), ratio(best, count),
    )  # fmt: skip
    return np.asarray(0.5 * (vcov + vcov.T)), correction


def _meats(at: _Setting, single: Incomplete, cluster: IntArray | None) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Variation of the scores at the model, at the saturated moments and at independence."""
    p = at.problem.place.n_observed
    assert at.problem.sample.mean is not None
    points = (
        (at.model.at.mean[:p], at.model.at.covariance[:p, :p]),
        (at.problem.sample.mean, at.problem.sample.cov),
        at.apart_moments,
    )
    found = []
    for mu, sigma in points:
        each = likelihood(single, mu, sigma)
        assert each is not None
        found.append(variation_in_moments(single, each, cluster))
    return found[0], found[1], found[2]


def _trace(information: FloatArray, meat: FloatArray, index: IntArray) -> float:
    chosen = np.ix_(index, index)
    if dpotrf(information[chosen], lower=1)[1]:
        return math.nan
    return float(np.trace(np.linalg.solve(information[chosen], meat[chosen])))


def complete_test(
    system: System,
    answers: Sequence[Answers],
    x: FloatArray,
    covariates: Sequence[IntArray],
    df: tuple[int, int],
) -> CompleteTest:
    """Statistics for the corrected fit measures.

    Parameters
    ----------
    system : Problem or Joint
    answers : sequence of Answers
        One a block, with rows apart where the data need not be normal.
    x : (k,) array
        Coordinates of the estimates.
    covariates : sequence of (k,) int arrays
    df : tuple of int
        Of the model and of the independence model.
    """
    parts = zip(problems_of(system), answers, covariates, strict=True)
    blocks = [_chance_of(problem, one, outside, x) for problem, one, outside in parts]
    shares = shares_of(system)
    complete, observed = (
        _diagonal(shares, [getattr(one, name) for one in blocks]) for name in ("complete", "observed")
    )
    variations = [one.variation for one in blocks if one.variation is not None]
    variation = _diagonal(shares, variations) if len(variations) == len(blocks) else None
    tangents = np.concatenate([one.jacobian for one in blocks]), block_diag(*(one.apart for one in blocks))
    chance = [_by_chance(complete, observed, tangent, variation) for tangent in tangents]
    chisq, base = system.n * (shares @ np.array([(one.value, one.base) for one in blocks]))
    return CompleteTest(float(chisq), ratio(chance[0], df[0]), float(base), ratio(chance[1], df[1]))


def _diagonal(shares: FloatArray, blocks: Sequence[FloatArray]) -> FloatArray:
    return np.asarray(block_diag(*(share * block for share, block in zip(shares, blocks, strict=True))))


@dataclass(frozen=True, eq=False, slots=True)
class _Chance:
    """What the complete-data statistic of one block has by chance is made of."""

    complete: FloatArray
    observed: FloatArray
    variation: FloatArray | None
    jacobian: FloatArray
    apart: FloatArray
    value: float
    base: float


def _chance_of(problem: Problem, answers: Answers, covariates: IntArray, x: FloatArray) -> _Chance:
    at = _setting(problem, answers.patterns, x, covariates)
    p, free = problem.place.n_observed, at.free
    cut = np.ix_(free, free)
    observed = curvature_in_moments(at.data, at.best)[cut]
    complete = _complete_information(problem.sample.cov)[cut]
    assert problem.sample.mean is not None
    variation = None
    if answers.rows is not None:
        single = lay_out(answers.rows, problem.scale[:p])
        each = likelihood(single, problem.sample.mean, problem.sample.cov)
        assert each is not None
        variation = variation_in_moments(single, each, answers.cluster)[cut]
    apart = np.eye(p * (p + 3) // 2)[np.ix_(free, at.of_apart)]
    mu, sigma = at.model.at.mean[:p], at.model.at.covariance[:p, :p]
    return _Chance(
        complete, observed, variation, jacobian_of(problem, at.model)[free], apart,
        _discrepancy(problem, mu, sigma), _discrepancy(problem, *at.apart_moments),
    )  # fmt: skip


def _complete_information(cov: FloatArray) -> FloatArray:
    p = len(cov)
    nothing = Patterns(
        tuple(map(str, range(p))), np.ones((1, p), dtype=bool), np.ones(1), np.zeros((1, p)), np.empty((0, p)),
        np.empty(0, dtype=np.intp),
    )  # fmt: skip
    inverse = np.linalg.inv(cov)
    return information_in_moments(lay_out(nothing, np.ones(p)), 0.5 * (inverse + inverse.T))


def _by_chance(complete: FloatArray, observed: FloatArray, tangent: FloatArray, variation: FloatArray | None) -> float:
    """Mean of the complete-data statistic where the model holds: ``tr(Wc P Gamma P')``.

    ``P = I - D (D'WD)^-1 D'W`` takes the model out of deviations of the saturated moments, whose covariances Gamma are
    ``W^-1``, or the sandwich ``W^-1 B W^-1``. NaN where W has no inverse.
    """
    if dpotrf(observed, lower=1)[1]:
        return math.nan
    project = observed @ tangent
    inner = np.linalg.solve(tangent.T @ project, project.T)
    if variation is None:
        spread = np.linalg.inv(observed)
        taken = np.linalg.solve(tangent.T @ project, tangent.T @ complete @ tangent)
        return float(np.vdot(complete, spread) - np.trace(taken))
    half = np.linalg.solve(observed, variation)
    gamma = np.linalg.solve(observed, half.T)
    rest = np.eye(len(observed)) - tangent @ inner
    return float(np.vdot(complete, rest @ gamma @ rest.T))


def _discrepancy(problem: Problem, mu: FloatArray, sigma: FloatArray) -> float:
    """Complete-data discrepancy of moments from the saturated ones."""
    sample = problem.sample
    assert sample.mean is not None
    inverse = np.linalg.inv(sigma)
    gap = sample.mean - mu
    change = float(np.linalg.slogdet(sigma)[1]) - sample.log_det
    return max(change + float(np.vdot(sample.cov, inverse)) - len(mu) + float(gap @ inverse @ gap), 0.0)
