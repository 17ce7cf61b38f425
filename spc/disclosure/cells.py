"""From a listed table of groups to cells and membership, the language of :mod:`spc.disclosure.suppression`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError
from spc.linalg import FloatArray

__all__ = ["Layout", "earlier_wave", "inside", "key_frame", "layout"]

BoolArray = npt.NDArray[np.bool_]
CodeArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Layout:
    """Cells of a table of groups.

    Attributes
    ----------
    cells : (k,) array
        People in each cell: the groups that contain no other listed group, and one rest for each group that is
        larger than what is listed inside it.
    member : (m, k) bool array
        Whether row i contains cell j.
    leaf : (m,) bool array
        Rows that contain no other row.
    """

    cells: FloatArray
    member: BoolArray
    leaf: BoolArray


def inside(keys: pd.DataFrame) -> BoolArray:
    """Which row lies inside which: a missing key stands for all.

    Returns
    -------
    (m, m) bool array
        Entry (i, j): group j is group i or a part of it.

    Examples
    --------
    >>> inside(pd.DataFrame({"region": ["N", "N"], "unit": [None, "a"]}))
    array([[ True,  True],
           [False,  True]])
    """
    codes = _codes(keys)
    outer, inner = codes[:, None, :], codes[None, :, :]
    return np.asarray(((outer == -1) | (outer == inner)).all(axis=2))


def _codes(keys: pd.DataFrame) -> CodeArray:
    columns = [pd.factorize(keys[name].astype(object), use_na_sentinel=True)[0] for name in keys.columns]
    return np.column_stack(columns).astype(np.int64)


def layout(keys: pd.DataFrame, n: FloatArray, *, table: str) -> Layout:
    """Find the cells of a table of groups.

    Parameters
    ----------
    keys : (m, q) DataFrame
        Columns that name a group; a missing entry stands for all.
    n : (m,) array
        People in each row.
    table : str
        Name for messages.

    Raises
    ------
    DataError
        No row has all keys (the groups overlap in an unknown way), or a group is smaller than its parts.
    """
    contains = inside(keys)
    if len(keys) and not keys.notna().all(axis=1).any():
        raise DataError.of(
            table,
            None,
            "overlapping_groups",
            f"no row that has a value in each of {', '.join(map(repr, keys.columns))}",
            "groups that are nested, or the groups where two divisions cross",
            "Release one table for each division.",
        )
    leaf = contains.sum(axis=1) == 1
    member = contains[:, leaf]
    cells = n[leaf]
    for row in sorted(np.flatnonzero(~leaf), key=lambda i: int(contains[i].sum())):
        rest = float(n[row] - member[row] @ cells)
        if rest < 0:
            _refuse_smaller(keys, int(row), contains, table)
        elif rest > 0:
            cells = np.append(cells, rest)
            member = np.column_stack([member, contains[:, row]])
    return Layout(cells, member, leaf)


def _refuse_smaller(keys: pd.DataFrame, row: int, contains: BoolArray, table: str) -> None:
    """A total below its parts is an error in a hierarchy; where margins cross, rests may have been counted twice."""
    size = contains.sum(axis=1)
    shared = contains.astype(np.float32) @ contains.astype(np.float32).T
    if not np.all((shared == 0) | (shared == np.minimum.outer(size, size))):
        return
    named = ", ".join(f"{key} {value}" for key, value in keys.iloc[row].dropna().items()) or "the total"
    raise DataError.of(
        table,
        None,
        "total_below_parts",
        f"{named} has fewer people than the groups listed inside it",
        "every person in one group only",
        "Count each person once, or release the overlapping groups as separate tables.",
    )


def earlier_wave(keys: pd.DataFrame, n: FloatArray, *, wave: str, minimum: int, digits: int) -> BoolArray:
    """Rows that differ from the same group in the wave before by so few people that a difference tells of them.

    A change of d people among n is hidden when 0 < d < ``minimum``, unless rounding to ``digits`` decimals leaves the
    mean answer of those d open by a whole scale point or more (``n * 10**-digits >= d``).

    Parameters
    ----------
    keys : (m, q) DataFrame
        With the column ``wave``.
    n : (m,) array
    """
    others = [name for name in keys.columns if name != wave]
    order = pd.DataFrame({"row": np.arange(len(n)), "wave": keys[wave].to_numpy(), "n": n})
    order["group"] = keys[others].astype(str).agg("\x1f".join, axis=1).to_numpy() if others else ""
    order = order[order["wave"].notna()].sort_values(["group", "wave"], kind="stable")
    change = order.groupby("group")["n"].diff().abs()
    close = (change > 0) & (change < minimum) & (change > order["n"] * 10.0**-digits)
    flags = np.zeros(len(n), dtype=bool)
    flags[order.loc[close, "row"].to_numpy()] = True
    return flags


def key_frame(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Key columns as objects with None for all."""
    picked = frame[list(keys)].astype(object)
    return picked.where(picked.notna(), None).reset_index(drop=True)
