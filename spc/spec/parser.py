"""Read model text: lines of ``left operator terms`` to entries, definitions and constraints.

The grammar is that of lavaan's model syntax. Nothing is completed or decided here; see :mod:`spc.spec.complete`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from spc.spec.expressions import Expression, parse_tokens
from spc.spec.lines import RELATIONS, logical_lines, operator_position
from spc.spec.terms import Modifiers, combine, left_names, right_terms
from spc.spec.tokens import Token, spec_error, tokenize

__all__ = ["Definition", "Entry", "Relation", "Syntax", "read_syntax"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One parameter that the text mentions, with the token of its right side (or left, for intercepts)."""

    lhs: str
    op: str
    rhs: str
    modifiers: Modifiers
    token: Token

    @property
    def key(self) -> tuple[str, str, str]:
        """Identity of the parameter: covariances have no direction."""
        lhs, rhs = sorted((self.lhs, self.rhs)) if self.op == "~~" else (self.lhs, self.rhs)
        return lhs, self.op, rhs

    def __str__(self) -> str:
        return f"{self.lhs} {self.op} {self.rhs}".strip()


@dataclass(frozen=True, slots=True)
class Definition:
    """``name := expression`` with the token of the name and those of the expression."""

    token: Token
    expression: Expression
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """A constraint, with the token of its operator and all of its tokens."""

    left: Expression
    token: Token
    right: Expression
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Syntax:
    """All that a model text says, in its order."""

    entries: tuple[Entry, ...]
    definitions: tuple[Definition, ...]
    relations: tuple[Relation, ...]
    text: str


def read_syntax(text: str) -> Syntax:
    """Read a model text.

    Raises
    ------
    SpecError
        With line and column, what was found and what was expected.
    UnsupportedError
        For groups, levels, thresholds and composites.

    Examples
    --------
    >>> [str(entry) for entry in read_syntax("y ~ 1 + a*x").entries]
    ['y ~1', 'y ~ x']
    """
    entries: list[Entry] = []
    definitions: list[Definition] = []
    relations: list[Relation] = []
    for line in logical_lines(tokenize(text), text):
        at = operator_position(line, text)
        operator = line[at]
        left, right = line[:at], line[at + 1 :]
        if not left:
            raise spec_error(
                f"found {operator} with nothing before it; expected a variable on its left", operator, text
            )
        if right[0].kind in {"newline", "end"}:
            raise spec_error(f"found nothing after {operator}; expected its right side on this line", operator, text)
        if operator.text == ":=":
            definitions.append(Definition(_single_name(left, text), parse_tokens(right, text), tuple(right)))
        elif operator.text in RELATIONS:
            sides = parse_tokens([*left, _end_before(operator)], text), parse_tokens(right, text)
            relations.append(Relation(sides[0], operator, sides[1], tuple(line)))
        else:
            entries += _formula(left, operator, right[:-1], text)
    return Syntax(_combined(entries, text), tuple(definitions), tuple(relations), text)


def _end_before(token: Token) -> Token:
    return Token("end", "", token.line, token.column)


def _single_name(tokens: Sequence[Token], text: str) -> Token:
    if len(tokens) == 1 and tokens[0].kind == "name" and tokens[0].text != "NA":
        return tokens[0]
    wrong = tokens[0] if tokens[0].kind != "name" or len(tokens) == 1 else tokens[1]
    raise spec_error(f"found {wrong}; expected one new name before := and nothing else", wrong, text)


def _formula(left: Sequence[Token], operator: Token, right: Sequence[Token], text: str) -> Iterator[Entry]:
    names = left_names(left, operator, text)
    terms = right_terms(right, operator, text)
    for name in names:
        for modifiers, variable in terms:
            if variable.kind == "number":
                yield Entry(name.text, "~1", "", modifiers, variable)
            else:
                yield Entry(name.text, operator.text, variable.text, modifiers, variable)


def _combined(entries: Sequence[Entry], text: str) -> tuple[Entry, ...]:
    """One entry a parameter: later mentions may add modifiers to it."""
    merged: dict[tuple[str, str, str], Entry] = {}
    for entry in entries:
        first = merged.get(entry.key)
        if first is None:
            merged[entry.key] = entry
            continue
        if entry.modifiers == Modifiers() or entry.modifiers == first.modifiers:
            raise spec_error(
                f"found '{entry}' a second time (first on line {first.token.line}); remove one of the two",
                entry.token,
                text,
            )
        merged[entry.key] = replace(first, modifiers=combine(first.modifiers, entry.modifiers, entry.token, text))
    return tuple(merged.values())
