"""One common factor behind the items of a scale, by maximum likelihood, and what follows for omega."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from spc.linalg import FloatArray, frozen_array

__all__ = ["OmegaGradient", "OneFactor", "fit_one_factor", "omega_gradient"]

_HEYWOOD = 0.005
_GRADIENT = 1e-4


@dataclass(frozen=True, eq=False)
class OneFactor:
    """A one-factor solution in standardised items.

    Attributes
    ----------
    loadings : (k,) array
        Of the standardised items, signed so that their weighted sum is positive.
    uniqueness : (k,) array
        Residual variances of the standardised items.
    scale : (k,) array
        Standard deviations of the items: multiply by them to return to raw units.
    srmr : float
        Root mean square of the residual correlations.
    """

    loadings: FloatArray
    uniqueness: FloatArray
    scale: FloatArray
    srmr: float

    def __post_init__(self) -> None:
        for name in ("loadings", "uniqueness", "scale"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))

    @property
    def omega(self) -> float:
        """Share of the factor in the model-implied variance of the sum of the raw items."""
        common = float(self.scale @ self.loadings) ** 2
        return common / (common + float(self.scale**2 @ self.uniqueness))


@dataclass(frozen=True, eq=False)
class OmegaGradient:
    """How omega answers to the data.

    Attributes
    ----------
    weights : (k, k) array
        Omega moves by ``sum(weights * dS)`` when the covariances of the standardised items move by ``dS``.
    normal_variance : float
        n times the sampling variance of omega when the items are normal.
    """

    weights: FloatArray
    normal_variance: float


def fit_one_factor(cov: FloatArray, n: int) -> OneFactor | str:
    """Fit one factor to covariances, or say in words why there is none.

    Parameters
    ----------
    cov : (k, k) array
        k of at least 3, positive variances.
    n : int
        Rows behind it.

    Returns
    -------
    OneFactor or str
        The reason, as the middle of a sentence, when the items are linearly dependent, the solution is improper
        (a residual variance at zero: a Heywood case) or the optimiser did not arrive.

    References
    ----------
    Jöreskog (1967), Psychometrika 32, 443-482; fitted by ``statsmodels.multivariate.factor.Factor``.

    Examples
    --------
    >>> load = np.array([0.9, 0.8, 0.7, 0.6])
    >>> fit = fit_one_factor(np.outer(load, load) + np.diag(1 - load**2), 100)
    >>> np.round(fit.loadings, 3)
    array([0.9, 0.8, 0.7, 0.6])
    """
    scale = np.sqrt(np.diag(cov))
    correlation = cov / np.outer(scale, scale)
    if np.linalg.eigvalsh(correlation)[0] < 1e-8:
        return "its items are linearly dependent (one is a copy or a sum of others)"
    loadings, uniqueness = _maximum_likelihood(correlation, n)
    if not np.all(np.isfinite(loadings)) or np.min(uniqueness) < _HEYWOOD:
        return "the one-factor solution is improper (an item without residual variance, a Heywood case)"
    if _largest_gradient(correlation, loadings, uniqueness) > _GRADIENT:
        return "the one-factor model was not brought to an end"
    loadings = loadings * (1.0 if scale @ loadings >= 0 else -1.0)
    residual = (correlation - np.outer(loadings, loadings))[np.tril_indices(len(cov), -1)]
    pairs = len(cov) * (len(cov) + 1) / 2
    return OneFactor(loadings, uniqueness, scale, float(np.sqrt(residual @ residual / pairs)))


def omega_gradient(fit: OneFactor) -> OmegaGradient | None:
    """Delta method for omega; None when the information matrix is singular.

    Notes
    -----
    With ``W`` the inverse of the implied covariance, the expected information of (λ, ψ) has the blocks
    ``(λ'Wλ) W + Wλλ'W``, ``W diag(Wλ)`` and ``W∘W / 2``; the estimates move by its inverse times the score, which is
    linear in the observed covariances.

    Examples
    --------
    >>> omega_gradient(OneFactor([0.8] * 4, [0.36] * 4, [1.0] * 4, 0.0)).weights.shape
    (4, 4)
    """
    load, k = fit.loadings, len(fit.loadings)
    W = np.linalg.inv(np.outer(load, load) + np.diag(fit.uniqueness))
    Wl = W @ load
    cross = W * Wl
    information = np.block([[(load @ Wl) * W + np.outer(Wl, Wl), cross], [cross.T, W * W / 2]])
    if np.linalg.cond(information) > 1e10:
        return None
    slope = _omega_slope(fit)
    move = np.linalg.solve(information, slope)
    outer = np.outer(move[:k], load)
    weights = W @ ((outer + outer.T) / 2 + np.diag(move[k:]) / 2) @ W
    return OmegaGradient(frozen_array(weights), float(slope @ move))


def _omega_slope(fit: OneFactor) -> FloatArray:
    total = float(fit.scale @ fit.loadings)
    error = float(fit.scale**2 @ fit.uniqueness)
    whole = (total**2 + error) ** 2
    return np.concatenate([2 * total * error / whole * fit.scale, -(total**2) / whole * fit.scale**2])


def _maximum_likelihood(correlation: FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    from statsmodels.multivariate.factor import Factor

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # judged below by the gradient, whatever the optimiser says
        found = Factor(corr=correlation, n_factor=1, method="ml", nobs=n).fit(opt={"gtol": 1e-10})
    return np.asarray(found.loadings, dtype=np.float64).ravel(), np.asarray(found.uniqueness, dtype=np.float64)


def _largest_gradient(correlation: FloatArray, loadings: FloatArray, uniqueness: FloatArray) -> float:
    W = np.linalg.inv(np.outer(loadings, loadings) + np.diag(uniqueness))
    M = W @ (correlation - np.outer(loadings, loadings) - np.diag(uniqueness)) @ W
    return float(max(np.abs(2 * M @ loadings).max(), np.abs(np.diag(M)).max()))
