r"""Whether a link is a straight line: tests of curvature, of loss against gain, and of a threshold.

A cause known with error is replaced by what it is expected to be. With ``x | w ~ N(m, v)`` given its measurement w,
an outcome that follows ``f(x)`` has the mean ``E[f(x) | w]``, so the regression is on

    E[x] = m,    E[x^2] = m^2 + v,    E[max(x - c, 0)] = (m - c) Phi(z) + sqrt(v) phi(z),  z = (m - c) / sqrt(v),

and neither slopes nor bends shrink as they do on the measurement itself (regression calibration).

Errors are of the jackknife kind (CR3; HC3 where a cluster has one row), with Student's t on clusters less coefficients.
The best of many thresholds is held against the best of as many in draws of the straight line with its residuals' signs
turned at random, cluster by cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray

__all__ = ["FEWEST_ROWS", "Bend", "Cause", "Line", "Shapes", "link_shape"]

_THRESHOLDS = np.linspace(0.15, 0.85, 15)
FEWEST_ROWS = 8
"""Least degrees of freedom of a test, in rows or clusters."""
_SAME = 1e-12

Codes = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Cause:
    """What is known of a cause in each row: mean and variance given its measurement.

    Attributes
    ----------
    mean, variance : (n,) arrays
    """

    mean: FloatArray
    variance: FloatArray

    def square(self, about: float) -> FloatArray:
        """Expected square of the distance from a point."""
        return np.asarray((self.mean - about) ** 2 + self.variance)

    def above(self, point: float) -> FloatArray:
        """Expected distance above a point, 0 below it."""
        from scipy.special import ndtr

        root = np.sqrt(np.maximum(self.variance, 1e-300))
        z = (self.mean - point) / root
        height = np.exp(-0.5 * np.minimum(z**2, 700.0)) / np.sqrt(2.0 * np.pi)
        return np.asarray((self.mean - point) * ndtr(z) + root * height)


@dataclass(frozen=True)
class Line:
    """A slope with its error, on ``df`` degrees of freedom."""

    slope: float
    error: float
    df: int

    @property
    def p_value(self) -> float:
        """Of Student's t."""
        from scipy.special import stdtr

        return float(2.0 * stdtr(self.df, -abs(self.slope / self.error)))

    def interval(self, level: float) -> tuple[float, float]:
        """Interval of the slope."""
        from scipy.special import stdtrit

        half = float(stdtrit(self.df, 0.5 + level / 2.0)) * self.error
        return self.slope - half, self.slope + half


@dataclass(frozen=True)
class Bend:
    """Two slopes that meet at a point, and their difference."""

    point: float
    below: Line
    above: Line
    change: Line


@dataclass(frozen=True, eq=False)
class Shapes:
    """What the tests of one link found.

    Attributes
    ----------
    straight : Line
    square : Line
        Coefficient of the square of the distance from the middle; ``straight`` slopes at the middle when it is nought.
    middle : float
        Mean of the cause.
    asymmetric : Bend
        Loss against gain: the slopes below and above the middle.
    threshold : Bend
        The bend that fits best; its p-value is :attr:`threshold_p_value`, not that of its change.
    threshold_p_value : float
    """

    straight: Line
    square: Line
    middle: float
    asymmetric: Bend
    threshold: Bend
    threshold_p_value: float


def link_shape(
    outcome: FloatArray,
    cause: Cause,
    others: Sequence[Cause] = (),
    *,
    cluster: npt.ArrayLike | None = None,
    draws: int = 999,
    rng: np.random.Generator,
) -> Shapes | None:
    """Test the shape of one link.

    Parameters
    ----------
    outcome : (n,) array
        Complete.
    cause : Cause
    others : sequence of Cause
        Other causes of the outcome, taken as straight.
    cluster : (n,) array-like, optional
        Which rows depend on each other; without it, none do.
    draws : int
        Draws behind the p-value of the threshold.
    rng : Generator

    Returns
    -------
    Shapes or None
        None where there are too few clusters, or the cause hardly differs between them, takes only two values, or is
        not told apart from the others.

    References
    ----------
    Carroll, Ruppert, Stefanski & Crainiceanu (2006), *Measurement Error in Nonlinear Models*, chapter 4; Hansen (1996),
    Econometrica 64, 413-430 (a threshold searched for); MacKinnon, Nielsen & Webb (2023), Journal of Econometrics 232,
    272-299 (CR3).

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=200)
    >>> bent = link_shape(np.minimum(x, 0.0) + rng.normal(0, 0.1, 200), Cause(x, np.zeros(200)), rng=rng)
    >>> round(bent.asymmetric.below.slope, 1), round(abs(bent.asymmetric.above.slope), 1)
    (1.0, 0.0)
    """
    codes = np.arange(len(outcome)) if cluster is None else np.unique(np.asarray(cluster), return_inverse=True)[1]
    clusters = int(codes.max()) + 1
    base = np.column_stack([np.ones(len(outcome)), cause.mean, *(other.mean for other in others)])
    if clusters - base.shape[1] - 1 < FEWEST_ROWS or float(np.std(cause.mean)) < 1e-9 * max(
        1.0, abs(cause.mean.mean())
    ):
        return None
    middle = float(cause.mean.mean())
    points = np.quantile(cause.mean, _THRESHOLDS)
    hinges = np.stack([cause.above(float(point)) for point in points])
    apart = _adds(base, hinges)
    if not (
        _full_rank(base) and _adds(base, np.stack([cause.square(middle), cause.above(middle)])).all() and any(apart)
    ):
        return None
    points, hinges = points[apart], hinges[apart]
    straight = _line(base, outcome, codes, [1])[0]
    square = _line(np.column_stack([base, cause.square(middle)]), outcome, codes, [base.shape[1]])[0]
    best, p_value = _search(base, outcome, hinges, codes, draws, rng)
    return Shapes(
        straight,
        square,
        middle,
        _bend(base, outcome, cause, middle, codes),
        _bend(base, outcome, cause, float(points[best]), codes),
        p_value,
    )


