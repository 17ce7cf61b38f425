"""Small-sample corrections: hand-checked values, formulas written again in R, and the size of the test."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.disclosure import Gate
from spc.errors import UnsupportedError, UsageError
from spc.moments import Moments
from spc.sem import fit
from spc.sem.postestimation.small_sample import (
    _parameters,
    bartlett_factor,
    small_sample_test,
    swain_factor,
    yuan_factor,
)
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_after.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("correction", ["swain", "bartlett", "yuan"])
def test_factors_are_those_of_the_script(fitted, name, correction):
    expected = CASES[name]["small_sample"][correction][0]
    if expected in ("NaN", None) or CASES[name]["name"] in {"hs_mimic", "hs_direct", "growth", "attitude_path"}:
        pytest.skip("lavaan counts degrees of freedom apart from fixed covariates")
    found = small_sample_test(fitted(name), correction)
    assert found.factor == pytest.approx(expected, rel=1e-12)
    assert found.chisq == pytest.approx(expected * found.uncorrected)


def test_factors_by_hand():
    """Nine variables, three factors, 24 degrees of freedom, 301 rows: q = (sqrt(169) - 1) / 2 = 6."""
    assert swain_factor(9, 24, 300) == pytest.approx(float(1 - Fraction(9 * 188 - 6 * 89, 12 * 24 * 300)))
    assert bartlett_factor(9, 3, 300) == pytest.approx(float(1 - Fraction(18 + 12 + 5, 1800)))
    assert yuan_factor(9, 3, 300) == pytest.approx(float(1 - Fraction(18 + 6 + 7, 1800)))


def test_corrected_tests_reject_as_often_as_they_should():
    """Twelve variables, 40 rows, a true model: the plain test rejects far too often at five per cent."""
    rng = np.random.default_rng(4)
    names = [f"v{i}" for i in range(12)]
    text = model("f =~ " + " + ".join(names[:6]) + "\ng =~ " + " + ".join(names[6:]))
    rejected = []
    for _ in range(300):
        traits = rng.multivariate_normal([0, 0], [[1, 0.3], [0.3, 1]], 40)
        data = np.repeat(traits, 6, axis=1) + 0.7 * rng.standard_normal((40, 12))
        result = fit(text, Moments(names, 40, None, np.cov(data, rowvar=False)))
        rejected.append([
            float(result.glance()["pvalue"].iloc[0]) < 0.05,
            *(small_sample_test(result, c).pvalue < 0.05 for c in ("swain", "bartlett", "yuan")),
        ])  # fmt: skip
    plain, *corrected = np.mean(rejected, axis=0)
    assert plain > 0.15
    assert all(0.02 < share < 0.10 for share in corrected)


def test_refusals_and_notes(fitted):
    result = small_sample_test(fitted("hs_means"))
    assert {note.code for note in result.notes()} == {"divisor", "outside_theory"}
    assert Gate().model(result).kind == "small_sample"
    with pytest.raises(UsageError, match="'swain', 'bartlett', 'yuan'"):
        small_sample_test(fitted("hs_cfa"), "box")
    saturated = fit("y ~ x", Moments(["x", "y"], 50, None, [[1, 0.5], [0.5, 1]]))
    with pytest.raises(UsageError, match="no degrees of freedom"):
        small_sample_test(saturated)


def two_groups(rng, sizes=(40, 70), k=8):
    return {
        f"g{i}": Moments.from_frame(
            pd.DataFrame(rng.normal(size=(n, 1)) + 0.8 * rng.normal(size=(n, k)), columns=[f"v{j}" for j in range(k)]),
            higher=True,
        )
        for i, n in enumerate(sizes)
    }


ONE = "f =~ " + " + ".join(f"v{j}" for j in range(8))


@pytest.mark.parametrize("correction", ["swain", "bartlett", "yuan"])
def test_groups_that_share_nothing_are_corrected_one_by_one(correction):
    groups = two_groups(np.random.default_rng(1))
    alone = [small_sample_test(fit(ONE, one), correction) for one in groups.values()]
    both = small_sample_test(fit(ONE, groups), correction)
    assert both.chisq == pytest.approx(sum(one.chisq for one in alone), rel=1e-6)
    assert both.df == sum(one.df for one in alone)
    assert both.n == 110


def test_parameters_that_groups_share_are_divided_among_them():
    groups = two_groups(np.random.default_rng(2))
    shared = fit(ONE, groups, group_equal=["loadings", "intercepts", "residuals"])
    assert sum(_parameters(shared)) == pytest.approx(shared.system.npar)
    found = small_sample_test(shared)
    assert 0.8 < found.factor < 1.0
    assert "own_extension" in [note.code for note in found.notes()]
    assert found.tidy()["estimate"].notna().all()


def test_tests_of_groups_reject_as_often_as_they_should():
    rng = np.random.default_rng(6)
    found = []
    for _ in range(200):
        shared = fit(ONE, two_groups(rng, (30, 30)), group_equal=["loadings"])
        found.append([shared.glance()["pvalue"].iloc[0] < 0.05, small_sample_test(shared).pvalue < 0.05])
    plain, corrected = np.mean(found, axis=0)
    assert plain > 0.08
    assert corrected == pytest.approx(0.05, abs=0.035)


def test_scaled_statistics_are_corrected_in_their_place():
    one = two_groups(np.random.default_rng(3))["g1"]
    plain, scaled = fit(ONE, one), fit(ONE, one, estimator="MLM")
    assert scaled.correction is not None
    factor = small_sample_test(plain).factor
    found = small_sample_test(scaled)
    assert found.factor == pytest.approx(factor)
    assert found.chisq == pytest.approx(small_sample_test(plain).chisq / scaled.correction.factor)


def test_other_estimators_are_refused():
    with pytest.raises(UnsupportedError, match="ML, MLM, MLR"):
        small_sample_test(fit(ONE, two_groups(np.random.default_rng(3))["g0"], estimator="GLS"))
