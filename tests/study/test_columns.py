"""Columns of a file under canonical names."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError
from spc.study.columns import canonical_columns, joined, kept_columns, refuse_titles

RAW = pd.DataFrame({"SUBNUM": [1, 2, 3], "BTN": [1022.0, 4.0, None], "COMPANY": ["HHC", " A ", "B"], "unit": [9, 9, 9]})


def mapped(**columns):
    return canonical_columns(RAW, columns, table="t", known=["respondent", "unit", "wave", "es1"])


def test_a_list_is_joined_and_a_missing_part_makes_the_whole_missing():
    frame, findings = mapped(unit=("BTN", "COMPANY"))
    assert findings == []
    assert frame["unit"].tolist()[:2] == ["1022-HHC", "4-A"]
    assert frame["unit"].isna().tolist() == [False, False, True]


def test_the_mapping_wins_over_a_heading_of_that_name():
    frame, _ = mapped(unit=("COMPANY",))
    assert frame.columns.tolist().count("unit") == 1
    assert frame["unit"].tolist() == ["HHC", " A ", "B"]


def test_two_canonical_columns_may_come_from_one():
    frame, _ = mapped(respondent=("SUBNUM",), es1=("SUBNUM",))
    assert frame["respondent"].tolist() == frame["es1"].tolist() == [1, 2, 3]


def test_absent_sources_are_all_named_with_the_nearest():
    _, findings = mapped(unit=("BTNN", "COMPANI"))
    assert [f.hint for f in findings] == ["Did you mean 'BTN'?", "Did you mean 'COMPANY'?"]


def test_unknown_targets_are_refused():
    _, findings = mapped(untit=("BTN",))
    assert findings[0].rule == "unknown_column"
    assert findings[0].hint == "Did you mean 'unit'?"


def test_the_given_frame_is_left_alone():
    before = RAW.copy(deep=True)
    mapped(unit=("BTN", "COMPANY"), respondent=("SUBNUM",))
    pd.testing.assert_frame_equal(RAW, before)


def test_fractions_keep_their_digits_when_joined():
    frame = pd.DataFrame({"a": [1.5, 2.0], "b": ["x", "y"]})
    assert joined(frame, ["a", "b"]).tolist() == ["1.5-x", "2.0-y"]


def test_kept_columns_follow_the_wanted_order():
    assert kept_columns(RAW, ["unit", "BTN", "nothing", "unit"]).columns.tolist() == ["unit", "BTN"]


TITLED = pd.DataFrame(
    {"Survey 2026": ["Who", "shop", "a"], "column 2": [None, "glad", 3], "column 3": ["Work", "stay", 4]}
)


def test_headings_below_titles_are_said_with_their_line():
    with pytest.raises(DataError) as error:
        refuse_titles(TITLED, {"shop", "glad", "stay"}, 2, table="t")
    (finding,) = error.value.findings
    assert (finding.rule, finding.found) == ("titles_above", "the headings in line 3")
    with pytest.raises(DataError, match="line 9"):
        refuse_titles(TITLED, {"shop", "glad", "stay"}, np.array([7, 9, 10]), table="t")


@pytest.mark.parametrize("wanted", [{"column 2", "shop", "glad"}, {"shop", "happy", "unit"}, {"Who", "tenure"}, set()])
def test_headings_that_are_wrong_are_no_titles(wanted):
    refuse_titles(TITLED, wanted, 2, table="t")
