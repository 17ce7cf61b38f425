"""Means and covariances of rows with missing answers, by maximum likelihood without any model.

A few steps of the EM algorithm, which cannot fail, then Newton steps in the space of means and covariances, which are
fast where EM crawls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotrs

from spc.errors import DataError, EstimationError, Finding, NonConvergenceError, NotPositiveDefiniteError
from spc.linalg import FloatArray, cholesky, frozen_array, unvech, vech
from spc.moments import Moments, Patterns
from spc.sem.missing.incomplete import (
    Incomplete,
    Likelihood,
    curvature_in_moments,
    information_in_moments,
    lay_out,
    likelihood,
)

__all__ = ["Saturated", "available_moments", "check_patterns", "logl", "saturated", "supported"]

TOLERANCE = 1e-16
_FIRST_STEPS, _SLOW, _WIDEST = 4, 0.3, 2000
_MAX_STEPS, _MAX_EM = 200, 20_000
_SMALLEST_PIVOT, _NEARLY_SINGULAR = 1e-10, 1e-3


@dataclass(frozen=True, eq=False)
class Saturated:
    """The best any model of means and covariances can do.

    Attributes
    ----------
    moments : Moments
        Estimated means and covariances, with divisor n - 1 as in :class:`~spc.moments.Moments`.
    logl : float
        Log-likelihood of all answers; NaN where no moments are best.
    information : array or None
        Expected information of means and ``vech`` of the covariances in units of ``scale``, for one row of data;
        None where there are too many moments for a matrix of them.
    scale : (p,) array
        Standard deviations of the available answers.
    iterations : int
    """

    moments: Moments
    logl: float
    information: FloatArray | None
    scale: FloatArray
    iterations: int


def saturated(patterns: Patterns) -> Saturated:
    """Estimate means and covariances from all answers.

    Parameters
    ----------
    patterns : Patterns

    Returns
    -------
    Saturated

    Raises
    ------
    DataError
        A variable has no or constant answers, or two variables are never answered together.
    NotPositiveDefiniteError
        The variables are linearly dependent.
    NonConvergenceError
        The search did not end: almost nothing is answered together.

    References
    ----------
    Little & Rubin (2002), *Statistical Analysis with Missing Data*, chapter 11.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0], "y": [1.0, 3.0, 2.0, None]})
    >>> found = saturated(Patterns.from_frame(rows)).moments
    >>> found.mean.round(6).tolist()
    [2.5, 2.25]
    """
    check_patterns(patterns)
    origin, variances = available_moments(patterns)
    scale = np.sqrt(variances)
    data = lay_out(patterns, scale, origin)
    mu, sigma, at, information, iterations = _climb(data, patterns.names)
    n = data.total
    cov = sigma * np.outer(scale, scale) * (n / (n - 1.0))
    moments = Moments(patterns.names, patterns.rows, origin + scale * mu, cov)
    return Saturated(moments, logl(patterns, at.value, scale), information, frozen_array(scale), iterations)


def supported(patterns: Patterns) -> Saturated:
    """Means and covariances of answers that have no best ones, held up by one made-up row a variable.

    With few complete rows the likelihood of unrestricted moments often rises without end towards a covariance matrix
    without an inverse. The made-up rows have the means and variances of the available answers and no correlations: a
    place to start from, and no ground for a test.
    """
    mean, variances = available_moments(patterns)
    p = len(mean)
    none = Patterns(
        patterns.names, np.ones((1, p), dtype=bool), np.array([float(p)]), mean[None],
        np.diag(np.sqrt(p * variances)), np.zeros(p, dtype=np.intp),
    )  # fmt: skip
    found = saturated(patterns.merge(none))
    n = patterns.rows
    cov = found.moments.cov * ((found.moments.n - 1) / found.moments.n) * (n / (n - 1))
    return replace(found, moments=Moments(patterns.names, n, found.moments.mean, cov), logl=np.nan)


def logl(patterns: Patterns, value: float, scale: FloatArray) -> float:
    """Log-likelihood of all answers in the user's units, from F in units of ``scale``."""
    answers: FloatArray = patterns.n @ patterns.observed
    constant = float(answers.sum()) * np.log(2.0 * np.pi) + 2.0 * float(answers @ np.log(scale))
    return float(-0.5 * (float(patterns.n.sum()) * value + constant))


def available_moments(patterns: Patterns) -> tuple[FloatArray, FloatArray]:
    """Mean and variance (divisor n) of the answers of each variable."""
    answered = patterns.observed * patterns.n[:, None]
    n = answered.sum(axis=0)
    mean = np.einsum("kj,kj->j", answered, patterns.mean) / n
    gap = patterns.mean - mean
    return mean, (np.einsum("kj,kj->j", answered, gap * gap) + (patterns.spread**2).sum(axis=0)) / n


