"""Value of a stated stream of profits per customer, as the first figures of what loyalty is worth were made."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from spc.errors import UsageError
from spc.linalg import FloatArray

__all__ = ["discount_elasticity", "stream_value"]


def stream_value(
    profits: Sequence[float], discount: float, *, retention: float | None = None, life: int | None = None
) -> float:
    """Present value of a customer whose profits by year of tenure are given; the last one repeats for ever.

    The first profit comes at once, for sure and undiscounted (it often holds the cost of winning the customer). Then
    the customer stays with the same chance every year, or for a fixed life.

    Parameters
    ----------
    profits : sequence of float
        Of year 0, 1, 2, ...
    discount : float
        Per year, 0 or more.
    retention : float, optional
        Chance of staying a year; this or ``life``.
    life : int, optional
        Years in all, year 0 among them.

    Raises
    ------
    UsageError
        Neither or both of retention and life, no profits, or a sum without a limit.

    Examples
    --------
    >>> round(stream_value([-51, 30, 42, 44, 55], 0.10, retention=0.90), 2)
    161.32
    >>> round(stream_value([-51, 30, 42, 44, 55], 0.10, life=5), 2)
    81.61
    """
    if (retention is None) == (life is None):
        raise UsageError("Give the retention or a fixed life, one of the two.")
    if not len(profits) or not discount >= 0:
        raise UsageError("A stream needs at least one profit, and a discount of 0 or more.")
    flow = np.asarray(profits, dtype=float)
    if life is not None:
        years = np.arange(life)
        return float((flow[np.minimum(years, flow.size - 1)] / (1 + discount) ** years).sum())
    x = float(retention or 0.0) / (1 + discount)
    if not 0 <= x < 1:
        raise UsageError(f"Retention is {retention!r}, discount {discount!r}: the sum has no limit. Give a life.")
    last = flow.size - 1
    early = float(flow[:last] @ x ** np.arange(last))
    return early + float(flow[last]) * x**last / (1 - x)


def discount_elasticity(retention: float | FloatArray, discount: float) -> FloatArray:
    """Per cent that customer value falls when the discount rises by one per cent of itself: ``-d / (1 + d - r)``.

    Examples
    --------
    >>> float(discount_elasticity(0.9, 0.10).round(2))
    -0.5
    """
    r = np.asarray(retention, dtype=float)
    if not (discount > -1 and np.all((r >= 0) & (r <= 1) & (r < 1 + discount))) or math.isnan(discount):
        raise UsageError("Retention is a chance between 0 and 1, and must lie below one plus the discount.")
    return np.asarray(-discount / (1 + discount - r))
