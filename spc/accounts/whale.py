"""Who earns the profit: the whale curve, concentration, dependence on a few, with bands."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.accounts.ledger import CustomerAccounts
from spc.accounts.result import AccountsTable, accounts_of, latest, table_of
from spc.errors import DataError, UsageError
from spc.linalg import FloatArray
from spc.resample import bootstrap
from spc.results import Note

__all__ = ["gini", "whale_curve"]

GRID = np.linspace(0.0, 1.0, 101)
TOP = (0.01, 0.05, 0.10, 0.20)
_MANY = 50_000


def gini(values: npt.ArrayLike) -> float:
    """Gini index, losses allowed: mean difference over twice the mean size, between 0 and 1.

    For values without losses it is the ordinary Gini index.

    References
    ----------
    Raffinetti, Siletti & Vernizzi (2015), Statistical Methods & Applications 24, 507-521.

    Examples
    --------
    >>> gini([1, 1, 1, 1]), gini([0, 0, 0, 1]), gini([-1, 1])
    (0.0, 0.75, 0.5)
    """
    x = np.sort(np.asarray(values, dtype=float))[::-1]
    return float(_gini(x, np.ones(len(x))))


def _gini(falling: FloatArray, weights: FloatArray) -> float:
    n = weights.sum()
    size = float((weights * np.abs(falling)).sum())
    before = np.cumsum(weights) - weights
    difference = float((falling * weights * (n - 2 * before - weights)).sum())
    return float(difference / (n * size)) if size > 0 else 0.0


def whale_curve(
    study: Any, *, period: str | None = None, draws: int | None = None, seed: int = 1, level: float = 0.95
) -> AccountsTable:
    """Cumulate contribution over customers from the best to the worst.

    Parameters
    ----------
    study : CustomerAccounts, or what :func:`customer_accounts` takes
    period : str, optional
        The latest when None.
    draws : int, optional
        Bootstrap draws of customers; 1,000, or 200 for more than 50,000 customers, when None.
    seed : int
    level : float

    Returns
    -------
    AccountsTable
        Kind ``whale``. Rows: ``top`` (share of all contribution that the best 1, 5, 10 and 20 % of customers earn),
        ``peak`` (what the profitable ones earn, over the total), ``unprofitable`` (share of customers with a loss),
        ``loss`` (money lost on them), ``dependence`` (fewest customers that earn half of the contribution) and
        ``concentration`` (Gini indices of net revenue and contribution), with percentile intervals. ``augment()`` is
        the curve: share of customers, share of contribution, band.

    Raises
    ------
    DataError
        There are no accounts.

    Notes
    -----
    The bands say how far the figures would move had other customers of this kind been the firm's: they resample
    customers, and do not mean that the books are uncertain.

    Examples
    --------
    >>> sales = pd.DataFrame({"customer": list("abcd"), "date": "2026-01-01", "amount": [90.0, 40.0, 10.0, 20.0],
    ...                       "product_cost": [20.0, 10.0, 10.0, 40.0]})
    >>> whale = whale_curve(sales, draws=100)
    >>> whale.tidy().query("kind == 'peak'")["estimate"].round(2).item()
    1.25
    """
    accounts = accounts_of(study)
    period = latest(accounts, period)
    accounts = accounts.at(period)
    n = len(accounts.customers)
    if n == 0:
        raise DataError.of("accounts", None, "no_rows", f"no accounts in {period}", "some", "Choose another period.")
    draws = (200 if n > _MANY else 1000) if draws is None else draws
    if draws < 100 or not 0 < level < 1:
        raise UsageError(f"draws={draws}, level={level}: expected at least 100 draws and a level between 0 and 1.")
    order = (
        np.lexsort((accounts.customers, -accounts.contribution)) if n <= _MANY else np.argsort(-accounts.contribution)
    )
    contribution = accounts.money(accounts.contribution[order])
    revenue = accounts.money(accounts.net_revenue[order])
    by_revenue = np.argsort(-revenue, kind="stable")

    def statistic(rows: npt.NDArray[np.intp]) -> FloatArray:
        weights = np.bincount(rows, minlength=n).astype(float)
        return np.concatenate([_figures(contribution, revenue, by_revenue, weights), _curve(contribution, weights)])

    here = statistic(np.arange(n))
    names = [name for name, *_ in _NAMES]
    drawn = bootstrap(statistic, [*names, *(f"{p:.2f}" for p in GRID)], n=n, draws=draws, seed=seed,
                      what="Resampling customers").values  # fmt: skip
    tail = (1 - level) / 2
    low, high = np.full((2, len(here)), np.nan)
    if n > 1:
        known = ~np.isnan(drawn).all(axis=0)
        low[known], high[known] = np.nanquantile(drawn[:, known], [tail, 1 - tail], axis=0)
    rows = [
        {"lhs": lhs, "rhs": rhs, "kind": kind, "group": period, "estimate": here[i], "conf_low": low[i],
         "conf_high": high[i]}
        for i, (_, lhs, rhs, kind) in enumerate(_NAMES)
    ]  # fmt: skip
    k = len(_NAMES)
    curve = pd.DataFrame({"share_of_customers": GRID, "share_of_contribution": here[k:], "conf_low": low[k:],
                          "conf_high": high[k:]})  # fmt: skip
    total = float(contribution.sum())
    summary = {
        "period": period,
        "contribution": total,
        "net_revenue": float(revenue.sum()),
        "draws": draws,
        "level": level,
    }
    return table_of("whale", accounts, rows, summary, curve, _remarks(accounts, total), {"of_period": period}, seed)


_NAMES = (
    *((f"top_{p:g}", "contribution", f"best {p:.0%} of customers", "top") for p in TOP),
    ("peak", "contribution", "profitable customers", "peak"),
    ("unprofitable", "customers", "with a loss", "unprofitable"),
    ("loss", "contribution", "lost on unprofitable customers", "loss"),
    ("half", "customers", "earn half of the contribution", "dependence"),
    ("gini_revenue", "net_revenue", "Gini", "concentration"),
    ("gini_contribution", "contribution", "Gini", "concentration"),
)


def _curve(falling: FloatArray, weights: FloatArray) -> FloatArray:
    """Share of contribution of the best p of customers, p on the grid; NaN where the total is not positive."""
    people = np.concatenate([[0.0], np.cumsum(weights)])
    money = np.concatenate([[0.0], np.cumsum(weights * falling)])
    total = money[-1]
    shares = np.interp(GRID * people[-1], people, money)
    return np.asarray(shares / total if total > 0 else np.full(len(GRID), np.nan))


def _figures(
    falling: FloatArray, revenue: FloatArray, by_revenue: npt.NDArray[np.intp], weights: FloatArray
) -> FloatArray:
    n, total = weights.sum(), float((weights * falling).sum())
    people, money = np.cumsum(weights), np.cumsum(weights * falling)
    gain = total > 0
    places = np.interp(np.array(TOP) * n, np.concatenate([[0.0], people]), np.concatenate([[0.0], money]))
    loss = falling < 0
    lost = float((weights * falling)[loss].sum())
    half = float(np.interp(total / 2, *_rising(money, people))) if gain else np.nan
    return np.array(
        [
            *(places / total if gain else np.full(len(TOP), np.nan)),
            (total - lost) / total if gain else np.nan,
            weights[loss].sum() / n,
            lost,
            np.ceil(half - 1e-9),
            _gini(revenue[by_revenue], weights[by_revenue]),
            _gini(falling, weights),
        ]
    )


def _rising(money: FloatArray, people: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The part of the curve up to its peak, for interpolation."""
    peak = int(np.argmax(money)) + 1
    return np.concatenate([[0.0], money[:peak]]), np.concatenate([[0.0], people[:peak]])


def _remarks(accounts: CustomerAccounts, total: float) -> list[Note]:
    notes = []
    if total <= 0:
        notes.append(Note.of("no_contribution", "serious", "contribution", "whale"))
    if len(accounts.customers) < 30:
        notes.append(Note.of("few_customers", "warning", "whale", "whale", customers=len(accounts.customers)))
    return notes
