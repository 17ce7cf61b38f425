"""A scenario that was worked out, in the report: what it would bring, and where constructs would stand."""

from __future__ import annotations

import math
from typing import Any

from spc.disclosure import ReleasedModel
from spc.plot.charts import in_time
from spc.plot.numbers import bracket, estimate, money, percent, plain
from spc.report.blocks import Block, Column, Prose, table
from spc.report.material import Material, glance_row, kind_rows, listed
from spc.report.words import label_of
from spc.words import say

__all__ = ["outlook_blocks"]

_WHOLE = ("present_value", "return", "payback", "chance_of_loss")


def outlook_blocks(material: Material, model: ReleasedModel) -> list[Block]:
    """Money of a scenario over all periods, and how far constructs have moved at the end."""
    terms = glance_row(model)
    horizon = in_time(float(terms.periods), str(terms.period))
    rows = listed(model.tidy.frame)
    whole = [i for i, row in enumerate(rows) if row.kind in _WHOLE]
    moved = [i for i, row in enumerate(rows) if row.kind == "moved" and row.rhs == str(int(terms.periods))]
    columns = (
        Column(say("outlook.construct"), lambda row: label_of(row.lhs, material.labels)),
        Column(say("outlook.moves"), lambda row: estimate(row.estimate, row.conf_low, row.conf_high), True, "estimate"),
        Column(say("table.interval"), lambda row: bracket(row.conf_low, row.conf_high), True),
    )
    blocks: list[Block] = [Prose(say("outlook.heading"), "heading")]
    if whole:
        figures = (
            Column(say("outlook.what"), lambda row: say(f"outlook.{row.kind}")),
            Column(say("table.estimate"), lambda row: _figure(material, row), True, "estimate"),
            Column(say("table.interval"), lambda row: _span(material, row), True),
        )
        blocks += [Prose(_told(material, model, horizon)), table(model.tidy, say("outlook.caption"), figures, whole)]
    return [*blocks, table(model.tidy, say("outlook.end", horizon=horizon), columns, moved)]


def _told(material: Material, model: ReleasedModel, horizon: str) -> str:
    row = listed(kind_rows(model, "present_value"))[0]
    value, low, high = (money(v, material.currency) for v in (row.estimate, row.conf_low, row.conf_high))
    return say("outlook.told", horizon=horizon, value=value, low=low, high=high)


def _figure(material: Material, row: Any) -> str:
    if row.kind == "present_value":
        return money(row.estimate, material.currency)
    if row.kind == "chance_of_loss":
        return percent(row.estimate, 1)
    if row.kind == "payback":
        if math.isnan(row.estimate):
            return say("outlook.never")
        return say("outlook.payback_text", n=plain(row.estimate), share=percent(row.std_all))
    return estimate(row.estimate, row.conf_low, row.conf_high)


def _span(material: Material, row: Any) -> str:
    if math.isnan(row.conf_low):
        return "–"
    if row.kind == "present_value":
        return say("money.to", low=money(row.conf_low, material.currency), high=money(row.conf_high, material.currency))
    return bracket(row.conf_low, row.conf_high)
