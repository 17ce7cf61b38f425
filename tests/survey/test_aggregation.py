from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.errors import DataError, UsageError
from spc.results import TIDY_COLUMNS, Result
from spc.survey import Construct, aggregation, score

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "survey_aggregation.json").read_text())
SMALL = REFERENCE["small"]
VALUE = Construct("value", ["i1", "i2", "i3", "i4"], 1, 7, reverse=["i4"])
PEOPLE = pd.DataFrame(SMALL["rows"], columns=["i1", "i2", "i3", "i4"], dtype=float).assign(branch=SMALL["unit"])


def numbers(found, construct="value"):
    tidy = found.tidy()
    rows = tidy[tidy["lhs"] == construct]
    return {(row.kind, row.rhs): row.estimate for row in rows.itertuples()}


def codes(found):
    return {note.code for note in found.notes()}


def firm(seed=0, units=30, size=10, icc=0.2, noise=0.0):
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(units), size)
    score_ = np.sqrt(icc) * rng.standard_normal(units)[unit] + np.sqrt(1 - icc) * rng.standard_normal(unit.size)
    return pd.DataFrame({"unit": unit, "q": score_ + noise})


def test_intraclass_is_multilevels_and_lme4s():
    found, theirs = numbers(aggregation(PEOPLE, unit="branch", scales={"value": VALUE})), SMALL["intraclass"]
    assert found["icc1_anova", ""] == pytest.approx(theirs["icc1"], abs=1e-10)
    assert found["icc2_anova", ""] == pytest.approx(theirs["icc2"], abs=1e-10)
    assert found["F", ""] == pytest.approx(theirs["F"], abs=1e-8)
    share = theirs["reml_between"] / (theirs["reml_between"] + theirs["reml_within"])
    assert found["icc1_reml", ""] == pytest.approx(share, abs=1e-6)
    size = theirs["n"] / theirs["units"]
    assert found["icc2_reml", ""] == pytest.approx(size * share / (1 + (size - 1) * share), abs=1e-6)


def test_agreement_is_summed_up_over_units():
    found = numbers(aggregation(PEOPLE, unit="branch", scales=[VALUE]))
    for null in ("uniform", "slight", "moderate", "heavy"):
        units = np.array(SMALL["rwgj"][null], dtype=float)
        units = units[~np.isnan(units)]
        kind = "rwg_uniform" if null == "uniform" else f"rwg_{null}_skew"
        assert found[kind, "median"] == pytest.approx(np.median(units))
        assert found[kind, "mean"] == pytest.approx(units.mean())
        assert found[kind, "share_70"] == pytest.approx((units >= 0.7).mean())
    assert found["ad", "mean"] == pytest.approx(np.nanmean(np.array(SMALL["ad_mean"], dtype=float)))


def test_unit_means_by_pandas():
    table = aggregation(PEOPLE, unit="branch", scales=[VALUE]).unit_table().set_index("unit")
    grouped = score(PEOPLE, VALUE).groupby(PEOPLE["branch"])
    np.testing.assert_allclose(table["mean"], grouped.mean())
    np.testing.assert_allclose(table["sd"], grouped.std())
    assert table["n"].tolist() == grouped.count().tolist()
    np.testing.assert_allclose(table["rwg_uniform"], np.array(SMALL["rwgj"]["uniform"], dtype=float))


