"""One level structured by its model, the other free: what tells how well each level fits by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from spc.linalg import FloatArray
from spc.sem.twolevel.group import LevelGroup, Sample
from spc.sem.twolevel.maps import Level, Linear, Slope, Spot
from spc.sem.twolevel.search import Objective, Together

__all__ = ["Half", "Side", "halves", "independent_half"]

Side = Literal["within", "between"]


@dataclass(frozen=True, eq=False)
class Half:
    """Moments of one level from its model, those of the other from coordinates of their own.

    Attributes
    ----------
    level : Level
        Its map starts from the first coordinates, which groups share.
    side : {"within", "between"}
        Which level that is.
    rest : Linear
        The other level, over the coordinates at ``own``.
    own : slice
    size : int
        All coordinates.
    """

    level: Level
    side: Side
    rest: Linear
    own: slice
    size: int

    @property
    def lower(self) -> FloatArray:
        """No bounds (k,)."""
        return np.full(self.size, -np.inf)

    @property
    def shared(self) -> int:
        """Coordinates of the structured level."""
        return self.level.problem.size

    def at(self, x: FloatArray) -> Spot | None:
        """Moments and their derivatives; None where the level implies none."""
        try:
            mean, sigma, d_mean, d_sigma = self.level.moments(x[: self.shared])
        except np.linalg.LinAlgError:
            return None
        free, p, places = self.rest.at(x[self.own]), len(self.rest.base.mu), self.level.places
        mu, d_mu = free.mu.copy(), np.zeros((p, self.size))
        d_mu[:, self.own] = free.d_mu
        mu[places] += mean
        if d_mean is not None:
            d_mu[places, : self.shared] += d_mean
        whole, slope, pairs = np.zeros((p, p)), np.zeros((p, p, self.size)), np.ix_(places, places)
        whole[pairs] = sigma
        slope[places[:, None], places, : self.shared] = d_sigma.reshape(places.size, places.size, -1)
        other = np.zeros((p * p, self.size))
        if self.side == "within":
            other[:, self.own] = free.d_b
            return Spot(mu, free.sigma_b, whole, d_mu, other, slope.reshape(p * p, -1))
        other[:, self.own] = free.d_w
        return Spot(mu, whole, free.sigma_w, d_mu, slope.reshape(p * p, -1), other)

    def bend(self, x: FloatArray, found: Slope) -> FloatArray:
        """Second derivatives (k, k) of the moments, along the gradient of the likelihood in them."""
        places = self.level.places
        slope = found.sigma_w if self.side == "within" else found.sigma_b
        part = self.level.bend(x[: self.shared], found.mu[places], slope[np.ix_(places, places)])
        return np.pad(part, (0, self.size - self.shared))

    def convex(self, x: FloatArray, found: Slope) -> None:
        """Nothing."""


def halves(groups: Sequence[LevelGroup], x: FloatArray, side: Side) -> tuple[Together, FloatArray]:
    """The goal with one level structured in all groups and the other free, and where to start from.

    Parameters
    ----------
    groups : sequence of LevelGroup
        As they were fitted, with linear equalities at most.
    x : (k,) array
        Coordinates of the fit.
    side : {"within", "between"}
        The level that stays structured.
    """
    levels = [getattr(group.levels, side) for group in groups]
    maps = np.concatenate([level.problem.map for level in levels])
    _, singular, turn = np.linalg.svd(maps, full_matrices=False)
    basis = turn[singular > 1e-10 * singular.max(initial=1.0)].T
    rests = [_free(group.sample, side) for group in groups]
    size = basis.shape[1] + sum(start.size for _, start in rests)
    parts, starts, at = [], [basis.T @ x], basis.shape[1]
    for group, level, (rest, start) in zip(groups, levels, rests, strict=True):
        problem = replace(level.problem, map=level.problem.map @ basis, plain=False)
        half = Half(replace(level, problem=problem), side, rest, slice(at, at + start.size), size)
        parts.append(Objective(group.sample.best.data, half))
        starts.append(start)
        at += start.size
    return Together(tuple(parts)), np.concatenate(starts)


def _free(sample: Sample, side: Side) -> tuple[Linear, FloatArray]:
    """Moments of the level that is not structured, those of its held covariates fixed; and the best of them."""
    clusters, best, p = sample.clusters, sample.best, len(sample.best.mu)
    means, held_b, held_w = sample.covariates.held_in(clusters)
    nothing = np.zeros((p, p), dtype=bool)
    upper = np.isin(np.arange(p), clusters.between)
    if side == "within":
        mine = np.outer(upper, upper)
        mu = np.where(upper, best.mu, 0.0)
        return Linear.of(
            mu, np.where(mine, best.sigma_b, 0.0), 0.0 * best.sigma_w, upper & ~means, mine & ~held_b, nothing
        )
    inner = np.isin(np.arange(p), clusters.within)
    mine, alone = np.outer(inner, inner), ~upper
    mu = np.where(alone, best.mu, 0.0)
    return Linear.of(mu, 0.0 * best.sigma_b, np.where(mine, best.sigma_w, 0.0), alone & ~means, nothing, mine & ~held_w)


def independent_half(sample: Sample, side: Side) -> tuple[Objective, FloatArray]:
    """The goal with nothing covarying on one level but its covariates, the other free; and where to start from."""
    clusters, best, p = sample.clusters, sample.best, len(sample.best.mu)
    means, held_b, held_w = sample.covariates.held_in(clusters)
    every = np.arange(p)
    upper, inner = np.isin(every, clusters.between), np.isin(every, clusters.within)
    b, w = np.outer(upper, upper), np.outer(inner, inner)
    apart = np.eye(p, dtype=bool)
    own = sample.covariates.within if side == "within" else sample.covariates.between
    apart |= np.outer(np.isin(every, own), np.isin(every, own))
    if side == "within":
        w &= apart
    else:
        b &= apart
    line, x = Linear.of(
        best.mu, np.where(b, best.sigma_b, 0.0), np.where(w, best.sigma_w, 0.0), ~means, b & ~held_b, w & ~held_w
    )
    return Objective(best.data, line), x
