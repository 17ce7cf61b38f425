"""What a two-level model is compared with: free moments of both levels, and variables that are independent on both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spc.errors import NonConvergenceError
from spc.linalg import FloatArray
from spc.sem.engine.ram import IntArray
from spc.sem.twolevel.data import Clusters
from spc.sem.twolevel.inference import free_moments, trace_of
from spc.sem.twolevel.maps import Linear
from spc.sem.twolevel.search import Evidence, Objective, search

__all__ = ["Covariates", "Independence", "Saturated", "free_map", "independence", "saturated"]

BoolArray = npt.NDArray[np.bool_]
FLOOR, HARDLY = 1e-6, 0.01


@dataclass(frozen=True, eq=False)
class Saturated:
    """The best free moments, in the units of the likelihood.

    Attributes
    ----------
    data : Evidence
    mu, sigma_b, sigma_w : (p,), (p, p), (p, p) arrays
    value : float
        Minus the log-likelihood, up to the constant.
    noise : (p,) array
        What chance alone adds to the variance of a typical mean of a cluster; one for outcomes of clusters.
    """

    data: Evidence
    mu: FloatArray
    sigma_b: FloatArray
    sigma_w: FloatArray
    value: float
    noise: FloatArray

    @property
    def varies(self) -> BoolArray:
        """Variables whose means of clusters differ by more than chance, if only by a hundredth more (p,)."""
        return np.asarray(self.sigma_b.diagonal() > HARDLY * self.noise)

    @cached_property
    def proper_b(self) -> FloatArray:
        """``sigma_b`` with every variance a little above zero and no correlation of one."""
        variance = np.maximum(self.sigma_b.diagonal(), FLOOR * self.noise)
        matrix = self.sigma_b.copy()
        np.fill_diagonal(matrix, variance)
        root = np.sqrt(variance)
        values, vectors = np.linalg.eigh(matrix / np.outer(root, root))
        if values[0] < FLOOR:
            matrix = vectors * np.maximum(values, FLOOR) @ vectors.T * np.outer(root, root)
        return np.asarray(0.5 * (matrix + matrix.T))


def saturated(clusters: Clusters, scale: FloatArray) -> Saturated:
    """Free moments of both levels; variables of rows alone do not differ among clusters but by chance.

    Parameters
    ----------
    clusters : Clusters
    scale : (p,) array
        Units of the likelihood.

    Raises
    ------
    NonConvergenceError
        The search did not end.
    """
    members = np.sort(clusters.between)
    data, rough = clusters.evidence(scale), clusters.rough(scale)
    found = free_moments(data, clusters.own, members, rough.mu, rough.sigma_b, rough.sigma_w)
    if found is None:
        raise NonConvergenceError(
            "The likelihood of free means and covariances on both levels did not come to an end. Name fewer variables, "
            "or give more clusters."
        )
    objective, end = found
    state = objective.at(end.x)
    assert state is not None
    spot = state.spot
    noise = np.where(clusters.own.diagonal(), spot.sigma_w.diagonal() * rough.share, 1.0)
    return Saturated(data, spot.mu, spot.sigma_b, spot.sigma_w, end.value, noise)


@dataclass(frozen=True, eq=False, slots=True)
class Covariates:
    """Places of covariates on each level, and whether their moments are held at the saturated ones."""

    within: IntArray
    between: IntArray
    held: bool

    def held_in(self, clusters: Clusters) -> tuple[BoolArray, BoolArray, BoolArray]:
        """Means (p,), covariances among clusters and within them (p, p) that are held."""
        p = len(clusters.names)
        w, b = np.zeros(p, dtype=bool), np.zeros(p, dtype=bool)
        if self.held:
            w[self.within], b[self.between] = True, True
        of_rows = np.ones(p, dtype=bool)
        of_rows[clusters.between] = False
        return b | (w & of_rows), np.outer(b, b), np.outer(w, w)


def _pairs(p: int, members: IntArray) -> BoolArray:
    mask = np.zeros((p, p), dtype=bool)
    mask[np.ix_(members, members)] = True
    return mask


def free_map(clusters: Clusters, best: Saturated, covariates: Covariates) -> tuple[Linear, FloatArray]:
    """Free moments as coordinates, those of held covariates fixed; and where they are best."""
    p = len(best.mu)
    means, b, w = covariates.held_in(clusters)
    return Linear.of(
        best.mu, best.sigma_b, best.sigma_w, ~means, _pairs(p, clusters.between) & ~b, _pairs(p, clusters.within) & ~w
    )


@dataclass(frozen=True, eq=False, slots=True)
class Independence:
    """The model in which nothing covaries on either level but the covariates.

    Attributes
    ----------
    value : float
        Minus the log-likelihood, up to the constant.
    npar : int
    trace : float
        Of its inverse information times the cross-products of scores.
    """

    value: float
    npar: int
    trace: float


def independence(clusters: Clusters, best: Saturated, covariates: Covariates, *, robust: bool) -> Independence:
    """Fit the independence model, the baseline of incremental fit measures.

    Raises
    ------
    NonConvergenceError
        The search did not end.
    """
    p = len(best.mu)
    means, held_b, held_w = covariates.held_in(clusters)
    own = np.eye(p, dtype=bool)
    b, w = own | _pairs(p, covariates.between), own | _pairs(p, covariates.within)
    fixed_b, fixed_w = np.where(b, best.proper_b, 0.0), np.where(w, best.sigma_w, 0.0)
    members = _pairs(p, clusters.between), _pairs(p, clusters.within)
    fixed_b[~members[0]] = 0.0
    line, x = Linear.of(best.mu, fixed_b, fixed_w, ~means, b & members[0] & ~held_b, w & members[1] & ~held_w)
    objective = Objective(best.data, line)
    end = search(objective, x)
    if end is None or not end.converged:
        raise NonConvergenceError("The independence model of both levels did not come to an end: give more clusters.")
    return Independence(end.value, x.size, trace_of(objective, end.x) if robust else float("nan"))
