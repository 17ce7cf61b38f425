import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.economics import fit_buying, fit_spend, loyalty_value, purchase_history
from spc.economics.buyers import BuyersModel
from spc.economics.hyper import log_hyp2f1
from spc.economics.loyalty_buying import mean_purchase
from spc.economics.purchases import (
    Buying,
    Purchases,
    discounted_purchases,
    expected_purchases,
    grouped,
    new_customer_purchases,
    p_alive,
    probability,
    purchases_of,
)
from spc.errors import DataError, UsageError

CDNOW = Path(__file__).resolve().parents[3] / "shared" / "data" / "cdnow_summary.csv"
HOLDOUT = Path(__file__).parents[1] / "reference" / "cdnow_holdout.json"
PRINTED = Buying(0.243, 4.414, 0.793, 2.426)
needs_cdnow = pytest.mark.skipif(not CDNOW.exists(), reason="the data are not here")


@pytest.fixture(scope="module")
def cdnow():
    return pd.read_csv(CDNOW)


@pytest.fixture(scope="module")
def fitted(cdnow):
    return fit_buying(cdnow, period="week")


@needs_cdnow
def test_the_published_estimates(fitted):
    assert (round(fitted.r, 3), round(fitted.alpha, 3), round(fitted.a, 3), round(fitted.b, 3)) == (
        0.243,
        4.414,
        0.793,
        2.426,
    )
    assert round(fitted.loglik, 1) == -9582.4
    table = fitted.calibration()
    assert table["customers"].sum() == 2357
    assert table["expected"].sum() == pytest.approx(2357, abs=1e-6)


@needs_cdnow
def test_the_weeks_after_are_foretold_as_published(cdnow, fitted):
    later = np.array(json.loads(HOLDOUT.read_text())["holdout"])
    rows = cdnow.sort_values("ID")
    told = expected_purchases(fitted, Purchases(rows["x"], rows["t_x"], rows["T"], np.ones(len(rows))), 39.0)
    assert np.corrcoef(told, later)[0, 1] == pytest.approx(0.626, abs=5e-4)  # Fader, Hardie & Lee (2005)
    table = pd.DataFrame({"x": np.minimum(rows["x"].to_numpy(), 7), "told": told, "later": later}).groupby("x")
    gap = table["later"].mean() - table["told"].mean()
    assert (gap.abs() < 3 * table["later"].sem()).all()
    assert (gap > 0).all()  # the model is known to say too little of these weeks
    assert told.sum() / later.sum() == pytest.approx(0.88, abs=0.005)


@needs_cdnow
def test_the_published_spend(cdnow):
    fit = fit_spend(cdnow)
    assert fit.model == "gamma-gamma"
    for name, printed in (("p", 6.25), ("q", 3.74), ("gamma", 15.44)):
        assert fit.parameters[name] == pytest.approx(printed, abs=0.01)
    printed = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    np.testing.assert_allclose(fit.expected(cdnow["x"][:10], cdnow["zbar"][:10]), printed, atol=0.02)


def test_the_published_conditional_expectation():
    one = Purchases(np.array([2.0]), np.array([30.43]), np.array([38.86]), np.ones(1))
    assert expected_purchases(PRINTED, one, 39.0).item() == pytest.approx(1.226, abs=1e-3)


def test_the_numbers_of_another_program():
    model = Buying(0.2426, 4.4136, 0.7929, 2.4259)  # of the vignette of the R package BTYD, in its digits
    busy = Purchases(np.array([26.0]), np.array([30.86]), np.array([31.0]), np.ones(1))
    assert new_customer_purchases(model, 52.0).item() == pytest.approx(1.444, abs=1e-3)
    assert expected_purchases(model, busy, 52.0).item() == pytest.approx(25.76, abs=1e-2)
    assert p_alive(model, busy).item() == pytest.approx(0.9689, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.05, 5), st.floats(0.05, 5), st.floats(0.05, 9), st.integers(1, 400), st.floats(0.0, 0.97))
