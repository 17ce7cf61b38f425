import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.economics import elasticity, loyalty_value, margin_multiple, uplift
from spc.errors import DataError, UsageError
from spc.results import TIDY_COLUMNS, Result
from spc.synthetic import make_firm

TERMS = {"horizon": 5, "discount": 0.10}
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture(scope="module")
def firm():
    return make_firm(seed=4, units=40, customers=3, employees=3, accounts=50)


@pytest.fixture(scope="module")
def value(firm):
    return loyalty_value(firm.tables["customers"], **TERMS, currency="EUR", acquisition_cost=100)


def figure(value, kind, lhs=None, column="estimate"):
    table = value.tidy()
    row = table[(table["kind"] == kind) & ((table["lhs"] == lhs) if lhs else True)]
    return row[column].item()


def codes(value):
    return {note.code for note in value.notes()}


def test_it_is_a_result(value):
    assert isinstance(value, Result)
    assert value.kind == "loyalty"
    assert tuple(value.tidy().columns) == TIDY_COLUMNS
    assert len(value.glance()) == 1
    assert not value.draws.values.flags.writeable
    assert value.draws.names == ("retention", "margin")


def test_every_figure_follows_from_retention_and_margin(value):
    r, m = figure(value, "retention"), figure(value, "margin")
    assert figure(value, "churn") == pytest.approx(1 - r)
    assert figure(value, "multiple") == float(margin_multiple(r, 0.1, horizon=5))
    assert figure(value, "clv") == pytest.approx(m * sum((r / 1.1) ** t for t in range(1, 6)))
    assert figure(value, "clv_new") == pytest.approx(m * sum((r / 1.1) ** t for t in range(6)) - 100)
    gain = sum(((r + 0.05) / 1.1) ** t - (r / 1.1) ** t for t in range(1, 6))
    assert figure(value, "uplift_money") == pytest.approx(m * gain)
    assert figure(value, "uplift_base") == pytest.approx(value.present * m * gain)
    assert figure(value, "uplift_percent") == pytest.approx(figure(value, "uplift_money") / figure(value, "clv"))
    assert figure(value, "uplift_relative") == pytest.approx(float(uplift(r, 0.1, points=0.05 * r, horizon=5)))
    assert figure(value, "closed_form", "clv") == pytest.approx(m * r / (1.1 - r))
    assert figure(value, "closed_form", "uplift_percent") == pytest.approx(float(uplift(r, 0.1)))
    assert figure(value, "closed_form", "elasticity") == pytest.approx(1.1 / (1.1 - r))
    assert figure(value, "elasticity") == float(elasticity(r, 0.1, horizon=5))


def test_the_claim_is_a_range_without_an_estimate(value):
    assert math.isnan(figure(value, "claim"))
    assert (figure(value, "claim", column="conf_low"), figure(value, "claim", column="conf_high")) == (0.25, 0.85)
    (note,) = [note for note in value.notes() if note.code == "claim"]
    assert "without a traceable study" in note.text
    text = note.text.replace("\u00a0", " ")
    assert "76 %" in text  # at ten per cent, 25 % needs r = .761
    assert "64 % to 88 %" in text  # without a discount


def test_it_finds_the_truth_of_a_made_up_firm(value, firm):
    truth = firm.truth.set_index("kind")["estimate"]
    for kind in ("retention", "margin", "clv", "uplift_money", "uplift_percent"):
        low, high = (figure(value, kind, column=c) for c in ("conf_low", "conf_high"))
        slack = 0.5 * (high - low)
        assert low - slack <= truth[kind] <= high + slack, kind


def test_intervals_contain_their_estimate_and_errors_are_positive(value):
    table = value.tidy().query("kind not in ['claim', 'claim_terms']")
    assert (table["conf_low"] < table["estimate"]).all()
    assert (table["estimate"] < table["conf_high"]).all()
    assert (table["std_error"] > 0).all()


