import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from spc.disclosure import DisclosureRule, Gate, ReleasedModel, ReleasedTable, ReleasedText, require_released
from spc.errors import DataError, UsageError
from spc.results import Note, tidy_frame


@dataclasses.dataclass(frozen=True)
class Made:
    kind: str = "chain"
    rows: tuple = ({"lhs": "y", "rhs": "x", "kind": "link", "estimate": 0.5},)
    nobs: float = 80
    messages: tuple = ()

    def tidy(self):
        return tidy_frame(self.rows)

    def glance(self):
        return pd.DataFrame([{"nobs": self.nobs}])

    def notes(self):
        return self.messages


class Loyalty(Made):
    def augment(self):
        return pd.DataFrame({"period": [1, 2, 3], "at_risk": [90, 12, 4], "survival": [0.9, 0.5, 0.25]})


@pytest.fixture
def teams():
    return pd.DataFrame({"team": ["a", "b", "c", None], "mean": [2.0, 4.0, 5.0, 4.4375], "n": [3, 9, 20, 32]})


def test_small_and_next_smallest_are_missing(teams):
    table = Gate().groups(teams, keys=["team"], values=["mean"], counts="n", name="teams")
    assert table.frame["mean"].isna().tolist() == [True, True, False, False]
    assert table.frame["n"].isna().tolist() == [True, True, False, False]
    assert table.hidden == 2
    assert table.withheld["n"].tolist() == [True, True, False, False]


def test_values_follow_the_side_they_come_from(teams):
    frame = teams.assign(customers=[40, 50, 60, 150], rating=[1.0, 2.0, 3.0, 2.1])
    counts = {"mean": "n", "rating": "customers"}
    table = Gate().groups(frame, keys=["team"], values=["mean", "rating"], counts=counts, name="both")
    assert table.frame["mean"].isna().any()
    assert not table.frame["rating"].isna().any()


def test_only_named_columns_leave(teams):
    frame = teams.assign(secret=[1.0, 2.0, 3.0, 4.0])
    table = Gate().groups(frame, keys=["team"], values=["mean"], counts="n", name="teams")
    assert list(table.frame.columns) == ["team", "mean", "n"]


def test_a_rest_that_is_not_listed_is_protected():
    frame = pd.DataFrame({"team": ["a", "b", None], "mean": [3.0, 4.0, 3.6], "n": [10, 12, 24]})
    table = Gate().groups(frame, keys=["team"], values=["mean"], counts="n", name="rest of two")
    assert table.frame["mean"].isna().tolist() == [True, False, False]


def test_the_total_is_taken_to_be_known_listed_or_not():
    frame = pd.DataFrame({"team": ["a", "b", "c"], "mean": [3.0, 4.0, 5.0], "n": [3, 12, 24]})
    alone = Gate().groups(frame, keys=["team"], values=["mean"], counts="n", name="t")
    assert alone.frame["mean"].isna().tolist() == [True, True, False]


def test_totals_known_elsewhere_count():
    frame = pd.DataFrame({"team": ["a", "b", "c"], "mean": [3.0, 4.0, 5.0], "n": [13, 12, 24]})
    totals = pd.DataFrame({"team": [None], "n": [51]})
    alone = Gate().groups(frame, keys=["team"], values=["mean"], counts="n", name="t")
    known = Gate().groups(frame, keys=["team"], values=["mean"], counts="n", name="t", totals=totals)
    assert alone.frame["mean"].isna().tolist() == [False, False, False]
    assert known.frame["mean"].isna().tolist() == [False, True, False], "a rest of two is left to subtraction"


