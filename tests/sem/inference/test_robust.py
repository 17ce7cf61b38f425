"""Sandwich errors and scaled tests: every model of tests/reference/lavaan_robust.R, closed forms, properties."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError, SpcWarning, UnsupportedError, UsageError
from spc.moments import Moments
from spc.sem import fit, fit_measures
from spc.sem.fit import SemFit
from spc.sem.postestimation.compare import difference_of
from spc.sem.postestimation.strict_difference import satorra_bentler_2010
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_robust.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}
DATA = {name: pd.DataFrame(columns) for name, columns in REFERENCE["data"].items()}
# lavaan looks for the interval of RMSEA with a root finder of its default tolerance.
LOOSE = ("rmsea_ci_lower", "rmsea_ci_upper", "rmsea_notclose_pvalue")
_FITS: dict[str, SemFit] = {}


def quietly(*args: Any, **options: Any) -> SemFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(*args, **options)


def fitted(name: str) -> SemFit:
    if name not in _FITS:
        case = CASES[name]
        estimator = "ULS" if case["estimator"] == "ULSM" else case["estimator"]
        made = model(case["model"], **case["options"])
        _FITS[name] = quietly(made, DATA[case["data"]], estimator=estimator, cluster=case["cluster"])
    return _FITS[name]


def rows_of(result: SemFit) -> dict[tuple[str, str, str], Any]:
    found: dict[tuple[str, str, str], Any] = {}
    for row in result.tidy().itertuples():
        rhs = "" if row.op in ("~1", ":=") else row.rhs
        found.setdefault((row.lhs, row.op, rhs), row)
        if row.op == "~~":
            found.setdefault((rhs, row.op, row.lhs), row)
    return found


@pytest.mark.parametrize("name", CASES)
def test_estimates_and_errors_are_those_of_lavaan(name: str) -> None:
    found = rows_of(fitted(name))
    for row in CASES[name]["estimates"]:
        if row["op"] == "==":
            continue
        ours = found[row["lhs"], row["op"], "" if row["op"] in ("~1", ":=") else row["rhs"]]
        assert ours.estimate == pytest.approx(row["est"], rel=1e-6, abs=1e-6), row
        if row["se"] is not None and row["se"] > 1e-9:
            assert ours.std_error == pytest.approx(row["se"], rel=1e-6), row
        else:
            assert math.isnan(ours.std_error), row


@pytest.mark.parametrize("name", CASES)
def test_fit_measures_are_those_of_lavaan(name: str) -> None:
    ours = fit_measures(fitted(name))
    theirs = {key.replace(".", "_"): value for key, value in CASES[name]["fit"].items()}
    # Under equality constraints lavaan divides by the parameters before they are equated.
    numbers = fitted(name).problem
    if "scaling_factor_h0" in theirs and numbers.size:
        theirs["scaling_factor_h0"] *= numbers.active.size / numbers.size
    for key, value in theirs.items():
        if value is None:
            assert math.isnan(ours[key]), key
        else:
            tolerance = 1e-5 if key.startswith(LOOSE) else 1e-6
            assert ours[key] == pytest.approx(value, rel=tolerance, abs=tolerance), key
    glance = fitted(name).glance().iloc[0]
    for key in ours.keys() & set(glance.index):
        assert glance[key] == ours[key] or (math.isnan(glance[key]) and math.isnan(ours[key])), key


def test_the_reference_is_flat_enough_to_compare_with() -> None:
    assert max(case["last_step"] for case in CASES.values()) < 1e-9
    assert len(CASES) >= 60


@pytest.mark.parametrize("pair", REFERENCE["differences"], ids=lambda p: f"{p['data']}-{p['estimator']}-{p['method']}")
def test_scaled_differences_are_those_of_lavaan(pair: dict[str, Any]) -> None:
    data = DATA[pair["data"]]
    restricted, free = (quietly(pair[key], data, estimator=pair["estimator"]) for key in ("restricted", "free"))
    method: Any = "2010" if pair["method"].endswith("2010") else "2001"
    ours = difference_of(free, restricted, method, data)
    assert ours.df == pair["df"]
    assert ours.chisq == pytest.approx(pair["chisq"], rel=1e-6)
    assert ours.p_value == pytest.approx(pair["pvalue"], rel=1e-5)


@pytest.mark.parametrize(
    "name",
    [name for name, case in CASES.items() if case["estimator"] in ("MLM", "MLR", "ULSM") and not case["cluster"]],
)
def test_moments_of_order_four_do_for_rows(name: str) -> None:
    case = CASES[name]
    rows = fitted(name)
    moments = Moments.from_frame(DATA[case["data"]], rows.model.observed, higher=True)
    result = quietly(rows.model, moments, estimator=rows.options.estimator)
    np.testing.assert_allclose(result.vcov, rows.vcov, rtol=1e-8, atol=1e-12)
    ours, theirs = fit_measures(result), fit_measures(rows)
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value, rel=1e-8, abs=1e-10, nan_ok=True), key


@pytest.fixture(scope="module")
def uneven() -> pd.DataFrame:
    """Rows whose error varies with the cause, in clusters that share some of it."""
    rng = np.random.default_rng(7)
    n = 240
    unit = rng.integers(0, 45, n)
    x = rng.exponential(size=n) + 0.4 * rng.normal(size=45)[unit]
    y = 2.0 + 0.5 * x + (0.3 + x) * rng.normal(size=n) + 0.5 * rng.normal(size=45)[unit]
    return pd.DataFrame({"x": x, "y": y, "unit": [f"u{k}" for k in unit]})


def regression(data: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Design, inverse of its products, residuals of least squares."""
    design = np.column_stack([np.ones(len(data)), data["x"]])
    inverse = np.linalg.inv(design.T @ design)
    return design, inverse, data["y"].to_numpy() - design @ (inverse @ design.T @ data["y"].to_numpy())


