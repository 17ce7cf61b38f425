"""What is known before the data, as penalties on the log-likelihood of a two-level model.

With few units the likelihood of a variance between units often peaks near zero, and what is regressed on that variable
grows without limit. :class:`Boundary` keeps off that edge: a gamma density of shape 2 and vanishing rate for the
residual standard deviation of each cause, that is half the logarithm of its variance, or of the determinant where
residuals of several causes covary (Chung, Rabe-Hesketh, Dorie, Gelman & Liu 2013, Psychometrika 78, 685-709; Chung,
Gelman, Rabe-Hesketh, Liu & Dorie 2015, Journal of Educational and Behavioral Statistics 40, 136-157). It is of the
order of one unit among all. :class:`KnownLinks` holds normal densities of standardised links.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.sem.engine.ram import IntArray, Structure, implied
from spc.sem.twolevel.between import Structured, log_determinant, row_slopes
from spc.sem.twolevel.maps import Guard

__all__ = ["WEIGHT", "Boundary", "Known", "KnownLinks", "causes_of", "known_links"]

WEIGHT = 0.5
"""Weight of the logarithm of a variance: a gamma density of shape 2 for its root."""
_STEP = 1e-6


@dataclass(frozen=True, eq=False)
class Boundary:
    """Half the logarithm of the determinant of the residual covariances of causes.

    Attributes
    ----------
    causes : (c,) int array
        Their places among the variables of the model.
    """

    causes: IntArray

    def at(self, between: Structured, t: FloatArray) -> Guard | None:
        """The penalty at coordinates of the structure; None where the residual covariances are impossible."""
        problem = between.problem
        residual = implied(problem.place, problem.values(between.table(t))).residual
        block = np.ix_(self.causes, self.causes)
        try:
            root = np.linalg.cholesky(residual[block])
            inverse = np.zeros_like(residual)
            inverse[block] = np.linalg.inv(residual[block])
        except np.linalg.LinAlgError:
            return None
        slope, convex = log_determinant(problem, inverse)
        turn, value = between.turn(t), -2.0 * WEIGHT * float(np.log(root.diagonal()).sum())
        convex = WEIGHT * turn.T @ convex @ turn
        return Guard(value, -WEIGHT * turn.T @ slope, convex + between.curl(-WEIGHT * slope), convex)


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


def causes_of(place: Structure, sampled: IntArray) -> IntArray:
    """Places of causes whose values rest on samples of respondents: among those ``sampled``, and latent ones."""
    rows = place.directed_rows[~place.loading[place.directed_rows]]
    causes = np.unique(place.column[rows])
    return np.asarray(causes[np.isin(causes, sampled) | (causes >= place.n_observed)], dtype=np.intp)


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
