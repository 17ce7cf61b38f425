"""Ledgers as they should not be: each fault is a finding of the check, nothing is lost and nothing guessed."""

from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import pytest

from spc.accounts import AccountsSpec, CostDriver, book_findings, customer_accounts
from spc.errors import DataError
from spc.sources.relation import DuckRelation
from spc.study import check_study, load_document, read_study

DOCUMENT = """
[study]
name = "Books"
currency = "EUR"
[tables.transactions]
file = "sales.csv"
[tables.customers]
file = "people.csv"
[accounts]
until = "2026-12-31"
[[accounts.drivers]]
name = "revenue"
kind = "column"
side = "revenue"
column = "amount"
[[accounts.drivers]]
name = "rent"
kind = "pool"
column = "share"
shares = true
amount = 100
[[accounts.drivers]]
name = "service"
kind = "rate"
column = "quantity"
resource_cost = 100
capacity = 200
"""
SALES = pd.DataFrame(
    {
        "transaction": ["T1", "T2", "T3", "T4"],
        "customer": ["a", "a", "b", "b"],
        "date": ["2025-03-01", "2026-03-01", "2025-04-01", "2026-04-01"],
        "amount": ["10.00", "20.00", "30.00", "40.00"],
        "quantity": ["1", "2", "3", "4"],
        "kind": "sale",
        "invoice": "",
        "currency": "EUR",
        "share": ["0.25", "0.5", "0.75", "0.5"],
    }
)
PEOPLE = pd.DataFrame({"customer": ["a", "b"], "tenure": [2, 2], "churned": ["no", "no"], "segment": ["x", "y"]})


@pytest.fixture
def found(tmp_path):
    def run(sales=SALES, people=PEOPLE, document=DOCUMENT):
        sales.to_csv(tmp_path / "sales.csv", index=False)
        people.to_csv(tmp_path / "people.csv", index=False)
        (tmp_path / "study.toml").write_text(document)
        report = check_study(tmp_path / "study.toml", more=book_findings)
        return {(finding.table, finding.column, finding.rule): finding for finding in report.findings}

    return run


def with_cell(column, value, row=1):
    sales = SALES.copy()
    sales.loc[row, column] = value
    return sales


def test_sound_books_have_no_finding(found):
    assert not [finding for finding in found().values() if finding.severity == "error"]


@pytest.mark.parametrize(
    ("sales", "column", "rule"),
    [
        (with_cell("quantity", "-2"), "quantity", "negative_quantity"),
        (with_cell("currency", "USD"), "currency", "mixed_currency"),
        (with_cell("date", "2999-01-01"), "date", "future_date"),
        (with_cell("amount", "inf"), "amount", None),
        (with_cell("amount", "-inf"), "amount", None),
        (with_cell("amount", "nan"), "amount", None),
        (with_cell("amount", "9" * 10_000_000), "amount", None),
        (with_cell("amount", "x" * 10_000_000), "amount", None),
        (with_cell("amount", "20.005"), "amount", "broken_cent"),
        (with_cell("transaction", "T1"), "transaction", "duplicate_key"),
        (with_cell("customer", ""), "customer", None),
        (with_cell("date", ""), "date", None),
    ],
    ids=lambda value: None if isinstance(value, pd.DataFrame) else value,
)
def test_rows_that_would_put_money_in_the_wrong_place(found, sales, column, rule):
    errors = {key: finding for key, finding in found(sales).items() if finding.severity == "error"}
    assert errors, "nothing was found"
    hits = [key for key in errors if key[0] == "transactions" and key[1] in {column, None}]
    assert hits, list(errors)
    assert rule is None or any(key[2] == rule for key in hits), list(errors)
    assert all(len(str(finding)) < 2000 for finding in errors.values()), "a long cell is not repeated"


def test_a_credit_note_without_an_invoice_counts_and_is_named(found):
    sales = with_cell("kind", "credit_note").assign(share=SALES["share"])
    sales.loc[1, ["amount", "quantity"]] = ["-20.00", "-2"]
    assert found(sales)[("transactions", "invoice", "credit_without_invoice")].severity == "warning"
    revenue = AccountsSpec((CostDriver("revenue", side="revenue", column="amount"),))
    accounts = customer_accounts(sales.assign(amount=sales["amount"].astype(float)), spec=revenue)
    assert accounts.cents[:, 0].tolist() == [1000, -2000, 3000, 4000]


def test_shares_that_do_not_sum_to_one_are_a_finding_of_the_check(found):
    errors = found(with_cell("share", "0.4"))
    assert errors[("accounts", "rent", "shares_not_one")].found == "shares that sum to 0.9 in 2026"


