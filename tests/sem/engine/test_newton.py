"""Least squares end also where the model fits badly, and Gauss-Newton steps crawl."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import spc
from spc.sem.engine.newton import crawls, newton_step


def test_a_newton_step_solves_a_quadratic() -> None:
    hessian = np.array([[2.0, 0.5], [0.5, 1.0]])
    end = np.array([0.3, -0.2])
    x = np.array([1.0, 1.0])
    step = newton_step(lambda at: hessian @ (end - at), x, hessian @ (end - x))
    assert step is not None
    np.testing.assert_allclose(x + step, end, atol=1e-8)


def test_there_is_no_newton_step_uphill() -> None:
    assert newton_step(lambda at: at, np.ones(2), np.ones(2)) is None
    assert newton_step(lambda at: None, np.ones(2), np.ones(2)) is None


def test_early_or_fast_steps_do_not_crawl() -> None:
    assert not crawls(5, 1e-4, 1.1e-4)
    assert not crawls(40, 1e-8, 1e-4)
    assert crawls(40, 1e-4, 1.1e-4)


def test_unweighted_least_squares_ends_far_from_a_model() -> None:
    rng = np.random.default_rng(11)
    n = 300
    start, slope, z = rng.normal(size=(3, n))
    times = {f"t{k + 1}": 1 + start + 0.4 * z + (0.3 + 0.6 * slope) * k + 0.7 * rng.normal(size=n) for k in range(4)}
    text = "i =~ t1 + t2 + t3 + t4\ns =~ 0*t1 + 1*t2 + 2*t3 + 3*t4\ni ~~ 1*i\ns ~~ 1*s\ni + s ~ z"
    model = spc.model(text.replace("i =~ t1 + t2 + t3 + t4", "i =~ 1*t1 + 1*t2 + 1*t3 + 1*t4"), growth=True)
    with pytest.warns(spc.ImproperSolutionWarning):
        fit = spc.fit(model, pd.DataFrame(times | {"z": z}), estimator="ULS")
    assert fit.solution.converged
    assert fit.solution.iterations < 100
