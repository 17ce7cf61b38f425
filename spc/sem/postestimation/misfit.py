"""Where a model misses: residuals of all moments with their errors, and the summary statistics of them.

With ``s`` the stacked sample moments, ``D`` the derivatives of the implied ones and ``V`` the information in the
moments that the model implies, the residuals after fitting move as ``(I - D (D'VD)^-1 D'V) ds``. A *normalized*
residual is divided by the error of the sample moment alone under normality, a *standardized* one by its own, so that it
is a z value (Hausman 1978, Econometrica 46, 1251-1271; Bollen 1989, *Structural Equations with Latent Variables*,
chapter 7). Everything is conditional on the moments of covariates held at their sample values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from spc.errors import UnsupportedError
from spc.linalg import FloatArray, duplication, vech
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sem.engine.optimise import derivatives
from spc.sem.engine.problem import Problem
from spc.sem.engine.ram import IntArray, directions
from spc.sem.missing.fiml import Answers
from spc.sem.missing.incomplete import curvature_in_moments, lay_out, likelihood

if TYPE_CHECKING:
    from spc.sem.fit import SemFit

__all__ = ["Misfit", "misfit"]

_ZERO = 1e-9
"""Residuals in balanced units below this are none: they are fitted exactly."""


@dataclass(frozen=True, eq=False, repr=False)
class Misfit(Shown):
    """Residuals of a fitted model.

    Attributes
    ----------
    table : DataFrame
        One row a moment: ``lhs, op, rhs, sample, implied, raw, bentler, bollen, normalized, standardized``.
    summary : DataFrame
        One row each for ``rmr, srmr, crmr``, see :meth:`glance`.
    n : int
    remarks : tuple of Note
    provenance : Provenance
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    n: int
    remarks: tuple[Note, ...]
    provenance: Provenance
    kind: str = "misfit"

    def tidy(self) -> pd.DataFrame:
        """Residual correlations (after Bollen) as ``estimate``, standardized residuals as ``statistic``."""
        z = self.table["standardized"]
        frame = self.table[["lhs", "op", "rhs"]].assign(
            kind=np.where(self.table["op"] == "~1", "mean_residual", "covariance_residual"),
            estimate=self.table["bollen"], statistic=z, p_value=2.0 * ndtr(-z.abs()), level="1", group="1",
        )  # fmt: skip
        return tidy_frame([{str(k): v for k, v in row.items()} for row in frame.to_dict("records")])

    def glance(self) -> pd.DataFrame:
        """One row: ``srmr`` and ``crmr``, their unbiased versions with 90 % intervals, p value of exact fit."""
        row: dict[str, float] = {}
        for name in ("srmr", "crmr"):
            found = self.summary.loc[name].astype(float).to_dict()
            row |= {name: found["value"], f"{name}_pvalue": found["exact_pvalue"], f"u{name}": found["unbiased"]}
            row |= {f"u{name}_ci_lower": found["unbiased_low"], f"u{name}_ci_upper": found["unbiased_high"]}
        largest = float(self.table["standardized"].abs().max())
        return pd.DataFrame([{**row, "largest_standardized": largest, "nobs": self.n}])

    def matrix(self, type: str) -> pd.DataFrame:  # noqa: A002
        """Residuals of the covariances as a square table; ``type`` is a column of ``table``."""
        rows = self.table[self.table["op"] == "~~"]
        square = rows.pivot(index="lhs", columns="rhs", values=type)
        names = list(dict.fromkeys(rows["lhs"]))
        square = square.reindex(index=names, columns=names)
        return square.fillna(square.T).rename_axis(index=None, columns=None)

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the residuals."""
        return self.remarks


def misfit(fit: SemFit) -> Misfit:
    r"""Residuals of all moments: raw, as correlations, normalized and standardized; and SRMR with its error.

    Parameters
    ----------
    fit : SemFit
        Fitted by maximum likelihood. With missing answers the sample moments are the unrestricted ones of all answers.

    Returns
    -------
    Misfit
        ``bentler`` divides covariance residuals by the sample deviations, ``bollen`` takes the difference of the two
        correlations (nothing on the diagonal; means as ``bentler``). The summary has the unbiased version of each
        index with its interval and the p value of exact fit (Maydeu-Olivares 2017, Psychometrika 82, 533-558).
        Moments that the model takes over from the sample have no residual, and a standardized one of zero.

    Raises
    ------
    UnsupportedError
        Another estimator.

    Examples
    --------
    >>> from spc.moments import Moments
    >>> from spc.sem.fit import fit
    >>> r = [[1.0, 0.4, 0.3], [0.4, 1.0, 0.5], [0.3, 0.5, 1.0]]
    >>> missed = misfit(fit("y ~ m\nm ~ x", Moments(["x", "m", "y"], 200, None, r)))
    >>> missed.table.query("lhs != rhs")[["lhs", "rhs", "bollen", "normalized", "standardized"]].round(3)
      lhs rhs  bollen  normalized  standardized
    1   y   m     0.0       0.000         0.000
    2   y   x     0.1       1.482         1.788
    4   m   x     0.0       0.000         0.000
    """
    if fit.options.estimator != "ML" or fit.options.cluster is not None:
        raise UnsupportedError("Residuals with errors have a method under estimator='ML' only, without clusters.")
    if fit.answers is not None and math.isnan(fit.answers.unrestricted_logl):
        raise UnsupportedError("Too few rows answer all variables for unrestricted moments, so there are no residuals.")
    space = _Space(fit)
    provenance = Provenance.record({"residuals": "normal theory"}, fit.provenance.data_fingerprint)
    return Misfit(_table(fit, space), _summary(space), fit.problem.n, tuple(_notes(space)), provenance)


class _Space:
    """Stacked moments in balanced units: covariances column by column, then means."""

    def __init__(self, fit: SemFit) -> None:
        problem, point = fit.problem, fit.point
        place, p = problem.place, problem.place.n_observed
        self.p, self.n, self.names = p, problem.divisor, place.observed
        self.sample, self.sigma = problem.sample.cov, point.at.covariance[:p, :p]
        self.mean = point.residual_mean
        self.sample_mean, self.mu = problem.sample.mean, point.at.mean[:p]
        columns, rows = np.triu_indices(p)
        self.rows, self.columns = rows, columns
        means = self.mean if self.mean is not None else np.empty(0)
        residual = np.concatenate([vech(self.sample - self.sigma), means])
        self.residual = np.where(np.abs(residual) < _ZERO, 0.0, residual)
        double = duplication(p)
        if fit.answers is None:
            self.noise = _blocks(_spread(self.sample, rows, columns), self.sample, self.mean is not None) / self.n
            weight = 0.5 * double.T @ np.kron(point.inverse, point.inverse) @ double
            weight = _blocks(weight, point.inverse, self.mean is not None)
        else:
            unrestricted, weight = _of_answers(problem, fit.answers, self.mu, self.sigma)
            self.noise = np.linalg.inv(unrestricted) / self.n
        self.noise = _given(self.noise, self._held(place.exogenous))
        way = directions(place, point.at, problem.active, p)
        slopes = way.p[rows] * way.q[columns] + way.p[columns] * way.q[rows]
        if self.mean is not None and way.mu is not None:
            slopes = np.vstack([slopes, way.mu])
        slopes = slopes @ problem.map
        plain = fit.answers is None
        information = derivatives(problem, point)[1] if plain else slopes.T @ weight @ slopes
        solved = np.linalg.solve(information, slopes.T @ weight) if slopes.size else np.zeros((0, len(residual)))
        keep = np.eye(len(residual)) - slopes @ solved
        self.spread = keep @ self.noise @ keep.T

    def _held(self, exogenous: IntArray) -> IntArray:
        """Places of the moments of covariates held at their sample values."""
        inside = np.isin(self.rows, exogenous) & np.isin(self.columns, exogenous)
        means = np.isin(np.arange(self.p), exogenous) if self.mean is not None else np.empty(0, dtype=bool)
        return np.flatnonzero(np.concatenate([inside, means]))

    def scaled(self, kind: str) -> tuple[FloatArray, FloatArray]:
        """Residuals, and the matrix that brings the raw ones (and their errors) to this scale."""
        root = np.sqrt(self.sample.diagonal())
        if kind == "rmr":
            return self.residual, np.eye(self.residual.size)
        over = 1.0 / (root[self.rows] * root[self.columns])
        whole = np.concatenate([over, 1.0 / root]) if self.mean is not None else over
        if kind == "srmr":
            return self.residual * whole, np.diag(whole)
        turn = np.diag(whole)
        correlation = (self.sample / np.outer(root, root))[self.rows, self.columns]
        variances = np.flatnonzero(self.rows == self.columns)
        pairs = np.arange(len(self.rows))
        for variance in (self.rows, self.columns):
            np.subtract.at(turn, (pairs, variances[variance]), 0.5 * correlation / root[variance] ** 2)
        means = self.residual[len(self.rows) :] * whole[len(self.rows) :]
        return np.concatenate([self._bollen(), means]), turn

    def _bollen(self) -> FloatArray:
        root, implied = np.sqrt(self.sample.diagonal()), np.sqrt(self.sigma.diagonal())
        found = vech(self.sample / np.outer(root, root) - self.sigma / np.outer(implied, implied))
        return np.where(np.abs(found) < _ZERO, 0.0, found)


def _of_answers(problem: Problem, answers: Answers, mu: FloatArray, sigma: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Observed information on the moments, given who answered what: at the unrestricted and at the implied ones."""
    p, sample = problem.place.n_observed, problem.sample
    assert sample.mean is not None
    data = lay_out(answers.patterns, problem.scale[:p])
    found = []
    for mean, cov in ((sample.mean, sample.cov), (mu, sigma)):
        at = likelihood(data, mean, cov)
        assert at is not None
        whole = curvature_in_moments(data, at)
        found.append(np.roll(np.roll(whole, -p, axis=0), -p, axis=1))
    return found[0], found[1]


