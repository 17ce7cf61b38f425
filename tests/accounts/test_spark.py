"""Accounts of a ledger on a Spark cluster: a master and two workers of the pyspark package, on this machine."""

import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from contextlib import contextmanager

import duckdb
import numpy as np
import pandas as pd
import pytest

from spc.accounts import AccountsSpec, CostDriver, bridge, customer_accounts
from spc.errors import DataError, MissingExtraError
from spc.sources import relation, spark
from spc.study import in_place, load_document, read_study

DOCUMENT = """
[study]
name = "Far"
currency = "EUR"
[sources]
ENGINE
[tables.transactions]
file = "sales"
columns = { customer = ["branch", "who"] }
[tables.costs]
file = "costs.parquet"
[accounts]
until = "2026-12-31"
year_start = 4
[[accounts.drivers]]
name = "gross_revenue"
kind = "column"
side = "revenue"
column = "gross"
where = { kind = "sale" }
[[accounts.drivers]]
name = "returns"
kind = "column"
side = "revenue"
column = "gross"
where = { kind = ["return", "credit_note"] }
[[accounts.drivers]]
name = "discount"
kind = "column"
side = "deduction"
column = "discount"
[[accounts.drivers]]
name = "freight"
kind = "column"
column = "freight"
[[accounts.drivers]]
name = "service"
kind = "rate"
table = "costs"
column = "quantity"
resource_cost = 1000
capacity = 3333
[[accounts.drivers]]
name = "rent"
kind = "pool"
column = "quantity"
where = { kind = "sale" }
amount = 777.77
"""
SETTINGS = """engine = "spark"
master = "{}"
[sources.options]
"spark.driver.host" = "127.0.0.1"
"spark.driver.bindAddress" = "127.0.0.1"
"spark.ui.enabled" = false
"spark.sql.shuffle.partitions" = 4
"spark.executor.memory" = "600m"
"spark.cores.max" = 2"""


LOGGED = """
"spark.eventLog.enabled" = true
"spark.eventLog.compress" = false
"spark.eventLog.dir" = "{}"
"""


def write_ledger(folder, rows, files=3):
    """Sales with decimals, floats and text in Parquet files, and costs in one."""
    (folder / "sales").mkdir()
    with duckdb.connect() as base:
        base.execute("SELECT setseed(0.3)")
        base.execute(f"""CREATE TABLE sales AS
            SELECT 'T' || i AS transaction, chr(65 + CAST(i % 3 AS INTEGER)) AS branch,
            CAST(floor(random() * {max(rows // 60, 5)}) AS INTEGER) AS who,
            DATE '2025-01-01' + CAST(floor(random() * 700) AS INTEGER) AS date,
            CASE WHEN i % 19 = 0 THEN 'return' WHEN i % 31 = 0 THEN 'credit_note' ELSE 'sale' END AS kind,
            CAST((random() * 300) * CASE WHEN i % 19 = 0 OR i % 31 = 0 THEN -1 ELSE 1 END AS DECIMAL(9, 2)) AS gross,
            round(random() * 9, 2) AS discount, CAST(CAST(random() * 20 AS DECIMAL(5, 2)) AS VARCHAR) AS freight,
            CAST(1 + floor(random() * 5) AS INTEGER) AS quantity, ['x', 'y', 'z'][1 + i % 3] AS product,
            'EUR' AS currency, 0 AS amount FROM range({rows}) t(i)""")
        step = -(-rows // files)
        for part in range(files):
            base.execute(f"COPY (FROM sales LIMIT {step} OFFSET {part * step}) TO '{folder}/sales/{part}.parquet'")
        base.execute(f"""COPY (SELECT branch || '-' || who AS customer, date, 'service' AS cost_driver,
            'K' || transaction AS entry, quantity * 1.7 AS quantity FROM sales WHERE quantity > 3)
            TO '{folder}/costs.parquet'""")
    return folder


def document(folder, engine):
    (folder / "study.toml").write_text(DOCUMENT.replace("ENGINE", engine))
    return folder


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    return write_ledger(tmp_path_factory.mktemp("ledger"), 30_000)


SHARED = re.compile(
    r"select|from|where|group|by|order|having|nulls|last|as|and|or|not|is|null|in|like|case|when|then|else|end|true|"
    r"false|distinct|limit|filter|cast|try_cast|string|bigint|integer|double|decimal|date|interval|sum|count|count_if|"
    r"coalesce|nullif|trim|substr|length|lower|round|abs|floor|isnan|year|quarter|month|with|left|join|on"
)


def test_what_is_asked_of_tables_is_the_sql_that_both_engines_share(ledger, monkeypatch):
    asked = []

    def noted(self, text):
        asked.append(text)
        return text.replace("{source}", self.source)

    monkeypatch.setattr(relation.Relation, "query", noted)
    accounts = customer_accounts(read_study(document(ledger, "")))
    bridge(accounts)
    assert len(asked) > 6
    for text in asked:
        bare = re.sub(r"\"[^\"]*\"|'[^']*'|\{source\}|\b[kpvcswd]\d*\b|\b[0-9.]+(e-?\d+)?\b", " ", text)
        assert not [word for word in re.findall(r"[a-z_]+", bare.lower()) if not SHARED.fullmatch(word)], text


def test_an_absent_package_is_named_with_its_extra(ledger, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"service-profit-chain\[spark\]"):
        spark.spark_table(None, table="t", name="transactions")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (("ENGINE", 'engine = "sparkle"'), "unknown_value"),
        (("ENGINE", 'master = "spark://here:7077"'), "unused_key"),
        (('file = "sales"', ""), "missing_key"),
        (('file = "sales"', 'file = "sales"\ntable = "sales"'), "unused_key"),
        (('file = "sales"', 'file = "s3a://books/sales"'), "file_outside"),
        (('file = "sales"', 'file = "../sales"'), "file_outside"),
        (('file = "sales"', 'file = "seals"'), "file_missing"),
        (('file = "costs.parquet"', 'file = "costs.csv"'), "unknown_format"),
    ],
)
def test_documents_that_name_no_table_of_a_cluster(ledger, change, rule):
    (ledger / "costs.csv").touch()
    text = DOCUMENT.replace(*change).replace("ENGINE", 'engine = "spark"')
    (ledger / "study.toml").write_text(text)
    found = load_document(ledger)[1]
    assert rule in {finding.rule for finding in found if finding.severity == "error"}


