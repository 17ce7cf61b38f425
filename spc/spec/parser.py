"""Read model text: lines of ``left operator terms`` to entries, definitions and constraints.

The grammar is that of lavaan's model syntax. Nothing is completed or decided here; see :mod:`spc.spec.complete`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from spc.spec.expressions import Expression, parse_tokens
from spc.spec.lines import RELATIONS, logical_lines, operator_position
from spc.spec.modifiers import NOTHING, Said, combine
from spc.spec.terms import left_names, right_terms
from spc.spec.tokens import Token, spec_error, tokenize

__all__ = ["Definition", "Entry", "Head", "Relation", "Syntax", "read_syntax"]


@dataclass(frozen=True, slots=True)
class Head:
    """The block that lines of the text stand in: words after ``group:`` and ``level:``, empty where not said."""

    group: str
    level: str
    token: Token


@dataclass(frozen=True, slots=True)
class Entry:
    """One parameter that the text mentions, with the token of its right side, and its block (-1 outside of any)."""

    lhs: str
    op: str
    rhs: str
    said: Said
    token: Token
    block: int = -1

    @property
    def key(self) -> tuple[str, str, str]:
        """Identity of the parameter: covariances have no direction."""
        lhs, rhs = sorted((self.lhs, self.rhs)) if self.op == "~~" else (self.lhs, self.rhs)
        return lhs, self.op, rhs

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables it names: one for intercepts, thresholds and scales."""
        return (self.lhs,) if self.op in {"~1", "|", "~*~"} else (self.lhs, self.rhs)

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
    heads: tuple[Head, ...]
    text: str


def read_syntax(text: str) -> Syntax:
    """Read a model text.

    Raises
    ------
    SpecError
        With line and column, what was found and what was expected.
    UnsupportedError
        For composites, random slopes and interactions.

    Examples
    --------
    >>> [str(entry) for entry in read_syntax("y ~ 1 + a*x").entries]
    ['y ~1', 'y ~ x']
    """
    entries: list[Entry] = []
    definitions: list[Definition] = []
    relations: list[Relation] = []
    heads: list[Head] = []
    block = -1
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
        if operator.text == ":":
            block = _opened(_head(line[0], right[:-1], heads[block] if heads else None, text), heads)
        elif operator.text == ":=":
            definitions.append(Definition(_single_name(left, text), parse_tokens(right, text), tuple(right)))
        elif operator.text in RELATIONS:
            sides = parse_tokens([*left, _end_before(operator)], text), parse_tokens(right, text)
            relations.append(Relation(sides[0], operator, sides[1], tuple(line)))
        else:
            entries += _formula(left, operator, right[:-1], block, text)
    return Syntax(_combined(entries, text), tuple(definitions), tuple(relations), tuple(heads), text)


def _head(word: Token, right: Sequence[Token], before: Head | None, text: str) -> Head:
    """A new block: ``level:`` keeps the group it stands in."""
    name = "".join(token.text if token.glued or token is right[0] else f" {token.text}" for token in right)
    if word.text.lower() == "level":
        return Head("" if before is None else before.group, name, word)
    if before is not None and before.level and not before.group:
        raise spec_error("found group: within level:; put the levels within each group", word, text)
    return Head(name, "", word)


def _opened(head: Head, heads: list[Head]) -> int:
    """Number of the block, which may have been opened before."""
    for number, known in enumerate(heads):
        if (known.group, known.level) == (head.group, head.level):
            return number
    heads.append(head)
    return len(heads) - 1


def _end_before(token: Token) -> Token:
    return Token("end", "", token.line, token.column)


def _single_name(tokens: Sequence[Token], text: str) -> Token:
    if len(tokens) == 1 and tokens[0].kind == "name" and tokens[0].text != "NA":
        return tokens[0]
    wrong = tokens[0] if tokens[0].kind != "name" or len(tokens) == 1 else tokens[1]
    raise spec_error(f"found {wrong}; expected one new name before := and nothing else", wrong, text)


def _formula(left: Sequence[Token], operator: Token, right: Sequence[Token], block: int, text: str) -> Iterator[Entry]:
    names = left_names(left, operator, text)
    terms = right_terms(right, operator, text)
    for name in names:
        for said, variable in terms:
            if variable.kind == "number":
                yield Entry(name.text, "~1", "", said, variable, block)
            else:
                yield Entry(name.text, operator.text, variable.text, said, variable, block)


def _combined(entries: Sequence[Entry], text: str) -> tuple[Entry, ...]:
    """One entry a parameter: later mentions may add modifiers to it."""
    merged: dict[tuple[int, str, str, str], Entry] = {}
    for entry in entries:
        key = (entry.block, *entry.key)
        first = merged.get(key)
        if first is None:
            merged[key] = entry
            continue
        if entry.said in (NOTHING, first.said):
            raise spec_error(
                f"found '{entry}' a second time (first on line {first.token.line}); remove one of the two",
                entry.token,
                text,
            )
        merged[key] = replace(first, said=combine(first.said, entry.said, entry.token, text))
    return tuple(merged.values())
