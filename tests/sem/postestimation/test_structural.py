"""The structure's own fit against differences of lavaan's chi-squares, and what must hold of any model."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.disclosure import Gate
from spc.errors import SpcWarning, UnsupportedError, UsageError
from spc.sem import fit
from spc.sem.postestimation.structural import measurement_model, structural_fit
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_after.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}
SPLIT = [name for name, case in CASES.items() if case["structural"]]


@pytest.mark.parametrize("name", SPLIT)
def test_the_split_is_lavaans(fitted, name):
    theirs, found = CASES[name]["structural"], structural_fit(fitted(name))
    row = found.glance().iloc[0]
    assert (row["df_m"], row["df_s"]) == (theirs["measurement_df"], theirs["df"])
    assert row["chisq_m"] == pytest.approx(theirs["measurement_chisq"], rel=1e-5)
    assert row["chisq_s"] == pytest.approx(theirs["chisq"], abs=1e-4)
    assert row["chisq"] == pytest.approx(row["chisq_m"] + row["chisq_s"])
    if isinstance(theirs["rmsea_p"], float) and theirs["df"] > 0:
        assert row["rmsea_p"] == pytest.approx(theirs["rmsea_p"], abs=1e-4)


@pytest.mark.parametrize("options", [{"std_lv": True}, {"meanstructure": True}, {"fixed_x": False}])
@pytest.mark.parametrize("name", ["hs_structural", "hs_mimic", "pd_restricted", "pd_single"])
def test_scale_means_and_fixed_covariates_change_nothing(fitted, name, options):
    plain, other = structural_fit(fitted(name)), structural_fit(fitted(name, **options))
    for one, two in zip((plain.structure, plain.measurement), (other.structure, other.measurement), strict=True):
        assert one[1] == two[1]
        assert one[0] == pytest.approx(two[0], abs=1e-5)


def test_a_saturated_structure_is_no_test(fitted):
    result = structural_fit(fitted("pd_mediation"))
    assert result.structure == (pytest.approx(0.0, abs=1e-6), 0)
    assert math.isnan(result.rmsea_p)
    assert [note.code for note in result.notes()] == ["saturated_structure"]
    assert Gate().model(result).kind == "structural_fit"


def test_equal_loadings_stay_equal():
    text = CASES["hs_structural"]["model"].replace("x1 + x2 + x3", "x1 + a*x2 + a*x3") + "a > 0\n"
    text = text.replace("a > 0\n", "a == 0.7\n")
    apart = measurement_model(model(text))
    assert [row.free for row in apart.parameters if row.label == "a"] == [1, 1]
    assert [constraint.right for constraint in apart.constraints] == ["0.7"]
    shared = "f =~ a + b\ng =~ c + equal('f=~b')*d\ng ~ f"
    free = {(row.lhs, row.rhs): row.free for row in measurement_model(model(shared)).parameters}
    assert free["f", "b"] == free["g", "d"] > 0


def test_the_paths_are_found_wrong_where_they_are():
    rng = np.random.default_rng(9)
    n = 600
    first = rng.standard_normal(n)
    second = 0.6 * first + 0.8 * rng.standard_normal(n)
    third = 0.4 * first + 0.4 * second + 0.7 * rng.standard_normal(n)
    traits = {"Führung": first, "満足": second, "profit": third}
    items = {f"{name} {i}": t + 0.6 * rng.standard_normal(n) for name, t in traits.items() for i in range(3)}
    data = pd.DataFrame(items)
    text = "\n".join(f"`{n}s` =~ " + " + ".join(f"`{n} {i}`" for i in range(3)) for n in traits)
    found = structural_fit(fit(text + "\n`満足s` ~ `Führungs`\nprofits ~ `満足s`", data)).glance().iloc[0]
    assert found["df_s"] == 1
    assert found["pvalue_s"] < 1e-6
    assert found["rmsea_p"] > 0.15
    assert found["pvalue_m"] > 0.001


def test_refusals_say_why(fitted):
    with pytest.raises(UnsupportedError, match="No latent variable"):
        structural_fit(fitted("attitude_path"))
    with pytest.raises(UnsupportedError, match="x1: an indicator"):
        structural_fit(fitted("hs_cfa", CASES["hs_cfa"]["model"].replace("x1 + ", "x1 + ") + "speed ~ x1\n"))
    tied = "f =~ x1 + a*x2 + x3\ng =~ x4 + x5 + x6\ng ~ b*f\na == b\n"
    with pytest.raises(UnsupportedError, match="ties measurement"):
        structural_fit(fitted("hs_cfa", tied + "h =~ x7 + x8 + x9\n"))


def test_with_missing_answers_the_two_tests_are_those_of_the_two_fits() -> None:
    rng = np.random.default_rng(12)
    a = rng.normal(size=400)
    b = 0.5 * a + rng.normal(size=400)
    c = 0.5 * b + 0.3 * a + rng.normal(size=400)
    rows = pd.DataFrame(
        {f"{name}{k}": f + rng.normal(size=400) for name, f in (("a", a), ("b", b), ("c", c)) for k in range(3)}
    )
    rows = rows.mask(rng.random(rows.shape) < 0.1)
    items = "a =~ a0 + a1 + a2\nb =~ b0 + b1 + b2\nc =~ c0 + c1 + c2\n"
    found = structural_fit(fit(items + "b ~ a\nc ~ b", rows, missing="fiml")).glance().iloc[0]
    measured = fit(items, rows, missing="fiml").glance().iloc[0]
    assert found["df_s"] == 1
    assert found["chisq_m"] == pytest.approx(measured["chisq"], rel=1e-8)
    assert found["chisq_s"] == pytest.approx(found["chisq"] - measured["chisq"], rel=1e-6)
    full = structural_fit(fit(items + "b ~ a\nc ~ a + b", rows, missing="fiml")).glance().iloc[0]
    assert full["df_s"] == 0


FOLDER = Path(__file__).parents[2] / "reference"
OTHERS = json.loads((FOLDER / "lavaan_structural.json").read_text())["cases"]
THREE = "visual =~ x1 + x2 + x3\ntextual =~ x4 + x5 + x6\nspeed =~ x7 + x8 + x9\n"


@pytest.mark.parametrize("name", OTHERS)
def test_other_fits_are_split_as_lavaans_two_fits(name: str) -> None:
    case = OTHERS[name]
    schools = json.loads((FOLDER / "lavaan_invariance.json").read_text())["frames"]
    ordered = json.loads((FOLDER / "lavaan_ordinal.json").read_text())["data"]
    rows = pd.DataFrame({key: pd.Series(values) for key, values in (schools | ordered)[case["data"]].items()})
    options = {
        key.replace(".", "_"): value[0] if len(value) == 1 else tuple(value) for key, value in case["options"].items()
    }
    if "ordered" in options:
        options["missing"] = "listwise"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        whole = fit(THREE + case["structure"], rows, **options)
    row = structural_fit(whole, rows).glance().iloc[0]
    assert [row["df"], row["df_m"]] == case["df"]
    assert [row["chisq"], row["chisq_m"]] == pytest.approx(case["chisq"], rel=2e-4)
    assert row["chisq_s"] == pytest.approx(case["difference"], rel=2e-3)
    df, groups = case["df"][0] - case["df"][1], len(whole.groups) or 1
    scale = case["plain"] / case["difference"] if whole.options.estimator in ("MLM", "MLR") else 1.0
    wanted = max(scale * (case["difference"] - df) / df / whole.system.divisor * groups, 0.0) ** 0.5
    assert row["rmsea_p"] == pytest.approx(wanted, rel=2e-3)
    if whole.correction is None:
        assert structural_fit(whole).structure == pytest.approx((row["chisq_s"], df))
    else:
        with pytest.raises(UsageError, match="structural_fit"):
            structural_fit(whole)
