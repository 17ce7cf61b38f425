"""Correlations of items, group by group, as their answers allow: and again for any draw of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from spc.errors import DataError, EstimationError
from spc.linalg import FloatArray
from spc.moments import Counts, Moments, Patterns, categories, numeric_values
from spc.resample import Rows
from spc.sem.engine.groups import in_group, split
from spc.sem.missing.saturated import saturated
from spc.sem.ordinal.moments import ordinal_moments

__all__ = ["Sample", "Way", "samples_of"]

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
    """

    group: str | None
    ordered: tuple[str, ...]
    missing: Literal["listwise", "fiml"]


@dataclass(frozen=True, eq=False, slots=True)
class Sample:
    """One group: its label, rows and correlations (p, p), and those of rows drawn from it; None from moments."""

    label: str
    n: int
    correlations: FloatArray
    redrawn: Redrawn | None


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
        yield Sample("", kept.n, _correlations(kept.cov), None)
        return
    levels = categories(data, list(way.ordered)) if set(way.ordered) <= set(data.columns) else {}
    for piece in split(data, way.group):
        assert isinstance(piece.data, pd.DataFrame)
        with in_group(piece.label):
            if way.ordered:
                found, n = _of_categories(Counts.from_frame(piece.data, names, way.ordered, levels=levels or None))
            else:
                found, n = _of_values(numeric_values(piece.data, names), names, way.missing)
            yield Sample(piece.label, n, found(np.arange(n)), found)


def _of_values(values: FloatArray, names: Sequence[str], missing: str) -> tuple[Redrawn, int]:
    answered = ~np.isnan(values)
    values = values[answered.any(axis=1) if missing == "fiml" else answered.all(axis=1)]
    incomplete = bool(np.isnan(values).any())
    if len(values) < 2:
        used = "rows with an answer" if missing == "fiml" else "complete rows"
        raise DataError.of(
            "data", None, "too_few_rows", f"{len(values)} {used}", "at least 2",
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
    return redrawn, len(values)


def _of_categories(counts: Counts) -> tuple[Redrawn, int]:
    def redrawn(rows: Rows) -> FloatArray:
        drawn = Counts(counts.names, counts.levels, counts.codes[rows], counts.values[rows])
        if any(not (one > 0.0).any() for one in drawn.once()):
            raise EstimationError("An item has no answers in a draw.")
        with _failing():
            return _correlations(ordinal_moments(drawn).cov)

    return redrawn, counts.n


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
