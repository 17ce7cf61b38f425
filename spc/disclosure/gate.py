"""The one gate: whatever leaves an analysis is made here, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from spc.disclosure.checks import check_groups, refuse_personal, scale_ends
from spc.disclosure.given import (
    facts_of,
    hierarchy_of,
    labels_of,
    outer_groups,
    people_of,
    scales_of,
    table_of,
    unit_sizes,
)
from spc.disclosure.kinds import CURVES, MATRICES, OF_NO_ANSWERS, OF_THE_BOOKS, check_size, refuse_persons, refuse_staff
from spc.disclosure.memory import (
    MEMORY,
    Release,
    of_waves,
    read_memory,
    release_of,
    same_people,
    with_known,
    write_memory,
)
from spc.disclosure.merging import merged_rows, merged_units
from spc.disclosure.people import People, fewest_apart, least_people, three_digits
from spc.disclosure.released import _SEAL, ReleasedModel, ReleasedTable, ReleasedText
from spc.disclosure.rows import BoolArray, Parts, key_frame, layout
from spc.disclosure.rule import DisclosureRule
from spc.disclosure.suppression import SHOWN, suppress
from spc.disclosure.text import names_unit, plain_frame, plain_text
from spc.disclosure.waves import close_waves, hidden_elsewhere, over_waves
from spc.errors import DataError, UsageError
from spc.files import safe_cell
from spc.linalg import FloatArray
from spc.results import Note, Result
from spc.words import Phrase, phrase

__all__ = ["Gate"]

Limits = Mapping[str, tuple[float, float] | None] | tuple[float, float] | None


@dataclass(frozen=True, eq=False)
class Gate:
    """Makes every value that may leave, and remembers what it hid.

    Parameters
    ----------
    rule : DisclosureRule
    unit_sizes : mapping of str to int
        People in each unit, so that notes which name a small one can be withheld.
    hierarchy : mapping of str to mapping of str to str
        For each unit, what it belongs to: ``{"Bergen": {"region": "West"}}``.
    folder : Path, optional
        Where the memory of earlier reports lies.
    people : mapping, optional
        Who answered each question, see :mod:`spc.disclosure.people`.

    Examples
    --------
    >>> teams = pd.DataFrame(
    ...     {"team": ["a", "b", "c", None], "mean": [2.0, 4.0, 5.0, 4.4], "n": [3, 9, 20, 32]})
    >>> gate = Gate(DisclosureRule())
    >>> gate.groups(teams, keys=["team"], values=["mean"], counts="n", limits=(1, 7), name="By team").frame
       team  mean     n
    0     a   NaN  <NA>
    1     b   NaN  <NA>
    2     c   5.0    20
    3  None   4.4    32
    """

    rule: DisclosureRule = field(default_factory=DisclosureRule)
    unit_sizes: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    hierarchy: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    folder: Path | None = None
    people: People = field(default_factory=lambda: MappingProxyType({}), repr=False)
    _log: list[dict[str, Any]] = field(default_factory=list, init=False, repr=False)
    _releases: list[Release] = field(default_factory=list, init=False, repr=False)
    _earlier: list[People] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.rule, DisclosureRule):
            raise UsageError(f"Gate takes a DisclosureRule, found a {type(self.rule).__name__}.")
        if self.folder is not None:
            releases, earlier = read_memory(self.folder)
            self._releases.extend(releases)
            self._earlier.extend(earlier)

    @classmethod
    def of(cls, study: Any = None, rule: DisclosureRule | None = None) -> Gate:
        """Gate with the rule of a study (never a looser one) that knows its units and its earlier reports.

        Parameters
        ----------
        study : Study, optional
            Anything with ``disclosure``, ``tables`` and ``folder``.
        rule : DisclosureRule, optional
            A stricter rule; the larger of each minimum holds.

        Raises
        ------
        DataError
            The memory of earlier reports is damaged.
        """
        own = getattr(study, "disclosure", None)
        given = [r for r in (own, rule) if isinstance(r, DisclosureRule)] or [DisclosureRule()]
        strictest = DisclosureRule(
            max(r.minimum_group for r in given), max(r.minimum_comments for r in given),
            next((r.merge_into for r in given if r.merge_into), ""),
        )  # fmt: skip
        tables = getattr(study, "tables", {})
        return cls(
            strictest, unit_sizes(tables), hierarchy_of(tables), getattr(study, "folder", None), people_of(study)
        )

    @property
    def apart(self) -> float:
        """Fewest people by whom the answers differ from those behind an earlier report; infinite where by none."""
        return fewest_apart(self.people, self._earlier)

    @property
    def coarse(self) -> bool:
        """Whether numbers over all people leave in three digits.

        So it is where few people answered, or few more than in an earlier report: from full digits their answers could
        be worked out, see :func:`spc.disclosure.people.least_people`.
        """
        return self._tells(len(self.people))

    def _tells(self, variables: int) -> bool:
        """Whether the numbers of so many variables, in full digits, could tell of single answers."""
        behind = min((asked.n for asked in self.people.values()), default=np.inf)
        return bool(min(behind, self.apart) < least_people(variables))

    def check_people(self) -> None:
        """Refuse to say anything where too few people came, went or changed their answers since an earlier report.

        Raises
        ------
        DataError
            Subtracting one report from the other would tell of fewer people than the minimum.
        """
        if self.apart < self.rule.minimum_group:
            fewest = self.rule.minimum_group
            raise DataError.of(
                MEMORY, None, "too_few_newcomers",
                f"answers that differ from those behind an earlier report by fewer than {fewest} people",
                f"the same answers, or those of at least {fewest} people added, taken out or changed",
                "Whoever has both reports could work out these answers. Wait for more of them, or put the answers back "
                f"as they were; delete {MEMORY} only if no earlier report has been given away.",
            )  # fmt: skip

    def groups(
        self,
        frame: pd.DataFrame,
        *,
        keys: Sequence[str],
        values: Sequence[str],
        counts: str | Mapping[str, str],
        name: str,
        limits: Limits = None,
        totals: pd.DataFrame | None = None,
        wave: str | None = None,
        digits: int | None = None,
    ) -> ReleasedTable:
        """Release a table of groups: scores, shares or money by unit, region, wave.

        Parameters
        ----------
        frame : DataFrame
            One row a group. A missing key stands for all: with ``keys=["region", "unit"]`` the row of a region has no
            unit, and the total has neither.
        keys : sequence of str
            Columns that name a group, the outer ones first.
        values : sequence of str
            Numeric columns to release: means over the people of a row.
        counts : str or mapping of str to str
            Column with the people behind the values; a mapping gives each value its own, when values come from
            different people (employees, customers).
        name : str
            Name of the table.
        limits : pair of float, or mapping of str to pair of float, optional
            Ends of the scale of the values. With them, what is hidden stays open by the stated width
            (:data:`spc.disclosure.rule.WIDTH`); without, it is only not determined.
        totals : DataFrame, optional
            Rows, laid out as ``frame``, that readers know already and that cannot be hidden any more. The total over
            all rows, of each wave, is taken to be known in any case.
        wave : str, optional
            Key that is the wave; by default a key named ``wave``. A group that differs from its earlier wave by too
            few people is hidden, see :func:`spc.disclosure.waves.close_waves`.
        digits : int, optional
            Decimals the values are rounded to; two, and one where there are waves: what rounding leaves open need not
            be hidden.

        Returns
        -------
        ReleasedTable
            Keys, values and counts, nothing else. What is hidden is missing: rows of too few people, and as many
            neighbours as it takes so that subtraction from totals, from outer groups, from other waves or from what
            this gate and earlier reports released tells nothing of fewer people than the minimum. Where the rule says
            ``merge_into``, small units are first put together.

        Raises
        ------
        UsageError
            ``frame`` is no DataFrame, columns are not there, or a scale has no two ends.
        DataError
            A key or value is personal, a group is listed twice, a count is no count, a total is below its parts, or
            groups overlap in an unknown way.
        """
        sides = dict.fromkeys(values, counts) if isinstance(counts, str) else dict(counts)
        check_groups(frame, keys, values, sides, name)
        sides = {value: sides[value] for value in values}
        ends = scale_ends(limits, values, name)
        table, parts = self._merged(frame.reset_index(drop=True), list(keys), sides, name)
        axis = wave or ("wave" if "wave" in keys else None)
        places = digits if digits is not None else 2 if axis is None else 1
        names = key_frame(table, keys)
        released = pd.concat([names, table[list(values)].astype(float).round(places)], axis=1)
        withheld = pd.DataFrame(False, index=released.index, columns=released.columns)
        for side in dict.fromkeys(sides.values()):
            own = [value for value in values if sides[value] == side]
            today = Release(
                side, self._placed(names), table[side].to_numpy(float), table[own].astype(float), parts=parts
            )
            told = [] if totals is None else [release_of(totals, list(keys), side, own, name)]
            hidden = self._hidden(today, told, np.array([ends[value] for value in own]), axis, places, name)
            released[side] = table[side].astype("Int64").mask(hidden)
            released.loc[hidden, own] = np.nan
            withheld = withheld.assign(**dict.fromkeys([side, *own], hidden))
            few = phrase("note.hidden_why.few", minimum=self.rule.minimum_group)
            self._record(name, side, int(hidden.sum()), few)
        return ReleasedTable(name, plain_frame(released), withheld.rename(columns=plain_text), seal=_SEAL)

    def _merged(
        self, frame: pd.DataFrame, keys: list[str], sides: Mapping[str, str], name: str
    ) -> tuple[pd.DataFrame, Parts]:
        """The table with small units put together, where the rule wants it and the gate knows where they belong."""
        if not self.rule.merge_into or "unit" not in keys:
            return frame, {}
        sizes = frame.loc[frame["unit"].notna(), list(sides.values())].where(lambda n: n > 0).min(axis=1)
        smallest = sizes.groupby(frame["unit"].astype(str)).min().dropna()
        outer = {unit: found[self.rule.merge_into] for unit, found in self.hierarchy.items()
                 if self.rule.merge_into in found}  # fmt: skip
        parts = merged_units(smallest, outer, self.rule.minimum_group)
        if not parts:
            return frame, {}
        table = merged_rows(frame, parts, keys=keys, unit="unit", sides=sides)
        together = phrase("note.hidden_why.together", outer=self.rule.merge_into, minimum=self.rule.minimum_group)
        self._record(name, "units", sum(map(len, parts.values())), together)
        return table, parts

    def _hidden(
        self,
        today: Release,
        told: Sequence[Release],
        limits: FloatArray,
        wave: str | None,
        digits: int,
        name: str,
    ) -> BoolArray:
        """Which rows of one side are hidden; what is shown is kept for the tables to come."""
        minimum, listed = self.rule.minimum_group, slice(len(today.n))
        earlier = [of_waves(each, today.keys, wave or "wave") for each in self._releases]
        earlier = [each for each in earlier if same_people(each, today)]
        earlier += [replace(each, keys=self._placed(each.keys)) for each in told]
        seen = with_known(today, earlier, minimum=minimum, digits=digits, limits=limits, wave=wave)
        cells = layout(seen.keys, seen.n, seen.sums, limits=limits, table=name, parts=seen.parts, listed=len(today.n))
        groups = [] if wave is None else over_waves(today.keys, wave)
        close, kept = np.zeros_like(seen.refused), seen.kept.copy()
        close[listed] = close_waves(
            groups, today.n, today.values.to_numpy(float), minimum=minimum, digits=digits, limits=limits
        )  # fmt: skip
        while True:
            status = suppress(cells, minimum=minimum, known=seen.known, refused=seen.refused | close, kept=kept)
            hidden: BoolArray = np.asarray(status[listed] != SHOWN)
            again = hidden_elsewhere(groups, today.n, hidden & ~close[listed], minimum) & ~hidden & ~seen.known[listed]
            if not again.any():
                break
            kept[listed] |= again
        shown = today.values.round(digits).mask(np.repeat(hidden[:, None], today.values.shape[1], axis=1))
        self._releases.append(replace(today, shown=~hidden, values=shown))
        return hidden

    def _placed(self, keys: pd.DataFrame) -> pd.DataFrame:
        """Keys with what each unit belongs to beside it, so that tables of units and of regions can be compared."""
        if "unit" not in keys:
            return keys
        homes = [self.hierarchy.get(str(unit), {}) for unit in keys["unit"]]
        names = dict.fromkeys(name for home in self.hierarchy.values() for name in home)
        more = {name: pd.Series([home.get(name) for home in homes], dtype=object) for name in names if name not in keys}
        return keys.assign(**more)

    def model(self, result: Result) -> ReleasedModel:
        """Release what may be shown: ``tidy``, ``glance``, ``notes`` and, where its rows are no people, ``augment``.

        Parameters
        ----------
        result : Result
            Anything that answers the result protocol.

        Raises
        ------
        UsageError
            ``result`` is no result.
        DataError
            It rests on fewer people or units than the minimum, has rows of persons or single units, or would tell of
            few people beside an earlier report (:meth:`check_people`).
        """
        if not isinstance(result, Result):
            raise UsageError(f"Gate.model takes a result with tidy, glance and notes, found a {type(result).__name__}.")
        tidy, glance = result.tidy(), result.glance()
        check_size(result.kind, glance, self.rule)
        refuse_persons(result.kind, tidy)
        if result.kind in OF_THE_BOOKS:
            refuse_staff(result.kind, glance, table_of(result))
        elif result.kind not in OF_NO_ANSWERS:
            self.check_people()
        return ReleasedModel(
            kind=result.kind,
            tidy=self._numbers(f"{result.kind}: numbers", result.kind, tidy),
            glance=self._numbers(f"{result.kind}: summary", result.kind, glance),
            notes=tuple(self._note(note, result.kind) for note in result.notes()),
            regions=self._regions(result),
            curve=self._curve(result),
            facts=MappingProxyType(facts_of(result)),
            labels=MappingProxyType(labels_of(result)),
            seal=_SEAL,
        )

    def comment(self, text: str, n: int) -> ReleasedText:
        """Release a free comment from a group of ``n`` people.

        Raises
        ------
        DataError
            The group is smaller than ``minimum_comments``.
        """
        if not n >= self.rule.minimum_comments:
            raise DataError.of(
                "comments",
                None,
                "below_minimum_comments",
                f"a comment from a group of fewer than {self.rule.minimum_comments}",
                f"at least {self.rule.minimum_comments} people",
                "Show comments of larger groups only.",
            )
        return ReleasedText(str(plain_text(text)), seal=_SEAL)

    def log(self) -> ReleasedTable:
        """What was hidden, where and why, with no protected value in it: columns table, of, hidden, reason."""
        frame = pd.DataFrame(self._log, columns=["table", "of", "hidden", "reason"])
        return _whole("What was hidden", frame.astype({"hidden": int}).assign(reason=frame["reason"].map(str)))

    def audit(self) -> ReleasedText:
        """The log as a CSV text, to be written beside a report."""
        frame = self.log().frame.map(safe_cell)
        return ReleasedText(frame.to_csv(index=False, lineterminator="\n"), seal=_SEAL)

    def remember(self) -> Path | None:
        """Keep what was released beside the study, so that no later report can be subtracted from this one.

        Returns
        -------
        Path or None
            The file, as confidential as the answers themselves; None for a gate without a study, or without tables of
            groups.

        Raises
        ------
        UsageError
            The folder cannot be written.
        """
        if self.folder is None or not (self._releases or self.people):
            return None
        return write_memory(self.folder, self._releases, [*self._earlier, self.people])

    def _numbers(self, name: str, kind: str, frame: pd.DataFrame) -> ReleasedTable:
        """Numbers over all people: without their matrix, or in three digits, where few are behind them."""
        if kind in MATRICES and "estimate" in frame and self._tells(frame["lhs"].nunique()):
            table = plain_frame(frame)
            measures = [column for column in table.columns if table[column].dtype.kind == "f"]
            withheld = pd.DataFrame(False, index=table.index, columns=table.columns)
            table[measures], withheld[measures] = np.nan, True
            self._record(name, "matrix", len(table), phrase("note.hidden_why.matrix"))
            return ReleasedTable(name, table, withheld, seal=_SEAL)
        exact = kind in OF_THE_BOOKS | OF_NO_ANSWERS | MATRICES or not self.coarse
        return _whole(name, frame if exact else frame.apply(three_digits))

    def _record(self, table: str, of: str, hidden: int, reason: Phrase) -> None:
        if hidden:
            self._log.append({"table": table, "of": of, "hidden": hidden, "reason": reason})

    def _note(self, note: Note, kind: str) -> Note:
        small = [unit for unit, n in self.unit_sizes.items() if self.rule.hides(n)]
        if not any(names_unit(unit, note) for unit in small):
            return replace(note.each(_plain), subject=_plain(note.subject))
        minimum = self.rule.minimum_group
        self._record(f"{kind}: notes", "note", 1, phrase("note.hidden_why.named", minimum=minimum))
        return Note(note.code, note.severity, "withheld", phrase("note.withheld", minimum=minimum))

    def _curve(self, result: Result) -> ReleasedTable | None:
        """``augment()`` of the books and of the kinds in :data:`~spc.disclosure.kinds.CURVES`."""
        if result.kind not in OF_THE_BOOKS and result.kind not in CURVES:
            return None
        frame = table_of(result)
        if frame.empty:
            return None
        if result.kind in OF_THE_BOOKS:
            return _whole(f"{result.kind}: table", frame)
        name = f"{result.kind}: {CURVES[result.kind]}"
        if result.kind == "study":
            return self._of_scales(frame, "unit", scales_of(result), name)
        refuse_personal(frame.columns, name)
        if result.kind == "evidence":
            told = [self._note(Note("reason", "info", "link", text), "evidence").text for text in frame["sentence"]]
            return self._numbers(name, result.kind, frame.assign(sentence=told))
        return self._thick_enough(name, frame.apply(three_digits) if self.coarse else frame)

    def _regions(self, result: Result) -> ReleasedTable | None:
        """Regions of a study, before its units: the outer groups are the last to be hidden."""
        frame = table_of(result) if result.kind == "study" else pd.DataFrame()
        if frame.empty:
            return None
        limits = scales_of(result)
        key, regions = outer_groups(frame, self.hierarchy, list(limits))
        return None if regions.empty else self._of_scales(regions, key, limits, f"study: {key}s")

    def _of_scales(self, frame: pd.DataFrame, key: str, limits: Mapping[str, Any], name: str) -> ReleasedTable:
        counts = {value: f"n_{value}" for value in limits}
        return self.groups(frame, keys=[key], values=list(limits), counts=counts, limits=limits, name=name)

    def _thick_enough(self, name: str, frame: pd.DataFrame) -> ReleasedTable:
        """A table of periods without those in which too few people were left."""
        withheld = pd.DataFrame(False, index=frame.index, columns=frame.columns)
        sizes = [column for column in ("at_risk", "n", "nobs", "customers_at_risk") if column in frame]
        if sizes:
            few = ~(frame[sizes].min(axis=1) >= self.rule.minimum_group)
            rest = [column for column in frame.columns if column not in {"period", "tenure", "time", "model"}]
            frame = frame.astype(dict.fromkeys(frame.select_dtypes("number").columns, float))
            frame.loc[few, rest] = np.nan
            withheld.loc[few, rest] = True
            left = phrase("note.hidden_why.left", minimum=self.rule.minimum_group)
            self._record(name, "rows", int(few.sum()), left)
        return ReleasedTable(name, plain_frame(frame), withheld, seal=_SEAL)


def _plain(text: str) -> str:
    return str(plain_text(text))


def _whole(name: str, frame: pd.DataFrame) -> ReleasedTable:
    own = plain_frame(frame)
    return ReleasedTable(name, own, pd.DataFrame(False, index=own.index, columns=own.columns), seal=_SEAL)