def test_the_same_seed_gives_the_same_figures(firm):
    ledger = firm.tables["customers"]
    one, two, other = (loyalty_value(ledger, **TERMS, seed=seed) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one.tidy(), two.tidy())
    assert not one.tidy().equals(other.tidy())


def test_units_of_money_only_change_money(firm):
    ledger = firm.tables["customers"]
    cents = loyalty_value(ledger.assign(margin=ledger["margin"] * 1e6), **TERMS)
    euros = loyalty_value(ledger, **TERMS)
    for kind, factor in (("uplift_percent", 1), ("multiple", 1), ("clv", 1e6), ("uplift_base", 1e6)):
        for column in ("estimate", "conf_low", "conf_high", "std_error"):
            assert figure(cents, kind, column=column) == pytest.approx(factor * figure(euros, kind, column=column))


def test_the_callers_table_is_left_alone(firm):
    before = firm.tables["customers"].copy()
    loyalty_value(firm.tables["customers"], **TERMS)
    pd.testing.assert_frame_equal(firm.tables["customers"], before)


def coverage(n, runs, retention, terms, model="auto", slack=0.0):
    """Share of ledgers whose intervals contain the truth (to a share of it): percent, money."""
    true_percent = float(uplift(retention, terms["discount"], horizon=terms["horizon"]))
    now, then = (
        float(margin_multiple(r, terms["discount"], horizon=terms["horizon"])) for r in (retention, retention + 0.05)
    )
    hits = np.zeros(2)
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        age, life = rng.integers(1, 9, n), rng.geometric(1 - retention, n)
        ledger = pd.DataFrame(
            {"tenure": np.minimum(age, life), "churned": life <= age, "margin": rng.gamma(2, 50, n) - 20}
        )
        value = loyalty_value(ledger, **terms, draws=100, seed=seed, retention_model=model)
        table = value.tidy().set_index("kind")
        for i, (kind, truth) in enumerate((("uplift_percent", true_percent), ("uplift_money", 80 * (then - now)))):
            low, high = table.loc[kind, ["conf_low", "conf_high"]]
            hits[i] += low - slack * truth <= truth <= high + slack * truth
    return hits / runs


@pytest.mark.parametrize("model", ["constant", "auto"])
def test_the_five_point_interval_covers_the_truth(model):
    percent, money = coverage(300, 100, 0.7, {"horizon": 10, "discount": 0.1}, model)
    assert percent >= 0.89
    assert 0.89 <= money <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("n", [150, 1000])
@pytest.mark.parametrize("retention", [0.6, 0.8, 0.92])
@pytest.mark.parametrize("horizon", [5, math.inf])
@pytest.mark.parametrize("model", ["constant", "auto"])
def test_the_five_point_interval_covers_the_truth_everywhere(n, retention, horizon, model):
    found = coverage(n, 1000, retention, {"horizon": horizon, "discount": 0.1}, model)
    # Without a horizon, at .92, customers who differ by a trifle leave the same figure as customers who are alike, and
    # no interval that holds both is short enough for the latter (98 and 99 %; see most_missed in test_region.py).
    turns = model == "auto" and retention == 0.92 and math.isinf(horizon)
    assert (found >= 0.93).all()
    assert (found <= (0.995 if turns else 0.975)).all()  # 93 to 97 %, and what 1000 firms leave open


def test_the_interval_holds_where_the_relative_uplift_turns():
    grid = np.linspace(0.05, 0.9, 400)
    turn = float(grid[uplift(grid, 0.1, horizon=10).argmin()])
    percent, _ = coverage(300, 100, turn, {"horizon": 10, "discount": 0.1}, slack=1e-3)  # the truth is its very end
    assert percent >= 0.93


def test_no_margin_no_money(firm):
    value = loyalty_value(firm.tables["customers"].drop(columns="margin"), **TERMS)
    kinds = set(value.tidy()["kind"])
    assert not kinds & {"margin", "clv", "uplift_money", "uplift_base"}
    assert {"retention", "uplift_percent", "closed_form"} <= kinds
    assert value.draws.names == ("retention",)
    assert "no_margin" in codes(value)


