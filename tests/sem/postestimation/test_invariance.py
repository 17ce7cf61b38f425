"""Measurement invariance: lavaan's steps, tests and means; published numbers; verdicts; what is refused."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spc.errors import (
    DataError,
    EstimationError,
    ImproperSolutionWarning,
    NonConvergenceError,
    NotIdentifiedError,
    SpcWarning,
    UnsupportedError,
    UsageError,
)
from spc.moments import Moments
from spc.results import TIDY_COLUMNS, Result
from spc.sem import SemFit, factor_scores, fit, fit_measures, modification_indices, reliability
from spc.sem.postestimation.compare import compare
from spc.sem.postestimation.invariance import Invariance, invariance
from spc.sem.postestimation.latent_means import latent_means
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_invariance.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}
THREE = CASES["hs"]["model"]


@cache
def frame(name: str) -> pd.DataFrame:
    return pd.DataFrame(
        {key: [np.nan if v is None else v for v in values] for key, values in REFERENCE["frames"][name].items()}
    )


@cache
def climbed(name: str) -> Invariance:
    case = CASES[name]
    options = {key: value[0] for key, value in case["options"].items() if key not in ("ordered", "std_lv")}
    if "ordered" in case["options"]:
        options["ordered"] = tuple(case["options"]["ordered"])
    text: Any = case["model"]
    if case["moments"]:
        given: Any = {
            label: Moments(m["names"], m["n"], m["means"], m["covariance"])
            for label, m in zip(case["groups"], case["moments"], strict=True)
        }
    else:
        given, options["group"] = frame(case["data"]), case["group"]
    if case["options"].get("std_lv"):
        text = model(text, std_lv=True)
    return invariance(text, given, partial=tuple(case["partial"]), **options)


STEPPED = [name for name in CASES if name not in ("burns", "ordered")]


@pytest.mark.parametrize("name", STEPPED)
def test_steps_as_lavaan(name: str) -> None:
    case, table = CASES[name], climbed(name).augment()
    assert table["step"].tolist() == [step["name"] for step in case["steps"]]
    rel = 1e-5
    for (_, mine), step in zip(table.iterrows(), case["steps"], strict=True):
        theirs = step["measures"]
        assert mine["df"] == theirs["df"]
        assert mine["npar"] == theirs["npar"]
        assert mine["chisq"] == pytest.approx(theirs["chisq"], rel=rel)
        for key in ("cfi", "rmsea"):
            kinds = (theirs.get(name) for name in (f"{key}.robust", f"{key}.scaled", key))
            wanted = next(value for value in kinds if isinstance(value, float | int))
            assert mine[key] == pytest.approx(wanted, rel=rel, abs=2e-5), key
        assert mine["srmr"] == pytest.approx(theirs["srmr"], rel=1e-4)
        assert mine["aic"] == pytest.approx(theirs["aic"], rel=1e-7)
    found = case["difference"]
    for at in range(len(found["chisq"])):
        row = table.iloc[at + 1]
        assert row["df_diff"] == found["df"][at]
        assert row["chisq_diff"] == pytest.approx(found["chisq"][at], rel=1e-4)
        assert row["pvalue_diff"] == pytest.approx(found["p"][at], rel=1e-3)


SEMTOOLS = json.loads((Path(__file__).parents[2] / "reference" / "semtools_invariance.json").read_text())["cases"]
SECOND = THREE + "\ngeneral =~ visual + textual + speed\n"


@cache
def laddered(name: str) -> Invariance:
    if name == "second":
        return invariance(SECOND, frame("hs"), group="school")
    ordered, way = SEMTOOLS[name]["ordered"], SEMTOOLS[name]["parameterization"]
    return invariance(
        model(THREE, std_lv=True), first_rows(name), group="school", ordered=ordered, missing="listwise",
        parameterization=way,
    )  # fmt: skip


@cache
def first_rows(name: str) -> pd.DataFrame:
    rows = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_ordinal.json").read_text())["data"]
    return pd.DataFrame({key: pd.Series(values) for key, values in rows[SEMTOOLS[name]["data"]].items()})


@pytest.mark.parametrize("name", SEMTOOLS)
def test_steps_as_semtools(name: str) -> None:
    """Chi-squares are flat at the optimum, so that lavaan's, some 1e-5 short of it, agree within 1e-5."""
    case, result = SEMTOOLS[name], laddered(name)
    table = result.augment()
    assert table["step"].tolist() == list(case["steps"])
    for (step, theirs), (_, mine) in zip(case["steps"].items(), table.iterrows(), strict=True):
        measures = fit_measures(result.fits[step])
        assert mine["df"] == theirs["df"]
        assert mine["npar"] == measures["npar"]
        assert mine["chisq"] == pytest.approx(theirs["chisq"], rel=1e-5)
        if "chisq.scaled" in theirs:
            assert mine["chisq_scaled"] == pytest.approx(theirs["chisq.scaled"], rel=1e-4)
            assert measures["cfi_scaled"] == pytest.approx(theirs["cfi.scaled"], abs=1e-5)
    for theirs, (_, mine) in zip(case["difference"], table[1:].iterrows(), strict=True):
        assert mine["df_diff"] == theirs["df"]
        assert mine["chisq_diff"] == pytest.approx(theirs["chisq"], rel=1e-3)
    ours = latent_means(result.fits["scalar, higher" if name == "second" else "scalar"]).set_index("latent")
    for row in case["means"]:
        assert ours.loc[row["lhs"], "estimate"] == pytest.approx(row["est"], abs=2e-5)


