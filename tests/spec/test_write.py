from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spc.errors import SpcError, SpecError
from spc.spec import Model, model, write_model

CASES = json.loads((Path(__file__).parents[1] / "reference" / "spec_partable.json").read_text(encoding="utf-8"))
BLOCKS = json.loads((Path(__file__).parents[1] / "reference" / "spec_partable_blocks.json").read_text(encoding="utf-8"))
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


PLAIN = ("groups", "group_equal", "group_partial", "std_lv", "orthogonal", "fixed_x", "growth")


def quietly(text: str, **options) -> Model:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model(text, **options)


def in_blocks(case: dict) -> Model:
    return quietly(case["text"], ordered=dict(case["ordered"]), **{name: case[name] for name in PLAIN})


@pytest.mark.parametrize("case", BLOCKS, ids=lambda case: case["name"])
def test_models_in_blocks_read_back_the_same_without_a_warning(case):
    found = in_blocks(case)
    assert same(model(write_model(found), **found.options), found)


def plainly(found: Model) -> dict:
    """Each parameter without what only the way of writing decides; equal ones have one name."""
    names = found.parameters.names
    shared = [names[row.free - 1] for row in found.parameters if row.free]
    rows = {}
    for row in found.parameters:
        many = row.free > 0 and shared.count(names[row.free - 1]) > 1
        tie = "" if not many else names[row.free - 1]
        rows[row.own_name] = (row.free > 0, tie, repr(row.fixed), repr(row.start), row.lower, row.upper,
                              row.given_by == "sample", "" if many else row.label)  # fmt: skip
    return rows


@pytest.mark.parametrize("case", BLOCKS, ids=lambda case: case["name"])
def test_complete_text_of_blocks_needs_no_options_but_groups(case):
    found = in_blocks(case)
    again = quietly(write_model(found, complete=True), groups=found.groups, fixed_x=case["fixed_x"])
    assert plainly(again) == plainly(found)
    assert again.parameters.n_free == found.parameters.n_free


def test_groups_with_different_parameters_are_written_in_blocks():
    text = 'group: "Grant-White"\nf =~ 1*x1 + x2 + x3\ngroup: Pasteur\nf =~ 1*x1 + x2 + x3\nx1 ~~ x2'
    found = model(text)
    assert found.groups == ("Grant-White", "Pasteur")
    assert write_model(found) == text


def test_groups_side_by_side_have_their_values_in_c():
    text = 'f =~ 1*x1 + c(a, b)*x2 + c(1, NA)*x3 + label(c("k", NA))*x4 + start(c(0.5, NA))*x4'
    assert write_model(model(text, groups=("u", "v"))) == text


def test_levels_thresholds_and_scales_are_written():
    text = "level: 1\nfw =~ 1*y1 + y2 + y3\nlevel: 2\nfb =~ 1*y1 + y2 + y3\ny1 ~~ 0*y1"
    assert write_model(model(text)) == text
    text = "f =~ 1*u1 + u2 + u3\nu1 | a*t1 + 0.5*t2\nu2 ~*~ NA*u2"
    found = model(text, ordered={"u1": 3, "u2": 3, "u3": 2})
    assert write_model(found) == text.replace("NA*u2", "u2")


PER_GROUP = st.sampled_from(["a", "b", "NA", "1", "0.3", '"two words"'])
ACROSS = st.one_of(
    st.just(""),
    st.sampled_from(["a*", "0.7*", "NA*", "start(0.2)*", "lower(c(0, NA))*", "start(c(NA, 0.1))*", 'equal("f=~x2")*']),
    st.sampled_from(['label(c("a", NA))*', 'equal(c(NA, "f=~x2"))*', 'equal("f=~x2.g2")*', "c(NA, NA)*"]),
    st.tuples(PER_GROUP, PER_GROUP).map(lambda pair: f"c({pair[0]}, {pair[1]})*"),
)
WORDS = ["loadings", "intercepts", "means", "regressions", "residuals", "residual_covariances", "lv_variances",
         "lv_covariances", "thresholds"]  # fmt: skip


def across(left: str, op: str, names: str) -> st.SearchStrategy[str]:
    pairs = st.tuples(*(ACROSS for _ in names.split()))
    return pairs.map(
        lambda found: f"{left} {op} {' + '.join(m + n for m, n in zip(found, names.split(), strict=True))}"
    )


ALWAYS = st.tuples(across("f", "=~", "x1 x2 x3"), st.just("g =~ x4 + x5\nu ~ f"))
OTHERS = st.lists(
    st.one_of(
        across("g", "~", "f z"), across("x1", "~", "1"), across("f", "~", "1"), across("f", "~~", "f"),
        across("x1", "~~", "x2"), across("u", "|", "t1 t2"), across("u", "~*~", "u"), across("x4", "~", "z"),
    ),
    max_size=5, unique_by=lambda line: line[:6],
)  # fmt: skip
GROUP_LINES = st.tuples(ALWAYS, OTHERS).map(lambda parts: "\n".join([*parts[0], *parts[1]]))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    GROUP_LINES,
    st.lists(st.sampled_from(WORDS), unique=True),
    st.booleans(),
    st.sampled_from([{}, {"u": 3}, {"u": 4, "x5": 2}]),
    st.booleans(),
)
def test_any_model_of_groups_reads_back_the_same(text, equal, std_lv, ordered, blocks):
    if blocks:
        text = f"group: u\n{text}\ngroup: v\n{text}\nx1 ~~ x3"
    try:
        found = quietly(text, groups=("u", "v"), group_equal=equal, std_lv=std_lv, ordered=ordered)
    except SpcError:
        return
    written = write_model(found)
    again = quietly(written, **found.options)
    assert same(again, found)
    assert write_model(again) == written
    complete = quietly(write_model(found, complete=True), groups=found.groups)
    assert plainly(complete) == plainly(found)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(GROUP_LINES, GROUP_LINES, st.booleans(), st.booleans())
def test_any_model_of_levels_reads_back_the_same(within, between, std_lv, grouped):
    text = f"level: 1\n{within}\nlevel: 2\n{between}"
    groups = ("u", "v") if grouped else ()
    try:
        found = quietly(text, groups=groups, std_lv=std_lv)
    except SpcError:
        return
    written = write_model(found)
    assert same(quietly(written, **found.options), found)
    assert write_model(quietly(written, **found.options)) == written
    assert plainly(quietly(write_model(found, complete=True), groups=groups)) == plainly(found)
