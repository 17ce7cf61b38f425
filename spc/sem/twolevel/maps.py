"""From coordinates to the moments of both levels: means, covariances of units, covariances within them.

The likelihood (:mod:`spc.sem.twolevel.likelihood`) knows moments only; a map says what they are at given coordinates,
and how they move with these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from spc.linalg import FloatArray
from spc.sem.engine.ml import bend
from spc.sem.engine.problem import Problem
from spc.sem.engine.ram import BoolArray, Implied, IntArray, directions, implied

__all__ = ["Guard", "Level", "Levels", "Linear", "MomentMap", "Slope", "Spot", "symmetric_basis"]


class Slope(Protocol):
    """Gradient of the likelihood in the moments: see :class:`~spc.sem.twolevel.likelihood.Level2`."""

    @property
    def mu(self) -> FloatArray:
        """In the means (p,)."""

    @property
    def sigma_b(self) -> FloatArray:
        """In the covariances of units (p, p)."""

    @property
    def sigma_w(self) -> FloatArray:
        """In the covariances within units (p, p)."""


@dataclass(frozen=True, eq=False, slots=True)
class Guard:
    """A small penalty and its derivatives; ``convex`` is the part of ``bend`` that is never negative."""

    value: float
    slope: FloatArray
    bend: FloatArray
    convex: FloatArray


@dataclass(frozen=True, eq=False, slots=True)
class Spot:
    """Moments at some coordinates, with their derivatives.

    Attributes
    ----------
    mu, sigma_b, sigma_w : (p,), (p, p), (p, p) arrays
    d_mu, d_b, d_w : (p, k), (p*p, k), (p*p, k) arrays
    guard : Guard or None
        Over all coordinates.
    """

    mu: FloatArray
    sigma_b: FloatArray
    sigma_w: FloatArray
    d_mu: FloatArray
    d_b: FloatArray
    d_w: FloatArray
    guard: Guard | None = None


class MomentMap(Protocol):
    """What the search needs of a map from coordinates to moments."""

    @property
    def lower(self) -> FloatArray:
        """Lower bounds of the coordinates (k,)."""

    def at(self, x: FloatArray) -> Spot | None:
        """Moments and their derivatives; None where there are none."""

    def bend(self, x: FloatArray, found: Slope) -> FloatArray | None:
        """Second derivatives (k, k) of the moments, along the gradient of the likelihood in them."""

    def convex(self, x: FloatArray, found: Slope) -> FloatArray | None:
        """A part of :meth:`bend` that is never negative: what keeps scoring steps short where rank is lost."""


def symmetric_basis(p: int) -> FloatArray:
    """Derivatives (p*p, p(p+1)/2) of a symmetric matrix on its lower triangle."""
    columns, rows = np.triu_indices(p)
    basis = np.zeros((p, p, rows.size))
    number = np.arange(rows.size)
    basis[rows, columns, number] = basis[columns, rows, number] = 1.0
    return basis.reshape(p * p, rows.size)


@dataclass(frozen=True, eq=False)
class Linear:
    """Moments that are coordinates themselves, or fixed.

    Attributes
    ----------
    base : Spot
        Moments where all coordinates are zero, and derivatives.
    """

    base: Spot

    @classmethod
    def of(
        cls, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray, means: BoolArray, b: BoolArray, w: BoolArray
    ) -> tuple[Linear, FloatArray]:
        """The map whose coordinates are the chosen moments, and their values there; the others stay.

        Parameters
        ----------
        mu, sigma_b, sigma_w : (p,), (p, p), (p, p) arrays
        means : (p,) bool array
            Means that are coordinates.
        b, w : (p, p) bool arrays
            Covariances that are, symmetric.
        """
        p = len(mu)
        columns, rows = np.triu_indices(p)
        chosen = [np.flatnonzero(means), np.flatnonzero(b[rows, columns]), np.flatnonzero(w[rows, columns])]
        start, end = np.cumsum([0, *(one.size for one in chosen[:2])]), sum(one.size for one in chosen)
        basis = symmetric_basis(p)
        slopes = [np.zeros((len(one), end)) for one in (mu, basis, basis)]
        for slope, unit, one, at in zip(slopes, (np.eye(p), basis, basis), chosen, start, strict=True):
            slope[:, at : at + one.size] = unit[:, one]
        d_mu, d_b, d_w = slopes
        fixed = Spot(np.where(means, 0.0, mu), np.where(b, 0.0, sigma_b), np.where(w, 0.0, sigma_w), d_mu, d_b, d_w)
        x = [mu[chosen[0]], sigma_b[rows, columns][chosen[1]], sigma_w[rows, columns][chosen[2]]]
        return cls(fixed), np.concatenate(x)

    @property
    def lower(self) -> FloatArray:
        """No bounds (k,)."""
        return np.full(self.base.d_mu.shape[1], -np.inf)

    def at(self, x: FloatArray) -> Spot:
        """Moments and their derivatives."""
        base, p = self.base, len(self.base.mu)
        return Spot(
            base.mu + base.d_mu @ x,
            base.sigma_b + (base.d_b @ x).reshape(p, p),
            base.sigma_w + (base.d_w @ x).reshape(p, p),
            base.d_mu, base.d_b, base.d_w,
        )  # fmt: skip

    def bend(self, x: FloatArray, found: Slope) -> None:
        """Nothing."""

    def convex(self, x: FloatArray, found: Slope) -> None:
        """Nothing."""


@dataclass(frozen=True, eq=False)
class Level:
    """The structure of one level.

    Attributes
    ----------
    problem : Problem
        Its map starts from all k coordinates.
    places : (n,) int array
        Where its observed variables are among all p.
    unit : (n,) array
        Unit of each in the problem, in those of the likelihood.
    """

    problem: Problem
    places: IntArray
    unit: FloatArray

    def look(self, x: FloatArray) -> Implied:
        """What the model implies, in the problem's units; raises LinAlgError where it implies nothing."""
        return implied(self.problem.place, self.problem.values(x))

    def moments(self, x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray | None, FloatArray]:
        """Means and covariances of its observed variables, and their derivatives (n, k) and (n*n, k).

        Derivatives of means are None where the model has no intercepts.
        """
        problem, n = self.problem, self.places.size
        at = self.look(x)
        way = directions(problem.place, at, problem.active, n)
        p, q = way.p * self.unit[:, None], way.q * self.unit[:, None]
        half = p[:, None, :] * q[None, :, :]
        slopes = (half + half.transpose(1, 0, 2)).reshape(n * n, -1)
        means = None if way.mu is None else way.mu * self.unit[:, None]
        if not problem.plain:
            slopes, means = slopes @ problem.map, None if means is None else means @ problem.map
        return at.mean[:n] * self.unit, at.covariance[:n, :n] * np.outer(self.unit, self.unit), means, slopes

    def bend(self, x: FloatArray, pull: FloatArray | None, slope: FloatArray) -> FloatArray:
        """Second derivatives (k, k) of ``pull . mu + tr(slope sigma)``."""
        problem = self.problem
        lean = None if pull is None or not problem.place.meanstructure else pull * self.unit
        tension = 2.0 * slope * np.outer(self.unit, self.unit)
        found = bend(problem.place, self.look(x), tension, lean, problem.active)
        return found if problem.plain else np.asarray(problem.map.T @ found @ problem.map)


