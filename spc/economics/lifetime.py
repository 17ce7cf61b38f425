"""What a customer is worth in margins of one period: closed forms, on numbers or on arrays of draws.

Convention: a customer leaves a margin after each renewal. The next renewal is one period away and happens with
probability ``retention``; a margin t periods away counts ``1 / (1 + discount)**t``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from spc.errors import UsageError
from spc.linalg import FloatArray

__all__ = ["elasticity", "margin_multiple", "retention_for_uplift", "uplift"]


def margin_multiple(
    retention: npt.ArrayLike, discount: float, *, horizon: float = math.inf, first_margin: bool = False
) -> FloatArray:
    """Customer value over margin: ``sum over t = 1..horizon of (r / (1 + d))**t``.

    Parameters
    ----------
    retention : (...) array-like
        Probability r of renewing, per period, between 0 and 1.
    discount : float
        Discount d per period.
    horizon : float
        Number of renewals that count; ``math.inf`` gives ``r / (1 + d - r)``.
    first_margin : bool
        Also count the margin of the running period, which is certain and undiscounted (adds one).

    Returns
    -------
    (...) array

    Raises
    ------
    UsageError
        Retention outside 0..1, a discount of −1 or less, a horizon that is not a positive whole number, or a sum
        without a limit (no horizon, no discount, nobody leaving).

    References
    ----------
    Gupta, Lehmann & Stuart (2004), *Journal of Marketing Research* 41, for ``r / (1 + d - r)``.

    Examples
    --------
    >>> float(margin_multiple(0.8, 0.10).round(3)), float(margin_multiple(0.8, 0.10, horizon=5).round(3))
    (2.667, 2.124)
    """
    x = _ratio(retention, discount, horizon)
    if math.isinf(horizon):
        value = x / (1 - x)
    else:
        gone = x - 1
        near = np.where(gone == 0, 1.0, gone)
        total = np.expm1(horizon * np.log(np.where(x > 0, x, 1.0))) / near
        value = np.where(x > 0, x * np.where(gone == 0, horizon, total), 0.0)
    return np.asarray(value + 1.0 if first_margin else value)


def elasticity(retention: npt.ArrayLike, discount: float, *, horizon: float = math.inf) -> FloatArray:
    """Per cent that customer value rises when retention rises by one per cent of itself.

    It equals the duration of the cash flow, ``sum(t x**t) / sum(x**t)`` with ``x = r / (1 + d)``; without a horizon
    that is ``(1 + d) / (1 + d - r)``.

    Parameters
    ----------
    retention, discount, horizon
        As for :func:`margin_multiple`.

    Returns
    -------
    (...) array

    Raises
    ------
    UsageError
        As for :func:`margin_multiple`.

    References
    ----------
    Pfeifer & Farris (2004), *Journal of Interactive Marketing* 18.

    Examples
    --------
    >>> float(elasticity(0.9, 0.10).round(2))
    5.5
    """
    x = _ratio(retention, discount, horizon)
    if math.isinf(horizon):
        return np.asarray(1 / (1 - x))
    periods = np.arange(1, int(horizon) + 1)
    weights = x[..., None] ** (periods - 1)
    return np.asarray(weights @ periods / weights.sum(axis=-1))


def uplift(
    retention: npt.ArrayLike,
    discount: float,
    *,
    points: npt.ArrayLike = 0.05,
    horizon: float = math.inf,
    first_margin: bool = False,
) -> FloatArray:
    """Relative rise of customer value when retention rises by ``points``; a rise past one stops at one.

    Parameters
    ----------
    retention, discount, horizon, first_margin
        As for :func:`margin_multiple`.
    points : float or (...) array-like
        0.05 is five points. Five *per cent* of retention is ``points=0.05 * retention``.

    Returns
    -------
    (...) array
        0.28 means 28 per cent more; NaN where the value is zero to begin with.

    Raises
    ------
    UsageError
        As for :func:`margin_multiple`.

    Examples
    --------
    >>> float(uplift(0.8, 0.10).round(3)), float(uplift(0.8, 0.10, first_margin=True).round(3))
    (0.275, 0.2)
    """
    now = margin_multiple(retention, discount, horizon=horizon, first_margin=first_margin)
    better = np.clip(np.asarray(retention, dtype=float) + np.asarray(points, dtype=float), 0.0, 1.0)
    then = margin_multiple(better, discount, horizon=horizon, first_margin=first_margin)
    return np.asarray(np.where(now > 0, then / np.where(now > 0, now, 1.0) - 1, np.nan))


def retention_for_uplift(target: float, discount: float, *, points: float = 0.05, first_margin: bool = False) -> float:
    """Retention from which ``points`` more are worth ``target``, without a horizon; NaN when there is none.

    The upper root of ``u r² − u (1 + d − p) r + p (1 + d) = 0``, which is ``uplift(r, d, points=p) = u`` written out;
    a root from which the points would lead past one does not count. (The lower root belongs to firms that lose nearly
    everyone every period.) With the margin of the running period it is ``1 + d − p − p / u``.

    Examples
    --------
    >>> round(retention_for_uplift(0.25, 0.10), 3), retention_for_uplift(0.85, 0.10)
    (0.761, nan)
    >>> round(retention_for_uplift(0.25, 0.10, first_margin=True), 3)
    0.85
    """
    base = 1 + discount - points
    if first_margin:
        found = base - points / target
        return found if 0 <= found <= 1 - points else math.nan
    inside = base**2 - 4 * points * (1 + discount) / target
    root = (base + math.sqrt(inside)) / 2 if inside >= 0 else math.nan
    return root if root + points <= 1 else math.nan


def _ratio(retention: npt.ArrayLike, discount: float, horizon: float) -> FloatArray:
    r = np.asarray(retention, dtype=float)
    if not np.all((r >= 0) & (r <= 1)):
        raise UsageError("Retention is a probability between 0 and 1; divide per cent by 100.")
    if not discount > -1:
        raise UsageError(f"The discount is {discount!r}; expected a share per period, such as 0.10 for ten per cent.")
    if not (horizon >= 1 and (math.isinf(horizon) or float(horizon).is_integer())):
        raise UsageError(f"The horizon is {horizon!r}; expected a whole number of periods, 1 or more.")
    x = np.asarray(r / (1 + discount))
    if math.isinf(horizon) and np.any(x >= 1):
        raise UsageError(
            "Nobody leaves, nothing is discounted and there is no horizon, so the sum has no limit. State a horizon."
        )
    return x
