"""Parquet and DuckDB files, read through DuckDB, which reaches nothing else."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.contracts.rules import did_you_mean, make_finding
from spc.errors import DataError, Finding
from spc.sources.raw import MAX_CELL, MAX_VALUES, Raw, Request

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "chosen_table",
    "connect",
    "damaged",
    "quoted",
    "read_duckdb",
    "read_parquet",
    "unknown_table",
    "whole_table",
]

_AS_IS = {
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "FLOAT",
    "DOUBLE",
    "VARCHAR",
    "DATE",
    "TIMESTAMP",
}
_NESTED = ("[]", "ARRAY", "STRUCT", "MAP", "UNION", "BLOB", "BINARY", "VARIANT", "GEOMETRY")
_BIG = 2**53
_OFFLINE = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


def connect(base: Path | None = None, **settings: str) -> duckdb.DuckDBPyConnection:
    """Connection that fetches and prints nothing; to a database file, for reading it and no other.

    Parameters
    ----------
    base : Path, optional
        DuckDB file; none, for a connection that reads other files, when None.
    settings : str
        More of DuckDB's settings.
    """
    import duckdb

    if base is None:
        connection = duckdb.connect(config={**_OFFLINE, **settings})
    else:
        closed = {**_OFFLINE, "enable_external_access": "false", **settings}
        connection = duckdb.connect(str(base), read_only=True, config=closed)
    [(shown,)] = connection.execute("SELECT current_setting('enable_progress_bar')").fetchall()
    if shown:
        # Off in a notebook that cannot draw it, where any change of the setting is an error.
        connection.execute("SET enable_progress_bar = false")
    return connection


def read_parquet(request: Request) -> Raw:
    """Read one Parquet file; rows are counted from 1.

    Raises
    ------
    DataError
        The file is not Parquet, or damaged.
    """
    import duckdb

    path = glob.escape(str(request.path))
    with connect() as connection:
        try:
            return _read(connection, "read_parquet(?)", [path], request)
        except duckdb.Error as error:
            raise damaged(request, "a Parquet file", error) from None


def read_duckdb(request: Request) -> Raw:
    """Read one table of a DuckDB file, opened for reading only; rows are counted from 1.

    Raises
    ------
    DataError
        The file is no DuckDB file, or has no such table.
    """
    import duckdb

    try:
        with connect(request.path) as connection:
            return _read(connection, chosen_table(connection, request), [], request)
    except duckdb.Error as error:
        raise damaged(request, "a DuckDB file", error) from None


def chosen_table(connection: duckdb.DuckDBPyConnection, request: Request) -> str:
    """Quoted name of the table that is asked for, or of the only one there is."""
    found = connection.execute(
        "SELECT table_schema, table_name FROM information_schema.tables ORDER BY table_schema, table_name"
    ).fetchall()
    names = {name if schema == "main" else f"{schema}.{name}": (schema, name) for schema, name in found}
    wanted = request.table if request.table is not None else next(iter(names)) if len(names) == 1 else None
    if wanted not in names:
        raise unknown_table(request, list(names), "table")
    return ".".join(quoted(part) for part in names[wanted])


def unknown_table(request: Request, names: Sequence[str], kind: str) -> DataError:
    """Error for a sheet or table that is not there or not chosen."""
    found = f"several {kind}s and none chosen" if request.table is None else f"no {kind} {request.table!r}"
    found = found if names else f"no {kind} at all"
    hint = "" if request.table is None else did_you_mean(request.table, names)
    expected = f"one of {', '.join(map(repr, names[:20]))}" if names else f"at least one {kind}"
    hint = f'{hint}Name it in the study document: table = "...".'
    return DataError.of(request.label, None, "unknown_table", found, expected, hint)


def quoted(name: str) -> str:
    """Write a name so that SQL takes it as a name, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def _read(connection: duckdb.DuckDBPyConnection, origin: str, values: list[Any], request: Request) -> Raw:
    kinds = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE SELECT * FROM {origin}", values).fetchall()}  # noqa: S608

    def arrays(text: str) -> Mapping[str, npt.NDArray[Any]]:
        return dict(connection.execute(text.replace("{source}", origin), values).fetchnumpy())

    return whole_table(kinds, arrays, request)


