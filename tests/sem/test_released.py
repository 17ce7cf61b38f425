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
