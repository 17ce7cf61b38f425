"""Complete what a model text says by the defaults of lavaan's ``sem()``, ``cfa()`` and ``growth()``.

Rows of the text come first, then variances, covariances of exogenous latent variables, residual covariances of
outcomes that explain nothing, moments of exogenous covariates, and intercepts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from types import MappingProxyType

from spc.errors import UsageError
from spc.spec.check import check_entries, nearest, ordered_definitions, refuse_unknown_labels
from spc.spec.parser import Entry, Syntax, read_syntax
from spc.spec.table import Constraint, Defined, Model, Parameter, ParameterTable
from spc.spec.tokens import fail

__all__ = ["model"]

_FREE = -1


@dataclass(frozen=True, slots=True)
class _Options:
    std_lv: bool
    orthogonal: bool
    meanstructure: bool
    fixed_x: bool
    growth: bool


@dataclass(frozen=True, slots=True)
class _Roles:
    """Who is what, each in order of appearance."""

    latents: tuple[str, ...]
    observed: tuple[str, ...]
    indicators: tuple[str, ...]
    outcomes: tuple[str, ...]
    predictors: tuple[str, ...]
    covariates: tuple[str, ...]
    alone: tuple[str, ...]

    @property
    def exogenous_latents(self) -> tuple[str, ...]:
        return tuple(name for name in self.latents if name not in self.outcomes and name not in self.indicators)

    @property
    def leaves(self) -> tuple[str, ...]:
        """Outcomes that explain and measure nothing else, latent ones first."""
        found = [name for name in self.outcomes if name not in self.predictors and name not in self.indicators]
        return tuple(sorted(found, key=lambda name: name not in self.latents))


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
    options = _Options(std_lv, orthogonal, _meanstructure(syntax, meanstructure, growth), fixed_x, growth)
    roles = _roles(syntax.entries)
    given = tuple(_given(syntax, roles, options))
    rows = _numbered(_equal(_resolved([*given, *_defaults(given, roles, options)], syntax), syntax))
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


def _recorded(options: _Options) -> Mapping[str, object]:
    return MappingProxyType({name: getattr(options, name) for name in _Options.__dataclass_fields__})


def _meanstructure(syntax: Syntax, asked: bool | None, growth: bool) -> bool:
    intercept = next((entry for entry in syntax.entries if entry.op == "~1"), None)
    if asked is False and growth:
        raise UsageError("a growth model is a model of means; leave meanstructure out or make it True")
    if asked is False and intercept is not None:
        fail("found an intercept, but meanstructure is False; remove one of the two", intercept.token, syntax.text)
    return growth or intercept is not None if asked is None else asked


def _roles(entries: Sequence[Entry]) -> _Roles:
    latents = _unique(entry.lhs for entry in entries if entry.op == "=~")
    indicators = _unique(entry.rhs for entry in entries if entry.op == "=~")
    outcomes = _unique(entry.lhs for entry in entries if entry.op == "~")
    predictors = _unique(entry.rhs for entry in entries if entry.op == "~")
    mentioned = {name for entry in entries if entry.op in {"~~", "~1"} for name in (entry.lhs, entry.rhs)}
    within = {*latents, *indicators, *outcomes, *mentioned}
    everyone = _unique(name for entry in entries for name in (entry.lhs, entry.rhs) if name)
    return _Roles(
        latents=latents,
        observed=tuple(name for name in everyone if name not in latents),
        indicators=indicators,
        outcomes=outcomes,
        predictors=predictors,
        covariates=tuple(name for name in predictors if name not in within),
        alone=_single_indicators(entries),
    )


def _single_indicators(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Sole indicators of a latent variable that measure nothing else: they have no error of their own."""
    measured = [(entry.lhs, entry.rhs) for entry in entries if entry.op == "=~"]
    per_latent = Counter(lhs for lhs, _ in measured)
    per_indicator = Counter(rhs for _, rhs in measured)
    return tuple(rhs for lhs, rhs in measured if per_latent[lhs] == 1 and per_indicator[rhs] == 1)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _given(syntax: Syntax, roles: _Roles, options: _Options) -> Iterator[Parameter]:
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
            free=_FREE if fixed is None else 0,
            fixed=_or(fixed, math.nan),
            start=_or(says.start, math.nan),
            lower=_or(says.lower, -math.inf),
            upper=_or(says.upper, math.inf),
        )


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _refuse_start_of_fixed(entry: Entry, marks: bool, text: str) -> None:
    if entry.modifiers.start is None and entry.modifiers.equal is None:
        return
    what = "start(...)" if entry.modifiers.start is not None else "equal(...)"
    why = f"the first indicator of {entry.lhs} sets its scale" if marks else "std_lv makes latent variances 1"
    name = entry.rhs
    fail(
        f"found {what} for '{entry}', which is fixed at 1 because {why}; "
        f"add NA*{name} to free it, or remove the modifier",
        entry.token,
        text,
    )


def _defaults(given: Sequence[Parameter], roles: _Roles, options: _Options) -> Iterator[Parameter]:
    """Rows that the text leaves to the defaults."""
    present = {_key(row) for row in given}
    for row in _all_defaults(roles, options):
        if _key(row) not in present:
            present.add(_key(row))
            yield row


