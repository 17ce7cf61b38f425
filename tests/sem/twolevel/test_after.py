"""Groups, constraints, score tests, bootstraps and refits of two-level models."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.errors import DataError, NonConvergenceError, UnsupportedError, UsageError
from spc.resample import replicate_rng
from spc.sem import (
    bootstrap,
    compare,
    effects,
    factor_scores,
    fit,
    fit_measures,
    icc,
    level_fit,
    modification_indices,
    predict,
    profile_likelihood,
    r_square,
    refit,
    release_test,
    reliability,
)
from spc.sem.twolevel.half import halves
from spc.sem.twolevel.scores import cluster_scores
from spc.spec import model

FIXTURE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_twolevel_after.json").read_text())
MODELS = FIXTURE["models"]
GROUPED = [name for name, case in MODELS.items() if case["group"]]
SINGLE = [name for name in MODELS if name not in GROUPED]
FACTOR = MODELS["factor"]["text"]


@cache
def data():
    return pd.DataFrame(FIXTURE["data"])


@cache
def ours(name, estimator="ML"):
    case = MODELS[name]
    return fit(case["text"], data(), cluster="unit", group=case["group"] or None, estimator=estimator)


@cache
def of_land(land, estimator="ML"):
    return fit(FACTOR, data()[data()["land"] == land], cluster="unit", estimator=estimator)


def matched(name, estimator="ML"):
    """Our rows in the order of lavaan's, and lavaan's."""
    case = pd.DataFrame(MODELS[name]["rows"])
    place = {}
    for i, row in ours(name, estimator).tidy().iterrows():
        place[row["lhs"], row["op"], row["rhs"], row["group"], row["level"]] = i
    keys = zip(case["lhs"], case["op"], case["rhs"], case["group"], case["level"], strict=True)
    order = [place[lhs, op, rhs, str(group), str(level)] for lhs, op, rhs, group, level in keys]
    return ours(name, estimator).tidy().iloc[order].fillna({"std_error": 0.0}), case


@pytest.mark.parametrize("name", GROUPED)
def test_groups_reach_the_maximum_of_the_sum_of_lavaans_likelihoods(name):
    """And have the errors of its Hessian. lavaan's joint fits of groups end below it, by its own log-likelihood."""
    mine, theirs = matched(name)
    np.testing.assert_allclose(mine["estimate"], theirs["est"], atol=1e-8)
    np.testing.assert_allclose(mine["std_error"], theirs["se"], rtol=1e-7)
    assert ours(name).chisq == pytest.approx(MODELS[name]["chisq"], abs=2e-3)  # free moments from EM that stops early
    assert ours(name).baseline.chisq == pytest.approx(MODELS[name]["baseline"], abs=2e-3)


@pytest.mark.parametrize("estimator", ["ML", "MLR"])
def test_groups_that_share_nothing_are_fits_of_their_own(estimator):
    both, each = ours("groups_free", estimator), [of_land(land, estimator) for land in ("north", "south")]
    np.testing.assert_allclose(
        both.tidy()["std_error"], pd.concat([one.tidy() for one in each])["std_error"], rtol=1e-6
    )
    glance, parts = both.glance().iloc[0], pd.concat([one.glance() for one in each])
    for column in ("npar", "chisq", "df", "baseline_chisq", "baseline_df", "logl", "unrestricted_logl", "nobs"):
        assert glance[column] == pytest.approx(parts[column].sum(), rel=1e-7), column
    assert glance["ngroups"] == 2
    if estimator == "MLR":
        factors = parts["chisq_scaling_factor"] * parts["df"]
        assert glance["chisq_scaling_factor"] == pytest.approx(factors.sum() / glance["df"], rel=1e-6)
    indices = modification_indices(both)
    for land, one in zip(("north", "south"), each, strict=True):
        own = indices[indices["group"] == land].drop(columns="group").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, modification_indices(one), rtol=1e-6, atol=1e-8)


