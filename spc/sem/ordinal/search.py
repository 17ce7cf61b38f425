"""Weighted least squares on thresholds and correlations: the residuals, the search, its errors and its tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spc.errors import NonConvergenceError
from spc.linalg import FloatArray
from spc.sem.engine.diagnose import growing, inverse_of, no_start, not_identified, null_parameters, singular
from spc.sem.engine.joint import State, System, problems_of, shares_of
from spc.sem.engine.least_squares import first_end, point_of, search_squares
from spc.sem.engine.ml import Point
from spc.sem.engine.optimise import Search, Solution
from spc.sem.engine.ram import Implied, implied
from spc.sem.ordinal.problem import OrdinalProblem, implied_statistics, slopes

__all__ = [
    "OrdinalBlocks", "Spread", "independence", "ordinal_blocks", "ordinal_problems", "ordinal_search", "ordinal_solve",
    "pulls", "spread",
]  # fmt: skip

Spot = tuple[FloatArray, Implied]


def ordinal_problems(system: System) -> tuple[OrdinalProblem, ...]:
    """The blocks of a system of ordered items."""
    return tuple(problem for problem in problems_of(system) if isinstance(problem, OrdinalProblem))


@dataclass(frozen=True, eq=False, slots=True)
class OrdinalBlocks:
    """Blocks of ordered items, as :class:`~spc.sem.engine.least_squares.Squares`; each by its share's root in F."""

    problems: tuple[OrdinalProblem, ...]
    roots: FloatArray
    size: float = 1.0

    def implied(self, x: FloatArray) -> tuple[Spot, ...] | None:
        """Values of all rows, and what they imply, in each block; None where some block implies nothing finite."""
        found = []
        for problem in self.problems:
            try:
                with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                    values = problem.values(x)
                    at = problem.conditional(values)
            except np.linalg.LinAlgError:
                return None
            if not (np.isfinite(at.covariance).all() and np.isfinite(values).all()):
                return None
            found.append((values, at))
        return tuple(found)

    def residual(self, at: tuple[Spot, ...]) -> FloatArray:
        """Weighted residuals of all statistics of all blocks."""
        parts = zip(self.roots, self.problems, at, strict=True)
        return np.concatenate([root * _residual(problem, spot) for root, problem, spot in parts])

    def jacobian(self, at: tuple[Spot, ...]) -> FloatArray:
        """Minus their derivatives in coordinates."""
        parts = zip(self.roots, self.problems, at, strict=True)
        return np.concatenate([root * problem.weigh(slopes(problem, *spot)) for root, problem, spot in parts])

    def state(self, at: tuple[Spot, ...]) -> State:
        """F and the points of the blocks."""
        points = [_point(problem, spot) for problem, spot in zip(self.problems, at, strict=True)]
        return State(float(self.roots**2 @ [point.value for point in points]), tuple(points))


def ordinal_blocks(system: System) -> OrdinalBlocks:
    """Blocks of a system with their shares in F."""
    return OrdinalBlocks(ordinal_problems(system), np.sqrt(shares_of(system)))


def _residual(problem: OrdinalProblem, spot: Spot) -> FloatArray:
    return problem.weigh((problem.statistics - implied_statistics(problem, *spot))[:, None])[:, 0]


def _point(problem: OrdinalProblem, spot: Spot) -> Point:
    p, mean, at = problem.place.n_observed, problem.sample.mean, implied(problem.place, spot[0])
    value = float((_residual(problem, spot) ** 2).sum())
    return point_of(at, p, value, None if mean is None else mean - at.mean[:p])


def ordinal_search(system: System, start: FloatArray) -> Search | None:
    """Minimise F from ``start``; see :func:`spc.sem.engine.least_squares.search_squares`."""
    return search_squares(ordinal_blocks(system), start)


def ordinal_solve(system: System) -> Search:
    """Search from one set of start values after another.

    Raises
    ------
    NonConvergenceError
        None of the searches ended; carries the best of them.
    NotPositiveDefiniteError
        The model implies nothing at its start values.
    """
    best = first_end(system, lambda start: ordinal_search(system, start))
    if best is not None and best.converged:
        return best
    if best is None:
        raise no_start(system)
    information = _nearby(system, best.x)
    if information is not None and inverse_of(information) is None:
        raise not_identified(null_parameters(system, information))
    message = f"stopped after {best.iterations} steps"
    raise NonConvergenceError(
        f"The search stopped after {best.iterations} steps before the gradient was zero. Usually the model does not "
        "fit these data anywhere near: look for a latent variable with items that do not correlate, or give start "
        f"values.{growing(system, best.x)}",
        Solution(system.theta(best.x), best.value, best.decrement**0.5, best.iterations, "not converged", message),
    )


