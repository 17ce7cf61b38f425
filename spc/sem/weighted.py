"""Weighted least squares on the sample moments: GLS, ULS and WLS.

    F = (s - sigma)' V (s - sigma)

with ``s`` the means (in models with intercepts) and the lower triangle of the covariances, divisor n - 1, and ``V``

* GLS: the inverse of the covariances of ``s`` under normality, from the sample covariances;
* ULS: the identity, so that each covariance counts once; in the units of the data, which therefore matter;
* WLS: the inverse of the covariances of ``s`` without assumption, from moments of order 4 (Browne 1984).

With ``V = U'U`` all three are ordinary non-linear least squares in ``U (s - sigma)``, whose Jacobian comes from the
rank-two directions of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.linalg import solve_triangular

from spc.errors import UnsupportedError
from spc.linalg import FloatArray, cholesky, unvech, vech
from spc.moments import Moments
from spc.sem.engine.diagnose import no_start
from spc.sem.engine.joint import State, System, problems_of, shares_of
from spc.sem.engine.least_squares import MAX_ITERATIONS, first_end, point_of, root_of_covariances, search_squares
from spc.sem.engine.ml import Point
from spc.sem.engine.newton import NEWTON_STEPS
from spc.sem.engine.optimise import Search
from spc.sem.engine.problem import Problem
from spc.sem.engine.ram import Implied, IntArray, directions, implied
from spc.sem.inference.casewise import fourth
from spc.sem.inference.scaled import Correction, ratio

__all__ = [
    "Blocks", "Weight", "baseline_discrepancy", "blocks_of", "normal_covariances", "row_covariances",
    "unweighted_sandwich", "weight_matrix", "weighted_search", "weighted_solve", "weighted_squares",
]  # fmt: skip

Method = Literal["GLS", "ULS", "WLS"]


@dataclass(frozen=True, eq=False)
class Weight:
    """A root of V: ``apply`` turns residual moments into residuals of equal weight.

    Attributes
    ----------
    method : {"GLS", "ULS", "WLS"}
    root : array
        GLS: (p, p) Cholesky factor of the inverse sample covariances. ULS: (m,) weights. WLS: (m, m) Cholesky factor
        of the covariances of the moments.
    means : int
        Number of means among the m moments, before the covariances.
    constant : float
        V is ``constant * U'U``: 1 but for ULS, whose discrepancy is in the units of the data.
    """

    method: Method
    root: FloatArray
    means: int
    constant: float = 1.0

    def apply(self, moments: FloatArray) -> FloatArray:
        """``U`` times moments (m, r)."""
        if self.method == "ULS":
            return np.asarray(self.root[:, None] * moments)
        if self.method == "WLS":
            return np.asarray(solve_triangular(self.root, moments, lower=True, check_finite=False))
        whole = unvech(moments[self.means :].T)
        inner = vech(self.root.T @ whole @ self.root).T
        first, second = np.triu_indices(len(self.root))
        inner = inner * np.where(first == second, np.sqrt(0.5), 1.0)[:, None]
        return np.concatenate([self.root.T @ moments[: self.means], inner]) if self.means else np.asarray(inner)


def weight_matrix(method: Method, problem: Problem, gamma: FloatArray | None) -> Weight:
    """The weight of a method, in the balanced units of a problem.

    Parameters
    ----------
    method : {"GLS", "ULS", "WLS"}
    problem : Problem
    gamma : (m, m) array or None
        Covariances of the moments of one row, in balanced units; for WLS.

    Raises
    ------
    DataError
        Fewer rows than moments under WLS.
    NotPositiveDefiniteError
        A moment is a function of the others, as the square of a column of zeros and ones.
    """
    cov, p = problem.sample.cov, problem.place.n_observed
    means = p if problem.place.meanstructure else 0
    if method == "GLS":
        inverse = np.linalg.inv(cov)
        return Weight(method, cholesky(0.5 * (inverse + inverse.T), "The inverse of the sample covariances"), means)
    if method == "ULS":
        return _own_units(problem, means)
    assert gamma is not None
    instead = "Use estimator='MLM' or 'MLR', which need no weight matrix, or name fewer variables."
    root = root_of_covariances(gamma, moment_names(problem), problem.n, what="moments", instead=instead)
    return Weight(method, root, means)


def _own_units(problem: Problem, means: int) -> Weight:
    scale = problem.scale[: problem.place.n_observed]
    first, second = np.triu_indices(scale.size)
    unit = np.concatenate([scale[:means], scale[first] * scale[second]])
    size = float(np.sqrt(np.mean(unit**2)))
    return Weight("ULS", unit / size, means, size**2)


def moment_names(problem: Problem) -> list[str]:
    """Names of the moments in their order."""
    observed = problem.place.observed
    first, second = np.triu_indices(len(observed))
    pairs = [f"{observed[a]}~~{observed[b]}" for a, b in zip(first, second, strict=True)]
    return [*(f"{name}~1" for name in observed), *pairs] if problem.place.meanstructure else pairs


def moments_of(cov: FloatArray, mean: FloatArray | None) -> FloatArray:
    """Means, if any, then covariances."""
    return vech(cov) if mean is None else np.concatenate([mean, vech(cov)])


def normal_covariances(cov: FloatArray, *, means: bool) -> FloatArray:
    """Covariances of the moments of one row under normality (m, m)."""
    p = len(cov)
    first, second = np.triu_indices(p)
    gamma = cov[first[:, None], first] * cov[second[:, None], second]
    gamma = gamma + cov[first[:, None], second] * cov[second[:, None], first]
    if not means:
        return np.asarray(gamma)
    whole = np.zeros((p + len(gamma), p + len(gamma)))
    whole[:p, :p], whole[p:, p:] = cov, gamma
    return whole


def slopes(problem: Problem, at: Implied) -> FloatArray:
    """Derivatives (m, k) of the implied moments on the coordinates."""
    place = problem.place
    way = directions(place, at, problem.active, place.n_observed)
    first, second = np.triu_indices(place.n_observed)
    products = way.p[first] * way.q[second] + way.p[second] * way.q[first]
    whole = products if way.mu is None else np.concatenate([way.mu, products])
    return whole if problem.plain else np.asarray(whole @ problem.map)


def residual_moments(problem: Problem, at: Implied) -> FloatArray:
    """Sample less implied moments (m,)."""
    p, sample = problem.place.n_observed, problem.sample
    means = sample.mean is not None and problem.place.meanstructure
    mean = sample.mean - at.mean[:p] if means and sample.mean is not None else None
    return moments_of(sample.cov - at.covariance[:p, :p], mean)


@dataclass(frozen=True, eq=False, slots=True)
class Blocks:
    """Blocks with their weights; residuals of all of them one after the other, of equal weight.

    ``size`` times the sum of squares is F, whatever the units of the data.
    """

    problems: tuple[Problem, ...]
    weights: tuple[Weight, ...]
    roots: FloatArray
    size: float

    def implied(self, x: FloatArray) -> tuple[Implied, ...] | None:
        """What each block implies; None where one implies nothing."""
        found = []
        for problem in self.problems:
            at = _implied(problem, x)
            if at is None:
                return None
            found.append(at)
        return tuple(found)

    def residual(self, at: tuple[Implied, ...]) -> FloatArray:
        """Weighted residuals of all moments of all blocks."""
        parts = zip(self.roots, self.problems, self.weights, at, strict=True)
        each = [
            root * weight.apply(residual_moments(problem, one)[:, None])[:, 0] for root, problem, weight, one in parts
        ]
        return np.concatenate(each)

    def jacobian(self, at: tuple[Implied, ...]) -> FloatArray:
        """Minus their derivatives in coordinates."""
        parts = zip(self.roots, self.problems, self.weights, at, strict=True)
        return np.concatenate([root * weight.apply(slopes(problem, one)) for root, problem, weight, one in parts])

    def state(self, at: tuple[Implied, ...]) -> State:
        """F and the points of the blocks."""
        values, points = [], []
        for problem, weight, one in zip(self.problems, self.weights, at, strict=True):
            left = weight.apply(residual_moments(problem, one)[:, None])[:, 0]
            values.append(weight.constant * float(left @ left))
            points.append(_point(problem, one, values[-1]))
        constants = np.array([weight.constant for weight in self.weights])
        shares = self.roots**2 * self.size / constants
        return State(float(shares @ values), tuple(points))


def blocks_of(system: System, weights: Sequence[Weight]) -> Blocks:
    """Blocks of a system with their weights."""
    parts = shares_of(system) * np.array([weight.constant for weight in weights])
    size = float(parts.max())
    return Blocks(problems_of(system), tuple(weights), np.sqrt(parts / size), size)


def weighted_search(
    system: System, start: FloatArray, weights: Sequence[Weight], *, max_iterations: int = MAX_ITERATIONS
) -> Search | None:
    """Minimise F by Gauss-Newton steps, halved, then damped where they do not lower it; by Newton's where they crawl.

    Parameters
    ----------
    system : Problem or Joint
    start : (k,) array
    weights : sequence of Weight
        One a block.

    Returns
    -------
    Search or None
        None when ``I - A`` has no inverse at the start.
    """
    return search_squares(blocks_of(system, weights), start, max_iterations=max_iterations, newton_steps=NEWTON_STEPS)


def _implied(problem: Problem, x: FloatArray) -> Implied | None:
    try:
        at = implied(problem.place, problem.values(x))
    except np.linalg.LinAlgError:
        return None
    return at if np.all(np.isfinite(at.covariance)) else None


def _point(problem: Problem, at: Implied, value: float) -> Point:
    p, sample = problem.place.n_observed, problem.sample
    compared = problem.place.meanstructure and sample.mean is not None
    residual = sample.mean - at.mean[:p] if compared and sample.mean is not None else None
    return point_of(at, p, value, residual)


def row_covariances(method: Method, problem: Problem, moments: Moments) -> FloatArray:
    """Covariances of the moments of one row (m, m), in balanced units.

    Raises
    ------
    UnsupportedError
        WLS without moments of order 3 and 4. ULS takes those of normal rows then.
    """
    p, means = problem.place.n_observed, problem.place.meanstructure
    if moments.higher is None:
        if method == "WLS":
            raise UnsupportedError(
                "WLS needs rows of data or moments of order 3 and 4, and these moments have only means and "
                "covariances. Give a DataFrame, or Moments.from_frame(..., higher=True); or use estimator='GLS'."
            )
        return normal_covariances(problem.sample.cov * (problem.divisor / problem.n), means=means)
    gamma = fourth(problem, moments.higher, moments.cov).gamma
    return gamma if means else gamma[p:, p:]


def weighted_solve(system: System, weights: Sequence[Weight]) -> Search:
    """Search from one set of start values after another; the first end, else the best.

    Raises
    ------
    NotPositiveDefiniteError
        The model implies no moments at any of its start values.
    """
    best = first_end(system, lambda start: weighted_search(system, start, weights))
    if best is None:
        raise no_start(system)
    return best


def baseline_discrepancy(problem: Problem, weight: Weight, blocks: Sequence[IntArray]) -> float:
    """F of the independence model, which is linear in its parameters: variances, covariances within blocks, means."""
    moments = weight.apply(_sample_moments(problem)[:, None])[:, 0]
    jacobian = weight.apply(_independence(problem, blocks))
    left = moments - jacobian @ np.linalg.lstsq(jacobian, moments, rcond=None)[0]
    return weight.constant * float(left @ left)


def weighted_squares(problem: Problem, point: Point, weight: Weight) -> tuple[float, float]:
    """What is not explained of the sample moments, and all of it, under the weights of the estimator."""
    both = np.stack([residual_moments(problem, point.at), _sample_moments(problem, about_zero=True)], axis=1)
    lost, whole = weight.constant * (weight.apply(both) ** 2).sum(axis=0)
    return float(lost), float(whole)


def unweighted_sandwich(
    system: System,
    state: State,
    weights: Sequence[Weight],
    gammas: Sequence[FloatArray],
    blocks: Sequence[Sequence[IntArray]],
) -> tuple[FloatArray, Correction]:
    """Sampling covariances of the coordinates under ULS, and the Satorra-Bentler scaling of its statistic.

    The inverse of ULS information alone is no covariance of anything: it changes with the units of the data.

    Parameters
    ----------
    system : Problem or Joint
    state : State
        At the estimates.
    weights : sequence of Weight
    gammas : sequence of (m, m) arrays
        Covariances of the moments of one row.
    blocks : sequence of sequences of int arrays
        Blocks of the independence model.
    """
    shares, size = shares_of(system), max(weight.constant for weight in weights)
    information, meat = np.zeros((system.size, system.size)), np.zeros((system.size, system.size))
    whole = base = 0.0
    count = base_df = 0
    parts = zip(shares, problems_of(system), state.points, weights, gammas, blocks, strict=True)
    for share, problem, point, weight, gamma, apart in parts:
        jacobian = weight.apply(slopes(problem, point.at))
        spread = weight.apply(weight.apply(gamma).T)
        relative = weight.constant / size
        information += share * relative * jacobian.T @ jacobian
        meat += share * relative**2 * jacobian.T @ spread @ jacobian
        alone = weight.apply(_independence(problem, apart))
        taken = np.trace(np.linalg.solve(alone.T @ alone, alone.T @ spread @ alone))
        whole += weight.constant * float(np.trace(spread))
        base += weight.constant * float(np.trace(spread) - taken)
        count, base_df = count + len(gamma), base_df + len(gamma) - alone.shape[1]
    inner = np.linalg.solve(information, meat)
    vcov = np.linalg.solve(information, inner.T) / system.divisor
    trace = whole - size * float(np.trace(inner))
    correction = Correction("satorra_bentler", trace, ratio(trace, count - system.npar), ratio(base, base_df))
    return np.asarray(0.5 * (vcov + vcov.T)), correction


def _sample_moments(problem: Problem, *, about_zero: bool = False) -> FloatArray:
    """Sample moments (m,); the means are zero, as the independence model fits them, unless they are asked for."""
    sample = problem.sample
    if not problem.place.meanstructure or sample.mean is None:
        return vech(sample.cov)
    return moments_of(sample.cov, sample.mean if about_zero else np.zeros_like(sample.mean))


def _independence(problem: Problem, blocks: Sequence[IntArray]) -> FloatArray:
    """Columns of the independence model (m, r): one a mean, and one a covariance within a block."""
    p = problem.place.n_observed
    apart = np.zeros((p, p))
    for block in blocks:
        apart[np.ix_(block, block)] = 1.0
    means = p if problem.place.meanstructure else 0
    kept = np.concatenate([np.ones(means), vech(apart)]).astype(bool)
    return np.asarray(np.eye(kept.size)[:, kept])
