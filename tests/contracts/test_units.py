"""Units and waves."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spc.contracts import check_units, check_waves


def units(cells, **kw):
    return {f.rule: f for f in check_units(pd.DataFrame({"unit": cells}), table="staff", **kw)}


def waves(lagged=False, **tables):
    return [
        (f.rule, f.table, f.found) for f in check_waves({k: pd.DataFrame(v) for k, v in tables.items()}, lagged=lagged)
    ]


def test_enough_units_of_enough_people():
    assert units(list(range(12)) * 5) == {}


def test_respondents_without_a_unit():
    finding = units([*list(range(12)) * 5, None, " "])["no_unit"]
    assert (finding.severity, finding.rows) == ("warning", (62, 63))
    assert units([None] * 4)["no_unit"].severity == "error"


def test_small_and_few_units():
    findings = units(["a"] * 5 + ["b"] * 4)
    assert "1 of 2 units: 'b'" in findings["small_unit"].found
    assert "few_units" in findings
    assert "small_unit" not in units(["a"] * 5 + ["b"] * 4, minimum_group=3)


def test_groups_are_counted_within_a_wave():
    frame = pd.DataFrame({"unit": ["a"] * 8, "wave": [1] * 4 + [2] * 4})
    assert "small_unit" in {f.rule for f in check_units(frame, table="staff")}


def test_no_unit_column_is_no_finding():
    assert check_units(pd.DataFrame({"q": [1]}), table="staff") == []


def test_complete_waves():
    full = {"unit": ["a", "a", "a", "b"], "wave": [1, 2, 3, 2]}
    assert waves(employee_responses=full, customer_responses=full) == []


def test_a_unit_lacks_a_wave_in_between():
    ((rule, table, found),) = waves(employee_responses={"unit": ["a", "a", "b", "b", "b"], "wave": [1, 3, 1, 2, 3]})
    assert (rule, table) == ("wave_gap", "employee_responses")
    assert found == "1 of 2 units: 'a' lacks 2"


def test_text_waves_have_gaps_too():
    ((_, _, found),) = waves(employee_responses={"unit": ["a", "a", "b"], "wave": ["2025Q1", "2025Q3", "2025Q2"]})
    assert "'a' lacks 2025Q2" in found


def test_the_whole_table_lacks_a_wave():
    rows = {"unit": ["a"] * 3, "wave": [2021, 2022, 2024]}
    assert waves(employee_responses=rows) == [("wave_gap", "employee_responses", "waves 2021, 2022, 2024")]
    assert waves(employee_responses={"unit": ["a"] * 3, "wave": [2020, 2022, 2024]}) == []


def test_sides_without_a_common_wave():
    sides = {"employee_responses": {"wave": [1, 1]}, "customer_responses": {"wave": [2, 2]}}
    assert [rule for rule, *_ in waves(**sides)] == ["no_common_wave"]
    assert waves(lagged=True, **sides) == []


def test_waves_of_different_kinds():
    sides = {"employee_responses": {"wave": [2025, 2026]}, "customer_responses": {"wave": ["Spring 25", "Spring 26"]}}
    assert [rule for rule, *_ in waves(**sides)] == ["wave_types"]
    same = {"employee_responses": {"wave": [2025, 2026]}, "customer_responses": {"wave": ["2025", "2026"]}}
    assert waves(**same) == []


def test_sides_without_a_common_unit():
    sides = {"employee_responses": {"unit": ["a"]}, "customer_responses": {"unit": ["b"]}}
    assert [rule for rule, *_ in waves(**sides)] == ["no_common_unit"]


def test_rows_without_a_wave():
    frame = pd.DataFrame({"unit": ["a", "a"], "wave": [1, np.nan]})
    (finding,) = check_waves({"employee_responses": frame}, line_offsets={"employee_responses": 1})
    assert (finding.rule, finding.rows) == ("wave_gap", (2,))
