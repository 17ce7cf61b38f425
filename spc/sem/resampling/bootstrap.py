"""Bootstrap of a fitted model: replicates of all parameters, their intervals, and the Bollen-Stine test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import EstimationError, UnsupportedError, UsageError
from spc.linalg import FloatArray, frozen_array, one_blas_thread
from spc.results import Note, Provenance, Replicates, Severity, Shown
from spc.sem.engine.defined import defined_values, label_rows
from spc.sem.engine.joint import State, problems_of
from spc.sem.engine.optimise import derivatives, observed_information
from spc.sem.engine.problem import Problem
from spc.sem.engine.ram import IntArray, implied
from spc.sem.engine.restrictions import restrictions
from spc.sem.engine.standardize import standardised_values
from spc.sem.fit import SemFit
from spc.sem.lean import information_of
from spc.sem.resampling.answer_draws import AnswerDraws, MadeAnswers
from spc.sem.resampling.boot_rows import Cluster, Rows, rows_of
from spc.sem.resampling.draws import Found, fit_draws, refit_draws
from spc.sem.resampling.influence import accelerations, cluster_accelerations, ordinal_accelerations
from spc.sem.resampling.intervals import bca_interval, percentile_interval, two_sided
from spc.sem.resampling.level_draws import check_clusters, level_draws
from spc.sem.resampling.moment_draws import HigherDraws, MomentDraws
from spc.sem.resampling.ordinal_draws import ordinal_draws
from spc.sem.resampling.redraw import Redraw, by_rows, from_normal, like_model
from spc.sem.resampling.turned_answers import turned_answers

__all__ = ["Bootstrap", "bootstrap"]

Method = Literal["case", "bollen_stine", "parametric"]
Interval = Literal["percentile", "bca"]

_STD_BLOCK = 32


@dataclass(frozen=True, eq=False, repr=False)
class Bootstrap(Shown):
    """Replicates of a fitted model.

    Attributes
    ----------
    fit : SemFit
    replicates : Replicates
        Of the free parameters, in the user's units; :func:`spc.sem.postestimation.effects` takes them.
    defined : Replicates
        Of the defined parameters, from the same draws.
    chisq : (kept,) array
        Test statistic of each replicate.
    numbers : (kept,) int array
        Which draws the replicates are; the others failed.
    acceleration : (q + d,) array
        Of the free and the defined parameters, for BCa intervals; NaN where the method has none.
    draws : int
        Draws asked for.
    method : {"case", "bollen_stine", "parametric"}
    interval : {"percentile", "bca"}
        What ``tidy()`` shows.
    level : float
    units : int
        What was drawn from: rows, or clusters.
    provenance : Provenance
    done : int
        Draws that were made: fewer than asked for where the user stopped the work.
    """

    fit: SemFit = field(repr=False)
    replicates: Replicates
    defined: Replicates
    chisq: FloatArray = field(repr=False)
    numbers: IntArray = field(repr=False)
    acceleration: FloatArray = field(repr=False)
    draws: int
    method: Method
    interval: Interval
    level: float
    units: int
    provenance: Provenance = field(repr=False)
    done: int = 0
    kind: str = "bootstrap"

    def __post_init__(self) -> None:
        for name in ("chisq", "acceleration"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))
        self.numbers.flags.writeable = False

    @cached_property
    def _rows(self) -> FloatArray:
        """Draws of all rows of ``tidy()``: those of the table, then the defined parameters."""
        return np.concatenate([_row_values(self.fit, self.replicates.values), self.defined.values], axis=1)

    @cached_property
    def p_value(self) -> float:
        """Share of the replicates whose statistic is at least the fit's, the fit counted among them.

        A test of the model when ``method="bollen_stine"``, and NaN otherwise.
        """
        if self.method != "bollen_stine":
            return float("nan")
        return float((1 + (self.chisq >= self._statistic).sum()) / (1 + len(self.chisq)))

    @property
    def _statistic(self) -> float:
        return self.fit.chisq

    def tidy(self) -> pd.DataFrame:
        """Rows as in ``SemFit.tidy()``, with errors, p values and intervals from the replicates."""
        return self.intervals(self.interval)

    def intervals(self, interval: Interval, level: float | None = None) -> pd.DataFrame:
        """The rows of ``tidy()`` with intervals of a kind and level of your choice.

        Raises
        ------
        UsageError
            An unknown kind, a level outside 0 to 1, or BCa intervals of draws that are not of cases.
        """
        level = self.level if level is None else level
        _check_interval(interval, level, self.method)
        table = self.fit.tidy()
        free = [problem.place.free for problem in problems_of(self.fit.system)]
        number = np.concatenate([*free, np.arange(len(self.defined.names)) + len(self.replicates.names)])
        acceleration = np.where(number >= 0, self.acceleration[number], 0.0)
        return _summarised(table, self._rows, acceleration, interval, level)

    def standardized(self) -> pd.DataFrame:
        """The rows of ``tidy()`` completely standardised, with percentile intervals."""
        fit = self.fit
        table = fit.tidy()
        table["estimate"] = table["std_all"]
        with np.errstate(all="ignore"):
            std = np.concatenate([_standardised(part.problem, self.replicates.values) for part in fit.parts], axis=1)
            labels = {name: std[:, i] for name, i in label_rows(fit.model).items()}
            std = np.concatenate([std, _defined_draws(fit, labels, len(std))], axis=1)
        return _summarised(table, std, np.zeros(std.shape[1]), "percentile", self.level)

    def glance(self) -> pd.DataFrame:
        """One row: the method, its draws, and the model's test."""
        return pd.DataFrame([{
            "method": self.method,
            "draws": self.draws,
            "kept": len(self.numbers),
            "failed": self.done - len(self.numbers),
            "units": self.units,
            "nobs": self.fit.system.n,
            "seed": self.replicates.seed,
            "level": self.level,
            "interval": self.interval,
            "chisq": self._statistic,
            "mean_chisq": float(self.chisq.mean()) if len(self.chisq) else float("nan"),
            "pvalue": self.p_value,
        }])  # fmt: skip

    def notes(self) -> tuple[Note, ...]:
        """Draws that failed or were not made, draws with negative variances, too few draws or clusters."""
        return tuple(_notes(self))


