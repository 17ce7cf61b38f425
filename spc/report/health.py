"""Data health: what was measured, on whom, and how well."""

from __future__ import annotations

from typing import Any

import pandas as pd

from spc.disclosure import ReleasedModel
from spc.plot import unit_quality
from spc.plot.numbers import count, number
from spc.report.blocks import Block, Column, FactsBlock, FigureBlock, Section, table
from spc.report.confidentiality import kept_words
from spc.report.material import Material, glance_row, listed, number_of
from spc.report.words import label_of, share_text
from spc.words import joined, say

__all__ = [
    "BAR", "converged", "counts", "fit_word", "fit_words", "health_line", "health_section", "level_word",
    "missing_shares", "one_sided", "reliabilities", "two_sided", "untested",
]  # fmt: skip

BAR = 0.7
"""The usual bar of reliability (Nunnally 1978)."""
_COUNTS = ("employee_responses", "customer_responses", "units", "customers", "waves", "constructs")
_QUALITY = ("alpha", "omega", "icc1_anova", "icc2_anova", "rwg_uniform")
_MISSING = ("share_missing_employee", "share_missing_customer", "share_missing")


def health_line(material: Material) -> str:
    """One sentence on what the report rests on and what it keeps to itself."""
    study, kept = material.one("study"), kept_words(material)
    found = {} if study is None else counts(study)
    people = ("employee_responses", "customer_responses", "customers")
    said = [say(f"health.line.{name}", n=count(found[name])) for name in people if name in found]
    if not said:
        return kept
    units = say("health.in_units", n=count(found["units"])) if "units" in found else ""
    return say("health.rests", counts=joined(said), units=units, kept=kept)


def counts(study: ReleasedModel) -> dict[str, int]:
    """Answers, units, customers, waves, constructs, as far as there are some."""
    row = glance_row(study)
    found = {name: getattr(row, name, 0) for name in _COUNTS}
    return {name: int(value) for name, value in found.items() if not pd.isna(value) and value > 0}


def missing_shares(study: ReleasedModel) -> dict[str, float]:
    """Share of missing answers by side."""
    row = glance_row(study)
    return {name: float(getattr(row, name)) for name in _MISSING if pd.notna(getattr(row, name, None))}


def reliabilities(study: ReleasedModel) -> dict[str, float]:
    """Omega of each scale, else alpha."""
    rows = [row for row in listed(study.tidy.frame) if row.kind in {"alpha", "omega"} and pd.notna(row.estimate)]
    alpha, omega = ({row.lhs: float(row.estimate) for row in rows if row.kind == kind} for kind in ("alpha", "omega"))
    return alpha | omega


def health_section(material: Material) -> Section | None:
    """What was measured, on whom, and how well; None without a study."""
    study = material.one("study")
    if study is None:
        return None
    pairs = [(say(f"health.count.{name}"), count(value)) for name, value in counts(study).items()]
    pairs += [(say(f"health.missing.{name}"), share_text(value)) for name, value in missing_shares(study).items()]
    pairs += [(say("health.bar"), number(BAR))] if reliabilities(study) else []
    blocks: list[Block] = [FactsBlock(say("health.counts"), tuple(pairs)), *_quality(material, study)]
    return Section("health", say("section.health"), tuple(blocks))


def _quality(material: Material, study: ReleasedModel) -> list[Block]:
    rows = study.tidy.frame
    values = {(r.kind, r.lhs, r.rhs): float(r.estimate) for r in listed(rows)}
    present = [kind for kind in _QUALITY if (rows["kind"] == kind).any()]
    if not present:
        return []
    first = rows[rows["kind"].isin(present)].drop_duplicates("lhs")
    columns = (
        Column(say("health.construct"), lambda r: label_of(r.lhs, material.labels)),
        *(Column(say(f"health.header.{kind}"), _of_kind(values, kind), True) for kind in present),
        Column(say("health.verdict"), lambda r: _verdict(values, r.lhs)),
    )
    blocks: list[Block] = []
    if rows["kind"].isin(["alpha", "omega"]).any():
        figure = unit_quality(study.tidy, material.labels)
        blocks.append(FigureBlock(figure, say("health.figure", bar=number(BAR))))
    wave = getattr(glance_row(study), "waves", 0)
    latest = " " + say("health.latest_wave") if pd.notna(wave) and wave > 1 else ""
    note = say("health.note", bar=number(BAR)) + latest
    return [*blocks, table(study.tidy, say("health.quality"), columns, [int(i) for i in first.index], note=note)]


