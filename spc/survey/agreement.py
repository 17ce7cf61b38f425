"""Do the people of a unit agree? rwg and rwg(j) against several nulls, and average deviations.

The observed variance of the answers in a unit is set against the variance that answers would have without any
agreement. That null decides the number: a uniform null flatters whenever people tend to answer on the friendly half of
a scale, so skewed nulls stand beside it.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError, UsageError
from spc.linalg import FloatArray, frozen_array
from spc.survey.units import unit_codes

__all__ = ["NULLS", "ad_index", "agreement", "null_distribution", "null_variance", "rwg"]

Null = Literal["uniform", "slight_skew", "moderate_skew", "heavy_skew"]
NULLS: tuple[Null, ...] = ("uniform", "slight_skew", "moderate_skew", "heavy_skew")

_FIVE_POINT: dict[str, tuple[float, ...]] = {
    "uniform": (0.20, 0.20, 0.20, 0.20, 0.20),
    "slight_skew": (0.05, 0.15, 0.20, 0.35, 0.25),
    "moderate_skew": (0.00, 0.10, 0.15, 0.40, 0.35),
    "heavy_skew": (0.00, 0.00, 0.10, 0.40, 0.50),
}
_PUBLISHED: dict[str, dict[int, float]] = {
    "slight_skew": {5: 1.34, 6: 1.85, 7: 2.90, 8: 3.47, 9: 5.66, 10: 6.30, 11: 7.31},
    "moderate_skew": {5: 0.90, 6: 1.26, 7: 2.14, 8: 2.79, 9: 4.73, 10: 5.09, 11: 6.32},
    "heavy_skew": {5: 0.44, 6: 0.69, 7: 1.39, 8: 2.35, 9: 3.16, 10: 3.46, 11: 4.02},
}


def null_distribution(null: Null, points: int) -> FloatArray:
    """Shares of each answer when nobody agrees, carried over from the five-point scale to any other.

    The five shares are read as a density that is level within each fifth of the scale, and collected again in as many
    equal parts as there are points. On five points this is the published distribution, and the uniform null stays
    uniform.

    Parameters
    ----------
    null : {"uniform", "slight_skew", "moderate_skew", "heavy_skew"}
    points : int
        Number of answer options, at least 2.

    Returns
    -------
    (points,) array

    References
    ----------
    James, Demaree & Wolf (1984), Journal of Applied Psychology 69, 85-98; the shares on five points as in
    LeBreton & Senter (2008), Organizational Research Methods 11, 815-852.

    Examples
    --------
    >>> null_distribution("heavy_skew", 5).round(2)
    array([0. , 0. , 0.1, 0.4, 0.5])
    >>> null_distribution("uniform", 4)
    array([0.25, 0.25, 0.25, 0.25])
    """
    if null not in NULLS:
        raise UsageError(f"There is no null {null!r}; there are {', '.join(NULLS)}.")
    if points != int(points) or points < 2:
        raise UsageError(f"An answer scale of {points!r} points has no null; give a whole number of at least 2.")
    cumulated = np.concatenate([[0.0], np.cumsum(_FIVE_POINT[null])])
    edges = np.interp(np.arange(points + 1) / points, np.arange(6) / 5, cumulated)
    return frozen_array(np.diff(edges))


def null_variance(null: Null, points: int) -> float:
    """Variance of the answers when nobody agrees.

    Uniform: (A² − 1) / 12 for A points. Skewed, 5 to 11 points: the published values that papers use. Skewed, any other
    number of points: the variance of :func:`null_distribution`, for which nothing is published.

    Parameters
    ----------
    null : {"uniform", "slight_skew", "moderate_skew", "heavy_skew"}
    points : int
        Number of answer options, at least 2.

    References
    ----------
    LeBreton & Senter (2008), Organizational Research Methods 11, 815-852, table 2.

    Examples
    --------
    >>> [null_variance(null, 5) for null in NULLS]
    [2.0, 1.34, 0.9, 0.44]
    >>> null_variance("uniform", 7), null_variance("slight_skew", 7)
    (4.0, 2.9)
    """
    shares = null_distribution(null, points)
    if null == "uniform":
        return (points**2 - 1) / 12
    published = _PUBLISHED[null].get(points)
    if published is not None:
        return published
    answers = np.arange(points)
    return float(shares @ answers**2 - (shares @ answers) ** 2)


def rwg(items: pd.DataFrame, unit: pd.Series[Any], *, points: int, null: Null = "uniform") -> pd.Series[float]:
    """Agreement within each unit: rwg for one item, rwg(j) for several.

    With the mean item variance s² and the null variance σ², rwg is 1 − s²/σ² and rwg(j) is its Spearman-Brown
    extension over j items. A variance beyond the null's would give values outside 0 to 1; by convention these are 0.

    Parameters
    ----------
    items : DataFrame
        One column an item, all running in one direction; rows with a missing answer are left out.
    unit : Series
        Unit of each row, in the same order; rows without a unit are left out.
    points : int
        Number of answer options.
    null : {"uniform", "slight_skew", "moderate_skew", "heavy_skew"}

    Returns
    -------
    Series
        By unit, NaN for units with fewer than two complete rows.

    Raises
    ------
    UsageError
        An unknown null, or a scale without points.
    DataError
        There are no items, or the rows do not match.

    References
    ----------
    James, Demaree & Wolf (1984), Journal of Applied Psychology 69, 85-98.

    Examples
    --------
    >>> items = pd.DataFrame({"a": [4, 4, 5, 1, 5], "b": [4, 5, 5, 1, 5]})
    >>> rwg(items, pd.Series(["x", "x", "x", "y", "y"]), points=5).round(3).to_dict()
    {'x': 0.909, 'y': 0.0}
    """
    split = _Split(items, unit)
    return split.series(_rwg_j(split.variances().mean(axis=1), items.shape[1], null_variance(null, points)), "rwg")


def ad_index(
    items: pd.DataFrame, unit: pd.Series[Any], *, centre: Literal["mean", "median"] = "mean"
) -> pd.Series[float]:
    """Average deviation index: how far, in scale points, answers in a unit lie from the unit's mean or median.

    Needs no null. Averaged over items; a usual bar is a sixth of the number of points.

    Parameters
    ----------
    items, unit
        As in :func:`rwg`.
    centre : {"mean", "median"}

    Returns
    -------
    Series
        By unit, NaN for units with fewer than two complete rows.

    References
    ----------
    Burke, Finkelstein & Dusig (1999), Organizational Research Methods 2, 49-68; the bar: Burke & Dunlap
    (2002), the same journal 5, 159-172.

    Examples
    --------
    >>> items = pd.DataFrame({"a": [4, 4, 4, 1, 5]})
    >>> ad_index(items, pd.Series(["x", "x", "x", "y", "y"])).to_dict()
    {'x': 0.0, 'y': 2.0}
    """
    if centre not in ("mean", "median"):
        raise UsageError(f"There is no centre {centre!r}; there are mean and median.")
    split = _Split(items, unit)
    return split.series(split.deviations(centre).mean(axis=1), "ad")


def agreement(items: pd.DataFrame, unit: pd.Series[Any], *, points: int) -> pd.DataFrame:
    """Agreement within each unit against every null, and the average deviation.

    Parameters
    ----------
    items, unit, points
        As in :func:`rwg`.

    Returns
    -------
    DataFrame
        By unit: ``n`` complete rows, ``item_variance`` (mean over items), one ``rwg_`` column a null, ``ad``.
    """
    split = _Split(items, unit)
    variance = split.variances().mean(axis=1)
    columns = {f"rwg_{null}": _rwg_j(variance, items.shape[1], null_variance(null, points)) for null in NULLS}
    table = {"n": split.sizes, "item_variance": variance, **columns, "ad": split.deviations("mean").mean(axis=1)}
    return pd.DataFrame(table, index=split.units)


def _rwg_j(variance: FloatArray, j: int, null: float) -> FloatArray:
    ratio = np.minimum(variance / null, 1.0)
    return np.asarray(j * (1 - ratio) / (j * (1 - ratio) + ratio))


class _Split:
    """Complete rows by unit, in the order of the units; units without complete rows stay, as missing."""

    def __init__(self, items: pd.DataFrame, unit: pd.Series[Any]) -> None:
        if not items.shape[1] or len(items) != len(unit):
            raise DataError.of(
                "data", None, "shape", f"{items.shape[1]} items of {len(items)} people and units of {len(unit)}",
                "at least one item, and one unit a person", "Give items and unit from the same table.",
            )  # fmt: skip
        values = items.to_numpy(dtype=np.float64, na_value=np.nan)
        codes, self.units = unit_codes(unit)
        kept = (codes >= 0) & ~np.isnan(values).any(axis=1)
        self.values, self.codes = values[kept], codes[kept]
        self.sizes = np.bincount(self.codes, minlength=len(self.units))

    def series(self, values: FloatArray, name: str) -> pd.Series[float]:
        return pd.Series(values, index=self.units, name=name)

    def variances(self) -> FloatArray:
        squares = self._sums((self.values - self._centres("mean")[self.codes]) ** 2)
        return np.where(self._several, squares / np.maximum(self.sizes - 1, 1)[:, None], np.nan)

    def deviations(self, centre: str) -> FloatArray:
        distances = self._sums(np.abs(self.values - self._centres(centre)[self.codes]))
        return np.where(self._several, distances / np.maximum(self.sizes, 1)[:, None], np.nan)

    @property
    def _several(self) -> npt.NDArray[np.bool_]:
        return np.asarray(self.sizes >= 2)[:, None]

    def _sums(self, values: FloatArray) -> FloatArray:
        columns = [np.bincount(self.codes, column, len(self.units)) for column in values.T]
        return np.stack(columns, axis=1)

    def _centres(self, centre: str) -> FloatArray:
        grouped = pd.DataFrame(self.values).groupby(self.codes)
        found = grouped.mean() if centre == "mean" else grouped.median()
        return found.reindex(range(len(self.units))).to_numpy()
