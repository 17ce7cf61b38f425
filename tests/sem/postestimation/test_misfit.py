"""Residuals and their summary against lavaan, and against simulation."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.disclosure import Gate
from spc.errors import SpcWarning
from spc.moments import Moments
from spc.sem import fit, fit_measures, residuals
from spc.sem.postestimation.misfit import misfit
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_after.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}
SUMMARY = [
    "value",
    "std_error",
    "exact_z",
    "exact_pvalue",
    "unbiased",
    "unbiased_error",
    "unbiased_low",
    "unbiased_high",
]


def fitted(name):
    m = CASES[name]["moments"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        moments = Moments(m["names"], m["n"], m["means"], m["covariance"])
        return fit(model(CASES[name]["model"], **CASES[name]["options"]), moments)


def square(name, key):
    names = CASES[name]["moments"]["names"]
    return pd.DataFrame(np.array(CASES[name]["residuals"][key], dtype=float), index=names, columns=names)


@pytest.mark.parametrize("kind", ["raw", "bentler", "bollen", "normalized", "standardized"])
@pytest.mark.parametrize("name", CASES)
def test_residuals_are_lavaans(name, kind):
    found = misfit(fitted(name))
    ours, theirs = found.matrix(kind), square(name, kind)
    theirs = theirs.loc[ours.index, ours.columns]
    if kind in ("normalized", "standardized"):
        near = found.matrix("raw").abs() < 2e-5  # lavaan leaves these undivided
        ours, theirs = ours.mask(near), theirs.mask(near)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["raw", "normalized", "standardized"])
@pytest.mark.parametrize("name", ["hs_means", "growth", "hs_direct"])
def test_residuals_of_means_are_lavaans(name, kind):
    table = misfit(fitted(name)).table.query("op == '~1'").set_index("lhs")
    ours = table.loc[CASES[name]["moments"]["names"]]
    theirs = np.array(CASES[name]["residuals"][f"mean_{kind}"], dtype=float)
    far = ours["raw"].abs().to_numpy() > 2e-5
    np.testing.assert_allclose(ours[kind][far], theirs[far], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("index", ["srmr", "crmr"])
@pytest.mark.parametrize("name", CASES)
def test_summary_is_lavaans(name, index):
    theirs = np.array(CASES[name]["residuals"]["summary"][index], dtype=float)
    ours = misfit(fitted(name)).summary.loc[index, SUMMARY].to_numpy(dtype=float)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["hs_cfa", "growth"])
def test_indices_are_those_of_the_fit_measures(name):
    ours, known = misfit(fitted(name)).glance().iloc[0], fit_measures(fitted(name))
    assert ours["srmr"] == pytest.approx(known["srmr"])
    assert ours["crmr"] == pytest.approx(known["crmr"])
    pd.testing.assert_frame_equal(misfit(fitted(name)).matrix("raw"), residuals(fitted(name)), atol=1e-9)


def test_standardized_residuals_are_standard_normal_under_a_true_model():
    rng = np.random.default_rng(12)
    names = ["Stimmung 1", "Stimmung 2", "満足", "d"]
    text = model("f =~ `Stimmung 1` + `Stimmung 2` + `満足` + d")
    found = []
    for _ in range(300):
        data = rng.standard_normal((200, 1)) + rng.standard_normal((200, 4))
        missed = misfit(fit(text, Moments(names, 200, None, np.cov(data, rowvar=False))))
        found.append(missed.matrix("standardized").loc["d", "Stimmung 1"])
    assert np.mean(found) == pytest.approx(0.0, abs=0.2)
    assert np.std(found) == pytest.approx(1.0, abs=0.12)


def test_units_change_nothing_but_raw_residuals():
    m = CASES["hs_cfa"]["moments"]
    scale = np.array([1e6, 1, 1, 1, 1e-6, 1, 1, 1, 1])
    moved = fit(
        CASES["hs_cfa"]["model"], Moments(m["names"], m["n"], None, np.array(m["covariance"]) * np.outer(scale, scale))
    )
    ours, plain = misfit(moved), misfit(fitted("hs_cfa"))
    for kind in ("bentler", "bollen", "normalized", "standardized"):
        np.testing.assert_allclose(ours.matrix(kind), plain.matrix(kind), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(ours.matrix("raw") / np.outer(scale, scale), plain.matrix("raw"), rtol=1e-4, atol=1e-7)


def test_large_residuals_are_named_and_the_result_passes_the_gate():
    found = misfit(fitted("hs_cfa"))
    assert [note.code for note in found.notes()] == ["large_residuals"]
    assert "x7 with x9" in found.notes()[0].text or "x9" in found.notes()[0].text
    assert Gate().model(found).kind == "misfit"
