"""Hard cases that every program meets, and what each of them must give: the right numbers, or an error with names."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError, EstimationError, NotIdentifiedError, SpcError, SpcWarning
from spc.linalg import FloatArray
from spc.moments import Moments
from spc.sem import fit, r_square
from spc.sem.fit import SemFit
from spc.spec import model

TWO = "f =~ a1 + a2 + a3\ng =~ b1 + b2 + b3\ng ~ f"
DATASETS = json.loads((Path(__file__).parents[1] / "reference" / "lavaan_datasets.json").read_text())


def exact(text: str, cov: FloatArray, names: list[str], n: int = 400, **options: Any) -> SemFit:
    """A fit to moments that a population has exactly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(text, Moments(names, n, None, cov), likelihood="wishart", **options)


def value(result: SemFit, lhs: str, op: str, rhs: str = "", column: str = "estimate") -> float:
    table = result.tidy()
    return float(table.loc[(table.lhs == lhs) & (table.op == op) & (table.rhs == rhs), column].iloc[0])


def factors(correlation: float, loadings: list[float]) -> FloatArray:
    """Correlations of two factors with the same standardised loadings each."""
    lam = np.kron(np.eye(2), np.array(loadings)[:, None])
    cov = lam @ np.array([[1.0, correlation], [correlation, 1.0]]) @ lam.T
    np.fill_diagonal(cov, 1.0)
    return np.asarray(cov)


@pytest.fixture
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    f = rng.normal(size=300)
    g = 0.5 * f + rng.normal(size=300)
    columns = {f"a{k}": 3 + f + 0.6 * rng.normal(size=300) for k in (1, 2, 3)}
    return pd.DataFrame(columns | {f"b{k}": 3 + g + 0.6 * rng.normal(size=300) for k in (1, 2, 3)})


# -- improper and nearly improper


def test_one_factor_of_three_items_has_a_closed_form_beyond_the_bounds() -> None:
    """l1^2 = r12 r13 / r23, which is 1.12 here: the error variance of the first item is -0.12."""
    r = np.array([[1.0, 0.8, 0.7], [0.8, 1.0, 0.5], [0.7, 0.5, 1.0]])
    result = exact("f =~ NA*i1 + i2 + i3\nf ~~ 1*f", r, ["i1", "i2", "i3"])
    squares = [0.8 * 0.7 / 0.5, 0.8 * 0.5 / 0.7, 0.7 * 0.5 / 0.8]
    for k, square in enumerate(squares, 1):
        assert value(result, "f", "=~", f"i{k}") ** 2 == pytest.approx(square, rel=1e-7)
        assert value(result, f"i{k}", "~~", f"i{k}") == pytest.approx(1 - square, rel=1e-6)
    note = next(note for note in result.notes() if note.code == "heywood")
    assert "i1" in note.subject and note.severity == "serious"
    assert r_square(result)["i1"] > 1 or np.isnan(r_square(result)["i1"])


@pytest.mark.parametrize("correlation", [0.99, 0.999, 1.0, 1.05])
def test_latents_that_are_nearly_one(correlation: float) -> None:
    names = [f"{letter}{k}" for letter in "ab" for k in (1, 2, 3)]
    result = exact(TWO, factors(correlation, [0.8, 0.7, 0.6]), names)
    assert value(result, "g", "~", "f", "std_all") == pytest.approx(correlation, abs=1e-6)
    assert any(note.severity == "serious" and "f" in note.subject for note in result.notes())


def test_a_marker_that_hardly_loads() -> None:
    """A loading of 0.03 on the marker: the others are thirty times as large, and found."""
    names = [f"{letter}{k}" for letter in "ab" for k in (1, 2, 3)]
    result = exact(TWO, factors(0.5, [0.03, 0.7, 0.8]), names, n=5000)
    assert value(result, "f", "=~", "a2") == pytest.approx(0.7 / 0.03, rel=1e-5)
    assert value(result, "g", "~", "f", "std_all") == pytest.approx(0.5, abs=1e-6)


def test_signs_and_start_values_lead_to_the_same_place(rows: pd.DataFrame) -> None:
    plain = fit(TWO, rows)
    turned = fit(TWO, rows.assign(a2=-rows["a2"], b1=-rows["b1"]))
    assert turned.glance()["chisq"].iloc[0] == pytest.approx(plain.glance()["chisq"].iloc[0], rel=1e-8)
    assert value(turned, "f", "=~", "a2") == pytest.approx(-value(plain, "f", "=~", "a2"), rel=1e-6)
    assert value(turned, "g", "~", "f") == pytest.approx(-value(plain, "g", "~", "f"), rel=1e-6)
    silly = TWO.replace("a2", "start(-3)*a2").replace("~ f", "~ start(-2)*f") + "\na1 ~~ start(20)*a1"
    np.testing.assert_allclose(fit(silly, rows).solution.theta, plain.solution.theta, rtol=1e-6)


