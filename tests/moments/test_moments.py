import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.errors import DataError
from spc.moments import Moments

NAMES = ["a", "b", "c"]


def frame(n=40, seed=1, offset=0.0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.normal(size=(n, 3)) @ rng.normal(size=(3, 3)) + offset, columns=NAMES)


def test_moments_are_those_of_pandas():
    data = frame()
    moments = Moments.from_frame(data)
    np.testing.assert_allclose(moments.cov, data.cov(), rtol=1e-12)
    np.testing.assert_allclose(moments.mean, data.mean(), rtol=1e-12)


def test_values_far_from_zero_keep_their_digits():
    near, far = Moments.from_frame(frame()), Moments.from_frame(frame(offset=1e6))
    np.testing.assert_allclose(far.cov, near.cov, rtol=1e-8)


@settings(deadline=None, max_examples=50)
@given(cuts=st.lists(st.integers(2, 38), min_size=1, max_size=1), offset=st.sampled_from([0.0, 1e6]))
def test_merging_chunks_equals_one_pass(cuts, offset):
    data = frame(offset=offset)
    first, second = data[: cuts[0]], data[cuts[0] :]
    merged = Moments.from_frame(first).merge(Moments.from_frame(second))
    whole = Moments.from_frame(data)
    assert merged.n == whole.n
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(merged.cov, whole.cov, rtol=1e-8)


def test_merge_order_and_column_order_change_nothing():
    a, b = Moments.from_frame(frame(seed=1)), Moments.from_frame(frame(seed=2)[["c", "a", "b"]])
    np.testing.assert_allclose(a.merge(b).cov, b.merge(a).restrict(NAMES).cov, rtol=1e-12)


def test_rows_with_missing_values_are_left_out():
    data = frame()
    data.loc[[3, 7], "b"] = np.nan
    assert Moments.from_frame(data).n == 38
    assert Moments.from_frame(data, ["a", "c"]).n == 40


def test_restrict_reorders():
    moments = Moments.from_frame(frame())
    some = moments.restrict(["c", "a"])
    assert some.cov[0, 1] == moments.cov[2, 0]
    assert some.mean[0] == moments.mean[2]


def test_correlations_with_standard_deviations():
    moments = Moments.from_correlation(["x", "y"], 10, [[1, 0.5], [0.5, 1]], sds=[2, 4])
    assert moments.cov.tolist() == [[4, 4], [4, 16]]


def test_arrays_are_read_only():
    moments = Moments.from_frame(frame())
    with pytest.raises(ValueError, match="read-only"):
        moments.cov[0, 0] = 1


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        ({"cov": [[1, 0.5], [0.4, 1]]}, "not symmetric"),
        ({"cov": [[1, np.nan], [np.nan, 1]]}, "missing or infinite"),
        ({"cov": [[1, 0.5, 0], [0.5, 1, 0]]}, "2 x 3"),
        ({"mean": [1, 2, 3]}, "3 means"),
        ({"n": 1}, "n = 1"),
        ({"names": ["x", "x"]}, "given twice"),
    ],
)
def test_parts_that_do_not_fit_are_refused(arguments, phrase):
    with pytest.raises(DataError, match=phrase):
        Moments(**({"names": ["x", "y"], "n": 9, "mean": None, "cov": [[1, 0.5], [0.5, 1]]} | arguments))


@pytest.mark.parametrize(
    ("change", "names", "phrase"),
    [
        ({"b": "text"}, NAMES, "b: values of type"),
        ({"b": np.inf}, NAMES, "infinite"),
        ({}, ["a", "bb"], "Did you mean 'b'"),
        ({"b": np.nan}, NAMES, "0 complete rows"),
    ],
)
def test_frames_that_cannot_be_used_are_refused(change, names, phrase):
    with pytest.raises(DataError, match=phrase):
        Moments.from_frame(frame().assign(**change), names)


def test_a_column_name_given_twice_is_refused():
    data = frame()
    data.columns = ["a", "b", "b"]
    with pytest.raises(DataError, match="2 columns of this name"):
        Moments.from_frame(data, ["a", "b"])


def test_unknown_means_cannot_be_merged():
    published = Moments(["a"], 10, None, [[1.0]])
    with pytest.raises(DataError, match="unknown means"):
        published.merge(published)


def test_moments_of_order_four_follow_their_definition() -> None:
    frame = pd.DataFrame(np.random.default_rng(4).exponential(size=(40, 3)) + 1e4, columns=["a", "b", "c"])
    z = frame.to_numpy() - frame.to_numpy().mean(axis=0)
    pairs = [(0, 0), (1, 0), (2, 0), (1, 1), (2, 1), (2, 2)]
    both = np.column_stack([z, *(z[:, i] * z[:, j] for i, j in pairs)])
    higher = Moments.from_frame(frame, higher=True).higher
    np.testing.assert_allclose(higher, np.cov(both, rowvar=False, ddof=0), rtol=1e-9, atol=1e-9)
    assert Moments.from_frame(frame).higher is None


@given(st.integers(2, 30), st.integers(0, 1000))
def test_moments_of_order_four_merge_and_restrict(cut: int, seed: int) -> None:
    frame = pd.DataFrame(np.random.default_rng(seed).gamma(2.0, size=(40, 3)) - 50.0, columns=["a", "b", "c"])
    whole = Moments.from_frame(frame, higher=True)
    first = Moments.from_frame(frame[:cut], higher=True)
    merged = first.merge(Moments.from_frame(frame[["c", "a", "b"]][cut:], higher=True))
    assert merged.higher is not None and whole.higher is not None
    np.testing.assert_allclose(merged.higher, whole.higher, rtol=1e-8, atol=1e-9 * np.abs(whole.higher).max())
    np.testing.assert_allclose(
        whole.restrict(["c", "a"]).higher, Moments.from_frame(frame, ["c", "a"], higher=True).higher, rtol=1e-9
    )
    assert first.merge(Moments.from_frame(frame[cut:])).higher is None


def test_moments_of_order_four_need_their_shape() -> None:
    with pytest.raises(DataError, match="5 x 5"):
        Moments(["a", "b"], 10, [0.0, 0.0], np.eye(2), higher=np.eye(4))


def test_higher_moments_keep_their_digits_far_from_zero():
    skewed = pd.DataFrame({"x": np.random.default_rng(0).exponential(size=301) // 2.0**-20 * 2.0**-20})
    small, large = (Moments.from_frame(skewed + shift, higher=True).higher for shift in (0.0, 2.0**32))
    np.testing.assert_allclose(large, small, rtol=1e-12)


def test_infinite_and_missing_answers_are_told_apart():
    data = frame()
    data.loc[0, "a"], data.loc[1, "b"] = np.inf, np.nan
    with pytest.raises(DataError, match="infinite"):
        Moments.from_frame(data)
    data.loc[0, "a"] = -data.loc[2, "a"]
    assert Moments.from_frame(data).n == 39


def test_columns_of_any_number_type_are_read():
    data = frame().round(2)
    data["a"] = data["a"] > 0
    wide = data.astype({"a": "boolean", "b": "Float64"})
    np.testing.assert_allclose(Moments.from_frame(wide).cov, Moments.from_frame(data.astype(float)).cov, rtol=1e-12)


def test_categories_are_not_numbers():
    with pytest.raises(DataError, match="numbers"):
        Moments.from_frame(pd.DataFrame({"a": pd.Categorical([1, 2, 3])}))
