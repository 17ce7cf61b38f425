import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.errors import (
    DataError,
    DroppedRowsWarning,
    ImproperSolutionWarning,
    NotIdentifiedError,
    UnsupportedError,
    UsageError,
)
from spc.sem import (
    compare,
    effects,
    fit,
    fit_measures,
    r_square,
    small_sample_test,
)
from spc.sem.twolevel.likelihood import UnitMoments, unit_moments
from spc.spec import model

FIXTURE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_twolevel_models.json").read_text())
MODELS = FIXTURE["models"]
DOCUMENTED = MODELS["documented"]["text"]
FREE_MEANS = ("random_covariates", "outcome_of_rows")
EQUALITIES = {"equal_loadings": 2, "constrained": 2}
FACTOR = "level: 1\nf =~ a + b + c\nlevel: 2\ng =~ a + b + c"


@cache
def data(name):
    given = FIXTURE["data"][name]
    return clusters_from(given) if name == "demo" else pd.DataFrame(given)


def clusters_from(given):
    """Sizes, means and cross-products of the clusters, as the likelihood needs them."""
    inside, outcomes = given["names"], given["outcomes"]
    p, all_p = len(inside), len(inside) + len(outcomes)
    scatter = np.zeros((len(given["sizes"]), all_p, all_p))
    columns, rows = np.triu_indices(p)
    scatter[:, rows, columns] = scatter[:, columns, rows] = given["scatter"]
    means = np.hstack([given["means"], given["outcome_values"]])
    side = np.repeat([0, -1], [p, len(outcomes)])
    counts = np.array(given["sizes"], dtype=float)[:, None]
    return UnitMoments((*inside, *outcomes), ("rows",), side, counts, means, scatter)


@cache
def ours(name, estimator="ML", information=None):
    case = MODELS[name]
    two = model(case["text"], fixed_x=case["fixed_x"], std_lv=case["std_lv"])
    cluster = None if case["data"] == "demo" else "unit"
    return fit(two, data(case["data"]), estimator=estimator, cluster=cluster, information=information)


def both(name, *columns, **options):
    """Columns of ours and of lavaan's table, row by row."""
    case = pd.DataFrame(MODELS[name]["rows"])
    case["op"] = case["op"].astype(str)
    mine = ours(name, **options).tidy()
    place = {}
    for i, row in mine.iterrows():
        place[row["lhs"], row["op"], row["rhs"] * (row["op"] != ":="), row["level"]] = i
        if row["op"] == "~~":
            place[row["rhs"], row["op"], row["lhs"], row["level"]] = i
    keys = zip(case["lhs"], case["op"], case["rhs"], case["level"], strict=True)
    order = [place[(lhs, op, rhs, str(level)) if op != ":=" else (lhs, op, "", "")] for lhs, op, rhs, level in keys]
    assert sorted(order) == list(range(len(mine)))
    found = mine.iloc[order]
    return [(found[one].to_numpy(float), case[other].to_numpy(float)) for one, other in columns]


@pytest.mark.parametrize("name", MODELS)
def test_estimates_and_test_equal_lavaans(name):
    (estimate, theirs), (error, _) = both(name, ("estimate", "est"), ("std_error", "se"))
    scale = np.maximum(np.abs(theirs), np.nan_to_num(error))
    np.testing.assert_allclose(estimate / np.maximum(scale, 1e-3), theirs / np.maximum(scale, 1e-3), atol=1e-5)
    mine, case = ours(name), MODELS[name]
    numbers = fit_measures(mine)
    assert (numbers["df"], numbers["npar"]) == (case["measures"]["df"], case["measures"]["npar"])
    assert numbers["logl"] == pytest.approx(case["logl"], rel=1e-9)
    exact = 1.0 if case["proper"] else 1e6  # without full rank, lavaan's free moments are where its EM stopped
    assert numbers["unrestricted_logl"] == pytest.approx(case["unrestricted_logl"], rel=exact * 1e-9)
    assert numbers["chisq"] == pytest.approx(case["chisq"], rel=1e-4, abs=1e-4 if case["proper"] else 5e-3)


@pytest.mark.parametrize("name", MODELS)
def test_standard_errors_equal_lavaans(name):
    """But for means where variables of rows alone have free ones: see the next test."""
    means = (pd.DataFrame(MODELS[name]["rows"])["op"] == "~1") & (name in FREE_MEANS)
    for column, options in (
        ("se", {}), ("se_expected", {"information": "expected"}), ("se_robust", {"estimator": "MLR"}),
    ):  # fmt: skip
        ((mine, theirs),) = both(name, ("std_error", column), **options)
        kept = ~means.to_numpy() | (column == "se")
        np.testing.assert_allclose(np.nan_to_num(mine)[kept], np.nan_to_num(theirs)[kept], rtol=1e-4, atol=1e-9)


