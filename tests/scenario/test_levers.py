from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from spc.disclosure import Gate
from spc.economics.base import Mixture, Paths, beta_mixture
from spc.scenario import Change, simulate_study, study_levers
from spc.scenario.bend import grid_step
from spc.scenario.levers import Reach
from spc.scenario.route import LedgerRoute, RetentionSlope, staying
from spc.scenario.staying import staying_curves
from spc.study import read_study
from spc.study.report import LeverSpec
from spc.synthetic import make_firm

DRAWS = 300


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return read_study(make_firm(seed=3, units=40).write(tmp_path_factory.mktemp("firm")))


@pytest.fixture(scope="module")
def levers(study):
    return study_levers(study, draws=DRAWS)


def route(base, slopes, margin=100.0):
    n = len(slopes)
    return LedgerRoute(RetentionSlope("loyalty", slopes, "stated"), base, np.full(n, margin), 500.0)


@pytest.mark.parametrize("kind", ["one rate", "differing", "by tenure"])
def test_packed_staying_is_the_staying_of_the_simulation(kind):
    rng = np.random.default_rng(1)
    slopes = rng.normal(0.3, 0.3, size=50)
    alpha, beta = np.exp(rng.normal(0.0, 0.1, size=(2, 50)))
    base = {
        "one rate": Mixture(rng.uniform(0.6, 0.9, size=(50, 1)), np.ones((50, 1))),
        "differing": beta_mixture(alpha, 3.0 * beta, np.arange(4.0), np.array([0.4, 0.3, 0.2, 0.1])),
        "by tenure": Paths(np.sort(rng.uniform(0.5, 0.95, size=(50, 4)), axis=1), np.full(5, 0.2)),
    }[kind]
    curves = staying_curves(route(base, slopes), {"loyalty": np.full(50, 1.5)}, 6)
    for change in (-1.5, -0.4, 0.0, 0.07, 1.2):
        shift = slopes * change
        truth = staying(base, np.repeat(shift[:, None], 6, axis=1))
        assert np.abs(curves.shares(shift) - truth).max() < 3e-7


def test_one_rate_for_all_needs_a_straight_line_only():
    base = Mixture(np.full((20, 1), 0.8), np.ones((20, 1)))
    curves = staying_curves(route(base, np.linspace(-1, 1, 20)), {"loyalty": np.full(20, 2.0)}, 5)
    assert curves.coefficients.shape == (20, 5, 2)


def test_a_lever_brings_what_the_simulation_says(study, levers):
    rows = levers.tidy()
    step = rows[(rows["kind"] == "lever") & (rows["lhs"] == "employee_satisfaction")]["estimate"].item()
    outlook = simulate_study(study, [Change("employee_satisfaction", step)], draws=DRAWS).tidy()
    there = outlook[outlook["kind"] == "present_value"].iloc[0]
    here = rows[(rows["kind"] == "brings") & (rows["lhs"] == "employee_satisfaction")].iloc[0]
    assert here[["estimate", "conf_low", "conf_high"]].tolist() == pytest.approx(
        there[["estimate", "conf_low", "conf_high"]].tolist(), rel=1e-12
    )


def test_draws_have_what_a_page_needs_and_pass_the_gate(study, levers):
    released = Gate.of(study).model(levers)
    frame = released.curve.frame
    assert len(frame) == DRAWS
    assert {"retention", "margin", "reach", "stay_1_0"} <= set(frame.columns)
    assert sum("~" in name for name in frame.columns) == 9
    assert not set(study.units) & set(frame.columns)


def test_without_money_levers_end_at_the_last_construct(study):
    plain = replace(study, document=replace(study.document, money=None))
    found = study_levers(plain, draws=DRAWS)
    assert found.route is None
    assert found.target == found.links.order[-1]
    assert found.target not in {outlook.changes[0].node for outlook in found.outlooks}
    assert found.glance()["money"].tolist() == [False]
    assert not (found.tidy()["kind"] == "brings").any()


@pytest.mark.parametrize(("low", "mean", "high"), [(3.21, 4.0, 4.93), (0.0, 0.013, 0.02), (-40.0, 3.0, 1900.0)])
def test_the_ends_of_a_slider_are_whole_steps_inside_what_was_seen(low, mean, high):
    reach = Reach.of(low, mean, high)
    for end in (reach.low, reach.high):
        steps = (end - mean) / reach.step
        assert steps == pytest.approx(round(steps), abs=1e-6)
    assert low - 1e-9 <= reach.low
    assert reach.high <= high + 1e-9
    assert low + reach.step > reach.low
    assert high - reach.step < reach.high
    assert 20 <= (high - low) / grid_step(low, high) <= 40.0 + 1e-9 or reach.step == 1.0


def test_a_lever_outside_the_chain_is_left_out_and_named(study):
    short = replace(study.document.chain, model="profitability ~ customer_loyalty")
    levers = (LeverSpec("customer_loyalty", by=0.1), LeverSpec("employee_satisfaction", by=0.1))
    report = replace(study.report, levers=levers)
    found = study_levers(replace(study, document=replace(study.document, chain=short, report=report)), draws=DRAWS)
    assert [outlook.changes[0].node for outlook in found.outlooks] == ["customer_loyalty"]
    assert [note.subject for note in found.notes() if note.code == "lever_left_out"] == ["employee_satisfaction"]


def test_customers_without_a_contract_leave_the_scenario_without_money(tmp_path):
    path = make_firm(seed=3, units=30).write(tmp_path)
    accounts, rng = pd.read_csv(tmp_path / "accounts.csv"), np.random.default_rng(1)
    rows = []
    for name in accounts["customer"].head(400):
        day, rate, stop = rng.uniform(0, 300), rng.gamma(0.9, 0.03), rng.beta(0.8, 2.5)
        while day < 730:
            rows.append((name, (pd.Timestamp("2024-01-01") + pd.Timedelta(days=int(day))).date(), 10.0))
            day = np.inf if rng.random() < stop else day + 1 + rng.exponential(1 / rate)
    pd.DataFrame(rows, columns=["customer", "date", "amount"]).to_csv(tmp_path / "sales.csv", index=False)
    text = path.read_text().replace("[tables.units]", '[tables.transactions]\nfile = "sales.csv"\n\n[tables.units]', 1)
    path.write_text(text.replace("[money]\n", '[money]\nretention_model = "bg-nbd"\n', 1))
    levers = study_levers(read_study(path), draws=200, shapes=False)
    assert levers.route is None
    assert "not_contractual" in {note.code for note in levers.notes()}