def test_addresses_and_tables_of_the_catalogue_are_allowed_when_asked_for(ledger):
    text = DOCUMENT.replace("ENGINE", 'engine = "spark"').replace('currency = "EUR"', "allow_outside = true")
    text = text.replace('file = "sales"', 'file = "s3a://books/sales"').replace('file = "costs', 'table = "books.costs')
    (ledger / "study.toml").write_text(text)
    read, found = load_document(ledger)
    assert found == ()
    assert (read.tables["transactions"].file, read.tables["costs"].table) == (
        "s3a://books/sales",
        "books.costs.parquet",
    )


def equal_to_the_cent(far, near):
    assert far.customers.tolist() == near.customers.tolist()
    assert far.periods.tolist() == near.periods.tolist()
    for name in ("cents", "quantities", "unassigned", "unused"):
        np.testing.assert_array_equal(getattr(far, name), getattr(near, name), err_msg=name)


class TestOnACluster:
    pytestmark = pytest.mark.slow(reason="a cluster of three Java processes takes a minute to start")

    def test_equal_results_to_the_cent(self, cluster, ledger):
        near = customer_accounts(read_study(document(ledger, "")))
        study = read_study(document(ledger, SETTINGS.format(cluster.master)))
        assert {f.rule for f in study.findings} == {"left_in_place", "credit_without_invoice"}
        far = customer_accounts(study)
        assert all(type(table).__name__ == "SparkRelation" for table in far.sources.values())
        equal_to_the_cent(far, near)
        for by in (None, "product"):
            pd.testing.assert_frame_equal(bridge(far, by=by).tidy(), bridge(near, by=by).tidy())

    def test_a_frame_of_spark_is_a_table(self, cluster, ledger, tmp_path):
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master(cluster.master).config("spark.sql.warehouse.dir", str(tmp_path))
        for name, value in tomllib.loads("[sources]\n" + SETTINGS)["sources"]["options"].items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        lines = AccountsSpec((CostDriver("revenue", side="revenue", column="gross"),), period="month")
        near = customer_accounts(
            duckdb.sql(f"SELECT who AS customer, date, gross FROM '{ledger}/sales/*.parquet'").df(), spec=lines
        )
        frame = session.read.parquet(str(ledger / "sales")).selectExpr("who AS customer", "date", "gross")
        equal_to_the_cent(customer_accounts(frame, spec=lines), near)
        assert session.conf.get("spark.sql.ansi.doubleQuotedIdentifiers") == "false", "the user's session is as it was"

    def test_the_same_findings(self, cluster, tmp_path, monkeypatch):
        folder = write_ledger(tmp_path, 3000, files=2)
        with duckdb.connect() as base:
            base.execute(f"""CREATE TABLE bad AS SELECT * REPLACE (
                CASE WHEN transaction = 'T7' THEN 'NaN' WHEN transaction = 'T8' THEN repeat('9', 10_000_000)
                     WHEN transaction = 'T9' THEN '1.005' ELSE freight END AS freight,
                CASE WHEN transaction = 'T10' THEN 'inf'::DOUBLE ELSE discount END AS discount,
                CASE WHEN transaction = 'T11' THEN -3 ELSE quantity END AS quantity,
                CASE WHEN transaction = 'T12' THEN DATE '2999-01-01' ELSE date END AS date,
                CASE WHEN transaction = 'T13' THEN 'USD' ELSE currency END AS currency,
                CASE WHEN transaction = 'T14' THEN 'T15' ELSE transaction END AS transaction)
                FROM '{folder}/sales/*.parquet'""")
            for part in (0, 1):
                (folder / "sales" / f"{part}.parquet").unlink()
            base.execute(f"COPY bad TO '{folder}/sales/0.parquet'")

        def found(engine):
            with pytest.raises(DataError) as of_the_check:
                read_study(document(folder, engine))
            monkeypatch.setattr(in_place, "check_in_place", lambda *_: [])
            monkeypatch.setattr("spc.study.read.check_in_place", lambda *_: [])
            with pytest.raises(DataError) as of_the_sums:
                customer_accounts(read_study(folder))
            monkeypatch.undo()
            both = (*of_the_check.value.findings, *of_the_sums.value.findings)
            return [(f.table, f.column, f.rule, f.n_rows) for f in both if f.severity == "error"]

        near = found("")
        assert {rule for _, _, rule, _ in near} == {"future_date", "mixed_currency", "huge_cell",
            "negative_quantity", "duplicate_key", "not_finite", "broken_cent"}  # fmt: skip
        assert found(SETTINGS.format(cluster.master)) == near

    @contextmanager
    def at_work(self, folder, cluster):
        """A run of the verb in a process of its own, that Spark is at work for: its first job has begun."""
        events = folder / "events"
        events.mkdir()
        document(folder, SETTINGS.format(cluster.master) + LOGGED.format(events.as_uri()))
        run = self.running(folder)
        try:
            while run.poll() is None and not any(b"JobStart" in path.read_bytes() for path in events.rglob("*")
                                                 if path.is_file()):  # fmt: skip
                time.sleep(0.05)
            assert run.poll() is None, run.communicate()
            yield run
        finally:
            run.kill()
            shutil.rmtree(events)

    def running(self, folder):
        command = [sys.executable, "-m", "spc", "accounts", str(folder), "--output", str(folder / "out")]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)

    def test_a_worker_killed_in_the_middle_changes_nothing(self, cluster, ledger):
        with self.at_work(ledger, cluster) as run:
            cluster.workers[0].kill()
            cluster.workers[0].wait()
            assert run.poll() is None, "the run had ended before the worker was killed"
            out, err = run.communicate(timeout=600)
        assert run.returncode == 0, out + err
        there = {path.name: path.read_bytes() for path in (ledger / "out").iterdir()}
        shutil.rmtree(ledger / "out")
        here = self.running(document(ledger, ""))
        out, err = here.communicate(timeout=600)
        assert here.returncode == 0, out + err
        tables = {path.name for path in (ledger / "out").iterdir() if path.suffix == ".csv"}
        assert tables
        for name in tables:
            assert there[name] == (ledger / "out" / name).read_bytes(), name
        shutil.rmtree(ledger / "out")
        assert {path.name for path in ledger.iterdir()} <= {"sales", "costs.parquet", "study.toml", "costs.csv"}

    def test_an_interrupted_run_leaves_nothing(self, cluster, ledger):
        with self.at_work(ledger, cluster) as run:
            run.send_signal(signal.SIGINT)
            out, err = run.communicate(timeout=120)
        assert run.returncode == 130, out + err
        assert "Traceback" not in err
        assert "nothing was half written" in err
        assert {path.name for path in ledger.iterdir()} <= {"sales", "costs.parquet", "study.toml", "costs.csv"}

    def test_without_any_worker_it_is_our_error(self, cluster, ledger, monkeypatch):
        monkeypatch.setattr(spark, "PATIENCE", 3.0)
        for worker in cluster.workers:
            worker.kill()
            worker.wait()
        with pytest.raises(DataError) as caught:
            customer_accounts(read_study(document(ledger, SETTINGS.format(cluster.master))))
        assert caught.value.findings[0].rule in {"no_worker", "spark_failed"}
