"""Robustness to a hidden cause: the figures of the paper, partial R squares of statsmodels, a confounder put in."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

import spc
from spc.chain.confounding import adjusted_slope, partial_r2, robustness_value
from spc.errors import UsageError


def test_the_worked_example_of_the_paper():
    """Harm in Darfur: t = 4.18 on 783 degrees of freedom; partial R2 2.2 %, 13.9 %, 7.6 %."""
    assert round(partial_r2(4.184, 783), 3) == 0.022
    assert round(robustness_value(4.184, 783), 3) == 0.139
    assert round(robustness_value(4.184, 783, alpha=0.05), 3) == 0.076


def test_a_hidden_cause_like_gender_in_the_same_example():
    """Bounds with gender of 0.0092 and 0.1246 leave 0.0752 of 0.0973."""
    with_cause = 0.0092 / 1.0092
    shared = with_cause**2 / (1 - with_cause) ** 2
    lift = (1 + math.sqrt(shared)) ** 2 / (1 - shared)
    with_effect = 0.1246 / lift / (1 + 0.1246 / lift)
    assert adjusted_slope(4.184 / math.sqrt(783), with_cause, with_effect) == pytest.approx(0.0752 / 0.0973, abs=2e-3)


@pytest.mark.parametrize("t", [0.5, 2.0, 6.0, 60.0])
def test_a_hidden_cause_as_strong_as_the_value_takes_the_slope_away(t):
    """Bias of a confounder with both partial R squares r: se * sqrt(r * r / (1 - r) * df)."""
    df = 120.0
    value = robustness_value(t, df)
    assert math.sqrt(value * value / (1 - value) * df) == pytest.approx(t)
    assert robustness_value(-t, df) == value


def test_nothing_to_take_away():
    assert robustness_value(0.0, 50) == 0.0
    assert robustness_value(1.5, 50, alpha=0.05) == 0.0
    assert robustness_value(3.0, 50, alpha=0.05, inflation=2.0) == 0.0
    assert robustness_value(3.0, 50, share=0.5) < robustness_value(3.0, 50)


def test_the_threshold_binds_where_the_slope_is_huge_and_rows_are_few():
    f, critical = 40.0 / math.sqrt(4), 3.182446 / math.sqrt(3)
    assert robustness_value(40.0, 4, alpha=0.05) == pytest.approx((f**2 - critical**2) / (1 + f**2), rel=1e-5)


def firm(folder, **plan):
    return spc.read_study(spc.make_firm(seed=5, units=70, **plan).write(folder))


def test_partial_r2_of_unit_means_is_that_of_statsmodels(tmp_path):
    chain = spc.fit_chain(firm(tmp_path), draws=200, method="unit_means")
    table = spc.link_robustness(chain).tidy().set_index(["lhs", "rhs", "kind"])["estimate"]
    for outcome in ("customer_value", "profitability"):
        causes = chain.links.loc[chain.links["lhs"] == outcome, "rhs"].tolist()
        frame = chain.scores.dropna()
        fit = sm.OLS(frame[outcome], sm.add_constant(frame[causes])).fit()
        for cause in causes:
            t = fit.tvalues[cause]
            assert table[outcome, cause, "partial_r2"] == pytest.approx(partial_r2(t, fit.df_resid), rel=1e-5)
            value = robustness_value(t, fit.df_resid)
            assert table[outcome, cause, "robustness_value"] == pytest.approx(value, rel=1e-5)
            significant = robustness_value(t, fit.df_resid, alpha=0.05)
            assert table[outcome, cause, "robustness_value_alpha"] == pytest.approx(significant, abs=0.02)


def test_significance_is_that_of_the_regression_where_the_model_restricts_nothing():
    rng = np.random.default_rng(6)
    frame = pd.DataFrame(rng.normal(size=(60, 2)), columns=["a", "b"])
    frame["b"] += 0.6 * frame["a"]
    fit = sm.OLS(frame["b"], sm.add_constant(frame["a"])).fit()
    t = 1.5 * fit.tvalues["a"]
    found = robustness_value(fit.tvalues["a"], 58, alpha=0.05, inflation=1.5)
    assert found < robustness_value(t, 58, alpha=0.05)
    assert found == pytest.approx(
        robustness_value(fit.tvalues["a"], 58, alpha=2 * stats.t.sf(1.5 * stats.t.ppf(0.975, 57), 57))
    )


def test_the_benchmark_is_the_strongest_other_cause(tmp_path):
    chain = spc.fit_chain(firm(tmp_path), draws=200, method="unit_means")
    frame = chain.scores.dropna()
    table = spc.link_robustness(chain).tidy()
    rows = table[(table["lhs"] == "customer_value") & (table["rhs"] == "employee_loyalty")].set_index("kind")
    assert rows.loc["benchmark_cause", "label"] == "employee_productivity"
    other = sm.OLS(frame["employee_loyalty"], sm.add_constant(frame["employee_productivity"])).fit()
    assert rows.loc["benchmark_cause", "estimate"] == pytest.approx(other.rsquared, rel=1e-5)
    both = sm.OLS(frame["customer_value"], sm.add_constant(frame[["employee_loyalty", "employee_productivity"]])).fit()
    expected = partial_r2(both.tvalues["employee_productivity"], both.df_resid)
    assert rows.loc["benchmark_effect", "estimate"] == pytest.approx(expected, rel=1e-5)


def test_a_link_made_by_a_hidden_cause_goes_with_one_as_strong_as_the_value():
    """y has no arrow from x, both from u: adding u with these partial R squares brings the slope to zero."""
    rng = np.random.default_rng(3)
    u = rng.normal(size=4000)
    frame = pd.DataFrame({"x": u + rng.normal(size=4000), "y": u + rng.normal(size=4000), "u": u})
    alone = sm.OLS(frame["y"], sm.add_constant(frame["x"])).fit()
    value = robustness_value(alone.tvalues["x"], alone.df_resid)
    with_cause = np.corrcoef(frame["x"], frame["u"])[0, 1] ** 2
    full = sm.OLS(frame["y"], sm.add_constant(frame[["x", "u"]])).fit()
    with_effect = partial_r2(full.tvalues["u"], full.df_resid)
    assert abs(full.params["x"]) < 0.05
    assert min(with_cause, with_effect) < value < max(with_cause, with_effect)


def test_two_sided_links_are_judged_free_of_sampling_error(tmp_path):
    study = firm(tmp_path)
    plain, sides = (spc.fit_chain(study, draws=200, method=method) for method in ("unit_means", "two_sided"))
    pair = ("customer_value", "employee_loyalty", "partial_r2")
    found = [
        spc.link_robustness(chain).tidy().set_index(["lhs", "rhs", "kind"])["estimate"] for chain in (plain, sides)
    ]
    assert found[1][pair] > found[0][pair]
    assert ((found[1] >= 0) & (found[1] <= 1)).drop(index=[i for i in found[1].index if "remains" in i[2]]).all()


def test_shares_are_shares(tmp_path):
    chain = spc.fit_chain(firm(tmp_path), draws=200)
    with pytest.raises(UsageError):
        spc.link_robustness(chain, share=1.5)
    note = spc.link_robustness(chain).notes()[0]
    assert note.text.startswith("A hidden cause would have to explain ")
