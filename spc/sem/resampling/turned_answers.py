"""Rows with missing answers turned so that a model holds exactly: the Bollen-Stine bootstrap where answers are missing.

Savalei & Yuan (2009), Multivariate Behavioral Research 44, 741-763: rows of which the unrestricted estimates are the
moments that the model implies, with the same answers missing. Here each row is turned from the moments of its answers
under the unrestricted estimates to those under the model, ``mu + Sigma^(1/2) S^(-1/2) (y - m)`` for the variables that
it answers, again until nothing moves. Without missing answers that is Bollen & Stine's own, in one step.
"""

from __future__ import annotations

import numpy as np

from spc.errors import EstimationError
from spc.linalg import FloatArray
from spc.moments import Patterns
from spc.sem.engine.problem import Problem
from spc.sem.missing.fiml_robust import rows_apart
from spc.sem.missing.saturated import saturated

__all__ = ["turned_answers", "unrestricted_moments"]

_ROUNDS, _CLOSE = 200, 1e-7


def unrestricted_moments(patterns: Patterns, scale: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Unrestricted means and covariances (divisor n) in units of ``scale``."""
    found = saturated(patterns).moments
    assert found.mean is not None
    return found.mean / scale, found.cov * ((found.n - 1) / found.n) / np.outer(scale, scale)


def turned_answers(rows: FloatArray, problem: Problem, mean: FloatArray, cov: FloatArray) -> FloatArray:
    """Rows with the unrestricted moments that a model implies, and NaN where they had it.

    Parameters
    ----------
    rows : (n, p) array
        In the user's units.
    problem : Problem
    mean, cov : (p,), (p, p) arrays
        Implied moments, in balanced units.

    Raises
    ------
    EstimationError
        Turning them does not end.
    """
    names, scale = problem.place.observed, problem.scale[: problem.place.n_observed]
    turned = rows / scale
    seen = ~np.isnan(turned)
    patterns, owner = np.unique(seen, axis=0, return_inverse=True)
    for _ in range(_ROUNDS):
        own_mean, own_cov = unrestricted_moments(rows_apart(names, turned).restrict(names), np.ones_like(scale))
        if max(float(np.abs(own_mean - mean).max()), float(np.abs(own_cov - cov).max())) < _CLOSE:
            return np.asarray(turned * scale)
        for number, there in enumerate(patterns):
            block = np.ix_(owner.ravel() == number, there)
            root = np.linalg.cholesky(own_cov[np.ix_(there, there)])
            whole = np.linalg.cholesky(cov[np.ix_(there, there)])
            turned[block] = np.linalg.solve(root, (turned[block] - own_mean[there]).T).T @ whole.T + mean[there]
    raise EstimationError(
        "The rows could not be turned so that the model holds in them: too few answer some variables together. Use "
        "kind='case'."
    )
