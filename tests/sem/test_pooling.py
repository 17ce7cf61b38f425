"""Pooled correlations: a published two-stage analysis, closed forms, and simulated truth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError, EstimationError, UnsupportedError
from spc.moments import Moments
from spc.sem import fit
from spc.sem.pooling import PooledCorrelations, StudyCorrelations, pool_correlations, pooled_paths

PUBLISHED = json.loads((Path(__file__).parents[1] / "reference" / "pooled_correlations.json").read_text())
NAMES = ("C1", "P1", "C2", "P2")
PAIRS = ((1, 0), (2, 0), (3, 0), (2, 1), (3, 1), (3, 2))


def matrix(values: list[float]) -> np.ndarray:
    r = np.eye(4)
    for (i, j), value in zip(PAIRS, values, strict=True):
        r[i, j] = r[j, i] = value
    return r


@pytest.fixture(scope="module")
def studies() -> list[StudyCorrelations]:
    both = zip(PUBLISHED["n"], PUBLISHED["correlations"], strict=True)
    return [StudyCorrelations(f"study {i}", n, NAMES, matrix(r)) for i, (n, r) in enumerate(both)]


@pytest.fixture(scope="module")
def pooled(studies: list[StudyCorrelations]) -> PooledCorrelations:
    return pool_correlations(studies)


def test_stage_one_is_the_published_one(pooled: PooledCorrelations) -> None:
    # printed to six decimals
    np.testing.assert_allclose(pooled.estimate, PUBLISHED["pooled"], atol=1e-6)
    np.testing.assert_allclose(pooled.vcov, PUBLISHED["acov"], atol=1e-6)


def test_stage_two_is_the_published_one(pooled: PooledCorrelations) -> None:
    table = pooled_paths(PUBLISHED["model"], pooled).tidy()
    table.index = pd.Index(table["lhs"] + " " + table["op"] + " " + table["rhs"])
    for name, value in PUBLISHED["paths"].items():
        assert table.loc[name, "estimate"] == pytest.approx(value, abs=2e-6)
    for name, value in PUBLISHED["se"].items():
        assert table.loc[name, "std_error"] == pytest.approx(value, abs=2e-6)


def test_the_order_of_studies_and_variables_changes_nothing(
    studies: list[StudyCorrelations], pooled: PooledCorrelations
) -> None:
    turned = [
        StudyCorrelations(s.name, s.n, s.names[::-1], s.correlation[::-1, ::-1].copy()) for s in reversed(studies)
    ]
    other = pool_correlations(turned)
    place = [other.names.index(name) for name in NAMES]
    np.testing.assert_allclose(other.correlation[np.ix_(place, place)], pooled.correlation, atol=1e-6)


def test_without_differences_the_pool_is_the_weighted_mean() -> None:
    values, sizes = [0.30, 0.45, 0.38], [100, 300, 200]
    pair = [
        StudyCorrelations(str(n), n, ("x", "y"), np.array([[1, r], [r, 1]])) for r, n in zip(values, sizes, strict=True)
    ]
    found = pool_correlations(pair, random=False)
    mean = np.average(values, weights=sizes)
    assert found.estimate[0] == pytest.approx(mean, abs=1e-12)
    assert found.vcov[0, 0] == pytest.approx((1 - mean**2) ** 2 / 600, rel=1e-12)
    expected = sum(n * (r - mean) ** 2 for r, n in zip(values, sizes, strict=True)) / (1 - mean**2) ** 2
    assert found.q == pytest.approx(expected, rel=1e-12)
    assert found.q_df == 2


def test_holes_are_filled_from_the_studies_that_have_the_pair(studies: list[StudyCorrelations]) -> None:
    part = [
        StudyCorrelations(s.name, s.n, s.names[:3], s.correlation[:3, :3].copy()) if i % 2 else s
        for i, s in enumerate(studies)
    ]
    found = pool_correlations(part)
    assert found.k.tolist() == [17, 17, 9, 17, 9, 9]
    assert np.isfinite(found.estimate).all()
    full = pool_correlations([s for i, s in enumerate(studies) if i % 2 == 0])
    assert found.estimate[4] == pytest.approx(full.estimate[4], abs=0.05)


def test_a_hole_in_every_study_stops_the_path_model(studies: list[StudyCorrelations]) -> None:
    first = [StudyCorrelations("a", 50, ("x", "m"), np.array([[1, 0.4], [0.4, 1]])),
             StudyCorrelations("b", 60, ("m", "y"), np.array([[1, 0.5], [0.5, 1]])),
             StudyCorrelations("c", 60, ("m", "y"), np.array([[1, 0.3], [0.3, 1]]))]  # fmt: skip
    found = pool_correlations(first)
    assert {note.code for note in found.notes()} == {"one_study", "holes"}
    with pytest.raises(DataError, match="no study that reports them"):
        pooled_paths("m ~ x\ny ~ m", found)


def test_reliability_divides_correlations_and_widens_errors() -> None:
    def made(reliability: dict[str, float]) -> list[StudyCorrelations]:
        return [
            StudyCorrelations(str(n), n, ("x", "y"), np.array([[1, r], [r, 1]]), reliability)
            for r, n in [(0.30, 200), (0.36, 300)]
        ]

    raw = pool_correlations(made({}), random=False)
    corrected = pool_correlations(made({"x": 0.8, "y": 0.5}), random=False)
    assert corrected.estimate[0] == pytest.approx(raw.estimate[0] / np.sqrt(0.4), rel=1e-12)
    assert corrected.vcov[0, 0] == pytest.approx(raw.vcov[0, 0] / 0.4, rel=1e-12)
    ignored = pool_correlations(made({"x": 0.8, "y": 0.5}), random=False, correct=False)
    assert ignored.estimate[0] == raw.estimate[0]


def test_paths_of_one_matrix_are_those_of_the_engine() -> None:
    r = np.array([[1, 0.5, 0.35, 0.3], [0.5, 1, 0.55, 0.4], [0.35, 0.55, 1, 0.6], [0.3, 0.4, 0.6, 1]])
    same = [StudyCorrelations(str(i), 500, ("x", "m", "n", "y"), r) for i in range(2)]
    text = "m ~ x\nn ~ m + x\ny ~ n + m + x"
    paths = pooled_paths(text, pool_correlations(same, random=False)).tidy()
    one = fit(text, Moments.from_correlation(("x", "m", "n", "y"), 1000, r)).tidy()
    both = paths[paths["op"] == "~"].merge(one[one["op"] == "~"], on=["lhs", "rhs"])
    np.testing.assert_allclose(both["estimate_x"], both["std_all_y"], atol=1e-8)


def test_intervals_hold_where_studies_differ() -> None:
    rng = np.random.default_rng(7)
    truth, tau, covered = 0.4, 0.12, []
    for _ in range(200):
        sizes = rng.integers(60, 300, 20)
        inside = []
        for i, n in enumerate(sizes):
            rho = np.clip(truth + tau * rng.standard_normal(), -0.9, 0.9)
            x = rng.standard_normal((n, 2)) @ np.linalg.cholesky(np.array([[1, rho], [rho, 1]])).T
            r = np.corrcoef(x.T)[0, 1]
            inside.append(StudyCorrelations(str(i), int(n), ("x", "y"), np.array([[1, r], [r, 1]])))
        row = pool_correlations(inside).tidy().iloc[0]
        covered.append(row["conf_low"] <= truth <= row["conf_high"])
    # 200 draws: two errors about .94, what maximum likelihood of tau reaches with 20 studies
    assert 0.89 <= np.mean(covered) <= 0.985


@pytest.mark.parametrize(
    ("text", "error"),
    [("y ~ x\nx ~ y", UnsupportedError), ("f =~ x + y", UnsupportedError), ("y ~ a*x", UnsupportedError),
     ("z ~ x", DataError)],
)  # fmt: skip
def test_models_without_a_method_are_refused(text: str, error: type[Exception]) -> None:
    same = [StudyCorrelations(str(i), 80, ("x", "y"), np.array([[1, 0.3], [0.3, 1]])) for i in range(2)]
    with pytest.raises(error):
        pooled_paths(text, pool_correlations(same))


@pytest.mark.parametrize(
    ("n", "correlation", "reliability", "words"),
    [
        (50, [[1, 0.3]], {}, "a matrix of"),
        (2, [[1, 0.3], [0.3, 1]], {}, "n = 2"),
        (50, [[1, 0.3], [0.4, 1]], {}, "not symmetric"),
        (50, [[1, 1.3], [1.3, 1]], {}, "correlations between"),
        (50, [[1, 0.3], [0.3, 1]], {"x": 0.0}, "reliabilities"),
    ],
)
def test_bad_matrices_are_refused(
    n: int, correlation: list[list[float]], reliability: dict[str, float], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        StudyCorrelations("a", n, ("x", "y"), np.array(correlation, dtype=float), reliability)


def test_contradicting_studies_are_refused() -> None:
    r = np.array([[1, 0.95], [0.95, 1]])
    three = [StudyCorrelations("a", 100, ("x", "y"), r), StudyCorrelations("b", 100, ("y", "z"), r),
             StudyCorrelations("c", 100, ("x", "z"), -r + 2 * np.eye(2))]  # fmt: skip
    with pytest.raises(EstimationError, match="contradict"):
        pool_correlations(three)
    with pytest.raises(DataError, match="at least 2"):
        pool_correlations(three[:1])
