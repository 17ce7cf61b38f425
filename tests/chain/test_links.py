import math

import pytest

from spc.chain.links import outcomes, verdict
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


def test_no_link_is_read_where_none_may_be():
    assert verdict(0.5, 0.9, interpretable=False) == "not interpretable"
