"""SPSS files."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spc.sources import read_table

pyreadstat = pytest.importorskip("pyreadstat")


@pytest.fixture
def path(tmp_path):
    frame = pd.DataFrame(
        {"id": ["a", "b", ""], "q1": [1.0, 8.0, -99.0], "q2": [4.0, 5.0, 6.0], "q3": [1.0, 97.0, np.nan]}
    )
    file = tmp_path / "staff.sav"
    pyreadstat.write_sav(
        frame,
        str(file),
        column_labels={"q1": "How satisfied are you?"},
        variable_value_labels={"q1": {1.0: "not at all", 7.0: "fully", 8.0: "refused"}},
        missing_ranges={"q1": [{"lo": 8, "hi": 9}, -99], "q3": [97], "id": ["b"]},
    )
    return file


def test_declared_missing_codes_become_missing_and_are_counted(path):
    source = read_table(path)
    np.testing.assert_array_equal(source.frame["q1"], [1, np.nan, np.nan])
    np.testing.assert_array_equal(source.frame["q3"], [1, np.nan, np.nan])
    assert source.frame["id"].isna().tolist() == [False, True, True]
    (found,) = source.findings
    assert (found.rule, found.column, found.rows, found.severity) == ("user_missing", None, (2, 3), "warning")
    assert found.found.startswith("4 values (")
    assert all(f"'{name}'" in found.found for name in ("id", "q1", "q3"))


def test_codes_stay_codes_and_labels_are_kept_apart(path):
    source = read_table(path)
    assert source.frame["q1"][0] == 1
    assert source.labels == {"q1": "How satisfied are you?"}
    assert source.value_labels["q1"][7.0] == "fully"
    assert source.frame["q2"].dtype.kind == "i"


def test_further_codes_of_the_study(path):
    np.testing.assert_array_equal(read_table(path, missing=[4]).frame["q2"], [np.nan, 5, 6])
