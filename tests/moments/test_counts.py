from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.errors import DataError
from spc.moments import Counts, categories

answers = st.lists(st.tuples(*(st.sampled_from([1.0, 2.0, 4.0, None]) for _ in range(3))), min_size=1, max_size=40)


@settings(deadline=None, max_examples=50)
@given(answers)
def test_counts_are_those_of_crosstab(given_rows: list[tuple[float | None, ...]]) -> None:
    rows = [(1.0, 2.0, 4.0), (2.0, 4.0, 1.0), (4.0, 1.0, 2.0), *given_rows]
    frame = pd.DataFrame(rows, columns=list("abc"), dtype=float)
    counts = Counts.from_frame(frame, list("abc"), list("abc"))
    pairs = counts.pairs()
    for at, (i, j) in enumerate([("a", "b"), ("a", "c"), ("b", "c")]):
        table = pd.crosstab(frame[i], frame[j]).reindex(index=[1, 2, 4], columns=[1, 2, 4], fill_value=0)
        np.testing.assert_array_equal(pairs[at], table)
    for at, name in enumerate("abc"):
        np.testing.assert_array_equal(counts.once()[at], frame[name].value_counts().reindex([1, 2, 4]))
    assert counts.n + counts.empty == len(frame)


def test_an_ordered_categorical_keeps_its_order_and_drops_what_nobody_chose() -> None:
    words = pd.Categorical(["low", "high", "mid", None], categories=["low", "mid", "never", "high"], ordered=True)
    frame = pd.DataFrame({"a": words, "b": [1, 2, 3, 1]})
    counts = Counts.from_frame(frame, ["a", "b"], ["a", "b"])
    assert counts.levels == (("low", "mid", "high"), (1, 2, 3))
    assert counts.codes[:, 0].tolist() == [0, 2, 1, -1]


def test_continuous_columns_keep_their_values() -> None:
    frame = pd.DataFrame({"a": [1, 2, 2, 1], "x": [0.5, None, 1.5, 2.0]})
    counts = Counts.from_frame(frame, ["x", "a"], ["a"])
    assert counts.ordered.tolist() == [1]
    assert counts.continuous.tolist() == [0]
    assert counts.complete().n == 3
    assert counts.restrict(["a"]).names == ("a",)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([1, 1, 1, 1], "only the answer 1"),
        ([np.nan, np.nan, np.nan, np.nan], "no answers"),
        ([1.5, 2, 3, 1], "values such as 1.5"),
        ([1, 2, np.inf, 1], "infinite values"),
        (["a", "b", "a", "b"], "whole numbers or an ordered categorical"),
        (pd.Categorical(["a", "b", "a", "b"]), "without an order"),
    ],
)
def test_what_is_wrong_with_a_column(column: object, said: str) -> None:
    frame = pd.DataFrame({"a": column, "b": [1, 2, 1, 2]})
    with pytest.raises(DataError, match=said):
        Counts.from_frame(frame, ["a", "b"], ["a", "b"])


def test_many_categories_are_continuous() -> None:
    frame = pd.DataFrame({"a": range(13), "b": [1, 2] * 6 + [1]})
    with pytest.raises(DataError, match="13 categories"):
        categories(frame, ["a", "b"])


def test_every_fault_is_said_at_once() -> None:
    frame = pd.DataFrame({"a": [1, 1], "b": [0.5, 1.0]})
    with pytest.raises(DataError) as caught:
        categories(frame, ["a", "b"])
    assert [one.column for one in caught.value.findings] == ["a", "b"]


def test_a_category_that_is_empty_in_a_group_is_named() -> None:
    frame = pd.DataFrame({"a": [1, 2, 1, 2], "b": [1, 2, 1, 2]})
    with pytest.raises(DataError, match="no answer 3 in group north"):
        Counts.from_frame(frame, ["a", "b"], ["a", "b"], levels={"a": (1, 2, 3), "b": (1, 2)}, group="north")


def test_an_absent_column_is_named() -> None:
    with pytest.raises(DataError, match="Did you mean 'item1'"):
        Counts.from_frame(pd.DataFrame({"item1": [1, 2]}), ["item"], ["item"])
