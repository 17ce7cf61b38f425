"""Intervals of normal responses: their moments, modes and means against integrals and other optimisers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import norm, truncnorm

from spc.linalg import FloatArray
from spc.sem.ordinal.posterior import boxed_moments, interval, posterior_modes

CUTS = np.array([-np.inf, -1.2, -0.3, 0.5, 1.4, np.inf])


def answers(loadings: FloatArray, n: int, seed: int = 1) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    k = len(loadings)
    responses = rng.normal(size=(n, 1)) * loadings + np.sqrt(1.0 - loadings**2) * rng.normal(size=(n, k))
    codes = np.digitize(responses, CUTS[1:-1])
    codes[0], codes[1] = 0, 4
    return CUTS[codes], CUTS[codes + 1]


def integral(loadings: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and variance of the factor by quadrature."""
    at, weight = np.polynomial.hermite_e.hermegauss(150)
    rest = np.sqrt(1.0 - loadings**2)
    ends = [norm.cdf((end[:, :, None] - loadings[:, None] * at) / rest[:, None]) for end in (high, low)]
    density = (ends[0] - ends[1]).prod(axis=1) * weight
    density /= density.sum(axis=1, keepdims=True)
    mean = density @ at
    return mean, density @ at**2 - mean**2


@pytest.mark.parametrize("ends", [(-1.0, 0.5), (-np.inf, -3.0), (2.0, np.inf), (7.0, 7.5), (-30.0, -28.0), (-9.0, 9.0)])
def test_interval_has_the_moments_of_a_truncated_normal(ends: tuple[float, float]) -> None:
    low, high = np.array([ends[0]]), np.array([ends[1]])
    log, slope, curvature = interval(low, high)
    whole = truncnorm(*ends)
    assert slope[0] == pytest.approx(float(whole.mean()), rel=1e-9, abs=1e-12)
    assert 1.0 - curvature[0] == pytest.approx(float(whole.var()), rel=1e-4)
    if ends[0] > -20.0:
        at = (norm.cdf(ends[1]) - norm.cdf(ends[0])) if ends[0] < 0 else norm.sf(ends[0]) - norm.sf(ends[1])
        assert log[0] == pytest.approx(np.log(at), rel=1e-9)


def test_slope_and_curvature_are_derivatives() -> None:
    low, high, step = np.array([-np.inf, 0.2, -0.4]), np.array([0.3, np.inf, 1.1]), 1e-5
    _, slope, curvature = interval(low, high)
    up, down = interval(low - step, high - step), interval(low + step, high + step)
    np.testing.assert_allclose(slope, (up[0] - down[0]) / (2 * step), rtol=1e-8)
    np.testing.assert_allclose(-curvature, (up[1] - down[1]) / (2 * step), rtol=1e-8)


@pytest.mark.parametrize(("loading", "k", "within"), [(0.5, 9, 0.0005), (0.7, 5, 0.002), (0.9, 9, 0.03)])
def test_expectation_propagation_is_close_to_the_integral(loading: float, k: int, within: float) -> None:
    loadings = loading * np.linspace(0.9, 1.05, k)
    low, high = answers(loadings, 300)
    cov = np.outer(loadings, loadings)
    np.fill_diagonal(cov, 1.0)
    mean, spread = boxed_moments(np.zeros(low.shape), cov, low, high)
    weights = np.linalg.solve(cov, loadings)
    wanted, variance = integral(loadings, low, high)
    np.testing.assert_allclose(mean @ weights, wanted, atol=within)
    left = 1.0 - weights @ loadings + np.einsum("k,nkl,l->n", weights, spread, weights)
    np.testing.assert_allclose(left, variance, rtol=0.2 if loading > 0.8 else 0.03)


def test_no_rows_have_no_moments() -> None:
    mean, spread = boxed_moments(np.zeros((0, 2)), np.eye(2), np.zeros((0, 2)), np.zeros((0, 2)))
    assert mean.shape == (0, 2)
    assert spread.shape == (0, 2, 2)


def test_modes_are_those_of_another_optimiser() -> None:
    slopes = np.array([[0.8, 0.0], [0.7, 0.2], [0.0, 0.9], [0.1, 0.6]])
    deviation, precision = np.array([0.6, 0.5, 0.4, 0.8]), np.linalg.inv(np.array([[1.0, 0.4], [0.4, 0.7]]))
    low, high = answers(np.full(4, 0.6), 30)
    modes, _ = posterior_modes(precision, slopes, deviation, low, high)

    def minus(spot: FloatArray, row: int) -> float:
        middle = slopes @ spot
        share = norm.cdf((high[row] - middle) / deviation) - norm.cdf((low[row] - middle) / deviation)
        return float(0.5 * spot @ precision @ spot - np.log(share).sum())

    for row in range(30):
        other = minimize(minus, np.zeros(2), args=(row,), method="BFGS", options={"gtol": 1e-7})
        np.testing.assert_allclose(modes[row], other.x, atol=2e-5)
