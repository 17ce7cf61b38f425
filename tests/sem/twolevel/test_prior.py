"""Penalties of two-level models: derivatives, what they do near zero, what they leave alone."""

import numpy as np
import pytest

from spc.chain.two_sided_simulation import Cell, chain_model, draw_firm
from spc.errors import UsageError
from spc.sem.twolevel.fit import _converged, _ready, fit_two_level
from spc.sem.twolevel.prior import Known, causes_of
from spc.spec import model

REST = "customer_satisfaction ~ customer_value\ncustomer_loyalty ~ customer_satisfaction\n"
CHAINS = {
    "in line": "\n".join(f"{row.lhs} ~ {row.rhs}" for row in chain_model().parameters if row.op == "~"),
    "causes that covary": "customer_value ~ employee_loyalty + employee_satisfaction + internal_service_quality\n"
    + REST
    + "profitability ~ customer_loyalty",
    "residuals that covary": "employee_satisfaction + employee_loyalty ~ internal_service_quality\n"
    "employee_loyalty ~~ employee_satisfaction\ncustomer_value ~ employee_loyalty + employee_satisfaction\n"
    + REST
    + "profitability ~ customer_loyalty + customer_value",
}


@pytest.mark.parametrize("text", CHAINS.values(), ids=CHAINS)
def test_derivatives_against_finite_differences(text):
    rng = np.random.default_rng(3)
    known = [Known("customer_value", "employee_loyalty", 0.3, 0.1)] if "employee_loyalty" in text else []
    units = draw_firm(Cell(60, 8, 25, 0.5), rng)
    ready = _ready(model(text, fixed_x=False), units, boundary=True, known=known)
    found = _converged(ready)
    objective, x = ready.objective, found.x + 0.03 * rng.normal(size=found.x.size) * (np.abs(found.x) + 0.05)
    state = objective.at(x)
    slope, bend = objective.gradient(state), objective.information(x, state, expected=False)
    for k in range(x.size):
        step = np.zeros(x.size)
        step[k] = 1e-5 * max(abs(x[k]), 1.0)
        ahead, behind = objective.at(x + step), objective.at(x - step)
        assert (ahead.value - behind.value) / (2 * step[k]) == pytest.approx(slope[k], rel=1e-6, abs=1e-5)
        differences = (objective.gradient(ahead) - objective.gradient(behind)) / (2 * step[k])
        np.testing.assert_allclose(differences, bend[k], rtol=1e-4, atol=1e-3)


def test_only_causes_that_rest_on_samples_are_kept_off_zero():
    ready = _ready(chain_model(), draw_firm(Cell(40, 6, 20), np.random.default_rng(1)), boundary=True, known=())
    place = ready.problem.place
    names = [place.variables[i] for i in causes_of(place, np.flatnonzero(ready.units.side >= 0))]
    assert "profitability" not in names
    assert len(names) == 6


def test_the_variance_of_a_lone_cause_moves_by_the_closed_form():
    """Between variance alone, equal sizes: (log s)/2 on a normal likelihood of J means puts J s/(J - 1) in place of s.

    With ``v`` the variance of a unit mean, minus twice the log-likelihood is ``J (log v + T/v) - log(v - w/n)``.
    """
    units = draw_firm(Cell(30, 10, 10), np.random.default_rng(5))
    fit = fit_two_level(model("customer_value ~ internal_service_quality", fixed_x=False), _only(units), boundary=True)
    at = fit.units.names.index("internal_service_quality")
    total = np.var(fit.units.means[:, at])
    noise = fit.sigma_w[at, at] / 10
    s = fit.sigma_b[at, at]
    v = s + noise
    assert 30 / v - 30 * total / v**2 - 1 / s == pytest.approx(0.0, abs=30 / v * 1e-4)


def _only(units):
    from spc.sem.twolevel.likelihood import UnitMoments

    at = np.array([units.names.index("internal_service_quality"), units.names.index("customer_value")])
    return UnitMoments(
        tuple(units.names[i] for i in at), units.sides, units.side[at], units.counts, units.means[:, at],
        units.scatter[:, at[:, None], at],
    )  # fmt: skip


def test_tests_of_fit_are_of_the_likelihood_alone():
    units = draw_firm(Cell(60, 8, 25, 0.5), np.random.default_rng(3))
    plain, kept = (fit_two_level(chain_model(), units, boundary=flag) for flag in (False, True))
    assert kept.chisq == pytest.approx(plain.chisq, abs=1e-6)
    assert kept.logl < kept.peak == pytest.approx(plain.logl, abs=1e-7)
    np.testing.assert_allclose(kept.alone, plain.solution.theta, rtol=1e-5, atol=1e-6)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(kept.solution.theta, plain.solution.theta, rtol=1e-3)


def test_a_sharp_prior_of_a_link_is_its_estimate_and_a_flat_one_is_nothing():
    units = draw_firm(Cell(60, 8, 25, 0.5), np.random.default_rng(3))
    model_ = chain_model()
    link = ("customer_value", "employee_loyalty")
    plain = fit_two_level(model_, units)
    flat = fit_two_level(model_, units, known=[Known(*link, 0.2, 1e4)])
    np.testing.assert_allclose(flat.solution.theta, plain.solution.theta, rtol=1e-5, atol=1e-7)
    sharp = fit_two_level(model_, units, known=[Known(*link, 0.2, 1e-4)])
    i, j = (sharp.units.names.index(name) for name in link)
    raw = sharp.values[sharp.model.parameters.names.index("customer_value~employee_loyalty")]
    assert raw * np.sqrt(sharp.sigma_b[j, j] / sharp.sigma_b[i, i]) == pytest.approx(0.2, abs=1e-4)


def test_a_prior_of_no_link_names_the_links():
    units = draw_firm(Cell(40, 8, 25), np.random.default_rng(3))
    with pytest.raises(UsageError, match="profitability ~ customer_loyalty"):
        fit_two_level(chain_model(), units, known=[Known("profitability", "employee_loyalty", 0.2, 0.1)])
