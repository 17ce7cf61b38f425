"""The BG/NBD model as a model of retention: how surely each customer is still active, and stays so for a period.

Given her purchases a customer is active with a known chance, and if so her rate of buying is gamma(r + x, alpha + T)
and her chance of stopping after a purchase beta(a, b + x), independently. She then stays active through a period with
chance ``exp(-rate * stop)``, and points of retention are added to that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from spc.economics.base import Base, Change, unchanged
from spc.economics.purchases import Buying, BuyingModel, Purchases, p_alive
from spc.linalg import FloatArray

__all__ = ["Buyers", "BuyersModel", "DrawnBuyers", "buyers_at"]

_MOST_NODES = 16_000
_AXIS = 1.5


@dataclass(frozen=True, eq=False)
class Buyers:
    """Active customers with a rate of buying and a chance of staying active through a period.

    Attributes
    ----------
    rate : (K,) array
        Purchases a period.
    stay : (K,) array
    weights : (K,) array
        They sum to one.
    active : float
        Customers expected to be active.
    """

    rate: FloatArray
    stay: FloatArray
    weights: FloatArray
    active: float

    def next_rate(self, change: Change = unchanged) -> FloatArray:
        """Share that stays active through the next period."""
        return np.asarray(change(self.stay) @ self.weights)

    def multiple(
        self, discount: float, horizon: float, *, change: Change = unchanged, first: bool = False
    ) -> FloatArray:
        """Discounted purchases ahead of the mean customer; money runs on continuously."""
        k = self._decay(change(self.stay), discount)
        flow = self.rate * _span(k, horizon)
        return np.asarray(flow @ self.weights + float(first))

    def duration(self, discount: float, horizon: float) -> FloatArray:
        """Elasticity of that to everybody's chance of staying: the mean time of the discounted purchases."""
        k = self._decay(self.stay, discount)
        span = _span(k, horizon)
        if math.isinf(horizon):
            late = span**2
        else:
            kh = k * horizon
            late = np.where(kh < 1e-4, horizon**2 / 2, (1 - (1 + kh) * np.exp(-kh)) / np.maximum(k, 1e-12) ** 2)
        return np.asarray((self.rate * late) @ self.weights / ((self.rate * span) @ self.weights))

    def _decay(self, stay: FloatArray, discount: float) -> FloatArray:
        return np.asarray(-np.log(np.maximum(stay, 1e-300)) + math.log1p(discount))


def _span(k: FloatArray, horizon: float) -> FloatArray:
    """Integral of exp(-k t) up to the horizon."""
    if math.isinf(horizon):
        return np.asarray(1.0 / k)
    small = k * horizon < 1e-8
    return np.asarray(np.where(small, horizon, -np.expm1(-k * horizon) / np.where(small, 1.0, k)))


@dataclass(frozen=True, eq=False)
class DrawnBuyers:
    """Buyers under drawn parameters: a quadratic in the parameters for the logarithm of every figure.

    The bases stand at the estimate and on both sides of it along each axis of its uncertainty, made with the same
    uniform numbers, so that figures move smoothly.

    Attributes
    ----------
    middle : Buyers
    sides : tuple of (Buyers, Buyers)
        Below and above, one an axis.
    z : (n, k) array
        Where the draws lie, in units of the axes.
    """

    middle: Buyers
    sides: tuple[tuple[Buyers, Buyers], ...]
    z: FloatArray

    def _drawn(self, values: list[float]) -> FloatArray:
        middle, ends = values[0], np.array(values[1:]).reshape(-1, 2)
        if not (middle > 0 and (ends > 0).all()):
            return np.full(len(self.z), middle)
        low, high = np.log(ends / middle).T
        slope, bend = (high - low) / (2 * _AXIS), (high + low) / (2 * _AXIS**2)
        return np.asarray(middle * np.exp(self.z @ slope + self.z**2 @ bend))

    def _all(self) -> list[Buyers]:
        return [self.middle, *(base for pair in self.sides for base in pair)]

    def next_rate(self, change: Change = unchanged) -> FloatArray:
        """Share that stays active through the next period, (n,)."""
        lost = self._drawn([1.0 - float(base.next_rate(change)) for base in self._all()])
        return np.clip(1.0 - lost, 0.0, 1.0)

    def multiple(
        self, discount: float, horizon: float, *, change: Change = unchanged, first: bool = False
    ) -> FloatArray:
        """Discounted purchases ahead, (n,)."""
        return self._drawn(
            [float(base.multiple(discount, horizon, change=change, first=first)) for base in self._all()]
        )

    def duration(self, discount: float, horizon: float) -> FloatArray:
        """Elasticity to staying, (n,)."""
        return self._drawn([float(base.duration(discount, horizon)) for base in self._all()])


