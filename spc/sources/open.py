"""Tables that stay where they are: estimators see their moments, and no more than a batch of rows is in memory."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd

from spc.errors import DataError, UsageError
from spc.linalg import FloatArray
from spc.moments import Moments, Patterns
from spc.sources.origin import Key, Origin, Reader, Slice
from spc.sources.source import FORMATS, existing, unknown_format
from spc.sources.spark import SparkRelation, address, is_spark_frame, spark_frame, spark_table
from spc.sources.spark_rows import SparkOrigin
from spc.sources.sums import each_slice, fourth_order, in_order, rough_centre, sum_up, tables
from spc.sources.unit_sums import UnitSums, sum_units

__all__ = ["Source", "open_source"]


@dataclass(frozen=True, eq=False)
class Source:
    """A table that stays where it is. Made by :func:`open_source`.

    Attributes
    ----------
    label : str
        What to call the table in findings.
    columns : tuple of str
    workers : int or None
        Threads that read at the same time; one a processor when None. They change no number.

    Examples
    --------
    >>> rows = pd.DataFrame({"x": [1.0, 2.0, None, 6.0], "y": [1.0, 3.0, 5.0, 8.0], "shop": list("abab")})
    >>> source = open_source(rows)
    >>> source.moments(["x", "y"]).mean.tolist(), source.moments(["x", "y"]).n
    ([3.0, 4.0], 3)
    >>> [(each.group, each.n) for each in open_source(rows).moments_by("shop", ["y"])]
    [('a', 2), ('b', 2)]
    >>> source.tally("shop")
    {'a': 2, 'b': 2}
    """

    origin: Origin = field(repr=False)
    label: str
    columns: tuple[str, ...]
    workers: int | None = None

    def count(self) -> int:
        """Number of rows."""
        return self.origin.count()

    def tally(self, name: str) -> dict[Hashable, int]:
        """Rows of each value of a column, values in the order of their first appearance; None where there is none.

        Rows on a cluster have no order: values are sorted there, here and wherever groups are told apart.

        Raises
        ------
        DataError
            There is no such column, or the file cannot be read.
        """
        key = (name, self.origin.keys(name))

        def work(here: Reader, part: Slice) -> dict[int, int]:
            found: dict[int, int] = {}
            for rows in here.read(part, [], key):
                codes = rows.codes()
                size = np.bincount(codes + 1)
                for code in _in_order(codes):
                    found[code] = found.get(code, 0) + int(size[code + 1])
            return found

        total: dict[int, int] = {}
        for found in each_slice(self.origin, [], key, work, self.workers):
            for code, n in found.items():
                total[code] = total.get(code, 0) + n
        ordered = in_order(self.origin, total)
        return {None if code < 0 else key[1].labels[code]: n for code, n in ordered.items()}

    def moments(self, names: Sequence[str] | None = None, *, higher: bool = False) -> Moments:
        """Moments of the complete rows of the named numeric columns, as :meth:`Moments.from_frame` has them.

        Parameters
        ----------
        names : sequence of str, optional
            All columns when None.
        higher : bool
            Those of order 3 and 4 as well, in a second reading.

        Raises
        ------
        DataError
            A column is absent or not numeric, a value is infinite, fewer than two rows are complete, or the file
            cannot be read.
        """
        return self._moments(self._names(names), None, higher=higher)[0]

    def moments_by(
        self, group: str, names: Sequence[str] | None = None, *, higher: bool = False
    ) -> tuple[Moments, ...]:
        """Moments of each group of rows, groups in the order in which they first appear.

        Parameters
        ----------
        group : str
            Column that tells the groups apart; rows without a group belong to none.
        names, higher
            As for :meth:`moments`; all columns but the group's when None.
        """
        names = self._names(names, group)
        key = (group, self.origin.keys(group))
        return tuple(self._moments(names, key, higher=higher))

    def patterns(self, names: Sequence[str] | None = None) -> Patterns:
        """Patterns of missing answers of the named numeric columns, as :meth:`Patterns.from_frame` has them.

        Raises
        ------
        DataError
            A column is absent or not numeric, a value is infinite, or the file cannot be read.
        """
        found = self._patterns(self._names(names), None)
        return found.get(0) or Patterns.from_frame(pd.DataFrame(columns=self._names(names), dtype=np.float64))

    def patterns_by(self, group: str, names: Sequence[str] | None = None) -> dict[str, Patterns]:
        """Patterns of each group of rows, groups in the order in which they first appear."""
        key = (group, self.origin.keys(group))
        found = self._patterns(self._names(names, group), key)
        return {_word(key[1].labels[code]): patterns for code, patterns in found.items()}

    def unit_moments(self, unit: str, names: Sequence[str]) -> UnitSums:
        """Sizes, means and scatter of units, of rows that have a unit and all of the named values; in two readings.

        Parameters
        ----------
        unit : str
            Column that names the unit.
        names : sequence of str

        Raises
        ------
        DataError
            A column is absent or not numeric, a value is infinite, or the file cannot be read.
        """
        names = self._names(names, unit)
        return sum_units(self.origin, names, (unit, self.origin.keys(unit)), self.workers)

    def _names(self, names: Sequence[str] | None, *others: str) -> list[str]:
        wanted = [name for name in self.columns if name not in others] if names is None else list(names)
        twice = sorted({str(name) for name in wanted if wanted.count(name) > 1})
        if twice:
            raise DataError.of(
                self.label, twice[0], "duplicate_column", "a name given twice", "each column once", "Name it once."
            )
        self.origin.require(wanted)
        return wanted

    def _moments(self, names: Sequence[str], key: Key | None, *, higher: bool) -> list[Moments]:
        """Moments of each key, or of all rows."""
        with self.origin.opened() as here:
            centre = rough_centre(here, names)
            codes, sums = sum_up(here, names, key, centre, self.workers)
            groups = [None if key is None else _word(key[1].labels[code]) for code in codes]
            for each, group in zip(sums, groups, strict=True):
                self._require_rows(each.n, group)
            fourth: Sequence[FloatArray | None] = [None] * len(sums)
            if higher:
                fourth = fourth_order(here, names, key, centre, codes, sums, self.workers)
        return [
            Moments(names, each.n, each.mean + centre, each.cross / (each.n - 1), more, group)
            for each, more, group in zip(sums, fourth, groups, strict=True)
        ]

    def _require_rows(self, n: int, group: str | None) -> None:
        if n < 2:
            raise DataError.of(
                self.label if group is None else f"{self.label} (group {group})", None, "too_few_rows",
                f"{n} complete rows", "at least 2",
                "Check for columns that are empty; name fewer variables or collect more answers.",
            )  # fmt: skip

    def _patterns(self, names: Sequence[str], key: Key | None) -> dict[int, Patterns]:
        def work(here: Reader, part: Slice) -> list[tuple[int, Patterns]]:
            found: dict[int, Patterns] = {}
            for values, codes in tables(here, part, names, key):
                for code in _in_order(codes[codes >= 0]):
                    rows = values if key is None else values[codes == code]
                    new = Patterns.from_frame(pd.DataFrame(rows, columns=list(names)))
                    found[code] = found[code].merge(new) if code in found else new
            return list(found.items())

        total: dict[int, list[Patterns]] = {}
        for found in each_slice(self.origin, names, key, work, self.workers):
            for code, patterns in found:
                total.setdefault(code, []).append(patterns)
        return {code: reduce(Patterns.merge, parts) for code, parts in in_order(self.origin, total).items()}


def _in_order(codes: np.ndarray) -> list[int]:
    present, first = np.unique(codes, return_index=True)
    return [int(code) for code in present[np.argsort(first)]]


def _word(value: Hashable) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def open_source(
    data: str | Path | pd.DataFrame | None = None,
    *,
    table: str | None = None,
    missing: Sequence[float] = (),
    name: str | None = None,
    workers: int | None = None,
    engine: Literal["duckdb", "spark"] = "duckdb",
    master: str | None = None,
    options: Mapping[str, str] = MappingProxyType({}),
) -> Source:
    r"""Open a table whose rows stay where they are, however many there are.

    Fits read its moments, patterns and unit means, a batch of rows at a time.

    Parameters
    ----------
    data : str or Path or DataFrame
        A Parquet file, or a folder of Parquet files of the same columns; a DuckDB file; a text file in UTF-8 with a
        heading, its columns separated by commas, semicolons, tabs or bars; or a DataFrame. With Spark, a Parquet file
        or folder that every worker reaches, or its address; or a DataFrame of Spark, whatever the engine.
    table : str, optional
        Table or view of a DuckDB file; may be left out when there is only one. With Spark, of its catalogue, in place
        of ``data``.
    missing : sequence of float
        Codes that mean no answer, in any column.
    name : str, optional
        What to call the table in findings; the file name when None.
    workers : int, optional
        Threads that read at the same time; one a processor when None. They change no number. A cluster has its own.
    engine : {"duckdb", "spark"}
        Spark is a cluster that is there already: its workers sum up the rows they hold, with the functions that
        threads use here, and only sums come back. They need this Python with NumPy, pandas and pyarrow.
    master : str, optional
        Address of the cluster, such as ``spark://host:7077``; as Spark is configured here when None.
    options : mapping of str to str
        Settings of Spark, such as ``spark.executor.memory``.

    Returns
    -------
    Source

    Raises
    ------
    DataError
        There is no such file, or it cannot be read as such a table, or the cluster does not answer.
    MissingExtraError
        The engine is Spark, and pyspark or pyarrow is not installed.
    UsageError
        The path is an address, a code is no number, the number of workers is not positive, or what is given does not
        go with the engine.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "staff.csv")
    ...     _ = path.write_text("unit,q1,q2\nA,3,-99\nA,4,2\nB,5,4\n")
    ...     source = open_source(path, missing=[-99])
    ...     source.moments(["q1", "q2"]).mean.tolist()
    [4.5, 3.0]
    """
    codes = tuple(_code(value) for value in missing)
    if workers is not None and workers < 1:
        raise UsageError(f"workers={workers}: expected 1 or more, or None for one a processor.")
    origin: Origin
    if engine == "spark" or is_spark_frame(data):
        if workers is not None:
            raise UsageError("workers= are threads of this process, and a cluster has its own; leave it out.")
        origin = SparkOrigin(_on_cluster(data, table, name, master, options), codes)
    elif engine != "duckdb":
        raise UsageError(f"engine={engine!r}: expected 'duckdb' or 'spark'.")
    elif master is not None or options:
        raise UsageError("master= and options= are of a cluster; give engine='spark' with them, or leave them out.")
    elif isinstance(data, pd.DataFrame):
        from spc.sources.frame_rows import FrameOrigin

        origin = FrameOrigin(data, codes, name or "data")
    elif data is None:
        raise UsageError("No table: give a path or a DataFrame; table= alone names one of Spark's catalogue.")
    else:
        origin = _of_file(data, table, codes, name or Path(data).name)
    return Source(origin, origin.label, origin.columns, workers)


def _on_cluster(
    data: Any, table: str | None, name: str | None, master: str | None, options: Mapping[str, str]
) -> SparkRelation:
    if is_spark_frame(data):
        if table is not None or master is not None or options:
            raise UsageError("A DataFrame of Spark is a table of its own session; leave table, master and options out.")
        return spark_frame(data, name or "data")
    if (data is None) == (table is None) or isinstance(data, pd.DataFrame):
        raise UsageError("Spark opens Parquet files by their address, or a table of its catalogue as table=; give one.")
    label = name or table or Path(data).name
    return spark_table(None if data is None else address(data), table=table, name=label, master=master, options=options)


def _code(value: float) -> float:
    if isinstance(value, bool | str) or not np.isfinite(value):
        raise UsageError(f"missing={value!r}: expected numbers that stand for no answer.")
    return float(value)


def _of_file(path: str | Path, table: str | None, missing: tuple[float, ...], label: str) -> Origin:
    from spc.sources.query_rows import csv_rows, parquet_rows, table_rows
    from spc.sources.raw import Request

    folder = Path(path)
    if "://" not in str(path) and "\0" not in str(path) and folder.is_dir():
        files = sorted(file for file in folder.rglob("*") if FORMATS.get(file.suffix.lower()) == "parquet")
        if not files:
            raise DataError.of(
                label, None, "absent_file", f"no Parquet file in {folder}", "a folder of Parquet files",
                "Give the path of a file.",
            )  # fmt: skip
        return parquet_rows(Request(folder, label, table), files, missing)
    place = existing(path, label)
    request = Request(place, label, table)
    kind = FORMATS.get(place.suffix.lower())
    if kind == "parquet":
        return parquet_rows(request, [place], missing)
    if kind == "duckdb":
        return table_rows(request, missing)
    if kind == "csv":
        return csv_rows(request, missing)
    if kind is None:
        raise unknown_format(place, label)
    raise DataError.of(
        label, None, "unknown_format", f"{place.name}, a {kind} file", "Parquet, DuckDB or text",
        "Read it with spc.read_table and open its frame.",
    )  # fmt: skip
