import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spc.accounts import AccountsSpec, CostDriver, customer_accounts, gini, whale_curve
from spc.errors import UsageError

SPEC = AccountsSpec((CostDriver("revenue", side="revenue", column="amount"), CostDriver("cost", column="product_cost")))


def made(contributions):
    cost = np.maximum(-np.asarray(contributions, dtype=float), 0.0)
    frame = pd.DataFrame(
        {"customer": np.arange(len(cost)), "date": "2026-01-01", "amount": contributions + cost, "product_cost": cost}
    )
    return customer_accounts(frame, spec=SPEC)


def figure(result, kind, lhs="contribution"):
    return result.tidy().query("kind == @kind and lhs == @lhs")["estimate"].iloc[0]


def test_ten_customers_by_hand():
    """Total 100; the profitable earn 150; two of ten lose; half (50) takes one and a sixth of the best, so two."""
    result = whale_curve(made([45.0, 30.0, 20.0, 20.0, 15.0, 10.0, 5.0, 5.0, -20.0, -30.0]), draws=100)
    assert figure(result, "peak") == pytest.approx(1.5)
    assert figure(result, "loss") == pytest.approx(-50.0)
    assert figure(result, "unprofitable", "customers") == pytest.approx(0.2)
    assert figure(result, "dependence", "customers") == 2
    tops = result.tidy().query("kind == 'top'")["estimate"].to_numpy()
    np.testing.assert_allclose(tops, [0.045, 0.225, 0.45, 0.75])
    curve = result.augment().set_index("share_of_customers")["share_of_contribution"]
    np.testing.assert_allclose(curve[[0.0, 0.1, 0.8, 1.0]], [0.0, 0.45, 1.5, 1.0])


def test_the_curve_rises_then_falls_and_ends_at_one(accounts):
    curve = whale_curve(accounts, draws=100).augment()
    steps = np.diff(np.diff(curve["share_of_contribution"]))
    assert (steps < 1e-9).all()
    assert curve["share_of_contribution"].iloc[-1] == pytest.approx(1.0)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30))
def test_gini_is_the_mean_difference(values):
    x = np.array(values, dtype=float)
    expected = np.abs(x[:, None] - x).sum() / (2 * len(x) * x.sum()) if x.sum() else 0.0
    assert gini(x) == pytest.approx(expected)
    assert gini(3 * x) == pytest.approx(gini(x))


def test_bands_cover_and_repeat(accounts):
    one, again = (whale_curve(accounts, draws=200, seed=4) for _ in range(2))
    pd.testing.assert_frame_equal(one.tidy(), again.tidy())
    rows = one.tidy().query("kind in ['top', 'peak', 'unprofitable', 'loss']")
    assert (rows["conf_low"] <= rows["estimate"]).all()
    assert (rows["conf_high"] >= rows["estimate"]).all()


def test_firms_without_profit_have_no_shares():
    result = whale_curve(made([5.0, -10.0]), draws=100)
    assert np.isnan(figure(result, "peak"))
    assert result.notes()[0].code == "no_contribution"


def test_too_few_draws(accounts):
    with pytest.raises(UsageError, match="100 draws"):
        whale_curve(accounts, draws=3)


def test_where_everybody_loses_shares_are_left_out_without_a_foreign_warning():
    sales = pd.DataFrame({"customer": list("abc"), "date": "2026-01-01", "amount": [10.0, 20.0, 20.0],
                          "freight": [11.0, 22.0, 22.0]})  # fmt: skip
    rows = whale_curve(sales, draws=100).tidy().set_index("rhs")
    assert rows.loc["best 10% of customers", ["estimate", "conf_low", "conf_high"]].isna().all()
    assert rows.loc["lost on unprofitable customers", "estimate"] == -5
