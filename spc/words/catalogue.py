"""Named templates, read from two files a language, the words of pages and those of notes beside numbers.

A template is looked up by its name in the language in force and filled with values. Texts are taken as they are,
numbers are written as the template asks (``{share:.0%}``) with the marks of the language, several values are joined as
a list; ``{name:begin}`` starts a sentence, ``{name:inside}`` stands within one. Where its number decides the form, the
name holds ``one`` and ``other``. What a language lacks is said in English.
"""

from __future__ import annotations

import math
import string
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from numbers import Real
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spc.errors import UsageError

__all__ = ["inside", "joined", "language", "languages", "marked", "say", "speaking", "templates"]

_FOLDER = Path(__file__).parent
_ENGLISH = "en"
_IN_FORCE: ContextVar[str] = ContextVar("language", default=_ENGLISH)


def languages() -> tuple[str, ...]:
    """Languages that have a catalogue.

    Examples
    --------
    >>> "en" in languages()
    True
    """
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def language() -> str:
    """The language in force."""
    return _IN_FORCE.get()


@contextmanager
def speaking(name: str) -> Iterator[None]:
    """Say everything inside in one language.

    Raises
    ------
    UsageError
        There is no catalogue of it.
    """
    if name not in languages():
        raise UsageError(f"There are no words in {name!r}; there are catalogues of {', '.join(languages())}.")
    token = _IN_FORCE.set(name)
    try:
        yield
    finally:
        _IN_FORCE.reset(token)


@cache
def templates(name: str) -> Mapping[str, str]:
    """Templates of a language by their dotted names.

    Examples
    --------
    >>> templates("en")["list.and"]
    ' and '
    """
    files = (_FOLDER / f"{name}.toml", _FOLDER / "notes" / f"{name}.toml")
    tables = [tomllib.loads(path.read_text(encoding="utf-8")) for path in files]
    return MappingProxyType({key: text for table in tables for key, text in _flat(table)})


def _flat(table: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{within}{key}.")
        else:
            yield within + key, str(value)


def say(name: str, /, **values: object) -> str:
    """A template in the language in force, filled in.

    Parameters
    ----------
    name : str
        Dotted name in the catalogue.
    **values
        What the template names in braces; ``n`` also chooses between ``one`` and ``other``.

    Raises
    ------
    KeyError
        No catalogue has such a template.

    Examples
    --------
    >>> say("time.years", n=1, text="1"), say("time.years", n=5, text="5")
    ('1 year', '5 years')
    """
    return _WRITER.vformat(_template(name, values.get("n")), (), values)


class _Writer(string.Formatter):
    """Fills a template in the language in force."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec in ("begin", "inside"):
            text = self.format_field(value, "")
            return text[:1].upper() + text[1:] if format_spec == "begin" else inside(text)
        if isinstance(value, tuple | list):
            return joined([self.format_field(one, "") for one in value], format_spec or "and")
        return _number(value, format_spec) if isinstance(value, Real) else str(value)


_WRITER = _Writer()


def _number(value: Any, form: str) -> str:
    if not math.isfinite(value):
        return "–"
    if form.endswith("%"):
        return say("number.percent", value=marked(format(100 * value, f"{form[:-1]}f")))
    return marked(format(value, form or "g" if isinstance(value, float) else form))


def inside(text: str) -> str:
    """A name inside a sentence: small first letter unless it is an abbreviation or the language keeps it.

    Examples
    --------
    >>> inside("Customer loyalty"), inside("NPS")
    ('customer loyalty', 'NPS')
    """
    keeps = text[1:2].isupper() or say("grammar.lower_inside") != "yes"
    return text if keeps else text[:1].lower() + text[1:]


def marked(text: str) -> str:
    """A number with a real minus sign, none before zero, and the marks of the language in force.

    Examples
    --------
    >>> marked("-1,234.50"), marked("-0.00")
    ('−1,234.50', '0.00')
    """
    if text.startswith("-"):
        text = "−" * bool(text.strip("-0.,")) + text[1:]
    return text.translate({ord("."): say("number.decimal"), ord(","): say("number.thousands")})


def joined(parts: Sequence[str], how: str = "and") -> str:
    """A list in a sentence.

    Parameters
    ----------
    parts : sequence of str
    how : {"and", "or", "comma"}
        What stands before the last one.

    Examples
    --------
    >>> joined(["a", "b", "c"]), joined(["a", "b"], "comma")
    ('a, b and c', 'a, b')
    """
    if len(parts) < 2:
        return "".join(parts)
    return say("list.comma").join(parts[:-1]) + say(f"list.{how}") + parts[-1]


def _template(name: str, n: object) -> str:
    forms = [name] if n is None else [f"{name}.{'one' if n == 1 else 'other'}", name]
    for known in (templates(_IN_FORCE.get()), templates(_ENGLISH)):
        for form in forms:
            if form in known:
                return known[form]
    raise KeyError(name)
