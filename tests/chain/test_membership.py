from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.chain.membership import assignment_weights, wave_period
from spc.errors import DataError, UsageError

YEAR = date(2026, 1, 1), date(2026, 12, 31)


def table(*rows, columns=("customer", "unit", "from", "to", "weight")):
    return pd.DataFrame(list(rows), columns=list(columns))


def shares(weights):
    return {(row.customer, getattr(row, weights.target)): row.weight for row in weights.table().itertuples()}


def test_days_in_common_with_the_period_are_counted_by_hand():
    """100 days in Oslo from 1 January (the first ten of them before the period), 265 in Rome."""
    rows = table(
        ("C1", "Oslo", "2025-12-22", "2026-04-10", 1),
        ("C1", "Rome", "2026-04-11", None, 1),
        ("C2", "Rome", None, None, 1),
        ("C3", "Rome", "2024-01-01", "2025-12-31", 1),
    )
    found = assignment_weights(rows, period=YEAR)
    assert shares(found) == pytest.approx({("C1", "Oslo"): 100 / 365, ("C1", "Rome"): 265 / 365, ("C2", "Rome"): 1.0})
    assert found.served.tolist() == [True, True, False]
    assert "1 of 3 customers" in next(note.text for note in found.notes() if note.code == "unserved_customers")


def test_both_ends_of_an_assignment_count():
    rows = table(("C1", "Oslo", "2026-03-01", "2026-03-01", 1), ("C1", "Rome", "2026-03-02", "2026-03-04", 1))
    assert shares(assignment_weights(rows)) == pytest.approx({("C1", "Oslo"): 0.25, ("C1", "Rome"): 0.75})
    day = date(2026, 3, 2)
    assert shares(assignment_weights(rows, period=(day, day))) == {("C1", "Rome"): 1.0}


def test_contacts_weigh_days():
    rows = table(("C1", "Oslo", None, None, 3), ("C1", "Rome", None, None, 1), ("C1", "Bari", None, None, 0))
    assert shares(assignment_weights(rows)) == pytest.approx({("C1", "Oslo"): 0.75, ("C1", "Rome"): 0.25})


def test_without_dates_and_weights_all_count_alike():
    rows = table(("C1", "A"), ("C1", "B"), ("C1", "C"), ("C1", "C"), columns=("customer", "unit"))
    assert shares(assignment_weights(rows)) == pytest.approx({("C1", k): 1 / 3 for k in "ABC"})


def test_days_that_two_rows_name_count_once():
    """Oslo: 1-20 January from three rows that overlap; Rome: 21-30."""
    rows = table(
        ("C1", "Oslo", "2026-01-01", "2026-01-15", 1),
        ("C1", "Oslo", "2026-01-03", "2026-01-05", 1),
        ("C1", "Oslo", "2026-01-10", "2026-01-20", 1),
        ("C1", "Rome", "2026-01-21", "2026-01-30", 1),
    )
    assert shares(assignment_weights(rows)) == pytest.approx({("C1", "Oslo"): 2 / 3, ("C1", "Rome"): 1 / 3})


def test_open_ends_reach_to_the_ends_of_the_table():
    rows = table(
        ("C1", "Oslo", None, "2026-01-10", 1),
        ("C1", "Rome", "2026-01-11", None, 1),
        ("C2", "Rome", "2026-01-01", "2026-01-20", 1),
    )
    assert shares(assignment_weights(rows))["C1", "Oslo"] == pytest.approx(0.5)


def test_employees_stand_for_their_units():
    rows = table(
        ("C1", "E1", None), ("C1", "E2", None), ("C1", "E3", None), ("C1", "E9", None), ("C2", "E9", "Rome"),
        columns=("customer", "respondent", "unit"),
    )  # fmt: skip
    staff = pd.DataFrame(
        {"respondent": ["E1", "E2", "E3", "E3", "E1"], "unit": ["Oslo", "Oslo", "Oslo", "Rome", "Oslo"]}
    )
    found = assignment_weights(rows, employees=staff)
    assert shares(found) == pytest.approx({("C1", "Oslo"): 2.5 / 3, ("C1", "Rome"): 0.5 / 3, ("C2", "Rome"): 1.0})
    assert "1 of 6" in next(note.text for note in found.notes() if note.code == "no_target")
    people = assignment_weights(rows, target="respondent")
    assert people.targets == ("E1", "E2", "E3", "E9")
    assert shares(people)["C1", "E9"] == pytest.approx(0.25)


def test_the_majority_is_the_largest_share():
    rows = table(("C1", "A", None, None, 1), ("C1", "B", None, None, 2), ("C2", "A", None, None, 1))
    assert assignment_weights(rows).majority().to_dict() == {"C1": "B", "C2": "A"}


