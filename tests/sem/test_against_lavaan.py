"""Every model of tests/reference/lavaan_ml.R: same estimates, errors, fit measures and standardised solution."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spc.errors import DroppedRowsWarning, SpcWarning
from spc.moments import Moments
from spc.sem import fit, fit_measures, r_square, standardized
from spc.sem.fit import SemFit
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "lavaan_ml.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}

EXACT = ("npar", "df", "baseline_df", "ntotal")
# lavaan looks for the interval of RMSEA with a root finder of its default tolerance.
LOOSE = {"rmsea_ci_lower": 1e-5, "rmsea_ci_upper": 1e-5, "rmsea_notclose_pvalue": 1e-5}
Case = dict[str, Any]
_FITS: dict[str, SemFit] = {}


def moments_of(case: Case) -> Moments:
    m = case["moments"]
    return Moments(m["names"], m["n"], m["means"] or None, m["covariance"])


def fitted(case: Case) -> SemFit:
    if case["name"] not in _FITS:
        options = dict(case["options"])
        likelihood = options.pop("likelihood", "normal")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SpcWarning)
            _FITS[case["name"]] = fit(model(case["model"], **options), moments_of(case), likelihood=likelihood)
    return _FITS[case["name"]]


def rows_of(table: pd.DataFrame) -> dict[tuple[str, str, str], pd.Series]:
    found: dict[tuple[str, str, str], pd.Series] = {}
    for _, row in table.iterrows():
        found.setdefault((row["lhs"], row["op"], row["rhs"]), row)
        if row["op"] == "~~":
            found.setdefault((row["rhs"], row["op"], row["lhs"]), row)
        if row["op"] == ":=":
            found.setdefault((row["lhs"], ":=", ""), row)
    return found


def wanted(case: Case, key: str = "estimates") -> Iterator[tuple[Case, tuple[str, str, str]]]:
    for row in case[key]:
        if row["op"] in (":=",):
            yield row, (row["lhs"], ":=", "")
        elif row["op"] not in ("==", "<", ">"):
            yield row, (row["lhs"], row["op"], row["rhs"])


def far(ours: float, theirs: float | None, absolute: float, relative: float) -> str:
    """Empty when close enough, else how far."""
    if theirs is None or math.isnan(theirs):
        return "" if math.isnan(ours) else f"{ours!r} where lavaan has none"
    if math.isnan(ours):
        return f"none where lavaan has {theirs!r}"
    off = abs(ours - theirs)
    allowed = max(absolute, relative * abs(theirs))
    return f"{ours!r}, lavaan {theirs!r}, off by {off:.1e}, allowed {allowed:.1e}" if off > allowed else ""


def same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))


def report(faults: list[str]) -> None:
    assert not faults, f"{len(faults)} differ:\n  " + "\n  ".join(faults)


@pytest.mark.parametrize("name", CASES)
def test_estimates(name: str) -> None:
    case, found, faults = CASES[name], rows_of(fitted(CASES[name]).tidy()), []
    for row, key in wanted(case):
        if key not in found:
            faults.append(f"{key}: no such row")
            continue
        off = far(found[key]["estimate"], row["est"], 1e-6, 1e-6)
        faults += [f"{key}: estimate {off}"] if off else []
    report(faults)


@pytest.mark.parametrize("name", CASES)
def test_standard_errors_and_intervals(name: str) -> None:
    case, found, faults = CASES[name], rows_of(fitted(CASES[name]).tidy()), []
    for row, key in wanted(case):
        ours = found[key]
        estimated = row["se"] is not None and row["se"] > 0
        se = row["se"] if estimated else None
        checks = {
            "std_error": far(ours["std_error"], se, 1e-8, 1e-4),
            "statistic": far(ours["statistic"], row["z"] if estimated else None, 1e-4, 1e-4),
            "p_value": far(ours["p_value"], row["pvalue"] if estimated else None, 1e-5, 1e-3),
            "conf_low": far(ours["conf_low"], row["ci.lower"], 1e-4, 1e-4) if estimated else "",
            "conf_high": far(ours["conf_high"], row["ci.upper"], 1e-4, 1e-4) if estimated else "",
        }
        faults += [f"{key}: {what} {off}" for what, off in checks.items() if off]
    report(faults)


@pytest.mark.parametrize("name", CASES)
def test_fit_measures(name: str) -> None:
    case, ours = CASES[name], fit_measures(fitted(CASES[name]))
    theirs = {key.replace(".", "_"): value for key, value in case["fit"].items()}
    faults = [f"{key}: {ours[key]}, lavaan {theirs[key]}" for key in EXACT if ours[key] != theirs[key]]
    faults += [f"{key}: not computed" for key in theirs if key not in ours]
    # Without degrees of freedom lavaan says NA or 1 for the critical N, as rounding has it.
    skipped = {"cn_05", "cn_01"} if ours["df"] == 0 else set()
    for key in ours.keys() & theirs.keys() - skipped:
        off = far(ours[key], theirs[key], LOOSE.get(key, 1e-6), 1e-6)
        faults += [f"{key}: {off}"] if off else []
    glance = fitted(case).glance().iloc[0]
    faults += [
        f"glance {key}: {glance[key]}" for key in ours.keys() & set(glance.index) if not same(glance[key], ours[key])
    ]
    report(sorted(faults))


@pytest.mark.parametrize("name", CASES)
def test_standardised_solution(name: str) -> None:
    case, faults = CASES[name], []
    found, with_errors = rows_of(fitted(case).tidy()), rows_of(standardized(fitted(case)))
    for row, key in wanted(case, "standardized"):
        estimated = row["se"] is not None and row["se"] > 1e-8
        checks = {
            "std_all": far(found[key]["std_all"], row["est.std"], 1e-6, 1e-6),
            "estimate": far(with_errors[key]["estimate"], row["est.std"], 1e-6, 1e-6),
            "std_error": far(with_errors[key]["std_error"], row["se"] if estimated else None, 1e-7, 1e-4),
        }
        faults += [f"{key}: {what} {off}" for what, off in checks.items() if off]
    report(faults)


@pytest.mark.parametrize("name", CASES)
def test_explained_variance(name: str) -> None:
    ours, faults = r_square(fitted(CASES[name])), []
    for variable, theirs in CASES[name]["r2"].items():
        if theirs is not None:
            off = far(ours[variable], theirs, 1e-6, 1e-6)
            faults += [f"{variable}: {off}"] if off else []
    report(faults)


def test_listwise_rows_are_the_complete_ones() -> None:
    case = CASES["listwise_rows"]
    frame = pd.DataFrame(case["rows"]).astype(float)
    with pytest.warns(DroppedRowsWarning):
        result = fit(case["model"], frame)
    assert result.glance()["nobs"].iloc[0] == case["moments"]["n"] < len(frame)
    assert any("row" in note.text for note in result.notes())
    ours = result.tidy().set_index(["lhs", "op", "rhs"])["estimate"]
    for row, key in wanted(case):
        assert ours[key] == pytest.approx(row["est"], rel=1e-5, abs=1e-5), key


def test_the_reference_is_flat_enough_to_compare_with() -> None:
    assert max(case["last_step"] for case in CASES.values()) < 1e-7
    assert len(CASES) >= 14
    assert np.all([case["fit"]["npar"] > 0 for case in CASES.values()])
