"""Sizes, means and scatter of units from rows that are read a batch at a time."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray, frozen_array
from spc.sources.origin import Key, Origin, Reader, Slice
from spc.sources.sums import each_slice, rough_centre, tables

__all__ = ["UnitSums", "sum_units"]

IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class UnitSums:
    """What a likelihood of respondents in units needs of J units and p variables.

    Attributes
    ----------
    names : tuple of str
        The p variables.
    units : tuple
        The J units.
    n : (J,) array
        Complete respondents of each unit.
    mean : (J, p) array
        Their means; NaN where there are none.
    scatter : (J, p, p) array
        Cross-products of deviations from the unit's means.
    rows, without_unit : int
        Rows of the table, and those that name no unit.

    Examples
    --------
    >>> import pandas as pd
    >>> from spc.sources import open_source
    >>> rows = pd.DataFrame({"shop": ["a", "a", "b", None], "x": [1.0, 3.0, 7.0, 5.0]})
    >>> sums = open_source(rows).unit_moments("shop", ["x"])
    >>> sums.units, sums.n.tolist(), sums.mean.ravel().tolist(), sums.pooled.tolist(), sums.without_unit
    (('a', 'b'), [2.0, 1.0], [2.0, 7.0], [[2.0]], 1)
    """

    names: tuple[str, ...]
    units: tuple[Hashable, ...]
    n: FloatArray
    mean: FloatArray
    scatter: FloatArray
    rows: int
    without_unit: int

    def __post_init__(self) -> None:
        for name in ("n", "mean", "scatter"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))

    @property
    def incomplete(self) -> int:
        """Rows that name a unit and lack a value."""
        return self.rows - self.without_unit - int(self.n.sum())

    @property
    def pooled(self) -> FloatArray:
        """Cross-products within units, all units together, (p, p)."""
        return np.asarray(self.scatter.sum(axis=0))

    @property
    def within(self) -> FloatArray:
        """Unbiased covariances within units, (p, p)."""
        return np.asarray(self.pooled / float(np.maximum(self.n - 1.0, 0.0).sum()))


def sum_units(origin: Origin, names: Sequence[str], key: Key, count: int | None) -> UnitSums:
    """Sum up units in two readings: the means first, then the deviations from them."""
    units, p = len(key[1].labels), len(names)
    centre = rough_centre(origin, names)

    def means_of(here: Reader, part: Slice) -> tuple[FloatArray, FloatArray, int, int]:
        size, sums, rows, without = np.zeros(units), np.zeros((p, units)), 0, 0
        for values, codes, all_codes in _complete(here, part, names, key):
            rows, without = rows + all_codes.size, without + int((all_codes < 0).sum())
            size += np.bincount(codes, minlength=units)
            for i in range(p):
                sums[i] += np.bincount(codes, values[i] - centre[i], units)
        return size, sums, rows, without

    size, sums, rows, without = np.zeros(units), np.zeros((p, units)), 0, 0
    for found in each_slice(origin, names, key, means_of, count):
        size, sums, rows, without = size + found[0], sums + found[1], rows + found[2], without + found[3]
    shift = sums / np.where(size > 0, size, np.nan)

    def scatter_of(here: Reader, part: Slice) -> FloatArray:
        scatter = np.zeros((p, p, units))
        for values, codes, _ in _complete(here, part, names, key):
            apart = values - centre[:, None] - shift[:, codes]
            for i in range(p):
                for j in range(i + 1):
                    scatter[i, j] += np.bincount(codes, apart[i] * apart[j], units)
        return scatter

    scatter = np.zeros((p, p, units))
    for piece in each_slice(origin, names, key, scatter_of, count):
        scatter += piece
    lower = np.tril_indices(p, -1)
    scatter[lower[1], lower[0]] = scatter[lower]
    return UnitSums(
        tuple(names), key[1].labels, size, (shift + centre[:, None]).T, scatter.transpose(2, 0, 1), rows, without
    )


def _complete(
    origin: Reader, part: Slice, names: Sequence[str], key: Key
) -> Iterator[tuple[FloatArray, IntArray, IntArray]]:
    """Values of complete rows, (p, m), their units, and the units of all rows."""
    for table, codes in tables(origin, part, names, key):
        keep = ~np.isnan(table).any(axis=1) & (codes >= 0)
        yield np.ascontiguousarray(table[keep].T), codes[keep], codes
