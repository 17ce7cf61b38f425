"""Read modifiers: what ``a*x``, ``start(0.5)*x`` or ``c(1, NA)*x`` say of the parameter of ``x``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from spc.spec.expressions import FUNCTIONS, parse_tokens
from spc.spec.tokens import Token, spec_error, unsupported

__all__ = ["NOTHING", "NOT_YET", "Modifiers", "Said", "combine", "is_op", "read_modifier"]

NOT_YET = {
    "efa": "exploratory blocks efa(...) are not supported yet; write down which items measure which factor",
    "rv": (
        "random slopes rv(...) have no method here, nor in lavaan; for slopes that depend on a variable of clusters "
        "take the product of both as a column, for slopes of observed variables that differ freely a mixed model"
    ),
    "prior": "prior(...) is not supported; estimation is not Bayesian",
}


@dataclass(frozen=True, slots=True)
class Modifiers:
    """What the text says of one parameter; None where it says nothing."""

    label: str | None = None
    fixed: float | None = None
    start: float | None = None
    free: bool | None = None
    equal: str | None = None
    lower: float | None = None
    upper: float | None = None


Said = tuple[Modifiers, ...]
"""One :class:`Modifiers` for all groups, or one for each."""

_EMPTY = Modifiers()
_NUMERIC: Mapping[str, Callable[[float], Modifiers]] = {
    "start": lambda value: Modifiers(start=value),
    "fixed": lambda value: Modifiers(fixed=value),
    "lower": lambda value: Modifiers(lower=value),
    "upper": lambda value: Modifiers(upper=value),
}
_OPEN = {"lower": "-Inf", "upper": "Inf"}
_TEXTUAL: Mapping[str, Callable[[str], Modifiers]] = {
    "label": lambda word: Modifiers(label=word),
    "equal": lambda word: Modifiers(equal=word),
}
NOTHING: Said = (_EMPTY,)


def is_op(token: Token, text: str) -> bool:
    """Whether a token is that operator."""
    return token.text == text and token.kind == "op"


def read_modifier(tokens: Sequence[Token], sign: Token, text: str) -> Said:
    """What stands before one ``*`` or ``?``."""
    first = tokens[0]
    called = len(tokens) > 1 and first.kind == "name" and is_op(tokens[1], "(")
    if sign.text == "?":
        values = _arguments(first, _inside(tokens, text), text) if called and first.text == "c" else [list(tokens)]
        return tuple(Modifiers(start=_constant(value, text)) for value in values)
    if len(tokens) == 1 and first.kind in {"string", "name"}:
        return (_word(first),)
    if called and first.text == "c":
        return _several(_arguments(first, _inside(tokens, text), text), text)
    if called and first.text not in FUNCTIONS:
        return _call(first, _inside(tokens, text), text)
    if first.kind == "name" and tokens[1].kind != "op":
        raise spec_error(
            f"found {tokens[1]} directly after {first}; join variables with +, modifiers with *", tokens[1], text
        )
    return (Modifiers(fixed=_constant(tokens, text)),)


def _is_missing(token: Token) -> bool:
    return token.kind == "name" and token.text == "NA"


def _word(token: Token) -> Modifiers:
    return Modifiers(free=True) if _is_missing(token) else Modifiers(label=token.text)


def _inside(tokens: Sequence[Token], text: str) -> Sequence[Token]:
    """What stands between the parentheses of ``name(...)``; nothing may follow them."""
    depth = 0
    for position, token in enumerate(tokens):
        depth += is_op(token, "(")
        if is_op(token, ")"):
            depth -= 1
            if depth == 0 and position < len(tokens) - 1:
                after = tokens[position + 1]
                raise spec_error(f"found {after} after {tokens[0].text}(...); expected *", after, text)
    return tokens[2:-1]


def _arguments(name: Token, inner: Sequence[Token], text: str) -> list[list[Token]]:
    """Parts between the commas; those of ``c(...)`` where it stands alone."""
    if not inner:
        raise spec_error(f"found {name.text}() without a value; expected one between the parentheses", name, text)
    if len(inner) > 2 and inner[0].text == "c" and inner[0].kind == "name" and is_op(inner[1], "("):
        return _arguments(inner[0], _inside(inner, text), text)
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in inner:
        depth += is_op(token, "(") - is_op(token, ")")
        if depth == 0 and is_op(token, ","):
            parts.append([])
        else:
            parts[-1].append(token)
    if not all(parts):
        raise spec_error(f"found nothing between two commas of {name.text}(...); expected a value", name, text)
    return parts


def _several(parts: Sequence[Sequence[Token]], text: str) -> Said:
    """Values or labels, one a group; beside labels alone NA means no label, otherwise it means free."""
    words = [len(part) == 1 and part[0].kind in {"string", "name"} for part in parts]
    labels = all(words) and not all(_is_missing(part[0]) for part in parts)
    return tuple(
        (_EMPTY if labels and _is_missing(part[0]) else _word(part[0]))
        if word
        else Modifiers(fixed=_constant(part, text))
        for part, word in zip(parts, words, strict=True)
    )


def _call(name: Token, inner: Sequence[Token], text: str) -> Said:
    if name.text in NOT_YET:
        raise unsupported(NOT_YET[name.text], name)
    if name.text not in (*_NUMERIC, *_TEXTUAL):
        known = ("start", "fixed", "label", "equal", "lower", "upper", "c")
        raise spec_error(f"found the modifier '{name.text}(...)'; expected one of {', '.join(known)}", name, text)
    parts = _arguments(name, inner, text)
    if len(parts) > 1 and all(len(part) == 1 and _is_missing(part[0]) for part in parts) and name.text != "fixed":
        raise spec_error(f"found only NA in {name.text}(...); expected a value for one group at least", name, text)
    return tuple(_argument(name, part, len(parts) > 1, text) for part in parts)


def _argument(name: Token, part: Sequence[Token], several: bool, text: str) -> Modifiers:
    if several and len(part) == 1 and _is_missing(part[0]):
        return Modifiers(free=True) if name.text == "fixed" else _EMPTY
    if name.text in _OPEN and "".join(token.text for token in part) == _OPEN[name.text]:
        return _EMPTY
    if name.text in _NUMERIC:
        return _NUMERIC[name.text](_constant(part, text))
    if len(part) != 1 or part[0].kind not in {"string", "name"}:
        raise spec_error(
            f'found {part[0]} in {name.text}(...); expected a text in quotes, as in {name.text}("a")', part[0], text
        )
    return _TEXTUAL[name.text](part[0].text)


def _constant(tokens: Sequence[Token], text: str) -> float:
    last = tokens[-1]
    expression = parse_tokens([*tokens, Token("end", "", last.line, last.column + len(last.text))], text)
    if expression.names:
        raise spec_error(f"found '{expression}' as a value; expected a number here, without labels", tokens[0], text)
    value = float(expression.evaluate({}))
    if not math.isfinite(value):
        raise spec_error(f"'{expression}' is not a finite number", tokens[0], text)
    return value + 0.0  # minus zero is zero


def combine(one: Said, other: Said, token: Token, text: str) -> Said:
    """Both together; raise where they contradict each other."""
    if one == NOTHING:
        return other
    if len(one) > 1 and len(other) > 1 and len(one) != len(other):
        raise spec_error(
            f"found {len(one)} values and {len(other)} values for one parameter; expected one a group", token, text
        )
    groups = max(len(one), len(other))
    first, second = (said * groups if len(said) == 1 else said for said in (one, other))
    return tuple(_merged(a, b, token, text) for a, b in zip(first, second, strict=True))


def _merged(one: Modifiers, other: Modifiers, token: Token, text: str) -> Modifiers:
    said = {"label": "two labels", "fixed": "two fixed values", "start": "two start values"}
    merged = one
    for field in fields(Modifiers):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if first is not None and second is not None and first != second:
            what = said.get(field.name, f"two values for {field.name}()")
            raise spec_error(f"found {what} for one parameter, {first} and {second}; keep one of them", token, text)
        if second is not None:
            merged = replace(merged, **{field.name: second})
    _refuse_contradiction(merged, token, text)
    return merged


def _refuse_contradiction(modifiers: Modifiers, token: Token, text: str) -> None:
    if modifiers.fixed is not None and (modifiers.free or modifiers.start is not None):
        other = "NA (free)" if modifiers.free else f"a start value ({modifiers.start:g})"
        raise spec_error(
            f"found both a fixed value ({modifiers.fixed:g}) and {other} for one parameter; keep one", token, text
        )
    if modifiers.equal is not None and (modifiers.label is not None or modifiers.fixed is not None):
        raise spec_error(
            "found equal(...) together with a label or a fixed value for one parameter; keep one", token, text
        )
    lower = -math.inf if modifiers.lower is None else modifiers.lower
    upper = math.inf if modifiers.upper is None else modifiers.upper
    if lower > upper:
        raise spec_error(f"found the lower bound {lower:g} above the upper bound {upper:g}; exchange them", token, text)
