"""Newton steps for least squares, where Gauss-Newton steps crawl because the model fits badly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg.lapack import dposv

from spc.linalg import FloatArray

__all__ = ["NEWTON_STEPS", "crawls", "newton_step"]

NEWTON_STEPS = 12

_PATIENCE, _NEAR, _SLOW = 20, 1e-2, 0.05
_WIDTH = 1e-5


def crawls(iteration: int, decrement: float, last: float) -> bool:
    """Whether steps are many, near the end, and hardly nearer than the one before.

    Examples
    --------
    >>> crawls(30, 1e-5, 1.1e-5), crawls(30, 1e-9, 1e-5), crawls(3, 1e-5, 1.1e-5)
    (True, False, False)
    """
    return iteration > _PATIENCE and decrement < _NEAR and decrement > _SLOW * last


def newton_step(
    slope: Callable[[FloatArray], FloatArray | None], x: FloatArray, score: FloatArray
) -> FloatArray | None:
    """Step by the Hessian, from central differences of the slope.

    Parameters
    ----------
    slope : callable
        The score at any x, minus half the gradient; None where there is none.
    x : (k,) array
    score : (k,) array
        At x.

    Returns
    -------
    array or None
        None where the Hessian is not positive definite, or the slope has an edge nearby.

    Examples
    --------
    >>> newton_step(lambda x: -(x**3), np.array([2.0]), np.array([-8.0])).round(6)
    array([-0.666667])
    """
    hessian = np.empty((x.size, x.size))
    for j, width in enumerate(_WIDTH * np.maximum(1.0, np.abs(x))):
        move = np.zeros(x.size)
        move[j] = width
        after, before = slope(x + move), slope(x - move)
        if after is None or before is None:
            return None
        hessian[:, j] = (before - after) / (2.0 * width)
    _, step, fault = dposv((hessian + hessian.T) / 2.0, score, lower=1)
    return np.asarray(step) if not fault and np.isfinite(step).all() else None
