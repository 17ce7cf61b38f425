"""The search that all least-squares estimators share, on curves whose minimum is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from spc.linalg import FloatArray
from spc.sem.engine.joint import State
from spc.sem.engine.least_squares import search_squares

TIMES = np.linspace(0.0, 2.0, 9)


@dataclass(frozen=True, eq=False)
class Decay:
    """``y`` less ``a exp(-b t)``, which is nothing where b is negative."""

    y: FloatArray
    size: float = 3.0

    def implied(self, x: FloatArray) -> FloatArray | None:
        return x if x[1] >= 0.0 else None

    def residual(self, at: FloatArray) -> FloatArray:
        return np.asarray(self.y - at[0] * np.exp(-at[1] * TIMES))

    def jacobian(self, at: FloatArray) -> FloatArray:
        falling = np.exp(-at[1] * TIMES)
        return np.stack([falling, -at[0] * TIMES * falling], axis=1)

    def state(self, at: FloatArray) -> State:
        left = self.residual(at)
        return State(self.size * float(left @ left), ())


def test_the_search_finds_an_exact_curve() -> None:
    end = search_squares(Decay(2.0 * np.exp(-0.7 * TIMES)), np.array([0.5, 3.0]))
    assert end is not None and end.converged
    np.testing.assert_allclose(end.x, [2.0, 0.7], atol=1e-7)
    assert end.value < 1e-14


@pytest.mark.parametrize("newton_steps", [0, 12])
def test_the_gradient_is_zero_at_the_end_of_a_bad_fit(newton_steps: int) -> None:
    squares = Decay(np.cos(3.0 * TIMES) + 1.0)
    end = search_squares(squares, np.array([1.0, 1.0]), newton_steps=newton_steps)
    assert end is not None and end.converged
    slope = squares.jacobian(end.x).T @ squares.residual(end.x)
    np.testing.assert_allclose(slope, 0.0, atol=1e-6)
    jacobian = squares.jacobian(end.x)
    np.testing.assert_allclose(end.information, 3.0 * jacobian.T @ jacobian)


def test_a_search_that_cannot_start_or_end_says_so() -> None:
    squares = Decay(2.0 * np.exp(-0.7 * TIMES))
    assert search_squares(squares, np.array([1.0, -1.0])) is None
    short = search_squares(squares, np.array([0.5, 3.0]), max_iterations=1)
    assert short is not None and not short.converged and short.iterations == 1


@dataclass(frozen=True, eq=False)
class Ceiling:
    """One less ``x / (1 + x)``, which is least where x is infinite."""

    size: float = 1.0

    def implied(self, x: FloatArray) -> FloatArray:
        return x

    def residual(self, at: FloatArray) -> FloatArray:
        return 1.0 / (1.0 + at)

    def jacobian(self, at: FloatArray) -> FloatArray:
        return (1.0 / (1.0 + at) ** 2)[:, None]

    def state(self, at: FloatArray) -> State:
        return State(float(self.residual(at)[0] ** 2), ())


def test_a_search_that_runs_away_ends_early() -> None:
    end = search_squares(Ceiling(), np.array([0.5]))
    assert end is not None and not end.converged
    assert end.iterations < 25
    assert end.x[0] > 1e3
