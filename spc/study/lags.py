"""Which wave each construct is taken from, given how long the links of a chain take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from spc.errors import DataError

__all__ = ["Lag", "circle", "wave_offsets"]


@dataclass(frozen=True, slots=True)
class Lag:
    """``cause`` acts on ``effect`` that many waves later."""

    cause: str
    effect: str
    waves: int


def wave_offsets(links: Mapping[str, Sequence[str]], lags: Iterable[Lag]) -> dict[str, int]:
    """How many waves before the last construct each construct is taken.

    A link without a stated lag is taken within one wave.

    Parameters
    ----------
    links : mapping of str to sequence of str
        Predictors of every outcome.
    lags : iterable of Lag

    Returns
    -------
    dict
        Construct to waves back; the last constructs of the chain have 0.

    Raises
    ------
    DataError
        Two ways through the chain ask for different waves of one construct.

    Examples
    --------
    >>> wave_offsets({"b": ["a"], "c": ["b"]}, [Lag("a", "b", 1), Lag("b", "c", 1)])
    {'a': 2, 'b': 1, 'c': 0}
    """
    stated = {(lag.cause, lag.effect): lag.waves for lag in lags}
    edges = [(cause, effect, stated.get((cause, effect), 0)) for effect, causes in links.items() for cause in causes]
    time: dict[str, int] = {}
    for seed in dict.fromkeys(name for cause, effect, _ in edges for name in (cause, effect)):
        if seed not in time:
            time[seed] = 0
            _spread(seed, edges, time)
    last = max(time.values(), default=0)
    return {name: last - when for name, when in time.items()}


def _spread(seed: str, edges: Sequence[tuple[str, str, int]], time: dict[str, int]) -> None:
    queue = [seed]
    while queue:
        here = queue.pop()
        for cause, effect, lag in edges:
            if here not in {cause, effect}:
                continue
            there, when = (effect, time[here] + lag) if here == cause else (cause, time[here] - lag)
            if there not in time:
                time[there] = when
                queue.append(there)
            elif time[there] != when:
                raise DataError.of(
                    "study",
                    "chain.lags",
                    "contradicting_lags",
                    f"{cause} -> {effect} after {lag} wave(s) against another way through the chain",
                    "lags that put each construct at one wave",
                    "State a lag for every link on both ways, adding up to the same number.",
                )


def circle(links: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """One circle of the links as a path that ends where it began; empty when there is none.

    Examples
    --------
    >>> circle({"b": ["a"], "a": ["c"], "c": ["b"]})
    ('b', 'c', 'a', 'b')
    >>> circle({"b": ["a"], "c": ["a", "b"]})
    ()
    """
    remaining = {effect: set(causes) for effect, causes in links.items()}
    while free := [e for e, causes in remaining.items() if not causes & remaining.keys()]:
        for effect in free:
            del remaining[effect]
    if not remaining:
        return ()
    path = [next(iter(remaining))]
    while True:
        effect = next(cause for cause in links[path[-1]] if cause in remaining)
        if effect in path:
            return tuple(reversed([*path[path.index(effect) :], effect]))
        path.append(effect)
