"""Where other programs give a wrong number in silence: each trap is one test that we get it right, or say no."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spc.errors import (
    DataError,
    DroppedRowsWarning,
    EstimationError,
    NotIdentifiedError,
    NotPositiveDefiniteError,
    SpcError,
    SpcWarning,
)
from spc.moments import Moments
from spc.sem import fit
from spc.sem.fit import SemFit
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "lavaan_ml.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}
THREE = "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9"
TWELVE = "f1 =~ i1 + i2 + i3 + i4\nf2 =~ i5 + i6 + i7 + i8\nf3 =~ i9 + i10 + i11 + i12\nf3 ~ f2\nf2 ~ f1"


def moments(name: str) -> Moments:
    m = CASES[name]["moments"]
    return Moments(m["names"], m["n"], m["means"] or None, m["covariance"])


def glance(result: SemFit) -> pd.Series:
    return result.glance().iloc[0]


def estimate(result: SemFit, lhs: str, op: str, rhs: str, column: str = "estimate") -> float:
    table = result.tidy()
    row = table[(table["lhs"] == lhs) & (table["op"] == op) & (table["rhs"] == rhs)]
    assert len(row) == 1
    return float(row[column].iloc[0])


def quiet_fit(*args: Any, **kwargs: Any) -> SemFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(*args, **kwargs)


@pytest.fixture
def survey() -> pd.DataFrame:
    """Twelve items on three latents in a chain, 300 people, on a seven-point metric."""
    rng = np.random.default_rng(11)
    first = rng.standard_normal(300)
    second = 0.6 * first + 0.8 * rng.standard_normal(300)
    third = 0.5 * second + 0.85 * rng.standard_normal(300)
    latent = np.repeat(np.array([first, second, third]), 4, axis=0)
    items = 4.0 + 0.8 * latent + 0.6 * rng.standard_normal((12, 300))
    return pd.DataFrame(items.T, columns=[f"i{k}" for k in range(1, 13)])


# -- measures of fit


def test_information_criteria_come_from_the_likelihood() -> None:
    measures = glance(fit(THREE, moments("hs_cfa")))
    assert measures["logl"] == pytest.approx(-3737.745, abs=1e-3)
    assert measures["aic"] == pytest.approx(7517.490, abs=1e-3)
    assert measures["bic"] == pytest.approx(7595.339, abs=1e-3)
    assert measures["aic"] == pytest.approx(2 * measures["npar"] - 2 * measures["logl"])


def test_gfi_is_not_nfi() -> None:
    measures = glance(fit(THREE, moments("hs_cfa")))
    assert measures["gfi"] == pytest.approx(0.9433, abs=1e-4)
    assert measures["nfi"] == pytest.approx(0.9072, abs=1e-4)


def test_srmr_and_the_interval_of_rmsea() -> None:
    measures = glance(fit(THREE, moments("hs_cfa")))
    assert measures["srmr"] == pytest.approx(0.0652, abs=1e-4)
    assert measures["rmsea"] == pytest.approx(0.09212, abs=1e-5)
    assert (measures["rmsea_ci_lower"], measures["rmsea_ci_upper"]) == pytest.approx((0.0714, 0.1137), abs=1e-4)


def test_observed_predictors_count_on_both_sides() -> None:
    case = CASES["hs_mimic"]
    measures = glance(fit(case["model"], moments("hs_mimic")))
    assert measures["df"] == case["fit"]["df"] == 36
    assert measures["baseline_df"] == case["fit"]["baseline.df"]
    assert measures["cfi"] == pytest.approx(case["fit"]["cfi"], abs=1e-6)


def test_a_saturated_model_has_no_p_value() -> None:
    measures = glance(fit(CASES["attitude_saturated"]["model"], moments("attitude_saturated")))
    assert measures["df"] == 0
    assert np.isnan(measures["pvalue"])


# -- reading the model text


def test_na_frees_the_marker_it_stands_at() -> None:
    text = THREE.replace("visual =~ x1", "visual =~ NA*x1") + "\nvisual ~~ 1*visual"
    result = fit(text, moments("hs_cfa"))
    assert glance(result)["chisq"] == pytest.approx(85.306, abs=1e-3)
    assert estimate(result, "visual", "=~", "x1") == pytest.approx(0.8996, abs=1e-3)


def test_a_fixed_loading_leaves_the_marker() -> None:
    result = fit(THREE.replace("+ x2", "+ 0.7*x2"), moments("hs_cfa"))
    assert (glance(result)["chisq"], glance(result)["df"]) == (pytest.approx(86.88, abs=0.01), 25)
    assert estimate(result, "visual", "=~", "x1") == 1.0
    assert np.isnan(estimate(result, "visual", "=~", "x2", "std_error"))


@pytest.mark.parametrize(
    "text",
    [
        THREE.replace("+ x3", "+\n   x3").replace("+ x6", "+\n # a comment\n x6"),
        THREE.replace("\n", "; "),
        THREE.replace("\n", "   ! a comment\n\n"),
    ],
)
def test_line_breaks_and_separators_drop_no_item(text: str) -> None:
    measures = glance(fit(text, moments("hs_cfa")))
    assert (measures["chisq"], measures["df"]) == (pytest.approx(85.306, abs=1e-3), 24)


def test_equal_labels_and_written_equality_are_the_same_model() -> None:
    by_label = fit(THREE.replace("x2 + x3", "a*x2 + a*x3"), moments("hs_cfa"))
    written = fit(THREE.replace("x2 + x3", "a*x2 + b*x3") + "\na == b", moments("hs_cfa"))
    assert glance(by_label)["chisq"] == pytest.approx(87.9705, abs=1e-3)
    for key in ("chisq", "df", "npar", "aic"):
        assert glance(written)[key] == pytest.approx(glance(by_label)[key], rel=1e-9), key


@pytest.mark.parametrize("space", ["x1 ~1", "x1 ~ 1"])
def test_an_intercept_is_not_a_regression(space: str) -> None:
    result = fit(f"{THREE}\n{space}", moments("hs_meanstructure"))
    assert estimate(result, "x1", "~1", "") == pytest.approx(4.9358, abs=1e-3)
    assert glance(result)["df"] == 24


def test_start_values_are_not_labels() -> None:
    result = fit(THREE.replace("+ x2", "+ start(0.5)*x2"), moments("hs_cfa"))
    assert glance(result)["chisq"] == pytest.approx(85.306, abs=1e-3)


def test_defined_parameters_have_their_errors() -> None:
    case = CASES["pd_mediation"]
    result = fit(case["model"], moments("pd_mediation"))
    theirs = next(row for row in case["estimates"] if row["lhs"] == "indirect")
    table = result.tidy()
    row = table[(table["op"] == ":=") & (table["lhs"] == "indirect")].iloc[0]
    assert (row["estimate"], row["std_error"]) == (
        pytest.approx(theirs["est"], rel=1e-5),
        pytest.approx(theirs["se"], rel=1e-4),
    )


def test_the_residual_correlation_divides_by_residual_deviations() -> None:
    case = CASES["pd_equalities"]
    theirs = next(row for row in case["standardized"] if (row["lhs"], row["rhs"]) == ("y6", "y8"))
    result = fit(case["model"], moments("pd_equalities"))
    assert estimate(result, "y6", "~~", "y8", "std_all") == pytest.approx(theirs["est.std"], abs=1e-5)


# -- hard data


def names_both(error: pytest.ExceptionInfo[SpcError], *names: str) -> None:
    assert all(name in str(error.value) for name in names), str(error.value)


def test_a_constant_column(survey: pd.DataFrame) -> None:
    with pytest.raises(DataError) as error:
        fit(TWELVE, survey.assign(i7=4.0))
    names_both(error, "i7")


def test_collinear_items(survey: pd.DataFrame) -> None:
    with pytest.raises(NotPositiveDefiniteError) as error:
        fit(TWELVE, survey.assign(i3=survey["i1"] + survey["i2"]))
    names_both(error, "i1", "i2", "i3")
    assert "i9" not in str(error.value)


def test_a_text_column(survey: pd.DataFrame) -> None:
    with pytest.raises(DataError) as error:
        fit(TWELVE, survey.assign(i2=["often", "never", "daily"] * 100))
    names_both(error, "i2")


def test_numbers_stored_as_text(survey: pd.DataFrame) -> None:
    with pytest.raises(DataError) as error:
        fit(TWELVE, survey.assign(i2=survey["i2"].astype(str)))
    names_both(error, "i2")


def test_an_infinite_answer(survey: pd.DataFrame) -> None:
    survey.loc[5, "i4"] = np.inf
    with pytest.raises(DataError) as error:
        fit(TWELVE, survey)
    names_both(error, "i4")


def test_a_missing_answer_drops_the_row_and_says_so(survey: pd.DataFrame) -> None:
    survey.loc[17, "i5"] = np.nan
    with pytest.warns(DroppedRowsWarning):
        result = fit(TWELVE, survey)
    assert glance(result)["nobs"] == 299
    whole = fit(TWELVE, survey.drop(index=17))
    np.testing.assert_allclose(result.solution.theta, whole.solution.theta)
    assert any("299" in note.text or "1 of 300" in note.text or "1 row" in note.text for note in result.notes())


def test_an_empty_column(survey: pd.DataFrame) -> None:
    with pytest.raises(DataError):
        fit(TWELVE, survey.assign(i5=np.nan))


def test_eight_rows_for_twelve_items(survey: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="8 rows"):
        fit(TWELVE, survey.head(8))


@pytest.mark.parametrize("rows", [0, 1])
def test_no_rows_and_one_row(survey: pd.DataFrame, rows: int) -> None:
    with pytest.raises(DataError):
        fit(TWELVE, survey.head(rows))


def test_a_misspelled_name_gets_the_nearest(survey: pd.DataFrame) -> None:
    with pytest.raises(DataError, match=r"'item_one'"):
        fit("f =~ item_onee + i2 + i3", survey.rename(columns={"i1": "item_one"}))


def test_duplicate_columns(survey: pd.DataFrame) -> None:
    doubled = pd.concat([survey, survey["i1"].sample(frac=1, random_state=1, ignore_index=True)], axis=1)
    with pytest.raises(DataError) as error:
        fit(TWELVE, doubled)
    names_both(error, "i1")


def test_unused_columns_do_not_matter(survey: pd.DataFrame) -> None:
    other = survey.assign(comment="…", empty=np.nan, when=pd.Timestamp("2026-01-01"))
    np.testing.assert_array_equal(fit(TWELVE, other).solution.theta, fit(TWELVE, survey).solution.theta)


def test_names_beyond_ascii(survey: pd.DataFrame) -> None:
    renamed = survey.rename(columns={"i1": "größe", "i2": "顧客", "i3": "ça_va"})
    text = TWELVE.replace("i1 + i2 + i3", "größe + 顧客 + ça_va").replace("f1", "Zufriedenheit_ä")
    assert glance(fit(text, renamed))["chisq"] == pytest.approx(glance(fit(TWELVE, survey))["chisq"], rel=1e-10)


def test_names_with_spaces_are_right_or_refused_with_a_place(survey: pd.DataFrame) -> None:
    renamed = survey.rename(columns={"i1": "how are you"})
    with pytest.raises(SpcError, match="line 1"):
        fit(TWELVE.replace("i1 +", "how are you +"), renamed)


def test_the_callers_frame_stays_as_it_was(survey: pd.DataFrame) -> None:
    before = survey.copy(deep=True)
    fit(TWELVE, survey)
    pd.testing.assert_frame_equal(survey, before)


@pytest.mark.parametrize("item", ["x1", "x2"])
@pytest.mark.parametrize("unit", [1e2, 1e4, 1e6, 1e-6])
def test_units_change_nothing_but_units(item: str, unit: float) -> None:
    m = moments("hs_cfa")
    scale = np.array([unit if name == item else 1.0 for name in m.names])
    rescaled = Moments(m.names, m.n, None, m.cov * np.outer(scale, scale))
    plain, other = fit(THREE, m), fit(THREE, rescaled)
    assert glance(other)["chisq"] == pytest.approx(85.30552, rel=1e-6)
    z = plain.tidy()["statistic"].to_numpy()
    np.testing.assert_allclose(other.tidy()["statistic"].to_numpy(), z, rtol=1e-6)
    np.testing.assert_allclose(other.tidy()["std_all"].to_numpy(), plain.tidy()["std_all"].to_numpy(), rtol=1e-7)


# -- hard models


def test_two_items_alone_do_not_identify_a_latent(survey: pd.DataFrame) -> None:
    with pytest.raises(NotIdentifiedError) as error:
        fit("f =~ i1 + i2", survey)
    assert error.value.parameters


def test_not_enough_moments(survey: pd.DataFrame) -> None:
    with pytest.raises(NotIdentifiedError):
        fit("i1 ~ i2\ni2 ~ i1", survey)


def test_a_latent_that_hangs_on_nothing_is_named(survey: pd.DataFrame) -> None:
    """Enough moments in all, but one part of the model cannot be told apart."""
    with pytest.raises((NotIdentifiedError, EstimationError)) as error:
        fit("f =~ i1 + i2 + i3 + i4\ng =~ i5 + i6\nf ~~ 0*g", survey)
    assert any("g" in name or "i5" in name or "i6" in name for name in error.value.parameters), error.value.parameters


def test_a_heywood_case_is_announced_and_not_pinned() -> None:
    case = CASES["heywood"]
    with pytest.warns(SpcWarning):
        result = fit(case["model"], moments("heywood"))
    theirs = next(row for row in case["estimates"] if (row["lhs"], row["op"], row["rhs"]) == ("i1", "~~", "i1"))
    assert theirs["est"] < 0
    assert estimate(result, "i1", "~~", "i1") == pytest.approx(theirs["est"], abs=1e-5)
    note = next(note for note in result.notes() if note.code == "heywood")
    assert note.severity in ("warning", "serious")
    assert "i1" in note.subject + note.text


def test_resamples_either_fit_or_say_why() -> None:
    """60 samples of n = 40 from a clean model: no foreign error, and no improper result without a note."""
    rng = np.random.default_rng(3)
    spec = model("f =~ a + b + c\ng =~ d + e + h\ng ~ f")
    loading = np.kron(np.eye(2), np.full((3, 1), 0.6))
    latent = np.array([[1.0, 0.5], [0.5, 1.0]])
    root = np.linalg.cholesky(loading @ latent @ loading.T + 0.64 * np.eye(6))
    improper = 0
    for _ in range(60):
        frame = pd.DataFrame(rng.standard_normal((40, 6)) @ root.T, columns=list("abcdeh"))
        try:
            result = quiet_fit(spec, frame)
        except EstimationError:
            continue
        table = result.tidy()
        variances = table[(table["op"] == "~~") & (table["lhs"] == table["rhs"])]["estimate"]
        negative = bool((variances < 0).any())
        improper += negative
        assert any(note.severity != "info" for note in result.notes()) or not negative
        assert glance(result)["converged"]
    assert improper > 0
