"""Which rows of a table of groups must be hidden: pure functions on counts and membership.

A table of groups lists rows; every row is a union of cells, and a cell is a smallest group of people. Whoever sees
the means and counts of some rows can add and subtract them, and learns exactly the sums over the row space of the
shown rows of ``member``. Nothing in that space may be the sum over a group of too few people.

Where rows are nested or apart (a hierarchy) the row space is spanned by disjoint sets, the *atoms*: the cells that
share their smallest shown row. The check is then exact. Where rows cross (two sets of margins) the candidates are the
shown rows, their differences and the reduced row echelon form, over the cells that are not shown themselves.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray

__all__ = ["PRIMARY", "SECONDARY", "SHOWN", "exposed", "suppress"]

BoolArray = npt.NDArray[np.bool_]
StatusArray = npt.NDArray[np.int8]

SHOWN, PRIMARY, SECONDARY = 0, 1, 2


def suppress(
    cells: FloatArray,
    member: BoolArray,
    *,
    minimum: int,
    fixed: BoolArray | None = None,
    refused: BoolArray | None = None,
) -> StatusArray:
    """Decide which rows are hidden.

    Parameters
    ----------
    cells : (k,) array
        People in each cell.
    member : (m, k) bool array
        Whether row i contains cell j.
    minimum : int
        Fewest people a shown or derivable group may have.
    fixed : (m,) bool array, optional
        Rows that are known already and cannot be hidden any more.
    refused : (m,) bool array, optional
        Rows hidden for another reason.

    Returns
    -------
    (m,) array
        :data:`SHOWN`, :data:`PRIMARY` (too few people, or refused) or :data:`SECONDARY` (hidden to protect another).

    Examples
    --------
    Three teams and their total: hiding the team of three alone would leave it to subtraction.

    >>> member = np.vstack([np.eye(3, dtype=bool), np.ones((1, 3), dtype=bool)])
    >>> suppress(np.array([3.0, 9.0, 20.0]), member, minimum=5)
    array([1, 2, 0, 0], dtype=int8)
    """
    known = np.zeros(len(member), dtype=bool) if fixed is None else fixed
    few = ~(member @ cells >= minimum) | (False if refused is None else refused)
    status = np.where(few & ~known, PRIMARY, SHOWN).astype(np.int8)
    while (row := _next_to_hide(cells, member, status, known, minimum)) is not None:
        status[row] = SECONDARY
    return status


def exposed(cells: FloatArray, member: BoolArray, shown: BoolArray, minimum: int) -> list[BoolArray]:
    """Sets of cells of fewer than ``minimum`` people whose sum follows from the shown rows.

    Parameters
    ----------
    cells, member, minimum
        As for :func:`suppress`.
    shown : (m,) bool array
        Rows that a reader sees.

    Returns
    -------
    list of (k,) bool arrays
        Empty when nothing is given away.

    Examples
    --------
    >>> member = np.array([[True, False], [False, True], [True, True]])
    >>> exposed(np.array([3.0, 9.0]), member, np.array([False, True, True]), 5)
    [array([ True, False])]
    """
    peopled = cells > 0
    seen = member[shown] & peopled
    found = _atoms(seen) if _nested(seen) else _combinations(seen)
    return [group for group in found if 0 < cells @ group < minimum]


def _nested(member: BoolArray) -> bool:
    """Whether any two rows are nested or apart."""
    counts = member.astype(np.float32)
    shared = counts @ counts.T
    size = counts.sum(axis=1)
    return bool(np.all((shared == 0) | (shared == np.minimum.outer(size, size))))


def _atoms(seen: BoolArray) -> Iterator[BoolArray]:
    """Cells that share their smallest row."""
    if not seen.size:
        return
    own = np.where(seen, seen.sum(axis=1)[:, None], np.iinfo(np.int64).max)
    owner = np.where(seen.any(axis=0), own.argmin(axis=0), -1)
    for row in np.unique(owner[owner >= 0]):
        yield owner == row


def _combinations(seen: BoolArray) -> Iterator[BoolArray]:
    """Candidate sets where rows cross: over the cells that no shown row gives on its own."""
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
    inside = (counts @ counts.T == size[:, None]) & (size[:, None] < size[None, :]) & (size[:, None] > 0)
    return np.asarray(inside)


def _echelon_sets(matrix: FloatArray) -> Iterator[BoolArray]:
    """Rows of the reduced row echelon form that are sums over a set of cells."""
    reduced = matrix.copy()
    pivot = 0
    for column in range(reduced.shape[1]):
        if pivot == len(reduced):
            break
        best = pivot + int(np.argmax(np.abs(reduced[pivot:, column])))
        if abs(reduced[best, column]) < 1e-9:
            continue
        reduced[[pivot, best]] = reduced[[best, pivot]]
        reduced[pivot] /= reduced[pivot, column]
        others = np.arange(len(reduced)) != pivot
        reduced[others] -= np.outer(reduced[others, column], reduced[pivot])
        pivot += 1
    for row in reduced[:pivot]:
        inside = np.abs(row - 1) < 1e-9
        if np.all(inside | (np.abs(row) < 1e-9)):
            yield inside


def _next_to_hide(
    cells: FloatArray, member: BoolArray, status: StatusArray, known: BoolArray, minimum: int
) -> int | None:
    """Smallest row whose hiding makes an exposed set larger; None when nothing is exposed or nothing helps."""
    shown = (status == SHOWN) | known
    people = member @ cells
    for group in exposed(cells, member, shown, minimum):
        choices = _choices(member, shown, known, group)
        if choices.size:
            return int(choices[np.lexsort((choices, people[choices]))[0]])
    return None


def _choices(member: BoolArray, shown: BoolArray, known: BoolArray, group: BoolArray) -> npt.NDArray[np.intp]:
    """Rows that could be hidden for ``group``: neighbours inside a shown row around it, else the rows on it."""
    touching = shown & (member & group).any(axis=1)
    around = member[touching].any(axis=0)
    beside = shown & ~known & (member & around).any(axis=1) & ~(member & group).any(axis=1)
    inside = beside & _within(member, member[touching])
    if inside.any():
        return np.flatnonzero(_largest(member, inside))
    return np.flatnonzero(touching & ~known)


def _within(member: BoolArray, rows: BoolArray) -> BoolArray:
    """Which rows of ``member`` lie inside one of ``rows``."""
    outside = member.astype(np.float32) @ (~rows).astype(np.float32).T
    return np.asarray((outside == 0).any(axis=1))


def _largest(member: BoolArray, mask: BoolArray) -> BoolArray:
    """Of the masked rows, those inside no other masked row: siblings before their own parts."""
    picked = np.flatnonzero(mask)
    inner = _strictly_inside(member[picked]).any(axis=1)
    keep = np.zeros_like(mask)
    keep[picked[~inner]] = True
    return keep
