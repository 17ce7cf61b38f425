"""Rows of the ledger that would put money in the wrong place are found, with their lines."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from spc.contracts import check_ledger

GOOD = {
    "transaction": ["T1", "T2", "T3"],
    "customer": ["a", "b", "a"],
    "date": ["2026-01-01", "2026-02-01", "2026-03-01"],
    "kind": ["sale", "sale", "return"],
    "amount": [10.0, 20.0, -4.5],
    "quantity": [1.0, 2.0, 1.0],
    "currency": ["EUR", "eur", "EUR"],
    "invoice": [None, None, "T1"],
}


def found(**changes):
    frame = pd.DataFrame({**GOOD, **changes})
    until = date(2026, 12, 31)
    return check_ledger({"transactions": frame}, currency="EUR", until=until, money={"transactions": ["amount"]})


def test_a_sound_ledger_has_no_findings():
    assert found() == []


@pytest.mark.parametrize(
    ("changes", "rule", "rows", "severity"),
    [
        ({"quantity": [1.0, -2.0, 1.0]}, "negative_quantity", (3,), "error"),
        ({"amount": [10.0, 20.0, 4.5]}, "wrong_sign", (4,), "error"),
        ({"invoice": [None, None, "T9"]}, "credit_without_invoice", (4,), "warning"),
        ({"currency": ["EUR", "NOK", None]}, "mixed_currency", (3,), "error"),
        ({"date": ["2026-01-01", "2027-01-01", "2026-03-01"]}, "future_date", (3,), "error"),
        ({"amount": [10.0, 20.001, -4.5]}, "broken_cent", (3,), "error"),
        ({"amount": [10.0, np.inf, -4.5]}, "infinite_amount", (3,), "error"),
    ],
)
def test_each_fault_is_found_once(changes, rule, rows, severity):
    (finding,) = found(**changes)
    assert (finding.rule, finding.rows, finding.severity) == (rule, rows, severity)


def test_the_last_day_of_the_books_counts():
    assert found(date=["2026-12-31", "2026-12-31", "2026-12-31"]) == []


def test_other_tables_are_passed_over():
    assert check_ledger({"units": pd.DataFrame({"date": ["2999-01-01"]})}) == []
