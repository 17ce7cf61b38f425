"""Rows that DuckDB reads for us, from Parquet files, database tables and text files, each worker on its own cursor."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from spc.errors import DataError
from spc.linalg import FloatArray
from spc.moments.columns import absent_columns
from spc.sources.arrow import Batch, StreamError, batches
from spc.sources.database import chosen_table, connect, damaged, quoted
from spc.sources.origin import BATCH, INTEGERS, SLICE, Key, Keys, Slice, require_numbers
from spc.sources.raw import Request

if TYPE_CHECKING:
    import duckdb

__all__ = ["QueryOrigin", "csv_rows", "parquet_rows", "table_rows"]

_NOT_ANSWERED = ("", "NA", "N/A", "NaN", "null", "#N/A", ".")
_WANTED = {"parquet": "Parquet files of the same columns", "table": "a DuckDB file", "csv": "a table as text in UTF-8"}


@dataclass(frozen=True, eq=False, slots=True)
class _Batch:
    batch: Batch
    width: int
    keys: Keys | None

    @property
    def n(self) -> int:
        return self.batch.n

    def fill(self, start: int, stop: int, out: FloatArray) -> None:
        for i in range(self.width):
            out[i] = self.batch.columns[i][start:stop]
            missing = self.batch.missing[i]
            if missing is not None:
                out[i, missing[start:stop]] = np.nan

    def codes(self) -> npt.NDArray[np.intp]:
        if self.keys is None:
            return np.zeros(self.n, dtype=np.intp)
        codes = np.searchsorted(self.keys.marks, self.batch.columns[self.width])
        missing = self.batch.missing[self.width]
        return codes if missing is None else np.where(missing, -1, codes)


@dataclass(frozen=True, eq=False)
class QueryOrigin:
    """A table that DuckDB can read.

    Attributes
    ----------
    request : Request
        Path, and what to call the table.
    way : {"parquet", "table", "csv"}
    table : str
        What stands behind FROM, quoted.
    kinds : mapping of str to str
        Type of each column.
    parts : tuple of Slice
    missing : tuple of float
        Codes that mean no answer.
    connection : DuckDBPyConnection or None
        Open while rows are read.
    """

    request: Request
    way: str
    table: str
    kinds: Mapping[str, str]
    parts: tuple[Slice, ...]
    missing: tuple[float, ...] = ()
    connection: duckdb.DuckDBPyConnection | None = field(default=None, repr=False)

    @property
    def label(self) -> str:
        """What to call the table in findings."""
        return self.request.label

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns."""
        return tuple(self.kinds)

    def require(self, names: Sequence[str]) -> None:
        """Raise DataError unless these are columns of numbers."""
        require_numbers(self.label, self.kinds, names, self._has_values)

    def slices(self) -> tuple[Slice, ...]:
        """Parts to be read apart."""
        return self.parts

    def keys(self, name: str) -> Keys:
        """Different values of a column, and their hashes as marks."""
        if name not in self.kinds:
            raise DataError(absent_columns(self.label, [name], self.columns))
        cell = self._key(name)
        found: dict[Any, int] = {}
        with self.opened() as here:
            for part in here.parts:
                origin, values = here._from(part)
                text = f"SELECT k, hash(k) FROM (SELECT DISTINCT {cell} AS k FROM {origin}) WHERE k IS NOT NULL"  # noqa: S608
                found.update(here._answer(text, values))
        labels = sorted(found, key=found.__getitem__)
        marks = np.array([found[label] for label in labels], dtype=np.uint64)
        if np.any(marks[1:] == marks[:-1]):
            raise DataError.of(
                self.label, name, "ambiguous_key", "two values that DuckDB gives one hash", "a hash a value",
                "Number the values and use the numbers.",
            )  # fmt: skip
        return Keys(tuple(labels), marks)

    def read(self, part: Slice, names: Sequence[str], key: Key | None, most: int | None = None) -> Iterator[_Batch]:
        """Rows of a slice, or the first of them, in their order."""
        assert self.connection is not None
        cells = [self._value(name) for name in names]
        if key is not None:
            cell = self._key(key[0])
            cells.append(f"CASE WHEN {cell} IS NULL THEN NULL ELSE hash({cell}) END")
        origin, values = self._from(part)
        if most is not None:
            origin, values = f"{origin} LIMIT ?", [*values, most]
        with self._speaking(), self.connection.cursor() as cursor:
            rows = cursor.sql(f"SELECT {', '.join(cells)} FROM {origin}", params=values)  # noqa: S608 - quoted
            for batch in batches(rows.__arrow_c_stream__()):
                yield _Batch(batch, len(names), None if key is None else key[1])

    def count(self) -> int:
        """Number of rows."""
        with self.opened() as here:
            return sum(
                int(here._answer(f"SELECT count(*) FROM {origin}", values)[0][0])  # noqa: S608 - quoted
                for origin, values in map(here._from, here.parts)
            )

    def _has_values(self, name: str) -> bool:
        """Whether any row has a value; a column without one is of no type."""
        with self.opened() as here:
            return any(
                here._answer(f"SELECT count({quoted(name)}) FROM {origin}", values)[0][0]  # noqa: S608 - quoted
                for origin, values in map(here._from, here.parts)
            )

    @contextmanager
    def opened(self) -> Iterator[QueryOrigin]:
        """Hold a connection that reaches nothing else; it has one thread, since workers bring their own."""
        if self.connection is not None:
            yield self
            return
        with self._speaking(), connect(self.request.path if self.way == "table" else None, threads="1") as connection:
            yield replace(self, connection=connection)

    def _from(self, part: Slice) -> tuple[str, list[Any]]:
        values: list[Any] = [] if self.way == "table" else [list(part.files)]
        if part.first is None:
            return self.table, values
        row, table = "rowid", self.table
        if self.way == "parquet":
            row, table = "file_row_number", "read_parquet(?, file_row_number = true)"
        return f"{table} WHERE {row} BETWEEN ? AND ?", [*values, part.first, part.last]

    def _value(self, name: str) -> str:
        kind, cell = self.kinds[name], quoted(name)
        if self.way == "csv" or not (kind in INTEGERS or kind in ("FLOAT", "DOUBLE")):
            cell = f"CAST({cell} AS {'TINYINT' if kind == 'BOOLEAN' else 'DOUBLE'})"
        if not self.missing:
            return cell
        codes = ", ".join(map(repr, self.missing))
        return f"CASE WHEN {cell} IN ({codes}) THEN NULL ELSE {cell} END"

    def _key(self, name: str) -> str:
        kind, cell = self.kinds[name], quoted(name)
        if kind in ("FLOAT", "DOUBLE"):
            return f"nullif(CAST({cell} AS DOUBLE), 'nan'::DOUBLE)"
        if self.way == "csv":
            return f"CAST({cell} AS BIGINT)" if kind in INTEGERS else cell
        return cell if kind in (*INTEGERS, "BOOLEAN", "VARCHAR", "DATE") else f"CAST({cell} AS VARCHAR)"

    def _answer(self, text: str, values: list[Any]) -> list[Any]:
        assert self.connection is not None
        with self._speaking():
            return list(self.connection.execute(text, values).fetchall())

    @contextmanager
    def _speaking(self) -> Iterator[None]:
        """Say what DuckDB could not do in our own words."""
        import duckdb

        try:
            yield
        except (duckdb.Error, StreamError) as error:
            raise damaged(self.request, _WANTED[self.way], error) from None