def test_equal_intercepts_of_ordered_items_are_lavaans_equal_thresholds_and_loadings() -> None:
    """lavaan's group.equal of thresholds and loadings holds the intercepts at zero as well."""
    theirs = CASES["ordered"]["steps"][-1]["measures"]
    mine = climbed("ordered").augment().set_index("step").loc["scalar"]
    assert mine["df"] == theirs["df"]
    assert mine["chisq"] == pytest.approx(theirs["chisq"], rel=1e-5)


def test_intercepts_to_release_are_named_and_released() -> None:
    """Intercepts of ordered items, and of factors on factors, are held at zero and not by a shared number."""
    first = laddered("many")
    worst = first.releases.query("step == 'scalar'").iloc[0]
    freed = invariance(
        model(THREE, std_lv=True), first_rows("many"), group="school", ordered=SEMTOOLS["many"]["ordered"],
        missing="listwise", partial=[worst["parameter"]], parameterization="delta",
    ).augment()  # fmt: skip
    before = first.augment()
    assert worst["parameter"] == "x3~1"
    assert freed["df"].tolist() == [*before["df"][:3], before["df"].iloc[3] - 1]
    assert before["chisq"].iloc[3] - freed["chisq"].iloc[3] == pytest.approx(worst["chisq"], rel=0.25)
    higher = laddered("second")
    top = higher.releases.query("step == 'scalar, higher'").iloc[0]
    again = invariance(SECOND, frame("hs"), group="school", partial=[top["parameter"]]).augment()
    assert top["parameter"] == "textual~1"
    assert higher.augment()["df"].iloc[4] - again["df"].iloc[4] == 1
    assert higher.augment()["chisq"].iloc[4] - again["chisq"].iloc[4] == pytest.approx(top["chisq"], rel=0.15)


def test_means_of_factors_of_factors_are_those_of_their_own_step() -> None:
    means = laddered("second").means
    assert laddered("second").means_step == "scalar"
    assert means["latent"].tolist() == ["visual", "textual", "speed"]


def test_a_single_latent_variable_of_three_items() -> None:
    case = CASES["burns"]
    given = {
        label: Moments(m["names"], m["n"], m["means"], m["covariance"])
        for label, m in zip(case["groups"], case["moments"], strict=True)
    }
    held = {
        "metric": ("loadings",),
        "scalar": ("loadings", "intercepts"),
        "strict": ("loadings", "intercepts", "residuals"),
    }
    table = invariance(case["model"], given, steps=held).augment()
    for (_, mine), step in zip(table.iterrows(), case["steps"][1:], strict=True):
        assert mine["chisq"] == pytest.approx(step["measures"]["chisq"], rel=1e-5)
    assert table["chisq_diff"][1:].tolist() == pytest.approx(case["difference"]["chisq"][1:], rel=1e-4)


