from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.survey.intraclass import UnitSums, mean_reliability, one_way, random_intercept, unit_sums

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "survey_aggregation.json").read_text())
LARGE = REFERENCE["large"]


def sums_of(study):
    return UnitSums(study["summary"]["n"], study["summary"]["mean"], study["summary"]["ssw"])


def simulate(seed, sizes, icc):
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    unit = rng.standard_normal(len(sizes)) * np.sqrt(icc)
    return unit[codes] + rng.standard_normal(codes.size) * np.sqrt(1 - icc), codes


@pytest.mark.parametrize("name", LARGE)
def test_mean_squares_are_multilevels(name):
    found, study = one_way(sums_of(LARGE[name]), 0.95), LARGE[name]
    for ours, theirs in (("icc1", "icc1"), ("icc2", "icc2"), ("F", "F"), ("msb", "msb"), ("msw", "msw")):
        assert getattr(found, ours) == pytest.approx(study[theirs], rel=1e-9)
    assert found.p_value == pytest.approx(study["p"], rel=1e-6)


@pytest.mark.parametrize("name", LARGE)
def test_restricted_likelihood_is_lme4s(name):
    found, study = random_intercept(sums_of(LARGE[name]), 0.95), LARGE[name]
    assert found.deviance == pytest.approx(study["reml_deviance"], abs=1e-7)
    assert found.between == pytest.approx(study["reml_between"], rel=2e-6)
    assert found.within == pytest.approx(study["reml_within"], rel=2e-6)
    assert found.mean == pytest.approx(study["reml_mean"], abs=1e-7)


def dense_deviance(values, codes, between, within):
    V = within * np.eye(values.size) + between * (codes[:, None] == codes[None, :])
    W = np.linalg.inv(V)
    rest = values - W.sum(axis=0) @ values / W.sum()
    logs = np.linalg.slogdet(V)[1] + np.log(W.sum()) + rest @ W @ rest
    return logs + (values.size - 1) * np.log(2 * np.pi)


def test_restricted_likelihood_is_the_normal_one_and_at_its_maximum():
    values, codes = simulate(4, [3, 9, 4, 6, 2, 12, 5, 8, 7, 3, 10, 4], 0.3)
    found = random_intercept(unit_sums(values, codes), 0.95)
    assert found.deviance == pytest.approx(dense_deviance(values, codes, found.between, found.within))
    for between, within in ((1.02, 1), (0.98, 1), (1, 1.02), (1, 0.98)):
        assert dense_deviance(values, codes, found.between * between, found.within * within) > found.deviance


def test_the_likelihood_interval_ends_where_the_likelihood_says():
    values, codes = simulate(5, [3, 9, 4, 6, 2, 12, 5, 8, 7, 3, 10, 4], 0.4)
    found = random_intercept(unit_sums(values, codes), 0.90)

    def lowest(icc):
        scale = np.geomspace(0.2, 5, 4001)
        V = dense_deviance(values, codes, icc / (1 - icc), 1.0)
        base = (values.size - 1) * np.log(2 * np.pi)
        W = np.linalg.inv(np.eye(values.size) + icc / (1 - icc) * (codes[:, None] == codes[None, :]))
        rest = values - W.sum(axis=0) @ values / W.sum()
        square = rest @ W @ rest
        return np.min(V - base - square + square / scale + (values.size - 1) * np.log(scale)) + base

    for end in (found.icc_low, found.icc_high):
        assert lowest(end) - found.deviance == pytest.approx(1.6448536269514722**2, abs=1e-3)


@given(st.integers(0, 10_000), st.integers(2, 12), st.integers(2, 12))
@settings(max_examples=40, deadline=None)
def test_balanced_data_make_both_estimators_agree(seed, units, size):
    a = unit_sums(*simulate(seed, [size] * units, 0.2))
    anova, reml = one_way(a, 0.95), random_intercept(a, 0.95)
    assert reml.icc == pytest.approx(max(anova.icc1, 0.0), abs=2e-6)


@given(st.integers(0, 10_000), st.floats(1e-4, 1e6), st.floats(-1e3, 1e3))
@settings(max_examples=40, deadline=None)
def test_shifting_and_scaling_leave_the_shares(seed, factor, shift):
    values, codes = simulate(seed, [3, 1, 8, 5, 2, 6], 0.3)
    first, second = unit_sums(values, codes), unit_sums((values + shift) * factor, codes)
    assert one_way(second, 0.95).icc1 == pytest.approx(one_way(first, 0.95).icc1, abs=1e-9)
    assert random_intercept(second, 0.95).icc == pytest.approx(random_intercept(first, 0.95).icc, abs=1e-5)


