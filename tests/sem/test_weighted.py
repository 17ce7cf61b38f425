"""GLS, ULS and WLS: definitions, gradients, closed forms, units. Agreement with lavaan: test_robust.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError, NonConvergenceError, NotPositiveDefiniteError, UnsupportedError
from spc.linalg import duplication, vech
from spc.moments import Moments
from spc.sem import fit, refit
from spc.sem.engine.problem import prepare
from spc.sem.engine.ram import implied
from spc.sem.fit import SemFit
from spc.sem.weighted import (
    Weight,
    normal_covariances,
    residual_moments,
    row_covariances,
    slopes,
    unweighted_sandwich,
    weight_matrix,
    weighted_search,
)
from spc.spec import model

TWO = "f =~ a1 + a2 + a3\ng =~ b1 + b2 + b3\ng ~ f"


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 300
    f = rng.exponential(size=n)
    g = 0.5 * f + rng.normal(size=n)
    items = {f"a{k}": f * load + rng.normal(size=n) for k, load in ((1, 1.0), (2, 0.8), (3, 0.6))}
    items |= {f"b{k}": g * load + 0.7 * rng.standard_t(6, size=n) for k, load in ((1, 1.0), (2, 0.9), (3, 1.2))}
    return pd.DataFrame(items)


def value(result: SemFit, lhs: str, op: str, rhs: str, column: str = "estimate") -> float:
    table = result.tidy()
    return float(table.loc[(table.lhs == lhs) & (table.op == op) & (table.rhs == rhs), column].iloc[0])


def whole_weight(method: Any, moments: Moments, *, means: bool) -> np.ndarray:
    """V of the definitions, in the units of the data."""
    p = len(moments.names)
    assert moments.higher is not None
    if method == "WLS":
        return np.linalg.inv(moments.higher if means else moments.higher[p:, p:])
    if method == "ULS":
        return np.eye(p * (p + 1) // 2 + (p if means else 0))
    inverse = np.linalg.inv(moments.cov)
    products = 0.5 * duplication(p).T @ np.kron(inverse, inverse) @ duplication(p)
    if not means:
        return products
    whole = np.zeros((p + len(products), p + len(products)))
    whole[:p, :p], whole[p:, p:] = inverse, products
    return whole


@pytest.mark.parametrize("means", [False, True])
@pytest.mark.parametrize("method", ["GLS", "ULS", "WLS"])
def test_statistic_and_errors_follow_the_definition(data: pd.DataFrame, method: Any, means: bool) -> None:
    made = model(TWO + ("\na1 ~ i*1\na2 ~ i*1" if means else ""), meanstructure=means or None)
    result = fit(made, data, estimator=method)
    moments = Moments.from_frame(data, made.observed, higher=True)
    weight = whole_weight(method, moments, means=means)
    scale = result.problem.scale[: len(moments.names)]
    sigma = result.point.at.covariance[: len(scale), : len(scale)] * np.outer(scale, scale)
    gap = vech(moments.cov - sigma)
    if means and moments.mean is not None:
        gap = np.concatenate([moments.mean - result.point.at.mean[: len(scale)] * scale, gap])
    expected = (moments.n - 1) * gap @ weight @ gap
    assert result.glance()["chisq"].iloc[0] == pytest.approx(expected, rel=1e-9)
    if method != "ULS":
        unit = np.concatenate([scale, vech(np.outer(scale, scale))]) if means else vech(np.outer(scale, scale))
        jacobian = unit[:, None] * slopes(result.problem, result.point.at)
        vcov = np.linalg.inv(jacobian.T @ weight @ jacobian) / (moments.n - 1)
        np.testing.assert_allclose(result.vcov, result.problem.spread(vcov), rtol=1e-7)


@pytest.mark.parametrize("method", ["GLS", "ULS", "WLS"])
def test_slopes_agree_with_finite_differences(data: pd.DataFrame, method: Any) -> None:
    made = model(TWO + "\na1 ~ 1", meanstructure=True)
    moments = Moments.from_frame(data, made.observed, higher=True)
    problem = prepare(made, moments, "wishart")
    x = fit(made, data, estimator=method).problem.coordinates(fit(made, data, estimator=method).solution.theta) * 1.03

    def gaps(at: np.ndarray) -> np.ndarray:
        return residual_moments(problem, implied(problem.place, problem.values(at)))

    ours = slopes(problem, implied(problem.place, problem.values(x)))
    for k in range(x.size):
        step = np.zeros_like(x)
        step[k] = 1e-6
        np.testing.assert_allclose(-(gaps(x + step) - gaps(x - step)) / 2e-6, ours[:, k], atol=1e-8)


def test_the_optimum_is_flat_and_lowest_nearby(data: pd.DataFrame) -> None:
    rng = np.random.default_rng(0)
    for method in ("GLS", "ULS", "WLS"):
        result = fit(TWO, data, estimator=method)
        problem, weight = result.problem, result.weight
        assert isinstance(weight, Weight)
        x = problem.coordinates(result.solution.theta)
        for _ in range(20):
            near = x + 0.01 * rng.normal(size=x.size)
            gap = weight.apply(residual_moments(problem, implied(problem.place, problem.values(near)))[:, None])
            assert weight.constant * float((gap**2).sum()) > result.point.value


def test_gls_errors_of_a_saturated_model_are_those_of_normal_covariances(data: pd.DataFrame) -> None:
    pair = data[["a1", "b1"]]
    result = fit("a1 ~~ b1", pair, estimator="GLS")
    cov = pair.cov().to_numpy()
    expected = math.sqrt((cov[0, 0] * cov[1, 1] + cov[0, 1] ** 2) / (len(pair) - 1))
    assert value(result, "a1", "~~", "b1") == pytest.approx(cov[0, 1], rel=1e-10)
    assert value(result, "a1", "~~", "b1", "std_error") == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("method", ["ULS", "WLS"])
def test_free_of_assumptions_means_the_fourth_moment(data: pd.DataFrame, method: Any) -> None:
    pair = data[["a1", "b1"]]
    result = fit("a1 ~~ b1", pair, estimator=method)
    z = pair - pair.mean()
    product = z["a1"] * z["b1"]
    expected = math.sqrt(product.var(ddof=0) / (len(pair) - 1))
    assert value(result, "a1", "~~", "b1", "std_error") == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("method", ["GLS", "WLS"])
def test_units_change_nothing_but_units(data: pd.DataFrame, method: Any) -> None:
    before, after = (fit(TWO, frame, estimator=method) for frame in (data, data.assign(b2=data["b2"] * 1e5)))
    for column in ("estimate", "std_error"):
        one, other = value(before, "g", "=~", "b2", column), value(after, "g", "=~", "b2", column)
        assert other == pytest.approx(one * 1e5, rel=1e-6)
    assert after.glance()["chisq"].iloc[0] == pytest.approx(before.glance()["chisq"].iloc[0], rel=1e-8)


def test_all_items_in_other_units_leave_uls_alone(data: pd.DataFrame) -> None:
    before, after = (fit(TWO, frame, estimator="ULS") for frame in (data, data * 1000.0))
    for column in ("estimate", "std_error"):
        one, other = value(before, "g", "=~", "b2", column), value(after, "g", "=~", "b2", column)
        assert other == pytest.approx(one, rel=1e-6)
    glances = [result.glance().iloc[0] for result in (before, after)]
    assert glances[1]["chisq_scaled"] == pytest.approx(glances[0]["chisq_scaled"], rel=1e-7)
    assert math.isnan(glances[0]["pvalue"]) and glances[0]["pvalue_scaled"] > 0


def test_published_moments_do_for_gls_and_uls(data: pd.DataFrame) -> None:
    moments = Moments.from_frame(data)
    published = Moments(moments.names, moments.n, None, moments.cov)
    plain = fit(TWO, data, estimator="GLS")
    np.testing.assert_allclose(fit(TWO, published, estimator="GLS").vcov, plain.vcov, rtol=1e-10)
    rows, normal = fit(TWO, data, estimator="ULS"), fit(TWO, published, estimator="ULS")
    np.testing.assert_allclose(normal.solution.theta, rows.solution.theta, rtol=1e-8)
    assert np.all(normal.vcov.diagonal() > 0) and not np.allclose(normal.vcov, rows.vcov, rtol=0.01)


def test_uls_under_normal_moments_is_worth_less_than_gls(data: pd.DataFrame) -> None:
    moments = Moments.from_frame(data)
    made = model(TWO)
    problem = prepare(made, moments, "wishart")
    weight = weight_matrix("ULS", problem, None)
    end = weighted_search(problem, np.array(problem.coordinates(fit(made, data).solution.theta)), [weight])
    assert end is not None
    gamma = row_covariances("ULS", problem, moments)
    np.testing.assert_allclose(gamma, normal_covariances(problem.sample.cov * (299 / 300), means=False))
    vcov, _ = unweighted_sandwich(problem, end.state, [weight], [gamma], [[np.array([k]) for k in range(6)]])
    best = slopes(problem, end.point.at)
    least = np.linalg.inv(best.T @ np.linalg.solve(gamma, best)) / problem.divisor
    assert np.linalg.eigvalsh(vcov - least)[0] > -1e-10


def test_covariates_are_estimated_as_in_lavaan(data: pd.DataFrame) -> None:
    result = fit("a1 ~ b1 + b2", data, estimator="GLS")
    assert value(result, "b1", "~~", "b2") == pytest.approx(data[["b1", "b2"]].cov().iloc[0, 1], rel=1e-9)
    assert result.glance()["npar"].iloc[0] == 6
    read = fit(model("a1 ~ b1 + b2"), data, estimator="GLS")
    np.testing.assert_array_equal(read.vcov, result.vcov)


def test_wls_with_fewer_rows_than_moments_is_refused(data: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="20 rows for 21 moments under WLS"):
        fit(TWO, data[:20], estimator="WLS")


def test_wls_names_moments_that_follow_from_others(data: pd.DataFrame) -> None:
    yes = data.assign(b3=(data["b3"] > 0).astype(float))
    with pytest.raises(NotPositiveDefiniteError, match="b3~1"):
        fit(model(TWO, meanstructure=True), yes, estimator="WLS")
    assert fit(model(TWO), yes, estimator="WLS").solution.converged


@pytest.mark.parametrize("method", ["GLS", "ULS", "WLS"])
def test_a_refit_of_the_same_moments_returns_the_same(data: pd.DataFrame, method: Any) -> None:
    result = fit(TWO, data, estimator=method)
    again = refit(result, Moments.from_frame(data, higher=True))
    np.testing.assert_allclose(again.theta, result.solution.theta, rtol=1e-7)
    half = refit(result, Moments.from_frame(data[:200], higher=True))
    np.testing.assert_allclose(half.theta, fit(TWO, data[:200], estimator=method).solution.theta, rtol=1e-6)
    if method == "WLS":
        with pytest.raises(UnsupportedError, match="WLS needs rows"):
            refit(result, Moments.from_frame(data))


def test_a_search_that_is_cut_short_says_so(data: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spc.sem.weighted.weighted_search.__kwdefaults__", {"max_iterations": 2})
    with pytest.raises(NonConvergenceError, match="stopped after 2 steps"):
        fit(TWO, data, estimator="GLS")


def test_least_squares_has_no_likelihood(data: pd.DataFrame) -> None:
    glance = fit(TWO, data, estimator="WLS").glance().iloc[0]
    assert glance[["logl", "aic", "bic"]].isna().all()
    assert glance["estimator"] == "WLS" and 0.0 < glance["gfi"] < 1.0
