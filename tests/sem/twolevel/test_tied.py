import numpy as np
import pandas as pd
import pytest

import spc
from spc.errors import UnsupportedError
from spc.sem.twolevel.fit import _ready, fit_two_level, independence_chisq
from spc.sem.twolevel.likelihood import unit_moments
from spc.spec import model

STAFF, GUESTS = ["m1", "m2", "m3", "zeal"], ["v1", "v2", "v3"]
LOADINGS = {"mood": (1.0, 0.7, 1.3), "value": (1.0, 0.8, 0.6)}
TEXT = "mood =~ m1 + m2 + m3\nvalue =~ v1 + v2 + v3\nvalue ~ mood + zeal\nprofit ~ value"


def rows(units=80, staff=10, guests=20, seed=1):
    """Items of two constructs and one score; items differ a little among units beyond their construct."""
    rng = np.random.default_rng(seed)
    level = rng.standard_normal((units, 3)) * 0.6
    value = 0.5 * level[:, 0] + 0.2 * level[:, 1] + 0.4 * level[:, 2]
    profit = value + 0.4 * rng.standard_normal(units)

    def answers(size, name, of_unit):
        code = np.repeat(np.arange(units), size)
        own = of_unit[code] + rng.standard_normal(code.size)
        apart = 0.1 * rng.standard_normal((units, 3))[code] + 0.7 * rng.standard_normal((code.size, 3))
        return code, own[:, None] * LOADINGS[name] + apart, own

    code, mood, own = answers(staff, "mood", level[:, 0])
    zeal = level[code, 1] + 0.4 * own + 0.8 * rng.standard_normal(code.size)
    visits, worth, _ = answers(guests, "value", value)
    return [(code, np.column_stack([mood, zeal])), (visits, worth)], profit[:, None]


def moments(people, profit):
    return unit_moments([*STAFF, *GUESTS, "profit"], [("staff", *people[0]), ("guests", *people[1])], profit)


@pytest.fixture(scope="module")
def units():
    return moments(*rows())


@pytest.fixture(scope="module")
def fit(units):
    return fit_two_level(model(TEXT, fixed_x=False), units, within="tied")


def test_derivatives_against_finite_differences(units):
    ready = _ready(model(TEXT, fixed_x=False), units, boundary=True, known=(), within="tied")
    objective, rng, h = ready.objective, np.random.default_rng(0), 1e-6
    x = ready.start + 0.02 * rng.standard_normal(ready.start.size)
    state = objective.at(x)
    gradient, second = objective.gradient(state), objective.information(x, state, expected=False)
    for _ in range(5):
        d = rng.standard_normal(x.size)
        ends = [objective.at(x + s * h * d) for s in (1, -1)]
        assert gradient @ d == pytest.approx((ends[0].value - ends[1].value) / (2 * h), rel=1e-5)
        slopes = [objective.gradient(end) for end in ends]
        np.testing.assert_allclose(second @ d, (slopes[0] - slopes[1]) / (2 * h), rtol=1e-4, atol=1e-3)


def test_loadings_and_links_are_near_their_truth(fit):
    found = dict(zip(fit.model.parameters.names, fit.solution.theta, strict=True))
    for name, prefix in (("mood", "m"), ("value", "v")):
        for i, truth in enumerate(LOADINGS[name][1:], start=2):
            assert found[f"{name}=~{prefix}{i}"] == pytest.approx(truth, abs=0.06)
    assert found["value~mood"] == pytest.approx(0.5, abs=0.25)


def test_loadings_hold_within_units(fit):
    found = dict(zip(fit.model.parameters.names, fit.solution.theta, strict=True))
    places = [fit.units.names.index(name) for name in ("m1", "m2", "m3")]
    inner = fit.sigma_w[np.ix_(places, places)]
    a, b = found["mood=~m2"], found["mood=~m3"]
    assert inner[0, 1] / inner[0, 2] == pytest.approx(a / b, rel=1e-8)
    assert fit.latent.within[0] == pytest.approx(inner[0, 1] / a, rel=1e-8)


def test_one_side_is_the_two_level_model_with_equal_labels():
    people, profit = rows(seed=3)
    code, values = people[1]
    frame = pd.DataFrame(values, columns=GUESTS).assign(shop=code, profit=profit[code, 0])
    shared = "value =~ v1 + a*v2 + b*v3"
    text = f"level: 1\n{shared}\nlevel: 2\n{shared}\nprofit ~ value"
    theirs = spc.fit(model(text, fixed_x=False), frame, cluster="shop")
    ours = fit_two_level(
        model("value =~ v1 + v2 + v3\nprofit ~ value", fixed_x=False),
        unit_moments([*GUESTS, "profit"], [("guests", code, values)], profit),
        within="tied",
    )
    table, facts = theirs.tidy(), theirs.glance().iloc[0]
    assert ours.peak == pytest.approx(facts["logl"], rel=1e-9)
    assert (ours.chisq, ours.df) == (pytest.approx(facts["chisq"], abs=1e-4), facts["df"])
    base, base_df = independence_chisq(ours)
    assert (base, base_df) == (pytest.approx(facts["baseline_chisq"], rel=1e-6), facts["baseline_df"])
    link = table[table["op"] == "~"].iloc[0]
    place = ours.model.parameters.names.index("profit~value")
    assert ours.solution.theta[place] == pytest.approx(link["estimate"], rel=1e-5)
    assert np.sqrt(ours.vcov[place, place]) == pytest.approx(link["std_error"], rel=1e-4)


