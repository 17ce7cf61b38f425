"""How sure parameters are: a covariance where customers share units, and the region that the data do not reject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from spc.linalg import FloatArray

__all__ = ["Region", "Spread", "likelihood_region", "student", "student_draws"]

_ANGLES = 96
_RINGS = np.array([0.25, 0.5, 0.75, 1.0])


@dataclass(frozen=True, eq=False)
class Spread:
    """Covariance of parameters, and its degrees of freedom.

    Attributes
    ----------
    vcov : (k, k) array
    df : float
        Units less one where units are left out in turn.
    """

    vcov: FloatArray
    df: float

    def width(self, level: float) -> float:
        """Half an interval of that level, in standard errors."""
        return student(self.df, level)


def student(df: float, level: float) -> float:
    """Half of Student's interval, in standard errors.

    Examples
    --------
    >>> round(student(np.inf, 0.95), 2), round(student(4, 0.95), 2)
    (1.96, 2.78)
    """
    from scipy.special import ndtri, stdtrit

    at = (1.0 + level) / 2.0
    return float(ndtri(at) if np.isinf(df) else stdtrit(df, at))


@dataclass(frozen=True, eq=False)
class Region:
    """Parameters the data do not reject.

    Attributes
    ----------
    parameters : (m, k) array
    radius : (m,) array
        How far each lies from the estimate, 0 to 1 at the edge: the root of its deviance, as a share of the largest.
    """

    parameters: FloatArray
    radius: FloatArray


def student_draws(spread: Spread, n: int, rng: np.random.Generator) -> FloatArray:
    """Deviations from the estimate in Student's distribution, (n, k); the covariance may be singular.

    Examples
    --------
    >>> student_draws(Spread(np.eye(2), np.inf), 50_000, np.random.default_rng(1)).std(axis=0).round(1).tolist()
    [1.0, 1.0]
    """
    values, vectors = np.linalg.eigh(spread.vcov)
    normal = rng.standard_normal((n, len(values)))
    longer = 1.0 if np.isinf(spread.df) else np.sqrt(spread.df / rng.chisquare(spread.df, size=(n, 1)))
    return np.asarray(longer * (normal * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def likelihood_region(
    deviance: Callable[[FloatArray], FloatArray],
    estimate: FloatArray,
    vcov: FloatArray,
    box: tuple[FloatArray, FloatArray],
    width: float,
) -> Region:
    r"""Pairs of parameters whose deviance from the estimate is at most ``width`` squared.

    The range of a figure over them is its profile-likelihood interval when ``width`` is a standard normal (or
    Student's) quantile. It holds where the figure turns within the region and where the estimate stands at an edge of
    what can be, which the quantiles of draws do not. Where the least second parameter is in reach, a figure may have
    a cusp there, and ``width`` grows by :data:`AT_THE_EDGE`.

    Parameters
    ----------
    deviance : callable
        Of parameters (m, 2), shape (m,): twice the log likelihood lost against the estimate; infinite outside the box.
    estimate : (2,) array
    vcov : (2, 2) array
        About their covariance; it decides in which directions the region is looked for.
    box : pair of (2,) arrays
        Smallest and largest parameters.
    width : float

    Returns
    -------
    Region
        The estimate first, then rings around it out to the edge, then the least second parameter with all first ones.

    Examples
    --------
    >>> far = (np.full(2, -9.0), np.full(2, 9.0))
    >>> found = likelihood_region(lambda x: (x**2).sum(axis=1), np.zeros(2), np.eye(2), far, 1.96)
    >>> found.parameters.max(axis=0).round(3).tolist()
    [1.96, 1.96]
    """
    reach = 2.0 * (width + 1.0) * float(np.sqrt(vcov[0, 0]))
    first = estimate[0] + reach * np.linspace(-1.0, 1.0, 801)
    lost = deviance(np.column_stack([first, np.full(first.size, box[0][1])]))
    edge = bool(lost.min() <= (AT_THE_EDGE * width) ** 2)
    width *= AT_THE_EDGE if edge else 1.0
    parameters = [estimate[None], _rings(deviance, estimate, vcov, box, width)]
    if edge:
        kept = first[lost <= width**2]
        parameters.append(np.column_stack([np.linspace(kept[0], kept[-1], 33), np.full(33, box[0][1])]))
    found = np.concatenate(parameters)
    return Region(found, np.sqrt(np.clip(deviance(found), 0.0, width**2)) / width)


AT_THE_EDGE = 1.0495
"""Root of 4.231 / 3.841, the upper 5 % of a chi-square on 0, 1 or 2 degrees of freedom with odds 1:2:1 over that on 1:
the deviance of a figure on which two parameters bear from one side each (Self & Liang 1987, JASA 82)."""


def _rings(
    deviance: Callable[[FloatArray], FloatArray],
    estimate: FloatArray,
    vcov: FloatArray,
    box: tuple[FloatArray, FloatArray],
    width: float,
) -> FloatArray:
    """Points on rays from the estimate to where the deviance is the square of the width, or to the box."""
    angle = np.linspace(0.0, 2.0 * np.pi, _ANGLES, endpoint=False)
    ray = np.column_stack([np.cos(angle), np.sin(angle)]) @ np.linalg.cholesky(vcov).T
    way = np.where(np.abs(ray) > 1e-12, ray, 1e-12)
    far = np.maximum(np.where(way > 0, box[1] - estimate, box[0] - estimate) / way, 0.0).min(axis=1) * (1.0 - 1e-6)
    near = np.where(deviance(estimate + far[:, None] * ray) <= width**2, far, 0.0)
    for _ in range(50):
        middle = (near + far) / 2.0
        holds = deviance(estimate + middle[:, None] * ray) <= width**2
        near, far = np.where(holds, middle, near), np.where(holds, far, middle)
    return np.asarray((estimate + (_RINGS[:, None] * near)[..., None] * ray).reshape(-1, 2))
