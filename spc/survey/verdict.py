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

__all__ = ["Aggregated", "agreement_in_words", "notes_on"]

FEW_UNITS = 10


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
    notes = [Note("aggregation_verdict", severity, name, _verdict(found))]
    words = agreement_in_words(found)
    if words:
        notes.append(Note("agreement", "info", name, words))
    return (*notes, *_reservations(found))


def agreement_in_words(found: Aggregated) -> str:
    """Agreement within units as one or two sentences; empty where it is not defined.

    The convention that values out of range count as 0 is told whenever it was used.
    """
    table = found.agreement
    if table is None or not table["rwg_uniform"].notna().any():
        return ""
    usual, strict = table["rwg_uniform"].dropna(), table["rwg_slight_skew"].dropna()
    what = "rwg" if len(found.construct.items) == 1 else "rwg(j)"
    zero = int((strict == 0).sum())
    tail = f" Out of range, and so set to 0 by convention, for {zero} of {len(strict)} units." if zero else ""
    return (
        f"Agreement within units on {found.construct.title}: median {what} {_two(usual.median())} against a uniform "
        f"null ({_share(usual)} of units at .70 or more), {_two(strict.median())} against a slightly skewed one "
        f"({_share(strict)}).{tail}"
    )


def _verdict(found: Aggregated) -> str:
    title, a = found.construct.title, found.anova
    if a is None:
        return f"{title}: {_nothing_to_compare(found)} Unit means cannot be judged."
    share = f"ICC(1) {_two(a.icc1)}"
    if a.icc1 <= 0 or a.p_value >= 0.05:
        negative = "; a negative value means less difference than chance alone would make" if a.icc1 < 0 else ""
        return (
            f"{title}: no differences between units were found ({share}{negative}; F test p = {a.p_value:.2f}). "
            "Unit means of it say little; analyse people, or collect more answers a unit."
        )
    size = f"with {found.mean_size:.0f} answer{'s' if round(found.mean_size) != 1 else ''} a unit"
    return f"{title}: units differ ({share}, {_size_word(a.icc1)}), and {size} their means {_use(a.icc2)}."


def _use(icc2: float) -> str:
    number = f"(ICC(2) {_two(icc2)})"
    if icc2 >= 0.90:
        return f"are reliable enough {number} to tell single units apart"
    if icc2 >= 0.70:
        return f"are reliable enough {number} for comparing units, not for decisions on a single one"
    if icc2 >= 0.50:
        return f"are reliable enough {number} for comparing groups of units, not for ranking single units"
    return f"are too unreliable {number} to compare units"


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
        return "nobody has both a score and a unit."
    if found.units == 1:
        return "there is only one unit."
    if found.singles == found.units:
        return "every unit has a single respondent, so differences between units cannot be told from people."
    return "everyone has the same score."


def _reservations(found: Aggregated) -> list[Note]:
    name, title = found.construct.name, found.construct.title
    notes = []
    if found.unscored:
        text = f"{_people(found.unscored)} no score on {title} and {_left(found.unscored)} out of its unit means."
        notes.append(Note("unscored_people", "info", name, text))
    if found.unplaced:
        text = f"{_people(found.unplaced)} a score on {title} but no unit, and {_left(found.unplaced)} out."
        notes.append(Note("people_without_unit", "warning", name, text))
    if found.singles and found.anova is not None:
        text = f"{found.singles} of {found.units} units have one respondent on {title}; agreement is not defined there."
        notes.append(Note("single_respondent_units", "info", name, text))
    if found.anova is not None and found.units < FEW_UNITS:
        text = (
            f"{title} comes from {found.units} units; the share of variance between them is little more than a guess."
        )
        notes.append(Note("few_units", "warning", name, text))
    if found.agreement is None and found.construct.low is not None:
        text = f"The scale of {title} is not made of whole points, so agreement (rwg) has no null and is not given."
        notes.append(Note("no_rwg", "info", name, text))
    return notes


def _people(n: int) -> str:
    return "1 person has" if n == 1 else f"{n:,} people have"


def _left(n: int) -> str:
    return "is left" if n == 1 else "are left"


def _two(value: float) -> str:
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.2f}"


def _share(values: pd.Series[float]) -> str:
    return f"{(values >= 0.70).mean():.0%}"