def test_points_beyond_everyone_staying_are_limited_and_said():
    ledger = pd.DataFrame({"tenure": [5] * 60, "churned": [1] * 3 + [0] * 57, "margin": np.arange(60.0)})
    value = loyalty_value(ledger, **TERMS)
    assert figure(value, "uplift_percent") == pytest.approx(float(uplift(0.99, 0.1, points=0.01, horizon=5)))
    assert {"points_limited", "few_churn_events"} <= codes(value)


def test_nobody_left_claims_nothing():
    ledger = pd.DataFrame({"tenure": [2, 3, 4], "churned": False, "margin": [10.0, 12.0, 9.0]})
    value = loyalty_value(ledger, **TERMS)
    assert figure(value, "uplift_money") == 0
    assert figure(value, "uplift_money", column="conf_high") > 0
    assert {"no_churn", "points_limited"} <= codes(value)


def test_everybody_left_at_once():
    ledger = pd.DataFrame({"tenure": [1, 1, 1], "churned": True, "margin": [10.0, 12.0, 9.0]})
    value = loyalty_value(ledger, **TERMS)
    assert value.present == 0
    assert figure(value, "uplift_base") == 0
    assert math.isnan(figure(value, "uplift_percent"))
    assert math.isnan(figure(value, "uplift_percent", column="conf_low"))
    assert {"all_churned", "nothing_to_compare"} <= codes(value)


def test_losses_are_allowed_and_said(firm):
    ledger = firm.tables["customers"]
    losing = loyalty_value(ledger.assign(margin=ledger["margin"] - 500), **TERMS)
    assert figure(losing, "uplift_money") < 0
    assert "negative_margin" in codes(losing)
    around = loyalty_value(ledger.assign(margin=np.where(np.arange(len(ledger)) % 2, 100.0, -100.0)), **TERMS)
    assert {"margin_near_zero", "loss_customers"} <= codes(around)


def test_the_margin_is_that_of_present_customers():
    ledger = pd.DataFrame(
        {"tenure": [3] * 8, "churned": [1] * 4 + [0] * 4, "margin": [1000.0] * 4 + [10.0, 12, 14, 16]}
    )
    assert figure(loyalty_value(ledger, **TERMS), "margin") == 13


def test_dates_instead_of_tenure():
    ledger = pd.DataFrame(
        {"start": ["2018-01-01"] * 30, "end": [None] * 20 + ["2020-06-01"] * 10, "margin": np.linspace(50, 80, 30)}
    )
    value = loyalty_value(ledger, **TERMS, until="2022-12-31")
    assert figure(value, "retention") == pytest.approx(1 - 10 / (20 * 5 + 10 * 3))


def test_rows_without_an_answer_are_counted():
    ledger = pd.DataFrame({"tenure": [3, 3, None, 4], "churned": [1, 0, 0, None], "margin": [1.0, 2, 3, 4]})
    value = loyalty_value(ledger, **TERMS)
    assert value.dropped == 2
    assert "rows_dropped" in codes(value)


def test_terms_must_be_stated(firm):
    with pytest.raises(UsageError, match="horizon and discount"):
        loyalty_value(firm.tables["customers"])
    with pytest.raises(UsageError, match="No discount"):
        loyalty_value(firm.tables["customers"], horizon=5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"horizon": 0},
        {"horizon": 2.5},
        {"horizon": "5"},
        {"discount": 10},
        {"discount": -0.1},
        {"points": 5},
        {"points": 0},
        {"level": 95},
        {"acquisition_cost": -1},
        {"draws": 10},
        {"horizon": math.inf, "discount": 0.0},
    ],
)
def test_impossible_terms_are_refused(firm, wrong):
    with pytest.raises(UsageError):
        loyalty_value(firm.tables["customers"], **{**TERMS, **wrong})


