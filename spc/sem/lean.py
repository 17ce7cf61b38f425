"""How a fit leans on any row of its table, free or held: score and expected information for every way of fitting.

What score tests need, for rows that the fit did not estimate: under maximum likelihood from stacked products of small
matrices (:mod:`spc.sem.engine.ml`); with missing answers and under least squares through the derivatives of the
moments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from spc.linalg import FloatArray
from spc.sem.engine.joint import shares_of
from spc.sem.engine.ml import Point, score_and_information
from spc.sem.engine.problem import Problem
from spc.sem.engine.ram import IntArray, Structure, directions
from spc.sem.missing.fiml import Answers, evaluate, observed_information
from spc.sem.missing.incomplete import information_in_moments, lay_out
from spc.sem.ordinal.problem import OrdinalProblem, implied_statistics
from spc.sem.ordinal.problem import slopes as ordinal_slopes
from spc.sem.twolevel.lean import lean_levels
from spc.sem.weighted import Weight, residual_moments

if TYPE_CHECKING:
    from spc.sem.fit import SemFit

__all__ = ["Fitted", "Lean", "information_of", "lean", "leans", "rows_of_tests"]


class Fitted(Protocol):
    """One block of a fit: a whole fit of one group, or a group of it."""

    @property
    def problem(self) -> Problem:
        """Model and moments as they were fitted."""

    @property
    def point(self) -> Point:
        """Implied moments at the solution."""

    @property
    def answers(self) -> Answers | None:
        """Patterns of rows with missing answers."""

    @property
    def weight(self) -> Weight | None:
        """Weights of the moments under least squares."""


def lean(part: Fitted, x: FloatArray, place: Structure, rows: IntArray) -> tuple[FloatArray, FloatArray]:
    """Score (minus half of the gradient of F) and expected information of rows of a table, for one row of data.

    Parameters
    ----------
    part : Fitted
    x : (k,) array
        Coordinates of the solution.
    place : Structure
        Of the model fitted, or of one with more rows and the same variables.
    rows : (r,) int array
        Rows of ``place``.

    Returns
    -------
    score : (r,) array
    information : (r, r) array
    """
    if isinstance(part.problem, OrdinalProblem):
        return _of_ordered(part.problem, part.point, x, place, rows)
    if part.answers is not None:
        return _of_answers(part.problem, part.answers, x, place, rows)
    if part.weight is not None:
        return _of_weights(part.problem, part.point, part.weight, place, rows)
    return score_and_information(place, part.point, part.problem.sample, rows)


@dataclass(frozen=True, eq=False, slots=True)
class Lean:
    """Score and information of rows of parts that have information on one another, for one row of their data.

    Attributes
    ----------
    parts : tuple of int
        Places of the parts among those of the fit: one, or both levels of a group.
    starts : tuple of int
        First row of each.
    score : (r,) array
    information : (r, r) array
    share : float
        Of all rows of data.
    """

    parts: tuple[int, ...]
    starts: tuple[int, ...]
    score: FloatArray
    information: FloatArray
    share: float


def leans(fit: SemFit, x: FloatArray, places: Sequence[Structure], rows: Sequence[IntArray]) -> list[Lean]:
    """How a fit leans on rows of the tables of all its parts: see :func:`lean`.

    Parameters
    ----------
    fit : SemFit
    x : (k,) array
        Coordinates of the solution.
    places : sequence of Structure
        One a part.
    rows : sequence of (r,) int arrays
        Of each.
    """
    if fit.levels is None:
        shares = shares_of(fit.system)
        each = zip(range(len(places)), fit.parts, places, rows, shares, strict=True)
        return [Lean((i,), (0,), *lean(part, x, place, own), float(share)) for i, part, place, own, share in each]
    found = []
    for i, group in enumerate(fit.levels.groups):
        pair = slice(2 * i, 2 * i + 2)
        score, information = lean_levels(group, x, places[pair], rows[pair])
        share = group.sample.clusters.rows / fit.system.n
        found.append(Lean((2 * i, 2 * i + 1), (0, rows[2 * i].size), score, information, share))
    return found


def _of_answers(
    problem: Problem, answers: Answers, x: FloatArray, place: Structure, rows: IntArray
) -> tuple[FloatArray, FloatArray]:
    p = problem.place.n_observed
    data = lay_out(answers.patterns, problem.scale[:p])
    spot = evaluate(problem, data, x)
    assert spot is not None
    way = directions(place, spot.at, rows, p)
    first, second = np.triu_indices(p)
    products = way.p[second] * way.q[first] + way.q[second] * way.p[first]
    means = np.zeros_like(way.p) if way.mu is None else way.mu
    jacobian = np.concatenate([means, products])
    score = np.einsum("ij,ij->j", way.p, spot.found.tension @ way.q) + spot.found.pull @ means
    return score, np.asarray(jacobian.T @ information_in_moments(data, spot.found.inverse) @ jacobian)


def _of_ordered(
    problem: OrdinalProblem, point: Point, x: FloatArray, place: Structure, rows: IntArray
) -> tuple[FloatArray, FloatArray]:
    """As if the rows were the free ones, each a coordinate of its own."""
    values = np.concatenate([problem.values(x), np.zeros(len(place.free) - len(problem.place.free))])
    asked = replace(problem, place=place, active=rows, map=np.eye(rows.size), plain=False)
    jacobian = problem.weigh(ordinal_slopes(asked, values, point.at))
    gap = problem.statistics - implied_statistics(problem, problem.values(x), point.at)
    return np.asarray(jacobian.T @ problem.weigh(gap[:, None])[:, 0]), np.asarray(jacobian.T @ jacobian)


def _of_weights(
    problem: Problem, point: Point, weight: Weight, place: Structure, rows: IntArray
) -> tuple[FloatArray, FloatArray]:
    p = place.n_observed
    way = directions(place, point.at, rows, p)
    first, second = np.triu_indices(p)
    products = way.p[first] * way.q[second] + way.p[second] * way.q[first]
    jacobian = weight.apply(products if way.mu is None else np.concatenate([way.mu, products]))
    residual = weight.apply(residual_moments(problem, point.at)[:, None])[:, 0]
    return weight.constant * (jacobian.T @ residual), weight.constant * np.asarray(jacobian.T @ jacobian)


def rows_of_tests(fit: SemFit) -> int:
    """What a score test multiplies by: rows, or the divisor of the statistic under least squares."""
    part = fit.parts[0]
    weighted = part.weight is not None or isinstance(part.problem, OrdinalProblem)
    return fit.system.divisor if weighted else fit.system.n


def information_of(fit: SemFit) -> FloatArray:
    """Information in coordinates (k, k), for one row of data: observed with missing answers, else expected."""
    x = fit.system.coordinates(fit.solution.theta)
    total = np.zeros((x.size, x.size))
    for share, part in zip(shares_of(fit.system), fit.parts, strict=True):
        problem = part.problem
        if part.answers is not None:
            data = lay_out(part.answers.patterns, problem.scale[: problem.place.n_observed])
            spot = evaluate(problem, data, x)
            assert spot is not None
            total += share * observed_information(problem, data, spot)
        else:
            total += share * problem.map.T @ lean(part, x, problem.place, problem.active)[1] @ problem.map
    return total
