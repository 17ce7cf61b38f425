"""The parameter table: the single language between model text, estimators and printing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, wraps
from types import MappingProxyType
from typing import Any, Literal, TypeVar

import pandas as pd

__all__ = [
    "Block",
    "Constraint",
    "Defined",
    "GivenBy",
    "Model",
    "Parameter",
    "ParameterTable",
    "Parameterization",
    "blocks",
    "remembered",
]

GivenBy = Literal["user", "default", "sample"]
Parameterization = Literal["delta", "theta"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One row of the table.

    Attributes
    ----------
    lhs, op, rhs : str
        As in the model text: ``visual =~ x1``, ``y ~ x``, ``x ~~ y``, ``x ~1`` (with empty ``rhs``), ``x | t1``
        (a threshold), ``x ~*~ x`` (the scale of an ordered item, 1 / its standard deviation).
    level, group : int
        1-based. Level 1 is within clusters, level 2 between them.
    label : str
        The user's label, or empty.
    free : int
        0 when not estimated; else the 1-based number of the free parameter. Rows with one number are equal.
    fixed : float
        Value of a fixed parameter; NaN when free, or when ``given_by`` is ``"sample"``. The residual variance of an
        ordered item has 1 here, in the place of a value that the other parameters determine (delta parameterisation),
        and so has its scale in the theta parameterisation.
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
        """The parameter as lavaan names it: its label, or ``lhs op rhs`` without spaces, then group and level.

        Examples
        --------
        >>> Parameter("visual", "=~", "x2").name
        'visual=~x2'
        >>> Parameter("visual", "=~", "x2", group=2, level=2).name
        'visual=~x2.g2.l2'
        """
        return self.label or self.own_name

    @property
    def own_name(self) -> str:
        """The name it has without a label."""
        group = f".g{self.group}" if self.group > 1 else ""
        level = f".l{self.level}" if self.level > 1 else ""
        return f"{self.lhs}{self.op}{self.rhs}{group}{level}"


@dataclass(frozen=True)
class ParameterTable:
    """All parameters of a model, in order.

    Attributes
    ----------
    rows : tuple of Parameter
    joint : tuple of str
        Names of the free parameters of the whole model, where this is the table of one of its blocks.
    """

    rows: tuple[Parameter, ...]
    joint: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_free(self) -> int:
        """Number of free parameters, equal ones counted once; those of the whole model for a block."""
        return len(self.joint) or max((row.free for row in self.rows), default=0)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the free parameters, in order; those of the whole model for a block."""
        if self.joint:
            return self.joint
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
    ordinal : tuple of str
        Ordered items.
    groups : tuple of str
        Labels of the groups, ``group`` 1, 2, ... of the rows; empty for one group.
    levels : tuple of int
        ``(1,)``, or ``(1, 2)`` for a two-level model.
    constraints : tuple of Constraint
        On labels alone; names that ``:=`` defines are written out.
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

    @property
    def categories(self) -> dict[str, int]:
        """Number of categories of each ordered item."""
        found = dict.fromkeys(self.ordinal, 1)
        for row in self.parameters:
            if row.op == "|":
                found[row.lhs] = max(found[row.lhs], int(row.rhs[1:]) + 1)
        return found

    @property
    def parameterization(self) -> Parameterization:
        """Whether ordered items have scales (delta) or residual variances (theta) as parameters."""
        return "theta" if self.options.get("parameterization") == "theta" else "delta"

    @property
    def conditional_x(self) -> bool:
        """Whether the model is of the outcomes given the covariates, as with ordered items and fixed covariates."""
        return bool(self.ordinal) and bool(self.exogenous)

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


@dataclass(frozen=True)
class Block:
    """One level of one group of a model.

    Attributes
    ----------
    group, level : int
        1-based.
    model : Model
        The rows of this block with its own variables, but with the numbers and names of free parameters of the whole
        model, and without its definitions and constraints.
    """

    group: int
    level: int
    model: Model


@remembered
def blocks(model: Model) -> tuple[Block, ...]:
    """The levels of the groups of a model, each as a model of its own.

    Parameters
    ----------
    model : Model

    Returns
    -------
    tuple of Block
        By group, then level. A model of one group and level is its own block.

    Examples
    --------
    >>> from spc.spec import model
    >>> two = blocks(model("f =~ x1 + x2 + x3", groups=("a", "b"), group_equal=("loadings",)))
    >>> [(block.group, block.level, block.model.parameters.rows[1].free) for block in two]
    [(1, 1, 1), (2, 1, 1)]
    >>> len(two[1].model.parameters.names)
    16
    """
    places = sorted({(row.group, row.level) for row in model.parameters})
    if len(places) <= 1:
        return tuple(Block(group, level, model) for group, level in places)
    names = model.parameters.names
    return tuple(Block(group, level, _part(model, group, level, names)) for group, level in places)


def _part(model: Model, group: int, level: int, names: tuple[str, ...]) -> Model:
    rows = tuple(row for row in model.parameters if (row.group, row.level) == (group, level))
    latents = dict.fromkeys(row.lhs for row in rows if row.op == "=~")
    single = ("~1", "|", "~*~")
    variables = dict.fromkeys(v for row in rows for v in ((row.lhs,) if row.op in single else (row.lhs, row.rhs)))
    fixed = {row.lhs for row in rows if row.given_by == "sample"}
    return replace(
        model,
        parameters=ParameterTable(rows, names),
        latents=tuple(latents),
        observed=tuple(name for name in variables if name not in latents),
        exogenous=tuple(name for name in model.exogenous if name in fixed),
        ordinal=tuple(name for name in model.ordinal if name in variables),
        groups=model.groups[group - 1 : group],
        levels=(level,),
        constraints=(),
        defined=(),
    )
