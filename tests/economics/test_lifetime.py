import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spc.economics import elasticity, margin_multiple, retention_for_uplift, uplift
from spc.errors import UsageError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "reference" / "clv_checks.json"
RATES = st.floats(0.0, 0.999)
DISCOUNTS = st.floats(0.0, 0.5)
HORIZONS = st.integers(1, 60)

# discount, retention, +5 points, +5 per cent of retention, elasticity
ARITHMETIC = [
    (0.00, 0.80, 0.42, 0.31, 5.00),
    (0.00, 0.90, 1.11, 0.91, 10.00),
    (0.10, 0.60, 0.20, 0.12, 2.20),
    (0.10, 0.70, 0.22, 0.15, 2.75),
    (0.10, 0.80, 0.28, 0.21, 3.67),
    (0.10, 0.90, 0.41, 0.35, 5.50),
    (0.10, 0.95, 0.58, 0.54, 7.33),
    (0.15, 0.80, 0.24, 0.19, 3.29),
    (0.15, 0.90, 0.32, 0.28, 4.60),
]


@pytest.mark.parametrize(("d", "r", "points", "percent", "duration"), ARITHMETIC)
def test_the_arithmetic_every_user_should_see(d, r, points, percent, duration):
    assert float(uplift(r, d)) == pytest.approx(points, abs=0.0051)
    assert float(uplift(r, d, points=0.05 * r)) == pytest.approx(percent, abs=0.0051)
    assert float(elasticity(r, d)) == pytest.approx(duration, abs=0.005)


def test_counting_the_first_margin_lowers_the_relative_uplift():
    assert float(uplift(0.8, 0.10, first_margin=True)) == pytest.approx(0.20, abs=1e-12)


@given(RATES, DISCOUNTS, HORIZONS, st.booleans())
def test_finite_multiple_is_the_sum_written_out(r, d, horizon, first):
    by_hand = sum((r / (1 + d)) ** t for t in range(0 if first else 1, horizon + 1))
    assert float(margin_multiple(r, d, horizon=horizon, first_margin=first)) == pytest.approx(by_hand, rel=1e-9)


@pytest.mark.parametrize("r", [1.0, 1 - 1e-15, 1 - 1e-9])
def test_no_digits_are_lost_where_nobody_leaves(r):
    assert float(margin_multiple(r, 0.0, horizon=7)) == pytest.approx(7, rel=1e-7)


@given(RATES, st.floats(0.01, 0.5))
def test_long_horizons_approach_the_closed_form(r, d):
    assert float(margin_multiple(r, d, horizon=5000)) == pytest.approx(r / (1 + d - r), rel=1e-9)
    assert float(margin_multiple(r, d)) == pytest.approx(r / (1 + d - r), rel=1e-12)


@given(st.floats(0.05, 0.95), DISCOUNTS, HORIZONS)
def test_elasticity_is_the_derivative_of_log_value_and_the_duration(r, d, horizon):
    step = 1e-6
    up, down = (math.log(float(margin_multiple(r * math.exp(s), d, horizon=horizon))) for s in (step, -step))
    assert float(elasticity(r, d, horizon=horizon)) == pytest.approx((up - down) / (2 * step), rel=1e-5)


def test_elasticity_without_horizon_is_the_duration_of_the_cash_flow():
    t = np.arange(1, 2000)
    for r, d in [(0.8, 0.1), (0.9, 0.1), (0.9, 0.15)]:
        flow = (r / (1 + d)) ** t
        assert float(elasticity(r, d)) == pytest.approx(float((t * flow).sum() / flow.sum()), rel=1e-10)


@given(st.floats(0.2, 2.0), st.floats(0.0, 0.3), st.floats(0.01, 0.1))
def test_retention_for_uplift_undoes_uplift(target, d, points):
    r = retention_for_uplift(target, d, points=points)
    if not math.isnan(r) and r + points < 1 + d - 1e-6:
        assert float(uplift(r, d, points=points)) == pytest.approx(target, rel=1e-6)


def test_points_stop_at_everyone_staying():
    assert float(uplift(0.98, 0.1)) == pytest.approx(float(uplift(0.98, 0.1, points=0.02)))


def test_no_value_to_begin_with_has_no_relative_uplift():
    assert math.isnan(float(uplift(0.0, 0.1)))


def test_draws_go_through_as_an_array():
    r = np.array([[0.5, 0.8], [0.9, 0.0]])
    for horizon in (4, math.inf):
        assert margin_multiple(r, 0.1, horizon=horizon).shape == r.shape
        assert elasticity(r, 0.1, horizon=horizon).shape == r.shape


@pytest.mark.parametrize(
    ("r", "d", "horizon"),
    [
        (80, 0.1, 5),
        (-0.1, 0.1, 5),
        (math.nan, 0.1, 5),
        (0.8, -1, 5),
        (0.8, 0.1, 0),
        (0.8, 0.1, 2.5),
        (1.0, 0.0, math.inf),
    ],
)
def test_impossible_terms_are_refused(r, d, horizon):
    with pytest.raises(UsageError):
        margin_multiple(r, d, horizon=horizon)
    with pytest.raises(UsageError):
        elasticity(r, d, horizon=horizon)


@pytest.mark.skipif(not SHARED.exists(), reason="the published numbers are not here")
def test_published_and_worked_numbers():
    checks = json.loads(SHARED.read_text())
    for row in checks["gupta_lehmann_stuart_2004"]["computed"]:
        assert float(margin_multiple(row["r"], row["i"])) == pytest.approx(row["margin_multiple"], abs=6e-5)
        assert float(elasticity(row["r"], row["i"])) == pytest.approx(row["retention_elasticity"], abs=6e-5)
    for row in checks["pfeifer_farris_2004"]["check"]:
        assert float(elasticity(row["r"], row["d"])) == pytest.approx(row["duration"], abs=6e-5)
    for row in checks["reichheld_sasser"]["computed"]["flat_margin_uplift_of_5_points"]:
        for key, d in (("d5", 0.05), ("d10", 0.10), ("d15", 0.15), ("d20", 0.20)):
            got = float(uplift(row["base"], d, points=row["new"] - row["base"], first_margin=True))
            assert got == pytest.approx(row[key], abs=6e-5)
