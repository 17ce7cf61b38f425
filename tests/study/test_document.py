"""The study document: frozen parts, and checks across them."""

from __future__ import annotations

import dataclasses

import pytest

from spc.disclosure import DisclosureRule
from spc.errors import DataError
from spc.study import Lag, MoneySpec, load_document, read_document

BASE = """\
[study]
name = "Harbour"
seed = 7

[tables.units]
file = "units.csv"

[tables.employee_responses]
file = "employees.csv"
missing = [-99, "n/a"]
columns = { unit = ["BTN", "COMPANY"], respondent = "SUBNUM" }

[constructs.employee_satisfaction]
table = "employee_responses"
items = ["es1", "es2", "es3"]
scale = [1, 7]
reverse = ["es3"]

[constructs.employee_loyalty]
table = "employee_responses"
items = ["el1"]
scale = [1, 7]

[constructs.profitability]
table = "units"
items = ["profit"]
"""
CHAIN = '[chain]\nmodel = """\nemployee_loyalty ~ employee_satisfaction\nprofitability ~ employee_loyalty\n"""\n'


@pytest.fixture
def load(tmp_path):
    for name in ("units.csv", "employees.csv"):
        (tmp_path / name).write_text("unit\n")

    def run(text):
        path = tmp_path / "study.toml"
        path.write_text(text)
        return load_document(path)

    return run


def rules(findings):
    return [finding.rule for finding in findings]


def test_every_part_arrives(load, tmp_path):
    lags = '[[chain.lags]]\nfrom = "employee_satisfaction"\nto = "employee_loyalty"\nwaves = 1\n'
    document, findings = load(BASE + CHAIN + lags)
    assert findings == ()
    assert (document.study.name, document.study.currency, document.study.seed) == ("Harbour", "EUR", 7)
    assert list(document.tables) == ["employee_responses", "units"]
    table = document.tables["employee_responses"]
    assert table.missing == (-99, "n/a")
    assert dict(table.columns) == {"unit": ("BTN", "COMPANY"), "respondent": ("SUBNUM",)}
    assert table.path == tmp_path / "employees.csv"
    satisfaction, _, profit = document.constructs
    assert (satisfaction.low, satisfaction.high, satisfaction.reverse) == (1, 7, ("es3",))
    assert (profit.low, profit.high) == (None, None)
    assert document.chain.lags == (Lag("employee_satisfaction", "employee_loyalty", 1),)
    assert document.chain.preset is None
    assert document.money is None
    assert document.disclosure == DisclosureRule()


def test_the_preset_becomes_model_text_among_the_constructs_that_are_there(load):
    document, findings = load(BASE + '[chain]\npreset = "service-profit-chain"\n')
    assert findings == ()
    assert document.chain.preset == "service-profit-chain"
    assert "employee_loyalty ~ employee_satisfaction" in document.chain.model
    assert "customer" not in document.chain.model


def test_the_parts_cannot_be_changed(load):
    document, _ = load(BASE + CHAIN)
    with pytest.raises(dataclasses.FrozenInstanceError):
        document.study.name = "other"
    with pytest.raises(TypeError):
        document.tables["units"] = None


def test_money_terms_default_and_can_be_set(load, tmp_path):
    (tmp_path / "accounts.csv").write_text("customer\n")
    ledger = '[tables.customers]\nfile = "accounts.csv"\n'
    document, findings = load(BASE + ledger + "[money]\ndiscount = 0.2\n")
    assert findings == ()
    assert document.money == MoneySpec(horizon=5, discount=0.2, period="year", points=0.05, acquisition_cost=0)


def test_model_errors_are_placed_in_the_document(load):
    text = BASE + CHAIN.replace("profitability ~ employee_loyalty", "profitability ~~~ employee_loyalty")
    _, (finding,) = load(text)
    assert finding.rule == "model_text"
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "~~~" in row)
    assert finding.rows == (line,)


