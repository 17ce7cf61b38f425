"""Respondents of all sides and outcomes of units, laid out for the likelihood: which rows count, and in which units."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.chain.in_place import Reduced
from spc.chain.membership_sides import Shares, alike_notes, placed, weight_notes
from spc.chain.naming import called
from spc.errors import DataError, Finding
from spc.linalg import FloatArray
from spc.moments import numeric_values
from spc.results import Note, Severity
from spc.sem.twolevel.answers import answer_moments
from spc.sem.twolevel.likelihood import UnitMoments, unit_moments
from spc.sem.twolevel.membership import too_large
from spc.sem.twolevel.membership_moments import MemberMoments, member_moments

__all__ = ["Missing", "SideRows", "side_rows"]

Missing = Literal["fiml", "listwise"]


@dataclass(frozen=True, eq=False)
class SideRows:
    """Rows that count.

    Attributes
    ----------
    names : tuple of str
        Variables side by side, outcomes last.
    sides : tuple of (name, units, values)
        Numbers of the units of the n respondents of a side, or their (n, J) shares, and their scores.
    rows : tuple of (n,) int arrays
        Places of these respondents in the table of their side.
    outcomes : (J, q) array
    keys : tuple
        The J units.
    messages : tuple of Note
        What was left out.
    """

    names: tuple[str, ...]
    sides: tuple[tuple[str, Any, FloatArray], ...]
    rows: tuple[npt.NDArray[np.intp], ...]
    outcomes: FloatArray
    keys: tuple[Hashable, ...]
    messages: tuple[Note, ...]

    def moments(self) -> UnitMoments:
        """Of the units."""
        if not all(isinstance(where, np.ndarray) for _, where, _ in self.sides):
            return member_moments(self.names, self.sides, self.outcomes)
        if self.incomplete:
            return answer_moments(self.names, self.sides, self.outcomes)
        return unit_moments(self.names, self.sides, self.outcomes)

    @property
    def incomplete(self) -> bool:
        """Whether some respondents lack a score."""
        return any(np.isnan(values).any() for _, _, values in self.sides)

    def reduced(self) -> Reduced:
        """Moments of the units, the units in their order, and what was left out."""
        moments = self.moments()
        alike = alike_notes(moments) if isinstance(moments, MemberMoments) else []
        return moments, self.keys, [*self.messages, *alike]


def side_rows(
    names: Sequence[str],
    sides: Mapping[str, pd.DataFrame],
    units: pd.DataFrame | None,
    unit: str,
    shares: Shares = MappingProxyType({}),
    missing: Missing = "fiml",
) -> SideRows:
    """Find each construct and outcome in its table, and the respondents and units that count.

    Parameters
    ----------
    names : sequence of str
    sides : mapping of str to DataFrame
    units : DataFrame or None
    unit : str
    shares : mapping of side to AssignmentWeights
        Sides whose respondents are served by several units.
    missing : {"fiml", "listwise"}
        What becomes of respondents who lack a score. They are left out as well where customers of several units leave
        out too many different things for the likelihood of what they answered.

    Raises
    ------
    DataError
    """
    sides = {side: placed(table, shares[side], unit) if side in shares else table for side, table in sides.items()}
    laid = _laid(names, sides, units, unit, shares, whole=missing == "listwise")
    if laid.incomplete:
        moments = laid.moments()
        if isinstance(moments, MemberMoments) and too_large(moments):
            return _laid(names, sides, units, unit, shares, whole=True)
    return laid


def _laid(
    names: Sequence[str],
    sides: Mapping[str, pd.DataFrame],
    units: pd.DataFrame | None,
    unit: str,
    shares: Shares,
    *,
    whole: bool,
) -> SideRows:
    """Rows that count, of respondents with every score where ``whole``."""
    home = _homes(names, sides, units, unit)
    used = {side: [name for name in names if home[name] == side] for side in sides}
    outcomes = [name for name in names if home[name] == ""]
    notes: list[Note] = []
    here = {side: _usable(sides[side], side, own, unit, notes, whole=whole) for side, own in used.items() if own}
    if not here:
        raise DataError.of(
            "sides", None, "no_respondents", "a chain of unit outcomes alone", "constructs of at least one side",
            "Without respondents there is one level only; use spc.fit.",
        )  # fmt: skip
    rows = {side: sides[side].iloc[at] for side, at in here.items()}
    table = None if units is None or not outcomes else units.dropna(subset=[unit])
    customers = {side: rows[side]["customer"].tolist() for side in shares if side in rows}
    keys = _keys(rows, table, outcomes, unit, [shares[side].of(who) for side, who in customers.items()])
    number = {key: j for j, key in enumerate(keys)}
    last = np.full((len(keys), len(outcomes)), np.nan)
    if table is not None:
        known = table[unit].isin(number)
        last[[number[key] for key in table.loc[known, unit]]] = _numbers(table.loc[known], "units", outcomes)
    blocks = tuple(
        (
            side,
            shares[side].rows(customers[side], number, frame[unit].tolist())
            if side in customers
            else frame[unit].map(number).to_numpy(dtype=np.intp),
            _numbers(frame, side, used[side]),
        )
        for side, frame in rows.items()
    )
    order = (*(name for side in rows for name in used[side]), *outcomes)
    return SideRows(order, blocks, tuple(here.values()), last, tuple(keys), (*notes, *weight_notes(shares)))


def _homes(
    names: Sequence[str], sides: Mapping[str, pd.DataFrame], units: pd.DataFrame | None, unit: str
) -> dict[str, str]:
    """Side of each construct; an empty name for outcomes of units."""
    tables = {**sides, **({} if units is None else {"": units})}
    findings = [
        Finding(
            side or "units", unit, "missing_column", "no unit column", f"a column {unit!r}",
            "Every table names the unit in the same column.",
        )
        for side, table in tables.items()
        if unit not in table
    ]  # fmt: skip
    if units is not None and unit in units and units[unit].dropna().duplicated().any():
        twice = units[unit][units[unit].duplicated()].iloc[0]
        findings.append(
            Finding("units", unit, "duplicate_key", f"unit {twice!r} twice", "one row a unit", "Keep one wave.")
        )
    home: dict[str, str] = {}
    for name in names:
        places = [side for side, table in tables.items() if name in table]
        if len(places) == 1 and name != unit:
            home[name] = places[0]
            continue
        found = ", ".join(place or "units" for place in places) or "no table"
        findings.append(
            Finding(
                "sides", name, "unknown_construct", f"the chain names {name}, found in {found}", "exactly one table",
                "Rename the column, or correct the chain.",
            )
        )  # fmt: skip
    if findings:
        raise DataError(findings)
    return home


def _numbers(frame: pd.DataFrame, table: str, names: Sequence[str]) -> FloatArray:
    try:
        return numeric_values(frame, list(names))
    except DataError as error:
        raise DataError(
            Finding(table, f.column, f.rule, f.found, f.expected, f.hint, f.rows, f.n_rows) for f in error.findings
        ) from None


def _usable(
    frame: pd.DataFrame, side: str, names: Sequence[str], unit: str, notes: list[Note], *, whole: bool
) -> npt.NDArray[np.intp]:
    """Places of respondents with a unit and a score, or every score where ``whole``; ``notes`` counts the others."""
    placed, answered = frame[unit].notna(), frame[list(names)].notna()
    some, full = placed & answered.any(axis=1), placed & answered.all(axis=1)
    used = full if whole else some
    told: list[tuple[str, Severity, str, int]] = [
        ("no_unit", "warning", "", int(len(frame) - placed.sum())),
        ("incomplete_scores", "warning", "lack" if whole else "none", int(placed.sum() - used.sum())),
        ("partial_answers", "info", "", int(used.sum() - full.sum())),
    ]
    for code, severity, form, number in told:
        if number:
            notes.append(Note.of(code, severity, side, form, left=number, people=len(frame), side=called(side)))
    return np.flatnonzero(used)


def _keys(
    rows: Mapping[str, pd.DataFrame],
    table: pd.DataFrame | None,
    outcomes: Sequence[str],
    unit: str,
    also: Sequence[Set[Hashable]] = (),
) -> list[Hashable]:
    """Units with anything to say, in a fixed order."""
    members = {side: set(frame[unit]) for side, frame in rows.items()}
    if table is not None:
        members["units"] = set(table.loc[table[list(outcomes)].notna().any(axis=1), unit])
    names = list(members)
    for first, second in pairwise(names):
        if not members[first] & members[second]:
            raise DataError.of(
                second, unit, "no_common_unit", f"no unit of {first}", f"units that {first} and {second} share",
                "Check that both tables write units alike: 7 is not '7'.",
            )  # fmt: skip
    return sorted(set().union(*members.values(), *also), key=lambda key: (str(type(key)), str(key)))
