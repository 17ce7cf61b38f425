"""Where the parts of a path diagram go: nodes in layers, items beside their latents, lines between them.

Causes stand above their effects. The items of a latent variable fan out to its right; covariances of items run on the
far right, those of nodes between or over the layers, or on the far left of a single column.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import pandas as pd

from spc.errors import UsageError
from spc.plot.layers import Placement, place
from spc.plot.lines import Piece, Point, Style, ways

__all__ = [
    "ARC",
    "EDGE",
    "FAN",
    "GAP",
    "ITEM",
    "LANE",
    "NODE",
    "PITCH",
    "SHARE",
    "Drawn",
    "Page",
    "arcs_beside",
    "arcs_within",
    "in_a_column",
    "in_layers",
    "lanes",
    "lay_out",
    "owned_items",
    "read_model",
    "routes",
    "straight_lines",
]

NODE = (132.0, 52.0)
FAN, ITEM, PITCH, SHARE = 92.0, (112.0, 21.0), 27.0, 46.0
_BESIDE, GAP, LANE, ARC = 26.0, 74.0, 40.0, 24.0
EDGE = 8.0


@dataclass(frozen=True)
class Drawn:
    """What there is to draw of one group.

    Attributes
    ----------
    nodes : tuple of str
        Latents and observed variables that are no items.
    latents : frozenset of str
    items : mapping of latent to its loading rows
    paths : mapping of (cause, effect) to row
        Regressions among nodes, and loadings of latents on latents.
    extra : tuple of (cause, effect, row)
        Paths from or to items other than loadings.
    curves : tuple of (one, other, row)
        Covariances.
    shares : mapping of variable to explained share
    """

    nodes: tuple[str, ...]
    latents: frozenset[str]
    items: Mapping[str, tuple[Any, ...]]
    paths: Mapping[tuple[str, str], Any]
    extra: tuple[tuple[str, str, Any], ...]
    curves: tuple[tuple[str, str, Any], ...]
    shares: Mapping[str, float]


def read_model(tidy: pd.DataFrame, group: str | None, level: int = 1) -> Drawn:
    """What a tidy table of one group, and one level of it, has to draw.

    Raises
    ------
    UsageError
        There is no such group or level.
    """
    groups = [name for name in dict.fromkeys(tidy["group"]) if name]
    group = group or groups[0]
    if group not in groups:
        raise UsageError(f"group={group!r}: there are {', '.join(sorted(groups))}.")
    levels = sorted({*tidy["level"]} - {""}) or ["1"]
    if str(level) not in levels:
        raise UsageError(f"level={level!r}: there are {', '.join(levels)}.")
    table = tidy[(tidy["group"] == group) & (tidy["level"].isin(["", str(level)]))]
    rows: list[Any] = list(table[table["estimate"].notna()].itertuples(index=False))
    loadings = [row for row in rows if row.op == "=~"]
    latents = tuple(dict.fromkeys(row.lhs for row in loadings))
    items = {row.rhs for row in loadings} - set(latents)
    regressions = [row for row in rows if row.op == "~" and row.lhs != row.rhs]
    covariances = [row for row in rows if row.op == "~~" and row.lhs != row.rhs]
    ends = [name for row in (*regressions, *covariances) for name in (row.rhs, row.lhs)]
    nodes = tuple(name for name in dict.fromkeys([*latents, *ends]) if name not in items)
    paths = {(row.rhs, row.lhs): row for row in regressions} | {
        (row.lhs, row.rhs): row for row in loadings if row.rhs in latents
    }
    target = {row.lhs for row in regressions} | {row.rhs for row in loadings}
    shares = {row.lhs: 1.0 - row.std_all for row in rows if row.kind == "variance" and row.lhs in target}
    return Drawn(
        nodes,
        frozenset(latents),
        MappingProxyType({f: tuple(row for row in loadings if row.lhs == f and row.rhs in items) for f in latents}),
        MappingProxyType({pair: row for pair, row in paths.items() if not set(pair) & items}),
        tuple((cause, effect, row) for (cause, effect), row in paths.items() if {cause, effect} & items),
        tuple((row.lhs, row.rhs, row) for row in covariances if math.isfinite(row.std_error)),
        MappingProxyType({name: share for name, share in shares.items() if 0.0 <= share <= 1.0}),
    )


def owned_items(drawn: Drawn) -> dict[str, tuple[Any, ...]]:
    """Items drawn beside each latent: each once, beside the first that it measures."""
    seen: set[str] = set()
    owned = {}
    for latent, rows in drawn.items.items():
        owned[latent] = tuple(row for row in rows if row.rhs not in seen)
        seen |= {row.rhs for row in rows}
    return owned


def in_layers(drawn: Drawn) -> Placement:
    """Layers from causes to effects; a column where there are no paths."""
    if not drawn.paths:
        return in_a_column(drawn)
    found = place(list(drawn.paths))
    linked = {name for pair in drawn.paths for name in pair}
    alone = tuple(name for name in drawn.nodes if name not in linked)
    layers = [[*(s for s in layer if not isinstance(s, str)), *(s for s in layer if isinstance(s, str))]
              for layer in found.layers]  # fmt: skip
    layers[0] += alone
    return Placement(tuple(tuple(layer) for layer in layers), found.routes)


def in_a_column(drawn: Drawn) -> Placement:
    """One node a layer, causes first; only links between neighbours run in the column."""
    found = place(list(drawn.paths)) if drawn.paths else Placement((), MappingProxyType({}))
    order = [slot for layer in found.layers for slot in layer if isinstance(slot, str)]
    order += [name for name in drawn.nodes if name not in order]
    routes = {
        (one, other): ((i, one), (i + 1, other))
        for i, (one, other) in enumerate(pairwise(order))
        if (one, other) in drawn.paths
    }
    return Placement(tuple((name,) for name in order), MappingProxyType(routes))


@dataclass(frozen=True)
class Page:
    """Places in pixels.

    Attributes
    ----------
    nodes : mapping of node to its middle
    items : mapping of item to the middle of its box
    spots : mapping of slot to the middle of its lane or node
    width, height : float
    depth : float
        Height of a layer.
    """

    nodes: Mapping[str, Point]
    items: Mapping[str, Point]
    spots: Mapping[tuple[int, object], Point]
    width: float
    height: float
    depth: float


def lay_out(drawn: Drawn, placement: Placement, left: float, top: float = EDGE) -> Page:
    """Places of all parts, with ``left`` and ``top`` kept free for arcs."""
    owned = owned_items(drawn)
    beside = {name: NODE[0] + (FAN + ITEM[0] + SHARE if owned.get(name) else 0.0) for name in drawn.nodes}
    heights = [
        max([NODE[1], *(PITCH * len(owned.get(s, ())) for s in layer if isinstance(s, str))])
        for layer in placement.layers
    ]
    depth = max(heights, default=NODE[1])
    gap = GAP if placement.routes else GAP / 2
    beside_lanes = [LANE * sum(not isinstance(s, str) for s in layer) for layer in placement.layers]
    blocks = [sum(beside[s] + _BESIDE for s in layer if isinstance(s, str)) for layer in placement.layers]
    middle = left + max((a + b / 2 for a, b in zip(beside_lanes, blocks, strict=True)), default=0.0)
    nodes: dict[str, Point] = {}
    items: dict[str, Point] = {}
    spots: dict[tuple[int, object], Point] = {}
    for at, (layer, lane, block) in enumerate(zip(placement.layers, beside_lanes, blocks, strict=True)):
        x, y = middle - block / 2 - lane, top + depth / 2 + at * (depth + gap)
        for slot in layer:
            if not isinstance(slot, str):
                spots[at, slot] = (x + LANE / 2, y)
                x += LANE
                continue
            spots[at, slot] = nodes[slot] = (x + (_BESIDE + NODE[0]) / 2, y)
            start, own = nodes[slot][0] + NODE[0] / 2 + FAN + ITEM[0] / 2, owned.get(slot, ())
            items |= {row.rhs: (start, y + (i - (len(own) - 1) / 2) * PITCH) for i, row in enumerate(own)}
            x += beside[slot] + _BESIDE
    width = middle + max(blocks, default=NODE[0]) / 2
    height = top + EDGE + len(beside_lanes) * depth + max(len(beside_lanes) - 1, 0) * gap
    return Page(nodes, items, spots, width, height, depth)


def routes(placement: Placement, page: Page) -> dict[tuple[str, str], list[Piece]]:
    """Curves that bend between the layers only: straight beside the items of a layer."""
    if not placement.routes:
        return {}
    style = Style(True, (NODE[0], page.depth), GAP, 0.0, LANE, 17)
    found = ways(placement, page.spots, style)
    stub = (page.depth - NODE[1]) / 2
    return {pair: [_stub(way[0][0], -stub, way), *way, _stub(way[-1][3], stub, way)] for pair, way in found.items()}


def _stub(end: Point, by: float, way: Sequence[Piece]) -> Piece:
    """Straight piece between a node and the edge of its layer."""
    ahead = 1.0 if way[-1][3][1] >= way[0][0][1] else -1.0
    other = (end[0], end[1] + ahead * by)
    start, stop = (other, end) if by <= 0 else (end, other)
    third = (stop[1] - start[1]) / 3
    return start, (start[0], start[1] + third), (stop[0], stop[1] - third), stop


def lanes(pairs: Iterable[tuple[str, str]], spots: Mapping[str, Point]) -> list[list[tuple[float, float]]]:
    """Spans packed into as few lanes as keep them apart, short ones first."""
    found: list[list[tuple[float, float]]] = []
    for span in sorted((_span(pair, spots) for pair in pairs), key=lambda s: (s[1] - s[0], s)):
        lane = next((one for one in found if all(span[1] <= a or b <= span[0] for a, b in one)), None)
        if lane is None:
            found.append(lane := [])
        lane.append(span)
    return found


def _span(pair: tuple[str, str], spots: Mapping[str, Point]) -> tuple[float, float]:
    low, high = sorted(spots[name][1] for name in pair)
    return low, high


def arcs_beside(
    links: Sequence[tuple[str, str, Any, bool]], page: Page, side: float
) -> Iterator[tuple[Piece, Any, bool]]:
    """Arcs beside the drawing: on the left between nodes, on the right between items."""
    spots = {**page.nodes, **page.items}
    half = dict.fromkeys(page.nodes, NODE[0] / 2) | dict.fromkeys(page.items, ITEM[0] / 2 + SHARE)
    packed = lanes([(one, other) for one, other, *_ in links], spots)
    ports = _ports(links, spots)
    for k, (one, other, row, both) in enumerate(links):
        lane = next(i for i, spans in enumerate(packed) if _span((one, other), spots) in spans)
        (xa, ya), (xb, yb) = spots[one], spots[other]
        start, end = (xa + side * half[one], ya + ports[k, 0]), (xb + side * half[other], yb + ports[k, 1])
        edge = max(start[0], end[0]) if side > 0 else min(start[0], end[0])
        reach = edge + side * (14 + ARC * (lane + 1)) * 4 / 3
        yield (start, (reach, start[1]), (reach, end[1]), end), row, both


def _ports(links: Sequence[tuple[str, str, Any, bool]], spots: Mapping[str, Point]) -> dict[tuple[int, int], float]:
    """Shift of each end of each arc, so that arcs that meet at a variable do so beside one another."""
    ends: dict[str, list[tuple[float, int, int]]] = {}
    for k, (one, other, *_) in enumerate(links):
        ends.setdefault(one, []).append((spots[other][1] - spots[one][1], k, 0))
        ends.setdefault(other, []).append((spots[one][1] - spots[other][1], k, 1))
    shift = {}
    for here in ends.values():
        up = sorted((e for e in here if e[0] < 0), key=lambda e: -e[0])
        down = sorted((e for e in here if e[0] >= 0), key=lambda e: -e[0])
        order = [*reversed(up), *reversed(down)] if len(here) > 1 else here
        step = min(9.0, 34.0 / len(order))
        for i, (_, k, end) in enumerate(order):
            shift[k, end] = (i - (len(order) - 1) / 2) * step
    return shift


def straight_lines(drawn: Drawn, page: Page) -> Iterator[tuple[Piece, Any, bool]]:
    """Loadings of items that stand beside another latent, and paths from or to items."""
    links = [(f, row.rhs, row) for f, rows in drawn.items.items() for row in rows if row not in owned_items(drawn)[f]]
    spots = {**page.nodes, **page.items}
    for cause, effect, row in (*links, *drawn.extra):
        (xa, ya), (xb, yb) = spots[cause], spots[effect]
        half = NODE if effect in page.nodes else ITEM
        wide = NODE[0] / 2 if cause in page.nodes else ITEM[0] / 2
        start = (xa + math.copysign(wide, xb - xa) * 0.9, ya + math.copysign(10.0, yb - ya))
        end = (xb - math.copysign(half[0] / 2, xb - xa), yb)
        bend = (end[0] - start[0]) / 2
        yield (start, (start[0] + bend, start[1]), (end[0] - bend, end[1]), end), row, False


def arcs_within(
    over: Sequence[tuple[str, str, Any]], through: Sequence[tuple[str, str, Any]], page: Page
) -> Iterator[tuple[Piece, Any, bool]]:
    """Covariances of nodes in one layer, over its items; and of nodes in layers next to one another."""
    half = NODE[1] / 2
    for one, other, row in over:
        (xa, y), (xb, _) = sorted((page.nodes[one], page.nodes[other]))
        top, reach = y - half, y - page.depth / 2 - 42.0
        yield ((xa + 22, top), (xa + 30, reach), (xb - 30, reach), (xb - 22, top)), row, True
    for one, other, row in through:
        (xa, ya), (xb, yb) = sorted((page.nodes[one], page.nodes[other]), key=lambda spot: spot[1])
        side = 44.0 if xa == xb else math.copysign(44.0, xb - xa)
        start, end = (xa + side, ya + half * 0.75), (xb - side if xa != xb else xb + side, yb - half * 0.75)
        reach = (page.depth + GAP) / 2
        yield (start, (start[0], start[1] + reach), (end[0], end[1] - reach), end), row, True
