"""Every model of tests/reference/lavaan_fiml.R: missing answers, same estimates, errors and fit measures."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from spc.errors import SpcWarning
from spc.sem import fit, fit_measures, standardized
from spc.sem.fit import SemFit
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_fiml.json").read_text())
FRAMES = {
    name: pd.DataFrame(item["rows"], columns=item["names"], dtype=float) for name, item in REFERENCE["frames"].items()
}
CASES = {case["name"]: case for case in REFERENCE["cases"]}
Case = dict[str, Any]
Row = tuple[str, str, str]
_FITS: dict[tuple[str, str], SemFit] = {}


def fitted(name: str, estimator: Literal["ML", "MLR"] = "ML") -> SemFit:
    if (name, estimator) not in _FITS:
        case = CASES[name]
        options = dict(case["options"])
        cluster = options.pop("cluster", None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SpcWarning)
            _FITS[name, estimator] = fit(
                model(case["model"], **options),
                FRAMES[case["data"]],
                estimator=estimator,
                missing="ml",
                cluster=cluster,
            )
    return _FITS[name, estimator]


def rows_of(table: pd.DataFrame) -> dict[Row, pd.Series]:
    found: dict[Row, pd.Series] = {}
    for _, row in table.iterrows():
        key = (row["lhs"], row["op"], "" if row["op"] == ":=" else row["rhs"])
        found[key] = row
        if row["op"] == "~~":
            found.setdefault((row["rhs"], "~~", row["lhs"]), row)
    return found


def wanted(case: Case, which: str) -> list[tuple[Row, dict[str, Any]]]:
    return [
        ((row["lhs"], row["op"], "" if row["op"] == ":=" else row["rhs"]), row)
        for row in case[which]
        if row["op"] not in ("==", "<", ">")
    ]


@pytest.mark.parametrize("name", CASES)
def test_estimates(name: str) -> None:
    found = rows_of(fitted(name).tidy())
    for key, row in wanted(CASES[name], "estimates"):
        assert found[key]["estimate"] == pytest.approx(row["est"], rel=1e-6, abs=1e-6), key


@pytest.mark.parametrize("estimator", ["ML", "MLR"])
@pytest.mark.parametrize("name", CASES)
def test_standard_errors(name: str, estimator: Literal["ML", "MLR"]) -> None:
    found = rows_of(fitted(name, estimator).tidy())
    for key, row in wanted(CASES[name], "estimates" if estimator == "ML" else "robust_estimates"):
        if row["se"]:
            assert found[key]["std_error"] == pytest.approx(row["se"], rel=1e-4), key
            assert found[key]["conf_low"] == pytest.approx(row["ci.lower"], rel=1e-4, abs=1e-4), key
        else:
            assert math.isnan(found[key]["std_error"]), key


@pytest.mark.parametrize("name", CASES)
def test_standardised_solution(name: str) -> None:
    found, with_errors = rows_of(fitted(name).tidy()), rows_of(standardized(fitted(name)))
    for key, row in wanted(CASES[name], "standardized"):
        assert found[key]["std_all"] == pytest.approx(row["est.std"], rel=1e-6, abs=1e-6), key
        if row["se"] and row["se"] > 1e-8:
            assert with_errors[key]["std_error"] == pytest.approx(row["se"], rel=1e-4), key


def apart_on_purpose(name: str, ours: dict[str, float]) -> set[str]:
    """Measures that are not lavaan's."""
    apart = set()
    if CASES[name]["data"] != "hs":
        # lavaan's goodness-of-fit index measures against covariances of the available pairs, so that even a saturated
        # model does not reach 1; ours against the saturated moments, as all other measures do.
        apart |= {"gfi", "agfi", "pgfi"}
    if CASES[name]["options"].get("fixed_x") is False:
        # lavaan corrects for missing answers with covariates held at their sample moments whatever the model says.
        apart |= {key for key in ours if key.endswith("_robust")}
    if ours["df"] == 0:
        # Without degrees of freedom lavaan says 1, 0 or NA, as rounding has it.
        apart |= {key for key in ours if key.startswith(("cn_", "tli", "nnfi", "rfi", "rmsea"))}
    return apart


@pytest.mark.parametrize("estimator", ["ML", "MLR"])
@pytest.mark.parametrize("name", CASES)
def test_fit_measures(name: str, estimator: Literal["ML", "MLR"]) -> None:
    ours = fit_measures(fitted(name, estimator))
    theirs = CASES[name]["fit" if estimator == "ML" else "robust_fit"]
    theirs = {key.replace(".", "_"): value for key, value in theirs.items()}
    for key in ("npar", "df", "baseline_df", "ntotal"):
        assert ours[key] == theirs[key], key
    if "scaling_factor_h0" in theirs:
        # lavaan divides by the number of free rows, those set equal counted each.
        problem = fitted(name, estimator).problem
        theirs["scaling_factor_h0"] *= problem.active.size / problem.size
    compared = ours.keys() & theirs.keys() - apart_on_purpose(name, ours)
    assert {"chisq", "baseline_chisq", "cfi", "srmr", "logl", "unrestricted_logl", "bic"} <= compared
    for key in compared:
        if theirs[key] is not None:
            assert ours[key] == pytest.approx(theirs[key], rel=1e-5, abs=2e-5), key


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case["options"].get("fixed_x") is False])
def test_corrected_measures_stay_near_where_covariates_are_random(name: str) -> None:
    ours, theirs = fit_measures(fitted(name)), CASES[name]["fit"]
    assert ours["cfi_robust"] == pytest.approx(theirs["cfi.robust"], abs=5e-4)
    assert ours["rmsea_robust"] == pytest.approx(theirs["rmsea.robust"], abs=2e-3)


def test_the_reference_is_flat_enough_to_compare_with() -> None:
    assert max(case["last_step"] for case in CASES.values()) < 1e-8
    assert np.isfinite([case["fit"]["chisq"] for case in CASES.values()]).all()
    assert len(CASES) >= 20
