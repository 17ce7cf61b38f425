import numpy as np
import pandas as pd
import pytest

from spc.economics import effect_draws, fit_hazard, loyalty_value, money_of_link, retention_link
from spc.errors import DataError, NonConvergenceError, UsageError
from spc.results import TIDY_COLUMNS, Result

TERMS = {"horizon": 5, "discount": 0.10}


def made(seed, units=60, customers=50, answers=10, slope=0.5, own=0.2):
    """Ledger and unit scores: log odds of staying rise with the true score of the unit, measured with error."""
    rng = np.random.default_rng(seed)
    true = rng.normal(5, 0.6, units)
    unit = np.repeat(np.arange(units), customers)
    odds = 1.5 + slope * (true - 5) + rng.normal(0, own, units)
    life, age = rng.geometric(1 / (1 + np.exp(odds[unit]))), rng.integers(1, 9, unit.size)
    ledger = pd.DataFrame(
        {
            "unit": unit,
            "tenure": np.minimum(life, age),
            "churned": life <= age,
            "margin": rng.normal(100 + 20 * (true[unit] - 5), 40),
            "referrals": rng.poisson(0.3 + 0.1 * (true[unit] - 4).clip(0)),
        }
    )
    measured = true + rng.normal(0, 1.5 / np.sqrt(answers), units)
    return ledger, pd.DataFrame({"unit": np.arange(units), "score": measured, "variance": 1.5**2 / answers})


@pytest.fixture(scope="module")
def pair():
    return made(1)


@pytest.fixture(scope="module")
def link(pair):
    return retention_link(*pair)


def test_it_is_a_result(link):
    assert isinstance(link, Result)
    table = link.tidy()
    assert tuple(table.columns) == TIDY_COLUMNS
    assert link.names == ("retention", "margin", "referral")
    assert set(table["kind"]) == {"link", "naive", "points"}
    np.testing.assert_allclose(np.cov(link.draws(200_000, np.random.default_rng(1)).T), link.vcov * 59 / 57, rtol=0.06)


def test_without_error_it_is_the_logit_of_statsmodels(pair):
    ledger, scores = pair
    exact = retention_link(ledger, scores.drop(columns="variance"), outcomes=["retention"])
    joined = ledger.merge(scores[["unit", "score"]], on="unit")
    fit = fit_hazard(joined, ["score"])
    slope = fit.tidy().query("lhs == 'score'")
    assert exact.estimate[0] == pytest.approx(exact.naive[0])
    assert -slope["estimate"].item() == pytest.approx(exact.estimate[0], rel=0.01)
    assert slope["std_error"].item() == pytest.approx(np.sqrt(exact.vcov[0, 0]), rel=0.15)


def test_error_in_the_scores_is_taken_out():
    found = [retention_link(*made(seed, answers=8), outcomes=["retention"]) for seed in range(25)]
    corrected, naive = (np.median([getattr(f, name)[0] for f in found]) for name in ("estimate", "naive"))
    assert corrected == pytest.approx(0.5, abs=0.1)
    assert naive < 0.4


def coverage(runs, **plan):
    """Share of firms whose intervals hold the slope on retention and on margin."""
    hits = np.zeros(2)
    for seed in range(runs):
        rows = retention_link(*made(seed, **plan), outcomes=["retention", "margin"]).tidy().query("kind == 'link'")
        hits += (rows["conf_low"].to_numpy() <= [0.5, 20]) & (rows["conf_high"].to_numpy() >= [0.5, 20])
    return hits / runs


def test_the_interval_covers_the_truth():
    assert (coverage(40, units=40) >= 0.85).all()


@pytest.mark.slow
@pytest.mark.parametrize("plan", [{"units": 20, "answers": 40}, {"units": 40}, {"units": 80, "answers": 25}])
def test_the_interval_covers_the_truth_everywhere(plan):
    found = coverage(400, **plan)
    assert (found >= 0.93).all()
    assert (found <= 0.97).all()


