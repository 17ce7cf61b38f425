"""How well items measure their latent variable: alpha, omega, composite reliability, average variance extracted.

Each coefficient is a smooth function of the estimates and of the sample covariances ``T`` of the items. The estimates
themselves move with ``T`` as ``dx = I^-1 s(T)``, where the score of a parameter is ``p' W (T - sigma) W q``; so a
coefficient moves as ``tr(G dT)`` for some symmetric ``G``, and its variance is ``2 tr(G sigma G sigma) / n`` under
normality: the delta method in the space of the moments, without which alpha would have no error at all. Under robust
estimators, missing answers or clusters the covariances of the estimates are known and those of ``T`` with them are
not: there ``T`` moves as the model implies, which is the same in large samples where the model holds. Of ordered items
the moments are thresholds and polychoric correlations, whose sampling covariances the fit has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from spc.errors import UnsupportedError, UsageError
from spc.linalg import FloatArray, cholesky
from spc.results import Note, Provenance, Shown, tidy_frame
from spc.sem.engine.diagnose import of_group
from spc.sem.engine.joint import State, shares_of
from spc.sem.engine.optimise import derivatives
from spc.sem.engine.ram import COVARIANCE, DIRECTED, SCALE, THRESHOLD, IntArray, Structure, directions, matrices
from spc.sem.ordinal.category_sum import category_omega
from spc.sem.ordinal.problem import OrdinalProblem
from spc.sem.ordinal.search import pulls

if TYPE_CHECKING:
    from spc.sem.fit import SemFit
    from spc.sem.result import Part

__all__ = ["LatentReliability", "reliability"]


@dataclass(frozen=True, eq=False, repr=False)
class LatentReliability(Shown):
    """Reliability of the items of each latent variable.

    Attributes
    ----------
    table : DataFrame
        One row a coefficient: ``lhs`` the latent variable, ``kind`` one of ``alpha, omega, cr, ave``, for ordered items
        ``omega_categorical``; for a factor of factors one of ``omega_l1, omega_l2, omega_partial``.
    n : int
        Rows of data.
    level : float
        Level of the intervals.
    standardized : bool
        Whether the items were brought to unit variance first.
    remarks : tuple of Note
    provenance : Provenance
    """

    table: pd.DataFrame
    n: int
    level: float
    standardized: bool
    remarks: tuple[Note, ...]
    provenance: Provenance
    kind: str = "reliability"

    def tidy(self) -> pd.DataFrame:
        """One row a latent variable and coefficient."""
        return self.table.copy()

    def glance(self) -> pd.DataFrame:
        """One row: how many latent variables, from how many rows, and the smallest of each coefficient."""
        least = self.table.groupby("kind")["estimate"].min()
        row = {f"smallest_{kind}": float(least.get(kind, math.nan)) for kind in ("alpha", "omega", "cr", "ave")}
        return pd.DataFrame([{"nlatents": self.table["lhs"].nunique(), "nobs": self.n, **row, "level": self.level}])

    def notes(self) -> tuple[Note, ...]:
        """What a reader must know beside the coefficients."""
        return self.remarks


def reliability(fit: SemFit, *, level: float | None = None, standardized: bool = False) -> LatentReliability:
    r"""Alpha, omega, composite reliability and average variance extracted of each latent variable, with intervals.

    With loadings ``l``, the latent variance ``f``, residual variances ``t`` and observed covariances ``T`` of the k
    items of a latent variable:

    ======  ===============================================  ==========================================
    kind    formula                                          what it is
    ======  ===============================================  ==========================================
    alpha   ``k/(k-1) (1 - sum T_ii / sum T_ij)``            Cronbach (1951)
    omega   ``(sum l)^2 f / sum T_ij``                       McDonald (1999); ``compRelSEM`` of semTools
    cr      ``(sum l)^2 f / ((sum l)^2 f + sum t)``          composite reliability, Fornell & Larcker (1981)
    ave     ``f sum l^2 / sum T_ii``                         average variance extracted; ``AVE`` of semTools
    ======  ===============================================  ==========================================

    Of ordered items these are coefficients of the responses behind the answers, each in its own standard deviations.
    ``omega_categorical`` is that of the sum of the answers themselves, coded in steps of one (Green & Yang 2009; what
    ``compRelSEM`` of semTools prints for ordered items).

    A factor of factors has three: ``omega_l1``, the share of the variance of the sum of all items below it that comes
    from it; ``omega_l2``, the same for the sum of the factors; ``omega_partial``, its share of the sum of items beside
    their residuals alone (``compRelSEM(higher=)`` and ``reliabilityL2`` of semTools; the latter divides the first by
    the implied variance). With groups there is a row for each group. With two levels there is one for each: within
    clusters, the sum of what rows differ by; between them, that of the clusters' own values, free of sampling
    (Geldhof, Preacher & Zyphur 2014, Psychological Methods 19, 72-91; ``compRelSEM`` of semTools).

    Parameters
    ----------
    fit : SemFit
    level : float, optional
        Level of the intervals; that of the fit by default.
    standardized : bool
        Bring the items to unit variance first, as papers do that print standardised loadings; by default the
        coefficients are those of the sum of the items as answered.

    Returns
    -------
    LatentReliability
        Intervals are symmetric on the logit scale, so they stay between 0 and 1. Where rows are not complete,
        independent and fitted by ``estimator="ML"``, they rest on the robust covariances of the estimates, with a
        note; of ordered items on those of thresholds and correlations. Latent variables with a single item or without
        any are left out, with a note. Where an item belongs to more than one latent variable, omega counts the share
        of the one it stands beside, as semTools does, and cr and ave are missing. ``omega_categorical`` is missing
        where a latent variable, or what is left of an item, has a negative variance.

    Raises
    ------
    UnsupportedError
        No latent variable has two items.
    UsageError
        A level outside 0 to 1.

    Examples
    --------
    >>> from spc.moments import Moments
    >>> from spc.sem.fit import fit
    >>> cov = [[1.0, 0.5, 0.5], [0.5, 1.0, 0.5], [0.5, 0.5, 1.0]]
    >>> table = reliability(fit("f =~ a + b + c", Moments(list("abc"), 100, None, cov))).tidy()
    >>> table[["lhs", "kind", "estimate", "conf_low", "conf_high"]].round(3)
      lhs   kind  estimate  conf_low  conf_high
    0   f  alpha      0.75     0.656      0.825
    1   f  omega      0.75     0.656      0.825
    2   f     cr      0.75     0.656      0.825
    3   f    ave      0.50     0.389      0.611
    """
    level = fit.options.level if level is None else level
    if not 0.0 < level < 1.0:
        raise UsageError(f"level={level!r}: expected a share between 0 and 1, such as 0.95.")
    found = [_of_view(fit, view, level, standardized) for view in fit.views]
    rows = [row for own, _ in found for row in own]
    if not rows:
        raise UnsupportedError(
            "No latent variable has two or more items, so there is no reliability to speak of. Give each at least two, "
            "better four, items with '=~'."
        )
    options = {"level": level, "standardized": standardized}
    provenance = Provenance.record(options, fit.provenance.data_fingerprint)
    notes = tuple(note for _, own in found for note in own)
    return LatentReliability(tidy_frame(rows), fit.system.n, level, standardized, notes, provenance)


def _of_view(
    fit: SemFit, view: SemFit, level: float, standardized: bool
) -> tuple[list[dict[str, Any]], tuple[Note, ...]]:
    """Rows and notes of one group."""
    place, group = view.problem.place, view.parts[0].group
    items = {name: _items(place, view.values, place.n_observed + i) for i, name in enumerate(place.latents)}
    tops = {name: _lower(place, view.values, name) for name, own in items.items() if not own.size}
    lower = {name: below for name, below in tops.items() if below}
    if not lower and all(own.size < 2 for own in items.values()):
        return [], ()
    shared, space = _shared(items), _Space(fit, view, standardized)
    rows = []
    for name, own in items.items():
        if own.size > 1:
            f = place.variables.index(name)
            both = _coefficients(space, f, own, bool(shared & {*own.tolist()})), _of_categories(space, f, own)
            rows += [_row(name, kind, one, space, level, group) for each in both for kind, one in each]
        elif name in lower:
            rows += [_row(name, kind, one, space, level, group) for kind, one in _higher(space, name, lower[name])]
    known = {name: own for name, own in items.items() if name not in lower}
    return rows, tuple(of_group(tuple(_notes(place, known, shared, space)), group))


def _of_categories(space: _Space, f: int, items: IntArray) -> Iterator[tuple[str, _Quantity | None]]:
    """The coefficient of the sum of ordered answers, where all items are ordered; none of negative variances."""
    if not np.isin(items, space.place.ordered).all():
        return
    latent, paths = space.variance(f), [space.row(DIRECTED, int(i), f) for i in items]
    variances = [space.variance(int(i)) for i in items]
    shares = [path.value**2 * latent.value / own.value for path, own in zip(paths, variances, strict=True)]
    if min(shares) < 0.0 or max(shares) >= 1.0:
        yield "omega_categorical", None
        return
    loadings = [path * latent.power(0.5) * own.power(-0.5) for path, own in zip(paths, variances, strict=True)]
    cuts = [space.thresholds(int(i)) for i in items]
    pairs = [(int(i), int(j)) for i in items for j in items]
    whole = [space.correlation(i, j) for i, j in pairs]
    own = np.array([one.value for one in loadings])
    total = np.array([one.value for one in whole]).reshape(own.size, own.size)
    found = category_omega([np.array([cut.value for cut in each]) for each in cuts], np.outer(own, own), total)
    parts = [cut for each in cuts for cut in each] + loadings + whole
    slopes_on = np.concatenate(
        [*found.by_thresholds, (found.by_common + found.by_common.T) @ own, found.by_total.ravel()]
    )
    moved = list(zip(slopes_on, parts, strict=True))
    by_rows = np.sum([slope * one.by_rows for slope, one in moved], axis=0)
    by_cov = np.sum([slope * one.by_cov for slope, one in moved], axis=0)
    yield "omega_categorical", _Quantity(found.value, by_rows, by_cov)


def _lower(place: Structure, values: FloatArray, name: str) -> list[tuple[int, IntArray]]:
    """First-order latent variables below one, each with its items; nothing unless all of them have items."""
    f = place.variables.index(name)
    rows = place.loading & (place.column == f) & (place.row >= place.n_observed) & (values != 0.0)
    below = [(int(i), _items(place, values, int(i))) for i in place.row[rows]]
    return below if below and all(own.size for _, own in below) else []


def _higher(space: _Space, name: str, below: list[tuple[int, IntArray]]) -> Iterator[tuple[str, _Quantity | None]]:
    """Coefficients of a factor of factors, for the sum of all items below it and for the factors themselves."""
    f = space.place.variables.index(name)
    weights, noise, second, disturbance = np.zeros(space.p), [], [], []
    common: list[_Quantity] = []
    for lower, items in below:
        weights[items] += space.weight[items]
        path = space.row(DIRECTED, lower, f)
        loadings = [space.row(DIRECTED, int(i), lower) * space.unit(int(i)) for i in items]
        common.append(_sum(loadings) * path)
        unit = space.problem.scale[lower]
        second.append(path * space.constant(unit))
        disturbance.append(space.row(COVARIANCE, lower, lower) * space.constant(unit**2))
        noise += [space.row(COVARIANCE, int(i), int(i)) * space.unit(int(i)).power(2.0) for i in items]
    latent = space.variance(f)
    from_top = _sum(common) * _sum(common) * latent
    yield "omega_l1", from_top / space.observed(np.outer(weights, weights))
    top = _sum(second) * _sum(second) * latent
    yield "omega_l2", top / (top + _sum(disturbance))
    yield "omega_partial", from_top / (from_top + _sum(noise))


def _items(place: Structure, values: FloatArray, latent: int) -> IntArray:
    """Positions of the observed variables in the measurement of a latent one."""
    rows = place.loading & (place.column == latent) & (place.row < place.n_observed) & (values != 0.0)
    return np.asarray(place.row[rows])


def _shared(items: dict[str, IntArray]) -> set[int]:
    every = np.concatenate([*items.values()])
    return {int(i) for i in every if int((every == i).sum()) > 1}


@dataclass(frozen=True, eq=False, slots=True)
class _Quantity:
    """A number with its derivatives: by the values of the rows that move (r,), and by the sample covariances (p, p)."""

    value: float
    by_rows: FloatArray
    by_cov: FloatArray

    def __add__(self, other: _Quantity) -> _Quantity:
        return _Quantity(self.value + other.value, self.by_rows + other.by_rows, self.by_cov + other.by_cov)

    def __mul__(self, other: _Quantity) -> _Quantity:
        return self._blend(other, self.value * other.value, other.value, self.value)

    def __truediv__(self, other: _Quantity) -> _Quantity:
        share = self.value / other.value
        return self._blend(other, share, 1.0 / other.value, -share / other.value)

    def power(self, exponent: float) -> _Quantity:
        """The quantity, which is positive, to a power."""
        value = self.value**exponent
        slope = exponent * value / self.value
        return _Quantity(value, slope * self.by_rows, slope * self.by_cov)

    def _blend(self, other: _Quantity, value: float, own: float, others: float) -> _Quantity:
        by_rows = own * self.by_rows + others * other.by_rows
        return _Quantity(value, by_rows, own * self.by_cov + others * other.by_cov)


class _Space:
    """Parts of one group of a fitted model as quantities, and the errors of what is made of them."""

    def __init__(self, fit: SemFit, view: SemFit, standardized: bool) -> None:
        part = view.parts[0]
        problem, point = part.problem, part.point
        place, p = problem.place, problem.place.n_observed
        self.place, self.problem, self.p, self.point = place, problem, p, point
        options = fit.options
        rows_alone = options.cluster is None and fit.levels is None
        self.normal = options.estimator == "ML" and options.missing == "listwise" and rows_alone
        self.ordered = place.ordered.size > 0
        self.balanced = view.values * problem.multiplier
        self.directed, self.residual, _ = matrices(place, self.balanced)
        self.sample, self.at = problem.sample.cov, point.at
        self.weight = np.ones(p) if standardized else problem.scale[:p] / problem.scale[:p].max()
        self.fit, self.part = fit, part
        self.moving, self.linear = problem.moving(self.balanced, point.at)

    def row(self, part: int, i: int, j: int) -> _Quantity:
        """An entry of A or S."""
        matrix = self.directed if part == DIRECTED else self.residual
        return _Quantity(float(matrix[i, j]), self._moves(part, i, j), np.zeros((self.p, self.p)))

    def _moves(self, part: int, i: int, j: int) -> FloatArray:
        """Where a row of the table is among those that move (r,)."""
        place, rows = self.place, self.moving
        moves = (place.part[rows] == part) & (place.row[rows] == i) & (place.column[rows] == j)
        return np.asarray(moves, dtype=np.float64)

    def unit(self, i: int) -> _Quantity:
        """What brings an item to the unit that it is summed in: an ordered one is taken in its standard deviations."""
        if i not in self.place.ordered:
            return self.constant(self.weight[i])
        scale = np.flatnonzero((self.place.part == SCALE) & (self.place.row == i))[0]
        own = _Quantity(float(self.balanced[scale]), self._moves(SCALE, i, i), np.zeros((self.p, self.p)))
        return own * self.constant(self.weight[i])

    def thresholds(self, i: int) -> list[_Quantity]:
        """Thresholds of an item, in the standard deviations of its response from its mean."""
        rows = [row for row in self.place.threshold_rows if self.place.row[row] == i]
        way = directions(self.place, self.at, self.moving, self.p)
        assert way.mu is not None
        none, root = np.zeros((self.p, self.p)), self.variance(i).power(-0.5)
        found = []
        for row in rows:
            moves = self._moves(THRESHOLD, i, int(self.place.column[row])) - way.mu[i]
            found.append(_Quantity(float(self.balanced[row] - self.at.mean[i]), moves, none) * root)
        return found

    def variance(self, i: int) -> _Quantity:
        """Implied variance of any variable."""
        way = directions(self.place, self.at, self.moving, len(self.place.variables))
        slope = 2.0 * way.p[i] * way.q[i]
        return _Quantity(float(self.at.covariance[i, i]), slope, np.zeros((self.p, self.p)))

    def correlation(self, i: int, j: int) -> _Quantity:
        """Of the sample."""
        unit = np.eye(self.p)
        both, one, other = (self.observed(np.outer(unit[a], unit[b])) for a, b in ((i, j), (i, i), (j, j)))
        return both * (one * other).power(-0.5)

    def observed(self, weights: FloatArray) -> _Quantity:
        """``tr(weights T)``."""
        return _Quantity(float(np.vdot(weights, self.sample)), np.zeros(self.moving.size), weights)

    def constant(self, value: float) -> _Quantity:
        """A number that stays."""
        return _Quantity(value, np.zeros(self.moving.size), np.zeros((self.p, self.p)))

    @cached_property
    def pulls(self) -> list[FloatArray]:
        """What thresholds and correlations of each group do to the coordinates."""
        return pulls(self.fit.system, self.fit.system.coordinates(self.fit.solution.theta))

    @cached_property
    def information(self) -> FloatArray:
        """Of the coordinates (k, k), for one row of data."""
        return derivatives(self.fit.system, State(0.0, tuple(one.point for one in self.fit.parts)))[1]

    def error(self, quantity: _Quantity) -> float:
        """Standard error: what the moments of every group do to the quantity; see the head of this module."""
        if self.ordered:
            return self._error_of_statistics(quantity)
        if not self.normal:
            return self._error_of_estimates(quantity)
        slope = self.problem.map.T @ quantity.by_rows
        moves = np.linalg.solve(self.information, slope) if slope.size else slope
        total = 0.0
        for share, part in zip(shares_of(self.fit.system), self.fit.parts, strict=True):
            own = quantity.by_cov if part is self.part else np.zeros((part.problem.place.n_observed,) * 2)
            total += _spread(part, share * (part.problem.map @ moves), own)
        return math.sqrt(total)

    def _error_of_estimates(self, quantity: _Quantity) -> float:
        """Standard error from the covariances of the estimates alone, the items' covariances as implied."""
        way = directions(self.place, self.at, self.moving, self.p)
        implied = 2.0 * np.einsum("ij,ij->j", way.p, quantity.by_cov @ way.q)
        moves = self.linear.T @ (quantity.by_rows + implied)
        return math.sqrt(max(float(moves @ self.fit.vcov @ moves), 0.0))

    def _error_of_statistics(self, quantity: _Quantity) -> float:
        """Standard error from what thresholds and correlations of every group do, as estimates move with them."""
        lean, total = self.problem.to_theta.T @ (self.linear.T @ quantity.by_rows), 0.0
        for part, pull in zip(self.fit.parts, self.pulls, strict=True):
            problem = part.problem
            assert isinstance(problem, OrdinalProblem)
            moves = lean @ pull
            if part is self.part:
                moves = moves + _on_statistics(problem, quantity.by_cov)
            total += float(moves @ problem.gamma @ moves) / problem.divisor
        return math.sqrt(total)


