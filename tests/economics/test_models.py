import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaincinv, ndtr

from spc.economics import fit_beta_geometric, loyalty_value
from spc.economics.base import Mixture, Paths, beta_mixture, percent_more, points_more
from spc.economics.beta_geometric import residual_lifetime, survival
from spc.economics.lifetable import LifeTable, life_table, life_tables
from spc.economics.lifetime import elasticity, margin_multiple
from spc.economics.models import calibration, choose_model, fit_model, misfit
from spc.errors import DataError, NonConvergenceError, UsageError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
TERMS = {"horizon": 10, "discount": 0.10}


def differing(n, seed, a=1.2, b=4.0, units=0, share=0.06):
    """Customers with beta distributed chances of leaving, watched for up to eight periods.

    With units, that share of what makes customers differ is common to those of a unit.
    """
    rng = np.random.default_rng(seed)
    unit = rng.integers(0, max(units, 1), n)
    if units:
        z = math.sqrt(share) * rng.normal(size=units)[unit] + math.sqrt(1 - share) * rng.normal(size=n)
        chance = betaincinv(a, b, ndtr(z))
    else:
        chance = rng.beta(a, b, n)
    age, life = rng.integers(1, 9, n), rng.geometric(np.maximum(chance, 1e-9))
    ledger = pd.DataFrame({"tenure": np.minimum(age, life), "churned": life <= age, "margin": rng.gamma(2, 50, n) - 20})
    return (ledger.assign(unit=unit) if units else ledger), chance


@pytest.mark.parametrize(("a", "b"), [(0.668, 3.806), (0.2, 5.0), (1.0, 1.0), (50.0, 400.0), (4000.0, 20000.0)])
@pytest.mark.parametrize("ages", [[0.0], [0.0, 3.0, 30.0]])
def test_mixture_against_sums_of_the_curve(a, b, ages):
    shares = np.full(len(ages), 1 / len(ages))
    base = beta_mixture(np.array(a), np.array(b), np.array(ages), shares, (0.05,))
    t = np.arange(1, 3001)
    by_hand = np.mean([(survival(n + t, a, b) / survival(n, a, b) / 1.1**t).sum() for n in ages])
    assert float(base.multiple(0.1, math.inf)) == pytest.approx(by_hand, rel=2e-6)
    short = np.mean([(survival(n + t[:5], a, b) / survival(n, a, b) / 1.1 ** t[:5]).sum() for n in ages])
    assert float(base.multiple(0.1, 5)) == pytest.approx(short, rel=2e-6)
    assert float(base.next_rate()) == pytest.approx(np.mean([(b + n) / (a + b + n) for n in ages]), rel=1e-6)


def test_mixture_without_horizon_is_the_residual_lifetime():
    base = beta_mixture(np.array(0.668), np.array(3.806), np.array([7.0]), np.ones(1))
    derl = float(residual_lifetime(0.668, 3.806, 0.1, renewals=7))
    assert float(base.multiple(0.1, math.inf)) == pytest.approx(derl / 1.1, rel=1e-6)


def test_points_for_everybody_against_simulation():
    rng = np.random.default_rng(1)
    stay = 1 - rng.beta(0.7, 3.8, 2_000_000)
    base = beta_mixture(np.array(0.7), np.array(3.8), np.zeros(1), np.ones(1), (0.05, 0.05 / 1.05))
    for change in (points_more(0.05), percent_more(0.05)):
        drawn = margin_multiple(change(stay), 0.1, horizon=10).mean()
        assert float(base.multiple(0.1, 10, change=change)) == pytest.approx(drawn, rel=2e-3)


@given(st.floats(0.3, 0.99), st.floats(0.01, 0.3), st.integers(1, 30))
def test_one_rate_in_every_dress(r, d, horizon):
    one = Mixture(np.array([r]), np.ones(1))
    path = Paths(np.full(4, r), np.array([0.2, 0.2, 0.2, 0.2, 0.2]))
    for far in (horizon, math.inf):
        assert float(one.multiple(d, far)) == pytest.approx(float(margin_multiple(r, d, horizon=far)))
        assert float(path.multiple(d, far)) == pytest.approx(float(margin_multiple(r, d, horizon=far)))
        assert float(path.duration(d, far)) == pytest.approx(float(elasticity(r, d, horizon=far)))
        assert float(one.duration(d, far)) == pytest.approx(float(elasticity(r, d, horizon=far)))


