import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.chain.side_rows import side_rows
from spc.chain.two_sided import fit_two_sided
from spc.chain.two_sided_simulation import CHAIN, Cell, draw_firm
from spc.errors import DataError, SpecError, UnsupportedError, UsageError
from spc.results import TIDY_COLUMNS, Result
from spc.sem.twolevel import fit as twolevel_fit
from spc.study import LinkPrior

TEXT = "service ~ quality\nvalue ~ service\nloyalty ~ value\ngrowth ~ a*loyalty\nprofit ~ b*loyalty\nratio := a / b"
LINKS = [
    ("service", "quality"),
    ("value", "service"),
    ("loyalty", "value"),
    ("growth", "loyalty"),
    ("profit", "loyalty"),
]


def firm(seed=1, units=70):
    """Staff and guests of shops: sizes differ, two shops lack a side, one an outcome, some have one respondent."""
    rng = np.random.default_rng(seed)
    values = {"quality": rng.normal(size=units)}
    for effect, cause in LINKS:
        values[effect] = 0.6 * values[cause] + rng.normal(0, 0.8, units)
    shop = np.array([f"S{i:03}" for i in range(units)])

    def side(names, mean):
        sizes = np.maximum(rng.poisson(mean, units), 1)
        sizes[:3] = (0, 1, mean) if mean < 15 else (mean, 1, 0)
        code = np.repeat(np.arange(units), sizes)
        common = rng.normal(size=code.size)
        scores = {name: 4 + 0.5 * values[name][code] + 0.6 * common + rng.normal(0, 0.8, code.size) for name in names}
        return pd.DataFrame({"shop": shop[code], **scores})

    outcomes = pd.DataFrame({"shop": shop, "growth": values["growth"], "profit": 1e6 * (3 + values["profit"])})
    outcomes.loc[5, "profit"] = np.nan
    return {"staff": side(("quality", "service"), 8), "guests": side(("value", "loyalty"), 20)}, outcomes


@pytest.fixture(scope="module")
def tables():
    return firm()


@pytest.fixture(scope="module")
def fit(tables):
    sides, outcomes = tables
    return fit_two_sided(TEXT, sides=sides, units=outcomes, unit="shop", draws=1000)


def of(fit, kind):
    table = fit.tidy()
    return table[table["kind"] == kind].set_index(["lhs", "rhs"])


def test_it_answers_as_every_result_does(fit):
    assert isinstance(fit, Result)
    assert fit.kind == "two_sided"
    assert list(fit.tidy().columns) == list(TIDY_COLUMNS)
    assert list(of(fit, "link").index) == LINKS
    glance = fit.glance().iloc[0]
    assert (glance["nunits"], glance["n_staff"] + glance["n_guests"]) == (70, glance["nobs"])
    assert glance["aic"] == pytest.approx(2 * glance["npar"] - 2 * glance["logl"])
    assert glance["npar"] == 6 + 6 + 6 + 5 + 1


def test_what_a_reader_does_to_a_table_leaves_the_result_as_it_is(fit):
    before, table = fit.tidy(), fit.tidy()
    table["estimate"] = 0.0
    pd.testing.assert_frame_equal(fit.tidy(), before)


def test_links_in_deviations_of_units_are_near_their_truth(fit):
    """Six links of 0.6 with residual deviations of 0.8: standardised 0.6 each; 4 errors of room."""
    links = of(fit, "link")
    ratio = links["std_all"] / links["estimate"]
    assert (np.abs(links["std_all"] - 0.6) < 4 * links["std_error"] * ratio).all()
    assert set(links["label"]) <= {"holds", "unclear"}


def test_the_unit_of_an_outcome_changes_only_its_numbers(tables, fit):
    sides, outcomes = tables
    other = fit_two_sided(
        TEXT, sides=sides, units=outcomes.assign(profit=outcomes["profit"] / 1e6 - 3), unit="shop", draws=1000
    )
    np.testing.assert_allclose(of(other, "link")["std_all"], of(fit, "link")["std_all"], rtol=1e-6)
    assert of(fit, "link").loc[("profit", "loyalty"), "std_error"] == pytest.approx(
        1e6 * of(other, "link").loc[("profit", "loyalty"), "std_error"], rel=1e-6
    )
    assert other.core.chisq == pytest.approx(fit.core.chisq, rel=1e-6)


