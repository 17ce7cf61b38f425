"""The schema files: found, strict, complete."""

from __future__ import annotations

from pathlib import Path

import pytest

from spc.contracts import load_schema, parse_schema, schema_names, schema_text
from spc.contracts.files import schema_folder
from spc.errors import DataError, UsageError

TABLES = [name for name in schema_names() if name != "study"]
SMALL = "name: t\ntitle: T\ndescription: D\nfields: [{name: a, type: number, title: A, description: A}]\n"
BLOCK = "spc: {side: unit}\n"


def rules(text):
    with pytest.raises(DataError) as caught:
        parse_schema(text)
    return {finding.rule for finding in caught.value.findings}, str(caught.value)


@pytest.mark.parametrize("name", TABLES)
def test_every_table_schema_loads_under_its_own_name(name):
    schema = load_schema(name)
    assert schema.name == name
    assert all(field.title and len(field.description) > 20 for field in schema.fields)
    assert schema.primary_key[0] in schema.names


@pytest.mark.parametrize("name", TABLES)
def test_foreign_keys_point_to_columns_that_exist(name):
    for key in load_schema(name).foreign_keys:
        assert key.reference in load_schema(key.resource).names


def test_study_schema_is_a_valid_strict_json_schema():
    import yaml
    from jsonschema import Draft202012Validator

    schema = yaml.safe_load(schema_text("study"))
    Draft202012Validator.check_schema(schema)
    objects = [schema, *schema["properties"].values(), *schema["$defs"].values()]
    assert all("additionalProperties" in part for part in objects if part.get("type") == "object")
    assert set(schema["properties"]["tables"]["properties"]) == set(TABLES)


def test_unknown_name_tells_the_nearest():
    with pytest.raises(UsageError, match="Did you mean 'customers'"):
        schema_text("custmers")


def test_the_study_document_is_not_a_table():
    with pytest.raises(UsageError, match="not of a table"):
        load_schema("study")


@pytest.mark.parametrize(
    ("text", "rule", "words"),
    [
        (SMALL + "primaryKeys: [a]\n" + BLOCK, "schema_key", "Did you mean 'primaryKey'"),
        (
            SMALL.replace("description: A}", "description: A, constraints: {minimun: 0}}") + BLOCK,
            "schema_key",
            "minimum",
        ),
        (SMALL.replace("type: number", "type: nubmer") + BLOCK, "schema_value", "nubmer"),
        (SMALL + "primaryKey: [b]\n" + BLOCK, "schema_value", "'b' is no field"),
        (SMALL + "spc: {side: unit, sidde: x}\n", "schema_key", "Did you mean 'side'"),
        (SMALL + BLOCK + BLOCK, "schema_text", "twice"),
        (SMALL + "spc: [", "schema_text", "line"),
        ("just text", "schema_value", "just text"),
        ("", "schema_value", "None"),
    ],
)
def test_a_fault_in_a_schema_file_is_refused(text, rule, words):
    found, message = rules(text)
    assert found == {rule}
    assert words in message


def test_field_of_an_unknown_name():
    with pytest.raises(KeyError, match="has no column 'colour'"):
        load_schema("units").field("colour")


def test_the_wheel_would_carry_every_schema():
    import tomllib

    project = Path(schema_folder()).parent / "pyproject.toml"
    if not project.is_file():
        pytest.skip("installed from a wheel")
    build = tomllib.loads(project.read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert build["force-include"] == {"data_schemas": "spc/data_schemas"}


def test_a_folder_inside_the_package_is_found_first(tmp_path, monkeypatch):
    import spc.contracts.files as files

    inside = tmp_path / "spc" / "data_schemas"
    inside.mkdir(parents=True)
    (inside / "study.yaml").write_text("title: inside")
    monkeypatch.setattr(files, "__file__", str(tmp_path / "spc" / "contracts" / "files.py"))
    assert files.schema_folder() == inside
    (inside / "study.yaml").unlink()
    with pytest.raises(FileNotFoundError, match="install the package again"):
        files.schema_folder()
