"""Bytes of a study document to plain values, and the line on which a key stands."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from spc.errors import DataError, Finding

__all__ = ["LIMIT", "key_line", "not_finite", "parse_toml", "read_text"]

LIMIT = 1_000_000
"""Longest document read, in bytes. Data belong in tables."""

_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)")
_DEEP = re.compile(r"""(?<![\w"'.-])(?:[\w"'-]{1,80}+[ \t]{0,8}+\.[ \t]{0,8}+){100}""")
_HEADER = re.compile(r"^\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")


def _refusal(name: str, rule: str, found: str, expected: str, hint: str) -> DataError:
    return DataError.of(name, None, rule, found, expected, hint)


def read_text(path: Path) -> str:
    """Text of the document at ``path``.

    Raises
    ------
    DataError
        When it is missing, a folder, empty, longer than :data:`LIMIT`, unreadable or not UTF-8.
    """
    name = path.name
    if path.is_dir():
        raise _refusal(
            name, "document_is_folder", "a folder", "a study document", f"Name the file: {path / 'study.toml'}."
        )
    try:
        size = path.stat().st_size
        if size > LIMIT:
            raise _refusal(
                name, "document_too_long", f"{size:,} bytes", f"at most {LIMIT:,}", "Keep data in table files."
            )
        raw = path.read_bytes()
    except FileNotFoundError:
        raise _refusal(
            name,
            "document_missing",
            f"no file at {path}",
            "a study document",
            "Check the path, or make one with: spc init DIR.",
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _refusal(
            name, "document_unreadable", f"it cannot be opened ({reason})", "a readable file", "Check path and rights."
        ) from None
    return _decoded(raw, name)


def _decoded(raw: bytes, name: str) -> str:
    if not raw.strip(b"\xef\xbb\xbf \t\r\n"):
        raise _refusal(
            name, "document_empty", "an empty document", "at least a [study] part", "Make one with: spc init DIR."
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        finding = Finding(
            name,
            None,
            "document_not_utf8",
            f"bytes that are not UTF-8 at position {error.start}",
            "text in UTF-8",
            "Save the document as UTF-8 (TOML knows no other encoding).",
            (line,),
            1,
        )
        raise DataError([finding]) from None


def parse_toml(text: str, name: str) -> dict[str, Any]:
    r"""Plain values of a TOML text.

    Examples
    --------
    >>> parse_toml('[study]\nname = "Fjord"', "study.toml")
    {'study': {'name': 'Fjord'}}

    Raises
    ------
    DataError
        A syntax error, with line and column.
    """
    if _DEEP.search(text):
        raise _refusal(
            name, "toml_syntax", "a key of more than a hundred parts", "a study document",
            "Compare with the one that spc init writes.",
        )  # fmt: skip
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError([_syntax(str(error), text, name)]) from None
    except (ValueError, RecursionError) as error:
        what = "a number of too many digits" if isinstance(error, ValueError) else "values nested too deeply"
        raise _refusal(
            name, "toml_syntax", what, "a study document", "Compare with the one that spc init writes."
        ) from None


def _syntax(message: str, text: str, name: str) -> Finding:
    place = _PLACE.search(message)
    last = text.count("\n") + 1
    line = int(place[1]) if place and place[1] else last
    where = f"line {line}, column {place[2]}" if place and place[2] else f"line {line}, the end of the document"
    lines = text.splitlines()
    shown = lines[line - 1].strip()[:80] if line <= len(lines) else ""
    return Finding(
        name,
        None,
        "toml_syntax",
        f"{where}: {_PLACE.sub('', message).lower()}{f' in: {shown}' if shown else ''}",
        "TOML",
        "Texts stand in quotes, lists in [brackets], and every key only once in its part.",
        (line,),
        1,
    )


def _bare(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))


def key_line(text: str, path: Sequence[str | int]) -> int | None:
    r"""1-based line on which the value at ``path`` is given, as well as a scan of headers and keys can tell.

    Examples
    --------
    >>> key_line('[study]\nname = "Fjord"\n', ("study", "name"))
    2
    """
    parts = [str(p) for p in path if not isinstance(p, int)]
    nth = next((p for p in path if isinstance(p, int)), 0)
    places = _places(text)
    while parts:
        lines = places.get(".".join(parts))
        if lines:
            return lines[min(nth, len(lines) - 1)] if isinstance(nth, int) else lines[0]
        parts.pop()
    return None


@lru_cache(maxsize=4)
def _places(text: str) -> dict[str, list[int]]:
    """Lines on which each key and header of a document stands."""
    places: dict[str, list[int]] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            section = _bare(header[1])
            places.setdefault(section, []).append(number)
        elif "=" in line and not line.lstrip().startswith("#"):
            key = _bare(line.split("=", 1)[0])
            places.setdefault(f"{section}.{key}".lstrip("."), []).append(number)
    return places


def not_finite(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], float]]:
    """Every NaN or infinity among the values, with its path.

    Examples
    --------
    >>> list(not_finite({"money": {"discount": math.inf}}))
    [(('money', 'discount'), inf)]
    """
    if isinstance(value, float) and not math.isfinite(value):
        yield path, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from not_finite(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from not_finite(inner, (*path, index))
