"""The two-sided fit of a study: each table of answers is a side, at the wave each construct is taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from spc.chain.rows import AnalysisRows, at_wave
from spc.chain.two_sided import fit_two_sided
from spc.chain.two_sided_result import TwoSidedFit
from spc.errors import UnsupportedError
from spc.results import Note
from spc.study import Study
from spc.study.study import SIDES
from spc.survey import score

__all__ = ["fit_sides", "side_notes"]

ANSWERS = {table: side for side, table in SIDES.items()}


def fit_sides(study: Study, text: str, rows: AnalysisRows, *, draws: int, seed: int, level: float) -> TwoSidedFit:
    """Fit the chain of a study to its respondents, side by side.

    Parameters
    ----------
    study : Study
    text : str
        The chain.
    rows : AnalysisRows
        As for unit means: its constructs and the wave of each.
    draws, seed, level
        As for :func:`spc.chain.fit_chain`.

    Raises
    ------
    UnsupportedError
        The chain is one of persons.
    """
    if rows.level != "unit":
        raise UnsupportedError(
            'method="two_sided" is for chains of units. Set level = "unit" in [chain], or use method="unit_means".'
        )
    sides, units = _tables(study, [str(name) for name in rows.scores], rows.waves)
    return fit_two_sided(text, sides=sides, units=units, unit="unit", draws=draws, seed=seed, level=level)


def _tables(
    study: Study, names: list[str], waves: Mapping[str, Any]
) -> tuple[dict[str, pd.DataFrame], pd.DataFrame | None]:
    """Scores of each table of answers, one a wave used, and of all others by unit."""
    book = {construct.name: construct for construct in study.codebook}
    sides: dict[str, dict[str, pd.Series]] = {}
    outcomes: dict[str, pd.Series] = {}
    for name in names:
        construct = book[name]
        table = at_wave(study, construct, waves)
        scores = score(table, construct)
        if construct.table not in ANSWERS:
            outcomes[name] = scores.groupby(table["unit"]).mean()
            continue
        side = ANSWERS[construct.table] + (f"_wave_{waves[name]}" if name in waves else "")
        sides.setdefault(side, {"unit": table["unit"]})[name] = scores
    units = pd.DataFrame(outcomes).rename_axis("unit").reset_index() if outcomes else None
    return {side: pd.DataFrame(columns) for side, columns in sides.items()}, units


def side_notes(fit: TwoSidedFit) -> list[Note]:
    """What the method means for a reader."""
    sides = fit.core.units.sides
    notes = [Note(
        "two_sided", "info", "links", "Links rest on the respondents themselves: the sampling error of unit means is "
        "part of the model and does not pull links toward zero. The regressions beside them are on unit means.",
    )]  # fmt: skip
    people = [side.split("_wave_")[0] for side in sides]
    if len(set(people)) < len(people):
        notes.append(Note(
            "waves_apart", "warning", "waves", "Answers of different waves count as those of different people; where "
            "the same people answered twice, what they share beyond their unit is taken for a trait of the unit.",
        ))  # fmt: skip
    return notes
