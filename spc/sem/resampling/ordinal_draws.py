"""Refit a model of ordered items to draws of its rows: thresholds, correlations and weights anew for every draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spc.errors import EstimationError
from spc.linalg import FloatArray
from spc.moments import Counts, categories
from spc.sem.ordinal.fit import refit_ordinal, sampled_moments
from spc.sem.ordinal.problem import OrdinalProblem
from spc.sem.resampling.boot_rows import Cluster, cluster_codes, in_groups, numbered, other_rows
from spc.sem.resampling.redraw import Units

if TYPE_CHECKING:
    from spc.sem.result import Part, SemFit

__all__ = ["OrdinalDraws", "ordinal_draws"]


@dataclass(frozen=True, eq=False)
class OrdinalDraws:
    """Fits draws of rows with ordered answers, one at a time.

    Attributes
    ----------
    fit : SemFit
    counts : tuple of Counts
        Of each group: the rows that the fit used.
    units : Units
    seed : int
    """

    fit: SemFit
    counts: tuple[Counts, ...]
    units: Units
    seed: int

    def __call__(self, i: int) -> tuple[FloatArray, float]:
        """Free parameters and statistic, not scaled, of draw ``i``.

        Raises
        ------
        EstimationError
            Nobody in the draw gave some answer, or the search stopped early.
        """
        times = self.units.of_rows(self.seed, i)
        drawn = [_taken(own, times_of) for own, times_of in zip(self.counts, times, strict=True)]
        solution = refit_ordinal(self.fit, drawn)
        n = sum(one.n for one in drawn)
        return np.asarray(solution.theta), max(n * solution.value, 0.0)


def _taken(counts: Counts, times: FloatArray) -> Counts:
    rows = np.repeat(np.arange(counts.n), times.astype(np.intp))
    drawn = replace(counts, codes=counts.codes[rows], values=counts.values[rows])
    for j in counts.ordered:
        found = np.bincount(drawn.codes[drawn.codes[:, j] >= 0, j], minlength=len(counts.levels[j]))
        if not found.all():
            raise EstimationError(f"{counts.names[j]}: nobody in the draw gave one of its answers.")
    return drawn


def ordinal_draws(fit: SemFit, data: pd.DataFrame | None, cluster: Cluster | None, seed: int) -> OrdinalDraws:
    """The rows that a fit of ordered items used, ready to be drawn from.

    Raises
    ------
    DataError
        The data are not those of the fit.
    """
    frame = numbered(data, "Give the rows.")
    counts, numbers = [], []
    for part, own in in_groups(fit, frame):
        seen = own[list(part.model.observed)].notna()
        used = seen.all(axis=1) if fit.options.missing == "listwise" else seen.any(axis=1)
        levels = categories(frame, list(part.model.ordinal))
        found = Counts.from_frame(
            own[used], part.model.observed, part.model.ordinal, levels=levels, group=part.group or None
        )
        if found.n != part.problem.n or not _same_answers(part, found):
            raise other_rows(part, f"{found.n} rows", "answers")
        counts.append(found)
        numbers.append(own.index.to_numpy()[used.to_numpy()])
    codes = None if cluster is None else cluster_codes(frame, cluster, numbers)
    return OrdinalDraws(fit, tuple(counts), Units(tuple(one.n for one in counts), codes), seed)


def _same_answers(part: Part, counts: Counts) -> bool:
    assert isinstance(part.problem, OrdinalProblem)
    found, known = sampled_moments(counts, part.model).statistics, part.problem.sampled.statistics
    return found.shape == known.shape and bool(np.allclose(found, known, rtol=1e-6, atol=1e-6))
