"""Searches of many draws at once: the same ends as one by one, and what becomes of draws that cannot be fitted."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from spc.errors import SpcWarning
from spc.moments import Moments
from spc.sem import SemFit, fit, refit
from spc.sem.engine.ml import curvature, score_and_information
from spc.sem.resampling.batch import Draws, search_all
from spc.spec import model

RNG = np.random.default_rng(20260922)
LATENT = RNG.normal(size=(400, 2)) @ np.array([[1.0, 0.6], [0.0, 0.8]])
LOADINGS = np.array([[1.0, 0.0], [0.8, 0.0], [0.7, 0.0], [0.0, 1.0], [0.0, 0.9], [0.0, 0.6]])
ROWS = LATENT @ LOADINGS.T + RNG.normal(size=(400, 6)) * 0.7 + [10.0, 0.0, 0.0, -5.0, 0.0, 0.0]
NAMES = ("a1", "a2", "a3", "b1", "b2", "b3", "c1", "c2")
LOOP = np.linalg.inv(np.array([[1.0, -0.3], [-0.4, 1.0]]))
ROWS = np.hstack([ROWS, (ROWS[:, [1, 4]] + RNG.normal(size=(400, 2))) @ LOOP.T])
FACTORS = "f =~ a1 + a2 + a3\ng =~ b1 + b2 + b3\n"
MODELS = {
    "latent regression": (FACTORS + "g ~ f", {}),
    "means": (FACTORS + "g ~ f", {"meanstructure": True}),
    "equalities": ("f =~ a1 + l*a2 + l*a3\ng =~ b1 + m*b2 + k*b3\nm == 1.2*k", {}),
    "residual covariance": (FACTORS + "a1 ~~ b1", {}),
    "held covariates": ("b1 ~ a1 + a2\nb2 ~ b1 + a3\nb3 ~ a1", {}),
    "held covariates and means": ("b1 ~ a1 + a2\nb2 ~ b1 + a3\nb3 ~ a1", {"meanstructure": True}),
    "latent on covariates": ("g =~ b1 + b2 + b3\ng ~ a1 + a2\nb3 ~ a3", {"meanstructure": True}),
    "loop": ("c1 ~ a2 + c2\nc2 ~ b2 + c1", {}),
    "second order": (FACTORS + "h =~ 1*f + 1*g", {}),
    "nothing latent, nothing directed": ("a1 ~~ b1\na2 ~~ a2", {}),
}


def start_of(name: str) -> SemFit:
    text, options = MODELS[name]
    made = model(text, **options)
    columns = [NAMES.index(item) for item in made.observed]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(made, Moments(made.observed, 400, ROWS[:, columns].mean(axis=0), np.cov(ROWS[:, columns].T)))


def metric_of(fitted: SemFit) -> np.ndarray:
    problem = fitted.problem
    information = score_and_information(problem.place, fitted.point, problem.sample, problem.active)[1]
    return np.asarray(
        problem.map.T
        @ (information + curvature(problem.place, fitted.point, problem.sample, problem.active))
        @ problem.map
    )


def resampled(fitted: SemFit, count: int) -> tuple[list[Moments], Draws]:
    place, scale = fitted.problem.place, fitted.problem.scale[: fitted.problem.place.n_observed]
    columns = [NAMES.index(item) for item in place.observed]
    moments = []
    for i in range(count):
        rows = ROWS[np.random.default_rng(i).integers(400, size=400)][:, columns]
        moments.append(Moments(place.observed, 400, rows.mean(axis=0), np.cov(rows.T)))
    cov = np.array([m.cov * 399 / 400 / np.outer(scale, scale) for m in moments])
    means = np.array([m.mean / scale for m in moments if m.mean is not None])
    return moments, Draws(cov, means if place.meanstructure else None, np.full(count, 400))


@pytest.mark.parametrize("name", MODELS)
def test_same_ends_as_one_by_one(name: str) -> None:
    fitted = start_of(name)
    moments, draws = resampled(fitted, 12)
    problem = fitted.problem
    ends = search_all(problem, problem.coordinates(fitted.solution.theta), metric_of(fitted), draws)
    assert ends.usable.all()
    assert ends.converged.all()
    error = np.sqrt(fitted.vcov.diagonal())
    for x, value, m in zip(ends.x, ends.value, moments, strict=True):
        alone = refit(fitted, m)
        assert value == pytest.approx(alone.value, abs=1e-10)
        assert value <= alone.value + 1e-12
        assert np.allclose(problem.theta(x) / error, alone.theta / error, rtol=0, atol=2e-6)


def test_moments_without_inverse_are_told_apart() -> None:
    fitted = start_of("latent regression")
    _, draws = resampled(fitted, 4)
    cov = draws.cov.copy()
    cov[1] = np.outer(np.ones(6), np.ones(6))
    cov[2, 0, 0] = -1.0
    problem = fitted.problem
    ends = search_all(problem, problem.coordinates(fitted.solution.theta), metric_of(fitted), Draws(cov, None, draws.n))
    assert ends.usable.tolist() == [True, False, False, True]
    assert ends.converged.tolist() == [True, False, False, True]


def test_a_draw_far_away_does_not_disturb_the_others() -> None:
    fitted = start_of("latent regression")
    _, draws = resampled(fitted, 3)
    cov = draws.cov.copy()
    cov[1] = np.eye(6) + 1e-3
    problem = fitted.problem
    start, metric = problem.coordinates(fitted.solution.theta), metric_of(fitted)
    together = search_all(problem, start, metric, Draws(cov, None, draws.n))
    for at in (0, 2):
        alone = search_all(problem, start, metric, Draws(cov[[at]], None, draws.n[[at]]))
        assert np.allclose(together.x[at], alone.x[0], rtol=1e-12, atol=1e-12)


def test_a_bad_metric_still_ends_right_or_says_so() -> None:
    fitted = start_of("means")
    _, draws = resampled(fitted, 6)
    problem = fitted.problem
    start = problem.coordinates(fitted.solution.theta)
    good = search_all(problem, start, metric_of(fitted), draws)
    bad = search_all(problem, start, np.eye(problem.size), draws)
    both = good.converged & bad.converged
    assert np.allclose(good.x[both], bad.x[both], atol=1e-6)
