"""A study: validated tables, constructs, chain and terms, and how well its constructs are measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from spc.disclosure import DisclosureRule
from spc.errors import Finding, UsageError
from spc.results import Note, Shown, fingerprint
from spc.study.accounts import AccountsSpec
from spc.study.document import ChainSpec, MoneySpec, ReportSpec, StudyDocument
from spc.study.quality import Quality, latest_wave, quality
from spc.survey import Construct, score, score_table
from spc.words import phrase

__all__ = ["SIDES", "Study", "person_scores", "unit_scores"]

Side = Literal["employee", "customer"]
SIDES: Mapping[Side, str] = {"employee": "employee_responses", "customer": "customer_responses"}
"""Survey side to the table with its answers."""


@dataclass(frozen=True, eq=False, repr=False)
class Study(Shown):
    """Everything a study document says, with its tables read and found in order.

    Attributes
    ----------
    document : StudyDocument
    tables : mapping of str to DataFrame
        By canonical name, with canonical column names; missing codes are missing values.
    findings : tuple of Finding
        Warnings of the check; a study with errors is never made.
    kind : str
        ``"study"``.
    """

    document: StudyDocument
    tables: Mapping[str, pd.DataFrame]
    findings: tuple[Finding, ...] = ()
    kind: str = "study"

    @property
    def name(self) -> str:
        """What the study is called."""
        return self.document.study.name

    @property
    def currency(self) -> str:
        """Of every amount of money."""
        return self.document.study.currency

    @property
    def seed(self) -> int:
        """Of every random draw."""
        return self.document.study.seed

    @property
    def folder(self) -> Path:
        """Where the document lies."""
        return self.document.folder

    @property
    def codebook(self) -> tuple[Construct, ...]:
        """The constructs, in the order of the document."""
        return self.document.constructs

    @property
    def chain(self) -> ChainSpec | None:
        """The links to fit; None in a study without."""
        return self.document.chain

    @property
    def money(self) -> MoneySpec | None:
        """The terms of money; None in a study without."""
        return self.document.money

    @property
    def accounts(self) -> AccountsSpec | None:
        """How customer accounts are kept; None in a study that does not say."""
        return self.document.accounts

    @property
    def disclosure(self) -> DisclosureRule:
        """How many people must stand behind a number."""
        return self.document.disclosure

    @property
    def report(self) -> ReportSpec:
        """How the report is to look."""
        return self.document.report

    @cached_property
    def quality(self) -> Quality:
        """How well each construct is measured, at the latest wave of its table."""
        return quality(self.tables, self.codebook, fewest=self.disclosure.minimum_group)

    @cached_property
    def fingerprint(self) -> str:
        """Short hash of document and tables."""
        text = pd.DataFrame({"document": self.document.text.splitlines()})
        return fingerprint(text, *(self.tables[name] for name in sorted(self.tables)))

    def tidy(self) -> pd.DataFrame:
        """Measurement quality: one row a construct and figure.

        Kinds are ``alpha`` and ``omega`` for constructs of several items and, for sides with units, the figures of
        :func:`spc.survey.aggregation` (ICC(1), ICC(2), rwg).
        """
        return self.quality.tidy()

    def glance(self) -> pd.DataFrame:
        """One row: people, units, customers and waves, and the share of answers that is missing.

        Counts of a table the study does not have are 0; ``share_missing`` is over all items of a side, NaN without.
        """
        employees, customers = (self.tables.get(SIDES[side]) for side in SIDES)
        row: dict[str, Any] = {
            "employee_responses": 0 if employees is None else len(employees),
            "customer_responses": 0 if customers is None else len(customers),
            "units": len(self.units),
            "customers": len(self.tables.get("customers", ())),
            "waves": len(self.waves),
            "constructs": len(self.codebook),
            "share_missing_employee": self._share_missing("employee"),
            "share_missing_customer": self._share_missing("customer"),
            "warnings": len(self.findings),
        }
        return pd.DataFrame([row])

    def notes(self) -> tuple[Note, ...]:
        """Warnings of the check, then verdicts on measurement that a reader must know."""
        return (*map(_note, self.findings), *self.quality.notes())

    def augment(self) -> pd.DataFrame:
        """One row a unit: the mean of every construct that people answered and, as ``n_<construct>``, how many did.

        At the latest wave of each side; without rows where no side has units. Confidential: it leaves only through
        the gate, which hides what rests on too few.
        """
        parts: list[pd.DataFrame] = []
        for side, table in SIDES.items():
            names = [c.name for c in self.codebook if c.table == table]
            if names and _has_units(self, table):
                scores = latest_wave(person_scores(self, side)).groupby("unit")[names]
                parts += [scores.mean(), scores.count().add_prefix("n_")]
        if not parts:
            return pd.DataFrame()
        joined = pd.concat(parts, axis=1).sort_index()
        counts = [name for part in parts[1::2] for name in part.columns]
        return joined.fillna(dict.fromkeys(counts, 0)).astype(dict.fromkeys(counts, int)).reset_index(names="unit")

    @property
    def units(self) -> tuple[str, ...]:
        """Every unit that any table names, sorted."""
        named = [table["unit"].dropna() for table in self.tables.values() if "unit" in table]
        return tuple(sorted({str(unit) for column in named for unit in column}))

    @property
    def waves(self) -> tuple[Any, ...]:
        """Every wave of the survey sides and unit results, in order."""
        timed = [table["wave"].dropna() for table in self.tables.values() if "wave" in table]
        return tuple(sorted({wave for column in timed for wave in column}))

    def _share_missing(self, side: Side) -> float:
        items = [item for c in self.codebook if c.table == SIDES[side] for item in c.items]
        if SIDES[side] not in self.tables or not items:
            return float("nan")
        return float(self.tables[SIDES[side]][items].isna().to_numpy().mean())


def person_scores(study: Study, side: Side) -> pd.DataFrame:
    """Construct scores of the people of one side.

    Parameters
    ----------
    study : Study
    side : {"employee", "customer"}

    Returns
    -------
    DataFrame
        One row a person (and wave): those of ``respondent, unit, wave`` that the table has, then one column a
        construct. Confidential: it never leaves as it is.

    Raises
    ------
    UsageError
        The study has no such side.
    """
    if side not in SIDES or SIDES[side] not in study.tables:
        there = [s for s, table in SIDES.items() if table in study.tables]
        raise UsageError(f"The study has no {side!r} side; it has: {', '.join(there) or 'none'}.")
    constructs = [c for c in study.codebook if c.table == SIDES[side]]
    table = study.tables[SIDES[side]]
    keep = tuple(key for key in ("respondent", "unit", "wave") if key in table)
    return score_table(table, constructs, keep=keep)


def unit_scores(study: Study) -> pd.DataFrame:
    """Construct means of every unit, with the results of the units beside them.

    Returns
    -------
    DataFrame
        Indexed by ``unit`` (and ``wave`` where every survey side has one; results of units without a wave then stand
        beside each): one column a construct (mean over its people, or the unit's own result), ``n_employee`` and
        ``n_customer`` (people of each side), and ``missing``, which sides a unit lacks, comma-separated. Units of every
        table are there; what a unit does not have is NaN. Confidential: it leaves only through the gate.

    Raises
    ------
    UsageError
        No table has a unit column.
    """
    if not any(_has_units(study, table) for table in (*SIDES.values(), "units")):
        raise UsageError("The study has no units: no table has a unit column.")
    keys = _unit_keys(study)
    blocks = [_side_means(study, side, keys) for side in SIDES if _has_units(study, SIDES[side])]
    if _has_units(study, "units"):
        blocks.append(_unit_results(study, keys))
    wide = blocks[0]
    for block in blocks[1:]:
        wide = wide.join(block, how="outer")
    return _with_counts(wide.sort_index(), study)


def _has_units(study: Study, table: str) -> bool:
    return table in study.tables and "unit" in study.tables[table]


def _unit_keys(study: Study) -> list[str]:
    sides = [study.tables[t] for t in SIDES.values() if _has_units(study, t)] or [study.tables["units"]]
    return ["unit", "wave"] if all("wave" in table for table in sides) else ["unit"]


def _side_means(study: Study, side: Side, keys: list[str]) -> pd.DataFrame:
    scores = person_scores(study, side)
    if keys == ["unit"] and "wave" in scores:
        scores = latest_wave(scores)
    names = [c.name for c in study.codebook if c.table == SIDES[side]]
    grouped = scores.groupby(keys)
    return grouped[names].mean().assign(**{f"n_{side}": grouped.size()})


def _unit_results(study: Study, keys: list[str]) -> pd.DataFrame:
    units = study.tables["units"]
    keys = [key for key in keys if key in units]
    units = units if len(keys) > 1 else latest_wave(units)
    constructs = [c for c in study.codebook if c.table == "units"]
    results = pd.DataFrame({c.name: score(units, c) for c in constructs}, index=units.index)
    return results.set_index(pd.MultiIndex.from_frame(units[keys]) if len(keys) > 1 else units["unit"])


def _with_counts(wide: pd.DataFrame, study: Study) -> pd.DataFrame:
    sides = [side for side in SIDES if f"n_{side}" in wide]
    counts = [f"n_{side}" for side in sides]
    wide[counts] = wide[counts].fillna(0).astype(int)
    empty = wide[counts].to_numpy() == 0
    missing = [", ".join(side for side, none in zip(sides, row, strict=True) if none) for row in empty]
    names = [c.name for c in study.codebook if c.name in wide]
    return wide[[*names, *counts]].assign(missing=missing)


def _note(finding: Finding) -> Note:
    subject = finding.table if finding.column is None else f"{finding.table}.{finding.column}"
    found = finding.found.split(":")[0] if finding.rule == "small_unit" else finding.found  # names stay inside
    told = {"found": found, "expected": finding.expected, "hint": finding.hint, "rule": finding.rule}
    return Note(finding.rule, "warning", subject, phrase("note.finding", subject=subject, **told))