def _nearby(system: System, x: FloatArray) -> FloatArray | None:
    """Information at a random point near ``x``."""
    rng = np.random.default_rng(0)
    blocks = ordinal_blocks(system)
    for size in (0.1, 0.03, 0.01):
        near = x * (1.0 + size * rng.standard_normal(x.size)) + size * 0.1 * rng.standard_normal(x.size)
        spots = blocks.implied(near)
        if spots is not None:
            jacobian = blocks.jacobian(spots)
            return np.asarray(jacobian.T @ jacobian)
    return None


@dataclass(frozen=True, eq=False, slots=True)
class Spread:
    """Sampling covariances of the coordinates, and what the tests need.

    Attributes
    ----------
    naive, robust : (k, k) arrays
        From the inverse information, which holds only where the weights are the inverse of ``Gamma``; and the
        sandwich with ``Gamma``.
    trace, square : float
        ``tr(U Gamma)`` and ``tr(U Gamma U Gamma)`` of the model: mean and half the variance of its statistic.
    base, base_trace, base_square : float
        Statistic and traces of the independence model.
    base_df : int
    """

    naive: FloatArray
    robust: FloatArray
    trace: float
    square: float
    base: float
    base_trace: float
    base_square: float
    base_df: int


def spread(system: System, end: Search) -> Spread:
    """Errors and traces at the end of a search.

    Raises
    ------
    NotIdentifiedError, SingularInformationError
        The information is singular: near any parameter values, or at these only.
    """
    problems = ordinal_problems(system)
    shares = np.array([problem.n / system.n for problem in problems])
    blocks = OrdinalBlocks(problems, np.sqrt(shares))
    spots = blocks.implied(end.x)
    assert spots is not None
    every = blocks.jacobian(spots)
    bread = inverse_of(every.T @ every)
    if bread is None:
        raise _singular(system, end)
    k = end.x.size
    meat, second = np.zeros((k, k)), np.zeros((k, k))
    trace, square, base = 0.0, 0.0, np.zeros(3)
    for share, problem, spot in zip(shares, problems, spots, strict=True):
        jacobian = problem.weigh(slopes(problem, *spot))
        gamma = problem.weigh(problem.weigh(problem.gamma).T)
        half = gamma @ jacobian
        meat += share * (jacobian.T @ half)
        second += share * (half.T @ half)
        trace += float(np.trace(gamma))
        square += float(np.vdot(gamma, gamma))
        base += np.array(independence(problem, gamma)) * [problem.divisor, 1.0, 1.0]
    inner = bread @ meat
    return Spread(
        bread / system.divisor,
        0.5 * (inner @ bread + (inner @ bread).T) / system.divisor,
        trace - float(np.trace(inner)),
        square - 2.0 * float(np.vdot(bread, second)) + float(np.vdot(inner, inner.T)),
        float(base[0]), float(base[1]), float(base[2]),
        sum(problem.alone.size for problem in problems),
    )  # fmt: skip


def _singular(system: System, end: Search) -> Exception:
    nearby = _nearby(system, end.x)
    if nearby is not None and inverse_of(nearby) is None:
        return not_identified(null_parameters(system, nearby))
    named = null_parameters(system, end.information)
    solution = Solution(
        system.theta(end.x), end.value, end.decrement**0.5, end.iterations, "converged", "singular information"
    )
    return singular(named, solution)


def pulls(system: System, x: FloatArray) -> list[FloatArray]:
    """Derivatives (k, m) of the estimated coordinates on the balanced statistics of each block.

    Parameters
    ----------
    system : OrdinalProblem, or Joint of some
    x : (k,) array
        Where the search ended.
    """
    found = []
    for share, problem in zip(shares_of(system), ordinal_problems(system), strict=True):
        values = problem.values(x)
        root, way = problem.weigh(np.eye(problem.unit.size)), slopes(problem, values, problem.conditional(values))
        found.append((share * way.T @ (root.T @ root), way))
    information = np.sum([pull @ way for pull, way in found], axis=0)
    return [np.asarray(np.linalg.solve(information, pull)) if x.size else pull for pull, _ in found]


def independence(problem: OrdinalProblem, gamma: FloatArray) -> tuple[float, float, float]:
    """F, ``tr(U Gamma)`` and ``tr(U Gamma U Gamma)`` of the model of no correlations, from the weighted ``Gamma``."""
    apart, whole = problem.alone, problem.statistics
    if problem.root.ndim == 1:
        left = problem.root[apart] * whole[apart]
        inner = gamma[np.ix_(apart, apart)]
    else:
        kept = np.setdiff1d(np.arange(whole.size), apart)
        basis = np.linalg.qr(problem.weigh(np.eye(whole.size)[:, kept]))[0]
        weighed = problem.weigh(whole[:, None])[:, 0]
        left = weighed - basis @ (basis.T @ weighed)
        inner = gamma - basis @ (basis.T @ gamma)
        inner -= (inner @ basis) @ basis.T
    return float(left @ left), float(np.trace(inner)), float(np.vdot(inner, inner))
