"""Maximum of a log likelihood with an analytic gradient, and the covariance of its parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spc.errors import NonConvergenceError, SingularInformationError
from spc.linalg import FloatArray

__all__ = ["maximum"]


def maximum(
    loglik: Callable[[FloatArray], tuple[float, FloatArray]], start: FloatArray, what: str
) -> tuple[FloatArray, float, FloatArray]:
    """Newton's method with the Hessian from differences of the gradient.

    Parameters
    ----------
    loglik : callable
        Parameters to log likelihood and gradient; parameters are on an unbounded scale near 1 in size.
    start : (k,) array
    what : str
        Name of the model, for errors.

    Returns
    -------
    estimate : (k,) array
    value : float
    vcov : (k, k) array
        Inverse of the observed information.

    Raises
    ------
    NonConvergenceError
        No maximum was found.
    SingularInformationError
        The data do not fix all parameters.

    Examples
    --------
    >>> x, value, vcov = maximum(lambda x: (float(-(x[0] - 2.0) ** 2), -2.0 * (x - 2.0)), np.zeros(1), "parabola")
    >>> x.round(6).tolist(), vcov.round(6).tolist()
    ([2.0], [[0.5]])
    """
    x, (value, gradient) = np.array(start, dtype=float), loglik(start)
    for _ in range(300):
        values, vectors = np.linalg.eigh(-_hessian(loglik, x))
        floor = 1e-7 * max(float(np.abs(values).max()), 1e-12)
        step = vectors @ ((vectors.T @ gradient) / np.maximum(np.abs(values), floor))
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-300))
        if float(gradient @ step) < 1e-11 * (1.0 + abs(value)):
            return x, value, _inverse(-_hessian(loglik, x), what)
        for _ in range(40):
            ahead = loglik(x + step)
            if np.isfinite(ahead[0]) and ahead[0] >= value:
                break
            step = step / 2.0
        else:
            return x, value, _inverse(-_hessian(loglik, x), what)
        x, (value, gradient) = x + step, ahead
        if float(np.abs(x).max()) > 30.0:
            break
    raise NonConvergenceError(
        f"The {what} model found no maximum: its parameters run away. There are too few customers, or they differ too "
        "little for a model of how they differ."
    )


def _hessian(loglik: Callable[[FloatArray], tuple[float, FloatArray]], x: FloatArray) -> FloatArray:
    step = 1e-5
    columns = [(loglik(x + step * e)[1] - loglik(x - step * e)[1]) / (2 * step) for e in np.eye(x.size)]
    return (np.array(columns) + np.array(columns).T) / 2


def _inverse(information: FloatArray, what: str) -> FloatArray:
    values = np.linalg.eigvalsh(information)
    if values[0] <= 1e-10 * values[-1]:
        raise SingularInformationError(
            f"The data do not fix all parameters of the {what} model. Use a simpler model of retention."
        )
    return np.asarray(np.linalg.inv(information))
