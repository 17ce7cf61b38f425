"""The door: units, order and names change nothing they should not; every wrong input is said."""

from __future__ import annotations

import importlib
import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.errors import (
    DataError,
    DroppedRowsWarning,
    ImproperSolutionWarning,
    NonConvergenceError,
    NotIdentifiedError,
    NotPositiveDefiniteError,
    SpecError,
    UnsupportedError,
    UsageError,
)
from spc.linalg import FloatArray
from spc.moments import Moments
from spc.results import GLANCE_COLUMNS, TIDY_COLUMNS, Result
from spc.sem import SemFit, fit, fit_measures, refit
from spc.sem.engine import optimise
from spc.spec import model

ITEMS = [f"x{i}" for i in range(1, 7)]
TEXT = "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\ng ~ b*f + c*w\nx1 ~~ x4\nbc := b*c"


def survey(n: int = 250, seed: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(n)
    f = rng.standard_normal(n)
    g = 0.6 * f + 0.3 * w + 0.7 * rng.standard_normal(n)
    latent = np.repeat(np.array([f, g]), 3, axis=0)
    rows = 4.0 + np.array([[1, 0.8, 0.7, 1, 0.9, 0.6]]).T * latent + 0.6 * rng.standard_normal((6, n))
    return pd.DataFrame({**dict(zip(ITEMS, rows, strict=True)), "w": w})


def estimate(fitted: SemFit, lhs: str, op: str, rhs: str = "", column: str = "estimate") -> float:
    table = fitted.tidy().set_index(["lhs", "op", "rhs"])
    return float(table.loc[(lhs, op, rhs), column])


# -- the result


def test_a_fit_answers_the_protocol() -> None:
    fitted = fit(TEXT, survey())
    assert isinstance(fitted, Result)
    assert fitted.kind == "sem"
    table, row = fitted.tidy(), fitted.glance()
    assert tuple(table.columns) == TIDY_COLUMNS
    assert tuple(row.columns) == GLANCE_COLUMNS
    assert len(row) == 1
    assert set(table["kind"]) == {"loading", "regression", "variance", "covariance", "defined"}
    assert len(table) == len(fitted.model.parameters) + 1
    assert all(table[column].dtype == float for column in ("estimate", "std_error", "p_value", "std_all"))
    assert row.loc[0, "converged"]


def test_a_table_given_away_can_be_changed_without_harm() -> None:
    fitted = fit(TEXT, survey())
    table = fitted.tidy()
    table.loc[0, "estimate"] = 99.0
    assert fitted.tidy().loc[0, "estimate"] == 1.0


def test_fixed_rows_have_a_missing_standard_error() -> None:
    fitted = fit(TEXT, survey())
    assert estimate(fitted, "f", "=~", "x1") == 1.0
    assert math.isnan(estimate(fitted, "f", "=~", "x1", "std_error"))
    assert math.isnan(estimate(fitted, "w", "~~", "w", "std_error"))
    assert estimate(fitted, "w", "~~", "w") == pytest.approx(survey()["w"].var(ddof=0))


def test_defined_parameters_have_delta_errors() -> None:
    fitted = fit(TEXT, survey())
    b, c = estimate(fitted, "g", "~", "f"), estimate(fitted, "g", "~", "w")
    at = [fitted.model.parameters.names.index(name) for name in ("b", "c")]
    v = fitted.vcov[np.ix_(at, at)]
    assert estimate(fitted, "bc", ":=", "b*c") == pytest.approx(b * c)
    variance = np.array([c, b]) @ v @ np.array([c, b])
    assert estimate(fitted, "bc", ":=", "b*c", "std_error") == pytest.approx(math.sqrt(variance))


def test_estimates_are_the_free_parameters() -> None:
    fitted = fit("f =~ x1 + a*x2 + a*x3 + x4", survey())
    estimates = fitted.estimates()
    assert len(estimates.table) == len(fitted.model.parameters.names) == len(estimates.vcov)
    np.testing.assert_allclose(estimates.table["estimate"], fitted.solution.theta)
    np.testing.assert_allclose(estimates.table["std_error"], np.sqrt(np.diag(estimates.vcov)))
    assert estimates.draws(10, np.random.default_rng(1)).shape == (10, len(estimates.vcov))


def test_the_level_of_the_intervals() -> None:
    narrow, wide = (fit(TEXT, survey(), level=level).tidy().set_index(["lhs", "op", "rhs"]) for level in (0.5, 0.99))
    at = ("g", "~", "f")
    assert wide.loc[at, "conf_high"] - wide.loc[at, "estimate"] == pytest.approx(2.575829 * wide.loc[at, "std_error"])
    assert narrow.loc[at, "conf_low"] > wide.loc[at, "conf_low"]


# -- closed forms


def test_a_regression_is_least_squares() -> None:
    frame = survey()
    fitted = fit(model("x6 ~ x1 + w", meanstructure=True), frame)
    design = np.column_stack([np.ones(250), frame["x1"], frame["w"]])
    b, rss = np.linalg.lstsq(design, frame["x6"], rcond=None)[:2]
    assert estimate(fitted, "x6", "~1") == pytest.approx(b[0])
    assert estimate(fitted, "x6", "~", "x1") == pytest.approx(b[1])
    residual = float(rss[0]) / 250
    assert estimate(fitted, "x6", "~~", "x6") == pytest.approx(residual)
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * residual)
    assert estimate(fitted, "x6", "~", "w", "std_error") == pytest.approx(errors[2])
    likelihood = -125 * (math.log(2 * math.pi * residual) + 1)
    assert fitted.glance().loc[0, "logl"] == pytest.approx(likelihood)


