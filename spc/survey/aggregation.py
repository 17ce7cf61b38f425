"""From people to units: whether unit means mean anything, and how far they can be relied on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from spc.errors import DataError, Finding, UsageError
from spc.results import Note, Shown, tidy_frame
from spc.survey.agreement import NULLS, agreement
from spc.survey.codebook import Construct
from spc.survey.intraclass import OneWay, RandomIntercept, mean_reliability, one_way, random_intercept, unit_sums
from spc.survey.scoring import keyed_items, score
from spc.survey.units import unit_codes
from spc.survey.verdict import agreement_note, notes_on

__all__ = ["Aggregation", "UnitScores", "aggregation"]


@dataclass(frozen=True, eq=False)
class UnitScores:
    """One construct, aggregated.

    Attributes
    ----------
    construct : Construct
    n, units, singles : int
        People with a score and a unit; units they make; units of one person.
    unscored, unplaced : int
        People left out because they have no score, or a score and no unit.
    anova : OneWay or None
        None when there is nothing to compare: one unit, one person a unit, or equal scores.
    reml : RandomIntercept or None
    table : DataFrame
        One row a unit, see :meth:`Aggregation.unit_table`.
    agreement : DataFrame or None
        One row a unit, see :func:`spc.survey.agreement.agreement`; None without an answer scale of whole points.
    level : float
    """

    construct: Construct
    n: int
    units: int
    singles: int
    unscored: int
    unplaced: int
    anova: OneWay | None
    reml: RandomIntercept | None
    table: pd.DataFrame
    agreement: pd.DataFrame | None
    level: float

    @property
    def mean_size(self) -> float:
        """People a unit, on average."""
        return self.n / self.units if self.units else float("nan")


@dataclass(frozen=True, eq=False, repr=False)
class Aggregation(Shown):
    """What :func:`aggregation` found, for one construct or several.

    Attributes
    ----------
    scores : mapping of str to UnitScores
        By name of the construct.
    unit : str
        The column that held the units.
    level : float
        Level of the intervals.
    """

    scores: Mapping[str, UnitScores]
    unit: str
    level: float

    @property
    def kind(self) -> str:
        """Always ``"aggregation"``."""
        return "aggregation"

    def tidy(self) -> pd.DataFrame:
        """Long table: ``lhs`` is the construct, ``kind`` what the number is, ``rhs`` how it is summed up.

        Kinds: ``icc1_anova, icc2_anova, F, icc1_reml, icc2_reml`` (ICC(2) by REML is for a unit of mean size); then
        ``rwg_uniform, rwg_slight_skew, rwg_moderate_skew, rwg_heavy_skew``, with ``rhs`` saying which summary over
        units it is: ``median``, ``mean`` or ``share_70``, the share of units at .70 or more; then ``ad``.
        """
        return tidy_frame([row for name, found in self.scores.items() for row in _rows(name, found)])

    def glance(self) -> pd.DataFrame:
        """One row: constructs, units, people scored at most and at least, mean unit size."""
        found = list(self.scores.values())
        units, people = [f.units for f in found], [f.n for f in found]
        size = float(np.nanmean([f.mean_size for f in found])) if any(units) else np.nan
        row = (len(found), max(units), min(people), max(people), size, self.level)
        columns = ["nconstructs", "nunits", "nobs_min", "nobs_max", "mean_unit_size", "level"]
        return pd.DataFrame([row], columns=columns)

    def notes(self) -> tuple[Note, ...]:
        """A verdict per construct in plain words (code ``aggregation_verdict``), and what else a reader must know."""
        return tuple(note for found in self.scores.values() for note in notes_on(found))

    def verdict(self, construct: str) -> str:
        """The verdict on one construct.

        Raises
        ------
        UsageError
            There is no such construct here.
        """
        found = self.scores.get(construct)
        if found is None:
            near = get_close_matches(construct, self.scores, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self.scores)}."
            raise UsageError(f"There is no construct {construct!r} in this aggregation. {hint}")
        return next(note.text for note in notes_on(found) if note.code == "aggregation_verdict")

    def unit_table(self) -> pd.DataFrame:
        """Means of the units, with what they rest on: one row a construct and unit.

        Columns: ``construct``, ``unit``, ``n`` (people scored), ``mean``, ``sd`` (NaN for one person),
        ``reliability`` (of this unit's mean at its own size, from ICC(1) by REML), ``shrunken_mean`` (pulled towards
        the mean of all units by what its reliability lacks), ``rwg_uniform`` and ``ad`` (NaN where not defined).
        """
        tables = [found.table.assign(construct=name) for name, found in self.scores.items()]
        columns = ["construct", "unit", "n", "mean", "sd", "reliability", "shrunken_mean", "rwg_uniform", "ad"]
        return pd.concat(tables, ignore_index=True)[columns]

    def augment(self) -> pd.DataFrame:
        """The same as :meth:`unit_table`."""
        return self.unit_table()

    def agreement_in_words(self, construct: str) -> str:
        """Agreement within units on one construct, as a sentence; empty where it is not defined."""
        found = self.scores.get(construct)
        note = None if found is None else agreement_note(found)
        return "" if note is None else note.text


def aggregation(
    data: pd.DataFrame,
    *,
    unit: str,
    scales: Mapping[str, Construct] | Iterable[Construct],
    level: float = 0.95,
) -> Aggregation:
    """Check whether scores may be averaged to units: ICC(1), ICC(2), agreement, and the unit means themselves.

    Parameters
    ----------
    data : DataFrame
        One row a person, with the items of the constructs and the unit.
    unit : str
        Column of the unit. Identifiers may be of any plain type; people without a unit are left out and counted.
    scales : mapping of str to Construct, or iterable of Construct
        What to aggregate. Scores follow :func:`spc.survey.scoring.score`.
    level : float
        Level of the intervals.

    Returns
    -------
    Aggregation

    Raises
    ------
    DataError
        The unit column or an item is absent or faulty; carries every finding.
    UsageError
        No scales, or a level that is not between 0 and 1.

    Examples
    --------
    >>> people = pd.DataFrame({"branch": ["a"] * 4 + ["b"] * 4 + ["c"] * 4,
    ...                        "q1": [5, 5, 4, 5, 2, 3, 2, 2, 4, 3, 4, 4]})
    >>> found = aggregation(people, unit="branch", scales=[Construct("value", ["q1"], low=1, high=5)])
    >>> found.tidy().query("kind == 'icc1_anova'")["estimate"].round(3).tolist()
    [0.859]
    >>> found.unit_table()[["unit", "n", "mean", "reliability"]].round(2).values.tolist()
    [['a', 4, 4.75, 0.96], ['b', 4, 2.25, 0.96], ['c', 4, 3.75, 0.96]]
    """
    if not 0 < level < 1:
        raise UsageError(f"level = {level!r} is not a level; give a number between 0 and 1, such as 0.95.")
    named = dict(scales) if isinstance(scales, Mapping) else {construct.name: construct for construct in scales}
    if not named:
        raise UsageError("There is nothing to aggregate: scales is empty. Give at least one Construct.")
    ids = _unit_column(data, unit)
    findings: list[Finding] = []
    found: dict[str, UnitScores] = {}
    for name, construct in named.items():
        try:
            found[name] = _aggregate(data, ids, construct, level)
        except DataError as error:
            findings += error.findings
    if findings:
        raise DataError(dict.fromkeys(findings))
    return Aggregation(MappingProxyType(found), unit, level)


def _unit_column(data: pd.DataFrame, unit: str) -> pd.Series[Any]:
    if unit not in data.columns:
        near = get_close_matches(str(unit), [str(column) for column in data.columns], n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "Name the column that holds the unit of each person."
        raise DataError.of("data", str(unit), "missing_column", "no such column", f"a column {unit!r}", hint)
    column: pd.Series[Any] | pd.DataFrame = data[unit]
    if isinstance(column, pd.DataFrame):
        found = f"{column.shape[1]} columns of this name"
        raise DataError.of("data", str(unit), "duplicate_column", found, "one", "Rename.")
    return column


def _aggregate(data: pd.DataFrame, ids: pd.Series[Any], construct: Construct, level: float) -> UnitScores:
    scores = np.asarray(score(data, construct), dtype=np.float64)
    codes, units = unit_codes(ids)
    scored = ~np.isnan(scores)
    kept = scored & (codes >= 0)
    values, members = np.asarray(scores[kept], dtype=np.float64), codes[kept]
    sums = unit_sums(values, members)
    anova = one_way(sums, level) if sums.estimable else None
    reml = random_intercept(sums, level) if sums.estimable else None
    present = units[np.unique(members)]
    agreed = _agreement(data, ids, construct, present)
    table = _unit_means(values, members, reml).assign(unit=present)
    nothing = np.full(len(present), np.nan)
    for column in ("rwg_uniform", "ad"):
        table[column] = nothing if agreed is None else agreed[column].to_numpy()
    return UnitScores(
        construct=construct,
        n=sums.n,
        units=len(present),
        singles=int((sums.sizes == 1).sum()),
        unscored=int((~scored).sum()),
        unplaced=int((scored & (codes < 0)).sum()),
        anova=anova,
        reml=reml,
        table=table,
        agreement=agreed,
        level=level,
    )


def _agreement(data: pd.DataFrame, ids: pd.Series[Any], construct: Construct, units: pd.Index[Any]) -> Any:
    if construct.points is None:
        return None
    return agreement(keyed_items(data, construct), ids, points=construct.points).reindex(units)


def _unit_means(values: Any, codes: Any, reml: RandomIntercept | None) -> pd.DataFrame:
    grouped = pd.Series(values).groupby(codes)
    table = pd.DataFrame({"n": grouped.size(), "mean": grouped.mean(), "sd": grouped.std()}).reset_index(drop=True)
    if reml is None:
        return table.assign(reliability=np.nan, shrunken_mean=np.nan)
    reliability = mean_reliability(reml.icc, table["n"].to_numpy())
    return table.assign(reliability=reliability, shrunken_mean=reml.mean + reliability * (table["mean"] - reml.mean))


def _rows(name: str, found: UnitScores) -> list[dict[str, Any]]:
    nan = float("nan")
    a, r, size = found.anova, found.reml, found.mean_size
    first = (nan, nan, nan) if a is None else (a.icc1, a.icc1_low, a.icc1_high)
    second = (nan, nan, nan) if a is None else (a.icc2, a.icc2_low, a.icc2_high)
    third = (nan, nan, nan) if r is None else (r.icc, r.icc_low, r.icc_high)
    fourth = tuple(float(mean_reliability(icc, size)) for icc in third)
    rows = [
        {"kind": kind, "estimate": estimate, "conf_low": low, "conf_high": high}
        for kind, (estimate, low, high) in zip(
            ("icc1_anova", "icc2_anova", "icc1_reml", "icc2_reml"), (first, second, third, fourth), strict=True
        )
    ]
    F, p_value = (nan, nan) if a is None else (a.F, a.p_value)
    rows.insert(2, {"kind": "F", "estimate": F, "statistic": F, "p_value": p_value})
    return [{"lhs": name, **row} for row in (*rows, *_agreement_rows(found.agreement))]


def _agreement_rows(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    if table is None:
        return []
    rows = []
    for column in (*(f"rwg_{null}" for null in NULLS), "ad"):
        values = table[column].dropna()
        summaries = {"median": values.median(), "mean": values.mean()}
        if column != "ad":
            summaries["share_70"] = (values >= 0.70).mean()
        rows += [{"rhs": how, "kind": column, "estimate": float(value)} for how, value in summaries.items()]
    return rows