def test_errors_of_variances_of_constructs_are_those_of_their_parameters(units):
    """An exogenous construct's variance among units is a parameter of its own."""
    fit = fit_two_level(model(TEXT, fixed_x=False), units, within="tied")
    place = fit.model.parameters.names.index("mood~~mood")
    assert fit.latent.names == ("mood", "value")
    assert fit.latent.between[0] == pytest.approx(fit.solution.theta[place], rel=1e-10)
    assert fit.latent.vcov[0, 0] == pytest.approx(fit.vcov[place, place], rel=1e-6)


def test_the_scale_of_items_changes_only_numbers():
    people, profit = rows()
    plain = fit_two_level(model(TEXT, fixed_x=False), moments(people, profit), within="tied")
    people[0][1][:, 1] *= 1000.0
    wide = fit_two_level(model(TEXT, fixed_x=False), moments(people, profit), within="tied")
    assert wide.chisq == pytest.approx(plain.chisq, abs=1e-5)
    names = plain.model.parameters.names
    assert wide.solution.theta[names.index("mood=~m2")] == pytest.approx(
        1000.0 * plain.solution.theta[names.index("mood=~m2")], rel=1e-5
    )


def test_two_items_and_reversed_ones_come_to_an_end():
    people, profit = rows(units=30)
    people[0][1][:, 1] *= -1.0
    text = "mood =~ m1 + m2\nvalue =~ v1 + v2 + v3\nvalue ~ mood\nprofit ~ value"
    names = ["m1", "m2", "v1", "v2", "v3", "profit"]
    units = unit_moments(names, [("staff", people[0][0], people[0][1][:, :2]), ("guests", *people[1])], profit)
    fit = fit_two_level(model(text, fixed_x=False), units, within="tied", boundary=True)
    assert fit.solution.theta[fit.model.parameters.names.index("mood=~m2")] == pytest.approx(-0.7, abs=0.2)


def test_a_second_order_construct_has_facets_that_covary_within_units():
    rng = np.random.default_rng(2)
    code = np.repeat(np.arange(100), 15)
    whole = rng.standard_normal(100)
    facets = [0.7 * whole + 0.4 * rng.standard_normal(100) for _ in range(3)]
    items = [f[code] + 0.8 * rng.standard_normal(code.size) for f in facets]
    values = np.column_stack([item[:, None] + 0.6 * rng.standard_normal((code.size, 2)) for item in items])
    text = "a =~ a1 + a2\nb =~ b1 + b2\nc =~ c1 + c2\nwhole =~ a + b + c\nprofit ~ whole"
    names = ["a1", "a2", "b1", "b2", "c1", "c2", "profit"]
    units = unit_moments(names, [("staff", code, values)], (0.5 * whole + 0.5 * rng.standard_normal(100))[:, None])
    fit = fit_two_level(model(text, fixed_x=False), units, within="tied", boundary=True)
    assert fit.latent.names == ("a", "b", "c")
    place = fit.model.parameters.names.index("profit~whole")
    assert fit.solution.theta[place] * 0.7 == pytest.approx(0.5 * 1.0, abs=0.35)


def test_a_construct_with_items_of_several_sides_is_one_of_units_alone(units):
    text = "value =~ v1 + v2 + v3\ncommon =~ m1 + value + profit + zeal"
    fit = fit_two_level(model(text, fixed_x=False), moments_without(units, ["m2", "m3"]), within="tied", boundary=True)
    assert fit.latent.names == ("value",)
    places = [fit.units.names.index(name) for name in ("m1", "zeal")]
    np.testing.assert_allclose(
        fit.sigma_w[np.ix_(places, places)], fit.units.within[np.ix_(places, places)], rtol=0.05, atol=0.02
    )


def moments_without(units, names):
    keep = np.array([i for i, name in enumerate(units.names) if name not in names])
    return units.ordered(keep)


def test_a_chain_without_items_has_nothing_that_could_hold_within_units(units):
    kept = moments_without(units, ["m1", "m2", "m3", "v2", "v3"])
    with pytest.raises(UnsupportedError, match="items are all answers of one side"):
        fit_two_level(model("v1 ~ zeal\nprofit ~ v1", fixed_x=False), kept, within="tied")
