"""Fit of each level of a two-level model by itself.

The test of a whole two-level model hardly sees the upper level, whose sample is the clusters. With the other level left
free (saturated), what remains is the misfit of one: Ryu & West (2009), Structural Equation Modeling 16, 583-601. With J
clusters of N rows in all the RMSEA divides by N - J within clusters and by J between them; CFI and TLI compare with
independence on that level alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from spc.errors import UnsupportedError
from spc.linalg import FloatArray, one_blas_thread
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sem.engine.restrictions import restrictions
from spc.sem.inference import fitmeasures as measure
from spc.sem.inference.scaled import ratio
from spc.sem.twolevel.half import Side, halves, independent_half
from spc.sem.twolevel.inference import trace_of
from spc.sem.twolevel.measures import level_srmr
from spc.sem.twolevel.saturated import free_map
from spc.sem.twolevel.scores import require_levels
from spc.sem.twolevel.search import Goal, Objective, search

if TYPE_CHECKING:
    from spc.sem.fit import SemFit
    from spc.sem.twolevel.group import LevelGroup

__all__ = ["LevelFit", "level_fit"]

_SIDES: tuple[Side, Side] = ("within", "between")


@dataclass(frozen=True, eq=False, repr=False)
class LevelFit(Shown):
    """Tests and measures of fit of both levels, each with the other one free.

    Attributes
    ----------
    table : DataFrame
        One row a level: ``level, n, chisq, df, pvalue, scaling_factor, chisq_scaled, pvalue_scaled, baseline_chisq,
        baseline_df, cfi, tli, rmsea, rmsea_ci_lower, rmsea_ci_upper, srmr``; ``n`` is what the RMSEA divides by.
    nobs, clusters : int
    remarks : tuple of Note
    provenance : Provenance
    """

    table: pd.DataFrame
    nobs: int
    clusters: int
    remarks: tuple[Note, ...]
    provenance: Provenance
    kind: str = "level_fit"

    def tidy(self) -> pd.DataFrame:
        """One row a level: its chi-square, scaled where the errors of the fit are robust, and its p value."""
        rows = []
        for row in self.table.to_dict("records"):
            scaled = not math.isnan(row["chisq_scaled"])
            rows.append({
                "lhs": "chisq", "op": "", "rhs": "within" if row["level"] == "1" else "between", "kind": "level_fit",
                "level": row["level"], "label": f"df {row['df']}",
                "estimate": row["chisq_scaled" if scaled else "chisq"],
                "statistic": row["chisq_scaled" if scaled else "chisq"],
                "p_value": row["pvalue_scaled" if scaled else "pvalue"],
            })  # fmt: skip
        return tidy_frame(rows)

    def glance(self) -> pd.DataFrame:
        """One row: the measures of both levels side by side."""
        names = ("chisq", "df", "pvalue", "cfi", "rmsea", "srmr")
        each = zip(_SIDES, self.table.to_dict("records"), strict=True)
        row = {f"{name}_{side}": one[name] for side, one in each for name in names}
        return pd.DataFrame([{**row, "nobs": self.nobs, "nclusters": self.clusters}])

    def augment(self) -> pd.DataFrame:
        """The whole table, one row a level."""
        return self.table.copy()

    def _rows_shown(self) -> pd.DataFrame:
        return self.table[["level", "chisq", "df", "pvalue", "chisq_scaled", "pvalue_scaled", "cfi", "rmsea", "srmr"]]

    def notes(self) -> tuple[Note, ...]:
        """Levels that have no test."""
        return self.remarks


def level_fit(fit: SemFit) -> LevelFit:
    r"""Test each level of a two-level model with the other one free.

    Parameters
    ----------
    fit : SemFit
        Of two levels.

    Returns
    -------
    LevelFit
        Parameters that are equal on both levels are estimated from the one that stays structured. Under
        ``estimator="MLR"`` the tests are scaled as that of the whole model.

    Raises
    ------
    UnsupportedError
        One level; or constraints that are not linear, or bounds, which may bind the levels to one another.

    Examples
    --------
    >>> import numpy as np
    >>> from spc.sem import fit
    >>> rng = np.random.default_rng(1)
    >>> shop = np.repeat(np.arange(60), 8)
    >>> climate, mood = rng.normal(size=60)[shop], rng.normal(size=480)
    >>> noise = [rng.normal(size=480) + 0.6 * rng.normal(size=60)[shop] for _ in range(4)]
    >>> rows = pd.DataFrame({f"x{i}": climate + mood + one for i, one in enumerate(noise)}).assign(shop=shop)
    >>> text = "level: 1; f =~ x0 + x1 + x2 + x3; level: 2; g =~ x0 + x1 + x2 + x3"
    >>> level_fit(fit(text, rows, cluster="shop")).augment()[["level", "df"]].values.tolist()
    [['1', 2], ['2', 2]]
    """
    levels = require_levels(fit)
    if restrictions(fit.model) is not None:
        raise UnsupportedError(
            "Constraints that are not linear, and bounds, may bind the levels to one another, so that neither has a "
            "fit of its own. Fit the model without them."
        )
    with one_blas_thread():
        rows = [_level(fit, levels.groups, side) for side in _SIDES]
    srmr = level_srmr(fit.parts, levels)
    table = pd.DataFrame([{**row, "srmr": one} for row, one in zip(rows, srmr, strict=True)])
    notes = tuple(_untested(side) for side, row in zip(_SIDES, rows, strict=True) if math.isnan(row["chisq"]))
    made = Provenance.record({"estimator": fit.options.estimator}, fit.provenance.data_fingerprint)
    return LevelFit(table, fit.system.n, levels.count, notes, made)


def _untested(side: Side) -> Note:
    other = "between" if side == "within" else "within"
    return Note(
        "no_level_test", "warning", f"{side} clusters",
        f"There is no test of the level {side} clusters: with that {other} them free the search did not come to an "
        "end, or ended at moments that no variables could have. Usually some variable hardly differs among clusters.",
    )  # fmt: skip


def _level(fit: SemFit, groups: tuple[LevelGroup, ...], side: Side) -> dict[str, Any]:
    goal, start = halves(groups, fit.system.coordinates(fit.solution.theta), side)
    samples = [group.sample for group in groups]
    free = [free_map(one.clusters, one.best, one.covariates) for one in samples]
    count, least = sum(at.size for _, at in free), sum(one.best.value for one in samples)
    chisq, x = _rise(goal, start, least)
    apart = [independent_half(one, side) for one in samples]
    base = sum(_rise(own, at, one.best.value)[0] for one, (own, at) in zip(samples, apart, strict=True))
    df, base_df = count - start.size, count - sum(at.size for _, at in apart)
    n = sum(one.clusters.rows - one.clusters.count if side == "within" else one.clusters.count for one in samples)
    low, high = measure.rmsea_ci(chisq, df, n, groups=len(groups))
    scale = math.nan
    if fit.options.estimator == "MLR" and df and not math.isnan(chisq):
        best = sum(trace_of(Objective(one.best.data, line), at) for one, (line, at) in zip(samples, free, strict=True))
        scale = ratio(best - trace_of(goal, x), df)
    return {
        "level": "1" if side == "within" else "2",
        "n": n,
        "chisq": chisq,
        "df": df,
        "pvalue": measure.chisq_pvalue(chisq, df),
        "scaling_factor": scale,
        "chisq_scaled": chisq / scale,
        "pvalue_scaled": measure.chisq_pvalue(chisq / scale, df),
        "baseline_chisq": base,
        "baseline_df": base_df,
        "cfi": measure.cfi(chisq, df, base, base_df),
        "tli": measure.tli(chisq, df, base, base_df),
        "rmsea": measure.rmsea(chisq, df, n, len(groups)),
        "rmsea_ci_lower": low,
        "rmsea_ci_upper": high,
    }


def _rise(goal: Goal, start: FloatArray, least: float) -> tuple[float, FloatArray]:
    """Likelihood ratio against the free moments, NaN where there is none; and where it was found."""
    end = search(goal, start)
    if end is None or not end.converged:
        return math.nan, start
    return measure.likelihood_ratio(-least, -end.value), end.x
