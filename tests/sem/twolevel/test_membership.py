import numpy as np
import pytest
from scipy.sparse import csr_array

from spc.errors import UnsupportedError
from spc.sem.twolevel.draws import predict_units, simulate_units
from spc.sem.twolevel.fit import fit_two_level
from spc.sem.twolevel.likelihood import unit_moments
from spc.sem.twolevel.membership import Crossed, evidence, expected_values, too_large
from spc.sem.twolevel.membership_moments import member_moments
from spc.sem.twolevel.search import Complete
from spc.spec import model

NAMES = ("mood", "pace", "value", "trust", "growth")
TEXT = "pace ~ mood\nvalue ~ pace\ntrust ~ value\ngrowth ~ trust"


def shares(rng, rows, units, most=3):
    """Each row belongs to one to ``most`` units."""
    table = np.zeros((rows, units))
    for row in table:
        number = rng.integers(1, most + 1)
        row[rng.choice(units, number, replace=False)] = rng.dirichlet(np.ones(number))
    return table


def firm(seed=1, units=12, guests=60, *, one=False, alike=False, holes=""):
    """Staff of one shop each, some shops without; guests of several shops; outcomes, one missing.

    A third of the guests, or of the ``staff`` too, answer one question of two.
    """
    rng = np.random.default_rng(seed)
    staff = np.repeat(np.arange(units), rng.integers(0, 5, units))
    table = shares(rng, guests, units, 1 if one else 3)
    table[:, -1] = 0.0
    table[table.sum(axis=1) == 0, 0] = 1.0
    table /= table.sum(axis=1, keepdims=True)
    if alike:
        table[:, 4:6] = table[:, 4:6].mean(axis=1, keepdims=True)
    outcome = rng.normal(size=(units, 1))
    outcome[2] = np.nan
    mood, value = rng.normal(size=(staff.size, 2)), 1 + rng.normal(size=(guests, 2))
    for answers in {"": [], "guests": [value], "staff": [value, mood]}[holes]:
        lost = np.flatnonzero(rng.random(len(answers)) < 0.35)
        answers[lost, rng.integers(0, 2, lost.size)] = np.nan
    return staff, mood, table, value, outcome


def crossed(seed=1, **options):
    staff, mood, table, value, outcome = firm(seed, **options)
    return member_moments(NAMES, [("staff", staff, mood), ("guests", csr_array(table), value)], outcome)


def point(seed, own):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(2, 5, 5))
    return rng.normal(size=5), first @ first.T + np.eye(5), np.where(own, second @ second.T + np.eye(5), 0.0)


def long_hand(parts, mu, sigma_b, sigma_w):
    """Minus the log-likelihood of all rows at once, without its constant."""
    way, apart, spread = whole(parts, mu, sigma_w)
    joint = way @ np.kron(np.eye(parts[2].shape[1]), sigma_b) @ way.T + spread
    return 0.5 * (np.linalg.slogdet(joint)[1] + apart @ np.linalg.solve(joint, apart))


def whole(parts, mu, sigma_w):
    """Every answer there is: its way from the values of units, its deviation, and what varies within units."""
    staff, mood, table, value, outcome = parts
    each = [(np.eye(table.shape[1])[staff], (0, 1), mood), (table, (2, 3), value),
            (np.eye(table.shape[1]), (4,), outcome)]  # fmt: skip
    ways, apart, who = [], [], []
    for block, (way, places, values) in enumerate(each):
        for i, place in enumerate(places):
            here = np.flatnonzero(~np.isnan(values[:, i]))
            ways.append(np.kron(way[here], np.eye(5)[place]))
            apart.append(values[here, i] - mu[place])
            who += [(block, row, place) for row in here]
    block, row, place = np.array(who).T
    same = (block[:, None] == block) & (row[:, None] == row)
    return np.concatenate(ways), np.concatenate(apart), np.where(same, sigma_w[place[:, None], place], 0.0)