def test_model_errors_are_placed_when_the_text_begins_on_its_key_line(load):
    text = BASE + '[chain]\nmodel = "profitability ~~~ employee_loyalty"\n'
    _, (finding,) = load(text)
    assert finding.rows == (len(text.splitlines()),)


def test_a_faulty_part_does_not_hide_faults_elsewhere(load):
    text = (BASE + CHAIN).replace('"units.csv"', '"unit.csv"').replace("[1, 7]", "[7, 1]", 1)
    document, findings = load(text + "[money]\nhorizon = 0\n[disclosure]\nminimum_group = 2\n")
    assert rules(findings) == ["file_missing", "scale_order", "outside_range", "outside_range"]
    assert [c.name for c in document.constructs] == ["employee_loyalty", "profitability"]
    assert "employee_responses" in document.tables


def test_findings_follow_the_document(load):
    _, findings = load((BASE + CHAIN).replace("[1, 7]", "[7, 1]").replace('"units.csv"', '"unit.csv"'))
    lines = [finding.rows[0] for finding in findings]
    assert lines == sorted(lines)


def test_a_table_outside_is_read_only_when_allowed(load, tmp_path):
    outside = tmp_path.parent / f"{tmp_path.name}.csv"
    outside.write_text("unit\n")
    text = (BASE + CHAIN).replace('"units.csv"', f'"../{outside.name}"')
    document, findings = load(text)
    assert rules(findings) == ["file_outside"]
    assert "units" not in document.tables
    document, findings = load(text.replace("seed = 7", "seed = 7\nallow_outside = true"))
    assert findings == ()
    assert document.tables["units"].path.resolve() == outside.resolve()


def test_a_folder_below_the_document_is_inside(load, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "units.csv").write_text("unit\n")
    _, findings = load((BASE + CHAIN).replace('"units.csv"', '"data/../data/units.csv"'))
    assert findings == ()


def test_backslashes_are_recognised(load, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "units.csv").write_text("unit\n")
    _, (finding,) = load((BASE + CHAIN).replace('"units.csv"', "'data\\units.csv'"))
    assert finding.rule == "file_missing"
    assert "data/units.csv" in finding.hint


def test_an_item_of_two_constructs_is_a_warning(load):
    _, (finding,) = load((BASE + CHAIN).replace('["el1"]', '["el1", "es1"]'))
    assert (finding.rule, finding.severity) == ("shared_item", "warning")
    assert "employee_satisfaction and employee_loyalty" in finding.found


@pytest.mark.parametrize("name", ["unit", "es1"])
def test_a_construct_needs_a_name_of_its_own(load, name):
    _, findings = load(BASE.replace("constructs.employee_loyalty", f"constructs.{name}"))
    assert rules(findings) == ["name_clash"]


def test_a_single_item_may_bear_the_name_of_its_construct(load):
    _, findings = load(BASE.replace('["profit"]', '["profitability"]') + CHAIN)
    assert findings == ()


def test_a_construct_outside_the_preset_is_pointed_out(load):
    extra = '[constructs.employee_mood]\ntable = "employee_responses"\nitems = ["m1"]\n'
    document, (finding,) = load(BASE + extra + '[chain]\npreset = "service-profit-chain"\n')
    assert (finding.rule, finding.severity) == ("outside_preset", "warning")
    assert document.chain is not None


def test_disclosure_faults_of_the_rule_itself_are_placed(load):
    _, (finding,) = load(BASE + "[disclosure]\nminimum_group = 20\n")
    assert (finding.rule, finding.column) == ("below_minimum_group", "disclosure.minimum_comments")


def test_contradicting_lags_are_found(load):
    links = "employee_loyalty ~ employee_satisfaction\nprofitability ~ employee_loyalty + employee_satisfaction"
    lag = '[[chain.lags]]\nfrom = "employee_satisfaction"\nto = "employee_loyalty"\nwaves = 1\n'
    _, findings = load(BASE + f'[chain]\nmodel = """\n{links}\n"""\n' + lag)
    assert rules(findings) == ["contradicting_lags"]


