import json
from itertools import permutations
from math import factorial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.drivers import key_drivers, relative_weights
from spc.errors import DataError, NotPositiveDefiniteError, UsageError
from spc.results import TIDY_COLUMNS, Result

REFERENCE = json.loads((Path(__file__).resolve().parents[1] / "reference" / "drivers.json").read_text())
NAMES = ["a", "b", "c", "d"]


@pytest.fixture(scope="module")
def reference_frame():
    return pd.DataFrame(REFERENCE["x"], columns=NAMES).assign(y=REFERENCE["y"])


@pytest.fixture(scope="module")
def found(reference_frame):
    return key_drivers(reference_frame, "y", NAMES, draws=200, scales={"a": (-5, 5)})


def lmg(correlations, validities):
    """Average gain in R² over all orders of entry."""
    k = len(validities)

    def r_squared(columns):
        at = list(columns)
        return validities[at] @ np.linalg.solve(correlations[np.ix_(at, at)], validities[at]) if at else 0.0

    shares = np.zeros(k)
    for order in permutations(range(k)):
        for i, column in enumerate(order):
            shares[column] += r_squared(order[: i + 1]) - r_squared(order[:i])
    return shares / factorial(k)


def random_correlations(seed, k):
    rng = np.random.default_rng(seed)
    data = rng.standard_normal((60, k + 1)) @ rng.standard_normal((k + 1, k + 1))
    correlations = np.corrcoef(data, rowvar=False)
    return correlations[1:, 1:], correlations[1:, 0]


def test_against_r_by_singular_values(found):
    np.testing.assert_allclose(found.weights, REFERENCE["weights"], rtol=1e-8)
    np.testing.assert_allclose(found.coefficients, REFERENCE["coefficients"], rtol=1e-8)
    np.testing.assert_allclose(found.vif, REFERENCE["vif"], rtol=1e-8)
    assert found.r_squared == pytest.approx(REFERENCE["r_squared"], rel=1e-10)


def test_two_drivers_agree_with_lmg_of_r(reference_frame):
    two = key_drivers(reference_frame, "y", ["a", "b"], draws=100)
    np.testing.assert_allclose(two.weights, REFERENCE["lmg_first_two"], rtol=1e-8)


@given(st.integers(0, 10_000))
def test_two_drivers_are_lmg(seed):
    correlations, validities = random_correlations(seed, 2)
    np.testing.assert_allclose(relative_weights(correlations, validities), lmg(correlations, validities), atol=1e-10)


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_weights_are_a_split_of_r_squared(seed, k):
    correlations, validities = random_correlations(seed, k)
    weights = relative_weights(correlations, validities)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(validities @ np.linalg.solve(correlations, validities), abs=1e-9)


@given(st.integers(0, 10_000), st.integers(2, 5))
def test_order_and_sign_of_drivers_do_not_matter(seed, k):
    correlations, validities = random_correlations(seed, k)
    weights = relative_weights(correlations, validities)
    order = np.random.default_rng(seed).permutation(k)
    sign = np.where(order % 2, -1.0, 1.0)
    turned = relative_weights(correlations[np.ix_(order, order)] * np.outer(sign, sign), validities[order] * sign)
    np.testing.assert_allclose(turned, weights[order], atol=1e-9)


def test_uncorrelated_drivers_keep_their_squared_correlation():
    np.testing.assert_allclose(relative_weights(np.eye(3), np.array([0.5, -0.4, 0.1])), [0.25, 0.16, 0.01])


def test_alike_drivers_share_alike():
    correlations = np.full((3, 3), 0.6) + 0.4 * np.eye(3)
    weights = relative_weights(correlations, np.full(3, 0.5))
    np.testing.assert_allclose(weights, lmg(correlations, np.full(3, 0.5)))


def test_it_is_a_result(found):
    assert isinstance(found, Result)
    assert found.kind == "drivers"
    table = found.tidy()
    assert tuple(table.columns) == TIDY_COLUMNS
    importance = table.query("kind == 'importance'")
    assert importance["std_all"].sum() == pytest.approx(1)
    assert importance["estimate"].is_monotonic_decreasing
    assert (table["std_error"] > 0).all()
    assert (table["rhs"] == "y").all()
    glance = found.glance().iloc[0]
    assert (glance["nobs"], glance["drivers"], glance["draws"]) == (60, 4, 200)


def test_performance_is_the_place_on_the_scale(found, reference_frame):
    row = found.tidy().query("kind == 'performance'")
    assert row["lhs"].tolist() == ["a"]
    assert row["estimate"].item() == pytest.approx(100 * (reference_frame["a"].mean() + 5) / 10)
    assert row["conf_low"].item() < row["estimate"].item() < row["conf_high"].item()


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-6, 1e6), st.floats(-100, 100))
def test_units_of_measurement_do_not_matter(factor, shift):
    frame = pd.DataFrame(REFERENCE["x"], columns=NAMES).assign(y=REFERENCE["y"])
    # the shift is in standard units, so that no digits are lost to it
    scaled = frame.assign(b=factor * (frame["b"] + shift), y=frame["y"] / factor)
    one, two = (key_drivers(f, "y", NAMES, draws=100) for f in (frame, scaled))
    np.testing.assert_allclose(two.weights, one.weights, rtol=1e-7)
    np.testing.assert_allclose(two.coefficients, one.coefficients, rtol=1e-7)
    np.testing.assert_allclose(two.replicates.values[:, :8], one.replicates.values[:, :8], rtol=1e-6, atol=1e-9)


