"""Items against the codebook."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spc.contracts import check_items, check_straight_lines


def answers(n=300, k=4, seed=1, noise=1.0):
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((n, 1))
    raw = 4 + 1.5 * (factor + noise * rng.standard_normal((n, k)))
    return pd.DataFrame(np.clip(np.rint(raw), 1, 7).astype(int), columns=[f"q{i + 1}" for i in range(k)])


def found(frame, items=None, low=1, high=7, reverse=(), **kw):
    items = list(frame.columns) if items is None else items
    return {
        (f.rule, f.column): f
        for f in check_items(frame, table="staff", items=items, low=low, high=high, reverse=reverse, **kw)
    }


def test_good_items_have_no_findings():
    assert found(answers()) == {}


@pytest.mark.parametrize(
    ("cells", "rule", "rows"),
    [
        ([1, 2, 8, 0], "outside_scale", (4, 5)),
        ([1, 2, np.inf, 3], "outside_scale", (4,)),
        (["1", "two", "3", None], "not_a_number", (3,)),
        ([True, False, True, False], "not_a_number", (2, 3, 4, 5)),
        ([3, 3, 3, None], "constant_item", ()),
        ([None, None, None, None], "empty_item", ()),
        (["", " ", None, ""], "empty_item", ()),
        ([1, None, None, 4], "many_missing", ()),
    ],
)
def test_each_rule_finds_its_rows(cells, rule, rows):
    finding = found(pd.DataFrame({"q": cells}))[rule, "q"]
    assert finding.rows == rows
    assert (finding.severity == "warning") == (rule == "many_missing")


def test_a_lone_value_outside_is_offered_as_a_missing_code():
    assert "add it to `missing`" in found(pd.DataFrame({"q": [1, 2, 99, 99]}))["outside_scale", "q"].hint
    assert "add it" not in found(pd.DataFrame({"q": [1, 2, 98, 99]}))["outside_scale", "q"].hint


def test_an_absent_item_names_the_nearest_column():
    frame = answers().rename(columns={"q2": "Q_2"})
    finding = found(frame, items=["q1", "q2", "q3"])["missing_item", "q2"]
    assert "'Q_2'" in finding.hint


def test_q1_is_not_offered_for_q2():
    frame = answers()[["q1", "q3"]].rename(columns={"q3": "x"})
    assert "nearest" not in found(frame, items=["q2"])["missing_item", "q2"].hint


def test_numbers_as_text_pass():
    assert found(answers().astype(str)) == {}


def test_quantities_have_no_scale_and_no_direction():
    frame = answers() * 1000.0
    frame["q4"] = -frame["q4"]
    assert found(frame, low=None, high=None) == {}


def test_a_declared_reverse_item_that_runs_with_the_others():
    findings = found(answers(), reverse=["q3"])
    assert list(findings) == [("unreversed_item", "q3")]
    assert findings["unreversed_item", "q3"].severity == "error"
    assert "take the item out of `reverse`" in findings["unreversed_item", "q3"].hint


def test_an_undeclared_item_that_runs_against_the_others():
    frame = answers()
    frame["q2"] = 8 - frame["q2"]
    assert list(found(frame)) == [("undeclared_reverse", "q2")]
    assert found(frame, reverse=["q2"]) == {}


def test_two_of_five_reversed_rightly_and_one_forgotten():
    frame = answers(k=5)
    for name in ("q1", "q2"):
        frame[name] = 8 - frame[name]
    assert list(found(frame, reverse=["q1"])) == [("undeclared_reverse", "q2")]


def test_two_items_of_which_one_is_wrongly_declared():
    assert list(found(answers(k=2), reverse=["q1"])) == [("unreversed_item", "q1")]
    assert list(found(answers(k=2), reverse=["q2"])) == [("unreversed_item", "q2")]


def test_unrelated_items_have_no_direction():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.integers(1, 8, (400, 4)), columns=list("abcd"))
    assert found(frame, reverse=["b"]) == {}


def test_a_weak_contradiction_is_a_warning():
    frame = answers(n=5000, noise=1.0)
    rng = np.random.default_rng(3)
    frame["q4"] = np.clip(np.rint(4 - 0.15 * (frame["q1"] - 4) + rng.standard_normal(5000)), 1, 7)
    finding = found(frame)["undeclared_reverse", "q4"]
    assert finding.severity == "warning"


def test_direction_is_judged_beside_answers_outside_the_scale():
    frame = answers()
    frame["q2"] = 8 - frame["q2"]
    frame.loc[5, "q1"] = 99
    assert set(found(frame)) == {("outside_scale", "q1"), ("undeclared_reverse", "q2")}


@given(st.permutations(["q1", "q2", "q3", "q4"]), st.sets(st.sampled_from(["q1", "q2", "q3", "q4"])))
def test_direction_does_not_depend_on_order_and_right_keys_are_never_doubted(order, turned):
    frame = answers(n=120)
    for name in turned:
        frame[name] = 8 - frame[name]
    assert found(frame, items=order, reverse=turned) == {}


def test_straight_lines():
    frame = answers(k=8)
    assert check_straight_lines(frame, table="staff", items=list(frame)) == []
    frame.iloc[:60] = 4
    (finding,) = check_straight_lines(frame, table="staff", items=list(frame))
    assert (finding.rule, finding.severity) == ("straight_lines", "warning")
    assert check_straight_lines(frame, table="staff", items=list(frame)[:7]) == []


def test_small_integers_do_not_overflow():
    frame = pd.DataFrame({"q": np.array([1, 2, 127, -128], dtype=np.int8)})
    assert found(frame)["outside_scale", "q"].rows == (4, 5)


@pytest.mark.parametrize(("low", "high", "hint"), [(None, None, "without %"), (1, 7, "Export codes")])
def test_the_hint_for_text_fits_what_is_measured(low: float | None, high: float | None, hint: str) -> None:
    frame = pd.DataFrame({"growth": ["3.5%", "4.0%", "1.0%"]})
    (found,) = check_items(frame, table="units", items=["growth"], low=low, high=high, reverse=[])
    assert found.rule == "not_a_number"
    assert hint in found.hint
