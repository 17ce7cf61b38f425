"""From results to the report that leadership reads: page one first, then what stands behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from spc.disclosure import DisclosureRule
from spc.disclosure.text import plain_text
from spc.errors import UsageError
from spc.report.blocks import Block, Look, Report, Section, TableBlock
from spc.report.chain import chain_section
from spc.report.colours import readable_accent
from spc.report.confidentiality import confidentiality_section
from spc.report.drivers import drivers_section
from spc.report.findings import findings_section
from spc.report.glance import glance_section
from spc.report.health import health_section
from spc.report.material import Material, gather
from spc.report.method import method_section
from spc.report.money import money_section
from spc.report.notes import notes_section
from spc.report.regions import regions_section
from spc.report.replication import replication_section
from spc.report.whatif import scenarios_section
from spc.report.words import begin
from spc.resample import progress
from spc.results import Result
from spc.words import joined, say, speaking

__all__ = ["AUDIENCES", "compose_report"]

Writer = Callable[[Material], Section | None]

SECTIONS: Mapping[str, Writer] = {
    "glance": glance_section,
    "scenarios": scenarios_section,
    "findings": findings_section,
    "drivers": drivers_section,
    "chain": chain_section,
    "money": money_section,
    "regions": regions_section,
    "health": health_section,
    "method": method_section,
    "replication": replication_section,
    "notes": notes_section,
    "confidentiality": confidentiality_section,
}
"""In the order of the report."""

ALWAYS = ("glance", "notes", "confidentiality")
"""Cannot be left out: what limits the numbers is read by everybody who reads them."""

AUDIENCES: Mapping[str, tuple[str, ...]] = {
    "board": ("method", "replication"),
    "analyst": ("replication",),
    "researcher": (),
}
"""What each audience does not read."""


def compose_report(
    results: Sequence[Result] | Result,
    *,
    rule: DisclosureRule | None = None,
    title: str | None = None,
    audience: str | None = None,
    leave_out: Sequence[str] | None = None,
    language: str | None = None,
) -> Report:
    """Compose the report of a study.

    Parameters
    ----------
    results : sequence of Result
        Of the kinds ``study, chain, refit, evidence, drivers, whale, bridge, loyalty, levers``, any of which may be
        absent.
    rule : DisclosureRule, optional
        A rule stricter than the study's own; of each minimum the larger one holds.
    title : str, optional
    audience : {"board", "analyst", "researcher"}, optional
        How much of method and tables is shown.
    leave_out : sequence of str, optional
        Sections left out; page one, notes and confidentiality cannot be.
    language : str, optional
        Of the report's own words.

        What is not given is taken from the study document.

    Returns
    -------
    Report
        ``report.html()`` is the page, ``report.save(path)`` writes it.

    Raises
    ------
    UsageError
        Nothing to report, something that is no result, or an unknown audience, section or language.
    DataError
        A result rests on fewer people than may be shown.

    Examples
    --------
    >>> import pandas as pd, spc
    >>> ledger = pd.DataFrame({"tenure": [5] * 16 + [2] * 10, "churned": [0] * 16 + [1] * 10, "margin": 100.0})
    >>> report = compose_report(spc.loyalty_value(ledger, horizon=5, discount=0.10, currency="EUR"))
    >>> report.headline.split(" over ")[0]
    'Five points more retention are worth €705'
    """
    material = gather(results, rule, language)
    given: dict[str, Any] = {"title": plain_text(title), "audience": audience, "language": language,
             "leave_out": None if leave_out is None else tuple(leave_out)}  # fmt: skip
    wish = replace(material.wish, **{name: value for name, value in given.items() if value is not None})
    _check(wish.audience, wish.leave_out)
    material = replace(material, wish=wish)
    with speaking(wish.language):
        kept = [name for name in SECTIONS if _kept(name, material)]
        written = [SECTIONS[name](material) for name in progress(kept, "Composing the report")]
        sections = tuple(_for_readers(section, material) for section in written if section is not None)
        light, dark = readable_accent(wish.accent) if wish.accent else ("", "")
        return Report(_title(material), wish.subtitle or _subtitle(material), sections, wish.language,
                      Look(light, dark, wish.logo), material.gate)  # fmt: skip


def _check(audience: str, leave_out: Sequence[str]) -> None:
    if audience not in AUDIENCES:
        raise UsageError(f"There is no audience {audience!r}; a report is for a {', '.join(AUDIENCES)}.")
    kept = [name for name in leave_out if name in ALWAYS]
    if kept:
        raise UsageError(f"{', '.join(kept)} cannot be left out: what limits the numbers belongs beside them.")
    unknown = [name for name in leave_out if name not in SECTIONS]
    if unknown:
        free = ", ".join(name for name in SECTIONS if name not in ALWAYS)
        raise UsageError(f"There is no section {', '.join(unknown)} to leave out; there are {free}.")


def _kept(name: str, material: Material) -> bool:
    wish = material.wish
    return name not in wish.leave_out and (name in ALWAYS or name not in AUDIENCES[wish.audience])


def _for_readers(section: Section, material: Material) -> Section:
    """Long tables folded for a board."""
    if material.wish.audience != "board":
        return section
    return replace(section, blocks=tuple(_folded(block) for block in section.blocks))


def _folded(block: Block) -> Block:
    return replace(block, folded=True) if isinstance(block, TableBlock) and len(block.cells) > 5 else block


def _title(material: Material) -> str:
    if material.wish.title:
        return material.wish.title
    facts = [model.facts for model in material.models]
    return next((str(f["name"]) for f in facts if f.get("name")), "") or say("title.default")


def _subtitle(material: Material) -> str:
    said = [say(f"title.{kind}") for kind in ("chain", "drivers", "loyalty") if material.every(kind)]
    return begin(joined(said) or say("title.measures"))
