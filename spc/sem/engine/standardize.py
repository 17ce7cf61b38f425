"""Standardised values of all rows of the table, with their derivatives for the delta method.

A standardised value is the value times powers of two variances ``D``: for a directed effect ``sqrt(C_jj / C_ii)``, for
a variance ``1 / C_ii``, for a covariance ``1 / sqrt(S_ii S_jj)`` (so that residual covariances become residual
correlations), for an intercept or a threshold ``1 / sqrt(C_ii)``. A scale is 1 by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from spc.linalg import FloatArray
from spc.sem.engine.ram import COVARIANCE, DIRECTED, SCALE, Implied, IntArray, Structure, directions

__all__ = ["Kind", "standardised_slopes", "standardised_values"]

Kind = Literal["all", "lv"]


@dataclass(frozen=True, eq=False, slots=True)
class _Powers:
    """``value * D[first]**first_power * D[second]**second_power`` with D = (diag C, diag S)."""

    first: IntArray
    second: IntArray
    first_power: FloatArray
    second_power: FloatArray


@lru_cache(maxsize=64)
def _powers(place: Structure) -> _Powers:
    v = len(place.variables)
    i, j = place.row, place.column
    directed, covariance = place.part == DIRECTED, place.part == COVARIANCE
    off = covariance & (i != j)
    first = np.select([directed, off], [j, i + v], i)
    second = np.where(off, j + v, i)
    return _Powers(first, second, np.where(directed, 0.5, -0.5), np.where(directed | covariance, -0.5, 0.0))


def _variances(place: Structure, at: Implied, kind: Kind) -> FloatArray:
    total = at.covariance.diagonal(axis1=-2, axis2=-1)
    residual = at.residual.diagonal(axis1=-2, axis2=-1)
    both = np.concatenate([total, residual], axis=-1)
    if kind == "lv":
        both[..., _observed(place)] = 1.0
    return both


def _observed(place: Structure) -> IntArray:
    seen = np.arange(place.n_observed)
    return np.concatenate([seen, seen + len(place.variables)])


def standardised_values(place: Structure, values: FloatArray, at: Implied, kind: Kind = "all") -> FloatArray:
    """Standardise the values of all rows.

    Parameters
    ----------
    place : Structure
    values : (..., R) array
        Values of all rows, in any units; many draws go at once.
    at : Implied
        What the model implies at these values, with the same leading axes.
    kind : {"all", "lv"}
        By the standard deviations of all variables, or of the latent ones alone.

    Returns
    -------
    (..., R) array
        NaN where a variance that would be divided by is not positive.
    """
    power, variances = _powers(place), _variances(place, at, kind)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = variances[..., power.first] ** power.first_power * variances[..., power.second] ** power.second_power
        result = values * factor
    if place.ordered.size:
        result = np.where(place.part == SCALE, 1.0, result)
    return np.where(np.isfinite(result), result, np.nan)


def standardised_slopes(
    place: Structure, values: FloatArray, at: Implied, rows: IntArray, kind: Kind = "all"
) -> FloatArray:
    """Derivatives of all standardised values with respect to the values of the given rows.

    Parameters
    ----------
    place : Structure
    values : (R,) array
    at : Implied
    rows : (r,) int array
        Rows of the table that move.
    kind : {"all", "lv"}

    Returns
    -------
    (R, r) array
    """
    power, variances = _powers(place), _variances(place, at, kind)
    v = len(place.variables)
    way = directions(place, at, rows, v)
    own = (place.part[rows] == COVARIANCE) & (place.row[rows] == place.column[rows])
    residual = np.zeros((v, rows.size))
    residual[place.row[rows[own]], np.flatnonzero(own)] = 1.0
    change = np.concatenate([2.0 * way.p * way.q, residual])
    if kind == "lv":
        change[_observed(place)] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = variances[power.first] ** power.first_power * variances[power.second] ** power.second_power
        relative = change / variances[:, None]
        slopes = (values * factor)[:, None] * (
            power.first_power[:, None] * relative[power.first] + power.second_power[:, None] * relative[power.second]
        )
    slopes[rows, np.arange(rows.size)] += factor[rows]
    slopes[place.part == SCALE] = 0.0
    return slopes
