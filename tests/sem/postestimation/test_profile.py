"""Profile-likelihood intervals: closed forms, lavaan's constrained fits, scale, ends that are no crossing."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from spc.errors import SpcWarning, UnsupportedError, UsageError
from spc.moments import Moments
from spc.results import TIDY_COLUMNS, Result
from spc.sem import fit, profile_likelihood
from spc.sem.fit import SemFit

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_constraints.json").read_text())
DATA = {name: pd.DataFrame(columns) for name, columns in REFERENCE["frames"].items()}
PROFILES = REFERENCE["profiles"]
QUANTILE = 3.841458820694124
NORMAL = "x ~~ v*x\ny ~~ w*y\nx ~~ c*y\nx ~ 1\ny ~ 1\nr := c/sqrt(v*w)"
TWO = "visual =~ x1 + a*x2 + b*x3\ntextual =~ x4 + c*x5 + d*x6\n"


def quietly(*given: Any, **options: Any) -> SemFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(*given, **options)


def ends_of(result: SemFit, name: str, **options: Any) -> tuple[float, float]:
    row = profile_likelihood(result, name, **options).tidy().iloc[0]
    return float(row["conf_low"]), float(row["conf_high"])


def two_variables(n: int, rho: float) -> SemFit:
    cov = [[2.0, rho * math.sqrt(3.0)], [rho * math.sqrt(3.0), 1.5]]
    return fit(NORMAL, Moments(["x", "y"], n, [1.0, 2.0], cov))


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_mean_and_variance_of_a_normal_have_closed_forms(level: float) -> None:
    from scipy.stats import chi2

    n, quantile = 50, float(chi2.ppf(level, 1))
    result, variance = two_variables(n, 0.5), 2.0 * 49 / 50
    half = math.sqrt(variance * (math.exp(quantile / n) - 1.0))
    assert ends_of(result, "x~1", level=level) == pytest.approx((1.0 - half, 1.0 + half), abs=1e-8)

    def rise(v: float) -> float:
        return n * (math.log(v / variance) + variance / v - 1.0) - quantile

    wanted = brentq(rise, 0.1, variance, xtol=1e-13), brentq(rise, variance, 20.0, xtol=1e-13)
    assert ends_of(result, "v", level=level) == pytest.approx(wanted, abs=1e-8)


@given(st.floats(-0.9, 0.9), st.integers(20, 400))
@settings(max_examples=15, deadline=None)
def test_a_correlation_has_a_closed_form(rho: float, n: int) -> None:
    def rise(r: float) -> float:
        return -n * math.log((1.0 - r * r) * (1.0 - rho * rho) / (1.0 - r * rho) ** 2) - QUANTILE

    wanted = brentq(rise, -0.999999, rho, xtol=1e-13), brentq(rise, rho, 0.999999, xtol=1e-13)
    assert ends_of(two_variables(n, rho), "r") == pytest.approx(wanted, abs=1e-7)


@pytest.mark.parametrize("case", PROFILES, ids=[f"{case['data']}-{case['quantity']}" for case in PROFILES])
def test_ends_are_those_of_fits_held_by_lavaan(case: dict[str, Any]) -> None:
    options = {name: case[name] for name in ("missing", "group") if name in case}
    result = quietly(case["model"], DATA[case["data"]], **options)
    wanted = case["ends"]["low"], case["ends"]["high"]
    assert ends_of(result, case["quantity"]) == pytest.approx(wanted, abs=2e-5)


@pytest.mark.parametrize("name", ["a", "k", "ab", "textual~~textual"])
def test_held_fits_rise_by_the_quantile(name: str) -> None:
    text = TWO + "visual ~~ k*textual\nab := a*b\ntextual ~~ textual\n"
    free = quietly(text, DATA["hs"])
    for end in ends_of(free, name):
        label = {"textual~~textual": "s"}.get(name, name)
        held = quietly(text.replace("textual ~~ textual", "textual ~~ s*textual") + f"{label} == {end!r}", DATA["hs"])
        assert held.chisq - free.chisq == pytest.approx(QUANTILE, abs=1e-6)


@given(st.integers(0, 1000))
@settings(max_examples=8, deadline=None)
def test_another_scale_gives_the_transformed_ends(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(60)
    m = 0.9 * x + rng.standard_normal(60)
    frame = pd.DataFrame({"x": x, "m": m, "y": 0.8 * m + rng.standard_normal(60)})
    result = fit("m ~ a*x\ny ~ b*m\ne := exp(a)\nk := (a + 5)^3\ni := 1/(a + 4)", frame)
    low, high = ends_of(result, "a")
    assert ends_of(result, "e") == pytest.approx((math.exp(low), math.exp(high)), rel=1e-6)
    assert ends_of(result, "k") == pytest.approx(((low + 5) ** 3, (high + 5) ** 3), rel=1e-6)
    assert ends_of(result, "i") == pytest.approx((1 / (high + 4), 1 / (low + 4)), rel=1e-6)


def test_units_change_nothing_but_units() -> None:
    here = ends_of(quietly(TWO, DATA["hs"]), "a")
    there = ends_of(quietly(TWO, DATA["hs"].assign(x2=1e5 * DATA["hs"]["x2"])), "a")
    assert there == pytest.approx((1e5 * here[0], 1e5 * here[1]), rel=1e-7)


def weak() -> SemFit:
    cov = [[1.0, 0.15, 0.4], [0.15, 1.0, 0.3], [0.4, 0.3, 1.0]]
    return fit("y ~ a*x + b*z\nsq := a^2\nratio := b/a", Moments(["y", "x", "z"], 50, None, cov))


def test_a_ratio_with_a_doubtful_divisor_has_no_upper_end() -> None:
    found = profile_likelihood(weak(), "ratio")
    low, high = found.tidy().iloc[0][["conf_low", "conf_high"]]
    assert high == math.inf
    assert 0.5 < low < 1.0
    (note,) = found.notes()
    assert (note.code, note.subject) == ("open_interval", "ratio")
    assert found.glance().loc[0, "ends_not_crossed"] == 1


def test_a_square_ends_at_zero_as_an_edge() -> None:
    found = profile_likelihood(weak(), "sq")
    low, high = found.tidy().iloc[0][["conf_low", "conf_high"]]
    lower, upper = ends_of(weak(), "a")
    assert low == pytest.approx(0.0, abs=1e-6)
    assert high == pytest.approx(max(lower**2, upper**2), rel=1e-7)
    assert [note.code for note in found.notes()] == ["interval_at_edge"]


def test_an_inequality_is_an_edge() -> None:
    cov = [[1.0, 0.15, 0.4], [0.15, 1.0, 0.3], [0.4, 0.3, 1.0]]
    moments = Moments(["y", "x", "z"], 50, None, cov)
    free, kept = fit("y ~ a*x + b*z", moments), fit("y ~ a*x + b*z\na > 0", moments)
    found = profile_likelihood(kept, "a")
    low, high = found.tidy().iloc[0][["conf_low", "conf_high"]]
    assert low == pytest.approx(0.0, abs=1e-6)
    assert high == pytest.approx(ends_of(free, "a")[1], abs=1e-8)
    assert [note.code for note in found.notes()] == ["interval_at_edge"]


def test_constraints_hold_along_the_profile() -> None:
    bent = quietly(TWO + "a*b == 0.3\nc^3 == d^3", DATA["hs"])
    straight = quietly(TWO.replace("b*x3", "x3").replace("c*", "e*").replace("d*", "e*"), DATA["hs"])
    low, high = ends_of(bent, "a")
    assert ends_of(bent, "b") == pytest.approx((0.3 / high, 0.3 / low), rel=1e-7)
    assert ends_of(bent, "c") == pytest.approx(ends_of(bent, "d"), abs=1e-7)
    assert straight.df == bent.df - 1


def test_the_result_answers_the_protocol() -> None:
    result = quietly(TWO + "ab := a*b", DATA["hs"])
    found = profile_likelihood(result)
    assert isinstance(found, Result)
    table = found.tidy()
    assert tuple(table.columns) == TIDY_COLUMNS
    assert len(table) == result.solution.theta.size + 1
    assert found.kind == "profile_likelihood"
    assert found.notes() == ()
    wald = pd.concat([result.estimates().table, result.tidy().query("op == ':='")])
    np.testing.assert_allclose(table["estimate"], wald["estimate"])
    assert ((table["conf_low"] < table["estimate"]) & (table["estimate"] < table["conf_high"])).all()
    assert found.glance().loc[0, "fits"] < 10 * len(table)


def test_parameters_that_constraints_fix_are_left_out_unless_asked_for() -> None:
    result = quietly(TWO + "a == 0.5", DATA["hs"])
    assert "a" not in profile_likelihood(result).names
    with pytest.raises(UsageError, match="'a' does not move"):
        profile_likelihood(result, "a")


def test_what_cannot_be_profiled_is_refused() -> None:
    result = quietly(TWO, DATA["hs"])
    with pytest.raises(UsageError, match=r"'aa' is no free or defined parameter. Did you mean 'a'"):
        profile_likelihood(result, "aa")
    with pytest.raises(UsageError, match="level"):
        profile_likelihood(result, "a", level=95)
    with pytest.raises(UnsupportedError, match="estimator='ML'"):
        profile_likelihood(quietly(TWO, DATA["hs"], estimator="MLR"), "a")
