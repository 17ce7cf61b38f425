"""Chi-square difference tests of nested models fitted to the same data."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from spc.errors import DataError, EstimationError, UnsupportedError, UsageError
from spc.linalg import one_blas_thread
from spc.results import Note, Provenance, tidy_frame
from spc.sem.fit import SemFit, refit
from spc.sem.fitmeasures import chisq_pvalue
from spc.sem.scope import require_complete_ml
from spc.sem.tables import implied_moments

__all__ = ["Comparison", "compare"]

_REACHED = 1e-7
_MEASURES = ("npar", "df", "chisq", "cfi", "tli", "rmsea", "srmr", "aic", "bic")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Models in order of their degrees of freedom, each against the one before.

    Attributes
    ----------
    table : DataFrame
        One row a model: ``model, npar, df, chisq, cfi, tli, rmsea, srmr, aic, bic`` and its changes against the row
        above, ``chisq_diff, df_diff, pvalue, cfi_diff, rmsea_diff, aic_diff, bic_diff``.
    method : str
        The test behind ``pvalue``.
    note_list : tuple of Note
    provenance : Provenance
    """

    table: pd.DataFrame
    method: str
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
        """One row: how many models, and which has the smallest AIC and BIC."""
        best = {f"best_{name}": self.table["model"][int(self.table[name].argmin())] for name in ("aic", "bic")}
        return pd.DataFrame([{"models": len(self.table), "method": self.method, **best}])

    def augment(self) -> pd.DataFrame:
        """The whole table, one row a model."""
        return self.table.copy()

    def notes(self) -> tuple[Note, ...]:
        """Models that are not nested, or differences that cannot be tested."""
        return self.note_list


def compare(*fits: SemFit, names: tuple[str, ...] | None = None) -> Comparison:
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

    Returns
    -------
    Comparison

    Raises
    ------
    UsageError
        Fewer than two fits, or another number of names.
    DataError
        Fits to other data: other rows, other variables.
    UnsupportedError
        Fits whose likelihoods or covariates differ, so that their chi-squares do not compare; or whose
        chi-square is scaled, the difference of which needs another test.

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
    for fit in fits:
        require_complete_ml(fit, "Differences of chi-squares", ("ML",))
    for name, other in zip(named[1:], fits[1:], strict=True):
        _check_same(named[0], fits[0], name, other)
    glances = [fit.glance().iloc[0] for fit in fits]
    order = sorted(range(len(fits)), key=lambda i: int(glances[i]["df"]))
    table = pd.DataFrame([{"model": named[i], **{key: glances[i][key] for key in _MEASURES}} for i in order])
    table = table.astype(dict.fromkeys(("npar", "df"), int))
    steps = [(named[i], fits[i]) for i in order]
    table, notes = _with_steps(table, steps)
    provenance = Provenance.record({"models": len(fits)}, fits[0].provenance.data_fingerprint)
    return Comparison(table, "chi-square difference", notes, provenance)


def _check_same(first: str, one: SemFit, second: str, other: SemFit) -> None:
    a, b = one.observed, other.observed
    if set(a.names) != set(b.names):
        apart = sorted(set(a.names) ^ set(b.names))
        raise DataError.of(
            "models", None, "other_variables", f"{first} and {second} differ in {', '.join(apart)}",
            "models of the same variables", "Keep a variable in a model by giving it a variance: x ~~ x.",
        )  # fmt: skip
    matched = b if a.names == b.names else b.restrict(a.names)
    root = np.sqrt(a.cov.diagonal())
    if a.n != b.n or float((np.abs(a.cov - matched.cov) / np.outer(root, root)).max()) > 1e-8:
        raise DataError.of(
            "models", None, "other_data", f"{first} was fitted to {a.n} rows, {second} to {b.n} rows of other values",
            "fits to the same rows", "Leave out rows with missing values before fitting, so that all use the same.",
        )  # fmt: skip
    for what, mine, theirs in (
        ("likelihood", one.options.likelihood, other.options.likelihood),
        ("estimator", one.options.estimator, other.options.estimator),
        ("covariates", sorted(one.model.exogenous), sorted(other.model.exogenous)),
        ("mean structure", one.problem.place.meanstructure, other.problem.place.meanstructure),
    ):
        if mine != theirs:
            raise UnsupportedError(
                f"{first} and {second} differ in their {what} ({mine} and {theirs}), so that their chi-squares do not "
                "compare. Fit both alike; fixed_x=False keeps covariates in the likelihood."
            )


def _with_steps(table: pd.DataFrame, steps: list[tuple[str, SemFit]]) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    notes: list[Note] = []
    tests = [(np.nan, np.nan, np.nan)]
    for (free_name, free), (strict_name, strict) in pairwise(steps):
        chisq, df, p_value = difference_test(free, strict)
        reason = _obstacle(free, strict, chisq, df)
        if reason:
            subject = f"{strict_name} and {free_name}"
            notes.append(Note("not_nested", "warning", subject, reason))
            p_value = np.nan
        tests.append((chisq, df, p_value))
    found = table.assign(**dict(zip(("chisq_diff", "df_diff", "pvalue"), np.array(tests).T, strict=True)))
    for name in ("cfi", "rmsea", "aic", "bic"):
        found[f"{name}_diff"] = found[name].diff()
    return found, tuple(notes)


def difference_test(free: SemFit, strict: SemFit) -> tuple[float, int, float]:
    """Difference of the two chi-squares under normal-theory maximum likelihood: statistic, df and p value."""
    glances = free.glance().iloc[0], strict.glance().iloc[0]
    chisq = float(glances[1]["chisq"] - glances[0]["chisq"])
    df = int(glances[1]["df"] - glances[0]["df"])
    return chisq, df, chisq_pvalue(max(chisq, 0.0), df)


def _obstacle(free: SemFit, strict: SemFit, chisq: float, df: int) -> str:
    """Why two models cannot be nested, or nothing."""
    if df == 0:
        return "Both have the same degrees of freedom, so neither is a special case of the other; compare AIC and BIC."
    if chisq < -1e-6:
        return "The stricter model fits better, so it is no special case of the freer one; compare AIC and BIC."
    gap = _distance(free, strict)
    if np.isnan(gap):
        return "Whether the models are nested could not be found out, so there is no test; compare AIC and BIC."
    if gap > _REACHED:
        return (
            "The stricter model implies moments that the freer one cannot, so they are not nested; compare AIC and BIC."
        )
    return ""


def _distance(free: SemFit, strict: SemFit) -> float:
    """Discrepancy of the freer model at the moments that the stricter one implies; NaN where it cannot be found."""
    with one_blas_thread():
        try:
            return refit(free, implied_moments(strict)).value
        except EstimationError:
            return float("nan")