def test_errors_of_the_mean_of_a_variable_of_rows_alone_are_those_of_a_mean():
    """lavaan has others, from expected information and from clusters, and they move with the mean itself."""
    units = data("demo")
    at, n = units.names.index("x1"), units.counts[:, 0]
    mean = n @ units.means[:, at] / n.sum()
    apart = n * (units.means[:, at] - mean)
    variance = (units.pooled[at, at] + apart @ (units.means[:, at] - mean)) / n.sum()
    for options, error in (
        ({"information": "expected"}, np.sqrt(variance / n.sum())),
        ({"estimator": "MLR"}, np.sqrt((apart**2).sum()) / n.sum()),
    ):
        rows = ours("random_covariates", **options).tidy()
        found = rows.loc[(rows["lhs"] == "x1") & (rows["op"] == "~1"), "std_error"].iloc[0]
        assert found == pytest.approx(error, rel=1e-8)


def test_a_covariate_moved_by_a_constant_changes_no_error():
    """It does in lavaan."""
    frame = data("balanced")
    moved = frame.assign(tenure=frame["tenure"] + 5.0)
    text = MODELS["factor_balanced"]["text"]
    one, other = (fit(text, given, cluster="unit", estimator="MLR") for given in (frame, moved))
    assert other.correction.factor == pytest.approx(one.correction.factor, rel=1e-6)
    slopes = one.tidy()["op"] != "~1"
    np.testing.assert_allclose(other.tidy()["std_error"][slopes], one.tidy()["std_error"][slopes], rtol=1e-6)


