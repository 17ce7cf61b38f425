"""Books whose periods are none of the calendar: every day falls into the one it belongs to."""

from datetime import date, timedelta

import pandas as pd
import pytest

from spc.accounts import AccountsSpec, customer_accounts
from spc.errors import DataError

DAYS = [date(2024, 12, 28) + timedelta(days=i) for i in range(0, 800, 3)]
SALES = pd.DataFrame({"customer": "a", "date": [day.isoformat() for day in DAYS], "amount": 1.0})


def of_periods(**options):
    accounts = customer_accounts(SALES, spec=AccountsSpec(**options))
    return dict(zip(accounts.periods.tolist(), (accounts.cents[:, 0] // 100).tolist(), strict=True))


def counted(name_of):
    return pd.Series(DAYS).map(name_of).value_counts().sort_index().to_dict()


def test_years_from_july_bear_both_years():
    def name(day):
        year = day.year if day.month >= 7 else day.year - 1
        return f"{year}/{(year + 1) % 100:02d}"

    assert of_periods(year_start=7) == counted(name)


@pytest.mark.parametrize("start", [1, 2, 4, 12])
def test_quarters_of_such_a_year(start):
    def name(day):
        months = (day.month - start) % 12
        year = day.year if day.month >= start else day.year - 1
        return (f"{year}" if start == 1 else f"{year}/{(year + 1) % 100:02d}") + f"-Q{months // 3 + 1}"

    assert of_periods(period="quarter", year_start=start) == counted(name)


def test_months_stay_those_of_the_calendar():
    assert of_periods(period="month", year_start=7) == counted(lambda day: f"{day.year}-{day.month:02d}")


WEEKS = {f"2025-P{k + 1:02d}": date(2024, 12, 16) + timedelta(weeks=4 * k) for k in range(30)}


def test_periods_of_four_weeks():
    def name(day):
        return f"2025-P{(day - date(2024, 12, 16)).days // 28 + 1:02d}"

    assert of_periods(periods=WEEKS) == counted(name)


@pytest.mark.parametrize("kind", ["datetime64[s]", "text", "with time"])
def test_days_are_days_however_they_are_stored(kind):
    stored = {"text": SALES["date"], "with time": SALES["date"] + " 23:59:59"}
    sales = SALES.assign(date=stored.get(kind, pd.to_datetime(SALES["date"]).astype("datetime64[s]")))
    accounts = customer_accounts(sales, spec=AccountsSpec(periods=WEEKS))
    assert (accounts.cents[:, 0] // 100).tolist() == list(of_periods(periods=WEEKS).values())


def test_rows_before_the_first_period_belong_nowhere():
    with pytest.raises(DataError) as caught:
        of_periods(periods={"spring": date(2025, 3, 1), "summer": date(2025, 6, 1)})
    (finding,) = caught.value.findings
    assert finding.rule == "before_first_period"
    assert finding.n_rows == sum(day < date(2025, 3, 1) for day in DAYS)


@pytest.mark.parametrize("day", ["", "2026", "31.12.2026", "2026-13-01", "soon"])
def test_a_row_without_a_day_belongs_nowhere(day):
    sales = SALES.assign(date=[day, *SALES["date"][1:]])
    with pytest.raises(DataError) as caught:
        customer_accounts(sales)
    assert [(f.rule, f.n_rows) for f in caught.value.findings] == [("no_date", 1)]


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"year_start": 0}, "outside_range"),
        ({"year_start": 13}, "outside_range"),
        ({"periods": {"a": date(2026, 2, 1), "b": date(2026, 1, 1)}}, "wrong_order"),
        ({"periods": {"b": date(2026, 1, 1), "a": date(2026, 2, 1)}}, "wrong_order"),
        ({"periods": {"a": date(2026, 1, 1), "b": date(2026, 1, 1)}}, "wrong_order"),
    ],
)
def test_calendars_that_cannot_be(options, rule):
    with pytest.raises(DataError) as caught:
        AccountsSpec(**options)
    assert caught.value.findings[0].rule == rule
