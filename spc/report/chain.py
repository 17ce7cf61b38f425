"""The chain in the report: diagram, effects, the check link by link, drivers."""

from __future__ import annotations

from typing import Any

import pandas as pd

from spc.disclosure import ReleasedModel
from spc.plot import chain_diagram, effects_plot, importance_performance
from spc.plot.numbers import bracket, estimate, number
from spc.report.blocks import Block, Column, FigureBlock, Prose, Section, TableBlock
from spc.report.material import Material, glance_row, kind_rows, listed, positions
from spc.report.words import SHORT_VERDICT, inner, label_of, path_in_words, share_text

__all__ = ["chain_figure", "check_section", "driver_sections", "effects_section", "levers", "outcome_of"]

NO_FINDING = (
    "The constructs of this model go together so closely that the answers cannot tell one from the other. Its paths "
    "are printed for reviewers; none of them is a finding."
)


def interval(row: Any) -> str:
    """The interval of a row."""
    return bracket(float(row.conf_low), float(row.conf_high))


def size(row: Any) -> str:
    """The estimate of a row."""
    return estimate(float(row.estimate), float(row.conf_low), float(row.conf_high))


def chain_figure(material: Material, chain: ReleasedModel) -> FigureBlock:
    """The chain drawn once."""
    figure = chain_diagram(chain.tidy, material.labels, title="The chain as it shows here")
    if not material.readable:
        return FigureBlock(figure, "The links are drawn grey and without numbers: " + NO_FINDING, wide=True)
    return FigureBlock(
        figure,
        "Each number is the change in the effect per one point of its cause, with its interval; "
        "the thicker the line, the larger the effect in standard deviations.",
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
        *ways[1:],
        Column("Here", lambda row: SHORT_VERDICT.get(row.label, row.label)),
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

    def beside(row: Any) -> str:
        link = model.get((row.rhs, row.lhs))
        return "–" if link is None else size(link)

    def verdict(row: Any) -> str:
        link = model.get((row.rhs, row.lhs))
        return "–" if link is None else agreement(link, row)

    columns = (
        Column("Link", lambda row: f"{label_of(row.rhs, labels)} → {label_of(row.lhs, labels)}"),
        Column("Model", beside, True),
        Column("Regression", size, True),
        Column("Interval", interval, True),
        Column("Method", lambda row: row.label),
        Column("They", verdict),
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
    """Whether two estimates of a link say the same."""
    if link.label == "not interpretable":
        return "are not comparable"
    if pd.isna(row.estimate) or pd.isna(link.estimate):
        return "–"
    if link.estimate * row.estimate < 0 and (row.conf_low > 0 or row.conf_high < 0):
        return "disagree"
    inside = row.conf_low <= link.estimate <= row.conf_high or link.conf_low <= row.estimate <= link.conf_high
    return "agree" if inside else "differ in size"


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
