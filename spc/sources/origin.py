"""Tables whose rows stay where they are: slices that can be read apart, and the rows of a slice batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from spc.errors import DataError, Finding
from spc.linalg import FloatArray
from spc.moments.columns import absent_columns

__all__ = [
    "BATCH",
    "INTEGERS",
    "SLICE",
    "Elsewhere",
    "Key",
    "Keys",
    "Origin",
    "Reader",
    "Rows",
    "Slice",
    "require_numbers",
]

IntArray = npt.NDArray[np.intp]
Found = TypeVar("Found")
INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")
"""Types of SQL whose values are whole numbers of at most 64 bits."""

SLICE = 1_000_000
"""Rows that one worker reads at a time, roughly."""
BATCH = 122_880
"""Rows that a worker holds in memory; a row group of Parquet files that DuckDB writes."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows that one worker reads: all of some files, or rows ``first`` to ``last``, or everything."""

    files: tuple[str, ...] = ()
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Keys:
    """Values of a column that tells rows apart, and the marks that stand for them in a stream, in ascending order."""

    labels: tuple[Hashable, ...]
    marks: npt.NDArray[np.uint64]


Key = tuple[str, Keys]


class Rows(Protocol):
    """Some rows in memory."""

    @property
    def n(self) -> int:
        """How many."""

    def fill(self, start: int, stop: int, out: FloatArray) -> None:
        """Write the values of rows ``start`` to ``stop`` into ``out``, (p, stop - start), NaN where missing."""

    def codes(self) -> IntArray:
        """Place of each row's key among the labels; -1 where it has none."""


class Reader(Protocol):
    """What is needed of a table to sum up a slice of it."""

    @property
    def label(self) -> str:
        """What to call the table in findings."""

    def read(self, part: Slice, names: Sequence[str], key: Key | None, most: int | None = None) -> Iterator[Rows]:
        """Rows of a slice, or the first of them, in their order; each batch is gone when the next one is asked for."""


class Origin(Reader, Protocol):
    """A table whose rows can be read slice by slice."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns."""

    def require(self, names: Sequence[str]) -> None:
        """Raise DataError unless these are columns of numbers."""

    def slices(self) -> tuple[Slice, ...]:
        """Parts to be read apart, the same however many workers there are."""

    def keys(self, name: str) -> Keys:
        """Different values of a column."""

    def count(self) -> int:
        """Number of rows."""

    def opened(self) -> AbstractContextManager[Origin]:
        """Hold what is needed for reading."""


@runtime_checkable
class Elsewhere(Protocol):
    """A table whose rows, which have no order, are read by workers of its own."""

    def each(self, names: Sequence[str], key: Key | None, work: Callable[[Reader, Slice], Found]) -> Iterator[Found]:
        """Have work that reads these columns done on every part, and give what was found."""


def require_numbers(
    label: str, kinds: Mapping[str, str], names: Sequence[str], has_values: Callable[[str], bool]
) -> None:
    """Raise DataError unless these are columns of numbers, or of nothing."""
    absent = [name for name in names if name not in kinds]
    if absent:
        raise DataError(absent_columns(label, absent, list(kinds)))
    findings = [
        Finding(
            label, name, "not_numeric", f"values of type {kinds[name]}", "numbers",
            "Store the column as numbers; spc.read_table tells which cells are none.",
        )
        for name in names
        if not _is_number(kinds[name]) and has_values(name)
    ]  # fmt: skip
    if findings:
        raise DataError(findings)


def _is_number(kind: str) -> bool:
    return kind in (*INTEGERS, "FLOAT", "DOUBLE", "BOOLEAN", "HUGEINT", "UHUGEINT") or kind.startswith("DECIMAL")
