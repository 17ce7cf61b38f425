"""Where a model misses: residuals of all moments with their errors, and the summary statistics of them.

A *normalized* residual is divided by the error of the sample moment alone, a *standardized* one by its own, so that it
is a z value (Hausman 1978, Econometrica 46, 1251-1271; Bollen 1989, *Structural Equations with Latent Variables*,
chapter 7); see :mod:`spc.sem.postestimation.residual_moments`. Everything is conditional on the moments of covariates
held at their sample values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from spc.errors import UsageError
from spc.linalg import FloatArray, one_blas_thread
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sem.engine.diagnose import of_group, of_level
from spc.sem.engine.ram import IntArray
from spc.sem.postestimation.residual_levels import level_residuals
from spc.sem.postestimation.residual_moments import Residuals, residual_spaces

if TYPE_CHECKING:
    from spc.sem.fit import SemFit

__all__ = ["Misfit", "misfit"]

_ENDS = (("lower", "low"), ("upper", "high"))
_SIDES = {"1": "_within", "2": "_between"}
_KINDS = {"~1": "mean_residual", "|": "threshold_residual", "~": "slope_residual"}


@dataclass(frozen=True, eq=False, repr=False)
class Misfit(Shown):
    """Residuals of a fitted model.

    Attributes
    ----------
    table : DataFrame
        One row a moment: ``lhs, op, rhs, group, level, sample, implied, raw, bentler, bollen, normalized,
        standardized``.
    summary : DataFrame
        One row each for ``srmr`` and ``crmr``, with several groups or levels for each of them, see :meth:`glance`.
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
        frame = self.table[["lhs", "op", "rhs", "group", "level"]].assign(
            kind=[_KINDS.get(op, "covariance_residual") for op in self.table["op"]],
            estimate=self.table["bollen"], statistic=z, p_value=2.0 * ndtr(-z.abs()),
        )  # fmt: skip
        frame["group"] = frame["group"].replace("", "1")
        return tidy_frame([{str(k): v for k, v in row.items()} for row in frame.to_dict("records")])

    def glance(self) -> pd.DataFrame:
        """One row: ``srmr`` and ``crmr``, their unbiased versions with 90 % intervals, p value of exact fit.

        With several groups the mean of the groups by their rows, which has no unbiased version: those are in
        ``summary``. With two levels all of it twice, ``_within`` and ``_between`` behind the names.
        """
        row: dict[str, Any] = {}
        levels = sorted(self.table["level"].unique())
        for name, level in product(("srmr", "crmr"), levels):
            index = self.summary.index
            here = index.get_level_values("index") == name
            if len(levels) > 1:
                here &= index.get_level_values("level") == level
            own = self.summary[here].astype(float)
            row |= _summed(name, own, _SIDES[level] if len(levels) > 1 else "")
        largest = float(self.table["standardized"].abs().max())
        return pd.DataFrame([{**row, "largest_standardized": largest, "nobs": self.n}])

    def matrix(self, type: str, group: str | None = None, level: int = 1) -> pd.DataFrame:  # noqa: A002
        """Residuals of the covariances as a square table; ``type`` is a column of ``table``.

        With several groups ``group`` names one; the first without. ``level`` is 1 within clusters and 2 between them.

        Raises
        ------
        UsageError
            There is no such column, group or level.
        """
        groups = list(dict.fromkeys(self.table["group"]))
        types = [name for name in self.table.columns if name not in {"lhs", "op", "rhs", "group", "level"}]
        if type not in types or (group is not None and group not in groups):
            raise UsageError(
                f"There are no residuals {type!r}" + ("" if group is None else f" of the group {group!r}")
                + f"; there are {', '.join(types)}" + (f" of {', '.join(groups)}." if len(groups) > 1 else ".")
            )  # fmt: skip
        if str(level) not in set(self.table["level"]):
            raise UsageError(f"There is no level {level} among the residuals.")
        here = (self.table["group"] == (groups[0] if group is None else group)) & (self.table["level"] == str(level))
        rows = self.table[(self.table["op"] == "~~") & here]
        square = rows.pivot(index="lhs", columns="rhs", values=type)
        names = list(dict.fromkeys([*rows["lhs"], *rows["rhs"]]))
        square = square.reindex(index=names, columns=names)
        return square.fillna(square.T).rename_axis(index=None, columns=None)

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the residuals."""
        return self.remarks


def _summed(name: str, own: pd.DataFrame, side: str) -> dict[str, float]:
    """An index of one level for :meth:`Misfit.glance`, from its rows of the summary."""
    alone = own.to_dict("records")[0] if len(own) == 1 else {}
    row = {
        name: float(np.average(own["value"], weights=own["n"])),
        f"{name}_pvalue": alone.get("exact_pvalue", math.nan),
    }
    row |= {f"u{name}": alone.get("unbiased", math.nan)}
    row |= {f"u{name}_ci_{end}": alone.get(f"unbiased_{bound}", math.nan) for end, bound in _ENDS}
    return {f"{key}{side}": value for key, value in row.items()}


def misfit(fit: SemFit, data: pd.DataFrame | None = None) -> Misfit:
    r"""Residuals of all moments: raw, as correlations, normalized and standardized; and SRMR with its error.

    Parameters
    ----------
    fit : SemFit
        With missing answers the sample moments are the unrestricted ones of all answers; of ordered items they are
        thresholds and correlations (given the covariates, if any); of two levels the free moments of each.
    data : DataFrame, optional
        The rows, which the errors of robust fits and of clusters are taken from; not needed of two levels.

    Returns
    -------
    Misfit
        ``bentler`` divides covariance residuals by the sample deviations, ``bollen`` takes the difference of the two
        correlations (nothing on the diagonal; other moments as ``bentler``). The summary has the unbiased version of
        each index with its interval and the p value of exact fit (Maydeu-Olivares 2017, Psychometrika 82, 533-558).
        Moments that the model takes over from the sample have no residual, and a standardized one of zero.

    Raises
    ------
    UsageError
        A robust fit without the rows.
    DataError
        Other rows than those of a robust fit.
    UnsupportedError
        Too few rows for unrestricted moments under ``missing="fiml"``.

    Notes
    -----
    Equal to lavaan's ``lavResiduals``, but for groups that share parameters, where it counts the sampling variation of
    the group itself and not that of the others, and for ordered items in groups, where it divides the covariances of
    the statistics of one group by the rows of all. Of two levels lavaan has the residuals without errors; variances
    and means that the model leaves free are matched there but for a little, which has no error.

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
    with one_blas_thread():
        spaces = residual_spaces(fit, data) if fit.levels is None else level_residuals(fit)
        table = pd.concat([_table(one) for one in spaces], ignore_index=True)
        summary = _summary(spaces)
    options = {"residuals": fit.estimates().method}
    provenance = Provenance.record(options, fit.provenance.data_fingerprint)
    notes = tuple(
        note for one in spaces
        for note in of_level(of_group(_notes(one), one.group), one.level if fit.levels is not None else 0)
    )  # fmt: skip
    return Misfit(table, summary, fit.system.n, notes, provenance)


