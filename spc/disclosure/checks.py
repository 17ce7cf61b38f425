"""What may not even be asked of the gate: rows of persons, texts, counts that are no counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from spc.errors import DataError, UsageError

__all__ = ["check_groups", "refuse_personal", "refuse_persons"]

_PERSONAL = frozenset(
    [
        "respondent",
        "respondent_id",
        "employee",
        "employee_id",
        "person",
        "person_id",
        "subject",
        "participant",
        "customer",
        "customer_id",
        "email",
        "e_mail",
        "mail",
        "name",
        "first_name",
        "last_name",
        "surname",
        "staff",
        "staff_id",
        "seller",
        "seller_id",
        "ip",
        "phone",
    ]
)
_PERSON_KINDS = frozenset(
    {"score", "factor_score", "residual", "respondent", "person", "unit_mean", "unit_effect", "seller"}
)


def refuse_personal(columns: Sequence[Any] | pd.Index[Any], table: str) -> None:
    """Refuse columns that name people.

    Raises
    ------
    DataError
        A column has a name such as ``respondent``.
    """
    found = [str(name) for name in columns if str(name).strip().lower() in _PERSONAL]
    if found:
        raise DataError.of(
            table,
            found[0],
            "personal",
            "a column that names people",
            "groups of people",
            "No score of a person is ever shown; bring the rows together by unit first.",
        )


def refuse_persons(kind: str, tidy: pd.DataFrame) -> None:
    """Refuse tidy tables with rows of persons or single units.

    Raises
    ------
    DataError
        Names the kinds of rows.
    """
    found = sorted(_PERSON_KINDS & set(tidy["kind"]))
    if found:
        raise DataError.of(
            kind,
            "kind",
            "single_rows",
            f"rows of kind {', '.join(found)}",
            "numbers about all people together",
            "Numbers of persons never leave; release numbers of units with Gate.groups and their counts.",
        )


def check_groups(
    frame: object, keys: Sequence[str], values: Sequence[str], sides: Mapping[str, str], name: str
) -> None:
    """Check what :meth:`spc.disclosure.Gate.groups` is given; errors as listed there."""
    if not isinstance(frame, pd.DataFrame):
        raise UsageError(f"{name}: Gate.groups takes a DataFrame, found a {type(frame).__name__}.")
    if not keys or not values:
        raise UsageError(f"{name}: name at least one key and one value.")
    without = [value for value in values if value not in sides]
    if without:
        raise UsageError(f"{name}: no column of counts for {', '.join(without)}; every value needs one.")
    wanted = [*keys, *values, *(sides[v] for v in values)]
    absent = [column for column in dict.fromkeys(wanted) if column not in frame]
    if absent:
        raise UsageError(
            f"{name}: no column {', '.join(map(repr, absent))}; there are {', '.join(map(repr, frame.columns))}."
        )
    refuse_personal([*keys, *values], name)
    for value in dict.fromkeys([*values, *sides.values()]):
        if not pd.api.types.is_numeric_dtype(frame[value]) or pd.api.types.is_bool_dtype(frame[value]):
            raise DataError.of(
                name,
                value,
                "not_numeric",
                f"a column of {frame[value].dtype}",
                "numbers",
                "Release numbers only; texts of people go through Gate.comment.",
            )
    for side in dict.fromkeys(sides.values()):
        n = frame[side].to_numpy(float)
        if not np.all(np.isfinite(n)) or np.any(n < 0) or np.any(n != np.round(n)):
            raise DataError.of(
                name,
                side,
                "not_a_count",
                "missing, negative or broken numbers",
                "whole numbers of people",
                "Give the number of people behind each row.",
            )
    if frame.duplicated(list(keys)).any():
        raise DataError.of(
            name,
            keys[0],
            "listed_twice",
            "the same group twice",
            "one row a group",
            "Bring the rows of a group together first.",
        )
