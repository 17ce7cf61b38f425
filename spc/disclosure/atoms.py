"""What follows from visible rows that are nested or apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from spc.disclosure.rows import BoolArray, Cells
from spc.disclosure.rule import WIDTH
from spc.linalg import FloatArray

__all__ = ["at_one_end", "atom_exposures", "owners"]

OwnerArray = npt.NDArray[np.intp]


def owners(cells: Cells, visible: BoolArray) -> OwnerArray:
    """Smallest visible row around each cell; -1 where there is none.

    Examples
    --------
    >>> member = np.array([[True, False], [True, True]])
    >>> cells = Cells(np.array([3.0, 9.0]), member, np.zeros((2, 0)), np.zeros(0), np.zeros(0))
    >>> owners(cells, np.array([True, True]))
    array([0, 1])
    """
    owner = np.full(len(cells.n), -1, dtype=np.intp)
    size = cells.member.sum(axis=1)
    for row in sorted(np.flatnonzero(visible), key=lambda i: -int(size[i])):
        owner[cells.member[row]] = row
    return owner


def atom_exposures(cells: Cells, visible: BoolArray, guarded: BoolArray, minimum: int) -> Iterator[BoolArray]:
    """Atoms of too few people or all at one end of a scale, then guarded rows that are not open enough.

    Parameters and what is yielded are those of :func:`spc.disclosure.suppression.exposures`.
    """
    owner = owners(cells, visible)
    people, *sums_by = (_added(owner, each, len(visible)) for each in (cells.n, *cells.sums.T))
    sums = np.column_stack([np.zeros((len(people), 0)), *sums_by])
    few = (people > 0) & (people < minimum)
    at_end = (people > 0) & at_one_end(cells, people[:, None], sums, minimum).any(axis=1)
    for atom in np.flatnonzero((few | at_end)[1:]):
        yield owner == atom
    for row in np.flatnonzero(guarded):
        if not _open(cells, cells.member[row], owner, people, sums, minimum):
            yield cells.member[row]


def _added(owner: OwnerArray, values: FloatArray, rows: int) -> FloatArray:
    """Sum over the cells of each owner, those of nobody first, (rows + 1,)."""
    return np.asarray(np.bincount(owner + 1, values, minlength=rows + 1), dtype=float)


def at_one_end(cells: Cells, people: FloatArray, sums: FloatArray, minimum: int) -> BoolArray:
    """Whether the answers of groups are so near an end of the scale that those of any few among them are known.

    The answers of ``minimum - 1`` people can lie no further from the end than all answers together do.

    Parameters
    ----------
    cells : Cells
        With the scales.
    people : (a, 1) array
    sums : (a, v) array
    minimum : int
    """
    least = WIDTH * (cells.high - cells.low) * (minimum - 1)
    with np.errstate(invalid="ignore"):
        near = (sums - people * cells.low < least) | (people * cells.high - sums < least)
    return np.asarray(near & np.isfinite(least))


def _open(cells: Cells, row: BoolArray, owner: OwnerArray, people: FloatArray, sums: FloatArray, minimum: int) -> bool:
    """Whether the sum of a row is neither determined by the atoms nor, on a scale, known too closely."""
    mine = np.flatnonzero(row & (cells.n > 0))
    atoms, where = np.unique(owner[mine], return_inverse=True)
    part = np.bincount(where, cells.n[mine])
    if (atoms >= 0).all() and np.array_equal(part, people[atoms + 1]):
        return False
    total, everyone = sums[atoms + 1], people[atoms + 1][:, None]
    free = (atoms < 0)[:, None]
    k = part[:, None]
    with np.errstate(invalid="ignore"):
        least = np.where(free, k * cells.low, np.maximum(k * cells.low, total - (everyone - k) * cells.high))
        most = np.where(free, k * cells.high, np.minimum(k * cells.high, total - (everyone - k) * cells.low))
        width = (most - least).sum(axis=0)
        wanted = WIDTH * (cells.high - cells.low) * min(part.sum(), minimum)
    return bool(np.all((width >= wanted) | ~np.isfinite(wanted) | np.isnan(width)))
