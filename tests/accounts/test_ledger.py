"""Accounts come to the ledger, to the cent, wherever the rows live."""

from decimal import Decimal
from fractions import Fraction

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.accounts import AccountsSpec, CostDriver, customer_accounts
from spc.accounts.money import apportion, times_rate
from spc.errors import DataError, UsageError

LINES = (
    CostDriver("gross_revenue", side="revenue", column="gross", where={"kind": "sale"}),
    CostDriver("returns", side="revenue", column="gross", where={"kind": ["return", "credit_note"]}),
    CostDriver("discount", side="deduction", column="discount"),
    CostDriver("product_cost", column="product_cost"),
    CostDriver("orders", "rate", where={"kind": "sale"}, rate=0.335),
    CostDriver("service", "rate", column="minutes", resource_cost=1000, capacity=3333),
    CostDriver("rent", "pool", column="quantity", amount={"2025": 777.77, "2026": 1000.01}, where={"kind": "sale"}),
)
SPEC = AccountsSpec(LINES)


def make_rows(n=400, seed=1):
    rng = np.random.default_rng(seed)
    kind = rng.choice(["sale", "return", "credit_note"], n, p=[0.9, 0.05, 0.05])
    gross = np.round(rng.gamma(2, 60, n), 2) * np.where(kind == "sale", 1, -1)
    customer = np.array([f"C{i:02d}" for i in range(25)] + [None], dtype=object)[rng.integers(0, 26, n)]
    return pd.DataFrame(
        {
            "customer": customer,
            "date": pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(0, 730, n), unit="D"),
            "kind": kind,
            "gross": gross,
            "discount": np.round(0.07 * np.abs(gross), 2),
            "product_cost": np.round(0.51 * gross, 2),
            "minutes": np.round(rng.gamma(1, 5, n), 1),
            "quantity": rng.integers(1, 9, n),
            "product": rng.choice(["a", "b", "c"], n),
        }
    )


@pytest.fixture(scope="module")
def rows():
    return make_rows()


@pytest.fixture(scope="module")
def accounts(rows):
    return customer_accounts(rows, spec=SPEC)


def cents(column):
    return int(np.rint(column * 100).sum())


def test_column_lines_sum_to_the_table(accounts, rows):
    total = accounts.cents.sum(axis=0) + accounts.unassigned.sum(axis=0)
    sales = rows["kind"] == "sale"
    assert total[0] == cents(rows.loc[sales, "gross"])
    assert total[1] == cents(rows.loc[~sales, "gross"])
    assert total[2] == cents(rows["discount"])
    assert total[3] == cents(rows["product_cost"])
    nobody = rows["customer"].isna()
    assert accounts.unassigned[:, 2].sum() == cents(rows.loc[nobody, "discount"])


def test_pools_and_capacity_lose_no_cent(accounts):
    for p, amount in enumerate((77777, 100001)):
        here = accounts.periods == accounts.all_periods[p]
        assert accounts.cents[here, 6].sum() + accounts.unassigned[p, 6] == amount
        assert accounts.cents[here, 5].sum() + accounts.unassigned[p, 5] + accounts.unused[p, 5] == 100000


def test_one_account_by_hand(accounts, rows):
    own = rows[(rows["customer"] == "C03") & (rows["date"].dt.year == 2026)]
    place = int(np.flatnonzero((accounts.customers == "C03") & (accounts.periods == "2026"))[0])
    sales = own["kind"] == "sale"
    minutes = sum(Decimal(str(m)) for m in own["minutes"])
    service = Fraction(minutes) * Fraction(100000, 3333)
    expected = [
        cents(own.loc[sales, "gross"]),
        cents(own.loc[~sales, "gross"]),
        cents(own["discount"]),
        cents(own["product_cost"]),
        int(Decimal(int(sales.sum())) * Decimal("33.5") + Decimal("0.5")),
        int(service + Fraction(1, 2)),
    ]
    assert accounts.cents[place, :6].tolist() == expected
    assert accounts.contribution[place] == (accounts.cents[place] * accounts.signs).sum()
    assert accounts.net_revenue[place] == expected[0] + expected[1] - expected[2]
    assert accounts.contribution_ratio[place] == pytest.approx(
        accounts.contribution[place] / accounts.net_revenue[place]
    )


