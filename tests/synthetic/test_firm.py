import tomllib

import numpy as np
import pandas as pd
import pytest

from spc.errors import UsageError
from spc.spec.presets import CHAIN_LINKS
from spc.synthetic import FirmPlan, make_firm
from spc.synthetic.plan import CONSTRUCTS, LINKS


@pytest.fixture(scope="module")
def firm():
    return make_firm(seed=3)


def keyed(firm, construct):
    table = firm.tables[f"{construct.side}_responses"][list(construct.items)].astype(float)
    for position in construct.reverse:
        table[construct.items[position]] = construct.low + construct.high - table[construct.items[position]]
    return table


def test_its_links_are_those_of_the_preset():
    assert {(cause, effect) for effect, cause in LINKS} == set(CHAIN_LINKS)


def test_the_same_seed_is_the_same_firm(firm):
    again, other = make_firm(seed=3), make_firm(seed=4)
    for name, table in firm.tables.items():
        pd.testing.assert_frame_equal(table, again.tables[name])
        assert not table.equals(other.tables[name])
    pd.testing.assert_frame_equal(firm.truth, again.truth)


def test_one_side_does_not_disturb_the_other(firm):
    more = make_firm(seed=3, customers=50, accounts=10, periods=3)
    pd.testing.assert_frame_equal(firm.tables["employee_responses"], more.tables["employee_responses"])
    alone = make_firm(seed=3, ledger=False)
    assert "customers" not in alone.tables
    pd.testing.assert_frame_equal(firm.tables["customer_responses"], alone.tables["customer_responses"])
    pd.testing.assert_frame_equal(firm.tables["units"], alone.tables["units"])


def test_answers_are_whole_points_of_the_scale_and_some_are_missing(firm):
    for construct in firm.plan.constructs:
        table = firm.tables[f"{construct.side}_responses"]
        for item in construct.items:
            answers = table[item].dropna()
            assert answers.between(construct.low, construct.high).all()
            assert table[item].isna().mean() == pytest.approx(0.025, abs=0.02)
            assert answers.nunique() >= construct.high - 2


def test_reverse_items_run_backwards(firm):
    for construct in firm.plan.constructs:
        raw = firm.tables[f"{construct.side}_responses"][list(construct.items)].astype(float)
        raw = raw.corr().to_numpy()
        signs = np.where(np.isin(np.arange(len(construct.items)), construct.reverse), -1, 1)
        assert (raw * np.outer(signs, signs) > 0.4).all()


def test_keys_are_sound(firm):
    units = set(firm.tables["units"]["unit"])
    assert len(units) == 80
    for name, key in (
        ("employee_responses", "respondent"),
        ("customer_responses", "respondent"),
        ("customers", "customer"),
    ):
        table = firm.tables[name]
        assert table[key].is_unique
        assert set(table["unit"]) == units
    ledger = firm.tables["customers"]
    assert ledger["tenure"].between(1, 8).all()
    assert set(ledger["churned"]) == {0, 1}
    assert ledger["margin"].min() < 0


def test_unit_sizes_differ_around_their_mean(firm):
    sizes = firm.tables["employee_responses"].groupby("unit").size()
    assert sizes.mean() == pytest.approx(12, rel=0.12)
    assert sizes.std() > 2
    assert make_firm(units=5, size_spread=0.0).tables["employee_responses"].groupby("unit").size().tolist() == [12] * 5


@pytest.mark.parametrize(
    ("options", "tables", "first", "last"),
    [
        (
            {"sides": ("employee",)},
            {"employee_responses", "units"},
            "internal_service_quality",
            "employee_productivity",
        ),
        ({"sides": ("customer",)}, {"customer_responses", "units", "customers"}, "customer_value", "profitability"),
        ({"sides": ("customer",), "ledger": False}, {"customer_responses", "units"}, "customer_value", "profitability"),
        (
            {"leadership": True, "ledger": False},
            {"employee_responses", "customer_responses", "units"},
            "leadership",
            "profitability",
        ),
    ],
)
def test_parts_of_a_firm(options, tables, first, last):
    firm = make_firm(units=6, **options)
    assert set(firm.tables) == tables
    assert firm.plan.names[0] == first
    assert firm.plan.names[-1] == last
    document = tomllib.loads(firm.document())
    assert set(document["tables"]) == tables
    assert list(document["constructs"]) == list(firm.plan.names)
    assert ("money" in document) == ("customers" in tables)


