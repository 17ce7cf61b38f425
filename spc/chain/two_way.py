"""Regression with fixed effects of units and waves, and errors by unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray

__all__ = ["Slopes", "TwoWay", "slopes", "two_way"]

IntArray = npt.NDArray[np.intp]
_SMALL = 1e-9


@dataclass(frozen=True, eq=False)
class TwoWay:
    """What is common to a unit, or to a wave, and can be taken out of any variable.

    Attributes
    ----------
    unit : (n,) int array
        From 0, sorted.
    starts : (J,) int array
        First row of each unit.
    waves : (n, r) array
        Orthonormal columns that span the waves' effects within units; r is 0 where waves have none.
    """

    unit: IntArray
    starts: IntArray
    waves: FloatArray

    def without(self, values: FloatArray) -> FloatArray:
        """What is left of (..., n) values."""
        size = np.diff(np.append(self.starts, self.unit.size))
        means = np.add.reduceat(values, self.starts, axis=-1) / size
        apart = values - means[..., self.unit]
        return np.asarray(apart - (apart @ self.waves) @ self.waves.T)


def two_way(unit: IntArray, wave: IntArray) -> TwoWay:
    """Prepare to take out effects of units and waves.

    Parameters
    ----------
    unit : (n,) int array
        Unit of each row, from 0 without gaps, in order.
    wave : (n,) int array
        Wave of each row.

    Examples
    --------
    >>> effects = two_way(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]))
    >>> effects.without(np.array([1.0, 2.0, 5.0, 8.0])).round(9).tolist()
    [0.5, -0.5, -0.5, 0.5]
    """
    starts = np.flatnonzero(np.diff(unit, prepend=-1))
    plain = TwoWay(unit, starts, np.empty((unit.size, 0)))
    dummies = plain.without((np.unique(wave)[:, None] == wave).astype(np.float64)).T
    values, vectors = np.linalg.eigh(dummies.T @ dummies)
    kept = values > _SMALL * max(float(values.max()), 1.0)
    return TwoWay(unit, starts, dummies @ vectors[:, kept] / np.sqrt(values[kept]))


@dataclass(frozen=True, eq=False)
class Slopes:
    """Least squares of what is left of an outcome on what is left of causes.

    Attributes
    ----------
    slope, error : (k,) arrays
        Errors are clustered by unit (CR1).
    std : (k,) array
        Slopes in standard deviations of what is left.
    freedom : float
        Of Student's t: units less one.
    """

    slope: FloatArray
    error: FloatArray
    std: FloatArray
    freedom: float


def slopes(outcome: FloatArray, causes: FloatArray, effects: TwoWay) -> Slopes | None:
    """Regress an outcome on causes with fixed effects.

    Parameters
    ----------
    outcome : (n,) array
    causes : (n, k) array
    effects : TwoWay

    Returns
    -------
    Slopes or None
        None where nothing is left of a cause, or causes move together.

    References
    ----------
    Cameron & Miller (2015), Journal of Human Resources 50, 317-372: effects nested in clusters take no degrees of
    freedom.
    """
    y, x = effects.without(outcome), effects.without(causes.T).T
    spread = np.sqrt((x**2).sum(axis=0))
    whole = np.sqrt(((causes - causes.mean(axis=0)) ** 2).sum(axis=0))
    units, n = effects.starts.size, y.size
    spent = causes.shape[1] + effects.waves.shape[1]
    if units < 2 or n <= spent or (spread <= 1e-8 * np.maximum(whole, _SMALL)).any():
        return None
    z = x / spread
    square = z.T @ z
    if np.linalg.eigvalsh(square)[0] < _SMALL:
        return None
    inverse = np.linalg.inv(square)
    slope = inverse @ (z.T @ y)
    pieces = np.add.reduceat(z * (y - z @ slope)[:, None], effects.starts, axis=0)
    factor = units / (units - 1.0) * (n - 1.0) / (n - spent)
    vcov = factor * inverse @ (pieces.T @ pieces) @ inverse
    std = slope * np.sqrt(1.0 / max(float(y @ y), _SMALL**2))
    return Slopes(slope / spread, np.sqrt(vcov.diagonal()) / spread, std, units - 1.0)