def test_groups_that_fit_at_a_negative_latent_variance_alone() -> None:
    case = CASES["burns"]
    given = {
        label: Moments(m["names"], m["n"], m["means"], m["covariance"])
        for label, m in zip(case["groups"], case["moments"], strict=True)
    }
    with pytest.warns(ImproperSolutionWarning, match="below zero"):
        fitted = fit(case["model"], given)
    assert fitted.df == 0
    assert fitted.chisq == pytest.approx(0.0, abs=1e-9)


def test_published_steps_of_two_schools() -> None:
    """Hirschfeld & von Brachel (2014); the tutorial of lavaan: 8.192, 40.059 and 17.409 on 6, 6 and 9."""
    table = climbed("hs").augment()
    assert table["chisq_diff"][1:].round(3).tolist() == [8.192, 40.059, 17.409]
    assert table["df_diff"][1:].tolist() == [6, 6, 9]
    assert table["cfi"].round(3).tolist() == [0.923, 0.921, 0.882, 0.873]
    assert table["rmsea"].round(3).tolist() == [0.097, 0.093, 0.107, 0.104]
    assert table["release"][2] == "x3~1"
    partial = climbed("hs_partial").augment()
    assert partial["chisq_diff"][2] == pytest.approx(5.379, abs=1e-3)
    assert partial["df_diff"][2] == 4


@pytest.mark.parametrize("name", STEPPED)
def test_score_tests_as_lavaan(name: str) -> None:
    result = climbed(name)
    for step in CASES[name]["steps"]:
        if not step["scores"]:
            continue
        theirs = {(row["lhs"], row["rhs"]): row["x2"] for row in step["scores"]["rows"]}
        own = result.releases[result.releases["step"] == step["name"]]
        assert len(own)
        for row in own.itertuples():
            assert row.chisq == pytest.approx(theirs[row.parameter, f"{row.parameter}.g2"], rel=2e-4, abs=1e-4)


@pytest.mark.parametrize("name", STEPPED)
def test_latent_means_as_lavaan(name: str) -> None:
    result = climbed(name)
    case = CASES[name]
    scalar = result.fits["scalar"].tidy()
    for row in case["means"]:
        mine = scalar[(scalar["lhs"] == row["lhs"]) & (scalar["op"] == "~1") & (scalar["group"] == case["groups"][1])]
        assert mine["estimate"].iloc[0] == pytest.approx(row["est"], abs=1e-5)
        assert mine["std_error"].iloc[0] == pytest.approx(row["se"], rel=1e-3)
    if result.means_step == "scalar":
        means = result.means.set_index("latent")
        for row in case["means"]:
            assert means.loc[row["lhs"], "estimate"] == pytest.approx(row["est"], abs=1e-5)
            assert means.loc[row["lhs"], "std_error"] == pytest.approx(row["se"], rel=1e-3)


def test_what_fails_is_named_and_means_are_doubted() -> None:
    result = climbed("hs")
    assert result.augment()["verdict"].tolist() == ["unclear", "holds", "fails", "holds"]
    assert result.held == "metric"
    assert result.means_step == "scalar"
    notes = {note.code: note for note in result.notes()}
    assert notes["means_not_comparable"].severity == "serious"
    assert "partial=['x3~1']" in next(note.text for note in result.notes() if note.subject == "scalar")
    free = climbed("hs_partial")
    assert free.held == free.means_step == "strict"
    assert "means_not_comparable" not in {note.code for note in free.notes()}


