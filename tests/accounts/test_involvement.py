"""Satisfaction of staff who were involved: SciPy's Welch test, statsmodels' fixed effects, coverage, few people."""

import numpy as np
import pandas as pd
import pytest

import spc
from spc.accounts import staff_involvement
from spc.disclosure import DisclosureRule, Gate
from spc.errors import DataError


def staff(n=300, units=15, effect=0.4, seed=1):
    """Units differ in satisfaction, and the happier ones involve more people."""
    rng = np.random.default_rng(seed)
    unit = rng.integers(0, units, n)
    mood = rng.normal(0, 0.5, units)[unit]
    involved = rng.random(n) < 1 / (1 + np.exp(-mood))
    return pd.DataFrame({"unit": unit, "involved": involved,
                         "employee_satisfaction": 4 + mood + effect * involved + rng.normal(0, 0.8, n)})  # fmt: skip


def rows(frame, kind):
    return staff_involvement(frame).tidy().query("kind == @kind").set_index("rhs")


def test_the_difference_is_welchs():
    from scipy.stats import ttest_ind

    frame = staff()
    own = [frame.loc[frame["involved"] == side, "employee_satisfaction"] for side in (True, False)]
    test = ttest_ind(*own, equal_var=False)
    row = rows(frame, "difference").loc["in all"]
    assert row["p_value"] == pytest.approx(test.pvalue)
    assert (row["conf_low"], row["conf_high"]) == pytest.approx(test.confidence_interval())


def test_within_units_is_the_regression_with_dummies():
    import statsmodels.formula.api as smf

    frame = staff().assign(x=lambda f: f["involved"].astype(float))
    fit = smf.ols("employee_satisfaction ~ x + C(unit)", frame).fit()
    row = rows(frame, "difference").loc["within units"]
    assert row["estimate"] == pytest.approx(fit.params["x"], rel=1e-9)
    codes = pd.factorize(frame["unit"])[0]
    x = frame["x"] - frame.groupby("unit")["x"].transform("mean")
    scores = np.bincount(codes, x * fit.resid)
    assert row["std_error"] == pytest.approx(np.sqrt((scores**2).sum() * 15 / 14) / (x @ x), rel=1e-9)


def test_within_units_is_right_where_happy_units_involve_more():
    found = [rows(staff(seed=seed), "difference").loc["within units"] for seed in range(60)]
    assert np.mean([row["estimate"] for row in found]) == pytest.approx(0.4, abs=0.04)
    assert np.mean([row["conf_low"] <= 0.4 <= row["conf_high"] for row in found]) >= 0.88


def test_words_blanks_and_what_is_neither():
    frame = pd.DataFrame({"took_part": ["Yes", "no", None, " yes", "NO"], "happy": [5, 4, 1, 6, 3.0]})
    found = staff_involvement(frame, involved="took_part", outcome="happy")
    assert found.tidy().query("kind == 'mean'")["estimate"].tolist() == [5.5, 3.5]
    with pytest.raises(DataError, match="neither yes nor no"):
        staff_involvement(frame.assign(took_part=["yes", "no", "perhaps", "no", "no"]), involved="took_part",
                          outcome="happy")  # fmt: skip
    with pytest.raises(DataError, match="no such column"):
        staff_involvement(frame, outcome="happy")
    with pytest.raises(DataError, match="1 who were involved"):
        staff_involvement(frame.iloc[:2], involved="took_part", outcome="happy")


def test_the_construct_asked_for_goes_before_that_of_the_document(tmp_path):
    path = spc.make_firm(seed=2, units=8, employees=6, customers=2, transactions=True).write(tmp_path)
    people = pd.read_csv(tmp_path / "employees.csv")
    people.assign(took_part=people.index % 2).to_csv(tmp_path / "employees.csv", index=False)
    plan = '[accounts.involvement]\ncolumn = "took_part"\nconstruct = "employee_loyalty"\n'
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{plan}", encoding="utf-8")
    study = spc.read_study(path)
    found = [set(staff_involvement(study, outcome=asked).tidy()["lhs"]) for asked in (None, "employee_satisfaction")]
    assert found == [{"employee_loyalty"}, {"employee_satisfaction"}]


def test_few_people_stay_inside_the_gate():
    frame = staff(60)
    few = frame.assign(involved=[True] * 4 + [False] * 56)
    gate = Gate(DisclosureRule())
    assert gate.model(staff_involvement(frame)).kind == "involvement"
    assert staff_involvement(few).glance()[["nobs", "nobs_min"]].iloc[0].tolist() == [60, 4]
    with pytest.raises(DataError, match="fewer than 5"):
        gate.model(staff_involvement(few))
