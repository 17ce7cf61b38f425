"""Thresholds, means, variances and polychoric correlations of ordered and continuous items, with their covariances.

The statistics are estimated in two steps: each variable alone, then each pair given what was found for its members.
Stacking the scores of both steps gives the influence of each row on every statistic, and the sum of its squares the
covariances (Muthen 1984, Psychometrika 49, 115-132; as lavaan, with outer products of scores for information). A row
that misses an answer has no score there, so that every statistic rests on the rows that answer what it needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from spc.errors import DataError
from spc.linalg import FloatArray, frozen_array
from spc.moments import Counts
from spc.sem.engine.ram import IntArray
from spc.sem.ordinal.polychoric import BOUND, FAR, cell_tables, density, polychoric, polyserial, serial_rows, thresholds

__all__ = [
    "OrdinalMoments",
    "nobody_answers_both",
    "normal_correlation",
    "normal_rows",
    "ordinal_influence",
    "ordinal_moments",
]

IMPOSSIBLE = 1.5e-8
_ROWS = 1 << 13
_COLLINEAR = 1e-10
_CELLS = 1 << 24


@dataclass(frozen=True, eq=False)
class OrdinalMoments:
    """Statistics of p variables, of which k are ordered, and their sampling covariances.

    Attributes
    ----------
    names : tuple of str
        Variable names.
    ordered, continuous : int arrays
        Positions of the ordered and of the continuous variables.
    sizes : (k,) int array
        Number of categories of each ordered variable.
    n : int
        Rows with at least one answer.
    threshold : (t,) array
        All thresholds, variable by variable.
    owner : (t,) int array
        Variable of each threshold.
    mean : (p,) array
        Means of the continuous variables, 0 for ordered ones.
    cov : (p, p) array
        Covariances: correlations among ordered variables, whose variances are 1; divisor n.
    gamma : (m, m) array
        ``n`` times the sampling covariances of the statistics, in the order of ``statistics``.
    edge, sparse : tuple of (str, str)
        Pairs whose correlation ran into its bound; pairs with empty cells.
    covariates : tuple of str
        What everything is given, k of them; thresholds and means are those at covariates of zero.
    slope : (p, k) array
        On the covariates; their means ``covariate_mean`` and covariances ``covariate_cov`` have divisor n - 1.
    levels : tuple of tuple
        Categories of each ordered variable, in their order; empty where nobody said.
    """

    names: tuple[str, ...]
    ordered: IntArray
    continuous: IntArray
    sizes: IntArray
    n: int
    threshold: FloatArray
    owner: IntArray
    mean: FloatArray
    cov: FloatArray
    gamma: FloatArray
    edge: tuple[tuple[str, str], ...] = ()
    sparse: tuple[tuple[str, str], ...] = ()
    covariates: tuple[str, ...] = ()
    slope: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    covariate_mean: FloatArray = field(default_factory=lambda: np.empty(0))
    covariate_cov: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    levels: tuple[tuple[Any, ...], ...] = ()

    @cached_property
    def statistics(self) -> FloatArray:
        """Thresholds; means and variances of continuous variables; slopes; covariances of pairs (0, 1), (0, 2), ..."""
        first, second = np.triu_indices(len(self.names), 1)
        own = self.continuous
        parts = [self.threshold, self.mean[own], self.cov[own, own], self.slope.ravel(), self.cov[first, second]]
        return frozen_array(np.concatenate(parts))

    @cached_property
    def statistic_names(self) -> tuple[str, ...]:
        """Names of the statistics, as lavaan writes parameters."""
        first, second = np.triu_indices(len(self.names), 1)
        number = [k for size in self.sizes for k in range(1, size)]
        names, own = self.names, self.continuous
        return (
            *(f"{names[i]}|t{k}" for i, k in zip(self.owner, number, strict=True)),
            *(f"{names[i]}~1" for i in own),
            *(f"{names[i]}~~{names[i]}" for i in own),
            *(f"{name}~{covariate}" for name in names for covariate in self.covariates),
            *(f"{names[i]}~~{names[j]}" for i, j in zip(first, second, strict=True)),
        )


@dataclass(frozen=True, eq=False, slots=True)
class _Alone:
    """What each variable says alone.

    ``cut`` (k, c - 1) thresholds, ``influence`` (k, c + 1, c - 1) of an answer on them (the last one: none given);
    ``mean``, ``variance`` (q,) of the continuous variables.
    """

    cut: FloatArray
    influence: FloatArray
    mean: FloatArray
    variance: FloatArray
    spread: FloatArray


def ordinal_moments(counts: Counts) -> OrdinalMoments:
    """Thresholds, correlations and covariances of the variables, each from all rows that answer it.

    Parameters
    ----------
    counts : Counts

    Raises
    ------
    DataError
        A continuous variable is constant, or no row answers two of the variables.

    Examples
    --------
    >>> import pandas as pd
    >>> rows = pd.DataFrame({"a": [1, 1, 2, 2] * 25, "b": [1, 2, 1, 2, 1, 1, 2, 2, 2, 2] * 10})
    >>> found = ordinal_moments(Counts.from_frame(rows, ["a", "b"], ["a", "b"]))
    >>> dict(zip(found.statistic_names, found.statistics.round(3).tolist()))
    {'a|t1': 0.0, 'b|t1': -0.253, 'a~~b': 0.0}
    """
    alone, pairs = _steps(counts)
    rho, deviation, kept = _together(counts, alone, pairs)
    mean = np.zeros(len(counts.names))
    mean[counts.continuous] = alone.mean
    sizes = np.array([len(counts.levels[i]) for i in counts.ordered], dtype=np.intp)
    named = [(counts.names[i], counts.names[j]) for part in pairs for i, j in zip(*part.at_edge, strict=True)]
    empty = [(counts.names[i], counts.names[j]) for i, j in zip(*_sparse(counts, sizes), strict=True)]
    return OrdinalMoments(
        counts.names, counts.ordered, counts.continuous, sizes, counts.n, frozen_array(alone.cut[kept]),
        np.repeat(counts.ordered, sizes - 1), frozen_array(mean), frozen_array(rho * np.outer(deviation, deviation)),
        frozen_array(_gamma(counts, alone, pairs, kept, rho, deviation)), tuple(named), tuple(empty),
    )  # fmt: skip


def ordinal_influence(counts: Counts) -> FloatArray:
    """Influence of each row on the statistics (n, m); the sum of its squares is their covariance matrix."""
    alone, pairs = _steps(counts)
    rho, deviation, kept = _together(counts, alone, pairs)
    rows = _rows(counts, alone, pairs, kept, slice(None))
    return rows @ _to_covariances(counts, int(kept.sum()), rho, deviation).T


def _steps(counts: Counts) -> tuple[_Alone, list[_Pairs]]:
    """What each variable says alone, then what pairs of them say."""
    alone = _alone(counts)
    return alone, [_both_ordered(counts, alone), _mixed(counts, alone), _both_continuous(counts, alone)]


def _together(
    counts: Counts, alone: _Alone, pairs: list[_Pairs]
) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    """Correlations, deviations, and which thresholds there are."""
    p = len(counts.names)
    rho, deviation = np.eye(p), np.ones(p)
    for part in pairs:
        rho[part.first, part.second] = rho[part.second, part.first] = part.rho
    deviation[counts.continuous] = np.sqrt(alone.variance)
    sizes = np.array([len(counts.levels[i]) for i in counts.ordered], dtype=np.intp)
    return rho, deviation, np.arange(max(counts.width - 1, 0)) < sizes[:, None] - 1


def _alone(counts: Counts) -> _Alone:
    once = counts.once()
    sizes = np.array([len(counts.levels[i]) for i in counts.ordered], dtype=np.intp)
    cut = thresholds(once, sizes) if sizes.size else np.empty((0, 0))
    values = counts.values[:, counts.continuous]
    answered = (~np.isnan(values)).sum(axis=0)
    if not answered.all():
        raise _nothing([counts.names[i] for i in counts.continuous[answered == 0]])
    mean = np.nansum(values, axis=0) / np.maximum(answered, 1)
    off = np.where(np.isnan(values), 0.0, values - mean)
    variance = (off**2).sum(axis=0) / np.maximum(answered, 1)
    constant = counts.continuous[variance <= (1e-10 * np.abs(mean)) ** 2]
    if constant.size:
        raise DataError.of(
            "data", ", ".join(counts.names[i] for i in constant), "constant_column", "the same value in every row",
            "values that vary", "Leave it out of the model, or check how it was read.",
        )  # fmt: skip
    return _Alone(cut, _influence(once, cut), mean, variance, _own_spread(values, mean, variance))


def _nothing(names: list[str]) -> DataError:
    return DataError.of("data", ", ".join(names), "no_answers", "no answers", "answers", "Leave it out of the model.")


def _influence(once: FloatArray, cut: FloatArray) -> FloatArray:
    """Scores of each category on the thresholds beside it, times the inverse of the sum of their squares."""
    k, c = once.shape[0], once.shape[1]
    if not k:
        return np.zeros((0, 1, 0))
    share = once / once.sum(axis=1, keepdims=True)
    height = np.where(cut < FAR, density(cut), 0.0)
    score = np.zeros((k, c, c - 1))
    t = np.arange(c - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        score[:, t, t] = np.where(height > 0.0, height / share[:, :-1], 0.0)
        score[:, t + 1, t] = np.where(height > 0.0, -height / share[:, 1:], 0.0)
    squares = np.einsum("kc,kcs,kct->kst", once, score, score)
    squares[:, t, t] += np.where(height > 0.0, 0.0, 1.0)
    found = score @ np.linalg.inv(squares)
    return np.concatenate([found, np.zeros((k, 1, c - 1))], axis=1)


def _own_scores(values: FloatArray, mean: FloatArray, variance: FloatArray) -> FloatArray:
    """Scores (n, q, 2) of the mean and the variance of continuous variables; zero where missing."""
    off = values - mean
    both = np.stack([off / variance, 0.5 * (off * off / variance - 1.0) / variance], axis=2)
    return np.where(np.isnan(both), 0.0, both)


def _own_spread(values: FloatArray, mean: FloatArray, variance: FloatArray) -> FloatArray:
    """Inverse of the summed squares of scores, (q, 2, 2).

    The two scores of a variable with two values are one; the expected information of normal values stands there, which
    brings the errors of any mean and variance.
    """
    unit = np.stack([np.sqrt(variance), variance], axis=1)
    scores = _own_scores(values, mean, variance) * unit
    squares = np.einsum("nqs,nqt->qst", scores, scores)
    one = np.linalg.det(squares) <= _COLLINEAR * squares[:, 0, 0] * squares[:, 1, 1]
    answered = (~np.isnan(values)).sum(axis=0)
    squares[one] = answered[one, None, None] * np.diag([1.0, 0.5])
    return np.asarray(np.linalg.inv(squares) * unit[:, :, None] * unit[:, None, :])


@dataclass(frozen=True, eq=False, slots=True)
class _Pairs:
    """Pairs of one kind: their members, correlations, and how a row moves them.

    ``cross_first``, ``cross_second`` (P, r): summed products of the score of rho with those of what each member has
    alone; ``square`` (P,): summed squares of the score of rho. ``table`` (P, c + 1, c + 1): influence by category
    where both are ordered.
    """

    first: IntArray
    second: IntArray
    rho: FloatArray
    edge: npt.NDArray[np.bool_]
    cross_first: FloatArray
    cross_second: FloatArray
    square: FloatArray
    table: FloatArray | None = None

    @property
    def at_edge(self) -> tuple[IntArray, IntArray]:
        return self.first[self.edge], self.second[self.edge]


def _both_ordered(counts: Counts, alone: _Alone) -> _Pairs:
    first, second = np.triu_indices(counts.ordered.size, 1)
    whole = counts.pairs()
    if not first.size:
        none = np.empty(0)
        return _Pairs(first, second, none, none > 0, np.empty((0, 0)), np.empty((0, 0)), none, np.empty((0, 1, 1)))
    nobody = whole.sum(axis=(1, 2)) == 0
    if nobody.any():
        i, j = counts.ordered[first[nobody][0]], counts.ordered[second[nobody][0]]
        raise nobody_answers_both(counts, int(i), int(j))
    h, k = alone.cut[first], alone.cut[second]
    filled, sure = _adjusted(whole)
    rho, edge = polychoric(h, k, filled, _start(whole))
    rho = np.where(sure != 0.0, BOUND * sure, rho)
    edge = edge | (sure != 0.0)
    tables = cell_tables(h, k, rho)
    possible = tables.p > IMPOSSIBLE
    share = np.where(possible, 1.0 / np.where(possible, tables.p, 1.0), 0.0)
    score = tables.slope * share
    weight = whole * score * share
    cross_first = np.einsum("ptb,ptb->pt", tables.first, -np.diff(weight, axis=1))
    cross_second = np.einsum("pat,pat->pt", tables.second, -np.diff(weight, axis=2))
    square = np.maximum(np.einsum("pab,pab->p", whole, score**2), 1e-300)
    table = np.pad(score, ((0, 0), (0, 1), (0, 1)))
    table -= np.einsum("pat,pt->pa", alone.influence[first], cross_first)[:, :, None]
    table -= np.einsum("pat,pt->pa", alone.influence[second], cross_second)[:, None, :]
    table /= square[:, None, None]
    return _Pairs(counts.ordered[first], counts.ordered[second], rho, edge, cross_first, cross_second, square, table)


def nobody_answers_both(counts: Counts, i: int, j: int) -> DataError:
    """Error for two variables that no row answers."""
    return DataError.of(
        "data", f"{counts.names[i]}, {counts.names[j]}", "never_together", "no row that answers both",
        "rows that answer both", "Leave one of them out of the model.",
    )  # fmt: skip


def _start(counts: FloatArray) -> FloatArray:
    """Correlations of the category numbers, from tables (P, c, c)."""
    grade = np.arange(counts.shape[1], dtype=np.float64)
    n = counts.sum(axis=(1, 2))
    one, other = counts.sum(axis=2), counts.sum(axis=1)
    a, b = one @ grade / n, other @ grade / n
    product = np.einsum("pab,a,b->p", counts, grade, grade) / n - a * b
    spread = (one @ grade**2 / n - a * a) * (other @ grade**2 / n - b * b)
    return np.where(spread > 0.0, product / np.sqrt(np.where(spread > 0.0, spread, 1.0)), 0.0)


def _adjusted(counts: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Tables of two by two with one empty cell get half an answer there, margins kept; with two, the sign is sure."""
    sure = np.zeros(len(counts))
    if counts.shape[1] < 2:
        return counts, sure
    inner = counts[:, :2, :2]
    binary = counts.sum(axis=(1, 2)) == inner.sum(axis=(1, 2))
    zeros = (inner == 0).sum(axis=(1, 2))
    whole = (inner.sum(axis=1) > 0).all(axis=1) & (inner.sum(axis=2) > 0).all(axis=1)
    sure = np.where(binary & whole & (zeros == 2), np.where(inner[:, 0, 0] > 0, 1.0, -1.0), 0.0)
    one = binary & (zeros == 1)
    if not one.any():
        return counts, sure
    filled = counts.copy()
    diagonal = one & ((inner[:, 0, 0] == 0) | (inner[:, 1, 1] == 0))
    half = np.where(diagonal, 0.5, -0.5)[one, None, None] * np.array([[1.0, -1.0], [-1.0, 1.0]])
    filled[one, :2, :2] += half
    return filled, sure


