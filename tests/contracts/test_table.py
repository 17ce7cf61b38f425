"""One table against its schema."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spc.contracts import RULES, check_table, load_schema, make_finding, parse_schema

CUSTOMERS = load_schema("customers")
STAFF = load_schema("employee_responses")


def customers(**changes):
    good = {
        "customer": ["a", "b", "c"],
        "start": ["2024-01-01", "2024-02-01", "2024-03-01"],
        "end": ["2025-01-01", "", "2025-03-01"],
        "churned": ["yes", "no", "Yes"],
        "tenure": [1.0, 2.0, 3.5],
        "margin": [10.0, -2.0, 30.0],
    }
    good.update(changes)
    return pd.DataFrame({name: values for name, values in good.items() if values is not None})


def found(frame, schema=CUSTOMERS, **kw):
    return {(f.rule, f.column): f for f in check_table(frame, schema, table="customers", **kw)}


def test_a_good_table_has_no_findings():
    assert found(customers()) == {}


def test_dates_alone_or_tenure_alone_are_enough():
    assert found(customers(churned=None, tenure=None)) == {}
    assert found(customers(start=None, end=None)) == {}


def test_neither_dates_nor_tenure():
    finding = found(customers(churned=None, start=None))["incomplete_set", None]
    assert finding.expected == "tenure with churned or start with end or repeats with recency with age"


def test_a_missing_column_names_the_nearest_heading():
    finding = found(customers().rename(columns={"customer": "Custmer"}))["missing_column", "customer"]
    assert "'Custmer'" in finding.found
    assert "columns = { customer = 'Custmer' }" in finding.hint


def test_a_missing_column_names_a_usual_heading():
    finding = found(customers().rename(columns={"customer": "ACCOUNT_ID"}))["missing_column", "customer"]
    assert "'ACCOUNT_ID'" in finding.found


def test_a_misspelled_optional_column_is_a_warning():
    finding = found(customers().rename(columns={"margin": "Margn"}))["misspelled_column", "Margn"]
    assert finding.severity == "warning"
    assert "'margin'" in finding.expected


def test_an_item_is_not_taken_for_a_misspelled_column():
    frame = pd.DataFrame({"respondent": [1, 2], "units": [3, 4]})
    assert ("misspelled_column", "units") in found(frame, STAFF)
    assert found(frame, STAFF, items=["units"]) == {}


@pytest.mark.parametrize(
    ("column", "values", "rule", "rows"),
    [
        ("tenure", ["1", "two", "3"], "wrong_type", (3,)),
        ("margin", [1, 2, "€ 5"], "wrong_type", (4,)),
        ("churned", ["yes", "maybe", "no"], "wrong_type", (3,)),
        ("churned", [1, 2, 0], "wrong_type", (3,)),
        ("start", ["01/02/2024", "2024-02-30", "2024-03-01"], "wrong_type", (2, 3)),
        ("start", [2024, 2023, 2022], "wrong_type", (2, 3, 4)),
        ("tenure", [1, -1, -2], "below_minimum", (3, 4)),
        ("end", ["2023-01-01", "", "2020-01-01"], "wrong_order", (2, 4)),
        ("customer", ["a", None, "  "], "blank_id", (3, 4)),
        ("customer", ["a", "b", "a"], "duplicate_key", (2, 4)),
        ("margin", [5, 5, 5], "constant_column", ()),
        ("churned", ["no", "no", "no"], "constant_column", ()),
        ("margin", [None, None, None], "empty_column", ()),
        ("segment", ["", " ", None], "empty_column", ()),
    ],
)
def test_each_rule_finds_its_rows(column, values, rule, rows):
    finding = found(customers(**{column: values}))[rule, column]
    assert finding.rows == rows
    assert finding.n_rows == len(rows)
    assert finding.found
    assert finding.expected
    assert finding.hint


def test_blank_dates_and_amounts_of_transactions():
    frame = pd.DataFrame({"customer": ["a", "b"], "date": ["2026-01-01", None], "amount": ["x", 2.0]})
    findings = found(frame, load_schema("transactions"))
    assert findings["blank_cell", "date"].rows == (3,)
    assert findings["wrong_type", "amount"].rows == (2,)
    assert ("blank_cell", "amount") not in findings


def test_duplicates_are_judged_within_a_wave():
    frame = pd.DataFrame({"respondent": [1, 1, 2, 2], "wave": [1, 2, 1, 1]})
    finding = found(frame, STAFF)["duplicate_key", "respondent"]
    assert finding.rows == (4, 5)
    assert "'2 / 1'" in finding.found


def test_blank_respondents_are_not_each_others_duplicates():
    frame = pd.DataFrame({"respondent": ["x", None, None]})
    findings = found(frame, STAFF)
    assert ("duplicate_key", "respondent") not in findings
    assert findings["blank_id", "respondent"].severity == "warning"


def test_no_respondent_column_is_a_warning():
    assert (
        found(pd.DataFrame({"q1": [1, 2]}), STAFF, items=["q1"])["recommended_column", "respondent"].severity
        == "warning"
    )


def test_no_rows():
    assert ("no_rows", None) in found(customers().iloc[:0])


def test_line_numbers_may_be_given_row_by_row():
    frame = customers(tenure=[1, -1, -2])
    assert found(frame, line_offset=1)["below_minimum", "tenure"].rows == (2, 3)
    assert found(frame, line_offset=np.array([2, 7, 9]))["below_minimum", "tenure"].rows == (7, 9)


def test_the_index_of_the_frame_does_not_matter():
    frame = customers(tenure=[1, -1, -2]).set_axis([10, 10, 3], axis=0)
    assert found(frame)["below_minimum", "tenure"].rows == (3, 4)


def test_the_given_table_stays_as_it_was():
    frame = customers(churned=["yes", "maybe", "no"])
    before = frame.copy()
    check_table(frame, CUSTOMERS, table="customers")
    pd.testing.assert_frame_equal(frame, before)


def test_at_most_five_rows_are_listed():
    finding = found(customers(customer=["a"] * 3).loc[np.zeros(20, int)])["duplicate_key", "customer"]
    assert len(finding.rows) == 5
    assert finding.n_rows == 20


def test_every_kind_of_limit():
    limits = {
        "a": "maximum: 3",
        "b": "enum: [x, y]",
        "c": "pattern: '[A-Z]+'",
        "d": "maxLength: 2",
        "e": "unique: true",
    }
    fields = "".join(
        f"  - {{name: {name}, type: {'number' if name == 'a' else 'string'}, title: T, description: D, "
        f"constraints: {{{limit}}}}}\n"
        for name, limit in limits.items()
    )
    schema = parse_schema(f"name: t\ntitle: T\ndescription: D\nfields:\n{fields}spc: {{side: unit}}\n")
    good = pd.DataFrame({"a": [1, 3], "b": ["x", "y"], "c": ["A", "BC"], "d": ["1", "22"], "e": ["p", "q"]})
    assert found(good, schema) == {}
    bad = pd.DataFrame({"a": [1, 4], "b": ["x", "z"], "c": ["A", "b"], "d": ["1", "333"], "e": ["p", "p"]})
    findings = found(bad, schema)
    assert {key: f.rows for key, f in findings.items()} == {
        ("above_maximum", "a"): (3,),
        ("not_allowed", "b"): (3,),
        ("not_allowed", "c"): (3,),
        ("not_allowed", "d"): (3,),
        ("duplicate_key", "e"): (2, 3),
    }


def test_a_rule_without_a_code_is_our_own_mistake():
    with pytest.raises(KeyError, match="not listed"):
        make_finding("made_up", "t", None, "", "", "")


def test_codes_are_documented_in_one_line():
    assert all(text.endswith(".") and len(text) < 90 for text in RULES.values())


def test_a_unit_listed_twice_is_not_told_to_renumber() -> None:
    frame = pd.DataFrame({"unit": ["a", "a", "b"]})
    found = {f.rule: f for f in check_table(frame, load_schema("units"), table="units")}
    assert "name the wave column" in found["duplicate_key"].hint
    assert "numbering" not in found["duplicate_key"].hint
