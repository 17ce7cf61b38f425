"""The same model fitted to many sets of moments at once: stacked linear algebra in place of one search after another.

All searches start at one fit, where the curvature H of the discrepancy is known and nearly right for every draw. In
coordinates in which H is the identity, each draw climbs by limited-memory BFGS steps that need its gradient alone; the
few that are still on their way after some steps go on with their own expected information in place of H.
With ``A_s`` the columns of A that are not empty, ``K = (I - A_ss)^-1`` and ``L = A_s K``, the total effects are
``B = I + L E_s'`` and, restricted to the observed variables (index o),

    sigma = S_oo + D L_o' + L_o S_so,    D = S_os + L_o S_ss,    (C)_os = D K',

so that only products with as few columns as there are sources, one inverse and ``M = W (T - sigma) W`` are needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray
from spc.sem.engine.problem import SMALLEST_EIGENVALUE, Problem
from spc.sem.engine.ram import COVARIANCE, DIRECTED, INTERCEPT

__all__ = ["Draws", "Ends", "search_all"]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]

TOLERANCE = 1e-16
COMMON_EVALUATIONS, OWN_EVALUATIONS = 14, 30
_SMALLEST_SHARE = 1.0 / 16.0
_REMEMBERED = 4


@dataclass(frozen=True, eq=False, slots=True)
class Draws:
    """Moments of m draws in the balanced units of a problem.

    Attributes
    ----------
    cov : (m, p, p) array
        With the likelihood's divisor.
    mean : (m, p) array or None
    n : (m,) int array
        Rows of each draw.
    """

    cov: FloatArray
    mean: FloatArray | None
    n: IntArray

    def take(self, chosen: BoolArray | IntArray) -> Draws:
        """Some of the draws."""
        return Draws(self.cov[chosen], None if self.mean is None else self.mean[chosen], self.n[chosen])


@dataclass(frozen=True, eq=False, slots=True)
class Ends:
    """Where the searches ended.

    Attributes
    ----------
    x : (m, k) array
        Coordinates of the problem.
    value : (m,) array
        Discrepancy F; NaN where the search did not end at a minimum.
    usable : (m,) bool array
        Whether the moments have an inverse: without one there is nothing to fit.
    """

    x: FloatArray
    value: FloatArray
    usable: BoolArray

    @property
    def converged(self) -> BoolArray:
        """Which searches ended at a minimum."""
        return np.isfinite(self.value)


@dataclass(frozen=True, eq=False, slots=True)
class _Pile:
    """Draws of every block of a model, with what does not change while they are searched."""

    problems: tuple[Problem, ...]
    draws: tuple[Draws, ...]
    bases: tuple[FloatArray, ...]
    shares: tuple[FloatArray, ...]

    def take(self, chosen: BoolArray | IntArray) -> _Pile:
        return _Pile(
            self.problems, tuple(draws.take(chosen) for draws in self.draws),
            tuple(base[chosen] for base in self.bases), tuple(share[chosen] for share in self.shares),
        )  # fmt: skip

    def scores(self, x: FloatArray) -> FloatArray:
        """Minus half of the gradient of F of each draw, in coordinates: (m, k)."""
        return self._added([_scores(*one, x) for one in zip(self.problems, self.draws, self.bases, strict=True)])

    def information(self, x: FloatArray) -> FloatArray:
        """Expected information of each draw, for one row of data, in coordinates: (m, k, k)."""
        return self._added([_information(*one, x) for one in zip(self.problems, self.draws, self.bases, strict=True)])

    def values(self, x: FloatArray, log_dets: Sequence[FloatArray]) -> FloatArray:
        """Discrepancy F of each draw; NaN where sigma is not positive definite."""
        blocks = zip(self.problems, self.draws, self.bases, log_dets, strict=True)
        return self._added([_values(*one, x) for one in blocks])

    def _added(self, parts: list[FloatArray]) -> FloatArray:
        if len(parts) == 1:
            return parts[0]
        wide = (-1, *(1,) * (parts[0].ndim - 1))
        return np.asarray(sum(share.reshape(wide) * part for share, part in zip(self.shares, parts, strict=True)))


def _piled(problems: Problem | Sequence[Problem], draws: Draws | Sequence[Draws]) -> _Pile:
    blocks = (problems,) if isinstance(problems, Problem) else tuple(problems)
    drawn = (draws,) if isinstance(draws, Draws) else tuple(draws)
    sizes = [one.n - (block.n - block.divisor) for block, one in zip(blocks, drawn, strict=True)]
    whole = np.sum(sizes, axis=0)
    bases = tuple(_held_values(block, one) for block, one in zip(blocks, drawn, strict=True))
    return _Pile(blocks, drawn, bases, tuple(size / whole for size in sizes))


def search_all(
    problems: Problem | Sequence[Problem], start: FloatArray, metric: FloatArray, draws: Draws | Sequence[Draws]
) -> Ends:
    """Minimise the discrepancy of every draw, starting from the same coordinates.

    A draw ends when its gradient, measured by ``metric``, has a square below 1e-16. One whose gradient will not shrink,
    or whose sigma is not positive definite in the end, is given up; a search of its own may still find it.

    Parameters
    ----------
    problems : Problem, or one a group
        Of the fit; their own moments are not looked at.
    start : (k,) array
    metric : (k, k) array
        Half of the Hessian of F at ``start``, or an approximation to it, positive definite.
    draws : Draws, or one a group

    Returns
    -------
    Ends

    References
    ----------
    Nocedal & Wright (2006), *Numerical Optimization*, section 7.2.
    """
    pile = _piled(problems, draws)
    m, k = len(pile.draws[0].cov), start.size
    log_dets = [_log_dets(one.cov) for one in pile.draws]
    x, value = np.tile(start, (m, 1)), np.full(m, np.nan)
    usable = np.asarray(np.isfinite(np.array(log_dets)).all(axis=0))
    index = np.flatnonzero(usable)
    if index.size and k:
        with np.errstate(all="ignore"):
            index = _search(pile, x, metric, index)
    if index.size:
        value[index] = pile.take(index).values(x[index], [log_det[index] for log_det in log_dets])
    return Ends(x, value, usable)


def _search(pile: _Pile, x: FloatArray, metric: FloatArray, index: IntArray) -> IntArray:
    """Search with the common metric, then each draw with its own; puts the ends into x and returns which are minima."""
    shared = _Metric(np.linalg.inv(np.linalg.cholesky(metric))[None])
    x[index], done = _climb(x[index], shared, pile.take(index), COMMON_EVALUATIONS)
    left = index[~done]
    if left.size:
        inverse = _inverses(pile.take(left).information(x[left]))
        usable = np.isfinite(_log_dets(inverse))
        left = left[usable]
    if not left.size:
        return index[done]
    roots = np.swapaxes(np.linalg.cholesky(inverse[usable]), -1, -2)
    x[left], found = _climb(x[left], _Metric(roots), pile.take(left), OWN_EVALUATIONS)
    return np.sort(np.concatenate([index[done], left[found]]))


@dataclass(frozen=True, eq=False, slots=True)
class _Metric:
    """Inverse Cholesky factors of the curvature: one for all draws (1, k, k), or one each (m, k, k)."""

    root: FloatArray

    @property
    def shared(self) -> bool:
        return len(self.root) == 1

    def whiten(self, slopes: FloatArray) -> FloatArray:
        """Slopes in coordinates in which the curvature is the identity."""
        turned = slopes @ self.root[0].T if self.shared else np.einsum("mij,mj->mi", self.root, slopes)
        return np.asarray(turned)

    def back(self, steps: FloatArray) -> FloatArray:
        """Steps from those coordinates to the problem's."""
        turned = steps @ self.root[0] if self.shared else np.einsum("mij,mi->mj", self.root, steps)
        return np.asarray(turned)

    def take(self, chosen: BoolArray) -> _Metric:
        return self if self.shared else _Metric(self.root[chosen])


