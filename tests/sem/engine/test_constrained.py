"""Fits under constraints: every model of tests/reference/lavaan_constraints.R, conditions of optimality, errors."""

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

from spc.errors import SpcWarning, SpecError, UnsupportedError
from spc.linalg import FloatArray
from spc.moments import Moments
from spc.sem import fit, refit, wald_test
from spc.sem.engine.constrained import Frame, solve_restricted
from spc.sem.engine.restrictions import Restrictions, restrictions
from spc.sem.feasible import original
from spc.sem.fit import SemFit
from spc.sem.objective import (
    Smooth,
    answers_objective,
    frame_of,
    normal_objective,
    ordinal_objective,
    squares_objective,
)
from spc.spec import model

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_constraints.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}
DATA = {name: pd.DataFrame(columns) for name, columns in REFERENCE["frames"].items()}
OF_MODEL = {"meanstructure": "meanstructure", "fixed.x": "fixed_x"}
THREE = "visual =~ x1 + a*x2 + b*x3\ntextual =~ x4 + c*x5 + d*x6\n"
_FITS: dict[str, SemFit] = {}


def quietly(*given: Any, **options: Any) -> SemFit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(*given, **options)


def fitted(name: str) -> SemFit:
    if name not in _FITS:
        case = CASES[name]
        options = dict(case["options"] or {})
        of_model = {ours: options.pop(theirs) for theirs, ours in OF_MODEL.items() if theirs in options}
        made = model(case["model"], **of_model) if of_model else case["model"]
        _FITS[name] = quietly(made, DATA[case["data"]], **options)
    return _FITS[name]


def found_by_lavaan(result: SemFit, case: dict[str, Any]) -> tuple[list[int], list[float], list[float]]:
    """Our position of each of lavaan's free parameters, with its estimates and errors."""
    numbers: dict[tuple[str, str, str, int], int] = {}
    for row in result.model.parameters:
        if row.free:
            numbers[row.lhs, row.op, row.rhs, row.group] = row.free - 1
            if row.op == "~~":
                numbers[row.rhs, row.op, row.lhs, row.group] = row.free - 1
    order = [numbers[row["lhs"], row["op"], row["rhs"] or "", row["group"]] for row in case["free"]]
    return order, case["sharp"]["x"], case["sharp"]["se"]


@pytest.mark.parametrize("name", CASES)
def test_estimates_and_errors_are_those_of_lavaan(name: str) -> None:
    result = fitted(name)
    order, estimates, errors = found_by_lavaan(result, CASES[name])
    assert sorted(set(order)) == list(range(result.solution.theta.size))
    np.testing.assert_allclose(result.solution.theta[order], estimates, atol=2e-6)
    ours = np.sqrt(np.maximum(result.vcov.diagonal()[order], 0.0))
    np.testing.assert_allclose(ours, errors, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_tests_and_criteria_are_those_of_lavaan(name: str) -> None:
    ours, theirs = fitted(name).glance().iloc[0], CASES[name]["fit"]
    assert (ours["npar"], ours["df"]) == (theirs["npar"], theirs["df"])
    for measure, allowed in {"chisq": 1e-6, "aic": 1e-6, "bic": 1e-6, "rmsea": 1e-7, "srmr": 1e-5, "cfi": 1e-6}.items():
        if theirs.get(measure) is not None:
            assert ours[measure] == pytest.approx(theirs[measure], abs=allowed), measure
    if theirs.get("chisq.scaled") is not None:
        assert ours["chisq_scaled"] == pytest.approx(theirs["chisq.scaled"], rel=1e-5)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case["wald"]])
def test_wald_tests_in_constrained_fits_are_those_of_lavaan(name: str) -> None:
    ours, theirs = wald_test(fitted(name), CASES[name]["wald"]), CASES[name]["test"]
    assert ours.df == theirs["df"]
    assert ours.statistic == pytest.approx(theirs["stat"], rel=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_notes_name_what_holds_with_equality(name: str) -> None:
    result, active = fitted(name), CASES[name]["sharp"].get("active", [])
    noted = [note for note in result.notes() if note.code == "active_inequality"]
    assert len(noted) == bool(active)
    inequalities = [item for item in result.model.constraints if item.op != "=="]
    for i in active:
        item = inequalities[i - 1]
        assert f"{item.left.strip()} {item.op} {item.right.strip()}" in noted[0].subject
    assert any(note.code == "at_bound" for note in result.notes()) == (name == "bounds")


OBJECTIVES = ("product", "groups_product", "fiml", "gls", "wls", "ordered")


def smooth(name: str) -> tuple[Any, FloatArray]:
    from spc.sem.missing.fiml import Answered, unrestricted

    result = fitted(name)
    system = original(result.system)
    x = system.coordinates(result.solution.theta)
    if result.model.ordinal:
        return ordinal_objective(system), x
    if result.parts[0].weight is not None:
        return squares_objective(system, [part.weight for part in result.parts if part.weight is not None]), x
    if result.parts[0].answers is not None:
        patterns = [part.answers.patterns for part in result.parts if part.answers is not None]
        return answers_objective(system, [Answered(one, unrestricted(one)[0]) for one in patterns]), x
    return normal_objective(system), x


@pytest.mark.parametrize("name", OBJECTIVES)
def test_scores_and_hessians_are_the_derivatives(name: str) -> None:
    objective, x = smooth(name)
    x = x * 1.03 + 0.01
    here = objective(x)
    assert isinstance(here, Smooth)
    steps = 1e-5 * np.eye(x.size)
    slope = [(objective(x + step).value - objective(x - step).value) / 2e-5 for step in steps]
    np.testing.assert_allclose(-here.score, np.array(slope) / 2.0, atol=1e-7)
    if name not in ("gls", "wls", "ordered"):
        bend = [-(objective(x + step).score - objective(x - step).score) / 2e-5 for step in steps]
        np.testing.assert_allclose(here.hessian(), np.array(bend), atol=1e-6)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if restrictions(fitted(name).model)])
