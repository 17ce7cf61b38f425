"""What a two-level fit expects of rows: scores of their latent variables, and of variables that were not given.

All rows of a cluster say what its own values are, by as much as they can. What is left of a row beside these is judged
by the covariances within clusters. Both together are the expectation given all that is known of the cluster, as that is
linear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spc.errors import DataError, UnsupportedError
from spc.linalg import FloatArray
from spc.moments.columns import numeric_values, one_column
from spc.sem.engine.bartlett import bartlett_weights
from spc.sem.engine.ram import BoolArray, IntArray, matrices
from spc.sem.scope import by_group
from spc.sem.twolevel.data import cluster_values
from spc.sem.twolevel.group import LevelGroup
from spc.sem.twolevel.incomplete import Answered, unit_answers
from spc.sem.twolevel.maps import Spot

if TYPE_CHECKING:
    from spc.sem.result import Part, SemFit

__all__ = ["expected_rows", "row_scores"]


@dataclass(frozen=True, eq=False)
class _Known:
    """Rows with what is expected of their clusters.

    ``codes`` (n,) is the cluster of each row, -1 where there is none; ``values`` (n, r) its answers, NaN where there
    are none; ``apart`` (J, p) what is expected of each cluster beyond the means.
    """

    codes: IntArray
    values: FloatArray
    apart: FloatArray
    spot: Spot

    @property
    def own(self) -> FloatArray:
        """What is expected of each row's cluster beyond the means (n, p); NaN where it has none."""
        return np.where(self.codes[:, None] >= 0, self.apart[self.codes], np.nan)

    def within(self, cross: FloatArray) -> FloatArray:
        """Expectation (n, m) of quantities with these covariances (m, r) with the answers, within clusters."""
        r = self.values.shape[1]
        sigma = self.spot.sigma_w[:r, :r]
        found = self.weighed(lambda here: np.asarray(np.linalg.solve(sigma[np.ix_(here, here)], cross[:, here].T).T))
        return np.asarray(np.where(self.codes[:, None] >= 0, np.nan_to_num(found), np.nan))

    def weighed(self, weights: Callable[[BoolArray], FloatArray]) -> FloatArray:
        """What is left of each row beside its cluster, by weights (m, answered) for its answers; NaN without any."""
        r = self.values.shape[1]
        left = self.values - self.spot.mu[:r] - self.own[:, :r]
        width = len(weights(np.ones(r, dtype=bool)))
        found = np.full((len(left), width), np.nan)
        there = ~np.isnan(left)
        patterns, of = np.unique(there, axis=0, return_inverse=True)
        of = of.reshape(-1)
        for i, here in enumerate(patterns):
            rows = np.flatnonzero(of == i)
            if here.any():
                found[rows] = left[np.ix_(rows, here)] @ weights(here).T
        return found


def _known(group: LevelGroup, x: FloatArray, data: pd.DataFrame, cluster: str, given: Sequence[str]) -> _Known:
    """Rows with the given variables, the others being unknown."""
    spot, names = group.spot(x), group.sample.clusters.names
    width = group.sample.clusters.within.size
    codes = np.asarray(pd.factorize(one_column(data, cluster), sort=True)[0], dtype=np.intp)
    values = np.full((len(data), len(names)), np.nan)
    here = [i for i, name in enumerate(names) if name in given]
    values[:, here] = numeric_values(data, [names[i] for i in here])
    used, count = codes >= 0, int(codes.max(initial=-1)) + 1
    if not count:
        raise DataError.of(
            "data", cluster, "no_cluster", "no row with a cluster", "the cluster of each row",
            "Give the column that the model was fitted with.",
        )  # fmt: skip
    outcomes = cluster_values(values[used, width:], codes[used], count)
    answers = unit_answers(names, codes[used], values[used, :width], outcomes)
    found = Answered.at(answers, spot.mu, spot.sigma_b, spot.sigma_w)
    assert found is not None
    return _Known(codes, values[:, :width], found.pull @ spot.sigma_b, spot)


def _of_groups(
    fit: SemFit, data: pd.DataFrame, work: Callable[[LevelGroup, Part, pd.DataFrame], pd.DataFrame]
) -> pd.DataFrame:
    """Work on the rows of each group, with the group and its level within clusters."""
    assert fit.levels is not None
    each = {group.sample.label: (group, part) for group, part in zip(fit.levels.groups, fit.parts[::2], strict=True)}
    if not fit.groups:
        return work(*each[""], data)
    return by_group(fit, data, lambda view, rows: work(*each[view.parts[0].group], rows))


def _cluster_column(fit: SemFit) -> str:
    if fit.options.cluster is None:
        raise UnsupportedError(
            "The fit was given moments of clusters, so that no column tells the clusters of rows apart. Fit it to rows "
            "with cluster='column'."
        )
    return fit.options.cluster


def row_scores(fit: SemFit, data: pd.DataFrame, *, bartlett: bool = False) -> pd.DataFrame:
    """Scores of the latent variables within clusters, from all rows of each cluster: see ``factor_scores``.

    Parameters
    ----------
    fit : SemFit
        Of two levels.
    data : DataFrame
        With the columns of the fit; whole clusters, as rows say what their clusters are.
    bartlett : bool
        Bartlett's weights of what is left of a row beside its cluster, in the place of expected values.

    Raises
    ------
    UnsupportedError
        No latent variable within clusters, or a fit to moments.
    """
    cluster, x = _cluster_column(fit), fit.system.coordinates(fit.solution.theta)

    def work(group: LevelGroup, part: Part, rows: pd.DataFrame) -> pd.DataFrame:
        place, scale = part.problem.place, part.problem.scale
        if not place.latents:
            raise UnsupportedError("The model has no latent variable within clusters, so there is nothing to score.")
        known = _known(group, x, rows, cluster, group.sample.clusters.names)
        n, at = place.n_observed, part.point.at
        if bartlett:
            directed = matrices(place, part.problem.values(x))[0]
            unit = scale[n:, None] / scale[:n]
            found = known.weighed(lambda here: bartlett_weights(place, at.covariance, directed, here) * unit[:, here])
        else:
            found = known.within((at.covariance * np.outer(scale, scale))[n:, :n])
        scores = at.mean[n:] * scale[n:] + found
        return pd.DataFrame(scores, index=rows.index, columns=list(place.latents))

    return _of_groups(fit, data, work)


def expected_rows(fit: SemFit, data: pd.DataFrame, outcomes: Sequence[str], given: Sequence[str]) -> pd.DataFrame:
    """Expected values of variables of rows or clusters, given others of all rows of each cluster: see ``predict``.

    Parameters
    ----------
    fit : SemFit
        Of two levels.
    data : DataFrame
        With the given variables and the clusters.
    outcomes, given : sequence of str
    """
    cluster, x = _cluster_column(fit), fit.system.coordinates(fit.solution.theta)

    def work(group: LevelGroup, _: Part, rows: pd.DataFrame) -> pd.DataFrame:
        known = _known(group, x, rows, cluster, given)
        places = [group.sample.clusters.names.index(name) for name in outcomes]
        cross = known.spot.sigma_w[places, : known.values.shape[1]]
        found = known.spot.mu[places] + known.own[:, places] + known.within(cross)
        return pd.DataFrame(found, index=rows.index, columns=list(outcomes))

    return _of_groups(fit, data, work)
