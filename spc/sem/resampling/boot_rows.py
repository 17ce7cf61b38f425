"""The rows behind a fit, group by group, checked against it; and the clusters they come in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError, UsageError
from spc.linalg import FloatArray
from spc.moments import Moments
from spc.moments.columns import numeric_values, one_column
from spc.sem.engine.groups import split
from spc.sem.engine.ram import IntArray
from spc.sem.fit import SemFit
from spc.sem.resampling.redraw import Units
from spc.sem.result import Part

__all__ = ["Cluster", "Rows", "cluster_codes", "in_groups", "numbered", "other_rows", "rows_of"]

Cluster = str | npt.ArrayLike


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a fit.

    Attributes
    ----------
    values : tuple of (n, p) arrays
        Of each group, in the user's units; NaN where missing.
    balanced : tuple of (n, p) arrays
        The same in balanced units.
    units : Units
        What to draw from them.
    """

    values: tuple[FloatArray, ...]
    balanced: tuple[FloatArray, ...]
    units: Units


def rows_of(fit: SemFit, data: pd.DataFrame | None, cluster: Cluster | None) -> Rows:
    """The rows that a fit used.

    Parameters
    ----------
    fit : SemFit
    data : DataFrame
        As it was fitted to.
    cluster : str or (n,) array-like, optional
        Column of the data, or one value a row.

    Raises
    ------
    DataError
        The data are not those of the fit, or have no such column.
    UsageError
        Clusters that do not belong to the rows.
    """
    frame = numbered(data, "Give the rows, or kind='parametric', which needs none.")
    values, numbers = [], []
    for part, own in in_groups(fit, frame):
        rows = numeric_values(own, list(part.model.observed))
        used = _used(part, rows)
        _check_same(part, rows[used])
        values.append(rows[used])
        numbers.append(own.index.to_numpy()[used])
    scales = [part.problem.scale[: part.problem.place.n_observed] for part in fit.parts]
    codes = None if cluster is None else cluster_codes(frame, cluster, numbers)
    balanced = tuple(own / scale for own, scale in zip(values, scales, strict=True))
    return Rows(tuple(values), balanced, Units(tuple(map(len, values)), codes))


def numbered(data: pd.DataFrame | None, advice: str) -> pd.DataFrame:
    """The rows that were given, numbered from 0.

    Raises
    ------
    DataError
        These are no rows.
    """
    if not isinstance(data, pd.DataFrame):
        raise DataError.of(
            "data", None, "not_a_table", f"a {type(data).__name__}", "the DataFrame that the model was fitted to",
            advice,
        )  # fmt: skip
    return data.reset_index(drop=True)


def in_groups(fit: SemFit, frame: pd.DataFrame) -> Iterator[tuple[Part, pd.DataFrame]]:
    """Parts of a fit with the rows of their group."""
    if not fit.groups:
        yield fit.parts[0], frame
        return
    if fit.options.group is None:
        raise UsageError(
            "The groups of this fit came as separate sets of data. Fit it to one DataFrame with group='column', and "
            "give that here."
        )
    found = {one.label: one.data for one in split(frame, fit.options.group)}
    for part in fit.parts:
        own = found.get(part.group)
        if not isinstance(own, pd.DataFrame):
            raise DataError.of(
                "data", fit.options.group, "other_data", f"no rows of group {part.group}",
                "the rows that the model was fitted to", "Give the same rows as to fit().",
            )  # fmt: skip
        yield part, own


def _used(part: Part, rows: FloatArray) -> npt.NDArray[np.bool_]:
    seen = ~np.isnan(rows)
    if part.answers is None:
        return np.asarray(seen.all(axis=1))
    held = [part.model.observed.index(name) for name in part.model.exogenous]
    return np.asarray(seen.any(axis=1) & seen[:, held].all(axis=1))


def _check_same(part: Part, rows: FloatArray) -> None:
    if len(rows) == part.problem.n and (_same_moments(part, rows) if part.answers is None else _same_sums(part, rows)):
        return
    used = "complete" if part.answers is None else "usable"
    raise other_rows(part, f"{len(rows)} {used} rows", "covariances")


def other_rows(part: Part, found: str, differ: str) -> DataError:
    """Error that says what was found in place of the rows of a part."""
    which = f" of group {part.group}" if part.group else ""
    return DataError.of(
        "data", None, "other_data", f"{found}{which} with other {differ}",
        f"the {part.problem.n} rows that the model was fitted to", "Give the same rows as to fit().",
    )  # fmt: skip


def _same_moments(part: Part, rows: FloatArray) -> bool:
    found = Moments.from_frame(pd.DataFrame(rows, columns=list(part.model.observed)))
    root = np.sqrt(part.observed.cov.diagonal())
    return float((np.abs(found.cov - part.observed.cov) / np.outer(root, root)).max()) <= 1e-8


def _same_sums(part: Part, rows: FloatArray) -> bool:
    assert part.answers is not None
    patterns = part.answers.patterns
    answered = ~np.isnan(rows)
    counts = np.array_equal(answered.sum(axis=0), (patterns.n @ patterns.observed).round())
    size = np.nansum(np.abs(rows), axis=0)
    return counts and bool(np.all(np.abs(np.nansum(rows, axis=0) - patterns.n @ patterns.mean) <= 1e-8 * size))


def cluster_codes(frame: pd.DataFrame, cluster: Cluster, numbers: list[IntArray]) -> tuple[IntArray, ...]:
    """Cluster of each of the numbered rows of each group, numbered from 0 over all groups."""
    if isinstance(cluster, str):
        cluster = one_column(frame, cluster)
    labels = pd.Series(np.asarray(cluster))
    if len(labels) != len(frame):
        raise UsageError(f"cluster has {len(labels)} values for {len(frame)} rows; give one a row.")
    labels = labels.iloc[np.concatenate(numbers)]
    if labels.isna().any():
        raise UsageError(f"{int(labels.isna().sum())} rows have no cluster. Fill these in, or leave the rows out.")
    codes = np.asarray(np.unique(labels.to_numpy(), return_inverse=True)[1], dtype=np.intp)
    if codes.max() < 1:
        raise UsageError("All rows are of one cluster, so there is nothing to draw from. Leave cluster out.")
    return tuple(np.split(codes, np.cumsum([len(own) for own in numbers])[:-1]))
