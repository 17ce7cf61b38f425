"""Every malformed model text ends in our own error, at its place."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.errors import SpcError, SpecError, UnsupportedError, UsageError
from spc.spec import Model, model, parse_expression

CASES = tomllib.loads((Path(__file__).parent / "malformed.toml").read_text(encoding="utf-8"))["case"]
PIECES = [
    *("f", "x1", "x2", "y", "a", "NA", "`a b`", '"l"', "1", "0", "0.5", "1e-3", "level", "c", "start", "equal", "exp"),
    *("=~", "~", "~~", "~1", ":=", "==", "<", ">", "+", "-", "*", "/", "^", "(", ")", ",", "?", "|", "%", ":", "="),
    *(" ", "\n", ";", "#", "!", "`", '"', "é", "\t"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_refused_with_its_place(case):
    kind = {"SpecError": SpecError, "UnsupportedError": UnsupportedError}[case.get("error", "SpecError")]
    with pytest.raises(kind) as caught:
        model(case["text"])
    message = str(caught.value)
    assert message.startswith(f"line {case['line']}, column {case['column']}: ")
    assert case["phrase"] in message
    assert type(caught.value) is kind
    if kind is SpecError:
        assert (caught.value.line, caught.value.column, caught.value.exit_code) == (case["line"], case["column"], 4)


def test_names_of_cases_are_unique():
    names = [case["name"] for case in CASES]
    assert len(names) == len(set(names)) >= 60


def test_the_message_shows_the_line_with_a_caret():
    with pytest.raises(SpecError) as caught:
        model("f =~ x1 + x2\n# a comment\ny = f")
    assert str(caught.value).splitlines()[-2:] == ["    y = f", "      ^"]


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
def test_any_text_is_a_model_or_our_own_error(text):
    try:
        found = model(text)
    except SpcError as error:
        assert error.exit_code in {2, 4}
    else:
        assert isinstance(found, Model)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_characters_are_a_model_or_our_own_error(text):
    try:
        model(text)
    except SpcError as error:
        assert error.exit_code in {2, 4}


@pytest.mark.parametrize("text", [None, 3, b"y ~ x", ["y ~ x"]])
def test_what_is_no_text_is_a_usage_error(text):
    with pytest.raises(UsageError, match="expected model text"):
        model(text)


def test_growth_without_means_is_a_usage_error():
    with pytest.raises(UsageError, match="model of means"):
        model("i =~ 1*t1 + 1*t2", growth=True, meanstructure=False)


def test_intercepts_without_means_are_refused_at_their_place():
    with pytest.raises(SpecError, match="line 2, column 5: found an intercept"):
        model("y ~ x\ny ~ 1", meanstructure=False)


@pytest.mark.parametrize("modifier", ["start(0.5)", 'equal("x1~~x1")'])
def test_a_latent_variance_that_std_lv_fixes_takes_no_start(modifier):
    with pytest.raises(SpecError, match="std_lv makes latent variances 1; add NA\\*f"):
        model(f"f =~ x1 + x2 + x3\nf ~~ {modifier}*f", std_lv=True)


def test_long_chains_do_not_exhaust_the_stack():
    with pytest.raises(SpecError, match="too long"):
        model("y ~ a*x\nd := " + "+".join(["a"] * 5000))
    with pytest.raises(SpecError, match="nested too deeply"):
        parse_expression("-" * 300 + "a")
    assert float(parse_expression("+".join(["a"] * 190)).evaluate({"a": 1.0})) == 190.0
