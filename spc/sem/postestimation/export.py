"""A model as text for other programs: names that they can read, and lavaan in R.

For Mplus see :mod:`spc.sem.postestimation.export_mplus`.

Both texts name every parameter, so that neither program's defaults add or free anything. Names that a program cannot
read are exchanged for names it can, listed in comments at the top; :func:`export_names` gives the same list for
renaming the columns of a file.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from spc.errors import UsageError
from spc.sem.fit import SemFit
from spc.sem.options import Options
from spc.spec.expressions import parse_expression
from spc.spec.table import Constraint, Defined, Model, Parameter, ParameterTable
from spc.spec.tree import Name, substitute
from spc.spec.write import write_model

__all__ = ["Program", "distinct", "export_names", "renamed", "taken_model", "to_lavaan"]

Program = Literal["lavaan", "mplus"]

_R_WORDS = frozenset({
    "if", "else", "repeat", "while", "function", "for", "next", "break", "in", "TRUE", "FALSE", "NULL", "NA", "NaN",
    "Inf",
})  # fmt: skip
_MPLUS_WORDS = frozenset({
    "all", "are", "at", "by", "is", "means", "model", "new", "on", "pon", "pwith", "rho", "then", "with", "xwith",
})  # fmt: skip


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
    made = taken_model(model)
    return distinct((*made.observed, *made.latents), program)


def to_lavaan(model: Model | SemFit) -> str:
    r"""Model text that ``lavaan::lavaan()`` fits to the same estimates.

    Parameters
    ----------
    model : Model or SemFit

    Returns
    -------
    str
        With the call to fit it, and the columns to rename, as comments at the top. Parameters that groups or levels
        share have one label.

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
    made = taken_model(model)
    names = distinct((*made.observed, *made.latents), "lavaan")
    options = "".join(f", {key} = {value}" for key, value in _lavaan_options(model, names).items())
    head = [f"# lavaan::lavaan(model, data{options})"]
    head += [
        f"# names(data)[names(data) == {_r_text(name)}] <- {_r_text(names[name])}"
        for name in made.observed
        if names[name] != name
    ]
    numbered = replace(made, groups=tuple(str(number) for number in range(1, len(made.groups) + 1)))
    text = write_model(renamed(numbered, names, "lavaan"), complete=True, blocks=len(made.levels) > 1)
    return "\n".join([*head, text])


def _lavaan_options(model: Model | SemFit, names: Mapping[str, str]) -> dict[str, str]:
    """Arguments of the call that are not lavaan's defaults."""
    made = taken_model(model)
    several = len(made.groups) > 1
    used = model.options if isinstance(model, SemFit) else Options()
    default = "WLSMV" if made.ordinal else "ML"
    given = {
        "meanstructure": str(made.meanstructure).upper() if made.meanstructure or several else "",
        "group": _r_text(used.group or "group") if several else "",
        "group.label": _r_texts(made.groups) if several else "",
        "ordered": _r_texts([names[name] for name in made.ordinal]),
        "parameterization": '"theta"' if made.ordinal and made.parameterization == "theta" else "",
        "estimator": "" if used.estimator == default or not isinstance(model, SemFit) else _r_text(used.estimator),
        "likelihood": "" if used.likelihood == "normal" else _r_text(used.likelihood),
        "missing": {"fiml": '"ml"', "pairwise": '"pairwise"'}.get(used.missing, ""),
        "information": "" if used.information is None else _r_text(used.information),
        "cluster": _r_text(used.cluster or "cluster") if used.cluster or len(made.levels) > 1 else "",
    }
    return {key: value for key, value in given.items() if value}


def _r_text(word: str) -> str:
    quoted = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def _r_texts(words: Sequence[str]) -> str:
    return f"c({', '.join(map(_r_text, words))})" if words else ""


def taken_model(given: Model | SemFit) -> Model:
    """The model, or that of a fit."""
    return given.model if isinstance(given, SemFit) else given


def distinct(
    originals: Iterable[str], program: Program, taken: Collection[str] = (), letter: str = "v"
) -> dict[str, str]:
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


def renamed(model: Model, names: Mapping[str, str], program: Program) -> Model:
    """The model under other names, with a label on every parameter that is equal to another."""
    rows = _labelled(model.parameters.rows)
    said = (*(row.label for row in rows if row.label), *(item.name for item in model.defined))
    labels = distinct(said, program, {*names.values()}, "p")
    table = tuple(
        replace(row, lhs=names[row.lhs], rhs=names.get(row.rhs, row.rhs), label=labels.get(row.label, ""))
        for row in rows
    )

    def turned(text: str) -> str:
        return str(substitute(parse_expression(text), {old: Name(new) for old, new in labels.items()}))

    return replace(
        model, parameters=ParameterTable(table), latents=tuple(names[name] for name in model.latents),
        observed=tuple(names[name] for name in model.observed),
        exogenous=tuple(names[name] for name in model.exogenous),
        ordinal=tuple(names[name] for name in model.ordinal),
        defined=tuple(Defined(labels[item.name], turned(item.expression)) for item in model.defined),
        constraints=tuple(Constraint(turned(c.left), c.op, turned(c.right)) for c in model.constraints),
    )  # fmt: skip


def _labelled(rows: Sequence[Parameter]) -> list[Parameter]:
    """Equal parameters share a label, also those said to be equal to one without a label."""
    shared: dict[int, list[Parameter]] = {}
    for row in rows:
        if row.free:
            shared.setdefault(row.free, []).append(row)
    written = {row.own_name for row in rows}
    said = {row.label for row in rows if row.label}
    new = {}
    for number, equal in shared.items():
        own = {row.label for row in equal}
        if len(equal) > 1 and (len(own) > 1 or own <= {"", *written}):
            plain = [label for label in sorted(own - written) if label]
            new[number] = plain[0] if plain else next(f"equal{k}" for k in range(1, 10**6) if f"equal{k}" not in said)
            said.add(new[number])
    return [replace(row, label=new.get(row.free, row.label)) for row in rows]
