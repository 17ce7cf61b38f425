"""Reliability of latent variables against semTools, closed forms, refits and simulation."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from spc.disclosure import Gate
from spc.errors import ImproperSolutionWarning, UnsupportedError, UsageError
from spc.linalg import unvech, vech
from spc.moments import Moments
from spc.sem import fit, implied_moments, refit
from spc.sem.engine.ram import matrices
from spc.sem.fit import SemFit
from spc.sem.ordinal.category_sum import category_omega
from spc.sem.postestimation.validity import _coefficients, _Space, reliability
from spc.spec import model

Fitted = Callable[..., SemFit]
REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_after.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}
# semTools leaves out items with a regression of their own (x3 ~ boy), which are items here.
MEASURED = [name for name, case in CASES.items() if case["validity"] and name not in {"hs_direct", "growth"}]


def found(fit: SemFit, column: str = "estimate", **options: object) -> pd.Series:
    return reliability(fit, **options).tidy().set_index(["lhs", "kind"])[column]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["alpha", "omega", "ave", "cr"])
@pytest.mark.parametrize("name", MEASURED)
def test_coefficients_are_those_of_semtools(fitted: Fitted, name: str, kind: str) -> None:
    ours, theirs = found(fitted(name)), CASES[name]["validity"][kind]
    assert set(theirs) == {latent for latent, found_kind in ours.index if found_kind == kind}
    for latent, value in theirs.items():
        if name == "pd_single" and kind == "ave":
            continue  # semTools looks up the variances of the wrong items once a single-item latent stands before
        if value is None or (kind == "cr" and np.isnan(ours[latent, "ave"])):
            assert np.isnan(ours[latent, kind])
        else:
            assert ours[latent, kind] == pytest.approx(value, rel=1e-6), latent


def test_standardised_coefficients_are_those_of_standardised_items(fitted: Fitted) -> None:
    m = CASES["hs_cfa"]["moments"]
    cov = np.array(m["covariance"])
    root = np.sqrt(cov.diagonal())
    unit = fit(CASES["hs_cfa"]["model"], Moments(m["names"], m["n"], None, cov / np.outer(root, root)))
    for column in ("estimate", "std_error", "conf_low"):
        ours, theirs = found(fitted("hs_cfa"), column, standardized=True), found(unit, column)
        pd.testing.assert_series_equal(ours, theirs, rtol=1e-6)
    loadings = unit.tidy().query("op == '=~' and lhs == 'visual'")["std_all"]
    assert found(unit)["visual", "ave"] == pytest.approx(float((loadings**2).mean()), rel=1e-6)


def test_error_of_alpha_is_the_closed_form(fitted: Fitted) -> None:
    """Van Zyl, Neudecker & Nel (2000), at the covariances that the model implies."""
    result = fitted("hs_cfa")
    at = [result.problem.place.observed.index(name) for name in ("x1", "x2", "x3")]
    scale = result.problem.scale[at]
    sigma = result.point.at.covariance[np.ix_(at, at)] * np.outer(scale, scale)
    sample = np.array(CASES["hs_cfa"]["moments"]["covariance"])[np.ix_(at, at)] * 300 / 301
    k, s = 3, sigma.sum()
    trace, second, row = np.trace(sample), np.trace(sigma @ sigma), (sigma @ sigma).sum()
    total = sample.sum()
    gradient = -np.eye(3) / total + trace / total**2 * np.ones((3, 3))
    expected = 2 * (k / (k - 1)) ** 2 * np.trace(gradient @ sigma @ gradient @ sigma) / 301
    closed = 2 * (k / (k - 1)) ** 2 / total**4 * (total**2 * second + trace**2 * s**2 - 2 * trace * total * row) / 301
    assert expected == pytest.approx(closed)
    assert found(result, "std_error")["visual", "alpha"] == pytest.approx(np.sqrt(closed), rel=1e-6)


def test_error_of_cr_is_the_delta_method_of_the_estimates(fitted: Fitted) -> None:
    result = fitted("hs_residual")
    theta, place = result.solution.theta, result.problem.place

    def cr(theta: np.ndarray) -> float:
        a, s, _ = matrices(place, result.problem.row_values(theta))
        f = place.variables.index("speed")
        items = [place.variables.index(name) for name in ("x7", "x8", "x9")]
        common = a[items, f].sum() ** 2 * s[f, f]
        return float(common / (common + s[items, items].sum()))

    step = 1e-6
    gradient = np.array([(cr(theta + step * e) - cr(theta - step * e)) / (2 * step) for e in np.eye(theta.size)])
    expected = np.sqrt(gradient @ result.vcov @ gradient)
    assert cr(theta) == pytest.approx(found(result)["speed", "cr"])
    assert found(result, "std_error")["speed", "cr"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["hs_cfa", "hs_second_order", "pd_classic"])
def test_errors_are_those_of_refits_to_moved_moments(fitted: Fitted, name: str) -> None:
    """The slope of each coefficient by each sample covariance, found by refitting; at implied moments it is exact."""
    given = implied_moments(fitted(name))
    base = fit(model(CASES[name]["model"], **CASES[name]["options"]), given)
    p, n = len(given.names), given.n
    factor = (n - 1) / n
    sigma = given.cov * factor

    def coefficients(cov: np.ndarray) -> np.ndarray:
        moved = Moments(given.names, n, given.mean, cov / factor)
        solved = refit(base, moved)
        again = fit(base.model, moved)
        assert solved.theta == pytest.approx(again.solution.theta, rel=1e-4, abs=1e-4)
        return found(again).to_numpy()

    at = [i for i, name_ in enumerate(given.names) if name_[0] in "xy"]
    step, half = 1e-4, vech(sigma)
    slopes = np.array([
        (coefficients(unvech(half + step * e)) - coefficients(unvech(half - step * e))) / (2 * step)
        for e in np.eye(half.size)
    ])  # fmt: skip
    columns, rows = np.triu_indices(p)
    spread = (sigma[np.ix_(rows, rows)] * sigma[np.ix_(columns, columns)]
              + sigma[np.ix_(rows, columns)] * sigma[np.ix_(columns, rows)]) / n  # fmt: skip
    expected = np.sqrt(np.einsum("ik,ij,jk->k", slopes, spread, slopes))
    assert at
    np.testing.assert_allclose(found(base, "std_error"), expected, rtol=1e-4)


def test_intervals_cover() -> None:
    rng = np.random.default_rng(8)
    loadings, n, inside = np.array([1.0, 0.8, 0.6, 0.7]), 150, []
    noise = np.array([0.5, 0.6, 0.7, 0.8])
    common = loadings.sum() ** 2
    truth = {"omega": common / (common + noise.sum()), "ave": (loadings**2).sum() / ((loadings**2).sum() + noise.sum())}
    for _ in range(200):
        data = rng.standard_normal((n, 1)) * loadings + rng.standard_normal((n, 4)) * np.sqrt(noise)
        table = (
            reliability(fit("f =~ a + b + c + d", pd.DataFrame(data, columns=list("abcd")))).tidy().set_index("kind")
        )
        inside.append([table.loc[k, "conf_low"] < t < table.loc[k, "conf_high"] for k, t in truth.items()])
    assert (np.mean(inside, axis=0) > 0.91).all()


def test_what_is_left_out_is_said(fitted: Fitted) -> None:
    single = reliability(fitted("pd_single"))
    assert [note.subject for note in single.notes()] == ["ind60"]
    assert set(single.tidy()["lhs"]) == {"dem60"}
    crossed = reliability(fitted("hs_cross"))
    assert {note.subject for note in crossed.notes() if note.code == "shared_items"} == {"visual", "speed"}


def test_items_with_a_regression_of_their_own_are_items(fitted: Fitted) -> None:
    ours, plain = found(fitted("hs_direct")), found(fitted("hs_cfa"))
    assert ours["visual", "alpha"] == pytest.approx(plain["visual", "alpha"])
    assert ours["visual", "omega"] == pytest.approx(plain["visual", "omega"], abs=0.03)


def test_items_that_run_both_ways_are_a_serious_note() -> None:
    m = CASES["hs_cfa"]["moments"]
    sign = np.array([1, -1, 1, *[1] * 6])
    turned = Moments(m["names"], m["n"], None, np.array(m["covariance"]) * np.outer(sign, sign))
    result = reliability(fit(CASES["hs_cfa"]["model"], turned))
    assert [(note.code, note.severity) for note in result.notes()] == [("mixed_signs", "serious")]


def test_units_change_nothing_of_standardised_coefficients(fitted: Fitted) -> None:
    m = CASES["hs_cfa"]["moments"]
    scale = np.array([1e6, 1, 1, 1, 1e-6, 1, 1, 1, 1])
    moved = Moments(m["names"], m["n"], None, np.array(m["covariance"]) * np.outer(scale, scale))
    for column in ("estimate", "std_error"):
        ours = found(fit(CASES["hs_cfa"]["model"], moved), column, standardized=True)
        pd.testing.assert_series_equal(ours, found(fitted("hs_cfa"), column, standardized=True), rtol=1e-6)


def test_the_result_passes_the_gate_and_refusals_say_what_to_do(fitted: Fitted) -> None:
    assert Gate().model(reliability(fitted("hs_cfa"))).kind == "reliability"
    with pytest.raises(UnsupportedError, match="two or more items"):
        reliability(fitted("attitude_path"))
    with pytest.raises(UsageError, match="level"):
        reliability(fitted("hs_cfa"), level=95)


def test_both_ways_to_an_error_are_one_where_the_model_is_exact() -> None:
    cov = [[1.0, 0.5, 0.4], [0.5, 2.0, 0.6], [0.4, 0.6, 1.5]]
    exact = fit("f =~ a + b + c", Moments(list("abc"), 150, None, cov))
    space = _Space(exact, exact.views[0], standardized=False)
    for kind, quantity in _coefficients(space, 3, np.arange(3), shared=False):
        assert quantity is not None, kind
        assert space.error(quantity) == pytest.approx(space._error_of_estimates(quantity), rel=1e-6), kind


@pytest.mark.parametrize("missing", ["listwise", "fiml"])
def test_robust_errors_are_those_of_resampled_rows(missing: Literal["listwise", "fiml"]) -> None:
    rng = np.random.default_rng(5)
    factor, noise = rng.exponential(size=(600, 1)), rng.exponential(size=(600, 4))
    data = pd.DataFrame(factor + [0.7, 0.9, 1.1, 1.3] * noise, columns=list("abcd"))
    if missing == "fiml":
        data = data.mask(rng.random(data.shape) < 0.1)

    def fit_to(rows: pd.DataFrame) -> SemFit:
        return fit("f =~ a + b + c + d", rows, estimator="MLR", missing=missing)

    robust = fit_to(data)
    draws = [found(fit_to(data.iloc[rng.integers(600, size=600)].reset_index(drop=True))) for _ in range(150)]
    np.testing.assert_allclose(found(robust, "std_error"), np.std(draws, axis=0, ddof=1), rtol=0.2)
    assert [note.code for note in reliability(robust).notes()] == ["implied_interval"]


def test_other_estimators_have_the_same_coefficients() -> None:
    rng = np.random.default_rng(3)
    data = pd.DataFrame(rng.standard_normal((300, 1)) + rng.standard_normal((300, 4)), columns=list("abcd"))
    plain, robust = (fit("f =~ a + b + c + d", data, estimator=e) for e in ("ML", "MLR"))
    np.testing.assert_allclose(found(robust), found(plain), rtol=1e-6)
    np.testing.assert_allclose(found(robust, "std_error"), found(plain, "std_error"), rtol=0.15)


@pytest.mark.parametrize("name", ["four", "groups"])
def test_sums_of_ordered_answers_have_the_reliability_of_semtools(name: str) -> None:
    """lavaan is some 1e-6 short of its optimum."""
    folder = Path(__file__).parents[2] / "reference"
    theirs = json.loads((folder / "semtools_htmt.json").read_text())["omega_categorical"][name]
    data = pd.DataFrame(json.loads((folder / "lavaan_ordinal.json").read_text())["data"]["hs4"])
    text = "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"
    result = fit(text, data, ordered=[f"x{k}" for k in range(1, 10)], group="school" if name == "groups" else None)
    table = reliability(result).tidy().query("kind == 'omega_categorical'")
    assert len(table) == 3 * len(theirs)
    for row in theirs:
        own = table[table["group"] == row.get("group", "1")].set_index("lhs")["estimate"]
        for latent in ("visual", "textual", "speed"):
            assert own[latent] == pytest.approx(row[latent], abs=2e-6)


def answered(seed: int, n: int = 500) -> pd.DataFrame:
    """Five ordered items and a continuous one of two latent variables, a covariate and two sites."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    f = 0.4 * x + rng.normal(size=n)
    g = 0.5 * f + rng.normal(size=n)
    columns: dict[str, np.ndarray] = {}
    for k, load in enumerate((0.9, 0.7, 0.8)):
        columns[f"a{k}"] = np.digitize(load * f + 0.8 * rng.normal(size=n), [-1.0, 0.2, 1.2])
        own = load * g + 0.8 * rng.normal(size=n)
        columns[f"b{k}"] = 20.0 * own if k == 2 else np.digitize(own, [-0.5, 0.8])
    return pd.DataFrame(columns | {"x": x, "site": np.arange(n) % 2})


