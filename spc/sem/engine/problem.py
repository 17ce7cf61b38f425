"""A structure and moments made ready to fit: balanced units, equal parameters and constraints as one linear map.

Every variable is divided by a scale (observed: its standard deviation; latent: that of its marker), so a value of the
table becomes ``value * multiplier``. The free values of the table are then ``offset + map @ x`` with ``x`` the
coordinates the optimiser moves in: sharing of numbers, rescaling and linear constraints in one step. Units enter and
leave here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.linalg.lapack import dpotrf

from spc.errors import DataError, SpecError
from spc.linalg import FloatArray, cholesky, frozen_array
from spc.moments import Moments
from spc.sem.engine.defined import label_rows, linear_constraints, linear_equalities
from spc.sem.engine.ml import Sample
from spc.sem.engine.ram import INTERCEPT, Implied, IntArray, Structure, structure
from spc.spec.table import Model, remembered

__all__ = [
    "Balanced", "Problem", "balance", "check_moments", "covariates_of", "in_units", "label_slopes", "lay", "prepare",
    "with_moments",
]  # fmt: skip

SMALLEST_EIGENVALUE = 1e-10

_UNKNOWN = Sample(np.eye(1), None, 0.0)


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything a fit needs, in balanced units.

    Attributes
    ----------
    place : Structure
    sample : Sample
        Moments divided by the scales.
    n : int
        Rows of data.
    divisor : int
        n for the normal likelihood, n - 1 for the Wishart likelihood.
    scale : (v,) array
        Unit of each variable.
    multiplier : (R,) array
        Balanced value = value * multiplier.
    base : (R,) array
        Balanced values of fixed and sample rows; 0 where free.
    active : (r,) int array
        Rows that are free.
    map : (r, k) array
        Free rows from coordinates.
    offset : (r,) array
    to_theta : (q, k) array
        ``theta = theta_offset + to_theta @ x`` in the user's units.
    theta_offset : (q,) array
    plain : bool
        The map is the identity.
    binding : int
        How many coordinates inequalities at work have taken, which degrees of freedom do not count.
    origin : Problem or None
        Before constraints that are not linear were put in; None where there are none.
    """

    place: Structure
    sample: Sample
    n: int
    divisor: int
    scale: FloatArray
    multiplier: FloatArray
    base: FloatArray
    active: IntArray
    map: FloatArray
    offset: FloatArray
    to_theta: FloatArray
    theta_offset: FloatArray
    plain: bool
    binding: int = 0
    origin: Problem | None = None

    @property
    def size(self) -> int:
        """Number of coordinates: free parameters less constraints."""
        return int(self.map.shape[1])

    @property
    def npar(self) -> int:
        """Free parameters less equality constraints: what degrees of freedom count."""
        return self.size + self.binding

    def values(self, x: FloatArray) -> FloatArray:
        """Balanced values of all R rows at coordinates ``x``."""
        values = self.base.copy()
        values[self.active] = x if self.plain else self.offset + self.map @ x
        return values

    def seen(self, at: Implied) -> tuple[FloatArray, FloatArray]:
        """Implied covariances (p, p) and means (p,) of the observed variables as the sample has them, balanced."""
        p = self.place.n_observed
        return at.covariance[:p, :p], at.mean[:p]

    def moving(self, values: FloatArray, at: Implied) -> tuple[IntArray, FloatArray]:
        """Rows that move with the free parameters, and their derivatives (r, q) on these, in balanced values.

        Parameters
        ----------
        values : (R,) array
            Balanced values of all rows.
        at : Implied
        """
        linear = np.zeros((self.active.size, len(self.place.names)))
        linear[np.arange(self.active.size), self.place.free[self.active]] = self.multiplier[self.active]
        return self.active, linear

    def theta(self, x: FloatArray) -> FloatArray:
        """Free parameters in the user's units."""
        return np.asarray(self.theta_offset + self.to_theta @ x)

    def spread(self, covariance: FloatArray) -> FloatArray:
        """Covariances of the free parameters in the user's units, from those of the coordinates."""
        if self.plain:
            unit = self.to_theta.diagonal()
            return np.asarray(covariance * (unit[:, None] * unit))
        spread = self.to_theta @ covariance @ self.to_theta.T
        return np.asarray(0.5 * (spread + spread.T))

    def coordinates(self, theta: FloatArray) -> FloatArray:
        """Coordinates nearest to the given free parameters."""
        size = np.abs(self.to_theta).max(axis=1, initial=0.0)
        size[size == 0.0] = 1.0
        left, right = self.to_theta / size[:, None], (theta - self.theta_offset) / size
        return np.asarray(np.linalg.lstsq(left, right, rcond=None)[0])

    def row_values(self, theta: FloatArray) -> FloatArray:
        """Values of all rows in the user's units, for (..., q) free parameters: (..., R)."""
        values = np.empty((*theta.shape[:-1], self.base.size))
        values[...] = self.base / self.multiplier
        values.T[self.active] = theta.T[self.place.free[self.active]]
        return values