def test_the_order_of_rows_and_columns_changes_nothing(tables, fit):
    sides, outcomes = tables
    mixed = {name: table.sample(frac=1, random_state=3)[table.columns[::-1]] for name, table in sides.items()}
    again = fit_two_sided(TEXT, sides=mixed, units=outcomes.iloc[::-1], unit="shop", draws=1000)
    np.testing.assert_allclose(again.tidy()["estimate"], fit.tidy()["estimate"], rtol=1e-6, atol=1e-9)


def test_an_indirect_effect_is_the_product_of_its_links(fit):
    links = of(fit, "link")["estimate"]
    ways = of(fit, "indirect")
    whole = ways[ways["label"] == "quality -> service -> value -> loyalty -> profit"].iloc[0]
    assert whole["estimate"] == pytest.approx(np.prod([links[pair] for pair in LINKS if pair != ("growth", "loyalty")]))
    assert whole["conf_low"] < whole["estimate"] < whole["conf_high"]


def test_a_defined_parameter_has_its_delta_method_error(fit):
    links, defined = of(fit, "link"), fit.tidy().query("kind == 'defined'").iloc[0]
    a, b = links.loc[("growth", "loyalty")], links.loc[("profit", "loyalty")]
    assert defined["estimate"] == pytest.approx(a["estimate"] / b["estimate"])
    place = fit.core.model.parameters.names.index("a"), fit.core.model.parameters.names.index("b")
    slope = np.array([1 / b["estimate"], -a["estimate"] / b["estimate"] ** 2])
    spread = slope @ fit.core.vcov[np.ix_(place, place)] @ slope
    assert defined["std_error"] == pytest.approx(np.sqrt(spread))


def test_reliability_follows_from_the_variances_by_spearman_brown(fit):
    table = fit.tidy()
    for name in ("quality", "loyalty"):
        icc1, icc2 = (table[(table["kind"] == kind) & (table["lhs"] == name)].iloc[0] for kind in ("icc1", "icc2"))
        n = float(icc2["label"].split()[0])
        icc = icc1["estimate"]
        assert icc2["estimate"] == pytest.approx(n * icc / (1 + (n - 1) * icc), abs=0.002)
        assert icc1["conf_low"] < icc < icc1["conf_high"]
        assert icc1["std_error"] > 0


def test_units_without_a_side_or_an_outcome_count_and_are_named(fit):
    said = {note.code: note.text for note in fit.notes()}
    assert {"units_missing_a_side", "missing_outcome"} <= set(said)
    table = fit.augment().set_index("shop")
    assert len(table) == 70
    assert table.loc["S000", ["n_staff", "n_guests"]].tolist() == [0, 20]
    assert np.isfinite(table.to_numpy(dtype=float)).all()


def test_values_of_units_are_drawn_in_where_there_are_few_respondents(fit):
    table = fit.augment().set_index("shop")
    assert table.loc["S001", "quality_error"] > table.loc["S002", "quality_error"]
    spread = np.sqrt(fit.core.sigma_b[fit.core.units.names.index("quality"), fit.core.units.names.index("quality")])
    assert (table["quality_error"] < spread).all()
    assert table.loc["S001", "growth_error"] == pytest.approx(0.0, abs=1e-6)