@given(
    st.lists(st.floats(0.05, 0.98), min_size=1, max_size=8),
    st.integers(1, 12),
    st.floats(0.001, 0.05),
    st.floats(0.0, 0.3),
)
def test_value_rises_with_retention_and_bases_add_up(rates, horizon, points, d):
    rate = np.array(rates)
    weights = np.full(rate.size, 1 / rate.size)
    base = Mixture(rate, weights)
    now = float(base.multiple(d, horizon))
    assert float(base.multiple(d, horizon, change=points_more(points))) > now
    each = [float(Mixture(rate[[i]], np.ones(1)).multiple(d, horizon)) for i in range(rate.size)]
    assert now == pytest.approx(np.mean(each))
    path = Paths(rate, np.full(rate.size + 1, 1 / (rate.size + 1)))
    assert float(path.multiple(d, horizon, change=points_more(points))) > float(path.multiple(d, horizon))


ledgers = st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.integers(0, 8)), min_size=2, max_size=50)


@given(ledgers)
def test_life_tables_add_up_and_count_entries(rows):
    time, left, start = (np.array(x) for x in zip(*rows, strict=True))
    start = np.minimum(start, time - 1)
    table = life_table(time, left, start)
    for t in range(1, table.periods + 1):
        assert table.exposure[t - 1] == ((start < t) & (time >= t)).sum()
        assert table.events[t - 1] == (left & (time == t)).sum()
    split = life_tables(time, left, np.arange(time.size) % 2, start)
    np.testing.assert_allclose(split.total().exposure, table.exposure)
    np.testing.assert_allclose(split.total().events, table.events)


def test_left_truncation_takes_away_the_bias():
    rng = np.random.default_rng(3)
    chance = rng.beta(0.8, 3.2, 60_000)
    life, entry = rng.geometric(np.maximum(chance, 1e-9)), rng.integers(0, 5, 60_000)
    seen = life > entry
    time, left = np.minimum(life, entry + 4), life <= entry + 4
    right = fit_beta_geometric(life_table(time[seen], left[seen], entry[seen]))
    wrong = fit_beta_geometric(life_table(time[seen], left[seen]))
    assert right.alpha == pytest.approx(0.8, rel=0.06)
    assert right.beta == pytest.approx(3.2, rel=0.08)
    assert abs(wrong.alpha / wrong.beta - 0.25) > 2 * abs(right.alpha / right.beta - 0.25)


def test_derivatives_and_errors_of_the_fit():
    ledger, _ = differing(4000, 2)
    table = life_table(ledger["tenure"], ledger["churned"])
    fit = fit_beta_geometric(table)
    from spc.economics.beta_geometric import loglik

    x, step, e = fit.coefficients[:, 0], 1e-4, 1e-4 * np.eye(2)

    def f(x):
        return float(loglik(x[0], x[1], table.exposure, table.events, True))

    def second(i, j):
        corners = f(x + e[i] + e[j]) - f(x + e[i] - e[j]) - f(x - e[i] + e[j]) + f(x - e[i] - e[j])
        return corners / (4 * step**2)

    hessian = np.array([[second(i, j) for j in range(2)] for i in range(2)])
    np.testing.assert_allclose(np.linalg.inv(-hessian), fit.vcov, rtol=1e-3)


def test_no_difference_between_customers_is_said_and_one_rate_taken():
    rng = np.random.default_rng(1)
    life, age = rng.geometric(0.2, 2000), rng.integers(1, 9, 2000)
    ledger = pd.DataFrame({"tenure": np.minimum(life, age), "churned": life <= age, "margin": 100.0})
    assert loyalty_value(ledger, **TERMS).model.name == "constant"
    with pytest.raises(NonConvergenceError):
        fit_beta_geometric(LifeTable(np.array([5.0]), np.array([0.0])))


def test_customers_who_differ_are_seen_and_the_difference_explained():
    ledger, _ = differing(4000, 1)
    value = loyalty_value(ledger, **TERMS)
    assert value.model.name == "sbg"
    table = value.tidy().set_index("kind")
    assert table.loc["uplift_percent", "estimate"] < table.loc["uplift_constant", "estimate"]
    assert 0 < table.loc["points_had", "estimate"] < 0.05
    (note,) = [note for note in value.notes() if note.code == "retention_model"]
    assert f"{100 * table.loc['uplift_percent', 'estimate']:+.1f}\u00a0%" in note.text
    curve = value.augment()
    alpha, beta = value.model.alpha_beta(value.model.point)
    np.testing.assert_allclose(curve["fitted"], survival(np.arange(1, len(curve) + 1), alpha, beta))
    assert np.abs(curve["fitted"] - curve["survival"]).max() < 0.03
    assert value.misfit()[2] > 0.001


