"""Reticular form: where each row of the parameter table sits, and what the model implies at given values.

With ``A`` (directed effects), ``S`` (residual covariances) and ``alpha`` (intercepts) over observed then latent
variables, ``B = (I - A)^-1``, ``C = B S B'`` and ``F`` picking the observed rows,

    sigma = F C F',    mu = F B alpha.

The derivative of ``sigma`` with respect to any entry is a symmetric rank-two matrix ``p q' + q p'``:
``p = F B e_i, q = F C e_j`` for ``A_ij`` and ``p = F B e_i, q = F B e_j`` (halved on the diagonal) for ``S_ij``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dgesv

from spc.errors import SpecError, UnsupportedError
from spc.linalg import FloatArray
from spc.spec.table import Model, Parameter, remembered

__all__ = ["Directions", "Implied", "Structure", "directions", "implied", "matrices", "placed", "structure"]

IntArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]

DIRECTED, COVARIANCE, INTERCEPT, THRESHOLD, SCALE = 0, 1, 2, 3, 4
_MATRIX = {
    "=~": DIRECTED, "~": DIRECTED, "~~": COVARIANCE, "~1": INTERCEPT, "|": THRESHOLD, "~*~": SCALE,
}  # fmt: skip


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """Where the derivatives of some rows of the table are found.

    Attributes
    ----------
    to, source : (r,) int arrays
        Entry of each row.
    pick : (r,) int array
        Column of ``(C, B)`` that is q, but for ``factor``.
    near, far : (r,) int arrays
        Columns of ``U = (C[:, sources], B)`` that are p, and q but for ``factor``.
    both : (r,) int array
        Where ``p, q`` stand in ``U'XU``, laid out flat.
    factor : (r,) array
        A half for variances, nought for intercepts, else one.
    factors : (r, r) array
        Their products.
    directed, intercept : (r,) bool arrays
        The matrix that each row sits in.
    slopes, spreads : int arrays
        The rows that are directed effects, and those that are covariances.
    back : (r,) int array or None
        From an order of slopes, then spreads, then intercepts, to that of the rows; None where they are the same.
    """

    to: IntArray
    source: IntArray
    pick: IntArray
    near: IntArray
    far: IntArray
    both: IntArray
    factor: FloatArray
    factors: FloatArray
    directed: BoolArray
    intercept: BoolArray
    slopes: IntArray
    spreads: IntArray
    back: IntArray | None

    def weight(self, at: Implied) -> FloatArray:
        """What to multiply p by for the derivatives of the means."""
        return np.where(self.directed, at.mean[self.source], self.intercept)


@dataclass(frozen=True, eq=False)
class Structure:
    """Places of all R rows of a parameter table in the matrices of a model.

    Attributes
    ----------
    variables : tuple of str
        The p observed, then the m latent variables: the order of all matrices.
    n_observed : int
        p.
    part : (R,) int array
        0 for A, 1 for S, 2 for alpha; 3 for thresholds and 4 for scales of ordered items, which sit in none of them.
    row, column : (R,) int arrays
        Entry; ``column`` is 0 for intercepts, and the number of a threshold, from 0.
    free : (R,) int array
        0-based number of the free parameter, -1 when fixed.
    fixed : (R,) array
        Fixed values; NaN where free or held at the sample value.
    sample : (R,) bool array
        Held at the sample value.
    loading : (R,) bool array
        Of the measurement part (``=~``).
    start : (R,) array
        The user's start values, or NaN.
    exogenous : (k,) int array
        Positions of the observed covariates held at their sample moments.
    meanstructure : bool
    names : tuple of str
        Names of the free parameters.
    """

    variables: tuple[str, ...]
    n_observed: int
    part: IntArray
    row: IntArray
    column: IntArray
    free: IntArray
    fixed: FloatArray
    sample: BoolArray
    loading: BoolArray
    start: FloatArray
    exogenous: IntArray
    meanstructure: bool
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        for field in fields(self):
            array = getattr(self, field.name)
            if isinstance(array, np.ndarray):
                array.flags.writeable = False

    @cached_property
    def directed_rows(self) -> IntArray:
        """Rows of A."""
        return np.flatnonzero(self.part == DIRECTED)

    @cached_property
    def covariance_rows(self) -> IntArray:
        """Rows of S."""
        return np.flatnonzero(self.part == COVARIANCE)

    @cached_property
    def intercept_rows(self) -> IntArray:
        """Rows of alpha."""
        return np.flatnonzero(self.part == INTERCEPT)

    @cached_property
    def threshold_rows(self) -> IntArray:
        """Thresholds, by item and then in order."""
        rows = np.flatnonzero(self.part == THRESHOLD)
        return rows[np.lexsort((self.column[rows], self.row[rows]))]

    @cached_property
    def ordered(self) -> IntArray:
        """Positions of the ordered items: those with thresholds."""
        return np.unique(self.row[self.threshold_rows])

    @cached_property
    def started(self) -> bool:
        """Whether the user gave any start value."""
        return not np.isnan(self.start).all()

    @cached_property
    def active(self) -> IntArray:
        """Rows that are free."""
        return np.flatnonzero(self.free >= 0)

    @cached_property
    def cells(self) -> tuple[IntArray, IntArray]:
        """Rows of A and of S (the latter twice), and where their values go in A and then S, laid out flat."""
        v, d, c = len(self.variables), self.directed_rows, self.covariance_rows
        i, j = self.row[c] + v, self.column[c] + v
        row, column = np.concatenate([self.row[d], i, j]), np.concatenate([self.column[d], j - v, i - v])
        return np.concatenate([d, c, c]), row * v + column

    @cached_property
    def sources(self) -> IntArray:
        """Variables that point at some other."""
        return np.unique(self.column[self.directed_rows])

    @cached_property
    def pointing(self) -> slice | IntArray:
        """The same as an index: a slice, which makes no copies, where they stand side by side."""
        few = self.sources
        return slice(few[0], few[-1] + 1) if few.size and few[-1] - few[0] == few.size - 1 else few

    @cached_property
    def identity(self) -> FloatArray:
        """Of all variables."""
        return np.eye(len(self.variables))

    @cached_property
    def few_cells(self) -> tuple[IntArray, IntArray]:
        """As :attr:`cells`, for the transpose of the columns of A that hold anything and then S."""
        v, d, (rows, cells) = len(self.variables), self.directed_rows, self.cells
        paths = np.searchsorted(self.sources, self.column[d]) * v + self.row[d]
        return rows, np.concatenate([paths, cells[d.size :] + (self.sources.size - v) * v])

    @cached_property
    def diagonal(self) -> BoolArray:
        """Which rows are variances."""
        return np.asarray((self.part == COVARIANCE) & (self.row == self.column))

    @cached_property
    def free_variances(self) -> IntArray:
        """Rows that are variances to be estimated."""
        return np.flatnonzero(self.diagonal & (self.free >= 0))

    @cached_property
    def residuals_correlate(self) -> bool:
        """Whether the model has covariances of observed variables."""
        rows = self.covariance_rows
        return bool(((self.row[rows] != self.column[rows]) & (self.row[rows] < self.n_observed)).any())

    @cached_property
    def held(self) -> IntArray:
        """Rows that are held at sample values."""
        return np.flatnonzero(self.sample)

    @cached_property
    def constants(self) -> FloatArray:
        """Fixed values of all rows; nought where free."""
        return np.where(self.free >= 0, 0.0, self.fixed)

    @cached_property
    def units(self) -> tuple[IntArray, FloatArray]:
        """The observed variable that each variable has its unit from, or p where from none, and how many of its units.

        An observed variable has its own; a latent one that of its first fixed loading, or of its fixed variance.
        """
        p, latent, given = self.n_observed, self.column >= self.n_observed, ~np.isnan(self.fixed)
        origin, count = np.arange(len(self.variables)), np.ones(len(self.variables))
        origin[p:] = -1
        own = np.flatnonzero(latent & given & self.diagonal & (self.fixed > 0))
        origin[self.row[own]], count[self.row[own]] = p, np.sqrt(self.fixed[own])
        markers = np.flatnonzero(latent & given & (self.part == DIRECTED) & (self.fixed != 0))[::-1]
        item, marked = self.row[markers], self.column[markers]
        while (known := (origin[marked] < 0) & (origin[item] >= 0)).any():
            origin[marked[known]] = origin[item[known]]
            count[marked[known]] = count[item[known]] / np.abs(self.fixed[markers[known]])
        origin[origin < 0] = p
        return origin, count

    @cached_property
    def outcome(self) -> BoolArray:
        """Which observed variables are not held at their sample moments."""
        chosen = np.ones(self.n_observed, dtype=bool)
        chosen[self.exogenous] = False
        return chosen

    @cached_property
    def recursive(self) -> bool:
        """Whether no chain of directed effects leads back to where it began."""
        rows = self.directed_rows
        waiting = set(zip(self.row[rows].tolist(), self.column[rows].tolist(), strict=True))
        while waiting:
            targets = {i for i, _ in waiting}
            left = {(i, j) for i, j in waiting if j in targets}
            if left == waiting:
                return False
            waiting = left
        return True

    @cached_property
    def _plans(self) -> dict[bytes, Plan]:
        return {}

    def plan(self, rows: IntArray) -> Plan:
        """Where the derivatives of the given rows are found; worked out once a set of rows."""
        key = rows.tobytes()
        known = self._plans.get(key)
        if known is None:
            known = self._plans[key] = self._plan(rows)
        return known

    def _plan(self, rows: IntArray) -> Plan:
        part, to = self.part[rows], self.row[rows]
        directed, covariance, intercept = part == DIRECTED, part == COVARIANCE, part == INTERCEPT
        source = np.where(directed | covariance, self.column[rows], 0)
        pick = np.where(directed, source, source + len(self.variables))
        factor = np.where(directed | covariance, np.where(covariance & (to == source), 0.5, 1.0), 0.0)
        few = self.sources.size
        near = to + few
        far = np.where(directed, np.searchsorted(self.sources, source) if few else 0, source + few)
        in_order = bool((np.diff(part) >= 0).all())
        return Plan(
            to, source, pick, near, far, near * (few + len(self.variables)) + far, factor, np.outer(factor, factor),
            directed, intercept, np.flatnonzero(directed), np.flatnonzero(covariance),
            None if in_order else np.argsort(part, kind="stable").argsort(),
        )  # fmt: skip

    @property
    def observed(self) -> tuple[str, ...]:
        """Names of the observed variables."""
        return self.variables[: self.n_observed]

    @property
    def latents(self) -> tuple[str, ...]:
        """Names of the latent variables."""
        return self.variables[self.n_observed :]


@remembered
def structure(model: Model) -> Structure:
    """Place every row of the model's table; once a model.

    Raises
    ------
    UnsupportedError
        The model has groups, levels, ordered items or operators that have no complete-data method here.
    SpecError
        Two rows stand for the same entry, or a row names an unknown variable.
    """
    _check_scope(model)
    return placed(model)


@remembered
def placed(model: Model) -> Structure:
    """Place every row of the model's table, those of thresholds and scales as well; see :func:`structure`."""
    rows = model.parameters.rows
    variables = (*model.observed, *model.latents)
    position = {name: i for i, name in enumerate(variables)}
    places = [_place(row, position) for row in rows]
    _check_once(rows, places)
    part, to, source = (np.array(column, dtype=np.intp) for column in zip(*places, strict=True))
    sample = np.array([row.given_by == "sample" and not row.free for row in rows], dtype=bool)
    return Structure(
        variables=variables,
        n_observed=len(model.observed),
        part=part,
        row=to,
        column=source,
        free=np.array([row.free - 1 for row in rows], dtype=np.intp),
        fixed=np.where(sample, np.nan, np.array([row.fixed for row in rows], dtype=np.float64)),
        sample=sample,
        loading=np.array([row.op == "=~" for row in rows], dtype=bool),
        start=np.array([row.start for row in rows], dtype=np.float64),
        exogenous=np.array([position[name] for name in model.exogenous], dtype=np.intp),
        meanstructure=bool(model.meanstructure),
        names=model.parameters.names,
    )