def test_the_chain_of_one_side_is_lavaans_two_level_model():
    case = json.loads((Path(__file__).parents[1] / "reference" / "lavaan_twolevel.json").read_text())
    frame, model = pd.DataFrame(case["data"]["unbalanced"]), case["models"]["unbalanced"]
    people = frame[["unit", *model["inside"]]]
    units = frame[["unit", *model["outcomes"]]].drop_duplicates("unit")
    fit = fit_two_sided(model["text"], sides={"people": people}, units=units, unit="unit", draws=100, boundary=False)
    rows = pd.DataFrame(model["rows"])
    expected = rows[(rows["level"] == 2) & (rows["op"] == "~")].set_index(["lhs", "rhs"])
    links = of(fit, "link").loc[expected.index]
    np.testing.assert_allclose(links["estimate"], expected["est"], rtol=1e-5)
    np.testing.assert_allclose(links["std_error"], expected["se"], rtol=1e-3)
    np.testing.assert_allclose(links["std_all"], expected["std_all"], rtol=1e-5)
    assert fit.glance()["chisq"].iloc[0] == pytest.approx(model["chisq"], abs=1e-4)


def test_with_ever_more_respondents_it_becomes_the_regression_of_unit_means():
    rng = np.random.default_rng(4)
    quality = rng.normal(size=40)
    value = 0.5 * quality + rng.normal(0, 0.5, 40)
    staff = pd.DataFrame({"shop": np.repeat(range(40), 5000)})
    staff["quality"] = quality[staff["shop"]] + rng.normal(size=len(staff))
    guests = pd.DataFrame({"shop": np.repeat(range(40), 5000)})
    guests["value"] = value[guests["shop"]] + rng.normal(size=len(guests))
    fit = fit_two_sided("value ~ quality", sides={"staff": staff, "guests": guests}, unit="shop", draws=100)
    means = staff.groupby("shop")["quality"].mean(), guests.groupby("shop")["value"].mean()
    slope = np.polyfit(*means, 1)[0]
    assert of(fit, "link")["estimate"].iloc[0] == pytest.approx(slope, rel=1e-3)


def test_the_parametric_bootstrap_agrees_with_the_large_sample_errors(tables):
    """100 replicates: a standard deviation is known to 7 %, so 30 % is four errors."""
    sides, outcomes = firm(seed=6, units=150)
    text = "value ~ service\nprofit ~ value"
    one = fit_two_sided(text, sides=sides, units=outcomes, unit="shop", draws=500)
    many = fit_two_sided(text, sides=sides, units=outcomes, unit="shop", bootstrap=100, seed=2)
    np.testing.assert_allclose(of(many, "link")["std_error"], of(one, "link")["std_error"], rtol=0.3)
    assert "bootstrap" in many.effects.method
    again = fit_two_sided(text, sides=sides, units=outcomes, unit="shop", bootstrap=100, seed=2)
    pd.testing.assert_frame_equal(many.tidy(), again.tidy())


def test_robust_errors_come_with_a_scaled_test(tables, fit):
    sides, outcomes = tables
    robust = fit_two_sided(TEXT, sides=sides, units=outcomes, unit="shop", draws=100, errors="robust")
    np.testing.assert_allclose(of(robust, "link")["estimate"], of(fit, "link")["estimate"], rtol=1e-9)
    np.testing.assert_allclose(of(robust, "link")["std_error"], of(fit, "link")["std_error"], rtol=0.5)
    assert robust.glance()["chisq_scaling_factor"].iloc[0] != 1.0


@pytest.mark.parametrize("likelier", [True, False])
def test_without_free_covariances_to_test_against_there_is_no_test(tables, monkeypatch, likelier):
    """Free covariances that are less likely than the chain's own, or that no search finds, test nothing."""
    found = twolevel_fit.free_moments

    def below(*given):
        objective, search = found(*given)
        return (objective, replace(search, value=search.value + 10.0)) if likelier else None

    monkeypatch.setattr(twolevel_fit, "free_moments", below)
    sides, outcomes = tables
    untested = fit_two_sided(TEXT, sides=sides, units=outcomes, unit="shop", draws=100)
    row = untested.glance().iloc[0]
    assert row["df"] > 0
    for name in ("chisq", "pvalue", "chisq_corrected", "pvalue_corrected", "baseline_chisq", "cfi", "tli", "rmsea",
                 "rmsea_ci_lower", "rmsea_ci_upper", "srmr", "unrestricted_logl"):  # fmt: skip
        assert np.isnan(row[name])
    assert np.isfinite(row[["logl", "aic", "bic"]].astype(float)).all()
    assert "no_test" in {note.code for note in untested.notes()}


