"""Measures of fit: one small function a number, on plain numbers and arrays.

Names and conventions are lavaan's. ``n`` is the divisor of the likelihood (rows, or rows - 1 for Wishart), ``chisq``
and ``df`` belong to the model, ``baseline_chisq`` and ``baseline_df`` to the independence model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import chdtrc, chdtri, chndtr, chndtrinc

from spc.linalg import FloatArray

__all__ = [
    "Residuals", "agfi", "aic", "bic", "bic2", "cfi", "chisq_pvalue", "cn", "crmr", "ecvi", "gfi", "gfi_squares", "ifi",
    "likelihood_ratio", "logl", "mfi", "nfi", "pgfi", "pnfi", "rfi", "rmr", "rmsea", "rmsea_ci", "rmsea_notclose",
    "rmsea_pvalue", "rni", "srmr", "srmr_mplus", "tli", "unrestricted_logl",
]  # fmt: skip


_ROUNDING = 1e-4


def likelihood_ratio(unrestricted: float, model: float) -> float:
    """Twice the difference of two log-likelihoods, not below zero; NaN where it is so by more than rounding.

    A model that is likelier than the one it is tested against is no restriction of it, and there is no test. Models
    of two levels can be: the unrestricted one has covariances between units that a population could have.

    Examples
    --------
    >>> likelihood_ratio(-100.0, -103.5), likelihood_ratio(-100.0, -99.0)
    (7.0, nan)
    """
    value = 2.0 * (unrestricted - model)
    return math.nan if value < -_ROUNDING else max(value, 0.0)


def chisq_pvalue(chisq: float, df: float) -> float:
    """Upper tail of the central chi-square; NaN without degrees of freedom.

    Examples
    --------
    >>> round(chisq_pvalue(3.841, 1), 3)
    0.05
    """
    return float(chdtrc(df, chisq)) if df > 0 else math.nan


def cfi(chisq: float, df: float, baseline_chisq: float, baseline_df: float) -> float:
    """Comparative fit index (Bentler 1990), between 0 and 1; NaN where there is no test.

    Examples
    --------
    >>> round(cfi(85.306, 24, 918.852, 36), 3)
    0.931
    """
    if math.isnan(chisq) or math.isnan(baseline_chisq):
        return math.nan
    excess = max(chisq - df, 0.0)
    most = max(excess, baseline_chisq - baseline_df)
    return 1.0 - excess / most if most > 0 else 1.0


def tli(chisq: float, df: float, baseline_chisq: float, baseline_df: float) -> float:
    """Tucker-Lewis index, also called the non-normed fit index; 1 without degrees of freedom.

    Examples
    --------
    >>> round(tli(85.306, 24, 918.852, 36), 3)
    0.896
    """
    against = (baseline_chisq - baseline_df) * df
    return 1.0 - (chisq - df) * baseline_df / against if df > 0 and against != 0 else 1.0


def nfi(chisq: float, df: float, baseline_chisq: float, baseline_df: float) -> float:
    """Normed fit index (Bentler & Bonett 1980); none for a model with fewer parameters than the baseline."""
    if df > baseline_df or baseline_chisq <= 0:
        return math.nan
    return (baseline_chisq - chisq) / baseline_chisq


def pnfi(chisq: float, df: float, baseline_chisq: float, baseline_df: float) -> float:
    """Parsimony normed fit index (James, Mulaik & Brett 1982)."""
    if baseline_df <= 0 or baseline_chisq <= 0:
        return math.nan
    return df / baseline_df * (baseline_chisq - chisq) / baseline_chisq


def rfi(chisq: float, df: float, baseline_chisq: float, baseline_df: float) -> float:
    """Relative fit index (Bollen 1986); 1 without degrees of freedom, none with more of them than the baseline."""
    if df > baseline_df:
        return math.nan
    if df == 0 or baseline_df == 0 or baseline_chisq <= 0:
        return 1.0
    per_df = baseline_chisq / baseline_df
    return 1.0 if per_df <= chisq / df else (per_df - chisq / df) / per_df


def ifi(chisq: float, df: float, baseline_chisq: float) -> float:
    """Incremental fit index (Bollen 1989)."""
    against = baseline_chisq - df
    return (baseline_chisq - chisq) / against if against > 0 else math.nan


def rni(chisq: float, df: float, baseline_chisq: float, baseline_df: float) -> float:
    """Relative noncentrality index (McDonald & Marsh 1990): the CFI without its bounds."""
    against = baseline_chisq - baseline_df
    return 1.0 - (chisq - df) / against if against != 0 else math.nan


def rmsea(chisq: float, df: float, n: int, groups: int = 1) -> float:
    """Root mean square error of approximation (Steiger & Lind 1980); 0 without degrees of freedom.

    With G groups it is the root of G times as much (Steiger 1998).

    Examples
    --------
    >>> round(rmsea(85.306, 24, 301), 3)
    0.092
    """
    return math.sqrt(groups * max(chisq - df, 0.0) / (n * df)) if df > 0 else 0.0


def rmsea_ci(chisq: float, df: float, n: int, level: float = 0.90, groups: int = 1) -> tuple[float, float]:
    """Interval of the RMSEA from the noncentral chi-square.

    Examples
    --------
    >>> [round(bound, 3) for bound in rmsea_ci(85.306, 24, 301)]
    [0.071, 0.114]
    """
    if df < 1:
        return 0.0, 0.0
    tail = (1.0 - level) / 2.0
    central = float(chndtr(chisq, df, 0.0))
    # the noncentrality at which chisq is the given quantile; 0 where none is
    low, high = (0.0 if central <= p else float(chndtrinc(chisq, df, p)) for p in (1.0 - tail, tail))
    return math.sqrt(groups * low / (n * df)), math.sqrt(groups * high / (n * df))


def rmsea_pvalue(chisq: float, df: float, n: int, close: float = 0.05, groups: int = 1) -> float:
    """Probability of so large a chi-square if the RMSEA were ``close`` (Browne & Cudeck 1993)."""
    return 1.0 - float(chndtr(chisq, df, n * df * close**2 / groups)) if df > 0 else math.nan


def rmsea_notclose(chisq: float, df: float, n: int, far: float = 0.08, groups: int = 1) -> float:
    """Probability of so small a chi-square if the RMSEA were ``far``."""
    return float(chndtr(chisq, df, n * df * far**2 / groups)) if df > 0 else math.nan


def logl(n: int, p: int, log_det: float, trace: float) -> float:
    """Log-likelihood of n rows of p normal variables.

    Parameters
    ----------
    n, p : int
    log_det : float
        Of the implied covariance matrix.
    trace : float
        ``tr(T sigma^-1)``, plus ``(m - mu)' sigma^-1 (m - mu)`` in a model with means.
    """
    return -0.5 * n * (p * math.log(2.0 * math.pi) + log_det + trace)


def unrestricted_logl(n: int, p: int, sample_log_det: float) -> float:
    """Log-likelihood at the sample moments."""
    return logl(n, p, sample_log_det, p)


def aic(log_likelihood: float, npar: int) -> float:
    """Akaike's criterion."""
    return -2.0 * log_likelihood + 2.0 * npar


