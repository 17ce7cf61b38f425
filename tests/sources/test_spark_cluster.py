"""Models and studies on a real cluster give what rows on this machine give, and end well when it is hurt."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import duckdb
import numpy as np
import pandas as pd
import pytest

import spc
from spc.errors import DataError
from spc.sources import spark

pytestmark = pytest.mark.slow(reason="a cluster of three Java processes takes a minute to start")

MODEL = "f =~ a + b + c + d\ng =~ e + h + i\ng ~ s*f\nss := s*s"
NAMES = list("abcdehi")
OPTIONS = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "4",
    "spark.executor.memory": "600m",
    "spark.cores.max": "2",
}


def rows(n=20_000):
    rng = np.random.default_rng(4)
    f = rng.standard_normal(n)
    g = 0.5 * f + rng.standard_normal(n)
    frame = pd.DataFrame({name: 1e5 + 0.8 * f + rng.standard_normal(n) for name in "abcd"})
    for name in "ehi":
        frame[name] = 0.7 * g + rng.gamma(1.0, 1.0, n)
        frame.loc[rng.random(n) < 0.08, name] = np.nan
    frame["site"] = np.where(rng.random(n) < 0.4, "north", "south")
    frame["unit"] = rng.integers(0, 60, n)
    return frame


def store(frame, folder, files=4):
    folder.mkdir()
    step = -(-len(frame) // files)
    with duckdb.connect() as base:
        base.register("given", frame)
        for part in range(files):
            base.execute(f"COPY (FROM given LIMIT {step} OFFSET {part * step}) TO '{folder}/{part}.parquet'")
    return folder


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return store(rows(), tmp_path_factory.mktemp("rows") / "answers")


@pytest.fixture
def both(cluster, stored):
    """The same rows on the cluster and here."""
    far = spc.open_source(stored, engine="spark", master=cluster.master, options=OPTIONS, name="answers")
    return far, spc.open_source(stored)


def close(one, other):
    one, other = (np.asarray(values, dtype=float) for values in (one, other))
    assert np.abs(one - other).max() <= 1e-10 * np.abs(other).max()


def sorted_units(sums):
    order = np.argsort(sums.units)
    return np.array(sums.units)[order], sums.n[order], sums.mean[order], sums.scatter[order]


def test_moments_patterns_and_units(both):
    far, near = both
    assert far.count() == near.count() == 20_000
    assert far.tally("site") == near.tally("site")
    one, other = (source.moments(NAMES, higher=True) for source in both)
    assert one.n == other.n
    for name in ("mean", "cov", "higher"):
        close(getattr(one, name), getattr(other, name))
    one, other = (source.patterns(NAMES) for source in both)
    assert np.array_equal(one.coverage(), other.coverage())
    for mine, theirs in zip(*(sorted_units(source.unit_moments("unit", ["a", "e"])) for source in both), strict=True):
        close(mine, theirs)


def estimates(fit):
    table = fit.tidy().set_index(["lhs", "op", "rhs", "group"]).sort_index()
    return table[["estimate", "std_error"]].to_numpy(dtype=float)


@pytest.mark.filterwarnings("ignore::spc.SpcWarning")
@pytest.mark.parametrize(
    "options", [{}, {"estimator": "MLR"}, {"missing": "fiml"}, {"group": "site", "group_equal": ["loadings"]}]
)
def test_fits(both, options):
    one, other = (estimates(spc.fit(MODEL, source, **options)) for source in both)
    assert np.allclose(one, other, rtol=1e-8, atol=1e-10, equal_nan=True)


def test_frames_of_spark_are_sides_of_a_chain(both):
    frame = rows()
    session = both[0].origin.relation.session
    staff, guests = (frame[["unit", name]].dropna() for name in "ae")
    apart = {"staff": session.createDataFrame(staff), "guests": session.createDataFrame(guests)}
    one, other = (
        spc.fit_two_sided("e ~ a", sides=sides, unit="unit", draws=50)
        for sides in (
            {side: spc.open_source(table) for side, table in apart.items()},
            {"staff": staff, "guests": guests},
        )
    )
    assert np.allclose(one.tidy()["estimate"], other.tidy()["estimate"], rtol=1e-6, atol=1e-8, equal_nan=True)


def test_an_infinite_value_is_found_by_a_worker(cluster, tmp_path):
    frame = rows(3000)
    frame.loc[2999, "c"] = -np.inf
    far = spc.open_source(store(frame, tmp_path / "t"), engine="spark", master=cluster.master, options=OPTIONS)
    with pytest.raises(DataError, match=r"t\.c: infinite values"):
        far.moments(NAMES)


@pytest.fixture
def study(cluster, tmp_path):
    """A study of files here, and the same one whose tables are in the catalogue and at addresses."""
    near, far = spc.init_study(tmp_path / "near"), tmp_path / "far"
    far.mkdir()
    far_away = settings(cluster.master, OPTIONS | logged(tmp_path))
    text = near.read_text().replace("[study]", f"{far_away}[study]\nallow_outside = true", 1)
    for name in ("employees", "customers", "units", "accounts"):
        folder = store(pd.read_csv(near.parent / f"{name}.csv"), tmp_path / name, files=1)
        text = text.replace(f'file = "{name}.csv"', f'file = "{folder.as_uri()}"')
    (far / "study.toml").write_text(text)
    return near, far / "study.toml"


def settings(master, options):
    lines = "".join(f'"{key}" = "{value}"\n' for key, value in options.items())
    return f'[sources]\nengine = "spark"\nmaster = "{master}"\n[sources.options]\n{lines}'


def logged(folder):
    """Settings with which Spark notes what it does, in a folder within this one."""
    events = folder / "events"
    events.mkdir()
    return {
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.dir": events.as_uri(),
    }


def test_a_study_whose_tables_are_on_the_cluster(cluster, study, tmp_path):
    near, far = study
    place = (tmp_path / "units").as_uri()
    session = spark.spark_table(place, name="units", master=cluster.master, options=OPTIONS).session
    session.sql(f"CREATE TABLE shops USING parquet LOCATION '{tmp_path / 'units'}'")
    text = far.read_text()
    far.write_text(text.replace(f'file = "{place}"', 'table = "shops"'))
    one, other = spc.read_study(far), spc.read_study(near)
    assert set(one.tables) == set(other.tables)
    for name, table in other.tables.items():
        pd.testing.assert_frame_equal(one.tables[name], table)
    session.sql("DROP TABLE shops")
    with pytest.raises(DataError, match="shops"):
        spc.read_study(far)


PROGRAM = """
import sys, pathlib, spc
options = dict(word.split("=", 1) for word in sys.argv[3:])
source = spc.open_source(sys.argv[2], engine="spark", master=sys.argv[1], options=options)
fit = spc.fit({model!r}, source, estimator="MLR")
pathlib.Path("found.csv").write_text(fit.tidy().to_csv())
"""


@contextmanager
def at_work(command, folder, events, mark):
    """A run in a process of its own, once Spark has noted that it is at work for it."""
    folder.mkdir(exist_ok=True)
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
    try:
        while run.poll() is None and mark not in noted(events):
            time.sleep(0.05)
        assert run.poll() is None, run.communicate()
        yield run
    finally:
        run.kill()


def noted(events):
    return b"".join(path.read_bytes() for path in events.rglob("*") if path.is_file())


@pytest.fixture
def fitting(cluster, stored, tmp_path):
    words = [f"{key}={value}" for key, value in (OPTIONS | logged(tmp_path)).items()]
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM.format(model=MODEL), cluster.master, str(stored), *words]
    with at_work(command, tmp_path / "run", tmp_path / "events", b"MapInArrow") as run:
        yield run


@pytest.mark.filterwarnings("ignore::spc.SpcWarning")
def test_a_worker_killed_during_a_fit_changes_nothing(cluster, fitting, stored, tmp_path):
    cluster.workers[0].kill()
    cluster.workers[0].wait()
    assert fitting.poll() is None, "the run had ended before the worker was killed"
    out, err = fitting.communicate(timeout=600)
    assert fitting.returncode == 0, out + err
    found = pd.read_csv(tmp_path / "run" / "found.csv")
    wanted = spc.fit(MODEL, spc.open_source(stored), estimator="MLR").tidy()
    assert np.allclose(found["estimate"], wanted["estimate"], rtol=1e-8, atol=1e-10)
    assert np.allclose(found["std_error"], wanted["std_error"], rtol=1e-8, atol=1e-10, equal_nan=True)


def test_an_interrupted_fit_leaves_nothing(fitting, tmp_path):
    fitting.send_signal(signal.SIGINT)
    out, err = fitting.communicate(timeout=120)
    assert fitting.returncode not in (0, None), out + err
    assert "KeyboardInterrupt" in err
    assert not list((tmp_path / "run").iterdir())


def test_an_interrupted_study_leaves_nothing(study, tmp_path):
    far = study[1]
    command = [sys.executable, "-m", "spc", "fit", str(far), "--output", "out"]
    with at_work(command, far.parent, tmp_path / "events", b"JobStart") as run:
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=120)
    assert run.returncode == 130, out + err
    assert "Traceback" not in err
    assert {path.name for path in far.parent.iterdir()} == {"study.toml"}


def test_no_worker_is_our_error(cluster, both, monkeypatch):
    monkeypatch.setattr(spark, "PATIENCE", 3.0)
    for worker in cluster.workers:
        worker.kill()
        worker.wait()
    with pytest.raises(DataError) as caught:
        both[0].moments(NAMES)
    assert caught.value.findings[0].rule in {"no_worker", "spark_failed"}
