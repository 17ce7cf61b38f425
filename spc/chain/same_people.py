"""People who answered in several waves count once, with the scores of all their waves.

Were each wave a side of its own, what a person carries from one wave to the next would be taken for a trait of the
unit, and links between waves would be too large. As scores of one person they covary within units instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import pandas as pd

from spc.results import Note

__all__ = ["PERSON", "joined_waves"]

PERSON = "respondent"
ENOUGH = 0.5
"""Least share of the largest wave that answered in all."""


def joined_waves(
    sides: Mapping[str, pd.DataFrame], tables: Mapping[str, str]
) -> tuple[dict[str, pd.DataFrame], list[Note], frozenset[str]]:
    """Put waves of one table together where most people answered in all of them.

    Parameters
    ----------
    sides : mapping of str to DataFrame
        Each with ``unit``, scores and, where people can be told, ``respondent``.
    tables : mapping of str to str
        Table of each side.

    Returns
    -------
    dict
        Sides without ``respondent``; those joined are called like the first, up to its wave.
    list of Note
    frozenset of str
        Tables whose waves were joined.
    """
    found: dict[str, pd.DataFrame] = {}
    notes: list[Note] = []
    joined = set()
    for table in dict.fromkeys(tables[side] for side in sides):
        own = [side for side in sides if tables[side] == table]
        frame = _joined([sides[side] for side in own])
        if frame is None:
            found |= {side: sides[side].drop(columns=PERSON, errors="ignore") for side in own}
            continue
        joined.add(table)
        found[own[0].split("_wave_")[0]] = frame.drop(columns=PERSON)
        lost = len(set().union(*(sides[side][PERSON] for side in own))) - frame[PERSON].nunique()
        more = f" {lost} who miss one, or changed their unit, are left out." if lost else ""
        notes.append(Note(
            "same_people", "warning" if lost else "info", table, f"{len(frame)} people of {table} answered in all "
            f"{len(own)} waves that the chain uses and count once: what they carry from wave to wave is theirs, not "
            f"their unit's.{more}",
        ))  # fmt: skip
    return found, notes, frozenset(joined)


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame | None:
    """People with all waves; None where they cannot be told, or are too few."""
    if len(frames) < 2 or any(PERSON not in frame or "customer" in frame for frame in frames):
        return None
    known = [frame.dropna(subset=[PERSON, "unit"]) for frame in frames]
    if any(frame[PERSON].duplicated().any() for frame in known):
        return None
    whole = reduce(lambda one, other: one.merge(other, on=[PERSON, "unit"]), known)
    return whole if len(whole) >= ENOUGH * max(len(frame) for frame in frames) else None