def test_hypergeometric_where_customers_are(r, a, b, n, z):
    mpmath = pytest.importorskip("mpmath")

    log, sign = log_hyp2f1(r + n, b + n, a + b + n - 1, z)
    expected = mpmath.hyp2f1(r + n, b + n, a + b + n - 1, z)
    assert float(sign) == mpmath.sign(expected)
    assert float(log) == pytest.approx(float(mpmath.log(abs(expected))), rel=1e-9, abs=1e-9)


def test_nothing_overflows_for_the_busiest_customers():
    busy = Purchases(np.array([3000.0]), np.array([51.9]), np.array([52.0]), np.ones(1))
    got = expected_purchases(PRINTED, busy, 520.0).item()
    assert math.isfinite(got)
    assert got > 100


@pytest.mark.parametrize("a", [0.5, 1.0, 1.0 + 1e-7, 2.5])
def test_expectations_against_simulation(a):
    model = Buying(0.8, 5.0, a, 2.0)
    rng = np.random.default_rng(1)
    x, last, age = 3.0, 20.0, 26.0
    rate, stop = rng.gamma(0.8 + x, 1 / (5.0 + age), 600_000), rng.beta(a, 2.0 + x, 600_000)
    one = Purchases(np.array([x]), np.array([last]), np.array([age]), np.ones(1))
    alive = p_alive(model, one).item()
    ahead = (-np.expm1(-rate * stop * 30) / stop).mean() * alive
    assert expected_purchases(model, one, 30.0).item() == pytest.approx(ahead, rel=5e-3)
    decay = rate * stop + math.log(1.05)
    for horizon in (12.0, math.inf):
        part = 1.0 if math.isinf(horizon) else -np.expm1(-decay * horizon)
        drawn = (rate * part / decay).mean() * alive
        assert discounted_purchases(model, one, 0.05, horizon=horizon).item() == pytest.approx(drawn, rel=5e-3)


def test_chances_of_counts_sum_to_one_and_to_the_mean():
    t = np.array([10.0])
    chance = np.array([probability(PRINTED, x, t).item() for x in range(400)])
    assert chance.sum() == pytest.approx(1.0, abs=1e-6)
    assert chance @ np.arange(400) == pytest.approx(new_customer_purchases(PRINTED, 10.0).item(), rel=1e-5)


def test_scale_of_time_is_only_a_scale():
    made = buyers(800, 3)
    weeks, days = fit_buying(made), fit_buying(made.assign(recency=made["recency"] * 7, age=made["age"] * 7))
    assert days.alpha == pytest.approx(7 * weeks.alpha, rel=1e-5)
    assert (days.r, days.a, days.b) == pytest.approx((weeks.r, weeks.a, weeks.b), rel=1e-5)


def buyers(n, seed, r=0.8, alpha=4.0, a=0.8, b=2.5):
    """Purchases of made-up customers."""
    rng = np.random.default_rng(seed)
    rate, stop = rng.gamma(r, 1 / alpha, n), rng.beta(a, b, n)
    age = rng.uniform(20, 40, n)
    when = rng.exponential(1 / rate[:, None], (n, 120)).cumsum(axis=1)
    there = np.arange(120) < rng.geometric(np.maximum(stop, 1e-9))[:, None]
    bought = (when <= age[:, None]) & there
    x = bought.sum(axis=1)
    return pd.DataFrame(
        {
            "repeats": x,
            "recency": np.where(bought, when, 0.0).max(axis=1),
            "age": age,
            "spend": rng.normal(rng.normal(20, 10, n), 30 / np.sqrt(np.maximum(x, 1))),
        }
    )


def test_truth_is_found():
    fit = fit_buying(buyers(4000, 1))
    error = np.sqrt(fit.vcov.diagonal())
    assert (np.abs(fit.point - np.log([0.8, 4.0, 0.8, 2.5])) < 3.5 * error).all()


