"""What a two-level fit says of clusters: shares of variance between them, and scores of their latent variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from spc.errors import UnsupportedError, UsageError
from spc.linalg import FloatArray
from spc.sem.engine.bartlett import bartlett_weights
from spc.sem.engine.ram import matrices
from spc.sem.twolevel.group import LevelGroup, Sample
from spc.sem.twolevel.incomplete import Answered
from spc.sem.twolevel.likelihood import SizeClasses, UnitMoments

if TYPE_CHECKING:
    from spc.sem.result import Part, SemFit
    from spc.sem.twolevel.model import TwoLevel

__all__ = ["cluster_scores", "given_means", "icc", "require_levels"]


def given_means(
    units: UnitMoments,
    mu: FloatArray,
    sigma_b: FloatArray,
    sigma_w: FloatArray,
    cross: FloatArray,
    variance: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Expectation of quantities of units, given all means and outcomes that a unit has: empirical Bayes estimates.

    Parameters
    ----------
    units : UnitMoments
    mu : (p,) array
    sigma_b, sigma_w : (p, p) arrays
    cross : (m, p) array
        Covariances of the quantities with the units' values.
    variance : (m,) array
        Of the quantities.

    Returns
    -------
    apart : (J, m) array
        What is expected beyond the mean of all units.
    errors : (J, m) array
        Standard deviations around it, the moments taken as known.
    """
    classes, hold = _holds(units, mu, sigma_b, sigma_w)
    pull = cross @ hold
    left = variance - np.einsum("gij,ij->gi", pull, cross)
    apart = np.matmul(pull[classes.of], _toward(units, mu)[:, :, None])[:, :, 0]
    return apart, np.sqrt(np.maximum(left, 0.0))[classes.of]


def _holds(
    units: UnitMoments, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray
) -> tuple[SizeClasses, FloatArray]:
    """Information of the values of a unit on its mean (C, p, p), by classes of units of a size."""
    classes = SizeClasses.find(units)
    here = classes.present
    both = here[:, :, None] & here[:, None, :]
    joint = np.where(both, sigma_b + sigma_w * classes.share[:, :, None], 0.0)
    joint += np.where(np.eye(len(mu)) > 0, (~here)[:, :, None], 0.0)
    return classes, np.where(both, np.linalg.inv(joint), 0.0)


def _toward(units: UnitMoments, mu: FloatArray) -> FloatArray:
    return np.where(units.present, units.means - mu, 0.0)


def icc(fit: SemFit) -> pd.Series:
    """Share of the variance of each variable of rows that lies between clusters, from the free moments.

    Parameters
    ----------
    fit : SemFit
        Of a two-level model.

    Returns
    -------
    Series
        Indexed by variable, by group and variable where there are groups; 0 for variables of rows alone, which the
        model lets differ within clusters only.

    Raises
    ------
    UnsupportedError
        The model has one level.

    Examples
    --------
    >>> from spc.sem import fit
    >>> rng = np.random.default_rng(1)
    >>> shop = np.repeat(np.arange(60), 10)
    >>> mood = 0.5 * rng.normal(size=60)[shop] + rng.normal(size=600)
    >>> sales = 0.4 * mood + rng.normal(size=60)[shop] + rng.normal(size=600)
    >>> rows = pd.DataFrame({"shop": shop, "mood": mood, "sales": sales})
    >>> icc(fit("level: 1; sales ~ mood; level: 2; sales ~ mood", rows, cluster="shop")).round(1).to_dict()
    {'sales': 0.5, 'mood': 0.2}
    """
    parts = {group.sample.label: _icc(group.sample) for group in require_levels(fit).groups}
    if len(parts) == 1:
        return next(iter(parts.values()))
    both: pd.Series = pd.concat(parts, names=["group", "variable"])
    return both


def _icc(sample: Sample) -> pd.Series:
    own, best = sample.clusters.within, sample.best
    inside, between = best.sigma_w.diagonal()[own], best.sigma_b.diagonal()[own]
    names = [sample.clusters.names[i] for i in own]
    return pd.Series(between / (inside + between), index=pd.Index(names, name="variable"), name="icc")