def constant(units):
    """What means of units of one side lack against its rows."""
    count = units.counts[:, 0]
    return np.log(count[count > 0]).sum() if units.averaged[0] else 0.0


@pytest.mark.parametrize(
    "options",
    [{}, {"alike": True}, {"guests": 8}, {"one": True}, {"holes": "guests"}, {"holes": "staff", "alike": True}],
)
def test_the_likelihood_is_that_of_all_rows_at_once(options):
    """Also where units cannot be told apart, where guests are fewer than units, and where answers are missing."""
    units = crossed(**options)
    moments = point(2, units.own)
    found = Crossed.of(units).at(*moments)
    assert found.value + constant(units) == pytest.approx(long_hand(firm(**options), *moments), rel=1e-10)


def test_units_that_no_guest_tells_apart_are_counted():
    assert crossed().rank[1] == 11
    assert crossed(alike=True).rank[1] == 10
    assert crossed(alike=True).freedom[1] == 60 - 10


def test_shares_add_up_to_the_respondents():
    assert crossed().counts[:, 1].sum() == pytest.approx(60)


def directions(own):
    for i in range(5):
        for j in range(i + 1):
            along = np.zeros((5, 5))
            along[i, j] = along[j, i] = 1.0
            yield along, bool(own[i, j])


@pytest.mark.parametrize("holes", ["", "guests", "staff"])
def test_the_gradient_is_that_of_the_likelihood_and_the_curvature_that_of_the_gradient(holes):
    units = crossed(alike=True, holes=holes)
    mu, b, w = point(3, units.own)
    data, h = Crossed.of(units), 1e-5
    found = data.at(mu, b, w)
    curve = data.curvature(found, expected=False)

    def slope(change, which):
        ends = []
        for sign in (1, -1):
            moved = [mu, b, w]
            moved[which] = moved[which] + sign * h * change
            end = data.at(*moved)
            ends.append(np.concatenate([[end.value], end.mu, end.sigma_b.ravel(), end.sigma_w.ravel()]))
        return (ends[0] - ends[1]) / (2 * h)

    inner = [along.ravel() for along, own in directions(units.own) if own]
    outer = [along.ravel() for along, _ in directions(units.own)]
    for i in range(5):
        moved = slope(np.eye(5)[i], 0)
        assert moved[0] == pytest.approx(found.mu[i], abs=1e-6)
        np.testing.assert_allclose(moved[1:6], curve.mu[i], atol=1e-6)
        np.testing.assert_allclose([moved[6:31] @ v for v in outer], [curve.mu_b[i] @ v for v in outer], atol=1e-6)
        np.testing.assert_allclose([moved[31:] @ v for v in inner], [curve.mu_w[i] @ v for v in inner], atol=1e-6)
    for along, own in directions(units.own):
        v = along.ravel()
        moved = slope(along, 1)
        assert moved[0] == pytest.approx(found.sigma_b.ravel() @ v, abs=1e-6)
        np.testing.assert_allclose([moved[6:31] @ u for u in outer], [v @ curve.b @ u for u in outer], atol=1e-6)
        np.testing.assert_allclose([moved[31:] @ u for u in inner], [v @ curve.bw @ u for u in inner], atol=1e-6)
        if own:
            moved = slope(along, 2)
            assert moved[0] == pytest.approx(found.sigma_w.ravel() @ v, abs=1e-6)
            np.testing.assert_allclose([moved[31:] @ u for u in inner], [v @ curve.w @ u for u in inner], atol=1e-6)


