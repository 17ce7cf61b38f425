"""Where the search begins: values in balanced units that any sample can start from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from spc.linalg import FloatArray
from spc.sem.engine.joint import System
from spc.sem.engine.problem import Problem
from spc.sem.engine.ram import DIRECTED, INTERCEPT, BoolArray, IntArray, Structure

__all__ = ["WAYS", "Way", "start_values"]

Way = Literal["structure", "measurement", "plain", "instruments", "unaided"]
WAYS: tuple[Way, ...] = ("structure", "measurement", "plain", "instruments")


@dataclass(frozen=True, eq=False, slots=True)
class _Layout:
    """What start values need of a structure: loadings of observed items, then paths of the structural part.

    ``cell`` is the place of each loading in a (p, v) matrix laid out flat, ``first`` that of its item and the first
    item of its latent in a (p, p) matrix, ``others`` the number of the latent's other items (at least 1), ``least``
    what the correlations among these must come to where there are two or more, else infinite; ``single`` are the
    loadings of a latent's only item, ``alone`` those whose item has no other latent. ``joined`` are the variables of
    the structural part: ``outcome`` and ``cause`` of each path stand for their positions there, as do ``outcomes``, all
    that something points at, and ``pair``, the two variables of each row of ``apart``, the free covariances of latent
    variables that nothing there points at; ``several`` holds the paths to each outcome of several causes. Then the
    rows that start values are for: markers, the last first; free loadings; all variances; covariances of observed
    variables that nothing points at; means of observed variables; and whether the user gave any start value.
    """

    loadings: IntArray
    item: IntArray
    latent: IntArray
    cell: IntArray
    first: IntArray
    others: IntArray
    least: FloatArray
    single: IntArray
    alone: IntArray
    paths: IntArray
    outcome: IntArray
    cause: IntArray
    outcomes: IntArray
    several: tuple[IntArray, ...]
    apart: IntArray
    pair: IntArray
    joined: IntArray
    markers: IntArray
    free_loadings: IntArray
    variances: IntArray
    untouched: IntArray
    means: IntArray
    given: BoolArray | None


@lru_cache(maxsize=64)
def _layout(place: Structure) -> _Layout:
    p, v = place.n_observed, len(place.variables)
    loadings = np.flatnonzero(place.loading & (place.row < p))
    item, latent = place.row[loadings], place.column[loadings]
    first = np.zeros(v, dtype=np.intp)
    first[latent[::-1]] = item[::-1]
    count = np.bincount(latent, minlength=v)[latent]
    paths = np.flatnonzero((place.part == DIRECTED) & ~place.loading)
    outcome, cause = place.row[paths], place.column[paths]
    causes = np.bincount(outcome, minlength=v)
    several = tuple(np.flatnonzero(outcome == one) for one in np.flatnonzero(causes > 1))
    free = place.covariance_rows[place.free[place.covariance_rows] >= 0]
    i, j = place.row[free], place.column[free]
    apart = free[(i != j) & (np.minimum(i, j) >= p) & (causes[i] == 0) & (causes[j] == 0)]
    pair = np.array([place.row[apart], place.column[apart]])
    joined = np.unique(np.concatenate([outcome, cause, *pair]))
    outcome, cause, pair = (np.searchsorted(joined, one) for one in (outcome, cause, pair))
    target = np.arange(v) >= p
    target[place.row[place.part == DIRECTED]] = True
    untouched = np.zeros(len(place.part), dtype=bool)
    covariances = place.covariance_rows
    untouched[covariances] = ~target[place.row[covariances]] & ~target[place.column[covariances]]
    held = place.loading & (place.free < 0) & ~(place.fixed == 0.0)
    given = ~np.isnan(place.start)
    return _Layout(
        loadings, item, latent, item * v + latent, item * p + first[latent], np.maximum(count - 1, 1),
        np.where(count > 2, 0.01 * count**2, np.inf), np.flatnonzero(count == 1),
        np.flatnonzero(np.bincount(item, minlength=v)[item] == 1), paths, outcome, cause, np.unique(outcome), several,
        apart, pair, joined, np.flatnonzero(held)[::-1],
        np.flatnonzero(place.loading & (place.free >= 0)), np.flatnonzero(place.diagonal),
        np.flatnonzero(untouched), np.flatnonzero((place.part == INTERCEPT) & (place.row < p)),
        given if given.any() else None,
    )  # fmt: skip


def start_values(problem: System, way: Way = "structure") -> FloatArray:
    """Coordinates to start from, the user's own start values respected.

    Loadings follow the covariances of each latent's indicators, and regressions the correlations of their sums;
    covariates and means start at their sample values, other covariances at zero.

    Parameters
    ----------
    problem : Problem or Joint
    way : {"structure", "measurement", "plain", "instruments", "unaided"}
        As above; with regressions at zero; with all loadings alike and latent variances small; with loadings and
        latent variances, even negative ones, from the indicators as instruments for one another: further tries where
        the first search does not end; or as above without the user's start values, where those lead nowhere.

    Returns
    -------
    (k,) array
    """
    if isinstance(problem, Problem):
        wanted = _wanted(problem, way)
        if problem.plain:
            return wanted
        return np.asarray(np.linalg.lstsq(problem.map, wanted - problem.offset, rcond=None)[0])
    maps = np.concatenate([one.map for one in problem.problems])
    wanted = np.concatenate([_wanted(one, way) - one.offset for one in problem.problems])
    return np.asarray(np.linalg.lstsq(maps, wanted, rcond=None)[0])


def _wanted(problem: Problem, way: Way) -> FloatArray:
    """Balanced values of the free rows of one block."""
    place, sample = problem.place, problem.sample
    lay, values = _layout(place), problem.base.copy()
    axis = np.full(values.size, 0.7) if way == "plain" else _axes(place, sample.cov)
    variances = _measurement(problem, axis, values, plain=way == "plain")
    if place.recursive and way in ("structure", "unaided"):
        _regressions(place, sample.cov, axis, values, variances)
    if way == "instruments":
        _instruments(place, sample.cov, values, variances)
    values[lay.variances] = variances[place.row[lay.variances]]
    if lay.untouched.size:
        values[lay.untouched] = sample.cov[place.row[lay.untouched], place.column[lay.untouched]]
    if sample.mean is not None:
        values[lay.means] = sample.mean[place.row[lay.means]]
    if lay.given is not None and way != "unaided":
        values = np.where(lay.given, place.start * problem.multiplier, values)
    return np.asarray(values[problem.active])


def _measurement(problem: Problem, axis: FloatArray, values: FloatArray, *, plain: bool) -> FloatArray:
    """Put start values of the loadings in; those of all variances."""
    place = problem.place
    p, lay = place.n_observed, _layout(place)
    latent, loading = place.column[lay.markers], values[lay.markers]
    unit, variances = np.ones(len(place.variables)), np.full(len(place.variables), 0.5)
    if not plain:
        variances[lay.item[lay.alone]] = 1.0 - axis[lay.loadings[lay.alone]] ** 2
    unit[latent] = loading / axis[lay.markers]
    variances[p:] = 1.0
    variances[latent] = 0.05 if plain else 1.0 / unit[latent] ** 2
    values[lay.free_loadings] = axis[lay.free_loadings] * unit[place.column[lay.free_loadings]]
    return variances


def _instruments(place: Structure, cov: FloatArray, values: FloatArray, variances: FloatArray) -> None:
    """Put loadings in by the other indicators as instruments for the marker, and the variances that go with them.

    Three indicators are met exactly, whatever their signs: a fit may exist at a negative latent variance alone.

    References
    ----------
    Haegglund (1982), Psychometrika 47, 209-222.
    """
    lay = _layout(place)
    for row in lay.markers:
        own = lay.loadings[(lay.latent == place.column[row])]
        items = place.row[own]
        marker = np.flatnonzero(own == row)
        if own.size < 3 or not marker.size:
            continue
        among = cov[np.ix_(items, items)].copy()
        np.fill_diagonal(among, 0.0)
        with_marker = among[marker[0]]
        spread = np.sum(with_marker**2) - with_marker**2
        loading = values[row] * (among @ with_marker) / np.maximum(spread, 1e-6)
        loading[marker] = values[row]
        rest = np.arange(own.size) != marker[0]
        variance = float(with_marker @ loading) / float(values[row] * np.sum(loading[rest] ** 2) + 1e-12)
        free = place.free[own] >= 0
        values[own[free]] = loading[free]
        variances[place.column[row]] = variance
        variances[items] = cov.diagonal()[items] - loading**2 * variance


def _axes(place: Structure, cov: FloatArray) -> FloatArray:
    """Rough standardised loading of each row of the measurement part, signs included.

    The indicators of a latent are turned towards its first one. With three or more of them a squared loading is the
    mean product ``r_ij r_ik`` over the mean of ``r_jk``, exact where one factor fits; with fewer it is the mean
    covariance with the others.
    """
    lay, v = _layout(place), len(place.variables)
    sign = np.copysign(1.0, cov.take(lay.first))
    weight = np.zeros((place.n_observed, v))
    weight.reshape(-1)[lay.cell] = sign
    own = cov.diagonal()[lay.item]
    others = (cov @ weight).take(lay.cell) * sign - own
    squares = ((cov * cov) @ np.abs(weight)).take(lay.cell) - own * own
    among = np.bincount(lay.latent, others, v)[lay.latent] - 2.0 * others
    ratio = others / lay.others
    np.divide(others * others - squares, among, out=ratio, where=among > lay.least)
    loading = np.sqrt(np.minimum(np.maximum(ratio, 0.04), 0.9))
    loading[lay.single] = 0.95
    axis = np.full(place.part.size, 0.7)
    axis[lay.loadings] = np.copysign(loading, others) * sign
    return axis


def _regressions(
    place: Structure, cov: FloatArray, axis: FloatArray, values: FloatArray, variances: FloatArray
) -> None:
    """Regress every outcome on its causes, by the correlations of the centroids; its variance becomes the rest's."""
    p, lay = place.n_observed, _layout(place)
    joint = _joint(place, cov, axis)
    deviation = np.sqrt(np.concatenate([cov.diagonal(), variances[p:]])[lay.joined])
    outcome, cause = lay.outcome, lay.cause
    correlation = joint[outcome, cause]
    slopes = correlation.copy()
    for own in lay.several:
        among = joint[cause[own][:, None], cause[own]]
        slopes[own] = np.clip(np.linalg.lstsq(among, correlation[own], rcond=None)[0], -1.5, 1.5)
    free = place.free[lay.paths] >= 0
    values[lay.paths[free]] = (slopes * deviation[outcome] / deviation[cause])[free]
    rest = 1.0 - np.bincount(outcome, slopes * correlation, lay.joined.size)
    variances[lay.joined[lay.outcomes]] = (deviation**2 * np.maximum(rest, 0.2))[lay.outcomes]
    if lay.apart.size:
        i, j = lay.pair
        values[lay.apart] = joint[i, j] * deviation[i] * deviation[j]


def _joint(place: Structure, cov: FloatArray, axis: FloatArray) -> FloatArray:
    """Correlations in the structural part, of latent variables by their centroids, all drawn a little towards zero."""
    p, v, lay = place.n_observed, len(place.variables), _layout(place)
    loading = axis[lay.loadings]
    weight = place.identity[:p].copy()
    weight.reshape(-1)[lay.cell] = np.sign(loading)
    reach = np.bincount(lay.latent, np.abs(loading), v).astype(np.float64)
    reach[:p] = np.sqrt(cov.diagonal())
    reach[reach == 0.0] = np.inf
    weight = weight.take(lay.joined, axis=1) / reach[lay.joined]
    joint = 0.97 * np.minimum(np.maximum(weight.T @ cov @ weight, -1.0), 1.0)
    joint.reshape(-1)[:: lay.joined.size + 1] = 1.0
    return np.asarray(joint)
