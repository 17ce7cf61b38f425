"""Defined parameters and linear constraints."""

from __future__ import annotations

import numpy as np
import pytest

from spc.errors import SpecError, UnsupportedError
from spc.sem.engine.defined import defined_slopes, defined_values, label_rows, linear_constraints
from spc.spec import model
from spc.spec.table import Constraint, Defined

VALUES = {"a": np.array(0.6), "b": np.array(-1.5), "c": np.array(2.0)}
SLOPES = {name: np.eye(3)[i] for i, name in enumerate(VALUES)}


@pytest.mark.parametrize("text", ["a*b", "a - b/c", "exp(a)*log(c)", "sqrt(abs(b)) + c^a", "-(a + 2)^2 / (1 + b^2)"])
def test_slopes_are_the_derivatives(text: str) -> None:
    made = [Defined("d", text)]
    slope = defined_slopes(made, VALUES, SLOPES)["d"]
    for k, name in enumerate(VALUES):
        up = defined_values(made, {**VALUES, name: VALUES[name] + 1e-6})["d"]
        down = defined_values(made, {**VALUES, name: VALUES[name] - 1e-6})["d"]
        assert slope[k] == pytest.approx(float(up - down) / 2e-6, abs=1e-8)


def test_definitions_may_use_one_another_in_any_order() -> None:
    made = [Defined("total", "direct + indirect"), Defined("indirect", "a*b"), Defined("direct", "c")]
    assert float(defined_values(made, VALUES)["total"]) == pytest.approx(1.1)
    np.testing.assert_allclose(defined_slopes(made, VALUES, SLOPES)["total"], [-1.5, 0.6, 1.0])


def test_draws_go_at_once() -> None:
    draws = {"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])}
    assert defined_values([Defined("ab", "a*b")], draws)["ab"].tolist() == [3.0, 8.0]


def test_circles_and_unknown_labels_are_named() -> None:
    with pytest.raises(SpecError, match="circles: p, q"):
        defined_values([Defined("p", "q + 1"), Defined("q", "p + 1")], VALUES)
    with pytest.raises(SpecError, match="'z'"):
        defined_values([Defined("p", "z + 1")], VALUES)


def test_labels_of_fixed_rows_count() -> None:
    made = model("y ~ a*x + b*z + c*w")
    assert set(label_rows(made)) == {"a", "b", "c"}


def test_linear_constraints_become_a_matrix() -> None:
    constraints = [Constraint("a", "==", "b"), Constraint("a + 2*b", "==", "3 - c")]
    zero = dict.fromkeys(VALUES, 0.0)
    matrix, target = linear_constraints(constraints, zero, SLOPES)
    np.testing.assert_allclose(matrix, [[1, -1, 0], [1, 2, 1]], atol=1e-12)
    np.testing.assert_allclose(target, [0, 3], atol=1e-12)


@pytest.mark.parametrize(("op", "left", "word"), [(">", "a", "an equality"), ("==", "a*b", "linear in the")])
def test_other_constraints_are_refused(op: str, left: str, word: str) -> None:
    with pytest.raises(UnsupportedError, match=word):
        linear_constraints([Constraint(left, op, "0.5")], dict.fromkeys(VALUES, 0.0), SLOPES)
