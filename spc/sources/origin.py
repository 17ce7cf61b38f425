"""Tables whose rows stay where they are: slices that can be read apart, and the rows of a slice batch by batch."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray

__all__ = ["BATCH", "SLICE", "Key", "Keys", "Origin", "Rows", "Slice"]

IntArray = npt.NDArray[np.intp]

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


class Origin(Protocol):
    """A table whose rows can be read slice by slice."""

    @property
    def label(self) -> str:
        """What to call the table in findings."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns."""

    def require(self, names: Sequence[str]) -> None:
        """Raise DataError unless these are columns of numbers."""

    def slices(self) -> tuple[Slice, ...]:
        """Parts to be read apart, the same however many workers there are."""

    def keys(self, name: str) -> Keys:
        """Different values of a column."""

    def read(self, part: Slice, names: Sequence[str], key: Key | None, most: int | None = None) -> Iterator[Rows]:
        """Rows of a slice, or the first of them, in their order; each batch is gone when the next one is asked for."""

    def count(self) -> int:
        """Number of rows."""

    def opened(self) -> AbstractContextManager[Origin]:
        """Hold what is needed for reading."""