@pytest.mark.parametrize("holes", ["", "staff"])
def test_the_expected_curvature_is_the_mean_of_the_observed_one(holes):
    """400 draws of the data at the moments: an entry's error is about a twentieth of its size."""
    parts, units = firm(4, 8, 40, holes=holes), crossed(seed=4, units=8, guests=40, holes=holes)
    mu, b, w = point(5, units.own)
    staff, gone, table, lost, outcome = parts
    rng, totals = np.random.default_rng(6), np.zeros((2, 25, 25))
    inner = np.linalg.cholesky(w + np.diag([0, 0, 0, 0, 1.0]))
    draws = 400
    for _ in range(draws):
        real = mu + rng.normal(size=(8, 5)) @ np.linalg.cholesky(b).T
        mood = real[staff, :2] + rng.normal(size=(staff.size, 5))[:, :2] @ inner[:2, :2].T + 0 * gone
        value = table @ real[:, 2:4] + rng.normal(size=(40, 2)) @ inner[2:4, 2:4].T + 0 * lost
        results = np.where(np.isnan(outcome), np.nan, real[:, 4:])
        data = Crossed.of(member_moments(NAMES, [("s", staff, mood), ("g", csr_array(table), value)], results))
        found = data.curvature(data.at(mu, b, w), expected=False)
        totals += np.array([found.b, found.w]) / draws
    expected = Crossed.of(units).curvature(Crossed.of(units).at(mu, b, w), expected=True)
    for total, mean in zip(totals, (expected.b, expected.w), strict=True):
        size = np.sqrt(np.outer(mean.diagonal(), mean.diagonal()))
        for along, _ in directions(units.own):
            v = along.ravel()
            assert abs(v @ (total - mean) @ v) <= 0.25 * (np.abs(v) @ size @ np.abs(v))