def test_own_scores_of_customers(pair):
    ledger, _ = pair
    rng = np.random.default_rng(1)
    ledger = ledger.assign(customer=np.arange(len(ledger)))
    scores = pd.DataFrame({"customer": ledger["customer"], "score": rng.normal(5, 1, len(ledger)).round()})
    found = retention_link(ledger, scores, by="customer", outcomes=["retention"])
    assert found.units == 60
    assert abs(found.estimate[0]) < 4 * np.sqrt(found.vcov[0, 0])
    assert "answers_before_leaving" in {note.code for note in found.notes()}


def test_money_sums_and_scales(pair, link):
    value = loyalty_value(pair[0], **TERMS, draws=1500)
    worth = money_of_link(value, link, change=0.1)
    table = worth.tidy().set_index("lhs")
    parts = table.loc[table["kind"] == "part", "estimate"].sum()
    money = worth.tidy().set_index("kind")["estimate"]
    assert parts == pytest.approx(money["money"])
    assert money["money_base"] == pytest.approx(value.present * money["money"])
    drawn = pd.DataFrame(worth.draws.values, columns=worth.draws.names)
    np.testing.assert_allclose(drawn[["by_retention", "by_margin", "by_referral"]].sum(axis=1), drawn["customer"])
    assert money_of_link(value, link, change=0.0).tidy().query("kind == 'money'")["estimate"].item() == 0
    moved = [money_of_link(value, link, change=c).tidy().set_index("kind") for c in (1e-4, 2e-4)]
    small, twice = (table.loc["retention", "estimate"] for table in moved)
    assert twice == pytest.approx(2 * small, rel=1e-3)


def test_chain_draws_widen_the_money(pair, link):
    value = loyalty_value(pair[0], **TERMS, draws=1500)
    rng = np.random.default_rng(1)
    sure, unsure = (
        money_of_link(value, link, effect, change=0.3).tidy().set_index("kind").loc["money"]
        for effect in (np.full(800, 0.5), rng.normal(0.5, 0.4, 800))
    )
    assert unsure["std_error"] > 1.5 * sure["std_error"]
    assert unsure["estimate"] == pytest.approx(sure["estimate"], rel=0.15)


@pytest.mark.parametrize("model", ["sbg", "kaplan-meier"])
def test_money_on_every_model(pair, link, model):
    value = loyalty_value(pair[0], **TERMS, draws=300, retention_model=model)
    row = money_of_link(value, link, change=0.1).tidy().set_index("kind").loc["money"]
    assert row["conf_low"] < row["estimate"] < row["conf_high"]


def test_through_a_fitted_chain(tmp_path):
    import spc
    from spc.study import read_study
    from spc.synthetic import make_firm

    study = read_study(make_firm(seed=3, units=60).write(tmp_path))
    chain = spc.fit_chain(study, draws=200)
    found = effect_draws(chain, "customer_satisfaction", "customer_loyalty")
    assert found.shape == (len(chain.effects.draws),)
    link = retention_link(study)
    worth = money_of_link(loyalty_value(study, draws=400), link, found, change=0.2)
    assert np.isfinite(worth.tidy()["estimate"]).all()
    with pytest.raises(UsageError, match="customer_loyalty"):
        effect_draws(chain, "customer_loyalty", "weather")
    with pytest.raises(UsageError, match="weather"):
        retention_link(study, construct="weather")


def test_what_cannot_be(pair):
    ledger, scores = pair
    with pytest.raises(UsageError, match="score"):
        retention_link(ledger)
    with pytest.raises(DataError):
        retention_link(ledger, scores.drop(columns="score"))
    with pytest.raises(UsageError, match="at least 8"):
        retention_link(ledger, scores.head(5))
    with pytest.raises(UsageError, match="do not differ"):
        retention_link(ledger, scores.assign(score=5.0))
    with pytest.raises(UsageError, match="meet"):
        retention_link(ledger, scores.assign(unit=scores["unit"] + 1000))
    with pytest.raises(UsageError, match="profit"):
        retention_link(ledger, scores, outcomes=["profit"])
    value = loyalty_value(ledger.drop(columns="margin"), **TERMS, draws=200)
    with pytest.raises(UsageError, match="margins"):
        money_of_link(value, retention_link(ledger, scores))


