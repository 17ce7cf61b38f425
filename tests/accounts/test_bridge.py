"""Bridges sum to the difference, to the cent, in any order of rows and for any groups."""

from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.accounts import AccountsSpec, bridge, customer_accounts, price_times_quantity
from spc.errors import UsageError


def in_cents(values):
    return np.rint(np.asarray(values, dtype=float) * 100).astype(np.int64)


def sums_up(result):
    for _, own in result.tidy().groupby("rhs"):
        start, parts, end = (in_cents(own.loc[own["kind"] == k, "estimate"]).sum() for k in ("start", "part", "end"))
        assert start + parts == end


@pytest.mark.parametrize("method", ["in_order", "shapley"])
@pytest.mark.parametrize("by", [None, "customer", "unit", "product"])
def test_parts_sum_to_the_difference(accounts, method, by):
    result = bridge(accounts, by=by, method=method)
    sums_up(result)
    ends = result.augment()[["2025", "2026"]].apply(in_cents).sum()
    for period in ("2025", "2026"):
        assert ends[period] == accounts.at(period).contribution.sum()
    whole = bridge(accounts, method=method).augment()
    for part in whole.columns[1:]:
        assert in_cents(result.augment()[part]).sum() == in_cents(whole[part]).sum(), part


cells = st.tuples(
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["2025-02-02", "2026-02-02"]),
    st.sampled_from(["x", "y"]),
    st.integers(0, 50),
    st.integers(-10_000, 100_000),
    st.integers(0, 50_000),
)


@settings(max_examples=40)
@given(rows=st.lists(cells, min_size=1, max_size=25), method=st.sampled_from(["in_order", "shapley"]))
def test_any_ledger(rows, method):
    frame = pd.DataFrame(rows, columns=["customer", "date", "product", "quantity", "amount", "product_cost"])
    frame[["amount", "product_cost"]] /= 100
    if frame["date"].nunique() < 2:
        with pytest.raises(UsageError, match="Two periods"):
            bridge(frame)
        return
    result = bridge(frame, by="customer", method=method)
    sums_up(result)
    sums_up(bridge(frame, method=method))
    other = bridge(frame.sample(frac=1.0, random_state=1), by="customer", method=method)
    pd.testing.assert_frame_equal(result.tidy(), other.tidy())


def two_products():
    return pd.DataFrame(
        {
            "customer": ["a"] * 4,
            "date": ["2025-01-01"] * 2 + ["2026-01-01"] * 2,
            "product": ["x", "y"] * 2,
            "quantity": [10.0, 30.0, 20.0, 40.0],
            "amount": [100.0, 600.0, 240.0, 760.0],
            "product_cost": [60.0, 300.0, 160.0, 380.0],
        }
    )


def test_the_usual_split_by_hand():
    """g = 60/40; m0 = 4, 10; volume .5 * 340; mix (20 - 15) * 4 + (40 - 45) * 10; price 40 - 40; cost 20 - 40."""
    rows = bridge(two_products()).tidy().set_index("lhs")["estimate"]
    assert rows.to_dict() == {
        "2025": 340.0,
        "price": 0.0,
        "volume": 170.0,
        "mix": -30.0,
        "product_cost": -20.0,
        "2026": 460.0,
    }


def test_shapley_is_the_mean_over_all_orders():
    frame = two_products()
    old, new = frame[frame["date"] < "2026"], frame[frame["date"] >= "2026"]
    q = {0: old["quantity"].to_numpy(), 1: new["quantity"].to_numpy()}
    unit = {
        line: {t: side[line].to_numpy() / q[t] for t, side in ((0, old), (1, new))}
        for line in ("amount", "product_cost")
    }

    def value(at, line):
        total = q[at["volume"]].sum()
        share = q[at["mix"]] / q[at["mix"]].sum()
        return (total * share * unit[line][at["value"]]).sum()

    mean = dict.fromkeys(("volume", "mix", "price", "product_cost"), 0.0)
    for order in permutations(("volume", "mix", "value")):
        for line, sign in (("amount", 1), ("product_cost", -1)):
            at = dict.fromkeys(("volume", "mix", "value"), 0)
            for player in order:
                was = value(at, line)
                at[player] = 1
                name = {"value": "price" if line == "amount" else "product_cost"}.get(player, player)
                mean[name] += sign * (value(at, line) - was) / 6
    rows = bridge(frame, method="shapley").tidy().set_index("lhs")["estimate"]
    for part, expected in mean.items():
        assert rows[part] == pytest.approx(expected, abs=0.02), part