def test_standardised_differences_are_in_pooled_deviations() -> None:
    result = climbed("hs_partial")
    strict = result.fits["strict"]
    variances = strict.tidy().query("op == '~~' and lhs == 'textual' and rhs == 'textual'")["estimate"].to_numpy()
    sizes = np.array([part.problem.n for part in strict.parts])
    row = result.means.set_index("latent").loc["textual"]
    assert row["d"] == pytest.approx(row["estimate"] / np.sqrt(variances @ sizes / sizes.sum()), rel=1e-10)
    assert row["d_error"] == pytest.approx(np.sqrt(4.0 / 301 + row["d"] ** 2 / 602), rel=0.25)


def test_parameters_that_differ_are_found_among_ordered_items() -> None:
    """The second group was given another threshold of i6 and another loading of i3."""
    result = climbed("ordered")
    first = result.releases.groupby("step").first()
    assert first.loc["thresholds", "parameter"].startswith("i6|")
    assert first.loc["metric", "parameter"] == "a=~i3"


def test_all_that_holds_holds() -> None:
    rng = np.random.default_rng(4)
    factor = rng.normal(size=1200)
    rows = pd.DataFrame({f"y{k}": 0.8 * factor + rng.normal(size=1200) for k in range(5)})
    rows["site"] = np.repeat(["a", "b", "c"], 400)
    rows.loc[rows["site"] == "c", [f"y{k}" for k in range(5)]] += 0.4
    result = invariance("f =~ y0 + y1 + y2 + y3 + y4", rows, group="site")
    assert result.augment()["verdict"].tolist() == ["holds"] * 4
    assert result.held == result.means_step == "strict"
    assert [note.code for note in result.notes()] == ["cut_offs"]
    means = result.means.set_index("group")
    assert means.loc["c", "estimate"] == pytest.approx(0.4, abs=0.15)
    assert abs(means.loc["b", "statistic"]) < 3.0
    assert "holds" in str(result)
    assert "<.001" in str(result)


def test_steps_of_ones_own() -> None:
    steps = {"pattern": (), "everything": ("loadings", "intercepts", "lv_variances")}
    result = invariance(THREE, frame("hs"), group="school", steps=steps)
    assert result.augment()["df_diff"][1] == 15
    assert result.augment()["step"].tolist() == list(steps)


def test_answers_like_every_result() -> None:
    result = climbed("hs")
    assert isinstance(result, Result)
    tidy = result.tidy()
    assert tuple(tidy.columns) == TIDY_COLUMNS
    assert tidy["kind"].tolist() == ["step"] * 4 + ["latent_mean"] * 3
    assert result.glance()["held"].iloc[0] == "metric"
    assert "release first" in str(result)


def test_ordered_items_are_known_by_their_type_too() -> None:
    rng = np.random.default_rng(4)
    latent = 0.8 * rng.standard_normal((600, 1)) + 0.6 * rng.standard_normal((600, 4))
    rows = pd.DataFrame(np.digitize(latent, [-0.8, 0.3]), columns=list("abcd"))
    typed = rows.apply(lambda column: pd.Categorical(column, ordered=True)).assign(shop=np.arange(600) % 2)
    found = invariance("f =~ a + b + c + d", typed, group="shop").augment()
    named = invariance("f =~ a + b + c + d", rows.assign(shop=typed["shop"]), group="shop", ordered=list("abcd"))
    assert found["step"].tolist() == ["configural", "thresholds", "metric", "scalar", "strict"]
    pd.testing.assert_frame_equal(found, named.augment())
    with pytest.raises(DataError, match="a: categories; expected numbers"):
        invariance("f =~ a + b + c + d", typed, group="shop", estimator="ML")
    with pytest.raises(UnsupportedError, match="'listwise' or 'pairwise' only"):
        invariance("f =~ a + b + c + d", typed, group="shop", missing="fiml")


