"""How a two-level fit leans on rows of its tables, free or held: what score tests need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from spc.linalg import FloatArray
from spc.sem.engine.ram import IntArray, Structure
from spc.sem.twolevel.group import LevelGroup
from spc.sem.twolevel.maps import Level, Levels
from spc.sem.twolevel.search import Objective

__all__ = ["lean_levels"]


def lean_levels(
    group: LevelGroup, x: FloatArray, places: Sequence[Structure], rows: Sequence[IntArray]
) -> tuple[FloatArray, FloatArray]:
    """Score (minus half of the gradient of F) and information of rows of both levels, for one row of data.

    Rows within clusters and between them have information on each other, so both come together. It is the expected
    one, and with missing answers the observed one.

    Parameters
    ----------
    group : LevelGroup
    x : (k,) array
        Coordinates of the solution.
    places : pair of Structure
        Within and between clusters, of the models fitted or of ones with more rows and the same variables.
    rows : pair of int arrays
        Rows of each that are asked for.

    Returns
    -------
    score : (r,) array
        Of the rows within clusters, then of those between them.
    information : (r, r) array
    """
    width = sum(one.size for one in rows)
    levels, start, values = [], 0, np.empty(width)
    for level, place, own in zip((group.levels.within, group.levels.between), places, rows, strict=True):
        wider, at = _with_rows(level, x, place, own, slice(start, start + own.size), width)
        levels.append(wider)
        values[start : start + own.size] = at
        start += own.size
    objective = Objective(group.sample.best.data, Levels(levels[0], levels[1], group.levels.p))
    state = objective.at(values)
    assert state is not None
    clusters = group.sample.clusters
    information = objective.information(values, state, expected=clusters.answers is None)
    return -objective.gradient(state) / clusters.rows, information / clusters.rows


def _with_rows(
    level: Level, x: FloatArray, place: Structure, rows: IntArray, at: slice, width: int
) -> tuple[Level, FloatArray]:
    """The level with each of these rows a coordinate of its own, and their values."""
    problem = level.problem
    base = np.zeros(len(place.free))
    known = problem.values(x)
    base[: known.size] = known
    turn = np.zeros((rows.size, width))
    turn[:, at] = np.eye(rows.size)
    moved = replace(problem, place=place, base=base, active=rows, map=turn, offset=np.zeros(rows.size), plain=False)
    return replace(level, problem=moved), base[rows]
