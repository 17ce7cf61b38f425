"""A table schema: Table Schema vocabulary plus one ``spc`` block, read strictly."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from spc.contracts.files import schema_names, schema_text
from spc.errors import DataError, Finding, UsageError

__all__ = ["Constraints", "Field", "ForeignKey", "TableSchema", "load_schema", "parse_schema"]

FieldType = Literal["string", "integer", "number", "boolean", "date", "any"]
_NAMES: dict[str, Any] = {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"type": "string"}}
_TEXT = {"type": "string", "minLength": 1}
_MARKS = {"type": "array", "items": {"type": "string"}}

META_SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "type": "object",
        "required": ["name", "title", "description", "fields", "spc"],
        "additionalProperties": False,
        "properties": {
            "name": {"type": "string", "pattern": "^[a-z][a-z_]*$"},
            "title": _TEXT,
            "description": _TEXT,
            "primaryKey": _NAMES,
            "missingValues": _MARKS,
            "fields": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["name", "type", "title", "description"],
                    "additionalProperties": False,
                    "properties": {
                        "name": _TEXT,
                        "type": {"enum": ["string", "integer", "number", "boolean", "date", "any"]},
                        "title": _TEXT,
                        "description": _TEXT,
                        "example": {},
                        "trueValues": _MARKS,
                        "falseValues": _MARKS,
                        "constraints": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {
                                "required": {"type": "boolean"},
                                "unique": {"type": "boolean"},
                                "minimum": {"type": "number"},
                                "maximum": {"type": "number"},
                                "maxLength": {"type": "integer", "minimum": 0},
                                "pattern": {"type": "string", "format": "regex"},
                                "enum": {"type": "array", "minItems": 1},
                            },
                        },
                    },
                },
            },
            "foreignKeys": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["fields", "reference"],
                    "additionalProperties": False,
                    "properties": {
                        "fields": _TEXT,
                        "reference": {
                            "type": "object",
                            "required": ["resource", "fields"],
                            "additionalProperties": False,
                            "properties": {"resource": _TEXT, "fields": _TEXT},
                        },
                    },
                },
            },
            "spc": {
                "type": "object",
                "required": ["side"],
                "additionalProperties": False,
                "properties": {
                    "side": {"enum": ["employee", "customer", "unit", "ledger", "link"]},
                    "recommended": _NAMES,
                    "lenient_keys": _NAMES,
                    "one_of": {"type": "array", "minItems": 1, "items": _NAMES},
                    "ordered": {"type": "array", "items": {**_NAMES, "minItems": 2, "maxItems": 2}},
                    "synonyms": {"type": "object", "additionalProperties": _NAMES},
                },
            },
        },
    }
)
"""What a schema file may contain; anything else in it is refused."""


@dataclass(frozen=True, slots=True)
class Constraints:
    """Limits of the values of one column; None where there is none.

    Attributes
    ----------
    required : bool
        The column must be there and no cell of it may be blank.
    unique : bool
    minimum, maximum : float or None
    max_length : int or None
        Of text.
    pattern : str or None
        Regular expression that the whole text must match.
    enum : tuple
        Allowed values; empty for any.
    """

    required: bool = False
    unique: bool = False
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = None
    pattern: str | None = None
    enum: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a table."""

    name: str
    type: FieldType
    title: str
    description: str
    constraints: Constraints = Constraints()
    true_values: tuple[str, ...] = ("true", "1")
    false_values: tuple[str, ...] = ("false", "0")
    example: Any = None


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Values of ``column`` that must be found in ``resource.reference``."""

    column: str
    resource: str
    reference: str
    lenient: bool = False


@dataclass(frozen=True)
class TableSchema:
    """What one table must look like.

    Attributes
    ----------
    name, title, description : str
    fields : tuple of Field
        Named columns; a table may have more, such as items and outcomes.
    primary_key : tuple of str
        Columns that tell rows apart; the first must be there, the later ones count where they are present.
    foreign_keys : tuple of ForeignKey
    missing_values : tuple of str
        Marks that mean: not known.
    side : {"employee", "customer", "unit", "ledger", "link"}
    recommended : tuple of str
        Columns whose absence is worth a warning.
    one_of : tuple of tuple of str
        Sets of columns of which one must be complete; empty for no such rule.
    ordered : tuple of (str, str)
        Pairs of columns of which the first may not be after the second.
    synonyms : mapping of str to tuple of str
        Usual headings elsewhere, for hints only.

    Examples
    --------
    >>> schema = load_schema("customers")
    >>> schema.names[:8]
    ('customer', 'unit', 'start', 'end', 'churned', 'tenure', 'entry', 'margin')
    >>> schema.required, schema.one_of
    (('customer',), (('tenure', 'churned'), ('start', 'end'), ('repeats', 'recency', 'age')))
    """

    name: str
    title: str
    description: str
    fields: tuple[Field, ...]
    primary_key: tuple[str, ...]
    foreign_keys: tuple[ForeignKey, ...]
    missing_values: tuple[str, ...]
    side: str
    recommended: tuple[str, ...]
    one_of: tuple[tuple[str, ...], ...]
    ordered: tuple[tuple[str, str], ...]
    synonyms: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns, in the order of the schema."""
        return tuple(field.name for field in self.fields)

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the columns that must be there."""
        return tuple(field.name for field in self.fields if field.constraints.required)

    def complete(self, columns: Collection[str]) -> bool:
        """Whether one of the sets of ``one_of`` is among the columns, or there is no such rule.

        Examples
        --------
        >>> schema = load_schema("customers")
        >>> schema.complete(["customer", "start", "end"]), schema.complete(["customer", "segment"])
        (True, False)
        """
        return not self.one_of or any(set(names) <= set(columns) for names in self.one_of)

    def field(self, name: str) -> Field:
        """Column of that name.

        Raises
        ------
        KeyError
            The schema has no such column.
        """
        return next((field for field in self.fields if field.name == name), None) or _no_field(self, name)


def _no_field(schema: TableSchema, name: str) -> Field:
    raise KeyError(f"{schema.name} has no column {name!r}; it has {', '.join(schema.names)}")


@cache
def load_schema(name: str) -> TableSchema:
    """Read one of the table schemas of the package.

    Parameters
    ----------
    name : str
        Name of a table, such as ``"units"``.

    Raises
    ------
    UsageError
        There is no table schema of that name.
    DataError
        The schema file breaks the vocabulary.

    Examples
    --------
    >>> load_schema("units").names[:2]
    ('unit', 'wave')
    """
    text = schema_text(name)
    if name == "study":
        tables = ", ".join(n for n in schema_names() if n != "study")
        raise UsageError(f"'study' is the schema of the study document, not of a table; tables are {tables}.")
    return parse_schema(text, f"{name}.yaml")


def parse_schema(text: str, source: str = "schema") -> TableSchema:
    r"""Build a table schema from YAML text; a key outside the vocabulary is an error.

    Parameters
    ----------
    text : str
        YAML.
    source : str
        What to call it in findings.

    Raises
    ------
    DataError
        With every fault of the text.

    Examples
    --------
    >>> parse_schema("name: t\ntitle: T\ndescription: D\nfieldz: []\nspc: {side: unit}")
    Traceback (most recent call last):
    ...
    spc.errors.DataError: 2 things to put right:
    ...
    """
    raw = _load_yaml(text, source)
    faults = [*_shape_faults(raw, source)]
    if not faults:
        faults = [*_reference_faults(raw, source)]
    if faults:
        raise DataError(faults)
    return _build(raw)


def _load_yaml(text: str, source: str) -> Any:
    import yaml

    class Strict(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            keys = [key.value for key, _ in node.value]
            repeated = sorted({key for key in keys if keys.count(key) > 1})
            if repeated:
                raise yaml.constructor.ConstructorError(None, None, f"key {repeated[0]!r} twice", node.start_mark)
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Strict)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = "" if where is None else f" in line {where.line + 1}"
        problem = getattr(error, "problem", None) or "not YAML"
        raise DataError.of(source, None, "schema_text", f"{problem}{line}", "YAML", "Correct the text.") from None


def _shape_faults(raw: Any, source: str) -> list[Finding]:
    from jsonschema import Draft202012Validator

    return [
        fault for error in Draft202012Validator(dict(META_SCHEMA)).iter_errors(raw) for fault in _reword(error, source)
    ]


def _reword(error: Any, source: str) -> list[Finding]:
    place = ".".join(map(str, error.absolute_path)) or None
    if error.validator != "additionalProperties":
        return [
            Finding(source, place, "schema_value", error.message, "the vocabulary of a table schema", "Correct it.")
        ]
    known = tuple(error.schema["properties"])
    unknown = [key for key in error.instance if key not in known]
    return [
        Finding(source, place, "schema_key", f"unknown key {key!r}", f"one of {', '.join(known)}", _nearest(key, known))
        for key in unknown
    ]


def _nearest(name: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(str(name), known, n=1)
    return f"Did you mean {near[0]!r}?" if near else "Remove it."


def _reference_faults(raw: Mapping[str, Any], source: str) -> list[Finding]:
    names = [field["name"] for field in raw["fields"]]
    block = raw["spc"]
    used: dict[str, list[str]] = {
        "primaryKey": raw.get("primaryKey", []),
        "foreignKeys": [key["fields"] for key in raw.get("foreignKeys", [])],
        "spc.recommended": block.get("recommended", []),
        "spc.lenient_keys": block.get("lenient_keys", []),
        "spc.one_of": [name for names_ in block.get("one_of", []) for name in names_],
        "spc.ordered": [name for pair in block.get("ordered", []) for name in pair],
        "spc.synonyms": list(block.get("synonyms", {})),
    }
    twice = sorted({name for name in names if names.count(name) > 1})
    return [
        Finding(source, "fields", "schema_value", f"field {name!r} twice", "each field once", "Remove one.")
        for name in twice
    ] + [
        Finding(source, place, "schema_value", f"{name!r} is no field", "a field", _nearest(name, tuple(names)))
        for place, mentioned in used.items()
        for name in mentioned
        if name not in names
    ]


def _build(raw: Mapping[str, Any]) -> TableSchema:
    block = raw["spc"]
    lenient = block.get("lenient_keys", [])
    return TableSchema(
        name=raw["name"],
        title=raw["title"],
        description=" ".join(raw["description"].split()),
        fields=tuple(_build_field(field) for field in raw["fields"]),
        primary_key=tuple(raw.get("primaryKey", ())),
        foreign_keys=tuple(
            ForeignKey(k["fields"], k["reference"]["resource"], k["reference"]["fields"], k["fields"] in lenient)
            for k in raw.get("foreignKeys", ())
        ),
        missing_values=tuple(raw.get("missingValues", ("",))),
        side=block["side"],
        recommended=tuple(block.get("recommended", ())),
        one_of=tuple(map(tuple, block.get("one_of", ()))),
        ordered=tuple((first, second) for first, second in block.get("ordered", ())),
        synonyms=MappingProxyType({name: tuple(others) for name, others in block.get("synonyms", {}).items()}),
    )


def _build_field(raw: Mapping[str, Any]) -> Field:
    limits = raw.get("constraints", {})
    constraints = Constraints(
        required=limits.get("required", False),
        unique=limits.get("unique", False),
        minimum=limits.get("minimum"),
        maximum=limits.get("maximum"),
        max_length=limits.get("maxLength"),
        pattern=limits.get("pattern"),
        enum=tuple(limits.get("enum", ())),
    )
    return Field(
        name=raw["name"],
        type=raw["type"],
        title=raw["title"],
        description=" ".join(raw["description"].split()),
        constraints=constraints,
        true_values=tuple(raw.get("trueValues", ("true", "1"))),
        false_values=tuple(raw.get("falseValues", ("false", "0"))),
        example=raw.get("example"),
    )
