"""Every model of tests/reference/lavaan_datasets.R: data sets that come with R, from their moments alone."""

from __future__ import annotations

import json
import math
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spc.errors import SpcWarning
from spc.linalg import FloatArray
from spc.moments import Moments
from spc.sem import fit, fit_measures, standardized
from spc.sem.fit import SemFit
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "lavaan_datasets.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}
# lavaan looks for the interval of RMSEA with a root finder of its default tolerance.
SEARCHED = ("rmsea_ci_lower", "rmsea_ci_upper", "rmsea_notclose_pvalue")
Key = tuple[str, str, str]


def whole(triangle: list[float]) -> FloatArray:
    """The symmetric matrix whose lower triangle is given column by column."""
    size = round((math.sqrt(8 * len(triangle) + 1) - 1) / 2)
    matrix = np.zeros((size, size))
    first, second = np.triu_indices(size)
    matrix[first, second] = matrix[second, first] = triangle
    return matrix


@cache
def moments(key: str) -> Moments:
    found = REFERENCE["moments"][key]
    higher = whole(found["higher"]) if found.get("higher") else None
    return Moments(found["names"], found["n"], found["means"] or None, found["covariance"], higher)


@cache
def fitted(name: str) -> SemFit:
    case = CASES[name]
    options = dict(case["options"])
    likelihood = options.pop("likelihood", "normal")
    estimator = "ULS" if case["estimator"] == "ULSM" else case["estimator"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        made = model(case["model"], **options)
        return fit(made, moments(case["data"]), likelihood=likelihood, estimator=estimator)


def keys(row: Any) -> list[Key]:
    lhs, op, rhs = row["lhs"], row["op"], row["rhs"]
    if op == ":=":
        return [(lhs, op, "")]
    return [(lhs, op, rhs), (rhs, op, lhs)] if op == "~~" else [(lhs, op, rhs)]


def rows(table: Any) -> dict[Key, dict[str, Any]]:
    return {key: row for row in table.to_dict("records") for key in reversed(keys(row))}


def close(ours: float, theirs: float | None, relative: float, absolute: float) -> bool:
    return math.isnan(ours) if theirs is None else math.isclose(ours, theirs, rel_tol=relative, abs_tol=absolute)


@pytest.mark.parametrize("name", CASES)
def test_estimates_errors_and_intervals(name: str) -> None:
    found, faults = rows(fitted(name).tidy()), []
    for row in CASES[name]["estimates"]:
        if row["op"] in ("==", "<", ">"):
            continue
        ours = found[keys(row)[0]]
        fine = close(ours["estimate"], row["est"], 1e-6, 1e-6)
        if row["se"] is not None and row["se"] > 1e-9:
            fine &= close(ours["std_error"], row["se"], 1e-5, 1e-9) and close(ours["statistic"], row["z"], 1e-4, 1e-5)
            fine &= close(ours["p_value"], row["pvalue"], 1e-3, 1e-6)
            fine &= close(ours["conf_low"], row["ci.lower"], 1e-5, 1e-5)
            fine &= close(ours["conf_high"], row["ci.upper"], 1e-5, 1e-5)
        else:
            fine &= math.isnan(ours["std_error"])
        faults += [] if fine else [(row, ours)]
    assert not faults


@pytest.mark.parametrize("name", CASES)
def test_standardised_solution(name: str) -> None:
    found, faults = rows(standardized(fitted(name))), []
    for row in CASES[name]["standardized"]:
        if row["op"] in ("==", "<", ">"):
            continue
        ours = found[keys(row)[0]]
        fine = close(ours["estimate"], row["est.std"], 1e-6, 1e-6)
        if row["se"] is not None and row["se"] > 1e-8:
            fine &= close(ours["std_error"], row["se"], 1e-4, 1e-7)
        faults += [] if fine else [(row, ours)]
    assert not faults


@pytest.mark.parametrize("name", CASES)
def test_fit_measures(name: str) -> None:
    result = fitted(name)
    ours, faults = fit_measures(result), []
    theirs = {key.replace(".", "_"): value for key, value in CASES[name]["fit"].items()}
    if "scaling_factor_h0" in theirs and result.problem.size:
        # Under equality constraints lavaan divides by the parameters before they are equated.
        theirs["scaling_factor_h0"] *= result.problem.active.size / result.problem.size
    # Without degrees of freedom lavaan says NA or 1 for the critical N, as rounding has it.
    skipped = {"cn_05", "cn_01"} if ours["df"] == 0 else set()
    for key in theirs.keys() - skipped:
        room = 1e-5 if key.startswith(SEARCHED) else 1e-6
        if key not in ours or not close(ours[key], theirs[key], room, room):
            faults.append((key, ours.get(key), theirs[key]))
    assert not sorted(faults)
    glance = result.glance().iloc[0]
    for key in ours.keys() & set(glance.index):
        assert glance[key] == ours[key] or (math.isnan(glance[key]) and math.isnan(ours[key])), key


def test_the_reference_is_flat_enough_to_compare_with() -> None:
    assert len(CASES) >= 100
    assert max(case["last_step"] for case in CASES.values()) < 1e-9
