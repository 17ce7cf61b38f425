"""What counts as a column of numbers, whatever holds it."""

import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError
from spc.moments.columns import numeric_values, plain_values

ONE = [1.0, 2.0, 2.0]


@pytest.mark.parametrize(
    "columns",
    [
        {"a": ONE, "b": ONE},
        {"a": [1, 2, 2], "b": ONE},
        {"a": [True, False, True], "b": ONE},
        {"a": np.array(ONE, dtype="float32")},
    ],
    ids=["floats", "whole numbers", "truth values", "single precision"],
)
def test_numbers_are_read_in_one_step(columns):
    frame = pd.DataFrame(columns)
    values = plain_values(frame, list(frame))
    np.testing.assert_array_equal(values, frame.astype(float))


@pytest.mark.parametrize(
    "columns",
    [
        {"a": pd.Categorical(ONE)},
        {"a": pd.Categorical(ONE), "b": pd.Categorical(ONE)},
        {"a": pd.Categorical(ONE), "b": ONE},
        {"a": ["1", "2", "2"], "b": ["1", "2", "2"]},
        {"a": ["1", "2", "2"], "b": ONE},
        {"a": np.array(ONE, dtype=object), "b": np.array(ONE, dtype=object)},
        {"a": np.array([10**400, 2, 2], dtype=object), "b": ONE},
        {"a": pd.to_datetime(ONE), "b": pd.to_datetime(ONE)},
        {"a": pd.to_timedelta(ONE), "b": pd.to_timedelta(ONE)},
        {"a": pd.array(ONE, dtype="Float64"), "b": pd.array([1, None, 2], dtype="Int64")},
    ],
    ids=[
        "a category", "categories", "a category beside numbers", "text", "text beside numbers", "objects",
        "beyond any float", "dates", "durations", "nullable numbers",
    ],
)  # fmt: skip
def test_columns_that_only_turn_into_numbers_need_a_closer_look(columns):
    frame = pd.DataFrame(columns)
    assert plain_values(frame, list(frame)) is None


@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_half_of_a_complex_number_is_no_number():
    with pytest.raises(DataError, match="complex128"):
        numeric_values(pd.DataFrame({"a": np.array(ONE) + 1j, "b": ONE}), ["a", "b"])
