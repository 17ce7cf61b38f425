"""Sums over rows: against their definitions, from rows and from moments of order 4."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spc.linalg import FloatArray, vech
from spc.moments import Moments
from spc.sem.engine.problem import prepare
from spc.sem.inference.casewise import Loads, Rows, fourth, normal_weight, rows
from spc.sem.weighted import normal_covariances
from spc.spec import model


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    x = rng.exponential(size=(80, 2))
    y = x @ rng.normal(size=(2, 2)) + rng.standard_t(5, size=(80, 2))
    return pd.DataFrame(np.hstack([y, x]), columns=["y1", "y2", "x1", "x2"])


@pytest.fixture(scope="module")
def weight() -> FloatArray:
    root = np.random.default_rng(6).normal(size=(4, 4))
    return np.asarray(root @ root.T + np.eye(4))


@pytest.fixture(scope="module")
def loads() -> Loads:
    left, right, mean = np.random.default_rng(8).normal(size=(3, 4, 5))
    return Loads(left, right, mean)


def products(seen: Rows, *, given_x: bool, shift: FloatArray | None = None) -> FloatArray:
    """What each row adds to the covariances (n, p, p)."""
    z = seen.deviations if shift is None else seen.deviations + shift
    whole = z[:, :, None] * z[:, None, :]
    if given_x and seen.predicted is not None:
        whole = whole - seen.predicted[:, :, None] * seen.predicted[:, None, :]
    return np.asarray(whole)


def cases(data: pd.DataFrame, cluster: bool) -> tuple[Rows, Moments]:
    made = model("y1 ~ x1 + x2\ny2 ~ x1", meanstructure=True)
    moments = Moments.from_frame(data, made.observed, higher=True)
    numbers = np.arange(len(data)) % 9 if cluster else None
    problem = prepare(made, moments, "normal")
    return rows(problem, data[list(made.observed)].to_numpy(), numbers), moments


def summed(values: FloatArray, seen: Rows) -> tuple[FloatArray, float]:
    if seen.starts is None:
        return values, 1.0 / len(values)
    return np.add.reduceat(values, seen.starts, axis=0), seen.starts.size / (seen.starts.size - 1.0) / len(values)


@pytest.mark.parametrize("cluster", [False, True])
@pytest.mark.parametrize("given_x", [False, True])
def test_spread_follows_its_definition(data: pd.DataFrame, weight: FloatArray, cluster: bool, given_x: bool) -> None:
    seen, _ = cases(data, cluster)
    whole = products(seen, given_x=given_x)
    whole, factor = summed(whole - whole.mean(axis=0), seen)
    turned = weight @ whole
    expected = 0.5 * np.einsum("nij,nji->", turned, turned) * factor
    assert seen.spread(weight, np.arange(4), given_x=given_x) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("cluster", [False, True])
@pytest.mark.parametrize("given_x", [False, True])
def test_meat_follows_its_definition(data: pd.DataFrame, loads: Loads, cluster: bool, given_x: bool) -> None:
    seen, _ = cases(data, cluster)
    shift = None if given_x else np.array([0.1, -0.2, 0.3, 0.05])
    whole = products(seen, given_x=given_x, shift=shift)
    assert loads.mean is not None
    z = seen.deviations - seen.predicted if given_x and seen.predicted is not None else seen.deviations
    scores = np.einsum("ir,nij,jr->nr", loads.left, whole, loads.right) + z @ loads.mean
    scores, factor = summed(scores - scores.mean(axis=0), seen)
    np.testing.assert_allclose(seen.meat(loads, shift, given_x=given_x), scores.T @ scores * factor, rtol=1e-9)


def test_a_mean_score_is_kept_in_every_row(data: pd.DataFrame, loads: Loads) -> None:
    seen, _ = cases(data, cluster=False)
    score = np.arange(5.0)
    expected = seen.meat(loads, None, given_x=False) + np.outer(score, score)
    np.testing.assert_allclose(seen.meat(loads, None, given_x=False, score=score), expected, rtol=1e-9)


@pytest.mark.parametrize("given_x", [False, True])
def test_moments_of_order_four_give_the_same_sums(
    data: pd.DataFrame, weight: FloatArray, loads: Loads, given_x: bool
) -> None:
    seen, moments = cases(data, cluster=False)
    assert moments.higher is not None
    made = model("y1 ~ x1 + x2\ny2 ~ x1", meanstructure=True)
    other = fourth(prepare(made, moments, "normal"), moments.higher, moments.cov)
    index = np.array([2, 0])
    part = weight[np.ix_(index, index)]
    assert other.spread(part, index, given_x=given_x) == pytest.approx(seen.spread(part, index, given_x=given_x))
    assert other.spread_means(weight, given_x=given_x) == pytest.approx(seen.spread_means(weight, given_x=given_x))
    shift = None if given_x else np.array([0.1, -0.2, 0.3, 0.05])
    ours = other.meat(loads, shift, given_x=given_x)
    np.testing.assert_allclose(ours, seen.meat(loads, shift, given_x=given_x), rtol=1e-8, atol=1e-10)


def test_what_covariates_predict_of_themselves_is_all_of_them(data: pd.DataFrame) -> None:
    seen, moments = cases(data, cluster=False)
    assert seen.predicted is not None
    held = [moments.names.index(name) for name in ("x1", "x2")]
    np.testing.assert_array_equal(seen.predicted[:, held], seen.deviations[:, held])
    left = seen.deviations - seen.predicted
    np.testing.assert_allclose(left.T @ seen.deviations[:, held], 0.0, atol=1e-10)


def test_normal_weight_inverts_normal_covariances(weight: FloatArray) -> None:
    covariances = normal_covariances(np.linalg.inv(weight), means=False)
    np.testing.assert_allclose(normal_weight(weight) @ covariances, np.eye(10), atol=1e-10)


def test_normal_covariances_are_those_of_normal_rows() -> None:
    cov = np.array([[2.0, 0.6], [0.6, 1.0]])
    expected = [[8.0, 2.4, 0.72], [2.4, 2.36, 1.2], [0.72, 1.2, 2.0]]
    np.testing.assert_allclose(normal_covariances(cov, means=False), expected)
    np.testing.assert_allclose(normal_covariances(cov, means=True)[:2, :2], cov)
    assert vech(cov).tolist() == [2.0, 0.6, 1.0]


@pytest.mark.parametrize("cluster", [False, True])
@pytest.mark.parametrize("given_x", [False, True])
def test_spreads_alone_are_those_of_single_variables(data: pd.DataFrame, cluster: bool, given_x: bool) -> None:
    seen, moments = cases(data, cluster)
    index, weights = np.array([1, 3, 0]), np.array([0.5, 2.0, 1.5])
    expected = sum(
        seen.spread(np.array([[w]]), np.array([j]), given_x=given_x) for w, j in zip(weights, index, strict=True)
    )
    assert seen.spread_alone(weights, index, given_x=given_x) == pytest.approx(expected, rel=1e-10)
    if not cluster and moments.higher is not None:
        problem = prepare(model("y1 ~ x1 + x2\ny2 ~ x1", meanstructure=True), moments, "normal")
        other = fourth(problem, moments.higher, moments.cov)
        assert other.spread_alone(weights, index, given_x=given_x) == pytest.approx(expected, rel=1e-8)