def test_what_groups_share_is_shared_and_compared():
    free, equal = ours("groups_free"), ours("groups_equal")
    row = compare(free, equal).tidy().iloc[0]
    assert (row["statistic"], row["label"]) == (pytest.approx(equal.chisq - free.chisq, abs=1e-6), "df 9")
    again = fit(FACTOR, data(), cluster="unit", group="land", group_equal=["loadings"])
    assert again.df == free.df + 6
    score = release_test(again)
    assert score.statistic == pytest.approx(again.chisq - free.chisq, rel=0.15)
    scalar = fit(FACTOR, data(), cluster="unit", group="land", group_equal=["loadings", "intercepts"])
    assert scalar.df == again.df + 3  # four intercepts held, the mean of g released, that of f not
    free_means = scalar.tidy().query("op == '~1' and lhs in ['f', 'g'] and group == 'south'").set_index("lhs")
    assert np.isnan(free_means.loc["f", "std_error"])
    assert free_means.loc["g", "std_error"] > 0.0


def test_what_follows_a_fit_of_groups_names_group_and_level():
    both = ours("groups_free")
    assert set(r_square(both).index.names) == {"group", "level", "variable"}
    assert r_square(both)["south", "2", "g"] == pytest.approx(r_square(of_land("south"))["2", "g"])
    assert icc(both)["north", "a"] == pytest.approx(icc(of_land("north"))["a"])
    pd.testing.assert_frame_equal(cluster_scores(both).loc["south"], cluster_scores(of_land("south")))
    with pytest.raises(UnsupportedError, match="north, level 1"):
        _ = both.only


@pytest.mark.parametrize("name", SINGLE)
def test_fits_under_constraints_equal_lavaans(name):
    """lavaan's search ends some 1e-4 of an error short."""
    mine, theirs = matched(name)
    error = np.maximum(mine["std_error"].to_numpy(float), 1e-3)
    assert (np.abs(mine["estimate"].to_numpy(float) - theirs["est"].to_numpy(float)) / error).max() < 2e-3
    np.testing.assert_allclose(mine["std_error"], theirs["se"], rtol=2e-3, atol=2e-6)
    robust, _ = matched(name, "MLR")
    np.testing.assert_allclose(robust["std_error"], MODELS[name]["robust_se"], rtol=3e-3, atol=2e-6)
    for estimator, measures in (("ML", MODELS[name]["measures"]), ("MLR", MODELS[name]["robust"])):
        own = fit_measures(ours(name, estimator))
        for key, value in measures.items():
            ours_is = own.get(key.replace(".", "_"), own.get(key))
            if value not in ("NA", None) and ours_is is not None and key != "scaling.factor.h0":
                assert ours_is == pytest.approx(value, rel=3e-3, abs=3e-3), (estimator, key)


def test_what_holds_with_equality_is_said():
    assert [note.code for note in ours("inequality").notes()] == ["active_inequality", "few_clusters"]
    assert [note.code for note in ours("bound").notes()] == ["at_bound", "few_clusters"]
    values = dict(zip(ours("nonlinear").tidy()["label"], ours("nonlinear").tidy()["estimate"], strict=True))
    assert values["p"] * values["q"] == pytest.approx(0.25, abs=1e-9)


@pytest.mark.parametrize("name", ["factor", "equal"])
def test_modification_indices_equal_lavaans(name):
    case = pd.DataFrame(MODELS[name]["indices"]).rename(columns=lambda one: one.replace(".", "_"))
    mine = modification_indices(ours(name)).set_index(["lhs", "op", "rhs", "level"])
    keys = [(row.lhs, row.op, row.rhs, str(row.level)) for row in case.itertuples()]
    assert set(keys) == set(mine.index)
    for column in ("mi", "epc", "sepc_lv", "sepc_all", "sepc_nox"):
        np.testing.assert_allclose(mine.loc[keys, column], case[column], rtol=2e-3, atol=2e-3)


