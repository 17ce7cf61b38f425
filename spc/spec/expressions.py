"""Arithmetic on parameter labels: the right side of ``:=`` and both sides of constraints.

Only ``+ - * / ^``, parentheses and ``exp log sqrt abs`` are known, so a text can never run anything else.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from spc.errors import SpecError
from spc.spec.tokens import Token, spec_error, tokenize
from spc.spec.tree import Binary, Call, Expression, Name, Negative, Number

__all__ = ["FUNCTIONS", "Expression", "parse_expression", "parse_tokens"]

FUNCTIONS = ("exp", "log", "sqrt", "abs")
_DEEPEST, _LONGEST = 40, 400


def parse_expression(text: str, line: int = 1, column: int = 1) -> Expression:
    """Parse arithmetic on labels.

    Parameters
    ----------
    text : str
        Such as ``"a*b + exp(c)"``.
    line, column : int
        Place of the text within a larger one, for messages.

    Raises
    ------
    SpecError
        With the place, on anything but ``+ - * / ^``, parentheses, numbers, labels and ``exp log sqrt abs``.

    Examples
    --------
    >>> indirect = parse_expression("a*b")
    >>> indirect.names, float(indirect.evaluate({"a": 0.5, "b": 0.4}))
    (('a', 'b'), 0.2)
    >>> str(indirect.derivative("a"))
    'b'
    """
    tokens = [token for token in tokenize(text, line, column) if token.kind != "newline"]
    return parse_tokens(tokens, "\n" * (line - 1) + " " * (column - 1) + text)


def parse_tokens(tokens: list[Token], text: str) -> Expression:
    """Parse tokens of one expression, the last of kind ``newline`` or ``end``."""
    if len(tokens) > _LONGEST:
        raise spec_error("this expression is too long; split it over several := lines", tokens[0], text)
    reader = _Reader(tokens, text)
    found = reader.sum(0)
    if reader.peek.kind not in {"newline", "end"}:
        raise reader.rest_error()
    return found


class _Reader:
    """Recursive descent, one method a level of precedence (that of R: ``-a^2`` is ``-(a^2)``)."""

    def __init__(self, tokens: list[Token], text: str) -> None:
        self.tokens, self.text, self.position = tokens, text, 0

    @property
    def peek(self) -> Token:
        return self.tokens[self.position]

    def take(self, *operators: str) -> str:
        token = self.peek
        if token.kind == "op" and token.text in operators:
            self.position += 1
            return token.text
        return ""

    def sum(self, depth: int) -> Expression:
        return self._left_to_right(("+", "-"), self.product, depth)

    def product(self, depth: int) -> Expression:
        return self._left_to_right(("*", "/"), self.signed, depth)

    def _left_to_right(
        self, operators: tuple[str, ...], operand: Callable[[int], Expression], depth: int
    ) -> Expression:
        found = operand(depth)
        while op := self.take(*operators):
            found = Binary(op, found, operand(depth))
        return found

    def signed(self, depth: int) -> Expression:
        self._refuse_depth(depth)
        if self.take("+"):
            return self.signed(depth + 1)
        return Negative(self.signed(depth + 1)) if self.take("-") else self.power(depth)

    def power(self, depth: int) -> Expression:
        base = self.atom(depth)
        return Binary("^", base, self.signed(depth + 1)) if self.take("^") else base

    def atom(self, depth: int) -> Expression:
        token = self.peek
        if self.take("("):
            return self._closed(token, depth)
        if token.kind == "number":
            self.position += 1
            return self._number(token)
        if token.kind == "name":
            self.position += 1
            opening = self.peek
            return self._call(token, opening, depth) if self.take("(") else Name(token.text)
        raise self._no_operand(token)

    def _number(self, token: Token) -> Expression:
        if not math.isfinite(float(token.text)):
            raise spec_error(f"found {token}, which is too large a number", token, self.text)
        return Number(float(token.text))

    def _call(self, name: Token, opening: Token, depth: int) -> Expression:
        if name.text not in FUNCTIONS:
            raise spec_error(
                f"found the function '{name.text}'; only {', '.join(FUNCTIONS)} may be used here",
                name,
                self.text,
            )
        return Call(name.text, self._closed(opening, depth))

    def _closed(self, opening: Token, depth: int) -> Expression:
        inner = self.sum(depth + 1)
        if not self.take(")"):
            raise spec_error(f"this parenthesis is not closed: expected ')' but found {self.peek}", opening, self.text)
        return inner

    def _refuse_depth(self, depth: int) -> None:
        if depth > _DEEPEST:
            raise spec_error(
                "this expression is nested too deeply; split it over several := lines", self.peek, self.text
            )

    def _no_operand(self, token: Token) -> SpecError:
        if token.kind == "op" and token.text == "*":
            return spec_error(
                "found '**' or a stray '*'; expected a label or a number (a power is written ^)", token, self.text
            )
        return spec_error(f"found {token}; expected a label, a number or an opening parenthesis", token, self.text)

    def rest_error(self) -> SpecError:
        """Error for what follows a complete expression."""
        token = self.peek
        if token.text == ")":
            return spec_error("found ')' without an opening parenthesis; remove it or add '('", token, self.text)
        return spec_error(f"found {token}; expected one of + - * / ^ or the end of the line", token, self.text)
