"""The study as a result, and its scores."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from spc.errors import UsageError
from spc.results import TIDY_COLUMNS, Result
from spc.study import person_scores, read_study, unit_scores
from spc.survey import alpha
from spc.synthetic import make_firm


def firm_study(folder, **plan):
    return read_study(
        make_firm(**{"seed": 3, "units": 14, "employees": 9, "customers": 11, "accounts": 5, **plan}).write(folder)
    )


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return firm_study(tmp_path_factory.mktemp("firm"))


@pytest.fixture(scope="module")
def waves(tmp_path_factory):
    return firm_study(tmp_path_factory.mktemp("waves"), waves=3)


def test_it_answers_the_protocol_and_is_frozen(study):
    assert isinstance(study, Result)
    assert study.kind == "study"
    assert tuple(study.tidy().columns) == TIDY_COLUMNS
    with pytest.raises(dataclasses.FrozenInstanceError):
        study.tables = {}
    with pytest.raises(TypeError):
        study.tables["units"] = None


def test_tidy_has_reliability_and_agreement_of_every_scale(study):
    tidy = study.tidy()
    scales = {c.name for c in study.codebook if c.table != "units"}
    for kind in ("alpha", "omega", "icc1_anova", "icc2_anova", "rwg_uniform"):
        assert set(tidy.loc[tidy["kind"] == kind, "lhs"]) == scales
    assert "revenue_growth" not in set(tidy["lhs"])


def test_alpha_is_that_of_the_answers_turned_round(study):
    table = study.tables["employee_responses"]
    items = table[["es1", "es2"]].assign(es3=8 - table["es3"])
    tidy = study.tidy()
    row = tidy[(tidy["lhs"] == "employee_satisfaction") & (tidy["kind"] == "alpha")].iloc[0]
    expected = alpha(items)
    assert row["estimate"] == pytest.approx(expected.estimate, abs=1e-12)
    assert row["conf_low"] == pytest.approx(expected.conf_low, abs=1e-12)


def test_glance_counts(study):
    row = study.glance().iloc[0]
    employees = study.tables["employee_responses"]
    assert row["employee_responses"] == len(employees)
    assert row["units"] == 14
    assert row["waves"] == 0
    items = [item for c in study.codebook if c.table == "employee_responses" for item in c.items]
    assert row["share_missing_employee"] == pytest.approx(employees[items].isna().to_numpy().mean())


def test_unit_scores_are_means_of_person_scores(study):
    wide = unit_scores(study)
    people = person_scores(study, "employee")
    unit = wide.index[0]
    own = people[people["unit"] == unit]
    assert wide.loc[unit, "employee_loyalty"] == pytest.approx(own["employee_loyalty"].mean())
    assert wide.loc[unit, "n_employee"] == len(own)
    units = study.tables["units"].set_index("unit")
    np.testing.assert_allclose(wide["profitability"], units["profitability"].reindex(wide.index))
    assert list(wide.columns)[:9] == [c.name for c in study.codebook]


def test_unit_scores_by_wave(waves):
    wide = unit_scores(waves)
    assert wide.index.names == ["unit", "wave"]
    assert len(waves.waves) == 3
    people = person_scores(waves, "customer")
    unit, wave = wide.index[4]
    own = people[(people["unit"] == unit) & (people["wave"] == wave)]
    assert wide.loc[(unit, wave), "customer_value"] == pytest.approx(own["customer_value"].mean())


def test_quality_is_that_of_the_latest_wave(waves):
    table = waves.tables["employee_responses"]
    last = table[table["wave"] == table["wave"].max()]
    expected = alpha(last[["ep1", "ep2", "ep3"]]).estimate
    tidy = waves.tidy()
    row = tidy[(tidy["lhs"] == "employee_productivity") & (tidy["kind"] == "alpha")].iloc[0]
    assert row["estimate"] == pytest.approx(expected, abs=1e-12)


def test_a_unit_that_lacks_a_side_says_so(tmp_path):
    path = make_firm(seed=3, units=14, employees=9, customers=11, accounts=5).write(tmp_path)
    customers = pd.read_csv(tmp_path / "customers.csv")
    customers[customers["unit"] != "U01"].to_csv(tmp_path / "customers.csv", index=False)
    wide = unit_scores(read_study(path))
    assert wide.loc["U01", "missing"] == "customer"
    assert wide.loc["U01", "n_customer"] == 0
    assert np.isnan(wide.loc["U01", "customer_value"])
    assert (wide["missing"] == "customer").sum() == 1


@pytest.mark.parametrize(("side", "other"), [("employee", "customer"), ("customer", "employee")])
def test_one_side_alone_is_an_ordinary_study(tmp_path, side, other):
    study = firm_study(tmp_path, sides=(side,), ledger=False)
    assert study.money is None
    assert not study.tidy().empty
    assert f"n_{other}" not in unit_scores(study)
    with pytest.raises(UsageError, match=f"it has: {side}"):
        person_scores(study, other)
    assert np.isnan(study.glance().iloc[0][f"share_missing_{other}"])


def test_no_units_no_unit_scores(tmp_path):
    (tmp_path / "study.toml").write_text(
        '[study]\nname = "a"\n[tables.customer_responses]\nfile = "a.csv"\n'
        '[constructs.value]\ntable = "customer_responses"\nitems = ["v1", "v2"]\nscale = [1, 5]\n'
    )
    rows = "".join(f"r{i},{1 + i % 5},{1 + (i + i // 7) % 5}\n" for i in range(20))
    (tmp_path / "a.csv").write_text("respondent,v1,v2\n" + rows)
    study = read_study(tmp_path / "study.toml")
    with pytest.raises(UsageError, match="no units"):
        unit_scores(study)
    assert set(study.tidy()["kind"]) == {"alpha", "spearman_brown"}


def test_the_fingerprint_follows_the_data_and_the_document(tmp_path, study):
    again = firm_study(tmp_path / "again")
    assert again.fingerprint == study.fingerprint
    other = firm_study(tmp_path / "other", missing=0.1)
    assert other.fingerprint != study.fingerprint


def test_scoring_leaves_the_tables_alone(study):
    before = {name: table.copy(deep=True) for name, table in study.tables.items()}
    unit_scores(study), study.tidy(), study.notes()
    for name, table in study.tables.items():
        pd.testing.assert_frame_equal(table, before[name])


def test_notes_on_small_units_count_them_and_name_none(tmp_path):
    document = make_firm(seed=1, units=12, employees=12, customers=12).write(tmp_path)
    rows = pd.read_csv(tmp_path / "employees.csv")
    keep = (rows["unit"] != "U03") | (rows.groupby("unit").cumcount() < 2)
    rows[keep].to_csv(tmp_path / "employees.csv", index=False)
    notes = [note for note in read_study(document).notes() if note.code == "small_unit"]
    assert any("1 of 12 units" in note.text for note in notes)
    assert not any("U03" in note.text for note in notes)
