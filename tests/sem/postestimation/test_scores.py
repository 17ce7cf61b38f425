"""Factor scores against lavaan, and what holds for any scores."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError, UnsupportedError, UsageError
from spc.moments import Moments
from spc.sem import fit
from spc.sem.fit import SemFit
from spc.sem.postestimation.scores import factor_scores

Fitted = Callable[..., SemFit]
REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_after.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}
SCORED = [name for name, case in CASES.items() if case["scores"]]


def frame(rows: Any) -> pd.DataFrame:
    return pd.DataFrame(rows).astype(float)


def table(values: Any) -> np.ndarray:
    return np.array(values, dtype=float)


@pytest.mark.parametrize("method", ["regression", "bartlett"])
@pytest.mark.parametrize("name", SCORED)
def test_scores_of_complete_rows_are_lavaans(fitted: Fitted, name: str, method: str) -> None:
    case = CASES[name]["scores"]
    if case.get(method) is None:
        pytest.skip("lavaan has none")
    ours = factor_scores(fitted(name), frame(CASES[name]["rows"]), method=method)
    np.testing.assert_allclose(ours[case["latents"]], table(case[method]), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("method", ["regression", "bartlett"])
@pytest.mark.parametrize("name", SCORED)
def test_scores_of_rows_with_holes_are_lavaans(fitted: Fitted, name: str, method: str) -> None:
    case = CASES[name]["scores"]
    if case.get(f"{method}_holes") is None:
        pytest.skip("lavaan has none")
    ours = factor_scores(fitted(name), frame(case["holes"]), method=method)
    np.testing.assert_allclose(ours[case["latents"]], table(case[f"{method}_holes"]), rtol=1e-7, atol=1e-7)


def test_rows_keep_their_index_and_order(fitted: Fitted) -> None:
    rows = frame(CASES["hs_cfa"]["rows"])
    rows.index = [f"p{i}" for i in rows.index]
    shuffled = rows.sample(frac=1.0, random_state=3)
    ours = factor_scores(fitted("hs_cfa"), rows)
    pd.testing.assert_frame_equal(factor_scores(fitted("hs_cfa"), shuffled), ours.loc[shuffled.index])
    assert list(ours.index) == list(rows.index)


@pytest.mark.parametrize("method", ["regression", "bartlett"])
def test_no_rows_have_no_scores(fitted: Fitted, method: str) -> None:
    rows = frame(CASES["hs_cfa"]["rows"])
    found = factor_scores(fitted("hs_cfa"), rows.iloc[:0], method=method)
    assert found.shape == (0, len(factor_scores(fitted("hs_cfa"), rows, method=method).columns))


def test_a_row_without_answers_has_no_score_and_disturbs_no_other(fitted: Fitted) -> None:
    rows = frame(CASES["hs_cfa"]["rows"])
    blank = rows.copy()
    blank.loc[3] = np.nan
    ours = factor_scores(fitted("hs_cfa"), blank)
    assert ours.loc[3].isna().all()
    pd.testing.assert_frame_equal(ours.drop(3), factor_scores(fitted("hs_cfa"), rows).drop(3))


def test_a_latent_without_answers_is_known_by_regression_alone(fitted: Fitted) -> None:
    rows = frame(CASES["hs_cfa"]["rows"])
    rows.loc[0, ["x1", "x2", "x3"]] = np.nan
    assert factor_scores(fitted("hs_cfa"), rows).loc[0].notna().all()
    bartlett = factor_scores(fitted("hs_cfa"), rows, method="bartlett").loc[0]
    assert np.isnan(bartlett["visual"])
    assert bartlett[["textual", "speed"]].notna().all()


def test_factors_of_factors_have_no_bartlett_scores(fitted: Fitted) -> None:
    ours = factor_scores(fitted("hs_second_order"), frame(CASES["hs_second_order"]["rows"]), method="bartlett")
    assert ours["ability"].isna().all()
    first = factor_scores(fitted("hs_cfa"), frame(CASES["hs_cfa"]["rows"]), method="bartlett")
    np.testing.assert_allclose(ours[["visual", "textual", "speed"]], first, rtol=1e-6, atol=1e-6)


def test_bartlett_scores_are_unbiased_and_regression_scores_shrink() -> None:
    rng = np.random.default_rng(5)
    trait = rng.standard_normal(4000)
    names = ["staff mood", "Zufriedenheit ä", "満足", "d"]
    data = pd.DataFrame({name: trait + rng.standard_normal(4000) for name in names})
    result = fit("trait =~ `staff mood` + `Zufriedenheit ä` + `満足` + d", data)
    slopes = {
        m: np.polyfit(trait, factor_scores(result, data, method=m)["trait"], 1)[0] for m in ("regression", "bartlett")
    }
    assert slopes["bartlett"] == pytest.approx(1.0, abs=0.03)
    assert slopes["regression"] == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("method", ["regression", "bartlett"])
def test_units_change_nothing_but_units(method: str) -> None:
    rng = np.random.default_rng(6)
    trait = rng.standard_normal(300)
    data = pd.DataFrame({name: trait + rng.standard_normal(300) for name in "abcd"})
    wide = data * [1.0, 1e6, 1.0, 1e-6]
    wide.loc[0, "a"] = data.loc[0, "a"] = np.nan
    scores = [factor_scores(fit("f =~ a + b + c + d", d.iloc[1:]), d, method=method) for d in (data, wide)]
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-6, atol=1e-7)


def test_an_absent_column_is_named_with_its_neighbour(fitted: Fitted) -> None:
    rows = frame(CASES["hs_cfa"]["rows"]).rename(columns={"x1": "x1_"})
    with pytest.raises(DataError, match="Did you mean 'x1_'"):
        factor_scores(fitted("hs_cfa"), rows)


def test_refusals(fitted: Fitted) -> None:
    rows = frame(CASES["hs_cfa"]["rows"])
    with pytest.raises(UsageError, match="'regression', 'bartlett' or 'eap'"):
        factor_scores(fitted("hs_cfa"), rows, method="EBM")  # type: ignore[arg-type]
    path = CASES["attitude_path"]
    with pytest.raises(UnsupportedError, match="no latent"):
        factor_scores(fitted("attitude_path"), frame(path["rows"]))
    m = CASES["hs_cfa"]["moments"]
    without = fit(CASES["hs_cfa"]["model"], Moments(m["names"], m["n"], None, m["covariance"]))
    with pytest.raises(DataError, match="means"):
        factor_scores(without, rows)


def test_no_rows_of_groups_have_no_scores() -> None:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(rng.normal(size=(200, 1)) + rng.normal(size=(200, 3)), columns=list("abc"))
    rows["shop"] = np.arange(200) % 2
    grouped = fit("f =~ a + b + c", rows, group="shop")
    found = factor_scores(grouped, rows.iloc[:0])
    assert found.shape == (0, 1)
    assert found.columns.tolist() == ["f"]
    with pytest.raises(DataError, match="a"):
        factor_scores(grouped, rows.iloc[:0].drop(columns="a"))
