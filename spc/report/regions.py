"""Regions side by side, or what else units belong to."""

from __future__ import annotations

from typing import Any

from spc.disclosure import ReleasedTable
from spc.plot.numbers import count, number
from spc.report.blocks import Column, Prose, Section, TableBlock, table
from spc.report.material import Material
from spc.report.words import label_of
from spc.words import say

__all__ = ["regions_section"]


def regions_section(material: Material) -> Section | None:
    """What the people of each region answered; None where units belong nowhere, or nothing of it may be shown."""
    study = material.one("study")
    released = None if study is None else study.regions
    if released is None or released.frame.drop(columns=released.frame.columns[0]).isna().all(axis=None):
        return None
    key = str(released.frame.columns[0])
    blocks = (Prose(say(f"regions.lead_{key}")), _table(material, released, key))
    return Section("regions", say(f"regions.{key}s"), blocks)


def _table(material: Material, released: ReleasedTable, key: str) -> TableBlock:
    names = [str(name) for name in released.frame if f"n_{name}" in released.frame]
    columns = (
        Column(say(f"regions.{key}"), lambda row: str(getattr(row, key))),
        *(Column(label_of(name, material.labels), _cell(name), True, name) for name in names),
    )
    return table(released, say("regions.table"), columns, note=say("regions.note"))


def _cell(name: str) -> Any:
    return lambda row: f"{number(getattr(row, name))} ({count(getattr(row, f'n_{name}'))})"
