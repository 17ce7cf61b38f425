from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import spc
from spc.errors import DataError, DroppedRowsWarning, NotIdentifiedError, SpecError, UnsupportedError, UsageError
from spc.moments import Counts, Moments
from spc.sem import fit, fit_measures, standardized
from spc.sem.ordinal.fit import refit_ordinal
from spc.sem.ordinal.problem import OrdinalProblem, implied_statistics, slopes
from spc.sem.ordinal.search import ordinal_problems
from spc.sem.tables import r_square, residuals

TWO = "f =~ a1 + a2 + a3\ng =~ b1 + b2 + b3\n"
ITEMS = ["a1", "a2", "a3", "b1", "b2", "b3"]
CUTS = {"a1": [-1.0, 0.0, 1.0], "a2": [-0.5, 0.7], "a3": [0.2], "b1": [-1.2, -0.3, 0.5, 1.3], "b2": [0.0, 1.0]}


def answers(n: int = 400, seed: int = 1, link: float = 0.5) -> pd.DataFrame:
    """Five ordered items and a continuous one of two latent variables, with a covariate and two sites."""
    rng = np.random.default_rng(seed)
    site, x = rng.integers(0, 2, n), rng.normal(size=n)
    f = 0.3 * x + 0.2 * site + rng.normal(size=n)
    g = link * f + np.sqrt(1.0 - link**2) * rng.normal(size=n)
    columns: dict[str, Any] = {}
    for name in ITEMS:
        response = 0.8 * (f if name[0] == "a" else g) + 0.6 * rng.normal(size=n)
        columns[name] = np.digitize(response, CUTS[name]) + 1 if name in CUTS else 10.0 + 5.0 * response
    return pd.DataFrame(columns).assign(x=x, site=np.where(site == 1, "south", "north"))


FIVE = ITEMS[:5]
COUNTS = {name: len(CUTS[name]) + 1 for name in FIVE}
MODELS = {
    "measurement": (TWO, {}),
    "structure": (TWO + "g ~ f\n", {}),
    "second order": (TWO + "h =~ 1*f + 1*g\n", {}),
    "items explain items": ("f =~ a1 + a2 + a3\nb1 ~ f\nb2 ~ b1 + f\nb3 ~ b2\n", {}),
    "covariate": (TWO + "g ~ f + x\nf ~ x\nb2 ~ x\n", {}),
    "thresholds": (TWO + "a1 | u*t1 + t2 + t3\na2 | u*t1 + t2\n", {}),
    "groups": (TWO, {"group": "site", "group_equal": ["loadings", "thresholds", "intercepts"]}),
    "covariate in groups": (
        TWO + "f ~ x\n",
        {"group": "site", "group_equal": ["loadings", "thresholds", "intercepts"]},
    ),
}
MODELS |= {
    f"{name}, theta": (text, options | {"parameterization": "theta"}) for name, (text, options) in MODELS.items()
}


def made(name: str, **more: Any) -> Any:
    text, options = MODELS[name]
    ordered = [item for item in FIVE if item in text]
    return fit(text, answers(), ordered=ordered, **options, **more)


