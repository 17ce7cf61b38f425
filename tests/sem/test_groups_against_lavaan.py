"""Every model of tests/reference/lavaan_groups.R: several groups, with every estimator that one group has."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spc.errors import SpcWarning
from spc.moments import Moments
from spc.sem import fit, fit_measures, r_square, standardized
from spc.sem.fit import SemFit
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "lavaan_groups.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}
ROWS = {name: pd.DataFrame(columns) for name, columns in REFERENCE["rows"].items()}

EXACT = ("npar", "df", "baseline_df")
# Where divisors are n - 1, groups weigh n_g - 1 here, in estimates and errors, so that groups that share nothing are
# fits of their own. lavaan weighs some of it by n_g: errors of least squares, and all of the Wishart likelihood.
BY_ROWS = {
    "hs_wishart": (3e-4, 1e-3),
    "hs_gls": (1e-6, 1e-3),
    "sites_gls": (1e-6, 1e-3),
    "sites_uls": (1e-6, 1e-3),
    "sites_wls": (1e-6, 1e-3),
    "sites_wls_metric": (1e-6, 1e-3),
}
LOOSE = {"rmsea_ci_lower": 1e-5, "rmsea_ci_upper": 1e-5, "rmsea_notclose_pvalue": 1e-5}
MODEL_OPTIONS = ("std_lv", "meanstructure", "fixed_x", "growth")
Case = dict[str, Any]
Key = tuple[str, str, str, str]
_FITS: dict[str, SemFit] = {}


def fitted(name: str) -> SemFit:
    if name not in _FITS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SpcWarning)
            _FITS[name] = _fit(CASES[name])
    return _FITS[name]


def _fit(case: Case) -> SemFit:
    options = dict(case["options"])
    own = {key: options.pop(key) for key in MODEL_OPTIONS if key in options}
    if options.get("estimator") == "ULSM":
        options["estimator"] = "ULS"
    equal = {"group_equal": case["equal"], "group_partial": case["partial"]}
    if own:
        own.setdefault("meanstructure", True)
        made = model(case["model"], groups=case["labels"], **equal, **own)
        equal = {}
    else:
        made = case["model"]
    if case["data"] in ROWS:
        return fit(made, ROWS[case["data"]], group=case["group"], **equal, **options)
    data = [Moments(m["names"], m["n"], m["means"], m["covariance"], group=m["group"]) for m in case["moments"]]
    return fit(made, data, **equal, **options)


def rows_of(table: pd.DataFrame) -> dict[Key, pd.Series]:
    found: dict[Key, pd.Series] = {}
    for _, row in table.iterrows():
        rhs = "" if row["op"] == ":=" else row["rhs"]
        found.setdefault((row["group"], row["lhs"], row["op"], rhs), row)
        if row["op"] == "~~":
            found.setdefault((row["group"], row["rhs"], row["op"], row["lhs"]), row)
    return found


def wanted(case: Case, key: str) -> list[tuple[Case, Key]]:
    rows = []
    for row in case[key]:
        if row["op"] in ("==", "<", ">"):
            continue
        label = case["labels"][row["group"] - 1] if row["op"] != ":=" else ""
        rows.append((row, (label, row["lhs"], row["op"], "" if row["op"] == ":=" else row["rhs"])))
    return rows


def far(ours: float, theirs: float | None, absolute: float, relative: float) -> str:
    """Empty when close enough, else how far."""
    if theirs is None or math.isnan(theirs):
        return "" if math.isnan(ours) else f"{ours!r} where lavaan has none"
    if math.isnan(ours):
        return f"none where lavaan has {theirs!r}"
    off, allowed = abs(ours - theirs), max(absolute, relative * abs(theirs))
    return f"{ours!r}, lavaan {theirs!r}, off by {off:.1e}, allowed {allowed:.1e}" if off > allowed else ""


def report(faults: list[str]) -> None:
    assert not faults, f"{len(faults)} differ:\n  " + "\n  ".join(faults)


@pytest.mark.parametrize("name", CASES)
def test_estimates_and_errors(name: str) -> None:
    case, found, faults = CASES[name], rows_of(fitted(name).tidy()), []
    for row, key in wanted(case, "estimates"):
        if key not in found:
            faults.append(f"{key}: no such row")
            continue
        se = row["se"] if row["se"] is not None and row["se"] > 0 else None
        value, error = BY_ROWS.get(name, (1e-6, 1e-4))
        checks = {
            "estimate": far(found[key]["estimate"], row["est"], value, value),
            "std_error": far(found[key]["std_error"], se, 1e-8, error),
        }
        faults += [f"{key}: {what} {off}" for what, off in checks.items() if off]
    assert len(found) >= len(wanted(case, "estimates"))
    report(faults)


@pytest.mark.parametrize("name", CASES)
def test_fit_measures(name: str) -> None:
    case, result = CASES[name], fitted(name)
    ours = fit_measures(result)
    theirs = {key.replace(".", "_"): value for key, value in case["fit"].items()}
    if "scaling_factor_h0" in theirs:
        # lavaan divides by the rows of the table that are free, equal ones counted apart.
        rows = sum(part.problem.active.size for part in result.parts)
        theirs["scaling_factor_h0"] *= rows / result.system.size
    value = BY_ROWS.get(name, (1e-6,))[0]
    faults = [f"{key}: {ours[key]}, lavaan {theirs[key]}" for key in EXACT if ours[key] != theirs[key]]
    faults += [f"{key}: not computed" for key in theirs if key not in ours]
    compared = ours.keys() & theirs.keys()
    if result.options.missing == "fiml":
        # lavaan's goodness-of-fit index measures against covariances of the available pairs, ours against the saturated
        # moments; and lavaan's corrected measures carry the tolerance of its EM.
        compared -= {"gfi", "agfi", "pgfi"}
        value = 1e-5
    for key in sorted(compared):
        scaled = name in BY_ROWS and ("scal" in key or "robust" in key)
        allowed = max(
            LOOSE.get(key, 1e-6), 1e-4 if scaled else value, 3e-5 if key == "rmsea_notclose_pvalue_robust" else 0
        )
        off = far(ours[key], theirs[key], allowed, allowed)
        faults += [f"{key}: {off}"] if off else []
    glance = result.glance().iloc[0]
    assert glance["ngroups"] == len(case["labels"])
    faults += [
        f"glance {key}: {glance[key]}"
        for key in sorted(ours.keys() & set(glance.index))
        if far(glance[key], ours[key], 1e-12, 1e-12)
    ]
    report(faults)


@pytest.mark.parametrize("name", CASES)
def test_standardised_solution(name: str) -> None:
    case, faults = CASES[name], []
    found, with_errors = rows_of(fitted(name).tidy()), rows_of(standardized(fitted(name)))
    for row, key in wanted(case, "standardized"):
        se = row["se"] if row["se"] is not None and row["se"] > 1e-8 else None
        value, error = BY_ROWS.get(name, (1e-6, 1e-4))
        checks = {
            "std_all": far(found[key]["std_all"], row["est.std"], value, value),
            "estimate": far(with_errors[key]["estimate"], row["est.std"], value, value),
            "std_error": far(with_errors[key]["std_error"], se, 1e-7, error),
        }
        faults += [f"{key}: {what} {off}" for what, off in checks.items() if off]
    report(faults)


@pytest.mark.parametrize("name", CASES)
def test_explained_variance(name: str) -> None:
    ours, faults = r_square(fitted(name)), []
    for label, theirs in CASES[name]["r2"].items():
        for variable, value in theirs.items():
            if value is not None:
                allowed = BY_ROWS.get(name, (1e-6,))[0]
                off = far(ours[label, variable], value, allowed, allowed)
                faults += [f"{label} {variable}: {off}"] if off else []
    report(faults)


def test_the_reference_is_flat_enough_to_compare_with() -> None:
    assert max(case["last_step"] for case in CASES.values()) < 1e-8
    assert len(CASES) >= 20
    assert np.all([len(case["labels"]) > 1 for case in CASES.values()])