def write_all_ways(rows, folder):
    rows.to_csv(folder / "t.csv", index=False)
    decimals = dict.fromkeys(("gross", "discount", "product_cost"), "DECIMAL(12,2)") | {"minutes": "DECIMAL(9,1)"}
    kept = ", ".join(f"CAST({c} AS {decimals[c]}) AS {c}" if c in decimals else c for c in rows.columns)
    with duckdb.connect(str(folder / "t.duckdb")) as base:
        base.register("frame", rows)
        base.execute(f"CREATE TABLE t AS SELECT {kept} FROM frame ORDER BY quantity, gross")
        base.execute(f"COPY t TO '{folder / 't.parquet'}'")
        base.execute(f"COPY (SELECT * FROM frame) TO '{folder / 'double.parquet'}'")
    (folder / "parts").mkdir()
    with duckdb.connect() as base:
        base.execute(f"COPY (FROM '{folder / 't.parquet'}' LIMIT 150) TO '{folder / 'parts' / 'a.parquet'}'")
        base.execute(f"COPY (FROM '{folder / 't.parquet'}' OFFSET 150) TO '{folder / 'parts' / 'b.parquet'}'")
    return [folder / name for name in ("t.csv", "t.duckdb", "t.parquet", "double.parquet", "parts")]


def test_every_source_gives_equal_cents(accounts, rows, tmp_path):
    for path in write_all_ways(rows, tmp_path):
        other = customer_accounts(path, spec=SPEC)
        assert other.customers.tolist() == accounts.customers.tolist(), path
        assert other.periods.tolist() == accounts.periods.tolist()
        np.testing.assert_array_equal(other.cents, accounts.cents)
        np.testing.assert_array_equal(other.unassigned, accounts.unassigned)
        np.testing.assert_array_equal(other.unused, accounts.unused)


def test_whole_number_keys_are_the_same_customers_in_every_type():
    whole = pd.DataFrame({"customer": [7, 10, 7], "date": "2026-01-01", "amount": [1, 2, 3]})
    for kind in ("int64", "float64", "str"):
        accounts = customer_accounts(whole.astype({"customer": kind}))
        assert accounts.customers.tolist() == ["10", "7"]
        assert accounts.cents[:, 0].tolist() == [200, 400]


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_order_of_rows_changes_nothing(seed, accounts, rows):
    shuffled = rows.sample(frac=1.0, random_state=seed)
    other = customer_accounts(shuffled, spec=SPEC)
    np.testing.assert_array_equal(other.cents, accounts.cents)
    np.testing.assert_array_equal(other.unassigned, accounts.unassigned)


amounts = st.integers(-(10**9), 10**9)
ledger_rows = st.lists(
    st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from([2024, 2025]), amounts, st.integers(0, 10**6)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=30)
@given(table=ledger_rows, pool=st.integers(-(10**8), 10**8), rate=st.integers(0, 10**6))
def test_every_cent_has_a_place(table, pool, rate):
    frame = pd.DataFrame(table, columns=["customer", "year", "cents", "pieces"])
    frame = frame.assign(date=frame["year"].astype(str) + "-06-30", amount=[Decimal(c) / 100 for c in frame["cents"]])
    frame["amount"] = frame["amount"].astype(float)
    cost = Decimal(rate) / 100
    spec = AccountsSpec(
        (
            CostDriver("revenue", side="revenue", column="amount"),
            CostDriver("share", "pool", column="pieces", amount=Decimal(pool) / 100),
            CostDriver("work", "rate", column="pieces", resource_cost=cost, capacity=77),
        )
    )
    accounts = customer_accounts(frame, spec=spec)
    for p, period in enumerate(accounts.all_periods):
        of_customers = accounts.cents[accounts.periods == period].sum(axis=0)
        total = of_customers + accounts.unassigned[p] + accounts.unused[p]
        assert total.tolist() == [int(frame.loc[frame["year"] == int(period), "cents"].sum()), pool, rate]