def test_three_indicators_have_a_closed_form() -> None:
    cov = np.array([[2.0, 0.6, 0.4], [0.6, 1.5, 0.3], [0.4, 0.3, 1.0]])
    fitted = fit("f =~ x1 + x2 + x3", Moments(ITEMS[:3], 100, None, cov), likelihood="wishart")
    assert estimate(fitted, "f", "=~", "x2") == pytest.approx(0.3 / 0.4)
    assert estimate(fitted, "f", "~~", "f") == pytest.approx(0.6 * 0.4 / 0.3)
    assert fitted.glance().loc[0, "chisq"] == pytest.approx(0.0, abs=1e-10)


def test_a_covariance_matrix_fits_itself() -> None:
    frame = survey()[["x1", "x2"]]
    fitted = fit("x1 ~~ x2\nx1 ~~ x1\nx2 ~~ x2", frame)
    assert estimate(fitted, "x1", "~~", "x2") == pytest.approx(frame.cov().loc["x1", "x2"] * 249 / 250)


# -- equality and constraints


def test_shared_labels_and_equality_constraints_agree() -> None:
    shared = fit("f =~ x1 + a*x2 + a*x3\ng =~ x4 + x5 + x6", survey())
    constrained = fit("f =~ x1 + a*x2 + b*x3\ng =~ x4 + x5 + x6\na == b", survey())
    assert constrained.glance().loc[0, "df"] == shared.glance().loc[0, "df"] == 9
    assert constrained.glance().loc[0, "chisq"] == pytest.approx(shared.glance().loc[0, "chisq"], rel=1e-9)
    for column in ("estimate", "std_error"):
        left, right = estimate(shared, "f", "=~", "x2", column), estimate(constrained, "f", "=~", "x3", column)
        assert left == pytest.approx(right, rel=1e-7)


def test_a_linear_constraint_holds_exactly_in_any_units() -> None:
    text = "f =~ x1 + a*x2 + b*x3 + c*x4\na + 2*b == c + 0.5"
    frame = survey()
    for factor in (1.0, 1000.0):
        frame["x2"] *= factor
        fitted = fit(text, frame)
        a, b, c = (estimate(fitted, "f", "=~", item) for item in ("x2", "x3", "x4"))
        assert a + 2 * b - c == pytest.approx(0.5, rel=1e-9)


def test_effects_coding_sets_the_scale_by_a_constraint() -> None:
    text = "f =~ NA*x1 + a*x1 + b*x2 + c*x3\ng =~ x4 + x5 + x6\na + b + c == 3"
    coded, marked = fit(text, survey()), fit("f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6", survey())
    assert coded.glance().loc[0, "chisq"] == pytest.approx(marked.glance().loc[0, "chisq"], rel=1e-9)
    table = coded.tidy()
    assert table.loc[table["lhs"].eq("f") & table["op"].eq("=~"), "estimate"].mean() == pytest.approx(1.0)


def test_contradicting_constraints_are_said() -> None:
    with pytest.raises(SpecError, match="at once"):
        fit("f =~ x1 + a*x2 + b*x3\na == 1\na == 2", survey())


# -- units, order, names


