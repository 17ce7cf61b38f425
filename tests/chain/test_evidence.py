"""Grades of links: the rule, made-up firms of known truth, the gate, real soldiers."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import spc
from spc.chain.criteria import CRITERIA
from spc.chain.evidence import GRADES, grade
from spc.chain.replication import replications
from spc.disclosure import Gate
from spc.errors import DataError, UsageError

ALL = dict.fromkeys(CRITERIA, "yes")
ORDER = {letter: i for i, letter in enumerate(GRADES)}


def test_all_met_is_an_a():
    assert grade(ALL) == ("A", ())
    unknown = ("reliability", "invariance", "shape", "rivals", "reverse", "method")
    assert grade(ALL | dict.fromkeys(unknown, "not checked")) == ("A", ())


@pytest.mark.parametrize("name", ["source", "time", "robustness", "level", "replication"])
def test_an_a_needs_all_of_these(name):
    for met in ("partly", "not checked"):
        letter, held = grade(ALL | {name: met})
        assert letter == ("C" if (name, met) == ("robustness", "not checked") else "B")
        assert held == (name,)


@pytest.mark.parametrize("name", ["method", "reverse", "replication", "robustness"])
def test_what_speaks_against_a_link_makes_it_a_c(name):
    assert grade(ALL | {name: "no"}) == ("C", (name,))


def test_one_source_at_one_time_is_never_above_c():
    for source, time in product(("partly", "no", "not checked"), repeat=2):
        assert grade(ALL | {"source": source, "time": time})[0] == "C"


def test_no_link_is_a_d_whatever_else_holds():
    assert grade(ALL | {"estimate": "no"}) == ("D", ("estimate",))
    assert grade({})[0] == "D"


@pytest.mark.parametrize("name", CRITERIA)
def test_a_criterion_less_met_never_raises_a_grade(name):
    steps = ("yes", "partly", "no")
    for others in ("yes", "partly", "no", "not checked"):
        base = dict.fromkeys(CRITERIA, others) | {"estimate": "yes"}
        letters = [ORDER[grade(base | {name: met})[0]] for met in steps]
        assert letters == sorted(letters)


DOCUMENT = """
[study]
name = "Shops"
[tables.employee_responses]
file = "staff.csv"
[tables.customer_responses]
file = "guests.csv"
[constructs.support]
table = "employee_responses"
items = ["support"]
[constructs.mood]
table = "employee_responses"
items = ["mood"]
[constructs.value]
table = "customer_responses"
items = ["value"]
[chain]
model = \"\"\"
mood ~ support
value ~ mood
\"\"\"
"""
LAG = """
[[chain.lags]]
from = "mood"
to = "value"
waves = 1
"""


def shops(
    folder: Path, *, waves: int = 1, link: float = 0.8, n: int = 90, staff_size: int = 20, lag: str = ""
) -> spc.Study:
    """Support and mood go together only in how people answer; mood of units moves the value of a wave later."""
    rng = np.random.default_rng(2)
    base, support = rng.normal(0, 0.5, n), rng.normal(0, 0.5, n)
    mood = [base + rng.normal(0, 0.3, n) for _ in range(waves + 1)]
    staff, guests = [], []
    for wave in range(waves):
        unit = np.repeat(np.arange(n), staff_size)
        way = rng.normal(size=unit.size)
        person = np.arange(unit.size) + wave * unit.size
        answers = {"support": support, "mood": mood[wave + 1]}
        columns = {name: trait[unit] + way + rng.normal(0, 0.3, unit.size) for name, trait in answers.items()}
        staff.append(pd.DataFrame({"respondent": person, "unit": unit, "wave": wave + 1, **columns}))
        unit = np.repeat(np.arange(n), 30)
        value = link * mood[wave if lag else wave + 1] + rng.normal(0, 0.15, n)
        guests.append(
            pd.DataFrame({"unit": unit, "wave": wave + 1, "value": value[unit] + rng.normal(0, 1, unit.size)})
        )
    drop = [] if waves > 1 else ["wave"]
    pd.concat(staff).drop(columns=drop).to_csv(folder / "staff.csv", index=False)
    pd.concat(guests).drop(columns=drop).to_csv(folder / "guests.csv", index=False)
    (folder / "study.toml").write_text(DOCUMENT + lag)
    return spc.read_study(folder / "study.toml")


def letters(found: spc.Evidence) -> dict[str, str]:
    return found.tidy().query("kind == 'grade'").set_index("lhs")["label"].to_dict()


def test_a_link_of_the_way_people_answer_is_not_graded_above_c(tmp_path):
    study = shops(tmp_path, n=150, staff_size=6)
    chain = spc.fit_chain(study, draws=300, method="unit_means")
    assert chain.tidy().query("kind == 'link' and lhs == 'mood'")["label"].item() == "holds"
    found = spc.evidence(study, chain, shapes=False, rivals=False)
    assert letters(found)["mood"] == "C"
    reasons = found.reasons().query("lhs == 'mood'").set_index("criterion")["met"]
    assert reasons["method"] == reasons["source"] == reasons["time"] == "no"


def test_nothing_hidden_takes_away_a_link_that_is_not_there(tmp_path):
    study = shops(tmp_path, n=50, staff_size=8, link=0.0)
    chain = spc.fit_chain(study, draws=100)
    assert chain.tidy().query("kind == 'link' and lhs == 'value'")["label"].item() == "unclear"
    reason = spc.evidence(study, chain, shapes=False, rivals=False).reasons()
    reason = reason.query("lhs == 'value' and criterion == 'robustness'").iloc[0]
    assert reason["met"] == "not checked"
    assert "not clear of zero" in reason["sentence"]


def test_halves_that_say_the_other_sign_do_not_stand_for_a_link(tmp_path, monkeypatch):
    study = shops(tmp_path, n=60, staff_size=6)
    chain = spc.fit_chain(study, draws=100, method="unit_means")
    found = spc.method_factor(study, chain)
    turned = replace(found, table=found.tidy().assign(estimate=-0.5, conf_low=-0.6, conf_high=-0.4))
    monkeypatch.setattr(import_module("spc.chain.evidence"), "method_factor", lambda *_, **__: turned)
    graded = spc.evidence(study, chain, shapes=False, rivals=False)
    reasons = graded.reasons().query("lhs == 'mood'").set_index("criterion")["met"]
    assert reasons["method"] == reasons["source"] == "no"


def test_different_people_make_a_b(tmp_path):
    found = spc.evidence(shops(tmp_path), shapes=False, rivals=False)
    assert letters(found)["value"] == "B"
    link = next(link for link in found.links if link.lhs == "value")
    assert {"time", "replication"} <= set(link.held_back)
    assert "different people answered" in found.summaries()["value", "mood"]


def test_different_people_a_wave_later_again_and_again_make_an_a(tmp_path):
    study = shops(tmp_path, waves=4, lag=LAG, link=1.2, n=120)
    found = spc.evidence(study)
    reasons = found.reasons().query("lhs == 'value'").set_index("criterion")
    assert reasons.loc["time", "number"] == 1
    assert reasons.loc["replication", "met"] == "yes"
    assert letters(found)["value"] == "A", reasons[["met", "sentence"]].to_string()


def test_waves_replicate_a_link_with_its_lag(tmp_path):
    study = shops(tmp_path, waves=4, lag=LAG)
    found = replications(study, {("value", "mood"): 1.0, ("mood", "support"): 1.0})
    assert len(found["value", "mood"].parts) == 3
    assert len(found["mood", "support"].parts) == 4
    assert found["value", "mood"].agreeing == 1.0
    turned = replications(study, {("value", "mood"): -1.0, ("mood", "support"): 1.0})
    assert turned["value", "mood"].met == "no"


def test_regions_replicate(tmp_path):
    study = spc.read_study(spc.make_firm(seed=3, units=80).write(tmp_path))
    chain = spc.fit_chain(study, draws=200)
    signs = {(row.lhs, row.rhs): row.estimate for row in chain.links.itertuples()}
    found = replications(study, signs)
    parts = found["customer_satisfaction", "customer_value"].parts
    assert parts["kind"].tolist() == ["region"] * 4
    assert parts["rows"].sum() == 80
    frame = chain.scores.join(study.tables["units"].set_index("unit")["region"])
    slopes = [np.polyfit(part["customer_value"], part["customer_satisfaction"], 1)[0]
              for _, part in frame.dropna().groupby("region")]  # fmt: skip
    assert parts["estimate"].tolist() == pytest.approx(slopes)


def test_every_reason_is_a_row_and_goes_through_the_gate(tmp_path):
    study = spc.read_study(spc.make_firm(seed=3, units=60).write(tmp_path))
    found = spc.evidence(study, spc.fit_chain(study, draws=200), shapes=False, rivals=False)
    table = found.tidy()
    assert (table["kind"] == "reason").sum() == len(CRITERIA) * len(found.links) == len(found.reasons())
    assert set(table.loc[table["kind"] == "reason", "group"]) <= {"yes", "partly", "no", "not checked"}
    assert all(text.endswith(".") for text in found.reasons()["sentence"])
    assert all(said.startswith("Grade ") and said.endswith(".") for said in found.summaries().values())
    released = Gate.of(study).model(found)
    assert released.curve is not None
    told = released.curve.frame
    assert told.loc[told["criterion"] != "summary", "sentence"].tolist() == found.reasons()["sentence"].tolist()
    assert told.loc[told["criterion"] == "summary", "sentence"].tolist() == list(found.summaries().values())
    assert released.glance.frame["nobs"].item() == 60


def test_reasons_do_not_name_a_small_unit(tmp_path):
    study = spc.read_study(spc.make_firm(seed=3, units=60).write(tmp_path))
    found = spc.evidence(study, spc.fit_chain(study, draws=200), shapes=False, rivals=False)
    released = Gate(study.disclosure, {"hidden cause": 2}).model(found)
    told = released.curve.frame["sentence"]
    assert not told.str.contains("hidden cause").any()
    assert told.str.startswith("The text is withheld").any()


def test_bad_input(tmp_path):
    study = shops(tmp_path, n=20)
    with pytest.raises(UsageError):
        spc.evidence(study, robust=2.0)
    (tmp_path / "study.toml").write_text(DOCUMENT.split("[chain]", maxsplit=1)[0])
    with pytest.raises(DataError):
        spc.evidence(spc.read_study(tmp_path / "study.toml"))


SOLDIERS = Path(__file__).parents[2].parent / "shared" / "data" / "military_companies.csv"


@pytest.mark.skipif(not SOLDIERS.is_file(), reason="no public data beside the project")
def test_soldiers_over_three_waves(tmp_path):
    constructs = "".join(
        f'[constructs.{name}]\ntable = "employee_responses"\nitems = ["{item}"]\nscale = [1, 5]\n'
        for name, item in {"job_satisfaction": "JSAT", "commitment": "COMMIT", "readiness": "READY"}.items()
    )
    lags = "".join(
        f'[[chain.lags]]\nfrom = "{one}"\nto = "{two}"\nwaves = 1\n'
        for one, two in (("job_satisfaction", "commitment"), ("commitment", "readiness"))
    )
    (tmp_path / "study.toml").write_text(
        f'[study]\nname = "Soldiers"\nallow_outside = true\n[tables.employee_responses]\nfile = "{SOLDIERS}"\n'
        'columns = { respondent = "SUBNUM", unit = ["BTN", "COMPANY"], wave = "TIME" }\n'
        f'{constructs}[chain]\nmodel = """\ncommitment ~ job_satisfaction\nreadiness ~ commitment\n"""\n{lags}'
    )
    study = spc.read_study(tmp_path / "study.toml")
    with pytest.warns(spc.DroppedRowsWarning):
        chain = spc.fit_chain(study, draws=300)
    found = spc.evidence(study, chain, rivals=False)
    assert letters(found) == {"commitment": "B", "readiness": "B"}
    reasons = found.reasons().set_index(["lhs", "criterion"])
    assert reasons.loc[("readiness", "source"), "met"] == "no"
    assert reasons.loc[("readiness", "time"), "met"] == "yes"
    assert reasons.loc[("readiness", "robustness"), "number"] == pytest.approx(0.294, abs=0.002)
    assert reasons.loc[("readiness", "replication"), "number"] == 1.0
