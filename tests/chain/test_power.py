"""Power: drawn firms have the planned shares and links; what is added is enough when it is added."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spc.chain.power import Plan, draw_units, needed_in_words, power
from spc.errors import UsageError

LINKS = {("value", "mood"): 0.5, ("profit", "value"): 0.6}
SIDES = {"mood": "employee", "value": "customer", "profit": ""}
SMALL = Plan(40, {"employee": 8, "customer": 20}, LINKS, SIDES, {"mood": 0.2, "value": 0.15})


def test_drawn_firms_have_the_planned_shares_and_links() -> None:
    plan = replace(SMALL, units=4000)
    drawn = draw_units(plan, np.random.default_rng(1))
    place = {name: i for i, name in enumerate(drawn.names)}
    within = drawn.within.diagonal()
    assert within[place["mood"]] == pytest.approx(0.8, abs=0.02)
    assert within[place["value"]] == pytest.approx(0.85, abs=0.02)
    between = np.cov(drawn.means[:, [place["mood"], place["value"], place["profit"]]].T)
    assert between[0, 1] == pytest.approx(0.5 * np.sqrt(0.2 * 0.15), abs=0.01)
    assert between[1, 2] == pytest.approx(0.6 * np.sqrt(0.15), abs=0.02)
    assert drawn.counts.mean(axis=0) == pytest.approx([8, 20], rel=0.05)


def test_waves_of_a_unit_are_as_alike_as_planned() -> None:
    plan = replace(SMALL, units=3000, waves=2, stability=0.6)
    drawn = draw_units(plan, np.random.default_rng(1))
    profit = drawn.means[:, drawn.names.index("profit")].reshape(2, 3000)
    assert np.corrcoef(profit)[0, 1] == pytest.approx(0.6, abs=0.05)


def test_more_units_find_more_and_intervals_cover() -> None:
    few, many = (power(replace(SMALL, units=units), firms=80, needs=False).table for units in (30, 120))
    assert (many["power"] >= few["power"] - 0.05).all()
    assert many["power"].iloc[0] > few["power"].iloc[0] + 0.15
    assert (many["width"] < 0.7 * few["width"]).all()
    assert (many["coverage"] > 0.87).all()  # 95 % less three errors of 80 firms


def test_a_link_of_nought_is_found_as_often_as_chance_allows() -> None:
    plan = replace(SMALL, units=80, links={("value", "mood"): 0.0, ("profit", "value"): 0.6})
    found = power(plan, firms=150, needs=False).table.set_index(["lhs", "rhs"])
    assert found.loc[("value", "mood"), "power"] < 0.08  # one side of 5 %, and three errors of 150 firms


def test_the_added_units_are_enough() -> None:
    found = power(replace(SMALL, units=50), firms=100)
    weak = found.table["power"].to_numpy().argmin()
    units = int(found.needs["units"].iloc[weak])
    assert units > 50
    again = power(replace(SMALL, units=units), firms=100, needs=False).table
    assert again["power"].iloc[weak] > 0.65  # 80 % wanted; three errors of 100 firms, and scaling is rough
    assert (found.needs["respondents"] >= 1.0).all()


def test_the_same_seed_gives_the_same_numbers() -> None:
    one, two = (power(SMALL, firms=20, needs=False) for _ in range(2))
    pd.testing.assert_frame_equal(one.tidy(), two.tidy())


def test_sentences_name_what_is_missed_and_what_it_takes() -> None:
    found = power(replace(SMALL, units=30), firms=40)
    said = needed_in_words(found)
    assert all("units in place of 30" in sentence or "more units" in sentence for sentence in said)
    assert "planned_truth" in {note.code for note in found.notes()}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"units": 3}, "at least 5 units"),
        ({"links": {("value", "temper"): 0.5}}, "temper"),
        ({"links": {("mood", "value"): 0.5}}, "causes before effects"),
        ({"icc": {"mood": 0.2}}, "icc of value"),
        ({"respondents": {"employee": 8}}, "respondents of customer"),
        ({"within": 1.0}, "shares below 1"),
    ],
)
def test_impossible_plans_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        replace(SMALL, **change)  # type: ignore[arg-type]


def test_links_that_explain_too_much_are_refused() -> None:
    with pytest.raises(UsageError, match="no room for chance"):
        power(replace(SMALL, links={("value", "mood"): 1.2}), firms=20)
