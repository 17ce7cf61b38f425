"""One common factor behind the items of a scale, by maximum likelihood, and what follows for omega."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from spc.linalg import FloatArray, frozen_array

__all__ = ["OmegaGradient", "OneFactor", "fit_one_factor", "omega_gradient"]

_HEYWOOD = 0.005
_GRADIENT = 1e-4
_SINGULAR = 1e10


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
    """Fit one factor to covariances, or name why there is none.

    Parameters
    ----------
    cov : (k, k) array
        k of at least 3, positive variances.
    n : int
        Rows behind it.

    Returns
    -------
    OneFactor or str
        ``dependent`` when the items are linearly dependent, ``improper`` when the solution is (a residual variance
        at zero: a Heywood case), ``unfinished`` when the optimiser did not arrive.

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
        return "dependent"
    loadings, uniqueness = _maximum_likelihood(correlation, n)
    if not np.all(np.isfinite(loadings)) or np.min(uniqueness) < _HEYWOOD:
        return "improper"
    loadings, uniqueness = _polish(correlation, loadings, uniqueness)
    if _largest_gradient(correlation, loadings, uniqueness) > _GRADIENT:
        return "improper" if np.min(uniqueness) < 10 * _HEYWOOD else "unfinished"
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
    W, information = _information(load, fit.uniqueness)
    if np.linalg.cond(information) > _SINGULAR:
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


def _information(load: FloatArray, uniqueness: FloatArray) -> tuple[FloatArray, FloatArray]:
    W = np.asarray(np.linalg.inv(np.outer(load, load) + np.diag(uniqueness)), dtype=np.float64)
    Wl = W @ load
    cross = W * Wl
    return W, np.block([[(load @ Wl) * W + np.outer(Wl, Wl), cross], [cross.T, W * W / 2]])


def _maximum_likelihood(correlation: FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    from statsmodels.multivariate.factor import Factor

    model = Factor(corr=correlation, n_factor=1, method="ml", nobs=n)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # judged by the gradient, whatever the optimiser says
        found = model.fit(start=_start(correlation), opt={"gtol": 1e-10})  # its own start is drawn without a seed
    return np.array(found.loadings, dtype=np.float64).ravel(), np.array(found.uniqueness, dtype=np.float64)


def _start(correlation: FloatArray) -> tuple[FloatArray, FloatArray]:
    """First principal axis, with half of the multiple correlations as a first guess of what is shared."""
    specific = np.clip(1 / np.diag(np.linalg.inv(correlation)), 0.2, 0.9)
    values, vectors = np.linalg.eigh(correlation - np.diag(specific))
    load = np.clip(vectors[:, -1] * np.sqrt(max(values[-1], 0.05)), -0.9, 0.9)
    return load[:, None], 1 - load**2


def _polish(correlation: FloatArray, load: FloatArray, uniqueness: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fisher steps from where the optimiser stopped, so that the last digits do not depend on its path."""
    k = len(load)
    reached = _largest_gradient(correlation, load, uniqueness)
    for _ in range(50):
        W, information = _information(load, uniqueness)
        if reached < 1e-14 or np.linalg.cond(information) > _SINGULAR:
            break
        score = _score(correlation, load, uniqueness, W)
        step = np.linalg.solve(information, score)
        next_load, next_uniqueness = load + step[:k], uniqueness + step[k:]
        if next_uniqueness.min() <= 0:
            break
        gradient = _largest_gradient(correlation, next_load, next_uniqueness)
        if gradient >= reached:
            break
        load, uniqueness, reached = next_load, next_uniqueness, gradient
    return load, uniqueness


def _score(correlation: FloatArray, load: FloatArray, uniqueness: FloatArray, W: FloatArray) -> FloatArray:
    M = W @ (correlation - np.outer(load, load) - np.diag(uniqueness)) @ W
    return np.concatenate([M @ load, np.diag(M) / 2])


def _largest_gradient(correlation: FloatArray, load: FloatArray, uniqueness: FloatArray) -> float:
    W = np.asarray(np.linalg.inv(np.outer(load, load) + np.diag(uniqueness)), dtype=np.float64)
    return float(2 * np.abs(_score(correlation, load, uniqueness, W)).max())
