"""The exact trust region: its step is the best within the radius, and it knows a floor without end."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.errors import NonConvergenceError
from spc.linalg import FloatArray
from spc.moments import Moments
from spc.sem import fit
from spc.sem.engine.optimise import search
from spc.sem.engine.problem import Problem, prepare
from spc.sem.engine.start import WAYS, Way, start_values
from spc.sem.engine.valley import along_valley, bounded_step
from spc.spec import model

NAMES = [f"x{i}" for i in range(1, 7)]


def one_factor() -> Problem:
    rng = np.random.default_rng(2)
    f = rng.standard_normal((300, 2)) @ np.array([[1.0, 0.5], [0.0, 0.8]])
    rows = np.repeat(f, 3, axis=1) * 0.8 + 0.6 * rng.standard_normal((300, 6))
    made = model("f =~ x1 + x2 + x3 + x4 + x5 + x6")
    return prepare(made, Moments(NAMES, 300, None, np.cov(rows.T)), "normal")


@pytest.mark.parametrize("way", WAYS)
def test_the_valley_search_ends_where_the_ordinary_one_does(way: Way) -> None:
    problem = one_factor()
    start = start_values(problem, way)
    valley, ordinary = along_valley(problem, start), search(problem, start)
    assert valley is not None
    assert ordinary is not None
    assert valley.converged
    np.testing.assert_allclose(valley.x, ordinary.x, atol=1e-7)


@settings(deadline=None, max_examples=200)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 5), radius=st.sampled_from([1e-3, 0.3, 1.0, 50.0]))
def test_no_step_within_the_radius_gains_more(seed: int, size: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    values, slope = np.sort(rng.normal(size=size)), rng.normal(size=size) * rng.choice([0.0, 1.0], size=size)
    step, gain = bounded_step(slope, values, radius)
    assert np.linalg.norm(step) <= radius * 1.002
    others = rng.normal(size=(2000, size))
    others *= radius * rng.uniform(size=(2000, 1)) ** (1 / size) / np.linalg.norm(others, axis=1, keepdims=True)
    gains = -(others @ slope + 0.5 * others**2 @ values)
    assert gain >= gains.max() - 2e-3 * max(gain, 0.0) - 1e-12
    assert gain == pytest.approx(-(slope @ step + 0.5 * values @ step**2))


def feedback(seed: int) -> tuple[str, Moments]:
    z1, z2, e1, e2 = np.random.default_rng(seed).normal(size=(4, 200))
    rows = np.array([z1, z2, 0.02 * z1 + 0.5 * e2 + e1, 0.02 * z2 + e2])
    return "y1 ~ y2 + z1\ny2 ~ y1 + z2\ny1 ~~ y2", Moments(["z1", "z2", "y1", "y2"], 200, None, np.cov(rows))


def test_a_far_end_is_reached() -> None:
    fitted = fit(*feedback(2))
    assert fitted.chisq == pytest.approx(0.0, abs=1e-8)
    assert fitted.values.max() > 20.0


def noise(seed: int) -> tuple[str, Moments]:
    rows: FloatArray = np.random.default_rng(seed).normal(size=(200, 9))
    loadings = [f"f{k} =~ " + " + ".join(f"x{3 * k + i}" for i in range(3)) for k in range(3)]
    text = "\n".join([*loadings, "f2 ~ f1 + f0", "f1 ~ f0"])
    return text, Moments([f"x{i}" for i in range(9)], 200, None, np.cov(rows.T))


@pytest.mark.parametrize("seed", [1, 3, 6])
def test_a_floor_without_end_is_left_soon(seed: int) -> None:
    with pytest.raises(NonConvergenceError) as caught:
        fit(*noise(seed))
    assert caught.value.solution.iterations <= 600
