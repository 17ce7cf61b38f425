import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spc.economics import estimate_retention
from spc.economics.lifetable import life_table
from spc.economics.models import fit_model
from spc.errors import DataError, UsageError

REFERENCE = json.loads((Path(__file__).resolve().parents[1] / "reference" / "retention.json").read_text())


@pytest.mark.parametrize("kind", ["whole", "broken"])
def test_against_the_product_limit_and_exact_intervals_of_r(kind):
    expected = REFERENCE[kind]
    got = estimate_retention(expected["tenure"], expected["churned"])
    assert got.whole == (kind == "whole")
    for name in ("conf_low", "conf_high"):
        assert getattr(got, name) == pytest.approx(expected[name], abs=1e-10)
    assert got.estimate == pytest.approx(expected["retention"], abs=1e-12)
    for name in ("period", "survival", "conf_low", "conf_high"):
        np.testing.assert_allclose(got.curve[name], expected["curve"][name], rtol=1e-9)


ledgers = st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=1, max_size=60)


@given(ledgers)
def test_curve_and_totals_count_the_same_customers(ledger):
    time, left = map(np.array, zip(*ledger, strict=True))
    got = estimate_retention(time, left)
    assert got.events == got.curve["events"].sum()
    assert 0 <= got.conf_low <= got.estimate <= got.conf_high <= 1
    if got.events:
        at_risk = [(time >= p).sum() for p in got.curve["period"]]
        assert got.curve["at_risk"].tolist() == at_risk
        product = np.cumprod(1 - got.curve["events"] / got.curve["at_risk"])
        np.testing.assert_allclose(got.curve["survival"], product, atol=1e-12)
        assert got.curve["geometric"].tolist() == [got.estimate**p for p in got.curve["period"]]


@given(ledgers, st.randoms(use_true_random=False))
def test_order_of_customers_does_not_matter(ledger, random):
    shuffled = list(ledger)
    random.shuffle(shuffled)
    a, b = (estimate_retention(*zip(*rows, strict=True)) for rows in (ledger, shuffled))
    assert (a.estimate, a.conf_low, a.p_constant) == pytest.approx((b.estimate, b.conf_low, b.p_constant), nan_ok=True)
    pd.testing.assert_frame_equal(a.curve, b.curve)


def test_broken_tenures_use_the_exponential():
    got = estimate_retention([0.5, 1.5, 2.0], [1, 0, 1])
    assert got.estimate == pytest.approx(np.exp(-2 / 4))


def ledger(hazards, n, seed):
    """Whole tenures of n customers with one hazard a period, watched for a random number of periods."""
    rng = np.random.default_rng(seed)
    age = rng.integers(1, len(hazards) + 1, n)
    leaves = rng.random((n, len(hazards))) < np.asarray(hazards)
    first = np.where(leaves.any(axis=1), leaves.argmax(axis=1) + 1, len(hazards) + 1)
    return np.minimum(age, first), first <= age


def test_the_test_of_a_constant_hazard_keeps_its_size():
    p = [estimate_retention(*ledger([0.2] * 6, 400, seed)).p_constant for seed in range(400)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.03)
    broken = []
    for seed in range(400):
        rng = np.random.default_rng(seed)
        age, life = rng.uniform(0.2, 6, 400), rng.exponential(4, 400)
        broken.append(estimate_retention(np.minimum(age, life), life <= age).p_constant)
    assert np.mean(np.array(broken) < 0.05) == pytest.approx(0.05, abs=0.03)


def test_a_falling_hazard_is_seen():
    falling = estimate_retention(*ledger([0.4, 0.25, 0.15, 0.1, 0.06, 0.05], 3000, 1))
    assert falling.p_constant < 1e-6
    steady = estimate_retention(*ledger([0.2] * 6, 3000, 1))
    assert steady.p_constant > 0.01
    assert steady.notes() == ()


def test_nobody_left():
    got = estimate_retention([3, 4, 5], [0, 0, 0])
    assert got.estimate == 1
    assert got.conf_low == pytest.approx(0.025 ** (1 / 12))
    assert got.curve.empty
    (note,) = got.notes()
    assert note.code == "no_churn"
    assert note.severity == "serious"
    assert f"{100 * got.conf_low:.1f}\u00a0%" in note.text


def test_everybody_left():
    got = estimate_retention([1, 1, 2], [1, 1, 1])
    assert got.active == 0
    assert got.estimate == 0.25
    assert {"all_churned", "few_churn_events"} == {note.code for note in got.notes()}


def test_tenure_zero_counts_for_nothing():
    with_new = estimate_retention([0, 0, 2, 3], [0, 0, 1, 0])
    without = estimate_retention([2, 3], [1, 0])
    assert with_new.estimate == without.estimate
    pd.testing.assert_frame_equal(with_new.curve, without.curve)
    assert with_new.customers == 4


@pytest.mark.parametrize(
    "churned", [[True, False], [1.0, 0.0], pd.array([True, False]), ["1", "0"], pd.array([1, 0], dtype="Int64")]
)
def test_yes_and_no_in_any_dress(churned):
    assert estimate_retention([2, 3], churned).events == 1


@pytest.mark.parametrize(
    ("tenure", "churned"),
    [
        ([1, -1], [0, 1]),
        ([1, None], [0, 1]),
        ([1, np.inf], [0, 1]),
        (["one", "two"], [0, 1]),
        ([1, 2], [0, 2]),
        ([1, 2], ["yes", "no"]),
        ([1, 2], [None, 1]),
        ([0, 2], [1, 0]),
        ([0, 0], [0, 0]),
        ([], []),
    ],
)
def test_ledgers_that_cannot_be(tenure, churned):
    with pytest.raises(DataError):
        estimate_retention(tenure, churned)


def test_unequal_columns_and_strange_levels():
    with pytest.raises(UsageError):
        estimate_retention([1, 2, 3], [0, 1])
    with pytest.raises(UsageError):
        estimate_retention([1, 2], [0, 1], level=95)


def test_draws_agree_with_the_exact_interval():
    for scale in (1.0, 0.999):
        rows = [x * s for x, s in zip(ledger([0.2] * 6, 800, 2), (scale, 1), strict=True)]
        got, model = estimate_retention(*rows), fit_model("constant", life_table(*rows))
        drawn = model.stay(model.draws(200_000, np.random.default_rng(1)), 1)[:, 0]
        assert drawn.mean() == pytest.approx(got.estimate, abs=1e-3)
        assert drawn.std() == pytest.approx(got.std_error, rel=0.02)
        low, high = np.quantile(drawn, [0.025, 0.975])
        assert (low, high) == pytest.approx((got.conf_low, got.conf_high), abs=1.5e-3)
