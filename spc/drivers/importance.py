"""Key drivers: a fair split of R² among correlated predictors, with signs, intervals and performance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from spc.errors import DataError, EstimationError, NotPositiveDefiniteError, UsageError
from spc.linalg import FloatArray, frozen_array
from spc.resample import Rows, bootstrap
from spc.results import Note, Provenance, Replicates, Shown, fingerprint, tidy_frame

__all__ = ["KeyDrivers", "key_drivers", "relative_weights"]

HIGH_VIF = 5.0
FEW_ROWS_EACH = 10
Row = dict[str, Any]
Scale = tuple[float, float]


def relative_weights(correlations: FloatArray, validities: FloatArray) -> FloatArray:
    r"""Johnson's relative weights.

    Predictors are replaced by their closest uncorrelated counterparts Z (``X = Z Λ`` with ``Λ`` the symmetric root of
    the correlations); R² splits exactly among the Z, and each Z's share is handed back to the predictors by squared
    loadings: :math:`\varepsilon = \Lambda^{2\circ} \, (\Lambda^{-1} r_{xy})^{2\circ}`.

    Parameters
    ----------
    correlations : (k, k) array
        Among the predictors.
    validities : (k,) array
        Correlations of the predictors with the outcome.

    Returns
    -------
    (k,) array
        Not negative; sums to R².

    Raises
    ------
    NotPositiveDefiniteError
        Predictors that are linearly dependent.

    References
    ----------
    Johnson (2000), *Multivariate Behavioral Research* 35, 1–19.

    Examples
    --------
    >>> relative_weights(np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([0.6, 0.4])).round(3)
    array([0.287, 0.087])
    """
    _check_independent(correlations)
    values, vectors = np.linalg.eigh(correlations)
    root = (vectors * np.sqrt(values)) @ vectors.T
    return np.asarray(root**2 @ np.linalg.solve(root, validities) ** 2)


@dataclass(frozen=True, eq=False, repr=False)
class KeyDrivers(Shown):
    """How much of an outcome goes along with each driver, and how well each does.

    Attributes
    ----------
    outcome : str
    drivers : tuple of str
        The k drivers.
    weights, coefficients, vif : (k,) arrays
        Relative weights, standardised regression coefficients, variance inflation factors.
    r_squared : float
    means : (k,) array
    scales : mapping of str to (low, high)
        Scale ends of the drivers that have one.
    replicates : Replicates
        Bootstrap of weights, coefficients and means, in this order.
    level : float
    n, dropped : int
        Rows used; rows left out because an answer was missing.
    clusters : int or None
        Number of clusters that were resampled whole.
    provenance : Provenance
    """

    outcome: str
    drivers: tuple[str, ...]
    weights: FloatArray
    coefficients: FloatArray
    vif: FloatArray
    r_squared: float
    means: FloatArray
    scales: Mapping[str, Scale]
    replicates: Replicates
    level: float
    n: int
    dropped: int
    clusters: int | None
    provenance: Provenance

    def __post_init__(self) -> None:
        for name in ("weights", "coefficients", "vif", "means"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))
        object.__setattr__(self, "scales", MappingProxyType(dict(self.scales)))

    @property
    def kind(self) -> str:
        """``"drivers"``."""
        return "drivers"

    def tidy(self) -> pd.DataFrame:
        """One row a figure; ``lhs`` the driver, ``rhs`` the outcome.

        ``kind`` is ``importance`` (relative weight; ``std_all`` is its share of R²), ``coefficient`` (standardised
        regression coefficient, whose sign is the direction) or ``performance`` (mean as 0–100 of the scale). The most
        important driver comes first. Standard errors and intervals are the bootstrap's.
        """
        return tidy_frame(list(_rows(self)))

    def glance(self) -> pd.DataFrame:
        """One row: outcome, number of drivers and rows, R², draws."""
        values = {
            "outcome": self.outcome,
            "drivers": len(self.drivers),
            "nobs": self.n,
            "dropped": self.dropped,
            "clusters": np.nan if self.clusters is None else float(self.clusters),
            "r_squared": self.r_squared,
            "level": self.level,
            "draws": len(self.replicates.values),
        }
        return pd.DataFrame([values])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the figures."""
        return tuple(_notes(self))


