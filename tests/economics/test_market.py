import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from spc.economics import market_quality, relative_nps
from spc.errors import DataError, UsageError


def table(counts):
    names = [f"b{i}" for i in range(len(counts))]
    return pd.DataFrame(counts, index=names, columns=names)


@given(arrays(np.int64, (3, 3), elements=st.integers(1, 500)))
def test_shares_sum_and_flows_balance(counts):
    found = market_quality(table(counts), draws=50).tidy().pivot_table(index="lhs", columns="kind", values="estimate")
    for kind in ("share", "loyalty_share", "steady_share"):
        assert found[kind].sum() == pytest.approx(1)
    assert found["net"].sum() == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(found["share"], counts.sum(axis=0) / counts.sum())
    moves = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found["steady_share"] @ moves, found["steady_share"], atol=1e-8)


@pytest.mark.parametrize(("n", "margin"), [(50, 21.6), (200, 10.8), (500, 6.8)])
def test_margins_of_the_score(n, margin):
    answers = [10] * (n // 2) + [7] * (3 * n // 10) + [2] * (n // 5)
    row = relative_nps(answers, [5, 9]).tidy().iloc[0]
    assert row["estimate"] == pytest.approx(30)
    assert (row["conf_high"] - row["conf_low"]) / 2 == pytest.approx(margin, rel=0.05)


def test_who_rates_both_makes_the_difference_surer():
    rng = np.random.default_rng(1)
    mood = rng.normal(7.5, 2, 400)
    own, rivals = (np.clip(np.round(mood + rng.normal(d, 1, 400)), 0, 10) for d in (0.4, 0.0))
    who = np.tile(np.arange(400), 2)
    apart, paired = (relative_nps(own, rivals, cluster=c).tidy().iloc[2]["std_error"] for c in (None, who))
    assert paired < 0.9 * apart


def test_the_difference_is_covered():
    hits = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        a, b = rng.choice([10, 8, 3], 40, p=[0.5, 0.3, 0.2]), rng.choice([10, 8, 3], 60, p=[0.3, 0.4, 0.3])
        row = relative_nps(a, b).tidy().iloc[2]
        hits += row["conf_low"] <= 30 <= row["conf_high"]
    assert 0.91 <= hits / 300 <= 0.985


def test_what_cannot_be():
    with pytest.raises(DataError):
        relative_nps([11], [5])
    with pytest.raises(DataError):
        relative_nps([None], [5])
    with pytest.raises(UsageError):
        relative_nps([9], [5], cluster=[1])
    with pytest.raises(DataError):
        market_quality(table([[1, 2], [0, 0]]))
    with pytest.raises(DataError):
        market_quality(table([[1, 2], [3, 4]]).iloc[:1])
