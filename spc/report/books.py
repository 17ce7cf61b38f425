"""The firm's books in the report: who earns the money, and why contribution changed."""

from __future__ import annotations

import math
from typing import Any

from spc.disclosure import ReleasedModel
from spc.plot import bridge_plot, whale_plot
from spc.plot.numbers import count, money, number, percent
from spc.report.blocks import Block, Column, FigureBlock, Prose, table
from spc.report.material import Material, glance_row, kind_rows, listed
from spc.report.words import inner
from spc.words import say

__all__ = ["books_blocks", "whale_sentence"]

_PARTS = ("price", "volume", "mix", "new_customers", "lost_customers", "new_products", "dropped_products")
_FOLD = 10


def books_blocks(material: Material) -> list[Block]:
    """Concentration and bridge, as far as they were worked out."""
    whale, bridge = material.one("whale"), material.one("bridge")
    if whale is None and bridge is None:
        return []
    blocks: list[Block] = [Prose(say("books.heading"), "heading")]
    blocks += [] if whale is None else _whale(material, whale)
    return blocks + ([] if bridge is None else _bridge(material, bridge))


def whale_sentence(material: Material, model: ReleasedModel) -> str:
    """Who earns the money, and what customers with a loss give back; empty where shares have no meaning."""
    rows = listed(model.tidy.frame)
    best = next((row for row in rows if row.kind == "top" and _top(row) == 0.2), None)
    row = {(row.kind, row.lhs): row for row in rows}
    peak = row.get(("peak", "contribution"))
    if best is None or math.isnan(best.estimate):
        return ""
    said = [say("books.whale", share=percent(0.2), value=percent(best.estimate, 1), low=percent(best.conf_low, 1),
                high=percent(best.conf_high, 1))]  # fmt: skip
    lost = row.get(("unprofitable", "customers"))
    back = row.get(("loss", "contribution"))
    if peak is not None and lost is not None and back is not None and lost.estimate > 0:
        said.append(say(
            "books.peak", value=percent(peak.estimate, 1), lost=percent(lost.estimate, 1),
            low=percent(lost.conf_low, 1), high=percent(lost.conf_high, 1),
            loss=money(-back.estimate, material.currency),
        ))  # fmt: skip
    else:
        said.append(say("books.no_loss", period=str(glance_row(model).period)))
    return " ".join(said)


def _whale(material: Material, model: ReleasedModel) -> list[Block]:
    told = whale_sentence(material, model)
    if not told or model.curve is None:
        return []
    period, currency = str(glance_row(model).period), material.currency

    def of(row: Any) -> str:
        return _figure(row, float(row.estimate), currency)

    def span(row: Any) -> str:
        ends = (row.conf_high, row.conf_low) if row.kind == "loss" else (row.conf_low, row.conf_high)
        low, high = (_figure(row, float(end), currency) for end in ends)
        return say("money.to", low=low, high=high)

    columns = (
        Column(say("money.figure"), _figure_name),
        Column(say("table.estimate"), of, True, "estimate"),
        Column(say("table.interval"), span, True),
    )
    curve = (
        Column(say("books.share_customers"), lambda row: percent(row.share_of_customers), False, "share_of_customers"),
        Column(say("books.share_contribution"), lambda row: percent(row.share_of_contribution, 1), True,
               "share_of_contribution"),
        Column(say("table.interval"),
               lambda row: say("money.to", low=percent(row.conf_low, 1), high=percent(row.conf_high, 1)), True),
    )  # fmt: skip
    tenths = [i for i, share in enumerate(model.curve.frame["share_of_customers"]) if round(100 * share) % _FOLD == 0]
    return [
        Prose(told),
        FigureBlock(whale_plot(model.curve, title=say("books.whale_title")), say("books.whale_caption")),
        table(model.tidy, say("books.whale_table", period=period), columns),
        table(model.curve, say("books.curve_table"), curve, tenths, folded=True),
    ]


def _figure_name(row: Any) -> str:
    if row.kind == "top":
        return say("books.top", share=percent(_top(row)))
    if row.kind == "concentration":
        return say(f"books.gini_{'revenue' if row.lhs == 'net_revenue' else 'contribution'}")
    names = {"peak": "peak_row", "unprofitable": "unprofitable", "loss": "loss", "dependence": "half"}
    return say(f"books.{names[row.kind]}") if row.kind in names else str(row.rhs)


def _top(row: Any) -> float:
    """How many of the customers a row of kind ``top`` speaks of."""
    return int("".join(letter for letter in str(row.rhs) if letter.isdigit())) / 100


def _figure(row: Any, value: float, currency: str) -> str:
    if row.kind == "loss":
        return money(-value, currency)
    if row.kind == "dependence":
        return count(value) if math.isfinite(value) else "–"
    return number(value) if row.kind == "concentration" else percent(value, 1)


def _bridge(material: Material, model: ReleasedModel) -> list[Block]:
    frame, currency = model.tidy.frame, material.currency
    rows = listed(kind_rows(model, "start", "part", "end"))
    if len({row.rhs for row in rows}) != 1:
        return []
    names = [str(row.lhs) if row.kind != "part" else _part(material, str(row.lhs)) for row in rows]
    start, *parts, end = rows
    largest = max(parts, key=lambda row: abs(row.estimate))
    said = say(
        "books.bridge", start=money(start.estimate, currency), before=start.lhs, end=money(end.estimate, currency),
        after=end.lhs, part=_part(material, str(largest.lhs)), value=money(largest.estimate, currency),
    )  # fmt: skip
    by_name = {(row.kind, row.lhs): name for row, name in zip(rows, names, strict=True)}
    columns = (
        Column(say("books.part"), lambda row: by_name[row.kind, row.lhs]),
        Column(say("books.amount"), lambda row: money(row.estimate, currency), True, "estimate"),
    )
    places = [i for i, kind in enumerate(frame["kind"]) if kind in {"start", "part", "end"}]
    caption = say("books.bridge_table", before=start.lhs, after=end.lhs)
    figure = bridge_plot(model.tidy, names, currency=currency, title=say("books.bridge_title"))
    return [Prose(said), FigureBlock(figure, say("books.bridge_caption")), table(model.tidy, caption, columns, places)]


def _part(material: Material, name: str) -> str:
    return say(f"books.parts.{name}") if name in _PARTS else inner(name, material.labels)
