import datetime

import numpy as np
import pandas as pd
import pytest

from spc.economics import estimate_retention, loyalty_value, tenure_between
from spc.errors import DataError, UsageError


def between(start, end, until, period="year"):
    found = tenure_between(pd.Series([start]), pd.Series([end]), until=until, period=period)
    return found["tenure"].item(), bool(found["churned"].item())


@pytest.mark.parametrize(
    ("start", "end", "until", "period", "expected"),
    [
        ("2021-01-01", None, "2023-12-31", "year", (3, False)),  # three whole years without a leap day among them
        ("2021-01-01", None, "2023-12-30", "year", (2, False)),
        ("2021-01-01", "2021-12-31", "2023-12-31", "year", (1, True)),  # left with the first year
        ("2021-01-01", "2022-01-01", "2023-12-31", "year", (1, True)),  # entered as left on the anniversary
        ("2021-01-01", "2022-01-02", "2023-12-31", "year", (2, True)),
        ("2021-01-01", "2021-01-01", "2023-12-31", "year", (1, True)),  # the very first day
        ("2023-06-01", "2023-08-01", "2023-12-31", "year", (0, False)),  # the year is not over: nothing known yet
        ("2021-01-15", "2021-03-20", "2021-06-30", "month", (3, True)),
        ("2021-01-15", None, "2021-06-30", "quarter", (1, False)),
        ("2021-01-04", None, "2021-01-24", "week", (3, False)),
        ("2021-01-04", "2021-01-06", "2021-01-24", "day", (2, True)),
        ("2021-01-01", "2024-05-01", "2023-12-31", "year", (3, False)),  # leaves after the ledger ends
    ],
)
def test_whole_periods(start, end, until, period, expected):
    assert between(start, end, until, period) == expected


def test_the_last_date_in_the_ledger_is_its_end():
    found = tenure_between(pd.Series(["2020-01-01", "2020-01-01"]), pd.Series([None, "2022-12-31"]))
    assert found["tenure"].tolist() == [3, 3]
    assert found["churned"].tolist() == [False, True]


def test_dates_of_any_type_and_index():
    start = pd.Series([datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)], index=[7, 3])
    end = pd.Series([pd.NaT, pd.Timestamp("2022-06-01")], index=[7, 3])
    found = tenure_between(start, end, until=datetime.date(2023, 12, 31))
    assert found.index.tolist() == [7, 3]
    assert found["tenure"].tolist() == [4, 2]


def test_retention_from_dates_is_not_biased_by_unfinished_periods():
    rng = np.random.default_rng(3)
    n, stays = 20_000, 0.75
    start = pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 8 * 365, n), unit="D")
    life = pd.to_timedelta(np.round(rng.exponential(-365.25 / np.log(stays), n)), unit="D")
    until = pd.Timestamp("2023-12-31")
    end = pd.Series(start + life)
    found = tenure_between(pd.Series(start), end.where(end <= until), until=until)
    assert estimate_retention(found["tenure"], found["churned"]).estimate == pytest.approx(stays, abs=0.006)


@pytest.mark.parametrize(
    ("start", "end", "until"),
    [
        ("2021-01-01", "2020-01-01", "2023-01-01"),
        ("2024-01-01", None, "2023-01-01"),
        (None, "2020-01-01", "2023-01-01"),
        ("soon", None, "2023-01-01"),
        ("31.12.2020", None, "2023-01-01"),
        ("2020-01-01", None, "later"),
    ],
)
def test_dates_that_cannot_be(start, end, until):
    with pytest.raises(DataError):
        between(start, end, until)


def test_unknown_period_names_the_known_ones():
    with pytest.raises(UsageError, match="quarter"):
        between("2020-01-01", None, "2023-01-01", "fortnight")


def test_a_ledger_without_those_who_had_left_counts_from_its_first_whole_period():
    start = pd.Series(["2015-07-01", "2015-07-01", "2020-01-01", "2015-07-01", "2021-01-01"])
    end = pd.Series([None, "2020-05-01", "2020-05-01", "2021-05-01", None])
    found = tenure_between(start, end, since="2020-01-01", until="2023-12-31")
    assert found["entry"].tolist() == [5, 5, 0, 5, 0]
    assert found["tenure"].tolist() == [8, 5, 1, 6, 3]
    assert found["churned"].tolist() == [False, False, True, True, False]
    assert found["present"].tolist() == [True, False, False, False, True]
    with pytest.raises(DataError, match="2024"):
        tenure_between(start, end, since="2024-01-01", until="2023-12-31")


def test_left_truncation_by_date_takes_away_the_bias():
    rng = np.random.default_rng(5)
    n, stays = 30_000, np.array([0.6, 0.75, 0.9])
    start = pd.Timestamp("2008-01-01") + pd.to_timedelta(rng.integers(0, 16 * 365, n), unit="D")
    stay = stays[rng.integers(0, 3, n)]
    end = pd.Series(start + pd.to_timedelta(np.round(rng.exponential(-365.25 / np.log(stay))), unit="D"))
    since, until = pd.Timestamp("2020-01-01"), pd.Timestamp("2023-12-31")
    ledger = pd.DataFrame({"start": start, "end": end.where(end <= until)})[end >= since]
    right = tenure_between(ledger["start"], ledger["end"], since=since, until=until)
    naive = tenure_between(ledger["start"], ledger["end"], until=until)
    first = right[(right["entry"] < 1) & (right["tenure"] > 0)]
    own = (naive["tenure"] == 1) & naive["churned"]
    assert 1 - (first["churned"] & (first["tenure"] == 1)).sum() / len(first) == pytest.approx(stays.mean(), abs=0.02)
    assert 1 - own.sum() / (naive["tenure"] > 0).sum() > stays.mean() + 0.1


def test_a_ledger_of_tenures_says_entry_itself():
    ledger = pd.DataFrame({"tenure": [1, 2, 3], "churned": [1, 0, 0]})
    with pytest.raises(UsageError, match="entry"):
        loyalty_value(ledger, horizon=5, discount=0.1, since="2020-01-01")
