"""Who may see what, and what was hidden."""

from __future__ import annotations

from spc.plot.numbers import count
from spc.report.blocks import Block, Column, FactsBlock, Prose, Section, table
from spc.report.material import Material
from spc.words import say

__all__ = ["confidentiality_section", "kept_words"]


def kept_words(material: Material) -> str:
    """What the gate keeps, in one sentence."""
    return say("health.kept", minimum=count(material.gate.rule.minimum_group))


def confidentiality_section(material: Material) -> Section:
    """The rule, and the gate's log."""
    rule, log = material.gate.rule, material.gate.log()
    blocks: list[Block] = [
        Prose(say("confidentiality.lead", kept=kept_words(material))),
        FactsBlock(
            say("confidentiality.rule"),
            (
                (say("confidentiality.group"), count(rule.minimum_group)),
                (say("confidentiality.comments"), count(rule.minimum_comments)),
                (say("confidentiality.neighbours"), say("confidentiality.neighbours_text")),
            ),
        ),
    ]
    if log.frame.empty:
        blocks.append(Prose(say("confidentiality.nothing")))
    else:
        columns = (
            Column(say("confidentiality.table"), lambda row: row.table),
            Column(say("confidentiality.of"), lambda row: row.of),
            Column(say("confidentiality.count"), lambda row: count(row.hidden), True, "hidden"),
            Column(say("confidentiality.why"), lambda row: row.reason),
        )
        blocks.append(table(log, say("confidentiality.hidden"), columns))
    return Section("confidentiality", say("section.confidentiality"), tuple(blocks))
