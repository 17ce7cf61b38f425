"""From cells as they were read to values of a column's type."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.contracts.schema import Field, TableSchema

__all__ = ["coerce", "conform", "is_text", "key_text"]

BoolArray = npt.NDArray[np.bool_]


def is_text(column: pd.Series) -> bool:
    """Whether a column holds text or a mixture, rather than numbers, truth values or dates."""
    return column.dtype == object or isinstance(column.dtype, pd.StringDtype | pd.CategoricalDtype)


def key_text(column: pd.Series) -> pd.Series:
    """Codes as text, so that they compare across tables: 7 and 7.0 are ``"7"``, ``"007"`` stays; blanks are missing.

    Examples
    --------
    >>> key_text(pd.Series([7.0, None])).tolist()
    ['7', nan]
    >>> key_text(pd.Series([" 007 ", ""])).tolist()
    ['007', nan]
    """
    codes, values = pd.factorize(column)
    texts = np.array([*_texts(values), np.nan], dtype=object)
    if is_text(column):
        texts[texts == ""] = np.nan
    return pd.Series(texts[codes], index=column.index, name=column.name, dtype=object, copy=False)


def _texts(values: Any) -> Iterable[str]:
    """Spelling of different values."""
    if values.dtype.kind == "f" and bool((values == np.floor(values)).all()) and bool((np.abs(values) < 2**63).all()):
        values = values.astype(np.int64)
    if values.dtype.kind in "iu":
        return map(str, values.tolist())
    return [value.strip() if type(value) is str else _code(value) for value in values]


def _code(value: object) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, pd.Timestamp) and value == value.normalize():
        return str(value.date())
    return str(value).strip()


def coerce(column: pd.Series, field: Field, missing: Collection[str] = ("",)) -> tuple[pd.Series, BoolArray]:
    """Turn a column into the type of its field.

    Parameters
    ----------
    column : Series
    field : Field
    missing : collection of str
        Marks that mean: not known.

    Returns
    -------
    values : Series
        Float for numbers, nullable boolean, datetime64, otherwise as given; missing where a cell could not be read.
    bad : (n,) bool array
        Cells that are not of the type.

    Examples
    --------
    >>> from spc.contracts.schema import load_schema
    >>> values, bad = coerce(pd.Series(["Yes", "no", "perhaps"]), load_schema("customers").field("churned"))
    >>> bad.tolist()
    [False, False, True]
    """
    if field.type in ("string", "any"):
        return column, np.zeros(len(column), dtype=bool)
    if field.type == "boolean":
        return _booleans(column, field, missing)
    if field.type == "date":
        return _dates(column, missing)
    values, bad = numbers(column, missing)
    if field.type == "integer":
        uneven = (values % 1 != 0) & values.notna()
        bad = bad | uneven.to_numpy()
    return values.mask(bad), bad


def numbers(column: pd.Series, missing: Collection[str] = ("",)) -> tuple[pd.Series, BoolArray]:
    """Numbers of a column, and which cells are none; number columns come back as they are.

    Examples
    --------
    >>> values, bad = numbers(pd.Series(["3", "n/a", ""]), ["", "n/a"])
    >>> values.tolist(), bad.tolist()
    ([3.0, nan, nan], [False, False, False])
    """
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return pd.Series(np.nan, index=column.index, name=column.name), column.notna().to_numpy()
    if not is_text(column):
        return column, np.zeros(len(column), dtype=bool)
    codes, cells = pd.factorize(column)
    texts = [str(cell).strip() for cell in cells]
    # a truth value is no number here, although pandas would take it for one
    spelled = pd.Series([None if isinstance(c, bool | np.bool_) else t for c, t in zip(cells, texts, strict=True)])
    parsed = pd.to_numeric(spelled, errors="coerce").to_numpy(dtype=float)
    wrong = np.isnan(parsed) & np.array([text not in missing for text in texts], dtype=bool)
    return _spread(parsed, np.nan, codes, column), np.append(wrong, False)[codes]


def _booleans(column: pd.Series, field: Field, missing: Collection[str]) -> tuple[pd.Series, BoolArray]:
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.astype("boolean"), np.zeros(len(column), dtype=bool)
    codes, cells = pd.factorize(column)
    texts = [_code(cell).casefold() for cell in cells]
    truth = [True if t in field.true_values else False if t in field.false_values else None for t in texts]
    wrong = np.array([v is None and t not in missing for v, t in zip(truth, texts, strict=True)], dtype=bool)
    numbers_ = np.array([np.nan if v is None else float(v) for v in truth])
    return _spread(numbers_, np.nan, codes, column).astype("boolean"), np.append(wrong, False)[codes]


def _dates(column: pd.Series, missing: Collection[str]) -> tuple[pd.Series, BoolArray]:
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column, np.zeros(len(column), dtype=bool)
    codes, cells = pd.factorize(column)
    texts = [str(cell).strip() for cell in cells]
    # a bare number would pass as a year
    dated = [text if "-" in text.lstrip("-") else None for text in texts]
    parsed = pd.to_datetime(pd.Series(dated, dtype=object), format="ISO8601", errors="coerce", utc=True)
    parsed = parsed.dt.tz_localize(None).astype("datetime64[us]")
    wrong = parsed.isna().to_numpy() & np.array([text not in missing for text in texts], dtype=bool)
    values = pd.Series(np.append(parsed.to_numpy(), np.datetime64("NaT"))[codes], index=column.index, name=column.name)
    return values, np.append(wrong, False)[codes]


def _spread(values: npt.NDArray[np.float64], blank: float, codes: npt.NDArray[np.intp], like: pd.Series) -> pd.Series:
    return pd.Series(np.append(values, blank)[codes], index=like.index, name=like.name)


def conform(frame: pd.DataFrame, schema: TableSchema, *, items: Collection[str] = ()) -> pd.DataFrame:
    """Copy of a table with every column of its type: codes as text, numbers, dates, truth values.

    Cells that are not of the type are missing in the copy; :func:`check_table` has named them.

    Parameters
    ----------
    frame : DataFrame
        With canonical column names.
    schema : TableSchema
    items : collection of str
        Further columns that must be numbers.

    Examples
    --------
    >>> from spc.contracts.schema import load_schema
    >>> raw = pd.DataFrame({"unit": [1.0, 2.0], "wave": [2025.0, 2026.0], "revenue_growth": ["3.5", "x"]})
    >>> conform(raw, load_schema("units"), items=["revenue_growth"])
      unit  wave  revenue_growth
    0    1  2025             3.5
    1    2  2026             NaN
    """
    made = {str(name): frame[name] for name in frame.columns}
    for field in schema.fields:
        if field.name not in made:
            continue
        column = made[field.name]
        if field.type == "string":
            made[field.name] = key_text(column)
        elif field.type == "any":
            made[field.name] = _settle_any(column)
        else:
            made[field.name] = coerce(column, field, schema.missing_values)[0]
    for name in items:
        if name in made:
            made[name] = numbers(made[name], schema.missing_values)[0]
    return pd.DataFrame(made, index=frame.index, copy=False)


def _settle_any(column: pd.Series) -> pd.Series:
    """Whole numbers where all are, other numbers as they are, else text."""
    if is_text(column) or pd.api.types.is_datetime64_any_dtype(column.dtype):
        return key_text(column)
    if column.notna().all() and (column % 1 == 0).all():
        return column.astype("int64")
    return column
