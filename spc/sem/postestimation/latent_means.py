"""Means of latent variables in several groups, against the first, with errors by the delta method."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from spc.linalg import FloatArray
from spc.sem.engine.ram import implied
from spc.sem.fit import SemFit

__all__ = ["latent_means"]

_COLUMNS = (
    "latent", "group", "estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "d", "d_error",
)  # fmt: skip
_STEP = 1e-4


def latent_means(fit: SemFit | None) -> pd.DataFrame:
    """Differences of latent means from those of the first group, and the same in pooled standard deviations.

    Parameters
    ----------
    fit : SemFit or None
        Of several groups with the same latent variables; None gives an empty table.

    Returns
    -------
    DataFrame
        ``latent, group, estimate, std_error, statistic, p_value, conf_low, conf_high, d, d_error``. Implied means and
        variances are compared, so that a latent variable with causes counts with all that these bring. Latent variables
        whose means are zero in both groups by the model have no row.
    """
    if fit is None:
        return pd.DataFrame([], columns=list(_COLUMNS))
    theta = np.array(fit.solution.theta)
    values, slopes = _differences(fit, theta), _slopes(fit, theta)
    errors = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", slopes, fit.vcov, slopes), 0.0))
    plain, standard = np.split(values, 2)
    error, d_error = np.split(errors, 2)
    keys = product(fit.groups[1:], fit.parts[0].problem.place.latents)
    half = float(ndtri(0.5 + fit.options.level / 2.0))
    rows = []
    for at, (group, latent) in enumerate(keys):
        if plain[at] == 0.0 and not error[at] > 0.0:
            continue
        own, d = (float(one[at]) if one[at] > 0.0 else np.nan for one in (error, d_error))
        z, spread = plain[at] / own, half * own
        p_value = 2.0 * float(ndtr(-abs(z)))
        bounds = plain[at] - spread, plain[at] + spread
        rows.append((latent, group, plain[at], own, z, p_value, *bounds, standard[at], d))
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _differences(fit: SemFit, theta: FloatArray) -> FloatArray:
    """Differences of means, group by group, then the standardised ones."""
    means, variances, sizes = [], [], []
    for part in fit.parts:
        problem, place = part.problem, part.problem.place
        at = implied(place, problem.row_values(theta) * problem.multiplier)
        own = np.arange(place.n_observed, len(place.variables))
        scale = problem.scale[own]
        means.append(at.mean[own] * scale)
        variances.append(at.covariance[own, own] * scale**2)
        sizes.append(problem.n)
    plain, standard = [], []
    for mean, variance, size in zip(means[1:], variances[1:], sizes[1:], strict=True):
        pooled = (sizes[0] * variances[0] + size * variance) / (sizes[0] + size)
        plain.append(mean - means[0])
        standard.append((mean - means[0]) / np.sqrt(np.where(pooled > 0.0, pooled, np.nan)))
    return np.concatenate([*plain, *standard])


def _slopes(fit: SemFit, theta: FloatArray) -> FloatArray:
    """Central differences, in steps that are small beside each parameter's error."""
    errors = np.sqrt(np.maximum(fit.vcov.diagonal(), 0.0))
    step = _STEP * np.where(errors > 0.0, errors, 1.0)
    columns = []
    for i, width in enumerate(step):
        up, down = theta.copy(), theta.copy()
        up[i], down[i] = theta[i] + width, theta[i] - width
        columns.append((_differences(fit, up) - _differences(fit, down)) / (2.0 * width))
    return np.asarray(np.nan_to_num(np.array(columns).T))