def test_losses_are_counted():
    fit = fit_spend(buyers(4000, 2))
    assert fit.model == "normal"
    assert fit.parameters["mean"] == pytest.approx(20, abs=2.5)
    assert fit.parameters["between"] == pytest.approx(10, abs=2)
    assert fit.parameters["within"] == pytest.approx(30, abs=2)
    assert "loss_customers" in {note.code for note in fit.notes()}
    with pytest.raises(UsageError, match="normal"):
        fit_spend(buyers(400, 2), model="gamma-gamma")


def test_loyalty_without_a_contract():
    made = buyers(1500, 5)
    value = loyalty_value(made, horizon=20, discount=0.01, period="week", retention_model="bg-nbd")
    table = value.tidy().set_index("kind")
    fit = value.model.fit
    p = grouped(purchases_of(made))
    ahead = float(p.count @ discounted_purchases(fit, p, 0.01, horizon=20)) / value.model.active()
    assert table.loc["multiple", "estimate"] == pytest.approx(ahead, rel=0.01)
    assert table.loc["clv", "estimate"] == pytest.approx(ahead * value.margin.estimate, rel=0.01)
    assert table.loc["uplift_percent", "estimate"] > 0
    assert table.loc["uplift_percent", "conf_low"] < table.loc["uplift_percent", "conf_high"]
    assert value.present < 1500
    assert isinstance(value.model, BuyersModel)


def test_a_study_without_contracts(tmp_path):
    from spc.study import read_study

    rng = np.random.default_rng(1)
    made = buyers(300, 4)
    start = pd.Timestamp("2025-06-01") - pd.to_timedelta(np.ceil(made["age"] * 7), unit="D")
    rows = []
    for i in range(300):
        for gap in [0.0, *np.sort(rng.uniform(0.2, 1, int(made["repeats"][i]))) * max(made["recency"][i], 0.5)]:
            rows.append((f"T{len(rows)}", f"C{i}", (start[i] + pd.Timedelta(days=round(gap * 7))).date(), 10.0 + i % 7))
    pd.DataFrame(rows, columns=["transaction", "customer", "date", "amount"]).to_csv(tmp_path / "t.csv", index=False)
    ledger = pd.DataFrame({"customer": [f"C{i}" for i in range(300)], "tenure": 1, "churned": 0})
    ledger.to_csv(tmp_path / "c.csv", index=False)
    (tmp_path / "study.toml").write_text(
        '[study]\nname = "Shop"\n[tables.customers]\nfile = "c.csv"\n[tables.transactions]\nfile = "t.csv"\n'
        '[money]\nhorizon = 26\ndiscount = 0.002\nperiod = "week"\nretention_model = "bg-nbd"\n'
    )
    value = loyalty_value(read_study(tmp_path))
    assert value.model.name == "bg-nbd"
    assert value.retention.customers == 300


def test_history_from_transactions():
    rows = pd.DataFrame(
        {
            "customer": ["a", "a", "a", "a", "b", None],
            "date": ["2026-01-01", "2026-01-01", "2026-01-15", "2026-01-20", "2026-01-08", "2026-01-02"],
            "amount": [10.0, 5.0, 30.0, -6.0, 5.0, 1.0],
        }
    )
    got = purchase_history(rows, until="2026-01-29")
    assert got.loc["a"].tolist() == [1, 2.0, 4.0, 24.0]
    assert np.isnan(got.loc["b", "spend"])
    assert got["repeats"].tolist() == [1, 0]
    with pytest.raises(UsageError, match="week"):
        purchase_history(rows, period="fortnight")
    with pytest.raises(DataError):
        purchase_history(rows.drop(columns="date"))


