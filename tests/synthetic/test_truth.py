"""The truth a firm states, against firms so large that chance hardly matters."""

import numpy as np
import pandas as pd
import pytest

from spc.economics import estimate_retention
from spc.survey import alpha
from spc.synthetic import make_firm
from spc.synthetic.answers import score_truth
from spc.synthetic.chain import structure
from spc.synthetic.plan import CONSTRUCTS


def score(firm, construct):
    table = firm.tables[f"{construct.side}_responses"][list(construct.items)].to_numpy(dtype=float, na_value=np.nan)
    for position in construct.reverse:
        table[:, position] = construct.low + construct.high - table[:, position]
    return table.mean(axis=1)


@pytest.fixture(scope="module")
def huge():
    return make_firm(seed=9, units=6000, employees=20, customers=20, accounts=30, size_spread=0.0, missing=0.0)


@pytest.fixture(scope="module")
def moments(huge):
    """Between- and within-unit covariances of the scores: unit means, less what sampling of persons adds to them."""
    plan, n = huge.plan, 20
    blocks = {side: [c for c in plan.constructs if c.side == side] for side in plan.sides}
    means, within = [], {}
    for side, constructs in blocks.items():
        scores = np.column_stack([score(huge, c) for c in constructs]).reshape(plan.units, n, len(constructs))
        means.append(scores.mean(axis=1))
        rest = (scores - scores.mean(axis=1, keepdims=True)).reshape(-1, len(constructs))
        within[side] = rest.T @ rest / (plan.units * (n - 1))
    results = huge.tables["units"][[o.name for o in plan.outcomes]].to_numpy()
    between = np.cov(np.hstack([*means, results]), rowvar=False)
    start = 0
    for block in within.values():
        stop = start + len(block)
        between[start:stop, start:stop] -= block / n
        start = stop
    return between, within


def regress(cov, names, lhs, causes):
    at, to = [names.index(c) for c in causes], names.index(lhs)
    return np.linalg.solve(cov[np.ix_(at, at)], cov[at, to])


def causes_of(truth):
    return truth.groupby("lhs", sort=False)["rhs"].apply(list)


def test_links_between_units(huge, moments):
    between, names = moments[0], list(huge.plan.names)
    sd = dict(zip(names, np.sqrt(np.diag(between)), strict=True))
    truth = huge.truth.query("kind == 'link' and level == 'unit'")
    assert len(truth) == 9
    for lhs, causes in causes_of(truth).items():
        rows = truth[truth["lhs"] == lhs].set_index("rhs").loc[causes]
        raw = regress(between, names, lhs, causes)
        scale = np.array([sd[c] for c in causes]) / sd[lhs]
        np.testing.assert_allclose(raw * scale, rows["std_all"], atol=0.03)
        np.testing.assert_allclose(raw, rows["estimate"], atol=0.035 / scale.min())
        assert np.abs(raw / rows["estimate"] - 1).max() < 0.08


def test_total_effects_between_units(huge, moments):
    between, names = moments[0], list(huge.plan.names)
    totals = huge.truth.query("kind == 'total' and level == 'unit'").set_index(["lhs", "rhs"])["estimate"]
    first = names[0]
    for lhs in names[1:]:
        (found,) = regress(between, names, lhs, [first])
        # no common causes: the first construct of the chain has nothing before it
        sd = np.sqrt(between[names.index(lhs), names.index(lhs)] / between[0, 0])
        assert found == pytest.approx(totals[lhs, first], abs=0.04 * sd)


def test_spread_and_agreement_of_scores(huge, moments):
    between, within = moments
    at = 0
    for side, block in within.items():
        for i, construct in enumerate(c for c in huge.plan.constructs if c.side == side):
            truth = score_truth(construct)
            assert np.sqrt(between[at, at]) == pytest.approx(truth.unit_sd, rel=0.03)
            assert between[at, at] + block[i, i] == pytest.approx(truth.variance, rel=0.01)
            assert between[at, at] / (between[at, at] + block[i, i]) == pytest.approx(truth.icc1, abs=0.006)
            at += 1


