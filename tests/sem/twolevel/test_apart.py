"""Two levels beside the estimates: residuals of each, structure apart from measurement, Bartlett's scores."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.errors import ImproperSolutionWarning, UnsupportedError, UsageError
from spc.sem import SemFit, bootstrap, factor_scores, fit, misfit, structural_fit
from spc.sem.twolevel.scores import cluster_scores

FIXTURE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_twolevel_apart.json").read_text())
DATA = pd.DataFrame(FIXTURE["data"])


@cache
def ours(name: str, estimator: str = "ML") -> SemFit:
    return fit(FIXTURE["texts"].get(name, FIXTURE["plain"]), DATA, cluster="unit", estimator=estimator)


@cache
def holed() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    frame = DATA.copy()
    for name in [name for name in DATA if name.startswith("y")]:
        frame.loc[rng.random(len(frame)) < 0.08, name] = np.nan
    return frame


# -- residuals


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("kind", ["raw", "bollen", "bentler"])
def test_residuals_equal_lavaans(kind: str, level: int) -> None:
    """lavaan's free moments come from EM and its estimates stop short of the optimum, some thousandths in logl."""
    theirs = FIXTURE["residuals"][kind]["within" if level == 1 else "unit"]
    mine = misfit(ours("whole")).matrix(kind, level=level).loc[theirs["names"], theirs["names"]]
    np.testing.assert_allclose(mine, theirs["cov"], atol=6e-4)


def test_residual_means_are_those_of_both_of_lavaans_levels_together() -> None:
    """lavaan has free means on both levels, whose sum is the mean."""
    table = misfit(ours("whole")).table
    mine = table[(table["op"] == "~1") & (table["level"] == "2")].set_index("lhs")["raw"]
    one, two = (FIXTURE["residuals"]["raw"][level] for level in ("within", "unit"))
    both = pd.Series(one["mean"], one["names"]) + pd.Series(two["mean"], two["names"])
    items = [f"y{k}" for k in range(1, 10)]
    np.testing.assert_allclose(mine[items], both[items], atol=2e-4)


def test_a_level_without_residuals_has_none() -> None:
    saturated = fit("level: 1\ny1 ~~ y2\nlevel: 2\ny1 ~~ y2", DATA, cluster="unit")
    table = misfit(saturated).table
    assert (table["raw"] == 0.0).all()
    assert (table["standardized"] == 0.0).all()
    with pytest.raises(UsageError, match="level 3"):
        misfit(saturated).matrix("raw", level=3)


def made(seed: int, holes: bool) -> pd.DataFrame:
    """Clusters of 5 to 9 rows, five items of one factor on each level, 100 clusters."""
    rng = np.random.default_rng(seed)
    unit = np.repeat(np.arange(100), rng.integers(5, 10, 100))
    inner, outer = rng.normal(size=unit.size), 0.8 * rng.normal(size=100)
    columns = {
        f"y{k}": load * (inner + outer[unit]) + 0.5 * rng.normal(size=100)[unit] + rng.normal(size=unit.size)
        for k, load in enumerate((1.0, 0.8, 0.9, 0.7))
    }
    frame = pd.DataFrame(columns).assign(unit=unit)
    if holes:
        frame.loc[rng.random(len(frame)) < 0.15, "y1"] = np.nan
    return frame


@pytest.mark.parametrize("holes", [False, True])
def test_standardised_residuals_of_a_true_model_are_standard_normal(holes: bool) -> None:
    """60 samples: a deviation of one is known to 9 %, a mean of nought to .13; over all moments of a level to less."""
    text = "level: 1\nw =~ y0 + y1 + y2 + y3\nlevel: 2\nb =~ y0 + y1 + y2 + y3"
    missing = "fiml" if holes else "listwise"
    found: dict[str, list[np.ndarray]] = {"1": [], "2": []}
    for seed in range(20 if holes else 60):
        table = misfit(fit(text, made(seed, holes), cluster="unit", missing=missing)).table
        for level, values in found.items():
            pairs = (table["level"] == level) & (table["op"] == "~~") & (table["lhs"] != table["rhs"])
            values.append(table.loc[pairs, "standardized"].to_numpy())
    for values in found.values():
        z = np.array(values)
        assert np.isfinite(z).all()
        assert abs(z.mean()) < 0.25
        assert 0.85 < np.sqrt((z**2).mean()) < 1.15


def test_robust_errors_of_residuals_are_near_the_others_under_normality() -> None:
    plain, robust = (misfit(ours("whole", one)).table for one in ("ML", "MLR"))
    np.testing.assert_allclose(plain["raw"], robust["raw"], atol=1e-9)
    kept = (plain["normalized"] != 0.0) & plain["normalized"].notna()
    assert 0.85 < (robust["normalized"] / plain["normalized"])[kept].median() < 1.15


def test_the_summary_of_residuals_is_by_level() -> None:
    found = misfit(ours("whole"))
    row = found.glance().iloc[0]
    assert {"srmr_within", "srmr_between", "crmr_pvalue_within", "ucrmr_ci_lower_between"} < set(row.index)
    table = found.table[found.table["level"] == "2"]
    off = table[table["lhs"] != table["rhs"]]
    assert len(off) == 45 + 10
    assert row["crmr_between"] == pytest.approx(np.sqrt((off["bollen"] ** 2).mean()), rel=1e-9)
    assert [note.subject for note in found.notes()] == ["residuals (level 1)"]


# -- structure


