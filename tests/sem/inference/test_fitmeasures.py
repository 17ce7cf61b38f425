"""Measures of fit: closed forms, corner cases, and identities between them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import chndtr

from spc.sem.inference import fitmeasures as measure

HS = (85.30552, 24, 918.85159, 36)
chisqs = st.floats(0.01, 5000)
dfs = st.integers(1, 400)


def test_holzinger_swineford() -> None:
    chisq, df, base, base_df = HS
    assert measure.cfi(*HS) == pytest.approx(0.930560, abs=1e-6)
    assert measure.tli(*HS) == pytest.approx(0.895839, abs=1e-6)
    assert measure.nfi(chisq, df, base, base_df) == pytest.approx(0.907161, abs=1e-6)
    assert measure.ifi(chisq, df, base) == pytest.approx(0.931491, abs=1e-5)
    assert measure.rmsea(chisq, df, 301) == pytest.approx(0.092121, abs=1e-6)
    assert measure.rmsea_ci(chisq, df, 301) == pytest.approx((0.071418, 0.113678), abs=1e-5)
    assert measure.mfi(chisq, df, 301) == pytest.approx(0.903182, abs=1e-5)
    assert measure.cn(chisq, df, 301) == pytest.approx(129.490, abs=1e-3)


def test_without_degrees_of_freedom() -> None:
    assert math.isnan(measure.chisq_pvalue(0.0, 0))
    assert measure.cfi(0.0, 0, 100.0, 3) == 1.0
    assert measure.tli(0.0, 0, 100.0, 3) == 1.0
    assert measure.rfi(0.0, 0, 100.0, 3) == 1.0
    assert measure.rmsea(0.0, 0, 100) == 0.0
    assert measure.rmsea_ci(0.0, 0, 100) == (0.0, 0.0)
    assert math.isnan(measure.rmsea_pvalue(0.0, 0, 100))
    assert measure.agfi(1.0, 0, 6) == 1.0


@given(chisqs, dfs, st.integers(20, 5000))
def test_the_interval_of_rmsea_inverts_the_noncentral_chi_square(chisq: float, df: int, n: int) -> None:
    low, high = measure.rmsea_ci(chisq, df, n)
    assert 0.0 <= low <= high
    for bound, tail in ((low, 0.95), (high, 0.05)):
        if bound > 0:
            assert chndtr(chisq, df, bound**2 * n * df) == pytest.approx(tail, abs=1e-6)


@given(chisqs, dfs, st.integers(20, 2000))
def test_close_fit_and_the_interval_agree(chisq: float, df: int, n: int) -> None:
    low, _ = measure.rmsea_ci(chisq, df, n)
    p = measure.rmsea_pvalue(chisq, df, n)
    if abs(p - 0.05) > 1e-6:
        assert (low > 0.05) == (p < 0.05)


@given(chisqs, dfs, chisqs, st.integers(1, 500))
def test_cfi_is_a_share(chisq: float, df: int, base: float, base_df: int) -> None:
    assert 0.0 <= measure.cfi(chisq, df, base, base_df) <= 1.0


def test_without_a_test_no_measure_says_that_the_model_fits() -> None:
    for chisq, base in ((math.nan, 50.0), (math.nan, math.nan)):
        found = (measure.cfi(chisq, 3, base, 6), measure.tli(chisq, 3, base, 6), measure.rfi(chisq, 3, base, 6))
        assert all(map(math.isnan, (*found, measure.rmsea(chisq, 3, 50), measure.cn(chisq, 3, 50))))
    assert math.isnan(measure.cfi(1.0, 3, math.nan, 6))


def test_a_model_that_is_likelier_than_what_it_is_tested_against_has_no_test() -> None:
    assert measure.likelihood_ratio(-10.0, -12.0) == 4.0
    assert measure.likelihood_ratio(-10.0, -10.0 + 1e-6) == 0.0
    assert math.isnan(measure.likelihood_ratio(-10.0, -9.0))
    assert math.isnan(measure.likelihood_ratio(math.nan, -9.0))


def test_likelihood_of_standard_normal_rows() -> None:
    assert measure.logl(10, 2, 0.0, 2.0) == pytest.approx(-10 * (math.log(2 * math.pi) + 1))
    assert measure.unrestricted_logl(10, 2, 0.0) == measure.logl(10, 2, 0.0, 2.0)
    assert measure.aic(-50.0, 3) == 106.0
    assert measure.bic(-50.0, 3, 100) == pytest.approx(100 + 3 * math.log(100))


def residuals(mean: bool = False) -> measure.Residuals:
    cov = np.array([[4.0, 1.0], [1.0, 1.0]])
    sigma = np.array([[4.0, 0.4], [0.4, 1.0]])
    return measure.Residuals(cov, sigma, *((np.array([1.0, 2.0]), np.array([1.0, 1.5])) if mean else ()))


def test_residual_measures_by_hand() -> None:
    assert measure.rmr(residuals()) == pytest.approx(math.sqrt(0.36 / 3))
    assert measure.srmr(residuals()) == pytest.approx(math.sqrt(0.09 / 3))
    assert measure.crmr(residuals()) == pytest.approx(0.3)
    assert measure.srmr_mplus(residuals()) == pytest.approx(math.sqrt(0.09 / 3))
    assert measure.srmr(residuals(mean=True)) == pytest.approx(math.sqrt((0.09 + 0.25) / 5))
    assert measure.srmr(residuals(mean=True), means=False) == measure.srmr(residuals())


def test_gfi_is_one_without_residuals() -> None:
    cov = np.array([[2.0, 0.5], [0.5, 1.0]])
    assert measure.gfi(cov, np.zeros((2, 2)), np.linalg.inv(cov)) == 1.0
    sigma = np.diag([2.0, 1.0])
    half = 0.25 / 2.0
    assert measure.gfi(cov, cov - sigma, np.linalg.inv(sigma)) == pytest.approx(1 - half / (1 + half))