def cluster_scores(fit: SemFit, *, method: Literal["regression", "bartlett"] = "regression") -> pd.DataFrame:
    """Scores of the latent variables of clusters, from all rows and variables of a cluster.

    Parameters
    ----------
    fit : SemFit
        Of a two-level model.
    method : {"regression", "bartlett"}
        The expected value given all that is known of a cluster: small clusters are drawn towards what the model expects
        of them, an empirical Bayes estimate. Or Bartlett's weights of the values that are expected of a cluster, as in
        lavaan.

    Returns
    -------
    DataFrame
        One row a cluster, named as in the data, under its group where there are groups: each latent variable of level
        2, then its standard error with ``_error`` behind the name, the parameters taken as known. Bartlett's of factors
        of factors are missing: they have no indicators.

    Raises
    ------
    UnsupportedError
        The model has one level, or no latent variable between clusters.
    UsageError
        Another method.

    Examples
    --------
    >>> from spc.sem import fit
    >>> rng = np.random.default_rng(1)
    >>> shop = np.repeat(np.arange(50), 8)
    >>> climate, mood = rng.normal(size=50), rng.normal(size=400)
    >>> noise = [rng.normal(size=400) + 0.6 * rng.normal(size=50)[shop] for _ in range(3)]
    >>> items = {f"x{i}": climate[shop] + mood + one for i, one in enumerate(noise)}
    >>> text = "level: 1; f =~ x0 + x1 + x2; level: 2; g =~ x0 + x1 + x2"
    >>> scores = cluster_scores(fit(text, pd.DataFrame(items).assign(shop=shop), cluster="shop"))
    >>> bool(np.corrcoef(scores["g"], climate)[0, 1] > 0.8)
    True
    """
    if method not in ("regression", "bartlett"):
        raise UsageError(f"method={method!r}: expected 'regression' or 'bartlett'.")
    levels = require_levels(fit)
    x = fit.system.coordinates(fit.solution.theta)
    each = {
        group.sample.label: _cluster_scores(group, part, x, fit.options.cluster or "cluster", method == "bartlett")
        for group, part in zip(levels.groups, fit.parts[1::2], strict=True)
    }
    if len(each) == 1:
        return next(iter(each.values()))
    return pd.concat(each, names=["group"])


def _cluster_scores(group: LevelGroup, part: Part, x: FloatArray, cluster: str, bartlett: bool) -> pd.DataFrame:
    place, at, n = part.problem.place, part.point.at, part.problem.place.n_observed
    if not place.latents:
        raise UnsupportedError("The model has no latent variable between clusters, so there is nothing to score.")
    clusters = group.sample.clusters
    unit, p = part.problem.scale, len(clusters.names)
    cov = at.covariance * np.outer(unit, unit)
    cross = np.zeros((len(place.latents), p))
    cross[:, clusters.between] = cov[n:, :n]
    if bartlett:
        weights = np.zeros(cross.shape)
        weights[:, clusters.between] = _bartlett(part, x)
        apart, errors = _weighed_data(group, x, weights, cross, cov.diagonal()[n:])
    else:
        apart, errors = _given_data(group, x, cross, cov.diagonal()[n:])
    index = pd.Index(clusters.keys or range(1, len(apart) + 1), name=cluster)
    scores = pd.DataFrame(apart + at.mean[n:] * unit[n:], index=index, columns=list(place.latents))
    return scores.join(pd.DataFrame(errors, index=index, columns=[f"{name}_error" for name in place.latents]))


def _given_data(
    group: LevelGroup, x: FloatArray, cross: FloatArray, variance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """:func:`given_means` at the moments that the model implies, from every answer where some are missing."""
    spot, clusters = group.spot(x), group.sample.clusters
    if clusters.answers is None:
        return given_means(clusters.units, spot.mu, spot.sigma_b, spot.sigma_w, cross, variance)
    found = Answered.at(clusters.answers, spot.mu, spot.sigma_b, spot.sigma_w)
    assert found is not None
    left = variance - np.einsum("mi,jik,mk->jm", cross, found.hold, cross)
    return found.pull @ cross.T, np.sqrt(np.maximum(left, 0.0))


def _bartlett(part: Part, x: FloatArray) -> FloatArray:
    """Weights (m, n) of the values of a cluster, in the user's units."""
    problem = part.problem
    place, n = problem.place, problem.place.n_observed
    directed = matrices(place, problem.values(x))[0]
    weights = bartlett_weights(place, part.point.at.covariance, directed, np.ones(n, dtype=bool))
    return np.asarray(weights * problem.scale[n:, None] / problem.scale[:n])


def _weighed_data(
    group: LevelGroup, x: FloatArray, weights: FloatArray, cross: FloatArray, variance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Weights (m, p) of what is expected of each cluster, and the deviations (J, m) from the latent variables."""
    spot, clusters = group.spot(x), group.sample.clusters
    if clusters.answers is None:
        classes, hold = _holds(clusters.units, spot.mu, spot.sigma_b, spot.sigma_w)
        hold, toward = hold[classes.of], _toward(clusters.units, spot.mu)
        pull = np.einsum("jik,jk->ji", hold, toward)
    else:
        found = Answered.at(clusters.answers, spot.mu, spot.sigma_b, spot.sigma_w)
        assert found is not None
        pull, hold = found.pull, found.hold
    turn = weights @ spot.sigma_b
    left = variance + np.einsum("mi,jik,mk->jm", turn, hold, turn - 2.0 * cross)
    return pull @ turn.T, np.sqrt(np.maximum(left, 0.0))


def require_levels(fit: SemFit) -> TwoLevel:
    """What a fit of two levels knows of them.

    Raises
    ------
    UnsupportedError
        The model has one level.
    """
    if fit.levels is None:
        raise UnsupportedError("This is for models of two levels: write level: 1 and level: 2, and give cluster=.")
    return fit.levels
