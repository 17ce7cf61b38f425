"""Bootstrap of a fit: a plain loop of refits, lavaan's errors, closed forms, failures, and what is refused."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import FrozenInstanceError
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from spc import resample
from spc.errors import (
    DataError,
    EstimationError,
    SpcWarning,
    UnsupportedError,
    UsageError,
)
from spc.linalg import one_blas_thread
from spc.moments import Moments, Patterns
from spc.results import TIDY_COLUMNS, Replicates, Result
from spc.sem import Bootstrap, SemFit, bootstrap, effects, fit, implied_moments, refit
from spc.sem.resampling.batch import Ends
from spc.sem.resampling.boot_rows import rows_of
from spc.spec import model

# The package's function of this name hides the module.
MODULE, DRAWS = sys.modules["spc.sem.resampling.bootstrap"], sys.modules["spc.sem.resampling.draws"]
REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_inference.json").read_text())["bootstrap"]
HS = pd.DataFrame(REFERENCE["data"])
PATH = "x4 ~ a*x1\nx7 ~ b*x4 + c*x1\nab := a*b\ntotal := c + ab\nratio := ab/total"


@cache
def three() -> SemFit:
    return fit(REFERENCE["model"], HS)


@cache
def path() -> SemFit:
    return fit(PATH, HS)


@cache
def path_draws() -> Bootstrap:
    return bootstrap(path(), HS, draws=600, seed=4)


def looped(fitted: SemFit, frame: pd.DataFrame, draws: int, seed: int, cluster: Any = None) -> Replicates:
    values = frame[list(fitted.model.observed)]
    with one_blas_thread():
        return resample.bootstrap(
            lambda rows: refit(fitted, Moments.from_frame(values.iloc[rows])).theta,
            fitted.model.parameters.names, n=len(frame), draws=draws, seed=seed, cluster=cluster,
        )  # fmt: skip


@pytest.mark.parametrize("likelihood", ["normal", "wishart"])
def test_the_same_numbers_as_a_loop_of_refits(likelihood: Any) -> None:
    fitted = fit(REFERENCE["model"], HS, likelihood=likelihood)
    ours = bootstrap(fitted, HS, draws=40, seed=7)
    theirs = looped(fitted, HS, 40, 7)
    assert ours.replicates.names == theirs.names
    # A single search ends within 3e-8 of the minimum, in units in which variables have variance one.
    assert np.allclose(ours.replicates.values, theirs.values, rtol=0, atol=2e-7)


def test_clusters_are_drawn_whole() -> None:
    rng = np.random.default_rng(3)
    frame = HS.assign(school=rng.integers(40, size=len(HS)))
    ours = bootstrap(fit(REFERENCE["model"], frame), frame, draws=12, seed=2, cluster="school")
    theirs = looped(three(), HS, 12, 2, frame["school"].to_numpy())
    assert np.allclose(ours.replicates.values, theirs.values, rtol=0, atol=2e-7)
    assert ours.units == 40
    also = bootstrap(three(), HS, draws=12, seed=2, cluster=frame["school"].to_numpy())
    assert np.array_equal(ours.replicates.values, also.replicates.values)


def test_a_draw_depends_on_seed_and_number_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap(three(), HS, draws=40, seed=7)
    monkeypatch.setattr(DRAWS, "BLOCK", 7)
    part = bootstrap(three(), HS, draws=23, seed=7)
    assert np.allclose(whole.replicates.values[:23], part.replicates.values, rtol=0, atol=1e-9)
    again = bootstrap(three(), HS, draws=23, seed=7)
    assert np.array_equal(part.replicates.values, again.replicates.values)
    other = bootstrap(three(), HS, draws=23, seed=8)
    assert not np.allclose(part.replicates.values, other.replicates.values, atol=1e-4)


def test_errors_near_those_of_lavaan() -> None:
    """Two samples of 1,000 draws: a standard error is known to 1/sqrt(2 * 1000), or 2.2 %, twice; tails are heavy."""
    ours = bootstrap(three(), HS, draws=1000, seed=5).tidy()
    table = {f"{row.lhs}{row.op}{row.rhs}": row.std_error for row in ours.itertuples()}
    theirs = dict(zip(REFERENCE["names"], REFERENCE["std_error"], strict=True))
    ratio = np.array([table[name] / value for name, value in theirs.items()])
    assert np.abs(np.log(ratio)).max() < 0.25
    assert abs(float(np.log(ratio).mean())) < 0.05


def test_rows_with_missing_values_are_left_out_as_in_the_fit() -> None:
    frame = HS.copy()
    frame.loc[[3, 70, 200], "x2"] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        fitted = fit(REFERENCE["model"], frame)
    one = bootstrap(fitted, frame, draws=8, seed=1, cluster=np.arange(len(frame)))
    other = bootstrap(fitted, frame.dropna(), draws=8, seed=1)
    assert one.units == len(frame) - 3
    assert np.allclose(one.replicates.values, other.replicates.values, rtol=0, atol=1e-9)


def test_a_mean_in_closed_form() -> None:
    """The intercept of a model without causes is the mean, its variance that of the sample, so all is known."""
    frame = pd.DataFrame({"y": np.random.default_rng(8).exponential(size=80)})
    fitted = fit(model("y ~ m*1\ny ~~ v*y", meanstructure=True), frame)
    drawn = bootstrap(fitted, frame, draws=500, seed=3, interval="bca")
    y = frame["y"].to_numpy()
    picks = [y[resample.replicate_rng(3, i).integers(80, size=80)] for i in range(500)]
    means = np.array([p.mean() for p in picks])
    column = drawn.replicates.values[:, drawn.replicates.names.index("m")]
    assert np.allclose(column, means, rtol=1e-7)
    assert np.allclose(
        drawn.replicates.values[:, drawn.replicates.names.index("v")], [p.var() for p in picks], rtol=1e-6
    )
    row = drawn.tidy().set_index("label").loc["m"]
    assert row["std_error"] == pytest.approx(means.std(ddof=1), rel=1e-6)
    centred = y - y.mean()
    acceleration = (centred**3).sum() / (6 * (centred**2).sum() ** 1.5)
    assert drawn.acceleration[drawn.replicates.names.index("m")] == pytest.approx(acceleration, rel=1e-6)
    bias = norm.ppf((means < y.mean()).mean())
    ends = [norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z))) for z in norm.ppf([0.025, 0.975])]
    assert [row["conf_low"], row["conf_high"]] == pytest.approx(list(np.quantile(means, ends)), rel=1e-6)
    plain = drawn.intervals("percentile", level=0.8).set_index("label").loc["m"]
    assert [plain["conf_low"], plain["conf_high"]] == pytest.approx(list(np.quantile(means, [0.1, 0.9])), rel=1e-6)


@pytest.mark.parametrize("clustered", [False, True])
def test_acceleration_is_that_of_the_jackknife(clustered: bool) -> None:
    frame = pd.DataFrame(HS[["x1", "x4", "x7"]])
    codes = np.repeat(np.arange(100), 4)[: len(frame)] if clustered else np.arange(len(frame))
    drawn = bootstrap(path(), HS, draws=2, cluster=codes if clustered else None)
    values = frame[list(path().model.observed)]
    kept = [values[codes != unit] for unit in np.unique(codes)]
    theta = np.array([refit(path(), Moments.from_frame(rows)).theta for rows in kept])
    names = path().model.parameters.names
    a, b, c = (theta[:, names.index(label)] for label in "abc")
    everything = np.column_stack([theta, a * b, c + a * b])
    gap = everything.mean(axis=0) - everything
    jackknife = (gap**3).sum(axis=0) / (6 * (gap**2).sum(axis=0) ** 1.5)
    assert np.allclose(drawn.acceleration[:-1], jackknife, atol=1e-2 if clustered else 2e-3)
    assert np.abs(jackknife).max() > 1e-2


def test_defined_parameters_come_from_the_same_draws() -> None:
    drawn = path_draws()
    a, b, c = (drawn.replicates.values[:, drawn.replicates.names.index(label)] for label in "abc")
    assert drawn.defined.names == ("ab", "total", "ratio")
    assert np.allclose(drawn.defined.values, np.column_stack([a * b, c + a * b, a * b / (c + a * b)]))
    row = drawn.tidy().set_index("label").loc["ab"]
    assert row["conf_low"] == pytest.approx(np.quantile(a * b, 0.025))
    assert row["p_value"] == pytest.approx(2 * (1 + min((a * b <= 0).sum(), (a * b >= 0).sum())) / 601)


def test_effects_take_the_replicates() -> None:
    drawn = path_draws()
    table = effects(path(), replicates=drawn.replicates).tidy().set_index(["kind", "label"])
    indirect, ours = table.loc["indirect", "x1 -> x4 -> x7"], drawn.tidy().set_index("label").loc["ab"]
    for column in ("estimate", "std_error", "conf_low", "conf_high", "p_value"):
        assert indirect[column] == pytest.approx(ours[column], rel=1e-9), column


def test_standardised_intervals_agree_with_those_of_the_effects() -> None:
    drawn = path_draws()
    table = drawn.standardized().set_index(["lhs", "op", "rhs"])
    direct = effects(path(), replicates=drawn.replicates).standardized()
    direct = direct[direct["kind"] == "direct"].set_index(["lhs", "op", "rhs"])
    for key, row in direct.iterrows():
        assert table.loc[key, "estimate"] == pytest.approx(row["estimate"], rel=1e-9)
        assert table.loc[key, "conf_low"] == pytest.approx(row["conf_low"], rel=1e-6), key
    loading = bootstrap(three(), HS, draws=50).standardized()
    marker = loading.query("lhs == 'visual' and rhs == 'x1'").iloc[0]
    assert marker["std_error"] > 0
    assert marker["conf_low"] < marker["estimate"] < marker["conf_high"]


def test_bollen_stine_rows_fit_exactly_and_the_test_is_near_lavaans() -> None:
    drawn = bootstrap(three(), HS, draws=300, seed=6, kind="bollen_stine")
    (rows,) = rows_of(three(), HS, None).balanced
    place, scale = three().problem.place, three().problem.scale[:9]
    turned = MODULE.like_model(rows, three().point.at.covariance[:9, :9], None) * scale
    transformed = pd.DataFrame(turned, columns=list(place.observed))
    exact = fit(REFERENCE["model"], transformed)
    assert exact.glance()["chisq"].iloc[0] == pytest.approx(0.0, abs=1e-9)
    assert np.allclose(exact.solution.theta, three().solution.theta, atol=1e-6)
    assert np.allclose(
        implied_moments(three()).cov, Moments.from_frame(transformed).restrict(place.observed).cov, rtol=1e-9
    )
    assert drawn.chisq.mean() == pytest.approx(REFERENCE["stine_mean"], rel=0.1)
    assert drawn.chisq.std() == pytest.approx(REFERENCE["stine_sd"], rel=0.25)
    assert drawn.p_value == pytest.approx(1 / 301)
    assert drawn.glance()["pvalue"].iloc[0] == drawn.p_value


def test_bollen_stine_keeps_a_true_model() -> None:
    rng = np.random.default_rng(12)
    factor = rng.normal(size=(200, 1))
    frame = pd.DataFrame(factor + rng.normal(size=(200, 4)), columns=["a", "b", "c", "d"])
    fitted = fit(model("f =~ a + b + c + d", meanstructure=True), frame)
    drawn = bootstrap(fitted, frame, draws=200, kind="bollen_stine")
    assert drawn.p_value == pytest.approx(fitted.glance()["pvalue"].iloc[0], abs=0.12)


def test_parametric_draws_give_back_the_expected_errors() -> None:
    drawn = bootstrap(path(), draws=1500, kind="parametric", seed=9).tidy()
    plain = path().tidy()
    free = plain["std_error"].notna() & (plain["op"] != ":=")
    assert np.allclose(drawn["std_error"][free], plain["std_error"][free], rtol=0.12)
    assert drawn["std_error"][~free & (plain["op"] != ":=")].isna().all()


# -- failures


def test_failed_draws_are_counted_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    search_all = DRAWS.search_all

    def failing(problem: Any, start: Any, metric: Any, draws: Any) -> Ends:
        ends = search_all(problem, start, metric, draws)
        value, usable = ends.value.copy(), ends.usable.copy()
        value[:3], usable[0] = np.nan, False
        return Ends(ends.x, value, usable)

    monkeypatch.setattr(DRAWS, "BLOCK", 10)
    whole = bootstrap(three(), HS, draws=20, seed=1)
    monkeypatch.setattr(DRAWS, "search_all", failing)
    rescued = bootstrap(three(), HS, draws=20, seed=1)
    assert rescued.replicates.failures == {"NotPositiveDefiniteError": 2}
    monkeypatch.setattr(DRAWS, "search", lambda problem, start: None)
    result = bootstrap(three(), HS, draws=20, seed=1)
    assert result.replicates.failures == {"NotPositiveDefiniteError": 2, "NonConvergenceError": 4}
    assert result.numbers.tolist() == [*range(3, 10), *range(13, 20)]
    assert np.array_equal(result.replicates.values, whole.replicates.values[result.numbers])
    assert rescued.numbers.tolist() == [*range(1, 10), *range(11, 20)]
    assert np.allclose(rescued.replicates.values, whole.replicates.values[rescued.numbers], atol=2e-7)
    note = next(note for note in result.notes() if note.code == "failed_draws")
    assert "6 of 20" in note.text
    assert "NonConvergenceError: 4" in note.text
    assert result.glance()["failed"].iloc[0] == 6


def test_draws_without_a_minimum_are_failures_not_estimates() -> None:
    """Twenty-five rows of weak items: in some draws the best loading is infinite."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(25, 1)) + rng.normal(size=(25, 4)), columns=list("abcd"))
    drawn = bootstrap(fit("f =~ a + b + c + d", frame), frame, draws=300)
    assert 0 < sum(drawn.replicates.failures.values()) < 15
    assert np.abs(drawn.replicates.values).max() < 1000.0
    assert len(drawn.replicates.values) == len(drawn.chisq) == len(drawn.numbers)


