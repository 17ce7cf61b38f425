"""Thresholds and residual correlations of items given covariates, by probit and linear regressions.

With covariates held at their sample values, the model is of the items given them: each ordered item has a probit
regression (thresholds and slopes), each continuous one a linear regression, and each pair the correlation of their
residuals given both. The influence of each row on all of these comes from the stacked scores of both steps, as in
:mod:`spc.sem.ordinal.moments`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from spc.errors import DataError, NonConvergenceError
from spc.linalg import FloatArray, cholesky, frozen_array
from spc.moments import Counts
from spc.sem.engine.ram import BoolArray
from spc.sem.ordinal.moments import IMPOSSIBLE, OrdinalMoments, nobody_answers_both, normal_correlation, normal_rows
from spc.sem.ordinal.polychoric import BOUND, FAR, binormal, binormal_density, density, safeguarded_step, serial_rows

__all__ = ["conditional_influence", "conditional_moments"]

TOLERANCE = 1e-11
MAX_ITERATIONS = 60
LARGEST = 7.0


@dataclass(frozen=True, eq=False, slots=True)
class _Alone:
    """Regression of one variable on the covariates.

    Attributes
    ----------
    ordered : bool
    seen : (n,) bool array
        Rows that answer.
    cut : (c - 1,) array
        Thresholds, or the intercept.
    slope : (k,) array
    variance : float
        Of the residuals; 1 where ordered.
    upper, lower : (n,) arrays
        Thresholds around each answer less the prediction; standardised residuals twice where continuous.
    code : (n,) int array
        Categories, -1 where there is none.
    influence : (n, d) array
        Of each row on thresholds (or intercept), slopes, and variance where continuous.
    """

    ordered: bool
    seen: BoolArray
    cut: FloatArray
    slope: FloatArray
    variance: float
    upper: FloatArray
    lower: FloatArray
    code: FloatArray
    influence: FloatArray


def conditional_influence(counts: Counts, covariates: tuple[str, ...]) -> FloatArray:
    """Influence of each row on the statistics given covariates (n, m); none of a row that lacks one of these."""
    found, rows, kept = _found(counts, covariates)
    whole = np.zeros((counts.n, found.statistics.size))
    whole[kept] = rows
    return whole


def conditional_moments(counts: Counts, covariates: tuple[str, ...]) -> OrdinalMoments:
    """Thresholds, slopes and residual correlations of all other variables given the covariates.

    Parameters
    ----------
    counts : Counts
        Rows without all of the covariates are left out.
    covariates : tuple of str
        Continuous variables of the counts.

    Raises
    ------
    DataError
        No row answers two of the variables, or too few answer one for its regression.
    NotPositiveDefiniteError
        The covariates are linearly dependent.
    NonConvergenceError
        A probit regression has no finite estimates: a covariate tells categories apart without fail.
    """
    return _found(counts, covariates)[0]


def _found(counts: Counts, covariates: tuple[str, ...]) -> tuple[OrdinalMoments, FloatArray, BoolArray]:
    """The statistics, the influence of each row on them, and which rows those are."""
    inside = [counts.names.index(name) for name in covariates]
    x = counts.values[:, inside]
    kept = ~np.isnan(x).any(axis=1)
    x = x[kept]
    if len(x) <= len(covariates) + 1:
        raise DataError.of(
            "data", ", ".join(covariates), "too_few_rows", f"{len(x)} rows with all covariates",
            f"more than {len(covariates) + 1}", "Leave out covariates that are mostly missing.",
        )  # fmt: skip
    mean, cov = x.mean(axis=0), np.cov(x, rowvar=False).reshape(len(inside), len(inside))
    unit = np.sqrt(cov.diagonal())
    if (unit <= 1e-10 * np.abs(mean)).any():
        raise DataError.of(
            "data", ", ".join(np.array(covariates)[unit <= 1e-10 * np.abs(mean)]), "constant_column",
            "the same value in every row", "values that vary", "Leave it out of the model, or check how it was read.",
        )  # fmt: skip
    cholesky(
        cov / np.outer(unit, unit) - 1e-10 * np.eye(unit.size), "The covariance matrix of the covariates", covariates
    )
    standard = (x - mean) / unit
    names = [name for name in counts.names if name not in covariates]
    outcomes = counts.restrict(names)
    each = [_alone(outcomes, np.asarray(kept), i, standard) for i in range(len(names))]
    return *_assembled(outcomes, each, standard, mean, cov, covariates), np.asarray(kept)


def _alone(counts: Counts, kept: BoolArray, i: int, x: FloatArray) -> _Alone:
    levels = counts.levels[i]
    name = counts.names[i]
    if not levels:
        return _linear(counts.values[kept, i], x, name)
    return _probit(counts.codes[kept, i].astype(np.intp), len(levels), x, name)


def _linear(y: FloatArray, x: FloatArray, name: str) -> _Alone:
    seen = ~np.isnan(y)
    design = np.column_stack([np.ones(len(x)), x]) * seen[:, None]
    value = np.where(seen, y, 0.0)
    coefficient = np.linalg.lstsq(design, value, rcond=None)[0]
    residual = (value - design @ coefficient) * seen
    variance = float(residual @ residual) / max(int(seen.sum()), 1)
    if variance <= 1e-20 * max(float(value @ value), 1e-300):
        raise DataError.of(
            "data", name, "constant_column", "values that covariates foretell without error", "values that vary",
            "Leave it out of the model, or leave out the covariates that it is made of.",
        )  # fmt: skip
    score = np.column_stack([
        design * (residual / variance)[:, None], 0.5 * (residual**2 / variance - 1.0) / variance * seen
    ])  # fmt: skip
    z = residual / np.sqrt(variance)
    return _Alone(False, seen, coefficient[:1], coefficient[1:], variance, z, z, np.full(len(x), -1), _influence(score))


def _influence(score: FloatArray) -> FloatArray:
    unit = np.sqrt((score**2).sum(axis=0))
    unit[unit == 0.0] = 1.0
    scaled = score / unit
    return np.asarray(scaled @ np.linalg.inv(scaled.T @ scaled) / unit)


def _edges(code: FloatArray, cut: FloatArray, prediction: FloatArray) -> tuple[FloatArray, FloatArray]:
    edges = np.concatenate([[-np.inf], cut, [np.inf]])
    answered = code >= 0
    upper = np.where(answered, edges[code + 1], np.inf) - prediction
    lower = np.where(answered, edges[np.maximum(code, 0)], -np.inf) - prediction
    return np.clip(upper, -FAR, FAR), np.clip(lower, -FAR, FAR)


def _probit(code: FloatArray, size: int, x: FloatArray, name: str) -> _Alone:
    """Ordered probit regression by Newton steps: the likelihood is concave."""
    seen = code >= 0
    k = x.shape[1]
    once = np.bincount(code[seen], minlength=size)
    theta = np.concatenate([ndtri(np.cumsum(once)[:-1] / once.sum()), np.zeros(k)])
    value, score, curve, rows = _probit_at(theta, code, size, x)
    for _ in range(MAX_ITERATIONS):
        if np.abs(theta).max() > LARGEST or not np.linalg.cond(curve) < 1e13:
            break
        step, share = np.linalg.solve(curve, score), 1.0
        while share > 1e-6:
            trial = _probit_at(theta + share * step, code, size, x)
            if trial[0] >= value - 1e-9:
                break
            share /= 2.0
        theta = theta + share * step
        value, score, curve, rows = trial
        if np.abs(share * step).max() < TOLERANCE:
            break
    if np.abs(theta).max() > LARGEST or np.abs(score).max() > 1e-4:
        raise NonConvergenceError(
            f"{name}: the probit regression on the covariates has no finite estimates, because a covariate tells its "
            "categories apart without fail. Join categories, or leave that covariate out.",
            None,
        )
    cut, slope = theta[: size - 1], theta[size - 1 :]
    upper, lower = _edges(code, cut, x @ slope)
    return _Alone(True, seen, cut, slope, 1.0, upper, lower, code, _influence(rows))


def _probit_at(
    theta: FloatArray, code: FloatArray, size: int, x: FloatArray
) -> tuple[float, FloatArray, FloatArray, FloatArray]:
    """Log-likelihood, score, negative curvature and scores of the rows."""
    cut, slope = theta[: size - 1], theta[size - 1 :]
    seen = code >= 0
    if (np.diff(cut) <= 0.0).any():
        return -np.inf, theta, np.eye(theta.size), x
    upper, lower = _edges(code, cut, x @ slope)
    p = np.maximum(np.where(lower > 0.0, ndtr(-lower) - ndtr(-upper), ndtr(upper) - ndtr(lower)), 1e-300)
    above, below = _beside(code, size)
    du, dl = density(upper) / p, density(lower) / p
    rows_u = np.concatenate([above, -x * seen[:, None]], axis=1)
    rows_l = np.concatenate([below, -x * seen[:, None]], axis=1)
    rows = rows_u * du[:, None] - rows_l * dl[:, None]
    curve = rows.T @ rows + rows_u.T @ (rows_u * (upper * du)[:, None]) - rows_l.T @ (rows_l * (lower * dl)[:, None])
    return float(np.log(p)[seen].sum()), rows.sum(axis=0), curve, rows


def _beside(code: FloatArray, size: int) -> tuple[FloatArray, FloatArray]:
    """Whether each threshold is the one above, and the one below, each answer (n, c - 1)."""
    t = np.arange(size - 1)
    return (code[:, None] == t).astype(np.float64), ((code[:, None] == t + 1) & (code[:, None] >= 0)).astype(np.float64)


@dataclass(frozen=True, eq=False, slots=True)
class _Pair:
    """Correlation of a pair, scores of its rows on it, and on upper and lower edges of both members."""

    rho: float
    score: FloatArray
    first: tuple[FloatArray, FloatArray]
    second: tuple[FloatArray, FloatArray]


def _pair(one: _Alone, other: _Alone) -> _Pair:
    both = one.seen & other.seen
    if one.ordered and other.ordered:
        return _ordered_pair(one, other, both)
    if one.ordered:
        found = _pair(other, one)
        return _Pair(found.rho, found.score, found.second, found.first)
    return _serial_pair(one, other, both) if other.ordered else _normal_pair(one, other, both)


def _start(one: _Alone, other: _Alone, both: BoolArray) -> float:
    def middle(alone: _Alone) -> FloatArray:
        if not alone.ordered:
            return alone.upper
        p = np.maximum(ndtr(alone.upper) - ndtr(alone.lower), 1e-12)
        return np.asarray((density(alone.lower) - density(alone.upper)) / p)

    a, b = middle(one)[both], middle(other)[both]
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(np.clip(a @ b / spread, -0.9, 0.9)) if spread > 0.0 else 0.0


def _ordered_pair(one: _Alone, other: _Alone, both: BoolArray) -> _Pair:
    h1, h0, k1, k0 = one.upper[both], one.lower[both], other.upper[both], other.lower[both]
    corners = [(h1, k1, 1.0), (h0, k1, -1.0), (h1, k0, -1.0), (h0, k0, 1.0)]
    rho, low, high = np.array([_start(one, other, both)]), np.array([-BOUND]), np.array([BOUND])
    for _ in range(MAX_ITERATIONS):
        p, slope, bend = np.zeros(h1.size), np.zeros(h1.size), np.zeros(h1.size)
        free = (1.0 - rho) * (1.0 + rho)
        for h, k, sign in corners:
            p += sign * binormal(h, k, rho)
            height = binormal_density(h, k, rho)
            slope += sign * height
            bend += sign * height * (rho * free + (1.0 + rho**2) * h * k - rho * (h * h + k * k)) / free**2
        score, curve = _ratios(p, slope, bend)
        moved, low, high = safeguarded_step(rho, score.sum(keepdims=True), curve.sum(keepdims=True), low, high)
        done = abs(float(moved[0] - rho[0])) <= TOLERANCE
        rho = moved
        if done:
            break
    root = np.sqrt((1.0 - rho) * (1.0 + rho))
    share = np.where(p > IMPOSSIBLE, 1.0 / np.where(p > IMPOSSIBLE, p, 1.0), 0.0)

    def across(edge: FloatArray, up: FloatArray, down: FloatArray) -> FloatArray:
        return np.asarray(density(edge) * (ndtr((up - rho * edge) / root) - ndtr((down - rho * edge) / root)) * share)

    parts = [score, across(h1, k1, k0), -across(h0, k1, k0), across(k1, h1, h0), -across(k0, h1, h0)]
    s, a1, a0, b1, b0 = (_spread_out(part, both) for part in parts)
    return _Pair(float(rho[0]), s, (a1, a0), (b1, b0))


def _ratios(p: FloatArray, slope: FloatArray, bend: FloatArray) -> tuple[FloatArray, FloatArray]:
    possible = p > IMPOSSIBLE
    share = np.where(possible, 1.0 / np.where(possible, p, 1.0), 0.0)
    score = slope * share
    return score, bend * share - score**2


def _spread_out(part: FloatArray, both: BoolArray) -> FloatArray:
    whole = np.zeros(both.size)
    whole[both] = part
    return whole


def _serial_pair(one: _Alone, other: _Alone, both: BoolArray) -> _Pair:
    z, upper, lower = one.upper[both, None], other.upper[both, None], other.lower[both, None]
    rho, low, high = np.array([_start(one, other, both)]), np.array([-BOUND]), np.array([BOUND])
    for _ in range(MAX_ITERATIONS):
        rows = serial_rows(z, upper, lower, rho)
        moved, low, high = safeguarded_step(rho, rows.score.sum(axis=0), rows.curve.sum(axis=0), low, high)
        done = abs(float(moved[0] - rho[0])) <= TOLERANCE
        rho = moved
        if done:
            break
    found = serial_rows(z, upper, lower, rho)
    mean, spread = z - found.z, 0.5 * (z * z - 1.0 - z * found.z)
    parts = [found.score, mean, spread, found.upper, found.lower]
    s, a1, a0, b1, b0 = (_spread_out(part[:, 0], both) for part in parts)
    return _Pair(float(rho[0]), s, (a1, a0), (b1, b0))


def _normal_pair(one: _Alone, other: _Alone, both: BoolArray) -> _Pair:
    za, zb = one.upper[both], other.upper[both]
    everyone = bool((both == (one.seen | other.seen)).all())
    rho = normal_correlation(za, zb, everyone=everyone)
    s, a1, a0, b1, b0 = (_spread_out(part, both) for part in normal_rows(za, zb, np.array(rho)))
    return _Pair(rho, s, (a1, a0), (b1, b0))


def _own(alone: _Alone, parts: tuple[FloatArray, FloatArray], x: FloatArray) -> FloatArray:
    """Scores of a pair on what one member has alone, from those on its edges (n, d)."""
    one, other = parts
    if not alone.ordered:
        deviation = np.sqrt(alone.variance)
        return np.column_stack([one / deviation, x * (one / deviation)[:, None], other / alone.variance])
    above, below = _beside(alone.code, alone.cut.size + 1)
    cut = above * one[:, None] + below * other[:, None]
    return np.concatenate([cut, -x * (one + other)[:, None]], axis=1)


def _assembled(
    counts: Counts, each: list[_Alone], x: FloatArray, mean: FloatArray, cov: FloatArray, covariates: tuple[str, ...]
) -> tuple[OrdinalMoments, FloatArray]:
    p, n, k = len(each), len(x), x.shape[1]
    first, second = np.triu_indices(p, 1)
    rho, rows, edge = np.eye(p), np.empty((n, first.size)), []
    for at, (i, j) in enumerate(zip(first, second, strict=True)):
        if not (each[i].seen & each[j].seen).any():
            raise nobody_answers_both(counts, int(i), int(j))
        pair = _pair(each[i], each[j])
        rho[i, j] = rho[j, i] = pair.rho
        if abs(pair.rho) >= BOUND - 1e-9:
            edge.append((counts.names[i], counts.names[j]))
        left = pair.score - each[i].influence @ (_own(each[i], pair.first, x).T @ pair.score)
        left -= each[j].influence @ (_own(each[j], pair.second, x).T @ pair.score)
        rows[:, at] = left / max(float(pair.score @ pair.score), 1e-300)
    variance = np.array([one.variance for one in each])
    deviation, unit = np.sqrt(variance), np.sqrt(cov.diagonal())
    for at, (i, j) in enumerate(zip(first, second, strict=True)):
        rows[:, at] *= deviation[i] * deviation[j]
        for a, b in ((i, j), (j, i)):
            if not each[a].ordered:
                rows[:, at] += each[a].influence[:, -1] * rho[i, j] * deviation[b] / (2.0 * deviation[a])
    ordered, continuous = counts.ordered, counts.continuous
    slope = np.array([one.slope for one in each]) / unit
    shift = slope @ mean
    slopes_of = [each[i].influence[:, each[i].cut.size : each[i].cut.size + k] / unit for i in range(p)]
    moved = [part @ mean for part in slopes_of]
    cut = [each[i].influence[:, : each[i].cut.size] + moved[i][:, None] for i in ordered]
    middle = [each[i].influence[:, :1] - moved[i][:, None] for i in continuous]
    spread = [each[i].influence[:, -1:] for i in continuous]
    whole = np.concatenate([*cut, *middle, *spread, *slopes_of, rows], axis=1)
    sizes = np.array([len(counts.levels[i]) for i in ordered], dtype=np.intp)
    intercept = np.zeros(p)
    intercept[continuous] = [float(each[i].cut[0]) - shift[i] for i in continuous]
    threshold = np.concatenate([each[i].cut + shift[i] for i in ordered])
    found = OrdinalMoments(
        counts.names, ordered, continuous, sizes, n, frozen_array(threshold), np.repeat(ordered, sizes - 1),
        frozen_array(intercept), frozen_array(rho * np.outer(deviation, deviation)),
        frozen_array(n * (whole.T @ whole)), tuple(edge), (), covariates, frozen_array(slope), frozen_array(mean),
        frozen_array(cov),
    )  # fmt: skip
    return found, whole
