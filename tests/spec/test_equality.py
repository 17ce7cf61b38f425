"""What is one parameter: labels, equal(), and what groups share."""

from __future__ import annotations

import warnings

import pytest

from spc.errors import SpcWarning, UsageError
from spc.spec import model
from spc.spec.equality import GROUP_EQUAL, equal_words

ONE = "f =~ x1 + x2 + x3"
TWO = ("u", "v")


def numbers(text: str, **options) -> dict[str, int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return {row.own_name: row.free for row in model(text, **options).parameters}


def test_dots_and_underscores_are_one():
    dotted = [word.replace("_", ".") for word in GROUP_EQUAL]
    assert equal_words(dotted) == equal_words(GROUP_EQUAL) == frozenset(GROUP_EQUAL)
    assert numbers(ONE, groups=TWO, group_equal=["lv.variances"]) == numbers(
        ONE, groups=TWO, group_equal=["lv_variances"]
    )


@pytest.mark.parametrize("spelling", ["f=~x2", "f =~ x2", "`f` =~ x2"])
def test_partial_names_in_any_spelling(spelling):
    found = numbers(ONE, groups=TWO, group_equal=["loadings"], group_partial=[spelling])
    assert found["f=~x2"] != found["f=~x2.g2"]
    assert found["f=~x3"] == found["f=~x3.g2"]


def test_partial_covariances_in_either_direction():
    found = numbers(f"{ONE}\nx1 ~~ x2", groups=TWO, group_equal=["residual_covariances"], group_partial=["x2 ~~ x1"])
    assert found["x1~~x2"] != found["x1~~x2.g2"]


def test_partial_names_a_label_too():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = model("f =~ x1 + c(a, b)*x2 + x3", groups=TWO, group_equal=["loadings"], group_partial=["a"])
    assert found.parameters.names[:2] == ("a", "f=~x3")


def test_one_label_is_one_parameter_in_all_groups_and_says_so():
    with pytest.warns(SpcWarning, match=r"equal in all of them: a, m\. .*c\(a1, a2, a3\)\*x"):
        found = model("f =~ x1 + a*x2 + x3\nx1 ~ m*1", groups=("u", "v", "w"))
    assert [row.free for row in found.parameters if row.label == "a"] == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("f =~ x1 + c(a, a)*x2 + x3", {}),
        ("f =~ x1 + a*x2 + x3", {"group_equal": ["loadings"]}),
        ("group: u\nf =~ x1 + a*x2 + x3\ngroup: v\nf =~ x1 + a*x2 + x3", {}),
    ],
)
def test_labels_that_are_meant_give_no_warning(text, options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = model(text, groups=TWO, **options)
    assert len({row.free for row in found.parameters if row.label == "a"}) == 1


def test_equal_reaches_over_groups_and_levels_by_full_names():
    found = numbers('f =~ x1 + x2 + equal(c("f=~x2.g2", NA))*x3', groups=TWO)
    assert found["f=~x3"] == found["f=~x2.g2"] != found["f=~x2"]
    two = numbers('level: 1\nw =~ y1 + y2 + y3\nlevel: 2\nb =~ y1 + equal("w=~y2")*y2 + y3')
    assert two["b=~y2.l2"] == two["w=~y2"]


def test_equality_is_passed_on_through_groups():
    found = numbers('f =~ x1 + x2 + equal(c(NA, "f=~x2.g2"))*x3', groups=TWO, group_equal=["loadings"])
    assert found["f=~x2"] == found["f=~x2.g2"] == found["f=~x3.g2"] != found["f=~x3"]


def test_blocks_of_groups_follow_the_same_rules_as_lines_for_all():
    words = ["loadings", "intercepts"]
    blocks = f"group: u\n{ONE}\ngroup: v\n{ONE}"
    assert numbers(blocks, groups=TWO, group_equal=words) == numbers(ONE, groups=TWO, group_equal=words)


def test_blocks_may_come_in_any_order_and_by_number():
    options = {"groups": TWO, "group_equal": ["loadings"]}
    assert numbers(f"group: 2\n{ONE}\ngroup: 1\n{ONE}", **options) == numbers(ONE, **options)
    found = model(f"group: v\n{ONE}\nx1 ~~ x2\ngroup: u\n{ONE}", groups=TWO)
    assert [row.group for row in found.parameters if row.rhs == "x2" and row.lhs == "x1"] == [2]


def test_a_fixed_parameter_fixes_its_equals():
    found = model("f =~ x1 + c(0.5, NA)*x2 + x3", groups=TWO, group_equal=["loadings"])
    assert [row.fixed for row in found.parameters if row.rhs == "x2" and row.op == "=~"] == [0.5, 0.5]


def test_without_means_there_are_none_to_hold_equal():
    with pytest.raises(UsageError, match="meanstructure is False"):
        model("f =~ a + b + c", groups=("x", "y"), group_equal=("loadings", "intercepts"), meanstructure=False)


def test_equal_intercepts_are_equal_thresholds_of_ordered_items():
    """As in lavaan, where either word stands for both."""
    options = {"groups": TWO, "ordered": {"x1": 3, "x2": 3, "x3": 3}}
    found = numbers(ONE, group_equal=["loadings", "intercepts"], **options)
    assert found == numbers(ONE, group_equal=["loadings", "intercepts", "thresholds"], **options)
    assert found["x1|t2"] == found["x1|t2.g2"] != found["x1|t1"]
