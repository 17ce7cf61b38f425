import math
from dataclasses import replace

import pytest

import spc
from spc.chain.links import outcomes, verdict
from spc.errors import DataError
from spc.spec import model


def test_outcomes_keep_the_order_of_the_text():
    assert outcomes(model("c ~ a + b\nb ~ a")) == {"c": ["a", "b"], "b": ["a"]}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.01, 0.2, "holds"),
        (-0.01, 0.2, "unclear"),
        (0.0, 0.2, "unclear"),
        (-0.3, -0.1, "opposite"),
        (math.nan, 0.3, "not interpretable"),
    ],
)
def test_a_verdict_is_what_the_interval_says(low, high, expected):
    assert verdict(low, high) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(-0.3, -0.1, "holds"), (0.1, 0.3, "opposite"), (-0.3, 0.1, "unclear")]
)
def test_a_link_expected_to_be_negative_holds_below_zero(low, high, expected):
    assert verdict(low, high, negative=True) == expected


def test_a_small_negative_link_is_small_whatever_was_expected():
    assert verdict(-0.05, -0.01, negative=True, smallest=0.1) == "too small to matter"


def test_no_link_is_read_where_none_may_be():
    assert verdict(0.5, 0.9, interpretable=False) == "not interpretable"


@pytest.mark.parametrize(
    "ask", [spc.fit_chain, spc.evidence, spc.rivals, spc.link_shapes, spc.method_factor, spc.link_methods]
)
def test_a_study_without_a_chain_is_told_how_to_state_one(tmp_path, ask):
    study = spc.read_study(spc.make_firm(seed=3, units=20).write(tmp_path))
    with pytest.raises(DataError, match="Add \\[chain\\]"):
        ask(replace(study, document=replace(study.document, chain=None)))