ORDERED = ["a0", "a1", "a2", "b0", "b1"]
ANSWERS: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("f =~ a0 + a1 + a2\ng =~ b0 + b1 + b2\ng ~ f", {}),
    "covariate": ("f =~ a0 + a1 + a2\ng =~ b0 + b1 + b2\ng ~ f\nf ~ x", {}),
    "groups": (
        "f =~ a0 + a1 + a2\ng =~ b0 + b1 + b2\ng ~ f", {"group": "site", "group_equal": ["loadings", "thresholds"]},
    ),
}  # fmt: skip


def of_answers(name: str, seed: int, **options: Any) -> pd.DataFrame:
    text, more = ANSWERS[name]
    return reliability(fit(text, answered(seed), ordered=ORDERED, **more, **options)).tidy()


@pytest.mark.parametrize("name", ANSWERS)
def test_reliability_of_ordered_items_does_not_depend_on_the_unit_of_responses(name: str) -> None:
    delta, theta = of_answers(name, 1), of_answers(name, 1, parameterization="theta")
    for column in ("estimate", "std_error", "conf_low", "conf_high"):
        np.testing.assert_allclose(theta[column], delta[column], atol=2e-7)


@pytest.mark.parametrize("name", ANSWERS)
def test_errors_of_reliability_of_ordered_items_are_those_of_samples(name: str) -> None:
    """40 samples: their deviation is known to 11 % of itself, that of nine or more coefficients together to less."""
    found = np.array([of_answers(name, 100 + seed)[["estimate", "std_error"]].to_numpy() for seed in range(40)])
    ratio = found[:, :, 0].std(axis=0, ddof=1) / found[:, :, 1].mean(axis=0)
    assert 0.85 < ratio.mean() < 1.15
    assert ratio.min() > 0.65
    assert ratio.max() < 1.4