def _climb(x: FloatArray, metric: _Metric, pile: _Pile, evaluations: int) -> tuple[FloatArray, BoolArray]:
    """Quasi-Newton steps of all draws; where each stands at the end, and whether its gradient is zero."""
    m, k = x.shape
    end, done, index = x.copy(), np.zeros(m, dtype=bool), np.arange(m)
    slope = metric.whiten(pile.scores(x))
    size = np.einsum("ij,ij->i", slope, slope)
    memory = _Memory(np.empty((0, m, k)), np.empty((0, m, k)), np.empty((0, m)))
    step, share = slope, np.ones(m)
    for _ in range(evaluations):
        small = size < TOLERANCE
        leaving = small | (share < _SMALLEST_SHARE) | ~np.isfinite(size)
        if leaving.any():
            last = np.where(small[:, None], metric.back(step), 0.0)
            end[index[leaving]] = (x + last)[leaving]
            done[index[leaving]] = small[leaving]
            stay = ~leaving
            index, x, slope, size, step = index[stay], x[stay], slope[stay], size[stay], step[stay]
            share, pile, memory, metric = share[stay], pile.take(stay), memory.take(stay), metric.take(stay)
        if not index.size:
            break
        moved = share[:, None] * step
        trial = x + metric.back(moved)
        trial_slope = metric.whiten(pile.scores(trial))
        trial_size = np.einsum("ij,ij->i", trial_slope, trial_slope)
        better = trial_size < size
        memory = memory.add(moved, slope - trial_slope, better)
        x, slope = np.where(better[:, None], trial, x), np.where(better[:, None], trial_slope, slope)
        size, share = np.where(better, trial_size, size), np.where(better, 1.0, 0.5 * share)
        step = np.where(better[:, None], memory.direction(slope), step)
    end[index] = x
    return end, done


