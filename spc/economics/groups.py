"""How surely customers of each segment, unit, tenure or year of joining stay, beside each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.economics.curve import differing_rates
from spc.economics.ledger import ledger_of, read_ledger
from spc.economics.lifetable import LifeTable, life_table, life_tables
from spc.economics.models import spans_of
from spc.economics.retention import rate_interval
from spc.economics.tenure import PERIODS, dates
from spc.errors import DataError, UsageError
from spc.linalg import FloatArray
from spc.results import Note, Provenance, Shown, fingerprint, tidy_frame

if TYPE_CHECKING:
    from spc.study import Study

__all__ = ["RetentionGroups", "retention_by"]

OTHERS = "all smaller ones"


@dataclass(frozen=True, eq=False, repr=False)
class RetentionGroups(Shown):
    """Retention of groups of customers.

    Attributes
    ----------
    by : str
        What the groups are.
    table : DataFrame
        ``group, customers, periods, events, retention, conf_low, conf_high``; they partition the customers (periods of
        tenure: the time customers were watched).
    p_value : float
        Of one rate for all groups against one of their own (likelihood ratio); NaN with one group.
    joined : int
        Groups of too few customers that were put together.
    level : float
    provenance : Provenance
    """

    by: str
    table: pd.DataFrame
    p_value: float
    joined: int
    level: float
    provenance: Provenance
    kind: str = "retention_groups"

    def tidy(self) -> pd.DataFrame:
        """Rows ``retention``, one a group (``rhs``); ``lhs`` is what the groups are."""
        rows = [
            {
                "lhs": self.by,
                "rhs": row["group"],
                "kind": "retention",
                "label": f"{row['customers']:.0f} customers, {row['events']:.0f} left",
                "estimate": row["retention"],
                "conf_low": row["conf_low"],
                "conf_high": row["conf_high"],
            }
            for row in self.table.to_dict("records")
        ]
        return tidy_frame(rows)

    def glance(self) -> pd.DataFrame:
        """One row: groups, the customers of the smallest, and whether they differ."""
        row = {
            "customers": int(self.table["customers"].min()),
            "groups": len(self.table),
            "joined": self.joined,
            "p_value": self.p_value,
            "level": self.level,
        }
        return pd.DataFrame([row])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the rates."""
        if not self.joined:
            return ()
        return (Note.of("groups_joined", "info", self.by, groups=self.joined, by=self.by),)


def retention_by(
    customers: Study | pd.DataFrame,
    *,
    by: str,
    fewest: int = 5,
    period: str | None = None,
    since: object = None,
    until: object = None,
    level: float = 0.95,
) -> RetentionGroups:
    """Retention per period of every group, with its exact interval and a test of whether they differ.

    Parameters
    ----------
    customers : Study or DataFrame
        A study with a ledger, or the ledger: ``tenure, churned`` (or ``start, end``), where known ``entry``.
    by : str
        A column (``segment``, ``unit``, ``wave``, ...), ``"tenure"`` (spans of periods behind customers), ``"joined"``
        (the year of ``start``), or ``"calendar_year"`` (the year in which a period of tenure ended; a customer counts
        in every year).
    fewest : int
        Groups of fewer customers are put together.
    period, since, until
        What the dates of a ledger cover, see :func:`tenure_between`; a study says it under ``[money]``.
    level : float

    Returns
    -------
    RetentionGroups

    Raises
    ------
    DataError
        No such column, or tables that cannot be.
    UsageError
        Fewer customers than ``fewest``, or a level outside 0..1.

    Examples
    --------
    >>> ledger = pd.DataFrame({"tenure": [4] * 12 + [2] * 8, "churned": [0] * 12 + [1] * 8, "segment": ["a", "b"] * 10})
    >>> retention_by(ledger, by="segment").table[["group", "customers", "retention"]].round(2).to_numpy().tolist()
    [['a', 10, 0.88], ['b', 10, 0.88]]
    """
    if not 0 < level < 1:
        raise UsageError(f"The level is {level!r}; expected a share between 0 and 1, such as 0.95.")
    ledger, window = ledger_of(customers, period=period, since=since, until=until)
    named = _dated(ledger, by) if by in ("joined", "calendar_year") else ledger
    rows, _ = read_ledger(named, window, keep={"tenure": (), "calendar_year": ("start",)}.get(by, (by,)))
    rows = rows[rows["tenure"] > rows.get("entry", 0)].reset_index(drop=True)
    if len(rows) < fewest:
        raise UsageError(f"{len(rows)} customers were watched for a period; expected at least {fewest}.")
    if by == "calendar_year":
        counted, table, joined = _by_year(rows, window.period)
    else:
        counted, table, joined = _by_tenure(rows) if by == "tenure" else _by_column(rows, by, fewest)
    exposure, events = table.exposure.sum(axis=1), table.events.sum(axis=1)
    ends = [rate_interval(int(e), n, level, whole=table.whole) for n, e in zip(exposure, events, strict=True)]
    retention = 1 - events / exposure if table.whole else np.exp(-events / exposure)
    low, high = np.array(ends).T
    frame = counted.assign(periods=exposure, events=events, retention=retention, conf_low=low, conf_high=high)
    provenance = Provenance.record({"by": by, "fewest": fewest, "level": level}, fingerprint(rows))
    return RetentionGroups(by, frame, differing_rates(exposure, events, table.whole), joined, level, provenance)