def _on_statistics(problem: OrdinalProblem, by_cov: FloatArray) -> FloatArray:
    """Derivatives on the statistics (m,) of what has these on the covariances of the sample."""
    seat, own = problem.seat, problem.sampled.continuous
    both = (by_cov + by_cov.T)[np.ix_(seat, seat)]
    first, second = np.triu_indices(seat.size, 1)
    by_slope = both @ problem.sample.cov[np.ix_(seat, problem.place.exogenous)]
    none = np.zeros(problem.sampled.threshold.size + own.size)
    return np.concatenate([none, 0.5 * both[own, own], by_slope.ravel(), both[first, second]])


def _spread(part: Part, moves: FloatArray, by_cov: FloatArray) -> float:
    """Variance that the moments of a group bring into a quantity that moves with its scores and covariances."""
    problem, point, p = part.problem, part.point, part.problem.place.n_observed
    way = directions(problem.place, point.at, problem.active, p)
    turned = ((point.inverse @ way.p) * moves) @ (point.inverse @ way.q).T
    g = 0.5 * (turned + turned.T) + by_cov
    sigma = point.at.covariance[:p, :p]
    root = cholesky(sigma, "The implied covariance matrix")
    inner = root.T @ g @ root
    total = 2.0 * float(np.vdot(inner, inner))
    if way.mu is not None:
        pull = point.inverse @ (way.mu @ moves)
        total += float(pull @ sigma @ pull)
    return total / problem.divisor