@dataclass(frozen=True, eq=False, slots=True)
class _Memory:
    """Steps taken and what they did to the slopes: (j, m, k) each; weight zero where a step says nothing."""

    steps: FloatArray
    changes: FloatArray
    weights: FloatArray

    def take(self, chosen: BoolArray) -> _Memory:
        return _Memory(self.steps[:, chosen], self.changes[:, chosen], self.weights[:, chosen])

    def add(self, step: FloatArray, change: FloatArray, better: BoolArray) -> _Memory:
        product = np.einsum("ij,ij->i", step, change)
        telling = better & (product > 0.0)
        weight = np.where(telling, 1.0 / np.where(telling, product, 1.0), 0.0)
        return _Memory(
            np.concatenate([self.steps[-_REMEMBERED:], step[None]]),
            np.concatenate([self.changes[-_REMEMBERED:], change[None]]),
            np.concatenate([self.weights[-_REMEMBERED:], weight[None]]),
        )

    def direction(self, slope: FloatArray) -> FloatArray:
        """Inverse curvature times slope, by the two-loop recursion from the identity."""
        step, kept = slope.copy(), []
        for s, y, w in zip(self.steps[::-1], self.changes[::-1], self.weights[::-1], strict=True):
            share = w * np.einsum("ij,ij->i", s, step)
            step -= share[:, None] * y
            kept.append(share)
        for s, y, w, share in zip(self.steps, self.changes, self.weights, reversed(kept), strict=True):
            step += (share - w * np.einsum("ij,ij->i", y, step))[:, None] * s
        return step


def _held_values(problem: Problem, draws: Draws) -> FloatArray:
    """Balanced values of fixed rows and of rows held at the draw's own moments; zero where free: (m, R)."""
    place = problem.place
    base = np.tile(problem.base, (len(draws.cov), 1))
    held = np.flatnonzero(place.sample)
    if held.size:
        intercept = place.part[held] == INTERCEPT
        base[:, held[~intercept]] = draws.cov[:, place.row[held[~intercept]], place.column[held[~intercept]]]
        if draws.mean is not None:
            base[:, held[intercept]] = draws.mean[:, place.row[held[intercept]]]
    return base


