import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.sem import fit
from spc.sem.twolevel.incomplete import Answered, Incomplete, answer_scores, unit_answers
from spc.sem.twolevel.likelihood import SizeClasses, level2, unit_moments, unit_scores
from spc.spec import model

FIXTURE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_twolevel_missing.json").read_text())
DATA = pd.DataFrame(FIXTURE["data"]).apply(pd.to_numeric, errors="coerce")
P = 5


def rows(holes, seed=4):
    """Rows of three variables in 12 units with two outcomes each; the third variable does not differ among units."""
    rng = np.random.default_rng(seed)
    code = np.repeat(np.arange(12), rng.integers(1, 6, 12))
    values = rng.normal(size=(code.size, 3)) + rng.normal(size=(12, 3))[code] * [1.0, 1.0, 0.0]
    outcomes = rng.normal(size=(12, 2))
    if holes:
        gone = rng.random(values.shape) < 0.3
        gone[gone.all(axis=1), 0] = False
        values[gone] = np.nan
        outcomes[2, 0] = outcomes[5, 1] = np.nan
        outcomes[7] = np.nan
    return code, values, outcomes


def moments(seed=5):
    rng = np.random.default_rng(seed)
    among = [0, 1, 3, 4]
    sigma_b, sigma_w = np.zeros((P, P)), np.zeros((P, P))
    root = rng.normal(size=(4, 4))
    sigma_b[np.ix_(among, among)] = root @ root.T + 0.3 * np.eye(4)
    root = rng.normal(size=(3, 3))
    sigma_w[:3, :3] = root @ root.T + 0.5 * np.eye(3)
    return rng.normal(size=P), sigma_b, sigma_w


def answers(holes=True):
    return unit_answers(list("abcyz"), *rows(holes))


def test_the_likelihood_is_that_of_the_normal_distribution_of_all_answers():
    code, values, outcomes = rows(True)
    mu, sigma_b, sigma_w = moments()
    total = 0.0
    for unit in range(12):
        own = values[code == unit]
        n = len(own)
        pick = np.vstack([np.hstack([np.eye(3), np.zeros((3, 2))])] * n + [np.eye(P)[3:]])
        sigma = pick @ sigma_b @ pick.T
        sigma[: 3 * n, : 3 * n] += np.kron(np.eye(n), sigma_w[:3, :3])
        apart = np.concatenate([own.ravel(), outcomes[unit]]) - pick @ mu
        here = ~np.isnan(apart)
        sigma, apart = sigma[np.ix_(here, here)], apart[here]
        total += 0.5 * (np.linalg.slogdet(sigma)[1] + apart @ np.linalg.solve(sigma, apart))
    assert Answered.at(answers(), mu, sigma_b, sigma_w).value == pytest.approx(total, rel=1e-12)


def test_without_holes_it_is_the_likelihood_of_the_moments_of_units():
    code, values, outcomes = rows(False)
    units = unit_moments(list("abcyz"), [("rows", code, values)], outcomes)
    classes, point = SizeClasses.find(units), moments()
    plain, shifted = level2(units, classes, *point), level2(units, classes, *moments(6))
    found, other = Answered.at(answers(False), *point), Answered.at(answers(False), *moments(6))
    assert found.value - other.value == pytest.approx(plain.value - shifted.value, rel=1e-10)
    for name in ("mu", "sigma_b", "sigma_w"):
        np.testing.assert_allclose(getattr(found, name), getattr(plain, name), atol=1e-9)
    for mine, theirs in zip(
        answer_scores(answers(False), found), unit_scores(units, classes, plain, point[0]), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, atol=1e-9)


def test_the_gradient_against_finite_differences():
    data, (mu, sigma_b, sigma_w), h = answers(), moments(), 1e-6
    found, rng = Answered.at(data, mu, sigma_b, sigma_w), np.random.default_rng(8)
    for _ in range(5):
        d, b, w = rng.normal(size=P), rng.normal(size=(P, P)), rng.normal(size=(P, P))
        b, w = b + b.T, w + w.T
        w[3:], w[:, 3:] = 0.0, 0.0
        ends = [Answered.at(data, mu + s * h * d, sigma_b + s * h * b, sigma_w + s * h * w).value for s in (1, -1)]
        slope = found.mu @ d + (found.sigma_b * b).sum() + (found.sigma_w * w).sum()
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6)