def _coefficients(space: _Space, f: int, items: IntArray, shared: bool) -> Iterator[tuple[str, _Quantity | None]]:
    weight, k = space.weight[items], items.size
    total, own = np.zeros((space.p, space.p)), np.zeros((space.p, space.p))
    total[np.ix_(items, items)] = np.outer(weight, weight)
    own[items, items] = weight**2
    variance, variances = space.observed(total), space.observed(own)
    units = [space.unit(int(i)) for i in items]
    loadings = [space.row(DIRECTED, int(i), f) * unit for i, unit in zip(items, units, strict=True)]
    sum_of = _sum(loadings)
    latent = space.variance(f)
    common = sum_of * sum_of * latent
    yield "alpha", space.constant(k / (k - 1)) * (space.constant(1.0) + space.constant(-1.0) * (variances / variance))
    yield "omega", common / variance
    noise = _sum(
        [space.row(COVARIANCE, int(i), int(i)) * unit.power(2.0) for i, unit in zip(items, units, strict=True)]
    )
    yield "cr", None if shared else common / (common + noise)
    yield "ave", None if shared else _sum([loading * loading for loading in loadings]) * latent / variances


def _sum(parts: list[_Quantity]) -> _Quantity:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _row(name: str, kind: str, found: _Quantity | None, space: _Space, level: float, group: str) -> dict[str, Any]:
    row: dict[str, Any] = {"lhs": name, "level": str(space.part.level), "group": group or "1", "kind": kind}
    if found is None:
        return row
    error = space.error(found)
    low, high = _interval(found.value, error, level)
    return {**row, "estimate": found.value, "std_error": error, "conf_low": low, "conf_high": high}