def test_a_negative_variance_is_not_taken_from_a_false_optimum() -> None:
    """Growth with lags: from the usual start values the search ends at 39.2 with two negative variances."""
    case = next(case for case in DATASETS["cases"] if case["name"] == "growth_lagged")
    known = DATASETS["moments"][case["data"]]
    moments = Moments(known["names"], known["n"], known["means"], known["covariance"])
    result = fit(model(case["model"], growth=True), moments)
    assert result.glance()["chisq"].iloc[0] == pytest.approx(7.826569, abs=1e-5)


def test_the_independence_model_of_collinear_covariates_has_its_closed_form() -> None:
    """Covariates whose correlations reach .995, in units from 1 to 1e5: chi-square is n log of a ratio of minors."""
    rng = np.random.default_rng(8)
    trend = np.arange(40.0)
    x = np.column_stack([trend + 0.6 * rng.normal(size=40), 1e5 * (trend + 0.9 * rng.normal(size=40))])
    y = x[:, 0] + x[:, 1] * 1e-5 + 9 * rng.normal(size=40)
    data = pd.DataFrame({"y": y, "p": x[:, 0], "q": x[:, 1]})
    r = data.corr().to_numpy()
    expected = 40 * (np.log(1 - r[1, 2] ** 2) - np.linalg.slogdet(r)[1])
    assert fit("y ~ p + q", data).glance()["baseline_chisq"].iloc[0] == pytest.approx(expected, rel=1e-9)


# -- units


@pytest.mark.parametrize("unit", [1e-6, 1e6])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"estimator": "MLM"},
        {"estimator": "MLR"},
        {"estimator": "GLS"},
        {"estimator": "WLS"},
        {"missing": "fiml"},
        {"missing": "fiml", "estimator": "MLR"},
        {"cluster": "unit"},
    ],
    ids=lambda options: "-".join(options.values()) or "ML",
)
@pytest.mark.parametrize("item", ["a1", "b3"])
def test_any_item_in_any_unit(rows: pd.DataFrame, item: str, unit: float, options: dict[str, Any]) -> None:
    rows["unit"] = np.arange(300) // 6
    if "missing" in options:
        rows.loc[::9, "a3"] = np.nan
        rows.loc[1::5, item] = np.nan
    plain, other = fit(TWO, rows, **options), fit(TWO, rows.assign(**{item: rows[item] * unit}), **options)
    keep = np.isfinite(plain.tidy()["statistic"].to_numpy())
    for column in ("statistic", "std_all"):
        ours, theirs = (result.tidy()[column].to_numpy(dtype=float) for result in (other, plain))
        np.testing.assert_allclose(ours[keep], theirs[keep], rtol=2e-5)
    one, two = (result.glance().select_dtypes("number").iloc[0] for result in (plain, other))
    for name in ("chisq", "chisq_scaled", "df", "cfi", "cfi_robust", "rmsea", "rmsea_robust", "srmr", "baseline_chisq"):
        assert two[name] == pytest.approx(one[name], rel=1e-5, abs=1e-6, nan_ok=True), name


@pytest.mark.parametrize("unit", [1e-6, 1e6])
@pytest.mark.parametrize("kind", ["groups", "two levels", "beside ordered items"])
def test_any_unit_in_groups_levels_and_beside_ordered_items(rows: pd.DataFrame, kind: str, unit: float) -> None:
    text, options, item = TWO, {}, "a1"
    if kind == "groups":
        rows["half"] = np.arange(300) % 2
        options = {"group": "half", "group_equal": ("loadings", "intercepts")}
    elif kind == "two levels":
        rows["unit"] = np.arange(300) // 6
        shift = np.random.default_rng(2).normal(size=(50, 3))
        rows[["a1", "a2", "a3"]] += (2 * shift[:, ::-1].mean(axis=1, keepdims=True) + shift)[rows["unit"]]
        text, options = "level: 1\nw =~ a1 + a2 + a3\nlevel: 2\nb =~ a1 + a2 + a3", {"cluster": "unit"}
    else:
        rows[["b1", "b2", "b3"]] = rows[["b1", "b2", "b3"]].apply(lambda c: pd.qcut(c, 4, labels=False))
        options, item = {"ordered": ["b1", "b2", "b3"]}, "a2"
    plain, other = fit(text, rows, **options), fit(text, rows.assign(**{item: rows[item] * unit}), **options)
    ours, theirs = (result.tidy()["statistic"].to_numpy(dtype=float) for result in (other, plain))
    keep = np.isfinite(theirs)
    np.testing.assert_allclose(ours[keep], theirs[keep], rtol=5e-5, atol=1e-8)
    one, two = (result.glance().iloc[0] for result in (plain, other))
    for name in ("chisq", "chisq_scaled", "cfi", "rmsea", "srmr", "baseline_chisq"):
        assert two[name] == pytest.approx(one[name], rel=2e-5, abs=1e-6, nan_ok=True), name


