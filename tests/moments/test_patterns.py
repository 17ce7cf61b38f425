from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.errors import DataError
from spc.moments import Moments, Patterns

NAMES = ["a", "b", "c"]


def holed(n=60, seed=1, offset=0.0, share=0.3):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, 3)) @ rng.normal(size=(3, 3)) + offset
    values[rng.random(values.shape) < share] = np.nan
    return pd.DataFrame(values, columns=NAMES)


def as_rows(patterns):
    """What a pattern says, by what is answered in it: n, means and centred cross-products."""
    return {
        tuple(seen.tolist()): (
            n,
            mean,
            patterns.spread[patterns.pattern == k].T @ patterns.spread[patterns.pattern == k],
        )
        for k, (seen, n, mean) in enumerate(zip(patterns.observed, patterns.n, patterns.mean, strict=True))
    }


def assert_same(one, other):
    one, other = as_rows(one), as_rows(other)
    assert one.keys() == other.keys()
    for key, (n, mean, cross) in one.items():
        assert other[key][0] == n
        np.testing.assert_allclose(other[key][1], mean, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(other[key][2], cross, rtol=1e-7, atol=1e-7)


def test_each_pattern_has_the_moments_of_its_rows():
    data = holed()
    found = as_rows(Patterns.from_frame(data))
    answered = data.notna().to_numpy()
    for key, (n, mean, cross) in found.items():
        rows = data[(answered == key).all(axis=1)].fillna(0.0).to_numpy()
        assert n == len(rows)
        np.testing.assert_allclose(mean, rows.mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(cross, (rows - rows.mean(axis=0)).T @ (rows - rows.mean(axis=0)), atol=1e-12)


def test_rows_without_any_answer_are_counted_apart():
    data = pd.DataFrame({"a": [1.0, np.nan, np.nan], "b": [np.nan, np.nan, 2.0]})
    patterns = Patterns.from_frame(data)
    assert (patterns.rows, patterns.empty, len(patterns.n)) == (2, 1, 2)


def test_spread_is_never_longer_than_the_variables_of_its_pattern():
    patterns = Patterns.from_frame(holed(n=2000))
    count = np.bincount(patterns.pattern, minlength=len(patterns.n))
    assert (count <= patterns.observed.sum(axis=1)).all()


def test_complete_rows_are_moments():
    data = holed(share=0.0, offset=1e6)
    patterns, moments = Patterns.from_frame(data), Moments.from_frame(data)
    np.testing.assert_allclose(patterns.mean[0], moments.mean, rtol=1e-14)
    np.testing.assert_allclose(patterns.spread.T @ patterns.spread / (len(data) - 1), moments.cov, rtol=1e-8)


@settings(deadline=None, max_examples=40)
@given(cut=st.integers(0, 60), seed=st.integers(0, 5), offset=st.sampled_from([0.0, 1e6]))
def test_merging_chunks_equals_one_pass(cut, seed, offset):
    data = holed(seed=seed, offset=offset)
    assert_same(Patterns.from_frame(data), Patterns.from_frame(data[:cut]).merge(Patterns.from_frame(data[cut:])))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 20))
def test_order_of_rows_does_not_matter(seed):
    data = holed()
    assert_same(Patterns.from_frame(data), Patterns.from_frame(data.sample(frac=1.0, random_state=seed)))


@pytest.mark.parametrize("names", [["c", "a"], ["b"], ["c", "b", "a"]])
def test_restricting_equals_building_from_fewer_columns(names):
    data = holed()
    short = Patterns.from_frame(data).restrict(names)
    assert_same(Patterns.from_frame(data[names]), short)
    assert short.empty == int(data[names].isna().all(axis=1).sum())


def test_merging_finds_columns_by_name():
    data = holed()
    turned = Patterns.from_frame(data[30:], ["c", "b", "a"])
    assert_same(Patterns.from_frame(data), Patterns.from_frame(data[:30]).merge(turned))


def test_only_rows_that_answer():
    data = holed()
    assert_same(Patterns.from_frame(data.dropna(subset=["b"])), Patterns.from_frame(data).answering(["b"]))


def test_coverage_counts_pairs():
    data = holed()
    seen = data.dropna(how="all").notna().to_numpy(dtype=float)
    np.testing.assert_allclose(Patterns.from_frame(data).coverage(), seen.T @ seen / len(seen))


def test_many_variables():
    rng = np.random.default_rng(3)
    data = pd.DataFrame(np.where(rng.random((50, 80)) < 0.1, np.nan, rng.normal(size=(50, 80))))
    assert Patterns.from_frame(data, list(data.columns)).rows == 50


def test_faults_are_ours():
    patterns = Patterns.from_frame(holed())
    with pytest.raises(DataError, match="Did you mean"):
        patterns.restrict(["aa"])
    with pytest.raises(DataError, match="different variables"):
        patterns.merge(patterns.restrict(["a"]))
    with pytest.raises(DataError):
        Patterns.from_frame(pd.DataFrame({"a": ["x"]}))


def test_arrays_are_read_only():
    patterns = Patterns.from_frame(holed())
    for array in (patterns.observed, patterns.n, patterns.mean, patterns.spread, patterns.pattern):
        assert not array.flags.writeable
