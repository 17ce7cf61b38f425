"""Long tables of the ledger stay where they are, are checked there, and give the same accounts."""

import duckdb
import numpy as np
import pytest

from spc.accounts import customer_accounts
from spc.errors import DataError
from spc.study import in_place, read_study

DOCUMENT = """
[study]
name = "Long"
currency = "EUR"
[tables.transactions]
file = "t.parquet"
columns = { customer = "who" }
[accounts]
until = "2026-12-31"
[[accounts.drivers]]
name = "revenue"
kind = "column"
side = "revenue"
column = "amount"
"""


@pytest.fixture
def folder(tmp_path):
    with duckdb.connect() as base:
        base.execute(f"""COPY (SELECT i AS transaction, i % 7 AS who,
            DATE '2026-01-01' + CAST(i % 300 AS INTEGER) AS date,
            CAST(i / 100 AS DECIMAL(12, 2)) AS amount, 'EUR' AS currency FROM range(1000) t(i))
            TO '{tmp_path / "t.parquet"}'""")
    (tmp_path / "study.toml").write_text(DOCUMENT)
    return tmp_path


def test_the_same_accounts_in_place_and_in_memory(folder, monkeypatch):
    near = customer_accounts(read_study(folder))
    monkeypatch.setattr(in_place, "LARGE", 10)
    study = read_study(folder)
    assert "transactions" not in study.tables
    assert [finding.rule for finding in study.findings] == ["left_in_place"]
    far = customer_accounts(study)
    assert far.customers.tolist() == near.customers.tolist()
    np.testing.assert_array_equal(far.cents, near.cents)


@pytest.mark.parametrize("kinds", [True, False])
def test_signs_are_judged_in_place_as_in_memory(folder, monkeypatch, kinds):
    """A sale of less than nothing, a return that adds revenue, and a return that is as it should be."""
    with duckdb.connect() as base:
        base.execute(f"CREATE TABLE t AS SELECT *, 1 AS quantity, 'sale' AS kind FROM '{folder / 't.parquet'}'")
        base.execute("UPDATE t SET quantity = -1, amount = -5 WHERE transaction = 3")
        base.execute("UPDATE t SET quantity = -1 WHERE transaction = 4")
        base.execute("UPDATE t SET kind = 'return', quantity = -1 WHERE transaction = 5")
        base.execute("UPDATE t SET kind = 'return', quantity = -1, amount = -5 WHERE transaction = 6")
        if not kinds:
            base.execute("ALTER TABLE t DROP COLUMN kind")
        base.execute(f"COPY t TO '{folder / 't.parquet'}'")

    def found():
        with pytest.raises(DataError) as caught:
            read_study(folder)
        return {f.rule: f.n_rows for f in caught.value.findings if f.severity == "error"}

    near = found()
    monkeypatch.setattr(in_place, "LARGE", 10)
    assert found() == near
    assert near == ({"negative_quantity": 2, "wrong_sign": 1} if kinds else {"negative_quantity": 2})


def test_credit_notes_blank_amounts_and_endless_texts_are_found_in_place_as_in_memory(folder, monkeypatch):
    driver = '[[accounts.drivers]]\nname = "freight"\nkind = "column"\ncolumn = "freight"\n'
    (folder / "study.toml").write_text(DOCUMENT + driver)
    with duckdb.connect() as base:
        base.execute(f"""CREATE TABLE t AS SELECT * REPLACE ('T' || transaction AS transaction, 'C' || who AS who),
            'sale' AS kind, NULL::VARCHAR AS invoice, 1.25 AS freight FROM '{folder / "t.parquet"}'""")
        base.execute("UPDATE t SET kind = 'credit_note', amount = -1 WHERE transaction IN ('T7', 'T8', 'T9')")
        base.execute("UPDATE t SET invoice = 'T3' WHERE transaction = 'T8'")
        base.execute("UPDATE t SET invoice = 'lost' WHERE transaction = 'T9'")
        base.execute("UPDATE t SET freight = NULL WHERE transaction IN ('T3', 'T4', 'T5')")
        base.execute(f"COPY t TO '{folder / 't.parquet'}'")

    def counted():
        return {f.rule: f.n_rows for f in read_study(folder).findings if f.rule in wanted}

    wanted = {"credit_without_invoice": 2, "blank_amount": 3}
    assert counted() == wanted
    monkeypatch.setattr(in_place, "LARGE", 10)
    assert counted() == wanted
    only = '[accounts.drivers.where]\nkind = ["sale"]\ntransaction = ["T3", "T7"]\n'
    (folder / "study.toml").write_text(DOCUMENT + driver + only)
    wanted = {"credit_without_invoice": 2, "blank_amount": 1}
    assert counted() == wanted
    monkeypatch.setattr(in_place, "LARGE", 10**9)
    assert counted() == wanted
    monkeypatch.setattr(in_place, "LARGE", 10)
    with duckdb.connect() as base:
        base.execute(f"CREATE TABLE t AS SELECT *, row_number() OVER () AS i FROM '{folder / 't.parquet'}'")
        base.execute("UPDATE t SET who = repeat('x', 10_000_000) WHERE i = 5")
        base.execute(f"COPY t TO '{folder / 't.parquet'}'")
    with pytest.raises(DataError) as caught:
        read_study(folder)
    assert [(f.column, f.rule, f.n_rows) for f in caught.value.findings if f.severity == "error"] == [
        ("customer", "huge_cell", 1)
    ]


def test_faults_are_counted_in_place(folder, monkeypatch):
    monkeypatch.setattr(in_place, "LARGE", 10)
    with duckdb.connect() as base:
        rows = f"SELECT * FROM '{folder / 't.parquet'}'"
        base.execute(f"CREATE TABLE t AS {rows} UNION ALL {rows} LIMIT 1001")
        base.execute("UPDATE t SET currency = 'NOK' WHERE transaction = 5")
        base.execute("UPDATE t SET date = DATE '2030-01-01' WHERE transaction = 6")
        base.execute("UPDATE t SET who = NULL WHERE transaction = 8")
        base.execute(f"COPY t TO '{folder / 't.parquet'}'")
    with pytest.raises(DataError) as caught:
        read_study(folder)
    rules = {finding.rule for finding in caught.value.findings if finding.severity == "error"}
    assert rules == {"mixed_currency", "future_date", "blank_cell", "duplicate_key"}
