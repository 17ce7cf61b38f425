"""Ends of what was observed, told so that no single unit or person is told of."""

from __future__ import annotations

import numpy as np

from spc.disclosure.rule import DisclosureRule
from spc.linalg import FloatArray

__all__ = ["thick_quantile"]


def thick_quantile(values: FloatArray, share: float, *, minimum: int | None = None) -> float:
    """Mean of the ``minimum`` values whose places are nearest to a quantile: it rests on as many as a score does.

    Parameters
    ----------
    values : (n,) array
        NaN are left out.
    share : float
        0.05 for the end that cuts off the lowest 5 %.
    minimum : int, optional
        That of :class:`DisclosureRule` when left out.

    Returns
    -------
    float
        NaN where there are fewer values than that.

    Examples
    --------
    With 20 units the usual quantile at 5 % would lie beside the lowest unit:

    >>> thick_quantile(np.arange(20.0), 0.05), thick_quantile(np.arange(101.0), 0.05)
    (2.0, 5.0)
    """
    few = DisclosureRule().minimum_group if minimum is None else minimum
    known = np.sort(np.asarray(values, dtype=float)[~np.isnan(values)])
    if len(known) < few:
        return float("nan")
    first = round(share * (len(known) - 1) - (few - 1) / 2.0)
    start = min(max(first, 0), len(known) - few)
    return float(known[start : start + few].mean())