def key_drivers(
    frame: pd.DataFrame,
    outcome: str,
    drivers: Sequence[str],
    *,
    scales: Mapping[str, Scale] | None = None,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 1,
    cluster: str | None = None,
) -> KeyDrivers:
    """Split the R² of an outcome among its drivers.

    Parameters
    ----------
    frame : DataFrame
        One row a person or unit. Rows with a missing value in any column used are left out and counted.
    outcome : str
        Column to explain.
    drivers : sequence of str
        Columns to explain it by, two or more.
    scales : mapping of str to (low, high), optional
        Scale ends, for the performance of drivers on 0–100.
    level : float
        Level of the intervals.
    draws : int
        Bootstrap draws.
    seed : int
    cluster : str, optional
        Column whose groups (units) are resampled whole.

    Returns
    -------
    KeyDrivers

    Raises
    ------
    UsageError
        Columns that are not there or named twice, one driver only, options out of range.
    DataError
        Columns that are not numbers or do not vary, or too few rows.
    NotPositiveDefiniteError
        Drivers that are linearly dependent.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x = pd.DataFrame(rng.standard_normal((200, 2)), columns=["speed", "price"])
    >>> found = key_drivers(x.assign(value=x["speed"] + 0.5 * rng.standard_normal(200)), "value", ["price", "speed"])
    >>> found.tidy().query("kind == 'importance'")["lhs"].tolist()
    ['speed', 'price']
    """
    names = tuple(drivers)
    _check_options(frame, outcome, names, level, draws, cluster)
    used = frame[[outcome, *names]]
    complete = used.notna().all(axis=1) & (True if cluster is None else frame[cluster].notna())
    data = _numbers(used.loc[complete])
    groups = None if cluster is None else frame.loc[complete, cluster].to_numpy()
    _check_data(data, (outcome, *names))
    estimates = _estimate(data, names)
    k = len(names)
    replicates = bootstrap(
        lambda rows: _replicate(data, names, rows),
        [f"{what}:{name}" for what in ("importance", "coefficient", "mean") for name in names],
        n=len(data),
        draws=draws,
        seed=seed,
        cluster=groups,
        what="Key drivers",
    )
    inside = np.asarray(np.corrcoef(data, rowvar=False))[1:, 1:]
    return KeyDrivers(
        outcome=outcome,
        drivers=names,
        weights=estimates[:k],
        coefficients=estimates[k : 2 * k],
        vif=np.diag(np.linalg.inv(inside)),
        r_squared=float(estimates[:k].sum()),
        means=estimates[2 * k :],
        scales={name: (float(low), float(high)) for name, (low, high) in (scales or {}).items() if name in names},
        replicates=replicates,
        level=level,
        n=len(data),
        dropped=int((~complete).sum()),
        clusters=None if groups is None else len(pd.unique(groups)),
        provenance=Provenance.record({"draws": draws, "cluster": cluster, "level": level}, fingerprint(data), seed),
    )


def _estimate(data: FloatArray, names: Sequence[str]) -> FloatArray:
    """Weights, coefficients and means, shape (3k,), of a table whose first column is the outcome."""
    correlations = np.asarray(np.corrcoef(data, rowvar=False))
    inside, validities = correlations[1:, 1:], correlations[1:, 0]
    _check_independent(inside, names)
    weights = relative_weights(inside, validities)
    return np.concatenate([weights, np.linalg.solve(inside, validities), data[:, 1:].mean(axis=0)])


def _check_independent(correlations: FloatArray, names: Sequence[str] = ()) -> None:
    values, vectors = np.linalg.eigh(correlations)
    if values[0] > 1e-10:
        return
    involved = [name for name, weight in zip(names, vectors[:, 0], strict=False) if abs(weight) > 0.1]
    raise NotPositiveDefiniteError(
        f"The drivers {', '.join(involved) or 'given'} say the same: one of them follows exactly from the others. "
        "Leave one out.",
        parameters=involved,
    )


def _replicate(data: FloatArray, names: Sequence[str], rows: Rows) -> FloatArray:
    drawn = data[rows]
    if np.any(drawn.min(axis=0) == drawn.max(axis=0)):
        raise EstimationError("A column does not vary in this draw.")
    return _estimate(drawn, names)


def _check_options(
    frame: pd.DataFrame, outcome: str, drivers: tuple[str, ...], level: float, draws: int, cluster: str | None
) -> None:
    wanted = [outcome, *drivers, *([] if cluster is None else [cluster])]
    absent = [name for name in wanted if name not in frame.columns]
    if absent:
        have = ", ".join(map(str, frame.columns))
        raise UsageError(f"There is no column {absent[0]!r}; the columns are: {have}.")
    if len(set(drivers)) < len(drivers) or outcome in drivers:
        raise UsageError("A column is named twice; name the outcome once and every driver once.")
    if len(drivers) < 2:
        raise UsageError(f"{len(drivers)} driver is given; there is nothing to split with fewer than two.")
    if not 0 < level < 1:
        raise UsageError(f"The level is {level!r}; expected a share between 0 and 1, such as 0.95.")
    if isinstance(draws, bool) or not isinstance(draws, int) or draws < 100:
        raise UsageError(f"draws is {draws!r}; expected a whole number of at least 100.")


