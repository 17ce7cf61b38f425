"""Constructs over waves: one row a unit, or person, and wave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd

from spc.errors import DataError
from spc.study import Study
from spc.survey import Construct, score

__all__ = ["KEY", "WAVE", "over_waves", "timed", "waves_of"]

KEY, WAVE = "unit", "wave"
Level = Literal["unit", "person"]
_KEYS = {"unit": "unit", "person": "respondent"}


def timed(study: Study, names: Sequence[str], level: Level) -> list[str]:
    """Those of the constructs whose table names waves, and units or respondents."""
    book = {construct.name: construct for construct in study.codebook}
    return [name for name in names if {"wave", _KEYS[level]} <= set(study.tables[book[name].table])]


def over_waves(study: Study, names: Sequence[str], level: Level) -> pd.DataFrame:
    """Scores of every unit (means of its people), or person, at every wave.

    Parameters
    ----------
    study : Study
    names : sequence of str
        Constructs.
    level : {"unit", "person"}

    Returns
    -------
    DataFrame
        Columns ``unit, wave`` and one a construct; missing where not measured. ``unit`` holds the respondent for
        persons. Confidential: it never leaves as it is.

    Raises
    ------
    DataError
        A construct is not in the codebook, or its table lacks waves, units or respondents.
    """
    book = {construct.name: construct for construct in study.codebook}
    unknown = [name for name in names if name not in book]
    if unknown:
        raise DataError.of(
            "study", unknown[0], "unknown_construct", f"no construct {unknown[0]}", f"one of: {', '.join(book)}",
            "Correct the name.",
        )  # fmt: skip
    lacking = [name for name in names if name not in timed(study, names, level)]
    if lacking:
        table = book[lacking[0]].table
        raise DataError.of(
            table, "wave", "no_waves", f"{lacking[0]} without waves or without a {_KEYS[level]}",
            f"a wave and a {_KEYS[level]} for every row", f"Name them under [tables.{table}] columns.",
        )  # fmt: skip
    return pd.concat([_scores(study, book[name], level) for name in names], axis=1).sort_index().reset_index()


def _scores(study: Study, construct: Construct, level: Level) -> pd.Series[Any]:
    table = study.tables[construct.table]
    keys = [table[_KEYS[level]].rename(KEY), table["wave"].rename(WAVE)]
    return score(table, construct).groupby(keys).mean().rename(construct.name)


def waves_of(frame: pd.DataFrame, names: Sequence[str]) -> list[Any]:
    """Waves at which every one of the constructs was measured, in order."""
    there = frame.groupby(WAVE)[list(names)].count().gt(0).all(axis=1)
    return sorted(there.index[there])
