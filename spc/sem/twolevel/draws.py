"""After a two-level fit: draws of its parameters, units made from it, and what it says about each unit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from types import MappingProxyType

import numpy as np

from spc.errors import EstimationError, UsageError
from spc.linalg import FloatArray, one_blas_thread, with_covariance
from spc.resample import progress, replicate_rng
from spc.results import Replicates
from spc.sem.twolevel.answers import AnswerMoments, expected_from_answers, simulated_answers
from spc.sem.twolevel.fit import TwoLevelFit, fit_two_level
from spc.sem.twolevel.likelihood import UnitMoments
from spc.sem.twolevel.membership import expected_values
from spc.sem.twolevel.membership_moments import MemberMoments, simulated
from spc.sem.twolevel.scores import given_means
from spc.sem.twolevel.simulated import made_scatter, made_units

__all__ = [
    "bootstrap_chisq", "parametric_bootstrap", "predict_units", "simulate_units", "theta_draws", "unit_bootstrap",
]  # fmt: skip

_FARTHEST = 50.0
"""Largest logarithm of a factor on a drawn variance."""


def theta_draws(fit: TwoLevelFit, n: int, seed: int, freedom: float = np.inf) -> FloatArray:
    """Draw the free parameters from their large-sample distribution.

    Variances are drawn on the scale of their logarithm, so that they stay positive; parameters at a bound stay there.

    Parameters
    ----------
    fit : TwoLevelFit
    n : int
    seed : int
    freedom : float
        Degrees of freedom of Student's t in place of the normal distribution, for few units.

    Returns
    -------
    (n, q) array
    """
    if n < 2:
        raise UsageError(f"{n} draws; give at least 2, such as 4000.")
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    theta, place = np.array(fit.solution.theta), fit.problem.place
    variance = np.zeros(theta.size, dtype=bool)
    variance[place.free[place.diagonal & (place.free >= 0)]] = True
    logged = variance & (theta > 0.0)
    slope = np.where(logged, 1.0 / np.where(logged, theta, 1.0), 1.0)
    cov = np.nan_to_num(fit.vcov) * np.outer(slope, slope)
    standard = rng.standard_normal((n, theta.size))
    if np.isfinite(freedom):
        standard *= np.sqrt(freedom / rng.chisquare(freedom, (n, 1)))
    moved = with_covariance(standard, cov)
    factor = np.exp(np.clip(np.where(logged, moved, 0.0), -_FARTHEST, _FARTHEST))
    return np.asarray(np.where(logged, theta * factor, theta + moved))


def simulate_units(fit: TwoLevelFit, rng: np.random.Generator) -> UnitMoments:
    """Units of the same sizes, made as the fit says.

    Their means are normal with the fitted covariances; cross-products within units are Wishart.
    """
    units = fit.units
    if isinstance(units, AnswerMoments):
        return simulated_answers(units, (fit.mu, fit.sigma_b, fit.sigma_w), rng)
    if isinstance(units, MemberMoments):
        return made_scatter(simulated(units, fit.mu, fit.sigma_b, fit.sigma_w, rng), fit.sigma_w, rng)
    return made_units(units, fit.mu, fit.sigma_b, fit.sigma_w, rng)


def parametric_bootstrap(fit: TwoLevelFit, draws: int, seed: int) -> Replicates:
    """Fit the model again and again to units made from the fit.

    Parameters
    ----------
    fit : TwoLevelFit
    draws : int
    seed : int
        Replicate i uses ``SeedSequence(seed, spawn_key=(i,))``.

    Returns
    -------
    Replicates
        Of the free parameters.

    Raises
    ------
    EstimationError
        Fewer than half of the replicates could be fitted.
    """
    return _replicates(fit, lambda rng: simulate_units(fit, rng), draws, seed, "Parametric bootstrap")


def _replicates(
    fit: TwoLevelFit, made: Callable[[np.random.Generator], UnitMoments], draws: int, seed: int, what: str
) -> Replicates:
    """Free parameters of the model, fitted to units that are made anew each time."""
    kept: list[FloatArray] = []
    failures: Counter[str] = Counter()
    refit = partial(fit_two_level, fit.model, test=False, boundary=fit.boundary, known=fit.known, within=fit.within)
    with one_blas_thread():
        for i in progress(range(draws), what, draws):
            try:
                kept.append(refit(made(replicate_rng(seed, i))).solution.theta)
            except EstimationError as error:
                failures[type(error).__name__] += 1
    if 2 * len(kept) < draws:
        raise EstimationError(
            f"{draws - len(kept)} of {draws} bootstrap replicates could not be fitted. "
            "The model asks more than these units can give: use fewer constructs or links."
        )
    return Replicates(np.array(kept), fit.model.parameters.names, MappingProxyType(dict(failures)), seed)


def bootstrap_chisq(fit: TwoLevelFit, draws: int, seed: int) -> FloatArray:
    """Chi-squares of units made from a fit, whose chain is true there: what the fit's own is compared with.

    Parameters
    ----------
    fit : TwoLevelFit
    draws : int
    seed : int
        Replicate i uses ``SeedSequence(seed, spawn_key=(i,))``.

    Returns
    -------
    (n,) array
        Replicates that could not be fitted, or have no test, are left out.
    """
    found: list[float] = []
    with one_blas_thread():
        for i in progress(range(draws), "Bootstrap of the test of fit", draws):
            try:
                made = simulate_units(fit, replicate_rng(seed, i))
                again = fit_two_level(fit.model, made, boundary=fit.boundary, known=fit.known, within=fit.within)
            except EstimationError:
                continue
            found.append(again.chisq * again.scaling)
    return np.array([value for value in found if np.isfinite(value)])


def unit_bootstrap(fit: TwoLevelFit, draws: int, seed: int) -> Replicates:
    """Fit the model again and again to units drawn from those there are, with their respondents.

    Parameters
    ----------
    fit : TwoLevelFit
    draws : int
    seed : int
        Replicate i uses ``SeedSequence(seed, spawn_key=(i,))``.

    Raises
    ------
    EstimationError
        Fewer than half of the replicates could be fitted.
    UnsupportedError
        Units share respondents.
    """
    number = len(fit.units.counts)

    def drawn(rng: np.random.Generator) -> UnitMoments:
        return fit.units.take(rng.integers(0, number, number))

    return _replicates(fit, drawn, draws, seed, "Bootstrap of units")


def predict_units(fit: TwoLevelFit) -> tuple[FloatArray, FloatArray]:
    """Each unit's own values, drawn towards what the model expects of it by as much as they are uncertain.

    The empirical Bayes estimate ``mu + sigma_b V^-1 (mean - mu)`` of the variables of the model, from all sides and
    outcomes the unit has; then those of the constructs whose loadings hold within units, with a mean of zero.

    Returns
    -------
    values : (J, p + m) array
    errors : (J, p + m) array
        Standard deviations around them, the fit taken as known.
    """
    moments, mean = (fit.mu, fit.sigma_b, fit.sigma_w), fit.mu
    cross, variance = fit.sigma_b, fit.sigma_b.diagonal()
    if fit.latent is not None:
        cross, variance = np.vstack([cross, fit.latent.cross]), np.append(variance, fit.latent.between)
        mean = np.append(mean, np.zeros(len(fit.latent.names)))
    if isinstance(fit.units, MemberMoments):
        apart, errors = expected_values(fit.units, moments, cross, variance)
    elif isinstance(fit.units, AnswerMoments):
        apart, errors = expected_from_answers(fit.units, moments, cross, variance)
    else:
        apart, errors = given_means(fit.units, *moments, cross, variance)
    return mean + apart, errors