def _dated(customers: pd.DataFrame, by: str) -> pd.DataFrame:
    if "start" not in customers or (by == "calendar_year" and {"tenure", "churned"} <= set(customers)):
        expected = "start and end of each customer" if by == "calendar_year" else "the first day of each customer"
        raise DataError.of("customers", "start", "missing_column", "no dates", expected, "Name the columns so.")
    start = dates(customers["start"], "start")
    return (
        customers.assign(start=start)
        if by == "calendar_year"
        else customers.assign(joined=start.dt.year.astype("Int64"))
    )


def together(values: pd.Series, fewest: int) -> tuple[pd.Series, int]:
    """Names of groups, those of few customers put together (with the next smallest where still few), and how many.

    Examples
    --------
    >>> together(pd.Series(["a", "a", "a", "b", "c"]), 2)[0].tolist()
    ['a', 'a', 'a', 'all smaller ones', 'all smaller ones']
    """
    text = values.astype(object).where(values.notna(), "not known").astype(str)
    counts = text.value_counts().sort_values()
    few = list(counts.index[counts < fewest])
    while few and counts[few].sum() < fewest and len(few) < len(counts):
        few.append(counts.index[len(few)])
    return (text.mask(text.isin(few), OTHERS), len(few)) if len(few) > 1 else (text, 0)


def _by_column(rows: pd.DataFrame, by: str, fewest: int) -> tuple[pd.DataFrame, LifeTable, int]:
    """Groups by the values of a column."""
    names, joined = together(rows[by], fewest)
    groups = sorted(set(names), key=lambda name: (name == OTHERS, name))
    codes = np.asarray(names.map({name: i for i, name in enumerate(groups)}), dtype=np.intp)
    table = life_tables(rows["tenure"], rows["churned"], codes, rows.get("entry"))
    return pd.DataFrame({"group": groups, "customers": np.bincount(codes)}), table, joined


def _by_tenure(rows: pd.DataFrame) -> tuple[pd.DataFrame, LifeTable, int]:
    """Spans of tenure, at most six; customers are counted in each they were watched in."""
    life = life_table(rows["tenure"], rows["churned"], rows.get("entry"))
    entry = rows["entry"].to_numpy(dtype=float) if "entry" in rows else np.zeros(len(rows))
    time, fewest = rows["tenure"].to_numpy(dtype=float), float(life.events.sum()) / 6.0
    return _by_span(life, fewest, entry, time, lambda a, b: f"period {a}" if a == b else f"periods {a} to {b}")


def _by_year(rows: pd.DataFrame, period: str) -> tuple[pd.DataFrame, LifeTable, int]:
    """Calendar years, by the last day of each period of tenure; neighbours together where few left."""
    came, renewals = np.unique(rows["start"].to_numpy(dtype="datetime64[D]"), return_inverse=True)
    tables = life_tables(rows["tenure"], rows["churned"], renewals, rows.get("entry"))
    year = _year_of_end(came[:, None], np.arange(1, tables.periods + 1), period)
    watched = tables.exposure > 0
    first, last = int(year[watched].min()), int(year[watched].max())
    place = np.where(watched, year - first, 0)
    exposure, events = (
        np.bincount(place.ravel(), x.ravel(), last - first + 1).astype(float) for x in (tables.exposure, tables.events)
    )
    life, time = LifeTable(exposure, events, tables.whole), rows["tenure"].to_numpy(dtype=int)
    entry = rows["entry"].to_numpy(dtype=int) if "entry" in rows else np.zeros(len(rows), dtype=int)
    ends = (_year_of_end(came[renewals], at, period) - first for at in (entry + 1, time))
    start, end = (x.astype(float) for x in ends)

    def name(a: int, b: int) -> str:
        return str(first + a - 1) if a == b else f"{first + a - 1} to {first + b - 1}"

    return _by_span(life, 0.0, start, end + 1.0, name)


def _year_of_end(came: npt.NDArray[np.datetime64], periods: npt.NDArray[np.int_], period: str) -> npt.NDArray[np.int_]:
    """Calendar year of the last day of the period-th period of who came on a day."""
    before = came - np.timedelta64(1, "D")
    if period in ("week", "day"):
        return (before + periods * np.timedelta64(PERIODS[period], "D")).astype("datetime64[Y]").astype(int) + 1970
    return (before.astype("datetime64[M]").astype(int) + periods * PERIODS[period]) // 12 + 1970


def _by_span(
    life: LifeTable, fewest: float, first: FloatArray, last: FloatArray, name: Callable[[int, int], str]
) -> tuple[pd.DataFrame, LifeTable, int]:
    """Neighbouring places of a life table, together until five, or ``fewest``, left in them."""
    spans = spans_of(life, max(5.0, fewest))
    start = np.flatnonzero(np.diff(spans, prepend=-1))
    end = np.append(start[1:], life.periods)
    names = [name(int(a) + 1, int(b)) for a, b in zip(start, end, strict=True)]
    seen = [int(((first < b) & (last > a)).sum()) for a, b in zip(start, end, strict=True)]
    exposure, events = (np.add.reduceat(x, start)[:, None] for x in (life.exposure, life.events))
    return pd.DataFrame({"group": names, "customers": seen}), LifeTable(exposure, events, life.whole), 0
