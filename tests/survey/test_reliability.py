from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.errors import DataError, UsageError
from spc.moments import Moments
from spc.results import TIDY_COLUMNS, Result
from spc.survey import Construct, alpha, omega, scale_reliability, spearman_brown
from spc.survey.factor import OneFactor, fit_one_factor, omega_gradient

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "survey_reliability.json").read_text())
SCALES = {**REFERENCE["bfi"], **REFERENCE["holzinger"], "simulated": REFERENCE["simulated"]}


def moments(scale):
    return Moments(scale["items"], scale["n"], None, scale["cov"])


def codes(found):
    return {note.code for note in found.notes()}


def one_factor_data(n, loadings, seed, cuts=None):
    rng = np.random.default_rng(seed)
    load = np.asarray(loadings)
    x = rng.standard_normal((n, 1)) * load + rng.standard_normal((n, load.size)) * np.sqrt(1 - load**2)
    return pd.DataFrame(x if cuts is None else np.searchsorted(cuts, x), columns=[f"i{i}" for i in range(load.size)])


@pytest.mark.parametrize("name", SCALES)
def test_alpha_is_psychs(name):
    found, scale = alpha(moments(SCALES[name])), SCALES[name]
    assert [found.estimate, found.conf_low, found.conf_high] == pytest.approx(
        [scale["alpha"], scale["feldt_low"], scale["feldt_high"]], abs=1e-10
    )


@pytest.mark.parametrize("name", SCALES)
def test_omega_and_its_normal_error_are_lavaans(name):
    found, scale = omega(moments(SCALES[name])), SCALES[name]
    assert found.estimate == pytest.approx(scale["omega"], abs=5e-7)
    assert found.estimate == pytest.approx(scale["semtools_implied"], abs=5e-7)
    assert found.std_error == pytest.approx(scale["omega_se"], abs=1e-6)


@pytest.mark.parametrize("name", SCALES)
def test_the_factor_is_lavaans_and_psychs(name):
    scale = SCALES[name]
    fit = fit_one_factor(np.array(scale["cov"]), scale["n"])
    divisor = np.sqrt((scale["n"] - 1) / scale["n"])
    assert fit.loadings * fit.scale * divisor == pytest.approx(np.array(scale["loadings"]), abs=2e-5)
    assert fit.uniqueness * (fit.scale * divisor) ** 2 == pytest.approx(np.array(scale["residuals"]), abs=5e-5)
    if "psych_uniqueness" in scale:
        assert fit.uniqueness == pytest.approx(np.array(scale["psych_uniqueness"]), abs=1e-4)


def test_with_rows_the_error_is_the_robust_one():
    scale = REFERENCE["simulated"]
    found = omega(pd.DataFrame(scale["rows"], columns=scale["items"]))
    n = scale["n"]
    assert found.std_error == pytest.approx(scale["omega_se_mlm"] * np.sqrt((n - 1) / n), rel=1e-5)
    assert abs(found.std_error - scale["omega_se"]) > 2e-4


def test_the_gradient_of_omega_is_the_finite_difference_of_refits():
    load, scale = np.array([0.9, 0.8, 0.6, 0.7, 0.4]), np.array([1.0, 2.0, 0.5, 1.0, 3.0])
    cov = (np.outer(load, load) + np.diag(1 - load**2)) * np.outer(scale, scale)
    fit = fit_one_factor(cov, 500)
    weights = omega_gradient(fit).weights
    for i, j in ((0, 1), (2, 4), (3, 3)):
        moved = []
        for sign in (1, -1):
            step = np.zeros_like(cov)
            step[i, j] = step[j, i] = sign * 1e-3
            moved.append(fit_one_factor(cov + step * np.outer(scale, scale), 500).omega)
        expected = weights[i, j] * (1 if i == j else 2)
        assert (moved[0] - moved[1]) / 2e-3 == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_parallel_items_have_equal_coefficients():
    cov = np.full((4, 4), 0.4) + 0.6 * np.eye(4)
    m = Moments(["a", "b", "c", "d"], 200, None, cov)
    assert alpha(m).estimate == pytest.approx(4 * 0.4 / (1 + 3 * 0.4))
    assert omega(m).estimate == pytest.approx(alpha(m).estimate, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.floats(1e-3, 1e6), st.floats(-1e3, 1e3), st.permutations(range(5)))
