import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.errors import DataError
from spc.linalg import vech
from spc.sem.twolevel.likelihood import SizeClasses, curvature, level2, require_replies, unit_moments, unit_scores

NAMES = ["a", "b", "c", "d", "z"]


def draw(seed, units=12):
    """Two sides of two variables, sizes 0 to 4, an outcome missing now and then."""
    rng = np.random.default_rng(seed)
    sides = []
    for name in ("staff", "guests"):
        code = np.repeat(np.arange(units), rng.integers(0, 5, units))
        sides.append((name, code, rng.normal(3, 1, (code.size, 2)) + rng.normal(0, 0.7, (units, 2))[code]))
    outcome = rng.normal(10, 2, (units, 1))
    outcome[rng.random(units) < 0.2] = np.nan
    return sides, outcome


def parameters(seed):
    rng = np.random.default_rng(seed)
    root, inner = rng.normal(0, 0.5, (5, 5)), rng.normal(0, 0.5, (5, 5))
    own = np.kron(np.eye(3), np.ones((2, 2)))[:5, :5]
    own[4] = own[:, 4] = 0
    return rng.normal(3, 1, 5), root @ root.T + np.eye(5), (inner @ inner.T + np.eye(5)) * own


def direct(sides, outcome, mu, sigma_b, sigma_w):
    """Minus twice the log-likelihood from the joint covariance of all answers of each unit, without any shortcut."""
    total = 0.0
    for j in range(len(outcome)):
        loading, values = [], []
        for s, (_, code, rows) in enumerate(sides):
            for row in rows[code == j]:
                loading.append((2 * s, 2 * s + 1))
                values.append(row)
        pick = [i for pair in loading for i in pair]
        block = np.kron(np.eye(len(loading)), np.ones((2, 2)))
        own = block * sigma_w[np.ix_(pick, pick)] if pick else np.zeros((0, 0))
        answers = np.concatenate([*values, outcome[j]]) if values else outcome[j]
        pick = [*pick, 4]
        joint = sigma_b[np.ix_(pick, pick)]
        joint[:-1, :-1] += own
        here = ~np.isnan(answers)
        apart, joint = (answers - mu[pick])[here], joint[np.ix_(here, here)]
        if here.any():
            total += np.linalg.slogdet(joint)[1] + apart @ np.linalg.solve(joint, apart)
    return total


def value(sides, outcome, mu, sigma_b, sigma_w):
    units = unit_moments(NAMES, sides, outcome)
    return level2(units, SizeClasses.find(units), mu, sigma_b, sigma_w).value


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_differences_of_the_value_are_those_of_the_joint_density_of_all_answers(seed):
    sides, outcome = draw(seed)
    one, other = parameters(seed), parameters(seed + 1)
    found = 2 * (value(sides, outcome, *one) - value(sides, outcome, *other))
    assert found == pytest.approx(direct(sides, outcome, *one) - direct(sides, outcome, *other), rel=1e-9)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_the_order_of_rows_and_units_changes_nothing(seed):
    sides, outcome = draw(seed)
    rng = np.random.default_rng(seed)
    order = [rng.permutation(len(code)) for _, code, _ in sides]
    number = rng.permutation(len(outcome))
    place = np.argsort(number)
    moved = [(name, place[code[at]], rows[at]) for (name, code, rows), at in zip(sides, order, strict=True)]
    at = parameters(seed)
    assert value(moved, outcome[number], *at) == pytest.approx(value(sides, outcome, *at), rel=1e-10)


def test_units_alike_share_one_class():
    code = np.repeat(np.arange(20), 3)
    rows = np.random.default_rng(1).normal(size=(60, 2))
    units = unit_moments(["a", "b", "z"], [("staff", code, rows)], np.arange(20.0)[:, None])
    assert len(SizeClasses.find(units).number) == 1


@pytest.fixture
def point():
    sides, outcome = draw(3, units=30)
    units = unit_moments(NAMES, sides, outcome)
    mu, sigma_b, sigma_w = parameters(3)
    return units, SizeClasses.find(units), mu, sigma_b, sigma_w


def directions():
    rng = np.random.default_rng(5)
    own = np.kron(np.eye(3), np.ones((2, 2)))[:5, :5]
    own[4] = own[:, 4] = 0
    b, w = rng.normal(size=(2, 5, 5))
    return rng.normal(size=5), b + b.T, (w + w.T) * own


