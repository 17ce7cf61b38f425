"""Every format gives the same table and the same findings."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
import pytest

from spc.contracts import check_items, check_table, check_units, load_schema
from spc.errors import DataError, MissingExtraError, UsageError
from spc.sources import read_table

FORMATS = ("csv", "tsv", "parquet", "duckdb", "xlsx", "sav")


def survey():
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "respondent": [f"{i:04d}" for i in range(60)],
            "unit": [f"Ünit {i % 4}" for i in range(60)],
            "wave": [2025 + i % 2 for i in range(60)],
            "q1": rng.integers(1, 8, 60),
            "q2": rng.integers(1, 8, 60).astype(float),
            "sales": np.round(rng.normal(100, 10, 60), 2),
        }
    )
    frame.loc[3, "q2"] = np.nan
    frame.loc[5, "q1"] = 9
    frame.loc[7, "unit"] = None
    frame.loc[9, "respondent"] = "0001"
    frame.loc[9, "wave"] = 2026
    return frame


def write(frame, folder, suffix):
    path = folder / f"staff.{suffix}"
    if suffix in ("csv", "tsv"):
        frame.to_csv(path, index=False, sep="," if suffix == "csv" else "\t")
    elif suffix in ("parquet", "duckdb"):
        with duckdb.connect(":memory:" if suffix == "parquet" else str(path)) as connection:
            connection.register("frame", frame)
            if suffix == "parquet":
                connection.execute(f"COPY frame TO '{path}' (FORMAT parquet)")
            else:
                connection.execute("CREATE TABLE staff AS SELECT * FROM frame")
    elif suffix == "xlsx":
        pytest.importorskip("openpyxl")
        frame.to_excel(path, index=False)
    else:
        pytest.importorskip("pyreadstat").write_sav(frame, str(path))
    return path


def findings_of(source):
    schema, frame = load_schema("employee_responses"), source.frame
    found = check_table(frame, schema, table="t", line_offset=0, items=["q1", "q2"])
    found += check_items(frame, table="t", items=["q1", "q2"], low=1, high=7, line_offset=0)
    return [*found, *check_units(frame, table="t", line_offset=0)]


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_frame_comes_back(tmp_path, suffix):
    source = read_table(write(survey(), tmp_path, suffix))
    assert source.findings == ()
    pd.testing.assert_frame_equal(source.frame, survey(), check_dtype=False)
    assert {name: source.frame[name].dtype.kind for name in ("wave", "q1", "q2", "sales")} == {
        "wave": "i",
        "q1": "i",
        "q2": "f",
        "sales": "f",
    }


def test_the_same_findings_come_out(tmp_path):
    found = {suffix: findings_of(read_table(write(survey(), tmp_path, suffix))) for suffix in FORMATS}
    assert all(findings == found["csv"] for findings in found.values())
    assert {f.rule for f in found["csv"]} == {"duplicate_key", "outside_scale", "no_unit", "few_units"}


@pytest.mark.parametrize(("suffix", "line"), [("csv", 7), ("xlsx", 7), ("parquet", 6), ("sav", 6), ("duckdb", 6)])
def test_lines_are_those_of_the_file(tmp_path, suffix, line):
    source = read_table(write(survey(), tmp_path, suffix))
    (finding,) = check_items(source.frame, table="t", items=["q1"], low=1, high=7, line_offset=source.lines)
    assert finding.rows == (line,)


@pytest.mark.parametrize("suffix", FORMATS)
def test_missing_codes_in_every_format(tmp_path, suffix):
    frame = survey().assign(q1=lambda f: f["q1"].replace(9, -99), region=lambda f: np.where(f["q1"] > 3, "n/a", "West"))
    source = read_table(write(frame, tmp_path, suffix), missing=[-99, "n/a"])
    assert source.frame["q1"].isna().sum() == 1
    assert source.frame["q1"].min() >= 1
    assert set(source.frame["region"].dropna()) == {"West"}
    kept = read_table(source.path, missing=[-99], missing_in=["q2"])
    assert (kept.frame["q1"] == -99).sum() == 1


@pytest.mark.parametrize("suffix", FORMATS)
def test_only_some_columns(tmp_path, suffix):
    source = read_table(write(survey(), tmp_path, suffix), columns=["q2", "unit", "absent"])
    assert set(source.frame.columns) == {"unit", "q2"}
    assert len(source.frame) == 60


@pytest.mark.parametrize("suffix", FORMATS)
def test_rows_without_values_are_left_out_and_named(tmp_path, suffix):
    frame = pd.DataFrame({"q1": [1.0, np.nan, 3.0, 9.0], "q2": ["a", None, "b", "c"]})
    source = read_table(write(frame, tmp_path, suffix))
    (finding,) = source.findings
    first = 2 if suffix in ("csv", "tsv", "xlsx") else 1
    assert (finding.rule, finding.severity, finding.rows) == ("blank_row", "warning", (first + 1,))
    (outside,) = check_items(source.frame, table="t", items=["q1"], low=1, high=7, line_offset=source.lines)
    assert outside.rows == (first + 3,)


@pytest.mark.parametrize("suffix", ["parquet", "duckdb", "xlsx", "sav", "csv"])
def test_a_file_that_is_not_what_it_says(tmp_path, suffix):
    path = tmp_path / f"staff.{suffix}"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00" * 50)
    with pytest.raises(DataError) as caught:
        read_table(path, name="employee_responses")
    (finding,) = caught.value.findings
    assert finding.rule == ("null_byte" if suffix == "csv" else "damaged_file")
    assert finding.table == "employee_responses"


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_that_is_cut_off(tmp_path, suffix):
    path = write(survey(), tmp_path, suffix)
    path.write_bytes(path.read_bytes()[:200])
    try:
        source = read_table(path)
    except DataError as error:
        assert error.findings[0].rule in ("damaged_file", "huge_cell")
    else:
        assert suffix in ("csv", "tsv")
        assert source.findings or len(source.frame) < 60


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_empty_file(tmp_path, suffix):
    path = tmp_path / f"staff.{suffix}"
    path.touch()
    with pytest.raises(DataError) as caught:
        read_table(path)
    assert caught.value.findings[0].rule == "empty_file"


def test_an_absent_file_names_the_nearest(tmp_path):
    (tmp_path / "employees.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match=r"The nearest is 'employees\.csv'"):
        read_table(tmp_path / "employes.csv")
    with pytest.raises(DataError, match="There is no folder"):
        read_table(tmp_path / "nowhere" / "employes.csv")


def test_paths_that_are_no_tables(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        read_table(tmp_path)
    (tmp_path / "staff.pdf").write_text("x")
    with pytest.raises(DataError, match=r"ends in '\.pdf'; expected one of \.csv"):
        read_table(tmp_path / "staff.pdf")
    (tmp_path / "staff").write_text("x")
    with pytest.raises(DataError, match="has no suffix"):
        read_table(tmp_path / "staff")
    with pytest.raises(UsageError, match="is an address"):
        read_table("https://example.org/staff.csv")
    with pytest.raises(UsageError, match="null character"):
        read_table("staff\0.csv")


@pytest.mark.parametrize(
    ("suffix", "package", "library"),
    [("xlsx", "python-calamine", "python_calamine"), ("sav", "pyreadstat", "pyreadstat")],
)
def test_an_optional_package_that_is_not_installed(tmp_path, monkeypatch, suffix, package, library):
    import sys

    monkeypatch.setitem(sys.modules, library, None)
    path = tmp_path / f"staff.{suffix}"
    path.write_bytes(b"x")
    with pytest.raises(MissingExtraError, match=rf"needs {package}.*\[survey\]"):
        read_table(path)


def test_the_result_cannot_be_changed(tmp_path):
    source = read_table(write(survey(), tmp_path, "csv"))
    with pytest.raises(AttributeError):
        source.frame = None
    with pytest.raises(TypeError):
        source.labels["q1"] = "x"
