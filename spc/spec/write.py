"""Write a model as text that reads back to the same parameter table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby

from spc.spec.table import Model, Parameter
from spc.spec.tokens import is_name

__all__ = ["write_model"]


def write_model(model: Model, *, complete: bool = False) -> str:
    """Model text of a model, in lavaan's syntax.

    Parameters
    ----------
    model : Model
    complete : bool
        Also write the rows that defaults added, so that the text says everything and needs no options; otherwise
        only what the original text said, to be read with ``model.options``.

    Returns
    -------
    str
        ``spc.spec.model(write_model(m), **m.options)`` has the table of ``m``. Covariates held at their sample
        moments are never written: no syntax says so.

    Examples
    --------
    >>> from spc.spec import model
    >>> print(write_model(model("f=~x1+a*x2;f=~a*x3 # equal")))
    f =~ 1*x1 + a*x2 + a*x3
    """
    rows = [row for row in model.parameters if row.given_by == "user" or (complete and row.given_by == "default")]
    loadings = _first_loadings(model.parameters.rows)
    scales = {*loadings, *((name, "~~", name) for name in model.latents)}
    unlabelled = {row.name for row in model.parameters if not row.label}
    lines = [_formula(list(part), scales, unlabelled) for _, part in groupby(rows, key=lambda row: (row.lhs, row.op))]
    lines += [f"{_name(defined.name)} := {defined.expression}" for defined in model.defined]
    lines += [f"{constraint.left} {constraint.op} {constraint.right}" for constraint in model.constraints]
    return "\n".join(lines)


def _first_loadings(rows: Sequence[Parameter]) -> set[tuple[str, str, str]]:
    first: dict[str, Parameter] = {}
    for row in rows:
        if row.op == "=~":
            first.setdefault(row.lhs, row)
    return {(row.lhs, row.op, row.rhs) for row in first.values()}


def _formula(rows: Sequence[Parameter], scales: set[tuple[str, str, str]], unlabelled: set[str]) -> str:
    first = rows[0]
    op = "~" if first.op == "~1" else first.op
    terms = [term for row in rows for term in _terms(row, (row.lhs, row.op, row.rhs) in scales, unlabelled)]
    return f"{_name(first.lhs)} {op} {' + '.join(terms)}"


def _terms(row: Parameter, scale: bool, unlabelled: set[str]) -> Iterator[str]:
    """The parameter once for each of its modifiers, as lavaan reads them."""
    variable = "1" if row.op == "~1" else _name(row.rhs)
    modifiers = list(_modifiers(row, scale, unlabelled))
    yield from (f"{modifier}*{variable}" for modifier in modifiers)
    if not modifiers:
        yield variable


def _modifiers(row: Parameter, scale: bool, unlabelled: set[str]) -> Iterator[str]:
    equal = bool(row.label) and row.label in unlabelled
    if scale and (row.free or equal):
        yield "NA"
    if not row.free and not equal:
        yield _number(row.fixed)
    if equal:
        yield f"equal({_quoted(row.label)})"
    elif row.label:
        yield row.label if is_name(row.label) else _quoted(row.label)
    for function, value in (("start", row.start), ("lower", row.lower), ("upper", row.upper)):
        if math.isfinite(value):
            yield f"{function}({_number(value)})"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _name(text: str) -> str:
    return text if is_name(text) else f"`{text}`"


def _quoted(text: str) -> str:
    return f"'{text}'" if '"' in text else f'"{text}"'
