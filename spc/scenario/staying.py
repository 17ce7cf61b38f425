"""How present customers stay when their log odds of staying move, packed so that a page can compute it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev

from spc.linalg import FloatArray
from spc.scenario.route import LedgerRoute, staying

__all__ = ["StayingCurves", "staying_curves"]

_DEGREES = (1, 2, 3, 4, 6, 8)
_CLOSE = 1e-7
"""Largest error of a share of customers."""


@dataclass(frozen=True, eq=False)
class StayingCurves:
    """Share of customers still there after t periods, as a function of the shift of their log odds of staying.

    The share is ``expit(p(s / reach)) ** t`` with a polynomial p of its own for each draw and period: on that scale the
    share of customers who all keep one rate is a straight line in s, and others are close to one.

    Attributes
    ----------
    reach : (n,) array
        Largest shift of each draw.
    coefficients : (n, T, d + 1) array
        Of p, constant first.
    """

    reach: FloatArray
    coefficients: FloatArray

    def shares(self, shift: FloatArray) -> FloatArray:
        """Share of customers still there, (n, T), for one shift a draw."""
        from scipy.special import expit

        u = np.clip(shift / self.reach, -1.0, 1.0)
        height: FloatArray = np.zeros(self.coefficients.shape[:-1])
        for k in reversed(range(self.coefficients.shape[2])):
            height = height * u[:, None] + self.coefficients[:, :, k]
        return np.asarray(expit(height) ** np.arange(1, self.coefficients.shape[1] + 1))


def staying_curves(route: LedgerRoute, furthest: Mapping[str, FloatArray], periods: int) -> StayingCurves:
    """Fit the polynomials: the lowest degree that is right to 1e-7 of a share wherever levers reach.

    Parameters
    ----------
    route : LedgerRoute
    furthest : mapping of str to (n,) array
        How far constructs can move at most.
    periods : int
    """
    reach = np.maximum(np.abs(route.slope.slopes) * furthest[route.node], 1e-6)
    between = np.cos(np.pi * np.arange(7) / 6.0 + 0.11)
    truth = [staying(route.base, _flat(u * reach, periods)) for u in between]
    curves = _fitted(route, reach, periods, _DEGREES[0])
    for degree in _DEGREES[1:]:
        worst = max(float(np.abs(curves.shares(u * reach) - t).max()) for u, t in zip(between, truth, strict=True))
        if worst < _CLOSE:
            break
        curves = _fitted(route, reach, periods, degree)
    return curves


def _flat(shift: FloatArray, periods: int) -> FloatArray:
    return np.repeat(shift[:, None], periods, axis=1)


def _fitted(route: LedgerRoute, reach: FloatArray, periods: int, degree: int) -> StayingCurves:
    nodes = chebyshev.chebpts1(degree + 1)
    heights = []
    for u in nodes:
        share = staying(route.base, _flat(u * reach, periods)) ** (1.0 / np.arange(1, periods + 1))
        share = np.clip(share, 1e-300, 1.0 - 1e-15)
        heights.append(np.log(share) - np.log1p(-share))
    powers = np.linalg.solve(np.vander(nodes, increasing=True), np.stack(heights).reshape(degree + 1, -1))
    return StayingCurves(reach, powers.T.reshape(len(reach), periods, degree + 1))
