"""Contribution at risk and rates that are not known exactly."""

import numpy as np
import pandas as pd
import pytest

from spc.accounts import contribution_at_risk, customer_groups, rate_uncertainty
from spc.errors import UsageError


def test_what_is_at_risk_is_what_leavers_of_the_group_would_take(accounts):
    groups = customer_groups(accounts)
    table = groups.augment()
    rows = contribution_at_risk(accounts, groups=groups).tidy()
    was, now = (table[table["period"] == p] for p in ("2025", "2026"))
    gone = ~was["customer"].isin(now["customer"])
    profit = pd.Series(np.maximum(accounts.at("2026").contribution, 0) / 100).groupby(now["group"].to_numpy()).sum()
    rates = gone.groupby(was["group"]).mean()
    found = rows.query("kind == 'at_risk' and rhs != 'all'").set_index("rhs")["estimate"]
    for name in found.index:
        assert found[name] == pytest.approx(rates[name] * profit[name])
    whole = rows.query("kind == 'at_risk' and rhs == 'all'").iloc[0]
    assert whole["estimate"] == pytest.approx(found.sum())
    assert whole["conf_low"] < whole["estimate"] < whole["conf_high"]


def test_where_nobody_left_nothing_is_at_risk_as_far_as_is_seen():
    sales = pd.DataFrame({"customer": ["a", "b"] * 2, "date": ["2025-01-01"] * 2 + ["2026-01-01"] * 2, "amount": 10.0})
    row = contribution_at_risk(sales).tidy().query("kind == 'at_risk' and rhs == 'all'").iloc[0]
    assert (row["estimate"], row["conf_low"]) == (0.0, 0.0)
    assert row["conf_high"] > 0


def test_leaving_needs_two_periods(accounts):
    with pytest.raises(UsageError, match="two periods"):
        contribution_at_risk(accounts.at("2026"))


def test_rates_move_contribution_as_the_closed_form_says(accounts):
    spread = {"product_cost": 0.03, "service": 0.2}
    result = rate_uncertainty(accounts, spread, draws=20_000)
    row = result.tidy().query("kind == 'contribution'").iloc[0]
    at = [accounts.lines.index(line) for line in spread]
    sums = accounts.cents[:, at].sum(axis=0) / 100
    assert row["estimate"] == pytest.approx(accounts.contribution.sum() / 100)
    assert row["std_error"] == pytest.approx(np.hypot(*(sums * list(spread.values()))), rel=0.03)
    shares = result.tidy().query("kind == 'share'")["estimate"]
    assert shares.sum() == pytest.approx(1.0)
    own = result.augment()["std_error"]
    np.testing.assert_allclose(own**2, ((accounts.cents[:, at] / 100 * list(spread.values())) ** 2).sum(axis=1))


def test_rates_that_are_known_move_nothing(accounts):
    result = rate_uncertainty(accounts, {"service": 0.0}, draws=100)
    assert (result.tidy().query("kind == 'contribution'")["std_error"] < 1e-6).all()


@pytest.mark.parametrize("spread", [{"gold": 0.1}, {"service": -0.1}, {"service": float("nan")}])
def test_spreads_that_cannot_be(accounts, spread):
    with pytest.raises(UsageError):
        rate_uncertainty(accounts, spread)
