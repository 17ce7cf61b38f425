"""From files to a study: formats, columns, codes, and everything found at once."""

from __future__ import annotations

import pandas as pd
import pytest

from spc.errors import DataError
from spc.study import check_study, read_study
from spc.synthetic import make_firm

FIRM = make_firm(seed=4, units=12, employees=10, customers=10, accounts=5)
DOCUMENT = """\
[study]
name = "Harbour"

[tables.employee_responses]
file = "{file}"
{more}

[constructs.employee_satisfaction]
table = "employee_responses"
items = ["es1", "es2", "es3"]
scale = [1, 7]
reverse = ["es3"]
"""


@pytest.fixture
def employees():
    frame = FIRM.tables["employee_responses"]
    return frame[["respondent", "unit", "es1", "es2", "es3"]].reset_index(drop=True)


@pytest.fixture
def study(tmp_path):
    def write(frame, file="employees.csv", more="", document=DOCUMENT):
        _write(frame, tmp_path / file)
        path = tmp_path / "study.toml"
        path.write_text(document.format(file=file, more=more))
        return path

    return write


def _write(frame, path):
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".xlsx":
        frame.to_excel(path, index=False)
    elif path.suffix == ".sav":
        import pyreadstat

        pyreadstat.write_sav(frame, str(path))
    else:
        _with_duckdb(frame, path)


def _with_duckdb(frame, path):
    import duckdb

    if path.suffix == ".parquet":
        with duckdb.connect() as base:
            base.register("answers", frame)
            base.execute(f"COPY answers TO '{path}' (FORMAT parquet)")
        return
    with duckdb.connect(str(path)) as base:
        base.register("given", frame)
        base.execute("CREATE TABLE answers AS SELECT * FROM given")


@pytest.mark.parametrize("suffix", ["xlsx", "sav", "parquet", "duckdb"])
def test_every_format_gives_the_same_table(study, employees, suffix):
    expected = read_study(study(employees)).tables["employee_responses"]
    table = read_study(study(employees, f"employees.{suffix}")).tables["employee_responses"]
    pd.testing.assert_frame_equal(table, expected, check_dtype=False)


def test_missing_codes_become_missing(study, employees):
    employees["es1"] = employees["es1"].fillna(-99)
    before = (employees["es1"] == -99).sum()
    assert before > 0
    table = read_study(study(employees, more="missing = [-99]")).tables["employee_responses"]
    assert table["es1"].isna().sum() == before
    assert table["es1"].min() >= 1


def test_columns_are_renamed_joined_and_the_rest_left_behind(study, employees):
    raw = employees.rename(columns={"respondent": "SUBNUM"}).assign(BTN=7, COMPANY=employees["unit"], secret="x")
    raw = raw.drop(columns="unit")
    more = 'columns = { respondent = "SUBNUM", unit = ["BTN", "COMPANY"] }'
    table = read_study(study(raw, more=more)).tables["employee_responses"]
    assert list(table.columns) == ["respondent", "unit", "es1", "es2", "es3"]
    assert table["unit"].tolist() == [f"7-{unit}" for unit in employees["unit"]]


def test_an_item_may_be_renamed_too(study, employees):
    raw = employees.rename(columns={"es1": "Frage 1"})
    table = read_study(study(raw, more='columns = { es1 = "Frage 1" }')).tables["employee_responses"]
    pd.testing.assert_series_equal(table["es1"], employees["es1"], check_dtype=False)


def test_answers_are_kept_as_given_and_turned_round_only_for_scores(study, employees):
    table = read_study(study(employees)).tables["employee_responses"]
    pd.testing.assert_series_equal(table["es3"], employees["es3"], check_dtype=False)


def test_people_without_code_or_unit_are_an_ordinary_study(study, employees):
    read = read_study(study(employees.drop(columns=["respondent", "unit"])))
    assert next(note.code for note in read.notes()) == "recommended_column"
    assert read.units == ()
    assert len(read.tables["employee_responses"]) == len(employees)


def test_numbers_and_texts_of_one_unit_code_meet(tmp_path, employees):
    employees["unit"] = pd.factorize(employees["unit"])[0] + 1
    employees.to_csv(tmp_path / "employees.csv", index=False)
    units = pd.DataFrame({"unit": [f"{i}.0" for i in range(1, 13)], "name": [f"Town {i}" for i in range(1, 13)]})
    units.to_excel(tmp_path / "units.xlsx", index=False)
    text = DOCUMENT.format(file="employees.csv", more='[tables.units]\nfile = "units.xlsx"\n')
    (tmp_path / "study.toml").write_text(text)
    study = read_study(tmp_path / "study.toml")
    assert len(study.units) == 12


