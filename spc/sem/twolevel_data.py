"""From rows to moments of clusters: which variables vary on which level, and what is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from spc.errors import DataError
from spc.linalg import FloatArray
from spc.moments import numeric_values
from spc.results import Note
from spc.sem.diagnose import dropped_rows
from spc.sem.ram import IntArray
from spc.sem.robust import one_column
from spc.sem.twolevel import UnitMoments, require_replies, unit_moments

__all__ = ["ROWS", "Clusters", "clusters_of", "names_of"]

ROWS = "rows"


@dataclass(frozen=True, eq=False)
class Clusters:
    """What the fit sees of the data.

    Attributes
    ----------
    units : UnitMoments
        Variables of the level of rows, then those of clusters alone.
    within, between : (n,) int arrays
        Places of the variables of each level, in the order of its model.
    keys : tuple
        The clusters; empty where moments were given.
    notes : tuple of Note
    """

    units: UnitMoments
    within: IntArray
    between: IntArray
    keys: tuple[object, ...]
    notes: tuple[Note, ...]

    @property
    def rows(self) -> int:
        """Rows of data."""
        return int(self.units.counts.sum())

    @property
    def both(self) -> IntArray:
        """Places of the variables of both levels."""
        return np.intersect1d(self.within, self.between)


def names_of(within: Sequence[str], between: Sequence[str]) -> tuple[str, ...]:
    """All variables: those of the level of rows, then those of clusters alone."""
    return (*within, *(name for name in between if name not in within))


def clusters_of(
    data: pd.DataFrame | UnitMoments, within: Sequence[str], between: Sequence[str], cluster: str | None
) -> Clusters:
    """Moments of clusters, for the variables of two levels.

    Parameters
    ----------
    data : DataFrame or UnitMoments
        Rows; or what the likelihood needs of them.
    within, between : sequence of str
        Observed variables of each level.
    cluster : str or None
        Column that tells which rows belong together.

    Returns
    -------
    Clusters
        Rows without a cluster, or with a missing value, are left out and counted.

    Raises
    ------
    DataError
        Columns are absent or not numeric; clusters have one row each; a variable does not vary on its level.
    """
    names = names_of(within, between)
    keys: tuple[object, ...] = ()
    notes: list[Note] = []
    if isinstance(data, UnitMoments):
        units = _chosen(data, names, len(within))
    elif isinstance(data, pd.DataFrame):
        units, keys = _from_rows(data, names, len(within), cluster, notes)
    else:
        raise DataError.of(
            "data", None, "not_rows", f"a {type(data).__name__}", "rows, as a pandas DataFrame",
            "Moments of all rows do not tell levels apart: give the rows and cluster=.",
        )  # fmt: skip
    require_replies(units)
    _check_variation(units, len(within))
    place = {name: i for i, name in enumerate(names)}
    return Clusters(
        units, np.arange(len(within)), np.array([place[name] for name in between], dtype=np.intp), keys, tuple(notes)
    )


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


def _from_rows(
    data: pd.DataFrame, names: Sequence[str], width: int, cluster: str | None, notes: list[Note]
) -> tuple[UnitMoments, tuple[object, ...]]:
    if cluster is None:
        raise DataError.of(
            "data", None, "no_cluster", "a model of two levels, and no cluster", "the column of the clusters",
            'Name it: cluster="...".',
        )  # fmt: skip
    codes, keys = pd.factorize(one_column(data, cluster), sort=True)
    values = numeric_values(data, list(names))
    complete = (codes >= 0) & ~np.isnan(values).any(axis=1)
    notes += dropped_rows(len(data), int(complete.sum()))
    if not complete.all():
        values, codes = values[complete], codes[complete]
        used, codes = np.unique(codes, return_inverse=True)
        keys = keys[used]
    codes = np.asarray(codes, dtype=np.intp)
    outcomes = _cluster_values(values[:, width:], codes, len(keys))
    varying = np.abs(values[:, width:] - outcomes[codes]).max(axis=0, initial=0.0)
    loose = varying > 1e-8 * np.maximum(np.abs(outcomes).max(axis=0, initial=0.0), 1e-300)
    for name in np.array(names[width:])[loose]:
        notes.append(Note(
            "varies_within", "warning", str(name), f"{name} is a variable of clusters in the model, but varies within "
            "some of them; its cluster means are used.",
        ))  # fmt: skip
    return unit_moments(names, [(ROWS, codes, values[:, :width])], outcomes), tuple(keys)


def _cluster_values(values: FloatArray, codes: IntArray, clusters: int) -> FloatArray:
    size = np.maximum(np.bincount(codes, minlength=clusters), 1)
    sums = [np.bincount(codes, column, clusters) / size for column in values.T]
    return np.column_stack(sums) if sums else np.empty((clusters, 0))


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
