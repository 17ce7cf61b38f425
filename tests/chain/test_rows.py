"""Rows of small hand-made studies, each cell known."""

import numpy as np
import pandas as pd
import pytest

import spc
from spc.chain.rows import analysis_rows
from spc.errors import DataError
from spc.study.lags import Lag

EMPLOYEES = pd.DataFrame(
    {
        "respondent": [1, 2, 3, 4, 1, 2, 3, 4],
        "unit": list("aabbaabb"),
        "wave": [1, 1, 1, 1, 2, 2, 2, 2],
        "s1": [1, 2, 3, 4, 5, 6, 7, 6],
        "s2": [7, 6, 5, 4, 3, 2, 1, 2],
        "c1": [1, 1, 2, 2, 3, 3, 5, 7],
    }
)
CUSTOMERS = pd.DataFrame({"respondent": [1, 2, 3], "unit": list("abb"), "v1": [4, 6, 7]})

DOCUMENT = """
[study]
name = "Small"
[tables.employee_responses]
file = "employees.csv"
[tables.customer_responses]
file = "customers.csv"
[constructs.satisfaction]
table = "employee_responses"
items = ["s1", "s2"]
reverse = ["s2"]
scale = [1, 7]
[constructs.commitment]
table = "employee_responses"
items = ["c1"]
scale = [1, 7]
[constructs.value]
table = "customer_responses"
items = ["v1"]
scale = [1, 7]
[chain]
model = "{model}"
{extra}
"""


@pytest.fixture
def small(tmp_path):
    def make(model, extra="", waves=True):
        employees = EMPLOYEES if waves else EMPLOYEES[EMPLOYEES["wave"] == 2].drop(columns="wave")
        employees.to_csv(tmp_path / "employees.csv", index=False)
        CUSTOMERS.to_csv(tmp_path / "customers.csv", index=False)
        (tmp_path / "study.toml").write_text(DOCUMENT.format(model=model, extra=extra))
        return spc.read_study(tmp_path / "study.toml")

    return make


def test_one_side_is_persons_with_items_keyed(small):
    study = small("commitment ~ satisfaction", waves=False)
    rows = analysis_rows(study, {"commitment": ["satisfaction"]}, [])
    assert (rows.level, rows.measurement) == ("person", "items")
    assert rows.scores["satisfaction"].tolist() == [5, 6, 7, 6]
    assert rows.items["s2"].tolist() == [5, 6, 7, 6]
    assert rows.unit.tolist() == list("aabb")


def test_two_sides_meet_in_unit_means(small):
    study = small("value ~ satisfaction", waves=False)
    rows = analysis_rows(study, {"value": ["satisfaction"]}, [])
    assert (rows.level, rows.measurement) == ("unit", "scores")
    assert rows.scores.loc["a"].tolist() == [5.5, 4.0]
    assert rows.scores.loc["b"].tolist() == [6.5, 6.5]
    assert rows.unit is None


def test_a_lag_takes_the_cause_from_the_wave_before(small):
    study = small("commitment ~ satisfaction")
    rows = analysis_rows(study, {"commitment": ["satisfaction"]}, [Lag("satisfaction", "commitment", 1)])
    assert rows.waves == {"satisfaction": 1, "commitment": 2}
    assert rows.scores.loc[list("1234"), "satisfaction"].tolist() == [1, 2, 3, 4]
    assert rows.scores.loc[list("1234"), "commitment"].tolist() == [3, 3, 5, 7]
    (note,) = rows.messages
    assert "Satisfaction at wave 1; Commitment at wave 2" in note.text


def test_without_lags_the_latest_wave_is_taken_and_the_other_named(small):
    rows = analysis_rows(small("commitment ~ satisfaction"), {"commitment": ["satisfaction"]}, [])
    assert set(rows.waves.values()) == {2}
    assert [note.code for note in rows.messages] == ["waves_left_out"]


def test_a_stated_wave_is_taken(small):
    study = small("commitment ~ satisfaction", "wave = 1")
    rows = analysis_rows(study, {"commitment": ["satisfaction"]}, [])
    assert rows.scores["commitment"].tolist() == [1, 1, 2, 2]


def test_a_lag_longer_than_the_study(small):
    study = small("commitment ~ satisfaction")
    with pytest.raises(DataError, match="2 waves before wave 2"):
        analysis_rows(study, {"commitment": ["satisfaction"]}, [Lag("satisfaction", "commitment", 2)])


def test_persons_of_two_tables_do_not_meet(small):
    with pytest.raises(DataError, match="different people meet only in their units"):
        study = small("value ~ satisfaction", 'level = "person"', waves=False)
        analysis_rows(study, {"value": ["satisfaction"]}, [])


def test_a_person_without_the_wave_is_missing_not_guessed(small, tmp_path):
    small("commitment ~ satisfaction")
    EMPLOYEES.drop(index=0).to_csv(tmp_path / "employees.csv", index=False)
    study = spc.read_study(tmp_path / "study.toml")
    rows = analysis_rows(study, {"commitment": ["satisfaction"]}, [Lag("satisfaction", "commitment", 1)])
    assert np.isnan(rows.scores.loc["1", "satisfaction"])
    assert rows.scores.loc["1", "commitment"] == 3


def test_different_waves_need_to_know_who_is_who(small, tmp_path):
    small("commitment ~ satisfaction")
    EMPLOYEES.drop(columns="respondent").to_csv(tmp_path / "employees.csv", index=False)
    study = spc.read_study(tmp_path / "study.toml")
    with pytest.raises(DataError, match="a code for each person"):
        analysis_rows(study, {"commitment": ["satisfaction"]}, [Lag("satisfaction", "commitment", 1)])


def test_a_side_without_waves_beside_one_with_is_said(small):
    study = small("value ~ satisfaction")
    rows = analysis_rows(study, {"value": ["satisfaction"]}, [])
    assert "no_wave" in [note.code for note in rows.messages]
    assert rows.waves == {"satisfaction": 2}
