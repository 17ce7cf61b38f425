from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from spc.errors import SpecError
from spc.spec import Expression, parse_expression
from spc.spec.tree import Binary, Call, Name, Negative, Number

LABELS = ("a", "b", "c", "two words")


def grown(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    return st.one_of(
        st.builds(Binary, st.sampled_from("+-*/^"), inner, inner),
        st.builds(Negative, inner),
        st.builds(Call, st.sampled_from(["exp", "log", "sqrt", "abs"]), inner),
    )


LEAVES = st.one_of(
    st.builds(Name, st.sampled_from(LABELS)),
    st.builds(Number, st.floats(0, 1e6, allow_subnormal=False).map(abs)),
)
TREES = st.recursive(LEAVES, grown, max_leaves=12)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a*b + c", 2 * 3 + 5),
        ("a + b*c", 2 + 3 * 5),
        ("(a + b)*c", 25),
        ("-a^2", -4),
        ("(-a)^2", 4),
        ("2^3^2", 512),
        ("2^-1", 0.5),
        ("a - b - c", -6),
        ("a/b/c", 2 / 15),
        ("a - -b", 5),
        ("+a", 2),
        ("exp(a) + log(b) + sqrt(c) + abs(a - b)", math.e**2 + math.log(3) + math.sqrt(5) + 1),
        ("1e-3*a", 2e-3),
        (".5*a", 1),
        ("a*\nb", 6),
    ],
)
def test_values_follow_the_usual_precedence(text, value):
    assert float(parse_expression(text).evaluate({"a": 2, "b": 3, "c": 5})) == pytest.approx(value, rel=1e-14)


def test_draws_vectorise():
    draws = {"a": np.array([1.0, 2.0, 3.0]), "b": np.array([4.0, 5.0, 6.0])}
    assert np.array_equal(parse_expression("a*b + 1").evaluate(draws), [5.0, 11.0, 19.0])
    assert parse_expression("2*3").evaluate(draws).shape == ()


def test_what_is_undefined_is_not_a_number():
    assert math.isnan(parse_expression("log(a)").evaluate({"a": -1.0}))
    assert math.isinf(parse_expression("1/a").evaluate({"a": 0.0}))


def test_names_come_once_and_in_order():
    assert parse_expression("b*a + b*`two words`/exp(a)").names == ("b", "a", "two words")


@settings(deadline=None)
@given(TREES)
def test_text_of_a_tree_reads_back_to_it(tree):
    assert parse_expression(str(tree)) == tree


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(TREES, st.tuples(*[st.floats(0.2, 3)] * 4))
def test_derivative_agrees_with_central_differences(tree, values):
    point = dict(zip(LABELS, values, strict=True))
    exact = float(tree.derivative("a").evaluate(point))
    step = 1e-5 * point["a"]
    sides = [float(tree.evaluate(point | {"a": point["a"] + h * step})) for h in (-2, -1, 0, 1, 2)]
    assume(all(map(math.isfinite, [exact, *sides])) and max(map(abs, sides)) < 1e4)
    numeric = (sides[0] - 8 * sides[1] + 8 * sides[3] - sides[4]) / (12 * step)
    coarse = (sides[4] - sides[0]) / (4 * step)
    assume(abs(numeric - coarse) <= 1e-4 * (1 + abs(numeric)))
    assert exact == pytest.approx(numeric, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        *(("a*b", "a", "b"), ("a*b", "c", "0"), ("a + a", "a", "1 + 1"), ("exp(a)", "a", "exp(a)")),
        *(("log(a)", "a", "1/a"), ("a^2", "a", "2*a^1"), ("-a", "a", "-1"), ("a - b", "b", "-1")),
    ],
)
def test_derivatives_as_text(text, name, expected):
    assert str(parse_expression(text).derivative(name)) == expected


def test_derivative_of_an_absolute_value_is_the_sign():
    slope = parse_expression("abs(a)").derivative("a")
    assert np.array_equal(slope.evaluate({"a": np.array([-2.0, 3.0])}), [-1.0, 1.0])


@pytest.mark.parametrize(
    "text",
    ["__import__('os')", "open(a)", "a.b.c()", "a[0]", "lambda: a", "a if b else c", "f(a, b)", "a; b", "a == b", ""],
)
def test_nothing_but_arithmetic_is_read(text):
    with pytest.raises(SpecError):
        parse_expression(text)


def test_messages_point_into_the_larger_text():
    with pytest.raises(SpecError) as caught:
        parse_expression("a + sin(b)", line=3, column=9)
    assert (caught.value.line, caught.value.column) == (3, 13)


def test_a_huge_number_is_refused():
    with pytest.raises(SpecError, match="too large"):
        parse_expression("1e999")


def test_longest_allowed_expression_needs_no_deep_stack():
    longest = parse_expression("-".join(["a"] * 199))
    assert str(longest.derivative("a"))
    assert float(longest.evaluate({"a": 1.0})) == -197.0
    assert sys.getrecursionlimit() >= 1000
