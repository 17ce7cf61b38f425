"""Regressions beside least squares: lme4, statsmodels and dummies as referees; simulated truth for few clusters."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.regression.methods import fixed_rows, mixed_rows, quantile_rows, random_intercept_slopes, wild_rows
from spc.regression.wild import wild_slope
from spc.results import Note

LME4 = json.loads((Path(__file__).parents[1] / "reference" / "lme4_slopes.json").read_text())


def clustered(seed: int, clusters: int = 8) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(clusters), rng.integers(3, 25, clusters))
    x = rng.normal(size=clusters)[codes] + 0.3 * rng.normal(size=codes.size)
    y = 0.5 * x + rng.normal(size=clusters)[codes] + rng.normal(size=codes.size)
    return y, np.column_stack([x, np.ones(codes.size)]), codes


@pytest.mark.parametrize("name", sorted(LME4))
def test_random_intercepts_are_those_of_lme4(name: str) -> None:
    case = {key: np.array(value) for key, value in LME4[name].items()}
    design = np.column_stack([case["x"], case["z"], np.ones(case["x"].size)])
    slopes, errors, share = random_intercept_slopes(case["y"], design, case["g"].astype(int) - 1)
    np.testing.assert_allclose(slopes[:2], case["slopes"], rtol=1e-6)
    np.testing.assert_allclose(errors[:2], case["errors"], rtol=1e-6)
    assert share == pytest.approx(float(case["share"]), abs=1e-6)


def test_units_of_the_columns_change_only_units() -> None:
    case = {key: np.array(value) for key, value in LME4["ordinary"].items()}
    design = np.column_stack([case["x"], case["z"], np.ones(case["x"].size)])
    plain = random_intercept_slopes(case["y"], design, case["g"] - 1)
    turned = random_intercept_slopes(1e6 * case["y"], design * [1e-6, 1e6, 1.0], case["g"] - 1)
    np.testing.assert_allclose(turned[0] * [1e-6, 1e6, 1.0] / 1e6, plain[0], rtol=1e-8)
    np.testing.assert_allclose(turned[1] * [1e-6, 1e6, 1.0] / 1e6, plain[1], rtol=1e-6)


def test_rows_of_the_mixed_model_carry_students_t_and_few_groups_are_named() -> None:
    case = pd.DataFrame({key: LME4["few"][key] for key in ("y", "x", "z", "g")})
    rows = mixed_rows(case, "y", ["x", "z"], case["g"], level=0.95, method="mixed model")
    assert not isinstance(rows, Note)
    from scipy.stats import t

    assert rows[0]["conf_high"] == pytest.approx(rows[0]["estimate"] + t.ppf(0.975, 5) * rows[0]["std_error"])
    few = case[case["g"] < 4]
    note = mixed_rows(few, "y", ["x"], few["g"], level=0.95, method="mixed model")
    assert isinstance(note, Note)
    assert "3 groups" in note.text


def test_fixed_effects_are_those_of_a_column_for_every_unit() -> None:
    y, x, codes = clustered(3)
    frame = pd.DataFrame({"y": y, "x": x[:, 0]})
    rows = fixed_rows(frame, "y", ["x"], codes, level=0.95, method="fixed effects")
    dummies = np.column_stack([x[:, 0], (codes[:, None] == np.arange(8)).astype(float)])
    assert rows[0]["estimate"] == pytest.approx(np.linalg.lstsq(dummies, y, rcond=None)[0][0], rel=1e-10)
    constant = frame.assign(x=codes.astype(float))
    assert fixed_rows(constant, "y", ["x"], codes, level=0.95, method="fixed effects") == []


def test_the_median_has_half_of_the_residuals_above_it() -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"x": rng.normal(size=400)})
    frame["y"] = 1.0 + 0.7 * frame["x"] + rng.exponential(size=400)
    for quantile in (0.25, 0.5, 0.75):
        row = quantile_rows(frame, "y", ["x"], quantile, level=0.95)[0]
        assert row["conf_low"] < 0.7 < row["conf_high"]
        assert f"{quantile:.0%}" in row["label"]


def test_the_clustered_error_is_that_of_statsmodels() -> None:
    from statsmodels.regression.linear_model import OLS

    y, x, codes = clustered(1)
    found = wild_slope(y, x, 0, codes, draws=99, rng=np.random.default_rng(1))
    fit = OLS(y, x).fit(cov_type="cluster", cov_kwds={"groups": codes})
    assert found.slope == pytest.approx(fit.params[0], rel=1e-12)
    assert found.error == pytest.approx(fit.bse[0], rel=1e-12)


def test_the_order_of_rows_and_the_names_of_clusters_change_nothing() -> None:
    y, x, codes = clustered(4)
    one = wild_slope(y, x, 0, codes, draws=199, rng=np.random.default_rng(5))
    order = np.random.default_rng(9).permutation(y.size)
    names = np.array([f"shop {code:02d}" for code in codes])
    two = wild_slope(y[order], x[order], 0, names[order], draws=199, rng=np.random.default_rng(5))
    assert two.p_value == one.p_value
    assert two.low == pytest.approx(one.low, abs=1e-9)


def test_ends_of_the_interval_are_where_the_p_value_crosses() -> None:
    y, x, codes = clustered(6, clusters=16)
    found = wild_slope(y, x, 0, codes, draws=399, rng=np.random.default_rng(5))
    for end, inside in ((found.low, 1.0), (found.high, -1.0)):
        step = 0.02 * inside * found.error
        p_in = wild_slope(y - (end + step) * x[:, 0], x, 0, codes, draws=399, rng=np.random.default_rng(5)).p_value
        p_out = wild_slope(y - (end - step) * x[:, 0], x, 0, codes, draws=399, rng=np.random.default_rng(5)).p_value
        assert p_out <= 0.05 < p_in + 1e-9


def test_few_clusters_keep_their_coverage_where_clustered_errors_lose_it() -> None:
    covered, naive = [], []
    for seed in range(120):
        y, x, codes = clustered(seed)
        found = wild_slope(y, x, 0, codes, draws=199, rng=np.random.default_rng(seed))
        covered.append(found.low <= 0.5 <= found.high)
        naive.append(abs(found.slope - 0.5) <= 1.96 * found.error)
    assert np.mean(covered) > 0.89  # 95 % less three errors of 120 draws
    assert np.mean(naive) < 0.88


def test_every_cause_has_its_row_whatever_the_others() -> None:
    y, x, codes = clustered(7)
    frame = pd.DataFrame({"y": y, "x": x[:, 0], "z": np.random.default_rng(1).normal(size=y.size)})
    rows = wild_rows(frame, "y", ["x", "z"], codes, level=0.9, draws=99, seed=1)
    assert [row["rhs"] for row in rows] == ["x", "z"]
    assert all(row["conf_low"] < row["estimate"] < row["conf_high"] for row in rows)
