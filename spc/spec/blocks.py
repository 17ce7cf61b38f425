"""Which lines of a text speak of which group and level."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spc.errors import UnsupportedError, UsageError
from spc.spec.check import nearest
from spc.spec.modifiers import Modifiers
from spc.spec.parser import Entry, Head, Syntax
from spc.spec.roles import unique
from spc.spec.tokens import spec_error

__all__ = ["Part", "Plan", "group_labels", "plan_blocks"]

_LEVELS = {"within": 1, "between": 2}


@dataclass(frozen=True, slots=True)
class Part:
    """Lines of one group and level; ``alone`` where they were written for that group and no other."""

    group: int
    level: int
    entries: tuple[Entry, ...]
    alone: bool = False

    def said(self, entry: Entry) -> Modifiers:
        """What an entry says of the parameter of this group."""
        return entry.said[0 if len(entry.said) == 1 else self.group - 1]


@dataclass(frozen=True, slots=True)
class Plan:
    """Groups and levels of a model, and its parts by group, then level."""

    groups: tuple[str, ...]
    levels: tuple[int, ...]
    parts: tuple[Part, ...]


def plan_blocks(syntax: Syntax, groups: Sequence[str]) -> Plan:
    """Give each group and level its lines.

    Parameters
    ----------
    syntax : Syntax
    groups : sequence of str
        As asked for; empty to take those of the text.

    Raises
    ------
    SpecError
        Blocks that do not fit together or the groups; modifiers with another number of values.
    """
    if not syntax.heads:
        _check_values(syntax.entries, max(len(groups), 1), syntax.text)
        return Plan(tuple(groups), (1,), tuple(Part(g, 1, syntax.entries) for g in range(1, max(len(groups), 1) + 1)))
    _refuse_outside(syntax)
    heads = {number: head for number, head in enumerate(syntax.heads) if any(e.block == number for e in syntax.entries)}
    named = any(head.group for head in heads.values())
    labels = tuple(groups) or unique(head.group for head in heads.values() if head.group)
    for head in syntax.heads if named else ():
        _group_number(head, labels, syntax.text)
    levels = _level_numbers(tuple(heads.values()), syntax.text)
    found = {}
    for number, head in heads.items():
        entries = tuple(entry for entry in syntax.entries if entry.block == number)
        _check_values(entries, 1 if named else max(len(labels), 1), syntax.text, alone=named)
        for g in [_group_number(head, labels, syntax.text)] if named else range(1, max(len(labels), 1) + 1):
            found[g, levels.get(head.level, 1)] = Part(g, levels.get(head.level, 1), entries, named)
    plan = Plan(labels, tuple(sorted(set(levels.values()))) or (1,), tuple(found[key] for key in sorted(found)))
    _refuse_holes(plan, syntax)
    return plan


def _refuse_outside(syntax: Syntax) -> None:
    outside = next((entry for entry in syntax.entries if entry.block < 0), None)
    if outside is not None:
        raise spec_error(
            f"found '{outside}' before the first block; expected every line within group: or level:",
            outside.token,
            syntax.text,
        )


def _check_values(entries: Sequence[Entry], groups: int, text: str, *, alone: bool = False) -> None:
    for entry in entries:
        n = len(entry.said)
        if n in {1, groups}:
            continue
        if alone:
            raise spec_error(f"found {n} values for '{entry}' within group:; expected one", entry.token, text)
        hint = "give one value, or name the groups" if groups == 1 else "give one value a group, or one for all"
        many = "1 group" if groups == 1 else f"{groups} groups"
        raise spec_error(f"found {n} values for '{entry}', but the model has {many}; {hint}", entry.token, text)


def _level_numbers(heads: Sequence[Head], text: str) -> dict[str, int]:
    words = unique(head.level for head in heads if head.level)
    if not words:
        return {}
    bare = next((head for head in heads if not head.level), None)
    if bare is not None:
        raise spec_error(
            "found a block without level:, while others have levels; expected level: in each", bare.token, text
        )
    last = next(head.token for head in heads if head.level == words[-1])
    if len(words) == 1:
        raise spec_error(
            f"found level: {words[0]} alone; expected two levels, level: 1 (within) and level: 2 (between)", last, text
        )
    if len(words) > 2:
        raise UnsupportedError(
            f"line {last.line}, column {last.column}: found {len(words)} levels ({', '.join(words)}); "
            "two levels are supported, within and between clusters"
        )
    if {word.lower() for word in words} == set(_LEVELS):
        return {word: _LEVELS[word.lower()] for word in words}
    if set(words) == {"1", "2"}:
        return {word: int(word) for word in words}
    return {word: number for number, word in enumerate(words, 1)}


def _group_number(head: Head, labels: Sequence[str], text: str) -> int:
    if head.group in labels:
        return labels.index(head.group) + 1
    if head.group.isdecimal() and 1 <= int(head.group) <= len(labels):
        return int(head.group)
    raise spec_error(
        f"found the group '{head.group}', which is none of this model; {nearest(head.group, labels)}", head.token, text
    )


def _refuse_holes(plan: Plan, syntax: Syntax) -> None:
    present = {(part.group, part.level) for part in plan.parts}
    for group, label in enumerate(plan.groups or ("",), 1):
        for level in plan.levels:
            if (group, level) not in present:
                what = f"group: {label}" if len(plan.levels) == 1 else f"level: {level} within group: {label}"
                raise spec_error(f"found no lines of {what}; expected some", syntax.heads[0].token, syntax.text)


def group_labels(groups: Sequence[object]) -> tuple[str, ...]:
    """Labels of groups as text.

    Raises
    ------
    UsageError
        Labels given twice, or no sequence.

    Examples
    --------
    >>> group_labels([1, "b"])
    ('1', 'b')
    """
    if isinstance(groups, str) or not isinstance(groups, Iterable):
        raise UsageError(f"groups={groups!r}: expected several labels, such as groups=('a', 'b')")
    labels = tuple(str(label) for label in groups)
    if len(set(labels)) < len(labels):
        raise UsageError(f"groups={labels!r}: found a label twice; expected each once")
    return labels