@pytest.mark.parametrize("seed", range(3))
def test_with_one_unit_a_guest_it_is_the_ordinary_two_level_fit(seed):
    rng = np.random.default_rng(seed)
    staff = np.repeat(np.arange(40), rng.integers(1, 6, 40))
    guests = np.repeat(np.arange(40), rng.integers(1, 15, 40))
    real = rng.normal(size=(40, 1)) + rng.normal(size=(40, 5))
    mood = real[staff, :2] + rng.normal(size=(staff.size, 2))
    value = real[guests, 2:4] + rng.normal(size=(guests.size, 2))
    spot = csr_array((np.ones(guests.size), (np.arange(guests.size), guests)), shape=(guests.size, 40))
    sides = [("staff", staff, mood)]
    one = member_moments(NAMES, [*sides, ("guests", spot, value)], real[:, 4:])
    other = unit_moments(NAMES, [*sides, ("guests", guests, value)], real[:, 4:])
    assert isinstance(evidence(one), Crossed)
    assert isinstance(evidence(other), Complete)
    text = model(TEXT, fixed_x=False)
    for errors in ("observed", "expected"):
        a, b = (fit_two_level(text, units, errors=errors) for units in (one, other))
        np.testing.assert_allclose(a.solution.theta, b.solution.theta, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(a.vcov, b.vcov, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(a.mu, b.mu, atol=1e-8)
        assert a.logl == pytest.approx(b.logl, abs=1e-6)
        assert a.chisq == pytest.approx(b.chisq, abs=1e-5)
    for mine, theirs in zip(predict_units(a), predict_units(b), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-7)


def test_the_order_of_variables_in_the_model_changes_nothing():
    units = crossed(seed=8, units=40, guests=400)
    a = fit_two_level(model(TEXT, fixed_x=False), units)
    b = fit_two_level(model("\n".join(reversed(TEXT.split("\n"))), fixed_x=False), units)
    assert a.logl == pytest.approx(b.logl, abs=1e-6)
    order = [b.units.names.index(name) for name in a.units.names]
    np.testing.assert_allclose(a.sigma_b, b.sigma_b[np.ix_(order, order)], atol=1e-5)


@pytest.mark.parametrize("holes", ["", "staff"])
def test_expected_values_are_those_of_the_normal_distribution(holes):
    parts, units = firm(holes=holes), crossed(holes=holes)
    mu, b, w = point(9, units.own)
    values, errors = expected_values(units, (mu, b, w), b, b.diagonal())
    way, rows, spread = whole(parts, mu, w)
    prior = np.kron(np.eye(12), b)
    gain = prior @ way.T @ np.linalg.inv(way @ prior @ way.T + spread)
    np.testing.assert_allclose(values.ravel(), gain @ rows, atol=1e-8)
    left = np.sqrt(np.maximum((prior - gain @ way @ prior).diagonal(), 0.0))
    np.testing.assert_allclose(errors.ravel(), left, atol=1e-6)


@pytest.mark.parametrize("holes", ["", "guests"])
def test_units_made_from_a_fit_vary_as_it_says(holes):
    """Z'y of 300 draws; its variances are known to 8 %, cross-products of all answers to 3 %."""
    units = crossed(seed=10, units=30, guests=300, holes=holes)
    fit = fit_two_level(model(TEXT, fixed_x=False), units, test=False)
    rng, part = np.random.default_rng(1), fit.units.shared[-1]
    made = [simulate_units(fit, rng).shared[-1] for _ in range(300)]
    at, gram = part.places[0], part.gram.toarray()
    expected = fit.sigma_b[at, at] * gram @ gram + fit.sigma_w[at, at] * gram
    got = np.cov(np.array([one.sums[:, 0] for one in made]).T)
    filled = expected.diagonal() > 0
    np.testing.assert_allclose((got.diagonal()[filled] / expected.diagonal()[filled]).mean(), 1.0, atol=0.06)
    np.testing.assert_allclose(got.sum(), expected.sum(), rtol=0.35)
    both = np.mean([one.scatter + one.number * np.outer(one.mean, one.mean) for one in made], axis=0)
    own = np.ix_(part.places, part.places)
    whole = np.trace(gram) * fit.sigma_b[own] + part.number * fit.sigma_w[own]
    whole += part.number * np.outer(fit.mu[part.places], fit.mu[part.places])
    np.testing.assert_allclose(both, whole, rtol=0.1)


def test_answers_are_put_together_by_what_was_answered():
    units = crossed(holes="guests")
    counts = {tuple(units.names[i] for i in part.places): part.number for part in units.shared}
    assert sum(counts.values()) == 60
    assert len(counts) == 3
    value = firm(holes="guests")[3]
    assert counts["trust",] == np.isnan(value[:, 0]).sum()
    assert units.answered.tolist()[2:] == [*(~np.isnan(value)).sum(axis=0), 11]
    assert not too_large(units)


def test_covariances_within_units_come_from_those_who_answered_both():
    """20 guests of one shop each: pairs are those of whole answers."""
    rng = np.random.default_rng(1)
    value = rng.normal(size=(400, 2)) @ np.array([[1.0, 0.7], [0.0, 0.7]])
    value[:150, 1] = np.nan
    spot = csr_array((np.ones(400), (np.arange(400), np.arange(400) % 20)), shape=(400, 20))
    units = member_moments(["a", "b"], [("guests", spot, value)], np.empty((20, 0)))
    both = unit_moments(["a", "b"], [("guests", np.arange(150, 400) % 20, value[150:])], np.empty((20, 0)))
    one = unit_moments(["a"], [("guests", np.arange(400) % 20, value[:, :1])], np.empty((20, 0)))
    assert units.within[1, 1] == pytest.approx(both.within[1, 1], rel=1e-10)
    assert units.within[0, 1] == pytest.approx(both.within[0, 1], rel=1e-10)
    assert units.within[0, 0] == pytest.approx(one.within[0, 0], rel=1e-10)


def test_units_that_share_respondents_have_no_sandwich_and_are_not_drawn_one_by_one():
    units = crossed(seed=8, units=40, guests=400)
    with pytest.raises(UnsupportedError, match="observed"):
        fit_two_level(model(TEXT, fixed_x=False), units, errors="robust")
    with pytest.raises(UnsupportedError):
        units.take(np.arange(3))


def test_more_tied_units_than_memory_are_refused(monkeypatch):
    monkeypatch.setattr("spc.sem.twolevel.membership.LARGEST", 50)
    with pytest.raises(UnsupportedError, match="at most 10"):
        Crossed.of(crossed())