def test_the_spread_of_purchases_is_that_of_the_purchases_counted():
    rng = np.random.default_rng(5)
    days = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(6) * 7, unit="D")
    kept = rng.integers(2, 7, 1500)
    liking = rng.normal(50.0, 10.0, 1500)
    rows = pd.DataFrame(
        {
            "customer": np.repeat(np.arange(1500), kept),
            "date": np.concatenate([days[:n] for n in kept]),
            "amount": np.repeat(liking, kept) + rng.normal(0.0, 15.0, kept.sum()),
        }
    )
    fit = fit_spend(purchase_history(rows[rows["amount"] > 0], until="2026-03-01"), model="normal")
    assert fit.parameters["between"] == pytest.approx(10.0, abs=1.0)
    assert fit.parameters["within"] == pytest.approx(15.0, abs=0.6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"repeats": [1.5]},
        {"repeats": [-1]},
        {"recency": [50.0]},
        {"recency": [0.0]},
        {"age": [0.0]},
        {"age": [np.nan]},
        {"repeats": ["two"]},
    ],
)
def test_purchases_that_cannot_be(wrong):
    with pytest.raises(DataError):
        purchases_of(pd.DataFrame({"repeats": [2], "recency": [3.0], "age": [9.0], **wrong}))


def test_nobody_came_back():
    with pytest.raises(UsageError, match="second"):
        fit_buying(pd.DataFrame({"repeats": [0, 0], "recency": [0.0, 0.0], "age": [3.0, 4.0]}))


def test_a_firm_with_nothing_but_sales_lines(tmp_path):
    from spc.study import check_study, read_study

    rng = np.random.default_rng(1)
    rows = []
    for name in range(300):
        day, rate, stop, liking = rng.uniform(0, 300), rng.gamma(0.9, 0.03), rng.beta(0.8, 2.5), rng.gamma(5, 2)
        while day < 730:
            rows.append(
                (name, pd.Timestamp("2024-01-01") + pd.Timedelta(days=int(day)), round(rng.gamma(4, liking), 2))
            )
            day = math.inf if rng.random() < stop else day + 1 + rng.exponential(1 / rate)
    sales = pd.DataFrame(rows, columns=["customer", "date", "amount"])
    sales.to_csv(tmp_path / "sales.csv", index=False)
    text = '[study]\nname = "Shop"\n[tables.transactions]\nfile = "sales.csv"\n[money]\nretention_model = "bg-nbd"\n'
    (tmp_path / "study.toml").write_text(text + 'period = "month"\nhorizon = 12\nuntil = "2025-12-31"\n')
    study = read_study(tmp_path / "study.toml")
    terms = {"horizon": 12, "discount": 0.1, "period": "month", "until": "2025-12-31", "retention_model": "bg-nbd"}
    pd.testing.assert_frame_equal(loyalty_value(study).tidy(), loyalty_value(sales, **terms).tidy())
    (tmp_path / "study.toml").write_text(text.replace("bg-nbd", "sbg"))
    assert {f.rule for f in check_study(tmp_path / "study.toml").findings} == {"money_without_customers"}


def test_one_price_for_all_is_its_own_mean():
    made = buyers(600, 4).assign(spend=25.0)
    value = loyalty_value(made, horizon=12, discount=0.01, retention_model="bg-nbd", draws=200)
    row = value.tidy().set_index("kind").loc["margin"]
    assert tuple(row[["estimate", "conf_low", "conf_high"]]) == (25.0, 25.0, 25.0)


def test_purchases_that_differ_by_less_than_chance_have_a_plain_mean():
    for seed in (2, 5, 27):
        rng = np.random.default_rng(seed)
        x = rng.poisson(3.0, 120)
        made = pd.DataFrame({"repeats": x, "recency": np.where(x > 0, 20.0, 0.0), "age": 40.0})
        made["spend"] = rng.gamma(4.0 * (x + 1), 8.0 / (x + 1))
        mean, draws = mean_purchase(made, 500, rng)
        assert mean.estimate == pytest.approx(made.loc[x > 0, "spend"].mean())
        assert abs(mean.estimate - 32.0) < 4 * mean.std_error
        assert draws.std() == pytest.approx(mean.std_error, rel=0.15)
