"""Named templates, read from one file a language: ``en.toml`` has them all, others may lack some.

A template is looked up by its name in the language in force and filled with values that are written already. Where
its number decides the form, the name holds ``one`` and ``other``. What a language lacks is said in English.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from spc.errors import UsageError

__all__ = ["language", "languages", "say", "speaking", "templates"]

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
    raw = tomllib.loads((_FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    return MappingProxyType(dict(_flat(raw)))


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
    return _template(name, values.get("n")).format_map(values)


def _template(name: str, n: object) -> str:
    forms = [name] if n is None else [f"{name}.{'one' if n == 1 else 'other'}", name]
    for known in (templates(_IN_FORCE.get()), templates(_ENGLISH)):
        for form in forms:
            if form in known:
                return known[form]
    raise KeyError(name)
