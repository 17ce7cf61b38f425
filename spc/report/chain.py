"""The chain in the report: diagram, effects, the check link by link, drivers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from spc.disclosure import ReleasedModel
from spc.plot import chain_diagram, effects_plot, importance_performance
from spc.plot.numbers import bracket, estimate, number
from spc.report.blocks import Block, Column, FigureBlock, Prose, Section, TableBlock
from spc.report.evidence import grade_column
from spc.report.material import Material, glance_row, kind_rows, listed, positions
from spc.report.words import SHORT_VERDICT, inner, label_of, path_in_words, share_text

__all__ = ["chain_figure", "check_section", "driver_sections", "effects_section", "levers", "outcome_of"]

NO_FINDING = (
    "The constructs of this model go together so closely that the answers cannot tell one from the other. Its paths "
    "are printed for reviewers; none of them is a finding."
)


GRADED = (
    " Colour and letter are the grade of the evidence, from A (strong) to D (no link shown); the reasons are under "
    "Evidence."
)


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
    figure = chain_diagram(chain.tidy, material.labels, title="The chain as it shows here", evidence=grades)
    if not material.readable:
        return FigureBlock(figure, "The links are drawn grey and without numbers: " + NO_FINDING, wide=True)
    point = "one point of its cause"
    if positions(chain, "loading"):
        point += " (both on the scale of their first question)"
    return FigureBlock(
        figure,
        f"Each number is the change in the effect per {point}, with its interval; the thicker the line, the larger the "
        f"effect in standard deviations.{GRADED if grades is not None else ''}",
        wide=True,
    )


def outcome_of(chain: ReleasedModel) -> str:
    """The construct at the end of the chain that effects are told for: the money one where there are several."""
    links = kind_rows(chain, "link")
    last = [name for name in dict.fromkeys(links["lhs"]) if name not in set(links["rhs"])] or list(links["lhs"])
    return next((name for name in ("profitability", "revenue_growth") if name in last), last[-1])


def levers(material: Material, chain: ReleasedModel) -> TableBlock:
    """Total effects of every cause on the end of the chain, largest standardised effect first."""
    end = outcome_of(chain)
    totals = kind_rows(chain, "total")
    totals = totals[totals["lhs"] == end].sort_values("std_all", key=lambda v: v.abs(), ascending=False, kind="stable")
    columns = (
        Column("Lever", lambda row: label_of(row.rhs, material.labels)),
        Column("Total effect", size, True),
        Column("Interval", interval, True),
        Column("Standardised", lambda row: number(row.std_all), True),
    )
    reached = inner(end, material.labels)
    return TableBlock(
        chain.tidy,
        f"What moves {reached}, end to end",
        columns,
        [int(i) for i in totals.index],
        f"Change in {reached} that goes with one point more of the lever, over all ways through the chain.",
    )


def effects_section(material: Material, chain: ReleasedModel) -> Section:
    """Direct, indirect and total effects."""
    labels = material.labels
    ways = (
        Column("Way", lambda row: path_in_words(row.label, labels)),
        Column("Effect", size, True),
        Column("Interval", interval, True),
        Column("Standardised", lambda row: number(row.std_all), True),
    )
    direct = (
        Column("Link", lambda row: f"{label_of(row.rhs, labels)} → {label_of(row.lhs, labels)}"),
        Column("Here", lambda row: SHORT_VERDICT.get(row.label, row.label)),
        *grade_column(material),
        *ways[1:],
    )
    total = (Column("From and to", lambda row: f"{label_of(row.rhs, labels)} → {label_of(row.lhs, labels)}"), *ways[1:])
    blocks: list[Block] = []
    if material.readable:
        blocks.append(
            Prose(
                "A link holds when its interval lies above zero, is unclear when the interval includes zero, and runs "
                "the other way when it lies below. An interval shows what the data leave open, not a range that the "
                "effect moves in."
            )
        )
        if positions(chain, "total"):
            figure = effects_plot(
                chain.tidy, labels, end=outcome_of(chain), title="Total effects on the end of the chain"
            )
            blocks.append(FigureBlock(figure, f"Total effects on {inner(outcome_of(chain), labels)}, with intervals."))
    else:
        blocks.append(Prose(NO_FINDING, "caution"))
    blocks.append(TableBlock(chain.tidy, "Direct effects", direct, positions(chain, "link")))
    if positions(chain, "indirect"):
        blocks.append(_long(chain, "Indirect effects, one way each", ways, "indirect"))
    if positions(chain, "total"):
        blocks.append(_long(chain, "Total effects, over all ways", total, "total"))
    return Section("effects", "Effects", tuple(blocks))


def _long(chain: ReleasedModel, caption: str, columns: tuple[Column, ...], kind: str) -> TableBlock:
    """A table that is folded when it is long."""
    rows = positions(chain, kind)
    return TableBlock(chain.tidy, caption, columns, rows, folded=len(rows) > 12)


def check_section(material: Material, chain: ReleasedModel) -> Section | None:
    """The regressions beside the structural model."""
    found = kind_rows(chain, "regression")
    if found.empty:
        return None
    labels, links = material.labels, kind_rows(chain, "link")
    model = {(row.rhs, row.lhs): row for row in listed(links)}

    def of_model(text: Callable[[Any], str]) -> Callable[[Any], str]:
        return lambda row: text(model[row.rhs, row.lhs]) if (row.rhs, row.lhs) in model else "–"

    columns = (
        Column("Link", lambda row: f"{label_of(row.rhs, labels)} → {label_of(row.lhs, labels)}"),
        Column("Model, standardised", of_model(lambda link: number(link.std_all)), True),
        Column("Regression, standardised", lambda row: number(row.std_all), True),
        Column("Slope", size, True),
        Column("Interval of the slope", interval, True),
        Column("Method", lambda row: row.label),
        Column("They", lambda row: agreement(model[row.rhs, row.lhs], row) if (row.rhs, row.lhs) in model else "–"),
    )
    return Section(
        "check",
        "Checked link by link",
        (
            Prose(
                "Every link is estimated a second time on its own, by an ordinary regression in another program "
                "library. The two differ where the model corrects for unreliable measurement or uses what the rest of "
                "the chain says; they should agree in sign and rough size."
            ),
            TableBlock(
                chain.tidy, "The model and the regressions side by side", columns, [int(i) for i in found.index]
            ),
        ),
    )


def agreement(link: Any, row: Any) -> str:
    """Whether the model and the regression of a link say the same, in standard deviations where both have them.

    They agree when the model's figure lies in the interval of the regression, or when that interval and the model's
    own include zero alike.
    """
    if link.label == "not interpretable":
        return "are not comparable"
    scale = row.std_all / row.estimate if pd.notna(row.std_all) and pd.notna(link.std_all) and row.estimate else 1.0
    there = link.std_all if scale != 1.0 else link.estimate
    low, high = sorted((scale * row.conf_low, scale * row.conf_high))
    if pd.isna(there) or pd.isna(low):
        return "–"
    if low <= there <= high or (low <= 0 <= high and link.label == "unclear"):
        return "agree"
    return "disagree" if there * (low + high) < 0 else "differ in size"


def driver_sections(material: Material) -> list[Section]:
    """One section for all outcomes whose drivers were looked at."""
    blocks: list[Block] = []
    for model in material.every("drivers"):
        blocks += _driver_blocks(material, model)
    return [Section("drivers", "Drivers", tuple(blocks))] if blocks else []


def _driver_blocks(material: Material, model: ReleasedModel) -> list[Block]:
    rows = kind_rows(model, "importance")
    if rows.empty:
        return []
    labels = material.labels
    share = {row.lhs: row.std_all if pd.notna(row.std_all) else row.estimate for row in listed(rows)}
    lookup = {(row.kind, row.lhs): row.estimate for row in listed(kind_rows(model, "performance", "coefficient"))}
    outcome = inner(str(rows["rhs"].iloc[0] or getattr(glance_row(model), "outcome", "")), labels)
    order = sorted((int(i) for i in rows.index), key=lambda i: -float(share[str(rows["lhs"][i])]))
    columns = (
        Column("Driver", lambda row: label_of(row.lhs, labels)),
        Column("Share of what is explained", lambda row: share_text(float(share[row.lhs])), True),
        Column("Importance", size, True),
        Column("Interval", interval, True),
        Column("Coefficient", lambda row: number(float(lookup.get(("coefficient", row.lhs), float("nan")))), True),
        Column("Performance", lambda row: number(float(lookup.get(("performance", row.lhs), float("nan")))), True),
    )
    first = str(rows["lhs"][order[0]])
    most = "most" if share[first] > 0.5 else "the largest part"
    told = f"{label_of(first, labels)} explains {most} of {outcome} here: {share_text(float(share[first]))} of all that"
    blocks: list[Block] = [Prose(f"{told} its drivers explain.")]
    if sum(kind == "performance" for kind, _ in lookup) >= 3:
        figure = importance_performance(model.tidy, labels, title=f"Drivers of {outcome}")
        blocks.append(FigureBlock(figure, "Upper left: matters much and has room to grow. Dotted lines are the means."))
    blocks.append(
        TableBlock(
            model.tidy,
            f"Drivers of {outcome}",
            columns,
            order,
            "Importance splits what is explained fairly among drivers that go together; performance is the mean on "
            "0–100.",
        )
    )
    return blocks