def _described(origin: QueryOrigin, text: str, values: list[Any]) -> dict[str, str]:
    described = origin._answer(f"DESCRIBE SELECT * FROM {text}", values)  # noqa: S608 - quoted
    return {name: kind for name, kind, *_ in described}


def parquet_rows(request: Request, files: Sequence[Path], missing: tuple[float, ...]) -> QueryOrigin:
    """Rows of Parquet files of the same columns.

    Raises
    ------
    DataError
        A file is not Parquet, or damaged.
    """
    names = [glob.escape(str(path)) for path in files]
    empty = QueryOrigin(request, "parquet", "read_parquet(?)", {}, (), missing)
    with empty.opened() as here:
        kinds = _described(here, "read_parquet(?)", [names])
        sizes = here._answer(
            "SELECT file_name, row_group_id, any_value(row_group_num_rows) FROM parquet_metadata(?) "
            "GROUP BY file_name, row_group_id ORDER BY row_group_id", [names],
        )  # fmt: skip
    groups: dict[str, list[int]] = {str(path): [] for path in files}
    for file, _, size in sizes:
        groups.setdefault(file, []).append(int(size))
    return replace(empty, kinds=kinds, parts=_cut(groups, apart="file_row_number" not in kinds))


def _cut(groups: Mapping[str, Sequence[int]], *, apart: bool) -> tuple[Slice, ...]:
    """Slices of whole row groups, each of about as many rows; small files together, large files apart."""
    parts: list[Slice] = []
    small: list[str] = []
    held = 0
    for file, sizes in groups.items():
        name = glob.escape(file)
        if sum(sizes) >= 2 * SLICE and len(sizes) > 1 and apart:
            if small:
                parts.append(Slice(tuple(small)))
            small, held = [], 0
            parts += [Slice((name,), first, last) for first, last in _ranges(sizes)]
            continue
        small.append(name)
        held += sum(sizes)
        if held >= SLICE:
            parts.append(Slice(tuple(small)))
            small, held = [], 0
    return (*parts, Slice(tuple(small))) if small else tuple(parts)