def test_an_error_names_what_is_wrong(teams):
    gate = Gate()
    with pytest.raises(UsageError, match="found a list"):
        gate.groups([1], keys=["team"], values=["mean"], counts="n", name="t")
    with pytest.raises(UsageError, match="'means'"):
        gate.groups(teams, keys=["team"], values=["means"], counts="n", name="t")
    with pytest.raises(DataError, match="fewer people than the groups"):
        gate.groups(teams.assign(n=[3, 9, 20, 30]), keys=["team"], values=["mean"], counts="n", name="t")
    with pytest.raises(DataError, match="the same group twice"):
        gate.groups(pd.concat([teams, teams]), keys=["team"], values=["mean"], counts="n", name="t")
    with pytest.raises(DataError, match="broken numbers"):
        gate.groups(teams.assign(n=[3.5, 9, 20, 32]), keys=["team"], values=["mean"], counts="n", name="t")
    with pytest.raises(DataError, match="numbers"):
        gate.groups(teams.assign(mean=["Ann", "Bo", "Cy", "x"]), keys=["team"], values=["mean"], counts="n", name="t")


def test_groups_that_overlap_unknown_are_refused():
    frame = pd.DataFrame({"unit": ["a", None], "sex": [None, "f"], "mean": [1.0, 2.0], "n": [20, 20]})
    with pytest.raises(DataError, match="nested"):
        Gate().groups(frame, keys=["unit", "sex"], values=["mean"], counts="n", name="t")


@pytest.mark.parametrize("kind", [ReleasedTable, ReleasedModel, ReleasedText])
def test_released_values_cannot_be_made_outside(kind):
    with pytest.raises((UsageError, TypeError)):
        kind("x", pd.DataFrame(), pd.DataFrame())
    with pytest.raises(UsageError, match="passed the gate"):
        ReleasedText("my own words")


def test_nor_by_replacing_or_subclassing(teams):
    table = Gate().groups(teams, keys=["team"], values=["mean"], counts="n", name="t")
    with pytest.raises((UsageError, ValueError, TypeError)):
        dataclasses.replace(table, _frame=teams)

    class Fake(ReleasedTable):
        def __post_init__(self, seal):
            pass

    with pytest.raises(UsageError, match="found a Fake"):
        require_released(Fake("t", teams, teams.isna()), ReleasedTable, "a table")


def test_changing_a_copy_changes_nothing(teams):
    table = Gate().groups(teams, keys=["team"], values=["mean"], counts="n", name="t")
    frame, withheld = table.frame, table.withheld
    frame["mean"] = 1.0
    withheld["mean"] = False
    assert table.frame["mean"].isna().sum() == 2
    assert table.hidden == 2


def test_models_on_too_few_are_refused():
    with pytest.raises(DataError, match="fewer than 5"):
        Gate().model(Made(nobs=4))
    with pytest.raises(DataError, match="does not say"):
        Gate().model(Made(nobs=np.nan))
    assert Gate().model(Made(nobs=5)).kind == "chain"
    with pytest.raises(UsageError, match="DataFrame"):
        Gate().model(pd.DataFrame())


def test_a_mean_margin_of_too_few_customers_is_refused():
    import spc

    ledger = pd.DataFrame({"tenure": [3, 2, 4, 1, 5, 5], "churned": [0, 1, 0, 1, 0, 1], "margin": [100.0] * 6})
    few = spc.loyalty_value(ledger, horizon=5, discount=0.1)
    with pytest.raises(DataError, match="fewer than 5 margins; expected at least 5"):
        Gate().model(few)
    assert Gate().model(spc.loyalty_value(ledger.drop(columns="margin"), horizon=5, discount=0.1)).kind == "loyalty"


@pytest.mark.parametrize("kind", ["factor_score", "residual", "unit_effect", "respondent"])
def test_rows_of_persons_or_units_are_refused(kind):
    with pytest.raises(DataError, match=r"Gate\.groups"):
        Gate().model(Made(rows=({"lhs": "x", "rhs": "u17", "kind": kind, "estimate": 1.0},)))


def test_augment_leaves_only_by_period_and_without_a_thin_tail():
    assert Gate().model(Loyalty(kind="chain")).curve is None
    gate = Gate()
    curve = gate.model(Loyalty(kind="loyalty")).curve
    assert curve.frame["survival"].isna().tolist() == [False, False, True]
    assert curve.frame["period"].tolist() == [1, 2, 3]
    assert gate.log().frame["hidden"].tolist() == [1]


