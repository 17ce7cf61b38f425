"""Elasticity, profile, sellers, targets, effort and line of sight: closed forms and simulated truth."""

import numpy as np
import pandas as pd
import pytest

from spc.accounts import (
    AccountsSpec,
    CostDriver,
    allocate_hours,
    bridge,
    contribution_elasticity,
    customer_accounts,
    driver_targets,
    good_customer_profile,
    line_of_sight,
    peer_gaps,
    sales_effort,
    seller_portfolios,
    seller_share,
    waterfall,
)
from spc.accounts.elasticity import slope_hc3
from spc.disclosure import Gate
from spc.errors import DataError, UsageError


def rows_of(result, kind):
    return result.tidy().query("kind == @kind")


def test_hc3_is_that_of_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(1)
    x = rng.standard_normal(60)
    y = 1 + 2 * x + rng.standard_normal(60) * (1 + x**2)
    fit = sm.OLS(y, sm.add_constant(x)).fit(cov_type="HC3")
    slope, base, cov = slope_hc3(x, y)
    np.testing.assert_allclose([base, slope], fit.params)
    np.testing.assert_allclose(cov, fit.cov_params(), rtol=1e-9)


def simulated_elasticity(seed, n=300):
    """ratio = -.4 + .1 log R with noise: some customers lose money."""
    rng = np.random.default_rng(seed)
    revenue = np.round(np.exp(rng.normal(6, 1, n)), 2)
    ratio = -0.4 + 0.1 * np.log(revenue) + 0.1 * rng.standard_normal(n)
    return pd.DataFrame(
        {
            "customer": range(n),
            "date": "2026-01-01",
            "amount": revenue,
            "product_cost": np.round(revenue * (1 - ratio), 2),
        }
    )


def test_elasticity_with_losses_is_recovered_and_covered():
    hits, values = [], []
    for seed in range(40):
        sales = simulated_elasticity(seed)
        row = rows_of(contribution_elasticity(sales), "elasticity").iloc[0]
        size = np.log(sales["amount"])
        truth = 1 + 0.1 / (-0.4 + 0.1 * np.average(size, weights=sales["amount"]))
        hits.append(row["conf_low"] <= truth <= row["conf_high"])
        values.append(row["estimate"] - truth)
    assert np.mean(values) == pytest.approx(0.0, abs=0.05)
    assert np.mean(hits) >= 0.85


def test_too_few_sizes_for_an_elasticity():
    sales = simulated_elasticity(1).assign(amount=100.0)
    with pytest.raises(DataError, match="all of one size"):
        contribution_elasticity(sales)


def two_years_of_customers(effect, n=240, seed=1):
    rng = np.random.default_rng(seed)
    segment = rng.choice(["retail", "trade"], n)
    base = 200 + effect * (segment == "trade") + 40 * rng.standard_normal(n)
    parts = []
    for year in ("2025", "2026"):
        money = np.round(base + 40 * rng.standard_normal(n), 2)
        parts.append(pd.DataFrame({"customer": [f"C{i}" for i in range(n)], "date": f"{year}-02-01", "amount": money}))
    customers = pd.DataFrame({"customer": [f"C{i}" for i in range(n)], "segment": segment})
    return {"transactions": pd.concat(parts), "customers": customers}


def test_profile_finds_the_trait_and_holds_a_year_later():
    result = good_customer_profile(two_years_of_customers(effect=120.0))
    assert rows_of(result, "trait").iloc[0]["lhs"] == "segment_trade"
    assert rows_of(result, "trait").iloc[0]["estimate"] > 0.5
    checks = rows_of(result, "check").set_index("lhs")["estimate"]
    assert checks["auc"] > 0.7
    assert checks["brier"] < checks["brier_of_base_rate"]
    shrunk = result.augment()
    assert shrunk["expected_contribution"].std() < shrunk["contribution"].std()
    traits = rows_of(result, "trait").set_index("group")
    assert traits.loc["2025", "conf_low"] < traits.loc["2025", "estimate"] < traits.loc["2025", "conf_high"]
    assert traits.loc["2026", "estimate"] > 0.5


def test_luck_is_taken_out_of_contribution():
    """Permanent variance 40², chance 40² a period: half of a lead lasts."""
    result = good_customer_profile(two_years_of_customers(effect=0.0, n=1500))
    lasting = rows_of(result, "stability").set_index("lhs").loc["lasting", "estimate"]
    assert lasting == pytest.approx(0.5, abs=0.06)
    best = result.augment().nlargest(150, "contribution")
    permanent = 200 + 0.5 * (best["contribution"].mean() - 200)
    assert best["expected_contribution"].mean() == pytest.approx(permanent, rel=0.03)


