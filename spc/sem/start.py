"""Where the search begins: values in balanced units that any sample can start from."""

from __future__ import annotations

import numpy as np

from spc.linalg import FloatArray
from spc.sem.problem import Problem
from spc.sem.ram import COVARIANCE, DIRECTED, INTERCEPT, Structure

__all__ = ["start_values"]


def start_values(problem: Problem, *, plain: bool = False) -> FloatArray:
    """Coordinates to start from, the user's own start values respected.

    Loadings follow the centroid of each latent's indicators, residual variances take up the rest,
    regressions and covariances start at zero, covariates and means at their sample values.

    Parameters
    ----------
    problem : Problem
    plain : bool
        Start all loadings of a latent alike, and latent variances small: a second try.

    Returns
    -------
    (k,) array
    """
    place = problem.place
    values = problem.base.copy()
    loadings, variances = _measurement(place, problem, plain)
    directed, intercept = place.part == DIRECTED, place.part == INTERCEPT
    diagonal = place.diagonal
    values[directed] = loadings[directed]
    values[diagonal] = variances[place.row[diagonal]]
    _covariates(place, problem.sample.cov, values)
    if problem.sample.mean is not None:
        observed = intercept & (place.row < place.n_observed)
        values[observed] = problem.sample.mean[place.row[observed]]
    values = np.where(np.isnan(place.start), values, place.start * problem.multiplier)
    wanted = values[problem.active]
    if problem.plain:
        return np.asarray(wanted)
    return np.asarray(np.linalg.lstsq(problem.map, wanted - problem.offset, rcond=None)[0])


def _covariates(place: Structure, cov: FloatArray, values: FloatArray) -> None:
    """Put variances and covariances among observed variables that nothing points at to the sample's."""
    p = place.n_observed
    target = np.zeros(len(place.variables), dtype=bool)
    target[place.row[place.part == DIRECTED]] = True
    target[p:] = True
    rows = (place.part == COVARIANCE) & ~target[place.row] & ~target[place.column]
    values[rows] = cov[place.row[rows], place.column[rows]]


def _measurement(place: Structure, problem: Problem, plain: bool) -> tuple[FloatArray, FloatArray]:
    """Start values of all rows of A, and of all variances."""
    p, v = place.n_observed, len(place.variables)
    loadings = problem.base.copy()
    axis = np.full(loadings.size, 0.7) if plain else _axes(place, problem.sample.cov)
    marker = np.flatnonzero(place.loading & (place.free < 0) & (loadings != 0))[::-1]
    unit, variances = np.ones(v), np.full(v, 0.5)
    unit[place.column[marker]] = loadings[marker] / axis[marker]
    variances[p:] = 1.0
    variances[place.column[marker]] = 0.05 if plain else 1.0 / unit[place.column[marker]] ** 2
    free = place.loading & (place.free >= 0)
    loadings[free] = (axis * unit[place.column])[free]
    return loadings, variances


def _axes(place: Structure, cov: FloatArray) -> FloatArray:
    """Rough standardised loading of each row of the measurement part, by the centroid method, signs included.

    The indicators of a latent are summed, turned towards its first one; a loading is the correlation with the sum.
    """
    axis = np.full(place.part.size, 0.7)
    rows = np.flatnonzero(place.loading & (place.row < place.n_observed))
    item, latent = place.row[rows], place.column[rows]
    first = np.zeros(len(place.variables), dtype=np.intp)
    first[latent[::-1]] = item[::-1]
    weight = np.zeros((place.n_observed, len(place.variables)))
    weight[item, latent] = np.where(cov[item, first[latent]] < 0, -1.0, 1.0)
    covariance = cov @ weight
    spread = np.einsum("ij,ij->j", weight, covariance)[latent]
    loading = covariance[item, latent] / np.sqrt(np.maximum(spread, 1e-12))
    axis[rows] = np.where(loading < 0, -1.0, 1.0) * np.clip(0.95 * np.abs(loading), 0.2, 0.95)
    return axis
