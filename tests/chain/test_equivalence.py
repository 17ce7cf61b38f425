"""Too small to matter: statsmodels' two one-sided tests, a null link of many units, money through the chain."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

import spc
from spc.chain.equivalence import Smallest, money_outcome, two_one_sided
from spc.errors import DataError, UsageError

DOCUMENT = """
[study]
name = "Shops"
[tables.units]
file = "units.csv"
[tables.customer_responses]
file = "customers.csv"
[constructs.service]
table = "customer_responses"
items = ["service"]
[constructs.music]
table = "customer_responses"
items = ["music"]
[constructs.profitability]
table = "units"
items = ["profit"]
[chain]
model = "profitability ~ service + music"
{keys}
"""


def shops(folder: Path, *, keys: str = "", units: int = 900, music: float = 0.0) -> spc.Study:
    """Profit per unit has standard deviation about 100; service moves it by 60 a standard deviation, music by 0."""
    rng = np.random.default_rng(8)
    service, other = rng.normal(size=(2, units))
    profit = 60 * service + 100 * music * other + rng.normal(0, 80, units)
    pd.DataFrame({"unit": range(units), "profit": profit}).to_csv(folder / "units.csv", index=False)
    pd.DataFrame({"unit": range(units), "service": service, "music": other}).to_csv(
        folder / "customers.csv", index=False
    )
    (folder / "study.toml").write_text(DOCUMENT.format(keys=keys))
    return spc.read_study(folder / "study.toml")


def test_two_groups_as_statsmodels():
    """A regression on two groups is the pooled comparison of their means."""
    rng = np.random.default_rng(1)
    one, two = rng.normal(0.1, 1, 40), rng.normal(0, 1, 50)
    df = 88
    pooled = math.sqrt((39 * one.var(ddof=1) + 49 * two.var(ddof=1)) / df)
    error = pooled * math.sqrt(1 / 40 + 1 / 50)
    expected, _, _ = ttost_ind(one, two, -0.5, 0.5)
    found, low, high = two_one_sided(one.mean() - two.mean(), error, 0.5, df=df)
    assert found == pytest.approx(expected, rel=1e-10)
    assert (found < 0.05) == (low > -0.5 and high < 0.5)


@pytest.mark.parametrize("shift", [0.0, 0.4, -0.9])
def test_p_value_and_interval_say_the_same(shift):
    rng = np.random.default_rng(2)
    values = rng.normal(shift, 1, 30)
    expected, _, _ = ttost_paired(values, np.zeros(30), -0.5, 0.5)
    found, low, high = two_one_sided(values.mean(), values.std(ddof=1) / math.sqrt(30), 0.5, df=29)
    assert found == pytest.approx(expected, rel=1e-10)
    assert (found < 0.05) == (low > -0.5 and high < 0.5)


def test_a_null_link_of_many_units_is_practically_nil(tmp_path):
    chain = spc.fit_chain(shops(tmp_path, keys="smallest_effect = 0.1"), draws=300)
    links = chain.tidy().query("kind == 'link'").set_index("rhs")["label"]
    assert links.to_dict() == {"service": "holds", "music": "practically nil"}


def test_few_units_leave_it_open(tmp_path):
    chain = spc.fit_chain(shops(tmp_path, keys="smallest_effect = 0.1", units=40), draws=300)
    links = chain.tidy().query("kind == 'link'").set_index("rhs")["label"]
    assert links["music"] == "unclear"


def test_a_clear_link_may_be_too_small_to_matter(tmp_path):
    study = shops(tmp_path, keys="smallest_effect = 0.2", units=3000, music=0.08)
    found = spc.fit_chain(study, draws=300).tidy().query("kind == 'link'").set_index("rhs")
    assert found.loc["music", "conf_low"] > 0
    assert found["label"].to_dict() == {"service": "holds", "music": "too small to matter"}


def test_without_a_smallest_effect_verdicts_stay(tmp_path):
    chain = spc.fit_chain(shops(tmp_path), draws=300)
    assert chain.tidy().query("kind == 'link'").set_index("rhs")["label"].to_dict() == {
        "service": "holds", "music": "unclear",
    }  # fmt: skip
    with pytest.raises(UsageError, match="smallest_effect"):
        spc.equivalence(chain)


def test_money_of_one_standard_deviation(tmp_path):
    chain = spc.fit_chain(shops(tmp_path, keys="smallest_effect_money = 15"), draws=4000)
    found = spc.equivalence(chain).tidy()
    money = found[found["kind"] == "effect_money"].set_index("rhs")
    assert money.loc["service", "estimate"] == pytest.approx(60, abs=8)
    link = chain.links.set_index("rhs").loc["music"]
    spread = chain.scores["music"].std(ddof=0)
    assert money.loc["music", "estimate"] == pytest.approx(link["estimate"] * spread, rel=1e-6)
    assert money.loc["music", "std_error"] == pytest.approx(link["std_error"] * spread, rel=0.02)
    assert money["label"].to_dict() == {"service": "holds", "music": "practically nil"}


def test_money_carries_what_is_uncertain_downstream(tmp_path):
    study = spc.read_study(spc.make_firm(seed=4, units=80).write(tmp_path))
    chain = spc.fit_chain(study, draws=2000, method="unit_means")
    found = spc.equivalence(chain, money=0.001).tidy()
    row = found[(found["kind"] == "effect_money") & (found["lhs"] == "employee_loyalty")].iloc[0]
    names = list(chain.effects.names)
    path = [names.index("direct: employee_satisfaction -> employee_loyalty"),
            names.index("total: employee_loyalty -> profitability")]  # fmt: skip
    drawn = chain.effects.draws[:, path].prod(axis=1) * chain.scores["employee_satisfaction"].dropna().std(ddof=0)
    assert row["conf_low"] == pytest.approx(np.quantile(drawn, 0.05), rel=1e-3)
    assert row["conf_high"] == pytest.approx(np.quantile(drawn, 0.95), rel=1e-3)
    notes = spc.equivalence(chain, money=0.001).notes()
    assert [note.code for note in notes] == ["no_way_to_money"]
    both = spc.equivalence(chain, money=0.001, smallest=0.1)
    assert not both.notes()
    assert {link.scale for link in both.links} == {"sd", "money"}


def test_a_sum_of_money_is_not_held_against_a_rate(tmp_path):
    study = spc.read_study(spc.make_firm(seed=4, units=60).write(tmp_path))
    chain = spc.fit_chain(study, draws=200)
    with pytest.raises(DataError, match="rate"):
        spc.equivalence(chain, money=25000)


def test_outcomes_and_bounds():
    assert money_outcome({"b": ["a"], "revenue_growth": ["b"]}) == "revenue_growth"
    assert money_outcome({"b": ["a"], "c": ["b"]}) == "c"
    with pytest.raises(UsageError, match="no effect"):
        money_outcome({"b": ["a"]}, "a")
    for wrong in ({"sd": 0.0}, {"money": -1.0}, {}, {"sd": float("nan")}):
        with pytest.raises(UsageError):
            Smallest(**wrong)
