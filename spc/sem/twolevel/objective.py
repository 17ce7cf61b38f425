"""The two-level likelihood as searches under constraints ask for it: for one row of data, less that of free moments."""

from __future__ import annotations

import numpy as np

from spc.linalg import FloatArray
from spc.sem.engine.constrained import Objective
from spc.sem.engine.joint import State
from spc.sem.objective import Smooth
from spc.sem.twolevel.search import Goal

__all__ = ["levels_objective"]


def levels_objective(goal: Goal, n: int, least: float) -> Objective:
    """Twice minus the log-likelihood by row, and its derivatives.

    Parameters
    ----------
    goal : Goal
    n : int
        Rows of data.
    least : float
        The goal at the free moments, taken off so that small differences keep their digits.
    """

    def at(x: FloatArray) -> Smooth | None:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            state = goal.at(x)
            if state is None:
                return None
            value = 2.0 * (state.value - least) / n
            score, information = -goal.gradient(state) / n, goal.information(x, state, expected=True) / n
        return Smooth(
            State(value, ()), value, score, information, lambda: goal.information(x, state, expected=False) / n
        )

    return at
