"""Read model text: lines of ``left operator terms`` to entries, definitions and constraints.

The grammar is that of lavaan's model syntax. Nothing is completed or decided here; see :mod:`spc.spec.complete`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import NoReturn

from spc.spec.expressions import Expression, parse_tokens
from spc.spec.tokens import Token, fail, tokenize, unsupported

__all__ = ["Definition", "Entry", "Modifiers", "Relation", "Syntax", "read_syntax"]

_FORMULAS = ("=~", "~~", "~")
_RELATIONS = ("==", "<", ">")
_CONSTANT_FUNCTIONS = ("exp", "log", "sqrt", "abs")
_EXPECTED = "expected one of =~ (is measured by), ~ (is regressed on), ~~ (covaries with), :=, ==, <, >"

# Each of these has its place in the table (`group`, `level`, `ordinal`) but no estimator yet.
_NOT_YET = {
    "|": "thresholds (x | t1) and ordered items are not supported yet; leave the line out",
    "~*~": "scaling factors of ordered items (~*~) are not supported yet; leave the line out",
    "<~": "composites (<~) are not supported yet; score the composite as a column and use that",
    "%": "multilevel blocks (%) are not supported yet; fit one level at a time",
}
_BLOCKS = {
    "level": "two-level models (level: blocks) are not supported yet; fit one level at a time",
    "group": "multi-group models (group: blocks) are not supported yet; fit each group on its own",
    "block": "models in blocks (block:) are not supported yet; fit one block at a time",
}
_MODIFIERS_NOT_YET = {
    "c": "multi-group modifiers c(...) are not supported yet; give one value or label and fit each group on its own",
    "efa": "exploratory blocks efa(...) are not supported yet; write down which items measure which factor",
    "rv": "random slopes rv(...) are not supported yet",
    "prior": "prior(...) is not supported; estimation is not Bayesian",
}
_SLIPS = {
    "=": "found '=', which is no operator; write =~ for a measurement, ~ for a regression, == for a constraint "
    "or := for a definition",
    "~~~": "found '~~~', which is no operator; write ~~ for a variance or covariance",
    "~=": "found '~='; write =~, latent variable first",
    "->": "found '->'; write the outcome first, as in y ~ x",
    "<-": "found '<-'; write a regression as y ~ x, and a bound with a blank, as in a < -1",
    "<=": "found '<='; write < (a bound includes its limit)",
    ">=": "found '>='; write > (a bound includes its limit)",
    "!=": "found '!='; parameters can be held equal (==) or bounded (<, >), not unequal",
    "==>": "found '==>', which is no operator; write a regression as y ~ x",
    "<=>": "found '<=>', which is no operator; write a covariance as x ~~ y",
    "&": "found '&'; join variables with +",
    ":": "found ':'; write := to define a parameter",
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
    """``name := expression`` with the token of the name."""

    token: Token
    expression: Expression


@dataclass(frozen=True, slots=True)
class Relation:
    """A constraint, with the token of its operator."""

    left: Expression
    token: Token
    right: Expression


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
    for line in _lines(tokenize(text), text):
        at = _operator(line, text)
        operator = line[at]
        left, right = line[:at], line[at + 1 :]
        if not left:
            fail(f"found {operator} with nothing before it; expected a variable on its left", operator, text)
        if right[0].kind in {"newline", "end"}:
            fail(f"found nothing after {operator}; expected its right side on this line", operator, text)
        if operator.text == ":=":
            definitions.append(Definition(_single_name(left, text), parse_tokens(right, text)))
        elif operator.text in _RELATIONS:
            relations.append(
                Relation(parse_tokens([*left, _end_before(operator)], text), operator, parse_tokens(right, text))
            )
        else:
            entries += _formula(left, operator, right[:-1], text)
    return Syntax(_combined(entries, text), tuple(definitions), tuple(relations), text)


def _end_before(token: Token) -> Token:
    return Token("end", "", token.line, token.column)


def _lines(tokens: Sequence[Token], text: str) -> Iterator[list[Token]]:
    """Logical lines, each ending in a ``newline`` or ``end`` token."""
    line: list[Token] = []
    opened: list[Token] = []
    for position, token in enumerate(tokens):
        if token.kind in {"newline", "end"}:
            if token.text == "\n" and line and (opened or _continues(line[-1], tokens, position)):
                continue
            if opened:
                fail("this parenthesis is never closed; expected ')'", opened[-1], text)
            if line:
                yield [*line, token]
            line = []
            continue
        if token.text == "(" and token.kind == "op":
            opened.append(token)
        elif token.text == ")" and token.kind == "op":
            if not opened:
                fail("found ')' without an opening parenthesis; remove it or add '('", token, text)
            opened.pop()
        line.append(token)


def _continues(last: Token, tokens: Sequence[Token], position: int) -> bool:
    if last.kind == "op" and last.text != ")":
        return True
    following = next(token for token in tokens[position:] if token.text != "\n")
    return following.kind == "op" and following.text not in {"(", "-"}


def _operator(line: list[Token], text: str) -> int:
    """Where the operator of the line is; raise for none, several or wrong ones."""
    found = -1
    depth = 0
    for position, token in enumerate(line):
        if token.kind != "op":
            continue
        depth += (token.text == "(") - (token.text == ")")
        if token.text == ":":
            _refuse_colon(line, position, text)
        if token.text in _NOT_YET:
            unsupported(_NOT_YET[token.text], token)
        if token.text in _SLIPS and depth == 0:
            fail(_SLIPS[token.text], token, text)
        if depth == 0 and token.text in (*_FORMULAS, *_RELATIONS, ":="):
            if found >= 0:
                fail(
                    f"found a second operator {token} after {line[found]}; expected one an expression. "
                    "End the line above (no + at its end), or split this one",
                    token,
                    text,
                )
            found = position
    if found < 0:
        _refuse_no_operator(line, text)
    return found


def _refuse_colon(line: list[Token], position: int, text: str) -> None:
    if position == 1 and line[0].text.lower() in _BLOCKS:
        unsupported(_BLOCKS[line[0].text.lower()], line[0])
    if 0 < position < len(line) - 1 and line[position - 1].kind == line[position + 1].kind == "name":
        unsupported(
            f"interaction terms ({line[position - 1].text}:{line[position + 1].text}) are not supported; "
            "compute the product as a column of the data and use its name",
            line[position - 1],
        )
    fail(_SLIPS[":"], line[position], text)


def _refuse_no_operator(line: list[Token], text: str) -> NoReturn:
    hint = ". If the line continues the one above, end that one with +" if line[0].line > 1 else ""
    fail(f"found no operator on this line; {_EXPECTED}{hint}", line[0], text)


def _single_name(tokens: Sequence[Token], text: str) -> Token:
    if len(tokens) == 1 and tokens[0].kind == "name" and tokens[0].text != "NA":
        return tokens[0]
    wrong = tokens[0] if tokens[0].kind != "name" or len(tokens) == 1 else tokens[1]
    fail(f"found {wrong}; expected one new name before := and nothing else", wrong, text)


def _formula(left: Sequence[Token], operator: Token, right: Sequence[Token], text: str) -> Iterator[Entry]:
    names = [_left_name(part, text) for part in _split(left, "+", operator, text)]
    terms = [_term(part, operator, text) for part in _split(right, "+", operator, text)]
    for name in names:
        for modifiers, variable in terms:
            if variable.kind == "number":
                yield Entry(name.text, "~1", "", modifiers, variable)
            else:
                yield Entry(name.text, operator.text, variable.text, modifiers, variable)


def _split(tokens: Sequence[Token], separator: str, before: Token, text: str) -> list[list[Token]]:
    """Parts between separators outside parentheses, none of them empty."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += token.kind == "op" and token.text == "("
        depth -= token.kind == "op" and token.text == ")"
        if depth == 0 and token.kind == "op" and token.text == separator:
            if not parts[-1]:
                fail(f"found {token} with nothing before it; expected a variable", token, text)
            parts.append([])
            before = token
        else:
            parts[-1].append(token)
    if not parts[-1]:
        fail(f"found nothing after {before}; expected a variable", before, text)
    return parts


def _left_name(part: Sequence[Token], text: str) -> Token:
    for position, token in enumerate(part):
        following = part[position + 1] if position + 1 < len(part) else None
        if token.text in _MODIFIERS_NOT_YET and following is not None and following.text == "(":
            unsupported(_MODIFIERS_NOT_YET[token.text], token)
        if token.text == "*" and token.kind == "op":
            fail("found '*' on the left side; labels and values belong to the terms on the right", token, text)
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
                fail(f"found {token} with nothing before it; expected a label or a number", token, text)
            factors.append((current, token))
            current = []
        else:
            current.append(token)
    if not current:
        fail(f"found nothing after {factors[-1][1]}; expected a variable", factors[-1][1], text)
    modifiers = Modifiers()
    for tokens, sign in factors:
        modifiers = _combine(modifiers, _modifier(tokens, sign, text), tokens[0], text)
    if operator.text == "~" and len(current) == 1 and current[0].kind == "number":
        return _intercept(modifiers, current[0], text), current[0]
    return modifiers, _variable(current, text)


def _intercept(modifiers: Modifiers, number: Token, text: str) -> Modifiers:
    if float(number.text) == 1:
        return modifiers
    if float(number.text) == 0 and modifiers == Modifiers():
        return Modifiers(fixed=0.0)
    fail(
        f"found {number} where a variable belongs; an intercept is 1 (free), 0 (none) or a value times 1, "
        f"as in {number.text}*1",
        number,
        text,
    )


def _variable(part: Sequence[Token], text: str) -> Token:
    first = part[0]
    if len(part) == 1 and first.kind == "name":
        if first.text == "NA":
            fail("found NA where a variable belongs; write NA*x to free the parameter of x", first, text)
        return first
    for token in part:
        if token.kind == "op" and token.text == "-":
            fail(
                "found '-' between terms; a variable cannot be taken out, so leave it away and use + only", token, text
            )
    if first.kind == "string":
        fail(
            f"found {first}, which is a text in quotes; write a name with blanks in backticks, `{first.text}`",
            first,
            text,
        )
    if first.kind == "number":
        fail(f"found {first} where a variable belongs; write a value as {first.text}*x", first, text)
    if first.kind != "name":
        fail(f"found {first}; expected a variable", first, text)
    second = part[1]
    if second.text == "(" and second.kind == "op":
        fail(
            f"found {first.text}(...) where a variable belongs; compute the column in the data first and use its name",
            first,
            text,
        )
    if second.kind == "op":
        fail(f"found {second} after {first}; expected + or the end of the line", second, text)
    fail(
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
    if first.kind == "name" and tokens[1].text == "(" and first.text not in _CONSTANT_FUNCTIONS:
        return _call(first, tokens[2:-1], text)
    if first.kind == "name" and tokens[1].kind != "op":
        fail(f"found {tokens[1]} directly after {first}; join variables with +, modifiers with *", tokens[1], text)
    return Modifiers(fixed=_constant(tokens, text))


def _call(name: Token, inner: Sequence[Token], text: str) -> Modifiers:
    if name.text in _MODIFIERS_NOT_YET:
        unsupported(_MODIFIERS_NOT_YET[name.text], name)
    known = ("start", "fixed", "label", "equal", "lower", "upper")
    if name.text not in known:
        fail(f"found the modifier '{name.text}(...)'; expected one of {', '.join(known)}", name, text)
    if not inner:
        fail(f"found {name.text}() without a value; expected one between the parentheses", name, text)
    if any(token.text == "," and token.kind == "op" for token in inner):
        unsupported("several values in one modifier mean several groups, which are not supported yet; give one", name)
    if name.text in {"label", "equal"}:
        return _text_modifier(name, inner, text)
    value = _constant(inner, text)
    options = {"start": Modifiers(start=value), "lower": Modifiers(lower=value), "upper": Modifiers(upper=value)}
    return options.get(name.text, Modifiers(fixed=value))


def _text_modifier(name: Token, inner: Sequence[Token], text: str) -> Modifiers:
    if len(inner) != 1 or inner[0].kind not in {"string", "name"}:
        fail(f'found {inner[0]} in {name.text}(...); expected a text in quotes, as in {name.text}("a")', inner[0], text)
    if name.text == "label":
        return Modifiers(label=inner[0].text)
    return Modifiers(equal=inner[0].text)


def _constant(tokens: Sequence[Token], text: str) -> float:
    last = tokens[-1]
    expression = parse_tokens([*tokens, Token("end", "", last.line, last.column + len(last.text))], text)
    if expression.names:
        fail(f"found '{expression}' as a value; expected a number here, without labels", tokens[0], text)
    value = float(expression.evaluate({}))
    if not math.isfinite(value):
        fail(f"'{expression}' is not a finite number", tokens[0], text)
    return value


def _combine(one: Modifiers, other: Modifiers, token: Token, text: str) -> Modifiers:
    """Both together; raise where they contradict each other."""
    said = {"label": "two labels", "fixed": "two fixed values", "start": "two start values"}
    merged = one
    for field in fields(Modifiers):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if first is not None and second is not None and first != second:
            what = said.get(field.name, f"two values for {field.name}()")
            fail(f"found {what} for one parameter, {first} and {second}; keep one of them", token, text)
        if second is not None:
            merged = replace(merged, **{field.name: second})
    _refuse_contradiction(merged, token, text)
    return merged


def _refuse_contradiction(modifiers: Modifiers, token: Token, text: str) -> None:
    if modifiers.fixed is not None and (modifiers.free or modifiers.start is not None):
        other = "NA (free)" if modifiers.free else f"a start value ({modifiers.start:g})"
        fail(f"found both a fixed value ({modifiers.fixed:g}) and {other} for one parameter; keep one", token, text)
    if modifiers.equal is not None and (modifiers.label is not None or modifiers.fixed is not None):
        fail("found equal(...) together with a label or a fixed value for one parameter; keep one", token, text)
    lower = -math.inf if modifiers.lower is None else modifiers.lower
    upper = math.inf if modifiers.upper is None else modifiers.upper
    if lower > upper:
        fail(f"found the lower bound {lower:g} above the upper bound {upper:g}; exchange them", token, text)


def _combined(entries: Sequence[Entry], text: str) -> tuple[Entry, ...]:
    """One entry a parameter: later mentions may add modifiers to it."""
    merged: dict[tuple[str, str, str], Entry] = {}
    for entry in entries:
        first = merged.get(entry.key)
        if first is None:
            merged[entry.key] = entry
            continue
        if entry.modifiers == Modifiers() or entry.modifiers == first.modifiers:
            fail(
                f"found '{entry}' a second time (first on line {first.token.line}); remove one of the two",
                entry.token,
                text,
            )
        merged[entry.key] = replace(first, modifiers=_combine(first.modifiers, entry.modifiers, entry.token, text))
    return tuple(merged.values())
