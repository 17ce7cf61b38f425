import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spc.errors import NotPositiveDefiniteError
from spc.linalg import cholesky, duplication, frozen_array, unvech, vech


def symmetric(p, seed=0):
    root = np.random.default_rng(seed).normal(size=(p, p + 2))
    return root @ root.T


@given(st.integers(1, 7), st.integers(0, 50))
def test_unvech_undoes_vech_and_duplication_agrees(p, seed):
    matrix = symmetric(p, seed)
    assert np.array_equal(unvech(vech(matrix)), matrix)
    assert np.array_equal(duplication(p) @ vech(matrix), matrix.ravel(order="F"))


def test_stacks_are_taken_along():
    stack = np.stack([symmetric(3, seed) for seed in range(4)])
    assert np.array_equal(unvech(vech(stack)), stack)


def test_frozen_array_is_a_copy():
    source = np.ones(2)
    copy = frozen_array(source)
    source[0] = 5
    assert copy[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        copy[0] = 2


def test_cholesky_names_the_variables_in_the_way():
    x = np.random.default_rng(1).normal(size=(50, 3))
    cov = np.cov(np.column_stack([x, x[:, 0] + x[:, 1]]).T)
    with pytest.raises(NotPositiveDefiniteError, match="Variables involved: a, b, d"):
        cholesky(cov, "the sample covariance matrix", ["a", "b", "c", "d"])


def test_cholesky_names_the_constant():
    with pytest.raises(NotPositiveDefiniteError) as caught:
        cholesky(np.diag([1.0, 0.0]), "the sample covariance matrix", ["a", "b"])
    assert caught.value.parameters == ("b",)


def test_cholesky_is_the_lower_factor():
    matrix = symmetric(4)
    factor = cholesky(matrix, "it")
    np.testing.assert_allclose(factor @ factor.T, matrix)
    assert np.array_equal(factor, np.tril(factor))