def test_read_document_raises_with_everything(load, tmp_path):
    load(BASE.replace("[1, 7]", "[7, 1]"))
    with pytest.raises(DataError) as caught:
        read_document(tmp_path / "study.toml")
    assert rules(caught.value.findings) == ["scale_order", "scale_order"]


def test_read_document_returns_a_sound_one(load, tmp_path):
    load(BASE)
    assert read_document(tmp_path / "study.toml").chain is None


def test_a_smallest_effect_of_links_is_read(load):
    document, findings = load(BASE + CHAIN + "smallest_effect = 0.1\nsmallest_effect_money = 25000\n")
    assert not findings
    assert (document.chain.smallest_effect, document.chain.smallest_effect_money) == (0.1, 25000)
    assert load(BASE + CHAIN)[0].chain.smallest_effect is None


@pytest.mark.parametrize("line", ["smallest_effect = 0", "smallest_effect = 1.5", "smallest_effect_money = -1"])
def test_a_smallest_effect_is_positive_and_a_part_of_one(load, line):
    _, findings = load(BASE + CHAIN + line)
    assert rules(findings) == ["outside_range"]


DIRECT = 'preset = "service-profit-chain"\ndirect = "profitability ~ handle_time"\n'
TIME = '[constructs.handle_time]\ntable = "units"\nitems = ["minutes"]\n'


def test_the_direct_preset_and_paths_of_ones_own_stand_beside_the_attitudes(load):
    productivity = '[constructs.employee_productivity]\ntable = "employee_responses"\nitems = ["ep1"]\nscale = [1, 7]\n'
    chain = "[chain]\n" + DIRECT.replace("chain", "chain-direct", 1)
    document, findings = load(BASE + productivity + TIME + chain)
    assert findings == ()
    assert document.chain.model.splitlines() == [
        "employee_loyalty ~ employee_satisfaction",
        "employee_productivity ~ employee_satisfaction",
        "profitability ~ employee_loyalty + employee_productivity",
        "profitability ~ handle_time",
    ]


@pytest.mark.parametrize(
    ("chain", "rule"),
    [
        (DIRECT.replace("handle_time", "handle_times"), "unknown_construct"),
        (DIRECT.replace("~", "=~"), "not_a_link"),
        (DIRECT.replace("profitability ~", "profitability ~~~"), "model_text"),
        (DIRECT.replace("handle_time", "employee_loyalty"), "listed_twice"),
        (DIRECT.replace("profitability ~ handle_time", "employee_satisfaction ~ profitability"), "circular_chain"),
        ('model = "profitability ~ employee_loyalty"\n' + DIRECT.splitlines()[1], "unused_key"),
    ],
)
def test_direct_paths_that_cannot_be_are_refused(load, chain, rule):
    _, findings = load(BASE + TIME + "[chain]\n" + chain)
    assert rule in {finding.rule for finding in findings}


def test_facets_are_parts_of_a_construct(load):
    facets = 'facets = { tools = ["es1", "es2"], support = ["es3"] }\n'
    base = BASE.replace('reverse = ["es3"]\n', 'reverse = ["es3"]\n' + facets)
    document, findings = load(base)
    assert findings == ()
    assert document.constructs[0].facets == (("tools", ("es1", "es2")), ("support", ("es3",)))
    for wrong, rule in [("es3", "facets"), ("unit", "name_clash"), ("el1", "name_clash")]:
        other = base.replace("support", wrong)
        assert rule in {finding.rule for finding in load(other)[1]}
    _, findings = load(base.replace('"es1", "es2"], support', '"es1"], support'))
    assert [(f.rule, f.column) for f in findings] == [("facets", "constructs.employee_satisfaction.facets")]
