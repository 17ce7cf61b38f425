import numpy as np
import pytest

from spc.linalg import vech
from spc.moments import Moments
from spc.sem.engine.problem import prepare
from spc.sem.twolevel.between import Free, FreeWithin, Structured, structured
from spc.sem.twolevel.likelihood import unit_moments
from spc.sem.twolevel.search import Complete, Objective, search
from spc.spec import model

NAMES = ("a", "b", "c", "d", "z")
TEXTS = {
    "chain": "b ~ a\nc ~ b\nd ~ c\nz ~ d",
    "shared": "b ~ k*a\nc ~ k*b + a\nd ~ c\nz ~ m*d\nm == 0.5*k\nc ~~ d",
    "rooted": "b ~ a\nz ~ b + c + d",
    "tree": "b ~ a\nc ~ a\nz ~ a\nd ~ 0.5*a\na ~~ d\nb ~~ c + z\nc ~~ 0*z",
    "guarded": "b ~ a\nz ~ b + c + d",
    "latent": "f =~ a + b\nc ~ f\nd ~ c + f\nz ~ d",
    "loop": "b ~ a + 0.1*c\nc ~ b\nd ~ c\nz ~ d + b",
}


def firm(units=40):
    rng = np.random.default_rng(2)
    values = rng.normal(size=(units, 5)) @ np.linalg.cholesky(0.5 * np.eye(5) + 0.5).T
    sides = []
    for s, name in enumerate(("staff", "guests")):
        code = np.repeat(np.arange(units), rng.integers(0, 6, units))
        sides.append((name, code, values[code, 2 * s : 2 * s + 2] + rng.normal(size=(code.size, 2))))
    outcome = values[:, 4:].copy()
    outcome[3] = np.nan
    return unit_moments(NAMES, sides, outcome)


def goal_of(units, between):
    return Objective(Complete.of(units), FreeWithin(between, units.own, np.arange(5)))


def objective(name):
    units = firm()
    if name == "free":
        return goal_of(units, Free(5)), 15
    chain = model(TEXTS[name], fixed_x=False)
    order = np.array([NAMES.index(variable) for variable in chain.observed])
    units = type(units)(
        chain.observed, units.sides, units.side[order], units.counts, units.means[:, order],
        units.scatter[:, order[:, None], order],
    )  # fmt: skip
    problem = prepare(chain, Moments(chain.observed, 40, None, 0.7 * np.eye(5) + 0.3), "normal")
    lower = np.full(problem.size, -np.inf)
    between = Structured(problem, lower)
    if name == "guarded":
        between = Structured(problem, lower, (), (np.array([chain.observed.index(x) for x in "acd"]),))
    if name in {"rooted", "tree"}:
        found = structured(problem, units)
        assert not found.loose
        assert [(block < 0).any() for block in found.blocks] == [name == "tree"]
        between = Structured(problem, lower, found.blocks)
    return goal_of(units, between), problem.size


def spot(goal, k):
    rng = np.random.default_rng(7)
    within = np.array([1.0, 0.1, 1.1, 0.9, 0.2, 1.2])
    if isinstance(goal.map.between, Free):
        t = vech(np.linalg.cholesky(0.7 * np.eye(5) + 0.3))
    else:
        place = goal.map.between.problem.place
        rows = np.where(place.diagonal, 0.8, 0.3)[goal.map.between.problem.active]
        t = np.linalg.lstsq(goal.map.between.problem.map, rows, rcond=None)[0]
    return np.concatenate([rng.normal(0, 0.2, 5), t + 0.05 * rng.normal(size=k), within])


@pytest.mark.parametrize("name", [*TEXTS, "free"])
def test_derivatives_against_finite_differences(name):
    goal, k = objective(name)
    x, h = spot(goal, k), 1e-5
    steps = h * np.eye(x.size)
    state = goal.at(x)

    def gradient(at):
        return goal.gradient(goal.at(at))

    first = [(goal.at(x + step).value - goal.at(x - step).value) / (2 * h) for step in steps]
    np.testing.assert_allclose(gradient(x), first, rtol=1e-6, atol=1e-6 * np.abs(first).max())
    second = [(gradient(x + step) - gradient(x - step)) / (2 * h) for step in steps]
    exact = goal.information(x, state, expected=False)
    np.testing.assert_allclose(exact, second, atol=1e-7 * np.abs(second).max())
    if state.spot.guard is None:
        np.testing.assert_allclose(goal.scores(state).sum(axis=0), gradient(x), atol=1e-9 * np.abs(first).max())


def test_a_search_ends_where_the_gradient_is_nothing():
    goal, k = objective("chain")
    end = search(goal, spot(goal, k))
    assert end.converged
    assert np.abs(goal.gradient(goal.at(end.x))).max() < 1e-6
    start = goal.at(spot(goal, k)).value
    assert end.value < start


def test_a_variance_pulled_below_its_bound_rests_on_it():
    goal, k = objective("chain")
    problem = goal.map.between.problem
    lower = np.full(problem.size, -np.inf)
    lower[problem.place.free[problem.place.diagonal]] = 5.0
    bounded = goal_of(goal.data.units, Structured(problem, lower))
    x = spot(goal, k)
    x[5 : 5 + k] = np.maximum(x[5 : 5 + k], lower)
    end = search(bounded, x)
    assert end.converged
    assert (end.x[5 : 5 + k][np.isfinite(lower)] == 5.0).all()
    assert end.held.sum() == np.isfinite(lower).sum()
    gradient = bounded.gradient(bounded.at(end.x))
    assert (gradient[end.held] > 0).all()
    assert np.abs(gradient[~end.held]).max() < 1e-6


def test_a_start_without_a_likelihood_gives_nothing():
    goal, k = objective("chain")
    x = spot(goal, k)
    x[-1] = -1.0
    assert search(goal, x) is None