def _interval(value: float, error: float, level: float) -> tuple[float, float]:
    """On the logit scale for shares, on the plain scale for what is none (a negative alpha)."""
    half = float(ndtri(0.5 + level / 2.0)) * error
    if not 0.0 < value < 1.0:
        return value - half, value + half
    middle, half = math.log(value / (1.0 - value)), half / (value * (1.0 - value))
    return 1.0 / (1.0 + math.exp(half - middle)), 1.0 / (1.0 + math.exp(-half - middle))


def _notes(place: Structure, items: dict[str, IntArray], shared: set[int], space: _Space) -> Iterator[Note]:
    if not space.normal and not space.ordered:
        yield Note(
            "implied_interval", "info", "all coefficients",
            "Errors and intervals come from the robust covariances of the estimates, and take the covariances of the "
            "items as the model implies them; where it misfits badly they are rough.",
        )  # fmt: skip
    for name, own in items.items():
        if own.size < 2:
            text = "a single item" if own.size else "no items of its own"
            yield Note(
                "not_measured", "info", name,
                f"{name} has {text}, so it has no reliability here and is left out of the table.",
            )  # fmt: skip
            continue
        crossed = [place.variables[i] for i in own if int(i) in shared]
        if crossed:
            yield Note(
                "shared_items", "warning", name,
                f"{', '.join(crossed)} measures more than one latent variable: omega counts the share of {name} "
                "alone, and there is no composite reliability and no average variance extracted.",
            )  # fmt: skip
        signs = np.sign(space.directed[own, place.variables.index(name)])
        if np.unique(signs).size > 1:
            yield Note(
                "mixed_signs", "serious", name,
                f"The items of {name} load with different signs, so their plain sum measures nothing well: reverse "
                "the items that run the other way and fit again.",
            )  # fmt: skip
