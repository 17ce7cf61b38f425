"""Standardised values: identities, draws, and derivatives against finite differences."""

from __future__ import annotations

import numpy as np
import pytest

from spc.linalg import FloatArray
from spc.sem.engine.ram import Structure, implied, structure
from spc.sem.engine.standardize import Kind, standardised_slopes, standardised_values
from spc.spec import model

TEXT = "f =~ x1 + x2 + x3\ng =~ x4 + x5 + x6\ng ~ f + w\nx7 ~ g\nx1 ~~ x5\nx2 ~~ x2"


def example() -> tuple[Structure, FloatArray]:
    place = structure(model(TEXT, meanstructure=True))
    values = np.random.default_rng(7).uniform(0.2, 0.6, place.part.size)
    values[(place.part == 1) & (place.row == place.column)] += 0.8
    return place, values


def test_standardising_twice_is_standardising_once() -> None:
    place, values = example()
    once = standardised_values(place, values, implied(place, values))
    diagonal = (place.part == 1) & (place.row == place.column)
    again = once.copy()
    off = (place.part == 1) & ~diagonal
    root = np.sqrt(implied(place, values).residual.diagonal() / implied(place, values).covariance.diagonal())
    again[off] *= root[place.row[off]] * root[place.column[off]]
    at = implied(place, again)
    np.testing.assert_allclose(at.covariance.diagonal(), 1.0, atol=1e-12)
    np.testing.assert_allclose(standardised_values(place, again, at), once, atol=1e-12)


def test_latent_standardisation_leaves_observed_units() -> None:
    place, values = example()
    at = implied(place, values)
    std = standardised_values(place, values, at, "lv")
    observed = (place.part == 1) & (place.row < place.n_observed)
    np.testing.assert_allclose(std[observed], values[observed])
    latent = np.sqrt(at.covariance.diagonal())[place.column[place.loading]]
    np.testing.assert_allclose(std[place.loading], values[place.loading] * latent)


def test_draws_go_at_once() -> None:
    place, values = example()
    many = np.stack([values, 1.1 * values])
    together = standardised_values(place, many, implied(place, many))
    np.testing.assert_allclose(together[1], standardised_values(place, many[1], implied(place, many[1])))


def test_no_number_where_a_variance_is_negative() -> None:
    place, values = example()
    rows = model(TEXT, meanstructure=True).parameters.rows
    own = next(i for i, row in enumerate(rows) if (row.lhs, row.op, row.rhs) == ("x1", "~~", "x1"))
    both = next(i for i, row in enumerate(rows) if (row.lhs, row.op, row.rhs) == ("x1", "~~", "x5"))
    values[own] = -0.1
    std = standardised_values(place, values, implied(place, values))
    assert np.isnan(std[both])
    assert std[own] < 0


@pytest.mark.parametrize("kind", ["all", "lv"])
def test_slopes_are_the_derivatives(kind: Kind) -> None:
    place, values = example()
    rows = np.arange(values.size)
    slopes = standardised_slopes(place, values, implied(place, values), rows, kind)
    for k, step in enumerate(np.eye(values.size) * 1e-6):
        up, down = values + step, values - step
        numeric = (
            standardised_values(place, up, implied(place, up), kind)
            - standardised_values(place, down, implied(place, down), kind)
        ) / 2e-6
        np.testing.assert_allclose(slopes[:, k], numeric, atol=1e-8)
