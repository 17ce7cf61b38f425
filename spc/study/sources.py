"""Which engine sums up the long tables of a study, and where tables are opened for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from spc.sources import SourceTable, read_table
from spc.sources.relation import Relation, open_relation, read_relation

if TYPE_CHECKING:
    from spc.study.document import StudyDocument

__all__ = ["SourcesSpec", "open_ledger", "rows_of_table"]


@dataclass(frozen=True)
class SourcesSpec:
    """What adds up transactions and costs.

    Attributes
    ----------
    engine : {"duckdb", "spark"}
        DuckDB is within this process; Spark is a cluster that is there already.
    master : str or None
        Address of the cluster; as Spark is configured on this machine when None.
    options : mapping of str to str
        Settings of Spark.
    """

    engine: Literal["duckdb", "spark"] = "duckdb"
    master: str | None = None
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def rows_of_table(document: StudyDocument, name: str) -> SourceTable:
    """All rows of a table, from its file or from the cluster.

    Raises
    ------
    DataError
        They cannot be read as a table, or the cluster does not answer.
    MissingExtraError
        The engine is Spark and its package is not installed.
    """
    spec = document.tables[name]
    if document.sources.engine == "spark" and (not spec.file or "://" in spec.file):
        return read_relation(_far(document, name), missing=spec.missing)
    return read_table(spec.path, table=spec.table, missing=spec.missing, encoding=spec.encoding, name=name)


def open_ledger(document: StudyDocument, name: str) -> Relation:
    """Open transactions or costs where they are, under their canonical column names.

    Raises
    ------
    DataError
        They cannot be read as a table, or the cluster does not answer.
    MissingExtraError
        The engine is Spark and its package is not installed.
    """
    spec = document.tables[name]
    if document.sources.engine == "duckdb":
        return open_relation(spec.path, table=spec.table, name=name).renamed(spec.columns)
    return _far(document, name).renamed(spec.columns)


def _far(document: StudyDocument, name: str) -> Relation:
    from spc.sources.spark import address, spark_table

    spec, sources = document.tables[name], document.sources
    place = None if not spec.file else address(spec.file if "://" in spec.file else spec.path)
    return spark_table(place, table=spec.table, name=name, master=sources.master, options=sources.options)