def test_prices_alone_and_volume_alone():
    frame = two_products()
    dearer = frame.assign(
        quantity=[10.0, 30.0] * 2, amount=[100.0, 600.0, 110.0, 660.0], product_cost=[60.0, 300.0] * 2
    )
    rows = bridge(dearer).tidy().set_index("lhs")["estimate"]
    assert (rows["price"], rows["volume"], rows["mix"]) == (70.0, 0.0, 0.0)
    more = frame.assign(quantity=[10.0, 30.0, 12.0, 36.0], amount=[100.0, 600.0, 120.0, 720.0], product_cost=0.0)
    for method in ("in_order", "shapley"):
        rows = bridge(more, method=method).tidy().set_index("lhs")["estimate"]
        assert (rows["price"], rows["volume"], rows["mix"]) == (0.0, 140.0, 0.0)


def test_new_lost_and_changed_assortment():
    frame = pd.DataFrame(
        {
            "customer": ["a", "a", "b", "a", "a", "c"],
            "date": ["2025-01-01"] * 3 + ["2026-01-01"] * 3,
            "product": ["x", "y", "x", "x", "z", "x"],
            "quantity": [1.0] * 6,
            "amount": [10.0, 5.0, 7.0, 10.0, 2.0, 3.0],
        }
    )
    result = bridge(frame)
    rows = result.tidy().set_index("lhs")["estimate"]
    assert rows["new_customers"] == 3.0
    assert rows["lost_customers"] == -7.0
    assert rows["new_products"] == 2.0
    assert rows["dropped_products"] == -5.0
    counts = result.glance().iloc[0]
    assert (counts["staying_customers"], counts["new_customers"], counts["lost_customers"]) == (1, 1, 1)


def test_doubling_money_doubles_every_part(tables, accounts):
    twice = tables["transactions"].copy()
    twice[["amount", "discount", "product_cost"]] *= 2
    spec = AccountsSpec(accounts.spec.drivers[:4])
    one = bridge(customer_accounts(tables, spec=spec)).tidy()
    two = bridge(customer_accounts({**tables, "transactions": twice}, spec=spec)).tidy()
    np.testing.assert_allclose(two["estimate"], 2 * one["estimate"], atol=2.0)


def test_periods_that_are_not_there(accounts):
    with pytest.raises(UsageError, match="no period"):
        bridge(accounts, before="1999")
    with pytest.raises(UsageError, match="nothing before"):
        bridge(accounts, after="2025")
    with pytest.raises(UsageError, match="both are"):
        bridge(accounts, before="2026", after="2026")
    with pytest.raises(UsageError, match="expected one of"):
        bridge(accounts, method="guess")


def test_upgrades_and_downgrades_sum_to_the_change_of_revenue(accounts):
    result = price_times_quantity(accounts)
    rows = result.tidy()
    change = in_cents(rows.loc[rows["kind"] == "part", "estimate"]).sum()
    ends = in_cents(rows.loc[rows["kind"] != "part", "estimate"])
    assert ends[0] + change == ends[1]
    own = result.augment()
    parts = in_cents(own[["volume", "upgrade", "price", "new_or_lost"]].to_numpy()).sum(axis=1)
    np.testing.assert_array_equal(in_cents(own["2026"]) - in_cents(own["2025"]), parts)


def test_a_dearer_basket_is_an_upgrade_and_a_dearer_price_is_not():
    frame = pd.DataFrame(
        {
            "customer": ["a", "b", "a", "b"],
            "date": ["2025-01-01"] * 2 + ["2026-01-01"] * 2,
            "product": ["basic", "plus", "plus", "plus"],
            "quantity": [10.0, 10.0, 10.0, 5.0],
            "amount": [100.0, 200.0, 220.0, 110.0],
        }
    )
    rows = price_times_quantity(frame).tidy().set_index("lhs")["estimate"]
    assert rows.to_dict() == {
        "2025": 300.0,
        "less_volume": -100.0,
        "upgrades": 100.0,
        "higher_prices": 30.0,
        "2026": 330.0,
    }
