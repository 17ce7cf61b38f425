"""Modification indices: lavaan's numbers, closed forms, and refitted models."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spc.errors import SpcWarning, UsageError
from spc.moments import Moments
from spc.sem import SemFit, fit
from spc.sem.postestimation.modification import modification_indices
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_inference.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["modification"]}
COLUMNS = {"mi": "mi", "epc": "epc", "sepc_lv": "sepc.lv", "sepc_all": "sepc.all", "sepc_nox": "sepc.nox"}
Key = tuple[str, str, str]


def fitted(case: dict[str, Any]) -> SemFit:
    options = dict(case["options"])
    likelihood = options.pop("likelihood", "normal")
    m = case["moments"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(
            model(case["model"], **options), Moments(m["names"], m["n"], m["means"], m["covariance"]),
            likelihood=likelihood,
        )  # fmt: skip


def keyed(table: pd.DataFrame) -> dict[Key, Any]:
    found = {}
    for row in table.itertuples():
        found[row.lhs, row.op, row.rhs] = row
        if row.op == "~~":
            found[row.rhs, row.op, row.lhs] = row
    return found


def explains_covariates(row: dict[str, Any], exogenous: tuple[str, ...]) -> bool:
    return row["lhs"] in exogenous


@pytest.mark.parametrize("name", CASES)
def test_as_lavaan(name: str) -> None:
    case = CASES[name]
    result = fitted(case)
    ours, seen = keyed(modification_indices(result, sort=False)), set()
    for row in case["rows"]:
        key = (row["lhs"], row["op"], row["rhs"])
        if explains_covariates(row, result.model.exogenous):
            assert key not in ours
            continue
        seen |= {key, (key[2], key[1], key[0])} if key[1] == "~~" else {key}
        for mine, theirs in COLUMNS.items():
            if mine.startswith("sepc") and row["op"] == "~~" and row["lhs"] == row["rhs"]:
                continue
            assert getattr(ours[key], mine) == pytest.approx(row[theirs], rel=1e-6, abs=1e-6), (key, mine)
    assert set(ours) == seen


def test_the_expected_change_of_a_variance_is_a_share_of_the_variance() -> None:
    result = fitted(CASES["hs_fixed_rows"])
    row = keyed(modification_indices(result))["x9", "~~", "x9"]
    place, at = result.problem.place, result.point.at
    i = place.variables.index("x9")
    assert row.sepc_all == pytest.approx(row.epc / (at.covariance[i, i] * result.problem.scale[i] ** 2))
    assert row.sepc_lv == pytest.approx(row.epc)


def test_sorted_and_cut() -> None:
    result = fitted(CASES["hs_cfa"])
    table = modification_indices(result, minimum=5.0)
    assert table["mi"].is_monotonic_decreasing
    assert table["mi"].min() >= 5.0
    everything = modification_indices(result, sort=False)
    assert len(table) == (everything["mi"] >= 5.0).sum()
    assert list(table.index) == list(range(len(table)))


def test_regression_in_closed_form() -> None:
    r = np.array([[1.0, 0.5, 0.4], [0.5, 1.0, 0.5], [0.4, 0.5, 1.0]])
    table = modification_indices(fit("y ~ m\nm ~ x", Moments(["x", "m", "y"], 200, None, r)))
    direct = keyed(table)["y", "~", "x"]
    partial = (0.4 - 0.25) / 0.75
    assert direct.mi == pytest.approx(200 * partial**2, rel=1e-9)
    assert direct.epc == pytest.approx((0.4 - 0.25) / (1 - 0.25), rel=1e-9)


def test_the_largest_index_foresees_the_next_model() -> None:
    """A Lagrange multiplier approximates the fall of the chi-square, and the expected change the estimate."""
    case = CASES["hs_cfa"]
    result = fitted(case)
    top = modification_indices(result).iloc[0]
    m = case["moments"]
    moments = Moments(m["names"], m["n"], m["means"], m["covariance"])
    freed = fit(f"{case['model']}\n{top['lhs']} {top['op']} {top['rhs']}", moments)
    fall = result.glance()["chisq"].iloc[0] - freed.glance()["chisq"].iloc[0]
    assert fall == pytest.approx(top["mi"], rel=0.2)
    rows = freed.tidy().query("lhs == @top.lhs and op == @top.op and rhs == @top.rhs")
    assert rows["estimate"].iloc[0] == pytest.approx(top["epc"], rel=0.35)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_change_nothing_but_units(factor: float) -> None:
    case = CASES["pd_free"]
    m = dict(case["moments"])
    scale = np.ones(len(m["names"]))
    scale[m["names"].index("y2")] = factor
    rescaled = {**case, "moments": {**m, "covariance": np.array(m["covariance"]) * np.outer(scale, scale)}}
    rescaled["moments"]["means"] = np.array(m["means"]) * scale
    one, other = (modification_indices(fitted(c), sort=False) for c in (case, rescaled))
    assert list(one["rhs"]) == list(other["rhs"])
    assert np.allclose(one["mi"], other["mi"], rtol=1e-5, atol=1e-6)
    assert np.allclose(one["sepc_all"], other["sepc_all"], rtol=1e-5, atol=1e-6)


def test_a_saturated_model_has_no_indices() -> None:
    r = np.array([[1.0, 0.5, 0.4], [0.5, 1.0, 0.5], [0.4, 0.5, 1.0]])
    table = modification_indices(fit("y ~ m + x\nm ~ x", Moments(["x", "m", "y"], 200, None, r)))
    assert table.empty
    assert list(table.columns) == ["lhs", "op", "rhs", "mi", "epc", "sepc_lv", "sepc_all", "sepc_nox"]


def test_a_negative_minimum_is_an_error() -> None:
    with pytest.raises(UsageError, match="zero or more"):
        modification_indices(fitted(CASES["hs_cfa"]), minimum=-1.0)