def _sparse(counts: Counts, sizes: IntArray) -> tuple[IntArray, IntArray]:
    """Pairs of ordered variables with empty cells."""
    first, second = np.triu_indices(sizes.size, 1)
    if not first.size:
        return first, second
    cells = (counts.pairs() > 0).sum(axis=(1, 2))
    empty = cells < sizes[first] * sizes[second]
    return counts.ordered[first[empty]], counts.ordered[second[empty]]


def _around(counts: Counts, alone: _Alone, ordered: IntArray, rows: slice) -> tuple[FloatArray, FloatArray]:
    """Thresholds above and below each answer (n, P) to the given ordered variables, counted among these."""
    codes = counts.codes[rows][:, counts.ordered[ordered]].astype(np.intp)
    edges = np.pad(alone.cut, ((0, 0), (1, 1)), constant_values=FAR)
    edges[:, 0] = -FAR
    upper, lower = edges[ordered, codes + 1], edges[ordered, np.maximum(codes, 0)]
    return np.where(codes < 0, FAR, upper), np.where(codes < 0, -FAR, lower)


def _standard(counts: Counts, alone: _Alone, continuous: IntArray, rows: slice) -> tuple[FloatArray, FloatArray]:
    """Standardised values (n, P) of the given continuous variables, 0 where missing; and where there are any."""
    values = counts.values[rows][:, counts.continuous[continuous]]
    z = (values - alone.mean[continuous]) / np.sqrt(alone.variance[continuous])
    seen = ~np.isnan(z)
    return np.where(seen, z, 0.0), seen.astype(np.float64)


