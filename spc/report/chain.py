"""The chain in the report: diagram, effects, evidence, the check link by link."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd

from spc.disclosure import ReleasedModel
from spc.plot import chain_diagram, effects_plot
from spc.plot.chain import verdict_words
from spc.plot.numbers import bracket, estimate, number
from spc.report.blocks import Block, Column, FigureBlock, Prose, Section, TableBlock, table
from spc.report.evidence import evidence_blocks, grade_column
from spc.report.material import Material, kind_rows, listed, positions
from spc.report.words import inner, label_of, path_in_words
from spc.words import say

__all__ = ["chain_figure", "chain_section", "interval", "levers_table", "outcome_of", "size"]


_METHODS = {"OLS, HC3": "plain", "OLS, clustered by unit": "clustered"}


def interval(row: Any) -> str:
    """The interval of a row."""
    return bracket(float(row.conf_low), float(row.conf_high))


def size(row: Any) -> str:
    """The estimate of a row."""
    return estimate(float(row.estimate), float(row.conf_low), float(row.conf_high))


def chain_figure(material: Material, chain: ReleasedModel) -> FigureBlock:
    """The chain drawn once."""
    evidence = material.one("evidence")
    grades = None if evidence is None else evidence.tidy
    figure = chain_diagram(chain.tidy, material.labels, title=say("chain.drawn"), evidence=grades)
    if not material.readable:
        return FigureBlock(figure, say("chain.drawn_grey", why=say("chain.no_finding")), wide=True)
    point = say("chain.point_loading" if positions(chain, "loading") else "chain.point")
    graded = f" {say('chain.graded')}" if grades is not None else ""
    return FigureBlock(figure, say("chain.drawn_caption", point=point) + graded, wide=True)


def outcome_of(chain: ReleasedModel) -> str:
    """The construct at the end of the chain that effects are told for: the money one where there are several."""
    links = kind_rows(chain, "link")
    last = [name for name in dict.fromkeys(links["lhs"]) if name not in set(links["rhs"])] or list(links["lhs"])
    return next((name for name in ("profitability", "revenue_growth") if name in last), last[-1])


def _sized(rest: Sequence[Column] = ()) -> tuple[Column, ...]:
    return (
        Column(say("chain.effect"), size, True, "estimate"),
        Column(say("table.interval"), interval, True),
        Column(say("table.standardised"), lambda row: number(row.std_all), True, "std_all"),
        *rest,
    )


def levers_table(material: Material, chain: ReleasedModel) -> TableBlock:
    """Total effects of every cause on the end of the chain, largest standardised effect first."""
    end = outcome_of(chain)
    totals = kind_rows(chain, "total")
    totals = totals[totals["lhs"] == end].sort_values("std_all", key=lambda v: v.abs(), ascending=False, kind="stable")
    effect, *rest = _sized()
    columns = (
        Column(say("chain.lever"), lambda row: label_of(row.rhs, material.labels)),
        Column(say("chain.total_effect"), effect.text, True, "estimate"),
        *rest,
    )
    reached = inner(end, material.labels)
    return table(
        chain.tidy, say("chain.moves", end=reached), columns, [int(i) for i in totals.index],
        note=say("chain.moves_note", end=reached),
    )  # fmt: skip


def chain_section(material: Material) -> Section | None:
    """Direct, indirect and total effects, the evidence for each link, and the check; None without a chain."""
    chain = material.one("chain")
    if chain is None:
        return None
    blocks = [*_effects(material, chain), *evidence_blocks(material), *_check(material, chain)]
    return Section("chain", say("section.chain"), tuple(blocks))


def _from_to(material: Material) -> Callable[[Any], str]:
    labels = material.labels
    return lambda row: say("table.from_to", cause=label_of(row.rhs, labels), effect=label_of(row.lhs, labels))


def _effects(material: Material, chain: ReleasedModel) -> list[Block]:
    labels, name = material.labels, say("table.link")
    ways = (Column(say("chain.way"), lambda row: path_in_words(row.label, labels)), *_sized())
    direct = (
        Column(name, _from_to(material)),
        Column(say("chain.here"), lambda row: verdict_words(row.label)),
        *grade_column(material),
        *_sized(),
    )
    blocks: list[Block] = []
    if material.readable:
        blocks.append(Prose(say("chain.how_to_read")))
        if positions(chain, "total"):
            end = outcome_of(chain)
            figure = effects_plot(chain.tidy, labels, end=end, title=say("chain.totals_title"))
            blocks.append(FigureBlock(figure, say("chain.totals_caption", end=inner(end, labels))))
    else:
        blocks.append(Prose(say("chain.no_finding"), "caution"))
    blocks.append(table(chain.tidy, say("chain.direct"), direct, positions(chain, "link")))
    if positions(chain, "indirect"):
        blocks.append(_long(chain, say("chain.indirect"), ways, "indirect"))
    if positions(chain, "total"):
        blocks.append(_long(chain, say("chain.total"), (Column(name, _from_to(material)), *_sized()), "total"))
    return blocks


def _long(chain: ReleasedModel, caption: str, columns: tuple[Column, ...], kind: str) -> TableBlock:
    """A table that is folded when it is long."""
    rows = positions(chain, kind)
    return table(chain.tidy, caption, columns, rows, folded=len(rows) > 12)


def _check(material: Material, chain: ReleasedModel) -> list[Block]:
    """The regressions beside the structural model."""
    found = kind_rows(chain, "regression")
    if found.empty:
        return []
    model = {(row.rhs, row.lhs): row for row in listed(kind_rows(chain, "link"))}

    def of_model(text: Callable[[Any], str]) -> Callable[[Any], str]:
        return lambda row: text(model[row.rhs, row.lhs]) if (row.rhs, row.lhs) in model else "–"

    columns = (
        Column(say("table.link"), _from_to(material)),
        Column(say("chain.check_model"), of_model(lambda link: number(link.std_all)), True),
        Column(say("chain.check_regression"), lambda row: number(row.std_all), True, "std_all"),
        Column(say("chain.check_slope"), size, True, "estimate"),
        Column(say("chain.check_interval"), interval, True),
        Column(say("chain.check_method"), lambda row: _method(row.label)),
        Column(
            say("chain.check_they"),
            lambda row: say(f"chain.{told}") if (told := _agreement(model.get((row.rhs, row.lhs)), row)) else "–",
        ),
    )
    rows = [int(i) for i in found.index]
    return [
        Prose(say("chain.check_heading"), "heading"),
        Prose(say("chain.check")),
        table(chain.tidy, say("chain.check_caption"), columns, rows),
    ]


def _method(label: str) -> str:
    return say(f"note.regression.{_METHODS[label]}") if label in _METHODS else label


def _agreement(link: Any, row: Any) -> str:
    """Whether the model and the regression of a link say the same, in standard deviations where both have them.

    They agree when the model's figure lies in the interval of the regression, or when that interval and the model's
    own include zero alike. Empty where there is nothing to compare.
    """
    if link is None:
        return ""
    if link.label == "not interpretable":
        return "not_comparable"
    scale = row.std_all / row.estimate if pd.notna(row.std_all) and pd.notna(link.std_all) and row.estimate else 1.0
    there = link.std_all if scale != 1.0 else link.estimate
    low, high = sorted((scale * row.conf_low, scale * row.conf_high))
    if pd.isna(there) or pd.isna(low):
        return ""
    if low <= there <= high or (low <= 0 <= high and link.label == "unclear"):
        return "agree"
    return "disagree" if there * (low + high) < 0 else "differ"