def test_rows_of_respondents_repeat_their_customer_and_fall_back_on_their_own_unit():
    rows = table(("C1", "A", None, None, 1), ("C1", "B", None, None, 3))
    found = assignment_weights(rows, customers=["C1", "C2"])
    matrix = found.rows(["C1", "C9", "C1", "C2"], {"A": 0, "B": 1, "C": 2}, ["A", "C", "A", "B"])
    np.testing.assert_allclose(matrix.toarray(), [[0.25, 0.75, 0], [0, 0, 1], [0.25, 0.75, 0], [0, 1, 0]])
    assert found.of(["C2", "C9"]) == frozenset()
    assert found.of(["C1"]) == {"A", "B"}


days = st.integers(0, 700).map(lambda n: date(2025, 1, 1) + timedelta(days=n))
rows_of = st.lists(
    st.tuples(st.sampled_from(["C1", "C2", "C3"]), st.sampled_from(["A", "B", "C", "D"]), days, st.integers(0, 400),
              st.floats(0.01, 10)),
    min_size=1, max_size=25,
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(rows_of, days, st.integers(0, 500))
def test_shares_add_up_and_follow_the_days_one_by_one(rows, first, length):
    rows = table(*[(c, u, start, start + timedelta(days=n), w) for c, u, start, n, w in rows])
    period = first, first + timedelta(days=length)
    expected = {}
    for customer, unit, start, end, weight in set(rows.itertuples(index=False, name=None)):
        for n in range(length + 1):
            day = first + timedelta(days=n)
            if start <= day <= end:
                expected.setdefault((customer, unit), set()).add((day, weight))
    amounts = {key: sum(weight for _, weight in found) for key, found in expected.items()}
    if not amounts:
        with pytest.raises(DataError, match="serves"):
            assignment_weights(rows, period=period)
        return
    found = assignment_weights(rows, period=period)
    total = {customer: sum(a for (c, _), a in amounts.items() if c == customer) for customer, _ in amounts}
    assert shares(found) == pytest.approx({key: a / total[key[0]] for key, a in amounts.items()})
    sums = found.weights.sum(axis=1)
    np.testing.assert_allclose(sums[found.served], 1.0)
    assert (sums[~found.served] == 0.0).all()


@settings(deadline=None, max_examples=30)
@given(rows_of, st.randoms())
def test_the_order_of_rows_and_the_unit_of_weights_change_nothing(rows, random):
    rows = table(*[(c, u, start, start + timedelta(days=n), w) for c, u, start, n, w in rows])
    mixed = rows.sample(frac=1, random_state=random.randint(0, 99)).assign(weight=lambda t: 7 * t["weight"])
    one, other = assignment_weights(rows), assignment_weights(mixed)
    assert one.targets == other.targets
    assert shares(one) == pytest.approx(shares(other))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (table(("C1", "A"), columns=("customer", "place")), "unit"),
        (table(("C1", "A", "2026-02-01", "2026-01-01", 1)), "to is before from"),
        (table(("C1", "A", "soon", None, 1)), "soon"),
        (table(("C1", "A", None, None, -1)), "without a weight of zero or more"),
        (table(("C1", "A", None, None, None)), "leave it out for equal shares"),
        (table(("C1", "A", "2020-01-01", "2020-12-31", 1)), "2026-01-01 to 2026-12-31"),
        (table(("C1", None, None, None, 1)), "no unit that serves"),
    ],
)
def test_what_is_wrong_is_said(rows, message):
    with pytest.raises(DataError, match=message):
        assignment_weights(rows, period=YEAR)


def test_a_period_that_ends_before_it_begins_and_an_unknown_target():
    rows = table(("C1", "A", None, None, 1))
    with pytest.raises(UsageError):
        assignment_weights(rows, period=YEAR[::-1])
    with pytest.raises(UsageError, match="respondent"):
        assignment_weights(rows, target="team")


@pytest.mark.parametrize(
    ("wave", "period"),
    [
        (2026, YEAR),
        (2026.0, YEAR),
        ("2024Q1", (date(2024, 1, 1), date(2024, 3, 31))),
        ("2024-Q4", (date(2024, 10, 1), date(2024, 12, 31))),
        ("2024H2", (date(2024, 7, 1), date(2024, 12, 31))),
        ("2024-02", (date(2024, 2, 1), date(2024, 2, 29))),
        ("2024-02-29", (date(2024, 2, 29), date(2024, 2, 29))),
        ("2024-02-30", None),
        ("2024Q5", None),
        (3, None),
        ("spring", None),
    ],
)
def test_waves_that_are_times(wave, period):
    assert wave_period(wave) == period
