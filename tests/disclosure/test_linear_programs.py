"""An intruder who knows who is in which group, that answers lie on their scale, and every published mean and count.

Studies are made at random: units in regions, two sexes, earlier reports, waves. The intruder solves for the least and
the greatest mean that a protected group can have, by linear programs written here and not in the package.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from spc.disclosure import WIDTH, DisclosureRule, Gate, gate
from spc.disclosure import atoms as atoms_module
from spc.disclosure import crossing as crossing_module

LOW, HIGH, FEWEST = 1.0, 7.0, 5
OPEN = WIDTH * (HIGH - LOW)
SEEDS = range(40)


def people_of(seed: int) -> pd.DataFrame:
    """One row a person; small units, and some where all answer alike or at an end of the scale."""
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(rng.integers(3, 9)):
        n = int(rng.choice([1, 2, 3, 4, 5, 6, 8, 12, 20]))
        middle, spread = rng.choice([1.0, 2.5, 4.0, 5.5, 7.0]), rng.choice([0.0, 0.5, 1.5])
        answers = np.clip(np.round(rng.normal(middle, spread, n), 1), LOW, HIGH)
        rows += [
            {"region": f"R{number % rng.integers(1, 4)}", "unit": f"U{number}", "sex": rng.choice(["f", "m"]), "y": y}
            for y in answers
        ]
    return pd.DataFrame(rows).assign(region=lambda f: f.groupby("unit")["region"].transform("first"))


def table_of(people: pd.DataFrame, *divisions: tuple[str, ...]) -> pd.DataFrame:
    """Means and counts by each of the divisions; ``()`` is the total."""
    keys = list(dict.fromkeys(name for division in divisions for name in division))
    parts = []
    for division in divisions:
        by = list(division) or np.zeros(len(people))
        found = people.groupby(by)["y"].agg(mean="mean", n="size").reset_index()
        parts.append(found.reindex(columns=[*keys, "mean", "n"]).astype(dict.fromkeys(keys, object)))
    frame = pd.concat(parts, ignore_index=True)
    return frame.astype(dict.fromkeys(keys, object)).where(frame.notna(), None).astype({"mean": float, "n": int})


class Intruder:
    """Collects what is published about a fixed set of people."""

    def __init__(self, people: pd.DataFrame) -> None:
        self.people = people.reset_index(drop=True)
        self.rows: list[np.ndarray] = []
        self.told: list[float] = []
        self.slack: list[float] = []

    def members(self, key: dict) -> np.ndarray:
        chosen = np.ones(len(self.people), dtype=bool)
        for name, value in key.items():
            if value is not None and value == value:
                units = value.split(" + ") if name == "unit" else [value]
                chosen &= self.people[name].isin(units).to_numpy()
        return chosen

    def read(self, frame: pd.DataFrame, keys: list[str], digits: int = 2) -> None:
        for row in frame[frame["mean"].notna()].to_dict("records"):
            chosen = self.members({name: row[name] for name in keys})
            if row["n"] != chosen.sum():
                continue
            self.rows.append(chosen.astype(float))
            self.told.append(row["mean"] * row["n"])
            self.slack.append(row["n"] * 10.0**-digits / 2 + 1e-9)

    def bounds(self, group: np.ndarray) -> tuple[float, float]:
        """Least and greatest mean of a group of people."""
        weights = group.astype(float) / group.sum()
        if not self.rows:
            return LOW, HIGH
        a, b, s = np.array(self.rows), np.array(self.told), np.array(self.slack)
        ends = [
            linprog(sign * weights, A_ub=np.vstack([a, -a]), b_ub=np.concatenate([b + s, s - b]), bounds=(LOW, HIGH))
            for sign in (1.0, -1.0)
        ]
        assert all(end.status == 0 for end in ends)
        return ends[0].fun, -ends[1].fun

    def breaches(self, groups: list[dict]) -> list[tuple[dict, float]]:
        """Groups of too few people, and single persons, whose mean is known more closely than the stated width."""
        found = []
        for key in groups:
            chosen = self.members(key)
            low, high = self.bounds(chosen)
            if high - low < OPEN - 1e-6:
                found.append((key, high - low))
        for cell in np.unique(np.array(self.rows).T, axis=0) if self.rows else []:
            alike = np.flatnonzero((cell == np.array(self.rows).T).all(axis=1))
            one = np.zeros(len(self.people), dtype=bool)
            one[alike[0]] = True
            low, high = self.bounds(one)
            if high - low < OPEN - 1e-6:
                found.append(({"person": int(alike[0])}, high - low))
        return found


def small_groups(people: pd.DataFrame, *divisions: tuple[str, ...]) -> list[dict]:
    frame = table_of(people, *divisions)
    keys = [name for name in frame if name not in ("mean", "n")]
    return [{k: row[k] for k in keys} for row in frame.to_dict("records") if row["n"] < FEWEST]


def publish(guard: Gate, intruder: Intruder, people: pd.DataFrame, *divisions: tuple[str, ...]) -> None:
    frame = table_of(people, *divisions)
    keys = [name for name in frame if name not in ("mean", "n")]
    released = guard.groups(frame, keys=keys, values=["mean"], counts="n", limits=(LOW, HIGH), name="t", digits=2)
    intruder.read(released.frame, keys)


UNITS = (("region", "unit"), ("region",), ())
TABLES = {
    "hierarchy": [UNITS],
    "units without total": [(("unit",),)],
    "regions, then units": [(("region",),), (("unit",),)],
    "units, then regions, then the total": [(("unit",),), (("region",),), (("region",), ())],
    "a filter": [UNITS, (("region", "unit", "sex"),)],
    "margins that cross": [(("unit", "sex"), ("unit",), ("sex",), ())],
}


def hierarchy(people: pd.DataFrame) -> dict:
    return {unit: {"region": region} for unit, region in zip(people["unit"], people["region"], strict=True)}


def attack(seed: int, tables: str, folder=None) -> list:
    people = people_of(seed)
    guard = Gate(DisclosureRule(), hierarchy=hierarchy(people), folder=folder)
    intruder = Intruder(people)
    for divisions in TABLES[tables]:
        publish(guard, intruder, people, *divisions)
    listed = [division for divisions in TABLES[tables] for division in divisions]
    return intruder.breaches(small_groups(people, *dict.fromkeys(listed)))


@pytest.mark.parametrize("tables", TABLES)
@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_nothing_of_few_is_known_closely(tables, seed):
    assert attack(seed, tables) == []


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), order=st.permutations(["hierarchy", "units without total", "a filter"]))
def test_several_reports_of_a_study_are_no_more_than_one(seed, order, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    people = people_of(seed)
    intruder = Intruder(people)
    for tables in order:
        guard = Gate(DisclosureRule(), hierarchy=hierarchy(people), folder=folder)
        for divisions in TABLES[tables]:
            publish(guard, intruder, people, *divisions)
        guard.remember()
    assert intruder.breaches(small_groups(people, ("unit",), ("region",), ("unit", "sex"))) == []


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_small_units_put_together(seed):
    people = people_of(seed)
    guard = Gate(DisclosureRule(merge_into="region"), hierarchy=hierarchy(people))
    intruder = Intruder(people)
    publish(guard, intruder, people, *UNITS)
    assert intruder.breaches(small_groups(people, ("unit",), ("region",))) == []


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), late=st.integers(1, 6))
def test_answers_that_come_late_are_not_the_difference_of_two_reports(seed, late, tmp_path_factory):
    """The first report misses the last answers of a unit; all else is the same."""
    folder = tmp_path_factory.mktemp("study")
    people = people_of(seed)
    unit = people["unit"].value_counts().index[0]
    missing = people.index[people["unit"] == unit][-late:]
    intruder = Intruder(people.assign(late=people.index.isin(missing)))
    for known in (people.drop(missing), people):
        guard = Gate(DisclosureRule(), hierarchy=hierarchy(people), folder=folder)
        frame = table_of(known, *UNITS)
        released = guard.groups(
            frame, keys=["region", "unit"], values=["mean"], counts="n", limits=(LOW, HIGH), name="t", digits=2
        ).frame
        guard.remember()
        for row in released[released["mean"].notna()].to_dict("records"):
            chosen = intruder.members({name: row[name] for name in ("region", "unit")})
            chosen &= people.index.isin(known.index)
            intruder.rows.append(chosen.astype(float))
            intruder.told.append(row["mean"] * row["n"])
            intruder.slack.append(row["n"] * 0.005 + 1e-9)
    groups = [{"late": True}] if len(missing) < FEWEST else []
    assert intruder.breaches([*groups, *small_groups(people, ("unit",), ("region",))]) == []


def told_by_waves(seed: int, digits: int) -> list[tuple]:
    """Who came between two waves, where all who stay answer the same: intervals of their mean, with rounding."""
    rng = np.random.default_rng(seed)
    people = people_of(seed)
    people["came"] = rng.choice([1, 1, 1, 1, 2, 2, 3], len(people))
    frames = [table_of(people[people["came"] <= wave], *UNITS).assign(wave=wave) for wave in (1, 2, 3)]
    frame = pd.concat(frames, ignore_index=True)
    shown = Gate(hierarchy=hierarchy(people)).groups(
        frame, keys=["region", "unit", "wave"], values=["mean"], counts="n", limits=(LOW, HIGH), name="t", digits=digits
    )  # fmt: skip
    seen = shown.frame[shown.frame["mean"].notna()]
    found = []
    for _, rows in seen.groupby([seen["region"].astype(str), seen["unit"].astype(str)]):
        for one, two in combinations(rows.sort_values("wave").to_dict("records"), 2):
            d = two["n"] - one["n"]
            if 0 < d < FEWEST:
                middle = (two["n"] * two["mean"] - one["n"] * one["mean"]) / d
                half = (two["n"] + one["n"]) * 10.0**-digits / 2 / d
                width = min(middle + half, HIGH) - max(middle - half, LOW)
                if width < OPEN - 1e-9:
                    found.append((one, two, width))
    return found


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), digits=st.integers(0, 3))
def test_who_came_between_two_waves_is_not_told(seed, digits):
    assert told_by_waves(seed, digits) == []


def test_the_intruder_finds_who_came_where_waves_are_not_compared(monkeypatch):
    monkeypatch.setattr(gate, "close_waves", lambda groups, n, values, **_: np.zeros(len(n), dtype=bool))
    assert any(told_by_waves(seed, 2) for seed in SEEDS)


def never(cells, people, sums, minimum):
    return np.zeros_like(sums, dtype=bool)


BROKEN = {
    "only small groups are hidden": [(gate, "suppress", lambda cells, *, minimum, **_: (cells.people < minimum) * 1)],
    "no width": [(atoms_module, "_open", lambda *_: True), (atoms_module, "at_one_end", never)],
    "ends of the scale": [(atoms_module, "at_one_end", never)],
}


@pytest.mark.parametrize("fault", BROKEN)
def test_the_intruder_finds_what_a_broken_rule_lets_out(fault, monkeypatch):
    for module, name, wrong in BROKEN[fault]:
        monkeypatch.setattr(module, name, wrong)
    assert any(attack(seed, "hierarchy") for seed in SEEDS)


def test_the_intruder_finds_what_a_broken_rule_for_margins_lets_out(monkeypatch):
    monkeypatch.setattr(crossing_module, "_open", lambda *_: True)
    monkeypatch.setattr(crossing_module, "at_one_end", lambda *_: np.zeros(1, dtype=bool))
    assert any(attack(seed, "margins that cross") for seed in SEEDS)


def test_the_intruder_finds_what_a_gate_without_a_hierarchy_lets_out(monkeypatch):
    monkeypatch.setattr(Gate, "_placed", lambda self, keys: keys)
    assert any(attack(seed, "regions, then units") for seed in SEEDS)


def test_the_intruder_finds_what_two_gates_without_memory_let_out():
    found = []
    for seed in SEEDS:
        people = people_of(seed)
        intruder = Intruder(people)
        for divisions in ((("region",),), (("unit",),)):
            publish(Gate(hierarchy=hierarchy(people)), intruder, people, *divisions)
        found += intruder.breaches(small_groups(people, ("unit",), ("region",)))
    assert found