def _key(row: Parameter) -> tuple[str, str, str]:
    lhs, rhs = sorted((row.lhs, row.rhs)) if row.op == "~~" else (row.lhs, row.rhs)
    return lhs, row.op, rhs


def _all_defaults(roles: _Roles, options: _Options) -> Iterator[Parameter]:
    yield from _variances(roles, options)
    for one, other in combinations(roles.exogenous_latents, 2):
        yield _default(one, "~~", other, 0.0 if options.orthogonal else None)
    for one, other in combinations(roles.leaves, 2):
        apart = options.orthogonal and one in roles.latents and other in roles.latents
        yield _default(one, "~~", other, 0.0 if apart else None)
    for position, one in enumerate(roles.covariates):
        for other in roles.covariates[position:]:
            yield _covariate(one, "~~", other, options)
    if options.meanstructure:
        yield from _intercepts(roles, options)


def _variances(roles: _Roles, options: _Options) -> Iterator[Parameter]:
    alone = roles.alone
    for name in _in_table_order(roles):
        yield _default(name, "~~", name, 0.0 if name in alone else None)
    for name in roles.latents:
        value = 0.0 if name in alone else 1.0 if options.std_lv else None
        yield _default(name, "~~", name, value)


def _in_table_order(roles: _Roles) -> tuple[str, ...]:
    """Observed variables but covariates: indicators, outcomes, the rest."""
    first = _unique(name for name in (*roles.indicators, *roles.outcomes) if name not in roles.latents)
    return tuple(name for name in _unique((*first, *roles.observed)) if name not in roles.covariates)


def _intercepts(roles: _Roles, options: _Options) -> Iterator[Parameter]:
    zero = 0.0 if options.growth else None
    for name in _in_table_order(roles):
        yield _default(name, "~1", "", zero)
    for name in roles.covariates:
        yield _covariate(name, "~1", "", options, zero)
    for name in roles.latents:
        yield _default(name, "~1", "", None if options.growth else 0.0)


def _default(lhs: str, op: str, rhs: str, fixed: float | None) -> Parameter:
    return Parameter(lhs, op, rhs, free=_FREE if fixed is None else 0, fixed=_or(fixed, math.nan), given_by="default")


def _covariate(lhs: str, op: str, rhs: str, options: _Options, fixed: float | None = None) -> Parameter:
    if options.fixed_x:
        return Parameter(lhs, op, rhs, given_by="sample")
    return _default(lhs, op, rhs, fixed)


def _resolved(rows: Sequence[Parameter], syntax: Syntax) -> list[Parameter]:
    """``equal("f=~x2")`` becomes the label of that parameter, or its name where it has none."""
    names = {f"{row.lhs}{row.op}{row.rhs}": row for row in rows}
    names |= {f"{row.rhs}~~{row.lhs}": row for row in rows if row.op == "~~"}
    targets = {entry.key: entry for entry in syntax.entries if entry.modifiers.equal is not None}

    def shared(row: Parameter, seen: frozenset[tuple[str, str, str]]) -> str:
        entry = targets.get(_key(row))
        if entry is None:
            return row.name
        asked = "".join((entry.modifiers.equal or "").split())
        if asked in {other.label for other in rows}:
            return asked
        target = names.get(asked)
        if target is None:
            fail(
                f'found equal("{asked}"), which is no parameter; {nearest(asked, list(names))}',
                entry.token,
                syntax.text,
            )
        if _key(target) in seen:
            fail(f"found equal(\"{asked}\"), which leads back to '{entry}'; break the circle", entry.token, syntax.text)
        if target.given_by == "sample":
            fail(f'found equal("{asked}"), which is not estimated (fixed_x); take another', entry.token, syntax.text)
        return shared(target, seen | {_key(target)})

    return [replace(row, label=shared(row, frozenset({_key(row)}))) if _key(row) in targets else row for row in rows]


def _equal(rows: Sequence[Parameter], syntax: Syntax) -> list[Parameter]:
    """Rows with one name are equal; where one of them is fixed, all are."""
    values: dict[str, float] = {}
    places = {entry.key: entry.token for entry in syntax.entries}
    for row in rows:
        if row.free or row.given_by == "sample":
            continue
        first = values.setdefault(row.name, row.fixed)
        if first != row.fixed:
            fail(
                f"found the label '{row.name}' on parameters fixed at two values, {first:g} and {row.fixed:g}; "
                "use two labels",
                places[_key(row)],
                syntax.text,
            )
    return [replace(row, free=0, fixed=values[row.name]) if row.free and row.name in values else row for row in rows]


def _numbered(rows: Sequence[Parameter]) -> tuple[Parameter, ...]:
    numbers: dict[str, int] = {}
    return tuple(replace(row, free=numbers.setdefault(row.name, len(numbers) + 1)) if row.free else row for row in rows)


def _constraints(syntax: Syntax, labels: set[str]) -> tuple[Constraint, ...]:
    for relation in syntax.relations:
        if not relation.left.names and not relation.right.names:
            fail("found a constraint without a label; expected one, as in a == 1", relation.token, syntax.text)
    sides = [(side, r.token) for r in syntax.relations for side in (r.left, r.right)]
    refuse_unknown_labels(sides, labels, syntax.text)
    return tuple(Constraint(str(r.left), r.token.text, str(r.right)) for r in syntax.relations)
