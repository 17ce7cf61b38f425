"""Portfolios of sellers: how much they differ beyond chance, and what changed in each. Names stay inside."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from spc.accounts.bridge import bridge
from spc.accounts.ledger import CustomerAccounts
from spc.accounts.peers import funnel_noise, period_noise
from spc.accounts.result import AccountsTable, accounts_of, latest_two, table_of
from spc.accounts.shrinkage import shrink
from spc.errors import DataError
from spc.results import Note

__all__ = ["seller_portfolios"]


def seller_portfolios(
    study: Any, *, by: str = "seller", within: Collection[str] | None = None, before: str | None = None,
    after: str | None = None, level: float = 0.95,
) -> AccountsTable:  # fmt: skip
    """Compare portfolios by contribution ratio, shrunk to the mean by their size, and split what changed.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    by : str
        Property of customers that says whose they are.
    within : collection of str, optional
        Customers of a selected group, such as the good ones; all when None.
    before, after : str, optional
        Periods; the latest two when None.
    level : float

    Returns
    -------
    AccountsTable
        Kind ``sellers``. Portfolios are numbered from the largest net revenue; names of sellers are left out. Rows:
        ``portfolio`` (shrunken contribution ratio with interval, ``statistic`` customers), ``change`` (of contribution,
        with an interval as if its customers were a sample), ``growth`` (change a customer, shrunken to that of all),
        ``spread`` (standard deviation of true ratios between portfolios, and reliability of a middle one), ``part``
        (parts of the change of contribution of each, which sum to the change of all). ``augment()`` has a row a
        portfolio.

    Raises
    ------
    DataError
        Fewer than three portfolios with revenue.
    UsageError
        Nothing is known of sellers, or there are not two periods.

    Notes
    -----
    A customer's ratio varies from period to period; that variance, over revenue, is the chance in a portfolio's ratio.
    Growth is a model of two levels, customers in portfolios. Intervals allow for what is not known of the mean and the
    spread of portfolios (:func:`spc.accounts.shrinkage.shrink`), so that they have a length where the portfolios differ
    by no more than chance: 95 to 99 % of simulated portfolios lie in them, 3 to 20 at a time.
    """
    accounts = accounts_of(study)
    before, after = latest_two(accounts, before, after)
    owner = accounts.attribute(by)
    if within is not None:
        chosen = {str(customer) for customer in within}
        owner = np.array([whose if customer in chosen else None for whose, customer in
                          zip(owner, accounts.customers, strict=True)], dtype=object)  # fmt: skip
    whole = (accounts.net_revenue > 0) & ~pd.isna(owner)
    revenue, result = accounts.money(accounts.net_revenue), accounts.money(accounts.contribution)
    noise = period_noise(result[whole], revenue[whole], pd.factorize(accounts.customers[whole])[0])
    here = whole & (accounts.periods == after)
    frame = pd.DataFrame({"of": owner[here].astype(str), "net_revenue": revenue[here], "contribution": result[here]})
    sums = frame.groupby("of").agg(customers=("net_revenue", "size"), net_revenue=("net_revenue", "sum"),
                                   contribution=("contribution", "sum"))  # fmt: skip
    if len(sums) < 3:
        found = f"{len(sums)} portfolios with revenue in {after}"
        raise DataError.of("accounts", by, "few_portfolios", found, "at least 3", "Compare customers instead.")
    sums = sums.sort_values(["net_revenue", "contribution"], ascending=False)
    numbers = {name: f"portfolio {i + 1}" for i, name in enumerate(sums.index)}
    size = sums["net_revenue"].to_numpy()
    ratio = (sums["contribution"] / sums["net_revenue"]).to_numpy()
    noise = funnel_noise(sums["contribution"].to_numpy(), size) if noise is None else noise
    shrunk = shrink(ratio, noise / size, level)
    rows: list[dict[str, Any]]
    rows = [{"lhs": numbers[name], "rhs": "contribution_ratio", "kind": "portfolio", "group": after,
             "estimate": shrunk.mean[i], "conf_low": shrunk.low[i], "conf_high": shrunk.high[i],
             "std_all": ratio[i], "statistic": float(sums["customers"].iloc[i])} for i, name in
             enumerate(sums.index)]  # fmt: skip
    middle = float(np.median(shrunk.weight))
    rows += [{"lhs": "between portfolios", "rhs": "contribution_ratio", "kind": "spread", "estimate": shrunk.spread,
              "conf_low": shrunk.spread_low, "conf_high": shrunk.spread_high},
             {"lhs": "reliability", "rhs": "contribution_ratio", "kind": "spread", "estimate": middle}]  # fmt: skip
    parts = _parts(accounts, owner, numbers, before, after)
    rows += _growth(parts, list(numbers.values()), before, after, level)
    steps = [name for name in parts.columns if name not in ("of", "customer")]
    kinds = {before: "start", after: "end"}
    for whose, own in parts.groupby("of", sort=False)[steps].sum().iterrows():
        rows += [{"lhs": step, "rhs": str(whose), "kind": kinds.get(step, "part"), "estimate": round(value, 6)}
                 for step, value in zip(steps, own.to_numpy(float).tolist(), strict=True)]  # fmt: skip
    table = sums.assign(
        portfolio=[numbers[name] for name in sums.index],
        ratio=ratio,
        shrunken_ratio=shrunk.mean,
        weight=shrunk.weight,
    )
    columns = ["portfolio", "customers", "net_revenue", "contribution", "ratio", "shrunken_ratio", "weight"]
    table = table.reset_index(drop=True)[columns]
    text = "Portfolios differ in the customers they were given as well as in who serves them; this ranks no people."
    summary = {"before": before, "after": after, "portfolios": len(sums), "reliability": middle, "level": level}
    return table_of(
        "sellers", accounts, rows, summary, table, [Note("not_a_ranking", "warning", "sellers", text)], {"by": by}
    )


def _parts(accounts: CustomerAccounts, owner: Any, numbers: Mapping[str, str], before: str, after: str) -> pd.DataFrame:
    """Bridge of every customer, and whose portfolio it is in."""
    whose = pd.Series(owner, index=accounts.customers).dropna().astype(str).map(numbers)
    table = bridge(accounts, before=before, after=after, by="customer").augment()
    found = table["customer"].map(whose[~whose.index.duplicated()])
    return table.assign(of=found.fillna("others")).sort_values("of", kind="stable")


def _growth(parts: pd.DataFrame, numbers: Sequence[str], before: str, after: str, level: float) -> list[dict[str, Any]]:
    """Change of each portfolio as if its customers were a sample, and the change a customer, shrunken."""
    from scipy.special import ndtri

    own = parts.assign(change=parts[after] - parts[before])[parts["of"].isin(numbers)]
    changes = own.groupby("of")["change"]
    names = [name for name in numbers if name in changes.groups]
    n, total = (getattr(changes, what)().loc[names].to_numpy(float) for what in ("size", "sum"))
    spread = changes.var().fillna(0.0).loc[names].to_numpy(float)
    noise = float(((n - 1) * spread).sum() / max((n - 1).sum(), 1.0))
    near, z = shrink(total / n, noise / n, level), float(ndtri((1 + level) / 2))
    rows: list[dict[str, Any]] = []
    for i, name in enumerate(names):
        half = z * np.sqrt(n[i] * spread[i])
        rows += [{"lhs": name, "rhs": "contribution", "kind": "change", "estimate": total[i],
                  "conf_low": total[i] - half, "conf_high": total[i] + half, "statistic": n[i]},
                 {"lhs": name, "rhs": "contribution", "kind": "growth", "estimate": near.mean[i],
                  "conf_low": near.low[i], "conf_high": near.high[i], "statistic": n[i]}]  # fmt: skip
    return rows
