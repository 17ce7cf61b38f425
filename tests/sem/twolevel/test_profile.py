import numpy as np
import pytest
from scipy.special import stdtrit

from spc.chain.two_sided_simulation import PATHS, Cell, chain_model, draw_firm
from spc.resample import replicate_rng
from spc.sem.twolevel.fit import fit_two_level, objective_of
from spc.sem.twolevel.profile import link_profiles, roots_at
from spc.spec import model


def fitted(cell, seed=3, text=None, *, boundary=True):
    asked = chain_model() if text is None else model(text, fixed_x=False)
    return fit_two_level(asked, draw_firm(cell, replicate_rng(1, seed)), test=False, boundary=boundary)


def test_the_objective_of_a_fit_is_at_its_minimum_there():
    fit = fitted(Cell(40, 8, 25))
    objective = objective_of(fit)
    gradient = objective.gradient(objective.at(fit.x))
    assert np.abs(gradient).max() < 1e-4


def test_at_an_end_the_likelihood_has_lost_what_it_may():
    fit, reach = fitted(Cell(40, 8, 25)), 2.0
    found = link_profiles(fit, reach)
    assert [one.row for one in found] == list(range(len(PATHS)))
    for end, sign in (("low", 1.0), ("high", -1.0)):
        roots = roots_at(fit, {one.row: getattr(one, end) for one in found})
        for one in found:
            assert roots[one.row] == pytest.approx(sign * reach, rel=0.02)


def test_the_loss_is_that_of_the_model_with_the_link_fixed():
    fit = fitted(Cell(60, 8, 25, 0.5))
    chain = [f"{row.lhs} ~ {row.rhs}" for row in fit.model.parameters if row.op == "~"]
    fixed = "\n".join([*chain[:-1], chain[-1].replace("~ ", "~ 0*")])
    other = fit_two_level(model(fixed, fixed_x=False), fit.units, test=False, boundary=True)
    ours, theirs = objective_of(fit), objective_of(other)
    loss = theirs.at(other.x).value - ours.at(fit.x).value
    assert roots_at(fit, {5: 0.0})[5] == pytest.approx(np.sign(fit.values[5]) * np.sqrt(2.0 * loss), rel=1e-5)


def test_with_many_units_arms_are_those_of_the_curvature():
    fit, reach = fitted(Cell(1500, 20, 60)), stdtrit(1498, 0.975)
    errors = np.sqrt(fit.vcov.diagonal()[: len(PATHS)])
    for one, value, error in zip(link_profiles(fit, reach), fit.solution.theta, errors, strict=False):
        assert one.low == pytest.approx(value - reach * error, abs=0.05 * error)
        assert one.high == pytest.approx(value + reach * error, abs=0.05 * error)


def test_with_few_units_the_far_arm_of_a_badly_known_cause_is_longer():
    longer = []
    for seed in (0, 2, 3):
        fit = fitted(Cell(40, 8, 10, 0.5), seed)
        last, value = link_profiles(fit, 2.0)[-1], fit.solution.theta[len(PATHS) - 1]
        longer.append((last.high - value) / (value - last.low))
    assert np.median(longer) > 1.1


def test_a_link_that_shares_its_value_has_no_profile():
    names = [f"{row.lhs} ~ a*{row.rhs}" for row in chain_model().parameters if row.op == "~"][:2]
    rest = [f"{row.lhs} ~ {row.rhs}" for row in chain_model().parameters if row.op == "~"][2:]
    fit = fitted(Cell(40, 8, 25), text="\n".join([*names, *rest]))
    assert [one.row for one in link_profiles(fit, 2.0)] == [2, 3, 4, 5]
    assert np.isnan(roots_at(fit, {0: 0.5})[0])


def test_an_arm_without_end_is_cut_and_says_so():
    """Causes whose variance nothing keeps off zero have such arms; those of the prior end."""
    reach, cut = stdtrit(38, 0.975), []
    for seed in range(12):
        fit = fitted(Cell(40, 4, 10), seed, boundary=False)
        if fit.bounded:
            continue
        errors = np.sqrt(fit.vcov.diagonal())
        for one in filter(lambda one: one.found, link_profiles(fit, reach)):
            arms = np.abs(np.array([one.low, one.high]) - fit.solution.theta[one.row]) / errors[one.row]
            cut.append(one.cut)
            assert one.cut == bool((arms > 10.0 - 1e-6).any())
        assert not any(one.cut for one in link_profiles(fitted(Cell(40, 4, 10), seed), reach))
    assert 0 < sum(cut) < len(cut) / 3
