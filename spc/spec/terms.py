"""Read the terms of a formula: ``modifier*modifier*variable`` joined by ``+``."""

from __future__ import annotations

from collections.abc import Sequence

from spc.spec.modifiers import NOT_YET, NOTHING, Modifiers, Said, combine, is_op, read_modifier
from spc.spec.tokens import Token, spec_error, unsupported

__all__ = ["left_names", "right_terms"]


def left_names(tokens: Sequence[Token], operator: Token, text: str) -> list[Token]:
    """Variables before an operator."""
    return [_left_name(part, text) for part in _split(tokens, "+", operator, text)]


def right_terms(tokens: Sequence[Token], operator: Token, text: str) -> list[tuple[Said, Token]]:
    """Modifiers and variable of each term after an operator; a number token stands for the intercept."""
    return [_term(part, operator, text) for part in _split(tokens, "+", operator, text)]


def _split(tokens: Sequence[Token], separator: str, before: Token, text: str) -> list[list[Token]]:
    """Parts between separators outside parentheses, none of them empty."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += is_op(token, "(") - is_op(token, ")")
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
        if token.text in NOT_YET and following is not None and following.text == "(":
            raise unsupported(NOT_YET[token.text], token)
        if token.text == "*" and token.kind == "op":
            raise spec_error(
                "found '*' on the left side; labels and values belong to the terms on the right", token, text
            )
    return _variable(part, text)


def _term(part: Sequence[Token], operator: Token, text: str) -> tuple[Said, Token]:
    """Modifiers and variable of ``modifier*modifier*variable``; a number stands for the intercept."""
    factors: list[tuple[list[Token], Token]] = []
    current: list[Token] = []
    depth = 0
    for token in part:
        depth += is_op(token, "(") - is_op(token, ")")
        if depth == 0 and token.kind == "op" and token.text in {"*", "?"}:
            if not current:
                raise spec_error(f"found {token} with nothing before it; expected a label or a number", token, text)
            factors.append((current, token))
            current = []
        else:
            current.append(token)
    if not current:
        raise spec_error(f"found nothing after {factors[-1][1]}; expected a variable", factors[-1][1], text)
    said = NOTHING
    for tokens, sign in factors:
        said = combine(said, read_modifier(tokens, sign, text), tokens[0], text)
    if operator.text == "~" and len(current) == 1 and current[0].kind == "number":
        return _intercept(said, current[0], text), current[0]
    return said, _variable(current, text)


def _intercept(said: Said, number: Token, text: str) -> Said:
    if float(number.text) == 1:
        return said
    if float(number.text) == 0 and said == NOTHING:
        return (Modifiers(fixed=0.0),)
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
