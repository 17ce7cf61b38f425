"""All that a study says of loyalty: the figure, how groups of customers stay, what answers move, the market."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from spc.economics.buying_groups import buying_by
from spc.economics.groups import retention_by, together
from spc.economics.hazards import fit_hazard
from spc.economics.ledger import ledger_of
from spc.economics.link import nearest_link
from spc.economics.link_money import money_of_link
from spc.economics.loyal_groups import fit_beta_geometric
from spc.economics.loyalty import LoyaltyValue
from spc.economics.market import market_quality, relative_nps
from spc.errors import NonConvergenceError, UsageError
from spc.results import Note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spc.results import Result
    from spc.study import MoneySpec, Study

__all__ = ["STEP", "loyalty_results"]

STEP = 0.1
"""Points of the score whose worth is said."""
_MOST_SEGMENTS = 12


def loyalty_results(study: Study, value: LoyaltyValue) -> tuple[Result, ...]:
    """What a study's tables say of loyalty beside its value, as far as they do.

    Parameters
    ----------
    study : Study
    value : LoyaltyValue
        Of the same study, see :func:`spc.loyalty_value`.

    Returns
    -------
    tuple of Result
        In this order, each where the columns are there: retention by segment, tenure, unit, year of joining and
        calendar year (:func:`retention_by`, or without a contract :func:`buying_by`); the hazard of leaving by segment,
        tenure held equal (:func:`fit_hazard`),
        and the same where customers of a segment differ (:func:`fit_beta_geometric`); the link from the answers of
        customers to retention, margin and referral (:func:`retention_link`) and :data:`STEP` points of it in money
        (:func:`money_of_link`); the quality of market share (:func:`market_quality`) and the relative net promoter
        score (:func:`relative_nps`) from the columns the document names under ``[money]``.

    Raises
    ------
    DataError
        Columns that hold values that cannot be.
    """
    from spc.study import MoneySpec

    money = study.money or MoneySpec()
    ledger = study.tables.get("customers")
    contract = value.model.name != "bg-nbd"
    found: list[Result] = []
    if ledger is not None and contract:
        found += _groups(study, ledger)
        link, _ = nearest_link(study, [c.name for c in study.codebook])
        if link is not None:
            found.append(link)
            if value.margin is not None:
                found.append(money_of_link(value, link, change=STEP, seed=study.seed))
    elif not contract:
        found += _buyers(study)
    return (*found, *_market(study, money))


def _buyers(study: Study) -> Iterator[Result]:
    """Groups of customers without a contract, where there are enough customers to tell them apart."""
    customers, lines = (study.tables.get(name, pd.DataFrame()) for name in ("customers", "transactions"))
    known = {by: by in customers or by in lines for by in ("segment", "unit")}
    known |= {"tenure": True, "joined": len(lines) > 0}
    for by, there in known.items():
        if there:
            with suppress(UsageError):
                groups = buying_by(study, by=by)
                if groups.table["group"].nunique() > 1:
                    yield groups


def _groups(study: Study, ledger: pd.DataFrame) -> Iterator[Result]:
    fewest = study.disclosure.minimum_group
    dated = "start" in ledger and ledger["start"].notna().any()
    known = {"segment": "segment" in ledger, "tenure": True, "unit": "unit" in ledger, "joined": dated}
    known["calendar_year"] = dated and not {"tenure", "churned"} <= set(ledger)
    for by, there in known.items():
        if there:
            groups = retention_by(study, by=by, fewest=fewest)
            if len(groups.table) > 1:
                yield groups
    if known["segment"]:
        yield from _by_segment(study, ledger, fewest)


def _by_segment(study: Study, ledger: pd.DataFrame, fewest: int) -> Iterator[Result]:
    segment, _ = together(ledger["segment"], fewest)
    if 2 <= segment.nunique() <= _MOST_SEGMENTS:
        _, w = ledger_of(study)
        for fit in (fit_hazard, fit_beta_geometric):
            with suppress(NonConvergenceError, UsageError):
                yield fit(ledger.assign(segment=segment), ["segment"], period=w.period, since=w.since, until=w.until)


def _market(study: Study, money: MoneySpec) -> Iterator[Result]:
    answers = study.tables.get("customer_responses")
    if answers is None:
        return
    if money.brand_before and money.brand_now:
        table, left_out = _switching(answers[money.brand_before], answers[money.brand_now])
        if len(table) > 1:
            found = market_quality(table, seed=study.seed)
            more = (Note.of("moves_left_out", "warning", "share", moves=left_out),) if left_out else ()
            yield replace(found, note_list=(*found.note_list, *more))
    if money.recommend and money.recommend_rival:
        who = answers["respondent"] if "respondent" in answers else pd.Series(answers.index, index=answers.index)
        own, rivals = (answers[name].to_numpy() for name in (money.recommend, money.recommend_rival))
        yield relative_nps(own, rivals, cluster=[*who, *who])


def _switching(before: pd.Series, now: pd.Series) -> tuple[pd.DataFrame, int]:
    """Customers by the brand before and now, and how many went to a brand of no customer before.

    Brands that are not on both sides are ``other``.
    """
    moves = pd.DataFrame({"before": before, "now": now}).dropna().astype(str)
    brands = set(moves["before"]) & set(moves["now"])
    moves = moves.where(moves.isin(brands), "other")
    kept = sorted(set(moves["before"]))
    table = pd.crosstab(moves["before"], moves["now"]).reindex(index=kept, columns=kept, fill_value=0)
    return table, len(moves) - int(table.to_numpy().sum())