def _check_scope(model: Model) -> None:
    works = "This version fits one group, one level and continuous items."
    if len(model.groups) > 1:
        raise UnsupportedError(f"The model has {len(model.groups)} groups. {works} Fit the groups one by one.")
    if len(model.levels) > 1:
        raise UnsupportedError(f"The model has {len(model.levels)} levels. {works}")
    if model.ordinal:
        listed = ", ".join(model.ordinal)
        quoted = ", ".join(map(repr, model.ordinal))
        raise UnsupportedError(f"Ordered items: {listed}. Name them in the fit: ordered=[{quoted}].")
    odd = next((row for row in model.parameters if row.op in ("|", "~*~")), None)
    if odd is not None:
        raise UnsupportedError(f"{odd.name}: the operator {odd.op!r} is of ordered items; name them in ordered=.")
    if not len(model.parameters):
        raise SpecError("The model has no parameters: write at least one formula.")


def _place(row: Parameter, position: dict[str, int]) -> tuple[int, int, int]:
    part = _MATRIX.get(row.op)
    if part is None:
        allowed = ", ".join(_MATRIX)
        raise UnsupportedError(f"{row.name}: the operator {row.op!r} has no method here; these have: {allowed}.")
    for name in (row.lhs, row.rhs):
        if name not in position and not (part in (INTERCEPT, THRESHOLD) and name == row.rhs):
            raise SpecError(f"{row.name}: {name!r} is neither an observed nor a latent variable of the model.")
    if part == INTERCEPT:
        return part, position[row.lhs], 0
    if part == THRESHOLD:
        return part, position[row.lhs], int(row.rhs.removeprefix("t")) - 1
    to, source = (row.rhs, row.lhs) if row.op == "=~" else (row.lhs, row.rhs)
    return part, position[to], position[source]


