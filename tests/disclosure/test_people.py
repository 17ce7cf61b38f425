"""An intruder who has two reports of a study and subtracts the matrix of one from that of the other."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.disclosure import DisclosureRule, Gate
from spc.disclosure.memory import MEMORY
from spc.disclosure.people import answered, fewest_apart, least_people
from spc.errors import DataError
from spc.results import tidy_frame

ITEMS = [f"q{k}" for k in range(8)]
FEWEST = 5


def answers(n, seed=1):
    rng = np.random.default_rng(seed)
    mood = rng.normal(size=(n, 1))
    items = np.clip(np.round(4 + mood + rng.normal(size=(n, len(ITEMS)))), 1, 7)
    who = {"respondent": [f"p{k}" for k in range(n)], "unit": rng.choice(list("abcdef"), n)}
    return pd.DataFrame(who | dict(zip(ITEMS, items.T, strict=True)))


def study_of(rows, folder, rule=None):
    scales = tuple(
        SimpleNamespace(name=f"c{k}", table="employee_responses", items=tuple(ITEMS[4 * k : 4 * k + 4]), low=1, high=7)
        for k in range(2)
    )
    return SimpleNamespace(
        tables={"employee_responses": rows}, codebook=scales, folder=folder, disclosure=rule or DisclosureRule()
    )


@dataclass(frozen=True, eq=False)
class Matrix:
    """The replication appendix: covariances and means of all answers."""

    rows: pd.DataFrame
    kind: str = "refit"

    def tidy(self):
        cov, mean = np.cov(self.rows[ITEMS].T), self.rows[ITEMS].mean()
        found = [{"kind": "covariance", "lhs": one, "op": "~~", "rhs": two, "estimate": cov[i, j]}
                 for i, one in enumerate(ITEMS) for j, two in enumerate(ITEMS[: i + 1])]  # fmt: skip
        return tidy_frame(found + [{"kind": "mean", "lhs": name, "op": "~1", "estimate": mean[name]} for name in ITEMS])

    def glance(self):
        return pd.DataFrame({"nobs": [len(self.rows)]})

    def notes(self):
        return ()


@dataclass(frozen=True, eq=False)
class Means(Matrix):
    """Any other result."""

    kind: str = "drivers"


def report(rows, folder, made=Matrix):
    """What a reader of a report gets to know."""
    gate = Gate.of(study_of(rows, folder))
    model = gate.model(made(rows))
    gate.remember()
    return model


def sums_of(model):
    """Number, sums and sums of products of all answers, from a report."""
    rows = model.tidy.frame
    n = int(model.glance.frame["nobs"].iloc[0])
    cov = rows[rows["kind"] == "covariance"].pivot(index="lhs", columns="rhs", values="estimate")
    cov = cov.reindex(index=ITEMS, columns=ITEMS).to_numpy()
    cov = np.where(np.isnan(cov), cov.T, cov)
    mean = rows[rows["kind"] == "mean"].set_index("lhs")["estimate"].reindex(ITEMS).to_numpy()
    return n, n * mean, (n - 1) * cov + n * np.outer(mean, mean)


def test_the_matrices_of_two_reports_tell_the_answers_of_one_person_to_whoever_is_let_have_both(tmp_path):
    rows = answers(200)
    (n, sums, _), (m, fewer, _) = (
        sums_of(report(part, tmp_path / name)) for name, part in (("one", rows), ("two", rows[1:]))
    )
    assert n - m == 1
    assert np.allclose(sums - fewer, rows.loc[0, ITEMS].to_numpy(float), atol=1e-6)


CHANGES = {
    "came": lambda rows, few: rows.iloc[few:],
    "left": lambda rows, few: pd.concat([rows, answers(few, seed=9).assign(respondent=[f"x{k}" for k in range(few)])]),
    "answered otherwise": lambda rows, few: rows.assign(q3=rows["q3"].where(np.arange(len(rows)) >= few, 0.5)),
    "moved": lambda rows, few: rows.assign(unit=rows["unit"].where(np.arange(len(rows)) >= few, "other")),
    "came, beside a scale put right": lambda rows, few: rows.assign(q0=8 - rows["q0"]).iloc[few:],
    "came, beside a lost column": lambda rows, few: rows.drop(columns="q7").iloc[few:],
}  # fmt: skip


@pytest.mark.parametrize("few", [1, 4])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("named", [True, False])
def test_a_report_on_nearly_the_same_people_is_refused(change, few, named, tmp_path):
    rows = answers(200)
    before = CHANGES[change](rows, few)
    given_ = (before, rows) if named else (before.drop(columns="respondent"), rows.drop(columns="respondent"))
    Gate.of(study_of(given_[0], tmp_path)).remember()
    gate = Gate.of(study_of(given_[1], tmp_path))
    assert 0 < gate.apart <= few
    with pytest.raises(DataError, match="differ from those behind an earlier report by fewer than 5 people"):
        gate.model(Means(given_[1]))


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("late", [[1, 2, 3], [2]])
def test_each_wave_is_held_against_the_same_wave(named, late, tmp_path):
    """Two people of three waves are two, and stay two beside a wave that is new."""
    waves = pd.concat([answers(100, seed).assign(wave=seed) for seed in (1, 2, 3)], ignore_index=True)
    some = waves[~(waves["respondent"].isin(["p0", "p1"]) & waves["wave"].isin(late))]
    now, before = (rows if named else rows.drop(columns="respondent") for rows in (waves, some[some["wave"] < 3]))
    Gate.of(study_of(before, tmp_path)).remember()
    gate = Gate.of(study_of(now, tmp_path))
    assert gate.apart == 2
    with pytest.raises(DataError, match="fewer than 5 people"):
        gate.check_people()


def test_a_question_that_one_wave_was_not_asked_has_nobody_there():
    waves = pd.concat([answers(100, seed).assign(wave=seed) for seed in (1, 2)], ignore_index=True)
    later = waves.assign(q0=waves["q0"].where(waves["wave"] == 2))
    assert list(answered({"t": later}, {"t": ["q0"]})) == ["t.q0.2"]
    assert list(answered({"t": later.astype({"wave": float})}, {"t": ["q0"]})) == ["t.q0.2"]


def test_many_newcomers_are_many_where_people_have_no_code_and_no_unit(tmp_path):
    rows = answers(1000)[ITEMS]
    Gate.of(study_of(rows[:100], tmp_path)).remember()
    gate = Gate.of(study_of(rows, tmp_path))
    assert gate.apart == 900
    assert not gate.coarse


def test_a_third_report_is_held_against_the_first(tmp_path):
    rows = answers(400)
    for part in (rows[:200], rows[:300]):
        Gate.of(study_of(part, tmp_path)).remember()
    with pytest.raises(DataError):
        report(rows[:203], tmp_path, Means)


def test_the_same_people_again_are_told_in_full(tmp_path):
    rows = answers(200)
    first = report(rows, tmp_path).tidy.frame
    again = report(rows.sample(frac=1, random_state=1).astype(dict.fromkeys(ITEMS, int)), tmp_path).tidy.frame
    assert np.allclose(first["estimate"], again["estimate"], rtol=1e-12)


def test_where_few_more_came_there_is_no_matrix_and_no_number_has_more_than_three_digits(tmp_path):
    rows = answers(200)
    report(rows[6:], tmp_path)
    matrix, others = report(rows, tmp_path), report(rows, tmp_path, Means)
    assert matrix.tidy.frame["estimate"].isna().all()
    assert matrix.tidy.hidden == len(matrix.tidy.frame)
    shown = others.tidy.frame["estimate"]
    assert [float(f"{value:.3g}") for value in shown] == shown.tolist()
    gate = Gate.of(study_of(rows, tmp_path))
    gate.model(Matrix(rows))
    assert gate.log().frame["of"].tolist() == ["matrix"]


def test_where_many_came_there_is_a_matrix_again(tmp_path):
    rows = answers(200)
    report(rows[60:], tmp_path)
    assert report(rows, tmp_path).tidy.hidden == 0


def test_a_first_report_on_few_people_has_no_matrix_either(tmp_path):
    few = least_people(len(ITEMS))
    assert report(answers(few - 1), tmp_path / "a").tidy.hidden > 0
    assert report(answers(few), tmp_path / "b").tidy.hidden == 0


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), came=st.integers(0, 9), left=st.integers(0, 9), changed=st.integers(0, 9))
def test_people_are_never_counted_as_more_than_they_are(seed, came, left, changed):
    rows = answers(120, seed)
    before, now = rows.iloc[came:], rows.iloc[: len(rows) - left].copy()
    now.loc[now.index[50 : 50 + changed], "q0"] += 0.5
    for drop in ([], ["respondent"]):
        one, two = (answered({"t": f.drop(columns=drop)}, {"t": ["q0"]}) for f in (before, now))
        found = fewest_apart(two, [one])
        differ = came + left + changed
        assert found <= differ if differ else found == np.inf
        assert found >= (differ - 3) / (2 if drop else 1) - 2 or found == np.inf


def test_the_memory_holds_no_answer(tmp_path):
    """Sums of fingerprints, as many for sixty people as for a thousand."""
    for n in (60, 1000):
        folder = tmp_path / str(n)
        Gate.of(study_of(answers(n), folder)).remember()
        people = json.loads((folder / MEMORY).read_text("utf-8"))["people"]
        assert [len(found["drawers"]) for found in people[0].values()] == [4096] * len(ITEMS)


def test_a_memory_of_before_people_were_kept_is_read(tmp_path):
    Path(tmp_path / MEMORY).write_text('{"releases": []}', encoding="utf-8")
    assert Gate.of(study_of(answers(50), tmp_path)).apart == np.inf


def test_a_damaged_memory_of_people_stops_the_report(tmp_path):
    text = '{"releases": [], "people": [{"t.q": {"n": 3, "named": true, "drawers": "00ff"}}]}'
    Path(tmp_path / MEMORY).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read"):
        Gate.of(study_of(answers(50), tmp_path))
