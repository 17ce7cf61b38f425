"""How sure contribution is: of customers who may leave, and of rates at which costs are charged."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from spc.accounts.groups import customer_groups, share_interval
from spc.accounts.ledger import CustomerAccounts
from spc.accounts.result import AccountsTable, accounts_of, table_of
from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.results import Note

__all__ = ["contribution_at_risk", "rate_uncertainty"]

_MANY = 50_000


def contribution_at_risk(
    study: Any, *, groups: AccountsTable | None = None, draws: int = 4000, seed: int = 1, level: float = 0.95
) -> AccountsTable:
    """Contribution that goes if customers of each group leave as often as they did before.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    groups : AccountsTable, optional
        As :func:`customer_groups` gives them; its usual ones when None.
    draws : int
        Draws of leaving rates behind the interval of the whole.
    seed : int
    level : float

    Returns
    -------
    AccountsTable
        Kind ``at_risk``. Rows: ``leaving`` by group (share of customers of one period who had no account in the next,
        all periods together, Jeffreys interval, ``statistic`` customers) and ``at_risk`` (profit of the latest period
        times that share; ``std_all`` is its part of all profit), the last row of all groups. Losses are not at risk.

    Raises
    ------
    UsageError
        There are not two periods.

    Examples
    --------
    >>> sales = pd.DataFrame({"customer": list("abcdab"), "date": ["2025-01-01"] * 4 + ["2026-01-01"] * 2,
    ...                       "amount": [10.0, 10.0, 10.0, 10.0, 30.0, 50.0]})
    >>> at_risk = contribution_at_risk(sales, groups=customer_groups(sales, revenue_cuts=[1000], ratio_cuts=[0.0]))
    >>> at_risk.tidy().query("kind == 'at_risk'")[["rhs", "estimate", "std_all"]]
                           rhs  estimate  std_all
    1  small, 0 % and above      40.0      0.5
    2                   all      40.0      0.5
    """
    accounts = accounts_of(study)
    if len(accounts.all_periods) < 2:
        raise UsageError("Who leaves is seen between two periods, and the accounts have one.")
    table = (groups or customer_groups(accounts)).augment()
    last = accounts.all_periods[-1]
    profit = np.maximum(accounts.money(accounts.contribution), 0.0)
    now = pd.Series(profit).groupby(table["group"].where(table["period"] == last).to_numpy()).sum()
    counts = _leaving(table, accounts)
    low, high = share_interval(counts["left"], counts["n"], level)
    rate = (counts["left"] / counts["n"]).to_numpy()
    rows: list[dict[str, Any]] = [
        {"lhs": "customers", "rhs": name, "kind": "leaving", "estimate": rate[i], "conf_low": low[i],
         "conf_high": high[i], "statistic": float(counts["n"].iloc[i])}
        for i, name in enumerate(counts.index)]  # fmt: skip
    known = [name for name in now.index if name in counts.index]
    at = counts.index.get_indexer(pd.Index(known))
    money, total = now[known].to_numpy(), float(now.sum())
    rng = np.random.default_rng(seed)
    drawn = rng.beta(counts["left"].to_numpy() + 0.5, (counts["n"] - counts["left"]).to_numpy() + 0.5,
                     (draws, len(counts)))[:, at] @ money  # fmt: skip
    tail = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    rows += [{"lhs": "contribution", "rhs": name, "group": last, "kind": "at_risk", "estimate": rate[k] * earned,
              "conf_low": low[k] * earned, "conf_high": high[k] * earned, "std_all": _part(rate[k] * earned, total)}
             for name, k, earned in zip(known, at, money, strict=True)]  # fmt: skip
    whole = float(rate[at] @ money)
    rows.append({"lhs": "contribution", "rhs": "all", "group": last, "kind": "at_risk", "estimate": whole,
                 "conf_low": min(tail[0], whole), "conf_high": max(tail[1], whole),
                 "std_all": _part(whole, total)})  # fmt: skip
    notes = []
    if len(known) < len(now):
        text = "Some groups had no customers before, so nobody can say how many of theirs leave; they are left out."
        notes.append(Note("new_groups", "warning", "at_risk", text))
    summary = {"period": last, "profit": total, "at_risk": whole, "draws": draws, "level": level}
    found = pd.DataFrame({"group": known, "contribution": money, "leaving": rate[at], "at_risk": rate[at] * money})
    return table_of("at_risk", accounts, rows, summary, found, notes, {"draws": draws}, seed)


def _part(money: float, total: float) -> float:
    return money / total if total > 0 else float("nan")


def _leaving(table: pd.DataFrame, accounts: CustomerAccounts) -> pd.DataFrame:
    """Customers of each group and those of them with no account in the next period, all pairs of periods together."""
    parts = []
    for before, after in pairwise(accounts.all_periods):
        was = table[table["period"] == before]
        gone = ~was["customer"].isin(set(table.loc[table["period"] == after, "customer"]))
        parts.append(pd.DataFrame({"group": was["group"], "left": gone.astype(int)}))
    by_group = pd.concat(parts).groupby("group")["left"]
    return pd.DataFrame({"left": by_group.sum(), "n": by_group.size()})


def rate_uncertainty(
    study: Any, spread: Mapping[str, float], *, period: str | None = None, draws: int = 2000, seed: int = 1,
    level: float = 0.95,
) -> AccountsTable:  # fmt: skip
    r"""Let driver rates vary as far as they are not known, and see what that does to contribution.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    spread : mapping of str to float
        Line to the relative standard error of its rate: 0.1 where it may well be ten per cent off.
    period : str, optional
        All periods together when None.
    draws : int
    seed : int
    level : float

    Returns
    -------
    AccountsTable
        Kind ``rates``. Rows: ``contribution`` of all customers, ``unprofitable`` (accounts with a loss) with
        percentile intervals, and ``share`` (of the variance of contribution, by line). ``augment()`` has each account's
        contribution with its standard error.

    Raises
    ------
    UsageError
        An unknown line, or a spread that is negative or not finite.

    Notes
    -----
    Each rate is multiplied by a log-normal factor of mean one, the same for all customers and independent between
    lines; an account's variance is :math:`\sum_k (c_k s_k)^2` then.

    Examples
    --------
    >>> sales = pd.DataFrame({"customer": ["a", "b"], "date": "2026-01-01", "amount": [80.0, 20.0],
    ...                       "freight": [30.0, 19.0]})
    >>> rate_uncertainty(sales, {"freight": 0.1}).augment()[["customer", "contribution", "std_error"]]
      customer  contribution  std_error
    0        a          50.0        3.0
    1        b           1.0        1.9
    """
    accounts = accounts_of(study).at(period)
    strange = [line for line in spread if line not in accounts.lines]
    if strange:
        raise UsageError(f"There is no line {strange[0]!r}; the lines are {', '.join(accounts.lines)}.")
    wrong = [line for line, value in spread.items() if not np.isfinite(value) or value < 0]
    if wrong:
        raise UsageError(f"The spread of {wrong[0]} is {spread[wrong[0]]}; expected a share such as 0.1.")
    places = [accounts.lines.index(line) for line in spread]
    costs = accounts.money(accounts.cents[:, places] * accounts.signs[places])
    base = accounts.money(accounts.contribution)
    s = np.array([spread[line] for line in spread], dtype=float)
    factors = _factors(s, draws, seed) - 1.0
    totals = base.sum() + factors @ costs.sum(axis=0)
    some = factors if len(base) <= _MANY else factors[:200]
    losses = np.array([np.count_nonzero(base + costs @ shift < 0) for shift in some])
    ends = [(1 - level) / 2, (1 + level) / 2]
    rows: list[dict[str, Any]] = []
    for name, kind, value, drawn in (("contribution", "contribution", base.sum(), totals),
                                     ("accounts", "unprofitable", (base < 0).sum(), losses)):  # fmt: skip
        low, high = np.quantile(drawn, ends)
        rows.append({"lhs": name, "rhs": "all", "kind": kind, "estimate": float(value), "std_error": float(drawn.std()),
                     "conf_low": low, "conf_high": high})  # fmt: skip
    parts = (costs.sum(axis=0) * s) ** 2
    whole = float(parts.sum()) or 1.0
    rows += [{"lhs": line, "rhs": "contribution", "kind": "share", "estimate": part / whole}
             for line, part in zip(spread, parts, strict=True)]  # fmt: skip
    table = pd.DataFrame({"customer": accounts.customers, "period": accounts.periods, "contribution": base,
                          "std_error": np.sqrt(((costs * s) ** 2).sum(axis=1))})  # fmt: skip
    summary = {"period": period or "all", "lines": len(spread), "draws": draws, "level": level}
    return table_of("rates", accounts, rows, summary, table, (), {"spread": dict(spread)}, seed)


def _factors(spread: FloatArray, draws: int, seed: int) -> FloatArray:
    """Log-normal factors of mean one and these standard deviations, (draws, k)."""
    log_sd = np.sqrt(np.log1p(spread**2))
    normal = np.random.default_rng(seed).standard_normal((draws, len(spread)))
    return np.asarray(np.exp(normal * log_sd - log_sd**2 / 2))
