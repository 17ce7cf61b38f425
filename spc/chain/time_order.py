"""Whether the earlier cause foresees the later effect better than the earlier effect foresees the later cause."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from spc.chain.panel_rows import KEY, WAVE, waves_of
from spc.linalg import FloatArray

__all__ = ["TimeOrder", "time_order"]

FEWEST = 10


@dataclass(frozen=True)
class TimeOrder:
    """Partial correlations over one wave, forward and backward.

    Attributes
    ----------
    effect, cause : str
    forward : tuple of float
        Earlier cause with later effect, given the earlier effect: estimate, error, and ends of its interval.
    backward : tuple of float
        Earlier effect with later cause, given the earlier cause.
    difference : tuple of float
        Forward less backward.
    units : int
        Units, or persons, seen at two adjacent waves.
    """

    effect: str
    cause: str
    forward: tuple[float, float, float, float]
    backward: tuple[float, float, float, float]
    difference: tuple[float, float, float, float]
    units: int

    @property
    def p_value(self) -> float:
        """That both orders foresee as well."""
        from scipy.special import ndtr

        value, error, _, _ = self.difference
        return float(2.0 * ndtr(-abs(value) / error))

    def label(self, size: float) -> str:
        """``forward``, ``backward``, or ``not told apart`` at the given size of the test."""
        if self.p_value >= size:
            return "not told apart"
        return "forward" if self.difference[0] > 0.0 else "backward"


def time_order(
    frame: pd.DataFrame, cause: str, effect: str, *, draws: int, level: float, rng: np.random.Generator
) -> TimeOrder | None:
    """Compare both orders over adjacent waves.

    Parameters
    ----------
    frame : DataFrame
        One row a unit and wave, see :func:`spc.chain.panel_rows.over_waves`.
    cause, effect : str
    draws : int
        Of a bootstrap of units.
    level : float
    rng : Generator

    Returns
    -------
    TimeOrder or None
        None where fewer than ten units were seen at two adjacent waves.

    Notes
    -----
    Correlations of each pair of adjacent waves are pooled with the number of units as weight.
    """
    waves = waves_of(frame, [cause, effect])
    pairs = [_pair(frame, cause, effect, one, two) for one, two in pairwise(waves)]
    pairs = [pair for pair in pairs if len(pair) >= FEWEST]
    if not pairs:
        return None
    units = pd.Index(sorted({key for pair in pairs for key in pair.index}, key=str))
    codes = [units.get_indexer(pair.index) for pair in pairs]
    weights = rng.multinomial(len(units), np.full(len(units), 1.0 / len(units)), size=draws).astype(float)
    weights = np.vstack([np.ones(len(units)), weights])
    values = [_partials(pair.to_numpy(dtype=float), weights[:, code]) for pair, code in zip(pairs, codes, strict=True)]
    size = np.array([len(pair) for pair in pairs], dtype=float)
    both = np.einsum("k,kdj->dj", size / size.sum(), np.stack(values))
    found = np.column_stack([both, both[:, 0] - both[:, 1]])
    told = [_summary(found[:, j], level) for j in range(3)]
    return TimeOrder(effect, cause, told[0], told[1], told[2], len(units))


def _pair(frame: pd.DataFrame, cause: str, effect: str, one: object, two: object) -> pd.DataFrame:
    """Columns: earlier cause, earlier effect, later cause, later effect."""
    early, late = (frame[frame[WAVE] == wave].set_index(KEY)[[cause, effect]] for wave in (one, two))
    return early.join(late.add_suffix(" later"), how="inner").dropna()


def _partials(rows: FloatArray, weights: FloatArray) -> FloatArray:
    """Forward and backward partial correlations of every set of weights: (draws, 2)."""
    share = weights / np.maximum(weights.sum(axis=1, keepdims=True), 1.0)
    rows = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    mean = share @ rows
    cov = np.einsum("dn,ni,nj->dij", share, rows, rows, optimize=True) - mean[:, :, None] * mean[:, None, :]
    spread = np.sqrt(np.maximum(np.einsum("dii->di", cov), 1e-12))
    r = cov / (spread[:, :, None] * spread[:, None, :])
    return np.stack([_partial(r, 0, 3, 1), _partial(r, 1, 2, 0)], axis=1)


def _partial(r: FloatArray, a: int, b: int, given: int) -> FloatArray:
    left = np.sqrt(np.maximum((1.0 - r[:, a, given] ** 2) * (1.0 - r[:, b, given] ** 2), 1e-12))
    return np.asarray((r[:, a, b] - r[:, a, given] * r[:, b, given]) / left)


def _summary(values: FloatArray, level: float) -> tuple[float, float, float, float]:
    drawn = values[1:]
    low, high = np.quantile(drawn, [0.5 - level / 2.0, 0.5 + level / 2.0])
    return float(values[0]), float(drawn.std(ddof=1)), float(low), float(high)
