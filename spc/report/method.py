"""Method: what was fitted and how, a table after the reporting standards, equations, data and software."""

from __future__ import annotations

import math
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pandas as pd

from spc.disclosure import ReleasedModel
from spc.plot.numbers import bracket, count, number
from spc.report.blocks import Block, FactsBlock, Prose, Section
from spc.report.equations import equations_block
from spc.report.health import counts, fit_words, missing_shares, reliabilities, two_sided
from spc.report.material import Material, glance_row, kind_rows
from spc.report.words import share_text
from spc.words import joined, say

__all__ = ["method_section", "software"]

_SOFTWARE = ("numpy", "pandas", "scipy", "statsmodels", "scikit-learn")
_KINDS = ("study", "chain", "refit", "evidence", "drivers", "whale", "bridge", "accounts", "loyalty", "levers")


def method_section(material: Material) -> Section:
    """What was fitted and how, so that it can be done again."""
    chain = material.one("chain")
    blocks: list[Block] = []
    if chain is not None:
        blocks += [Prose(_level(chain)), FactsBlock(say("method.model"), tuple(_fit(chain)))]
    blocks.append(FactsBlock(say("method.jars"), tuple(_jars(material))))
    if material.wish.audience == "researcher":
        blocks += equations_block(material)
    blocks.append(FactsBlock(say("method.data"), tuple(origins(material))))
    return Section("method", say("section.method"), tuple(blocks))


def origins(material: Material) -> list[tuple[str, str]]:
    """Data, seed and time of each result, and the versions of what computed them."""
    facts = [(_kind(model.kind), text) for model in material.models if (text := _origin(model))]
    return [*dict.fromkeys(facts), (say("method.software"), software())]


def _kind(kind: str) -> str:
    return say("method.origin", kind=say(f"method.kind.{kind}") if kind in _KINDS else kind)


def software() -> str:
    """Names and versions of the programs behind the numbers."""
    names = [f"{name} {_version(name)}" for name in ("service-profit-chain", *_SOFTWARE)]
    return say("list.comma").join([*names, f"Python {platform.python_version()}"])


def _level(chain: ReleasedModel) -> str:
    level = str(getattr(glance_row(chain), "level", ""))
    fitted = fit_words(chain)
    text = say("method.person" if level != "unit" else "method.two_sided" if two_sided(chain) else "method.unit")
    return f"{text} {say('method.whole', fitted=fitted)}" if fitted else text


def _fit(chain: ReleasedModel) -> list[tuple[str, str]]:
    row = glance_row(chain)
    level = str(getattr(row, "level", ""))
    pairs = [(say("method.rows"), f"{count(_value(row, 'nobs'))} {say(f'method.level.{_level_word(chain)}')}")]
    if _value(row, "nunits") > 0 and level == "person":
        pairs.append((say("method.units_from"), count(_value(row, "nunits"))))
    pairs += [
        (say("method.estimator"), say("method.estimator_text", name=getattr(row, "estimator", "–"))),
        (say("method.free"), count(_value(row, "npar"))),
        (say("method.converged"), _converged(row)),
    ]
    return pairs + _measures(chain)


def _level_word(chain: ReleasedModel) -> str:
    level = str(getattr(glance_row(chain), "level", ""))
    return "two_sided" if two_sided(chain) else level if level in {"unit", "person"} else "rows"


def _measures(chain: ReleasedModel) -> list[tuple[str, str]]:
    row = glance_row(chain)
    untested = _untested(_value(row, "df"), _value(row, "chisq"))
    if untested:
        return [(say("method.fit"), say("method.not_judged", why=untested))]
    chisq = say("method.chisq_text", chisq=number(_value(row, "chisq")), df=count(_value(row, "df")),
                p=_p(_value(row, "pvalue")))  # fmt: skip
    span = bracket(_value(row, "rmsea_ci_lower"), _value(row, "rmsea_ci_upper"))
    pairs = [(say("method.chisq"), chisq, "chisq")]
    if two_sided(chain):
        text = say("method.chisq_corrected_text", chisq=number(_value(row, "chisq_corrected")),
                   p=_p(_value(row, "pvalue_corrected")))  # fmt: skip
        pairs.append((say("method.chisq_corrected"), text, "chisq_corrected"))
    both = say("list.comma").join(number(_value(row, name)) for name in ("cfi", "tli"))
    pairs += [
        (say("method.cfi_tli"), both, "cfi"),
        (say("method.rmsea"), say("method.rmsea_text", value=number(_value(row, "rmsea")), interval=span), "rmsea"),
        (say("method.srmr"), number(_value(row, "srmr")), "srmr"),
    ]
    return [(term, text) for term, text, name in pairs if not pd.isna(_value(row, name))]


