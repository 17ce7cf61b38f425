"""The way people answer: a method factor of known strength on persons, shared answers on units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import spc
from spc.chain.method_factor import same_source
from spc.errors import DataError, UsageError

PERSONS = """
[study]
name = "Staff"
[tables.employee_responses]
file = "staff.csv"
[constructs.support]
table = "employee_responses"
items = ["s1", "s2", "s3"]
[constructs.mood]
table = "employee_responses"
items = ["m1", "m2", "m3"]
[chain]
model = "mood ~ support"
"""


def persons(folder: Path, link: float, method: float, n: int = 8000) -> spc.Study:
    """Items with 60 % of what is measured, `method` of the way of answering, the rest error."""
    rng = np.random.default_rng(5)
    support, way = rng.normal(size=(2, n))
    mood = link * support + np.sqrt(1 - link**2) * rng.normal(size=n)
    error = np.sqrt(0.4 - method)
    items = {
        f"{name}{i}": np.sqrt(0.6) * trait + np.sqrt(method) * way + error * rng.normal(size=n)
        for name, trait in (("s", support), ("m", mood))
        for i in (1, 2, 3)
    }
    pd.DataFrame(items).to_csv(folder / "staff.csv", index=False)
    (folder / "study.toml").write_text(PERSONS)
    return spc.read_study(folder / "study.toml")


@pytest.mark.parametrize(("link", "method"), [(0.0, 0.2), (0.4, 0.1)])
def test_the_right_strength_gives_the_true_link_back(tmp_path, link, method):
    found = spc.method_factor(persons(tmp_path, link, method), shares=(0.0, method)).tidy().set_index("label")
    plain, allowed = found.loc["method 0 %", "std_all"], found.loc[f"method {method:.0%}".replace("%", " %"), "std_all"]
    through = (0.6 * link + method) / (0.6 + method)
    assert plain == pytest.approx(through, abs=0.05)
    assert allowed == pytest.approx(link, abs=0.06)


def test_a_link_of_pure_method_variance_goes(tmp_path):
    found = spc.method_factor(persons(tmp_path, 0.0, 0.2)).tidy().set_index("label")
    assert found.loc["method 0 %", "conf_low"] > 0
    assert found.loc["method 20 %", "conf_low"] < 0 < found.loc["method 20 %", "conf_high"]
    assert found["std_all"].is_monotonic_decreasing


def test_no_method_is_the_chain_itself(tmp_path):
    study = persons(tmp_path, 0.4, 0.1)
    chain = spc.fit_chain(study, draws=300)
    found = spc.method_factor(study, chain).tidy().set_index("label")
    assert found.loc["method 0 %", "std_all"] == pytest.approx(chain.links["std_all"].iloc[0], rel=1e-6)
    assert spc.method_factor(study, chain).glance()["nobs"].item() == 8000


UNITS = """
[study]
name = "Shops"
[tables.employee_responses]
file = "staff.csv"
[tables.units]
file = "units.csv"
[constructs.support]
table = "employee_responses"
items = ["support"]
[constructs.mood]
table = "employee_responses"
items = ["mood"]
[constructs.profitability]
table = "units"
items = ["profit"]
[chain]
model = \"\"\"
mood ~ support
profitability ~ mood
\"\"\"
"""


def units(folder: Path, link: float, n: int = 150, size: int = 12) -> spc.Study:
    """Units' support moves their mood by `link`; each person answers both alike beside that."""
    rng = np.random.default_rng(9)
    support = rng.normal(0, 0.6, n)
    mood = link * support + rng.normal(0, 0.5, n)
    unit = np.repeat(np.arange(n), size)
    way = rng.normal(size=unit.size)
    pd.DataFrame({
        "respondent": range(unit.size), "unit": unit, "support": support[unit] + way + rng.normal(0, 0.4, unit.size),
        "mood": mood[unit] + way + rng.normal(0, 0.4, unit.size),
    }).to_csv(folder / "staff.csv", index=False)  # fmt: skip
    pd.DataFrame({"unit": range(n), "profit": mood + rng.normal(0, 0.5, n)}).to_csv(folder / "units.csv", index=False)
    (folder / "study.toml").write_text(UNITS)
    return spc.read_study(folder / "study.toml")


@pytest.mark.parametrize("link", [0.0, 0.7])
def test_halves_of_the_respondents_take_shared_answers_out(tmp_path, link):
    study = units(tmp_path, link)
    found = spc.method_factor(study).tidy().set_index("label")
    assert found["lhs"].unique().tolist() == ["mood"]
    assert found.loc["all respondents", "estimate"] > link + 0.05 or link
    assert found.loc["split halves", "estimate"] == pytest.approx(link, abs=0.12)
    assert (found.loc["split halves", "conf_low"] > 0) == (link > 0)


def test_the_same_people_are_those_of_one_side(tmp_path):
    study = units(tmp_path, 0.5, n=20)
    assert same_source(study, "mood", "support")
    assert not same_source(study, "profitability", "mood")


def test_too_few_units_for_halves_are_told(tmp_path):
    found = spc.method_factor(units(tmp_path, 0.5, n=8))
    assert found.tidy().empty
    assert [note.code for note in found.notes()] == ["halves_not_fitted"]


def test_bad_input(tmp_path):
    study = persons(tmp_path, 0.4, 0.1, n=100)
    with pytest.raises(UsageError):
        spc.method_factor(study, shares=(1.2,))
    (tmp_path / "study.toml").write_text(PERSONS.split("[chain]", maxsplit=1)[0])
    with pytest.raises(DataError):
        spc.method_factor(spc.read_study(tmp_path / "study.toml"))