def test_lines_are_those_of_the_file(study, employees):
    path = study(employees)
    rows = (path.parent / "employees.csv").read_text().splitlines()
    rows[5] = rows[5].rsplit(",", 1)[0] + ",9"
    (path.parent / "employees.csv").write_text("\n".join([*rows[:3], "", *rows[3:]]))
    (finding,) = check_study(path).errors
    assert (finding.rule, finding.column, finding.rows) == ("outside_scale", "es3", (7,))


def test_everything_is_found_at_once_in_a_stable_order(tmp_path, employees):
    firm = make_firm(seed=4, units=12, employees=10, customers=10, accounts=5)
    path = firm.write(tmp_path)
    text = path.read_text().replace('"es2"', '"es22"').replace("minimum_group = 5", "minimum_group = 1")
    path.write_text(text)
    customers = (tmp_path / "customers.csv").read_text().splitlines()
    customers[4] = customers[4].rsplit(",", 1)[0] + ",77"
    (tmp_path / "customers.csv").write_text("\n".join(customers))
    (tmp_path / "units.csv").write_bytes(b"\x00\x01")
    report = check_study(path)
    assert [(f.table, f.rule) for f in report.errors] == [
        ("study.toml", "outside_range"),
        ("units", "null_byte"),
        ("employee_responses", "missing_item"),
        ("customer_responses", "outside_scale"),
    ]
    assert check_study(path).findings == report.findings
    with pytest.raises(DataError) as caught:
        read_study(path)
    assert caught.value.findings == report.findings


def test_an_absent_mapped_column_is_said_once(study, employees):
    report = check_study(study(employees, more='columns = { respondent = "SUBNUM", es1 = "Q1" }'))
    about = [(f.rule, f.column) for f in report.findings]
    assert about.count(("missing_column", "respondent")) == 1
    assert [column for _, column in about].count("respondent") == 1


WAVES = (
    DOCUMENT
    + """
[constructs.employee_loyalty]
table = "employee_responses"
items = ["el1", "el2", "el3"]
scale = [1, 7]
reverse = ["el2"]

[chain]
model = "employee_loyalty ~ employee_satisfaction"
{chain}
"""
)
LAG = '[[chain.lags]]\nfrom = "employee_satisfaction"\nto = "employee_loyalty"\nwaves = 1\n'


@pytest.mark.parametrize(
    ("waves", "chain", "rule"),
    [
        (1, LAG, "lag_without_waves"),
        (2, LAG, None),
        (2, "wave = 9", "unknown_wave"),
        (2, "wave = 2", None),
        (1, "wave = 1", "unknown_wave"),
    ],
)
def test_waves_that_the_chain_asks_for_must_be_there(tmp_path, waves, chain, rule):
    firm = make_firm(seed=4, units=12, employees=10, sides=("employee",), ledger=False, waves=waves)
    firm.tables["employee_responses"].to_csv(tmp_path / "employees.csv", index=False)
    path = tmp_path / "study.toml"
    path.write_text(WAVES.format(file="employees.csv", more="", chain=chain))
    assert [f.rule for f in check_study(path).errors] == ([rule] if rule else [])


@pytest.mark.parametrize(("money", "rules"), [
    ("", set()),
    ('[money]\nretention_model = "bg-nbd"\n', set()),
    ("[money]\nhorizon = 5\n", {"incomplete_set"}),
])  # fmt: skip
def test_customers_say_how_long_they_stay_only_where_that_is_asked(tmp_path, money, rules):
    (tmp_path / "people.csv").write_text("customer,segment\na,x\nb,y\n")
    (tmp_path / "sales.csv").write_text("transaction,customer,date,amount\nT1,a,2025-01-05,10\nT2,b,2025-02-05,20\n")
    tables = '[tables.transactions]\nfile = "sales.csv"\n[tables.customers]\nfile = "people.csv"\n'
    (tmp_path / "study.toml").write_text(f'[study]\nname = "Books"\ncurrency = "EUR"\n{tables}{money}')
    assert {finding.rule for finding in check_study(tmp_path).findings if finding.severity == "error"} == rules


def test_columns_that_nothing_reads_are_no_findings(study, employees):
    idle = employees.assign(finished=1, surname=None, paid="1,234")
    assert read_study(study(idle)).findings == read_study(study(employees, "again.csv")).findings


def test_titles_above_the_headings_are_one_finding(study, employees):
    rows = pd.DataFrame([["Survey 2026", *[None] * 4], list(employees.columns), *employees.to_numpy().tolist()])
    path = study(employees)
    rows.to_csv(path.parent / "employees.csv", index=False, header=False)
    assert [finding.rule for finding in check_study(path).findings] == ["titles_above"]
