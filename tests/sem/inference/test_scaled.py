"""Scaled and robust fit measures: limits and hand calculation. Agreement with lavaan: test_robust.py."""

from __future__ import annotations

import math

import pytest

from spc.sem.inference import fitmeasures as measure
from spc.sem.inference.scaled import Correction, ratio, scaled_measures, scaled_statistic

TEST = {"chisq": 60.0, "df": 20, "baseline_chisq": 900.0, "baseline_df": 28}


def correction(factor: float, baseline: float) -> Correction:
    return Correction("satorra_bentler", factor * 20, factor, baseline)


def test_a_scaling_of_one_changes_nothing() -> None:
    found = scaled_measures(TEST, correction(1.0, 1.0), 300)
    for version in ("scaled", "robust"):
        assert found[f"cfi_{version}"] == pytest.approx(measure.cfi(60.0, 20, 900.0, 28))
        assert found[f"tli_{version}"] == pytest.approx(measure.tli(60.0, 20, 900.0, 28))
        assert found[f"rmsea_{version}"] == pytest.approx(measure.rmsea(60.0, 20, 300))
        assert found[f"rmsea_ci_upper_{version}"] == pytest.approx(measure.rmsea_ci(60.0, 20, 300)[1])
    assert found["chisq_scaled"] == 60.0


def test_measures_by_hand() -> None:
    found = scaled_measures(TEST, correction(1.5, 2.0), 300)
    assert found["chisq_scaled"] == pytest.approx(40.0)
    assert found["baseline_chisq_scaled"] == pytest.approx(450.0)
    assert found["cfi_scaled"] == pytest.approx(1 - 20 / 422)
    assert found["cfi_robust"] == pytest.approx(1 - 30 / 844)
    assert found["tli_robust"] == pytest.approx(1 - (30 / 20) / (844 / 28))
    assert found["rni_robust"] == pytest.approx(1 - 30 / 844)
    assert found["rmsea_robust"] == pytest.approx(math.sqrt(30 / (300 * 20)))
    assert found["rmsea_scaled"] == pytest.approx(math.sqrt((60 - 30) / (300 * 30)))
    assert "scaling_factor_h0" not in found


def test_robust_rmsea_is_free_of_the_scaling_and_the_scaled_one_is_not() -> None:
    whole = scaled_measures({**TEST, "chisq": 1.5 * 60.0}, correction(1.5, 1.0), 300)
    assert whole["rmsea_robust"] == pytest.approx(math.sqrt(1.5) * measure.rmsea(60.0, 20, 300))
    assert whole["rmsea_scaled"] == pytest.approx(measure.rmsea(60.0, 20, 300))
    assert whole["rmsea_pvalue_robust"] == pytest.approx(measure.rmsea_pvalue(60.0, 20, 300, 0.05 / math.sqrt(1.5)))


def test_without_degrees_of_freedom_there_is_nothing_to_scale() -> None:
    found = scaled_measures({**TEST, "chisq": 0.0, "df": 0}, Correction("x", 0.0, math.nan, 1.2), 300)
    assert found["chisq_scaled"] == 0.0 and math.isnan(found["pvalue_scaled"])
    assert found["cfi_scaled"] == 1.0 and math.isnan(found["cfi_robust"])
    assert found["rmsea_robust"] == 0.0 and math.isnan(found["rmsea_scaled"])


def test_a_scaling_that_makes_no_sense_leaves_nothing() -> None:
    assert math.isnan(ratio(-0.1, 5)) and math.isnan(ratio(1.0, 0)) and ratio(6.0, 5) == 1.2
    found = scaled_measures(TEST, Correction("x", -1.0, math.nan, 1.2), 300)
    for key in ("chisq_scaled", "pvalue_scaled", "cfi_scaled", "cfi_robust", "rmsea_robust", "rmsea_pvalue_scaled"):
        assert math.isnan(found[key]), key
    assert math.isnan(scaled_statistic(5.0, 3, math.nan)["chisq_scaled"])
