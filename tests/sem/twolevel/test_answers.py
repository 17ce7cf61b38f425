import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

import spc
from spc.linalg import FloatArray
from spc.sem.twolevel.answers import AnswerMoments, Answers, answer_moments
from spc.sem.twolevel.draws import predict_units, simulate_units
from spc.sem.twolevel.fit import fit_two_level
from spc.sem.twolevel.likelihood import SizeClasses, level2, unit_moments
from spc.spec import model

NAMES = ["mood", "zeal", "value", "loyal", "profit"]
TEXT = "value ~ mood + zeal\nloyal ~ value\nprofit ~ loyal"


def rows(units=30, staff=6, guests=9, holes=0.2, seed=1):
    """Answers of two sides and an outcome; unit 0 has no guests, unit 1 nobody."""
    rng = np.random.default_rng(seed)
    level = rng.standard_normal((units, 5)) @ np.linalg.cholesky(0.5 * np.eye(5) + 0.5).T
    people = []
    for size, columns in ((staff, [0, 1]), (guests, [2, 3])):
        code = np.repeat(np.arange(units), size)
        code = code[(code != 1) & ((code != 0) | (size == staff))]
        values = level[code][:, columns] + rng.standard_normal((code.size, 1)) + rng.standard_normal((code.size, 2))
        values[rng.random(values.shape) < holes] = np.nan
        people.append((code, values))
    outcome = level[:, 4:] + 0.5 * rng.standard_normal((units, 1))
    outcome[2] = np.nan
    return people, outcome


def answers(people, outcome):
    return answer_moments(NAMES, [("staff", *people[0]), ("guests", *people[1])], outcome)


def moments(seed=3):
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((5, 8))
    inner = np.zeros((5, 5))
    for at in (slice(0, 2), slice(2, 4)):
        part = rng.standard_normal((2, 4))
        inner[at, at] = part @ part.T
    return rng.standard_normal(5), root @ root.T, inner


def by_hand(people, outcome, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray):
    """Log-density of everything a unit has, unit by unit."""
    total = 0.0
    for j in range(len(outcome)):
        who = [(k, row) for k, (code, values) in enumerate(people) for row in values[code == j]]
        values = np.concatenate([*(row for _, row in who), outcome[j]])
        place = np.concatenate([*(np.array([2 * k, 2 * k + 1]) for k, _ in who), np.array([4])]).astype(int)
        person = np.concatenate([*(np.full(2, i) for i in range(len(who))), np.array([-1])]).astype(int)
        here = ~np.isnan(values)
        if not here.any():
            continue
        place, person, values = place[here], person[here], values[here]
        cov = sigma_b[np.ix_(place, place)] + sigma_w[np.ix_(place, place)] * (person[:, None] == person)
        total += multivariate_normal(mu[place], cov).logpdf(values)
    return total


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [4, 2, 0, 3, 1]])
def test_the_likelihood_is_that_of_the_normal_distribution_of_all_answers_of_a_unit(order):
    people, outcome = rows()
    mu, sigma_b, sigma_w = moments()
    data = Answers(answers(people, outcome).ordered(np.array(order)))
    found = data.at(mu[order], sigma_b[np.ix_(order, order)], sigma_w[np.ix_(order, order)])
    plain = 0.5 * np.log(2 * np.pi) * data.units.answers.answered.sum()
    assert -found.value - plain == pytest.approx(by_hand(people, outcome, mu, sigma_b, sigma_w), rel=1e-10)


