"""What ordered answers, and continuous ones beside them, say about everything else in a model.

Continuous answers and covariates are values of normal variables, ordered ones intervals of their responses
(:mod:`spc.sem.ordinal.posterior`). Every pattern of answers is worked on at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError, Finding, UnsupportedError
from spc.linalg import FloatArray, cholesky
from spc.moments import category_codes, numeric_values
from spc.moments.columns import absent_columns
from spc.sem.engine.ram import IntArray
from spc.sem.ordinal.posterior import boxed_moments, posterior_modes
from spc.sem.ordinal.problem import OrdinalProblem
from spc.sem.postestimation.patterns import missing_patterns

if TYPE_CHECKING:
    from spc.sem.result import SemFit

__all__ = [
    "OrderedAnswers", "categories_of", "expected_given", "ordered_answers", "ordered_modes", "thresholds_of",
]  # fmt: skip

_RIDGE, _FLAT, _TIED, _NONE = 1e-9, 1e-5, 1e-8, 1e-10
"""Prior of a score without one; curvature of a likelihood without a maximum; correlation and variance that are none."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False, slots=True)
class OrderedAnswers:
    """Answers of n rows to the p observed variables, in balanced units.

    Attributes
    ----------
    values : (n, p) array
        Of continuous variables; NaN where missing, and for ordered ones.
    low, high : (n, p) arrays
        Intervals of the responses of ordered items; NaN where missing, and for continuous variables.
    ordered : (p,) array of bool
    """

    values: FloatArray
    low: FloatArray
    high: FloatArray
    ordered: Mask

    @property
    def marks(self) -> FloatArray:
        """Something where there is an answer, NaN elsewhere (n, p)."""
        return np.where(self.ordered, self.high, self.values)


def categories_of(problem: OrdinalProblem) -> dict[str, tuple[Any, ...]]:
    """Categories of each ordered item as they were at the fit."""
    sampled = problem.sampled
    names = [sampled.names[i] for i in sampled.ordered]
    return dict(zip(names, sampled.levels, strict=True))


def thresholds_of(fit: SemFit) -> dict[str, FloatArray]:
    """Thresholds of each ordered item, from minus infinity to infinity."""
    place, values = fit.problem.place, fit.values
    rows = place.threshold_rows
    found = {}
    for i in place.ordered:
        cuts = values[rows[place.row[rows] == i]]
        found[place.observed[i]] = np.concatenate([[-np.inf], cuts, [np.inf]])
    return found


def ordered_answers(fit: SemFit, data: pd.DataFrame, names: Sequence[str]) -> OrderedAnswers:
    """Read the named columns; all other variables of the model count as not answered.

    Raises
    ------
    DataError
        A column is absent, a continuous one not numeric or infinite, or an answer is none of the categories that the
        model was fitted to.
    """
    problem = fit.problem
    assert isinstance(problem, OrdinalProblem)
    place, known, cuts = problem.place, categories_of(problem), thresholds_of(fit)
    absent = [name for name in names if name not in data.columns]
    if absent:
        raise DataError(absent_columns("data", absent, list(data.columns)))
    values, low, high = (np.full((len(data), place.n_observed), np.nan) for _ in range(3))
    plain = [name for name in names if name not in known]
    if plain:
        at = [place.observed.index(name) for name in plain]
        values[:, at] = numeric_values(data, plain) / problem.scale[at]
    findings = []
    for name in [name for name in names if name in known]:
        codes = category_codes(data, [name], {name: known[name]})[:, 0]
        there, i = data[name].notna().to_numpy(), place.observed.index(name)
        findings += _unknown(data, name, known[name], there & (codes < 0))
        low[there, i], high[there, i] = cuts[name][codes[there]], cuts[name][codes[there] + 1]
    if findings:
        raise DataError(findings)
    return OrderedAnswers(values, low, high, np.isin(np.arange(place.n_observed), place.ordered))


def _unknown(data: pd.DataFrame, name: str, known: Sequence[Any], wrong: Mask) -> list[Finding]:
    if not wrong.any():
        return []
    return [Finding(
        "data", name, "unknown_category", f"the answer {data.loc[wrong, name].iloc[0]}",
        f"one of {', '.join(map(str, known))}", "Code the answers as they were when the model was fitted.",
    )]  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class _Given:
    """Means (n, v) and covariances (v, v) of all variables of some rows, given some of their answers.

    ``inside`` are the ordered items that are answered, ``beside`` the continuous variables that are answered and were
    not used.
    """

    mean: FloatArray
    cov: FloatArray
    rows: IntArray
    inside: IntArray
    beside: IntArray


def _given(fit: SemFit, answers: OrderedAnswers, held: Mask) -> Iterator[_Given]:
    """Each pattern of answers, given those of the continuous variables that are ``held`` (p,)."""
    at = fit.point.at
    for there, rows in missing_patterns(answers.marks):
        if not there.any():
            continue
        plain = there & ~answers.ordered
        known = np.flatnonzero(plain & held)
        slopes = np.linalg.solve(at.covariance[np.ix_(known, known)], at.covariance[known])
        mean = at.mean + (answers.values[np.ix_(rows, known)] - at.mean[known]) @ slopes
        cov = at.covariance - at.covariance[:, known] @ slopes
        yield _Given(mean, cov, rows, np.flatnonzero(there & answers.ordered), np.flatnonzero(plain & ~held))