def bootstrap(
    fit: SemFit,
    data: pd.DataFrame | None = None,
    *,
    draws: int = 1000,
    seed: int = 1,
    cluster: str | npt.ArrayLike | None = None,
    kind: Method = "case",
    interval: Interval = "percentile",
    level: float = 0.95,
    workers: int = 1,
) -> Bootstrap:
    """Refit a model to resampled data.

    Under maximum likelihood for complete rows all draws of a block are fitted at once, see
    :mod:`spc.sem.resampling.batch`; with missing answers and under least squares one after the other, from where the
    fit ended; with ordered items thresholds, correlations and weights come anew from every draw. A draw that does not
    end there is searched on its own. Draws that fail in the end, most of them because their estimates run off to
    infinity, are left out and counted. An interrupt (Ctrl-C) hands back the draws made so far, with a note.

    Parameters
    ----------
    fit : SemFit
    data : DataFrame, optional
        The rows of the fit, with its column of groups; not needed for ``kind="parametric"``, nor for two levels.
    draws : int
    seed : int
        Draw i depends on ``(seed, i)`` alone.
    cluster : str or (n,) array-like, optional
        Column of the data, or one value a row: clusters are then drawn whole. Rows and clusters are drawn within
        their group. A fit of two levels has its clusters.
    kind : {"case", "bollen_stine", "parametric"}
        Rows as they are; rows turned so that the model holds exactly, for a test of it; or moments of normal samples
        from the fitted model, covariates included, with the holes that the rows have. Of two levels there are cases
        and parametric draws.
    interval : {"percentile", "bca"}
        What ``tidy()`` shows. BCa intervals take their acceleration from the influence of each row or cluster; those of
        residual variances that follow from the rest, as of ordered items, are corrected for bias alone.
    level : float
    workers : int
        Processes to share the draws among, -1 for one a processor. The numbers are the same for any.

    Returns
    -------
    Bootstrap

    Raises
    ------
    UsageError
        Options out of range.
    UnsupportedError
        Draws of another kind than cases of ordered items; draws after Bollen and Stine of two levels.
    DataError
        The data are not those of the fit.
    EstimationError
        Fewer than half of the draws succeeded.

    References
    ----------
    Efron & Tibshirani (1993), *An Introduction to the Bootstrap*; Bollen & Stine (1992), Sociological Methods &
    Research 21, 205-229; with missing answers Savalei & Yuan (2009), Multivariate Behavioral Research 44, 741-763.

    Examples
    --------
    >>> from spc.sem.fit import fit
    >>> rng = np.random.default_rng(1)
    >>> x = rng.normal(size=200)
    >>> frame = pd.DataFrame({"x": x, "y": 0.5 * x + rng.normal(size=200)})
    >>> drawn = bootstrap(fit("y ~ b*x", frame), frame, draws=200)
    >>> drawn.replicates.values.shape
    (200, 2)
    >>> drawn.tidy().loc[0, ["estimate", "conf_low", "conf_high"]].astype(float).round(2).tolist()
    [0.54, 0.42, 0.66]
    """
    _check_options(draws, kind, interval, level, cluster)
    _check_fit(fit, kind)
    if fit.levels is not None:
        check_clusters(fit, data)
        found, units, acceleration = _of_clusters(fit, kind, cluster, draws, seed, workers)
    elif fit.options.ordered:
        ordinal = ordinal_draws(fit, data, cluster, seed)
        found = refit_draws(ordinal, len(fit.model.parameters.names), draws, workers=workers)
        units, acceleration = ordinal.units.count, ordinal_accelerations(fit, ordinal.counts, ordinal.units.codes)
    else:
        found, units, acceleration = _of_rows(fit, kind, data, cluster, draws, seed, workers)
    done, kept = len(found.theta), found.kept
    if found.interrupted and len(kept) < 2:
        raise KeyboardInterrupt
    _check_enough(len(kept), done, found.failures)
    theta = found.theta[kept]
    drawn = _row_values(fit, theta)
    labels = {name: drawn[:, i] for name, i in label_rows(fit.model).items()}
    with np.errstate(all="ignore"):
        defined = _defined_draws(fit, labels, len(theta))
    failures = MappingProxyType(dict(found.failures))
    options = {"kind": kind, "draws": draws, "interval": interval, "level": level, "cluster": cluster is not None}
    return Bootstrap(
        fit,
        Replicates(theta, fit.model.parameters.names, failures, seed),
        Replicates(defined, tuple(item.name for item in fit.model.defined), failures, seed),
        found.chisq[kept],
        kept,
        acceleration,
        draws,
        kind,
        interval,
        level,
        units,
        Provenance.record(options, fit.provenance.data_fingerprint, seed),
        done,
    )


