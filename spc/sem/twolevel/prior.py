"""What is known before the data, as penalties on the log-likelihood of a two-level model.

With few units the likelihood of a variance between units often peaks near zero, and what is regressed on that variable
grows without limit. :class:`Boundary` keeps off that edge by a gamma density of vanishing rate for the standard
deviation of each cause, that is a multiple of the logarithm of its variance, or of the determinant where several causes
covary (Chung, Rabe-Hesketh, Dorie, Gelman & Liu 2013, Psychometrika 78, 685-709; Chung, Gelman, Rabe-Hesketh, Liu &
Dorie 2015, Journal of Educational and Behavioral Statistics 40, 136-157). :class:`KnownLinks` holds normal densities of
standardised links.

The multiple is :data:`WEIGHT`, which makes links right on average to second order; the authors named above, who look
for the variance itself, take a half. Let ``s`` and ``c`` be estimates of a cause's variance ``v`` and of its
covariance with an effect, from J units whose means of the cause have reliability ``r``. Relative to itself the link
``c / s`` is too large by ``(Var(s) - Cov(s, c) v / c) / v^2`` on average, and by ``r / 2`` of that again because
means are estimated. Adding ``a log v`` to the log-likelihood moves ``s`` by ``a Var(s) / v`` and ``c`` by ``a Cov(s,
c) / v``, so that the link falls by ``a`` times the same: ``a = 1 + r / 2``, which is 1.15 to 1.25 where means are
unreliable and it matters. Where ``J r^2`` is small as well that is too much: for a cause alone the bias is an integral
over one chi-square, and ``a`` is .74 with 40 units and ``r = .31``, 1.02 with 150. A weight that followed the estimate
of ``r`` would be low in the firms whose estimate is, and overshoot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.sem.engine.ml import bend
from spc.sem.engine.ram import Implied, IntArray, Structure, directions, implied
from spc.sem.twolevel.between import Structured, row_slopes
from spc.sem.twolevel.maps import Guard

__all__ = ["WEIGHT", "Boundary", "Known", "KnownLinks", "boundary_of", "known_links"]

WEIGHT = 1.2
"""Of the logarithm of a variance: a gamma density of shape 3.4 for its root."""
_STEP = 1e-6
_UNKNOWN = -2


@dataclass(frozen=True, eq=False)
class Boundary:
    """The logarithm of the determinant of covariances of causes: what is left of them, and part of what is explained.

    Were it the residual covariances, a high variance of the cause ``y`` would take from the link into it, ``x -> y``.
    The errors of ``x`` and ``y`` are independent where their respondents differ, and what hardly hangs together with
    the link is the residual variance of ``y`` with a share of what ``x`` explains: to second order ``1 - r``, with
    ``r`` the reliability of the unit means of ``x``. The share here is ``1 - r^2``, which simulations of 40 and 80
    units bear out. Causes of the same side share their respondents, and there it is the residual variance alone.

    Attributes
    ----------
    place : Structure
    causes : (c,) int array
        Their places among the variables of the model.
    crossing : (m,) int array
        Rows of the links into them from causes of another side.
    share : (v,) array
        Of what each variable explains on another side, what counts.
    """

    place: Structure
    causes: IntArray
    crossing: IntArray
    share: FloatArray

    def at(self, between: Structured, t: FloatArray) -> Guard | None:
        """The penalty at coordinates of the structure; None where the covariances are impossible."""
        problem = between.problem
        values = problem.values(between.table(t))
        here = implied(self.place, values)
        across = np.zeros((len(self.place.variables),) * 2)
        across[self.place.row[self.crossing], self.place.column[self.crossing]] = values[self.crossing]
        across *= self._root
        block = here.residual + across @ here.covariance @ across.T
        try:
            root = np.linalg.cholesky(block[np.ix_(self.causes, self.causes)])
        except np.linalg.LinAlgError:
            return None
        inner = np.linalg.inv(root)
        turned = np.einsum("ai,ijr,bj->abr", inner, self._slopes(here, across[self.causes]), inner)
        turned = turned.reshape(len(inner) ** 2, -1) @ problem.map
        slope = -WEIGHT * turned[:: len(inner) + 1].sum(axis=0)
        turn = between.turn(t)
        convex = WEIGHT * turn.T @ turned.T @ turned @ turn
        more = between.curl(slope)
        if self.crossing.size:
            inverse = np.zeros_like(across)
            inverse[np.ix_(self.causes, self.causes)] = inner.T @ inner
            rest = problem.map.T @ self._bends(here, across, inverse) @ problem.map
            more = more - WEIGHT * turn.T @ rest @ turn
        return Guard(-2.0 * WEIGHT * float(np.log(root.diagonal()).sum()), turn.T @ slope, convex + more, convex)

    @cached_property
    def _root(self) -> FloatArray:
        """(v,): what links of another side are multiplied by."""
        return np.sqrt(self.share)

    @cached_property
    def _whole(self) -> Structure:
        """The model with all its variables observed."""
        return replace(self.place, n_observed=len(self.place.variables))

    @cached_property
    def _chosen(self) -> tuple[IntArray, IntArray, IntArray]:
        """Crossing rows that are free: number among the free rows, effect and cause."""
        own = np.flatnonzero(np.isin(self.place.active, self.crossing))
        rows = self.place.active[own]
        return own, self.place.row[rows], self.place.column[rows]

    def _slopes(self, here: Implied, across: FloatArray) -> FloatArray:
        """Derivatives (c, c, r) of the covariances of causes on the free rows; ``across`` (c, v)."""
        place, rows = self.place, self.place.active
        number = np.full(len(place.variables), -1)
        number[self.causes] = np.arange(self.causes.size)
        slopes = np.zeros((self.causes.size, self.causes.size, rows.size))
        spread = np.flatnonzero(np.isin(rows, place.covariance_rows))
        one, two = number[place.row[rows[spread]]], number[place.column[rows[spread]]]
        both = (one >= 0) & (two >= 0)
        slopes[one[both], two[both], spread[both]] = slopes[two[both], one[both], spread[both]] = 1.0
        if not self.crossing.size:
            return slopes
        way = directions(self._whole, here, rows, len(place.variables))
        half = (across @ way.p)[:, None, :] * (across @ way.q)[None, :, :]
        own, effect, cause = self._chosen
        half[number[effect], :, own] += ((across @ here.covariance)[:, cause] * self._root[cause]).T
        return np.asarray(slopes + half + half.transpose(1, 0, 2))

    def _bends(self, here: Implied, across: FloatArray, inverse: FloatArray) -> FloatArray:
        """Second derivatives (r, r) of the trace of ``inverse`` (v, v) times the covariances of causes."""
        rows, size = self.place.active, len(self.place.variables)
        weighed = inverse @ across
        total = bend(self._whole, here, 2.0 * across.T @ weighed, None, rows)
        way = directions(self._whole, here, rows, size)
        own, effect, cause = self._chosen
        root = self._root[cause]
        mixed = (weighed @ way.p)[effect] * way.q[cause] + (weighed @ way.q)[effect] * way.p[cause]
        total[own] += 2.0 * root[:, None] * mixed
        total[:, own] += 2.0 * (root[:, None] * mixed).T
        both = inverse[np.ix_(effect, effect)] * here.covariance[np.ix_(cause, cause)] * np.outer(root, root)
        total[np.ix_(own, own)] += 2.0 * both
        return np.asarray(total)


@dataclass(frozen=True, slots=True)
class Known:
    """Normal density of the standardised link from ``rhs`` to ``lhs``."""

    lhs: str
    rhs: str
    mean: float
    deviation: float


@dataclass(frozen=True, eq=False)
class KnownLinks:
    """Independent normal densities of links in standard deviations of units.

    Attributes
    ----------
    rows : (m,) int array
        Rows of the links in the model's table.
    mean, deviation : (m,) arrays
    """

    rows: IntArray
    mean: FloatArray
    deviation: FloatArray

    def at(self, between: Structured, t: FloatArray) -> Guard:
        """The penalty at coordinates of the structure; curvature beyond the Gauss-Newton part by differences."""
        value, slopes = self.links(between, t)
        apart = (value - self.mean) / self.deviation**2
        convex = slopes.T @ (slopes / self.deviation[:, None] ** 2)
        bend = convex.copy()
        for k in range(t.size):
            step = np.zeros(t.size)
            step[k] = _STEP * max(abs(float(t[k])), 1.0)
            bend[k] += apart @ (self.links(between, t + step)[1] - slopes) / step[k]
        size = float((self.deviation**2 * apart) @ apart)
        return Guard(0.5 * size, slopes.T @ apart, 0.5 * (bend + bend.T), convex)

    def links(self, between: Structured, t: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Standardised links (m,) and their derivatives (m, k)."""
        place, problem = between.problem.place, between.problem
        sigma, slopes = between.whole(t)
        p = len(sigma)
        effect, cause = place.row[self.rows], place.column[self.rows]
        values = problem.values(between.table(t))[self.rows]
        variance, moved = sigma.diagonal(), slopes[np.arange(p) * (p + 1)]
        ratio = np.sqrt(variance[cause] / variance[effect])
        relative = 0.5 * (moved[cause] / variance[cause][:, None] - moved[effect] / variance[effect][:, None])
        direct = row_slopes(problem, self.rows) @ between.turn(t)
        return values * ratio, ratio[:, None] * direct + (values * ratio)[:, None] * relative


