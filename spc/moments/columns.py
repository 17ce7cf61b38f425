"""Values of named columns, checked: what every count of rows begins with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError, Finding
from spc.linalg import FloatArray

__all__ = ["absent_columns", "kinds_of_columns", "numeric_values", "one_column", "plain_values"]


def numeric_values(frame: pd.DataFrame, names: Sequence[str]) -> FloatArray:
    """Values of the named columns, all rows, NaN where an answer is missing.

    Raises
    ------
    DataError
        A column is absent (the nearest name is given), given twice or not numeric, or a value is infinite.

    Examples
    --------
    >>> numeric_values(pd.DataFrame({"x": [1, None]}), ["x"]).tolist()
    [[1.0], [nan]]
    """
    values = plain_values(frame, list(names))
    if values is None or np.isinf(values).any():
        findings = _column_faults(frame, names)
        if findings:
            raise DataError(findings)
        values = frame[list(names)].to_numpy(dtype=np.float64, na_value=np.nan)
    return values


def plain_values(frame: pd.DataFrame, names: list[str]) -> FloatArray | None:
    """Values of ordinary columns in one step, infinite ones as well; None where a column needs a closer look.

    Examples
    --------
    >>> plain_values(pd.DataFrame({"x": [1, 2], "y": ["a", "b"]}), ["x"]).tolist()
    [[1.0], [2.0]]
    """
    columns = frame.columns.tolist()
    if names != columns:
        if not set(names) <= set(columns):
            return None
        frame = frame[names]
    if frame.shape[1] > len(set(names)):
        return None
    try:
        values = frame.to_numpy(dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    return values if _one_array_of_numbers(frame, values) or kinds_of_columns(frame) <= _PLAIN else None


def _one_array_of_numbers(frame: pd.DataFrame, values: FloatArray) -> bool:
    """Whether pandas keeps all columns in one array, which it lends read-only: sooner known than the type of each."""
    return frame.shape[1] > 1 and not values.flags.writeable and frame.to_numpy().dtype.kind in "iuf"


_PLAIN = {type(np.dtype(letter)) for letter in "?bBhHiIlLqQefdg"}


def kinds_of_columns(frame: pd.DataFrame) -> set[type]:
    """Classes of the columns' types, each once.

    Examples
    --------
    >>> pd.CategoricalDtype in kinds_of_columns(pd.DataFrame({"x": [1.0], "y": pd.Categorical(["a"])}))
    True
    """
    return set(map(type, frame.dtypes.tolist()))


def _column_faults(frame: pd.DataFrame, names: Sequence[str]) -> list[Finding]:
    absent = [name for name in names if name not in frame.columns]
    if absent:
        return absent_columns("data", absent, list(frame.columns))
    findings = []
    for name in names:
        column: pd.Series | pd.DataFrame = frame[name]
        if isinstance(column, pd.DataFrame):
            finding = Finding(
                "data", name, "duplicate_column", f"{column.shape[1]} columns of this name", "one", "Rename."
            )
        elif isinstance(column.dtype, pd.CategoricalDtype):
            finding = Finding(
                "data", name, "not_numeric", "categories", "numbers",
                "Number them (.cat.codes), or name an estimator for ordered items, such as WLSMV.",
            )  # fmt: skip
        elif not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_complex_dtype(column):
            finding = Finding(
                "data", name, "not_numeric", f"values of type {column.dtype}", "numbers",
                "Convert it, for instance with pandas.to_numeric, or leave it out.",
            )  # fmt: skip
        elif np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan)).any():
            finding = Finding("data", name, "infinite", "infinite values", "finite numbers", "Set to missing.")
        else:
            continue
        findings.append(finding)
    return findings


def absent_columns(table: str, absent: Sequence[Any], present: Sequence[Any]) -> list[Finding]:
    """One finding for each absent column, with the nearest name there is."""
    from difflib import get_close_matches

    findings = []
    for name in absent:
        near = get_close_matches(str(name), [str(p) for p in present], n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(map(str, present))}."
        findings.append(Finding(table, str(name), "missing_column", "no such column", f"a column {name!r}", hint))
    return findings


def one_column(data: pd.DataFrame, name: str) -> npt.NDArray[Any]:
    """Values of a column that is there once.

    Raises
    ------
    DataError
        It is absent, or there twice.

    Examples
    --------
    >>> one_column(pd.DataFrame({"site": ["a", "b"]}), "site").tolist()
    ['a', 'b']
    """
    count = list(data.columns).count(name)
    if not count:
        raise DataError(absent_columns("data", [name], list(data.columns)))
    if count > 1:
        raise DataError.of("data", name, "duplicate_column", f"{count} columns of this name", "one", "Rename.")
    return np.asarray(data[name].to_numpy())
