"""How well a model of units, or persons, foresees those it has not seen.

The model is fitted without a fold of units. Each unit held out then has a log density: of its means, normal around
``mu`` with ``sigma_b`` plus ``sigma_w`` over its number of respondents; a person's own answers have ``sigma`` alone.
The final outcomes are predicted as what is expected of them given everything else the unit has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spc.errors import EstimationError
from spc.linalg import FloatArray
from spc.resample import progress

__all__ = ["Expected", "HeldOut", "Seen", "explained", "held_out", "held_out_folds"]

IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Seen:
    """Rows to foresee.

    Attributes
    ----------
    means : (n, p) array
        Unit means and outcomes, or a person's answers; NaN where absent.
    counts : (n, S) array
        Respondents of each side; without columns for persons.
    side : (p,) int array
        Side of each variable; -1 for those without sampling error.
    outcomes : (k, p) array
        Weights of the final outcomes over the variables.
    earlier : (p,) bool array
        Variables the final outcomes are predicted from.
    """

    means: FloatArray
    counts: FloatArray
    side: IntArray
    outcomes: FloatArray
    earlier: npt.NDArray[np.bool_]

    @property
    def values(self) -> FloatArray:
        """(n, k): the final outcomes; NaN where a part of one is absent."""
        return np.stack([self.means[:, weight != 0.0] @ weight[weight != 0.0] for weight in self.outcomes], axis=1)


@dataclass(frozen=True, eq=False)
class Expected:
    """What a fitted model says a row looks like.

    Attributes
    ----------
    mu : (p,) array
    sigma : (p, p) array
        Between units, or of persons.
    noise : (p, p) array
        Within units; zero for persons and unit outcomes.
    """

    mu: FloatArray
    sigma: FloatArray
    noise: FloatArray


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions of rows by models that have not seen them.

    Attributes
    ----------
    density : (n,) array
        Log density of each row; NaN where its fold could not be fitted.
    predicted : (n, k) array
        Expected final outcomes given everything else.
    guessed : (n, k) array
        Their means among the rows fitted.
    failed : int
        Folds that could not be fitted.
    """

    density: FloatArray
    predicted: FloatArray
    guessed: FloatArray
    failed: int


def held_out_folds(rows: int, folds: int, rng: np.random.Generator, cluster: IntArray | None = None) -> IntArray:
    """Fold of each row, of sizes as equal as can be; rows of one cluster stay together.

    Examples
    --------
    >>> np.bincount(held_out_folds(11, 5, np.random.default_rng(1))).tolist()
    [3, 2, 2, 2, 2]
    """
    units = rows if cluster is None else int(cluster.max()) + 1
    fold = np.empty(units, dtype=np.intp)
    fold[rng.permutation(units)] = np.arange(units) % folds
    return fold if cluster is None else fold[cluster]


def held_out(data: Seen, fold: IntArray, fitted: Callable[[IntArray], Expected], what: str) -> HeldOut:
    """Foresee every row from the folds it is not in.

    Parameters
    ----------
    data : Seen
    fold : (n,) int array
    fitted : callable
        What a model says, fitted to the rows at the given places; raises ``EstimationError`` where it cannot be.
    what : str
        Words beside the progress bar.
    """
    n, values = len(fold), data.values
    density, predicted, guessed = np.full(n, np.nan), np.full(values.shape, np.nan), np.full(values.shape, np.nan)
    failed, folds = 0, int(fold.max()) + 1
    for number in progress(range(folds), what, folds):
        out, rest = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        try:
            said = fitted(rest)
        except EstimationError:
            failed += 1
            continue
        guessed[out] = np.nanmean(values[rest], axis=0)
        for row in out:
            density[row], predicted[row] = _foreseen(data, int(row), said)
    return HeldOut(density, predicted, guessed, failed)


def _foreseen(data: Seen, row: int, said: Expected) -> tuple[float, FloatArray]:
    here = ~np.isnan(data.means[row])
    count = np.append(data.counts[row], 0.0)[data.side]
    root = np.sqrt(np.divide(1.0, count, out=np.zeros(count.size), where=count > 0.0))
    cov = said.sigma + said.noise * np.outer(root, root)
    apart = data.means[row] - said.mu
    white = np.linalg.solve(np.linalg.cholesky(cov[np.ix_(here, here)]), apart[here])
    log_det = np.linalg.slogdet(cov[np.ix_(here, here)])[1]
    density = -0.5 * (white @ white + log_det + here.sum() * np.log(2.0 * np.pi))
    given = here & data.earlier
    pull = np.linalg.solve(cov[np.ix_(given, given)], apart[given])
    return float(density), data.outcomes @ (said.mu + cov[:, given] @ pull)


def explained(data: Seen, found: HeldOut) -> FloatArray:
    """Share of the squared error about the mean that prediction takes away, (k,): below zero where it adds to it."""
    usable = ~np.isnan(data.values) & ~np.isnan(found.predicted)
    left = np.where(usable, data.values - found.predicted, 0.0)
    whole = np.where(usable, data.values - found.guessed, 0.0)
    return np.asarray(1.0 - (left**2).sum(axis=0) / (whole**2).sum(axis=0))
