"""What was released before: rows that readers know, which a new table must not be subtracted from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spc.disclosure.people import Answered, People
from spc.disclosure.rows import BoolArray, Parts, key_frame, with_totals
from spc.disclosure.waves import tells
from spc.errors import DataError, UsageError
from spc.files import write_all
from spc.linalg import FloatArray

__all__ = [
    "MEMORY",
    "Known",
    "Release",
    "of_waves",
    "read_memory",
    "release_of",
    "same_people",
    "with_known",
    "write_memory",
]

MEMORY = "released.json"
"""Name of the memory of a study, beside its document."""

Key = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Release:
    """One table of groups as it was released.

    Attributes
    ----------
    side : str
        Whose people: the name of the column of counts.
    keys : (m, q) DataFrame
    n : (m,) array
    values : (m, v) DataFrame
        As readers saw them; missing where hidden.
    shown : (m,) bool array
        All where left out.
    parts : mapping
        Groups made of several units.
    """

    side: str
    keys: pd.DataFrame
    n: FloatArray
    values: pd.DataFrame
    shown: BoolArray = field(default_factory=lambda: np.ones(0, dtype=bool))
    parts: Parts = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.shown) != len(self.n):
            object.__setattr__(self, "shown", np.ones(len(self.n), dtype=bool))

    def record(self) -> dict[str, Any]:
        """As plain values for JSON."""
        values = self.values.astype(object).where(self.values.notna(), None)
        return {
            "side": self.side, "keys": list(self.keys.columns), "values": list(self.values.columns),
            "rows": [
                [*key, int(n), bool(shown), *row]
                for key, n, shown, row in zip(
                    self.keys.itertuples(index=False), self.n, self.shown, values.itertuples(index=False), strict=True
                )
            ],
            "parts": {name: sorted(units) for name, units in self.parts.items()},
        }  # fmt: skip

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Release:
        """The release that :meth:`record` was made of."""
        keys, names = list(record["keys"]), list(record["values"])
        frame = pd.DataFrame(record["rows"], columns=[*keys, "\x1fn", "\x1fshown", *names])
        parts = {name: frozenset(units) for name, units in record["parts"].items()}
        n, shown = frame["\x1fn"].to_numpy(float), frame["\x1fshown"].to_numpy(bool)
        return cls(str(record["side"]), key_frame(frame, keys), n, frame[names].astype(float), shown, parts)


def read_memory(folder: Path) -> tuple[list[Release], list[People]]:
    """What earlier reports of a study released, and on whom they rested; nothing where no memory is beside the study.

    Raises
    ------
    DataError
        The file is not what :func:`write_memory` writes: what readers know can then no longer be told.
    """
    path = Path(folder) / MEMORY
    if not path.is_file():
        return [], []
    try:
        found = json.loads(path.read_text("utf-8"))
        people: list[People] = [
            {name: Answered.of_record(record) for name, record in told.items()} for told in found.get("people", [])
        ]
        return [Release.of_record(record) for record in found["releases"]], people
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError.of(
            MEMORY, None, "damaged_file", f"a memory of earlier reports that cannot be read ({error})",
            "the file as it was written", "Bring it back from a copy; delete it only if no report has been given away.",
        ) from None  # fmt: skip


def write_memory(folder: Path, releases: Iterable[Release], people: Iterable[People] = ()) -> Path:
    """Keep what was released, each once, for the reports to come. The file is as confidential as the answers."""
    tables = _lines(each.record() for each in releases)
    asked = _lines({name: found.record() for name, found in told.items()} for told in people if told)
    text = '{"releases": [\n' + tables + '\n],\n"people": [\n' + asked + "\n]}\n"
    return write_all(Path(folder), {MEMORY: text}, force=True)[0]


def _lines(records: Iterable[Mapping[str, Any]]) -> str:
    return ",\n".join(dict.fromkeys(json.dumps(each, ensure_ascii=False, sort_keys=True) for each in records))


def release_of(totals: pd.DataFrame, keys: list[str], side: str, values: Sequence[str], table: str) -> Release:
    """Rows that readers know already, as a release that showed everything."""
    absent = [column for column in [*keys, side] if column not in totals]
    if absent:
        raise UsageError(
            f"{table}: totals have no column {', '.join(map(repr, absent))}; lay them out as the table itself."
        )
    n = totals[side].to_numpy(float)
    given = totals.reset_index(drop=True).reindex(columns=list(values)).astype(float)
    return Release(side, key_frame(totals, keys), n, given)


def of_waves(earlier: Release, keys: pd.DataFrame, wave: str) -> Release:
    """An earlier table beside one that has waves where it has none, or the other way: without waves is the latest."""
    here, there = wave in keys, wave in earlier.keys
    if here == there:
        return earlier
    if here:
        latest = keys[wave].dropna()
        return replace(earlier, keys=earlier.keys.assign(**{wave: latest.max() if len(latest) else None}))
    latest = earlier.keys[wave].dropna()
    rows = (earlier.keys[wave] == latest.max()).to_numpy() if len(latest) else np.zeros(len(earlier.keys), dtype=bool)
    return replace(
        earlier, keys=earlier.keys.drop(columns=wave)[rows].reset_index(drop=True), n=earlier.n[rows],
        shown=earlier.shown[rows], values=earlier.values[rows].reset_index(drop=True),
    )  # fmt: skip


def _joined(keys: pd.DataFrame, columns: Sequence[str]) -> list[Key]:
    wide = keys.reindex(columns=list(columns)).astype(object)
    return [tuple(None if pd.isna(v) else v for v in row) for row in wide.itertuples(index=False)]


def same_people(earlier: Release, today: Release) -> bool:
    """Whether an earlier table tells of the same people: comparable keys, and the same counts column or counts."""
    old, new = set(earlier.keys.columns), set(today.keys.columns)
    if not (old <= new or new <= old):
        return False
    if earlier.side == today.side:
        return True
    columns = sorted(old | new)
    before = dict(zip(_joined(earlier.keys, columns), earlier.n, strict=True))
    shared = [(before[key], n) for key, n in zip(_joined(today.keys, columns), today.n, strict=True) if key in before]
    return bool(shared) and all(a == b for a, b in shared)


@dataclass(frozen=True, eq=False)
class Known:
    """The rows of a new table, followed by those that readers know already, and the total.

    Attributes
    ----------
    keys, n, sums :
        Of all rows, sums NaN where the value was not shown.
    known : bool array
        Rows that readers have seen, or nearly.
    refused : bool array
        Rows of the new table that differ from what was seen by too few people.
    kept : bool array
        Rows that were hidden before and stay so.
    parts : mapping
    """

    keys: pd.DataFrame
    n: FloatArray
    sums: FloatArray
    known: BoolArray
    refused: BoolArray
    kept: BoolArray
    parts: Parts


def with_known(
    today: Release,
    earlier: Sequence[Release],
    *,
    minimum: int,
    digits: int,
    limits: FloatArray,
    wave: str | None,
) -> Known:
    """Put what is known beside the rows of a new table, whose values are all given."""
    columns = list(dict.fromkeys([*today.keys.columns, *(c for r in earlier for c in r.keys.columns)]))
    names = list(today.values.columns)
    rows = {key: i for i, key in enumerate(_joined(today.keys, columns))}
    sizes, sums = list(today.n), list(_sums(today, names))
    known, refused, kept = ([False] * len(sizes) for _ in range(3))
    parts = dict(today.parts)
    for number, release in enumerate(earlier):
        own, release_parts = _renamed(release, parts, number)
        parts |= release_parts
        for key, size, shown, told in zip(_joined(own, columns), release.n, release.shown, _sums(release, names),
                                          strict=True):  # fmt: skip
            at = rows.get(key)
            if at is None and shown:
                rows[key] = len(sizes)
                sizes.append(size)
                sums.append(told)
                known, refused, kept = [*known, True], [*refused, False], [*kept, False]
            elif at is not None and at < len(today.n):
                apart = abs(size - sizes[at])
                known[at] |= bool(shown and apart < minimum)
                kept[at] |= bool(not shown and apart < minimum)
                refused[at] |= bool(shown and 0 < apart < minimum)
                refused[at] |= bool(shown) and tells(
                    size, told / max(size, 1.0), sizes[at], sums[at] / max(sizes[at], 1.0),
                    minimum=minimum, digits=digits, limits=limits,
                )  # fmt: skip
    keys = pd.DataFrame(list(rows), columns=columns, dtype=object)
    told = np.array(sums, dtype=float).reshape(len(sizes), len(names))
    every, n, all_sums = with_totals(keys, np.array(sizes, float), told, wave, parts)
    more = len(n) - len(sizes)
    seen, other, hidden = (np.array(flags, dtype=bool) for flags in (
        known + [True] * more, refused + [False] * more, kept + [False] * more
    ))  # fmt: skip
    return Known(every, n, all_sums, seen, other, hidden & ~seen, parts)


def _sums(release: Release, names: Sequence[str]) -> FloatArray:
    values = release.values.reindex(columns=list(names)).to_numpy(float)
    return np.asarray(np.where(release.n[:, None] > 0, values * release.n[:, None], 0.0))


def _renamed(release: Release, parts: Parts, number: int) -> tuple[pd.DataFrame, Parts]:
    """Keys and groups of an earlier table; a group of the same name and other units goes by another name."""
    names = {name: f"{name}\x1f{number}" for name, units in release.parts.items() if parts.get(name, units) != units}
    return release.keys.replace(names) if names else release.keys, {
        names.get(name, name): units for name, units in release.parts.items()
    }
