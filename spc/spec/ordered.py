"""Which items are ordered, and how many thresholds each has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral

from spc.errors import UnsupportedError, UsageError
from spc.spec.blocks import Plan
from spc.spec.check import nearest
from spc.spec.parser import Entry, Syntax
from spc.spec.roles import find_roles
from spc.spec.tokens import spec_error

__all__ = ["Ordered", "categories", "thresholds"]

Ordered = Mapping[str, int] | Sequence[str] | Sequence[tuple[str, int]]
"""Names of ordered items, with their numbers of categories unless the text gives their thresholds."""

_THRESHOLD = re.compile(r"t([1-9]\d*)")


def categories(ordered: Ordered) -> dict[str, int | None]:
    """Asked-for ordered items and their numbers of categories, None where not said.

    Raises
    ------
    UsageError
        Not names, or fewer than two categories.

    Examples
    --------
    >>> categories({"x1": 4}), categories(["x1"])
    ({'x1': 4}, {'x1': None})
    """
    if isinstance(ordered, str) or not isinstance(ordered, Iterable):
        raise UsageError(f"ordered={ordered!r}: expected several names, or {{name: number of categories}}")
    given: Iterable[object] = ordered.items() if isinstance(ordered, Mapping) else ordered
    found = dict(_item(one) for one in given)
    for name, number in found.items():
        if number is not None and number < 2:
            raise UsageError(f"ordered item '{name}': found {number} categories; expected two or more")
    return found


def _item(one: object) -> tuple[str, int | None]:
    if isinstance(one, str):
        return one, None
    if isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str) and isinstance(one[1], Integral):
        return one[0], int(one[1])
    raise UsageError(f"ordered: found {one!r}; expected names, or {{name: number of categories}}")


def thresholds(ordered: Ordered, syntax: Syntax, plan: Plan, *, theta: bool = False) -> dict[str, int]:
    """Number of thresholds of each ordered item of the model.

    Parameters
    ----------
    ordered : mapping of str to int, or sequence of str
    syntax : Syntax
        A threshold in the text makes an item ordered where ``ordered`` is empty.
    plan : Plan
    theta : bool
        Residual variances of ordered items are parameters, and their scales are not.

    Returns
    -------
    dict of str to int
        Covariates are left out: they stay as they are.

    Raises
    ------
    SpecError
        Thresholds out of order, missing, or of an item that is not ordered; scales of such an item; a residual
        variance of an ordered item, or with ``theta`` its scale.
    UsageError
        A name that is no observed variable; categories that nothing tells.
    UnsupportedError
        Ordered items in a model with levels.
    """
    asked = categories(ordered)
    written = _written(syntax)
    first = {entry.lhs: entry for entry in reversed(syntax.entries) if entry.op == "|"}
    for name, entry in first.items():
        if asked and name not in asked:
            raise spec_error(
                f"found thresholds of '{name}', which is not among the ordered items; {nearest(name, list(asked))}",
                entry.token,
                syntax.text,
            )
    if not asked and not written:
        _check_scales(syntax, (), theta=theta)
        return {}
    roles = [find_roles(part.entries) for part in plan.parts]
    observed = {name for role in roles for name in role.observed}
    covariates = {name for role in roles for name in role.covariates}
    for name in asked:
        if name not in observed:
            raise UsageError(
                f"ordered: '{name}' is no observed variable of the model; {nearest(name, sorted(observed))}"
            )
    numbers = {
        name: _number(name, asked.get(name), written.get(name, 0), first.get(name), syntax)
        for name in (*asked, *(name for name in written if name not in asked))
        if name not in covariates or name in written
    }
    _refuse_impossible(numbers, covariates, first, syntax, plan)
    if not theta:
        _refuse_residuals(numbers, syntax)
    _check_scales(syntax, numbers, theta=theta)
    return numbers


def _written(syntax: Syntax) -> dict[str, int]:
    """Highest threshold of each item in the text."""
    highest: dict[tuple[int, str], int] = {}
    for entry in syntax.entries:
        if entry.op != "|":
            continue
        found = _THRESHOLD.fullmatch(entry.rhs)
        if found is None:
            raise spec_error(
                f"found '{entry.rhs}' as a threshold of {entry.lhs}; expected t1, t2 and so on",
                entry.token,
                syntax.text,
            )
        number, before = int(found[1]), highest.get((entry.block, entry.lhs), 0)
        if number < before:
            raise spec_error(
                f"found threshold t{number} of {entry.lhs} after t{before}; write them in their order",
                entry.token,
                syntax.text,
            )
        highest[entry.block, entry.lhs] = number
    return {name: max(number for (_, item), number in highest.items() if item == name) for _, name in highest}


def _number(name: str, asked: int | None, written: int, entry: Entry | None, syntax: Syntax) -> int:
    if asked is None and entry is None:
        raise UsageError(
            f"ordered: the categories of '{name}' are not known; give their number, as in ordered={{'{name}': 4}}, "
            f"or write the thresholds, as in {name} | t1 + t2 + t3"
        )
    if asked is not None:
        if entry is not None and written >= asked:
            raise spec_error(
                f"found threshold t{written} of {name}, which has {asked} categories and so {asked - 1} "
                f"threshold{'s' if asked > 2 else ''}",
                entry.token,
                syntax.text,
            )
        return asked - 1
    given = {item.rhs for item in syntax.entries if item.op == "|" and item.lhs == name}
    absent = [f"t{k}" for k in range(1, written + 1) if f"t{k}" not in given]
    if absent and entry is not None:
        raise spec_error(
            f"found t{written} of {name} but not {', '.join(absent)}; write all thresholds", entry.token, syntax.text
        )
    return written


def _refuse_impossible(
    numbers: Mapping[str, int], covariates: Iterable[str], first: Mapping[str, Entry], syntax: Syntax, plan: Plan
) -> None:
    if numbers and len(plan.levels) > 1:
        raise UnsupportedError(
            f"ordered items ({', '.join(numbers)}) in a two-level model have no method; treat them as continuous, or "
            "fit one level with cluster-robust errors"
        )
    for name in covariates:
        if name in first:
            raise spec_error(
                f"found thresholds of '{name}', a covariate that nothing explains; leave them out, it enters as it is",
                first[name].token,
                syntax.text,
            )


def _refuse_residuals(numbers: Mapping[str, int], syntax: Syntax) -> None:
    for entry in syntax.entries:
        if entry.op != "~~" or entry.lhs != entry.rhs or entry.lhs not in numbers:
            continue
        if any(said.fixed != 1.0 for said in entry.said):
            raise spec_error(
                f"found the residual variance of the ordered item '{entry.lhs}', which its other parameters determine; "
                f"leave it out, scale the item by {entry.lhs} ~*~ {entry.lhs}, or take parameterization='theta'",
                entry.token,
                syntax.text,
            )


def _check_scales(syntax: Syntax, ordinal: Iterable[str], *, theta: bool) -> None:
    for entry in syntax.entries:
        if entry.op != "~*~":
            continue
        if entry.lhs != entry.rhs:
            raise spec_error(
                f"found '{entry}'; a scale belongs to one item, as in {entry.lhs} ~*~ {entry.lhs}",
                entry.token,
                syntax.text,
            )
        if entry.lhs not in ordinal:
            raise spec_error(
                f"found a scale (~*~) of '{entry.lhs}', which is not ordered; {nearest(entry.lhs, list(ordinal))}",
                entry.token,
                syntax.text,
            )
        if theta:
            raise spec_error(
                f"found a scale (~*~) of '{entry.lhs}', which follows from its residual variance where "
                f"parameterization is 'theta'; write {entry.lhs} ~~ {entry.lhs}, or take 'delta'",
                entry.token,
                syntax.text,
            )
