"""The second engine: the same answers where it has them, a refusal where it has not, and no traces."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spc.errors import SpcWarning, UnsupportedError
from spc.moments import Moments
from spc.sem import fit
from spc.sem.semopy_engine import solve
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "lavaan_ml.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}
REFUSED = {name for name, case in CASES.items() if "means" in case["fit"] or "meanstructure" in case["options"]}
REFUSED |= {name for name, case in CASES.items() if case["options"].get("growth") or "constraint" in name}


def parts(name: str) -> tuple[Any, Moments, str]:
    case = CASES[name]
    options = dict(case["options"])
    likelihood = options.pop("likelihood", "normal")
    m = case["moments"]
    return model(case["model"], **options), Moments(m["names"], m["n"], m["means"] or None, m["covariance"]), likelihood


@pytest.mark.parametrize("name", sorted(set(CASES) - REFUSED))
def test_estimates_are_lavaans(name: str) -> None:
    """semopy's solver works to the square root of rounding at best, so 1e-3 on the scale of the data is asked."""
    spec, moments, likelihood = parts(name)
    theta = solve(spec, moments, likelihood)
    theirs = {(row["lhs"], row["op"], row["rhs"]): row["est"] for row in CASES[name]["estimates"]}
    theirs |= {(rhs, op, lhs): value for (lhs, op, rhs), value in list(theirs.items()) if op == "~~"}
    for row in spec.parameters:
        if row.free:
            assert theta[row.free - 1] == pytest.approx(theirs[row.lhs, row.op, row.rhs], abs=1e-3, rel=1e-3), row.name


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_it_gets_wrong_is_refused(name: str) -> None:
    spec, moments, likelihood = parts(name)
    with pytest.raises(UnsupportedError, match="engine='spc'"):
        solve(spec, moments, likelihood)


@pytest.mark.parametrize("name", ["hs_cfa", "hs_free_marker", "hs_mimic", "pd_equalities", "swiss_nonrecursive"])
def test_the_result_is_the_same_type_with_our_errors_and_fit(name: str) -> None:
    spec, moments, likelihood = parts(name)
    ours, peer = (fit(spec, moments, likelihood=likelihood, engine=engine) for engine in ("spc", "semopy"))
    np.testing.assert_allclose(peer.solution.theta, ours.solution.theta, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(peer.vcov, ours.vcov, rtol=1e-2, atol=1e-3)
    for key in ("npar", "df", "chisq", "cfi", "tli", "rmsea", "srmr", "aic", "bic", "logl"):
        assert peer.glance()[key].iloc[0] == pytest.approx(ours.glance()[key].iloc[0], rel=1e-4, abs=1e-5), key
    assert list(peer.tidy().columns) == list(ours.tidy().columns)


def test_a_residual_covariance_between_a_cause_and_an_outcome() -> None:
    """semopy keeps final outcomes in another matrix, where such a covariance would not pass on."""
    rng = np.random.default_rng(5)
    z, u = rng.standard_normal((2, 400))
    x = rng.standard_normal(400)
    m = 0.6 * x + z
    y = 0.5 * m + 0.5 * z + u
    w = 0.7 * m + rng.standard_normal(400)
    names = ["x", "m", "y", "w"]
    moments = Moments(names, 400, None, np.cov(np.array([x, m, y, w])))
    spec = model("m ~ x\ny ~ m\nw ~ m\nm ~~ y\nw ~~ 0*y")
    peer = solve(spec, moments)
    np.testing.assert_allclose(peer, fit(spec, moments).solution.theta, atol=1e-5)
    assert dict(zip(spec.parameters.names, peer, strict=True))["m~~y"] == pytest.approx(0.5, abs=0.2)


def test_names_semopy_cannot_read() -> None:
    m = CASES["attitude_path"]["moments"]
    plain = fit("rating ~ complaints + learning", Moments(m["names"], m["n"], None, m["covariance"]))
    alias = {"rating": "Gesamturteil_ü", "complaints": "Beschwerden.ß", "learning": "学习"}
    moments = Moments([alias.get(name, name) for name in m["names"]], m["n"], None, m["covariance"])
    peer = fit(f"{alias['rating']} ~ {alias['complaints']} + {alias['learning']}", moments, engine="semopy")
    np.testing.assert_allclose(peer.solution.theta, plain.solution.theta, rtol=1e-4)


def test_money_beside_seven_point_items() -> None:
    m = CASES["hs_cfa"]["moments"]
    unit = np.array([1e6 if name == "x2" else 1.0 for name in m["names"]])
    moments = Moments(m["names"], m["n"], None, np.array(m["covariance"]) * np.outer(unit, unit))
    result = fit(CASES["hs_cfa"]["model"], moments, engine="semopy")
    assert result.glance()["chisq"].iloc[0] == pytest.approx(CASES["hs_cfa"]["fit"]["chisq"], rel=1e-6)


def test_nothing_leaks(caplog: pytest.LogCaptureFixture) -> None:
    spec, moments, likelihood = parts("heywood")
    handlers, disabled = list(logging.getLogger().handlers), logging.root.manager.disable
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve(spec, moments, likelihood)
    assert logging.getLogger().handlers == handlers
    assert logging.root.manager.disable == disabled
    assert not caplog.records


def test_semopy_is_not_loaded_until_asked_for() -> None:
    code = "import sys, spc.sem, spc.sem.semopy_engine; sys.exit('semopy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_heywood_is_not_pinned_at_zero() -> None:
    spec, moments, _ = parts("heywood")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        result = fit(spec, moments, engine="semopy")
    variances = result.tidy().query("op == '~~' and lhs == rhs")["estimate"]
    assert variances.min() < -0.01
    assert any("heywood" in note.code for note in result.notes())