@dataclass(frozen=True, eq=False, slots=True)
class _State:
    """Parts of the implied moments of m draws: L, K, S, D, sigma and the residual means, as in the module's head."""

    reach: FloatArray
    core: FloatArray
    residual: FloatArray
    cross: FloatArray
    sigma: FloatArray
    mean: FloatArray | None


def _state(problem: Problem, x: FloatArray, base: FloatArray) -> _State:
    place, p = problem.place, problem.place.n_observed
    m, v, sources = len(x), len(place.variables), place.sources
    values = base.copy()
    values[:, problem.active] = x if problem.plain else problem.offset + x @ problem.map.T
    at = np.zeros(v, dtype=np.intp)
    at[sources] = np.arange(sources.size)
    columns, residual = np.zeros((m, v, sources.size)), np.zeros((m, v, v))
    rows = place.directed_rows
    columns[:, place.row[rows], at[place.column[rows]]] = values[:, rows]
    rows = place.covariance_rows
    residual[:, place.row[rows], place.column[rows]] = values[:, rows]
    residual[:, place.column[rows], place.row[rows]] = values[:, rows]
    core = _inverses(np.eye(sources.size) - columns[:, sources])
    reach = columns @ core
    outer = reach[:, :p]
    sideways = residual[:, :p][:, :, sources]
    cross = sideways + outer @ residual[:, sources][:, :, sources]
    sigma = residual[:, :p, :p] + cross @ _turned(outer) + outer @ _turned(sideways)
    if not place.meanstructure:
        return _State(reach, core, residual, cross, sigma, None)
    mean = np.zeros((m, v))
    rows = place.intercept_rows
    mean[:, place.row[rows]] = values[:, rows]
    mean += (reach @ mean[:, sources, None])[..., 0]
    return _State(reach, core, residual, cross, sigma, mean)


def _turned(stack: FloatArray) -> FloatArray:
    return np.swapaxes(stack, -1, -2)


def _scores(problem: Problem, draws: Draws, base: FloatArray, x: FloatArray) -> FloatArray:
    """Minus half of the gradient of F of each draw, in coordinates: (m, k)."""
    place, p = problem.place, problem.place.n_observed
    sources, v = place.sources, len(place.variables)
    state = _state(problem, x, base)
    inverse = _inverses(state.sigma)
    gap = draws.cov - state.sigma
    lean = np.zeros((len(x), v))
    outer = state.reach[:, :p]
    if state.mean is not None and draws.mean is not None:
        off = draws.mean - state.mean[:, :p]
        gap += off[:, :, None] * off[:, None, :]
        lean[:, :p] = (inverse @ off[..., None])[..., 0]
        lean[:, sources] += (_turned(outer) @ lean[:, :p, None])[..., 0]
    pull = inverse @ gap @ inverse
    by_source = pull @ outer
    of_covariances = np.zeros((len(x), v, v))
    of_covariances[:, :p, :p] = pull
    of_covariances[:, :p, sources] += by_source
    of_covariances[:, sources, :p] += _turned(by_source)
    of_covariances[:, sources[:, None], sources] += _turned(outer) @ by_source
    onto = pull @ (state.cross @ _turned(state.core))
    of_effects = np.zeros((len(x), v, sources.size))
    of_effects[:, :p] = onto
    of_effects[:, sources] += _turned(outer) @ onto
    if state.mean is not None:
        of_effects += lean[:, :, None] * state.mean[:, None, sources]
    return _gathered(problem, of_effects, of_covariances, lean)