def test_every_wave_asks_the_same_people():
    firm = make_firm(units=200, waves=3, employees=4, customers=2, seed=1)
    table = firm.tables["employee_responses"]
    assert not table.duplicated(["respondent", "wave"]).any()
    assert table.groupby("wave")["respondent"].nunique().nunique() == 1
    scores = table.assign(score=table[["isq1", "isq2", "isq3"]].astype(float).mean(axis=1))
    wide = scores.pivot_table(index="respondent", columns="wave", values="score").corr().to_numpy()
    assert 0.45 < wide[0, 1] < 0.65  # .7 times the reliability of the score
    assert wide[0, 2] < wide[0, 1] - 0.1


def test_weaker_and_changed_links_show_in_the_truth():
    firm = make_firm(units=5, strength=0.5, links={("customer_value", "employee_loyalty"): -0.4})
    links = firm.truth.query("kind == 'link' and level == 'unit'").set_index(["lhs", "rhs"])["std_all"]
    assert links["customer_value", "employee_loyalty"] == pytest.approx(-0.2)
    assert links["employee_satisfaction", "internal_service_quality"] == pytest.approx(0.3)


def test_no_links_no_effects():
    truth = make_firm(units=5, strength=0.0).truth
    assert not truth["kind"].isin(["link", "total", "indirect"]).any()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"units": 1}, "units"),
        ({"units": 12.0}, "units"),
        ({"employees": True}, "employees"),
        ({"unit": 5}, "no option 'unit'"),
        ({"seed": -1}, "seed"),
        ({"seed": "1"}, "seed"),
        ({"sides": ("staff",)}, "sides"),
        ({"sides": ()}, "sides"),
        ({"links": {("a", "b"): 0.3}}, "not a link"),
        ({"links": {("customer_value", "employee_loyalty"): 2.0}}, "customer_value ~ employee_loyalty"),
        ({"strength": 2.0}, "no room for chance"),
        ({"strength": "strong"}, "strength"),
        ({"retention": 1.0}, "retention"),
        ({"discount": 10}, "discount"),
        ({"missing": 0.9}, "missing"),
    ],
)
def test_impossible_firms_are_refused(options, words):
    with pytest.raises(UsageError, match=words):
        make_firm(**options)


def test_the_plan_is_frozen():
    given = {("customer_value", "employee_loyalty"): 0.1}
    plan = FirmPlan(links=given)
    given.clear()
    assert plan.links
    with pytest.raises(TypeError):
        plan.links["x", "y"] = 1


def test_documents_take_any_name():
    for name in ('The "best" firm', "Fjord\nRetail \\ Søn", "日本"):
        assert tomllib.loads(make_firm(units=3, name=name).document())["study"]["name"] == name


def test_written_tables_are_the_tables(firm, tmp_path):
    path = firm.write(tmp_path / "new" / "folder")
    assert path.name == "study.toml"
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "accounts.csv", "customers.csv", "employees.csv", "study.toml", "truth.csv", "units.csv",
    ]  # fmt: skip
    back = pd.read_csv(path.parent / "employees.csv")
    pd.testing.assert_frame_equal(back, firm.tables["employee_responses"], check_dtype=False)
    truth = pd.read_csv(path.parent / "truth.csv", keep_default_na=False, na_values=[""])
    np.testing.assert_allclose(truth["estimate"], firm.truth["estimate"])


def test_nothing_is_written_over_without_force(tmp_path):
    small = make_firm(units=3)
    (tmp_path / "units.csv").write_text("mine")
    with pytest.raises(UsageError, match=r"units\.csv"):
        small.write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["units.csv"]
    assert (tmp_path / "units.csv").read_text() == "mine"
    small.write(tmp_path, force=True)
    assert (tmp_path / "units.csv").read_text() != "mine"


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError):
        make_firm(units=3).write(tmp_path / "file")


def test_a_written_firm_is_a_study_without_errors(tmp_path):
    from spc.study import check_study

    for i, options in enumerate(({}, {"waves": 2}, {"sides": ("employee",)}, {"sides": ("customer",)})):
        path = make_firm(units=25, leadership=True, **options).write(tmp_path / str(i))
        wrong = [f for f in check_study(path).findings if f.severity == "error"]
        assert wrong == []


def test_items_belong_to_one_construct_each():
    items = [item for construct in CONSTRUCTS for item in construct.items]
    assert len(items) == len(set(items))
