"""What a base of customers is worth in margins of one period, whatever is known of how they stay.

Two kinds of base answer the same questions. In a :class:`Mixture` every customer keeps a chance of staying of her own
(one rate for all is a mixture of one); in :class:`Paths` the chance depends on tenure alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from spc.economics.lifetime import elasticity, margin_multiple
from spc.linalg import FloatArray

__all__ = ["Base", "Change", "Mixture", "Paths", "beta_mixture", "percent_more", "points_more", "unchanged"]

Change = Callable[[FloatArray], FloatArray]


def unchanged(rate: FloatArray) -> FloatArray:
    """Leave the chances of staying as they are."""
    return rate


def points_more(points: float) -> Change:
    """So many points more of everybody's chance of staying, at most up to one."""
    return lambda rate: np.minimum(rate + points, 1.0)


def percent_more(share: float) -> Change:
    """So much per cent more of everybody's chance of staying, at most up to one."""
    return lambda rate: np.minimum(rate * (1.0 + share), 1.0)


class Base(Protocol):
    """Customers, as far as their staying goes; leading dimensions are draws."""

    def next_rate(self, change: Change = unchanged) -> FloatArray:
        """Share that stays for the next period."""

    def multiple(
        self, discount: float, horizon: float, *, change: Change = unchanged, first: bool = False
    ) -> FloatArray:
        """Mean customer value in margins, see :func:`spc.economics.margin_multiple`."""

    def duration(self, discount: float, horizon: float) -> FloatArray:
        """Duration of the cash flow: the elasticity of value to everybody's retention."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Customers who keep their own chance of staying.

    Attributes
    ----------
    rates : (..., K) array
    weights : (..., K) array
        Share of customers at each rate; they sum to one.
    """

    rates: FloatArray
    weights: FloatArray

    def next_rate(self, change: Change = unchanged) -> FloatArray:
        """Share that stays for the next period."""
        return np.asarray((change(self.rates) * self.weights).sum(axis=-1))

    def multiple(
        self, discount: float, horizon: float, *, change: Change = unchanged, first: bool = False
    ) -> FloatArray:
        """Mean customer value in margins."""
        value = margin_multiple(change(self.rates), discount, horizon=horizon, first_margin=first)
        return np.asarray((value * self.weights).sum(axis=-1))

    def duration(self, discount: float, horizon: float) -> FloatArray:
        """Duration of the cash flow."""
        value = margin_multiple(self.rates, discount, horizon=horizon) * self.weights
        lasting = (value * elasticity(self.rates, discount, horizon=horizon)).sum(axis=-1)
        total = value.sum(axis=-1)
        return np.asarray(np.where(total > 0, lasting / np.where(total > 0, total, 1.0), 1.0))


@dataclass(frozen=True, eq=False)
class Paths:
    """Customers whose chance of staying goes by tenure; after the last known period it stays what it was.

    Attributes
    ----------
    rates : (..., L) array
        Chance of staying through period 1..L of tenure.
    ages : (L + 1,) array
        Share of customers who have behind them 0..L periods (L and more at the end); sums to one.
    """

    rates: FloatArray
    ages: FloatArray

    def _ahead(self) -> FloatArray:
        """Chance of staying through the next period after 0..L of them."""
        return np.concatenate([self.rates, self.rates[..., -1:]], axis=-1)

    def next_rate(self, change: Change = unchanged) -> FloatArray:
        """Share that stays for the next period."""
        return np.asarray(change(self._ahead()) @ self.ages)

    def multiple(
        self, discount: float, horizon: float, *, change: Change = unchanged, first: bool = False
    ) -> FloatArray:
        """Mean customer value in margins."""
        value, _ = _ahead(change(self._ahead()) / (1.0 + discount), horizon)
        return np.asarray(value @ self.ages + float(first))

    def duration(self, discount: float, horizon: float) -> FloatArray:
        """Duration of the cash flow."""
        value, lasting = _ahead(self._ahead() / (1.0 + discount), horizon)
        total = value @ self.ages
        return np.asarray(np.where(total > 0, lasting @ self.ages / np.where(total > 0, total, 1.0), 1.0))


