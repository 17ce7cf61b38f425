"""Intervals from replicates: closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from spc.sem.resampling.intervals import bca_interval, percentile_interval, two_sided


def test_without_bias_and_acceleration_bca_is_the_percentile_interval() -> None:
    draws = np.random.default_rng(1).normal(size=999)
    middle = float(np.median(draws))
    assert bca_interval(draws, middle, 0.0, 0.9) == pytest.approx(percentile_interval(draws, 0.9))


@given(st.floats(-0.1, 0.1), st.floats(0.3, 0.7))
def test_bca_on_a_fine_grid_of_a_normal(acceleration: float, below: float) -> None:
    """With draws at normal quantiles the ends are the normal quantiles that the formula moves."""
    draws = norm.ppf((np.arange(40001) + 0.5) / 40001)
    estimate = norm.ppf(below)
    low, high = bca_interval(draws, float(estimate), acceleration, 0.8)
    for end, z in ((low, norm.ppf(0.1)), (high, norm.ppf(0.9))):
        assert end == pytest.approx(estimate + (estimate + z) / (1 - acceleration * (estimate + z)), abs=0.02)


def test_bca_follows_a_monotone_map() -> None:
    draws = np.random.default_rng(2).normal(size=2001)
    plain = np.array(bca_interval(draws, 0.1, 0.03, 0.95))
    mapped = np.array(bca_interval(np.exp(draws), float(np.exp(0.1)), 0.03, 0.95))
    assert np.allclose(np.exp(plain), mapped, rtol=1e-2)


def test_bca_needs_draws_on_both_sides() -> None:
    assert np.isnan(bca_interval(np.arange(10.0), -1.0, 0.0, 0.95)).all()


def test_percentiles_are_those_of_numpy() -> None:
    draws = np.random.default_rng(3).normal(size=777)
    assert percentile_interval(draws, 0.8) == pytest.approx(tuple(np.quantile(draws, [0.1, 0.9])))


def test_two_sided() -> None:
    assert two_sided(np.array([1.0] * 975 + [-1.0] * 24)) == pytest.approx(2 * 25 / 1000)
    assert two_sided(np.array([1.0, -1.0])) == 1.0
