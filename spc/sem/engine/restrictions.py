"""Constraints that no linear map can carry: nonlinear equalities, inequalities and bounds, with their derivatives.

Each is a :class:`Quantity` of the free parameters that must be zero (an equality) or not negative (an inequality, a
bound). Linear equalities are no concern of this module: they are part of the coordinates.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from spc.errors import SpecError
from spc.linalg import FloatArray
from spc.sem.engine.defined import is_linear, label_rows, substituted
from spc.spec.expressions import Expression, parse_expression
from spc.spec.table import Constraint, Model, remembered
from spc.spec.tokens import is_name
from spc.spec.tree import Binary, Name

__all__ = [
    "Quantity",
    "Restrictions",
    "defined_quantity",
    "gaps",
    "held_at",
    "parameter_quantity",
    "restrictions",
    "slopes",
]

_MET, _AT_WORK, _HELD = 1e-8, 1e-7, "the held value"


@dataclass(frozen=True, eq=False)
class Quantity:
    """A smooth function of the free parameters.

    Attributes
    ----------
    text : str
        As the user wrote it.
    expression : Expression
        In labels and numbers alone.
    place : mapping of str to int
        Position among the free parameters of each label in the expression.
    known : mapping of str to float
        Values of its labels of fixed parameters.
    """

    text: str
    expression: Expression
    place: Mapping[str, int]
    known: Mapping[str, float]

    def value(self, theta: FloatArray) -> float:
        """Value at free parameters (q,); NaN or infinite where there is none."""
        return float(self.expression.evaluate(self._labels(theta)))

    def gradient(self, theta: FloatArray) -> FloatArray:
        """First derivatives (q,)."""
        labels, result = self._labels(theta), np.zeros(theta.size)
        for name, slope in _slopes(self.expression):
            if name in self.place:
                result[self.place[name]] += float(slope.evaluate(labels))
        return result

    def hessian(self, theta: FloatArray) -> FloatArray:
        """Second derivatives (q, q)."""
        labels, result = self._labels(theta), np.zeros((theta.size, theta.size))
        for first, second, bend in _bends(self.expression):
            if first in self.place and second in self.place:
                result[self.place[first], self.place[second]] += float(bend.evaluate(labels))
        return result

    def draws(self, theta: FloatArray) -> FloatArray:
        """Values at many draws of the free parameters (n, q): (n,)."""
        labels = {name: theta[:, i] for name, i in self.place.items()}
        return np.broadcast_to(self.expression.evaluate({**self.known, **labels}), len(theta))

    def slopes(self, theta: FloatArray) -> FloatArray:
        """First derivatives at many draws of the free parameters (n, q): (n, q)."""
        labels: dict[str, npt.ArrayLike] = {**self.known, **{name: theta[:, i] for name, i in self.place.items()}}
        result = np.zeros_like(theta)
        for name, slope in _slopes(self.expression):
            if name in self.place:
                result[:, self.place[name]] += slope.evaluate(labels)
        return result

    def _labels(self, theta: FloatArray) -> dict[str, float]:
        return {**self.known, **{name: float(theta[i]) for name, i in self.place.items()}}


@lru_cache(maxsize=1024)
def _slopes(expression: Expression) -> tuple[tuple[str, Expression], ...]:
    return tuple((name, expression.derivative(name)) for name in expression.names)


@lru_cache(maxsize=1024)
def _bends(expression: Expression) -> tuple[tuple[str, str, Expression], ...]:
    return tuple(
        (first, second, slope.derivative(second)) for first, slope in _slopes(expression) for second in slope.names
    )


@dataclass(frozen=True, eq=False)
class Restrictions:
    """What the free parameters must meet beside the linear equalities.

    Attributes
    ----------
    equal : tuple of Quantity
        Must be zero.
    least : tuple of Quantity
        Must not be negative: the inequalities of the model, then the bounds.
    bounds : int
        How many of the latter are bounds of single parameters (``lower()``, ``upper()``).
    """

    equal: tuple[Quantity, ...]
    least: tuple[Quantity, ...]
    bounds: int = 0

    @property
    def inequalities(self) -> int:
        """How many of ``least`` are inequalities of the model, not bounds."""
        return len(self.least) - self.bounds

    def at_work(self, theta: FloatArray) -> tuple[Quantity, ...]:
        """The equalities, and the inequalities of the model that hold with equality at free parameters (q,)."""
        edge = [item for item in self.least[: self.inequalities] if abs(item.value(theta)) < _AT_WORK]
        return (*self.equal, *edge)

    def with_equal(self, quantity: Quantity) -> Restrictions:
        """These and one more equality."""
        return Restrictions((*self.equal, quantity), self.least, self.bounds)


def restrictions(model: Model) -> Restrictions | None:
    """What the constraints and bounds of a model ask beyond linear equalities; None where that is nothing.

    Raises
    ------
    SpecError
        A constraint uses a label that no parameter bears, or holds no free parameter and is not met.
    """
    return _restrictions(model)[0]


@remembered
def _restrictions(model: Model) -> tuple[Restrictions | None]:
    equal: list[Quantity] = []
    least: list[Quantity] = []
    for item in model.constraints:
        if item.op == "==" and is_linear(model, item):
            continue
        made = _constraint(model, item)
        if made is not None:
            (equal if item.op == "==" else least).append(made)
    fences = _bounds(model)
    if not (equal or least or fences):
        return (None,)
    return (Restrictions(tuple(equal), (*least, *fences), len(fences)),)


def _constraint(model: Model, item: Constraint) -> Quantity | None:
    """The quantity of a constraint; None where it holds fixed parameters alone, which meet it."""
    said = f"{item.left.strip()} {item.op} {item.right.strip()}"
    left, right = (item.right, item.left) if item.op == "<" else (item.left, item.right)
    made = _quantity(model, said, f"({left}) - ({right})")
    if made.place:
        return made
    value = made.value(np.zeros(0))
    if (abs(value) if item.op == "==" else -value) <= _MET:
        return None
    raise SpecError(
        f"{said}: this constraint holds no free parameter, and the fixed values do not meet it. Free one of its "
        "parameters, or take the constraint out."
    )


def _quantity(model: Model, said: str, text: str) -> Quantity:
    expression = substituted(model, text)
    place: dict[str, int] = {}
    known: dict[str, float] = {}
    rows, table = label_rows(model), model.parameters.rows
    for name in expression.names:
        row = table[rows[name]]
        if row.free:
            place[name] = row.free - 1
        elif math.isfinite(row.fixed):
            known[name] = row.fixed
        else:
            raise SpecError(
                f"{said} uses {name!r}, a moment of a covariate that is held at its sample value. Read the model "
                "with fixed_x=False to estimate it."
            )
    return Quantity(said, expression, place, known)


def _bounds(model: Model) -> tuple[Quantity, ...]:
    """Bounds of free parameters, the tightest of each."""
    lower: dict[int, float] = {}
    upper: dict[int, float] = {}
    for row in model.parameters:
        if row.free:
            lower[row.free] = max(row.lower, lower.get(row.free, -math.inf))
            upper[row.free] = min(row.upper, upper.get(row.free, math.inf))
    names = model.parameters.names
    found = []
    for free, name in enumerate(names, start=1):
        low, high = lower[free], upper[free]
        if low > high:
            raise SpecError(f"{name}: the lower bound {low:g} is above the upper bound {high:g}.")
        found += [_fence(f"{name} >= {low:g}", "theta - bound", free, low)] if low > -math.inf else []
        found += [_fence(f"{name} <= {high:g}", "bound - theta", free, high)] if high < math.inf else []
    return tuple(found)


def _fence(said: str, text: str, free: int, bound: float) -> Quantity:
    return Quantity(said, _parsed(text), {"theta": free - 1}, {"bound": bound})


@lru_cache(maxsize=64)
def _parsed(text: str) -> Expression:
    return parse_expression(text)


def parameter_quantity(names: Sequence[str], position: int) -> Quantity:
    """One free parameter itself."""
    return Quantity(names[position], _parsed("theta"), {"theta": position}, {})


def defined_quantity(model: Model, name: str) -> Quantity:
    """A defined parameter, as a function of the free ones."""
    return _quantity(model, name, name if is_name(name) else f"`{name}`")


def held_at(quantity: Quantity, value: float) -> Quantity:
    """A quantity less a value: zero where it is held there."""
    return Quantity(
        f"{quantity.text} == {value:.6g}", _less(quantity.expression), quantity.place, {**quantity.known, _HELD: value}
    )


@lru_cache(maxsize=1024)
def _less(expression: Expression) -> Expression:
    return Binary("-", expression, Name(_HELD))


def gaps(quantities: Sequence[Quantity], theta: FloatArray) -> FloatArray:
    """Values of several quantities."""
    return np.array([item.value(theta) for item in quantities])


def slopes(quantities: Sequence[Quantity], theta: FloatArray, to_theta: FloatArray) -> FloatArray:
    """Derivatives (c, k) of several quantities on the coordinates."""
    rows = np.array([item.gradient(theta) for item in quantities]).reshape(len(quantities), theta.size)
    return np.asarray(rows @ to_theta)