def test_prospects_are_scored_and_an_unknown_trait_is_that_of_the_middle():
    prospects = pd.DataFrame({"customer": ["p1", "p2", "p3"], "segment": ["trade", "retail", None]})
    tables = two_years_of_customers(effect=120.0)
    scored = good_customer_profile(tables, prospects=prospects).augment().tail(3)
    p = scored.set_index("customer")["probability"]
    assert p["p2"] < p["p3"] < p["p1"]
    assert scored["contribution"].isna().all()
    with pytest.raises(DataError, match="traits of customers"):
        good_customer_profile(tables, prospects=prospects[["customer"]])


def test_profile_without_skill_says_so():
    result = good_customer_profile(two_years_of_customers(effect=0.0))
    assert "no_skill" in {note.code for note in result.notes()}


def test_profile_needs_traits():
    tables = two_years_of_customers(effect=0.0)
    with pytest.raises(UsageError, match="no traits"):
        good_customer_profile(tables["transactions"])


def test_who_sells_is_no_trait():
    tables = two_years_of_customers(effect=120.0)
    sales = tables["transactions"]
    sales = sales.assign(seller=["Anna" if i % 2 else "Bo" for i in pd.factorize(sales["customer"])[0]])
    result = good_customer_profile({**tables, "transactions": sales})
    assert set(rows_of(result, "trait")["lhs"]) == {"segment_trade"}


@pytest.mark.parametrize("make", [waterfall, peer_gaps, bridge])
def test_the_gate_lets_no_table_by_seller_through(make, accounts, tables):
    sales = tables["transactions"]
    sellers = sales.assign(seller=sales["customer"].str[-1].map(lambda digit: f"Anna {digit}"))
    own = customer_accounts({**tables, "transactions": sellers}, spec=accounts.spec)
    assert Gate().model(make(own, by="segment")).curve.frame.shape[0]
    with pytest.raises(DataError, match="figures by employee"):
        Gate().model(make(own, by="seller"))


def test_portfolios_keep_names_inside_and_their_bridges_sum(accounts, tables):
    sales = tables["transactions"]
    sellers = sales.assign(seller=["Anna", "Bo", "Cy", "Di"][0])
    sellers["seller"] = sales["customer"].str[-1].astype(int).mod(4).map(dict(enumerate(["Anna", "Bo", "Cy", "Di"])))
    own = customer_accounts({**tables, "transactions": sellers}, spec=accounts.spec)
    result = seller_portfolios(own)
    text = result.tidy().to_csv() + result.augment().to_csv()
    assert not any(name in text for name in ("Anna", "Bo", "Cy", "Di,"))
    assert len(rows_of(result, "portfolio")) == 4
    parts = result.tidy().query("kind == 'part'")["estimate"].sum()
    change = own.at("2026").contribution.sum() - own.at("2025").contribution.sum()
    assert round(parts * 100) == change
    changes = rows_of(result, "change").set_index("lhs")
    for name, own_parts in result.tidy().query("kind == 'part'").groupby("rhs"):
        assert changes.loc[name, "estimate"] == pytest.approx(own_parts["estimate"].sum(), abs=0.01)
    raw = changes["estimate"] / changes["statistic"]
    assert rows_of(result, "growth")["estimate"].std() <= raw.std() + 1e-9
    good = own.customers[own.contribution > np.median(own.contribution)]
    few = rows_of(seller_portfolios(own, within=good), "portfolio")
    assert few["statistic"].sum() < rows_of(result, "portfolio")["statistic"].sum()


def test_portfolios_that_differ_by_chance_alone_have_intervals_that_hold_the_truth():
    """Ratios of 200 customers of one true ratio, served by five sellers: intervals had no length here once."""
    held = []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        revenue = np.exp(rng.normal(6, 0.5, (3, 200)))
        cost = revenue * 0.7 + 1.5 * np.sqrt(revenue) * rng.standard_normal((3, 200))
        sales = pd.DataFrame(
            {
                "customer": [f"C{i}" for i in range(200)] * 3,
                "amount": revenue.round(2).ravel(),
                "date": np.repeat(["2024-03-01", "2025-03-01", "2026-03-01"], 200),
                "product_cost": cost.round(2).ravel(),
                "seller": [f"S{i % 5}" for i in range(200)] * 3,
            }
        )
        rows = rows_of(seller_portfolios(customer_accounts(sales)), "portfolio")
        assert (rows["conf_high"] - rows["conf_low"]).min() > 0
        held.append(((rows["conf_low"] <= 0.3) & (rows["conf_high"] >= 0.3)).mean())
    assert np.mean(held) > 0.95


def panel(effect, seed, customers=80, noise=0.02):
    rng = np.random.default_rng(seed)
    rows = []
    own = 0.1 + 0.03 * rng.standard_normal(customers)
    for p, month in enumerate(("01", "02", "03", "04")):
        rate = own + 0.01 * p + noise * rng.standard_normal(customers)
        rate = rate + effect * (np.arange(customers) < 30) * (p >= 2)
        revenue = rng.uniform(500, 1500, customers).round(2)
        rows.append(pd.DataFrame({"customer": [f"C{i}" for i in range(customers)], "date": f"2026-{month}-01",
                                  "amount": revenue, "freight": (rate * revenue).round(2)}))  # fmt: skip
    spec = AccountsSpec(
        (CostDriver("revenue", side="revenue", column="amount"), CostDriver("freight", column="freight")),
        period="month",
    )
    return customer_accounts(pd.concat(rows), spec=spec)


