"""``spc accounts`` as a person uses it."""

import json

import numpy as np
import pandas as pd
import pytest

import spc
from spc.accounts import PARTS as KNOWN
from spc.accounts import ledger_results
from spc.cli import show_accounts


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    firm = spc.make_firm(seed=4, units=20, employees=5, customers=5, accounts=20, transactions=True)
    return firm.write(tmp_path_factory.mktemp("firm"))


def test_the_screen_ends_with_what_changed(run, document):
    code, out, err = run("accounts", document)
    assert (code, err) == (0, "")
    for words in ("Contribution", "met to the cent", "Who earns", "Why contribution changed", "Lost customers"):
        assert words in out


def test_json_has_every_result(run, document):
    code, out, _ = run("accounts", document, "--json", "--by", "unit")
    kinds = [result["kind"] for result in json.loads(out)["accounts"]]
    assert code == 0
    assert kinds == ["accounts", "waterfall", "whale", "groups", "bridge", "price_quantity", "peers"]


PARTS = (
    "waterfall", "whale", "elasticity", "groups", "clusters", "risk", "bridge", "price", "peers", "sellers", "profile",
)  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_every_part_fits_on_a_screen(run, part, capsys, screen):
    screen(100)
    rng = np.random.default_rng(1)
    who = rng.integers(0, 120, 2400)
    sales = pd.DataFrame({
        "customer": [f"A{i:05d}" for i in who], "seller": [f"Anna {i % 6}" for i in who], "quantity": 1,
        "amount": rng.integers(100000, 90000000, 2400) / 100, "product": rng.choice(["basic", "plus"], 2400),
        "product_cost": rng.integers(100000, 60000000, 2400) / 100,
        "date": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 731, 2400), unit="D"),
    })  # fmt: skip
    people = pd.DataFrame({"customer": [f"A{i:05d}" for i in range(120)], "segment": ["public sector", "retail"] * 60})
    accounts = spc.customer_accounts({"transactions": sales, "customers": people}, currency="EUR")
    for result in ledger_results(accounts, parts=[part]):
        show_accounts.model(spc.Gate().model(result))
    said_well(capsys)


def said_well(capsys):
    out = capsys.readouterr().out
    assert "…" not in out
    assert "Anna" not in out
    assert max(map(len, out.splitlines())) <= 100
    assert len(out.splitlines()) > 10


