from __future__ import annotations

import datetime

import pandas as pd
import pytest

from spc.errors import DataError
from spc.survey.units import unit_codes


def test_mixed_types_are_told_apart_and_ordered():
    codes, units = unit_codes(pd.Series([2, "2", 10, datetime.date(2026, 1, 1), None, 2], dtype=object))
    assert len(units) == 4
    assert codes[0] == codes[5] != codes[1]
    assert codes[4] == -1


@pytest.mark.parametrize("dtype", ["category", "string", "object"])
def test_text_of_any_storage(dtype):
    codes, units = unit_codes(pd.Series(["b", "a", None], dtype=dtype))
    assert codes.tolist() == [1, 0, -1]
    assert units.tolist() == ["a", "b"]


def test_no_rows():
    codes, units = unit_codes(pd.Series([], dtype=object))
    assert len(codes) == len(units) == 0


def test_all_missing():
    codes, units = unit_codes(pd.Series([None, None], dtype=object))
    assert codes.tolist() == [-1, -1]
    assert len(units) == 0


def test_lists_are_refused():
    with pytest.raises(DataError, match="plain value"):
        unit_codes(pd.Series([[1], [2]]))