def test_kaplan_meier_expects_what_it_saw():
    ledger, _ = differing(3000, 4)
    table = life_table(ledger["tenure"], ledger["churned"])
    model = fit_model("kaplan-meier", table)
    found = calibration(model, table)
    np.testing.assert_allclose(found["expected"], found["events"], atol=1e-8)
    assert misfit(model, table)[0] == pytest.approx(0.0, abs=1e-10)


def test_unknown_model_names_the_known():
    with pytest.raises(UsageError, match="kaplan-meier"):
        loyalty_value(differing(50, 1)[0], **TERMS, retention_model="weibull")
    with pytest.raises(UsageError, match="sbg"):
        choose_model("cox", LifeTable(np.ones(2), np.zeros(2)))


@settings(max_examples=15, deadline=None)
@given(st.floats(1e-6, 1e6), st.sampled_from(["constant", "sbg", "kaplan-meier"]))
def test_currency_only_scales_money(factor, model):
    ledger, _ = differing(400, 6)
    terms = {**TERMS, "retention_model": model, "draws": 200}
    one = loyalty_value(ledger, **terms).tidy()
    two = loyalty_value(ledger.assign(margin=ledger["margin"] * factor), **terms).tidy()
    money = one["lhs"].isin(["margin", "clv", "uplift_money", "acquisition_cost"])
    scale = np.where(money, factor, 1.0)
    for column in ("estimate", "conf_low", "conf_high"):
        np.testing.assert_allclose(two[column], one[column] * scale, rtol=1e-7)


def test_claim_terms_give_the_claim():
    ledger, _ = differing(3000, 8)
    value = loyalty_value(ledger, horizon=math.inf, discount=0.10, retention_model="constant")
    table = value.tidy().query("kind == 'claim_terms'").reset_index(drop=True)
    base, more = value.base(), points_more(0.05)
    seen = 0
    for row in table.itertuples():
        if math.isnan(row.estimate):
            continue
        target = 0.25 if "25%" in row.rhs else 0.85
        d, cost, m = 0.10, 0.0, value.margin.estimate
        if row.lhs == "discount":
            d = row.estimate
        elif row.lhs == "margin_growth":
            d = 1.1 / (1 + row.estimate) - 1
        else:
            cost = row.estimate
        now, then = (m * float(base.multiple(d, math.inf, change=c)) - cost for c in (points_more(0.0), more))
        assert then / now - 1 == pytest.approx(target, rel=1e-6)
        seen += 1
    assert seen >= 3


def test_units_widen_the_interval():
    ledger, _ = differing(3000, 9, units=20, share=0.5)
    both = [loyalty_value(t, **TERMS, retention_model="sbg") for t in (ledger, ledger.drop(columns="unit"))]
    width = [t.tidy().set_index("kind").eval("conf_high - conf_low")["uplift_money"] for t in both]
    assert width[0] > 1.2 * width[1]
    assert both[0].glance()["units"].item() == 20
    assert "clustered_by_unit" in {note.code for note in both[0].notes()}


def test_margin_and_staying_are_drawn_together():
    rng = np.random.default_rng(2)
    margin = rng.normal(100, 40, 2000)
    leave = np.clip(0.2 - 0.002 * (margin - 100), 0.02, 0.6)
    life, age = rng.geometric(leave), rng.integers(1, 9, 2000)
    ledger = pd.DataFrame({"tenure": np.minimum(life, age), "churned": life <= age, "margin": margin})
    value = loyalty_value(ledger, **TERMS, retention_model="constant", draws=8000)
    drawn = np.corrcoef(value.draws.values.T)[0, 1]
    boot = []
    for _ in range(400):
        part = ledger.iloc[rng.integers(0, 2000, 2000)]
        boot.append((1 - part["churned"].sum() / part["tenure"].sum(), part.loc[~part["churned"], "margin"].mean()))
    assert drawn == pytest.approx(np.corrcoef(np.array(boot).T)[0, 1], abs=0.12)
    assert drawn == pytest.approx(value.joint.correlation, abs=0.03)


