"""Loyalty in money: retention, lifetime value, and the firm's own figure beside what is usually quoted."""

from __future__ import annotations

import math
import re
from typing import Any

import pandas as pd

from spc.disclosure import ReleasedModel
from spc.plot import five_points, retention_curve
from spc.plot.charts import in_time
from spc.plot.numbers import count, ends, estimate, money, percent, points, rate, shares
from spc.report.blocks import Block, Column, FactsBlock, FigureBlock, Prose, Section, StatsBlock, TableBlock, table
from spc.report.books import books_blocks
from spc.report.material import Material, glance_row, kind_rows, listed, positions
from spc.report.words import money_sentence, more_retention, periods
from spc.words import say

__all__ = ["headline", "money_section", "money_span", "money_text", "own_sentence", "stats", "written"]

_NAMES = (
    "retention", "churn", "margin", "multiple", "elasticity", "clv", "clv_new", "uplift_percent", "uplift_money",
    "uplift_base", "uplift_relative", "uplift_constant", "points_had", "claim", "claim_terms",
)  # fmt: skip
_MONEY = {"margin", "clv", "clv_new", "uplift_money", "uplift_base"}
_SHARE = {"retention", "churn", "uplift_percent", "uplift_relative", "uplift_constant", "points_had", "claim"}


def money_text(value: float, currency: str) -> str:
    """An amount; nothing where there is none."""
    return "–" if math.isnan(value) else money(value, currency)


def money_span(ends: tuple[float, float], currency: str) -> str:
    """An interval in money; nothing where there is none."""
    low, high = (money_text(end, currency) for end in ends)
    return "–" if math.isnan(ends[0]) else say("money.to", low=low, high=high)


def doubted(loyalty: ReleasedModel) -> bool:
    """Whether what the figures rest on does not quite hold."""
    return any(note.severity != "info" for note in loyalty.notes)


def headline(material: Material, loyalty: ReleasedModel) -> str:
    """The verdict in money, or in per cent where the ledger has no margins."""
    terms = glance_row(loyalty)
    for kind in ("uplift_base", "uplift_percent"):
        rows = kind_rows(loyalty, kind)
        if len(rows):
            row, whole = listed(rows)[0], kind == "uplift_base"
            return money_sentence(row, terms, material.currency, whole=whole, doubted=doubted(loyalty))
    return ""


def stats(material: Material, loyalty: ReleasedModel) -> StatsBlock:
    """Retention, customer value and the own figure, set large."""
    items = []
    for kind in ("retention", "clv", "uplift_percent"):
        rows = kind_rows(loyalty, kind)
        if len(rows):
            row = listed(rows)[0]
            value, low, high = written(row, material.currency)
            own = kind == "uplift_percent"
            label = more_retention(float(glance_row(loyalty).points)) if own else say(f"money.stat_{kind}")
            signed = f"+{value}" if own and row.estimate > 0 else value
            items.append((label, signed, say("money.to", low=low, high=high)))
    return StatsBlock(tuple(items))


def written(row: Any, currency: str) -> tuple[str, str, str]:
    """Estimate and ends of a row in the words of its kind."""
    values = (float(row.estimate), float(row.conf_low), float(row.conf_high))
    sort = row.lhs if row.kind == "closed_form" else row.kind
    if row.kind == "claim_terms":
        value = float(row.estimate)
        if math.isnan(value):
            return say("money.at_none"), "", ""
        return (money(value, currency) if row.lhs == "acquisition_cost" else rate(value)), "", ""
    if sort in _MONEY:
        return tuple(money(v, currency) for v in values)  # type: ignore[return-value]
    if sort in _SHARE:
        return shares(*values)
    return (estimate(*values), *ends(*values[1:]))


def money_section(material: Material) -> Section | None:
    """Everything on money: the books, and loyalty; None without either."""
    loyalty = material.one("loyalty")
    blocks = [*([] if loyalty is None else _loyalty(material, loyalty)), *books_blocks(material)]
    return Section("money", say("section.money"), tuple(blocks)) if blocks else None


def _loyalty(material: Material, loyalty: ReleasedModel) -> list[Block]:
    terms = glance_row(loyalty)
    blocks: list[Block] = [Prose(_retention_sentence(loyalty, terms) + _model_sentence(terms))]
    blocks += _curve(loyalty, str(terms.period))
    if positions(loyalty, "uplift_percent"):
        title = say("money.five_title", more=more_retention(float(terms.points)))
        blocks += [
            Prose(own_sentence(loyalty)), FigureBlock(
                five_points(loyalty.tidy, title=title, currency=material.currency), say("money.five")
            ),
        ]  # fmt: skip
    columns = (
        Column(say("money.figure"), _name),
        Column(say("money.terms_of"), lambda row: _on_terms(row, terms)),
        Column(say("table.estimate"), lambda row: written(row, material.currency)[0], True, "estimate"),
        Column(say("table.interval"), lambda row: _span(row, material.currency), True),
    )
    known = positions(loyalty, *_NAMES, "closed_form")
    return [*blocks, table(loyalty.tidy, say("money.caption"), columns, known), _terms(material, terms)]


