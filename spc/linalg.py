"""Small linear algebra shared by the estimators: half-vectorisation, safe factors, read-only arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dtrtri

from spc.errors import NotPositiveDefiniteError

__all__ = [
    "cholesky", "duplication", "frozen_array", "inverse_of_factor", "one_blas_thread", "unvech", "vech",
    "with_covariance",
]  # fmt: skip

FloatArray = npt.NDArray[np.float64]


def frozen_array(values: npt.ArrayLike) -> FloatArray:
    """Copy to a float array that cannot be written to.

    Examples
    --------
    >>> frozen_array([1, 2]).flags.writeable
    False
    """
    array = np.array(values, dtype=np.float64)
    array.setflags(write=False)
    return array


def vech(matrix: FloatArray) -> FloatArray:
    """Stack the lower triangle of a symmetric matrix, column by column.

    Parameters
    ----------
    matrix : (..., p, p) array

    Returns
    -------
    (..., p(p+1)/2) array

    Examples
    --------
    >>> vech(np.array([[1.0, 2.0], [2.0, 3.0]]))
    array([1., 2., 3.])
    """
    columns, rows = np.triu_indices(matrix.shape[-1])
    return np.asarray(matrix[..., rows, columns])


def unvech(stacked: FloatArray) -> FloatArray:
    """Undo :func:`vech`.

    Examples
    --------
    >>> unvech(np.array([1.0, 2.0, 3.0]))
    array([[1., 2.],
           [2., 3.]])
    """
    p = int((np.sqrt(8 * stacked.shape[-1] + 1) - 1) / 2)
    columns, rows = np.triu_indices(p)
    matrix = np.empty((*stacked.shape[:-1], p, p))
    matrix[..., rows, columns] = stacked
    matrix[..., columns, rows] = stacked
    return matrix


@cache
def duplication(p: int) -> FloatArray:
    """Duplication matrix: ``duplication(p) @ vech(S) == vec(S)`` for symmetric S.

    Returns
    -------
    (p*p, p(p+1)/2) array, read-only

    References
    ----------
    Magnus & Neudecker (1999), *Matrix Differential Calculus*, chapter 3.

    Examples
    --------
    >>> s = np.array([[4.0, 1.0], [1.0, 9.0]])
    >>> bool(np.all(duplication(2) @ vech(s) == s.ravel(order="F")))
    True
    """
    columns, rows = np.triu_indices(p)
    position = np.arange(columns.size)
    matrix = np.zeros((p * p, columns.size))
    matrix[rows + columns * p, position] = 1.0
    matrix[columns + rows * p, position] = 1.0
    return frozen_array(matrix)


def cholesky(matrix: FloatArray, what: str, names: Sequence[str] = ()) -> FloatArray:
    """Lower Cholesky factor, or an error that names the variables in the way.

    Parameters
    ----------
    matrix : (p, p) array
    what : str
        What the matrix is, for the message: ``"the sample covariance matrix"``.
    names : sequence of str
        Names of the rows.

    Raises
    ------
    NotPositiveDefiniteError
        Names the variables with weight in the null direction.
    """
    try:
        return np.asarray(np.linalg.cholesky(matrix))
    except np.linalg.LinAlgError:
        involved = _null_direction(matrix, names)
        listed = f" Variables involved: {', '.join(involved)}." if involved else ""
        raise NotPositiveDefiniteError(
            f"{what} is not positive definite, so it has no inverse.{listed} "
            "Look for constant, duplicated or linearly dependent columns, or fewer rows than columns.",
            parameters=involved,
        ) from None


def inverse_of_factor(lower: FloatArray) -> FloatArray:
    """Inverse of a matrix from its lower Cholesky factor, with zeros above the diagonal.

    Examples
    --------
    >>> inverse_of_factor(np.array([[2.0, 0.0], [0.0, 4.0]]))
    array([[0.25  , 0.    ],
           [0.    , 0.0625]])
    """
    half, _ = dtrtri(lower, lower=1)
    return np.asarray(half.T @ half)


def with_covariance(standard: FloatArray, covariance: FloatArray) -> FloatArray:
    """Turn draws of independent standard variables into draws with the given covariances.

    Parameters
    ----------
    standard : (n, k) array
    covariance : (k, k) array
        May be singular; directions in which it is negative by rounding are left at zero.

    Returns
    -------
    (n, k) array

    Examples
    --------
    >>> with_covariance(np.array([[1.0, -1.0]]), np.array([[4.0, 0.0], [0.0, 0.0]])).round(6).tolist()
    [[2.0, 0.0]]
    """
    unit = np.sqrt(np.maximum(covariance.diagonal(), 0.0))
    unit[unit == 0.0] = 1.0
    values, vectors = np.linalg.eigh(covariance / np.outer(unit, unit))
    root = vectors * np.sqrt(np.clip(values, 0.0, None)) @ vectors.T
    return np.asarray(standard @ root * unit)


def _null_direction(matrix: FloatArray, names: Sequence[str]) -> list[str]:
    if not names or not np.all(np.isfinite(matrix)):
        return [name for name, row in zip(names, matrix, strict=False) if not np.all(np.isfinite(row))]
    constant = np.diag(matrix) <= 0
    if constant.any():
        return [name for name, flag in zip(names, constant, strict=True) if flag]
    scale = np.sqrt(np.diag(matrix))
    vectors = np.linalg.eigh(matrix / np.outer(scale, scale))[1]
    return [name for name, weight in zip(names, vectors[:, 0], strict=True) if abs(weight) > 0.1]


@cache
def _blas() -> Any:
    import scipy.linalg  # noqa: F401  # brings a BLAS of its own, which must be loaded to be held
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas").lib_controllers


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread: faster on small matrices, and the same last digits on every machine.

    Enter it once around a run, never inside an inner loop.
    """
    held = [(library, threads) for library in _blas() if (threads := library.get_num_threads()) != 1]
    try:
        for library, _ in held:
            library.set_num_threads(1)
        yield
    finally:
        for library, threads in held:
            library.set_num_threads(threads)
