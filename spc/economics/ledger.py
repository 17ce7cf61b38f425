"""The customer ledger as the models of retention want it: tenure, churn, presence, margin, unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from spc.economics.region import student
from spc.economics.tenure import Window, numeric_column, tenure_between
from spc.errors import DataError, UsageError
from spc.linalg import FloatArray

if TYPE_CHECKING:
    from spc.study import Study

__all__ = ["MarginMean", "ages_of", "leaning", "ledger_of", "margin_mean", "margin_rows", "read_ledger", "window_of"]


@dataclass(frozen=True, slots=True)
class MarginMean:
    """Mean margin per customer and period, losses included.

    Attributes
    ----------
    estimate, std_error : float
    customers : int
        How many margins it is the mean of.
    negative : int
        How many of them are losses.
    lean : float
        Skewness of the mean over six: a few very good customers make it likelier that the mean is too low, and surely
        known too well, than the other way round.
    """

    estimate: float
    std_error: float
    customers: int
    negative: int
    lean: float = 0.0

    def interval(self, level: float) -> tuple[float, float]:
        """Student's interval, corrected for skewness."""
        t = student(self.customers - 1, level)
        low, high = leaning(np.array([-t, t]), self.lean)
        return self.estimate + self.std_error * float(low), self.estimate + self.std_error * float(high)

    def draws(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw n means around the estimate, shape (n,)."""
        t = rng.standard_t(self.customers - 1, size=n)
        return np.asarray(self.estimate + self.std_error * leaning(t, self.lean))


def leaning(t: FloatArray, lean: float) -> FloatArray:
    """Student's quantiles as those of a mean of skewed values (Johnson 1978, JASA 73): ``t + lean (1 + 2 t^2)``."""
    return np.asarray(t + lean * (1.0 + 2.0 * t**2))


def ledger_of(
    data: Study | pd.DataFrame, *, period: str | None = None, since: object = None, until: object = None
) -> tuple[pd.DataFrame, Window]:
    """The customer ledger of a study, or the one given, and what its dates cover.

    Raises
    ------
    UsageError
        Neither a ledger nor a study that has one.
    """
    if isinstance(data, pd.DataFrame):
        return data, Window(period or "year", since, until)
    from spc.study import Study

    if not isinstance(data, Study):
        raise UsageError(f"Expected a study or a customer ledger, found a {type(data).__name__}.")
    if "customers" not in data.tables:
        have = ", ".join(data.tables)
        raise UsageError(f"The study has no customer table ([tables.customers]); it has: {have}.")
    own = window_of(data)
    given = Window(period or own.period, own.since if since is None else since, own.until if until is None else until)
    return data.tables["customers"], given


def window_of(study: Study) -> Window:
    """What the dates of a study's ledger cover, as the document says; the last day of the books, where it says none."""
    from spc.study import MoneySpec

    money = study.money or MoneySpec()
    books = study.document.accounts
    return Window(money.period, money.since, money.until or (books.until if books else None))


def read_ledger(
    customers: pd.DataFrame, window: Window | None = None, keep: Sequence[str] = ()
) -> tuple[pd.DataFrame, int]:
    """Rows of customers that are known: ``tenure, churned, present``, and ``margin, entry, unit`` where given.

    Parameters
    ----------
    customers : DataFrame
    window : Window, optional
        What a ledger with dates covers.
    keep : sequence of str
        Further columns, carried along as they are.

    Returns
    -------
    ledger : DataFrame
    dropped : int
        Customers left out because tenure or churn was missing.

    Raises
    ------
    DataError
        Columns that are missing, or hold values that cannot be.
    """
    have = set(customers.columns)
    for name in keep:
        if name not in have:
            listed = ", ".join(map(str, customers.columns))
            raise DataError.of("customers", name, "missing_column", "no such column", f"one of {listed}", "Name it so.")
    if not ({"tenure", "churned"} <= have or {"start", "end"} <= have):
        raise DataError.of(
            "customers",
            None,
            "missing_column",
            f"columns {', '.join(map(str, customers.columns)) or '(none)'}",
            "tenure and churned, or start and end",
            "Name the columns of the ledger in the study document.",
        )
    w = window or Window()
    if {"tenure", "churned"} <= have:
        if w.since is not None:
            raise UsageError(
                "since is the first day of a ledger with start and end; this one has tenure. Give each customer's "
                "tenure on that day as the column entry."
            )
        complete = customers["tenure"].notna() & customers["churned"].notna()
        ledger = customers.loc[complete, ["tenure", "churned"]]
        ledger = ledger.assign(present=numeric_column(ledger["churned"], "churned", "0 or 1") == 0)
    else:
        complete = customers["start"].notna()
        kept = customers.loc[complete]
        ledger = tenure_between(kept["start"], kept["end"], since=w.since, until=w.until, period=w.period)
    if "margin" in have:
        ledger = ledger.assign(margin=_amounts(customers.loc[complete, "margin"]))
    kept = customers.loc[complete]
    if "entry" in have:
        entry = kept["entry"].fillna(0)
        ledger = ledger.assign(entry=np.maximum(entry, ledger["entry"]) if "entry" in ledger else entry)
    for name in dict.fromkeys([*(["unit"] if "unit" in have else []), *keep]):
        if name not in ledger:
            ledger = ledger.assign(**{name: kept[name]})
    return ledger.reset_index(drop=True), int((~complete).sum())


def ages_of(ledger: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
    """Whole periods behind present customers, and the share of customers at each; new customers where none is present.

    Examples
    --------
    >>> ages_of(pd.DataFrame({"tenure": [2.5, 2.0, 7.0], "present": [True, True, False]}))
    (array([2.]), array([1.]))
    """
    behind = np.floor(ledger.loc[ledger["present"], "tenure"].to_numpy(dtype=float))
    if not behind.size:
        return np.zeros(1), np.ones(1)
    ages, count = np.unique(behind, return_counts=True)
    return ages, count / count.sum()


def _amounts(values: pd.Series) -> FloatArray:
    amounts = numeric_column(values, "margin", "amounts of money")
    if (np.abs(amounts) > _LARGEST).any():
        expected = f"amounts of at most {_LARGEST:g}"
        raise DataError.of("customers", "margin", "infinite", "infinite amounts", expected, "Check the column.")
    return amounts


def margin_rows(ledger: pd.DataFrame) -> pd.Series:
    """Which rows the mean margin is of: present customers, or all where fewer than two of those have a margin."""
    known = ledger["margin"].notna()
    present = known & ledger["present"]
    return present if present.sum() >= 2 else known


def margin_mean(ledger: pd.DataFrame) -> MarginMean | None:
    """Mean margin of present customers; None without a column of margins.

    Raises
    ------
    DataError
        Fewer than two margins.
    """
    if "margin" not in ledger:
        return None
    amounts = ledger.loc[margin_rows(ledger), "margin"].to_numpy(dtype=float)
    if amounts.size < 2:
        raise DataError.of(
            "customers",
            "margin",
            "too_few",
            f"{amounts.size} margins",
            "at least two, for an interval",
            "Fill the column, or leave it out to have retention alone.",
        )
    mean, spread, root = float(amounts.mean()), float(amounts.std(ddof=1)), math.sqrt(amounts.size)
    skewness = float((((amounts - mean) / spread) ** 3).mean()) if spread > 0 else 0.0
    lean = max(-_MOST_LEAN, min(_MOST_LEAN, skewness / (6.0 * root)))
    return MarginMean(mean, spread / root, amounts.size, int((amounts < 0).sum()), lean)


_LARGEST = 1e100
_MOST_LEAN = 0.05
"""Quantiles stay in order up to four errors from the estimate."""
