"""Sides that stay where they are give the two-sided fit of their rows."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest

import spc
from spc.errors import DataError

TEXT = "value ~ quality\nloyal ~ value\ngrowth ~ loyal"


def firm(units=60, seed=2):
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=units)
    value = 0.6 * quality + rng.normal(0, 0.5, units)
    loyal = 0.5 * value + rng.normal(0, 0.5, units)
    names = np.array([f"shop {j}" for j in range(units)])
    at = rng.integers(0, units, 700)
    staff = pd.DataFrame({"shop": names[at], "quality": 5e5 + quality[at] + rng.normal(0, 1.5, 700)})
    at = rng.integers(2, units, 2000)
    guests = pd.DataFrame({"shop": names[at], "value": value[at] + rng.normal(0, 1.5, 2000)})
    guests["loyal"] = loyal[at] + rng.normal(0, 1.5, 2000)
    staff.loc[3:5, "shop"] = None
    guests.loc[:9, "value"] = np.nan
    growth = 0.4 * loyal + rng.normal(0, 0.5, units)
    return staff, guests, pd.DataFrame({"shop": names, "growth": growth})


def parquet(frame, path):
    with duckdb.connect() as connection:
        connection.register("given", frame)
        connection.execute(f"COPY given TO '{path}' (FORMAT parquet)")
    return spc.open_source(path)


@pytest.mark.parametrize("which", [("staff", "guests"), ("guests",)])
def test_the_fit_is_that_of_the_rows(tmp_path, which):
    staff, guests, units = firm()
    sides = {"staff": staff, "guests": guests}
    apart = {
        name: parquet(rows, tmp_path / f"{name}.parquet") if name in which else rows for name, rows in sides.items()
    }
    one = spc.fit_two_sided(TEXT, sides=apart, units=units, unit="shop", draws=100)
    other = spc.fit_two_sided(TEXT, sides=sides, units=units, unit="shop", draws=100, missing="listwise")
    mine, theirs = one.tidy(), other.tidy()
    assert mine[["lhs", "op", "rhs", "kind", "label"]].equals(theirs[["lhs", "op", "rhs", "kind", "label"]])
    for name in ("estimate", "std_error", "conf_low"):
        assert np.allclose(mine[name], theirs[name], rtol=1e-5, atol=1e-6, equal_nan=True)
    assert sorted(note.text for note in one.notes()) == sorted(note.text for note in other.notes())
    assert one.keys == other.keys
    assert np.array_equal(one.core.units.counts, other.core.units.counts)
    assert np.allclose(one.core.units.scatter, other.core.units.scatter, rtol=1e-9, atol=1e-7)


def test_faults_of_a_side(tmp_path):
    staff, guests, units = firm()
    sources = {"staff": parquet(staff, tmp_path / "s.parquet"), "guests": parquet(guests, tmp_path / "g.parquet")}
    with pytest.raises(DataError, match="no unit column"):
        spc.fit_two_sided(TEXT, sides=sources, units=units, unit="store")
    with pytest.raises(DataError, match="found in no table"):
        spc.fit_two_sided(TEXT + "\nloyal ~ price", sides=sources, units=units, unit="shop")
    other = parquet(guests.assign(shop="x"), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="no unit of staff"):
        spc.fit_two_sided(TEXT, sides={**sources, "guests": other}, units=units, unit="shop")
