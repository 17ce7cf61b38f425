import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from spc.sem.engine.ram import matrices
from spc.sem.twolevel.fit import fit_two_level
from spc.sem.twolevel.likelihood import UnitMoments, unit_moments
from spc.spec import model

FIXTURE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_twolevel.json").read_text())
DATA = {
    "demo_regression": "demo",
    "demo_outcome": "demo",
    "demo_latent": "demo",
    "demo_equal": "demo",
    "balanced": "balanced",
    "unbalanced": "unbalanced",
    "two_causes": "unbalanced",
    "residuals": "unbalanced",
}


def moments(frame, unit, inside, outcomes):
    codes = np.unique(frame[unit], return_inverse=True)[1]
    last = frame.groupby(unit)[outcomes].first().to_numpy()
    return unit_moments([*inside, *outcomes], [("people", codes, frame[inside])], last)


def moments_of_clusters(given, inside, outcomes):
    """From sizes, means and cross-products of the clusters."""
    names, p, side = [*inside, *outcomes], len(given["names"]), np.repeat([0, -1], [len(inside), len(outcomes)])
    scatter = np.zeros((len(given["sizes"]), p + len(given["outcomes"]), p + len(given["outcomes"])))
    columns, rows = np.triu_indices(p)
    scatter[:, rows, columns] = scatter[:, columns, rows] = given["scatter"]
    order = np.array([[*given["names"], *given["outcomes"]].index(name) for name in names])
    means = np.hstack([given["means"], given["outcome_values"]])[:, order]
    counts = np.array(given["sizes"], dtype=float)[:, None]
    return UnitMoments(tuple(names), ("people",), side, counts, means, scatter[:, order[:, None], order])


@cache
def ours(name, errors):
    case = FIXTURE["models"][name]
    given, variables = FIXTURE["data"][DATA[name]], (case["inside"], case["outcomes"])
    if DATA[name] == "demo":
        units = moments_of_clusters(given, *variables)
    else:
        units = moments(pd.DataFrame(given), case["cluster"], *variables)
    return fit_two_level(model(case["text"], fixed_x=False, meanstructure=False), units, errors=errors)


def lavaan(name):
    rows = pd.DataFrame(FIXTURE["models"][name]["rows"])
    rows["key"] = rows["lhs"] + rows["op"] + rows["rhs"]
    return rows[rows["level"] == 2].set_index("key"), rows[rows["level"] == 1].set_index("key")


def keys(fit):
    return [f"{row.lhs}{row.op}{row.rhs}" for row in fit.model.parameters]


def theirs(rows, key, column):
    lhs, op, rhs = key.partition("~~") if "~~" in key else key.partition("~")
    return rows[column].get(key, rows[column].get(f"{rhs}{op}{lhs}"))


@pytest.mark.parametrize("name", DATA)
def test_estimates_and_likelihood_equal_lavaans(name):
    fit, case = ours(name, "observed"), FIXTURE["models"][name]
    between, within = lavaan(name)
    expected = np.array([theirs(between, key, "est") for key in keys(fit)], dtype=float)
    scale = np.maximum(np.abs(expected), np.array([theirs(between, key, "se") for key in keys(fit)], dtype=float))
    np.testing.assert_allclose(fit.values / scale, expected / scale, atol=1e-6)
    for i, first in enumerate(case["inside"]):
        at = fit.units.names.index(first)
        for second in case["inside"][: i + 1]:
            to = fit.units.names.index(second)
            assert fit.sigma_w[at, to] == pytest.approx(theirs(within, f"{first}~~{second}", "est"), rel=1e-6)
            assert fit.within_error[at, to] == pytest.approx(theirs(within, f"{first}~~{second}", "se"), rel=1e-3)
    assert fit.logl == pytest.approx(case["logl"], rel=1e-9)
    assert fit.unrestricted_logl == pytest.approx(case["unrestricted_logl"], rel=1e-9)
    assert fit.chisq == pytest.approx(case["chisq"], abs=1e-5)
    assert (fit.df, fit.npar) == (case["df"], case["npar"])


@pytest.mark.parametrize("errors", ["observed", "expected", "robust"])
@pytest.mark.parametrize("name", DATA)
def test_standard_errors_equal_lavaans(name, errors):
    fit, between = ours(name, errors), lavaan(name)[0]
    column = {"observed": "se", "expected": "se_expected", "robust": "se_robust"}[errors]
    place = fit.problem.place
    found = np.where(place.free >= 0, np.sqrt(np.diag(fit.vcov))[place.free], 0.0)
    expected = np.array([theirs(between, key, column) for key in keys(fit)], dtype=float)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


@pytest.mark.parametrize("name", DATA)
def test_the_scaled_test_equals_lavaans(name):
    """lavaan finds its free model by EM and stops early, which moves the factor by some thousandths."""
    assert ours(name, "robust").scaling == pytest.approx(FIXTURE["models"][name]["scaling"], rel=3e-3)


@pytest.mark.parametrize("name", [name for name in DATA if name != "demo_latent"])
def test_means_equal_lavaans_intercepts(name):
    fit, between = ours(name, "observed"), lavaan(name)[0]
    slopes = matrices(fit.problem.place, fit.values)[0]
    intercepts = (np.eye(len(slopes)) - slopes) @ fit.mu
    expected = [between.loc[f"{variable}~1", "est"] for variable in fit.units.names]
    np.testing.assert_allclose(intercepts, expected, rtol=1e-6, atol=1e-7)
    causes = slopes.any(axis=1)
    errors = [between.loc[f"{variable}~1", "se"] for variable in fit.units.names]
    np.testing.assert_allclose(np.sqrt(np.diag(fit.mu_vcov))[~causes], np.array(errors)[~causes], rtol=1e-3)
