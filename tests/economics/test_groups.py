import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spc.economics import estimate_retention, loyalty_results, loyalty_value, retention_by, tenure_between
from spc.economics.groups import OTHERS
from spc.economics.overview import _switching
from spc.errors import DataError, UsageError
from spc.results import TIDY_COLUMNS, Result

rows = st.lists(
    st.tuples(st.integers(1, 7), st.booleans(), st.sampled_from("abcd")),
    min_size=12,
    max_size=60,
)


def table(cells):
    time, left, name = zip(*cells, strict=True)
    return pd.DataFrame({"tenure": time, "churned": left, "segment": name})


@given(rows)
def test_groups_partition_the_customers(cells):
    ledger = table(cells)
    found = retention_by(ledger, by="segment").table
    assert found["customers"].sum() == len(ledger)
    assert found["periods"].sum() == ledger["tenure"].sum()
    assert found["events"].sum() == ledger["churned"].sum()
    assert (found["customers"] >= 5).all()
    spans = retention_by(ledger, by="tenure").table
    assert spans["periods"].sum() == ledger["tenure"].sum()
    assert spans["events"].sum() == ledger["churned"].sum()


@given(rows)
def test_each_group_has_the_rate_of_its_own_ledger(cells):
    ledger = table(cells)
    for row in retention_by(ledger, by="segment", fewest=1).table.itertuples():
        own = ledger[ledger["segment"] == row.group]
        alone = estimate_retention(own["tenure"], own["churned"])
        assert row.retention == pytest.approx(alone.estimate)
        assert (row.conf_low, row.conf_high) == pytest.approx((alone.conf_low, alone.conf_high))


def test_small_groups_are_put_together_and_said():
    ledger = pd.DataFrame({"tenure": 3, "churned": [1, 0] * 20, "segment": ["a"] * 25 + ["b"] * 12 + ["c"] * 2 + ["d"]})
    found = retention_by(ledger, by="segment")
    assert found.table["group"].tolist() == ["a", OTHERS]
    assert found.table["customers"].tolist() == [25, 15]
    assert found.notes()[0].code == "groups_joined"
    assert isinstance(found, Result)
    assert tuple(found.tidy().columns) == TIDY_COLUMNS


def test_groups_that_differ_are_told_apart_as_often_as_they_should():
    rng = np.random.default_rng(1)
    hits = np.zeros(2)
    for _ in range(200):
        name = rng.integers(0, 3, 300)
        for i, rates in enumerate((np.full(3, 0.2), np.array([0.15, 0.2, 0.28]))):
            life = rng.geometric(rates[name])
            ledger = pd.DataFrame({"tenure": np.minimum(life, 5), "churned": life <= 5, "segment": name})
            hits[i] += retention_by(ledger, by="segment").p_value < 0.05
    assert 3 <= hits[0] <= 20
    assert hits[1] > 150


def test_year_of_joining_needs_dates():
    start = pd.Series(["2020-01-01", "2021-06-01"] * 10)
    ledger = pd.DataFrame({"start": start, "end": [None] * 14 + ["2022-03-01"] * 6})
    assert retention_by(ledger, by="joined", until="2023-12-31").table["group"].tolist() == ["2020", "2021"]
    with pytest.raises(DataError):
        retention_by(table([(1, True, "a")] * 9), by="joined")
    with pytest.raises(DataError, match="no such column"):
        retention_by(table([(1, True, "a")] * 9), by="region")
    with pytest.raises(UsageError):
        retention_by(table([(1, True, "a")] * 3), by="segment")


def test_brands_on_one_side_only_are_others():
    before, now = ["we", "we", "they", "old"], ["we", "they", "they", "we"]
    moves, left_out = _switching(pd.Series(before), pd.Series(now))
    assert left_out == 0
    assert moves.to_dict("index") == {
        "other": {"other": 0, "they": 0, "we": 1},
        "they": {"other": 0, "they": 1, "we": 0},
        "we": {"other": 0, "they": 1, "we": 1},
    }
    moves, left_out = _switching(pd.Series(["we", "they", "we"]), pd.Series(["we", "they", "new"]))
    assert left_out == 1
    assert moves.to_numpy().sum() == 2


@pytest.mark.parametrize(("period", "step"), [("year", 12), ("quarter", 3), ("month", 1), ("week", 0)])
def test_calendar_years_against_customers_counted_one_by_one(period, step):
    rng = np.random.default_rng(1)
    start = pd.Series(pd.Timestamp("2018-01-01") + pd.to_timedelta(rng.integers(0, 1400, 400), unit="D"))
    start[:50] = pd.Timestamp("2019-01-01")
    end = start + pd.to_timedelta(rng.integers(1, 2500, 400), unit="D")
    ledger = pd.DataFrame({"start": start, "end": end.where(end <= "2023-06-30")})
    found = retention_by(ledger, by="calendar_year", period=period, until="2023-06-30")
    rows = tenure_between(ledger["start"], ledger["end"], until="2023-06-30", period=period)
    seen = []
    for who, (came, tenure, churned) in enumerate(zip(start, rows["tenure"], rows["churned"], strict=True)):
        for t in range(1, tenure + 1):
            over = came + (pd.DateOffset(months=step * t) if step else pd.Timedelta(days=7 * t)) - pd.Timedelta(days=1)
            seen.append((over.year, who, int(churned and t == tenure)))
    by_hand = pd.DataFrame(seen, columns=["year", "who", "left"]).groupby("year")
    table = found.table.set_index("group")
    single = [name for name in table.index if " " not in name]
    assert len(single) >= 4
    for name in single:
        part = by_hand.get_group(int(name))
        assert tuple(table.loc[name, ["customers", "periods", "events"]]) == (
            part["who"].nunique(),
            len(part),
            part["left"].sum(),
        )
    assert table["periods"].sum() == len(seen)
    assert table["events"].sum() == rows["churned"].sum()


def test_calendar_years_need_dates():
    with pytest.raises(DataError, match="start and end"):
        retention_by(table([(1, True, "a")] * 9), by="calendar_year")


def test_a_study_says_its_own_period(tmp_path):
    from spc.study import read_study

    rng = np.random.default_rng(1)
    start = pd.Timestamp("2022-01-01") + pd.to_timedelta(rng.integers(0, 300, 60), unit="D")
    end = pd.Series(start + pd.to_timedelta(rng.integers(20, 900, 60), unit="D"))
    ledger = pd.DataFrame({"customer": range(60), "start": start, "end": end.where(end <= "2023-12-31")})
    ledger.to_csv(tmp_path / "accounts.csv", index=False)
    text = '[study]\nname = "L"\n[tables.customers]\nfile = "accounts.csv"\n[money]\nperiod = "month"\n'
    (tmp_path / "study.toml").write_text(text + 'until = "2023-12-31"\n')
    study = read_study(tmp_path / "study.toml")
    direct = retention_by(ledger, by="tenure", period="month", until="2023-12-31")
    pd.testing.assert_frame_equal(retention_by(study, by="tenure").table, direct.table)
    kinds = [part.by for part in loyalty_results(study, loyalty_value(study, draws=200))]
    assert kinds == ["tenure", "calendar_year"]