def test_a_control_total_that_is_missed_is_a_finding_of_the_check(found):
    errors = found(document=DOCUMENT + "[accounts.control]\nrevenue = 100.01\n")
    assert "0.01 below" in errors[("accounts", "revenue", "control_total")].found


def test_a_driver_without_capacity(found, tmp_path):
    found(document=DOCUMENT.replace("capacity = 200\n", ""))
    assert "driver_without_capacity" in {finding.rule for finding in load_document(tmp_path)[1]}


def test_a_customer_in_two_periods_twice_has_two_accounts(found):
    sales = pd.concat([SALES, SALES.assign(transaction=["T5", "T6", "T7", "T8"], share="0")], ignore_index=True)
    assert not [finding for finding in found(sales).values() if finding.severity == "error"]
    accounts = customer_accounts(
        sales.assign(amount=sales["amount"].astype(float)),
        spec=AccountsSpec((CostDriver("revenue", side="revenue", column="amount"),)),
    )
    assert accounts.customers.tolist() == ["a", "a", "b", "b"]
    assert accounts.periods.tolist() == ["2025", "2026"] * 2
    assert accounts.cents[:, 0].tolist() == [2000, 4000, 6000, 8000]


def test_a_customer_of_whom_two_things_are_known(found):
    twice = pd.concat([PEOPLE, PEOPLE.head(1).assign(segment="y")])
    assert ("customers", "customer", "duplicate_key") in found(people=twice)
    sales = SALES.assign(amount=SALES["amount"].astype(float))
    with pytest.raises(DataError) as caught:
        customer_accounts({"transactions": sales, "customers": twice})
    assert caught.value.findings[0].rule == "duplicate_key"
    same = customer_accounts({"transactions": sales, "customers": pd.concat([PEOPLE, PEOPLE])})
    assert same.attribute("segment").tolist() == ["x", "x", "y", "y"]


def test_a_cost_booked_twice_is_a_duplicate(found, tmp_path):
    costs = pd.DataFrame({"customer": "a", "date": "2026-01-01", "cost_driver": "claims", "amount": ["5.00", "5.00"]})
    costs.to_csv(tmp_path / "costs.csv", index=False)
    document = DOCUMENT.replace("[accounts]\n", '[tables.costs]\nfile = "costs.csv"\n[accounts]\n')
    assert any(rule == "duplicate_key" and table == "costs" for table, _, rule in found(document=document))


PLAIN = """
[study]
name = "Books"
currency = "DKK"
[tables.transactions]
file = "sales.csv"
"""