def test_a_chain_that_is_tested_has_no_note_on_it(fit):
    assert "no_test" not in {note.code for note in fit.notes()}


def test_a_cause_in_which_units_do_not_differ_is_not_read():
    rng = np.random.default_rng(11)
    staff = pd.DataFrame({"shop": np.repeat(range(30), 6), "mood": rng.normal(size=180)})
    staff["mood"] += -0.9 * staff.groupby("shop")["mood"].transform("mean")
    guests = pd.DataFrame({"shop": np.repeat(range(30), 10)})
    guests["value"] = rng.normal(size=30)[guests["shop"]] + rng.normal(size=300)
    fit = fit_two_sided("value ~ mood", sides={"staff": staff, "guests": guests}, unit="shop", draws=100)
    assert "mood" in fit.core.bounded
    assert of(fit, "link")["label"].tolist() == ["not interpretable"]
    note = next(note for note in fit.notes() if (note.code, note.subject) == ("variance_at_bound", "mood"))
    assert note.severity == "serious"


@pytest.mark.parametrize("seed", range(12))
def test_fifteen_units_of_a_few_respondents_come_to_an_end(seed):
    core = draw_firm(Cell(15, 4, 10, 0.5), np.random.default_rng(seed))
    frames = {}
    rng = np.random.default_rng(seed)
    for s, side in enumerate(("employee", "customer")):
        code = np.repeat(np.arange(15), core.counts[:, s].astype(int))
        own = core.means[code][:, 3 * s : 3 * s + 3] + rng.normal(size=(code.size, 3))
        frames[side] = pd.DataFrame(own, columns=CHAIN[3 * s : 3 * s + 3]).assign(unit=code)
    units = pd.DataFrame({"unit": range(15), CHAIN[6]: core.means[:, 6]})
    text = "\n".join(f"{CHAIN[i + 1]} ~ {CHAIN[i]}" for i in range(6))
    fit = fit_two_sided(text, sides=frames, units=units, unit="unit", draws=200)
    assert fit.core.solution.converged
    assert np.isfinite(of(fit, "link")["estimate"]).all()
    assert "few_units" in {note.code for note in fit.notes()}


# -- what a user may get wrong


def test_every_table_needs_the_unit(tables):
    sides, outcomes = tables
    with pytest.raises(DataError, match=r"staff\.shop.*no unit column"):
        fit_two_sided(TEXT, sides={**sides, "staff": sides["staff"].drop(columns="shop")}, units=outcomes, unit="shop")


def test_a_construct_in_two_tables_or_in_none_is_named(tables):
    sides, outcomes = tables
    twice = {**sides, "guests": sides["guests"].assign(service=1.0)}
    with pytest.raises(DataError, match=r"service, found in staff, guests"):
        fit_two_sided(TEXT, sides=twice, units=outcomes, unit="shop")
    with pytest.raises(DataError, match=r"profit, found in no table"):
        fit_two_sided(TEXT, sides=sides, units=outcomes.drop(columns="profit"), unit="shop")


def test_units_written_differently_share_nothing(tables):
    sides, outcomes = tables
    other = sides["guests"].assign(shop=sides["guests"]["shop"].str.lower())
    with pytest.raises(DataError, match="units that staff and guests share"):
        fit_two_sided(TEXT, sides={**sides, "guests": other}, units=outcomes, unit="shop")


def test_a_unit_twice_in_its_own_table(tables):
    sides, outcomes = tables
    with pytest.raises(DataError, match="'S000' twice"):
        fit_two_sided(TEXT, sides=sides, units=pd.concat([outcomes, outcomes.head(1)]), unit="shop")


def test_words_where_scores_should_be(tables):
    sides, outcomes = tables
    wrong = {**sides, "staff": sides["staff"].assign(service="good")}
    with pytest.raises(DataError, match=r"staff\.service"):
        fit_two_sided(TEXT, sides=wrong, units=outcomes, unit="shop")


