"""Covariates of respondents and of units, intercepts: lavaan's two-level models on one side, known truth on two."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import spc
from spc.chain import fit_two_sided
from spc.errors import DataError, SingularInformationError, UnsupportedError, UsageError

FIXTURE = json.loads((Path(__file__).parents[1] / "reference" / "lavaan_two_sided.json").read_text())
CHAIN = "mood ~ quality\nloyal ~ mood\nprofit ~ loyal"
BOTH = {"respondents": ["tenure"], "both": ["tenure", "size"]}


@pytest.fixture(scope="module")
def people():
    return pd.DataFrame(FIXTURE["people"])


def split(people):
    units = people.groupby("unit")[["size", "profit"]].first().reset_index()
    return people.drop(columns=["size", "profit"]), units


def fitted(people, covariates, text=CHAIN, **options):
    side, units = split(people)
    options = {"boundary": False, "errors": "expected", "draws": 2, **options}
    return fit_two_sided(text, sides={"staff": side}, units=units, unit="unit", covariates=covariates, **options)


def kind(fit, name):
    table = fit.tidy()
    return table[table["kind"] == name].set_index(["lhs", "rhs"])


def lavaans(case, op, level):
    rows = pd.DataFrame(case["rows"])
    return rows[(rows["op"] == op) & (rows["level"] == level)].set_index(["lhs", "rhs"])


@pytest.fixture(scope="module", params=list(BOTH))
def case(request, people):
    return FIXTURE["covariates"][request.param], fitted(people, BOTH[request.param])


def test_links_and_their_test_equal_lavaans(case):
    theirs, ours = case
    links, rows = kind(ours, "link"), lavaans(theirs, "~", 2)
    np.testing.assert_allclose(links["estimate"], rows.loc[links.index, "est"], rtol=1e-6)
    np.testing.assert_allclose(links["std_error"], rows.loc[links.index, "se_expected"], rtol=1e-4)
    assert ours.core.chisq == pytest.approx(theirs["chisq"], abs=1e-5)
    assert ours.core.df == 3


def test_slopes_of_respondents_equal_lavaans(case):
    """Errors lie between lavaan's expected and observed ones, as covariates here are what they are."""
    theirs, ours = case
    slopes, rows = kind(ours, "covariate"), lavaans(theirs, "~", 1)
    own = slopes[slopes["group"] == "staff"]
    np.testing.assert_allclose(own["estimate"], rows.loc[own.index, "est"], rtol=1e-5)
    np.testing.assert_allclose(own["std_error"], rows.loc[own.index, "se"], rtol=0.01)


def test_slopes_of_units_are_all_that_the_covariate_brings_about(people):
    theirs, ours = lavaans(FIXTURE["covariates"]["both"], "~", 2)["est"], fitted(people, BOTH["both"])
    slopes = kind(ours, "covariate").query("group == ''")["estimate"]
    assert slopes["quality", "size"] == pytest.approx(theirs["quality", "size"], rel=1e-5)
    through = theirs["mood", "size"] + theirs["mood", "quality"] * theirs["quality", "size"]
    assert slopes["mood", "size"] == pytest.approx(through, rel=1e-5)


def test_intercepts_equal_lavaans(people):
    """Whose covariates are not measured from their means."""
    fit, theirs = fitted(people, ["tenure"]), lavaans(FIXTURE["covariates"]["respondents"], "~1", 2)["est"]
    means, ours, links = (kind(fit, what)["estimate"] for what in ("mean", "intercept", "link"))
    lower = kind(fit, "covariate")["estimate"] * people["tenure"].mean()
    assert theirs["quality", ""] == pytest.approx(means["quality", ""] - lower["quality", "tenure"], rel=1e-5)
    assert list(ours.index.get_level_values(0)) == ["mood", "loyal", "profit"]
    brought = links["profit", "loyal"] * lower["loyal", "tenure"]
    assert theirs["profit", ""] == pytest.approx(ours["profit", ""] + brought, rel=1e-5)


