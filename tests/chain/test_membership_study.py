import numpy as np
import pandas as pd
import pytest

import spc
from spc.chain.two_sided import fit_two_sided
from spc.study import check_study

TEXT = "value ~ mood\nprofit ~ value"
DOCUMENT = """
[study]
name = "Shops"
currency = "EUR"
[tables.employee_responses]
file = "staff.csv"
[tables.customer_responses]
file = "guests.csv"
[tables.units]
file = "units.csv"
{assignments}
[constructs.mood]
table = "employee_responses"
items = ["m1", "m2"]
scale = [1, 7]
[constructs.value]
table = "customer_responses"
items = ["v1", "v2"]
scale = [1, 7]
[constructs.profit]
table = "units"
items = ["profit"]
[chain]
model = '''
value ~ mood
profit ~ value
'''
{lags}
"""
ASSIGNED = '[tables.assignments]\nfile = "assignments.csv"'
LAGS = '[[chain.lags]]\nfrom = "mood"\nto = "value"\nwaves = 1'
LATER = """[constructs.later]
table = "employee_responses"
items = ["m1", "m2"]
scale = [1, 7]
"""
UNITS = 40


def tables(seed=1):
    """Two years; a quarter of the staff answer twice; guests of two shops, who go elsewhere in the next year."""
    rng = np.random.default_rng(seed)
    shop = np.array([f"S{i:02}" for i in range(UNITS)])
    real = {}
    mood = rng.normal(size=UNITS)
    for year in (2024, 2025):
        value = 0.6 * mood + rng.normal(0, 0.8, UNITS)
        real[year] = {"mood": mood, "value": value, "profit": 0.6 * value + rng.normal(0, 0.8, UNITS)}
        mood = 0.3 * mood + rng.normal(0, 0.95, UNITS)
    staff, guests, units, served = [], [], [], []
    for year, own in real.items():
        at = np.repeat(np.arange(UNITS), 8)
        person = np.arange(at.size) + (0 if year == 2024 else 3 * at.size // 4)
        staff.append(answers(own["mood"][at], rng, "m").assign(respondent=person, unit=shop[at], wave=year))
        first = rng.integers(0, UNITS, 600)
        second = (first + rng.integers(1, UNITS, 600)) % UNITS
        share = rng.uniform(0.2, 0.8, 600)
        name = [f"C{year}-{i}" for i in range(600)]
        views = share * own["value"][first] + (1 - share) * own["value"][second]
        guests.append(answers(views, rng, "v").assign(respondent=name, customer=name, wave=year))
        for where, weight in ((first, share), (second, 1 - share)):
            served.append(pd.DataFrame({"customer": name, "unit": shop[where], "from": f"{year}-01-01",
                                        "to": f"{year}-12-31", "weight": weight}))  # fmt: skip
        other = rng.integers(0, UNITS, 600)
        served.append(pd.DataFrame({"customer": name, "unit": shop[other], "from": f"{year + 1}-01-01", "weight": 1.0}))
        units.append(pd.DataFrame({"unit": shop, "wave": year, "profit": own["profit"]}))
    return {"staff": pd.concat(staff), "guests": pd.concat(guests), "units": pd.concat(units),
            "assignments": pd.concat(served)}  # fmt: skip


def answers(values, rng, letter):
    return pd.DataFrame({
        f"{letter}{i}": np.clip(np.rint(4 + 0.6 * values + rng.normal(0, 0.9, values.size)), 1, 7) for i in (1, 2)
    })  # fmt: skip


def study(folder, made, *, assigned=True, lagged=True):
    for name, table in made.items():
        if assigned or name != "assignments":
            table.to_csv(folder / f"{name}.csv", index=False)
    text = DOCUMENT.format(assignments=ASSIGNED if assigned else "", lags=LAGS if lagged else "")
    path = folder / "study.toml"
    path.write_text(text)
    return path


def with_own_shop(made):
    rng = np.random.default_rng(9)
    guests = made["guests"].assign(unit=rng.choice(made["units"]["unit"].unique(), len(made["guests"])))
    return {**made, "guests": guests}


def links(fit):
    table = fit.tidy()
    return table[table["kind"] == "link"].set_index(["lhs", "rhs"])


def test_each_side_is_taken_at_its_wave_with_the_assignments_of_that_year(tmp_path):
    made = tables()
    chain = spc.fit_chain(spc.read_study(study(tmp_path, made)), method="two_sided", draws=100)
    fit = chain.sem
    assert set(fit.core.units.sides) == {"employee_wave_2024", "customer_wave_2025"}
    staff = made["staff"].query("wave == 2024").assign(mood=lambda t: t[["m1", "m2"]].mean(axis=1))
    guests = made["guests"].query("wave == 2025").assign(value=lambda t: t[["v1", "v2"]].mean(axis=1))
    units = made["units"].query("wave == 2025")
    rows = made["assignments"]
    rows = rows[(rows["from"] == "2025-01-01") & rows["customer"].str.startswith("C2025")]
    by_hand = fit_two_sided(
        TEXT, sides={"staff": staff[["unit", "mood"]], "guests": guests[["customer", "value"]]},
        units=units[["unit", "profit"]], unit="unit", assignments=rows, draws=100,
    )  # fmt: skip
    np.testing.assert_allclose(links(fit)["estimate"], links(by_hand)["estimate"], rtol=1e-7)
    said = {note.code: note.text for note in chain.notes()}
    assert "from 2025-01-01 to 2025-12-31" in said["assignment_period"]
    assert "600 of 600 customers" in said["several_targets"]


def test_without_assignments_sides_of_two_waves_are_those_of_hand_picked_rows(tmp_path):
    made = with_own_shop(tables(2))
    fit = spc.fit_chain(spc.read_study(study(tmp_path, made, assigned=False)), method="two_sided", draws=100).sem
    staff = made["staff"].query("wave == 2024").assign(mood=lambda t: t[["m1", "m2"]].mean(axis=1))
    guests = made["guests"].query("wave == 2025").assign(value=lambda t: t[["v1", "v2"]].mean(axis=1))
    by_hand = fit_two_sided(
        TEXT, sides={"staff": staff[["unit", "mood"]], "guests": guests[["unit", "value"]]},
        units=made["units"].query("wave == 2025")[["unit", "profit"]], unit="unit", draws=100,
    )  # fmt: skip
    np.testing.assert_allclose(links(fit)["estimate"], links(by_hand)["estimate"], rtol=1e-7)


def test_the_lag_finds_the_link_that_one_wave_does_not_have(tmp_path):
    """Value follows the mood of its own year here, and that of the year before hardly: .6 against .18."""
    made = tables(3)
    same = links(spc.fit_chain(spc.read_study(study(tmp_path, made, lagged=False)), method="two_sided", draws=50).sem)
    late = links(spc.fit_chain(spc.read_study(study(tmp_path, made)), method="two_sided", draws=50).sem)
    assert same.loc[("value", "mood"), "std_all"] > late.loc[("value", "mood"), "std_all"] + 0.15


def test_units_absent_in_one_wave_count_with_what_they_have(tmp_path):
    made = with_own_shop(tables(4))
    gone = made["staff"]["unit"].isin(["S00", "S01"]) & (made["staff"]["wave"] == 2024)
    made["staff"] = made["staff"][~gone]
    chain = spc.fit_chain(spc.read_study(study(tmp_path, made, assigned=False)), method="two_sided", draws=50)
    assert chain.nunits == UNITS
    assert "2 of 40 units have no employees of wave 2024" in " ".join(n.text for n in chain.notes())
    assert np.isfinite(chain.sem.augment().set_index("unit").loc["S00", "mood"])


def test_people_who_answer_in_two_waves_of_one_side_are_counted(tmp_path):
    made = with_own_shop(tables(5))
    path = study(tmp_path, made, assigned=False)
    later = LATER + "[constructs.profit]"
    text = path.read_text().replace("[constructs.profit]", later)
    text = text.replace("value ~ mood\n", "later ~ mood\nvalue ~ later\n").replace('to = "value"', 'to = "later"')
    path.write_text(text)
    chain = spc.fit_chain(spc.read_study(path), method="two_sided", draws=50)
    assert set(chain.sem.core.units.sides) == {"employee_wave_2024", "employee_wave_2025", "customer_wave_2025"}
    note = next(note for note in chain.notes() if note.code == "waves_apart")
    assert "80 employees answered in wave 2024 (320 answers) and in wave 2025 (320)" in note.text
    made["staff"]["respondent"] = np.arange(len(made["staff"]))
    study(tmp_path, made, assigned=False)
    path.write_text(text)
    chain = spc.fit_chain(spc.read_study(path), method="two_sided", draws=50)
    assert "waves_apart" not in {note.code for note in chain.notes()}


def test_the_check_reports_assignments(tmp_path):
    made = tables(6)
    rows = made["assignments"]
    made["assignments"] = pd.concat([
        rows[rows["customer"] != "C2024-1"],
        pd.DataFrame({"customer": ["C2024-1", "C2024-2"], "unit": ["S99", "S01"], "from": ["2024-01-01", "2030-01-01"],
                      "to": ["2024-12-31", "2029-01-01"], "weight": 1.0}),
    ])  # fmt: skip
    rules = {finding.rule for finding in check_study(study(tmp_path, made)).findings if finding.table == "assignments"}
    assert {"wrong_order", "unknown_key"} <= rules


@pytest.mark.parametrize("method", ["unit_means", "two_sided"])
def test_customers_without_a_unit_have_that_of_their_assignments(tmp_path, method):
    chain = spc.fit_chain(spc.read_study(study(tmp_path, tables(7))), method=method, draws=50)
    assert chain.nunits == UNITS


def test_rivals_hold_units_out_with_each_customer_in_one_unit(tmp_path):
    made = tables(8)
    found = spc.rivals(spc.read_study(study(tmp_path, made, lagged=False)), method="two_sided", folds=4, draws=100)
    assert "largest_share" in {note.code for note in found.notes()}
    assert np.isfinite(found.tidy()["estimate"]).any()


@pytest.mark.parametrize("function", [spc.link_shapes, spc.link_methods])
def test_others_take_customers_without_a_unit_as_well(tmp_path, function):
    read = spc.read_study(study(tmp_path, tables(9), lagged=False))
    assert len(function(read, draws=99).tidy()) > 0
