"""The chain drawn once: boxes, and links as thick as their effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from textwrap import wrap
from typing import Any

import numpy as np
import pandas as pd

from spc.disclosure import ReleasedTable, require_released
from spc.linalg import FloatArray
from spc.plot.figure import Chart, Figure, Series, finish, floats, paint
from spc.plot.layers import Placement, place
from spc.plot.lines import (
    BOXINK,
    FONT,
    HALO,
    INK,
    Area,
    Piece,
    Point,
    Style,
    bezier,
    line,
    line_areas,
    outside,
    thickness,
    ways,
)
from spc.plot.numbers import bracket, estimate, wording
from spc.words import say

__all__ = ["VERDICTS", "chain_diagram", "verdict_words"]

VERDICTS: Mapping[str, tuple[str, str]] = {
    "holds": ("holds", ""),
    "unclear": ("unclear", "8 5"),
    "opposite": ("opposite", "14 4 3 4"),
    "practically nil": ("void", "3 4"),
    "too small to matter": ("holds", "18 5"),
    "not interpretable": ("void", "2 6"),
}
"""Verdict of a link to its colour and its dashes."""

GRADES = ("A", "B", "C", "D")
VOID = "not interpretable"

_WIDE = Style(across=False, box=(112, 62), gap=100, pitch=124, lane=80, letters=13)
_NARROW = Style(across=True, box=(136, 52), gap=86, pitch=180, lane=104, letters=16)


def verdict_words(verdict: str) -> str:
    """A verdict for readers.

    Examples
    --------
    >>> verdict_words("opposite"), verdict_words("anything else")
    ('runs the other way', 'cannot be told apart')
    """
    return say(f"verdict.{(verdict if verdict in VERDICTS else VOID).replace(' ', '_')}")


def chain_diagram(
    links: ReleasedTable,
    labels: Mapping[str, str] | None = None,
    *,
    title: str | None = None,
    evidence: ReleasedTable | None = None,
) -> Figure:
    """Draw the links of a chain, from causes on the left (above, on narrow pages) to effects.

    Thickness is the size of the standardised effect; colour and dashes are the verdict; the numbers are the change in
    the effect per unit of the cause, with their interval. Links that must not be interpreted are grey and without
    numbers. Links may form loops; those that close one run backwards. With grades of evidence colour is the grade,
    whose letter stands beside the number, and dashes alone are the verdict.

    Parameters
    ----------
    links : ReleasedTable
        Tidy rows; those of kind ``link`` are drawn.
    labels : mapping of str to str, optional
        Names of constructs in words.
    title : str, optional
    evidence : ReleasedTable, optional
        Tidy rows with those of kind ``grade``, see :func:`spc.evidence`.

    Returns
    -------
    Figure
        With a second drawing for narrow pages.

    Raises
    ------
    UsageError
        ``links`` or ``evidence`` has not passed the gate.
    """
    frame = require_released(links, ReleasedTable, "chain_diagram").frame
    rows = frame[(frame["kind"] == "link") & (frame["lhs"] != frame["rhs"])].drop_duplicates(["lhs", "rhs"])
    grades = {} if evidence is None else _grades(require_released(evidence, ReleasedTable, "chain_diagram").frame)
    rows = rows.assign(grade=[grades.get(pair, "") for pair in zip(rows["lhs"], rows["rhs"], strict=True)])
    words = {name: (labels or {}).get(name) or wording(name) for name in {*rows["lhs"], *rows["rhs"]}}
    placement = place(list(zip(rows["rhs"], rows["lhs"], strict=True)))
    wide = _draw(rows, words, placement, _WIDE)
    narrow = _draw(rows, words, placement, _NARROW)
    return finish(title or say("plot.chain"), _alt(rows, words), wide, narrow, chart=_chart(rows, words))


def _grades(frame: pd.DataFrame) -> dict[tuple[str, str], str]:
    rows = frame[(frame["kind"] == "grade") & frame["label"].isin(GRADES)]
    return dict(zip(zip(rows["lhs"], rows["rhs"], strict=True), rows["label"], strict=True))


def _look(row: Any) -> tuple[str, str]:
    """Colour and dashes of a link."""
    colour, dashes = VERDICTS.get(str(row.label), VERDICTS[VOID])
    return (f"grade-{row.grade.lower()}" if getattr(row, "grade", "") else colour), dashes


def _alt(rows: pd.DataFrame, words: Mapping[str, str]) -> str:
    if rows.empty:
        return say("plot.chain_none")
    said = []
    row: Any
    for row in rows.itertuples(index=False):
        size = (
            ""
            if not _readable(row.label)
            else f" ({estimate(row.estimate, row.conf_low, row.conf_high)}, {bracket(row.conf_low, row.conf_high)})"
        )
        grade = say("plot.chain_grade", grade=row.grade) if row.grade else ""
        said.append(
            say("plot.chain_item", cause=words[row.rhs], effect=words[row.lhs], verdict=verdict_words(str(row.label)),
                size=size, grade=grade)
        )  # fmt: skip
    return say("plot.chain_alt", said=say("list.semicolon").join(said))


def _chart(rows: pd.DataFrame, words: Mapping[str, str]) -> Chart:
    names = tuple(
        say("table.from_to", cause=words[x], effect=words[y]) for x, y in zip(rows["rhs"], rows["lhs"], strict=True)
    )
    readable = rows["label"].map(_readable).astype(bool)
    ends = [floats(rows[name].astype(float).where(readable)) for name in ("estimate", "conf_low", "conf_high")]
    return Chart("links", names, (Series("", ends[0], ends[1], ends[2]),))


def _draw(rows: pd.DataFrame, words: Mapping[str, str], placement: Placement, style: Style) -> str:
    spots, width, height = _spots(placement, style)
    legend, extra = _legend(rows, width, height)
    curves = ways(placement, spots, style)
    links: list[Any] = list(rows.itertuples(index=False))
    lines = [_line(curves[link.rhs, link.lhs], link, style) for link in links]
    boxes = [_box(spots[slot], words[slot[1]], style) for slot in spots if isinstance(slot[1], str)]
    taken = [(*_box_area(spots[slot], style), 9.0) for slot in spots if isinstance(slot[1], str)]
    taken += outside(width, height)
    taken += [area for way in curves.values() for area in line_areas(way)]
    numbers = [_number(curves[link.rhs, link.lhs], link, taken, style) for link in links if _readable(link.label)]
    body = "".join([*lines, *boxes, *numbers, legend])
    size = f'viewBox="0 0 {width:g} {height + extra:g}" style="width:100%;max-width:{width:g}px;{FONT}"'
    return f"<svg {size}>{body}</svg>"


def _readable(label: object) -> bool:
    return str(label) in VERDICTS and str(label) != VOID


def _spots(placement: Placement, style: Style) -> tuple[dict[tuple[int, object], Point], float, float]:
    """Middle of every slot, and the size of the page they need."""
    sizes = [[style.pitch if isinstance(s, str) else style.lane for s in layer] for layer in placement.layers]
    breadth = max((sum(layer) for layer in sizes), default=style.pitch) + 8
    spots: dict[tuple[int, object], Point] = {}
    for at, (layer, size) in enumerate(zip(placement.layers, sizes, strict=True)):
        across = (breadth - sum(size)) / 2
        along = 4 + style.depth / 2 + at * (style.depth + style.gap)
        for slot, room in zip(layer, size, strict=True):
            spots[at, slot] = style.spot(along, across + room / 2)
            across += room
    depth = 8 + len(sizes) * style.depth + max(len(sizes) - 1, 0) * style.gap
    width, height = style.spot(depth, breadth)
    return spots, width, height


def _line(way: Sequence[Piece], row: Any, style: Style) -> str:
    size = thickness(float(row.std_all)) if _readable(row.label) else 2.0
    return line(way, style, size, *_look(row))


def _number(way: Sequence[Piece], row: Any, taken: list[Area], style: Style) -> str:
    """Estimate and interval beside the line: the nearest place that covers no line, box or other number."""
    first, second = estimate(row.estimate, row.conf_low, row.conf_high), bracket(row.conf_low, row.conf_high)
    first += f" · {row.grade}" if row.grade else ""
    wide, high = max(len(first) * 8.0, len(second) * 6.0) + 4, 30.0
    areas, worth = zip(*_places(way, wide, high, style), strict=True)
    best = areas[int(np.argmin(_hidden(areas, taken) + np.array(worth)))]
    taken.append((*best, 9.0))
    x, y = (best[0] + best[2]) / 2, (best[1] + best[3]) / 2
    return (
        f'<text x="{x:.1f}" y="{y - 2:.1f}" style="{HALO};font-size:14px;font-weight:650;fill:{INK}">{first}</text>'
        f'<text x="{x:.1f}" y="{y + 12:.1f}" style="{HALO};font-size:11.5px;fill:{paint("muted")}">{second}</text>'
    )


def _places(way: Sequence[Piece], wide: float, high: float, style: Style) -> Iterator[tuple[Area, float]]:
    """Places for a number on either side of its line, nearer ones and those at its middle cheaper."""
    aside = (wide if style.across else high) / 2 + 6
    for piece in way:
        for t in (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8):
            for step in range(12):
                for side in (-1, 1):
                    x, y = style.shifted(bezier(piece, t), side * (aside + 5.0 * step))
                    area = (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)
                    yield area, 30.0 * abs(t - 0.5) + 14.0 * step


def _hidden(areas: Sequence[Area], taken: Sequence[Area]) -> FloatArray:
    """How much of what is taken each area would cover, by weight."""
    one, other = np.array(areas)[:, None, :], np.array(taken)[None, :, :]
    wide = np.minimum(one[..., 2], other[..., 2]) - np.maximum(one[..., 0], other[..., 0])
    high = np.minimum(one[..., 3], other[..., 3]) - np.maximum(one[..., 1], other[..., 1])
    covered: FloatArray = np.maximum(wide, 0.0) * np.maximum(high, 0.0) * other[..., 4]
    return np.asarray(covered.sum(axis=1))


def _box_area(middle: Point, style: Style) -> Area:
    x, y = middle
    wide, high = style.box
    return (x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)


def _box(middle: Point, label: str, style: Style) -> str:
    left, top, *_ = _box_area(middle, style)
    lines = wrap(label, style.letters, break_long_words=True)[:3] or [""]
    if len(" ".join(lines)) < len(" ".join(label.split())):
        lines[-1] = lines[-1][: style.letters - 1] + "…"
    start = middle[1] + 4.5 - 7.5 * (len(lines) - 1)
    text = "".join(
        f'<tspan x="{middle[0]:.1f}" y="{start + 15 * i:.1f}">{escape(line)}</tspan>' for i, line in enumerate(lines)
    )
    shape = f"fill:var(--spc-box, #f4f6f8);stroke:{paint('line')};stroke-width:1.2"
    size = f'width="{style.box[0]:g}" height="{style.box[1]:g}" rx="9"'
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" {size} style="{shape}"/>'
        f'<text style="font-size:13px;font-weight:600;text-anchor:middle;fill:{BOXINK}">{text}</text>'
    )


def _legend(rows: pd.DataFrame, width: float, top: float) -> tuple[str, float]:
    """Samples of the grades and verdicts in use, below the drawing."""
    graded = [letter for letter in GRADES if letter in set(rows["grade"])]
    there = [(f"grade-{letter.lower()}", "", say("plot.chain_legend", grade=letter)) for letter in graded]
    used = [(*VERDICTS[verdict], verdict_words(verdict)) for verdict in VERDICTS if verdict in set(rows["label"])]
    there += [("muted", dashes, words) for _, dashes, words in used] if graded else used
    x, y, parts = 6.0, top + 22, []
    for colour, dashes, words in there:
        room = 44 + 6.6 * len(words) + 18
        if x + room > width and x > 6:
            x, y = 6.0, y + 20
        dash = f";stroke-dasharray:{dashes}" if dashes else ""
        parts.append(
            f'<path d="M{x:.0f},{y - 4:.0f}h34" style="fill:none;stroke:{paint(colour)};stroke-width:4{dash}"/>'
            f'<text x="{x + 42:.0f}" y="{y:.0f}" style="font-size:12px;fill:{paint("muted")}">{words}</text>'
        )
        x += room
    return "".join(parts), (y - top + 8 if there else 0)