def test_intercepts_and_their_errors_are_those_of_lavaan_without_covariates(people):
    """Written or not, means are free."""
    plain, written = fitted(people, []), fitted(people, [], text=f"{CHAIN}\nmood ~ 1\nprofit ~ 1")
    pd.testing.assert_frame_equal(plain.tidy(), written.tidy())
    row = kind(plain, "intercept").loc[("mood", "")]
    means, link = kind(plain, "mean")["estimate"], kind(plain, "link").loc[("mood", "quality")]
    assert row["estimate"] == pytest.approx(means["mood", ""] - link["estimate"] * means["quality", ""], rel=1e-12)
    shifted = people.assign(quality=people["quality"] - means["quality", ""])
    centred = kind(fitted(shifted, []), "intercept").loc[("mood", "")]
    both = np.hypot(centred["std_error"], means["quality", ""] * link["std_error"])
    assert row["std_error"] == pytest.approx(both, rel=1e-4)


def two_sides(seed, units=80):
    """Tenure makes employees content and is unequal among units; large units have worse customers."""
    rng = np.random.default_rng(seed)
    size, region = rng.normal(size=units), rng.integers(0, 3, units)
    mood = rng.normal(size=units)
    value = 0.5 * mood - 0.8 * size + 0.9 * (region == 1) + 0.5 * rng.normal(size=units)
    staff = pd.DataFrame({"shop": np.repeat(range(units), 8)})
    staff["tenure"] = rng.normal(size=len(staff)) + 1.5 * size[staff["shop"]]
    staff["mood"] = mood[staff["shop"]] + staff["tenure"] + rng.normal(size=len(staff))
    guests = pd.DataFrame({"shop": np.repeat(range(units), 15)})
    guests["value"] = value[guests["shop"]] + rng.normal(size=len(guests))
    places = pd.DataFrame({"shop": range(units), "size": size, "region": np.array(["N", "S", "W"])[region]})
    return {"staff": staff, "guests": guests}, places


def test_a_link_is_freed_of_who_the_respondents_are_and_what_the_units_are():
    sides, units = two_sides(1)
    options = {"sides": sides, "units": units, "unit": "shop", "draws": 2}
    plain = fit_two_sided("value ~ mood", **options)
    ours = fit_two_sided("value ~ mood", covariates=["tenure", "region", "size"], **options)
    assert kind(plain, "link")["estimate"].iloc[0] < 0.0
    link = kind(ours, "link").iloc[0]
    assert abs(link["estimate"] - 0.5) < 3 * link["std_error"]
    slopes = kind(ours, "covariate")
    for pair, truth in {("mood", "tenure"): 1.0, ("value", "size"): -0.8, ("value", "region: S"): 0.9}.items():
        assert abs(slopes.loc[pair, "estimate"] - truth) < 3 * slopes.loc[pair, "std_error"]
    assert ours.freedom == plain.freedom - 3
    assert ours.glance()["npar"].iloc[0] == plain.glance()["npar"].iloc[0] + 7


@pytest.mark.parametrize("holes", [False, True])
def test_the_unit_and_the_order_of_covariates_and_rows_change_only_numbers(holes):
    sides, units = two_sides(2, units=30)
    sides["staff"]["calm"] = 0.5 * sides["staff"]["mood"] + np.random.default_rng(1).normal(size=len(sides["staff"]))
    if holes:
        sides["staff"].loc[::7, "calm"] = np.nan
    text, names = "value ~ mood + calm", ["tenure", "size"]
    first = fit_two_sided(text, sides=sides, units=units, unit="shop", draws=2, covariates=names)
    moved = {side: frame.sample(frac=1.0, random_state=3) for side, frame in sides.items()}
    moved["staff"] = moved["staff"].assign(tenure=100.0 + 12.0 * moved["staff"]["tenure"])
    other = fit_two_sided(text, sides=moved, units=units.iloc[::-1], unit="shop", draws=2, covariates=names[::-1])
    for what in ("link", "mean"):
        np.testing.assert_allclose(kind(first, what)["estimate"], kind(other, what)["estimate"], rtol=1e-5, atol=1e-7)
    slopes = kind(other, "covariate")["estimate"]
    assert 12.0 * slopes["mood", "tenure"] == pytest.approx(
        kind(first, "covariate")["estimate"]["mood", "tenure"], rel=1e-5
    )
    assert ("partial_answers" in {note.code for note in first.notes()}) == holes


