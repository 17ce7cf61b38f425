"""From rows to moments of clusters: which variables vary on which level, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError
from spc.linalg import FloatArray
from spc.moments import numeric_values
from spc.moments.columns import one_column
from spc.results import Note
from spc.sem.engine.diagnose import dropped_rows
from spc.sem.engine.ram import IntArray
from spc.sem.twolevel.between import mean_shares, moment_start
from spc.sem.twolevel.incomplete import Incomplete, UnitAnswers, unit_answers
from spc.sem.twolevel.inference import log_constant
from spc.sem.twolevel.likelihood import UnitMoments, require_replies, unit_moments
from spc.sem.twolevel.search import Complete, Evidence

__all__ = ["ROWS", "Clusters", "Rough", "cluster_values", "clusters_of", "names_of"]

BoolArray = npt.NDArray[np.bool_]
ROWS = "rows"


@dataclass(frozen=True, eq=False)
class Rough:
    """Moments to start a search from, in the units of the likelihood.

    ``share`` (p,) is the mean of one over the rows behind the means of each variable; 0 for outcomes of clusters.
    """

    mu: FloatArray
    sigma_b: FloatArray
    sigma_w: FloatArray
    share: FloatArray


@dataclass(frozen=True, eq=False)
class Clusters:
    """What the fit sees of the data.

    Attributes
    ----------
    units : UnitMoments
        Variables of the level of rows, then those of clusters alone. A rough picture where answers are missing.
    within, between : (n,) int arrays
        Places of the variables of each level, in the order of its model.
    keys : tuple
        The clusters; empty where moments were given.
    notes : tuple of Note
    answers : UnitAnswers or None
        Where answers are missing.
    """

    units: UnitMoments
    within: IntArray
    between: IntArray
    keys: tuple[object, ...]
    notes: tuple[Note, ...]
    answers: UnitAnswers | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All variables."""
        return self.units.names

    @property
    def rows(self) -> int:
        """Rows of data."""
        return int(self.units.counts.sum())

    @property
    def count(self) -> int:
        """Clusters."""
        return len(self.units.counts)

    @property
    def both(self) -> IntArray:
        """Places of the variables of both levels."""
        return np.intersect1d(self.within, self.between)

    @property
    def own(self) -> BoolArray:
        """Pairs of variables that covary within clusters (p, p)."""
        return self.units.own

    @property
    def answered(self) -> FloatArray:
        """Values of each variable (p,)."""
        if self.answers is not None:
            return self.answers.answered
        return np.where(self.units.side >= 0, float(self.rows), float(self.count))

    def take(self, chosen: IntArray) -> Clusters:
        """The chosen clusters, as often as they are named."""
        if self.answers is None:
            return replace(self, units=self.units.take(chosen), keys=())
        answers = self.answers.take(chosen)
        return replace(self, units=_rough_units(answers), keys=(), answers=answers)

    def evidence(self, scale: FloatArray) -> Evidence:
        """The data as the search sees them, in units of ``scale`` (p,)."""
        if self.answers is not None:
            return Incomplete(self.answers.balanced(scale))
        return Complete.of(self.units.balanced(np.zeros(scale.size), scale))

    def rough(self, scale: FloatArray) -> Rough:
        """Moments to start from, in units of ``scale`` (p,)."""
        units = self.units.balanced(np.zeros(scale.size), scale)
        return Rough(np.nanmean(units.means, axis=0), moment_start(units), units.within, mean_shares(units))

    def constant(self, scale: FloatArray) -> float:
        """What the log-likelihood in the user's units has beyond minus the objective in units of ``scale``."""
        if self.answers is None:
            return log_constant(self.units, scale)
        return -float(self.answered @ (0.5 * np.log(2.0 * np.pi) + np.log(scale)))


def names_of(within: Sequence[str], between: Sequence[str]) -> tuple[str, ...]:
    """All variables: those of the level of rows, then those of clusters alone."""
    return (*within, *(name for name in between if name not in within))


def clusters_of(
    data: pd.DataFrame | UnitMoments,
    levels: tuple[Sequence[str], Sequence[str]],
    cluster: str | None,
    needed: Sequence[str] | None = None,
) -> Clusters:
    """Moments of clusters, for the variables of two levels.

    Parameters
    ----------
    data : DataFrame or UnitMoments
        Rows; or what the likelihood needs of them.
    levels : pair of sequences of str
        Observed variables of rows, and of clusters.
    cluster : str or None
        Column that tells which rows belong together.
    needed : sequence of str, optional
        Variables that a row must have to be used; all of them where it is None.

    Returns
    -------
    Clusters
        Rows without a cluster, or that lack what is needed, are left out and counted.

    Raises
    ------
    DataError
        Columns are absent or not numeric; clusters have one row each; a variable does not vary on its level.
    """
    within, between = levels
    names, width = names_of(within, between), len(within)
    place = {name: i for i, name in enumerate(names)}
    own, other = np.arange(width), np.array([place[name] for name in between], dtype=np.intp)
    if isinstance(data, UnitMoments):
        found = Clusters(_chosen(data, names, width), own, other, (), ())
    elif isinstance(data, pd.DataFrame):
        rows = _rows(data, names, width, cluster, [place[name] for name in (names if needed is None else needed)])
        answers = unit_answers(names, rows.codes, rows.values, rows.outcomes) if rows.holes else None
        units = rows.units(names) if answers is None else _rough_units(answers)
        found = Clusters(units, own, other, rows.keys, rows.notes, answers)
    else:
        raise DataError.of(
            "data", None, "not_rows", f"a {type(data).__name__}", "rows, as a pandas DataFrame",
            "Moments of all rows do not tell levels apart: give the rows and cluster=.",
        )  # fmt: skip
    require_replies(found.units)
    _check_variation(found.units, width)
    return found


