"""Sides whose respondents stay where they are: unit means and scatter come from a Source in place of its rows."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from spc.chain.naming import called
from spc.results import Note
from spc.sem.twolevel.likelihood import UnitMoments
from spc.sources import Source, UnitSums

__all__ = ["Reduced", "in_memory", "units_in_place"]

Side = pd.DataFrame | Source
Reduced = tuple[UnitMoments, tuple[Hashable, ...], list[Note]]
"""Moments of units, the units, and notes."""


def in_memory(sides: Mapping[str, Side]) -> dict[str, pd.DataFrame]:
    """Sides that are frames."""
    return {side: table for side, table in sides.items() if isinstance(table, pd.DataFrame)}


def units_in_place(
    reduce: Callable[[Mapping[str, pd.DataFrame]], Reduced], names: Sequence[str], sides: Mapping[str, Side], unit: str
) -> Reduced:
    """Moments of units where some sides are Sources.

    A frame of unit means stands in for the rows of a Source while units and constructs are matched; its sizes and
    scatter take their place afterwards.

    Parameters
    ----------
    reduce : callable
        Moments of units, the units and notes, from frames.
    names : sequence of str
        The variables of the chain.
    sides : mapping of str to DataFrame or Source
    unit : str
        Column that names the unit.

    Raises
    ------
    DataError
    """
    sums: dict[str, UnitSums] = {}
    frames: dict[str, pd.DataFrame] = {}
    for side, table in sides.items():
        if isinstance(table, pd.DataFrame):
            frames[side] = table
            continue
        own = [name for name in names if name in table.columns and name != unit]
        frames[side] = pd.DataFrame(columns=[unit] if unit in table.columns else [])
        if own and unit in table.columns:
            sums[side] = table.unit_moments(unit, own)
            frames[side] = _means(sums[side], unit)
    moments, keys, notes = reduce(frames)
    for side, found in sums.items():
        if side in moments.sides:
            moments = _with_rows(moments, side, found, keys)
            notes += _left_out(found, side)
    return moments, keys, notes


def _means(sums: UnitSums, unit: str) -> pd.DataFrame:
    """One row a unit that has respondents."""
    here = np.flatnonzero(sums.n)
    frame = pd.DataFrame(sums.mean[here], columns=list(sums.names))
    frame.insert(0, unit, pd.Series([sums.units[j] for j in here], dtype=object))
    return frame


def _with_rows(moments: UnitMoments, side: str, sums: UnitSums, keys: Sequence[Hashable]) -> UnitMoments:
    """The same units with the sizes and the scatter of a side's rows."""
    s = moments.sides.index(side)
    number = {key: j for j, key in enumerate(keys)}
    filled = np.flatnonzero(sums.n)
    at = np.array([number[sums.units[j]] for j in filled], dtype=np.intp)
    place = np.array([moments.names.index(name) for name in sums.names], dtype=np.intp)
    counts, scatter = np.array(moments.counts), np.array(moments.scatter)
    counts[at, s] = sums.n[filled]
    scatter[at[:, None, None], place[:, None], place] = sums.scatter[filled]
    return replace(moments, counts=counts, scatter=scatter)


def _left_out(sums: UnitSums, side: str) -> list[Note]:
    said = {("no_unit", ""): sums.without_unit, ("incomplete_scores", "lack"): sums.incomplete}
    return [
        Note.of(code, "warning", side, form, left=number, people=sums.rows, side=called(side))
        for (code, form), number in said.items()
        if number
    ]