def test_the_end_meets_the_conditions_of_kuhn_and_tucker(name: str) -> None:
    objective, x = smooth(name)
    result = fitted(name)
    rules, frame = restrictions(result.model), frame_of(original(result.system))
    assert rules is not None
    end = solve_restricted(objective, rules, frame, x)
    assert end is not None
    assert end.converged
    assert end.iterations <= 2
    theta = frame.theta(end.x)
    pulls = [weight * item.gradient(theta) for weight, item in zip(end.equal, rules.equal, strict=True)]
    pulls += [weight * item.gradient(theta) for weight, item in zip(end.least, rules.least, strict=True)]
    np.testing.assert_allclose(-end.local.score, frame.slope.T @ np.sum(pulls, axis=0), atol=2e-7)
    values = np.array([item.value(theta) for item in rules.least])
    assert np.all(end.least >= 0.0)
    np.testing.assert_allclose(end.least * values, 0.0, atol=1e-8)


class _Bowl:
    """``(x - centre)' H (x - centre)``, whose minimum under linear inequalities scipy knows too."""

    def __init__(self, x: FloatArray, centre: FloatArray, bend: FloatArray) -> None:
        self.value = float((x - centre) @ bend @ (x - centre))
        self.score, self.information = bend @ (centre - x), bend

    def hessian(self) -> FloatArray:
        return self.information


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_quadratic_programmes_agree_with_scipy(seed: int) -> None:
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    root = rng.standard_normal((4, 4))
    bend, centre = root @ root.T + 0.2 * np.eye(4), rng.standard_normal(4)
    text = "y ~ a*p + b*q + c*r + d*s\na + b > 0.2\nc*2 < d + 1\nb > -1\na^2 + b^2 + c^2 + d^2 < 9"
    rules = restrictions(model(text))
    assert rules is not None
    kept = Restrictions((), rules.least, 0)
    frame = Frame(np.zeros(5), np.eye(5)[:, :4])
    end = solve_restricted(lambda x: _Bowl(x, centre, bend), kept, frame, np.zeros(4))
    assert end is not None
    assert end.converged
    limits = {"type": "ineq", "fun": lambda x: np.array([item.value(np.append(x, 0.0)) for item in kept.least])}
    known = minimize(lambda x: _Bowl(x, centre, bend).value, end.x + 0.01, constraints=[limits], method="SLSQP",
                     options={"ftol": 1e-14, "maxiter": 500})  # fmt: skip
    assert end.local.value <= known.fun + 1e-7
    np.testing.assert_allclose(end.x, known.x, atol=1e-4)


def test_a_nonlinear_equality_can_say_what_a_linear_one_says() -> None:
    straight = quietly(THREE + "a == b\nc == d", DATA["hs"])
    bent = quietly(THREE + "exp(a) == exp(b)\nc^3 == d^3", DATA["hs"])
    np.testing.assert_allclose(bent.solution.theta, straight.solution.theta, atol=1e-7)
    np.testing.assert_allclose(bent.vcov, straight.vcov, atol=1e-8)
    assert bent.df == straight.df


def test_an_active_inequality_has_the_errors_of_the_equation_and_the_df_of_the_free_model() -> None:
    edge = quietly(THREE + "a > 0.7", DATA["hs"])
    fixed = quietly(THREE + "a == 0.7", DATA["hs"])
    np.testing.assert_allclose(edge.solution.theta, fixed.solution.theta, atol=1e-7)
    np.testing.assert_allclose(edge.vcov, fixed.vcov, atol=1e-9)
    assert edge.df == fixed.df - 1


