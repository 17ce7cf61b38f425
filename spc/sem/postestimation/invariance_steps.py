r"""Steps of measurement invariance: what each holds equal, and what it must free in turn so that it is identified.

Ordered items (Wu & Estabrook 2016, Psychometrika 81, 1014-1045; as ``measEq.syntax`` of semTools): equal thresholds
identify in later groups the intercept of each item, and its scale or residual variance where two thresholds or more
are equal. A single threshold identifies these only together with equal loadings and intercepts, which are zero
throughout; latent means go free with these. Residual variances, and so their equality, are of the theta
parameterisation.

Factors of factors (Chen, Sousa & West 2005, Structural Equation Modeling 12, 471-492): equal intercepts of the items
identify the means of the factors that they measure, and only when the intercepts of these are equal too, the means of
the factors above them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spc.errors import UnsupportedError
from spc.spec import model as read_model
from spc.spec.table import Model, Parameter

__all__ = ["Step", "default_steps", "step_model"]

FIRST_ORDER, LATENT_INTERCEPTS = "first_order_loadings", "latent_intercepts"
"""Words beside those of ``group_equal``."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step: its name, and what it holds equal in all groups, in the words of ``group_equal`` and two more."""

    name: str
    equal: tuple[str, ...]

    @classmethod
    def of(cls, name: str, equal: Sequence[str]) -> Step:
        """A step from words with dots or underscores."""
        return cls(str(name), tuple(str(word).replace(".", "_") for word in equal))

    @property
    def words(self) -> tuple[str, ...]:
        """Words of ``group_equal`` alone."""
        own = ("loadings" if word == FIRST_ORDER else word for word in self.equal)
        return tuple(dict.fromkeys(word for word in own if word != LATENT_INTERCEPTS))


def default_steps(model: Model) -> tuple[Step, ...]:
    """The ladder for the kinds of items and factors that a model has.

    Examples
    --------
    >>> from spc.spec import model
    >>> [step.name for step in default_steps(model("f =~ a + b + c"))]
    ['configural', 'metric', 'scalar', 'strict']
    """
    ordered, higher = bool(model.ordinal), bool(_measured_latents(model))
    residuals = not ordered or model.parameterization == "theta"
    first = ("thresholds",) if ordered else ()
    steps = [Step("configural", ())]
    if ordered:
        steps.append(Step("thresholds", first))
    steps.append(Step("metric", (*first, FIRST_ORDER if higher else "loadings")))
    if higher:
        steps.append(Step("metric, higher", (*first, "loadings")))
    steps.append(Step("scalar", (*first, "loadings", "intercepts")))
    if higher:
        steps.append(Step("scalar, higher", (*first, "loadings", "intercepts", LATENT_INTERCEPTS)))
    if residuals:
        steps.append(Step("strict", (*steps[-1].equal, "residuals")))
    return tuple(steps)


def _measured_latents(model: Model) -> set[str]:
    """Latent variables that others measure by."""
    return {row.rhs for row in model.parameters if row.op == "=~" and row.rhs in model.latents}


def step_model(model: Model, step: Step, partial: Sequence[str]) -> Model:
    """The model of a step, from that of the first one.

    Parameters
    ----------
    model : Model
        Of several groups, with its text.
    step : Step
    partial : sequence of str
        Parameters that stay free, named as in the first group.

    Raises
    ------
    UnsupportedError
        A model without its text, which cannot be read again.
    """
    if not model.text:
        raise UnsupportedError("The steps read the model again: build it from its text, with spc.model(...).")
    released = list(partial)
    if FIRST_ORDER in step.equal:
        higher = (row for row in model.parameters if row.op == "=~" and row.rhs in model.latents)
        released += [row.own_name for row in higher if row.group == 1]
    options: dict[str, Any] = {
        **model.options,
        "group_equal": step.words,
        "group_partial": tuple(released) if step.words else (),
    }
    read = read_model(model.text, **options)
    rows = [_identified(row, read, step, frozenset(map(_plain, partial))) for row in read.parameters]
    return replace(read, parameters=replace(read.parameters, rows=tuple(_numbered(rows))))


def _identified(row: Parameter, model: Model, step: Step, partial: Collection[str]) -> Parameter:
    """A row of a group after the first, free or held as the step needs it; what the text says stays."""
    if row.group == 1 or row.given_by != "default":
        return row
    free = _goes_free(row, model, step)
    if _word_of(row, model) in step.equal and _plain(replace(row, group=1).own_name) in partial:
        free = True
    if free is None or free == bool(row.free):
        return row
    return replace(row, free=-1, fixed=math.nan) if free else replace(row, free=0, fixed=0.0 if row.op == "~1" else 1.0)


def _word_of(row: Parameter, model: Model) -> str:
    """What holds a row at the value of the first group, where that is no shared number."""
    if row.op == "~1":
        return LATENT_INTERCEPTS if row.lhs in model.latents else "intercepts"
    return "residuals" if row.op == "~~" and row.lhs == row.rhs in model.ordinal else ""


def _goes_free(row: Parameter, model: Model, step: Step) -> bool | None:
    """None where the rules of ``group_equal`` are right."""
    equal = step.equal
    if row.op == "~1" and row.lhs in model.latents and "means" not in equal:
        return _mean_goes_free(row.lhs, model, equal)
    if row.lhs not in model.ordinal or not (row.op == "~1" or _is_unit(row, model)):
        return None
    if row.op == "~~" and "residuals" in equal:
        return False
    shared = _shared_thresholds(model, row)
    if row.op == "~1":
        return shared > 0 and "intercepts" not in equal
    return shared > 1 or (shared == 1 and {"loadings", "intercepts"} <= set(equal))


def _is_unit(row: Parameter, model: Model) -> bool:
    """Whether a row gives an ordered item its unit: the scale, or the residual variance."""
    return row.op == "~*~" if model.parameterization == "delta" else row.op == "~~" and row.lhs == row.rhs


def _mean_goes_free(latent: str, model: Model, equal: Sequence[str]) -> bool | None:
    measured = _measured_latents(model)
    if "intercepts" not in equal:
        return False
    if latent in measured:
        return LATENT_INTERCEPTS not in equal
    above = any(row.op == "=~" and row.lhs == latent and row.rhs in measured for row in model.parameters)
    return LATENT_INTERCEPTS in equal if above else None


def _shared_thresholds(model: Model, row: Parameter) -> int:
    """How many thresholds of an item its group has in common with the first."""
    numbers: dict[int, dict[str, int]] = {1: {}, row.group: {}}
    for one in model.parameters:
        if one.op == "|" and one.lhs == row.lhs and one.group in numbers:
            numbers[one.group][one.rhs] = one.free
    return sum(number > 0 and numbers[1].get(name) == number for name, number in numbers[row.group].items())


def _numbered(rows: Sequence[Parameter]) -> list[Parameter]:
    """Free parameters counted anew, in the order of the rows; equal ones stay equal."""
    numbers: dict[int, int] = {}
    found = []
    for at, row in enumerate(rows):
        if not row.free:
            found.append(row)
            continue
        key = row.free if row.free > 0 else -2 - at
        found.append(replace(row, free=numbers.setdefault(key, len(numbers) + 1)))
    return found


def _plain(name: str) -> str:
    return "".join(name.replace("`", "").split())