def uneven() -> pd.DataFrame:
    """Five ordered items; in the second group the residual variance of ``c`` is two and a half times that of the first.

    Thresholds, loadings and intercepts are the same in both, latent means are 0.4 apart.
    """
    rng = np.random.default_rng(12)
    shop = np.repeat(["one", "two"], 1500)
    factor = rng.normal(size=3000) + 0.4 * (shop == "two")
    rows = {}
    for name, load in zip("abcde", (0.8, 0.9, 1.0, 0.7, 0.8), strict=True):
        spread = np.where((shop == "two") & (name == "c"), 2.5**0.5, 1.0)
        rows[name] = np.digitize(load * factor + spread * rng.normal(size=3000), [-1.0, 0.0, 1.1])
    return pd.DataFrame(rows | {"shop": shop})


def test_a_residual_variance_that_differs_is_found_among_ordered_items() -> None:
    text, rows = "f =~ a + b + c + d + e", uneven()
    result = invariance(text, rows, group="shop", ordered=list("abcde"))
    table = result.augment()
    assert table["df_diff"].tolist()[1:] == [5, 4, 4, 5]
    assert table["verdict"].tolist()[:4] == ["holds"] * 4
    assert table["pvalue_diff"].iloc[-1] < 1e-6
    worst = result.releases.query("step == 'strict'").iloc[0]
    assert worst["parameter"] == "c~~c"
    freed = invariance(text, rows, group="shop", ordered=list("abcde"), partial=["c~~c"])
    after = freed.augment()
    assert after["df"].tolist() == [*table["df"][:4], table["df"].iloc[4] - 1]
    assert after["pvalue_diff"].iloc[-1] > 0.01
    assert freed.held == "strict"
    variance = freed.fits["strict"].tidy().query("lhs == 'c' and rhs == 'c' and op == '~~' and group == 'two'")
    assert variance["conf_low"].iloc[0] < 2.5 < variance["conf_high"].iloc[0]
    assert freed.means["d"].iloc[0] == pytest.approx(0.4, abs=0.12)


def test_both_parameterisations_fit_alike_before_the_strict_step() -> None:
    rows, items = uneven(), list("abcde")
    theta = invariance("f =~ a + b + c + d + e", rows, group="shop", ordered=items)
    delta = invariance("f =~ a + b + c + d + e", rows, group="shop", ordered=items, parameterization="delta")
    both = ["step", "df", "chisq", "chisq_scaled", "cfi", "rmsea", "chisq_diff"]
    pd.testing.assert_frame_equal(theta.augment()[both][:4], delta.augment()[both], rtol=1e-6)
    assert theta.means["d"].iloc[0] == pytest.approx(latent_means(theta.fits["scalar"])["d"].iloc[0], abs=0.02)
    assert delta.means["d"].iloc[0] == pytest.approx(latent_means(theta.fits["scalar"])["d"].iloc[0], rel=1e-6)


def test_an_item_without_residual_variance_leaves_no_strict_step() -> None:
    """Items a and b are alike but for a few answers, so that no residual variance of one is left in theta."""
    rng = np.random.default_rng(3)
    factor = rng.normal(size=900)
    rows = pd.DataFrame({
        "a": np.digitize(factor, [-0.7, 0.6]),
        **{name: np.digitize(0.5 * factor + 0.9 * rng.normal(size=900), [-0.7, 0.6]) for name in "bcd"},
    })  # fmt: skip
    rows["shop"] = np.arange(900) % 2
    result = invariance("f =~ b + a + c + d", rows, group="shop", ordered=list("abcd"))
    assert result.augment()["step"].tolist() == ["configural", "thresholds", "metric", "scalar"]
    note = next(note for note in result.notes() if note.code == "no_strict_step")
    assert "theta" in note.text
    with pytest.raises((EstimationError, NotIdentifiedError)):
        invariance("f =~ b + a + c + d", rows, group="shop", ordered=list("abcd"), parameterization="theta")


def test_a_step_without_an_end_is_named() -> None:
    """Of items cut at their medians, latent means and the units of responses cannot be told apart."""
    rng = np.random.default_rng(11)
    latent = rng.normal(size=(900, 1)) + rng.normal(size=(900, 6))
    rows = pd.DataFrame(latent > np.median(latent, axis=0), columns=list("abcdef")).astype(int)
    rows["shop"] = np.arange(900) % 3
    text = "one =~ a + b + c\ntwo =~ d + e + f"
    with pytest.raises((NonConvergenceError, NotIdentifiedError), match=r"The step scalar: .* leave the step out"):
        invariance(text, rows, group="shop", ordered=list("abcdef"))


