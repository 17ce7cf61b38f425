"""What the numbers of an aggregation allow, in plain words.

The bars are the field's guidance, not tests: ICC(1) of .01, .10 and .25 as small, medium and large, and ICC(2) of .70
(LeBreton & Senter 2008, Organizational Research Methods 11, 815-852); .50 as the least for comparing groups of units
and .90 for acting on a single one (Nunnally & Bernstein 1994, *Psychometric Theory*); rwg(j) of .70 as the usual bar.
"""

from __future__ import annotations

from typing import Protocol

import pandas as pd

from spc.results import Note, Severity
from spc.survey.codebook import Construct
from spc.survey.intraclass import OneWay
from spc.words import phrase

__all__ = ["Aggregated", "agreement_note", "notes_on"]

FEW_UNITS = 10
AGREED = 0.70
"""The usual bar of rwg."""


class Aggregated(Protocol):
    """What a verdict needs to know of an aggregated construct."""

    @property
    def construct(self) -> Construct:
        """What was measured."""

    @property
    def n(self) -> int:
        """People."""

    @property
    def units(self) -> int:
        """Units."""

    @property
    def singles(self) -> int:
        """Units of one person."""

    @property
    def unscored(self) -> int:
        """People without a score."""

    @property
    def unplaced(self) -> int:
        """People without a unit."""

    @property
    def mean_size(self) -> float:
        """People a unit."""

    @property
    def anova(self) -> OneWay | None:
        """Mean squares."""

    @property
    def agreement(self) -> pd.DataFrame | None:
        """Agreement by unit."""

    @property
    def level(self) -> float:
        """Level of the intervals."""


def notes_on(found: Aggregated) -> tuple[Note, ...]:
    """Verdict first, then agreement, then what was left out."""
    name, severity = found.construct.name, _severity(found)
    agreement = agreement_note(found)
    return (_verdict(found, severity, name), *([agreement] if agreement else []), *_reservations(found))


def agreement_note(found: Aggregated) -> Note | None:
    """Agreement within units in one or two sentences; None where it is not defined.

    The convention that values out of range count as 0 is told whenever it was used.
    """
    table = found.agreement
    if table is None or not table["rwg_uniform"].notna().any():
        return None
    usual, strict = table["rwg_uniform"].dropna(), table["rwg_slight_skew"].dropna()
    what = "rwg" if len(found.construct.items) == 1 else "rwg(j)"
    zero = int((strict == 0).sum())
    about: dict[str, object] = {
        "title": found.construct.title, "index": what, "usual": float(usual.median()), "usual_share": _share(usual),
        "strict": float(strict.median()), "strict_share": _share(strict), "bar": AGREED,
    }  # fmt: skip
    if not zero:
        return Note.of("agreement", "info", found.construct.name, "plain", **about)
    return Note.of("agreement", "info", found.construct.name, "set_to_zero", zero=zero, units=len(strict), **about)


def _verdict(found: Aggregated, severity: Severity, name: str) -> Note:
    code, title, a = "aggregation_verdict", found.construct.title, found.anova
    if a is None:
        return Note.of(code, severity, name, f"nothing.{_nothing_to_compare(found)}", title=title)
    if a.icc1 <= 0 or a.p_value >= 0.05:
        how = "less_than_chance" if a.icc1 < 0 else "no_difference"
        return Note.of(code, severity, name, how, title=title, icc1=a.icc1, p=a.p_value)
    answers = phrase("note.count.answers", n=round(found.mean_size))
    return Note.of(code, severity, name, _use(a.icc2), title=title, icc1=a.icc1, icc2=a.icc2, answers=answers,
                   size=phrase(f"note.size.{_size_word(a.icc1)}"))  # fmt: skip


def _use(icc2: float) -> str:
    bars = {"single_units": 0.90, "units": 0.70, "groups": 0.50}
    return next((use for use, bar in bars.items() if icc2 >= bar), "too_unreliable")


def _size_word(icc1: float) -> str:
    if icc1 >= 0.25:
        return "large"
    if icc1 >= 0.10:
        return "medium"
    return "small"


def _severity(found: Aggregated) -> Severity:
    a = found.anova
    fine = a is not None and a.icc1 > 0 and a.p_value < 0.05 and a.icc2 >= 0.70
    return "info" if fine else "warning"


def _nothing_to_compare(found: Aggregated) -> str:
    if found.units == 0:
        return "nobody"
    if found.units == 1:
        return "one_unit"
    if found.singles == found.units:
        return "singles"
    return "alike"


def _reservations(found: Aggregated) -> list[Note]:
    name, title = found.construct.name, found.construct.title
    notes: list[Note] = []
    if found.unscored:
        notes.append(Note.of("unscored_people", "info", name, n=found.unscored, title=title))
    if found.unplaced:
        notes.append(Note.of("people_without_unit", "warning", name, n=found.unplaced, title=title))
    if found.singles and found.anova is not None:
        counts = {"singles": found.singles, "units": found.units}
        notes.append(Note.of("single_respondent_units", "info", name, title=title, **counts))
    if found.anova is not None and found.units < FEW_UNITS:
        notes.append(Note.of("few_units", "warning", name, "aggregation", title=title, units=found.units))
    if found.agreement is None and found.construct.low is not None:
        notes.append(Note.of("no_rwg", "info", name, title=title))
    return notes


def _share(values: pd.Series[float]) -> float:
    return float((values >= AGREED).mean())