def prepare(model: Model, moments: Moments, likelihood: str) -> Problem:
    """Balance the units and lay out the linear map.

    Parameters
    ----------
    model : Model
    moments : Moments
        Exactly the observed variables of the model, in its order.
    likelihood : {"normal", "wishart"}

    Raises
    ------
    DataError
        A constant variable, or too few rows, or unknown means where the model has intercepts.
    NotPositiveDefiniteError
        The variables are linearly dependent.
    SpecError
        The constraints contradict one another.
    """
    return lay(model, [balance(structure(model), moments, likelihood)])[0]


@dataclass(frozen=True, eq=False, slots=True)
class Balanced:
    """A structure with the units of its variables, before any map; see :class:`Problem`.

    Attributes
    ----------
    place : Structure
    n, divisor : int
    scale : (v,) array
    multiplier : (R,) array
    base : (R,) array
    sample : Sample or None
        None before there are moments.
    """

    place: Structure
    n: int
    divisor: int
    scale: FloatArray
    multiplier: FloatArray
    base: FloatArray
    sample: Sample | None = None


def balance(place: Structure, moments: Moments, likelihood: str) -> Balanced:
    """Units in which every observed variable has unit variance and every latent one the unit of its marker.

    Raises
    ------
    DataError
        A constant variable, or too few rows, or unknown means where the model has intercepts.
    NotPositiveDefiniteError
        The variables are linearly dependent.
    """
    check_moments(moments, place)
    divisor = moments.n if likelihood == "normal" else moments.n - 1
    scale = _scales(place, np.sqrt(moments.cov.diagonal() * ((moments.n - 1) / divisor)))
    multiplier = _multipliers(place, scale)
    sample = _sample(place, scale, moments, divisor)
    return Balanced(place, moments.n, divisor, scale, multiplier, _base(place, multiplier, sample), sample)


def in_units(place: Structure, n: int, divisor: int, deviations: FloatArray) -> Balanced:
    """Units of all variables from the standard deviations of the observed ones, without moments."""
    scale = _scales(place, deviations)
    multiplier = _multipliers(place, scale)
    return Balanced(place, n, divisor, scale, multiplier, place.constants * multiplier)


def lay(model: Model, blocks: Sequence[Balanced]) -> list[Problem]:
    """Maps from the joint coordinates to the rows of each block.

    A free parameter takes its unit from the first row that has its number.

    Raises
    ------
    SpecError
        The constraints contradict one another.
    """
    q = len(blocks[0].place.names)
    unit = np.ones(q)
    for block in reversed(blocks):
        active = block.place.active
        unit[block.place.free[active][::-1]] = block.multiplier[active[::-1]]
    span, start = _span(model, unit)
    return [_laid(model, block, unit, span, start, alone=len(blocks) == 1) for block in blocks]


def _laid(
    model: Model, block: Balanced, unit: FloatArray, span: FloatArray, start: FloatArray, *, alone: bool
) -> Problem:
    active = block.place.active
    number = block.place.free[active]
    plain = alone and not model.constraints and number.size == unit.size
    linear, offset = span, start
    if not plain:
        weight = block.multiplier[active] / unit[number]
        linear, offset = weight[:, None] * span[number], weight * start[number]
    return Problem(
        block.place, block.sample or _UNKNOWN, block.n, block.divisor, block.scale, block.multiplier, block.base,
        active, linear, offset, span / unit[:, None], start / unit, plain,
    )  # fmt: skip


def with_moments(problem: Problem, moments: Moments) -> Problem:
    """Put other moments of the same variables in, keeping units and map.

    Raises
    ------
    NotPositiveDefiniteError
        The variables are linearly dependent in these moments.
    """
    divisor = moments.n - (problem.n - problem.divisor)
    sample = _sample(problem.place, problem.scale, moments, divisor)
    base = _base(problem.place, problem.multiplier, sample)
    return replace(problem, sample=sample, n=moments.n, divisor=divisor, base=base)


def _sample(place: Structure, scale: FloatArray, moments: Moments, divisor: int) -> Sample:
    """Moments in balanced units."""
    observed = scale[: place.n_observed]
    cov = moments.cov * ((moments.n - 1) / divisor) / (observed[:, None] * observed)
    mean = moments.mean / observed if place.meanstructure and moments.mean is not None else None
    factor, fault = dpotrf(cov, lower=1)
    pivots = factor.diagonal()
    if fault or float((pivots * pivots / cov.diagonal()).min()) < SMALLEST_EIGENVALUE:
        cholesky(cov - np.diag(SMALLEST_EIGENVALUE * cov.diagonal()), "The sample covariance matrix", moments.names)
    return Sample(cov, mean, 2.0 * float(np.log(pivots).sum()))


