from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spc.errors import SpecError
from spc.spec import Model, model, write_model

CASES = json.loads((Path(__file__).parents[1] / "reference" / "spec_partable.json").read_text(encoding="utf-8"))
REFUSED = {"started_marker", "std_lv_started_variance"}
WRITTEN = [case for case in CASES if case["name"] not in REFUSED]

OBSERVED = ("x1", "x2", "x 3", "ö4", "x5", "y1", "y2")
LATENT = ("f", "g h", "k")
VALUES = st.floats(-5, 5).map(lambda value: round(value, 6)) | st.sampled_from([0.0, 1.0, 1e-7, 0.1 + 0.2])
MODIFIERS = st.one_of(
    st.just(""),
    st.sampled_from(["a*", "b*", '"two words"*', "NA*", "NA*a*", "a*start(0.1)*", "lower(-1)*upper(1)*"]),
    VALUES.map(lambda value: f"{value!r}*"),
    VALUES.map(lambda value: f"start({value!r})*"),
    st.sampled_from(OBSERVED).map(lambda name: f'NA*equal("{name}~~{name}")*'),
)


def ticked(name: str) -> str:
    return f"`{name}`"


def terms(names: tuple[str, ...]) -> st.SearchStrategy[str]:
    term = st.tuples(MODIFIERS, st.sampled_from(names))
    several = st.lists(term, min_size=1, max_size=4, unique_by=lambda pair: pair[1])
    return several.map(lambda pairs: " + ".join(modifier + ticked(name) for modifier, name in pairs))


def formula(left: tuple[str, ...], op: str, right: tuple[str, ...]) -> st.SearchStrategy[str]:
    def onto(name: str) -> st.SearchStrategy[str]:
        others = right if op == "~~" else tuple(other for other in right if other != name)
        return terms(others).map(lambda found: f"{ticked(name)} {op} {found}")

    return st.sampled_from(left).flatmap(onto)


LINES = st.lists(
    st.one_of(
        formula(LATENT, "=~", OBSERVED[:5]),
        formula(LATENT[2:], "=~", LATENT[:2]),
        formula((*OBSERVED, *LATENT), "~", (*OBSERVED, *LATENT)),
        formula((*OBSERVED, *LATENT), "~~", (*OBSERVED, *LATENT)),
        st.tuples(st.sampled_from((*OBSERVED, *LATENT)), MODIFIERS).map(lambda pair: f"{ticked(pair[0])} ~ {pair[1]}1"),
        st.sampled_from(["d := a*2", "e := d - b^2", "a == b", "a > 0.1", "`two words` < 2*a + 1"]),
    ),
    min_size=1,
    max_size=7,
    unique_by=lambda line: line[:7],
).map("\n".join)
OPTIONS = st.fixed_dictionaries(
    {name: st.booleans() for name in ("std_lv", "orthogonal", "fixed_x", "growth")}
    | {"meanstructure": st.sampled_from([None, True])}
)


def same(one: Model, other: Model) -> bool:
    """Equal but for the text; NaN equals NaN, as the repr of a number says everything."""
    return repr(replace(one, text="", options={})) == repr(replace(other, text="", options={}))


def built(case: dict) -> Model:
    options = {name: case[name] for name in ("std_lv", "orthogonal", "meanstructure", "fixed_x", "growth")}
    return model(case["text"], **options)


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: case["name"])
def test_written_models_read_back_the_same(case):
    found = built(case)
    assert same(model(write_model(found), **found.options), found)


@pytest.mark.parametrize("case", WRITTEN, ids=lambda case: case["name"])
def test_complete_text_needs_no_options(case):
    found = built(case)
    again = model(write_model(found, complete=True), fixed_x=case["fixed_x"])
    rows = [replace(row, given_by="user") if row.given_by == "default" else row for row in found.parameters]
    rows.sort(key=lambda row: row.given_by == "sample")
    free = {row.name: row.free for row in again.parameters}
    assert sorted(repr(replace(row, free=0)) for row in rows) == sorted(
        repr(replace(row, free=0)) for row in again.parameters
    )
    assert all((row.free > 0) == (free[row.name] > 0) for row in rows)
    assert again.parameters.n_free == found.parameters.n_free


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(LINES, OPTIONS)
def test_any_model_reads_back_the_same(text, options):
    try:
        found = model(text, **options)
    except SpecError:
        return
    written = write_model(found)
    again = model(written, **found.options)
    assert same(again, found)
    assert write_model(again) == written


def test_names_that_need_backticks_get_them():
    assert write_model(model("`staff mood` =~ `NA 1` + größe + x3")) == "`staff mood` =~ 1*`NA 1` + größe + x3"


def test_every_modifier_is_written():
    text = 'y ~ NA*1 + a*x + start(0.25)*x + 0.5*z + lower(-1)*w + upper(2)*w\nz ~~ "my label"*z'
    assert write_model(model(text)) == (
        'y ~ 1\ny ~ a*x + start(0.25)*x + 0.5*z + lower(-1)*w + upper(2)*w\nz ~~ "my label"*z'
    )


def test_definitions_and_constraints_are_written():
    text = "y ~ a*x + b*z\nd := (a - b)/2\na == b\nd2 := -d^2"
    assert write_model(model(text)).splitlines()[1:] == ["d := (a - b)/2", "d2 := -d^2", "a == b"]
