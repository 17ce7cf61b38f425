"""Rows on a Spark cluster: each worker sums up its own, as threads do here, and only sums come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from spc.errors import DataError
from spc.linalg import FloatArray
from spc.moments.columns import absent_columns
from spc.sources.database import quoted
from spc.sources.origin import INTEGERS, Key, Keys, Reader, Slice, require_numbers
from spc.sources.partial import packed, unpacked
from spc.sources.spark import SparkRelation

__all__ = ["SparkOrigin"]

Found = TypeVar("Found")
_EVERYTHING = Slice()


@dataclass(frozen=True, eq=False, slots=True)
class _Rows:
    """Columns of doubles and, behind them, of the marks of keys; masked where nothing is."""

    label: str
    columns: Sequence[npt.NDArray[Any]]
    width: int
    key: Key | None

    @property
    def n(self) -> int:
        return len(self.columns[0])

    def fill(self, start: int, stop: int, out: FloatArray) -> None:
        for i in range(self.width):
            out[i] = np.ma.filled(self.columns[i][start:stop], np.nan)

    def codes(self) -> npt.NDArray[np.intp]:
        if self.key is None or not self.key[1].labels:
            return np.full(self.n, -1 if self.key else 0, dtype=np.intp)
        marks, known = self.columns[self.width], self.key[1].marks.view(np.int64)
        missing, order = np.ma.getmaskarray(marks), np.argsort(known)
        codes = order[np.searchsorted(known, np.ma.getdata(marks), sorter=order).clip(max=known.size - 1)]
        if np.any((known[codes] != np.ma.getdata(marks)) & ~missing):
            raise DataError.of(
                self.label, self.key[0], "table_changed", "values that were not there a moment ago",
                "a table that nobody writes to", "Run this again once it is written.",
            )  # fmt: skip
        return np.where(missing, -1, codes)


@dataclass(frozen=True, eq=False, slots=True)
class _Part:
    """The rows that one worker is given, to be read once."""

    label: str
    batches: Iterator[Sequence[npt.NDArray[Any]]]

    def read(self, part: Slice, names: Sequence[str], key: Key | None, most: int | None = None) -> Iterator[_Rows]:
        for columns in self.batches:
            yield _Rows(self.label, columns, len(names), key)


@dataclass(frozen=True, eq=False)
class SparkOrigin:
    """A table on a Spark cluster.

    Attributes
    ----------
    relation : SparkRelation
    missing : tuple of float
        Codes that mean no answer.
    """

    relation: SparkRelation
    missing: tuple[float, ...] = ()

    @property
    def label(self) -> str:
        """What to call the table in findings."""
        return self.relation.label

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns."""
        return tuple(self.relation.kinds)

    def require(self, names: Sequence[str]) -> None:
        """Raise DataError unless these are columns of numbers."""
        require_numbers(self.label, self.relation.kinds, names, self._has_values)

    def slices(self) -> tuple[Slice, ...]:
        """Everything: the cluster knows its own parts."""
        return (_EVERYTHING,)

    def keys(self, name: str) -> Keys:
        """Different values of a column in their order, and their hashes as marks."""
        if name not in self.relation.kinds:
            raise DataError(absent_columns(self.label, [name], self.columns))
        distinct = f"SELECT DISTINCT {self._key(name)} AS k FROM {{source}}"  # noqa: S608 - quoted
        found = self.relation.rows(f"SELECT k, xxhash64(k) FROM ({distinct}) AS d WHERE k IS NOT NULL")  # noqa: S608
        found.sort()
        marks = np.array([mark for _, mark in found], dtype=np.int64).view(np.uint64)
        if np.unique(marks).size < marks.size:
            raise DataError.of(
                self.label, name, "ambiguous_key", "two values that Spark gives one hash", "a hash a value",
                "Number the values and use the numbers.",
            )  # fmt: skip
        return Keys(tuple(label for label, _ in found), marks)

    def read(self, part: Slice, names: Sequence[str], key: Key | None, most: int | None = None) -> Iterator[_Rows]:
        """All rows, or some, brought here."""
        text = self._query(names, key) + ("" if most is None else f" LIMIT {most}")
        yield _Rows(self.label, list(self.relation.arrays(text).values()), len(names), key)

    def each(self, names: Sequence[str], key: Key | None, work: Callable[[Reader, Slice], Found]) -> Iterator[Found]:
        """Have every worker do the work on the rows it holds, and give what was found."""
        label = self.label

        def summed(batches: Iterator[Sequence[npt.NDArray[Any]]]) -> bytes:
            try:
                return packed(work(_Part(label, batches), _EVERYTHING))
            except DataError as error:
                return packed(list(error.findings))

        for data in self.relation.mapped(self._query(names, key), summed):
            yield unpacked(data)

    def count(self) -> int:
        """Number of rows."""
        return int(self.relation.rows("SELECT count(*) FROM {source}")[0][0])

    @contextmanager
    def opened(self) -> Iterator[SparkOrigin]:
        """Nothing needs to be held."""
        yield self

    def _has_values(self, name: str) -> bool:
        return bool(self.relation.rows(f"SELECT count({quoted(name)}) FROM {{source}}")[0][0])  # noqa: S608 - quoted

    def _query(self, names: Sequence[str], key: Key | None) -> str:
        cells = [f"{self._value(name)} AS v{i}" for i, name in enumerate(names)]
        if key is not None:
            cell = self._key(key[0])
            cells.append(f"CASE WHEN {cell} IS NULL THEN NULL ELSE xxhash64({cell}) END AS k")
        return f"SELECT {', '.join(cells)} FROM {{source}}"  # noqa: S608 - quoted

    def _value(self, name: str) -> str:
        cell = f"CAST({quoted(name)} AS DOUBLE)"
        if not self.missing:
            return cell
        codes = ", ".join(f"CAST({code!r} AS DOUBLE)" for code in self.missing)
        return f"CASE WHEN {cell} IN ({codes}) THEN NULL ELSE {cell} END"

    def _key(self, name: str) -> str:
        kind, cell = self.relation.kinds[name], quoted(name)
        if kind in ("FLOAT", "DOUBLE"):  # one nought, not two
            return f"CASE WHEN isnan({cell}) THEN NULL ELSE CAST({cell} AS DOUBLE) + 0 END"
        return cell if kind in (*INTEGERS, "BOOLEAN", "VARCHAR", "DATE") else f"CAST({cell} AS STRING)"
