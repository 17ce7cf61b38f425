"""Replication: model text, matrix, versions and seed, so that a reviewer can fit the chain again."""

from __future__ import annotations

from typing import Any

from spc.disclosure import ReleasedModel, ReleasedTable
from spc.plot.numbers import count
from spc.report.blocks import Block, FactsBlock, Head, Prose, Section, TableBlock
from spc.report.material import Material, glance_row, kind_rows, listed
from spc.report.origins import origins
from spc.words import say

__all__ = ["replication_section"]

_DIGITS = 6


def replication_section(material: Material) -> Section | None:
    """How to fit the chain again; None without a chain."""
    chain, refit = material.one("chain"), material.one("refit")
    if chain is None:
        return None
    blocks = [] if refit is None else _refit(refit)
    blocks.append(FactsBlock(say("replication.provenance"), tuple(origins(material))))
    return Section("replication", say("section.replication"), tuple(blocks))


def _refit(refit: ReleasedModel) -> list[Block]:
    n = count(glance_row(refit).nobs)
    text: list[Block] = [
        Prose(say("replication.text"), "heading"),
        Prose(str(refit.facts.get("options", {}).get("model", "")), "code"),
    ]
    if refit.tidy.hidden:
        return [Prose(say("replication.withheld")), *text]
    return [
        Prose(say("replication.lead")),
        *text,
        _matrix(refit, n),
        *_means(refit),
        FactsBlock(say("replication.how"), ((say("replication.call"), say("replication.how_text", n=n)),)),
    ]


def _exact(value: float) -> str:
    """A number to be typed in again, to six figures."""
    return f"{value:.{_DIGITS}g}".replace("-", "−")


def _matrix(refit: ReleasedModel, n: str) -> TableBlock:
    rows = listed(kind_rows(refit, "covariance"))
    names = list(dict.fromkeys(row.lhs for row in rows))
    cell: dict[tuple[str, str], Any] = {(row.lhs, row.rhs): row for row in rows}
    text, values = [], []
    for i, one in enumerate(names):
        line: list[str] = [one]
        numbers: list[float | None] = [None]
        for j, other in enumerate(names):
            value = cell[one, other].estimate if j <= i else cell[other, one].std_all
            line.append(_exact(value))
            numbers.append(float(value))
        text.append(tuple(line))
        values.append(tuple(numbers))
    heads = (Head(say("replication.variable")), *(Head(name, numeric=True) for name in names))
    caption = say("replication.matrix_units" if bool(glance_row(refit).of_units) else "replication.matrix", n=n)
    return TableBlock(refit.tidy, caption, heads, tuple(text), tuple(values))


def _means(refit: ReleasedModel) -> list[Block]:
    rows = listed(kind_rows(refit, "mean"))
    if not rows:
        return []
    released: ReleasedTable = refit.tidy
    heads = (Head(say("replication.variable")), Head(say("replication.mean"), numeric=True))
    cells = tuple((row.lhs, _exact(row.estimate)) for row in rows)
    values = tuple((None, float(row.estimate)) for row in rows)
    return [TableBlock(released, say("replication.means"), heads, cells, values, folded=len(rows) > 12)]
