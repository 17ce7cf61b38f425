"""Tables that stay where they are give what a frame in memory gives."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError, UsageError
from spc.moments import Moments, Patterns
from spc.sources import open_source

PLACES = ("frame", "parquet", "groups", "folder", "duckdb", "view", "csv")


def rows(n=3000, seed=1, holes=True):
    rng = np.random.default_rng(seed)
    common = rng.standard_normal(n)
    frame = pd.DataFrame({f"x{i}": 1e6 + 0.7 * common + rng.standard_normal(n) for i in range(4)})
    frame["item"] = rng.integers(1, 8, n).astype(np.int8)
    frame["site"] = rng.choice(["Ærø", 'b "c"', "o'd"], n)
    frame["unit"] = rng.integers(100, 140, n)
    if holes:
        for name in ("x0", "x2"):
            frame.loc[rng.random(n) < 0.1, name] = np.nan
        frame.loc[:1, ["x0", "x1", "x2", "x3"]] = np.nan
    return frame


def text(path):
    return "'" + str(path).replace("'", "''") + "'"


def store(frame, place, folder):
    """The frame as it would stand in that place; what to open."""
    if place == "frame":
        return frame
    folder.mkdir(exist_ok=True)
    path = folder / {"duckdb": "base.duckdb", "view": "base.duckdb", "csv": "t.csv"}.get(place, "t.parquet")
    if place == "csv":
        frame.to_csv(path, index=False, sep=";")
        return path
    base = str(path) if place in ("duckdb", "view") else ":memory:"
    with duckdb.connect(base) as connection:
        connection.register("given", frame)
        if place in ("duckdb", "view"):
            connection.execute("CREATE TABLE t AS SELECT * FROM given")
            if place == "view":
                connection.execute("CREATE VIEW v AS SELECT * FROM t")
        elif place == "folder":
            (folder / "deep").mkdir()
            step = len(frame) // 3 + 1
            for k, name in enumerate(("a[1].parquet", "b*.parquet", "deep/c's.parquet")):
                where = text(folder / name)
                connection.execute(f"COPY (SELECT * FROM given LIMIT {step} OFFSET {k * step}) TO {where}")
            return folder
        else:
            size = 2048 if place == "groups" else 122_880
            connection.execute(f"COPY given TO {text(path)} (FORMAT parquet, ROW_GROUP_SIZE {size})")
    return path


@pytest.fixture(params=PLACES)
def stored(request, tmp_path, monkeypatch):
    """A function that puts a frame into one place and opens it; slices are small, so that there are several."""
    from spc.sources import frame_rows, query_rows

    if request.param != "folder":
        monkeypatch.setattr(frame_rows, "SLICE", 700)
        monkeypatch.setattr(frame_rows, "BATCH", 300)
        monkeypatch.setattr(query_rows, "SLICE", 1000)
        monkeypatch.setattr(query_rows, "BATCH", 1000)

    def put(frame, **options):
        data = store(frame, request.param, tmp_path / f"it's [a] place {len(list(tmp_path.iterdir()))}")
        table = {"view": "v", "duckdb": "t"}.get(request.param)
        return open_source(data, table=table, **options)

    put.place = request.param
    return put


NAMES = ["x0", "x1", "x2", "x3", "item"]


def close(one, other, digits=1e-12):
    scale = np.sqrt(np.outer(other.cov.diagonal(), other.cov.diagonal()))
    assert one.names == other.names
    assert one.n == other.n
    assert one.group == other.group
    assert np.abs(one.mean / other.mean - 1).max() < digits
    assert np.abs((one.cov - other.cov) / scale).max() < digits
    if other.higher is not None:
        size = np.sqrt(np.outer(other.higher.diagonal(), other.higher.diagonal()))
        assert np.abs((one.higher - other.higher) / size).max() < 1e-10


def exact(frame, names, group=None):
    """Moments of values that stand near 1e6, taken near zero."""
    origin = pd.Series({name: 1e6 if name.startswith("x") else 0.0 for name in names})
    near = Moments.from_frame(frame[names] - origin, names, group, higher=True)
    return Moments(names, near.n, near.mean + origin, near.cov, near.higher, group)


def test_moments(stored):
    frame = rows()
    close(stored(frame).moments(NAMES), Moments.from_frame(frame, NAMES))


def test_moments_of_higher_order(stored):
    frame = rows()
    close(stored(frame).moments(NAMES[:3], higher=True), exact(frame, NAMES[:3]))


def test_moments_of_groups(stored):
    frame = rows()
    frame.loc[5:9, "site"] = None
    found = stored(frame).moments_by("site", NAMES, higher=True)
    wanted = frame["site"].dropna().unique()
    # a complete row must come first for the order to be that of the rows
    assert [each.group for each in found] == list(wanted)
    for each in found:
        close(each, exact(frame[frame["site"] == each.group], NAMES, each.group))


def test_groups_may_be_numbers(stored):
    frame = rows()
    found = stored(frame).moments_by("unit", ["x1", "x3"])
    assert [each.group for each in found] == [str(unit) for unit in frame["unit"].unique()]


def same(one, other):
    assert one.names == other.names
    assert one.empty == other.empty
    assert np.array_equal(one.observed, other.observed)
    assert np.array_equal(one.n, other.n)
    assert np.allclose(one.mean, other.mean, rtol=1e-12, atol=0)
    for k in range(len(one.n)):
        mine, theirs = one.spread[one.pattern == k], other.spread[other.pattern == k]
        assert np.allclose(mine.T @ mine, theirs.T @ theirs, rtol=0, atol=1e-9 * max(1, one.n[k]))


def test_patterns(stored):
    frame = rows()
    same(stored(frame).patterns(NAMES[:4]), Patterns.from_frame(frame, NAMES[:4]))


def test_patterns_of_groups(stored):
    frame = rows()
    found = stored(frame).patterns_by("site", NAMES[:4])
    assert list(found) == list(frame["site"].unique())
    for site, patterns in found.items():
        same(patterns, Patterns.from_frame(frame[frame["site"] == site], NAMES[:4]))


def test_units(stored):
    frame = rows()
    frame["unit"] = frame["unit"].astype("Int64")
    frame.loc[3:8, "unit"] = pd.NA
    names = ["x1", "x2", "item"]
    sums = stored(frame).unit_moments("unit", names)
    complete = frame.dropna(subset=["unit", *names])
    assert sums.without_unit == 6
    assert sums.rows == len(frame)
    assert sums.incomplete == len(frame) - 6 - len(complete)
    assert len(sums.units) == 40
    for j, unit in enumerate(sums.units):
        own = complete.loc[complete["unit"] == unit, names].to_numpy(dtype=float)
        off = own - own.mean(axis=0)
        assert sums.n[j] == len(own)
        assert np.allclose(sums.mean[j], own.mean(axis=0), rtol=1e-14)
        assert np.allclose(sums.scatter[j], off.T @ off, rtol=1e-12, atol=1e-9)
    assert np.allclose(sums.within, sums.scatter.sum(axis=0) / (len(complete) - 40))


def test_units_of_text(stored):
    frame = rows(holes=False)
    sums = stored(frame).unit_moments("site", ["x1"])
    wanted = frame.groupby("site")["x1"].agg(["size", "mean"])
    for unit, n, mean in zip(sums.units, sums.n, sums.mean[:, 0], strict=True):
        assert wanted.loc[unit, "size"] == n
        assert abs(wanted.loc[unit, "mean"] / mean - 1) < 1e-14


def test_workers_change_no_digit(stored):
    frame = rows()
    one, three = (stored_again(stored, frame, workers) for workers in (1, 3))
    a, b = one.moments(NAMES), three.moments(NAMES)
    assert np.array_equal(a.cov, b.cov)
    assert np.array_equal(a.mean, b.mean)
    assert np.array_equal(one.unit_moments("unit", ["x1"]).scatter, three.unit_moments("unit", ["x1"]).scatter)


def stored_again(stored, frame, workers):
    source = stored.source if hasattr(stored, "source") else stored(frame)
    stored.source = source
    return type(source)(source.origin, source.label, source.columns, workers)


def test_codes_that_mean_no_answer(stored):
    frame = rows(holes=False)
    marked = frame.copy()
    marked.loc[:99, "x1"] = -99
    marked.loc[50:149, "item"] = -8
    source = stored(marked, missing=[-99, -8])
    assert source.moments(["x1", "item"]).n == len(frame) - 150
    close(source.moments(["x1", "item"]), Moments.from_frame(frame.iloc[150:], ["x1", "item"]))


def test_count(stored):
    assert stored(rows()).count() == 3000


def test_all_columns_when_none_are_named(stored):
    frame = rows()[NAMES]
    assert stored(frame).moments().names == tuple(NAMES)
    assert stored(frame.assign(site="a")).moments_by("site")[0].names == tuple(NAMES)


def test_a_column_that_is_absent(stored):
    source = stored(rows())
    for call in (source.moments, source.patterns, lambda names: source.unit_moments("unit", names)):
        with pytest.raises(DataError, match=r"no such column; expected a column 'items'.*Did you mean 'item'"):
            call(["x1", "items"])
    for call in (source.moments_by, source.unit_moments, source.patterns_by):
        with pytest.raises(DataError, match="Did you mean 'unit'"):
            call("unti", ["x1"])


def test_a_column_of_text(stored):
    with pytest.raises(DataError, match=r"site.*expected numbers"):
        stored(rows()).moments(["x1", "site"])


def test_a_column_given_twice(stored):
    with pytest.raises(DataError, match="given twice"):
        stored(rows()).moments(["x1", "x1"])


def test_an_infinite_value(stored):
    frame = rows()
    frame.loc[2900, "x3"] = np.inf
    source = stored(frame)
    for call in (source.moments, source.patterns, lambda names: source.unit_moments("unit", names)):
        with pytest.raises(DataError, match=r"x3.*infinite"):
            call(["x1", "x3"])


def test_no_complete_rows(stored):
    frame = rows()
    frame["x1"] = np.nan
    with pytest.raises(DataError, match="0 complete rows"):
        stored(frame).moments(["x1", "x3"])


def test_no_rows_at_all(stored):
    with pytest.raises(DataError, match="0 complete rows"):
        stored(rows().iloc[:0]).moments(["x1", "x3"])


def test_values_far_from_zero(stored):
    near = rows(holes=False)[["x1", "x3"]] - 1e6
    far = (near.round(6) + 1e9)[["x1", "x3"]]
    back = far - 1e9
    close(stored(far).moments(), Moments(back.columns, len(far), back.mean() + 1e9, back.cov()))


def test_values_that_drift_far(stored):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": np.arange(3000) * 1e6, "y": rng.standard_normal(3000)})
    frame["z"] = frame["x"] + frame["y"] * 1e4
    frame["same"] = 7.0
    frame.loc[0, "x"] = 0.25
    found, wanted = stored(frame).moments(["x", "y", "z"]), Moments.from_frame(frame, ["x", "y", "z"])
    assert np.allclose(found.cov, wanted.cov, rtol=1e-12)
    assert stored(frame).moments(["same", "y"]).cov[0, 0] == 0.0


def test_names_of_any_kind(stored):
    if stored.place == "csv":
        pytest.skip("a text file of such names is quoted by its writer, not by us")
    frame = rows(holes=False)[["x1", "x2", "site"]].set_axis(
        ['a"; DROP TABLE t; --', "læn\nge ' name", "gr\"o'up"], axis=1
    )
    source = stored(frame)
    names = list(frame.columns[:2])
    close(source.moments(names), Moments.from_frame(frame, names))
    assert len(source.moments_by(frame.columns[2], names)) == 3
    assert len(source.unit_moments(frame.columns[2], names).units) == 3


@pytest.mark.parametrize("kind", ["BOOLEAN", "DECIMAL(9,2)", "HUGEINT", "UBIGINT", "FLOAT", "TINYINT", "BIGINT"])
def test_types_of_numbers(tmp_path, kind):
    path = tmp_path / "t.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT CAST(i % 2 AS {kind}) AS a, CASE WHEN i = 3 THEN NULL ELSE CAST(i AS {kind}) END AS b "
            f"FROM range(10) t(i)) TO '{path}'"
        )
    source = open_source(path)
    assert source.moments(["a"]).mean.tolist() == [0.5]
    assert source.moments().n == 9


@pytest.mark.parametrize("kind", ["DATE", "VARCHAR", "TIMESTAMP", "INTEGER[]", "INTERVAL"])
def test_types_of_no_numbers(tmp_path, kind):
    path = tmp_path / "t.parquet"
    value = {"INTEGER[]": "[1]", "INTERVAL": "INTERVAL 1 DAY", "VARCHAR": "'1'"}.get(kind, "'2026-01-31'")
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT CAST({value} AS {kind}) AS a, 1 AS b) TO '{path}'")
    with pytest.raises(DataError, match="expected numbers"):
        open_source(path).moments(["a"])


def test_a_slice_ends_with_a_row_group(tmp_path, monkeypatch):
    from spc.sources import query_rows

    monkeypatch.setattr(query_rows, "SLICE", 4000)
    frame = rows(20_000)
    source = open_source(store(frame, "groups", tmp_path / "f"))
    parts = source.origin.slices()
    assert [part.first for part in parts] == [0, 4096, 8192, 12288, 16384]
    assert parts[-1].last == 19_999
    close(source.moments(NAMES), Moments.from_frame(frame, NAMES))


def test_small_files_are_read_together(tmp_path):
    source = open_source(store(rows(), "folder", tmp_path / "f"))
    assert [len(part.files) for part in source.origin.slices()] == [3]


def test_a_column_named_like_a_row_number(tmp_path, monkeypatch):
    from spc.sources import query_rows

    monkeypatch.setattr(query_rows, "SLICE", 1000)
    for name in ("file_row_number", "rowid"):
        frame = rows(9000, holes=False)[["x1", "item"]].rename(columns={"item": name})
        for place in ("groups", "duckdb"):
            source = open_source(store(frame, place, tmp_path / f"{name}{place}"))
            close(source.moments(), Moments.from_frame(frame))


def test_a_folder_whose_files_differ(tmp_path):
    folder = store(rows(), "folder", tmp_path / "f")
    store(rows()[["x1", "site"]].rename(columns={"x1": "y"}), "parquet", folder)
    with pytest.raises(DataError, match="Parquet files of the same columns"):
        open_source(folder).moments(["x1"])


def test_files_that_are_none(tmp_path):
    for name in ("a.parquet", "a.duckdb"):
        path = tmp_path / name
        path.write_bytes(b"something else altogether" * 500)
        with pytest.raises(DataError, match="cannot be read"):
            open_source(path)
        path.write_bytes(b"")
        with pytest.raises(DataError, match="is empty"):
            open_source(path)
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="no Parquet file"):
        open_source(tmp_path / "nothing")
    with pytest.raises(DataError, match="no file"):
        open_source(tmp_path / "absent.parquet")
    with pytest.raises(DataError, match=r"ends in '\.doc'"):
        path = tmp_path / "a.doc"
        path.write_text("x")
        open_source(path)
    with pytest.raises(DataError, match=r"Read it with spc\.read_table"):
        path = tmp_path / "a.xlsx"
        path.write_text("x")
        open_source(path)


def test_a_file_cut_off_in_the_middle(tmp_path):
    path = store(rows(), "parquet", tmp_path / "f")
    data = bytearray(path.read_bytes())
    data[100:4000] = bytes(3900)
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, match="cannot be read"):
        open_source(path).moments(["x0", "x1", "x2", "x3"])


def test_text_that_turns_up_late(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2\n" * 30_000 + "x,2\n")
    with pytest.raises(DataError, match="VARCHAR"):
        open_source(path).moments(["a"])
    assert open_source(path).moments(["b"]).n == 30_001


def test_words_for_no_answer_in_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a\tb\n1\tNA\n2\t3\n\t4\n3\t5.5\n")
    assert open_source(path).moments().n == 2


def test_a_view_cannot_reach_outside_the_file(tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n2\n")
    path = tmp_path / "base.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE VIEW v AS SELECT * FROM read_csv('{secret}')")
    with pytest.raises(DataError, match="cannot be read"):
        open_source(path).moments(["a"])


def test_the_database_is_not_changed(tmp_path):
    path = store(rows(), "duckdb", tmp_path / "f")
    before = path.read_bytes()
    open_source(path).unit_moments("unit", ["x1"])
    assert path.read_bytes() == before


def test_options_that_make_no_sense(tmp_path):
    for option in ({"workers": 0}, {"missing": ["x"]}, {"missing": [np.nan]}):
        with pytest.raises(UsageError):
            open_source(rows(), **option)
    with pytest.raises(UsageError, match="address"):
        open_source("https://example.org/t.parquet")


def test_units_of_one_respondent_and_of_none(stored):
    frame = pd.DataFrame({"unit": ["a", "b", "b", "c", None], "x": [1.0, 2.0, 4.0, np.nan, 7.0]})
    sums = stored(frame).unit_moments("unit", ["x"])
    found = {unit: (n, mean) for unit, n, mean in zip(sums.units, sums.n, sums.mean[:, 0], strict=True)}
    assert found["a"] == (1, 1.0)
    assert found["b"] == (2, 3.0)
    assert found["c"][0] == 0
    assert np.isnan(found["c"][1])
    assert sums.pooled.tolist() == [[2.0]]
    assert (sums.rows, sums.without_unit, sums.incomplete) == (5, 1, 1)


@pytest.mark.parametrize("place", PLACES)
def test_the_first_rows_of_a_slice_come_alone(place, tmp_path):
    frame = rows(holes=False)
    table = "v" if place == "view" else None
    with open_source(store(frame, place, tmp_path / place), table=table).origin.opened() as here:
        read = []
        for batch in here.read(here.slices()[0], ["x1", "item"], None, 7):
            read.append(np.empty((2, batch.n)))
            batch.fill(0, batch.n, read[-1])
    assert np.array_equal(np.concatenate(read, axis=1), frame.loc[:6, ["x1", "item"]].to_numpy(dtype=float).T)