def test_hazard_by_segment_and_unit_against_statsmodels_on_person_periods():
    from statsmodels.discrete.discrete_model import Logit

    rng = np.random.default_rng(2)
    n = 1500
    segment, unit, entry = rng.choice(["x", "y"], n), rng.integers(0, 12, n), rng.integers(0, 3, n)
    life = entry + rng.geometric(np.where(segment == "x", 0.2, 0.35))
    time = np.minimum(life, entry + 4)
    left = life <= entry + 4
    ledger = pd.DataFrame({"tenure": time, "churned": left, "entry": entry, "segment": segment, "unit": unit})
    fit = fit_hazard(ledger, ["segment"], baseline="log")
    rows = [
        (t, row.segment, row.unit, int(row.churned and t == row.tenure))
        for row in ledger.itertuples()
        for t in range(row.entry + 1, row.tenure + 1)
    ]
    long = pd.DataFrame(rows, columns=["t", "s", "u", "y"])
    x = np.column_stack([np.ones(len(long)), np.log(long["t"]), long["s"] == "y"]).astype(float)
    by_unit = {"groups": long["u"], "use_correction": False}
    expected = Logit(long["y"], x).fit(disp=0, cov_type="cluster", cov_kwds=by_unit)
    np.testing.assert_allclose(fit.tidy()["estimate"], expected.params, rtol=1e-6)
    np.testing.assert_allclose(fit.tidy()["std_error"], expected.bse * np.sqrt(12 / 11), rtol=1e-5)
    assert fit.loglik == pytest.approx(expected.llf)
    assert fit.calibration["expected"].sum() == pytest.approx(fit.events)


def test_a_segment_nobody_left_is_refused():
    ledger = pd.DataFrame({"tenure": [1, 2, 3, 2], "churned": [1, 1, 0, 0], "segment": ["a", "a", "b", "b"]})
    ledger = pd.concat([ledger] * 20, ignore_index=True)
    with pytest.raises(NonConvergenceError):
        fit_hazard(ledger, ["segment"], baseline="constant")
    with pytest.raises(UsageError):
        fit_hazard(ledger, baseline="weibull")
    with pytest.raises(DataError):
        fit_hazard(ledger, ["region"])


def test_the_nearest_construct_that_can_be_linked(tmp_path):
    from spc.economics import nearest_link
    from spc.study import read_study
    from spc.synthetic import make_firm

    path = make_firm(seed=3, units=40).write(tmp_path)
    link, why = nearest_link(read_study(path), ["profitability", "customer_value", "customer_satisfaction"])
    assert (link.construct, why) == ("customer_satisfaction", ())
    accounts = pd.read_csv(tmp_path / "accounts.csv")
    accounts.assign(unit="V" + accounts["unit"]).to_csv(tmp_path / "accounts.csv", index=False)
    units = pd.read_csv(tmp_path / "units.csv")
    pd.concat([units, units.assign(unit="V" + units["unit"])]).to_csv(tmp_path / "units.csv", index=False)
    link, why = nearest_link(read_study(path), ["customer_value"])
    assert link is None
    assert "do not meet" in why[0].text


def test_scores_of_the_chain_instead_of_those_of_the_answers(pair, tmp_path):
    from spc.study import read_study
    from spc.synthetic import make_firm

    study = read_study(make_firm(seed=3, units=40).write(tmp_path))
    units = sorted(study.tables["customers"]["unit"].unique())
    scores = pd.DataFrame({"unit": units, "score": np.random.default_rng(1).normal(size=len(units))})
    found = retention_link(study, scores, construct="mood", outcomes=["retention"])
    pd.testing.assert_frame_equal(
        found.tidy(),
        retention_link(study.tables["customers"], scores, construct="mood", outcomes=["retention"]).tidy(),
    )
