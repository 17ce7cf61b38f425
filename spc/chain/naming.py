"""What the sides of a chain are called in sentences."""

from __future__ import annotations

from collections.abc import Mapping

from spc.study.study import SIDES
from spc.words import Phrase, phrase

__all__ = ["called", "title_of"]

_OF_TABLES = {table: side for side, table in SIDES.items()}


def called(side: str) -> Phrase:
    """The people of a side, or of a table of answers, with the wave they are taken at where it names one.

    Examples
    --------
    >>> [str(called(side)) for side in ("employee", "customer_responses", "customer_wave_2", "guests")]
    ['employees', 'customers', 'customers of wave 2', 'respondents of guests']
    """
    base, _, wave = side.partition("_wave_")
    base = _OF_TABLES.get(base, base)
    people = phrase(f"note.side.{base}") if base in SIDES else phrase("note.side.named", name=base)
    return phrase("note.side.wave", side=people, wave=wave) if wave else people


def title_of(name: str, labels: Mapping[str, str]) -> str:
    """A construct in words.

    Examples
    --------
    >>> title_of("nps", {"nps": "NPS"}), title_of("customer_loyalty", {})
    ('NPS', 'customer loyalty')
    """
    return labels.get(name) or name.replace("_", " ")