def _check_once(rows: Sequence[Parameter], places: list[tuple[int, int, int]]) -> None:
    seen: dict[tuple[int, int, int], str] = {}
    for row, (part, i, j) in zip(rows, places, strict=True):
        if part == DIRECTED and i == j:
            raise SpecError(f"{row.name}: a variable cannot be regressed on itself.")
        key = (part, max(i, j), min(i, j)) if part == COVARIANCE else (part, i, j)
        if key in seen:
            raise SpecError(f"{row.name} is given twice (also as {seen[key]}). Leave one of them out.")
        seen[key] = row.name


def matrices(place: Structure, values: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fill A, S and alpha with the values of all rows.

    Parameters
    ----------
    place : Structure
    values : (..., R) array
        One value a row of the table; leading axes are kept, so many draws go at once.

    Returns
    -------
    A, S : (..., v, v) arrays
    alpha : (..., v) array
    """
    v = len(place.variables)
    lead = values.shape[:-1]
    rows, cells = place.cells
    both, alpha = np.zeros((*lead, 2 * v * v)), np.zeros((*lead, v))
    both[..., cells] = values[..., rows]
    both = both.reshape(*lead, 2, v, v)
    at = place.intercept_rows
    if at.size:
        alpha[..., place.row[at]] = values[..., at]
    return both[..., 0, :, :], both[..., 1, :, :], alpha


@dataclass(frozen=True, eq=False, slots=True)
class Implied:
    """What a model implies at given values.

    Attributes
    ----------
    total : (v, v) array
        ``B = (I - A)^-1``: total effects, with ones on the diagonal of a recursive model.
    covariance : (v, v) array
        ``C = B S B'`` of observed and latent variables.
    mean : (v,) array
        ``B alpha``.
    residual : (v, v) array
        ``S``.
    """

    total: FloatArray
    covariance: FloatArray
    mean: FloatArray
    residual: FloatArray


def implied(place: Structure, values: FloatArray) -> Implied:
    """Moments of all variables at the given row values, with the leading axes of ``values``.

    Only the variables that point at some other need an inverse: with ``A = A_s E_s'`` of their columns,
    ``(I - A)^-1 = I + Y E_s'`` with ``Y = A_s (I - E_s' A_s)^-1``, and ``C`` adds products with Y to S.

    Raises
    ------
    numpy.linalg.LinAlgError
        ``I - A`` has no inverse: feedback effects that sum to one.
    """
    v, few, lead = len(place.variables), place.sources.size, values.shape[:-1]
    rows, cells = place.few_cells
    both = np.zeros((*lead, (few + v) * v))
    both.T[cells] = values.T[rows]
    residual = both[..., few * v :].reshape(*lead, v, v)
    total, covariance = np.zeros(residual.shape), residual
    if few:
        slopes = _slopes(place, both[..., : few * v].reshape(*lead, few, v))
        total[..., place.pointing] = slopes
        half = residual + slopes @ residual[..., place.pointing, :]
        covariance = half + half[..., place.pointing] @ slopes.swapaxes(-1, -2)
    total += place.identity
    alpha = np.zeros((*lead, v))
    if (at := place.intercept_rows).size:
        alpha.T[place.row[at]] = values.T[at]
        alpha = (total @ alpha[..., None])[..., 0]
    return Implied(total, covariance, alpha, residual)


def _slopes(place: Structure, paths: FloatArray) -> FloatArray:
    """Y of :func:`implied` from ``A_s'``."""
    core = place.identity[: place.sources.size, : place.sources.size] - paths[..., place.pointing]
    if core.ndim > 2:
        return np.asarray(np.linalg.solve(core, paths).swapaxes(-1, -2))
    _, _, solved, fault = dgesv(core, paths)
    if fault:
        raise np.linalg.LinAlgError("Singular matrix")
    return np.asarray(solved.T)


@dataclass(frozen=True, eq=False, slots=True)
class Directions:
    """Derivatives of all rows asked for: ``d sigma = p q' + q p'`` and ``d mu``, one column a row."""

    p: FloatArray
    q: FloatArray
    mu: FloatArray | None


def directions(place: Structure, at: Implied, rows: IntArray, size: int) -> Directions:
    """Derivatives of the covariances and means of the first ``size`` variables.

    Parameters
    ----------
    place : Structure
    at : Implied
    rows : (r,) int array
        Rows of the table.
    size : int
        p for the observed variables alone, v for all of them.

    Returns
    -------
    Directions
        With arrays of shape (size, r).
    """
    plan = place.plan(rows)
    reach = at.total[:size].take(plan.to, axis=1)
    q = np.concatenate([at.covariance[:size], at.total[:size]], axis=1).take(plan.pick, axis=1)
    q *= plan.factor
    if not place.meanstructure:
        return Directions(reach, q, None)
    return Directions(reach, q, reach * plan.weight(at))
