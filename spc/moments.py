"""What estimators see of data: sizes, means and covariances, built in one pass and merged exactly.

Sums are centred throughout: the textbook ``E[xy] - E[x]E[y]`` loses every digit once values sit far from zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError, Finding
from spc.linalg import FloatArray, frozen_array

__all__ = ["Moments", "numeric_values"]


@dataclass(frozen=True, eq=False)
class Moments:
    """Sample size, means and covariances of named variables: all that a complete-data fit needs.

    Parameters
    ----------
    names : sequence of str
        Variable names, p of them.
    n : int
        Number of rows.
    mean : (p,) array-like or None
        Means; None where they are unknown, as in most published tables.
    cov : (p, p) array-like
        Covariances with divisor n - 1, as papers print and pandas computes.
    higher : array or None
        Moments of order 3 and 4, for robust tests; None when not needed.
    group : str or None
        Group the rows belong to.

    Raises
    ------
    DataError
        The parts do not fit together, or the matrix is not symmetric or not finite.

    Examples
    --------
    >>> m = Moments(names=["x", "y"], n=100, mean=None, cov=[[1.0, 0.3], [0.3, 1.0]])
    >>> m.restrict(["y"]).cov
    array([[1.]])
    """

    names: tuple[str, ...]
    n: int
    mean: FloatArray | None
    cov: FloatArray
    higher: FloatArray | None = field(default=None, repr=False)
    group: str | None = None

    def __init__(
        self,
        names: Sequence[str],
        n: int,
        mean: npt.ArrayLike | None,
        cov: npt.ArrayLike,
        higher: npt.ArrayLike | None = None,
        group: str | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "names", tuple(names))
        put(self, "n", int(n))
        put(self, "mean", None if mean is None else frozen_array(mean))
        put(self, "cov", frozen_array(cov))
        put(self, "higher", None if higher is None else frozen_array(higher))
        put(self, "group", group)
        findings = _faults(self)
        if findings:
            raise DataError(findings)

    @classmethod
    def from_frame(cls, frame: pd.DataFrame, names: Sequence[str] | None = None, group: str | None = None) -> Moments:
        """Moments of the complete rows of the named numeric columns.

        Raises
        ------
        DataError
            A column is absent, given twice or not numeric, a value is infinite, or fewer than two rows are complete.
        """
        names = list(frame.columns if names is None else names)
        values = numeric_values(frame, names)
        complete = ~np.isnan(values).any(axis=1)
        values = values if complete.all() else values[complete]
        if len(values) < 2:
            raise DataError.of(
                "data", None, "too_few_rows", f"{len(values)} complete rows", "at least 2",
                "Check for columns that are empty; name fewer variables or collect more answers.",
            )  # fmt: skip
        mean = values.mean(axis=0)
        centred = values - mean
        return cls(names, len(values), mean, centred.T @ centred / (len(values) - 1), group=group)

    @classmethod
    def from_correlation(
        cls,
        names: Sequence[str],
        n: int,
        correlation: npt.ArrayLike,
        sds: npt.ArrayLike | None = None,
        mean: npt.ArrayLike | None = None,
    ) -> Moments:
        """Moments from a published correlation matrix, with standard deviations where they were printed.

        Examples
        --------
        >>> Moments.from_correlation(["x", "y"], 50, [[1, 0.5], [0.5, 1]], sds=[2, 3]).cov
        array([[4., 3.],
               [3., 9.]])
        """
        matrix = np.asarray(correlation, dtype=np.float64)
        scale = np.ones(len(matrix)) if sds is None else np.asarray(sds, dtype=np.float64)
        return cls(names, n, mean, matrix * np.outer(scale, scale))

    def restrict(self, names: Sequence[str]) -> Moments:
        """Moments of some of the variables, in the given order."""
        absent = [name for name in names if name not in self.names]
        if absent:
            raise DataError(_absent("moments", absent, self.names))
        index = [self.names.index(name) for name in names]
        mean = None if self.mean is None else self.mean[index]
        return Moments(names, self.n, mean, self.cov[np.ix_(index, index)], group=self.group)

    def merge(self, other: Moments) -> Moments:
        """Moments of both sets of rows together, as if computed in one pass.

        References
        ----------
        Chan, Golub & LeVeque (1983), The American Statistician 37, 242-247.

        Raises
        ------
        DataError
            The variables differ, or means are unknown.
        """
        if set(other.names) != set(self.names) or self.mean is None or other.mean is None:
            raise DataError.of(
                "moments", None, "cannot_merge", "different variables or unknown means",
                "two sets of moments of the same variables, with means",
                "Restrict both to the variables they share.",
            )  # fmt: skip
        other = other.restrict(self.names)
        assert other.mean is not None
        n = self.n + other.n
        shift = other.mean - self.mean
        cross = self.cov * (self.n - 1) + other.cov * (other.n - 1)
        cross = cross + np.outer(shift, shift) * (self.n * other.n / n)
        group = self.group if self.group == other.group else None
        return Moments(self.names, n, self.mean + shift * (other.n / n), cross / (n - 1), group=group)


def _faults(moments: Moments) -> list[Finding]:
    p = len(moments.names)

    def fault(rule: str, found: str, expected: str, hint: str) -> Finding:
        return Finding("moments", None, rule, found, expected, hint)

    if len(set(moments.names)) < p:
        twice = sorted({name for name in moments.names if moments.names.count(name) > 1})
        return [fault("duplicate_column", f"{', '.join(twice)} given twice", "one column a name", "Rename.")]
    if moments.cov.shape != (p, p):
        shape = " x ".join(map(str, moments.cov.shape))
        return [fault("shape", f"a matrix of {shape}", f"{p} x {p}, one row a name", "Give the full matrix.")]
    if moments.mean is not None and moments.mean.shape != (p,):
        return [fault("shape", f"{moments.mean.size} means", f"{p}", "Give one mean a name, or None.")]
    if moments.n < 2:
        return [fault("too_few_rows", f"n = {moments.n}", "n of at least 2", "Give the sample size.")]
    findings = []
    if not np.all(np.isfinite(moments.cov)):
        findings.append(fault("not_finite", "missing or infinite covariances", "numbers", "Complete it."))
    elif not np.array_equal(moments.cov, moments.cov.T) and not np.allclose(
        moments.cov, moments.cov.T, rtol=1e-6, atol=1e-8 * np.abs(moments.cov).max()
    ):
        findings.append(fault("not_symmetric", "a matrix that is not symmetric", "symmetry", "Mirror it."))
    return findings


def _absent(table: str, absent: Sequence[Any], present: Sequence[Any]) -> list[Finding]:
    from difflib import get_close_matches

    findings = []
    for name in absent:
        near = get_close_matches(str(name), [str(p) for p in present], n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(map(str, present))}."
        findings.append(Finding(table, str(name), "missing_column", "no such column", f"a column {name!r}", hint))
    return findings


def numeric_values(frame: pd.DataFrame, names: Sequence[str]) -> FloatArray:
    """Values of the named columns, all rows, NaN where an answer is missing.

    Raises
    ------
    DataError
        A column is absent (the nearest name is given), given twice or not numeric, or a value is infinite.

    Examples
    --------
    >>> numeric_values(pd.DataFrame({"x": [1, None]}), ["x"]).tolist()
    [[1.0], [nan]]
    """
    values = _plain_values(frame, list(names))
    if values is None:
        findings = _column_faults(frame, names)
        if findings:
            raise DataError(findings)
        values = frame[list(names)].to_numpy(dtype=np.float64, na_value=np.nan)
    return values


def _plain_values(frame: pd.DataFrame, names: list[str]) -> FloatArray | None:
    """Values of ordinary columns in one step; None where a column needs a closer look."""
    columns = list(frame.columns)
    if len(set(columns)) < len(columns) or not set(names) <= set(columns):
        return None
    part = frame if names == columns else frame[names]
    if not all(map(_is_plain, part.dtypes.tolist())):
        return None
    values = part.to_numpy(dtype=np.float64)
    return None if np.isinf(values).any() else values


def _is_plain(dtype: object) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in "fiub"


def _column_faults(frame: pd.DataFrame, names: Sequence[str]) -> list[Finding]:
    absent = [name for name in names if name not in frame.columns]
    if absent:
        return _absent("data", absent, list(frame.columns))
    findings = []
    for name in names:
        column: pd.Series | pd.DataFrame = frame[name]
        if isinstance(column, pd.DataFrame):
            finding = Finding(
                "data", name, "duplicate_column", f"{column.shape[1]} columns of this name", "one", "Rename."
            )
        elif not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
            finding = Finding(
                "data", name, "not_numeric", f"values of type {column.dtype}", "numbers",
                "Convert it, for instance with pandas.to_numeric, or leave it out.",
            )  # fmt: skip
        elif np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan)).any():
            finding = Finding("data", name, "infinite", "infinite values", "finite numbers", "Set to missing.")
        else:
            continue
        findings.append(finding)
    return findings
