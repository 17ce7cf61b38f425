import numpy as np
import pandas as pd
import pytest

from spc.accounts import AccountsSpec, CostDriver, customer_accounts

LINES = (
    CostDriver("gross_revenue", side="revenue", column="amount", where={"kind": "sale"}),
    CostDriver("returns", side="revenue", column="amount", where={"kind": "return"}),
    CostDriver("discount", side="deduction", column="discount"),
    CostDriver("product_cost", column="product_cost"),
    CostDriver("service", "rate", column="minutes", resource_cost=9000, capacity=20000),
    CostDriver("rent", "pool", column="quantity", amount=4321.09, where={"kind": "sale"}),
)


def make_tables(n=3000, customers=150, seed=1):
    """Transactions of two years and a customer table; some customers buy in one year only."""
    rng = np.random.default_rng(seed)
    who = rng.integers(0, customers, n)
    late = rng.random(n) < 0.5
    late = np.where(who % 11 == 0, True, np.where(who % 13 == 0, False, late))
    product = rng.choice(["basic", "plus", "top"], n, p=[0.5, 0.3, 0.2])
    price = pd.Series(product).map({"basic": 20.0, "plus": 45.0, "top": 120.0}).to_numpy() * (1 + 0.04 * late)
    kind = np.where(rng.random(n) < 0.05, "return", "sale")
    quantity = rng.integers(1, 6, n) + 2 * (who % 3 == 0)
    amount = np.round(price * quantity * np.where(kind == "sale", 1, -0.5), 2)
    return {
        "transactions": pd.DataFrame(
            {
                "customer": [f"C{i:03d}" for i in who],
                "date": pd.to_datetime(np.where(late, "2026-05-01", "2025-05-01")),
                "kind": kind,
                "product": product,
                "quantity": quantity,
                "amount": amount,
                "discount": np.round(np.abs(amount) * rng.choice([0.0, 0.05, 0.2], n), 2),
                "product_cost": np.round(amount * rng.uniform(0.5, 0.9, n), 2),
                "minutes": rng.integers(0, 12, n),
            }
        ),
        "customers": pd.DataFrame(
            {
                "customer": [f"C{i:03d}" for i in range(customers)],
                "unit": [f"U{i % 5}" for i in range(customers)],
                "segment": [("small", "large")[i % 2] for i in range(customers)],
            }
        ),
    }


@pytest.fixture(scope="session")
def tables():
    return make_tables()


@pytest.fixture(scope="session")
def accounts(tables):
    return customer_accounts(tables, spec=AccountsSpec(LINES), currency="EUR")
