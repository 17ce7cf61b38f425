"""The search reaches the optimum, says when it does not, and needs few steps."""

from __future__ import annotations

import numpy as np
import pytest

from spc.moments import Moments
from spc.sem.engine.ml import discrepancy
from spc.sem.engine.optimise import Solution, derivatives, search
from spc.sem.engine.problem import Problem, prepare
from spc.sem.engine.start import WAYS, start_values
from spc.spec import model

NAMES = [f"x{i}" for i in range(1, 7)]
TEXT = "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6"


def problem_of(text: str = TEXT, seed: int = 2, n: int = 300) -> Problem:
    rng = np.random.default_rng(seed)
    f = rng.standard_normal((n, 2)) @ np.array([[1.0, 0.5], [0.0, 0.8]])
    rows = np.repeat(f, 3, axis=1) * 0.8 + 0.6 * rng.standard_normal((n, 6))
    made = model(text)
    return prepare(made, Moments(NAMES, n, None, np.cov(rows.T)).restrict(made.observed), "normal")


def test_the_gradient_is_zero_at_the_end() -> None:
    problem = problem_of()
    end = search(problem, start_values(problem))
    assert end is not None
    assert end.converged
    assert end.iterations < 12
    point = discrepancy(problem.place, problem.values(end.x), problem.sample)
    assert point is not None
    assert np.abs(derivatives(problem, point)[0]).max() < 1e-8


def test_all_starts_end_in_one_place() -> None:
    problem = problem_of()
    ends = [search(problem, start_values(problem, way)) for way in WAYS]
    assert ends[0] is not None
    for end in ends[1:]:
        assert end is not None
        np.testing.assert_allclose(end.x, ends[0].x, atol=1e-7)


def test_a_model_that_misfits_badly_still_takes_few_steps() -> None:
    problem = problem_of("f =~ x1 + x2 + x3 + x4 + x5 + x6")
    end = search(problem, start_values(problem))
    assert end is not None
    assert end.converged
    assert end.point.value > 0.3
    assert end.iterations < 20


def test_too_few_steps_are_not_convergence() -> None:
    problem = problem_of()
    end = search(problem, start_values(problem), max_iterations=1)
    assert end is not None
    assert not end.converged


def test_no_search_from_an_impossible_start() -> None:
    problem = problem_of()
    assert search(problem, -start_values(problem)) is None


def test_solution_is_read_only() -> None:
    solution = Solution(np.ones(2), 0.0, 0.0, 3, "not converged", "stopped")
    assert not solution.converged
    with pytest.raises(ValueError, match="read-only"):
        solution.theta[0] = 2.0


def test_improper_samples_converge_where_there_is_an_optimum() -> None:
    """Small samples and weak items: Heywood cases and long flat valleys are ordinary there."""
    ends = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        f = rng.standard_normal((40, 2)) @ np.array([[1.0, 0.4], [0.0, 0.9]])
        rows = np.repeat(f, 3, axis=1) * 0.6 + 0.8 * rng.standard_normal((40, 6))
        made = model(TEXT)
        problem = prepare(made, Moments(NAMES, 40, None, np.cov(rows.T)), "normal")
        ends.append(search(problem, start_values(problem)))
    reached = [end for end in ends if end is not None and end.converged]
    assert len(reached) >= 55
    assert np.median([end.iterations for end in reached]) <= 12
