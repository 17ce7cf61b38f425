"""What each table must look like, and every way a given one does not."""

from spc.contracts.assignments import check_assignments
from spc.contracts.files import schema_names, schema_text
from spc.contracts.items import check_items, check_straight_lines
from spc.contracts.keys import check_keys
from spc.contracts.ledger import check_ledger
from spc.contracts.rules import RULES, RowNumbers, make_finding, nearest_name
from spc.contracts.schema import Constraints, Field, ForeignKey, TableSchema, load_schema, parse_schema
from spc.contracts.table import check_table
from spc.contracts.units import check_units, check_waves
from spc.contracts.values import conform, key_text

__all__ = [
    "RULES",
    "Constraints",
    "Field",
    "ForeignKey",
    "RowNumbers",
    "TableSchema",
    "check_assignments",
    "check_items",
    "check_keys",
    "check_ledger",
    "check_straight_lines",
    "check_table",
    "check_units",
    "check_waves",
    "conform",
    "key_text",
    "load_schema",
    "make_finding",
    "nearest_name",
    "parse_schema",
    "schema_names",
    "schema_text",
]
