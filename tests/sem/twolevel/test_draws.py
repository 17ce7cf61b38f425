import numpy as np
import pytest

from spc.errors import UsageError
from spc.resample import replicate_rng
from spc.sem.twolevel.draws import parametric_bootstrap, predict_units, simulate_units, theta_draws
from spc.sem.twolevel.fit import fit_two_level
from spc.sem.twolevel.likelihood import unit_moments
from spc.spec import model


def one_side(units=50, n=5, seed=1, noise=1.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=units)
    y = 0.5 * x + rng.normal(0, 0.7, units)
    code = np.repeat(np.arange(units), n)
    rows = np.column_stack([x, y])[code] + rng.normal(0, noise, (code.size, 2))
    return unit_moments(["x", "y"], [("people", code, rows)], np.empty((units, 0)))


@pytest.fixture(scope="module")
def fit():
    return fit_two_level(model("y ~ x", fixed_x=False), one_side())


def test_draws_of_links_have_the_mean_and_spread_of_the_fit(fit):
    """20,000 draws: the mean to four Monte Carlo errors, the spread to 3 %."""
    draws = theta_draws(fit, 20_000, seed=3)
    error = np.sqrt(fit.vcov[0, 0])
    assert draws[:, 0].mean() == pytest.approx(fit.solution.theta[0], abs=4 * error / np.sqrt(20_000))
    assert draws[:, 0].std() == pytest.approx(error, rel=0.03)
    assert (draws[:, 1:] > 0).all()
    wide = theta_draws(fit, 20_000, seed=3, freedom=4.0)
    assert np.quantile(wide[:, 0], 0.99) > np.quantile(draws[:, 0], 0.99)
    with pytest.raises(UsageError):
        theta_draws(fit, 1, seed=3)


def test_made_units_have_the_fitted_moments(fit):
    """400 firms of the fit: mean cross-products within, and covariances of means, to 5 Monte Carlo errors."""
    pooled, means = [], []
    for i in range(400):
        made = simulate_units(fit, replicate_rng(9, i))
        pooled.append(made.pooled / made.freedom[0])
        means.append(np.cov(made.means.T, bias=True) * len(made.means) / (len(made.means) - 1))
    for values, expected in ((pooled, fit.sigma_w), (means, fit.sigma_b + fit.sigma_w / 5)):
        error = np.std(values, axis=0) / np.sqrt(400)
        assert (np.abs(np.mean(values, axis=0) - expected) < 5 * error).all()


def test_the_bootstrap_is_the_same_for_the_same_seed(fit):
    one, again = parametric_bootstrap(fit, 20, seed=4), parametric_bootstrap(fit, 20, seed=4)
    np.testing.assert_array_equal(one.values, again.values)
    assert one.names == fit.model.parameters.names
    assert one.values.shape == (20, 3)


def test_the_value_of_a_unit_is_the_regression_on_its_means(fit):
    """In a balanced design: sigma_b (sigma_b + sigma_w / n)^-1, by hand."""
    values, errors = predict_units(fit)
    pull = fit.sigma_b @ np.linalg.inv(fit.sigma_b + fit.sigma_w / 5)
    by_hand = fit.mu + (fit.units.means - fit.mu) @ pull.T
    np.testing.assert_allclose(values, by_hand)
    np.testing.assert_allclose(errors[0] ** 2, np.diag(fit.sigma_b - pull @ fit.sigma_b))
