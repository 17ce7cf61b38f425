"""The discrepancy against its definition, and its derivatives against finite differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spc.linalg import FloatArray
from spc.moments import Moments
from spc.sem.engine.ml import curvature, discrepancy
from spc.sem.engine.optimise import derivatives
from spc.sem.engine.problem import Problem, prepare
from spc.sem.engine.start import start_values
from spc.spec import model

MODELS = {
    "factors": "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6",
    "paths": "x3 ~ x1 + x2\nx4 ~ x3 + x1\nx5 ~ x4",
    "loop": "x3 ~ x1 + x4\nx4 ~ x2 + x3\nx3 ~~ x4",
    "mixed": "f =~ x1 + a*x2 + a*x3\ng =~ x4 + b*x5 + c*x6\nb + c == 2\ng ~ f + x7\nx6 ~ x2\nx1 ~~ x6",
    "higher": "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\nh =~ 1*f + 1*g",
}


def survey(n: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    mixing = rng.uniform(0.1, 0.8, (7, 7))
    return pd.DataFrame(2.0 + rng.standard_normal((n, 7)) @ mixing, columns=[f"x{i}" for i in range(1, 8)])


def somewhere(text: str, *, means: bool) -> tuple[Problem, FloatArray]:
    made = model(text, meanstructure=means)
    problem = prepare(made, Moments.from_frame(survey(), made.observed), "normal")
    rng = np.random.default_rng(1)
    start = start_values(problem)
    return problem, start * (1 + 0.1 * rng.standard_normal(start.size)) + 0.03 * rng.standard_normal(start.size)


def value(problem: Problem, x: FloatArray) -> float:
    point = discrepancy(problem.place, problem.values(x), problem.sample)
    assert point is not None
    return point.value


def test_value_is_the_definition() -> None:
    problem, x = somewhere(MODELS["mixed"], means=True)
    point = discrepancy(problem.place, problem.values(x), problem.sample)
    assert point is not None
    assert problem.sample.mean is not None
    sigma = point.at.covariance[:7, :7]
    r = problem.sample.mean - point.at.mean[:7]
    inverse = np.linalg.inv(sigma)
    expected = (
        np.linalg.slogdet(sigma)[1]
        - np.linalg.slogdet(problem.sample.cov)[1]
        + np.trace(problem.sample.cov @ inverse)
        - 7
        + r @ inverse @ r
    )
    assert point.value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(point.inverse, inverse, atol=1e-11)


@pytest.mark.parametrize("means", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_score_is_minus_half_the_gradient(name: str, means: bool) -> None:
    problem, x = somewhere(MODELS[name], means=means)
    point = discrepancy(problem.place, problem.values(x), problem.sample)
    assert point is not None
    steps = np.eye(x.size) * 1e-5
    numeric = [(value(problem, x + step) - value(problem, x - step)) / 2e-5 for step in steps]
    np.testing.assert_allclose(-2.0 * derivatives(problem, point)[0], numeric, atol=5e-7)


@pytest.mark.parametrize("means", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_observed_information_is_half_the_hessian(name: str, means: bool) -> None:
    problem, x = somewhere(MODELS[name], means=means)

    def score(at: FloatArray) -> FloatArray:
        point = discrepancy(problem.place, problem.values(at), problem.sample)
        assert point is not None
        return derivatives(problem, point)[0]

    point = discrepancy(problem.place, problem.values(x), problem.sample)
    assert point is not None
    bend = problem.map.T @ curvature(problem.place, point, problem.sample, problem.active) @ problem.map
    observed = derivatives(problem, point)[1] + bend
    numeric = [(score(x - step) - score(x + step)) / 2e-5 for step in np.eye(x.size) * 1e-5]
    np.testing.assert_allclose(observed, numeric, rtol=1e-6, atol=2e-6)


def test_expected_information_is_that_of_all_moments() -> None:
    """Half of ``tr(W dS_i W dS_j)`` plus the mean part, with numeric derivatives of sigma."""
    problem, x = somewhere(MODELS["mixed"], means=True)
    point = discrepancy(problem.place, problem.values(x), problem.sample)
    assert point is not None
    slopes, shifts = [], []
    for step in np.eye(x.size) * 1e-6:
        up = discrepancy(problem.place, problem.values(x + step), problem.sample)
        down = discrepancy(problem.place, problem.values(x - step), problem.sample)
        assert up is not None
        assert down is not None
        slopes.append(point.inverse @ (up.at.covariance - down.at.covariance)[:7, :7] / 2e-6)
        shifts.append((up.at.mean - down.at.mean)[:7] / 2e-6)
    expected = [
        [0.5 * np.trace(a @ b) + u @ point.inverse @ v for b, v in zip(slopes, shifts, strict=True)]
        for a, u in zip(slopes, shifts, strict=True)
    ]
    np.testing.assert_allclose(derivatives(problem, point)[1], expected, rtol=1e-6, atol=1e-6)


def test_impossible_values_have_no_discrepancy() -> None:
    problem, x = somewhere(MODELS["factors"], means=False)
    values = problem.values(x)
    values[problem.place.part == 1] = -1.0
    assert discrepancy(problem.place, values, problem.sample) is None
    loop, x = somewhere(MODELS["loop"], means=False)
    values = loop.values(x)
    values[loop.place.part == 0] = 1.0
    assert discrepancy(loop.place, values, loop.sample) is None