def bic(log_likelihood: float, npar: int, rows: int) -> float:
    """Schwarz's criterion."""
    return -2.0 * log_likelihood + npar * math.log(rows)


def bic2(log_likelihood: float, npar: int, rows: int) -> float:
    """Schwarz's criterion with Sclove's sample size."""
    return -2.0 * log_likelihood + npar * math.log((rows + 2) / 24)


def cn(chisq: float, df: int, n: int, alpha: float = 0.05) -> float:
    """Hoelter's critical N; none without degrees of freedom."""
    if df == 0:
        return math.nan
    return math.inf if chisq <= 0 else float(chdtri(df, alpha)) / (chisq / n) + 1.0


def mfi(chisq: float, df: int, n: int) -> float:
    """McDonald's fit index."""
    return math.exp(-0.5 * (chisq - df) / n)


def ecvi(chisq: float, npar: int, n: int) -> float:
    """Expected cross-validation index (Browne & Cudeck 1989)."""
    return (chisq + 2.0 * npar) / n


def gfi(
    cov: FloatArray,
    residual: FloatArray,
    sigma_inverse: FloatArray,
    mean: FloatArray | None = None,
    mean_residual: FloatArray | None = None,
) -> float:
    """Goodness-of-fit index (Tanaka & Huba 1985) under the weights of maximum likelihood; see :func:`gfi_squares`."""
    lost, whole = gfi_squares(cov, residual, sigma_inverse, mean, mean_residual)
    return 1.0 - lost / whole


