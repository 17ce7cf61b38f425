"""How far single rows, or clusters of them, pull the estimates: the infinitesimal jackknife."""

from __future__ import annotations

import numpy as np

from spc.linalg import FloatArray
from spc.sem.defined import defined_slopes, label_rows
from spc.sem.fit import SemFit
from spc.sem.problem import label_slopes
from spc.sem.ram import IntArray, directions

__all__ = ["accelerations"]

_ROWS = 4096


def accelerations(fit: SemFit, rows: FloatArray, codes: IntArray | None, metric: FloatArray) -> FloatArray:
    """Skewness of the influence of each row or cluster on the free and defined parameters, over six.

    Parameters
    ----------
    fit : SemFit
    rows : (n, p) array
        In balanced units.
    codes : (n,) int array or None
        Cluster of each row, numbered from 0.
    metric : (k, k) array
        Observed information at the fit, for one row of data.

    Returns
    -------
    (q + d,) array
        Free, then defined parameters: ``sum(l**3) / (6 * sum(l**2)**1.5)`` with l the influences.

    References
    ----------
    Efron (1987), Journal of the American Statistical Association 82, 171-185, section 7.
    """
    problem, point = fit.problem, fit.point
    place, p = problem.place, problem.place.n_observed
    way = directions(place, point.at, problem.active, p)
    w = point.inverse
    expected = np.einsum("ij,ij->j", way.p, w @ way.q)
    centre = point.at.mean[:p] if place.meanstructure else rows.mean(axis=0)
    to_theta = problem.to_theta @ np.linalg.inv(metric) @ problem.map.T
    labels = {name: fit.values[i] for name, i in label_rows(fit.model).items()}
    slopes = defined_slopes(fit.model.defined, labels, label_slopes(fit.model))
    jacobian = np.array([slopes[item.name] for item in fit.model.defined]).reshape(-1, len(place.names))
    onto = np.vstack([to_theta, jacobian @ to_theta]).T
    units = len(rows) if codes is None else int(codes.max()) + 1
    by_cluster = np.zeros((units if codes is not None else 0, len(onto)))
    square, cube = np.zeros(onto.shape[1]), np.zeros(onto.shape[1])
    for start in range(0, len(rows), _ROWS):
        off = (rows[start : start + _ROWS] - centre) @ w
        score = (off @ way.p) * (off @ way.q) - expected
        if way.mu is not None:
            score += off @ way.mu
        if codes is not None:
            np.add.at(by_cluster, codes[start : start + _ROWS], score)
            continue
        influence = score @ onto
        square, cube = square + (influence**2).sum(axis=0), cube + (influence**3).sum(axis=0)
    if codes is not None:
        influence = by_cluster @ onto
        square, cube = (influence**2).sum(axis=0), (influence**3).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(cube / (6.0 * square**1.5), nan=0.0, posinf=0.0, neginf=0.0)
