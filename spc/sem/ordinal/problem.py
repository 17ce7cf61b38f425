"""A model of ordered items made ready to fit: implied thresholds and correlations, and their derivatives.

Every ordered item is a response variable cut at thresholds. In the delta parameterisation its scale D is one over its
standard deviation, 1 unless groups share thresholds, so that

    threshold = D_i (tau_i - mu_i),    correlation = D_i D_j sigma_ij,

and its residual variance is no parameter but whatever makes ``sigma_ii = 1 / D_i^2``. With ``B = (I - A)^-1`` the
variances are linear in these residual variances s: ``(B_ij^2) s = 1 / D^2 - rest``, one small linear system, whose
derivatives carry the rank-two directions of the model over to the parameters. In the theta parameterisation it is the
other way round: residual variances are parameters, 1 unless groups share thresholds, and ``D_i = sigma_ii^(-1/2)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from spc.errors import SpecError
from spc.linalg import FloatArray
from spc.sem.engine.joint import Joint, System
from spc.sem.engine.least_squares import root_of_covariances
from spc.sem.engine.ml import Sample
from spc.sem.engine.problem import Balanced, Problem, in_units, lay
from spc.sem.engine.ram import (
    DIRECTED,
    INTERCEPT,
    SCALE,
    Implied,
    IntArray,
    Structure,
    directions,
    implied,
    placed,
)
from spc.sem.ordinal.moments import OrdinalMoments
from spc.spec.table import Model

__all__ = ["OrdinalProblem", "ThetaProblem", "implied_statistics", "ordinal_structure", "ordinal_system", "slopes"]

Weighting = Literal["DWLS", "ULS", "WLS"]


@dataclass(frozen=True, eq=False, kw_only=True)
class OrdinalProblem(Problem):
    """One block of ordered, and perhaps continuous, items.

    Attributes
    ----------
    sampled : OrdinalMoments
        In the user's units.
    unit : (m,) array
        Units of the statistics: balanced = statistic / unit.
    root : (m,) or (m, m) array
        ``root @ root.T``, or its square where it is a vector, is the weight of the balanced statistics.
    computed : (c,) int array
        Rows that follow from the rest: residual variances of the ordered items.
    scales : (k,) int array
        Rows of the scales of the ordered items.
    seat : (p,) int array
        Positions of the sampled variables in the structure: all but the covariates.
    """

    sampled: OrdinalMoments
    unit: FloatArray
    root: FloatArray
    computed: IntArray
    scales: IntArray
    seat: IntArray

    def values(self, x: FloatArray) -> FloatArray:
        """Balanced values of all R rows at coordinates ``x``."""
        return self.completed(super().values(x))

    def row_values(self, theta: FloatArray) -> FloatArray:
        """Values of all rows in the user's units, for (..., q) free parameters: (..., R)."""
        return np.asarray(self.completed(super().row_values(theta) * self.multiplier) / self.multiplier)

    def completed(self, values: FloatArray) -> FloatArray:
        """Put in the residual variances of the ordered items; (..., R) balanced values."""
        if not self.computed.size:
            return values
        own = self.place.row[self.computed]
        values[..., self.computed] = 0.0
        at = self.conditional(values)
        target = self._targets(values)[..., self._position(own)]
        rest = np.diagonal(at.covariance, axis1=-2, axis2=-1)[..., own]
        reach = at.total[..., own[:, None], own] ** 2
        values[..., self.computed] = np.linalg.solve(reach, (target - rest)[..., None])[..., 0]
        return values

    def conditional(self, values: FloatArray) -> Implied:
        """What the values (..., R) imply given covariates of zero."""
        held = np.flatnonzero(self.place.sample)
        if held.size:
            values = values.copy()
            values[..., held] = 0.0
        return implied(self.place, values)

    def seen(self, at: Implied) -> tuple[FloatArray, FloatArray]:
        """Implied correlations and covariances (p, p), as the sample has them, and means of continuous items."""
        sigma, mean = super().seen(at)
        own, x = self.place.ordered, self.place.exogenous
        reach = at.total[np.ix_(own, x)]
        given = sigma[own, own] - ((reach @ sigma[np.ix_(x, x)]) * reach).sum(axis=1)
        shrink, kept = np.ones(len(sigma)), np.ones(len(sigma))
        shrink[own], kept[own] = 1.0 / np.sqrt(given), 0.0
        return sigma * np.outer(shrink, shrink), mean * kept

    def moving(self, values: FloatArray, at: Implied) -> tuple[IntArray, FloatArray]:
        """Rows that move with the free parameters, residual variances of ordered items among them."""
        _, linear = super().moving(values, at)
        rows = np.concatenate([self.active, self.computed])
        return rows, np.concatenate([linear, self.computed_slopes(values, self.conditional(values)) @ linear])

    def _targets(self, values: FloatArray) -> FloatArray:
        """Variances of the responses (..., k)."""
        return np.asarray(1.0 / values[..., self.scales] ** 2)

    def _position(self, variables: IntArray) -> IntArray:
        return np.searchsorted(self.place.ordered, variables)

    def computed_slopes(self, values: FloatArray, at: Implied) -> FloatArray:
        """Derivatives (c, r) of the computed rows on the free rows, given covariates."""
        own = self.place.row[self.computed]
        if not own.size:
            return np.zeros((0, self.active.size))
        way = directions(self.place, at, self.active, self.place.n_observed)
        change = -2.0 * way.p[own] * way.q[own]
        scale = self.scales[self._position(own)]
        moved = scale[:, None] == self.active
        change += np.where(moved, (-2.0 / values[scale] ** 3)[:, None], 0.0)
        return np.asarray(np.linalg.solve(at.total[own[:, None], own] ** 2, change))

    @property
    def statistics(self) -> FloatArray:
        """Sample statistics (m,) in balanced units."""
        return np.asarray(self.sampled.statistics / self.unit)

    @property
    def gamma(self) -> FloatArray:
        """``n`` times the covariances of the balanced statistics (m, m)."""
        return np.asarray(self.sampled.gamma / np.outer(self.unit, self.unit))

    @property
    def alone(self) -> IntArray:
        """Positions of the statistics that the independence model puts at zero: the covariances."""
        p = len(self.sampled.names)
        return np.arange(self.unit.size - p * (p - 1) // 2, self.unit.size)

    def weigh(self, moments: FloatArray) -> FloatArray:
        """Root of the weight times statistics (m, r)."""
        return np.asarray(self.root[:, None] * moments if self.root.ndim == 1 else self.root.T @ moments)


@dataclass(frozen=True, eq=False, kw_only=True)
class ThetaProblem(OrdinalProblem):
    """The same where residual variances are parameters, and the computed rows are the scales."""

    def completed(self, values: FloatArray) -> FloatArray:
        """Put in the scales of the ordered items; (..., R) balanced values."""
        own = self.place.ordered
        spread = np.diagonal(self.conditional(values).covariance, axis1=-2, axis2=-1)[..., own]
        values[..., self.scales] = 1.0 / np.sqrt(spread)
        return values

    def computed_slopes(self, values: FloatArray, at: Implied) -> FloatArray:
        """Derivatives (c, r) of the scales on the free rows, given covariates."""
        own = self.place.ordered
        way = directions(self.place, at, self.active, self.place.n_observed)
        return np.asarray(-(values[self.scales] ** 3)[:, None] * way.p[own] * way.q[own])


def ordinal_structure(model: Model) -> Structure:
    """Place the rows of a model of ordered items, with means."""
    return placed(model if model.meanstructure else replace(model, meanstructure=True))


def ordinal_system(
    model: Model, blocks: Sequence[Model], sampled: Sequence[OrdinalMoments], weighting: Weighting
) -> System:
    """Lay out the blocks of a model over its joint coordinates.

    Parameters
    ----------
    model : Model
        The whole model, whose constraints hold across blocks.
    blocks : sequence of Model
        The rows of each block, with the joint numbers of free parameters.
    sampled : sequence of OrdinalMoments
        Of the observed variables of each block, in its order.
    weighting : {"DWLS", "ULS", "WLS"}

    Raises
    ------
    DataError, NotPositiveDefiniteError
        Too few rows for WLS, or a singular covariance matrix of the statistics.
    SpecError
        An ordered item lacks thresholds or has some that the data do not.
    """
    balanced = [_balanced(block, one) for block, one in zip(blocks, sampled, strict=True)]
    theta = model.parameterization == "theta"
    pairs = zip(lay(model, balanced), sampled, strict=True)
    made = [_ordinal(problem, one, weighting, theta=theta) for problem, one in pairs]
    return made[0] if len(made) == 1 else Joint(tuple(made))


def _balanced(block: Model, sampled: OrdinalMoments) -> Balanced:
    place = ordinal_structure(block)
    seat = np.flatnonzero(place.outcome)
    place = _started(_checked(place, sampled, seat), sampled, theta=block.parameterization == "theta")
    deviations = np.ones(place.n_observed)
    deviations[seat[sampled.continuous]] = np.sqrt(sampled.cov.diagonal()[sampled.continuous])
    deviations[place.exogenous] = np.sqrt(sampled.covariate_cov.diagonal())
    return in_units(place, sampled.n, sampled.n - 1, deviations)


def _checked(place: Structure, sampled: OrdinalMoments, seat: IntArray) -> Structure:
    """The same structure, where the thresholds of the table are those of the data."""
    given = place.row[place.threshold_rows]
    if not np.array_equal(given, seat[sampled.owner]):
        for i, name in enumerate(place.observed):
            wanted, found = int((seat[sampled.owner] == i).sum()), int((given == i).sum())
            if wanted != found:
                raise SpecError(
                    f"{name} has {found} thresholds in the model, and {wanted + 1 if wanted else 'no'} categories in "
                    f"the data, which make {wanted}. Name the ordered items in ordered=, and leave out thresholds "
                    "that the data do not have."
                )
    return place


def _started(place: Structure, sampled: OrdinalMoments, *, theta: bool) -> Structure:
    """Start thresholds at those of the sample, scales or residual variances at one, unless the user said otherwise."""
    start = place.start.copy()
    cuts, residual = place.threshold_rows, place.diagonal & np.isin(place.row, place.ordered)
    unit = residual if theta else place.part == SCALE
    start[cuts] = np.where(np.isnan(start[cuts]), sampled.threshold, start[cuts])
    start[unit] = np.where(np.isnan(start[unit]), 1.0, start[unit])
    fixed = place.fixed.copy()
    if not theta:
        fixed[residual & (place.free < 0)] = 0.0
    return replace(place, start=start, fixed=fixed)


def _ordinal(problem: Problem, sampled: OrdinalMoments, weighting: Weighting, *, theta: bool) -> OrdinalProblem:
    place, p = problem.place, problem.place.n_observed
    scale, seat = problem.scale[:p], np.flatnonzero(place.outcome)
    sample = _sample(place, sampled, seat, scale)
    base = np.where(place.free >= 0, 0.0, place.fixed * problem.multiplier)
    held = np.flatnonzero(place.sample)
    assert sample.mean is not None
    i, j = place.row[held], place.column[held]
    base[held] = np.where(place.part[held] == INTERCEPT, sample.mean[i], sample.cov[i, j])
    scales = np.flatnonzero(place.part == SCALE)
    scales = scales[np.argsort(place.row[scales])]
    residual = np.flatnonzero(place.diagonal & (place.free < 0) & np.isin(place.row, place.ordered))
    if not np.array_equal(place.row[scales], place.ordered):
        raise SpecError("Every ordered item needs one row of its scale (~*~), and no other variable has one.")
    first, second = np.triu_indices(seat.size, 1)
    q, each = scale[seat[sampled.continuous]], scale[seat]
    slope = (each[:, None] / scale[place.exogenous]).ravel()
    unit = np.concatenate([np.ones(sampled.threshold.size), q, q**2, slope, each[first] * each[second]])
    given = {field.name: getattr(problem, field.name) for field in fields(Problem)}
    given.update(base=base, sample=sample)
    own_class, computed = (ThetaProblem, scales) if theta else (OrdinalProblem, residual)
    made = own_class(**given, sampled=sampled, unit=unit, root=np.ones(1), computed=computed, scales=scales, seat=seat)
    return replace(made, root=_root(made, weighting))


def _sample(place: Structure, sampled: OrdinalMoments, seat: IntArray, scale: FloatArray) -> Sample:
    """Sample moments of all observed variables, covariates among them, in balanced units."""
    p, x = place.n_observed, place.exogenous
    cov, mean = np.zeros((p, p)), np.zeros(p)
    cov[np.ix_(seat, seat)], mean[seat] = sampled.cov, sampled.mean
    if x.size:
        joint = sampled.slope @ sampled.covariate_cov
        cov[np.ix_(seat, seat)] += joint @ sampled.slope.T
        cov[np.ix_(seat, x)], cov[np.ix_(x, seat)], cov[np.ix_(x, x)] = joint, joint.T, sampled.covariate_cov
        own = sampled.continuous
        mean[seat[own]] += sampled.slope[own] @ sampled.covariate_mean
        mean[x] = sampled.covariate_mean
    return Sample(cov / np.outer(scale, scale), mean / scale, np.nan)


def _root(problem: OrdinalProblem, weighting: Weighting) -> FloatArray:
    if weighting == "ULS":
        return problem.unit
    gamma = problem.gamma
    if weighting == "DWLS":
        return np.asarray(1.0 / np.sqrt(gamma.diagonal()))
    instead = "Use estimator='WLSMV', which needs only their variances, or name fewer items."
    names = problem.sampled.statistic_names
    return np.asarray(np.linalg.inv(root_of_covariances(gamma, names, problem.n, what="statistics", instead=instead)).T)


def implied_statistics(problem: OrdinalProblem, values: FloatArray, at: Implied) -> FloatArray:
    """Thresholds, means and variances of continuous items, slopes, and covariances (m,) that the model implies.

    Parameters
    ----------
    problem : OrdinalProblem
    values : (R,) array
        Balanced values of all rows.
    at : Implied
        Given covariates of zero: ``problem.conditional(values)``.
    """
    place, seat = problem.place, problem.seat
    shrink = _shrink(problem, values)
    i, j = _pairs(problem)
    owner, q = seat[problem.sampled.owner], seat[problem.sampled.continuous]
    sigma = at.covariance
    cut = shrink[owner] * (values[place.threshold_rows] - at.mean[owner])
    slope = shrink[seat][:, None] * at.total[np.ix_(seat, place.exogenous)]
    return np.concatenate([cut, at.mean[q], sigma[q, q], slope.ravel(), sigma[i, j] * shrink[i] * shrink[j]])


def _pairs(problem: OrdinalProblem) -> tuple[IntArray, IntArray]:
    first, second = np.triu_indices(problem.seat.size, 1)
    return problem.seat[first], problem.seat[second]


def _shrink(problem: OrdinalProblem, values: FloatArray) -> FloatArray:
    """Scale of each observed variable: 1 for continuous ones."""
    shrink = np.ones(problem.place.n_observed)
    shrink[problem.place.ordered] = values[problem.scales]
    return shrink


def slopes(problem: OrdinalProblem, values: FloatArray, at: Implied) -> FloatArray:
    """Derivatives (m, k) of the implied statistics on the coordinates; see :func:`implied_statistics`."""
    place, active, seat, x = problem.place, problem.active, problem.seat, problem.place.exogenous
    i, j = _pairs(problem)
    owner, q, free = seat[problem.sampled.owner], seat[problem.sampled.continuous], active.size
    moving = np.concatenate([active, problem.computed])
    way = directions(place, at, moving, place.n_observed)
    follows = problem.computed_slopes(values, at)

    def carried(change: FloatArray) -> FloatArray:
        return change[:, :free] + change[:, free:] @ follows if problem.computed.size else change

    shrink, sigma = _shrink(problem, values), at.covariance
    stretch = np.zeros((place.n_observed, moving.size))
    own = np.flatnonzero(place.part[moving] == SCALE)
    stretch[place.row[moving[own]], own] = 1.0
    stretch = carried(stretch)
    assert way.mu is not None
    mean = way.mu[:, :free]
    moved = (place.threshold_rows[:, None] == active).astype(np.float64)
    excess = values[place.threshold_rows] - at.mean[owner]
    cut = shrink[owner][:, None] * (moved - mean[owner]) + excess[:, None] * stretch[owner]
    covariance = carried(way.p[i] * way.q[j] + way.p[j] * way.q[i]) * (shrink[i] * shrink[j])[:, None]
    if own.size:
        covariance += sigma[i, j][:, None] * (shrink[j][:, None] * stretch[i] + shrink[i][:, None] * stretch[j])
    parts = [cut, mean[q], carried(2.0 * way.p[q] * way.q[q])]
    if x.size:
        directed = place.part[active] == DIRECTED
        onward = at.total[np.ix_(place.column[active] * directed, x)] * directed[:, None]
        slope = shrink[seat][:, None, None] * way.p[seat][:, None, :free] * onward.T
        slope += at.total[np.ix_(seat, x)][:, :, None] * stretch[seat][:, None, :]
        parts.append(slope.reshape(-1, free))
    whole = np.concatenate([*parts, covariance])
    return whole if problem.plain else np.asarray(whole @ problem.map)
