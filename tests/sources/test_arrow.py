"""Streams of numbers, without an Arrow library."""

from __future__ import annotations

import duckdb
import numpy as np
import pytest

from spc.sources.arrow import StreamError, batches


def stream(connection, text):
    return batches(connection.sql(text).__arrow_c_stream__())


@pytest.mark.parametrize(
    "kind",
    ["TINYINT", "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER", "UINTEGER", "BIGINT", "UBIGINT", "FLOAT", "DOUBLE"],
)
def test_values_and_holes(kind):
    with duckdb.connect() as connection:
        text = f"SELECT CAST(i % 100 AS {kind}) a, CASE WHEN i % 3 <> 0 THEN CAST(i % 7 AS {kind}) END b"
        values, missing, n = [], [], 0
        for batch in stream(connection, f"{text} FROM range(300000) t(i)"):
            n += batch.n
            assert batch.missing[0] is None
            values.append(batch.columns[0].copy())
            missing.append(batch.missing[1].copy())
    assert n == 300_000
    assert np.array_equal(np.concatenate(values), np.arange(n) % 100)
    assert np.array_equal(np.concatenate(missing), np.arange(n) % 3 == 0)


def test_no_rows():
    with duckdb.connect() as connection:
        assert list(stream(connection, "SELECT 1 AS a WHERE FALSE")) == []


def test_text_is_refused():
    with duckdb.connect() as connection, pytest.raises(StreamError, match="where numbers were expected"):
        next(stream(connection, "SELECT 'a' AS a"))


def test_what_goes_wrong_on_the_way_is_said():
    with duckdb.connect() as connection, pytest.raises((StreamError, duckdb.Error), match="Could not convert"):
        for _ in stream(connection, "SELECT CAST(CASE WHEN i = 250000 THEN 'x' ELSE '1' END AS DOUBLE) "
                                    "FROM range(300000) t(i)"):  # fmt: skip
            pass


def test_a_stream_may_be_left_early():
    with duckdb.connect() as connection:
        for _ in range(50):
            assert next(stream(connection, "SELECT i FROM range(1000000) t(i)")).n > 0
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
