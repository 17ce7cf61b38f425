"""Every number of the collection of published and worked checks."""

import json
from pathlib import Path

import numpy as np
import pytest

from spc.economics import fit_beta_geometric
from spc.economics.beta_geometric import loglik, residual_lifetime, survival
from spc.economics.duration import fit_beta_weibull
from spc.economics.lifetable import LifeTable
from spc.economics.lifetime import elasticity, margin_multiple, uplift
from spc.economics.streams import discount_elasticity, stream_value

PATH = Path(__file__).resolve().parents[3] / "shared" / "reference" / "clv_checks.json"
pytestmark = pytest.mark.skipif(not PATH.exists(), reason="the published numbers are not here")


@pytest.fixture(scope="module")
def checks():
    return json.loads(PATH.read_text())


def curve(survival, scale=1.0):
    stay = np.asarray(survival, dtype=float) * scale
    return LifeTable(stay[:-1], stay[:-1] - stay[1:])


def rise(stream, d, **terms):
    (now, then) = ({key: value[i] for key, value in terms.items()} for i in (0, 1))
    return stream_value(stream, d, **then) / stream_value(stream, d, **now) - 1


def test_credit_card_stream(checks):
    source = checks["reichheld_sasser"]
    stream = source["published"]["credit_card_profit_per_customer_by_year"]
    for row in source["computed"]["table"]:
        d = row["discount"]
        for key, value in row.items():
            if key.startswith("value_r"):
                assert stream_value(stream, d, retention=int(key[7:]) / 100) == pytest.approx(value, abs=0.006)
            if key.startswith("value_life"):
                assert stream_value(stream, d, life=int(key[10:])) == pytest.approx(value, abs=0.006)
        assert rise(stream, d, retention=(0.90, 0.95)) == pytest.approx(row["uplift_90_to_95"], abs=6e-5)
        assert rise(stream, d, retention=(0.80, 0.90)) == pytest.approx(row["uplift_80_to_90"], abs=6e-5)
        assert rise(stream, d, life=(10, 20)) == pytest.approx(row["uplift_life10_to_20"], abs=6e-5)


def test_discounts_that_give_the_quoted_rises(checks):
    source = checks["reichheld_sasser"]["computed"]
    stream = checks["reichheld_sasser"]["published"]["credit_card_profit_per_customer_by_year"]
    for target in (85, 75):
        d = source[f"discount_rate_giving_{target}pct_survival"]
        assert rise(stream, d, retention=(0.90, 0.95)) == pytest.approx(target / 100, abs=1e-3)
    for target in (85, 75, 25):
        d = source[f"discount_rate_giving_{target}pct_fixed_life"]
        assert rise(stream, d, life=(10, 20)) == pytest.approx(target / 100, abs=1e-3)
    grid = np.linspace(0.01, 0.35, 681)
    rises = [rise(stream, d, retention=(0.90, 0.95)) for d in grid]
    assert min(rises) == pytest.approx(source["smallest_uplift_survival"]["value"], abs=6e-5)
    assert grid[int(np.argmin(rises))] == pytest.approx(source["smallest_uplift_survival"]["at_discount"], abs=2e-3)


def test_newspaper_stream(checks):
    printed = checks["reichheld_sasser"]["published"]["newspaper_1994_version"]
    total = stream_value(printed["profits"], 0.0, life=5)
    assert total == printed["five_year_profit_before_acquisition"]


def test_flat_margin_rises(checks):
    for row in checks["reichheld_sasser"]["computed"]["flat_margin_uplift_of_5_points"]:
        for key in ("d0", "d5", "d10", "d15", "d20"):
            d, far = int(key[1:]) / 100, {"horizon": 20_000} if key == "d0" else {}
            got = float(uplift(row["base"], d, points=row["new"] - row["base"], first_margin=True, **far))
            assert got == pytest.approx(row[key], abs=6e-5)


