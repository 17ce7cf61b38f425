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

__all__ = ["close_waves", "hidden_elsewhere", "over_waves", "tells"]

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
    groups: Sequence[Places], n: FloatArray, values: FloatArray, *, minimum: int, digits: int, limits: FloatArray
) -> BoolArray:
    """Rows whose difference from the same group in an earlier wave tells of too few people.

    Parameters
    ----------
    groups : sequence of int arrays
        See :func:`over_waves`.
    n : (m,) array
    values : (m, v) array
        Means.
    minimum, digits, limits
        See :func:`tells`.

    Examples
    --------
    >>> keys = pd.DataFrame({"unit": ["a", "a", "b", "b"], "wave": [1, 2, 1, 2]})
    >>> n, mean = np.array([10.0, 11.0, 10.0, 20.0]), np.array([[4.0], [4.2], [3.0], [3.3]])
    >>> close_waves(over_waves(keys, "wave"), n, mean, minimum=5, digits=2, limits=np.array([[1.0, 7.0]]))
    array([False,  True, False, False])
    """
    flags = np.zeros(len(n), dtype=bool)
    for rows in groups:
        for place, row in enumerate(rows):
            told = [r for r in rows[:place] if not flags[r] and n[r] >= minimum]
            flags[row] = any(
                tells(n[r], values[r], n[row], values[row], minimum=minimum, digits=digits, limits=limits)
                for r in told
            )  # fmt: skip
    return flags


def tells(
    before: float,
    mean: FloatArray,
    now: float,
    mean_now: FloatArray,
    *,
    minimum: int,
    digits: int,
    limits: FloatArray,
) -> bool:
    """Whether two means of nearly the same people tell of those who are in one of them only.

    Those people's mean follows from the two up to rounding, and lies on the scale. It must stay open by the stated
    width where they are fewer than the minimum, and must not put all of them at one end of the scale. Where no answer
    on the scale fits, the others have changed their answers and nothing follows.

    Parameters
    ----------
    before, now : float
        People.
    mean, mean_now : (v,) array
    minimum : int
    digits : int
        Decimals the means are rounded to.
    limits : (v, 2) array
        Ends of the scales; infinite where there is none, and then any difference of too few people tells.

    Examples
    --------
    >>> scale = {"minimum": 5, "digits": 1, "limits": np.array([[1.0, 7.0]])}
    >>> tells(10, np.array([4.0]), 11, np.array([4.1]), **scale)
    False
    >>> tells(10, np.array([4.0]), 11, np.array([4.1]), **scale | {"digits": 2})
    True
    """
    d = abs(now - before)
    if d == 0:
        return False
    free = ~np.isfinite(limits).all(axis=1)
    if free.any() and d < minimum:
        return True
    low, high = limits[~free].T
    told = (now * mean_now.round(digits) - before * mean.round(digits))[~free] / (now - before)
    slack = (now + before) * 10.0**-digits / 2.0 / d
    if d < minimum and np.isnan(told).any():
        return True
    least, most = np.maximum(told - slack, low), np.minimum(told + slack, high)
    width = WIDTH * (high - low)
    narrow = (most - least < width) if d < minimum else np.zeros(len(width), dtype=bool)
    at_end = np.minimum(high - least, most - low) * d < width * (minimum - 1)
    return bool(((least <= most) & (narrow | at_end)).any())


def hidden_elsewhere(groups: Sequence[Places], n: FloatArray, hidden: BoolArray, minimum: int) -> BoolArray:
    """Rows of nearly the same people as a row of another wave that is hidden."""
    flags = np.zeros(len(n), dtype=bool)
    for rows in groups:
        flags[rows] = (hidden[rows] & (np.abs(n[rows][:, None] - n[rows]) < minimum)).any(axis=1)
    return flags & ~hidden