def whole_table(
    kinds: Mapping[str, str], arrays: Callable[[str], Mapping[str, npt.NDArray[Any]]], request: Request
) -> Raw:
    """Read all of a table that SQL can select from; rows are counted from 1.

    Parameters
    ----------
    kinds : mapping of str to str
        Type of each column.
    arrays : callable
        Answer of a query whose ``{source}`` is the table, column by column.
    request : Request

    Raises
    ------
    DataError
        It holds more than can be read.
    """
    findings, types = [], {}
    for name, kind in kinds.items():
        if request.wants(name):
            if any(mark in kind for mark in _NESTED):
                findings.append(_nested(request, name, kind))
            else:
                types[name] = kind
    if not types:
        return Raw({}, 1, tuple(findings))
    _refuse_large(arrays, types, request)
    cells = ", ".join(f"{_cast(quoted(name), kind)} AS {quoted(name)}" for name, kind in types.items())
    found = dict(arrays(f"SELECT {cells} FROM {{source}}"))  # noqa: S608 - quoted
    columns = {name.strip(): pd.Series(_plain(found.pop(name)), copy=False) for name in types}
    return Raw(columns, 1, tuple(findings))


def _refuse_large(
    arrays: Callable[[str], Mapping[str, npt.NDArray[Any]]], types: Mapping[str, str], request: Request
) -> None:
    """Refuse what would fill the memory: few bytes in a file can stand for any number of rows, or for one long text."""
    most = MAX_VALUES // len(types)
    texts = [f"max(bit_length({quoted(name)}))" for name, kind in types.items() if kind == "VARCHAR"]
    cells = f"count(*) AS n, greatest(0, {', '.join(['0', *texts])}) AS longest"
    found = arrays(f"SELECT {cells} FROM (SELECT * FROM {{source}} LIMIT {most + 1}) AS t")  # noqa: S608 - quoted
    rows, longest = int(found["n"][0]), int(found["longest"][0]) // 8
    hint = "spc.open_source fits models to tables that stay where they are."
    if rows > most:
        found_rows = f"more than {most:,} rows of {len(types)} columns"
        raise DataError.of(request.label, None, "huge_file", found_rows, f"at most {MAX_VALUES:,} values", hint)
    if longest > 4 * MAX_CELL:
        seen, expected = "a cell of more text than any answer", f"at most {MAX_CELL:,} characters"
        raise DataError.of(request.label, None, "huge_cell", seen, expected, "Remove the cell.")


def _cast(name: str, kind: str) -> str:
    if kind in _AS_IS:
        return name
    if kind.startswith("DECIMAL") or "HUGEINT" in kind:
        return f"CAST({name} AS DOUBLE)"
    if kind.startswith("TIMESTAMP_"):
        return f"CAST({name} AS TIMESTAMP)"
    return f"CAST({name} AS STRING)"


def _plain(array: npt.NDArray[Any]) -> Any:
    """Array without a mask: missing numbers are NaN, missing dates NaT, missing text None."""
    if not np.ma.isMaskedArray(array) or not array.mask.any():
        values = np.asarray(array)
        return values.astype(object) if values.dtype.kind in "US" else values
    mask, values = np.ma.getmaskarray(array), array.data
    if values.dtype.kind == "b":
        return pd.array(_punched(values, mask), dtype="boolean")
    if values.dtype.kind in "iu":
        if np.abs(values[~mask].astype(float)).max(initial=0) >= _BIG:
            return _punched(values.astype(str), mask)
        return np.where(mask, np.nan, values.astype(np.float64))
    if values.dtype.kind == "f":
        return np.where(mask, np.nan, values)
    if values.dtype.kind == "M":
        return np.where(mask, np.datetime64("NaT"), values)
    return _punched(values, mask)


def _punched(values: npt.NDArray[Any], mask: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    cells = values.astype(object)
    cells[mask] = None
    return cells


def _nested(request: Request, name: str, kind: str) -> Finding:
    return make_finding(
        "nested_column",
        request.label,
        name,
        f"a column of type {kind}",
        "one value in a cell",
        "Store each part in a column of its own.",
        severity="warning",
    )


def damaged(request: Request, wanted: str, error: Exception) -> DataError:
    """Error for a file that DuckDB cannot read, with the first line of what it said."""
    said = str(error).splitlines()[0][:200]
    found = f"{request.path.name} cannot be read ({said})"
    return DataError.of(request.label, None, "damaged_file", found, wanted, "Export it again.")
