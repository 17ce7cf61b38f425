"""Tables on a Spark cluster: the same SQL as in DuckDB, answered there; only what it sums up comes here."""

from __future__ import annotations

import atexit
import logging
import re
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock, Thread
from time import monotonic
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from spc.errors import DataError, MissingExtraError, UsageError
from spc.sources.origin import BATCH
from spc.sources.relation import Relation

__all__ = ["PATIENCE", "SparkRelation", "address", "is_spark_frame", "spark_frame", "spark_table"]

PATIENCE = 120.0
"""Seconds to wait for a cluster that has no worker left."""

_PARTING = 10.0
"""Seconds that Spark has to stop what it does."""

_WAREHOUSE = "spark.sql.warehouse.dir"
_QUIET = {"spark.ui.showConsoleProgress": "false", "spark.log.level": "ERROR"}
_SQL = {
    "spark.sql.ansi.enabled": "true",  # a sum that overflows is an error
    "spark.sql.ansi.doubleQuotedIdentifiers": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH),
}
_TYPES = {"BYTE": "TINYINT", "SHORT": "SMALLINT", "INT": "INTEGER", "LONG": "BIGINT", "STRING": "VARCHAR",
          "TIMESTAMP_NTZ": "TIMESTAMP"}  # fmt: skip
_PARTS_A_CORE = 4
_PYTHON = re.compile(r"ModuleNotFoundError|PYTHON_VERSION_MISMATCH|Cannot run program|PACKAGE_NOT_INSTALLED")
_SENDING = Lock()
_NUMBERS = count(1)
Found = TypeVar("Found")
Part = Callable[[Iterator[Sequence[npt.NDArray[Any]]]], bytes]
_WANTED = "Parquet files or a table of the catalogue, where every worker can read them"


