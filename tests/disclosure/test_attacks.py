"""Attempts to get at the answers of few people through what the gate lets out."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spc.disclosure import DisclosureRule, Gate
from spc.errors import DataError

RULE = DisclosureRule()


def firm(seed=1, regions=3, units=4):
    """Units in regions with their totals; counts small enough that some must be hidden."""
    rng = np.random.default_rng(seed)
    rows = [
        {"region": f"R{r}", "unit": f"U{r}{u}", "n": int(rng.integers(1, 12)), "score": float(rng.uniform(1, 7))}
        for r in range(regions)
        for u in range(units)
    ]
    return pd.concat([pd.DataFrame(rows), *totals(pd.DataFrame(rows))], ignore_index=True)


def totals(frame):
    def mean(part):
        return float(np.average(part["score"], weights=part["n"]))

    by = [
        {"region": region, "unit": None, "n": int(part["n"].sum()), "score": mean(part)}
        for region, part in frame.groupby("region")
    ]
    return pd.DataFrame(by), pd.DataFrame(
        [{"region": None, "unit": None, "n": int(frame["n"].sum()), "score": mean(frame)}]
    )


def release(gate, frame, **options):
    given_ = {"keys": ["region", "unit"], "values": ["score"], "counts": "n", "name": "scores", **options}
    return gate.groups(frame, **given_)


def solved(frame, table):
    """Cells of few people whose sum of scores is determined by the means and counts that are shown."""
    cells = frame[frame["unit"].notna()].reset_index(drop=True)
    shown = table.frame[table.frame["score"].notna()]
    system = np.array(
        [
            [
                (row.region is None or row.region == cell.region) and (row.unit is None or row.unit == cell.unit)
                for cell in cells.itertuples()
            ]
            for row in shown.itertuples()
        ],
        dtype=float,
    ).reshape(len(shown), len(cells))
    rank = np.linalg.matrix_rank(system) if len(shown) else 0
    found = []
    for i, cell in enumerate(cells.itertuples()):
        unit_vector = np.eye(len(cells))[i]
        if cell.n < 5 and np.linalg.matrix_rank(np.vstack([system, unit_vector])) == rank:
            found.append(cell.unit)
    return found


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000))
def test_no_small_unit_is_solved_from_means_counts_parents_and_total(seed):
    frame = firm(seed)
    assert solved(frame, release(Gate(RULE), frame)) == []


def test_total_minus_the_rest():
    frame = pd.DataFrame(
        {
            "region": ["N"] * 3 + [None],
            "unit": ["a", "b", "c", None],
            "n": [2, 10, 20, 32],
            "score": [1.5, 4.0, 5.0, 4.47],
        }
    )
    shown = release(Gate(RULE), frame).frame
    known = shown[shown["unit"].notna() & shown["score"].notna()]
    left = 32 - known["n"].sum()
    assert left >= 5
    assert left != 2


def test_parent_minus_siblings():
    frame = firm(3)
    shown = release(Gate(RULE), frame).frame
    for region, part in shown[shown["unit"].notna()].groupby("region"):
        parent = shown[(shown["region"] == region) & shown["unit"].isna()]
        if parent["n"].notna().all():
            rest = int(parent["n"].iloc[0]) - int(part["n"].sum())
            assert rest == 0 or rest >= 5


def test_from_one_wave_to_the_next():
    frame = pd.DataFrame(
        {"unit": ["a", "a", "b", "b"], "wave": [1, 2, 1, 2], "n": [10, 11, 10, 20], "score": [4.0, 4.2, 3.0, 3.3]}
    )
    shown = Gate(RULE).groups(frame, keys=["unit", "wave"], values=["score"], counts="n", name="waves", digits=2).frame
    assert shown["score"].isna().tolist() == [False, True, False, True]


def test_a_change_too_small_to_show_through_rounding_is_kept():
    frame = pd.DataFrame({"wave": [1, 2], "n": [500, 502], "score": [4.0, 4.1]})
    shown = Gate(RULE).groups(frame, keys=["wave"], values=["score"], counts="n", name="firm", limits=(1, 7)).frame
    assert shown["score"].notna().all()


def test_a_second_table_of_the_same_people_through_the_same_gate():
    units = pd.DataFrame({"unit": ["a", "b", "c"], "n": [3, 9, 20], "score": [2.0, 4.0, 5.0]})
    total = pd.DataFrame({"unit": [None, "b", "c"], "n": [32, 9, 20], "score": [4.4, 4.0, 5.0]})
    gate = Gate(RULE)
    first = gate.groups(units, keys=["unit"], values=["score"], counts="n", name="units").frame
    second = gate.groups(total, keys=["unit"], values=["score"], counts="n", name="total").frame
    assert first["score"].isna().tolist() == [True, True, False]
    assert second["score"].isna().tolist() == [False, True, False]


def test_a_finer_table_after_a_coarser_one():
    gate = Gate(RULE)
    coarse = pd.DataFrame({"unit": ["a", "b"], "n": [12, 20], "score": [2.0, 4.0]})
    fine = pd.DataFrame({"unit": ["a", "a"], "sex": ["f", "m"], "n": [10, 2], "score": [2.1, 1.5]})
    assert gate.groups(coarse, keys=["unit"], values=["score"], counts="n", name="units").hidden == 0
    assert gate.groups(fine, keys=["unit", "sex"], values=["score"], counts="n", name="by sex").hidden == 2


def test_a_released_row_again_with_one_person_more():
    gate = Gate(RULE)
    once = pd.DataFrame({"unit": ["a"], "n": [10], "score": [2.0]})
    gate.groups(once, keys=["unit"], values=["score"], counts="n", name="monday")
    again = gate.groups(once.assign(n=11, score=2.3), keys=["unit"], values=["score"], counts="n", name="tuesday")
    assert again.hidden == 1


@pytest.mark.parametrize("names", [("unit", "score", "n"), ("colour", "height", "weight")])
def test_other_column_names_hide_the_same(names):
    key, value, count = names
    frame = pd.DataFrame({key: ["a", "b", "c", None], value: [2.0, 4.0, 5.0, 4.4], count: [3, 9, 20, 32]})
    table = Gate(RULE).groups(frame, keys=[key], values=[value], counts=count, name="t")
    assert table.frame[value].isna().tolist() == [True, True, False, False]


@pytest.mark.parametrize("column", ["respondent", "Respondent", " employee_id ", "email", "customer"])
def test_persons_are_no_groups(column):
    frame = pd.DataFrame({column: ["p1", "p2"], "score": [2.0, 4.0], "n": [9, 9]})
    with pytest.raises(DataError, match="names people"):
        Gate(RULE).groups(frame, keys=[column], values=["score"], counts="n", name="t")


def test_persons_under_another_name_are_groups_of_one():
    frame = pd.DataFrame({"badge": [f"p{i}" for i in range(20)], "score": np.arange(20.0), "n": 1})
    assert Gate(RULE).groups(frame, keys=["badge"], values=["score"], counts="n", name="t").frame["score"].isna().all()


def test_a_count_released_as_a_value_is_hidden_with_it():
    frame = firm(5).assign(copy=lambda f: f["n"].astype(float))
    shown = release(Gate(RULE), frame, values=["score", "copy"]).frame
    assert (shown["copy"].isna() == shown["score"].isna()).all()


def test_no_form_of_the_export_holds_a_hidden_value():
    frame = firm(8)
    frame["score"] = frame["score"].round(2)
    gate = Gate(RULE)
    table = release(gate, frame)
    hidden = frame.loc[table.frame["score"].isna().to_numpy(), "score"]
    assert len(hidden)
    shown = set(table.frame["score"].dropna())
    texts = (
        json.dumps(table.records())
        + table.frame.to_csv()
        + repr(table)
        + table.frame.to_html()
        + gate.log().frame.to_csv()
    )
    for value in set(hidden) - shown:
        assert f"{value:.2f}" not in texts


def test_the_log_names_no_group_and_no_size():
    gate = Gate(RULE)
    frame = firm(8)
    release(gate, frame)
    log = gate.log().frame
    assert list(log.columns) == ["table", "of", "hidden", "reason"]
    assert not any(unit in log.to_csv() for unit in frame["unit"].dropna())
