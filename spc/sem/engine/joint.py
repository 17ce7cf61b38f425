"""Several blocks over one vector of coordinates: the groups of a fit, each with its own structure and moments.

With F_g the discrepancy of a block and N_g the divisor of its likelihood,

    F = sum_g w_g F_g,    w_g = N_g / sum_h N_h,

and score and information of one row of data are the same weighted sums. Every block carries its own linear map from
the joint coordinates to its own rows (:class:`~spc.sem.engine.problem.Problem`), so what blocks share is shared there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from spc.linalg import FloatArray
from spc.moments import Moments
from spc.sem.engine.groups import in_group
from spc.sem.engine.ml import Point, discrepancy
from spc.sem.engine.problem import Problem, balance, lay, with_moments
from spc.sem.engine.ram import structure
from spc.spec.table import Model

__all__ = ["Joint", "State", "System", "join", "joint_with_moments", "look", "problems_of", "shares_of"]


@dataclass(frozen=True, eq=False)
class Joint:
    """Blocks and what they share.

    Attributes
    ----------
    problems : tuple of Problem
        Their maps start from the same k coordinates, and their ``to_theta`` is the same.
    """

    problems: tuple[Problem, ...]

    @property
    def size(self) -> int:
        """Number of coordinates: free parameters less constraints."""
        return self.problems[0].size

    @property
    def npar(self) -> int:
        """Free parameters less equality constraints: what degrees of freedom count."""
        return self.problems[0].npar

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the free parameters."""
        return self.problems[0].place.names

    @property
    def n(self) -> int:
        """Rows of data."""
        return sum(problem.n for problem in self.problems)

    @property
    def divisor(self) -> int:
        """Divisor of the likelihood: n, or n less the number of blocks."""
        return sum(problem.divisor for problem in self.problems)

    @cached_property
    def shares(self) -> FloatArray:
        """Weight of each block in the discrepancy; they sum to one."""
        return np.array([problem.divisor for problem in self.problems]) / self.divisor

    def theta(self, x: FloatArray) -> FloatArray:
        """Free parameters in the user's units."""
        return self.problems[0].theta(x)

    def spread(self, covariance: FloatArray) -> FloatArray:
        """Covariances of the free parameters in the user's units, from those of the coordinates."""
        return self.problems[0].spread(covariance)

    def coordinates(self, theta: FloatArray) -> FloatArray:
        """Coordinates nearest to the given free parameters."""
        return self.problems[0].coordinates(theta)


System = Problem | Joint


def problems_of(system: System) -> tuple[Problem, ...]:
    """The blocks; a problem is its own only one."""
    return system.problems if isinstance(system, Joint) else (system,)


def shares_of(system: System) -> FloatArray:
    """Weights of the blocks in the discrepancy; they sum to one."""
    return system.shares if isinstance(system, Joint) else np.ones(1)


def join(
    model: Model, blocks: Sequence[Model], moments: Sequence[Moments], likelihood: str, labels: Sequence[str] = ()
) -> System:
    """Balance the units of each block and lay out its map from the joint coordinates.

    Parameters
    ----------
    model : Model
        The whole model, whose constraints hold across blocks.
    blocks : sequence of Model
        The block's rows of the table, with the joint numbers of free parameters.
    moments : sequence of Moments
        Of each block: exactly its observed variables, in its order.
    likelihood : {"normal", "wishart"}
    labels : sequence of str
        What to call the blocks in errors.

    Returns
    -------
    Problem or Joint
        A Problem where there is one block.

    Raises
    ------
    DataError, NotPositiveDefiniteError, SpecError
        See :func:`~spc.sem.engine.problem.prepare`.
    """
    labels = labels or [""] * len(blocks)
    balanced = []
    for label, block, one in zip(labels, blocks, moments, strict=True):
        with in_group(label):
            balanced.append(balance(structure(block), one, likelihood))
    made = lay(model, balanced)
    return made[0] if len(made) == 1 else Joint(tuple(made))


def joint_with_moments(system: System, moments: Sequence[Moments]) -> System:
    """Put other moments of the same variables in, one a block, keeping units and maps."""
    made = tuple(with_moments(problem, one) for problem, one in zip(problems_of(system), moments, strict=True))
    return Joint(made) if isinstance(system, Joint) else made[0]


@dataclass(frozen=True, eq=False, slots=True)
class State:
    """The discrepancy at some coordinates.

    Attributes
    ----------
    value : float
        F.
    points : tuple of Point
        Of each block.
    """

    value: float
    points: tuple[Point, ...]

    def __iter__(self) -> Iterator[Point]:
        return iter(self.points)


def look(system: System, x: FloatArray) -> State | None:
    """Evaluate F; None where some block implies no covariance matrix.

    Parameters
    ----------
    system : Problem or Joint
    x : (k,) array
    """
    if isinstance(system, Problem):
        point = discrepancy(system.place, system.values(x), system.sample)
        return None if point is None else State(point.value, (point,))
    points, value = [], 0.0
    for share, problem in zip(system.shares, system.problems, strict=True):
        point = discrepancy(problem.place, problem.values(x), problem.sample)
        if point is None:
            return None
        points.append(point)
        value += float(share) * point.value
    return State(value, tuple(points))