def test_seed_decides_the_interval(reference_frame):
    one, two, other = (key_drivers(reference_frame, "y", NAMES, draws=100, seed=s).tidy() for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert not one.equals(other)


def simulated(n, seed, paths=(0.5, 0.2, 0.0)):
    rng = np.random.default_rng(seed)
    x = rng.multivariate_normal(np.zeros(3), 0.5 * np.eye(3) + 0.5, n)
    return pd.DataFrame(x, columns=list("abc")).assign(y=x @ paths + rng.standard_normal(n) * 0.8)


def test_intervals_cover_the_truth():
    correlations = 0.5 * np.eye(3) + 0.5
    paths = np.array([0.5, 0.2, 0.0])
    sd = np.sqrt(paths @ correlations @ paths + 0.64)
    truth = relative_weights(correlations, correlations @ paths / sd)
    hits = np.zeros(2)
    for seed in range(60):
        table = (
            key_drivers(simulated(250, seed), "y", list("abc"), draws=200, seed=seed).tidy().set_index(["kind", "lhs"])
        )
        weight, path = table.loc[("importance", "a")], table.loc[("coefficient", "c")]
        hits += [weight["conf_low"] <= truth[0] <= weight["conf_high"], path["conf_low"] <= 0 <= path["conf_high"]]
    assert (hits / 60 >= 0.86).all()


def test_whole_units_are_resampled():
    rng = np.random.default_rng(5)
    unit = np.repeat(np.arange(30), 10)
    effect = rng.standard_normal((30, 3))[unit]
    frame = pd.DataFrame(effect + 0.3 * rng.standard_normal((300, 3)), columns=["a", "b", "y"]).assign(unit=unit)
    frame["y"] += 0.5 * frame["a"]
    people, units = (key_drivers(frame, "y", ["a", "b"], draws=200, cluster=c) for c in (None, "unit"))
    np.testing.assert_allclose(people.weights, units.weights)
    wide = units.tidy().query("kind == 'coefficient'")["std_error"].mean()
    assert wide > 1.8 * people.tidy().query("kind == 'coefficient'")["std_error"].mean()
    assert units.glance()["clusters"].item() == 30


def codes(result):
    return {note.code for note in result.notes()}


def test_it_says_that_association_is_not_cause(found):
    assert "association" in codes(found)
    assert any("not cause" in note.text for note in found.notes())


def test_a_negative_driver_is_named():
    frame = simulated(400, 1, (0.6, -0.4, 0.1))
    (note,) = [n for n in key_drivers(frame, "y", list("abc"), draws=200).notes() if n.code == "negative"]
    assert note.subject == "b"


def test_tangled_drivers_are_named():
    frame = simulated(200, 2)
    frame["twin"] = frame["a"] + 0.2 * np.random.default_rng(1).standard_normal(200)
    (note,) = [n for n in key_drivers(frame, "y", ["a", "twin", "b"], draws=100).notes() if n.code == "collinear"]
    assert note.subject == "a, twin"


def test_missing_answers_are_left_out_and_counted(reference_frame):
    frame = reference_frame.copy()
    frame.loc[3, "a"] = np.nan
    frame.loc[5, "y"] = np.nan
    result = key_drivers(frame, "y", NAMES, draws=100)
    whole = key_drivers(frame.dropna(), "y", NAMES, draws=100)
    assert (result.n, result.dropped) == (58, 2)
    np.testing.assert_allclose(result.weights, whole.weights)
    assert "rows_dropped" in codes(result)


def test_few_rows_are_said(reference_frame):
    assert "few_rows" in codes(key_drivers(reference_frame.iloc[:15], "y", NAMES, draws=100))


def test_one_driver_follows_from_others(reference_frame):
    frame = reference_frame.assign(sum=reference_frame["a"] + reference_frame["b"])
    with pytest.raises(NotPositiveDefiniteError) as caught:
        key_drivers(frame, "y", ["a", "b", "sum", "c"], draws=100)
    assert set(caught.value.parameters) == {"a", "b", "sum"}


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ({"outcome": "z"}, UsageError),
        ({"drivers": ["a", "z"]}, UsageError),
        ({"drivers": ["a"]}, UsageError),
        ({"drivers": ["a", "a"]}, UsageError),
        ({"drivers": ["a", "y"]}, UsageError),
        ({"cluster": "z"}, UsageError),
        ({"level": 95}, UsageError),
        ({"draws": 5}, UsageError),
        ({"drivers": ["a", "constant"]}, DataError),
        ({"drivers": ["a", "text"]}, DataError),
        ({"drivers": ["a", "huge"]}, DataError),
        ({"drivers": ["a", "empty"]}, DataError),
    ],
)
def test_impossible_calls_are_refused(reference_frame, call, error):
    frame = reference_frame.assign(constant=1.0, text="x", huge=np.r_[np.inf, np.zeros(58), 1], empty=np.nan)
    with pytest.raises(error):
        key_drivers(frame, **{"outcome": "y", "drivers": ["a", "b"], **call})
