"""The likelihood of respondents nested in units, for any number of sides whose respondents differ, and unit outcomes.

Unit j has ``n_sj`` respondents on side s. Their scores vary within units with covariances ``sigma_w`` (one block a
side) and their unit's values with ``sigma_b`` around ``mu``. Sufficient are the unit means and the cross-products of
deviations from them. With ``share_j = 1 / n_sj`` for the variables of side s and 0 for unit outcomes, minus the
log-likelihood is, up to constants,

    1/2 sum_s [(N_s - J_s) log|sigma_w,s| + tr(sigma_w,s^-1 scatter_s)]
  + 1/2 sum_j [log|V_j| + (mean_j - mu)' V_j^-1 (mean_j - mu)],    V_j = sigma_b + share_j * sigma_w,

the ordinary two-level likelihood (McDonald & Goldstein 1989, British Journal of Mathematical and Statistical
Psychology 42, 215-232) where there is one side. Variables absent from a unit get a one on the diagonal of ``V_j`` and
zeros beside it. Units with the same sizes and the same variables present share one matrix, and all matrices are
inverted in one stacked call.

Derivatives are taken in the space of the moments ``(mu, sigma_b, sigma_w)`` first. With ``W_j = V_j^-1``, ``T`` the
cross-products of the unit means around ``mu`` and ``Y = W/2`` (expected) or ``W T W - W/2`` (observed), the information
on a pair of entries of covariance matrices is ``sum_j Y_ik W_jl``: one matrix product of stacked matrices, shared by
every model of the same units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spc.errors import DataError
from spc.linalg import FloatArray, frozen_array

__all__ = [
    "Curvature",
    "Level2",
    "SizeClasses",
    "UnitMoments",
    "curvature",
    "kronecker",
    "level2",
    "require_replies",
    "unit_moments",
    "unit_scores",
]

IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class UnitMoments:
    """Everything the likelihood sees of J units, p variables and S sides.

    Attributes
    ----------
    names : tuple of str
        The p variables.
    sides : tuple of str
        The S sides.
    side : (p,) int array
        Side of each variable; -1 for outcomes of the unit.
    counts : (J, S) array
        Respondents.
    means : (J, p) array
        Unit means and outcomes; NaN where absent.
    scatter : (J, p, p) array
        Cross-products of deviations from the unit means; zero between sides and for outcomes.
    """

    names: tuple[str, ...]
    sides: tuple[str, ...]
    side: IntArray
    counts: FloatArray
    means: FloatArray
    scatter: FloatArray

    def __post_init__(self) -> None:
        side = np.array(self.side, dtype=np.intp)
        side.flags.writeable = False
        object.__setattr__(self, "side", side)
        for name in ("counts", "means", "scatter"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))

    @property
    def present(self) -> BoolArray:
        """(J, p): which variables each unit has."""
        return ~np.isnan(self.means)

    @cached_property
    def own(self) -> BoolArray:
        """(p, p): pairs of variables of one side."""
        return np.asarray((self.side[:, None] == self.side) & (self.side >= 0))

    @cached_property
    def freedom(self) -> FloatArray:
        """(S,): respondents beyond the first of their unit."""
        return np.asarray(np.maximum(self.counts - 1.0, 0.0).sum(axis=0))

    @cached_property
    def pooled(self) -> FloatArray:
        """(p, p): cross-products within units, all units together."""
        return np.asarray(self.scatter.sum(axis=0))

    @cached_property
    def within(self) -> FloatArray:
        """(p, p): unbiased covariances within units; zero between sides and for outcomes."""
        divisor = np.append(self.freedom, 1.0)[self.side]
        return np.asarray(self.pooled / np.where(divisor > 0.0, divisor, np.nan))

    def balanced(self, centre: FloatArray, scale: FloatArray) -> UnitMoments:
        """The same units with every variable measured from ``centre`` in units of ``scale``, (p,) each."""
        return replace(self, means=(self.means - centre) / scale, scatter=self.scatter / np.outer(scale, scale))

    @property
    def averaged(self) -> BoolArray:
        """(p,): variables that enter by their unit means."""
        return np.asarray(self.side >= 0)

    @property
    def answered(self) -> FloatArray:
        """(p,): answers to each variable, and units with each outcome."""
        counts = np.where(self.side >= 0, self.counts[:, self.side], 1.0)
        return np.asarray((counts * self.present).sum(axis=0))

    def ordered(self, order: IntArray) -> UnitMoments:
        """The same units with the variables in another order."""
        return replace(
            self, names=tuple(self.names[i] for i in order), side=self.side[order], means=self.means[:, order],
            scatter=self.scatter[:, order[:, None], order],
        )  # fmt: skip

    def take(self, units: IntArray) -> UnitMoments:
        """The units at the given places, with repeats."""
        return replace(self, counts=self.counts[units], means=self.means[units], scatter=self.scatter[units])


def unit_moments(
    names: Sequence[str],
    sides: Sequence[tuple[str, npt.ArrayLike, npt.ArrayLike]],
    outcomes: npt.ArrayLike,
) -> UnitMoments:
    """Reduce rows of respondents to moments of units.

    Parameters
    ----------
    names : sequence of str
        The variables of the sides, one side after the other, then the unit outcomes.
    sides : sequence of (name, units, values)
        ``units`` are the (N,) numbers of the respondents' units, from 0 to J - 1, and ``values`` their (N, p_s)
        scores, without holes.
    outcomes : (J, q) array-like
        Unit outcomes, NaN where missing; of shape (J, 0) when there are none.

    Returns
    -------
    UnitMoments

    Examples
    --------
    >>> m = unit_moments(["x"], [("staff", [0, 0, 1], [[1.0], [3.0], [7.0]])], np.empty((2, 0)))
    >>> m.means.ravel().tolist(), m.pooled.tolist()
    ([2.0, 7.0], [[2.0]])
    """
    last = np.asarray(outcomes, dtype=np.float64)
    units, p = len(last), len(names)
    counts, means = np.zeros((units, len(sides))), np.full((units, p), np.nan)
    scatter, side = np.zeros((units, p, p)), np.full(p, -1)
    at = 0
    for s, (_, codes, values) in enumerate(sides):
        rows, unit = np.asarray(values, dtype=np.float64), np.asarray(codes, dtype=np.intp)
        width = rows.shape[1]
        place = slice(at, at + width)
        counts[:, s] = np.bincount(unit, minlength=units)
        means[:, place], scatter[:, place, place] = _within_units(unit, rows, counts[:, s])
        side[place] = s
        at += width
    means[:, at:] = last
    return UnitMoments(tuple(names), tuple(name for name, _, _ in sides), side, counts, means, scatter)


def _within_units(unit: IntArray, rows: FloatArray, count: FloatArray) -> tuple[FloatArray, FloatArray]:
    units, width = len(count), rows.shape[1]
    filled = np.where(count > 0, count, np.nan)
    centre = rows.mean(axis=0) if len(rows) else np.zeros(width)
    rows = rows - centre
    means = np.column_stack([np.bincount(unit, rows[:, i], units) for i in range(width)]) / filled[:, None]
    rows = rows - means[unit]
    scatter = np.empty((units, width, width))
    for i in range(width):
        for j in range(i + 1):
            scatter[:, i, j] = scatter[:, j, i] = np.bincount(unit, rows[:, i] * rows[:, j], units)
    return means + centre, scatter


@dataclass(frozen=True, eq=False)
class SizeClasses:
    """Units put together by their sizes and the variables they have: G classes.

    Attributes
    ----------
    of : (J,) int array
        Class of each unit.
    number : (G,) array
        Units of each class.
    present : (G, p) bool array
    share : (G, p) array
        One over the respondents behind each mean; 0 for unit outcomes and absent variables.
    mean : (G, p) array
        Means over the units of a class; 0 where absent.
    scatter : (G, p, p) array
        Cross-products of the units' means around them.
    """

    of: IntArray
    number: FloatArray
    present: BoolArray
    share: FloatArray
    mean: FloatArray
    scatter: FloatArray

    @classmethod
    def find(cls, units: UnitMoments) -> SizeClasses:
        """Sort the units into classes."""
        present, p = units.present, len(units.names)
        counts = np.where(units.side >= 0, units.counts[:, units.side], 0.0) if units.sides else np.zeros_like(present)
        keys = np.concatenate([np.where(present, counts, 0.0), present], axis=1)
        first, of = np.unique(keys, axis=0, return_inverse=True)
        of = of.reshape(-1)
        number = np.bincount(of).astype(np.float64)
        here = first[:, p:] > 0
        share = np.where(first[:, :p] > 0, 1.0 / np.maximum(first[:, :p], 1.0), 0.0)
        values = np.where(present, units.means, 0.0)
        sums = np.zeros((len(number), p))
        np.add.at(sums, of, values)
        mean = sums / number[:, None]
        apart = values - mean[of]
        scatter = np.zeros((len(number), p, p))
        if len(number) < len(of):
            np.add.at(scatter, of, apart[:, :, None] * apart[:, None, :])
        return cls(of, number, here, share, mean, scatter)


@dataclass(frozen=True, eq=False, slots=True)
class Level2:
    """The likelihood and its first derivatives at given moments.

    Attributes
    ----------
    value : float
        Minus the log-likelihood, up to constants.
    weight : (G, p, p) array
        ``W``; zero where variables are absent.
    cross : (G, p, p) array
        ``W T W``, summed over the units of a class.
    pull : (G, p) array
        ``number * W (mean - mu)``.
    inverse : (p, p) array
        Inverse of ``sigma_w``, side by side; zero for outcomes.
    mu, sigma_b, sigma_w : (p,), (p, p), (p, p) arrays
        Gradients: ``d value = mu . d mu + tr(sigma_b d sigma_b) + tr(sigma_w d sigma_w)``.
    """

    value: float
    weight: FloatArray
    cross: FloatArray
    pull: FloatArray
    inverse: FloatArray
    mu: FloatArray
    sigma_b: FloatArray
    sigma_w: FloatArray


def level2(
    units: UnitMoments, classes: SizeClasses, mu: FloatArray, sigma_b: FloatArray, sigma_w: FloatArray
) -> Level2 | None:
    """Minus the log-likelihood and its gradient in the moments; None where a matrix is not positive definite.

    Parameters
    ----------
    units : UnitMoments
    classes : SizeClasses
    mu : (p,) array
    sigma_b, sigma_w : (p, p) arrays
        ``sigma_w`` is zero between sides and for outcomes.
    """
    here, share = classes.present, classes.share
    both = here[:, :, None] & here[:, None, :]
    joint = np.where(both, sigma_b + sigma_w * share[:, :, None], 0.0)
    diagonal = np.arange(len(mu))
    joint[:, diagonal, diagonal] += ~here
    people = units.side >= 0
    inner = np.where(units.own, sigma_w, 0.0)
    inner[diagonal, diagonal] += ~people
    try:
        factor, root = np.linalg.cholesky(joint), np.linalg.cholesky(inner)
        weight, inverse = np.linalg.inv(joint), np.linalg.inv(inner)
    except np.linalg.LinAlgError:
        return None
    weight, inverse = np.where(both, weight, 0.0), np.where(units.own, inverse, 0.0)
    freedom = np.where(people, np.append(units.freedom, 0.0)[units.side], 0.0)
    apart = np.where(here, classes.mean - mu, 0.0)
    toward = np.matmul(weight, apart[:, :, None])[:, :, 0]
    pull = classes.number[:, None] * toward
    cross = toward[:, :, None] * pull[:, None, :]
    trace = float((apart * pull).sum())
    if len(classes.number) < len(classes.of):
        spread = weight @ classes.scatter
        trace += float(np.trace(spread, axis1=1, axis2=2).sum())
        cross += spread @ weight
    height = 2.0 * classes.number @ np.log(factor[:, diagonal, diagonal]).sum(axis=1)
    height += 2.0 * float(freedom @ np.log(root.diagonal()))
    inside = inverse @ units.pooled
    value = 0.5 * (height + trace + float(np.trace(inside)))
    slope = 0.5 * (classes.number[:, None, None] * weight - cross)
    slope_w = np.where(units.own, (slope * share[:, :, None]).sum(axis=0), 0.0)
    slope_w += 0.5 * (freedom[:, None] * inverse - inside @ inverse)
    return Level2(float(value), weight, cross, pull, inverse, -pull.sum(axis=0), slope.sum(axis=0), slope_w)


@dataclass(frozen=True, eq=False, slots=True)
class Curvature:
    """Second derivatives of minus the log-likelihood in the moments, or their expectation.

    Attributes
    ----------
    mu : (p, p) array
    mu_b, mu_w : (p, p*p) arrays
        Between means and covariances; zero in expectation.
    b, bw, w : (p*p, p*p) arrays
        ``vec(d1)' K vec(d2)`` is the second derivative along two symmetric directions.
    """

    mu: FloatArray
    mu_b: FloatArray
    mu_w: FloatArray
    b: FloatArray
    bw: FloatArray
    w: FloatArray


def curvature(units: UnitMoments, classes: SizeClasses, at: Level2, *, expected: bool) -> Curvature:
    """Second derivatives in the moments.

    Parameters
    ----------
    units : UnitMoments
    classes : SizeClasses
    at : Level2
    expected : bool
        Expectation under the model in place of the data's own.
    """
    p, share = len(units.names), classes.share
    half = 0.5 * classes.number[:, None, None] * at.weight
    outer = half if expected else at.cross - half
    scaled = at.weight * share[:, None, :]
    b = kronecker(outer, at.weight)
    bw = kronecker(outer, scaled)
    w = kronecker(outer * share[:, :, None], scaled)
    freedom = np.where(units.side >= 0, np.append(units.freedom, 0.0)[units.side], 0.0)
    flat = 0.5 * freedom[:, None] * at.inverse
    inner = flat if expected else at.inverse @ units.pooled @ at.inverse - flat
    w = w + np.einsum("ik,jl->ijkl", inner, at.inverse).reshape(p * p, p * p)
    mu = (classes.number[:, None, None] * at.weight).sum(axis=0)
    nothing = np.zeros((p, p * p))
    if expected:
        return Curvature(mu, nothing, nothing, b, bw, w)
    stacked = at.weight.reshape(len(share), p * p)
    mu_b = (stacked.T @ at.pull).reshape(p, p * p)
    mu_w = (stacked.T @ (at.pull * share)).reshape(p, p * p)
    return Curvature(mu, mu_b, mu_w, b, bw, w)


def kronecker(outer: FloatArray, inner: FloatArray) -> FloatArray:
    """``K[(i, j), (k, l)] = sum_g outer_g[i, k] inner_g[j, l]``."""
    g, p = outer.shape[:2]
    product = outer.reshape(g, p * p).T @ inner.reshape(g, p * p)
    return np.asarray(product.reshape(p, p, p, p).transpose(0, 2, 1, 3).reshape(p * p, p * p))


def unit_scores(
    units: UnitMoments, classes: SizeClasses, at: Level2, mu: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Each unit's part of the gradient of minus the log-likelihood.

    Returns
    -------
    mu : (J, p) array
    sigma_b, sigma_w : (J, p*p) arrays
        In the sense of :class:`Level2`.
    """
    weight, share = at.weight[classes.of], classes.share[classes.of]
    apart = np.where(units.present, units.means - mu, 0.0)
    toward = np.matmul(weight, apart[:, :, None])[:, :, 0]
    slope = 0.5 * (weight - toward[:, :, None] * toward[:, None, :])
    freedom = np.where(units.side >= 0, np.maximum(units.counts - 1.0, 0.0)[:, units.side], 0.0)
    inner = np.where(units.own, slope * share[:, :, None], 0.0)
    inner += 0.5 * (freedom[:, :, None] * at.inverse - at.inverse @ units.scatter @ at.inverse)
    flat = len(apart), -1
    return -toward, slope.reshape(flat), inner.reshape(flat)


def require_replies(units: UnitMoments) -> None:
    """Raise where a side cannot tell units from respondents.

    Raises
    ------
    DataError
        A side has too few respondents beyond the first of their unit.
    """
    for s, name in enumerate(units.sides):
        width = int((units.side == s).sum())
        if units.freedom[s] <= width:
            raise DataError.of(
                name, None, "no_replication",
                f"{units.counts[:, s].sum():.0f} respondents in {(units.counts[:, s] > 0).sum()} units",
                f"more than {width} respondents beyond the first of their unit",
                "What units share is told apart from what respondents differ in only where units have several.",
            )  # fmt: skip
