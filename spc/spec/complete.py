"""From model text to a complete model, by the defaults of lavaan's ``sem()``, ``cfa()`` and ``growth()``.

Rows of the text come first, then thresholds, variances, covariances of exogenous latent variables, residual
covariances of outcomes that explain nothing, moments of exogenous covariates, scales of ordered items, and
intercepts; all of this for each level of each group.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from spc.errors import SpcWarning, UsageError
from spc.spec.blocks import Part, Plan, group_labels, plan_blocks
from spc.spec.check import check_entries, ordered_definitions, refuse_unknown_label
from spc.spec.defaults import FREE, Options, default_rows, released, value_or
from spc.spec.equality import Key, equal_words, group_ties, resolved, tied
from spc.spec.modifiers import Modifiers
from spc.spec.ordered import Ordered, thresholds
from spc.spec.parser import Definition, Entry, Syntax, read_syntax
from spc.spec.roles import Roles, find_roles, unique
from spc.spec.table import Constraint, Defined, Model, Parameter, Parameterization, ParameterTable
from spc.spec.tokens import Token, spec_error
from spc.spec.tree import Expression, substitute

__all__ = ["model", "observed_variables"]


def model(
    text: str,
    *,
    std_lv: bool = False,
    orthogonal: bool = False,
    meanstructure: bool | None = None,
    fixed_x: bool = True,
    growth: bool = False,
    groups: Sequence[str] = (),
    group_equal: Sequence[str] = (),
    group_partial: Sequence[str] = (),
    ordered: Ordered = (),
    parameterization: Parameterization = "delta",
) -> Model:
    """Read lavaan model syntax and complete it as ``lavaan::sem()`` does.

    Parameters
    ----------
    text : str
        Lines such as ``f =~ x1 + x2``, ``y ~ a*f + x``, ``x1 ~~ x2``, ``y ~ 1``, ``x1 | t1 + t2``, ``ab := a*b``,
        ``a == b``; ``group:`` and ``level:`` open blocks.
    std_lv : bool
        Latent variances are 1 and all loadings free; otherwise the first loading of each is 1.
    orthogonal : bool
        Latent variables do not covary unless the text says so.
    meanstructure : bool, optional
        Model the means. By default only when the text has intercepts, groups, levels or ordered items, or for
        ``growth``.
    fixed_x : bool
        Observed covariates stay at their sample moments. A covariate whose variance, covariance or intercept the
        text mentions is an ordinary variable instead, as in lavaan.
    growth : bool
        Defaults of ``lavaan::growth()``: latent means free, observed intercepts zero.
    groups : sequence of str
        Labels of the groups in their order; taken from ``group:`` blocks where not given. Without such blocks the
        lines hold for every group, and ``c(a, b)*x`` says something else of each.
    group_equal : sequence of str
        What is equal in all groups: loadings, intercepts, means, thresholds, regressions, residuals,
        residual_covariances, lv_variances, lv_covariances. Equal intercepts or thresholds free the latent means of
        the groups after the first, equal thresholds their scales too, and equal loadings their latent variances
        under ``std_lv``. With equal intercepts the thresholds of ordered items are equal as well; their residuals can
        be in the theta parameterisation alone. Labels of the text go before: two labels are two parameters.
    group_partial : sequence of str
        Parameters, such as ``"f=~x2"``, that stay free all the same.
    ordered : mapping of str to int, or sequence of str
        Ordered items with their numbers of categories, which a text that gives the thresholds need not have. They
        have thresholds in place of intercepts, and scales ``~*~`` in place of residual variances. Covariates among
        them stay as they are.
    parameterization : {"delta", "theta"}
        Of ordered items: the scale of each is a parameter, 1 unless thresholds are held equal, or its residual
        variance is. Only the latter can hold residual variances equal.

    Returns
    -------
    Model

    Raises
    ------
    SpecError
        A text that cannot be read, with line and column; an unknown word in ``group_equal`` or ``group_partial``.
    UnsupportedError
        Composites, more than two levels, ordered items in two levels.
    UsageError
        ``growth`` without a mean structure, equality without groups, unknown categories, equal residuals of ordered
        items that have none.

    Warns
    -----
    SpcWarning
        One label for a parameter in several groups, which holds it equal in all of them.

    References
    ----------
    Rosseel (2012), *Journal of Statistical Software* 48(2). Differs from lavaan 0.6 on purpose: a start value on a
    parameter that a default fixes is an error, where lavaan quietly fixes it there; in ``group:`` blocks
    ``group_equal`` frees the same parameters as without, where lavaan frees none; lines before the first block are
    an error, where lavaan drops them.

    Examples
    --------
    >>> cfa = model("f =~ x1 + x2 + x3")
    >>> cfa.parameters.names
    ('f=~x2', 'f=~x3', 'x1~~x1', 'x2~~x2', 'x3~~x3', 'f~~f')
    >>> model("y ~ c(a, b)*x", groups=("north", "south"), meanstructure=False).parameters.names
    ('a', 'y~~y', 'b', 'y~~y.g2')
    """
    if not isinstance(text, str):
        raise UsageError(
            f"found a model of type {type(text).__name__}; expected model text, such as 'f =~ x1 + x2 + x3'"
        )
    syntax = read_syntax(text)
    check_entries(syntax)
    plan = plan_blocks(syntax, group_labels(groups))
    equal = _equal_in_groups(plan, group_equal, group_partial)
    theta = _is_theta(parameterization)
    counts = thresholds(ordered, syntax, plan, theta=theta)
    if counts and "intercepts" in equal:
        equal |= {"thresholds"}
    means = _meanstructure(syntax, meanstructure, growth, several=len(plan.parts) > 1 or bool(counts))
    if not means and equal & {"intercepts", "means"}:
        raise UsageError(
            f"group_equal={' and '.join(sorted(equal & {'intercepts', 'means'}))!r}: there are none, for meanstructure "
            "is False; leave one of the two out"
        )
    options = Options(std_lv, orthogonal, means, fixed_x, growth, counts, equal, theta)
    roles = _roles(plan)
    if "residuals" in equal and counts and not theta:
        _refuse_no_residuals(roles.values(), counts)
    drafts = _drafts(plan, roles, options, syntax)
    rows = _one_table(drafts, plan, roles, options, tuple(group_partial), syntax)
    labels = {row.label for row in rows if row.label}
    definitions = ordered_definitions(syntax.definitions, labels, text)
    observed = unique(name for role in roles.values() for name in role.observed)
    return Model(
        parameters=ParameterTable(rows),
        latents=unique(name for role in roles.values() for name in role.latents),
        observed=observed,
        exogenous=unique(name for role in roles.values() for name in role.covariates) if fixed_x else (),
        ordinal=tuple(name for name in observed if name in counts),
        groups=plan.groups,
        levels=plan.levels,
        constraints=_constraints(syntax, labels, definitions),
        defined=tuple(Defined(item.token.text, str(item.expression)) for item in definitions),
        meanstructure=means,
        text=text,
        options=MappingProxyType(
            {
                "std_lv": std_lv, "orthogonal": orthogonal, "meanstructure": meanstructure, "fixed_x": fixed_x,
                "growth": growth, "groups": plan.groups, "group_equal": tuple(sorted(equal)),
                "group_partial": tuple(group_partial),
                "ordered": tuple((name, number + 1) for name, number in counts.items()),
                "parameterization": parameterization,
            }
        ),
    )  # fmt: skip


def observed_variables(text: str) -> tuple[str, ...]:
    r"""Observed variables that a model text names, before it is completed.

    Raises
    ------
    SpecError
        A text that cannot be read.

    Examples
    --------
    >>> observed_variables("f =~ x1 + c(a, b)*x2\nx1 | t1")
    ('x1', 'x2')
    """
    entries = read_syntax(text).entries
    latents = {entry.lhs for entry in entries if entry.op == "=~"}
    return unique(name for entry in entries for name in entry.variables if name not in latents)


def _equal_in_groups(plan: Plan, equal: Sequence[str], partial: Sequence[str]) -> frozenset[str]:
    if (equal or partial) and len(plan.groups) < 2:
        raise UsageError("group_equal and group_partial compare groups; name two groups or more, or leave them out")
    if isinstance(partial, str):
        raise UsageError(f"group_partial={partial!r}: expected several names, such as ('f=~x2',)")
    return equal_words(equal)


def _is_theta(parameterization: str) -> bool:
    if parameterization not in ("delta", "theta"):
        raise UsageError(f"parameterization={parameterization!r}: expected 'delta' or 'theta'")
    return parameterization == "theta"


def _refuse_no_residuals(roles: Iterable[Roles], counts: Mapping[str, int]) -> None:
    """Equal residuals need variables that have them."""
    if all(name in counts or name in role.covariates for role in roles for name in role.observed):
        raise UsageError(
            "group_equal='residuals': the residual variances of ordered items follow from their other parameters; "
            "take parameterization='theta', where they are parameters, or leave it out"
        )


def _meanstructure(syntax: Syntax, asked: bool | None, growth: bool, *, several: bool) -> bool:
    intercept = next((entry for entry in syntax.entries if entry.op in {"~1", "|"}), None)
    if asked is False and growth:
        raise UsageError("a growth model is a model of means; leave meanstructure out or make it True")
    if asked is False and intercept is not None:
        raise spec_error(
            "found an intercept, but meanstructure is False; remove one of the two", intercept.token, syntax.text
        )
    return growth or intercept is not None or several if asked is None else asked


def _roles(plan: Plan) -> dict[tuple[int, int], Roles]:
    """Roles of the variables in each block."""
    known: dict[int, Roles] = {}
    for part in plan.parts:
        if id(part.entries) not in known:
            known[id(part.entries)] = find_roles(part.entries)
    return {(part.group, part.level): known[id(part.entries)] for part in plan.parts}


def _drafts(
    plan: Plan, roles: Mapping[tuple[int, int], Roles], options: Options, syntax: Syntax
) -> list[tuple[Part, list[Parameter]]]:
    """Rows of each block, those of the text first; ``free`` is -1 until they are numbered."""
    drafts = []
    for part in plan.parts:
        role = roles[part.group, part.level]
        given = list(_given(part, role, options, syntax))
        rows = [*given, *default_rows(given, role, options)]
        if part.group > 1 or part.level > 1:
            rows = [replace(row, group=part.group, level=part.level) for row in rows]
        if part.group > 1 and options.equal:
            continuous = _of_continuous(rows, role, options)
            rows = [released(row, role.latents, options, continuous) for row in rows]
        drafts.append((part, rows))
    return drafts if len(plan.levels) == 1 else [(part, _within(part, rows, drafts, syntax)) for part, rows in drafts]


def _of_continuous(rows: Sequence[Parameter], role: Roles, options: Options) -> set[str]:
    """Latent variables all of whose items are continuous."""
    items: dict[str, set[str]] = {}
    for row in rows:
        if row.op == "=~" and row.rhs not in role.latents:
            items.setdefault(row.lhs, set()).add(row.rhs)
    return {name for name, own in items.items() if not own & options.thresholds.keys()}


def _within(
    part: Part, rows: list[Parameter], drafts: Sequence[tuple[Part, list[Parameter]]], syntax: Syntax
) -> list[Parameter]:
    """Means are at the upper level: intercepts of variables at both levels are zero at the lower one."""
    if part.level > 1:
        return rows
    above = next(others for other, others in drafts if other.group == part.group and other.level > 1)
    lifted = _measuring(rows, {row.lhs for row in above if row.op == "~1"})
    said = {entry.lhs: (entry, part.said(entry)) for entry in part.entries if entry.op == "~1"}
    return [_at_zero(row, said.get(row.lhs), syntax) if row.op == "~1" and row.lhs in lifted else row for row in rows]


def _measuring(rows: Sequence[Parameter], observed: set[str]) -> set[str]:
    """These variables, and the latent ones that they measure, whose default means equal intercepts may have freed."""
    found, before = set(observed), 0
    while len(found) > before:
        before = len(found)
        found |= {row.lhs for row in rows if row.op == "=~" and row.rhs in found}
    means = {row.lhs for row in rows if row.op == "~1" and row.given_by == "default"}
    return observed | (found & means)


def _at_zero(row: Parameter, given: tuple[Entry, Modifiers] | None, syntax: Syntax) -> Parameter:
    if given is not None and (given[1].fixed is not None or given[1].free):
        return row
    if given is not None and given[1].start is not None:
        raise spec_error(
            f"found start(...) for '{given[0]}', which is 0 because the mean of {row.lhs} is at the upper level; "
            "remove it there",
            given[0].token,
            syntax.text,
        )
    given_by = "default" if row.given_by == "sample" else row.given_by
    return replace(row, free=0, fixed=0.0, given_by=given_by)


def _given(part: Part, roles: Roles, options: Options, syntax: Syntax) -> Iterator[Parameter]:
    """Rows of the text."""
    markers: set[str] = set()
    for entry in part.entries:
        says = part.said(entry)
        fixed = says.fixed
        marks = entry.op == "=~" and entry.lhs not in markers and not options.std_lv
        scales = options.std_lv and entry.op == "~~" and entry.lhs == entry.rhs and entry.lhs in roles.latents
        if entry.op == "=~":
            markers.add(entry.lhs)
        if (marks or scales) and fixed is None and not says.free:
            _refuse_start_of_fixed(entry, says, marks, syntax.text)
            fixed = 1.0
        yield Parameter(
            entry.lhs,
            entry.op,
            entry.rhs,
            label=says.label or "",
            free=FREE if fixed is None else 0,
            fixed=value_or(fixed, math.nan),
            start=value_or(says.start, math.nan),
            lower=value_or(says.lower, -math.inf),
            upper=value_or(says.upper, math.inf),
        )


def _refuse_start_of_fixed(entry: Entry, says: Modifiers, marks: bool, text: str) -> None:
    if says.start is None and says.equal is None:
        return
    what = "start(...)" if says.start is not None else "equal(...)"
    why = f"the first indicator of {entry.lhs} sets its scale" if marks else "std_lv makes latent variances 1"
    name = entry.rhs
    raise spec_error(
        f"found {what} for '{entry}', which is fixed at 1 because {why}; "
        f"add NA*{name} to free it, or remove the modifier",
        entry.token,
        text,
    )


def _one_table(
    drafts: Sequence[tuple[Part, list[Parameter]]],
    plan: Plan,
    roles: Mapping[tuple[int, int], Roles],
    options: Options,
    partial: Sequence[str],
    syntax: Syntax,
) -> tuple[Parameter, ...]:
    """Rows of all blocks, equal ones with one number."""
    rows = [row for _, part in drafts for row in part]
    asking: dict[Key, tuple[Entry, str]] = {}
    places: dict[Key, Token] = {}
    for part in plan.parts:
        for entry in part.entries:
            key = (part.level, part.group, *entry.key)
            places[key] = entry.token
            asked = part.said(entry).equal
            if asked is not None:
                asking[key] = entry, asked
    if asking:
        rows = resolved(rows, asking, syntax)
    if len(plan.groups) > 1 and not options.equal:
        _warn_of_shared_labels(plan)
    ties = group_ties(rows, options.equal, partial, roles) if options.equal or partial else {}
    return tied(rows, ties, places, syntax)


def _warn_of_shared_labels(plan: Plan) -> None:
    shared = unique(
        entry.said[0].label
        for part in plan.parts
        if not part.alone
        for entry in part.entries
        if len(entry.said) == 1 and entry.said[0].label is not None
    )
    if shared:
        values = ", ".join(f"{shared[0]}{number}" for number in range(1, len(plan.groups) + 1))
        warnings.warn(
            f"One label for several groups holds a parameter equal in all of them: {', '.join(shared)}. "
            f"Give one label a group, as in c({values})*x, where it may differ.",
            SpcWarning,
            stacklevel=4,
        )


def _constraints(syntax: Syntax, labels: set[str], definitions: Sequence[Definition]) -> tuple[Constraint, ...]:
    """Constraints on labels alone: what ``:=`` defines is written out in them."""
    known: dict[str, Expression] = {}
    for item in definitions if syntax.relations else ():
        known[item.token.text] = substitute(item.expression, known)
    for relation in syntax.relations:
        if not relation.left.names and not relation.right.names:
            raise spec_error(
                "found a constraint without a label; expected one, as in a == 1", relation.token, syntax.text
            )
        for side in (relation.left, relation.right):
            refuse_unknown_label(side, relation.tokens, labels | {*known}, syntax.text)
    return tuple(
        Constraint(str(substitute(r.left, known)), r.token.text, str(substitute(r.right, known)))
        for r in syntax.relations
    )
