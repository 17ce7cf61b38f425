"""Shape of a study document: every departure from ``data_schemas/study.yaml``, in words."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spc.contracts.rules import nearest_name
from spc.errors import Finding
from spc.study.toml import key_line, not_finite

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

__all__ = ["Path", "nearest", "place_finding", "structure"]

Path = tuple[str | int, ...]

_KINDS = {
    "string": "a text in quotes",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a part of its own",
    "null": "nothing",
}


def nearest(name: str, allowed: Sequence[str], *, cutoff: float = 0.6) -> str:
    """Hint that names the nearest allowed name, or all of them.

    Examples
    --------
    >>> nearest("discuont", ["discount", "horizon"])
    "Did you mean 'discount'?"
    """
    near = nearest_name(name, allowed, cutoff)
    return f"Did you mean {near!r}?" if near is not None else f"There are: {_short(', '.join(allowed), 200) or 'none'}."


def describe(value: object) -> str:
    """Say a value of a document as its author would.

    Examples
    --------
    >>> describe("5"), describe(True), describe([1, 2]), describe({})
    ("the text '5'", 'true', 'the list [1, 2]', 'a part of its own')
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text {_short(repr(value))}"
    if isinstance(value, Mapping):
        return "a part of its own"
    if isinstance(value, list):
        return f"the list {_short(str(value))}"
    if isinstance(value, int | float):
        return _short(str(value) if abs(value) < 10**30 else "a number of more than 30 digits")
    return f"the date or time {value}"


def _short(text: str, length: int = 60) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def place_finding(
    document: str, text: str, path: Path, rule: str, found: str, expected: str, hint: str, *, severity: Any = "error"
) -> Finding:
    """Finding about the key at ``path`` of a document, with its line."""
    line = key_line(text, path)
    column = ".".join(map(str, path)) or None
    return Finding(
        document, column, rule, found, expected, hint, () if line is None else (line,), int(line is not None), severity
    )


def structure(
    raw: Mapping[str, Any], schema: Mapping[str, Any], *, document: str, text: str
) -> tuple[dict[str, Any], list[Finding]]:
    """Check values against the JSON Schema of a document.

    Parameters
    ----------
    raw : mapping
        Values as TOML gave them.
    schema : mapping
        JSON Schema, draft 2020-12.
    document, text : str
        Name of the document and its text, for the findings.

    Returns
    -------
    sound : dict
        The values without the parts that are wrong, so that the rest can still be checked.
    findings : list of Finding
        In the order of the document.

    Examples
    --------
    >>> sound, findings = structure({"nmae": 1}, {"type": "object", "properties": {"name": {}},
    ...                             "additionalProperties": False}, document="study.toml", text="nmae = 1")
    >>> print(findings[0])
    study.toml.nmae: unknown key 'nmae' (line 1); expected one of name. Did you mean 'name'?
    """
    from jsonschema import Draft202012Validator

    faults = list(_not_finite(raw))
    infinite = {path for path, *_ in faults}
    errors = sorted(Draft202012Validator(schema).iter_errors(raw), key=lambda e: [str(p) for p in e.absolute_path])
    for error in errors:
        if tuple(error.absolute_path) not in infinite:
            faults.extend(_faults(error))
    unique = dict.fromkeys(faults)
    findings = [place_finding(document, text, *fault) for fault in unique]
    sound = copy.deepcopy(dict(raw))
    for path, rule, *_ in unique:
        _drop(sound, path, whole=rule != "unknown_key")
    return sound, sorted(findings, key=lambda f: f.rows or (0,))


Fault = tuple[Path, str, str, str, str]


def _not_finite(raw: Mapping[str, Any]) -> Iterator[Fault]:
    for path, value in not_finite(dict(raw)):
        yield path, "not_finite", f"{value}", "a finite number", "Write the number itself."


def _faults(error: ValidationError) -> Iterator[Fault]:
    path: Path = tuple(error.absolute_path)
    rule, schema = str(error.validator), _mapping(error.schema)
    value: Any = error.instance
    if "propertyNames" in error.absolute_schema_path:
        yield (*path, str(value)), "bad_name", f"the name {_short(repr(value))}", _wording(schema), _hint(schema)
    elif rule == "additionalProperties":
        yield from _unknown_keys(path, value, schema)
    elif rule == "required":
        yield from _missing_keys(path, value, schema)
    elif path and path[-1] in _PERCENT and rule in {"maximum", "exclusiveMaximum"}:
        yield path, "outside_range", describe(value), _expected(error, schema), _percent(value)
    else:
        yield path, _RULES.get(rule, rule), describe(value), _expected(error, schema), _near_or_hint(error, schema)