def test_reliability_of_ordered_answers_has_the_derivatives_of_finite_differences() -> None:
    cuts = [np.array([-0.5, 0.4, 1.1]), np.array([0.1]), np.array([-1.2, 0.8])]
    loadings = np.array([0.8, 0.6, 0.7])
    common = np.outer(loadings, loadings)
    total = common + 0.05
    exact = category_omega(cuts, common, total)
    h = 1e-6
    for i, own in enumerate(cuts):
        for c in range(own.size):
            ends = []
            for step in (h, -h):
                moved = [one.copy() for one in cuts]
                moved[i][c] += step
                ends.append(category_omega(moved, common, total).value)
            assert exact.by_thresholds[i][c] == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=1e-8)
    for slopes, place in ((exact.by_common, 0), (exact.by_total, 1)):
        for i, j in np.ndindex(3, 3):
            ends = []
            for step in (h, -h):
                both = [common.copy(), total.copy()]
                both[place][i, j] += step
                ends.append(category_omega(cuts, *both).value)
            assert slopes[i, j] == pytest.approx((ends[0] - ends[1]) / (2 * h), abs=1e-8)


def test_intervals_of_ordered_items_are_between_nought_and_one_and_of_any_kind_of_missing_answers() -> None:
    rows = answered(3).astype(dict.fromkeys(ORDERED, float))
    rows.loc[::6, "a1"] = np.nan
    table = reliability(fit(ANSWERS["plain"][0], rows, ordered=ORDERED)).tidy()
    assert ((table["conf_low"] > 0.0) & (table["conf_low"] < table["estimate"])).all()
    assert ((table["estimate"] < table["conf_high"]) & (table["conf_high"] < 1.0)).all()
    fewer = of_answers("plain", 3)
    assert (table["std_error"] > fewer["std_error"]).mean() > 0.5


