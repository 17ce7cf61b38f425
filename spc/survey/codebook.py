"""Constructs: which items measure what, on which scale, and which of them run backwards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd

from spc.errors import DataError, Finding, UsageError

__all__ = ["Codebook", "Construct"]


@dataclass(frozen=True)
class Construct:
    """One thing that is measured, by one item or several.

    Parameters
    ----------
    name : str
        Name of the construct, such as ``"employee_satisfaction"``.
    items : sequence of str
        Columns that measure it.
    low, high : float or None
        Ends of the answer scale. Both None for quantities without one, such as money or rates.
    reverse : sequence of str
        Items that run backwards; they are turned round as ``low + high - answer``.
    minimum_share : float
        A person gets a score when at least this share of the items is answered; 0 < share <= 1.
    label : str
        Name for readers; made from ``name`` when empty (see :attr:`title`).
    table : str
        Canonical table that holds the items.
    facets : mapping of str to sequence of str
        Parts of the construct and the items of each, such as training, tools and reward of internal service quality;
        every item belongs to one. Kept as pairs of name and items.

    Raises
    ------
    DataError
        The definition contradicts itself; carries every finding.

    Examples
    --------
    >>> c = Construct("employee_satisfaction", ["es1", "es2", "es3"], low=1, high=7, reverse=["es3"])
    >>> c.points, c.needed, c.title
    (7, 2, 'Employee satisfaction')
    """

    name: str
    items: tuple[str, ...]
    low: float | None = None
    high: float | None = None
    reverse: tuple[str, ...] = ()
    minimum_share: float = 0.5
    label: str = ""
    table: str = ""
    facets: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __post_init__(self) -> None:
        findings = _list_faults(self)
        if not findings:
            object.__setattr__(self, "items", tuple(self.items))
            object.__setattr__(self, "reverse", tuple(self.reverse))
            pairs = self.facets.items() if isinstance(self.facets, Mapping) else self.facets
            object.__setattr__(self, "facets", tuple((name, tuple(items)) for name, items in pairs))
            findings = [*_item_faults(self), *_scale_faults(self), *_share_faults(self), *_facet_faults(self)]
        if findings:
            raise DataError(findings)

    @property
    def title(self) -> str:
        """The label, or the name in readable form."""
        return self.label or self.name.replace("_", " ").capitalize()

    @property
    def needed(self) -> int:
        """How many items must be answered for a score."""
        return max(1, math.ceil(self.minimum_share * len(self.items) - 1e-9))

    def part(self, name: str, items: Iterable[str]) -> Construct:
        """Some of the items as a construct of their own, scored alike.

        Parameters
        ----------
        name : str
        items : iterable of str
        """
        own = tuple(items)
        return replace(
            self, name=name, items=own, reverse=tuple(i for i in self.reverse if i in own), label="", facets=()
        )

    @property
    def points(self) -> int | None:
        """Number of answer options, or None when the scale is not made of whole steps."""
        if self.low is None or self.high is None:
            return None
        width = float(self.high) - float(self.low)
        return int(width) + 1 if width.is_integer() else None


@dataclass(frozen=True)
class Codebook:
    """The constructs of a study, in order, found by name.

    Parameters
    ----------
    constructs : iterable of Construct

    Raises
    ------
    DataError
        Two constructs bear one name.

    Examples
    --------
    >>> book = Codebook([Construct("value", ["v1", "v2"], 1, 5), Construct("revenue", ["revenue"])])
    >>> book["value"].items
    ('v1', 'v2')
    >>> "revenue" in book, len(book)
    (True, 2)
    """

    constructs: tuple[Construct, ...]

    def __init__(self, constructs: Iterable[Construct]) -> None:
        object.__setattr__(self, "constructs", tuple(constructs))
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise DataError(
                _fault(name, "duplicate_construct", "two constructs of this name", "one", "Rename one of them.")
                for name in twice
            )

    def __iter__(self) -> Iterator[Construct]:
        return iter(self.constructs)

    def __len__(self) -> int:
        return len(self.constructs)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Construct:
        for construct in self.constructs:
            if construct.name == name:
                return construct
        near = get_close_matches(str(name), self.names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(self.names) or 'none'}."
        raise UsageError(f"There is no construct {name!r} in the codebook. {hint}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the constructs, in order."""
        return tuple(construct.name for construct in self.constructs)

    def table(self) -> pd.DataFrame:
        """The codebook to print: one row a construct, in words."""
        columns = ["construct", "label", "table", "items", "reversed", "scale", "score"]
        rows = [
            (
                c.name,
                c.title,
                c.table,
                ", ".join(c.items),
                ", ".join(c.reverse),
                "" if c.low is None or c.high is None else f"{c.low:g} to {c.high:g}",
                f"{c.needed} of {len(c.items)} answered",
            )
            for c in self.constructs
        ]
        return pd.DataFrame(rows, columns=columns)


