"""Non-linear least squares: Gauss-Newton steps on weighted residuals, whatever moments these are of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import numpy as np

from spc.errors import DataError
from spc.linalg import FloatArray, cholesky
from spc.sem.engine.joint import State, System
from spc.sem.engine.ml import Point
from spc.sem.engine.newton import crawls, newton_step
from spc.sem.engine.optimise import Search
from spc.sem.engine.ram import Implied
from spc.sem.engine.start import WAYS, start_values

__all__ = ["MAX_ITERATIONS", "At", "Squares", "first_end", "point_of", "root_of_covariances", "search_squares"]

TOLERANCE = 1e-15
MAX_ITERATIONS = 500
_PATIENCE, _FARTHEST = 20, 1e3
SMALLEST_EIGENVALUE = 1e-10

At = TypeVar("At")


class Squares(Protocol[At]):
    """Residuals of all blocks one after the other, of equal weight; ``size`` times their sum of squares is F."""

    @property
    def size(self) -> float:
        """F of a sum of squares of one."""

    def implied(self, x: FloatArray) -> At | None:
        """What the blocks imply at coordinates; None where one of them implies nothing."""

    def residual(self, at: At) -> FloatArray:
        """Weighted residuals (m,)."""

    def jacobian(self, at: At) -> FloatArray:
        """Minus their derivatives (m, k) on the coordinates."""

    def state(self, at: At) -> State:
        """F and the points of the blocks."""


def root_of_covariances(gamma: FloatArray, names: Sequence[str], n: int, *, what: str, instead: str) -> FloatArray:
    """Cholesky factor (m, m) of the covariances of m moments, whose inverse is the weight under WLS.

    Parameters
    ----------
    gamma : (m, m) array
    names : sequence of str
        Of the moments.
    n : int
        Rows of data.
    what : str
        What the moments are called.
    instead : str
        What to do where rows are too few.

    Raises
    ------
    DataError
        Fewer rows than moments.
    NotPositiveDefiniteError
        A moment is a function of the others.
    """
    if n < len(names):
        raise DataError.of(
            "data", None, "too_few_rows", f"{n} rows for {len(names)} {what} under WLS",
            f"at least {len(names)} rows, and many times that for results worth reading", instead,
        )  # fmt: skip
    unit = np.sqrt(gamma.diagonal())
    scaled = gamma / np.outer(unit, unit)
    cholesky(scaled - SMALLEST_EIGENVALUE * np.eye(len(scaled)), f"The covariance matrix of the {what}", names)
    return np.asarray(np.linalg.cholesky(scaled) * unit[:, None])


def search_squares(
    squares: Squares[At], start: FloatArray, *, max_iterations: int = MAX_ITERATIONS, newton_steps: int = 0
) -> Search | None:
    """Minimise F by Gauss-Newton steps, halved, then damped where they do not lower it.

    A search that runs away, because the data say next to nothing of some parameter, ends where it is.

    Parameters
    ----------
    squares : Squares
    start : (k,) array
    max_iterations : int
    newton_steps : int
        How many of Newton's own steps to take at the most, where those of Gauss-Newton crawl.

    Returns
    -------
    Search or None
        Its information is that of one row; None where nothing is implied at the start.
    """
    x, settled, at = start, start, squares.implied(start)
    if at is None:
        return None
    damper, iteration, last, spare = 0.0, 0, np.inf, newton_steps
    residual = squares.residual(at)
    while True:
        jacobian = squares.jacobian(at)
        score, information = jacobian.T @ residual, jacobian.T @ jacobian
        step = _step(score, information, damper)
        decrement = float(score @ step)
        if spare and not damper and crawls(iteration, decrement, last):
            exact = newton_step(lambda near: _slope(squares, near), x, score)
            spare = 0 if exact is None else spare - 1
            step, decrement = (step, decrement) if exact is None else (exact, float(score @ exact))
        last = decrement
        converged = decrement < TOLERANCE and damper <= 1.0
        if converged or iteration >= max_iterations or damper > 1e12 or _runs_away(iteration, x - settled):
            return Search(x, squares.state(at), squares.size * information, max(decrement, 0.0), iteration, converged)
        iteration += 1
        settled = x if iteration <= _PATIENCE else settled
        for share in (1.0, 0.5, 0.25, 0.125):
            trial = squares.implied(x + share * step)
            if trial is None:
                continue
            left = squares.residual(trial)
            if left @ left <= residual @ residual + 1e-14:
                x, at, residual, damper = x + share * step, trial, left, 0.0 if damper <= 1e-5 else damper / 10.0
                break
        else:
            damper = max(10.0 * damper, 1e-5)


def _runs_away(iteration: int, moved: FloatArray) -> bool:
    """Whether a search still covers distances, in balanced units, when it should be near its end."""
    return iteration > _PATIENCE and bool(np.abs(moved).max(initial=0.0) > _FARTHEST)


def _step(score: FloatArray, information: FloatArray, damper: float) -> FloatArray:
    root = np.sqrt(np.maximum(information.diagonal(), 1e-300))
    scaled = information / np.outer(root, root) + damper * np.eye(root.size)
    return np.asarray(np.linalg.lstsq(scaled, score / root, rcond=1e-13)[0] / root)


def _slope(squares: Squares[At], x: FloatArray) -> FloatArray | None:
    """Minus half the gradient of F, in units of ``size``."""
    at = squares.implied(x)
    return None if at is None else np.asarray(squares.jacobian(at).T @ squares.residual(at))


def first_end(system: System, minimise: Callable[[FloatArray], Search | None]) -> Search | None:
    """Search from one set of start values after another: the first end, else the best, None where none can start."""
    best: Search | None = None
    for way in WAYS:
        end = minimise(start_values(system, way))
        if end is not None and end.converged:
            return end
        if end is not None and (best is None or end.value < best.value):
            best = end
    return best


def point_of(at: Implied, p: int, value: float, residual: FloatArray | None) -> Point:
    """The end of a search; without an inverse where the implied covariances of the ``p`` observed have none."""
    sigma = at.covariance[:p, :p]
    inverse, log_det = np.full((p, p), np.nan), np.nan
    if np.linalg.eigvalsh(sigma)[0] > 0.0:
        inverse, log_det = np.linalg.inv(sigma), float(np.linalg.slogdet(sigma)[1])
    return Point(value, at, inverse, log_det, residual)
