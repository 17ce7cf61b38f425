"""Wald tests: lavaan's numbers, closed forms and messages."""

from __future__ import annotations

import json
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from spc.errors import SpcWarning, SpecError, UsageError
from spc.moments import Moments
from spc.results import TIDY_COLUMNS, Result
from spc.sem import SemFit, fit
from spc.sem.postestimation.wald import wald_test

REFERENCE = json.loads((Path(__file__).parents[2] / "reference" / "lavaan_inference.json").read_text())["wald"]


@cache
def democracy() -> SemFit:
    m = REFERENCE["moments"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SpcWarning)
        return fit(REFERENCE["model"], Moments(m["names"], m["n"], m["means"], m["covariance"]))


@pytest.mark.parametrize("test", REFERENCE["tests"], ids=lambda test: test["text"])
def test_as_lavaan(test: dict[str, float]) -> None:
    result = wald_test(democracy(), str(test["text"]))
    assert result.df == test["df"]
    assert result.statistic == pytest.approx(test["stat"], rel=1e-6)
    assert result.p_value == pytest.approx(test["p"], rel=1e-5)


def test_a_single_constraint_is_the_square_of_its_z() -> None:
    table = democracy().tidy().set_index("label")
    result = wald_test(democracy(), "q == 0")
    assert result.statistic == pytest.approx(table.loc["q", "statistic"] ** 2, rel=1e-12)
    assert result.p_value == pytest.approx(table.loc["q", "p_value"], rel=1e-9)
    row = result.tidy().iloc[0]
    assert row["conf_low"] == pytest.approx(table.loc["q", "conf_low"], rel=1e-9)


def test_zero_may_be_left_out_and_lines_separate() -> None:
    one = wald_test(democracy(), "a2 - b2\na3 == b3")
    other = wald_test(democracy(), "a2 == b2; a3 - b3 == 0;")
    assert one.statistic == pytest.approx(other.statistic, rel=1e-12)


def test_defined_parameters_may_be_tested() -> None:
    r = np.array([[1.0, 0.5, 0.4], [0.5, 1.0, 0.5], [0.4, 0.5, 1.0]])
    result = fit("y ~ b*m\nm ~ a*x\nab := a*b", Moments(["x", "m", "y"], 200, None, r))
    assert wald_test(result, "ab").statistic == pytest.approx(wald_test(result, "a*b == 0").statistic, rel=1e-12)
    error = result.tidy().set_index("label").loc["ab", "std_error"]
    assert wald_test(result, "ab == 0.1").statistic == pytest.approx(((0.25 - 0.1) / error) ** 2, rel=1e-9)


def test_units_change_nothing() -> None:
    r = np.array([[1.0, 0.5, 0.4], [0.5, 1.0, 0.5], [0.4, 0.5, 1.0]])
    scale = np.array([1e6, 1.0, 1e-6])
    plain = fit("y ~ b*m\nm ~ a*x", Moments(["x", "m", "y"], 200, None, r))
    scaled = fit("y ~ b*m\nm ~ a*x", Moments(["x", "m", "y"], 200, None, r * np.outer(scale, scale)))
    assert wald_test(scaled, "a == 0; b == 0").statistic == pytest.approx(
        wald_test(plain, "a == 0; b == 0").statistic, rel=1e-8
    )


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("a2 == b9", SpecError, "'b9'"),
        ("aa2 == b2", SpecError, "Did you mean 'a2'"),
        ("a2 = b2", SpecError, "left == right"),
        ("a2 < 1", SpecError, "inequalities"),
        ("a2 == b2 == a3", SpecError, "left == right"),
        ("a2 == (b2", SpecError, "parenthesis"),
        ("a2 == a2", UsageError, "nothing to test"),
        ("1 == 2", UsageError, "nothing to test"),
        ("a2 == b2; b2 == a2", UsageError, "same thing twice"),
        ("a2 == b2; a3 == b3; a2 + a3 == b2 + b3", UsageError, "same thing twice"),
        (" ; \n", UsageError, "No constraint"),
        ("log(0 - a2) == 1", UsageError, "no value"),
    ],
)
def test_messages(text: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words.replace("(", r"\(")):
        wald_test(democracy(), text)


def test_answers_like_every_result() -> None:
    result = wald_test(democracy(), "a2 == b2; q == 0")
    assert isinstance(result, Result)
    assert tuple(result.tidy().columns) == TIDY_COLUMNS
    assert len(result.tidy()) == 2
    assert result.glance()["df"].iloc[0] == 2
    assert result.notes() == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("m ~ x == 0", "m~x has none. Give it one in the model, as in 'm ~ a*x'"),
        ("y~m == 0.5", "y~m has the label 'b'"),
        ("x ~~ x == 1; b == 0", "x~~x has none"),
    ],
)
def test_parameters_without_labels_are_told_how_to_get_one(text: str, words: str) -> None:
    r = [[1.0, 0.5, 0.4], [0.5, 1.0, 0.5], [0.4, 0.5, 1.0]]
    chain = fit("y ~ b*m\nm ~ x", Moments(["x", "m", "y"], 200, None, r))
    with pytest.raises(SpecError, match=words.replace("*", r"\*").replace("(", r"\(")):
        wald_test(chain, text)
