"""Limits of rates: a worked example by hand, the same whatever the unit, and how often chance crosses them."""

import numpy as np
import pytest

from spc.accounts.charts import p_chart


def test_limits_by_hand():
    part, whole = np.array([12.0, 15.0, 9.0, 14.0, 40.0]), np.array([100.0, 120.0, 90.0, 110.0, 100.0])
    chart = p_chart(part, whole, 4)
    centre = 50 / 420
    spread = np.sqrt(centre * (1 - centre) / whole)
    z = (part / whole - centre)[:4] / spread[:4]
    widening = np.mean([abs(z[1] - z[0]), abs(z[2] - z[1]), abs(z[3] - z[2])]) / 1.128379167
    assert chart.centre == pytest.approx(centre)
    assert chart.high == pytest.approx(centre + 3 * spread * widening)
    assert chart.low == pytest.approx(np.maximum(centre - 3 * spread * widening, 0))
    assert chart.outside.tolist() == [0, 0, 0, 0, 1]


def test_cents_or_euros_make_no_difference():
    rng = np.random.default_rng(2)
    whole = rng.uniform(900, 1100, 12)
    part = whole * rng.normal(0.08, 0.01, 12)
    one, other = p_chart(part, whole, 8), p_chart(100 * part, 100 * whole, 8)
    assert one.low == pytest.approx(other.low)
    assert one.high == pytest.approx(other.high)


def test_chance_rarely_crosses_the_limits_and_a_shift_does():
    rng = np.random.default_rng(3)
    whole = np.full(60, 1000.0)
    crossed = [np.any(p_chart(rng.binomial(1000, 0.1, 60), whole, 40).outside[40:] != 0) for _ in range(200)]
    assert np.mean(crossed) < 0.15
    shifted = np.concatenate([rng.binomial(1000, 0.1, 40), rng.binomial(1000, 0.05, 20)])
    assert (p_chart(shifted, whole, 40).outside[40:] == -1).mean() > 0.8


def test_runs_on_one_side():
    chart = p_chart(np.array([5.0, 7, 5, 7, 3, 3, 3]), np.full(7, 100.0), 4)
    assert chart.run == -3


@pytest.mark.parametrize("part", [np.zeros(5), np.full(5, 120.0)])
def test_rates_of_nothing_or_all_have_no_limits(part):
    chart = p_chart(part, np.full(5, 100.0), 4)
    assert np.isnan(chart.low).all()
    assert not chart.outside.any()