def test_score_tests_of_equalities_equal_lavaans():
    case, test = MODELS["equal"]["score"], release_test(ours("equal"))
    assert (test.df, test.statistic) == (case["df"], pytest.approx(case["total"], rel=1e-3))
    np.testing.assert_allclose(np.sort(test.tidy()["statistic"]), np.sort(case["each"]), rtol=2e-3)


def holes():
    frame = data().copy()
    frame.loc[frame.index[::7], "b"] = np.nan
    return frame


def test_score_tests_with_holes_say_what_a_fit_would():
    tight = fit(MODELS["equal"]["text"], holes(), cluster="unit", missing="fiml")
    free = fit(FACTOR, holes(), cluster="unit", missing="fiml")
    assert release_test(tight).statistic == pytest.approx(tight.chisq - free.chisq, rel=0.15)


def test_scores_of_rows_equal_lavaans():
    scores = factor_scores(ours("factor"), data())
    np.testing.assert_allclose(scores["f"], np.array(MODELS["factor"]["scores"], dtype=float), atol=2e-5)
    shuffled = data().sample(frac=1.0, random_state=1)
    pd.testing.assert_frame_equal(factor_scores(ours("factor"), shuffled).loc[scores.index], scores)


def joint_moments(fitted, frame):
    """Mean and covariances of all rows of one cluster, variable by variable within each row; and the variables."""
    spot = fitted.levels.groups[0].spot(fitted.system.coordinates(fitted.solution.theta))
    n = len(frame)
    cov = np.kron(np.ones((n, n)), spot.sigma_b) + np.kron(np.eye(n), spot.sigma_w)
    return np.tile(spot.mu, n), cov, list(fitted.levels.groups[0].sample.clusters.names)


def test_predictions_are_expectations_given_the_whole_cluster():
    frame = data()[data()["unit"] == 3].copy()
    frame.iloc[0, frame.columns.get_loc("a")] = np.nan
    known = ["a", "b", "tenure"]
    found = predict(ours("factor"), frame, outcomes=["c", "d"], given=[*known, "climate"])
    mean, cov, names = joint_moments(ours("factor"), frame)
    p, rows = len(names), len(frame)
    given = frame[names].notna() & [name in known for name in names]
    here = np.append(np.flatnonzero(given.to_numpy().ravel()), names.index("climate"))
    inverse, values = np.linalg.inv(cov[np.ix_(here, here)]), frame[names].to_numpy(float).ravel()[here]
    for i in range(rows):
        wanted = np.array([names.index("c"), names.index("d")]) + i * p
        expected = mean[wanted] + cov[np.ix_(wanted, here)] @ inverse @ (values - mean[here])
        np.testing.assert_allclose(found.iloc[i], expected, rtol=1e-8)


def test_scores_and_predictions_of_groups_are_those_of_each():
    both = factor_scores(ours("groups_free"), data())
    for land in ("north", "south"):
        own = data()[data()["land"] == land]
        pd.testing.assert_frame_equal(both.loc[own.index], factor_scores(of_land(land), own), rtol=1e-5)


def test_reliabilities_of_both_levels_equal_semtools():
    """Up to where lavaan's EM stops."""
    found = reliability(ours("factor")).tidy().set_index(["lhs", "kind"])
    for kind in ("omega", "alpha"):
        for level in MODELS["factor"][kind].values():
            for latent, value in level.items():
                assert found.loc[(latent, kind), "estimate"] == pytest.approx(value, abs=3e-4)
    assert found.loc[("g", "omega"), "level"] == "2"


# -- bootstraps and refits


