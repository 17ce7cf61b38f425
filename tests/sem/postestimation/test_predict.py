"""Predictions against lavaan's lavPredictY and against regression."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError, UsageError
from spc.sem import fit
from spc.sem.postestimation.predict import predict

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_after.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}


@pytest.fixture
def rows():
    rng = np.random.default_rng(2)
    x = rng.standard_normal((300, 2))
    y = x @ [0.5, -0.3] + rng.standard_normal(300)
    return pd.DataFrame({"Stimmung im Team": x[:, 0], "能力": 1e6 * x[:, 1], "Umsatz €": 1e-6 * y + 5})


TEXT = "`Umsatz €` ~ `Stimmung im Team` + `能力`"


@pytest.mark.parametrize("name", CASES)
def test_predictions_are_lavaans(fitted, name):
    case = CASES[name]["prediction"]
    frame = pd.DataFrame(CASES[name]["rows"]).astype(float)
    ours = predict(fitted(name), frame, outcomes=case["outcomes"], given=case["given"])
    np.testing.assert_allclose(ours, np.array(case["values"], dtype=float), rtol=1e-6, atol=1e-6)


def test_a_path_model_predicts_as_its_regression(rows):
    ours = predict(fit(TEXT, rows), rows)["Umsatz €"]
    design = np.column_stack([np.ones(300), rows["Stimmung im Team"], rows["能力"] / 1e6])
    by_hand = design @ np.linalg.lstsq(design, rows["Umsatz €"], rcond=None)[0]
    np.testing.assert_allclose(ours, by_hand, rtol=1e-9)


def test_a_missing_cause_leaves_the_regression_on_the_other(rows):
    holes = rows.assign(能力=np.nan)
    slope, start = np.polyfit(rows["Stimmung im Team"], rows["Umsatz €"], 1)
    np.testing.assert_allclose(
        predict(fit(TEXT, rows), holes)["Umsatz €"], start + slope * rows["Stimmung im Team"], rtol=1e-9
    )
    holes.loc[7, "Stimmung im Team"] = np.nan
    assert np.isnan(predict(fit(TEXT, rows), holes).loc[7, "Umsatz €"])


def test_the_outcomes_need_not_be_there_and_the_index_stays(rows):
    new = rows.drop(columns="Umsatz €").set_index(rows.index + 1000)
    assert list(predict(fit(TEXT, rows), new).index) == list(new.index)


def test_defaults_are_what_is_explained_and_what_is_not(fitted):
    ours = predict(fitted("attitude_path"), pd.DataFrame(CASES["attitude_path"]["rows"]))
    assert set(ours.columns) == {"rating", "learning", "advance"}


def test_refusals_say_what_to_do(fitted, rows):
    result = fit(TEXT, rows)
    with pytest.raises(DataError, match="Did you mean 'Stimmung im Teem'"):
        predict(result, rows.rename(columns={"Stimmung im Team": "Stimmung im Teem"}))
    with pytest.raises(UsageError, match="Did you mean 'Umsatz €'"):
        predict(result, rows, outcomes=["Umsatz"])
    with pytest.raises(UsageError, match="Name it once"):
        predict(result, rows, outcomes=["Umsatz €"], given=["Umsatz €"])
    with pytest.raises(UsageError, match="given="):
        predict(fitted("hs_cfa"), pd.DataFrame(CASES["hs_cfa"]["rows"]))
