"""People who answered in several waves count once, with the scores of all their waves.

Were each wave a side of its own, what a person carries from one wave to the next would be taken for a trait of the
unit, and links between waves would be too large. As scores of one person they covary within units instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Literal

import pandas as pd

from spc.chain.naming import called
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
        Sides without ``respondent``; those joined are called like the first, up to its wave. Who missed a wave has no
        scores of it; who changed the unit counts in each, as two people.
    list of Note
    frozenset of str
        Tables whose waves were joined.
    """
    found: dict[str, pd.DataFrame] = {}
    notes: list[Note] = []
    joined = set()
    for table in dict.fromkeys(tables[side] for side in sides):
        own = [side for side in sides if tables[side] == table]
        frames = _known([sides[side] for side in own])
        full = pd.DataFrame() if frames is None else _merged(frames, "inner")
        if frames is None or len(full) < ENOUGH * max(len(frame) for frame in frames):
            found |= {side: sides[side].drop(columns=PERSON, errors="ignore") for side in own}
            continue
        joined.add(table)
        found[own[0].split("_wave_")[0]] = _merged(frames, "outer").drop(columns=PERSON)
        some = len(set().union(*(frame[PERSON] for frame in frames))) - len(full)
        told: dict[str, object] = {"people": len(full), "table": called(table), "waves": len(own)}
        told |= {"some": some} if some else {}
        notes.append(Note.of("same_people", "info", table, "some_partly" if some else "all", **told))
    return found, notes, frozenset(joined)


def _known(frames: Sequence[pd.DataFrame]) -> list[pd.DataFrame] | None:
    """Those of the people with a code and a unit; None where people cannot be told."""
    if len(frames) < 2 or any(PERSON not in frame or "customer" in frame for frame in frames):
        return None
    known = [frame.dropna(subset=[PERSON, "unit"]) for frame in frames]
    return None if any(frame[PERSON].duplicated().any() for frame in known) else known


def _merged(frames: Sequence[pd.DataFrame], how: Literal["inner", "outer"]) -> pd.DataFrame:
    """Side by side; of what several waves have, such as covariates, the first that is known counts."""
    return reduce(lambda one, other: _two(one, other, how), frames)


def _two(one: pd.DataFrame, other: pd.DataFrame, how: Literal["inner", "outer"]) -> pd.DataFrame:
    keys = [PERSON, "unit"]
    both = [name for name in one if name in other and name not in keys]
    merged = one.merge(other, on=keys, how=how, suffixes=("", " later"))
    for name in both:
        merged[name] = merged[name].where(merged[name].notna(), merged.pop(f"{name} later"))
    return merged