_PERCENT = {"discount", "points", "minimum_share"}
_RULES = {
    "type": "wrong_type",
    "enum": "unknown_value",
    "const": "unknown_value",
    "pattern": "bad_name",
    "minimum": "outside_range",
    "exclusiveMinimum": "outside_range",
    "maximum": "outside_range",
    "exclusiveMaximum": "outside_range",
    "minItems": "too_few",
    "maxItems": "too_many",
    "minLength": "empty_text",
    "maxLength": "too_long",
    "minProperties": "too_few",
    "uniqueItems": "listed_twice",
    "oneOf": "wrong_form",
    "anyOf": "wrong_form",
    "not": "wrong_form",
}


def _mapping(schema: object) -> Mapping[str, Any]:
    return schema if isinstance(schema, Mapping) else {}


def _unknown_keys(path: Path, value: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Fault]:
    known = list(schema.get("properties", {}))
    for key in value:
        if key not in known:
            what = "table" if path == ("tables",) else "key"
            expected = f"one of {', '.join(known)}"
            yield (*path, key), "unknown_key", f"unknown {what} {_short(repr(key))}", expected, nearest(key, known)


def _missing_keys(path: Path, value: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[Fault]:
    for key in schema.get("required", []):
        if key not in value:
            about = _mapping(schema.get("properties", {}).get(key))
            where = f"[{'.'.join(map(str, path))}]" if path else "the document"
            yield (*path, key), "missing_key", f"no {key} in {where}", _wording(about), _hint(about)


def _expected(error: ValidationError, schema: Mapping[str, Any]) -> str:
    rule = str(error.validator)
    limit: Any = error.validator_value
    words: Mapping[str, Callable[[], str]] = {
        "enum": lambda: f"one of {', '.join(map(str, limit))}",
        "minimum": lambda: f"at least {limit}",
        "exclusiveMinimum": lambda: f"more than {limit}",
        "maximum": lambda: f"at most {limit}",
        "exclusiveMaximum": lambda: f"less than {limit}",
        "minItems": lambda: f"at least {limit} of them",
        "maxItems": lambda: f"at most {limit} of them",
        "uniqueItems": lambda: "each only once",
        "minLength": lambda: "a text that is not empty",
        "maxLength": lambda: f"at most {limit} characters",
        "minProperties": lambda: f"at least {limit} of them",
        "type": lambda: " or ".join(_KINDS[k] for k in ([limit] if isinstance(limit, str) else limit)),
    }
    return words[rule]() if rule in words else _wording(schema)


def _near_or_hint(error: ValidationError, schema: Mapping[str, Any]) -> str:
    allowed: Any = error.validator_value
    if error.validator == "enum" and isinstance(error.instance, str):
        return nearest(error.instance, [str(value) for value in allowed])
    return _hint(schema)


def _percent(value: float) -> str:
    if 1 <= value <= 100:
        return f"This is a fraction: for {value:g} percent write {value / 100:g}."
    return "This is a fraction: 0.05 is five percent."


def _wording(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type", "")
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    named = schema.get("title")
    return str(named).lower() if named else _KINDS.get(str(kind), "another value")


def _hint(schema: Mapping[str, Any]) -> str:
    return " ".join(str(schema.get("description", "Compare with: spc schema study.")).split())


def _drop(values: dict[str, Any], path: Path, *, whole: bool) -> None:
    """Take out the part a fault is in: one table, one construct, one lag, or a whole section."""
    depth = len(path)
    if whole and path and path[0] in {"tables", "constructs"}:
        depth = min(depth, 2)
    elif whole:
        depth = min(depth, 1)
    here: Any = values
    for key in path[: depth - 1]:
        here = here.get(key, {}) if isinstance(here, dict) else {}
    if isinstance(here, dict) and depth:
        here.pop(path[depth - 1], None)
