"""Differences of chi-squares in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from spc.sem.inference.difference import MomentSpace, plain_difference, satorra_2000, satorra_bentler_2001


def test_plain_is_a_difference() -> None:
    found = plain_difference((9.0, 4), (2.0, 3))
    assert (found.chisq, found.df) == (7.0, 1)
    assert found.p_value == pytest.approx(0.00815097, rel=1e-5)


def test_the_form_of_2001_divides_by_what_the_stricter_model_adds() -> None:
    found = satorra_bentler_2001((50.0, 10, 1.3), (20.0, 6, 1.1))
    assert found.scale == pytest.approx((13.0 - 6.6) / 4)
    assert found.chisq == pytest.approx(30.0 / found.scale)
    assert satorra_bentler_2001((50.0, 10, 1.3), (20.0, 0, np.nan)).scale == pytest.approx(1.3)


def test_a_negative_scaling_leaves_no_test() -> None:
    found = satorra_bentler_2001((12.0, 4, 1.0), (10.0, 3, 1.5))
    assert found.scale < 0.0
    assert np.isnan(found.chisq)
    assert np.isnan(found.p_value)


def test_one_restriction_is_scaled_by_its_own_variance() -> None:
    """Holding a mean at zero in one variable: T = V m^2 n has mean V Gamma, and one df needs no shift."""
    space = MomentSpace(np.diag([2.0, 1.0]), np.diag([3.0, 5.0]), np.eye(2), np.eye(2)[:, 1:])
    found = satorra_2000(12.0, 1, [space])
    assert found.chisq == pytest.approx(12.0 / 6.0)
    assert found.shift == pytest.approx(0.0, abs=1e-12)


def test_groups_of_one_kind_are_one_group() -> None:
    rng = np.random.default_rng(1)
    root = rng.normal(size=(5, 5))
    weight, gamma = np.diag(rng.uniform(1.0, 2.0, 5)), root @ root.T
    free = rng.normal(size=(5, 4))
    strict = free[:, :2] + free[:, 2:]
    one = MomentSpace(weight, gamma, free, strict)
    half = MomentSpace(weight, gamma, free, strict, 0.5)
    whole, split = satorra_2000(9.0, 2, [one]), satorra_2000(9.0, 2, [half, half])
    assert split.chisq == pytest.approx(whole.chisq)
    assert split.shift == pytest.approx(whole.shift)


def test_scaled_and_shifted_has_the_moments_of_a_chi_square() -> None:
    """The plain statistic is a weighted sum of squares; scaled and shifted it has mean m, variance 2m."""
    rng = np.random.default_rng(2)
    root = rng.normal(size=(4, 4))
    space = MomentSpace(np.diag([1.0, 2.0, 0.5, 1.5]), root @ root.T, np.eye(4), np.eye(4)[:, :2])
    draws = rng.normal(size=(200_000, 4)) @ root.T
    plain = draws[:, 2:] ** 2 @ np.array([0.5, 1.5])
    found = satorra_2000(0.0, 2, [space])
    turned = plain / found.scale + found.shift
    assert turned.mean() == pytest.approx(2.0, rel=0.02)
    assert turned.var() == pytest.approx(4.0, rel=0.05)
