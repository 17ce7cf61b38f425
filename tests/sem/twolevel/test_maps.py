import numpy as np
import pandas as pd
import pytest

from spc.sem import fit
from spc.sem.twolevel.maps import Linear
from spc.spec import model

TEXTS = {
    "factors": "level: 1\nf =~ a + b + c\nf ~ x\nlevel: 2\ng =~ a + b + c\ng ~ w",
    "shared": "level: 1\nf =~ a + k*b + l*c\nf ~ x\nlevel: 2\ng =~ a + k*b + m*c\nw ~ g\nm == 0.5*l",
    "paths": "level: 1\nb ~ a\nc ~ b + x\nb ~~ x\nlevel: 2\nb ~ a + w\nc ~ b",
    "loop": "level: 1\nb ~ a\nc ~ b + 0.2*a\nlevel: 2\nb ~ a + 0.1*c\nc ~ b + w\nw ~~ a",
}


def rows(units=60):
    rng = np.random.default_rng(3)
    code = np.repeat(np.arange(units), rng.integers(1, 7, units))
    trait, x = rng.normal(size=units), rng.normal(size=code.size)
    far = trait[:, None] + 0.5 * rng.normal(size=(units, 3))
    near = (0.5 * x + rng.normal(size=code.size))[:, None] + rng.normal(size=(code.size, 3))
    frame = pd.DataFrame(far[code] + near, columns=list("abc"))
    return frame.assign(x=x, w=(0.6 * trait + rng.normal(size=units))[code], unit=code)


def objective(name, holes=False, **options):
    frame = rows()
    if holes:
        frame.loc[frame.index[::7], "b"] = np.nan
    found = fit(model(TEXTS[name], **options), frame, cluster="unit", missing="fiml" if holes else "listwise")
    x = found.system.coordinates(found.solution.theta)
    return found.levels.groups[0].objective, x


def differences(function, x, h=1e-5):
    steps = h * np.eye(x.size)
    return np.array([(function(x + step) - function(x - step)) / (2.0 * h) for step in steps])


@pytest.mark.parametrize("fixed_x", [True, False])
@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.filterwarnings("ignore::spc.errors.ImproperSolutionWarning")
def test_derivatives_against_finite_differences(name, fixed_x):
    goal, x = objective(name, fixed_x=fixed_x)
    x = x * (1.0 + 0.05 * np.random.default_rng(1).normal(size=x.size))
    state = goal.at(x)
    slope = differences(lambda at: goal.at(at).value, x)
    np.testing.assert_allclose(goal.gradient(state), slope, rtol=1e-6, atol=1e-6 * np.abs(slope).max())
    second = differences(lambda at: goal.gradient(goal.at(at)), x)
    exact = goal.information(x, state, expected=False)
    np.testing.assert_allclose(exact, second, atol=1e-7 * np.abs(second).max())
    np.testing.assert_allclose(goal.scores(state).sum(axis=0), goal.gradient(state), atol=1e-8 * np.abs(slope).max())


@pytest.mark.filterwarnings("ignore::spc.errors.ImproperSolutionWarning")
def test_expected_information_is_the_variance_of_the_gradient():
    """At any moments: rows drawn there have gradients that vary as the information says."""
    goal, x = objective("factors", fixed_x=False)
    state = goal.at(x)
    expected, observed = (goal.information(x, state, expected=flag) for flag in (True, False))
    assert np.linalg.eigvalsh(expected)[0] > 0.0
    ratio = np.diag(observed) / np.diag(expected)
    assert 0.3 < ratio.min() < ratio.max() < 3.0


@pytest.mark.filterwarnings("ignore::spc.errors.ImproperSolutionWarning")
def test_with_holes_the_gradient_is_that_of_the_likelihood_and_nothing_at_the_end():
    goal, end = objective("factors", holes=True)
    assert np.abs(goal.gradient(goal.at(end))).max() < 1e-4
    x = end + 0.05 * np.random.default_rng(1).normal(size=end.size)
    slope = differences(lambda at: goal.at(at).value, x)
    np.testing.assert_allclose(goal.gradient(goal.at(x)), slope, rtol=1e-6, atol=1e-6 * np.abs(slope).max())


def test_chosen_moments_are_coordinates_and_the_others_stay():
    rng = np.random.default_rng(2)
    mu, root = rng.normal(size=3), rng.normal(size=(2, 3, 3))
    sigma_b, sigma_w = root @ root.transpose(0, 2, 1)
    means = np.array([True, False, True])
    diagonal, all_of_it = np.eye(3, dtype=bool), np.ones((3, 3), dtype=bool)
    line, x = Linear.of(mu, sigma_b, sigma_w, means, diagonal, all_of_it)
    assert x.size == 2 + 3 + 6
    spot = line.at(x)
    for found, given in ((spot.mu, mu), (spot.sigma_b, sigma_b), (spot.sigma_w, sigma_w)):
        np.testing.assert_allclose(found, given)
    moved = line.at(x + 1.0)
    assert moved.mu[1] == mu[1]
    assert moved.sigma_b[0, 1] == sigma_b[0, 1]
    np.testing.assert_allclose(moved.sigma_w, sigma_w + 1.0)
