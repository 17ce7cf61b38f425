"""The chain as numbers: paths to disturbances, covariances, effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spc.errors import UsageError
from spc.linalg import FloatArray, frozen_array

__all__ = ["Structure", "draw_waves", "draw_within", "structure"]


@dataclass(frozen=True, eq=False)
class Structure:
    """A recursive path model of standardised variables.

    Attributes
    ----------
    names : tuple of str
        The p variables, causes before effects.
    direct : (p, p) array
        ``direct[i, j]`` is the path from j to i.
    total : (p, p) array
        Total effects, ``inv(I − direct) − I``.
    disturbance : (p,) array
        Disturbance variances that make every variance one.
    cov : (p, p) array
        Implied correlations.
    """

    names: tuple[str, ...]
    direct: FloatArray
    total: FloatArray
    disturbance: FloatArray
    cov: FloatArray

    def __post_init__(self) -> None:
        for name in ("direct", "total", "disturbance", "cov"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))


def structure(names: Sequence[str], paths: Mapping[tuple[str, str], float]) -> Structure:
    """Complete standardised paths to a model in which every variable has variance one.

    Parameters
    ----------
    names : sequence of str
        Variables, causes before effects.
    paths : mapping of (to, from) to float

    Raises
    ------
    UsageError
        Links so strong that nothing, or less than nothing, is left for chance.

    Examples
    --------
    >>> s = structure(["x", "y"], {("y", "x"): 0.6})
    >>> s.disturbance.round(2).tolist()
    [1.0, 0.64]
    """
    p = len(names)
    place = {name: i for i, name in enumerate(names)}
    direct = np.zeros((p, p))
    for (to, source), value in paths.items():
        direct[place[to], place[source]] = value
    cov = np.eye(p)
    disturbance = np.ones(p)
    for i, name in enumerate(names):
        cov[i, :i] = cov[:i, i] = direct[i, :i] @ cov[:i, :i]
        disturbance[i] = 1 - direct[i, :i] @ cov[:i, i]
        if disturbance[i] < 0.01:
            raise UsageError(
                f"The links into {name} explain {1 - disturbance[i]:.0%} of it, which leaves no room for chance. "
                "Lower 'strength' or these links."
            )
    total = np.linalg.inv(np.eye(p) - direct) - np.eye(p)
    return Structure(tuple(names), direct, total, disturbance, cov)


def draw_waves(model: Structure, n: int, waves: int, stability: float, rng: np.random.Generator) -> FloatArray:
    """Draw standardised variables of n cases over waves, shape (waves, n, p).

    Disturbances follow a stationary first-order autoregression, so that every wave obeys the same model and every
    variable correlates ``stability`` with itself one wave later.
    """
    innovation = rng.standard_normal((waves, n, len(model.names))) * np.sqrt(model.disturbance)
    for wave in range(1, waves):
        innovation[wave] = stability * innovation[wave - 1] + np.sqrt(1 - stability**2) * innovation[wave]
    return np.asarray(innovation @ (np.eye(len(model.names)) + model.total).T)


def draw_within(n: int, scores: int, correlation: float, rng: np.random.Generator) -> FloatArray:
    """What each of n people brings to scores beside the unit: standard normal, equally correlated, shape (n, scores).

    Examples
    --------
    >>> drawn = draw_within(20_000, 2, 0.5, np.random.default_rng(1))
    >>> round(float(np.corrcoef(drawn.T)[0, 1]), 1)
    0.5
    """
    root = np.linalg.cholesky(np.full((scores, scores), correlation) + (1.0 - correlation) * np.eye(scores))
    return np.asarray(rng.standard_normal((n, scores)) @ root.T)
