"""By how many people two reports differ: who answered what, kept as sums of fingerprints.

No answer stands in the sums, but whoever knows by which codes people go can try answers out: they are as confidential
as the answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["Answered", "People", "answered", "fewest_apart", "least_people", "three_digits"]

_DRAWERS = 512
_PLACE = ("respondent", "unit")

Marks = npt.NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class Answered:
    """Who gave which answer to one question in one wave.

    Every person has a drawer; in it lies the sum of the marks of all answers there, a mark being a fingerprint of
    person, unit and answer.

    Attributes
    ----------
    n : int
        Answers.
    named : bool
        Persons go by a code, so that a changed answer stays in its drawer.
    drawers : (512,) uint32 array
    """

    n: int
    named: bool
    drawers: npt.NDArray[np.uint32]

    def apart(self, other: Answered) -> float:
        """People whose answers are in one of the two only, or differ; never more than there are."""
        differ = float((self.drawers != other.drawers).sum())
        return max(differ if self.named and other.named else differ / 2.0, float(abs(self.n - other.n)))

    def record(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {"n": self.n, "named": self.named, "drawers": self.drawers.astype("<u4").tobytes().hex()}

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> Self:
        """What :meth:`record` was made of.

        Raises
        ------
        ValueError
            The sums are not as many as there are drawers.
        """
        drawers = np.frombuffer(bytes.fromhex(record["drawers"]), dtype="<u4").astype(np.uint32)
        if len(drawers) != _DRAWERS:
            raise ValueError(f"{len(drawers)} drawers")
        return cls(int(record["n"]), bool(record["named"]), drawers)


People = Mapping[str, Answered]
"""Who answered each question in each wave, by ``table.item`` or ``table.item.wave``."""


def answered(tables: Mapping[str, pd.DataFrame], items: Mapping[str, Sequence[str]]) -> dict[str, Answered]:
    """Who answered each of the items, wave by wave.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        With the columns ``respondent``, ``unit`` and ``wave`` as far as there are some.
    items : mapping of str to sequence of str
        Items by table.

    Examples
    --------
    >>> rows = pd.DataFrame({"respondent": list("abcd"), "x": [1.0, 2.0, 3.0, np.nan]})
    >>> before = answered({"t": rows[1:]}, {"t": ["x"]})["t.x"]
    >>> now = answered({"t": rows.assign(x=rows["x"] % 3)}, {"t": ["x"]})["t.x"]
    >>> before.n, now.n, before.apart(now)
    (2, 3, 2.0)
    """
    found: dict[str, Answered] = {}
    for name, columns in items.items():
        frame = tables.get(name)
        if frame is None:
            continue
        waves = frame.groupby("wave", dropna=False) if "wave" in frame else [(None, frame)]
        for wave, rows in waves:
            when = "" if wave is None else f".{_text(wave)}"
            asked = [item for item in dict.fromkeys(columns) if item in rows and rows[item].notna().any()]
            found |= {f"{name}.{item}{when}": who for item, who in _answered(rows, asked).items()}
    return found


def _answered(rows: pd.DataFrame, items: Sequence[str]) -> dict[str, Answered]:
    place = np.zeros(len(rows), dtype=np.uint64)
    for name in _PLACE:
        place = _mixed(place, _codes(rows[name])) if name in rows else place
    person = _codes(rows["respondent"]) if "respondent" in rows else None
    return {item: _sums(rows[item], place, person) for item in items}


def _sums(column: pd.Series, place: Marks, person: Marks | None) -> Answered:
    given = column.notna().to_numpy()
    marks = _mixed(place, _codes(column))[given]
    drawer = ((marks if person is None else person[given]) % np.uint64(_DRAWERS)).astype(np.intp)
    sums = np.zeros(_DRAWERS, dtype=np.uint64)
    np.add.at(sums, drawer, marks & np.uint64(0xFFFFFFFF))
    return Answered(int(given.sum()), person is not None, (sums & np.uint64(0xFFFFFFFF)).astype(np.uint32))


def _codes(column: pd.Series) -> Marks:
    """A number for each value that is the same for the same value in every table, machine and version."""
    places, values = pd.factorize(column.astype(object), use_na_sentinel=False)
    codes = [int.from_bytes(blake2b(_text(value).encode(), digest_size=8).digest(), "little") for value in values]
    return np.asarray(np.array(codes, dtype=np.uint64)[places])


def _text(value: Any) -> str:
    return f"{float(value):.9g}" if isinstance(value, int | float | np.number) else str(value)


def _mixed(marks: Marks, more: Marks) -> Marks:
    """Two numbers as one that tells of neither (the finaliser of SplitMix64)."""
    found = marks * np.uint64(0x9E3779B97F4A7C15) + more
    found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(found ^ (found >> np.uint64(31)))


def fewest_apart(today: People, earlier: Sequence[People]) -> float:
    """Fewest people by whom any question of today differs from the same question in an earlier report.

    Infinite where nothing was asked before, or everything is as it was.
    """
    gaps = [now.apart(told[name]) for told in earlier for name, now in today.items() if name in told]
    return min((gap for gap in gaps if gap > 0), default=float("inf"))


def least_people(variables: int) -> int:
    """People who must stand behind a matrix of so many variables, with their means, in full digits.

    Six answers for each number: far fewer, and the answers could be worked out from the numbers, since answers are
    whole. Two reports that differ by fewer people give the matrix of these people by subtraction. Half as many as
    there are drawers is the most: of more, two reports cannot be told apart by their number.

    Examples
    --------
    >>> least_people(9), least_people(22)
    (36, 75)
    """
    return min(3 * (variables + 3), _DRAWERS // 2)


def three_digits(column: pd.Series) -> pd.Series:
    """Numbers of a column in three digits; whole ones and everything else stay.

    Examples
    --------
    >>> three_digits(pd.Series([0.0123456, 1234.5, 983.0])).tolist()
    [0.0123, 1230.0, 983.0]
    """
    if column.dtype.kind != "f":
        return column
    values = column.to_numpy(float)
    known = np.isfinite(values) & (values != np.round(values))
    shown = [float(f"{value:.3g}") if short else value for value, short in zip(values, known, strict=True)]
    return pd.Series(shown, index=column.index, dtype=float)
