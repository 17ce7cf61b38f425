"""Items that measure the same within units as between them: loadings of the constructs of units hold for respondents.

Within units the answers of a side are ``L Phi L' + Theta``: ``L`` the loadings of the model of units, ``Phi`` free
covariances of the constructs within units, ``Theta`` the variances of the items' own parts. A variable that is no item
stands for itself. With loadings that hold on both levels a construct of units is what respondents of a unit have in
common in the construct, and its share of the variance between units is free of the error of the items (Mehta & Neale
2005, Psychological Methods 10, 259-284; Marsh et al. 2009, Multivariate Behavioral Research 44, 764-802).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from spc.errors import UnsupportedError
from spc.linalg import FloatArray
from spc.sem.engine.problem import Problem
from spc.sem.twolevel.between import FLOOR, FreeWithin, Penalty, Structured, row_slopes
from spc.sem.twolevel.likelihood import UnitMoments
from spc.sem.twolevel.maps import Slope, symmetric_basis

__all__ = ["Tied", "tied"]

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False, kw_only=True)
class Tied(FreeWithin):
    """Means free, loadings shared by both levels: coordinates ``(mu, t, phi, theta)``.

    Attributes
    ----------
    rows : (l,) int array
        Rows of the loadings in the model's table.
    item, factor : (l,) int arrays
        Places of item and construct of each, among the p variables and the m constructs.
    alone : (p, m) array
        One for variables that stand for themselves.
    together : (m, m) bool array
        Constructs that covary within units: those of one side.
    noise : (p,) array
        Least variance of the own part of each item; zero for variables that are none.
    measured : (c,) int array
        Places of the first c of the constructs, those with items, among the latent variables of the model.
    """

    rows: IntArray
    item: IntArray
    factor: IntArray
    alone: FloatArray
    together: BoolArray
    noise: FloatArray
    measured: IntArray

    @property
    def structure(self) -> Structured:
        """Of units."""
        assert isinstance(self.between, Structured)
        return self.between

    @property
    def problem(self) -> Problem:
        """The model of units."""
        return self.structure.problem

    @cached_property
    def items(self) -> IntArray:
        """Places of the items."""
        return np.flatnonzero(self.noise > 0.0)

    @cached_property
    def basis(self) -> FloatArray:
        """Derivatives (m, m, f) of ``Phi`` on its coordinates."""
        m = len(self.together)
        columns, rows = np.triu_indices(m)
        return np.asarray(symmetric_basis(m)[:, self.together[rows, columns]].reshape(m, m, -1))

    @property
    def least(self) -> FloatArray:
        """Lower bounds of what varies within units: none on ``Phi``, a little above zero on ``Theta``."""
        return np.concatenate([np.full(self.basis.shape[2], -np.inf), self.noise[self.items]])

    @cached_property
    def slopes(self) -> FloatArray:
        """Derivatives (l, k) of the loadings on the coordinates of the structure."""
        return row_slopes(self.problem, self.rows)

    def loadings(self, t: FloatArray) -> FloatArray:
        """``L`` (p, m)."""
        matrix = self.alone.copy()
        matrix[self.item, self.factor] = self.problem.values(self.structure.table(t))[self.rows]
        return matrix

    def phi(self, w: FloatArray) -> FloatArray:
        """``Phi`` (m, m)."""
        return np.asarray(self.basis @ w[: self.basis.shape[2]])

    def within(self, t: FloatArray, w: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Covariances within units (p, p), and their derivatives (p*p, k) and (p*p, kw)."""
        p, load, phi = len(self.own), self.loadings(t), self.phi(w)
        sigma = load @ phi @ load.T
        sigma[self.items, self.items] += w[self.basis.shape[2] :]
        on_loading = np.zeros((p, p, self.rows.size))
        reach = (phi @ load.T)[self.factor]
        on_loading[self.item, :, np.arange(self.rows.size)] = reach
        on_loading += on_loading.transpose(1, 0, 2)
        on_t = on_loading.reshape(p * p, -1) @ self.slopes
        on_phi = np.einsum("if,fgk,jg->ijk", load, self.basis, load).reshape(p * p, -1)
        on_theta = np.zeros((p * p, self.items.size))
        on_theta[self.items * (p + 1), np.arange(self.items.size)] = 1.0
        return sigma, on_t, np.concatenate([on_phi, on_theta], axis=1)

    def bend(self, x: FloatArray, found: Slope) -> FloatArray:
        """Second derivatives of the moments, along the gradient of the likelihood in them."""
        matrix, (_, t, w) = super().bend(x, found), self.split(x)
        pull, load, phi = found.sigma_w, self.loadings(t), self.phi(w)
        two = 2.0 * pull[np.ix_(self.item, self.item)] * phi[np.ix_(self.factor, self.factor)]
        f = self.basis.shape[2]
        mixed = 2.0 * np.einsum("lg,gfk->lfk", (pull @ load)[self.item], self.basis)
        mixed = self.slopes.T @ mixed[np.arange(self.rows.size), self.factor]
        table = slice(len(self.own), len(self.own) + t.size)
        inner = slice(table.stop, table.stop + f)
        matrix[table, table] += self.slopes.T @ two @ self.slopes
        matrix[table, inner] += mixed
        matrix[inner, table] += mixed.T
        return matrix

    def begin(self, t: FloatArray, sigma_w: FloatArray) -> FloatArray:
        """Coordinates of the structure whose loadings are those that covariances within units (p, p) suggest."""
        wanted, t = self._suggested(self.loadings(t), sigma_w), t.copy()
        for k in np.flatnonzero((self.slopes != 0.0).any(axis=0)):
            use = np.flatnonzero(self.slopes[:, k])
            t[k] += float(((wanted - self.loadings(t)[self.item, self.factor])[use] / self.slopes[use, k]).mean())
        return t

    def _suggested(self, load: FloatArray, sigma_w: FloatArray) -> FloatArray:
        """Loadings (l,) in proportion to the covariances of an item with the others of its construct."""
        out = load[self.item, self.factor]
        for f in np.unique(self.factor):
            use = np.flatnonzero(self.factor == f)
            own, first = self.item[use], self.item[use[0]]
            for k, i in zip(use[1:], own[1:], strict=True):
                others = own[(own != i) & (own != first)]
                deviation = np.sqrt(sigma_w[i, i] / sigma_w[first, first])
                ratio = float(np.sign(sigma_w[i, first]) * deviation)
                beside = float(sigma_w[first, others].sum())
                if others.size and 0.1 * deviation < abs(float(sigma_w[i, others].sum())) / max(abs(beside), 1e-300):
                    ratio = float(np.clip(sigma_w[i, others].sum() / beside, -5.0 * deviation, 5.0 * deviation))
                out[k] = out[use[0]] * (ratio or deviation)
        return out

    def join(self, mu: FloatArray, t: FloatArray, sigma_w: FloatArray) -> FloatArray:
        """Coordinates of means, coordinates of the structure and, nearly, covariances within units."""
        load, m = self.loadings(t), len(self.together)
        cov = np.where(self.own, sigma_w, 0.0)
        apart = cov - np.diag(np.where(self.noise > 0.0, cov.diagonal(), 0.0))
        phi = np.zeros((m, m))
        for f in range(m):
            for g in range(m):
                pair = np.outer(load[:, f], load[:, g])
                np.fill_diagonal(pair, np.where(self.noise > 0.0, 0.0, pair.diagonal()))
                phi[f, g] = (pair * apart).sum() / max(float((pair**2).sum()), 1e-300)
        phi = _possible(np.where(self.together, phi, 0.0), np.abs(phi.diagonal()))
        theta = np.maximum(cov.diagonal() - np.einsum("if,fg,ig->i", load, phi, load), 0.2 * cov.diagonal())
        columns, rows = np.triu_indices(m)
        keep = self.together[rows, columns]
        return np.concatenate([mu, t, phi[rows, columns][keep], theta[self.items]])


