"""Chi-square difference tests of nested models fitted to the same data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import pandas as pd

from spc.errors import DataError, NotPositiveDefiniteError, UnsupportedError, UsageError
from spc.linalg import FloatArray, one_blas_thread
from spc.moments import Moments
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sem.engine.joint import joint_with_moments, problems_of
from spc.sem.engine.optimise import search
from spc.sem.engine.start import WAYS, start_values
from spc.sem.feasible import original
from spc.sem.fit import SemFit
from spc.sem.inference.difference import Difference, MomentSpace, plain_difference, satorra_2000, satorra_bentler_2001
from spc.sem.ordinal.problem import OrdinalProblem, slopes
from spc.sem.postestimation.strict_difference import satorra_bentler_2010
from spc.sem.result import Part
from spc.sem.scope import same_moments
from spc.sem.tables import moments_implied

__all__ = ["Comparison", "compare", "difference_of"]

Method = Literal["default", "plain", "2000", "2001", "2010"]

_REACHED = 1e-7
_MEASURES = ("npar", "df", "chisq", "chisq_scaled", "cfi", "tli", "rmsea", "srmr", "aic", "bic")
_ROBUST = ("cfi", "tli", "rmsea")
_WORDS = {
    "plain": "chi-square difference",
    "2000": "scaled and shifted chi-square difference (Satorra 2000)",
    "2001": "scaled chi-square difference (Satorra & Bentler 2001)",
    "2010": "scaled chi-square difference, strictly positive (Satorra & Bentler 2010)",
}


_SHOWN = ("model", "df", "chisq", "cfi", "rmsea", "srmr", "aic", "bic", "chisq_diff", "df_diff", "pvalue")


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Shown):
    """Models in order of their degrees of freedom, each against the one before.

    Attributes
    ----------
    table : DataFrame
        One row a model: ``model, npar, df, chisq, chisq_scaled, cfi, tli, rmsea, srmr, aic, bic`` and its changes
        against the row above, ``chisq_diff, df_diff, pvalue, scaling_factor, cfi_diff, rmsea_diff, aic_diff,
        bic_diff``. ``chisq_diff`` is the statistic that is tested, scaled where the test is;
        ``cfi``, ``tli`` and ``rmsea`` are the robust ones where all models have them.
    method : str
        The test behind ``pvalue``.
    nobs : int
    note_list : tuple of Note
    provenance : Provenance
    """

    table: pd.DataFrame
    method: str
    nobs: int
    note_list: tuple[Note, ...]
    provenance: Provenance
    kind: str = "comparison"

    def tidy(self) -> pd.DataFrame:
        """One row a step: ``lhs`` the stricter model, ``rhs`` the freer, ``statistic`` the chi-square difference."""
        rows = self.table.to_dict("records")
        return tidy_frame([
            {
                "lhs": strict["model"], "op": "", "rhs": free["model"], "kind": "difference",
                "label": f"df {strict['df_diff']:.0f}", "estimate": strict["chisq_diff"],
                "statistic": strict["chisq_diff"], "p_value": strict["pvalue"],
            }
            for free, strict in pairwise(rows)
        ])  # fmt: skip

    def glance(self) -> pd.DataFrame:
        """One row: how many models, and which has the smallest AIC and BIC, where they have a likelihood."""
        there = [name for name in ("aic", "bic") if self.table[name].notna().all()]
        best = {f"best_{name}": self.table["model"][int(self.table[name].argmin())] for name in there}
        return pd.DataFrame([{"models": len(self.table), "method": self.method, **best, "nobs": self.nobs}])

    def augment(self) -> pd.DataFrame:
        """The whole table, one row a model."""
        return self.table.copy()

    def _rows_shown(self) -> pd.DataFrame:
        return self.table[[name for name in _SHOWN if name in self.table]]

    def notes(self) -> tuple[Note, ...]:
        """Models that are not nested, or differences that cannot be tested."""
        return self.note_list


def compare(
    *fits: SemFit,
    names: tuple[str, ...] | None = None,
    method: Method = "default",
    data: pd.DataFrame | None = None,
) -> Comparison:
    r"""Compare models fitted to the same data, from the freest to the strictest.

    Two models are nested when the freer one can reproduce the moments that the stricter one implies, which is checked
    by fitting it to them. Where it cannot, the row has no test and a note says so; information criteria may be compared
    in any case.

    Parameters
    ----------
    fits : SemFit
        Two or more.
    names : tuple of str, optional
        What to call them; ``"model 1"`` and so on by default.
    method : {"default", "plain", "2000", "2001", "2010"}
        The difference test, see :mod:`spc.sem.inference.difference`. By default, as in lavaan, that of 2000 for
        ordered items (WLSMV), that of 2001 for other fits with a scaled test (MLM, MLR, clusters, with missing
        answers or without), and the plain one for all others.
    data : DataFrame, optional
        The rows of the fits, which ``method="2010"`` needs again.

    Returns
    -------
    Comparison

    Raises
    ------
    UsageError
        Fewer than two fits, another number of names, or a scaled difference of fits whose tests are not scaled.
    DataError
        Fits to other data: other rows, other variables.
    UnsupportedError
        Fits whose estimators, likelihoods or covariates differ, so that their chi-squares do not compare.

    References
    ----------
    Bentler & Satorra (2010), Psychological Methods 15, 111-123 (how nesting is checked).

    Examples
    --------
    >>> from spc.moments import Moments
    >>> from spc.sem.fit import fit
    >>> r = [[1.0, 0.5, 0.4], [0.5, 1.0, 0.5], [0.4, 0.5, 1.0]]
    >>> published = Moments(["x", "m", "y"], 200, None, r)
    >>> result = compare(fit("m ~ x\ny ~ m + x", published), fit("m ~ x\ny ~ m", published))
    >>> result.augment()[["model", "df", "chisq_diff", "df_diff"]].round(3)
         model  df  chisq_diff  df_diff
    0  model 1   0         NaN      NaN
    1  model 2   1       8.164      1.0
    """
    if len(fits) < 2:
        raise UsageError(f"compare() was given {len(fits)} fit; give two or more, such as compare(free, strict).")
    named = tuple(f"model {i}" for i in range(1, len(fits) + 1)) if names is None else tuple(names)
    if len(named) != len(fits):
        raise UsageError(f"{len(named)} names for {len(fits)} fits; give one a fit.")
    for name, other in zip(named[1:], fits[1:], strict=True):
        _check_same(named[0], fits[0], name, other)
    chosen = _method(fits, method)
    glances = [fit.glance().iloc[0] for fit in fits]
    order = sorted(range(len(fits)), key=lambda i: int(glances[i]["df"]))
    table = _table([named[i] for i in order], [glances[i] for i in order])
    table, notes = _with_steps(table, [(named[i], fits[i]) for i in order], chosen, data)
    provenance = Provenance.record({"models": len(fits), "method": chosen}, fits[0].provenance.data_fingerprint)
    return Comparison(table, _WORDS[chosen], fits[0].system.n, notes, provenance)


def _method(fits: Sequence[SemFit], method: Method) -> Method:
    if method not in get_args(Method):
        raise UsageError(f"method={method!r}: expected one of {', '.join(map(repr, get_args(Method)))}.")
    scaled = all(fit.correction is not None for fit in fits)
    ordered = all(isinstance(part.problem, OrdinalProblem) for fit in fits for part in fit.parts)
    if method == "default":
        return ("2000" if ordered else "2001") if scaled else "plain"
    if method == "2000" and not ordered:
        raise UsageError("The difference test of 2000 is for fits of ordered items; use method='2001'.")
    if method in ("2001", "2010") and ordered:
        raise UsageError("Fits of ordered items have the scaled and shifted difference test: use method='2000'.")
    if method != "plain" and not scaled:
        raise UsageError(
            "A scaled difference test needs fits with a scaled test: fit all with estimator='MLM' or 'MLR', or with "
            "cluster=."
        )
    return method


def _table(names: Sequence[str], glances: Sequence[pd.Series]) -> pd.DataFrame:
    """One row a model; robust measures in place of the plain ones where all models have them."""
    found = pd.DataFrame([{"model": name, **row[list(_MEASURES)]} for name, row in zip(names, glances, strict=True)])
    for name in _ROBUST:
        robust = [float(row[f"{name}_robust"]) for row in glances]
        if np.isfinite(robust).all():
            found[name] = robust
    whole = dict.fromkeys(("npar", "df"), int)
    return found.astype({name: whole.get(name, float) for name in _MEASURES})


def _check_same(first: str, one: SemFit, second: str, other: SemFit) -> None:
    if [part.key for part in one.parts] != [part.key for part in other.parts]:
        raise DataError.of(
            "models", None, "other_groups", f"{first} and {second} have other groups or levels",
            "fits to the same groups", "Fit both with the same group=.",
        )  # fmt: skip
    for mine, theirs in zip(one.parts, other.parts, strict=True):
        where = f" in group {mine.group}" if mine.group else ""
        _check_moments(first, mine.observed, second, theirs.observed, where)
    covariates = [[sorted(part.model.exogenous) for part in fit.parts] for fit in (one, other)]
    means = [[part.problem.place.meanstructure for part in fit.parts] for fit in (one, other)]
    for what, a, b in (
        ("likelihood", one.options.likelihood, other.options.likelihood),
        ("estimator", one.options.estimator, other.options.estimator),
        ("treatment of missing answers", one.options.missing, other.options.missing),
        ("clusters", one.options.cluster, other.options.cluster),
        ("covariates", *covariates),
        ("mean structure", *means),
    ):
        if a != b:
            raise UnsupportedError(
                f"{first} and {second} differ in their {what} ({a} and {b}), so that their chi-squares do not "
                "compare. Fit both alike; fixed_x=False keeps covariates in the likelihood."
            )


def _check_moments(first: str, a: Moments, second: str, b: Moments, where: str) -> None:
    if set(a.names) != set(b.names):
        apart = sorted(set(a.names) ^ set(b.names))
        raise DataError.of(
            "models", None, "other_variables", f"{first} and {second} differ{where} in {', '.join(apart)}",
            "models of the same variables", "Keep a variable in a model by giving it a variance: x ~~ x.",
        )  # fmt: skip
    if not same_moments(a, b):
        raise DataError.of(
            "models", None, "other_data",
            f"{first} was fitted to {a.n} rows{where}, {second} to {b.n} rows of other values",
            "fits to the same rows", "Leave out rows with missing values before fitting, so that all use the same.",
        )  # fmt: skip


def _with_steps(
    table: pd.DataFrame, steps: list[tuple[str, SemFit]], method: Method, data: pd.DataFrame | None
) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    notes: list[Note] = []
    tests = [(np.nan, np.nan, np.nan, np.nan)]
    for (free_name, free), (strict_name, strict) in pairwise(steps):
        found = difference_of(free, strict, method, data)
        subject, reason = f"{strict_name} and {free_name}", _obstacle(free, strict)
        p_value = found.p_value
        if reason:
            notes.append(Note("not_nested", "warning", subject, reason))
            p_value = np.nan
        elif not found.scale > 0.0:
            notes.append(_negative(subject, found.scale))
        elif _on_edge(free, strict):
            notes.append(_mixture(subject))
        tests.append((found.chisq, found.df, p_value, found.scale))
    columns = ("chisq_diff", "df_diff", "pvalue", "scaling_factor")
    changed = table.assign(**dict(zip(columns, np.array(tests).T, strict=True)))
    for name in ("cfi", "rmsea", "aic", "bic"):
        changed[f"{name}_diff"] = changed[name].diff()
    return changed, tuple(notes)


def _negative(subject: str, scale: float) -> Note:
    return Note(
        "negative_scaling", "warning", subject,
        f"The scaling factor of the difference is {scale:.3f}, which happens with few rows or models that fit badly, "
        "so there is no test in this form. That of 2010 is never negative: compare(..., method='2010', data=rows).",
    )  # fmt: skip


def _on_edge(free: SemFit, strict: SemFit) -> bool:
    """Whether inequalities hold with equality in one of the models only."""
    return problems_of(free.system)[0].binding != problems_of(strict.system)[0].binding


def _mixture(subject: str) -> Note:
    return Note(
        "mixture_of_chisquares", "warning", subject,
        "An inequality holds with equality in one of the models. It takes no degrees of freedom, so the difference is "
        "distributed as a mixture of chi-squares and the p value is only rough.",
    )  # fmt: skip


def difference_of(
    free: SemFit, strict: SemFit, method: Method = "default", data: pd.DataFrame | None = None
) -> Difference:
    """Difference test of two fits, the freer one first; whether they are nested is not looked at."""
    chosen = _method((free, strict), method)
    one, other = _statistic(strict), _statistic(free)
    if chosen == "plain":
        return plain_difference(one[:2], other[:2])
    if one[1] <= other[1]:
        return satorra_bentler_2001(one, other)
    if chosen == "2000":
        return satorra_2000(one[0] - other[0], one[1] - other[1], _spaces(free, strict))
    if chosen == "2001":
        return satorra_bentler_2001(one, other)
    return satorra_bentler_2010(strict, free, data)


def _statistic(fit: SemFit) -> tuple[float, int, float]:
    """Plain chi-square, degrees of freedom, scaling factor."""
    df = fit.df
    return fit.chisq, df, math.nan if fit.correction is None or not df else fit.correction.trace / df


def _spaces(free: SemFit, strict: SemFit) -> list[MomentSpace]:
    """Weights, covariances and derivatives of the thresholds and correlations of each group."""
    found = []
    shares = [part.problem.n / free.system.n for part in free.parts]
    for share, mine, theirs in zip(shares, free.parts, strict.parts, strict=True):
        problem, other = mine.problem, theirs.problem
        assert isinstance(problem, OrdinalProblem)
        assert isinstance(other, OrdinalProblem)
        if problem.sampled.names != other.sampled.names:
            raise UsageError("The models name their items in another order: write both in the same order.")
        root = problem.weigh(np.eye(len(problem.unit)))
        ways = _slopes(free, mine, problem), _slopes(strict, theirs, other)
        found.append(MomentSpace(root.T @ root, problem.gamma, *ways, share=share))
    return found


def _slopes(fit: SemFit, part: Part, problem: OrdinalProblem) -> FloatArray:
    return slopes(problem, problem.values(fit.system.coordinates(fit.solution.theta)), part.point.at)


def _obstacle(free: SemFit, strict: SemFit) -> str:
    """Why two models cannot be nested, or nothing."""
    plain = plain_difference(_statistic(strict)[:2], _statistic(free)[:2])
    if plain.df == 0 and _on_edge(free, strict):
        return (
            "They differ by inequalities, which take no degrees of freedom: the difference is a mixture of chi-squares "
            "and has no test here; compare AIC and BIC, or hold the parameters equal and compare that model."
        )
    if plain.df == 0:
        return "Both have the same degrees of freedom, so neither is a special case of the other; compare AIC and BIC."
    if plain.chisq < -1e-6:
        return "The stricter model fits better, so it is no special case of the freer one; compare AIC and BIC."
    if any(isinstance(part.problem, OrdinalProblem) for part in free.parts):
        return ""
    gap = _distance(free, strict)
    if np.isnan(gap):
        return "Whether the models are nested could not be found out, so there is no test; compare AIC and BIC."
    if gap > _REACHED:
        return (
            "The stricter model implies moments that the freer one cannot, so they are not nested; compare AIC and BIC."
        )
    return ""


def _distance(free: SemFit, strict: SemFit) -> float:
    """Normal-theory discrepancy of the freer model at what the stricter one implies; NaN where it cannot be found."""
    moments = [
        implied.restrict(part.model.observed) if implied.names != part.model.observed else implied
        for implied, part in zip(map(moments_implied, strict.views), free.parts, strict=True)
    ]
    with one_blas_thread():
        try:
            system = joint_with_moments(original(free.system), moments)
        except NotPositiveDefiniteError:
            return math.nan
        starts = (system.coordinates(free.solution.theta), *(start_values(system, way) for way in WAYS))
        for start in starts:
            end = search(system, start)
            if end is not None and end.converged:
                return end.value
    return math.nan
