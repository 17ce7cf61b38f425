"""A model drawn as a path diagram: latents as ellipses, observed variables as boxes, numbers standardised."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from textwrap import wrap
from typing import Any

from spc.disclosure import ReleasedModel, require_released
from spc.errors import UsageError
from spc.plot.figure import Figure, finish, paint
from spc.plot.layers import Placement
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
    overlap,
    thickness,
    xy,
)
from spc.plot.numbers import wording
from spc.plot.path_places import (
    ARC,
    EDGE,
    FAN,
    GAP,
    ITEM,
    LANE,
    NODE,
    PITCH,
    SHARE,
    Drawn,
    Page,
    arcs_beside,
    arcs_within,
    in_a_column,
    in_layers,
    lanes,
    lay_out,
    owned_items,
    read_model,
    routes,
    straight_lines,
)

__all__ = ["path_diagram"]


def path_diagram(
    model: ReleasedModel,
    labels: Mapping[str, str] | None = None,
    *,
    group: str | None = None,
    level: int = 1,
    title: str = "Path diagram",
) -> Figure:
    r"""Draw a fitted structural equation model.

    Numbers are standardised estimates: loadings at the tips of the fans, paths as thick as their size, explained shares
    (R²) in the nodes, covariances as curved double arrows. Stars mark significance, dashes its absence; both are
    explained below the drawing. Intercepts, item residuals and covariances among fixed covariates are left out.

    Parameters
    ----------
    model : ReleasedModel
        A fit that has passed the gate: ``Gate().model(fit)``.
    labels : mapping of str to str, optional
        Names of variables in words.
    group : str, optional
        Which group, for models of several; the first without.
    level : int
        Which level, for models of two: 1 are the rows, 2 the clusters.
    title : str

    Returns
    -------
    Figure
        With a second drawing of one column for narrow pages, and alternative text that says all numbers.

    Raises
    ------
    UsageError
        ``model`` has not passed the gate, is no structural equation model, or has no such group or level.

    Examples
    --------
    >>> import spc
    >>> names, r = ["skill", "mood", "sales"], [[1.0, 0.4, 0.3], [0.4, 1.0, 0.5], [0.3, 0.5, 1.0]]
    >>> fit = spc.fit("mood ~ skill\nsales ~ mood", spc.Moments(names, 200, None, r))
    >>> path_diagram(spc.Gate(spc.DisclosureRule()).model(fit)).alt
    'Standardised estimates. skill to mood: 0.40. mood to sales: 0.50. Explained shares: mood 0.16, sales 0.25.'
    """
    released = require_released(model, ReleasedModel, "path_diagram")
    if released.kind != "sem":
        raise UsageError(f"path_diagram draws structural equation models (kind 'sem'), found kind {released.kind!r}.")
    drawn = read_model(released.tidy.frame, group, level)
    items = {row.rhs for rows in drawn.items.values() for row in rows}
    words = {name: (labels or {}).get(name) or wording(name) for name in drawn.latents}
    words |= {name: (labels or {}).get(name) or name for name in {*items, *drawn.nodes} - drawn.latents}
    wide, narrow = in_layers(drawn), in_a_column(drawn)
    first = _draw(drawn, words, wide)
    second = _draw(drawn, words, narrow) if wide != narrow else ""
    return finish(title, _alt(drawn, words), first, second)


def _draw(drawn: Drawn, words: Mapping[str, str], placement: Placement) -> str:
    inner = [(one, other, row) for one, other, row in drawn.curves if {one, other} <= set(drawn.nodes)]
    level = {slot: i for i, layer in enumerate(placement.layers) for slot in layer if isinstance(slot, str)}
    over = [curve for curve in inner if level[curve[0]] == level[curve[1]]]
    through = [curve for curve in inner if placement.routes and abs(level[curve[0]] - level[curve[1]]) == 1]
    side = [(*curve, True) for curve in inner if curve not in over and curve not in through]
    side += [(*pair, row, False) for pair, row in drawn.paths.items() if pair not in placement.routes]
    far = [(one, other, row) for one, other, row in drawn.curves if not {one, other} <= set(drawn.nodes)]
    left = EDGE + ARC * len(lanes([(one, other) for one, other, *_ in side], lay_out(drawn, placement, 0.0).nodes))
    left += 26.0 if side else 0.0
    above = any(level[one] == 0 for one, *_ in over)
    page = lay_out(drawn, placement, left, EDGE + (34.0 if above else 0.0))
    right = page.width + (
        ARC * len(lanes([(a, b) for a, b, _ in far], {**page.items, **page.nodes})) + 34 if far else 0
    )
    taken = [*_areas(page), *outside(right, page.height)]
    ways = routes(placement, page)
    arcs = [*arcs_beside([(a, b, row, both) for a, b, row, both in side], page, -1.0)]
    arcs += arcs_beside([(a, b, row, True) for a, b, row in far], page, 1.0)
    straight = [*straight_lines(drawn, page), *arcs_within(over, through, page)]
    taken.extend(area for way in ways.values() for area in line_areas(way))
    taken.extend(area for way, *_ in (*arcs, *straight) for area in line_areas([way])[1:])
    lines = [_path(way, drawn.paths[pair]) for pair, way in ways.items()]
    lines += [_curve(way, row, both) for way, row, both in (*arcs, *straight)]
    numbers = [_number([way[1]] if len(way) > 2 else way, drawn.paths[pair], taken, 13.5) for pair, way in ways.items()]
    numbers += [_number([way], row, taken, 12.0) for way, row, _ in (*arcs, *straight)]
    fans = [_fan(latent, rows, page) for latent, rows in owned_items(drawn).items()]
    boxes = [_node(name, words[name], drawn, page) for name in drawn.nodes]
    boxes += [_item(name, words[name], drawn.shares, page) for name in page.items]
    legend, extra = _legend(drawn, right, page.height)
    size = f'viewBox="0 0 {right:g} {page.height + extra:g}" style="width:100%;max-width:{right:g}px;{FONT}"'
    return f"<svg {size}>{''.join([*lines, *fans, *boxes, *numbers, legend])}</svg>"


_STYLE = Style(across=True, box=(NODE[0], NODE[1]), gap=GAP, pitch=0.0, lane=LANE, letters=17)


def _areas(page: Page) -> Iterator[Area]:
    for (x, y), (w, h) in [*((p, NODE) for p in page.nodes.values()), *((p, ITEM) for p in page.items.values())]:
        yield (x - w / 2, y - h / 2, x + w / 2, y + h / 2, 4.0)
    for x, y in page.items.values():
        left = x - ITEM[0] / 2
        yield (left - FAN, y - PITCH / 2, left, y + PITCH / 2, 2.0)
        yield (x + ITEM[0] / 2, y - 9, x + ITEM[0] / 2 + SHARE, y + 9, 4.0)


def _significant(row: Any) -> bool:
    return not math.isfinite(row.p_value) or row.p_value < 0.05


def _path(way: Sequence[Piece], row: Any) -> str:
    look = ("holds", "") if _significant(row) else ("unclear", "8 5")
    return line(way, _STYLE, thickness(float(row.std_all)), *look)


def _curve(way: Piece, row: Any, both: bool) -> str:
    colour = paint("muted" if both else "holds") if _significant(row) else paint("unclear")
    dash = "" if _significant(row) else ";stroke-dasharray:5 4"
    path = f"M{xy(way[0])}C{xy(way[1])} {xy(way[2])} {xy(way[3])}"
    heads = _head(way[3], way[2], colour) + (_head(way[0], way[1], colour) if both else "")
    return f'<path d="{path}" style="fill:none;stroke:{colour};stroke-width:1.4{dash}"/>{heads}'


def _head(tip: Point, before: Point, colour: str, size: float = 8.0) -> str:
    length = math.hypot(tip[0] - before[0], tip[1] - before[1]) or 1.0
    dx, dy = (tip[0] - before[0]) / length * size, (tip[1] - before[1]) / length * size
    left, right = (tip[0] - dx - dy * 0.45, tip[1] - dy + dx * 0.45), (tip[0] - dx + dy * 0.45, tip[1] - dy - dx * 0.45)
    return f'<path d="M{xy(left)}L{xy(tip)}L{xy(right)}Z" style="fill:{colour}"/>'


def _two(value: float) -> str:
    text = f"{value:.2f}"
    return "0.00" if text == "-0.00" else text.replace("-", "−")


def _stars(row: Any) -> str:
    return "".join("*" for level in (0.05, 0.01, 0.001) if row.p_value < level)


def _number(way: Sequence[Piece], row: Any, taken: list[Area], size: float) -> str:
    """The standardised estimate beside its line, where it hides least."""
    text = _two(row.std_all) + _stars(row)
    wide, high = len(text) * size * 0.58 + 4, size + 3
    spots = [(*bezier(piece, t), abs(t - 0.5)) for piece in way for t in (0.5, 0.4, 0.6, 0.3, 0.7, 0.2, 0.8)]
    shifts = [(side * (wide / 2 + 6), 0.0) for side in (1, -1)] + [(0.0, -high * 0.85), (0.0, high * 0.85), (0.0, 0.0)]
    tries = [((x + dx, y + dy), worth) for x, y, worth in spots for dx, dy in shifts]
    areas = [((x - wide / 2, y - high / 2, x + wide / 2, y + high / 2), worth) for (x, y), worth in tries]
    best = min(areas, key=lambda area: sum(overlap(area[0], other) for other in taken) + 40 * area[1])[0]
    taken.append((*best, 6.0))
    x, y = (best[0] + best[2]) / 2, (best[1] + best[3]) / 2 + size * 0.36
    weight = 600 if _significant(row) else 400
    style = f"{HALO};font-size:{size:g}px;font-weight:{weight};fill:{INK}"
    return f'<text x="{x:.1f}" y="{y:.1f}" style="{style}">{text}</text>'


def _fan(latent: str, rows: Sequence[Any], page: Page) -> str:
    """Arrows from a latent to its items, with the loading at the tip."""
    x, y = page.nodes[latent]
    parts = []
    for i, row in enumerate(rows):
        item = page.items[row.rhs]
        tip = (item[0] - ITEM[0] / 2, item[1])
        angle = (i - (len(rows) - 1) / 2) / max(len(rows), 1) * 1.5
        start = (x + NODE[0] / 2 * math.cos(angle), y + NODE[1] / 2 * math.sin(angle))
        colour = paint("muted") if _significant(row) else paint("unclear")
        dash = "" if _significant(row) else ";stroke-dasharray:5 4"
        parts.append(
            f'<path d="M{xy(start)}L{xy(tip)}" style="fill:none;stroke:{colour};stroke-width:1.3{dash}"/>'
            f"{_head(tip, start, colour, 7.0)}"
        )
    for row in rows:
        item, text = page.items[row.rhs], _two(row.std_all) + _stars(row)
        wide, end = 6.4 * len(text) + 4, item[0] - ITEM[0] / 2 - 11
        parts.append(
            f'<rect x="{end - wide:.1f}" y="{item[1] - 8:.1f}" width="{wide:.1f}" height="15" '
            f'style="fill:var(--spc-page, #ffffff)"/><text x="{end - wide / 2:.1f}" y="{item[1] + 4:.1f}" '
            f'style="text-anchor:middle;font-size:11px;fill:{INK}">{text}</text>'
        )
    return "".join(parts)


_BOX = "fill:var(--spc-box, #f4f6f8);stroke:{line};stroke-width:1.2"


def _node(name: str, label: str, drawn: Drawn, page: Page) -> str:
    (x, y), (wide, high) = page.nodes[name], NODE
    shape = _BOX.format(line=paint("line"))
    outline = (
        f'<ellipse cx="{x:.1f}" cy="{y:.1f}" rx="{wide / 2:g}" ry="{high / 2:g}" style="{shape}"/>'
        if name in drawn.latents
        else f'<rect x="{x - wide / 2:.1f}" y="{y - high / 2:.1f}" width="{wide:g}" height="{high:g}" style="{shape}"/>'
    )
    lines = _lines(label, 15 if name in drawn.latents else 17, 2)
    share = f"R² = {_two(drawn.shares[name])}" if name in drawn.shares else ""
    top = y + 4.5 - 6.5 * (len(lines) - 1 + (0.95 if share else 0.0))
    text = "".join(
        f'<tspan x="{x:.1f}" y="{top + 13.5 * i:.1f}">{escape(line)}</tspan>' for i, line in enumerate(lines)
    )
    style = f"font-size:12.5px;font-weight:600;text-anchor:middle;fill:{BOXINK}"
    small = f"font-size:10.5px;text-anchor:middle;fill:{BOXINK}"
    below = f'<text x="{x:.1f}" y="{top + 13.5 * len(lines):.1f}" style="{small}">{share}</text>' if share else ""
    return f'<g><title>{escape(label)}</title>{outline}<text style="{style}">{text}</text>{below}</g>'


def _item(name: str, label: str, shares: Mapping[str, float], page: Page) -> str:
    (x, y), (wide, high) = page.items[name], ITEM
    size = f'x="{x - wide / 2:.1f}" y="{y - high / 2:.1f}" width="{wide:g}" height="{high:g}"'
    share = f"R² {_two(shares[name])}" if name in shares else ""
    style = f"font-size:11.5px;text-anchor:middle;fill:{BOXINK}"
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


def _legend(drawn: Drawn, width: float, top: float) -> tuple[str, float]:
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


def _alt(drawn: Drawn, words: Mapping[str, str]) -> str:
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
