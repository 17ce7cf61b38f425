"""Start values: inside the region where everything is positive definite, and the user's own respected."""

from __future__ import annotations

import numpy as np
import pytest

from spc.moments import Moments
from spc.sem.engine.ml import discrepancy
from spc.sem.engine.problem import prepare
from spc.sem.engine.start import WAYS, Way, start_values
from spc.spec import model

R = np.full((6, 6), 0.4) + 0.6 * np.eye(6)
NAMES = [f"x{i}" for i in range(1, 7)]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("std_lv", [False, True])
def test_start_is_positive_definite(way: Way, std_lv: bool) -> None:
    made = model("f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\ng ~ f", std_lv=std_lv)
    problem = prepare(made, Moments(NAMES, 100, None, R), "normal")
    values = problem.values(start_values(problem, way))
    assert discrepancy(problem.place, values, problem.sample) is not None


def test_loadings_of_reversed_items_start_negative() -> None:
    sign = np.array([1, -1, 1, 1, 1, -1])
    made = model("f =~ x1 + x2 + x3 + x4 + x5 + x6")
    problem = prepare(made, Moments(NAMES, 100, None, R * np.outer(sign, sign)), "normal")
    theta = dict(zip(problem.place.names, problem.theta(start_values(problem)), strict=True))
    assert theta["f=~x2"] < 0 < theta["f=~x3"]
    assert theta["f=~x6"] < 0


def test_the_users_start_values_count_in_the_users_units() -> None:
    made = model("f =~ x1 + start(7)*x2 + x3")
    scale = np.diag([1.0, 100.0, 1.0])
    problem = prepare(made, Moments(NAMES[:3], 100, None, scale @ R[:3, :3] @ scale), "normal")
    theta = dict(zip(problem.place.names, problem.theta(start_values(problem)), strict=True))
    assert theta["f=~x2"] == pytest.approx(7.0)


def test_covariates_and_means_start_at_the_sample() -> None:
    made = model("y ~ x1 + x2", fixed_x=False, meanstructure=True)
    cov = np.array([[4.0, 1.0, 0.5], [1.0, 9.0, 0.2], [0.5, 0.2, 1.0]])
    problem = prepare(made, Moments(["y", "x1", "x2"], 101, [5.0, 6.0, 7.0], cov), "wishart")
    theta = dict(zip(problem.place.names, problem.theta(start_values(problem)), strict=True))
    assert theta["x1~~x1"] == pytest.approx(9.0)
    assert theta["x1~~x2"] == pytest.approx(0.2)
    assert theta["y~1"] == pytest.approx(5.0)


def test_paths_start_near_their_values() -> None:
    r = np.kron(np.array([[1.0, 0.5], [0.5, 1.0]]), np.full((3, 3), 0.64))
    np.fill_diagonal(r, 1.0)
    made = model("f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\ng ~ f")
    problem = prepare(made, Moments(NAMES, 500, None, r), "normal")
    near, zero = (
        dict(zip(problem.place.names, problem.theta(start_values(problem, way)), strict=True))["g~f"]
        for way in WAYS[:2]
    )
    assert near == pytest.approx(0.5, abs=0.12)
    assert zero == 0.0


def test_start_is_the_solution_where_one_factor_fits() -> None:
    loading = np.array([0.9, 0.8, -0.7, 0.6, 0.5, 0.4])
    r = np.outer(loading, loading)
    np.fill_diagonal(r, 1.0)
    made = model("f =~ x1 + x2 + x3 + x4 + x5 + x6")
    problem = prepare(made, Moments(NAMES, 400, None, r), "wishart")
    theta = dict(zip(problem.place.names, problem.theta(start_values(problem)), strict=True))
    assert theta["f=~x3"] == pytest.approx(-0.7 / 0.9)
    assert theta["x4~~x4"] == pytest.approx(0.64)
    assert theta["f~~f"] == pytest.approx(0.81)