def test_each_unit_has_the_reliability_of_its_own_size():
    found = aggregation(PEOPLE, unit="branch", scales=[VALUE])
    share = numbers(found)["icc1_reml", ""]
    table = found.unit_table()
    np.testing.assert_allclose(table["reliability"], table["n"] * share / (1 + (table["n"] - 1) * share))
    mean = found.scores["value"].reml.mean
    assert mean == pytest.approx(SMALL["intraclass"]["reml_mean"], abs=1e-6)
    np.testing.assert_allclose(table["shrunken_mean"] - mean, table["reliability"] * (table["mean"] - mean))


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False))
def test_rows_and_names_of_units_do_not_matter(random):
    order, names = list(range(len(PEOPLE))), list(range(1, 41))
    random.shuffle(order)
    random.shuffle(names)
    other = PEOPLE.iloc[order].assign(branch=lambda d: [f"u{names[u - 1]}" for u in d["branch"]])
    first, second = (aggregation(data, unit="branch", scales=[VALUE]) for data in (PEOPLE, other))
    pd.testing.assert_frame_equal(first.tidy(), second.tidy(), rtol=1e-6, atol=1e-9)


def test_items_on_another_scale_change_nothing_but_units():
    other = PEOPLE.assign(**{item: PEOPLE[item] * 10 + 5 for item in VALUE.items})
    stretched = Construct("value", VALUE.items, 15, 75, reverse=["i4"])
    first = numbers(aggregation(PEOPLE, unit="branch", scales=[VALUE]))
    second = numbers(aggregation(other, unit="branch", scales=[stretched]))
    for kind in ("icc1_anova", "icc2_anova", "icc1_reml", "F"):
        assert second[kind, ""] == pytest.approx(first[kind, ""], rel=1e-6)


@pytest.mark.parametrize(
    "ids", [["a", 1, 2.5], [("x", 1), ("x", 2), ("y", 1)], pd.to_datetime(["2026-01-01"] * 3).tolist()]
)
def test_unit_identifiers_of_any_type(ids):
    data = pd.DataFrame({"unit": pd.Series([ids[i % 3] for i in range(12)], dtype=object), "q": np.arange(12.0)})
    assert aggregation(data, unit="unit", scales=[Construct("c", ["q"])]).unit_table()["n"].sum() == 12


def test_missing_scores_and_units_are_left_out_and_counted():
    data = firm().astype({"unit": object})
    data.loc[:4, "q"] = np.nan
    data.loc[20:22, "unit"] = None
    found = aggregation(data, unit="unit", scales=[Construct("c", ["q"])])
    scores = found.scores["c"]
    assert (scores.n, scores.unscored, scores.unplaced) == (300 - 5 - 3, 5, 3)
    assert {"unscored_people", "people_without_unit"} <= codes(found)
    complete = data.dropna()
    again = aggregation(complete, unit="unit", scales=[Construct("c", ["q"])])
    pd.testing.assert_frame_equal(found.tidy(), again.tidy())


def test_no_differences_are_said_and_a_negative_share_is_kept():
    data = pd.DataFrame({"unit": np.repeat(np.arange(12), 3), "q": np.tile([1.0, 2.0, 3.1], 12)})
    data["q"] += np.linspace(0, 0.01, 36)
    found = aggregation(data, unit="unit", scales=[Construct("c", ["q"], label="Value for money")])
    assert numbers(found, "c")["icc1_anova", ""] < 0
    words = found.verdict("c")
    assert words.startswith("Value for money: no differences between units were found (ICC(1) −0.")
    assert "negative" in words
    assert found.unit_table()["reliability"].eq(0).all()
    np.testing.assert_allclose(found.unit_table()["shrunken_mean"], data["q"].mean())


