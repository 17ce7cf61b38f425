"""Codes between tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from spc.contracts import check_keys


def found(**tables):
    return {(f.rule, f.table, f.column): f for f in check_keys({k: pd.DataFrame(v) for k, v in tables.items()})}


def test_matching_keys_of_different_types_have_no_findings():
    assert found(units={"unit": ["1", "2"]}, employee_responses={"unit": [1, 2, 2]}) == {}
    assert found(units={"unit": [1, 2]}, employee_responses={"unit": [1.0, 2.0, np.nan]}) == {}


def test_a_respondent_of_an_unknown_unit():
    findings = found(units={"unit": ["Oslo"]}, employee_responses={"unit": ["Oslo", "Olso", "Rome", "Oslo"]})
    finding = findings["unknown_key", "employee_responses", "unit"]
    assert finding.severity == "error"
    assert finding.rows == (3, 4)
    assert "'Oslo'" in finding.hint


def test_a_unit_without_respondents():
    findings = found(units={"unit": ["Oslo", "Rome"]}, customer_responses={"unit": ["Oslo"]})
    finding = findings["unused_key", "units", "unit"]
    assert (finding.severity, finding.rows) == ("warning", (3,))
    assert "customer_responses" in finding.expected


def test_spelling_is_told_from_strangers():
    findings = found(units={"unit": ["007", "Oslo"]}, employee_responses={"unit": ["7", "oslo "]})
    finding = findings["key_spelling", "employee_responses", "unit"]
    assert finding.rows == (2, 3)
    assert len(findings) == 1


def test_customers_who_are_not_in_the_ledger():
    some = found(customers={"customer": [1, 2]}, customer_responses={"customer": [1, 9]})
    assert some["unknown_key", "customer_responses", "customer"].severity == "warning"
    none = found(customers={"customer": [1, 2]}, customer_responses={"customer": [8, 9]})
    assert none["unknown_key", "customer_responses", "customer"].severity == "error"
    strict = found(customers={"customer": [1, 2]}, transactions={"customer": [1, 9]})
    assert strict["unknown_key", "transactions", "customer"].severity == "error"


def test_tables_that_are_not_there_are_not_missed():
    assert found(employee_responses={"unit": ["a"]}, customers={"customer": [1], "unit": ["b"]}) == {}


def test_lines_of_the_file_are_used():
    tables = {"units": pd.DataFrame({"unit": ["a"]}), "employee_responses": pd.DataFrame({"unit": ["a", "b"]})}
    (finding,) = check_keys(tables, line_offsets={"employee_responses": np.array([4, 9])})
    assert finding.rows == (9,)


def test_needless_zeros_inside_a_joined_code_are_a_spelling() -> None:
    staff = pd.DataFrame({"respondent": ["p1", "p2"], "unit": ["N-7", "S-10"]})
    units = pd.DataFrame({"unit": ["N-07", "S-10"]})
    found = {f.rule: f for f in check_keys({"employee_responses": staff, "units": units})}
    assert "unknown_key" not in found
    assert "'N-07' for 'N-7'" in found["key_spelling"].found
