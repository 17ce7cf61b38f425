"""From model text to a complete model, by the defaults of lavaan's ``sem()``, ``cfa()`` and ``growth()``.

Rows of the text come first, then variances, covariances of exogenous latent variables, residual covariances of
outcomes that explain nothing, moments of exogenous covariates, and intercepts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from spc.errors import UsageError
from spc.spec.check import check_entries, nearest, ordered_definitions, refuse_unknown_label
from spc.spec.defaults import FREE, Options, default_rows, row_key, value_or
from spc.spec.parser import Entry, Syntax, read_syntax
from spc.spec.roles import Roles, find_roles
from spc.spec.table import Constraint, Defined, Model, Parameter, ParameterTable
from spc.spec.tokens import spec_error

__all__ = ["model"]


def model(
    text: str,
    *,
    std_lv: bool = False,
    orthogonal: bool = False,
    meanstructure: bool | None = None,
    fixed_x: bool = True,
    growth: bool = False,
) -> Model:
    """Read lavaan model syntax and complete it as ``lavaan::sem()`` does.

    Parameters
    ----------
    text : str
        Lines such as ``f =~ x1 + x2``, ``y ~ a*f + x``, ``x1 ~~ x2``, ``y ~ 1``, ``ab := a*b``, ``a == b``.
    std_lv : bool
        Latent variances are 1 and all loadings free; otherwise the first loading of each is 1.
    orthogonal : bool
        Latent variables do not covary unless the text says so.
    meanstructure : bool, optional
        Model the means. By default only when the text has intercepts, or for ``growth``.
    fixed_x : bool
        Observed covariates stay at their sample moments. A covariate whose variance, covariance or intercept the
        text mentions is an ordinary variable instead, as in lavaan.
    growth : bool
        Defaults of ``lavaan::growth()``: latent means free, observed intercepts zero.

    Returns
    -------
    Model

    Raises
    ------
    SpecError
        A text that cannot be read, with line and column.
    UnsupportedError
        Groups, levels, thresholds, composites.
    UsageError
        ``growth`` without a mean structure.

    References
    ----------
    Rosseel (2012), *Journal of Statistical Software* 48(2). Differs from lavaan 0.6 on purpose: a start value on a
    parameter that a default fixes is an error, where lavaan quietly fixes it there.

    Examples
    --------
    >>> cfa = model("f =~ x1 + x2 + x3")
    >>> cfa.parameters.names
    ('f=~x2', 'f=~x3', 'x1~~x1', 'x2~~x2', 'x3~~x3', 'f~~f')
    """
    if not isinstance(text, str):
        raise UsageError(
            f"found a model of type {type(text).__name__}; expected model text, such as 'f =~ x1 + x2 + x3'"
        )
    syntax = read_syntax(text)
    check_entries(syntax)
    options = Options(std_lv, orthogonal, _meanstructure(syntax, meanstructure, growth), fixed_x, growth)
    roles = find_roles(syntax.entries)
    given = tuple(_given(syntax, roles, options))
    rows = _numbered(_equal(_resolved([*given, *default_rows(given, roles, options)], syntax), syntax))
    labels = {row.label for row in rows if row.label}
    return Model(
        parameters=ParameterTable(rows),
        latents=roles.latents,
        observed=roles.observed,
        exogenous=roles.covariates if fixed_x else (),
        constraints=_constraints(syntax, labels),
        defined=tuple(
            Defined(d.token.text, str(d.expression)) for d in ordered_definitions(syntax.definitions, labels, text)
        ),
        meanstructure=options.meanstructure,
        text=text,
        options=_recorded(options),
    )


def _recorded(options: Options) -> Mapping[str, object]:
    return MappingProxyType({name: getattr(options, name) for name in Options.__dataclass_fields__})


def _meanstructure(syntax: Syntax, asked: bool | None, growth: bool) -> bool:
    intercept = next((entry for entry in syntax.entries if entry.op == "~1"), None)
    if asked is False and growth:
        raise UsageError("a growth model is a model of means; leave meanstructure out or make it True")
    if asked is False and intercept is not None:
        raise spec_error(
            "found an intercept, but meanstructure is False; remove one of the two", intercept.token, syntax.text
        )
    return growth or intercept is not None if asked is None else asked


def _given(syntax: Syntax, roles: Roles, options: Options) -> Iterator[Parameter]:
    """Rows of the text; ``free`` is -1 until they are numbered."""
    markers: set[str] = set()
    for entry in syntax.entries:
        says = entry.modifiers
        fixed = says.fixed
        marks = entry.op == "=~" and entry.lhs not in markers and not options.std_lv
        scales = options.std_lv and entry.op == "~~" and entry.lhs == entry.rhs and entry.lhs in roles.latents
        if entry.op == "=~":
            markers.add(entry.lhs)
        if (marks or scales) and fixed is None and not says.free:
            _refuse_start_of_fixed(entry, marks, syntax.text)
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


def _refuse_start_of_fixed(entry: Entry, marks: bool, text: str) -> None:
    if entry.modifiers.start is None and entry.modifiers.equal is None:
        return
    what = "start(...)" if entry.modifiers.start is not None else "equal(...)"
    why = f"the first indicator of {entry.lhs} sets its scale" if marks else "std_lv makes latent variances 1"
    name = entry.rhs
    raise spec_error(
        f"found {what} for '{entry}', which is fixed at 1 because {why}; "
        f"add NA*{name} to free it, or remove the modifier",
        entry.token,
        text,
    )


def _resolved(rows: Sequence[Parameter], syntax: Syntax) -> list[Parameter]:
    """``equal("f=~x2")`` becomes the label of that parameter, or its name where it has none."""
    asking = {entry.key: entry for entry in syntax.entries if entry.modifiers.equal is not None}
    labels = {row.label for row in rows if row.label}
    named = {_plain(f"{row.lhs}{row.op}{row.rhs}"): row for row in rows}
    named |= {_plain(f"{row.rhs}~~{row.lhs}"): row for row in rows if row.op == "~~"}

    def shared(row: Parameter, seen: frozenset[tuple[str, str, str]]) -> str:
        entry = asking.get(row_key(row))
        if entry is None:
            return row.name
        asked = entry.modifiers.equal or ""
        if asked in labels:
            return asked
        target = named.get(_plain(asked))
        problem = _no_target(asked, target, seen, list(named))
        if target is None or problem:
            raise spec_error(f'found equal("{asked}"), {problem}', entry.token, syntax.text)
        return shared(target, seen | {row_key(target)})

    return [
        replace(row, label=shared(row, frozenset({row_key(row)}))) if row_key(row) in asking else row for row in rows
    ]


def _plain(name: str) -> str:
    return "".join(name.replace("`", "").split())


def _no_target(asked: str, target: Parameter | None, seen: Collection[tuple[str, str, str]], known: list[str]) -> str:
    """Why a parameter cannot be equal to another, or empty."""
    if target is None:
        return f"which is no parameter of this model; {nearest(_plain(asked), known)}"
    if row_key(target) in seen:
        return "which leads back to this parameter itself; break the circle"
    if target.given_by == "sample":
        return "which is not estimated (fixed_x); name another"
    return ""


def _equal(rows: Sequence[Parameter], syntax: Syntax) -> list[Parameter]:
    """Rows with one name are equal; where one of them is fixed, all are."""
    values: dict[str, float] = {}
    places = {entry.key: entry.token for entry in syntax.entries}
    for row in rows:
        if row.free or row.given_by == "sample":
            continue
        first = values.setdefault(row.name, row.fixed)
        if first != row.fixed:
            raise spec_error(
                f"found the label '{row.name}' on parameters fixed at two values, {first:g} and {row.fixed:g}; "
                "use two labels",
                places.get(row_key(row), syntax.entries[0].token),
                syntax.text,
            )
    return [
        replace(row, free=0, fixed=values[row.name], start=math.nan) if row.free and row.name in values else row
        for row in rows
    ]


def _numbered(rows: Sequence[Parameter]) -> tuple[Parameter, ...]:
    numbers: dict[str, int] = {}
    return tuple(replace(row, free=numbers.setdefault(row.name, len(numbers) + 1)) if row.free else row for row in rows)


def _constraints(syntax: Syntax, labels: set[str]) -> tuple[Constraint, ...]:
    for relation in syntax.relations:
        if not relation.left.names and not relation.right.names:
            raise spec_error(
                "found a constraint without a label; expected one, as in a == 1", relation.token, syntax.text
            )
        for side in (relation.left, relation.right):
            refuse_unknown_label(side, relation.tokens, labels, syntax.text)
    return tuple(Constraint(str(r.left), r.token.text, str(r.right)) for r in syntax.relations)
