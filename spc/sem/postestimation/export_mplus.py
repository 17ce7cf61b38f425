"""A model as input of Mplus, with every parameter named, so that none of its defaults adds or frees anything."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from textwrap import wrap

from spc.errors import UnsupportedError, UsageError
from spc.sem.fit import SemFit
from spc.sem.options import Options
from spc.sem.postestimation.export import distinct, renamed, taken_model
from spc.spec.table import Model, Parameter, ParameterTable

__all__ = ["to_mplus"]

_WIDTH = 80
_LEVELS = {1: "%WITHIN%", 2: "%BETWEEN%"}
_ESTIMATORS = {"DWLS": "WLSMV", "WLSMVS": "WLSMV"}


def to_mplus(model: Model | SemFit, names: Sequence[str] | None = None, *, file: str = "data.dat") -> str:
    """Input of Mplus for the same model.

    Parameters
    ----------
    model : Model or SemFit
        The estimates of a fit are given as start values.
    names : sequence of str, optional
        Columns of the data file in order; by default the observed variables of the model, then the columns of
        groups and clusters.
    file : str
        Data file: numbers without a header; complete rows, or -9999 for missing answers where the fit used them.
        Groups are numbered from 1 in the order of the model, as the comments say.

    Returns
    -------
    str
        Lines of fewer than 90 characters, one parameter each. DWLS is written as WLSMV, which has its estimates.

    Raises
    ------
    UnsupportedError
        A model with bounds, with intercepts of ordered items, or with other variables in other groups.
    UsageError
        ``names`` lack a variable of the model.

    Examples
    --------
    >>> from spc.spec import model
    >>> print(to_mplus(model("mood =~ a + b + c")).partition("MODEL:")[2])
    <BLANKLINE>
      mood BY a@1;
      mood BY b*;
      mood BY c*;
      a*;
      b*;
      c*;
      mood*;
    OUTPUT: STDYX;
    """
    used = model.options if isinstance(model, SemFit) else Options()
    made = _apart(_checked(taken_model(model)))
    extra = _extra_columns(made, used)
    columns = tuple((*made.observed, *extra.values()) if names is None else names)
    absent = [name for name in (*made.observed, *extra.values()) if name not in columns]
    if absent:
        raise UsageError(
            f"names lack {', '.join(absent)}, which the model uses. Name all columns of the file in order."
        )
    known = distinct((*columns, *made.latents), "mplus")
    groups = list(distinct(made.groups, "mplus", letter="g").values()) if len(made.groups) > 1 else []
    starts = model.values if isinstance(model, SemFit) else [row.start for row in made.parameters]
    ours = renamed(made, known, "mplus")
    lines = [
        *(f"! {new} is {old}"[:_WIDTH] for old, new in known.items() if old != new),
        *(f"! group {number} is {label}"[:_WIDTH] for number, label in enumerate(made.groups, 1) if groups),
        "TITLE: a model of " + ", ".join(known[name] for name in (made.latents or made.observed))[:60] + ";",
        "DATA:", f'  FILE IS "{file}";' if len(file) < 70 else f'  FILE IS\n  "{file}";',
        "VARIABLE:", *_list("NAMES ARE", [known[name] for name in columns]),
        *_variables(ours, {what: known[name] for what, name in extra.items()}, groups, used),
        *_analysis(made, used),
        *_models(ours, [float(start) for start in starts], groups),
        *_constraints(ours),
        "OUTPUT: STDYX;",
    ]  # fmt: skip
    return "\n".join(lines)


def _checked(model: Model) -> Model:
    bounded = [row.name for row in model.parameters if math.isfinite(row.lower) or math.isfinite(row.upper)]
    if bounded:
        raise UnsupportedError(
            f"Bounds on {', '.join(bounded)}: give the parameters labels and write the bounds as constraints, "
            "such as a > 0."
        )
    shifted = [
        row.name for row in model.parameters if row.op == "~1" and row.lhs in model.ordinal and (row.free or row.fixed)
    ]
    if shifted:
        raise UnsupportedError(f"{', '.join(shifted)}: ordered items have thresholds in Mplus, not intercepts.")
    variables = {
        frozenset((row.op == "=~", row.lhs) for row in rows)
        for _, rows in groupby(model.parameters, key=lambda row: row.group)
    }
    if len(variables) > 1:
        raise UnsupportedError("Groups with different variables have no Mplus text: write one for each group.")
    return model


def _apart(model: Model) -> Model:
    """Latent variables of the upper level under names of their own: in Mplus one name is one variable."""
    latents: dict[int, set[str]] = {1: set(), 2: set()}
    for row in model.parameters:
        if row.op == "=~":
            latents[row.level].add(row.lhs)
    new = {name: f"{name} between" for name in latents[1] & latents[2]}
    if not new:
        return model
    rows = tuple(
        replace(row, lhs=new.get(row.lhs, row.lhs), rhs=new.get(row.rhs, row.rhs)) if row.level == 2 else row
        for row in model.parameters
    )
    return replace(model, parameters=ParameterTable(rows), latents=(*model.latents, *new.values()))


def _extra_columns(model: Model, used: Options) -> dict[str, str]:
    """Columns that tell groups and clusters, by what they tell."""
    found = {"group": used.group or "group"} if len(model.groups) > 1 else {}
    if used.cluster is not None or len(model.levels) > 1:
        found["cluster"] = used.cluster or "cluster"
    return found


# -- VARIABLE and ANALYSIS


def _variables(model: Model, extra: Mapping[str, str], groups: Sequence[str], used: Options) -> Iterator[str]:
    yield from _list("USEVARIABLES ARE", list(model.observed))
    if model.ordinal:
        yield from _list("CATEGORICAL ARE", list(model.ordinal))
    if groups:
        said = [f"{number} = {group}" for number, group in enumerate(groups, 1)]
        yield from _list(f"GROUPING IS {extra['group']}", ["(" + said[0], *said[1:-1], said[-1] + ")"])
    if "cluster" in extra:
        yield f"  CLUSTER IS {extra['cluster']};"
    if len(model.levels) > 1:
        at = {level: _named(model, level) for level in (1, 2)}
        for word, own, other in (("WITHIN ARE", 1, 2), ("BETWEEN ARE", 2, 1)):
            alone = [name for name in model.observed if name in at[own] and name not in at[other]]
            yield from _list(word, alone) if alone else ()
    if used.missing in ("fiml", "pairwise"):
        yield "  MISSING ARE ALL (-9999);"


def _named(model: Model, level: int) -> set[str]:
    return {name for row in model.parameters if row.level == level for name in (row.lhs, row.rhs)}


def _analysis(model: Model, used: Options) -> Iterator[str]:
    """How Mplus is to estimate."""
    yield "ANALYSIS:"
    if len(model.levels) > 1:
        yield "  TYPE IS TWOLEVEL;"
    elif used.cluster is not None:
        yield "  TYPE IS COMPLEX;"
    estimator = "WLSMV" if model.ordinal and used.estimator == "ML" else used.estimator
    complex_survey = used.cluster is not None and len(model.levels) == 1
    yield f"  ESTIMATOR IS {'MLR' if complex_survey else _ESTIMATORS.get(estimator, estimator)};"
    if model.ordinal:
        yield f"  PARAMETERIZATION IS {model.parameterization.upper()};"
    if estimator == "ML" and used.missing == "listwise" and used.cluster is None and len(model.levels) == 1:
        yield f"  INFORMATION IS {(used.information or 'expected').upper()};"
    yield "  MODEL IS NOCOVARIANCES;"
    if not model.meanstructure:
        yield "  MODEL IS NOMEANSTRUCTURE;"


def _list(head: str, names: Sequence[str]) -> Iterator[str]:
    yield f"  {head}"
    yield from wrap(" ".join(names) + ";", _WIDTH, initial_indent="    ", subsequent_indent="    ")


# -- MODEL


def _models(model: Model, starts: Sequence[float], groups: Sequence[str]) -> Iterator[str]:
    """Parameters of each group; with several, first what they measure and explain in common, without values."""
    rows = [(row, start) for row, start in zip(model.parameters, starts, strict=True) if _is_said(row, model)]
    yield "MODEL:"
    if not groups:
        yield from _levels(rows, model)
        return
    bare = {(row.level, row.lhs, row.op, row.rhs): row for row, _ in rows if row.op in {"=~", "~"} or _joins(row)}
    yield from _levels([(replace(row, label=""), None) for row in bare.values()], model)
    for number, group in enumerate(groups, 1):
        own = [(row, start) for row, start in rows if row.group == number]
        held = {(row.level, row.lhs, row.op, row.rhs) for row, _ in own}
        own += [(replace(row, free=0, fixed=0.0), math.nan) for key, row in bare.items() if key not in held]
        yield f"MODEL {group}:"
        yield from _levels(own, model)


def _joins(row: Parameter) -> bool:
    return row.op == "~~" and row.lhs != row.rhs


def _is_said(row: Parameter, model: Model) -> bool:
    """Whether Mplus has the parameter: not moments of covariates, nor what ordered items and lower levels lack."""
    if row.given_by == "sample":
        return False
    if row.lhs in model.ordinal and row.op == "~1":
        return False
    if row.op == "~*~" or (row.op == "~~" and row.lhs == row.rhs in model.ordinal):
        own = "~*~" if model.parameterization == "delta" else "~~"
        return row.op == own and (len(model.groups) > 1 or bool(row.free) or row.fixed != 1.0)
    return not (len(model.levels) > 1 and row.level == 1 and row.op == "~1" and not row.free and row.fixed == 0.0)


def _levels(rows: Sequence[tuple[Parameter, float | None]], model: Model) -> Iterator[str]:
    for level in model.levels:
        if len(model.levels) > 1:
            yield f"  {_LEVELS[level]}"
        yield from (_statement(row, start) for row, start in rows if row.level == level)


_FORMS = {
    "=~": "{lhs} BY {rhs}{value}",
    "~": "{lhs} ON {rhs}{value}",
    "~1": "[{lhs}{value}]",
    "|": "[{lhs}${step}{value}]",
    "~*~": "{{{lhs}{value}}}",
}


def _statement(row: Parameter, start: float | None) -> str:
    """One parameter with its value and label; without both where the start is None."""
    number = row.fixed if not row.free else start
    value = ("*" if row.free else "@") + (f"{number:.10g}" if number is not None and math.isfinite(number) else "")
    form = _FORMS.get(row.op, "{lhs}{value}" if row.lhs == row.rhs else "{lhs} WITH {rhs}{value}")
    label = f" ({row.label})" if row.label and row.free else ""
    said = "" if start is None else value
    return f"  {form.format(lhs=row.lhs, rhs=row.rhs, step=row.rhs[1:], value=said)}{label};"


# -- MODEL CONSTRAINT


def _constraints(model: Model) -> Iterator[str]:
    if not model.defined and not model.constraints:
        return
    yield "MODEL CONSTRAINT:"
    if model.defined:
        yield from wrap(
            f"NEW({' '.join(item.name for item in model.defined)});",
            _WIDTH,
            initial_indent="  ",
            subsequent_indent="    ",
        )
    for item in model.defined:
        yield from _wrapped(f"{item.name} = {_formula(item.expression)};")
    for constraint in model.constraints:
        left, right = _formula(constraint.left), _formula(constraint.right)
        yield from _wrapped(f"0 = {left} - ({right});" if constraint.op == "==" else f"{left} {constraint.op} {right};")


def _formula(expression: str) -> str:
    plain = re.sub(r"\b[\d.]+e[+-]?\d+\b", lambda found: f"{float(found[0]):.20f}".rstrip("0"), expression)
    spaced = re.sub(r"([*/])", r" \1 ", plain).replace("^", "**")
    return re.sub(r"\b(exp|log|sqrt|abs)\(", lambda found: found[1].upper() + "(", spaced)


def _wrapped(statement: str) -> list[str]:
    return wrap(statement, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False)
