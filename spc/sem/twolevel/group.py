"""One group of a two-level fit: its clusters, their free moments, and the map from coordinates to what is implied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from spc.linalg import FloatArray, frozen_array
from spc.moments import Moments
from spc.sem.engine.problem import Problem, covariates_of
from spc.sem.twolevel.data import Clusters, clusters_of
from spc.sem.twolevel.likelihood import UnitMoments
from spc.sem.twolevel.maps import Level, Levels, Spot
from spc.sem.twolevel.saturated import Covariates, Saturated, saturated
from spc.sem.twolevel.search import Objective, Together
from spc.spec.table import Model

__all__ = ["LevelGroup", "Sample", "goal_of", "mapped", "sample_of"]


@dataclass(frozen=True, eq=False)
class Sample:
    """What is known of a group before its model is laid over it.

    Attributes
    ----------
    label : str
        Of the group; empty where there is one.
    models : pair of Model
        Within and between clusters.
    clusters : Clusters
    scale : (p,) array
        Units of the likelihood.
    best : Saturated
        Free moments, in these units.
    """

    label: str
    models: tuple[Model, Model]
    clusters: Clusters
    scale: FloatArray
    best: Saturated

    @property
    def covariates(self) -> Covariates:
        """Where they are, and whether they are held at their sample moments."""
        (within, between), clusters = self.models, self.clusters
        return Covariates(
            clusters.within[covariates_of(within)], clusters.between[covariates_of(between)],
            bool(within.exogenous or between.exogenous),
        )  # fmt: skip

    @property
    def moments(self) -> tuple[Moments, Moments]:
        """Free moments of each level as if they were those of a sample, in the user's units."""
        clusters, best = self.clusters, self.best
        mu, square = best.mu * self.scale, np.outer(self.scale, self.scale)
        within, between = clusters.within, clusters.between
        inner = np.where(np.isin(within, clusters.both), 0.0, mu[within])
        each = (
            (within, inner, best.sigma_w, clusters.rows),
            (between, mu[between], best.proper_b, clusters.count),
        )
        one, two = (
            Moments(
                tuple(clusters.names[i] for i in places), n, mean,
                (sigma * square)[np.ix_(places, places)] * (n / (n - 1)),
            )
            for places, mean, sigma, n in each
        )  # fmt: skip
        return one, two

    @property
    def covariate_logl(self) -> float:
        """Log-likelihood of the held covariates that appear on one level: what the others are given."""
        clusters, held = self.clusters, self.covariates
        if not held.held:
            return 0.0
        total = 0.0
        for own, sigma, n in (
            (held.within, self.best.sigma_w, clusters.rows),
            (held.between, self.best.sigma_b, clusters.count),
        ):
            x = np.setdiff1d(own, clusters.both)
            if x.size:
                square = np.outer(self.scale[x], self.scale[x])
                height = float(np.linalg.slogdet(sigma[np.ix_(x, x)] * square)[1])
                total -= 0.5 * n * (x.size * (math.log(2.0 * math.pi) + 1.0) + height)
        return total


def sample_of(label: str, models: tuple[Model, Model], data: Any, cluster: str | None, *, listwise: bool) -> Sample:
    """Moments of the clusters of a group, and the best free moments of both levels.

    Parameters
    ----------
    label : str
    models : pair of Model
    data : DataFrame or UnitMoments
    cluster : str or None
    listwise : bool
        Rows with a missing answer are left out; else those without an answer, or without a held covariate.

    Raises
    ------
    DataError
        See :func:`~spc.sem.twolevel.data.clusters_of`.
    NonConvergenceError
        The search for the free moments did not end.
    """
    within, between = models
    needed = None if listwise else [*within.exogenous, *between.exogenous]
    clusters = clusters_of(data, (within.observed, between.observed), cluster, needed)
    scale = frozen_array(_scale(clusters.units))
    return Sample(label, models, clusters, scale, saturated(clusters, scale))


def _scale(units: UnitMoments) -> FloatArray:
    """Deviation of each variable, within and between clusters taken together."""
    inside = np.where(units.side >= 0, np.nan_to_num(units.within.diagonal()), 0.0)
    return np.asarray(np.sqrt(inside + np.nanvar(units.means, axis=0)))


@dataclass(frozen=True, eq=False)
class LevelGroup:
    """A group with its map.

    Attributes
    ----------
    sample : Sample
    levels : Levels
        From the joint coordinates to moments, in units of ``sample.scale``.
    """

    sample: Sample
    levels: Levels

    @property
    def objective(self) -> Objective:
        """Minus the log-likelihood over the joint coordinates."""
        return Objective(self.sample.best.data, self.levels)

    def spot(self, x: FloatArray) -> Spot:
        """Implied moments and their derivatives, in the user's units, where the fit has any."""
        found = self.levels.at(x)
        assert found is not None
        scale = self.sample.scale
        square = np.outer(scale, scale)
        flat = square.reshape(-1, 1)
        return replace(
            found, mu=found.mu * scale, sigma_b=found.sigma_b * square, sigma_w=found.sigma_w * square,
            d_mu=found.d_mu * scale[:, None], d_b=found.d_b * flat, d_w=found.d_w * flat,
        )  # fmt: skip


def mapped(samples: Sequence[Sample], problems: Sequence[Problem]) -> tuple[LevelGroup, ...]:
    """Groups with the maps of their problems, two a group: within clusters, then between them."""
    found = []
    for sample, within, between in zip(samples, problems[::2], problems[1::2], strict=True):
        clusters, scale = sample.clusters, sample.scale
        one, two = (
            Level(problem, places, problem.scale[: places.size] / scale[places])
            for problem, places in ((within, clusters.within), (between, clusters.between))
        )
        found.append(LevelGroup(sample, Levels(one, two, scale.size)))
    return tuple(found)


def goal_of(groups: Sequence[LevelGroup]) -> Together:
    """Minus the log-likelihood of all groups."""
    return Together(tuple(group.objective for group in groups))
