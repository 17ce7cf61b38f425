"""Sides whose respondents are customers of several units: their shares beside their rows."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from spc.chain.in_place import Side
from spc.chain.membership import AssignmentWeights, assignment_weights
from spc.chain.naming import called
from spc.errors import DataError, Finding, UnsupportedError, UsageError
from spc.results import Note
from spc.sem.twolevel.membership_moments import MemberMoments

__all__ = ["Assignments", "Shares", "alike_notes", "placed", "shares_of", "weight_notes"]

Assignments = pd.DataFrame | AssignmentWeights | Mapping[str, AssignmentWeights]
Shares = Mapping[str, AssignmentWeights]


def shares_of(assignments: Assignments | None, sides: Mapping[str, Side], unit: str = "unit") -> Shares:
    """The shares of each side whose respondents are customers: of those that have a column ``customer``.

    Parameters
    ----------
    assignments : DataFrame, AssignmentWeights, or mapping of side to AssignmentWeights
    sides : mapping of str to DataFrame or Source
    unit : str
        Name of the unit column; employees without a unit in the table have that of the side that names them.

    Raises
    ------
    DataError
        No side has a column ``customer``.
    UsageError
        A side that is not there.
    UnsupportedError
        A side that is not in memory.
    """
    if assignments is None:
        return MappingProxyType({})
    if isinstance(assignments, Mapping):
        found = dict(assignments)
    else:
        weights = assignments if isinstance(assignments, AssignmentWeights) else _of_table(assignments, sides, unit)
        found = {side: weights for side, table in sides.items() if "customer" in table.columns}
    unknown = [side for side in found if side not in sides]
    if unknown:
        raise UsageError(f"assignments are given for {unknown[0]!r}; the sides are {', '.join(sides)}.")
    lacking = [side for side in found or sides if "customer" not in sides[side].columns]
    if lacking:
        raise DataError(
            Finding(side, "customer", "missing_column", "no customer column", "the customer of each respondent",
                    "Assignments say who serves each customer, so respondents must name theirs.")
            for side in lacking
        )  # fmt: skip
    apart = [side for side in found if not isinstance(sides[side], pd.DataFrame)]
    if apart:
        raise UnsupportedError(f"Assignments need the rows of {apart[0]} in memory: give a DataFrame for that side.")
    return MappingProxyType(found)


def _of_table(assignments: pd.DataFrame, sides: Mapping[str, Side], unit: str) -> AssignmentWeights:
    staff = [
        table[["respondent", unit]].rename(columns={unit: "unit"})
        for table in sides.values()
        if isinstance(table, pd.DataFrame) and {"respondent", unit} <= set(table) and "customer" not in table
    ]
    return assignment_weights(
        assignments.rename(columns={unit: "unit"}), employees=pd.concat(staff, ignore_index=True) if staff else None
    )


def placed(table: pd.DataFrame, weights: AssignmentWeights, unit: str) -> pd.DataFrame:
    """Respondents with the unit that has the largest share in them; their own where nobody is assigned."""
    table = table.reset_index(drop=True)
    most = table["customer"].map(weights.majority())
    own = table[unit] if unit in table else pd.Series(None, index=table.index, dtype=object)
    return table.assign(**{unit: most.astype(object).where(most.notna(), own)})


def weight_notes(shares: Shares) -> list[Note]:
    """What the assignments have to say, each thing once."""
    return list(dict.fromkeys(note for weights in shares.values() for note in weights.notes()))


def alike_notes(units: MemberMoments) -> list[Note]:
    """Units that no customer tells apart."""
    notes = []
    for s in np.flatnonzero(units.shared_sides):
        touched = int((units.counts[:, s] > 0.0).sum())
        alike = touched - int(units.rank[s])
        if alike:
            side = units.sides[s]
            notes.append(Note.of("units_alike", "info", side, touched=touched, alike=alike, side=called(side)))
    return notes
