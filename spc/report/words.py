"""Sentences of the report: every one a fixed function of numbers that stand in one of its tables."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from spc.disclosure import ReleasedModel
from spc.plot.numbers import bracket, ends, estimate, money, number, percent, shares, wording
from spc.results import Note

__all__ = [
    "SHORT_VERDICT",
    "confidence",
    "ends_of",
    "joined",
    "label_of",
    "links_sentence",
    "money_sentence",
    "more_retention",
    "notes_in_words",
    "path_in_words",
    "periods",
    "settle",
    "strongest_sentence",
    "total_sentence",
]

SHORT_VERDICT: Mapping[str, str] = {
    "holds": "holds",
    "unclear": "unclear",
    "opposite": "runs the other way",
    "practically nil": "practically nil",
    "too small to matter": "too small to matter",
    "not interpretable": "cannot be told apart",
}

_OF_CONSTRUCTS = ("link", "importance", "alpha", "omega", "icc1_anova", "rwg_uniform")
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def counted(n: int) -> str:
    """A small number in words.

    Examples
    --------
    >>> counted(3), counted(0)
    ('three', 'none')
    """
    return "none" if n == 0 else _WORDS[n] if n < len(_WORDS) else f"{n:,}"


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
    text = label_of(name, labels)
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def path_in_words(path: str, labels: Mapping[str, str]) -> str:
    """A way through the chain.

    Examples
    --------
    >>> path_in_words("a -> b_c", {})
    'A → B c'
    """
    return " → ".join(label_of(name.strip(), labels) for name in path.split("->"))


def joined(parts: Sequence[str]) -> str:
    """A list in a sentence.

    Examples
    --------
    >>> joined(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(parts) if len(parts) < 3 else f"{', '.join(parts[:-1])} and {parts[-1]}"


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


MEANING: Mapping[str, str] = {
    "firm": "a firm figure as far as this ledger goes: its interval is narrow",
    "fair": "a fair figure: right in size, not to the last digit",
    "rough": "a rough figure: right in sign, loose in size",
    "open": "an open question: the interval includes zero",
    "doubted": "a rough figure, however narrow its interval: what it rests on does not quite hold, see Notes",
}


def periods(n: float, period: str) -> str:
    """A horizon in words.

    Examples
    --------
    >>> periods(5, "year"), periods(float("inf"), "year")
    ('over 5 years', 'without a horizon')
    """
    return "without a horizon" if math.isinf(n) else f"over {n:g} {period}{'' if n == 1 else 's'}"


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
    one = float(terms.points) == 0.01
    verb = "would cost" if loses else ("is" if one else "are") + " worth" if whole else "means" if one else "mean"
    word = "doubted" if doubted else confidence(*values)
    what = "in all" if loses else "over all present customers" if whole else "more value a customer"
    return (
        f"{more_retention(float(terms.points))} {verb} {estimate} {what} {periods(float(terms.horizon), terms.period)} "
        f"(between {low} and {high}), before what it costs to win them. That is {MEANING[word]}."
    )


def more_retention(share: float) -> str:
    """The rise in retention that money is told for, at the start of a sentence.

    Examples
    --------
    >>> more_retention(0.05)
    'Five points more retention'
    """
    n = 100 * share
    whole = abs(n - round(n)) < 1e-9 and 0 < round(n) < len(_WORDS)
    return f"{_WORDS[round(n)].capitalize() if whole else f'{n:g}'} point{'' if n == 1 else 's'} more retention"


def links_sentence(links: pd.DataFrame, labels: Mapping[str, str]) -> str:
    """How many links of the chain hold here, and which do not."""
    verdicts = links["label"]
    if (verdicts == "not interpretable").any():
        return (
            "The model cannot tell its constructs apart, so none of its links is a finding: "
            "the chain can neither be confirmed nor rejected with these questions."
        )
    total, holding = len(links), int((verdicts == "holds").sum())
    if holding == total:
        whole = {1: "The one link of the chain holds", 2: "Both links of the chain hold"}
        return f"{whole.get(total, f'All {counted(total)} links of the chain hold')} here."
    if total == 1:
        link = links.iloc[0]
        how = {"opposite": "runs the other way"}.get(link["label"], f"is {link['label']}")
        return f"The one link of the chain, {inner(link['rhs'], labels)} to {inner(link['lhs'], labels)}, {how} here."
    said = [f"{counted(holding).capitalize()} of the {counted(total)} links of the chain {_hold(holding)} here"]
    for verdict, words in _OTHER_VERDICTS.items():
        names = [f"{inner(r, labels)} to {inner(x, labels)}" for r, x in zip(links["rhs"], links["lhs"], strict=True)]
        picked = [name for name, found in zip(names, verdicts, strict=True) if found == verdict]
        if picked:
            some = joined(picked) if len(picked) <= 3 else f"{counted(len(picked))} links"
            said.append(f"{some} {'is' if len(picked) == 1 else 'are'} {words}")
    return "; ".join(said) + "."


_OTHER_VERDICTS: Mapping[str, str] = {
    "unclear": "unclear",
    "opposite": "the other way round",
    "practically nil": "practically nil",
    "too small to matter": "clear of zero, but too small to matter",
}


def _hold(n: int) -> str:
    return "holds" if n == 1 else "hold"


def strongest_sentence(link: Any, labels: Mapping[str, str]) -> str:
    """The link of the largest standardised effect."""
    return (
        f"The strongest is {inner(link.rhs, labels)} to {inner(link.lhs, labels)}, "
        f"{number(float(link.std_all))} in standard deviations."
    )


def total_sentence(total: Any, labels: Mapping[str, str]) -> str:
    """What one point more of a cause brings at the end of the chain."""
    low, high = ends(float(total.conf_low), float(total.conf_high))
    size = estimate(float(total.estimate), float(total.conf_low), float(total.conf_high))
    open_word = "" if total.conf_low > 0 or total.conf_high < 0 else ", an interval that includes no change"
    return (
        f"End to end, one point more {inner(total.rhs, labels)} goes with {size} "
        f"more {inner(total.lhs, labels)} (between {low} and {high}{open_word})."
    )


def settle(link: Any, labels: Mapping[str, str], level: str) -> str:
    """What an unclear link leaves open and what would settle it."""
    what = "units" if level == "unit" else "respondents"
    return (
        f"Whether {inner(link.rhs, labels)} moves {inner(link.lhs, labels)}: the interval "
        f"{bracket(float(link.conf_low), float(link.conf_high))} includes no effect. Four times as many {what} halve "
        f"an interval; another wave helps too."
    )


def notes_in_words(model: ReleasedModel) -> list[Note]:
    """The notes of a released result, with constructs called by their names in words."""
    rows = model.tidy.frame
    rows = rows[rows["kind"].isin(_OF_CONSTRUCTS)]
    names = {name for name in {*rows["lhs"], *rows["rhs"], *model.labels} if isinstance(name, str) and "_" in name}
    if not names:
        return list(model.notes)
    known = re.compile(rf"(?<![\w.'`\"])({'|'.join(map(re.escape, sorted(names)))})(?![\w.'`\"]*\w)")
    return [
        replace(note, text=known.sub(lambda found: inner(found[1], model.labels), note.text)) for note in model.notes
    ]


def share_text(value: float) -> str:
    """A share for tables.

    Examples
    --------
    >>> share_text(0.031).split()
    ['3.1', '%']
    """
    return percent(value, 1)
