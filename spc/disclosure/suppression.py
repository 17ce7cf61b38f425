"""Which rows of a table of groups must be hidden.

Every listed row is a union of cells (:class:`spc.disclosure.rows.Cells`). Whoever sees the means and counts of some
rows can add and subtract them, and knows that every answer lies on its scale. What follows of a group of too few
people must stay open: not determined at all, and, where there is a scale, open by at least
:data:`~spc.disclosure.rule.WIDTH` of it; and no group is shown whose people all stand at one end of the scale.

Where rows are nested or apart (a hierarchy) the shown rows span disjoint sets, the *atoms*: the cells that share their
smallest shown row; what follows is then known in closed form (:mod:`spc.disclosure.atoms`). Where rows cross, as two
sets of margins do, it is found by elimination and linear programming (:mod:`spc.disclosure.crossing`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from spc.disclosure.atoms import atom_exposures
from spc.disclosure.crossing import crossing_exposures
from spc.disclosure.rows import BoolArray, Cells

__all__ = ["PRIMARY", "SECONDARY", "SHOWN", "exposures", "suppress"]

StatusArray = npt.NDArray[np.int8]

SHOWN, PRIMARY, SECONDARY = 0, 1, 2


def suppress(
    cells: Cells,
    *,
    minimum: int,
    known: BoolArray | None = None,
    refused: BoolArray | None = None,
    kept: BoolArray | None = None,
) -> StatusArray:
    """Decide which rows are hidden.

    Parameters
    ----------
    cells : Cells
    minimum : int
        Fewest people a shown or derivable group may have.
    known : (m,) bool array, optional
        Rows that readers know already, whatever is hidden now.
    refused : (m,) bool array, optional
        Rows whose values must not be known for another reason.
    kept : (m,) bool array, optional
        Rows that stay hidden, though their own values need no protection.

    Returns
    -------
    (m,) array
        :data:`SHOWN`, :data:`PRIMARY` (too few people, or refused) or :data:`SECONDARY` (hidden to protect another).

    Examples
    --------
    Three teams and their total: hiding the team of three alone would leave it to subtraction.

    >>> member = np.vstack([np.eye(3, dtype=bool), np.ones((1, 3), dtype=bool)])
    >>> teams = Cells(np.array([3.0, 9.0, 20.0]), member, np.zeros((3, 0)), np.zeros(0), np.zeros(0))
    >>> suppress(teams, minimum=5)
    array([1, 2, 0, 0], dtype=int8)
    """
    given, wanted, before = (
        np.zeros(len(cells.member), dtype=bool) if f is None else f for f in (known, refused, kept)
    )
    few = ~(cells.people >= minimum) | wanted
    status = np.where(few, PRIMARY, np.where(before, SECONDARY, SHOWN)).astype(np.int8)
    guarded = few & ~given & (cells.people > 0)
    while rows := _to_hide(cells, status, given, guarded, minimum):
        status[rows] = SECONDARY
    return status


def exposures(cells: Cells, visible: BoolArray, guarded: BoolArray, minimum: int) -> Iterator[BoolArray]:
    """Sets of cells about which the visible rows tell too much.

    Parameters
    ----------
    cells : Cells
    visible : (m,) bool array
        Rows that a reader knows.
    guarded : (m,) bool array
        Rows whose values must stay open by the stated width.
    minimum : int

    Yields
    ------
    (k,) bool array

    Examples
    --------
    >>> member = np.array([[True, False], [False, True], [True, True]])
    >>> teams = Cells(np.array([3.0, 9.0]), member, np.zeros((2, 0)), np.zeros(0), np.zeros(0))
    >>> list(exposures(teams, np.array([False, True, True]), np.zeros(3, bool), 5))
    [array([ True, False])]
    """
    find: Callable[..., Iterator[BoolArray]] = atom_exposures if cells.is_nested else crossing_exposures
    yield from find(cells, visible, guarded, minimum)


def _to_hide(cells: Cells, status: StatusArray, known: BoolArray, guarded: BoolArray, minimum: int) -> list[int]:
    """Rows whose hiding makes exposed sets larger, one for each part of the table; none when nothing helps."""
    visible = (status == SHOWN) | known
    found: list[int] = []
    busy = np.zeros(len(cells.n), dtype=bool)
    for group in exposures(cells, visible, guarded, minimum):
        if (busy & group).any():
            continue
        row, around = _choice(cells, visible, known, group)
        if row is not None and not (busy & around).any():
            found.append(row)
            busy |= around
            if not cells.is_nested:
                break
    return found


def _choice(cells: Cells, visible: BoolArray, known: BoolArray, group: BoolArray) -> tuple[int | None, BoolArray]:
    """Row to hide for an exposed set, and the cells of the row around both.

    The smallest neighbour inside the smallest visible row around the set that has one, else such a row itself.
    """
    member, people = cells.member, cells.people
    touched = member[:, np.flatnonzero(group)].any(axis=1)
    free = np.flatnonzero(visible & ~touched & (people > 0))
    around = np.flatnonzero(visible & touched)
    for row in around[np.argsort(people[around], kind="stable")]:
        near = free[member[row, cells.first[free]]]
        inside = near[~(member[near] & ~member[row]).any(axis=1)]
        beside = [each for each in _outermost(member, inside) if not known[each]]  # a part of a known one cannot help
        if beside:
            return min(beside, key=lambda each: float(people[each])), member[row]
        if not known[row]:
            return int(row), member[row]
    return None, group


def _outermost(member: BoolArray, rows: npt.NDArray[np.intp]) -> list[int]:
    """Of some rows, those inside no other of them: siblings before their own parts."""
    covered = np.zeros(member.shape[1], dtype=bool)
    kept = []
    for row in rows[np.argsort(-member[rows].sum(axis=1), kind="stable")]:
        if not covered[member[row]].all():
            kept.append(int(row))
            covered |= member[row]
    return sorted(kept)
