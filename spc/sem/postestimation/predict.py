"""Expected values of some observed variables given others, under a fitted model."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtr

from spc.errors import UsageError
from spc.linalg import FloatArray
from spc.moments import numeric_values
from spc.sem.engine.ram import DIRECTED, IntArray, Structure
from spc.sem.ordinal.problem import OrdinalProblem
from spc.sem.postestimation.ordinal_scores import categories_of, expected_given, ordered_answers, thresholds_of
from spc.sem.postestimation.patterns import missing_patterns
from spc.sem.postestimation.scores import balanced_means
from spc.sem.scope import by_group
from spc.sem.twolevel.rows import expected_rows

if TYPE_CHECKING:
    from spc.sem.fit import SemFit

__all__ = ["predict"]


def predict(
    fit: SemFit,
    newdata: pd.DataFrame,
    *,
    outcomes: Sequence[str] | None = None,
    given: Sequence[str] | None = None,
) -> pd.DataFrame:
    r"""Expected outcomes of new rows, ``mu_y + sigma_yx sigma_xx^-1 (x - mu_x)``.

    Predictions are of persons or units: they never leave through the gate of confidentiality.

    Parameters
    ----------
    fit : SemFit
    newdata : DataFrame
        Rows with the columns ``given``, and the group and the cluster where the fit has them; the outcomes need not be
        there. All rows of a cluster say what the cluster has of its own.
        Missing answers are allowed: a prediction then rests on the answers that are there.
    outcomes : sequence of str, optional
        Observed variables to predict; by default all that something in the model points at and that are not given.
    given : sequence of str, optional
        Observed variables to predict from; by default those that nothing points at. A model of items alone has none:
        name them.

    Returns
    -------
    DataFrame
        (rows, outcomes), with the index of ``newdata``. NaN in rows without any answer. An ordered outcome has a
        column for each of its categories, such as ``"item=3"``, with the probability of that answer.

    Raises
    ------
    UsageError
        A name that is no observed variable of the model, one that is both outcome and given, or nothing to predict
        (from).
    DataError
        A column is absent, not numeric or infinite; or the model knows no means.
    UnsupportedError
        A fit of two levels to moments, which tell no clusters apart.

    Notes
    -----
    Equal to lavaan's ``lavPredictY`` for the same outcomes and given variables (de Rooij et al. 2023, Structural
    Equation Modeling 30, 132-148), which has none for ordered items and for two levels. What ordered
    items say of the rest comes from expectation propagation, as ``factor_scores(method="eap")``.

    Examples
    --------
    >>> from spc.moments import Moments
    >>> from spc.sem.fit import fit
    >>> chain = fit("sales ~ mood", Moments(["mood", "sales"], 100, [3.0, 10.0], [[1.0, 2.0], [2.0, 9.0]]))
    >>> predict(chain, pd.DataFrame({"mood": [3.0, 4.0]})).round(6)
       sales
    0   10.0
    1   12.0
    """
    if fit.levels is not None:
        places = [part.problem.place for part in fit.parts[:2]]
        return expected_rows(fit, newdata, *_named(places, outcomes, given))
    if len(fit.groups) > 1:
        return by_group(fit, newdata, lambda view, rows: predict(view, rows, outcomes=outcomes, given=given))
    place, p = fit.problem.place, fit.problem.place.n_observed
    y, x = (_positions(place, names) for names in _named([place], outcomes, given))
    if isinstance(fit.problem, OrdinalProblem):
        return _with_ordered(fit, newdata, y, x)
    scale, mean = fit.problem.scale[:p], balanced_means(fit)
    sigma = fit.point.at.covariance
    answers = numeric_values(newdata, [place.variables[i] for i in x]) / scale[x] - mean[x]
    values = np.full((len(answers), y.size), np.nan)
    for there, rows in missing_patterns(answers):
        known = x[there]
        if known.size:
            slopes = np.linalg.solve(sigma[np.ix_(known, known)], sigma[np.ix_(known, y)])
            values[rows] = answers[np.ix_(rows, there)] @ slopes + mean[y]
    return pd.DataFrame(values * scale[y], index=newdata.index, columns=[place.variables[i] for i in y])


def _with_ordered(fit: SemFit, newdata: pd.DataFrame, y: IntArray, x: IntArray) -> pd.DataFrame:
    """Expected continuous outcomes, and probabilities of the categories of ordered ones."""
    place, problem = fit.problem.place, fit.problem
    assert isinstance(problem, OrdinalProblem)
    means, variances = expected_given(fit, ordered_answers(fit, newdata, [place.observed[i] for i in x]), y)
    levels, cuts = categories_of(problem), thresholds_of(fit)
    columns: dict[str, FloatArray] = {}
    for i, mean, variance in zip(y, means.T, variances.T, strict=True):
        name = place.observed[i]
        if name in levels:
            share = np.diff(ndtr((cuts[name][:, None] - mean) / np.sqrt(variance)), axis=0)
            columns |= {f"{name}={level}": one for level, one in zip(levels[name], share, strict=True)}
        else:
            columns[name] = mean * problem.scale[i]
    return pd.DataFrame(columns, index=newdata.index)


def _named(
    places: Sequence[Structure], outcomes: Sequence[str] | None, given: Sequence[str] | None
) -> tuple[Sequence[str], Sequence[str]]:
    """Names of outcomes and given variables, among the observed ones of one level or two."""
    observed = list(dict.fromkeys(name for place in places for name in place.observed))
    explained = {place.variables[i] for place in places for i in np.unique(place.row[place.part == DIRECTED])}
    for name in (*(given or ()), *(outcomes or ())):
        _check_known(name, observed)
    if given is None:
        given = [name for name in observed if name not in explained and name not in (outcomes or ())]
    if outcomes is None:
        outcomes = [name for name in observed if name in explained and name not in given]
    both = [name for name in outcomes if name in set(given)]
    if both:
        raise UsageError(f"{', '.join(both)}: both outcome and given. Name it once.")
    if not given or not outcomes:
        lacking, other = ("given", "predict from") if not given else ("outcomes", "predict")
        raise UsageError(
            f"There is nothing to {other}: name observed variables with {lacking}=[...]; there are "
            f"{', '.join(observed)}."
        )
    return outcomes, given


def _check_known(name: str, observed: Sequence[str]) -> None:
    if name not in observed:
        near = get_close_matches(str(name), observed, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(observed)}."
        raise UsageError(f"{name!r} is no observed variable of the model. {hint}")


def _positions(place: Structure, names: Sequence[str]) -> IntArray:
    return np.array([place.observed.index(name) for name in names], dtype=np.intp)
