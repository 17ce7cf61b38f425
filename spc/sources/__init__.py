"""Where rows live: text files, workbooks, SPSS files, Parquet and DuckDB files, all read to one kind of table."""

from spc.sources.source import FORMATS, SourceTable, read_table

__all__ = ["FORMATS", "SourceTable", "read_table"]
