"""The parameter table: the single language between model text, estimators and printing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, wraps
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import pandas as pd

__all__ = ["Constraint", "Defined", "GivenBy", "Model", "Parameter", "ParameterTable", "remembered"]

GivenBy = Literal["user", "default", "sample"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row of the table.

    Attributes
    ----------
    lhs, op, rhs : str
        As in the model text: ``visual =~ x1``, ``y ~ x``, ``x ~~ y``, ``x ~1`` (with empty ``rhs``).
    level, group : int
        1-based.
    label : str
        The user's label, or empty.
    free : int
        0 when not estimated; else the 1-based number of the free parameter. Rows with one number are equal.
    fixed : float
        Value of a fixed parameter; NaN when free, or when ``given_by`` is ``"sample"``.
    start : float
        The user's start value, or NaN.
    lower, upper : float
        Bounds.
    given_by : {"user", "default", "sample"}
        In the text; added by a default; or held at its sample value (exogenous covariates).
    """

    lhs: str
    op: str
    rhs: str
    level: int = 1
    group: int = 1
    label: str = ""
    free: int = 0
    fixed: float = math.nan
    start: float = math.nan
    lower: float = -math.inf
    upper: float = math.inf
    given_by: GivenBy = "user"

    @property
    def name(self) -> str:
        """The parameter as lavaan names it: its label, or ``lhs op rhs`` without spaces.

        Examples
        --------
        >>> Parameter("visual", "=~", "x2").name
        'visual=~x2'
        """
        return self.label or f"{self.lhs}{self.op}{self.rhs}"


@dataclass(frozen=True)
class ParameterTable:
    """All parameters of a model, in order.

    Attributes
    ----------
    rows : tuple of Parameter
    """

    rows: tuple[Parameter, ...]

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_free(self) -> int:
        """Number of free parameters, equal ones counted once."""
        return max((row.free for row in self.rows), default=0)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the free parameters, in order."""
        first: dict[int, str] = {}
        for row in self.rows:
            if row.free:
                first.setdefault(row.free, row.name)
        return tuple(first[i] for i in sorted(first))

    def frame(self) -> pd.DataFrame:
        """The table as a DataFrame, one column an attribute of :class:`Parameter`."""
        columns = list(Parameter.__dataclass_fields__)
        return pd.DataFrame([[getattr(row, c) for c in columns] for row in self.rows], columns=columns)


@dataclass(frozen=True, slots=True)
class Defined:
    """A parameter defined from others: ``name := expression``."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class Constraint:
    """``left op right`` between expressions of labels, with op one of ``==``, ``<``, ``>``."""

    left: str
    op: str
    right: str


@dataclass(frozen=True)
class Model:
    """A model, complete: what is estimated, what is fixed, and nothing about data.

    Attributes
    ----------
    parameters : ParameterTable
    latents : tuple of str
        Left-hand sides of ``=~``, in order of appearance.
    observed : tuple of str
        All other variables, in order of appearance.
    exogenous : tuple of str
        Observed covariates held at their sample moments (``fixed_x``).
    ordinal, groups : tuple of str
    levels : tuple of int
    constraints : tuple of Constraint
    defined : tuple of Defined
    meanstructure : bool
    text : str
        The model text as given.
    options : mapping
        The options that completed it.
    """

    parameters: ParameterTable
    latents: tuple[str, ...]
    observed: tuple[str, ...]
    exogenous: tuple[str, ...] = ()
    ordinal: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    levels: tuple[int, ...] = (1,)
    constraints: tuple[Constraint, ...] = ()
    defined: tuple[Defined, ...] = ()
    meanstructure: bool = False
    text: str = ""
    options: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))

    @cached_property
    def memory(self) -> dict[str, Any]:
        """What was worked out from the model alone; see :func:`remembered`."""
        return {}

    def __getstate__(self) -> dict[str, object]:
        own = {name: value for name, value in self.__dict__.items() if name != "memory"}
        return own | {"options": dict(self.options)}

    def __setstate__(self, state: dict[str, object]) -> None:
        options = state["options"]
        self.__dict__.update(state, options=MappingProxyType(options if isinstance(options, dict) else {}))


Found = TypeVar("Found")


def remembered(work: Callable[[Model], Found]) -> Callable[[Model], Found]:
    """Do the work once a model: the model keeps the result, which must not be changed, for as long as it lives."""
    name = f"{work.__module__}.{work.__qualname__}"

    @wraps(work)
    def once(model: Model) -> Found:
        memory = model.memory
        if name not in memory:
            memory[name] = work(model)
        found: Found = memory[name]
        return found

    return once