@pytest.mark.parametrize(
    ("icc", "size", "words"),
    [
        (0.02, 200, "for comparing units"),
        (0.15, 8, "groups of units, not for ranking single units"),
        (0.10, 4, "too unreliable"),
        (0.50, 30, "tell single units apart"),
    ],
)
def test_verdicts_follow_the_bars(icc, size, words):
    found = aggregation(firm(1, 200, size, icc), unit="unit", scales=[Construct("c", ["q"])])
    assert words in found.verdict("c")
    assert f"with {size} answers a unit" in found.verdict("c")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pd.DataFrame({"unit": [1, 1, 1], "q": [1.0, 2, 3]}), "only one unit"),
        (pd.DataFrame({"unit": [1, 2, 3], "q": [1.0, 2, 3]}), "a single respondent"),
        (pd.DataFrame({"unit": [1, 1, 2, 2], "q": [2.0, 2, 2, 2]}), "the same score"),
        (pd.DataFrame({"unit": [1, 2], "q": [np.nan, np.nan]}), "nobody has both"),
        (pd.DataFrame({"unit": [], "q": []}), "nobody has both"),
        (pd.DataFrame({"unit": [None, None], "q": [1.0, 2.0]}), "nobody has both"),
    ],
)
def test_nothing_to_compare_is_missing_with_a_reason(data, words):
    found = aggregation(data, unit="unit", scales=[Construct("c", ["q"], 1, 5)])
    assert words in found.verdict("c")
    assert found.tidy().query("kind.str.startswith('icc') or kind == 'F'")["estimate"].isna().all()
    assert len(found.glance()) == 1
    assert found.unit_table()["n"].sum() == found.scores["c"].n


def test_units_that_agree_entirely():
    data = pd.DataFrame({"unit": np.repeat(np.arange(12), 3), "q": np.repeat(np.arange(12), 3) % 5 + 1})
    found = aggregation(data, unit="unit", scales=[Construct("c", ["q"], 1, 5)])
    assert numbers(found, "c")["icc1_anova", ""] == numbers(found, "c")["icc1_reml", ""] == 1.0
    assert numbers(found, "c")["rwg_heavy_skew", "mean"] == 1.0
    assert found.unit_table()["reliability"].eq(1).all()


def test_quantities_have_no_agreement_and_half_steps_say_why():
    assert not any(
        kind.startswith("rwg")
        for kind, _ in numbers(aggregation(firm(), unit="unit", scales=[Construct("value", ["q"])]))
    )
    data = firm().assign(q=lambda d: d["q"].clip(-1, 1.5))
    assert "no_rwg" in codes(aggregation(data, unit="unit", scales=[Construct("c", ["q"], -1, 1.5)]))


def test_few_units_and_single_respondents_are_noted():
    found = aggregation(PEOPLE, unit="branch", scales=[VALUE])
    assert "2 of 40 units have one respondent" in " ".join(note.text for note in found.notes())
    assert "Out of range, and so set to 0 by convention, for 1 of 38 units" in found.agreement_in_words("value")
    assert "few_units" in codes(aggregation(firm(0, 5), unit="unit", scales=[Construct("c", ["q"])]))


def test_user_mistakes_are_our_errors():
    data = firm()
    construct = Construct("c", ["q"])
    with pytest.raises(DataError, match="Did you mean 'unit'"):
        aggregation(data, unit="units", scales=[construct])
    with pytest.raises(UsageError, match="scales is empty"):
        aggregation(data, unit="unit", scales={})
    with pytest.raises(UsageError, match="level"):
        aggregation(data, unit="unit", scales=[construct], level=1.0)
    with pytest.raises(DataError) as caught:
        aggregation(data, unit="unit", scales=[Construct("a", ["x"]), Construct("b", ["y"])])
    assert [finding.column for finding in caught.value.findings] == ["x", "y"]
    with pytest.raises(UsageError, match="Did you mean 'value'"):
        aggregation(PEOPLE, unit="branch", scales=[VALUE]).verdict("valu")


def test_the_result_answers_the_protocol_and_spares_the_data():
    before = PEOPLE.copy(deep=True)
    found = aggregation(PEOPLE, unit="branch", scales={"value": VALUE, "first": Construct("first", ["i1"], 1, 7)})
    assert isinstance(found, Result)
    assert found.kind == "aggregation"
    assert tuple(found.tidy().columns) == TIDY_COLUMNS
    assert set(found.tidy()["lhs"]) == {"value", "first"}
    pd.testing.assert_frame_equal(found.augment(), found.unit_table())
    pd.testing.assert_frame_equal(PEOPLE, before)
