"""Where the search begins: values in balanced units that any sample can start from."""

from __future__ import annotations

import numpy as np

from spc.linalg import FloatArray
from spc.sem.problem import Problem
from spc.sem.ram import COVARIANCE, DIRECTED, INTERCEPT, IntArray, Structure
from spc.spec.table import Model

__all__ = ["start_values"]


def start_values(problem: Problem, model: Model, *, plain: bool = False) -> FloatArray:
    """Coordinates to start from, the user's own start values respected.

    Loadings follow the first principal axis of each latent's indicators, residual variances take up the rest,
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
    for latent in range(p, len(place.variables)):
        rows = np.flatnonzero(place.loading & (place.column == latent))
        own = np.flatnonzero((place.part == COVARIANCE) & (place.row == latent) & (place.column == latent))
        axis = _axis(problem.sample.cov, place.row[rows], p, plain)
        held = rows[place.free[rows] < 0]
        held = held[problem.base[held] != 0]
        unit, variance = 1.0, 1.0
        if held.size:
            first = int(np.flatnonzero(rows == held[0])[0])
            unit = problem.base[held[0]] / axis[first]
            variance = 0.05 if plain else 1.0 / unit**2
        elif own.size and place.free[own[0]] < 0 and problem.base[own[0]] > 0:
            variance = problem.base[own[0]]
            unit = 1.0 / np.sqrt(variance)
        free = place.free[rows] >= 0
        loadings[rows[free]] = axis[free] * unit
        variances[latent] = variance
    return loadings, variances


def _axis(cov: FloatArray, indicators: IntArray, p: int, plain: bool) -> FloatArray:
    """Rough standardised loadings of the indicators, signs included."""
    axis = np.full(indicators.size, 0.7)
    seen = np.flatnonzero(indicators < p)
    if plain or seen.size < 2:
        return axis
    block = cov[np.ix_(indicators[seen], indicators[seen])]
    root = np.sqrt(block.diagonal())
    vectors = np.linalg.eigh(block / np.outer(root, root))[1]
    first = vectors[:, -1] * np.sqrt(seen.size) * 0.7
    if first[0] < 0:
        first = -first
    sign = np.where(first < 0, -1.0, 1.0)
    axis[seen] = sign * np.clip(np.abs(first), 0.2, 0.95) * root
    return axis
