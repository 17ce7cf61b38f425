"""What follows from visible rows that cross one another, as the margins of two divisions do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from spc.disclosure.atoms import at_one_end
from spc.disclosure.rows import BoolArray, Cells
from spc.disclosure.rule import WIDTH
from spc.linalg import FloatArray

__all__ = ["bounds", "crossing_exposures"]

_ZERO = 1e-9


def crossing_exposures(cells: Cells, visible: BoolArray, guarded: BoolArray, minimum: int) -> Iterator[BoolArray]:
    """Sums over few people that are combinations of visible rows, then guarded rows that are not open enough.

    Parameters and what is yielded are those of :func:`spc.disclosure.suppression.exposures`.
    """
    seen = cells.member[visible] & (cells.n > 0)
    for group in _combinations(seen):
        people = cells.n[None] @ group
        if 0 < people < minimum or (people > 0 and at_one_end(cells, people, group @ cells.sums, minimum).any()):
            yield group
    small = np.eye(len(cells.n), dtype=bool)[(cells.n > 0) & (cells.n < minimum)]
    wanted = np.unique(np.vstack([small, cells.member[guarded] & (cells.n > 0)]), axis=0)
    spanned = _spanned(seen.astype(float), wanted.astype(float))
    yield from wanted[spanned]
    for row in wanted[~spanned]:
        if not _open(cells, visible, row, minimum):
            yield row


def bounds(cells: Cells, visible: BoolArray, row: BoolArray, value: int) -> tuple[float, float]:
    """Least and greatest sum of a value over a set of cells, given the visible rows and the scale.

    Examples
    --------
    Two groups of five with a mean of 2 on a scale from 1 to 7:

    >>> member, sums = np.array([[True, True]]), np.array([[10.0], [10.0]])
    >>> cells = Cells(np.array([5.0, 5.0]), member, sums, np.ones(1), 7 * np.ones(1))
    >>> bounds(cells, np.array([True]), np.array([True, False]), 0)
    (5.0, 15.0)
    """
    from scipy.optimize import linprog

    rows = cells.member[visible].astype(float)
    fixed = rows @ cells.sums[:, value]
    ends = np.column_stack([cells.n * cells.low[value], cells.n * cells.high[value]])
    found = [linprog(sign * row.astype(float), A_eq=rows, b_eq=fixed, bounds=ends) for sign in (1.0, -1.0)]
    if any(each.status != 0 for each in found):
        return -np.inf, np.inf
    return float(found[0].fun), float(-found[1].fun)


def _open(cells: Cells, visible: BoolArray, row: BoolArray, minimum: int) -> bool:
    people = float(cells.n @ row)
    for value in np.flatnonzero(np.isfinite(cells.high - cells.low) & ~np.isnan(cells.sums).any(axis=0)):
        least, most = bounds(cells, visible, row, int(value))
        if most - least < WIDTH * (cells.high[value] - cells.low[value]) * min(people, minimum) - _ZERO:
            return False
    return True


def _spanned(seen: FloatArray, wanted: FloatArray) -> BoolArray:
    """Which of the wanted rows are combinations of the seen ones."""
    if not len(seen) or not len(wanted):
        return np.zeros(len(wanted), dtype=bool)
    _, s, vt = np.linalg.svd(seen, full_matrices=False)
    basis = vt[s > _ZERO * s.max(initial=1.0)]
    return np.asarray(np.abs(wanted - wanted @ basis.T @ basis).max(axis=1) < 1e-7)


def _combinations(seen: BoolArray) -> Iterator[BoolArray]:
    """Candidate sets: over the cells that no shown row gives on its own."""
    single = seen[seen.sum(axis=1) == 1].any(axis=0)
    yield from seen[seen.sum(axis=1) == 1]
    rest = np.unique(seen & ~single, axis=0)
    yield from (row for row in rest if row.any())
    for i, j in zip(*np.nonzero(_strictly_inside(rest)), strict=True):
        yield rest[j] & ~rest[i]
    yield from _echelon_sets(rest.astype(float))


def _strictly_inside(rows: BoolArray) -> BoolArray:
    counts = rows.astype(np.float32)
    size = counts.sum(axis=1)
    return np.asarray((counts @ counts.T == size[:, None]) & (size[:, None] < size[None, :]) & (size[:, None] > 0))


def _echelon_sets(matrix: FloatArray) -> Iterator[BoolArray]:
    """Rows of the reduced row echelon form that are sums over a set of cells."""
    reduced = matrix.copy()
    pivot = 0
    for column in range(reduced.shape[1]):
        if pivot == len(reduced):
            break
        best = pivot + int(np.argmax(np.abs(reduced[pivot:, column])))
        if abs(reduced[best, column]) < _ZERO:
            continue
        reduced[[pivot, best]] = reduced[[best, pivot]]
        reduced[pivot] /= reduced[pivot, column]
        others = np.arange(len(reduced)) != pivot
        reduced[others] -= np.outer(reduced[others, column], reduced[pivot])
        pivot += 1
    for row in reduced[:pivot]:
        inside = np.abs(row - 1) < _ZERO
        if np.all(inside | (np.abs(row) < _ZERO)):
            yield inside
