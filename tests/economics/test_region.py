import math

import numpy as np
import pandas as pd
import pytest

from spc.economics import loyalty_value
from spc.economics.base import beta_mixture, points_more
from spc.economics.beta_geometric import coordinates, loglik, logs, scores, survival
from spc.economics.joint import joint_draws
from spc.economics.ledger import MarginMean, leaning, margin_mean, read_ledger
from spc.economics.lifetable import LifeTable, life_table, life_tables
from spc.economics.models import ConstantModel, choose_model, fit_model
from spc.economics.region import Spread, student
from spc.errors import DataError


def cohort(n, seed, a=1.2, b=4.0):
    rng = np.random.default_rng(seed)
    age, life = rng.integers(1, 9, n), rng.geometric(np.maximum(rng.beta(a, b, n), 1e-9))
    return np.minimum(age, life), life <= age


def test_coordinates_go_there_and_back():
    x = np.log([[0.668, 3.806], [1e-6, 0.02], [5000.0, 4000.0]])
    np.testing.assert_allclose(np.stack(logs(coordinates(x[:, 0], x[:, 1])), axis=-1), x, rtol=1e-10)


@pytest.mark.parametrize("whole", [True, False])
def test_scores_against_differences(whole):
    time, left = cohort(3000, 1)
    tables = life_tables(time if whole else time - 0.3, left, np.arange(3000) % 3)
    x, step = np.array([-1.1, 0.2]), 1e-5

    def value(x):
        return loglik(*logs(x), tables.exposure, tables.events, whole)

    gradient, information = scores(x, tables)
    for i, e in enumerate(np.eye(2)):
        np.testing.assert_allclose(gradient[:, i], (value(x + step * e) - value(x - step * e)) / (2 * step), rtol=1e-5)
    expected = LifeTable(tables.exposure, tables.exposure * _leave(x, tables), whole)
    at, _ = scores(x, expected)
    np.testing.assert_allclose(at, 0.0, atol=1e-8)
    moved = [(scores(x + step * e, expected)[0] - at) / step for e in np.eye(2)]
    np.testing.assert_allclose(-np.stack(moved, axis=-1), information, rtol=2e-3)


def _leave(x, table):
    alpha, beta = (np.exp(log) for log in logs(x))
    leave = alpha / (alpha + beta + np.arange(table.periods))
    return leave if table.whole else -np.log1p(-leave)


@pytest.mark.parametrize("a", [1.2, 1e4])
def test_the_region_is_the_profile_likelihood(a):
    from scipy.optimize import minimize_scalar

    table = life_table(*cohort(2000, 3, a, 4.0 * a / 1.2))
    model = choose_model("auto", table)[1]
    region = model.region(0.95)
    best = float(model._deviance(model.point[None], np.eye(2))[0])
    width = 1.959964 * (1.0 if a < 10 else math.sqrt(4.231 / 3.841))

    def profile(first):
        found = minimize_scalar(
            lambda second: float(-loglik(*logs(np.array([first, second])), table.exposure, table.events, True)),
            bounds=(math.log1p(1e-4), 3.0),
            method="bounded",
            options={"xatol": 1e-9},
        )
        top = float(loglik(*logs(model.point), table.exposure, table.events, True))
        return 2 * (top + found.fun)

    assert best == 0.0
    for end in (region.parameters[:, 0].min(), region.parameters[:, 0].max()):
        assert math.sqrt(profile(end)) == pytest.approx(width, rel=0.02)
    assert (region.radius <= 1.0).all()
    assert region.radius[0] == 0.0


def test_one_rate_has_the_interval_of_its_distribution():
    model = ConstantModel(LifeTable(np.array([500.0, 300.0]), np.array([100.0, 50.0])))
    ends = model.stay(model.region(0.9).parameters, 1)[:, 0]
    drawn = model.stay(model.draws(400_000, np.random.default_rng(1)), 1)[:, 0]
    assert (ends.min(), ends.max()) == pytest.approx(np.quantile(drawn, [0.05, 0.95]), abs=1e-4)
    wider = model.region(0.9, Spread(np.array([[0.25]]), 9.0)).parameters[:, 0]
    assert wider.max() - wider.min() == pytest.approx(2 * 0.5 * student(9.0, 0.9))


