"""Scenarios: closed forms of effects and money, joint draws, ranges, levers under a budget."""

from __future__ import annotations

import warnings
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import spc
from spc.chain.result import ChainFit
from spc.economics.base import Mixture, Paths
from spc.economics.loyalty import LoyaltyValue
from spc.errors import ExtrapolationWarning, UnsupportedError, UsageError
from spc.scenario import Change, Outlook, ResultRoute, RetentionSlope, allocate, simulate
from spc.scenario.propagate import Links, moved
from spc.scenario.route import staying
from spc.scenario.simulate import chain_links, observed_range


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> spc.Study:
    return spc.read_study(spc.make_firm(seed=3, units=60).write(tmp_path_factory.mktemp("firm")))


@pytest.fixture(scope="module")
def chain(study: spc.Study) -> ChainFit:
    return spc.fit_chain(study, draws=500, method="unit_means")


@pytest.fixture(scope="module")
def loyalty(study: spc.Study) -> LoyaltyValue:
    return spc.loyalty_value(study)


def table(outlook: Outlook, kind: str) -> pd.DataFrame:
    return outlook.tidy().query("kind == @kind")


def test_without_lags_the_whole_effect_is_the_chains_total_effect(chain: ChainFit) -> None:
    links = chain_links(chain, 500, 1)
    found = moved(links, {"internal_service_quality": np.array([0.2])})
    effects = chain.effects.tidy()
    chosen = (effects["kind"] == "total") & (effects["rhs"] == "internal_service_quality")
    for row in np.flatnonzero(chosen.to_numpy()):
        name = effects["lhs"].iloc[row]
        np.testing.assert_allclose(found[name][:, 0], 0.2 * chain.effects.draws[:, row], atol=1e-10)


def test_lags_add_up_along_the_way() -> None:
    links = Links({("b", "a"): np.array([2.0]), ("c", "b"): np.array([3.0])}, {("b", "a"): 1, ("c", "b"): 2})
    found = moved(links, {"a": np.array([1.0, 1.0, 0.0, 0.0, 0.0])})
    assert found["b"].tolist() == [[0, 2, 2, 0, 0]]
    assert found["c"].tolist() == [[0, 0, 0, 6, 6]]


def test_a_circle_needs_a_lag() -> None:
    slopes = {("b", "a"): np.array([0.5]), ("a", "b"): np.array([0.5])}
    with pytest.raises(UnsupportedError, match="give one of them a lag"):
        moved(Links(slopes), {"a": np.array([1.0])})
    found = moved(Links(slopes, {("a", "b"): 1}), {"a": np.array([1.0, 0.0, 0.0])})
    assert found["a"].tolist() == [[1.0, 0.25, 0.0625]]


def test_opposite_levers_cancel_and_several_add_up(chain: ChainFit) -> None:
    both = simulate(chain, changes=[Change("employee_satisfaction", 0.2), Change("employee_satisfaction", -0.2)])
    assert max(np.abs(values).max() for values in both.moved.values()) < 1e-12
    one = simulate(chain, changes=[Change("employee_satisfaction", 0.1)])
    other = simulate(chain, changes=[Change("customer_value", 0.1)])
    together = simulate(chain, changes=[Change("employee_satisfaction", 0.1), Change("customer_value", 0.1)])
    for name, values in together.moved.items():
        np.testing.assert_allclose(values, one.moved[name] + other.moved[name], atol=1e-12)


def test_bent_links_are_followed_and_stop_at_what_was_observed() -> None:
    def bend(change: np.ndarray) -> np.ndarray:
        return np.minimum(change, 0.5)

    links = Links({("y", "x"): np.array([1.0, 2.0])}, bends={("y", "x"): (bend, 1.0)})
    assert moved(links, {"x": np.array([0.25, 5.0])})["y"].tolist() == [[0.25, 0.5], [0.5, 1.0]]


BENT = """
[study]
name = "Shops"
[tables.employee_responses]
file = "staff.csv"
[tables.units]
file = "units.csv"
[constructs.mood]
table = "employee_responses"
items = ["mood"]
[constructs.profitability]
table = "units"
items = ["profit"]
[chain]
model = "profitability ~ mood"
"""