# -- what to draw from


def _check_options(draws: int, kind: str, interval: str, level: float, cluster: object) -> None:
    if draws < 2:
        raise UsageError(f"draws={draws!r}: expected at least 2, for intervals 1000 or more.")
    if kind not in get_args(Method):
        raise UnsupportedError(f"kind={kind!r} has no method. Use {' or '.join(map(repr, get_args(Method)))}.")
    _check_interval(interval, level, kind)
    if kind == "parametric" and cluster is not None:
        raise UsageError("A parametric bootstrap draws independent rows, so it has no clusters. Use kind='case'.")


def _check_interval(interval: str, level: float, kind: str) -> None:
    if interval not in get_args(Interval):
        raise UsageError(f"interval={interval!r}: expected {' or '.join(map(repr, get_args(Interval)))}.")
    if not 0.0 < level < 1.0:
        raise UsageError(f"level={level!r}: expected a share between 0 and 1, such as 0.95.")
    if interval == "bca" and kind != "case":
        raise UsageError(f"BCa intervals need draws of cases, not kind={kind!r}. Use interval='percentile'.")


def _check_fit(fit: SemFit, kind: str) -> None:
    if fit.options.ordered and kind != "case":
        raise UnsupportedError(f"Ordered items have no method with kind={kind!r}. Use kind='case'.")
    if fit.options.estimator == "WLS" and kind != "case":
        raise UnsupportedError(f"kind={kind!r} has no method under WLS, whose weights come from rows. Use kind='case'.")


def _unknown(fit: SemFit) -> FloatArray:
    """No acceleration of any parameter."""
    return np.full(len(fit.model.parameters.names) + len(fit.model.defined), np.nan)