def _on_terms(row: Any, terms: Any) -> str:
    """On what terms a figure of loyalty holds."""
    kind, period, more = row.kind, say(f"time.{terms.period}"), say("money.of.more", points=points(float(terms.points)))
    if kind in {"retention", "churn"}:
        return say("money.of.period", period=period)
    if kind == "margin":
        return (
            say("money.of.purchase")
            if getattr(terms, "retention_model", "") == "bg-nbd"
            else say("money.of.customer", period=period)
        )
    if kind == "points_had":
        return more
    if kind == "claim":
        return say("money.of.claim", points=points(0.05))
    horizon = periods(math.inf if kind in {"closed_form", "claim_terms"} else float(terms.horizon), str(terms.period))
    if getattr(terms, "first_margin", False):
        horizon = say("money.of.now", horizon=horizon, period=period)
    said = {
        "uplift_relative": [say("money.of.relative", share=percent(float(terms.points)))],
        "clv_new": [say("money.of.won")],
        "claim_terms": [_worth(str(row.rhs), terms)],
    }.get(kind, [more] if row.lhs in {"uplift_percent", "uplift_money"} else [])
    last = {"uplift_base": [say("money.of.all")]}.get(kind, [say("money.of.each")] * (row.lhs == "uplift_money"))
    return say("list.comma").join([*said, horizon, *last])


def _worth(told: str, terms: Any) -> str:
    found = re.search(r"worth (\d+)%", told)
    share = percent(float(found[1]) / 100.0) if found else "–"
    return say("money.of.worth", points=points(float(terms.points)), share=share)


def _curve(loyalty: ReleasedModel, period: str) -> list[Block]:
    """The retention curve, drawn and as a table."""
    if loyalty.curve is None or "survival" not in loyalty.curve.frame:
        return []
    seen = loyalty.curve.frame["survival"].notna()
    if seen.sum() < 2:
        return []
    columns = [
        Column(say("money.curve_period"), lambda row: in_time(float(row.period), period)),
        Column(say("money.curve_share"), lambda row: percent(row.survival), True, "survival"),
        Column(say("table.interval"), lambda row: _shares_span(row.conf_low, row.conf_high), True),
    ]
    if "fitted" in loyalty.curve.frame:
        columns.append(Column(say("money.curve_model"), lambda row: percent(row.fitted), True, "fitted"))
    caption = say("money.curve_table", period=say(f"time.{period}"))
    return [
        FigureBlock(retention_curve(loyalty.curve, period=period), say("money.curve")),
        _curve_table(loyalty, caption, columns),
    ]


def _curve_table(loyalty: ReleasedModel, caption: str, columns: list[Column]) -> TableBlock:
    return table(loyalty.curve or loyalty.tidy, caption, columns, folded=True)


def _shares_span(low: float, high: float) -> str:
    return "–" if pd.isna(low) else say("money.to", low=percent(low), high=percent(high))


def _name(row: Any) -> str:
    if row.kind == "claim_terms":
        return say("money.claim_terms", what=say(f"money.claim_by.{row.lhs}"))
    if row.kind == "closed_form":
        return say("money.closed_form", name=say(f"money.name.{row.lhs}") if row.lhs in _NAMES else row.lhs)
    return say(f"money.name.{row.kind}")


def _retention_sentence(loyalty: ReleasedModel, terms: Any) -> str:
    rows = kind_rows(loyalty, "retention")
    if rows.empty:
        return say("money.no_retention")
    row = listed(rows)[0]
    value, low, high = shares(row.estimate, row.conf_low, row.conf_high)
    return say("money.retention", value=value, period=say(f"time.{terms.period}"), low=low, high=high)


def _span(row: Any, currency: str) -> str:
    """The interval of a row, or nothing where it has none."""
    if pd.isna(row.conf_low) and pd.isna(row.conf_high):
        return ""
    _, low, high = written(row, currency)
    return say("money.to", low=low, high=high) if low else ""


def _model_sentence(terms: Any) -> str:
    """What the figures rest on, and how it fits; empty for a result that does not say."""
    model = str(getattr(terms, "retention_model", ""))
    if model not in {"constant", "sbg", "kaplan-meier", "bg-nbd"}:
        return ""
    p = float(getattr(terms, "calibration_pvalue", math.nan))
    fit = "" if math.isnan(p) else " " + say("money.follows" if p >= 0.05 else "money.follows_not")
    return " " + say("money.rests", model=say(f"money.model.{model}")) + fit


def own_sentence(loyalty: ReleasedModel) -> str:
    """The firm's own figure, and where it lies beside the usual claim."""
    terms, row = glance_row(loyalty), listed(kind_rows(loyalty, "uplift_percent"))[0]
    value, low, high = shares(row.estimate, row.conf_low, row.conf_high)
    text = say("money.own", more=more_retention(float(terms.points)), value=value, low=low, high=high,
               horizon=periods(float(terms.horizon), str(terms.period)))  # fmt: skip
    claim = listed(kind_rows(loyalty, "claim"))
    return f"{text} {_against(row, claim[0])}" if claim else text


def _against(own: Any, quoted: Any) -> str:
    where = (
        "below"
        if own.conf_high < quoted.conf_low
        else "above"
        if own.conf_low > quoted.conf_high
        else "partly"
    )  # fmt: skip
    return say("money.quoted", where=say(f"money.{where}"), low=percent(quoted.conf_low),
               high=percent(quoted.conf_high))  # fmt: skip


def _terms(material: Material, terms: Any) -> FactsBlock:
    """On what terms money was counted."""
    horizon, period = float(terms.horizon), str(terms.period)
    discount = say("money.discount_per", value=percent(float(terms.discount), 1), period=say(f"time.{period}"))
    pairs = [
        (say("money.horizon"), say("time.none") if math.isinf(horizon) else in_time(horizon, period)),
        (say("money.discount"), discount),
        (say("money.rise"), points(float(terms.points))),
        (say("money.currency"), material.currency or say("money.not_stated")),
    ]
    for name in ("customers", "active", "lost"):
        value = getattr(terms, name, None)
        if value is not None and not pd.isna(value):
            pairs.append((say(f"money.{name}"), count(value)))
    return FactsBlock(say("money.terms"), tuple(pairs))