@pytest.mark.skipif(not (SHARED / "telco_churn.csv").exists(), reason="the data are not here")
def test_kaplan_meier_by_contract_against_statsmodels():
    from statsmodels.duration.survfunc import SurvfuncRight

    from spc.economics import retention_curves

    raw = pd.read_csv(SHARED / "telco_churn.csv").query("tenure > 0")
    raw = raw.assign(churned=(raw["churn"] == "Yes").astype(int))
    curves = retention_curves(raw, by="contract")
    assert set(curves["group"]) == set(raw["contract"])
    for contract, curve in curves.groupby("group"):
        part = raw[raw["contract"] == contract]
        fit = SurvfuncRight(part["tenure"], part["churned"])
        expected = pd.Series(fit.surv_prob, index=fit.surv_times)
        got = curve.set_index("period")["survival"].reindex(expected.index)
        np.testing.assert_allclose(got, expected, atol=1e-12)
        table = life_table(part["tenure"], part["churned"])
        np.testing.assert_allclose(np.cumprod(1 - table.hazard())[: len(curve)], curve["survival"], atol=1e-12)


def cover(runs, n, model, *, units=0, a=1.2, b=4.0):
    """Share of ledgers whose intervals hold what five points are worth: per cent, money."""
    big, chance = differing(1_000_000, 10**6, a, b)
    stay = 1 - chance[~big["churned"].to_numpy()]
    now, then = (margin_multiple(x, 0.1, horizon=10).mean() for x in (stay, np.minimum(stay + 0.05, 1)))
    truth = then / now - 1, 80.0 * (then - now)
    hits = np.zeros(2)
    for seed in range(runs):
        ledger, _ = differing(n, seed, a, b, units=units)
        table = loyalty_value(ledger, **TERMS, retention_model=model, draws=100, seed=seed).tidy().set_index("kind")
        for i, kind in enumerate(("uplift_percent", "uplift_money")):
            hits[i] += table.loc[kind, "conf_low"] <= truth[i] <= table.loc[kind, "conf_high"]
    return hits / runs


@pytest.mark.parametrize(("model", "b"), [("sbg", 4.0), ("auto", 20.0)])
def test_five_points_are_covered_where_customers_differ(model, b):
    assert (cover(50, 800, model, a=b / 4.0, b=b) >= 0.86).all()


@pytest.mark.slow
@pytest.mark.parametrize(("n", "units"), [(1500, 0), (5000, 0), (3000, 40), (1000, 12)])
def test_five_points_are_covered_everywhere(n, units):
    found = cover(1000, n, "sbg", units=units)
    assert (found >= 0.93).all()
    assert (found <= 0.97).all()


@pytest.mark.slow
@pytest.mark.parametrize(("a", "b", "n"), [(5.0, 20.0, 300), (5.0, 20.0, 1000), (2.0, 8.0, 300), (0.4, 1.2, 1000)])
def test_a_choice_of_model_does_not_lose_the_truth(a, b, n):
    found = cover(1000, n, "auto", a=a, b=b)
    assert (found >= 0.93).all()
    assert (found <= 0.975).all()  # 93 to 97 %, and what 1000 firms leave open


def test_entries_that_cannot_be():
    for entry in ([0, 5], [-1, 0], [None, 0], [1, 2]):
        with pytest.raises(DataError):
            life_table([1, 2], [True, False], entry)
    with pytest.raises(UsageError):
        life_table([1, 2], [True, False], [0])


def test_an_effect_of_duration_in_a_ledger_that_began_late():
    from spc.economics import fit_beta_weibull

    ledger, _ = differing(6000, 7)
    rng = np.random.default_rng(8)
    entry = rng.integers(1, 4, len(ledger))
    kept = ledger["tenure"] > entry
    table = life_table(ledger["tenure"][kept], ledger["churned"][kept], entry[kept])
    assert table.exposure[0] == 0
    fit, plain = fit_beta_weibull(table), fit_beta_geometric(table)
    assert fit.loglik >= plain.loglik - 1e-6
    step = fit.survival(np.arange(2, 9)) / fit.survival(np.arange(1, 8))
    np.testing.assert_allclose(step, 1 - table.hazard()[1:], atol=0.05)