def _mixed_rows(
    counts: Counts, alone: _Alone, q: IntArray, k: IntArray, rows: slice
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Standardised value, thresholds around the answer, and whether both are there (n, P)."""
    z, seen = _standard(counts, alone, q, rows)
    upper, lower = _around(counts, alone, k, rows)
    both = seen * (counts.codes[rows][:, counts.ordered[k]] >= 0)
    gone = both == 0.0
    return np.where(gone, 0.0, z), np.where(gone, FAR, upper), np.where(gone, -FAR, lower), both


def _mixed(counts: Counts, alone: _Alone) -> _Pairs:
    """Pairs of a continuous (first) and an ordered variable (second)."""
    q, k = (grid.ravel() for grid in np.indices((counts.continuous.size, counts.ordered.size)))
    rho, edge = np.zeros(q.size), np.zeros(q.size, dtype=bool)
    width = max(counts.width - 1, 0)
    own, other, square = np.zeros((q.size, 2)), np.zeros((q.size, width)), np.zeros(q.size)
    step = max(1, _CELLS // (16 * max(counts.n, 1)))
    for start in range(0, q.size, step):
        at = slice(start, start + step)
        z, upper, lower, both = _mixed_rows(counts, alone, q[at], k[at], slice(None))
        if not both.any(axis=0).all():
            bad = int(np.flatnonzero(~both.any(axis=0))[0])
            raise nobody_answers_both(counts, int(counts.continuous[q[at][bad]]), int(counts.ordered[k[at][bad]]))
        rho[at], edge[at] = polyserial(z, upper, lower, _serial_start(counts, z, k[at], both))
        found = serial_rows(z, upper, lower, rho[at])
        deviation = np.sqrt(alone.variance[q[at]])
        slope = (z - found.z) * both
        own[at, 0] = (found.score * slope).sum(axis=0) / deviation
        part = 0.5 * (z * z - 1.0 - z * found.z) * both
        own[at, 1] = (found.score * part).sum(axis=0) / deviation**2
        codes = np.where(both > 0.0, counts.codes[:, counts.ordered[k[at]]], -1)
        for t in range(width):
            above, below = codes == t, codes == t + 1
            other[at, t] = (found.score * (found.upper * above + found.lower * below)).sum(axis=0)
        square[at] = (found.score**2).sum(axis=0)
    real = alone.cut[k] < FAR if width else np.zeros((q.size, 0), dtype=bool)
    return _Pairs(counts.continuous[q], counts.ordered[k], rho, edge, own, np.where(real, other, 0.0), square)


def _serial_start(counts: Counts, z: FloatArray, k: IntArray, both: FloatArray) -> FloatArray:
    grade = np.where(both > 0.0, counts.codes[:, counts.ordered[k]], 0.0)
    n = both.sum(axis=0)
    off = (grade - grade.sum(axis=0) / n) * both
    spread = np.sqrt((off**2).sum(axis=0) * (z**2).sum(axis=0))
    return np.where(spread > 0.0, (z * off).sum(axis=0) / np.where(spread > 0.0, spread, 1.0), 0.0)


def normal_rows(za: FloatArray, zb: FloatArray, rho: FloatArray) -> tuple[FloatArray, ...]:
    """Scores of a normal pair on rho, and on mean and variance of both in standard units (n, P)."""
    free = 1.0 - rho * rho
    a, b = (za - rho * zb) / free, (zb - rho * za) / free
    score = rho / free + za * zb / free - rho * (za * za - 2.0 * rho * za * zb + zb * zb) / free**2
    return score, a, 0.5 * (za * a - 1.0), b, 0.5 * (zb * b - 1.0)


def _both_continuous(counts: Counts, alone: _Alone) -> _Pairs:
    first, second = np.triu_indices(counts.continuous.size, 1)
    rho, square = np.zeros(first.size), np.zeros(first.size)
    own, other = np.zeros((first.size, 2)), np.zeros((first.size, 2))
    deviation = np.sqrt(alone.variance)
    for pair, (i, j) in enumerate(zip(first, second, strict=True)):
        z, seen = _standard(counts, alone, np.array([i, j]), slice(None))
        both = seen.all(axis=1)
        if not both.any():
            raise nobody_answers_both(counts, int(counts.continuous[i]), int(counts.continuous[j]))
        za, zb = z[both].T
        rho[pair] = normal_correlation(za, zb, everyone=bool(seen.all()))
        score, a1, a2, b1, b2 = normal_rows(za, zb, rho[pair])
        own[pair] = score @ a1 / deviation[i], score @ a2 / deviation[i] ** 2
        other[pair] = score @ b1 / deviation[j], score @ b2 / deviation[j] ** 2
        square[pair] = score @ score
    edge = np.abs(rho) >= BOUND - 1e-9
    return _Pairs(counts.continuous[first], counts.continuous[second], rho, edge, own, other, square)


def normal_correlation(za: FloatArray, zb: FloatArray, *, everyone: bool) -> float:
    """Correlation of a normal pair with means 0 and variances 1 given; of other rows than these came from, a cubic."""
    cross = float(np.mean(za * zb))
    if everyone:
        return cross
    squares = float(np.mean(za * za + zb * zb))
    roots = np.roots([-1.0, cross, 1.0 - squares, cross])
    real = roots[np.abs(roots.imag) < 1e-9].real
    inside = real[np.abs(real) < 1.0]
    if not inside.size:
        return float(np.clip(cross, -BOUND, BOUND))
    free = 1.0 - inside**2
    value = np.log(free) + (squares - 2.0 * inside * cross) / free
    return float(np.clip(inside[np.argmin(value)], -BOUND, BOUND))


def _gamma(
    counts: Counts, alone: _Alone, pairs: list[_Pairs], kept: npt.NDArray[np.bool_], rho: FloatArray,
    deviation: FloatArray,
) -> FloatArray:  # fmt: skip
    """``n`` times the sampling covariances of the statistics."""
    total: FloatArray | None = None
    step = _ROWS if counts.n > _ROWS + _ROWS // 2 else max(counts.n, 1)
    for start in range(0, counts.n, step):
        rows = _rows(counts, alone, pairs, kept, slice(start, start + step))
        total = rows.T @ rows if total is None else total + rows.T @ rows
    assert total is not None
    if counts.continuous.size:
        move = _to_covariances(counts, int(kept.sum()), rho, deviation)
        total = move @ total @ move.T
    return np.asarray(counts.n * total)


def _rows(counts: Counts, alone: _Alone, pairs: list[_Pairs], kept: npt.NDArray[np.bool_], rows: slice) -> FloatArray:
    """Influence of the given rows on thresholds, means, variances and correlations (n, m)."""
    p, c = len(counts.names), counts.width
    codes = counts.codes[rows][:, counts.ordered].astype(np.intp)
    codes[codes < 0] = c
    cut = alone.influence[np.arange(codes.shape[1]), codes][:, kept]
    scores = _own_scores(counts.values[rows][:, counts.continuous], alone.mean, alone.variance)
    own = np.einsum("nqs,qst->nqt", scores, alone.spread)
    place = np.zeros((p, p), dtype=np.intp)
    place[np.triu_indices(p, 1)] = np.arange(p * (p - 1) // 2)
    place = place + place.T
    head = cut.shape[1] + 2 * counts.continuous.size
    found = np.empty((len(codes), head + p * (p - 1) // 2))
    found[:, : cut.shape[1]] = cut
    found[:, cut.shape[1] : head] = own.transpose(0, 2, 1).reshape(len(codes), -1)
    ordered, mixed, plain = pairs
    if ordered.table is not None and ordered.first.size:
        at = head + place[ordered.first, ordered.second]
        if counts.continuous.size:
            found[:, at] = _looked_up(counts, ordered, ordered.table, codes)
        else:
            found[:, head:] = _looked_up(counts, ordered, ordered.table, codes)
    if mixed.first.size:
        q, k = _among(counts.continuous, mixed.first), _among(counts.ordered, mixed.second)
        z, upper, lower, both = _mixed_rows(counts, alone, q, k, rows)
        score = serial_rows(z, upper, lower, mixed.rho).score * both
        score -= np.einsum("nps,ps->np", own[:, q], mixed.cross_first)
        score -= np.einsum("npt,pt->np", alone.influence[k, codes[:, k]], mixed.cross_second)
        found[:, head + place[mixed.first, mixed.second]] = score / mixed.square
    if plain.first.size:
        i, j = _among(counts.continuous, plain.first), _among(counts.continuous, plain.second)
        (za, seen_a), (zb, seen_b) = _standard(counts, alone, i, rows), _standard(counts, alone, j, rows)
        score = normal_rows(za, zb, plain.rho)[0] * seen_a * seen_b
        score -= np.einsum("nps,ps->np", own[:, i], plain.cross_first)
        score -= np.einsum("nps,ps->np", own[:, j], plain.cross_second)
        found[:, head + place[plain.first, plain.second]] = score / plain.square
    return found


def _among(positions: IntArray, chosen: IntArray) -> IntArray:
    return np.searchsorted(positions, chosen)


def _looked_up(counts: Counts, pairs: _Pairs, table: FloatArray, codes: IntArray) -> FloatArray:
    """Influence of each row on the correlations of ordered pairs, from its two categories."""
    wide = table.shape[1]
    i, j = np.triu_indices(counts.ordered.size, 1)
    cell = np.take(codes * wide, i, axis=1)
    cell += np.take(codes, j, axis=1)
    cell += np.arange(i.size) * wide * wide
    return np.take(table.ravel(), cell)


def _to_covariances(counts: Counts, cuts: int, rho: FloatArray, deviation: FloatArray) -> FloatArray:
    """Derivatives of the statistics on thresholds, means, variances and correlations."""
    p, q = len(counts.names), counts.continuous.size
    first, second = np.triu_indices(p, 1)
    head = cuts + 2 * q
    move = np.eye(head + first.size)
    at = head + np.arange(first.size)
    move[at, at] = deviation[first] * deviation[second]
    for here, there in ((first, second), (second, first)):
        rows = np.flatnonzero(np.isin(here, counts.continuous))
        column = cuts + q + _among(counts.continuous, here[rows])
        move[at[rows], column] = (rho[first, second] * deviation[there] / (2.0 * deviation[here]))[rows]
    return move
