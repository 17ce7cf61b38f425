import math

import pytest

from spc.disclosure import DisclosureRule
from spc.errors import DataError


def test_defaults():
    assert (DisclosureRule().minimum_group, DisclosureRule().minimum_comments) == (5, 10)


@pytest.mark.parametrize("value", [2, 1, 0, -5, 4.5, "5", True, None, math.nan])
def test_a_looser_rule_is_refused(value):
    with pytest.raises(DataError, match="minimum_group"):
        DisclosureRule(minimum_group=value)


def test_all_faults_at_once():
    with pytest.raises(DataError) as caught:
        DisclosureRule(minimum_group=1, minimum_comments=1)
    assert [f.column for f in caught.value.findings] == ["minimum_group", "minimum_comments"]


def test_comments_need_at_least_the_group():
    with pytest.raises(DataError, match="minimum_comments"):
        DisclosureRule(minimum_group=12)


def test_stricter_is_fine():
    rule = DisclosureRule(minimum_group=8, minimum_comments=20)
    assert rule.hides(7)
    assert not rule.hides(8)