def errors(result: SemFit) -> tuple[float, float]:
    found = rows_of(result)
    return found["y", "~1", ""].std_error, found["y", "~", "x"].std_error


def test_a_regression_under_mlr_has_the_errors_of_white(uneven: pd.DataFrame) -> None:
    design, inverse, residual = regression(uneven)
    white = inverse @ (design.T * residual**2) @ design @ inverse
    result = fit(model("y ~ x", meanstructure=True), uneven, estimator="MLR")
    assert errors(result) == pytest.approx(tuple(np.sqrt(white.diagonal())), rel=1e-10)


@pytest.mark.parametrize("estimator", ["ML", "MLR"])
def test_a_regression_with_clusters_has_the_errors_of_liang_and_zeger(uneven: pd.DataFrame, estimator: Any) -> None:
    design, inverse, residual = regression(uneven)
    sums = pd.DataFrame(design * residual[:, None]).groupby(uneven["unit"]).sum().to_numpy()
    middle = sums.T @ sums * len(sums) / (len(sums) - 1)
    expected = np.sqrt((inverse @ middle @ inverse).diagonal())
    result = fit("y ~ x", uneven, estimator=estimator, cluster="unit")
    assert errors(result) == pytest.approx(tuple(expected), rel=1e-10)


def test_two_uncorrelated_variables_have_the_scaling_of_their_product(uneven: pd.DataFrame) -> None:
    x, y = (uneven[name] - uneven[name].mean() for name in ("x", "y"))
    expected = ((x * y) ** 2).mean() - (x * y).mean() ** 2
    result = fit("x ~~ 0*y\nx ~~ x\ny ~~ y", uneven, estimator="MLM")
    factor = result.glance()["chisq_scaling_factor"].iloc[0]
    assert factor == pytest.approx(expected / ((x**2).mean() * (y**2).mean()), rel=1e-12)


