"""How the report of a study is to look: its title, readers, language, colours, what is left out, and its levers."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["LARGEST_LOGO", "Audience", "LeverSpec", "ReportSpec", "logo_address"]

Audience = Literal["board", "analyst", "researcher"]

LARGEST_LOGO = 300_000
"""Bytes; the page has to stay small."""

_MEDIA = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".svg": "svg+xml"}


@dataclass(frozen=True, slots=True)
class LeverSpec:
    """Something the firm could do, as the study document states it.

    Attributes
    ----------
    construct : str
        What it moves.
    by : float or None
        How far; a usual step when None.
    cost : float
        Spent once.
    running_cost : float
        Spent each period.
    label : str
        Name for readers; that of the construct when empty.
    """

    construct: str
    by: float | None = None
    cost: float = 0.0
    running_cost: float = 0.0
    label: str = ""


@dataclass(frozen=True, slots=True)
class ReportSpec:
    """How the report is to look.

    Attributes
    ----------
    title : str
        Empty for the study's own name.
    subtitle : str
        Below the title; what the report has when empty.
    audience : {"board", "analyst", "researcher"}
        For whom: a researcher reads all of it, an analyst all but equations and replication, a board neither method
        nor long tables. What limits a number is read by all.
    language : str
        Of the report's own words.
    leave_out : tuple of str
        Sections left out; caveats cannot be.
    accent : str
        Colour ``#rrggbb`` of links and marks; the house's own when empty.
    logo : str
        A picture as a ``data:`` address; none when empty.
    levers : tuple of LeverSpec
        What the scenarios offer.
    """

    title: str = ""
    subtitle: str = ""
    audience: Audience = "researcher"
    language: str = "en"
    leave_out: tuple[str, ...] = ()
    accent: str = ""
    logo: str = ""
    levers: tuple[LeverSpec, ...] = ()


def logo_address(path: Path) -> str | None:
    """A picture as a ``data:`` address; None when the file is no picture that a page shows.

    A picture in an ``img`` element runs no script, whatever is in it.
    """
    data, media = path.read_bytes(), _MEDIA.get(path.suffix.lower())
    starts = {"png": b"\x89PNG", "jpeg": b"\xff\xd8\xff", "webp": b"RIFF"}
    sound = b"<svg" in data[:4096] if media == "svg+xml" else media in starts and data.startswith(starts[media])
    return f"data:image/{media};base64,{base64.b64encode(data).decode()}" if sound else None
