"""Draws of constrained fits meet the equations; their spread is that of the fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.sem import effects, fit, release_test
from spc.sem.engine.held_draws import HeldEstimates

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_constraints.json").read_text())
DATA = {name: pd.DataFrame(columns) for name, columns in REFERENCE["frames"].items()}
CHAIN = "m ~ p*x\ny ~ q*m\nz ~ r*y\npq := p*q\n"


@pytest.mark.parametrize("repeated", ["", "\nq*p == 0.2"])
def test_draws_meet_the_equations_and_spread_as_the_fit_says(repeated: str) -> None:
    result = fit(CHAIN + "p*q == 0.2" + repeated, DATA["path"])
    found = result.estimates()
    assert isinstance(found, HeldEstimates)
    draws = found.draws(4000, np.random.default_rng(3))
    names = list(result.model.parameters.names)
    p, q = draws[:, names.index("p")], draws[:, names.index("q")]
    np.testing.assert_allclose(p * q, 0.2, atol=1e-10)
    ratio = draws.std(axis=0, ddof=1) / np.sqrt(result.vcov.diagonal())
    np.testing.assert_allclose(ratio, 1.0, atol=0.06)


def test_effects_meet_the_equations() -> None:
    found = effects(fit(CHAIN + "p*q == 0.2", DATA["path"]), draws=200)
    held = found.names.index("total: x -> y")
    np.testing.assert_allclose(found.draws[:, held], 0.2, atol=1e-10)
    assert found.draws[:, found.names.index("total: x -> m")].std() > 0.01


def test_fits_without_such_constraints_draw_as_ever() -> None:
    assert not isinstance(fit(CHAIN + "p == q", DATA["path"]).estimates(), HeldEstimates)
    assert not isinstance(fit(CHAIN + "p > -5", DATA["path"]).estimates(), HeldEstimates)
    assert isinstance(fit(CHAIN + "p > 0.9", DATA["path"]).estimates(), HeldEstimates)


def test_nonlinear_constraints_have_score_tests() -> None:
    bent = release_test(fit(CHAIN + "p*q == 0.2\nr > 0.5", DATA["path"])).tidy()
    straight = release_test(fit(CHAIN + "p*q == 0.2\nr == 0.5", DATA["path"])).tidy()
    assert bent[["lhs", "rhs"]].to_numpy().tolist() == [["p*q", "0.2"], ["r", "0.5"]]
    assert bent.loc[1, "statistic"] == pytest.approx(straight.loc[straight["lhs"] == "r", "statistic"].item(), rel=1e-6)