@given(total=st.integers(-(10**15), 10**15), weights=st.lists(st.integers(0, 10**12), min_size=1, max_size=20))
def test_parts_sum_to_the_whole_and_are_within_a_cent_of_their_share(total, weights):
    if not sum(weights):
        return
    parts = apportion(total, np.array(weights, dtype=np.int64))
    assert int(parts.sum()) == total
    for part, weight in zip(parts.tolist(), weights, strict=True):
        assert abs(Fraction(part) - Fraction(total * weight, sum(weights))) < 1


@given(
    quantity=st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=10),
    top=st.integers(0, 10**12),
    bottom=st.integers(1, 10**12),
)
def test_rates_round_each_quantity_to_the_nearest(quantity, top, bottom):
    rate = Fraction(top, bottom)
    if max(map(abs, quantity)) * rate > 2**60:
        return
    for q, cost in zip(quantity, times_rate(np.array(quantity, dtype=np.int64), rate).tolist(), strict=True):
        assert abs(Fraction(cost) - q * rate) <= Fraction(1, 2)


def test_a_control_total_must_be_met(rows):
    right = customer_accounts(rows, spec=SPEC)
    total = (right.cents.sum(axis=0) + right.unassigned.sum(axis=0) + right.unused.sum(axis=0)) @ right.signs
    wanted = Decimal(int(total)) / 100
    met = customer_accounts(rows, spec=AccountsSpec(LINES, control={"contribution": wanted}))
    assert [c.difference for c in met.controls] == [0]
    assert not [n for n in met.notes() if n.code == "no_control_total"]
    with pytest.raises(DataError, match=r"0\.01 below the general ledger"):
        customer_accounts(rows, spec=AccountsSpec(LINES, control={"contribution": wanted + Decimal("0.01")}))
    near = AccountsSpec(LINES, control={"contribution": wanted + Decimal("0.01")}, tolerance=Decimal("0.01"))
    assert customer_accounts(rows, spec=near).controls[0].difference == -1


def test_control_totals_by_period(rows):
    right = customer_accounts(rows, spec=SPEC)
    by = {
        p: Decimal(int(right.at(p).cents[:, 2].sum() + right.at(p).unassigned[:, 2].sum())) / 100
        for p in right.all_periods
    }
    assert len(customer_accounts(rows, spec=AccountsSpec(LINES, control={"discount": by})).controls) == 2


def two_tables():
    sales = pd.DataFrame({"customer": ["a", "b"], "date": "2026-01-05", "amount": [100.0, 50.0]})
    costs = pd.DataFrame(
        {
            "customer": ["b", "c", None, "b"],
            "date": "2026-02-05",
            "cost_driver": ["service", "service", "service", "claims"],
            "amount": [1.0, 2.0, 4.0, 8.0],
        }
    )
    return {"transactions": sales, "costs": costs}


def test_costs_join_by_customer_and_period():
    accounts = customer_accounts(two_tables())
    assert accounts.lines == ("revenue", "claims", "service")
    assert accounts.customers.tolist() == ["a", "b", "c"]
    assert accounts.cents.tolist() == [[10000, 0, 0], [5000, 800, 100], [0, 0, 200]]
    assert accounts.unassigned.tolist() == [[0, 0, 400]]


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("gross", np.inf, "not_finite"),
        ("gross", 10.005, "broken_cent"),
        ("gross", 1e300, "not_finite"),
        ("date", None, "no_date"),
    ],
)
def test_what_sums_would_hide_is_an_error(rows, column, value, rule):
    bad = rows.copy()
    bad.loc[5, column] = value
    with pytest.raises(DataError) as caught:
        customer_accounts(bad, spec=SPEC)
    assert caught.value.findings[0].rule == rule