def test_units_origin_and_order_do_not_matter(factor, shift, order):
    rows = np.array(REFERENCE["simulated"]["rows"], dtype=float)
    before, after = (pd.DataFrame(x) for x in (rows, rows[:, order] * factor + shift))
    for coefficient, tolerance in ((alpha, 1e-8), (omega, 1e-8)):
        first, second = coefficient(before), coefficient(after)
        assert [second.estimate, second.conf_low, second.conf_high] == pytest.approx(
            [first.estimate, first.conf_low, first.conf_high], abs=tolerance
        )


def test_incomplete_rows_are_left_out_and_told():
    data = one_factor_data(100, [0.7, 0.6, 0.8], 1)
    data.iloc[:7, 1] = np.nan
    for coefficient in (alpha, omega):
        found = coefficient(data)
        assert (found.n, found.n_dropped) == (93, 7)
        assert found.estimate == pytest.approx(coefficient(data.dropna()).estimate, abs=1e-12)
        assert "incomplete_rows" in codes(found)


def test_one_item_has_no_coefficient_and_says_so():
    (found,) = scale_reliability(pd.DataFrame({"q": [1, 2, 3, 4]}), Construct("c", ["q"], 1, 5))
    assert np.isnan(found.estimate)
    assert codes(found) == {"single_item"}


def test_two_items_get_spearman_brown_and_no_omega():
    data = one_factor_data(80, [0.8, 0.7], 2)
    construct = Construct("c", list(data.columns))
    first, second = scale_reliability(data, construct)
    r = data.corr().iloc[0, 1]
    assert (first.coefficient, second.coefficient) == ("alpha", "spearman_brown")
    assert second.estimate == pytest.approx(2 * r / (1 + r))
    half = 1.959963984540054 / np.sqrt(77)
    low, high = np.tanh(np.arctanh(r) - half), np.tanh(np.arctanh(r) + half)
    assert [second.conf_low, second.conf_high] == pytest.approx([2 * low / (1 + low), 2 * high / (1 + high)])
    refused = omega(data)
    assert np.isnan(refused.estimate)
    assert "two_items" in codes(refused)
    with pytest.raises(UsageError, match="for two items"):
        spearman_brown(one_factor_data(80, [0.8, 0.7, 0.6], 2))


def test_reverse_keys_are_turned_first():
    data = one_factor_data(200, [0.8, 0.7, 0.6], 3, cuts=[-1, 0, 1])
    straight = scale_reliability(data, Construct("c", ["i0", "i1", "i2"], 0, 3))
    turned = data.assign(i2=3 - data["i2"])
    again = scale_reliability(turned, Construct("c", ["i0", "i1", "i2"], 0, 3, reverse=["i2"]))
    assert [r.estimate for r in straight] == pytest.approx([r.estimate for r in again], abs=1e-12)
    forgotten = scale_reliability(turned, Construct("c", ["i0", "i1", "i2"], 0, 3))[0]
    assert "item_against" in codes(forgotten)
    assert any("i2" in note.text for note in forgotten.notes())


def test_negative_alpha_is_reported_as_it_is_and_called_serious():
    found = alpha(Moments(["a", "b", "c"], 50, None, [[1, -0.3, -0.2], [-0.3, 1, -0.1], [-0.2, -0.1, 1]]))
    assert found.estimate == pytest.approx(1.5 * (1 - 3 / 1.8))
    assert {n.code: n.severity for n in found.notes()}["negative_alpha"] == "serious"


