"""Write a model as text that reads back to the same parameter table."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import groupby

from spc.spec.table import Model, Parameter
from spc.spec.tokens import is_name

__all__ = ["write_model"]

_Across = tuple[Parameter, ...]
"""One parameter in every group."""


def write_model(model: Model, *, complete: bool = False, blocks: bool = False) -> str:
    """Model text of a model, in lavaan's syntax.

    Parameters
    ----------
    model : Model
    complete : bool
        Also write the rows that defaults added, so that the text says everything and needs no options but ``groups``,
        ``parameterization``, and ``meanstructure`` where that is False; otherwise only what the original text said, to
        be read with ``model.options``.
    blocks : bool
        Each group in a block of its own, also where ``c(...)`` would do.

    Returns
    -------
    str
        ``spc.spec.model(write_model(m), **m.options)`` has the table of ``m``. Covariates held at their sample
        moments are never written: no syntax says so. Groups have ``c(...)`` where they have the same parameters, and
        blocks where not.

    Examples
    --------
    >>> from spc.spec import model
    >>> print(write_model(model("f=~x1+a*x2;f=~a*x3 # equal")))
    f =~ 1*x1 + a*x2 + a*x3
    >>> print(write_model(model("f =~ x1 + c(1, NA)*x2 + x3", groups=("u", "v"))))
    f =~ 1*x1 + c(1, NA)*x2 + x3
    """
    writer = _Writer(model, complete)
    lines = [*writer.blocks(alone=blocks)]
    lines += [f"{_name(defined.name)} := {defined.expression}" for defined in model.defined]
    lines += [f"{constraint.left} {constraint.op} {constraint.right}" for constraint in model.constraints]
    return "\n".join(lines)


class _Writer:
    """Rows of one model as lines."""

    def __init__(self, model: Model, complete: bool) -> None:
        self.model, self.complete = model, complete
        self.names = model.parameters.names
        self.unlabelled = {row.own_name for row in model.parameters if not row.label}
        self.scales = _scales(model)
        self.parts: dict[tuple[int, int], list[Parameter]] = {}
        held = {(row.group, row.level, row.lhs) for row in model.parameters if row.given_by == "sample"}
        for row in model.parameters:
            rows = self.parts.setdefault((row.group, row.level), [])
            follows = _of_covariate(row, held) or (row.op == "~*~" and model.parameterization == "theta")
            if row.given_by == "user" or (complete and row.given_by == "default" and not follows):
                rows.append(row)
        if complete:
            self.parts = {place: _ascending(rows) for place, rows in self.parts.items()}

    def blocks(self, *, alone: bool) -> Iterator[str]:
        """Lines of all blocks, groups side by side where they have the same parameters."""
        groups = range(1, max(group for group, _ in self.parts) + 1)
        levels = self.model.levels
        alone = alone and len(groups) > 1
        if not alone and all(len({_shape(self.parts[group, level]) for group in groups}) == 1 for level in levels):
            for level in levels:
                yield from self.level(level, [self.parts[group, level] for group in groups])
            return
        for group in groups:
            yield f"group: {_label(self.model.groups[group - 1])}"
            for level in levels:
                yield from self.level(level, [self.parts[group, level]])

    def level(self, level: int, groups: Sequence[Sequence[Parameter]]) -> Iterator[str]:
        """Lines of one level."""
        if len(self.model.levels) > 1:
            yield f"level: {level}"
        across = list(zip(*groups, strict=True))
        for _, part in groupby(across, key=lambda rows: (rows[0].lhs, rows[0].op)):
            yield self.formula(list(part))

    def formula(self, across: Sequence[_Across]) -> str:
        """Parameters with one left side and operator."""
        first = across[0][0]
        op = "~" if first.op == "~1" else first.op
        return f"{_name(first.lhs)} {op} {' + '.join(term for rows in across for term in self.terms(rows))}"

    def terms(self, rows: _Across) -> Iterator[str]:
        """The parameter once for each of its modifiers, as lavaan reads them."""
        variable = "1" if rows[0].op == "~1" else _name(rows[0].rhs)
        modifiers = list(self.modifiers(rows))
        yield from (f"{modifier}*{variable}" for modifier in modifiers)
        if not modifiers:
            yield variable

    def modifiers(self, rows: _Across) -> Iterator[str]:
        """What a parameter has in each group."""
        equal = [self.equal(row) for row in rows]
        labels = ["" if same else row.label for row, same in zip(rows, equal, strict=True)]
        values = [self.value(row, bool(same)) for row, same in zip(rows, equal, strict=True)]
        if any(values):
            yield _joined([value or "NA" for value in values])
        if any(equal):
            yield f"equal({_joined([_quoted(name) if name else 'NA' for name in equal])})"
        if all(labels):
            words = [word if is_name(word) else _quoted(word) for word in labels]
            yield words[0] if len(words) == 1 else f"c({', '.join(words)})"
        elif any(labels):
            yield f"label(c({', '.join(_quoted(word) if word else 'NA' for word in labels)}))"
        for function, get in _NUMBERS.items():
            if any(math.isfinite(get(row)) for row in rows):
                numbers = [_number(get(row)) if math.isfinite(get(row)) else _OPEN[function] for row in rows]
                yield f"{function}({_joined(numbers)})"

    def equal(self, row: Parameter) -> str:
        """The parameter that this one is said to be equal to, by its name; or empty."""
        if row.label in self.unlabelled:
            return row.label
        tied = self.complete and row.free and self.names[row.free - 1] != row.name
        return self.names[row.free - 1] if tied else ""

    def value(self, row: Parameter, equal: bool) -> str:
        """Its fixed value; NA where a default would fix it."""
        if not row.free and not equal:
            return _number(row.fixed)
        return "NA" if (row.group, row.level, row.lhs, row.op, row.rhs) in self.scales else ""


_NUMBERS: dict[str, Callable[[Parameter], float]] = {
    "start": lambda row: row.start,
    "lower": lambda row: row.lower,
    "upper": lambda row: row.upper,
}
_OPEN = {"start": "NA", "lower": "-Inf", "upper": "Inf"}


def _scales(model: Model) -> set[tuple[int, int, str, str, str]]:
    """Parameters that a default may fix though the text names them."""
    found = set()
    first: set[tuple[int, int, str]] = set()
    for row in model.parameters:
        variance = row.op == "~~" and row.lhs == row.rhs and row.lhs in model.latents
        within = row.op == "~1" and row.level == 1 and len(model.levels) > 1
        marker = row.op == "=~" and (row.group, row.level, row.lhs) not in first
        if row.op == "=~":
            first.add((row.group, row.level, row.lhs))
        if variance or within or marker:
            found.add((row.group, row.level, row.lhs, row.op, row.rhs))
    return found


def _of_covariate(row: Parameter, held: Collection[tuple[int, int, str]]) -> bool:
    """Whether the text cannot say it without making a variable of the covariate: its mean within clusters."""
    return row.op == "~1" and (row.group, row.level, row.lhs) in held


def _ascending(rows: Sequence[Parameter]) -> list[Parameter]:
    """Thresholds of an item together and in their order."""
    steps: dict[str, list[Parameter]] = {}
    for row in rows:
        if row.op == "|":
            steps.setdefault(row.lhs, []).append(row)
    found: list[Parameter] = []
    for row in rows:
        found += [row] if row.op != "|" else sorted(steps.pop(row.lhs, []), key=lambda step: int(step.rhs[1:]))
    return found


def _shape(rows: Sequence[Parameter]) -> tuple[tuple[str, str, str], ...]:
    return tuple((row.lhs, row.op, row.rhs) for row in rows)


def _joined(values: Sequence[str]) -> str:
    """One value for all groups, or one for each."""
    return values[0] if len(set(values)) == 1 else f"c({', '.join(values)})"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)


def _label(text: str) -> str:
    return text if is_name(text) or text.isdecimal() else _quoted(text)


def _name(text: str) -> str:
    return text if is_name(text) else f"`{text}`"


def _quoted(text: str) -> str:
    return f"'{text}'" if '"' in text else f'"{text}"'
