"""Key drivers in the report: what explains an outcome, and how the firm does on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from spc.disclosure import ReleasedModel
from spc.plot import importance_performance
from spc.plot.numbers import number
from spc.report.blocks import Block, Column, FigureBlock, Prose, Section, table
from spc.report.chain import interval, size
from spc.report.material import Material, glance_row, kind_rows, listed
from spc.report.words import inner, label_of, share_text
from spc.words import say

__all__ = ["Ranked", "drivers_section", "drivers_sentence", "ranked"]


@dataclass(frozen=True, eq=False)
class Ranked:
    """Drivers of an outcome, the most important first.

    Attributes
    ----------
    outcome : str
        In words.
    names : tuple of str
    share : dict
        Of what is explained.
    places : tuple of int
        Of their rows in the table.
    rows : tuple
    """

    outcome: str
    names: tuple[str, ...]
    share: dict[str, float]
    places: tuple[int, ...]
    rows: tuple[Any, ...]


def ranked(material: Material, model: ReleasedModel) -> Ranked | None:
    """Order the drivers of a result; None where it has none."""
    frame = kind_rows(model, "importance")
    if frame.empty:
        return None
    rows = listed(frame)
    share = {row.lhs: float(row.std_all if pd.notna(row.std_all) else row.estimate) for row in rows}
    outcome = inner(str(frame["rhs"].iloc[0] or getattr(glance_row(model), "outcome", "")), material.labels)
    order = sorted(range(len(rows)), key=lambda i: -share[rows[i].lhs])
    return Ranked(
        outcome, tuple(rows[i].lhs for i in order), share, tuple(int(frame.index[i]) for i in order),
        tuple(rows[i] for i in order),
    )  # fmt: skip


def drivers_section(material: Material) -> Section | None:
    """One section for all outcomes whose drivers were looked at; None without."""
    blocks: list[Block] = []
    for model in material.every("drivers"):
        found = ranked(material, model)
        blocks += [] if found is None else _blocks(material, model, found)
    return Section("drivers", say("section.drivers"), tuple(blocks)) if blocks else None


def drivers_sentence(material: Material, found: Ranked) -> str:
    """What explains most of an outcome."""
    first = found.names[0]
    how = "most" if found.share[first] > 0.5 else "largest"
    return say(f"drivers.{how}", driver=label_of(first, material.labels), outcome=found.outcome,
               share=share_text(found.share[first]))  # fmt: skip


def _blocks(material: Material, model: ReleasedModel, found: Ranked) -> list[Block]:
    labels = material.labels
    lookup = {(row.kind, row.lhs): row.estimate for row in listed(kind_rows(model, "performance", "coefficient"))}

    def looked_up(header: str, kind: str) -> Column:
        def value(row: Any) -> float:
            return float(lookup.get((kind, row.lhs), float("nan")))

        return Column(header, lambda row: number(value(row)), True, value=value)

    columns = (
        Column(say("drivers.driver"), lambda row: label_of(row.lhs, labels)),
        Column(say("drivers.share"), lambda row: share_text(found.share[row.lhs]), True, "std_all"),
        Column(say("drivers.importance"), size, True, "estimate"),
        Column(say("table.interval"), interval, True),
        looked_up(say("drivers.coefficient"), "coefficient"),
        looked_up(say("drivers.performance"), "performance"),
    )
    title = say("drivers.title", outcome=found.outcome)
    blocks: list[Block] = [Prose(drivers_sentence(material, found))]
    if sum(kind == "performance" for kind, _ in lookup) >= 2:
        blocks.append(FigureBlock(importance_performance(model.tidy, labels, title=title), say("drivers.figure")))
    blocks.append(table(model.tidy, title, columns, found.places, note=say("drivers.note")))
    return blocks
