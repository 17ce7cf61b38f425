"""Sales effort against what it brings: contribution per hour, and where an hour more would bring most."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from spc.accounts.elasticity import slope_hc3
from spc.accounts.ledger import CustomerAccounts
from spc.accounts.result import AccountsTable, accounts_of, latest, table_of
from spc.accounts.rows import PIECES
from spc.errors import DataError, UsageError
from spc.linalg import FloatArray
from spc.results import Note

__all__ = ["allocate_hours", "hours_of", "planned", "response", "sales_effort"]


def allocate_hours(scale: FloatArray, hours: float, curve: float) -> FloatArray:
    r"""Hours of groups that bring most when group g yields :math:`s_g h_g^c` with diminishing returns, 0 < c < 1.

    At the best the last hour brings the same everywhere: :math:`h_g \propto s_g^{1/(1-c)}`.

    Examples
    --------
    >>> allocate_hours(np.array([1.0, 2.0]), 10.0, 0.5).tolist()
    [2.0, 8.0]
    """
    share = np.where(scale > 0, np.maximum(scale, 0.0) ** (1 / (1 - curve)), 0.0)
    total = share.sum()
    return np.asarray(hours * share / total if total > 0 else np.full_like(share, hours / len(share)))


def sales_effort(
    study: Any,
    effort: pd.DataFrame | None = None,
    *,
    by: str | None = None,
    period: str | None = None,
    curve: float | None = None,
) -> AccountsTable:
    """Set hours of sales effort beside contribution by group, and say what moving hours might bring.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    effort : DataFrame, optional
        ``customer`` and ``hours``, one or several rows a customer; optionally ``planned`` hours. From the lines that
        ``[accounts.effort]`` of the study names when None.
    by : str, optional
        Property of customers that makes the groups; that of ``[accounts.effort]``, else segment, when None.
    period : str, optional
        The latest when None.
    curve : float, optional
        Exponent of the response, between 0 and 1: per cent more contribution for one per cent more hours. Estimated
        within groups from customers with hours and a profit when None, unless ``[accounts.effort]`` gives it.

    Returns
    -------
    AccountsTable
        Kind ``effort``. Rows: ``contribution_per_hour`` by group (``statistic`` hours), ``response`` (the exponent with
        interval when estimated), ``advice`` (hours more or less in each group at the same total), ``plan`` (hours
        done less planned). ``augment()`` has a row a group.

    Raises
    ------
    UsageError
        An exponent outside 0 to 1, an unknown property or line, or no hours are given.
    DataError
        Columns are absent, hours are negative or of no known customer.
    """
    accounts = accounts_of(study)
    period = latest(accounts, period)
    accounts = accounts.at(period)
    hours = hours_of(accounts, effort)
    by, curve = planned(accounts, by, curve)
    frame = pd.DataFrame({"group": accounts.attribute(by), "hours": hours["hours"].to_numpy(),
                          "planned": hours["planned"].to_numpy(),
                          "contribution": accounts.money(accounts.contribution)}).dropna(subset="group")  # fmt: skip
    rows: list[dict[str, Any]] = []
    curve, own = response(frame, curve)
    rows += own
    table = frame.groupby("group", as_index=False).agg(customers=("hours", "size"), hours=("hours", "sum"),
                                                       planned=("planned", "sum"),
                                                       contribution=("contribution", "sum"))  # fmt: skip
    spent = table["hours"].to_numpy()
    scale = np.where(spent > 0, table["contribution"] / np.where(spent > 0, spent, 1.0) ** curve, 0.0)
    best = allocate_hours(scale, float(spent.sum()), curve)
    table["per_hour"] = np.where(spent > 0, table["contribution"] / np.where(spent > 0, spent, 1.0), np.nan)
    table["advised_hours"] = best
    table["may_bring"] = scale * (best**curve - spent**curve)
    for r in table.to_dict("records"):
        rows.append(
            {"lhs": r["group"], "kind": "contribution_per_hour", "estimate": r["per_hour"], "statistic": r["hours"]}
        )
        rows.append({"lhs": r["group"], "kind": "advice", "estimate": r["advised_hours"] - r["hours"]})
        if effort is not None and "planned" in effort:
            rows.append({"lhs": r["group"], "kind": "plan", "estimate": r["hours"] - r["planned"]})
    text = ("Customers get more effort because they are worth more, so contribution per hour is not what an hour "
            "brings; move a few hours, compare with customers left as they were, and only then move more.")  # fmt: skip
    summary = {"period": period, "by": by, "hours": float(spent.sum()), "curve": curve}
    return table_of(
        "effort", accounts, rows, summary, table, [Note("not_causal", "warning", "advice", text)], {"by": by}
    )


def planned(accounts: CustomerAccounts, by: str | None, curve: float | None) -> tuple[str, float | None]:
    """Property that makes groups, and the response: as given, else as the study plans."""
    plan = accounts.spec.plans.effort
    return by or (plan.by if plan else "segment"), plan.curve if curve is None and plan else curve


def hours_of(accounts: CustomerAccounts, effort: pd.DataFrame | None) -> pd.DataFrame:
    """Hours done and planned with each account's customer, in the order of the accounts.

    Raises
    ------
    UsageError
        None are given, and the study does not say which lines they are.
    DataError
        Columns are absent, hours are negative or of no known customer.
    """
    if effort is not None:
        return _hours(effort, accounts.customers)
    plan = accounts.spec.plans.effort
    if plan is None:
        raise UsageError('Nothing is known of hours of effort: give effort=, or name lines under [accounts.effort], '
                         'such as hours = { visits = 1.5 }.')  # fmt: skip
    done = np.zeros(len(accounts.customers))
    for line, hours in plan.hours.items():
        k = accounts.lines.index(line)
        done += hours * accounts.quantities[:, k] / 10.0**PIECES
    return pd.DataFrame({"hours": done, "planned": 0.0}, index=pd.Index(accounts.customers))


def _hours(effort: pd.DataFrame, customers: Any) -> pd.DataFrame:
    absent = [name for name in ("customer", "hours") if name not in effort]
    if absent:
        raise DataError.of("effort", absent[0], "missing_column", "no such column", "customer and hours", "Name it.")
    own = effort.assign(customer=effort["customer"].astype(str), planned=effort.get("planned", 0.0))
    if (own["hours"] < 0).any() or not np.isfinite(own["hours"].to_numpy(float)).all():
        raise DataError.of(
            "effort", "hours", "below_minimum", "negative or missing hours", "hours of zero or more", "Correct."
        )
    stray = sorted(set(own["customer"]) - set(customers))
    if stray:
        raise DataError.of("effort", "customer", "unknown_key", f"{len(stray)} customers without an account, such as "
                           f"{stray[0]!r}", "customers of the accounts", "Correct the codes.")  # fmt: skip
    return own.groupby("customer")[["hours", "planned"]].sum().reindex(customers).fillna(0.0)


def response(frame: pd.DataFrame, curve: float | None) -> tuple[float, list[dict[str, Any]]]:
    """Response of contribution to hours: as given, else its elasticity within groups, and the row that says so.

    Raises
    ------
    UsageError
        It is outside 0 to 1, where no hours are too many.
    DataError
        Too few customers to estimate it.
    """
    rows: list[dict[str, Any]] = []
    if curve is None:
        curve, low, high = _elasticity(frame)
        rows = [{"lhs": "contribution", "rhs": "hours", "kind": "response", "estimate": curve, "conf_low": low,
                 "conf_high": high}]  # fmt: skip
    if not 0 < curve < 1:
        raise UsageError(f"The response to effort is {curve:.3g}; advice needs diminishing returns, between 0 and 1. "
                         "Give curve= from an experiment, such as 0.3.")  # fmt: skip
    return curve, rows


def _elasticity(frame: pd.DataFrame) -> tuple[float, float, float]:
    """Elasticity of contribution to hours within groups."""
    kept = frame[(frame["hours"] > 0) & (frame["contribution"] > 0)]
    if len(kept) < 20:
        raise DataError.of("effort", "hours", "few_customers", f"{len(kept)} customers with hours and a profit",
                           "at least 20", "Give the response: curve=0.3.")  # fmt: skip
    logs = kept[["hours", "contribution"]].apply(np.log)
    apart = logs - logs.groupby(kept["group"]).transform("mean")
    slope, _, cov = slope_hc3(apart["hours"].to_numpy(), apart["contribution"].to_numpy())
    half = 1.96 * float(np.sqrt(cov[1, 1]))
    return slope, slope - half, slope + half
