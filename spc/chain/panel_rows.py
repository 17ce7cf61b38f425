"""Constructs over waves: one row a unit, or person, and wave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import pandas as pd

from spc.errors import DataError
from spc.study import Study
from spc.study.study import SIDES
from spc.survey import Construct, alpha, keyed_items, score

__all__ = ["KEY", "WAVE", "given_waves", "measurement_errors", "over_waves", "timed", "waves_of"]

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


def given_waves(data: pd.DataFrame, constructs: Sequence[str], unit: str, wave: str) -> pd.DataFrame:
    """The rows of a frame under the names of :func:`over_waves`, once checked.

    Raises
    ------
    DataError
        Columns that are absent or hold text, or a unit twice at a wave.
    """
    absent = [name for name in (unit, wave, *constructs) if name not in data]
    if absent:
        raise DataError.of(
            "data", absent[0], "missing_column", f"no column {absent[0]!r}", f"one of {', '.join(map(str, data))}",
            "Correct the name, or say unit= and wave=.",
        )  # fmt: skip
    long = data[[unit, wave, *constructs]].rename(columns={unit: KEY, wave: WAVE}).dropna(subset=[KEY, WAVE])
    if long.duplicated([KEY, WAVE]).any():
        raise DataError.of(
            "data", unit, "duplicate_key", "a unit twice at one wave", "one row a unit and wave",
            "Average respondents of a unit first, or make a study of them.",
        )  # fmt: skip
    text = [name for name in constructs if not pd.api.types.is_numeric_dtype(long[name])]
    if text:
        raise DataError.of("data", text[0], "not_numeric", f"text in {text[0]}", "numbers", "Convert it first.")
    return long


def waves_of(frame: pd.DataFrame, names: Sequence[str]) -> list[Any]:
    """Waves at which every one of the constructs was measured, in order."""
    there = frame.groupby(WAVE)[list(names)].count().gt(0).all(axis=1)
    return sorted(there.index[there])


def measurement_errors(
    study: Study, names: Sequence[str], waves: Sequence[Any], level: Level
) -> dict[tuple[str, str, int], float]:
    """Variances and covariances of the errors that scores of units, or persons, are measured with, by wave from 1.

    A unit's mean errs by the variance within units over the number of its people (its harmonic mean over units);
    constructs answered by the same people err together. A person's score errs by what alpha leaves of its variance.
    Unit results, and single items of persons, have none.
    """
    book = {construct.name: construct for construct in study.codebook}
    found: dict[tuple[str, str, int], float] = {}
    for k, wave in enumerate(waves, 1):
        for i, first in enumerate(names):
            if book[first].table not in SIDES.values():
                continue
            rows = study.tables[book[first].table]
            rows = rows[rows["wave"] == wave]
            if level == "person":
                if len(book[first].items) > 1:
                    found[first, first, k] = _of_alpha(rows, book[first])
                continue
            for second in names[i:]:
                if book[second].table == book[first].table:
                    found[first, second, k] = _of_means(rows, book[first], book[second])
    return found


def _of_alpha(rows: pd.DataFrame, construct: Construct) -> float:
    reliability = alpha(keyed_items(rows, construct).dropna()).estimate
    return max(0.0, 1.0 - reliability) * float(score(rows, construct).var())


def _of_means(rows: pd.DataFrame, first: Construct, second: Construct) -> float:
    both = pd.DataFrame({"one": score(rows, first), "two": score(rows, second), KEY: rows["unit"]}).dropna()
    grouped = both.groupby(KEY)
    apart = both[["one", "two"]] - grouped[["one", "two"]].transform("mean")
    size = grouped.size()
    beyond = len(both) - len(size)
    if beyond < 1:
        return 0.0
    return float((apart["one"] * apart["two"]).sum() / beyond * (1.0 / size).mean())
