"""What a gate released before: known rows, which a new table must not be subtracted from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.disclosure.cells import key_frame
from spc.errors import UsageError
from spc.linalg import FloatArray

__all__ = ["Release", "release_of", "same_people", "with_known"]

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Release:
    """What one earlier table of groups made known."""

    side: str
    keys: pd.DataFrame
    n: FloatArray
    shown: BoolArray


def release_of(totals: pd.DataFrame, keys: list[str], side: str, table: str) -> Release:
    """Rows that readers know already, as a release that showed everything."""
    absent = [column for column in [*keys, side] if column not in totals]
    if absent:
        raise UsageError(
            f"{table}: totals have no column {', '.join(map(repr, absent))}; lay them out as the table itself."
        )
    n = totals[side].to_numpy(float)
    return Release(side, key_frame(totals, keys), n, np.ones(len(n), dtype=bool))


def _joined(keys: pd.DataFrame, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    wide = keys.reindex(columns=list(columns)).astype(object)
    return [tuple(None if pd.isna(v) else v for v in row) for row in wide.itertuples(index=False)]


def same_people(earlier: Release, side: str, keys: pd.DataFrame, n: FloatArray) -> bool:
    """Whether an earlier table tells of the same people: comparable keys, and the same counts column or counts."""
    old, new = set(earlier.keys.columns), set(keys.columns)
    if not (old <= new or new <= old):
        return False
    if earlier.side == side:
        return True
    columns = sorted(old | new)
    before = dict(zip(_joined(earlier.keys, columns), earlier.n, strict=True))
    shared = [(before[key], size) for key, size in zip(_joined(keys, columns), n, strict=True) if key in before]
    return bool(shared) and all(a == b for a, b in shared)


def with_known(
    keys: pd.DataFrame, n: FloatArray, known: Sequence[Release], minimum: int
) -> tuple[pd.DataFrame, FloatArray, BoolArray, BoolArray]:
    """Rows of the new table followed by what is known already; which are fixed; which stay hidden."""
    columns = list(dict.fromkeys([*keys.columns, *(c for r in known for c in r.keys.columns)]))
    rows = {key: i for i, key in enumerate(_joined(keys, columns))}
    sizes, fixed = list(n), [False] * len(n)
    refused = [False] * len(n)
    for release in known:
        for key, size, shown in zip(_joined(release.keys, columns), release.n, release.shown, strict=True):
            at = rows.get(key)
            if at is None and shown:
                rows[key] = len(sizes)
                sizes.append(size)
                fixed.append(True)
                refused.append(False)
            elif at is not None and at < len(n):
                same = size == sizes[at]
                fixed[at] = fixed[at] or (shown and same)
                refused[at] = refused[at] or (not shown and same) or (shown and 0 < abs(size - sizes[at]) < minimum)
    fixed_array = np.array(fixed, dtype=bool)
    return (
        pd.DataFrame(list(rows), columns=columns),
        np.array(sizes, float),
        fixed_array,
        np.array(refused) & ~fixed_array,
    )
