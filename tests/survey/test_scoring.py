from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spc.errors import DataError
from spc.survey import Construct, keyed_items, score, score_counts, score_table, scoring_rule

VALUE = Construct("value", ["v1", "v2", "v3", "v4"], 1, 5, reverse=["v4"], table="customer_responses")
answers = st.lists(st.lists(st.one_of(st.none(), st.integers(1, 5)), min_size=4, max_size=4), min_size=1, max_size=20)


def frame(rows):
    return pd.DataFrame(rows, columns=["v1", "v2", "v3", "v4"], dtype="Float64")


def test_score_by_hand():
    given_answers = frame([[5, 4, 3, 2], [5, None, None, 1], [5, None, None, None], [None] * 4])
    assert score(given_answers, VALUE).tolist() == pytest.approx([4.0, 5.0, np.nan, np.nan], nan_ok=True)


@given(answers)
def test_score_is_the_mean_of_the_answered_keyed_items(rows):
    for row, found in zip(rows, score(frame(rows), VALUE), strict=True):
        keyed = [6 - x if i == 3 else x for i, x in enumerate(row) if x is not None]
        if len(keyed) < 2:
            assert np.isnan(found)
        else:
            assert found == pytest.approx(sum(keyed) / len(keyed))
            assert 1 <= found <= 5


@given(answers)
def test_turning_every_item_round_mirrors_the_score(rows):
    mirrored = Construct("value", VALUE.items, 1, 5, reverse=["v1", "v2", "v3"])
    np.testing.assert_allclose(score(frame(rows), mirrored), 6 - score(frame(rows), VALUE))


@given(answers)
def test_counts_add_up(rows):
    row = score_counts(frame(rows), [VALUE]).iloc[0]
    assert row["people"] == len(rows) == row["scored"] + row["unscored"]
    assert row["unscored"] == row["no_answer"] + row["too_few"]
    assert row["scored"] == score(frame(rows), VALUE).notna().sum()


@pytest.mark.parametrize("dtype", ["int64", "Int64", "float32", "object", "bool"])
def test_any_numeric_type_is_read(dtype):
    data = pd.DataFrame({"a": [1, 0], "b": [1, 1]}).astype(dtype)
    construct = Construct("c", ["a", "b"], 0, 1)
    if dtype == "object":
        with pytest.raises(DataError, match="values of type object"):
            score(data, construct)
    else:
        assert score(data, construct).tolist() == [1.0, 0.5]


def test_the_frame_is_left_alone_and_the_index_kept():
    data = frame([[1, 2, 3, 4], [5, 5, 5, 5]]).set_index(pd.Index(["p", "q"]))
    before = data.copy(deep=True)
    keyed = keyed_items(data, VALUE)
    assert list(keyed.index) == ["p", "q"]
    assert keyed["v4"].tolist() == [2.0, 1.0]
    pd.testing.assert_frame_equal(data, before)


def test_every_faulty_item_is_reported_at_once():
    data = pd.DataFrame({"v1": [1, 9], "v2": ["x", "y"], "v3": [np.inf, 1], "V4": [1, 1]})
    with pytest.raises(DataError) as caught:
        score(data, VALUE)
    assert {(f.column, f.rule) for f in caught.value.findings} == {
        ("v1", "outside_scale"),
        ("v2", "not_numeric"),
        ("v3", "infinite"),
        ("v4", "missing_column"),
    }
    assert "Did you mean 'V4'" in str(caught.value)
    assert all(f.table == "customer_responses" for f in caught.value.findings)


def test_a_column_given_twice_is_refused():
    data = pd.DataFrame([[1, 2]], columns=["a", "a"])
    with pytest.raises(DataError, match="2 columns of this name"):
        score(data, Construct("c", ["a"]))


def test_money_is_not_bound_to_a_scale():
    assert score(pd.DataFrame({"eur": [-1e6, 2.5e9]}), Construct("revenue", ["eur"])).tolist() == [-1e6, 2.5e9]


def test_score_table_keeps_who_and_where():
    data = pd.DataFrame({"unit": ["a", "b"], "q1": [1, 2], "q2": [3, 4], "other": [0, 0]})
    table = score_table(data, [Construct("x", ["q1"]), Construct("y", ["q1", "q2"])])
    assert table.columns.tolist() == ["unit", "x", "y"]
    assert table["y"].tolist() == [2.0, 3.0]


def test_score_table_refuses_a_construct_named_like_a_kept_column():
    with pytest.raises(DataError, match="kept column 'unit'"):
        score_table(pd.DataFrame({"unit": [1], "q": [1]}), [Construct("unit", ["q"])])


def test_rules_in_words():
    assert scoring_rule(Construct("r", ["eur"])) == "The answer to the single item eur, else missing."
    assert "v4 reversed as 6 minus the answer" in scoring_rule(VALUE)
    assert "at least 2 of the 4" in scoring_rule(VALUE)
    assert "when all are answered" in scoring_rule(Construct("c", ["a", "b"], minimum_share=1))


def test_no_rows_give_no_scores():
    assert score(frame([]), VALUE).empty
