"""Variance of the sum of ordered answers, coded 0, 1, 2, ..., and the part of it that a latent variable brings.

Green & Yang (2009), Psychometrika 74, 155-167: with ``F`` the bivariate normal distribution and ``h`` the thresholds of
the responses in their standard deviations, answers i and j coded in steps of one covary by
``sum_cd F(h_ic, h_jd; r) - F(h_ic) F(h_jd)``, r being the correlation of the responses; with the correlation that the
latent variable alone gives them it is the covariance of two answers that share nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from spc.linalg import FloatArray
from spc.sem.ordinal.polychoric import binormal

__all__ = ["category_omega"]


def category_omega(thresholds: Sequence[FloatArray], common: FloatArray, total: FloatArray) -> float:
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
    >>> round(category_omega([np.array([0.0])] * 3, np.outer(loadings, loadings), total), 3)
    0.704
    """
    k = len(thresholds)
    shared = whole = 0.0
    for i in range(k):
        for j in range(k):
            shared += _covariance(thresholds[i], thresholds[j], common[i, j])
            whole += _own(thresholds[i]) if i == j else _covariance(thresholds[i], thresholds[j], total[i, j])
    return shared / whole


def _covariance(first: FloatArray, second: FloatArray, rho: float) -> float:
    h, k = first[:, None], second[None, :]
    return float((binormal(h, k, np.asarray(rho)) - ndtr(h) * ndtr(k)).sum())


def _own(cuts: FloatArray) -> float:
    """Variance of one answer."""
    h, k = cuts[:, None], cuts[None, :]
    return float((ndtr(np.minimum(h, k)) - ndtr(h) * ndtr(k)).sum())
