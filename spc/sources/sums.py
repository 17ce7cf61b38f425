"""Centred sums of rows that are read a batch at a time, merged exactly.

Values are measured from one origin near the first rows. Each slice of a table is summed up by one worker, block by
block, each block about its own means; blocks and slices are then put together pairwise in the order of the rows. So
neither the size of the values nor the number of workers changes a digit that matters, and no more than a batch of rows
a worker is in memory.

References
----------
Chan, Golub & LeVeque (1983), The American Statistician 37, 242-247.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from spc.errors import DataError
from spc.linalg import FloatArray, one_blas_thread, vech
from spc.sources.origin import Elsewhere, Key, Origin, Reader, Rows, Slice

__all__ = [
    "Sums",
    "each_slice",
    "fourth_order",
    "in_order",
    "rough_centre",
    "sum_up",
    "tables",
    "value_blocks",
    "without_holes",
]

IntArray = npt.NDArray[np.intp]
Found = TypeVar("Found")

_CELLS = 1 << 19
_MOST_WORKERS = 8
_NEAR = 16.0
"""Squared distance of a block's means from the origin, in variances, up to which one pass loses no digit."""


@dataclass(frozen=True, eq=False, slots=True)
class Sums:
    """Size, means and centred cross-products of some rows.

    Attributes
    ----------
    n : int
        Complete rows.
    mean : (p,) array
    cross : (p, p) array
        Cross-products of deviations from the means.
    """

    n: int
    mean: FloatArray
    cross: FloatArray

    @classmethod
    def nothing(cls, p: int) -> Sums:
        """No rows of p variables."""
        return cls(0, np.zeros(p), np.zeros((p, p)))

    @classmethod
    def of(cls, values: FloatArray) -> Sums | None:
        """Sums of (p, n) values; None where some are not finite."""
        wide = _widened(*values.shape)
        wide[: len(values)] = values
        return cls.of_wide(wide, len(values))

    @classmethod
    def of_wide(cls, wide: FloatArray, p: int) -> Sums | None:
        """Sums of the first p rows, which may be changed, of an array made by :func:`_widened`."""
        n = wide.shape[1]
        if n == 0:
            return cls.nothing(p)
        with np.errstate(invalid="ignore", over="ignore"):
            square = wide @ wide.T
        mean, cross = square[:p, p] / n, square[:p, :p]
        if not np.isfinite(mean).all():
            return None
        middle = np.outer(mean, mean) * n
        cross -= middle
        if np.any(middle.diagonal() > _NEAR * cross.diagonal()):
            wide[:p] -= mean[:, None]
            cross = (wide @ wide.T)[:p, :p]
        return cls(n, mean, cross)

    def merge(self, other: Sums) -> Sums:
        """Sums of both sets of rows, as if computed in one pass.

        Examples
        --------
        >>> one, other = Sums.of(np.array([[1e9]])), Sums.of(np.array([[1e9 + 1, 1e9 + 5]]))
        >>> both = one.merge(other)
        >>> both.n, both.mean.tolist(), both.cross.tolist()
        (3, [1000000002.0], [[14.0]])
        """
        if not self.n or not other.n:
            return other if other.n else self
        n, shift = self.n + other.n, other.mean - self.mean
        cross = self.cross + other.cross + np.outer(shift, shift) * (self.n * (other.n / n))
        return Sums(n, self.mean + shift * (other.n / n), cross)


