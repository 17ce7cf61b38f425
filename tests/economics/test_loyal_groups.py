import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.economics import fit_beta_geometric, life_table, loyalty_results, loyalty_value
from spc.economics.beta_geometric import survival
from spc.errors import DataError, NonConvergenceError, UsageError
from spc.results import TIDY_COLUMNS, Result

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "beta_geometric_covariates.json").read_text())


def made(n, seed, units=0):
    """Customers of two tariffs and of any size, each with a chance of leaving of her own."""
    rng = np.random.default_rng(seed)
    gold, size = rng.random(n) < 0.5, rng.normal(20, 5, n)
    alpha, beta = np.exp(0.2 - 0.6 * gold + 0.04 * (size - 20)), np.exp(1.4 + 0.3 * gold)
    life, age = rng.geometric(rng.beta(alpha, beta)), rng.integers(1, 9, n)
    columns = {"tenure": np.minimum(age, life), "churned": life <= age, "size": size}
    ledger = pd.DataFrame({**columns, "tariff": np.where(gold, "gold", "basic")})
    return ledger.assign(unit=rng.integers(0, units, n)) if units else ledger


@pytest.fixture(scope="module")
def ledger():
    return made(6000, 1)


@pytest.fixture(scope="module")
def fit(ledger):
    return fit_beta_geometric(ledger, ["tariff", "size"])


def test_against_optim_in_r():
    rows = pd.DataFrame(REFERENCE["rows"])
    alone, together = (fit_beta_geometric(rows, ["segment", "size"], cluster=c) for c in (None, "unit"))
    assert alone.loglik == pytest.approx(REFERENCE["loglik"], abs=1e-6)
    error = np.array(REFERENCE["std_error"])
    np.testing.assert_allclose(alone.coefficients.ravel(), REFERENCE["coefficients"], atol=1e-3 * error.min())
    np.testing.assert_allclose(np.sqrt(alone.vcov.diagonal()), error, rtol=1e-3)
    np.testing.assert_allclose(np.sqrt(together.vcov.diagonal()), REFERENCE["clustered"], rtol=1e-3)
    assert together.clusters == 30


def test_a_segment_is_a_fit_of_its_own(ledger):
    both = fit_beta_geometric(ledger, ["tariff"])
    alone = [fit_beta_geometric(life_table(p["tenure"], p["churned"])) for _, p in ledger.groupby("tariff")]
    assert both.loglik == pytest.approx(sum(each.loglik for each in alone), abs=1e-8)
    for tariff, each in zip(("basic", "gold"), alone, strict=True):
        curve = both.retention(12, tariff=tariff)
        np.testing.assert_allclose(curve["survival"], survival(np.arange(1, 13), each.alpha, each.beta), rtol=1e-5)
        own = each.retention(12)
        np.testing.assert_allclose(curve[["conf_low", "conf_high"]], own[["conf_low", "conf_high"]], rtol=1e-5)


def test_it_is_a_result_that_finds_the_truth(fit):
    assert isinstance(fit, Result)
    table = fit.tidy()
    assert tuple(table.columns) == TIDY_COLUMNS
    error = np.sqrt(fit.vcov.diagonal())
    truth = np.array([0.2 - 0.8, -0.6, 0.04, 1.4, 0.3, 0.0])
    assert (np.abs(fit.coefficients.ravel() - truth) < 3.5 * error).all()
    stays = table[table["kind"] == "retention"]
    assert stays["lhs"].tolist() == ["tariff"] * 4 + ["size"] * 4
    assert stays["rhs"].tolist() == ["period 1", "period 8"] * 4
    gold = stays[(stays["label"] == "gold") & (stays["rhs"] == "period 1")].iloc[0]
    assert gold["conf_low"] < math.exp(1.7) / (math.exp(1.7) + math.exp(-0.4)) < gold["conf_high"]
    tests = table[table["kind"] == "test"].set_index("lhs")["p_value"]
    assert tests["tariff"] < 1e-10
    assert {note.code for note in fit.notes()} == {"association"}


def test_units_of_a_covariate_change_nothing_but_units(ledger, fit):
    other = fit_beta_geometric(ledger.assign(size=1000 * ledger["size"] - 7e4), ["tariff", "size"])
    assert other.loglik == pytest.approx(fit.loglik, abs=1e-8)
    np.testing.assert_allclose(other.coefficients[:, 2] * 1000, fit.coefficients[:, 2], rtol=1e-5)
    one, two = fit.retention(5, size=30.0), other.retention(5, size=-4e4)
    np.testing.assert_allclose(one, two, rtol=1e-6)


def test_numbers_of_any_type_are_numbers(ledger, fit):
    pd.testing.assert_frame_equal(fit.retention(3, size=np.int64(20)), fit.retention(3, size=20.0))
    flagged = fit_beta_geometric(ledger.assign(gold=ledger["tariff"] == "gold"), ["gold"])
    expected = fit_beta_geometric(ledger, ["tariff"]).retention(3, tariff="gold")
    pd.testing.assert_frame_equal(flagged.retention(3, gold=True), expected, rtol=1e-6)


