"""Method: what was fitted and how, a table after the reporting standards, equations, data and software."""

from __future__ import annotations

import math

import pandas as pd

from spc.disclosure import ReleasedModel
from spc.plot.numbers import bracket, count, number
from spc.report.blocks import Block, FactsBlock, Prose, Section
from spc.report.equations import equations_block
from spc.report.health import converged, fit_words, level_word, one_sided, two_sided, untested
from spc.report.material import Material, glance_row, number_of
from spc.report.origins import origins
from spc.report.standards import standards
from spc.words import say

__all__ = ["method_section"]


def method_section(material: Material) -> Section:
    """What was fitted and how, so that it can be done again."""
    chain = material.one("chain")
    blocks: list[Block] = []
    if chain is not None:
        blocks += [Prose(_level(chain)), FactsBlock(say("method.model"), tuple(_fit(chain)))]
    blocks.append(FactsBlock(say("method.jars"), tuple(standards(material))))
    if material.wish.audience == "researcher":
        blocks += equations_block(material)
    blocks.append(FactsBlock(say("method.data"), tuple(origins(material))))
    return Section("method", say("section.method"), tuple(blocks))


def _level(chain: ReleasedModel) -> str:
    level = str(getattr(glance_row(chain), "level", ""))
    fitted = fit_words(chain)
    text = say(f"method.{'person' if level != 'unit' else _sides(chain)}")
    return f"{text} {say('method.whole', fitted=fitted)}" if fitted else text


def _sides(chain: ReleasedModel) -> str:
    if not two_sided(chain):
        return "unit"
    return "one_sided" if one_sided(chain) else "two_sided"


def _fit(chain: ReleasedModel) -> list[tuple[str, str]]:
    row = glance_row(chain)
    level = str(getattr(row, "level", ""))
    pairs = [(say("method.rows"), f"{count(number_of(row, 'nobs'))} {say(f'method.level.{level_word(chain)}')}")]
    if number_of(row, "nunits") > 0 and level == "person":
        pairs.append((say("method.units_from"), count(number_of(row, "nunits"))))
    pairs += [
        (say("method.estimator"), say("method.estimator_text", name=getattr(row, "estimator", "–"))),
        (say("method.free"), count(number_of(row, "npar"))),
        (say("method.converged"), converged(row)),
    ]
    return pairs + _measures(chain)


def _measures(chain: ReleasedModel) -> list[tuple[str, str]]:
    row = glance_row(chain)
    if untested(row):
        return [(say("method.fit"), say("method.not_judged", why=untested(row)))]
    chisq = say("method.chisq_text", chisq=number(number_of(row, "chisq")), df=count(number_of(row, "df")),
                p=_p(number_of(row, "pvalue")))  # fmt: skip
    span = bracket(number_of(row, "rmsea_ci_lower"), number_of(row, "rmsea_ci_upper"))
    pairs = [(say("method.chisq"), chisq, "chisq")]
    if two_sided(chain):
        text = say("method.chisq_corrected_text", chisq=number(number_of(row, "chisq_corrected")),
                   p=_p(number_of(row, "pvalue_corrected")))  # fmt: skip
        pairs.append((say("method.chisq_corrected"), text, "chisq_corrected"))
    both = say("list.comma").join(number(number_of(row, name)) for name in ("cfi", "tli"))
    pairs += [
        (say("method.cfi_tli"), both, "cfi"),
        (say("method.rmsea"), say("method.rmsea_text", value=number(number_of(row, "rmsea")), interval=span), "rmsea"),
        (say("method.srmr"), number(number_of(row, "srmr")), "srmr"),
    ]
    return [(term, text) for term, text, name in pairs if not pd.isna(number_of(row, name))]


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    if value < 0.001:
        return say("number.p_below")
    return say("number.p_equal", value=f"{value:.3f}".replace(".", say("number.decimal")))
