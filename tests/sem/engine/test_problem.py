"""Units, shared numbers and constraints as one linear map."""

from __future__ import annotations

import numpy as np
import pytest

from spc.errors import NotPositiveDefiniteError
from spc.linalg import FloatArray
from spc.moments import Moments
from spc.sem.engine.problem import Problem, prepare, with_moments
from spc.spec import model

NAMES = [f"x{i}" for i in range(1, 7)]
SD = np.array([1.0, 10.0, 0.1, 1000.0, 2.0, 3.0])


def cov(r: float = 0.4) -> FloatArray:
    return np.outer(SD, SD) * (np.full((6, 6), r) + (1 - r) * np.eye(6))


def problem_of(text: str, **options: bool) -> Problem:
    made = model(text, **options)
    return prepare(made, Moments(NAMES, 101, np.arange(6.0), cov()).restrict(made.observed), "wishart")


def test_observed_variables_are_measured_in_their_deviations() -> None:
    problem = problem_of("f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6")
    np.testing.assert_allclose(problem.sample.cov.diagonal(), 1.0)
    np.testing.assert_allclose(problem.scale[:6], SD)


def test_latent_variables_are_measured_in_their_marker() -> None:
    assert problem_of("f =~ x1 + x2 + x3\ng =~ 2*x4 + x5 + x6").scale[6:].tolist() == [1.0, 500.0]
    assert problem_of("f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6", std_lv=True).scale[6:].tolist() == [1.0, 1.0]
    higher = problem_of("f =~ x1 + x2\ng =~ x4 + x5\nh =~ g + f")
    assert dict(zip(higher.place.latents, higher.scale[4:], strict=True)) == {"f": 1.0, "g": 1000.0, "h": 1000.0}


def test_a_free_table_maps_as_it_is() -> None:
    assert problem_of("f =~ x1 + x2 + x3 + x4").plain
    assert not problem_of("f =~ x1 + a*x2 + a*x3 + x4").plain


@pytest.mark.parametrize("text", ["f =~ x1 + x2 + x3 + x4", "f =~ x1 + a*x2 + a*x3 + b*x4\na + b == 3"])
def test_there_and_back(text: str) -> None:
    problem = problem_of(text)
    x = np.random.default_rng(1).standard_normal(problem.size)
    theta = problem.theta(x)
    np.testing.assert_allclose(problem.coordinates(theta), x, atol=1e-10)
    np.testing.assert_allclose(problem.row_values(theta) * problem.multiplier, problem.values(x), atol=1e-10)


def test_equal_numbers_are_equal_in_the_users_units() -> None:
    problem = problem_of("f =~ x1 + a*x2 + a*x3 + x4")
    x = np.random.default_rng(1).standard_normal(problem.size)
    values = problem.values(x) / problem.multiplier
    assert values[1] == pytest.approx(values[2])


def test_draws_fill_rows_at_once() -> None:
    problem = problem_of("y ~ x1 + x2".replace("y", "x5"))
    draws = np.random.default_rng(2).standard_normal((4, len(problem.place.names)))
    rows = problem.row_values(draws)
    assert rows.shape == (4, problem.place.part.size)
    np.testing.assert_allclose(rows[3], problem.row_values(draws[3]))
    held = problem.place.sample
    np.testing.assert_allclose(rows[0, held], rows[3, held])


def test_constraints_that_say_the_same_twice_count_once() -> None:
    text = "f =~ x1 + a*x2 + b*x3 + c*x4\n"
    assert problem_of(text + "a == b").size == problem_of(text + "a == b\n2*a == 2*b").size


def test_other_moments_in_the_same_units() -> None:
    problem = problem_of("x6 ~ x1 + x2")
    names = problem.place.observed
    moved = with_moments(problem, Moments(NAMES, 51, np.arange(6.0), cov(0.2)).restrict(names))
    np.testing.assert_array_equal(moved.scale, problem.scale)
    assert (moved.n, moved.divisor) == (51, 50)
    np.testing.assert_allclose(moved.sample.cov[0, 1], 0.2)
    assert moved.sample.log_det == pytest.approx(np.linalg.slogdet(moved.sample.cov)[1])


def test_dependent_variables_are_refused() -> None:
    problem = problem_of("x6 ~ x1 + x2")
    with pytest.raises(NotPositiveDefiniteError):
        with_moments(problem, Moments(problem.place.observed, 50, None, np.ones((3, 3))))