def test_no_difference_gives_a_negative_share_and_the_boundary():
    values = np.tile([1.0, 2.0, 3.0], 5)
    sums = unit_sums(values, np.repeat(np.arange(5), 3))
    found = one_way(sums, 0.95)
    assert found.icc1 == pytest.approx(-0.5)
    assert found.F == 0
    assert np.isnan(found.icc2)
    reml = random_intercept(sums, 0.95)
    assert (reml.between, reml.icc, reml.icc_low) == (0.0, 0.0, 0.0)
    assert reml.within == pytest.approx(values.var(ddof=1))


def test_full_agreement_puts_everything_between():
    sums = unit_sums(np.repeat([1.1, 2.2, 3.3], 4), np.repeat(np.arange(3), 4))
    assert one_way(sums, 0.95).icc1 == 1.0
    assert one_way(sums, 0.95).icc2 == 1.0
    assert random_intercept(sums, 0.95).icc == 1.0


@pytest.mark.parametrize(
    ("values", "codes"),
    [([], []), ([1.0, 2.0], [0, 0]), ([1.0, 2.0], [0, 1]), ([2.5, 2.5, 2.5, 2.5], [0, 0, 1, 1])],
)
def test_nothing_to_compare_is_not_estimable(values, codes):
    assert not unit_sums(np.array(values, dtype=float), np.array(codes, dtype=np.intp)).estimable


def test_money_far_from_zero_keeps_its_digits():
    values, codes = simulate(1, [4] * 20, 0.3)
    near, far = unit_sums(values, codes), unit_sums(values + 1e8, codes)
    assert one_way(far, 0.95).icc1 == pytest.approx(one_way(near, 0.95).icc1, abs=1e-6)


def test_the_f_interval_of_mcgraw_and_wong():
    sums = UnitSums([4] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 36.0)
    found = one_way(sums, 0.95)
    from scipy.stats import f

    low = found.F / f.ppf(0.975, 5, 18)
    high = found.F * f.ppf(0.975, 18, 5)
    assert found.icc1_low == pytest.approx((low - 1) / (low + 3))
    assert found.icc1_high == pytest.approx((high - 1) / (high + 3))
    assert found.icc2_low == pytest.approx(1 - 1 / low)
    assert found.icc2_high == pytest.approx(1 - 1 / high)


@pytest.mark.parametrize(
    ("icc", "size", "value"), [(0.05, 5, 0.21), (0.10, 15, 0.62), (0.20, 30, 0.88), (-0.1, 10, 0.0), (0.3, 1, 0.3)]
)
def test_reliability_of_a_mean(icc, size, value):
    assert mean_reliability(icc, size) == pytest.approx(value, abs=0.006)


def coverage(draws, sizes, icc, pick):
    found = (pick(unit_sums(*simulate((seed, 3), sizes, icc))) for seed in range(draws))
    return np.mean([low <= icc <= high for low, high in found])


def anova_interval(sums):
    found = one_way(sums, 0.95)
    return found.icc1_low, found.icc1_high


def reml_interval(sums):
    found = random_intercept(sums, 0.95)
    return found.icc_low, found.icc_high


def test_intervals_hold_their_level_roughly():
    assert 0.92 <= coverage(400, [8] * 30, 0.2, anova_interval) <= 0.98
    assert 0.91 <= coverage(300, [2, 4, 20, 8, 6] * 8, 0.15, reml_interval) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("icc", [0.05, 0.15, 0.40])
@pytest.mark.parametrize("sizes", [[8] * 30, [2, 4, 20, 8, 6] * 8, [1, 3, 40, 5] * 25])
def test_intervals_hold_their_level(icc, sizes):
    assert 0.93 <= coverage(2000, sizes, icc, reml_interval) <= 0.975
    if len(set(sizes)) == 1:
        assert 0.935 <= coverage(2000, sizes, icc, anova_interval) <= 0.965


def test_the_likelihood_is_flat_where_reml_stops():
    """By units of one size, where the optimum has a closed form: the mean squares' ICC, to the last digits."""
    rng = np.random.default_rng(3)
    sums = UnitSums(np.full(30, 9), rng.normal(4, 0.7, 30), 300.0)
    assert random_intercept(sums, 0.95).icc == pytest.approx(one_way(sums, 0.95).icc1, rel=1e-12)
