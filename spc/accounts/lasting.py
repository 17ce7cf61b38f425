"""What of a customer's lead over the others lasts from one period to the next, and what to expect of it then."""

from __future__ import annotations

import numpy as np

from spc.accounts.ledger import CustomerAccounts
from spc.linalg import FloatArray

__all__ = ["expected_contribution", "lasting_share"]


def lasting_share(was: FloatArray, now: FloatArray) -> float:
    """Share of a lead over the mean that is there a period later, from 0 to 1: slope of now on was, same customers.

    References
    ----------
    Galton (1886), Journal of the Anthropological Institute 15, 246-263, on regression to the mean.

    Examples
    --------
    >>> lasting_share(np.array([0.0, 10.0, 20.0]), np.array([5.0, 10.0, 15.0]))
    0.5
    """
    lead = was - was.mean() if was.size else was
    power = float(lead @ lead)
    return min(max(float(lead @ now) / power, 0.0), 1.0) if was.size > 2 and power > 0 else 0.0


def expected_contribution(accounts: CustomerAccounts, before: str, after: str) -> tuple[FloatArray, FloatArray, float]:
    """Contribution to be expected of the customers of the later period once luck is taken out.

    Returns
    -------
    expected : (n,) array
        Of each account of ``after``, in its order: shrunk to the mean by what lasts.
    std_error : (n,) array
        How far contribution lay from what was expected, its variance in proportion to net revenue.
    lasting : float
        See :func:`lasting_share`.
    """
    old, new = accounts.at(before), accounts.at(after)
    was, now = old.money(old.contribution), new.money(new.contribution)
    _, first, second = np.intersect1d(old.customers.astype(str), new.customers.astype(str), return_indices=True)
    lasting = lasting_share(was[first], now[second])
    expected = now.mean() + lasting * (now - now.mean())
    size = old.money(old.net_revenue)[first]
    rest = now[second] - now[second].mean() - lasting * (was[first] - was[first].mean() if first.size else 0.0)
    sold = size > 0
    noise = float((rest[sold] ** 2 / size[sold]).mean()) if sold.any() else float("nan")
    return expected, np.sqrt(noise * np.maximum(new.money(new.net_revenue), 0.0)), lasting
