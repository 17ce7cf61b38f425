"""Factor scores: what a person's answers say about the latent variables, from all answers or from some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError, UnsupportedError, UsageError
from spc.linalg import FloatArray
from spc.moments import numeric_values
from spc.sem.engine.bartlett import bartlett_weights
from spc.sem.engine.ram import matrices
from spc.sem.ordinal.problem import OrdinalProblem
from spc.sem.postestimation.ordinal_scores import expected_given, ordered_answers, ordered_modes
from spc.sem.postestimation.patterns import missing_patterns
from spc.sem.scope import by_group
from spc.sem.twolevel.rows import row_scores

if TYPE_CHECKING:
    from spc.sem.fit import SemFit

__all__ = ["ScoreMethod", "balanced_means", "factor_scores"]

ScoreMethod = Literal["regression", "bartlett", "eap"]


def factor_scores(fit: SemFit, data: pd.DataFrame, *, method: ScoreMethod = "regression") -> pd.DataFrame:
    r"""Scores of all latent variables, one row a row of the data.

    Scores are of persons: they are material for further analysis and never leave through the gate of confidentiality.
    Aggregate them to units first, or save them beside the data they come from.

    Parameters
    ----------
    fit : SemFit
    data : DataFrame
        Rows with the observed variables of the model, and the group where the fit has groups; not necessarily those it
        was fitted to. Missing answers are allowed: a score rests on the answers that are there. Of a fit of two levels
        whole clusters, as each row is judged beside what all rows say of its cluster.
    method : {"regression", "bartlett", "eap"}
        ``"regression"``: the expected value given all answers, ``E(eta) + cov(eta, y) sigma^-1 (y - mu)``, shrunken
        towards the mean (Thurstone 1935). ``"bartlett"``: the value that makes the answers to the indicators most
        likely, ``(L' T^-1 L)^-1 L' T^-1 (y - nu)``, unbiased for each person (Bartlett 1937). Where items are ordered
        these are the most likely values, with the distribution of the latent variables and without it (lavaan's EBM
        and ML), and ``"eap"`` the expected ones; else that is the same as ``"regression"``. Of two levels Bartlett's
        weights are applied to what is left of each row beside what is expected of its cluster, as in lavaan.

    Returns
    -------
    DataFrame
        (rows, latents), with the index of ``data``; of two levels those within clusters, see ``cluster_scores`` for
        the others. NaN in rows without any answer. Bartlett scores are NaN too for
        a latent variable none of whose indicators were answered, for factors of factors, which have none, where
        the answers given cannot tell two latent variables apart, and where all are the lowest category, or the
        highest, so that no value is the most likely one.

    Raises
    ------
    DataError
        A column of the model is absent (the nearest name is given), not numeric or infinite; an answer to
        an ordered item is none of the categories fitted; or the model was fitted to moments without means and has no
        intercepts, so that there is nothing to measure answers from.
    UnsupportedError
        A model without latent variables; or ordered items that the latent variables do not make independent, as with
        residual covariances, which only ``"eap"`` has a method for.
    UsageError
        Another method.

    Notes
    -----
    Equal to lavaan's ``lavPredict``, but for two cases: in a model without intercepts in which a latent variable
    predicts an observed outcome, and for ordered items in groups whose latent means differ, lavaan's scores are
    shifted. An indicator is any observed variable that
    a latent one points at, net of what observed variables predict of it.

    Examples
    --------
    >>> from spc.moments import Moments
    >>> from spc.sem.fit import fit
    >>> cov = [[1.0, 0.5, 0.5, 0.4], [0.5, 1.0, 0.4, 0.5], [0.5, 0.4, 1.0, 0.5], [0.4, 0.5, 0.5, 1.0]]
    >>> mood = fit("mood =~ a + b + c + d", Moments(list("abcd"), 200, [3, 3, 3, 3], cov))
    >>> answers = pd.DataFrame({"a": [4, 4], "b": [4, None], "c": [4, 4], "d": [4, None]}, index=["x", "y"])
    >>> factor_scores(mood, answers).round(3)
        mood
    x  0.778
    y  0.636
    """
    if method not in get_args(ScoreMethod):
        raise UsageError(f"method={method!r}: expected 'regression', 'bartlett' or 'eap'.")
    if fit.levels is not None:
        return row_scores(fit, data, bartlett=method == "bartlett")
    if len(fit.groups) > 1:
        return by_group(fit, data, lambda view, rows: factor_scores(view, rows, method=method))
    if any(name.endswith(".l2") for name in fit.model.parameters.joint):
        raise UnsupportedError(
            "Rows and clusters share the values of a two-level model, so neither level has scores from its own "
            "covariances alone: give the fit itself, not one of its views."
        )
    place = fit.problem.place
    if not place.latents:
        raise UnsupportedError("The model has no latent variables, so there are no scores. Write some with '=~'.")
    p, scale = place.n_observed, fit.problem.scale
    if isinstance(fit.problem, OrdinalProblem):
        scores = _of_ordered(fit, data, method)
        return pd.DataFrame(scores * scale[p:], index=data.index, columns=list(place.latents))
    answers = numeric_values(data, place.observed) / scale[:p] - balanced_means(fit)
    weigh = _Weights(fit, method)
    scores = np.full((len(answers), len(place.latents)), np.nan)
    for there, rows in missing_patterns(answers):
        if there.any():
            scores[rows] = answers[np.ix_(rows, there)] @ weigh(there).T
    scores = (scores + weigh.mean) * scale[p:]
    return pd.DataFrame(scores, index=data.index, columns=list(place.latents))


def _of_ordered(fit: SemFit, data: pd.DataFrame, method: ScoreMethod) -> FloatArray:
    """Scores in balanced units where some items are ordered."""
    place = fit.problem.place
    answers = ordered_answers(fit, data, place.observed)
    if method == "eap":
        return expected_given(fit, answers, np.arange(place.n_observed, len(place.variables)))[0]
    return ordered_modes(fit, answers, prior=method == "regression")


def balanced_means(fit: SemFit) -> FloatArray:
    """Means of the observed variables under the model, the sample's where it has none, in balanced units.

    Raises
    ------
    DataError
        Neither has.
    """
    p = fit.problem.place.n_observed
    if fit.problem.place.meanstructure:
        return np.asarray(fit.point.at.mean[:p])
    if fit.observed.mean is None:
        raise DataError.of(
            "moments", None, "no_means", "a model fitted to moments without means", "means of all variables",
            "Fit it to rows of data, or to Moments(mean=...).",
        )  # fmt: skip
    return np.asarray(fit.observed.mean / fit.problem.scale[:p])


class _Weights:
    """Weights (m, answered) of the centred answers in the scores, for any pattern of answers."""

    def __init__(self, fit: SemFit, method: ScoreMethod) -> None:
        place, at = fit.problem.place, fit.point.at
        self.place, self.method, self.p = place, method, place.n_observed
        self.covariance = at.covariance
        self.directed = matrices(place, fit.values * fit.problem.multiplier)[0]
        self.mean = at.mean[self.p :] if place.meanstructure else self._mean_from_causes(balanced_means(fit))

    def _mean_from_causes(self, observed: FloatArray) -> FloatArray:
        """Means of the latent variables whose intercepts are zero, from the means of their observed causes."""
        among, by = self.directed[self.p :, self.p :], self.directed[self.p :, : self.p]
        return np.asarray(np.linalg.solve(np.eye(len(among)) - among, by @ observed))

    def __call__(self, there: npt.NDArray[np.bool_]) -> FloatArray:
        if self.method == "bartlett":
            return bartlett_weights(self.place, self.covariance, self.directed, there)
        return self._regression(there)

    def _regression(self, there: npt.NDArray[np.bool_]) -> FloatArray:
        at = np.flatnonzero(there)
        sigma = self.covariance[np.ix_(at, at)]
        return np.asarray(np.linalg.solve(sigma, self.covariance[at, self.p :]).T)
