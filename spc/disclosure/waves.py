"""What one wave tells of another: who answers in both is taken to answer the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.disclosure.rows import BoolArray
from spc.disclosure.rule import WIDTH
from spc.linalg import FloatArray

__all__ = ["close_waves", "drowned", "hidden_elsewhere", "over_waves"]

Places = npt.NDArray[np.intp]


def over_waves(keys: pd.DataFrame, wave: str) -> list[Places]:
    """Places of the rows of each group that has several waves, in their order.

    Examples
    --------
    >>> over_waves(pd.DataFrame({"unit": ["a", "b", "a"], "wave": [2, 1, 1]}), "wave")
    [array([2, 0])]
    """
    timed = keys[keys[wave].notna()]
    ranks = timed[wave].infer_objects()
    timed = timed.assign(**{wave: ranks if pd.api.types.is_numeric_dtype(ranks) else ranks.astype(str)})
    ordered = timed.sort_values(wave, kind="stable")
    others = [name for name in keys.columns if name != wave]
    groups: dict[tuple[Any, ...], list[int]] = {}
    for place, row in zip(ordered.index, ordered[others].itertuples(index=False), strict=True):
        groups.setdefault(tuple(row), []).append(int(place))
    return [np.array(rows) for rows in groups.values() if len(rows) > 1]


def close_waves(
    groups: Sequence[Places], n: FloatArray, *, minimum: int, digits: int, limits: Sequence[tuple[float, float]]
) -> BoolArray:
    """Rows that differ from the same group in an earlier wave by so few people that the difference tells of them.

    A change of d people, 0 < d < ``minimum``, hides the later row unless the difference drowns in rounding.

    Parameters
    ----------
    groups : sequence of int arrays
        See :func:`over_waves`.
    n : (m,) array
    minimum, digits : int
    limits : pairs of float
        Ends of the scale of each value.

    Examples
    --------
    >>> keys = pd.DataFrame({"unit": ["a", "a", "b", "b"], "wave": [1, 2, 1, 2]})
    >>> groups = over_waves(keys, "wave")
    >>> close_waves(groups, np.array([10.0, 11.0, 10.0, 20.0]), minimum=5, digits=2, limits=[(1, 7)])
    array([False,  True, False, False])
    """
    flags = np.zeros(len(n), dtype=bool)
    for rows in groups:
        for place, row in enumerate(rows):
            told = [r for r in rows[:place] if not flags[r] and n[r] >= minimum]
            flags[row] = any(
                0 < abs(n[row] - n[r]) < minimum and not drowned(n[row], n[r], digits, limits) for r in told
            )
    return flags


def drowned(one: float, other: float, digits: int, limits: Sequence[tuple[float, float]]) -> bool:
    """Whether rounding of two means leaves the mean of the people between them open by the stated width.

    Examples
    --------
    >>> drowned(500, 502, 2, [(1, 7)]), drowned(40, 42, 2, [(1, 7)]), drowned(500, 502, 2, [(-np.inf, np.inf)])
    (True, False, False)
    """
    slack = (one + other) * 10.0**-digits / abs(one - other)
    return all(slack >= WIDTH * (high - low) for low, high in limits)


def hidden_elsewhere(groups: Sequence[Places], n: FloatArray, hidden: BoolArray, minimum: int) -> BoolArray:
    """Rows of nearly the same people as a row of another wave that is hidden."""
    flags = np.zeros(len(n), dtype=bool)
    for rows in groups:
        flags[rows] = (hidden[rows] & (np.abs(n[rows][:, None] - n[rows]) < minimum)).any(axis=1)
    return flags & ~hidden
