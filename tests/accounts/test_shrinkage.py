"""Shrunken values: coverage where the spread is nothing, some and much; limits; a grid against quadrature."""

import numpy as np
import pytest

from spc.accounts.shrinkage import shrink


@pytest.mark.parametrize(("k", "spread"), [(3, 0.01), (8, 0.0), (8, 0.03), (20, 0.01), (20, 0.08)])
def test_intervals_hold_the_true_values(k, spread):
    rng = np.random.default_rng(k)
    held = []
    for _ in range(200):
        variance = (0.02 * np.exp(rng.normal(0, 0.4, k))) ** 2
        true = 0.3 + spread * rng.standard_normal(k)
        found = shrink(true + np.sqrt(variance) * rng.standard_normal(k), variance)
        held.append(np.mean((found.low <= true) & (true <= found.high)))
        assert (found.low < found.high).all()
    most = 1.0 if spread < 0.02 else 0.985  # below the chance of a value, intervals are on the safe side
    assert 0.92 <= np.mean(held) <= most


def test_equal_values_have_intervals_of_a_length():
    found = shrink(np.full(6, 0.25), np.full(6, 0.01**2))
    assert found.mean == pytest.approx(0.25)
    assert (found.high - found.low).min() > 0.01
    assert found.spread_low < 0.001


def test_values_far_apart_stay_where_they_are():
    value = np.array([0.0, 1.0, 2.0, 5.0])
    found = shrink(value, np.full(4, 1e-6))
    assert found.mean == pytest.approx(value, abs=1e-3)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 1e-3, rel=0.05)
    assert found.weight == pytest.approx(1.0, abs=1e-3)
    same = shrink(value, np.zeros(4))
    assert same.low.tolist() == same.high.tolist() == value.tolist()


def test_means_are_those_of_quadrature():
    from scipy.integrate import quad

    value, variance = np.array([0.1, 0.3, 0.2, 0.6, 0.25]), np.array([1.0, 2.0, 1.5, 1.0, 0.5]) / 100

    def likelihood(tau):
        total = variance + tau**2
        centre = (value / total).sum() / (1 / total).sum()
        return np.exp(-0.5 * (np.log(total).sum() + np.log((1 / total).sum()) + ((value - centre) ** 2 / total).sum()))

    def mean(tau, i):
        total = variance + tau**2
        centre = (value / total).sum() / (1 / total).sum()
        return centre + tau**2 / total[i] * (value[i] - centre)

    whole = quad(likelihood, 0, np.inf)[0]
    wanted = [quad(lambda t, i=i: likelihood(t) * mean(t, i), 0, np.inf)[0] / whole for i in range(5)]
    assert shrink(value, variance).mean == pytest.approx(wanted, abs=2e-4)


@pytest.mark.parametrize("spread", [0.0, 0.004, 0.03])
def test_many_values_put_together_are_those_one_by_one(spread):
    rng = np.random.default_rng(4)
    variance = (0.02 * np.exp(rng.normal(0, 0.8, 6000))) ** 2
    value = 0.3 + spread * rng.standard_normal(6000) + np.sqrt(variance) * rng.standard_normal(6000)
    many, few = shrink(value, variance), shrink(value[:5000], variance[:5000])
    assert many.spread == pytest.approx(spread, abs=0.0015)
    assert many.spread_low <= max(spread, 0.001) <= many.spread_high
    assert few.spread == pytest.approx(many.spread, rel=0.25)
    length = (many.high - many.low)[:5000] / (few.high - few.low)
    assert np.median(length) == pytest.approx(few.spread and many.spread / few.spread, rel=0.25)
