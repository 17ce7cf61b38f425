"""A model as text for other programs: lavaan in R, and Mplus.

Both texts name every parameter, so that neither program's defaults add or free anything. Names that a program cannot
read are exchanged for names it can, listed in comments at the top; :func:`export_names` gives the same list for
renaming the columns of a file.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from textwrap import wrap
from typing import Literal, get_args

from spc.errors import UnsupportedError, UsageError
from spc.sem.fit import SemFit
from spc.sem.options import Options
from spc.spec.expressions import parse_expression
from spc.spec.table import Constraint, Defined, Model, Parameter, ParameterTable
from spc.spec.tree import Binary, Call, Expression, Name, Negative
from spc.spec.write import write_model

__all__ = ["export_names", "to_lavaan", "to_mplus"]

Program = Literal["lavaan", "mplus"]

_R_WORDS = frozenset({
    "if", "else", "repeat", "while", "function", "for", "next", "break", "in", "TRUE", "FALSE", "NULL", "NA", "NaN",
    "Inf",
})  # fmt: skip
_MPLUS_WORDS = frozenset({
    "all", "are", "at", "by", "is", "means", "model", "new", "on", "pon", "pwith", "rho", "then", "with", "xwith",
})  # fmt: skip
_WIDTH = 80


def export_names(model: Model | SemFit, program: Program = "lavaan") -> dict[str, str]:
    """Names of the variables, observed first, as the other program will know them.

    Parameters
    ----------
    model : Model or SemFit
    program : {"lavaan", "mplus"}
        R's names are letters, digits, dots and underscores; those of Mplus at most eight plain letters, digits and
        underscores, in which case does not count.

    Returns
    -------
    dict of str to str

    Raises
    ------
    UsageError
        Another program.

    Examples
    --------
    >>> from spc.spec import model
    >>> export_names(model("mood =~ `staff mood 1` + `staff mood 2` + 満足"), "mplus")
    {'staff mood 1': 'staffmoo', 'staff mood 2': 'staffmo2', '満足': 'v3', 'mood': 'mood'}
    """
    if program not in get_args(Program):
        raise UsageError(f"program={program!r}: expected 'lavaan' or 'mplus'.")
    made = _model(model)
    return _names((*made.observed, *made.latents), program)


def to_lavaan(model: Model | SemFit) -> str:
    r"""Model text that ``lavaan::lavaan()`` fits to the same estimates.

    Parameters
    ----------
    model : Model or SemFit

    Returns
    -------
    str
        With the call to fit it, and the columns to rename, as comments at the top.

    Raises
    ------
    UnsupportedError
        A model with several groups or levels, or with ordered items.

    Examples
    --------
    >>> from spc.spec import model
    >>> print(to_lavaan(model("f =~ `staff mood` + b + c")))
    # lavaan::lavaan(model, data)
    # names(data)[names(data) == "staff mood"] <- "staff.mood"
    f =~ 1*staff.mood + b + c
    staff.mood ~~ staff.mood
    b ~~ b
    c ~~ c
    f ~~ NA*f
    """
    made = _checked(_model(model), "lavaan")
    names = _names((*made.observed, *made.latents), "lavaan")
    options = "".join(f', {key} = "{value}"' for key, value in _lavaan_options(model).items())
    means = ", meanstructure = TRUE" if made.meanstructure else ""
    head = [f"# lavaan::lavaan(model, data{means}{options})"]
    for name in made.observed:
        if names[name] != name:
            quoted = name.replace("\\", "\\\\").replace('"', '\\"')
            head.append(f'# names(data)[names(data) == "{quoted}"] <- "{names[name]}"')
    return "\n".join([*head, write_model(_renamed(made, names, "lavaan"), complete=True)])


def _lavaan_options(model: Model | SemFit) -> dict[str, str]:
    """Options of the fit that are not lavaan's defaults."""
    if not isinstance(model, SemFit):
        return {}
    used = model.options
    given = {
        "estimator": "" if used.estimator == "ML" else used.estimator,
        "likelihood": "" if used.likelihood == "normal" else used.likelihood,
        "missing": "ml" if used.missing == "fiml" else "",
        "cluster": used.cluster or "",
    }
    return {key: value for key, value in given.items() if value}


