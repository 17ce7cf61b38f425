"""Shape of a link: expectations against integration, errors against statsmodels, tests in simulated truth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from spc.regression.shape import Cause, Shapes, link_shape

Curve = Callable[[np.ndarray], np.ndarray]


def drawn(n: int, curve: Curve, reliability: float, seed: int, *, calibrated: bool = True) -> Shapes:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    measured = x + rng.normal(size=n) * np.sqrt((1 - reliability) / reliability)
    y = curve(x) + 0.4 * rng.normal(size=n)
    known = Cause(reliability * measured, np.full(n, 1 - reliability))
    found = link_shape(y, known if calibrated else Cause(measured, np.zeros(n)), draws=199, rng=rng)
    assert found is not None
    return found


@pytest.mark.parametrize("point", [-1.0, 0.3, 2.0])
def test_expectations_are_those_of_the_normal_distribution(point: float) -> None:
    mean, variance = np.array([-0.5, 0.2, 1.0]), np.array([0.5, 0.1, 1e-12])
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    x = mean[:, None] + np.sqrt(variance)[:, None] * nodes
    weights = weights / weights.sum()
    cause = Cause(mean, variance)
    np.testing.assert_allclose(cause.square(point), ((x - point) ** 2) @ weights, rtol=1e-10)
    fine = mean[:, None] + np.sqrt(variance)[:, None] * np.linspace(-9, 9, 200_001)
    density = np.exp(-0.5 * np.linspace(-9, 9, 200_001) ** 2)
    expected = (np.maximum(fine - point, 0.0) * density).sum(axis=1) / density.sum()
    np.testing.assert_allclose(cause.above(point), expected, atol=1e-6)


def test_the_slope_of_a_known_cause_is_that_of_statsmodels_with_hc3() -> None:
    from statsmodels.regression.linear_model import OLS

    rng = np.random.default_rng(3)
    x, other = rng.normal(size=60), rng.normal(size=60)
    y = 0.5 * x + 0.2 * other + rng.normal(size=60) * (1 + np.abs(x))
    found = link_shape(y, Cause(x, np.zeros(60)), [Cause(other, np.zeros(60))], draws=99, rng=rng)
    fit = OLS(y, np.column_stack([np.ones(60), x, other])).fit(cov_type="HC3", use_t=True)
    assert found is not None
    assert found.straight.slope == pytest.approx(fit.params[1], rel=1e-10)
    # HC3 as statsmodels has it lacks the factor (n - 1) / n of the jackknife
    assert found.straight.error == pytest.approx(fit.bse[1] * np.sqrt(59 / 60), rel=1e-10)
    assert found.straight.df == 57


def test_clusters_widen_the_error_of_what_they_share() -> None:
    rng = np.random.default_rng(5)
    x, shared = np.repeat(rng.normal(size=40), 3), np.repeat(rng.normal(size=40), 3)
    y = 0.5 * x + shared + 0.2 * rng.normal(size=120)
    cause, codes = Cause(x, np.zeros(120)), np.repeat(np.arange(40), 3)
    together = link_shape(y, cause, cluster=codes, draws=99, rng=rng)
    apart = link_shape(y, cause, draws=99, rng=rng)
    order = rng.permutation(120)
    mixed = link_shape(y[order], Cause(x[order], np.zeros(120)), cluster=codes[order], draws=99, rng=rng)
    assert together is not None
    assert apart is not None
    assert mixed is not None
    assert together.straight.error > 1.5 * apart.straight.error
    assert together.straight.df == 38
    assert mixed.straight.error == pytest.approx(together.straight.error, rel=1e-9)


def test_bends_of_a_cause_known_with_error_do_not_shrink() -> None:
    def curve(x: np.ndarray) -> np.ndarray:
        return 0.5 * np.minimum(x, 0.0) + 0.1 * np.maximum(x, 0.0)

    right = [drawn(400, curve, 0.6, seed).asymmetric for seed in range(40)]
    naive = [drawn(400, curve, 0.6, seed, calibrated=False).asymmetric for seed in range(40)]
    change = np.array([bend.change.slope for bend in right])
    error = change.std() / np.sqrt(40)
    assert abs(change.mean() + 0.4) < 3 * error
    assert np.mean([bend.change.slope for bend in naive]) > -0.28


@pytest.mark.parametrize("reliability", [1.0, 0.6])
def test_a_straight_line_is_rarely_called_bent(reliability: float) -> None:
    found = [drawn(40, lambda x: 0.5 * x, reliability, seed) for seed in range(200)]
    for values in (
        [f.square.p_value for f in found],
        [f.asymmetric.change.p_value for f in found],
        [f.threshold_p_value for f in found],
    ):
        assert np.mean(np.array(values) < 0.05) < 0.10  # 5 %, and three errors of 200 draws


def test_a_threshold_is_found_where_it_is() -> None:
    found = drawn(600, lambda x: 1.5 * np.maximum(x - 0.5, 0.0), 1.0, 2)
    assert found.threshold_p_value == pytest.approx(0.005)
    assert found.threshold.point == pytest.approx(0.5, abs=0.25)
    assert abs(found.threshold.below.slope) < 0.15
    assert found.threshold.above.slope == pytest.approx(1.5, abs=0.2)


def test_too_few_rows_or_a_constant_cause_are_not_tested() -> None:
    rng = np.random.default_rng(1)
    assert link_shape(rng.normal(size=8), Cause(rng.normal(size=8), np.zeros(8)), rng=rng) is None
    assert link_shape(rng.normal(size=80), Cause(np.full(80, 3.3), np.zeros(80)), rng=rng) is None


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 40, 80, 150])
def test_size_of_the_tests(n: int) -> None:
    found = [drawn(n, lambda x: 0.5 * x, 0.6, seed) for seed in range(2000)]
    for values in (
        [f.square.p_value for f in found],
        [f.asymmetric.change.p_value for f in found],
        [f.threshold_p_value for f in found],
    ):
        assert 0.02 < np.mean(np.array(values) < 0.05) < 0.07


@pytest.mark.parametrize("others", [0, 1])
def test_a_cause_that_cannot_bend_is_not_tested(others):
    rng = np.random.default_rng(3)
    switch = np.repeat([0.0, 1.0], 30)
    x, nothing = rng.normal(size=60), np.zeros(60)
    y = switch + rng.normal(size=60)
    plain = [Cause(x, nothing)] * others
    assert link_shape(y, Cause(switch, nothing), plain, draws=99, rng=rng) is None
    assert (link_shape(y, Cause(x, nothing), plain, draws=99, rng=rng) is None) == bool(others)
