"""Sentences of the report: every one a fixed function of numbers that stand in one of its tables."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from spc.disclosure import ReleasedModel
from spc.plot.charts import in_time
from spc.plot.numbers import bracket, count, ends, estimate, money, number, percent, plain, shares, wording
from spc.results import Note
from spc.words import inside, joined, say

__all__ = [
    "begin",
    "confidence",
    "counted",
    "ends_of",
    "inner",
    "label_of",
    "links_sentence",
    "money_sentence",
    "more_retention",
    "notes_in_words",
    "path_in_words",
    "periods",
    "settle",
    "share_text",
    "strongest_sentence",
    "total_sentence",
]

_OF_CONSTRUCTS = ("link", "importance", "alpha", "omega", "icc1_anova", "rwg_uniform")


def counted(n: int) -> str:
    """A small number in words.

    Examples
    --------
    >>> counted(3), counted(0)
    ('three', 'none')
    """
    words = say("number.words").split()
    return say("number.none") if n == 0 else words[n] if n < len(words) else count(n)


def begin(text: str) -> str:
    """A text at the start of a sentence."""
    return text[:1].upper() + text[1:]


def label_of(name: str, labels: Mapping[str, str]) -> str:
    """A construct's name in words."""
    return labels.get(name) or wording(name)


def inner(name: str, labels: Mapping[str, str]) -> str:
    """A construct's name inside a sentence: small first letter unless the word is an abbreviation.

    Examples
    --------
    >>> inner("nps", {"nps": "NPS"}), inner("x", {"x": "Customer loyalty"})
    ('NPS', 'customer loyalty')
    """
    return inside(label_of(name, labels))


def path_in_words(path: str, labels: Mapping[str, str]) -> str:
    """A way through the chain.

    Examples
    --------
    >>> path_in_words("a -> b_c", {})
    'A → B c'
    """
    return " → ".join(label_of(name.strip(), labels) for name in path.split("->"))


