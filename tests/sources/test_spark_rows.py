"""Rows on a cluster, without one: DuckDB answers the SQL that Spark would, and parts of the answer are summed apart."""

from __future__ import annotations

import subprocess
import sys
from types import MappingProxyType

import cloudpickle
import duckdb
import numpy as np
import pandas as pd
import pytest

import spc
from spc.errors import DataError, UnsupportedError, UsageError
from spc.sources import Source, open_source, spark
from spc.sources.partial import packed, unpacked
from spc.sources.spark_rows import SparkOrigin
from spc.sources.sums import sum_up

NAMES = ["x0", "x1", "x2", "item"]
MODEL = "f =~ x0 + x1 + x2 + item"


def rows(n=3000, seed=1):
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(n)
    frame = pd.DataFrame({f"x{i}": 1e6 + 0.7 * common + rng.standard_normal(n) for i in range(3)})
    frame["item"] = (rng.integers(1, 8, n) + 2 * common).round().astype(np.int8)
    frame["site"] = rng.choice(["Ærø", 'b "c"', "o'd"], n)
    frame["unit"] = rng.integers(100, 140, n)
    frame["year"] = rng.choice([2024.0, 2025.0, np.nan], n)
    for name in ("x0", "x2"):
        frame.loc[rng.random(n) < 0.1, name] = np.nan
    frame.loc[:1, NAMES[:3]] = np.nan
    return frame


class Cluster:
    """What a Spark table offers, answered by DuckDB; parts of an answer go to the function one by one, in batches."""

    label, pieces = "far", 5

    def __init__(self, frame):
        self.base = duckdb.connect()
        self.base.register("frame", frame)
        self.base.execute("CREATE TABLE t AS SELECT * FROM frame")
        self.base.execute("CREATE MACRO xxhash64(x) AS CAST(hash(x) >> 1 AS BIGINT) - 3000000000000000000")
        found = self.base.execute("DESCRIBE t").fetchall()
        self.kinds = MappingProxyType({name: kind for name, kind, *_ in found})
        self.asked, self.sent = [], []

    def answer(self, text):
        self.asked.append(text)
        return self.base.sql(text.replace("{source}", "t"))

    def rows(self, text):
        return self.answer(text).fetchall()

    def arrays(self, text):
        return dict(self.answer(text).fetchnumpy())

    def mapped(self, text, function):
        cloudpickle.register_pickle_by_value(spc)
        try:
            self.sent.append(cloudpickle.dumps(function))
        finally:
            cloudpickle.unregister_pickle_by_value(spc)
        found, function = [], cloudpickle.loads(self.sent[-1])  # as workers are given it
        for part in range(self.pieces + 1):  # the last of them has no rows
            columns = list(self.answer(f"{text} ORDER BY rowid LIMIT 601 OFFSET {part * 601}").fetchnumpy().values())
            batches = [[column[i : i + 250] for column in columns] for i in range(0, len(columns[0]), 250)]
            found.append(function(iter(batches)))
        return found


def far(frame, missing=()):
    origin = SparkOrigin(Cluster(frame), missing)
    return Source(origin, origin.label, origin.columns)