def test_notes_that_name_a_small_unit_keep_only_their_weight():
    notes = (
        Note("low", "serious", "unit Harbour", "Unit Harbour (3 people) has a mean of 1.2."),
        Note("ok", "info", "chain", "All well in the 3 units; Harbourside too."),
    )
    gate = Gate(unit_sizes={"Harbour": 3, "Harbourside": 30, "3": 2})
    kept = gate.model(Made(messages=notes)).notes
    assert (kept[0].code, kept[0].severity) == ("low", "serious")
    assert "Harbour" not in kept[0].text + kept[0].subject
    assert "1.2" not in kept[0].text
    assert kept[1] == notes[1]
    assert "Harbour" not in gate.log().frame.to_csv()


def test_a_numbered_unit_is_recognised_beside_the_word_unit():
    note = Note("low", "info", "x", "The mean of unit 12 is 2.2.")
    assert "2.2" not in Gate(unit_sizes={"12": 2}).model(Made(messages=(note,))).notes[0].text
    assert Gate(unit_sizes={"12": 20}).model(Made(messages=(note,))).notes[0] == note


def test_comments_need_their_own_minimum():
    assert str(Gate().comment("Fine.", 10)) == "Fine."
    with pytest.raises(DataError, match="at least 10"):
        Gate().comment("Fine.", 9)


def test_the_gate_of_a_study_takes_the_stricter_rule_and_counts_units():
    answers = pd.DataFrame({"unit": ["a"] * 3 + ["b"] * 9})
    study = SimpleNamespace(disclosure=DisclosureRule(minimum_group=6), tables={"employee_responses": answers})
    gate = Gate.of(study, DisclosureRule(minimum_group=4, minimum_comments=12))
    assert gate.rule == DisclosureRule(6, 12)
    assert gate.unit_sizes == {"a": 3, "b": 9}
    assert Gate.of().rule == DisclosureRule()


def test_records_are_json_with_none_for_hidden(teams):
    table = Gate().groups(teams, keys=["team"], values=["mean"], counts="n", name="t")
    records = json.loads(json.dumps(table.records(), allow_nan=False))
    assert records[0] == {"team": "a", "mean": None, "n": None}
    model = Gate().model(Made(rows=({"lhs": "y", "kind": "link", "estimate": np.inf},)))
    assert json.loads(json.dumps(model.record(), allow_nan=False))["tidy"][0]["estimate"] is None


def test_regions_are_told_before_their_units_and_neither_gives_the_other_away():
    rng = np.random.default_rng(4)
    sizes = {"a": 3, "b": 9, "c": 20, "d": 2, "e": 2, "f": 30}
    homes = dict(zip("abcdef", ["N", "N", "N", "S", "S", "W"], strict=True))
    rows = pd.DataFrame({"unit": np.repeat(list(sizes), list(sizes.values()))})
    rows["x"] = rng.integers(2, 7, len(rows)).astype(float)
    units = pd.DataFrame({"unit": list(homes), "region": list(homes.values())})
    scale = SimpleNamespace(name="x", table="employee_responses", items=("x",), reverse=(), low=1, high=7)
    by_unit = rows.groupby("unit")["x"].agg(["mean", "size"]).set_axis(["x", "n_x"], axis=1).reset_index()
    study = SimpleNamespace(
        kind="study", tables={"employee_responses": rows, "units": units}, codebook=(scale,), folder=None,
        disclosure=DisclosureRule(), augment=lambda: by_unit, tidy=lambda: tidy_frame([]),
        glance=lambda: pd.DataFrame({"employee_responses": [len(rows)]}), notes=lambda: (),
    )  # fmt: skip
    model = Gate.of(study).model(study)
    regions = model.regions.frame.set_index("region")["x"]
    assert regions.index.tolist() == ["N", "S", "W"]
    assert regions.isna().tolist() == [False, True, True]  # the South is four people; the West would give it away
    assert regions["N"] == pytest.approx(rows.loc[rows["unit"].isin(list("abc")), "x"].mean(), abs=0.005)
    assert model.curve.frame.set_index("unit")["x"].isna().tolist() == [True, True, False, True, True, True]