@pytest.mark.parametrize("construct", [c for c in CONSTRUCTS if c.name != "leadership"], ids=lambda c: c.name)
def test_reliability_of_scores(huge, construct):
    stated = huge.truth.query("lhs == @construct.name").set_index("kind")["estimate"]
    table = huge.tables[f"{construct.side}_responses"][list(construct.items)].astype(float)
    for position in construct.reverse:
        table.iloc[:, position] = construct.low + construct.high - table.iloc[:, position]
    assert alpha(table).estimate == pytest.approx(stated["alpha"], abs=0.005)
    assert stated["alpha"] <= stated["omega"] <= stated["alpha"] + 0.01


def test_links_between_persons(huge):
    """Regressions among scores, each freed of its error by the reliability the truth states."""
    truth = huge.truth.query("kind == 'link' and level == 'person'")
    omega = huge.truth.query("kind == 'omega'").set_index("lhs")["estimate"]
    assert len(truth) == 5
    for side in huge.plan.sides:
        names = [c.name for c in huge.plan.constructs if c.side == side]
        cov = np.cov([score(huge, c) for c in huge.plan.constructs if c.side == side])
        cov[np.diag_indices_from(cov)] *= omega[names].to_numpy()
        sd = np.sqrt(np.diag(cov))
        here = truth[truth["lhs"].isin(names)]
        for lhs, causes in causes_of(here).items():
            rows = here[here["lhs"] == lhs].set_index("rhs").loc[causes]
            raw = regress(cov, names, lhs, causes)
            np.testing.assert_allclose(raw, rows["estimate"], rtol=0.02)
            scale = sd[[names.index(c) for c in causes]] / sd[names.index(lhs)]
            np.testing.assert_allclose(raw * scale, rows["std_all"], atol=0.012)


def test_every_wave_obeys_the_same_chain():
    firm = make_firm(seed=2, units=4000, employees=3, customers=3, waves=3, ledger=False, missing=0.0, size_spread=0.0)
    table = firm.tables["employee_responses"]
    for wave in (1, 2, 3):
        mean = table[table["wave"] == wave].groupby("unit")[["isq1", "isq2", "isq3", "es1", "es2"]].mean().astype(float)
        quality, satisfaction = mean.iloc[:, :3].mean(axis=1), mean.iloc[:, 3:].mean(axis=1)
        assert np.corrcoef(quality, satisfaction)[0, 1] == pytest.approx(0.50, abs=0.05)


def test_ledger(huge):
    truth = huge.truth.query("level == 'customer'").set_index("kind")["estimate"]
    ledger = huge.tables["customers"]
    found = estimate_retention(ledger["tenure"], ledger["churned"])
    assert found.estimate == pytest.approx(truth["retention"], abs=4 * found.std_error)
    assert ledger["margin"].mean() == pytest.approx(truth["margin"], abs=4 * 130 / np.sqrt(len(ledger)))
    r, better = truth["retention"], truth["retention"] + 0.05
    now, then = (240 * sum((x / 1.1) ** t for t in range(1, 6)) for x in (r, better))
    assert truth["clv"] == pytest.approx(now)
    assert truth["uplift_money"] == pytest.approx(then - now)
    assert truth["uplift_percent"] == pytest.approx(then / now - 1)


def test_loyal_units_lose_fewer_customers(huge):
    construct = next(c for c in CONSTRUCTS if c.name == "customer_loyalty")
    responses = huge.tables["customer_responses"]
    loyalty = pd.Series(score(huge, construct)).groupby(responses["unit"].to_numpy()).mean()
    sums = huge.tables["customers"].groupby("unit")[["churned", "tenure"]].sum()
    churn = sums["churned"] / sums["tenure"]
    low, high = loyalty <= loyalty.quantile(0.25), loyalty >= loyalty.quantile(0.75)
    assert churn[low].mean() > churn[high].mean() + 0.03


def test_standardised_structure_is_standardised():
    model = structure(["a", "b", "c"], {("b", "a"): 0.5, ("c", "a"): 0.3, ("c", "b"): -0.4})
    inverse = np.linalg.inv(np.eye(3) - model.direct)
    np.testing.assert_allclose(inverse @ np.diag(model.disturbance) @ inverse.T, model.cov, atol=1e-12)
    np.testing.assert_allclose(np.diag(model.cov), 1.0)
    assert model.total[2, 0] == pytest.approx(0.3 - 0.5 * 0.4)
