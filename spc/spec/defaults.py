"""Rows that a model text leaves to the defaults of lavaan's ``sem()``, ``cfa()`` and ``growth()``."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from spc.spec.roles import Roles, unique
from spc.spec.table import Parameter

__all__ = ["FREE", "Options", "default_rows", "released", "row_key", "value_or"]

FREE = -1
"""Stands for "free" until parameters are numbered."""


@dataclass(frozen=True, slots=True)
class Options:
    """What completes a model text.

    ``thresholds`` are the numbers of thresholds of ordered items, ``equal`` the kinds of parameters equal in groups,
    ``theta`` whether ordered items have residual variances in place of scales.
    """

    std_lv: bool
    orthogonal: bool
    meanstructure: bool
    fixed_x: bool
    growth: bool
    thresholds: Mapping[str, int] = field(default_factory=dict)
    equal: frozenset[str] = frozenset()
    theta: bool = False


def value_or(value: float | None, otherwise: float) -> float:
    """A value, or another where there is none."""
    return otherwise if value is None else value


def default_rows(given: Sequence[Parameter], roles: Roles, options: Options) -> Iterator[Parameter]:
    """Rows that the text leaves to the defaults."""
    present = {row_key(row) for row in given}
    for row in _all_defaults(roles, options):
        if row_key(row) not in present:
            present.add(row_key(row))
            yield row


def row_key(row: Parameter) -> tuple[str, str, str]:
    """Identity of a parameter within its block: covariances have no direction."""
    lhs, rhs = sorted((row.lhs, row.rhs)) if row.op == "~~" else (row.lhs, row.rhs)
    return lhs, row.op, rhs


def released(row: Parameter, latents: Collection[str], options: Options, continuous: Collection[str] = ()) -> Parameter:
    """A default row of a group after the first, free where equality of other parameters identifies it.

    Latent means go free with equal intercepts, or with equal thresholds unless all items are ``continuous``; latent
    variances of ``std_lv`` with equal loadings; scales of ordered items, or their residual variances in the theta
    parameterisation, with equal thresholds.
    """
    equal = options.equal
    anchored = "intercepts" in equal or ("thresholds" in equal and row.lhs not in continuous)
    means = row.op == "~1" and row.lhs in latents and anchored and "means" not in equal
    variances = (
        options.std_lv
        and row.op == "~~"
        and row.lhs == row.rhs in latents
        and row.fixed == 1.0
        and "loadings" in equal
        and "lv_variances" not in equal
    )
    scales = row.op == "~*~" and "thresholds" in equal and not options.theta
    residuals = (
        options.theta
        and row.op == "~~"
        and row.lhs == row.rhs in options.thresholds
        and "thresholds" in equal
        and "residuals" not in equal
    )
    if row.given_by == "default" and not row.free and (means or variances or scales or residuals):
        return replace(row, free=FREE, fixed=math.nan)
    return row


def _all_defaults(roles: Roles, options: Options) -> Iterator[Parameter]:
    ordered = [name for name in _in_table_order(roles) if name in options.thresholds] if options.thresholds else []
    for name in ordered:
        for number in range(1, options.thresholds[name] + 1):
            yield _default(name, "|", f"t{number}", None)
    yield from _variances(roles, options)
    for one, other in combinations(roles.exogenous_latents, 2):
        yield _default(one, "~~", other, 0.0 if options.orthogonal else None)
    for one, other in combinations(roles.leaves, 2):
        apart = options.orthogonal and one in roles.latents and other in roles.latents
        yield _default(one, "~~", other, 0.0 if apart else None)
    for position, one in enumerate(roles.covariates):
        for other in roles.covariates[position:]:
            yield _covariate(one, "~~", other, options)
    for name in ordered:
        yield _default(name, "~*~", name, 1.0)
    if options.meanstructure:
        yield from _intercepts(roles, options)


def _variances(roles: Roles, options: Options) -> Iterator[Parameter]:
    alone = roles.alone
    for name in _in_table_order(roles):
        yield _default(name, "~~", name, 1.0 if name in options.thresholds else 0.0 if name in alone else None)
    for name in roles.latents:
        value = 0.0 if name in alone else 1.0 if options.std_lv else None
        yield _default(name, "~~", name, value)


def _in_table_order(roles: Roles) -> tuple[str, ...]:
    """Observed variables but covariates: indicators, outcomes, the rest."""
    first = unique(name for name in (*roles.indicators, *roles.outcomes) if name not in roles.latents)
    return tuple(name for name in unique((*first, *roles.observed)) if name not in roles.covariates)


def _intercepts(roles: Roles, options: Options) -> Iterator[Parameter]:
    zero = 0.0 if options.growth else None
    for name in _in_table_order(roles):
        yield _default(name, "~1", "", 0.0 if name in options.thresholds else zero)
    for name in roles.covariates:
        yield _covariate(name, "~1", "", options, zero)
    for name in roles.latents:
        yield _default(name, "~1", "", None if options.growth else 0.0)


def _default(lhs: str, op: str, rhs: str, fixed: float | None) -> Parameter:
    return Parameter(
        lhs, op, rhs, free=FREE if fixed is None else 0, fixed=value_or(fixed, math.nan), given_by="default"
    )


def _covariate(lhs: str, op: str, rhs: str, options: Options, fixed: float | None = None) -> Parameter:
    if options.fixed_x:
        return Parameter(lhs, op, rhs, given_by="sample")
    return _default(lhs, op, rhs, fixed)
