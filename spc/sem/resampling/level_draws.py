"""Draws of a two-level model: clusters drawn whole, or made anew from what the fit implies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spc.errors import UnsupportedError, UsageError
from spc.linalg import FloatArray
from spc.resample import replicate_rng
from spc.sem.resampling.boot_rows import in_groups, numbered, other_rows
from spc.sem.resampling.redraw import Units
from spc.sem.twolevel.data import Clusters, clusters_of
from spc.sem.twolevel.group import LevelGroup
from spc.sem.twolevel.refit import Again, refit_levels
from spc.sem.twolevel.simulated import made_answers, made_units

if TYPE_CHECKING:
    from spc.sem.fit import SemFit

__all__ = ["LevelDraws", "check_clusters", "level_draws"]


@dataclass(frozen=True, eq=False)
class LevelDraws:
    """Fits draws of clusters, one at a time.

    Attributes
    ----------
    fit : SemFit
    units : Units
        The clusters of each group.
    seed : int
    parametric : bool
        Make the clusters from the fit, each with as many rows as it has, in place of drawing them.
    """

    fit: SemFit
    units: Units
    seed: int
    parametric: bool

    def __call__(self, i: int) -> tuple[FloatArray, float]:
        """Free parameters of draw ``i``; and its test statistic where the draw is one of the model."""
        assert self.fit.levels is not None
        again = Again.of(self.fit, self._clusters(i), test=self.parametric)
        solution, value = refit_levels(self.fit, again)
        return solution.theta, 2.0 * (value - again.least) if self.parametric else float("nan")

    def _clusters(self, i: int) -> list[Clusters]:
        assert self.fit.levels is not None
        groups = self.fit.levels.groups
        if self.parametric:
            rng, x = replicate_rng(self.seed, i), self.fit.system.coordinates(self.fit.solution.theta)
            return [_made(group, x, rng) for group in groups]
        counts = self.units.of_rows(self.seed, i)
        return [
            group.sample.clusters.take(np.repeat(np.arange(own.size), own.astype(np.intp)))
            for group, own in zip(groups, counts, strict=True)
        ]


def _made(group: LevelGroup, x: FloatArray, rng: np.random.Generator) -> Clusters:
    spot, clusters = group.spot(x), group.sample.clusters
    moments = spot.mu, spot.sigma_b, spot.sigma_w
    if clusters.answers is None:
        return replace(clusters, units=made_units(clusters.units, *moments, rng), keys=())
    answers = made_answers(clusters.answers, *moments, rng)
    units = answers.rough(clusters.units.sides, np.zeros(answers.width, dtype=np.intp))
    return replace(clusters, units=units, keys=(), answers=answers)


def level_draws(fit: SemFit, seed: int, kind: str, cluster: object) -> LevelDraws:
    """What makes the draws of a fit of two levels.

    Raises
    ------
    UnsupportedError
        Bollen and Stine's draws.
    UsageError
        Other clusters than those of the fit.
    """
    assert fit.levels is not None
    if kind == "bollen_stine":
        raise UnsupportedError(
            "Rows of two levels cannot be turned so that the model holds exactly, as clusters differ in size. "
            "kind='parametric' makes clusters of which the model is true."
        )
    if cluster is not None and not (isinstance(cluster, str) and cluster == fit.options.cluster):
        raise UsageError("A fit of two levels has its clusters, and these are drawn: leave cluster= out.")
    sizes = tuple(group.sample.clusters.count for group in fit.levels.groups)
    return LevelDraws(fit, Units(sizes), seed, kind == "parametric")


def check_clusters(fit: SemFit, data: pd.DataFrame | None) -> None:
    """Raise for rows that are not those of the fit; the fit keeps all that draws of clusters need of them.

    Raises
    ------
    DataError
        Other rows.
    """
    assert fit.levels is not None
    if data is None or not fit.options.cluster:
        return
    frame = numbered(data, "The fit keeps what it needs of them: leave data out.")
    for group, (part, own) in zip(fit.levels.groups, list(in_groups(fit, frame))[::2], strict=True):
        sample, complete = group.sample, group.sample.clusters.answers is None
        (within, between), known = sample.models, sample.clusters
        needed = None if complete else [*within.exogenous, *between.exogenous]
        found = clusters_of(own, (within.observed, between.observed), fit.options.cluster, needed)
        same = found.count == known.count and found.rows == known.rows
        if not same or not np.allclose(found.units.means, known.units.means, rtol=1e-8, equal_nan=True):
            raise other_rows(part, f"{found.rows} rows in {found.count} clusters", "means")
