"""What is asked of a fit says on how many rows it rests, so that the gate can let it through or not."""

import numpy as np
import pandas as pd
import pytest

import spc
from spc.errors import DataError

MAKERS = {
    "effects": lambda fit, other: spc.effects(fit, draws=200),
    "comparison": spc.compare,
    "wald": lambda fit, other: spc.wald_test(fit, "k == 0.3"),
    "profile_likelihood": lambda fit, other: spc.profile_likelihood(fit, ["k"]),
    "release": lambda fit, other: spc.release_test(other),
}


@pytest.fixture(scope="module")
def fits():
    rng = np.random.default_rng(1)
    rows = pd.DataFrame(rng.standard_normal((120, 1)) + rng.standard_normal((120, 4)), columns=list("abcd"))
    return spc.fit("u =~ a + b + c\nd ~ k*u", rows), spc.fit("u =~ a + m*b + m*c\nd ~ k*u", rows)


@pytest.mark.parametrize("kind", MAKERS)
def test_the_gate_knows_the_rows(fits, kind):
    result = MAKERS[kind](*fits)
    released = spc.Gate().model(result)
    assert (released.kind, released.glance.frame["nobs"].item()) == (kind, 120)
    with pytest.raises(DataError, match="fewer than 121"):
        spc.Gate(spc.DisclosureRule(121, 121)).model(result)


def test_no_mean_of_a_group_of_four_passes():
    """Means of a small group would stand among the estimates of a fit in several groups."""
    rng = np.random.default_rng(3)
    rows = pd.DataFrame(rng.standard_normal((124, 1)) + rng.standard_normal((124, 3)), columns=list("abc"))
    fitted = spc.fit("a ~ b + c", rows.assign(team=["large"] * 120 + ["small"] * 4), group="team")
    assert fitted.glance()[["nobs", "nobs_min"]].iloc[0].tolist() == [124, 4]
    with pytest.raises(DataError, match="fewer than 5 rows in its smallest part"):
        spc.Gate().model(fitted)