def _spread(cov: FloatArray, rows: IntArray, columns: IntArray) -> FloatArray:
    """``cov_ik cov_jl + cov_il cov_jk``: sampling covariance of covariances, times n."""
    one = cov[np.ix_(rows, rows)] * cov[np.ix_(columns, columns)]
    return np.asarray(one + cov[np.ix_(rows, columns)] * cov[np.ix_(columns, rows)])


def _given(spread: FloatArray, held: IntArray) -> FloatArray:
    """Covariances given the values of some."""
    if not held.size:
        return spread
    found = spread - spread[:, held] @ np.linalg.solve(spread[np.ix_(held, held)], spread[held])
    found[held] = 0.0
    found[:, held] = 0.0
    return np.asarray(found)


def _blocks(covariances: FloatArray, means: FloatArray, both: bool) -> FloatArray:
    if not both:
        return covariances
    k, p = len(covariances), len(means)
    whole = np.zeros((k + p, k + p))
    whole[:k, :k], whole[k:, k:] = covariances, means
    return whole


def _over(residual: FloatArray, variance: FloatArray) -> FloatArray:
    """Residual over its error: zero where there is none, missing where it has no error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = residual / np.sqrt(np.where(variance > 1e-14, variance, np.nan))
    return np.where(residual == 0.0, 0.0, ratio)


def _table(fit: SemFit, space: _Space) -> pd.DataFrame:
    scale = fit.problem.scale[: space.p]
    units = scale[space.rows] * scale[space.columns]
    names = space.names
    lhs = [names[j] for j in space.columns]
    rhs, op = [names[i] for i in space.rows], ["~~"] * len(lhs)
    sample, implied = vech(space.sample), vech(space.sigma)
    if space.mean is not None and space.sample_mean is not None:
        lhs, rhs, op = [*lhs, *names], [*rhs, *[""] * space.p], [*op, *["~1"] * space.p]
        units = np.concatenate([units, scale])
        sample, implied = np.concatenate([sample, space.sample_mean]), np.concatenate([implied, space.mu])
    return pd.DataFrame({
        "lhs": lhs, "op": op, "rhs": rhs, "sample": sample * units, "implied": implied * units,
        "raw": space.residual * units, "bentler": space.scaled("srmr")[0], "bollen": space.scaled("crmr")[0],
        "normalized": _over(space.residual, space.noise.diagonal()),
        "standardized": _over(space.residual, space.spread.diagonal()),
    })  # fmt: skip


def _summary(space: _Space) -> pd.DataFrame:
    rows = {kind: _index(*space.scaled(kind), space, kind == "crmr") for kind in ("srmr", "crmr")}
    return pd.DataFrame.from_dict(rows, orient="index")


def _index(residual: FloatArray, turn: FloatArray, space: _Space, off_diagonal: bool) -> dict[str, float]:
    """Root mean square with its error, test of exact fit, and the unbiased version with its 90 % interval."""
    spread = turn @ space.spread @ turn.T
    count = residual.size - (space.p if off_diagonal else 0)
    if not count:
        return dict.fromkeys(("value", "unbiased"), 0.0)
    square, first, second = float(residual @ residual), float(np.trace(spread)), float(np.vdot(spread, spread))
    value = math.sqrt(square / count)
    found = {"value": value}
    if first <= 1e-14 or square <= 1e-14:
        return found
    error = math.sqrt(second / (first * 2.0 * count))
    expected = math.sqrt(first / count) * (4.0 * first**2 - second) / (4.0 * first**2)
    z = max(value - expected, 0.0) / error
    lean = second + 2.0 * float(residual @ spread @ residual)
    k = 1.0 - lean / (4.0 * square**2)
    unbiased = math.sqrt(max(square - first, 0.0) / count) / k
    spread_error = math.sqrt(lean / (2.0 * count * square)) / abs(k)
    half = float(ndtri(0.95)) * spread_error
    return found | {
        "std_error": error, "exact_z": z, "exact_pvalue": float(ndtr(-z)), "unbiased": unbiased,
        "unbiased_error": spread_error, "unbiased_low": unbiased - half, "unbiased_high": unbiased + half,
    }  # fmt: skip


def _notes(space: _Space) -> list[Note]:
    z = _over(space.residual, space.spread.diagonal())[: len(space.rows)]
    worst = [k for k in np.argsort(-np.abs(np.nan_to_num(z))) if abs(np.nan_to_num(z[k])) > 3.29][:3]
    pairs = ", ".join(f"{space.names[space.columns[k]]} with {space.names[space.rows[k]]}" for k in worst)
    if not worst:
        return []
    return [Note(
        "large_residuals", "warning", "residuals",
        f"The model misses some moments by more than chance would (standardized residual beyond 3.29): {pairs}.",
    )]  # fmt: skip
