"""Variance between and within units: one-way analysis of variance, and restricted maximum likelihood.

Both need only the size and the mean of each unit and the pooled sum of squares within units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray, frozen_array

__all__ = [
    "OneWay",
    "RandomIntercept",
    "UnitSums",
    "expected_values",
    "mean_reliability",
    "one_way",
    "random_intercept",
    "unit_sums",
]


@dataclass(frozen=True, eq=False)
class UnitSums:
    """All that both estimators need of the data.

    Attributes
    ----------
    sizes, means : (J,) array
        Of the units, each with at least one person.
    within : float
        Sum of squared deviations from the unit means.
    """

    sizes: FloatArray
    means: FloatArray
    within: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", frozen_array(self.sizes))
        object.__setattr__(self, "means", frozen_array(self.means))

    @property
    def n(self) -> int:
        """Number of people."""
        return int(self.sizes.sum())

    @property
    def estimable(self) -> bool:
        """Whether there are two units, someone beside another in a unit, and any variance."""
        return len(self.sizes) >= 2 and self.n > len(self.sizes) and self.total > 0

    @property
    def total(self) -> float:
        """Sum of squared deviations from the grand mean."""
        grand = self.sizes @ self.means / self.sizes.sum()
        return float(self.within + self.sizes @ (self.means - grand) ** 2)


@dataclass(frozen=True)
class OneWay:
    """One-way analysis of variance of the units.

    Attributes
    ----------
    msb, msw : float
        Mean squares between and within units.
    df_between, df_within : int
    F, p_value : float
    size : float
        Mean unit size, the k of ICC(1).
    icc1, icc1_low, icc1_high, icc2, icc2_low, icc2_high : float
    """

    msb: float
    msw: float
    df_between: int
    df_within: int
    F: float
    p_value: float
    size: float
    icc1: float
    icc1_low: float
    icc1_high: float
    icc2: float
    icc2_low: float
    icc2_high: float


@dataclass(frozen=True)
class RandomIntercept:
    """A random intercept per unit, by restricted maximum likelihood.

    Attributes
    ----------
    mean : float
        Mean over units, weighted by their precision.
    between, within : float
        Variance components.
    icc, icc_low, icc_high : float
        Share of the variance between units, with the interval of the restricted profile likelihood.
    deviance : float
        Minus twice the restricted log-likelihood.
    """

    mean: float
    between: float
    within: float
    icc: float
    icc_low: float
    icc_high: float
    deviance: float

    def expected(self, means: FloatArray, sizes: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values of units given the means of so many people: expectation and variance, NaN where units do not differ.

        Means are drawn toward the mean over units, the more the fewer people they rest on.

        Examples
        --------
        >>> found = random_intercept(UnitSums([4] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 36.0), 0.95)
        >>> [part.round(2).tolist() for part in found.expected(np.array([1.0, 6.0]), np.array([4.0, 1.0]))]
        [[1.36, 5.0], [0.43, 1.2]]
        """
        if not self.between > 0.0:
            return np.full(len(means), np.nan), np.full(len(means), np.nan)
        return expected_values(means, self.within / np.maximum(sizes, 1.0), self.mean, self.between)


def expected_values(
    measured: FloatArray, variance: FloatArray, mean: float, between: float
) -> tuple[FloatArray, FloatArray]:
    """What true values are expected to be given their measurement, and how surely: regression calibration.

    Parameters
    ----------
    measured, variance : (n,) arrays
        Measurements and the variances of their errors.
    mean, between : float
        Of the true values over units.

    Returns
    -------
    expectation, variance : (n,) arrays

    Examples
    --------
    >>> [part.tolist() for part in expected_values(np.array([2.0, 4.0]), np.array([1.0, 0.0]), 3.0, 1.0)]
    [[2.5, 4.0], [0.5, 0.0]]
    """
    share = between / (between + variance)
    return np.asarray(mean + share * (measured - mean)), np.asarray(between * (1.0 - share))


