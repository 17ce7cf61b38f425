import numpy as np
import pandas as pd
import pytest

import spc
from spc.chain.encounters import fit_encounters
from spc.errors import DataError, UnsupportedError

DOCUMENT = """
[study]
name = "Advisers"
currency = "EUR"
[tables.employee_responses]
file = "staff.csv"
[tables.customer_responses]
file = "guests.csv"
[tables.assignments]
file = "assignments.csv"
[constructs.mood]
table = "employee_responses"
items = ["m1", "m2", "m3"]
scale = [1, 9]
[constructs.value]
table = "customer_responses"
items = ["v1", "v2"]
scale = [1, 9]
[chain]
meet = "employee"
model = "value ~ mood"
"""
PROFIT = """
[tables.units]
file = "units.csv"
[constructs.profit]
table = "units"
items = ["profit"]
"""


def answers(values, rng, letter, number):
    return pd.DataFrame({
        f"{letter}{i + 1}": np.clip(np.rint(5 + 1.2 * values + rng.normal(0, 1.0, values.size)), 1, 9)
        for i in range(number)
    })  # fmt: skip


def write(folder, seed=1, document=DOCUMENT, employees=100, guests=500):
    rng = np.random.default_rng(seed)
    mood = rng.normal(size=employees)
    effect = 0.6 * mood + rng.normal(0, 0.5, employees)
    first = rng.integers(0, employees, guests)
    second = (first + rng.integers(1, employees, guests)) % employees
    staff = answers(mood, rng, "m", 3).assign(respondent=[f"E{i}" for i in range(employees)])
    views = 0.5 * effect[first] + 0.5 * effect[second] + rng.normal(0, 0.7, guests)
    customers = answers(views, rng, "v", 2).assign(customer=[f"C{i}" for i in range(guests)])
    customers["respondent"] = customers["customer"]
    rows = pd.DataFrame({"customer": np.tile(customers["customer"], 2), "respondent": staff["respondent"].to_numpy()[
        np.concatenate([first, second])]})  # fmt: skip
    for name, table in {"staff": staff, "guests": customers, "assignments": rows}.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    path = folder / "study.toml"
    path.write_text(document)
    return path, staff, customers, rows


def test_a_study_of_employees_and_their_customers(tmp_path):
    path, staff, customers, rows = write(tmp_path)
    chain = spc.fit_chain(spc.read_study(path), draws=100)
    items = staff[["m1", "m2", "m3"]]
    covariances = items.cov().to_numpy()
    alpha = 1.5 * (1 - np.trace(covariances) / covariances.sum())
    by_hand = fit_encounters(
        "value ~ mood", employees=staff[["respondent"]].assign(mood=items.mean(axis=1)),
        customers=customers[["customer"]].assign(value=customers[["v1", "v2"]].mean(axis=1)), assignments=rows,
        reliability={"mood": alpha}, draws=100,
    )  # fmt: skip
    mine, theirs = (f.tidy()[lambda t: t["kind"] == "link"].iloc[0] for f in (chain, by_hand))
    assert mine["estimate"] == pytest.approx(theirs["estimate"], rel=1e-7)
    assert mine["std_error"] == pytest.approx(theirs["std_error"], rel=1e-6)
    assert chain.level == "person"
    assert mine["label"] == "holds"
    codes = {note.code for note in chain.notes()}
    assert {"meet_employee", "known_error", "means_of_meetings", "several_targets"} <= codes
    plain = chain.tidy()[lambda t: t["kind"] == "regression"]["estimate"].iloc[0]
    assert abs(plain) < abs(mine["estimate"])


def test_units_have_no_place_where_employees_are_met(tmp_path):
    document = DOCUMENT.replace("[chain]", PROFIT + "[chain]")
    document = document.replace('"value ~ mood"', '"value ~ mood; profit ~ value"')
    path = write(tmp_path, document=document)[0]
    pd.DataFrame({"unit": ["A", "B"], "profit": [1.0, 2.0]}).to_csv(tmp_path / "units.csv", index=False)
    with pytest.raises(UnsupportedError, match="profit"):
        spc.fit_chain(spc.read_study(path))


def test_the_assignments_must_name_employees(tmp_path):
    path, _, _, rows = write(tmp_path)
    rows.assign(unit="A").drop(columns="respondent").drop_duplicates().to_csv(tmp_path / "assignments.csv", index=False)
    with pytest.raises(DataError, match="respondent"):
        spc.fit_chain(spc.read_study(path))


def test_another_place_of_meeting_is_refused(tmp_path):
    path = write(tmp_path, document=DOCUMENT.replace('"employee"', '"counter"'))[0]
    with pytest.raises(DataError, match="counter"):
        spc.read_study(path)
