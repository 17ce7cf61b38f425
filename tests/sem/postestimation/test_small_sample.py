"""Small-sample corrections: hand-checked values, formulas written again in R, and the size of the test."""

from __future__ import annotations

import json
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from spc.disclosure import Gate
from spc.errors import SpcWarning, UsageError
from spc.moments import Moments
from spc.sem import fit
from spc.sem.postestimation.small_sample import bartlett_factor, small_sample_test, swain_factor, yuan_factor
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_after.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}


def fitted(name):
    m = CASES[name]["moments"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        moments = Moments(m["names"], m["n"], m["means"], m["covariance"])
        return fit(model(CASES[name]["model"], **CASES[name]["options"]), moments)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("correction", ["swain", "bartlett", "yuan"])
def test_factors_are_those_of_the_script(name, correction):
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


def test_refusals_and_notes():
    result = small_sample_test(fitted("hs_means"))
    assert {note.code for note in result.notes()} == {"divisor", "outside_theory"}
    assert Gate().model(result).kind == "small_sample"
    with pytest.raises(UsageError, match="'swain', 'bartlett', 'yuan'"):
        small_sample_test(fitted("hs_cfa"), "box")
    saturated = fit("y ~ x", Moments(["x", "y"], 50, None, [[1, 0.5], [0.5, 1]]))
    with pytest.raises(UsageError, match="no degrees of freedom"):
        small_sample_test(saturated)
