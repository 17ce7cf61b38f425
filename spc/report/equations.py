"""Equations of the method as MathML, with the same in plain letters for readers and programs without it."""

from __future__ import annotations

import re
from html import escape
from typing import Any

from spc.disclosure import ReleasedModel
from spc.plot.numbers import estimate
from spc.report.blocks import Block, EquationsBlock, Prose
from spc.report.health import two_sided
from spc.report.material import Material, glance_row, kind_rows, listed
from spc.report.words import begin, inner, label_of
from spc.words import say

__all__ = ["equations_block"]

Equation = tuple[str, str, str]


def equations_block(material: Material) -> list[Block]:
    """Equations of what the report has: the chain with its estimates, sides, money and scenarios."""
    chain, loyalty, levers = material.one("chain"), material.one("loyalty"), material.one("levers")
    rows: list[Equation] = [] if chain is None else _of_chain(material, chain)
    if loyalty is not None:
        rows.append(_row("V = m * sum_{t=1}^{T} r^t / (1 + d)^t", say("method.money_words")))
    if levers is not None and bool(glance_row(levers).money):
        rows.append(_row("Δ_t = n * m * ( S_t ( s ) − S_t ( 0 ) )", say("method.scenario_words")))
    if not rows:
        return []
    lead = [] if chain is None else [Prose(say("method.equations_lead"))]
    return [*lead, EquationsBlock(say("method.equations"), tuple(rows))]


def _of_chain(material: Material, chain: ReleasedModel) -> list[Equation]:
    rows = [_row("η = B η + ζ", say("method.links_words")), _row("T = ( I − B )^{−1} − I", say("method.effects_words"))]
    if two_sided(chain):
        first = _row("y_{sij} = ν_s + η_{sj} + ε_{sij}", say("method.two_sided_words"))
        rows.insert(0, first)
    if not material.readable:
        return rows
    by_effect: dict[str, list[Any]] = {}
    for row in listed(kind_rows(chain, "link")):
        by_effect.setdefault(row.lhs, []).append(row)
    return rows + [_link(material, effect, links) for effect, links in by_effect.items()]


def _link(material: Material, effect: str, links: list[Any]) -> Equation:
    """One construct by its causes, with estimates; long, so that it stands in plain letters, which wrap."""
    sizes = [estimate(row.estimate, row.conf_low, row.conf_high) for row in links]
    causes = [label_of(row.rhs, material.labels) for row in links]
    terms = [(size.removeprefix("−"), "−" if size.startswith("−") else "+", cause)
             for size, cause in zip(sizes, causes, strict=True)]  # fmt: skip
    name = label_of(effect, material.labels)
    plain = [f"{name} ="]
    for at, (size, sign, cause) in enumerate(terms):
        plain.append(f"{'' if at == 0 and sign == '+' else sign + ' '}{size} · {cause}")
    plain.append("+ ζ")
    return "", say("method.link_words", effect=begin(inner(effect, material.labels))), " ".join(plain)


def _row(text: str, words: str) -> Equation:
    return _math(_elements(text)), words, text


def _math(body: str) -> str:
    return f'<math display="block"><mrow>{body}</mrow></math>'


_TOKEN = re.compile(r"sum_\{(.*?)\}\^\{(.*?)\}|(\S+?)_(\{.*?\}|\w)(?:\^(\{.*?\}|\w))?|(\S+?)\^(\{.*?\}|\w)|(\S+)")


def _elements(text: str) -> str:
    """MathML of our small notation: ``a_b``, ``a^b``, ``sum_{a}^{b}`` and signs, words apart by spaces.

    Examples
    --------
    >>> _elements("η = r^t")
    '<mi>η</mi><mo>=</mo><msup><mi>r</mi><mi>t</mi></msup>'
    """
    found = []
    for token in _TOKEN.finditer(text):
        low, high, base, sub, over, root, power, single = token.groups()
        if low is not None:
            found.append(f"<munderover><mo>∑</mo><mrow>{_script(low)}</mrow><mrow>{_script(high)}</mrow></munderover>")
        elif base is not None:
            found.append(f"<msub>{_leaf(base)}<mrow>{_script(sub)}</mrow></msub>" if over is None else
                         f"<msubsup>{_leaf(base)}{_leaf(sub)}{_leaf(over)}</msubsup>")  # fmt: skip
        elif root is not None:
            inside = power.strip("{}")
            body = _leaf(inside) if len(inside) == 1 else f"<mrow>{_script(inside)}</mrow>"
            found.append(f"<msup>{_leaf(root)}{body}</msup>")
        else:
            found.append(_leaf(single))
    return "".join(found)


def _script(text: str) -> str:
    return "".join(_leaf(letter) for letter in text.strip("{}"))


def _leaf(text: str) -> str:
    if text.isdigit():
        return f"<mn>{text}</mn>"
    if text == "*":
        return "<mo>·</mo>"
    return f"<mi>{text}</mi>" if text.isalpha() else f"<mo>{escape(text)}</mo>"