def _of_clusters(
    fit: SemFit, kind: Method, cluster: Cluster | None, draws: int, seed: int, workers: int
) -> tuple[Found, int, FloatArray]:
    """Draws of a fit of two levels, what they were drawn from, and accelerations."""
    made = level_draws(fit, seed, kind, cluster)
    found = refit_draws(made, len(fit.model.parameters.names), draws, workers=workers)
    return found, made.units.count, cluster_accelerations(fit) if kind == "case" else _unknown(fit)


def _of_rows(
    fit: SemFit, kind: Method, data: pd.DataFrame | None, cluster: Cluster | None, draws: int, seed: int, workers: int
) -> tuple[Found, int, FloatArray]:
    """The same of a fit of one level."""
    rows = None if kind == "parametric" else rows_of(fit, data, cluster)
    units = fit.system.n if rows is None else rows.units.count
    with one_blas_thread():
        metric = _metric(fit, observed=kind == "case")
        found = _drawn(fit, kind, rows, metric, draws, seed, workers)
        if kind != "case" or rows is None:
            return found, units, _unknown(fit)
        return found, units, accelerations(fit, rows.balanced, rows.units.codes, metric)


def _drawn(
    fit: SemFit, kind: Method, rows: Rows | None, metric: FloatArray, draws: int, seed: int, workers: int
) -> Found:
    """Estimates of all draws, by the fastest way the fit allows."""
    q = len(fit.model.parameters.names)
    if fit.options.missing == "fiml":
        inverse = np.asarray(np.linalg.inv(metric))
        if rows is None:
            return refit_draws(MadeAnswers.of(fit, inverse, seed), q, draws, workers=workers)
        tested = kind == "bollen_stine"
        values = _turned(fit, rows.values) if tested else rows.values
        return refit_draws(AnswerDraws(fit, values, inverse, rows.units, seed, tested), q, draws, workers=workers)
    if rows is not None and fit.options.estimator == "WLS":
        return refit_draws(HigherDraws(fit, rows.values, rows.units, seed), q, draws, workers=workers)
    redraw = _redraw(fit, kind, rows, seed)
    if fit.parts[0].weight is not None or restrictions(fit.model) is not None:
        return refit_draws(MomentDraws(fit, redraw), q, draws, workers=workers)
    start = fit.system.coordinates(fit.solution.theta)
    units = max(1, fit.system.n if rows is None else rows.units.count)
    return fit_draws(fit.system, start, redraw, metric, draws, units, workers=workers)


