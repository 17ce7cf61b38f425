"""Rows grouped by what they answer."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray

__all__ = ["missing_patterns"]

Rows = npt.NDArray[np.intp]


def missing_patterns(values: FloatArray) -> Iterator[tuple[npt.NDArray[np.bool_], Rows]]:
    """Each pattern of answered columns, with the rows that have it.

    Examples
    --------
    >>> values = np.array([[1.0, 2.0], [np.nan, 1.0], [3.0, 4.0]])
    >>> [(there.tolist(), rows.tolist()) for there, rows in missing_patterns(values)]
    [([False, True], [1]), ([True, True], [0, 2])]
    """
    there = ~np.isnan(values)
    patterns, number = np.unique(there, axis=0, return_inverse=True)
    order = np.argsort(number.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(number.ravel(), minlength=len(patterns)))[:-1]
    yield from zip(patterns, np.split(order, ends)[: len(patterns)], strict=True)
