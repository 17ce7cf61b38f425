"""The visit list: best by trying all lists, from lines of the accounts, and what cannot be ranked."""

from itertools import combinations_with_replacement

import numpy as np
import pandas as pd
import pytest

from spc.accounts import AccountsPlans, AccountsSpec, CostDriver, Effort, customer_accounts, visit_order
from spc.accounts.lasting import expected_contribution, lasting_share
from spc.accounts.visits import marginal_gains
from spc.errors import DataError, UsageError

LINES = (CostDriver("revenue", side="revenue", column="amount"), CostDriver("visits", "rate", column="visits", rate=0))


def books(worth, visits, plan=None, years=(2026,)):
    rows = [{"customer": f"C{i}", "date": f"{year}-02-01", "amount": money, "visits": n}
            for year in years for i, (money, n) in enumerate(zip(worth, visits, strict=True))]  # fmt: skip
    return customer_accounts(pd.DataFrame(rows), spec=AccountsSpec(LINES, plans=AccountsPlans(effort=plan)))


def test_no_other_list_of_as_many_hours_brings_more():
    worth, hours = np.array([500.0, 420.0, 60.0, -30.0]), np.array([4.0, 2.0, 1.0, 1.0])
    effort = pd.DataFrame({"customer": [f"C{i}" for i in range(4)], "hours": hours})
    accounts = books(worth, [0] * 4)
    found = visit_order(accounts, effort, capacity=5, curve=0.4, by="customer")
    gains = marginal_gains(worth, hours, 1.0, 0.4, 5)
    best = max(sum(gains[i, : chosen.count(i)].sum() for i in range(4))
               for chosen in combinations_with_replacement(range(4), 5))  # fmt: skip
    assert found.glance()["expected"].item() == pytest.approx(best)
    listed = found.augment()
    assert listed["per_hour"].is_monotonic_decreasing
    assert "C3" not in set(listed["customer"]), "a loss is expected of it"


def test_gains_sum_to_the_curve():
    gains = marginal_gains(np.array([100.0]), np.array([3.0]), 2.0, 0.3, 4)
    assert gains.sum() == pytest.approx(100 * ((11 / 3) ** 0.3 - 1))


def test_hours_are_told_from_the_lines_of_the_accounts():
    plan = Effort({"visits": 1.5}, visit_hours=1.5, capacity=6, curve=0.3, by="customer")
    table = visit_order(books([900.0, 300.0], [4, 1], plan)).augment()
    assert table.groupby("customer")["hours_so_far"].first().to_dict() == {"C0": 6.0, "C1": 1.5}
    assert len(table) == 4


def test_a_lead_lasts_as_far_as_it_did():
    rng = np.random.default_rng(5)
    true = rng.normal(1000, 100, 4000)
    was, now = (true + rng.normal(0, 100, 4000) for _ in range(2))
    assert lasting_share(was, now) == pytest.approx(0.5, abs=0.05)
    frame = pd.concat([pd.DataFrame({"customer": range(4000), "date": f"{y}-02-01", "amount": money.round(2)})
                       for y, money in ((2025, was), (2026, now))])  # fmt: skip
    accounts = customer_accounts(frame, spec=AccountsSpec((LINES[0],)))
    expected, error, lasting = expected_contribution(accounts, "2025", "2026")
    later = accounts.at("2026")
    own = later.money(later.contribution)
    assert expected == pytest.approx(own.mean() + lasting * (own - own.mean()))
    place = later.customers.astype(int)
    third = true[place] + rng.normal(0, 100, 4000)
    assert np.mean(np.abs(third - expected) < 1.96 * error) == pytest.approx(0.95, abs=0.02)


def test_without_hours_or_with_wrong_ones():
    accounts = books([900.0, 300.0], [4, 1])
    with pytest.raises(UsageError, match=r"\[accounts.effort\]"):
        visit_order(accounts)
    plan = Effort({"visits": 1.0}, curve=0.3, by="customer")
    with pytest.raises(UsageError, match="capacity"):
        visit_order(books([9.0], [1], plan), capacity=-1)
    with pytest.raises(DataError, match="no_line"):
        books([9.0], [1], Effort({"no_line": 1.0}))
    with pytest.raises(DataError, match="positive number of hours"):
        Effort({"visits": float("nan")})
