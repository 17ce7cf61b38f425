import numpy as np
import pandas as pd
import pytest

from spc.chain.membership import assignment_weights
from spc.chain.two_sided import fit_two_sided
from spc.errors import DataError, UnsupportedError, UsageError
from spc.results import Result

TEXT = "value ~ mood\nloyalty ~ value\nprofit ~ loyalty"


def firm(seed=1, shops=50, most=3):
    """Staff of shops, guests of one to ``most`` shops of their town (five shops), profit of shops."""
    rng = np.random.default_rng(seed)
    mood = rng.normal(size=shops)
    value = 0.6 * mood + rng.normal(0, 0.8, shops)
    loyalty = 0.6 * value + rng.normal(0, 0.8, shops)
    shop = np.array([f"S{i:02}" for i in range(shops)])
    at = np.repeat(np.arange(shops), rng.integers(3, 12, shops))
    staff = pd.DataFrame({"shop": shop[at], "mood": mood[at] + rng.normal(0, 1.5, at.size)})
    guests = shops * 20
    number = rng.integers(1, most + 1, guests)
    guest = np.repeat(np.arange(guests), number)
    town = 5 * rng.integers(0, shops // 5, guests)
    met = np.concatenate([t + rng.choice(5, n, replace=False) for t, n in zip(town, number, strict=True)])
    contacts = rng.gamma(2, size=guest.size)
    share = contacts / np.bincount(guest, contacts)[guest]
    views = pd.DataFrame({"customer": [f"C{i}" for i in range(guests)]})
    views["value"] = np.bincount(guest, share * value[met]) + rng.normal(size=guests)
    views["loyalty"] = np.bincount(guest, share * loyalty[met]) + rng.normal(size=guests)
    rows = pd.DataFrame({"customer": views["customer"].to_numpy()[guest], "shop": shop[met], "weight": contacts})
    units = pd.DataFrame({"shop": shop, "profit": 0.5 * loyalty + rng.normal(0, 0.8, shops)})
    return {"staff": staff, "guests": views}, units, rows


def links(fit):
    table = fit.tidy()
    return table[table["kind"] == "link"].set_index(["lhs", "rhs"])


@pytest.fixture(scope="module")
def parts():
    return firm()


@pytest.fixture(scope="module")
def fit(parts):
    sides, units, rows = parts
    return fit_two_sided(TEXT, sides=sides, units=units, unit="shop", assignments=rows, draws=300)


def test_it_answers_as_every_two_sided_fit(fit):
    assert isinstance(fit, Result)
    glance = fit.glance().iloc[0]
    assert (glance["nunits"], glance["n_guests"]) == (50, 1000)
    assert glance["nobs"] == glance["n_staff"] + 1000
    assert glance["df"] == 3
    assert set(links(fit)["label"]) <= {"holds", "unclear"}
    assert "several units" in next(note.text for note in fit.notes() if note.code == "several_targets")
    table = fit.augment()
    assert len(table) == 50
    assert np.isfinite(table.drop(columns="shop").to_numpy(dtype=float)).all()


def test_one_shop_a_guest_is_the_ordinary_fit():
    sides, units, rows = firm(2, most=1)
    shared = fit_two_sided(TEXT, sides=sides, units=units, unit="shop", assignments=rows, draws=50)
    own = sides["guests"].merge(rows[["customer", "shop"]], on="customer")
    plain = fit_two_sided(TEXT, sides={**sides, "guests": own}, units=units, unit="shop", draws=50)
    one, other = (f.tidy()[lambda t: t["kind"].isin(["link", "variance", "mean"])] for f in (shared, plain))
    np.testing.assert_allclose(one["estimate"], other["estimate"], rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(one["std_error"], other["std_error"], rtol=1e-5, atol=1e-8)
    for column in ("chisq", "logl", "cfi", "rmsea", "baseline_chisq"):
        assert shared.glance()[column].iloc[0] == pytest.approx(plain.glance()[column].iloc[0], abs=1e-5)
    np.testing.assert_allclose(shared.augment().iloc[:, 1:], plain.augment().iloc[:, 1:], atol=1e-6)


def with_holes(sides, seed=1):
    """A third of the guests left one of two questions out: the more so the second, the lower their first answer."""
    rng = np.random.default_rng(seed)
    guests = sides["guests"].copy()
    shy = rng.random(len(guests)) < 1.0 / (1.0 + np.exp(1.5 * guests["value"]))
    guests.loc[shy & (rng.random(len(guests)) < 0.6), "loyalty"] = np.nan
    guests.loc[guests["loyalty"].notna() & (rng.random(len(guests)) < 0.1), "value"] = np.nan
    return {**sides, "guests": guests}


def test_partial_answers_of_guests_of_one_shop_count_as_in_the_ordinary_fit():
    sides, units, rows = firm(2, most=1)
    sides = with_holes(sides)
    shared = fit_two_sided(TEXT, sides=sides, units=units, unit="shop", assignments=rows, draws=50)
    own = sides["guests"].merge(rows[["customer", "shop"]], on="customer")
    plain = fit_two_sided(TEXT, sides={**sides, "guests": own}, units=units, unit="shop", draws=50)
    one, other = (f.tidy()[lambda t: t["kind"].isin(["link", "variance", "mean"])] for f in (shared, plain))
    np.testing.assert_allclose(one["estimate"], other["estimate"], rtol=1e-3, atol=1e-4)
    for column in ("chisq", "logl", "cfi", "rmsea", "baseline_chisq"):
        assert shared.glance()[column].iloc[0] == pytest.approx(plain.glance()[column].iloc[0], abs=1e-2)


def test_partial_answers_count_and_are_said(parts):
    sides, units, rows = parts
    some = with_holes(sides)
    lacking = int(some["guests"].isna().any(axis=1).sum())
    staff = some["staff"].assign(pace=np.random.default_rng(2).normal(size=len(some["staff"])))
    staff.loc[::5, "pace"] = np.nan
    text = "value ~ mood + pace\nloyalty ~ value"
    options = {"units": units, "unit": "shop", "assignments": rows, "draws": 50}
    fit = fit_two_sided(text, sides={**some, "staff": staff}, **options)
    said = {note.subject: note.text for note in fit.notes() if note.code == "partial_answers"}
    assert f"{lacking} of 1000" in said["guests"]
    assert "count with what they answered" in said["staff"]
    assert fit.glance()["nobs"].iloc[0] == len(staff) + 1000
    whole = fit_two_sided(TEXT, sides=some, **options, missing="listwise")
    assert whole.glance()["n_guests"].iloc[0] == 1000 - lacking


def test_answers_missing_by_what_was_answered_mislead_only_those_who_leave_them_out():
    """The mean of loyalty, which goes with a guest's own value, against that of the whole answers of four firms."""
    off = []
    for seed in range(4):
        sides, units, rows = firm(40 + seed)
        sides["guests"]["loyalty"] += 0.8 * sides["guests"]["value"]
        some = with_holes(sides, seed)
        means = []
        for given, missing in [(sides, "fiml"), (some, "fiml"), (some, "listwise")]:
            fit = fit_two_sided(TEXT, sides=given, units=units, unit="shop", assignments=rows, draws=2, missing=missing)
            means.append(fit.core.mu[fit.core.units.names.index("loyalty")])
        off.append([mean - means[0] for mean in means[1:]])
    counted, left_out = np.mean(off, axis=0)
    assert abs(counted) < 0.04
    assert left_out > 0.15


def test_where_too_many_different_things_are_left_out_guests_without_a_score_are_as_before(parts, monkeypatch):
    monkeypatch.setattr("spc.sem.twolevel.membership.LONGEST", 100)
    sides, units, rows = parts
    some = with_holes(sides)
    fit = fit_two_sided(TEXT, sides=some, units=units, unit="shop", assignments=rows, draws=2)
    assert fit.glance()["n_guests"].iloc[0] == some["guests"].notna().all(axis=1).sum()
    assert "are left out" in next(note.text for note in fit.notes() if note.code == "incomplete_scores")


def test_row_order_and_names_of_customers_change_nothing(parts, fit):
    sides, units, rows = parts
    mixed = {name: table.sample(frac=1, random_state=4) for name, table in sides.items()}
    mixed["guests"]["customer"] = "x" + mixed["guests"]["customer"]
    rows = rows.assign(customer="x" + rows["customer"]).sample(frac=1, random_state=5)
    again = fit_two_sided(TEXT, sides=mixed, units=units.iloc[::-1], unit="shop", assignments=rows, draws=300)
    np.testing.assert_allclose(links(again)["estimate"], links(fit)["estimate"], rtol=1e-6)


def test_weights_by_side_are_those_of_the_table(parts, fit):
    sides, units, rows = parts
    weights = assignment_weights(rows.rename(columns={"shop": "unit"}))
    for given in (weights, {"guests": weights}):
        again = fit_two_sided(TEXT, sides=sides, units=units, unit="shop", assignments=given, draws=300)
        np.testing.assert_allclose(links(again)["estimate"], links(fit)["estimate"], rtol=1e-9)


def test_customers_nobody_is_assigned_to_count_for_their_own_shop_or_are_left_out(parts):
    sides, units, rows = parts
    rows = rows[rows["customer"] != "C3"]
    fit = fit_two_sided(TEXT, sides=sides, units=units, unit="shop", assignments=rows, draws=50)
    assert fit.glance()["n_guests"].iloc[0] == 999
    assert "no_unit" in {note.code for note in fit.notes()}
    placed = {**sides, "guests": sides["guests"].assign(shop="S07")}
    fit = fit_two_sided(TEXT, sides=placed, units=units, unit="shop", assignments=rows, draws=50)
    assert fit.glance()["n_guests"].iloc[0] == 1000


def test_shops_that_no_guest_tells_apart_are_said_and_used():
    sides, units, rows = firm(3)
    rows = rows[~rows["shop"].isin(["S01"])]
    double = rows[rows["shop"] == "S00"].assign(shop="S01")
    fit = fit_two_sided(TEXT, sides=sides, units=units, unit="shop", assignments=pd.concat([rows, double]), draws=50)
    assert "tell 1 of them not apart" in next(note.text for note in fit.notes() if note.code == "units_alike")
    assert fit.glance()["nunits"].iloc[0] == 50
    assert fit.core.solution.converged


def test_the_parametric_bootstrap_draws_customers_of_several_shops():
    """60 replicates: a standard deviation is known to 9 %."""
    sides, units, rows = firm(5)
    options = {"sides": sides, "units": units, "unit": "shop", "assignments": rows}
    one = fit_two_sided(TEXT, **options, draws=100)
    many = fit_two_sided(TEXT, **options, bootstrap=60)
    np.testing.assert_allclose(links(many)["std_error"], links(one)["std_error"], rtol=0.4)


def test_employees_in_the_assignments_stand_for_their_shops(parts, fit):
    """Each guest meets one employee a shop, of the same name as the shop."""
    sides, units, rows = parts
    staff = sides["staff"].assign(respondent=range(len(sides["staff"])))
    first = staff.drop_duplicates("shop").set_index("shop")["respondent"]
    by_person = rows.assign(respondent=rows["shop"].map(first)).drop(columns="shop")
    again = fit_two_sided(
        TEXT, sides={**sides, "staff": staff}, units=units, unit="shop", assignments=by_person, draws=50
    )
    np.testing.assert_allclose(links(again)["estimate"], links(fit)["estimate"], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"errors": "robust"}, UnsupportedError, "observed"),
        ({"assignments": {"visitors": None}}, UsageError, "visitors"),
    ],
)
def test_what_has_no_method_says_so(parts, options, error, message):
    sides, units, rows = parts
    with pytest.raises(error, match=message):
        fit_two_sided(TEXT, sides=sides, units=units, unit="shop", **{"assignments": rows, "draws": 50, **options})


def test_a_side_without_customers_cannot_be_assigned(parts):
    sides, units, rows = parts
    bare = {**sides, "guests": sides["guests"].drop(columns="customer").assign(shop="S01")}
    with pytest.raises(DataError, match="customer"):
        fit_two_sided(TEXT, sides=bare, units=units, unit="shop", assignments=rows, draws=50)


def test_shops_written_differently_share_nothing(parts):
    sides, units, rows = parts
    with pytest.raises(DataError, match="share"):
        fit_two_sided(
            TEXT,
            sides=sides,
            units=units,
            unit="shop",
            assignments=rows.assign(shop=rows["shop"].str.lower()),
            draws=50,
        )