def test_clusters_of_one_row_are_rows(uneven: pd.DataFrame) -> None:
    data = uneven.assign(own=np.arange(len(uneven)))
    rows = fit(model("y ~ x", meanstructure=True), data, estimator="MLR")
    single = fit("y ~ x", data, estimator="MLR", cluster="own")
    n = len(data)
    np.testing.assert_allclose(single.vcov, rows.vcov * n / (n - 1), rtol=1e-10)


@pytest.mark.parametrize("name", ["hs_mlr", "hs_mimic_means_mlm", "clustered_fixed_mlr"])
def test_order_of_rows_and_names_of_clusters_do_not_matter(name: str) -> None:
    case, before = CASES[name], fitted(name)
    data = DATA[case["data"]].sample(frac=1.0, random_state=1)
    if case["cluster"]:
        data[case["cluster"]] = "branch " + (1000 - data[case["cluster"]]).astype(str)
    after = quietly(before.model, data, estimator=before.options.estimator, cluster=case["cluster"])
    np.testing.assert_allclose(after.vcov, before.vcov, rtol=1e-8)
    assert after.glance()["chisq_scaled"].iloc[0] == pytest.approx(before.glance()["chisq_scaled"].iloc[0], rel=1e-8)


@pytest.mark.parametrize("estimator", ["MLM", "MLR"])
def test_units_change_nothing_but_units(estimator: Any) -> None:
    text = CASES["skewed_mlr"]["model"]
    before = fit(text, DATA["skewed"], estimator=estimator)
    after = fit(text, DATA["skewed"].assign(b2=DATA["skewed"]["b2"] * 1e6), estimator=estimator)
    one, other = rows_of(before)["g", "=~", "b2"], rows_of(after)["g", "=~", "b2"]
    assert other.std_error == pytest.approx(one.std_error * 1e6, rel=1e-7)
    for column in ("chisq_scaled", "cfi_robust", "rmsea_robust"):
        assert after.glance()[column].iloc[0] == pytest.approx(before.glance()[column].iloc[0], rel=1e-7)


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hs_mimic_means_mlm", "clustered_fixed_mlr"):
        case, whole = CASES[name], fitted(name)
        with monkeypatch.context() as patch:
            patch.setattr("spc.sem.inference.casewise._BLOCK", 900)
            parts = quietly(whole.model, DATA[case["data"]], estimator=case["estimator"], cluster=case["cluster"])
        np.testing.assert_allclose(parts.vcov, whole.vcov, rtol=1e-9)
        assert fit_measures(parts)["chisq_scaled"] == pytest.approx(fit_measures(whole)["chisq_scaled"], rel=1e-9)


def test_estimates_of_a_robust_fit_say_how_errors_were_had() -> None:
    assert "sandwich" in fitted("hs_mlr").estimates().method
    assert "unit" in fitted("clustered_mlr").estimates().method
    assert fitted("hs_mlr").provenance.options["estimator"] == "MLR"


@pytest.mark.parametrize("estimator", ["MLM", "MLR", "WLS"])
def test_moments_without_the_higher_ones_are_refused(estimator: Any) -> None:
    moments = Moments.from_frame(DATA["skewed"])
    with pytest.raises(UnsupportedError, match="moments of order 3 and 4"):
        fit(CASES["skewed_mlr"]["model"], moments, estimator=estimator)


def test_clusters_need_rows_and_a_column_that_tells_them_apart(uneven: pd.DataFrame) -> None:
    with pytest.raises(UnsupportedError, match="DataFrame"):
        fit("y ~ x", Moments.from_frame(uneven[["x", "y"]]), cluster="unit")
    with pytest.raises(DataError, match="Did you mean 'unit'"):
        fit("y ~ x", uneven, cluster="units")
    with pytest.raises(DataError, match="1 rows without a cluster"):
        fit("y ~ x", uneven.assign(unit=uneven["unit"].where(uneven.index != 3)), cluster="unit")
    with pytest.raises(DataError, match="one cluster"):
        fit("y ~ x", uneven.assign(unit="a"), cluster="unit")