@dataclass(frozen=True, eq=False)
class SparkRelation(Relation):
    """A table that Spark can select from. Made by :func:`spark_table` and :func:`spark_frame`.

    Attributes
    ----------
    session : SparkSession
        One of our own in the user's application: strict arithmetic, UTC.
    """

    session: Any = field(default=None, repr=False)

    def rows(self, text: str, *, before: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Answer of a query whose ``{source}`` is this table; ``before`` stands for question marks ahead of it."""
        found = self._asked(text, before)
        return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def arrays(self, text: str, *, before: Sequence[Any] = ()) -> dict[str, npt.NDArray[Any]]:
        """The same, column by column; missing text is None, missing numbers are masked, missing days are NaT."""
        found = self._asked(text, before)
        return dict(zip(found.column_names, map(_array, found.columns), strict=True))

    def mapped(self, text: str, function: Part) -> list[bytes]:
        """What a function makes of each part of an answer, column by column, done by the worker that holds the part.

        The function is sent along with what it calls in this package; workers need NumPy, pandas and pyarrow.
        """

        def asked() -> Any:
            parts = self.session.sql(self.query(text), args=list(self.values))
            parts = parts.coalesce(_PARTS_A_CORE * max(2, self.session.sparkContext.defaultParallelism))
            with _sent_along():
                found = parts.mapInArrow(_one_cell(function), "found binary")
            return found.toArrow()

        with _speaking(self.label):
            return list(_waited_for(self.session, asked, self.label).column(0).to_pylist())

    def _asked(self, text: str, before: Sequence[Any]) -> Any:
        query, values = self.query(text), [*before, *self.values]
        with _speaking(self.label):
            return _waited_for(self.session, lambda: self.session.sql(query, args=values).toArrow(), self.label)


def _one_cell(function: Part) -> Callable[[Iterator[Any]], Iterator[Any]]:
    def told(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow

        found = function([_array(column) for column in batch.columns] for batch in batches)
        yield pyarrow.RecordBatch.from_pydict({"found": pyarrow.array([found], pyarrow.binary())})

    return told


@contextmanager
def _sent_along() -> Iterator[None]:
    """Send functions of this package to workers as they are, since the package need not be there."""
    from pyspark import cloudpickle

    package = sys.modules[__name__.partition(".")[0]]
    with _SENDING:
        cloudpickle.register_pickle_by_value(package)
        try:
            yield
        finally:
            cloudpickle.unregister_pickle_by_value(package)


def _array(column: Any) -> npt.NDArray[Any]:
    if str(column.type) in {"string", "large_string"}:
        return np.array(column.to_pylist(), dtype=object)
    if not column.null_count or str(column.type).startswith(("date", "timestamp")):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    missing = column.is_null().to_numpy(zero_copy_only=False)
    return np.ma.array(column.fill_null(0).to_numpy(zero_copy_only=False), mask=missing)


def is_spark_frame(data: object) -> bool:
    """Whether this is a DataFrame of Spark."""
    return type(data).__module__.startswith("pyspark.sql.") and hasattr(data, "sparkSession")


def spark_frame(frame: Any, label: str) -> SparkRelation:
    """Open a DataFrame of Spark for queries in a session of our own.

    Raises
    ------
    DataError
        A column's name holds a backslash, which Spark's SQL does not take as it stands.
    """
    with _speaking(label):
        return _apart(lambda: _relation(frame, label)).result()


def _relation(frame: Any, label: str) -> SparkRelation:
    name = f"spc_{next(_NUMBERS)}"
    frame.createOrReplaceGlobalTempView(name)
    session = frame.sparkSession.newSession()
    for key, value in _SQL.items():
        session.conf.set(key, value)
    kinds = {str(one.name): _kind(one.dataType.simpleString()) for one in frame.schema.fields}
    odd = [name for name in kinds if "\\" in name]
    if odd:
        raise DataError.of(label, odd[0], "odd_name", "a name with a backslash", "a plain name", "Rename the column.")
    return SparkRelation(label, "spark", MappingProxyType(kinds), f"global_temp.{name}", session=session)


def _kind(text: str) -> str:
    plain = text.upper()
    return _TYPES.get(plain, plain)


def address(path: str | Path) -> str:
    """Address of a file or folder of this machine; an address stays as it is."""
    return str(path) if "://" in str(path) else Path(path).resolve().as_uri()


def spark_table(
    place: str | None,
    *,
    table: str | None = None,
    name: str,
    master: str | None = None,
    options: Mapping[str, str] = MappingProxyType({}),
) -> SparkRelation:
    """Open Parquet files or a table of the catalogue on a cluster.

    Parameters
    ----------
    place : str or None
        Address of a Parquet file or folder, as the workers reach it.
    table : str, optional
        Table of the catalogue, instead of a place.
    name : str
        What to call the table in findings.
    master : str, optional
        Address of the cluster, such as ``spark://host:7077``; as Spark is configured here when None.
    options : mapping of str to str
        Settings of Spark, such as ``spark.executor.memory``.

    Raises
    ------
    MissingExtraError
        pyspark or pyarrow is not installed.
    DataError
        The cluster cannot be reached, or has no such table.
    """
    with _speaking(name):
        session = _apart(lambda: _session(master, options)).result()

        def opened() -> SparkRelation:  # a job already: the workers read what columns the files have
            return _relation(session.table(table) if place is None else session.read.parquet(place), name)

        return _waited_for(session, opened, name)


def _session(master: str | None, options: Mapping[str, str]) -> Any:
    """Spark as it runs in this process already, else as configured here; it leaves no folder behind."""
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName("service-profit-chain")
    builder = builder if master is None else builder.master(master)
    own = {} if SparkConf().contains(_WAREHOUSE) else {_WAREHOUSE: _folder()}
    for key, value in {**_QUIET, **own, **options}.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    where = session.sparkContext.master
    if master is not None and where != master:
        raise UsageError(f"Spark runs on {where} in this process, not on {master}; stop it first.")
    return session


@cache
def _folder() -> str:
    """Where Spark, which makes a folder for tables of its own in any case, makes it; gone with the process."""
    folder = mkdtemp(prefix="spc-spark-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _apart(task: Callable[[], Found]) -> Future[Found]:
    """Do something with Spark in a thread of its own, so that an interrupt never falls into a call to Java."""
    future: Future[Found] = Future()

    def work() -> None:
        try:
            future.set_result(task())
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    return future


def _waited_for(session: Any, task: Callable[[], Found], label: str) -> Found:
    """What a task of Spark comes to; stopped with the run, and given up when there is no worker any more."""
    tag = f"spc-{next(_NUMBERS)}"

    def tagged() -> Found:
        session.addTag(tag)
        return task()

    future = _apart(tagged)
    try:
        return _patiently(future, session, label)
    finally:
        if not future.done():
            wait([_apart(lambda: session.interruptTag(tag))], timeout=_PARTING)


def _patiently(future: Future[Found], session: Any, label: str) -> Found:
    seen = monotonic()
    while not wait([future], timeout=1.0).done:
        seen = monotonic() if _apart(lambda: _has_workers(session)).result() else seen
        if monotonic() - seen > PATIENCE:
            found = f"no worker of the cluster for {PATIENCE:.0f} seconds"
            raise DataError.of(label, None, "no_worker", found, "a worker", "Start workers, and run this again.")
    return future.result()


def _has_workers(session: Any) -> bool:
    """Whether any executor is there beside the driver; a local master is its own worker."""
    context = session.sparkContext
    return bool(context.master.startswith("local") or context._jsc.sc().getExecutorMemoryStatus().size() > 1)


@contextmanager
def _speaking(label: str) -> Iterator[None]:
    """Say what Spark could not do in our own words."""
    # no frame of pandas comes from Spark here, so it does not matter which versions it knows
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    logging.getLogger("py4j").setLevel(logging.CRITICAL)  # what goes wrong is said below
    try:
        import pyarrow  # noqa: F401
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException
    except ImportError as error:
        raise MissingExtraError(error.name or "pyspark", "spark", "A table on a Spark cluster") from None
    try:
        yield
    except (PySparkException, Py4JError, ConnectionError) as error:
        raise DataError.of(label, None, "spark_failed", *_said(str(error) or type(error).__name__)) from None


def _said(text: str) -> tuple[str, str, str]:
    """What was found, what is wanted and what to do, of what Spark says."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if "JAVA_GATEWAY" in lines[0]:
        return "Spark, which finds no Java", "Java 17 or newer", "Install it, or set JAVA_HOME."
    about = next((line[match.start() :] for line in lines if (match := _PYTHON.search(line))), None)
    if about is not None:
        version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
        found = f"workers whose Python cannot do it ({about[:300]})"
        hint = "Set PYSPARK_PYTHON to one, as the workers reach it, before this runs."
        return found, f"{version} with NumPy, pandas and pyarrow on every worker", hint
    found, hint = f"Spark could not do it ({lines[0][:300]})", "Look at the address, and at the cluster's own log."
    return found, _WANTED, hint
