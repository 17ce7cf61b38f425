"""The books of a made-up firm come to its ledger, and are only made on request."""

import numpy as np
import pandas as pd
import pytest

from spc.accounts import customer_accounts
from spc.study import read_study
from spc.synthetic import make_firm


@pytest.fixture(scope="module")
def firm():
    return make_firm(seed=5, units=20, employees=4, customers=4, accounts=15, transactions=True)


def test_books_change_nothing_else(firm):
    plain = make_firm(seed=5, units=20, employees=4, customers=4, accounts=15)
    assert set(firm.tables) - set(plain.tables) == {"transactions", "costs"}
    for name, table in plain.tables.items():
        pd.testing.assert_frame_equal(table, firm.tables[name])


def test_every_customer_comes_to_its_margin(firm, tmp_path):
    study = read_study(firm.write(tmp_path))
    assert not [f for f in study.findings if f.table in ("transactions", "costs", "customers")]
    accounts = customer_accounts(study)
    assert [control.difference for control in accounts.controls] == [0, 0, 0, 0]
    last = accounts.augment().drop_duplicates("customer", keep="last").set_index("customer")["contribution"]
    margin = firm.tables["customers"].set_index("customer")["margin"]
    assert set(last.index) == set(margin.index)
    np.testing.assert_array_equal(np.rint(last * 100), np.rint(margin.loc[last.index] * 100))
    assert (accounts.unused[:, accounts.lines.index("service")] > 0).all()


def test_who_left_bought_only_before(firm):
    sales = firm.tables["transactions"]
    left = set(firm.tables["customers"].query("churned == 1")["customer"])
    assert set(sales.loc[sales["customer"].isin(left), "date"].str[:4]) == {"2024"}
    assert set(sales["kind"]) == {"sale", "return"}
    back = sales[sales["kind"] == "return"]
    assert back["invoice"].isin(sales.loc[sales["kind"] == "sale", "transaction"]).all()
