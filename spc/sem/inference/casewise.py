"""What robust errors need beyond means and covariances: how the products of deviations vary from row to row.

The score of a parameter for one row of data is ``p'W(zz' - S)Wq + dmu'W z``, so the scores of all rows are a product
of small matrices, and no matrix of fourth-order moments is formed. From :class:`~spc.moments.Moments` with ``higher``
the same sums come out of those moments.

Covariates held at their sample moments carry no sampling variation: what they predict is taken out of each row first
(``given_x``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from spc.linalg import FloatArray, vech
from spc.moments import shifted
from spc.sem.engine.problem import Problem
from spc.sem.engine.ram import IntArray

__all__ = ["Evidence", "Fourth", "Loads", "Rows", "fourth", "rows"]

_BLOCK = 2_000_000


@dataclass(frozen=True, eq=False, slots=True)
class Loads:
    """Scores as forms in a row of deviations z: ``(left'z)(right'z) + mean'z``, one column a parameter.

    Attributes
    ----------
    left, right : (p, r) arrays
        ``W P`` and ``W Q``.
    mean : (p, r) array or None
        ``W dmu``; None in models without means.
    """

    left: FloatArray
    right: FloatArray
    mean: FloatArray | None


class Evidence(Protocol):
    """Variation of the rows, in balanced units."""

    def meat(
        self, loads: Loads, shift: FloatArray | None, *, given_x: bool, score: FloatArray | None = None
    ) -> FloatArray:
        """Mean products of the scores of single rows (r, r).

        Deviations are measured from the mean less ``shift``, and scores from their mean less ``score``.
        """

    def spread(self, weight: FloatArray, index: IntArray, *, given_x: bool) -> float:
        """``tr(Gamma V) `` of the covariances of the variables at ``index``, V their normal weight at ``weight``.

        That is half of the mean of ``tr((weight (zz' - S))^2)``.
        """

    def spread_alone(self, weights: FloatArray, index: IntArray, *, given_x: bool) -> float:
        """Sum of the spreads of the variables at ``index``, each by itself with its weight."""

    def spread_means(self, weight: FloatArray, *, given_x: bool) -> float:
        """``tr(weight cov(z))`` of the deviations themselves."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of data as deviations from their means, ordered by cluster.

    Attributes
    ----------
    deviations : (n, p) array
    predicted : (n, p) array or None
        What the covariates held at their sample moments predict; None without such covariates.
    starts : (c,) int array or None
        First row of each cluster; None where rows are independent.
    """

    deviations: FloatArray
    predicted: FloatArray | None
    starts: IntArray | None

    @property
    def factor(self) -> float:
        """Divisor of sums over rows, with the correction for few clusters."""
        n = float(len(self.deviations))
        if self.starts is None:
            return 1.0 / n
        return self.starts.size / (self.starts.size - 1.0) / n

    def meat(
        self, loads: Loads, shift: FloatArray | None, *, given_x: bool, score: FloatArray | None = None
    ) -> FloatArray:
        """See :class:`Evidence`."""
        z, fitted = self.deviations, self.predicted if given_x else None
        r = loads.left.shape[1]
        total, centre = np.zeros((r, r)), self._centre(loads, shift, fitted)
        if score is not None:
            centre -= score
        for block, starts in self._blocks(r):
            part = z[block] if shift is None else z[block] + shift
            scores = part @ loads.left
            scores *= part @ loads.right
            if fitted is not None:
                scores -= (fitted[block] @ loads.left) * (fitted[block] @ loads.right)
            if loads.mean is not None:
                scores += (part if fitted is None else z[block] - fitted[block]) @ loads.mean
            scores -= centre
            if starts is not None:
                scores = np.add.reduceat(scores, starts, axis=0)
            total += scores.T @ scores
        return np.asarray(total * self.factor)

    def _centre(self, loads: Loads, shift: FloatArray | None, fitted: FloatArray | None) -> FloatArray:
        """Mean score."""
        products = self.deviations.T @ self.deviations / len(self.deviations)
        if fitted is not None:
            products -= fitted.T @ fitted / len(fitted)
        if shift is not None:
            products += np.outer(shift, shift)
        centre = np.einsum("ij,ij->j", loads.left, products @ loads.right)
        if loads.mean is not None and shift is not None and fitted is None:
            centre += shift @ loads.mean
        return np.asarray(centre)

    def spread(self, weight: FloatArray, index: IntArray, *, given_x: bool) -> float:
        """See :class:`Evidence`."""
        root = np.linalg.cholesky(weight)
        z = self.deviations[:, index] @ root
        fitted = self.predicted[:, index] @ root if given_x and self.predicted is not None else None
        middle = z.T @ z / len(z)
        if fitted is not None:
            middle -= fitted.T @ fitted / len(fitted)
        if self.starts is not None:
            return self._spread_of_clusters(z, fitted, middle)
        square = np.einsum("ij,ij->i", z, z) ** 2
        if fitted is not None:
            square += np.einsum("ij,ij->i", fitted, fitted) ** 2 - 2.0 * np.einsum("ij,ij->i", z, fitted) ** 2
        return 0.5 * float(square.mean() - np.vdot(middle, middle))

    def _spread_of_clusters(self, z: FloatArray, fitted: FloatArray | None, middle: FloatArray) -> float:
        first, second = np.triu_indices(z.shape[1])
        unit = np.where(first == second, 0.5, 1.0)
        total, middle = 0.0, middle[first, second]
        for block, starts in self._blocks(first.size):
            products = z[block][:, first] * z[block][:, second] - middle
            if fitted is not None:
                products -= fitted[block][:, first] * fitted[block][:, second]
            sums = products if starts is None else np.add.reduceat(products, starts, axis=0)
            total += float(((sums * sums) @ unit).sum())
        return total * self.factor

    def spread_alone(self, weights: FloatArray, index: IntArray, *, given_x: bool) -> float:
        """See :class:`Evidence`."""
        squares = self.deviations[:, index] ** 2
        if given_x and self.predicted is not None:
            squares -= self.predicted[:, index] ** 2
        squares -= squares.mean(axis=0)
        if self.starts is not None:
            squares = np.add.reduceat(squares, self.starts, axis=0)
        return 0.5 * float(np.einsum("ij,ij->j", squares, squares) @ weights**2) * self.factor

    def spread_means(self, weight: FloatArray, *, given_x: bool) -> float:
        """See :class:`Evidence`."""
        z = self.deviations
        if given_x and self.predicted is not None:
            z = z - self.predicted
        if self.starts is not None:
            z = np.add.reduceat(z, self.starts, axis=0)
        return float(np.vdot(z @ weight, z)) * self.factor

    def _blocks(self, width: int) -> Iterator[tuple[slice, IntArray | None]]:
        """Blocks of rows that hold whole clusters, with the first rows of these within the block."""
        n, most = len(self.deviations), max(1, _BLOCK // max(width, 1))
        if self.starts is None:
            for start in range(0, n, most):
                yield slice(start, min(start + most, n)), None
            return
        ends = np.append(self.starts[1:], n)
        i = 0
        while i < ends.size:
            begin = int(self.starts[i])
            j = max(i + 1, int(np.searchsorted(ends, begin + most, side="right")))
            yield slice(begin, int(ends[j - 1])), self.starts[i:j] - begin
            i = j


def rows(problem: Problem, values: FloatArray, cluster: IntArray | None = None) -> Rows:
    """Deviations of the rows a model was fitted to, in its balanced units.

    Parameters
    ----------
    problem : Problem
    values : (n, p) array
        Complete rows of the observed variables, in the model's order.
    cluster : (n,) int array, optional
        Number of the cluster of each row, from 0 on, none of them empty.
    """
    if cluster is not None:
        order = np.argsort(cluster, kind="stable")
        values, cluster = values[order], cluster[order]
    deviations = (values - values.mean(axis=0)) / problem.scale[: values.shape[1]]
    held = problem.place.exogenous
    predicted = None
    if held.size:
        cov = deviations.T @ deviations / len(deviations)
        predicted = deviations[:, held] @ _slopes(cov, held)
    starts = None if cluster is None else np.flatnonzero(np.diff(cluster, prepend=-1))
    return Rows(deviations, predicted, starts)


def _slopes(cov: FloatArray, held: IntArray) -> FloatArray:
    """Slopes (k, p) of all variables on those at ``held``, which predict themselves exactly."""
    slopes = np.linalg.solve(cov[np.ix_(held, held)], cov[held])
    slopes[:, held] = np.eye(held.size)
    return np.asarray(slopes)


@dataclass(frozen=True, eq=False)
class Fourth:
    """Moments of order 2 to 4 in place of rows.

    Attributes
    ----------
    gamma : (p + p(p+1)/2, p + p(p+1)/2) array
        As ``Moments.higher``, in balanced units.
    residual : array of the same shape
        The same of what the covariates held at their sample moments do not predict.
    p : int
    """

    gamma: FloatArray
    residual: FloatArray
    p: int

    def meat(
        self, loads: Loads, shift: FloatArray | None, *, given_x: bool, score: FloatArray | None = None
    ) -> FloatArray:
        """See :class:`Evidence`."""
        p, gamma = self.p, self.residual if given_x else self.gamma
        if shift is not None and not given_x:
            gamma = shifted(gamma, -shift)
        first, second = np.triu_indices(p)
        forms = np.empty((len(gamma), loads.left.shape[1]))
        forms[:p] = 0.0 if loads.mean is None else loads.mean
        forms[p:] = loads.left[first] * loads.right[second]
        apart = first != second
        forms[p:][apart] += (loads.left[second] * loads.right[first])[apart]
        meat = forms.T @ gamma @ forms
        return np.asarray(meat if score is None else meat + np.outer(score, score))

    def spread(self, weight: FloatArray, index: IntArray, *, given_x: bool) -> float:
        """See :class:`Evidence`."""
        part = self._products(index, given_x=given_x)
        return float(np.vdot(part, normal_weight(weight)))

    def spread_alone(self, weights: FloatArray, index: IntArray, *, given_x: bool) -> float:
        """See :class:`Evidence`."""
        first, second = np.triu_indices(self.p)
        gamma = self.residual if given_x else self.gamma
        return 0.5 * float(gamma.diagonal()[self.p :][first == second][index] @ weights**2)

    def spread_means(self, weight: FloatArray, *, given_x: bool) -> float:
        """See :class:`Evidence`."""
        gamma = self.residual if given_x else self.gamma
        return float(np.vdot(gamma[: self.p, : self.p], weight))

    def _products(self, index: IntArray, *, given_x: bool) -> FloatArray:
        number = np.zeros((self.p, self.p), dtype=np.intp)
        first, second = np.triu_indices(self.p)
        number[first, second] = number[second, first] = self.p + np.arange(first.size)
        kept = vech(number[np.ix_(index, index)].astype(np.float64)).astype(np.intp)
        gamma = self.residual if given_x else self.gamma
        return np.asarray(gamma[np.ix_(kept, kept)])


def fourth(problem: Problem, higher: FloatArray, cov: FloatArray) -> Fourth:
    """Moments of order 2 to 4 in the balanced units of a problem.

    Parameters
    ----------
    problem : Problem
    higher : (p + p(p+1)/2, p + p(p+1)/2) array
        ``Moments.higher`` of its observed variables.
    cov : (p, p) array
        Their covariances with any divisor.
    """
    p = len(cov)
    first, second = np.triu_indices(p)
    scale = problem.scale[:p]
    unit = np.concatenate([scale, scale[first] * scale[second]])
    gamma = higher / np.outer(unit, unit)
    held = problem.place.exogenous
    if not held.size:
        return Fourth(gamma, gamma, p)
    onto = np.zeros((p, p))
    onto[:, held] = _slopes(cov / np.outer(scale, scale), held).T
    pairs = onto[first[:, None], first] * onto[second[:, None], second]
    pairs += np.where(first == second, 0.0, onto[first[:, None], second] * onto[second[:, None], first])
    left = np.eye(len(gamma))
    left[:p, :p] -= onto
    left[p:, p:] -= pairs
    return Fourth(gamma, np.asarray(left @ gamma @ left.T), p)


def normal_weight(weight: FloatArray) -> FloatArray:
    """Inverse of the covariances of vech moments under normality: ``D'(W x W)D / 2``, (p*, p*)."""
    first, second = np.triu_indices(len(weight))
    product = weight[first[:, None], first] * weight[second[:, None], second]
    product += weight[first[:, None], second] * weight[second[:, None], first]
    half = np.where(first == second, 0.5, 1.0)
    return np.asarray(product * np.outer(half, half))
