"""A table as something SQL can select from, wherever it is: for sums that never bring its rows here."""

from __future__ import annotations

import glob
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError, UsageError
from spc.sources.database import chosen_table, connect, damaged, quoted, whole_table
from spc.sources.raw import Request
from spc.sources.source import FORMATS, SourceTable, existing, settled_table, unknown_format

if TYPE_CHECKING:
    import duckdb

__all__ = ["DuckRelation", "Relation", "open_relation", "read_relation"]

_BLANK = ("", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "#N/A", ".")
_LINE = 2**25
_WANTED = {"parquet": "Parquet files of the same columns", "duckdb": "a DuckDB file", "csv": "a table as text in UTF-8",
           "frame": "a DataFrame"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Relation(ABC):
    """A table that an engine of SQL can select from. Made by :func:`open_relation`.

    What is asked of it is written in the SQL that DuckDB and Spark share.

    Attributes
    ----------
    label : str
        What to call the table in findings.
    way : {"parquet", "duckdb", "csv", "frame", "spark"}
    kinds : mapping of str to str
        DuckDB's type of each column; those of a text file are all VARCHAR.
    source : str
        What stands behind FROM; every name in it is quoted.
    values : tuple
        What its question marks stand for.
    """

    label: str
    way: str
    kinds: Mapping[str, str]
    source: str
    values: tuple[Any, ...] = ()

    @abstractmethod
    def rows(self, text: str, *, before: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Answer of a query whose ``{source}`` is this table; ``before`` stands for question marks ahead of it."""

    @abstractmethod
    def arrays(self, text: str, *, before: Sequence[Any] = ()) -> dict[str, npt.NDArray[Any]]:
        """The same, column by column; missing text is None, missing numbers are masked."""

    def query(self, text: str) -> str:
        """The query with this table in its place."""
        return text.replace("{source}", self.source)

    def renamed(self, columns: Mapping[str, Sequence[str]]) -> Self:
        """The table with columns under other names: new name to the columns it is joined from with ``-``.

        Columns that are not there are passed over; a column that bears a new name itself gives way.
        """
        made = {new: list(old) for new, old in columns.items() if all(name in self.kinds for name in old)}
        if not made:
            return self
        used = {name for old in made.values() for name in old}
        rest = {name: kind for name, kind in self.kinds.items() if name not in used and name not in made}
        cells = [f"{_joined(old)} AS {quoted(new)}" for new, old in made.items()] + [quoted(name) for name in rest]
        kinds = {new: self.kinds[old[0]] if len(old) == 1 else "VARCHAR" for new, old in made.items()} | rest
        text = f"(SELECT {', '.join(cells)} FROM {self.source})"  # noqa: S608 - quoted
        return replace(self, kinds=MappingProxyType(kinds), source=text)


@dataclass(frozen=True, eq=False)
class DuckRelation(Relation):
    """A table that DuckDB can select from.

    Attributes
    ----------
    path : Path or None
    frame : DataFrame or None
    """

    path: Path | None = None
    frame: pd.DataFrame | None = field(default=None, repr=False)

    @contextmanager
    def opened(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Hold a connection that reaches this table; what DuckDB cannot do is said in our own words."""
        import duckdb

        try:
            with connect(self.path if self.way == "duckdb" else None) as connection:
                if self.frame is not None:
                    connection.register("frame", self.frame)
                yield connection
        except duckdb.Error as error:
            request = Request(self.path or Path(self.label), self.label)
            raise damaged(request, _WANTED[self.way], error) from None

    def rows(self, text: str, *, before: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Answer of a query whose ``{source}`` is this table; ``before`` stands for question marks ahead of it."""
        with self.opened() as connection:
            return list(connection.execute(self.query(text), [*before, *self.values]).fetchall())

    def arrays(self, text: str, *, before: Sequence[Any] = ()) -> dict[str, npt.NDArray[Any]]:
        """The same, column by column; missing text is None, missing numbers are masked."""
        with self.opened() as connection:
            found = connection.execute(self.query(text), [*before, *self.values]).fetchnumpy()
        return {name: _plain(column) for name, column in found.items()}


def _joined(names: Sequence[str]) -> str:
    if len(names) == 1:
        return quoted(names[0])
    return " || '-' || ".join(f"trim(CAST({quoted(name)} AS STRING))" for name in names)


def _plain(column: Any) -> npt.NDArray[Any]:
    if column.dtype.kind != "O" and not np.ma.is_masked(column):
        return np.asarray(np.ma.getdata(column))
    if column.dtype.kind in "biuf":
        return np.asanyarray(column)
    cells = np.array(np.ma.getdata(column), dtype=object)
    cells[np.ma.getmaskarray(column)] = None
    return cells


def open_relation(data: Any, *, table: str | None = None, name: str | None = None) -> Relation:
    r"""Open a DataFrame, a Parquet file or folder, a DuckDB table or a text file for queries.

    Parameters
    ----------
    data : str or Path or DataFrame
        Or a DataFrame of Spark, which stays on its cluster.
    table : str, optional
        Table of a DuckDB file; may be left out when there is only one.
    name : str, optional
        What to call the table in findings.

    Raises
    ------
    DataError
        There is no such file, or it cannot be read as such a table.

    Examples
    --------
    >>> relation = open_relation(pd.DataFrame({"x": [1, 2, 4]}))
    >>> relation.rows('SELECT sum("x") FROM {source}')
    [(7,)]
    """
    if isinstance(data, pd.DataFrame):
        return _described(DuckRelation(name or "data", "frame", {}, "frame", frame=data))
    if not isinstance(data, str | Path):
        from spc.sources.spark import is_spark_frame, spark_frame

        if is_spark_frame(data):
            return spark_frame(data, name or "data")
        raise UsageError(f"Expected a DataFrame or the path of a file, found a {type(data).__name__}.")
    label, folder = name or Path(data).name, Path(data)
    if "://" not in str(data) and "\0" not in str(data) and folder.is_dir():
        files = sorted(file for file in folder.rglob("*") if FORMATS.get(file.suffix.lower()) == "parquet")
        if not files:
            raise DataError.of(
                label, None, "absent_file", f"no Parquet file in {folder}", "Parquet files", "Correct it."
            )
        return _parquet(folder, files, label)
    path = existing(data, label)
    way = FORMATS.get(path.suffix.lower())
    if way == "parquet":
        return _parquet(path, [path], label)
    if way == "duckdb":
        empty = DuckRelation(label, "duckdb", {}, "", path=path)
        with empty.opened() as connection:
            return _described(replace(empty, source=chosen_table(connection, Request(path, label, table))))
    if way == "csv":
        blanks = ", ".join(f"'{word}'" for word in _BLANK)
        sizes = f"max_line_size = {_LINE}, buffer_size = {_LINE}"  # a buffer is what one processor reads
        text = f"read_csv(?, header = true, all_varchar = true, nullstr = [{blanks}], {sizes})"
        return _described(DuckRelation(label, "csv", {}, text, (glob.escape(str(path)),), path))
    if way is None:
        raise unknown_format(path, label)
    raise DataError.of(
        label, None, "unknown_format", f"{path.name}, a {way} file", "Parquet, DuckDB or text",
        "Read it with spc.read_table and give its frame.",
    )  # fmt: skip


def read_relation(relation: Relation, *, missing: Sequence[str | float] = ()) -> SourceTable:
    """Bring all rows of a table here, as :func:`spc.sources.read_table` brings those of a file.

    Raises
    ------
    DataError
        It holds more than can be read.

    Examples
    --------
    >>> relation = open_relation(pd.DataFrame({"unit": ["007", "012"], "q1": [4, -99]}))
    >>> read_relation(relation, missing=[-99]).frame
      unit   q1
    0  007  4.0
    1  012  NaN
    """
    request = Request(Path(relation.label), relation.label)
    raw = whole_table(relation.kinds, relation.arrays, request)
    return settled_table(raw, request, relation.way, missing, None)


def _parquet(path: Path, files: Sequence[Path], label: str) -> DuckRelation:
    names = [glob.escape(str(file)) for file in files]
    return _described(DuckRelation(label, "parquet", {}, "read_parquet(?)", (names,), path))


def _described(relation: DuckRelation) -> DuckRelation:
    with relation.opened() as connection:
        text = f"DESCRIBE SELECT * FROM {relation.source}"  # noqa: S608 - quoted
        found = connection.execute(text, list(relation.values)).fetchall()
    return replace(relation, kinds=MappingProxyType({name: kind for name, kind, *_ in found}))