def _ranges(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = end = 0
    for size in sizes:
        end += size
        if end - first >= SLICE:
            yield first, end - 1
            first = end
    if end > first:
        yield first, end - 1


def table_rows(request: Request, missing: tuple[float, ...]) -> QueryOrigin:
    """Rows of a table or view of a DuckDB file, opened for reading only.

    Raises
    ------
    DataError
        The file is no DuckDB file, or has no such table.
    """
    empty = QueryOrigin(request, "table", "", {}, (Slice(),), missing)
    with empty.opened() as here:
        assert here.connection is not None
        table = chosen_table(here.connection, request)
        kinds = _described(here, table, [])
        parts = _row_ranges(here, table) if "rowid" not in kinds else (Slice(),)
    return replace(empty, table=table, kinds=kinds, parts=parts)


def _row_ranges(here: QueryOrigin, table: str) -> tuple[Slice, ...]:
    """Ranges of row numbers; a view has none."""
    import duckdb

    assert here.connection is not None
    try:
        last = here.connection.execute(f"SELECT max(rowid) FROM {table}").fetchall()[0][0]  # noqa: S608 - quoted
    except duckdb.BinderException:
        return (Slice(),)
    step = max(SLICE // BATCH, 1) * BATCH
    return tuple(Slice((), first, first + step - 1) for first in range(0, (last or 0) + 1, step))


def csv_rows(request: Request, missing: tuple[float, ...]) -> QueryOrigin:
    """Rows of a text file with a heading, read again from the file each time.

    Raises
    ------
    DataError
        The file is not text in UTF-8, or its rows differ in length.
    """
    answers = ", ".join(f"'{word}'" for word in _NOT_ANSWERED)
    table = f"read_csv(?, header = true, nullstr = [{answers}], {{}})"
    files = (glob.escape(str(request.path)),)
    empty = QueryOrigin(request, "csv", table.format("all_varchar = true"), {}, (Slice(files),), missing)
    with empty.opened() as here:
        kinds = _described(here, table.format("sample_size = -1"), [list(files)])
    return replace(empty, kinds=kinds)
