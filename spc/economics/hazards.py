"""Retention by segment, tenure, unit and wave: Kaplan-Meier curves of groups, and a regression of leaving.

Both count a customer as at risk from ``entry`` on (left truncation) and until last seen (right censoring).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.economics.cells import Cells, leaving_notes, read_cells, sandwich
from spc.economics.ledger import ledger_of, read_ledger
from spc.economics.lifetable import LifeTable
from spc.economics.models import spans_of
from spc.economics.region import student
from spc.economics.retention import estimate_retention
from spc.errors import DataError, NonConvergenceError, UsageError
from spc.linalg import FloatArray
from spc.results import Estimates, Note, Provenance, Shown, tidy_frame

if TYPE_CHECKING:
    from spc.study import Study

__all__ = ["HazardFit", "fit_hazard", "retention_curves"]

Baseline = Literal["spans", "log", "constant"]


def retention_curves(
    customers: Study | pd.DataFrame,
    *,
    by: str,
    period: str | None = None,
    since: object = None,
    until: object = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Kaplan-Meier curve and rate of retention of every group.

    Parameters
    ----------
    customers : Study or DataFrame
        A study with a ledger, or the ledger: ``tenure, churned`` (or ``start, end``), where known ``entry``, and the
        column ``by``.
    by : str
        Column of the groups: segment, unit, wave of joining.
    period, since, until
        What the dates of a ledger cover, see :func:`tenure_between`; a study says it under ``[money]``.
    level : float

    Returns
    -------
    DataFrame
        The columns of :func:`spc.economics.curve.survival_curve` and ``group, customers``, ``retention`` with
        ``retention_low, retention_high`` (one rate for the group).

    Raises
    ------
    DataError
        No such column.

    Examples
    --------
    >>> ledger = pd.DataFrame({"tenure": [1, 2, 2, 3], "churned": [1, 1, 0, 0], "segment": ["a", "a", "b", "b"]})
    >>> retention_curves(ledger, by="segment")[["group", "period", "survival"]].to_numpy().tolist()
    [['a', 1.0, 0.5], ['a', 2.0, 0.0]]
    """
    ledger, window = ledger_of(customers, period=period, since=since, until=until)
    rows, _ = read_ledger(ledger, window, keep=(by,))
    found = []
    for name, part in rows.groupby(by, sort=True):
        if not (part["tenure"] - part.get("entry", 0)).sum() > 0:
            continue
        r = estimate_retention(part["tenure"], part["churned"], entry=part.get("entry"), level=level)
        rate = {"retention": r.estimate, "retention_low": r.conf_low, "retention_high": r.conf_high}
        found.append(r.curve.assign(group=name, customers=r.customers, **rate))
    return pd.concat(found, ignore_index=True)


@dataclass(frozen=True, eq=False, repr=False)
class HazardFit(Shown):
    """A discrete hazard of leaving.

    Attributes
    ----------
    estimates : Estimates
        Log odds of leaving: the spans of tenure, then the covariates.
    spans : (T,) array of int
        Span of each period.
    baseline : {"spans", "log", "constant"}
    levels : mapping
        Values of covariates that are not numbers, the first of which is the reference.
    clusters : int
        0 when customers count as independent.
    customers, events : int
    loglik : float
    calibration : DataFrame
        Leavers seen and expected by tenth of expected risk.
    note_list : tuple of Note
    provenance : Provenance
    """

    estimates: Estimates
    spans: npt.NDArray[np.intp]
    baseline: str
    levels: Mapping[str, tuple[str, ...]]
    clusters: int
    customers: int
    events: int
    loglik: float
    calibration: pd.DataFrame
    note_list: tuple[Note, ...]
    provenance: Provenance
    kind: str = "hazard"

    def draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw the coefficients, (n, k)."""
        return self.estimates.draws(n, rng)

    def tidy(self) -> pd.DataFrame:
        """Rows ``baseline`` and ``coefficient``: log odds of leaving in a period; ``label`` says of what."""
        return self.estimates.table.copy()

    def glance(self) -> pd.DataFrame:
        """One row: customers, leavers, log likelihood, AIC, calibration."""
        k = len(self.estimates.table)
        c = self.calibration
        gap = float(((c["events"] - c["expected"]) ** 2 / (c["expected"] * (1 - c["expected"] / c["at_risk"]))).sum())
        row = {
            "customers": self.customers,
            "events": self.events,
            "nclusters": self.clusters,
            "npar": k,
            "logl": self.loglik,
            "aic": 2 * k - 2 * self.loglik,
            "calibration_chisq": gap,
            "calibration_df": max(len(c) - 2, 0),
            "level": self.estimates.level,
        }
        return pd.DataFrame([row])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the coefficients."""
        return self.note_list


