"""The books of a made-up firm: sales lines and costs whose contribution is, to the cent, each customer's margin."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["SERVICE_RATE", "YEARS", "book_totals", "draw_books"]

YEARS = (2024, 2025)
SERVICE_RATE = 75
"""Cents a minute of service."""

_PRICES = {"basic": 2400, "plus": 5900, "premium": 14900}
IntArray = npt.NDArray[np.int64]


def draw_books(customers: pd.DataFrame, rng: np.random.Generator) -> dict[str, pd.DataFrame]:
    """Transactions and costs of two years for the customers of a ledger.

    A customer's contribution in its last year is its margin exactly: gross revenue and returns, less discount, bonus,
    product cost, freight, service minutes at :data:`SERVICE_RATE` and claims. Those who left bought in the first year
    only, new ones in the second only.

    Parameters
    ----------
    customers : DataFrame
        With customer, unit, tenure, churned and margin.
    """
    margin = np.rint(customers["margin"].to_numpy() * 100).astype(np.int64)
    left, new = customers["churned"].to_numpy() == 1, customers["tenure"].to_numpy() == 1
    parts = []
    for y, year in enumerate(YEARS):
        there = np.flatnonzero(~(left if y else new & ~left))
        growth = np.rint(margin[there] * (0.8 + 0.3 * rng.random(there.size))).astype(np.int64)
        goal = margin[there] if y else np.where(left[there], margin[there], growth)
        parts.append(_year(customers.iloc[there], goal, year, 1 + 0.03 * y, rng))
    sales, costs = (pd.concat(frames, ignore_index=True) for frames in zip(*parts, strict=True))
    sales.insert(0, "transaction", [f"T{i + 1:07d}" for i in range(len(sales))])
    first = sales[sales["kind"] == "sale"].drop_duplicates(["customer", "year"]).set_index(["customer", "year"])
    keys = pd.MultiIndex.from_frame(sales[["customer", "year"]])
    back = sales["kind"] == "return"
    sales["invoice"] = first["transaction"].reindex(keys).where(back.to_numpy()).to_numpy()
    return {"transactions": sales.drop(columns="year"), "costs": costs}


def _year(
    customers: pd.DataFrame, goal: IntArray, year: int, dearer: float, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    n = len(customers)
    owner = np.repeat(np.arange(n), 2 + rng.poisson(1.5, n))
    product = rng.choice(list(_PRICES), owner.size, p=[0.5, 0.35, 0.15])
    price = np.rint(np.vectorize(_PRICES.__getitem__)(product) * dearer).astype(np.int64)
    size = np.maximum(goal, 0) / 100 + 200 * rng.lognormal(0, 0.7, n)
    quantity = 1 + rng.poisson(0.6 * size[owner] / (price / 100))
    back = (rng.random(owner.size) < 0.04) & (np.diff(owner, prepend=-1) == 0)
    quantity = np.where(back, 1, quantity)
    gross = price * quantity * np.where(back, -1, 1)
    discount = np.where(back, 0, np.rint(gross * rng.choice([0.0, 0.03, 0.08, 0.15], owner.size))).astype(np.int64)
    bonus = np.where(back, 0, np.rint(gross * 0.02)).astype(np.int64)
    freight = 490 + 15 * quantity
    minutes = rng.poisson(12 + 40 * (rng.random(n) < 0.15), n) * 2
    claims = np.where(rng.random(n) < 0.08, rng.integers(500, 9000, n), 0)
    left = gross - discount - bonus - freight
    cost = np.bincount(owner, left, n).astype(np.int64) - minutes * SERVICE_RATE - claims - goal
    product_cost = _spread(cost, owner, n)
    day = np.datetime64(f"{year}-01-01") + rng.integers(0, 365, owner.size).astype("timedelta64[D]")
    names, units = customers["customer"].to_numpy(), customers["unit"].to_numpy()
    sales = pd.DataFrame(
        {
            "customer": names[owner],
            "unit": units[owner],
            "year": year,
            "date": day.astype(str),
            "kind": np.where(back, "return", "sale"),
            "product": product,
            "quantity": quantity,
            "gross": gross / 100,
            "discount": discount / 100,
            "amount": (gross - discount) / 100,
            "bonus": bonus / 100,
            "product_cost": product_cost / 100,
            "freight": freight / 100,
        }
    )
    served, claimed = minutes > 0, claims > 0
    service = pd.DataFrame({"customer": names[served], "cost_driver": "service", "quantity": minutes[served]})
    claim = pd.DataFrame({"customer": names[claimed], "cost_driver": "claims", "amount": claims[claimed] / 100})
    costs = pd.concat([service, claim], ignore_index=True).assign(date=f"{year}-12-31")
    return sales, costs[["customer", "date", "cost_driver", "quantity", "amount"]]


def _spread(total: IntArray, owner: npt.NDArray[np.intp], n: int) -> IntArray:
    """Divide each owner's total evenly over its rows; the first row takes what does not divide."""
    many = np.bincount(owner, minlength=n)
    parts = (total // many)[owner]
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    parts[first] += total - (total // many) * many
    return np.asarray(parts, dtype=np.int64)


def book_totals(tables: dict[str, pd.DataFrame]) -> dict[str, dict[str, float]]:
    """Net revenue, contribution and minutes of each year, as a general ledger would have them, and capacity."""
    sales, costs = tables["transactions"], tables["costs"]
    found: dict[str, dict[str, float]] = {"net_revenue": {}, "contribution": {}, "resource_cost": {}, "capacity": {}}
    for year in map(str, YEARS):
        own, spent = sales[sales["date"].str[:4] == year], costs[costs["date"].str[:4] == year]
        cents = {c: int(np.rint(own[c] * 100).sum()) for c in ("gross", "discount", "bonus", "product_cost", "freight")}
        minutes = int(spent["quantity"].sum())
        capacity = -(-minutes * 5 // 4 // 1000) * 1000
        net = cents["gross"] - cents["discount"] - cents["bonus"]
        claims = int(np.rint(spent["amount"] * 100).sum())
        result = net - cents["product_cost"] - cents["freight"] - claims - capacity * SERVICE_RATE
        found["net_revenue"][year], found["contribution"][year] = net / 100, result / 100
        found["resource_cost"][year], found["capacity"][year] = capacity * SERVICE_RATE / 100, float(capacity)
    return found
