from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import ndtr
from scipy.stats import multivariate_normal

from spc.sem.ordinal.polychoric import (
    binormal,
    binormal_density,
    cell_tables,
    polychoric,
    polyserial,
    serial_rows,
    thresholds,
)

point = st.floats(-4.0, 4.0)
correlation = st.floats(-0.9995, 0.9995)


@settings(deadline=None, max_examples=200)
@given(point, point, correlation)
def test_binormal_is_that_of_scipy(h: float, k: float, rho: float) -> None:
    theirs = multivariate_normal.cdf([h, k], cov=[[1.0, rho], [rho, 1.0]])
    assert binormal(np.array(h), np.array(k), np.array(rho)) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("rho", [-0.999, -0.5, 0.0, 0.3, 0.98])
@pytest.mark.parametrize(("h", "k"), [(0.0, 0.0), (0.0, 1.2), (-0.7, 0.0), (9.0, 0.4), (-9.0, 0.4), (9.0, 9.0)])
def test_binormal_on_axes_and_far_out(h: float, k: float, rho: float) -> None:
    theirs = multivariate_normal.cdf([h, k], cov=[[1.0, rho], [rho, 1.0]])
    assert binormal(np.array(h), np.array(k), np.array(rho)) == pytest.approx(theirs, abs=1e-12)


def test_the_origin_is_sheppards() -> None:
    rho = np.linspace(-0.99, 0.99, 41)
    np.testing.assert_allclose(
        binormal(np.zeros(41), np.zeros(41), rho), 0.25 + np.arcsin(rho) / (2.0 * np.pi), atol=1e-15
    )


@settings(deadline=None, max_examples=50)
@given(point, point, st.floats(-0.95, 0.95))
def test_the_density_is_the_slope_on_rho(h: float, k: float, rho: float) -> None:
    step = 1e-5
    ends = [binormal(np.array(h), np.array(k), np.array(rho + way * step)) for way in (1.0, -1.0)]
    slope = binormal_density(np.array(h), np.array(k), np.array(rho))
    assert slope == pytest.approx((ends[0] - ends[1]) / (2.0 * step), abs=1e-7)


def tables(rng: np.random.Generator, pairs: int, c: int) -> np.ndarray:
    return rng.integers(1, 60, size=(pairs, c, c)).astype(float)


def cuts(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sizes = np.full(len(counts), counts.shape[1])
    return thresholds(counts.sum(axis=2), sizes), thresholds(counts.sum(axis=1), sizes)


@pytest.mark.parametrize("c", [2, 3, 5])
def test_polychorics_are_the_maximum_of_the_likelihood(c: int) -> None:
    counts = tables(np.random.default_rng(c), 12, c)
    counts[:, 0, 0] += 80
    h, k = cuts(counts)
    rho, edge = polychoric(h, k, counts, np.zeros(12))
    assert not edge.any()
    for at in range(12):

        def lost(r: float, at: int = at) -> float:
            p = cell_tables(h[[at]], k[[at]], np.array([r])).p[0]
            return -float((counts[at] * np.log(p)).sum())

        found = minimize_scalar(lost, bounds=(-0.99, 0.99), method="bounded", options={"xatol": 1e-9})
        assert rho[at] == pytest.approx(found.x, abs=1e-6)


def test_the_tetrachoric_of_halves_is_in_closed_form() -> None:
    counts = np.array([[[40.0, 10.0], [10.0, 40.0]]])
    h, k = cuts(counts)
    assert polychoric(h, k, counts, np.zeros(1))[0][0] == pytest.approx(-np.cos(2.0 * np.pi * 0.4), abs=1e-10)


def test_cell_probabilities_sum_to_one_and_their_slopes_to_zero() -> None:
    counts = tables(np.random.default_rng(3), 7, 4)
    h, k = cuts(counts)
    found = cell_tables(h, k, np.linspace(-0.8, 0.9, 7))
    np.testing.assert_allclose(found.p.sum(axis=(1, 2)), 1.0)
    np.testing.assert_allclose(found.slope.sum(axis=(1, 2)), 0.0, atol=1e-14)


def test_perfect_agreement_runs_into_the_bound() -> None:
    counts = np.array([np.diag([30.0, 40.0, 30.0])])
    rho, edge = polychoric(*cuts(counts), counts, np.array([0.9]))
    assert edge[0]
    assert rho[0] == pytest.approx(0.999)


def serial(rng: np.random.Generator, n: int = 500) -> tuple[np.ndarray, ...]:
    z = rng.standard_normal((n, 3))
    other = 0.6 * z + 0.8 * rng.standard_normal((n, 3))
    edges = np.array([-9.0, -0.5, 0.4, 9.0])
    code = np.searchsorted(edges[1:-1], other)
    return z, edges[code + 1], edges[code]


def log_likelihood(z: np.ndarray, upper: np.ndarray, lower: np.ndarray, rho: np.ndarray) -> np.ndarray:
    root = np.sqrt(1.0 - rho**2)
    return np.log(ndtr((upper - rho * z) / root) - ndtr((lower - rho * z) / root))


def test_polyserials_are_flat_points_of_the_likelihood() -> None:
    z, upper, lower = serial(np.random.default_rng(4))
    rho, edge = polyserial(z, upper, lower, np.zeros(3))
    assert not edge.any()
    step = 1e-5
    ends = [log_likelihood(z, upper, lower, rho + way * step).sum(axis=0) for way in (1.0, -1.0)]
    np.testing.assert_allclose((ends[0] - ends[1]) / (2.0 * step), 0.0, atol=1e-4)
    np.testing.assert_allclose(rho, 0.6, atol=0.08)


def test_derivatives_of_polyserial_rows() -> None:
    z, upper, lower = serial(np.random.default_rng(5), 40)
    rho, step = np.array([0.3, -0.5, 0.8]), 1e-6
    rows = serial_rows(z, upper, lower, rho)

    def slope(**moved: float) -> np.ndarray:
        ends = []
        for way in (step, -step):
            at = {"z": z, "upper": upper, "lower": lower, "rho": rho}
            for name in moved:
                at[name] = at[name] + way
            ends.append(log_likelihood(**at))
        return (ends[0] - ends[1]) / (2.0 * step)

    np.testing.assert_allclose(rows.score, slope(rho=1.0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(rows.z, slope(z=1.0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(rows.upper, slope(upper=1.0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(rows.lower, slope(lower=1.0), rtol=1e-5, atol=1e-5)
    curve = (serial_rows(z, upper, lower, rho + step).score - serial_rows(z, upper, lower, rho - step).score) / (
        2.0 * step
    )
    np.testing.assert_allclose(rows.curve, curve, rtol=1e-5, atol=1e-4)