@pytest.mark.parametrize("name", MODELS)
def test_slopes_are_those_of_finite_differences(name: str) -> None:
    result = made(name)
    x = result.system.coordinates(result.solution.theta) + 0.02
    for problem in ordinal_problems(result.system):

        def at(x: np.ndarray, problem: OrdinalProblem = problem) -> np.ndarray:
            values = problem.values(x)
            return implied_statistics(problem, values, problem.conditional(values))

        values = problem.values(x)
        exact = slopes(problem, values, problem.conditional(values))
        for k in range(x.size):
            step = np.zeros(x.size)
            step[k] = 1e-6
            np.testing.assert_allclose(exact[:, k], (at(x + step) - at(x - step)) / 2e-6, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", MODELS)
def test_responses_have_the_variance_of_their_scale_given_covariates(name: str) -> None:
    for problem in ordinal_problems(made(name).system):
        values = problem.row_values(made(name).solution.theta) * problem.multiplier
        own = problem.place.ordered
        given = problem.conditional(values).covariance[own, own]
        np.testing.assert_allclose(given, 1.0 / values[problem.scales] ** 2)


@pytest.mark.parametrize("name", MODELS)
def test_errors_of_standardised_values_follow_from_the_estimates(name: str) -> None:
    result = made(name)
    table = standardized(result)
    base = result.solution.theta
    slope = np.empty((len(result.values), base.size))
    from spc.sem.engine.ram import implied
    from spc.sem.engine.standardize import standardised_values

    def all_of(theta: np.ndarray) -> np.ndarray:
        parts = []
        for part in result.parts:
            values = part.problem.row_values(theta) * part.problem.multiplier
            parts.append(standardised_values(part.problem.place, values, implied(part.problem.place, values)))
        return np.concatenate(parts)

    for k in range(base.size):
        step = np.zeros(base.size)
        step[k] = 1e-6
        slope[:, k] = (all_of(base + step) - all_of(base - step)) / 2e-6
    variances = np.einsum("ij,jk,ik->i", slope, result.vcov, slope)
    np.testing.assert_allclose(table["std_error"].fillna(0.0), np.sqrt(np.maximum(variances, 0.0)), atol=2e-6)


def test_an_item_between_others_is_the_same_model_as_a_residual_correlation() -> None:
    data = answers()
    one = fit("f =~ a1 + a2 + a3\nb1 ~ f\nb2 ~ b1 + f\n", data, ordered=FIVE)
    other = fit("f =~ a1 + a2 + a3\nb1 ~ f\nb2 ~ f\nb1 ~~ b2\n", data, ordered=FIVE)
    for name in ("chisq", "chisq_scaled", "df", "srmr"):
        assert one.glance()[name][0] == pytest.approx(other.glance()[name][0], rel=1e-8)


OF_UNITS = ("second order", "thresholds")  # loadings of one, or thresholds, that are equal in one unit of responses


@pytest.mark.parametrize("name", [name for name in MODELS if f"{name}, theta" in MODELS and name not in OF_UNITS])
def test_both_parameterisations_fit_alike(name: str) -> None:
    delta, theta = made(name), made(f"{name}, theta")
    assert theta.chisq == pytest.approx(delta.chisq, rel=1e-9)
    for key in ("df", "chisq_scaled", "srmr", "cfi_scaled", "rmsea_scaled"):
        assert fit_measures(theta)[key] == pytest.approx(fit_measures(delta)[key], rel=1e-6), key
    one, other = standardized(delta), standardized(theta)
    kept = other["kind"] != "defined"
    np.testing.assert_allclose(other["estimate"][kept], one["estimate"][kept], atol=1e-6)
    np.testing.assert_allclose(other["std_error"][kept], one["std_error"][kept], atol=1e-6)


def test_residual_variances_free_the_scales_in_theta() -> None:
    """A residual variance of another value is the same model in other units."""
    plain = fit(TWO, answers(), ordered=FIVE, parameterization="theta")
    wide = fit(TWO + "a1 ~~ 4*a1", answers(), ordered=FIVE, parameterization="theta")
    assert wide.chisq == pytest.approx(plain.chisq, rel=1e-9)
    value = [one.tidy().query("lhs == 'f' and rhs == 'f'")["estimate"].iloc[0] for one in (plain, wide)]
    assert value[1] == pytest.approx(4.0 * value[0], rel=1e-6)
    assert spc.fit(spc.model(TWO, ordered=COUNTS, parameterization="theta"), answers()).chisq == pytest.approx(
        plain.chisq, rel=1e-12
    )


def test_a_saturated_path_model_is_the_regression_on_the_polychorics() -> None:
    result = fit("f =~ 1*a1\nf ~~ 1*f\nb1 ~ f\nb2 ~ b1 + f\n", answers(), ordered=["a1", "b1", "b2"])
    r = result.observed.restrict(["a1", "b1", "b2"]).cov
    slope = np.linalg.solve(r[:2, :2], r[:2, 2])
    table = result.tidy().set_index(["lhs", "op", "rhs"])["estimate"]
    assert table["b2", "~", "f"] == pytest.approx(slope[0], abs=1e-6)
    assert table["b2", "~", "b1"] == pytest.approx(slope[1], abs=1e-6)


def test_units_of_continuous_items_change_nothing_but_units() -> None:
    data = answers()
    scaled = data.assign(b3=1e6 * data["b3"], x=1e-6 * data["x"])
    text = TWO + "g ~ f + x\n"
    one, other = (fit(text, frame, ordered=FIVE) for frame in (data, scaled))
    for name in ("chisq", "chisq_scaled", "cfi_robust", "srmr", "rmsea"):
        assert one.glance()[name][0] == pytest.approx(other.glance()[name][0], rel=1e-6, nan_ok=True)
    ratio = other.tidy()["estimate"] / one.tidy()["estimate"]
    np.testing.assert_allclose(one.tidy()["std_all"], other.tidy()["std_all"], atol=1e-7)
    assert ratio[other.tidy()["rhs"] == "b3"].iloc[0] == pytest.approx(1e6, rel=1e-6)


def test_labels_of_categories_do_not_matter() -> None:
    data = answers()
    words = {k: f"level {k}" for k in range(1, 6)}
    named = data.assign(
        b1=pd.Categorical(data["b1"].map(words), categories=list(words.values()), ordered=True), a3=10 * data["a3"]
    )
    one, other = (fit(TWO, frame, ordered=FIVE) for frame in (data, named))
    np.testing.assert_array_equal(one.tidy()["estimate"], other.tidy()["estimate"])


def test_ordered_categoricals_need_not_be_named() -> None:
    data = answers()
    typed = data.assign(**{name: pd.Categorical(data[name], ordered=True) for name in FIVE})
    one, other = fit(TWO, data, ordered=FIVE), fit(TWO, typed)
    assert other.options.ordered == tuple(FIVE)
    assert one.chisq == other.chisq
    with pytest.raises(DataError, match=r"b1: categories; expected numbers.*WLSMV"):
        fit(TWO, typed, estimator="ML")


def test_covariates_with_categories_are_refused() -> None:
    data = answers().assign(site=lambda d: pd.Categorical(d["site"], ordered=True))
    with pytest.raises(UsageError, match="site only explain"):
        fit(TWO + "f ~ site\n", data, ordered=["site"])


@pytest.mark.parametrize("text", ["b1 ~ x", "b1 ~ x\nx ~~ x", "b1 ~~ b2"])
def test_more_thresholds_than_variables(text: str) -> None:
    found = fit(text, answers(), ordered=["b1"])
    assert np.isfinite(found.tidy()["estimate"]).all()
    assert np.isfinite(standardized(found)["estimate"]).all()


def test_a_covariate_of_two_values_has_the_errors_of_its_mean_and_variance() -> None:
    data = answers().assign(two=lambda frame: (frame["site"] == "south").astype(float))
    rows = fit("b1 ~ b3\nb3 ~ two\ntwo ~~ two", data, ordered=["b1"]).tidy().set_index(["lhs", "op"])
    off = data["two"] - data["two"].mean()
    assert rows.loc[("two", "~1"), "std_error"] == pytest.approx(off.std(ddof=0) / np.sqrt(len(off)), rel=5e-3)
    assert rows.loc[("two", "~~"), "std_error"] == pytest.approx((off**2).std(ddof=0) / np.sqrt(len(off)), rel=0.02)


def test_rows_in_any_order() -> None:
    data = answers()
    one, other = (fit(TWO, frame, ordered=FIVE) for frame in (data, data.sample(frac=1.0, random_state=2)))
    np.testing.assert_allclose(one.tidy()["std_error"], other.tidy()["std_error"], rtol=1e-8)


def test_missing_answers_are_used_in_pairs_and_said() -> None:
    data = answers()
    data.loc[:30, "a1"] = np.nan
    data.loc[20:60, "b3"] = np.nan
    pairs = fit(TWO, data, ordered=FIVE)
    with pytest.warns(DroppedRowsWarning):
        rows = fit(TWO, data, ordered=FIVE, missing="listwise")
    assert [note.code for note in pairs.notes() if note.code == "pairwise"] == ["pairwise"]
    assert pairs.glance()["nobs"][0] == 400
    assert rows.glance()["nobs"][0] == 339
    one = pairs.tidy().set_index(["lhs", "op", "rhs"]).loc[("a2", "|", "t1")]
    whole = fit(TWO, answers(), ordered=FIVE).tidy().set_index(["lhs", "op", "rhs"]).loc[("a2", "|", "t1")]
    assert one["estimate"] == pytest.approx(whole["estimate"], abs=1e-9)


def test_kinds_of_rows() -> None:
    kinds = set(fit(TWO, answers(), ordered=FIVE).tidy()["kind"])
    assert {"threshold", "scale", "loading", "variance", "intercept", "covariance"} == kinds


def test_functions_after_the_fit() -> None:
    result = fit(TWO + "g ~ p*f\n", answers(), ordered=FIVE)
    shares = r_square(result)
    assert shares["a1"] == pytest.approx(1.0 - result.tidy().query("lhs == 'a1' and op == '~~'")["estimate"].iloc[0])
    left = residuals(result)
    np.testing.assert_allclose(np.diag(left)[:5], 0.0, atol=1e-12)
    assert result.estimates().draws(10, np.random.default_rng(1)).shape == (10, result.system.size)
    found = spc.effects(result, draws=200, seed=1).tidy()
    assert found["estimate"].notna().all()


def test_refit_of_the_same_rows_is_the_same() -> None:
    data = answers()
    result = fit(TWO, data, ordered=FIVE)
    again = refit_ordinal(result, [Counts.from_frame(data, result.model.observed, FIVE)])
    np.testing.assert_allclose(again.theta, result.solution.theta, atol=1e-7)


def test_a_saturated_model_has_no_test() -> None:
    result = fit("f =~ a1 + a2 + a3\n", answers(), ordered=["a1", "a2", "a3"])
    row = result.glance().iloc[0]
    assert row["df"] == 0
    assert row["chisq"] == pytest.approx(0.0, abs=1e-10)
    assert np.isnan(row["chisq_scaling_factor"])


def test_items_that_nobody_can_tell_apart_are_named() -> None:
    data = answers().assign(copy=lambda d: d["a1"])
    result = fit("f =~ a1 + copy + a2 + a3\n", data, ordered=["a1", "copy", "a2", "a3"])
    notes = {note.code: note for note in result.notes()}
    assert "a1 and copy" in notes["edge_correlation"].subject


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda d: fit(TWO, d, ordered=FIVE, estimator="ML"), UnsupportedError, "WLSMV"),
        (lambda d: fit(TWO, d, ordered=["a1", "nobody"]), DataError, "nobody"),
        (lambda d: fit(TWO, d.assign(a1=1), ordered=FIVE), DataError, "only the answer 1"),
        (lambda d: fit(TWO, d, ordered=ITEMS), DataError, "values such as"),
        (lambda d: fit(TWO, Moments.from_frame(d[ITEMS]), ordered=FIVE), UnsupportedError, "need rows"),
        (lambda d: fit(TWO.replace("a1", "NA*a1"), d, ordered=FIVE), NotIdentifiedError, "f=~a2"),
        (lambda d: fit(TWO, d.head(25), ordered=FIVE, estimator="WLS"), DataError, "statistics under WLS"),
        (lambda d: fit(spc.model(TWO, ordered={"a1": 5}), d), SpecError, "a1 has 4 thresholds"),
        (lambda d: fit(TWO, d, estimator="WLSMV"), UnsupportedError, "ordered="),
        (lambda d: fit(TWO, d, missing="pairwise"), UnsupportedError, "ordered items only"),
        (lambda d: fit(TWO, d, parameterization="theta"), UnsupportedError, "of ordered items: name them"),
        (lambda d: fit(TWO, d, ordered=FIVE, parameterization="probit"), UnsupportedError, "'delta' or 'theta'"),
        (
            lambda d: fit(spc.model(TWO, ordered=COUNTS), d, parameterization="theta"),
            UsageError,
            "was read with 'delta'",
        ),
        (lambda d: fit(TWO + "a1 ~~ 2*a1", d, ordered=FIVE), SpecError, "or take parameterization='theta'"),
    ],
)
def test_what_cannot_be_fitted_says_why(call: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        call(answers())


def test_ordered_names_that_no_model_has() -> None:
    with pytest.raises((UsageError, DataError, SpecError)):
        fit("f =~ a1 + a2 + a3\n", answers(), ordered=["b1"])


def test_a_category_that_one_group_never_chose() -> None:
    data = answers()
    data.loc[(data["site"] == "south") & (data["b1"] == 5), "b1"] = 4
    with pytest.raises(DataError, match="no answer 5 in group south"):
        fit(TWO, data, ordered=FIVE, group="site")


def test_free_scales_make_no_difference_to_a_group_of_its_own() -> None:
    data = answers()
    both = fit(TWO, data, ordered=FIVE, group="site")
    each = [fit(TWO, part, ordered=FIVE) for _, part in data.groupby("site", sort=False)]
    assert both.chisq == pytest.approx(sum(one.chisq for one in each), rel=1e-8)
    rows = both.tidy().query("group == 'north'")["estimate"].to_numpy()
    first = next(one for one in each if one.system.n == (data["site"] == "north").sum())
    np.testing.assert_allclose(rows, first.tidy()["estimate"], atol=1e-7)


def simulated(replications: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    estimates, covered, rejected = [], [], []
    for seed in range(replications):
        table = fit(TWO, answers(n, 100 + seed).assign(x=0.0), ordered=FIVE)
        row = table.tidy().set_index(["lhs", "op", "rhs"]).loc[("f", "~~", "g")]
        estimates.append(row["std_all"])
        covered.append(table.tidy().query("op == '=~' and rhs == 'b2'")[["conf_low", "conf_high"]].iloc[0].to_numpy())
        rejected.append(table.glance()["pvalue_scaled"][0])
    return np.array(estimates), np.array(covered), np.array(rejected)


def truth() -> float:
    """Correlation of the latent variables: f has variance 1 + 0.09 + 0.01."""
    variance = 1.0 + 0.3**2 + 0.2**2 * 0.25
    return float(0.5 * np.sqrt(variance) / np.sqrt(0.25 * variance + 0.75))


def test_bias_coverage_and_size_in_a_small_simulation() -> None:
    estimates, bounds, p = simulated(60, 300)
    assert abs(estimates.mean() - truth()) < 3.0 * estimates.std() / np.sqrt(60)
    inside = (bounds[:, 0] < 1.0) & (bounds[:, 1] > 1.0)
    assert inside.mean() > 0.85
    assert (p < 0.05).mean() < 0.15


@pytest.mark.slow
def test_bias_coverage_and_size() -> None:
    estimates, bounds, p = simulated(1000, 500)
    assert abs(estimates.mean() - truth()) < 3.0 * estimates.std() / np.sqrt(1000)
    inside = (bounds[:, 0] < 1.0) & (bounds[:, 1] > 1.0)
    assert 0.93 < inside.mean() < 0.97
    assert 0.03 < (p < 0.05).mean() < 0.07


def test_the_result_is_a_plain_fit() -> None:
    result = fit(TWO, answers(), ordered=FIVE)
    assert result.kind == "sem"
    assert replace(result).options.estimator == "WLSMV"
    assert result.options.missing == "pairwise"
