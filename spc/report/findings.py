"""Findings in words: one a link, one an outcome, money and measurement, each with what limits it."""

from __future__ import annotations

from typing import Any

from spc.disclosure import ReleasedModel
from spc.plot.numbers import ends, estimate, number, percent
from spc.report.blocks import Block, FindingBlock, Prose, Section
from spc.report.books import whale_sentence
from spc.report.drivers import drivers_sentence, ranked
from spc.report.evidence import grades_of
from spc.report.health import BAR, fit_word, reliabilities
from spc.report.material import Material, kind_rows, listed, positions
from spc.report.money import doubted, own_sentence
from spc.report.words import begin, counted, inner, label_of, notes_in_words
from spc.words import joined, say, verdict_form

__all__ = ["findings_section"]

_STRENGTH = {"A": "strong", "B": "strong", "C": "fair", "D": "weak"}


def findings_section(material: Material) -> Section | None:
    """What the study shows, the money first; None where it shows nothing yet."""
    found = [*_money(material), *_links(material), *_drivers(material), *_books(material), *_measures(material)]
    if not found:
        return None
    return Section("findings", say("section.findings"), (Prose(say("finding.lead")), *found))


def _links(material: Material) -> list[Block]:
    chain = material.one("chain")
    if chain is None:
        return []
    if not material.readable:
        return [Prose(say("finding.not_readable"), "caution")]
    return [_link(material, chain, row) for row in listed(kind_rows(chain, "link"))]


def _link(material: Material, chain: ReleasedModel, row: Any) -> FindingBlock:
    grade = grades_of(material).get((row.lhs, row.rhs), "")
    low, high = ends(float(row.conf_low), float(row.conf_high))
    cause, effect = inner(row.rhs, material.labels), inner(row.lhs, material.labels)
    text = say(
        f"finding.link.{verdict_form(row.label, row.estimate)}", cause=cause, cause_begin=begin(cause), effect=effect,
        size=estimate(row.estimate, row.conf_low, row.conf_high), low=low, high=high,
    )  # fmt: skip
    names = (label_of(row.rhs, material.labels), label_of(row.lhs, material.labels))
    title = say("finding.title.link", cause=names[0], effect=names[1])
    mark = say("finding.mark.grade", grade=grade) if grade else say(f"verdict.{str(row.label).replace(' ', '_')}")
    strength: Any = _STRENGTH.get(grade, "fair" if row.label == "holds" else "weak")
    return FindingBlock(title, text, mark, strength, tuple(_limits(material, chain, row, grade)),
                        say("finding.method.link", level=percent(0.95)))  # fmt: skip


def _limits(material: Material, chain: ReleasedModel, row: Any, grade: str) -> list[str]:
    """What limits a link: every one that is not strong has something."""
    said = [say("finding.weak.interval")] if row.label == "unclear" else []
    said += [say("finding.weak.practically_nil")] if row.label in {"practically nil", "too small to matter"} else []
    if grade in {"C", "D"}:
        said.append(say(f"finding.weak.grade.{grade}"))
    elif not grade:
        said.append(say("finding.weak.grade.none"))
    said += [say("finding.weak.poor_fit")] if fit_word(chain) == "poorly" else []
    said += [
        note.text
        for note in notes_in_words(chain)
        if note.severity != "info" and note.subject in _subjects(material, row)
    ]
    return said or [say("finding.weak.association")]


def _subjects(material: Material, row: Any) -> set[str]:
    return {f"{row.rhs} -> {row.lhs}", f"{row.lhs} ~ {row.rhs}", f"{row.lhs}~{row.rhs}"}


def _drivers(material: Material) -> list[Block]:
    found: list[Block] = []
    for model in material.every("drivers"):
        order = ranked(material, model)
        if order is None:
            continue
        first, *rest = order.rows
        close = bool(rest) and not first.conf_low > rest[0].conf_high
        limits = [say("finding.weak.drivers")] if close else []
        limits += [note.text for note in notes_in_words(model) if note.severity != "info"]
        found.append(FindingBlock(
            say("finding.title.drivers", outcome=order.outcome), drivers_sentence(material, order),
            strength="fair", caveats=tuple(limits or [say("finding.weak.association")]),
            method=say("finding.method.drivers"),
        ))  # fmt: skip
    return found


def _money(material: Material) -> list[Block]:
    loyalty = material.one("loyalty")
    if loyalty is None or not positions(loyalty, "uplift_percent"):
        return []
    limits = tuple(note.text for note in notes_in_words(loyalty) if note.severity != "info")
    return [FindingBlock(
        say("finding.title.money"), own_sentence(loyalty), strength="fair" if doubted(loyalty) else "strong",
        caveats=limits, method=say("finding.method.money"),
    )]  # fmt: skip


def _books(material: Material) -> list[Block]:
    whale = material.one("whale")
    told = "" if whale is None else whale_sentence(material, whale)
    if whale is None or not told:
        return []
    limits = tuple(note.text for note in notes_in_words(whale) if note.severity != "info")
    strength: Any = "fair" if limits else "strong"
    return [FindingBlock(say("finding.title.books"), told, strength=strength, caveats=limits,
                         method=say("finding.method.books"))]  # fmt: skip


def _measures(material: Material) -> list[Block]:
    study = material.one("study")
    scales = {} if study is None else reliabilities(study)
    if not scales:
        return []
    weak = [name for name, value in scales.items() if value < BAR]
    title, method = say("finding.title.measure"), say("finding.method.measure")
    if not weak:
        lowest = min(scales, key=lambda name: scales[name])
        text = say("finding.measure.good", count=counted(len(scales)), name=inner(lowest, material.labels),
                   value=number(scales[lowest]))  # fmt: skip
        return [FindingBlock(title, text, strength="strong", method=method)]
    names = joined([inner(name, material.labels) for name in weak])
    text = say("finding.measure.weak", n=len(weak), count=begin(counted(len(weak))), bar=number(BAR), names=names)
    limit = say("finding.weak.scales", bar=number(BAR), names=names)
    return [FindingBlock(title, text, strength="weak", caveats=(limit,), method=method)]