def test_sums_of_ordered_answers_have_no_reliability_where_a_variance_is_negative() -> None:
    rng = np.random.default_rng(6)
    factor = rng.normal(size=120)
    answers = {
        name: np.digitize(loading * factor + np.sqrt(1 - loading**2) * rng.normal(size=120), [-0.7, 0.6])
        for name, loading in zip("abc", (0.95, 0.4, 0.4), strict=True)
    }
    with pytest.warns(ImproperSolutionWarning):
        improper = fit("f =~ a + b + c", pd.DataFrame(answers), ordered=list("abc"))
    table = reliability(improper).tidy().set_index("kind")
    assert np.isnan(table.loc["omega_categorical", "estimate"])
    assert np.isfinite(table.loc["alpha", ["estimate", "std_error"]].astype(float)).all()


def test_sums_that_mix_ordered_and_continuous_items_have_no_categorical_omega() -> None:
    rng = np.random.default_rng(2)
    latent = rng.normal(size=(400, 1))
    data = pd.DataFrame(latent + rng.normal(size=(400, 4)), columns=list("abcd"))
    data["a"] = np.digitize(data["a"], [-0.5, 0.5])
    table = reliability(fit("f =~ a + b + c + d", data, ordered=["a"])).tidy()
    assert "omega_categorical" not in set(table["kind"])
