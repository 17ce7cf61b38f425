"""Cells to values."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spc.contracts import conform, key_text, load_schema


@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        ([7, 8], ["7", "8"]),
        ([7.0, np.nan], ["7", None]),
        ([7.5], ["7.5"]),
        (["007", " a "], ["007", "a"]),
        (["", "  "], [None, None]),
        ([True, False], ["True", "False"]),
        (pd.to_datetime(["2026-01-31"]), ["2026-01-31"]),
    ],
)
def test_codes_as_text(cells, texts):
    made = key_text(pd.Series(cells))
    assert [None if pd.isna(text) else text for text in made] == texts


def test_every_column_of_its_type():
    frame = pd.DataFrame(
        {
            "customer": [1, 2, 3],
            "start": ["2024-01-01", "2024-01-02T10:00:00", "x"],
            "churned": ["Yes", "0", ""],
            "tenure": ["1", "NA", "2.5"],
            "note": ["a", "b", "c"],
        }
    )
    made = conform(frame, load_schema("customers"))
    assert made["customer"].tolist() == ["1", "2", "3"]
    assert made["start"].dtype.kind == "M"
    assert made["start"].isna().tolist() == [False, False, True]
    assert made["churned"].tolist()[:2] == [True, False]
    assert made["churned"].isna().tolist() == [False, False, True]
    np.testing.assert_array_equal(made["tenure"], [1.0, np.nan, 2.5])
    assert made["note"].tolist() == ["a", "b", "c"]
    assert frame["customer"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("cells", "waves"), [([1.0, 2.0], [1, 2]), ([1.5, 2.0], [1.5, 2.0]), (["Q1", "Q2"], ["Q1", "Q2"])]
)
def test_waves_keep_their_kind(cells, waves):
    frame = pd.DataFrame({"unit": ["a", "b"], "wave": cells})
    assert conform(frame, load_schema("units"))["wave"].tolist() == waves


def test_items_become_numbers():
    made = conform(pd.DataFrame({"q": ["1", "x", None]}), load_schema("employee_responses"), items=["q", "absent"])
    np.testing.assert_array_equal(made["q"], [1.0, np.nan, np.nan])