def gfi_squares(
    cov: FloatArray,
    residual: FloatArray,
    sigma_inverse: FloatArray,
    mean: FloatArray | None = None,
    mean_residual: FloatArray | None = None,
) -> tuple[float, float]:
    """What a model does not explain of the sample moments, and all of it, under the weights of maximum likelihood.

    Parameters
    ----------
    cov : (p, p) array
        Sample covariances, zero among covariates held at their sample moments: those are taken over, not explained.
    residual, sigma_inverse : (p, p) arrays
        Sample minus implied covariances, and inverse of the implied ones.
    mean, mean_residual : (p,) arrays, optional
        Sample means (zero for such covariates), and sample minus implied means, in models with means.
    """
    missed, whole = sigma_inverse @ residual, sigma_inverse @ cov
    lost, all_of_it = 0.5 * float(np.vdot(missed.T, missed)), 0.5 * float(np.vdot(whole.T, whole))
    if mean is not None and mean_residual is not None:
        lost += float(mean_residual @ sigma_inverse @ mean_residual)
        all_of_it += float(mean @ sigma_inverse @ mean)
    return lost, all_of_it


def agfi(gfi_value: float, df: int, n_moments: int) -> float:
    """Adjusted goodness-of-fit index; 1 without degrees of freedom."""
    return 1.0 - n_moments / df * (1.0 - gfi_value) if df > 0 else 1.0


def pgfi(gfi_value: float, df: int, n_moments: int) -> float:
    """Parsimony goodness-of-fit index."""
    return df / n_moments * gfi_value


Scaling = Literal["none", "bentler", "bollen", "mplus"]


@dataclass(frozen=True, eq=False, slots=True)
class Residuals:
    """Sample and implied moments, side by side.

    Attributes
    ----------
    cov, sigma : (p, p) arrays
    mean, mu : (p,) arrays or None
        None in models without means.
    """

    cov: FloatArray
    sigma: FloatArray
    mean: FloatArray | None = None
    mu: FloatArray | None = None

    def covariance(self, scaling: Scaling) -> FloatArray:
        """Residual covariances (p, p): raw, by sample deviations (Bentler), each by its own (Bollen), or Mplus."""
        if scaling == "none":
            return np.asarray(self.cov - self.sigma)
        root = np.sqrt(self.cov.diagonal())
        if scaling == "bentler":
            return np.asarray((self.cov - self.sigma) / (root[:, None] * root))
        implied = np.sqrt(self.sigma.diagonal())
        residual: FloatArray = self.cov / np.outer(root, root) - self.sigma / np.outer(implied, implied)
        if scaling == "mplus":
            np.fill_diagonal(residual, (self.cov - self.sigma).diagonal() / self.cov.diagonal())
        return residual

    def means(self, scaling: Scaling) -> FloatArray:
        """Residual means (p,); empty in models without means."""
        if self.mean is None or self.mu is None:
            return np.empty(0)
        if scaling == "none":
            return np.asarray(self.mean - self.mu)
        root = np.sqrt(self.cov.diagonal())
        if scaling == "bentler":
            return np.asarray((self.mean - self.mu) / root)
        return np.asarray(self.mean / root - self.mu / np.sqrt(self.sigma.diagonal()))


def _root_mean_square(residuals: Residuals, scaling: Scaling, means: bool) -> float:
    p = len(residuals.cov)
    cov = residuals.covariance(scaling)
    total = 0.5 * float(np.vdot(cov, cov) + np.vdot(cov.diagonal(), cov.diagonal()))
    count = p * (p + 1) // 2 - (p if scaling == "bollen" else 0)
    if means and residuals.mean is not None:
        mean = residuals.means("bentler" if scaling == "bollen" else scaling)
        total, count = total + float(mean @ mean), count + mean.size
    return math.sqrt(total / count) if count else 0.0


def rmr(residuals: Residuals, *, means: bool = True) -> float:
    """Root mean square residual, in the units of the data."""
    return _root_mean_square(residuals, "none", means)


def srmr(residuals: Residuals, *, means: bool = True) -> float:
    """Standardised root mean square residual after Bentler (1995)."""
    return _root_mean_square(residuals, "bentler", means)


def crmr(residuals: Residuals, *, means: bool = True) -> float:
    """Correlation root mean square residual after Bollen (1989)."""
    return _root_mean_square(residuals, "bollen", means)


def srmr_mplus(residuals: Residuals, *, means: bool = True) -> float:
    """Standardised root mean square residual as Mplus computes it."""
    return _root_mean_square(residuals, "mplus", means)
