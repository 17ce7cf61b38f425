"""Penalties of two-level models: derivatives, what they do near zero, what they leave alone."""

import numpy as np
import pytest

from spc.chain.two_sided_simulation import Cell, chain_model, draw_firm
from spc.errors import UsageError
from spc.sem.engine.ram import structure
from spc.sem.twolevel.fit import _converged, _ready, fit_two_level
from spc.sem.twolevel.likelihood import UnitMoments
from spc.sem.twolevel.prior import WEIGHT, Known, boundary_of
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


def boundary(text):
    """The penalty of a chain, and the names of its variables."""
    units = draw_firm(Cell(40, 6, 20), np.random.default_rng(1))
    ready = _ready(model(text, fixed_x=False), units, boundary=False, known=())
    place = ready.problem.place
    found = boundary_of(place, ready.units.side, np.full(place.n_observed, 0.5))
    return found, lambda at: [place.variables[i] for i in at]


def test_only_causes_that_rest_on_samples_are_kept_off_zero():
    (one,), named = boundary(CHAINS["in line"])
    assert "profitability" not in named(one.causes)
    assert one.causes.size == 6
    outcomes = model("profitability ~ sales", fixed_x=False)
    assert boundary_of(structure(outcomes), np.array([-1, -1]), np.ones(2)) == ()


def test_links_from_causes_of_another_side_are_told():
    (one,), named = boundary(CHAINS["residuals that covary"])
    assert named(one.place.row[one.crossing]) == ["customer_value"] * 2
    assert named(one.place.column[one.crossing]) == ["employee_loyalty", "employee_satisfaction"]
    (one,), named = boundary("customer_value ~ profitability\ncustomer_loyalty ~ customer_value")
    assert one.crossing.size == 0  # an outcome of units is known, not sampled


def test_a_construct_is_of_the_side_of_its_items():
    text = "f =~ a1 + a2\ng =~ b1 + b2\nh =~ a3 + b3\ng ~ f\nh ~ g\nc ~ h + g"
    place = structure(model(text, fixed_x=False))
    side = np.array([{"a": 0, "b": 1, "c": -1}[name[0]] for name in place.observed])
    (one,) = boundary_of(place, side, np.full(side.size, 0.5))
    names = [place.variables[i] for i in one.causes]
    assert names == ["f", "g", "h"]
    assert [place.variables[i] for i in place.row[one.crossing]] == ["g"]  # h has items of both sides


def test_the_variance_of_a_lone_cause_moves_by_the_closed_form():
    """Between variance alone, equal sizes: ``a log s`` on a normal likelihood of J means.

    With ``v`` the variance of a unit mean, minus twice the log-likelihood is ``J (log v + T/v) - 2 a log(v - w/n)``.
    """
    units = draw_firm(Cell(30, 10, 10), np.random.default_rng(5))
    fit = fit_two_level(model("customer_value ~ internal_service_quality", fixed_x=False), _only(units), boundary=True)
    at = fit.units.names.index("internal_service_quality")
    total = np.var(fit.units.means[:, at])
    noise = fit.sigma_w[at, at] / 10
    s = fit.sigma_b[at, at]
    v = s + noise
    assert 30 / v - 30 * total / v**2 - 2 * WEIGHT / s == pytest.approx(0.0, abs=30 / v * 1e-4)


def _bias_of_a_link(units, reliability, weight, half=0.0):
    """Of a link from a lone cause, as a share of it, by integration; the variance of unit means is 1.

    The slope on unit means is independent of their variance ``T``, a chi-square over ``units``; the link is that slope
    times ``v / s``, with ``v = s + 1 - r`` where the likelihood of ``T`` with ``weight log s + half log v`` peaks.
    """
    from scipy.special import chdtri

    share = (np.arange(4000) + 0.5) / 4000
    total, noise = chdtri(units - 1, share) / units, 1.0 - reliability
    low, high = np.full_like(total, 1e-12), np.full_like(total, 50.0)
    for _ in range(80):
        s = np.sqrt(low * high)
        v = s + noise
        rising = units / 2 * (total - v) / v**2 + weight / s + half / v > 0.0
        low, high = np.where(rising, s, low), np.where(rising, high, s)
    return reliability * float(np.mean((s + noise) / s)) - 1.0


@pytest.mark.parametrize(
    ("units", "reliability", "bias"),
    [(20, 0.31, -25), (40, 0.31, -14), (80, 0.31, -6), (150, 0.31, -2), (40, 0.47, -2), (80, 0.47, 0), (40, 0.69, 0)],
)
def test_what_the_weight_does_to_a_link_from_a_lone_cause(units, reliability, bias):
    """Figures of the documentation, in percent; the second-order weight 1 + r/2 in place of 1.2 moves them by 2."""
    found = _bias_of_a_link(units, reliability, WEIGHT)
    assert 100 * found == pytest.approx(bias, abs=0.6)
    assert _bias_of_a_link(units, reliability, 1.0, 0.5) == pytest.approx(found, abs=0.02)
    assert _bias_of_a_link(units, reliability, 0.5) > found


@pytest.mark.parametrize(
    ("units", "reliability", "weight"),
    [(40, 0.31, 0.74), (80, 0.31, 0.90), (150, 0.31, 1.02), (40, 0.47, 1.05), (80, 0.47, 1.16), (150, 0.47, 1.20)],
)
def test_the_weight_that_makes_a_link_from_a_lone_cause_right(units, reliability, weight):
    """Figures of the documentation, to their last digit: below 1 + r/2 where units are few and means unreliable."""
    less, more = (_bias_of_a_link(units, reliability, weight + step) for step in (-0.006, 0.006))
    assert less > 0.0 > more


@pytest.mark.slow
def test_a_link_is_right_on_average_where_unit_means_are_unreliable():
    """1,500 firms of 60 units whose means have a reliability of .38: without the prior the mean link has no limit.

    A cause of one side before an outcome of the units: within 5 %, and four errors of the simulation.
    """
    names, side = ("x", "y"), np.array([0, -1])
    rng, found = np.random.default_rng(11), []
    text = model("y ~ x", fixed_x=False)
    for _ in range(1500):
        x = rng.normal(0, 0.35, 60)
        means = np.column_stack([x + rng.normal(0, 1 / np.sqrt(5), 60), 0.5 * x + rng.normal(0, 0.35, 60)])
        scatter = np.zeros((60, 2, 2))
        scatter[:, 0, 0] = rng.chisquare(4, 60)
        units = UnitMoments(names, ("staff",), side, np.full((60, 1), 5.0), means, scatter)
        found.append(fit_two_level(text, units, test=False, boundary=True).solution.theta[0])
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - 0.5) < 0.025 + 4 * error
    assert error < 0.02


def _only(units):
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