def _full_rank(base: FloatArray) -> bool:
    size = np.sqrt((base**2).sum(axis=0))
    return bool((size > 0.0).all() and np.linalg.matrix_rank(base / size) == base.shape[1])


def _adds(base: FloatArray, columns: FloatArray) -> npt.NDArray[np.bool_]:
    """Which columns, (k, n), say something that the base does not."""
    q, _ = np.linalg.qr(base)
    left = columns - (columns @ q) @ q.T
    return np.asarray((left**2).sum(axis=1) > _SAME * (columns**2).sum(axis=1))


def _bend(base: FloatArray, outcome: FloatArray, cause: Cause, point: float, codes: Codes) -> Bend:
    """Slopes below and above a point: of the part below (x less the part above) and of the part above."""
    above = cause.above(point)
    split = base.copy()
    split[:, 1] -= above
    lower, upper, change = _line(np.column_stack([split, above]), outcome, codes, [1, base.shape[1]], contrast=True)
    return Bend(point, lower, upper, change)


def _line(
    design: FloatArray, outcome: FloatArray, codes: Codes, places: list[int], *, contrast: bool = False
) -> list[Line]:
    """Slopes at some places of the design, with jackknife errors; with ``contrast``, then the last less the first."""
    estimate, spread = _jackknife(design, outcome, codes)
    df = int(codes.max()) + 1 - design.shape[1]
    wanted = [np.eye(design.shape[1])[place] for place in places]
    if contrast:
        wanted.append(wanted[-1] - wanted[0])
    return [Line(float(row @ estimate), float(np.sqrt(row @ spread @ row)), df) for row in wanted]


def _jackknife(design: FloatArray, outcome: FloatArray, codes: Codes) -> tuple[FloatArray, FloatArray]:
    """Least squares with the CR3 covariance: residuals of each cluster as if it had been left out."""
    unit = np.sqrt((design**2).mean(axis=0))
    x = design / unit
    gram = np.linalg.inv(x.T @ x)
    estimate = gram @ (x.T @ outcome)
    residual = outcome - x @ estimate
    order = np.argsort(codes, kind="stable")
    score = []
    for rows in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        part = x[rows]
        score.append(part.T @ np.linalg.solve(np.eye(rows.size) - part @ gram @ part.T, residual[rows]))
    pull = np.array(score)
    share = (len(pull) - 1.0) / len(pull)
    spread = share * gram @ (pull.T @ pull) @ gram
    return estimate / unit, spread / np.outer(unit, unit)


def _search(
    base: FloatArray, outcome: FloatArray, hinges: FloatArray, codes: Codes, draws: int, rng: np.random.Generator
) -> tuple[int, float]:
    """The threshold that fits best, and the share of draws in which the best fits as well."""
    order = np.argsort(codes, kind="stable")
    codes, starts = codes[order], np.flatnonzero(np.diff(codes[order], prepend=-1))
    q, _ = np.linalg.qr(base[order])
    hinges = hinges[:, order]
    hinges = hinges - (hinges @ q) @ q.T
    residual = outcome[order] - q @ (q.T @ outcome[order])

    width = np.maximum((hinges**2).sum(axis=1), 1e-300)

    def statistics(values: FloatArray) -> FloatArray:
        """Share of what is left unexplained that each threshold takes away."""
        return np.asarray((values @ hinges.T) ** 2 / width / (values**2).sum(axis=1)[:, None])

    found = statistics(residual[None])[0]
    flatter = residual / np.sqrt(np.maximum(1.0 - (q**2).sum(axis=1), 1e-6))
    most = np.empty(draws)
    step = max(1, 2_000_000 // hinges.size)
    for start in range(0, draws, step):
        here = min(step, draws - start)
        drawn = rng.choice([-1.0, 1.0], (here, starts.size))[:, codes] * flatter
        most[start : start + here] = statistics(drawn - (drawn @ q) @ q.T).max(axis=1)
    return int(found.argmax()), float((1 + (most >= found.max()).sum()) / (draws + 1))
