"""What the reporting standards of the field ask for, filled in from the results.

Rows follow the standards for quantitative research (Appelbaum et al. 2018, American Psychologist 73, 3-25, Tables 1
and 7) and the checklist of Hoyle & Isherwood (2013, Archives of Scientific Psychology 1, 14-22) for structural equation
models. What a program cannot know is left to the author by name, so that no row is forgotten.
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from spc.disclosure import ReleasedModel
from spc.plot.numbers import count, money, number, percent
from spc.report.health import (
    converged,
    counts,
    fit_words,
    level_word,
    missing_shares,
    reliabilities,
    two_sided,
    untested,
)
from spc.report.material import Material, glance_row, kind_rows, listed, number_of
from spc.report.origins import software
from spc.report.words import share_text
from spc.words import joined, say

__all__ = ["found_with_power", "standards"]

Rows = list[tuple[str, str]]

_IMPROPER = frozenset({"heywood", "latent_covariance", "residual_covariance", "variance_at_bound"})
_POWER = 0.8
_BOTH = 1.959964 + 0.841621
"""Normal quantiles of a two-sided test at 5 % and of a power of 80 %."""


def standards(material: Material) -> Rows:
    """Terms and what is to be reported of each, in the order of an article."""
    study, chain = material.one("study"), material.one("chain")
    rows = [_own("purpose"), _own("collection")]
    if study is not None:
        rows += _of_data(study)
    if chain is not None:
        rows += _of_chain(material, chain)
    if study is not None:
        rows += _of_smallest(material, study)
    return [*rows, *_of_programs(material), _own("open"), _own("limits")]


def _own(name: str) -> tuple[str, str]:
    """A row that only the author can fill in."""
    return say(f"method.jars_{name}"), say("method.jars_author")


def _row(name: str, text: str = "") -> tuple[str, str]:
    return say(f"method.jars_{name}"), text or say(f"method.jars_{name}_text")


def _of_data(study: ReleasedModel) -> Rows:
    found, shares = counts(study), missing_shares(study)
    design = say("method.jars_design_units", n=count(found["units"])) if "units" in found else ""
    people = [say(f"health.line.{name}", n=count(found[name])) for name in
              ("employee_responses", "customer_responses", "customers") if name in found]  # fmt: skip
    waves = found.get("waves", 0)
    missing = [say(f"method.jars_{name}", share=share_text(value)) for name, value in shares.items()]
    return [
        _row("design", design or say("method.jars_design_persons")),
        _row("waves", count(waves) if waves > 1 else say("method.jars_waves_one")),
        _row("sample", joined(people) or "–"),
        *_of_measures(study, found),
        _row("missing", joined(missing) or say("method.jars_missing_none")),
    ]


def _of_measures(study: ReleasedModel, found: dict[str, int]) -> Rows:
    scales, asked = reliabilities(study), study.facts.get("questions")
    rows = []
    if scales:
        rows.append(_row("measures", say(
            "method.jars_measures_text", n=count(found.get("constructs", len(scales))),
            low=number(min(scales.values())), high=number(max(scales.values())),
        )))  # fmt: skip
    if asked:
        rows.append(_row("questions", say(
            "method.jars_questions_text", n=count(asked), reversed=count(study.facts.get("reversed", 0))
        )))  # fmt: skip
    return rows


def _of_chain(material: Material, chain: ReleasedModel) -> Rows:
    row, links = glance_row(chain), kind_rows(chain, "link")
    latent, level = len(kind_rows(chain, "loading")) > 0, level_word(chain)
    evidence = material.one("evidence")
    model = say(
        "method.jars_model_text", links=count(len(links)), constructs=count(len({*links["lhs"], *links["rhs"]})),
        level=say(f"method.level.{level}"),
    )  # fmt: skip
    estimation = say(
        "method.jars_estimation_text", estimator=getattr(row, "estimator", "–"), npar=count(number_of(row, "npar")),
        nobs=count(number_of(row, "nobs")), converged=converged(row),
    )  # fmt: skip
    improper = any(note.code in _IMPROPER for note in chain.notes)
    return [
        _row("scores", say(f"method.jars_scores_{'latent' if latent else 'means'}")),
        _row("nesting", say(f"method.jars_nesting_{level}")),
        _row("handling", say(f"method.jars_handling_{'all' if two_sided(chain) else 'listwise'}")),
        _row("power", _power(material, links)),
        _row("model", model),
        _row("identified", _identified(row)),
        _row("estimation", estimation),
        _row("improper", say(f"method.jars_improper_{'some' if improper else 'none'}")),
        _row("fit", fit_words(chain) or say("method.not_judged", why=untested(row))),
        *([_row("rule")] if fit_words(chain) else []),
        _row("respecified"),
        _row("estimates"),
        _row("tests", say("method.jars_tests_text", level=percent(_level(chain)))),
        _row("indirect", _indirect(chain)),
        _row("alternatives", say(f"method.jars_alternatives_{'none' if evidence is None else 'done'}")),
        _row("cause", say(f"method.jars_cause_{'none' if evidence is None else 'graded'}")),
    ]


def _identified(row: Any) -> str:
    df = number_of(row, "df")
    return say("method.jars_identified_df", df=count(df)) if df > 0 else say("method.jars_identified_none")


def _level(chain: ReleasedModel) -> float:
    return float(chain.facts.get("options", {}).get("level", 0.95))


def _indirect(chain: ReleasedModel) -> str:
    draws = chain.facts.get("options", {}).get("draws")
    return say("method.jars_indirect_text", draws=count(draws)) if draws else say("method.jars_indirect_plain")


def _power(material: Material, links: pd.DataFrame) -> str:
    """What the study could have found, as far as its links may be read."""
    sizes = [size for row in listed(links) if math.isfinite(size := found_with_power(row))]
    if not sizes or not material.readable:
        return say("method.jars_power_text")
    if min(sizes) >= 1.0:
        return say("method.jars_power_none", power=percent(_POWER))
    return say("method.jars_power_found", low=number(min(sizes)), high=number(max(sizes)), power=percent(_POWER))


def found_with_power(link: Any) -> float:
    """Size of a link, in standard deviations, that a study of this precision finds in four cases of five.

    The minimum detectable effect (Bloom 1995, Evaluation Review 19, 547-556): 2.8 standard errors, for a two-sided test
    at 5 %; it speaks of the precision of the study, not of the size that was found.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> round(found_with_power(SimpleNamespace(estimate=0.5, std_error=0.1, std_all=0.25)), 2)
    0.14
    """
    if not link.estimate:
        return math.nan
    return abs(_BOTH * float(link.std_error) * float(link.std_all) / float(link.estimate))


def _of_smallest(material: Material, study: ReleasedModel) -> Rows:
    size, worth = study.facts.get("smallest_effect"), study.facts.get("smallest_effect_money")
    stated = [say("method.jars_smallest_sd", size=number(size))] if size else []
    stated += [say("method.jars_smallest_money", size=money(worth, material.currency))] if worth else []
    return [_row("smallest", joined(stated) or say("method.jars_smallest_none"))]


def _of_programs(material: Material) -> Rows:
    seeds = [model.facts["seed"] for model in material.models if model.facts.get("seed") is not None]
    minimum = count(material.gate.rule.minimum_group)
    rows = [_row("software", software())]
    rows += [_row("seed", str(seeds[0]))] if seeds else []
    shared = material.one("refit") is not None
    return [
        *rows,
        *([_row("sharing")] if shared else []),
        _row("confidentiality", say("method.jars_confidentiality_text", minimum=minimum)),
    ]
