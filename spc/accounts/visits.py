"""Which visits come first: a list for field sales, by what an hour more is expected to bring."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from spc.accounts.effort import hours_of, planned, response
from spc.accounts.lasting import expected_contribution
from spc.accounts.result import AccountsTable, accounts_of, latest, table_of
from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.results import Note

__all__ = ["marginal_gains", "visit_order"]

_LISTED = 50
_MOST_VISITS = 52


def marginal_gains(worth: FloatArray, hours: FloatArray, visit: float, curve: float, visits: int) -> FloatArray:
    """What each further visit of an hour's length adds where contribution goes with the hours to a power.

    Parameters
    ----------
    worth : (n,) array
        Contribution at the hours spent.
    hours : (n,) array
        Hours spent; fewer than one visit count as one visit.
    visit : float
        Hours of a visit.
    curve : float
        The power, between 0 and 1.
    visits : int

    Returns
    -------
    (n, visits) array
        Falling along each row where worth is positive.

    Examples
    --------
    >>> marginal_gains(np.array([100.0]), np.array([1.0]), 1.0, 0.5, 3).round(1).tolist()
    [[41.4, 31.8, 26.8]]
    """
    base = np.maximum(hours, visit)[:, None]
    grown = ((base + visit * np.arange(visits + 1)) / base) ** curve
    return np.asarray(worth[:, None] * np.diff(grown, axis=1))


def visit_order(
    study: Any,
    effort: pd.DataFrame | None = None,
    *,
    visit_hours: float | None = None,
    capacity: float | None = None,
    by: str | None = None,
    curve: float | None = None,
    period: str | None = None,
    level: float = 0.95,
) -> AccountsTable:
    r"""Rank the next visits by what an hour of them is expected to bring, and fill the hours there are.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    effort : DataFrame, optional
        ``customer`` and ``hours`` of the period; from the lines that ``[accounts.effort]`` names when None.
    visit_hours : float, optional
        Hours of one visit with the way there; of ``[accounts.effort]``, else 1, when None.
    capacity : float, optional
        Hours of visits that there are; of ``[accounts.effort]`` when None, and one visit each without any.
    by : str, optional
        Property of customers within which the response is estimated; as in :func:`sales_effort`.
    curve : float, optional
        Exponent of the response; as in :func:`sales_effort`.
    period : str, optional
        The latest when None; what lasted from the one before tells what to expect of a customer.
    level : float

    Returns
    -------
    AccountsTable
        Kind ``visits``. Rows: ``visit`` in the order in which they are to be made, the first fifty (``lhs`` customer,
        ``rhs`` which visit, ``estimate`` contribution expected an hour, its interval from how far contribution lay from
        what was expected, ``statistic`` the place in the list), ``lasting`` (share of a customer's lead that lasts),
        ``response`` when it was estimated, ``expected`` (what all listed visits bring) and ``hours``. ``augment()`` has
        the whole list.

    Raises
    ------
    UsageError
        No hours are known, or ``visit_hours`` or ``capacity`` is not positive.
    DataError
        As :func:`sales_effort`.

    Notes
    -----
    With :math:`e_i` expected of customer i at :math:`h_i` hours, the k-th further visit of v hours adds
    :math:`e_i\{((h_i + kv)/h_i)^c - ((h_i + (k-1)v)/h_i)^c\}`; since that falls with k, taking the best visit each
    time fills the hours best. Customers of whom a loss is expected are not listed: there are other ways with them.
    """
    from scipy.special import ndtri

    accounts = accounts_of(study)
    plan = accounts.spec.plans.effort
    visit = visit_hours if visit_hours is not None else plan.visit_hours if plan else 1.0
    room = capacity if capacity is not None else plan.capacity if plan else None
    for name, value in (("visit_hours", visit), ("capacity", room)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise UsageError(f"{name} is {value}; expected a positive number of hours.")
    period = latest(accounts, period)
    here = accounts.at(period)
    hours = hours_of(here, effort)["hours"].to_numpy(float)
    by, curve = planned(here, by, curve)
    own = here.money(here.contribution)
    known = pd.DataFrame({"group": here.attribute(by), "hours": hours, "contribution": own}).dropna(subset="group")
    curve, rows = response(known, curve)
    earlier = [name for name in accounts.all_periods if name < period]
    expected, error, lasting = own, np.full(len(own), np.nan), float("nan")
    if earlier:
        expected, error, lasting = expected_contribution(accounts, earlier[-1], period)
    table = _listed(expected, hours, visit, curve, room)
    place = table["place"].to_numpy()
    half = float(ndtri((1 + level) / 2)) * error[place] / expected[place] * table["per_hour"]
    table = table.assign(customer=here.customers[place], group=here.attribute(by)[place], hours_so_far=hours[place],
                         contribution=own[place], expected_contribution=expected[place],
                         conf_low=table["per_hour"] - half, conf_high=table["per_hour"] + half)  # fmt: skip
    table = table.drop(columns="place")
    gain, spent = float((table["per_hour"] * visit).sum()), visit * len(table)
    rows += [{"lhs": v["customer"], "rhs": f"visit {v['visit']}", "group": period, "kind": "visit",
              "estimate": v["per_hour"], "conf_low": v["conf_low"], "conf_high": v["conf_high"],
              "statistic": float(v["rank"])} for v in table.head(_LISTED).to_dict("records")]  # fmt: skip
    rows += [{"lhs": "contribution", "rhs": "lead", "kind": "lasting", "estimate": lasting},
             {"lhs": "contribution", "rhs": "visits", "kind": "expected", "estimate": gain},
             {"lhs": "hours", "rhs": "visits", "kind": "hours", "estimate": spent}]  # fmt: skip
    summary = {"period": period, "visits": len(table), "visit_hours": visit, "curve": curve, "expected": gain,
               "capacity": float("nan") if room is None else room, "level": level}  # fmt: skip
    return table_of("visits", accounts, rows, summary, table, _remarks(earlier), {"by": by, "visit_hours": visit})


def _listed(expected: FloatArray, hours: FloatArray, visit: float, curve: float, room: float | None) -> pd.DataFrame:
    """Places of the customers to visit and what an hour of each visit brings, best first."""
    most = len(expected) if room is None else int(room / visit + 1e-9)
    first = marginal_gains(expected, hours, visit, curve, 1)[:, 0]
    worth = np.flatnonzero(first > 0)
    worth = worth[np.argsort(-first[worth], kind="stable")][:most]
    each = 1 if room is None else min(max(most, 1), _MOST_VISITS)
    gains = marginal_gains(expected[worth], hours[worth], visit, curve, each)
    order = np.argsort(-gains, axis=None, kind="stable")[:most]
    who, which = np.divmod(order, each)
    return pd.DataFrame({"rank": np.arange(1, len(order) + 1), "place": worth[who], "visit": which + 1,
                         "per_hour": gains.ravel()[order] / visit})  # fmt: skip


def _remarks(earlier: list[str]) -> list[Note]:
    text = ("What an hour more brings is read from customers who had more hours, and they had them because they were "
            "worth it; visit some of the list and leave some, and compare.")  # fmt: skip
    notes = [Note("not_causal", "warning", "visit", text)]
    if not earlier:
        text = "There is one period, so nobody can say how much of a good year was luck; all of it is taken to last."
        notes.append(Note("one_period", "warning", "visit", text))
    return notes