def _fault(name: object, rule: str, found: str, expected: str, hint: str) -> Finding:
    return Finding("constructs", str(name), rule, found, expected, hint)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)


def _list_faults(construct: Construct) -> list[Finding]:
    faults = []
    if not isinstance(construct.name, str) or not construct.name.strip():
        faults.append(_fault(construct.name, "no_name", "no name", "a name", "Name the construct."))
    for key in ("items", "reverse"):
        value = getattr(construct, key)
        if isinstance(value, str) or not isinstance(value, Iterable):
            hint = f"Write {key} = [{str(value)!r}]."
            faults.append(_fault(construct.name, "not_a_list", f"{key} = {value!r}", "a list of column names", hint))
    given: Any = construct.facets
    pairs = list(given.items() if isinstance(given, Mapping) else given)
    if any(isinstance(pair, str) or isinstance(pair[-1], str) for pair in pairs):
        hint = 'Write facets = {"tools": ["q1", "q2"], "support": ["q3"]}.'
        faults.append(_fault(construct.name, "facets", f"facets = {construct.facets!r}", "items of each facet", hint))
    return faults


def _item_faults(construct: Construct) -> list[Finding]:
    name, items = construct.name, construct.items
    faults = []
    if not items:
        faults.append(_fault(name, "no_items", "no items", "at least one column name", "List its items."))
    odd = [item for item in (*items, *construct.reverse) if not isinstance(item, str) or not item]
    if odd:
        return [*faults, _fault(name, "not_text", f"the item {odd[0]!r}", "column names", "Write names as text.")]
    twice = sorted({item for item in items if items.count(item) > 1})
    if twice:
        found = f"{', '.join(twice)} listed twice"
        faults.append(_fault(name, "duplicate_item", found, "each item once", "Remove the repeat."))
    for item in construct.reverse:
        if item not in items:
            near = get_close_matches(item, items, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"The items are: {', '.join(items)}."
            faults.append(_fault(name, "reverse_unknown", f"reverse item {item!r}", "one of its items", hint))
    return faults


def _facet_faults(construct: Construct) -> list[Finding]:
    if not construct.facets:
        return []
    placed = [item for _, items in construct.facets for item in items]
    names, hint = [name for name, _ in construct.facets], "Give each item to one facet, or leave the facets out."
    faults = []
    if len(names) < 2:
        faults.append(_fault(construct.name, "facets", f"the facet {names[0]!r} alone", "two facets or more", hint))
    odd = sorted({i for i in placed if i not in construct.items or placed.count(i) > 1})
    if odd:
        found = f"{odd[0]!r} in a facet, though it is {'no item' if odd[0] not in construct.items else 'in another'}"
        faults.append(_fault(construct.name, "facets", found, "each item in one facet", hint))
    left = [item for item in construct.items if item not in placed]
    if left:
        found = f"{', '.join(left)} in no facet"
        faults.append(_fault(construct.name, "facets", found, "each item in one facet", hint))
    taken = [name for name in names if name == construct.name or name in construct.items]
    if taken:
        found = f"a facet {taken[0]!r}, which is also the construct or an item"
        faults.append(_fault(construct.name, "facets", found, "a name of its own", "Rename the facet."))
    return faults


def _scale_faults(construct: Construct) -> list[Finding]:
    name, ends = construct.name, (construct.low, construct.high)
    if ends == (None, None):
        if construct.reverse:
            hint = "Give the scale, such as scale = [1, 7], so that answers can be turned round."
            return [_fault(name, "reverse_without_scale", "reverse items and no scale", "both scale ends", hint)]
        return []
    found = f"a scale from {construct.low!r} to {construct.high!r}"
    if not all(_is_number(end) for end in ends):
        hint = "Give both ends, such as scale = [1, 7], or neither."
        return [_fault(name, "scale_ends", found, "two finite numbers", hint)]
    if float(construct.low or 0) >= float(construct.high or 0):
        hint = "Give the low end first; items that run backwards belong in reverse."
        return [_fault(name, "scale_order", found, "the low end below the high end", hint)]
    return []


def _share_faults(construct: Construct) -> list[Finding]:
    share = construct.minimum_share
    if _is_number(share) and 0 < share <= 1:
        return []
    hint = "0.5 asks for half of the items, 1 for all of them."
    return [_fault(construct.name, "minimum_share", f"minimum_share = {share!r}", "a number in (0, 1]", hint)]