def fit_hazard(
    customers: Study | pd.DataFrame,
    covariates: Sequence[str] = (),
    *,
    baseline: Baseline = "spans",
    cluster: str | None = "unit",
    period: str | None = None,
    since: object = None,
    until: object = None,
    level: float = 0.95,
) -> HazardFit:
    """Regression of leaving, period by period (a logit of every customer and period).

    Parameters
    ----------
    customers : Study or DataFrame
        A study with a ledger, or the ledger: ``tenure, churned`` (or ``start, end``), where known ``entry``.
    covariates : sequence of str
        Columns of the ledger. Numbers enter as they are; text, and unit or wave, by value against the first.
    baseline : {"spans", "log", "constant"}
        How leaving goes by tenure: spans of periods with a rate of their own, a line in the log of the period, or not.
    cluster : str, optional
        Column of what customers share; errors allow for it where there are at least five values (t on one less).
    period, since, until
        What the dates of a ledger cover, see :func:`tenure_between`; a study says it under ``[money]``.
    level : float

    Returns
    -------
    HazardFit

    Raises
    ------
    DataError
        Columns that are missing, or tenures that are not whole.
    UsageError
        An unknown baseline, or nobody left.
    NonConvergenceError
        No maximum, such as a group from which nobody left.

    References
    ----------
    Singer & Willett (1993), *Journal of Educational Statistics* 18; Allison (1982), *Sociological Methodology* 13.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=3000)
    >>> life = rng.geometric(1 / (1 + np.exp(1.5 - 0.5 * x)))
    >>> ledger = pd.DataFrame({"tenure": np.minimum(life, 5), "churned": life <= 5, "x": x})
    >>> fit = fit_hazard(ledger, ["x"])
    >>> bool(abs(fit.tidy().query("lhs == 'x'")["estimate"].item() - 0.5) < 0.1)
    True
    """
    if baseline not in {"spans", "log", "constant"}:
        raise UsageError(f"The baseline is {baseline!r}; expected 'spans', 'log' or 'constant'.")
    ledger, window = ledger_of(customers, period=period, since=since, until=until)
    cells = read_cells(ledger, covariates, cluster=cluster, window=window)
    if not cells.table.whole:
        raise DataError.of(
            "customers",
            "tenure",
            "not_whole",
            "tenures that are not whole periods",
            "whole periods, each an occasion to leave",
            "Count tenure in shorter periods, such as months for years, and round up.",
        )
    spans = _baseline_spans(cells.table, baseline)
    design, names = _design(cells, spans, baseline)
    estimates, value, tenths = _fit(cells.table, design, names, cells.cluster, level)
    events = int(cells.table.events.sum())
    return HazardFit(
        estimates,
        spans,
        baseline,
        cells.levels,
        cells.clusters,
        cells.customers,
        events,
        value,
        tenths,
        leaving_notes(events, len(names)),
        Provenance.record({"baseline": baseline, "level": level}, cells.fingerprint),
    )


def _baseline_spans(life: LifeTable, baseline: str) -> npt.NDArray[np.intp]:
    if baseline != "spans":
        return np.zeros(life.periods, dtype=np.intp)
    return spans_of(life.total(), max(5.0, float(life.events.sum()) / 12.0))


def _design(cells: Cells, spans: npt.NDArray[np.intp], baseline: str) -> tuple[FloatArray, list[tuple[str, str, str]]]:
    """Design (G, T, k), with lhs, label and kind of its columns."""
    groups, periods = len(cells.columns), spans.size
    count = int(spans.max()) + 1
    columns = [np.broadcast_to(spans == s, (groups, periods)).astype(float) for s in range(count)]
    names = [("tenure", _span_label(spans, s), "baseline") for s in range(count)]
    if baseline == "log":
        columns.append(np.broadcast_to(np.log(np.arange(1, periods + 1)), (groups, periods)).astype(float))
        names.append(("log tenure", "", "baseline"))
    columns += [np.repeat(column[:, None], periods, axis=1) for column in cells.columns.T]
    names += [(name, label, "coefficient") for name, label in cells.names]
    return np.stack(columns, axis=2), names


