"""Standardised solution, explained variance, implied moments and residuals of a fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spc.errors import UsageError
from spc.moments import Moments
from spc.results import TIDY_COLUMNS
from spc.sem import fit, implied_moments, r_square, residuals, standardized
from spc.spec import model

NAMES = ["x", "m", "y"]
COV = np.array([[4.0, 1.2, 0.9], [1.2, 1.0, 0.5], [0.9, 0.5, 1.0]])
CHAIN = "m ~ a*x\ny ~ b*m + x\nab := a*b"


def survey(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    f = rng.standard_normal(n)
    g = 0.5 * f + 0.8 * rng.standard_normal(n)
    rows = np.repeat(np.array([f, g]), 3, axis=0) + 0.7 * rng.standard_normal((6, n))
    return pd.DataFrame(rows.T * [1, 10, 1, 1, 100, 1] + 3, columns=[f"x{i}" for i in range(1, 7)])


def test_a_standardised_regression_is_a_correlation() -> None:
    fitted = fit("y ~ x", Moments(NAMES, 100, None, COV))
    table = standardized(fitted)
    r = 0.9 / 2.0
    assert tuple(table.columns) == TIDY_COLUMNS
    assert table.loc[0, "estimate"] == pytest.approx(r)
    assert table.loc[0, "std_error"] == pytest.approx(np.sqrt((1 - r**2) ** 2 * (1 - r**2 / 2) / 100))
    assert table.loc[0, "conf_low"] < r < table.loc[0, "conf_high"]


def test_standard_errors_are_missing_where_nothing_varies() -> None:
    table = standardized(fit("f =~ x1 + x2 + x3 + x4", survey())).set_index(["lhs", "op", "rhs"])
    assert table.loc[("f", "~~", "f"), "estimate"] == pytest.approx(1.0)
    assert np.isnan(table.loc[("f", "~~", "f"), "std_error"])
    assert table.loc[("f", "=~", "x1"), "std_error"] > 0


def test_defined_parameters_are_standardised_from_standardised_parts() -> None:
    fitted = fit(CHAIN, Moments(NAMES, 100, None, COV))
    table = standardized(fitted).set_index(["lhs", "op", "rhs"])
    a, b = table.loc[("m", "~", "x"), "estimate"], table.loc[("y", "~", "m"), "estimate"]
    assert table.loc[("ab", ":=", "a*b"), "estimate"] == pytest.approx(a * b)
    last = fitted.tidy().iloc[-1]
    assert (last["lhs"], last["kind"]) == ("ab", "defined")
    assert last["std_all"] == pytest.approx(a * b)


def test_units_do_not_reach_the_standardised_solution() -> None:
    frame = survey()
    made = model("f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\ng ~ f", meanstructure=True)
    plain = standardized(fit(made, frame))
    scaled = standardized(fit(made, frame.assign(x1=frame["x1"] * 1e5, x6=frame["x6"] * 1e-5)))
    for column in ("estimate", "std_error"):
        np.testing.assert_allclose(scaled[column], plain[column], rtol=1e-6, atol=1e-9)


def test_latent_standardisation_is_the_solution_with_unit_latents() -> None:
    text = "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6"
    left = standardized(fit(text, survey()), "lv").set_index(["lhs", "op", "rhs"]).sort_index()
    right = fit(model(text, std_lv=True), survey()).tidy().set_index(["lhs", "op", "rhs"]).sort_index()
    np.testing.assert_allclose(left["estimate"], right["estimate"], rtol=1e-7)
    both = left["std_error"].notna() & right["std_error"].notna()
    np.testing.assert_allclose(left.loc[both, "std_error"], right.loc[both, "std_error"], rtol=1e-6)


def test_explained_variance() -> None:
    share = r_square(fit(CHAIN, Moments(NAMES, 100, None, COV)))
    assert list(share.index) == ["m", "y"]
    assert share["m"] == pytest.approx(1.2**2 / 4.0)


def test_a_saturated_model_implies_the_sample() -> None:
    moments = Moments(NAMES, 100, [1.0, 2.0, 3.0], COV)
    fitted = fit(CHAIN, moments)
    np.testing.assert_allclose(implied_moments(fitted).restrict(NAMES).cov, COV, atol=1e-9)
    for kind in ("raw", "cor"):
        np.testing.assert_allclose(residuals(fitted, kind), 0.0, atol=1e-9)  # type: ignore[arg-type]


def test_residuals_are_sample_less_implied() -> None:
    fitted = fit("y ~ m\nm ~ x", Moments(NAMES, 100, None, COV), likelihood="wishart")
    raw, cor = residuals(fitted), residuals(fitted, "cor")
    gap = 0.9 - 1.2 * 0.5
    assert raw.loc["x", "y"] == pytest.approx(gap)
    assert cor.loc["x", "y"] == pytest.approx(gap / 2.0)
    assert raw.loc["x", "m"] == pytest.approx(0.0, abs=1e-10)


def test_unknown_types_are_refused() -> None:
    fitted = fit(CHAIN, Moments(NAMES, 100, None, COV))
    with pytest.raises(UsageError, match="'all' or 'lv'"):
        standardized(fitted, "nox")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="'raw' or 'cor'"):
        residuals(fitted, "z")  # type: ignore[arg-type]