def test_text_amounts_that_are_no_numbers_are_counted(rows, tmp_path):
    text = rows.astype({"gross": object})
    text.loc[[3, 4], "gross"] = ["x" * 10_000_000, "NaN "]
    text.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(DataError) as caught:
        customer_accounts(tmp_path / "t.csv", spec=SPEC)
    assert "2 cells" in caught.value.findings[0].found


def test_names_are_names_and_values_are_values(rows):
    odd = 'gro"ss; DROP TABLE frame; --'
    spec = AccountsSpec((CostDriver("revenue", side="revenue", column=odd, where={"kind": "sale' OR '1'='1"}),))
    accounts = customer_accounts(rows.rename(columns={"gross": odd}), spec=spec)
    assert not accounts.cents.any()


def test_negative_shares_and_shares_that_are_not_one(rows):
    def pool(**options):
        return AccountsSpec((SPEC.drivers[0], CostDriver("rent", "pool", amount=10, **options)))

    with pytest.raises(DataError, match="negative share"):
        customer_accounts(rows, spec=pool(column="gross"))
    with pytest.raises(DataError, match="sum to one"):
        customer_accounts(rows, spec=pool(column="quantity", shares=True))
    shares = pd.DataFrame(
        {"customer": ["a", "b"], "date": "2026-01-01", "gross": 1, "kind": "sale", "share": [0.25, 0.75]}
    )
    assert customer_accounts(shares, spec=pool(column="share", shares=True)).cents[:, 1].tolist() == [250, 750]


def test_amounts_of_unknown_periods_are_not_guessed(rows):
    spec = AccountsSpec((SPEC.drivers[0], CostDriver("rent", "pool", column="quantity", amount={"2025": 1})))
    with pytest.raises(DataError, match="nothing about 2026"):
        customer_accounts(rows, spec=spec)


def test_more_use_than_capacity_is_said(rows):
    spec = AccountsSpec((SPEC.drivers[0], CostDriver("work", "rate", column="minutes", resource_cost=10, capacity=1)))
    accounts = customer_accounts(rows, spec=spec)
    assert (accounts.unused[:, 1] < 0).all()
    assert "over_capacity" in {note.code for note in accounts.notes()}


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "rate"},
        {"kind": "rate", "resource_cost": 5},
        {"kind": "rate", "capacity": 0, "resource_cost": 5},
        {"kind": "pool"},
        {"kind": "column"},
        {"kind": "column", "column": "a", "rate": 3},
        {"kind": "sum", "column": "a"},
    ],
)
def test_drivers_that_cannot_be(options):
    with pytest.raises(DataError):
        CostDriver("line", **options)


def test_a_driver_without_capacity_is_called_so():
    with pytest.raises(DataError) as caught:
        CostDriver("service", "rate", column="minutes", resource_cost=10)
    assert caught.value.findings[0].rule == "driver_without_capacity"


def test_without_transactions_there_are_no_accounts():
    with pytest.raises(UsageError, match="transactions"):
        customer_accounts({"costs": two_tables()["costs"]})


def test_periods_are_spelled(rows):
    spec = AccountsSpec(LINES[:1], period="quarter")
    assert customer_accounts(rows, spec=spec).all_periods[0] == "2025-Q1"
    assert customer_accounts(rows, spec=AccountsSpec(LINES[:1], period="month")).all_periods[-1] == "2026-12"
    whole = customer_accounts(rows.drop(columns="date"), spec=AccountsSpec(LINES[:1], period="all"))
    assert whole.all_periods == ("all",)
    assert whole.cents.sum() == customer_accounts(rows, spec=spec).cents.sum()
