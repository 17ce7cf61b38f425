"""The one gate: whatever leaves an analysis is made here, or not at all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from spc.disclosure.books import OF_NO_ANSWERS, OF_THE_BOOKS, refuse_staff
from spc.disclosure.cells import earlier_wave, key_frame, layout
from spc.disclosure.checks import check_groups, refuse_personal, refuse_persons
from spc.disclosure.memory import Release, release_of, same_people, with_known
from spc.disclosure.released import _SEAL, ReleasedModel, ReleasedTable, ReleasedText
from spc.disclosure.rule import DisclosureRule
from spc.disclosure.suppression import SHOWN, suppress
from spc.errors import DataError, UsageError
from spc.linalg import FloatArray
from spc.results import Note, Result

__all__ = ["Gate"]

BoolArray = npt.NDArray[np.bool_]

_SIZES = (
    "nobs",
    "nobs_min",
    "responses",
    "respondents",
    "employee_responses",
    "customer_responses",
    "customers",
    "margins",
)


_WORDS = {"nobs": "rows", "nobs_min": "rows in its smallest part"}


@dataclass(frozen=True, eq=False)
class Gate:
    """Makes every value that may leave, and remembers what it hid.

    Parameters
    ----------
    rule : DisclosureRule
    unit_sizes : mapping of str to int
        People in each unit, so that notes which name a small one can be withheld.

    Examples
    --------
    >>> teams = pd.DataFrame(
    ...     {"team": ["a", "b", "c", None], "mean": [2.0, 4.0, 5.0, 4.4], "n": [3, 9, 20, 32]})
    >>> gate = Gate(DisclosureRule())
    >>> gate.groups(teams, keys=["team"], values=["mean"], counts="n", name="Satisfaction by team").frame
       team  mean     n
    0     a   NaN  <NA>
    1     b   NaN  <NA>
    2     c   5.0    20
    3  None   4.4    32
    """

    rule: DisclosureRule = field(default_factory=DisclosureRule)
    unit_sizes: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    _log: list[dict[str, Any]] = field(default_factory=list, init=False, repr=False)
    _releases: list[Release] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.rule, DisclosureRule):
            raise UsageError(f"Gate takes a DisclosureRule, found a {type(self.rule).__name__}.")

    @classmethod
    def of(cls, study: Any = None, rule: DisclosureRule | None = None) -> Gate:
        """Gate with the rule of a study (never a looser one) that knows the sizes of its units.

        Parameters
        ----------
        study : Study, optional
            Anything with ``disclosure`` and ``tables``.
        rule : DisclosureRule, optional
            A stricter rule; the larger of each minimum holds.
        """
        own = getattr(study, "disclosure", None)
        given = [r for r in (own, rule) if isinstance(r, DisclosureRule)] or [DisclosureRule()]
        strictest = DisclosureRule(max(r.minimum_group for r in given), max(r.minimum_comments for r in given))
        return cls(strictest, MappingProxyType(_unit_sizes(getattr(study, "tables", {}))))

    def groups(
        self,
        frame: pd.DataFrame,
        *,
        keys: Sequence[str],
        values: Sequence[str],
        counts: str | Mapping[str, str],
        name: str,
        totals: pd.DataFrame | None = None,
        wave: str | None = None,
        digits: int = 2,
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
            Numeric columns to release.
        counts : str or mapping of str to str
            Column with the people behind the values; a mapping gives each value its own, when values come from
            different people (employees, customers).
        name : str
            Name of the table.
        totals : DataFrame, optional
            Rows, laid out as ``frame``, that readers know already and that cannot be hidden any more.
        wave : str, optional
            Key that is the wave; by default a key named ``wave``. A group that differs from its earlier wave by too
            few people is hidden, see :func:`spc.disclosure.cells.earlier_wave`.
        digits : int
            Decimals the values are rounded to.

        Returns
        -------
        ReleasedTable
            Keys, values and counts, nothing else. What is hidden is missing: rows of too few people, and as many
            neighbours as it takes so that subtraction from totals, from outer groups or from what this gate released
            before tells nothing of fewer people than the minimum.

        Raises
        ------
        UsageError
            ``frame`` is no DataFrame, or columns are not there.
        DataError
            A key or value is personal, a group is listed twice, a count is no count, a total is below its parts.
        """
        sides = dict.fromkeys(values, counts) if isinstance(counts, str) else dict(counts)
        check_groups(frame, keys, values, sides, name)
        table = frame.reset_index(drop=True)
        names = key_frame(table, keys)
        released = pd.concat([names, table[list(values)].astype(float).round(digits)], axis=1)
        withheld = pd.DataFrame(False, index=released.index, columns=released.columns)
        axis = wave or ("wave" if "wave" in keys else None)
        for side in dict.fromkeys(sides[value] for value in values):
            hidden = self._hidden(names, table[side].to_numpy(float), side, name, totals, axis, digits)
            released[side] = table[side].astype("Int64").mask(hidden)
            withheld[side] = hidden
            for value in (v for v in values if sides[v] == side):
                released.loc[hidden, value] = np.nan
                withheld[value] = hidden
            self._record(
                name,
                side,
                int(hidden.sum()),
                f"fewer than {self.rule.minimum_group} people, or needed to protect such a group",
            )
        return ReleasedTable(name, released, withheld, seal=_SEAL)

    def _hidden(
        self,
        keys: pd.DataFrame,
        n: FloatArray,
        side: str,
        table: str,
        totals: pd.DataFrame | None,
        wave: str | None,
        digits: int,
    ) -> BoolArray:
        known = [r for r in self._releases if same_people(r, side, keys, n)]
        if totals is not None:
            known = [*known, release_of(totals, list(keys.columns), side, table)]
        every, sizes, fixed, refused = with_known(keys, n, known, self.rule.minimum_group)
        if wave is not None:
            ends = layout(keys, n, table=table).leaf
            refused[: len(n)] |= ends & earlier_wave(keys, n, wave=wave, minimum=self.rule.minimum_group, digits=digits)
        parts = layout(every, sizes, table=table)
        status = suppress(parts.cells, parts.member, minimum=self.rule.minimum_group, fixed=fixed, refused=refused)
        hidden = np.asarray(status[: len(n)] != SHOWN)
        self._releases.append(Release(side, keys, n, ~hidden))
        return hidden

    def model(self, result: Result) -> ReleasedModel:
        """Release what may be shown: ``tidy``, ``glance``, ``notes`` and, for periods and reasons, ``augment``.

        Parameters
        ----------
        result : Result
            Anything that answers the result protocol.

        Raises
        ------
        UsageError
            ``result`` is no result.
        DataError
            It rests on fewer people or units than the minimum, or has rows of persons or single units.
        """
        if not isinstance(result, Result):
            raise UsageError(f"Gate.model takes a result with tidy, glance and notes, found a {type(result).__name__}.")
        tidy, glance = result.tidy(), result.glance()
        self._check_size(result.kind, glance)
        refuse_persons(result.kind, tidy)
        if result.kind in OF_THE_BOOKS:
            refuse_staff(result.kind, glance, _table(result))
        return ReleasedModel(
            kind=result.kind,
            tidy=_whole(f"{result.kind}: numbers", tidy),
            glance=_whole(f"{result.kind}: summary", glance),
            notes=tuple(self._note(note, result.kind) for note in result.notes()),
            curve=self._curve(result),
            facts=MappingProxyType(_facts(result)),
            labels=MappingProxyType(_labels(result)),
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
        return ReleasedText(text, seal=_SEAL)

    def log(self) -> ReleasedTable:
        """What was hidden, where and why, with no protected value in it: columns table, of, hidden, reason."""
        frame = pd.DataFrame(self._log, columns=["table", "of", "hidden", "reason"])
        return _whole("What was hidden", frame.astype({"hidden": int}))

    def _record(self, table: str, of: str, hidden: int, reason: str) -> None:
        if hidden:
            self._log.append({"table": table, "of": of, "hidden": hidden, "reason": reason})

    def _check_size(self, kind: str, glance: pd.DataFrame) -> None:
        if kind in OF_THE_BOOKS | OF_NO_ANSWERS:
            return
        sizes = {name: float(glance[name].min()) for name in _SIZES if name in glance}
        sizes = {name: n for name, n in sizes.items() if n > 0}
        few = [name for name, n in sizes.items() if self.rule.hides(n)]
        if few or not (sizes or kind == "study"):
            raise DataError.of(
                kind,
                few[0] if few else None,
                "below_minimum_group",
                f"a result on fewer than {self.rule.minimum_group} {_WORDS.get(few[0], few[0].replace('_', ' '))}"
                if few
                else "a result that does not say on how many it rests",
                f"at least {self.rule.minimum_group}"
                if few
                else f"at least {self.rule.minimum_group} in glance(), as {' or '.join(_SIZES)}",
                "Nothing of it can be shown. Bring more answers together, or fewer, larger groups.",
            )

    def _note(self, note: Note, kind: str) -> Note:
        small = [unit for unit, n in self.unit_sizes.items() if self.rule.hides(n)]
        if not any(_names(unit, note) for unit in small):
            return note
        self._record(f"{kind}: notes", "note", 1, f"names a group of fewer than {self.rule.minimum_group} people")
        text = f"The text is withheld: it names a group of fewer than {self.rule.minimum_group} people."
        return Note(note.code, note.severity, "withheld", text)

    def _curve(self, result: Result) -> ReleasedTable | None:
        """``augment()`` of the books, of loyalty (periods) and evidence (reasons); rows of people never leave."""
        if result.kind not in (*OF_THE_BOOKS, "loyalty", "evidence") or not hasattr(result, "augment"):
            return None
        frame = _table(result)
        if result.kind in OF_THE_BOOKS:
            return _whole(f"{result.kind}: table", frame)
        if result.kind == "evidence":
            return self._reasons(frame)
        refuse_personal(frame.columns, "loyalty: curve")
        withheld = pd.DataFrame(False, index=frame.index, columns=frame.columns)
        sizes = [name for name in ("at_risk", "n", "customers_at_risk") if name in frame]
        if sizes:
            few = ~(frame[sizes].min(axis=1) >= self.rule.minimum_group)
            rest = [name for name in frame.columns if name not in {"period", "tenure", "time"}]
            frame = frame.astype(dict.fromkeys(frame.select_dtypes("number").columns, float))
            frame.loc[few, rest] = np.nan
            withheld.loc[few, rest] = True
            self._record(
                "loyalty: curve", "periods", int(few.sum()), f"fewer than {self.rule.minimum_group} customers left"
            )
        return ReleasedTable("loyalty: curve", frame, withheld, seal=_SEAL)

    def _reasons(self, frame: pd.DataFrame) -> ReleasedTable:
        refuse_personal(frame.columns, "evidence: reasons")
        told = [self._note(Note("reason", "info", "link", text), "evidence").text for text in frame["sentence"]]
        return _whole("evidence: reasons", frame.assign(sentence=told))


def _table(result: Result) -> pd.DataFrame:
    """What ``augment()`` gives; empty where there is none."""
    augment = getattr(result, "augment", None)
    return pd.DataFrame() if augment is None else pd.DataFrame(augment()).reset_index(drop=True)


def _whole(name: str, frame: pd.DataFrame) -> ReleasedTable:
    own = frame.reset_index(drop=True).copy()
    return ReleasedTable(name, own, pd.DataFrame(False, index=own.index, columns=own.columns), seal=_SEAL)


def _unit_sizes(tables: Mapping[str, pd.DataFrame]) -> dict[str, int]:
    """Smallest number of people that any survey side has in each unit."""
    sizes: dict[str, int] = {}
    for name in ("employee_responses", "customer_responses"):
        table = tables.get(name)
        if table is None or "unit" not in table:
            continue
        by = ["unit", "wave"] if "wave" in table else ["unit"]
        smallest = table.groupby(by, dropna=True).size().groupby(level=0).min()
        for unit, n in smallest.items():
            sizes[str(unit)] = min(int(n), sizes.get(str(unit), int(n)))
    return sizes


def _names(unit: str, note: Note) -> bool:
    """Whether a note names the unit; a bare number or one or two letters count only beside the word unit."""
    if note.subject == unit:
        return True
    word = rf"(?<!\w){re.escape(unit)}(?!\w)"
    pattern = rf"\bunits?\b[^.;]*?{word}" if unit.isdigit() or len(unit) < 3 else word
    return re.search(pattern, f"{note.subject}; {note.text}", flags=re.IGNORECASE) is not None


def _facts(result: Result) -> dict[str, Any]:
    provenance = getattr(result, "provenance", None)
    facts: dict[str, Any] = {}
    if provenance is not None:
        facts = {
            "package_version": provenance.package_version,
            "options": dict(provenance.options),
            "data_fingerprint": provenance.data_fingerprint,
            "seed": provenance.seed,
            "time": provenance.time,
        }
    title = getattr(getattr(result, "report", None), "title", "")
    if isinstance(title, str) and title:
        facts["title"] = title
    for name in ("name", "currency", "seed"):
        if isinstance(getattr(result, name, None), (str, int)):
            facts.setdefault(name, getattr(result, name))
    return facts


def _labels(result: Result) -> dict[str, str]:
    given = getattr(result, "labels", None)
    if isinstance(given, Mapping):
        return {str(key): str(value) for key, value in given.items() if value}
    book = getattr(result, "codebook", ())
    return {c.name: c.label for c in book if getattr(c, "label", "")}
