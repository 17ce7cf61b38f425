"""Residuals of the moments of both levels of a fit, and how they vary from sample to sample.

What a model of two levels is held against are the free moments of both levels: those that make the rows most likely.
They vary as the inverse of their information, or as the sandwich of the clusters' scores has it, and move the estimates
by the weights that their information at the implied moments gives them; see
:mod:`spc.sem.postestimation.residual_moments`. A mean is of the clusters, unless its variable is of rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from spc.errors import SingularInformationError
from spc.linalg import FloatArray
from spc.sem.engine.ram import IntArray
from spc.sem.postestimation.residual_moments import Residuals, none_at_zero, with_spread
from spc.sem.twolevel.data import Clusters
from spc.sem.twolevel.group import LevelGroup
from spc.sem.twolevel.inference import inverse_information
from spc.sem.twolevel.maps import Spot
from spc.sem.twolevel.saturated import free_map
from spc.sem.twolevel.search import Objective

if TYPE_CHECKING:
    from spc.sem.result import SemFit

__all__ = ["level_residuals"]

_LEAST = 0.001
"""Moments of which less is left are matched but for what the levels bend in each other, which is of second order."""


def level_residuals(fit: SemFit) -> list[Residuals]:
    """Residuals of each level of each group; their errors are missing where the free moments have none.

    Parameters
    ----------
    fit : SemFit
        Of two levels.
    """
    assert fit.levels is not None
    groups, x = fit.levels.groups, fit.system.coordinates(fit.solution.theta)
    found = with_spread([_both_levels(group, x, robust=fit.options.estimator == "MLR") for group in groups])
    return [
        _of_level(one, group.sample.clusters, level)
        for one, group in zip(found, groups, strict=True)
        for level in (1, 2)
    ]


@dataclass(frozen=True, eq=False, slots=True)
class _Places:
    """Which means and covariances a level has: variables among all p."""

    means: IntArray
    left: IntArray
    right: IntArray

    @classmethod
    def of(cls, clusters: Clusters, level: int) -> _Places:
        own = clusters.within if level == 1 else clusters.between
        rows, columns = np.triu_indices(own.size)
        return cls(np.setdiff1d(own, clusters.both) if level == 1 else own, own[rows], own[columns])

    @property
    def size(self) -> int:
        return self.means.size + self.left.size


def _picked(clusters: Clusters, mu: FloatArray, sigma_w: FloatArray, sigma_b: FloatArray) -> FloatArray:
    """The moments of both levels in a row (m, ...) from means (p, ...) and covariances (p, p, ...)."""
    one, two = (_Places.of(clusters, level) for level in (1, 2))
    return np.concatenate([mu[one.means], sigma_w[one.left, one.right], mu[two.means], sigma_b[two.left, two.right]])


def _slopes(clusters: Clusters, spot: Spot) -> FloatArray:
    """Derivatives (m, k) of these moments."""
    p = len(spot.mu)
    return _picked(clusters, spot.d_mu, spot.d_w.reshape(p, p, -1), spot.d_b.reshape(p, p, -1))


def _both_levels(group: LevelGroup, x: FloatArray, *, robust: bool) -> Residuals:
    """Moments of a group in the units of the likelihood; ``spread`` is still to come."""
    sample = group.sample
    clusters, best = sample.clusters, sample.best
    line, at_best = free_map(clusters, best, sample.covariates)
    spot = group.levels.at(x)
    assert spot is not None
    free = _slopes(clusters, line.base)
    seen = _picked(clusters, best.mu, best.sigma_w, best.sigma_b)
    implied = _picked(clusters, spot.mu, spot.sigma_w, spot.sigma_b)
    residual = none_at_zero(np.where(free.any(axis=1), seen - implied, 0.0))
    objective = Objective(best.data, line)
    noise = free @ _noise(objective, at_best, robust=robust) @ free.T
    state = objective.at(free.T @ implied)
    assert state is not None
    weight = objective.information(free.T @ implied, state, expected=clusters.answers is None)
    one, two = (_Places.of(clusters, level) for level in (1, 2))
    none = [np.full(level.means.size, -1, dtype=np.intp) for level in (one, two)]
    first = np.concatenate([none[0], one.right, none[1], two.right])
    second = np.concatenate([none[0], one.left, none[1], two.left])
    lhs = np.concatenate([one.means, one.left, two.means, two.left])
    names, covariance = clusters.names, first >= 0
    with np.errstate(divide="ignore"):
        within, between = (1.0 / np.sqrt(np.maximum(own.diagonal(), 0.0)) for own in (best.sigma_w, best.sigma_b))
    each = np.repeat([0, 1], [one.size, two.size])
    over = np.stack([within, between])
    other = np.where(covariance, first, 0)
    return Residuals(
        sample.label, clusters.rows, len(names), [names[i] for i in lhs], np.where(covariance, "~~", "~1").tolist(),
        [names[i] if i >= 0 else "" for i in first], first, second,
        sample.scale[lhs] * np.where(covariance, sample.scale[other], 1.0),
        over[each, lhs] * np.where(covariance, over[each, other], 1.0),
        seen, seen - residual, residual, np.ones(residual.size, dtype=bool), noise, free @ weight @ free.T,
        _slopes(clusters, spot), noise, least=_LEAST,
    )  # fmt: skip


def _noise(objective: Objective, x: FloatArray, *, robust: bool) -> FloatArray:
    """Sampling covariances of the free moments; NaN where the likelihood is flat in some."""
    state = objective.at(x)
    assert state is not None
    try:
        bread, meat = inverse_information(
            objective, x, np.zeros(x.size, dtype=bool), state, "robust" if robust else "observed"
        )
    except SingularInformationError:
        return np.full((x.size, x.size), np.nan)
    return bread if meat is None else bread @ meat @ bread


def _of_level(both: Residuals, clusters: Clusters, level: int) -> Residuals:
    """The moments of one level."""
    start = 0 if level == 1 else _Places.of(clusters, 1).size
    here = slice(start, start + _Places.of(clusters, level).size)
    own = clusters.within if level == 1 else clusters.between
    vectors = ("first", "second", "unit", "deviation", "sample", "implied", "residual", "counted", "slopes")
    cut = {name: getattr(both, name)[here] for name in (*vectors, "lhs", "op", "rhs")}
    square = {name: getattr(both, name)[here, here] for name in ("noise", "weight", "spread")}
    n = clusters.rows if level == 1 else clusters.count
    return replace(both, **cut, **square, n=n, variables=own.size, level=level)