@pytest.mark.parametrize("holes", [True, False])
def test_second_derivatives_against_finite_differences_of_the_gradient(holes):
    data, (mu, sigma_b, sigma_w), h = answers(holes), moments(), 1e-5
    rows = Incomplete(data)
    second, rng = rows.curvature(rows.at(mu, sigma_b, sigma_w), expected=False), np.random.default_rng(8)

    def direction():
        d, b, w = rng.normal(size=P), rng.normal(size=(P, P)), rng.normal(size=(P, P))
        w[3:], w[:, 3:] = 0.0, 0.0
        return d, b + b.T, w + w.T

    for _ in range(5):
        (d, b, w), (e, c, v) = direction(), direction()
        ends = [rows.at(mu + s * h * d, sigma_b + s * h * b, sigma_w + s * h * w) for s in (1, -1)]
        slope = [end.mu @ e + (end.sigma_b * c).sum() + (end.sigma_w * v).sum() for end in ends]
        b, w, c, v = b.ravel(), w.ravel(), c.ravel(), v.ravel()
        bend = d @ second.mu @ e + b @ second.b @ c + w @ second.w @ v + b @ second.bw @ v + c @ second.bw @ w
        bend += d @ (second.mu_b @ c + second.mu_w @ v) + e @ (second.mu_b @ b + second.mu_w @ w)
        assert bend == pytest.approx((slope[0] - slope[1]) / (2 * h), rel=1e-6)


def test_scores_of_units_sum_to_the_gradient():
    data, point = answers(), moments()
    found = Answered.at(data, *point)
    of_mu, of_b, of_w = answer_scores(data, found)
    np.testing.assert_allclose(of_mu.sum(axis=0), found.mu, atol=1e-10)
    np.testing.assert_allclose(of_b.sum(axis=0), found.sigma_b.ravel(), atol=1e-10)
    np.testing.assert_allclose(of_w.sum(axis=0), found.sigma_w.ravel(), atol=1e-10)


def test_impossible_moments_have_no_likelihood():
    mu, sigma_b, sigma_w = moments()
    assert Answered.at(answers(), mu, sigma_b - 50.0 * np.eye(P), sigma_w) is None
    assert Answered.at(answers(), mu, sigma_b, -sigma_w) is None


@pytest.mark.parametrize("name", FIXTURE["models"])
@pytest.mark.filterwarnings("ignore::spc.errors.DroppedRowsWarning")
def test_estimates_and_errors_equal_lavaans(name):
    """lavaan's optimiser stops some 1e-5 short; the moments at which it holds covariates, some 1e-3."""
    case = FIXTURE["models"][name]
    two = model(case["text"], fixed_x=case["fixed.x"])
    data = DATA.sample(frac=1.0, random_state=1)
    mine = fit(two, data, cluster="unit", missing="fiml")
    theirs = pd.DataFrame(case["rows"])
    key = ["lhs", "op", "rhs", "level"]
    both = mine.tidy().merge(theirs.assign(level=theirs["level"].astype(str)), on=key, how="outer", indicator=True)
    assert (both["_merge"] == "both").all()
    free = both[both["se"] > 0.0]
    scale = np.maximum(free["se"], np.abs(free["est"]))
    np.testing.assert_allclose(free["estimate"] / scale, free["est"] / scale, atol=1e-4)
    np.testing.assert_allclose(both["std_error"].fillna(0.0), both["se"], rtol=1e-3, atol=1e-9)
    numbers, measures = mine.glance().iloc[0], case["measures"]
    assert numbers["logl"] == pytest.approx(measures["logl"], rel=1e-7)
    if measures["df"] == 0:
        assert numbers["chisq"] == pytest.approx(0.0, abs=1e-6)
    else:
        assert numbers["unrestricted_logl"] == pytest.approx(measures["unrestricted.logl"], rel=1e-6)
        assert numbers["chisq"] == pytest.approx(measures["chisq"], rel=2e-3, abs=2e-3)
    assert (numbers["df"], numbers["npar"], numbers["nobs"]) == (measures["df"], measures["npar"], measures["ntotal"])


def test_one_hole_changes_little_and_costs_no_row():
    frame = DATA[["unit", "a", "b", "c", "tenure"]].dropna()
    text = "level: 1\nf =~ a + b + c\nf ~ tenure\nlevel: 2\ng =~ a + b + c"
    whole = fit(text, frame, cluster="unit")
    holed = frame.copy()
    holed.iloc[3, 1] = np.nan
    other = fit(text, holed, cluster="unit", missing="fiml")
    assert other.glance()["nobs"].iloc[0] == len(frame)
    assert np.abs(other.solution.theta - whole.solution.theta).max() < 0.1
    robust = fit(text, holed, cluster="unit", missing="fiml", estimator="MLR")
    assert 0.5 < robust.glance()["chisq_scaling_factor"].iloc[0] < 2.0
