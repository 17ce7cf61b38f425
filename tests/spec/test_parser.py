from __future__ import annotations

import math

import pytest

from spc.errors import SpecError
from spc.spec import Constraint, Defined, model
from spc.spec.parser import read_syntax


def entries(text: str) -> list[str]:
    return [str(entry) for entry in read_syntax(text).entries]


def row(text: str, name: str, **options):
    found = [r for r in model(text, **options).parameters if f"{r.lhs}{r.op}{r.rhs}" == name]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    "text",
    [
        "f =~ x1 + x2 + x3",
        "f=~x1+x2+x3",
        "f =~ x1 +\n  x2 +\n\n  x3",
        "f =~ x1\n  + x2\n  + x3",
        "f =~\n x1 + x2 + x3",
        "f\n=~ x1 + x2 + x3",
        "f =~ x1 + # first\n x2 + ! second\n x3",
        "; f =~ x1 + x2 + x3 ;;",
        "f =~ x1 + x2; f =~ x3",
        "\r\nf =~ x1 + x2 + x3\r\n",
        "`f` =~ `x1` + x2 + x3",
    ],
)
def test_spellings_of_one_measurement_model(text):
    assert entries(text) == ["f =~ x1", "f =~ x2", "f =~ x3"]
    assert model(text).parameters == model("f =~ x1 + x2 + x3").parameters


def test_several_left_sides():
    assert entries("x1 + x2 ~ x3 + x4") == ["x1 ~ x3", "x1 ~ x4", "x2 ~ x3", "x2 ~ x4"]
    assert model("f1 + f2 =~ x1 + x2 + x3").latents == ("f1", "f2")


def test_intercepts_in_all_spellings():
    assert entries("y ~ 1 + x") == ["y ~1", "y ~ x"]
    assert entries("y ~1") == entries("y~1") == entries("y ~ 1") == ["y ~1"]
    assert row("y ~ x + 0.5*1", "y~1").fixed == 0.5
    assert row("y ~ x + 0", "y~1").fixed == 0.0
    assert row("y ~ x + m*1", "y~1").label == "m"
    assert math.isnan(row("y ~ x + 1", "y~1").fixed)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *(("0.7", 0.7), ("-0.7", -0.7), ("2", 2), ("1e-3", 1e-3), ("-1.5E2", -150), (".5", 0.5)),
        *(("1/4", 0.25), ("(1/4)", 0.25), ("sqrt(2)", 2**0.5), ("-(1+2)^2", -9), ("fixed(0.3)", 0.3), ("(-1)", -1)),
    ],
)
def test_fixed_values(written, value):
    found = row(f"f =~ x1 + {written}*x2 + x3", "f=~x2")
    assert (found.free, found.fixed) == (0, pytest.approx(value, rel=1e-15))


@pytest.mark.parametrize("written", ["start(0.5)", "start(1/2)", "0.5?"])
def test_start_values(written):
    term = f"{written}x2" if written.endswith("?") else f"{written}*x2"
    found = row(f"f =~ x1 + {term} + x3", "f=~x2")
    assert found.start == 0.5
    assert found.free > 0


@pytest.mark.parametrize(
    "term",
    [
        "start(.5)*a*x2",
        "a*start(.5)*x2",
        "a*x2 + start(.5)*x2",
        "start(.5)*x2 + a*x2",
        '"a"*x2 + .5?x2',
        'label("a")*.5?x2',
    ],
)
def test_modifiers_add_up(term):
    found = row(f"f =~ x1 + {term} + x3", "f=~x2")
    assert (found.label, found.start) == ("a", 0.5)


def test_a_later_line_may_label_a_parameter():
    assert row("f =~ x1 + x2 + x3\nf =~ a*x2", "f=~x2").label == "a"
    assert row("x1 ~~ x2\nx2 ~~ a*x1", "x1~~x2").label == "a"


def test_bounds():
    found = row("y ~ lower(-1)*upper(2)*x", "y~x")
    assert (found.lower, found.upper) == (-1.0, 2.0)


def test_equal_labels_share_a_number_and_a_name():
    found = model("f =~ x1 + a*x2 + a*x3\ng =~ x4 + a*x5 + b*x6")
    free = {(r.lhs, r.rhs): r.free for r in found.parameters if r.op == "=~"}
    assert free["f", "x2"] == free["f", "x3"] == free["g", "x5"] != free["g", "x6"]
    assert found.parameters.names[:2] == ("a", "b")


def test_equal_takes_the_label_of_its_target():
    found = model('f =~ x1 + a*x2 + equal("f =~ x2")*x3 + equal("f=~x3")*x4')
    assert [r.label for r in found.parameters][:4] == ["", "a", "a", "a"]


def test_equal_to_an_unlabelled_parameter_takes_its_name():
    found = model('f =~ x1 + x2 + equal("f=~x2")*x3\nx1 ~~ equal("x2~~x2")*x1')
    assert found.parameters.names[:2] == ("f=~x2", "x2~~x2")
    assert row(found.text, "f=~x3").free == row(found.text, "f=~x2").free


def test_equal_to_a_covariance_written_the_other_way():
    found = model('x1 ~~ x2\nx3 ~~ equal("x2~~x1")*x4')
    assert len({r.free for r in found.parameters if r.lhs != r.rhs}) == 1


def test_equal_to_a_name_with_blanks():
    found = model('f =~ x1 + `x 2` + equal("f=~x 2")*x3 + equal("f =~ `x 2`")*x4')
    assert found.parameters.names[0] == "f=~x 2"
    assert found.parameters.n_free == 1 + 4 + 1


