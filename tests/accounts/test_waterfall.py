import numpy as np
import pytest

from spc.accounts import waterfall
from spc.errors import UsageError


def in_cents(values):
    return np.rint(np.asarray(values) * 100).astype(int)


@pytest.mark.parametrize("by", ["customer", "unit", "segment", "period"])
def test_groups_sum_to_the_whole(accounts, by):
    table, whole = waterfall(accounts, by=by).augment(), waterfall(accounts).augment()
    own = table[~table[by].astype(str).str.startswith("(")]
    for line in (*accounts.lines, "net_revenue", "contribution"):
        assert in_cents(own[line]).sum() == in_cents(whole[line]).sum(), line


def test_parts_of_nobody_are_named(accounts):
    table = waterfall(accounts, by="unit").augment().set_index("unit")
    assert in_cents(table.loc["(unused capacity)", "service"]) == -accounts.unused.sum()


def test_steps_end_in_contribution(accounts):
    rows = waterfall(accounts, period="2026").tidy().set_index("lhs")["estimate"]
    above = rows["gross_revenue"] + rows["returns"] + rows["discount"]
    assert in_cents(above) == in_cents(rows["net_revenue"])
    costs = rows[["product_cost", "service", "rent"]].sum()
    assert in_cents(rows["net_revenue"] + costs) == in_cents(rows["contribution"])
    assert rows.index[-1] == "contribution"


def test_one_customer(accounts):
    rows = waterfall(accounts, customer="C003").tidy().set_index("lhs")["estimate"]
    own = accounts.augment().query("customer == 'C003'")
    assert in_cents(rows["contribution"]) == in_cents(own["contribution"]).sum()


def test_what_is_not_there_is_said(accounts):
    with pytest.raises(UsageError, match="no period '2031'"):
        waterfall(accounts, period="2031")
    with pytest.raises(UsageError, match="unit, segment"):
        waterfall(accounts, by="colour")
    with pytest.raises(UsageError, match="no account"):
        waterfall(accounts, customer="nobody")