def test_who_lacks_a_covariate_is_left_out_and_counted():
    sides, units = two_sides(3, units=30)
    sides["staff"].loc[:4, "tenure"] = np.nan
    units.loc[29, "region"] = None
    found = fit_two_sided(
        "value ~ mood", sides=sides, units=units, unit="shop", draws=2, covariates=["tenure", "region"]
    )
    told = {note.subject: note.text for note in found.notes() if note.code == "no_covariate"}
    assert "13 of 240 respondents of staff" in told["staff"]
    assert "15 of 450 respondents of guests" in told["guests"]
    assert (len(found.keys), found.glance()["n_staff"].iloc[0]) == (29, 227)


def test_customers_of_several_units_have_covariates_of_their_own():
    rng = np.random.default_rng(5)
    mood, shops, guests = rng.normal(size=40), 40, 500
    staff = pd.DataFrame({"shop": np.repeat(range(shops), 6)})
    staff["mood"] = mood[staff["shop"]] + rng.normal(size=len(staff))
    first, second = rng.integers(0, shops, (2, guests))
    customers = pd.DataFrame({"customer": range(guests), "age": rng.normal(size=guests)})
    customers["value"] = 0.25 * (mood[first] + mood[second]) + 0.7 * customers["age"] + rng.normal(size=guests)
    served = pd.DataFrame({"customer": np.tile(range(guests), 2), "shop": np.concatenate([first, second])})
    options = {"sides": {"staff": staff, "guests": customers}, "unit": "shop", "assignments": served, "draws": 2}
    slope = kind(fit_two_sided("value ~ mood", covariates=["age"], **options), "covariate").iloc[0]
    assert abs(slope["estimate"] - 0.7) < 3 * slope["std_error"] < 0.3