def scaled_fit(factors: dict[str, float], text: str = TEXT) -> SemFit:
    frame = survey()
    for name, factor in factors.items():
        frame[name] *= factor
    return fit(model(text, meanstructure=True), frame)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(st.sampled_from([*ITEMS, "w"]), st.sampled_from([1e-6, 1e-4, 0.03, 100.0, 1e6]), min_size=1))
def test_units_change_nothing_but_units(factors: dict[str, float]) -> None:
    plain, scaled = scaled_fit({}), scaled_fit(factors)
    left, right = fit_measures(plain), fit_measures(scaled)
    for name in ("chisq", "df", "cfi", "rmsea", "srmr", "gfi", "baseline_chisq"):
        assert right[name] == pytest.approx(left[name], rel=1e-8, abs=1e-10)
    np.testing.assert_allclose(scaled.tidy()["std_all"], plain.tidy()["std_all"], rtol=1e-7, atol=1e-9)
    unit = {**dict.fromkeys([*ITEMS, "w"], 1.0), **factors}
    unit |= {"f": unit["x1"], "g": unit["x4"]}
    for a, b in zip(plain.tidy().itertuples(), scaled.tidy().itertuples(), strict=True):
        if a.op == ":=":
            continue
        ratio = {"=~": lambda r: unit[r.rhs] / unit[r.lhs], "~": lambda r: unit[r.lhs] / unit[r.rhs]}
        ratio |= {"~~": lambda r: unit[r.lhs] * unit[r.rhs], "~1": lambda r: unit[r.lhs]}
        factor = ratio[a.op](a)
        size = max(abs(a.estimate), a.std_error if a.std_error == a.std_error else 0.0)
        assert b.estimate / factor == pytest.approx(a.estimate, abs=1e-7 * size, rel=1e-7)
        assert b.std_error / factor == pytest.approx(a.std_error, rel=1e-6, nan_ok=True)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_fixed_values_keep_their_meaning_in_other_units(factor: float) -> None:
    text = "f =~ x1 + {0}*x2 + x3\ng =~ x4 + x5 + x6"
    frame = survey()
    plain = fit(text.format(0.7), frame)
    scaled = fit(text.format(0.7 * factor), frame.assign(x2=frame["x2"] * factor))
    assert scaled.glance().loc[0, "chisq"] == pytest.approx(plain.glance().loc[0, "chisq"], rel=1e-8)
    freed = fit("f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6", frame)
    assert plain.glance().loc[0, "chisq"] > freed.glance().loc[0, "chisq"]


@pytest.mark.parametrize("factor", [1e-5, 1e5])
def test_a_standardised_latent_meets_any_units(factor: float) -> None:
    frame = survey()
    made = model("f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6", std_lv=True)
    plain, scaled = fit(made, frame), fit(made, frame.assign(x1=frame["x1"] * factor, x5=frame["x5"] * factor))
    assert scaled.glance().loc[0, "chisq"] == pytest.approx(plain.glance().loc[0, "chisq"], rel=1e-8)
    assert estimate(scaled, "f", "=~", "x1") == pytest.approx(factor * estimate(plain, "f", "=~", "x1"), rel=1e-7)
    assert estimate(scaled, "f", "~~", "g") == pytest.approx(estimate(plain, "f", "~~", "g"), rel=1e-7)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_row_and_column_order_change_nothing(seed: int) -> None:
    frame = survey()
    rng = np.random.default_rng(seed)
    shuffled = frame.iloc[rng.permutation(len(frame)), rng.permutation(frame.shape[1])]
    np.testing.assert_allclose(
        fit(TEXT, shuffled).tidy()["estimate"], fit(TEXT, frame).tidy()["estimate"], rtol=1e-9, atol=1e-11
    )


def test_moments_are_data_too() -> None:
    frame = survey()
    names = list(reversed(frame.columns))
    given_moments = Moments(names, 250, None, frame[names].cov().to_numpy())
    np.testing.assert_allclose(fit(TEXT, given_moments).solution.theta, fit(TEXT, frame).solution.theta, rtol=1e-9)


def test_names_of_any_alphabet_and_with_spaces() -> None:
    names = {"x1": "tilfreds med løn", "x2": "工作", "x3": "2. Frage", "x4": "ζ", "x5": "a b", "x6": "ok"}
    frame = survey().rename(columns=names)
    text = "`f`  =~ " + " + ".join(f"`{names[item]}`" for item in ITEMS)
    fitted = fit(text, frame)
    assert fitted.tidy()["rhs"].iloc[0] == "tilfreds med løn"
    np.testing.assert_allclose(
        fitted.solution.theta, fit("f =~ " + " + ".join(ITEMS), survey()).solution.theta, rtol=1e-10
    )


