"""Scenarios in the report: levers that a reader moves, and a table of one step each for paper."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np

from spc.disclosure import ReleasedModel
from spc.plot.charts import in_time
from spc.plot.numbers import bracket, count, estimate, money_template, number, percent
from spc.report.blocks import Block, Column, FactsBlock, Prose, ScenarioBlock, Section, TableBlock, table
from spc.report.material import Material, glance_row, kind_rows, listed
from spc.report.money import money_span, money_text
from spc.report.outlook import outlook_blocks
from spc.report.words import begin, inner, label_of
from spc.words import language, say

__all__ = ["lever_name", "lever_rows", "look_ahead", "scenarios_section", "signed_step"]


def look_ahead(model: ReleasedModel) -> str:
    """The periods looked ahead, in words."""
    terms = glance_row(model)
    return in_time(float(terms.periods), str(terms.period))


def lever_rows(model: ReleasedModel) -> list[dict[str, Any]]:
    """What one step of each lever brings: ``name, by, label, cost, brings, interval, per_cost, loss, moves``."""
    rows = listed(kind_rows(model, "lever", "spent", "brings", "return", "chance_of_loss", "moves"))
    found: list[dict[str, Any]] = []
    for row in rows:
        if row.kind == "lever":
            found.append({"name": row.lhs, "by": float(row.estimate), "label": row.label, "once": float(row.std_error),
                          "running": float(row.statistic), "cost": math.nan,
                          "brings": math.nan, "interval": (math.nan, math.nan), "per_cost": math.nan,
                          "loss": math.nan, "moves": None})  # fmt: skip
        elif row.kind == "brings":
            found[-1] |= {"brings": float(row.estimate), "interval": (float(row.conf_low), float(row.conf_high))}
        elif row.kind == "spent":
            found[-1]["cost"] = float(row.estimate)
        elif row.kind == "moves":
            found[-1]["moves"] = row
        else:
            found[-1]["per_cost" if row.kind == "return" else "loss"] = float(row.estimate)
    return found


def lever_name(material: Material, row: dict[str, Any]) -> str:
    """A lever for readers."""
    own = str(row["label"])
    return own if own and own != row["name"] else label_of(row["name"], material.labels)


def scenarios_section(material: Material) -> Section | None:
    """Sliders, the table of one step each, and scenarios that were worked out; None without any of them."""
    blocks: list[Block] = []
    chain, model = material.one("chain"), material.one("levers")
    if chain is not None and not material.readable:
        blocks.append(Prose(say("whatif.not_readable"), "caution"))
    elif model is not None:
        blocks += _live(material, model)
    for given in material.every("scenario"):
        blocks += outlook_blocks(material, given)
    return Section("scenarios", say("section.scenarios"), tuple(blocks)) if blocks else None


def _live(material: Material, model: ReleasedModel) -> list[Block]:
    terms = glance_row(model)
    return [
        Prose(say("whatif.lead", draws=count(terms.draws), level=percent(terms.level))),
        Prose(_of_money(material, model)),
        *([] if model.curve is None else [ScenarioBlock(model.curve, _data(material, model), _words(material, model))]),
        Prose(say("whatif.range")),
        Prose(say("whatif.several")),
        _table(material, model),
        FactsBlock(say("whatif.terms"), tuple(_terms(model))),
        Prose(say("whatif.same"), "small"),
    ]


def _of_money(material: Material, model: ReleasedModel) -> str:
    terms = glance_row(model)
    if not bool(terms.money):
        return say("whatif.no_money", target=inner(str(terms.target), material.labels))
    return say("whatif.money", present=count(terms.present), horizon=look_ahead(model),
               discount=percent(float(terms.discount), 1), period=say(f"time.{terms.period}"))  # fmt: skip


def _terms(model: ReleasedModel) -> list[tuple[str, str]]:
    terms = glance_row(model)
    pairs = [
        (say("money.horizon"), look_ahead(model)),
        (say("whatif.draws"), count(terms.draws)),
        (say("whatif.level"), percent(terms.level)),
    ]
    if bool(terms.money):
        pairs += [(say("money.discount"), percent(float(terms.discount), 1)),
                  (say("money.active"), count(terms.present))]  # fmt: skip
    return pairs


def signed_step(value: float) -> str:
    """How far a lever moves, with its sign."""
    text = number(abs(value))
    return f"+{text}" if value > 0 else f"−{text}" if value < 0 else text


def _table(material: Material, model: ReleasedModel) -> TableBlock:
    terms, rows = glance_row(model), {row["name"]: row for row in lever_rows(model)}
    today = {row.lhs: row for row in listed(kind_rows(model, "today"))}
    end = inner(str(terms.target), material.labels)

    def moved(row: Any) -> str:
        found = rows[row.lhs]["moves"]
        if found is None:
            return "–"
        return f"{estimate(found.estimate, found.conf_low, found.conf_high)} {bracket(found.conf_low, found.conf_high)}"

    columns = [
        Column(say("glance.lever"), lambda row: lever_name(material, rows[row.lhs])),
        Column(
            say("whatif.today"),
            lambda row: number(today[row.lhs].estimate),
            True,
            value=lambda row: float(today[row.lhs].estimate),
        ),
        Column(say("whatif.reach"), lambda row: _ends(today[row.lhs]), True),
        Column(say("whatif.step"), lambda row: signed_step(row.estimate), True, "estimate"),
        Column(say("whatif.end_moves", end=begin(end)), moved, True),
    ]
    if bool(terms.money):
        columns += [
            Column(say("whatif.brings"), lambda row: money_text(rows[row.lhs]["brings"], material.currency), True,
                   value=lambda row: rows[row.lhs]["brings"]),
            Column(say("whatif.money_interval"),
                   lambda row: money_span(rows[row.lhs]["interval"], material.currency), True),
            Column(say("glance.loss"), lambda row: percent(rows[row.lhs]["loss"], 1), True,
                   value=lambda row: rows[row.lhs]["loss"]),
        ]  # fmt: skip
    places = [i for i, row in enumerate(listed(model.tidy.frame)) if row.kind == "lever"]
    note = say("whatif.table_note", horizon=look_ahead(model))
    return table(model.tidy, say("whatif.table"), columns, places, note=note)


def _ends(row: Any) -> str:
    return say("money.to", low=number(row.conf_low), high=number(row.conf_high))


def _data(material: Material, model: ReleasedModel) -> dict[str, Any]:
    """What the script needs: levers, links in order, terms, and the draws as numbers of four bytes in base 64."""
    terms = glance_row(model)
    draws = model.curve.frame if model.curve is not None else model.tidy.frame
    links = [name.split("~") for name in draws.columns if "~" in name]
    bends: dict[str, dict[str, float]] = {}
    for row in listed(kind_rows(model, "bend")):
        bends.setdefault(f"{row.lhs}~{row.rhs}", {})[row.label] = float(row.estimate)
    stay = [name for name in draws.columns if name.startswith("stay_")]
    packed = np.ascontiguousarray(draws.to_numpy(dtype="<f4").T)
    return {
        "levers": [_lever(material, row) for row in lever_rows(model)],
        "today": [
            {"name": row.lhs, "label": label_of(row.lhs, material.labels), "mean": row.estimate, "low": row.conf_low,
             "high": row.conf_high, "step": row.std_all}
            for row in listed(kind_rows(model, "today"))
        ],
        "links": [{"effect": y, "cause": x, "bend": bends.get(f"{y}~{x}")} for y, x in links],
        "columns": list(draws.columns), "draws": len(draws), "target": terms.target, "money": bool(terms.money),
        "degree": max((int(name.split("_")[2]) for name in stay), default=0),
        "present": float(terms.present) if bool(terms.money) else 0.0, "periods": int(terms.periods),
        "discount": float(terms.discount), "level": float(terms.level), "currency": material.currency,
        "packed": base64.b64encode(packed.tobytes()).decode("ascii"), "language": language(),
    }  # fmt: skip


def _lever(material: Material, row: dict[str, Any]) -> dict[str, Any]:
    return {"name": row["name"], "label": lever_name(material, row), "by": row["by"], "cost": row["once"],
            "running": row["running"]}  # fmt: skip


def _words(material: Material, model: ReleasedModel) -> dict[str, str]:
    """Everything the script says; what it fills in stays in braces."""
    terms = glance_row(model)
    horizon = look_ahead(model)
    period, end = say(f"time.{terms.period}"), label_of(str(terms.target), material.labels)
    held = {name: f"{{{name}}}" for name in ("value", "low", "high", "n", "share", "by", "mean", "name")}
    filled = held | {"horizon": horizon, "period": period, "end": end}
    said = {
        name: say(f"whatif.{name}", **(filled | {"currency": material.currency}))
        for name in (
            "title", "outcome", "reset", "start", "profit", "before_cost", "cost_once", "cost_period", "loss",
            "payback", "payback_never", "payback_in", "return", "moves", "by", "to", "interval", "beyond", "by_period",
            "money_row", "value", "lever_of", "status", "status_end", "money_interval_bar",
        )
    }  # fmt: skip
    said["each_period"] = say("whatif.each_period", **(filled | {"period": begin(period)}))
    numbers = {name: say(f"number.{name}") for name in ("decimal", "thousands")}
    numbers |= {name: say(f"number.{name}", value="{value}") for name in ("percent", "million", "billion")}
    numbers["money"] = money_template(material.currency)
    ends = {"low": "{low}", "high": "{high}"}
    return said | {"span": say("money.to", **ends), "bracket": say("number.bracket", **ends), **numbers}
