"""From a listed table of groups to cells and membership, the language of :mod:`spc.disclosure.suppression`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError
from spc.linalg import FloatArray

__all__ = ["Cells", "Parts", "inside", "key_frame", "layout", "nested", "with_totals"]

BoolArray = npt.NDArray[np.bool_]
CodeArray = npt.NDArray[np.int64]
Parts = Mapping[str, frozenset[str]]
"""Name of a group made of several units to their names."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Smallest groups of people that a table tells apart.

    Attributes
    ----------
    n : (k,) array
        People in each cell: the groups that contain no other listed group, and one rest for each group that is
        larger than what is listed inside it.
    member : (m, k) bool array
        Whether row i contains cell j.
    sums : (k, v) array
        Sum of each value over the people of a cell; NaN where it is not known.
    low, high : (v,) array
        Ends of the scale of each value; infinite where it has none.
    """

    n: FloatArray
    member: BoolArray
    sums: FloatArray
    low: FloatArray
    high: FloatArray

    @cached_property
    def people(self) -> FloatArray:
        """People in each row, (m,)."""
        return np.asarray(self.member @ self.n)

    @cached_property
    def first(self) -> CodeArray:
        """First cell of each row, (m,)."""
        return np.asarray(self.member.argmax(axis=1))

    @cached_property
    def is_nested(self) -> bool:
        """Whether any two rows are nested or apart."""
        return nested(self.member)


def nested(member: BoolArray) -> bool:
    """Whether any two rows are nested or apart.

    Examples
    --------
    >>> nested(np.array([[1, 0, 0], [1, 1, 0]], bool)), nested(np.array([[1, 1, 0], [0, 1, 1]], bool))
    (True, False)
    """
    owner = np.full(member.shape[1], -1)
    for row in np.argsort(-member.sum(axis=1), kind="stable"):
        cells = np.flatnonzero(member[row])
        if len(cells) and (owner[cells] != owner[cells[0]]).any():
            return False
        owner[cells] = row
    return True


def inside(keys: pd.DataFrame, parts: Parts | None = None) -> BoolArray:
    """Which row lies inside which: a missing key stands for all.

    Parameters
    ----------
    keys : (m, q) DataFrame
    parts : mapping of str to frozenset of str, optional
        Units of a group that goes by one name.

    Returns
    -------
    (m, m) bool array
        Entry (i, j): group j is group i or a part of it.

    Examples
    --------
    >>> inside(pd.DataFrame({"region": ["N", "N"], "unit": [None, "a"]}))
    array([[ True,  True],
           [False,  True]])
    >>> inside(pd.DataFrame({"unit": ["a + b", "a", "c"]}), {"a + b": frozenset("ab")})[0]
    array([ True,  True, False])
    """
    found = np.ones((len(keys), len(keys)), dtype=bool)
    for name in keys.columns:
        codes, joint = _codes(keys[name], parts or {})
        holds = (codes[:, None] == -1) | (codes[:, None] == codes[None, :])
        for row, whole in joint.items():
            holds[row] |= [isinstance(v, str) and _units(v, parts) <= whole for v in keys[name]]
        found &= holds
    return found


def _crossing(keys: pd.DataFrame, parts: Parts) -> BoolArray:
    """Which rows may share people though neither lies inside the other."""
    shared = np.ones((len(keys), len(keys)), dtype=bool)
    for name in keys.columns:
        codes, joint = _codes(keys[name], parts)
        meets = (codes[:, None] == -1) | (codes[None, :] == -1) | (codes[:, None] == codes[None, :])
        for row, whole in joint.items():
            common = np.array([isinstance(v, str) and not _units(v, parts).isdisjoint(whole) for v in keys[name]])
            meets[row] |= common
            meets[:, row] |= common
        shared &= meets
    within = inside(keys, parts)
    return shared & ~within & ~within.T


def _codes(column: pd.Series, parts: Parts) -> tuple[CodeArray, dict[int, frozenset[str]]]:
    """Codes of the keys, -1 for all; and the units of the rows that are made of several."""
    values = column.astype(object)
    joint = {int(row): parts[values.iloc[row]] for row in np.flatnonzero(values.isin(list(parts)))} if parts else {}
    return pd.factorize(values, use_na_sentinel=True)[0].astype(np.int64), joint


def _units(name: str, parts: Parts | None) -> frozenset[str]:
    return (parts or {}).get(name, frozenset((name,)))


def layout(
    keys: pd.DataFrame,
    n: FloatArray,
    sums: FloatArray,
    *,
    limits: FloatArray,
    table: str,
    parts: Parts | None = None,
    listed: int | None = None,
) -> Cells:
    """Find the cells of a table of groups.

    Parameters
    ----------
    keys : (m, q) DataFrame
        Columns that name a group; a missing entry stands for all.
    n : (m,) array
        People in each row.
    sums : (m, v) array
        Sum of each value over the people of a row.
    limits : (v, 2) array
        Ends of the scale of each value.
    table : str
        Name for messages.
    parts : mapping, optional
        See :func:`inside`.
    listed : int, optional
        Rows of the table itself; those after it are known from elsewhere, and may be a little out of date.

    Raises
    ------
    DataError
        Two groups that contain no other may share people, or a group of the table is smaller than its parts.
    """
    contains = inside(keys, parts)
    leaf = contains.sum(axis=1) == 1
    if _crossing(keys[leaf], parts or {}).any():
        raise DataError.of(
            table,
            None,
            "overlapping_groups",
            f"groups by {', '.join(map(repr, keys.columns))} that may share people",
            "groups that are nested, or the groups where two divisions cross",
            "Release one table for each division.",
        )
    member, cells, added = contains[:, leaf], n[leaf], sums[leaf]
    for row in sorted(np.flatnonzero(~leaf), key=lambda i: int(contains[i].sum())):
        rest = float(n[row] - member[row] @ cells)
        if rest < 0 and row < (len(n) if listed is None else listed):
            _refuse_smaller(keys, int(row), contains, table)
        elif rest > 0:
            left = sums[row] - member[row] @ added
            cells, added = np.append(cells, rest), np.vstack([added, left])
            member = np.column_stack([member, contains[:, row]])
    low, high = limits.reshape(-1, 2).T
    return Cells(cells, member, added, low, high)


def _refuse_smaller(keys: pd.DataFrame, row: int, contains: BoolArray, table: str) -> None:
    """A total below its parts is an error in a hierarchy; where margins cross, rests may have been counted twice."""
    if not nested(contains):
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


def with_totals(
    keys: pd.DataFrame, n: FloatArray, sums: FloatArray, wave: str | None, parts: Parts
) -> tuple[pd.DataFrame, FloatArray, FloatArray]:
    """Add the total, of every wave where there is one: whether it is listed or not, somebody knows it.

    Only the groups that lie in no other are added up; where these overlap, the total cannot be told and is left out.
    """
    contains = inside(keys, parts)
    rows, sizes, totals = [keys], [n], [sums]
    for each in [None] if wave is None else list(keys[wave].dropna().unique()):
        here = np.ones(len(keys), dtype=bool) if wave is None else (keys[wave] == each).to_numpy()
        others = [name for name in keys.columns if name != wave]
        top = here & (contains[here].sum(axis=0) == 1)
        if keys.loc[here, others].isna().all(axis=1).any() or _crossing(keys[top], parts).any():
            continue
        total = {name: each if name == wave else None for name in keys.columns}
        rows.append(pd.DataFrame([total], columns=keys.columns, dtype=object))
        sizes.append(n[top].sum(keepdims=True))
        totals.append(sums[top].sum(axis=0, keepdims=True))
    return pd.concat(rows, ignore_index=True).astype(object), np.concatenate(sizes), np.vstack(totals)


def key_frame(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Key columns as plain values with None for all."""
    picked = frame[list(keys)].reset_index(drop=True)
    return pd.DataFrame({name: pd.Series([_plain(v) for v in picked[name]], dtype=object) for name in keys})


def _plain(value: object) -> object:
    """A key as it comes back from a file."""
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    item = value.item() if isinstance(value, np.generic) else value
    if isinstance(item, float) and item.is_integer():
        return int(item)
    return item if isinstance(item, (str, int, float)) else str(item)
