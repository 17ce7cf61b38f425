"""Measures of fit that two-level models have by level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from spc.linalg import FloatArray

if TYPE_CHECKING:
    from spc.sem.result import Part
    from spc.sem.twolevel.model import TwoLevel

__all__ = ["level_srmr"]

_LEAST = 1e-6


def level_srmr(parts: Sequence[Part], levels: TwoLevel) -> tuple[float, float]:
    """Root mean square difference of correlations, free less implied, within and between clusters.

    With groups their means, weighted by rows.
    """
    each, rows = [], []
    for within, between, group in zip(parts[::2], parts[1::2], levels.groups, strict=True):
        clusters, best = group.sample.clusters, group.sample.best
        each.append((
            _apart(best.sigma_w[np.ix_(clusters.within, clusters.within)], _implied(within)),
            _apart(best.sigma_b[np.ix_(clusters.between, clusters.between)], _proper(_implied(between))),
        ))  # fmt: skip
        rows.append(clusters.rows)
    inner, outer = np.average(each, axis=0, weights=rows)
    return float(inner), float(outer)


def _implied(part: Part) -> FloatArray:
    n = part.problem.place.n_observed
    return part.point.at.covariance[:n, :n]


def _proper(sigma: FloatArray) -> FloatArray:
    """The matrix, its eigenvalues no smaller than a millionth of the largest."""
    values, vectors = np.linalg.eigh(sigma)
    least = _LEAST * values[-1]
    if values[0] >= least:
        return sigma
    return np.asarray(vectors * np.maximum(values, least) @ vectors.T)


def _apart(free: FloatArray, implied: FloatArray) -> float:
    columns, rows = np.triu_indices(len(free))
    residual = (_correlation(free) - _correlation(implied))[rows, columns]
    return float(np.sqrt(np.mean(residual**2)))


def _correlation(matrix: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        root = np.sqrt(matrix.diagonal())
        return np.asarray(matrix / np.outer(root, root))
