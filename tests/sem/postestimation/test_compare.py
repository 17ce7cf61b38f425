"""Comparison of models: lavaan's differences, what is nested, what is refused."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from spc.errors import DataError, UnsupportedError, UsageError
from spc.moments import Moments
from spc.results import TIDY_COLUMNS, Result
from spc.sem import SemFit, fit
from spc.sem.postestimation.compare import compare
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_inference.json").read_text())["nested"]
MEASUREMENT = "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"


def moments(n: int | None = None) -> Moments:
    m = REFERENCE["moments"]
    return Moments(m["names"], n or m["n"], m["means"], m["covariance"])


@cache
def fitted(name: str) -> SemFit:
    return fit(REFERENCE["models"][name], moments())


def test_as_lavaan_in_any_order() -> None:
    names = tuple(REFERENCE["models"])
    turned = names[2:] + names[:2]
    table = compare(*map(fitted, turned), names=turned).augment()
    assert tuple(table["model"]) == names
    for (_, mine), theirs in zip(table.iterrows(), REFERENCE["rows"], strict=True):
        for key in ("df", "chisq", "aic", "bic", "cfi", "rmsea"):
            assert mine[key] == pytest.approx(theirs[key], rel=1e-7), key
        for key, name in (("chisq_diff", "chisq_diff"), ("df_diff", "df_diff"), ("pvalue", "p")):
            expected = np.nan if theirs[name] is None else theirs[name]
            assert mine[key] == pytest.approx(expected, rel=1e-5, nan_ok=True), key
    assert np.allclose(table["cfi_diff"][1:], np.diff(table["cfi"]))
    assert np.allclose(table["bic_diff"][1:], np.diff(table["bic"]))


def test_answers_like_every_result() -> None:
    result = compare(fitted("free"), fitted("tau"))
    assert isinstance(result, Result)
    assert tuple(result.tidy().columns) == TIDY_COLUMNS
    row = result.tidy().iloc[0]
    assert (row["lhs"], row["rhs"], row["label"]) == ("model 2", "model 1", "df 9")
    assert result.glance()["best_aic"].iloc[0] == "model 1"
    assert result.glance()["best_bic"].iloc[0] == "model 1"
    assert result.notes() == ()


def test_fits_without_a_likelihood_are_shown_without_information_criteria() -> None:
    free, strict = (fit(REFERENCE["models"][name], moments(), estimator="GLS") for name in ("free", "tau"))
    result = compare(free, strict)
    assert "best_aic" not in result.glance()
    assert "model 2" in str(result)


def test_models_that_only_look_nested_are_found_out() -> None:
    one = fit(f"{MEASUREMENT}visual ~~ 0*speed", moments())
    other = fit(f"{MEASUREMENT}textual ~~ 0*speed\nx1 ~~ x2\nvisual ~~ 0*textual", moments())
    result = compare(one, other)
    assert [note.code for note in result.notes()] == ["not_nested"]
    assert np.isnan(result.augment()["pvalue"][1])
    assert np.isfinite(result.augment()["aic_diff"][1])


def test_the_same_number_of_degrees_of_freedom_has_no_test() -> None:
    result = compare(
        fit(f"{MEASUREMENT}visual ~~ 0*speed", moments()), fit(f"{MEASUREMENT}textual ~~ 0*speed", moments())
    )
    assert "same degrees of freedom" in result.notes()[0].text
    assert np.isnan(result.augment()["pvalue"][1])


def test_equivalent_forms_are_nested() -> None:
    """Three correlated latents and a second-order one over them say the same; orthogonal ones are a case of both."""
    second = fit(f"{MEASUREMENT}g =~ visual + textual + speed", moments())
    assert compare(second, fitted("orthogonal")).notes() == ()


def test_other_rows_are_refused() -> None:
    with pytest.raises(DataError, match="300 rows"):
        compare(fitted("free"), fit(MEASUREMENT, moments(300)))
    shaken = moments()
    cov = shaken.cov.copy()
    cov[0, 0] *= 1.001
    with pytest.raises(DataError, match="other values"):
        compare(fitted("free"), fit(MEASUREMENT, Moments(shaken.names, shaken.n, shaken.mean, cov)))


def test_other_variables_are_refused() -> None:
    with pytest.raises(DataError, match="x7, x8, x9"):
        compare(fitted("free"), fit("visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6", moments()))


def test_the_order_of_the_variables_does_not_matter() -> None:
    turned = "speed =~ x7 + x8 + x9\ntextual =~ x4 + x5 + x6\nvisual =~ x1 + x2 + x3\nvisual ~~ 0*speed"
    table = compare(fitted("free"), fit(turned, moments())).augment()
    assert table["df_diff"][1] == 1


def test_other_likelihoods_and_means_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="likelihood"):
        compare(fitted("free"), fit(MEASUREMENT, moments(), likelihood="wishart"))
    with pytest.raises(UnsupportedError, match="mean structure"):
        compare(fitted("free"), fit(model(MEASUREMENT, meanstructure=True), moments()))


def test_one_fit_is_not_a_comparison() -> None:
    with pytest.raises(UsageError, match="two or more"):
        compare(fitted("free"))
    with pytest.raises(UsageError, match="3 names for 2"):
        compare(fitted("free"), fitted("tau"), names=("a", "b", "c"))
