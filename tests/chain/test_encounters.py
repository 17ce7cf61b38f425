import numpy as np
import pandas as pd
import pytest

from spc.chain.encounters import fit_encounters
from spc.chain.membership import assignment_weights
from spc.errors import DataError, UsageError
from spc.sem import fit as fit_one_level

TEXT = "mood ~ quality\nvalue ~ mood"


def service(seed, employees=150, guests=800):
    """Employees' mood follows their quality by .5, guests' value the moods they meet by .4; reliabilities known."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=employees)
    mood = 0.5 * quality + rng.normal(0, 0.85, employees)
    effect = 0.4 * mood + rng.normal(0, 0.4, employees)
    number = rng.integers(1, 4, guests)
    guest = np.repeat(np.arange(guests), number)
    met = np.concatenate([rng.choice(employees, n, replace=False) for n in number])
    contacts = rng.gamma(2, size=guest.size)
    share = contacts / np.bincount(guest, contacts)[guest]
    staff = pd.DataFrame({"respondent": [f"E{i}" for i in range(employees)]})
    staff["quality"], staff["mood"] = quality + rng.normal(0, 0.6, employees), mood + rng.normal(0, 0.6, employees)
    views = np.bincount(guest, share * effect[met]) + rng.normal(size=guests)
    rows = pd.DataFrame({"customer": guest, "respondent": staff["respondent"].to_numpy()[met], "weight": contacts})
    return {
        "employees": staff,
        "customers": pd.DataFrame({"customer": range(guests), "value": views}),
        "assignments": rows,
        "reliability": {"quality": 1 / 1.36, "mood": 0.9725 / 1.3325},
    }


def links(fit):
    table = fit.tidy()
    return table[table["kind"] == "link"].set_index(["lhs", "rhs"])


def test_links_through_several_employees_are_found_where_the_largest_share_loses_them():
    """Ten firms: means within four of their errors; one employee a guest and raw scores halve the link."""
    found, plain = [], []
    for seed in range(10):
        parts = service(seed)
        table = links(fit_encounters(TEXT, draws=50, **parts))
        found.append([table.loc[("value", "mood"), "estimate"], table.loc[("mood", "quality"), "estimate"]])
        most = assignment_weights(parts["assignments"], target="respondent").majority()
        met = parts["employees"].set_index("respondent")["mood"][most[parts["customers"]["customer"]]]
        plain.append(np.polyfit(met.to_numpy(), parts["customers"]["value"], 1)[0])
    found = np.array(found)
    error = found.std(axis=0, ddof=1) / np.sqrt(10)
    assert (np.abs(found.mean(axis=0) - [0.4, 0.5]) < 4 * error).all()
    assert found.mean(axis=0)[0] > 0.33
    assert np.mean(plain) < 0.27


def test_known_error_corrects_as_in_one_level_models():
    """Guests without end make an employee's effect plain: the link is that of a single indicator with known error."""
    rng = np.random.default_rng(3)
    mood = rng.normal(size=60)
    staff = pd.DataFrame({"respondent": range(60), "mood": mood + rng.normal(0, 0.6, 60)})
    effect = 0.5 * mood + rng.normal(0, 0.5, 60)
    guests = pd.DataFrame({"customer": range(60 * 400), "value": np.repeat(effect, 400)})
    guests["value"] += rng.normal(0, 0.3, len(guests))
    rows = pd.DataFrame({"customer": guests["customer"], "respondent": np.repeat(range(60), 400)})
    fit = fit_encounters(
        "value ~ mood", employees=staff, customers=guests, assignments=rows, reliability={"mood": 0.7}, draws=50,
        boundary=False,
    )  # fmt: skip
    flat = pd.DataFrame({"x": staff["mood"], "value": guests["value"].groupby(np.repeat(range(60), 400)).mean()})
    error = 0.3 * flat["x"].var()
    one = fit_one_level(f"m =~ 1*x\nx ~~ {error}*x\nvalue ~ m", flat).tidy().query("op == '~'").iloc[0]
    link = links(fit).iloc[0]
    assert link["estimate"] == pytest.approx(one["estimate"], rel=2e-3)
    assert link["std_error"] == pytest.approx(one["std_error"], rel=2e-2)


def test_what_is_taken_as_known_is_said():
    parts = service(1)
    fit = fit_encounters(TEXT, draws=50, **{**parts, "reliability": {"mood": 0.73}})
    said = {note.code: note.text for note in fit.notes()}
    assert "mood 0.73" in said["known_error"]
    assert "quality" in said["no_known_error"]
    assert "independent" in said["meet_employee"]
    assert fit.glance()["nunits"].iloc[0] == 150
    assert list(fit.augment().columns[:2]) == ["employee", "n_customer"]


def test_employees_without_a_score_stay_for_their_customers():
    parts = service(2)
    parts["employees"].loc[:9, "mood"] = np.nan
    fit = fit_encounters(TEXT, draws=50, **parts)
    assert fit.glance()["nunits"].iloc[0] == 150
    assert "missing_outcome" in {note.code for note in fit.notes()}


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"reliability": {"mood": 1.2}}, UsageError, "1.2"),
        ({"reliability": {"value": 0.8}}, UsageError, "no construct of employees"),
        ({"employees": pd.DataFrame({"code": [1], "mood": [1.0]})}, DataError, "respondent"),
        ({"assignments": pd.DataFrame({"customer": [1], "unit": ["A"]})}, DataError, "respondent"),
    ],
)
def test_what_is_wrong_is_said(change, error, message):
    with pytest.raises(error, match=message):
        fit_encounters(TEXT, draws=50, **{**service(1), **change})


def test_an_employee_twice_is_refused():
    parts = service(1)
    twice = pd.concat([parts["employees"], parts["employees"].head(2)])
    with pytest.raises(DataError, match="2 rows of an employee"):
        fit_encounters(TEXT, draws=50, **{**parts, "employees": twice})


def test_assignments_of_units_are_refused():
    parts = service(1)
    units = assignment_weights(parts["assignments"].rename(columns={"respondent": "unit"}))
    with pytest.raises(UsageError, match="target"):
        fit_encounters(TEXT, draws=50, **{**parts, "assignments": units})
