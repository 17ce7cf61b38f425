"""The verbs as a person uses them."""

import json
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

import spc


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    return spc.make_firm(seed=4, units=30, employees=8, customers=12).write(tmp_path_factory.mktemp("firm"))


def test_help_names_every_verb(run):
    code, out, _ = run("--help")
    assert code == 0
    for verb in ("demo", "init", "check", "fit", "drivers", "loyalty", "power", "report", "run", "schema", "simulate"):
        assert verb in out


@pytest.mark.parametrize("words", [["fitt"], ["check"], ["fit", "x", "--draws", "many"], ["schema", "custmers"]])
def test_slips_of_the_hand_end_in_2(run, words):
    code, _, err = run(*words)
    assert code == 2
    assert "Traceback" not in err


def test_a_misspelled_schema_names_the_nearest(run):
    assert "Did you mean 'customers'" in run("schema", "custmers")[2]


def test_a_schema_is_printed_as_it_is(run):
    code, out, _ = run("schema", "units")
    assert (code, out) == (0, spc.schema_text("units"))


def test_init_writes_a_study_that_passes_and_never_over_another(run, tmp_path):
    code, _, _ = run("init", tmp_path / "mine")
    assert code == 0
    assert run("check", tmp_path / "mine" / "study.toml")[0] == 0
    (tmp_path / "mine" / "study.toml").write_text("# mine")
    code, _, err = run("init", tmp_path / "mine")
    assert code == 2
    assert "study.toml" in err
    assert (tmp_path / "mine" / "study.toml").read_text() == "# mine"


def test_a_folder_stands_for_its_document(run, document):
    assert run("check", document.parent)[0] == 0


def test_fit_prints_links_and_writes_nothing_unasked(run, document):
    before = sorted(document.parent.iterdir())
    code, out, _ = run("fit", document, "--draws", "200")
    assert code == 0
    assert "Links of the chain" in out
    assert "chi-square" in out
    assert sorted(document.parent.iterdir()) == before


def test_lines_end_between_words_on_a_screen_and_stay_whole_in_a_file(run, document, screen):
    _, whole, _ = run("fit", document, "--draws", "200")
    screen(80)
    _, out, _ = run("fit", document, "--draws", "200")
    assert max(len(line.rstrip()) for line in out.splitlines()) <= 80
    notes = [line for line in whole.splitlines() if line.startswith(("warning ", "info ", "Fit: "))]
    assert len(notes) > 2
    assert max(map(len, notes)) > 80
    assert all(note in " ".join(out.split()) for note in notes)


def test_intervals_do_not_read_as_zero_beside_zero(run, document):
    _, out, _ = run("fit", document, "--draws", "200")
    assert not re.search(r"-0\.0+ to|to -0\.0+\b", out)


def test_the_version_is_said(run):
    assert run("--version")[:2] == (0, version("service-profit-chain") + "\n")


def test_both_sides_can_be_fitted_at_once(run, document):
    code, out, err = run("fit", document, "--draws", "200", "--method", "two_sided", "--json")
    assert code == 0, err
    chain = spc.fit_chain(spc.read_study(document), draws=200, method="two_sided")
    links = [row["estimate"] for row in json.loads(out)["tidy"] if row["kind"] == "link"]
    assert links == pytest.approx(chain.tidy().query("kind == 'link'")["estimate"].tolist())


def test_fit_as_json_has_the_numbers_of_the_library(run, document):
    _, out, _ = run("fit", document, "--draws", "200", "--json")
    printed = json.loads(out)
    chain = spc.fit_chain(spc.read_study(document), draws=200)
    links = chain.tidy().query("kind == 'link'")
    shown = [row for row in printed["tidy"] if row["kind"] == "link"]
    assert [row["estimate"] for row in shown] == pytest.approx(links["estimate"].tolist())
    assert printed["glance"][0]["df"] == chain.glance()["df"].item()


def test_run_writes_everything_once_and_again_only_when_forced(run, document, tmp_path):
    words = ["run", document, "--output", tmp_path / "out", "--draws", "200"]
    code, out, err = run(*words)
    assert code == 0, err
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert {"report.html", "chain.csv", "study.csv", "loyalty.csv", "drivers.csv"} <= set(written)
    assert "Wrote" in out
    code, _, err = run(*words)
    assert code == 2
    assert "report.html" in err
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == written
    assert run(*words, "--force")[0] == 0


def test_report_does_not_write_over_a_file(run, document, tmp_path):
    page = tmp_path / "page.html"
    page.write_text("mine")
    code, _, err = run("report", document, "-o", page, "--draws", "200")
    assert code == 2
    assert "page.html" in err
    assert page.read_text() == "mine"


def test_report_is_written_in_the_format_of_its_ending(run, document, tmp_path):
    pytest.importorskip("pptx")
    code, out, err = run("report", document, "-o", tmp_path / "board.pptx", "--draws", "200")
    assert code == 0, err
    assert (tmp_path / "board.pptx").read_bytes().startswith(b"PK")
    assert "board.pptx" in out
    assert (tmp_path / "board_confidentiality.csv").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("page.docx", ".pptx or .xlsx"),
        ("page.pptx", "[slides]"),
        ("seen.html", "seen_confidentiality.csv"),
        ("", "folder"),
    ],
)
def test_a_report_that_cannot_be_written_is_refused_before_the_fit(run, document, tmp_path, monkeypatch, name, said):
    monkeypatch.setitem(sys.modules, "pptx", None)
    monkeypatch.setattr("spc.scenario.fit_study", lambda *given, **options: 1 / 0)
    (tmp_path / "seen_confidentiality.csv").write_text("mine")
    code, _, err = run("report", document, "-o", tmp_path / name)
    assert code == 2
    assert said in " ".join(err.split())


