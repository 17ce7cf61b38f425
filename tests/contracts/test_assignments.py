import pandas as pd
import pytest

from spc.contracts import check_assignments

COLUMNS = ("customer", "unit", "from", "to", "weight")


def found(*rows, columns=COLUMNS, **tables):
    table = pd.DataFrame(list(rows), columns=list(columns))
    return {finding.rule: finding for finding in check_assignments({"assignments": table, **tables})}


def test_assignments_that_follow_each_other_have_no_findings():
    rows = [
        ("C1", "Oslo", None, "2026-01-31", 1.0),
        ("C1", "Rome", "2026-02-01", "2026-06-30", 0.4),
        ("C1", "Oslo", "2026-02-01", "2026-06-30", 0.6),
        ("C1", "Rome", "2026-07-01", None, 1.0),
        ("C2", "Rome", "2026-05-01", "2026-05-02", 1.0),
    ]
    assert found(*rows) == {}
    assert found(("C1", "Oslo"), ("C1", "Rome"), columns=COLUMNS[:2]) == {}


def test_two_rows_for_one_time():
    finding = found(
        ("C1", "Oslo", "2026-01-01", "2026-03-31", 3),
        ("C1", "Rome", "2026-01-01", None, 2),
        ("C1", "Oslo", "2026-03-31", None, 3),
        ("C2", "Oslo", "2026-01-01", None, 3),
    )["overlapping_assignment"]
    assert (finding.severity, finding.rows) == ("warning", (4,))


def test_a_long_row_covers_later_ones():
    finding = found(
        ("C1", "Oslo", None, None, 2), ("C1", "Oslo", "2026-01-01", "2026-01-02", 2),
        ("C1", "Oslo", "2026-05-01", "2026-05-02", 2),
    )["overlapping_assignment"]  # fmt: skip
    assert finding.n_rows == 2


def test_days_on_which_nobody_serves():
    findings = found(
        ("C1", "Oslo", "2026-01-01", "2026-01-31", 5),
        ("C1", "Rome", "2026-02-02", "2026-02-28", 5),
        ("C1", "Rome", "2026-03-01", None, 5),
        ("C2", "Rome", "2026-01-01", "2026-01-31", 5),
    )
    assert set(findings) == {"assignment_gap"}
    assert findings["assignment_gap"].rows == (3,)
    assert "1 of 2 customers" in findings["assignment_gap"].found


def test_shares_that_do_not_add_up():
    findings = found(
        ("C1", "Oslo", None, None, 0.5),
        ("C1", "Rome", None, None, 0.8),
        ("C2", "Oslo", None, None, 0.333),
        ("C2", "Rome", None, None, 0.333),
        ("C2", "Bari", None, None, 0.334),
    )
    assert set(findings) == {"share_sum"}
    assert findings["share_sum"].rows == (2, 3)
    assert "1.3" in findings["share_sum"].found


def test_contacts_need_not_add_up():
    assert found(("C1", "Oslo", None, None, 4), ("C1", "Rome", None, None, 1)) == {}


def test_customers_who_answered_and_are_not_served():
    answers = pd.DataFrame({"customer": ["C1", "C2", None, "C9", "C9"]})
    findings = found(("C1", "Oslo", None, None, 1), ("C2", "Oslo", None, None, 1), customer_responses=answers)
    finding = findings["unserved_customer"]
    assert (finding.table, finding.rows, finding.severity) == ("customer_responses", (5, 6), "warning")
    assert "1 of 3" in finding.found


def test_rows_that_another_check_refuses_are_not_judged():
    assert found(("C1", "Oslo", "2026-02-01", "2026-01-01", 1), (None, "Oslo", None, None, 1)) == {}


@pytest.mark.parametrize("columns", [("customer",), ("unit",), ()])
def test_tables_without_the_columns_are_not_judged(columns):
    assert check_assignments({"assignments": pd.DataFrame(columns=list(columns))}) == []
    assert check_assignments({}) == []
