"""Cut model text into tokens that know their place."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from spc.errors import SpecError, UnsupportedError

__all__ = ["Kind", "Token", "is_name", "spec_error", "tokenize", "unsupported"]

Kind = Literal["name", "number", "string", "op", "newline", "end"]

_OPERATORS = (
    *("~~~", "~*~", "==>", "<=>"),
    *("=~", "~~", "<~", ":=", "==", "<=", ">=", "!=", "->", "<-", "~=", "=="),
    *("~", "=", "<", ">", "+", "-", "*", "/", "^", "?", "(", ")", ",", "|", "%", ":", "&"),
)
_SKIP = re.compile(r"[^\S\n]+|[#!](?!=)[^\n]*")
_NUMBER = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_NAME = re.compile(r"(?:[^\W\d]|\.(?!\d))[\w.]*")
_MORE_OF_A_NAME = re.compile(r"[\w.]*")
_OPERATOR = re.compile("|".join(re.escape(op) for op in sorted(set(_OPERATORS), key=len, reverse=True)))
_QUOTED = re.compile(r"`([^`\n]*)`|\"([^\"\n]*)\"|'([^'\n]*)'")
_CURLY = dict.fromkeys("“”„‟", '"') | dict.fromkeys("‘’‚", "'") | dict.fromkeys("–—−", "-") | {"∼": "~", "×": "*"}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of model text.

    Attributes
    ----------
    kind : {"name", "number", "string", "op", "newline", "end"}
        A semicolon is a ``newline`` with that text.
    text : str
        Names and strings without their quotes.
    line, column : int
        1-based place of the first character.
    glued : bool
        No blank stands between this token and the one before.
    """

    kind: Kind
    text: str
    line: int
    column: int
    glued: bool = False

    def __str__(self) -> str:
        if self.kind in {"newline", "end"}:
            return "the end of the text" if self.kind == "end" else "the end of the line"
        return f'"{self.text}"' if self.kind == "string" else f"'{self.text}'"


def spec_error(message: str, token: Token, text: str) -> SpecError:
    """Error that points at a token."""
    return SpecError(message, line=token.line, column=token.column, text=text)


def unsupported(message: str, token: Token) -> UnsupportedError:
    """Error for what the syntax has but this package does not, with its place."""
    return UnsupportedError(f"line {token.line}, column {token.column}: {message}")


def is_name(text: str) -> bool:
    """Whether a text is a name that needs no backticks.

    Examples
    --------
    >>> is_name("Zufriedenheit_ä.1"), is_name("staff mood")
    (True, False)
    """
    return bool(text) and _name_end(text, 0) == len(text) and text not in {"NA", "TRUE", "FALSE"}


def _name_end(text: str, position: int) -> int:
    """Where a name ends that begins here, or -1. Marks on letters belong to names: many scripts write with them."""
    found = _NAME.match(text, position)
    if found is None:
        return -1
    end = found.end()
    while end < len(text) and unicodedata.category(text[end]).startswith("M"):
        more = _MORE_OF_A_NAME.match(text, end + 1)
        end = end + 1 if more is None else more.end()
    return end


def tokenize(text: str, line: int = 1, column: int = 1) -> tuple[Token, ...]:
    """Tokens of a model text, ending in one of kind ``end``.

    Parameters
    ----------
    text : str
    line, column : int
        Place of the first character, for a piece of a larger text.

    Raises
    ------
    SpecError
        On a character that belongs to no token, or an unclosed quote.

    Examples
    --------
    >>> [token.text for token in tokenize("f =~ .5*x1 # marker")]
    ['f', '=~', '.5', '*', 'x1', '']
    """
    tokens: list[Token] = []
    position, start, glued = 0, 1 - column, False
    while position < len(text):
        if blank := _SKIP.match(text, position):
            position, glued = blank.end(), False
            continue
        here = position - start + 1
        kind, content, end = _next(text, position, line, here)
        tokens.append(Token(kind, unicodedata.normalize("NFC", content), line, here, glued))
        glued = kind != "newline"
        if text[position] == "\n":
            line, start = line + 1, position + 1
        position = end
    return (*tokens, Token("end", "", line, position - start + 1))


def _next(text: str, position: int, line: int, column: int) -> tuple[Kind, str, int]:
    character = text[position]
    if character in "\n;":
        return "newline", character, position + 1
    if (end := _name_end(text, position)) > 0:
        return "name", text[position:end], end
    if found := _NUMBER.match(text, position):
        _refuse_leading_digit(text, found, line, column)
        return "number", found[0], found.end()
    if found := _QUOTED.match(text, position):
        return _quoted(text, found, line, column)
    if found := _OPERATOR.match(text, position):
        return "op", found[0], found.end()
    raise SpecError(_why_no_token(character), line=line, column=column, text=text)


def _quoted(text: str, found: re.Match[str], line: int, column: int) -> tuple[Kind, str, int]:
    content = found[1] if found[1] is not None else found[2] if found[2] is not None else found[3]
    if not content.strip():
        raise SpecError("found empty quotes; expected a name between them", line=line, column=column, text=text)
    return ("name" if found[1] is not None else "string"), content, found.end()


def _refuse_leading_digit(text: str, number: re.Match[str], line: int, column: int) -> None:
    rest = _NAME.match(text, number.end())
    if rest:
        word = number[0] + rest[0]
        raise SpecError(
            f"found '{word}'; a name cannot begin with a digit. Write `{word}` in backticks if that is the "
            f"column, or {number[0]}*{rest[0]} if {number[0]} is meant as a value",
            line=line,
            column=column,
            text=text,
        )


def _why_no_token(character: str) -> str:
    if character in "`\"'":
        return f"found an opening {character} that is never closed on this line; close it"
    if character in _CURLY:
        return f"found '{character}', a typographic sign from a word processor; write {_CURLY[character]} instead"
    if character in "[]{}$@\\":
        return (
            f"found '{character}', which has no meaning in model text; write names with other signs in backticks, "
            "such as `my name`"
        )
    return f"found the character {character!r}, which has no meaning in model text; remove it"