def _of_kind(values: dict[tuple[str, str, str], float], kind: str) -> Any:
    def text(row: Any) -> str:
        for how in ("median", ""):
            if (kind, row.lhs, how) in values:
                return number(values[kind, row.lhs, how])
        return number(next((v for (k, name, _), v in values.items() if k == kind and name == row.lhs), float("nan")))

    return text


def _verdict(values: dict[tuple[str, str, str], float], name: str) -> str:
    def first(*kinds: str) -> float:
        found = (v for kind in kinds for (k, n, _), v in values.items() if k == kind and n == name and pd.notna(v))
        return next(found, float("nan"))

    scale, unit = first("omega", "alpha"), first("icc2_anova", "icc2_reml")
    said = []
    if pd.notna(scale):
        said.append(say(f"health.scale.{'good' if scale >= 0.8 else 'acceptable' if scale >= BAR else 'weak'}"))
    if pd.notna(unit):
        said.append(say(f"health.unit.{'reliable' if unit >= 0.7 else 'rough' if unit >= 0.5 else 'weak'}"))
    return say("list.comma").join(said) or "–"


def fit_word(chain: ReleasedModel) -> str:
    """How the model fits, by the usual bars of CFI and RMSEA (Hu & Bentler 1999; .90 and .10 as the least).

    ``well``, ``acceptably`` or ``poorly``; empty where it cannot be judged.
    """
    row = glance_row(chain)
    cfi, rmsea = (getattr(row, name, float("nan")) for name in ("cfi", "rmsea"))
    if pd.isna(cfi) or pd.isna(rmsea) or not getattr(row, "df", 0):
        return ""
    return "well" if cfi >= 0.95 and rmsea <= 0.06 else "acceptably" if cfi >= 0.90 and rmsea <= 0.10 else "poorly"


def fit_words(chain: ReleasedModel) -> str:
    """How the model fits, in words with its measures; empty where it cannot be judged."""
    word, row = fit_word(chain), glance_row(chain)
    if not word:
        return ""
    return say("method.fits", word=say(f"method.{word}"), cfi=number(row.cfi), rmsea=number(row.rmsea))


def two_sided(chain: ReleasedModel) -> bool:
    """Whether the chain rests on the respondents of both sides, not on means of units."""
    return "chisq_corrected" in chain.glance.frame


def one_sided(chain: ReleasedModel) -> bool:
    """Whether the respondents behind a two-sided fit are all of one side, at one wave or several."""
    sides = {
        str(name).removeprefix("n_").split("_wave_")[0] for name in chain.glance.frame if str(name).startswith("n_")
    }
    return len(sides) == 1


def level_word(chain: ReleasedModel) -> str:
    """What a row of the analysis is: ``two_sided``, ``unit``, ``person`` or ``rows``."""
    level = str(getattr(glance_row(chain), "level", ""))
    return "two_sided" if two_sided(chain) else level if level in {"unit", "person"} else "rows"


def converged(row: Any) -> str:
    """Whether the search came to its end, in a word."""
    return say("method.yes" if bool(getattr(row, "converged", False)) else "method.no")


def untested(row: Any) -> str:
    """Why there is no test of fit; empty where there is one."""
    if number_of(row, "df") == 0:
        return say("method.saturated")
    return say("method.untested") if pd.isna(number_of(row, "chisq")) else ""
