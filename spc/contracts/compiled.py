"""The limits of a schema as a pandera schema, and its failures in plain words."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.contracts.rules import RowNumbers, examples, make_finding
from spc.contracts.schema import Constraints, Field, TableSchema
from spc.errors import Finding

if TYPE_CHECKING:
    import pandera.pandas as pa

__all__ = ["compile_schema", "limit_findings"]


@cache
def _pandera() -> Any:
    """Load pandera, which would tie Spark to this machine's own address where nobody has said otherwise."""
    unset = [name for name in ("SPARK_LOCAL_IP", "PYARROW_IGNORE_TIMEZONE") if name not in os.environ]
    with _quiet_about_spark():
        import pandera.pandas as pa
    for name in unset:
        os.environ.pop(name, None)
    return pa


@contextmanager
def _quiet_about_spark() -> Iterator[None]:
    """Leave out that Spark, which pandera loads where it is installed, does not yet know this pandas."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        yield


def compile_schema(schema: TableSchema) -> pa.DataFrameSchema:
    """Pandera schema of the limits of a table.

    Columns are optional and not typed here: presence and types are checked before, on the cells as they were read.

    Examples
    --------
    >>> from spc.contracts.schema import load_schema
    >>> sorted(compile_schema(load_schema("customers")).columns)
    ['age', 'customer', 'entry', 'recency', 'referrals', 'repeats', 'tenure']
    """
    pa = _pandera()
    columns = {}
    for field in schema.fields:
        checks = [*_checks(field.constraints)]
        if checks or field.constraints.unique or field.constraints.required:
            columns[field.name] = pa.Column(
                None,
                checks=checks,
                nullable=not field.constraints.required or field.name in schema.primary_key,
                unique=field.constraints.unique,
                required=False,
            )
    return pa.DataFrameSchema(columns)


def _checks(limits: Constraints) -> Iterator[Any]:
    pa = _pandera()
    if limits.minimum is not None:
        yield pa.Check.ge(limits.minimum, error="below_minimum")
    if limits.maximum is not None:
        yield pa.Check.le(limits.maximum, error="above_maximum")
    if limits.enum:
        yield pa.Check.isin(limits.enum, error="not_allowed")
    if limits.pattern is not None:
        yield pa.Check(lambda s: s.astype(str).str.fullmatch(limits.pattern), error="not_allowed")
    if limits.max_length is not None:
        yield pa.Check(lambda s: s.astype(str).str.len() <= limits.max_length, error="not_allowed")


def limit_findings(
    frame: pd.DataFrame,
    schema: TableSchema,
    table: str,
    line_offset: RowNumbers,
    unread: Mapping[str, npt.NDArray[np.bool_]] = MappingProxyType({}),
) -> Iterator[Finding]:
    """Every value outside the limits of its column.

    Parameters
    ----------
    frame : DataFrame
        Columns of their types, index 0 to n - 1.
    schema : TableSchema
    table : str
    line_offset : int or array of int
    unread : mapping of str to (n,) bool array
        Cells that were filled but not of the type of their column; they are not blank.
    """
    if not any(field.constraints != Constraints() for field in schema.fields if field.name in frame.columns):
        return
    compiled = compile_schema(schema)
    import pandera.errors

    frame = frame[[name for name in frame.columns if name in compiled.columns]]
    try:
        with _quiet_about_spark():
            compiled.validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        cases = error.failure_cases[["column", "check", "index"]]
        for (name, check), rows in cases.groupby(["column", "check"], sort=False):
            mask = np.zeros(len(frame), dtype=bool)
            mask[rows["index"].to_numpy(dtype=int)] = True
            if check == "not_nullable" and name in unread:
                mask &= ~unread[name]
            if mask.any():
                yield _reword(schema.field(name), str(check), frame[name], mask, table, line_offset)


def _reword(
    field: Field,
    check: str,
    column: pd.Series,
    mask: npt.NDArray[np.bool_],
    table: str,
    line_offset: RowNumbers,
) -> Finding:
    limits = field.constraints
    shown = examples(column[mask].head(1000))
    title = field.title.lower()
    words = {
        "below_minimum": (shown, f"{limits.minimum} or more"),
        "above_maximum": (shown, f"{limits.maximum} or less"),
        "not_allowed": (shown, _allowed(limits)),
        "not_nullable": ("blank cells", f"{_one(title)} in every row"),
        "field_uniqueness": (f"{shown} more than once", f"every {title} once"),
    }
    found, expected = words[check]
    rule = {"not_nullable": "blank_cell", "field_uniqueness": "duplicate_key"}.get(check, check)
    hint = f"Correct the {title}; codes for no answer belong under `missing` in the study document."
    return make_finding(rule, table, field.name, found, expected, hint, mask=mask, line_offset=line_offset)


def _one(title: str) -> str:
    return f"{'an' if title[0] in 'aeio' else 'a'} {title}"


def _allowed(limits: Constraints) -> str:
    if limits.enum:
        return f"one of {', '.join(map(str, limits.enum))}"
    if limits.pattern is not None:
        return f"text of the form {limits.pattern}"
    return f"at most {limits.max_length} characters"