def _information(problem: Problem, draws: Draws, base: FloatArray, x: FloatArray) -> FloatArray:
    """Expected information of each draw, for one row of data, in coordinates (:mod:`spc.sem.engine.ml`): (m, k, k)."""
    place, p, rows = problem.place, problem.place.n_observed, problem.active
    state = _state(problem, x, base)
    part, i, j = place.part[rows], place.row[rows], place.column[rows]
    at = np.searchsorted(place.sources, j)
    total = np.zeros((len(x), p, len(place.variables)))
    total[:, np.arange(p), np.arange(p)] = 1.0
    total[:, :, place.sources] += state.reach[:, :p]
    onto = state.cross @ _turned(state.core)
    way_p, way_q = total[:, :, i], total[:, :, j] * np.where(i == j, 0.5, 1.0)
    way_q[:, :, part == DIRECTED] = onto[:, :, at[part == DIRECTED]]
    way_q[:, :, part == INTERCEPT] = 0.0
    inverse = _inverses(state.sigma)
    wp, wq = inverse @ way_p, inverse @ way_q
    crossed = _turned(way_p) @ wq
    found = (_turned(way_p) @ wp) * (_turned(way_q) @ wq) + crossed * _turned(crossed)
    if state.mean is not None:
        weight = np.where(part == DIRECTED, state.mean[:, j], np.where(part == INTERCEPT, 1.0, 0.0))
        way_mu = way_p * weight[:, None, :]
        found += _turned(way_mu) @ inverse @ way_mu
    return found if problem.plain else problem.map.T @ found @ problem.map


def _gathered(problem: Problem, effects: FloatArray, covariances: FloatArray, lean: FloatArray) -> FloatArray:
    place, rows = problem.place, problem.active
    part, i, j = place.part[rows], place.row[rows], place.column[rows]
    at = np.searchsorted(place.sources, j)
    found = np.empty((len(lean), rows.size))
    d, c, a = part == DIRECTED, part == COVARIANCE, part == INTERCEPT
    found[:, d] = effects[:, i[d], at[d]]
    found[:, c] = covariances[:, i[c], j[c]] * np.where(i[c] == j[c], 0.5, 1.0)
    found[:, a] = lean[:, i[a]]
    return found if problem.plain else found @ problem.map


def _values(problem: Problem, draws: Draws, base: FloatArray, log_det: FloatArray, x: FloatArray) -> FloatArray:
    """Discrepancy F of each draw; NaN where sigma is not positive definite."""
    with np.errstate(all="ignore"):
        state = _state(problem, x, base)
        own = _log_dets(state.sigma)
        inverse = _inverses(state.sigma)
        gap = draws.cov
        if state.mean is not None and draws.mean is not None:
            off = draws.mean - state.mean[:, : problem.place.n_observed]
            gap = gap + off[:, :, None] * off[:, None, :]
        trace = np.einsum("mij,mij->m", gap, inverse)
    return np.asarray(own - log_det + trace - gap.shape[-1])


def _inverses(stack: FloatArray) -> FloatArray:
    """Inverse of each matrix; NaN for those without."""
    try:
        return np.asarray(np.linalg.inv(stack))
    except np.linalg.LinAlgError:
        if len(stack) == 1:
            return np.full_like(stack, np.nan)
        half = len(stack) // 2
        return np.concatenate([_inverses(stack[:half]), _inverses(stack[half:])])


def _log_dets(stack: FloatArray) -> FloatArray:
    """Log determinant of each symmetric matrix; NaN for those that are not clearly positive definite."""
    try:
        pivots = np.linalg.cholesky(stack).diagonal(axis1=-2, axis2=-1)
    except np.linalg.LinAlgError:
        if len(stack) == 1:
            return np.full(1, np.nan)
        half = len(stack) // 2
        return np.concatenate([_log_dets(stack[:half]), _log_dets(stack[half:])])
    share = (pivots**2 / stack.diagonal(axis1=-2, axis2=-1)).min(axis=-1)
    return np.where(share >= SMALLEST_EIGENVALUE, 2.0 * np.log(pivots).sum(axis=-1), np.nan)