@dataclass(frozen=True, eq=False)
class BuyersModel:
    """The BG/NBD model among the models of retention. Parameters: log r, alpha, a, b."""

    fit: BuyingModel

    @property
    def name(self) -> str:
        """``"bg-nbd"``."""
        return "bg-nbd"

    @property
    def point(self) -> FloatArray:
        """Logarithms of r, alpha, a, b."""
        return self.fit.point

    def draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """From the normal approximation."""
        return self.fit.draws(n, rng)

    def base(self, parameters: FloatArray, ages: FloatArray, shares: FloatArray, cuts: tuple[float, ...]) -> Base:
        """The customers of the table, or new ones where ``ages`` is a single 0 without a customer behind it."""
        new = shares.size == 1 and not ages.any()
        if parameters.ndim == 1:
            return buyers_at(parameters, self.fit.purchases, new)
        values, vectors = np.linalg.eigh(self.fit.vcov)
        z = (parameters - self.point) @ vectors / np.sqrt(np.maximum(values, 1e-300))
        return DrawnBuyers(*_bases(self, new), z)

    def stay(self, parameters: FloatArray, periods: int) -> FloatArray:
        """Chance of a customer who has just come of staying active through period 1..T, (..., T)."""
        base = buyers_at(parameters, self.fit.purchases, True)
        there = np.array([base.weights @ base.stay**t for t in range(periods + 1)])
        return np.asarray(there[1:] / there[:-1])

    def active(self) -> float:
        """Customers expected to be active."""
        return float(self.fit.purchases.count @ p_alive(self.fit, self.fit.purchases))


@lru_cache(maxsize=4)
def _bases(model: BuyersModel, new: bool) -> tuple[Buyers, tuple[tuple[Buyers, Buyers], ...]]:
    """Bases at the estimate and on both sides of it along each axis of its uncertainty."""
    values, vectors = np.linalg.eigh(model.fit.vcov)
    p, steps = model.fit.purchases, _AXIS * vectors * np.sqrt(np.maximum(values, 0.0))
    sides = tuple((buyers_at(model.point - step, p, new), buyers_at(model.point + step, p, new)) for step in steps.T)
    return buyers_at(model.point, p, new), sides


def buyers_at(x: FloatArray, p: Purchases, new: bool) -> Buyers:
    """Buyers at logarithms of r, alpha, a, b (4,): the active of these customers, or ``new`` ones.

    Every customer is some nodes of rate and stopping, from evenly spread pairs of uniform numbers.
    """
    from scipy.special import betaincinv, gammaincinv

    r, alpha, a, b = np.exp(np.clip(x, -30.0, 30.0))
    if new:
        repeats, age, weight = np.zeros(4096), np.zeros(4096), np.full(4096, 1.0 / 4096)
        each, active = 1, 1.0
    else:
        alive = p_alive(Buying(r, alpha, a, b), p)
        rows, count = _spread(p.count)
        repeats, age, weight = p.repeats[rows], p.age[rows], count * alive[rows]
        each, active = max(2, min(16, _MOST_NODES // rows.size)), float(p.count @ alive)
    at = np.arange(repeats.size * each)
    u, v = (at * 0.7548776662466927 + 0.5) % 1.0, (at * 0.5698402909980532 + 0.5) % 1.0
    repeats, age, weight = (np.repeat(column, each) for column in (repeats, age, weight))
    rate = gammaincinv(r + repeats, u) / (alpha + age)
    stop = betaincinv(a, b + repeats, v)
    return Buyers(rate, np.exp(-rate * stop), weight / weight.sum(), active)


def _spread(count: FloatArray) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Rows to keep and the customers each stands for: all, or of very many as many as each has customers."""
    most = _MOST_NODES // 2
    if count.size <= most:
        return np.arange(count.size), count
    total = float(count.sum())
    steps = (np.arange(most) + 0.5) * total / most
    return np.searchsorted(count.cumsum(), steps), np.full(most, total / most)
