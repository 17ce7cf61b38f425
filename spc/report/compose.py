"""From results to the report that leadership reads: page one first, then what stands behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spc.disclosure import DisclosureRule, ReleasedModel
from spc.report.blocks import Block, ListBlock, Prose, Report, Section
from spc.report.chain import chain_figure, check_section, driver_sections, effects_section, levers, outcome_of
from spc.report.evidence import evidence_section
from spc.report.health import fit_words, health_line, health_section, hidden_section, method_section, notes_section
from spc.report.material import Material, gather, glance_row, kind_rows, listed
from spc.report.money import headline, money_section, stats
from spc.report.words import ends_of, links_sentence, settle, strongest_sentence, total_sentence
from spc.results import Result

__all__ = ["compose_report"]


def compose_report(
    results: Sequence[Result] | Result, *, rule: DisclosureRule | None = None, title: str | None = None
) -> Report:
    """Compose the report of a study.

    Parameters
    ----------
    results : sequence of Result
        Of the kinds ``study, chain, evidence, drivers, loyalty``, any of which may be absent.
    rule : DisclosureRule, optional
        A rule stricter than the study's own; of each minimum the larger one holds.
    title : str, optional
        By default the one of the study document.

    Returns
    -------
    Report
        ``report.html()`` is the page, ``report.save(path)`` writes it.

    Raises
    ------
    UsageError
        Nothing to report, or something that is no result.
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
    material = gather(results, rule)
    chain, study, loyalty = (material.one(kind) for kind in ("chain", "study", "loyalty"))
    sections: list[Section | None] = [_page_one(material)]
    if chain is not None:
        sections += [effects_section(material, chain), evidence_section(material), check_section(material, chain)]
    sections += driver_sections(material)
    if loyalty is not None:
        sections.append(money_section(material, loyalty))
    if study is not None:
        sections.append(health_section(material, study))
    sections += [method_section(material), notes_section(material), hidden_section(material)]
    return Report(title or _title(material), _subtitle(material), tuple(s for s in sections if s is not None))


def _title(material: Material) -> str:
    facts = [model.facts for model in material.models]
    for name in ("title", "name"):
        found = next((str(f[name]) for f in facts if f.get(name)), "")
        if found:
            return found
    return "The service-profit chain"


def _subtitle(material: Material) -> str:
    parts = {
        "chain": "which links of the service-profit chain hold here",
        "drivers": "what drives what",
        "loyalty": "what loyalty is worth",
    }
    said = [words for kind, words in parts.items() if material.every(kind)]
    text = ", and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said) or "how well it is measured"
    return text[:1].upper() + text[1:]


def _page_one(material: Material) -> Section:
    chain, loyalty = material.one("chain"), material.one("loyalty")
    blocks: list[Block] = []
    verdict = headline(material, loyalty) if loyalty is not None else ""
    chained = "" if chain is None else _chain_verdict(material, chain)
    blocks.append(Prose(verdict or chained or "This report says how well the study measures.", "lead"))
    if loyalty is not None and verdict:
        blocks.append(stats(material, loyalty))
    if chain is not None:
        blocks += _chain_blocks(material, chain, chained if verdict else "")
    blocks += _unknowns(material)
    blocks.append(Prose(health_line(material), "small"))
    return Section("glance", "At a glance", tuple(blocks))


def _chain_verdict(material: Material, chain: ReleasedModel) -> str:
    said = links_sentence(kind_rows(chain, "link"), material.labels)
    if material.readable and "poorly" in fit_words(chain):
        return f"{said} But the model as a whole fits poorly, so the picture is not complete."
    return said


def _chain_blocks(material: Material, chain: ReleasedModel, sentence: str) -> list[Block]:
    blocks: list[Block] = []
    told = " ".join(part for part in (sentence, _strongest(material, chain), _end_to_end(material, chain)) if part)
    if told:
        blocks.append(Prose(told, "plain" if material.readable else "caution"))
    blocks.append(chain_figure(material, chain))
    if material.readable:
        table = levers(material, chain)
        blocks += [table] if table.rows else []
    return blocks


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


def _unknowns(material: Material) -> list[Block]:
    items = [*_open_links(material), *_missing_sides(material)]
    return [Prose("What we do not know, and what would settle it", "heading"), ListBlock(tuple(items))]


def _open_links(material: Material) -> list[str]:
    chain = material.one("chain")
    if chain is None:
        return []
    if not material.readable:
        return [
            "Which of the constructs does the work: their answers move together. Questions that set them further "
            "apart, or fewer constructs, would settle it."
        ]
    level = str(getattr(glance_row(chain), "level", ""))
    fitted = fit_words(chain)
    picture = (
        f"Whether the chain is the right picture: the model {fitted}. Links that it leaves out, or questions that "
        "measure two things at once, are to be looked for first."
    )
    links: list[Any] = list(kind_rows(chain, "link").itertuples())
    unclear = [settle(link, material.labels, level) for link in links if link.label == "unclear"]
    if any(note.code == "unit_means_attenuate" for note in chain.notes):
        unclear.insert(
            0,
            "How strong the links from one side to another really are: unit means of a few answers make them look "
            "weaker than they are (see Notes). More answers a unit would settle it.",
        )
    cause = (
        "Whether raising a cause raises its effect: the links are associations. A trial that raises the cause in some "
        "units and not in others would settle it."
    )
    return [*([picture] if "poorly" in fitted else []), *unclear[:4], cause]


def _missing_sides(material: Material) -> list[str]:
    items = []
    if material.one("loyalty") is None:
        items.append(
            "What loyalty is worth in money: there is no customer ledger in this study. Tenure, churn and margin per "
            "customer would settle it."
        )
    elif not len(kind_rows(material.every("loyalty")[-1], "margin")):
        items.append(
            "What loyalty is worth in money: the ledger has no margins. A margin per customer would settle it."
        )
    if material.one("chain") is None:
        items.append(
            "Which links of the chain hold here: no chain was fitted. Answers of employees and customers of the same "
            "units would settle it."
        )
    return items
