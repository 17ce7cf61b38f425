"""A fit to a table that stays where it is equals the fit to its rows."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest

import spc
from spc.errors import DataError, DroppedRowsWarning, UnsupportedError

MODEL = "f =~ a + b + c + d\ng =~ e + h + i\ng ~ s*f\nd ~ 1\nss := s*s"


def rows(n=900, holes=True):
    rng = np.random.default_rng(4)
    f = rng.standard_normal(n)
    g = 0.5 * f + rng.standard_normal(n)
    frame = pd.DataFrame({name: 1e3 + 0.8 * f + rng.standard_normal(n) for name in "abcd"})
    for name in "ehi":
        frame[name] = 0.7 * g + rng.gamma(1.0, 1.0, n)
    frame["site"] = np.where(rng.random(n) < 0.4, "north", "south")
    frame["year"] = rng.choice([2024.0, 2025.0], n)
    if holes:
        for name in "ahi":
            frame.loc[rng.random(n) < 0.08, name] = np.nan
    return frame


@pytest.fixture
def parquet(tmp_path):
    def put(frame):
        path = tmp_path / "rows.parquet"
        with duckdb.connect() as connection:
            connection.register("given", frame)
            connection.execute(f"COPY given TO '{path}' (FORMAT parquet)")
        return spc.open_source(path)

    return put


def equal(one, other):
    mine, theirs = one.tidy(), other.tidy()
    keys = ["lhs", "op", "rhs", "group", "label", "kind"]
    assert mine[keys].equals(theirs[keys])
    for name in ("estimate", "std_error", "std_all"):
        assert np.allclose(mine[name], theirs[name], rtol=1e-7, atol=1e-8, equal_nan=True), name
    left, right = one.glance().iloc[0], other.glance().iloc[0]
    for name in left.index:
        if isinstance(left[name], float):
            assert np.allclose(left[name], right[name], rtol=1e-6, atol=1e-8, equal_nan=True), name
    assert left["nobs"] == right["nobs"]
    assert left["ngroups"] == right["ngroups"]
    assert [note.code for note in one.notes()] == [note.code for note in other.notes()]


@pytest.mark.filterwarnings("ignore::spc.DroppedRowsWarning")
@pytest.mark.parametrize("estimator", ["ML", "MLM", "MLR", "GLS", "ULS", "WLS"])
def test_estimators(parquet, estimator):
    frame = rows()
    equal(spc.fit(MODEL, parquet(frame), estimator=estimator), spc.fit(MODEL, frame, estimator=estimator))


@pytest.mark.filterwarnings("ignore::spc.SpcWarning")
@pytest.mark.parametrize("options", [{}, {"group_equal": ["loadings"]}, {"estimator": "MLR"}, {"missing": "fiml"}])
@pytest.mark.parametrize("group", ["site", "year"])
def test_groups(parquet, group, options):
    frame = rows()
    equal(spc.fit(MODEL, parquet(frame), group=group, **options), spc.fit(MODEL, frame, group=group, **options))


def test_missing_answers(parquet):
    frame = rows()
    equal(spc.fit(MODEL, parquet(frame), missing="fiml"), spc.fit(MODEL, frame, missing="fiml"))


def test_dropped_rows_are_warned_of(parquet):
    with pytest.warns(DroppedRowsWarning, match="of 900 rows"):
        spc.fit(MODEL, parquet(rows()))


def test_a_frame_may_be_opened_too():
    frame = rows(holes=False)
    equal(spc.fit(MODEL, spc.open_source(frame)), spc.fit(MODEL, frame))


def test_what_needs_rows_says_so(parquet):
    source = parquet(rows())
    asked = [{"cluster": "site"}, {"ordered": ["a"]}, {"missing": "fiml", "estimator": "MLR"}]
    for options in asked:
        with pytest.raises(UnsupportedError, match="Source leaves them where they are"):
            spc.fit(MODEL, source, **options)
    with pytest.raises(UnsupportedError, match="level:"):
        spc.fit("level: 1\na ~ b\nlevel: 2\na ~ b", source, cluster="site")


def test_faults_of_the_data(parquet):
    frame = rows()
    frame.loc[3:5, "site"] = None
    frame["same"] = "x"
    source = parquet(frame)
    with pytest.raises(DataError, match="3 rows without a group"):
        spc.fit(MODEL, source, group="site")
    with pytest.raises(DataError, match="at least two groups"):
        spc.fit(MODEL, source, group="same")
    with pytest.raises(DataError, match="no such column"):
        spc.fit("f =~ a + b + z", source)
    with pytest.raises(DataError, match="no such column"):
        spc.fit(MODEL, source, group="sites")
    with pytest.raises(DataError, match="expected numbers"):
        spc.fit("a ~ same", source)