def _possible(phi: FloatArray, size: FloatArray) -> FloatArray:
    """Covariances near the given ones that leave no construct without a part of its own."""
    root = np.sqrt(np.maximum(np.maximum(phi.diagonal(), 0.1 * size), 1e-3))
    correlation = np.clip(phi / np.outer(root, root), -0.9, 0.9)
    np.fill_diagonal(correlation, 1.0)
    values, vectors = np.linalg.eigh(correlation)
    return np.asarray(vectors * np.maximum(values, 0.05) @ vectors.T * np.outer(root, root))


def tied(between: Structured, units: UnitMoments, penalties: tuple[Penalty, ...]) -> Tied:
    """The map of a model of units whose loadings hold within units too.

    Parameters
    ----------
    between : Structured
    units : UnitMoments
        In the units of the structure, variables in its order.
    penalties : tuple of Penalty

    Raises
    ------
    UnsupportedError
        No construct has items that are all answers of one side. Those that have others are of units alone.
    """
    place = between.problem.place
    n = place.n_observed
    loadings = np.flatnonzero(place.loading)
    # what a loading leads to: the side of an item, -1 for an outcome, -2 for another construct
    to = np.append(units.side, np.full(len(place.variables) - n, -2))[place.row[loadings]]
    factors = place.column[loadings] - n
    measured = np.array(
        [f for f in np.unique(factors) if np.unique(to[factors == f]).size == 1 and to[factors == f][0] >= 0],
        dtype=np.intp,
    )  # fmt: skip
    if not measured.size:
        raise UnsupportedError(
            "Loadings that hold on both levels need constructs whose items are all answers of one side: "
            "quality =~ q1 + q2 + q3."
        )
    rows = loadings[np.isin(factors, measured)]
    item, factor = place.row[rows], place.column[rows] - n
    alone = np.setdiff1d(np.flatnonzero(units.side >= 0), item)
    m = measured.size + alone.size
    itself = np.zeros((n, m))
    itself[alone, measured.size + np.arange(alone.size)] = 1.0
    side = np.append([units.side[item[factor == f][0]] for f in measured], units.side[alone])
    noise = np.zeros(n)
    noise[item] = FLOOR * units.within.diagonal()[item]
    return Tied(
        between, units.own, np.arange(n), penalties, rows=rows, item=item, factor=np.searchsorted(measured, factor),
        alone=itself, together=side[:, None] == side, noise=noise, measured=measured,
    )  # fmt: skip
