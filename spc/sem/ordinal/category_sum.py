"""Variance of the sum of ordered answers, coded 0, 1, 2, ..., and the part of it that a latent variable brings.

Green & Yang (2009), Psychometrika 74, 155-167: with ``F`` the bivariate normal distribution and ``h`` the thresholds of
the responses in their standard deviations, answers i and j coded in steps of one covary by
``sum_cd F(h_ic, h_jd; r) - F(h_ic) F(h_jd)``, r being the correlation of the responses; with the correlation that the
latent variable alone gives them it is the covariance of two answers that share nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from spc.linalg import FloatArray
from spc.sem.ordinal.polychoric import binormal, binormal_density, density

__all__ = ["CategoryOmega", "category_omega"]


@dataclass(frozen=True, eq=False, slots=True)
class CategoryOmega:
    """A share with its derivatives.

    Attributes
    ----------
    value : float
    by_thresholds : tuple of arrays
        As the thresholds.
    by_common, by_total : (k, k) arrays
        Each entry by itself: (i, j) and (j, i) apart.
    """

    value: float
    by_thresholds: tuple[FloatArray, ...]
    by_common: FloatArray
    by_total: FloatArray


def category_omega(thresholds: Sequence[FloatArray], common: FloatArray, total: FloatArray) -> CategoryOmega:
    """Share of the variance of the sum of k ordered answers that comes from what they have in common.

    Parameters
    ----------
    thresholds : sequence of arrays
        Of each response, in its standard deviations from its mean.
    common : (k, k) array
        Correlations of the responses through the latent variable alone; on the diagonal its share of each.
    total : (k, k) array
        Correlations of the responses.

    Examples
    --------
    >>> loadings = np.full(3, 0.8)
    >>> total = np.outer(loadings, loadings) + 0.36 * np.eye(3)
    >>> round(category_omega([np.array([0.0])] * 3, np.outer(loadings, loadings), total).value, 3)
    0.704
    """
    k = len(thresholds)
    shared = whole = 0.0
    by_shared, by_whole = [np.zeros_like(own) for own in thresholds], [np.zeros_like(own) for own in thresholds]
    by_common, by_total = np.zeros((k, k)), np.zeros((k, k))
    for i in range(k):
        for j in range(k):
            value, by_first, by_second, by_common[i, j] = _covariance(thresholds[i], thresholds[j], common[i, j])
            shared += value
            by_shared[i] += by_first
            by_shared[j] += by_second
            if i != j:
                value, by_first, by_second, by_total[i, j] = _covariance(thresholds[i], thresholds[j], total[i, j])
                by_whole[j] += by_second
            else:
                value, by_first = _own(thresholds[i])
            whole += value
            by_whole[i] += by_first
    share = shared / whole
    turned = tuple((one - share * other) / whole for one, other in zip(by_shared, by_whole, strict=True))
    return CategoryOmega(share, turned, by_common / whole, -share * by_total / whole)


def _covariance(first: FloatArray, second: FloatArray, rho: float) -> tuple[float, FloatArray, FloatArray, float]:
    """Covariance of two answers, and its derivatives on the thresholds of both and on the correlation."""
    h, k, r = first[:, None], second[None, :], np.asarray(rho)
    root = np.sqrt((1.0 - r) * (1.0 + r))
    value = (binormal(h, k, r) - ndtr(h) * ndtr(k)).sum()
    left = density(h) * (ndtr((k - r * h) / root) - ndtr(k))
    right = density(k) * (ndtr((h - r * k) / root) - ndtr(h))
    return float(value), left.sum(axis=1), right.sum(axis=0), float(binormal_density(h, k, r).sum())


def _own(cuts: FloatArray) -> tuple[float, FloatArray]:
    """Variance of one answer, and its derivatives on its thresholds."""
    h, k = cuts[:, None], cuts[None, :]
    below = (h < k) + 0.5 * (h == k)
    slope = 2.0 * density(h) * (below - ndtr(k))
    return float((ndtr(np.minimum(h, k)) - ndtr(h) * ndtr(k)).sum()), slope.sum(axis=1)