def test_without_holes_it_is_the_likelihood_of_the_means_of_units():
    people, outcome = rows(holes=0.0)
    mu, sigma_b, sigma_w = moments()
    units = unit_moments(NAMES, [("staff", *people[0]), ("guests", *people[1])], outcome)
    one, other = answers(people, outcome), units
    values = []
    for shift in (0.0, 0.3):
        ours = Answers(one).at(mu + shift, sigma_b, sigma_w)
        theirs = level2(other, SizeClasses.find(other), mu + shift, sigma_b, sigma_w)
        np.testing.assert_allclose(ours.mu, theirs.mu, rtol=1e-9, atol=1e-8)
        np.testing.assert_allclose(ours.sigma_b, theirs.sigma_b, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(np.where(units.own, ours.sigma_w, 0.0), theirs.sigma_w, rtol=1e-8, atol=1e-7)
        values.append(ours.value - theirs.value)
    assert values[0] == pytest.approx(values[1], rel=1e-10)


def test_a_fit_does_not_depend_on_the_order_of_variables_in_the_chain():
    units = answers(*rows())
    one = fit_two_level(model(TEXT, fixed_x=False), units)
    other = fit_two_level(model("\n".join(reversed(TEXT.split("\n"))), fixed_x=False), units)
    assert one.logl == pytest.approx(other.logl, rel=1e-10)
    assert one.chisq == pytest.approx(other.chisq, abs=1e-5)
    names = [one.units.names.index(name) for name in NAMES]
    others = [other.units.names.index(name) for name in NAMES]
    np.testing.assert_allclose(one.sigma_b[np.ix_(names, names)], other.sigma_b[np.ix_(others, others)], atol=1e-6)


def test_units_can_be_taken_out_and_twice():
    people, outcome = rows()
    units = answers(people, outcome)
    assert isinstance(units, AnswerMoments)
    twice = units.take(np.r_[np.arange(30), np.arange(30)])
    at = moments()
    assert Answers(twice).at(*at).value == pytest.approx(2.0 * Answers(units).at(*at).value, rel=1e-12)
    some = np.array([3, 0, 7, 1])
    part = [(np.searchsorted(np.sort(some), code[np.isin(code, some)]), v[np.isin(code, some)]) for code, v in people]
    small = answers(part, outcome[np.sort(some)])
    assert Answers(units.take(some)).at(*at).value == pytest.approx(Answers(small).at(*at).value, rel=1e-12)
    for name in ("counts", "means", "scatter"):
        np.testing.assert_allclose(getattr(units.take(np.sort(some)), name), getattr(small, name), atol=1e-10)
    without_first = units.take(np.arange(1, 30))
    assert fit_two_level(model(TEXT, fixed_x=False), without_first, test=False).solution.converged


def test_units_made_from_a_fit_have_its_moments_and_its_holes():
    people, outcome = rows(units=300, holes=0.3)
    fit = fit_two_level(model(TEXT, fixed_x=False), answers(people, outcome))
    made = simulate_units(fit, np.random.default_rng(0))
    np.testing.assert_array_equal(made.answers.patterns, fit.units.answers.patterns)
    again = fit_two_level(fit.model, made)
    np.testing.assert_allclose(np.diag(again.sigma_b), np.diag(fit.sigma_b), rtol=0.35)
    np.testing.assert_allclose(np.diag(again.sigma_w)[:4], np.diag(fit.sigma_w)[:4], rtol=0.15)


def test_values_of_units_follow_from_every_answer():
    people, outcome = rows(units=40)
    fit = fit_two_level(model(TEXT, fixed_x=False), answers(people, outcome))
    values, errors = predict_units(fit)
    j, order = 5, [fit.units.names.index(name) for name in NAMES]
    who = [(k, row) for k, (code, v) in enumerate(people) for row in v[code == j]]
    y = np.concatenate([*(row for _, row in who), outcome[j]])
    place = np.concatenate([*(np.array([2 * k, 2 * k + 1]) for k, _ in who), np.array([4])]).astype(int)
    person = np.concatenate([*(np.full(2, i) for i in range(len(who))), np.array([-1])]).astype(int)
    here = ~np.isnan(y)
    place, person, y = np.array(order)[place[here]], person[here], y[here]
    cov = fit.sigma_b[np.ix_(place, place)] + fit.sigma_w[np.ix_(place, place)] * (person[:, None] == person)
    cross = fit.sigma_b[:, place]
    np.testing.assert_allclose(values[j], fit.mu + cross @ np.linalg.solve(cov, y - fit.mu[place]), atol=1e-8)
    left = fit.sigma_b - cross @ np.linalg.solve(cov, cross.T)
    np.testing.assert_allclose(errors[j], np.sqrt(np.maximum(np.diag(left), 0.0)), atol=1e-7)


def test_one_side_with_holes_is_the_two_level_model_with_fiml():
    people, outcome = rows(units=60, seed=4)
    code, values = people[1]
    frame = pd.DataFrame(values, columns=["value", "loyal"]).assign(unit=code, profit=outcome[code, 0])
    text = "loyal ~ value\nprofit ~ loyal"
    both = f"level: 1\nvalue ~~ loyal\nvalue ~~ value\nloyal ~~ loyal\nlevel: 2\n{text}"
    frame = frame.dropna(subset=["profit"]).dropna(subset=["value", "loyal"], how="all")
    theirs = spc.fit(model(both, fixed_x=False), frame, cluster="unit", missing="fiml")
    kept = np.isin(np.arange(60), np.unique(code)) & ~np.isnan(outcome[:, 0])
    number = np.cumsum(kept) - 1
    here = kept[code]
    units = answer_moments(["value", "loyal", "profit"], [("guests", number[code[here]], values[here])], outcome[kept])
    ours = fit_two_level(model(text, fixed_x=False), units)
    table = theirs.tidy().query("op == '~'").set_index(["lhs", "rhs"])
    for row, value in zip(ours.model.parameters, ours.values, strict=True):
        if row.op == "~":
            assert value == pytest.approx(table.loc[(row.lhs, row.rhs), "estimate"], rel=1e-4)
    assert ours.logl == pytest.approx(float(theirs.glance()["logl"].iloc[0]), rel=1e-8)
