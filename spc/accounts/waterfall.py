"""From gross revenue to contribution, step by step: of one customer, a group, a seller, or all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from spc.accounts.ledger import CustomerAccounts, net_revenue, ratio
from spc.accounts.money import IntArray
from spc.accounts.result import AccountsTable, accounts_of, table_of
from spc.errors import UsageError

__all__ = ["waterfall"]

NOBODY = {"unassigned": "(unassigned)", "unused": "(unused capacity)"}


def waterfall(
    study: Any, *, by: str | None = None, period: str | None = None, customer: str | None = None
) -> AccountsTable:
    """Add accounts up and show how gross revenue becomes contribution.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    by : str, optional
        ``"customer"``, ``"period"``, or a property of customers (``"unit"``, ``"segment"``, ``"seller"``); one
        waterfall of all when None.
    period : str, optional
        All periods together when None.
    customer : str, optional
        The waterfall of one customer.

    Returns
    -------
    AccountsTable
        Kind ``waterfall``. Rows: ``lhs`` the line, ``rhs`` whose it is, ``estimate`` money as it enters (costs
        negative), ``std_all`` the share of net revenue. Parts of nobody have rows of their own, so that the rows of a
        line sum to the ledger. ``augment()`` has a row for each.

    Raises
    ------
    UsageError
        An unknown period, customer or property.

    Examples
    --------
    >>> sales = pd.DataFrame({"customer": ["a", "b"], "date": "2026-01-01", "amount": [80.0, 20.0],
    ...                       "product_cost": [50.0, 30.0]})
    >>> waterfall(sales).tidy()[["lhs", "estimate", "std_all"]]
                 lhs  estimate  std_all
    0        revenue     100.0      1.0
    1    net_revenue     100.0      1.0
    2   product_cost     -80.0     -0.8
    3   contribution      20.0      0.2
    """
    accounts = accounts_of(study).at(period)
    names, cents, many = _grouped(accounts, by, customer)
    rows = [row for i, name in enumerate(names) for row in _steps(accounts, name, cents[i], period or "")]
    revenue, result = net_revenue(cents, accounts.spec.drivers), np.asarray(cents @ accounts.signs)
    lines = {name: accounts.money(cents[:, k] * accounts.signs[k]) for k, name in enumerate(accounts.lines)}
    shares = ratio(result, revenue)
    table = pd.DataFrame(
        {
            by or "whose": names,
            "customers": many,
            **lines,
            "net_revenue": accounts.money(revenue),
            "contribution": accounts.money(result),
            "contribution_ratio": shares,
        }
    )
    summary = {
        "period": period or "all",
        "by": by or "all",
        "groups": len(names),
        "net_revenue": float(accounts.money(revenue.sum())),
        "contribution": float(accounts.money(result.sum())),
    }
    return table_of("waterfall", accounts, rows, summary, table, options={"by": by, "of_period": period})


def _grouped(accounts: CustomerAccounts, by: str | None, customer: str | None) -> tuple[list[str], IntArray, list[int]]:
    """Whose each waterfall is, the lines of each, and how many customers are behind it."""
    if customer is not None:
        own = accounts.customers == str(customer)
        if not own.any():
            raise UsageError(f"There is no account of customer {customer!r} in these periods.")
        return [str(customer)], accounts.cents[own].sum(axis=0)[None, :], [1]
    if by is None:
        groups = np.full(len(accounts.customers), "all", dtype=object)
    else:
        found = accounts.attribute(by)
        groups = np.array(["(not known)" if pd.isna(value) else str(value) for value in found], dtype=object)
    codes, names = pd.factorize(groups, sort=True)
    cents = np.zeros((len(names), len(accounts.lines)), dtype=np.int64)
    np.add.at(cents, codes, accounts.cents)
    people = pd.DataFrame({"g": codes, "c": accounts.customers}).drop_duplicates()["g"].value_counts()
    many = [int(people.get(i, 0)) for i in range(len(names))]
    listed = [str(name) for name in names]
    if by is not None:
        for field, name in NOBODY.items():
            part = getattr(accounts, field).sum(axis=0)
            if part.any():
                listed, cents, many = [*listed, name], np.vstack([cents, part]), [*many, 0]
    return listed, cents, many


def _steps(accounts: CustomerAccounts, name: str, cents: IntArray, period: str) -> list[dict[str, Any]]:
    drivers = accounts.spec.drivers
    revenue = int(net_revenue(cents, drivers))
    steps = [(d.name, int(cents[k]) * d.sign, str(d.side)) for k, d in enumerate(drivers)]
    above = [step for step in steps if step[2] != "cost"]
    below = [step for step in steps if step[2] == "cost"]
    totals = ("net_revenue", revenue, "total"), ("contribution", int(cents @ accounts.signs), "total")
    return [
        {
            "lhs": line,
            "rhs": name,
            "group": period,
            "label": side,
            "kind": "waterfall",
            "estimate": float(accounts.money(value)),
            "std_all": value / revenue if revenue > 0 else np.nan,
        }
        for line, value, side in (*above, totals[0], *below, totals[1])
    ]
