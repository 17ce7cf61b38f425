"""Minimise where the discrepancy is a long curved valley: an exact trust region on the Hessian's own axes.

Nearly collinear latent variables make such valleys: damped steps crawl along the wall, while a trust region follows
the floor. A floor that runs on without end is told by its pace: the estimates grow with the number of steps.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from spc.linalg import FloatArray
from spc.sem.engine.joint import State, System, look
from spc.sem.engine.optimise import Search, derivatives, observed_information, search

__all__ = ["along_valley", "bounded_step"]

ENDLESS = 1e3
_ITERATIONS, _FLAT = 1000, 1e-9
_LOOK_BACK, _RUNAWAY = 100, 1.7
_WIDEST, _NARROWEST = 1e3, 1e-12
_NEWTON_STEPS = 50


def along_valley(system: System, start: FloatArray) -> Search | None:
    """Minimise by steps to the best point of a region that grows where the Hessian foretells F, and shrinks else.

    :func:`~spc.sem.engine.optimise.search` finishes the last digits.

    Parameters
    ----------
    system : Problem or Joint
    start : (k,) array

    Returns
    -------
    Search or None
        None when sigma is not positive definite at the start. Not converged where the floor runs on without end: in
        balanced units no estimate is anywhere near a thousand.

    References
    ----------
    Conn, Gould & Toint (2000), *Trust Region Methods*, chapter 7.
    """
    state = look(system, start)
    if state is None:
        return None
    x, steps = _descend(system, start, state)
    end = search(system, x)
    if end is None:
        return None
    reached = end.converged and bool(np.abs(end.x).max(initial=0.0) < ENDLESS)
    return replace(end, iterations=end.iterations + steps, converged=reached)


def _descend(system: System, x: FloatArray, state: State) -> tuple[FloatArray, int]:
    """Coordinates at the end of the valley, or where there is no hope of one, and the steps taken."""
    radius, before = 1.0, np.inf
    slope, values, vectors = _axes(system, state)
    for count in range(_ITERATIONS):
        if float(np.sqrt(slope @ slope)) < _FLAT or radius < _NARROWEST:
            return x, count
        if count and count % _LOOK_BACK == 0 and (count // _LOOK_BACK).bit_count() == 1:
            reach = float(np.abs(x).max(initial=0.0))
            if reach > ENDLESS or reach > _RUNAWAY * before:
                return x, count
            before = reach
        step, foretold = bounded_step(slope, values, radius)
        moved = x + vectors @ step
        trial = look(system, moved)
        gain = -np.inf if trial is None else 0.5 * (state.value - trial.value)
        share = gain / foretold if foretold > 0.0 else 0.0
        length = float(np.sqrt(step @ step))
        if share < 0.25:
            radius = 0.25 * length
        elif share > 0.75 and length > 0.99 * radius:
            radius = min(2.0 * radius, _WIDEST)
        if trial is not None and share > 0.1:
            x, state = moved, trial
            slope, values, vectors = _axes(system, state)
    return x, _ITERATIONS


def _axes(system: System, state: State) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gradient of F/2 on the axes of its Hessian, and these: values and vectors."""
    values, vectors = np.linalg.eigh(observed_information(system, state))
    return -(vectors.T @ derivatives(system, state)[0]), values, vectors


def bounded_step(slope: FloatArray, values: FloatArray, radius: float) -> tuple[FloatArray, float]:
    """The step no longer than ``radius`` that minimises ``slope's + s'diag(values)s / 2``, and how much it gains.

    Parameters
    ----------
    slope : (k,) array
    values : (k,) array
        Ascending.
    radius : float

    References
    ----------
    Moré & Sorensen (1983), SIAM Journal on Scientific and Statistical Computing 4, 553-572.

    Examples
    --------
    >>> bounded_step(np.array([1.0, 0.0]), np.array([2.0, 4.0]), 9.0)[0]
    array([-0.5, -0. ])
    """
    step = _step(slope, values, radius)
    return step, -float(slope @ step + 0.5 * (values * step) @ step)


def _step(slope: FloatArray, values: FloatArray, radius: float) -> FloatArray:
    low = float(values[0])
    if low > 0.0:
        step = -slope / values
        if step @ step <= radius * radius:
            return step
    height = values + max(0.0, -low)
    most = float(np.sqrt(slope @ slope)) / radius
    shift = 1e-14 * max(float(height[-1]), most, 1e-280)
    step = -slope / (height + shift)
    left = radius * radius - float(step[1:] @ step[1:])
    if low <= 0.0 and step[0] ** 2 < left:
        step[0] = np.copysign(np.sqrt(left), -slope[0])
        return step
    least = shift
    for _ in range(_NEWTON_STEPS):
        step = -slope / (height + shift)
        length = float(np.sqrt(step @ step))
        if abs(length - radius) <= 1e-3 * radius:
            break
        least, most = (shift, most) if length > radius else (least, shift)
        move = length**2 / float(np.sum(slope**2 / (height + shift) ** 3)) * (length - radius) / radius
        shift = shift + move if least < shift + move < most else np.sqrt(least * most)
    return np.asarray(step)
