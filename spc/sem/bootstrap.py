"""Bootstrap of a fitted model: replicates of all parameters, their intervals, and the Bollen-Stine test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError, EstimationError, UnsupportedError, UsageError
from spc.linalg import FloatArray, frozen_array, one_blas_thread
from spc.moments import Moments
from spc.results import Note, Provenance, Replicates
from spc.sem.defined import defined_values, label_rows
from spc.sem.draws import fit_draws
from spc.sem.fit import SemFit
from spc.sem.influence import accelerations
from spc.sem.intervals import bca_interval, percentile_interval, two_sided
from spc.sem.ml import curvature, score_and_information
from spc.sem.problem import Problem
from spc.sem.ram import IntArray, implied
from spc.sem.redraw import Redraw, by_rows, from_normal, like_model
from spc.sem.scope import require_complete_ml
from spc.sem.standardize import standardised_values

__all__ = ["Bootstrap", "bootstrap"]

Method = Literal["case", "bollen_stine", "parametric"]
Interval = Literal["percentile", "bca"]

_STD_BLOCK = 32


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Replicates of a fitted model.

    Attributes
    ----------
    fit : SemFit
    replicates : Replicates
        Of the free parameters, in the user's units; :func:`spc.sem.effects` takes them.
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
    kind: str = "bootstrap"

    def __post_init__(self) -> None:
        for name in ("chisq", "acceleration"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))
        self.numbers.flags.writeable = False

    @cached_property
    def _rows(self) -> FloatArray:
        """Draws of all rows of ``tidy()``: those of the table, then the defined parameters."""
        rows = self.fit.problem.row_values(self.replicates.values)
        return np.concatenate([rows, self.defined.values], axis=1)

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
        return max(self.fit.problem.divisor * self.fit.point.value, 0.0)

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
        place = self.fit.problem.place
        number = np.concatenate([place.free, np.arange(len(self.defined.names)) + len(place.names)])
        acceleration = np.where(number >= 0, self.acceleration[number], np.nan)
        return _summarised(table, self._rows, acceleration, interval, level)

    def standardized(self) -> pd.DataFrame:
        """The rows of ``tidy()`` completely standardised, with percentile intervals."""
        fit, place = self.fit, self.fit.problem.place
        table = fit.tidy()
        table["estimate"] = table["std_all"]
        values = fit.problem.row_values(self.replicates.values) * fit.problem.multiplier
        with np.errstate(all="ignore"):
            std = np.concatenate(
                [
                    standardised_values(place, part, implied(place, part))
                    for part in np.array_split(values, len(values) // _STD_BLOCK + 1)
                ]
            )
            labels = {name: std[:, i] for name, i in label_rows(fit.model).items()}
            std = np.concatenate([std, _defined_draws(fit, labels, len(std))], axis=1)
        return _summarised(table, std, np.zeros(std.shape[1]), "percentile", self.level)

    def glance(self) -> pd.DataFrame:
        """One row: the method, its draws, and the model's test."""
        return pd.DataFrame([{
            "method": self.method,
            "draws": self.draws,
            "kept": len(self.numbers),
            "failed": self.draws - len(self.numbers),
            "units": self.units,
            "nobs": self.fit.problem.n,
            "seed": self.replicates.seed,
            "level": self.level,
            "interval": self.interval,
            "chisq": self._statistic,
            "mean_chisq": float(self.chisq.mean()),
            "pvalue": self.p_value,
        }])  # fmt: skip

    def notes(self) -> tuple[Note, ...]:
        """Draws that failed, draws with negative variances, too few draws or clusters."""
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
) -> Bootstrap:
    """Refit a model to resampled data.

    All draws of a block are fitted at once, see :mod:`spc.sem.batch`; a draw that does not end there is searched on its
    own. Draws that fail in the end, most of them because their estimates run off to infinity, are left out and counted.

    Parameters
    ----------
    fit : SemFit
    data : DataFrame, optional
        The rows of the fit; not needed for ``kind="parametric"``.
    draws : int
    seed : int
        Draw i depends on ``(seed, i)`` alone.
    cluster : str or (n,) array-like, optional
        Column of the data, or one value a row: clusters are then drawn whole.
    kind : {"case", "bollen_stine", "parametric"}
        Rows as they are; rows turned so that the model holds exactly, for a test of it; or moments of normal samples
        from the fitted model, covariates included.
    interval : {"percentile", "bca"}
        What ``tidy()`` shows. BCa intervals take their acceleration from the influence of each row or cluster.
    level : float

    Returns
    -------
    Bootstrap

    Raises
    ------
    UsageError
        Options out of range.
    UnsupportedError
        A fit by another method than maximum likelihood for complete rows.
    DataError
        The data are not those of the fit.
    EstimationError
        Fewer than half of the draws succeeded.

    References
    ----------
    Efron & Tibshirani (1993), *An Introduction to the Bootstrap*; Bollen & Stine (1992), Sociological Methods &
    Research 21, 205-229.

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
    require_complete_ml(fit, "Bootstraps")
    _check_options(draws, kind, interval, level, cluster)
    rows, codes = (None, None) if kind == "parametric" else _rows_of(fit, data, cluster)
    units = fit.problem.n if codes is None else int(codes.max()) + 1
    with one_blas_thread():
        redraw, metric = _plan(fit, kind, rows, codes, seed)
        found = fit_draws(fit, redraw, metric, draws, units)
        acceleration = np.full(len(fit.model.parameters.names) + len(fit.model.defined), np.nan)
        if kind == "case" and rows is not None:
            acceleration = accelerations(fit, rows, codes, metric)
    kept = np.flatnonzero(np.isfinite(found.chisq))
    _check_enough(len(kept), draws, found.failures)
    theta = found.theta[kept]
    labels = {name: fit.problem.row_values(theta)[:, i] for name, i in label_rows(fit.model).items()}
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


def _rows_of(
    fit: SemFit, data: pd.DataFrame | None, cluster: str | npt.ArrayLike | None
) -> tuple[FloatArray, IntArray | None]:
    """Complete rows in balanced units, and the cluster of each."""
    if not isinstance(data, pd.DataFrame):
        raise DataError.of(
            "data", None, "not_a_table", f"a {type(data).__name__}", "the DataFrame that the model was fitted to",
            "Give the rows, or kind='parametric', which needs none.",
        )  # fmt: skip
    names = list(fit.model.observed)
    moments = Moments.from_frame(data, names)
    root = np.sqrt(fit.observed.cov.diagonal())
    gap = np.abs(moments.cov - fit.observed.cov) / np.outer(root, root)
    if moments.n != fit.observed.n or float(gap.max()) > 1e-8:
        raise DataError.of(
            "data", None, "other_data", f"{moments.n} complete rows with other covariances",
            f"the {fit.observed.n} rows that the model was fitted to", "Give the same rows as to fit().",
        )  # fmt: skip
    values = data[names].to_numpy(dtype=np.float64, na_value=np.nan)
    complete = ~np.isnan(values).any(axis=1)
    codes = None if cluster is None else _cluster_codes(data, cluster, complete)
    return values[complete] / fit.problem.scale[: len(names)], codes


def _cluster_codes(data: pd.DataFrame, cluster: str | npt.ArrayLike, complete: npt.NDArray[np.bool_]) -> IntArray:
    if isinstance(cluster, str):
        if cluster not in data.columns:
            raise DataError.of(
                "data", cluster, "missing_column", "no such column", f"a column {cluster!r}",
                f"There are: {', '.join(map(str, data.columns))}.",
            )  # fmt: skip
        cluster = data[cluster]
    labels = pd.Series(np.asarray(cluster))
    if len(labels) != len(data):
        raise UsageError(f"cluster has {len(labels)} values for {len(data)} rows; give one a row.")
    labels = labels[complete]
    if labels.isna().any():
        raise UsageError(f"{int(labels.isna().sum())} rows have no cluster. Fill these in, or leave the rows out.")
    codes = np.unique(labels.to_numpy(), return_inverse=True)[1]
    if codes.max() < 1:
        raise UsageError("All rows are of one cluster, so there is nothing to draw from. Leave cluster out.")
    return np.asarray(codes, dtype=np.intp)


def _plan(
    fit: SemFit, kind: Method, rows: FloatArray | None, codes: IntArray | None, seed: int
) -> tuple[Redraw, FloatArray]:
    """Where draws come from, and the curvature of the discrepancy of what they are drawn from."""
    problem, point = fit.problem, fit.point
    place, p = problem.place, problem.place.n_observed
    information = score_and_information(place, point, problem.sample, problem.active)[1]
    cov = point.at.covariance[:p, :p]
    mean = point.at.mean[:p] if place.meanstructure else None
    if kind == "parametric" or rows is None:
        return from_normal(problem, cov, mean, seed), _mapped(problem, information)
    if kind == "bollen_stine":
        turned = like_model(rows, cov * (problem.divisor / problem.n), mean)
        return by_rows(turned, problem, seed, codes), _mapped(problem, information)
    observed = _mapped(problem, information + curvature(place, point, problem.sample, problem.active))
    bent = np.linalg.eigvalsh(observed)
    steady = not bent.size or bent[0] > 1e-10 * bent[-1]
    return by_rows(rows, problem, seed, codes), observed if steady else _mapped(problem, information)


def _mapped(problem: Problem, information: FloatArray) -> FloatArray:
    return information if problem.plain else np.asarray(problem.map.T @ information @ problem.map)


def _check_enough(kept: int, draws: int, failures: Counter[str]) -> None:
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


def _notes(result: Bootstrap) -> Sequence[Note]:
    notes = []
    lost = result.draws - len(result.numbers)
    if lost:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in result.replicates.failures.items())
        notes.append(Note(
            "failed_draws", "warning" if lost > 0.01 * result.draws else "info", "bootstrap",
            f"{lost} of {result.draws} draws failed and are left out ({reasons}).",
        ))  # fmt: skip
    place = result.fit.problem.place
    variances = place.free[place.diagonal & (place.free >= 0)]
    improper = float((result.replicates.values[:, variances] < 0.0).any(axis=1).mean())
    if improper:
        notes.append(Note(
            "improper_draws", "warning" if improper > 0.05 else "info", "bootstrap",
            f"In {improper:.1%} of the draws a variance is negative. These draws are kept, since leaving them out "
            "would shift every interval.",
        ))  # fmt: skip
    if result.draws < 1000:
        notes.append(Note(
            "few_draws", "info", "bootstrap",
            f"The ends of the intervals rest on {len(result.numbers)} draws and move visibly with the seed; "
            "1,000 draws steady them, 5,000 serve for publication.",
        ))  # fmt: skip
    if result.units < min(result.fit.problem.n, 30):
        notes.append(Note(
            "few_clusters", "warning", "bootstrap",
            f"There are only {result.units} clusters. Bootstrap errors are too small with so few.",
        ))  # fmt: skip
    return notes