def test_a_refit_to_the_same_clusters_is_the_fit():
    for name in ("factor", "nonlinear", "inequality"):
        units = ours(name).levels.groups[0].sample.clusters.units
        np.testing.assert_allclose(refit(ours(name), units).theta, ours(name).solution.theta, rtol=1e-5, atol=1e-7)
    with pytest.raises(UnsupportedError, match="UnitMoments"):
        refit(ours("factor"), ours("factor").views[0].observed)
    with pytest.raises(UsageError, match="2 groups"):
        refit(ours("groups_free"), units)


@pytest.mark.parametrize("missing", ["listwise", "fiml"])
def test_a_draw_is_a_fit_to_its_clusters(missing):
    """Cluster after cluster with repeats, each under a name of its own."""
    frame = (holes() if missing == "fiml" else data()).sort_values("unit", kind="stable")
    both_levels = FACTOR if missing == "fiml" else "level: 1\na ~ b + tenure\nlevel: 2\na ~ b + climate\nd ~ a"
    fitted = fit(both_levels, frame, cluster="unit", missing=missing)
    drawn = bootstrap(fitted, draws=3, seed=5).replicates.values[2]
    units = np.unique(frame["unit"])
    chosen = np.sort(replicate_rng(5, 2).integers(units.size, size=units.size))
    rows = [frame[frame["unit"] == units[j]].assign(unit=i) for i, j in enumerate(chosen)]
    again = fit(both_levels, pd.concat(rows), cluster="unit", missing=missing)
    np.testing.assert_allclose(drawn, again.solution.theta, rtol=1e-4, atol=1e-5)


def test_bootstraps_of_clusters_agree_with_robust_errors_and_do_not_depend_on_workers():
    fitted = ours("groups_equal")
    one = bootstrap(fitted, data(), draws=60, seed=2, interval="bca")
    two = bootstrap(fitted, draws=60, seed=2, workers=2)
    np.testing.assert_array_equal(one.replicates.values, two.replicates.values)
    table, robust = one.tidy(), ours("groups_equal", "MLR").tidy()
    free = robust["std_error"].notna()
    assert 0.85 < (table["std_error"] / robust["std_error"])[free].median() < 1.15
    assert one.units == 110
    assert ((table["conf_low"] < table["estimate"]) & (table["estimate"] < table["conf_high"]))[free].mean() > 0.9
    with pytest.raises(DataError, match="same rows"):
        bootstrap(fitted, data().assign(a=data()["a"] + 1.0), draws=2)
    with pytest.raises(UsageError, match="has its clusters"):
        bootstrap(fitted, data(), draws=2, cluster="land")


def test_parametric_draws_have_the_statistic_of_a_true_model():
    drawn = bootstrap(ours("factor"), kind="parametric", draws=60, seed=3)
    assert drawn.chisq.mean() == pytest.approx(ours("factor").df, rel=0.25)
    ratio = drawn.tidy()["std_error"] / ours("factor").tidy()["std_error"]
    assert 0.85 < ratio.median() < 1.15
    with pytest.raises(UnsupportedError, match="parametric"):
        bootstrap(ours("factor"), data(), kind="bollen_stine", draws=2)


@pytest.mark.parametrize("missing", ["listwise", "fiml"])
def test_profile_intervals_end_where_the_likelihood_says(missing):
    frame = holes() if missing == "fiml" else data()
    fitted = fit(FACTOR, frame, cluster="unit", missing=missing)
    name = "b~~b.l2"
    row = profile_likelihood(fitted, [name]).tidy().iloc[0]
    wald = fitted.tidy().query("lhs == 'b' and rhs == 'b' and level == '2'").iloc[0]
    assert row["estimate"] - row["conf_low"] < row["conf_high"] - row["estimate"]
    assert row["conf_low"] > wald["conf_low"]
    for end in (row["conf_low"], row["conf_high"]):
        held = fit(f"{FACTOR}\nb ~~ {end}*b", frame, cluster="unit", missing=missing)
        assert held.chisq - fitted.chisq == pytest.approx(3.841459, abs=2e-3)


# -- each level by itself


