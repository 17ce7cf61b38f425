"""Departures from the schema of the document, in words."""

from __future__ import annotations

import pytest

from spc.study.document import document_schema
from spc.study.structure import describe, nearest, structure

SOUND = {
    "study": {"name": "Harbour"},
    "tables": {"units": {"file": "u.csv"}},
    "constructs": {"growth": {"table": "units", "items": ["g"]}},
}


def found(**parts):
    sound, findings = structure({**SOUND, **parts}, document_schema(), document="study.toml", text="")
    return sound, findings


def test_a_sound_document_has_no_findings_and_is_returned_whole():
    sound, findings = found()
    assert findings == []
    assert sound == SOUND


def test_the_schema_itself_is_a_valid_schema():
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(document_schema())


def test_unknown_keys_of_every_depth_name_the_nearest():
    _, findings = found(money={"discuont": 0.1}, chian={}, study={"name": "a", "sed": 1})
    hints = {finding.column: finding.hint for finding in findings}
    assert hints["money.discuont"] == "Did you mean 'discount'?"
    assert hints["chian"] == "Did you mean 'chain'?"
    assert hints["study.sed"] == "Did you mean 'seed'?"


def test_an_unknown_key_is_dropped_and_its_part_kept():
    sound, _ = found(money={"discuont": 0.1, "horizon": 3})
    assert sound["money"] == {"horizon": 3}


def test_a_faulty_construct_is_dropped_and_the_others_kept():
    constructs = {**SOUND["constructs"], "bad": {"table": "units", "items": "x"}}
    sound, findings = found(constructs=constructs)
    assert set(sound["constructs"]) == {"growth"}
    assert [f.rule for f in findings] == ["wrong_type"]


def test_all_findings_come_at_once():
    _, findings = found(
        study={"name": ""},
        tables={"unit": {"file": "u.csv"}, "units": {"flie": "u.csv"}},
        money={"points": 5, "discount": float("nan"), "horizon": True},
        disclosure={"minimum_group": 1},
    )
    rules = sorted(finding.rule for finding in findings)
    assert rules == sorted(
        ["empty_text", "unknown_key", "unknown_key", "outside_range", "not_finite", "wrong_type", "outside_range"]
    )


@pytest.mark.parametrize(("points", "says"), [(5, "write 0.05"), (12.5, "write 0.125"), (1000, "0.05 is five percent")])
def test_a_percentage_where_a_fraction_belongs_is_recalculated(points, says):
    _, findings = found(money={"points": points})
    assert says in findings[0].hint


def test_a_whole_number_is_not_true():
    _, findings = found(disclosure={"minimum_group": True})
    assert findings[0].found == "true"
    assert findings[0].expected == "a whole number"


@pytest.mark.parametrize(
    ("value", "words"),
    [("a" * 100, "the text '" + "a" * 58 + "…"), (10**40, "a number of more than 30 digits"), (2.5, "2.5")],
)
def test_values_in_words(value, words):
    assert describe(value) == words


def test_nearest_falls_back_on_all():
    assert nearest("zzz", ["discount", "horizon"]) == "There are: discount, horizon."
    assert nearest("zzz", []) == "There are: none."
