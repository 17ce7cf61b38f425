"""Whole numbers of the smallest currency unit: rates, shares and rounding without a lost cent."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from spc.errors import DataError

__all__ = ["IntArray", "apportion", "cents_of", "in_money", "times_rate"]

IntArray = npt.NDArray[np.int64]
_LIMIT = 2**62


def cents_of(amount: Decimal, digits: int, what: str) -> int:
    """Amount in smallest units.

    Raises
    ------
    DataError
        It has more decimals than that.

    Examples
    --------
    >>> cents_of(Decimal("12.5"), 2, "rent")
    1250
    """
    scaled = amount.scaleb(digits)
    if scaled != scaled.to_integral_value():
        raise DataError.of(
            "accounts", what, "broken_cent", f"{amount}, which has more than {digits} decimals",
            f"at most {digits} decimals", "Round it, or raise digits under [accounts].",
        )  # fmt: skip
    return int(scaled)


def in_money(cents: npt.NDArray[np.int64], digits: int) -> npt.NDArray[np.float64]:
    """Amounts in money, each the float nearest to it."""
    return np.asarray(np.asarray(cents, dtype=np.float64) / 10.0**digits)


def times_rate(quantity: IntArray, rate: Fraction) -> IntArray:
    """Quantities times a rate, rounded to whole numbers, halves away from zero; exact.

    Examples
    --------
    >>> times_rate(np.array([1, 3, -1]), Fraction(1, 2)).tolist()
    [1, 2, -1]
    """
    size, sign = np.abs(quantity), np.sign(quantity)
    top, bottom = 2 * rate.numerator, 2 * rate.denominator
    if int(size.max(initial=0)) * abs(top) + rate.denominator < _LIMIT and bottom < _LIMIT:
        return np.asarray(sign * ((size * top + rate.denominator) // bottom), dtype=np.int64)
    whole = (size.astype(object) * top + rate.denominator) // bottom
    return np.asarray(sign * _checked(whole), dtype=np.int64)


def apportion(total: int, weights: IntArray) -> IntArray:
    """Divide a whole amount in proportion to weights, by largest remainders; the parts sum to the amount.

    Equal remainders go to the earlier place. Weights must not be negative and some must be positive.

    Examples
    --------
    >>> apportion(100, np.array([1, 1, 1])).tolist()
    [34, 33, 33]
    >>> apportion(-100, np.array([2, 1])).tolist()
    [-67, -33]
    """
    if total < 0:
        return -apportion(-total, weights)
    largest = int(weights.max(initial=0))
    whole = int(weights.sum()) if largest * weights.size < _LIMIT else sum(map(int, weights))
    if largest * total < _LIMIT:
        product: npt.NDArray[np.object_] | IntArray = weights * total
    else:
        product = weights.astype(object) * total
    parts, rest = product // whole, product % whole
    parts = _checked(parts)
    short = total - int(parts.sum())
    order = np.argsort(-np.asarray(rest), kind="stable")[:short]
    parts[order] += 1
    return parts


def _checked(values: npt.NDArray[np.object_] | IntArray) -> IntArray:
    if values.size and (max(values) >= _LIMIT or min(values) <= -_LIMIT):
        raise DataError.of(
            "accounts", None, "too_large", "amounts beyond 46 quadrillion of the smallest unit", "smaller amounts",
            "Lower digits under [accounts].",
        )  # fmt: skip
    return np.asarray(values, dtype=np.int64)
