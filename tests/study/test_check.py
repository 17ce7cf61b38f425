"""The report of a check."""

from __future__ import annotations

import pandas as pd
import pytest

from spc.study import check_study
from spc.synthetic import make_firm


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return make_firm(seed=2, units=12, employees=8, customers=9, accounts=4).write(tmp_path_factory.mktemp("firm"))


def test_a_made_up_firm_has_no_errors(path):
    report = check_study(path)
    assert report.ok
    assert report.errors == ()
    assert len(report.frame()) == len(report.findings)


def test_the_summary_counts_what_the_files_hold(path):
    tables = check_study(path).tables.set_index("table")
    for name, file in {
        "employee_responses": "employees.csv",
        "units": "units.csv",
        "customers": "accounts.csv",
    }.items():
        raw = pd.read_csv(path.parent / file)
        assert tables.loc[name, "rows"] == len(raw)
        assert tables.loc[name, "units"] == raw["unit"].nunique() == 12
        assert tables.loc[name, "file"] == file
    assert tables["format"].tolist() == ["csv"] * 4
    assert tables["waves"].isna().all()


def test_a_table_that_cannot_be_read_has_no_counts(tmp_path):
    path = make_firm(seed=2, units=12, employees=8, customers=9, accounts=4).write(tmp_path)
    (tmp_path / "units.csv").write_text("")
    tables = check_study(path).tables.set_index("table")
    assert pd.isna(tables.loc["units", "rows"])
    assert tables.loc["customers", "rows"] > 0


def test_warnings_alone_are_no_fault(tmp_path):
    path = make_firm(seed=2, units=12, employees=8, customers=9, accounts=4).write(tmp_path)
    units = (tmp_path / "units.csv").read_text()
    (tmp_path / "units.csv").write_text(units + "U99,Nowhere,North,0.1,0.2\n")
    report = check_study(path)
    assert report.ok
    assert "unused_key" in [finding.rule for finding in report.warnings]


def test_a_document_that_cannot_be_read_gives_an_empty_summary(tmp_path):
    report = check_study(tmp_path / "study.toml")
    assert not report.ok
    assert report.tables.empty
    assert report.frame()["rule"].tolist() == ["document_missing"]
