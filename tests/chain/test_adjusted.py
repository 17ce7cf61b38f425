"""Covariates of chains of persons and of unit means: the joint model, and regressions with the covariates in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import spc
from spc.errors import DataError, DroppedRowsWarning, SingularInformationError
from spc.regression import link_regressions

DOCUMENT = """
[study]
name = "Staff"
currency = "EUR"
[tables.employee_responses]
file = "staff.csv"
{units}
[constructs.quality]
table = "employee_responses"
items = ["q1", "q2", "q3"]
scale = [1, 7]
[constructs.mood]
table = "employee_responses"
items = ["m1", "m2", "m3"]
scale = [1, 7]
{profit}
[chain]
model = '''
{model}
'''
covariates = [{covariates}]
"""
JOINT = """
quality =~ q1 + q2 + q3
mood =~ m1 + m2 + m3
mood ~ quality
q1 + q2 + q3 + m1 + m2 + m3 ~ tenure + north
"""


def staff(seed=1, n=400, units=0):
    """Tenure and region go with all answers; unequal among units."""
    rng = np.random.default_rng(seed)
    unit = rng.integers(0, units or 1, n)
    north = rng.random(n) < 0.4
    size = rng.normal(size=units or 1)
    tenure = rng.normal(size=n) + 0.8 * size[unit]
    climate = (rng.normal(size=units or 1) + size)[unit] if units else 0.0
    quality = climate + 0.5 * tenure + 0.6 * north + rng.normal(size=n)
    mood = 0.4 * quality + 0.5 * tenure - 0.4 * north + rng.normal(size=n)
    table = pd.DataFrame({f"q{i}": quality + rng.normal(size=n) for i in (1, 2, 3)})
    table = table.assign(**{f"m{i}": mood + rng.normal(size=n) for i in (1, 2, 3)})
    table = (4 + 0.5 * table).clip(1, 7).assign(tenure=tenure, region=np.where(north, "north", "home"))
    if units:
        table["unit"] = unit
    profit = pd.DataFrame({"unit": range(size.size), "size": size, "profit": 0.5 * size + rng.normal(size=size.size)})
    return table, profit


def study(folder, table, covariates, *, model="mood ~ quality", units=None, method=""):
    table.to_csv(folder / "staff.csv", index=False)
    profit = ""
    if units is not None:
        units.to_csv(folder / "units.csv", index=False)
        profit = '[constructs.profit]\ntable = "units"\nitems = ["profit"]'
    text = DOCUMENT.format(
        units="" if units is None else '[tables.units]\nfile = "units.csv"', profit=profit, model=model,
        covariates=", ".join(f'"{name}"' for name in covariates),
    )  # fmt: skip
    (folder / "study.toml").write_text(text + (f'method = "{method}"\n' if method else ""))
    return spc.read_study(folder)


def link(chain):
    return chain.tidy().query("kind == 'link'").set_index(["lhs", "rhs"])


def test_persons_have_the_links_of_the_joint_model(tmp_path):
    """Estimates and errors of the model in which every item has slopes of its own on the covariates."""
    table, _ = staff()
    chain = spc.fit_chain(study(tmp_path, table, ["tenure", "region"]), draws=100)
    joint = spc.fit(JOINT, table.assign(north=table["region"].eq("north").astype(float)))
    theirs = joint.tidy().query("op == '~' and lhs == 'mood'").iloc[0]
    ours = link(chain).iloc[0]
    assert ours["estimate"] == pytest.approx(theirs["estimate"], rel=1e-6)
    assert ours["std_error"] == pytest.approx(theirs["std_error"], rel=1e-5)
    assert chain.sem.glance()["chisq"].iloc[0] == pytest.approx(joint.glance()["chisq"].iloc[0], abs=1e-5)
    assert "tenure, region" in next(note.text for note in chain.notes() if note.code == "covariates")
    plain = link(spc.fit_chain(study(tmp_path, table.drop(columns="tenure"), ["region"]), draws=100)).iloc[0]
    assert plain["estimate"] > ours["estimate"] + 0.05


def test_persons_who_lack_a_covariate_are_left_out_and_counted(tmp_path):
    table, _ = staff(2)
    table.loc[:9, "tenure"] = np.nan
    with pytest.warns(DroppedRowsWarning, match="10 of 400"):
        chain = spc.fit_chain(study(tmp_path, table, ["tenure"]), draws=100)
    assert chain.glance()["nobs"].iloc[0] == 390
    assert "10 of 400 employees" in next(note.text for note in chain.notes() if note.code == "no_covariate")
    rest = link(spc.fit_chain(study(tmp_path, table.iloc[10:], ["tenure"]), draws=100))
    np.testing.assert_allclose(link(chain)["estimate"], rest["estimate"], rtol=1e-9)


def test_persons_of_units_have_those_of_their_units_too(tmp_path):
    table, units = staff(3, 600, 40)
    asked = study(tmp_path, table, ["tenure", "size"], units=units)
    chain = spc.fit_chain(asked, draws=100)
    joint = JOINT.replace("north", "size")
    fit = spc.fit(joint, table.merge(units, on="unit"))
    theirs = fit.tidy().query("op == '~' and lhs == 'mood'").iloc[0]
    assert link(chain).iloc[0]["estimate"] == pytest.approx(theirs["estimate"], rel=1e-6)


def test_means_of_units_have_the_slopes_of_a_regression_with_the_covariate_in_it(tmp_path):
    table, units = staff(4, 600, 40)
    text = "mood ~ quality\nprofit ~ mood"
    asked = study(tmp_path, table, ["size"], model=text, units=units, method="unit_means")
    ours = link(spc.fit_chain(asked, draws=100))
    means = pd.DataFrame({"unit": table["unit"], "quality": table[["q1", "q2", "q3"]].mean(axis=1),
                          "mood": table[["m1", "m2", "m3"]].mean(axis=1)}).groupby("unit").mean()  # fmt: skip
    frame = means.join(units.set_index("unit"))
    slopes = link_regressions(frame, {"mood": ["quality", "size"], "profit": ["mood", "size"]}).tidy()
    theirs = slopes.set_index(["lhs", "rhs"])["estimate"]
    for pair in [("mood", "quality"), ("profit", "mood")]:
        assert ours.loc[pair, "estimate"] == pytest.approx(theirs[pair], rel=1e-6)


def test_means_of_units_are_freed_of_who_their_respondents_are(tmp_path):
    """Tenure is unequal among units and makes both quality and mood."""
    rng = np.random.default_rng(5)
    unit = np.repeat(np.arange(200), 10)
    seniors = rng.normal(size=200)[unit]
    tenure = 2.0 * seniors + rng.normal(size=unit.size)
    quality = rng.normal(size=200)[unit] + tenure + 0.3 * rng.normal(size=unit.size)
    mood = tenure + rng.normal(size=200)[unit] + 0.3 * rng.normal(size=unit.size)
    answers = {f"q{i}": 4 + 0.3 * quality for i in (1, 2, 3)} | {f"m{i}": 4 + 0.3 * mood for i in (1, 2, 3)}
    table = pd.DataFrame(answers).clip(1, 7).assign(unit=unit, tenure=tenure)
    units = pd.DataFrame({"unit": range(200), "size": rng.normal(size=200), "profit": rng.normal(size=200)})
    text = "mood ~ quality\nprofit ~ mood"
    found = {}
    for names in (["size"], ["tenure"]):
        asked = study(tmp_path, table, names, model=text, units=units, method="unit_means")
        found[names[0]] = link(spc.fit_chain(asked, draws=100)).loc["mood", "quality"]
    assert found["size"]["conf_low"] > 0.5
    assert found["tenure"]["conf_low"] < 0.0 < found["tenure"]["conf_high"]


def test_a_covariate_that_follows_from_others_is_named_as_such(tmp_path):
    table, _ = staff(6)
    asked = study(tmp_path, table.assign(again=2 * table["tenure"]), ["tenure", "again"])
    with pytest.raises(SingularInformationError, match="told apart"):
        spc.fit_chain(asked, draws=10)


def test_covariates_of_rows_without_scores_are_refused(tmp_path):
    table, units = staff(4, 600, 40)
    half = np.arange(600) < 300
    answers = {name: table[name].where(~half) for name in ("q1", "q2", "q3")}
    people = table.assign(tenure=table["tenure"].where(half), **answers)
    with pytest.raises(DataError, match="0 rows that have all covariates and all scores"):
        spc.fit_chain(study(tmp_path, people, ["tenure"]), draws=10)
    few = units.assign(size=units["size"].where(units.index < 20), profit=units["profit"].where(units.index >= 20))
    asked = study(tmp_path, table, ["size"], model="mood ~ quality\nprofit ~ mood", units=few, method="unit_means")
    with pytest.raises(DataError, match="0 rows that have all covariates"):
        spc.fit_chain(asked, draws=10)
