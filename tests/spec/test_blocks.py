"""Groups, levels and ordered items are completed as lavaan completes them."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import pytest

from spc.errors import SpcWarning
from spc.spec import Model, model

CASES = json.loads((Path(__file__).parents[1] / "reference" / "spec_partable_blocks.json").read_text(encoding="utf-8"))


def key(row) -> tuple:
    lhs, rhs = sorted((row["lhs"], row["rhs"])) if row["op"] == "~~" else (row["lhs"], row["rhs"])
    return row["group"], row["level"], lhs, row["op"], rhs


def built(case: dict) -> Model:
    plain = ("groups", "group_equal", "group_partial", "std_lv", "orthogonal", "fixed_x", "growth")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return model(case["text"], ordered=dict(case["ordered"]), **{name: case[name] for name in plain})


def ours(case: dict) -> dict:
    rows = built(case).parameters
    return {key({name: getattr(row, name) for name in ("lhs", "op", "rhs", "group", "level")}): row for row in rows}


def theirs(case: dict) -> dict:
    return {key(row): row for row in case["table"]}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_rows_and_their_order_are_those_of_lavaan(case):
    assert list(ours(case)) == list(theirs(case))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_what_is_free_and_what_is_fixed_is_that_of_lavaan(case):
    expected = theirs(case)
    for name, row in ours(case).items():
        other = expected[name]
        assert (row.free > 0) == (other["free"] > 0), name
        assert (row.given_by == "user") == (other["user"] == 1), name
        if row.given_by == "sample":
            assert other["exo"] == 1
        if row.free:
            assert math.isnan(row.fixed)
            assert other["ustart"] is None or row.start == other["ustart"], name
        elif row.given_by != "sample":
            assert row.fixed == other["ustart"], name


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_labels_bounds_and_names_are_those_of_lavaan(case):
    expected = theirs(case)
    for name, row in ours(case).items():
        other = expected[name]
        assert row.label == ("" if other["label"].startswith(".p") else other["label"]), name
        assert row.own_name in {other["name"], turned(other)}, name
        for bound, none in (("lower", -math.inf), ("upper", math.inf)):
            found = {None: none, "-Inf": none, "Inf": none}.get(other.get(bound), other.get(bound))
            assert not row.free or getattr(row, bound) == found, name


def turned(row: dict) -> str:
    suffix = row["name"].removeprefix(f"{row['lhs']}{row['op']}{row['rhs']}")
    return f"{row['rhs']}{row['op']}{row['lhs']}{suffix}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_equal_parameters_are_those_of_lavaan(case):
    expected = theirs(case)
    pairs = {(row.free, expected[name]["free"]) for name, row in ours(case).items()}
    assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def test_there_are_enough_of_every_kind():
    assert len(CASES) >= 75
    assert sum(bool(case["ordered"]) for case in CASES) >= 20
    assert sum("level:" in case["text"] for case in CASES) >= 15
