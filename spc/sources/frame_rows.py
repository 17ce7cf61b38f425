"""Rows of a DataFrame, converted a batch at a time."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError
from spc.linalg import FloatArray
from spc.moments.columns import absent_columns, numeric_values
from spc.sources.origin import BATCH, SLICE, Key, Keys, Slice

__all__ = ["FrameOrigin"]


@dataclass(frozen=True, eq=False, slots=True)
class _Batch:
    frame: pd.DataFrame
    names: tuple[str, ...]
    owner: npt.NDArray[np.intp]

    @property
    def n(self) -> int:
        return len(self.frame)

    def fill(self, start: int, stop: int, out: FloatArray) -> None:
        out[...] = numeric_values(self.frame.iloc[start:stop], self.names).T

    def codes(self) -> npt.NDArray[np.intp]:
        return self.owner


@dataclass(frozen=True, eq=False)
class FrameOrigin:
    """Rows of a DataFrame.

    Attributes
    ----------
    frame : DataFrame
    missing : tuple of float
        Codes that mean no answer.
    """

    frame: pd.DataFrame
    missing: tuple[float, ...] = ()
    label: str = "data"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of all columns."""
        return tuple(self.frame.columns)

    def require(self, names: Sequence[str]) -> None:
        """Raise DataError unless these are columns of numbers."""
        numeric_values(self.frame.iloc[:0], names)

    def slices(self) -> tuple[Slice, ...]:
        """Ranges of rows."""
        n = len(self.frame)
        return tuple(Slice((), first, min(first + SLICE, n) - 1) for first in range(0, n, SLICE))

    def keys(self, name: str) -> Keys:
        """Different values of a column."""
        if name not in self.frame.columns:
            raise DataError(absent_columns(self.label, [name], list(self.frame.columns)))
        column: pd.Series[Any] | pd.DataFrame = self.frame[name]
        if isinstance(column, pd.DataFrame):
            raise DataError.of(
                self.label, name, "duplicate_column", f"{column.shape[1]} columns of this name", "one", "Rename."
            )
        values = column.dropna().unique()
        return Keys(tuple(_plain(value) for value in values), np.arange(len(values), dtype=np.uint64))

    def read(self, part: Slice, names: Sequence[str], key: Key | None, most: int | None = None) -> Iterator[_Batch]:
        """Rows of a slice, or the first of them, in their order."""
        assert part.first is not None
        assert part.last is not None
        place = None if key is None else pd.Index(key[1].labels)
        end = part.last + 1 if most is None else min(part.first + most, part.last + 1)
        for first in range(part.first, end, BATCH):
            rows = self.frame.iloc[first : min(first + BATCH, end)]
            values = rows[list(names)]
            owner = np.zeros(len(rows), dtype=np.intp)
            if key is not None and place is not None:
                owner = np.asarray(place.get_indexer(pd.Index(rows[key[0]])), dtype=np.intp)
            yield _Batch(values.mask(values.isin(self.missing)) if self.missing else values, tuple(names), owner)

    def count(self) -> int:
        """Number of rows."""
        return len(self.frame)

    @contextmanager
    def opened(self) -> Iterator[FrameOrigin]:
        """Nothing needs to be held."""
        yield self


def _plain(value: Any) -> Hashable:
    plain: Hashable = value.item() if isinstance(value, np.generic) else value
    return plain