@pytest.mark.parametrize(
    "ledger",
    [
        pd.DataFrame({"tenure": [1, 2]}),
        pd.DataFrame({"start": ["2020-01-01"]}),
        pd.DataFrame(),
        pd.DataFrame({"tenure": [1, 2], "churned": [0, 1], "margin": ["much", "little"]}),
        pd.DataFrame({"tenure": [1, 2], "churned": [0, 1], "margin": [1.0, np.inf]}),
        pd.DataFrame({"tenure": [1, 2], "churned": [0, 1], "margin": [None, None]}, dtype=object),
        pd.DataFrame({"tenure": [None, None], "churned": [0, 1]}),
    ],
)
def test_tables_that_cannot_be(ledger):
    with pytest.raises(DataError):
        loyalty_value(ledger, **TERMS)


def test_something_else_than_a_study():
    with pytest.raises(UsageError, match="list"):
        loyalty_value([1, 2, 3], **TERMS)


def test_a_study_states_the_terms(tmp_path):
    from spc.study import read_study

    firm = make_firm(seed=2, units=12, horizon=3, discount=0.2, points=0.02, currency="SEK")
    value = loyalty_value(read_study(firm.write(tmp_path)))
    glance = value.glance().iloc[0]
    assert (glance["horizon"], glance["discount"], glance["points"], glance["currency"]) == (3, 0.2, 0.02, "SEK")
    direct = loyalty_value(firm.tables["customers"], horizon=3, discount=0.2, points=0.02, seed=2)
    pd.testing.assert_frame_equal(value.tidy(), direct.tidy())
    assert loyalty_value(read_study(tmp_path / "study.toml"), horizon=9).terms.horizon == 9


def test_a_study_without_terms_says_what_was_assumed(tmp_path):
    from spc.study import read_study

    path = make_firm(seed=2, units=12).write(tmp_path)
    text = path.read_text()
    path.write_text(text[: text.index("[money]")] + text[text.index("[disclosure]") :])
    assert "terms_assumed" in codes(loyalty_value(read_study(path)))


@pytest.mark.skipif(not (SHARED / "telco_churn.csv").exists(), reason="the data are not here")
def test_telco_churn_by_hand():
    raw = pd.read_csv(SHARED / "telco_churn.csv")
    left = (raw["churn"] == "Yes").astype(int)
    terms = {"horizon": 24, "discount": 0.01, "period": "month", "retention_model": "constant"}
    value = loyalty_value(raw[["tenure"]].assign(churned=left), **terms)
    assert figure(value, "retention") == pytest.approx(1 - left.sum() / raw["tenure"].sum())
    assert "hazard_not_constant" in codes(value)
    first = value.augment().iloc[0]
    assert first["survival"] == pytest.approx(1 - ((raw.tenure == 1) & (left == 1)).sum() / (raw.tenure >= 1).sum())


def test_customers_who_left_in_the_running_period_are_not_present() -> None:
    start = ["2020-01-01"] * 8
    end = [None, None, None, "2022-06-01", "2024-03-01", "2024-05-01", None, "2021-02-01"]
    margin = [100.0, 110.0, 90.0, 1.0, 5000.0, 5000.0, 100.0, 1.0]
    ledger = pd.DataFrame({"start": start, "end": end, "margin": margin})
    value = loyalty_value(ledger, horizon=5, discount=0.10, until="2024-07-01")
    row = value.glance().iloc[0]
    assert (row["customers"], row["active"], row["lost"], row["events"], row["margins"]) == (8, 4, 4, 2, 4)
    assert figure(value, "margin") == 100.0
    assert figure(value, "uplift_base") == pytest.approx(4 * figure(value, "uplift_money"))