def test_tests_of_each_level_equal_lavaans_with_the_other_saturated():
    """Up to where lavaan's EM stops."""
    table = level_fit(ours("factor")).table
    for (_, row), side in zip(table.iterrows(), ("within", "between"), strict=True):
        model, alone = MODELS["factor"][f"saturated_but_{side}"], MODELS["factor"][f"independent_{side}"]
        assert (row["df"], row["baseline_df"]) == (model["df"], alone["df"])
        assert row["chisq"] == pytest.approx(model["chisq"], abs=1e-3)
        assert row["baseline_chisq"] == pytest.approx(alone["chisq"], abs=1e-3)
        assert row["srmr"] == pytest.approx(MODELS["factor"]["measures"][f"srmr_{side}"], abs=1e-3)
    assert table["n"].tolist() == [736, 110]


@pytest.mark.parametrize("side", ["within", "between"])
def test_halves_have_the_right_derivatives_and_are_fits_of_their_own(side):
    """Also where loadings are equal on both levels, which the saturated one knows nothing of."""
    fitted = ours("equal", "MLR")
    x = fitted.system.coordinates(fitted.solution.theta)
    goal, start = halves(fitted.levels.groups, x, side)
    start = start * (1.0 + 0.02 * np.random.default_rng(1).normal(size=start.size))
    state, steps = goal.at(start), 1e-5 * np.eye(start.size)
    slope = np.array([(goal.at(start + one).value - goal.at(start - one).value) / 2e-5 for one in steps])
    np.testing.assert_allclose(goal.gradient(state), slope, atol=1e-5 * np.abs(slope).max())
    bend = [(goal.gradient(goal.at(start + one)) - goal.gradient(goal.at(start - one))) / 2e-5 for one in steps]
    exact = goal.information(start, state, expected=False)
    np.testing.assert_allclose(exact, bend, atol=1e-6 * np.abs(exact).max())
    free = "{0} ~ {1}\nb ~ {1}\nc ~ {1}\nd ~ {1}\na ~~ b + c + d\nb ~~ c + d\nc ~~ d"
    within, between = "f =~ a + b + c + d\nf ~ tenure", "g =~ a + b + c + d\ng ~ climate"
    if side == "within":
        between = free.format("a", "climate")
    else:
        within = free.format("a", "tenure")
    text = f"level: 1\n{within}\nlevel: 2\n{between}"
    other = fit(text, data(), cluster="unit", estimator="MLR")
    row = level_fit(fitted).table.set_index("level").loc["1" if side == "within" else "2"]
    assert (row["chisq"], row["df"]) == (pytest.approx(other.chisq, abs=1e-6), other.df)
    assert row["scaling_factor"] == pytest.approx(other.correction.factor, rel=1e-5)


def test_levels_of_groups_add_up():
    both, each = level_fit(ours("groups_free")).table, [level_fit(of_land(land)).table for land in ("north", "south")]
    for column in ("chisq", "df", "baseline_chisq", "n"):
        np.testing.assert_allclose(both[column], each[0][column] + each[1][column], rtol=1e-6)


def test_levels_that_constraints_bind_have_no_fit_of_their_own():
    with pytest.raises(UnsupportedError, match="Constraints"):
        level_fit(ours("nonlinear"))
    with pytest.raises(UnsupportedError, match="two levels"):
        level_fit(ours("factor").views[0])


def test_contextual_effects_are_those_between_less_those_within():
    text = "level: 1\na ~ bw*b + tenure\nc ~ a\nlevel: 2\na ~ bb*b + climate\nc ~ a\ncontext := bb - bw"
    fitted = fit(text, data(), cluster="unit")
    table = effects(fitted, draws=4000).tidy()
    row = table[(table["kind"] == "contextual") & (table["lhs"] == "a")].iloc[0]
    defined = fitted.tidy().query("lhs == 'context'").iloc[0]
    assert row["estimate"] == pytest.approx(defined["estimate"])
    assert row["std_error"] == pytest.approx(defined["std_error"], rel=0.02)
    assert row["level"] == ""
    assert not table[table["kind"] == "contextual"]["rhs"].isin(["tenure", "climate"]).any()