def _ahead(x: FloatArray, horizon: float) -> tuple[FloatArray, FloatArray]:
    """Sum of the products of x from each place on, and the same weighted by how far they reach."""
    if math.isinf(horizon):
        value, lasting = x.copy(), x.copy()
        value[..., -1] = x[..., -1] / (1.0 - x[..., -1])
        lasting[..., -1] = value[..., -1] / (1.0 - x[..., -1])
        for at in range(x.shape[-1] - 2, -1, -1):
            value[..., at] = x[..., at] * (1.0 + value[..., at + 1])
            lasting[..., at] = value[..., at] + x[..., at] * lasting[..., at + 1]
        return value, lasting
    value, lasting = np.zeros_like(x), np.zeros_like(x)
    after = np.minimum(np.arange(x.shape[-1]) + 1, x.shape[-1] - 1)
    for _ in range(int(horizon)):
        value, rest = x * (1.0 + value[..., after]), lasting[..., after]
        lasting = value + x * rest
    return value, lasting


_NODES, _FAR = 24, 700.0


def beta_mixture(
    alpha: FloatArray, beta: FloatArray, ages: FloatArray, shares: FloatArray, cuts: tuple[float, ...] = ()
) -> Mixture:
    """Customers with beta distributed chances of leaving, given how often each has renewed.

    Who has renewed n times leaves with a chance of Beta(alpha, beta + n). The distribution over all customers is cut
    into pieces at ``cuts`` and integrated on Gauss-Legendre nodes in the log odds, where it is smooth. What lies beyond
    the nodes stays, or leaves, for sure.

    Parameters
    ----------
    alpha, beta : (...) arrays
    ages : (A,) array
        Renewals behind the customers.
    shares : (A,) array
        Share of customers at each; sums to one.
    cuts : tuple of float
        Chances of leaving at which the value is not smooth, such as 0.05 for five points more of retention.

    Returns
    -------
    Mixture
        Rates of shape (..., K).

    Examples
    --------
    >>> base = beta_mixture(np.array(2.0), np.array(3.0), np.array([0.0, 1.0]), np.array([0.5, 0.5]))
    >>> round(float(base.next_rate()), 4), round((3 / 5 + 4 / 6) / 2, 4)
    (0.6333, 0.6333)
    """
    from scipy.special import betaln, log_expit, polygamma, psi

    a, b = np.asarray(alpha, dtype=float)[..., None], np.asarray(beta, dtype=float)[..., None]
    near, far = float(ages.min()), float(ages.max())
    spread = 9.0 * np.sqrt(polygamma(1, a) + polygamma(1, b + near))
    left, right = psi(a) - psi(b + far), psi(a) - psi(b + near)
    low = left - np.maximum(spread, 16.0 / a)
    high = right + np.maximum(spread, 16.0 / (b + near))
    low, high = np.maximum(low, -_FAR), np.minimum(high, _FAR)
    inner = [np.clip(np.log(c / (1.0 - c)), low, high) for c in sorted(cuts) if 0.0 < c < 1.0]
    points, lengths = np.polynomial.legendre.leggauss(_NODES)
    left, right = np.clip(left, low, high), np.clip(right, low, high)
    middle = [left - 0.25 * (left - low), (left + right) / 2.0, right + 0.25 * (high - right)]
    edges = np.sort(np.stack([low, *inner, *middle, high]), axis=0)
    x, logs = [], []
    for start, end in pairwise(list(edges)):
        half = (end - start) / 2.0
        x.append(start + half * (points + 1.0))
        logs.append(np.log(np.maximum(half, 1e-300)) + np.log(lengths))
    logit = np.concatenate(x, axis=-1)
    log_stay, log_leave, width = log_expit(-logit), log_expit(logit), np.concatenate(logs, axis=-1)
    weights = np.zeros((*logit.shape[:-1], logit.shape[-1] + 2))
    for age, share in zip(ages, shares, strict=True):
        total, later = betaln(a, b + age), b + age
        inner_mass = a * log_leave + later * log_stay - total + width
        below = np.where(low > -_FAR, -np.inf, a * low - np.log(a) - total)
        above = np.where(high < _FAR, -np.inf, -later * high - np.log(later) - total)
        weights += share * np.exp(np.minimum(np.concatenate([below, inner_mass, above], axis=-1), 0.0))
    weights /= weights.sum(axis=-1, keepdims=True)
    edge = np.ones((*logit.shape[:-1], 1))
    return Mixture(np.concatenate([edge, np.exp(log_stay), 0.0 * edge], axis=-1), weights)
