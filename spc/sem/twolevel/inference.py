"""What both kinds of two-level fits ask of the likelihood at its maximum: free moments, errors, scaling, constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from spc.errors import SingularInformationError
from spc.linalg import FloatArray, vech
from spc.sem.twolevel.between import Free, FreeWithin, positive_definite
from spc.sem.twolevel.likelihood import UnitMoments
from spc.sem.twolevel.search import Evidence, Goal, Objective, Search, search

__all__ = ["Errors", "free_moments", "inverse_information", "log_constant", "trace_of"]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]
Errors = Literal["observed", "expected", "robust"]

_SINGULAR = 1e-12


def free_moments(
    data: Evidence,
    own: BoolArray,
    members: IntArray,
    mu: FloatArray,
    sigma_b: FloatArray,
    sigma_w: FloatArray,
) -> tuple[Objective, Search] | None:
    """Search for the best free moments from the given ones; None where the search does not end.

    Parameters
    ----------
    data : Evidence
    own : (p, p) bool array
        Pairs of variables that covary within units.
    members : (n,) int array
        Variables that differ among units.
    mu, sigma_b, sigma_w : (p,), (p, p), (p, p) arrays
    """
    free = FreeWithin(Free(members.size), own, members)
    objective = Objective(data, free)
    start = positive_definite(sigma_b[np.ix_(members, members)])
    root = np.asarray(np.linalg.cholesky(start), dtype=np.float64)
    found = search(objective, free.join(mu, vech(root), sigma_w))
    return None if found is None or not found.converged else (objective, found)


def inverse_information(
    goal: Goal,
    x: FloatArray,
    held: BoolArray,
    state: Any,
    errors: Errors,
    to_theta: FloatArray | None = None,
    names: Sequence[str] = (),
) -> tuple[FloatArray, FloatArray | None]:
    """Inverse information, zero for held coordinates, and the cross-products of the units' scores where robust.

    Parameters
    ----------
    goal : Goal
    x : (k,) array
    held : (k,) bool array
    state : Place
        At ``x``.
    errors : {"observed", "expected", "robust"}
    to_theta : (q, k) array, optional
        Free parameters from coordinates, and their ``names``, for the message of the error.

    Raises
    ------
    SingularInformationError
        The likelihood is flat.
    """
    free = ~held
    matrix = goal.information(x, state, expected=errors == "expected")[np.ix_(free, free)]
    unit = np.sqrt(np.abs(matrix.diagonal()))
    unit[unit == 0.0] = 1.0
    values, vectors = np.linalg.eigh(matrix / np.outer(unit, unit))
    if values.size and values[0] < _SINGULAR:
        whole = np.zeros(free.size)
        whole[free] = vectors[:, 0]
        raise _flat(whole, to_theta, names)
    inverse = np.zeros((free.size, free.size))
    inverse[np.ix_(free, free)] = vectors / values @ vectors.T / np.outer(unit, unit)
    if errors != "robust":
        return inverse, None
    scores = goal.scores(state)
    return inverse, scores.T @ scores


def _flat(direction: FloatArray, to_theta: FloatArray | None, names: Sequence[str]) -> SingularInformationError:
    involved: list[str] = []
    if to_theta is not None:
        heavy = np.any(to_theta[:, np.abs(direction) > 0.3] != 0.0, axis=1)
        involved = [name for name, use in zip(names, heavy.tolist(), strict=True) if use]
    toward = f" in the direction of {', '.join(involved)}" if involved else ""
    return SingularInformationError(
        f"The likelihood is flat{toward}, so there are no standard errors. "
        "Units do not differ enough in a cause of these links; leave it out, or take more units.",
        None,
        involved,
    )


def trace_of(goal: Goal, x: FloatArray) -> float:
    """Trace of the inverse observed information times the cross-products of the units' scores; NaN where it is flat."""
    state = goal.at(x)
    assert state is not None
    try:
        bread, meat = inverse_information(goal, x, np.zeros(x.size, dtype=bool), state, "robust")
    except SingularInformationError:
        return float("nan")
    assert meat is not None
    return float(np.sum(bread * meat))


def log_constant(units: UnitMoments, scale: FloatArray) -> float:
    """What the log-likelihood in the units of the data has beyond minus the objective in units of ``scale`` (p,)."""
    means = units.averaged & units.present
    roots = np.where(means, np.log(np.maximum(units.counts[:, units.side], 1.0)), 0.0)
    return -float(units.answered @ (0.5 * np.log(2.0 * np.pi) + np.log(scale)) + 0.5 * roots.sum())
