from __future__ import annotations

from itertools import combinations

import pytest

from spc.errors import SpecError, UsageError
from spc.spec import CHAIN_CONSTRUCTS, CHAIN_LINKS, DIRECT_LINKS, chain_preset, model


def links(text: str) -> set[tuple[str, str]]:
    return {(row.rhs, row.lhs) for row in model(text).parameters if row.op == "~"}


def reachable(pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    closed = set(pairs)
    while more := {(a, d) for a, b in closed for c, d in closed if b == c} - closed:
        closed |= more
    return closed


def test_the_whole_chain():
    assert links(chain_preset(CHAIN_CONSTRUCTS)) == set(CHAIN_LINKS)


def test_one_line_an_outcome_upstream_first():
    assert chain_preset(CHAIN_CONSTRUCTS).splitlines()[3:6] == [
        "employee_productivity ~ employee_satisfaction",
        "customer_value ~ employee_loyalty + employee_productivity",
        "customer_satisfaction ~ customer_value",
    ]


def test_customers_only():
    assert links(chain_preset(["customer_loyalty", "customer_value", "customer_satisfaction"])) == {
        ("customer_value", "customer_satisfaction"),
        ("customer_satisfaction", "customer_loyalty"),
    }


def test_both_middle_links_absent_are_bridged_once():
    assert links(chain_preset(["employee_satisfaction", "customer_value"])) == {
        ("employee_satisfaction", "customer_value")
    }


def test_ends_far_apart_are_bridged():
    assert links(chain_preset({"leadership", "profitability", "revenue_growth"})) == {
        ("leadership", "profitability"),
        ("leadership", "revenue_growth"),
    }


@pytest.mark.parametrize("size", [2, 3, 7])
def test_bridging_keeps_who_leads_to_whom(size):
    upstream = reachable(set(CHAIN_LINKS))
    for chosen in combinations(CHAIN_CONSTRUCTS, size):
        expected = {(a, b) for a, b in upstream if a in chosen and b in chosen}
        if expected:
            assert reachable(links(chain_preset(chosen))) == expected


@pytest.mark.parametrize("size", [2, 4, 10])
def test_direct_links_stand_beside_the_attitudes(size):
    for chosen in combinations(CHAIN_CONSTRUCTS, size):
        own = {link for link in DIRECT_LINKS if set(link) <= set(chosen)}
        if own:
            assert links(chain_preset(chosen, direct=True)) == links(chain_preset(chosen)) | own


def test_direct_links_run_downstream():
    order = CHAIN_CONSTRUCTS.index
    assert all(order(cause) < order(effect) for cause, effect in DIRECT_LINKS)
    assert not set(DIRECT_LINKS) & set(CHAIN_LINKS)


@pytest.mark.parametrize("constructs", [[], ["leadership"], ["revenue_growth", "profitability"]])
def test_fewer_than_two_linked_constructs_are_refused(constructs):
    with pytest.raises(SpecError, match="expected at least two out of leadership"):
        chain_preset(constructs)


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(SpecError, match=r"did you mean 'employee_satisfaction'\?.*profitability"):
        chain_preset(["employee_satisfacton", "customer_loyalty"])


def test_a_single_text_is_refused():
    with pytest.raises(UsageError, match="list of construct names"):
        chain_preset("leadership")