# -- names and columns


@pytest.mark.parametrize("name", ["Zufriedenheit_äöü", "顧客満足", "ответ", "Æblegrød", "q_١"])
def test_names_of_any_script(rows: pd.DataFrame, name: str) -> None:
    result = fit(TWO.replace("b2", name), rows.rename(columns={"b2": name}))
    np.testing.assert_allclose(result.solution.theta, fit(TWO, rows).solution.theta, rtol=1e-9)
    assert value(result, "g", "=~", name) > 0


@pytest.mark.parametrize(
    "name", ["net promoter score", "Zufriedenheit äöü", "😀", "a-b", "10-point scale", "mood (1–7)"]
)
def test_names_that_are_no_words_are_refused_at_their_place(rows: pd.DataFrame, name: str) -> None:
    """The text is the record of a model and never guessed at; columns of any name that it leaves out do no harm."""
    renamed = rows.rename(columns={"b2": name})
    with pytest.raises(SpcError, match=r"line 2|b2|quot|column") as error:
        fit(TWO.replace("b2", name), renamed)
    assert "Traceback" not in str(error.value)
    without = fit(TWO.replace(" + b2", ""), renamed)
    assert without.glance()["nobs"].iloc[0] == 300


@pytest.mark.parametrize(
    "name", ["net promoter score", "Zufriedenheit äöü", "😀", "a-b", "10-point scale", "mood (1–7)"]
)
@pytest.mark.parametrize("options", [{}, {"missing": "fiml"}, {"estimator": "MLR"}, {"group": "half"}])
def test_names_of_any_kind_between_backticks(rows: pd.DataFrame, name: str, options: dict[str, Any]) -> None:
    rows["half"] = np.arange(300) % 2
    result = fit(TWO.replace("b2", f"`{name}`"), rows.rename(columns={"b2": name}), **options)
    np.testing.assert_allclose(result.solution.theta, fit(TWO, rows, **options).solution.theta, rtol=1e-8)
    assert f"g=~{name}" in result.model.parameters.names


def test_a_column_given_twice_is_named(rows: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="a2") as error:
        fit(TWO, pd.concat([rows, rows[["a2"]]], axis=1))
    assert error.value.findings[0].rule == "duplicate_column"


def test_two_columns_alike_are_named(rows: pd.DataFrame) -> None:
    with pytest.raises(EstimationError) as error:
        fit(TWO, rows.assign(a2=rows["a1"]))
    assert "a1" in str(error.value) and "a2" in str(error.value)


def test_an_item_that_is_the_sum_of_others_is_named(rows: pd.DataFrame) -> None:
    with pytest.raises(EstimationError) as error:
        fit(TWO, rows.assign(b3=rows["a1"] - 2 * rows["b1"] + 7))
    assert all(name in str(error.value) for name in ("a1", "b1", "b3"))


@pytest.mark.parametrize("estimator", ["ML", "MLR", "GLS", "ULS", "WLS"])
def test_a_constant_column_is_named(rows: pd.DataFrame, estimator: Any) -> None:
    with pytest.raises(DataError, match="a3") as error:
        fit(TWO, rows.assign(a3=4), estimator=estimator)
    assert error.value.findings[0].rule == "constant_column"


@pytest.mark.parametrize("missing", ["listwise", "fiml"])
def test_an_infinite_value_is_named(rows: pd.DataFrame, missing: Any) -> None:
    rows.loc[7, "b2"] = -np.inf
    with pytest.raises(DataError, match="b2") as error:
        fit(TWO, rows, missing=missing)
    assert error.value.findings[0].rule == "infinite"


@pytest.mark.parametrize("n", [2, 5, 6])
def test_no_more_rows_than_variables(rows: pd.DataFrame, n: int) -> None:
    with pytest.raises(DataError, match=f"{n} (complete )?rows"):
        fit(TWO, rows.head(n))


@pytest.mark.parametrize("dtype", ["int64", "Int64", "Float64", "float32", "int8", "uint8"])
def test_numbers_of_every_type_are_numbers(rows: pd.DataFrame, dtype: Any) -> None:
    points = rows.round().clip(0, 9)
    typed = points.astype(dtype)
    np.testing.assert_allclose(fit(TWO, typed).solution.theta, fit(TWO, points).solution.theta, rtol=1e-9)


