"""Who was there and who left, period by period: all that a curve of retention needs to know of customers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spc.economics.tenure import BoolArray, entered
from spc.errors import DataError
from spc.linalg import FloatArray, frozen_array

__all__ = ["LifeTable", "life_table", "life_tables"]

MOST_PERIODS = 5000


@dataclass(frozen=True, eq=False)
class LifeTable:
    """Exposure and leavers by period of tenure; several tables lie behind each other in the leading dimensions.

    Attributes
    ----------
    exposure : (..., T) array
        Customers at risk in period t = 1..T; with broken tenures the periods they were watched in it.
    events : (..., T) array
        Customers who left in it.
    whole : bool
        Whether tenures are whole periods, so that every period is one occasion to leave.
    """

    exposure: FloatArray
    events: FloatArray
    whole: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "exposure", frozen_array(self.exposure))
        object.__setattr__(self, "events", frozen_array(self.events))

    @property
    def periods(self) -> int:
        """T."""
        return int(self.exposure.shape[-1])

    def total(self) -> LifeTable:
        """All tables added up."""
        over = tuple(range(self.exposure.ndim - 1))
        return LifeTable(self.exposure.sum(axis=over), self.events.sum(axis=over), self.whole)

    def hazard(self) -> FloatArray:
        """Share that leaves in each period, (..., T); NaN where nobody is at risk."""
        at_risk = np.where(self.exposure > 0, self.exposure, np.nan)
        rate = self.events / at_risk
        return np.asarray(rate if self.whole else -np.expm1(-rate))


def life_table(tenure: npt.ArrayLike, churned: npt.ArrayLike, entry: npt.ArrayLike | None = None) -> LifeTable:
    """Life table of customers watched from ``entry`` to ``tenure``.

    Parameters
    ----------
    tenure : (n,) array-like of float
        Periods since joining at which each customer was last seen; leaving counts in the last of them.
    churned : (n,) array-like of bool
    entry : (n,) array-like of float, optional
        Periods since joining at which watching began (left truncation): those who left before are not in the ledger,
        so nobody counts as at risk before. 0 when left out.

    Returns
    -------
    LifeTable
        Of one dimension.

    Raises
    ------
    DataError
        As for :func:`spc.economics.tenure.watched`; entries that are negative or not before the tenure.

    Examples
    --------
    >>> table = life_table([1, 2, 3], [True, True, False], entry=[0, 0, 2])
    >>> table.exposure.tolist(), table.events.tolist()
    ([2.0, 1.0, 1.0], [1.0, 1.0, 0.0])
    """
    time, left, start = entered(tenure, churned, entry)
    return _count(time, left, start, np.zeros(time.size, dtype=np.intp), 1).total()


def life_tables(
    tenure: npt.ArrayLike,
    churned: npt.ArrayLike,
    codes: npt.NDArray[np.intp],
    entry: npt.ArrayLike | None = None,
) -> LifeTable:
    """Life tables of groups, (G, T); ``codes`` (n,) says the group of each customer, 0..G-1.

    Examples
    --------
    >>> life_tables([1, 2, 2], [True, False, True], np.array([0, 0, 1])).events.tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    time, left, start = entered(tenure, churned, entry)
    return _count(time, left, start, codes, int(codes.max()) + 1)


def _count(time: FloatArray, left: BoolArray, start: FloatArray, codes: npt.NDArray[np.intp], groups: int) -> LifeTable:
    size = int(np.ceil(time.max()))
    if size > MOST_PERIODS:
        raise DataError.of(
            "customers",
            "tenure",
            "too_long",
            f"tenures of up to {size:,} periods",
            f"at most {MOST_PERIODS:,}",
            "Count tenure in longer periods, such as months for days.",
        )
    seen = _passed(time, codes, groups, size) - _passed(start, codes, groups, size)
    period = np.maximum(np.ceil(time[left]).astype(int), 1) - 1
    events = np.bincount(codes[left] * size + period, minlength=groups * size).reshape(groups, size)
    whole = bool(np.all(time == np.floor(time)) and np.all(start == np.floor(start)))
    return LifeTable(seen, events.astype(float), whole)


def _passed(time: FloatArray, codes: npt.NDArray[np.intp], groups: int, size: int) -> FloatArray:
    """Periods lived through by each group in each period, up to the given times."""
    whole = np.floor(time).astype(int)
    cell = codes * (size + 1) + whole
    count = np.bincount(cell, minlength=groups * (size + 1)).reshape(groups, size + 1)
    part = np.bincount(cell, time - whole, minlength=groups * (size + 1)).reshape(groups, size + 1)
    complete = count[:, ::-1].cumsum(axis=1)[:, ::-1]
    return np.asarray(complete[:, 1:] + part[:, :-1], dtype=float)