@pytest.fixture
def plain(tmp_path):
    """Findings of sales lines alone, in a study that names no lines of accounts."""

    def run(text):
        (tmp_path / "sales.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
        (tmp_path / "study.toml").write_text(PLAIN)
        report = check_study(tmp_path / "study.toml", more=book_findings)
        return {(finding.column, finding.rule): finding for finding in report.findings}

    return run


def test_amounts_that_accounts_would_refuse_are_named_where_no_lines_are(plain):
    found = plain("customer,date,amount\na,2026-01-01,12.345\nb,2026-01-01,5.00\n")
    assert found[("amount", "broken_cent")].severity == "warning"
    assert found[("amount", "broken_cent")].rows == (2,)
    found = plain("customer,date,amount\na,2026-01-01,99999999999999999999.00\nb,2026-01-01,5.00\n")
    assert found[("amount", "too_large")].severity == "error"


def test_a_point_for_thousands_is_not_guessed(plain):
    found = plain("customer;date;amount\na;2026-01-31;1.234\nb;2026-01-31;2.500\n")
    assert "thousands" in found[("amount", "broken_cent")].hint


def test_a_row_that_is_there_twice_without_a_number_is_named_and_counted(plain, tmp_path):
    found = plain("customer,date,amount\na,2026-01-01,12.00\na,2026-01-01,12.00\nb,2026-01-01,5.00\n")
    assert (found[(None, "repeated_row")].severity, found[(None, "repeated_row")].rows) == ("warning", (3,))
    assert customer_accounts(tmp_path / "sales.csv").cents[:, 0].tolist() == [2400, 500]
    numbered = plain("transaction,customer,date,amount\n1,a,2026-01-01,12.00\n2,a,2026-01-01,12.00\n")
    assert (None, "repeated_row") not in numbered


def test_a_currency_that_is_not_the_study_s_says_where_to_name_it(plain):
    found = plain("customer,date,amount,currency\na,2026-01-01,10,DKK\nb,2026-01-02,20,EUR\n")
    assert found[("currency", "mixed_currency")].rows == (3,)
    assert "[study]" in found[("currency", "mixed_currency")].hint


def test_danish_amounts_and_letters_are_read_to_the_cent(plain, tmp_path):
    text = "customer;date;amount\n\u00c6ble;2026-01-31;1.234,56\n\u00d8l;2026-02-28;-99,95\n"
    found = plain(text.encode("cp1252"))
    assert {finding.severity for finding in found.values()} == {"warning"}
    accounts = customer_accounts(read_study(tmp_path / "study.toml"))
    assert dict(zip(accounts.customers, accounts.contribution.tolist(), strict=True)) == {
        "\u00c6ble": 123456,
        "\u00d8l": -9995,
    }


def test_blank_amounts_are_said_in_good_english(plain):
    found = plain("customer,date,amount\na,2026-01-01,nan\nb,2026-01-01,5.00\n")
    assert found[("amount", "blank_cell")].expected == "an amount in every row"


def test_columns_in_no_line_and_books_without_costs_are_named():
    sales = pd.DataFrame({"customer": ["a", "b"], "date": "2026-01-01", "amount": [10.0, 5.0], "discount": [1.0, 0.0]})
    accounts = customer_accounts(sales)
    assert accounts.lines == ("revenue",)
    said = {note.code: note.text for note in accounts.notes()}
    assert "discount" in said["columns_left_out"]
    assert "no_cost_line" in said
    whole = customer_accounts(sales.assign(gross=[11.0, 5.0], product_cost=2.0))
    assert not {"columns_left_out", "no_cost_line"} & {note.code for note in whole.notes()}


def test_cells_that_are_no_amount_are_counted_in_the_singular():
    sales = pd.DataFrame({"customer": ["a", "b"], "date": "2026-01-01", "amount": [np.inf, 5.0]})
    with pytest.raises(DataError, match="1 cell that is no finite number"):
        customer_accounts(sales)


AMOUNTS = AccountsSpec((CostDriver("revenue", side="revenue", column="amount"),), period="all")


@pytest.mark.parametrize("odd", ["12345678901.00", " ", "-98765432109876.54", "1.0000000000"])
def test_texts_that_are_amounts_after_all_are_added_up_exactly(tmp_path, odd):
    """They do not fit the 18 digits in which texts are read first, and are read again."""
    sales = pd.DataFrame({"customer": ["a", "a", "b"], "amount": [odd, "0.01", "3"]})
    sales.to_csv(tmp_path / "sales.csv", index=False)
    expected = int(Decimal(odd.strip() or "0").scaleb(2)) + 1
    assert customer_accounts(tmp_path / "sales.csv", spec=AMOUNTS).cents[:, 0].tolist() == [expected, 300]
    assert customer_accounts(sales, spec=AMOUNTS).cents[:, 0].tolist() == [expected, 300]


@pytest.mark.parametrize("odd", ["12.345", "twelve", "inf", "1e30", "0.00000001"])
def test_texts_that_are_no_amounts_are_refused(tmp_path, odd):
    sales = pd.DataFrame({"customer": ["a", "a", "b"], "amount": [odd, "0.01", "3"]})
    sales.to_csv(tmp_path / "sales.csv", index=False)
    with pytest.raises(DataError, match=r"1 cell that is (no finite number|not whole)"):
        customer_accounts(tmp_path / "sales.csv", spec=AMOUNTS)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_sound_table_is_read_once_for_checks_and_sums(tmp_path, monkeypatch, suffix):
    sales = pd.DataFrame({"customer": ["a", "a", "b"], "amount": [12.34, 0.01, 3.0]})
    path = tmp_path / f"sales.{suffix}"
    if suffix == "csv":
        sales.to_csv(path, index=False)
    else:
        duckdb.from_df(sales).write_parquet(str(path))
    asked = []
    query = DuckRelation.query
    monkeypatch.setattr(DuckRelation, "query", lambda self, text: asked.append(text) or query(self, text))
    assert customer_accounts(path, spec=AMOUNTS).cents[:, 0].tolist() == [1235, 300]
    assert len(asked) == 1


def test_dates_in_another_order_are_one_finding(plain):
    """Not that the column is empty, too."""
    found = plain("customer;date;amount\na;31.01.2026;1,50\nb;28.02.2026;2,50\n")
    errors = [key for key, finding in found.items() if finding.severity == "error"]
    assert errors == [("date", "wrong_type")]
