"""A model drawn as a path diagram: latents as ellipses, observed variables as boxes, numbers standardised.

Causes stand above their effects. The items of a latent variable fan out to its right; covariances are curved double
arrows, those of items on the far right and those of latents on the far left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from textwrap import wrap
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pandas as pd

from spc.disclosure import ReleasedModel, require_released
from spc.errors import UsageError
from spc.plot.chain import _INK, Area, Piece, Point, _bezier, _line, _line_areas, _outside, _overlap, _Style, _ways
from spc.plot.figure import Figure, finish, paint
from spc.plot.layers import Placement, place
from spc.plot.numbers import wording

__all__ = ["path_diagram"]

_NODE = (132.0, 52.0)
_FAN, _ITEM, _PITCH, _SHARE = 92.0, (112.0, 21.0), 27.0, 46.0
_BESIDE, _GAP, _LANE, _ARC = 26.0, 74.0, 40.0, 24.0
_EDGE = 8.0


@dataclass(frozen=True)
class _Drawn:
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


def path_diagram(
    model: ReleasedModel,
    labels: Mapping[str, str] | None = None,
    *,
    group: str = "1",
    title: str = "Path diagram",
) -> Figure:
    """Draw a fitted structural equation model.

    Numbers are standardised estimates: loadings at the tips of the fans, paths as thick as their size, explained shares
    (R²) in the nodes, covariances as curved double arrows. Stars mark significance, dashes its absence; both are
    explained below the drawing. Intercepts, item residuals and covariances among fixed covariates are left out.

    Parameters
    ----------
    model : ReleasedModel
        A fit that has passed the gate: ``Gate().model(fit)``.
    labels : mapping of str to str, optional
        Names of variables in words.
    group : str
        Which group, for models of several.
    title : str

    Returns
    -------
    Figure
        With a second drawing of one column for narrow pages, and alternative text that says all numbers.

    Raises
    ------
    UsageError
        ``model`` has not passed the gate, is no structural equation model, or has no such group.
    """
    released = require_released(model, ReleasedModel, "path_diagram")
    if released.kind != "sem":
        raise UsageError(f"path_diagram draws structural equation models (kind 'sem'), found kind {released.kind!r}.")
    drawn = _drawn(released.tidy.frame, group)
    items = {row.rhs for rows in drawn.items.values() for row in rows}
    words = {name: (labels or {}).get(name) or wording(name) for name in drawn.latents}
    words |= {name: (labels or {}).get(name) or name for name in {*items, *drawn.nodes} - drawn.latents}
    wide, narrow = _layered(drawn), _column(drawn)
    first = _draw(drawn, words, wide)
    second = _draw(drawn, words, narrow) if wide != narrow else ""
    return finish(title, _alt(drawn, words), first, second)


# -- what there is


def _drawn(tidy: pd.DataFrame, group: str) -> _Drawn:
    if group not in set(tidy["group"]):
        raise UsageError(f"group={group!r}: there are {', '.join(sorted({*tidy['group']} - {''}))}.")
    table = tidy[(tidy["group"] == group) & (tidy["level"].isin(["", "1"]))]
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
    return _Drawn(
        nodes,
        frozenset(latents),
        MappingProxyType({f: tuple(row for row in loadings if row.lhs == f and row.rhs in items) for f in latents}),
        MappingProxyType({pair: row for pair, row in paths.items() if not set(pair) & items}),
        tuple((cause, effect, row) for (cause, effect), row in paths.items() if {cause, effect} & items),
        tuple((row.lhs, row.rhs, row) for row in covariances if math.isfinite(row.std_error)),
        MappingProxyType({name: share for name, share in shares.items() if 0.0 <= share <= 1.0}),
    )


def _owners(drawn: _Drawn) -> dict[str, tuple[Any, ...]]:
    """Items drawn beside each latent: each once, beside the first that it measures."""
    seen: set[str] = set()
    owned = {}
    for latent, rows in drawn.items.items():
        owned[latent] = tuple(row for row in rows if row.rhs not in seen)
        seen |= {row.rhs for row in rows}
    return owned


def _layered(drawn: _Drawn) -> Placement:
    """Layers from causes to effects; a column where there are no paths."""
    if not drawn.paths:
        return _column(drawn)
    found = place(list(drawn.paths))
    linked = {name for pair in drawn.paths for name in pair}
    alone = tuple(name for name in drawn.nodes if name not in linked)
    layers = [[*(s for s in layer if not isinstance(s, str)), *(s for s in layer if isinstance(s, str))]
              for layer in found.layers]  # fmt: skip
    layers[0] += alone
    return Placement(tuple(tuple(layer) for layer in layers), found.routes)


def _column(drawn: _Drawn) -> Placement:
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


# -- where it goes


@dataclass(frozen=True)
class _Page:
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
    taken: list[Area] = field(default_factory=list)


def _page(drawn: _Drawn, placement: Placement, left: float, top: float = _EDGE) -> _Page:
    owned = _owners(drawn)
    beside = {name: _NODE[0] + (_FAN + _ITEM[0] + _SHARE if owned.get(name) else 0.0) for name in drawn.nodes}
    heights = [
        max([_NODE[1], *(_PITCH * len(owned.get(s, ())) for s in layer if isinstance(s, str))])
        for layer in placement.layers
    ]
    depth = max(heights, default=_NODE[1])
    gap = _GAP if placement.routes else _GAP / 2
    lanes = [_LANE * sum(not isinstance(s, str) for s in layer) for layer in placement.layers]
    blocks = [sum(beside[s] + _BESIDE for s in layer if isinstance(s, str)) for layer in placement.layers]
    middle = left + max((a + b / 2 for a, b in zip(lanes, blocks, strict=True)), default=0.0)
    nodes: dict[str, Point] = {}
    items: dict[str, Point] = {}
    spots: dict[tuple[int, object], Point] = {}
    for at, (layer, lane, block) in enumerate(zip(placement.layers, lanes, blocks, strict=True)):
        x, y = middle - block / 2 - lane, top + depth / 2 + at * (depth + gap)
        for slot in layer:
            if not isinstance(slot, str):
                spots[at, slot] = (x + _LANE / 2, y)
                x += _LANE
                continue
            spots[at, slot] = nodes[slot] = (x + (_BESIDE + _NODE[0]) / 2, y)
            start, own = nodes[slot][0] + _NODE[0] / 2 + _FAN + _ITEM[0] / 2, owned.get(slot, ())
            items |= {row.rhs: (start, y + (i - (len(own) - 1) / 2) * _PITCH) for i, row in enumerate(own)}
            x += beside[slot] + _BESIDE
    width = middle + max(blocks, default=_NODE[0]) / 2
    height = top + _EDGE + len(lanes) * depth + max(len(lanes) - 1, 0) * gap
    return _Page(nodes, items, spots, width, height, depth)


# -- drawing


def _draw(drawn: _Drawn, words: Mapping[str, str], placement: Placement) -> str:
    inner = [(one, other, row) for one, other, row in drawn.curves if {one, other} <= set(drawn.nodes)]
    level = {slot: i for i, layer in enumerate(placement.layers) for slot in layer if isinstance(slot, str)}
    over = [curve for curve in inner if level[curve[0]] == level[curve[1]]]
    through = [curve for curve in inner if placement.routes and abs(level[curve[0]] - level[curve[1]]) == 1]
    side = [(*curve, True) for curve in inner if curve not in over and curve not in through]
    side += [(*pair, row, False) for pair, row in drawn.paths.items() if pair not in placement.routes]
    far = [(one, other, row) for one, other, row in drawn.curves if not {one, other} <= set(drawn.nodes)]
    left = _EDGE + _ARC * len(_lanes([(one, other) for one, other, *_ in side], _page(drawn, placement, 0.0).nodes))
    left += 26.0 if side else 0.0
    above = any(level[one] == 0 for one, *_ in over)
    page = _page(drawn, placement, left, _EDGE + (34.0 if above else 0.0))
    right = page.width + (
        _ARC * len(_lanes([(a, b) for a, b, _ in far], {**page.items, **page.nodes})) + 34 if far else 0
    )
    page.taken.extend(_areas(page))
    page.taken.extend(_outside(right, page.height))
    ways = _routes(placement, page)
    arcs = [*_arcs([(a, b, row, both) for a, b, row, both in side], page, -1.0)]
    arcs += _arcs([(a, b, row, True) for a, b, row in far], page, 1.0)
    straight = [*_straight(drawn, page), *_inner(over, through, page)]
    page.taken.extend(area for way in ways.values() for area in _line_areas(way))
    page.taken.extend(area for way, *_ in (*arcs, *straight) for area in _line_areas([way])[1:])
    lines = [_line(ways[pair], _look(drawn.paths[pair]), _STYLE) for pair in ways]
    lines += [_curve(way, row, both) for way, row, both in (*arcs, *straight)]
    numbers = [
        _number([way[1]] if len(way) > 2 else way, drawn.paths[pair], page.taken, 13.5) for pair, way in ways.items()
    ]
    numbers += [_number([way], row, page.taken, 12.0) for way, row, _ in (*arcs, *straight)]
    fans = [_fan(latent, rows, page) for latent, rows in _owners(drawn).items()]
    boxes = [_node(name, words[name], drawn, page) for name in drawn.nodes]
    boxes += [_item(name, words[name], drawn.shares, page) for name in page.items]
    legend, extra = _legend(drawn, right, page.height)
    font = "font-family:system-ui,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"
    size = f'viewBox="0 0 {right:g} {page.height + extra:g}" style="width:100%;max-width:{right:g}px;{font}"'
    return f"<svg {size}>{''.join([*lines, *fans, *boxes, *numbers, legend])}</svg>"


_STYLE = _Style(across=True, box=(_NODE[0], _NODE[1]), gap=_GAP, pitch=0.0, lane=_LANE, letters=17)


def _routes(placement: Placement, page: _Page) -> dict[tuple[str, str], list[Piece]]:
    """Curves that bend between the layers only: straight beside the items of a layer."""
    if not placement.routes:
        return {}
    style = _Style(True, (_NODE[0], page.depth), _GAP, 0.0, _LANE, 17)
    found = _ways(placement, page.spots, style)
    stub = (page.depth - _NODE[1]) / 2
    return {pair: [_stub(way[0][0], -stub, way), *way, _stub(way[-1][3], stub, way)] for pair, way in found.items()}


def _stub(end: Point, by: float, way: Sequence[Piece]) -> Piece:
    """Straight piece between a node and the edge of its layer."""
    ahead = 1.0 if way[-1][3][1] >= way[0][0][1] else -1.0
    other = (end[0], end[1] + ahead * by)
    start, stop = (other, end) if by <= 0 else (end, other)
    third = (stop[1] - start[1]) / 3
    return start, (start[0], start[1] + third), (stop[0], stop[1] - third), stop


def _lanes(pairs: Iterable[tuple[str, str]], spots: Mapping[str, Point]) -> list[list[tuple[float, float]]]:
    """Spans packed into as few lanes as keep them apart, short ones first."""
    lanes: list[list[tuple[float, float]]] = []
    for span in sorted((_span(pair, spots) for pair in pairs), key=lambda s: (s[1] - s[0], s)):
        lane = next((one for one in lanes if all(span[1] <= a or b <= span[0] for a, b in one)), None)
        if lane is None:
            lanes.append(lane := [])
        lane.append(span)
    return lanes


def _span(pair: tuple[str, str], spots: Mapping[str, Point]) -> tuple[float, float]:
    low, high = sorted(spots[name][1] for name in pair)
    return low, high


def _arcs(links: Sequence[tuple[str, str, Any, bool]], page: _Page, side: float) -> Iterator[tuple[Piece, Any, bool]]:
    """Arcs beside the drawing: on the left between nodes, on the right between items."""
    spots = {**page.nodes, **page.items}
    half = dict.fromkeys(page.nodes, _NODE[0] / 2) | dict.fromkeys(page.items, _ITEM[0] / 2 + _SHARE)
    lanes = _lanes([(one, other) for one, other, *_ in links], spots)
    ports = _ports(links, spots)
    for k, (one, other, row, both) in enumerate(links):
        lane = next(i for i, spans in enumerate(lanes) if _span((one, other), spots) in spans)
        (xa, ya), (xb, yb) = spots[one], spots[other]
        start, end = (xa + side * half[one], ya + ports[k, 0]), (xb + side * half[other], yb + ports[k, 1])
        edge = max(start[0], end[0]) if side > 0 else min(start[0], end[0])
        reach = edge + side * (14 + _ARC * (lane + 1)) * 4 / 3
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


def _straight(drawn: _Drawn, page: _Page) -> Iterator[tuple[Piece, Any, bool]]:
    """Loadings of items that stand beside another latent, and paths from or to items."""
    links = [(f, row.rhs, row) for f, rows in drawn.items.items() for row in rows if row not in _owners(drawn)[f]]
    spots = {**page.nodes, **page.items}
    for cause, effect, row in (*links, *drawn.extra):
        (xa, ya), (xb, yb) = spots[cause], spots[effect]
        half = _NODE if effect in page.nodes else _ITEM
        wide = _NODE[0] / 2 if cause in page.nodes else _ITEM[0] / 2
        start = (xa + math.copysign(wide, xb - xa) * 0.9, ya + math.copysign(10.0, yb - ya))
        end = (xb - math.copysign(half[0] / 2, xb - xa), yb)
        bend = (end[0] - start[0]) / 2
        yield (start, (start[0] + bend, start[1]), (end[0] - bend, end[1]), end), row, False


def _inner(
    over: Sequence[tuple[str, str, Any]], through: Sequence[tuple[str, str, Any]], page: _Page
) -> Iterator[tuple[Piece, Any, bool]]:
    """Covariances of nodes in one layer, over its items; and of nodes in layers next to one another."""
    half = _NODE[1] / 2
    for one, other, row in over:
        (xa, y), (xb, _) = sorted((page.nodes[one], page.nodes[other]))
        top, reach = y - half, y - page.depth / 2 - 42.0
        yield ((xa + 22, top), (xa + 30, reach), (xb - 30, reach), (xb - 22, top)), row, True
    for one, other, row in through:
        (xa, ya), (xb, yb) = sorted((page.nodes[one], page.nodes[other]), key=lambda spot: spot[1])
        side = 44.0 if xa == xb else math.copysign(44.0, xb - xa)
        start, end = (xa + side, ya + half * 0.75), (xb - side if xa != xb else xb + side, yb - half * 0.75)
        reach = (page.depth + _GAP) / 2
        yield (start, (start[0], start[1] + reach), (end[0], end[1] - reach), end), row, True


def _areas(page: _Page) -> Iterator[Area]:
    for (x, y), (w, h) in [*((p, _NODE) for p in page.nodes.values()), *((p, _ITEM) for p in page.items.values())]:
        yield (x - w / 2, y - h / 2, x + w / 2, y + h / 2, 4.0)
    for x, y in page.items.values():
        left = x - _ITEM[0] / 2
        yield (left - _FAN, y - _PITCH / 2, left, y + _PITCH / 2, 2.0)
        yield (x + _ITEM[0] / 2, y - 9, x + _ITEM[0] / 2 + _SHARE, y + 9, 4.0)


def _significant(row: Any) -> bool:
    return not math.isfinite(row.p_value) or row.p_value < 0.05


def _look(row: Any) -> Any:
    return SimpleNamespace(label="holds" if _significant(row) else "unclear", std_all=row.std_all)


def _curve(way: Piece, row: Any, both: bool) -> str:
    colour = paint("muted" if both else "holds") if _significant(row) else paint("unclear")
    dash = "" if _significant(row) else ";stroke-dasharray:5 4"
    path = f"M{_xy(way[0])}C{_xy(way[1])} {_xy(way[2])} {_xy(way[3])}"
    heads = _head(way[3], way[2], colour) + (_head(way[0], way[1], colour) if both else "")
    return f'<path d="{path}" style="fill:none;stroke:{colour};stroke-width:1.4{dash}"/>{heads}'


def _head(tip: Point, before: Point, colour: str, size: float = 8.0) -> str:
    length = math.hypot(tip[0] - before[0], tip[1] - before[1]) or 1.0
    dx, dy = (tip[0] - before[0]) / length * size, (tip[1] - before[1]) / length * size
    left, right = (tip[0] - dx - dy * 0.45, tip[1] - dy + dx * 0.45), (tip[0] - dx + dy * 0.45, tip[1] - dy - dx * 0.45)
    return f'<path d="M{_xy(left)}L{_xy(tip)}L{_xy(right)}Z" style="fill:{colour}"/>'


def _xy(point: Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"


def _two(value: float) -> str:
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def _stars(row: Any) -> str:
    return "".join("*" for level in (0.05, 0.01, 0.001) if row.p_value < level)


_HALO = "paint-order:stroke;stroke:var(--spc-page, #ffffff);stroke-width:3px;stroke-linejoin:round;text-anchor:middle"


def _number(way: Sequence[Piece], row: Any, taken: list[Area], size: float) -> str:
    """The standardised estimate beside its line, where it hides least."""
    text = _two(row.std_all) + _stars(row)
    wide, high = len(text) * size * 0.58 + 4, size + 3
    spots = [(*_bezier(piece, t), abs(t - 0.5)) for piece in way for t in (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8)]
    shifts = [(side * (wide / 2 + 6), 0.0) for side in (1, -1)] + [(0.0, -high * 0.85), (0.0, high * 0.85), (0.0, 0.0)]
    tries = [((x + dx, y + dy), worth) for x, y, worth in spots for dx, dy in shifts]
    areas = [((x - wide / 2, y - high / 2, x + wide / 2, y + high / 2), worth) for (x, y), worth in tries]
    best = min(areas, key=lambda area: sum(_overlap(area[0], other) for other in taken) + 40 * area[1])[0]
    taken.append((*best, 6.0))
    x, y = (best[0] + best[2]) / 2, (best[1] + best[3]) / 2 + size * 0.36
    weight = 600 if _significant(row) else 400
    style = f"{_HALO};font-size:{size:g}px;font-weight:{weight};fill:{_INK}"
    return f'<text x="{x:.1f}" y="{y:.1f}" style="{style}">{text}</text>'


def _fan(latent: str, rows: Sequence[Any], page: _Page) -> str:
    """Arrows from a latent to its items, with the loading at the tip."""
    x, y = page.nodes[latent]
    parts = []
    for i, row in enumerate(rows):
        item = page.items[row.rhs]
        tip = (item[0] - _ITEM[0] / 2, item[1])
        angle = (i - (len(rows) - 1) / 2) / max(len(rows), 1) * 1.5
        start = (x + _NODE[0] / 2 * math.cos(angle), y + _NODE[1] / 2 * math.sin(angle))
        colour = paint("muted") if _significant(row) else paint("unclear")
        dash = "" if _significant(row) else ";stroke-dasharray:5 4"
        parts.append(
            f'<path d="M{_xy(start)}L{_xy(tip)}" style="fill:none;stroke:{colour};stroke-width:1.3{dash}"/>'
            f"{_head(tip, start, colour, 7.0)}"
        )
    for row in rows:
        item, text = page.items[row.rhs], _two(row.std_all) + _stars(row)
        wide, end = 6.4 * len(text) + 4, item[0] - _ITEM[0] / 2 - 11
        parts.append(
            f'<rect x="{end - wide:.1f}" y="{item[1] - 8:.1f}" width="{wide:.1f}" height="15" '
            f'style="fill:var(--spc-page, #ffffff)"/><text x="{end - wide / 2:.1f}" y="{item[1] + 4:.1f}" '
            f'style="text-anchor:middle;font-size:11px;fill:{_INK}">{text}</text>'
        )
    return "".join(parts)


_BOX = "fill:var(--spc-box, #f4f6f8);stroke:{line};stroke-width:1.2"
_BOXINK = "var(--spc-boxink, #1f2933)"


def _node(name: str, label: str, drawn: _Drawn, page: _Page) -> str:
    (x, y), (wide, high) = page.nodes[name], _NODE
    shape = _BOX.format(line=paint("line"))
    outline = (
        f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{wide / 2:g}" ry="{high / 2:g}" style="{shape}"/>'
        if name in drawn.latents
        else f'<rect x="{x - wide / 2:.1f}" y="{y - high / 2:.1f}" width="{wide:g}" height="{high:g}" style="{shape}"/>'
    )
    lines = _lines(label, 17, 2)
    share = f"R² = {_two(drawn.shares[name])}" if name in drawn.shares else ""
    top = y + 4.5 - 6.5 * (len(lines) - 1 + (0.95 if share else 0.0))
    text = "".join(
        f'<tspan x="{x:.1f}" y="{top + 13.5 * i:.1f}">{escape(line)}</tspan>' for i, line in enumerate(lines)
    )
    style = f"font-size:12.5px;font-weight:600;text-anchor:middle;fill:{_BOXINK}"
    small = f"font-size:10.5px;text-anchor:middle;fill:{_BOXINK}"
    below = f'<text x="{x:.1f}" y="{top + 13.5 * len(lines):.1f}" style="{small}">{share}</text>' if share else ""
    return f'<g><title>{escape(label)}</title>{outline}<text style="{style}">{text}</text>{below}</g>'


def _item(name: str, label: str, shares: Mapping[str, float], page: _Page) -> str:
    (x, y), (wide, high) = page.items[name], _ITEM
    size = f'x="{x - wide / 2:.1f}" y="{y - high / 2:.1f}" width="{wide:g}" height="{high:g}"'
    share = f"R² {_two(shares[name])}" if name in shares else ""
    style = f"font-size:11.5px;text-anchor:middle;fill:{_BOXINK}"
    aside = f"font-size:10px;fill:{paint('muted')}"
    return (
        f'<g><title>{escape(label)}</title><rect {size} style="{_BOX.format(line=paint("line"))}"/>'
        f'<text x="{x:.1f}" y="{y + 4:.1f}" style="{style}">{escape(_lines(label, 18, 1)[0])}</text></g>'
        f'<text x="{x + wide / 2 + 4:.1f}" y="{y + 3.5:.1f}" style="{aside}">{share}</text>'
    )


def _lines(label: str, letters: int, most: int) -> list[str]:
    """The label in at most so many lines, cut where it is longer."""
    lines = wrap(label, letters, break_long_words=True) or [""]
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1][: letters - 1].rstrip() + "…"]
    return lines


def _legend(drawn: _Drawn, width: float, top: float) -> tuple[str, float]:
    """What the signs mean, below the drawing."""
    said = ["Standardised estimates. * p < .05, ** p < .01, *** p < .001.", "Dashed: not significant at .05."]
    if drawn.curves:
        said.append("Curved double arrows: (residual) covariances, as correlations.")
    said.append("R²: explained share. Numbers without stars on solid lines are fixed to set the scale.")
    lines = wrap(" ".join(said), max(int(width / 5.9), 20))
    style = f"font-size:11.5px;fill:{paint('muted')}"
    text = "".join(
        f'<text x="6" y="{top + 18 + 16 * i:.0f}" style="{style}">{escape(line)}</text>' for i, line in enumerate(lines)
    )
    return text, 16.0 * len(lines) + 14


def _alt(drawn: _Drawn, words: Mapping[str, str]) -> str:
    if not drawn.nodes:
        return "The model has no latent variables and no paths."

    def said(row: Any) -> str:
        return f"{_two(row.std_all)}{'' if _significant(row) else ', not significant'}"

    parts = []
    for latent, rows in drawn.items.items():
        if rows:
            items = ", ".join(f"{words[row.rhs]} ({said(row)})" for row in rows)
            parts.append(f"{words[latent]} is measured by {items}.")
    paths = [(cause, effect, row) for (cause, effect), row in drawn.paths.items()] + list(drawn.extra)
    parts += [f"{words[cause]} to {words[effect]}: {said(row)}." for cause, effect, row in paths]
    parts += [f"{words[one]} with {words[other]}: {said(row)}." for one, other, row in drawn.curves]
    explained = [f"{words[name]} {_two(drawn.shares[name])}" for name in drawn.nodes if name in drawn.shares]
    if explained:
        parts.append(f"Explained shares: {', '.join(explained)}.")
    return "Standardised estimates. " + " ".join(parts)