def test_one_respondent_a_unit_is_refused(tables):
    sides, outcomes = tables
    single = {**sides, "staff": sides["staff"].drop_duplicates("shop")}
    with pytest.raises(DataError, match="beyond the first of their unit"):
        fit_two_sided(TEXT, sides=single, units=outcomes, unit="shop")


def test_outcomes_alone_are_no_two_sided_chain(tables):
    sides, outcomes = tables
    with pytest.raises(DataError, match=r"spc\.fit"):
        fit_two_sided("profit ~ growth", sides=sides, units=outcomes, unit="shop")


@pytest.mark.parametrize(
    ("text", "options", "error"),
    [
        ("value ~ 2*1 + service", {}, UnsupportedError),
        ("value ~ ", {}, SpecError),
        ("value ~ service", {"level": 95}, UsageError),
        ("value ~ service", {"errors": "sandwich"}, UnsupportedError),
        ("value ~ service", {"draws": 0}, UsageError),
    ],
)
def test_what_has_no_method_says_so(tables, text, options, error):
    sides, outcomes = tables
    with pytest.raises(error):
        fit_two_sided(text, sides=sides, units=outcomes, unit="shop", **options)


@pytest.fixture
def with_holes(tables):
    """Four employees of 585 without a score of service, two more without a shop, one without any score."""
    staff = tables[0]["staff"].copy()
    staff.loc[staff.index[:4], "service"] = np.nan
    staff.loc[staff.index[4:6], "shop"] = None
    staff.loc[staff.index[6], ["quality", "service"]] = np.nan
    return {**tables[0], "staff": staff}


def test_respondents_who_lack_a_score_count_with_what_they_answered(tables, with_holes):
    moments, _, notes = side_rows(("quality", "service", "profit"), with_holes, tables[1], "shop").reduced()
    assert moments.counts.sum() == 585 - 3
    assert {note.code: note.text.split()[0] for note in notes} == {
        "partial_answers": "4", "no_unit": "2", "incomplete_scores": "1",
    }  # fmt: skip
    assert not any("left out" in note.text for note in notes if note.code == "partial_answers")


def test_respondents_who_are_left_out_are_counted(tables, with_holes):
    names = ("quality", "service", "profit")
    moments, _, notes = side_rows(names, with_holes, tables[1], "shop", missing="listwise").reduced()
    assert moments.counts.sum() == 585 - 7
    assert {note.code for note in notes} == {"incomplete_scores", "no_unit"}


def test_what_was_answered_tells_more_than_complete_respondents(tables):
    """Answers to value are left out where quality of service was low: complete guests are not like the others."""
    rng = np.random.default_rng(5)
    truth, found = 0.6, {"fiml": [], "listwise": []}
    for _ in range(20):
        shop = np.repeat(np.arange(120), 20)
        level = rng.standard_normal((120, 2)) @ np.array([[1.0, truth], [0.0, 0.8]])
        scores = level[shop] + rng.standard_normal((shop.size, 2)) @ np.array([[1.0, 0.7], [0.0, 0.7]])
        scores[(scores[:, 0] < 0.3) & (rng.random(shop.size) < 0.8), 1] = np.nan
        guests = pd.DataFrame(scores, columns=["quality", "value"]).assign(shop=shop)
        for missing, values in found.items():
            fit = fit_two_sided("value ~ quality", sides={"guests": guests}, unit="shop", missing=missing, draws=2)
            values.append(fit.core.mu[fit.core.units.names.index("value")])
    error = np.std(found["fiml"]) / np.sqrt(20)
    assert abs(np.mean(found["fiml"])) < 3 * error
    assert np.mean(found["listwise"]) > 0.3