def boundary_of(place: Structure, side: IntArray, reliability: FloatArray) -> tuple[Boundary, ...]:
    """The penalty on the variances of causes that rest on samples of respondents; none where there are no such causes.

    Parameters
    ----------
    place : Structure
    side : (p,) int array
        Side of each observed variable; -1 for outcomes of the unit.
    reliability : (p,) array
        Of the unit means of each, about.
    """
    own, rows = _sides(place, side), place.directed_rows[~place.loading[place.directed_rows]]
    causes = np.unique(place.column[rows])
    causes = causes[(own[causes] >= 0) | (causes >= place.n_observed)]
    if not causes.size:
        return ()
    effect, cause = own[place.row[rows]], own[place.column[rows]]
    crossing = np.isin(place.row[rows], causes) & (effect >= 0) & (cause >= 0) & (effect != cause)
    share = np.ones(len(place.variables))
    share[: place.n_observed] -= reliability**2
    return (Boundary(place, np.asarray(causes, dtype=np.intp), rows[crossing], share),)


def _sides(place: Structure, side: IntArray) -> IntArray:
    """Side of each variable: a construct has that of its items, or none that is known where they have several."""
    own = np.append(side, np.full(len(place.variables) - len(side), _UNKNOWN))
    loadings = place.directed_rows[place.loading[place.directed_rows]]
    for construct in np.unique(place.column[loadings]).tolist():
        items = np.unique(own[place.row[loadings[place.column[loadings] == construct]]])
        own[construct] = items[0] if items.size == 1 else _UNKNOWN
    return np.asarray(own, dtype=np.intp)


def known_links(place: Structure, known: Sequence[Known]) -> tuple[KnownLinks, ...]:
    """One penalty of all links of which something is known; none where nothing is.

    Raises
    ------
    UsageError
        A density of what is no link of the model.
    """
    if not known:
        return ()
    rows = {
        (place.variables[place.row[row]], place.variables[place.column[row]]): int(row)
        for row in place.directed_rows
        if not place.loading[row]
    }
    for one in known:
        if (one.lhs, one.rhs) not in rows:
            there = ", ".join(f"{lhs} ~ {rhs}" for lhs, rhs in rows)
            raise UsageError(f"A prior for {one.lhs} ~ {one.rhs}, which is no link of the chain. There are: {there}.")
    return (
        KnownLinks(
            np.array([rows[one.lhs, one.rhs] for one in known], dtype=np.intp),
            np.array([one.mean for one in known]),
            np.array([one.deviation for one in known]),
        ),
    )