def test_answers_missing_in_nullable_columns_are_missing(rows: pd.DataFrame) -> None:
    points = rows.round().clip(0, 9)
    holed = points.mask(np.random.default_rng(1).random(points.shape) < 0.1)
    plain = fit(TWO, holed, missing="fiml")
    for dtype in ("Int64", "Float64"):
        typed = holed.astype(dtype)
        np.testing.assert_allclose(fit(TWO, typed, missing="fiml").solution.theta, plain.solution.theta, rtol=1e-8)


def test_yes_and_no_are_one_and_zero(rows: pd.DataFrame) -> None:
    yes = rows.assign(b1=rows["b1"] > 3)
    number = rows.assign(b1=(rows["b1"] > 3).astype(float))
    np.testing.assert_allclose(fit(TWO, yes).solution.theta, fit(TWO, number).solution.theta, rtol=1e-9)
    nullable = fit(TWO, yes.astype({"b1": "boolean"}))
    np.testing.assert_allclose(nullable.solution.theta, fit(TWO, number).solution.theta, rtol=1e-9)


@pytest.mark.parametrize("dtype", ["category", "object", "str", "datetime64[ns]"])
def test_columns_that_are_not_numbers_are_named_with_what_they_are(rows: pd.DataFrame, dtype: str) -> None:
    points = rows["b2"].round().astype(int)
    column = points.astype(dtype) if dtype != "object" else points.map(lambda v: f"{v} of 9").astype(object)
    with pytest.raises(DataError, match="b2") as error:
        fit(TWO, rows.assign(b2=column))
    assert error.value.findings[0].rule == "not_numeric"
    assert error.value.findings[0].hint


# -- models at the edges


def test_nothing_to_estimate_is_still_a_test(rows: pd.DataFrame) -> None:
    """All fixed: chi-square is the distance of the given matrix, and glance has its degrees of freedom."""
    pair = rows[["a1", "b1"]]
    result = fit("a1 ~~ 1.3*a1 + 0.5*b1\nb1 ~~ 1.6*b1", pair)
    s, sigma = pair.cov().to_numpy() * 299 / 300, np.array([[1.3, 0.5], [0.5, 1.6]])
    logs = np.linalg.slogdet(sigma)[1] - np.linalg.slogdet(s)[1]
    expected = 300 * (logs + np.trace(s @ np.linalg.inv(sigma)) - 2)
    glance = result.glance().iloc[0]
    assert (glance["npar"], glance["df"]) == (0, 3)
    assert glance["chisq"] == pytest.approx(expected, rel=1e-10)
    assert result.tidy()["std_error"].isna().all()


@pytest.mark.parametrize("options", [{}, {"missing": "fiml"}, {"estimator": "MLR"}, {"estimator": "GLS"}])
def test_a_saturated_model_fits_and_tests_nothing(rows: pd.DataFrame, options: dict[str, Any]) -> None:
    result = fit("b1 ~ a1 + a2\na1 ~~ a2", rows, **options)
    glance = result.glance().iloc[0]
    assert glance["df"] == 0
    assert glance["chisq"] == pytest.approx(0, abs=1e-8)
    assert np.isnan(glance["pvalue"]) or glance["pvalue"] == 1
    design = np.column_stack([np.ones(300), rows[["a1", "a2"]]])
    slope = np.linalg.lstsq(design, rows["b1"], rcond=None)[0][1]
    assert value(result, "b1", "~", "a1") == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("options", [{}, {"missing": "fiml"}, {"estimator": "WLS"}])
def test_more_parameters_than_moments_are_counted(rows: pd.DataFrame, options: dict[str, Any]) -> None:
    with pytest.raises(NotIdentifiedError) as error:
        fit("f =~ a1 + a2\nb1 ~ f\na1 ~~ a2 + b1", rows, **options)
    assert error.value.parameters


def test_two_items_a_latent_and_nothing_between_them() -> None:
    """Identified by the correlation of the latents, which is nil in these data."""
    cov = factors(0.0, [0.8, 0.7])
    with pytest.raises(EstimationError) as error:
        exact("f =~ a1 + a2\ng =~ b1 + b2", cov, ["a1", "a2", "b1", "b2"])
    assert any("=~" in name or "~~" in name for name in error.value.parameters)


@pytest.mark.parametrize("missing", ["listwise", "fiml"])
def test_uncorrelated_items_have_no_latent(missing: Any) -> None:
    """Orthogonal columns: no number that looks like a finding comes out."""
    basis = np.linalg.qr(np.column_stack([np.ones(200), np.random.default_rng(0).normal(size=(200, 4))]))[0][:, 1:]
    data = pd.DataFrame(basis * np.sqrt(200), columns=list("abcd"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SpcWarning)
            result = fit("f =~ a + b + c + d", data, missing=missing)
    except EstimationError:
        return
    assert any(note.severity == "serious" for note in result.notes())