@pytest.mark.parametrize("model", ["constant", "sbg", "kaplan-meier"])
def test_the_running_period_counts_where_the_terms_say_so(firm, model):
    ledger, terms = firm.tables["customers"], {**TERMS, "retention_model": model, "draws": 200}
    after, now = (loyalty_value(ledger, **terms, first_margin=f) for f in (False, True))
    assert (after.glance()["first_margin"].item(), now.glance()["first_margin"].item()) == (False, True)
    m = figure(after, "margin")
    assert figure(now, "clv") == pytest.approx(figure(after, "clv") + m)
    assert figure(now, "multiple") == pytest.approx(figure(after, "multiple") + 1)
    assert figure(now, "uplift_money") == pytest.approx(figure(after, "uplift_money"))
    assert figure(now, "uplift_percent") == pytest.approx(figure(now, "uplift_money") / figure(now, "clv"))
    step = 1e-4 * figure(now, "retention")
    if model == "constant":
        r = figure(now, "retention")
        value = [float(margin_multiple(x, 0.1, horizon=5, first_margin=True)) for x in (r, r + step)]
        assert figure(now, "elasticity") == pytest.approx((value[1] / value[0] - 1) / 1e-4, rel=1e-3)
        assert figure(now, "closed_form", "uplift_percent") == pytest.approx(0.05 / (1.1 - r - 0.05))
    assert {"first_period"} <= codes(now)
    assert now.tidy()["rhs"].str.contains("and the running year").sum() >= 8
    assert not after.tidy()["rhs"].str.contains("running").any()


def test_claim_terms_count_the_running_period_too(firm):
    value = loyalty_value(
        firm.tables["customers"], horizon=math.inf, discount=0.1, retention_model="constant", first_margin=True
    )
    table = value.tidy().query("kind == 'claim_terms' and lhs == 'discount'")
    r = figure(value, "retention")
    for at, target in zip(table["estimate"], (0.25, 0.85), strict=True):
        assert math.isnan(at) or 0.05 / (1 + at - r - 0.05) == pytest.approx(target)
    assert table["estimate"].notna().any()


def test_no_retention_gives_the_claim_at_a_high_discount(firm):
    value = loyalty_value(firm.tables["customers"], horizon=5, discount=0.4)
    (note,) = [note for note in value.notes() if note.code == "claim"]
    assert "nan" not in note.text
    assert "gives neither at any retention" in note.text


def test_a_study_says_what_its_dates_cover_and_which_margin_counts(tmp_path):
    from spc.study import check_study, read_study

    rng = np.random.default_rng(1)
    start = pd.Timestamp("2012-01-01") + pd.to_timedelta(rng.integers(0, 3650, 800), unit="D")
    end = pd.Series(start + pd.to_timedelta(np.round(rng.exponential(1600, 800)), unit="D"))
    ledger = pd.DataFrame({"customer": np.arange(800), "start": start, "end": end.where(end <= "2023-12-31")})
    ledger = ledger[end >= "2018-01-01"].assign(margin=rng.normal(100, 30, 800)[end >= "2018-01-01"])
    ledger.to_csv(tmp_path / "accounts.csv", index=False)
    head = '[study]\nname = "Ledger"\n[tables.customers]\nfile = "accounts.csv"\n[money]\n'
    terms = 'first_margin = true\nsince = "2018-01-01"\nuntil = "2023-12-31"\n'
    (tmp_path / "study.toml").write_text(head + terms)
    value = loyalty_value(read_study(tmp_path / "study.toml"))
    direct = loyalty_value(ledger, **TERMS, first_margin=True, since="2018-01-01", until="2023-12-31")
    pd.testing.assert_frame_equal(value.tidy(), direct.tidy())
    naive = loyalty_value(ledger, **TERMS, until="2023-12-31")
    assert value.retention.estimate < naive.retention.estimate - 0.05
    for wrong in ('since = "soon"', "first_margin = 1", 'until = "2020-13-01"'):
        (tmp_path / "study.toml").write_text(head + wrong + "\n")
        assert any("money" in (f.column or "") for f in check_study(tmp_path / "study.toml").findings), wrong