PLANS = """
[accounts.effort]
hours = { service = 0.0167 }
capacity = 40
curve = 0.3
by = "unit"
[accounts.services]
worth_of_point = 40
by = "unit"
offers = [{ service = "visits", level = "monthly", cost = 12, effect = 0.5, std_error = 0.1 }]
[[accounts.targets]]
line = "freight"
since = "2025"
by = "unit"
group = "U001"
[[accounts.kpis]]
name = "contribution"
owner = "sales director"
line = "contribution"
[[accounts.kpis]]
name = "complaints"
parent = "contribution"
construct = "customer_satisfaction"
[accounts.involvement]
column = "took_part"
"""
OF_PLANS = ("effort", "visits", "menu", "targets", "kpis", "involvement")


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A firm with plans for its customers."""
    folder = tmp_path_factory.mktemp("planned")
    path = spc.make_firm(seed=4, units=20, employees=12, customers=5, accounts=20, transactions=True).write(folder)
    staff = pd.read_csv(folder / "employees.csv")
    staff.assign(took_part=np.where(np.arange(len(staff)) % 3, "no", "yes")).to_csv(
        folder / "employees.csv", index=False
    )
    first = pd.read_csv(folder / "accounts.csv")["unit"].iloc[0]
    text = path.read_text(encoding="utf-8").replace("\n[chain]", PLANS.replace("U001", str(first)) + "\n[chain]", 1)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("part", OF_PLANS)
def test_every_plan_of_the_document_fits_on_a_screen(run, planned, part, capsys, screen):
    screen(100)
    code, out, err = run("accounts", planned, "--part", part)
    assert (code, err.strip()) == (0, "")
    print(out)
    said_well(capsys)


@pytest.mark.parametrize("part", [part for part in OF_PLANS if part != "effort"])
def test_parts_that_the_document_says_nothing_of(run, document, part):
    code, _, err = run("accounts", document, "--part", part)
    assert code == 2
    assert "[accounts." in " ".join(err.split())


def test_no_part_is_left_out_of_these_tests():
    assert {*PARTS, *OF_PLANS} == set(KNOWN)


def test_an_unknown_part_is_named(run, document):
    code, _, err = run("accounts", document, "--part", "wales")
    assert code == 2
    assert "There is no part 'wales'" in err


def test_months_fit_on_a_screen(capsys, screen):
    """Two years by month: figures are whole, and what is left out is said."""
    screen(100)
    rng = np.random.default_rng(1)
    sales = pd.DataFrame({
        "customer": rng.integers(0, 60, 3000).astype(str), "amount": rng.integers(1000, 900000, 3000) / 100,
        "date": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 731, 3000), unit="D"),
    })  # fmt: skip
    accounts = spc.customer_accounts(sales, spec=spc.AccountsSpec(period="month"))
    for result in (accounts, spc.customer_groups(accounts)):
        show_accounts.model(spc.Gate().model(result))
    out = capsys.readouterr().out
    assert "…" not in out
    assert "latest 3 of 24 periods" in out
    last = accounts.at("2025-12").contribution.sum() / 100
    assert f"{last:,.2f}" in out
    assert out.count("2025-11 to 2025-12") == 1


def test_one_account(run, document):
    customer = spc.read_study(document).tables["customers"]["customer"].iloc[0]
    code, out, _ = run("accounts", document, "--customer", customer)
    assert code == 0
    assert f"Account of {customer}" in out


def test_tables_hold_every_cent(run, document, tmp_path):
    assert run("accounts", document, "-o", tmp_path / "out")[0] == 0
    written = pd.read_csv(tmp_path / "out" / "accounts_curve.csv")
    accounts = spc.customer_accounts(spc.read_study(document))
    np.testing.assert_array_equal(np.rint(written["contribution"] * 100), accounts.contribution)
    assert run("accounts", document, "-o", tmp_path / "out")[0] == 2


def test_without_transactions_it_says_what_is_missing(run, tmp_path):
    plain = spc.make_firm(seed=4, units=20, employees=5, customers=5, accounts=5).write(tmp_path)
    code, _, err = run("accounts", plain)
    assert code == 2
    assert "transactions" in err


def test_books_that_do_not_meet_the_ledger_end_in_3(run, document, tmp_path):
    for file in document.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = (tmp_path / "study.toml").read_text()
    (tmp_path / "study.toml").write_text(text.replace('net_revenue = { "2024" = ', 'net_revenue = { "2024" = 1'))
    code, _, err = run("accounts", tmp_path)
    assert code == 3
    assert "general ledger" in err


def shown(sales, capsys):
    for result in ledger_results(spc.customer_accounts(sales, currency="DKK")):
        show_accounts.model(spc.Gate().model(result))
    return capsys.readouterr().out


def test_a_line_of_nothing_is_no_minus_nothing_and_one_customer_is_one(capsys):
    sales = pd.DataFrame(
        {"customer": "A", "date": ["2025-01-01", "2026-01-01"], "amount": [10.0, 20.0], "freight": 0.0}
    )
    out = shown(sales, capsys)
    assert "-0.00" not in out
    assert "-0.0%" not in out
    assert "1 customer, 2 accounts, 0 of them with a loss." in out


def test_the_screen_leaves_out_what_has_no_meaning(capsys):
    sales = pd.DataFrame({"customer": list("abc"), "date": "2026-01-01", "amount": [10.0, 20.0, 20.0],
                          "freight": [11.0, 22.0, 22.0]})  # fmt: skip
    out = shown(sales, capsys)
    assert "best 1% of customers" not in out
    assert "lost on unprofitable customers" in out
    assert "cannot be told in 2026" in out
    assert "No customer's costs" not in out


def test_groups_in_which_nobody_stayed_are_no_empty_table(capsys):
    sales = pd.DataFrame({"customer": "A", "date": ["2025-01-01", "2026-01-01"], "amount": [10.0, 20.0],
                          "freight": [1.0, 19.0]})  # fmt: skip
    assert "nobody did." in shown(sales, capsys)
