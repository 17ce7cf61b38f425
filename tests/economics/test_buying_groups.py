import math

import numpy as np
import pandas as pd
import pytest

from spc.economics import buying_by, fit_buying, fit_spend, loyalty_results, loyalty_value, purchase_history
from spc.economics.buyers import buyers_at
from spc.economics.groups import OTHERS
from spc.economics.loyalty_buying import mean_purchase
from spc.economics.purchases import grouped, purchases_of
from spc.errors import DataError, UsageError
from spc.results import TIDY_COLUMNS, Result
from spc.study import check_study, read_study

CLUB, PASSING = (0.8, 6.0, 0.8, 8.0), (0.8, 6.0, 0.8, 2.0)


def shoppers(n, seed, stop=(0.8, 8.0), weeks=52.0):
    """Customers of the BG/NBD model."""
    rng = np.random.default_rng(seed)
    rate, chance = rng.gamma(0.8, 1 / 6.0, n), rng.beta(*stop, n)
    gaps = rng.exponential(1 / rate[:, None], (n, 120)).cumsum(axis=1)
    last = rng.geometric(np.maximum(chance, 1e-9))[:, None]
    bought = (gaps <= weeks) & (last > np.arange(120))
    x = bought.sum(axis=1)
    table = pd.DataFrame({"repeats": x, "recency": np.where(bought, gaps, 0.0).max(axis=1), "age": weeks})
    spend = rng.normal(20.0, 5.0, n) + rng.normal(0, 9.0, n) / np.sqrt(np.maximum(x, 1))
    return table.assign(spend=np.where(x > 0, spend, np.nan))


def both(n=900, seed=1):
    club, passing = shoppers(n, seed), shoppers(n, seed + 10_000, (0.8, 2.0))
    return pd.concat([club.assign(segment="club"), passing.assign(segment="passing")], ignore_index=True)


@pytest.fixture(scope="module")
def table():
    return both()


def figures(found, kind):
    return found.tidy().query("kind == @kind").set_index("rhs")


def test_each_group_has_the_model_of_its_own_customers(table):
    found = buying_by(table, by="segment")
    assert isinstance(found, Result)
    assert tuple(found.tidy().columns) == TIDY_COLUMNS
    assert figures(found, "retention").index.tolist() == ["club", "passing"]
    for name, rows in table.groupby("segment"):
        own = fit_buying(rows)
        assert figures(found, "active").loc[name, "estimate"] * len(rows) == pytest.approx(
            own.glance()["active"].item()
        )
        spend = figures(found, "spend").loc[name]
        assert spend["estimate"] == pytest.approx(float(fit_spend(rows).mean()))
        assert spend["conf_low"] < 20.0 < spend["conf_high"]
    assert found.p_value < 1e-6
    assert found.table.drop_duplicates("group")["customers"].sum() == len(table)


def test_the_truth_of_made_up_customers_is_found():
    hits, runs = np.zeros(3), 16
    for seed in range(runs):
        rows = shoppers(800, seed)
        found = buying_by(rows.assign(segment="club"), by="segment")
        buyers = buyers_at(np.log(CLUB), grouped(purchases_of(rows)), False)
        active = buyers.active / 800
        truth = float(buyers.next_rate()), active, active * float(buyers.multiple(0.0, 1.0))
        for i, kind in enumerate(("retention", "active", "purchases")):
            row = figures(found, kind).loc["club"]
            hits[i] += row["conf_low"] <= truth[i] <= row["conf_high"]
    assert (hits >= 13).all()


def test_who_is_active_is_as_many_as_really_are():
    rng, n = np.random.default_rng(7), 20_000
    rate, chance = rng.gamma(0.8, 1 / 6.0, n), rng.beta(0.8, 2.0, n)
    last, gaps = rng.geometric(chance), rng.exponential(1 / rate[:, None], (n, 60)).cumsum(axis=1)
    bought = (gaps <= 52.0) & (last[:, None] > np.arange(60))
    rows = pd.DataFrame({"repeats": bought.sum(axis=1), "recency": np.where(bought, gaps, 0).max(axis=1), "age": 52.0})
    buyers = buyers_at(np.log(PASSING), grouped(purchases_of(rows)), False)
    active = last > rows["repeats"].to_numpy()
    assert buyers.active == pytest.approx(active.sum(), rel=0.02)
    assert float(buyers.next_rate()) == pytest.approx(np.exp(-rate * chance)[active].mean(), abs=1e-3)