def to_mplus(model: Model | SemFit, names: Sequence[str] | None = None, *, file: str = "data.dat") -> str:
    """Input of Mplus for the same model.

    Parameters
    ----------
    model : Model or SemFit
        The estimates of a fit are given as start values.
    names : sequence of str, optional
        Columns of the data file in order; the observed variables of the model by default.
    file : str
        Data file: numbers without a header; complete rows, or -9999 for missing answers where the fit used them.

    Returns
    -------
    str
        Lines of fewer than 90 characters, one parameter each.

    Raises
    ------
    UnsupportedError
        A model with several groups or levels, with ordered items, or with bounds; a fit with clusters.
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
    made = _checked(_model(model), "Mplus")
    if isinstance(model, SemFit) and model.options.cluster is not None:
        raise UnsupportedError("A fit with clusters has no Mplus text in this version.")
    columns = tuple(made.observed if names is None else names)
    absent = [name for name in made.observed if name not in columns]
    if absent:
        raise UsageError(
            f"names lack {', '.join(absent)}, which the model uses. Name all columns of the file in order."
        )
    known = _names((*columns, *made.latents), "mplus")
    starts = model.values if isinstance(model, SemFit) else [row.start for row in made.parameters]
    ours = _renamed(made, known, "mplus")
    lines = [
        *(f"! {new} is {old}"[:_WIDTH] for old, new in known.items() if old != new),
        "TITLE: a model of " + ", ".join(known[name] for name in (made.latents or made.observed))[:60] + ";",
        "DATA:", f'  FILE IS "{file}";' if len(file) < 70 else f'  FILE IS\n  "{file}";',
        "VARIABLE:", *_list("NAMES ARE", [known[name] for name in columns]),
        *_list("USEVARIABLES ARE", list(ours.observed)),
        *_estimation(model), "  MODEL IS NOCOVARIANCES;",
        *([] if made.meanstructure else ["  MODEL IS NOMEANSTRUCTURE;"]),
        "MODEL:",
        *(_statement(row, float(start)) for row, start in zip(ours.parameters, starts, strict=True)
          if row.given_by != "sample"),
        *_constraints(ours),
        "OUTPUT: STDYX;",
    ]  # fmt: skip
    return "\n".join(lines)


def _estimation(model: Model | SemFit) -> Iterator[str]:
    """How Mplus is to estimate: missing answers, estimator, information."""
    used = model.options if isinstance(model, SemFit) else Options()
    if used.missing == "fiml":
        yield "  MISSING ARE ALL (-9999);"
    yield "ANALYSIS:"
    yield f"  ESTIMATOR IS {used.estimator};"
    if used.estimator == "ML" and used.missing == "listwise":
        yield "  INFORMATION IS EXPECTED;"


def _model(given: Model | SemFit) -> Model:
    return given.model if isinstance(given, SemFit) else given


def _checked(model: Model, program: str) -> Model:
    many = "groups" if len(model.groups) > 1 else "levels" if len(model.levels) > 1 else ""
    if many or model.ordinal:
        what = f"several {many}" if many else f"ordered items ({', '.join(model.ordinal)})"
        raise UnsupportedError(f"A model with {what} has no {program} text in this version.")
    if program == "Mplus":
        bounded = [row.name for row in model.parameters if math.isfinite(row.lower) or math.isfinite(row.upper)]
        if bounded:
            raise UnsupportedError(
                f"Bounds on {', '.join(bounded)}: give the parameters labels and write the bounds as constraints, "
                "such as a > 0."
            )
    return model


def _names(originals: Iterable[str], program: Program) -> dict[str, str]:
    return _distinct(originals, program, set(), "v")


def _distinct(originals: Iterable[str], program: Program, taken: set[str], letter: str) -> dict[str, str]:
    """A readable name for each, different from one another and from those taken."""
    rule = _RULES[program]
    found: dict[str, str] = {}
    used = {rule.folded(name) for name in taken} | rule.words
    for number, name in enumerate(dict.fromkeys(originals), 1):
        found[name] = _unique(rule.clean(name) or f"{letter}{number}", used, rule)
        used.add(rule.folded(found[name]))
    return found


def _unique(name: str, used: set[str], rule: _Rule) -> str:
    """The name, cut, with a number in place of its end while it is taken."""
    new, number = name[: rule.length], 2
    while rule.folded(new) in used:
        new = f"{name[: rule.length - len(str(number))]}{number}"
        number += 1
    return new


@dataclass(frozen=True)
class _Rule:
    """What names a program takes."""

    clean: Callable[[str], str]
    folded: Callable[[str], str]
    length: int
    words: frozenset[str]


def _for_r(name: str) -> str:
    kept = "".join(c if c.isalnum() or c in "._" else "." for c in unicodedata.normalize("NFC", name))
    return kept if kept[:1].isalpha() else f"v{kept}"


def _for_mplus(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_]", "", plain).lstrip("_0123456789")


_RULES: Mapping[Program, _Rule] = {
    "lavaan": _Rule(_for_r, str, 200, _R_WORDS),
    "mplus": _Rule(_for_mplus, str.lower, 8, _MPLUS_WORDS),
}


def _renamed(model: Model, names: Mapping[str, str], program: Program) -> Model:
    """The model under other names, with a label on every parameter that is equal to another."""
    rows = _labelled(model.parameters.rows)
    said = (*(row.label for row in rows if row.label), *(item.name for item in model.defined))
    labels = _distinct(said, program, {*names.values()}, "p")
    table = tuple(
        replace(row, lhs=names[row.lhs], rhs=names.get(row.rhs, ""), label=labels.get(row.label, "")) for row in rows
    )

    def turned(text: str) -> str:
        return str(_with_labels(parse_expression(text), labels))

    return replace(
        model, parameters=ParameterTable(table), latents=tuple(names[name] for name in model.latents),
        observed=tuple(names[name] for name in model.observed),
        defined=tuple(Defined(labels[item.name], turned(item.expression)) for item in model.defined),
        constraints=tuple(Constraint(turned(c.left), c.op, turned(c.right)) for c in model.constraints),
    )  # fmt: skip


def _labelled(rows: Sequence[Parameter]) -> list[Parameter]:
    """Equal parameters share a label, also those said to be equal to one without a label."""
    shared: dict[int, list[Parameter]] = {}
    for row in rows:
        if row.free:
            shared.setdefault(row.free, []).append(row)
    written = {f"{row.lhs}{row.op}{row.rhs}" for row in rows}
    said = {row.label for row in rows if row.label}
    new = {}
    for number, equal in shared.items():
        own = {row.label for row in equal}
        if len(own) > 1:
            plain = [label for label in sorted(own - written) if label]
            new[number] = plain[0] if plain else next(f"equal{k}" for k in range(1, 10**6) if f"equal{k}" not in said)
            said.add(new[number])
    return [replace(row, label=new.get(row.free, row.label)) for row in rows]


def _with_labels(expression: Expression, labels: Mapping[str, str]) -> Expression:
    if isinstance(expression, Name):
        return Name(labels.get(expression.name, expression.name))
    if isinstance(expression, Binary):
        return Binary(expression.op, _with_labels(expression.left, labels), _with_labels(expression.right, labels))
    if isinstance(expression, Call):
        return Call(expression.function, _with_labels(expression.inner, labels))
    if isinstance(expression, Negative):
        return Negative(_with_labels(expression.inner, labels))
    return expression


# -- Mplus


def _list(head: str, names: Sequence[str]) -> Iterator[str]:
    yield f"  {head}"
    yield from wrap(" ".join(names) + ";", _WIDTH, initial_indent="    ", subsequent_indent="    ")


_FORMS = {"=~": "{lhs} BY {rhs}{value}", "~": "{lhs} ON {rhs}{value}", "~1": "[{lhs}{value}]"}


def _statement(row: Parameter, start: float) -> str:
    number = row.fixed if not row.free else start
    value = ("*" if row.free else "@") + (f"{number:.10g}" if math.isfinite(number) else "")
    form = _FORMS.get(row.op, "{lhs}{value}" if row.lhs == row.rhs else "{lhs} WITH {rhs}{value}")
    label = f" ({row.label})" if row.label and row.free else ""
    return f"  {form.format(lhs=row.lhs, rhs=row.rhs, value=value)}{label};"


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
        yield from _wrapped(f"{item.name} = {_for_mplus_text(item.expression)};")
    for constraint in model.constraints:
        left, right = _for_mplus_text(constraint.left), _for_mplus_text(constraint.right)
        yield from _wrapped(f"0 = {left} - ({right});" if constraint.op == "==" else f"{left} {constraint.op} {right};")


def _for_mplus_text(expression: str) -> str:
    plain = re.sub(r"\b[\d.]+e[+-]?\d+\b", lambda found: f"{float(found[0]):.20f}".rstrip("0"), expression)
    spaced = re.sub(r"([*/])", r" \1 ", plain).replace("^", "**")
    return re.sub(r"\b(exp|log|sqrt|abs)\(", lambda found: found[1].upper() + "(", spaced)


def _wrapped(statement: str) -> list[str]:
    return wrap(statement, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False)