def _span_label(spans: npt.NDArray[np.intp], s: int) -> str:
    if spans.max() == 0:
        return "all periods"
    at = np.flatnonzero(spans == s) + 1
    return f"period {at[0]}" if at[0] == at[-1] else f"periods {at[0]} to {at[-1]}"


def _fit(
    life: LifeTable,
    design: FloatArray,
    names: list[tuple[str, str, str]],
    group: npt.NDArray[np.intp] | None,
    level: float,
) -> tuple[Estimates, float, pd.DataFrame]:
    """Coefficients, log likelihood and calibration of the logit."""
    from scipy.special import xlogy

    seen = life.exposure > 0
    n, e, x = life.exposure[seen], life.events[seen], design[seen]
    coefficient, p = _logit(n, e, x)
    vcov, df = np.asarray(np.linalg.inv((x * (n * p * (1 - p))[:, None]).T @ x), dtype=float), math.inf
    method = "logit of every customer and period"
    if group is not None:
        place = np.broadcast_to(group[:, None], life.exposure.shape)[seen]
        vcov, df = sandwich(vcov, x * (e - n * p)[:, None], place), float(group.max())
        method += ", errors by cluster"
    table = tidy_frame(_coefficient_rows(names, coefficient, np.sqrt(vcov.diagonal()), df, level))
    value = float((xlogy(e, p) + xlogy(n - e, 1 - p)).sum())
    return Estimates(table, vcov, level, method), value, _tenths(n, e, p)


def _logit(n: FloatArray, e: FloatArray, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients and fitted chances of leaving."""
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_linear_model import GLM
    from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", PerfectSeparationWarning)
        try:
            found = GLM(np.column_stack([e, n - e]), x, family=Binomial()).fit(tol=1e-12, maxiter=100)
        except (PerfectSeparationWarning, np.linalg.LinAlgError):
            raise NonConvergenceError(_SEPARATED) from None
    coefficient = np.asarray(found.params, dtype=float)
    if not found.converged or float(np.abs(coefficient).max()) > 25 + 50 * float(np.abs(x).max() > 100):
        raise NonConvergenceError(_SEPARATED)
    return coefficient, np.asarray(found.fittedvalues, dtype=float)


def _coefficient_rows(
    names: list[tuple[str, str, str]], coefficient: FloatArray, error: FloatArray, df: float, level: float
) -> list[dict[str, Any]]:
    from scipy.special import stdtr

    width = student(df, level) * error
    return [
        {
            "lhs": lhs,
            "op": "~",
            "rhs": "leaving",
            "label": label,
            "kind": kind,
            "estimate": b,
            "std_error": s,
            "statistic": b / s,
            "p_value": 2 * float(stdtr(df if math.isfinite(df) else 1e9, -abs(b / s))),
            "conf_low": b - w,
            "conf_high": b + w,
        }
        for (lhs, label, kind), b, s, w in zip(names, coefficient, error, width, strict=True)
    ]


_SEPARATED = (
    "The regression of leaving has no finite answer: some value of a covariate, or some span of tenure, has nobody who "
    "left, or nobody who stayed. Join small groups, or take the covariate out."
)


def _tenths(n: FloatArray, e: FloatArray, p: FloatArray) -> pd.DataFrame:
    """Leavers seen and expected by tenth of the customers and periods at risk, from least to most risk."""
    order = np.argsort(p, kind="stable")
    share = (n[order].cumsum() - n[order] / 2) / n.sum()
    tenth = np.minimum((10 * share).astype(int), 9)
    sums = [np.bincount(tenth, w[order], minlength=10) for w in (n, e, n * p)]
    frame = pd.DataFrame({"tenth": np.arange(1, 11), "at_risk": sums[0], "events": sums[1], "expected": sums[2]})
    return frame[frame["at_risk"] > 0].reset_index(drop=True)