def test_holes_and_the_order_of_rows(tables, with_holes):
    text = "service ~ quality\nvalue ~ service\nprofit ~ value"
    one = fit_two_sided(text, sides=with_holes, units=tables[1], unit="shop", draws=50)
    mixed = {side: table.sample(frac=1.0, random_state=1) for side, table in with_holes.items()}
    other = fit_two_sided(text, sides=mixed, units=tables[1], unit="shop", draws=50)
    assert other.tidy()["estimate"].to_numpy() == pytest.approx(
        one.tidy()["estimate"].to_numpy(), rel=1e-5, nan_ok=True
    )
    assert set(one.augment()) == set(other.augment())
    assert "partial_answers" in {note.code for note in one.notes()}


def test_an_unknown_way_with_missing_answers(tables):
    with pytest.raises(UsageError, match="listwise"):
        fit_two_sided("value ~ quality", sides=tables[0], units=tables[1], unit="shop", missing="mean")


ITEMS = "mood =~ m1 + m2 + m3\nvalue =~ v1 + v2 + v3\nvalue ~ mood\nprofit ~ value"


@pytest.fixture(scope="module")
def with_items():
    """Three items each of mood and value, of which four employees left some out; link .5 and mood's ICC .2."""
    rng = np.random.default_rng(11)
    mood = 0.5 * rng.normal(size=90)
    value = 0.5 * mood + 0.4 * rng.normal(size=90)
    sides = {}
    for side, prefix, level, size in (("staff", "m", mood, 12), ("guests", "v", value, 25)):
        shop = np.repeat(np.arange(90), size)
        own = level[shop] + rng.normal(size=shop.size)
        items = {f"{prefix}{i + 1}": b * own + 0.8 * rng.normal(size=shop.size) for i, b in enumerate((1.0, 0.8, 1.2))}
        sides[side] = pd.DataFrame({"shop": shop, **items})
    sides["staff"].loc[:3, "m2"] = np.nan
    units = pd.DataFrame({"shop": range(90), "profit": value + 0.3 * rng.normal(size=90)})
    return fit_two_sided(ITEMS, sides=sides, units=units, unit="shop", draws=200, equal_loadings=True), sides, units


def test_items_with_equal_loadings_give_shares_free_of_their_error(with_items):
    fit, sides, units = with_items
    shares = of(fit, "icc1")["estimate"].droplevel("rhs")
    assert shares["mood"] == pytest.approx(0.2, abs=0.08)
    assert shares["mood"] > shares[["m1", "m2", "m3"]].max()
    assert of(fit, "link").loc[("value", "mood"), "estimate"] == pytest.approx(0.5, abs=0.25)
    assert of(fit, "loading").loc[("mood", "m2"), "estimate"] == pytest.approx(0.8, abs=0.05)
    glance = fit.glance().iloc[0]
    assert glance["df"] > fit_two_sided(ITEMS, sides=sides, units=units, unit="shop", draws=2).core.df
    assert glance["srmr_within"] < 0.05
    assert {"items_alike", "variance_at_bound"} & {note.code for note in fit.notes()} <= {"items_alike"}
    assert not fit.unreadable


def test_units_have_values_of_their_constructs(with_items):
    fit, *_ = with_items
    table = fit.augment()
    assert np.corrcoef(table["mood"], table["m1"])[0, 1] > 0.8
    assert table["mood_error"].between(0.05, fit.core.latent.between[0] ** 0.5).all()


def test_priors_of_links_between_constructs_with_items(with_items):
    _, sides, units = with_items
    prior = LinkPrior("value", "mood", 0.9, 0.02, source="a firm that is certain")
    fit = fit_two_sided(ITEMS, sides=sides, units=units, unit="shop", draws=2, equal_loadings=True, priors=[prior])
    assert of(fit, "link").loc[("value", "mood"), "std_all"] == pytest.approx(0.9, abs=0.05)


def test_a_bootstrap_of_units_agrees_with_robust_errors(tables):
    sides, outcomes = tables
    text = "value ~ service\nprofit ~ value"
    units = fit_two_sided(
        text, sides=sides, units=outcomes, unit="shop", bootstrap=60, resample="units", boundary=False, draws=2
    )
    robust = fit_two_sided(text, sides=sides, units=outcomes, unit="shop", errors="robust", boundary=False, draws=2)
    ratio = of(units, "link")["std_error"] / of(robust, "link")["std_error"]
    assert ratio.between(0.6, 1.7).all()
    assert "a bootstrap of units" in units.effects.glance()["method"].iloc[0]
    assert "pvalue_bootstrap" not in units.glance()


