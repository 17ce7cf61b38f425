"""Arithmetic in labels: defined parameters (``ab := a * b``) with delta-method slopes, and constraints (``a == b``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np

from spc.errors import SpecError, UnsupportedError
from spc.linalg import FloatArray
from spc.spec.expressions import Expression, parse_expression
from spc.spec.table import Constraint, Defined, Model, remembered
from spc.spec.tree import Binary, Call, Name, Negative

__all__ = [
    "defined_slopes", "defined_values", "is_linear", "label_rows", "linear_constraints", "linear_equalities",
    "substituted",
]  # fmt: skip

_parse = lru_cache(maxsize=1024)(parse_expression)


@lru_cache(maxsize=1024)
def _derivatives(text: str) -> tuple[tuple[str, Expression], ...]:
    expression = _parse(text)
    return tuple((name, expression.derivative(name)) for name in expression.names)


def label_rows(model: Model) -> dict[str, int]:
    """Position in the table of the first row of each label, fixed rows included."""
    rows: dict[str, int] = {}
    for i, row in enumerate(model.parameters):
        if row.label:
            rows.setdefault(row.label, i)
    return rows


def _in_order(defined: Sequence[Defined], labels: Mapping[str, object]) -> list[Defined]:
    """Definitions, each after those it uses."""
    ordered: list[Defined] = []
    waiting = {item.name: item for item in defined}
    while waiting:
        ready = [item for item in waiting.values() if not set(_parse(item.expression).names) & waiting.keys()]
        if not ready:
            raise SpecError(f"Defined in circles: {', '.join(waiting)}. Define each from labels of the model.")
        for item in ready:
            _check_known(item.expression, {*labels, *(done.name for done in ordered)})
            ordered.append(waiting.pop(item.name))
    return ordered


def _check_known(expression: str, known: set[str]) -> None:
    absent = [name for name in _parse(expression).names if name not in known]
    if absent:
        there = ", ".join(sorted(known)) or "none"
        raise SpecError(f"{expression.strip()!r} uses the label {absent[0]!r}; labels of the model: {there}.")


def defined_values(defined: Sequence[Defined], labels: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Evaluate defined parameters, which may use one another in any order.

    Parameters
    ----------
    defined : sequence of Defined
    labels : mapping of str to array
        Values of the labels: numbers, or arrays of draws.

    Raises
    ------
    SpecError
        A definition uses itself, or an unknown label.

    Examples
    --------
    >>> found = defined_values([Defined("ab", "a*b")], {"a": np.array(0.5), "b": np.array(0.4)})
    >>> float(found["ab"])
    0.2
    """
    known = dict(labels)
    for item in _in_order(defined, labels):
        known[item.name] = _parse(item.expression).evaluate(known)
    return {item.name: known[item.name] for item in defined}