def test_mostly_failed_draws_are_an_error() -> None:
    """Five rows of three variables: most draws repeat so many of them that no inverse exists."""
    frame = HS.loc[:4, ["x1", "x2", "x4"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        fitted = fit("x4 ~ x1 + x2", frame)
        with pytest.raises(EstimationError, match="NotPositiveDefiniteError"):
            bootstrap(fitted, frame, draws=40)


def test_improper_draws_are_noted() -> None:
    drawn = bootstrap(three(), HS, draws=300, seed=5)
    negative = drawn.replicates.values[:, [i for i, name in enumerate(drawn.replicates.names) if "~~" in name]] < 0
    variances = [f"{name}~~{name}" in drawn.replicates.names for name in three().model.observed]
    assert all(variances)
    notes = {note.code for note in drawn.notes()}
    assert "few_draws" in notes
    assert ("improper_draws" in notes) == bool(negative[:, :9].any())


def test_few_clusters_are_noted() -> None:
    drawn = bootstrap(path(), HS, draws=10, cluster=np.arange(len(HS)) % 12)
    assert any(note.code == "few_clusters" for note in drawn.notes())


def test_an_interrupt_hands_back_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(steps: Any, what: str, total: int | None = None) -> Any:
        yield steps[0]
        yield steps[1]
        raise KeyboardInterrupt

    whole = bootstrap(three(), HS, draws=200)
    with monkeypatch.context() as patch:
        patch.setattr(resample, "progress", interrupted)
        part = bootstrap(three(), HS, draws=200)
    assert part.done == len(part.numbers) == 64
    assert np.array_equal(part.replicates.values, whole.replicates.values[:64])
    note = next(note for note in part.notes() if note.code == "interrupted")
    assert "64 of 200" in note.text
    assert part.glance()[["draws", "kept", "failed"]].iloc[0].tolist() == [200, 64, 0]


def test_an_interrupt_before_the_first_draw_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(steps: Any, what: str, total: int | None = None) -> Any:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(resample, "progress", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bootstrap(three(), HS, draws=200)


# -- missing answers, least squares, groups, workers


@cache
def holed() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    frame = HS.mask(rng.random(HS.shape) < 0.1)
    frame["school"] = np.where(np.arange(len(frame)) % 3 == 0, "north", "south")
    frame["class"] = np.arange(len(frame)) // 5
    return frame


TWO = "visual =~ x1 + x2 + x3\nspeed =~ x7 + x8 + x9\nspeed ~ b*visual\ntwice := 2*b"


def quietly(*args: Any, **options: Any) -> SemFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(*args, **options)


@pytest.mark.parametrize("options", [{}, {"group": "school", "group_equal": ("loadings",)}], ids=["one", "groups"])
def test_draws_with_missing_answers_are_refits(options: dict[str, Any]) -> None:
    text = TWO.replace("b*", "c(b, b2)*") if options else TWO
    fitted = quietly(text, holed(), missing="fiml", **options)
    drawn = bootstrap(fitted, holed(), draws=6, seed=3, cluster="class", interval="bca")
    rows = rows_of(fitted, holed(), "class")
    for at, i in enumerate(drawn.numbers):
        counts = rows.units.of_rows(3, int(i))
        copied = [
            Patterns.from_frame(pd.DataFrame(np.repeat(own, times.astype(int), axis=0), columns=part.model.observed))
            for own, times, part in zip(rows.values, counts, fitted.parts, strict=True)
        ]
        again = refit(fitted, copied)
        assert np.allclose(drawn.replicates.values[at], again.theta, atol=3e-7, rtol=1e-6)
    assert np.isfinite(drawn.acceleration).all()
    assert np.isnan(drawn.chisq).all()
    twice = drawn.replicates.values[:, drawn.replicates.names.index("b")]
    assert np.allclose(drawn.defined.values[:, 0], 2 * twice)


def test_covariates_are_held_at_the_moments_of_each_draw() -> None:
    frame = holed().assign(x1=HS["x1"])
    fitted = quietly("speed =~ x7 + x8 + x9\nspeed ~ x1\nx4 ~ x1", frame, missing="fiml")
    assert fitted.model.exogenous == ("x1",)
    drawn = bootstrap(fitted, frame, draws=4, seed=9)
    rows = rows_of(fitted, frame, None)
    for at, i in enumerate(drawn.numbers):
        times = rows.units.of_rows(9, int(i))[0].astype(int)
        copied = pd.DataFrame(np.repeat(rows.values[0], times, axis=0), columns=fitted.model.observed)
        assert np.allclose(drawn.replicates.values[at], refit(fitted, Patterns.from_frame(copied)).theta, atol=3e-7)


@pytest.mark.parametrize("estimator", ["GLS", "ULS", "WLS"])
def test_least_squares_draws_are_refits(estimator: Any) -> None:
    fitted = quietly(TWO, HS, estimator=estimator)
    drawn = bootstrap(fitted, HS, draws=4, seed=3, interval="bca")
    values = HS[list(fitted.model.observed)]
    for at, i in enumerate(drawn.numbers):
        rows = resample.replicate_rng(3, int(i)).integers(len(HS), size=len(HS))
        again = quietly(TWO, values.iloc[rows], estimator=estimator)
        assert np.allclose(drawn.replicates.values[at], again.solution.theta, atol=1e-6)
        assert drawn.chisq[at] == pytest.approx(float(again.glance()["chisq"].iloc[0]), rel=1e-6)
    assert (np.abs(drawn.acceleration) < 0.3).all()


def test_acceleration_with_missing_answers_is_that_of_the_jackknife() -> None:
    frame = holed().iloc[:150]
    text = "x4 ~ a*x1\nx7 ~ b*x4\nx1 ~~ x1"
    fitted = quietly(text, frame, missing="fiml")
    drawn = bootstrap(fitted, frame, draws=2)
    (rows,) = rows_of(fitted, frame, None).values
    kept = [pd.DataFrame(np.delete(rows, i, axis=0), columns=fitted.model.observed) for i in range(len(rows))]
    theta = np.array([refit(fitted, Patterns.from_frame(one)).theta for one in kept])
    gap = theta.mean(axis=0) - theta
    jackknife = (gap**3).sum(axis=0) / (6 * (gap**2).sum(axis=0) ** 1.5)
    assert np.allclose(drawn.acceleration, jackknife, atol=1e-2)
    assert np.abs(jackknife).max() > 2e-2


def test_groups_are_fitted_together_as_by_refits() -> None:
    frame = HS.assign(school=holed()["school"])
    fitted = quietly(TWO.replace("b*", "c(b, b)*"), frame, group="school", group_equal=("loadings", "intercepts"))
    drawn = bootstrap(fitted, frame, draws=40, seed=2)
    rows = rows_of(fitted, frame, None)
    for at, i in enumerate(drawn.numbers[:6]):
        counts = rows.units.of_rows(2, int(i))
        copied = [
            Moments.from_frame(pd.DataFrame(np.repeat(own, times.astype(int), axis=0), columns=part.model.observed))
            for own, times, part in zip(rows.values, counts, fitted.parts, strict=True)
        ]
        again = refit(fitted, copied)
        assert np.allclose(drawn.replicates.values[at], again.theta, atol=1e-6, rtol=1e-6)
        assert drawn.chisq[at] == pytest.approx(fitted.system.divisor * again.value, rel=1e-6)
    table = drawn.tidy()
    assert len(table) == len(fitted.tidy())
    free = table["label"] == "b"
    assert table.loc[free, "conf_low"].notna().all()
    assert drawn.standardized()["conf_low"].notna().any()
    tested = bootstrap(fitted, frame, draws=40, kind="bollen_stine")
    assert 0.0 < tested.p_value <= 1.0
    errors = np.sqrt(fitted.vcov.diagonal())
    plain = bootstrap(fitted, draws=300, kind="parametric")
    assert np.allclose(plain.replicates.values.std(axis=0) / errors, 1.0, atol=0.3)


def test_the_same_numbers_for_any_number_of_workers() -> None:
    alone, two = (bootstrap(three(), HS, draws=70, workers=workers) for workers in (1, 2))
    assert np.array_equal(alone.replicates.values, two.replicates.values)
    fitted = quietly(TWO, holed(), missing="fiml")
    alone, two = (bootstrap(fitted, holed(), draws=6, workers=workers) for workers in (1, 2))
    assert np.array_equal(alone.replicates.values, two.replicates.values)


def test_parametric_draws_with_missing_answers_have_the_errors_and_the_statistic_of_a_true_model() -> None:
    """150 draws: deviations to 6 %, the mean of the statistic to its own error."""
    fitted = quietly(TWO, holed(), missing="fiml")
    drawn = bootstrap(fitted, draws=150, kind="parametric", seed=4)
    ratio = (drawn.tidy()["std_error"] / fitted.tidy()["std_error"]).dropna()
    assert 0.9 < ratio.median() < 1.1
    assert drawn.chisq.mean() == pytest.approx(fitted.df, abs=4.0 * np.sqrt(2.0 * fitted.df / 150))
    assert "holes_as_they_are" in {note.code for note in drawn.notes()}


def test_kinds_without_a_method_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="WLS"):
        bootstrap(quietly(TWO, HS, estimator="WLS"), HS, kind="parametric")


# -- what is refused, and the shape of the result


def test_other_data_are_refused() -> None:
    with pytest.raises(DataError, match="other covariances"):
        bootstrap(three(), HS.iloc[:300], draws=10)
    with pytest.raises(DataError, match="other covariances"):
        bootstrap(three(), HS.assign(x1=HS["x1"] * 2), draws=10)
    with pytest.raises(DataError, match="parametric"):
        bootstrap(three(), draws=10)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"draws": 1}, UsageError, "at least 2"),
        ({"kind": "smooth"}, UnsupportedError, "bollen_stine"),
        ({"interval": "normal"}, UsageError, "percentile"),
        ({"level": 95}, UsageError, "0.95"),
        ({"kind": "parametric", "cluster": "x1"}, UsageError, "no clusters"),
        ({"kind": "bollen_stine", "interval": "bca"}, UsageError, "draws of cases"),
        ({"cluster": "nowhere"}, DataError, "nowhere"),
        ({"cluster": [1, 2, 3]}, UsageError, "3 values"),
        ({"cluster": np.ones(301)}, UsageError, "one cluster"),
        ({"cluster": np.r_[np.nan, np.arange(300.0)]}, UsageError, "1 rows have no cluster"),
    ],
)
def test_options_out_of_range(options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        bootstrap(three(), HS, **options)


def test_answers_like_every_result() -> None:
    drawn = path_draws()
    assert isinstance(drawn, Result)
    table, plain = drawn.tidy(), path().tidy()
    assert tuple(table.columns) == TIDY_COLUMNS
    assert table[["lhs", "op", "rhs", "label", "kind"]].equals(plain[["lhs", "op", "rhs", "label", "kind"]])
    assert np.array_equal(table["estimate"], plain["estimate"])
    assert drawn.glance()["kept"].iloc[0] == 600
    assert drawn.provenance.seed == 4
    assert np.isnan(drawn.p_value)
    with pytest.raises(FrozenInstanceError):
        drawn.level = 0.5  # type: ignore[misc]
    with pytest.raises(ValueError, match="read-only"):
        drawn.chisq[0] = 0.0
    with pytest.raises(UsageError, match="draws of cases"):
        bootstrap(path(), kind="parametric", draws=5).intervals("bca")


def test_equal_and_constrained_parameters() -> None:
    text = "visual =~ x1 + a*x2 + a*x3\ntextual =~ x4 + b*x5 + c*x6\nb + c == 2"
    fitted = fit(text, HS)
    drawn = bootstrap(fitted, HS, draws=20)
    b, c = (drawn.replicates.values[:, drawn.replicates.names.index(label)] for label in "bc")
    assert np.allclose(b + c, 2.0, atol=1e-12)
    table = drawn.tidy()
    assert table.query("label == 'a'")["std_error"].nunique() == 1


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_change_nothing_but_units(factor: float) -> None:
    scaled = HS.assign(x5=HS["x5"] * factor)
    one = bootstrap(three(), HS, draws=15)
    other = bootstrap(fit(REFERENCE["model"], scaled), scaled, draws=15)
    error = one.replicates.values.std(axis=0)
    ratio = other.replicates.values.std(axis=0) / error
    assert np.allclose(other.replicates.values / ratio / error, one.replicates.values / error, rtol=1e-5, atol=1e-5)
