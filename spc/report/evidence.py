"""The evidence for each link in the report: its grade, one sentence, and every reason on request."""

from __future__ import annotations

from typing import Any

from spc.report.blocks import Block, Column, ListBlock, Prose, Section, TableBlock
from spc.report.material import Material, kind_rows, listed
from spc.report.words import label_of

__all__ = ["evidence_section", "grade_column"]

RULE = (
    "How far may a link be leant on as a cause? A: different people were asked, the cause came before the effect, a "
    "hidden cause would have to be strong, and the link shows again. B: robust, and either different people or the "
    "right order in time. C: a link is there, but the same people at one time, or a hidden cause, could be behind it. "
    "D: no link is shown. Only a trial shows a cause beyond doubt."
)
CRITERION = {
    "estimate": "A link is there",
    "source": "Different sources",
    "time": "Cause before effect",
    "level": "On the level of the claim",
    "robustness": "Robust to a hidden cause",
    "method": "Not only the way people answer",
    "replication": "Shows again",
    "reliability": "Measured reliably",
    "invariance": "Measured alike",
    "reverse": "Not the reverse order",
    "rivals": "Ahead of rival explanations",
    "shape": "A straight line",
}


def grade_column(material: Material) -> tuple[Column, ...]:
    """Column with the grade of a link, for tables of links; none without evidence."""
    model = material.one("evidence")
    if model is None:
        return ()
    grades = {(row.lhs, row.rhs): row.label for row in listed(kind_rows(model, "grade"))}
    return (Column("Evidence", lambda row: grades.get((row.lhs, row.rhs), "–")),)


def evidence_section(material: Material) -> Section | None:
    """Grades and reasons of all links; None without evidence."""
    model = material.one("evidence")
    if model is None or model.curve is None:
        return None
    frame, labels = model.curve.frame, material.labels
    summaries = frame.loc[frame["criterion"] == "summary", "sentence"]
    blocks: list[Block] = [Prose(RULE), ListBlock(tuple(map(str, summaries)))]
    columns = (
        Column("Criterion", lambda row: CRITERION.get(row.criterion, row.criterion)),
        Column("Met", lambda row: row.met),
        Column("Why", lambda row: row.sentence),
    )
    reasons = frame[frame["criterion"] != "summary"]
    link: Any
    for link in listed(kind_rows(model, "grade")):
        rows = reasons.index[(reasons["lhs"] == link.lhs) & (reasons["rhs"] == link.rhs)]
        name = f"{link.label}: {label_of(link.rhs, labels)} → {label_of(link.lhs, labels)}"
        blocks.append(TableBlock(model.curve, name, columns, [int(i) for i in rows], folded=True))
    return Section("evidence", "Evidence", tuple(blocks))