def _rough_units(answers: UnitAnswers) -> UnitMoments:
    return answers.rough((ROWS,), np.zeros(answers.width, dtype=np.intp))


def _chosen(data: UnitMoments, names: Sequence[str], width: int) -> UnitMoments:
    unknown = [name for name in names if name not in data.names]
    if unknown:
        raise DataError.of(
            "data", ", ".join(unknown), "missing_column", "not among the moments", "all variables of the model",
            f"There are: {', '.join(data.names)}.",
        )  # fmt: skip
    order = np.array([data.names.index(name) for name in names], dtype=np.intp)
    wrong = [name for i, name in enumerate(names) if (data.side[order[i]] >= 0) != (i < width)]
    if wrong or len(data.sides) != 1:
        raise DataError.of(
            "data", ", ".join(wrong) or None, "wrong_level", "moments of another level, or of several sides",
            "one side, with the variables of level 1, and outcomes of clusters for the others",
            "Make them with unit_moments from rows, with cluster variables as outcomes.",
        )  # fmt: skip
    return UnitMoments(
        tuple(names), data.sides, data.side[order], data.counts, data.means[:, order],
        data.scatter[:, order[:, None], order],
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows in use: cluster of each, its values, and those of the clusters."""

    codes: IntArray
    values: FloatArray
    outcomes: FloatArray
    keys: tuple[object, ...]
    notes: tuple[Note, ...]

    @property
    def holes(self) -> bool:
        return bool(np.isnan(self.values).any() or np.isnan(self.outcomes).any())

    def units(self, names: Sequence[str]) -> UnitMoments:
        return unit_moments(names, [(ROWS, self.codes, self.values)], self.outcomes)


def _rows(data: pd.DataFrame, names: Sequence[str], width: int, cluster: str | None, needed: Sequence[int]) -> _Rows:
    if cluster is None:
        raise DataError.of(
            "data", None, "no_cluster", "a model of two levels, and no cluster", "the column of the clusters",
            'Name it: cluster="...".',
        )  # fmt: skip
    codes, keys = pd.factorize(one_column(data, cluster), sort=True)
    values = numeric_values(data, list(names))
    missing = np.isnan(values)
    kept = (codes >= 0) & ~missing[:, list(needed)].any(axis=1) & ~missing[:, :width].all(axis=1)
    notes = [*dropped_rows(len(data), int(kept.sum()))]
    if not kept.all():
        values, codes = values[kept], codes[kept]
        used, codes = np.unique(codes, return_inverse=True)
        keys = keys[used]
    codes = np.asarray(codes, dtype=np.intp)
    outcomes = cluster_values(values[:, width:], codes, len(keys))
    notes += _varying(np.array(names[width:]), values[:, width:], outcomes, codes)
    return _Rows(codes, values[:, :width], outcomes, tuple(keys), tuple(notes))


def cluster_values(values: FloatArray, codes: IntArray, clusters: int) -> FloatArray:
    """Mean of what the rows of each cluster say; NaN where they say nothing."""
    told = ~np.isnan(values)
    found = np.full((clusters, values.shape[1]), np.nan)
    for k, (column, here) in enumerate(zip(values.T, told.T, strict=True)):
        size = np.bincount(codes[here], minlength=clusters)
        sums = np.bincount(codes[here], column[here], clusters)
        found[:, k] = np.where(size > 0, sums / np.maximum(size, 1), np.nan)
    return found


def _varying(names: npt.NDArray[np.str_], values: FloatArray, outcomes: FloatArray, codes: IntArray) -> list[Note]:
    """Variables of clusters whose rows differ within some cluster."""
    apart = np.nan_to_num(np.abs(values - outcomes[codes])).max(axis=0, initial=0.0)
    loose = apart > 1e-8 * np.maximum(np.nan_to_num(np.abs(outcomes)).max(axis=0, initial=0.0), 1e-300)
    return [Note.of("varies_within", "warning", str(name), name=str(name)) for name in names[loose]]


def _check_variation(units: UnitMoments, width: int) -> None:
    inside, means = units.pooled.diagonal(), np.nanvar(units.means, axis=0)
    size = np.nanmean(units.means, axis=0) ** 2
    for i, name in enumerate(units.names):
        constant = means[i] <= 1e-20 * size[i] and inside[i] <= 1e-20 * size[i]
        flat = i < width and inside[i] <= 1e-12 * units.freedom[0] * means[i]
        if constant or flat:
            raise DataError.of(
                "data", name, "constant_column" if constant else "no_variation_within",
                "the same value in every row" if constant else "the same value in all rows of every cluster",
                "values that vary" if constant else "a variable that varies within clusters",
                "Leave it out of the model, or check how it was read." if constant
                else "Name it in level: 2 only.",
            )  # fmt: skip
