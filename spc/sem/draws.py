"""Fit a model to many draws: together in blocks, and the few that do not end there one by one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from spc.errors import NotPositiveDefiniteError
from spc.linalg import FloatArray
from spc.moments import Moments
from spc.resample import progress
from spc.sem.batch import Draws, search_all
from spc.sem.fit import SemFit
from spc.sem.optimise import Search, search
from spc.sem.problem import Problem, with_moments
from spc.sem.redraw import Redraw
from spc.sem.start import WAYS, start_values

__all__ = ["Found", "fit_draws"]

BLOCK = 32
_COUNTS = 2**23


@dataclass(frozen=True, eq=False)
class Found:
    """Fits of all draws.

    Attributes
    ----------
    theta : (draws, q) array
        Free parameters in the user's units.
    chisq : (draws,) array
        Test statistics; NaN for draws that failed.
    failures : Counter
        How many failed, by reason.
    """

    theta: FloatArray
    chisq: FloatArray
    failures: Counter[str]


def fit_draws(fit: SemFit, redraw: Redraw, metric: FloatArray, draws: int, units: int) -> Found:
    """Fit a model to draws, a block at a time under a progress bar.

    Parameters
    ----------
    fit : SemFit
        Where all searches start.
    redraw : callable
        From the numbers of some draws to their moments.
    metric : (k, k) array
        See :func:`spc.sem.batch.search_all`.
    draws : int
    units : int
        Counts a draw, to keep blocks of them in memory.
    """
    problem = fit.problem
    start = problem.coordinates(fit.solution.theta)
    size = max(1, min(BLOCK, _COUNTS // units))
    blocks = [range(first, min(first + size, draws)) for first in range(0, draws, size)]
    theta = np.full((draws, len(problem.place.names)), np.nan)
    chisq, failures = np.full(draws, np.nan), Counter[str]()
    for block in progress(blocks, "Bootstrap", len(blocks)):
        drawn = redraw(block)
        ends = search_all(problem, start, metric, drawn)
        divisor = drawn.n - (problem.n - problem.divisor)
        theta[block.start : block.stop] = problem.theta_offset + ends.x @ problem.to_theta.T
        chisq[block.start : block.stop] = divisor * np.maximum(ends.value, 0.0)
        failures["NotPositiveDefiniteError"] += int((~ends.usable).sum())
        for at in np.flatnonzero(ends.usable & ~ends.converged):
            end = _alone(problem, start, _as_moments(problem, drawn, int(at)))
            if end is None:
                failures["NonConvergenceError"] += 1
                continue
            theta[block[at]], chisq[block[at]] = problem.theta(end.x), divisor[at] * max(end.point.value, 0.0)
    return Found(theta, chisq, +failures)


def _alone(problem: Problem, start: FloatArray, moments: Moments) -> Search | None:
    """One draw searched on its own: from the fit, then from each set of start values; None where none of them ends.

    No trust region follows it down a valley without end: a draw whose minimum lies at infinity has no estimates.
    """
    try:
        drawn = with_moments(problem, moments)
    except NotPositiveDefiniteError:
        return None
    for begin in (start, *(start_values(drawn, way) for way in WAYS)):
        end = search(drawn, begin)
        if end is not None and end.converged:
            return end
    return None


def _as_moments(problem: Problem, drawn: Draws, at: int) -> Moments:
    place = problem.place
    scale, n = problem.scale[: place.n_observed], int(drawn.n[at])
    divisor = n - (problem.n - problem.divisor)
    mean = None if drawn.mean is None else drawn.mean[at] * scale
    return Moments(place.observed, n, mean, drawn.cov[at] * np.outer(scale, scale) * (divisor / (n - 1)))