@pytest.mark.parametrize("runs", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_groups_alike_are_told_apart_as_seldom_as_they_should(runs):
    seen = []
    for seed in range(runs):
        rows = shoppers(800, seed)
        seen.append(buying_by(rows.assign(half=np.arange(800) % 2), by="half").p_value)
    assert np.nanmean(np.array(seen) < 0.05) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert abs(np.nanmean(seen) - 0.5) < 3 * math.sqrt(1 / 12 / runs)


def test_tenure_is_seen_under_one_model(table):
    mixed = pd.concat([shoppers(400, i, weeks=weeks) for i, weeks in enumerate((10.0, 20.0, 35.0, 52.0))])
    found = buying_by(mixed, by="tenure", period="week")
    groups = figures(found, "retention")
    assert groups.index.tolist() == ["10 weeks", "10 to 20 weeks", "20 to 35 weeks", "35 to 52 weeks"]
    assert math.isnan(found.p_value)
    assert groups["estimate"].is_monotonic_increasing  # who is active still after long stops seldom
    total = (figures(found, "active")["estimate"] * 400).sum()
    assert total == pytest.approx(fit_buying(mixed).glance()["active"].item())


def test_small_groups_go_together_and_those_without_a_model_are_said(table):
    few = table.assign(segment=np.where(np.arange(len(table)) < 3, "rare", table["segment"]))
    few.loc[3:5, "segment"] = "rarer"
    assert OTHERS not in figures(buying_by(few, by="segment", fewest=2), "active").index
    assert set(figures(buying_by(few, by="segment"), "active").index) >= {OTHERS, "passing"}
    once = table.assign(segment=np.where(table.index < 80, "new", table["segment"]))
    once.loc[once.index < 80, ["repeats", "recency"]] = 0
    found = buying_by(once, by="segment")
    assert np.isnan(figures(found, "retention").loc["new", "estimate"])
    assert {note.code for note in found.notes()} == {"not_contractual", "groups_without_model"}
    assert math.isnan(found.p_value)


@pytest.mark.parametrize("came_back", [0, 1])
def test_a_mean_purchase_needs_two_who_came_back(table, came_back):
    young = table.assign(age=np.where(table.index < 60, 1.0, table["age"]), spend=20.0 + table.index % 7)
    young.loc[young.index < 60, ["repeats", "recency"]] = 0
    young.loc[young.index < came_back, ["repeats", "recency"]] = [1, 0.5]
    young = young[(young["recency"] <= young["age"])]
    first = young[young["age"] == 1.0]
    assert mean_purchase(first, 50, np.random.default_rng(1)) == (None, None)
    found = figures(buying_by(young, by="tenure"), "spend")
    assert np.isfinite(found[["estimate", "conf_low", "conf_high"]].to_numpy(dtype=float)).all()


def sales(n=300):
    rng = np.random.default_rng(5)
    rows, day = [], np.datetime64("2024-01-01")
    for i in range(n):
        start = int(rng.integers(0, 500))
        days = start + np.r_[0, rng.exponential(25.0, rng.geometric(0.3)).cumsum().astype(int)]
        rows += [(f"c{i}", day + int(d), float(rng.gamma(4, 5)), f"u{i % 2}") for d in days if d < 700]
    return pd.DataFrame(rows, columns=["customer", "date", "amount", "unit"])


def test_transactions_say_the_same_as_what_is_made_of_them():
    lines = sales()
    history = purchase_history(lines, until="2025-12-01", period="week")
    unit = lines.drop_duplicates("customer").set_index("customer")["unit"]
    one = buying_by(lines, by="unit", until="2025-12-01")
    two = buying_by(history.assign(unit=unit.reindex(history.index)), by="unit", period="week")
    pd.testing.assert_frame_equal(one.tidy(), two.tidy())
    first = lines.groupby("customer")["date"].min().dt.year.reindex(history.index)
    joined = buying_by(lines, by="joined", until="2025-12-01").table.drop_duplicates("group")
    assert joined.set_index("group")["customers"].to_dict() == first.astype(str).value_counts().to_dict()


def test_the_order_of_rows_changes_nothing(table):
    one, two = (buying_by(rows, by="segment") for rows in (table, table.sample(frac=1.0, random_state=2)))
    pd.testing.assert_frame_equal(one.tidy(), two.tidy(), rtol=1e-5)


def test_what_cannot_be(table):
    with pytest.raises(DataError, match="region"):
        buying_by(table, by="region")
    with pytest.raises(UsageError, match="at least 50"):
        buying_by(table.head(20), by="segment")
    with pytest.raises(UsageError, match="level"):
        buying_by(table, by="segment", level=95)


DOCUMENT = """[study]
name = "Shop"
[tables.customers]
file = "shop.csv"
[money]
horizon = 52
discount = 0.002
period = "week"
retention_model = "bg-nbd"
"""


@pytest.fixture
def shop(tmp_path, table):
    rows = table.assign(customer=[f"c{i}" for i in range(len(table))])
    rows.to_csv(tmp_path / "shop.csv", index=False)
    (tmp_path / "study.toml").write_text(DOCUMENT)
    return tmp_path


def test_a_study_without_transactions_says_what_customers_bought(shop, table):
    study = read_study(shop)
    value = loyalty_value(study)
    alone = loyalty_value(table, horizon=52, discount=0.002, period="week", retention_model="bg-nbd")
    assert value.tidy()["estimate"].to_numpy() == pytest.approx(alone.tidy()["estimate"].to_numpy(), nan_ok=True)
    parts = loyalty_results(study, value)
    assert [part.kind for part in parts] == ["buying_groups"]
    assert parts[0].by == "segment"
    assert "points_had" in {note.code for note in value.notes()}
    had = value.tidy().set_index("kind").loc["points_had"]
    assert 0 < had["conf_low"] < had["estimate"] < had["conf_high"] < 0.05


def test_what_customers_bought_is_read_where_it_is_asked_for_alone(shop):
    (shop / "study.toml").write_text(DOCUMENT.replace("bg-nbd", "auto"))
    found = {finding.rule for finding in check_study(shop).findings}
    assert "incomplete_set" in found
    rows = pd.read_csv(shop / "shop.csv")
    rows.assign(tenure=3, churned=0, age="35-44").to_csv(shop / "shop.csv", index=False)
    assert check_study(shop).ok
    (shop / "study.toml").write_text(DOCUMENT)
    assert not check_study(shop).ok
