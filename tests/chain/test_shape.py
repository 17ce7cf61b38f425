"""Shapes of a study's links: made-up firms whose links are bent or straight, and persons of one table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import spc
from spc.chain.shape import LinkShapes, link_shapes
from spc.errors import DataError, UsageError

DOCUMENT = """
[study]
name = "Shops"
seed = 4
[tables.employee_responses]
file = "employees.csv"
[tables.customer_responses]
file = "customers.csv"
[tables.units]
file = "units.csv"
[constructs.employee_satisfaction]
table = "employee_responses"
items = ["es"]
[constructs.employee_loyalty]
table = "employee_responses"
items = ["el"]
[constructs.customer_satisfaction]
table = "customer_responses"
items = ["cs"]
[constructs.profitability]
table = "units"
items = ["profit"]
[chain]
model = \"\"\"
employee_loyalty ~ employee_satisfaction
customer_satisfaction ~ employee_satisfaction
profitability ~ customer_satisfaction
\"\"\"
"""


def shops(folder: Path, curve: Callable[[np.ndarray], np.ndarray], units: int = 200) -> spc.Study:
    rng = np.random.default_rng(11)
    mood = rng.normal(0, 0.6, units)
    guests = curve(mood) + rng.normal(0, 0.2, units)
    staff = np.repeat(np.arange(units), 10)
    visits = np.repeat(np.arange(units), 25)
    shared = rng.normal(0, 1, staff.size)
    pd.DataFrame({
        "unit": staff, "es": mood[staff] + shared, "el": 0.5 * mood[staff] + 0.8 * shared + rng.normal(0, 1, staff.size)
    }).to_csv(folder / "employees.csv", index=False)  # fmt: skip
    pd.DataFrame({"unit": visits, "cs": guests[visits] + rng.normal(0, 1, visits.size)}).to_csv(
        folder / "customers.csv", index=False
    )
    pd.DataFrame({"unit": range(units), "profit": 0.8 * guests + rng.normal(0, 0.2, units)}).to_csv(
        folder / "units.csv", index=False
    )
    (folder / "study.toml").write_text(DOCUMENT)
    return spc.read_study(folder / "study.toml")


def shape_of(found: LinkShapes, lhs: str) -> pd.Series:
    table = found.tidy()
    return table[(table["kind"] == "shape") & (table["lhs"] == lhs)].iloc[0]


def test_loss_that_weighs_more_than_gain_is_found_and_others_stay_straight(tmp_path: Path) -> None:
    study = shops(tmp_path, lambda x: 1.2 * np.minimum(x, 0.0))
    found = link_shapes(study, draws=199)
    assert shape_of(found, "customer_satisfaction")["label"] != "straight"
    assert shape_of(found, "employee_loyalty")["label"] == "straight"
    assert shape_of(found, "profitability")["label"] == "straight"
    table = found.tidy().set_index(["lhs", "kind"])
    loss, gain = (table.loc[("customer_satisfaction", kind)] for kind in ("loss", "gain"))
    assert loss["conf_low"] < 1.2 < loss["conf_high"]
    assert gain["conf_low"] < 0.0 < gain["conf_high"]


def test_people_who_answer_both_do_not_lend_their_mood_to_the_link(tmp_path: Path) -> None:
    # within units satisfaction and loyalty share .8; between units the slope is .5
    slope = link_shapes(shops(tmp_path, lambda x: x), draws=99).tidy().set_index(["lhs", "kind"])
    row = slope.loc[("employee_loyalty", "slope")]
    assert row["conf_low"] < 0.5 < row["conf_high"]
    assert row["conf_high"] < 0.8


def test_the_response_stops_at_the_observed_range(tmp_path: Path) -> None:
    found = link_shapes(shops(tmp_path, lambda x: x), draws=99)
    link = next(link for link in found.links if link.lhs == "profitability")
    far = link.response(np.array([link.high, link.high + 5.0, link.low, link.low - 5.0]))
    assert far[0] == far[1]
    assert far[2] == far[3]
    assert link.response(np.array([link.shapes.middle]))[0] == pytest.approx(0.0, abs=1e-12)
    curve = found.augment().query("lhs == 'profitability'")
    assert curve["x"].min() == link.low
    assert curve["x"].max() == link.high


def test_the_same_seed_gives_the_same_table(tmp_path: Path) -> None:
    study = shops(tmp_path, lambda x: x, units=40)
    pd.testing.assert_frame_equal(link_shapes(study, draws=99).tidy(), link_shapes(study, draws=99).tidy())


def test_the_halves_of_the_respondents_are_the_same_however_many_draws(tmp_path: Path) -> None:
    """So that whoever asks for the shape of a link is told of the same one."""
    study = shops(tmp_path, lambda x: x, units=40)
    few, many = (link_shapes(study, draws=draws) for draws in (99, 150))
    for one, other in zip(few.links, many.links, strict=True):
        assert (one.low, one.high, one.shapes.straight.slope) == (other.low, other.high, other.shapes.straight.slope)


def test_units_that_do_not_differ_in_a_cause_are_not_said_to_be_absent(tmp_path: Path) -> None:
    shops(tmp_path, lambda x: x, units=40)
    staff = pd.read_csv(tmp_path / "employees.csv")
    alike = staff.assign(es=np.tile([3.0, 5.0], len(staff) // 2), el=np.tile([2.0, 4.0], len(staff) // 2))
    alike.to_csv(tmp_path / "employees.csv", index=False)
    found = link_shapes(spc.read_study(tmp_path / "study.toml"), draws=99)
    said = next(note.text for note in found.notes() if note.subject.startswith("customer_satisfaction"))
    assert "40 units that have both differ too little" in said


def test_few_units_are_named_and_not_tested(tmp_path: Path) -> None:
    found = link_shapes(shops(tmp_path, lambda x: x, units=9), draws=99)
    assert not found.links
    assert [note.code for note in found.notes()] == ["shape_not_tested"] * 3
    assert all("9 units have both, which is too few" in note.text for note in found.notes())
    assert found.tidy().empty
    assert int(found.glance()["links"].iloc[0]) == 0


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    study = shops(tmp_path, lambda x: x, units=40)
    with pytest.raises(UsageError, match="99 draws"):
        link_shapes(study, draws=10)
    text = (tmp_path / "study.toml").read_text()
    (tmp_path / "study.toml").write_text(text[: text.index("[chain]")])
    with pytest.raises(DataError, match="chain"):
        link_shapes(spc.read_study(tmp_path / "study.toml"))
