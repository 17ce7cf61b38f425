"""A sentence that has not been said yet: the name of its template and what it speaks of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spc.words.catalogue import say

__all__ = ["Phrase", "phrase", "verdict_form"]


@dataclass(frozen=True, slots=True)
class Phrase:
    """A template and its values; as text it is in the language in force.

    Attributes
    ----------
    name : str
        Of the template.
    values : tuple of (str, object)
        Numbers, texts, phrases, and tuples of these.
    """

    name: str
    values: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return say(self.name, **dict(self.values))

    def __add__(self, other: object) -> Phrase:
        """One sentence after the other."""
        return phrase("list.sentences", first=self, second=other)

    def each(self, change: Callable[[str], str]) -> Phrase:
        """The same with every text in its values changed."""
        return Phrase(self.name, tuple((name, _changed(value, change)) for name, value in self.values))


def phrase(name: str, /, **values: object) -> Phrase:
    """A template that is filled in and said when it is read.

    Examples
    --------
    >>> str(phrase("list.sentences", first="One.", second=phrase("table.hidden")))
    'One. hidden'
    """
    return Phrase(name, tuple((key, tuple(v) if isinstance(v, list) else v) for key, v in values.items()))


def verdict_form(verdict: str, estimate: float) -> str:
    """Form of the templates on a link's verdict: links expected to be negative have forms of their own.

    Examples
    --------
    >>> verdict_form("practically nil", 0.01), verdict_form("holds", 0.4), verdict_form("holds", -0.4)
    ('practically_nil', 'holds', 'holds_less')
    >>> verdict_form("opposite", -0.4), verdict_form("opposite", 0.4)
    ('opposite', 'opposite_more')
    """
    if verdict == "holds" and estimate < 0:
        return "holds_less"
    if verdict == "opposite" and estimate > 0:
        return "opposite_more"
    return verdict.replace(" ", "_")


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, Phrase):
        return value.each(change)
    if isinstance(value, tuple):
        return tuple(_changed(one, change) for one in value)
    return change(value) if isinstance(value, str) else value
