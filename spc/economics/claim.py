"""On what assumptions the range that is usually quoted for five points of retention would come out in this firm."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from spc.economics.base import Base, Change, Mixture, points_more, unchanged
from spc.economics.terms import LoyaltyTerms

__all__ = ["CLAIM", "claim_terms"]

CLAIM = (0.25, 0.85)
"""The range usually quoted for five points of retention; a claim without a traceable study."""


def claim_terms(base: Base, terms: LoyaltyTerms, margin: float) -> Iterator[dict[str, Any]]:
    """Rows of kind ``claim_terms``: the discount, growth of margins or acquisition cost that gives each end.

    One assumption is changed at a time, everything else stays as the firm has it, over a whole life (no horizon). The
    growth g of margins per period acts through ``(1 + d) / (1 + g)``. The acquisition cost is money per customer that
    the value is net of, before and after. A missing estimate says that no value of the assumption gives it.
    """
    d, more, first = terms.discount, points_more(terms.points), terms.first_margin

    def worth(discount: float, change: Change = unchanged) -> float:
        return float(base.multiple(discount, math.inf, change=change, first=first))

    def rise(discount: float) -> float:
        now = worth(discount)
        return worth(discount, more) / now - 1.0 if now > 0 else math.nan

    least = float(np.max(more(base.rates))) - 1.0 if isinstance(base, Mixture) else 0.0
    for target in CLAIM:
        at = _solve(lambda x, target=target: rise(x) - target, least)  # type: ignore[misc]
        rhs = f"+{100 * terms.points:g} points worth {target:.0%}, {terms.endless}"
        yield {"lhs": "discount", "rhs": rhs, "kind": "claim_terms", "estimate": at if at >= 0 else math.nan}
        growth = (1 + d) / (1 + at) - 1
        yield {"lhs": "margin_growth", "rhs": rhs, "kind": "claim_terms", "estimate": growth}
        if d > 0 and math.isfinite(margin):
            cost = margin * worth(d) * (1.0 - rise(d) / target)
            yield {"lhs": "acquisition_cost", "rhs": rhs, "kind": "claim_terms", "estimate": _cost(cost, margin)}


def _cost(cost: float, margin: float) -> float:
    return cost if margin > 0 and cost >= 0 else math.nan


_LEAST, _MOST = 1e-4, 3.0


def _solve(gap: Callable[[float], float], least: float) -> float:
    """The discount above ``least`` at which a function that falls with it, at first, is nought; NaN where none is."""
    from scipy.optimize import brentq

    grid = [least + _LEAST * (_MOST / _LEAST) ** (i / 60) for i in range(61)]
    found = [gap(x) for x in grid]
    for low, high, a, b in zip(grid[:-1], grid[1:], found[:-1], found[1:], strict=True):
        if a >= 0 > b:
            return float(brentq(gap, low, high, xtol=1e-10))
    return math.nan
