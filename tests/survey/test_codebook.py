from __future__ import annotations

import dataclasses

import pytest

from spc.errors import DataError, UsageError
from spc.survey import Codebook, Construct


def rules(**given):
    with pytest.raises(DataError) as caught:
        Construct(**{"name": "value", "items": ["v1", "v2", "v3"], "low": 1, "high": 7, **given})
    return [finding.rule for finding in caught.value.findings]


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"items": []}, "no_items"),
        ({"items": "v1"}, "not_a_list"),
        ({"items": ["v1", 2]}, "not_text"),
        ({"items": ["v1", "v1"]}, "duplicate_item"),
        ({"reverse": ["v9"]}, "reverse_unknown"),
        ({"reverse": "v1"}, "not_a_list"),
        ({"low": None, "high": None, "reverse": ["v1"]}, "reverse_without_scale"),
        ({"low": None}, "scale_ends"),
        ({"high": float("inf")}, "scale_ends"),
        ({"low": "1"}, "scale_ends"),
        ({"low": True}, "scale_ends"),
        ({"low": 7, "high": 1}, "scale_order"),
        ({"low": 3, "high": 3}, "scale_order"),
        ({"minimum_share": 0}, "minimum_share"),
        ({"minimum_share": 1.2}, "minimum_share"),
        ({"minimum_share": "half"}, "minimum_share"),
        ({"minimum_share": float("nan")}, "minimum_share"),
        ({"name": " "}, "no_name"),
        ({"facets": {"one": ["v1", "v2", "v3"]}}, "facets"),
        ({"facets": {"one": ["v1"], "two": ["v2"]}}, "facets"),
        ({"facets": {"one": ["v1", "v2"], "two": ["v2", "v3"]}}, "facets"),
        ({"facets": {"one": ["v1", "v2"], "two": ["v3", "v9"]}}, "facets"),
        ({"facets": {"v1": ["v1", "v2"], "two": ["v3"]}}, "facets"),
        ({"facets": {"one": "v1", "two": ["v2", "v3"]}}, "facets"),
        ({"facets": ["v1", "v2"]}, "facets"),
    ],
)
def test_each_contradiction_is_named(given, rule):
    assert rule in rules(**given)


def test_all_contradictions_come_at_once():
    assert set(rules(reverse=["v9"], low=7, high=1, minimum_share=2)) == {
        "reverse_unknown",
        "scale_order",
        "minimum_share",
    }


def test_unknown_reverse_item_gets_the_nearest_name():
    with pytest.raises(DataError, match="Did you mean 'satis_2'"):
        Construct("value", ["satis_1", "satis_2"], 1, 5, reverse=["satis2"])


@pytest.mark.parametrize(
    ("k", "share", "needed"),
    [(1, 0.5, 1), (2, 0.5, 1), (3, 0.5, 2), (4, 0.5, 2), (3, 1, 3), (10, 0.7, 7), (3, 0.01, 1)],
)
def test_needed_items(k, share, needed):
    assert Construct("c", [f"i{i}" for i in range(k)], minimum_share=share).needed == needed


@pytest.mark.parametrize(
    ("low", "high", "points"), [(1, 7, 7), (0, 10, 11), (0, 1, 2), (0, 2.5, None), (None, None, None)]
)
def test_points(low, high, points):
    assert Construct("c", ["i"], low, high).points == points


def test_construct_is_frozen_and_holds_tuples():
    construct = Construct("c", ["i", "j"], 1, 5, reverse=["j"])
    assert construct.items == ("i", "j")
    assert construct.reverse == ("j",)
    with pytest.raises(dataclasses.FrozenInstanceError):
        construct.low = 2
    assert hash(construct) == hash(Construct("c", ("i", "j"), 1, 5, ("j",)))


def test_codebook_finds_by_name_and_offers_the_nearest():
    book = Codebook([Construct("employee_satisfaction", ["a"]), Construct("revenue", ["b"])])
    assert [c.name for c in book] == ["employee_satisfaction", "revenue"]
    with pytest.raises(UsageError, match="Did you mean 'employee_satisfaction'"):
        book["employe_satisfaction"]


def test_codebook_refuses_two_of_one_name():
    with pytest.raises(DataError, match="two constructs of this name"):
        Codebook([Construct("a", ["x"]), Construct("a", ["y"])])


def test_codebook_table_says_scale_and_rule():
    row = Codebook([Construct("value", ["v1", "v2", "v3"], 1, 5, reverse=["v3"], table="customers")]).table().iloc[0]
    assert row[["label", "items", "reversed", "scale", "score"]].tolist() == [
        "Value",
        "v1, v2, v3",
        "v3",
        "1 to 5",
        "2 of 3 answered",
    ]


def test_a_facet_is_scored_as_its_construct_is():
    service = Construct(
        "service", ["q1", "q2", "q3"], 1, 7, reverse=["q3"], facets={"tools": ["q1"], "pay": ["q2", "q3"]}
    )
    pay = service.part("pay", dict(service.facets)["pay"])
    assert (pay.items, pay.reverse, pay.low, pay.high, pay.facets) == (("q2", "q3"), ("q3",), 1, 7, ())
