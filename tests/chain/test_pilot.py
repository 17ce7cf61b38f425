"""Plans from a pilot: its links, shares, sizes and correlations; what it does not tell is asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spc.chain import Plan, fit_two_sided, plan_from
from spc.chain.power import draw_units
from spc.errors import UnsupportedError, UsageError

TRUTH = Plan(
    400, {"staff": 9, "guests": 24}, {("value", "mood"): 0.5, ("profit", "value"): 0.6},
    {"mood": "staff", "calm": "staff", "value": "guests", "profit": ""}, {"mood": 0.2, "calm": 0.1, "value": 0.15},
    spread=0.4, within=0.3,
)  # fmt: skip
CHAIN = "value ~ mood + calm\nprofit ~ value"


def pilot(text=CHAIN, seed=1):
    """The drawn units as rows: means and scatter are all that a fit sees, so rows are made that have them."""
    drawn = draw_units(TRUTH, np.random.default_rng(seed))
    rng, sides = np.random.default_rng(seed), {}
    for s, side in enumerate(drawn.sides):
        own = np.flatnonzero(drawn.side == s)
        root, n = np.linalg.cholesky(drawn.within[np.ix_(own, own)]), drawn.counts[:, s].astype(int)
        unit = np.repeat(np.arange(len(n)), n)
        noise = rng.normal(size=(unit.size, own.size)) @ root.T
        noise -= pd.DataFrame(noise).groupby(unit).transform("mean").to_numpy()
        values = drawn.means[unit][:, own] + noise
        sides[side] = pd.DataFrame(values, columns=[drawn.names[i] for i in own]).assign(shop=unit)
    profit = pd.DataFrame({"shop": range(TRUTH.units), "profit": drawn.means[:, drawn.names.index("profit")]})
    return fit_two_sided(text, sides=sides, units=profit, unit="shop", draws=2)


@pytest.fixture(scope="module")
def fit():
    return pilot()


def test_a_plan_is_like_its_pilot(fit):
    plan = plan_from(fit)
    assert list(plan.sides) == ["mood", "calm", "value", "profit"]
    assert (plan.units, dict(plan.sides)) == (400, dict(TRUTH.sides))
    for link, size in TRUTH.links.items():
        assert plan.links[link] == pytest.approx(size, abs=0.15)
    assert abs(plan.links["value", "calm"]) < 0.2
    table = fit.tidy()
    shares = table[table["kind"] == "icc1"].set_index("lhs")["estimate"]
    assert dict(plan.icc) == pytest.approx(dict(shares))
    assert plan.respondents["staff"] == pytest.approx(9, rel=0.1)
    assert (plan.spread, plan.within) == (pytest.approx(0.4, abs=0.08), pytest.approx(0.3, abs=0.05))


def test_what_is_said_otherwise_holds(fit):
    plan = plan_from(
        fit, units=30, waves=2, respondents={"guests": 60}, links={("value", "mood"): 0.1}, icc={"mood": 0.05}
    )
    assert (plan.units, plan.waves, plan.respondents["guests"]) == (30, 2, 60.0)
    assert (plan.links["value", "mood"], plan.icc["mood"]) == (0.1, 0.05)
    assert plan.respondents["staff"] == plan_from(fit).respondents["staff"]


@pytest.mark.parametrize(
    "given",
    [{"respondents": {"clients": 5}}, {"links": {("mood", "value"): 0.1}}, {"icc": {"profit": 0.1}}, {"units": 2}],
)
def test_what_the_pilot_does_not_have_is_refused(fit, given):
    with pytest.raises(UsageError):
        plan_from(fit, **given)


def test_an_effect_in_which_units_do_not_differ_has_to_be_told():
    rng = np.random.default_rng(2)
    shop, mood = np.repeat(range(30), 8), rng.normal(size=30)
    staff = pd.DataFrame({"shop": shop, "mood": mood[shop] + rng.normal(size=240)})
    guests = pd.DataFrame({"shop": shop, "value": rng.normal(size=240)})
    guests["value"] -= guests.groupby("shop")["value"].transform("mean")
    fit = fit_two_sided("value ~ mood", sides={"staff": staff, "guests": guests}, unit="shop", draws=2)
    with pytest.raises(UsageError, match="says nothing of"):
        plan_from(fit)
    plan = plan_from(fit, icc={"value": 0.1}, links={("value", "mood"): 0.3})
    assert plan.icc["value"] == 0.1


def test_items_have_no_plan():
    text = "f =~ mood + calm + more\nvalue ~ f"
    rng = np.random.default_rng(2)
    f, shop = rng.normal(size=40), np.repeat(range(40), 8)
    staff = pd.DataFrame({name: f[shop] + rng.normal(size=320) for name in ("mood", "calm", "more")}).assign(shop=shop)
    guests = pd.DataFrame({"shop": shop, "value": f[shop] + rng.normal(size=320)})
    with pytest.raises(UnsupportedError, match="scores"):
        plan_from(fit_two_sided(text, sides={"staff": staff, "guests": guests}, unit="shop", draws=2))


def test_a_pilot_of_one_wave_is_a_plan_of_sides_and_one_of_several_has_each_of_them(fit):
    """Sides of studies with waves are called by them; a plan is for a wave to come."""
    units = fit.core.units
    one = replace(fit, core=replace(fit.core, units=replace(units, sides=("staff_wave_2", "guests_wave_3"))))
    plan = plan_from(one, respondents={"staff": 30})
    assert dict(plan.sides) == dict(TRUTH.sides)
    assert plan.respondents["staff"] == 30
    two = replace(fit, core=replace(fit.core, units=replace(units, sides=("staff_wave_1", "staff_wave_2"))))
    assert dict(plan_from(two, respondents={"staff": 7}).respondents) == {"staff_wave_1": 7.0, "staff_wave_2": 7.0}
    with pytest.raises(UsageError, match="no side of the pilot"):
        plan_from(two, respondents={"guests": 7})