def _base(place: Structure, multiplier: FloatArray, sample: Sample) -> FloatArray:
    """Balanced values of fixed and sample rows; 0 where free."""
    base, held = place.constants * multiplier, place.held
    if held.size:
        means = np.zeros(len(sample.cov)) if sample.mean is None else sample.mean
        row = place.row[held]
        base[held] = np.where(place.part[held] == INTERCEPT, means[row], sample.cov[row, place.column[held]])
    return base


def check_moments(moments: Moments, place: Structure) -> None:
    """Raise where moments cannot carry a fit: see :func:`prepare`."""
    p = len(moments.names)
    variances = moments.cov.diagonal()
    floor = np.zeros(p) if moments.mean is None else (1e-10 * np.abs(moments.mean)) ** 2
    flat = variances <= floor
    if flat.any():
        constant = [name for name, flag in zip(moments.names, flat, strict=True) if flag]
        raise DataError.of(
            "data", ", ".join(constant), "constant_column", "the same value in every row", "values that vary",
            "Leave it out of the model, or check how it was read.",
        )  # fmt: skip
    if moments.n <= p:
        raise DataError.of(
            "data", None, "too_few_rows", f"{moments.n} rows for {p} variables", f"more than {p} rows",
            "Name fewer variables, or model scale scores in place of items.",
        )  # fmt: skip
    if place.meanstructure and moments.mean is None:
        raise DataError.of(
            "moments", None, "no_means", "a model with intercepts, and no means", "means of all variables",
            "Give Moments(mean=...), or leave the intercepts out of the model.",
        )  # fmt: skip


def _scales(place: Structure, deviations: FloatArray) -> FloatArray:
    """Units: an observed variable's standard deviation; a latent's from its first fixed loading or fixed variance."""
    origin, count = place.units
    return np.asarray(np.concatenate([deviations, [1.0]])[origin] * count)


def _multipliers(place: Structure, scale: FloatArray) -> FloatArray:
    multiplier = 1.0 / scale[place.row]
    d, c = place.directed_rows, place.covariance_rows
    multiplier[d] *= scale[place.column[d]]
    multiplier[c] /= scale[place.column[c]]
    return np.asarray(multiplier)


def label_slopes(model: Model) -> dict[str, FloatArray]:
    """Derivatives of the labelled rows on the free parameters: (q,) each."""
    rows, q = model.parameters.rows, model.parameters.n_free
    unit, none = np.eye(q), np.zeros(q)
    return {name: unit[rows[i].free - 1] if rows[i].free else none for name, i in label_rows(model).items()}


def _span(model: Model, unit: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Balanced free parameters as ``start + span @ x``: the null space of the constraints, or everything."""
    q = len(unit)
    linear = linear_equalities(model)
    if not linear:
        return _everything(q)
    rows = model.parameters.rows
    labels = {name: 0.0 if rows[i].free else rows[i].fixed for name, i in label_rows(model).items()}
    matrix, target = linear_constraints(linear, labels, label_slopes(model))
    matrix = matrix / unit
    size = np.abs(matrix).max(axis=1, initial=0.0)
    size[size == 0.0] = 1.0
    matrix, target = matrix / size[:, None], target / size
    left, singular, right = np.linalg.svd(matrix)
    rank = int((singular > 1e-10).sum())
    start = right[:rank].T @ ((left.T @ target)[:rank] / singular[:rank])
    if not np.allclose(matrix @ start, target, rtol=1e-8, atol=1e-10):
        said = "; ".join(f"{item.left.strip()} {item.op} {item.right.strip()}" for item in model.constraints)
        raise SpecError(f"No parameter values meet all of the constraints at once: {said}.")
    return right[rank:].T, start


@lru_cache(maxsize=8)
def _everything(q: int) -> tuple[FloatArray, FloatArray]:
    return frozen_array(np.eye(q)), frozen_array(np.zeros(q))


@remembered
def covariates_of(model: Model) -> IntArray:
    """Positions of observed variables that only explain, and whose moments the text does not mention."""
    rows = model.parameters.rows
    explained = {row.lhs for row in rows if row.op == "~"} | {row.rhs for row in rows if row.op == "=~"}
    mentioned = {
        name for row in rows if row.op in ("~~", "~1") and row.given_by == "user" for name in (row.lhs, row.rhs)
    }
    explaining = {row.rhs for row in rows if row.op == "~"} - explained - mentioned
    found = np.array([i for i, name in enumerate(model.observed) if name in explaining], dtype=np.intp)
    found.flags.writeable = False
    return found