def test_loyalty_and_drivers(run, document):
    code, out, _ = run("loyalty", document, "--json")
    assert code == 0
    assert {"retention", "clv", "uplift_money"} <= {row["kind"] for row in json.loads(out)["tidy"]}
    _, out, _ = run("loyalty", document)
    assert re.search(r"retention, per year +\d\d\.\d% +\d\d\.\d% to \d\d\.\d%", out)
    assert "25.0% to 85.0%" in out
    code, out, _ = run("drivers", document, "--draws", "100")
    assert code == 0
    assert "Key drivers" in out


def test_demo_says_how_far_it_is_from_the_truth(run, tmp_path):
    code, out, err = run("demo", tmp_path / "firm", "--units", "25", "--draws", "200", "--json")
    assert code == 0, err
    shown = json.loads(out)
    assert len(shown["recovery"]) == 9
    assert all(row["truth"] for row in shown["recovery"])
    assert [row["truth"] for row in shown["recovery_unit_means"]] == [row["truth"] for row in shown["recovery"]]
    assert (tmp_path / "firm" / "results" / "report.html").exists()


def test_a_study_without_customers_has_no_loyalty_in_money(run, tmp_path):
    document = spc.make_firm(seed=4, units=20, ledger=False).write(tmp_path)
    code, _, err = run("loyalty", document)
    assert code == 2
    assert "[tables.customers]" in err


def test_an_interrupt_within_the_making_of_a_class_is_an_interrupt(run, monkeypatch):
    class Field:
        def __set_name__(self, owner, name):
            raise KeyboardInterrupt

    monkeypatch.setattr("spc.contracts.schema_names", lambda: type("Source", (), {"origin": Field()}))
    code, _, err = run("schema")
    assert code == 130
    assert "a fault of spc" not in err


def test_our_own_fault_is_said_without_a_traceback(run, monkeypatch):
    monkeypatch.setattr("spc.contracts.schema_names", lambda: 1 / 0)
    code, _, err = run("schema")
    assert code == 1
    assert "a fault of spc" in err
    assert "Traceback" not in err


def test_the_console_command_is_there():
    out = subprocess.run([sys.executable, "-m", "spc", "schema"], capture_output=True, text=True, check=True)
    assert out.stdout.split() == list(spc.schema_names())


def test_power_says_what_a_plan_finds(run):
    words = ["power", "--units", 40, "--employees", 8, "--customers", 20, "--firms", 20]
    code, out, _ = run(*words, "--link", "customer_value~employee_loyalty=0.5")
    assert code == 0
    assert "employee_loyalty -> customer_value" in out
    code, out, _ = run(*words, "--json")
    assert code == 0
    assert {"power", "needs", "glance", "notes"} <= set(json.loads(out))


def test_power_plans_from_a_pilot(run, tmp_path):
    pilot = spc.make_firm(seed=2, units=60).write(tmp_path / "pilot")
    words = ["power", "--pilot", pilot, "--units", 80, "--firms", 20, "--json"]
    code, out, _ = run(*words, "--link", "customer_value~employee_loyalty=0.2", "--icc", "customer_value=0.1")
    assert code == 0
    assert json.loads(out)["glance"][0]["units"] == 80
    assert 0.2 in [row["truth"] for row in json.loads(out)["power"]]
    code, out, err = run(*words, "--link", "customer_value~mood=0.2")
    assert code == 2
    assert "customer_value ~ mood is no link of the pilot" in out + err
    code, _, err = run("power", "--units", 80)
    assert code == 2
    assert "--pilot" in err


@pytest.mark.parametrize(
    "option", [["--link", "customer_value=0.5"], ["--icc", "mood=0.1"], ["--icc", "customer_value"]]
)
def test_slips_in_a_plan_end_in_2_and_say_what_to_write(run, option):
    code, _, err = run("power", "--units", 40, "--employees", 8, "--customers", 20, *option)
    assert code == 2
    assert "Traceback" not in err
    assert option[1].split("=")[0] in err or "construct" in err


def test_simulate_says_what_a_change_brings(run, document, tmp_path):
    words = ["simulate", document, "--change", "internal_service_quality=+0.2", "--draws", 200]
    code, out, _ = run(*words, "--cost", "internal_service_quality=1000", "--ramp", "internal_service_quality=2")
    assert code == 0
    assert "Customer loyalty" in out
    assert "Chance of a loss" in out
    code, out, _ = run(*words, "--json", "-o", tmp_path / "tables")
    assert code == 0
    rows = {(row["kind"], row["lhs"], row["rhs"]): row["estimate"] for row in json.loads(out)["tidy"]}
    assert rows["moved", "internal_service_quality", "1"] == pytest.approx(0.2)
    assert any((tmp_path / "tables").iterdir())


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--change", "internal_service_quality"], "write a name"),
        (["--change", "internal_quality=1"], "did you mean"),
        (["--change", "customer_value=0.1", "--cost", "value=3"], "no --change of value"),
        (["--change", "customer_value=0.1", "--change", "customer_value=0.2"], "once"),
        (["--change", "customer_value=0.1", "--lag", "customer_value~nothing=1"], "links of the chain"),
        (["--change", "customer_value=0.1", "--ramp", "customer_value=1.5"], "whole number"),
        (["--change", "customer_value=0.1", "--lasts", "customer_value=nan"], "whole number"),
        (["--change", "customer_value=0.1", "--lag", "customer_satisfaction~customer_value=0.5"], "whole number"),
    ],
)
def test_slips_in_a_scenario_end_in_2_and_say_what_to_write(run, document, option, words):
    code, _, err = run("simulate", document, *option, "--draws", 200)
    assert code == 2
    assert words in err
