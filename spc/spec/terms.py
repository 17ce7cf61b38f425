"""Read the terms of a formula: ``modifier*modifier*variable`` joined by ``+``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from spc.spec.expressions import FUNCTIONS, parse_tokens
from spc.spec.tokens import Token, spec_error, unsupported

__all__ = ["Modifiers", "combine", "left_names", "right_terms"]

_MODIFIERS_NOT_YET = {
    "c": "multi-group modifiers c(...) are not supported yet; give one value or label and fit each group on its own",
    "efa": "exploratory blocks efa(...) are not supported yet; write down which items measure which factor",
    "rv": "random slopes rv(...) are not supported yet",
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


def left_names(tokens: Sequence[Token], operator: Token, text: str) -> list[Token]:
    """Variables before an operator."""
    return [_left_name(part, text) for part in _split(tokens, "+", operator, text)]


def right_terms(tokens: Sequence[Token], operator: Token, text: str) -> list[tuple[Modifiers, Token]]:
    """Modifiers and variable of each term after an operator; a number token stands for the intercept."""
    return [_term(part, operator, text) for part in _split(tokens, "+", operator, text)]


def _split(tokens: Sequence[Token], separator: str, before: Token, text: str) -> list[list[Token]]:
    """Parts between separators outside parentheses, none of them empty."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += token.kind == "op" and token.text == "("
        depth -= token.kind == "op" and token.text == ")"
        if depth == 0 and token.kind == "op" and token.text == separator:
            if not parts[-1]:
                raise spec_error(f"found {token} with nothing before it; expected a variable", token, text)
            parts.append([])
            before = token
        else:
            parts[-1].append(token)
    if not parts[-1]:
        raise spec_error(f"found nothing after {before}; expected a variable", before, text)
    return parts


def _left_name(part: Sequence[Token], text: str) -> Token:
    for position, token in enumerate(part):
        following = part[position + 1] if position + 1 < len(part) else None
        if token.text in _MODIFIERS_NOT_YET and following is not None and following.text == "(":
            raise unsupported(_MODIFIERS_NOT_YET[token.text], token)
        if token.text == "*" and token.kind == "op":
            raise spec_error(
                "found '*' on the left side; labels and values belong to the terms on the right", token, text
            )
    return _variable(part, text)


def _term(part: Sequence[Token], operator: Token, text: str) -> tuple[Modifiers, Token]:
    """Modifiers and variable of ``modifier*modifier*variable``; a number stands for the intercept."""
    factors: list[tuple[list[Token], Token]] = []
    current: list[Token] = []
    depth = 0
    for token in part:
        depth += token.kind == "op" and token.text == "("
        depth -= token.kind == "op" and token.text == ")"
        if depth == 0 and token.kind == "op" and token.text in {"*", "?"}:
            if not current:
                raise spec_error(f"found {token} with nothing before it; expected a label or a number", token, text)
            factors.append((current, token))
            current = []
        else:
            current.append(token)
    if not current:
        raise spec_error(f"found nothing after {factors[-1][1]}; expected a variable", factors[-1][1], text)
    modifiers = Modifiers()
    for tokens, sign in factors:
        modifiers = combine(modifiers, _modifier(tokens, sign, text), tokens[0], text)
    if operator.text == "~" and len(current) == 1 and current[0].kind == "number":
        return _intercept(modifiers, current[0], text), current[0]
    return modifiers, _variable(current, text)


def _intercept(modifiers: Modifiers, number: Token, text: str) -> Modifiers:
    if float(number.text) == 1:
        return modifiers
    if float(number.text) == 0 and modifiers == Modifiers():
        return Modifiers(fixed=0.0)
    raise spec_error(
        f"found {number} where a variable belongs; an intercept is 1 (free), 0 (none) or a value times 1, "
        f"as in {number.text}*1",
        number,
        text,
    )


def _variable(part: Sequence[Token], text: str) -> Token:
    first = part[0]
    if len(part) == 1 and first.kind == "name":
        if first.text == "NA":
            raise spec_error("found NA where a variable belongs; write NA*x to free the parameter of x", first, text)
        return first
    for token in part:
        if token.kind == "op" and token.text == "-":
            raise spec_error(
                "found '-' between terms; a variable cannot be taken out, so leave it away and use + only", token, text
            )
    if first.kind == "string":
        raise spec_error(
            f"found {first}, which is a text in quotes; write a name with blanks in backticks, `{first.text}`",
            first,
            text,
        )
    if first.kind == "number":
        raise spec_error(f"found {first} where a variable belongs; write a value as {first.text}*x", first, text)
    if first.kind != "name":
        raise spec_error(f"found {first}; expected a variable", first, text)
    second = part[1]
    if second.text == "(" and second.kind == "op":
        raise spec_error(
            f"found {first.text}(...) where a variable belongs; compute the column in the data first and use its name",
            first,
            text,
        )
    if second.kind == "op":
        raise spec_error(f"found {second} after {first}; expected + or the end of the line", second, text)
    raise spec_error(
        f"found {second} directly after {first}; join variables with +, or write a name with blanks in backticks",
        second,
        text,
    )


def _modifier(tokens: Sequence[Token], sign: Token, text: str) -> Modifiers:
    first = tokens[0]
    if sign.text == "?":
        return Modifiers(start=_constant(tokens, text))
    if first.kind == "string" and len(tokens) == 1:
        return Modifiers(label=first.text)
    if first.kind == "name" and len(tokens) == 1:
        return Modifiers(free=True) if first.text == "NA" else Modifiers(label=first.text)
    if first.kind == "name" and tokens[1].text == "(" and first.text not in FUNCTIONS:
        return _call(first, _inside(tokens, text), text)
    if first.kind == "name" and tokens[1].kind != "op":
        raise spec_error(
            f"found {tokens[1]} directly after {first}; join variables with +, modifiers with *", tokens[1], text
        )
    return Modifiers(fixed=_constant(tokens, text))


def _inside(tokens: Sequence[Token], text: str) -> Sequence[Token]:
    """What stands between the parentheses of ``name(...)``; nothing may follow them."""
    depth = 0
    for position, token in enumerate(tokens):
        depth += (token.kind, token.text) == ("op", "(")
        if (token.kind, token.text) == ("op", ")"):
            depth -= 1
            if depth == 0 and position < len(tokens) - 1:
                after = tokens[position + 1]
                raise spec_error(f"found {after} after {tokens[0].text}(...); expected *", after, text)
    return tokens[2:-1]


def _call(name: Token, inner: Sequence[Token], text: str) -> Modifiers:
    if name.text in _MODIFIERS_NOT_YET:
        raise unsupported(_MODIFIERS_NOT_YET[name.text], name)
    known = ("start", "fixed", "label", "equal", "lower", "upper")
    if name.text not in known:
        raise spec_error(f"found the modifier '{name.text}(...)'; expected one of {', '.join(known)}", name, text)
    if not inner:
        raise spec_error(f"found {name.text}() without a value; expected one between the parentheses", name, text)
    if any(token.text == "," and token.kind == "op" for token in inner):
        raise unsupported(
            "several values in one modifier mean several groups, which are not supported yet; give one", name
        )
    if name.text in {"label", "equal"}:
        return _text_modifier(name, inner, text)
    value = _constant(inner, text)
    options = {"start": Modifiers(start=value), "lower": Modifiers(lower=value), "upper": Modifiers(upper=value)}
    return options.get(name.text, Modifiers(fixed=value))


def _text_modifier(name: Token, inner: Sequence[Token], text: str) -> Modifiers:
    if len(inner) != 1 or inner[0].kind not in {"string", "name"}:
        raise spec_error(
            f'found {inner[0]} in {name.text}(...); expected a text in quotes, as in {name.text}("a")', inner[0], text
        )
    if name.text == "label":
        return Modifiers(label=inner[0].text)
    return Modifiers(equal=inner[0].text)


def _constant(tokens: Sequence[Token], text: str) -> float:
    last = tokens[-1]
    expression = parse_tokens([*tokens, Token("end", "", last.line, last.column + len(last.text))], text)
    if expression.names:
        raise spec_error(f"found '{expression}' as a value; expected a number here, without labels", tokens[0], text)
    value = float(expression.evaluate({}))
    if not math.isfinite(value):
        raise spec_error(f"'{expression}' is not a finite number", tokens[0], text)
    return value + 0.0  # minus zero is zero


def combine(one: Modifiers, other: Modifiers, token: Token, text: str) -> Modifiers:
    """Both together; raise where they contradict each other."""
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