def test_scaled_statistics_are_shown_where_there_are_any() -> None:
    shown = str(laddered("four_theta")).splitlines()
    assert "scaled" in shown[2].split()
    assert f"{laddered('four_theta').augment()['chisq_scaled'].iloc[0]:.2f}" in shown[3].split()
    assert "scaled" not in str(climbed("hs")).splitlines()[2]


def test_missing_answers_of_ordered_items_are_used_in_pairs_as_in_a_fit() -> None:
    rows = uneven().astype(dict.fromkeys("abcde", float))
    rows.loc[::7, "b"] = np.nan
    result = invariance("f =~ a + b + c + d + e", rows, group="shop", ordered=list("abcde"))
    assert result.glance()["nobs"].iloc[0] == len(rows)
    assert all(fit.options.missing == "pairwise" for fit in result.fits.values())


def test_one_group_or_one_step_is_refused() -> None:
    with pytest.raises(UsageError, match="group"):
        invariance(THREE, frame("hs").drop(columns="school"))
    with pytest.raises(UsageError, match="two or more"):
        invariance(THREE, frame("hs"), group="school", steps={"metric": ["loadings"]})


# -- after a fit of several groups


@cache
def scalar() -> SemFit:
    return fit(THREE, frame("hs"), group="school", group_equal=("loadings", "intercepts"))


def test_modification_indices_in_groups() -> None:
    table = modification_indices(scalar(), sort=False)
    ours = {(row.lhs, row.op, row.rhs, row.group): row for row in table.itertuples()}
    labels = scalar().groups
    for row in REFERENCE["modification"]:
        mine = ours[row["lhs"], row["op"], row["rhs"], labels[row["group"] - 1]]
        assert mine.mi == pytest.approx(row["mi"], rel=2e-4, abs=1e-3)
        assert mine.epc == pytest.approx(row["epc"], rel=1e-3, abs=1e-4)
        assert mine.sepc_all == pytest.approx(row["sepc.all"], rel=1e-3, abs=1e-4)


def test_steps_are_nested_and_others_are_refused() -> None:
    free = fit(THREE, frame("hs"), group="school")
    result = compare(free, scalar())
    assert result.notes() == ()
    assert result.augment()["df_diff"][1] == 12
    with pytest.raises(Exception, match="other groups"), warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        compare(free, fit(model(THREE, meanstructure=True), frame("hs")))


def test_reliability_in_each_group() -> None:
    fitted = fit(THREE, frame("hs"), group="school", group_equal=("loadings",))
    table = reliability(fitted).tidy()
    for kind in ("omega", "ave"):
        for row in REFERENCE["reliability"][kind]:
            own = table[(table["kind"] == kind) & (table["group"] == row["group"])].set_index("lhs")["estimate"]
            for latent in ("visual", "textual", "speed"):
                assert own[latent] == pytest.approx(row[latent], rel=2e-4)


def test_scores_of_each_group_by_its_own_numbers() -> None:
    rows = frame("hs").sample(frac=1.0, random_state=3)
    scores = factor_scores(scalar(), rows)
    assert scores.index.equals(rows.index)
    for view in scalar().views:
        own = rows[rows["school"] == view.parts[0].group]
        pd.testing.assert_frame_equal(scores.loc[own.index], factor_scores(view, own))
    means = scores.groupby(rows["school"])["textual"].mean()
    gap = scalar().tidy().query("lhs == 'textual' and op == '~1' and group == 'Grant-White'")["estimate"].iloc[0]
    assert means["Grant-White"] - means["Pasteur"] == pytest.approx(gap, abs=0.05)
    with pytest.raises(DataError, match="elsewhere"):
        factor_scores(scalar(), rows.assign(school="elsewhere"))
