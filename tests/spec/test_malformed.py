"""Every malformed model text ends in our own error, at its place."""

from __future__ import annotations

import tomllib
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.errors import SpcError, SpcWarning, SpecError, UnsupportedError, UsageError
from spc.spec import Model, model, parse_expression

CASES = tomllib.loads((Path(__file__).parent / "malformed.toml").read_text(encoding="utf-8"))["case"]
PIECES = [
    *("f", "x1", "x2", "y", "a", "NA", "`a b`", '"l"', "1", "0", "0.5", "1e-3", "level", "c", "start", "equal", "exp"),
    *("group", "group: 1", "level: 1", "level: 2", "t1", "x1 | t1", "c(1, NA)*", "start(c(", "~*~", "f =~ x1 + x2"),
    *("=~", "~", "~~", "~1", ":=", "==", "<", ">", "+", "-", "*", "/", "^", "(", ")", ",", "?", "|", "%", ":", "="),
    *(" ", "\n", ";", "#", "!", "`", '"', "é", "\t"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_refused_with_its_place(case):
    kind = {"SpecError": SpecError, "UnsupportedError": UnsupportedError}[case.get("error", "SpecError")]
    with pytest.raises(kind) as caught:
        model(case["text"], **case.get("options", {}))
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
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), st.sampled_from([(), ("a", "b")]))
def test_any_text_is_a_model_or_our_own_error(text, groups):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SpcWarning)
            found = model(text, groups=groups)
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


@pytest.mark.parametrize(
    ("options", "error", "phrase"),
    [
        ({"group_equal": ["loading"]}, SpecError, "found 'loading'; did you mean 'loadings'"),
        ({"group_equal": ["lv.variance"]}, SpecError, "did you mean 'lv_variances'"),
        ({"group_equal": [3]}, SpecError, "group_equal: found '3'"),
        ({"group_partial": ["f=~x9"]}, SpecError, "group_partial: found 'f=~x9'.*did you mean"),
        ({"group_partial": "f=~x2"}, UsageError, "expected several names"),
        ({"groups": "ab"}, UsageError, "expected several labels"),
        ({"groups": 2}, UsageError, "expected several labels"),
        ({"groups": ["a", "a"]}, UsageError, "found a label twice"),
        ({"groups": [], "group_equal": ["loadings"]}, UsageError, "name two groups"),
        ({"ordered": ["x1"]}, UsageError, "categories of 'x1' are not known"),
        ({"ordered": {"x4": 3}}, UsageError, "'x4' is no observed variable of the model; known are: x1, x2, x3"),
        ({"ordered": {"f": 3}}, UsageError, "'f' is no observed variable"),
        ({"ordered": {"x1": 1}}, UsageError, "found 1 categories"),
        ({"ordered": {"x1": 2.5}}, UsageError, "expected names"),
        ({"ordered": "x1"}, UsageError, "expected several names"),
        ({"ordered": True}, UsageError, "expected several names"),
        ({"ordered": [3]}, UsageError, "expected names"),
    ],
)
def test_options_that_fit_no_model_are_refused(options, error, phrase):
    with pytest.raises(error, match=phrase):
        model("f =~ x1 + x2 + x3", **{"groups": ("u", "v")} | options)


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