def test_covariates_held_or_not_have_one_scaled_test():
    held, free = ours("documented", "MLR"), ours("random_covariates", "MLR")
    assert free.correction.factor == pytest.approx(held.correction.factor, rel=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_measures_of_fit_equal_lavaans(name):
    """lavaan's free moments come from EM that stops early: its chi-square is some 1e-4 short."""
    for estimator, theirs in (("ML", MODELS[name]["measures"]), ("MLR", MODELS[name]["robust"])):
        mine = fit_measures(ours(name, estimator))
        for key, value in theirs.items():
            scaled = key.endswith((".scaled", ".robust")) or "scaling" in key
            if value in ("NA", None) or (scaled and name in FREE_MEANS):
                continue
            if key == "scaling.factor.h0":  # lavaan divides by the parameters before they are held equal
                mine[key] = mine["scaling_factor_h0"] / (1.0 + EQUALITIES.get(name, 0) / theirs["npar"])
            own = mine.get(key, mine.get(key.replace(".", "_")))
            assert own == pytest.approx(value, rel=3e-3, abs=3e-3), key


@pytest.mark.parametrize("name", MODELS)
def test_standardised_values_and_explained_variance_equal_lavaans(name):
    ((mine, theirs),) = both(name, ("std_all", "std_all"))
    np.testing.assert_allclose(mine, theirs, atol=1e-5)
    shares = r_square(ours(name))
    for level, expected in zip(("1", "2"), MODELS[name]["r_square"].values(), strict=True):
        for variable, share in dict(expected).items():
            if share != "NA":
                assert shares[level, variable] == pytest.approx(share, abs=1e-5)


def test_the_order_of_rows_and_the_names_of_clusters_change_nothing():
    frame = data("unbalanced")
    text = MODELS["factor_unbalanced"]["text"]
    other = frame.sample(frac=1.0, random_state=3).assign(unit=lambda rows: rows["unit"].str[1:].astype(int) * 7)
    one, two = fit(text, frame, cluster="unit"), fit(text, other, cluster="unit")
    np.testing.assert_allclose(two.solution.theta, one.solution.theta, rtol=1e-7)
    np.testing.assert_allclose(two.vcov, one.vcov, rtol=1e-6)


@pytest.mark.parametrize("factor", [1e6, 1e-6])
def test_the_unit_of_a_variable_changes_only_its_numbers(factor):
    frame = data("unbalanced")
    text = MODELS["constrained"]["text"].replace("l3", "m3").replace("m3*c", "c").replace("k3*c", "c")
    text = text.replace("\nm3 == k3", "")
    one = fit(text, frame, cluster="unit", estimator="MLR")
    other = fit(text, frame.assign(c=frame["c"] * factor), cluster="unit", estimator="MLR")
    for column in ("chisq", "cfi", "srmr", "chisq_scaling_factor"):
        assert other.glance()[column].iloc[0] == pytest.approx(one.glance()[column].iloc[0], rel=1e-5)
    table, units = one.tidy(), np.where((one.tidy()["rhs"] == "c") & (one.tidy()["op"] == "=~"), factor, 1.0)
    loadings = (table["op"] == "=~").to_numpy()
    for column in ("estimate", "std_error"):
        np.testing.assert_allclose(
            other.tidy()[column][loadings], (table[column] * units)[loadings], rtol=1e-5, equal_nan=True
        )


def test_rows_and_their_moments_give_the_same_fit():
    frame = data("singles")
    codes, _ = pd.factorize(frame["unit"])
    inside = ["a", "b", "c", "tenure"]
    outcomes = frame.groupby(codes)[["climate"]].first().to_numpy()
    units = unit_moments([*inside, "climate"], [("rows", codes, frame[inside])], outcomes)
    text = MODELS["factor_singles"]["text"]
    one, other = fit(text, frame, cluster="unit"), fit(text, units)
    np.testing.assert_allclose(other.solution.theta, one.solution.theta, rtol=1e-7)


def test_rows_with_holes_are_left_out_and_counted():
    frame = data("balanced").copy()
    frame.loc[frame.index[:3], "a"] = np.nan
    with pytest.warns(DroppedRowsWarning, match="3 of 480"):
        found = fit(FACTOR, frame, cluster="unit")
    assert found.glance()["nobs"].iloc[0] == 477
    assert {note.code for note in found.notes()} == {"dropped_rows", "few_clusters"}


def test_a_negative_variance_between_clusters_is_said():
    rng = np.random.default_rng(6)
    code = np.repeat(np.arange(40), 5)
    common, unit = rng.normal(size=(200, 1)), rng.normal(size=(40, 1))[code]
    frame = pd.DataFrame(common + 0.6 * unit + rng.normal(size=(200, 3)), columns=list("abc")).assign(unit=code)
    with pytest.warns(ImproperSolutionWarning, match="level 2"):
        found = fit(FACTOR, frame, cluster="unit")
    assert any("(level 2)" in note.subject for note in found.notes())


def wrong(frame, **options):
    return fit(options.pop("text", FACTOR), frame, cluster=options.pop("cluster", "unit"), **options)


@pytest.mark.parametrize(
    ("change", "options", "error", "said"),
    [
        (lambda d: d, {"cluster": None}, DataError, "no cluster"),
        (lambda d: d, {"cluster": "branch"}, DataError, "branch"),
        (lambda d: d.drop(columns="b"), {}, DataError, "b"),
        (lambda d: d.assign(b=d.groupby("unit")["b"].transform("mean")), {}, DataError, "level: 2 only"),
        (lambda d: d.assign(b=1.0), {}, DataError, "same value"),
        (lambda d: d.drop_duplicates("unit"), {}, DataError, "several"),
        (lambda d: d, {"estimator": "WLS"}, UnsupportedError, "ML"),
        (lambda d: d, {"group": "site"}, DataError, "site"),
        (lambda d: d, {"group_equal": ["loadings"]}, UsageError, "need groups"),
        (lambda d: d, {"text": "level: 1\nf =~ a + b\nlevel: 2\ng =~ a + b + c"}, NotIdentifiedError, "f"),
    ],
)
def test_what_cannot_be_fitted_says_why(change, options, error, said):
    with pytest.raises(error, match=said):
        wrong(change(data("balanced")), **options)


def test_what_has_no_method_for_two_levels_says_so():
    with pytest.raises(UnsupportedError, match="two levels"):
        small_sample_test(ours("equal_loadings"))


def test_effects_differ_by_level():
    table = effects(ours("path"), draws=200).tidy()
    direct = table[(table["kind"] == "direct") & (table["lhs"] == "y2") & (table["rhs"] == "y1")]
    assert direct["level"].tolist() == ["1", "2"]
    rows = ours("path").tidy()
    expected = rows[(rows["op"] == "~") & (rows["lhs"] == "y2") & (rows["rhs"] == "y1")]["estimate"]
    np.testing.assert_allclose(direct["estimate"], expected)


def test_nested_models_are_compared():
    free, equal = ours("documented"), ours("equal_loadings")
    row = compare(free, equal).tidy().iloc[0]
    expected = MODELS["equal_loadings"]["chisq"] - MODELS["documented"]["chisq"]
    assert row["statistic"] == pytest.approx(expected, rel=1e-4)


def teams(count):
    rng = np.random.default_rng(6)
    team = np.repeat(np.arange(count), 10)
    shared = rng.normal(size=count)[team] + rng.normal(size=team.size)
    items = {name: shared + 0.9 * rng.normal(size=count)[team] + rng.normal(size=team.size) for name in "abc"}
    return pd.DataFrame({"team": team, "half": np.where(team % 3, "x", "y")} | items)


@pytest.mark.parametrize(
    ("count", "options", "said"),
    [
        (60, {}, ["60 clusters: intervals of variances"]),
        (60, {"estimator": "MLR"}, ["60 clusters: intervals of variances"]),
        (30, {"estimator": "MLR"}, ["30 clusters: errors and test", "30 clusters: intervals of variances"]),
        (180, {}, []),
        (180, {"group": "half"}, ["60 clusters: intervals of variances"]),
    ],
)
def test_few_clusters_are_said_once(count, options, said):
    """Of several groups the one with fewest counts; a profile is offered where there is one."""
    notes = [
        note for note in fit(FACTOR, teams(count), cluster="team", **options).notes() if note.code == "few_clusters"
    ]
    assert [note.text.partition(" between")[0].partition(" that allow")[0] for note in notes] == said
    offered = [note for note in notes if "profile_likelihood" in note.text]
    assert len(offered) == (0 if "estimator" in options else len(said))