def _numbers(used: pd.DataFrame) -> FloatArray:
    for name, column in used.items():
        if not pd.api.types.is_numeric_dtype(column):
            raise DataError.of(
                "drivers", str(name), "not_numeric", "values that are not numbers", "scores or amounts", "Recode it."
            )
    return np.asarray(used.to_numpy(dtype=float))


def _check_data(data: FloatArray, names: Sequence[str]) -> None:
    needed = len(names) + 1
    if len(data) < needed:
        raise DataError.of(
            "drivers",
            None,
            "too_few_rows",
            f"{len(data)} complete rows for {len(names) - 1} drivers",
            f"{needed} or more",
            "Name fewer drivers, or look for a column that is mostly missing.",
        )
    for name, column in zip(names, data.T, strict=True):
        if not np.isfinite(column).all():
            raise DataError.of("drivers", name, "infinite", "infinite values", "finite ones", "Check the column.")
        if column.min() == column.max():
            raise DataError.of(
                "drivers", name, "constant", "the same value in every row", "values that vary", "Leave the column out."
            )


def _rows(result: KeyDrivers) -> Iterator[Row]:
    k = len(result.drivers)
    tail = (1 - result.level) / 2
    low, high = np.quantile(result.replicates.values, [tail, 1 - tail], axis=0)
    error = result.replicates.values.std(axis=0, ddof=1)
    order = np.argsort(-result.weights, kind="stable")
    for start, kind, values in ((0, "importance", result.weights), (k, "coefficient", result.coefficients)):
        for i in order:
            spread = (error[start + i], low[start + i], high[start + i])
            share = values[i] / result.r_squared if kind == "importance" else values[i]
            yield _row(result, i, kind, values[i], spread) | {"std_all": share}
    for i in order:
        ends = result.scales.get(result.drivers[i])
        if ends is not None:
            per_point = 100 / (ends[1] - ends[0])
            mean, least, most = (per_point * (v - ends[0]) for v in (result.means[i], low[2 * k + i], high[2 * k + i]))
            yield _row(result, i, "performance", mean, (per_point * error[2 * k + i], least, most))


def _row(result: KeyDrivers, i: int, kind: str, estimate: float, spread: tuple[float, float, float]) -> Row:
    return {
        "lhs": result.drivers[i],
        "op": "~",
        "rhs": result.outcome,
        "kind": kind,
        "estimate": estimate,
        "std_error": spread[0],
        "conf_low": spread[1],
        "conf_high": spread[2],
    }


def _notes(result: KeyDrivers) -> Iterator[Note]:
    about, drivers = result.outcome, len(result.drivers)
    yield Note.of("association", "info", about, "drivers", outcome=about)
    yield Note.of("importance_positive", "info", about)
    if result.dropped:
        rows = result.n + result.dropped
        yield Note.of("rows_dropped", "info", about, "drivers", dropped=result.dropped, rows=rows)
    if result.n < FEW_ROWS_EACH * drivers:
        yield Note.of("few_rows", "warning", about, rows=result.n, drivers=drivers)
    yield from _collinear_notes(result)
    yield from _negative_notes(result)
    if result.replicates.failures:
        failed = sum(result.replicates.failures.values())
        yield Note.of("failed_draws", "warning", about, "drivers", failed=failed)


def _collinear_notes(result: KeyDrivers) -> Iterator[Note]:
    tangled = [name for name, vif in zip(result.drivers, result.vif, strict=True) if vif > HIGH_VIF]
    if tangled:
        yield Note.of("collinear", "warning", ", ".join(tangled), "drivers", names=tangled, bar=HIGH_VIF,
                      vif=float(result.vif.max()))  # fmt: skip


def _negative_notes(result: KeyDrivers) -> Iterator[Note]:
    k = len(result.drivers)
    most = np.quantile(result.replicates.values[:, k : 2 * k], (1 + result.level) / 2, axis=0)
    for name in np.asarray(result.drivers)[most < 0]:
        yield Note.of("negative", "warning", str(name), driver=str(name), outcome=result.outcome)
