"""Formulas of labels and numbers as frozen trees: their values, their text and their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spc.linalg import FloatArray
from spc.spec.tokens import is_name

__all__ = ["Binary", "Call", "Expression", "Name", "Negative", "Number", "substitute"]

_FUNCTIONS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sign": np.sign,
}
_OPERATIONS: Mapping[str, Callable[[FloatArray, FloatArray], FloatArray]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
}
_STRENGTH = {"+": 1, "-": 1, "*": 2, "/": 2, "^": 4}
_SIGN_STRENGTH, _ATOM_STRENGTH = 3, 5


class Expression:
    """A formula of labels and numbers, as a frozen tree.

    ``str()`` gives text that parses back to the same tree.
    """

    __slots__ = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Labels the expression refers to, each once, in order."""
        raise NotImplementedError

    def evaluate(self, values: Mapping[str, npt.ArrayLike]) -> FloatArray:
        """Value of the expression; arrays of draws give an array of draws.

        Parameters
        ----------
        values : mapping of label to scalar or array
            Arrays broadcast against each other.

        Returns
        -------
        array
            NaN or infinite where undefined, such as the log of a negative number.

        Raises
        ------
        KeyError
            A label without a value.
        """
        with np.errstate(all="ignore"):
            return np.asarray(self._value(values), dtype=np.float64)

    def derivative(self, name: str) -> Expression:
        """The expression's derivative with respect to one label."""
        raise NotImplementedError

    def _value(self, values: Mapping[str, npt.ArrayLike]) -> FloatArray:
        raise NotImplementedError

    @property
    def _strength(self) -> float:
        return _ATOM_STRENGTH

    def _within(self, strength: float) -> str:
        return str(self) if self._strength >= strength else f"({self})"


@dataclass(frozen=True, slots=True)
class Number(Expression):
    """A constant."""

    value: float

    @property
    def names(self) -> tuple[str, ...]:
        """No labels."""
        return ()

    def derivative(self, name: str) -> Expression:
        """Zero."""
        return Number(0.0)

    def _value(self, values: Mapping[str, npt.ArrayLike]) -> FloatArray:
        return np.asarray(self.value, dtype=np.float64)

    def __str__(self) -> str:
        return repr(int(self.value)) if self.value == int(self.value) and abs(self.value) < 1e15 else repr(self.value)


@dataclass(frozen=True, slots=True)
class Name(Expression):
    """A label."""

    name: str

    @property
    def names(self) -> tuple[str, ...]:
        """The label itself."""
        return (self.name,)

    def derivative(self, name: str) -> Expression:
        """One for the label itself, else zero."""
        return Number(1.0 if name == self.name else 0.0)

    def _value(self, values: Mapping[str, npt.ArrayLike]) -> FloatArray:
        return np.asarray(values[self.name], dtype=np.float64)

    def __str__(self) -> str:
        return self.name if is_name(self.name) else f"`{self.name}`"


@dataclass(frozen=True, slots=True)
class Negative(Expression):
    """Minus something."""

    inner: Expression

    @property
    def names(self) -> tuple[str, ...]:
        """Labels within."""
        return self.inner.names

    def derivative(self, name: str) -> Expression:
        """Minus the derivative within."""
        return _negative(self.inner.derivative(name))

    def _value(self, values: Mapping[str, npt.ArrayLike]) -> FloatArray:
        return np.negative(self.inner._value(values))

    @property
    def _strength(self) -> float:
        return _SIGN_STRENGTH

    def __str__(self) -> str:
        return f"-{self.inner._within(_SIGN_STRENGTH)}"


@dataclass(frozen=True, slots=True)
class Binary(Expression):
    """Two expressions joined by ``+ - * /`` or ``^``."""

    op: str
    left: Expression
    right: Expression

    @property
    def names(self) -> tuple[str, ...]:
        """Labels of both sides."""
        return tuple(dict.fromkeys(self.left.names + self.right.names))

    def derivative(self, name: str) -> Expression:
        """By the sum, product, quotient and power rules."""
        return _DERIVATIVES[self.op](self.left, self.right, name)

    def _value(self, values: Mapping[str, npt.ArrayLike]) -> FloatArray:
        return _OPERATIONS[self.op](self.left._value(values), self.right._value(values))

    @property
    def _strength(self) -> float:
        return _STRENGTH[self.op]

    def __str__(self) -> str:
        if self.op == "^":
            return f"{self.left._within(_ATOM_STRENGTH)}^{self.right._within(_SIGN_STRENGTH)}"
        left, right = self.left._within(self._strength), self.right._within(self._strength + 0.5)
        return f"{left}{self.op}{right}" if self.op in "*/" else f"{left} {self.op} {right}"


