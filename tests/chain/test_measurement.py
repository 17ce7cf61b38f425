"""Constructs with facets: second order on persons and on units, on scores of facets and on items."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import spc
from spc.errors import DataError, UnsupportedError

FACETS = ("tools", "support", "reward")
CHAIN = "employee_satisfaction ~ internal_service_quality"
SERVICE = """
tools =~ tools1 + tools2
support =~ support1 + support2
reward =~ reward1 + reward2
internal_service_quality =~ tools + support + reward
employee_satisfaction =~ mood1 + mood2
"""


def answers(units=60, each=10):
    rng = np.random.default_rng(3)
    service, unit = rng.normal(size=units), np.repeat(np.arange(units), each)
    own = rng.normal(size=unit.size)
    frame = {"respondent": np.arange(unit.size), "unit": unit}
    for name in FACETS:
        both = (0.8 * service + 0.5 * rng.normal(size=units))[unit] + 0.8 * own + 0.5 * rng.normal(size=unit.size)
        frame |= {f"{name}{k}": 50 + 9 * both + 6 * rng.normal(size=unit.size) for k in (1, 2)}
    mood = 0.6 * service[unit] + 0.4 * own + 0.6 * rng.normal(size=unit.size)
    frame |= {f"mood{k}": 50 + 9 * mood + 5 * rng.normal(size=unit.size) for k in (1, 2)}
    sales = pd.DataFrame({"unit": np.arange(units), "sales": 0.5 * service + rng.normal(size=units)})
    return pd.DataFrame(frame), sales


@pytest.fixture(scope="module")
def tables():
    return answers()


@pytest.fixture
def study(tables, tmp_path):
    staff, sales = tables

    def build(level, measurement, chain=CHAIN, facets=True):
        staff.to_csv(tmp_path / "staff.csv", index=False)
        sales.to_csv(tmp_path / "units.csv", index=False)
        parts = ", ".join(f'{name} = ["{name}1", "{name}2"]' for name in FACETS)
        items = ", ".join(f'"{name}{k}"' for name in FACETS for k in (1, 2))
        (tmp_path / "study.toml").write_text(f"""
[study]
name = "Shops"
[tables.employee_responses]
file = "staff.csv"
[tables.units]
file = "units.csv"
[constructs.internal_service_quality]
table = "employee_responses"
items = [{items}]
scale = [0, 100]
{f"facets = {{ {parts} }}" if facets else ""}
[constructs.employee_satisfaction]
table = "employee_responses"
items = ["mood1", "mood2"]
scale = [0, 100]
[constructs.sales]
table = "units"
items = ["sales"]
[chain]
model = \"\"\"{chain}\"\"\"
level = "{level}"
measurement = "{measurement}"
""")
        return spc.read_study(tmp_path / "study.toml")

    return build


def test_persons_items_measure_facets_and_facets_the_construct(study, tables):
    found = spc.fit_chain(study("person", "items"), draws=100)
    plain = spc.fit(f"{SERVICE}\n{CHAIN}", tables[0]).tidy()
    path = plain[plain["op"].eq("~")].iloc[0]
    assert found.tidy().loc[0, "estimate"] == pytest.approx(path["estimate"], rel=1e-6)
    assert found.tidy().loc[0, "std_all"] == pytest.approx(path["std_all"], rel=1e-6)
    own = found.tidy()
    assert set(own[own["op"].eq("=~") & own["lhs"].eq("internal_service_quality")]["rhs"]) == set(FACETS)


def test_persons_scores_of_facets_measure_the_construct(study, tables):
    found = spc.fit_chain(study("person", "facets"), draws=100).tidy()
    scores = {name: tables[0][[f"{name}1", f"{name}2"]].mean(axis=1) for name in (*FACETS, "mood")}
    text = f"internal_service_quality =~ {' + '.join(FACETS)}\nmood ~ internal_service_quality"
    plain = spc.fit(text, pd.DataFrame(scores)).tidy()
    assert found.loc[0, "estimate"] == pytest.approx(plain[plain["op"].eq("~")].iloc[0]["estimate"], rel=1e-6)


@pytest.mark.parametrize("measurement", ["facets", "items"])
def test_units_have_the_two_sided_fit_of_the_written_model(study, tables, measurement):
    chain = f"{CHAIN}\nsales ~ employee_satisfaction"
    found = spc.fit_chain(study("unit", measurement, chain), draws=50, method="two_sided")
    staff, sales = tables
    if measurement == "items":
        text, side = SERVICE, staff
    else:
        text = f"internal_service_quality =~ {' + '.join(FACETS)}"
        scores = {name: staff[[f"{name}1", f"{name}2"]].mean(axis=1) for name in FACETS}
        mood = staff[["mood1", "mood2"]].mean(axis=1)
        side = pd.DataFrame({"unit": staff["unit"], **scores, "employee_satisfaction": mood})
    plain = spc.fit_two_sided(
        f"{text}\n{chain}", sides={"employee": side}, units=sales, unit="unit", equal_loadings=True, draws=50
    )
    ours, theirs = (fit.tidy().query("kind == 'link'").set_index(["lhs", "rhs"])["estimate"] for fit in (found, plain))
    np.testing.assert_allclose(ours, theirs.loc[ours.index], rtol=1e-5)


def test_what_asks_more_of_a_chain_takes_facets_too(study):
    asked = study("unit", "facets", f"{CHAIN}\nsales ~ employee_satisfaction")
    assert set(spc.rivals(asked, folds=2, draws=100).compared()["rival"]) >= {"chain", "reverse", "no_chain"}
    persons = study("person", "facets")
    assert len(spc.rivals(persons, folds=2, draws=100).compared()) == 5
    assert not spc.method_factor(persons, shares=(0.0, 0.1)).tidy().empty


def test_unit_means_have_no_facets(study):
    with pytest.raises(UnsupportedError, match="facets"):
        spc.fit_chain(study("unit", "facets", "sales ~ internal_service_quality"), method="unit_means")


def test_facets_that_no_construct_has_are_refused(study):
    with pytest.raises(DataError, match="no construct with facets"):
        study("person", "facets", facets=False)


def test_items_have_the_fit_of_lavaans_model_with_equal_labels_on_both_levels():
    """Its free covariances of units end 0.013 short of their maximum, and its chi-square twice that."""
    facts = json.loads((Path(__file__).parents[1] / "reference" / "lavaan_two_sided.json").read_text())
    items, theirs = pd.DataFrame(facts["items"]), facts["tied"]
    units = items.groupby("unit")[["profit"]].first().reset_index()
    ours = spc.fit_two_sided(
        "f =~ x1 + x2 + x3\ng =~ y1 + y2 + y3\ng ~ f\nprofit ~ g", sides={"staff": items.drop(columns="profit")},
        units=units, unit="unit", equal_loadings=True, boundary=False, draws=2,
    )  # fmt: skip
    assert (ours.core.peak, ours.core.df) == (pytest.approx(theirs["logl"], abs=1e-5), theirs["df"])
    assert 0.0 <= ours.core.chisq - theirs["chisq"] < 0.03
    rows = pd.DataFrame(theirs["rows"]).query("level == 2").set_index(["lhs", "op", "rhs"])
    table = ours.tidy().query("level == 'unit' and kind in ['link', 'loading', 'variance']")
    table = table.set_index(["lhs", "op", "rhs"])
    assert len(table) >= 17
    np.testing.assert_allclose(table["estimate"], rows.loc[table.index, "est"], rtol=1e-4, atol=1e-4)
    errors = table["std_error"].dropna()
    np.testing.assert_allclose(errors, rows.loc[errors.index, "se"], rtol=1e-3)
