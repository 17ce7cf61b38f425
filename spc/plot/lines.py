"""Lines from box to box: their curves, their heads, and the room that they take from numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from spc.plot.figure import paint
from spc.plot.layers import Placement

__all__ = [
    "BOXINK", "FONT", "HALO", "INK", "Area", "Piece", "Point", "Style", "bezier", "line", "line_areas", "outside",
    "overlap", "thickness", "ways", "xy",
]  # fmt: skip

INK = "var(--spc-ink, currentColor)"
BOXINK = "var(--spc-boxink, #1f2933)"
FONT = "font-family:system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"
HALO = "paint-order:stroke;stroke:var(--spc-page, #ffffff);stroke-width:3px;stroke-linejoin:round;text-anchor:middle"

Point = tuple[float, float]
Piece = tuple[Point, Point, Point, Point]
Area = tuple[float, ...]


@dataclass(frozen=True)
class Style:
    """Sizes in pixels; ``along`` runs from cause to effect, ``across`` beside it."""

    across: bool
    box: tuple[float, float]
    gap: float
    pitch: float
    lane: float
    letters: int

    def spot(self, along: float, across: float) -> Point:
        """Place on the page."""
        return (across, along) if self.across else (along, across)

    def shifted(self, point: Point, across: float) -> Point:
        """A place moved aside."""
        return (point[0] + across, point[1]) if self.across else (point[0], point[1] + across)

    @property
    def depth(self) -> float:
        """Size of a box along."""
        return self.box[1] if self.across else self.box[0]

    @property
    def breadth(self) -> float:
        """Size of a box across."""
        return self.box[0] if self.across else self.box[1]


def ways(
    placement: Placement, spots: Mapping[tuple[int, object], Point], style: Style
) -> dict[tuple[str, str], list[Piece]]:
    """Curve of every link; links that share a side of a box are set apart in the order of their other ends."""
    ports: dict[tuple[str, bool], list[tuple[float, tuple[str, str], bool]]] = {}
    for link, route in placement.routes.items():
        forward = route[-1][0] >= route[0][0]
        ports.setdefault((link[0], forward), []).append((_cross(spots[route[1]], style), link, True))
        ports.setdefault((link[1], not forward), []).append((_cross(spots[route[-2]], style), link, False))
    shift: dict[tuple[tuple[str, str], bool], float] = {}
    for ends_here in ports.values():
        step = min(18.0, style.breadth * 0.6 / len(ends_here))
        for i, (_, link, start) in enumerate(sorted(ends_here)):
            shift[link, start] = (i - (len(ends_here) - 1) / 2) * step
    return {
        link: _way([spots[slot] for slot in route], style, shift[link, True], shift[link, False])
        for link, route in placement.routes.items()
    }


def _way(middles: Sequence[Point], style: Style, leaving: float, arriving: float) -> list[Piece]:
    """Cubic pieces from the edge of the first box through the lanes to the edge of the last."""
    half = style.depth / 2
    flat = [(_main(p, style), _cross(p, style)) for p in middles]
    ahead = 1 if flat[-1][0] >= flat[0][0] else -1
    stops = [(flat[0][0] + ahead * half, flat[0][1] + leaving)]
    for along, across in flat[1:-1]:
        stops += [(along - ahead * half, across), (along + ahead * half, across)]
    stops.append((flat[-1][0] - ahead * half, flat[-1][1] + arriving))
    return [_piece(one, other, style) for one, other in pairwise(stops)]


def _piece(start: Point, end: Point, style: Style) -> Piece:
    bend = (end[0] - start[0]) / 2
    (a, b), (c, d) = start, end
    return style.spot(a, b), style.spot(a + bend, b), style.spot(c - bend, d), style.spot(c, d)


def thickness(effect: float) -> float:
    """Width of a line by its standardised effect, in pixels."""
    return 1.6 + 7.4 * min(abs(effect), 1.0) if math.isfinite(effect) else 2.0


def line(way: Sequence[Piece], style: Style, size: float, colour: str, dashes: str = "") -> str:
    """A line with its head, as SVG; ``size`` is its width, ``colour`` one of the palette."""
    tip, before = way[-1][3], way[-1][2]
    sign = 1 if (tip[style.across] >= before[style.across]) else -1
    head = 7 + size * 0.9
    base = style.spot(_main(tip, style) - sign * head, _cross(tip, style))
    last = (*way[-1][:3], base)
    path = f"M{xy(way[0][0])}" + "".join(f"C{xy(p[1])} {xy(p[2])} {xy(p[3])}" for p in (*way[:-1], last))
    left = style.spot(_main(base, style), _cross(base, style) - head * 0.6)
    right = style.spot(_main(base, style), _cross(base, style) + head * 0.6)
    stroke = f"fill:none;stroke:{paint(colour)};stroke-width:{size:.1f};stroke-opacity:.85"
    dash = f";stroke-dasharray:{dashes}" if dashes else ""
    return (
        f'<path d="{path}" style="{stroke}{dash}"/>'
        f'<path d="M{xy(left)}L{xy(tip)}L{xy(right)}Z" style="fill:{paint(colour)}"/>'
    )


def _main(point: Point, style: Style) -> float:
    return point[1] if style.across else point[0]


def _cross(point: Point, style: Style) -> float:
    return point[0] if style.across else point[1]


def xy(point: Point) -> str:
    """A place as SVG writes it."""
    return f"{point[0]:.1f},{point[1]:.1f}"


def outside(width: float, height: float) -> list[Area]:
    """Beyond the page, where numbers would be cut off."""
    far = 1e4
    sides = ((-far, -far, 1, far), (width - 1, -far, far, far), (-far, -far, far, 1), (-far, height - 1, far, far))
    return [(*side, 9.0) for side in sides]


def line_areas(way: Sequence[Piece]) -> list[Area]:
    """Small squares along a line, to keep numbers off it."""
    dots = [bezier(piece, t / 16) for piece in way for t in range(17)]
    tip = way[-1][3]
    return [
        (tip[0] - 14, tip[1] - 12, tip[0] + 14, tip[1] + 12, 3.0),
        *((x - 6, y - 6, x + 6, y + 6, 3.0) for x, y in dots),
    ]


def bezier(piece: Piece, t: float) -> Point:
    """Place on a curve, from 0 at its start to 1 at its end."""
    weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3)
    x, y = (sum(w * p[i] for w, p in zip(weights, piece, strict=True)) for i in (0, 1))
    return x, y


def overlap(one: Area, other: Area) -> float:
    """Shared area, times the weight of the other."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(wide, 0.0) * max(high, 0.0) * other[4]
