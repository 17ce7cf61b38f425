import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.accounts import agreement, customer_accounts, customer_groups, share_interval, waterfall
from spc.errors import UsageError


def test_groups_partition_the_accounts(accounts):
    result = customer_groups(accounts)
    own = result.augment()
    assert len(own) == len(accounts.customers)
    rows = result.tidy().query("kind == 'group'")
    for period, part in rows.groupby("group"):
        at = accounts.at(period)
        assert part["statistic"].sum() == len(at.customers)
        assert round(part["estimate"].sum() * 100) == at.contribution.sum()
        assert part["std_all"].sum() == pytest.approx(1.0)


def test_edges_belong_to_the_upper_group():
    frame = pd.DataFrame({"customer": list("abc"), "date": "2026-01-01", "amount": [99.99, 100.0, 500.0]})
    frame["product_cost"] = [0.0, 80.0, 450.0]
    own = customer_groups(frame, revenue_cuts=[100], ratio_cuts=[0.1, 0.2]).augment().set_index("customer")["group"]
    assert own.to_dict() == {"a": "small, 20 % and above", "b": "large, 20 % and above", "c": "large, 10 to 20 %"}


def test_shares_of_moves_sum_to_one(accounts):
    moves = customer_groups(accounts).tidy().query("kind == 'migration'")
    assert moves.groupby(["group", "lhs"])["estimate"].sum().to_numpy() == pytest.approx(1.0)
    assert (moves["conf_low"] <= moves["estimate"]).all()
    assert (moves["conf_high"] >= moves["estimate"]).all()
    both = set(accounts.at("2025").customers) & set(accounts.at("2026").customers)
    staying = moves.query("lhs != '(new)' and rhs != '(gone)'")["statistic"].sum()
    assert staying == len(both)


def test_overrides_are_applied_logged_and_compared(accounts):
    plain = customer_groups(accounts).augment().query("period == '2026'").iloc[0]
    other = next(g for g in customer_groups(accounts).augment()["group"].unique() if g != plain["group"])
    override = {"customer": plain["customer"], "group": other, "by": "sales", "reason": "opens three shops"}
    result = customer_groups(accounts, overrides=[override])
    row = result.augment().query("customer == @plain.customer and period == '2026'").iloc[0]
    assert (row["group"], row["rule_group"], row["overridden"]) == (other, plain["group"], True)
    logged = result.tidy().query("kind == 'override'").iloc[0]
    assert "opens three shops (sales)" in logged["label"]
    kappa = result.tidy().query("kind == 'agreement'").iloc[0]
    assert 0.9 < kappa["estimate"] < 1.0
    assert result.augment()["overridden"].sum() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [({"reason": ""}, "reason is missing"), ({"group": "gold"}, "there are"), ({"customer": "nobody"}, "no account")],
)
def test_overrides_that_cannot_be(accounts, change, message):
    good = customer_groups(accounts).augment().query("period == '2026'").iloc[0]
    override = {"customer": good["customer"], "group": good["group"], "by": "x", "reason": "y", **change}
    with pytest.raises(UsageError, match=message):
        customer_groups(accounts, overrides=[override])


def test_kappa_of_a_published_table():
    """Fleiss, Cohen & Everitt (1969), table 1: kappa .429 of proportions .53 .05 .02 / .11 .14 .05 / .01 .06 .03."""
    counts = np.array([[106, 10, 4], [22, 28, 10], [2, 12, 6]])
    one, other = np.repeat(np.indices((3, 3)).reshape(2, -1), counts.ravel(), axis=1)
    both = agreement(one, other)
    assert both.kappa == pytest.approx(0.429, abs=5e-4)
    assert both.std_error**2 == pytest.approx(0.002885, abs=2e-5)


def test_perfect_and_no_agreement():
    assert agreement(["a", "b"], ["a", "b"]).kappa == 1.0
    assert agreement(["a", "b", "a", "b"], ["a", "a", "b", "b"]).kappa == 0.0
    with pytest.raises(UsageError):
        agreement([], [])


def test_jeffreys_against_scipy():
    from scipy.stats import beta

    low, high = share_interval([0, 3, 7], 7)
    assert low[0] == 0.0
    assert high[2] == 1.0
    assert (low[1], high[1]) == pytest.approx((beta(3.5, 4.5).ppf(0.025), beta(3.5, 4.5).ppf(0.975)))


any_row = st.tuples(
    st.sampled_from("abcdef"), st.sampled_from(["2025-01-01", "2026-01-01"]), st.integers(-9999, 99999),
    st.integers(0, 99999),
)  # fmt: skip
edges = st.lists(st.integers(-100, 1000), min_size=1, max_size=4, unique=True).map(sorted)


@settings(max_examples=25)
@given(rows=st.lists(any_row, min_size=1, max_size=20), cuts=edges, ratios=edges, seed=st.integers(0, 99))
def test_any_groups_of_any_ledger_partition_it_in_any_order(rows, cuts, ratios, seed):
    frame = pd.DataFrame(rows, columns=["customer", "date", "amount", "product_cost"])
    frame[["amount", "product_cost"]] /= 100
    options = {"revenue_cuts": cuts, "ratio_cuts": [ratio / 1000 for ratio in ratios]}
    result = customer_groups(frame, **options)
    accounts = customer_accounts(frame)
    groups = result.tidy().query("kind == 'group'")
    assert groups["statistic"].sum() == len(accounts.customers) == len(result.augment())
    assert round(groups["estimate"].sum() * 100) == accounts.contribution.sum()
    other = customer_groups(frame.sample(frac=1.0, random_state=seed), **options)
    pd.testing.assert_frame_equal(other.tidy(), result.tidy())
    steps = waterfall(frame, by="customer").tidy().query("lhs == 'contribution'")["estimate"]
    assert round(steps.sum() * 100) == accounts.contribution.sum()
