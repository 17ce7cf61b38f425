"""Sizes, means and scatter of rows with missing answers, one set for each pattern of who answered what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError
from spc.linalg import FloatArray
from spc.moments.columns import absent_columns, numeric_values

__all__ = ["Patterns"]

IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Patterns:
    """Sizes, means and scatter of rows with missing answers, one set for each pattern of who answered what.

    Nothing that a normal likelihood needs is lost, whatever the number of rows: a pattern that many rows share keeps
    at most p rows of ``spread``.

    Attributes
    ----------
    names : tuple of str
        Variable names, p of them.
    observed : (K, p) bool array
        What is answered in each pattern; all patterns differ, and each has at least one answer.
    n : (K,) array
        Rows of each pattern.
    mean : (K, p) array
        Means of each pattern, 0 where missing.
    spread : (R, p) array
        Rows whose outer products sum to the centred cross-products of their pattern, 0 where missing.
    pattern : (R,) int array
        Pattern of each row of ``spread``, in order.
    empty : int
        Rows without any answer, which no estimate can use.

    Examples
    --------
    >>> rows = pd.DataFrame({"x": [1.0, 2.0, 3.0, None], "y": [1.0, None, 5.0, None]})
    >>> patterns = Patterns.from_frame(rows)
    >>> patterns.n.tolist(), patterns.mean.tolist(), patterns.empty
    ([1.0, 2.0], [[2.0, 0.0], [2.0, 3.0]], 1)
    >>> patterns.coverage().tolist()
    [[1.0, 0.6666666666666666], [0.6666666666666666, 0.6666666666666666]]
    """

    names: tuple[str, ...]
    observed: BoolArray
    n: FloatArray
    mean: FloatArray
    spread: FloatArray = field(repr=False)
    pattern: IntArray = field(repr=False)
    empty: int = 0

    def __post_init__(self) -> None:
        for array in (self.observed, self.n, self.mean, self.spread, self.pattern):
            array.flags.writeable = False

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, names: Sequence[str] | None = None) -> Patterns:
        """Patterns of the named numeric columns.

        Raises
        ------
        DataError
            A column is absent, given twice or not numeric, or a value is infinite.
        """
        names = list(frame.columns if names is None else names)
        values = numeric_values(frame, names)
        observed: BoolArray = ~np.isnan(values)
        one, none = np.ones(len(values)), np.empty((0, len(names)))
        return _collected(names, observed, one, np.where(observed, values, 0.0), none, np.empty(0, dtype=np.intp), 0)

    @property
    def rows(self) -> int:
        """Rows with at least one answer."""
        return int(self.n.sum())

    def coverage(self) -> FloatArray:
        """Share of the rows in which both variables of a pair are answered, (p, p)."""
        answered = self.observed.astype(np.float64)
        return np.asarray((answered.T * self.n) @ answered / max(self.n.sum(), 1.0))

    def restrict(self, names: Sequence[str]) -> Patterns:
        """Patterns of some of the variables, in the given order."""
        absent = [name for name in names if name not in self.names]
        if absent:
            raise DataError(absent_columns("patterns", absent, self.names))
        index = [self.names.index(name) for name in names]
        return _collected(
            names, self.observed[:, index], self.n, self.mean[:, index], self.spread[:, index], self.pattern, self.empty
        )

    def answering(self, names: Sequence[str]) -> Patterns:
        """Only the rows that have all of the named variables."""
        kept = np.all(self.observed[:, [self.names.index(name) for name in names]], axis=1)
        rows = kept[self.pattern]
        number = np.cumsum(kept) - 1
        return Patterns(
            self.names, self.observed[kept], self.n[kept], self.mean[kept], self.spread[rows],
            number[self.pattern[rows]], self.empty,
        )  # fmt: skip

    def merge(self, other: Patterns) -> Patterns:
        """Patterns of both sets of rows together, as if computed in one pass.

        Raises
        ------
        DataError
            The variables differ.
        """
        if set(other.names) != set(self.names):
            raise DataError.of(
                "patterns", None, "cannot_merge", "different variables", "two sets of patterns of the same variables",
                "Restrict both to the variables they share.",
            )  # fmt: skip
        if other.names != self.names:
            other = other.restrict(self.names)
        return _collected(
            self.names,
            np.concatenate([self.observed, other.observed]),
            np.concatenate([self.n, other.n]),
            np.concatenate([self.mean, other.mean]),
            np.concatenate([self.spread, other.spread]),
            np.concatenate([self.pattern, other.pattern + len(self.n)]),
            self.empty + other.empty,
        )


def _collected(
    names: Sequence[str],
    observed: BoolArray,
    n: FloatArray,
    mean: FloatArray,
    spread: FloatArray,
    pattern: IntArray,
    empty: int,
) -> Patterns:
    """Put equal patterns together: the differences of their means become rows of scatter."""
    some = np.any(observed, axis=1)
    empty += int(n[~some].sum())
    kinds, kind = _alike(observed[some])
    size = np.bincount(kind, n[some], len(kinds)).astype(np.float64)
    origin = mean[some].sum(axis=0) / np.maximum(observed[some].sum(axis=0), 1)
    off = np.where(observed[some], mean[some] - origin, 0.0)
    centre = np.zeros((len(kinds), observed.shape[1]))
    np.add.at(centre, kind, off * n[some][:, None])
    centre /= size[:, None]
    joined = np.bincount(kind, minlength=len(kinds))[kind] > 1
    apart = (off - centre[kind])[joined] * np.sqrt(n[some][joined])[:, None]
    of_pattern = np.zeros(len(some), dtype=np.intp)
    of_pattern[some] = kind
    kept = some[pattern]
    rows = np.concatenate([spread[kept], apart])
    owner = np.concatenate([of_pattern[pattern[kept]], kind[joined]])
    rows, owner = _compressed(rows, owner, kinds)
    return Patterns(tuple(names), kinds, size, np.where(kinds, centre + origin, 0.0), rows, owner, empty)


def _alike(observed: BoolArray) -> tuple[BoolArray, IntArray]:
    """The different rows, and which of them each row is."""
    packed = np.packbits(observed, axis=1)
    words = np.zeros((len(packed), -(-packed.shape[1] // 8) * 8), dtype=np.uint8)
    words[:, : packed.shape[1]] = packed
    codes = words.view(np.uint64)
    keys = codes[:, 0] if codes.shape[1] == 1 else codes
    _, first, kind = np.unique(keys, return_index=True, return_inverse=True, axis=0)
    return observed[first], kind.ravel()


def _compressed(rows: FloatArray, owner: IntArray, kinds: BoolArray) -> tuple[FloatArray, IntArray]:
    """Rows in the order of their patterns, never more of them than a pattern has variables."""
    order = np.argsort(owner, kind="stable")
    rows, owner = rows[order], owner[order]
    count = np.bincount(owner, minlength=len(kinds))
    width = kinds.sum(axis=1)
    many = np.flatnonzero(count > width)
    if not many.size:
        return rows, owner
    end = np.cumsum(count)
    kept = ~np.isin(owner, many)
    parts, owners = [rows[kept]], [owner[kept]]
    for k in many:
        short = np.zeros((width[k], rows.shape[1]))
        short[:, kinds[k]] = np.linalg.qr(rows[end[k] - count[k] : end[k]][:, kinds[k]], mode="r")
        parts.append(short)
        owners.append(np.full(len(short), k))
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return np.concatenate(parts)[order], owner[order]
