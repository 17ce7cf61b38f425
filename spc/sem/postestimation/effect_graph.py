"""Which effects a model has, and their values for any number of draws at once.

With ``A`` the arrows among the variables (rows are effects, columns causes), an indirect effect along one path is the
product of its arrows, the total effects are ``(I - A)^-1 - I``, and the total indirect effects are what the direct
ones leave of the total (Bollen 1987, Sociological Methodology 17, 37-69). In a model with loops the series of ever
longer paths behind a total adds up only when every eigenvalue of ``A`` is below one in size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.sem.engine.ram import COVARIANCE, DIRECTED, Structure
from spc.spec.table import Model

__all__ = ["MAX_PATHS", "Effect", "EffectGraph", "EffectValues", "effect_graph", "evaluated"]

MAX_PATHS = 500
"""Specific indirect effects listed at most."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect: all variables it runs through when it is one path, else cause and outcome only."""

    kind: str
    path: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class EffectGraph:
    """Arrows among the variables of the regressions and all their causes, by position in the matrices.

    ``cyclic`` says whether there are loops, ``cut`` whether there are more paths than are listed.
    """

    place: Structure
    members: tuple[int, ...]
    effects: tuple[Effect, ...]
    cyclic: bool
    cut: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Kind and path of each effect."""
        return tuple(f"{effect.kind}: {self.label(effect)}" for effect in self.effects)

    def label(self, effect: Effect) -> str:
        """The variables that an effect runs through."""
        return " -> ".join(self.place.variables[v] for v in effect.path)


def effect_graph(model: Model, place: Structure) -> EffectGraph:
    """The effects among the variables of a model's regressions.

    Raises
    ------
    UsageError
        The model has no regressions.
    """
    arrows = [
        (int(place.column[r]), int(place.row[r]), row.op)
        for r, row in enumerate(model.parameters)
        if place.part[r] == DIRECTED and (row.free or row.fixed != 0.0)
    ]
    ends = {v for cause, outcome, op in arrows if op == "~" for v in (cause, outcome)}
    if not ends:
        raise UsageError("The model has no regressions, so there are no effects. Write some with '~'.")
    forward: dict[int, list[int]] = {v: [] for v in range(len(place.variables))}
    for cause, outcome, _ in arrows:
        forward[cause].append(outcome)
    reach = {v: _reachable(v, forward) for v in forward}
    cyclic = any(v in reach[v] for v in reach)
    direct = [(cause, outcome) for cause, outcome, _ in arrows if {cause, outcome} <= ends]
    pairs = [(x, y) for x in sorted(ends) for y in sorted(ends) if x != y and y in reach[x]]
    onward = [(x, y) for x, y in pairs if any(y in reach[child] for child in forward[x])]
    search = () if cyclic else (path for x, y in onward for path in _paths(x, y, forward, reach))
    paths = list(islice(search, MAX_PATHS + 1))
    listed = [
        *(Effect("direct", pair) for pair in direct),
        *(Effect("indirect", path) for path in paths[:MAX_PATHS]),
        *(Effect("total_indirect", pair) for pair in onward),
        *(Effect("total", pair) for pair in pairs),
    ]
    members = tuple(v for v in sorted(reach) if v in ends or reach[v] & ends)
    return EffectGraph(place, members, tuple(listed), cyclic, len(paths) > MAX_PATHS)


def _reachable(start: int, forward: Mapping[int, list[int]]) -> set[int]:
    seen: set[int] = set()
    waiting = list(forward[start])
    while waiting:
        v = waiting.pop()
        if v not in seen:
            seen.add(v)
            waiting += forward[v]
    return seen


def _paths(
    start: int, end: int, forward: Mapping[int, list[int]], reach: Mapping[int, set[int]]
) -> Iterator[tuple[int, ...]]:
    """All paths of two or more arrows in a graph without loops."""
    waiting: list[tuple[int, ...]] = [(start,)]
    while waiting:
        path = waiting.pop()
        for v in reversed(forward[path[-1]]):
            if v == end and len(path) > 1:
                yield (*path, v)
            elif end in reach[v]:
                waiting.append((*path, v))


@dataclass(frozen=True, eq=False, slots=True)
class EffectValues:
    """Effects (n, k) on both scales; whether the loops of each draw (n,) die out and its variances are positive."""

    raw: FloatArray
    standardized: FloatArray
    stable: npt.NDArray[np.bool_]
    proper: npt.NDArray[np.bool_]


def evaluated(graph: EffectGraph, values: FloatArray) -> EffectValues:
    """All effects at values (n, R) of a model's rows; NaN where loops do not die out or variances are not positive."""
    a, s = _members_only(graph, values)
    eye = np.eye(a.shape[-1])
    stable = np.ones(len(a), dtype=bool)
    if graph.cyclic:
        stable = np.asarray(np.abs(np.linalg.eigvals(a)).max(axis=-1) < 1.0)
    reach = np.linalg.inv(eye - a)
    variance = np.einsum("nij,njk,nik->ni", reach, s, reach, optimize=True)
    deviation = np.sqrt(np.where(variance > 0.0, variance, np.nan))
    total = np.where(stable[:, None, None], reach - eye, np.nan)
    at = {v: i for i, v in enumerate(graph.members)}
    raw = np.empty((len(a), len(graph.effects)))
    ratio = np.empty_like(raw)
    for k, effect in enumerate(graph.effects):
        steps = [at[v] for v in effect.path]
        x, y = steps[0], steps[-1]
        raw[:, k] = _one(effect.kind, a, total, steps)
        ratio[:, k] = deviation[:, x] / deviation[:, y]
    return EffectValues(raw, raw * ratio, stable, np.asarray(np.isfinite(deviation).all(axis=1)))


def _one(kind: str, a: FloatArray, total: FloatArray, steps: list[int]) -> FloatArray:
    x, y = steps[0], steps[-1]
    if kind == "total":
        return np.asarray(total[:, y, x])
    if kind == "total_indirect":
        return np.asarray(total[:, y, x] - a[:, y, x])
    return np.asarray(a[:, steps[1:], steps[:-1]].prod(axis=1))


def _members_only(graph: EffectGraph, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A and S of the members alone: nothing else has a say in their effects and variances."""
    place, at = graph.place, {v: i for i, v in enumerate(graph.members)}
    a = np.zeros((len(values), len(at), len(at)))
    s = np.zeros_like(a)
    for r, (part, row, column) in enumerate(zip(place.part, place.row, place.column, strict=True)):
        i, j = at.get(int(row)), at.get(int(column))
        if i is None or j is None:
            continue
        if part == DIRECTED:
            a[:, i, j] = values[:, r]
        elif part == COVARIANCE:
            s[:, i, j] = s[:, j, i] = values[:, r]
    return a, s
