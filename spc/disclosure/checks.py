"""What may not even be asked of the gate: rows of persons, texts, counts that are no counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from spc.errors import DataError, Finding, UsageError

__all__ = ["check_groups", "names_staff", "refuse_personal", "scale_ends"]

_STAFF = frozenset({"respondent", "employee", "employee_id", "staff", "staff_id", "seller", "seller_id", "person"})
_PERSONAL = _STAFF | frozenset(
    {
        "respondent_id",
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
        "ip",
        "phone",
    }
)


def names_staff(column: object) -> bool:
    """Whether a column, by its name, holds names of employees.

    Examples
    --------
    >>> names_staff("Seller"), names_staff("segment")
    (True, False)
    """
    return str(column).strip().lower() in _STAFF


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
    absent = [column for column in dict.fromkeys([*keys, *values, *sides.values()]) if column not in frame]
    if absent:
        raise UsageError(
            f"{name}: no column {', '.join(map(repr, absent))}; there are {', '.join(map(repr, frame.columns))}."
        )
    refuse_personal([*keys, *values], name)
    findings = [*_no_numbers(frame, [*values, *sides.values()], name), *_no_counts(frame, [*sides.values()], name)]
    if not findings and frame.duplicated(list(keys)).any():
        findings = [
            Finding(name, keys[0], "listed_twice", "the same group twice", "one row a group",
                    "Bring the rows of a group together first.")
        ]  # fmt: skip
    if findings:
        raise DataError(findings)


def _no_numbers(frame: pd.DataFrame, columns: Sequence[str], table: str) -> Iterator[Finding]:
    for name in dict.fromkeys(columns):
        if not pd.api.types.is_numeric_dtype(frame[name]) or pd.api.types.is_bool_dtype(frame[name]):
            yield Finding(
                table,
                name,
                "not_numeric",
                f"a column of {frame[name].dtype}",
                "numbers",
                "Release numbers only; texts of people go through Gate.comment.",
            )


def _no_counts(frame: pd.DataFrame, columns: Sequence[str], table: str) -> Iterator[Finding]:
    for name in dict.fromkeys(columns):
        n = pd.to_numeric(frame[name], errors="coerce").to_numpy(float)
        if not np.all(np.isfinite(n)) or np.any(n < 0) or np.any(n != np.round(n)):
            yield Finding(
                table,
                name,
                "not_a_count",
                "missing, negative or broken numbers",
                "whole numbers of people",
                "Give the number of people behind each row.",
            )


def scale_ends(limits: object, values: Sequence[str], table: str) -> dict[str, tuple[float, float]]:
    """Ends of the scale of each value; infinite where there is none.

    Raises
    ------
    UsageError
        An end is no number, or the lower one is not the lower.

    Examples
    --------
    >>> scale_ends((1, 7), ["mean"], "teams"), scale_ends(None, ["pay"], "teams")
    ({'mean': (1.0, 7.0)}, {'pay': (-inf, inf)})
    """
    given = dict(limits) if isinstance(limits, Mapping) else dict.fromkeys(values, limits)
    found = {}
    for value in values:
        pair = given.get(value)
        if pair is None:
            found[value] = (-np.inf, np.inf)
        elif isinstance(pair, (tuple, list)) and len(pair) == 2 and float(pair[0]) < float(pair[1]):
            found[value] = (float(pair[0]), float(pair[1]))
        else:
            raise UsageError(f"{table}: the scale of {value} is {pair!r}; expected its two ends, such as (1, 7).")
    return found