def test_a_glance_counts_clusters():
    row = ours("groups_equal").glance().iloc[0]
    assert (row["nclusters"], row["nobs"], row["ngroups"]) == (110, 846, 2)
    assert row["cluster_size"] == pytest.approx(846 / 110)


def test_random_slopes_are_refused_in_words():
    with pytest.raises(UnsupportedError, match="product of both as a column"):
        fit('level: 1\na ~ rv("s")*tenure\nlevel: 2\na ~ climate', data(), cluster="unit")


# -- robust errors with missing answers, for which lavaan has none (its scores of clusters are not finite)


def dense_logl(fitted, frame, theta):
    """Log-likelihood of the answers of each cluster, from the whole covariance matrix of all of them."""
    group = fitted.levels.groups[0]
    spot, names = group.spot(fitted.system.coordinates(theta)), list(group.sample.clusters.names)
    found = []
    for _, rows in frame.groupby("unit"):
        n, values = len(rows), rows[names].to_numpy(float).copy()
        values[1:, names.index("climate")] = np.nan  # said once for the cluster
        here = np.flatnonzero(~np.isnan(values.ravel()))
        cov = (np.kron(np.ones((n, n)), spot.sigma_b) + np.kron(np.eye(n), spot.sigma_w))[np.ix_(here, here)]
        apart = values.ravel()[here] - np.tile(spot.mu, n)[here]
        found.append(-0.5 * (np.linalg.slogdet(cov)[1] + apart @ np.linalg.solve(cov, apart)))
    return np.array(found)


def test_robust_errors_with_holes_are_the_sandwich_of_the_clusters_scores():
    frame = holes()
    frame = frame[frame["unit"] % 1000 <= 25]
    plain = fit(model(FACTOR, fixed_x=False), frame, cluster="unit", missing="fiml")
    robust = fit(model(FACTOR, fixed_x=False), frame, cluster="unit", missing="fiml", estimator="MLR")
    theta = np.array(plain.solution.theta)
    steps = 1e-5 * np.eye(theta.size) * np.sqrt(plain.vcov.diagonal())[:, None]
    rises = [dense_logl(plain, frame, theta + one) - dense_logl(plain, frame, theta - one) for one in steps]
    scores = np.array(rises) / (2.0 * steps.max(axis=1))[:, None]
    assert np.abs(scores.sum(axis=1) * np.sqrt(plain.vcov.diagonal())).max() < 1e-4
    expected = plain.vcov @ (scores @ scores.T) @ plain.vcov
    np.testing.assert_allclose(robust.vcov, expected, atol=1e-5 * expected.diagonal().max())
    np.testing.assert_allclose(np.sqrt(robust.vcov.diagonal()), np.sqrt(expected.diagonal()), rtol=1e-4)


def test_a_likelihood_that_rises_for_ever_names_what_runs_off():
    """Clusters that differ by chance alone have no factors; the search gives up long before its last step."""
    rng = np.random.default_rng(0)
    unit = np.repeat(np.arange(30), 5)
    common = rng.normal(size=150)
    rng.normal(size=30)
    items = {f"y{k}": common + 0.15 * rng.normal(size=30)[unit] + 0.8 * rng.normal(size=150) for k in range(6)}
    frame = pd.DataFrame(items).assign(unit=unit)
    text = "level: 1\nf =~ y0 + y1 + y2 + y3 + y4 + y5\nlevel: 2\ng1 =~ y0 + y1 + y2\ng2 =~ y3 + y4 + y5"
    with pytest.raises(NonConvergenceError, match="run off without end") as caught:
        fit(text, frame, cluster="unit")
    assert {"g1~~g1.l2", "g2~~g2.l2"} & set(caught.value.parameters)