def expected_given(fit: SemFit, answers: OrderedAnswers, wanted: IntArray) -> tuple[FloatArray, FloatArray]:
    """Means and variances (n, w) of variables given all answers, in balanced units; NaN in rows without any."""
    means, variances = (np.full((len(answers.values), wanted.size), np.nan) for _ in range(2))
    for one in _given(fit, answers, ~answers.ordered):
        low, high = (end[np.ix_(one.rows, one.inside)] for end in (answers.low, answers.high))
        own, cross = one.cov[np.ix_(one.inside, one.inside)], one.cov[np.ix_(one.inside, wanted)]
        middle, spread = boxed_moments(one.mean[:, one.inside], own, low, high)
        weights = np.linalg.solve(own, cross)
        means[one.rows] = one.mean[:, wanted] + (middle - one.mean[:, one.inside]) @ weights
        left = one.cov[wanted, wanted] - np.einsum("kw,kw->w", weights, cross)
        variances[one.rows] = left + np.einsum("kw,nkl,lw->nw", weights, spread, weights, optimize=True)
    return means, variances


def ordered_modes(fit: SemFit, answers: OrderedAnswers, *, prior: bool) -> FloatArray:
    """Most likely values of the latent variables (n, m) given all answers, in balanced units.

    Parameters
    ----------
    fit : SemFit
    answers : OrderedAnswers
    prior : bool
        Whether their distribution counts beside the likelihood of the answers; without it, a latent variable of which
        the answers leave no maximum is NaN.

    Raises
    ------
    NotPositiveDefiniteError
        Latent variables, or what they leave of continuous ones, have a covariance matrix without an inverse.
    UnsupportedError
        Responses that the latent variables do not make independent, or leave without residual variance.
    """
    place, p = fit.problem.place, fit.problem.place.n_observed
    found = np.full((len(answers.values), len(place.latents)), np.nan)
    for one in _given(fit, answers, np.isin(np.arange(p), place.exogenous)):
        found[one.rows] = one.mean[:, p:] + _modes(fit, answers, one, prior=prior)
    return found


def _modes(fit: SemFit, answers: OrderedAnswers, one: _Given, *, prior: bool) -> FloatArray:
    """Most likely distances (n, m) of the latent variables from their means."""
    place, p = fit.problem.place, fit.problem.place.n_observed
    inside, beside = one.inside, one.beside
    own = one.cov[p:, p:]
    precision = _inverse(own, "The covariance matrix of the latent variables", place.latents)
    slopes = one.cov[:p, p:] @ precision
    left = one.cov[:p, :p] - slopes @ one.cov[p:, :p]
    names = [place.observed[i] for i in beside]
    inner = _inverse(left[np.ix_(beside, beside)], "What the latent variables leave of continuous ones", names)
    off = answers.values[np.ix_(one.rows, beside)] - one.mean[:, beside]
    known = slopes[beside].T @ inner @ slopes[beside]
    whole = known + (precision if prior else _RIDGE * np.diag(1.0 / own.diagonal()))
    start = np.linalg.solve(whole, slopes[beside].T @ inner @ off.T).T
    onto = left[np.ix_(inside, beside)] @ inner
    response = slopes[inside] - onto @ slopes[beside]
    spread = left[np.ix_(inside, inside)] - onto @ left[np.ix_(beside, inside)]
    _require_independent(spread, [place.observed[i] for i in inside])
    middle = one.mean[:, inside] + off @ onto.T + start @ response.T
    low, high = (end[np.ix_(one.rows, inside)] - middle for end in (answers.low, answers.high))
    moved, seen = posterior_modes(whole, response, np.sqrt(spread.diagonal()), low, high)
    return start + moved if prior else _determined(start + moved, seen + known, own.diagonal())


def _inverse(matrix: FloatArray, what: str, names: Sequence[str]) -> FloatArray:
    half = np.linalg.solve(cholesky(matrix, what, names), np.eye(len(matrix)))
    return np.asarray(half.T @ half)


def _require_independent(spread: FloatArray, names: Sequence[str]) -> None:
    """Raise unless responses have residual variances, and no covariances beside them."""
    bare = [name for name, variance in zip(names, spread.diagonal(), strict=True) if variance <= _NONE]
    if bare:
        raise UnsupportedError(
            f"The model leaves {', '.join(bare)} without residual variance, so their answers have no likelihood given "
            "the latent variables."
        )
    root = np.sqrt(spread.diagonal())
    tied = np.argwhere(np.triu(np.abs(spread / np.outer(root, root)) > _TIED, 1))
    if tied.size:
        pairs = ", ".join(f"{names[i]} with {names[j]}" for i, j in tied[:3])
        raise UnsupportedError(
            f"The answers to ordered items are not independent given the latent variables ({pairs}), so that the mode "
            "has no product of intervals to come from. method='eap' gives expected values, which need none."
        )


def _determined(scores: FloatArray, curvature: FloatArray, variances: FloatArray) -> FloatArray:
    """NaN where the likelihood of the answers is flat along a latent variable."""
    root = np.sqrt(variances)
    values, vectors = np.linalg.eigh(curvature * np.outer(root, root))
    flat = ((values[:, None, :] < _FLAT) & (np.abs(vectors) > 1e-3)).any(axis=2)
    return np.where(flat, np.nan, scores)