def unit_sums(values: FloatArray, codes: npt.NDArray[np.intp]) -> UnitSums:
    """Sum up values by unit.

    Parameters
    ----------
    values : (n,) array, complete
    codes : (n,) array of int
        Unit of each row; units without rows are left out.

    Examples
    --------
    >>> s = unit_sums(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 1]))
    >>> s.sizes.tolist(), s.means.tolist(), s.within
    ([2.0, 1.0], [2.0, 5.0], 2.0)
    """
    codes = np.unique(codes, return_inverse=True)[1]
    sizes = np.bincount(codes).astype(np.float64)
    shift = values.mean() if len(values) else 0.0
    means = np.bincount(codes, values - shift) / sizes
    rest = values - shift - means[codes]
    within, spread = float(rest @ rest), float((values - shift) @ (values - shift))
    return UnitSums(sizes, means + shift, within if within > 1e-24 * max(spread, shift**2) else 0.0)


def mean_reliability(icc1: float, size: FloatArray | float) -> FloatArray:
    """Reliability of the mean of ``size`` people (Spearman-Brown of ICC(1)); 0 where ICC(1) is not positive.

    Examples
    --------
    >>> mean_reliability(0.10, np.array([5.0, 15.0, 30.0])).round(2)
    array([0.36, 0.62, 0.77])
    """
    icc1 = max(icc1, 0.0) if np.isfinite(icc1) else np.nan
    sizes = np.asarray(size, dtype=np.float64)
    return np.asarray(sizes * icc1 / (1 + (sizes - 1) * icc1))


def one_way(sums: UnitSums, level: float) -> OneWay:
    """ICC(1), ICC(2) and the F test of units from mean squares.

    ICC(1) is (MSB − MSW) / (MSB + (k − 1) MSW) with k the mean unit size, ICC(2) is (MSB − MSW) / MSB; both are
    reported as they come out, negative ones included. The intervals rest on the F distribution of MSB / MSW: exact for
    normal scores and units of one size, an approximation when sizes differ.

    Parameters
    ----------
    sums : UnitSums
        Estimable (see :attr:`UnitSums.estimable`).
    level : float

    References
    ----------
    Bliese (2000), in Klein & Kozlowski (eds), *Multilevel Theory, Research, and Methods in Organizations*, 349-381.
    Intervals: Searle (1971), *Linear Models*, chapter 9; McGraw & Wong (1996), Psychological Methods 1, 30-46.

    Examples
    --------
    >>> a = one_way(UnitSums([3, 3], [1.0, 3.0], 4.0), 0.95)
    >>> a.F, round(a.icc1, 3), round(a.icc2, 3)
    (6.0, 0.625, 0.833)
    """
    from scipy.special import fdtrc, fdtri

    units, n = len(sums.sizes), sums.n
    df_between, df_within, size = units - 1, n - units, n / units
    msb, msw = (sums.total - sums.within) / df_between, sums.within / df_within
    tail = (1 - level) / 2
    F = msb / msw if msw > 0 else np.inf
    low = F / float(fdtri(df_between, df_within, 1 - tail))
    high = F / float(fdtri(df_between, df_within, tail))
    p_value = float(fdtrc(df_between, df_within, F)) if np.isfinite(F) else 0.0
    first = [_icc1_of(ratio, size) for ratio in (F, low, high)]
    second = [1 - 1 / ratio if ratio > 0 else np.nan for ratio in (F, low, high)]
    return OneWay(msb, msw, df_between, df_within, F, p_value, size, *first, *second)