def judged(effect, seed):
    names = [f"C{i}" for i in range(30)]
    return driver_targets(panel(effect, seed), line="freight", targeted=names, since="2026-03")


def test_effects_of_targets_are_recovered_and_covered():
    rows = [rows_of(judged(-0.02, seed), "effect").iloc[0] for seed in range(40)]
    assert np.mean([row["estimate"] for row in rows]) == pytest.approx(-0.02, abs=0.001)
    assert np.mean([row["conf_low"] <= -0.02 <= row["conf_high"] for row in rows]) >= 0.85


def test_targets_agree_with_dummy_regression():
    import statsmodels.formula.api as smf

    accounts = panel(-0.02, 3)
    frame = accounts.augment().assign(rate=lambda f: f["freight"] / f["net_revenue"])
    frame["treated"] = (frame["customer"].str[1:].astype(int).lt(30) & (frame["period"] >= "2026-03")).astype(float)
    fit = smf.wls("rate ~ treated + C(customer) + C(period)", frame, weights=frame["net_revenue"]).fit()
    row = rows_of(judged(-0.02, 3), "effect").iloc[0]
    assert row["estimate"] == pytest.approx(fit.params["treated"], rel=1e-7)


def test_targets_that_cannot_be_judged():
    with pytest.raises(UsageError, match="no line"):
        driver_targets(panel(0, 1), line="rent", targeted=["C1"], since="2026-03")
    with pytest.raises(UsageError, match="since"):
        driver_targets(panel(0, 1), line="freight", targeted=["C1"], since="2026-01")
    with pytest.raises(DataError, match="1 targeted"):
        driver_targets(panel(0, 1), line="freight", targeted=["C1"], since="2026-03")


def test_hours_go_where_the_last_one_brings_as_much():
    scale, curve = np.array([3.0, 5.0, 1.0, 0.0]), 0.4
    hours = allocate_hours(scale, 100.0, curve)
    assert hours.sum() == pytest.approx(100.0)
    assert hours[3] == 0.0
    last = scale[:3] * curve * hours[:3] ** (curve - 1)
    np.testing.assert_allclose(last, last[0])


def test_effort_by_group_and_advice_at_the_same_total(accounts):
    rng = np.random.default_rng(1)
    effort = pd.DataFrame({"customer": accounts.at("2026").customers})
    effort["hours"] = rng.uniform(1, 9, len(effort)).round(1)
    result = sales_effort(accounts, effort, curve=0.3)
    assert rows_of(result, "advice")["estimate"].sum() == pytest.approx(0.0, abs=1e-9)
    table = result.augment()
    assert table["hours"].sum() == pytest.approx(effort["hours"].sum())
    assert table["may_bring"].sum() >= -1e-9
    with pytest.raises(UsageError, match="diminishing"):
        sales_effort(accounts, effort, curve=1.5)
    with pytest.raises(DataError, match="without an account"):
        sales_effort(accounts, effort.assign(customer="nobody"), curve=0.3)


def test_icc_of_the_analysis_of_variance_by_hand():
    """Mean squares 8 between (2 sellers of 2) and 1 within: (8 - 1) / (8 + 1)."""
    values = np.array([0.0, 2**0.5, 8**0.5, 8**0.5 + 2**0.5])
    assert seller_share(values, list("aabb"))[0] == pytest.approx(7 / 9)


def test_what_is_in_sight_and_what_is_only_believed():
    rng = np.random.default_rng(2)
    seller = np.repeat([f"s{i}" for i in range(12)], 20)
    skill = rng.standard_normal(12).repeat(20)
    figures = pd.concat(
        [
            pd.DataFrame({"seller": seller, "kpi": "freight", "value": skill + rng.standard_normal(240)}),
            pd.DataFrame({"seller": seller, "kpi": "price", "value": rng.standard_normal(240)}),
        ]
    )
    ratings = pd.DataFrame({"kpi": ["freight"] * 6 + ["price"] * 6 + ["growth"] * 2, "influence": [5] * 12 + [1] * 2})
    result = line_of_sight(figures, ratings)
    flags = rows_of(result, "flag").set_index("lhs")["label"].to_dict()
    assert flags == {"freight": "in sight", "price": "believed", "growth": "not known"}
    assert "seller" not in result.augment()
    assert Gate().model(result).glance.frame["respondents"].item() == 6
    with pytest.raises(DataError, match="fewer than 5 respondents"):
        Gate().model(line_of_sight(figures, ratings, fewest=2))
