"""Waves of constructs, and chains that run in a circle."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spc.errors import DataError
from spc.study import Lag, wave_offsets
from spc.study.lags import circle


def test_links_without_lag_share_a_wave():
    assert wave_offsets({"b": ["a"], "c": ["b"]}, []) == {"a": 0, "b": 0, "c": 0}


def test_lags_add_up_along_the_chain():
    lags = [Lag("a", "b", 1), Lag("b", "c", 2)]
    assert wave_offsets({"b": ["a"], "c": ["b"]}, lags) == {"a": 3, "b": 2, "c": 0}


def test_two_ways_of_one_length_agree():
    links = {"b": ["a"], "c": ["a", "b"]}
    assert wave_offsets(links, [Lag("a", "b", 1), Lag("a", "c", 1)]) == {"a": 1, "b": 0, "c": 0}


def test_two_ways_of_different_length_contradict():
    with pytest.raises(DataError, match="against another way"):
        wave_offsets({"b": ["a"], "c": ["a", "b"]}, [Lag("a", "b", 1)])


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_offsets_are_sums_of_the_lags_behind(waves):
    names = [f"c{i}" for i in range(len(waves) + 1)]
    links = {names[i + 1]: [names[i]] for i in range(len(waves))}
    offsets = wave_offsets(links, [Lag(names[i], names[i + 1], w) for i, w in enumerate(waves)])
    assert [offsets[n] for n in names] == [sum(waves[i:]) for i in range(len(names))]


@given(st.permutations("abcdef"), st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_links_down_an_order_have_no_circle_and_one_back_link_makes_one(order, pairs):
    down = {(i, j) for i, j in pairs if i < j}
    links: dict[str, list[str]] = {}
    for i, j in down:
        links.setdefault(order[j], []).append(order[i])
    assert circle(links) == ()
    if down:
        i, j = min(down)
        links.setdefault(order[i], []).append(order[j])
        path = circle(links)
        assert path[0] == path[-1]
        assert all(cause in links[effect] for cause, effect in pairwise(path))


def test_a_construct_that_causes_itself_is_a_circle():
    assert circle({"a": ["a"]}) == ("a", "a")