def test_units_all_alike_leave_the_error_and_units_that_differ_widen_it():
    time, left = cohort(4000, 5)
    alone = fit_model("sbg", life_table(time, left))
    spreads = []
    for codes in (np.arange(4000) % 40, np.argsort(np.argsort(time + 0.5 * left)) * 40 // 4000):
        shift = alone.without_each(life_tables(time, left, codes))
        spreads.append(Spread(39 / 40 * shift.T @ shift, 39.0))
    widths = [np.ptp(alone.region(0.95, spread).parameters[:, 0]) for spread in (None, *spreads)]
    assert widths[1] == pytest.approx(widths[0], rel=0.3)
    assert widths[2] > 2 * widths[0]


def test_draws_agree_with_the_region():
    model = fit_model("sbg", life_table(*cohort(20_000, 6)))
    drawn, region = model.draws(4000, np.random.default_rng(1)), model.region(0.95)
    for i in (0, 1):
        ends = region.parameters[:, i].min(), region.parameters[:, i].max()
        assert np.quantile(drawn[:, i], [0.025, 0.975]) == pytest.approx(ends, abs=0.12 * (ends[1] - ends[0]))


def test_parameters_at_the_end_of_the_world():
    for a, b in ((1e-6, 0.02), (0.02, 1e-6), (1e4, 1e-3), (1e-3, 1e4), (3e-9, 0.02)):
        base = beta_mixture(np.array(a), np.array(b), np.array([0.0, 40.0]), np.array([0.5, 0.5]), (0.05,))
        by_hand = np.mean([survival(n + 1, a, b) / survival(n, a, b) for n in (0.0, 40.0)])
        assert float(base.next_rate()) == pytest.approx(by_hand, abs=2e-3)
        assert float(base.weights.sum()) == pytest.approx(1.0)


def test_few_very_good_customers_lean_the_interval():
    rng = np.random.default_rng(1)
    hits = np.zeros(2)
    for amounts in rng.exponential(100.0, (3000, 40)):
        margin = margin_mean(pd.DataFrame({"margin": amounts, "present": True}))
        plain = MarginMean(margin.estimate, margin.std_error, 40, 0)
        for i, each in enumerate((plain, margin)):
            low, high = each.interval(0.95)
            hits[i] += low <= 100.0 <= high
    plain, leaned = hits / 3000
    assert abs(leaned - 0.95) < abs(plain - 0.95)
    assert leaned > 0.925
    assert np.all(np.diff(leaning(np.linspace(-4, 4, 50), 0.05)) > 0)


def test_margin_moves_with_retention_in_the_region():
    rng = np.random.default_rng(2)
    margin = rng.normal(100, 40, 3000)
    life, age = rng.geometric(np.clip(0.2 - 0.002 * (margin - 100), 0.02, 0.6)), rng.integers(1, 9, 3000)
    table = pd.DataFrame({"tenure": np.minimum(life, age), "churned": life <= age, "margin": margin})
    ledger, _ = read_ledger(table)
    model = ConstantModel(life_table(ledger["tenure"], ledger["churned"]))
    joint = joint_draws(model, model, ledger, margin_mean(ledger), draws=200, seed=1, level=0.95)
    middle = joint.region_margin[1]
    assert np.corrcoef(middle, joint.region.parameters[:, 0])[0, 1] > 0.99
    reach = (joint.region_margin.max() - joint.region_margin.min()) / 2
    assert reach == pytest.approx(1.96 * joint.margin_error, rel=0.02)
    assert np.ptp(middle) / 2 == pytest.approx(joint.correlation * reach, rel=0.05)


@pytest.mark.parametrize("model", ["auto", "sbg", "constant", "kaplan-meier"])
def test_small_and_odd_ledgers_have_finite_intervals(model):
    rng = np.random.default_rng(3)
    for _ in range(6):
        n = int(rng.integers(8, 30))
        tenure = rng.integers(1, 9, n)
        ledger = pd.DataFrame(
            {
                "tenure": tenure,
                "entry": np.minimum(rng.integers(0, 3, n), tenure),
                "churned": rng.random(n) < 0.4,
                "margin": rng.choice([100.0, -50.0, 1e9, 0.0], n),
                "unit": rng.choice(list("abcdef"), n),
            }
        )
        ledger.loc[ledger["entry"] >= ledger["tenure"], "churned"] = False
        ledger.loc[0, ["entry", "churned"]] = [0, True]
        ledger.loc[1, ["entry", "tenure", "churned"]] = [0, 5, False]
        table = loyalty_value(ledger, horizon=5, discount=0.1, retention_model=model, draws=100).tidy()
        table = table[table["kind"].isin(["retention", "uplift_percent", "uplift_money", "clv"])]
        assert np.isfinite(table[["estimate", "conf_low", "conf_high"]].to_numpy()).all()
        assert ((table["conf_low"] <= table["estimate"]) & (table["estimate"] <= table["conf_high"])).all()


def test_amounts_that_no_sum_can_hold_are_refused():
    ledger = pd.DataFrame({"tenure": [3, 4, 5], "churned": [1, 0, 0], "margin": [1e300, 1.0, 2.0]})
    with pytest.raises(DataError, match="at most"):
        loyalty_value(ledger, horizon=5, discount=0.1)


def most_missed(n, miss, least):
    """How often the five points of firms whose customers are alike can be missed at most, at .92 and no horizon.

    By any interval that misses no firm with the same figure more often than ``miss``, and leaves out no figure whose
    deviance is below ``least``. Ledgers of n customers watched for one to eight periods, estimates normal; a firm is
    (difference between customers in standard errors, staying in those that the difference leaves).
    """
    from scipy.optimize import linprog

    r, periods = 0.92, np.arange(1.0, 9.0)
    exposure = n * r ** (periods - 1) * (9 - periods) / 8
    alike = np.array([math.log(1 / r - 1), math.log1p(1e-4)])
    vcov = np.linalg.inv(scores(alike, LifeTable(exposure, exposure * (1 - r)))[1])
    rest = math.sqrt(vcov[0, 0] - vcov[0, 1] ** 2 / vcov[1, 1])
    firm = np.stack(np.meshgrid(np.linspace(0, 5, 101), np.linspace(-6, 6, 121), indexing="ij"), axis=-1)
    differ = math.sqrt(vcov[1, 1]) * firm[..., 0]
    x = alike + np.stack([vcov[0, 1] / vcov[1, 1] * differ + rest * firm[..., 1], differ], axis=-1)
    base = beta_mixture(*np.exp(np.stack(logs(x))), periods, r**periods / (r**periods).sum(), (0.05,))
    now, then = (base.multiple(0.1, math.inf, change=points_more(p)) for p in (0.0, 0.05))
    gap = then / now - (then / now)[0, 60]
    same = []
    for f, at in ((gap, firm), (gap.T, firm.swapaxes(0, 1))):
        turns = f[:-1] * f[1:] < 0
        share = (f[:-1] / (f[:-1] - f[1:]))[turns][:, None]
        same.append(at[:-1][turns] * (1 - share) + at[1:][turns] * share)
    same = np.concatenate([[[0.0, 0.0]], *same])
    seen = np.stack(np.meshgrid(np.arange(-4, 7.2, 0.2), np.arange(-7, 7.2, 0.2)), axis=-1).reshape(-1, 2)
    squares = ((seen[:, None] - same) ** 2).sum(axis=-1)
    may = squares.min(axis=1) - np.minimum(seen[:, 0], 0.0) ** 2 >= least
    chance = np.exp(-squares[may] / 2).T * 0.2**2 / (2 * np.pi)
    return -linprog(-chance[0], A_ub=chance, b_ub=np.full(len(chance), miss), bounds=(0, 1), method="highs").fun


def test_customers_who_are_alike_cannot_be_missed_often_where_a_trifle_of_difference_says_the_same():
    assert most_missed(1000, 0.05, 2.0) == pytest.approx(0.025, abs=0.002)
    assert most_missed(1000, 0.07, 2.0) == pytest.approx(0.032, abs=0.002)
    assert most_missed(1000, 0.05, 0.0) == pytest.approx(0.05, abs=1e-4)
