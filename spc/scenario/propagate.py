"""How far every construct moves, period by period and draw by draw, when some are moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from spc.errors import UnsupportedError
from spc.linalg import FloatArray

__all__ = ["Links", "moved"]

Link = tuple[str, str]


class Bend(Protocol):
    """A link that is not straight."""

    def __call__(self, change: FloatArray, /) -> FloatArray:
        """Change of the effect for a change of the cause."""

    def numbers(self) -> Mapping[str, float]:
        """What its shape is made of, by name."""


@dataclass(frozen=True, eq=False)
class Links:
    """The links of a chain as numbers.

    Attributes
    ----------
    slopes : mapping of (effect, cause) to (n,) array
        Draws of each link on the scale of the data; row i of all links belongs together.
    lags : mapping of (effect, cause) to int
        Periods until a link works; none when absent.
    bends : mapping of (effect, cause) to callable
        Links that are not straight: change of the effect for a change of the cause, at the estimates, and the slope
        of the straight line they stand beside, which scales them from draw to draw.
    """

    slopes: Mapping[Link, FloatArray]
    lags: Mapping[Link, int] = field(default_factory=dict)
    bends: Mapping[Link, tuple[Bend, float]] = field(default_factory=dict)

    @property
    def draws(self) -> int:
        """Number of draws."""
        return len(next(iter(self.slopes.values())))

    @property
    def order(self) -> tuple[str, ...]:
        """Constructs, causes before effects.

        Raises
        ------
        UnsupportedError
            Links that lead back to where they began within one period.
        """
        names = list(dict.fromkeys(name for effect, cause in self.slopes for name in (cause, effect)))
        waiting = {n: {c for (e, c) in self.slopes if e == n and not self.lags.get((e, c), 0)} for n in names}
        order: list[str] = []
        while waiting:
            ready = [name for name, causes in waiting.items() if not causes - set(order)]
            if not ready:
                raise UnsupportedError(
                    f"The links among {', '.join(waiting)} lead back to where they began; give one of them a lag."
                )
            order += ready
            waiting = {name: causes for name, causes in waiting.items() if name not in ready}
        return tuple(order)


def moved(links: Links, paths: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Move some constructs and let the rest follow.

    Parameters
    ----------
    links : Links
    paths : mapping of str to (T,) array
        How far each lever moves its construct in each period. What reaches a construct through the chain adds to it.

    Returns
    -------
    dict of str to (n, T) array
        How far every construct moves.

    Examples
    --------
    >>> links = Links({("y", "x"): np.array([0.5, 1.0])}, lags={("y", "x"): 1})
    >>> moved(links, {"x": np.array([1.0, 1.0, 0.0])})["y"].tolist()
    [[0.0, 0.5, 0.5], [0.0, 1.0, 1.0]]
    """
    n, periods = links.draws, len(next(iter(paths.values())))
    order = links.order
    found = {name: np.zeros((n, periods)) for name in (*order, *(name for name in paths if name not in order))}
    for name, path in paths.items():
        found[name] += path
    incoming: dict[str, Sequence[Link]] = {name: [link for link in links.slopes if link[0] == name] for name in order}
    for t in range(periods):
        for name in order:
            for effect, cause in incoming[name]:
                then = t - links.lags.get((effect, cause), 0)
                if then >= 0:
                    found[name][:, t] += _followed(links, (effect, cause), found[cause][:, then])
    return found


def _followed(links: Links, link: Link, change: FloatArray) -> FloatArray:
    slope = links.slopes[link]
    if link not in links.bends:
        return slope * change
    bend, straight = links.bends[link]
    return np.asarray(bend(change) * (slope / straight if straight else 1.0))
