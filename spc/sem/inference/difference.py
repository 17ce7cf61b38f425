"""Differences of chi-squares: plain, and scaled for statistics that are not chi-square distributed themselves.

With ``T0, T1`` the plain statistics of the stricter and the freer model, on ``d0`` and ``d1`` degrees of freedom and
with scaling factors ``c0`` and ``c1``, and ``m = d0 - d1``:

* Satorra & Bentler (2001), Psychometrika 66, 507-514: ``(T0 - T1) m / (d0 c0 - d1 c1)``. The divisor may be negative.
* Satorra & Bentler (2010), Psychometrika 75, 243-248: the same with c1 at the estimates of the stricter model, which
  keeps the divisor positive (:mod:`spc.sem.postestimation.strict_difference`).
* Satorra (2000), in Heijmans, Pollock & Satorra (eds), *Innovations in Multivariate Statistical Analysis*, 233-247,
  with the shift of Asparouhov & Muthen (2010): ``(T0 - T1) a + b`` with the first two moments of a chi-square on m
  degrees of freedom. It needs the weights and the covariances of the moments, and is what weighted fits of ordered
  items take.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import null_space

from spc.linalg import FloatArray
from spc.sem.inference.fitmeasures import chisq_pvalue

__all__ = ["Difference", "MomentSpace", "plain_difference", "satorra_2000", "satorra_bentler_2001", "scaled_by"]


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference test.

    Attributes
    ----------
    chisq : float
        NaN where the scaling is not positive.
    df : int
    scale : float
        What the plain difference was divided by: 1 for the plain test.
    shift : float
        What was added after that.
    """

    chisq: float
    df: int
    scale: float = 1.0
    shift: float = 0.0

    @property
    def p_value(self) -> float:
        """Upper tail; NaN without a statistic or without degrees of freedom."""
        return chisq_pvalue(max(self.chisq, 0.0), self.df) if math.isfinite(self.chisq) else math.nan


@dataclass(frozen=True, eq=False, slots=True)
class MomentSpace:
    """The moments of one group, for a pair of models.

    Attributes
    ----------
    weight : (m, m) array
        V, the weights of the estimator.
    gamma : (m, m) array
        Covariances of the moments of one row.
    free, strict : (m, k) and (m, l) array
        Derivatives of the implied moments on the coordinates of the two models, constraints taken out.
    share : float
        Of the rows that are in this group.
    """

    weight: FloatArray
    gamma: FloatArray
    free: FloatArray
    strict: FloatArray
    share: float = 1.0


def plain_difference(strict: tuple[float, int], free: tuple[float, int]) -> Difference:
    """Difference of two chi-squares under normal theory.

    Parameters
    ----------
    strict, free : (float, int)
        Chi-square and degrees of freedom.

    Examples
    --------
    >>> plain_difference((10.0, 5), (4.0, 3))
    Difference(chisq=6.0, df=2, scale=1.0, shift=0.0)
    """
    return Difference(strict[0] - free[0], strict[1] - free[1])


def satorra_bentler_2001(strict: tuple[float, int, float], free: tuple[float, int, float]) -> Difference:
    """Scaled difference of two chi-squares.

    Parameters
    ----------
    strict, free : (float, int, float)
        Plain chi-square, degrees of freedom and scaling factor; without degrees of freedom the last is not looked at.

    Examples
    --------
    >>> satorra_bentler_2001((30.0, 5, 1.2), (10.0, 3, 1.0))
    Difference(chisq=13.33..., df=2, scale=1.5, shift=0.0)
    """
    (t0, d0, c0), (t1, d1, c1) = strict, free
    m = d0 - d1
    if m == 0:
        return Difference(t0 - t1, 0, math.nan)
    return scaled_by(t0 - t1, d0 * c0 - (d1 * c1 if d1 else 0.0), m)


def scaled_by(chisq: float, mean: float, df: int) -> Difference:
    """A plain difference divided by its mean by chance for each degree of freedom; NaN where that is not positive."""
    scale = mean / df
    return Difference(chisq / scale if scale > 0.0 else math.nan, df, scale)


def satorra_2000(chisq: float, df: int, groups: Sequence[MomentSpace]) -> Difference:
    """Scaled and shifted difference from the moment spaces of all groups.

    Parameters
    ----------
    chisq : float
        Plain difference.
    df : int
    groups : sequence of MomentSpace

    Examples
    --------
    With V the inverse of Gamma there is nothing to scale and nothing to shift.

    >>> space = MomentSpace(np.eye(3), np.eye(3), np.eye(3)[:, :2], np.eye(3)[:, :1])
    >>> found = satorra_2000(5.0, 1, [space])
    >>> round(found.chisq, 6), round(found.scale, 6), round(found.shift, 6)
    (5.0, 1.0, 0.0)
    """
    free = np.vstack([part.free for part in groups])
    strict = np.vstack([part.strict for part in groups])
    information = sum(part.share * part.free.T @ part.weight @ part.free for part in groups)
    onto = np.linalg.lstsq(free, strict, rcond=None)[0]
    across = null_space(onto.T, rcond=1e-8).T
    spread = np.linalg.solve(information, across.T)
    middle = spread @ np.linalg.solve(across @ spread, spread.T)
    pulls = [np.sqrt(part.share) * part.free.T @ part.weight for part in groups]
    inner = sum(pull @ part.gamma @ pull.T for pull, part in zip(pulls, groups, strict=True))
    turned = middle @ inner
    first, second = float(np.trace(turned)), float(np.sum(turned * turned.T))
    a = math.sqrt(df / second)
    shift = df - a * first
    return Difference(chisq * a + shift, df, 1.0 / a, shift)