def defined_slopes(
    defined: Sequence[Defined], labels: Mapping[str, FloatArray], slopes: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """Derivatives of defined parameters, by the chain rule.

    Parameters
    ----------
    defined : sequence of Defined
    labels : mapping of str to number
        Values of the labels.
    slopes : mapping of str to (q,) array
        Derivatives of the labels.

    Returns
    -------
    dict of str to (q,) array

    Examples
    --------
    >>> values = {"a": np.array(3.0), "b": np.array(2.0)}
    >>> slopes = {"a": np.array([1.0, 0.0]), "b": np.array([0.0, 1.0])}
    >>> defined_slopes([Defined("c", "a*b^2")], values, slopes)["c"].tolist()
    [4.0, 12.0]
    """
    values, known = dict(labels), dict(slopes)
    width = len(next(iter(known.values()))) if known else 0
    for item in _in_order(defined, labels):
        slope = np.zeros(width)
        for name, derivative in _derivatives(item.expression):
            slope = slope + float(derivative.evaluate(values)) * known[name]
        known[item.name] = slope
        values[item.name] = _parse(item.expression).evaluate(values)
    return {item.name: known[item.name] for item in defined}


def linear_constraints(
    constraints: Sequence[Constraint], labels: Mapping[str, float], slopes: Mapping[str, FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Equality constraints as ``matrix @ theta == target``.

    Parameters
    ----------
    constraints : sequence of Constraint
    labels : mapping of str to float
        Values of the labels where all free parameters are zero.
    slopes : mapping of str to (q,) array
        Derivatives of the labels on the free parameters.

    Returns
    -------
    matrix : (c, q) array
    target : (c,) array

    Raises
    ------
    UnsupportedError
        An inequality, or an equality that is not linear in the parameters: see :mod:`spc.sem.engine.restrictions`.
    SpecError
        An unknown label.
    """
    if not constraints:
        width = len(next(iter(slopes.values()))) if slopes else 0
        return np.empty((0, width)), np.empty(0)
    rows = [_linear(item, labels, slopes) for item in constraints]
    return np.array([slope for slope, _ in rows]), np.array([target for _, target in rows])


def _linear(
    item: Constraint, labels: Mapping[str, float], slopes: Mapping[str, FloatArray]
) -> tuple[FloatArray, float]:
    said = f"{item.left.strip()} {item.op} {item.right.strip()}"
    if item.op != "==":
        raise UnsupportedError(f"{said}: expected an equality here, such as a == b.")
    text = _gap(item)
    _check_known(text, set(labels))
    gap = [Defined("gap", text)]
    rng = np.random.default_rng(0)
    width = len(next(iter(slopes.values()))) if slopes else 0
    points = [rng.uniform(0.5, 1.5, width) for _ in range(3)]
    at = [{name: np.asarray(labels[name] + slopes[name] @ point) for name in labels} for point in points]
    found = np.array([defined_slopes(gap, values, slopes)["gap"] for values in at])
    if not np.all(np.isfinite(found)) or not np.allclose(found, found[0], rtol=1e-9, atol=1e-12):
        raise UnsupportedError(f"{said}: expected an equality that is linear in the parameters, such as a + b == 1.")
    return found[0], float(found[0] @ points[0] - defined_values(gap, at[0])["gap"])


def substituted(model: Model, text: str) -> Expression:
    r"""An expression in labels and defined parameters, written in labels alone.

    Raises
    ------
    SpecError
        It uses a name that no label or defined parameter bears, or one that is defined in circles.

    Examples
    --------
    >>> from spc.spec import model
    >>> str(substituted(model("y ~ b*m\nm ~ a*x\nab := a*b"), "log(ab) - a"))
    'log(a*b) - a'
    """
    rows = label_rows(model)
    written: dict[str, Expression] = {}
    for item in _in_order(model.defined, rows):
        written[item.name] = _replaced(_parse(item.expression), written)
    _check_known(text, {*rows, *written})
    return _replaced(_parse(text), written)


def _replaced(expression: Expression, written: Mapping[str, Expression]) -> Expression:
    """The tree with some names replaced by trees."""
    if isinstance(expression, Name):
        return written.get(expression.name, expression)
    if isinstance(expression, Negative):
        return Negative(_replaced(expression.inner, written))
    if isinstance(expression, Binary):
        return Binary(expression.op, _replaced(expression.left, written), _replaced(expression.right, written))
    if isinstance(expression, Call):
        return Call(expression.function, _replaced(expression.inner, written))
    return expression


@remembered
def linear_equalities(model: Model) -> tuple[Constraint, ...]:
    """The constraints of a model that its coordinates can carry, written in labels alone."""
    linear = [item for item in model.constraints if item.op == "==" and is_linear(model, item)]
    return tuple(Constraint(str(substituted(model, _gap(item))), "==", "0") for item in linear)


def is_linear(model: Model, item: Constraint) -> bool:
    """Whether left less right side has the same derivatives everywhere."""
    gap = substituted(model, _gap(item))
    rows, table = label_rows(model), model.parameters.rows
    labels = [name for name in gap.names if table[rows[name]].free]
    known = {name: table[rows[name]].fixed for name in gap.names}
    rng = np.random.default_rng(0)
    points = [{**known, **dict(zip(labels, rng.standard_normal(len(labels)), strict=True))} for _ in range(6)]
    for name in labels:
        slope = gap.derivative(name)
        found = np.array([float(slope.evaluate(point)) for point in points])
        if not np.isfinite(found).all() or not np.allclose(found, found[0], rtol=1e-9, atol=1e-12):
            return False
    return True


def _gap(item: Constraint) -> str:
    return f"({item.left}) - ({item.right})"
