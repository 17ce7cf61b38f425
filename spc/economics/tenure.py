"""How long each customer has been watched, and whether the customer left: from columns or from dates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.errors import DataError, UsageError
from spc.linalg import FloatArray

__all__ = ["PERIODS", "Window", "entered", "numeric_column", "tenure_between", "watched"]

PERIODS = {"year": 12, "quarter": 3, "month": 1, "week": 7, "day": 1}
"""Months in a year, quarter and month; days in a week and day."""

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Window:
    """What a ledger of dates covers.

    Attributes
    ----------
    period : str
        A key of :data:`PERIODS`.
    since : date, optional
        First day of the ledger: who had left before is not in it.
    until : date, optional
        Its last day.
    """

    period: str = "year"
    since: object = None
    until: object = None


def tenure_between(
    start: pd.Series, end: pd.Series, *, since: object = None, until: object = None, period: str = "year"
) -> pd.DataFrame:
    """Tenure and churn in whole periods from first and last days.

    A period counts once it is over: of customers who came on one day, nobody is known to have stayed before the period
    ends, so counting those who have already left in it would overstate churn. Nor does the period count in which the
    ledger began: those who left in it before that day are not there.

    Parameters
    ----------
    start : (n,) Series of dates
        First day of each customer.
    end : (n,) Series of dates
        Last day; missing for customers who have not left.
    since : date, optional
        First day of the ledger, when it leaves out those who had left before (left truncation).
    until : date, optional
        Last day the ledger knows of; the last date in it when left out.
    period : {"year", "quarter", "month", "week", "day"}
        Years, quarters and months run from the day of the month a customer came.

    Returns
    -------
    DataFrame
        ``tenure`` (whole number), ``churned`` (bool) and ``present`` (bool), indexed as ``start``. Who left in a period
        that is not over yet has neither churned nor is present. With ``since`` also ``entry``, the periods behind
        customers when they were first at risk.

    Raises
    ------
    DataError
        Missing starts, starts after the end or after ``until``, a ``since`` after it, or text that is no date.
    UsageError
        An unknown period.

    Examples
    --------
    >>> start = pd.Series(["2020-01-01", "2020-01-01", "2023-06-01"])
    >>> end = pd.Series(["2022-05-01", None, "2023-09-01"])
    >>> tenure_between(start, end, until="2023-12-31")
       tenure  churned  present
    0       3     True    False
    1       4    False     True
    2       0    False    False
    """
    if period not in PERIODS:
        raise UsageError(f"The period is {period!r}; expected one of {', '.join(PERIODS)}.")
    came, left = dates(start, "start"), dates(end, "end")
    last = pd.concat([came, left]).max() if until is None else _day(until, "until")
    _check_order(came, left, last)
    gone = left.notna() & (left <= last)
    day = pd.Timedelta(days=1)
    complete = _whole_periods(came, pd.Series(last + day, index=came.index), period)
    renewed = _whole_periods(came, (left - day).where(gone, last).clip(lower=came), period)
    churned = gone & (renewed < complete)
    tenure = (renewed + 1).where(churned, complete).astype(int)
    found = pd.DataFrame({"tenure": tenure, "churned": churned, "present": ~gone})
    return found if since is None else _since(found, came, _day(since, "since"), last, period)


def _since(found: pd.DataFrame, came: pd.Series, first: pd.Timestamp, last: pd.Timestamp, period: str) -> pd.DataFrame:
    """With ``entry``: only periods that began in the ledger count."""
    if first > last:
        expected = f"a day up to {last.date()}, its last"
        raise DataError.of("customers", "since", "order", f"a ledger from {first.date()} on", expected, "Mend it.")
    day = pd.Timedelta(days=1)
    earlier = pd.Series(first - day, index=came.index)
    entry = (_whole_periods(came, earlier, period) + 1).where(came < first, 0).clip(upper=found["tenure"])
    return found.assign(churned=found["churned"] & (entry < found["tenure"]), entry=entry.astype(int))


def _whole_periods(begin: pd.Series, finish: pd.Series, period: str) -> pd.Series:
    if period in ("week", "day"):
        return (finish - begin).dt.days // PERIODS[period]
    months = 12 * (finish.dt.year - begin.dt.year) + finish.dt.month - begin.dt.month
    return pd.Series((months - (finish.dt.day < begin.dt.day)) // PERIODS[period])


def _day(value: object, name: str) -> pd.Timestamp:
    return pd.Timestamp(dates(pd.Series([value]), name).iloc[0])


def dates(values: pd.Series, column: str, table: str = "customers") -> pd.Series:
    """A column as dates."""
    try:
        return pd.to_datetime(values, format="ISO8601")
    except (ValueError, TypeError) as error:
        raise DataError.of(
            table, column, "not_a_date", f"a value that is no date ({error})", "dates like 2026-01-31", "Mend it."
        ) from None


def _check_order(came: pd.Series, left: pd.Series, last: pd.Timestamp) -> None:
    n = int(came.isna().sum())
    if n:
        raise DataError.of(
            "customers", "start", "missing", f"{n} customers without a start", "a date for each", "Add or drop them."
        )
    wrong = int(((left < came) | (came > last)).sum())
    if wrong:
        raise DataError.of(
            "customers",
            "start",
            "order",
            f"{wrong} customers who start after they end, or after the ledger's last day",
            "start before end",
            "Check whether day and month, or the two columns, are swapped.",
        )


def watched(tenure: npt.ArrayLike, churned: npt.ArrayLike) -> tuple[FloatArray, BoolArray]:
    """Tenure and churn as checked arrays.

    Raises
    ------
    DataError
        Tenures that are negative or missing, churn that is not yes or no, or nobody who was watched at all.
    UsageError
        Not one of each a customer.

    Examples
    --------
    >>> watched([1, 2], ["1", "0"])
    (array([1., 2.]), array([ True, False]))
    """
    time = numeric_column(tenure, "tenure", "numbers of periods, 0 or more")
    left = numeric_column(churned, "churned", "1 for customers who left, else 0")
    if time.shape != left.shape:
        raise UsageError(f"tenure has {time.size} values and churned {left.size}; expected one of each a customer.")
    _refuse(~(np.isfinite(time) & (time >= 0)), "tenure", "tenures that are missing, infinite or negative", "0 or more")
    _refuse(~np.isin(left, (0.0, 1.0)), "churned", "values other than 0 and 1", "1 for customers who left, else 0")
    gone = left == 1
    if np.all(time == np.floor(time)):
        hint = "If tenure counts renewals, add 1 for customers who left: the occasion at which they left counts."
        _refuse(gone & (time == 0), "tenure", "customers who left with tenure 0", "tenures from 1 for them", hint)
    if not time.sum() > 0:
        _refuse(np.ones(1, bool), "tenure", "table in which nobody has been watched for a period", "tenures above 0")
    return time, gone


def entered(
    tenure: npt.ArrayLike, churned: npt.ArrayLike, entry: npt.ArrayLike | None = None
) -> tuple[FloatArray, BoolArray, FloatArray]:
    """Tenure, churn and the tenure at which watching began, as checked arrays.

    Raises
    ------
    DataError
        As for :func:`watched`; entries that are missing, negative or behind the tenure, and customers who left at the
        very moment at which watching began.

    Examples
    --------
    >>> entered([3, 4], [1, 0], [2, 0])[2]
    array([2., 0.])
    """
    time, left = watched(tenure, churned)
    if entry is None:
        return time, left, np.zeros(time.size)
    start = numeric_column(entry, "entry", "numbers of periods, 0 or more")
    if start.shape != time.shape:
        raise UsageError(f"entry has {start.size} values and tenure {time.size}; expected one of each a customer.")
    _refuse(
        ~(np.isfinite(start) & (start >= 0)), "entry", "entries that are missing, infinite or negative", "0 or more"
    )
    _refuse(start > time, "entry", "customers whose watching began after it ended", "entry before tenure")
    _refuse(left & (start >= time), "entry", "customers who left when their watching began", "entry before tenure")
    _refuse(
        np.array([not (time - start).sum() > 0]), "entry", "table in which nobody was watched", "entry before tenure"
    )
    return time, left, start


def _refuse(wrong: BoolArray, column: str, what: str, expected: str, hint: str = "Check the column.") -> None:
    if wrong.any():
        raise DataError.of("customers", column, "impossible_value", f"{int(wrong.sum())} {what}", expected, hint)


def numeric_column(values: npt.ArrayLike, column: str, expected: str) -> FloatArray:
    """A column of the ledger as floats, missing ones NaN.

    Raises
    ------
    DataError
        Text that is no number.

    Examples
    --------
    >>> numeric_column(["1", None], "margin", "amounts of money")
    array([ 1., nan])
    """
    try:
        numbers = pd.to_numeric(pd.Series(values).reset_index(drop=True))
    except (ValueError, TypeError):
        raise DataError.of(
            "customers", column, "not_numeric", "values that are not numbers", expected, "Recode the column."
        ) from None
    return np.asarray(numbers.to_numpy(dtype=float, na_value=np.nan))
