"""Parameters that are one: shared labels, ``equal(...)``, and what groups have in common."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from spc.errors import SpecError
from spc.spec.check import nearest
from spc.spec.defaults import row_key
from spc.spec.parser import Entry, Syntax
from spc.spec.roles import Roles
from spc.spec.table import Parameter
from spc.spec.tokens import Token, spec_error

__all__ = ["GROUP_EQUAL", "Key", "equal_words", "full_key", "group_ties", "resolved", "tied"]

GROUP_EQUAL = (
    "loadings",
    "intercepts",
    "means",
    "thresholds",
    "regressions",
    "residuals",
    "residual_covariances",
    "lv_variances",
    "lv_covariances",
)
"""What can be held equal across groups."""

Key = tuple[int, int, str, str, str]


def full_key(row: Parameter) -> Key:
    """Identity of a parameter: its block and what it joins."""
    return row.level, row.group, *row_key(row)


def equal_words(words: Sequence[str]) -> frozenset[str]:
    """Words of ``group_equal``; dots stand for underscores.

    Raises
    ------
    SpecError
        An unknown word.

    Examples
    --------
    >>> sorted(equal_words(["loadings", "lv.variances"]))
    ['loadings', 'lv_variances']
    """
    found = [str(word).replace(".", "_") for word in ([words] if isinstance(words, str) else words)]
    for word in found:
        if word not in GROUP_EQUAL:
            raise SpecError(f"group_equal: found '{word}'; {nearest(word, GROUP_EQUAL)}")
    return frozenset(found)


def _kind(row: Parameter, latents: Collection[str]) -> str:
    """The word of ``group_equal`` that holds a parameter, or empty."""
    if row.op == "~1":
        return "means" if row.lhs in latents else "intercepts"
    if row.op == "~~" and row.lhs == row.rhs:
        return "lv_variances" if row.lhs in latents else "residuals"
    if row.op == "~~":
        return "lv_covariances" if row.lhs in latents or row.rhs in latents else "residual_covariances"
    return {"=~": "loadings", "~": "regressions", "|": "thresholds"}.get(row.op, "")


def group_ties(
    rows: Sequence[Parameter], equal: frozenset[str], partial: Sequence[str], roles: Mapping[tuple[int, int], Roles]
) -> dict[str, str]:
    """Names of parameters to those of the first group that they equal, labels of the text going before.

    Parameters
    ----------
    rows : sequence of Parameter
    equal : frozenset of str
        Words of :data:`GROUP_EQUAL`.
    partial : sequence of str
        Parameters that go free, named as in the first group.
    roles : mapping of (group, level) to Roles

    Raises
    ------
    SpecError
        A name in ``partial`` that is no parameter of the first group.
    """
    free = _partial_keys(rows, partial)
    first: dict[Key, str] = {}
    for row in rows:
        role = roles[row.group, row.level]
        covariate = row.op in {"~1", "~~"} and row.lhs in role.covariates
        if row.group == 1 and not covariate and _kind(row, role.latents) in equal and full_key(row) not in free:
            first[full_key(row)] = row.own_name
    ties = {}
    for row in rows:
        name = first.get((row.level, 1, *row_key(row)))
        if row.group > 1 and name is not None and not row.label:
            ties[row.own_name] = name
    return ties


def _partial_keys(rows: Sequence[Parameter], partial: Sequence[str]) -> set[Key]:
    known: dict[str, Key] = {}
    for row in rows:
        if row.group == 1:
            known |= dict.fromkeys(_spellings(row), full_key(row))
            if row.label:
                known.setdefault(row.label, full_key(row))
    asked = [partial] if isinstance(partial, str) else partial
    for name in asked:
        if _plain(name) not in known:
            raise SpecError(
                f"group_partial: found '{name}', which is no parameter of the first group; "
                f"{nearest(_plain(name), list(known))}"
            )
    return {known[_plain(name)] for name in asked}


def _spellings(row: Parameter) -> tuple[str, ...]:
    turned = () if row.op != "~~" else (_plain(replace(row, lhs=row.rhs, rhs=row.lhs).own_name),)
    return (_plain(row.own_name), *turned)


def _plain(name: str) -> str:
    return "".join(name.replace("`", "").split())


def resolved(rows: Sequence[Parameter], asking: Mapping[Key, tuple[Entry, str]], syntax: Syntax) -> list[Parameter]:
    """``equal("f=~x2")`` becomes the label of that parameter, or its name where it has none.

    Raises
    ------
    SpecError
        A parameter that is not there, not estimated, or equal to itself.
    """
    labels = {row.label for row in rows if row.label}
    named = {spelling: row for row in rows for spelling in _spellings(row)}

    def shared(row: Parameter, seen: frozenset[Key]) -> str:
        if full_key(row) not in asking:
            return row.name
        entry, asked = asking[full_key(row)]
        if asked in labels:
            return asked
        target = named.get(_plain(asked))
        problem = _no_target(target, asked, seen, list(named))
        if target is None or problem:
            raise spec_error(f'found equal("{asked}"), {problem}', entry.token, syntax.text)
        return shared(target, seen | {full_key(target)})

    return [
        replace(row, label=shared(row, frozenset({full_key(row)}))) if full_key(row) in asking else row for row in rows
    ]


def _no_target(target: Parameter | None, asked: str, seen: Collection[Key], known: list[str]) -> str:
    """Why a parameter cannot be equal to another, or empty."""
    if target is None:
        return f"which is no parameter of this model; {nearest(_plain(asked), known)}"
    if full_key(target) in seen:
        return "which leads back to this parameter itself; break the circle"
    if target.given_by == "sample":
        return "which is not estimated (fixed_x); name another"
    return ""


def tied(
    rows: Sequence[Parameter], ties: Mapping[str, str], places: Mapping[Key, Token], syntax: Syntax
) -> tuple[Parameter, ...]:
    """Rows with one number for one parameter; where one of those equal is fixed, all are.

    Raises
    ------
    SpecError
        Equal parameters that are fixed at different values.
    """
    names = [ties.get(row.name, row.name) for row in rows]
    values: dict[str, float] = {}
    for name, row in zip(names, rows, strict=True):
        if row.free or row.given_by == "sample":
            continue
        first = values.setdefault(name, row.fixed)
        if first != row.fixed:
            raise spec_error(
                f"found {_why_equal(name, row)} fixed at two values, {first:g} and {row.fixed:g}; "
                f"{'use two labels' if name == row.name else f'release {name} by group_partial'}",
                places.get(full_key(row), syntax.entries[0].token),
                syntax.text,
            )
    numbers: dict[str, int] = {}
    return tuple(
        _numbered(row, name, values, numbers) if row.free else row for name, row in zip(names, rows, strict=True)
    )


def _numbered(row: Parameter, name: str, values: Mapping[str, float], numbers: dict[str, int]) -> Parameter:
    if name in values:
        return replace(row, free=0, fixed=values[name], start=math.nan)
    return replace(row, free=numbers.setdefault(name, len(numbers) + 1))


def _why_equal(name: str, row: Parameter) -> str:
    return f"the label '{name}' on parameters" if name == row.name else f"parameters equal in groups ({name})"
