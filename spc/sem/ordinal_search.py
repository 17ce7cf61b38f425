"""Weighted least squares on thresholds and correlations: the search, its errors and its tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dpotrf, dpotri

from spc.errors import NonConvergenceError, NotPositiveDefiniteError, SingularInformationError
from spc.linalg import FloatArray
from spc.sem.diagnose import not_identified, null_parameters
from spc.sem.joint import State, System, problems_of, shares_of
from spc.sem.ml import Point
from spc.sem.optimise import Search, Solution
from spc.sem.ordinal_problem import OrdinalProblem, implied_statistics, slopes
from spc.sem.ram import Implied, implied
from spc.sem.start import WAYS, start_values

__all__ = ["Spread", "gauss_newton", "independence", "ordinal_problems", "ordinal_search", "ordinal_solve", "spread"]

TOLERANCE = 1e-15
MAX_ITERATIONS = 500
SMALLEST_PIVOT = 1e-10

Spot = tuple[FloatArray, Implied]


def ordinal_problems(system: System) -> tuple[OrdinalProblem, ...]:
    """The blocks of a system of ordered items."""
    return tuple(problem for problem in problems_of(system) if isinstance(problem, OrdinalProblem))


def _spots(problems: Sequence[OrdinalProblem], x: FloatArray) -> list[Spot] | None:
    """Values of all rows, and what they imply, in each block; None where some block implies nothing finite."""
    found = []
    for problem in problems:
        try:
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                values = problem.values(x)
                at = problem.conditional(values)
        except np.linalg.LinAlgError:
            return None
        if not (np.isfinite(at.covariance).all() and np.isfinite(values).all()):
            return None
        found.append((values, at))
    return found


def _residual(problems: Sequence[OrdinalProblem], roots: FloatArray, spots: Sequence[Spot]) -> FloatArray:
    each = [
        root * problem.weigh((problem.statistics - implied_statistics(problem, *spot))[:, None])[:, 0]
        for root, problem, spot in zip(roots, problems, spots, strict=True)
    ]
    return np.concatenate(each)


def _jacobian(problems: Sequence[OrdinalProblem], roots: FloatArray, spots: Sequence[Spot]) -> FloatArray:
    each = [
        root * problem.weigh(slopes(problem, *spot)) for root, problem, spot in zip(roots, problems, spots, strict=True)
    ]
    return np.concatenate(each)


def ordinal_search(system: System, start: FloatArray, *, max_iterations: int = MAX_ITERATIONS) -> Search | None:
    """Minimise F by Gauss-Newton steps, halved and then damped where they do not lower it.

    Returns
    -------
    Search or None
        Its information is that of one row; None where the start implies nothing finite.
    """
    problems, roots = ordinal_problems(system), np.sqrt(shares_of(system))
    x, spots = start, _spots(problems, start)
    if spots is None:
        return None
    damper, iteration = 0.0, 0
    residual = _residual(problems, roots, spots)
    while True:
        jacobian = _jacobian(problems, roots, spots)
        score, information = jacobian.T @ residual, jacobian.T @ jacobian
        step = _step(score, information, damper)
        decrement = float(score @ step)
        converged = decrement < TOLERANCE and damper <= 1.0
        if converged or iteration >= max_iterations or damper > 1e12:
            state = _state(problems, roots, spots)
            return Search(x, state, information, max(decrement, 0.0), iteration, converged)
        iteration += 1
        for share in (1.0, 0.5, 0.25, 0.125):
            trial = _spots(problems, x + share * step)
            if trial is None:
                continue
            left = _residual(problems, roots, trial)
            if left @ left <= residual @ residual + 1e-14:
                x, spots, residual, damper = x + share * step, trial, left, 0.0 if damper <= 1e-5 else damper / 10.0
                break
        else:
            damper = max(10.0 * damper, 1e-5)


def _step(score: FloatArray, information: FloatArray, damper: float) -> FloatArray:
    root = np.sqrt(np.maximum(information.diagonal(), 1e-300))
    scaled = information / np.outer(root, root) + damper * np.eye(root.size)
    return np.asarray(np.linalg.lstsq(scaled, score / root, rcond=1e-13)[0] / root)


def _state(problems: Sequence[OrdinalProblem], roots: FloatArray, spots: Sequence[Spot]) -> State:
    points = []
    for problem, (values, at) in zip(problems, spots, strict=True):
        left = problem.weigh((problem.statistics - implied_statistics(problem, values, at))[:, None])
        points.append(_point(problem, implied(problem.place, values), float((left**2).sum())))
    return State(float(roots**2 @ [point.value for point in points]), tuple(points))


def _point(problem: OrdinalProblem, at: Implied, value: float) -> Point:
    """The end of a search; without an inverse where the implied covariances have none."""
    p, mean = problem.place.n_observed, problem.sample.mean
    sigma = at.covariance[:p, :p]
    inverse, log_det = np.full((p, p), np.nan), np.nan
    if np.linalg.eigvalsh(sigma)[0] > 0.0:
        inverse, log_det = np.linalg.inv(sigma), float(np.linalg.slogdet(sigma)[1])
    return Point(value, at, inverse, log_det, None if mean is None else mean - at.mean[:p])


def ordinal_solve(system: System) -> Search:
    """Search from one set of start values after another.

    Raises
    ------
    NonConvergenceError
        None of the searches ended; carries the best of them.
    NotPositiveDefiniteError
        The model implies nothing at its start values.
    """
    best: Search | None = None
    for way in WAYS:
        end = ordinal_search(system, start_values(system, way))
        if end is not None and end.converged:
            return end
        if end is not None and (best is None or end.value < best.value):
            best = end
    if best is None:
        raise NotPositiveDefiniteError(
            "The model implies no correlations at its start values. Check its fixed values and start values."
        )
    information = _nearby(system, best.x)
    if information is not None and _inverse(information) is None:
        raise not_identified(null_parameters(system, information))
    message = f"stopped after {best.iterations} steps"
    raise NonConvergenceError(
        f"The search stopped after {best.iterations} steps before the gradient was zero. Usually the model does not "
        "fit these data anywhere near: look for a latent variable with items that do not correlate, or give start "
        "values.",
        Solution(system.theta(best.x), best.value, best.decrement**0.5, best.iterations, "not converged", message),
    )


def _inverse(information: FloatArray) -> FloatArray | None:
    """The inverse, None where a parameter is all but determined by the others."""
    if not information.size:
        return information
    root = np.sqrt(np.maximum(information.diagonal(), 0.0))
    root[root == 0.0] = 1.0
    factor, fault = dpotrf(information / np.outer(root, root), lower=1)
    if fault or not float(factor.diagonal().min()) ** 2 >= SMALLEST_PIVOT:
        return None
    lower, _ = dpotri(factor, lower=1)
    inverse = lower + lower.T
    np.einsum("ii->i", inverse)[:] *= 0.5
    return np.asarray(inverse / np.outer(root, root))


def _nearby(system: System, x: FloatArray) -> FloatArray | None:
    """Information at a random point near ``x``."""
    rng = np.random.default_rng(0)
    problems, roots = ordinal_problems(system), np.sqrt(shares_of(system))
    for size in (0.1, 0.03, 0.01):
        near = x * (1.0 + size * rng.standard_normal(x.size)) + size * 0.1 * rng.standard_normal(x.size)
        spots = _spots(problems, near)
        if spots is not None:
            jacobian = _jacobian(problems, roots, spots)
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
    spots = _spots(problems, end.x)
    assert spots is not None
    every = _jacobian(problems, np.sqrt(shares), spots)
    bread = _inverse(every.T @ every)
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
    if nearby is not None and _inverse(nearby) is None:
        return not_identified(null_parameters(system, nearby))
    named = null_parameters(system, end.information)
    solution = Solution(
        system.theta(end.x), end.value, end.decrement**0.5, end.iterations, "converged", "singular information"
    )
    return SingularInformationError(
        f"The information matrix is singular at the estimates, so there are no standard errors. Parameters involved: "
        f"{', '.join(named)}. The model is identified in general, but not by these data: look for latent variables "
        "that correlate perfectly or not at all, and simplify the model there.",
        solution,
        named,
    )


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


def gauss_newton(system: System) -> Callable[[FloatArray], tuple[State, FloatArray, FloatArray] | None]:
    """F at coordinates, with its score and its information of one row; None where some block implies nothing finite."""
    problems, roots = ordinal_problems(system), np.sqrt(shares_of(system))

    def at(x: FloatArray) -> tuple[State, FloatArray, FloatArray] | None:
        spots = _spots(problems, x)
        if spots is None:
            return None
        residual, jacobian = _residual(problems, roots, spots), _jacobian(problems, roots, spots)
        return _state(problems, roots, spots), jacobian.T @ residual, jacobian.T @ jacobian

    return at
