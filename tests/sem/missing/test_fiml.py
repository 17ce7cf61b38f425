from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spc.errors import (
    DataError,
    DroppedRowsWarning,
    NotIdentifiedError,
    NotPositiveDefiniteError,
    SmallSampleWarning,
    SpcWarning,
    UnsupportedError,
)
from spc.linalg import FloatArray
from spc.moments import Moments, Patterns
from spc.sem import fit, fit_measures, refit
from spc.sem.fit import SemFit
from spc.sem.missing.fiml import evaluate, observed_information, score
from spc.sem.missing.incomplete import lay_out
from spc.spec import model

CHAIN = """
service =~ s1 + s2 + s3
mood =~ m1 + m2 + m3
mood ~ a*service
sales ~ b*mood
ab := a*b
"""


def full(n: int = 400, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    service = rng.normal(size=n)
    mood = 0.5 * service + rng.normal(size=n)
    columns = {f"s{i}": 4 + (1.1 - 0.1 * i) * service + 0.7 * rng.normal(size=n) for i in (1, 2, 3)}
    columns |= {f"m{i}": 2 + (1.1 - 0.1 * i) * mood + 0.7 * rng.normal(size=n) for i in (1, 2, 3)}
    return pd.DataFrame(columns | {"sales": 10 + 0.6 * mood + rng.normal(size=n)})


def holed(n: int = 400, seed: int = 1, share: float = 0.15) -> pd.DataFrame:
    rng = np.random.default_rng(seed + 1000)
    data = full(n, seed)
    return data.mask(rng.random(data.shape) < share)


@pytest.fixture(scope="module")
def chain() -> SemFit:
    return fit(CHAIN, holed(), missing="fiml")


def differences(function: Any, at: FloatArray, h: float = 1e-5) -> FloatArray:
    return np.array([(function(at + step) - function(at - step)) / (2 * h) for step in h * np.eye(at.size)])


@pytest.mark.parametrize(
    "text",
    [
        CHAIN,
        CHAIN + "a == 0.8*b\ns2 ~~ m2",
        "i =~ 1*s1 + 1*s2 + 1*s3\nt =~ 0*s1 + 1*s2 + 2*s3\ni ~ 1\nt ~ 1\ns1 ~ 0*1\ns2 ~ 0*1\ns3 ~ 0*1\nt ~ sales",
        "sales ~ mood + m1\nmood =~ s1 + s2 + s3\nm1 ~ sales + m2",
    ],
)
def test_score_and_information_against_differences(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        result = fit(model(text, fixed_x=False), holed(), missing="fiml")
    problem = result.problem
    data = lay_out(result.answers.patterns, problem.scale[: problem.place.n_observed])
    rng = np.random.default_rng(0)
    x = problem.coordinates(result.solution.theta)
    x = x + 0.05 * rng.normal(size=x.size)
    value = differences(lambda z: evaluate(problem, data, z).found.value, x)
    np.testing.assert_allclose(score(problem, evaluate(problem, data, x)), -0.5 * value, atol=1e-7)
    slopes = differences(lambda z: score(problem, evaluate(problem, data, z)), x)
    np.testing.assert_allclose(observed_information(problem, data, evaluate(problem, data, x)), -slopes, atol=1e-6)


def test_complete_rows_give_the_complete_data_answers() -> None:
    data = full()
    plain, every = fit(model(CHAIN, meanstructure=True), data), fit(CHAIN, data, missing="fiml")
    np.testing.assert_allclose(every.tidy()["estimate"], plain.tidy()["estimate"], rtol=1e-7, atol=1e-9)
    ours, theirs = fit_measures(every), fit_measures(plain)
    for name in ("chisq", "df", "baseline_chisq", "baseline_df", "cfi", "rmsea", "srmr", "logl", "aic", "bic", "gfi"):
        assert ours[name] == pytest.approx(theirs[name], rel=1e-7), name
    assert not any(note.code == "missing_answers" for note in every.notes())


def test_order_of_rows_and_columns_does_not_matter(chain: SemFit) -> None:
    turned = holed().sample(frac=1.0, random_state=3)[["sales", "m3", "s1", "m1", "s3", "m2", "s2"]]
    other = fit(CHAIN, turned, missing="fiml")
    for name in ("estimate", "std_error"):
        np.testing.assert_allclose(other.tidy()[name], chain.tidy()[name], rtol=1e-6)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_change_nothing_but_units(chain: SemFit, factor: float) -> None:
    data = holed()
    other = fit(CHAIN, data.assign(sales=factor * data["sales"]), missing="fiml")
    one, two = chain.tidy().set_index(["lhs", "op", "rhs"]), other.tidy().set_index(["lhs", "op", "rhs"])
    assert two.loc[("sales", "~", "mood"), "estimate"] == pytest.approx(
        factor * one.loc[("sales", "~", "mood"), "estimate"], rel=1e-6
    )
    np.testing.assert_allclose(two["statistic"].astype(float), one["statistic"].astype(float), rtol=1e-5)
    for name in ("chisq", "cfi", "srmr", "cfi_robust"):
        assert fit_measures(other)[name] == pytest.approx(fit_measures(chain)[name], rel=1e-6, abs=1e-7), name


def test_values_far_from_zero() -> None:
    one, other = fit(CHAIN, holed(), missing="fiml"), fit(CHAIN, holed() + 1e6, missing="fiml")
    keep = one.tidy()["op"] != "~1"
    np.testing.assert_allclose(other.tidy().loc[keep, "std_error"], one.tidy().loc[keep, "std_error"], rtol=1e-5)
    assert fit_measures(other)["chisq"] == pytest.approx(fit_measures(one)["chisq"], rel=1e-4)


def test_patterns_are_data_too(chain: SemFit) -> None:
    data = holed()
    merged = Patterns.from_frame(data[:150]).merge(Patterns.from_frame(data[150:]))
    np.testing.assert_allclose(
        fit(CHAIN, merged, missing="ml").tidy()["estimate"], chain.tidy()["estimate"], rtol=1e-7, atol=1e-9
    )


def test_refit_finds_the_same_estimates(chain: SemFit) -> None:
    other = holed(seed=2)
    again = refit(chain, Patterns.from_frame(other))
    np.testing.assert_allclose(again.theta, fit(CHAIN, other, missing="fiml").solution.theta, rtol=1e-6, atol=1e-7)
    with pytest.raises(UnsupportedError, match="Patterns"):
        refit(chain, Moments.from_frame(full()))


def test_intercepts_are_always_in_the_model(chain: SemFit) -> None:
    assert (chain.tidy()["op"] == "~1").sum() == 9
    assert fit_measures(chain)["df"] == fit_measures(fit(CHAIN, full()))["df"]


def test_holding_nothing_back_in_the_notes(chain: SemFit) -> None:
    note = next(note for note in chain.notes() if note.code == "missing_answers")
    assert all(name in note.text for name in ("s1", "sales"))
    assert "%" in note.text
    assert "observed information" in chain.estimates().method


def test_rows_without_answers_are_dropped_and_counted() -> None:
    data = holed()
    data.iloc[:7] = np.nan
    with pytest.warns(DroppedRowsWarning, match="7 of 400 rows.*393 remain"):
        result = fit(CHAIN, data, missing="fiml")
    assert result.glance()["nobs"].iloc[0] == 393


def test_rows_without_a_fixed_covariate_are_dropped_and_said() -> None:
    text, data = "sales ~ m1 + s1\ns2 ~ sales", holed()
    complete = int(data[["m1", "s1"]].notna().all(axis=1).sum())
    with pytest.warns(DroppedRowsWarning, match="m1, s1.*fixed_x=False"):
        held = fit(text, data, missing="fiml")
    assert held.glance()["nobs"].iloc[0] == complete
    free = fit(model(text, fixed_x=False), data, missing="fiml")
    assert free.glance()["nobs"].iloc[0] > complete


def test_few_common_answers_are_warned_of() -> None:
    data = full()
    data.loc[data.index > 30, "s1"] = np.nan
    with pytest.warns(SmallSampleWarning, match=r"s1 with s1 \(7\.8\u00a0%\)"):
        fit(CHAIN, data, missing="fiml")


def test_answers_never_together_are_an_error() -> None:
    data = full()
    data.loc[data.index % 2 == 0, "s1"] = np.nan
    data.loc[data.index % 2 == 1, "sales"] = np.nan
    with pytest.raises(DataError, match="s1, sales"):
        fit(CHAIN, data, missing="fiml")


@pytest.mark.parametrize(
    "options",
    [{"likelihood": "wishart"}, {"engine": "semopy"}, {"estimator": "MLM"}, {"estimator": "WLS"}],
)
def test_options_without_a_method(options: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="method"):
        fit(CHAIN, holed(), missing="fiml", **options)


def test_wrong_data_are_our_errors() -> None:
    with pytest.raises(DataError, match="rows"):
        fit(CHAIN, Moments.from_frame(full()), missing="fiml")
    with pytest.raises(UnsupportedError, match="rows"):
        fit(CHAIN, Patterns.from_frame(holed()), missing="fiml", estimator="MLR")
    with pytest.raises(DataError):
        fit(CHAIN, holed().head(4), missing="fiml")
    with pytest.raises(DataError):
        fit(CHAIN, holed() * np.nan, missing="fiml")
    with pytest.raises(NotIdentifiedError):
        fit("f =~ s1 + s2", holed(), missing="fiml")


def few(n: int = 30, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    level = rng.normal(size=n)
    data = pd.DataFrame({f"y{i}": 3 + 0.8 * level + 0.6 * rng.normal(size=n) for i in range(1, 16)})
    return data.mask(rng.random(data.shape) < 0.15)


@pytest.mark.parametrize("estimator", ["ML", "MLR"])
def test_too_few_rows_for_a_test_still_give_estimates(estimator: Any) -> None:
    text = "f =~ " + " + ".join(f"y{i}" for i in range(1, 16))
    with pytest.warns(SmallSampleWarning, match="no maximum"):
        result = fit(text, few(), missing="fiml", estimator=estimator)
    row = result.glance().iloc[0]
    assert row[["chisq", "pvalue", "cfi", "rmsea", "srmr", "gfi", "cfi_robust", "unrestricted_logl"]].isna().all()
    assert np.isfinite(row[["logl", "aic", "bic"]].astype(float)).all()
    problem = result.problem
    data = lay_out(result.answers.patterns, problem.scale[: problem.place.n_observed])
    x = problem.coordinates(result.solution.theta)
    assert np.abs(score(problem, evaluate(problem, data, x))).max() < 1e-6
    loadings = result.tidy().query("op == '=~'")["estimate"]
    assert ((loadings > 0.4) & (loadings < 2.5)).all()


def test_linear_dependence_is_never_held_up() -> None:
    data = full()
    data["s3"] = data["s1"] + data["s2"]
    data.loc[::9, "s1"] = np.nan
    with pytest.raises(NotPositiveDefiniteError, match="s1"):
        fit(CHAIN, data, missing="fiml")


def selected(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """Satisfied respondents answer the follow-up far more often: missing at random given the first answers."""
    first = rng.normal(size=n)
    second = 0.6 * first + 0.8 * rng.normal(size=n)
    third = 0.5 * second + rng.normal(size=n)
    data = pd.DataFrame({"first": first, "second": second, "third": third})
    data.loc[rng.random(n) > 1 / (1 + np.exp(-2.5 * first)), ["second"]] = np.nan
    return data


PATH = "second ~ first\nthird ~ second"


def means_of(missing: Any, draws: int, n: int) -> pd.DataFrame:
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(draws):
            data = selected(np.random.default_rng(seed), n)
            table = fit(model(PATH, meanstructure=True, fixed_x=False), data, missing=missing).tidy()
            implied = table.set_index(["lhs", "op", "rhs"])["estimate"]
            mean_first = implied[("first", "~1", "")]
            mean_second = implied[("second", "~1", "")] + implied[("second", "~", "first")] * mean_first
            rows = table.set_index(["lhs", "op", "rhs"]).loc[("third", "~", "second")]
            inside = rows["conf_low"] < 0.5 < rows["conf_high"]
            found.append({"mean": mean_second, "variance": implied[("first", "~~", "first")], "inside": inside})
    return pd.DataFrame(found)


def test_missing_at_random_biases_complete_rows_but_not_all_answers() -> None:
    every, complete = means_of("fiml", 25, 400), means_of("listwise", 25, 400)
    assert abs(every["mean"].mean()) < 0.06 < 0.25 < complete["mean"].mean()
    assert abs(every["variance"].mean() - 1.0) < 0.06 < 0.2 < 1.0 - complete["variance"].mean()


@pytest.mark.slow
def test_unbiased_and_honest_intervals_under_missing_at_random() -> None:
    every = means_of("fiml", 2000, 400)
    assert abs(every["mean"].mean()) < 0.01
    assert abs(every["variance"].mean() - 1.0) < 0.01
    assert 0.93 < every["inside"].mean() < 0.97
