"""Texts that leave: nothing in them that turns a line around, hides, or speaks to a terminal."""

from __future__ import annotations

import re

import pandas as pd

from spc.results import Note
from spc.words import speaking

__all__ = ["names_unit", "plain_frame", "plain_text"]

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\u2060\ufeff]")


def plain_text(value: object) -> object:
    r"""A text with control characters, marks that override its direction and unseen spaces replaced by ``\ufffd``.

    Anything that is no text comes back as it is.

    Examples
    --------
    >>> plain_text("North\x00\u202eevoba")
    'North\ufffd\ufffdevoba'
    """
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", value) if isinstance(value, str) else value


def plain_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """A copy of a table with plain texts in cells and headings, rows counted from 0."""
    own = frame.reset_index(drop=True).rename(columns=plain_text)
    for place, kind in enumerate(own.dtypes):
        column = own.iloc[:, place]
        if kind.kind == "O" and any(isinstance(cell, str) and _UNSEEN.search(cell) for cell in column):
            own.isetitem(place, pd.array([plain_text(cell) for cell in column], dtype=kind))
    return own


def names_unit(unit: str, note: Note) -> bool:
    """Whether a note names the unit; a bare number or one or two letters count only beside the word unit."""
    if note.subject == unit:
        return True
    word = rf"(?<!\w){re.escape(unit)}(?!\w)"
    pattern = rf"\bunits?\b[^.;]*?{word}" if unit.isdigit() or len(unit) < 3 else word
    with speaking("en"):
        told = f"{note.subject}; {note.text}"
    return re.search(pattern, told, flags=re.IGNORECASE) is not None