@dataclass(frozen=True, slots=True)
class Call(Expression):
    """``exp``, ``log``, ``sqrt`` or ``abs`` of an expression."""

    function: str
    inner: Expression

    @property
    def names(self) -> tuple[str, ...]:
        """Labels within."""
        return self.inner.names

    def derivative(self, name: str) -> Expression:
        """By the chain rule."""
        outer: Mapping[str, Callable[[], Expression]] = {
            "exp": lambda: self,
            "log": lambda: _divide(Number(1.0), self.inner),
            "sqrt": lambda: _divide(Number(0.5), self),
            "abs": lambda: Call("sign", self.inner),
            "sign": lambda: Number(0.0),
        }
        return _multiply(outer[self.function](), self.inner.derivative(name))

    def _value(self, values: Mapping[str, npt.ArrayLike]) -> FloatArray:
        return _FUNCTIONS[self.function](self.inner._value(values))

    def __str__(self) -> str:
        return f"{self.function}({self.inner})"


def substitute(expression: Expression, known: Mapping[str, Expression]) -> Expression:
    """The expression with other expressions in place of some of its labels.

    Examples
    --------
    >>> str(substitute(Binary("*", Name("a"), Name("b")), {"b": Binary("+", Name("c"), Number(1))}))
    'a*(c + 1)'
    """
    if isinstance(expression, Name):
        return known.get(expression.name, expression)
    if isinstance(expression, Binary):
        return Binary(expression.op, substitute(expression.left, known), substitute(expression.right, known))
    if isinstance(expression, Call):
        return Call(expression.function, substitute(expression.inner, known))
    return Negative(substitute(expression.inner, known)) if isinstance(expression, Negative) else expression


def _is(expression: Expression, value: float) -> bool:
    return isinstance(expression, Number) and expression.value == value


def _constant(value: float) -> Expression:
    return Number(value) if value >= 0 else Negative(Number(-value))


def _negative(inner: Expression) -> Expression:
    return inner if _is(inner, 0.0) else Negative(inner)


def _add(left: Expression, right: Expression) -> Expression:
    if _is(left, 0.0):
        return right
    return left if _is(right, 0.0) else Binary("+", left, right)


def _subtract(left: Expression, right: Expression) -> Expression:
    if isinstance(left, Number) and isinstance(right, Number):
        return _constant(left.value - right.value)
    if _is(left, 0.0):
        return _negative(right)
    return left if _is(right, 0.0) else Binary("-", left, right)


def _multiply(left: Expression, right: Expression) -> Expression:
    if _is(left, 0.0) or _is(right, 0.0):
        return Number(0.0)
    if _is(left, 1.0):
        return right
    return left if _is(right, 1.0) else Binary("*", left, right)


def _divide(left: Expression, right: Expression) -> Expression:
    return left if _is(left, 0.0) or _is(right, 1.0) else Binary("/", left, right)


def _sum_rule(left: Expression, right: Expression, name: str) -> Expression:
    return _add(left.derivative(name), right.derivative(name))


def _difference_rule(left: Expression, right: Expression, name: str) -> Expression:
    return _subtract(left.derivative(name), right.derivative(name))


def _product_rule(left: Expression, right: Expression, name: str) -> Expression:
    return _add(_multiply(left.derivative(name), right), _multiply(left, right.derivative(name)))


def _quotient_rule(left: Expression, right: Expression, name: str) -> Expression:
    top = _subtract(_multiply(left.derivative(name), right), _multiply(left, right.derivative(name)))
    return _divide(top, Binary("*", right, right))


def _power_rule(base: Expression, power: Expression, name: str) -> Expression:
    lowered = Binary("^", base, _subtract(power, Number(1.0)))
    slope = _multiply(_multiply(power, lowered), base.derivative(name))
    if name not in power.names:
        return slope
    growth = _multiply(_multiply(Binary("^", base, power), Call("log", base)), power.derivative(name))
    return _add(slope, growth)


_DERIVATIVES: Mapping[str, Callable[[Expression, Expression, str], Expression]] = {
    "+": _sum_rule,
    "-": _difference_rule,
    "*": _product_rule,
    "/": _quotient_rule,
    "^": _power_rule,
}
