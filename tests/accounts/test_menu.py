"""The service menu chooses what brute force would choose."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.accounts import best_choices, customer_groups, service_menu
from spc.disclosure import Gate
from spc.errors import DataError, UsageError

offer = st.tuples(st.integers(0, 2), st.integers(-20, 60), st.integers(0, 30))


@settings(max_examples=60, deadline=None)
@given(offers=st.lists(offer, min_size=1, max_size=8), budget=st.integers(0, 80))
def test_no_other_choice_under_the_budget_brings_more(offers, budget):
    choice, value, cost = (np.array(part) for part in zip(*offers, strict=True))
    made = best_choices(value.astype(float), cost.astype(float), choice, float(budget))
    assert cost @ made <= budget
    assert all(made[choice == one].sum() <= 1 for one in set(choice))
    best = max(
        value @ np.array(way)
        for way in product((0, 1), repeat=len(offers))
        if cost @ np.array(way) <= budget and all(np.array(way)[choice == one].sum() <= 1 for one in set(choice))
    )
    assert value @ made == best


OFFERS = pd.DataFrame(
    {
        "service": ["visits", "visits", "hotline"],
        "level": ["monthly", "yearly", "all day"],
        "cost": [30.0, 4.0, 2.0],
        "effect": [0.5, 0.1, 0.05],
        "std_error": [0.1, 0.02, 0.05],
    }
)


def test_offers_by_hand(accounts):
    result = service_menu(accounts, OFFERS, worth_of_point={"large": 100.0, "small": 20.0})
    table = result.augment().set_index(["group", "service", "level"])
    at = accounts.at("2026")
    n = {name: int((at.attribute("segment") == name).sum()) for name in ("large", "small")}
    assert table.loc[("large", "visits", "monthly"), "net"] == pytest.approx(n["large"] * (100 * 0.5 - 30))
    half = 1.959964 * n["large"] * 100 * 0.1
    assert table.loc[("large", "visits", "monthly"), "conf_high"] == pytest.approx(n["large"] * 20 + half, rel=1e-6)
    chosen = set(table.index[table["chosen"]])
    assert chosen == {("large", "visits", "monthly"), ("large", "hotline", "all day")}
    served = result.tidy().query("kind == 'cost_to_serve' and rhs == 'large'")["estimate"].item()
    costs = [k for k, driver in enumerate(at.spec.drivers) if driver.side == "cost"]
    assert served == pytest.approx(at.cents[at.attribute("segment") == "large"][:, costs].sum() / n["large"] / 100)
    assert Gate().model(result).tidy.frame.shape[0] == len(result.tidy())


def test_less_money_buys_less(accounts):
    nets = [
        service_menu(accounts, OFFERS, worth_of_point=100.0, budget=budget).glance()["net"].item()
        for budget in (0.0, 500.0, 2000.0, 9e9)
    ]
    assert nets == sorted(nets)
    assert nets[0] == 0.0


def test_groups_of_the_grid(accounts):
    groups = customer_groups(accounts).augment().query("period == '2026'")
    result = service_menu(accounts, OFFERS, worth_of_point=100.0, groups=groups, lines=("service",))
    assert set(result.augment()["group"]) == set(groups["group"])


@pytest.mark.parametrize(
    ("offers", "options", "error"),
    [
        (OFFERS.drop(columns="effect"), {}, DataError),
        (OFFERS.assign(cost=[np.nan, 1, 2]), {}, DataError),
        (OFFERS.assign(cost=[np.inf, 1, 2]), {}, DataError),
        (OFFERS.assign(group="gold"), {}, DataError),
        (pd.concat([OFFERS, OFFERS]), {}, DataError),
        (OFFERS, {"worth_of_point": {"large": 1.0}}, UsageError),
        (OFFERS, {"lines": ("gold",)}, UsageError),
        (OFFERS, {"budget": -1.0}, UsageError),
        (OFFERS, {"by": "colour"}, UsageError),
        (OFFERS, {"groups": pd.DataFrame({"customer": ["a", "a"], "group": ["x", "y"]})}, DataError),
    ],
)
def test_menus_that_cannot_be(accounts, offers, options, error):
    with pytest.raises(error):
        service_menu(accounts, offers, **{"worth_of_point": 1.0, **options})