def test_a_covariate_held_at_its_sample_value_equals_nothing():
    with pytest.raises(SpecError, match="not estimated"):
        model('y ~ x\ny ~~ equal("x~~x")*y')


def test_a_label_shared_with_a_fixed_parameter_fixes_the_other():
    assert row("f =~ a*x1 + start(2)*a*x2 + x3", "f=~x2").fixed == 1.0


def test_definitions_are_kept_in_an_order_that_can_be_computed():
    found = model("m ~ a*x\ny ~ b*m + c*x\ntotal := indirect + c\nindirect := a*b\nshare := indirect/total")
    assert found.defined == (
        Defined("indirect", "a*b"),
        Defined("total", "indirect + c"),
        Defined("share", "indirect/total"),
    )


def test_definitions_already_in_order_stay():
    text = "y ~ a*x + b*z\nsecond := a\nfirst := b\nthird := second - first"
    assert [d.name for d in model(text).defined] == ["second", "first", "third"]


def test_constraints():
    found = model("y ~ a*x + b*z + c*w\na == b\nc > 0\nb < 2*a + 1\na == 0.5")
    assert found.constraints == (
        Constraint("a", "==", "b"),
        Constraint("c", ">", "0"),
        Constraint("b", "<", "2*a + 1"),
        Constraint("a", "==", "0.5"),
    )


def test_names_with_blanks_and_letters_of_other_scripts():
    found = model("`staff mood` =~ `item 1` + `item 2` + größe\n満足 ~ `staff mood`")
    assert found.latents == ("staff mood",)
    assert found.observed == ("item 1", "item 2", "größe", "満足")


def test_variables_are_in_order_of_appearance():
    found = model("y ~ f + x\nf =~ x1 + x2 + x3\nx1 ~~ z")
    assert found.observed == ("y", "x", "x1", "x2", "x3", "z")
    assert found.exogenous == ("x",)


def test_covariates_are_only_exogenous_while_fixed():
    assert model("y ~ x", fixed_x=False).exogenous == ()
    assert model("y ~ x\nx ~~ x").exogenous == ()


def test_options_are_recorded():
    assert dict(model("y ~ x + 1").options) == {
        "std_lv": False,
        "orthogonal": False,
        "meanstructure": None,
        "fixed_x": True,
        "growth": False,
        "groups": (),
        "group_equal": (),
        "group_partial": (),
        "ordered": (),
        "parameterization": "delta",
    }


def test_the_text_is_kept_as_given():
    assert model("y ~ x # note").text == "y ~ x # note"


def test_constraints_may_name_what_is_defined():
    found = model("m ~ a*x\ny ~ b*m + c*x\nab := a*b\ntotal := ab + c\ntotal > 0.1\nab == exp(c)")
    assert [f"{item.left} {item.op} {item.right}" for item in found.constraints] == ["a*b + c > 0.1", "a*b == exp(c)"]


def test_blocks_of_one_name_are_one():
    text = "group: a\nf =~ x1 + x2\ngroup: b\nf =~ x1 + x2 + x3\ngroup: a\nf =~ x3"
    assert model(text).parameters == model("f =~ x1 + x2 + x3", groups=("a", "b")).parameters


@pytest.mark.parametrize("words", [("within", "between"), ("between", "within"), ("2", "1"), ("Person", "Firm")])
def test_levels_by_number_or_name(words):
    lines = {"within": "y ~ x", "between": "y ~ w", "1": "y ~ x", "2": "y ~ w", "Person": "y ~ x", "Firm": "y ~ w"}
    found = model("\n".join(f"Level: {word}\n{lines[word]}" for word in words))
    assert found.levels == (1, 2)
    assert found.parameters == model("level: 1\ny ~ x\nlevel: 2\ny ~ w").parameters


def test_group_names_of_several_words():
    assert model('group: Grant - White\ny ~ x\ngroup: "b c"\ny ~ x').groups == ("Grant - White", "b c")


@pytest.mark.parametrize("written", ["start(c(1, 2))", "start(1, 2)", "c(1, 2)?", "start(c(2/2, sqrt(4)))"])
def test_start_values_of_groups_in_all_spellings(written):
    joiner = "" if written.endswith("?") else "*"
    rows = model(f"y ~ {written}{joiner}x", groups=("a", "b")).parameters
    assert [r.start for r in rows if r.op == "~"] == [1.0, 2.0]


def test_bounds_of_groups_may_be_open():
    rows = model("y ~ lower(c(-Inf, 0))*x + upper(c(NA, 1))*x + lower(-Inf)*z", groups=("a", "b")).parameters
    bounds = [(r.lower, r.upper) for r in rows if (r.op, r.rhs) == ("~", "x")]
    assert bounds == [(-math.inf, math.inf), (0.0, 1.0)]
    assert all(r.lower == -math.inf for r in rows if r.rhs == "z")


def test_values_and_labels_of_groups_may_be_mixed():
    rows = model("f =~ c(NA, 1)*x1 + c(a, 0.5)*x2 + c(k, NA)*x3 + c(NA, NA)*x4", groups=("a1", "b1")).parameters
    said = [(r.label, r.free > 0, r.fixed) for r in rows if r.op == "=~"]
    assert [(label, free) for label, free, _ in said] == [
        ("", True), ("a", True), ("k", True), ("", True), ("", False), ("", False), ("", True), ("", True),
    ]  # fmt: skip
    assert (said[4][2], said[5][2]) == (1.0, 0.5)
