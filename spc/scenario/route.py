"""From moved constructs to money: by customers who stay, or by a result of the units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spc.economics.base import Base, Mixture, Paths
from spc.economics.link import RetentionLink
from spc.errors import UnsupportedError, UsageError
from spc.linalg import FloatArray

__all__ = ["LedgerRoute", "ResultRoute", "RetentionSlope", "staying"]


@dataclass(frozen=True, eq=False)
class RetentionSlope:
    """How retention follows a construct.

    Attributes
    ----------
    node : str
        Construct that moves retention.
    slopes : (n,) array
        Draws of the change of the log odds of staying for a period when the construct moves by one.
    source : str
        Where the slope is from, in words.
    margins : (n,) array or None
        Draws of the change of a customer's margin when the construct moves by one.
    """

    node: str
    slopes: FloatArray
    source: str
    margins: FloatArray | None = None

    @classmethod
    def of_link(cls, link: RetentionLink, n: int, seed: int) -> RetentionSlope:
        """Draws of a link that was estimated, with what the score does to margins where that is known.

        Raises
        ------
        UsageError
            A link without retention among its outcomes.
        """
        if "retention" not in link.names:
            raise UsageError(f"The link from {link.construct} has no retention; it has {', '.join(link.names)}.")
        drawn = link.draws(n, np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3,))))
        margin = drawn[:, link.names.index("margin")] if "margin" in link.names else None
        words = f"estimated on {link.units:,} units and {link.customers:,} customers"
        return cls(link.construct, drawn[:, link.names.index("retention")], words, margin)

    @classmethod
    def of(cls, node: str, slope: float, error: float, n: int, seed: int, source: str) -> RetentionSlope:
        """Normal draws of a slope known with its error.

        Raises
        ------
        UsageError
            A negative or infinite error.
        """
        if not (np.isfinite(slope) and np.isfinite(error) and error >= 0.0):
            raise UsageError(f"The slope of retention on {node} is {slope} with error {error}; give finite numbers.")
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(3,)))
        return cls(node, slope + error * rng.standard_normal(n), source)


@dataclass(frozen=True, eq=False)
class LedgerRoute:
    """Margins of the present customers, who stay longer or leave sooner.

    Attributes
    ----------
    slope : RetentionSlope
    base : Base
        How the present customers stay, draws in front.
    margin : (n,) array
        Margin of a customer and period.
    customers : float
        Present customers.
    """

    slope: RetentionSlope
    base: Base
    margin: FloatArray
    customers: float

    @property
    def words(self) -> str:
        """What the money is, for readers."""
        return f"margins of {self.customers:,.0f} present customers, by how long they stay ({self.slope.source})"

    @property
    def node(self) -> str:
        """Construct the money hangs on."""
        return self.slope.node

    def money(self, moved: Mapping[str, FloatArray]) -> FloatArray:
        """More margin in each period, (n, T)."""
        change = moved[self.slope.node]
        shift = self.slope.slopes[:, None] * change
        after, before = staying(self.base, shift), staying(self.base, np.zeros_like(shift))
        more = self.margin[:, None] * (after - before)
        if self.slope.margins is not None:
            more = more + self.slope.margins[:, None] * change * after
        return np.asarray(self.customers * more)


@dataclass(frozen=True, eq=False)
class ResultRoute:
    """A result of the units that is money itself, or is turned into money by a factor.

    Attributes
    ----------
    result : str
        The result among the constructs of the chain.
    factor : float
        Money of the whole firm for one more of the result in the mean unit and period, such as the number of units.
    """

    result: str
    factor: float

    @property
    def words(self) -> str:
        """What the money is, for readers."""
        return f"{self.result} of the units, times {self.factor:,.10g}"

    @property
    def node(self) -> str:
        """Construct the money hangs on."""
        return self.result

    def money(self, moved: Mapping[str, FloatArray]) -> FloatArray:
        """More money in each period, (n, T)."""
        return np.asarray(self.factor * moved[self.result])


def staying(base: Base, shift: FloatArray) -> FloatArray:
    """Share of present customers still there after each period, when the log odds of staying move.

    Parameters
    ----------
    base : Base
        Draws in front, or none.
    shift : (n, T) array

    Returns
    -------
    (n, T) array

    Raises
    ------
    UnsupportedError
        A base that is neither a mixture of rates nor a path of rates by tenure.

    Examples
    --------
    >>> base = Mixture(np.array([[0.8]]), np.array([[1.0]]))
    >>> staying(base, np.zeros((1, 3))).round(3).tolist()
    [[0.8, 0.64, 0.512]]
    """
    from scipy.special import expit, logit

    n, periods = shift.shape
    alive = np.empty((n, periods))
    if isinstance(base, Mixture):
        odds = logit(np.broadcast_to(base.rates, (n, base.rates.shape[-1])))
        share = np.broadcast_to(base.weights, odds.shape).copy()
        for t in range(periods):
            share *= expit(odds + shift[:, t, None])
            alive[:, t] = share.sum(axis=1)
        return alive
    if isinstance(base, Paths):
        rates = np.concatenate([base.rates, base.rates[..., -1:]], axis=-1)
        odds = logit(np.broadcast_to(rates, (n, rates.shape[-1])))
        share = np.broadcast_to(base.ages, odds.shape).copy()
        for t in range(periods):
            left = share * expit(odds + shift[:, t, None])
            share = np.concatenate([np.zeros((n, 1)), left[:, :-1]], axis=1)
            share[:, -1] += left[:, -1]
            alive[:, t] = left.sum(axis=1)
        return alive
    raise UnsupportedError("Scenarios take customers with rates of their own or by tenure.")
