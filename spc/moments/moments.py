"""Sizes, means and covariances, built in one pass and merged exactly.

Sums are centred throughout: the textbook ``E[xy] - E[x]E[y]`` loses every digit once values sit far from zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError, Finding
from spc.linalg import FloatArray, frozen_array, unvech, vech
from spc.moments.columns import absent_columns, numeric_values, plain_values

__all__ = ["Moments", "shifted"]


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
    higher : (p + p(p+1)/2, p + p(p+1)/2) array-like or None
        Moments of order 2 to 4, for robust errors and tests: the covariances, with divisor n, of the values and of
        the products of their deviations from the means, ordered as the variables, then as :func:`~spc.linalg.vech`
        orders pairs of them. None when not needed.
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
    def from_frame(
        cls,
        frame: pd.DataFrame,
        names: Sequence[str] | None = None,
        group: str | None = None,
        *,
        higher: bool = False,
    ) -> Moments:
        """Moments of the complete rows of the named numeric columns, those of order 3 and 4 on request.

        Raises
        ------
        DataError
            A column is absent, given twice or not numeric, a value is infinite, or fewer than two rows are complete.
        """
        names = list(frame.columns if names is None else names)
        values, mean = _complete_rows(frame, names)
        centred = values - mean
        if higher:
            centred -= centred.mean(axis=0)
        fourth = _higher(centred) if higher else None
        return cls(names, len(values), mean, centred.T @ centred / (len(values) - 1), fourth, group)

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
            raise DataError(absent_columns("moments", absent, self.names))
        index = [self.names.index(name) for name in names]
        mean = None if self.mean is None else self.mean[index]
        higher = None if self.higher is None else _restricted(self.higher, len(self.names), index)
        return Moments(names, self.n, mean, self.cov[np.ix_(index, index)], higher, self.group)

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
        mean, cov = self.mean + shift * (other.n / n), cross / (n - 1)
        higher = _merged(self, other, mean, cov)
        return Moments(self.names, n, mean, cov, higher, group)


def _complete_rows(frame: pd.DataFrame, names: list[str]) -> tuple[FloatArray, FloatArray]:
    """Values of the rows without missing answers, and their means, which tell whether there are any."""
    values = plain_values(frame, names)
    if values is not None and len(values) > 1:
        with np.errstate(all="ignore"):
            mean = values.sum(axis=0) / len(values)
        if np.isfinite(mean).all():
            return values, mean
    values = numeric_values(frame, names)
    values = values[~np.isnan(values).any(axis=1)]
    if len(values) < 2:
        raise DataError.of(
            "data", None, "too_few_rows", f"{len(values)} complete rows", "at least 2",
            "Check for columns that are empty; name fewer variables or collect more answers.",
        )  # fmt: skip
    return values, values.mean(axis=0)


_BLOCK = 4_000_000


def _higher(centred: FloatArray) -> FloatArray:
    """Covariances, with divisor n, of deviations from the means and of their products; a block of rows at a time."""
    n, p = centred.shape
    first, second = np.triu_indices(p)
    middle = np.concatenate([np.zeros(p), vech(centred.T @ centred / n)])
    total = np.zeros((middle.size, middle.size))
    step = max(1, _BLOCK // middle.size)
    for start in range(0, n, step):
        part = centred[start : start + step]
        both = np.concatenate([part, part[:, first] * part[:, second]], axis=1) - middle
        total += both.T @ both
    return np.asarray(total / n)


def _restricted(higher: FloatArray, p: int, index: Sequence[int]) -> FloatArray:
    number = unvech(np.arange(p * (p + 1) // 2, dtype=np.float64))
    products = vech(number[np.ix_(index, index)]).astype(np.intp)
    kept = np.concatenate([np.asarray(index, dtype=np.intp), p + products])
    return np.asarray(higher[np.ix_(kept, kept)])


def shifted(higher: FloatArray, shift: FloatArray) -> FloatArray:
    """Moments of order 2 to 4 where deviations are measured from the means plus ``shift``.

    Examples
    --------
    >>> about_mean = Moments.from_frame(pd.DataFrame({"x": [1.0, 2.0, 6.0]}), higher=True).higher
    >>> shifted(about_mean, np.array([1.0]))[1, 1].round(6) == np.var([9.0, 4.0, 4.0]).round(6)
    np.True_
    """
    p = shift.size
    first, second = np.triu_indices(p)
    row = p + np.arange(first.size)
    move = np.eye(p + first.size)
    np.add.at(move, (row, first), -shift[second])
    np.add.at(move, (row, second), -shift[first])
    return np.asarray(move @ higher @ move.T)


def _merged(one: Moments, other: Moments, mean: FloatArray, cov: FloatArray) -> FloatArray | None:
    """Moments of order 2 to 4 of both, about the common mean; None unless both have them."""
    n = one.n + other.n
    total = None
    for part in (one, other):
        if part.higher is None or part.mean is None:
            return None
        shift = mean - part.mean
        products = part.cov * ((part.n - 1) / part.n) + np.outer(shift, shift) - cov * ((n - 1) / n)
        apart = np.concatenate([-shift, vech(products)])
        share = (part.n / n) * (shifted(part.higher, shift) + np.outer(apart, apart))
        total = share if total is None else total + share
    return total


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
    wide = p + p * (p + 1) // 2
    if moments.higher is not None and moments.higher.shape != (wide, wide):
        shape = " x ".join(map(str, moments.higher.shape))
        return [fault("shape", f"higher moments of {shape}", f"{wide} x {wide}", "Leave them out, or build them.")]
    if moments.n < 2:
        return [fault("too_few_rows", f"n = {moments.n}", "n of at least 2", "Give the sample size.")]
    findings = []
    if not np.isfinite(moments.cov).all():
        findings.append(fault("not_finite", "missing or infinite covariances", "numbers", "Complete it."))
    elif (moments.cov != moments.cov.T).any() and not np.allclose(
        moments.cov, moments.cov.T, rtol=1e-6, atol=1e-8 * np.abs(moments.cov).max()
    ):
        findings.append(fault("not_symmetric", "a matrix that is not symmetric", "symmetry", "Mirror it."))
    return findings
