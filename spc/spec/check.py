"""What a model text must not say, each found with its place."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from graphlib import CycleError, TopologicalSorter

from spc.spec.expressions import Expression
from spc.spec.parser import Definition, Entry, Syntax
from spc.spec.tokens import Token, spec_error

__all__ = ["check_entries", "nearest", "ordered_definitions", "refuse_unknown_label"]

_SHOWN = 12


def nearest(name: str, known: Collection[str]) -> str:
    """A hint naming the closest known name, or all of them.

    Examples
    --------
    >>> nearest("idirect", ["indirect", "total"])
    "did you mean 'indirect'?"
    """
    close = get_close_matches(name, known, n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    if not known:
        return "there are none in this model; write a*x to label one"
    more = len(known) - _SHOWN
    return f"known are: {', '.join(list(known)[:_SHOWN])}{f' and {more} more' if more > 0 else ''}"


def check_entries(syntax: Syntax) -> None:
    """Raise for entries that cannot stand in one model.

    Raises
    ------
    SpecError
        A variable that explains itself, one path given twice, a label that is a variable's name, no variables at all,
        a variable that is measured in one block and observed in another.
    """
    entries, text = syntax.entries, syntax.text
    if not entries:
        place = Token("end", "", 1, 1)
        raise spec_error("found no variables; expected lines such as f =~ x1 + x2 + x3 or y ~ x", place, text)
    variables = {name for entry in entries for name in entry.variables}
    paths: dict[tuple[int, str, str], Entry] = {}
    for entry in entries:
        _refuse_self(entry, text)
        _refuse_second_path(entry, paths, text)
        for said in entry.said:
            if said.label in variables:
                raise spec_error(
                    f"found '{said.label}' as the label of {entry}, but it is a variable of this model; "
                    "take another label, or, if a product was meant, compute it as a column of the data",
                    entry.token,
                    text,
                )
    latents = {entry.lhs for entry in entries if entry.op == "=~"}
    if variables <= latents:
        raise spec_error(
            "found no observed variables; expected columns of the data as indicators", entries[0].token, text
        )
    if syntax.heads:
        _refuse_two_roles(entries, latents, text)


def _refuse_two_roles(entries: Sequence[Entry], latents: Collection[str], text: str) -> None:
    measured = {(entry.block, entry.lhs) for entry in entries if entry.op == "=~"}
    for entry in entries:
        for name in entry.variables:
            if name in latents and (entry.block, name) not in measured:
                raise spec_error(
                    f"found '{name}', which another block measures (=~) but this one does not; measure it here too",
                    entry.token,
                    text,
                )


def _refuse_self(entry: Entry, text: str) -> None:
    if entry.op in {"~", "=~"} and entry.lhs == entry.rhs:
        verb = "regressed on itself" if entry.op == "~" else "measured by itself"
        hint = f"; its variance is written {entry.lhs} ~~ {entry.lhs}" if entry.op == "~" else ""
        raise spec_error(f"found '{entry.lhs}' {verb}; expected another variable{hint}", entry.token, text)


def _refuse_second_path(entry: Entry, paths: dict[tuple[int, str, str], Entry], text: str) -> None:
    if entry.op not in {"~", "=~"}:
        return
    source, target = (entry.lhs, entry.rhs) if entry.op == "=~" else (entry.rhs, entry.lhs)
    path = (entry.block, source, target)
    first = paths.setdefault(path, entry)
    if first is not entry:
        raise spec_error(
            f"found '{entry}', which is the same path as '{first}'; remove one of the two", entry.token, text
        )


def refuse_unknown_label(expression: Expression, tokens: Sequence[Token], known: Collection[str], text: str) -> None:
    """Raise for the first label of an expression that is not known, at its place among the expression's tokens."""
    for name in expression.names:
        if name not in known:
            place = next(token for token in tokens if token.kind == "name" and token.text == name)
            raise spec_error(
                f"found '{name}', which is no label of this model; {nearest(name, sorted(known))}", place, text
            )


def ordered_definitions(
    definitions: Sequence[Definition], labels: Collection[str], text: str
) -> tuple[Definition, ...]:
    """Definitions such that each comes after those it needs.

    Raises
    ------
    SpecError
        A name defined twice, or also a label; an unknown label; a circle.
    """
    by_name: dict[str, Definition] = {}
    for definition in definitions:
        name = definition.token.text
        if name in labels:
            raise spec_error(
                f"found '{name}' defined by :=, but it is a label already; take another name", definition.token, text
            )
        if name in by_name:
            line = by_name[name].token.line
            raise spec_error(
                f"found '{name}' defined a second time (first on line {line}); remove one", definition.token, text
            )
        by_name[name] = definition
    for definition in definitions:
        others = {*labels, *by_name} - ({definition.token.text} - {*definition.expression.names})
        refuse_unknown_label(definition.expression, definition.tokens, others, text)
    needs = {name: [n for n in d.expression.names if n in by_name] for name, d in by_name.items()}
    try:
        TopologicalSorter(needs).prepare()
    except CycleError as error:
        circle = error.args[1]
        raise spec_error(
            f"found '{circle[0]}' defined by itself ({' needs '.join(reversed(circle))}); break the circle",
            by_name[circle[0]].token,
            text,
        ) from None
    return _stable_order(by_name, needs)


def _stable_order(by_name: dict[str, Definition], needs: dict[str, list[str]]) -> tuple[Definition, ...]:
    """Order of the text wherever it already works, so that a written model reads back the same."""
    done: dict[str, Definition] = {}
    while len(done) < len(by_name):
        for name, definition in by_name.items():
            if name not in done and all(needed in done for needed in needs[name]):
                done[name] = definition
                break
    return tuple(done.values())
