"""Join tokens to logical lines and find the one operator of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from spc.errors import SpcError, SpecError
from spc.spec.tokens import Token, spec_error, unsupported

__all__ = ["BLOCKS", "RELATIONS", "logical_lines", "operator_position"]

BLOCKS = ("group", "level")
_FORMULAS = ("=~", "~~", "~", "|", "~*~")
RELATIONS = ("==", "<", ">")
_EXPECTED = (
    "expected one of =~ (is measured by), ~ (is regressed on), ~~ (covaries with), | (has thresholds), ~*~ (is scaled "
    "by), :=, ==, <, >"
)

_NOT_YET = {
    "<~": "composites (<~) are not supported yet; score the composite as a column and use that",
    "%": "group weights (%) are not supported; leave the line out",
}
_OTHER_BLOCKS = {
    "block": "unnamed blocks (block:) are not supported; say group: or level:",
    "class": "latent classes (class:) are not supported; say group: for groups that are observed",
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


def logical_lines(tokens: Sequence[Token], text: str) -> Iterator[list[Token]]:
    """Logical lines, each ending in a ``newline`` or ``end`` token."""
    line: list[Token] = []
    opened: list[Token] = []
    for position, token in enumerate(tokens):
        if token.kind in {"newline", "end"}:
            if token.text == "\n" and line and (opened or _continues(line[-1], tokens, position)):
                continue
            if opened:
                raise spec_error("this parenthesis is never closed; expected ')'", opened[-1], text)
            if line:
                yield [*line, token]
            line = []
            continue
        if token.text == "(" and token.kind == "op":
            opened.append(token)
        elif token.text == ")" and token.kind == "op":
            if not opened:
                raise spec_error("found ')' without an opening parenthesis; remove it or add '('", token, text)
            opened.pop()
        line.append(token)


def _continues(last: Token, tokens: Sequence[Token], position: int) -> bool:
    if last.kind == "op" and last.text != ")":
        return True
    following = next(token for token in tokens[position:] if token.text != "\n")
    return following.kind == "op" and following.text not in {"(", "-"}


def operator_position(line: list[Token], text: str) -> int:
    """Where the operator of the line is; raise for none, several or wrong ones."""
    found = -1
    depth = 0
    for position, token in enumerate(line):
        if token.kind != "op":
            continue
        depth += (token.text == "(") - (token.text == ")")
        if token.text == ":":
            if position == 1 and line[0].text.lower() in BLOCKS:
                return position
            raise _colon(line, position, text)
        if token.text in _NOT_YET:
            raise unsupported(_NOT_YET[token.text], token)
        if token.text in _SLIPS and depth == 0:
            raise spec_error(_SLIPS[token.text], token, text)
        if depth == 0 and token.text in (*_FORMULAS, *RELATIONS, ":="):
            if found >= 0:
                raise spec_error(
                    f"found a second operator {token} after {line[found]}; expected one an expression. "
                    "End the line above (no + at its end), or split this one",
                    token,
                    text,
                )
            found = position
    if found < 0:
        raise _no_operator(line, text)
    return found


def _colon(line: list[Token], position: int, text: str) -> SpcError:
    if position == 1 and line[0].text.lower() in _OTHER_BLOCKS:
        return unsupported(_OTHER_BLOCKS[line[0].text.lower()], line[0])
    if 0 < position < len(line) - 1 and line[position - 1].kind == line[position + 1].kind == "name":
        return unsupported(
            f"interaction terms ({line[position - 1].text}:{line[position + 1].text}) are not supported; "
            "compute the product as a column of the data and use its name",
            line[position - 1],
        )
    return spec_error(_SLIPS[":"], line[position], text)


def _no_operator(line: list[Token], text: str) -> SpecError:
    hint = ". If the line continues the one above, end that one with +" if line[0].line > 1 else ""
    return spec_error(f"found no operator on this line; {_EXPECTED}{hint}", line[0], text)