def random_intercept(sums: UnitSums, level: float) -> RandomIntercept:
    """Variance components by restricted maximum likelihood, exact on the one dimension that matters.

    For the ratio θ of between to within variance the mean and the within variance have closed forms, so the restricted
    likelihood is a function of ICC(1) = θ / (1 + θ) alone. It is searched over [0, 1) on a grid and then refined, which
    always arrives, at the boundary 0 too. The interval is where twice the log-likelihood lies within the chi-square
    quantile of its maximum.

    Parameters
    ----------
    sums : UnitSums
        Estimable (see :attr:`UnitSums.estimable`).
    level : float

    References
    ----------
    Patterson & Thompson (1971), Biometrika 58, 545-554; Searle, Casella & McCulloch (1992), *Variance Components*,
    chapter 6.

    Examples
    --------
    >>> r = random_intercept(UnitSums([4] * 6, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 36.0), 0.95)
    >>> round(r.between, 4), round(r.within, 4)     # (14 - 2) / 4 and 2: balanced data agree with the mean squares
    (3.0, 2.0)
    """
    from scipy.special import ndtri

    if sums.within == 0:
        return _all_between(sums)

    def deviance(icc: float) -> float:
        return _profile(sums, icc)[0]

    icc = _polished(sums, _lowest(deviance))
    lowest, mean, within = _profile(sums, icc)
    bar = lowest + float(ndtri(0.5 + level / 2)) ** 2
    low, high = _crossing(deviance, bar, icc, 0.0), _crossing(deviance, bar, icc, 1 - 1e-12)
    return RandomIntercept(mean, within * icc / (1 - icc), within, icc, low, high, lowest)


def _icc1_of(ratio: float, size: float) -> float:
    return (ratio - 1) / (ratio + size - 1) if np.isfinite(ratio) else 1.0


def _profile(sums: UnitSums, icc: float) -> tuple[float, float, float]:
    theta = icc / (1 - icc)
    weights = sums.sizes / (1 + sums.sizes * theta)
    origin = sums.means[0]
    mean = float(origin + weights @ (sums.means - origin) / weights.sum())
    df = sums.n - 1
    within = (sums.within + float(weights @ (sums.means - mean) ** 2)) / df
    logs = df * (np.log(2 * np.pi * within) + 1) + np.log1p(sums.sizes * theta).sum() + np.log(weights.sum())
    return float(logs), mean, within


def _lowest(deviance: Callable[[float], float]) -> float:
    from scipy.optimize import minimize_scalar

    grid = np.concatenate([[0.0], np.geomspace(1e-5, 0.5, 40), 1 - np.geomspace(0.49, 1e-9, 30)])
    values = [deviance(float(icc)) for icc in grid]
    best = int(np.argmin(values))
    ends = (grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])
    found = minimize_scalar(deviance, bounds=ends, method="bounded", options={"xatol": 1e-12})
    return float(found.x) if found.fun < values[0] else 0.0


def _polished(sums: UnitSums, icc: float) -> float:
    """The minimum to the last digits, where the slope of the deviance changes sign; values alone give half of them."""
    from scipy.optimize import brentq

    low, high = icc - 1e-6 * icc, icc + 1e-6 * min(icc, 1 - icc)
    if not (0 < low < high < 1) or _slope(sums, low) * _slope(sums, high) >= 0:
        return icc
    return float(brentq(lambda at: _slope(sums, at), low, high, xtol=1e-16, rtol=1e-15))


def _slope(sums: UnitSums, icc: float) -> float:
    """Derivative of the profile deviance by the ratio of between to within variance."""
    theta = icc / (1 - icc)
    _, mean, within = _profile(sums, icc)
    weights = sums.sizes / (1 + sums.sizes * theta)
    apart = float(weights**2 @ (sums.means - mean) ** 2)
    return float(weights.sum() - (weights**2).sum() / weights.sum() - apart / within)


def _crossing(deviance: Callable[[float], float], bar: float, inside: float, end: float) -> float:
    from scipy.optimize import brentq

    if deviance(end) <= bar:
        return float(round(end))
    return float(brentq(lambda icc: deviance(icc) - bar, inside, end, xtol=1e-12))


def _all_between(sums: UnitSums) -> RandomIntercept:
    nan = float("nan")
    return RandomIntercept(float(sums.means.mean()), float(sums.means.var(ddof=1)), 0.0, 1.0, nan, nan, nan)