def _table(space: Residuals) -> pd.DataFrame:
    return pd.DataFrame({
        "lhs": space.lhs, "op": space.op, "rhs": space.rhs, "group": space.group, "level": str(space.level),
        "sample": space.sample * space.unit,
        "implied": space.implied * space.unit, "raw": space.residual * space.unit,
        "bentler": space.residual * space.deviation, "bollen": _bollen(space),
        "normalized": _over(space.residual, space.noise.diagonal()),
        "standardized": _over(space.residual, space.variances),
    })  # fmt: skip


def _over(residual: FloatArray, variance: FloatArray) -> FloatArray:
    """Residual over its error: zero where there is none, missing where it has no error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = residual / np.sqrt(np.where(variance > 1e-14, variance, np.nan))
    return np.where(residual == 0.0, 0.0, ratio)


def _variance_of(space: Residuals) -> IntArray:
    """Position of the variance of each variable of the covariances, -1 where it is one by definition."""
    found = np.full(int(space.first.max()) + 1, -1, dtype=np.intp)
    own = np.flatnonzero((space.first == space.second) & (space.first >= 0))
    found[space.first[own]] = own
    return found


def _bollen(space: Residuals) -> FloatArray:
    """Differences of correlations; other moments in deviations of the sample."""
    found, pairs, at = space.residual * space.deviation, space.pairs, _variance_of(space)

    def correlations(moments: FloatArray) -> FloatArray:
        root = np.sqrt(np.where(at >= 0, moments[at], 1.0))
        return np.asarray(moments[pairs] / (root[space.first[pairs]] * root[space.second[pairs]]))

    apart = correlations(space.sample) - correlations(space.implied)
    found[pairs] = np.where(np.abs(apart) < 1e-9, 0.0, apart)
    return found


def _turn(space: Residuals) -> FloatArray:
    """Derivatives (m, m) of the differences of correlations on the moments of the sample."""
    turn, pairs, at = np.diag(space.deviation), space.pairs, _variance_of(space)
    correlation = (space.sample * space.deviation)[pairs]
    for variable in (space.first[pairs], space.second[pairs]):
        own = at[variable]
        known = own >= 0
        np.subtract.at(turn, (pairs[known], own[known]), 0.5 * correlation[known] / space.sample[own[known]])
    return turn


def _summary(spaces: Sequence[Residuals]) -> pd.DataFrame:
    rows = {}
    for one in spaces:
        pairs, p = one.pairs, one.variables
        kept = np.flatnonzero(one.counted)
        whole = kept.size + p - int((one.first[pairs] == one.second[pairs]).sum())
        for index, residual, turn, count in (
            ("srmr", one.residual * one.deviation, np.diag(one.deviation), whole),
            ("crmr", _bollen(one), _turn(one), whole - p),
        ):
            spread = (turn @ one.spread @ turn.T)[np.ix_(kept, kept)]
            rows[one.group or "1", str(one.level), index] = {"n": one.n, **_index(residual[kept], spread, count)}
    found = pd.DataFrame.from_dict(rows, orient="index").rename_axis(["group", "level", "index"])
    return found if len({one.level for one in spaces}) > 1 else found.droplevel("level")


def _index(residual: FloatArray, spread: FloatArray, count: int) -> dict[str, float]:
    """Root mean square with its error, test of exact fit, and the unbiased version with its 90 % interval."""
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


def _notes(space: Residuals) -> list[Note]:
    z = np.abs(np.nan_to_num(_over(space.residual, space.variances)))
    worst = [k for k in np.argsort(-z) if z[k] > 3.29 and space.first[k] >= 0][:3]
    if not worst:
        return []
    pairs = ", ".join(f"{space.lhs[k]} with {space.rhs[k]}" for k in worst)
    return [Note(
        "large_residuals", "warning", "residuals",
        f"The model misses some moments by more than chance would (standardized residual beyond 3.29): {pairs}.",
    )]  # fmt: skip
