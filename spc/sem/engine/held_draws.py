"""Parameter draws of a fit under constraints, each of which meets the equations of the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import qr

from spc.linalg import FloatArray
from spc.results import Estimates
from spc.sem.engine.restrictions import Quantity

__all__ = ["HeldEstimates", "returned"]

_STEPS, _MET, _RANK, _STILL = 20, 1e-12, 1e-9, 1e-9


@dataclass(frozen=True, eq=False)
class HeldEstimates(Estimates):
    """Estimates whose draws are moved back to the equations that hold at the estimates.

    Attributes
    ----------
    held : tuple of Quantity
        Nonlinear equalities, and inequalities that hold with equality.
    """

    held: tuple[Quantity, ...] = ()

    def from_standard(self, standard: FloatArray) -> FloatArray:
        """Draws from the normal approximation along the equations, taken the shortest way back to them, (n, k)."""
        theta = self.table["estimate"].to_numpy(dtype=float)
        unit = np.sqrt(np.maximum(self.vcov.diagonal(), 0.0))
        return returned(super().from_standard(standard), _independent(self.held, theta, unit), unit)


def _independent(held: Sequence[Quantity], theta: FloatArray, unit: FloatArray) -> list[Quantity]:
    """Those of the quantities whose slopes are no combination of those of others."""
    slopes = np.array([item.gradient(theta) * unit for item in held])
    size = np.linalg.norm(slopes, axis=1)
    moving = np.flatnonzero(size > _STILL * max(float(np.abs(unit).max(initial=0.0)), 1e-300))
    if not moving.size:
        return []
    triangle, order = qr((slopes[moving] / size[moving, None]).T, mode="r", pivoting=True)
    rank = int((np.abs(triangle.diagonal()) > _RANK).sum())
    return [held[i] for i in moving[order[:rank]]]


def returned(draws: FloatArray, held: Sequence[Quantity], unit: FloatArray) -> FloatArray:
    """Draws of the free parameters moved the shortest way to where quantities are zero.

    Parameters
    ----------
    draws : (n, q) array
    held : sequence of Quantity
        Whose slopes are independent of one another.
    unit : (q,) array
        Units of distance; parameters with zero stay where they are.

    Returns
    -------
    (n, q) array
        NaN in draws from which no way back was found.

    Examples
    --------
    >>> from spc.spec.expressions import parse_expression
    >>> circle = Quantity("a^2 + b^2 == 1", parse_expression("a^2 + b^2 - 1"), {"a": 0, "b": 1}, {})
    >>> returned(np.array([[1.5, 0.0], [0.0, 0.7]]), [circle], np.ones(2)).round(6).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    moved = np.array(draws)
    if not held:
        return moved
    for _ in range(_STEPS):
        gaps = np.stack([item.draws(moved) for item in held], axis=1)
        slopes = np.stack([item.slopes(moved) for item in held], axis=1) * unit
        size = np.linalg.norm(slopes, axis=2)
        known = np.isfinite(gaps).all(axis=1) & np.isfinite(slopes).all(axis=(1, 2)) & (size > 0.0).all(axis=1)
        far = known & (np.abs(gaps) > _MET * np.where(size > 0.0, size, 1.0)).any(axis=1)
        if not far.any():
            break
        scaled, target = slopes[far] / size[far][..., None], gaps[far] / size[far]
        pull = np.linalg.solve(scaled @ scaled.transpose(0, 2, 1), target[..., None])
        moved[far] -= unit * (scaled.transpose(0, 2, 1) @ pull)[..., 0]
    moved[~known] = np.nan
    return moved