def test_a_heywood_case_has_no_omega():
    r = np.array([[1, 0.8, 0.7], [0.8, 1, 0.3], [0.7, 0.3, 1]])
    found = omega(Moments(["a", "b", "c"], 100, None, r))
    assert np.isnan([found.estimate, found.conf_low, found.conf_high]).all()
    assert "Heywood" in {n.code: n.text for n in found.notes()}["no_factor"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (pd.DataFrame({"a": [1, 2, 3, 4], "b": [1, 2, 3, 4], "c": [2, 1, 4, 3]}), "no_factor"),
        (pd.DataFrame({"a": [3, 3, 3, 3], "b": [1, 2, 3, 4], "c": [2, 1, 4, 3]}), "no_variance"),
        (pd.DataFrame({"a": [3, 3, 3], "b": [1, 1, 1], "c": [2, 2, 2]}), "no_variance"),
        (pd.DataFrame({"a": [1.0, None, 3], "b": [1, 2, None], "c": [2, 1, 3]}), "too_few_rows"),
        (pd.DataFrame({"a": [], "b": [], "c": []}), "too_few_rows"),
        (pd.DataFrame(index=[0, 1, 2]), "single_item"),
    ],
)
def test_what_cannot_be_had_is_missing_with_a_reason(data, code):
    found = omega(data)
    assert np.isnan([found.estimate, found.conf_low, found.conf_high]).all()
    assert code in codes(found)


def test_items_that_are_more_than_one_thing_are_told():
    assert "not_one_factor" in codes(omega(moments(SCALES["all_nine"])))
    assert "not_one_factor" not in codes(omega(moments(SCALES["neuroticism"])))


def test_a_factor_without_strength_has_no_interval():
    assert omega_gradient(OneFactor([1e-9] * 3, [1.0] * 3, [1.0] * 3, 0.0)) is None


def test_user_mistakes_are_our_errors():
    with pytest.raises(UsageError, match="level"):
        alpha(one_factor_data(20, [0.5] * 3, 0), level=95)
    with pytest.raises(DataError, match="values of type"):
        alpha(pd.DataFrame({"a": list("xyz"), "b": [1, 2, 3]}))
    with pytest.raises(DataError, match="infinite"):
        omega(pd.DataFrame({"a": [1, np.inf, 2], "b": [1, 2, 3], "c": [3, 1, 2]}))


def test_results_answer_the_protocol():
    found = omega(moments(SCALES["speed"]), name="speed")
    assert isinstance(found, Result)
    tidy = found.tidy()
    assert tuple(tidy.columns) == TIDY_COLUMNS
    assert tidy.loc[0, ["lhs", "kind"]].tolist() == ["speed", "omega"]
    assert len(found.glance()) == 1


def test_the_interval_of_omega_is_students_on_the_logit():
    from scipy.stats import t

    found = omega(moments(SCALES["speed"]), level=0.90)
    n, w = found.n, found.estimate
    half = t.ppf(0.95, n - 3) * found.std_error * np.sqrt(n / (n - 3)) / (w * (1 - w))
    odds = w / (1 - w) * np.exp([-half, half])
    assert [found.conf_low, found.conf_high] == pytest.approx(odds / (1 + odds))


def coverage(coefficient, truth, n, loadings, cuts, draws):
    found = [coefficient(one_factor_data(n, loadings, (seed, 11), cuts)) for seed in range(draws)]
    return np.mean([f.conf_low <= truth <= f.conf_high for f in found if np.isfinite(f.conf_low)])


def test_intervals_hold_their_level_roughly():
    load = np.array([0.8, 0.7, 0.6, 0.5])
    truth = load.sum() ** 2 / (load.sum() ** 2 + (1 - load**2).sum())
    assert 0.90 <= coverage(omega, truth, 200, load, None, 200) <= 0.99
    parallel = np.full(4, 0.7)
    assert 0.90 <= coverage(alpha, 4 * 0.49 / (1 + 3 * 0.49), 60, parallel, None, 200) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("n", [50, 100, 300])
@pytest.mark.parametrize("cuts", [None, (-2, -1.3, -0.6, 0.4)])
def test_omega_intervals_hold_their_level(n, cuts):
    load = np.array([0.8, 0.7, 0.6, 0.5, 0.7])
    truth = load.sum() ** 2 / (load.sum() ** 2 + (1 - load**2).sum())
    if cuts is not None:
        truth = omega(one_factor_data(400_000, load, 1, cuts)).estimate
    assert 0.925 <= coverage(omega, truth, n, load, cuts, 1000) <= 0.975
