"""The evidence for each link in the report: its grade, one sentence, and every reason on request."""

from __future__ import annotations

from typing import Any

from spc.report.blocks import Block, Column, ListBlock, Prose, table
from spc.report.material import Material, kind_rows, listed
from spc.report.words import label_of
from spc.words import say

__all__ = ["evidence_blocks", "grade_column", "grades_of", "weakest_grade"]

CRITERIA = (
    "estimate", "source", "time", "level", "robustness", "method", "replication", "reliability", "invariance",
    "reverse", "rivals", "shape",
)  # fmt: skip


def grades_of(material: Material) -> dict[tuple[str, str], str]:
    """Grade of each link by its effect and cause; none without evidence."""
    model = material.one("evidence")
    return {} if model is None else {(row.lhs, row.rhs): row.label for row in listed(kind_rows(model, "grade"))}


def weakest_grade(material: Material, start: str, target: str) -> str:
    """The lowest grade on any way from one construct to another; empty without one."""
    grades = grades_of(material)
    onward = _reaching(set(grades), target)
    found, waiting, seen = [], [start], {start}
    while waiting:
        name = waiting.pop()
        for (effect, cause), grade in grades.items():
            if cause == name and effect in onward:
                found.append(grade)
                waiting += [] if effect in seen else [effect]
                seen.add(effect)
    return max(found, default="")


def _reaching(links: set[tuple[str, str]], target: str) -> set[str]:
    """Constructs from which links lead to the target, and itself."""
    found = {target}
    while more := {cause for effect, cause in links if effect in found} - found:
        found |= more
    return found


def grade_column(material: Material) -> tuple[Column, ...]:
    """Column with the grade of a link, for tables of links; none without evidence."""
    grades = grades_of(material)
    if not grades:
        return ()
    return (Column(say("chain.evidence"), lambda row: grades.get((row.lhs, row.rhs), "–")),)


def evidence_blocks(material: Material) -> list[Block]:
    """Grades and reasons of all links; nothing without evidence."""
    model = material.one("evidence")
    if model is None or model.curve is None:
        return []
    frame, labels = model.curve.frame, material.labels
    summaries = frame.loc[frame["criterion"] == "summary", "sentence"]
    blocks: list[Block] = [
        Prose(say("chain.evidence_heading"), "heading"),
        Prose(say("evidence.rule")),
        ListBlock(tuple(map(str, summaries))),
    ]
    columns = (
        Column(say("evidence.criterion"), lambda row: _criterion(row.criterion)),
        Column(say("evidence.met"), lambda row: say(f"note.met.{row.met.replace(' ', '_')}")),
        Column(say("evidence.why"), lambda row: row.sentence),
    )
    reasons = frame[frame["criterion"] != "summary"]
    link: Any
    for link in listed(kind_rows(model, "grade")):
        rows = reasons.index[(reasons["lhs"] == link.lhs) & (reasons["rhs"] == link.rhs)]
        cause, effect = label_of(link.rhs, labels), label_of(link.lhs, labels)
        name = say("evidence.reasons", grade=link.label, cause=cause, effect=effect)
        blocks.append(table(model.curve, name, columns, [int(i) for i in rows], folded=True))
    return blocks


def _criterion(name: str) -> str:
    return say(f"evidence.name.{name}") if name in CRITERIA else name