def _value(row: Any, name: str) -> float:
    found = getattr(row, name, None)
    return float("nan") if found is None or pd.isna(found) else float(found)


def _converged(row: Any) -> str:
    return say("method.yes" if bool(getattr(row, "converged", False)) else "method.no")


def _untested(df: float, chisq: float) -> str:
    """Why there is no test of fit; empty where there is one."""
    if df == 0:
        return say("method.saturated")
    return say("method.untested") if pd.isna(chisq) else ""


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    if value < 0.001:
        return say("number.p_below")
    return say("number.p_equal", value=f"{value:.3f}".replace(".", say("number.decimal")))


def _origin(model: ReleasedModel) -> str:
    given = model.facts
    if not given.get("package_version"):
        return ""
    seed = say("method.seed_none") if given.get("seed") is None else given["seed"]
    return f"{given['data_fingerprint']}, {seed}, {given['time']}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return say("method.not_installed")


def _jars(material: Material) -> list[tuple[str, str]]:
    """What the reporting standards ask for, filled from the results.

    Items follow Appelbaum et al. (2018), American Psychologist 73, 3-25, Tables 1 and 7.
    """
    study, chain = material.one("study"), material.one("chain")
    pairs = _jars_data(study) if study is not None else []
    if chain is not None:
        pairs += _jars_chain(material, chain)
    seeds = [model.facts["seed"] for model in material.models if model.facts.get("seed") is not None]
    stated = f"{seeds[0]}, " if seeds else ""
    pairs.append((say("method.jars_seed"), stated + software()))
    minimum = count(material.gate.rule.minimum_group)
    pairs.append((say("method.jars_confidentiality"), say("method.jars_confidentiality_text", minimum=minimum)))
    return pairs


def _jars_data(study: ReleasedModel) -> list[tuple[str, str]]:
    found, missing, scales = counts(study), missing_shares(study), reliabilities(study)
    design = say("method.jars_design_units", n=count(found["units"])) if "units" in found else ""
    people = [say(f"health.line.{name}", n=count(found[name])) for name in
              ("employee_responses", "customer_responses", "customers") if name in found]  # fmt: skip
    shares = [f"{share_text(value)} ({say(f'health.missing.{name}')})" for name, value in missing.items()]
    pairs = [
        (say("method.jars_design"), design or say("method.jars_design_persons")),
        (say("method.jars_sample"), joined(people) or "–"),
        (say("method.jars_missing"),
         say("method.jars_missing_text", shares=joined(shares)) if shares else say("method.jars_missing_none")),
    ]  # fmt: skip
    if "waves" in found:
        pairs.insert(1, (say("method.jars_waves"), count(found["waves"])))
    if scales:
        pairs.append((say("method.jars_measures"), say(
            "method.jars_measures_text", n=count(found.get("constructs", len(scales))),
            low=number(min(scales.values())), high=number(max(scales.values())),
        )))  # fmt: skip
    return pairs


def _jars_chain(material: Material, chain: ReleasedModel) -> list[tuple[str, str]]:
    row, links = glance_row(chain), kind_rows(chain, "link")
    evidence = material.one("evidence")
    model = say(
        "method.jars_model_text", links=count(len(links)), constructs=count(len({*links["lhs"], *links["rhs"]})),
        level=say(f"method.level.{_level_word(chain)}"),
    )  # fmt: skip
    untested = say("method.not_judged", why=_untested(_value(row, "df"), _value(row, "chisq")))
    estimation = say(
        "method.jars_estimation_text", estimator=getattr(row, "estimator", "–"), npar=count(_value(row, "npar")),
        nobs=count(_value(row, "nobs")), converged=_converged(row),
    )  # fmt: skip
    weighed = say("method.jars_alternatives_done" if evidence is not None else "method.jars_alternatives_none")
    return [
        (say("method.jars_model"), model),
        (say("method.jars_estimation"), estimation),
        (say("method.jars_fit"), fit_words(chain) or untested),
        (say("method.jars_estimates"), say("method.jars_estimates_text")),
        (say("method.jars_alternatives"), weighed),
        (say("method.jars_power"), say("method.jars_power_text")),
    ]  # fmt: skip
