from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spc.errors import DataError, UsageError
from spc.survey import ad_index, agreement, null_distribution, null_variance, rwg
from spc.survey.agreement import NULLS

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "survey_aggregation.json").read_text())
SMALL = REFERENCE["small"]
ITEMS = pd.DataFrame(SMALL["rows"], columns=["i1", "i2", "i3", "i4"], dtype=float).assign(i4=lambda d: 8 - d["i4"])
UNIT = pd.Series(SMALL["unit"])


def expected(values):
    return np.array(values, dtype=float)


@pytest.mark.parametrize("null", NULLS)
def test_rwg_j_is_multilevels(null):
    ours = rwg(ITEMS, UNIT, points=7, null=null)
    np.testing.assert_allclose(ours, expected(SMALL["rwgj"][null.split("_")[0]]), atol=1e-11)


def test_rwg_of_one_item_and_deviations_are_multilevels():
    np.testing.assert_allclose(rwg(ITEMS[["i1"]], UNIT, points=7), expected(SMALL["rwg_i1"]), atol=1e-11)
    np.testing.assert_allclose(ad_index(ITEMS, UNIT), expected(SMALL["ad_mean"]), atol=1e-11)
    np.testing.assert_allclose(ad_index(ITEMS, UNIT, centre="median"), expected(SMALL["ad_median"]), atol=1e-11)


def test_the_table_holds_the_single_functions():
    table = agreement(ITEMS, UNIT, points=7)
    assert table["n"].tolist() == SMALL["gsize"]
    for null in NULLS:
        np.testing.assert_array_equal(table[f"rwg_{null}"], rwg(ITEMS, UNIT, points=7, null=null))
    np.testing.assert_array_equal(table["ad"], ad_index(ITEMS, UNIT))


@pytest.mark.parametrize("null", ["uniform", "slight"])
def test_rwg_j_of_the_large_study(null):
    study = REFERENCE["large"]["lq2002"]
    variance, sigma = expected(study["mean_item_variance"]), {"uniform": 2.0, "slight": 1.34}[null]
    from spc.survey.agreement import _rwg_j

    np.testing.assert_allclose(_rwg_j(variance, 11, sigma), expected(study[f"rwgj_{null}"]), atol=1e-11)


@pytest.mark.parametrize("points", [2, 3, 4, 5, 7, 10, 11, 101])
def test_nulls_are_distributions_that_lean_further(points):
    means = []
    for null in NULLS:
        shares = null_distribution(null, points)
        assert shares.shape == (points,)
        assert (shares >= 0).all()
        assert shares.sum() == pytest.approx(1)
        means.append(shares @ np.arange(points))
    assert means == sorted(means)
    variances = [null_variance(null, points) for null in NULLS]
    assert variances == sorted(variances, reverse=True)


@pytest.mark.parametrize(("points", "value"), [(2, 0.25), (5, 2.0), (7, 4.0), (10, 8.25)])
def test_the_uniform_null_by_formula_and_by_distribution(points, value):
    assert null_variance("uniform", points) == value
    shares, answers = null_distribution("uniform", points), np.arange(points)
    assert shares @ answers**2 - (shares @ answers) ** 2 == pytest.approx(value)


@pytest.mark.parametrize(("null", "value"), [("slight_skew", 1.34), ("moderate_skew", 0.90), ("heavy_skew", 0.44)])
def test_on_five_points_the_distribution_gives_the_published_variance(null, value):
    shares, answers = null_distribution(null, 5), np.arange(5)
    assert shares @ answers**2 - (shares @ answers) ** 2 == pytest.approx(value)
    assert null_variance(null, 5) == value


def test_the_published_values_on_seven_points():
    assert [null_variance(null, 7) for null in NULLS] == [4.0, 2.90, 2.14, 1.39]


@pytest.mark.parametrize("points", [1, 0, 2.5])
def test_a_scale_without_points_is_refused(points):
    with pytest.raises(UsageError, match="points"):
        null_variance("uniform", points)


def test_unknown_words_name_the_known_ones():
    with pytest.raises(UsageError, match="slight_skew"):
        null_variance("slight", 5)
    with pytest.raises(UsageError, match="median"):
        ad_index(ITEMS, UNIT, centre="mode")


def test_full_agreement_is_one_and_more_than_the_null_is_zero():
    items = pd.DataFrame({"a": [3, 3, 1, 5], "b": [4, 4, 5, 1]})
    found = rwg(items, pd.Series(["same", "same", "split", "split"]), points=5)
    assert found.to_dict() == {"same": 1.0, "split": 0.0}


def test_units_of_one_and_units_without_answers_stay_as_missing():
    items = pd.DataFrame({"a": [3, 4, 4, np.nan, 2]})
    found = rwg(items, pd.Series(["x", "y", "y", "z", None]), points=5)
    assert found.index.tolist() == ["x", "y", "z"]
    assert found.isna().tolist() == [True, False, True]


@given(st.randoms(use_true_random=False))
def test_row_order_does_not_matter(random):
    order = list(range(len(ITEMS)))
    random.shuffle(order)
    shuffled = agreement(ITEMS.iloc[order], UNIT.iloc[order], points=7)
    pd.testing.assert_frame_equal(shuffled, agreement(ITEMS, UNIT, points=7), rtol=1e-12)


def test_shapes_that_do_not_match_are_refused():
    with pytest.raises(DataError, match="one unit a person"):
        rwg(ITEMS, UNIT.iloc[:5], points=7)
    with pytest.raises(DataError, match="at least one item"):
        rwg(ITEMS[[]], UNIT, points=7)