def test_a_parametric_bootstrap_judges_the_chi_square(tables):
    sides, outcomes = tables
    options = {"sides": sides, "units": outcomes, "unit": "shop", "draws": 2, "bootstrap": 39}
    true = fit_two_sided("service ~ quality\nvalue ~ service\nprofit ~ value", **options)
    assert true.glance()["pvalue_bootstrap"].iloc[0] > 0.05
    wrong = fit_two_sided("value ~ 0*service + quality\nservice ~ 0*quality\nprofit ~ 0*value", **options)
    assert wrong.glance()["pvalue_bootstrap"].iloc[0] == pytest.approx(1 / 40)


def test_below_a_hundred_units_arms_of_intervals_differ(tables):
    sides, outcomes = tables
    fit = fit_two_sided("value ~ service\nprofit ~ value", sides=sides, units=outcomes, unit="shop", draws=2)
    link = of(fit, "link").loc[("value", "service")]
    assert abs((link["conf_high"] - link["estimate"]) / (link["estimate"] - link["conf_low"]) - 1.0) > 0.02
    assert (link["p_value"] < 0.05) == (link["conf_low"] > 0.0 or link["conf_high"] < 0.0)


def test_an_unknown_bootstrap(tables):
    with pytest.raises(UsageError, match="parametric"):
        fit_two_sided("value ~ quality", sides=tables[0], units=tables[1], unit="shop", bootstrap=2, resample="rows")


@pytest.mark.parametrize(("seed", "told"), [(5, True), (6, False)])
def test_an_interval_that_the_data_do_not_end_is_named(seed, told):
    rng = np.random.default_rng(seed)
    mood = rng.normal(size=12)
    staff = pd.DataFrame({"shop": np.repeat(range(12), 4)})
    staff["mood"] = 0.3 * mood[staff["shop"]] + rng.normal(size=len(staff))
    units = pd.DataFrame({"shop": range(12), "profit": mood})
    asked = {"sides": {"staff": staff}, "units": units, "unit": "shop", "draws": 100}
    assert all(note.code != "open_interval" for note in fit_two_sided("profit ~ mood", **asked).notes())
    fit = fit_two_sided("profit ~ mood", boundary=False, **asked)
    notes = {note.code: note for note in fit.notes()}
    link = of(fit, "link").iloc[0]
    width = (link["conf_high"] - link["conf_low"]) / link["std_error"]
    assert (width > 15.0) == told == ("open_interval" in notes)
    assert not told or notes["open_interval"].subject == "mood -> profit"


def test_a_link_expected_to_be_negative_is_judged_as_one():
    rng = np.random.default_rng(1)
    waiting = rng.normal(size=80)
    staff = pd.DataFrame({"shop": np.repeat(range(80), 6)})
    staff["waiting"] = waiting[staff["shop"]] + rng.normal(size=len(staff))
    units = pd.DataFrame({"shop": range(80), "profit": -0.8 * waiting + 0.5 * rng.normal(size=80)})
    options = {"sides": {"staff": staff}, "units": units, "unit": "shop", "draws": 2}
    plain = fit_two_sided("profit ~ waiting", **options)
    told = fit_two_sided("profit ~ waiting", negative=[("profit", "waiting")], **options)
    assert [fit.tidy()["label"].iloc[0] for fit in (plain, told)] == ["opposite", "holds"]
    assert plain.tidy()["estimate"].iloc[0] == told.tidy()["estimate"].iloc[0]
    for wrong in [("waiting", "profit"), ("profit",), "profit"]:
        with pytest.raises(UsageError, match="no link of the chain"):
            fit_two_sided("profit ~ waiting", negative=[wrong], **options)
