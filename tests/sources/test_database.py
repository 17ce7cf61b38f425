"""DuckDB and Parquet files."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError
from spc.sources import read_table


@pytest.fixture
def base(tmp_path):
    def maker(*statements):
        path = tmp_path / "firm.duckdb"
        with duckdb.connect(str(path)) as connection:
            for statement in statements:
                connection.execute(statement)
        return path

    return maker


def test_a_table_is_chosen(base):
    path = base("CREATE TABLE staff AS SELECT 1 a", "CREATE SCHEMA s", "CREATE TABLE s.stores AS SELECT 2 b")
    assert read_table(path, table="s.stores").frame["b"].tolist() == [2]
    with pytest.raises(DataError, match=r"several tables and none chosen; expected one of 'staff', 's\.stores'"):
        read_table(path)
    with pytest.raises(DataError, match=r"no table 'stafff'.*nearest is 'staff'"):
        read_table(path, table="stafff")


def test_names_that_need_quoting(base):
    path = base('CREATE TABLE "a ""b""; DROP TABLE x" AS SELECT 1 AS "q ""1"""')
    source = read_table(path, table='a "b"; DROP TABLE x')
    assert source.frame['q "1"'].tolist() == [1]


def test_types(base):
    path = base(
        "CREATE TABLE t AS SELECT * FROM (VALUES "
        "(1::TINYINT, 1.50::DECIMAL(9,2), DATE '2026-01-31', TRUE, 'a', 9007199254740993::BIGINT, 'x'::ENUM('x','y')),"
        "(NULL, NULL, NULL, NULL, NULL, NULL, NULL),"
        "(3, 2.25, DATE '2026-02-01', FALSE, '007', 5, 'y')) v(i, d, day, flag, s, big, e)"
    )
    frame = read_table(path).frame
    assert frame["i"].tolist() == [1, 3]
    assert frame["d"].tolist() == [1.5, 2.25]
    assert frame["day"].dtype.kind == "M"
    assert frame["flag"].tolist() == [True, False]
    assert frame["s"].tolist() == ["a", "007"]
    assert frame["big"].tolist() == ["9007199254740993", "5"]
    assert frame["e"].tolist() == ["x", "y"]


def test_nested_columns_are_left_out_with_a_warning(base):
    source = read_table(base("CREATE TABLE t AS SELECT 1 a, [1, 2] l, {'x': 1} s"))
    assert list(source.frame) == ["a"]
    assert [(f.rule, f.column, f.severity) for f in source.findings] == [
        ("nested_column", "l", "warning"),
        ("nested_column", "s", "warning"),
    ]


def test_a_view_cannot_reach_outside_the_file(base, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    path = base(f"CREATE VIEW v AS SELECT * FROM read_csv('{secret}')")
    with pytest.raises(DataError, match="cannot be read"):
        read_table(path)


def test_the_database_is_not_changed(base):
    path = base("CREATE TABLE t AS SELECT 1 a")
    before = path.read_bytes()
    read_table(path)
    assert path.read_bytes() == before


def test_an_empty_database(base):
    with pytest.raises(DataError, match="no table at all"):
        read_table(base())


def test_parquet_under_a_name_with_wildcards(tmp_path):
    folder = tmp_path / "it's [a] b*"
    folder.mkdir()
    path = folder / "t?.parquet"
    frame = pd.DataFrame({"q": np.array([1, 2, 3], dtype=np.int8)})
    with duckdb.connect() as connection:
        connection.register("frame", frame)
        connection.execute(f"COPY frame TO '{str(path).replace(chr(39), chr(39) * 2)}' (FORMAT parquet)")
    source = read_table(path)
    pd.testing.assert_frame_equal(source.frame, frame)
    assert source.lines == 1