def test_a_study_is_followed_along_its_bent_links(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    mood = rng.normal(0, 1, 150)
    unit = np.repeat(np.arange(150), 20)
    staff = pd.DataFrame({"unit": unit, "mood": mood[unit] + rng.normal(0, 1, unit.size)})
    profit = np.minimum(mood, 0) + rng.normal(0, 0.1, 150)
    staff.to_csv(tmp_path / "staff.csv", index=False)
    pd.DataFrame({"unit": range(150), "profit": profit}).to_csv(tmp_path / "units.csv", index=False)
    (tmp_path / "study.toml").write_text(BENT, encoding="utf-8")
    study = spc.read_study(tmp_path / "study.toml")

    def gain(by: float, **options: object) -> float:
        found = spc.simulate_study(study, [Change("mood", by)], draws=500, **options)  # type: ignore[arg-type]
        assert ("bent_links" in {note.code for note in found.notes()}) == (not options)
        return float(table(found, "moved").query("lhs == 'profitability'")["estimate"].iloc[0])

    assert gain(-0.8) == pytest.approx(-0.8, abs=0.15)
    assert abs(gain(1.0)) < 0.15
    assert gain(1.0, shapes=False) == pytest.approx(0.5, abs=0.1)


def test_customers_of_one_rate_stay_as_the_closed_form_says() -> None:
    base = Mixture(np.array([[0.8]]), np.array([[1.0]]))
    shift = np.array([[0.3, 0.3, 0.0]])
    rate = 1 / (1 + np.exp(-(np.log(0.8 / 0.2) + 0.3)))
    np.testing.assert_allclose(staying(base, shift), [[rate, rate**2, rate**2 * 0.8]])


def test_customers_by_tenure_move_on_to_the_next_rate() -> None:
    base = Paths(np.array([[0.5, 0.8]]), np.array([0.25, 0.25, 0.5]))
    first = 0.25 * 0.5 + 0.25 * 0.8 + 0.5 * 0.8
    second = 0.25 * 0.5 * 0.8 + 0.25 * 0.8**2 + 0.5 * 0.8**2
    np.testing.assert_allclose(staying(base, np.zeros((1, 2))), [[first, second]])


def test_unlike_customers_stay_longer_than_their_mean_rate_says() -> None:
    mixed = staying(Mixture(np.array([[0.6, 1.0 - 1e-12]]), np.array([[0.5, 0.5]])), np.zeros((1, 4)))
    np.testing.assert_allclose(mixed[0], 0.5 * 0.6 ** np.arange(1, 5) + 0.5, atol=1e-9)


def test_money_of_a_result_is_discounted_from_the_first_period(chain: ChainFit) -> None:
    lever = Change("profitability", 0.02, cost=50.0, running_cost=5.0)
    found = simulate(chain, changes=[lever], result=ResultRoute("profitability", 1000.0), periods=3, discount=0.1)
    factor = 1.1 ** -np.arange(1, 4)
    value = (20.0 * factor).sum() - 50.0 / 1.1 - (5.0 * factor).sum()
    assert table(found, "present_value")["estimate"].iloc[0] == pytest.approx(value)
    cost = 50 / 1.1 + (5 * factor).sum()
    assert table(found, "return")["estimate"].iloc[0] == pytest.approx((20 * factor).sum() / cost - 1)
    assert found.chance_of_loss == float(value < 0)
    so_far = found.augment()["so_far"]
    assert so_far.iloc[-1] == pytest.approx(value)
    assert np.isnan(found.payback).all() == (value < 0)


def test_payback_is_the_period_from_which_money_stays_back(chain: ChainFit) -> None:
    lever = Change("profitability", 0.01, cost=2.5)
    found = simulate(chain, changes=[lever], result=ResultRoute("profitability", 100.0), periods=5, discount=0.0)
    row = table(found, "payback").iloc[0]
    assert (row["estimate"], row["std_all"]) == (3.0, 1.0)


def test_money_of_customers_who_stay_is_the_closed_form(chain: ChainFit, loyalty: LoyaltyValue) -> None:
    slope = RetentionSlope("customer_loyalty", np.full(500, 0.4), "stated")
    found = simulate(chain, loyalty, [Change("customer_loyalty", 0.5)], retention=slope, draws=500, periods=2)
    assert found.money is not None
    rng = np.random.default_rng(np.random.SeedSequence(1, spawn_key=(2,)))
    known = len(loyalty.joint.margin)
    rows = np.arange(500) if known == 500 else rng.integers(known, size=500)
    i = int(np.flatnonzero(rows == rows.min())[0])
    base = loyalty.model.base(loyalty.joint.parameters[rows[i : i + 1]], loyalty.ages, loyalty.shares, ())
    first = staying(base, np.full((1, 2), 0.2))[0] - staying(base, np.zeros((1, 2)))[0]
    np.testing.assert_allclose(found.money[i], loyalty.present * loyalty.joint.margin[rows[i]] * first, rtol=1e-10)


def test_intervals_are_as_wide_as_chain_and_retention_together(chain: ChainFit, loyalty: LoyaltyValue) -> None:
    lever = [Change("employee_satisfaction", 0.2)]

    def width(error: float) -> float:
        slope = RetentionSlope.of("customer_loyalty", 0.4, error, 2000, 5, "stated")
        row = table(simulate(chain, loyalty, lever, retention=slope), "present_value").iloc[0]
        return float(row["conf_high"] - row["conf_low"])

    assert width(0.3) > 1.2 * width(0.0) > 0.0


def test_the_link_to_retention_is_drawn_apart_from_the_ledger(study: spc.Study, loyalty: LoyaltyValue) -> None:
    n = len(loyalty.joint.parameters)
    slope = RetentionSlope.of_link(spc.retention_link(study), n, 1)
    assert abs(np.corrcoef(slope.slopes, loyalty.joint.parameters[:, 0])[0, 1]) < 3.5 / np.sqrt(n)


def test_beyond_what_units_show_there_is_a_warning_and_a_note(chain: ChainFit) -> None:
    today = observed_range(chain).loc["employee_satisfaction"]
    inside = 0.9 * (today["high"] - today["mean"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fine = simulate(chain, changes=[Change("employee_satisfaction", inside)])
    assert "extrapolation" not in {note.code for note in fine.notes()}
    with pytest.warns(ExtrapolationWarning, match="beyond what units show"):
        far = simulate(chain, changes=[Change("employee_satisfaction", 3.0)])
    assert "extrapolation" in {note.code for note in far.notes()}


def test_what_is_estimated_apart_is_said_where_it_meets(chain: ChainFit, loyalty: LoyaltyValue) -> None:
    lever = [Change("customer_value", 0.2, cost=1.0)]
    slope = RetentionSlope.of("customer_loyalty", 0.4, 0.1, 2000, 5, "stated")
    by_customers = simulate(chain, loyalty, lever, retention=slope)
    by_units = simulate(chain, loyalty, lever, result=ResultRoute("profitability", 100.0))
    assert "drawn_apart" in {note.code for note in by_customers.notes()}
    assert "drawn_apart" not in {note.code for note in by_units.notes()}


def test_without_a_way_to_money_there_is_none_and_a_note_says_so(chain: ChainFit, loyalty: LoyaltyValue) -> None:
    found = simulate(chain, loyalty, [Change("employee_satisfaction", 0.1)])
    assert found.money is None
    assert np.isnan(found.chance_of_loss)
    assert table(found, "present_value").empty
    assert "no_money" in {note.code for note in found.notes()}
    assert {"moved", "cost"} == set(found.tidy()["kind"])


def test_the_same_seed_gives_the_same_numbers(chain: ChainFit, loyalty: LoyaltyValue) -> None:
    slope = RetentionSlope.of("customer_loyalty", 0.4, 0.1, 2000, 5, "stated")
    one, two = (simulate(chain, loyalty, [Change("customer_value", 0.2, cost=1.0)], retention=slope) for _ in range(2))
    pd.testing.assert_frame_equal(one.tidy(), two.tidy())


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("No change", {"changes": []}),
        ("did you mean", {"changes": [Change("employe_satisfaction", 1.0)]}),
        ("not of both", {"changes": [Change("customer_value", 1.0)], "result": ResultRoute("profitability", 1.0),
                         "retention": RetentionSlope("customer_loyalty", np.ones(10), "x")}),
        ("periods=0", {"changes": [Change("customer_value", 1.0)], "periods": 0}),
        ("100 draws", {"changes": [Change("customer_value", 1.0)], "draws": 5}),
        ("name links of the chain", {"changes": [Change("customer_value", 1.0)], "lags": {("a", "b"): 1}}),
    ],
)  # fmt: skip
def test_what_makes_no_scenario_is_refused(chain: ChainFit, words: str, arguments: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=words):
        simulate(chain, **arguments)  # type: ignore[arg-type]


def test_the_best_levers_are_those_of_trying_every_set(chain: ChainFit) -> None:
    rng = np.random.default_rng(4)
    levers = [Change("profitability", float(by) / 100.0, cost=float(cost), name=f"lever {i}")
              for i, (by, cost) in enumerate(zip(rng.uniform(0, 3, 6), rng.uniform(1, 6, 6), strict=True))]  # fmt: skip

    def scenario(chosen: list[Change]) -> Outlook:
        return simulate(chain, changes=chosen, result=ResultRoute("profitability", 100.0), periods=3, draws=100)

    found = allocate(levers, 8.0, scenario)
    worth = {lever.name: float(scenario([lever]).present_value.mean()) for lever in levers}
    spent = {lever.name: lever.cost / 1.1 for lever in levers}
    sets = [set_ for size in range(7) for set_ in combinations(worth, size) if sum(spent[n] for n in set_) <= 8.0]
    best = max(sets, key=lambda set_: sum(worth[name] for name in set_))
    assert {lever.name for lever in found.chosen} == set(best)
    assert found.glance()["spent"].iloc[0] <= 8.0
    assert found.together is not None
    nothing = allocate([Change("profitability", 0.001, cost=50.0)], 100.0, scenario)
    assert nothing.chosen == ()
    assert nothing.notes()[0].code == "no_lever_pays"


def test_a_firm_of_known_truth_is_inside_the_interval(tmp_path: Path) -> None:
    firm = spc.make_firm(seed=8, units=120)
    study = spc.read_study(firm.write(tmp_path))
    chain = spc.fit_chain(study, draws=1000, method="two_sided")
    found = simulate(chain, changes=[Change("customer_satisfaction", 0.1)], draws=1000)
    row = table(found, "moved").query("lhs == 'customer_loyalty'").iloc[0]
    links = chain.tidy().query("kind == 'link' and lhs == 'customer_loyalty'").iloc[0]
    assert row["estimate"] == pytest.approx(0.1 * links["estimate"], rel=0.1)
    assert row["conf_low"] < row["estimate"] < row["conf_high"]
