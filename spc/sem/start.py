"""Where the search begins: values in balanced units that any sample can start from."""

from __future__ import annotations

import numpy as np

from spc.linalg import FloatArray
from spc.sem.problem import Problem
from spc.sem.ram import COVARIANCE, DIRECTED, INTERCEPT, Structure
from spc.spec.table import Model

__all__ = ["start_values"]


def start_values(problem: Problem, model: Model, *, plain: bool = False) -> FloatArray:
    """Coordinates to start from, the user's own start values respected.

    Loadings follow the centroid of each latent's indicators, residual variances take up the rest,
    regressions and covariances start at zero, covariates and means at their sample values.

    Parameters
    ----------
    problem : Problem
    model : Model
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
    diagonal = (place.part == COVARIANCE) & (place.row == place.column)
    values[directed] = loadings[directed]
    values[diagonal] = variances[place.row[diagonal]]
    _covariates(place, problem.sample.cov, values)
    if problem.sample.mean is not None:
        observed = intercept & (place.row < place.n_observed)
        values[observed] = problem.sample.mean[place.row[observed]]
    given = np.array([row.start for row in model.parameters], dtype=np.float64)
    values = np.where(np.isnan(given), values, given * problem.multiplier)
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
    p = place.n_observed
    loadings = problem.base.copy()
    variances = np.full(len(place.variables), 0.5)
    axis = np.full(loadings.size, 0.7) if plain else _axes(place, problem.sample.cov)
    held = place.loading & (place.free < 0) & (loadings != 0)
    for latent in range(p, len(variances)):
        rows = np.flatnonzero(place.loading & (place.column == latent))
        free = rows[place.free[rows] >= 0]
        marker = rows[held[rows]]
        unit, variance = 1.0, 1.0
        if marker.size:
            unit = problem.base[marker[0]] / axis[marker[0]]
            variance = 0.05 if plain else 1.0 / unit**2
        loadings[free] = axis[free] * unit
        variances[latent] = variance
    return loadings, variances


def _axes(place: Structure, cov: FloatArray) -> FloatArray:
    """Rough standardised loading of each row of the measurement part, by the centroid method, signs included.

    The indicators of a latent are summed, turned towards its first one; a loading is the correlation with the sum.
    """
    axis = np.full(place.part.size, 0.7)
    rows = np.flatnonzero(place.loading & (place.row < place.n_observed))
    item, latent = place.row[rows], place.column[rows]
    first = {int(k): int(i) for i, k in zip(item[::-1], latent[::-1], strict=True)}
    lead = np.array([first[int(k)] for k in latent], dtype=np.intp)
    weight = np.zeros((place.n_observed, len(place.variables)))
    weight[item, latent] = np.where(cov[item, lead] < 0, -1.0, 1.0)
    covariance = cov @ weight
    spread = np.einsum("ij,ij->j", weight, covariance)[latent]
    loading = covariance[item, latent] / np.sqrt(np.maximum(spread, 1e-12))
    axis[rows] = np.where(loading < 0, -1.0, 1.0) * np.clip(0.95 * np.abs(loading), 0.2, 0.95)
    return axis
