r"""Gauss's hypergeometric function where the models of buying need it: stable for many purchases and late times.

.. math:: {}_2F_1(a, b; c; z) = (1 - z)^{c - a - b} \, {}_2F_1(c - a, c - b; c; z)

turns the large parameters of a customer with many purchases into small ones (Euler), so that nothing overflows and
the series is short. Summed in logarithms of its scale.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from spc.errors import NonConvergenceError
from spc.linalg import FloatArray

__all__ = ["log_hyp2f1"]

_MOST_TERMS = 200_000


def log_hyp2f1(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike, z: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Logarithm of the absolute value, and sign, of the hypergeometric function for z in 0..1 (1 left out).

    Parameters
    ----------
    a, b, c, z : array-like
        Broadcast against each other; c neither nought nor a negative whole number.

    Returns
    -------
    log : (...) array
    sign : (...) array

    Raises
    ------
    NonConvergenceError
        The series did not settle, which happens for z within a hair of 1 only.

    Examples
    --------
    >>> log, sign = log_hyp2f1(1.0, 1.0, 2.0, 0.5)
    >>> round(float(sign * np.exp(log)), 6), round(float(-np.log(0.5) / 0.5), 6)
    (1.386294, 1.386294)
    """
    a, b, c, z = (np.asarray(x, dtype=float) for x in np.broadcast_arrays(a, b, c, z))
    value = _series(c - a, c - b, c, z)
    return np.log(np.abs(value)) + (c - a - b) * np.log1p(-z), np.sign(value)


def _series(a: FloatArray, b: FloatArray, c: FloatArray, z: FloatArray) -> FloatArray:
    """Sum of the series, term by term until none of the places moves."""
    shape = z.shape
    a, b, c, z = (x.ravel() for x in (a, b, c, z))
    total, term = np.ones(z.size), np.ones(z.size)
    alive = np.arange(z.size)
    for k in range(_MOST_TERMS):
        term = term * (a + k) * (b + k) / ((c + k) * (k + 1.0)) * z
        total[alive] += term
        if k % 8 == 7:
            ratio = np.maximum(z, np.abs((a + k) * (b + k) / ((c + k) * (k + 1.0)) * z))
            moving = (np.abs(term) > 1e-17 * np.abs(total[alive]) * (1.0 - np.minimum(ratio, 1.0 - 1e-12))) & (
                term != 0
            )
            if not moving.any():
                return total.reshape(shape)
            alive, term, a, b, c, z = (x[moving] for x in (alive, term, a, b, c, z))
    raise NonConvergenceError(
        "The hypergeometric series did not settle. The time looked ahead is too long beside the time customers were "
        "watched; look ahead less far."
    )
