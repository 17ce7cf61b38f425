"""Where rows live: files read to tables, and tables that stay where they are while their moments are taken."""

from spc.sources.open import Source, open_source
from spc.sources.source import FORMATS, SourceTable, read_table
from spc.sources.unit_sums import UnitSums

__all__ = ["FORMATS", "Source", "SourceTable", "UnitSums", "open_source", "read_table"]
