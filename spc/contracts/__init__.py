"""What each table must look like, and every way a given one does not."""

from spc.contracts.files import schema_names, schema_text
from spc.contracts.schema import Constraints, Field, ForeignKey, TableSchema, load_schema, parse_schema

__all__ = [
    "Constraints",
    "Field",
    "ForeignKey",
    "TableSchema",
    "load_schema",
    "parse_schema",
    "schema_names",
    "schema_text",
]
