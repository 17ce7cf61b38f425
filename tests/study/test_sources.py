"""Tables of a study that are on its cluster; here a frame stands for each of them."""

from __future__ import annotations

import pandas as pd
import pytest

from spc.errors import DataError
from spc.sources import spark
from spc.sources.raw import MAX_CELL
from spc.sources.relation import open_relation
from spc.study import init_study, load_document, read_study

ENGINE = '[sources]\nengine = "spark"\nmaster = "spark://here:7077"\n[study]\nallow_outside = true'


@pytest.fixture
def study(tmp_path):
    return init_study(tmp_path / "study")


@pytest.fixture
def cluster(study, monkeypatch):
    """What is in the catalogue and at addresses: the files of the study."""
    asked = []

    def opened(place, *, table, name, master, options):
        asked.append((place, table, name, master))
        return open_relation(study.parent / f"{'units' if table else 'employees'}.csv", name=name)

    monkeypatch.setattr(spark, "spark_table", opened)
    return asked


def moved(study):
    text = study.read_text().replace("[study]", ENGINE, 1)
    text = text.replace('file = "units.csv"', 'table = "books.units"')
    study.write_text(text.replace('file = "employees.csv"', 'file = "s3a://books/employees"\nmissing = [-99]'))
    return study


def test_answers_and_units_are_brought_here(study, cluster):
    near = read_study(study)
    far = read_study(moved(study))
    assert cluster == [
        ("s3a://books/employees", None, "employee_responses", "spark://here:7077"),
        (None, "books.units", "units", "spark://here:7077"),
    ]
    for name, table in near.tables.items():
        pd.testing.assert_frame_equal(far.tables[name], table)


def test_without_a_cluster_there_is_no_catalogue(study):
    text = moved(study).read_text()
    study.write_text(text.replace('engine = "spark"\nmaster = "spark://here:7077"', 'engine = "duckdb"'))
    rules = {(one.column, one.rule) for one in load_document(study)[1]}
    assert ("tables.units.file", "missing_key") in rules
    assert any(rule.startswith("file_") for column, rule in rules if column == "tables.employee_responses.file")


def test_what_would_fill_the_memory_is_refused(study, monkeypatch):
    frame = pd.DataFrame({"unit": ["a"], "revenue_growth": [1.0], "remark": ["x" * (4 * MAX_CELL + 1)]})
    monkeypatch.setattr(spark, "spark_table", lambda *_, name, **__: open_relation(frame, name=name))
    with pytest.raises(DataError, match="more text than any answer"):
        read_study(moved(study))
