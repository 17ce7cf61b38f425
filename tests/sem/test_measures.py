"""All measures of a fit at once: what goes in is the right thing. Values against lavaan: ``test_against_lavaan.py``."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from spc.errors import ImproperSolutionWarning
from spc.moments import Moments
from spc.results import GLANCE_COLUMNS
from spc.sem import fit, fit_measures, implied_moments
from spc.sem.options import Estimator
from spc.spec import model

TEXT = "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6"


def survey(n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    f = rng.standard_normal(n)
    g = 0.5 * f + 0.8 * rng.standard_normal(n)
    rows = np.repeat(np.array([f, g]), 3, axis=0) + 0.7 * rng.standard_normal((6, n))
    return pd.DataFrame(rows.T * [1, 10, 1, 1, 100, 1] + 3, columns=[f"x{i}" for i in range(1, 7)])


@pytest.mark.parametrize("means", [False, True])
def test_the_log_likelihood_is_that_of_the_rows(means: bool) -> None:
    frame = survey()
    fitted = fit(model(TEXT, meanstructure=means), frame)
    implied = implied_moments(fitted)
    assert implied.mean is not None
    density = multivariate_normal(implied.mean, implied.cov * 199 / 200)
    measures = fit_measures(fitted)
    assert measures["logl"] == pytest.approx(density.logpdf(frame.to_numpy()).sum(), rel=1e-10)
    assert measures["chisq"] == pytest.approx(2 * (measures["unrestricted_logl"] - measures["logl"]), rel=1e-8)
    assert measures["aic"] == pytest.approx(2 * measures["npar"] - 2 * measures["logl"])


def test_the_baseline_is_a_model_of_its_own() -> None:
    frame = survey()
    independence = "\n".join(f"{name} ~~ {name}" for name in frame)
    alone = fit_measures(fit(independence, frame))
    measures = fit_measures(fit(TEXT, frame))
    assert measures["baseline_chisq"] == pytest.approx(alone["chisq"], rel=1e-9)
    assert measures["baseline_df"] == alone["df"] == 15


def test_covariates_keep_their_covariances_in_the_baseline() -> None:
    measures = fit_measures(fit("x6 ~ x1 + x2\nx5 ~ x6", survey()))
    text = "x6 ~ 0*x1 + 0*x2\nx5 ~ 0*x6"
    alone = fit_measures(fit(text, survey()))
    assert measures["baseline_chisq"] == pytest.approx(alone["chisq"], rel=1e-9)
    assert measures["baseline_df"] == alone["df"]


def test_glance_shows_what_the_measures_say() -> None:
    fitted = fit(TEXT, survey())
    row, measures = fitted.glance().iloc[0], fit_measures(fitted)
    shared = [name for name in GLANCE_COLUMNS if name in measures]
    assert len(shared) >= 18
    for name in shared:
        assert row[name] == pytest.approx(measures[name], nan_ok=True)
    assert np.isnan(row["chisq_scaled"])
    assert (row["nobs"], row["ngroups"], row["estimator"]) == (200, 1, "ML")


def test_a_saturated_model() -> None:
    measures = fit_measures(fit("x6 ~ x1 + x2", survey()))
    assert (measures["df"], measures["rmsea"], measures["tli"]) == (0, 0.0, 1.0)
    assert measures["cfi"] == pytest.approx(1.0, abs=1e-12)
    assert measures["chisq"] == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(measures["pvalue"])
    assert measures["srmr"] == pytest.approx(0.0, abs=1e-7)


def test_the_residual_in_the_units_of_the_data() -> None:
    cov = np.array([[4.0, 1.0], [1.0, 1.0]])
    fitted = fit("x ~~ x\ny ~~ y", Moments(["x", "y"], 100, None, cov), likelihood="wishart")
    assert fit_measures(fitted)["rmr"] == pytest.approx(np.sqrt(1 / 3))
    assert fit_measures(fitted)["srmr"] == pytest.approx(np.sqrt(0.25 / 3))


@pytest.mark.parametrize("estimator", ["ML", "MLR"])
def test_two_levels_that_fit_better_than_unrestricted_moments_have_no_test(estimator: Estimator) -> None:
    rng = np.random.default_rng(3)
    common, units = rng.normal(size=(150, 1)), np.repeat(rng.normal(size=(30, 1)), 5, axis=0)
    rows = pd.DataFrame(0.8 * common + 0.15 * units + 0.6 * rng.normal(size=(150, 4)), columns=list("abcd"))
    rows["unit"] = np.repeat(np.arange(30), 5)
    text = "level: 1\nf =~ a + b + c + d\nlevel: 2\ng =~ a + b + c + d"
    with pytest.warns(ImproperSolutionWarning):
        fitted = fit(text, rows, cluster="unit", estimator=estimator)
    row, measures = fitted.glance().iloc[0], fit_measures(fitted)
    assert "no_test" in {note.code for note in fitted.notes()}
    for name in ("chisq", "pvalue", "cfi", "rmsea", "unrestricted_logl"):
        assert np.isnan(row[name])
        assert np.isnan(measures[name])
    assert np.isfinite(row[["logl", "aic", "bic"]].astype(float)).all()
