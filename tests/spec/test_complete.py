"""Completion agrees with lavaan's own parameter tables."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from spc.spec import Model, model

CASES = json.loads((Path(__file__).parents[1] / "reference" / "spec_partable.json").read_text(encoding="utf-8"))

# A start value on a parameter that a default fixes: lavaan 0.6-14 fixes it at the start value, we refuse.
# equal() of a labelled parameter: lavaan 0.6-14 forgets the equality, we keep it.
ON_PURPOSE = {"started_marker", "std_lv_started_variance", "equal_to_labelled"}
COMPARED = [case for case in CASES if case["name"] not in ON_PURPOSE]


def key(lhs: str, op: str, rhs: str) -> tuple[str, str, str]:
    return (*sorted((lhs, rhs)), op) if op == "~~" else (lhs, rhs, op)


def referee(case: dict) -> dict:
    return {
        key(row["lhs"], row["op"], row["rhs"]): row for row in case["table"] if row["op"] not in {"==", "<", ">", ":="}
    }


def built(case: dict) -> Model:
    options = {name: case[name] for name in ("std_lv", "orthogonal", "meanstructure", "fixed_x", "growth")}
    return model(case["text"], **options)


@pytest.mark.parametrize("case", COMPARED, ids=lambda case: case["name"])
def test_rows_are_those_of_lavaan(case):
    rows = {key(row.lhs, row.op, row.rhs): row for row in built(case).parameters}
    expected = referee(case)
    assert set(rows) == set(expected)
    for name, row in rows.items():
        theirs = expected[name]
        assert (row.free > 0) == (theirs["free"] > 0), name
        assert (row.given_by == "sample") == (theirs["exo"] == 1), name
        assert (row.given_by == "user") == (theirs["user"] == 1), name
        if not row.free and row.given_by != "sample":
            assert row.fixed == theirs["ustart"], name
        if row.free and theirs["ustart"] is not None:
            assert row.start == theirs["ustart"], name
        if not theirs["label"].startswith(".p"):
            assert row.label == theirs["label"], name


@pytest.mark.parametrize("case", COMPARED, ids=lambda case: case["name"])
def test_equal_parameters_are_those_of_lavaan(case):
    numbers = {key(row.lhs, row.op, row.rhs): row.free for row in built(case).parameters}
    theirs = {name: row["free"] for name, row in referee(case).items()}
    pairs = {(numbers[name], theirs[name]) for name in theirs}
    assert len(pairs) == len({ours for ours, _ in pairs}) == len({other for _, other in pairs})


@pytest.mark.parametrize("case", COMPARED, ids=lambda case: case["name"])
def test_order_is_that_of_lavaan(case):
    ours = [key(row.lhs, row.op, row.rhs) for row in built(case).parameters]
    assert ours == list(referee(case))


@pytest.mark.parametrize("case", COMPARED, ids=lambda case: case["name"])
def test_numbers_run_from_one_without_a_gap(case):
    table = built(case).parameters
    assert sorted({row.free for row in table if row.free}) == list(range(1, table.n_free + 1))
    assert all(math.isnan(row.fixed) for row in table if row.free)
