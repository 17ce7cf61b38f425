"""Loyalty in money: retention, lifetime value, and the firm's own figure beside what is usually quoted."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from spc.disclosure import ReleasedModel
from spc.plot import five_points, retention_curve
from spc.plot.numbers import ends, estimate, money, percent, points, shares
from spc.report.blocks import Block, Column, FactsBlock, FigureBlock, Prose, Section, StatsBlock, TableBlock
from spc.report.material import Material, glance_row, kind_rows, listed, positions
from spc.report.words import money_sentence, more_retention, periods

__all__ = ["headline", "money_section", "stats"]

_NAMES = {
    "retention": "Retention",
    "churn": "Customers lost",
    "margin": "Margin",
    "multiple": "Margin multiple",
    "elasticity": "Elasticity of customer value",
    "clv": "Value of a customer",
    "clv_new": "Value of a customer to be won",
    "uplift_percent": "Own figure, of customer value",
    "uplift_money": "Own figure, per customer",
    "uplift_base": "Own figure, all present customers",
    "uplift_relative": "The same number read as per cent of retention",
    "uplift_constant": "Own figure if all customers were alike",
    "points_had": "Points the average customer gains",
    "claim": "Usually quoted",
    "claim_terms": "What would give the usual claim",
}
_MONEY = {"margin", "clv", "clv_new", "uplift_money", "uplift_base"}
_SHARE = {"retention", "churn", "uplift_percent", "uplift_relative", "uplift_constant", "points_had", "claim"}


def headline(material: Material, loyalty: ReleasedModel) -> str:
    """The verdict in money, or in per cent where the ledger has no margins."""
    terms = glance_row(loyalty)
    doubted = any(note.severity != "info" for note in loyalty.notes)
    for kind in ("uplift_base", "uplift_percent"):
        rows = kind_rows(loyalty, kind)
        if len(rows):
            row = listed(rows)[0]
            return money_sentence(row, terms, material.currency, whole=kind == "uplift_base", doubted=doubted)
    return ""


def stats(material: Material, loyalty: ReleasedModel) -> StatsBlock:
    """Retention, customer value and the own figure, set large."""
    items = []
    for kind, label in (
        ("retention", "Retention"),
        ("clv", "Value of a customer"),
        ("uplift_percent", "Five points more"),
    ):
        rows = kind_rows(loyalty, kind)
        if len(rows):
            row = listed(rows)[0]
            value, low, high = written(row, material.currency)
            named = more_retention(float(glance_row(loyalty).points)) if kind == "uplift_percent" else label
            items.append(
                (named, f"+{value}" if kind == "uplift_percent" and row.estimate > 0 else value, f"{low} to {high}")
            )
    return StatsBlock(tuple(items))


def written(row: Any, currency: str) -> tuple[str, str, str]:
    """Estimate and ends of a row in the words of its kind."""
    values = (float(row.estimate), float(row.conf_low), float(row.conf_high))
    sort = row.lhs if row.kind == "closed_form" else row.kind
    if row.kind == "claim_terms":
        value = float(row.estimate)
        if math.isnan(value):
            return "at none", "", ""
        return (money(value, currency) if row.lhs == "acquisition_cost" else percent(value, 1)), "", ""
    if sort in _MONEY:
        return tuple(money(v, currency) for v in values)  # type: ignore[return-value]
    if sort in _SHARE:
        return shares(*values)
    return (estimate(*values), *ends(*values[1:]))


def money_section(material: Material, loyalty: ReleasedModel) -> Section:
    """Everything on money."""
    terms = glance_row(loyalty)
    blocks: list[Block] = [Prose(_retention_sentence(loyalty, terms) + _model_sentence(terms))]
    if loyalty.curve is not None and len(loyalty.curve.frame.dropna(subset=["survival"])) > 1:
        figure = retention_curve(loyalty.curve, period=str(terms.period))
        blocks.append(
            FigureBlock(figure, "Share of customers still there, with its interval; dashed: at a constant rate.")
        )
    if positions(loyalty, "uplift_percent"):
        figure = five_points(loyalty.tidy, title=f"{more_retention(float(terms.points))}: own figure and usual claim")
        blocks += [
            Prose(_own_sentence(loyalty, terms)),
            FigureBlock(
                figure, "The firm's own figure, the same without a horizon, and the range that is usually quoted."
            ),
        ]
    columns = (
        Column("Figure", _name),
        Column("On what terms", lambda row: str(row.rhs)),
        Column("Estimate", lambda row: written(row, material.currency)[0], True),
        Column("Interval", lambda row: _span(row, material.currency), True),
    )
    known = [
        i for i in range(len(loyalty.tidy.frame)) if loyalty.tidy.frame["kind"].iloc[i] in {*_NAMES, "closed_form"}
    ]
    blocks.append(TableBlock(loyalty.tidy, "Loyalty in money", columns, known))
    blocks.append(_terms(material, terms))
    return Section("money", "Money", tuple(blocks))


def _name(row: Any) -> str:
    if row.kind == "claim_terms":
        return f"For the usual claim: {str(row.lhs).replace('_', ' ')}"
    if row.kind == "closed_form":
        return f"{_NAMES.get(row.lhs, row.lhs)}, closed form"
    return _NAMES.get(row.kind, str(row.kind))


def _retention_sentence(loyalty: ReleasedModel, terms: Any) -> str:
    rows = kind_rows(loyalty, "retention")
    if rows.empty:
        return "Retention could not be computed."
    row = listed(rows)[0]
    value, low, high = shares(row.estimate, row.conf_low, row.conf_high)
    return f"{value} of customers stay from one {terms.period} to the next (between {low} and {high})."


def _span(row: Any, currency: str) -> str:
    """The interval of a row, or nothing where it has none."""
    known = not (pd.isna(row.conf_low) and pd.isna(row.conf_high))
    return " to ".join(written(row, currency)[1:]) if known else ""


def _model_sentence(terms: Any) -> str:
    """What the figures rest on, and how it fits; empty for a result that does not say."""
    model = str(getattr(terms, "retention_model", ""))
    words = {
        "constant": "one rate of staying for all customers",
        "sbg": "customers who differ in how surely they stay (shifted beta-geometric)",
        "kaplan-meier": "the share that stayed in each period of tenure (Kaplan-Meier)",
        "bg-nbd": "how often and how long customers buy (BG/NBD)",
    }.get(model, "")
    if not words:
        return ""
    p = float(getattr(terms, "calibration_pvalue", math.nan))
    fit = "" if math.isnan(p) else " It follows the ledger." if p >= 0.05 else " It does not follow the ledger closely."
    return f" The figures rest on {words}.{fit}"


def _own_sentence(loyalty: ReleasedModel, terms: Any) -> str:
    row = listed(kind_rows(loyalty, "uplift_percent"))[0]
    value, low, high = shares(row.estimate, row.conf_low, row.conf_high)
    text = (
        f"{more_retention(float(terms.points))} raise the value of a customer by {value} "
        f"(between {low} and {high}) {periods(float(terms.horizon), str(terms.period))}."
    )
    claim = kind_rows(loyalty, "claim")
    if claim.empty:
        return text
    quoted = listed(claim)[0]
    return f"{text} {_against(row, quoted)}"


def _against(own: Any, quoted: Any) -> str:
    span = f"{percent(quoted.conf_low)} to {percent(quoted.conf_high)}"
    where = (
        "below"
        if own.conf_high < quoted.conf_low
        else "above"
        if own.conf_low > quoted.conf_high
        else "at least partly in"
    )
    return f"That is {where} the {span} that are usually quoted."


def _terms(material: Material, terms: Any) -> FactsBlock:
    """On what terms money was counted."""
    horizon = float(terms.horizon)
    pairs = [
        ("Horizon", "none" if math.isinf(horizon) else periods(horizon, str(terms.period)).removeprefix("over ")),
        ("Discount", f"{percent(float(terms.discount), 1)} per {terms.period}"),
        ("Rise in retention", points(float(terms.points))),
        ("Currency", material.currency or "not stated"),
    ]
    for name, words in (
        ("customers", "Customers in the ledger"),
        ("active", "Present customers"),
        ("lost", "Customers lost"),
    ):
        value = getattr(terms, name, None)
        if value is not None and not pd.isna(value):
            pairs.append((words, f"{int(value):,}"))
    return FactsBlock("Terms", tuple(pairs))
