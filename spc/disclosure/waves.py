"""What one wave tells of another: who answers in both is taken to answer the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.disclosure.rows import BoolArray
from spc.disclosure.rule import WIDTH
from spc.linalg import FloatArray

__all__ = ["close_waves", "drowned", "hidden_elsewhere"]


def close_waves(
    keys: pd.DataFrame, n: FloatArray, *, wave: str, minimum: int, digits: int, limits: Sequence[tuple[float, float]]
) -> BoolArray:
    """Rows that differ from the same group in an earlier wave by so few people that the difference tells of them.

    A change of d people, 0 < d < ``minimum``, hides the later row unless the difference drowns in rounding.

    Parameters
    ----------
    keys : (m, q) DataFrame
        With the column ``wave``.
    n : (m,) array
    minimum, digits : int
    limits : pairs of float
        Ends of the scale of each value.

    Examples
    --------
    >>> keys = pd.DataFrame({"unit": ["a", "a", "b", "b"], "wave": [1, 2, 1, 2]})
    >>> close_waves(keys, np.array([10.0, 11.0, 10.0, 20.0]), wave="wave", minimum=5, digits=2, limits=[(1, 7)])
    array([False,  True, False, False])
    """
    flags = np.zeros(len(n), dtype=bool)
    for rows in _over_waves(keys, wave):
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


def hidden_elsewhere(keys: pd.DataFrame, n: FloatArray, hidden: BoolArray, *, wave: str, minimum: int) -> BoolArray:
    """Rows of nearly the same people as a row of another wave that is hidden."""
    flags = np.zeros(len(n), dtype=bool)
    for rows in _over_waves(keys, wave):
        flags[rows] = (hidden[rows] & (np.abs(n[rows][:, None] - n[rows]) < minimum)).any(axis=1)
    return flags & ~hidden


def _over_waves(keys: pd.DataFrame, wave: str) -> Iterator[npt.NDArray[np.intp]]:
    """Places of the rows of each group that has several waves, in their order."""
    others = [name for name in keys.columns if name != wave]
    timed = keys[keys[wave].notna()]
    marks = [repr(tuple(row)) for row in timed[others].itertuples(index=False)]
    for _, rows in timed.groupby(np.array(marks), sort=False):
        if len(rows) > 1:
            ranks = rows[wave].infer_objects()
            ranks = ranks if pd.api.types.is_numeric_dtype(ranks) else ranks.astype(str)
            yield rows.index.to_numpy()[np.argsort(ranks.to_numpy(), kind="stable")]
