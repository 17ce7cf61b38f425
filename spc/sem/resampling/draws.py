"""Fit a model to many draws: together in blocks, and the few that do not end there one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from spc.errors import EstimationError, NotPositiveDefiniteError
from spc.linalg import FloatArray, one_blas_thread
from spc.moments import Moments
from spc.resample import in_order
from spc.sem.engine.joint import System, joint_with_moments, problems_of
from spc.sem.engine.optimise import Search, search
from spc.sem.engine.problem import Problem
from spc.sem.engine.ram import IntArray
from spc.sem.engine.start import WAYS, start_values
from spc.sem.resampling.batch import Draws, search_all
from spc.sem.resampling.redraw import Redraw

__all__ = ["Found", "Single", "as_moments", "fit_draws", "refit_draws"]

BLOCK = 32
_COUNTS = 2**23

Single = Callable[[int], tuple[FloatArray, float]]
"""From the number of a draw to its free parameters and its test statistic; raises ``EstimationError``."""


@dataclass(frozen=True, eq=False)
class Found:
    """Fits of all draws.

    Attributes
    ----------
    theta : (done, q) array
        Free parameters in the user's units; NaN for draws that failed.
    chisq : (done,) array
        Test statistics; NaN for draws that failed, or where there is none.
    failures : Counter
        How many failed, by reason.
    interrupted : bool
        The user stopped the work after ``done`` draws.
    """

    theta: FloatArray
    chisq: FloatArray
    failures: Counter[str]
    interrupted: bool = False

    @property
    def kept(self) -> IntArray:
        """Numbers of the draws that succeeded."""
        return np.flatnonzero(np.isfinite(self.theta).all(axis=1))


@dataclass(frozen=True, eq=False)
class _Together:
    """Fits a block of draws at once."""

    system: System
    start: FloatArray
    metric: FloatArray
    redraw: Redraw

    def __call__(self, block: Sequence[int]) -> Found:
        problems, system = problems_of(self.system), self.system
        with one_blas_thread():
            drawn = self.redraw(block)
            ends = search_all(problems, self.start, self.metric, drawn)
            sizes = [one.n - (own.n - own.divisor) for one, own in zip(drawn, problems, strict=True)]
            divisor = np.sum(sizes, axis=0)
            theta = problems[0].theta_offset + ends.x @ problems[0].to_theta.T
            chisq = divisor * np.maximum(ends.value, 0.0)
            failures = Counter({"NotPositiveDefiniteError": int((~ends.usable).sum())})
            for at in np.flatnonzero(ends.usable & ~ends.converged):
                moments = [as_moments(own, one, int(at)) for own, one in zip(problems, drawn, strict=True)]
                end = _alone(system, self.start, moments)
                if end is None:
                    failures["NonConvergenceError"] += 1
                    continue
                theta[at], chisq[at] = system.theta(end.x), divisor[at] * max(end.value, 0.0)
        theta[~np.isfinite(chisq)] = np.nan
        return Found(theta, chisq, +failures)


@dataclass(frozen=True, eq=False)
class _OneByOne:
    """Fits a block of draws one after the other."""

    single: Single
    size: int

    def __call__(self, block: Sequence[int]) -> Found:
        theta, chisq = np.full((len(block), self.size), np.nan), np.full(len(block), np.nan)
        failures: Counter[str] = Counter()
        with one_blas_thread():
            for at, i in enumerate(block):
                try:
                    theta[at], chisq[at] = self.single(i)
                except EstimationError as error:
                    failures[type(error).__name__] += 1
        return Found(theta, chisq, failures)


def fit_draws(
    system: System, start: FloatArray, redraw: Redraw, metric: FloatArray, draws: int, units: int, *, workers: int = 1
) -> Found:
    """Fit a model to draws by maximum likelihood, a block at a time under a progress bar.

    Parameters
    ----------
    system : Problem or Joint
        Of the fit.
    start : (k,) array
        Coordinates where all searches start: those of the fit.
    redraw : callable
        From the numbers of some draws to their moments.
    metric : (k, k) array
        See :func:`spc.sem.resampling.batch.search_all`.
    draws : int
    units : int
        Counts a draw, to keep blocks of them in memory.
    workers : int
        Processes; the numbers are the same for any.
    """
    size = max(1, min(BLOCK, _COUNTS // units))
    return _collected(_Together(system, start, metric, redraw), draws, size, len(system_names(system)), workers)


def refit_draws(single: Single, size: int, draws: int, *, workers: int = 1) -> Found:
    """Fit a model to draws one by one, under a progress bar.

    Parameters
    ----------
    single : callable
        Fits one draw.
    size : int
        Number of free parameters.
    draws : int
    workers : int
    """
    return _collected(_OneByOne(single, size), draws, 4, size, workers)


def system_names(system: System) -> tuple[str, ...]:
    """Names of the free parameters."""
    return problems_of(system)[0].place.names


def _collected(work: Callable[[Sequence[int]], Found], draws: int, size: int, width: int, workers: int) -> Found:
    """Blocks of draws in order; what is done when the user stops the work."""
    blocks = [range(first, min(first + size, draws)) for first in range(0, draws, size)]
    done: list[Found] = []
    interrupted = False
    try:
        for one in in_order(work, blocks, "Bootstrap", workers=workers):
            done.append(one)
    except KeyboardInterrupt:
        interrupted = True
    failures: Counter[str] = Counter()
    for one in done:
        failures.update(one.failures)
    theta = np.concatenate([np.empty((0, width)), *(one.theta for one in done)])
    chisq = np.concatenate([np.empty(0), *(one.chisq for one in done)])
    return Found(theta, chisq, failures, interrupted)


def _alone(system: System, start: FloatArray, moments: Sequence[Moments]) -> Search | None:
    """One draw searched on its own: from the fit, then from each set of start values; None where none of them ends.

    No trust region follows it down a valley without end: a draw whose minimum lies at infinity has no estimates.
    """
    try:
        drawn = joint_with_moments(system, moments)
    except NotPositiveDefiniteError:
        return None
    for begin in (start, *(start_values(drawn, way) for way in WAYS)):
        end = search(drawn, begin)
        if end is not None and end.converged:
            return end
    return None


def as_moments(problem: Problem, drawn: Draws, at: int) -> Moments:
    """Moments of one of some draws, in the user's units."""
    place = problem.place
    scale, n = problem.scale[: place.n_observed], int(drawn.n[at])
    divisor = n - (problem.n - problem.divisor)
    mean = None if drawn.mean is None else drawn.mean[at] * scale
    return Moments(place.observed, n, mean, drawn.cov[at] * np.outer(scale, scale) * (divisor / (n - 1)))