@pytest.mark.parametrize("estimator", ["ML", "MLR"])
def test_the_structure_apart_from_the_measurement_equals_lavaans(estimator: str) -> None:
    """Under MLR lavaan's scaling rests on free moments that EM left a little short."""
    rel = 1e-5 if estimator == "ML" else 3e-3
    found, theirs = structural_fit(ours("whole", estimator)), FIXTURE[estimator]
    key = "chisq" if estimator == "ML" else "chisq.scaled"
    for part, name in ((found.whole, "whole"), (found.measurement, "measurement")):
        assert part == (pytest.approx(theirs["measures"][name][key], rel=1e-4), theirs["measures"][name]["df"])
    wanted = theirs["difference"]
    assert found.structure == (pytest.approx(wanted["measurement"]["chisq"], rel=rel), wanted["measurement"]["df"])
    for level, name in zip(found.levels, ("within", "between"), strict=True):
        assert (level.chisq, level.df) == (pytest.approx(wanted[name]["chisq"], rel=rel), wanted[name]["df"])


def test_rmsea_of_the_structures_divides_by_rows_and_by_clusters() -> None:
    found = structural_fit(ours("whole"))
    chisq, df = found.structure
    assert found.rmsea_p == pytest.approx(np.sqrt((chisq - df) / (df * len(DATA))), rel=1e-10)
    inner, outer = found.levels
    assert (inner.n, outer.n) == (len(DATA) - 70, 70)
    rows = found.tidy().query("kind == 'rmsea' and level == '1'")
    assert rows["estimate"].iloc[0] == pytest.approx(np.sqrt((inner.chisq - 3) / (3 * inner.n)), rel=1e-10)


def test_the_structure_is_freed_with_missing_answers_and_in_groups_too() -> None:
    answers = structural_fit(fit(FIXTURE["texts"]["whole"], holed(), cluster="unit", missing="fiml"))
    assert answers.structure == (pytest.approx(structural_fit(ours("whole")).structure[0], rel=0.35), 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImproperSolutionWarning)
        halves = fit(
            FIXTURE["plain"] + "g ~ f\n", DATA.assign(land=DATA["unit"] % 2), cluster="unit", group="land",
            group_equal=["loadings"],
        )  # fmt: skip
    found = structural_fit(halves)
    assert (found.structure[1], [level.df for level in found.levels]) == (0, [0, 0])
    assert found.measurement[0] == pytest.approx(found.whole[0], abs=1e-6)


def test_paths_of_observed_variables_alone_are_all_structure() -> None:
    path = fit("level: 1\ny1 ~ x\nlevel: 2\ny1 ~ w", DATA, cluster="unit")
    with pytest.raises(UnsupportedError, match="whole model is structure"):
        structural_fit(path)


# -- scores


def test_bartletts_scores_of_both_levels_equal_lavaans() -> None:
    plain = ours("plain")
    np.testing.assert_allclose(factor_scores(plain, DATA, method="bartlett"), FIXTURE["bartlett"]["within"], atol=2e-4)
    found = cluster_scores(plain, method="bartlett")[["f", "g"]]
    np.testing.assert_allclose(found, FIXTURE["bartlett"]["between"], atol=2e-4)


def test_errors_of_bartletts_scores_are_those_of_scores_of_made_clusters() -> None:
    """400 clusters of 7 rows with known latent values, scored by the true parameters' near neighbours."""
    rng = np.random.default_rng(3)
    unit = np.repeat(np.arange(400), 7)
    inner, outer = rng.normal(size=unit.size), rng.normal(size=400)
    columns = {
        f"y{k}": load * (inner + outer[unit]) + 0.4 * rng.normal(size=400)[unit] + rng.normal(size=unit.size)
        for k, load in enumerate((1.0, 0.8, 0.9))
    }
    text = "level: 1\nw =~ y0 + y1 + y2\nlevel: 2\nb =~ y0 + y1 + y2"
    found = fit(text, pd.DataFrame(columns).assign(unit=unit), cluster="unit")
    for method in ("regression", "bartlett"):
        scores = cluster_scores(found, method=method)
        off = scores["b"].to_numpy() - outer
        assert np.sqrt((off**2).mean()) == pytest.approx(scores["b_error"].mean(), rel=0.1)
    sharp, shrunken = (cluster_scores(found, method=one)["b"] for one in ("bartlett", "regression"))
    assert sharp.var() > shrunken.var()
    with pytest.raises(UsageError, match="'regression' or 'bartlett'"):
        cluster_scores(found, method="eap")  # type: ignore[arg-type]


def test_bartletts_scores_with_missing_answers() -> None:
    fitted = fit(FIXTURE["plain"], holed(), cluster="unit", missing="fiml")
    rows, clusters = factor_scores(fitted, holed(), method="bartlett"), cluster_scores(fitted, method="bartlett")
    whole = factor_scores(ours("plain"), DATA, method="bartlett")
    complete = holed()[[f"y{k}" for k in range(1, 7)]].notna().all(axis=1)
    assert np.corrcoef(rows["f"][complete], whole["f"][complete])[0, 1] > 0.99
    gone = holed()[["y1", "y2", "y3"]].isna().all(axis=1)
    assert rows["f"][gone].isna().all()
    assert clusters.notna().all(axis=None)


# -- draws


def test_parametric_draws_with_missing_answers_have_the_statistic_and_the_errors_of_a_true_model() -> None:
    text = "level: 1\nw =~ y0 + y1 + y2 + y3\nlevel: 2\nb =~ y0 + y1 + y2 + y3"
    fitted = fit(text, made(1, holes=True), cluster="unit", missing="fiml")
    drawn = bootstrap(fitted, kind="parametric", draws=40, seed=2)
    assert drawn.chisq.mean() == pytest.approx(fitted.df, abs=5 * np.sqrt(2 * fitted.df / 40))
    assert 0.8 < (drawn.tidy()["std_error"] / fitted.tidy()["std_error"]).median() < 1.2
    assert "holes_as_they_are" in {note.code for note in drawn.notes()}
