"""All notes of a report, serious ones first."""

from __future__ import annotations

from spc.report.blocks import NotesBlock, Section
from spc.report.material import Material
from spc.words import say

__all__ = ["notes_section"]


def notes_section(material: Material) -> Section:
    """All notes, serious first."""
    return Section("notes", say("section.notes"), (NotesBlock.of(material.models),))