def test_repeated_constraints_count_once() -> None:
    once = quietly(THREE + "a*b == 0.3", DATA["hs"])
    twice = quietly(THREE + "a*b == 0.3\nb*a == 0.3", DATA["hs"])
    assert twice.df == once.df
    np.testing.assert_allclose(twice.solution.theta, once.solution.theta, atol=1e-8)
    np.testing.assert_allclose(twice.vcov, once.vcov, atol=1e-8)


def test_units_change_nothing_but_units() -> None:
    frame = DATA["hs"].assign(x2=1e4 * DATA["hs"]["x2"], x6=1e-5 * DATA["hs"]["x6"])
    here = quietly(THREE + "a*b == 0.3\nd > c", DATA["hs"])
    there = quietly(THREE + "a*b == 3000\nd*1e5 > c", frame)
    assert there.chisq == pytest.approx(here.chisq, abs=1e-7)
    assert there.tidy().set_index("label").loc["a", "estimate"] == pytest.approx(
        1e4 * here.tidy().set_index("label").loc["a", "estimate"]
    )


def test_definitions_may_be_constrained() -> None:
    direct = quietly(THREE + "a*b == 0.3", DATA["hs"])
    named = quietly(THREE + "ab := a*b\nab == 0.3", DATA["hs"])
    np.testing.assert_allclose(named.solution.theta, direct.solution.theta, atol=1e-9)
    row = named.tidy().set_index("lhs").loc["ab"]
    assert row["estimate"] == pytest.approx(0.3)
    assert math.isnan(row["std_error"]) or row["std_error"] < 1e-6


@pytest.mark.parametrize("name", ["product", "ordered_active", "groups_product", "gls"])
def test_refits_keep_the_constraints(name: str) -> None:
    result = fitted(name)
    again = refit(result, [part.observed for part in result.parts])
    np.testing.assert_allclose(again.theta, result.solution.theta, atol=1e-7)
    halves = [Moments(p.observed.names, p.observed.n, p.observed.mean, 1.1 * p.observed.cov) for p in result.parts]
    rules = restrictions(result.model)
    assert rules is not None
    theta = refit(result, halves).theta
    assert all(abs(item.value(theta)) < 1e-8 for item in rules.equal)
    assert all(item.value(theta) > -1e-8 for item in rules.least)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("a > 1\na < 0.5", "a > 1|a < 0.5"),
        ("a^2 + b^2 == -1", r"a\^2 \+ b\^2 == -1"),
        ("a*b == 0.3\na*b == 0.4", r"a\*b == 0"),
        ("a > z", "'z'"),
        ("a*k == 0.3", "'k'"),
        ("(a - 0.7)^2 == 0", "flat"),
    ],
)
def test_constraints_that_cannot_be_met_are_named(text: str, word: str) -> None:
    with pytest.raises(SpecError, match=word):
        quietly(THREE + text, DATA["hs"])


def test_constraints_without_a_free_parameter() -> None:
    fixed = "visual =~ x1 + k*x2 + 0.6*x2 + b*x3\n"
    assert quietly(fixed + "k > 0.5", DATA["hs"]).df == 1
    with pytest.raises(SpecError, match=r"k > 0.9: this constraint holds no free parameter"):
        quietly(fixed + "k > 0.9", DATA["hs"])


def test_bounds_that_cross_are_refused() -> None:
    with pytest.raises(SpecError, match=r"lower bound 0\.8 is above the upper bound 0\.2"):
        quietly("visual =~ x1 + a*x2 + lower(0.8)*x2 + a*x3 + upper(0.2)*x3", DATA["hs"])


def test_differences_by_active_inequalities_are_no_plain_chi_square() -> None:
    from spc.sem import compare

    free, edge = quietly(THREE, DATA["hs"]), quietly(THREE + "a > 0.7", DATA["hs"])
    both = quietly(THREE + "a > 0.7\nc == d", DATA["hs"])
    (note,) = compare(free, edge).notes()
    assert "inequalities" in note.text
    (note,) = compare(free, both).notes()
    assert note.code == "mixture_of_chisquares"


def test_other_engines_refuse_what_they_would_ignore() -> None:
    with pytest.raises(UnsupportedError, match="constraints"):
        quietly(THREE + "a > 0.1", DATA["hs"], engine="semopy")


@pytest.mark.parametrize("options", [{"estimator": "MLR"}, {"likelihood": "wishart"}])
def test_information_goes_with_what_has_it(options: dict[str, str]) -> None:
    if options == {"likelihood": "wishart"}:
        expected = quietly(THREE, DATA["hs"], information="expected", **options)
        observed = quietly(THREE, DATA["hs"], information="observed", **options)
        assert np.abs(expected.vcov / observed.vcov - 1.0).max() > 0.01
        assert "observed information" in observed.estimates().method
    elif "estimator" in options:
        with pytest.raises(UnsupportedError, match="goes with estimator='ML'"):
            quietly(THREE, DATA["hs"], information="observed", **options)
