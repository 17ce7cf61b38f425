"""Public data that nobody here made; skipped where they are absent."""

from pathlib import Path

import pandas as pd
import pytest

import spc
from spc.chain.panel import MODELS

DATA = Path(__file__).parents[2].parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="no public data beside the project")

ITEMS = {
    "image": [f"IMAG{i}" for i in range(1, 6)],
    "expectation": [f"CUEX{i}" for i in range(1, 4)],
    "quality": [f"PERQ{i}" for i in range(1, 8)],
    "value": ["PERV1", "PERV2"],
    "satisfaction": [f"CUSA{i}" for i in range(1, 4)],
    "complaints": ["CUSCO"],
    "loyalty": [f"CUSL{i}" for i in range(1, 4)],
}
SHORT = "value ~ quality\nsatisfaction ~ quality + value\nloyalty ~ satisfaction"
FULL = """expectation ~ image
quality ~ expectation
value ~ expectation + quality
satisfaction ~ image + expectation + quality + value
complaints ~ satisfaction
loyalty ~ image + satisfaction + complaints"""


def ecsi(folder, model):
    constructs = "\n".join(
        f'[constructs.{name}]\ntable = "customer_responses"\nitems = {items}\nscale = [1, 10]'
        for name, items in ITEMS.items()
        if name in model
    )
    (folder / "study.toml").write_text(
        f'[study]\nname = "ECSI"\nallow_outside = true\n[tables.customer_responses]\n'
        f'file = "{DATA / "ecsi_mobile.csv"}"\n{constructs}\n[chain]\nmodel = """{model}"""\n'
    )
    return spc.read_study(folder / "study.toml")


def test_the_short_customer_chain_holds(tmp_path):
    chain = spc.fit_chain(ecsi(tmp_path, SHORT), draws=500)
    links = chain.tidy().query("kind == 'link'").set_index(["rhs", "lhs"])
    published = {
        ("quality", "value"): 0.68,
        ("quality", "satisfaction"): 0.75,
        ("value", "satisfaction"): 0.24,
        ("satisfaction", "loyalty"): 0.80,
    }
    assert links["std_all"].round(2).to_dict() == published
    assert set(links["label"]) == {"holds"}
    assert round(chain.glance()["cfi"].item(), 2) == 0.94


def test_the_full_index_model_is_not_read_link_by_link(tmp_path):
    chain = spc.fit_chain(ecsi(tmp_path, FULL), draws=500)
    serious = [note for note in chain.notes() if note.code == "collinear_latents"]
    assert serious
    assert all(note.severity == "serious" for note in serious)
    assert set(chain.tidy().query("kind == 'link'")["label"]) == {"not interpretable"}


def test_single_items_covary_with_latent_causes(tmp_path):
    """A single-item cause beside a latent one: held uncorrelated they would give another slope and a poor fit."""
    model = "loyalty ~ satisfaction + complaints"
    chain = spc.fit_chain(ecsi(tmp_path, model), draws=200)
    covariance = chain.tidy().query("kind == 'covariance'")
    assert {frozenset(pair) for pair in zip(covariance["lhs"], covariance["rhs"], strict=True)} == {
        frozenset({"satisfaction", "complaints"})
    }
    assert abs(covariance["std_all"].item()) > 0.3


def soldiers(folder):
    (folder / "study.toml").write_text(
        f"""[study]
name = "Companies"
allow_outside = true
[tables.employee_responses]
file = "{DATA / "military_companies.csv"}"
columns = {{ respondent = "SUBNUM", unit = ["BTN", "COMPANY"], wave = "TIME" }}
[constructs.job_satisfaction]
table = "employee_responses"
items = ["JSAT"]
scale = [1, 5]
[constructs.commitment]
table = "employee_responses"
items = ["COMMIT"]
scale = [1, 5]
[constructs.readiness]
table = "employee_responses"
items = ["READY"]
scale = [1, 5]
[chain]
model = "commitment ~ job_satisfaction\\nreadiness ~ commitment"
[[chain.lags]]
from = "job_satisfaction"
to = "commitment"
waves = 1
[[chain.lags]]
from = "commitment"
to = "readiness"
waves = 1
"""
    )
    return spc.read_study(folder / "study.toml")


def test_companies_of_soldiers_have_too_little_in_common_for_panels_and_it_is_said_what_to_do(tmp_path):
    """On means of the 43 companies lavaan's random intercepts run off to variances of -600 to -4789 as well."""
    study = soldiers(tmp_path)
    means = spc.panel(study, rows="unit")
    advice = next(note.text for note in means.notes() if note.code == "another_way")
    assert "within transformation" in advice and 'rows="person"' in advice and "correct=False" in advice
    people = spc.panel(study, rows="person").tidy()
    assert set(people.query("kind == 'cross_lag'")["label"]) == set(MODELS.values())


def test_stable_parts_are_tested_against_a_panel_that_differs_in_nothing_else(tmp_path):
    """Where one of the two needs equal variances over waves, so has the other: degrees of freedom stay above zero."""
    found = spc.panel(soldiers(tmp_path), rows="unit", correct=False)
    tests = found.tidy().query("kind == 'stable_parts'")
    assert len(tests) and not tests["rhs"].str.startswith("-").any()
    assert (tests["rhs"].str.split().str[0].astype(int) <= 3).all()


def test_soldiers_in_companies_over_three_waves(tmp_path):
    study = soldiers(tmp_path)
    with pytest.warns(spc.DroppedRowsWarning, match="67 of 495"):
        chain = spc.fit_chain(study, draws=300)
    wide = pd.read_csv(DATA / "military_companies.csv").query("TIME == 0")
    rows = wide[["JOBSAT1", "COMMIT2", "READY3"]].dropna()
    links = chain.tidy().query("kind == 'link'").set_index("lhs")
    slope = rows.cov().loc["COMMIT2", "JOBSAT1"] / rows["JOBSAT1"].var()
    assert links.loc["commitment", "estimate"] == pytest.approx(slope, rel=1e-6)
    assert chain.nunits == 43
    assert chain.glance()["nobs"].item() == len(rows)