@dataclass(frozen=True, eq=False)
class Levels:
    """Both levels structured by models over the same coordinates.

    Attributes
    ----------
    within, between : Level
    p : int
        Variables of both together.
    """

    within: Level
    between: Level
    p: int

    @property
    def lower(self) -> FloatArray:
        """No bounds (k,)."""
        return np.full(self.within.problem.size, -np.inf)

    def at(self, x: FloatArray) -> Spot | None:
        """Moments and their derivatives; None where a level implies none."""
        p, k = self.p, x.size
        mu, d_mu = np.zeros(p), np.zeros((p, k))
        sigmas, slopes = np.zeros((2, p, p)), np.zeros((2, p, p, k))
        for number, level in enumerate((self.between, self.within)):
            try:
                mean, sigma, d_mean, d_sigma = level.moments(x)
            except np.linalg.LinAlgError:
                return None
            own, pairs = level.places, np.ix_(level.places, level.places)
            mu[own] += mean
            sigmas[number][pairs], slopes[number][pairs] = sigma, d_sigma.reshape(own.size, own.size, k)
            if d_mean is not None:
                d_mu[own] += d_mean
        return Spot(mu, sigmas[0], sigmas[1], d_mu, slopes[0].reshape(p * p, k), slopes[1].reshape(p * p, k))

    def bend(self, x: FloatArray, found: Slope) -> FloatArray:
        """Second derivatives (k, k) of the moments, along the gradient of the likelihood in them."""
        total = np.zeros((x.size, x.size))
        for level, slope in ((self.between, found.sigma_b), (self.within, found.sigma_w)):
            total += level.bend(x, found.mu[level.places], slope[np.ix_(level.places, level.places)])
        return total

    def convex(self, x: FloatArray, found: Slope) -> None:
        """Nothing."""
