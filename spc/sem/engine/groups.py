"""Groups of rows: which there are, their data, and whose fault a fault is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from spc.errors import DataError, NotPositiveDefiniteError, UsageError
from spc.moments import Moments, Patterns
from spc.moments.columns import one_column

__all__ = ["Data", "Given", "Group", "in_group", "split"]

Data = pd.DataFrame | Moments | Patterns
Given = Data | Sequence[Data] | Mapping[Any, Data]


@dataclass(frozen=True, eq=False, slots=True)
class Group:
    """Data of one group; ``label`` is empty where there are no groups."""

    label: str
    data: Data


def split(data: Given, group: str | None, *, several: bool = True) -> tuple[Group, ...]:
    """Groups in the order of their first appearance.

    Parameters
    ----------
    data : DataFrame, Moments or Patterns; or a sequence or mapping of them
        A sequence or mapping holds one entry a group; names are the keys, or the moments' own ``group``.
    group : str, optional
        Column of a DataFrame that tells the groups apart.
    several : bool
        Whether a single group is a fault.

    Returns
    -------
    tuple of Group
        One without a label where there are no groups.

    Raises
    ------
    DataError
        The column is absent, has missing values or a single group.
    UsageError
        A column of groups is named, and the data are no DataFrame.

    Examples
    --------
    >>> rows = pd.DataFrame({"x": [1.0, 2.0, 3.0], "site": ["b", "a", "b"]})
    >>> [(part.label, len(part.data)) for part in split(rows, "site")]
    [('b', 2), ('a', 1)]
    """
    if isinstance(data, Mapping):
        _check_tables(data, list(data.values()))
        return _several([(str(label), one) for label, one in data.items()], group)
    if isinstance(data, Sequence):
        _check_tables(data, list(data))
        return _several([(getattr(one, "group", None) or str(i), one) for i, one in enumerate(data, start=1)], group)
    if group is None:
        return (Group("", data),)
    if not isinstance(data, pd.DataFrame):
        raise UsageError(
            f"group={group!r} names a column, and the data are {type(data).__name__}. Give a DataFrame, or one "
            "Moments a group as a list or mapping, without group=."
        )
    labels, codes = _labels(data, group, 2 if several else 1)
    return tuple(Group(label, data.iloc[np.flatnonzero(codes == i)]) for i, label in enumerate(labels))


def _check_tables(given: object, each: list[object]) -> None:
    wrong = next((type(one).__name__ for one in each if not isinstance(one, pd.DataFrame | Moments | Patterns)), None)
    if wrong is not None:
        raise DataError.of(
            "data", None, "not_a_table", f"a {type(given).__name__} that holds a {wrong}",
            "a pandas DataFrame or Moments, or one a group",
            "Build one with pandas.DataFrame(...), or Moments(names=..., n=..., mean=None, cov=...).",
        )  # fmt: skip


def _several(given: list[tuple[str, Data]], group: str | None) -> tuple[Group, ...]:
    if group is not None:
        raise UsageError(f"group={group!r} names a column of one DataFrame; these data come group by group already.")
    labels = [label for label, _ in given]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if not given or twice:
        found = f"the group {', '.join(twice)} twice" if twice else "no group"
        raise DataError.of("data", None, "groups", found, "one entry a group", "Give each group its own name.")
    return tuple(Group(label if len(given) > 1 else "", one) for label, one in given)


def _labels(data: pd.DataFrame, group: str, least: int) -> tuple[list[str], np.ndarray[Any, np.dtype[np.intp]]]:
    column = one_column(data, group)
    codes, values = pd.factorize(column)
    if (codes < 0).any():
        raise DataError.of(
            "data", group, "missing_group", f"{int((codes < 0).sum())} rows without a group", "a group in every row",
            "Fill in the group, or leave these rows out.",
        )  # fmt: skip
    labels = [_text(value) for value in values]
    if len(labels) < least:
        raise DataError.of(
            "data", group, "one_group", f"{len(labels)} group", "at least two groups",
            "Name the column that tells the groups apart, or leave group out.",
        )  # fmt: skip
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise DataError.of(
            "data", group, "groups", f"different values that read alike: {', '.join(twice)}",
            "groups with names of their own", "Make the column all text or all numbers.",
        )  # fmt: skip
    return labels, codes


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


@dataclass(frozen=True, slots=True)
class in_group:  # noqa: N801
    """A context that says in an error which group it is about; an empty label says nothing."""

    label: str

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not self.label:
            return
        if isinstance(error, DataError):
            found = [replace(one, table=f"{one.table} (group {self.label})") for one in error.findings]
            raise DataError(found) from None
        if isinstance(error, NotPositiveDefiniteError):
            raise NotPositiveDefiniteError(f"Group {self.label}: {error}", error.solution, error.parameters) from None
