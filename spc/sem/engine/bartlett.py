"""Weights of Bartlett's factor scores: the values that make the answers to the indicators most likely."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray, cholesky
from spc.sem.engine.ram import DIRECTED, IntArray, Structure

__all__ = ["bartlett_weights"]


def bartlett_weights(
    place: Structure, covariance: FloatArray, directed: FloatArray, there: npt.NDArray[np.bool_]
) -> FloatArray:
    """Generalised least squares of what the observed causes leave of the indicators, on the loadings.

    An indicator is any observed variable that a latent one points at.

    Parameters
    ----------
    place : Structure
        Of p observed and m latent variables.
    covariance, directed : (v, v) arrays
        Implied covariances and directed effects of all variables.
    there : (p,) array of bool
        Which observed variables are answered.

    Returns
    -------
    (m, answered) array
        Of the centred answers; NaN for latent variables that these do not tell.
    """
    p, latents = place.n_observed, np.arange(place.n_observed, len(place.variables))
    weights = np.full((latents.size, int(there.sum())), np.nan)
    own, indicators = directed[:p, :p], _indicators(place)
    known_causes = [there[i] and not np.any((own[i] != 0.0) & ~there) for i in indicators]
    usable = indicators[np.array(known_causes, dtype=bool)]
    loadings = directed[np.ix_(usable, latents)]
    known = np.flatnonzero((loadings != 0.0).any(axis=0))
    if not known.size:
        return weights
    loadings = loadings[:, known]
    net = (np.eye(p) - own)[usable]
    spread = net @ covariance[:p, :p] @ net.T
    half = np.linalg.solve(cholesky(spread, "The covariance matrix of the indicators"), np.eye(len(usable)))
    design = half @ loadings
    if np.linalg.matrix_rank(design, tol=1e-8 * float(np.abs(design).max())) < known.size:
        return weights
    solved = np.linalg.lstsq(design, half @ net, rcond=None)[0]
    weights[known] = solved[:, there]
    return weights


def _indicators(place: Structure) -> IntArray:
    """Observed variables that a latent one points at."""
    rows = (place.part == DIRECTED) & (place.row < place.n_observed) & (place.column >= place.n_observed)
    return np.unique(place.row[rows])
