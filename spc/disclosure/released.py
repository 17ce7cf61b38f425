"""What has passed the gate. Pages, pictures and exports take these values and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import InitVar, dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeVar

import pandas as pd

from spc.errors import UsageError
from spc.results import Note

__all__ = ["ReleasedModel", "ReleasedTable", "ReleasedText", "require_released"]

_SEAL: Final = object()
"""Known to this module and the gate only."""

T = TypeVar("T")


def _check_seal(seal: object, what: str) -> None:
    if seal is not _SEAL:
        raise UsageError(
            f"{what} cannot be made directly: it stands for values that have passed the gate of confidentiality. "
            "Use the methods of spc.disclosure.Gate."
        )


@dataclass(frozen=True, eq=False)
class ReleasedTable:
    """A table in which everything that must be hidden is missing.

    Attributes
    ----------
    name : str
        What the table is, for captions and the log.
    withheld : DataFrame of bool
        Which cells were hidden by the gate; same shape as ``frame``.
    hidden : int
        How many rows have a hidden cell.

    Raises
    ------
    UsageError
        When constructed anywhere but in the gate.
    """

    name: str
    _frame: pd.DataFrame = field(repr=False)
    _withheld: pd.DataFrame = field(repr=False)
    seal: InitVar[object] = None

    def __post_init__(self, seal: object) -> None:
        _check_seal(seal, "ReleasedTable")

    @property
    def frame(self) -> pd.DataFrame:
        """A copy of the table; hidden cells are missing."""
        return self._frame.copy()

    @property
    def withheld(self) -> pd.DataFrame:
        """A copy of the mask of hidden cells."""
        return self._withheld.copy()

    @property
    def hidden(self) -> int:
        """Rows with at least one hidden cell."""
        return int(self._withheld.to_numpy(dtype=bool).any(axis=1).sum())

    def records(self) -> list[dict[str, Any]]:
        """Rows as plain dictionaries for JSON; hidden and missing cells are None."""
        plain = self._frame.astype(object).where(self._frame.notna(), None)
        return [{str(key): _plain(value) for key, value in row.items()} for row in plain.to_dict("records")]


@dataclass(frozen=True)
class ReleasedText:
    """A text that may be shown."""

    text: str
    seal: InitVar[object] = None

    def __post_init__(self, seal: object) -> None:
        _check_seal(seal, "ReleasedText")

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, eq=False)
class ReleasedModel:
    """What may be shown of a result: its tables, its notes, and the words around it.

    Attributes
    ----------
    kind : str
        Kind of the result.
    tidy, glance : ReleasedTable
    notes : tuple of Note
        A note that named too small a group keeps code and severity and loses its text.
    curve : ReleasedTable or None
        ``augment()`` of results whose rows are periods or reasons, not people.
    regions : ReleasedTable or None
        Of a study: its units added up to their regions or parents.
    facts : mapping
        Options, versions and seed, as recorded by the result.
    labels : mapping of str to str
        Names of constructs in words.
    """

    kind: str
    tidy: ReleasedTable
    glance: ReleasedTable
    notes: tuple[Note, ...] = ()
    curve: ReleasedTable | None = None
    regions: ReleasedTable | None = None
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    seal: InitVar[object] = None

    def __post_init__(self, seal: object) -> None:
        _check_seal(seal, "ReleasedModel")

    def record(self) -> dict[str, Any]:
        """Everything as one plain dictionary for JSON."""
        return {
            "kind": self.kind,
            "tidy": self.tidy.records(),
            "glance": self.glance.records(),
            "notes": [
                {"code": n.code, "severity": n.severity, "subject": n.subject, "text": n.text} for n in self.notes
            ],
            "augment": None if self.curve is None else self.curve.records(),
            "regions": None if self.regions is None else self.regions.records(),
            "facts": {str(key): _plain(value) for key, value in self.facts.items()},
        }


def require_released(value: object, expected: type[T], taker: str) -> T:
    """Return ``value`` if the gate made it, else say what to do.

    Raises
    ------
    UsageError
        ``value`` is not exactly of type ``expected``: a subclass could have been made anywhere.

    Examples
    --------
    >>> require_released(pd.DataFrame(), ReleasedTable, "a figure")
    Traceback (most recent call last):
        ...
    spc.errors.UsageError: a figure takes a ReleasedTable, found a DataFrame. ...
    """
    if type(value) is expected:
        return value
    raise UsageError(
        f"{taker} takes a {expected.__name__}, found a {type(value).__name__}. "
        "Pass the values through spc.disclosure.Gate first."
    )


def _plain(value: Any) -> Any:
    """Value as JSON knows it: numpy scalars to Python's, infinities and missing to None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (str, bool)) or value is None:
        return value
    if isinstance(value, Iterable):
        return [_plain(inner) for inner in value]
    item = value.item() if hasattr(value, "item") else value
    if isinstance(item, float):
        return item if abs(item) < float("inf") else None
    return item if isinstance(item, (int, bool)) else str(item)
