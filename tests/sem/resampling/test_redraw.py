"""Moments of draws: the same as those of copied rows."""

from __future__ import annotations

import numpy as np
import pytest

from spc.moments import Moments
from spc.resample import replicate_rng
from spc.sem.engine.problem import Problem, prepare
from spc.sem.resampling import redraw as module
from spc.sem.resampling.redraw import Units, by_rows, from_normal, like_model
from spc.spec import model

N, SEED = 60, 11
NAMES = ("x", "m", "y")
RNG = np.random.default_rng(5)
ROWS = RNG.normal(size=(N, 3)) @ np.array([[1.0, 0.4, 0.2], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]]) + [100.0, -3.0, 0.0]


def problem(likelihood: str = "normal", *, means: bool = True) -> Problem:
    cov = np.cov(ROWS.T)
    text = model("y ~ m\nm ~ x", meanstructure=means)
    order = [NAMES.index(name) for name in text.observed]
    return prepare(text, Moments(text.observed, N, ROWS.mean(axis=0)[order], cov[np.ix_(order, order)]), likelihood)


@pytest.mark.parametrize("likelihood", ["normal", "wishart"])
@pytest.mark.parametrize("chunked", [False, True])
def test_rows(likelihood: str, chunked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if chunked:
        monkeypatch.setattr(module, "_KEPT", 0)
        monkeypatch.setattr(module, "_CHUNK", 7)
    draws = by_rows([ROWS], [problem(likelihood)], SEED, Units((N,)))([0, 3, 4])[0]
    assert draws.mean is not None
    for at, i in enumerate([0, 3, 4]):
        copied = ROWS[replicate_rng(SEED, i).integers(N, size=N)]
        assert np.allclose(draws.cov[at], np.cov(copied.T, bias=likelihood == "normal"), rtol=1e-11, atol=1e-12)
        assert np.allclose(draws.mean[at], copied.mean(axis=0), rtol=1e-13)
    assert list(draws.n) == [N] * 3


@pytest.mark.parametrize("chunk", [7, 4096])
def test_clusters(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", chunk)
    codes = np.sort(RNG.integers(9, size=N))
    codes = np.unique(codes, return_inverse=True)[1]
    k = codes.max() + 1
    draws = by_rows([ROWS], [problem(means=False)], SEED, Units((N,), (codes,)))([2, 5])[0]
    assert draws.mean is None
    for at, i in enumerate([2, 5]):
        picked = replicate_rng(SEED, i).integers(k, size=k)
        copied = np.concatenate([ROWS[codes == j] for j in picked])
        assert draws.n[at] == len(copied)
        assert np.allclose(draws.cov[at], np.cov(copied.T, bias=True), rtol=1e-11, atol=1e-12)


def test_no_digits_are_lost_far_from_zero() -> None:
    near = by_rows([ROWS - ROWS.mean(axis=0)], [problem()], SEED, Units((N,)))([0])[0]
    far = by_rows([ROWS - ROWS.mean(axis=0) + 1e7], [problem()], SEED, Units((N,)))([0])[0]
    assert np.allclose(near.cov, far.cov, rtol=1e-7, atol=1e-8)


def test_normal_draws_have_the_population_as_their_mean() -> None:
    cov = np.array([[1.0, 0.5, 0.1], [0.5, 2.0, 0.3], [0.1, 0.3, 1.5]])
    draws = from_normal([problem()], [cov], [np.array([1.0, 2.0, 3.0])], 1)(range(4000))[0]
    assert draws.mean is not None
    assert np.allclose(draws.cov.mean(axis=0), cov * (N - 1) / N, atol=0.03)
    assert np.allclose(draws.mean.mean(axis=0), [1.0, 2.0, 3.0], atol=0.02)
    assert np.allclose(np.cov(draws.mean.T), cov / N, atol=0.003)
    # Variance of a Wishart entry: (s_ij^2 + s_ii s_jj) (n - 1), here over n^2.
    spread = draws.cov.var(axis=0)
    wanted = (cov**2 + np.outer(cov.diagonal(), cov.diagonal())) * (N - 1) / N**2
    assert np.allclose(spread, wanted, rtol=0.12)


def test_turned_rows_have_the_model_exactly() -> None:
    cov = np.array([[1.0, 0.5, 0.1], [0.5, 2.0, 0.3], [0.1, 0.3, 1.5]])
    turned = like_model(ROWS, cov, np.array([4.0, 5.0, 6.0]))
    assert np.allclose(np.cov(turned.T, bias=True), cov, rtol=1e-13, atol=1e-13)
    assert np.allclose(turned.mean(axis=0), [4.0, 5.0, 6.0], rtol=1e-13)


def test_groups_are_drawn_apart_and_the_first_as_if_alone() -> None:
    both = [ROWS, ROWS[:40] * 2.0]
    units = Units((N, 40))
    first, second = by_rows(both, [problem(), problem()], SEED, units)([3])
    alone = by_rows([ROWS], [problem()], SEED, Units((N,)))([3])[0]
    assert np.array_equal(first.cov, alone.cov)
    assert list(first.n) == [N]
    assert list(second.n) == [40]


def test_clusters_stay_in_their_group_unless_they_span_groups() -> None:
    apart = Units((4, 3), (np.array([0, 0, 1, 1]), np.array([2, 3, 3])))
    for i in range(20):
        first, second = apart.of_rows(SEED, i)
        assert first[[0, 2]].sum() == 2
        assert second[[0, 1]].sum() == 2
        assert first[0] == first[1]
    spanning = Units((4, 3), (np.array([0, 0, 1, 1]), np.array([1, 2, 2])))
    for i in range(20):
        first, second = spanning.of_rows(SEED, i)
        assert first[2] == second[0]
        assert first[0] + first[2] + second[1] == 3