def slope(units, classes, mu, sigma_b, sigma_w, along):
    at = level2(units, classes, mu, sigma_b, sigma_w)
    return at.mu @ along[0] + np.sum(at.sigma_b * along[1]) + np.sum(at.sigma_w * along[2])


def test_gradient_against_finite_differences(point):
    units, classes, *at = point
    along, h = directions(), 1e-6
    ahead, behind = (
        level2(units, classes, *(a + sign * h * d for a, d in zip(at, along, strict=True))).value for sign in (1, -1)
    )
    assert slope(*point, along) == pytest.approx((ahead - behind) / (2 * h), rel=1e-7)


def test_curvature_against_finite_differences(point):
    units, classes, *at = point
    along, h = directions(), 1e-5
    found = curvature(units, classes, level2(*point), expected=False)
    d, b, w = along[0], along[1].ravel(), along[2].ravel()
    exact = d @ found.mu @ d + b @ found.b @ b + w @ found.w @ w
    exact += 2 * (d @ found.mu_b @ b + d @ found.mu_w @ w + b @ found.bw @ w)
    ahead, behind = (
        slope(units, classes, *(a + sign * h * s for a, s in zip(at, along, strict=True)), along) for sign in (1, -1)
    )
    assert exact == pytest.approx((ahead - behind) / (2 * h), rel=1e-7)


def test_scores_of_units_add_up_to_the_gradient(point):
    units, classes, mu, _sigma_b, _sigma_w = point
    at = level2(*point)
    of_mu, of_b, of_w = unit_scores(units, classes, at, mu)
    np.testing.assert_allclose(of_mu.sum(axis=0), at.mu, atol=1e-9)
    np.testing.assert_allclose(of_b.sum(axis=0).reshape(5, 5), at.sigma_b, atol=1e-9)
    np.testing.assert_allclose(of_w.sum(axis=0).reshape(5, 5), at.sigma_w, atol=1e-9)


def test_expected_curvature_is_the_variance_of_the_scores():
    """20,000 units drawn from the model: the mean of squared scores along a direction, to 4 Monte Carlo errors."""
    rng = np.random.default_rng(8)
    mu, sigma_b, sigma_w = parameters(8)
    units_, code = 20_000, np.repeat(np.arange(20_000), 3)
    values = mu + rng.standard_normal((units_, 5)) @ np.linalg.cholesky(sigma_b).T
    root = np.linalg.cholesky(sigma_w[:4, :4])
    noise = rng.standard_normal((code.size, 4)) @ root.T
    sides = [("staff", code, values[code, :2] + noise[:, :2]), ("guests", code, values[code, 2:4] + noise[:, 2:])]
    units = unit_moments(NAMES, sides, values[:, 4:])
    classes = SizeClasses.find(units)
    at = level2(units, classes, mu, sigma_b, sigma_w)
    d, b, w = (a.ravel() for a in directions())
    squares = sum(s @ a for s, a in zip(unit_scores(units, classes, at, mu), (d, b, w), strict=True)) ** 2
    found = curvature(units, classes, at, expected=True)
    expected = (d @ found.mu @ d + b @ found.b @ b + w @ found.w @ w + 2 * b @ found.bw @ w) / units_
    assert squares.mean() == pytest.approx(expected, abs=4 * squares.std() / np.sqrt(units_))


def test_a_matrix_that_is_not_positive_definite_has_no_value(point):
    units, classes, mu, sigma_b, sigma_w = point
    assert level2(units, classes, mu, sigma_b - 50 * np.eye(5), sigma_w) is None
    assert level2(units, classes, mu, sigma_b, -sigma_w) is None


def test_moments_of_units_are_those_of_pandas():
    sides, outcome = draw(4)
    units = unit_moments(NAMES, sides, outcome)
    _, code, rows = sides[0]
    for j in np.unique(code):
        own = rows[code == j]
        np.testing.assert_allclose(units.means[j, :2], own.mean(axis=0))
        np.testing.assert_allclose(units.scatter[j, :2, :2], (own - own.mean(axis=0)).T @ (own - own.mean(axis=0)))
    assert np.isnan(units.means[np.bincount(code, minlength=12) == 0, :2]).all()
    assert vech(units.scatter[:, 2:, :2].sum(axis=0)[:2]).sum() == 0


def test_one_respondent_everywhere_is_refused_by_the_name_of_the_side():
    code, rows = np.arange(30), np.random.default_rng(2).normal(size=(30, 2))
    units = unit_moments(["a", "b"], [("staff", code, rows)], np.empty((30, 0)))
    with pytest.raises(DataError, match="staff"):
        require_replies(units)