def check_patterns(patterns: Patterns) -> None:
    """Raise where no likelihood could tell all means and covariances: see :func:`saturated`."""
    coverage = patterns.coverage()
    findings = [
        Finding("data", name, "no_answers", "no answers at all", "some answers", "Leave it out of the model.")
        for name, share in zip(patterns.names, coverage.diagonal(), strict=True)
        if share == 0.0
    ]
    if not findings:
        mean, variances = available_moments(patterns)
        findings = [
            Finding(
                "data", name, "constant_column", "the same value in every row", "values that vary",
                "Leave it out of the model, or check how it was read.",
            )
            for name, variance, centre in zip(patterns.names, variances, mean, strict=True)
            if variance <= (1e-10 * abs(centre)) ** 2
        ]  # fmt: skip
        findings += [
            Finding(
                "data", f"{patterns.names[i]}, {patterns.names[j]}", "never_together",
                "no row in which both are answered", "some rows with both",
                "Nothing tells how they covary: take one of them out of the model, or impute from a planned design.",
            )
            for i, j in zip(*np.nonzero(np.triu(coverage == 0.0)), strict=True)
        ]  # fmt: skip
    if findings:
        raise DataError(findings)


def _climb(
    data: Incomplete, names: tuple[str, ...]
) -> tuple[FloatArray, FloatArray, Likelihood, FloatArray | None, int]:
    p = data.mean.shape[1]
    mu, sigma = np.zeros(p), np.eye(p)
    at = _checked(likelihood(data, mu, sigma), sigma, names)
    narrow = p + p * (p + 1) // 2 <= _WIDEST
    information: FloatArray | None = None
    factor: FloatArray | None = None
    last = np.inf
    for iteration in range(_MAX_STEPS if narrow else _MAX_EM):
        if narrow and iteration == _FIRST_STEPS:
            information = information_in_moments(data, at.inverse)
            factor = _root(information)
        step = _em(at, sigma) if factor is None else _newton(factor, at)
        if step.decrement < (TOLERANCE if factor is not None or not data.groups else 1e-4 * TOLERANCE):
            _check_pivots(sigma, names)
            return mu, sigma, at, information, iteration
        if factor is not None and step.decrement > _SLOW * last:
            factor = _refreshed(data, at)
            step = _em(at, sigma) if factor is None else _newton(factor, at)
        last = np.inf if factor is None else step.decrement
        for share in (1.0, 0.5, 0.25, 0.125, 0.0):
            move = Step(share * step.mu, share * step.sigma, 0.0) if share else _em(at, sigma)
            trial = likelihood(data, mu + move.mu, sigma + move.sigma)
            if trial is not None and trial.value <= at.value + 1e-12:
                break
        mu, sigma = mu + move.mu, sigma + move.sigma
        at = _checked(trial, sigma, names)
    _check_pivots(sigma, names)
    raise _no_maximum(sigma, names)


def _no_maximum(sigma: FloatArray, names: tuple[str, ...]) -> EstimationError:
    root = np.sqrt(sigma.diagonal())
    values, vectors = np.linalg.eigh(sigma / np.outer(root, root))
    text = (
        "Means and covariances that fit these answers best do not exist, or are very hard to find: the likelihood "
        "keeps rising towards a covariance matrix without an inverse. Either variables depend on one another "
        "linearly, or too few rows answer the same questions; name fewer variables, or model scale scores."
    )
    if values[0] > _NEARLY_SINGULAR:
        return NonConvergenceError(text)
    involved = [name for name, weight in zip(names, vectors[:, 0], strict=True) if abs(weight) > 0.1]
    return NotPositiveDefiniteError(f"{text} Variables involved: {', '.join(involved)}.", parameters=involved)


def _checked(at: Likelihood | None, sigma: FloatArray, names: tuple[str, ...]) -> Likelihood:
    if at is None:
        _check_pivots(sigma, names)
        cholesky(sigma - _SMALLEST_PIVOT * np.eye(len(sigma)), "The estimated covariance matrix", names)
    assert at is not None
    return at


def _check_pivots(sigma: FloatArray, names: tuple[str, ...]) -> None:
    root = np.sqrt(sigma.diagonal())
    correlation = sigma / np.outer(root, root)
    cholesky(correlation - _SMALLEST_PIVOT * np.eye(len(sigma)), "The estimated covariance matrix", names)


@dataclass(frozen=True, eq=False, slots=True)
class Step:
    """A step, and how far the score says there is to go."""

    mu: FloatArray
    sigma: FloatArray
    decrement: float


def _em(at: Likelihood, sigma: FloatArray) -> Step:
    """Step of the EM algorithm, which is a multiple of the gradient."""
    move = sigma @ at.pull
    change = sigma @ at.tension @ sigma
    length = float(np.vdot(at.tension, change)) / 2.0 + float(at.pull @ move)
    return Step(move, change - np.outer(move, move), length)


def _newton(factor: FloatArray, at: Likelihood) -> Step:
    p = len(at.pull)
    tension = at.tension.copy()
    np.einsum("ii->i", tension)[:] *= 0.5
    score = np.concatenate([at.pull, vech(tension)])
    step, _ = dpotrs(factor, score, lower=1)
    return Step(step[:p], unvech(step[p:]), float(score @ step))


def _root(metric: FloatArray) -> FloatArray | None:
    factor, fault = dpotrf(metric, lower=1)
    return None if fault else np.asarray(factor)


def _refreshed(data: Incomplete, at: Likelihood) -> FloatArray | None:
    """Factor of the observed information where it is positive definite, else of the expected one."""
    factor = _root(curvature_in_moments(data, at))
    return _root(information_in_moments(data, at.inverse)) if factor is None else factor