def test_multiples_and_elasticities(checks):
    for row in checks["gupta_lehmann_stuart_2004"]["computed"]:
        r, d = row["r"], row["i"]
        assert float(margin_multiple(r, d)) == pytest.approx(row["margin_multiple"], abs=6e-5)
        assert float(elasticity(r, d)) == pytest.approx(row["retention_elasticity"], abs=6e-5)
        assert float(discount_elasticity(r, d)) == pytest.approx(row["discount_rate_elasticity"], abs=6e-5)
    for row in checks["pfeifer_farris_2004"]["check"]:
        t = np.arange(1, 4000)
        flow = (row["r"] / (1 + row["d"])) ** t
        assert float(elasticity(row["r"], row["d"])) == pytest.approx(row["elasticity"], abs=6e-5)
        assert float((t * flow).sum() / flow.sum()) == pytest.approx(row["duration"], abs=6e-5)
    assert 1 / (1 - checks["worked_clv_example"]["published"]["retention"]) == pytest.approx(7.14, abs=0.005)


def test_shifted_beta_geometric(checks):
    source = checks["shifted_beta_geometric"]
    data, worked, printed = source["data"], source["computed"], source["published"]
    high = fit_beta_geometric(curve(data["high_end_survival"][:8], 1000))
    assert (round(high.alpha, 3), round(high.beta, 3)) == (0.668, 3.806)
    assert high.alpha == pytest.approx(worked["high_end"]["alpha"], abs=6e-6)
    assert high.beta == pytest.approx(worked["high_end"]["beta"], abs=6e-5)
    last = 1000 * data["high_end_survival"][7]
    assert -(high.loglik / 1000) == pytest.approx(worked["high_end"]["negative_loglik_per_customer"], abs=1e-6)
    assert last == pytest.approx(491)
    np.testing.assert_allclose(
        survival(np.arange(8, 13), high.alpha, high.beta), worked["high_end"]["survival_8_12"], atol=6e-5
    )
    np.testing.assert_allclose(survival(np.arange(8, 13), 0.668, 3.806), printed["survival_years_8_to_12"], atol=6e-4)
    assert float(residual_lifetime(high.alpha, high.beta, 0.1, renewals=7)) == pytest.approx(7.5296, abs=6e-5)
    regular = fit_beta_geometric(curve(data["regular_survival"][:8], 1000))
    assert regular.alpha == pytest.approx(worked["regular"]["alpha"], abs=6e-6)
    assert regular.beta == pytest.approx(worked["regular"]["beta"], abs=6e-6)
    assert float(survival(12, regular.alpha, regular.beta)) == pytest.approx(worked["regular"]["survival_12"], abs=6e-4)
    at_one = curve(data["high_end_survival"][:8])
    got = float(loglik(np.array(0.0), np.array(0.0), at_one.exposure, at_one.events, True))
    assert got == pytest.approx(worked["loglik_at_alpha1_beta1"], abs=1e-6)


def test_cohorts_of_different_age(checks):
    worked = checks["shifted_beta_geometric"]["computed"]
    single = fit_beta_geometric(curve([1, 0.8, 0.65, 0.53, 0.46], 1000))
    assert single.alpha == pytest.approx(worked["single_curve"]["alpha"], abs=6e-6)
    assert single.beta == pytest.approx(worked["single_curve"]["beta"], abs=2e-5)
    assert -single.loglik / 1000 == pytest.approx(worked["single_curve"]["negative_loglik"], abs=1e-6)
    cohorts = [curve(c) for c in worked["multi_cohort"]["cohorts"]]
    n, e = (
        np.sum([np.pad(getattr(t, name), (0, 4 - t.periods)) for t in cohorts], axis=0)
        for name in ("exposure", "events")
    )
    found = fit_beta_geometric(LifeTable(n, e))
    assert found.alpha == pytest.approx(worked["multi_cohort"]["alpha"], abs=1e-4)
    assert found.beta == pytest.approx(worked["multi_cohort"]["beta"], abs=1e-3)


def test_beta_discrete_weibull(checks):
    source = checks["beta_discrete_weibull"]
    fit = fit_beta_weibull(curve(source["data"], 100))
    printed = source["published"]
    np.testing.assert_allclose(fit.survival(np.arange(5, 11)), printed["projection_years_5_10"], atol=5e-4)
    assert -fit.loglik <= printed["neg_loglik"] + 1e-4
    assert -fit.loglik == pytest.approx(printed["neg_loglik"], abs=2e-3)
