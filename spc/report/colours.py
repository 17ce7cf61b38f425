"""Colours of a firm, made readable: as dark or as light as text on the page has to be."""

from __future__ import annotations

__all__ = ["contrast", "readable_accent"]

_LIGHT, _DARK = "#eef5f6", "#1b2a30"
"""The darkest of the light surfaces and the lightest of the dark ones that it stands on."""
_ENOUGH = 4.6
"""WCAG asks for 4.5 between text and page; rounding has to leave that."""


def readable_accent(colour: str) -> tuple[str, str]:
    """A colour for light pages and one for dark pages, each the nearest that can be read there.

    Parameters
    ----------
    colour : str
        ``#rrggbb``.

    Examples
    --------
    >>> readable_accent("#0f6f8c")[0]
    '#0f6f8c'
    >>> light, dark = readable_accent("#ffee00")
    >>> contrast(light, "#fbfbf9") > 4.5, contrast(dark, "#181e23") > 4.5
    (True, True)
    """
    return _until(colour, _LIGHT, "#000000"), _until(colour, _DARK, "#ffffff")


def _until(colour: str, page: str, towards: str) -> str:
    for step in range(101):
        mixed = _mixed(colour, towards, step / 100)
        if contrast(mixed, page) >= _ENOUGH:
            return mixed
    return towards


def _mixed(one: str, other: str, share: float) -> str:
    pairs = zip(_parts(one), _parts(other), strict=True)
    return "#" + "".join(f"{round(a + share * (b - a)):02x}" for a, b in pairs)


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def contrast(one: str, other: str) -> float:
    """Contrast of two colours as WCAG 2 defines it, from 1 to 21.

    Examples
    --------
    >>> contrast("#000000", "#ffffff")
    21.0
    """
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    shares = [part / 255 for part in _parts(colour)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
