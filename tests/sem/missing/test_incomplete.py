"""The likelihood of incomplete rows against its definition, row by row, and against finite differences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spc.linalg import FloatArray, unvech, vech
from spc.moments import Patterns
from spc.sem.missing.incomplete import (
    curvature_in_moments,
    information_in_moments,
    lay_out,
    likelihood,
    variation_in_moments,
)

P = 4


def rows(n: int = 60, share: float = 0.3, seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, P)) @ (np.eye(P) + 0.3 * rng.normal(size=(P, P))) + 1.0
    values[rng.random(values.shape) < share] = np.nan
    return values[~np.isnan(values).all(axis=1)]


def laid(values: FloatArray):
    return lay_out(Patterns.from_frame(pd.DataFrame(values, columns=list("abcd"))), np.ones(P))


def by_definition(values: FloatArray, mu: FloatArray, sigma: FloatArray) -> float:
    total = 0.0
    for row in values:
        seen = ~np.isnan(row)
        block, gap = sigma[np.ix_(seen, seen)], (row - mu)[seen]
        total += np.linalg.slogdet(block)[1] + gap @ np.linalg.solve(block, gap)
    return total / len(values)


def point(seed: int = 1) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    root = np.eye(P) + 0.3 * rng.normal(size=(P, P))
    return 1.0 + 0.2 * rng.normal(size=P), root @ root.T


def stacked(mu: FloatArray, sigma: FloatArray) -> FloatArray:
    return np.concatenate([mu, vech(sigma)])


def slope(data, at: FloatArray) -> FloatArray:
    """Minus half of the gradient in means and ``vech(sigma)``."""
    found = likelihood(data, at[:P], unvech(at[P:]))
    tension = found.tension * np.where(np.eye(P) > 0, 0.5, 1.0)
    return np.concatenate([found.pull, vech(tension)])


def differences(function, at: FloatArray, h: float = 1e-5) -> FloatArray:
    return np.array([(function(at + step) - function(at - step)) / (2 * h) for step in h * np.eye(at.size)])


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.6])
def test_value_is_the_sum_over_rows(share: float) -> None:
    values, (mu, sigma) = rows(share=share), point()
    assert likelihood(laid(values), mu, sigma).value == pytest.approx(by_definition(values, mu, sigma), rel=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_gradient(share: float) -> None:
    values, at = rows(share=share), stacked(*point())
    numeric = differences(lambda z: by_definition(values, z[:P], unvech(z[P:])), at)
    np.testing.assert_allclose(slope(laid(values), at), -0.5 * numeric, atol=1e-8)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_observed_information(share: float) -> None:
    data, at = laid(rows(share=share)), stacked(*point())
    found = curvature_in_moments(data, likelihood(data, at[:P], unvech(at[P:])))
    np.testing.assert_allclose(found, -differences(lambda z: slope(data, z), at), atol=1e-7)


def test_blocks_of_patterns_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    data, (mu, sigma) = laid(rows()), point()
    at = likelihood(data, mu, sigma)
    whole = curvature_in_moments(data, at), information_in_moments(data, at.inverse)
    monkeypatch.setattr("spc.sem.missing.incomplete._BLOCK", 3 * P * P)
    np.testing.assert_allclose(curvature_in_moments(data, at), whole[0], atol=1e-12)
    np.testing.assert_allclose(information_in_moments(data, at.inverse), whole[1], atol=1e-12)


def test_expected_information_is_the_mean_of_the_observed_one() -> None:
    rng = np.random.default_rng(5)
    mu, sigma = point()
    values = rng.multivariate_normal(mu, sigma, size=40_000)
    values[rng.random(values.shape) < 0.3] = np.nan
    data = laid(values[~np.isnan(values).all(axis=1)])
    at = likelihood(data, mu, sigma)
    expected = information_in_moments(data, at.inverse)
    scale = np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))
    np.testing.assert_allclose(curvature_in_moments(data, at) / scale, expected / scale, atol=0.03)


def test_scores_of_rows_add_up() -> None:
    values, (mu, sigma) = rows(), point()
    single = Patterns(
        tuple("abcd"), ~np.isnan(values), np.ones(len(values)), np.nan_to_num(values), np.empty((0, P)),
        np.empty(0, dtype=np.intp),
    )  # fmt: skip
    data = lay_out(single, np.ones(P))
    at = likelihood(data, mu, sigma)
    scores = np.array([slope(laid(row[None]), stacked(mu, sigma)) for row in values])
    np.testing.assert_allclose(variation_in_moments(data, at), scores.T @ scores / len(values), atol=1e-12)
    cluster = np.arange(len(values)) % 7
    sums = np.array([scores[cluster == k].sum(axis=0) for k in range(7)])
    np.testing.assert_allclose(variation_in_moments(data, at, cluster), sums.T @ sums / len(values) * 7 / 6, atol=1e-12)


def test_no_value_without_a_covariance_matrix() -> None:
    assert likelihood(laid(rows()), np.zeros(P), -np.eye(P)) is None
