"""Who may see what, and what was hidden."""

from __future__ import annotations

from spc.plot.numbers import count
from spc.report.blocks import Block, Column, FactsBlock, Prose, Section, table
from spc.report.material import Material
from spc.report.origins import KINDS
from spc.words import say

__all__ = ["confidentiality_section", "kept_words"]


def kept_words(material: Material) -> str:
    """What the gate keeps, in one sentence."""
    return say("health.kept", minimum=count(material.gate.rule.minimum_group))


_PARTS = ("note", "notes", "numbers", "units", "rows", "matrix", "models", "reasons", "draws", "periods", "n_employee",
          "n_customer")  # fmt: skip


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
            Column(say("confidentiality.table"), lambda row: _table(row.table)),
            Column(say("confidentiality.of"), lambda row: _of(row.of)),
            Column(say("confidentiality.count"), lambda row: count(row.hidden), True, "hidden"),
            Column(say("confidentiality.why"), lambda row: row.reason),
        )
        blocks.append(table(log, say("confidentiality.hidden"), columns))
    return Section("confidentiality", say("section.confidentiality"), tuple(blocks))


def _table(name: str) -> str:
    """A table of a result by its kind and part; a table with a name of its own keeps it."""
    kind, _, part = name.partition(": ")
    if part not in _PARTS:
        return name
    return f"{say(f'method.kind.{kind}') if kind in KINDS else kind}: {_of(part)}"


def _of(name: str) -> str:
    return say(f"note.hidden_of.{name}") if name in _PARTS else name
