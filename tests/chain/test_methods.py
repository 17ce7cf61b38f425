"""Links by several methods: each method is there where its rows are, and correction shows beside averaging."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import spc
from spc.chain.methods import LinkMethods, link_methods


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> LinkMethods:
    folder = tmp_path_factory.mktemp("firm")
    study = spc.read_study(spc.make_firm(seed=3, units=40).write(folder))
    return link_methods(study, spc.fit_chain(study, draws=200, method="two_sided"), draws=99)


def test_every_link_has_the_chain_first_and_the_methods_its_rows_allow(found: LinkMethods) -> None:
    table = found.tidy()
    assert (table["kind"] == "link_method").all()
    by_link = {key: rows["label"].tolist() for key, rows in table.groupby(["lhs", "rhs"], sort=False)}
    within = by_link["employee_loyalty", "employee_satisfaction"]
    across = by_link["customer_value", "employee_loyalty"]
    result = by_link["profitability", "customer_loyalty"]
    assert all(labels[0] == "chain, two-sided" for labels in by_link.values())
    assert "fixed effects of units, respondents" in within
    assert "fixed effects of units, respondents" not in across
    assert "mixed model of respondents" in across
    assert "mixed model of respondents" not in result
    assert "fixed effects of units, waves" not in within
    wide = found.compared()
    assert len(wide) == len(by_link)
    assert {"OLS, HC3", "quantile regression, 50%"} <= set(wide)


def test_least_squares_is_the_same_whatever_its_errors(found: LinkMethods) -> None:
    wide = found.compared()
    np.testing.assert_allclose(wide["OLS, HC3"], wide["least squares, wild bootstrap"], rtol=1e-9)


def test_fixed_effects_over_waves_need_three_of_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    units, waves = 25, 4
    person = pd.DataFrame(
        {"unit": np.repeat(np.arange(units), waves * 6), "wave": np.tile(np.repeat(range(waves), 6), units)}
    )
    stable = rng.normal(size=units)[person["unit"]]
    moving = rng.normal(size=(units, waves))[person["unit"], person["wave"]]
    person["a"] = moving + 2 * stable + 0.1 * rng.normal(size=len(person))
    person["b"] = 0.4 * moving - 3 * stable + 0.1 * rng.normal(size=len(person))
    person.to_csv(tmp_path / "people.csv", index=False)
    text = """
[study]
name = "Waves"
[tables.employee_responses]
file = "people.csv"
[constructs.mood]
table = "employee_responses"
items = ["a"]
[constructs.stay]
table = "employee_responses"
items = ["b"]
[chain]
model = "stay ~ mood"
level = "unit"
"""
    (tmp_path / "study.toml").write_text(text)
    study = spc.read_study(tmp_path / "study.toml")
    wide = link_methods(study, draws=99).compared().iloc[0]
    assert wide["OLS, HC3"] < 0
    assert wide["fixed effects of units, waves"] == pytest.approx(0.4, abs=0.05)
