"""Page one: a sentence in money, the chain drawn once, three levers, what is not known, what it rests on."""

from __future__ import annotations

import math
from typing import Any

from spc.disclosure import ReleasedModel
from spc.plot.numbers import money, number, percent
from spc.report.blocks import Block, Column, ListBlock, Prose, Section, TableBlock, table
from spc.report.chain import chain_figure, levers_table, outcome_of
from spc.report.evidence import weakest_grade
from spc.report.health import fit_word, fit_words, health_line
from spc.report.material import Material, glance_row, kind_rows, listed
from spc.report.money import headline, money_span, stats
from spc.report.whatif import lever_name, lever_rows, look_ahead, signed_step
from spc.report.words import ends_of, links_sentence, settle, strongest_sentence, total_sentence
from spc.words import say

__all__ = ["glance_section"]

_BEST = 3


def glance_section(material: Material) -> Section:
    """Page one."""
    chain, loyalty = material.one("chain"), material.one("loyalty")
    blocks: list[Block] = []
    verdict = headline(material, loyalty) if loyalty is not None else ""
    chained = "" if chain is None else _chain_verdict(material, chain)
    blocks.append(Prose(verdict or chained or say("glance.only_measures"), "lead"))
    if loyalty is not None and verdict:
        blocks.append(stats(material, loyalty))
    if chain is not None:
        blocks += _chain_blocks(material, chain, chained if verdict else "")
    blocks += [Prose(say("glance.unknown"), "heading"), ListBlock((*_open_links(material), *_missing(material)))]
    blocks.append(Prose(health_line(material), "small"))
    return Section("glance", say("section.glance"), tuple(blocks))


def _chain_verdict(material: Material, chain: ReleasedModel) -> str:
    said = links_sentence(kind_rows(chain, "link"), material.labels)
    return say("glance.poor_fit", said=said) if material.readable and fit_word(chain) == "poorly" else said


def _chain_blocks(material: Material, chain: ReleasedModel, sentence: str) -> list[Block]:
    told = " ".join(part for part in (sentence, _strongest(material, chain), _end_to_end(material, chain)) if part)
    blocks: list[Block] = [Prose(told, "plain" if material.readable else "caution")] if told else []
    blocks.append(chain_figure(material, chain))
    if material.readable:
        best = _best_levers(material) or levers_table(material, chain)
        blocks += [best] if best.cells else []
    return blocks


def _best_levers(material: Material) -> TableBlock | None:
    """The three levers that bring most per cost, or most per step where costs are not known; None without money."""
    model = material.one("levers")
    if model is None or not bool(glance_row(model).money):
        return None
    target = str(glance_row(model).target)
    found = lever_rows(model)
    rows = [row for row in found if row["name"] != target or row["label"]] or found
    costed = any(row["cost"] > 0 for row in rows)
    ranked = sorted((r for r in rows if not costed or r["cost"] > 0), key=_per_cost if costed else _profit)[:_BEST]
    by_name = {row["name"]: row for row in ranked}
    grades = {name: weakest_grade(material, name, target) for name in by_name}
    columns = [
        Column(say("glance.lever"), lambda row: lever_name(material, by_name[row.lhs])),
        Column(say("glance.step"), lambda row: signed_step(row.estimate), True, "estimate"),
        *((Column(say("glance.cost"), lambda row: money(by_name[row.lhs]["cost"], material.currency), True),)
          if costed else ()),
        Column(say("glance.profit"), lambda row: money(by_name[row.lhs]["brings"], material.currency), True,
               value=lambda row: by_name[row.lhs]["brings"]),
        Column(say("table.interval"), lambda row: money_span(by_name[row.lhs]["interval"], material.currency), True),
        *((Column(say("glance.per_cost"), lambda row: number(by_name[row.lhs]["per_cost"]), True),
           Column(say("glance.loss"), lambda row: percent(by_name[row.lhs]["loss"], 1), True)) if costed else ()),
        *((Column(say("glance.evidence"), lambda row: grades[row.lhs] or "–"),) if any(grades.values()) else ()),
    ]  # fmt: skip
    place = {row.lhs: i for i, row in enumerate(listed(model.tidy.frame)) if row.kind == "lever"}
    note = say(f"glance.levers{'' if costed else '_uncosted'}_note", horizon=look_ahead(model))
    note += "" if costed else " " + say("glance.levers_near")
    caption = say("glance.levers" if costed else "glance.levers_uncosted")
    return table(model.tidy, caption, columns, [place[row["name"]] for row in ranked], note=note)


def _per_cost(row: dict[str, Any]) -> float:
    return -float(row["per_cost"]) if math.isfinite(row["per_cost"]) else math.inf


def _profit(row: dict[str, Any]) -> float:
    return -float(row["brings"])


def _strongest(material: Material, chain: ReleasedModel) -> str:
    if not material.readable:
        return ""
    links = [row for row in listed(kind_rows(chain, "link")) if row.label == "holds" and row.std_all == row.std_all]
    return strongest_sentence(max(links, key=lambda row: abs(row.std_all)), material.labels) if len(links) > 1 else ""


def _end_to_end(material: Material, chain: ReleasedModel) -> str:
    if not material.readable:
        return ""
    first, _ = ends_of(kind_rows(chain, "link"))
    totals = kind_rows(chain, "total")
    found = totals[(totals["lhs"] == outcome_of(chain)) & totals["rhs"].isin(first)]
    return total_sentence(next(found.itertuples()), material.labels) if len(found) else ""


def _open_links(material: Material) -> list[str]:
    chain = material.one("chain")
    if chain is None:
        return []
    if not material.readable:
        return [say("unknown.collinear")]
    level = str(getattr(glance_row(chain), "level", ""))
    links: list[Any] = list(kind_rows(chain, "link").itertuples())
    unclear = [settle(link, material.labels, level) for link in links if link.label == "unclear"]
    if any(note.code == "unit_means_attenuate" for note in chain.notes):
        unclear.insert(0, say("unknown.attenuated"))
    picture = [say("unknown.picture", fitted=fit_words(chain))] if fit_word(chain) == "poorly" else []
    return [*picture, *unclear[:4], say("unknown.cause")]


def _missing(material: Material) -> list[str]:
    loyalty, levers = material.one("loyalty"), material.one("levers")
    items = []
    if loyalty is None:
        items.append(say("unknown.no_ledger"))
    elif not len(kind_rows(loyalty, "margin")):
        items.append(say("unknown.no_margins"))
    elif levers is not None and not bool(glance_row(levers).money):
        items.append(say("unknown.no_route"))
    if material.one("chain") is None:
        items.append(say("unknown.no_chain"))
    return items
