"""Input of Mplus for groups, ordered items and levels."""

from __future__ import annotations

import pytest

from spc.errors import UnsupportedError, UsageError
from spc.sem.postestimation.export_mplus import to_mplus
from spc.spec import model

ORDERED = {"u1": 3, "u2": 2}


def lines(made, **options) -> list[str]:
    return [line.strip() for line in to_mplus(made, **options).splitlines()]


def section(text: list[str], head: str) -> list[str]:
    """Lines after a head up to the next one."""
    start = text.index(head) + 1
    end = next(i for i in range(start, len(text)) if text[i].endswith(":") or text[i].startswith(("OUTPUT", "%")))
    return text[start:end]


def test_each_group_has_all_its_parameters_and_equal_ones_one_label():
    made = model("f =~ a + b + c(1, NA)*c", groups=("north", "far south"), group_equal=("intercepts",))
    text = lines(made)
    assert "! group 2 is far south" in text
    assert text[text.index("GROUPING IS group") + 1] == "(1 = north 2 = farsouth);"
    assert section(text, "MODEL:") == ["f BY a;", "f BY b;", "f BY c;"]
    north, south = section(text, "MODEL north:"), section(text, "MODEL farsouth:")
    assert {"f BY a@1;", "f BY b*;", "f BY c@1;", "[f@0];", "[a*] (equal1);"} < {*north}
    assert {"f BY a@1;", "f BY b*;", "f BY c*;", "[f*];", "[a*] (equal1);"} < {*south}


def test_what_one_group_lacks_is_zero_there():
    made = model("group: 1\nf =~ a + b + c\ngroup: 2\nf =~ a + b + c\na ~~ b")
    text = lines(made)
    assert "a WITH b;" in section(text, "MODEL:")
    assert "a WITH b@0;" in section(text, "MODEL g1:")
    assert "a WITH b*;" in section(text, "MODEL g2:")


def test_ordered_items_have_thresholds_and_scales():
    made = model("f =~ u1 + u2 + c\nu1 | k*t1 + 0.5*t2", groups=("a", "b"), ordered=ORDERED,
                 group_equal=("thresholds",))  # fmt: skip
    text = lines(made)
    assert text[text.index("CATEGORICAL ARE") + 1] == "u1 u2;"
    assert {"ESTIMATOR IS WLSMV;", "PARAMETERIZATION IS DELTA;"} < {*text}
    first, second = section(text, "MODEL a:"), section(text, "MODEL b:")
    assert {"[u1$1*] (k);", "[u1$2@0.5];", "{u1@1};", "{u2@1};", "[c*];"} < {*first}
    assert {"[u1$1*] (k);", "[u1$2@0.5];", "{u1*};", "{u2*};", "[c*];"} < {*second}
    assert not any(line in {"[u1@0];", "u1@1;", "u1*;"} for line in text)


def test_in_theta_ordered_items_have_residual_variances():
    made = model("f =~ u1 + u2 + c", groups=("a", "b"), ordered=ORDERED, group_equal=("thresholds",),
                 parameterization="theta")  # fmt: skip
    text = lines(made)
    assert "PARAMETERIZATION IS THETA;" in text
    assert {"u1@1;", "u2@1;", "c*;"} < {*section(text, "MODEL a:")}
    assert {"u1*;", "u2*;", "c*;"} < {*section(text, "MODEL b:")}
    assert not any(line.startswith("{") for line in text)


def test_one_group_needs_no_scales():
    text = lines(model("f =~ u1 + u2 + c", ordered=ORDERED))
    assert "[u1$2*];" in text
    assert not any(line.startswith("{") for line in text)


def test_levels_have_their_parts_and_say_what_is_at_one_only():
    made = model("level: 1\nf =~ a + b + c\nf ~ x\nlevel: 2\nf =~ a + b + c\nf ~ w")
    text = lines(made)
    assert "! fbetween is f between" in text
    assert text[text.index("WITHIN ARE") + 1] == "x;"
    assert text[text.index("BETWEEN ARE") + 1] == "w;"
    assert {"CLUSTER IS cluster;", "TYPE IS TWOLEVEL;"} < {*text}
    assert section(text, "%WITHIN%")[:4] == ["f BY a@1;", "f BY b*;", "f BY c*;", "f ON x*;"]
    assert not any(line.startswith("[") for line in section(text, "%WITHIN%"))
    assert {"fbetween BY b*;", "fbetween ON w*;", "[a*];", "[fbetween@0];"} < {*section(text, "%BETWEEN%")}


def test_columns_of_groups_and_clusters_are_named():
    made = model("level: 1\ny ~ x\nlevel: 2\ny ~ w", groups=("a", "b"))
    assert lines(made)[lines(made).index("NAMES ARE") + 1] == "y x w group cluster;"
    with pytest.raises(UsageError, match="names lack cluster"):
        to_mplus(made, names=["y", "x", "w", "group"])


@pytest.mark.parametrize(
    ("text", "options", "phrase"),
    [
        ("f =~ a + lower(0)*b + c", {}, "Bounds on f=~b"),
        ("f =~ u1 + u2 + c\nu1 ~ 1", {"ordered": ORDERED}, "u1~1: ordered items have thresholds in Mplus"),
        ("group: 1\nf =~ a + b + c\ngroup: 2\nf =~ a + b + c + d", {}, "Groups with different variables"),
    ],
)
def test_what_mplus_lacks_is_refused(text, options, phrase):
    with pytest.raises(UnsupportedError, match=phrase):
        to_mplus(model(text, **options))