def test_moments_and_higher_orders():
    frame = rows()
    one, other = far(frame).moments(NAMES, higher=True), open_source(frame).moments(NAMES, higher=True)
    assert one.n == other.n
    assert np.allclose(one.mean, other.mean, rtol=1e-14)
    assert np.allclose(one.cov, other.cov, rtol=1e-11, atol=1e-11)
    assert np.allclose(one.higher, other.higher, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("group", ["site", "year", "unit"])
def test_groups_come_sorted(group):
    frame = rows()
    one, other = far(frame), open_source(frame)
    labels = sorted(frame[group].dropna().unique())
    tally = one.tally(group)
    assert [label for label in tally if label is not None] == labels
    assert tally == other.tally(group)
    near = {each.group: each for each in other.moments_by(group, NAMES)}
    found = one.moments_by(group, NAMES)
    assert [each.group for each in found] == [str(int(v)) if group != "site" else v for v in labels]
    for each in found:
        assert each.n == near[each.group].n
        assert np.allclose(each.cov, near[each.group].cov, rtol=1e-11, atol=1e-11)


def test_patterns_and_units():
    frame = rows()
    one, other = far(frame), open_source(frame)
    mine, theirs = one.patterns(NAMES), other.patterns(NAMES)
    assert mine.empty == theirs.empty
    assert np.array_equal(mine.coverage(), theirs.coverage())
    assert list(one.patterns_by("site", NAMES)) == sorted(frame["site"].unique())
    here, there = one.unit_moments("unit", NAMES[:2]), other.unit_moments("unit", NAMES[:2])
    order = np.argsort(there.units)
    assert here.units == tuple(sorted(there.units))
    assert np.array_equal(here.n, there.n[order])
    assert np.allclose(here.mean, there.mean[order], rtol=1e-13)
    assert np.allclose(here.scatter, there.scatter[order], rtol=1e-9, atol=1e-9)


def estimates(fit):
    table = fit.tidy().set_index(["lhs", "op", "rhs", "group"]).sort_index()
    return table[["estimate", "std_error"]].to_numpy(dtype=float)


@pytest.mark.filterwarnings("ignore::spc.SpcWarning")
@pytest.mark.parametrize(
    "options",
    [
        *({"estimator": name} for name in ("ML", "MLM", "MLR", "GLS", "ULS", "WLS")),
        {"missing": "fiml"},
        {"group": "site", "group_equal": ["loadings"]},
    ],
)
def test_fits_are_those_of_the_rows(options):
    frame = rows()
    one, other = (spc.fit(MODEL, data, **options) for data in (far(frame), frame))
    assert np.allclose(estimates(one), estimates(other), rtol=1e-9, atol=1e-10, equal_nan=True)


def test_two_sides():
    rng = np.random.default_rng(5)
    place = rng.standard_normal(50)
    shops = np.array([f"shop {j}" for j in range(50)])
    sides = {}
    for side, name, size in (("staff", "mood", 700), ("guests", "loyal", 2000)):
        at = rng.integers(0, 50, size)
        sides[side] = pd.DataFrame({"shop": shops[at], name: 5e4 + 0.8 * place[at] + rng.standard_normal(size)})
    sides["guests"].loc[:5, "shop"] = None
    one, other = (
        spc.fit_two_sided("loyal ~ mood", sides=given, unit="shop", draws=50, missing="listwise")
        for given in ({side: far(table) for side, table in sides.items()}, sides)
    )
    assert np.allclose(one.tidy()["estimate"], other.tidy()["estimate"], rtol=1e-5, atol=1e-6, equal_nan=True)
    assert one.keys == other.keys


def test_what_is_asked_is_the_sql_that_both_engines_share():
    origin = SparkOrigin(Cluster(rows()), (-9.0,))
    value = 'CASE WHEN CAST("x0" AS DOUBLE) IN (CAST(-9.0 AS DOUBLE)) THEN NULL ELSE CAST("x0" AS DOUBLE) END'
    Source(origin, "far", origin.columns).moments_by("site", ["x0"])
    whole = f'SELECT {value} AS v0, CASE WHEN "site" IS NULL THEN NULL ELSE xxhash64("site") END AS k FROM {{source}}'
    asked = origin.relation.asked
    assert asked[0].startswith('SELECT k, xxhash64(k) FROM (SELECT DISTINCT "site" AS k FROM {source}) AS d')
    assert asked[1] == f"SELECT {value} AS v0 FROM {{source}} LIMIT 1024"
    assert asked[2].startswith(whole)


def test_codes_for_no_answer():
    frame = rows()
    assert far(frame, (4.0,)).moments(["item"]).n == int((frame["item"] != 4).sum())


def test_faults_come_back_from_the_workers():
    frame = rows()
    frame.loc[2000, "x1"] = np.inf
    with pytest.raises(DataError, match=r"far\.x1: infinite values"):
        far(frame).moments(NAMES)
    with pytest.raises(DataError, match="no such column"):
        far(frame).moments(["x9"])
    with pytest.raises(DataError, match="values of type VARCHAR"):
        far(frame).moments(["site"])
    with pytest.raises(UnsupportedError, match="Source leaves them where they are"):
        spc.fit(MODEL, far(frame), ordered=["item"])


def test_a_table_that_changes_is_named():
    source = far(rows())
    key = ("site", source.origin.keys("site"))
    source.origin.relation.base.execute("UPDATE t SET site = 'new' WHERE unit = 100")
    with pytest.raises(DataError, match="values that were not there a moment ago"):
        sum_up(source.origin, NAMES, key, np.zeros(4), None)


def test_workers_need_nothing_of_the_package(tmp_path):
    source = far(rows(900))
    source.tally("site")
    source.moments_by("site", NAMES, higher=True)
    source.patterns_by("site", NAMES)
    source.unit_moments("unit", NAMES)
    sent = source.origin.relation.sent
    assert len(sent) == 6
    for i, function in enumerate(sent):
        (tmp_path / f"{i}").write_bytes(function)
    program = (
        "import sys; sys.modules['spc'] = None\n"
        "import cloudpickle, numpy as np; from pathlib import Path\n"
        "rows = [np.ma.array(np.arange(9.0), mask=np.arange(9) == 4)] * 4 + [np.ma.masked_all(9, dtype=np.int64)]\n"
        "for path in sorted(Path(sys.argv[1]).iterdir()): cloudpickle.loads(path.read_bytes())(iter([rows]))\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)


def test_bytes_hold_no_code():
    found = {3: [np.eye(2), None, (1, 2.5)], -1: "text"}
    back = unpacked(packed(found))
    assert list(back) == [3, -1]
    assert np.array_equal(back[3][0], np.eye(2))
    assert back[3][1:] == [None, (1, 2.5)]
    with pytest.raises(TypeError):
        packed({1: object()})


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (None, {}, "No table"),
        ("t.parquet", {"engine": "dask"}, "'duckdb' or 'spark'"),
        ("t.parquet", {"master": "spark://here:7077"}, "engine='spark'"),
        ("t.parquet", {"engine": "spark", "workers": 2}, "cluster has its own"),
        ("t.parquet", {"engine": "spark", "table": "t"}, "give one"),
        (None, {"engine": "spark"}, "give one"),
        (pd.DataFrame({"x": [1.0]}), {"engine": "spark"}, "give one"),
    ],
)
def test_what_does_not_go_together(data, options, said):
    with pytest.raises(UsageError, match=said):
        open_source(data, **options)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("An exception was thrown\nModuleNotFoundError: No module named 'numpy'", "No module named 'numpy'"),
        ('Lost task\njava.io.IOException: Cannot run program "python3": error=2', 'Cannot run program "python3"'),
        ("[TABLE_OR_VIEW_NOT_FOUND] no t", "Spark could not do it"),
        ("[JAVA_GATEWAY_EXITED] x", "no Java"),
    ],
)
def test_what_spark_says_is_said_in_our_words(text, found):
    assert found in spark._said(text)[0]