def _widened(p: int, n: int) -> FloatArray:
    """Room for (p, n) values, with a row of ones below, whose products are sums, and zeros up to a multiple of four.

    Multiplied by itself it is faster than p rows alone, which fill the processor's registers badly.
    """
    wide = np.zeros((4 * (p // 4 + 1), n))
    wide[p] = 1.0
    return wide


def workers(asked: int | None) -> int:
    """Threads that read at the same time: as asked, or one a processor of this process, eight at most."""
    if asked is not None:
        return asked
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(here, _MOST_WORKERS)


def each_slice(
    origin: Origin, names: Sequence[str], key: Key | None, work: Callable[[Reader, Slice], Found], count: int | None
) -> Iterator[Found]:
    """Do work that reads these columns on every slice, and give what was found in the order of the rows."""
    if isinstance(origin, Elsewhere):
        yield from origin.each(names, key, work)
        return
    with one_blas_thread(), origin.opened() as here:
        parts = here.slices()
        many = min(workers(count), len(parts))
        if many < 2:
            yield from (work(here, part) for part in parts)
            return
        pool = ThreadPoolExecutor(many)
        try:
            yield from pool.map(lambda part: work(here, part), parts)
        finally:
            pool.shutdown(cancel_futures=True)


def in_order(origin: Origin, found: dict[int, Found]) -> dict[int, Found]:
    """What belongs to each key, keys as they came; sorted where rows have no order."""
    return dict(sorted(found.items())) if isinstance(origin, Elsewhere) else found


def value_blocks(
    origin: Reader, part: Slice, names: Sequence[str], key: Key | None, centre: FloatArray, *, wide: int = 1
) -> Iterator[tuple[FloatArray, IntArray]]:
    """Rows of a slice that have a key, NaN where values are missing, in blocks that stay in the processor's cache.

    Yields
    ------
    values : (w, m) array
        As :func:`_widened` has them, measured from ``centre``; to be used, and changed, before the next block is asked
        for.
    codes : (m,) int array
        Places of the rows' keys.
    """
    step = max(1024, _CELLS // max(len(names), wide, 1))
    p, far = len(names), bool(centre.any())
    space = _widened(p, step)
    for rows in origin.read(part, names, key):
        codes = rows.codes()
        even = -(-rows.n // max(1, -(-rows.n // step)))
        for first in range(0, rows.n, max(1, even)):
            last = min(first + even, rows.n)
            values, own = space[:, : last - first], codes[first:last]
            rows.fill(first, last, values[:p])
            if far:
                values[:p] -= centre[:, None]
            keyed = own >= 0
            yield (values, own) if key is None or keyed.all() else (values[:, keyed], own[keyed])


def without_holes(origin: Reader, names: Sequence[str], values: FloatArray) -> npt.NDArray[np.bool_]:
    """Which rows of (p, m) values lack none; an error where a value is infinite."""
    infinite = np.isinf(values).any(axis=1)
    if infinite.any():
        raise DataError.of(
            origin.label, names[int(infinite.argmax())], "infinite", "infinite values", "finite numbers",
            "Set them to missing.",
        )  # fmt: skip
    return np.asarray(~np.isnan(values).any(axis=0))


def rough_centre(origin: Origin, names: Sequence[str]) -> FloatArray:
    """Means of the first values of each variable, so that sums are of numbers near zero; nought where that is near."""
    with origin.opened() as here:
        for part in here.slices():
            for rows in here.read(part, names, None, 1024):
                values = np.empty((len(names), rows.n))
                rows.fill(0, rows.n, values)
                known = np.isfinite(values)
                count = np.maximum(known.sum(axis=1), 1)
                mean = np.where(known, values, 0.0).sum(axis=1) / count
                spread = np.where(known, (values - mean[:, None]) ** 2, 0.0).sum(axis=1) / count
                return np.where(4.0 * mean**2 < _NEAR * spread, 0.0, mean)
    return np.zeros(len(names))


def sum_up(
    origin: Origin, names: Sequence[str], key: Key | None, centre: FloatArray, count: int | None
) -> tuple[list[int], list[Sums]]:
    """Sums of the complete rows of each key, measured from ``centre``; keys in the order of their first rows.

    Returns
    -------
    list of int
        Place of each key among the labels; ``[0]`` without a key.
    list of Sums
    """

    def work(here: Reader, part: Slice) -> dict[int, Sums]:
        found: dict[int, Sums] = {}
        for values, codes in value_blocks(here, part, names, key, centre):
            for code, own in _apart(values, codes, key):
                block = _block(here, names, own)
                found[code] = found[code].merge(block) if code in found else block
        return found

    total: dict[int, Sums] = {}
    for found in each_slice(origin, names, key, work, count):
        for code, sums in found.items():
            total[code] = total[code].merge(sums) if code in total else sums
    if key is None:
        total = total or {0: Sums.nothing(len(names))}
    total = in_order(origin, total)
    return list(total), list(total.values())


def _block(origin: Reader, names: Sequence[str], values: FloatArray) -> Sums:
    """Sums of the complete rows of a block."""
    p = len(names)
    sums = Sums.of_wide(values, p)
    if sums is None:
        sums = Sums.of_wide(values[:, without_holes(origin, names, values[:p])], p)
    if sums is None:
        raise DataError.of(
            origin.label, None, "infinite", "numbers whose sum is infinite", "finite sums", "Measure in larger units."
        )
    return sums


def _apart(values: FloatArray, codes: IntArray, key: Key | None) -> Iterator[tuple[int, FloatArray]]:
    """Values of each key, keys as they come."""
    if key is None:
        yield 0, values
        return
    present, first = np.unique(codes, return_index=True)
    for code in present[np.argsort(first)]:
        yield int(code), values[:, codes == code]


def fourth_order(
    origin: Origin,
    names: Sequence[str],
    key: Key | None,
    centre: FloatArray,
    codes: Sequence[int],
    sums: Sequence[Sums],
    count: int | None,
) -> list[FloatArray]:
    """Moments of order 2 to 4 of each key in a second reading, once means and covariances are known."""
    place = {code: i for i, code in enumerate(codes)}
    p = len(names)
    first, second = np.triu_indices(p)
    middles = [np.concatenate([np.zeros(p), vech(each.cross / each.n)]) for each in sums]

    def work(here: Reader, part: Slice) -> list[FloatArray | None]:
        found: list[FloatArray | None] = [None] * len(sums)
        for values, owner in value_blocks(here, part, names, key, centre, wide=first.size):
            for code, own in _apart(values, owner, key):
                i = place[code]
                apart = own[:p, without_holes(here, names, own[:p])] - sums[i].mean[:, None]
                both = np.concatenate([apart, apart[first] * apart[second]]) - middles[i][:, None]
                square = both @ both.T
                found[i] = square if found[i] is None else found[i] + square
        return found

    total = [np.zeros((middle.size, middle.size)) for middle in middles]
    for found in each_slice(origin, names, key, work, count):
        for i, square in enumerate(found):
            if square is not None:
                total[i] += square
    return [square / each.n for square, each in zip(total, sums, strict=True)]


def tables(origin: Reader, part: Slice, names: Sequence[str], key: Key | None) -> Iterator[tuple[FloatArray, IntArray]]:
    """All rows of a slice with NaN where values are missing, (m, p), a batch at a time, and the codes of their keys."""
    for rows in origin.read(part, names, key):
        yield _table(origin, names, rows), rows.codes()


def _table(origin: Reader, names: Sequence[str], rows: Rows) -> FloatArray:
    values = np.empty((len(names), rows.n))
    rows.fill(0, rows.n, values)
    without_holes(origin, names, values)
    return np.ascontiguousarray(values.T)