def test_the_callers_data_are_left_alone() -> None:
    frame = survey()
    copy = frame.copy(deep=True)
    fit(TEXT, frame)
    pd.testing.assert_frame_equal(frame, copy)


def test_a_mean_structure_that_is_saturated_changes_no_test() -> None:
    plain, means = fit(TEXT, survey()), fit(model(TEXT, meanstructure=True), survey())
    assert means.glance().loc[0, "chisq"] == pytest.approx(plain.glance().loc[0, "chisq"], rel=1e-9)
    assert means.glance().loc[0, "df"] == plain.glance().loc[0, "df"]
    assert means.glance().loc[0, "logl"] == pytest.approx(plain.glance().loc[0, "logl"], rel=1e-12)
    assert estimate(means, "x2", "~1") == pytest.approx(survey()["x2"].mean() - 0.0)


# -- refits


def resampled(seed: int) -> Moments:
    rng = np.random.default_rng(seed)
    return Moments.from_frame(survey().iloc[rng.integers(250, size=250)])


@pytest.mark.parametrize("text", [TEXT, "f =~ x1 + a*x2 + a*x3\ng =~ x4 + x5 + c*x6\na + c == 2\ng ~ w"])
@pytest.mark.parametrize("likelihood", ["normal", "wishart"])
def test_a_refit_is_a_fit(text: str, likelihood: Any) -> None:
    fitted = fit(text, survey(), likelihood=likelihood)
    again, fresh = refit(fitted, resampled(1)), fit(text, resampled(1), likelihood=likelihood).solution
    np.testing.assert_allclose(again.theta, fresh.theta, rtol=1e-6, atol=1e-8)
    assert again.value == pytest.approx(fresh.value, rel=1e-9)
    assert again.iterations < 8


def test_a_refit_of_dependent_columns_is_an_error() -> None:
    fitted = fit("f =~ x1 + x2 + x3", survey())
    with pytest.raises(NotPositiveDefiniteError):
        refit(fitted, Moments(ITEMS[:3], 50, None, np.ones((3, 3))))


# -- second engine


def test_a_second_engine_gives_the_same_kind_of_result(monkeypatch: pytest.MonkeyPatch) -> None:
    import spc.sem.semopy_engine as second

    ours = fit(TEXT, survey())

    def solve(made: object, moments: Moments, likelihood: str) -> FloatArray:
        assert moments.names == ours.model.observed
        assert likelihood == "normal"
        return np.array(ours.solution.theta) * 1.001

    monkeypatch.setattr(second, "solve", solve)
    theirs = fit(TEXT, survey(), engine="semopy")
    assert theirs.solution.status == "semopy"
    np.testing.assert_allclose(theirs.solution.theta, 1.001 * ours.solution.theta)
    assert theirs.glance().loc[0, "chisq"] > ours.glance().loc[0, "chisq"]
    np.testing.assert_allclose(theirs.tidy()["std_error"], ours.tidy()["std_error"], rtol=0.05)


# -- what cannot be done


@pytest.mark.parametrize(
    "options", [{"estimator": "PML"}, {"missing": "pairwise"}, {"likelihood": "poisson"}, {"engine": "lisrel"}]
)
def test_unknown_options_name_those_that_work(options: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError, match="Use '"):
        fit(TEXT, survey(), **options)


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_impossible_levels(level: float) -> None:
    with pytest.raises(UsageError, match="level"):
        fit(TEXT, survey(), level=level)


def spoiled(name: str) -> pd.DataFrame:
    frame = survey()
    if name == "text":
        frame["x2"] = "agree"
    elif name == "absent":
        frame = frame.rename(columns={"x2": "x2_"})
    elif name == "infinite":
        frame.loc[3, "x2"] = np.inf
    elif name == "empty":
        frame = frame.iloc[:0]
    elif name == "twice":
        frame = pd.concat([frame, frame[["x2"]]], axis=1)
    elif name == "constant":
        frame["x2"] = 0.1
    elif name == "missing":
        frame["x2"] = np.nan
    elif name == "few":
        frame = frame.head(7)
    return frame


