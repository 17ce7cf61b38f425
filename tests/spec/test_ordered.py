"""Ordered items: who they are and how many thresholds they have."""

from __future__ import annotations

import pytest

from spc.errors import UnsupportedError, UsageError
from spc.spec import Model, model, write_model
from spc.spec.ordered import categories

ONE = "f =~ u1 + u2 + x3"


def thresholds(found: Model, name: str) -> list[str]:
    return [row.rhs for row in found.parameters if row.op == "|" and row.lhs == name]


@pytest.mark.parametrize("ordered", [{"u1": 3, "u2": 2}, [("u1", 3), ("u2", 2)], (("u1", 3), ("u2", 2))])
def test_numbers_of_categories_in_any_form(ordered):
    found = model(ONE, ordered=ordered)
    assert (found.ordinal, found.categories) == (("u1", "u2"), {"u1": 3, "u2": 2})
    assert thresholds(found, "u1") == ["t1", "t2"]
    assert categories(found.options["ordered"]) == {"u1": 3, "u2": 2}


@pytest.mark.parametrize("ordered", [(), ["u1"], {"u1": 3}])
def test_the_text_tells_the_thresholds(ordered):
    found = model(f"{ONE}\nu1 | t1 + t2", ordered=ordered)
    assert found.categories == {"u1": 3}


def test_ordered_items_have_thresholds_and_a_scale_in_place_of_intercept_and_residual():
    found = model(ONE, ordered={"u1": 3})
    rows = {(row.op, row.lhs): row for row in found.parameters if row.op in {"~1", "~*~"} or row.lhs == row.rhs}
    assert (rows["~1", "u1"].free, rows["~1", "u1"].fixed) == (0, 0.0)
    assert (rows["~~", "u1"].free, rows["~~", "u1"].fixed) == (0, 1.0)
    assert (rows["~*~", "u1"].free, rows["~*~", "u1"].fixed) == (0, 1.0)
    assert rows["~1", "u2"].free > 0 < rows["~~", "u2"].free
    assert found.meanstructure


def test_in_theta_residual_variances_are_parameters_and_equal_thresholds_free_them():
    text, options = f"{ONE}\nu2 ~~ 0.7*u2", {"ordered": {"u1": 3, "u2": 2}, "parameterization": "theta"}
    found = model(text, groups=("a", "b"), group_equal=("thresholds",), **options)
    own = {(row.op, row.lhs, row.group): row for row in found.parameters if row.lhs == row.rhs}
    assert found.parameterization == "theta"
    assert (own["~~", "u1", 1].fixed, own["~~", "u2", 1].fixed, own["~~", "u2", 2].fixed) == (1.0, 0.7, 0.7)
    assert own["~~", "u1", 2].free > 0
    assert {own["~*~", name, group].free for name in ("u1", "u2") for group in (1, 2)} == {0}
    strict = model(text, groups=("a", "b"), group_equal=("thresholds", "residuals"), **options)
    assert not any(row.free for row in strict.parameters if row.op == "~~" and row.lhs == "u1")
    assert model(write_model(found), **found.options).parameters == found.parameters
    assert "~*~" not in write_model(found, complete=True)


def test_equal_thresholds_free_the_means_of_factors_that_ordered_items_measure():
    text, options = (
        "f =~ u1 + u2 + u3\ng =~ x1 + x2 + x3",
        {"ordered": {"u1": 3, "u2": 3, "u3": 3}, "groups": ("a", "b")},
    )
    for equal, free in ((("thresholds",), {"f"}), (("thresholds", "intercepts"), {"f", "g"})):
        found = model(text, group_equal=("loadings", *equal), **options)
        assert {row.lhs for row in found.parameters if row.op == "~1" and row.lhs in "fg" and row.free} == free


def test_equal_residuals_need_the_theta_parameterisation():
    options = {"groups": ("a", "b"), "group_equal": ("thresholds", "residuals")}
    with pytest.raises(UsageError, match="take parameterization='theta'"):
        model("f =~ u1 + u2 + u3", ordered={"u1": 3, "u2": 3, "u3": 3}, **options)
    mixed = model(ONE, ordered={"u1": 3, "u2": 3}, **options)
    assert len({row.free for row in mixed.parameters if row.op == "~~" and row.lhs == "x3"}) == 1
    with pytest.raises(UsageError, match="expected 'delta' or 'theta'"):
        model(ONE, ordered={"u1": 3}, parameterization="probit")


def test_covariates_stay_as_they_are():
    found = model("y ~ u1 + x", ordered={"u1": 3})
    assert (found.ordinal, found.conditional_x) == ((), False)
    assert model("u1 ~ x", ordered={"u1": 3}).conditional_x
    assert not model("u1 ~ x", ordered={"u1": 3}, fixed_x=False).conditional_x


def test_a_group_may_lack_an_ordered_item():
    text = "group: a\nf =~ u1 + u2 + u3\ngroup: b\nf =~ u1 + u2"
    found = model(text, ordered={"u1": 3, "u2": 3, "u3": 3})
    assert {row.group for row in found.parameters if row.lhs == "u3"} == {1}


def test_ordered_items_in_two_levels_have_no_method():
    with pytest.raises(UnsupportedError, match=r"ordered items \(y1\) in a two-level model"):
        model("level: 1\nw =~ y1 + y2 + y3\nlevel: 2\nb =~ y1 + y2 + y3", ordered={"y1": 3})