def test_left_truncation_is_respected(ledger):
    rng = np.random.default_rng(2)
    entry = rng.integers(0, 4, len(ledger))
    kept = ledger.assign(entry=entry)[ledger["tenure"] > entry]
    right = fit_beta_geometric(kept, ["tariff"]).retention(1, tariff="basic")["stay"].item()
    naive = fit_beta_geometric(kept.drop(columns="entry"), ["tariff"]).retention(1, tariff="basic")["stay"].item()
    true = fit_beta_geometric(ledger, ["tariff"]).retention(1, tariff="basic")["stay"].item()
    assert right == pytest.approx(true, abs=0.02)
    assert naive > true + 0.04


def test_intervals_of_retention_cover_the_truth():
    size, gold = np.random.default_rng(1).normal(20, 5, (4000, 1)), np.array([0, 1])
    alpha, beta = np.exp(0.2 - 0.6 * gold + 0.04 * (size - 20)), np.exp(1.4 + 0.3 * gold)
    truth = (beta / (alpha + beta)).mean(axis=0)
    hits = np.zeros(2)
    for seed in range(100):
        table = fit_beta_geometric(made(600, seed), ["tariff"]).tidy()
        rows = table[(table["kind"] == "retention") & (table["rhs"] == "period 1")]
        hits += (rows["conf_low"].to_numpy() <= truth) & (truth <= rows["conf_high"].to_numpy())
    assert (hits >= 89).all()  # 95 of 100, less what 100 ledgers leave open


def test_customers_all_alike_have_no_errors_and_say_so():
    rng = np.random.default_rng(3)
    life, age = rng.geometric(0.2, 3000), rng.integers(1, 9, 3000)
    table = life_table(np.minimum(life, age), life <= age)
    flat = type(table)(table.exposure, table.exposure * 0.2)
    fit = fit_beta_geometric(flat)
    assert fit.edge
    assert {note.code for note in fit.notes()} == {"customers_alike"}
    assert fit.retention(3)["stay"].to_numpy() == pytest.approx(0.8, abs=1e-4)
    assert fit.tidy()["conf_low"].isna().all()


def test_customers_alike_with_some_values_alone_are_said_so():
    rng = np.random.default_rng(2)
    age, yearly = rng.integers(1, 9, 4000), np.arange(4000) % 2 == 0
    life = rng.geometric(np.where(yearly, 0.05, rng.beta(0.5, 2.0, 4000)))
    life = np.where(yearly & (life == 1), 2, life)  # nobody with a year leaves at once: the chance rises with tenure
    ledger = pd.DataFrame({"tenure": np.minimum(life, age), "churned": life <= age})
    fit = fit_beta_geometric(ledger.assign(contract=np.where(yearly, "year", "month")), ["contract"])
    assert fit.edge
    (note,) = [note for note in fit.notes() if note.code.startswith("customers_alike")]
    assert note.code == "customers_alike_partly"
    assert "contract year" in note.text
    assert "month" not in note.text
    month = fit.retention(2, contract="month")["stay"].to_numpy()
    assert month[1] > month[0] + 0.03


def test_what_cannot_be(ledger, fit):
    with pytest.raises(UsageError, match="tariff, size"):
        fit.retention(3, region="north")
    with pytest.raises(UsageError, match="basic, gold"):
        fit.retention(3, tariff="silver")
    with pytest.raises(UsageError, match="number"):
        fit.retention(3, size="large")
    with pytest.raises(UsageError, match="whole number"):
        fit.retention(2.5)
    with pytest.raises(UsageError, match="no covariates"):
        fit_beta_geometric(life_table([1, 2], [True, False]), ["tariff"])
    with pytest.raises(DataError, match="region"):
        fit_beta_geometric(ledger, ["region"])
    with pytest.raises(UsageError, match="level"):
        fit_beta_geometric(ledger, level=95)
    with pytest.raises(UsageError, match="list"):
        fit_beta_geometric([1, 2, 3])
    loyal = pd.DataFrame({"tenure": [3] * 50, "churned": False, "tariff": "never"})
    with pytest.raises(NonConvergenceError, match="nobody"):
        fit_beta_geometric(pd.concat([ledger, loyal], ignore_index=True), ["tariff"])


def test_in_a_study_beside_the_hazard(tmp_path):
    from spc.study import read_study
    from spc.synthetic import make_firm

    firm = make_firm(seed=4, units=30, accounts=40)
    path = firm.write(tmp_path)
    accounts = pd.read_csv(tmp_path / "accounts.csv")
    segment = np.where(np.arange(len(accounts)) % 2, "large", "small")
    accounts.assign(segment=segment).to_csv(tmp_path / "accounts.csv", index=False)
    study = read_study(path)
    found = {part.kind: part for part in loyalty_results(study, loyalty_value(study, draws=200))}
    assert {"hazard", "beta_geometric"} <= set(found)
    own = fit_beta_geometric(study, ["segment"])
    pd.testing.assert_frame_equal(found["beta_geometric"].tidy(), own.tidy())
    accounts["segment"] = np.where(np.arange(len(accounts)) < 4, ["a", "b", "a", "b"] * (len(accounts) // 4), "large")
    accounts.loc[accounts.index[-400:], "segment"] = "small"
    accounts.to_csv(tmp_path / "accounts.csv", index=False)
    few = read_study(path)
    found = {part.kind: part for part in loyalty_results(few, loyalty_value(few, draws=200))}
    labels = set(found["beta_geometric"].tidy().query("kind == 'retention'")["label"])
    assert not labels & {"a", "b"}
    assert own.clusters == 30
