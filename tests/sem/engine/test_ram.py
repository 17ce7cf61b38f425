"""Places of parameters, implied moments and their derivatives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spc.errors import SpecError, UnsupportedError
from spc.sem.engine.ram import Structure, directions, implied, matrices, structure
from spc.spec import model
from spc.spec.table import Model, Parameter, ParameterTable

TEXT = "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\ng ~ f + w\nx7 ~ g + x1\nx1 ~~ x5"


def example(*, meanstructure: bool = True) -> tuple[Structure, np.ndarray]:
    place = structure(model(TEXT, meanstructure=meanstructure))
    rng = np.random.default_rng(7)
    values = rng.uniform(0.2, 0.6, place.part.size)
    variance = (place.part == 1) & (place.row == place.column)
    values[variance] += 0.8
    return place, values


def test_order_is_observed_then_latent() -> None:
    place, _ = example()
    assert place.latents == ("f", "g")
    assert set(place.observed) == {"x1", "x2", "x3", "x4", "x5", "x6", "x7", "w"}


def test_matrices_hold_values_at_the_right_entries() -> None:
    place, values = example()
    a, s, alpha = matrices(place, values)
    at = {name: i for i, name in enumerate(place.variables)}
    rows = {(r.lhs, r.op, r.rhs): values[i] for i, r in enumerate(model(TEXT, meanstructure=True).parameters)}
    assert a[at["x2"], at["f"]] == rows["f", "=~", "x2"]
    assert a[at["x7"], at["x1"]] == rows["x7", "~", "x1"]
    assert s[at["x1"], at["x5"]] == s[at["x5"], at["x1"]] == rows["x1", "~~", "x5"]
    assert alpha[at["x3"]] == rows["x3", "~1", ""]


def test_implied_moments_are_those_of_the_full_inverse() -> None:
    place, values = example()
    a, s, alpha = matrices(place, values)
    b = np.linalg.inv(np.eye(len(a)) - a)
    at = implied(place, values)
    np.testing.assert_allclose(at.total, b, atol=1e-14)
    np.testing.assert_allclose(at.covariance, b @ s @ b.T, atol=1e-13)
    np.testing.assert_allclose(at.mean, b @ alpha, atol=1e-13)


def test_feedback_loops_have_total_effects() -> None:
    place = structure(model("a ~ b + x\nb ~ a + z"))
    values = np.full(place.part.size, 0.5)
    at = {name: i for i, name in enumerate(place.variables)}
    total = implied(place, values).total
    assert total[at["a"], at["x"]] == pytest.approx(0.5 / (1 - 0.25))


@pytest.mark.parametrize(
    ("text", "recursive"),
    [(TEXT, True), ("a ~ b\nb ~ c", True), ("a ~ b\nb ~ c\nc ~ a", False), ("a ~ b\nb ~ a", False)],
)
def test_loops_are_seen(text: str, recursive: bool) -> None:
    assert structure(model(text)).recursive is recursive


def test_draws_go_at_once() -> None:
    place, values = example()
    many = np.stack([values, 0.9 * values, 1.1 * values]).reshape(3, 1, -1)
    together = implied(place, many)
    alone = implied(place, 1.1 * values)
    assert together.covariance.shape == (3, 1, 10, 10)
    np.testing.assert_allclose(together.covariance[2, 0], alone.covariance, atol=1e-13)
    np.testing.assert_allclose(together.mean[2, 0], alone.mean, atol=1e-13)


@pytest.mark.parametrize("size", [8, 10])
def test_directions_are_the_derivatives(size: int) -> None:
    place, values = example()
    rows = np.arange(values.size)
    way = directions(place, implied(place, values), rows, size)
    assert way.mu is not None
    for k, step in enumerate(np.eye(values.size) * 1e-6):
        up, down = implied(place, values + step), implied(place, values - step)
        numeric = (up.covariance - down.covariance)[:size, :size] / 2e-6
        rank_two = np.outer(way.p[:, k], way.q[:, k])
        np.testing.assert_allclose(rank_two + rank_two.T, numeric, atol=1e-8)
        np.testing.assert_allclose(way.mu[:, k], (up.mean - down.mean)[:size] / 2e-6, atol=1e-8)


def test_no_mean_derivatives_without_means() -> None:
    place, values = example(meanstructure=False)
    assert directions(place, implied(place, values), np.arange(values.size), 8).mu is None


def altered(rows: tuple[Parameter, ...], **changes: object) -> Model:
    return replace(model("y ~ x"), parameters=ParameterTable(rows), **changes)


def test_arrays_are_read_only() -> None:
    place, _ = example()
    with pytest.raises(ValueError, match="read-only"):
        place.free[0] = 3


@pytest.mark.parametrize(
    ("made", "word"),
    [
        (replace(model("y ~ x"), groups=("a", "b")), "2 groups"),
        (replace(model("y ~ x"), levels=(1, 2)), "2 levels"),
        (replace(model("y ~ x"), ordinal=("y",)), "Ordered items: y"),
        (altered((Parameter("y", "|", "t1", free=1),)), r"operator '\|'"),
    ],
)
def test_what_has_no_method_is_refused(made: Model, word: str) -> None:
    with pytest.raises(UnsupportedError, match=word):
        structure(made)


@pytest.mark.parametrize(
    ("rows", "word"),
    [
        ((), "no parameters"),
        ((Parameter("y", "~", "q", free=1),), "'q' is neither"),
        ((Parameter("y", "~", "y", free=1),), "on itself"),
        ((Parameter("y", "~~", "x", free=1), Parameter("x", "~~", "y", free=2)), "given twice"),
    ],
)
def test_impossible_tables_are_refused(rows: tuple[Parameter, ...], word: str) -> None:
    with pytest.raises(SpecError, match=word):
        structure(altered(rows))