@pytest.mark.parametrize(
    "options",
    [
        {"estimator": "MLM", "cluster": "unit"},
        {"estimator": "GLS", "cluster": "unit"},
        {"estimator": "MLR", "likelihood": "wishart"},
        {"estimator": "MLR", "engine": "semopy"},
        {"cluster": "unit", "engine": "semopy"},
    ],
)
def test_options_without_a_method_together_are_refused(uneven: pd.DataFrame, options: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="has a method with"):
        fit("y ~ x", uneven, **options)


def test_few_clusters_are_noted(uneven: pd.DataFrame) -> None:
    few = fit("y ~ x", uneven.assign(unit=np.arange(len(uneven)) % 12), cluster="unit")
    assert [note.subject for note in few.notes() if note.code == "few_clusters"] == ["unit"]
    assert not [note for note in fit("y ~ x", uneven, cluster="unit").notes() if note.code == "few_clusters"]


def test_rows_with_missing_answers_are_left_out_of_everything(uneven: pd.DataFrame) -> None:
    holes = pd.concat([uneven, pd.DataFrame({"x": [1.0], "y": [np.nan], "unit": [None]})], ignore_index=True)
    with pytest.warns(SpcWarning):
        result = fit("y ~ x", holes, cluster="unit")
    np.testing.assert_allclose(result.vcov, fit("y ~ x", uneven, cluster="unit").vcov, rtol=1e-12)


def test_difference_tests_of_2010_need_the_data_and_complete_rows() -> None:
    data = DATA["skewed"]
    free = fitted("skewed_mlr")
    restricted = fit("f =~ a1 + k*a2 + k*a3\ng =~ b1 + b2 + b3\ng ~ f", data, estimator="MLR")
    with pytest.raises(UsageError, match="the stricter needs more"):
        satorra_bentler_2010(free, restricted, data)
    with pytest.raises(UsageError, match="give data="):
        satorra_bentler_2010(restricted, free, None)
    holes = [fit(one.model.text, data, estimator="MLR", missing="fiml") for one in (restricted, free)]
    with pytest.raises(UnsupportedError, match="missing='fiml'"):
        satorra_bentler_2010(holes[0], holes[1], data)


def skewed_sample(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Three items of one trait whose errors are skewed and grow with it."""
    trait = rng.exponential(size=n)
    return pd.DataFrame(
        {f"i{k}": trait * loading + (0.5 + 0.5 * trait) * (rng.exponential(size=n) - 1.0)
         for k, loading in enumerate([1.0, 0.8, 0.9, 1.1])}
    )  # fmt: skip


@pytest.mark.slow
def test_robust_intervals_cover_and_plain_ones_do_not() -> None:
    draws, n, hits, plain_hits = 1000, 800, 0, 0
    for i in range(draws):
        rng = np.random.default_rng([11, i])
        x = rng.normal(size=n)
        data = pd.DataFrame({"x": x, "y": 0.5 * x + np.abs(x) * (rng.exponential(size=n) - 1.0)})
        row = rows_of(fit("y ~ x", data, estimator="MLR"))["y", "~", "x"]
        hits += row.conf_low < 0.5 < row.conf_high
        row = rows_of(fit("y ~ x", data))["y", "~", "x"]
        plain_hits += row.conf_low < 0.5 < row.conf_high
    assert 0.93 < hits / draws < 0.97
    assert plain_hits / draws < 0.85


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["MLM", "MLR"])
def test_scaled_tests_keep_their_size_on_skewed_data(estimator: Any) -> None:
    draws, small, plain = 600, 0, 0
    for i in range(draws):
        data = skewed_sample(np.random.default_rng([12, i]), 800)
        glance = quietly("f =~ i0 + i1 + i2 + i3", data, estimator=estimator).glance().iloc[0]
        small += glance["pvalue_scaled"] < 0.05
        plain += glance["pvalue"] < 0.05
    # The test of MLR approaches its size more slowly than that of MLM where the tails are long.
    assert 0.03 < small / draws < (0.08 if estimator == "MLM" else 0.10)
    assert plain / draws > 0.10
