"""The discrepancy of each estimator as one function of the coordinates, with its derivatives: what searches share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from spc.linalg import FloatArray
from spc.sem.engine.constrained import Frame, Objective
from spc.sem.engine.joint import State, System, look, problems_of, shares_of
from spc.sem.engine.least_squares import At, Squares
from spc.sem.engine.optimise import derivatives, observed_information
from spc.sem.missing.fiml import Answered, evaluate, jacobian_of, metric_of, point_of, score
from spc.sem.missing.fiml import observed_information as answers_information
from spc.sem.missing.incomplete import lay_out
from spc.sem.ordinal.search import ordinal_blocks
from spc.sem.weighted import Weight, blocks_of

__all__ = ["Smooth", "answers_objective", "frame_of", "normal_objective", "ordinal_objective", "squares_objective"]


@dataclass(frozen=True, eq=False, slots=True)
class Smooth:
    """The discrepancy at some coordinates, as :class:`~spc.sem.engine.constrained.Local` asks.

    Attributes
    ----------
    state : State
        F and the points of all blocks.
    value : float
    score : (k,) array
    information : (k, k) array
    bent : callable
        Gives half of the Hessian of F (k, k).
    """

    state: State
    value: float
    score: FloatArray
    information: FloatArray
    bent: Callable[[], FloatArray]

    def hessian(self) -> FloatArray:
        """Half of the Hessian of F."""
        return self.bent()


def frame_of(system: System) -> Frame:
    """How the free parameters of a system follow from its coordinates."""
    first = problems_of(system)[0]
    return Frame(first.theta_offset, first.to_theta)


def normal_objective(system: System) -> Objective:
    """Maximum likelihood of complete normal data.

    Examples
    --------
    >>> from spc.moments import Moments
    >>> from spc.sem.engine.problem import prepare
    >>> from spc.spec import model
    >>> made = prepare(model("y ~ x"), Moments(["x", "y"], 100, None, [[1.0, 0.5], [0.5, 1.0]]), "normal")
    >>> bool(np.allclose(normal_objective(made)(np.array([0.5, 0.75])).score, 0.0))
    True
    """

    def at(x: FloatArray) -> Smooth | None:
        state = look(system, x)
        if state is None:
            return None
        score, information = derivatives(system, state)
        return Smooth(state, state.value, score, information, lambda: observed_information(system, state))

    return at


def answers_objective(system: System, answered: Sequence[Answered]) -> Objective:
    """Full-information maximum likelihood of the answers; F is less that of the saturated moments.

    Raises
    ------
    NotPositiveDefiniteError
        The saturated moments have no inverse.
    """
    problems, shares = problems_of(system), shares_of(system)
    data = [
        lay_out(one.patterns, problem.scale[: problem.place.n_observed])
        for problem, one in zip(problems, answered, strict=True)
    ]
    parts = zip(answered, problems, data, strict=True)
    shapes = [metric_of(one.without, problem, laid) for one, problem, laid in parts]

    def at(x: FloatArray) -> Smooth | None:
        spots = [evaluate(problem, one, x) for problem, one in zip(problems, data, strict=True)]
        if any(spot is None for spot in spots):
            return None
        found = [spot for spot in spots if spot is not None]
        points = tuple(point_of(*part) for part in zip(problems, found, answered, strict=True))
        state = State(float(shares @ [point.value for point in points]), points)
        slopes = [jacobian_of(*part) for part in zip(problems, found, strict=True)]
        metrics = [slope.T @ shape @ slope for slope, shape in zip(slopes, shapes, strict=True)]
        scores = [score(*part) for part in zip(problems, found, strict=True)]

        def bent() -> FloatArray:
            each = [answers_information(*part) for part in zip(problems, data, found, strict=True)]
            return _weighted(shares, each)

        return Smooth(state, state.value, _weighted(shares, scores), _weighted(shares, metrics), bent)

    return at


def _squares(squares: Squares[At]) -> Objective:
    """Weighted least squares, whose Hessian is taken without the curvature of the model."""

    def at(x: FloatArray) -> Smooth | None:
        found = squares.implied(x)
        if found is None:
            return None
        residual, jacobian = squares.residual(found), squares.jacobian(found)
        information = jacobian.T @ jacobian * squares.size
        state = squares.state(found)
        return Smooth(state, state.value, squares.size * (jacobian.T @ residual), information, lambda: information)

    return at


def squares_objective(system: System, weights: Sequence[Weight]) -> Objective:
    """Weighted least squares on means and covariances."""
    return _squares(blocks_of(system, weights))


def ordinal_objective(system: System) -> Objective:
    """Weighted least squares on thresholds and correlations."""
    return _squares(ordinal_blocks(system))


def _weighted(shares: FloatArray, each: Sequence[FloatArray]) -> FloatArray:
    return np.asarray(sum(share * one for share, one in zip(shares, each, strict=True)))
