"""Correlations of items, group by group, as their answers allow: and again for any draw of the rows or clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError, EstimationError
from spc.linalg import FloatArray
from spc.moments import Counts, Moments, Patterns, categories, numeric_values
from spc.moments.columns import one_column
from spc.resample import Rows
from spc.sem.engine.groups import in_group, split
from spc.sem.engine.ram import IntArray
from spc.sem.missing.saturated import saturated
from spc.sem.ordinal.moments import ordinal_moments
from spc.sem.twolevel.group import LevelGroup
from spc.sem.twolevel.saturated import Saturated
from spc.sem.twolevel.saturated import saturated as saturated_levels

__all__ = ["Sample", "Way", "level_sample", "samples_of"]

BoolArray = npt.NDArray[np.bool_]
Redrawn = Callable[[Rows], FloatArray]


@dataclass(frozen=True, slots=True)
class Way:
    """How correlations are had.

    Attributes
    ----------
    group : str or None
        Column of groups.
    ordered : tuple of str
        Items with categories.
    missing : {"listwise", "fiml"}
        Of continuous items; those of ordered ones rest on all rows that answer a pair.
    cluster : str or None
        Column of clusters, which are drawn whole.
    """

    group: str | None
    ordered: tuple[str, ...]
    missing: Literal["listwise", "fiml"]
    cluster: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """One group.

    Attributes
    ----------
    label : str
    n : int
        Rows.
    correlations : (p, p) array
        Of two levels those within clusters, then those between them; missing where there is nothing to correlate.
    redrawn : callable or None
        The same of what is drawn from ``drawable``; None from moments.
    drawable : int
        Rows; of two levels, clusters.
    cluster : (n,) array or None
        Cluster of each row, where clusters are drawn whole.
    """

    label: str
    n: int
    correlations: FloatArray
    redrawn: Redrawn | None
    drawable: int
    cluster: IntArray | None = None


def samples_of(data: pd.DataFrame | Moments, names: Sequence[str], way: Way) -> Iterator[Sample]:
    """Each group with its correlations.

    Raises
    ------
    DataError
        Columns are absent, not numeric or constant.
    """
    if isinstance(data, Moments):
        kept = data.restrict(names)
        _require_variation(kept.names, kept.cov)
        yield Sample("", kept.n, _correlations(kept.cov), None, 0)
        return
    levels = categories(data, list(way.ordered)) if set(way.ordered) <= set(data.columns) else {}
    for piece in split(_with_cluster(data, way.cluster), way.group):
        assert isinstance(piece.data, pd.DataFrame)
        with in_group(piece.label):
            if way.ordered:
                counts = Counts.from_frame(piece.data, names, way.ordered, levels=levels or None)
                found, used = _of_categories(counts), piece.data[list(names)].notna().any(axis=1).to_numpy()
            else:
                found, used = _of_values(numeric_values(piece.data, names), names, way.missing)
            n = int(used.sum())
            codes = None if way.cluster is None else pd.factorize(piece.data[way.cluster].to_numpy()[used])[0]
            yield Sample(piece.label, n, found(np.arange(n)), found, n, codes)


def _with_cluster(data: pd.DataFrame, cluster: str | None) -> pd.DataFrame:
    """Rows that belong to a cluster, as the robust errors of a fit take them."""
    if cluster is None:
        return data
    known = ~pd.isna(one_column(data, cluster))
    return data if known.all() else data[known]


def level_sample(group: LevelGroup, items: tuple[Sequence[str], Sequence[str]]) -> Sample:
    """Correlations of a group of two levels, from the free moments of its fit; and again for draws of its clusters.

    Parameters
    ----------
    group : LevelGroup
    items : pair of sequences of str
        Within and between clusters.

    Returns
    -------
    Sample
        Of the items within clusters, then of those between them; of items that do not vary between clusters
        there are none.
    """
    sample = group.sample
    names, clusters = sample.clusters.names, sample.clusters
    inner, outer = ([names.index(name) for name in own] for own in items)

    def both(best: Saturated) -> FloatArray:
        found = np.full((len(inner) + len(outer),) * 2, np.nan)
        found[: len(inner), : len(inner)] = _correlations(best.sigma_w[np.ix_(inner, inner)])
        between = np.where(np.outer(best.varies, best.varies), best.sigma_b, np.nan)
        found[len(inner) :, len(inner) :] = _correlations(between[np.ix_(outer, outer)])
        return found

    point = both(sample.best)
    absent = np.isnan(point.diagonal())

    def redrawn(rows: Rows) -> FloatArray:
        found = both(saturated_levels(clusters.take(rows), sample.scale))
        if (np.isnan(found.diagonal()) & ~absent).any():
            raise EstimationError("An item does not vary between the clusters of a draw.")
        found[absent], found[:, absent] = np.nan, np.nan
        return found

    return Sample(sample.label, clusters.rows, point, redrawn, clusters.count)


def _of_values(values: FloatArray, names: Sequence[str], missing: str) -> tuple[Redrawn, BoolArray]:
    answered = ~np.isnan(values)
    used = np.asarray(answered.any(axis=1) if missing == "fiml" else answered.all(axis=1))
    values = values[used]
    incomplete = bool(np.isnan(values).any())
    if len(values) < 2:
        counted = "rows with an answer" if missing == "fiml" else "complete rows"
        raise DataError.of(
            "data", None, "too_few_rows", f"{len(values)} {counted}", "at least 2",
            "Check for columns that are empty; missing='fiml' takes rows with missing answers.",
        )  # fmt: skip

    def redrawn(rows: Rows) -> FloatArray:
        drawn = values[rows]
        if incomplete:
            with _failing():
                patterns = Patterns.from_frame(pd.DataFrame(drawn, columns=list(names)))
                return _correlations(saturated(patterns).moments.cov)
        drawn = drawn - drawn.mean(axis=0)
        cov = drawn.T @ drawn
        if not (cov.diagonal() > 0.0).all():
            raise EstimationError("An item has the same value in all rows of a draw.")
        return _correlations(cov)

    centred = values - np.nanmean(values, axis=0)
    _require_variation(names, np.diag(np.nansum(centred**2, axis=0)))
    return redrawn, used


def _of_categories(counts: Counts) -> Redrawn:
    def redrawn(rows: Rows) -> FloatArray:
        drawn = Counts(counts.names, counts.levels, counts.codes[rows], counts.values[rows])
        if any(not (one > 0.0).any() for one in drawn.once()):
            raise EstimationError("An item has no answers in a draw.")
        with _failing():
            return _correlations(ordinal_moments(drawn).cov)

    return redrawn


@contextmanager
def _failing() -> Iterator[None]:
    """What is wrong with the data of a draw is a failure of the draw."""
    try:
        yield
    except DataError as error:
        raise EstimationError(f"The rows of a draw have no correlations: {error.findings[0].found}.") from error


def _require_variation(names: Sequence[str], cov: FloatArray) -> None:
    constant = [name for name, variance in zip(names, cov.diagonal(), strict=True) if not variance > 0.0]
    if constant:
        raise DataError.of(
            "data", ", ".join(constant), "constant_column", "the same value in every row", "values that vary",
            "Leave it out of its construct, or check how it was read.",
        )  # fmt: skip


def _correlations(cov: FloatArray) -> FloatArray:
    root = np.sqrt(cov.diagonal())
    return np.asarray(cov / np.outer(root, root))