def ends_of(links: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Constructs without a cause, and those without an effect, in the order of the links."""
    causes, effects = list(dict.fromkeys(links["rhs"])), list(dict.fromkeys(links["lhs"]))
    return [c for c in causes if c not in effects], [e for e in effects if e not in causes]


def confidence(estimate: float, low: float, high: float) -> str:
    """How far a figure may be leant on, from its interval alone.

    Examples
    --------
    >>> confidence(100, 90, 110), confidence(100, 60, 140), confidence(100, 10, 200), confidence(1, -2, 4)
    ('firm', 'fair', 'rough', 'open')
    """
    if not all(map(math.isfinite, (estimate, low, high))) or low <= 0 <= high:
        return "open"
    width = (high - low) / abs(estimate)
    return "firm" if width <= 0.3 else "fair" if width <= 0.9 else "rough"


def periods(n: float, period: str) -> str:
    """A horizon in words.

    Examples
    --------
    >>> periods(5, "year"), periods(float("inf"), "year")
    ('over 5 years', 'without a horizon')
    """
    return say("time.no_horizon") if math.isinf(n) else say("time.over", text=in_time(n, period))


def money_sentence(uplift: Any, terms: Any, currency: str, *, whole: bool, doubted: bool = False) -> str:
    """What more retention is worth, with its interval and a word of confidence.

    Parameters
    ----------
    uplift : row of the released table
        ``estimate, conf_low, conf_high``: money when ``whole``, else a share of customer value.
    terms : row of the glance
        ``points, horizon, period``.
    doubted : bool
        Whether a note says that what the figure rests on does not hold; its interval does not know of that.
    """
    values = (float(uplift.estimate), float(uplift.conf_low), float(uplift.conf_high))
    loses = whole and values[0] < 0
    if loses:
        values = (-values[0], -values[2], -values[1])
    estimate, low, high = (money(v, currency) for v in values) if whole else shares(*values)
    n = 1 if float(terms.points) == 0.01 else 2
    verb = say("money.verb.cost") if loses else say(f"money.verb.{'worth' if whole else 'mean'}", n=n)
    return say(
        "money.worth", more=more_retention(float(terms.points)), verb=verb, estimate=estimate, low=low, high=high,
        what=say(f"money.what.{'loss' if loses else 'gain' if whole else 'share'}"),
        horizon=periods(float(terms.horizon), str(terms.period)),
        meaning=say(f"money.{'doubted' if doubted else confidence(*values)}"),
    )  # fmt: skip


def more_retention(share: float) -> str:
    """The rise in retention that money is told for, at the start of a sentence.

    Examples
    --------
    >>> more_retention(0.05)
    'Five points more retention'
    """
    n = 100 * share
    whole = abs(n - round(n)) < 1e-9 and 0 < round(n) < len(say("number.words").split())
    amount = begin(counted(round(n))) if whole else plain(n)
    return say("money.more", n=1 if n == 1 else 2, amount=amount)


def links_sentence(links: pd.DataFrame, labels: Mapping[str, str]) -> str:
    """How many links of the chain hold here, and which do not."""
    verdicts = links["label"]
    if (verdicts == "not interpretable").any():
        return say("links.not_interpretable")
    total, holding = len(links), int((verdicts == "holds").sum())
    if holding == total:
        return say({1: "links.all_one", 2: "links.all_two"}.get(total, "links.all"), count=counted(total))
    if total == 1:
        link = links.iloc[0]
        verdict = say(f"verdict.{str(link['label']).replace(' ', '_')}")
        how = verdict if link["label"] == "opposite" else say("links.single_is", verdict=verdict)
        return say("links.single", cause=inner(link["rhs"], labels), effect=inner(link["lhs"], labels), how=how)
    said = [say("links.some", n=holding, holding=begin(counted(holding)), count=counted(total))]
    for verdict in ("unclear", "opposite", "practically nil", "too small to matter"):
        picked = links[verdicts == verdict]
        if len(picked):
            said.append(_others(picked, say(f"links.other.{verdict.replace(' ', '_')}"), labels))
    return say("list.semicolon").join(said) + "."


def _others(links: pd.DataFrame, words: str, labels: Mapping[str, str]) -> str:
    names = [
        say("links.pair", cause=inner(cause, labels), effect=inner(effect, labels))
        for cause, effect in zip(links["rhs"], links["lhs"], strict=True)
    ]
    some = joined(names) if len(names) <= 3 else say("links.many", count=counted(len(names)))
    return say("links.others", n=len(names), names=some, words=words)


def strongest_sentence(link: Any, labels: Mapping[str, str]) -> str:
    """The link of the largest standardised effect."""
    size = number(float(link.std_all))
    return say("links.strongest", cause=inner(link.rhs, labels), effect=inner(link.lhs, labels), size=size)


def total_sentence(total: Any, labels: Mapping[str, str]) -> str:
    """What one point more of a cause brings at the end of the chain."""
    low, high = ends(float(total.conf_low), float(total.conf_high))
    size = estimate(float(total.estimate), float(total.conf_low), float(total.conf_high))
    clear = total.conf_low > 0 or total.conf_high < 0
    return say(
        "links.total" if total.estimate >= 0 else "links.total_less", cause=inner(total.rhs, labels), size=size,
        effect=inner(total.lhs, labels), low=low, high=high, open="" if clear else say("links.includes_zero"),
    )  # fmt: skip


def settle(link: Any, labels: Mapping[str, str], level: str) -> str:
    """What an unclear link leaves open and what would settle it."""
    return say(
        "unknown.link", cause=inner(link.rhs, labels), effect=inner(link.lhs, labels),
        interval=bracket(float(link.conf_low), float(link.conf_high)),
        rows=say("unknown.units" if level == "unit" else "unknown.respondents"),
    )  # fmt: skip


def notes_in_words(model: ReleasedModel) -> list[Note]:
    """The notes of a released result, said in the language in force, with constructs called by their names in words."""
    rows = model.tidy.frame
    rows = rows[rows["kind"].isin(_OF_CONSTRUCTS)]
    names = {name for name in {*rows["lhs"], *rows["rhs"], *model.labels} if isinstance(name, str) and "_" in name}
    known = re.compile(rf"(?<![\w.'`\"])({'|'.join(map(re.escape, sorted(names)))})(?![\w.'`\"]*\w)")

    def named(text: str) -> str:
        if text in model.labels:
            return inner(text, model.labels)
        return known.sub(lambda found: inner(found[1], model.labels), text) if names else text

    return [replace(note, said=note.each(named).text) for note in model.notes]


def share_text(value: float) -> str:
    """A share for tables.

    Examples
    --------
    >>> share_text(0.031).split()
    ['3.1', '%']
    """
    return percent(value, 1)
