"""How far single rows, or clusters of them, pull the estimates: the infinitesimal jackknife."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from spc.linalg import FloatArray
from spc.moments import Counts
from spc.sem.engine.defined import defined_slopes, label_rows
from spc.sem.engine.problem import label_slopes
from spc.sem.engine.ram import IntArray, directions
from spc.sem.missing.fiml import evaluate, jacobian_of
from spc.sem.missing.fiml_robust import rows_apart
from spc.sem.missing.incomplete import lay_out, likelihood, scores_in_moments
from spc.sem.ordinal.conditional import conditional_influence
from spc.sem.ordinal.moments import ordinal_influence
from spc.sem.ordinal.problem import OrdinalProblem
from spc.sem.ordinal.search import pulls
from spc.sem.weighted import moments_of, slopes

if TYPE_CHECKING:
    from spc.sem.fit import SemFit
    from spc.sem.result import Part

__all__ = ["accelerations", "cluster_accelerations", "ordinal_accelerations", "ordinal_influences"]

_ROWS = 4096
Scores = Iterator[tuple[IntArray, FloatArray]]


def accelerations(
    fit: SemFit, rows: Sequence[FloatArray], codes: Sequence[IntArray] | None, metric: FloatArray
) -> FloatArray:
    """Skewness of the influence of each row or cluster on the free and defined parameters, over six.

    Parameters
    ----------
    fit : SemFit
    rows : sequence of (n, p) arrays
        Of each group, in balanced units; NaN where missing.
    codes : sequence of (n,) int arrays, or None
        Cluster of each row, numbered from 0 over all groups.
    metric : (k, k) array
        Information at the fit, for one row of data.

    Returns
    -------
    (q + d,) array
        Free, then defined parameters: ``sum(l**3) / (6 * sum(l**2)**1.5)`` with l the influences.

    References
    ----------
    Efron (1987), Journal of the American Statistical Association 82, 171-185, section 7.
    """
    onto = _onto(fit, metric)
    square, cube = np.zeros(onto.shape[1]), np.zeros(onto.shape[1])
    total = None if codes is None else np.zeros((int(max(one.max() for one in codes)) + 1, onto.shape[1]))
    x = fit.system.coordinates(fit.solution.theta)
    for g, (part, own) in enumerate(zip(fit.parts, rows, strict=True)):
        for chosen, scores in _scores(part, own, x):
            influence = scores @ onto
            if total is not None and codes is not None:
                np.add.at(total, codes[g][chosen], influence)
                continue
            square, cube = square + (influence**2).sum(axis=0), cube + (influence**3).sum(axis=0)
    if total is not None:
        square, cube = (total**2).sum(axis=0), (total**3).sum(axis=0)
    return _over_six(square, cube)


def cluster_accelerations(fit: SemFit) -> FloatArray:
    """:func:`accelerations` of a fit of two levels, whose clusters are what is drawn."""
    assert fit.levels is not None
    goal, x = fit.levels.goal, fit.system.coordinates(fit.solution.theta)
    state = goal.at(x)
    assert state is not None
    influence = -goal.scores(state) @ _onto(fit, goal.information(x, state, expected=False))
    return _over_six((influence**2).sum(axis=0), (influence**3).sum(axis=0))


def ordinal_accelerations(fit: SemFit, counts: Sequence[Counts], codes: Sequence[IntArray] | None) -> FloatArray:
    """:func:`accelerations` of a fit of ordered items, the weights held as they are.

    Parameters
    ----------
    fit : SemFit
    counts : sequence of Counts
        Answers of the rows of each group.
    codes : sequence of (n,) int arrays, or None
        Cluster of each row, numbered from 0 over all groups.
    """
    whole = np.concatenate(ordinal_influences(fit, counts))
    if codes is not None:
        number = np.concatenate(list(codes))
        total = np.zeros((int(number.max()) + 1, whole.shape[1]))
        np.add.at(total, number, whole)
        whole = total
    return _over_six((whole**2).sum(axis=0), (whole**3).sum(axis=0))


def ordinal_influences(fit: SemFit, counts: Sequence[Counts]) -> list[FloatArray]:
    """Influence of the rows of each group (n, q + d) on free and defined parameters."""
    onto, found = _carried(fit), []
    each = zip(fit.parts, counts, pulls(fit.system, fit.system.coordinates(fit.solution.theta)), strict=True)
    for part, own, pull in each:
        assert isinstance(part.problem, OrdinalProblem)
        given = part.model.exogenous
        rows = conditional_influence(own, given) if given else ordinal_influence(own)
        found.append((rows / part.problem.unit) @ (onto @ pull).T)
    return found


def _over_six(square: FloatArray, cube: FloatArray) -> FloatArray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(cube / (6.0 * square**1.5), nan=0.0, posinf=0.0, neginf=0.0)


def _onto(fit: SemFit, metric: FloatArray) -> FloatArray:
    """From scores in coordinates (k,) to influences on free and defined parameters (q + d,)."""
    return np.asarray((_carried(fit) @ np.linalg.inv(metric)).T)


def _carried(fit: SemFit) -> FloatArray:
    """Derivatives (q + d, k) of free and defined parameters on the coordinates."""
    to_theta = fit.parts[0].problem.to_theta
    labels = {name: fit.values[i] for name, i in label_rows(fit.model).items()}
    found = defined_slopes(fit.model.defined, labels, label_slopes(fit.model))
    jacobian = np.array([found[item.name] for item in fit.model.defined]).reshape(-1, len(to_theta))
    return np.vstack([to_theta, jacobian @ to_theta])


def _scores(part: Part, rows: FloatArray, x: FloatArray) -> Scores:
    """Scores of single rows in coordinates, a block of them at a time."""
    if part.answers is not None:
        return _of_answers(part, rows, x)
    return _of_rows(part, rows) if part.weight is None else _of_moments(part, rows)


def _of_rows(part: Part, rows: FloatArray) -> Scores:
    problem, point, p = part.problem, part.point, part.problem.place.n_observed
    way = directions(problem.place, point.at, problem.active, p)
    w = point.inverse
    expected = np.einsum("ij,ij->j", way.p, w @ way.q)
    centre = point.at.mean[:p] if problem.place.meanstructure else rows.mean(axis=0)
    for chosen in _chunks(len(rows)):
        off = (rows[chosen] - centre) @ w
        score = (off @ way.p) * (off @ way.q) - expected
        if way.mu is not None:
            score += off @ way.mu
        yield chosen, score @ problem.map


def _of_answers(part: Part, rows: FloatArray, x: FloatArray) -> Scores:
    problem, answers, p = part.problem, part.answers, part.problem.place.n_observed
    assert answers is not None
    spot = evaluate(problem, lay_out(answers.patterns, problem.scale[:p]), x)
    assert spot is not None
    single = lay_out(rows_apart(part.model.observed, rows), np.ones(p))
    each = likelihood(single, spot.at.mean[:p], spot.at.covariance[:p, :p])
    assert each is not None
    jacobian = jacobian_of(problem, spot)
    return ((chosen, scores @ jacobian) for chosen, scores in scores_in_moments(single, each))


def _of_moments(part: Part, rows: FloatArray) -> Scores:
    """Under least squares, the weights held as they are."""
    problem, weight = part.problem, part.weight
    assert weight is not None
    means = problem.place.meanstructure
    pulled = weight.apply(slopes(problem, part.point.at))
    first, second = np.triu_indices(rows.shape[1])
    centre = rows.mean(axis=0)
    whole = moments_of((rows - centre).T @ (rows - centre) / len(rows), centre if means else None)
    for chosen in _chunks(len(rows)):
        off = rows[chosen] - centre
        own = off[:, first] * off[:, second]
        own = np.concatenate([rows[chosen], own], axis=1) if means else own
        yield chosen, (pulled.T @ weight.apply((own - whole).T)).T


def _chunks(n: int) -> Iterator[IntArray]:
    return (np.arange(start, min(start + _ROWS, n)) for start in range(0, n, _ROWS))
