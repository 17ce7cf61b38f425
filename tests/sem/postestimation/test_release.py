"""Score tests of equalities: lavaan's numbers and refusals."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from spc.errors import SpcWarning, UsageError
from spc.moments import Moments
from spc.results import TIDY_COLUMNS, Result
from spc.sem import SemFit, fit
from spc.sem.postestimation.release import release_test

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_inference.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["scores"]}


def fitted(name: str) -> SemFit:
    m = CASES[name]["moments"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(CASES[name]["model"], Moments(m["names"], m["n"], m["means"], m["covariance"]))


@pytest.mark.parametrize("name", CASES)
def test_as_lavaan(name: str) -> None:
    case, result = CASES[name], release_test(fitted(name))
    assert result.df == case["total"]["df"]
    assert result.statistic == pytest.approx(case["total"]["x2"], rel=1e-6)
    assert result.p_value == pytest.approx(case["total"]["p"], rel=1e-5)
    table = result.tidy()
    for row, (_, mine) in zip(case["rows"], table.iterrows(), strict=True):
        assert mine["lhs"].replace(" ", "") == row["lhs"]
        assert mine["rhs"] == row["rhs"]
        assert mine["statistic"] == pytest.approx(row["x2"], rel=1e-6)
        assert mine["p_value"] == pytest.approx(row["p"], rel=1e-5)


def test_equal_slopes_in_closed_form() -> None:
    s = np.array([[1.0, 0.2, 0.5], [0.2, 1.0, 0.3], [0.5, 0.3, 1.0]])
    equal = fit("y ~ a*x1 + a*x2", Moments(["x1", "x2", "y"], 100, None, s))
    slope = (0.5 + 0.3) / (1 + 1 + 2 * 0.2)
    rest = 1 - 2 * slope * 0.8 + slope**2 * 2.4
    # Along x1 - x2 the score is (0.5 - 0.3) / rest, as both slopes are equal, and the information 2 (1 - 0.2) / rest.
    assert release_test(equal).statistic == pytest.approx(100 * 0.2**2 / (1.6 * rest), rel=1e-6)


def test_equalities_that_identify_have_no_test() -> None:
    s = np.array([[1.0, 0.4], [0.4, 1.0]])
    result = release_test(fit("f =~ NA*x1 + a*x1 + a*x2\nf ~~ 1*f", Moments(["x1", "x2"], 100, None, s)))
    assert np.isnan(result.statistic)
    assert np.isnan(result.tidy()["statistic"]).all()


def test_nothing_equal_is_an_error() -> None:
    with pytest.raises(UsageError, match="nothing to release"):
        release_test(fit("y ~ x", Moments(["x", "y"], 100, None, [[1.0, 0.3], [0.3, 1.0]])))


def test_answers_like_every_result() -> None:
    result = release_test(fitted("hs_equal"))
    assert isinstance(result, Result)
    assert tuple(result.tidy().columns) == TIDY_COLUMNS
    assert len(result.glance()) == 1
    assert result.notes() == ()