def served_by_several(seed, most=2, shops=80, guests=1600):
    """Large shops have worse customers, and content staff: without their size the link vanishes."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=shops)
    mood = 0.8 * size + rng.normal(size=shops)
    value = 0.5 * mood - 0.8 * size + 0.5 * rng.normal(size=shops)
    staff = pd.DataFrame({"shop": np.repeat(range(shops), 8)})
    staff["mood"] = mood[staff["shop"]] + rng.normal(size=len(staff))
    first = rng.integers(0, shops, guests)
    second = (first + rng.integers(1, 5, guests)) % shops
    share = rng.uniform(0.3, 0.7, guests) if most > 1 else np.ones(guests)
    customers = pd.DataFrame({"customer": range(guests)})
    customers["value"] = share * value[first] + (1 - share) * value[second] + rng.normal(size=guests)
    served = pd.DataFrame({"customer": np.tile(range(guests), 2), "shop": np.concatenate([first, second]),
                           "weight": np.concatenate([share, 1 - share])})  # fmt: skip
    units = pd.DataFrame({"shop": range(shops), "size": size})
    return {"sides": {"staff": staff, "guests": customers}, "units": units, "unit": "shop", "assignments": served,
            "draws": 2}, first  # fmt: skip


def test_covariates_of_units_count_for_their_customers_by_shares():
    given, _ = served_by_several(1)
    plain, found = (fit_two_sided("value ~ mood", covariates=names, **given) for names in ([], ["size"]))
    link = kind(found, "link").iloc[0]
    assert link["conf_low"] < 0.5 < link["conf_high"]
    assert kind(plain, "link").iloc[0]["conf_high"] < 0.5
    slopes = kind(found, "covariate")
    for name, truth in {"mood": 0.8, "value": 0.5 * 0.8 - 0.8}.items():
        row = slopes.loc[(name, "size")]
        assert abs(row["estimate"] - truth) < 3 * row["std_error"] < 0.6


def test_covariates_of_units_with_one_unit_a_customer_are_those_of_the_ordinary_fit():
    given, shop = served_by_several(2, most=1, shops=40, guests=500)
    shared = fit_two_sided("value ~ mood", covariates=["size"], **given)
    own = given["sides"]["guests"].assign(shop=shop)
    given = {**given, "sides": {**given["sides"], "guests": own}, "assignments": None}
    plain = fit_two_sided("value ~ mood", covariates=["size"], **given)
    for what in ("link", "mean", "covariate"):
        for column in ("estimate", "std_error"):
            np.testing.assert_allclose(kind(shared, what)[column], kind(plain, what)[column], rtol=1e-5, atol=1e-7)
    assert shared.core.chisq == pytest.approx(plain.core.chisq, abs=1e-4)


def test_customers_of_a_unit_without_its_covariate_are_left_out():
    given, _ = served_by_several(3, shops=40, guests=500)
    given["units"].loc[7, "size"] = np.nan
    there = given["assignments"].query("shop == 7")["customer"].nunique()
    found = fit_two_sided("value ~ mood", covariates=["size"], **given)
    assert found.glance()["n_guests"].iloc[0] == 500 - there
    assert len(found.keys) == 39
    told = {note.subject: note.text for note in found.notes() if note.code == "no_covariate"}
    assert f"{there} of 500 respondents of guests" in told["guests"]
    guests = given["sides"]["guests"].sample(frac=1.0, random_state=1)
    mixed = {**given, "sides": {**given["sides"], "guests": guests}}
    again = fit_two_sided("value ~ mood", covariates=["size"], **mixed)
    np.testing.assert_allclose(kind(again, "link")["estimate"], kind(found, "link")["estimate"], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "covariates", "error", "said"),
    [
        ({}, ["tenures"], DataError, "which no table has"),
        ({}, ["mood"], UsageError, "in the chain as well"),
        ({}, ["tenure", "tenure"], UsageError, "twice"),
        ({"tenure": 1.0}, ["tenure"], DataError, "does not vary"),
        ({"tenure": np.inf}, ["tenure"], DataError, "does not vary|infinite"),
        ({"again": "tenure"}, ["tenure", "again"], SingularInformationError, "told apart"),
        ({"who": "code"}, ["who"], DataError, "categories"),
    ],
)
def test_covariates_that_cannot_be_are_refused(change, covariates, error, said):
    sides, units = two_sides(4, units=20)
    staff = sides["staff"].assign(code=[f"p{i}" for i in range(160)])
    for name, value in change.items():
        staff[name] = staff[value] if isinstance(value, str) else value
    with pytest.raises(error, match=said):
        fit_two_sided("value ~ mood", sides={**sides, "staff": staff}, units=units, unit="shop", covariates=covariates)


@pytest.mark.parametrize("text", ["level: 1\nmood ~ tenure\nlevel: 2\nvalue ~ mood", "value ~ mood\nvalue ~ 0*1"])
def test_levels_and_fixed_means_are_refused_in_words(text):
    sides, units = two_sides(4, units=20)
    with pytest.raises(UnsupportedError, match=r"covariates=|always free"):
        fit_two_sided(text, sides=sides, units=units, unit="shop")


@pytest.fixture
def study(tmp_path):
    def build(chain):
        path = spc.make_firm(seed=4, units=30).write(tmp_path / "firm")
        staff = pd.read_csv(path.parent / "employees.csv")
        staff.assign(tenure=np.random.default_rng(1).exponential(3, len(staff))).to_csv(
            path.parent / "employees.csv", index=False
        )
        text = path.read_text(encoding="utf-8")
        text = text.replace('preset = "service-profit-chain"', chain)
        path.write_text(text, encoding="utf-8")
        return spc.read_study(path)

    return build


def test_a_study_names_its_covariates(study):
    asked = study('model = "customer_value ~ employee_satisfaction"\ncovariates = ["tenure", "region"]')
    chain = spc.fit_chain(asked, draws=10)
    slopes = kind(chain, "covariate").reset_index()
    assert set(slopes["rhs"]) == {"tenure", "region: North", "region: South", "region: West"}
    assert "tenure, region" in next(note.text for note in chain.notes() if note.code == "covariates")
    means = spc.fit_chain(asked, draws=10, method="unit_means")
    assert "covariates" in {note.code for note in means.notes()}


def test_a_covariate_of_a_study_that_no_table_has_is_found_before_the_fit(study):
    with pytest.raises(DataError, match="the covariate 'tenur', which no table has"):
        study('model = "customer_value ~ employee_satisfaction"\ncovariates = ["tenur"]')
