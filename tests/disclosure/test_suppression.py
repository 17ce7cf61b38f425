"""Nothing that must be hidden follows from what is shown, by brute force over all groups of cells."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.disclosure.rows import Cells
from spc.disclosure.suppression import PRIMARY, SECONDARY, SHOWN, exposures
from spc.disclosure.suppression import suppress as suppress_cells

people = st.integers(0, 14)


def cells_of(n, member):
    return Cells(n, member, np.zeros((len(n), 0)), np.zeros(0), np.zeros(0))


def suppress(n, member, *, minimum, fixed=None):
    return suppress_cells(cells_of(n, member), minimum=minimum, known=fixed)


def exposed(n, member, shown, minimum):
    return list(exposures(cells_of(n, member), shown, np.zeros(len(member), dtype=bool), minimum))


def rows(k, *unions):
    member = np.zeros((k + len(unions), k), dtype=bool)
    member[:k] = np.eye(k, dtype=bool)
    for i, union in enumerate(unions):
        member[k + i, list(union)] = True
    return member


@st.composite
def hierarchies(draw):
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3))
    ends = np.cumsum([0, *sizes])
    regions = [range(a, b) for a, b in pairwise(ends)]
    cells = draw(st.lists(people, min_size=int(ends[-1]), max_size=int(ends[-1])))
    return np.array(cells, float), rows(len(cells), *regions, range(len(cells)))


@st.composite
def crossings(draw):
    a, b = draw(st.integers(2, 3)), draw(st.integers(2, 3))
    grid = np.arange(a * b).reshape(a, b)
    cells = draw(st.lists(people, min_size=a * b, max_size=a * b))
    return np.array(cells, float), rows(a * b, *grid, *grid.T, range(a * b))


def follow_from(cells, member, shown, minimum):
    """Every group of fewer people than the minimum whose sum is a combination of shown rows."""
    seen = member[shown].astype(float)
    rank = np.linalg.matrix_rank(seen) if len(seen) else 0
    found = []
    for bits in range(1, 2 ** len(cells)):
        group = np.array([(bits >> i) & 1 for i in range(len(cells))], float)
        if 0 < cells @ group < minimum and np.linalg.matrix_rank(np.vstack([seen, group])) == rank:
            found.append(group)
    return found


@settings(deadline=None, max_examples=80)
@given(hierarchies(), st.integers(3, 8))
def test_nothing_follows_in_a_hierarchy(table, minimum):
    cells, member = table
    status = suppress(cells, member, minimum=minimum)
    assert np.all((member @ cells >= minimum) | (status == PRIMARY))
    assert not follow_from(cells, member, status == SHOWN, minimum)


@settings(deadline=None, max_examples=60)
@given(crossings())
def test_nothing_follows_where_margins_cross(table):
    cells, member = table
    status = suppress(cells, member, minimum=5)
    assert not follow_from(cells, member, status == SHOWN, 5)


@settings(deadline=None, max_examples=60)
@given(hierarchies())
def test_the_audit_finds_what_brute_force_finds(table):
    cells, member = table
    shown = member @ cells >= 5
    assert bool(exposed(cells, member, shown, 5)) == bool(follow_from(cells, member, shown, 5))


@settings(deadline=None, max_examples=40)
@given(hierarchies(), st.randoms(use_true_random=False))
def test_order_of_cells_does_not_matter_for_what_is_too_small(table, random):
    cells, member = table
    order = list(range(len(cells)))
    random.shuffle(order)
    again = suppress(cells[order], member[:, order], minimum=5)
    assert np.array_equal(again == PRIMARY, suppress(cells, member, minimum=5) == PRIMARY)


def test_nothing_is_hidden_without_need():
    member = rows(3, range(3))
    assert not suppress(np.array([5.0, 9.0, 20.0]), member, minimum=5).any()


def test_the_next_smallest_goes_with_a_lone_small_one():
    status = suppress(np.array([3.0, 20.0, 9.0]), rows(3, range(3)), minimum=5)
    assert status.tolist() == [PRIMARY, SHOWN, SECONDARY, SHOWN]


def test_two_small_ones_that_together_are_enough_protect_each_other():
    status = suppress(np.array([3.0, 4.0, 9.0]), rows(3, range(3)), minimum=5)
    assert status.tolist() == [PRIMARY, PRIMARY, SHOWN, SHOWN]


def test_two_small_ones_that_together_are_too_few_take_a_third():
    status = suppress(np.array([2.0, 2.0, 9.0, 30.0]), rows(4, range(4)), minimum=5)
    assert status.tolist() == [PRIMARY, PRIMARY, SECONDARY, SHOWN, SHOWN]


def test_a_small_region_takes_a_sibling_region_and_its_parts_do_not_give_it_back():
    member = rows(4, [0], [1], [2, 3], range(4))
    status = suppress(np.array([3.0, 8.0, 9.0, 12.0]), member, minimum=5)
    assert not follow_from(np.array([3.0, 8.0, 9.0, 12.0]), member, status == SHOWN, 5)
    assert status[4] == PRIMARY


def test_fixed_rows_stay_and_are_worked_around():
    member = rows(3, range(3))
    fixed = np.array([False, True, False, True])
    status = suppress(np.array([3.0, 6.0, 20.0]), member, minimum=5, fixed=fixed)
    assert status.tolist() == [PRIMARY, SHOWN, SECONDARY, SHOWN]


def test_an_unknown_count_is_too_few():
    assert suppress(np.array([np.nan, 9.0]), np.eye(2, dtype=bool), minimum=5)[0] == PRIMARY


@pytest.mark.parametrize("n", [1, 300])
def test_many_groups(n):
    rng = np.random.default_rng(n)
    cells = rng.integers(1, 40, size=n).astype(float)
    member = rows(n, range(n))
    status = suppress(cells, member, minimum=5)
    assert not exposed(cells, member, status == SHOWN, 5)