@pytest.mark.parametrize("name", ["text", "absent", "infinite", "empty", "twice", "constant", "missing", "few"])
def test_unusable_data_are_our_error(name: str) -> None:
    with pytest.raises(DataError) as caught:
        fit(TEXT, spoiled(name))
    if name not in ("empty", "missing", "few"):
        assert "x2" in str(caught.value)


def test_something_that_is_no_table() -> None:
    with pytest.raises(DataError, match="a dict"):
        fit(TEXT, {"x1": [1, 2]})  # type: ignore[arg-type]


def test_means_that_are_not_there() -> None:
    frame = survey()
    moments = Moments(list(frame), 250, None, frame.cov().to_numpy())
    with pytest.raises(DataError, match="means of all variables"):
        fit(model(TEXT, meanstructure=True), moments)


def test_dependent_columns_are_named() -> None:
    frame = survey()
    frame["x3"] = frame["x1"] + frame["x2"]
    with pytest.raises(NotPositiveDefiniteError) as caught:
        fit(TEXT, frame)
    assert set(caught.value.parameters) == {"x1", "x2", "x3"}


def test_more_parameters_than_moments() -> None:
    with pytest.raises(NotIdentifiedError, match="only 3 moments"):
        fit("f =~ x1 + x2", survey())


def test_a_model_that_is_not_identified_names_its_parameters() -> None:
    with pytest.raises(NotIdentifiedError) as caught:
        fit("f =~ NA*x1 + x2 + x3 + x4\ng =~ x5 + x6\nf ~~ g", survey())
    assert {"f=~x1", "f~~f"} <= set(caught.value.parameters)
    assert "x5~~x5" not in caught.value.parameters


def test_a_search_without_end_carries_its_partial_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("spc.sem.solve")
    for name in ("search", "along_valley"):
        monkeypatch.setattr(module, name, lambda problem, start: optimise.search(problem, start, max_iterations=1))
    with pytest.raises(NonConvergenceError) as caught:
        fit(TEXT, survey())
    assert caught.value.solution.status == "not converged"
    assert len(caught.value.solution.theta) == 15


def test_dropped_rows_are_counted_and_said() -> None:
    frame = survey()
    frame.loc[:24, "x2"] = np.nan
    with pytest.warns(DroppedRowsWarning, match="25 of 250"):
        fitted = fit(TEXT, frame)
    assert fitted.glance().loc[0, "nobs"] == 225
    assert [note.code for note in fitted.notes()] == ["dropped_rows"]
    np.testing.assert_allclose(fitted.solution.theta, fit(TEXT, frame.dropna()).solution.theta)


def test_missing_values_elsewhere_drop_nothing() -> None:
    frame = survey().assign(comment=np.nan)
    assert fit(TEXT, frame).notes() == ()


def test_a_heywood_case_is_estimated_and_announced() -> None:
    cov = np.array([[1.0, 0.8, 0.7], [0.8, 1.0, 0.5], [0.7, 0.5, 1.0]])
    with pytest.warns(ImproperSolutionWarning, match="x1~~x1"):
        fitted = fit("f =~ x1 + x2 + x3", Moments(ITEMS[:3], 200, None, cov), likelihood="wishart")
    assert estimate(fitted, "x1", "~~", "x1") == pytest.approx(1 - 0.8 * 0.7 / 0.5)
    note = next(note for note in fitted.notes() if note.code == "heywood")
    assert (note.severity, note.subject) == ("serious", "x1~~x1")


def test_nothing_is_said_of_a_good_solution() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit(TEXT, survey()).notes() == ()


def test_provenance_knows_the_options() -> None:
    fitted = fit(TEXT, survey(), level=0.9)
    assert fitted.provenance.options["level"] == 0.9
    assert fitted.provenance.options["estimator"] == "ML"
    assert len(fitted.provenance.data_fingerprint) == 16


def test_provenance_is_of_the_moment_and_the_data_of_the_fit() -> None:
    fitted = fit(TEXT, survey())
    again, other = fit(TEXT, survey()), fit(TEXT, survey(seed=6))
    assert replace(fitted, made_at=0.0).provenance.time == "1970-01-01T00:00:00+00:00"
    assert (
        replace(fitted, found=()).provenance
        == fitted.provenance
        == replace(again.provenance, time=fitted.provenance.time)
    )
    assert other.provenance.data_fingerprint != fitted.provenance.data_fingerprint


def test_a_model_is_a_model_or_text() -> None:
    with pytest.raises(UsageError, match="NoneType"):
        fit(None, pd.DataFrame({"x": [1.0, 2.0]}))  # type: ignore[arg-type]