def _turned(fit: SemFit, rows: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
    """Rows with missing answers in which the model holds exactly."""
    found = []
    for part, own in zip(fit.parts, rows, strict=True):
        p, at = part.problem.place.n_observed, part.point.at
        found.append(turned_answers(own, part.problem, at.mean[:p], at.covariance[:p, :p]))
    return tuple(found)


def _redraw(fit: SemFit, kind: Method, rows: Rows | None, seed: int) -> Redraw:
    """Where the moments of draws come from."""
    problems = problems_of(fit.system)
    sizes = [problem.place.n_observed for problem in problems]
    covs = [part.point.at.covariance[:p, :p] for part, p in zip(fit.parts, sizes, strict=True)]
    means = [
        part.point.at.mean[:p] if part.problem.place.meanstructure else None
        for part, p in zip(fit.parts, sizes, strict=True)
    ]
    if rows is None:
        return from_normal(problems, covs, means, seed)
    values = rows.balanced
    if kind == "bollen_stine":
        parts = zip(values, covs, means, problems, strict=True)
        values = tuple(like_model(own, cov * (p.divisor / p.n), mean) for own, cov, mean, p in parts)
    return by_rows(values, problems, seed, rows.units)


def _metric(fit: SemFit, *, observed: bool) -> FloatArray:
    """Curvature of the discrepancy at the fit, or its expectation: of what the draws are drawn from."""
    part = fit.parts[0]
    if part.answers is not None or part.weight is not None:
        return information_of(fit)
    state = State(fit.solution.value, tuple(one.point for one in fit.parts))
    expected = derivatives(fit.system, state)[1]
    if not observed:
        return expected
    bent = observed_information(fit.system, state)
    values = np.linalg.eigvalsh(bent)
    return bent if not values.size or values[0] > 1e-10 * values[-1] else expected


def _row_values(fit: SemFit, theta: FloatArray) -> FloatArray:
    """Draws of all rows of the table, of all groups."""
    return np.concatenate([problem.row_values(theta) for problem in problems_of(fit.system)], axis=1)


def _standardised(problem: Problem, theta: FloatArray) -> FloatArray:
    values = problem.row_values(theta) * problem.multiplier
    parts = np.array_split(values, len(values) // _STD_BLOCK + 1)
    return np.concatenate([
        standardised_values(problem.place, part, implied(problem.place, part)) for part in parts
    ])  # fmt: skip


def _check_enough(kept: int, draws: int, failures: Mapping[str, int]) -> None:
    if 2 * kept < draws:
        reasons = ", ".join(f"{count} {reason}" for reason, count in failures.items())
        raise EstimationError(
            f"{draws - kept} of {draws} bootstrap draws failed ({reasons}), too many for an interval. "
            "The model asks more than these data can give: simplify it or add rows."
        )


def _defined_draws(fit: SemFit, labels: dict[str, FloatArray], n: int) -> FloatArray:
    values = defined_values(fit.model.defined, labels)
    columns = [np.broadcast_to(values[item.name], (n,)) for item in fit.model.defined]
    return np.array(columns).T.reshape(n, len(columns))


# -- tables and notes


def _summarised(
    table: pd.DataFrame, draws: FloatArray, acceleration: FloatArray, interval: Interval, level: float
) -> pd.DataFrame:
    estimate = table["estimate"].to_numpy(dtype=np.float64)
    columns = {name: np.full(len(estimate), np.nan) for name in ("std_error", "p_value", "conf_low", "conf_high")}
    for i, point in enumerate(estimate):
        column = draws[np.isfinite(draws[:, i]), i]
        error = float(column.std(ddof=1)) if len(column) > 1 else 0.0
        if not np.isfinite(point) or error <= 1e-12 * abs(point):
            continue
        bounds = (
            percentile_interval(column, level)
            if interval == "percentile"
            else bca_interval(column, point, float(acceleration[i]), level)
        )
        for name, value in zip(columns, (error, two_sided(column), *bounds), strict=True):
            columns[name][i] = value
    return table.assign(statistic=estimate / columns["std_error"], **columns)


def _has_holes(fit: SemFit) -> bool:
    if fit.levels is not None:
        return any(group.sample.clusters.answers is not None for group in fit.levels.groups)
    return any(part.answers is not None for part in fit.parts)


def _notes(result: Bootstrap) -> Sequence[Note]:
    notes = []
    if result.done < result.draws:
        notes.append(Note.of("interrupted", "warning", "bootstrap", done=result.done, draws=result.draws))
    if result.method == "parametric" and _has_holes(result.fit):
        notes.append(Note.of("holes_as_they_are", "info", "bootstrap"))
    lost = result.done - len(result.numbers)
    if lost:
        reasons = [f"{reason}: {count}" for reason, count in result.replicates.failures.items()]
        notes.append(Note.of(
            "failed_draws", "warning" if lost > 0.01 * result.done else "info", "bootstrap", "reasons",
            lost=lost, draws=result.done, reasons=reasons,
        ))  # fmt: skip
    places = [problem.place for problem in problems_of(result.fit.system)]
    variances = np.unique(np.concatenate([place.free[place.diagonal & (place.free >= 0)] for place in places]))
    improper = float((result.replicates.values[:, variances] < 0.0).any(axis=1).mean())
    if improper:
        heavy: Severity = "warning" if improper > 0.05 else "info"
        notes.append(Note.of("improper_draws", heavy, "bootstrap", "bootstrap", share=improper))
    if len(result.numbers) < 1000:
        told = {"draws": len(result.numbers), "steady": 1000, "publish": 5000}
        notes.append(Note.of("few_draws", "info", "bootstrap", **told))
    if result.units < min(result.fit.system.n, 30):
        notes.append(Note.of("few_clusters", "warning", "bootstrap", "bootstrap", clusters=result.units))
    return notes
