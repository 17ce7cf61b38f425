"""Where the boxes and lines of a chain go: layers by longest path, lanes for links that skip layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Placement", "place"]

Link = tuple[str, str]
Slot = tuple[int, object]


@dataclass(frozen=True)
class Placement:
    """Abstract places; a drawing turns them into pixels in either direction.

    Attributes
    ----------
    layers : tuple of tuples
        Slots of each layer in order; a slot is a node's name, or the link that passes through.
    routes : mapping of (from, to) to tuple of (layer, slot)
        Slots each link runs through, from its cause to its effect.
    """

    layers: tuple[tuple[object, ...], ...]
    routes: Mapping[Link, tuple[Slot, ...]]


def place(links: Sequence[Link]) -> Placement:
    """Lay out a graph of links from causes to effects.

    Links that close a loop are ignored for the layers and drawn backwards. Order inside a layer follows the mean
    place of the neighbours, swept to and fro (Sugiyama, Tagawa & Toda 1981).

    Examples
    --------
    >>> place([("a", "b"), ("b", "c"), ("a", "c")]).layers
    (('a',), ('b', ('a', 'c')), ('c',))
    """
    nodes = list(dict.fromkeys(name for link in links for name in link))
    loops = _closing(nodes, links)
    depth = _depths(nodes, [link for link in links if link not in loops and link[0] != link[1]])
    layers: list[list[object]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in nodes:
        layers[depth[name]].append(name)
    routes = {}
    for link in dict.fromkeys(links):
        if link[0] != link[1]:
            routes[link] = _route(link, depth, layers)
    _order(layers, routes)
    return Placement(tuple(tuple(layer) for layer in layers), routes)


def _closing(nodes: Sequence[str], links: Sequence[Link]) -> set[Link]:
    """Links that lead back to a node on the way to them."""
    following: dict[str, list[str]] = {name: [] for name in nodes}
    for cause, effect in links:
        following[cause].append(effect)
    found: set[Link] = set()
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        for effect in following[name]:
            if effect in way or effect == name:
                found.add((name, effect))
            elif effect not in done:
                visit(effect, (*way, name))
        done.add(name)

    for name in nodes:
        if name not in done:
            visit(name, ())
    return found


def _depths(nodes: Sequence[str], links: Sequence[Link]) -> dict[str, int]:
    depth = dict.fromkeys(nodes, 0)
    for _ in nodes:
        for cause, effect in links:
            depth[effect] = max(depth[effect], depth[cause] + 1)
    followed = {cause for cause, _ in links}
    led = {effect for _, effect in links}
    for name in nodes:
        if name not in led and name in followed:
            depth[name] = min(depth[effect] for cause, effect in links if cause == name) - 1
    return depth


def _route(link: Link, depth: Mapping[str, int], layers: list[list[object]]) -> tuple[Slot, ...]:
    start, end = depth[link[0]], depth[link[1]]
    step = 1 if end > start else -1
    between = range(start + step, end, step)
    for layer in between:
        layers[layer].append(link)
    return ((start, link[0]), *((layer, link) for layer in between), (end, link[1]))


def _order(layers: list[list[object]], routes: Mapping[Link, tuple[Slot, ...]]) -> None:
    neighbours: dict[Slot, list[Slot]] = {}
    for route in routes.values():
        for one, other in pairwise(route):
            neighbours.setdefault(one, []).append(other)
            neighbours.setdefault(other, []).append(one)
    for sweep in range(4):
        forward = sweep % 2 == 0
        for at in range(len(layers)) if forward else reversed(range(len(layers))):
            beside = at - 1 if forward else at + 1
            if not 0 <= beside < len(layers):
                continue
            centre = (len(layers[at]) - 1) / 2
            spot = {slot: i - (len(layers[beside]) - 1) / 2 for i, slot in enumerate(layers[beside])}
            pull = {}
            for i, slot in enumerate(layers[at]):
                near = [spot[s] for layer, s in neighbours.get((at, slot), []) if layer == beside]
                pull[slot] = (sum(near) / len(near) if near else i - centre, isinstance(slot, tuple), i)
            layers[at].sort(key=lambda slot: pull[slot])
